-- Before the first read. Exclusive: no other process may read or write beside the broker, and
-- the index of the WAL is in memory instead of a shared file. Checkpoints are ours to start,
-- because one that fails must not go unnoticed. Nothing that the file says is trusted to run.
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA mmap_size = 0;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -32768;
PRAGMA synchronous = FULL;
PRAGMA wal_autocheckpoint = 0;
PRAGMA page_size = 4096;
