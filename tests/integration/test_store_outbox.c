/*
 * test_store_outbox.c - the outbox loses nothing and stays small; leases, incidents, news
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/store_kit.h"

#define WRITERS 16
#define WRITER_ROWS 8

static bus_store *relay;
static int64_t lease_epoch;

static void
relay_begin(void)
{
	bus_lease lease = { 0 };
	relay = kit_store("busline_worker");
	kit_sql("UPDATE busline.lease SET expires_at = now() - interval '1 s'");
	KIT_OK(bus_store_lease(relay, "relay", "test", 60000, 0, &lease, kit_error()));
	lease_epoch = lease.epoch;
	CU_ASSERT_TRUE(lease_epoch > 0);
}

/* Rows of this unit: n of them, numbered on. */
static void
outbox_make(kit_unit *unit, bus_stream *stream, bus_outbox_row *rows, size_t count)
{
	kit_unit_make(unit, stream, 1, "acme");
	for (size_t i = 0; i < count; i++) {
		rows[i] = (bus_outbox_row){ .stream = stream->stream,
					    .seq = ++stream->outbox_seq,
					    .kind = i % 2 == 0 ? BUS_OUTBOX_FOLLOW_UP :
								 BUS_OUTBOX_REROUTE,
					    .topic = BUS_STR("busline.kit"),
					    .record = unit->records[0] };
	}
	unit->position.outbox_seq = stream->outbox_seq;
	unit->unit.outbox = rows;
	unit->unit.outbox_count = count;
}

static size_t
read_past(const bus_outbox_cursor *cursors, size_t count, size_t rows_max,
	  bus_outbox_row **ret_rows)
{
	size_t found = 0;
	bus_arena_reset(kit_arena);
	KIT_OK(bus_store_outbox_read(relay, cursors, count, rows_max, kit_arena, ret_rows,
				     &found, kit_error()));
	return found;
}

/* Everything unpublished of all streams is marked, as a relay does: returns how much. */
static int64_t
publish_all(void)
{
	int64_t published = 0;
	for (;;) {
		bus_outbox_row *rows = NULL;
		size_t found = read_past(NULL, 0, 5000, &rows);
		if (found == 0) {
			return published;
		}
		bus_outbox_cursor marks[64];
		size_t count = 0;
		for (size_t i = 0; i < found; i++) {
			if (count == 0 || marks[count - 1].stream != rows[i].stream) {
				CU_ASSERT_TRUE_FATAL(count < 64);
				marks[count++].stream = rows[i].stream;
			}
			marks[count - 1].seq = rows[i].seq;
		}
		KIT_OK(bus_store_outbox_mark(relay, lease_epoch, marks, count,
					     kit_error()));
		published += (int64_t)found;
	}
}

static void
test_read_and_mark(void)
{
	relay_begin();
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	bus_outbox_row rows[5];
	bus_outbox_row *got = NULL;
	kit_unit unit;
	bool done = false;
	(void)publish_all();
	outbox_make(&unit, &stream, rows, 5);
	rows[3].record.key = BUS_STR_NULL;
	rows[3].record.value = BUS_STR_NULL;
	rows[3].record.header_count = 0;
	KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
	KIT_OK(bus_store_await(store, -1, &done, kit_error()));

	CU_ASSERT_EQUAL_FATAL(read_past(NULL, 0, 100, &got), 5);
	for (size_t i = 0; i < 5; i++) {
		CU_ASSERT_EQUAL(got[i].stream, stream.stream);
		CU_ASSERT_EQUAL(got[i].seq, (int64_t)i + 1);
		CU_ASSERT_EQUAL(got[i].kind, rows[i].kind);
		CU_ASSERT_TRUE(bus_str_eq(got[i].topic, rows[i].topic));
		CU_ASSERT_TRUE(bus_str_eq(got[i].record.key, rows[i].record.key));
		CU_ASSERT_TRUE(bus_str_eq(got[i].record.value, rows[i].record.value));
		CU_ASSERT_EQUAL(got[i].record.header_count, rows[i].record.header_count);
	}
	CU_ASSERT_TRUE(bus_str_eq(got[0].record.headers[1].value,
				  BUS_STR("application/json")));
	bus_outbox_cursor cursor = { stream.stream, 2 };
	CU_ASSERT_EQUAL(read_past(&cursor, 1, 100, &got), 3);
	CU_ASSERT_EQUAL(got[0].seq, 3);
	CU_ASSERT_EQUAL(read_past(&cursor, 1, 2, &got), 2);

	KIT_OK(bus_store_outbox_mark(relay, lease_epoch, &cursor, 1, kit_error()));
	CU_ASSERT_EQUAL(read_past(NULL, 0, 100, &got), 3);
	cursor.seq = 1; /* a mark never goes back */
	KIT_OK(bus_store_outbox_mark(relay, lease_epoch, &cursor, 1, kit_error()));
	CU_ASSERT_EQUAL(read_past(NULL, 0, 100, &got), 3);
	cursor.seq = 5;
	KIT_IS(bus_store_outbox_mark(relay, lease_epoch + 1, &cursor, 1, kit_error()),
	       BUS_E_ABORT);
	CU_ASSERT_STRING_EQUAL(kit_err.sqlstate, BUS_SQLSTATE_FENCED);
	CU_ASSERT_EQUAL(read_past(NULL, 0, 100, &got), 3);
	KIT_OK(bus_store_outbox_mark(relay, lease_epoch, &cursor, 1, kit_error()));
	CU_ASSERT_EQUAL(read_past(NULL, 0, 100, &got), 0);
	bus_store_destroy(store);
	bus_store_destroy(relay);
}

/* A stream with a long tail leaves room for the others. */
static void
test_fair(void)
{
	relay_begin();
	bus_store *store = kit_store("busline_worker");
	bus_stream streams[2] = { kit_stream(store), kit_stream(store) };
	(void)publish_all();
	for (int s = 0; s < 2; s++) {
		static bus_outbox_row rows[1000];
		kit_unit unit;
		bool done = false;
		outbox_make(&unit, &streams[s], rows, s == 0 ? 1000 : 3);
		KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
		KIT_OK(bus_store_await(store, -1, &done, kit_error()));
	}
	bus_outbox_row *got = NULL;
	size_t found = read_past(NULL, 0, 10, &got);
	CU_ASSERT_EQUAL_FATAL(found, 8);
	CU_ASSERT_EQUAL(got[4].stream, streams[0].stream);
	CU_ASSERT_EQUAL(got[7].stream, streams[1].stream);
	/* as many streams as rows, and more */
	CU_ASSERT_EQUAL(read_past(NULL, 0, 2, &got), 2);
	CU_ASSERT_NOT_EQUAL(got[0].stream, got[1].stream);
	CU_ASSERT_EQUAL(read_past(NULL, 0, 1, &got), 1);
	/* one that is left out leaves its share to the other */
	bus_outbox_cursor held = { streams[0].stream, INT64_MAX };
	CU_ASSERT_EQUAL(read_past(&held, 1, 3, &got), 3);
	CU_ASSERT_EQUAL(got[2].stream, streams[1].stream);
	CU_ASSERT_EQUAL(publish_all(), 1003);
	bus_store_destroy(store);
	bus_store_destroy(relay);
}

/* Rows of these sizes, promised to a stream. */
static void
promise_sizes(const bus_stream *stream, int64_t first, int count, int64_t bytes)
{
	kit_sql("INSERT INTO busline.outbox (slot, stream, seq, kind, topic, headers, data) "
		"SELECT (SELECT slot FROM busline.outbox_rotation), %d, n, 0, 't', "
		"'\\x00000000', convert_to(repeat('x', %lld), 'UTF8') "
		"FROM generate_series(%lld, %lld) n",
		stream->stream, (long long)bytes, (long long)first,
		(long long)first + count - 1);
	kit_sql("UPDATE busline.position SET outbox_seq = %lld WHERE stream = %d",
		(long long)first + count - 1, stream->stream);
}

static size_t
bytes_of(const bus_outbox_row *rows, size_t count)
{
	size_t bytes = 0;
	for (size_t i = 0; i < count; i++) {
		bytes += bus_record_bytes(&rows[i].record);
	}
	return bytes;
}

/* However large rows are, what is in memory at a time is bounded, and none is left behind. */
static void
test_bytes(void)
{
	enum { MEGABYTE = 1024 * 1024 };
	relay_begin();
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	bus_outbox_row *got = NULL;
	(void)publish_all();
	promise_sizes(&stream, 1, 10, 100);
	promise_sizes(&stream, 11, 1,
		      MEGABYTE); /* one among small ones: all come at once */
	promise_sizes(&stream, 12, 9, 100);
	CU_ASSERT_EQUAL_FATAL(read_past(NULL, 0, 5000, &got), 20);
	for (size_t i = 0; i < 20; i++) {
		CU_ASSERT_EQUAL(got[i].seq, (int64_t)i + 1);
		CU_ASSERT_EQUAL(got[i].record.value.len, i == 10 ? MEGABYTE : 100);
	}
	promise_sizes(&stream, 21, 40, MEGABYTE);
	promise_sizes(&stream, 61, 1, BUS_OUTBOX_READ_BYTES_MAX + 1);
	promise_sizes(&stream, 62, 6000,
		      4000); /* each a little over its share of the bytes */
	bus_outbox_cursor cursor = { stream.stream, 0 };
	int alone = 0;
	while (cursor.seq < 6061) {
		size_t found = read_past(&cursor, 1, 5000, &got);
		CU_ASSERT_FATAL(found > 0);
		CU_ASSERT_EQUAL(got[0].seq, cursor.seq + 1);
		CU_ASSERT_TRUE(bytes_of(got, found) <= BUS_OUTBOX_READ_BYTES_MAX ||
			       found == 1);
		alone += bytes_of(got, found) > BUS_OUTBOX_READ_BYTES_MAX;
		cursor.seq = got[found - 1].seq;
	}
	CU_ASSERT_EQUAL(alone, 1);
	CU_ASSERT_EQUAL(publish_all(), 6061);
	bus_store_destroy(store);
	bus_store_destroy(relay);
}

/* A row that vanished is no silence. */
static void
test_gap(void)
{
	relay_begin();
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	bus_outbox_row rows[3];
	bus_outbox_row *got = NULL;
	kit_unit unit;
	size_t found = 0;
	bool done = false;
	outbox_make(&unit, &stream, rows, 3);
	KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
	KIT_OK(bus_store_await(store, -1, &done, kit_error()));
	kit_sql("DELETE FROM busline.outbox WHERE stream = %d AND seq = 2", stream.stream);
	KIT_IS(bus_store_outbox_read(relay, NULL, 0, 100, kit_arena, &got, &found,
				     kit_error()),
	       BUS_E_FATAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(kit_err.text, "3 follows 1"));
	bus_outbox_cursor mark = { stream.stream, 3 };
	KIT_OK(bus_store_outbox_mark(relay, lease_epoch, &mark, 1, kit_error()));
	bus_store_destroy(store);
	bus_store_destroy(relay);
}

/* ---- concurrent writers ---- */

typedef struct writer {
	PGconn *conn;
	int32_t stream;
	int64_t seq;
} writer;

static void
run(PGconn *conn, const char *sql)
{
	PGresult *result = PQexec(conn, sql);
	if (PQresultStatus(result) == PGRES_FATAL_ERROR) {
		printf("\n%s: %s", sql, PQerrorMessage(conn));
	}
	CU_ASSERT_NOT_EQUAL(PQresultStatus(result), PGRES_FATAL_ERROR);
	PQclear(result);
}

/* An open transaction with rows, as a worker's unit writes them. */
static void
writer_write(writer *w, size_t rows)
{
	char sql[512];
	run(w->conn, "BEGIN; SET LOCAL ROLE busline_worker");
	snprintf(sql, sizeof(sql),
		 "UPDATE busline.position SET outbox_seq = outbox_seq + %zu WHERE stream = %d",
		 rows, w->stream);
	run(w->conn, sql);
	snprintf(sql, sizeof(sql),
		 "INSERT INTO busline.outbox (slot, stream, seq, kind, topic, headers, data) "
		 "SELECT (SELECT slot FROM busline.outbox_rotation), %d, %lld + n, 0, 't', "
		 "'\\x00000000', convert_to(repeat('x', 200), 'UTF8') "
		 "FROM generate_series(1, %zu) n",
		 w->stream, (long long)w->seq, rows);
	run(w->conn, sql);
}

static void
writers_begin(writer *writers)
{
	for (size_t i = 0; i < WRITERS; i++) {
		int64_t stream =
			kit_int("INSERT INTO busline.position (topic, partition) "
				"VALUES ('writers', coalesce((SELECT max(partition) + 1 "
				"FROM busline.position WHERE topic = 'writers'), 0)) "
				"RETURNING stream");
		writers[i] =
			(writer){ .conn = PQconnectdb(pg_cluster_url(kit_cluster, "kit")),
				  .stream = (int32_t)stream };
	}
}

/* They commit the other way round than they wrote; every fourth aborts. The relay reads,
 * marks and rotates all the time between. */
static void
test_reverse_commit(void)
{
	relay_begin();
	writer writers[WRITERS];
	int64_t committed = 0;
	int64_t published = publish_all();
	published = 0;
	writers_begin(writers);
	for (int round = 0; round < 6; round++) {
		for (size_t i = 0; i < WRITERS; i++) {
			writer_write(&writers[i], WRITER_ROWS);
			int emptied = 0;
			KIT_OK(bus_store_outbox_rotate(relay, lease_epoch, &emptied,
						       kit_error()));
		}
		for (size_t i = WRITERS; i-- > 0;) {
			bool abort = (i + (size_t)round) % 4 == 0;
			run(writers[i].conn, abort ? "ROLLBACK" : "COMMIT");
			if (!abort) {
				writers[i].seq += WRITER_ROWS;
				committed += WRITER_ROWS;
			}
			int emptied = 0;
			published += publish_all();
			CU_ASSERT_EQUAL(published, committed);
			KIT_OK(bus_store_outbox_rotate(relay, lease_epoch, &emptied,
						       kit_error()));
		}
	}
	CU_ASSERT_EQUAL(published, committed);
	for (size_t i = 0; i < WRITERS; i++) {
		CU_ASSERT_EQUAL(
			kit_int("SELECT seq FROM busline.outbox_mark WHERE stream = %d",
				writers[i].stream),
			writers[i].seq);
		PQfinish(writers[i].conn);
	}
	bus_store_destroy(relay);
}

/* ---- size ---- */

static int64_t
outbox_bytes(void)
{
	return kit_int("SELECT sum(pg_total_relation_size('busline.outbox_' || n)) "
		       "FROM generate_series(0, 2) n");
}

/* As much as one round may leave: what is being filled and what waits to be emptied. */
static void
test_flat(void)
{
	enum { ROUNDS = 40, ROUND_ROWS = 5000 };
	relay_begin();
	writer writers[WRITERS];
	writers_begin(writers);
	(void)publish_all();
	PGconn *old = PQconnectdb(pg_cluster_url(kit_cluster, "kit"));
	run(old,
	    "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM busline.position; "
	    "SELECT pg_current_xact_id()");
	int64_t largest = 0;
	int64_t one_round = 0;
	int64_t truncated = 0;
	for (int round = 0; round < ROUNDS; round++) {
		writer *w = &writers[round % WRITERS];
		writer_write(w, ROUND_ROWS);
		run(w->conn, "COMMIT");
		w->seq += ROUND_ROWS;
		CU_ASSERT_EQUAL(publish_all(), ROUND_ROWS);
		int emptied = 0;
		if (round == 0) {
			one_round = outbox_bytes();
		}
		KIT_OK(bus_store_outbox_rotate(relay, lease_epoch, &emptied, kit_error()));
		truncated += emptied;
		largest = outbox_bytes() > largest ? outbox_bytes() : largest;
	}
	CU_ASSERT_TRUE(truncated >= ROUNDS - 3);
	CU_ASSERT_TRUE(largest <= 3 * one_round);
	CU_ASSERT_TRUE(one_round > ROUND_ROWS * 200);
	PQfinish(old);
	for (size_t i = 0; i < WRITERS; i++) {
		PQfinish(writers[i].conn);
	}
	bus_store_destroy(relay);
}

/* Rotation waits for nobody, and empties nothing that somebody still needs. */
static void
test_rotate_waits_not(void)
{
	relay_begin();
	writer writers[WRITERS];
	writers_begin(writers);
	(void)publish_all();
	int emptied = 0;
	for (int i = 0; i < 3; i++) {
		KIT_OK(bus_store_outbox_rotate(relay, lease_epoch, &emptied, kit_error()));
	}
	CU_ASSERT_EQUAL(outbox_bytes(),
			kit_int("SELECT 3 * 8192 + 3 * 8192")); /* meta, toast */

	int64_t slot = kit_int("SELECT slot FROM busline.outbox_rotation");
	writer_write(&writers[0], 10); /* unfinished, in this slot */
	writer_write(&writers[1], 10);
	run(writers[1].conn, "COMMIT");
	KIT_OK(bus_store_outbox_rotate(relay, lease_epoch, &emptied, kit_error()));
	CU_ASSERT_EQUAL(emptied, 0);
	int64_t next = kit_int("SELECT slot FROM busline.outbox_rotation");
	CU_ASSERT_NOT_EQUAL(next, slot);
	CU_ASSERT_EQUAL(publish_all(), 10);
	int64_t began = bus_clock_mono_ms(bus_clock_system());
	for (int i = 0; i < 5; i++) {
		KIT_OK(bus_store_outbox_rotate(relay, lease_epoch, &emptied, kit_error()));
		CU_ASSERT_EQUAL(emptied, 0); /* the first writer holds it */
	}
	CU_ASSERT_TRUE(bus_clock_mono_ms(bus_clock_system()) - began < 1000);
	run(writers[0].conn, "COMMIT");
	/* committed, not published: it stays */
	KIT_OK(bus_store_outbox_rotate(relay, lease_epoch, &emptied, kit_error()));
	CU_ASSERT_EQUAL(emptied, 0);
	CU_ASSERT_EQUAL(publish_all(), 10);
	KIT_OK(bus_store_outbox_rotate(relay, lease_epoch, &emptied, kit_error()));
	CU_ASSERT_EQUAL(emptied, 1);
	KIT_IS(bus_store_outbox_rotate(relay, lease_epoch - 1, &emptied, kit_error()),
	       BUS_E_ABORT);
	for (size_t i = 0; i < WRITERS; i++) {
		PQfinish(writers[i].conn);
	}
	bus_store_destroy(relay);
}

/* A writer that chose its slot before it was emptied writes into it after: not lost. */
static void
test_late_writer(void)
{
	relay_begin();
	writer writers[WRITERS];
	writers_begin(writers);
	(void)publish_all();
	int emptied = 0;
	int64_t slot = kit_int("SELECT slot FROM busline.outbox_rotation");
	writer_write(&writers[0], 5);
	run(writers[0].conn, "COMMIT");
	KIT_OK(bus_store_outbox_rotate(relay, lease_epoch, &emptied, kit_error()));
	CU_ASSERT_EQUAL(publish_all(), 5);
	char sql[256];
	run(writers[1].conn, "BEGIN ISOLATION LEVEL REPEATABLE READ; "
			     "SELECT slot FROM busline.outbox_rotation");
	KIT_OK(bus_store_outbox_rotate(relay, lease_epoch, &emptied, kit_error()));
	CU_ASSERT_EQUAL(emptied, 1);
	snprintf(sql, sizeof(sql),
		 "INSERT INTO busline.outbox (slot, stream, seq, kind, topic, headers) "
		 "VALUES (%lld, %d, 1, 0, 't', '\\x00000000'); UPDATE busline.position "
		 "SET outbox_seq = 1 WHERE stream = %d; COMMIT",
		 (long long)slot, writers[1].stream, writers[1].stream);
	run(writers[1].conn, sql);
	for (int i = 0; i < 3; i++) {
		KIT_OK(bus_store_outbox_rotate(relay, lease_epoch, &emptied, kit_error()));
	}
	CU_ASSERT_EQUAL(publish_all(), 1);
	for (size_t i = 0; i < WRITERS; i++) {
		PQfinish(writers[i].conn);
	}
	bus_store_destroy(relay);
}

/* ---- notifications ---- */

static void
test_notify(void)
{
	relay_begin();
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	bus_outbox_row row;
	kit_unit unit;
	bool done = false;
	bool notified = true;
	KIT_OK(bus_store_listen(relay, "busline_outbox", kit_error()));
	KIT_OK(bus_store_wait(relay, 0, &notified, kit_error()));
	CU_ASSERT_FALSE(notified);
	kit_unit_make(&unit, &stream, 1, "acme"); /* without outbox rows: silence */
	KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
	KIT_OK(bus_store_await(store, -1, &done, kit_error()));
	KIT_OK(bus_store_wait(relay, 50, &notified, kit_error()));
	CU_ASSERT_FALSE(notified);
	outbox_make(&unit, &stream, &row, 1);
	KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
	KIT_OK(bus_store_await(store, -1, &done, kit_error()));
	KIT_OK(bus_store_wait(relay, 10000, &notified, kit_error()));
	CU_ASSERT_TRUE(notified);
	/* one that arrives together with an answer is not lost */
	outbox_make(&unit, &stream, &row, 1);
	KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
	KIT_OK(bus_store_await(store, -1, &done, kit_error()));
	CU_ASSERT_EQUAL(publish_all(), 2);
	KIT_OK(bus_store_wait(relay, 10000, &notified, kit_error()));
	CU_ASSERT_TRUE(notified);
	/* the connection ends while it waits */
	kit_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
		"WHERE application_name = 'kit'");
	KIT_IS(bus_store_wait(relay, 10000, &notified, kit_error()), BUS_E_RETRY);
	CU_ASSERT_FALSE(bus_store_connected(relay));
	bus_store_destroy(store);
	bus_store_destroy(relay);
}

/* ---- leases and incidents ---- */

static void
test_lease(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_lease a = { 0 };
	bus_lease b = { 0 };
	KIT_OK(bus_store_lease(store, "kit", "a", 60000, 0, &a, kit_error()));
	CU_ASSERT_EQUAL(a.epoch, 1);
	CU_ASSERT_STRING_EQUAL(a.holder, "a");
	KIT_OK(bus_store_lease(store, "kit", "b", 60000, 0, &b, kit_error()));
	CU_ASSERT_EQUAL(b.epoch, 0);
	CU_ASSERT_STRING_EQUAL(b.holder, "a");
	CU_ASSERT_TRUE(b.left_ms > 50000 && b.left_ms <= 60000);
	/* renewed */
	KIT_OK(bus_store_lease(store, "kit", "a", 60000, a.epoch, &a, kit_error()));
	CU_ASSERT_EQUAL(a.epoch, 1);
	/* a process of the same name that does not know the epoch is another one */
	KIT_OK(bus_store_lease(store, "kit", "a", 60000, 0, &b, kit_error()));
	CU_ASSERT_EQUAL(b.epoch, 0);
	/* over: taken, with another epoch; the old holder is out */
	kit_sql("UPDATE busline.lease SET expires_at = now() - interval '1 s' WHERE name = 'kit'");
	KIT_OK(bus_store_lease(store, "kit", "b", 60000, 0, &b, kit_error()));
	CU_ASSERT_EQUAL(b.epoch, 2);
	KIT_OK(bus_store_lease(store, "kit", "a", 60000, 1, &a, kit_error()));
	CU_ASSERT_EQUAL(a.epoch, 0);
	/* over, but nobody came: still ours */
	kit_sql("UPDATE busline.lease SET expires_at = now() - interval '1 s' WHERE name = 'kit'");
	KIT_OK(bus_store_lease(store, "kit", "b", 60000, 2, &b, kit_error()));
	CU_ASSERT_EQUAL(b.epoch, 2);
	/* given back by the wrong one: nothing; by the holder: free at once */
	KIT_OK(bus_store_lease_release(store, "kit", 1, kit_error()));
	KIT_OK(bus_store_lease(store, "kit", "a", 60000, 0, &a, kit_error()));
	CU_ASSERT_EQUAL(a.epoch, 0);
	KIT_OK(bus_store_lease_release(store, "kit", 2, kit_error()));
	KIT_OK(bus_store_lease(store, "kit", "a", 60000, 0, &a, kit_error()));
	CU_ASSERT_EQUAL(a.epoch, 3);
	bus_store_destroy(store);
}

static void
test_incident(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_incident incident = { "offset-gap", "kit.incident", 3, 17, BUS_STR("first") };
	KIT_OK(bus_store_incident(store, &incident, kit_error()));
	incident.offset = 18;
	incident.detail = BUS_STR("second");
	KIT_OK(bus_store_incident(store, &incident, kit_error()));
	const char *all =
		"SELECT string_agg(concat_ws('|', kind, partition, \"offset\", detail, "
		"count, closed_by), ' ' ORDER BY id) FROM busline.incident "
		"WHERE topic = 'kit.incident'";
	CU_ASSERT_STRING_EQUAL(kit_sql("%s", all), "offset-gap|3|18|second|2");
	kit_sql("UPDATE busline.incident SET closed_at = now(), closed_by = 'me'");
	KIT_OK(bus_store_incident(store, &incident, kit_error()));
	incident.partition = 4;
	KIT_OK(bus_store_incident(store, &incident, kit_error()));
	CU_ASSERT_STRING_EQUAL(kit_sql("%s", all), "offset-gap|3|18|second|2|me "
						   "offset-gap|3|18|second|1 "
						   "offset-gap|4|18|second|1");
	bus_store_destroy(store);
}

static const bus_case cases[] = {
	{ "rows are read in order and marked under the lease", test_read_and_mark },
	{ "a stream with a long tail does not hold up the others", test_fair },
	{ "what is read at a time is bounded in bytes", test_bytes },
	{ "a missing row stops the relay", test_gap },
	{ "16 writers that commit in reverse order lose nothing", test_reverse_commit },
	{ "the tables stay small, under an old transaction too", test_flat },
	{ "rotation waits for nobody and empties only what is published",
	  test_rotate_waits_not },
	{ "a writer later than the rotation is not lost", test_late_writer },
	{ "units with outbox rows wake the relay", test_notify },
	{ "a lease has one holder, and a new epoch for each", test_lease },
	{ "an incident is open once and counts", test_incident },
	{ 0 },
};

const bus_suite_def bus_suite = { "store: outbox", cases, kit_setup, kit_teardown };
