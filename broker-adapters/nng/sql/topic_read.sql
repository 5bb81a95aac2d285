SELECT first_log, partitions, replication, retention_ms, retention_bytes, min_isr, sealed, name,
       checksum
  FROM topic ORDER BY first_log
