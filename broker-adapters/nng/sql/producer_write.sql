-- $1 id, $2 used ms, $3 answers, $4 checksum
INSERT INTO producer (id, used_ms, answers, checksum) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (id) DO UPDATE SET used_ms = ?2, answers = ?3, checksum = ?4
