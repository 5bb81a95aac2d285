/*
 * test_store_faults.c - servers that freeze, end connections, roll back, refuse
 */
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/integration/store_kit.h"

static int64_t
now_ms(void)
{
	return bus_clock_mono_ms(bus_clock_system());
}

/* A second session that holds something, until it is closed. */
static PGconn *
holder(const char *sql)
{
	PGconn *conn = PQconnectdb(pg_cluster_url(kit_cluster, "kit"));
	PGresult *result = PQexec(conn, sql);
	CU_ASSERT_NOT_EQUAL(PQresultStatus(result), PGRES_FATAL_ERROR);
	PQclear(result);
	return conn;
}

static void
test_frozen(void)
{
	bus_store *store = kit_store_deadline("busline_worker", 500);
	bus_stream stream = kit_stream(store);
	kit_unit units[2];
	bool done = false;
	int backend = kit_backend("kit");
	CU_ASSERT_EQUAL_FATAL(kill(backend, SIGSTOP), 0);
	kit_unit_make(&units[0], &stream, 2, "acme");
	kit_unit_make(&units[1], &stream, 2, "acme");
	KIT_OK(bus_store_submit(store, &units[0].unit, kit_error()));
	KIT_OK(bus_store_submit(store, &units[1].unit, kit_error()));
	int64_t began = now_ms();
	KIT_OK(bus_store_await(store, 50, &done, kit_error()));
	CU_ASSERT_FALSE(done);
	KIT_IS(bus_store_await(store, -1, &done, kit_error()), BUS_E_UNKNOWN);
	CU_ASSERT_TRUE(now_ms() - began < 2000);
	CU_ASSERT_FALSE(bus_store_connected(store));
	CU_ASSERT_EQUAL(bus_store_in_flight(store), 0);
	kill(backend, SIGCONT);
	/* the position row tells what became of them; the fence keeps out what comes after */
	char gone[128];
	snprintf(gone, sizeof(gone),
		 "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = %d", backend);
	CU_ASSERT_TRUE(kit_until(gone));
	KIT_OK(bus_store_connect(store, kit_error()));
	bus_stream stored = { .stream = stream.stream };
	KIT_OK(bus_store_positions(store, &stored, 1, kit_error()));
	CU_ASSERT_EQUAL(stored.next_offset,
			kit_int("SELECT count(*) FROM busline.ledger WHERE stream = %d",
				stream.stream));
	bus_store_destroy(store);
}

static void
test_frozen_while_sending(void)
{
	bus_store *store = kit_store_deadline("busline_worker", 500);
	bus_stream stream = kit_stream(store);
	static char value[1024 * 1024];
	kit_unit unit;
	memset(value, 'x', sizeof(value));
	kit_unit_make(&unit, &stream, 16, "acme");
	for (size_t i = 0; i < 16; i++) {
		unit.records[i].value = (bus_str){ value, sizeof(value) };
	}
	int backend = kit_backend("kit");
	kill(backend, SIGSTOP);
	int64_t began = now_ms();
	KIT_IS(bus_store_submit(store, &unit.unit, kit_error()), BUS_E_UNKNOWN);
	CU_ASSERT_TRUE(now_ms() - began < 2000);
	CU_ASSERT_FALSE(bus_store_connected(store));
	kill(backend, SIGCONT);
	bus_store_destroy(store);
}

static void
test_frozen_read(void)
{
	bus_store *store = kit_store_deadline("busline_worker", 300);
	bus_stream stream = kit_stream(store);
	int backend = kit_backend("kit");
	kill(backend, SIGSTOP);
	KIT_IS(bus_store_positions(store, &stream, 1, kit_error()), BUS_E_RETRY);
	CU_ASSERT_FALSE(bus_store_connected(store));
	kill(backend, SIGCONT);
	bus_store_destroy(store);
}

/* The connection ends while the unit waits for a lock: before its COMMIT, for certain. */
static void
test_terminated_in_unit(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	kit_unit units[2];
	bool done = false;
	char sql[128];
	snprintf(sql, sizeof(sql),
		 "BEGIN; SELECT FROM busline.position WHERE stream = %d FOR UPDATE",
		 stream.stream);
	PGconn *lock = holder(sql);
	kit_unit_make(&units[0], &stream, 2, "acme");
	kit_unit_make(&units[1], &stream, 2, "acme");
	KIT_OK(bus_store_submit(store, &units[0].unit, kit_error()));
	KIT_OK(bus_store_submit(store, &units[1].unit, kit_error()));
	int backend = kit_backend("kit");
	CU_ASSERT_TRUE(kit_until("SELECT count(*) > 0 FROM pg_stat_activity WHERE "
				 "application_name = 'kit' AND wait_event_type = 'Lock'"));
	kit_sql("SELECT pg_terminate_backend(%d)", backend);
	KIT_IS(bus_store_await(store, -1, &done, kit_error()), BUS_E_ABORT);
	CU_ASSERT_STRING_EQUAL(kit_err.sqlstate, "57P01");
	CU_ASSERT_EQUAL(bus_store_in_flight(store), 0);
	PQfinish(lock);
	KIT_OK(bus_store_connect(store, kit_error()));
	bus_stream stored = { .stream = stream.stream };
	KIT_OK(bus_store_positions(store, &stored, 1, kit_error()));
	CU_ASSERT_EQUAL(stored.next_offset, 0);
	bus_store_destroy(store);
}

/* Killed hard: nothing is said, and it may have been in the middle of COMMIT. */
static void
test_killed_in_unit(void)
{
	if (pg_cluster_port(kit_cluster) == 0) {
		return; /* it would restart a server of somebody else's */
	}
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	kit_unit unit;
	bool done = false;
	char sql[128];
	snprintf(sql, sizeof(sql),
		 "BEGIN; SELECT FROM busline.position WHERE stream = %d FOR UPDATE",
		 stream.stream);
	PGconn *lock = holder(sql);
	kit_unit_make(&unit, &stream, 2, "acme");
	KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
	int backend = kit_backend("kit");
	kill(backend, SIGSTOP);
	PQfinish(lock);
	kill(backend, SIGKILL);
	KIT_IS(bus_store_await(store, -1, &done, kit_error()), BUS_E_UNKNOWN);
	CU_ASSERT_FALSE(bus_store_connected(store));
	/* the server starts over; until then the answer is RETRY */
	bus_status status = BUS_E_RETRY;
	for (int i = 0; i < 1000 && status == BUS_E_RETRY; i++) {
		status = bus_store_connect(store, kit_error());
		nanosleep(&(struct timespec){ .tv_nsec = 10 * 1000 * 1000 }, NULL);
	}
	KIT_OK(status);
	bus_stream stored = { .stream = stream.stream };
	KIT_OK(bus_store_positions(store, &stored, 1, kit_error()));
	CU_ASSERT_EQUAL(stored.next_offset, 0);
	bus_store_destroy(store);
	kit_reconnect();
}

static void
test_terminated_idle(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	kit_unit unit;
	bool done = false;
	kit_sql("SELECT pg_terminate_backend(%d, 5000)", kit_backend("kit"));
	KIT_IS(bus_store_positions(store, &stream, 1, kit_error()), BUS_E_RETRY);
	KIT_OK(bus_store_connect(store, kit_error()));
	kit_sql("SELECT pg_terminate_backend(%d, 5000)", kit_backend("kit"));
	kit_unit_make(&unit, &stream, 2, "acme");
	bus_status status = bus_store_submit(store, &unit.unit, kit_error());
	if (status == BUS_OK) {
		status = bus_store_await(store, -1, &done, kit_error());
	}
	/* either the server's last words were heard, or only the silence after them */
	CU_ASSERT_TRUE(status == BUS_E_UNKNOWN || status == BUS_E_ABORT);
	KIT_OK(bus_store_connect(store, kit_error()));
	CU_ASSERT_EQUAL(kit_int("SELECT count(*) FROM busline.ledger WHERE stream = %d",
				stream.stream),
			0);
	bus_store_destroy(store);
}

/* A deferred constraint fails in COMMIT itself. */
static void
test_commit_fails(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	kit_unit unit;
	bool done = false;
	kit_sql("CREATE FUNCTION kit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
		"'BEGIN RAISE EXCEPTION USING ERRCODE = ''40001''; END'; "
		"CREATE CONSTRAINT TRIGGER kit_refuse AFTER INSERT ON busline.identity "
		"DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION kit_refuse()");
	kit_unit_make(&unit, &stream, 2, "acme");
	KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
	KIT_IS(bus_store_await(store, -1, &done, kit_error()), BUS_E_ABORT);
	CU_ASSERT_STRING_EQUAL(kit_err.sqlstate, "40001");
	kit_sql("DROP TRIGGER kit_refuse ON busline.identity; DROP FUNCTION kit_refuse()");
	bus_stream at = { .stream = stream.stream };
	KIT_OK(bus_store_positions(store, &at, 1, kit_error()));
	CU_ASSERT_EQUAL(at.next_offset, 0);
	kit_unit_make(&unit, &at, 2, "acme");
	KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
	KIT_OK(bus_store_await(store, -1, &done, kit_error()));
	bus_store_destroy(store);
}

/* COMMIT of a failed transaction succeeds, and says ROLLBACK. The only way to meet it in a
 * pipeline: something in the unit ends its transaction and begins a failed one. Here a
 * query of the unit is replaced by ROLLBACK under the name it was prepared by. */
static void
test_commit_says_rollback(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	kit_unit unit;
	bool done = false;
	kit_unit_make(&unit, &stream, 1, "acme");
	KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
	KIT_OK(bus_store_await(store, -1, &done, kit_error()));
	kit_swap_commit(store);
	kit_unit_make(&unit, &stream, 1, "acme");
	KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
	KIT_IS(bus_store_await(store, -1, &done, kit_error()), BUS_E_ABORT);
	CU_ASSERT_PTR_NOT_NULL(strstr(kit_err.text, "ROLLBACK"));
	CU_ASSERT_EQUAL(kit_int("SELECT count(*) FROM busline.ledger WHERE stream = %d",
				stream.stream),
			1);
	bus_store_destroy(store);
}

/* A pooler forgets what was prepared: once more under new names; the unit is lost. */
static void
test_prepared_gone(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	kit_unit unit;
	bool done = false;
	kit_unit_make(&unit, &stream, 1, "acme");
	KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
	KIT_OK(bus_store_await(store, -1, &done, kit_error()));
	for (int i = 0; i < 3; i++) {
		kit_deallocate_all(store);
		bus_stream at = stream;
		kit_unit_make(&unit, &at, 1, "acme");
		KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
		KIT_IS(bus_store_await(store, -1, &done, kit_error()), BUS_E_ABORT);
		CU_ASSERT_STRING_EQUAL(kit_err.sqlstate, "26000");
		KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
		KIT_OK(bus_store_await(store, -1, &done, kit_error()));
		stream = at;
		KIT_OK(bus_store_positions(store, &at, 1, kit_error()));
		kit_deallocate_all(store);
		KIT_OK(bus_store_positions(store, &at, 1, kit_error()));
		CU_ASSERT_EQUAL(at.next_offset, stream.next_offset);
		kit_unit_make(&unit, &stream, 1, "acme");
		KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
		KIT_OK(bus_store_await(store, -1, &done, kit_error()));
	}
	bus_store_destroy(store);
}

/* DDL under a prepared statement: "cached plan must not change result type". */
static void
test_plan_changed(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	KIT_OK(bus_store_positions(store, &stream, 1, kit_error()));
	kit_sql("ALTER TABLE busline.position ALTER COLUMN partition TYPE bigint");
	kit_sql("ALTER TABLE busline.position ALTER COLUMN partition TYPE int");
	KIT_OK(bus_store_positions(store, &stream, 1, kit_error()));
	CU_ASSERT_EQUAL(stream.partition, 0);
	bus_store_destroy(store);
}

static void
test_lock_timeout(void)
{
	bus_store *store = kit_store_deadline("busline_worker", 1000);
	bus_stream stream = kit_stream(store);
	kit_unit unit;
	bool done = false;
	char sql[128];
	snprintf(sql, sizeof(sql),
		 "BEGIN; SELECT FROM busline.position WHERE stream = %d FOR UPDATE",
		 stream.stream);
	PGconn *lock = holder(sql);
	kit_unit_make(&unit, &stream, 1, "acme");
	KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
	KIT_IS(bus_store_await(store, -1, &done, kit_error()), BUS_E_ABORT);
	CU_ASSERT_STRING_EQUAL(kit_err.sqlstate, "55P03");
	CU_ASSERT_TRUE(bus_store_connected(store));
	PQfinish(lock);
	KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
	KIT_OK(bus_store_await(store, -1, &done, kit_error()));
	bus_store_destroy(store);
}

/* ---- connecting ---- */

static void
connects(const char *url, const char *role, bus_status wanted, const char *sqlstate)
{
	const bus_store_options options = { .url = url,
					    .role = role,
					    .application_name = "connects",
					    .deadline_ms = 2000,
					    .clock = bus_clock_system() };
	bus_store *store = bus_store_create(&options);
	int64_t began = now_ms();
	KIT_IS(bus_store_connect(store, kit_error()), wanted);
	CU_ASSERT_TRUE(now_ms() - began < 4000);
	CU_ASSERT_STRING_EQUAL(kit_err.sqlstate, sqlstate);
	CU_ASSERT_EQUAL(bus_store_connected(store), wanted == BUS_OK);
	bus_store_destroy(store);
}

static void
test_connect(void)
{
	char good[512];
	char url[600];
	snprintf(good, sizeof(good), "%s", pg_cluster_url(kit_cluster, "kit"));
	connects(good, "", BUS_OK, "");
	connects(good, "busline_auditor", BUS_OK, "");
	connects(good, "busline_gateway", BUS_OK, "");
	connects(good, "no_such_role", BUS_E_FATAL, "22023");
	connects("host=/nowhere", "", BUS_E_RETRY, "");
	connects("host=127.0.0.1 port=1", "", BUS_E_RETRY, "");
	connects("no url at all", "", BUS_E_FATAL, "");
	connects(pg_cluster_url(kit_cluster, "no_such_database"), "", BUS_E_FATAL,
		 "3D000");
	if (pg_cluster_port(kit_cluster) != 0) {
		snprintf(url, sizeof(url), "%s user=nobody_here", good);
		connects(url, "", BUS_E_FATAL, "28000");
		snprintf(url, sizeof(url),
			 "%s options='-c default_transaction_read_only=on'", good);
		connects(url, "", BUS_E_FATAL, "");
		CU_ASSERT_PTR_NOT_NULL(strstr(kit_err.text, "read only"));
		kit_sql("ALTER SYSTEM SET full_page_writes = off");
		kit_sql("SELECT pg_reload_conf()");
		CU_ASSERT_TRUE(
			kit_until("SELECT current_setting('full_page_writes') = 'off'"));
		connects(good, "", BUS_E_FATAL, "");
		CU_ASSERT_PTR_NOT_NULL(strstr(kit_err.text, "full_page_writes"));
		kit_sql("ALTER SYSTEM RESET full_page_writes");
		kit_sql("SELECT pg_reload_conf()");
		CU_ASSERT_TRUE(
			kit_until("SELECT current_setting('full_page_writes') = 'on'"));
		connects(good, "", BUS_OK, "");
	}
}

/* A listener that accepts and says nothing. */
static void
test_connect_silence(void)
{
	int port = 0;
	int fd = kit_silent_port(&port);
	char url[64];
	snprintf(url, sizeof(url), "host=127.0.0.1 port=%d sslmode=disable", port);
	connects(url, "", BUS_E_RETRY, "");
	close(fd);
}

static void
test_session(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_table table;
	static const char *const settings[][2] = {
		{ "statement_timeout", "9001ms" },
		{ "lock_timeout", "4001ms" },
		{ "idle_in_transaction_session_timeout", "10s" },
		{ "client_connection_check_interval", "2s" },
		{ "synchronous_commit", "on" },
		{ "search_path", "busline, paas, audit, pg_temp" },
		{ "role", "busline_worker" },
		{ "application_name", "kit" },
		{ "client_encoding", "UTF8" },
		{ "default_transaction_isolation", "read committed" },
	};
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		char sql[128];
		snprintf(sql, sizeof(sql), "SELECT current_setting('%s')", settings[i][0]);
		KIT_OK(bus_store_query(store, sql, kit_arena, &table, kit_error()));
		if (!bus_str_is(table.cells[0], settings[i][1])) {
			printf("\n%s is %.*s\n", settings[i][0],
			       BUS_STR_ARG(table.cells[0]));
		}
		CU_ASSERT_TRUE(bus_str_is(table.cells[0], settings[i][1]));
	}
	bus_store_destroy(store);
}

/* ---- crash points ---- */

#if BUS_CRASH_POINTS
static void
crash_child(const char *point, int32_t stream)
{
	setenv("BUSLINE_CRASH_POINT", point, 1);
	bus_store *store = kit_store("busline_worker");
	bus_stream at = { .stream = stream };
	kit_unit unit;
	bool done = false;
	KIT_OK(bus_store_positions(store, &at, 1, kit_error()));
	kit_unit_make(&unit, &at, 3, "acme");
	KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
	KIT_OK(bus_store_await(store, -1, &done, kit_error()));
	_exit(3);
}

static void
test_crash_points(void)
{
	static const struct {
		const char *point;
		bool may_commit;
	} cases[] = {
		{ "after-begin", false },
		{ "after-ledger", false },
		{ "before-commit", false },
		{ "after-commit", true },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bus_store *store = kit_store("busline_worker");
		bus_stream stream = kit_stream(store);
		bus_store_destroy(store);
		fflush(stdout);
		pid_t pid = fork();
		if (pid == 0) {
			crash_child(cases[i].point, stream.stream);
		}
		int status = 0;
		CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
		CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		CU_ASSERT_TRUE(kit_until("SELECT count(*) = 0 FROM pg_stat_activity "
					 "WHERE application_name = 'kit'"));
		int64_t next = kit_int("SELECT next_offset FROM busline.position "
				       "WHERE stream = %d",
				       stream.stream);
		int64_t rows =
			kit_int("SELECT count(*) FROM busline.ledger WHERE stream = %d",
				stream.stream);
		CU_ASSERT_EQUAL(next, rows);
		CU_ASSERT_TRUE(next == 0 || (cases[i].may_commit && next == 3));
	}
}
#else
static void
test_crash_points(void)
{
	CU_PASS("built without crash points");
}
#endif

static const bus_case cases[] = {
	/* first: the point is read from the environment once, by the first unit */
	{ "crash points are where they say", test_crash_points },
	{ "a frozen server is given up at our deadline", test_frozen },
	{ "a frozen server is given up while sending", test_frozen_while_sending },
	{ "a frozen server is given up while reading", test_frozen_read },
	{ "a session ended inside a unit: it was rolled back", test_terminated_in_unit },
	{ "a session ended between calls", test_terminated_idle },
	{ "a COMMIT that fails is a rollback", test_commit_fails },
	{ "a COMMIT that says ROLLBACK is a rollback", test_commit_says_rollback },
	{ "prepared statements that are gone are prepared again", test_prepared_gone },
	{ "a plan that DDL made stale is made again", test_plan_changed },
	{ "waiting for a lock ends with its SQLSTATE", test_lock_timeout },
	{ "connecting tells what may be done next", test_connect },
	{ "connecting to a silent port ends", test_connect_silence },
	{ "a session is set as documented", test_session },
	{ "a server process killed inside a unit: unknown", test_killed_in_unit },
	{ 0 },
};

const bus_suite_def bus_suite = { "store: faults", cases, kit_setup, kit_teardown };
