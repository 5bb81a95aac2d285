/*
 * fold_bench.h - folds on a bench: the engine's real folder over rows in memory
 *
 * Rows, data and follow-ups are JSON; ' stands for " so that tables of cases stay readable.
 * A set of rows is { 'table': [ { 'column': value, ... }, ... ] } in the order of their
 * keys. Tenant and app are the event's, the stamp is checked by the bench, a column that
 * is missing is NULL, times are microseconds.
 */
#ifndef BUS_TEST_FOLD_BENCH_H
#define BUS_TEST_FOLD_BENCH_H

#include "workers/engine/fold.h"

/* What a case's event has unless the case says otherwise. */
#define BUS_BENCH_TENANT "acme"
#define BUS_BENCH_SUBJECT "shop"
#define BUS_BENCH_TIME_US 1000
#define BUS_BENCH_SAGA "saga-1"

typedef struct bus_fold_case {
	const char *name;
	const char *given; /* rows; NULL: none */
	const char *type;  /* without io.busline. and .v1: "deploy.requested" */
	const char *data;
	const char *subject;  /* NULL: BUS_BENCH_SUBJECT; "": none */
	const char *source;   /* NULL: "/test" */
	const char *actor;    /* NULL: none */
	const char *sagastep; /* of BUS_BENCH_SAGA; NULL: no saga's */

	bus_verdict verdict;
	const char *reason; /* NULL: none */
	const char *writes; /* rows; NULL: none */
	const char *emits;  /* [ { 'type': as above, 'data': ... }, ... ]; NULL: none */
} bus_fold_case;

/*
 * Runs cases until one without a name. Each is folded with nothing in memory and again with
 * everything: the results must be equal. Every row written must bear the event's stamp, and
 * every follow-up must come from this worker and name its cause.
 */
void bus_bench_cases(const bus_worker *worker, const bus_fold_case *cases);

/*
 * An event that may happen in a random history; # is a number from 1 to 4. "TYPE @STEP" is an
 * attempt of a step of BUS_BENCH_SAGA.
 */
typedef struct bus_fold_draw {
	const char *type;
	const char *data;
} bus_fold_draw;

/*
 * Random histories of these events over a few tenants and apps, folded one by one, in
 * batches of any size, with memory lost at any time, with a source that fails, and with
 * the keys interleaved in another way: rows, verdicts and follow-ups must be equal.
 */
void bus_bench_histories(const bus_worker *worker, const bus_fold_draw *draws,
			 size_t count);

/*
 * What a refusal emits comes back on the topic: its verdict there, with these rows given.
 * The case's event is folded, and then its only follow-up.
 */
bus_verdict bus_bench_echo(const bus_worker *worker, const bus_fold_case *refused);

#endif
