/*
 * pipeline.c - segments: what is sent up to one Sync, and its answer
 */
#include <assert.h>
#include <stdio.h>

#include "sql/store_private.h"

static busp_segment *
segment_at(bus_store *store, size_t i)
{
	return &store->segments[(store->segment_first + i) % BUSP_SEGMENTS_MAX];
}

busp_segment *
busp_segment_oldest(bus_store *store)
{
	return store->segment_count == 0 ? NULL : segment_at(store, 0);
}

static void
segment_fini(busp_segment *segment)
{
	PQclear(segment->rows);
	*segment = (busp_segment){ 0 };
}

void
busp_segment_pop(bus_store *store)
{
	assert(store->segment_count > 0);
	segment_fini(segment_at(store, --store->segment_count));
}

void
busp_segment_shift(bus_store *store)
{
	assert(store->segment_count > 0);
	segment_fini(segment_at(store, 0));
	store->segment_first = (store->segment_first + 1) % BUSP_SEGMENTS_MAX;
	store->segment_count--;
}

void
busp_segments_clear(bus_store *store)
{
	while (store->segment_count > 0) {
		busp_segment_pop(store);
	}
}

/* The statement whose answer is being read. */
static const char *
segment_what(const busp_segment *segment)
{
	return segment->answered < BUSP_STATEMENTS_MAX &&
			       segment->whats[segment->answered] != NULL ?
		       segment->whats[segment->answered] :
		       "end of the transaction";
}

static void
segment_sent(busp_segment *segment, const char *what)
{
	if (segment->sent < BUSP_STATEMENTS_MAX) {
		segment->whats[segment->sent] = what;
	}
	segment->sent++;
}

/* What was not answered may have happened (a unit), or can be asked again (a read). An error
 * that came before the connection went stays: it says that the unit was rolled back, unless
 * only COMMIT was left, whose failure proves nothing. */
void
busp_lost(bus_store *store, const char *why)
{
	for (size_t i = 0; i < store->segment_count; i++) {
		busp_segment *segment = segment_at(store, i);
		if (segment->complete) {
			continue;
		}
		segment->complete = true;
		bus_error_set(&segment->error,
			      segment->unit ? BUS_E_UNKNOWN : BUS_E_RETRY, BUSP_ORIGIN, 0,
			      "%s: %s", segment_what(segment), why);
	}
	PQfinish(store->conn);
	store->conn = NULL;
}

busp_segment *
busp_segment_begin(bus_store *store, busp_context context, bus_error *err)
{
	bool unit = context == BUSP_IN_UNIT;
	if (!bus_store_connected(store)) {
		bus_error_set(err, unit ? BUS_E_UNKNOWN : BUS_E_RETRY, BUSP_ORIGIN, 0,
			      "not connected");
		return NULL;
	}
	if (store->segment_count == BUSP_SEGMENTS_MAX) {
		bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
			      "more than %d units in flight", BUS_UNITS_IN_FLIGHT_MAX);
		return NULL;
	}
	busp_segment *segment = segment_at(store, store->segment_count++);
	*segment = (busp_segment){ .unit = unit, .context = context };
	return segment;
}

static bus_status
not_sent(bus_store *store, busp_segment *segment, const char *query, bus_error *err)
{
	return bus_error_set(err, segment->unit ? BUS_E_UNKNOWN : BUS_E_RETRY,
			     BUSP_ORIGIN, 0, "%s: cannot send: %.*s", query,
			     (int)strcspn(PQerrorMessage(store->conn), "\n"),
			     PQerrorMessage(store->conn));
}

bus_status
busp_segment_prepare(bus_store *store, busp_segment *segment, const char *query,
		     bus_error *err)
{
	size_t file = busp_query_find(query);
	if (file == SIZE_MAX) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "there is no query %s", query);
	}
	if (busp_is_prepared(store, file)) {
		return BUS_OK;
	}
	char name[BUSP_QUERY_NAME_MAX];
	busp_prepared_name(store, file, name);
	if (PQsendPrepare(store->conn, name, busp_query_file(file)->data, 0, NULL) != 1) {
		return not_sent(store, segment, query, err);
	}
	segment_sent(segment, strchr(busp_query_file(file)->name, '/') + 1);
	segment->prepares = true;
	store->prepared[file] = store->generation;
	return BUS_OK;
}

bus_status
busp_segment_send(bus_store *store, busp_segment *segment, const busp_question *question,
		  bus_error *err)
{
	size_t count = question->params == NULL ? 0 : question->params->count;
	const char *values[BUSP_PARAMS_MAX];
	int lengths[BUSP_PARAMS_MAX];
	int formats[BUSP_PARAMS_MAX];
	for (size_t i = 0; i < count; i++) {
		bus_str view = bus_buf_view(&question->params->bufs[i]);
		values[i] = question->params->absent[i] ? NULL : view.data;
		lengths[i] = (int)view.len;
		formats[i] = question->as_text ? 0 : 1;
	}
	int result_format = question->as_text ? 0 : 1;
	int sent;
	const char *what = "query";
	if (question->sql != NULL) {
		sent = PQsendQueryParams(store->conn, question->sql, (int)count, NULL,
					 values, lengths, formats, result_format);
	} else {
		bus_status status =
			busp_segment_prepare(store, segment, question->query, err);
		if (status != BUS_OK) {
			return status;
		}
		size_t file = busp_query_find(question->query);
		char name[BUSP_QUERY_NAME_MAX];
		busp_prepared_name(store, file, name);
		what = strchr(busp_query_file(file)->name, '/') + 1;
		sent = PQsendQueryPrepared(store->conn, name, (int)count, values, lengths,
					   formats, result_format);
	}
	if (sent != 1) {
		return not_sent(store, segment, what, err);
	}
	segment_sent(segment, what);
	return BUS_OK;
}

/* The error of a statement. What was to be prepared in a segment that failed may not be there,
 * so all is prepared again, under new names. */
static void
segment_failed(bus_store *store, busp_segment *segment, const PGresult *result)
{
	if (segment->error.status != BUS_OK) {
		return;
	}
	busp_error_result(&segment->error, result, segment->context,
			  segment_what(segment));
	const char *sqlstate = segment->error.sqlstate;
	bool lost = sqlstate[0] == '\0' || strncmp(sqlstate, "57P", 3) == 0 ||
		    strncmp(sqlstate, "08", 2) == 0;
	if (segment->unit && lost && segment->commit_at == segment->answered + 1) {
		segment->error.status = BUS_E_UNKNOWN;
	}
	bool stale = busp_sqlstate_is_stale(sqlstate);
	if (stale || segment->prepares) {
		busp_prepared_forget(store);
	}
	if (stale && store->stale_once) {
		segment->error.status = BUS_E_FATAL;
	}
	store->stale_once |= stale;
}

static void
segment_result(bus_store *store, busp_segment *segment, PGresult *result)
{
	segment->in_answer = true;
	switch (PQresultStatus(result)) {
	case PGRES_TUPLES_OK:
		PQclear(segment->rows);
		segment->rows = result;
		return;
	case PGRES_COMMAND_OK:
		/* A COMMIT of a failed transaction succeeds too, and says ROLLBACK. */
		if (segment->commit_at == segment->answered + 1) {
			segment->committed = strcmp(PQcmdStatus(result), "COMMIT") == 0;
		}
		break;
	case PGRES_PIPELINE_SYNC:
		segment->in_answer = false;
		segment->complete = true;
		if (segment->error.status != BUS_OK) {
			break;
		}
		store->stale_once = false;
		if (segment->unit && !segment->committed) {
			bus_error_set(&segment->error, BUS_E_ABORT, BUSP_ORIGIN, 0,
				      "unit: COMMIT answered with ROLLBACK");
		}
		break;
	case PGRES_PIPELINE_ABORTED:
		break;
	case PGRES_FATAL_ERROR:
		segment_failed(store, segment, result);
		break;
	case PGRES_EMPTY_QUERY:
	case PGRES_COPY_OUT:
	case PGRES_COPY_IN:
	case PGRES_BAD_RESPONSE:
	case PGRES_NONFATAL_ERROR:
	case PGRES_COPY_BOTH:
	case PGRES_SINGLE_TUPLE:
		bus_error_set(&segment->error, BUS_E_FATAL, BUSP_ORIGIN,
			      (int)PQresultStatus(result),
			      "%s: an answer of an unexpected kind",
			      segment_what(segment));
		break;
	}
	PQclear(result);
}

/* Takes what libpq has read and gives it to the oldest segments that are not complete. */
static void
segments_take(bus_store *store)
{
	for (size_t i = 0; i < store->segment_count; i++) {
		busp_segment *segment = segment_at(store, i);
		while (!segment->complete) {
			if (PQisBusy(store->conn)) {
				return;
			}
			PGresult *result = PQgetResult(store->conn);
			if (result != NULL) {
				segment_result(store, segment, result);
			} else if (segment->in_answer) {
				segment->in_answer = false;
				segment->answered++;
			} else {
				return;
			}
		}
	}
}

static bool
all_answered(const busp_segment *segment)
{
	return segment->complete ||
	       (!segment->in_answer && segment->answered == segment->sent);
}

/* Reads until the segment is complete or, with so_far, all sent of it is answered. When the
 * wait ends without, the connection is given up (last), or the answer is false. */
static bool
segment_read(bus_store *store, busp_segment *segment, bool so_far, int64_t wait_ms,
	     bool last)
{
	int64_t deadline = bus_clock_mono_ms(store->clock) + wait_ms;
	while (store->conn != NULL) {
		segments_take(store);
		if (segment->complete || (so_far && all_answered(segment))) {
			return true;
		}
		if (PQstatus(store->conn) == CONNECTION_BAD) {
			busp_lost(store, "connection lost");
			return true;
		}
		busp_waited waited = busp_wait(store, false, deadline);
		if (waited == BUSP_TIMED_OUT && !last) {
			return false;
		}
		if (waited == BUSP_TIMED_OUT) {
			busp_lost(store, "no answer within the deadline");
			return true;
		}
		/* libpq keeps what came before the connection ended: take it, then see. */
		if (waited == BUSP_BROKEN ||
		    (waited == BUSP_READY && PQconsumeInput(store->conn) != 1)) {
			segments_take(store);
			busp_lost(store, "connection lost");
			return true;
		}
	}
	return true;
}

bool
busp_segment_wait(bus_store *store, busp_segment *segment, int64_t wait_ms, bool last)
{
	return segment->complete || segment_read(store, segment, false, wait_ms, last);
}

bus_status
busp_segment_end(bus_store *store, bus_error *err)
{
	if (PQpipelineSync(store->conn) != 1) {
		return bus_error_set(err, BUS_E_UNKNOWN, BUSP_ORIGIN, 0,
				     "connection lost while sending");
	}
	return busp_flush(store, err);
}

bus_status
busp_segment_catch_up(bus_store *store, busp_segment *segment, bus_error *err)
{
	if (PQsendFlushRequest(store->conn) != 1) {
		return not_sent(store, segment, "flush", err);
	}
	bus_status status = busp_flush(store, err);
	if (status == BUS_OK) {
		segment_read(store, segment, true, store->deadline_ms, true);
	}
	return status;
}

/* The answer of a read that was sent, or was not (status). */
static bus_status
ask_finish(bus_store *store, busp_segment *segment, bus_status status,
	   PGresult **ret_rows, bus_error *err)
{
	if (status == BUS_OK) {
		status = busp_segment_end(store, err);
	}
	if (status != BUS_OK) {
		/* Half a read cannot stay in the pipeline. */
		busp_segment_pop(store);
		busp_lost(store, "connection given up");
		return status == BUS_E_UNKNOWN ? (err->status = BUS_E_RETRY) : status;
	}
	(void)busp_segment_wait(store, segment, store->deadline_ms, true);
	status = segment->error.status;
	if (status != BUS_OK) {
		if (err->status == BUS_OK) {
			*err = segment->error;
		}
	} else if (ret_rows != NULL) {
		*ret_rows = segment->rows;
		segment->rows = NULL;
	}
	busp_segment_pop(store);
	return status;
}

bus_status
busp_ask_all(bus_store *store, busp_context context, const busp_question *questions,
	     size_t count, PGresult **ret_rows, bus_error *err)
{
	busp_segment *segment = busp_segment_begin(store, context, err);
	if (segment == NULL) {
		return err->status;
	}
	bus_status status = BUS_OK;
	/* A unit in front of us that fails leaves its transaction open and failed; nothing can
	 * even be prepared in it. */
	if (store->segment_count > 1) {
		const busp_question rollback = { .query = "unit_rollback" };
		status = busp_segment_send(store, segment, &rollback, err);
	}
	for (size_t i = 0; status == BUS_OK && i < count; i++) {
		if (questions[i].sql == NULL) {
			status = busp_segment_prepare(store, segment, questions[i].query,
						      err);
		}
	}
	for (size_t i = 0; status == BUS_OK && i < count; i++) {
		status = busp_segment_send(store, segment, &questions[i], err);
	}
	return ask_finish(store, segment, status, ret_rows, err);
}

bus_status
busp_ask(bus_store *store, const char *query, PGresult **ret_rows, bus_error *err)
{
	const busp_question question = { .query = query, .params = &store->params };
	bus_error mine = BUS_ERROR_INIT;
	bus_status status =
		busp_ask_all(store, BUSP_IN_STATEMENT, &question, 1, ret_rows, &mine);
	if (status == BUS_E_RETRY && busp_sqlstate_is_stale(mine.sqlstate)) {
		bus_error_reset(&mine); /* prepared again, under a new name */
		status = busp_ask_all(store, BUSP_IN_STATEMENT, &question, 1, ret_rows,
				      &mine);
	}
	if (status != BUS_OK && err != NULL && err->status == BUS_OK) {
		*err = mine;
	}
	return status;
}
