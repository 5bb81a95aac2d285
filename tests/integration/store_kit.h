/*
 * store_kit.h - what the tests of the store share: a server, a schema, units of one's own
 */
#ifndef BUS_TEST_STORE_KIT_H
#define BUS_TEST_STORE_KIT_H

#include "core/id.h"
#include "sql/store.h"
#include "tests/support/pg_cluster.h"
#include "tests/support/suite.h"

/* Fails the case with the error's text. */
#define KIT_OK(call) kit_expect((call), BUS_OK, &kit_err, #call, __FILE__, __LINE__)
#define KIT_IS(call, status)                                                             \
	kit_expect((call), (status), &kit_err, #call, __FILE__, __LINE__)

extern pg_cluster *kit_cluster;
extern bus_error kit_err; /* of the last call */
extern bus_arena *kit_arena;

bool kit_expect(bus_status got, bus_status wanted, const bus_error *err, const char *call,
		const char *file, int line);
/* Forgets the error before a call: &kit_err. */
bus_error *kit_error(void);

/* Server, and database "kit" with the schema; for bus_suite. */
int kit_setup(void);
int kit_teardown(void);

/* A store on database "kit"; connected, as this role. Ends the program if it cannot. */
bus_store *kit_store(const char *role);
bus_store *kit_store_deadline(const char *role, int64_t deadline_ms);
/* One statement (or several without result) as the superuser, as text: its first cell, ""
 * for NULL and for no row; "!" and the SQLSTATE for an error. Borrowed until the 4th next call. */
const char *kit_sql(const char *fmt, ...) BUS_PRINTF(1, 2);
int64_t kit_int(const char *fmt, ...) BUS_PRINTF(1, 2);
/* The same as another role; settings of the session in front of it. */
const char *kit_sql_as(const char *role, const char *tenant, const char *sql);
/* Asks until the first cell is "t"; false after 10 s. */
bool kit_until(const char *sql);
/* Server process of the store's connection. */
int kit_backend(const char *application_name);

/* After a restart of the server. */
void kit_reconnect(void);
/* Behind the store's back, on its connection: no prepared statement is left; the one for
 * COMMIT says ROLLBACK. */
void kit_deallocate_all(bus_store *store);
void kit_swap_commit(bus_store *store);
/* A socket that takes connections and never answers; close it. */
int kit_silent_port(int *ret_port);

#define KIT_ROWS_MAX 64

/* A unit of events of one stream; points into itself. */
typedef struct kit_unit {
	bus_unit unit;
	bus_stream expected;
	bus_unit_position position;
	bus_ledger_row ledger[KIT_ROWS_MAX];
	bus_event events[KIT_ROWS_MAX];
	bus_record records[KIT_ROWS_MAX];
	bus_header headers[KIT_ROWS_MAX][2];
	char ids[KIT_ROWS_MAX][BUS_UUID_TEXT_LEN + 1];
} kit_unit;

/* Fresh events from where the stream is; moves *stream to where it will be after it. */
void kit_unit_make(kit_unit *unit, bus_stream *stream, size_t events, const char *tenant);
/* A stream of its own, of partition 0 of a new topic, owned by the store. */
bus_stream kit_stream(bus_store *store);

#endif
