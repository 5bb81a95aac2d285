-- $1 first log, $2 partitions, $3 replication, $4 retention ms, $5 retention bytes,
-- $6 in-sync replicas, $7 sealed, $8 name, $9 checksum
INSERT INTO topic (first_log, partitions, replication, retention_ms, retention_bytes, min_isr,
		   sealed, name, checksum)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT (first_log) DO UPDATE SET sealed = ?7, checksum = ?9
