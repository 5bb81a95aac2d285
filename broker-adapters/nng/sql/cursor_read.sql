SELECT name, log, position, noted_ms, checksum FROM cursor
