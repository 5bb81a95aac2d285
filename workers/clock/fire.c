/*
 * fire.c - timers that are due, as events in the outbox
 *
 * DESIGN
 * One transaction: the clock's own position row is its fence and numbers the events, the timers
 * go, the events come. Texts are read before it; a timer that is set again or cancelled in
 * between makes the transaction fail, and the next try finds it gone.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/id.h"
#include "core/log.h"
#include "workers/clock/clock.h"

#define WORKER "clock"
#define SOURCE "/busline/worker/clock"
#define SQLSTATE_CHANGED "40001" /* raised by busline.timer_fire */
/* A timer that somebody holds just now is tried again this much later. */
#define AGAIN_MS 5
/* Later than this is told. */
#define LATE_MS 1000

typedef struct firing {
	busp_known_timer timers[BUSP_CLOCK_BATCH_MAX]; /* by number */
	size_t count;
	bus_timer_id ids[BUSP_CLOCK_BATCH_MAX];
	size_t found_count;
	int64_t now_ms;
	int64_t late_count, late_worst_ms;
} firing;

static int
compare_number(const void *a, const void *b)
{
	const busp_known_timer *x = a, *y = b;
	return (x->id.number > y->id.number) - (x->id.number < y->id.number);
}

static void
take_due(busp_clock *clock, firing *f)
{
	const busp_known_timer *first = busp_known_first(&clock->known);
	f->now_ms = bus_clock_boot_ms();
	while (f->count < clock->batch && first != NULL && first->due_ms <= f->now_ms) {
		f->timers[f->count++] = busp_known_take(&clock->known);
		first = busp_known_first(&clock->known);
	}
	qsort(f->timers, f->count, sizeof(f->timers[0]), compare_number);
	for (size_t i = 0; i < f->count; i++) {
		f->ids[i] = f->timers[i].id;
	}
}

static void
put_back(busp_clock *clock, const firing *f, int64_t later_ms)
{
	for (size_t i = 0; i < f->count; i++) {
		busp_known_timer timer = f->timers[i];
		timer.due_ms += later_ms;
		busp_known_return(&clock->known, &timer);
	}
}

static int64_t
late_of(firing *f, const bus_timer *timer)
{
	const busp_known_timer key = { .id = timer->id };
	const busp_known_timer *known =
		bsearch(&key, f->timers, f->count, sizeof(f->timers[0]), compare_number);
	int64_t late_ms = known == NULL ? 0 : f->now_ms - known->due_ms;
	if (late_ms > LATE_MS) {
		f->late_count++;
	}
	f->late_worst_ms = late_ms > f->late_worst_ms ? late_ms : f->late_worst_ms;
	return late_ms;
}

static bus_str
fired_data(const bus_timer *timer, int64_t late_ms, bus_arena *arena)
{
	char due[BUS_TIME_TEXT_MAX];
	bus_time_format(timer->due_us, due);
	json_t *data = json_pack("{s:o,s:s,s:I}", "name",
				 json_stringn(timer->name.data, timer->name.len), "due",
				 due, "late_ms", (json_int_t)late_ms);
	char *text = data == NULL ? NULL : json_dumps(data, JSON_COMPACT);
	if (text == NULL) {
		fputs("busline: out of memory for a timer's event\n", stderr);
		abort();
	}
	bus_str copy = bus_arena_str(arena, bus_str_from(text));
	free(text);
	json_decref(data);
	return copy;
}

/* The same timer gives the same id: should one ever fire twice, the second is a repeat. */
static bus_status
fired_event(busp_clock *clock, firing *f, const bus_timer *timer, bus_outbox_row *ret_row,
	    bus_error *err)
{
	bus_arena *arena = clock->arena;
	char id[BUS_UUID_TEXT_LEN + 1], time[BUS_TIME_TEXT_MAX];
	bus_str step = bus_arena_printf(arena, "timer:%.*s", BUS_STR_ARG(timer->name));
	bus_uuid uuid = bus_uuid_derive(timer->cause_time_us, timer->cause_source,
					timer->cause_id, BUS_STR(WORKER), step);
	bus_uuid_format(&uuid, id);
	int64_t wall_us = bus_clock_wall_us(clock->service->clock);
	size_t time_len = bus_time_format(wall_us, time);
	const bus_event event = {
		.id = { id, BUS_UUID_TEXT_LEN },
		.source = BUS_STR(SOURCE),
		.type = BUS_STR(BUS_TIMER_FIRED_TYPE),
		.subject = timer->subject,
		.datacontenttype = BUS_STR("application/json"),
		.time = { time, time_len },
		.time_us = wall_us,
		.tenant = timer->tenant,
		.actor = timer->actor,
		.correlationid = timer->correlationid.data != NULL ?
					 timer->correlationid :
					 timer->cause_id,
		.causationid = timer->cause_id,
		.traceparent = timer->traceparent,
		.data = fired_data(timer, late_of(f, timer), arena),
	};
	*ret_row = (bus_outbox_row){
		.stream = clock->stream.stream,
		.kind = BUS_OUTBOX_FOLLOW_UP,
		.topic = timer->topic,
	};
	return bus_event_write(&event, BUS_MODE_BINARY, arena, &ret_row->record, err);
}

/* The unit of what is still set, sent and answered. */
static bus_status
commit(busp_clock *clock, firing *f, bus_error *err)
{
	bus_timer *timers = NULL;
	bus_arena_reset(clock->arena);
	bus_status status =
		bus_store_timer_load(clock->store, f->ids, f->count, clock->arena,
				     &timers, &f->found_count, err);
	if (status != BUS_OK || f->found_count == 0) {
		return status;
	}
	bus_outbox_row *rows =
		bus_arena_alloc(clock->arena, f->found_count * sizeof(*rows));
	for (size_t i = 0; i < f->found_count && status == BUS_OK; i++) {
		f->ids[i] = timers[i].id;
		status = fired_event(clock, f, &timers[i], &rows[i], err);
		rows[i].seq = clock->stream.outbox_seq + (int64_t)i + 1;
	}
	if (status != BUS_OK) {
		return status;
	}
	bus_unit_position position = {
		.expected = &clock->stream,
		.next_offset = clock->stream.next_offset + 1,
		.outbox_seq = clock->stream.outbox_seq + (int64_t)f->found_count,
		.head = clock->stream.head,
	};
	const bus_unit unit = {
		.positions = &position,
		.position_count = 1,
		.outbox = rows,
		.outbox_count = f->found_count,
		.fired = f->ids,
		.fired_count = f->found_count,
	};
	bool done = false;
	status = bus_store_submit(clock->store, &unit, err);
	if (status == BUS_OK) {
		status = bus_store_await(clock->store, -1, &done, err);
	}
	if (status == BUS_OK) {
		clock->stream.next_offset = position.next_offset;
		clock->stream.outbox_seq = position.outbox_seq;
	}
	return status;
}

bus_status
busp_clock_fire(busp_clock *clock, bus_error *err)
{
	firing f;
	f.count = 0;
	f.late_count = f.late_worst_ms = 0;
	take_due(clock, &f);
	if (f.count == 0) {
		return BUS_OK;
	}
	bus_error mine = BUS_ERROR_INIT;
	bus_status status = commit(clock, &f, &mine);
	if (status == BUS_OK) {
		clock->batch = clock->batch * 2 < BUSP_CLOCK_BATCH_MAX ?
				       clock->batch * 2 :
				       BUSP_CLOCK_BATCH_MAX;
		if (f.late_count > 0) {
			BUS_LOG(BUS_LOG_WARN, "timers fired late",
				BUS_LOG_I("count", f.late_count),
				BUS_LOG_I("worst_ms", f.late_worst_ms));
		}
		return BUS_OK;
	}
	if (status == BUS_E_ABORT && strcmp(mine.sqlstate, SQLSTATE_CHANGED) == 0) {
		put_back(clock, &f, clock->batch == 1 ? AGAIN_MS : 0);
		clock->batch = clock->batch > 1 ? clock->batch / 2 : 1;
		return BUS_OK;
	}
	put_back(clock, &f, 0);
	*err = mine;
	return status;
}
