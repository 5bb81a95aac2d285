/*
 * test_store_timers.c - timers and incidents of units, and what the clock reads and takes
 */
#include <stdlib.h>

#include "tests/integration/store_kit.h"

static bus_status
commit(bus_store *store, const bus_unit *unit)
{
	bool done = false;
	bus_status status = bus_store_submit(store, unit, kit_error());
	return status == BUS_OK ? bus_store_await(store, -1, &done, kit_error()) : status;
}

static const bus_event shop = {
	.id = BUS_STR("c1"),
	.source = BUS_STR("/test"),
	.tenant = BUS_STR("acme"),
	.subject = BUS_STR("shop"),
	.actor = BUS_STR("eve"),
	.correlationid = BUS_STR("all"),
	.time_us = 1700000000123456,
};
/* A tenant's own: no subject, no time. */
static const bus_event bare = {
	.id = BUS_STR("c2"),
	.source = BUS_STR("/test"),
	.tenant = BUS_STR("acme"),
	.time_us = BUS_TIME_NONE,
};

static bus_timer_write
timer(bus_stream stream, const char *name, int64_t delay_ms, const bus_event *cause)
{
	return (bus_timer_write){
		.stream = stream.stream,
		.name = bus_str_from(name),
		.cancelled = delay_ms < 0,
		.delay_ms = delay_ms,
		.cause = cause,
	};
}

static const char *
names_of(bus_stream stream)
{
	return kit_sql("SELECT string_agg(subject || '/' || name || '=' || delay_ms, ' ' "
		       "ORDER BY subject, name) FROM busline.timer WHERE stream = %d",
		       stream.stream);
}

static void
test_set_and_cancel(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	kit_unit unit;
	kit_unit_make(&unit, &stream, 1, "acme");
	const bus_timer_write first[] = { timer(stream, "a", 1000, &shop),
					  timer(stream, "b", 0, &shop),
					  timer(stream, "a", 3000, &bare) };
	unit.unit.timers = first;
	unit.unit.timer_count = 3;
	KIT_OK(commit(store, &unit.unit));
	CU_ASSERT_STRING_EQUAL(names_of(stream), "/a=3000 shop/a=1000 shop/b=0");
	int64_t number = kit_int("SELECT number FROM busline.timer WHERE stream = %d "
				 "AND subject = 'shop' AND name = 'a'",
				 stream.stream);
	kit_unit_make(&unit, &stream, 1, "acme");
	const bus_timer_write second[] = { timer(stream, "a", 5000, &shop),
					   timer(stream, "b", -1, &shop),
					   timer(stream, "never", -1, &shop) };
	unit.unit.timers = second;
	unit.unit.timer_count = 3;
	KIT_OK(commit(store, &unit.unit));
	CU_ASSERT_STRING_EQUAL(names_of(stream), "/a=3000 shop/a=5000");
	CU_ASSERT_TRUE(kit_int("SELECT number FROM busline.timer WHERE stream = %d "
			       "AND subject = 'shop'",
			       stream.stream) > number);
	CU_ASSERT_STRING_EQUAL(
		kit_sql("SELECT bool_and(due_at = set_at + delay_ms * interval '1 ms' "
			"AND set_at BETWEEN now() - interval '1 min' AND now()) "
			"FROM busline.timer WHERE stream = %d",
			stream.stream),
		"t");
	/* a unit that fails sets nothing */
	kit_unit_make(&unit, &stream, 1, "acme");
	unit.expected.epoch++;
	const bus_timer_write third = timer(stream, "late", 1, &shop);
	unit.unit.timers = &third;
	unit.unit.timer_count = 1;
	KIT_IS(commit(store, &unit.unit), BUS_E_ABORT);
	CU_ASSERT_STRING_EQUAL(names_of(stream), "/a=3000 shop/a=5000");
	bus_store_destroy(store);
}

static void
test_look(void)
{
	bus_store *store = kit_store("busline_worker"),
		  *slow = kit_store("busline_worker");
	bus_stream stream = kit_stream(store), other = kit_stream(slow);
	int64_t wall_ms, xmin, later_xmin;
	KIT_OK(bus_store_clock_now(store, &wall_ms, &xmin, kit_error()));
	CU_ASSERT_TRUE(llabs(wall_ms - bus_clock_wall_us(bus_clock_system()) / 1000) <
		       60000);
	kit_unit unit, held;
	kit_unit_make(&held, &other, 1, "acme");
	const bus_timer_write behind = timer(other, "behind", 100, &shop);
	held.unit.timers = &behind;
	held.unit.timer_count = 1;
	kit_unit_make(&unit, &stream, 1, "acme");
	const bus_timer_write two[] = { timer(stream, "a", 1000, &shop),
					timer(stream, "b", 2000, &bare) };
	unit.unit.timers = two;
	unit.unit.timer_count = 2;
	KIT_OK(commit(store, &unit.unit));
	bus_timer_seen *seen = NULL;
	size_t count = 0;
	KIT_OK(bus_store_timer_look(store, xmin, (bus_timer_id){ 0 }, 1, kit_arena, &seen,
				    &count, kit_error()));
	CU_ASSERT_EQUAL_FATAL(count, 1);
	bus_timer_id ids[2] = { seen[0].id };
	CU_ASSERT_EQUAL(seen[0].delay_ms, 1000);
	CU_ASSERT_TRUE(llabs(seen[0].due_ms - wall_ms - 1000) < 60000);
	KIT_OK(bus_store_timer_look(store, xmin, ids[0], 10, kit_arena, &seen, &count,
				    kit_error()));
	CU_ASSERT_EQUAL_FATAL(count, 1);
	ids[1] = seen[0].id;
	KIT_OK(bus_store_clock_now(store, &wall_ms, &later_xmin, kit_error()));
	KIT_OK(bus_store_timer_look(store, later_xmin, (bus_timer_id){ 0 }, 10, kit_arena,
				    &seen, &count, kit_error()));
	CU_ASSERT_EQUAL(count, 0);
	KIT_OK(commit(slow, &held.unit));
	KIT_OK(bus_store_timer_look(store, later_xmin, (bus_timer_id){ 0 }, 10, kit_arena,
				    &seen, &count, kit_error()));
	CU_ASSERT_EQUAL(count, 1);

	bus_timer *timers = NULL;
	KIT_OK(bus_store_timer_load(store, ids, 2, kit_arena, &timers, &count,
				    kit_error()));
	CU_ASSERT_EQUAL_FATAL(count, 2);
	const bus_timer *a = &timers[timers[0].id.number == ids[0].number ? 0 : 1];
	const bus_timer *b = &timers[a == &timers[0] ? 1 : 0];
	CU_ASSERT_TRUE(bus_str_is(a->name, "a") && bus_str_is(a->tenant, "acme"));
	CU_ASSERT_TRUE(bus_str_is(a->subject, "shop") && bus_str_is(a->actor, "eve"));
	CU_ASSERT_TRUE(bus_str_is(a->cause_id, "c1"));
	CU_ASSERT_TRUE(bus_str_is(a->cause_source, "/test"));
	CU_ASSERT_TRUE(bus_str_is(a->correlationid, "all"));
	CU_ASSERT_EQUAL(a->cause_time_us, 1700000000123456);
	CU_ASSERT_TRUE(bus_str_is(b->subject, ""));
	CU_ASSERT_EQUAL(b->cause_time_us, BUS_TIME_NONE);
	CU_ASSERT_PTR_NULL(b->actor.data);
	bus_store_destroy(slow);
	bus_store_destroy(store);
}

static void
test_fire(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	int64_t wall_ms, xmin;
	KIT_OK(bus_store_clock_now(store, &wall_ms, &xmin, kit_error()));
	kit_unit unit;
	kit_unit_make(&unit, &stream, 1, "acme");
	const bus_timer_write two[] = { timer(stream, "a", 0, &shop),
					timer(stream, "b", 0, &shop) };
	unit.unit.timers = two;
	unit.unit.timer_count = 2;
	KIT_OK(commit(store, &unit.unit));
	bus_timer_seen *seen = NULL;
	size_t count = 0;
	KIT_OK(bus_store_timer_look(store, xmin, (bus_timer_id){ 0 }, 10, kit_arena,
				    &seen, &count, kit_error()));
	CU_ASSERT_EQUAL_FATAL(count, 2);
	const bus_timer_id ids[] = { seen[0].id, seen[1].id };
	/* one is set again: neither fires, and nothing else of the unit happens */
	kit_unit_make(&unit, &stream, 1, "acme");
	unit.unit.timers = two;
	unit.unit.timer_count = 1;
	KIT_OK(commit(store, &unit.unit));
	bus_stream before = stream;
	kit_unit_make(&unit, &stream, 1, "acme");
	unit.unit.fired = ids;
	unit.unit.fired_count = 2;
	KIT_IS(commit(store, &unit.unit), BUS_E_ABORT);
	CU_ASSERT_STRING_EQUAL(kit_err.sqlstate, "40001");
	CU_ASSERT_STRING_EQUAL(names_of(stream), "shop/a=0 shop/b=0");
	CU_ASSERT_EQUAL(
		kit_int("SELECT next_offset FROM busline.position WHERE stream = %d",
			stream.stream),
		before.next_offset);
	stream = before; /* the other one fires alone */
	kit_unit_make(&unit, &stream, 1, "acme");
	unit.unit.fired = &ids[1];
	unit.unit.fired_count = 1;
	KIT_OK(commit(store, &unit.unit));
	CU_ASSERT_STRING_EQUAL(names_of(stream), "shop/a=0");
	bus_store_destroy(store);
}

static void
test_beat(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	bus_clock_beat last,
		beat = { .boot_id = "b", .boot_ms = 5, .wall_ms = 7000, .xmin = 11 };
	KIT_OK(bus_store_clock_last(store, &last, kit_error()));
	CU_ASSERT_EQUAL(last.boot_id[0], '\0');
	KIT_OK(bus_store_clock_beat(store, &stream, &beat, NULL, 0, kit_error()));
	kit_unit unit;
	kit_unit_make(&unit, &stream, 1, "acme");
	const bus_timer_write one = timer(stream, "a", 1000, &shop);
	unit.unit.timers = &one;
	unit.unit.timer_count = 1;
	KIT_OK(commit(store, &unit.unit));
	bus_timer_seen *seen = NULL;
	size_t count = 0;
	KIT_OK(bus_store_timer_look(store, 0, (bus_timer_id){ 0 }, 100, kit_arena, &seen,
				    &count, kit_error()));
	bus_timer_seen corrected = { .delay_ms = 0 };
	for (size_t i = 0; i < count; i++) {
		corrected = seen[i].id.number > corrected.id.number ? seen[i] : corrected;
	}
	corrected.due_ms = 1700000000500;
	beat.wall_ms = 8000;
	KIT_OK(bus_store_clock_beat(store, &stream, &beat, &corrected, 1, kit_error()));
	KIT_OK(bus_store_clock_last(store, &last, kit_error()));
	CU_ASSERT_STRING_EQUAL(last.boot_id, "b");
	CU_ASSERT_EQUAL(last.boot_ms, 5);
	CU_ASSERT_EQUAL(last.wall_ms, 8000);
	CU_ASSERT_EQUAL(last.xmin, 11);
	CU_ASSERT_STRING_EQUAL(
		kit_sql("SELECT extract(epoch FROM due_at) FROM busline.timer "
			"WHERE stream = %d",
			stream.stream),
		"1700000000.500000");
	stream.epoch--;
	KIT_IS(bus_store_clock_beat(store, &stream, &beat, NULL, 0, kit_error()),
	       BUS_E_ABORT);
	CU_ASSERT_STRING_EQUAL(kit_err.sqlstate, BUS_SQLSTATE_FENCED);
	bus_store_destroy(store);
}

static const char *
incidents_of(bus_stream stream)
{
	return kit_sql(
		"SELECT string_agg(concat_ws('|', i.kind, i.subject, i.\"offset\", "
		"i.count, i.detail, i.closed_by IS NOT NULL, i.close_reason), ' ' "
		"ORDER BY i.subject DESC, i.id) FROM busline.incident i "
		"JOIN busline.position p USING (topic, partition) WHERE p.stream = %d",
		stream.stream);
}

static void
test_incidents(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_stream stream = kit_stream(store);
	kit_unit unit;
	bus_incident_write rows[] = {
		{ stream.stream, 4, "stuck", false, BUS_STR("one"), &shop },
		{ stream.stream, 4, "stuck", false, BUS_STR("two"), &bare },
		{ stream.stream, 4, "never-open", true, BUS_STR("why"), &shop },
	};
	for (int i = 0; i < 2; i++) {
		kit_unit_make(&unit, &stream, 1, "acme");
		unit.unit.incidents = rows;
		unit.unit.incident_count = 3;
		KIT_OK(commit(store, &unit.unit));
	}
	CU_ASSERT_STRING_EQUAL(incidents_of(stream),
			       "stuck|shop|4|2|one|f stuck||4|2|two|f");
	kit_unit_make(&unit, &stream, 1, "acme");
	rows[0].closed = true;
	rows[0].text = BUS_STR("solved");
	unit.unit.incidents = rows;
	unit.unit.incident_count = 1;
	KIT_OK(commit(store, &unit.unit));
	CU_ASSERT_STRING_EQUAL(incidents_of(stream),
			       "stuck|shop|4|2|one|t|solved stuck||4|2|two|f");
	rows[0].closed = false;
	rows[0].text = BUS_STR("again");
	kit_unit_make(&unit, &stream, 1, "acme");
	unit.unit.incidents = rows;
	unit.unit.incident_count = 1;
	KIT_OK(commit(store, &unit.unit));
	CU_ASSERT_STRING_EQUAL(
		incidents_of(stream),
		"stuck|shop|4|2|one|t|solved stuck|shop|4|1|again|f stuck||4|2|two|f");
	bus_store_destroy(store);
}

/* Nobody must wait an hour for a lease because the server's clock was set back. */
static void
test_lease_of_the_future(void)
{
	bus_store *store = kit_store("busline_worker");
	bus_lease lease = { 0 };
	KIT_OK(bus_store_lease(store, "future", "a", 5000, 0, &lease, kit_error()));
	CU_ASSERT_EQUAL(lease.epoch, 1);
	KIT_OK(bus_store_lease(store, "future", "b", 5000, 0, &lease, kit_error()));
	CU_ASSERT_EQUAL(lease.epoch, 0);
	kit_sql("UPDATE busline.lease SET renewed_at = now() + interval '1 hour', "
		"expires_at = now() + interval '1 hour 5 s' WHERE name = 'future'");
	KIT_OK(bus_store_lease(store, "future", "b", 5000, 0, &lease, kit_error()));
	CU_ASSERT_EQUAL(lease.epoch, 2);
	CU_ASSERT_TRUE(kit_int("SELECT count(*) FROM busline.lease WHERE name = 'future' "
			       "AND expires_at < now() + interval '1 min'") == 1);
	bus_store_destroy(store);
}

static const bus_case cases[] = {
	{ "a unit sets and cancels timers, or nothing", test_set_and_cancel },
	{ "a look finds each setting once, and all that fires is made of", test_look },
	{ "timers fire all together or not at all", test_fire },
	{ "a sign of life corrects due times, under its epoch only", test_beat },
	{ "incidents of keys are opened, counted, closed and opened again",
	  test_incidents },
	{ "a lease renewed in the future may be taken", test_lease_of_the_future },
	{ 0 },
};

const bus_suite_def bus_suite = { "store: timers", cases, kit_setup, kit_teardown };
