-- $1 number, $2 first, $3 next, $4 last ms, $5 bytes, $6 checksum
INSERT INTO log (number, first, next, last_ms, bytes, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
