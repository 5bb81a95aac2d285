-- $1 uuid, $2 boot, $3 commits, $4 topics, $5 logs, $6 producers, $7 cursors, $8 checksum
INSERT INTO store (id, uuid, boot, commits, topics, logs, producers, cursors, checksum)
VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (id) DO UPDATE
   SET uuid = ?1, boot = ?2, commits = ?3, topics = ?4, logs = ?5, producers = ?6,
       cursors = ?7, checksum = ?8
