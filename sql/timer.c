/*
 * timer.c - timers and incidents of a unit, and the clock's side: look, load, beat
 */
#include <string.h>

#include "core/event.h"
#include "sql/store_private.h"

/* ---- in a unit ---- */

static size_t
timers_of(const bus_unit *unit, bool cancelled)
{
	size_t count = 0;
	for (size_t i = 0; i < unit->timer_count; i++) {
		count += unit->timers[i].cancelled == cancelled;
	}
	return count;
}

static size_t
incidents_of(const bus_unit *unit, bool closed)
{
	size_t count = 0;
	for (size_t i = 0; i < unit->incident_count; i++) {
		count += unit->incidents[i].closed == closed;
	}
	return count;
}

bus_status
busp_timer_prepare(bus_store *store, busp_segment *segment, const bus_unit *unit,
		   bus_error *err)
{
	const struct {
		const char *query;
		bool needed;
	} rows[] = {
		{ "timer_fire", unit->fired_count > 0 },
		{ "timer_set", timers_of(unit, false) > 0 },
		{ "timer_cancel", timers_of(unit, true) > 0 },
		{ "timer_notify", timers_of(unit, false) > 0 },
		{ "incident_open_keyed", incidents_of(unit, false) > 0 },
		{ "incident_close", incidents_of(unit, true) > 0 },
	};
	bus_status status = BUS_OK;
	for (size_t i = 0; status == BUS_OK && i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].needed) {
			status = busp_segment_prepare(store, segment, rows[i].query, err);
		}
	}
	return status;
}

static bus_status
send(bus_store *store, busp_segment *segment, const char *query, bus_error *err)
{
	const busp_question question = { .query = query, .params = &store->params };
	return busp_segment_send(store, segment, &question, err);
}

/* An absent subject is the empty one: a key has both or neither. */
static bus_str
subject_of(const bus_event *event)
{
	return event->subject.data != NULL ? event->subject : BUS_STR("");
}

static void
param_timers(busp_params *params, const bus_unit *unit, size_t count, bool cancelled)
{
	bus_buf *streams = busp_param_array(params, BUSP_OID_INT4, count);
	bus_buf *tenants = busp_param_array(params, BUSP_OID_TEXT, count);
	bus_buf *subjects = busp_param_array(params, BUSP_OID_TEXT, count);
	bus_buf *names = busp_param_array(params, BUSP_OID_TEXT, count);
	for (size_t i = 0; i < unit->timer_count; i++) {
		const bus_timer_write *timer = &unit->timers[i];
		if (timer->cancelled != cancelled) {
			continue;
		}
		busp_put_int4(streams, timer->stream);
		busp_put_str(tenants, timer->cause->tenant);
		busp_put_str(subjects, subject_of(timer->cause));
		busp_put_str(names, timer->name);
	}
}

static void
param_timer_causes(busp_params *params, const bus_unit *unit, size_t count)
{
	static const size_t members[] = {
		offsetof(bus_event, source),        offsetof(bus_event, id),
		offsetof(bus_event, correlationid), offsetof(bus_event, traceparent),
		offsetof(bus_event, actor),
	};
	enum { TEXTS = sizeof(members) / sizeof(members[0]) };
	bus_buf *texts[TEXTS];
	bus_buf *delays = busp_param_array(params, BUSP_OID_INT8, count);
	bus_buf *times = busp_param_array(params, BUSP_OID_TIMESTAMPTZ, count);
	for (size_t m = 0; m < TEXTS; m++) {
		texts[m] = busp_param_array(params, BUSP_OID_TEXT, count);
	}
	for (size_t i = 0; i < unit->timer_count; i++) {
		const bus_timer_write *timer = &unit->timers[i];
		if (timer->cancelled) {
			continue;
		}
		busp_put_int8(delays, timer->delay_ms);
		busp_put_time(times, timer->cause->time_us);
		for (size_t m = 0; m < TEXTS; m++) {
			bus_str text;
			memcpy(&text, (const char *)timer->cause + members[m],
			       sizeof(text));
			busp_put_str(texts[m], text);
		}
	}
}

static bus_status
send_timers(bus_store *store, busp_segment *segment, const bus_unit *unit, bus_error *err)
{
	bus_status status = BUS_OK;
	size_t set = timers_of(unit, false), cancelled = timers_of(unit, true);
	if (set > 0) {
		busp_params_clear(&store->params);
		param_timers(&store->params, unit, set, false);
		param_timer_causes(&store->params, unit, set);
		status = send(store, segment, "timer_set", err);
	}
	if (status == BUS_OK && cancelled > 0) {
		busp_params_clear(&store->params);
		param_timers(&store->params, unit, cancelled, true);
		status = send(store, segment, "timer_cancel", err);
	}
	if (status == BUS_OK && set > 0) {
		const busp_question notify = { .query = "timer_notify" };
		status = busp_segment_send(store, segment, &notify, err);
	}
	return status;
}

static void
param_incidents(bus_store *store, const bus_unit *unit, size_t count, bool closed)
{
	busp_params *params = &store->params;
	busp_params_clear(params);
	bus_buf *kinds = busp_param_array(params, BUSP_OID_TEXT, count);
	bus_buf *streams = busp_param_array(params, BUSP_OID_INT4, count);
	bus_buf *offsets = closed ? NULL : busp_param_array(params, BUSP_OID_INT8, count);
	bus_buf *tenants = busp_param_array(params, BUSP_OID_TEXT, count);
	bus_buf *subjects = busp_param_array(params, BUSP_OID_TEXT, count);
	bus_buf *texts = busp_param_array(params, BUSP_OID_TEXT, count);
	for (size_t i = 0; i < unit->incident_count; i++) {
		const bus_incident_write *incident = &unit->incidents[i];
		if (incident->closed != closed) {
			continue;
		}
		busp_put_str(kinds, bus_str_from(incident->kind));
		busp_put_int4(streams, incident->stream);
		if (offsets != NULL) {
			busp_put_int8(offsets, incident->offset);
		}
		busp_put_str(tenants, incident->cause->tenant);
		busp_put_str(subjects, subject_of(incident->cause));
		busp_put_str(texts, busp_text_safe(incident->text, store->arena));
	}
}

static bus_status
send_incidents(bus_store *store, busp_segment *segment, const bus_unit *unit,
	       bus_error *err)
{
	bus_status status = BUS_OK;
	size_t opened = incidents_of(unit, false), closed = incidents_of(unit, true);
	if (opened > 0) {
		param_incidents(store, unit, opened, false);
		status = send(store, segment, "incident_open_keyed", err);
	}
	if (status == BUS_OK && closed > 0) {
		param_incidents(store, unit, closed, true);
		status = send(store, segment, "incident_close", err);
	}
	return status;
}

static void
param_ids(busp_params *params, const bus_timer_id *ids, size_t count)
{
	bus_buf *xids = busp_param_array(params, BUSP_OID_INT8, count);
	bus_buf *numbers = busp_param_array(params, BUSP_OID_INT8, count);
	for (size_t i = 0; i < count; i++) {
		busp_put_int8(xids, ids[i].xid);
		busp_put_int8(numbers, ids[i].number);
	}
}

bus_status
busp_timer_send(bus_store *store, busp_segment *segment, const bus_unit *unit,
		bus_error *err)
{
	bus_status status = BUS_OK;
	if (unit->fired_count > 0) {
		busp_params_clear(&store->params);
		param_ids(&store->params, unit->fired, unit->fired_count);
		status = send(store, segment, "timer_fire", err);
	}
	if (status == BUS_OK && unit->timer_count > 0) {
		status = send_timers(store, segment, unit, err);
	}
	if (status == BUS_OK && unit->incident_count > 0) {
		status = send_incidents(store, segment, unit, err);
	}
	return status;
}

/* ---- the clock ---- */

bus_status
bus_store_clock_now(bus_store *store, int64_t *ret_wall_ms, int64_t *ret_xmin,
		    bus_error *err)
{
	PGresult *rows = NULL;
	busp_params_clear(&store->params);
	bus_status status = busp_ask(store, "clock_now", &rows, err);
	if (status == BUS_OK) {
		*ret_wall_ms = busp_cell_int8(rows, 0, 0);
		*ret_xmin = busp_cell_int8(rows, 0, 1);
	}
	PQclear(rows);
	return status;
}

bus_status
bus_store_timer_look(bus_store *store, int64_t xmin, bus_timer_id after, size_t rows_max,
		     bus_arena *arena, bus_timer_seen **ret_seen, size_t *ret_count,
		     bus_error *err)
{
	PGresult *rows = NULL;
	busp_params_clear(&store->params);
	busp_param_int8(&store->params, xmin);
	busp_param_int8(&store->params, after.xid);
	busp_param_int8(&store->params, after.number);
	busp_param_int8(&store->params, (int64_t)rows_max);
	bus_status status = busp_ask(store, "timer_look", &rows, err);
	if (status != BUS_OK) {
		return status;
	}
	size_t count = (size_t)PQntuples(rows);
	bus_timer_seen *seen = bus_arena_alloc(arena, (count + 1) * sizeof(*seen));
	for (size_t i = 0; i < count; i++) {
		seen[i] = (bus_timer_seen){
			.id = { busp_cell_int8(rows, (int)i, 0),
				busp_cell_int8(rows, (int)i, 1) },
			.delay_ms = busp_cell_int8(rows, (int)i, 2),
			.due_ms = busp_cell_int8(rows, (int)i, 3),
		};
	}
	PQclear(rows);
	*ret_seen = seen;
	*ret_count = count;
	return BUS_OK;
}

static bus_timer
timer_of(const PGresult *rows, int row, bus_arena *arena)
{
	return (bus_timer){
		.id = { busp_cell_int8(rows, row, 0), busp_cell_int8(rows, row, 1) },
		.due_us = busp_cell_int8(rows, row, 2),
		.cause_time_us = busp_cell_int8(rows, row, 3),
		.topic = busp_cell_str(rows, row, 4, arena),
		.tenant = busp_cell_str(rows, row, 5, arena),
		.subject = busp_cell_str(rows, row, 6, arena),
		.name = busp_cell_str(rows, row, 7, arena),
		.cause_source = busp_cell_str(rows, row, 8, arena),
		.cause_id = busp_cell_str(rows, row, 9, arena),
		.correlationid = busp_cell_str(rows, row, 10, arena),
		.traceparent = busp_cell_str(rows, row, 11, arena),
		.actor = busp_cell_str(rows, row, 12, arena),
	};
}

bus_status
bus_store_timer_load(bus_store *store, const bus_timer_id *ids, size_t count,
		     bus_arena *arena, bus_timer **ret_timers, size_t *ret_count,
		     bus_error *err)
{
	PGresult *rows = NULL;
	busp_params_clear(&store->params);
	param_ids(&store->params, ids, count);
	bus_status status = busp_ask(store, "timer_load", &rows, err);
	if (status != BUS_OK) {
		return status;
	}
	size_t found = (size_t)PQntuples(rows);
	bus_timer *timers = bus_arena_alloc(arena, (found + 1) * sizeof(*timers));
	for (size_t i = 0; i < found; i++) {
		timers[i] = timer_of(rows, (int)i, arena);
	}
	PQclear(rows);
	*ret_timers = timers;
	*ret_count = found;
	return BUS_OK;
}

bus_status
bus_store_timer_numbers(bus_store *store, bus_arena *arena, int64_t **ret_numbers,
			size_t *ret_count, bus_error *err)
{
	PGresult *rows = NULL;
	busp_params_clear(&store->params);
	bus_status status = busp_ask(store, "timer_numbers", &rows, err);
	if (status != BUS_OK) {
		return status;
	}
	size_t count = (size_t)PQntuples(rows);
	int64_t *numbers = bus_arena_alloc(arena, (count + 1) * sizeof(*numbers));
	for (size_t i = 0; i < count; i++) {
		numbers[i] = busp_cell_int8(rows, (int)i, 0);
	}
	PQclear(rows);
	*ret_numbers = numbers;
	*ret_count = count;
	return BUS_OK;
}

bus_status
bus_store_clock_last(bus_store *store, bus_clock_beat *ret_beat, bus_error *err)
{
	PGresult *rows = NULL;
	busp_params_clear(&store->params);
	bus_status status = busp_ask(store, "clock_last", &rows, err);
	*ret_beat = (bus_clock_beat){ 0 };
	if (status == BUS_OK && PQntuples(rows) == 1) {
		size_t len = (size_t)PQgetlength(rows, 0, 0);
		if (len < sizeof(ret_beat->boot_id)) {
			memcpy(ret_beat->boot_id, PQgetvalue(rows, 0, 0), len);
		}
		ret_beat->boot_ms = busp_cell_int8(rows, 0, 1);
		ret_beat->wall_ms = busp_cell_int8(rows, 0, 2);
		ret_beat->xmin = busp_cell_int8(rows, 0, 3);
	}
	PQclear(rows);
	return status;
}

bus_status
bus_store_clock_beat(bus_store *store, const bus_stream *clock,
		     const bus_clock_beat *beat, const bus_timer_seen *corrected,
		     size_t count, bus_error *err)
{
	busp_params *params = &store->params;
	busp_params_clear(params);
	busp_param_int4(params, clock->stream);
	busp_param_int8(params, clock->epoch);
	busp_param_str(params, bus_str_from(beat->boot_id));
	busp_param_int8(params, beat->boot_ms);
	busp_param_int8(params, beat->wall_ms);
	busp_param_int8(params, beat->xmin);
	bus_buf *columns[3];
	for (size_t c = 0; c < 3; c++) {
		columns[c] = busp_param_array(params, BUSP_OID_INT8, count);
		if (count == 0) {
			busp_param_nothing(params);
		}
	}
	for (size_t i = 0; i < count; i++) {
		busp_put_int8(columns[0], corrected[i].id.xid);
		busp_put_int8(columns[1], corrected[i].id.number);
		busp_put_int8(columns[2], corrected[i].due_ms);
	}
	return busp_ask(store, "clock_beat", NULL, err);
}
