/*
 * journal_private.h - the parts of the journal and how they hang together
 *
 * journal.c opens and closes; journal_store.c is SQLite; journal_rows.c the metadata and
 * its checksums, journal_load.c reads it all; journal_chunk.c is what records look like on
 * disk, journal_read.c and journal_write.c what is done with them; journal_memory.c the
 * producers and cursors; journal_mark.c the second file.
 */
#ifndef BUSP_NNG_JOURNAL_PRIVATE_H
#define BUSP_NNG_JOURNAL_PRIVATE_H

#include <sqlite3.h>

#include "broker-adapters/nng/journal.h"

#define BUSP_STORE_FILE "broker.db"
#define BUSP_WAL_FILE "broker.db-wal"
#define BUSP_MARK_FILE "broker.mark"
#define BUSP_LOCK_FILE "broker.lock"
#define BUSP_APPLICATION_ID 0x42534c4e /* "BSLN" */
#define BUSP_FORMAT 1
#define BUSP_UUID_BYTES 16

/* ---- SQLite: journal_store.c ---- */

#define BUSP_QUERY_LIST(X)                                                               \
	X(BEGIN, "begin")                                                                \
	X(COMMIT, "commit")                                                              \
	X(ROLLBACK, "rollback")                                                          \
	X(STORE_READ, "store_read")                                                      \
	X(STORE_WRITE, "store_write")                                                    \
	X(TOPIC_READ, "topic_read")                                                      \
	X(TOPIC_WRITE, "topic_write")                                                    \
	X(LOG_READ, "log_read")                                                          \
	X(LOG_INSERT, "log_insert")                                                      \
	X(LOG_UPDATE, "log_update")                                                      \
	X(CHUNK_INSERT, "chunk_insert")                                                  \
	X(CHUNK_SCAN, "chunk_scan")                                                      \
	X(CHUNK_AT, "chunk_at")                                                          \
	X(CHUNK_HEADS, "chunk_heads")                                                    \
	X(CHUNK_STRAYS, "chunk_strays")                                                  \
	X(CHUNK_DELETE, "chunk_delete")                                                  \
	X(PRODUCER_READ, "producer_read")                                                \
	X(PRODUCER_WRITE, "producer_write")                                              \
	X(PRODUCER_DELETE, "producer_delete")                                            \
	X(CURSOR_READ, "cursor_read")                                                    \
	X(CURSOR_WRITE, "cursor_write")                                                  \
	X(STRUCTURE, "structure")

typedef enum busp_query {
#define X(symbol, name) BUSP_Q_##symbol,
	BUSP_QUERY_LIST(X)
#undef X
		BUSP_Q_COUNT
} busp_query;

typedef struct busp_store {
	sqlite3 *db;
	sqlite3_stmt *queries[BUSP_Q_COUNT];
	char *path;
	bool checkpointing;
	int wal_pages;     /* as of the last commit */
	int wal_pages_max; /* then a checkpoint is due */
	bool broken; /* the disk failed: what the kernel still holds is not to be believed */
	bus_error why;
} busp_store;

typedef enum busp_store_use {
	BUSP_STORE_MAKE,  /* read and write; made if it is empty */
	BUSP_STORE_WRITE, /* read and write */
	BUSP_STORE_LOOK,  /* changes nothing, not even the WAL */
} busp_store_use;

/* FATAL: not a store of ours, of a newer format, or in use. When it was made, the
 * transaction that made it is still open. */
BUS_MUST_CHECK bus_status busp_store_open(busp_store *store, const char *path,
					  busp_store_use use, bool *ret_made,
					  bus_error *err);
/* Ends with a checkpoint unless the store is broken or only looked at; NULL-safe. */
void busp_store_close(busp_store *store);

/* What a result code that is not OK, ROW or DONE allows: RETRY no space, else FATAL. The
 * disk's failures make the store broken. */
bus_status busp_store_failed(busp_store *store, int code, const char *doing,
			     bus_error *err);
/* Nothing more is written. */
void busp_store_break(busp_store *store, const bus_error *why);
/* FATAL with the first reason if the store is broken. */
BUS_MUST_CHECK bus_status busp_store_usable(const busp_store *store, bus_error *err);
/* Is this code about what the file holds, not about the disk? */
bool busp_store_is_damage(int code);

/* The statement with the numbers bound to ?1 ... */
sqlite3_stmt *busp_store_bind(busp_store *store, busp_query query, const int64_t *numbers,
			      int count);
/* Binds nothing more, runs it to the end, resets it. */
BUS_MUST_CHECK bus_status busp_store_run(busp_store *store, busp_query query,
					 const char *doing, bus_error *err);
bus_str busp_column_bytes(sqlite3_stmt *query, int column);

BUS_MUST_CHECK bus_status busp_store_begin(busp_store *store, bus_error *err);
/* Commits, or leaves nothing behind: also when SQLite rolled back by itself. */
BUS_MUST_CHECK bus_status busp_store_commit(busp_store *store, bus_error *err);
/* FATAL if even that fails; SQLite may have rolled back already. */
BUS_MUST_CHECK bus_status busp_store_rollback(busp_store *store, bus_error *err);
/* What is in the WAL goes into the store file, synced. */
BUS_MUST_CHECK bus_status busp_store_checkpoint(busp_store *store, bool truncate,
						bus_error *err);
/* What a former life left in the WAL becomes durable: in the store file, or, if there is
 * no space, where it is. */
BUS_MUST_CHECK bus_status busp_store_settle(busp_store *store, bus_error *err);

/* ---- the mark: journal_mark.c ---- */

typedef struct busp_mark {
	int fd;   /* -1: none */
	int turn; /* the slot that is written next: the older one */
	int64_t synced_ms;
} busp_mark;

typedef struct busp_mark_content {
	bool present; /* a file with content */
	bool valid;   /* at least one of its slots is */
	uint64_t commits;
	uint32_t boot;
	uint8_t uuid[BUSP_UUID_BYTES];
} busp_mark_content;

/* Opens, or makes when make is true; FATAL: disk, or permissions. */
BUS_MUST_CHECK bus_status busp_mark_open(busp_mark *mark, const char *directory,
					 bool make, busp_mark_content *ret_content,
					 bus_error *err);
/* RETRY: no space, on a filesystem that copies on write; it says what it said before. */
BUS_MUST_CHECK bus_status busp_mark_write(busp_mark *mark, const uint8_t *uuid,
					  uint64_t commits, uint32_t boot,
					  bus_error *err);
BUS_MUST_CHECK bus_status busp_mark_sync(busp_mark *mark, bus_error *err);
void busp_mark_close(busp_mark *mark);

/* ---- producers and cursors in memory: journal_memory.c ---- */

typedef struct busp_producer {
	struct busp_producer *next; /* of the same bucket */
	struct busp_producer *older;
	struct busp_producer *newer;
	uint64_t id;
	int64_t used_ms;
	bus_buf answers; /* as the row has them */
	/* what a rollback brings back, while changed */
	bool changed;
	bool fresh; /* not in the store */
	int64_t was_used_ms;
	bus_buf was_answers;
} busp_producer;

typedef struct busp_producers {
	busp_producer **buckets;
	size_t bucket_count;
	size_t count;
	busp_producer *oldest;
	busp_producer *newest;
	busp_producer **changed;
	size_t changed_count;
	size_t changed_cap;
	size_t expired; /* of the oldest, whose rows the open transaction deleted */
} busp_producers;

busp_producer *busp_producer_find(const busp_producers *producers, uint64_t id);
/* As read from the store: the newest so far. False: the answers are not well-formed, or
 * it is there already. */
bool busp_producer_load(busp_producers *producers, uint64_t id, int64_t used_ms,
			bus_str answers);
void busp_producer_remember(busp_producers *producers, uint64_t id, int64_t now_ms,
			    uint64_t seq, bus_str answer);
/* The answer to seq, absent if it is not remembered; *ret_last: the last one. */
bus_str busp_producer_answer_to(const busp_producer *producer, uint64_t seq,
				uint64_t *ret_last);
void busp_producers_keep(busp_producers *producers); /* after the commit */
void busp_producers_undo(busp_producers *producers);
void busp_producer_remove(busp_producers *producers, busp_producer *producer);
void busp_producers_fini(busp_producers *producers);

typedef struct busp_cursor_row {
	char *group;
	busp_log *log;
	int64_t offset;
	int64_t noted_ms;
	bool stored;  /* there is a row of it */
	bool changed; /* it is not what the row says */
} busp_cursor_row;

typedef struct busp_cursors {
	busp_cursor_row *rows; /* by group, topic, partition */
	size_t count;
	size_t cap;
	size_t stored;      /* rows in the store */
	size_t writing;     /* rows more in the open transaction */
	bool changed;       /* any of them */
	int64_t written_ms; /* on the monotonic clock */
} busp_cursors;

/* The place of a row that is there, or where it would be. */
bool busp_cursor_find(const busp_cursors *cursors, bus_str group, const busp_log *log,
		      size_t *ret_place);
busp_cursor_row *busp_cursor_insert(busp_cursors *cursors, size_t place, bus_str group,
				    busp_log *log);
void busp_cursors_fini(busp_cursors *cursors);

/* ---- the journal ---- */

/* What the open transaction does to one log. */
typedef struct busp_touched {
	busp_log *log;
	int64_t start;
	int64_t end;
	int64_t last_ms;
	int64_t bytes;
	size_t pending; /* its newest chunk */
	size_t chunks;
	int64_t bytes_cut; /* by retention */
} busp_touched;

/* A chunk that the commit will write. */
typedef struct busp_pending {
	size_t touched;
	int64_t base;
	int64_t timestamp_ms;
	uint32_t count;
	size_t bodies;
	size_t first_part;
	size_t last_part;
} busp_pending;

typedef struct busp_part {
	busp_batch batch;
	size_t next;
} busp_part;

/* A note that the commit will take over. */
typedef struct busp_noted {
	char *group;
	busp_log *log;
	int64_t offset;
} busp_noted;

#define BUSP_GROWING(type)                                                               \
	struct {                                                                         \
		type *at;                                                                \
		size_t count;                                                            \
		size_t cap;                                                              \
	}

typedef struct busp_slot {
	busp_log *log;
	size_t touched;  /* 1 more than its place there; 0: not in this transaction */
	bool uncuttable; /* its old chunks cannot be deleted: the tree is damaged there */
} busp_slot;

struct busp_journal {
	const bus_clock *clock;
	char *directory;
	int lock_fd;
	busp_store store;
	busp_mark mark;
	uint8_t uuid[BUSP_UUID_BYTES];
	uint32_t boot;
	uint64_t commits; /* in the life of the store */
	busp_journal_counts counts;

	BUSP_GROWING(busp_topic *) topics; /* by name */
	BUSP_GROWING(busp_slot) slots;     /* by log number; the first is of no log */
	busp_producers producers;
	busp_cursors cursors;

	bool open; /* between begin and commit */
	int64_t now_ms;
	BUSP_GROWING(busp_touched) touched;
	BUSP_GROWING(busp_pending) pending;
	BUSP_GROWING(busp_part) parts;
	BUSP_GROWING(busp_noted) noted;

	bus_buf scratch;    /* what a checksum is made of */
	bus_buf head;       /* of the chunk that is written */
	bus_buf bodies;     /* likewise */
	const char *damage; /* what the last reading met, static */
};

#define BUSP_PUSH(list)                                                                  \
	((list).at = busp_adapter_grow((list).at, (list).count, &(list).cap,             \
				       sizeof((list).at[0])),                            \
	 &(list).at[(list).count++])

static inline int64_t
busp_place(uint32_t number, int64_t offset)
{
	return (int64_t)number << BUSP_OFFSET_BITS | offset;
}

static inline int64_t
busp_place_offset(int64_t place)
{
	return place & BUSP_OFFSET_MAX;
}

static inline int64_t
busp_journal_now_ms(const busp_journal *journal)
{
	return bus_clock_wall_us(journal->clock) / 1000;
}

/* ---- rows: journal_rows.c; each in the open transaction of the store ---- */

/* Tables whose rows have a checksum. */
typedef enum busp_table {
	BUSP_T_STORE = 1,
	BUSP_T_TOPIC,
	BUSP_T_LOG,
	BUSP_T_PRODUCER,
	BUSP_T_CURSOR,
} busp_table;

int64_t busp_row_checksum(busp_journal *journal, busp_table table, const int64_t *numbers,
			  size_t count, bus_str bytes);
/* The store's own row: one commit more; also what the mark will say. */
BUS_MUST_CHECK bus_status busp_write_store(busp_journal *journal, bus_error *err);
BUS_MUST_CHECK bus_status busp_write_topic(busp_journal *journal, const busp_topic *topic,
					   bool sealed, bus_error *err);
BUS_MUST_CHECK bus_status busp_write_log(busp_journal *journal, busp_query query,
					 const busp_touched *touched, bus_error *err);
BUS_MUST_CHECK bus_status busp_write_producers(busp_journal *journal, bus_error *err);
BUS_MUST_CHECK bus_status busp_write_cursors(busp_journal *journal, bus_error *err);

/* ---- transactions: journal_write.c, journal_cut.c ---- */

/* Counts the commit and makes it, if status is OK; else, or if that fails, nothing of the
 * store's open transaction happened. */
BUS_MUST_CHECK bus_status busp_journal_finish(busp_journal *journal, bus_status status,
					      bus_error *err);
/* The mark, and now and then a checkpoint. */
BUS_MUST_CHECK bus_status busp_journal_after_commit(busp_journal *journal, bus_error *err);
void busp_touched_apply(const busp_touched *touched);
/* Old chunks go, as the topic says. ABORT: they cannot be deleted; roll back and begin
 * again, this log is left alone from now on. */
BUS_MUST_CHECK bus_status busp_apply_retention(busp_journal *journal,
					       busp_touched *touched, bus_error *err);
/* As if retention had not been applied in this transaction. */
void busp_retention_undo(busp_journal *journal);

/* ---- topics: journal_topic.c ---- */

busp_topic *busp_topic_create(const bus_topic_info *info, uint32_t first_log);
void busp_topic_destroy(busp_topic *topic);
/* Its logs get the next slots. */
void busp_topic_add(busp_journal *journal, busp_topic *topic);

/* ---- all of it, when it is opened: journal_load.c ---- */

/* Told of every thing that is wrong. */
typedef struct busp_findings {
	void (*found)(void *ctx, const bus_broker_damage *damage); /* borrowed */
	void *ctx;
} busp_findings;

void busp_found(const busp_findings *findings, const busp_log *log, int64_t offset,
		const char *fmt, ...) BUS_PRINTF(4, 5);

/* Topics, logs, producers, cursors. What cannot be believed is told and left out.
 * FATAL: the disk. */
BUS_MUST_CHECK bus_status busp_journal_load(busp_journal *journal,
					    const busp_findings *findings,
					    bus_error *err);
/* The mark against the store. */
void busp_mark_compare(const busp_journal *journal, const busp_mark_content *mark,
		       const busp_findings *findings);
/* Do the chunks begin and end where the log's row says? A chunk past its end makes the row
 * an old one, which is told; what is missing is the log's damage. */
BUS_MUST_CHECK bus_status busp_log_compare(busp_journal *journal, busp_log *log,
					   const busp_findings *findings, bus_error *err);

/* ---- opening: journal.c ---- */

busp_journal *busp_journal_create(const char *directory, const bus_clock *clock);
/* Without a checkpoint of ours. */
void busp_journal_destroy(busp_journal *journal);
/* The directory's lock; FATAL: another process has it. *ret_fd -1 if look is set and
 * nobody ever locked it. */
BUS_MUST_CHECK bus_status busp_lock_take(const char *directory, bool look, int *ret_fd,
					 bus_error *err);
char *busp_path(const char *directory, const char *name);

/* ---- chunks: journal_chunk.c ---- */

#define BUSP_CHUNK_HEAD_BYTES 48

typedef struct busp_chunk {
	int64_t base;
	int64_t timestamp_ms;
	uint32_t bodies_bytes;
	busp_batch batch; /* bodies absent: only the head was read */
} busp_chunk;

void busp_chunk_head(const busp_journal *journal, const busp_log *log,
		     const busp_pending *pending, bus_buf *ret_head);
/* NULL, or what is wrong with it. The bodies are not looked at. */
const char *busp_chunk_parse(busp_journal *journal, const busp_log *log, int64_t place,
			     bus_str head, busp_chunk *ret_chunk);
/* Remembers that offset cannot be read. */
void busp_log_damaged(busp_log *log, int64_t offset);

#endif
