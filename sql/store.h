/*
 * store.h - what is remembered: the only way to PostgreSQL
 *
 * DESIGN
 * A worker's transaction is one *unit*: fence and advance the positions, remember
 * identities, write the ledger, the dead letters, the state and the outbox, COMMIT. All
 * its statements go out in one libpq pipeline without waiting for an answer, and a second
 * unit may follow before the first is answered. That is safe because every statement
 * fails by itself when what it assumes does not hold, and a failure skips all that comes
 * after it, COMMIT included:
 *
 *   fence      a position whose epoch or next_offset is not the expected one raises
 *              SQLSTATE BL001. The second unit expects the offset the first one leaves, so
 *              it fails with it.
 *   identity   is a plain INSERT. A repeat is a unique violation (23505 on identity_pkey);
 *              the caller then asks bus_store_repeats() which events those are, leaves
 *              them out and submits again. Reading before the transaction is sound, since
 *              nobody but the owner of the epoch inserts identities of its streams.
 *
 * A COMMIT is done when its command tag says COMMIT (ROLLBACK comes as success too). A lost
 * answer is BUS_E_UNKNOWN: the caller connects again and reads its positions, which tell.
 * After any failure of a unit the units behind it are lost too: one recovery for all.
 *
 * Every wait has our own deadline (options.deadline_ms); libpq has none. When it passes,
 * the connection is closed.
 */
#ifndef BUS_STORE_H
#define BUS_STORE_H

#include "core/arena.h"
#include "core/clock.h"
#include "core/digest.h"
#include "core/embed.h"
#include "core/event.h"
#include "core/id.h"
#include "core/row.h"
#include "core/status.h"
#include "core/verdict.h"

typedef struct bus_store bus_store;

/* Units sent and not yet answered; more only hides latency that one already hides. */
#define BUS_UNITS_IN_FLIGHT_MAX 2

/* Raised by the fence: epoch or offset is not what the unit expected. */
#define BUS_SQLSTATE_FENCED "BL001"

/* Queries <table>_load and <table>_store of a worker that is built outside this tree, as
 * "queries/NAME.sql"; static, ended by a zero row. Before the first store is created. */
void bus_store_queries_add(const bus_embedded *files);

typedef struct bus_store_options {
	const char *url;              /* libpq connection string or URI */
	const char *role;             /* SET ROLE after connecting; NULL or "": none */
	const char *application_name; /* "busline worker deploy" */
	int64_t deadline_ms;          /* longest wait for any answer */
	bool durable;                 /* synchronous_commit on */
	const bus_clock *clock;
} bus_store_options;

/* Does not connect. Returns new; NULL when memory is short. */
bus_store *bus_store_create(const bus_store_options *options);
/* Closes at once, without a goodbye that could block. NULL-safe. */
void bus_store_destroy(bus_store *store);

/**
 * bus_store_connect - connect, or connect again
 *
 * An open connection is closed first; units in flight are forgotten. Sets role,
 * search_path and server-side limits, forgets what was prepared.
 *
 * Blocks:  up to the deadline.
 * Errors:  BUS_E_RETRY not reachable or starting up; BUS_E_FATAL refused (password, no such
 *	database or role, read-only server, fsync or full_page_writes off, schema missing or
 *	of another version).
 */
BUS_MUST_CHECK bus_status bus_store_connect(bus_store *store, bus_error *err);
bool bus_store_connected(const bus_store *store);
/* Closes the connection; for tests and for recovery. */
void bus_store_disconnect(bus_store *store);

/* ---- positions ---- */

/* One topic-partition as PostgreSQL knows it. */
typedef struct bus_stream {
	int32_t stream; /* its number, what narrow keys are made of */
	int32_t partition;
	int64_t epoch;
	int64_t next_offset; /* everything before is done, nothing from here on is */
	int64_t outbox_seq;  /* last number given to an outbox row of this stream */
	bus_digest head;     /* hash of its newest ledger row; zeros before the first */
	int32_t idle_assignments; /* since its last progress, this one counted */
	int64_t tried_offset; /* of bus_store_attempt_event(); before next_offset: it went well */
} bus_stream;

/**
 * bus_store_assign - become the owner of partitions: epoch = epoch + 1 for each
 *
 * A partition seen for the first time gets a row with next_offset 0.
 *
 * @ret_streams: room for count
 * Errors: BUS_E_RETRY; BUS_E_FATAL.
 */
BUS_MUST_CHECK bus_status bus_store_assign(bus_store *store, const char *topic,
					   const int32_t *partitions, size_t count,
					   bus_stream *ret_streams, bus_error *err);

/**
 * bus_store_positions - read the rows again, after a failure
 *
 * @streams: in: stream numbers; out: everything else. The caller compares epochs: another
 *	one means that somebody else owns the partition now.
 */
BUS_MUST_CHECK bus_status bus_store_positions(bus_store *store, bus_stream *streams,
					      size_t count, bus_error *err);

/* Leaves in order: the assignments so far have not ended in the middle of an event. */
BUS_MUST_CHECK bus_status bus_store_leave(bus_store *store, const bus_stream *streams,
					  size_t count, bus_error *err);

/* ---- units ---- */

typedef struct bus_unit_position {
	const bus_stream *expected; /* stream, epoch, next_offset as before the unit */
	int64_t next_offset;        /* as after it */
	int64_t outbox_seq;
	bus_digest head;
} bus_unit_position;

/* One delivery that counts (not a repeat). Texts absent where the event has none or could
 * not be decoded. */
typedef struct bus_ledger_row {
	int32_t stream;
	int64_t offset;
	bool identified;   /* source and id could be read: identity is remembered */
	bus_uuid identity; /* bus_identity_key(source, id) */
	bus_digest digest; /* bus_record_digest(); its first 16 bytes go to identity */
	const bus_event *event;
	const bus_record *record;
	int64_t record_time_ms; /* the broker's timestamp, -1 if none */
	bus_verdict verdict;
	bus_str reason;  /* of IGNORED, REJECTED */
	bus_digest hash; /* of the chain, see docs/architecture.md */
} bus_ledger_row;

typedef struct bus_dead_letter {
	const bus_ledger_row *row;
	bus_cause cause;
	bus_str detail; /* locations, rule, what to do */
} bus_dead_letter;

/* Redrives of one letter without success before an operator must insist. */
#define BUS_REDRIVES_MAX 3

typedef enum bus_letter_state {
	BUS_LETTER_OPEN,
	BUS_LETTER_REDRIVEN, /* folded after all */
	BUS_LETTER_DISCARDED,
} bus_letter_state;

/* What became of a dead letter that is in the table already. */
typedef struct bus_letter_change {
	int32_t stream;
	int64_t offset;
	bus_letter_state state;
	bus_cause cause; /* NONE: as it was */
	bus_str detail;  /* absent: as it was */
	bool failed;     /* one more redrive without success */
	bool folded;     /* then the fold's verdict */
	bus_verdict verdict;
	bus_str verdict_reason;
	bus_str who, why;
	int64_t act_offset; /* the event that did it, of the same stream */
	bus_str edited;     /* JSON instead of its data; absent: as it was */
} bus_letter_change;

typedef enum bus_hold_state {
	BUS_HOLD_RETRYING, /* its next attempt has a timer */
	BUS_HOLD_DRAINING, /* its head works again */
	BUS_HOLD_HELD,     /* the budget is spent */
	BUS_HOLD_FREE,     /* no row */
} bus_hold_state;

/* A key whose events wait behind its head. */
typedef struct bus_held_key {
	int32_t stream;
	bus_str tenant, subject; /* subject never absent */
	int64_t head;            /* offset */
	int32_t attempts;        /* of the head */
	bus_hold_state state;
	bus_str error;    /* absent: as it was */
	int64_t delay_ms; /* until the next attempt; BUS_INT_NULL: none */
} bus_held_key;

typedef enum bus_outbox_kind { BUS_OUTBOX_FOLLOW_UP, BUS_OUTBOX_REROUTE } bus_outbox_kind;

typedef struct bus_outbox_row {
	int32_t stream; /* of the cause */
	int64_t seq;    /* stream.outbox_seq + 1, + 2, ... without a gap */
	bus_outbox_kind kind;
	bus_str topic;
	bus_record record;
} bus_outbox_row;

typedef struct bus_unit_write {
	const bus_row_type *type;
	const void *const *rows; /* structs of that type, one per key, sorted by key */
	size_t count;
} bus_unit_write;

/* Delays are bounded, so that every due time is one that PostgreSQL can hold: 100 years. */
#define BUS_TIMER_DELAY_MS_MAX INT64_C(3155760000000)

/* A timer of the cause's key is set (again) or cancelled; one per key and name in a unit. */
typedef struct bus_timer_write {
	int32_t stream;
	bus_str name;
	bool cancelled;
	int64_t delay_ms; /* 0 to BUS_TIMER_DELAY_MS_MAX */
	const bus_event *cause;
} bus_timer_write;

/* An incident about the cause's key is opened (or counted) or closed; one per key and kind in
 * a unit. */
typedef struct bus_incident_write {
	int32_t stream;
	int64_t offset; /* of the cause */
	const char *kind;
	bool closed;
	bus_str text; /* detail, or why it is closed */
	const bus_event *cause;
} bus_incident_write;

/* Names one setting of a timer: setting it again makes another. */
typedef struct bus_timer_id {
	int64_t xid; /* the transaction that set it */
	int64_t number;
} bus_timer_id;

typedef struct bus_unit {
	const bus_unit_position *positions;
	size_t position_count;
	const bus_ledger_row *ledger;
	size_t ledger_count;
	const bus_dead_letter *dead_letters;
	size_t dead_letter_count;
	const bus_unit_write *writes;
	size_t write_count;
	const bus_outbox_row *outbox;
	size_t outbox_count;
	const bus_letter_change *letter_changes;
	size_t letter_change_count;
	const bus_held_key *held_keys;
	size_t held_key_count;
	const bus_timer_write *timers;
	size_t timer_count;
	const bus_incident_write *incidents;
	size_t incident_count;
	const bus_timer_id *fired; /* of the clock: they go, or the unit fails with it */
	size_t fired_count;
} bus_unit;

/**
 * bus_store_submit - send one unit; do not wait for its answer
 *
 * @unit: borrowed for the call only: everything is copied into the connection's buffer
 *
 * Blocks:  while the server does not read, up to the deadline.
 * Errors:  BUS_E_UNKNOWN the connection broke while sending; BUS_E_FATAL more than
 *	BUS_UNITS_IN_FLIGHT_MAX, or a bug.
 */
BUS_MUST_CHECK bus_status bus_store_submit(bus_store *store, const bus_unit *unit,
					   bus_error *err);

/* Units sent and not yet answered. */
size_t bus_store_in_flight(const bus_store *store);

/**
 * bus_store_await - the answer of the oldest unit
 *
 * @timeout_ms: 0 looks whether it is there; -1 the deadline
 * @ret_done: false if the wait ended without an answer (only for timeout_ms >= 0)
 *
 * Errors:  any but BUS_E_RETRY, and then all units in flight are lost. BUS_E_ABORT: rolled
 *	back (fenced, repeats, deadlock, serialisation, shutdown); err.sqlstate and
 *	err.constraint tell. BUS_E_REJECT: the data of some event is refused by a
 *	constraint or type. BUS_E_UNKNOWN: it may be committed.
 */
BUS_MUST_CHECK bus_status bus_store_await(bus_store *store, int timeout_ms,
					  bool *ret_done, bus_error *err);

/* Was it the repeat of an identity that ended the unit? */
bool bus_store_is_repeat(const bus_error *err);

/* ---- reads of the owner of an epoch, outside a transaction ---- */

typedef struct bus_known_identity {
	bool known;
	int64_t offset;     /* of the delivery that counts */
	uint8_t digest[16]; /* first half of its bus_record_digest() */
} bus_known_identity;

/* Which of these are remembered? Arrays of count; units in flight are answered first. */
BUS_MUST_CHECK bus_status bus_store_repeats(bus_store *store, const int32_t *streams,
					    const bus_uuid *identities, size_t count,
					    bus_known_identity *ret_known,
					    bus_error *err);

/**
 * bus_store_load - the rows of these keys
 *
 * @keys: structs of the type with their key columns set
 * @ret_rows: array of *ret_count structs in the arena, in no promised order; keys without
 *	a row are not among them
 *
 * May be called with units in flight: it is answered after them.
 */
BUS_MUST_CHECK bus_status bus_store_load(bus_store *store, const bus_row_type *type,
					 const void *const *keys, size_t count,
					 bus_arena *arena, void **ret_rows,
					 size_t *ret_count, bus_error *err);

/* ---- keys in quarantine; for the owner of the epoch, with no unit in flight ---- */

/* May the failure of a unit be the fault of one of its events, and pass? Deadlock,
 * serialisation, time-outs, memory; not what befalls server, connection or fence. */
bool bus_store_may_pass(const bus_error *err);

/* All held keys of these streams; texts in the arena. */
BUS_MUST_CHECK bus_status bus_store_held_keys(bus_store *store, const int32_t *streams,
					      size_t count, bus_arena *arena,
					      bus_held_key **ret_keys, size_t *ret_count,
					      bus_error *err);

/* A dead letter as it is stored; all in the arena. */
typedef struct bus_letter {
	int64_t offset;
	bus_cause cause;
	bus_letter_state state;
	int64_t redrives; /* without success */
	bus_str tenant, subject;
	bus_record record;
	int64_t record_time_us; /* BUS_TIME_NONE: not known */
	bus_str edited;
	int64_t next_offset; /* the one that waits behind it, if it was read with its key; -1 */
} bus_letter;

/* One dead letter; *ret_letter is NULL if there is none. */
BUS_MUST_CHECK bus_status bus_store_letter(bus_store *store, int32_t stream,
					   int64_t offset, bus_arena *arena,
					   bus_letter **ret_letter, bus_error *err);

/* The first of those that wait for a key, its head included, in order: at most count_max, and
 * beyond the first no more than bytes_max. */
BUS_MUST_CHECK bus_status bus_store_letters(bus_store *store, const bus_held_key *key,
					    size_t count_max, size_t bytes_max,
					    bus_arena *arena, bus_letter **ret_letters,
					    size_t *ret_count, bus_error *err);

/**
 * bus_store_attempt_head - count a try of a key's head before it is made
 * bus_store_attempt_event - the same of the event at the stream's position
 *
 * Committed by itself: whoever does not live to tell has used up a try all the same.
 *
 * @stream: as stored
 * @ret_attempts: this one counted
 * Errors: BUS_E_ABORT with BUS_SQLSTATE_FENCED: another one owns the stream; those of a read.
 */
BUS_MUST_CHECK bus_status bus_store_attempt_head(bus_store *store,
						 const bus_stream *stream,
						 const bus_held_key *key,
						 int32_t *ret_attempts, bus_error *err);
BUS_MUST_CHECK bus_status bus_store_attempt_event(bus_store *store,
						  const bus_stream *stream,
						  int64_t offset, int32_t *ret_attempts,
						  bus_error *err);

/* ---- timers, for the clock ---- */

/* PostgreSQL's clock in milliseconds, and from which transaction on the next look must begin:
 * every timer set by an older one can be seen by a look that comes after this. */
BUS_MUST_CHECK bus_status bus_store_clock_now(bus_store *store, int64_t *ret_wall_ms,
					      int64_t *ret_xmin, bus_error *err);

/* A timer as a look finds it. */
typedef struct bus_timer_seen {
	bus_timer_id id;
	int64_t delay_ms;
	int64_t due_ms; /* by PostgreSQL's clock */
} bus_timer_seen;

/**
 * bus_store_timer_look - timers set by transactions from xmin on, in order of their ids
 *
 * @after: the last of the page before; zero for the first
 */
BUS_MUST_CHECK bus_status bus_store_timer_look(bus_store *store, int64_t xmin,
					       bus_timer_id after, size_t rows_max,
					       bus_arena *arena,
					       bus_timer_seen **ret_seen,
					       size_t *ret_count, bus_error *err);

/* What the event of a timer is made of. */
typedef struct bus_timer {
	bus_timer_id id;
	int64_t due_us;
	int64_t cause_time_us;
	bus_str topic, tenant, subject, name;
	bus_str cause_source, cause_id;
	bus_str correlationid, traceparent, actor;
} bus_timer;

/* Those of these timers that are still set, in no promised order; in the arena. */
BUS_MUST_CHECK bus_status bus_store_timer_load(bus_store *store, const bus_timer_id *ids,
					       size_t count, bus_arena *arena,
					       bus_timer **ret_timers, size_t *ret_count,
					       bus_error *err);

/* The numbers of all timers there are, sorted. */
BUS_MUST_CHECK bus_status bus_store_timer_numbers(bus_store *store, bus_arena *arena,
						  int64_t **ret_numbers,
						  size_t *ret_count, bus_error *err);

/* A sign of life of the clock: one moment by two clocks. */
typedef struct bus_clock_beat {
	char boot_id[64]; /* of the machine; "": there was none yet */
	int64_t boot_ms;  /* since it booted */
	int64_t wall_ms;  /* by PostgreSQL's clock */
	int64_t xmin;     /* timers of older transactions were known */
} bus_clock_beat;

BUS_MUST_CHECK bus_status bus_store_clock_last(bus_store *store, bus_clock_beat *ret_beat,
					       bus_error *err);

/**
 * bus_store_clock_beat - a sign of life, and new due times after a step of PostgreSQL's clock
 *
 * @clock: the clock's own stream; its epoch is compared
 *
 * Errors: BUS_E_RETRY, among others when a worker holds one of the rows for long;
 * BUS_E_ABORT with BUS_SQLSTATE_FENCED: another clock has taken over.
 */
BUS_MUST_CHECK bus_status bus_store_clock_beat(bus_store *store, const bus_stream *clock,
					       const bus_clock_beat *beat,
					       const bus_timer_seen *corrected,
					       size_t count, bus_error *err);

/* ---- incidents ---- */

typedef struct bus_incident {
	const char *kind; /* "out-of-range", "offset-gap", ...: static, documented in docs/ */
	const char *topic;
	int32_t partition;
	int64_t offset; /* the position concerned */
	bus_str detail; /* cause and what to do */
} bus_incident;

/* Opens it, or counts one more if the same kind is open for the same partition. */
BUS_MUST_CHECK bus_status bus_store_incident(bus_store *store,
					     const bus_incident *incident,
					     bus_error *err);

/* ---- leases, and the outbox, for relays ---- */

typedef struct bus_lease {
	int64_t epoch; /* ours; 0: we do not hold it */
	char holder[64];
	int64_t left_ms; /* until it may be taken from its holder */
} bus_lease;

/* Takes the lease if it is free, expired or ours; renews it if ours. ret_lease->epoch is 0
 * when another one holds it. */
BUS_MUST_CHECK bus_status bus_store_lease(bus_store *store, const char *name,
					  const char *holder, int64_t lease_ms,
					  int64_t epoch, bus_lease *ret_lease,
					  bus_error *err);

/* Gives it back at once. */
BUS_MUST_CHECK bus_status bus_store_lease_release(bus_store *store, const char *name,
						  int64_t epoch, bus_error *err);

/* Streams are divided into shards, and the shards among the relays that live. */
#define BUS_RELAY_SHARDS 16

static inline int
bus_relay_shard_of(int32_t stream)
{
	return stream & (BUS_RELAY_SHARDS - 1);
}

typedef uint32_t bus_relay_shards; /* a set: bit n is shard n */

typedef struct bus_relay_part {
	int64_t epochs[BUS_RELAY_SHARDS]; /* of the shards that are ours; 0: not ours */
	int share;                        /* how many of them should be ours */
	int64_t others_ms; /* until the first other relay may be dead; INT64_MAX: none */
} bus_relay_part;

/**
 * bus_store_relay_renew - the heartbeat of a relay: what is its part of the outbox?
 *
 * @holder: names the process, and no other one ever
 * @lease_ms: without another call for this long, its shards go to others
 * @given: shards of ours that are given up now; their rows are settled and marked
 *
 * Takes shards that nobody alive has, up to its share. A shard that was ours and comes back
 * under another epoch has been another relay's in between.
 */
BUS_MUST_CHECK bus_status bus_store_relay_renew(bus_store *store, const char *holder,
						int64_t lease_ms, bus_relay_shards given,
						bus_relay_part *ret_part, bus_error *err);

/* Gives everything back at once. */
BUS_MUST_CHECK bus_status bus_store_relay_leave(bus_store *store, const char *holder,
						bus_error *err);

typedef struct bus_outbox_cursor {
	int32_t stream;
	int64_t seq; /* the last one read */
} bus_outbox_cursor;

typedef struct bus_outbox_mark {
	int32_t stream;
	int64_t seq;   /* all up to here is in its topic */
	int64_t epoch; /* of the stream's shard, when it was read */
} bus_outbox_mark;

typedef struct bus_outbox_range {
	bus_relay_shards shards; /* rows of these only */
	const bus_outbox_cursor
		*cursors; /* where this relay has read to; a stream that is not
					   * among them starts at its stored mark */
	size_t cursor_count;
	size_t rows_max;
} bus_outbox_range;

/* Bytes of one read: thousands of rows of usual size, or sixty of the largest; the relay
 * has two in memory, one that is published and one that waits. */
#define BUS_OUTBOX_READ_BYTES_MAX (16 * 1024 * 1024)

/**
 * bus_store_outbox_read - rows of some shards, up to BUS_OUTBOX_READ_BYTES_MAX
 *
 * @ret_rows: by stream, then seq: each stream's without a gap; in the arena
 */
BUS_MUST_CHECK bus_status bus_store_outbox_read(bus_store *store,
						const bus_outbox_range *range,
						bus_arena *arena,
						bus_outbox_row **ret_rows,
						size_t *ret_count, bus_error *err);

/**
 * bus_store_outbox_mark - these are in their topics
 *
 * One statement for all streams. A mark of another epoch than its shard has is left out.
 *
 * @ret_lost: the shards of those: they are another relay's now
 */
BUS_MUST_CHECK bus_status bus_store_outbox_mark(bus_store *store,
						const bus_outbox_mark *marks,
						size_t count, bus_relay_shards *ret_lost,
						bus_error *err);

/* Lets writers go on in the next outbox table and empties those that are published whole, by
 * whatever relay; waits for a lock no longer than a read takes. ret_emptied counts tables
 * truncated. */
BUS_MUST_CHECK bus_status bus_store_outbox_rotate(bus_store *store, int *ret_emptied,
						  bus_error *err);

/* LISTEN on a channel, again after each connect. */
BUS_MUST_CHECK bus_status bus_store_listen(bus_store *store, const char *channel,
					   bus_error *err);

/* Waits for a notification or the time-out. */
BUS_MUST_CHECK bus_status bus_store_wait(bus_store *store, int timeout_ms,
					 bool *ret_notified, bus_error *err);

/* ---- reading for people ---- */

/* A result as text, row by row; belongs to its arena. */
typedef struct bus_table {
	size_t column_count;
	size_t row_count;
	const bus_str *columns; /* names */
	const bool *numeric;    /* of each column: align right, no quotes in JSON */
	const bool *json;       /* of each column: is JSON itself */
	const bus_str *cells;   /* row_count * column_count; absent is NULL */
} bus_table;

/**
 * bus_store_read - run a query of sql/queries by its name
 *
 * @query: file name without .sql
 * @params: as text; absent is NULL
 *
 * Errors: BUS_E_RETRY; BUS_E_REJECT a parameter is refused (bad number, ...); BUS_E_FATAL
 * no such query, not allowed for the role.
 */
BUS_MUST_CHECK bus_status bus_store_read(bus_store *store, const char *query,
					 const bus_str *params, size_t count,
					 bus_arena *arena, bus_table *ret_table,
					 bus_error *err);

/* One statement of a person's own (`busline sql`), in a read-only transaction. */
BUS_MUST_CHECK bus_status bus_store_query(bus_store *store, const char *sql,
					  bus_arena *arena, bus_table *ret_table,
					  bus_error *err);

/* ---- migrations ---- */

typedef struct bus_migration {
	int number;
	const char *name;   /* "0001_positions" */
	const char *sha256; /* hex, of the file embedded in this binary */
	bool applied;
	char applied_at[BUS_TIME_TEXT_MAX];
} bus_migration;

/**
 * bus_store_migrate - bring the schema up to this binary's version
 *
 * Connects by itself without the role and version checks of connect. Under an advisory
 * lock, each migration in a transaction of its own with its checksum.
 *
 * @plan_only: change nothing, tell what would be done
 * @ret_migrations: all of them, borrowed until the next call
 *
 * Errors:  BUS_E_FATAL a migration failed (its number, statement, SQLSTATE), an applied one
 *	has another checksum, or the database is newer than this binary. BUS_E_RETRY.
 */
BUS_MUST_CHECK bus_status bus_store_migrate(bus_store *store, bool plan_only,
					    const bus_migration **ret_migrations,
					    size_t *ret_count, bus_error *err);

#endif
