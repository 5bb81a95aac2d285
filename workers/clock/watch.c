/*
 * watch.c - which timers there are, and how PostgreSQL's clock moves against ours
 *
 * DESIGN
 * A timer that appears while the clock watches is measured by the time since boot, from the
 * moment it is seen: no wall clock has a part in it. One that was there before is due at due_at
 * of PostgreSQL's clock, and that may have been stepped meanwhile. The step is the change of
 * the difference between that clock and the time since boot, against the difference that the
 * last sign of life stored. Which rows were set before the step, and so count with the old
 * difference, their xid tells; where it does not, the later time counts. None is ever due
 * later than its whole delay from now.
 *
 * A clock that leads and sees a step writes the due times it knows anew, so that the table is
 * right by PostgreSQL's clock for people and for the next clock. Sign of life and due times
 * change in one transaction.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "core/log.h"
#include "workers/clock/clock.h"

/* Two clocks drift apart; less than this is corrected by nobody, and added to what is read from
 * the table. */
#define STEP_MS 20
#define PAGE_ROWS 20000u
/* Below it a purge is not worth a read. */
#define PURGE_NUMBERS 65536u

typedef struct moment {
	int64_t offset_ms; /* PostgreSQL's clock less the time since boot */
	int64_t error_ms;
	int64_t xmin;
} moment;

static bus_status
measure(busp_clock *clock, moment *ret_moment, bus_error *err)
{
	int64_t wall_ms;
	int64_t before_ms = bus_clock_boot_ms();
	bus_status status =
		bus_store_clock_now(clock->store, &wall_ms, &ret_moment->xmin, err);
	int64_t took_ms = bus_clock_boot_ms() - before_ms;
	if (status == BUS_OK) {
		ret_moment->offset_ms = wall_ms - before_ms - took_ms / 2;
		ret_moment->error_ms = took_ms / 2 + 1;
	}
	return status;
}

static bool
differs(int64_t a_ms, int64_t b_ms, int64_t error_ms)
{
	return llabs(a_ms - b_ms) > STEP_MS + error_ms;
}

static int64_t
larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* The end of a delay that begins now; one more, because both times are rounded down. */
static int64_t
whole_delay(int64_t delay_ms)
{
	return bus_clock_boot_ms() + delay_ms + 1;
}

/* Of all timers set by transactions from one on: due says when one is due. */
static bus_status
look(busp_clock *clock, int64_t xmin,
     int64_t (*due)(const bus_timer_seen *seen, const void *ctx), const void *ctx,
     bus_error *err)
{
	bus_timer_id after = { 0 };
	size_t count = PAGE_ROWS;
	while (count == PAGE_ROWS) {
		bus_timer_seen *seen = NULL;
		bus_arena_reset(clock->arena);
		bus_status status =
			bus_store_timer_look(clock->store, xmin, after, PAGE_ROWS,
					     clock->arena, &seen, &count, err);
		if (status != BUS_OK) {
			return status;
		}
		for (size_t i = 0; i < count; i++) {
			busp_known_see(&clock->known, seen[i].id, due(&seen[i], ctx));
		}
		if (count > 0) {
			after = seen[count - 1].id;
		}
	}
	return BUS_OK;
}

/* ---- at the start ---- */

typedef struct past {
	bus_clock_beat last;
	bool same_boot;
	bool stepped;
	int64_t base_ms;
	moment now;
} past;

static int64_t
due_of_old(const bus_timer_seen *seen, const void *ctx)
{
	const past *p = ctx;
	int64_t due_ms = seen->due_ms - p->now.offset_ms;
	if (p->same_boot) {
		int64_t before_ms = seen->due_ms - p->base_ms;
		bool certain = p->stepped && seen->id.xid < p->last.xmin;
		due_ms = certain ? before_ms : larger(before_ms, due_ms);
	}
	due_ms += STEP_MS + p->now.error_ms;
	int64_t latest_ms = whole_delay(seen->delay_ms);
	return due_ms < latest_ms ? due_ms : latest_ms;
}

bus_status
busp_clock_load(busp_clock *clock, bus_error *err)
{
	past p = { 0 };
	bus_status status = bus_store_clock_last(clock->store, &p.last, err);
	if (status == BUS_OK) {
		status = measure(clock, &p.now, err);
	}
	if (status != BUS_OK) {
		return status;
	}
	p.same_boot =
		p.last.boot_id[0] != '\0' && strcmp(p.last.boot_id, clock->boot_id) == 0;
	p.base_ms = p.same_boot ? p.last.wall_ms - p.last.boot_ms : p.now.offset_ms;
	p.stepped = differs(p.base_ms, p.now.offset_ms, p.now.error_ms);
	busp_known_clear(&clock->known);
	clock->purged_count = 0;
	status = look(clock, 0, due_of_old, &p, err);
	if (status != BUS_OK) {
		return status;
	}
	clock->base_ms = p.base_ms;
	clock->offset_ms = p.now.offset_ms;
	clock->stepped = p.stepped;
	clock->xmin = p.now.xmin;
	clock->looked_ms = bus_clock_boot_ms();
	BUS_LOG(BUS_LOG_INFO, "timers loaded",
		BUS_LOG_I("count", (int64_t)clock->known.count),
		BUS_LOG_I("clock_step_ms", p.stepped ? p.now.offset_ms - p.base_ms : 0));
	return BUS_OK;
}

/* ---- while it watches ---- */

static int64_t
due_of_new(const bus_timer_seen *seen, const void *ctx)
{
	(void)ctx;
	return whole_delay(seen->delay_ms);
}

/* What was set again or cancelled stays in memory until it would be due: now and then it is
 * looked through. */
static bus_status
purge(busp_clock *clock, bus_error *err)
{
	int64_t *numbers = NULL;
	size_t count = 0;
	if (clock->known.number_count < PURGE_NUMBERS ||
	    clock->known.number_count < clock->purged_count * 2) {
		return BUS_OK;
	}
	bus_arena_reset(clock->arena);
	bus_status status = bus_store_timer_numbers(clock->store, clock->arena, &numbers,
						    &count, err);
	if (status == BUS_OK) {
		busp_known_purge(&clock->known, numbers, count);
		clock->purged_count = clock->known.number_count;
	}
	return status;
}

bus_status
busp_clock_look(busp_clock *clock, bus_error *err)
{
	moment now;
	bus_status status = measure(clock, &now, err);
	if (status == BUS_OK) {
		status = look(clock, clock->xmin, due_of_new, NULL, err);
	}
	if (status != BUS_OK) {
		return status;
	}
	clock->xmin = now.xmin;
	clock->looked_ms = bus_clock_boot_ms();
	clock->offset_ms = now.offset_ms;
	if (!clock->stepped && differs(clock->base_ms, now.offset_ms, now.error_ms)) {
		clock->stepped = true;
		BUS_LOG(BUS_LOG_WARN, "PostgreSQL's clock was stepped; timers are kept",
			BUS_LOG_I("step_ms", now.offset_ms - clock->base_ms));
	}
	return purge(clock, err);
}

bus_status
busp_clock_beat(busp_clock *clock, bus_error *err)
{
	bus_timer_seen *corrected = NULL;
	size_t count = clock->stepped ? clock->known.count : 0;
	int64_t base_ms = clock->stepped ? clock->offset_ms : clock->base_ms;
	bus_error mine = BUS_ERROR_INIT;
	bus_arena_reset(clock->arena);
	if (count > 0) {
		corrected = bus_arena_alloc(clock->arena, count * sizeof(*corrected));
	}
	for (size_t i = 0; i < count; i++) {
		corrected[i] = (bus_timer_seen){
			.id = clock->known.heap[i].id,
			.due_ms = clock->known.heap[i].due_ms + base_ms,
		};
	}
	int64_t now_ms = bus_clock_boot_ms();
	bus_clock_beat beat = {
		.boot_ms = now_ms,
		.wall_ms = now_ms + base_ms,
		.xmin = clock->xmin,
	};
	memcpy(beat.boot_id, clock->boot_id, sizeof(beat.boot_id));
	bus_status status = bus_store_clock_beat(clock->store, &clock->stream, &beat,
						 corrected, count, &mine);
	if (status == BUS_OK) {
		clock->base_ms = base_ms;
		clock->stepped = false;
	} else if (status == BUS_E_RETRY && bus_store_connected(clock->store)) {
		/* A worker held a row for long. The old sign of life is still right. */
		bus_log_error(BUS_LOG_DEBUG, "sign of life put off", &mine);
		return BUS_OK;
	} else if (err != NULL && err->status == BUS_OK) {
		*err = mine;
	}
	return status;
}
