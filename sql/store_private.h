/*
 * store_private.h - what the files of the store share
 *
 * DESIGN
 * The connection is always non-blocking and, once set up, always in pipeline mode. What is
 * sent up to one Sync is a *segment*: a unit, or a read. Segments wait in a short ring, in
 * the order sent; answers are put into the oldest that is not complete. So a read may follow
 * units in flight: it is answered after them, and what became of them stays in the ring until
 * bus_store_await() asks.
 */
#ifndef BUS_STORE_PRIVATE_H
#define BUS_STORE_PRIVATE_H

#include <libpq-fe.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/embed.h"
#include "sql/store.h"

#define BUSP_ORIGIN "pg"

/* Longest parameter list: a ledger row; a row type may be wider. */
#define BUSP_PARAMS_MAX 32
/* Units in flight and one read behind them. */
#define BUSP_SEGMENTS_MAX (BUS_UNITS_IN_FLIGHT_MAX + 1)
#define BUSP_QUERY_NAME_MAX 64
/* Statements whose names are kept: a unit's, each prepared before, of 12 tables. */
#define BUSP_STATEMENTS_MAX 48
#define BUSP_ARENA_CHUNK (64u * 1024u)

/* OIDs of pg_type, fixed since ever; libpq installs no header with them. */
enum {
	BUSP_OID_BOOL = 16,
	BUSP_OID_BYTEA = 17,
	BUSP_OID_INT8 = 20,
	BUSP_OID_INT2 = 21,
	BUSP_OID_INT4 = 23,
	BUSP_OID_TEXT = 25,
	BUSP_OID_OID = 26,
	BUSP_OID_JSON = 114,
	BUSP_OID_FLOAT4 = 700,
	BUSP_OID_FLOAT8 = 701,
	BUSP_OID_TIMESTAMPTZ = 1184,
	BUSP_OID_NUMERIC = 1700,
	BUSP_OID_UUID = 2950,
	BUSP_OID_JSONB = 3802,
};

/* Microseconds from 1970, ours, to 2000, PostgreSQL's. */
#define BUSP_EPOCH_SHIFT_US INT64_C(946684800000000)

/* ---- params.c: parameters in binary ---- */

typedef struct busp_params {
	size_t count;
	bool absent[BUSP_PARAMS_MAX];
	bus_buf bufs[BUSP_PARAMS_MAX];
} busp_params;

void busp_params_fini(busp_params *params);
void busp_params_clear(busp_params *params);
void busp_param_int8(busp_params *params, int64_t value);
void busp_param_int4(busp_params *params, int32_t value);
void busp_param_str(busp_params *params, bus_str text);
/* Begins an array of count >= 1 elements of this type; they follow with busp_put_*(). */
bus_buf *busp_param_array(busp_params *params, uint32_t element_oid, size_t count);
/* The array begun last holds nothing but NULL: it is sent as NULL, which unnest() in a select
 * list fills up to the length of the others. */
void busp_param_nothing(busp_params *params);
/* The array of one column of row structs. */
void busp_param_column(busp_params *params, const bus_column *column,
		       const void *const *rows, size_t count);

void busp_put_be32(char *at, uint32_t value);
void busp_put_be64(char *at, uint64_t value);
uint32_t busp_get_be32(const char *at);
uint64_t busp_get_be64(const char *at);
void busp_put_str(bus_buf *array, bus_str text);
void busp_put_int8(bus_buf *array, int64_t value);
void busp_put_int4(bus_buf *array, int32_t value);
/* BUS_INT_NULL is NULL. */
void busp_put_time(bus_buf *array, int64_t time_us);
/* Text that PostgreSQL takes whatever came in: bytes that are no UTF-8, and NUL, become
 * U+FFFD. The raw bytes are stored beside it. */
bus_str busp_text_safe(bus_str text, bus_arena *arena);

/* ---- error.c: SQLSTATE to status ---- */

typedef enum busp_context {
	BUSP_IN_UNIT,      /* a transaction that is rolled back as a whole */
	BUSP_IN_STATEMENT, /* one statement of the platform's own */
	BUSP_IN_QUESTION,  /* a person's words or parameters */
	BUSP_IN_CONNECT,
} busp_context;

bus_status busp_status_of(const char *sqlstate, busp_context context);
/* Fills err from a failed result; what: the query's name. */
bus_status busp_error_result(bus_error *err, const PGresult *result, busp_context context,
			     const char *what);
/* "cached plan must not change", "no such prepared statement": prepare again. */
bool busp_sqlstate_is_stale(const char *sqlstate);

/* ---- the store ---- */

typedef struct busp_segment {
	bool unit;
	busp_context context;
	size_t sent;      /* statements, the preparing ones counted too */
	size_t answered;  /* statements whose last result was read */
	bool prepares;    /* statements are prepared in it */
	bool in_answer;   /* a result was read, the NULL that ends it was not */
	size_t commit_at; /* which statement is COMMIT; 0: none, or not sent yet */
	bool committed;
	bool complete;   /* its Sync was answered, or the connection is gone */
	bus_error error; /* what failed first */
	PGresult *rows;  /* of its last statement that returned rows */
	const char *whats[BUSP_STATEMENTS_MAX]; /* name of each statement, for error texts */
} busp_segment;

struct bus_store {
	char *url;
	char *role;
	char *application_name;
	int64_t deadline_ms;
	bool durable;
	const bus_clock *clock;

	PGconn *conn;
	unsigned generation; /* of prepared statements; part of their names */
	unsigned *prepared;  /* per embedded query: generation it was prepared in */
	bool stale_once; /* preparing again has been tried, nothing has worked since */

	busp_segment segments[BUSP_SEGMENTS_MAX];
	size_t segment_first;
	size_t segment_count;

	busp_params params;
	bus_arena *arena; /* of one call */
	bus_migration *migrations;
	size_t migration_count;
};

extern const bus_embedded bus_sql_files[];

/* ---- prepare.c: the table of queries ---- */

/* A number for busp_query_file; SIZE_MAX if there is no queries/<name>.sql. */
size_t busp_query_find(const char *name);
size_t busp_query_count(void);
const bus_embedded *busp_query_file(size_t query);
/* All statements count as not prepared: another connection, or a stale one. */
void busp_prepared_forget(bus_store *store);
bool busp_is_prepared(const bus_store *store, size_t query);
void busp_prepared_name(const bus_store *store, size_t query,
			char ret_name[BUSP_QUERY_NAME_MAX]);

/* ---- connection.c: open, wait, close ---- */

/* Opens the connection, not yet in pipeline mode. */
BUS_MUST_CHECK bus_status busp_open(bus_store *store, bus_error *err);
int64_t busp_deadline(const bus_store *store);
/* Waits until the socket can be read (or written, if asked for). */
typedef enum busp_waited {
	BUSP_READY,
	BUSP_TIMED_OUT,
	BUSP_INTERRUPTED,
	BUSP_BROKEN
} busp_waited;
busp_waited busp_wait(bus_store *store, bool write, int64_t deadline_mono_ms);
/* One statement outside pipeline mode, waited for; ret_result is new. */
BUS_MUST_CHECK bus_status busp_plain(bus_store *store, const char *query,
				     const busp_params *params, int64_t deadline_ms,
				     PGresult **ret_result, bus_error *err);
/* Sends what is queued; restarts the deadline whenever the server takes something. */
BUS_MUST_CHECK bus_status busp_flush(bus_store *store, bus_error *err);
/* Reads the result of a plain statement. */
BUS_MUST_CHECK bus_status busp_plain_result(bus_store *store, const char *what,
					    int64_t deadline_ms, PGresult **ret_result,
					    bus_error *err);

/* ---- migrate.c ---- */

/* Fills store->migrations from the embedded files. */
BUS_MUST_CHECK bus_status busp_migrations_list(bus_store *store, bus_error *err);

/* ---- session.c: what a connection is set to, and must be ---- */

BUS_MUST_CHECK bus_status busp_session_begin(bus_store *store, bus_error *err);

/* ---- pipeline.c: segments ---- */

/* NULL when the ring is full or the store is not connected; then err is filled. */
busp_segment *busp_segment_begin(bus_store *store, busp_context context, bus_error *err);
/* Makes the query known to the connection, if it is not. All of a segment's come before its
 * first statement: behind a failed one they would be skipped. */
BUS_MUST_CHECK bus_status busp_segment_prepare(bus_store *store, busp_segment *segment,
					       const char *query, bus_error *err);
typedef struct busp_question {
	const char *query;
	const char *sql;           /* instead of query: a person's own words */
	const busp_params *params; /* or NULL */
	bool as_text;              /* parameters and answer; else binary */
} busp_question;

/* Queues one statement. */
BUS_MUST_CHECK bus_status busp_segment_send(bus_store *store, busp_segment *segment,
					    const busp_question *question,
					    bus_error *err);
/* Queues the Sync and sends everything. */
BUS_MUST_CHECK bus_status busp_segment_end(bus_store *store, bus_error *err);
/* Sends everything and waits until all statements so far are answered: crash points. */
BUS_MUST_CHECK bus_status busp_segment_catch_up(bus_store *store, busp_segment *segment,
						bus_error *err);
/* Waits until the segment is complete. When the wait ends before: with last the connection is
 * given up, which completes it with an error; without, false. */
bool busp_segment_wait(bus_store *store, busp_segment *segment, int64_t wait_ms,
		       bool last);
/* The oldest segment of the ring; NULL if there is none. */
busp_segment *busp_segment_oldest(bus_store *store);
/* Forgets the newest segment, a read that is complete. */
void busp_segment_pop(bus_store *store);
/* Forgets the oldest. */
void busp_segment_shift(bus_store *store);
void busp_segments_clear(bus_store *store);
/* The connection is gone: nothing in flight will be answered. Closes it. */
void busp_lost(bus_store *store, const char *why);

/* Statements of one segment, waited for; the rows of the last that has any, new. err must not
 * be NULL. */
BUS_MUST_CHECK bus_status busp_ask_all(bus_store *store, busp_context context,
				       const busp_question *questions, size_t count,
				       PGresult **ret_rows, bus_error *err);
/* One statement of ours with store->params; once more if it had to be prepared again.
 * ret_rows may be NULL. */
BUS_MUST_CHECK bus_status busp_ask(bus_store *store, const char *query,
				   PGresult **ret_rows, bus_error *err);

/* ---- cells of binary results ---- */

int64_t busp_cell_int8(const PGresult *rows, int row, int column);
int32_t busp_cell_int4(const PGresult *rows, int row, int column);
/* Into the arena; absent if NULL. */
bus_str busp_cell_str(const PGresult *rows, int row, int column, bus_arena *arena);

/* ---- lease.c ---- */

/* Their numbers, as int[]. */
void busp_param_shards(busp_params *params, bus_relay_shards shards);

/* ---- unit_rows.c ---- */

void busp_unit_positions(busp_params *params, const bus_unit *unit);
/* False if no row of the unit is identified: nothing to insert. */
bool busp_unit_identities(busp_params *params, const bus_unit *unit);
void busp_unit_ledger(busp_params *params, const bus_unit *unit, bus_arena *arena);
void busp_unit_dead_letters(busp_params *params, const bus_unit *unit, bus_arena *arena);
void busp_unit_outbox(busp_params *params, const bus_unit *unit, bus_arena *arena);

/* ---- quarantine.c ---- */

/* Prepares and sends what a unit changes in dead letters and held keys. */
/* ---- timer.c: a unit's timers and incidents ---- */

BUS_MUST_CHECK bus_status busp_timer_prepare(bus_store *store, busp_segment *segment,
					     const bus_unit *unit, bus_error *err);
BUS_MUST_CHECK bus_status busp_timer_send(bus_store *store, busp_segment *segment,
					  const bus_unit *unit, bus_error *err);

BUS_MUST_CHECK bus_status busp_quarantine_prepare(bus_store *store, busp_segment *segment,
						  const bus_unit *unit, bus_error *err);
BUS_MUST_CHECK bus_status busp_quarantine_send(bus_store *store, busp_segment *segment,
					       const bus_unit *unit, bus_error *err);

#endif
