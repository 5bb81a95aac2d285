/*
 * quarantine.c - dead letters that are folded after all, and keys that wait for one
 */
#include <string.h>

#include "sql/store_private.h"

/* ---- which failures count against an event ---- */

/* A server that stops, is full or read only, and a connection that breaks, say nothing about an
 * event; these may be its own doing, or that of whoever locks its rows. */
static const char *const passing[] = {
	"40001", /* serialisation */
	"40P01", /* deadlock */
	"53200", /* out of memory */
	"55006", /* object in use */
	"55P03", /* lock_timeout */
	"57014", /* statement_timeout */
};

bool
bus_store_may_pass(const bus_error *err)
{
	/* The fence waits for whoever takes the position over: that is no event's fault. */
	static const char *const shared[] = { "unit_begin.", "unit_fence." };
	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
		if (strncmp(err->text, shared[i], strlen(shared[i])) == 0) {
			return false;
		}
	}
	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
		if (strcmp(err->sqlstate, passing[i]) == 0) {
			return true;
		}
	}
	return false;
}

/* ---- names ---- */

static const char *const letter_states[] = {
	[BUS_LETTER_OPEN] = "open",
	[BUS_LETTER_REDRIVEN] = "redriven",
	[BUS_LETTER_DISCARDED] = "discarded",
};

static const char *const hold_states[] = {
	[BUS_HOLD_RETRYING] = "retrying",
	[BUS_HOLD_DRAINING] = "draining",
	[BUS_HOLD_HELD] = "held",
};

/* Index of a name the table's CHECK allows. */
static int
index_of(const char *const *names, int count, bus_str name)
{
	for (int i = 0; i < count; i++) {
		if (bus_str_is(name, names[i])) {
			return i;
		}
	}
	return 0;
}

static bus_cause
cause_of(bus_str name)
{
	for (int i = 0; i < BUS_CAUSE_COUNT; i++) {
		if (bus_str_is(name, bus_cause_name((bus_cause)i))) {
			return (bus_cause)i;
		}
	}
	return BUS_CAUSE_NONE; /* one that a newer binary has written */
}

/* ---- in a unit ---- */

bus_status
busp_quarantine_prepare(bus_store *store, busp_segment *segment, const bus_unit *unit,
			bus_error *err)
{
	bus_status status = BUS_OK;
	if (unit->letter_change_count > 0) {
		status = busp_segment_prepare(store, segment, "dead_letter_change", err);
	}
	if (status == BUS_OK && unit->held_key_count > 0) {
		status = busp_segment_prepare(store, segment, "quarantine_put", err);
	}
	if (status == BUS_OK && unit->held_key_count > 0) {
		status = busp_segment_prepare(store, segment, "quarantine_delete", err);
	}
	return status;
}

static bus_status
send(bus_store *store, busp_segment *segment, const char *query, bus_error *err)
{
	const busp_question question = { .query = query, .params = &store->params };
	return busp_segment_send(store, segment, &question, err);
}

/* A text that is absent, or one the server takes. */
static void
put_safe(bus_store *store, bus_buf *array, bus_str text)
{
	busp_put_str(array, busp_text_safe(text, store->arena));
}

static bus_status
send_letter_changes(bus_store *store, busp_segment *segment, const bus_unit *unit,
		    bus_error *err)
{
	size_t count = unit->letter_change_count;
	busp_params *params = &store->params;
	busp_params_clear(params);
	bus_buf *streams = busp_param_array(params, BUSP_OID_INT4, count);
	bus_buf *offsets = busp_param_array(params, BUSP_OID_INT8, count);
	bus_buf *states = busp_param_array(params, BUSP_OID_TEXT, count);
	bus_buf *causes = busp_param_array(params, BUSP_OID_TEXT, count);
	bus_buf *details = busp_param_array(params, BUSP_OID_TEXT, count);
	bus_buf *failures = busp_param_array(params, BUSP_OID_INT4, count);
	bus_buf *verdicts = busp_param_array(params, BUSP_OID_TEXT, count);
	bus_buf *reasons = busp_param_array(params, BUSP_OID_TEXT, count);
	bus_buf *who = busp_param_array(params, BUSP_OID_TEXT, count);
	bus_buf *why = busp_param_array(params, BUSP_OID_TEXT, count);
	bus_buf *acts = busp_param_array(params, BUSP_OID_INT8, count);
	bus_buf *edits = busp_param_array(params, BUSP_OID_BYTEA, count);
	for (size_t i = 0; i < count; i++) {
		const bus_letter_change *change = &unit->letter_changes[i];
		busp_put_int4(streams, change->stream);
		busp_put_int8(offsets, change->offset);
		busp_put_str(states, bus_str_from(letter_states[change->state]));
		busp_put_str(causes, change->cause == BUS_CAUSE_NONE ?
					     BUS_STR_NULL :
					     bus_str_from(bus_cause_name(change->cause)));
		put_safe(store, details, change->detail);
		busp_put_int4(failures, change->failed ? 1 : 0);
		busp_put_str(verdicts,
			     change->folded ?
				     bus_str_from(bus_verdict_name(change->verdict)) :
				     BUS_STR_NULL);
		put_safe(store, reasons,
			 change->folded ? change->verdict_reason : BUS_STR_NULL);
		put_safe(store, who, change->who);
		put_safe(store, why, change->why);
		busp_put_int8(acts, change->act_offset);
		busp_put_str(edits, change->edited);
	}
	return send(store, segment, "dead_letter_change", err);
}

static size_t
count_free(const bus_unit *unit)
{
	size_t count = 0;
	for (size_t i = 0; i < unit->held_key_count; i++) {
		count += unit->held_keys[i].state == BUS_HOLD_FREE ? 1 : 0;
	}
	return count;
}

static bus_status
send_free_keys(bus_store *store, busp_segment *segment, const bus_unit *unit,
	       size_t count, bus_error *err)
{
	busp_params *params = &store->params;
	busp_params_clear(params);
	bus_buf *streams = busp_param_array(params, BUSP_OID_INT4, count);
	bus_buf *tenants = busp_param_array(params, BUSP_OID_TEXT, count);
	bus_buf *subjects = busp_param_array(params, BUSP_OID_TEXT, count);
	for (size_t i = 0; i < unit->held_key_count; i++) {
		const bus_held_key *key = &unit->held_keys[i];
		if (key->state == BUS_HOLD_FREE) {
			busp_put_int4(streams, key->stream);
			busp_put_str(tenants, key->tenant);
			busp_put_str(subjects, key->subject);
		}
	}
	return send(store, segment, "quarantine_delete", err);
}

static bus_status
send_held_keys(bus_store *store, busp_segment *segment, const bus_unit *unit,
	       size_t count, bus_error *err)
{
	busp_params *params = &store->params;
	busp_params_clear(params);
	bus_buf *streams = busp_param_array(params, BUSP_OID_INT4, count);
	bus_buf *tenants = busp_param_array(params, BUSP_OID_TEXT, count);
	bus_buf *subjects = busp_param_array(params, BUSP_OID_TEXT, count);
	bus_buf *heads = busp_param_array(params, BUSP_OID_INT8, count);
	bus_buf *attempts = busp_param_array(params, BUSP_OID_INT4, count);
	bus_buf *states = busp_param_array(params, BUSP_OID_TEXT, count);
	bus_buf *errors = busp_param_array(params, BUSP_OID_TEXT, count);
	bus_buf *delays = busp_param_array(params, BUSP_OID_INT8, count);
	for (size_t i = 0; i < unit->held_key_count; i++) {
		const bus_held_key *key = &unit->held_keys[i];
		if (key->state == BUS_HOLD_FREE) {
			continue;
		}
		busp_put_int4(streams, key->stream);
		busp_put_str(tenants, key->tenant);
		busp_put_str(subjects, key->subject);
		busp_put_int8(heads, key->head);
		busp_put_int4(attempts, key->attempts);
		busp_put_str(states, bus_str_from(hold_states[key->state]));
		put_safe(store, errors, key->error);
		if (key->delay_ms == BUS_INT_NULL) {
			busp_put_str(delays, BUS_STR_NULL);
		} else {
			busp_put_int8(delays, key->delay_ms);
		}
	}
	return send(store, segment, "quarantine_put", err);
}

bus_status
busp_quarantine_send(bus_store *store, busp_segment *segment, const bus_unit *unit,
		     bus_error *err)
{
	bus_status status = BUS_OK;
	size_t free_count = count_free(unit);
	if (unit->letter_change_count > 0) {
		status = send_letter_changes(store, segment, unit, err);
	}
	if (status == BUS_OK && free_count > 0) {
		status = send_free_keys(store, segment, unit, free_count, err);
	}
	if (status == BUS_OK && unit->held_key_count > free_count) {
		status = send_held_keys(store, segment, unit,
					unit->held_key_count - free_count, err);
	}
	return status;
}

/* ---- reads ---- */

bus_status
bus_store_held_keys(bus_store *store, const int32_t *streams, size_t count,
		    bus_arena *arena, bus_held_key **ret_keys, size_t *ret_count,
		    bus_error *err)
{
	*ret_keys = NULL;
	*ret_count = 0;
	if (count == 0) {
		return BUS_OK;
	}
	busp_params_clear(&store->params);
	bus_buf *array = busp_param_array(&store->params, BUSP_OID_INT4, count);
	for (size_t i = 0; i < count; i++) {
		busp_put_int4(array, streams[i]);
	}
	PGresult *rows = NULL;
	bus_status status = busp_ask(store, "quarantine_read", &rows, err);
	if (status != BUS_OK) {
		return status;
	}
	size_t found = (size_t)PQntuples(rows);
	bus_held_key *keys = bus_arena_alloc(arena, (found + 1) * sizeof(*keys));
	for (size_t i = 0; i < found; i++) {
		int row = (int)i;
		keys[i] = (bus_held_key){
			.stream = busp_cell_int4(rows, row, 0),
			.tenant = busp_cell_str(rows, row, 1, arena),
			.subject = busp_cell_str(rows, row, 2, arena),
			.head = busp_cell_int8(rows, row, 3),
			.attempts = busp_cell_int4(rows, row, 4),
			.state = (bus_hold_state)index_of(hold_states, BUS_HOLD_FREE,
							  busp_cell_str(rows, row, 5,
									arena)),
			.delay_ms = BUS_INT_NULL,
		};
	}
	PQclear(rows);
	*ret_keys = keys;
	*ret_count = found;
	return BUS_OK;
}

static bus_status
letter_of(const PGresult *rows, int row, bus_arena *arena, bus_letter *letter,
	  bus_error *err)
{
	*letter = (bus_letter){
		.offset = busp_cell_int8(rows, row, 0),
		.cause = cause_of(busp_cell_str(rows, row, 1, arena)),
		.state = (bus_letter_state)index_of(letter_states,
						    BUS_LETTER_DISCARDED + 1,
						    busp_cell_str(rows, row, 2, arena)),
		.redrives = busp_cell_int8(rows, row, 3),
		.tenant = busp_cell_str(rows, row, 4, arena),
		.subject = busp_cell_str(rows, row, 5, arena),
		.record.key = busp_cell_str(rows, row, 6, arena),
		.record.value = busp_cell_str(rows, row, 8, arena),
		.record_time_us =
			PQgetisnull(rows, row, 9) ?
				BUS_TIME_NONE :
				busp_cell_int8(rows, row, 9) + BUSP_EPOCH_SHIFT_US,
		.edited = busp_cell_str(rows, row, 10, arena),
		.next_offset =
			PQgetisnull(rows, row, 11) ? -1 : busp_cell_int8(rows, row, 11),
	};
	return bus_headers_unpack(busp_cell_str(rows, row, 7, arena), arena,
				  &letter->record.headers, &letter->record.header_count,
				  err);
}

static bus_status
letters_of(PGresult *rows, bus_arena *arena, bus_letter **ret_letters, size_t *ret_count,
	   bus_error *err)
{
	bus_status status = BUS_OK;
	size_t count = (size_t)PQntuples(rows);
	bus_letter *letters = bus_arena_alloc(arena, (count + 1) * sizeof(*letters));
	for (size_t i = 0; i < count && status == BUS_OK; i++) {
		status = letter_of(rows, (int)i, arena, &letters[i], err);
	}
	PQclear(rows);
	*ret_letters = letters;
	*ret_count = count;
	return status;
}

bus_status
bus_store_letter(bus_store *store, int32_t stream, int64_t offset, bus_arena *arena,
		 bus_letter **ret_letter, bus_error *err)
{
	PGresult *rows = NULL;
	size_t count = 0;
	busp_params_clear(&store->params);
	busp_param_int4(&store->params, stream);
	busp_param_int8(&store->params, offset);
	bus_status status = busp_ask(store, "dead_letter_read", &rows, err);
	if (status == BUS_OK) {
		status = letters_of(rows, arena, ret_letter, &count, err);
	}
	if (status == BUS_OK && count == 0) {
		*ret_letter = NULL;
	}
	return status;
}

bus_status
bus_store_letters(bus_store *store, const bus_held_key *key, size_t count_max,
		  size_t bytes_max, bus_arena *arena, bus_letter **ret_letters,
		  size_t *ret_count, bus_error *err)
{
	PGresult *rows = NULL;
	busp_params_clear(&store->params);
	busp_param_int4(&store->params, key->stream);
	busp_param_str(&store->params, key->tenant);
	busp_param_str(&store->params, key->subject);
	busp_param_int8(&store->params, (int64_t)count_max);
	busp_param_int8(&store->params, (int64_t)bytes_max);
	bus_status status = busp_ask(store, "quarantine_letters", &rows, err);
	return status == BUS_OK ? letters_of(rows, arena, ret_letters, ret_count, err) :
				  status;
}

/* ---- tries ---- */

static bus_status
attempt(bus_store *store, const char *query, const bus_stream *stream,
	int32_t *ret_attempts, bus_error *err)
{
	PGresult *rows = NULL;
	bus_status status = busp_ask(store, query, &rows, err);
	if (status == BUS_OK && PQntuples(rows) == 0) {
		if (err != NULL && err->status == BUS_OK) {
			memcpy(err->sqlstate, BUS_SQLSTATE_FENCED,
			       sizeof(BUS_SQLSTATE_FENCED));
		}
		status = bus_error_set(err, BUS_E_ABORT, BUSP_ORIGIN, 0,
				       "%s: stream %d is not at the epoch and offset "
				       "expected",
				       query, stream->stream);
	} else if (status == BUS_OK) {
		*ret_attempts = busp_cell_int4(rows, 0, 0);
	}
	PQclear(rows);
	return status;
}

static void
param_stream(bus_store *store, const bus_stream *stream)
{
	busp_params_clear(&store->params);
	busp_param_int4(&store->params, stream->stream);
	busp_param_int8(&store->params, stream->epoch);
	busp_param_int8(&store->params, stream->next_offset);
}

bus_status
bus_store_attempt_head(bus_store *store, const bus_stream *stream,
		       const bus_held_key *key, int32_t *ret_attempts, bus_error *err)
{
	param_stream(store, stream);
	busp_param_str(&store->params, key->tenant);
	busp_param_str(&store->params, key->subject);
	busp_param_int8(&store->params, key->head);
	return attempt(store, "quarantine_attempt", stream, ret_attempts, err);
}

bus_status
bus_store_attempt_event(bus_store *store, const bus_stream *stream, int64_t offset,
			int32_t *ret_attempts, bus_error *err)
{
	param_stream(store, stream);
	busp_param_int8(&store->params, offset);
	return attempt(store, "attempt_begin", stream, ret_attempts, err);
}
