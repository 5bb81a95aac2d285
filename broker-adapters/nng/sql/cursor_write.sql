-- $1 group, $2 log, $3 position, $4 noted ms, $5 checksum
INSERT INTO cursor (name, log, position, noted_ms, checksum) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (name, log) DO UPDATE SET position = ?3, noted_ms = ?4, checksum = ?5
