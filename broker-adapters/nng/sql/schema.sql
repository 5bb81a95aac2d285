-- Format 1. Every row but a chunk has a checksum over its own content and the store's uuid.
PRAGMA application_id = 1112755278; -- "BSLN"
PRAGMA user_version = 1;

-- One row. How many rows the other tables have, so that one that vanished is missed.
CREATE TABLE store (
	id INTEGER PRIMARY KEY,
	uuid BLOB NOT NULL,
	boot INTEGER NOT NULL,
	commits INTEGER NOT NULL,
	topics INTEGER NOT NULL,
	logs INTEGER NOT NULL,
	producers INTEGER NOT NULL,
	cursors INTEGER NOT NULL,
	checksum INTEGER NOT NULL
) STRICT;

-- Its partitions are the logs first_log, first_log + 1, ...
CREATE TABLE topic (
	first_log INTEGER PRIMARY KEY,
	name TEXT NOT NULL,
	partitions INTEGER NOT NULL,
	replication INTEGER NOT NULL,
	retention_ms INTEGER NOT NULL,
	retention_bytes INTEGER NOT NULL,
	min_isr INTEGER NOT NULL,
	sealed INTEGER NOT NULL,
	checksum INTEGER NOT NULL
) STRICT;

CREATE TABLE log (
	number INTEGER PRIMARY KEY,
	first INTEGER NOT NULL,
	next INTEGER NOT NULL,
	last_ms INTEGER NOT NULL,
	bytes INTEGER NOT NULL,
	checksum INTEGER NOT NULL
) STRICT;

-- place: log number << 43 | offset of the first record.
CREATE TABLE chunk (
	place INTEGER PRIMARY KEY,
	head BLOB NOT NULL,
	bodies BLOB NOT NULL
) STRICT;

-- answers: of the last requests, each be64 sequence, be32 length, bytes.
CREATE TABLE producer (
	id INTEGER PRIMARY KEY,
	used_ms INTEGER NOT NULL,
	answers BLOB NOT NULL,
	checksum INTEGER NOT NULL
) STRICT;

CREATE TABLE cursor (
	name TEXT NOT NULL,
	log INTEGER NOT NULL,
	position INTEGER NOT NULL,
	noted_ms INTEGER NOT NULL,
	checksum INTEGER NOT NULL,
	PRIMARY KEY (name, log)
) STRICT, WITHOUT ROWID;
