/*
 * fold_bench_private.h - what the bench's two files share
 */
#ifndef BUSP_TEST_FOLD_BENCH_H
#define BUSP_TEST_FOLD_BENCH_H

#include "schemas/registry.h"
#include "tests/support/fold_bench.h"

typedef struct busp_bench_row {
	const bus_row_type *type;
	const void *row;
} busp_bench_row;

/* A worker's tables in memory. */
typedef struct busp_bench {
	const bus_worker *worker;
	const bus_registry *registry; /* borrowed, NULL: data is not checked */
	bus_arena *arena;             /* of everything until the end */
	busp_bench_row *rows;
	size_t row_count;
	size_t loads;   /* calls of busp_bench_load */
	size_t fail_in; /* the n-th load from now fails; 0: none does */
} busp_bench;

void busp_bench_init(busp_bench *bench, const bus_worker *worker);
void busp_bench_fini(busp_bench *bench);
/* Inserts or replaces; copies. */
void busp_bench_put(busp_bench *bench, const bus_row_type *type, const void *row);
/* By table, then by key. */
void busp_bench_sort(busp_bench *bench);
/* The source of a folder; ctx is the bench. */
bus_status busp_bench_load(void *ctx, const bus_row_type *type, const void *const *keys,
			   size_t count, bus_arena *arena, void **ret_rows,
			   size_t *ret_count, bus_error *err);
/* New; without tenant, app and stamp, unless all is wanted. */
json_t *busp_bench_row_json(const bus_row_type *type, const void *row, bool all);

/* New; ' is read as ". A test with wrong JSON ends the process. */
json_t *busp_bench_json(const char *text);
/* The event of a case, to be ended with bus_event_fini(); texts in the arena. */
void busp_bench_event(const bus_fold_case *c, bus_arena *arena, bus_event *ret_event);
/* A CUnit assertion that prints what was compared. */
void busp_bench_check(bool holds, const char *what, const char *name, const char *got,
		      const char *expected);

#endif
