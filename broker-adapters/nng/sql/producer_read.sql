-- The one that was silent for longest first.
SELECT id, used_ms, answers, checksum FROM producer ORDER BY used_ms
