/*
 * journal.h - the log of the embedded broker on disk; private to this folder
 *
 * DESIGN
 * One SQLite file, WAL, synchronous=FULL, one writer, used by one thread. A *chunk* is a
 * row: the records that one commit appended to one partition. Its rowid is
 * log number << BUSP_OFFSET_BITS | offset of its first record, so that one B-tree is the
 * whole log, in order, and a record is found by one descent. A chunk's header has a
 * checksum over where it lies, its time and the directory of its records; each record has
 * one of its own (made by the producer, verified by the broker before it is written and on
 * every read, and by the consumer again).
 *
 * A second small file holds, twice, how many commits there were: written after each commit
 * (not synced: it may lag after a power cut, never lead), so that a store that is an older
 * copy, or has lost its WAL, is noticed when it is opened. It counts the lives, too, since it
 * can be written when the disk is full.
 *
 * Transactions: begin, any number of appends, notes and producers, commit. What a commit
 * has not confirmed is not visible to read.
 */
#ifndef BUSP_NNG_JOURNAL_H
#define BUSP_NNG_JOURNAL_H

#include "broker-adapters/broker.h"
#include "broker-adapters/nng/wire.h"
#include "broker-adapters/shared.h"

#define BUSP_OFFSET_BITS 43 /* 8.8e12 records per partition, 2^20 partitions in all */
#define BUSP_OFFSET_MAX (((int64_t)1 << BUSP_OFFSET_BITS) - 1)
#define BUSP_LOGS_MAX ((uint32_t)1 << 20)
/* Results remembered per producer: more than a client has in flight. */
#define BUSP_PRODUCER_RESULTS 8

typedef struct busp_journal busp_journal;

/* One partition; borrowed, valid while the journal is open. Read-only for others. */
typedef struct busp_log {
	uint32_t number;
	const struct busp_topic *topic;
	int32_t partition;
	int64_t start; /* oldest record kept */
	int64_t end;   /* of the next record; committed */
	int64_t last_ms; /* timestamp of the newest record; time never steps back in a log */
	int64_t bytes;
	int64_t damaged_at; /* first offset that could not be read, -1: none is known */
	void *user;         /* the server's: who waits for this log */
} busp_log;

typedef struct busp_topic {
	bus_topic_info info;
	busp_log *logs; /* info.partitions of them */
	bool sealed;    /* takes no record */
} busp_topic;

typedef struct busp_journal_counts {
	uint64_t commits, records, bytes; /* since it was opened */
} busp_journal_counts;

/**
 * busp_journal_open - the journal of a directory, made on first use
 *
 * Takes a lock on the directory; recovers the WAL and syncs what it has, so that nothing is
 * served that a power cut could take back. On a full disk it opens, too, and commits are
 * refused until there is space.
 * Errors: BUS_E_FATAL as bus_broker_serve says. BUS_E_RETRY: no space to make it.
 */
BUS_MUST_CHECK bus_status busp_journal_open(const char *directory, const bus_clock *clock,
					    busp_journal **ret_journal, bus_error *err);
/* Checkpoints if it can; NULL-safe. */
void busp_journal_close(busp_journal *journal);

/* 16 random bytes, made with the store: tells one broker's log from another's. */
const uint8_t *busp_journal_uuid(const busp_journal *journal);
/* Grows each time the journal is opened; begins with 1. */
uint32_t busp_journal_boot(const busp_journal *journal);
busp_journal_counts busp_journal_counted(const busp_journal *journal);

/* ---- topics: each call is a transaction of its own, not between begin and commit ---- */

const busp_topic *busp_journal_topic(const busp_journal *journal, bus_str name);
/* The first topic whose name sorts after `after` and begins with prefix, or NULL. */
const busp_topic *busp_journal_topic_after(const busp_journal *journal, bus_str prefix,
					   bus_str after);
/* Durable on return. REJECT: the spec breaks a rule, or there is no room for so many
 * partitions. RETRY: no space. FATAL: disk. The topic must not be there. */
BUS_MUST_CHECK bus_status busp_journal_topic_make(busp_journal *journal,
						  const bus_topic_spec *spec,
						  const busp_topic **ret_topic,
						  bus_error *err);
/* Durable on return; idempotent. */
BUS_MUST_CHECK bus_status busp_journal_seal(busp_journal *journal,
					    const busp_topic *topic, bool sealed,
					    bus_error *err);
/* What lies before new_start (at most the end) goes; durable on return. Chunks are deleted
 * whole: of one that holds new_start too, the start moves and the rest stays unread. */
BUS_MUST_CHECK bus_status busp_journal_trim(busp_journal *journal, busp_log *log,
					    int64_t new_start, bus_error *err);
/* NULL: no such partition. */
busp_log *busp_journal_log(const busp_topic *topic, int32_t partition);

/* ---- writing ---- */

void busp_journal_begin(busp_journal *journal);

/* Where the batch will lie if the commit succeeds. The batch was verified (wire.h); its
 * bytes are borrowed until the commit. */
void busp_journal_append(busp_journal *journal, busp_log *log, const busp_batch *batch,
			 int64_t *ret_base, int64_t *ret_timestamp_ms);

typedef struct busp_producer_answer {
	uint64_t seq;
	bus_str answer; /* the body of the answer, as it was given */
} busp_producer_answer;

typedef enum busp_producer_state {
	BUSP_PRODUCER_NEXT,  /* seq is the one after the last: append it */
	BUSP_PRODUCER_KNOWN, /* appended before: *ret_answer is what was said then */
	BUSP_PRODUCER_AHEAD, /* one before it is missing */
	BUSP_PRODUCER_FORGOTTEN, /* too old, or an unknown producer that does not begin with 1 */
} busp_producer_state;

/* Counts what the open transaction has remembered, too; then the answer is not durable
 * before the commit. */
busp_producer_state busp_journal_producer(busp_journal *journal, uint64_t producer,
					  uint64_t seq, bus_str *ret_answer);
/* In the open transaction: seq is done, with this answer (copied). */
void busp_journal_producer_done(busp_journal *journal, uint64_t producer, uint64_t seq,
				bus_str answer);

/* A group's cursor, for lag tools. In the open transaction. */
void busp_journal_note(busp_journal *journal, bus_str group, const busp_log *log,
		       int64_t offset);

/**
 * busp_journal_commit - make all of it durable; retention is applied on the way
 *
 * Errors: BUS_E_RETRY no space on the disk: nothing of it happened, producers' memory
 * included, and reading goes on. BUS_E_FATAL the disk failed: acknowledge nothing more
 * and end the process. The first call after a RETRY that succeeds ends the trouble.
 */
BUS_MUST_CHECK bus_status busp_journal_commit(busp_journal *journal, bus_error *err);

/* Nothing of it happened. */
void busp_journal_rollback(busp_journal *journal);

/* ---- reading ---- */

typedef enum busp_read {
	BUSP_READ_OK,           /* slices may be none: offset is the end */
	BUSP_READ_OUT_OF_RANGE, /* before the start or past the end */
	BUSP_READ_DAMAGED,      /* the record at *ret_next; those before were given */
} busp_read;

/**
 * busp_journal_read - records from offset on, as slices (wire.h) appended to `to`
 *
 * Up to bytes_max, directories included, but at least one record. Every record was
 * verified. DAMAGED only when offset itself cannot be read: records before the damage are
 * read first.
 * @ret_next: offset behind the last record given; of the damage
 * Errors: BUS_E_FATAL the disk failed.
 */
BUS_MUST_CHECK bus_status busp_journal_read(busp_journal *journal, busp_log *log,
					    int64_t offset, size_t bytes_max, bus_buf *to,
					    int64_t *ret_next, busp_read *ret_read,
					    bus_error *err);

/* The first record whose timestamp is at or past time_ms, or the end. */
BUS_MUST_CHECK bus_status busp_journal_offset_at(busp_journal *journal, busp_log *log,
						 int64_t time_ms, int64_t *ret_offset,
						 bus_error *err);

/* Cursors of all groups, by group, topic, partition. */
typedef struct busp_cursor {
	const char *group;
	const busp_log *log;
	int64_t offset;
	int64_t noted_ms;
} busp_cursor;
BUS_MUST_CHECK bus_status busp_journal_cursors(busp_journal *journal, bus_arena *arena,
					       busp_cursor **ret_cursors,
					       size_t *ret_count, bus_error *err);

#endif
