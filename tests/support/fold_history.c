/*
 * fold_history.c - random histories folded in many ways, with one result
 */
#include "tests/support/fold_bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/buf.h"
#include "tests/support/fold_bench_private.h"
#include "tests/support/suite.h"

#define EVENTS 300
#define HISTORIES 20
#define KEYS 6

static const bus_str tenants[] = { { "acme", 4 }, { "zeta", 4 } };
/* No subject: the tenant itself. */
static const bus_str subjects[] = { { "shop", 4 }, { "api", 3 }, { NULL, 0 } };

typedef struct moment {
	bus_event event;
	json_t *data;
	size_t key;
	char *outcome; /* verdict, reason and follow-ups, of the last folding */
} moment;

/* How a history is folded. */
typedef struct manner {
	const char *name;
	size_t batch_max; /* events per batch, from 1 to this many */
	bool forgets;     /* memory is lost between batches now and then */
	bool fails;       /* the source fails now and then, and the batch is done again */
	bool loses;       /* a unit is lost after it was sent, and done again */
	bool interleaves; /* keys take turns in another order; within a key nothing moves */
	size_t rows_max;
} manner;

static const manner manners[] = {
	{ .name = "in batches", .batch_max = 40, .rows_max = 1000 },
	{ .name = "with memory lost", .batch_max = 12, .rows_max = 1000, .forgets = true },
	{ .name = "with no memory", .batch_max = 12, .rows_max = 0 },
	{ .name = "with a failing source",
	  .batch_max = 25,
	  .rows_max = 10,
	  .forgets = true,
	  .fails = true },
	{ .name = "with units lost", .batch_max = 12, .rows_max = 1000, .loses = true },
	{ .name = "with keys interleaved",
	  .batch_max = 25,
	  .rows_max = 1000,
	  .interleaves = true },
};

/* xorshift64: the same history for the same seed, on every machine. */
static size_t
pick(uint64_t *random, size_t below)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return (size_t)(*random % below);
}

/* New; # is drawn. */
static char *
drawn(const char *text, uint64_t *random)
{
	char *copy = strdup(text);
	for (char *c = copy; *c != '\0'; c++) {
		*c = *c == '#' ? (char)('1' + pick(random, 4)) : *c;
	}
	return copy;
}

static void
draw(moment *m, size_t n, const bus_fold_draw *d, uint64_t *random, bus_arena *arena)
{
	char *data = drawn(d->data, random);
	char *type = drawn(d->type, random);
	char *step = strstr(type, " @");
	if (step != NULL) {
		*step = '\0';
		step += strlen(" @");
	}
	m->data = busp_bench_json(data);
	free(data);
	m->key = pick(random, KEYS);
	m->event = (bus_event){
		.id = bus_arena_printf(arena, "event-%zu", n),
		.source = BUS_STR("/history"),
		.type = bus_arena_printf(arena, "io.busline.%s.v1", type),
		.tenant = tenants[m->key % 2],
		.subject = subjects[m->key / 2],
		.time_us = (int64_t)n * 1000,
		.sagaid = bus_str_from(step != NULL ? BUS_BENCH_SAGA : NULL),
		.sagastep = bus_arena_str(arena, bus_str_from(step)),
	};
	free(type);
	m->outcome = NULL;
}

/* The order of another log: every key's events in their order, the keys mixed anew. */
static void
interleave(const moment *moments, size_t *order, uint64_t *random)
{
	size_t next[KEYS] = { 0 };
	for (size_t n = 0; n < EVENTS;) {
		size_t key = pick(random, KEYS);
		while (next[key] < EVENTS && moments[next[key]].key != key) {
			next[key]++;
		}
		if (next[key] < EVENTS) {
			order[n++] = next[key]++;
		}
	}
}

static void
remember_outcome(moment *m, const bus_fold_item *item, bus_arena *arena)
{
	bus_buf text = { 0 };
	bus_buf_printf(&text, "%s %.*s", bus_verdict_name(item->verdict),
		       BUS_STR_ARG(item->reason));
	for (size_t i = 0; i < item->follow_up_count; i++) {
		bus_event event;
		bus_cause cause;
		bus_error err = BUS_ERROR_INIT;
		CU_ASSERT_EQUAL_FATAL(bus_event_parse(&item->follow_ups[i].record, arena,
						      &event, &cause, &err),
				      BUS_OK);
		bus_buf_printf(&text, " + %.*s %.*s %.*s", BUS_STR_ARG(event.type),
			       BUS_STR_ARG(event.id), BUS_STR_ARG(event.data));
		bus_event_fini(&event);
	}
	free(m->outcome);
	m->outcome = text.data;
}

/* What a COMMIT would do: the rows the folder changed go into the table. */
static void
commit(busp_bench *bench, bus_folder *folder)
{
	const bus_unit_write *writes;
	size_t count;
	bus_folder_writes(folder, &writes, &count);
	for (size_t w = 0; w < count; w++) {
		for (size_t i = 0; i < writes[w].count; i++) {
			busp_bench_put(bench, writes[w].type, writes[w].rows[i]);
		}
	}
	bus_folder_keep(folder);
}

/* All rows as text; to be freed. */
static char *
dump(busp_bench *bench)
{
	bus_buf text = { 0 };
	busp_bench_sort(bench);
	for (size_t i = 0; i < bench->row_count; i++) {
		json_t *json = busp_bench_row_json(bench->rows[i].type,
						   bench->rows[i].row, true);
		char *row = json_dumps(json, JSON_COMPACT);
		bus_buf_printf(&text, "%s %s\n", bench->rows[i].type->name, row);
		free(row);
		json_decref(json);
	}
	bus_buf_cstr(&text, "");
	return text.data;
}

static void
run_batch(busp_bench *bench, bus_folder *folder, bus_fold_item *items, size_t count,
	  const manner *how, uint64_t *random)
{
	bus_error err = BUS_ERROR_INIT;
	bench->fail_in = how->fails ? pick(random, 4) : 0;
	bus_status status = bus_folder_run(folder, items, count, bench->arena, &err);
	bench->fail_in = 0;
	bool lost = how->loses && pick(random, 3) == 0;
	if (lost) {
		bus_folder_keep(
			folder); /* sent, and taken for true, before its answer came */
	}
	if (status != BUS_OK || lost) {
		bus_folder_forget(folder);
		bus_error_reset(&err);
		CU_ASSERT_EQUAL_FATAL(bus_folder_run(folder, items, count, bench->arena,
						     &err),
				      BUS_OK);
	}
	commit(bench, folder);
}

/* Folds the history and returns its rows; outcomes stay with the moments. */
static char *
fold_history(const bus_worker *worker, moment *moments, const manner *how,
	     uint64_t *random)
{
	busp_bench bench;
	busp_bench_init(&bench, worker);
	bus_folder *folder =
		bus_folder_create(worker, (bus_fold_source){ busp_bench_load, &bench },
				  how->rows_max);
	size_t order[EVENTS];
	for (size_t i = 0; i < EVENTS; i++) {
		order[i] = i;
	}
	if (how->interleaves) {
		interleave(moments, order, random);
	}
	for (size_t i = 0; i < EVENTS;) {
		size_t count = 1 + pick(random, how->batch_max);
		count = count < EVENTS - i ? count : EVENTS - i;
		bus_fold_item items[EVENTS] = { 0 };
		for (size_t n = 0; n < count; n++) {
			items[n].event = &moments[order[i + n]].event;
			items[n].data = moments[order[i + n]].data;
		}
		if (how->forgets && pick(random, 3) == 0) {
			bus_folder_forget(folder);
		}
		run_batch(&bench, folder, items, count, how, random);
		for (size_t n = 0; n < count; n++) {
			remember_outcome(&moments[order[i + n]], &items[n], bench.arena);
		}
		i += count;
	}
	char *rows = dump(&bench);
	bus_folder_destroy(folder);
	busp_bench_fini(&bench);
	return rows;
}

static void
compare(const char *name, moment *moments, char *const *outcomes, const char *rows,
	const char *expected_rows)
{
	busp_bench_check(strcmp(rows, expected_rows) == 0, "rows", name, rows,
			 expected_rows);
	for (size_t i = 0; i < EVENTS; i++) {
		if (strcmp(moments[i].outcome, outcomes[i]) != 0) {
			busp_bench_check(false, "outcome of an event", name,
					 moments[i].outcome, outcomes[i]);
			return;
		}
	}
}

/* How much of what can happen has happened; a history in which all is ignored shows nothing. */
static void
count_verdicts(char *const *outcomes, size_t counts[static BUS_VERDICT_COUNT])
{
	for (size_t i = 0; i < EVENTS; i++) {
		for (bus_verdict v = BUS_APPLIED; v < BUS_VERDICT_COUNT; v++) {
			const char *verdict = bus_verdict_name(v);
			counts[v] += strncmp(outcomes[i], verdict, strlen(verdict)) == 0;
		}
	}
}

static void
run_history(const bus_worker *worker, const bus_fold_draw *draws, size_t count,
	    uint64_t seed, size_t counts[static BUS_VERDICT_COUNT])
{
	uint64_t random = seed;
	bus_arena *arena = bus_arena_create(65536);
	moment *moments = calloc(EVENTS, sizeof(*moments));
	char *outcomes[EVENTS];
	for (size_t i = 0; i < EVENTS; i++) {
		draw(&moments[i], i, &draws[pick(&random, count)], &random, arena);
	}
	static const manner one_by_one = { "one by one", .batch_max = 1,
					   .rows_max = 1000 };
	char *expected = fold_history(worker, moments, &one_by_one, &random);
	for (size_t i = 0; i < EVENTS; i++) {
		outcomes[i] = strdup(moments[i].outcome);
	}
	count_verdicts(outcomes, counts);
	for (size_t m = 0; m < sizeof(manners) / sizeof(manners[0]); m++) {
		char *rows = fold_history(worker, moments, &manners[m], &random);
		compare(manners[m].name, moments, outcomes, rows, expected);
		free(rows);
	}
	for (size_t i = 0; i < EVENTS; i++) {
		free(outcomes[i]);
		free(moments[i].outcome);
		json_decref(moments[i].data);
	}
	free(expected);
	free(moments);
	bus_arena_destroy(arena);
}

void
bus_bench_histories(const bus_worker *worker, const bus_fold_draw *draws, size_t count)
{
	size_t counts[BUS_VERDICT_COUNT] = { 0 };
	for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
		run_history(worker, draws, count, seed * UINT64_C(0x9e3779b97f4a7c15),
			    counts);
	}
	CU_ASSERT(counts[BUS_APPLIED] > HISTORIES * EVENTS / 10);
	CU_ASSERT(counts[BUS_IGNORED] > HISTORIES);
	CU_ASSERT(counts[BUS_REJECTED] > HISTORIES);
}
