/*
 * test_fold.c - what the folder promises to every fold, with a worker made for it
 *
 * The worker counts: its only row is one per tenant, subject and name. Its events say with
 * their type what their fold does, so that each promise is met alone.
 */
#include <stdio.h>

#include "tests/support/suite.h"
#include "workers/engine/fold.h"

typedef struct counter_row {
	bus_str tenant, subject, name;
	int64_t count;
	bus_str note;
} counter_row;

static const bus_column counter_columns[] = {
	BUS_COLUMN(counter_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(counter_row, subject, BUS_COL_TEXT),
	BUS_COLUMN(counter_row, name, BUS_COL_TEXT),
	BUS_COLUMN(counter_row, count, BUS_COL_INT8),
	BUS_COLUMN(counter_row, note, BUS_COL_TEXT),
};

static const bus_row_type counter_table = {
	.name = "counter",
	.size = sizeof(counter_row),
	.columns = counter_columns,
	.column_count = sizeof(counter_columns) / sizeof(counter_columns[0]),
	.key_count = 3,
};

static size_t runs; /* of any fold */

/* Adds one to the counter named by the event's actor; its note is the event's id. */
static bool
add_one(bus_fold *fold, const bus_event *event)
{
	runs++;
	counter_row row = { .tenant = BUS_STR("somebody else's"), .name = event->actor };
	const void *found = NULL;
	if (bus_fold_get(fold, &counter_table, &row, &found) == BUS_WAIT) {
		return false;
	}
	if (found != NULL) {
		row = *(const counter_row *)found;
	}
	char note[64];
	snprintf(note, sizeof(note), "after %.*s", BUS_STR_ARG(event->id));
	row.count++;
	row.note = bus_str_from(note); /* not the arena's: the folder must copy it */
	bus_fold_put(fold, &counter_table, &row);
	return true;
}

static bus_verdict
on_added(bus_fold *fold, const bus_event *event, const json_t *data)
{
	(void)data;
	return add_one(fold, event) ? BUS_APPLIED : bus_fold_wait(fold);
}

static void
emit(bus_fold *fold)
{
	bus_fold_emit(fold, &(bus_follow_up){ .type = "test.answered.v1",
					      .step = "answer",
					      .data = json_object() });
}

static bus_verdict
on_refused(bus_fold *fold, const bus_event *event, const json_t *data)
{
	(void)data;
	emit(fold);
	return add_one(fold, event) ? bus_fold_reject(fold, "no: %d", 7) :
				      bus_fold_wait(fold);
}

static bus_verdict
on_ignored(bus_fold *fold, const bus_event *event, const json_t *data)
{
	(void)data;
	return add_one(fold, event) ? bus_fold_ignore(fold, "nothing new") :
				      bus_fold_wait(fold);
}

/* Promises first and asks for its row then: what it promised before it had to wait is void. */
static bus_verdict
on_promised(bus_fold *fold, const bus_event *event, const json_t *data)
{
	(void)data;
	char name[] = "deadline/a";
	bus_fold_timer_set(fold, bus_str_from(name), 500);
	bus_fold_timer_cancel(fold, BUS_STR("retry/a"));
	bus_fold_timer_set(fold, BUS_STR("long"), INT64_MAX);
	bus_fold_timer_set(fold, BUS_STR("at once"), -5);
	memset(name, 'x', sizeof(name) - 1); /* the folder must have copied it */
	bus_fold_incident_open(fold, "stuck", BUS_STR("look at it"));
	bus_fold_incident_close(fold, "late", BUS_STR("it came"));
	return add_one(fold, event) ? bus_fold_reject(fold, "whatever the verdict") :
				      bus_fold_wait(fold);
}

/* One of each: of the cause's saga, of another, of none; a command; on another topic. */
static bus_verdict
on_asked(bus_fold *fold, const bus_event *event, const json_t *data)
{
	(void)event;
	(void)data;
	const bus_follow_up follow_ups[] = {
		{ .type = "test.done.v1",
		  .step = "1",
		  .data = json_pack("{s:i}", "n", 1) },
		{ .type = "test.done.v1",
		  .step = "2",
		  .data = json_object(),
		  .sagaid = BUS_STR("other"),
		  .sagastep = BUS_STR("x/do/1") },
		{ .type = "test.done.v1",
		  .step = "3",
		  .data = json_object(),
		  .sagaid = BUS_STR("") },
		{ .type = "test.undo-requested.v1", .step = "4", .data = json_object() },
		{ .type = "test.done.v1",
		  .step = "5",
		  .data = json_object(),
		  .topic = "test.elsewhere" },
	};
	for (size_t i = 0; i < sizeof(follow_ups) / sizeof(follow_ups[0]); i++) {
		bus_fold_emit(fold, &follow_ups[i]);
	}
	return BUS_APPLIED;
}

static const bus_handler handlers[] = {
	{ "promised", on_promised }, { "asked", on_asked },     { "added", on_added },
	{ "refused", on_refused },   { "ignored", on_ignored }, { NULL, NULL },
};

static const bus_row_type *const tables[] = { &counter_table, NULL };

static const bus_worker counter_worker = {
	.name = "counter",
	.topic = "test.counter",
	.help = "",
	.handlers = handlers,
	.tables = tables,
};

/* The rows outside memory: every counter stands at 100 there, but the new ones. */
typedef struct source {
	size_t loads, keys;
	bool fails;
} source;

static bus_status
load(void *ctx, const bus_row_type *type, const void *const *keys, size_t count,
     bus_arena *arena, void **ret_rows, size_t *ret_count, bus_error *err)
{
	source *s = ctx;
	s->loads++;
	s->keys += count;
	if (s->fails) {
		return bus_error_set(err, BUS_E_ABORT, "test", 0, "away");
	}
	counter_row *rows = bus_arena_alloc(arena, count * type->size);
	size_t found = 0;
	for (size_t i = 0; i < count; i++) {
		const counter_row *key = keys[i];
		if (!bus_str_is(key->name, "new")) {
			rows[found] = *key;
			rows[found].count = 100;
			rows[found++].note = BUS_STR_NULL;
		}
	}
	*ret_rows = rows;
	*ret_count = found;
	return BUS_OK;
}

typedef struct bench {
	source source;
	bus_folder *folder;
	bus_arena *arena;
	const bus_unit_write *writes;
	size_t write_count;
} bench;

static void
bench_new(bench *b)
{
	*b = (bench){ .arena = bus_arena_create(4096) };
	bus_fold_source rows = { .load = load, .ctx = &b->source };
	b->folder = bus_folder_create(&counter_worker, rows, 1000);
	runs = 0;
}

static void
bench_end(bench *b)
{
	bus_folder_destroy(b->folder);
	bus_arena_destroy(b->arena);
}

static bus_event
event(const char *type, const char *id, const char *subject, const char *name)
{
	return (bus_event){
		.id = bus_str_from(id),
		.source = BUS_STR("/test"),
		.type = bus_str_from(type),
		.subject = bus_str_from(subject),
		.tenant = BUS_STR("acme"),
		.actor = bus_str_from(name),
		.time_us = 1,
	};
}

static bus_status
run(bench *b, bus_fold_item *items, size_t count)
{
	bus_error err = BUS_ERROR_INIT;
	bus_status status = bus_folder_run(b->folder, items, count, b->arena, &err);
	bus_folder_writes(b->folder, &b->writes, &b->write_count);
	return status;
}

/* The only row written; NULL if there is none or another number. */
static const counter_row *
the_row(const bench *b)
{
	return b->write_count == 1 && b->writes[0].count == 1 ? b->writes[0].rows[0] :
								NULL;
}

static void
test_rows_only_when_applied(void)
{
	bench b;
	bench_new(&b);
	bus_event events[] = {
		event("refused", "1", "shop", "old"),
		event("ignored", "2", "shop", "old"),
		event("unheard-of", "3", "shop", "old"),
	};
	bus_fold_item items[] = { { .event = &events[0] },
				  { .event = &events[1] },
				  { .event = &events[2] } };
	CU_ASSERT_EQUAL_FATAL(run(&b, items, 3), BUS_OK);
	CU_ASSERT_EQUAL(b.write_count, 0);
	CU_ASSERT_EQUAL(items[0].verdict, BUS_REJECTED);
	CU_ASSERT_TRUE(bus_str_is(items[0].reason, "no: 7"));
	CU_ASSERT_EQUAL(items[0].follow_up_count, 1);
	CU_ASSERT_EQUAL(items[1].verdict, BUS_IGNORED);
	CU_ASSERT_TRUE(bus_str_is(items[1].reason, "nothing new"));
	CU_ASSERT_EQUAL(items[1].follow_up_count, 0);
	CU_ASSERT_EQUAL(items[2].verdict, BUS_IGNORED);
	/* and the next event of the key sees none of it */
	bus_event next = event("added", "4", "shop", "old");
	bus_fold_item more = { .event = &next };
	CU_ASSERT_EQUAL_FATAL(run(&b, &more, 1), BUS_OK);
	CU_ASSERT_PTR_NOT_NULL_FATAL(the_row(&b));
	CU_ASSERT_EQUAL(the_row(&b)->count, 101);
	bench_end(&b);
}

static void
test_one_row_per_key(void)
{
	bench b;
	bench_new(&b);
	bus_event events[] = {
		event("added", "1", "shop", "old"),
		event("added", "2", "shop", "new"),
		event("added", "3", "blog", "old"),
		event("added", "4", "shop", "old"),
	};
	bus_fold_item items[4];
	for (size_t i = 0; i < 4; i++) {
		items[i] = (bus_fold_item){ .event = &events[i] };
	}
	CU_ASSERT_EQUAL_FATAL(run(&b, items, 4), BUS_OK);
	CU_ASSERT_EQUAL_FATAL(b.write_count, 1);
	CU_ASSERT_EQUAL_FATAL(b.writes[0].count, 3);
	const counter_row *const *rows = (const counter_row *const *)b.writes[0].rows;
	/* sorted by key, of the event's own tenant and subject */
	CU_ASSERT_TRUE(bus_str_is(rows[0]->subject, "blog"));
	CU_ASSERT_EQUAL(rows[0]->count, 101);
	CU_ASSERT_TRUE(bus_str_is(rows[1]->tenant, "acme"));
	CU_ASSERT_TRUE(bus_str_is(rows[1]->name, "new"));
	CU_ASSERT_EQUAL(rows[1]->count, 1);
	CU_ASSERT_EQUAL(rows[2]->count, 102);
	CU_ASSERT_TRUE(bus_str_is(rows[2]->note, "after 4"));
	bench_end(&b);
}

static void
test_one_load_for_all_that_is_missing(void)
{
	bench b;
	bench_new(&b);
	enum { KEYS = 50 };
	char subjects[KEYS][16];
	bus_event events[KEYS];
	bus_fold_item items[KEYS];
	for (size_t i = 0; i < KEYS; i++) {
		snprintf(subjects[i], sizeof(subjects[i]), "app-%zu", i);
		events[i] = event("added", "1", subjects[i], i % 2 == 0 ? "old" : "new");
		items[i] = (bus_fold_item){ .event = &events[i] };
	}
	CU_ASSERT_EQUAL_FATAL(run(&b, items, KEYS), BUS_OK);
	CU_ASSERT_EQUAL(b.source.loads, 1);
	CU_ASSERT_EQUAL(b.source.keys, KEYS);
	CU_ASSERT_EQUAL(runs, 2 * KEYS); /* each once in vain */
	/* kept: known, and known to be absent before; nothing is asked again */
	bus_folder_keep(b.folder);
	bus_arena_reset(b.arena);
	CU_ASSERT_EQUAL_FATAL(run(&b, items, KEYS), BUS_OK);
	CU_ASSERT_EQUAL(b.source.loads, 1);
	CU_ASSERT_EQUAL(((const counter_row *)b.writes[0].rows[0])->count, 102);
	/* forgotten: asked again, and what was not kept never was */
	bus_folder_forget(b.folder);
	CU_ASSERT_EQUAL_FATAL(run(&b, items, KEYS), BUS_OK);
	CU_ASSERT_EQUAL(b.source.loads, 2);
	CU_ASSERT_EQUAL(((const counter_row *)b.writes[0].rows[0])->count, 101);
	bench_end(&b);
}

static void
test_a_source_that_fails(void)
{
	bench b;
	bench_new(&b);
	b.source.fails = true;
	bus_event one = event("added", "1", "shop", "old");
	bus_fold_item item = { .event = &one };
	CU_ASSERT_EQUAL(run(&b, &item, 1), BUS_E_ABORT);
	bus_folder_forget(b.folder);
	b.source.fails = false;
	CU_ASSERT_EQUAL_FATAL(run(&b, &item, 1), BUS_OK);
	CU_ASSERT_EQUAL(item.verdict, BUS_APPLIED);
	CU_ASSERT_PTR_NOT_NULL_FATAL(the_row(&b));
	CU_ASSERT_EQUAL(the_row(&b)->count, 101);
	bench_end(&b);
}

static void
test_absent_and_empty_subject_are_one_key(void)
{
	bench b;
	bench_new(&b);
	bus_event events[] = { event("added", "1", NULL, "old"),
			       event("added", "2", "", "old") };
	bus_fold_item items[] = { { .event = &events[0] }, { .event = &events[1] } };
	CU_ASSERT_EQUAL_FATAL(run(&b, items, 2), BUS_OK);
	CU_ASSERT_PTR_NOT_NULL_FATAL(the_row(&b));
	CU_ASSERT_EQUAL(the_row(&b)->count, 102);
	CU_ASSERT_EQUAL(b.source.keys, 1);
	bench_end(&b);
}

static void
test_timers_and_incidents(void)
{
	bench b;
	bench_new(&b);
	bus_event one = event("promised", "1", "shop", "old");
	bus_fold_item item = { .event = &one };
	CU_ASSERT_EQUAL_FATAL(run(&b, &item, 1), BUS_OK);
	CU_ASSERT_EQUAL(runs, 2); /* once in vain */
	CU_ASSERT_EQUAL(item.verdict, BUS_REJECTED);
	static const struct {
		const char *name;
		bool cancelled;
		int64_t delay_ms;
	} timers[] = {
		{ "deadline/a", false, 500 },
		{ "retry/a", true, 0 },
		{ "long", false, BUS_TIMER_DELAY_MS_MAX },
		{ "at once", false, 0 },
	};
	CU_ASSERT_EQUAL_FATAL(item.timer_count, sizeof(timers) / sizeof(timers[0]));
	for (size_t i = 0; i < item.timer_count; i++) {
		CU_ASSERT_TRUE(bus_str_is(item.timers[i].name, timers[i].name));
		CU_ASSERT_EQUAL(item.timers[i].cancelled, timers[i].cancelled);
		CU_ASSERT_EQUAL(item.timers[i].delay_ms, timers[i].delay_ms);
		CU_ASSERT_PTR_EQUAL(item.timers[i].cause, &one);
	}
	CU_ASSERT_EQUAL_FATAL(item.incident_count, 2);
	CU_ASSERT_STRING_EQUAL(item.incidents[0].kind, "stuck");
	CU_ASSERT_FALSE(item.incidents[0].closed);
	CU_ASSERT_TRUE(bus_str_is(item.incidents[0].text, "look at it"));
	CU_ASSERT_STRING_EQUAL(item.incidents[1].kind, "late");
	CU_ASSERT_TRUE(item.incidents[1].closed);
	bench_end(&b);
}

/* A header's value; "" if there is none. */
static bus_str
header(const bus_outbox_row *row, const char *name)
{
	for (size_t i = 0; i < row->record.header_count; i++) {
		if (bus_str_is(row->record.headers[i].name, name)) {
			return row->record.headers[i].value;
		}
	}
	return BUS_STR("");
}

static void
test_sagas_of_follow_ups(void)
{
	bench b;
	bench_new(&b);
	bus_event one = event("asked", "1", "shop", NULL);
	one.sagaid = BUS_STR("s1");
	one.sagastep = BUS_STR("deploy/do/2");
	bus_fold_item item = { .event = &one };
	CU_ASSERT_EQUAL_FATAL(run(&b, &item, 1), BUS_OK);
	static const struct {
		const char *topic, *type, *subject, *sagaid, *sagastep;
	} rows[] = {
		{ "test.counter", "test.done.v1", "shop", "s1", "deploy/do/2" },
		{ "busline.saga", "io.busline.saga.answered.v1", "s1", "", "" },
		{ "test.counter", "test.done.v1", "shop", "other", "x/do/1" },
		{ "busline.saga", "io.busline.saga.answered.v1", "other", "", "" },
		{ "test.counter", "test.done.v1", "shop", "", "" },
		{ "test.counter", "test.undo-requested.v1", "shop", "s1", "deploy/do/2" },
		{ "test.elsewhere", "test.done.v1", "shop", "s1", "deploy/do/2" },
	};
	CU_ASSERT_TRUE(item.answered);
	CU_ASSERT_EQUAL_FATAL(item.follow_up_count, sizeof(rows) / sizeof(rows[0]));
	for (size_t i = 0; i < item.follow_up_count; i++) {
		const bus_outbox_row *row = &item.follow_ups[i];
		CU_ASSERT_TRUE(bus_str_is(row->topic, rows[i].topic));
		CU_ASSERT_TRUE(bus_str_is(header(row, "ce_type"), rows[i].type));
		CU_ASSERT_TRUE(bus_str_is(header(row, "ce_subject"), rows[i].subject));
		CU_ASSERT_TRUE(bus_str_is(header(row, "ce_sagaid"), rows[i].sagaid));
		CU_ASSERT_TRUE(bus_str_is(header(row, "ce_sagastep"), rows[i].sagastep));
	}
	const bus_outbox_row *fact = &item.follow_ups[0], *answer = &item.follow_ups[1];
	CU_ASSERT_TRUE(bus_str_eq(header(answer, "ce_causationid"),
				  header(fact, "ce_id")));
	CU_ASSERT_TRUE(bus_str_is(header(answer, "ce_correlationid"), "1"));
	char want[256];
	snprintf(want, sizeof(want),
		 "{\"sagastep\":\"deploy/do/2\",\"type\":\"test.done.v1\","
		 "\"source\":\"/busline/worker/counter\",\"id\":\"%.*s\","
		 "\"outcome\":\"applied\",\"data\":{\"n\":1}}",
		 BUS_STR_ARG(header(fact, "ce_id")));
	CU_ASSERT_TRUE(bus_str_is(answer->record.value, want));
	bench_end(&b);
}

static const bus_case cases[] = {
	{ "timers and incidents come out as they were called, whatever the verdict",
	  test_timers_and_incidents },
	{ "a follow-up has the saga of its cause or its own; a fact is told to it",
	  test_sagas_of_follow_ups },
	{ "a verdict other than APPLIED changes no row, its follow-ups stay",
	  test_rows_only_when_applied },
	{ "rows come out once per key, sorted, with the last event's texts",
	  test_one_row_per_key },
	{ "what is missing is loaded at once, kept and forgotten whole",
	  test_one_load_for_all_that_is_missing },
	{ "a load that fails voids the batch and nothing else", test_a_source_that_fails },
	{ "an absent subject and an empty one are the same key",
	  test_absent_and_empty_subject_are_one_key },
	{ NULL, NULL },
};

const bus_suite_def bus_suite = { .name = "engine: folder", .cases = cases };
