/*
 * unit.c - a worker's transaction: sent whole, answered later
 */
#include <stdio.h>

#include "core/crash.h"
#include "sql/store_private.h"

static bus_status
unit_prepare(bus_store *store, busp_segment *segment, const bus_unit *unit, bus_error *err)
{
	static const char *const always[] = { "unit_begin", "unit_fence", "unit_commit",
					      "identity_insert", "ledger_insert" };
	static const char *const seldom[] = { "dead_letter_insert", "outbox_insert",
					      "outbox_notify" };
	bus_status status = BUS_OK;
	for (size_t i = 0; status == BUS_OK && i < sizeof(always) / sizeof(always[0]);
	     i++) {
		status = busp_segment_prepare(store, segment, always[i], err);
	}
	for (size_t i = 0; status == BUS_OK && i < sizeof(seldom) / sizeof(seldom[0]);
	     i++) {
		if (i == 0 ? unit->dead_letter_count > 0 : unit->outbox_count > 0) {
			status = busp_segment_prepare(store, segment, seldom[i], err);
		}
	}
	if (status == BUS_OK) {
		status = busp_quarantine_prepare(store, segment, unit, err);
	}
	if (status == BUS_OK) {
		status = busp_timer_prepare(store, segment, unit, err);
	}
	for (size_t i = 0; status == BUS_OK && i < unit->write_count; i++) {
		char query[BUSP_QUERY_NAME_MAX];
		snprintf(query, sizeof(query), "%s_store", unit->writes[i].type->name);
		if (unit->writes[i].count > 0) {
			status = busp_segment_prepare(store, segment, query, err);
		}
	}
	return status;
}

/* Brings the server to exactly this point, and dies there if a test wants it. */
static bus_status
unit_crash_point(bus_store *store, busp_segment *segment, bus_crash_point point,
		 bus_error *err)
{
	if (!bus_crash_armed(point)) {
		return BUS_OK;
	}
	bus_status status = busp_segment_catch_up(store, segment, err);
	if (status == BUS_OK && segment->error.status == BUS_OK && bus_crash_due(point)) {
		bus_crash_now();
	}
	return status;
}

static bus_status
unit_send(bus_store *store, busp_segment *segment, const char *query, bus_error *err)
{
	const busp_question question = { .query = query, .params = &store->params };
	return busp_segment_send(store, segment, &question, err);
}

/* One without parameters. */
static bus_status
unit_do(bus_store *store, busp_segment *segment, const char *query, bus_error *err)
{
	const busp_question question = { .query = query };
	return busp_segment_send(store, segment, &question, err);
}

static bus_status
unit_send_begin(bus_store *store, busp_segment *segment, const bus_unit *unit,
		bus_error *err)
{
	bus_status status = unit_do(store, segment, "unit_begin", err);
	if (status == BUS_OK && unit->position_count > 0) {
		busp_params_clear(&store->params);
		busp_unit_positions(&store->params, unit);
		status = unit_send(store, segment, "unit_fence", err);
	}
	if (status == BUS_OK) {
		status = unit_crash_point(store, segment, BUS_CRASH_AFTER_BEGIN, err);
	}
	return status;
}

static bus_status
unit_send_ledger(bus_store *store, busp_segment *segment, const bus_unit *unit,
		 bus_error *err)
{
	bus_status status = BUS_OK;
	busp_params_clear(&store->params);
	if (busp_unit_identities(&store->params, unit)) {
		status = unit_send(store, segment, "identity_insert", err);
	}
	if (status == BUS_OK && unit->ledger_count > 0) {
		busp_params_clear(&store->params);
		busp_unit_ledger(&store->params, unit, store->arena);
		status = unit_send(store, segment, "ledger_insert", err);
	}
	if (status == BUS_OK && unit->dead_letter_count > 0) {
		busp_params_clear(&store->params);
		busp_unit_dead_letters(&store->params, unit, store->arena);
		status = unit_send(store, segment, "dead_letter_insert", err);
	}
	if (status == BUS_OK) {
		status = busp_quarantine_send(store, segment, unit, err);
	}
	if (status == BUS_OK) {
		status = unit_crash_point(store, segment, BUS_CRASH_AFTER_LEDGER, err);
	}
	return status;
}

static bus_status
unit_send_state(bus_store *store, busp_segment *segment, const bus_unit *unit,
		bus_error *err)
{
	bus_status status = BUS_OK;
	for (size_t i = 0; status == BUS_OK && i < unit->write_count; i++) {
		const bus_unit_write *write = &unit->writes[i];
		if (write->count == 0) {
			continue;
		}
		char query[BUSP_QUERY_NAME_MAX];
		snprintf(query, sizeof(query), "%s_store", write->type->name);
		busp_params_clear(&store->params);
		for (size_t c = 0; c < write->type->column_count; c++) {
			busp_param_column(&store->params, &write->type->columns[c],
					  write->rows, write->count);
		}
		status = unit_send(store, segment, query, err);
	}
	return status;
}

static bus_status
unit_send_outbox(bus_store *store, busp_segment *segment, const bus_unit *unit,
		 bus_error *err)
{
	if (unit->outbox_count == 0) {
		return BUS_OK;
	}
	busp_params_clear(&store->params);
	busp_unit_outbox(&store->params, unit, store->arena);
	bus_status status = unit_send(store, segment, "outbox_insert", err);
	if (status == BUS_OK) {
		status = unit_do(store, segment, "outbox_notify", err);
	}
	return status;
}

static bus_status
unit_send_commit(bus_store *store, busp_segment *segment, bus_error *err)
{
	bus_status status =
		unit_crash_point(store, segment, BUS_CRASH_BEFORE_COMMIT, err);
	if (status != BUS_OK) {
		return status;
	}
	segment->commit_at = segment->sent + 1;
	status = unit_do(store, segment, "unit_commit", err);
	if (status == BUS_OK) {
		status = busp_segment_end(store, err);
	}
	if (status == BUS_OK && bus_crash_armed(BUS_CRASH_AFTER_COMMIT) &&
	    bus_crash_due(BUS_CRASH_AFTER_COMMIT)) {
		bus_crash_now();
	}
	return status;
}

bus_status
bus_store_submit(bus_store *store, const bus_unit *unit, bus_error *err)
{
	bus_error mine = BUS_ERROR_INIT;
	busp_segment *segment = NULL;
	bus_status status = BUS_OK;
	if (bus_store_in_flight(store) >= BUS_UNITS_IN_FLIGHT_MAX) {
		status = bus_error_set(&mine, BUS_E_FATAL, BUSP_ORIGIN, 0,
				       "more than %d units in flight",
				       BUS_UNITS_IN_FLIGHT_MAX);
	} else {
		segment = busp_segment_begin(store, BUSP_IN_UNIT, &mine);
		status = segment == NULL ? mine.status :
					   unit_prepare(store, segment, unit, &mine);
	}
	bus_status (*const steps[])(bus_store *, busp_segment *, const bus_unit *,
				    bus_error *) = {
		unit_send_begin,  unit_send_ledger, unit_send_state,
		unit_send_outbox, busp_timer_send, /* last: a delay begins as near to the commit as can be */
	};
	for (size_t i = 0; status == BUS_OK && i < sizeof(steps) / sizeof(steps[0]); i++) {
		status = steps[i](store, segment, unit, &mine);
	}
	if (status == BUS_OK) {
		status = unit_send_commit(store, segment, &mine);
	}
	bus_arena_reset(store->arena);
	if (status != BUS_OK && segment != NULL) {
		/* Half a unit cannot be taken back out of the pipeline. */
		busp_segment_pop(store);
		busp_lost(store, "connection given up while sending");
	}
	if (status != BUS_OK && err != NULL && err->status == BUS_OK) {
		*err = mine;
	}
	return status;
}

size_t
bus_store_in_flight(const bus_store *store)
{
	return store->segment_count; /* reads are waited for within their call */
}

/* The pipeline is made quiet and the failed transaction ended, so that the caller can read
 * its positions on this connection; if that does not work, it is closed. */
static void
units_abandon(bus_store *store)
{
	while (store->segment_count > 0) {
		(void)busp_segment_wait(store, busp_segment_oldest(store),
					store->deadline_ms, true);
		busp_segment_shift(store);
	}
	if (bus_store_connected(store) &&
	    PQtransactionStatus(store->conn) != PQTRANS_IDLE) {
		const busp_question rollback = { .query = "unit_rollback" };
		bus_error ignored = BUS_ERROR_INIT;
		if (busp_ask_all(store, BUSP_IN_STATEMENT, &rollback, 1, NULL,
				 &ignored) != BUS_OK) {
			bus_store_disconnect(store);
		}
	}
}

bus_status
bus_store_await(bus_store *store, int timeout_ms, bool *ret_done, bus_error *err)
{
	busp_segment *segment = busp_segment_oldest(store);
	if (segment == NULL) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "no unit is in flight");
	}
	int64_t wait_ms = timeout_ms < 0 ? store->deadline_ms : timeout_ms;
	if (!busp_segment_wait(store, segment, wait_ms, timeout_ms < 0)) {
		*ret_done = false;
		return BUS_OK;
	}
	bus_status status = segment->error.status;
	if (status == BUS_OK) {
		busp_segment_shift(store);
		*ret_done = true;
		return BUS_OK;
	}
	if (err != NULL && err->status == BUS_OK) {
		*err = segment->error;
	}
	units_abandon(store);
	return status;
}
