/*
 * fold_bench.c - rows as JSON, single cases
 */
#include "tests/support/fold_bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "schemas/registry.h"
#include "tests/support/fold_bench_private.h"
#include "tests/support/suite.h"
#include "workers/engine/cache.h"

#define PREFIX "io.busline."
#define SUFFIX ".v1"
#define STAMP_COLUMNS 3

void
busp_bench_check(bool holds, const char *what, const char *name, const char *got,
		 const char *expected)
{
	if (!holds) {
		printf("\n  %s: %s\n    got      %s\n    expected %s\n", name, what, got,
		       expected);
	}
	CU_ASSERT(holds);
}

json_t *
busp_bench_json(const char *text)
{
	char *quoted = strdup(text);
	for (char *c = quoted; *c != '\0'; c++) {
		*c = *c == '\'' ? '"' : *c;
	}
	json_error_t error;
	json_t *json = json_loads(quoted, JSON_REJECT_DUPLICATES, &error);
	if (json == NULL) {
		printf("\n  wrong JSON in a test: %s: %s\n", error.text, quoted);
		abort();
	}
	free(quoted);
	return json;
}

/* ---- rows ---- */

void
busp_bench_init(busp_bench *bench, const bus_worker *worker)
{
	*bench = (busp_bench){ .worker = worker, .arena = bus_arena_create(65536) };
}

void
busp_bench_fini(busp_bench *bench)
{
	bus_arena_destroy(bench->arena);
	free(bench->rows);
}

static bool
is_text(bus_column_type type)
{
	return type == BUS_COL_TEXT || type == BUS_COL_JSON || type == BUS_COL_BYTES;
}

static void *
copy_row(const bus_row_type *type, const void *row, bus_arena *arena)
{
	char *copy = bus_arena_alloc(arena, type->size);
	memcpy(copy, row, type->size);
	for (size_t i = 0; i < type->column_count; i++) {
		if (is_text(type->columns[i].type)) {
			bus_str *text =
				(bus_str *)(void *)(copy + type->columns[i].offset);
			*text = bus_arena_str(arena, *text);
		}
	}
	return copy;
}

static busp_bench_row *
find_row(const busp_bench *bench, const bus_row_type *type, const void *key)
{
	for (size_t i = 0; i < bench->row_count; i++) {
		busp_bench_row *row = &bench->rows[i];
		if (row->type == type && busp_row_compare(type, row->row, key) == 0) {
			return row;
		}
	}
	return NULL;
}

void
busp_bench_put(busp_bench *bench, const bus_row_type *type, const void *row)
{
	void *copy = copy_row(type, row, bench->arena);
	busp_bench_row *old = find_row(bench, type, row);
	if (old != NULL) {
		old->row = copy;
		return;
	}
	bench->rows =
		reallocarray(bench->rows, bench->row_count + 1, sizeof(*bench->rows));
	bench->rows[bench->row_count++] = (busp_bench_row){ .type = type, .row = copy };
}

static int
compare_rows(const void *a, const void *b)
{
	const busp_bench_row *x = a, *y = b;
	if (x->type != y->type) {
		return strcmp(x->type->name, y->type->name);
	}
	return busp_row_compare(x->type, x->row, y->row);
}

void
busp_bench_sort(busp_bench *bench)
{
	if (bench->row_count > 0) {
		qsort(bench->rows, bench->row_count, sizeof(*bench->rows), compare_rows);
	}
}

bus_status
busp_bench_load(void *ctx, const bus_row_type *type, const void *const *keys,
		size_t count, bus_arena *arena, void **ret_rows, size_t *ret_count,
		bus_error *err)
{
	busp_bench *bench = ctx;
	bench->loads++;
	if (bench->fail_in > 0 && --bench->fail_in == 0) {
		return bus_error_set(err, BUS_E_RETRY, "bench", 0,
				     "the source fails here");
	}
	char *rows = bus_arena_alloc(arena, (count + 1) * type->size);
	size_t found = 0;
	for (size_t i = 0; i < count; i++) {
		const busp_bench_row *row = find_row(bench, type, keys[i]);
		if (row != NULL) {
			memcpy(rows + found++ * type->size,
			       copy_row(type, row->row, arena), type->size);
		}
	}
	*ret_rows = rows;
	*ret_count = found;
	return BUS_OK;
}

/* Columns that JSON rows leave out: tenant and app, and the stamp. */
static size_t
first_column(const bus_row_type *type)
{
	return type->key_count > 1 ? 2 : 1;
}

static void
set_member(const bus_column *column, const json_t *value, void *row, bus_arena *arena)
{
	void *member = (char *)row + column->offset;
	if (column->type == BUS_COL_BOOL) {
		*(bool *)member = json_is_true(value);
		return;
	}
	if (!is_text(column->type)) {
		*(int64_t *)member =
			value != NULL ? json_integer_value(value) : BUS_INT_NULL;
		return;
	}
	bus_str *text = member;
	if (value == NULL) {
		*text = BUS_STR_NULL;
	} else if (column->type == BUS_COL_JSON) {
		char *dumped = json_dumps(value, JSON_COMPACT);
		*text = bus_arena_str(arena, bus_str_from(dumped));
		free(dumped);
	} else {
		*text = bus_arena_str(arena, bus_str_from(json_string_value(value)));
	}
}

/* Rows of a case's key, made by some event before it. */
static void
give(busp_bench *bench, const char *given)
{
	json_t *tables = busp_bench_json(given);
	for (const bus_row_type *const *table = bench->worker->tables; *table != NULL;
	     table++) {
		const bus_row_type *type = *table;
		size_t i;
		json_t *json;
		json_array_foreach(json_object_get(tables, type->name), i, json)
		{
			void *row = bus_arena_alloc(bench->arena, type->size);
			for (size_t c = 0; c < type->column_count; c++) {
				set_member(&type->columns[c],
					   json_object_get(json, type->columns[c].name),
					   row, bench->arena);
			}
			*(bus_str *)row = BUS_STR(BUS_BENCH_TENANT);
			if (type->key_count > 1) {
				((bus_str *)row)[1] = BUS_STR(BUS_BENCH_SUBJECT);
			}
			busp_bench_put(bench, type, row);
		}
	}
	json_decref(tables);
}

json_t *
busp_bench_row_json(const bus_row_type *type, const void *row, bool all)
{
	json_t *json = json_object();
	size_t first = all ? 0 : first_column(type);
	size_t end = type->column_count - (all ? 0 : STAMP_COLUMNS);
	for (size_t c = first; c < end; c++) {
		const bus_column *column = &type->columns[c];
		const void *member = (const char *)row + column->offset;
		if (column->type == BUS_COL_BOOL) {
			json_object_set_new(json, column->name,
					    json_boolean(*(const bool *)member));
			continue;
		}
		if (!is_text(column->type)) {
			int64_t value = *(const int64_t *)member;
			if (value != BUS_INT_NULL) {
				json_object_set_new(json, column->name,
						    json_integer(value));
			}
			continue;
		}
		const bus_str *text = member;
		if (text->data == NULL) {
			continue;
		}
		json_object_set_new(json, column->name,
				    column->type == BUS_COL_JSON ?
					    json_loadb(text->data, text->len, 0, NULL) :
					    json_stringn(text->data, text->len));
	}
	return json;
}

static json_t *
writes_json(bus_folder *folder)
{
	const bus_unit_write *writes;
	size_t count;
	bus_folder_writes(folder, &writes, &count);
	json_t *tables = json_object();
	for (size_t w = 0; w < count; w++) {
		json_t *rows = json_array();
		for (size_t i = 0; i < writes[w].count; i++) {
			json_array_append_new(rows, busp_bench_row_json(writes[w].type,
									writes[w].rows[i],
									false));
		}
		json_object_set_new(tables, writes[w].type->name, rows);
	}
	return tables;
}

/* ---- one case ---- */

static bool
stamped(const bus_row_type *type, const void *row, const bus_event *event)
{
	const bus_column *stamp = &type->columns[type->column_count - STAMP_COLUMNS];
	const char *base = row;
	return bus_str_eq(*(const bus_str *)(const void *)(base + stamp[0].offset),
			  event->source) &&
	       bus_str_eq(*(const bus_str *)(const void *)(base + stamp[1].offset),
			  event->id) &&
	       *(const int64_t *)(const void *)(base + stamp[2].offset) == event->time_us;
}

static bool
keyed(const bus_row_type *type, const void *row, const bus_event *event)
{
	const bus_str *key = row;
	return type->columns[0].offset == 0 && bus_str_eq(key[0], event->tenant) &&
	       (type->key_count == 1 || bus_str_eq(key[1], event->subject));
}

/* Every row written says which event wrote it, and is the event's own. */
static void
check_rows(bus_folder *folder, const bus_fold_case *c, const bus_event *event)
{
	const bus_unit_write *writes;
	size_t count;
	bus_folder_writes(folder, &writes, &count);
	for (size_t w = 0; w < count; w++) {
		for (size_t i = 0; i < writes[w].count; i++) {
			const void *row = writes[w].rows[i];
			busp_bench_check(stamped(writes[w].type, row, event),
					 "stamp of a row", c->name, writes[w].type->name,
					 "source, id and time of the event");
			busp_bench_check(keyed(writes[w].type, row, event),
					 "key of a row", c->name, writes[w].type->name,
					 "tenant and app of the event");
		}
	}
}

static const char *
short_type(bus_str type, char text[static 96])
{
	size_t prefix = strlen(PREFIX), suffix = strlen(SUFFIX);
	if (type.len < prefix + suffix || type.len - prefix - suffix > 95) {
		return "?";
	}
	snprintf(text, 96, "%.*s", (int)(type.len - prefix - suffix), type.data + prefix);
	return text;
}

/* A case shows something only if its event can get as far as a fold. */
static void
check_schema(const busp_bench *bench, const char *name, bus_event *event)
{
	if (bus_registry_find(bench->registry, event->type) == NULL) {
		return;
	}
	bus_schema_report report;
	bus_cause cause;
	bus_error err = BUS_ERROR_INIT;
	bus_status status =
		bus_registry_validate(bench->registry, bus_str_from(bench->worker->topic),
				      event, &report, &cause, &err);
	busp_bench_check(status == BUS_OK, "data against its schema", name, err.text,
			 "valid");
}

/* The follow-up as the topic will show it. */
static void
parse_follow_up(const bus_outbox_row *row, bus_arena *arena, bus_event *ret_event)
{
	bus_cause cause;
	bus_error err = BUS_ERROR_INIT;
	if (bus_event_parse(&row->record, arena, ret_event, &cause, &err) != BUS_OK) {
		printf("\n  follow-up is no event: %s\n", err.text);
		abort();
	}
}

static json_t *
emits_json(const busp_bench *bench, const bus_fold_case *c, const bus_fold_item *item)
{
	json_t *emits = json_array();
	size_t answers = 0;
	for (size_t i = 0; i < item->follow_up_count; i++) {
		const bus_outbox_row *row = &item->follow_ups[i];
		bus_event event;
		if (!bus_str_is(row->topic, bench->worker->topic)) {
			answers++;
			continue;
		}
		parse_follow_up(row, bench->arena, &event);
		char source[96], text[96];
		snprintf(source, sizeof(source), "/busline/worker/%s",
			 bench->worker->name);
		busp_bench_check(
			bus_str_is(event.source, source) &&
				bus_str_eq(event.causationid, item->event->id) &&
				bus_str_eq(event.tenant, item->event->tenant) &&
				bus_str_eq(event.subject, item->event->subject) &&
				event.time_us == item->event->time_us,
			"envelope of a follow-up", c->name, "another",
			"this worker's, caused by the event, of its key and time");
		check_schema(bench, c->name, &event);
		json_t *data = NULL;
		bus_error err = BUS_ERROR_INIT;
		CU_ASSERT_EQUAL_FATAL(bus_event_data(&event, &data, &err), BUS_OK);
		json_array_append_new(emits, json_pack("{s:s,s:O}", "type",
						       short_type(event.type, text),
						       "data", data));
		bus_event_fini(&event);
	}
	/* What a step of a saga is told is a fact on the topic, and an answer to the saga. */
	busp_bench_check(answers == (c->sagastep != NULL ? json_array_size(emits) : 0),
			 "answers to the saga", c->name, "others", "one per fact");
	return emits;
}

static void
check_json(json_t *got, const char *expected_text, const char *nothing, const char *what,
	   const char *name)
{
	json_t *expected =
		busp_bench_json(expected_text != NULL ? expected_text : nothing);
	char *got_text = json_dumps(got, JSON_COMPACT | JSON_SORT_KEYS);
	char *expected_dump = json_dumps(expected, JSON_COMPACT | JSON_SORT_KEYS);
	busp_bench_check(json_equal(got, expected), what, name, got_text, expected_dump);
	free(got_text);
	free(expected_dump);
	json_decref(expected);
	json_decref(got);
}

void
busp_bench_event(const bus_fold_case *c, bus_arena *arena, bus_event *ret_event)
{
	const char *subject = c->subject != NULL ? c->subject : BUS_BENCH_SUBJECT;
	json_t *data = busp_bench_json(c->data);
	char *text = json_dumps(data, JSON_COMPACT);
	*ret_event = (bus_event){
		.id = BUS_STR("0190163d-8694-739b-aea5-966c26f8ad91"),
		.source = bus_str_from(c->source != NULL ? c->source : "/test"),
		.type = bus_arena_printf(arena, PREFIX "%s" SUFFIX, c->type),
		.subject = bus_str_from(*subject != '\0' ? subject : NULL),
		.time_us = BUS_BENCH_TIME_US,
		.tenant = BUS_STR(BUS_BENCH_TENANT),
		.actor = bus_str_from(c->actor),
		.sagaid = bus_str_from(c->sagastep != NULL ? BUS_BENCH_SAGA : NULL),
		.sagastep = bus_str_from(c->sagastep),
		.datacontenttype = BUS_STR("application/json"),
		.data = bus_arena_str(arena, bus_str_from(text)),
	};
	free(text);
	json_decref(data);
}

static void
run_case(busp_bench *bench, bus_folder *folder, const bus_fold_case *c)
{
	bus_error err = BUS_ERROR_INIT;
	bus_event event;
	json_t *data = NULL;
	busp_bench_event(c, bench->arena, &event);
	CU_ASSERT_EQUAL_FATAL(bus_event_data(&event, &data, &err), BUS_OK);
	check_schema(bench, c->name, &event);
	bus_fold_item item = { .event = &event, .data = data };
	if (bus_folder_run(folder, &item, 1, bench->arena, &err) != BUS_OK) {
		CU_FAIL_FATAL("the bench's source never fails here");
	}
	busp_bench_check(item.verdict == c->verdict, "verdict", c->name,
			 bus_verdict_name(item.verdict), bus_verdict_name(c->verdict));
	const char *reason = c->reason != NULL ? c->reason : "";
	bus_str got = item.reason.data != NULL ? item.reason : BUS_STR("");
	busp_bench_check(bus_str_is(got, reason), "reason", c->name, got.data, reason);
	check_rows(folder, c, &event);
	check_json(writes_json(folder), c->writes, "{}", "rows written", c->name);
	check_json(emits_json(bench, c, &item), c->emits, "[]", "follow-ups", c->name);
	bus_event_fini(&event);
}

void
bus_bench_cases(const bus_worker *worker, const bus_fold_case *cases)
{
	bus_registry *registry = NULL;
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL_FATAL(bus_registry_create(&registry, &err), BUS_OK);
	for (const bus_fold_case *c = cases; c->name != NULL; c++) {
		busp_bench bench;
		busp_bench_init(&bench, worker);
		bench.registry = registry;
		if (c->given != NULL) {
			give(&bench, c->given);
		}
		bus_folder *folder =
			bus_folder_create(worker,
					  (bus_fold_source){ busp_bench_load, &bench },
					  1000);
		run_case(&bench, folder, c);
		/* Not kept, so nothing has happened yet; what was loaded is in memory now. */
		size_t loads = bench.loads;
		run_case(&bench, folder, c);
		busp_bench_check(bench.loads == loads, "loads with all rows in memory",
				 c->name, "some", "none");
		bus_folder_destroy(folder);
		busp_bench_fini(&bench);
	}
	bus_registry_destroy(registry);
}

bus_verdict
bus_bench_echo(const bus_worker *worker, const bus_fold_case *refused)
{
	busp_bench bench;
	bus_error err = BUS_ERROR_INIT;
	bus_event event, echo;
	busp_bench_init(&bench, worker);
	if (refused->given != NULL) {
		give(&bench, refused->given);
	}
	bus_folder *folder =
		bus_folder_create(worker, (bus_fold_source){ busp_bench_load, &bench },
				  1000);
	json_t *data = NULL, *echo_data = NULL;
	busp_bench_event(refused, bench.arena, &event);
	CU_ASSERT_EQUAL_FATAL(bus_event_data(&event, &data, &err), BUS_OK);
	bus_fold_item item = { .event = &event, .data = data };
	CU_ASSERT_EQUAL_FATAL(bus_folder_run(folder, &item, 1, bench.arena, &err), BUS_OK);
	bus_folder_keep(folder);
	CU_ASSERT_EQUAL_FATAL(item.follow_up_count, refused->sagastep != NULL ? 2 : 1);
	parse_follow_up(&item.follow_ups[0], bench.arena, &echo);
	CU_ASSERT_EQUAL_FATAL(bus_event_data(&echo, &echo_data, &err), BUS_OK);
	bus_fold_item again = { .event = &echo, .data = echo_data };
	CU_ASSERT_EQUAL_FATAL(bus_folder_run(folder, &again, 1, bench.arena, &err),
			      BUS_OK);
	check_json(writes_json(folder), NULL, "{}", "rows written by the echo",
		   refused->name);
	bus_event_fini(&echo);
	bus_event_fini(&event);
	bus_folder_destroy(folder);
	busp_bench_fini(&bench);
	return again.verdict;
}
