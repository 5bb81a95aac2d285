-- $1 number, $2 first, $3 next, $4 last ms, $5 bytes, $6 checksum
UPDATE log SET first = ?2, next = ?3, last_ms = ?4, bytes = ?5, checksum = ?6 WHERE number = ?1
