-- From the oldest on, without reading what they hold.
-- $1 first place of the log, $2 first place behind the log
SELECT place, length(head) + length(bodies), head FROM chunk
 WHERE place >= ?1 AND place < ?2
 ORDER BY place
