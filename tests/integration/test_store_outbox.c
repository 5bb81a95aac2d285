/*
 * test_store_outbox.c - the outbox loses nothing and stays small; news
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/store_kit.h"

#define WRITERS 16
#define WRITER_ROWS 8

#define ALL ((bus_relay_shards)0xffff)

static bus_store *relay;
static bus_relay_part part;

/* The only relay there is. */
static void
relay_begin(void)
{
	relay = kit_store("busline_worker");
	kit_sql("DELETE FROM busline.relay");
	KIT_OK(bus_store_relay_renew(relay, "test", 60000, 0, &part, kit_error()));
	CU_ASSERT_EQUAL(part.share, BUS_RELAY_SHARDS);
	for (int i = 0; i < BUS_RELAY_SHARDS; i++) {
		CU_ASSERT_TRUE(part.epochs[i] > 0);
	}
}

/* Marks under the epochs we know of; the shards that are not ours any more. */
static bus_relay_shards
mark(const bus_outbox_cursor *places, size_t count)
{
	bus_outbox_mark marks[64];
	bus_relay_shards lost = ALL;
	CU_ASSERT_TRUE_FATAL(count <= 64);
	for (size_t i = 0; i < count; i++) {
		marks[i] = (bus_outbox_mark){
			.stream = places[i].stream,
			.seq = places[i].seq,
			.epoch = part.epochs[bus_relay_shard_of(places[i].stream)],
		};
	}
	KIT_OK(bus_store_outbox_mark(relay, marks, count, &lost, kit_error()));
	return lost;
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
	const bus_outbox_range range = { ALL, cursors, count, rows_max };
	bus_arena_reset(kit_arena);
	KIT_OK(bus_store_outbox_read(relay, &range, kit_arena, ret_rows, &found,
				     kit_error()));
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
		CU_ASSERT_EQUAL(mark(marks, count), 0);
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

	CU_ASSERT_EQUAL(mark(&cursor, 1), 0);
	CU_ASSERT_EQUAL(read_past(NULL, 0, 100, &got), 3);
	cursor.seq = 1; /* a mark never goes back */
	CU_ASSERT_EQUAL(mark(&cursor, 1), 0);
	CU_ASSERT_EQUAL(read_past(NULL, 0, 100, &got), 3);
	cursor.seq = 5;
	CU_ASSERT_EQUAL(mark(&cursor, 1), 0);
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
	const bus_outbox_range all = { .shards = ALL, .rows_max = 100 };
	KIT_IS(bus_store_outbox_read(relay, &all, kit_arena, &got, &found, kit_error()),
	       BUS_E_FATAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(kit_err.text, "3 follows 1"));
	CU_ASSERT_EQUAL(mark(&(bus_outbox_cursor){ stream.stream, 3 }, 1), 0);
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
			KIT_OK(bus_store_outbox_rotate(relay, &emptied, kit_error()));
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
			KIT_OK(bus_store_outbox_rotate(relay, &emptied, kit_error()));
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
		KIT_OK(bus_store_outbox_rotate(relay, &emptied, kit_error()));
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
		KIT_OK(bus_store_outbox_rotate(relay, &emptied, kit_error()));
	}
	CU_ASSERT_EQUAL(outbox_bytes(),
			kit_int("SELECT 3 * 8192 + 3 * 8192")); /* meta, toast */

	int64_t slot = kit_int("SELECT slot FROM busline.outbox_rotation");
	writer_write(&writers[0], 10); /* unfinished, in this slot */
	writer_write(&writers[1], 10);
	run(writers[1].conn, "COMMIT");
	KIT_OK(bus_store_outbox_rotate(relay, &emptied, kit_error()));
	CU_ASSERT_EQUAL(emptied, 0);
	int64_t next = kit_int("SELECT slot FROM busline.outbox_rotation");
	CU_ASSERT_NOT_EQUAL(next, slot);
	CU_ASSERT_EQUAL(publish_all(), 10);
	int64_t began = bus_clock_mono_ms(bus_clock_system());
	for (int i = 0; i < 5; i++) {
		KIT_OK(bus_store_outbox_rotate(relay, &emptied, kit_error()));
		CU_ASSERT_EQUAL(emptied, 0); /* the first writer holds it */
	}
	CU_ASSERT_TRUE(bus_clock_mono_ms(bus_clock_system()) - began < 1000);
	run(writers[0].conn, "COMMIT");
	/* committed, not published: it stays */
	KIT_OK(bus_store_outbox_rotate(relay, &emptied, kit_error()));
	CU_ASSERT_EQUAL(emptied, 0);
	CU_ASSERT_EQUAL(publish_all(), 10);
	KIT_OK(bus_store_outbox_rotate(relay, &emptied, kit_error()));
	CU_ASSERT_EQUAL(emptied, 1);
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
	KIT_OK(bus_store_outbox_rotate(relay, &emptied, kit_error()));
	CU_ASSERT_EQUAL(publish_all(), 5);
	char sql[256];
	run(writers[1].conn, "BEGIN ISOLATION LEVEL REPEATABLE READ; "
			     "SELECT slot FROM busline.outbox_rotation");
	KIT_OK(bus_store_outbox_rotate(relay, &emptied, kit_error()));
	CU_ASSERT_EQUAL(emptied, 1);
	snprintf(sql, sizeof(sql),
		 "INSERT INTO busline.outbox (slot, stream, seq, kind, topic, headers) "
		 "VALUES (%lld, %d, 1, 0, 't', '\\x00000000'); UPDATE busline.position "
		 "SET outbox_seq = 1 WHERE stream = %d; COMMIT",
		 (long long)slot, writers[1].stream, writers[1].stream);
	run(writers[1].conn, sql);
	for (int i = 0; i < 3; i++) {
		KIT_OK(bus_store_outbox_rotate(relay, &emptied, kit_error()));
	}
	CU_ASSERT_EQUAL(publish_all(), 1);
	for (size_t i = 0; i < WRITERS; i++) {
		PQfinish(writers[i].conn);
	}
	bus_store_destroy(relay);
}

/* ---- shards ---- */

/* How many rows of each stream a relay of these shards sees. */
static void
sees(bus_relay_shards shards, const bus_stream *streams, size_t first, size_t second)
{
	bus_outbox_row *got = NULL;
	size_t found = 0, of[2] = { 0 };
	const bus_outbox_range range = { .shards = shards, .rows_max = 100 };
	KIT_OK(bus_store_outbox_read(relay, &range, kit_arena, &got, &found, kit_error()));
	for (size_t i = 0; i < found; i++) {
		of[0] += got[i].stream == streams[0].stream;
		of[1] += got[i].stream == streams[1].stream;
	}
	CU_ASSERT_EQUAL(of[0], first);
	CU_ASSERT_EQUAL(of[1], second);
	CU_ASSERT_EQUAL(found, first + second);
}

static void
test_shards(void)
{
	relay_begin();
	bus_store *store = kit_store("busline_worker");
	bus_stream streams[2] = { kit_stream(store), kit_stream(store) };
	bus_relay_shards bits[2];
	(void)publish_all();
	CU_ASSERT_EQUAL(kit_int("SELECT count(*) FROM busline.relay_shard"),
			BUS_RELAY_SHARDS);
	for (int s = 0; s < 2; s++) {
		bus_outbox_row rows[4];
		kit_unit unit;
		bool done = false;
		outbox_make(&unit, &streams[s], rows, 4);
		KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
		KIT_OK(bus_store_await(store, -1, &done, kit_error()));
		bits[s] = (bus_relay_shards)1 << bus_relay_shard_of(streams[s].stream);
		CU_ASSERT_EQUAL(kit_int("SELECT busline.relay_shard_of(%d)",
					streams[s].stream),
				bus_relay_shard_of(streams[s].stream));
	}
	CU_ASSERT_NOT_EQUAL_FATAL(bits[0], bits[1]);
	sees(bits[0], streams, 4, 0);
	sees(bits[1], streams, 0, 4);
	sees(bits[0] | bits[1], streams, 4, 4);
	sees(ALL & ~bits[0] & ~bits[1], streams, 0, 0);
	sees(0, streams, 0, 0);

	/* One shard goes to another relay. We do not know it, and mark both. */
	kit_sql("UPDATE busline.relay_shard SET epoch = epoch + 1 WHERE shard = %d",
		bus_relay_shard_of(streams[0].stream));
	const bus_outbox_cursor both[] = { { streams[0].stream, 3 },
					   { streams[1].stream, 3 } };
	CU_ASSERT_EQUAL(mark(both, 2), bits[0]);
	sees(ALL, streams, 4, 1);
	/* A later epoch than there is counts as little as an old one. */
	part.epochs[bus_relay_shard_of(streams[0].stream)] += 2;
	CU_ASSERT_EQUAL(mark(both, 2), bits[0]);
	sees(ALL, streams, 4, 1);
	part.epochs[bus_relay_shard_of(streams[0].stream)] -= 1;
	CU_ASSERT_EQUAL(mark(both, 2), 0);
	sees(ALL, streams, 1, 1);
	CU_ASSERT_EQUAL(publish_all(), 2);
	bus_store_destroy(store);
	bus_store_destroy(relay);
}

/* A mark waits for a take-over that is under way, and then sees it. */
static void
test_mark_meets_take_over(void)
{
	relay_begin();
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	int shard = bus_relay_shard_of(stream.stream);
	PGconn *taker = PQconnectdb(pg_cluster_url(kit_cluster, "kit"));
	char sql[128];
	snprintf(sql, sizeof(sql),
		 "BEGIN; UPDATE busline.relay_shard SET epoch = epoch + 1 WHERE shard = %d",
		 shard);
	run(taker, sql);
	PQsendQuery(taker, "SELECT pg_sleep(0.3); COMMIT");
	CU_ASSERT_EQUAL(mark(&(bus_outbox_cursor){ stream.stream, 1 }, 1),
			(bus_relay_shards)1 << shard);
	CU_ASSERT_EQUAL(
		kit_int("SELECT count(*) FROM busline.outbox_mark WHERE stream = %d",
			stream.stream),
		0);
	PQfinish(taker);
	bus_store_destroy(store);
	bus_store_destroy(relay);
}

/* What one relay has marked does not empty a table in which another has rows. */
static void
test_rotate_needs_all(void)
{
	relay_begin();
	writer writers[WRITERS];
	int emptied = 0;
	writers_begin(writers);
	(void)publish_all();
	for (int i = 0; i < 3; i++) {
		KIT_OK(bus_store_outbox_rotate(relay, &emptied, kit_error()));
	}
	for (int i = 0; i < 2; i++) {
		writer_write(&writers[i], 10);
		run(writers[i].conn, "COMMIT");
	}
	KIT_OK(bus_store_outbox_rotate(relay, &emptied, kit_error()));
	CU_ASSERT_EQUAL(mark(&(bus_outbox_cursor){ writers[0].stream, 10 }, 1), 0);
	KIT_OK(bus_store_outbox_rotate(relay, &emptied, kit_error()));
	CU_ASSERT_EQUAL(emptied, 0);
	CU_ASSERT_EQUAL(publish_all(), 10);
	KIT_OK(bus_store_outbox_rotate(relay, &emptied, kit_error()));
	CU_ASSERT_EQUAL(emptied, 1);
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

static const bus_case cases[] = {
	{ "rows are read in order and marked", test_read_and_mark },
	{ "a stream with a long tail does not hold up the others", test_fair },
	{ "what is read at a time is bounded in bytes", test_bytes },
	{ "a missing row stops the relay", test_gap },
	{ "16 writers that commit in reverse order lose nothing", test_reverse_commit },
	{ "the tables stay small, under an old transaction too", test_flat },
	{ "rotation waits for nobody and empties only what is published",
	  test_rotate_waits_not },
	{ "a writer later than the rotation is not lost", test_late_writer },
	{ "a relay reads and marks its own shards only", test_shards },
	{ "a mark waits for a take-over and sees it", test_mark_meets_take_over },
	{ "a table is emptied when all relays have marked what is in it",
	  test_rotate_needs_all },
	{ "units with outbox rows wake the relay", test_notify },
	{ 0 },
};

const bus_suite_def bus_suite = { "store: outbox", cases, kit_setup, kit_teardown };
