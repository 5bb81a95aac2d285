SELECT number, first, next, last_ms, bytes, checksum FROM log ORDER BY number
