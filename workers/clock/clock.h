/*
 * clock.h - private to the clock
 */
#ifndef BUSP_CLOCK_CLOCK_H
#define BUSP_CLOCK_CLOCK_H

#include "workers/clock/known.h"
#include "workers/engine/service.h"

#define BUSP_CLOCK_BATCH_MAX 1000u

typedef struct busp_clock {
	const bus_service *service;
	bus_store *store;
	bus_arena *arena; /* of one turn */
	char holder[64];
	char boot_id[64];
	int64_t lease_ms, poll_ms;
	bus_backoff backoff;

	int64_t epoch; /* of the lease; 0: another clock works */
	int64_t renewed_ms;
	bool listening;

	/* of the time this clock leads */
	bool loaded;
	bus_stream stream; /* its own: fences it, and numbers what it promises */
	busp_known known;
	size_t purged_count; /* numbers left by the last purge */
	int64_t xmin;        /* the next look begins there */
	int64_t looked_ms;
	int64_t beat_ms;
	/* PostgreSQL's clock less the time since boot, by which the due times in the table are
	 * right; and as measured last. */
	int64_t base_ms, offset_ms;
	bool stepped; /* they differ: the table must be corrected */
	size_t batch; /* most timers of one transaction */
} busp_clock;

/* ---- watch.c: which timers there are, and what time it is ---- */

/* Everything anew: all timers, with what is left of them. */
BUS_MUST_CHECK bus_status busp_clock_load(busp_clock *clock, bus_error *err);
/* What was set since the last look. */
BUS_MUST_CHECK bus_status busp_clock_look(busp_clock *clock, bus_error *err);
/* A sign of life, and the table's due times if PostgreSQL's clock was stepped. */
BUS_MUST_CHECK bus_status busp_clock_beat(busp_clock *clock, bus_error *err);

/* ---- fire.c ---- */

/* Up to a batch of what is due, in one transaction. BUS_OK also if some of them were set again
 * or cancelled at the same moment: the next call looks again. */
BUS_MUST_CHECK bus_status busp_clock_fire(busp_clock *clock, bus_error *err);

#endif
