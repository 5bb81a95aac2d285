/*
 * test_store_unit.c - units: all or nothing, fenced, repeats found, rows come back as written
 */
#include <stddef.h>
#include <stdio.h>

#include "tests/integration/store_kit.h"

static bool
submit_and_await(bus_store *store, kit_unit *unit, bus_status wanted)
{
	bool done = false;
	if (!KIT_OK(bus_store_submit(store, &unit->unit, kit_error()))) {
		return false;
	}
	return KIT_IS(bus_store_await(store, -1, &done, kit_error()), wanted) &&
	       done == (wanted == BUS_OK);
}

static int64_t
ledger_rows(int32_t stream)
{
	return kit_int("SELECT count(*) FROM busline.ledger WHERE stream = %d", stream);
}

static void
test_assign(void)
{
	bus_store *store = kit_store("busline_worker");
	const int32_t partitions[] = { 2, 0, 1 };
	bus_stream first[3];
	bus_stream again[3];
	KIT_OK(bus_store_assign(store, "assign", partitions, 3, first, kit_error()));
	KIT_OK(bus_store_assign(store, "assign", partitions, 3, again, kit_error()));
	for (size_t i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(first[i].partition, partitions[i]);
		CU_ASSERT_EQUAL(first[i].epoch, 1);
		CU_ASSERT_EQUAL(again[i].epoch, 2);
		CU_ASSERT_EQUAL(first[i].stream, again[i].stream);
		CU_ASSERT_EQUAL(again[i].next_offset, 0);
	}
	CU_ASSERT_EQUAL(
		kit_int("SELECT count(*) FROM busline.position WHERE topic = 'assign'"),
		3);
	bus_store_destroy(store);
}

static void
test_happy(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	kit_unit unit;
	kit_unit_make(&unit, &stream, 3, "acme");
	unit.ledger[1].verdict = BUS_IGNORED;
	unit.ledger[1].reason = BUS_STR("nothing to do");
	unit.records[2].value = BUS_STR_NULL;
	unit.records[2].key = BUS_STR_NULL;
	unit.events[2].time_us = BUS_TIME_NONE;
	unit.ledger[2].record_time_ms = -1;
	CU_ASSERT_TRUE(submit_and_await(store, &unit, BUS_OK));
	bus_stream stored = { .stream = stream.stream };
	KIT_OK(bus_store_positions(store, &stored, 1, kit_error()));
	CU_ASSERT_EQUAL(stored.next_offset, 3);
	CU_ASSERT_EQUAL(stored.epoch, 1);
	CU_ASSERT_EQUAL(memcmp(&stored.head, &stream.head, sizeof(stream.head)), 0);
	CU_ASSERT_STRING_EQUAL(
		kit_sql("SELECT string_agg(concat_ws('|', \"offset\", id, tenant, type, verdict, "
			"reason, extract(epoch FROM time), extract(epoch FROM record_time), "
			"key, data->>'a', headers->>'content-type'), ' ' ORDER BY \"offset\") "
			"FROM busline.events WHERE stream = %d AND \"offset\" < 2",
			stream.stream),
		kit_sql("SELECT '0|%s|acme|io.busline.kit.v1|APPLIED|1700000000.123456|"
			"1700000000.000000|key|1|application/json "
			"1|%s|acme|io.busline.kit.v1|IGNORED|nothing to do|1700000000.123456|"
			"1700000000.000000|key|1|application/json'",
			unit.ids[0], unit.ids[1]));
	CU_ASSERT_STRING_EQUAL(
		kit_sql("SELECT data IS NULL AND key IS NULL AND time IS NULL AND "
			"record_time IS NULL AND reason IS NULL "
			"FROM busline.ledger WHERE stream = %d AND \"offset\" = 2",
			stream.stream),
		"t");
	CU_ASSERT_EQUAL(kit_int("SELECT count(*) FROM busline.identity WHERE stream = %d",
				stream.stream),
			3);
	bus_store_destroy(store);
}

static void
test_two_in_flight(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	kit_unit units[3];
	bool done = false;
	for (size_t i = 0; i < 3; i++) {
		kit_unit_make(&units[i], &stream, 5, "acme");
	}
	KIT_OK(bus_store_submit(store, &units[0].unit, kit_error()));
	KIT_OK(bus_store_submit(store, &units[1].unit, kit_error()));
	CU_ASSERT_EQUAL(bus_store_in_flight(store), 2);
	KIT_IS(bus_store_submit(store, &units[2].unit, kit_error()), BUS_E_FATAL);
	KIT_OK(bus_store_await(store, -1, &done, kit_error()));
	KIT_OK(bus_store_submit(store, &units[2].unit, kit_error()));
	KIT_OK(bus_store_await(store, -1, &done, kit_error()));
	KIT_OK(bus_store_await(store, -1, &done, kit_error()));
	CU_ASSERT_EQUAL(bus_store_in_flight(store), 0);
	CU_ASSERT_EQUAL(ledger_rows(stream.stream), 15);
	bus_store_destroy(store);
}

/* A unit too big for the socket's buffers, and one behind it: sending must read too. */
static void
test_large_units(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	static char value[200 * 1024];
	static kit_unit units[2];
	bool done = false;
	memset(value, 'x', sizeof(value));
	for (size_t u = 0; u < 2; u++) {
		kit_unit_make(&units[u], &stream, KIT_ROWS_MAX, "acme");
		for (size_t i = 0; i < KIT_ROWS_MAX; i++) {
			units[u].records[i].value = (bus_str){ value, sizeof(value) };
		}
		KIT_OK(bus_store_submit(store, &units[u].unit, kit_error()));
	}
	KIT_OK(bus_store_await(store, -1, &done, kit_error()));
	KIT_OK(bus_store_await(store, -1, &done, kit_error()));
	CU_ASSERT_EQUAL(
		kit_int("SELECT sum(length(data)) FROM busline.ledger WHERE stream = %d",
			stream.stream),
		(int64_t)sizeof(value) * KIT_ROWS_MAX * 2);
	bus_store_destroy(store);
}

static void
fenced(bool wrong_epoch)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	bus_stream other = kit_stream(store);
	kit_unit unit;
	kit_unit behind;
	kit_unit unrelated;
	bool done = false;
	if (wrong_epoch) {
		kit_sql("UPDATE busline.position SET epoch = epoch + 1 WHERE stream = %d",
			stream.stream);
	} else {
		stream.next_offset = 7;
	}
	kit_unit_make(&unit, &stream, 2, "acme");
	kit_unit_make(&behind, &stream, 2, "acme");
	KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
	KIT_OK(bus_store_submit(store, &behind.unit, kit_error()));
	KIT_IS(bus_store_await(store, -1, &done, kit_error()), BUS_E_ABORT);
	CU_ASSERT_STRING_EQUAL(kit_err.sqlstate, BUS_SQLSTATE_FENCED);
	CU_ASSERT_FALSE(bus_store_is_repeat(&kit_err));
	CU_ASSERT_EQUAL(bus_store_in_flight(store), 0);
	CU_ASSERT_EQUAL(ledger_rows(stream.stream), 0);
	/* the connection is as good as before */
	kit_unit_make(&unrelated, &other, 1, "acme");
	CU_ASSERT_TRUE(submit_and_await(store, &unrelated, BUS_OK));
	bus_store_destroy(store);
}

static void
test_fence_epoch(void)
{
	fenced(true);
}

static void
test_fence_offset(void)
{
	fenced(false);
}

static void
test_fence_one_of_many(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream good = kit_stream(store);
	bus_stream bad = kit_stream(store);
	kit_unit first;
	kit_unit second;
	kit_unit_make(&first, &good, 1, "acme");
	bad.epoch = 99;
	kit_unit_make(&second, &bad, 1, "acme");
	const bus_unit_position positions[] = { first.position, second.position };
	first.unit.positions = positions;
	first.unit.position_count = 2;
	CU_ASSERT_TRUE(submit_and_await(store, &first, BUS_E_ABORT));
	char named[32];
	snprintf(named, sizeof(named), "stream %d ", bad.stream);
	CU_ASSERT_PTR_NOT_NULL(strstr(kit_err.text, named));
	CU_ASSERT_EQUAL(
		kit_int("SELECT next_offset FROM busline.position WHERE stream = %d",
			good.stream),
		0);
	bus_store_destroy(store);
}

static void
test_repeat(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	kit_unit unit;
	kit_unit repeat;
	bool done = false;
	kit_unit_make(&unit, &stream, 3, "acme");
	CU_ASSERT_TRUE(submit_and_await(store, &unit, BUS_OK));
	kit_unit_make(&repeat, &stream, 3, "acme");
	repeat.ledger[1].identity = unit.ledger[2].identity;
	KIT_OK(bus_store_submit(store, &repeat.unit, kit_error()));
	KIT_IS(bus_store_await(store, -1, &done, kit_error()), BUS_E_ABORT);
	CU_ASSERT_TRUE(bus_store_is_repeat(&kit_err));
	CU_ASSERT_EQUAL(ledger_rows(stream.stream), 3);

	int32_t streams[3];
	bus_uuid identities[3];
	bus_known_identity known[3];
	for (size_t i = 0; i < 3; i++) {
		streams[i] = stream.stream;
		identities[i] = repeat.ledger[i].identity;
	}
	KIT_OK(bus_store_repeats(store, streams, identities, 3, known, kit_error()));
	CU_ASSERT_FALSE(known[0].known);
	CU_ASSERT_TRUE(known[1].known);
	CU_ASSERT_FALSE(known[2].known);
	CU_ASSERT_EQUAL(known[1].offset, 2);
	CU_ASSERT_EQUAL(memcmp(known[1].digest, unit.ledger[2].digest.bytes, 16), 0);
	/* another stream knows nothing of it */
	streams[1] = -1;
	KIT_OK(bus_store_repeats(store, streams, identities, 3, known, kit_error()));
	CU_ASSERT_FALSE(known[1].known);
	/* not identified: the same key is no repeat */
	repeat.ledger[1].identified = false;
	CU_ASSERT_TRUE(submit_and_await(store, &repeat, BUS_OK));
	bus_store_destroy(store);
}

/* ---- state ---- */

typedef struct release_row {
	bus_str tenant, app;
	int64_t number;
	bus_str kind;
	int64_t rollback_to;
	bus_str image, command, environment, artifact_digest, status, reason,
		requested_by;
	int64_t requested_at, started_at, finished_at;
	bus_str event_source, event_id;
	int64_t updated_at;
} release_row;

static const bus_column release_columns[] = {
	BUS_COLUMN(release_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(release_row, app, BUS_COL_TEXT),
	BUS_COLUMN(release_row, number, BUS_COL_INT8),
	BUS_COLUMN(release_row, kind, BUS_COL_TEXT),
	BUS_COLUMN(release_row, rollback_to, BUS_COL_INT8),
	BUS_COLUMN(release_row, image, BUS_COL_TEXT),
	BUS_COLUMN(release_row, command, BUS_COL_JSON),
	BUS_COLUMN(release_row, environment, BUS_COL_JSON),
	BUS_COLUMN(release_row, artifact_digest, BUS_COL_TEXT),
	BUS_COLUMN(release_row, status, BUS_COL_TEXT),
	BUS_COLUMN(release_row, reason, BUS_COL_TEXT),
	BUS_COLUMN(release_row, requested_by, BUS_COL_TEXT),
	BUS_COLUMN(release_row, requested_at, BUS_COL_TIME),
	BUS_COLUMN(release_row, started_at, BUS_COL_TIME),
	BUS_COLUMN(release_row, finished_at, BUS_COL_TIME),
	BUS_COLUMN(release_row, event_source, BUS_COL_TEXT),
	BUS_COLUMN(release_row, event_id, BUS_COL_TEXT),
	BUS_COLUMN(release_row, updated_at, BUS_COL_TIME),
};

static const bus_row_type release_type = { .name = "release",
					   .size = sizeof(release_row),
					   .columns = release_columns,
					   .column_count = 18,
					   .key_count = 3 };

static release_row
release_of(const char *app, int64_t number)
{
	return (release_row){ .tenant = BUS_STR("acme"),
			      .app = bus_str_from(app),
			      .number = number,
			      .kind = BUS_STR("deploy"),
			      .rollback_to = BUS_INT_NULL,
			      .image = BUS_STR("registry/app:1"),
			      .command = BUS_STR("[\"run\", \"\\u00e9\"]"),
			      .environment = BUS_STR_NULL,
			      .artifact_digest = BUS_STR_NULL,
			      .status = BUS_STR("requested"),
			      .reason = BUS_STR(""),
			      .requested_by = BUS_STR("J\xc3\xb6rg"),
			      .requested_at = -62135596800000000, /* 0001-01-01 */
			      .started_at = BUS_INT_NULL,
			      .finished_at = 253402300799999999, /* 9999-12-31 */
			      .event_source = BUS_STR("/kit"),
			      .event_id = BUS_STR("1"),
			      .updated_at = 1 };
}

/* Every member of both is equal, JSON as PostgreSQL writes it. */
static void
check_release(const release_row *got, const release_row *wanted, const char *command)
{
	for (size_t c = 0; c < release_type.column_count; c++) {
		const bus_column *column = &release_columns[c];
		const char *a = (const char *)got + column->offset;
		const char *b = (const char *)wanted + column->offset;
		if (column->type == BUS_COL_INT8 || column->type == BUS_COL_TIME) {
			CU_ASSERT_EQUAL(memcmp(a, b, sizeof(int64_t)), 0);
		} else if (column->offset == offsetof(release_row, command)) {
			CU_ASSERT_TRUE(bus_str_is(got->command, command));
		} else {
			CU_ASSERT_TRUE(bus_str_eq(*(const bus_str *)a,
						  *(const bus_str *)b));
		}
	}
}

static void
test_state(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	release_row rows[2] = { release_of("a", 1), release_of("b", 1) };
	const void *pointers[2] = { &rows[0], &rows[1] };
	const bus_unit_write write = { .type = &release_type,
				       .rows = pointers,
				       .count = 2 };
	kit_unit unit;
	kit_unit_make(&unit, &stream, 1, "acme");
	unit.unit.writes = &write;
	unit.unit.write_count = 1;
	CU_ASSERT_TRUE(submit_and_await(store, &unit, BUS_OK));

	release_row absent = release_of("c", 1);
	const void *keys[3] = { &absent, &rows[1], &rows[0] };
	void *loaded = NULL;
	size_t count = 0;
	KIT_OK(bus_store_load(store, &release_type, keys, 3, kit_arena, &loaded, &count,
			      kit_error()));
	CU_ASSERT_EQUAL_FATAL(count, 2);
	for (size_t i = 0; i < 2; i++) {
		const release_row *got = (const release_row *)loaded + i;
		check_release(got, bus_str_is(got->app, "a") ? &rows[0] : &rows[1],
			      "[\"run\", \"\xc3\xa9\"]");
	}
	/* replaced whole: NULL becomes a value, a value NULL */
	rows[0].environment = BUS_STR("{\"A\": \"1\"}");
	rows[0].command = BUS_STR_NULL;
	rows[0].started_at = 5;
	rows[0].finished_at = BUS_INT_NULL;
	rows[0].reason = BUS_STR_NULL;
	kit_unit_make(&unit, &stream, 1, "acme");
	unit.unit.writes = &write;
	unit.unit.write_count = 1;
	KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
	/* in flight: the load is answered behind the unit, and sees it */
	KIT_OK(bus_store_load(store, &release_type, (const void *[]){ &rows[0] }, 1,
			      kit_arena, &loaded, &count, kit_error()));
	CU_ASSERT_EQUAL_FATAL(count, 1);
	const release_row *got = loaded;
	CU_ASSERT_PTR_NULL(got->command.data);
	CU_ASSERT_TRUE(bus_str_is(got->environment, "{\"A\": \"1\"}"));
	CU_ASSERT_EQUAL(got->started_at, 5);
	CU_ASSERT_EQUAL(got->finished_at, BUS_INT_NULL);
	bool done = false;
	CU_ASSERT_EQUAL(bus_store_in_flight(store), 1);
	KIT_OK(bus_store_await(store, 0, &done, kit_error()));
	CU_ASSERT_TRUE(done);
	bus_store_destroy(store);
}

static void
test_load_behind_failure(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	bool done = false;
	kit_unit unit;
	stream.epoch = 99;
	kit_unit_make(&unit, &stream, 1, "acme");
	KIT_OK(bus_store_submit(store, &unit.unit, kit_error()));
	release_row key = release_of("nowhere", 1);
	void *loaded = NULL;
	size_t count = 1;
	KIT_OK(bus_store_load(store, &release_type, (const void *[]){ &key }, 1,
			      kit_arena, &loaded, &count, kit_error()));
	CU_ASSERT_EQUAL(count, 0);
	KIT_IS(bus_store_await(store, -1, &done, kit_error()), BUS_E_ABORT);
	CU_ASSERT_STRING_EQUAL(kit_err.sqlstate, BUS_SQLSTATE_FENCED);
	bus_store_destroy(store);
}

static void
test_refused_data(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	release_row row = release_of("bad", 1);
	const void *pointer = &row;
	const bus_unit_write write = { .type = &release_type,
				       .rows = &pointer,
				       .count = 1 };
	static const struct {
		size_t member;
		const char *value;
		const char *sqlstate;
	} cases[] = {
		{ offsetof(release_row, status), "dancing", "23514" },
		{ offsetof(release_row, command), "not JSON", "22P02" },
		{ offsetof(release_row, image), "\xff", "22021" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		row = release_of("bad", 1);
		bus_str value = bus_str_from(cases[i].value);
		memcpy((char *)&row + cases[i].member, &value, sizeof(value));
		kit_unit unit;
		bus_stream at = stream;
		kit_unit_make(&unit, &at, 1, "acme");
		unit.unit.writes = &write;
		unit.unit.write_count = 1;
		CU_ASSERT_TRUE(submit_and_await(store, &unit, BUS_E_REJECT));
		CU_ASSERT_STRING_EQUAL(kit_err.sqlstate, cases[i].sqlstate);
	}
	CU_ASSERT_EQUAL(ledger_rows(stream.stream), 0);
	bus_store_destroy(store);
}

/* Nothing that came from outside may keep a dead letter out. */
static void
test_dead_letter(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	kit_unit unit;
	kit_unit_make(&unit, &stream, 1, "acme");
	unit.events[0].id = (bus_str){ "a\0b\xff", 4 };
	unit.events[0].source = (bus_str){ "\xed\xa0\x80", 3 };
	unit.events[0].tenant = BUS_STR_NULL;
	unit.records[0].value = (bus_str){ "\0\xff{", 3 };
	unit.headers[0][0] = (bus_header){ { "\xfe\0", 2 }, BUS_STR_NULL };
	unit.ledger[0].verdict = BUS_REJECTED;
	unit.ledger[0].reason = (bus_str){ "r\0", 2 };
	const bus_dead_letter letter = { .row = &unit.ledger[0],
					 .cause = BUS_CAUSE_UNDECODABLE,
					 .detail = (bus_str){ "bad \xc3", 5 } };
	unit.unit.dead_letters = &letter;
	unit.unit.dead_letter_count = 1;
	CU_ASSERT_TRUE(submit_and_await(store, &unit, BUS_OK));
	const char *want = "undecodable|bad \xef\xbf\xbd|a\xef\xbf\xbd"
			   "b\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|00ff7b";
	CU_ASSERT_STRING_EQUAL(
		kit_sql("SELECT concat_ws('|', cause, detail, id, source, tenant, "
			"encode(data, 'hex')) FROM busline.dead_letter "
			"WHERE stream = %d",
			stream.stream),
		want);
	CU_ASSERT_STRING_EQUAL(
		kit_sql("SELECT encode(headers, 'hex') = encode(l.headers, 'hex') "
			"AND l.verdict = 'REJECTED' FROM busline.dead_letter d "
			"JOIN busline.ledger l USING (stream, \"offset\", headers) "
			"WHERE stream = %d",
			stream.stream),
		"t");
	/* and the view over it can be read */
	CU_ASSERT_STRING_EQUAL(kit_sql("SELECT data IS NULL AND headers IS NOT NULL "
				       "FROM busline.events WHERE stream = %d",
				       stream.stream),
			       "t");
	bus_store_destroy(store);
}

static const bus_case cases[] = {
	{ "assign makes rows once and raises the epoch each time", test_assign },
	{ "a unit stores ledger, identities and position", test_happy },
	{ "two units are in flight, a third is refused", test_two_in_flight },
	{ "units larger than the socket's buffers do not deadlock", test_large_units },
	{ "a wrong epoch fails the unit and the one behind it", test_fence_epoch },
	{ "a wrong offset fails the unit and the one behind it", test_fence_offset },
	{ "one fenced stream of many fails all, and is named", test_fence_one_of_many },
	{ "a repeat fails the unit and is found", test_repeat },
	{ "state rows come back as they were written", test_state },
	{ "a load behind a failed unit is answered", test_load_behind_failure },
	{ "data that PostgreSQL refuses is REJECT", test_refused_data },
	{ "a dead letter takes any bytes", test_dead_letter },
	{ 0 },
};

const bus_suite_def bus_suite = { "store: units", cases, kit_setup, kit_teardown };
