/*
 * unit_rows.c - a unit's rows as arrays, one per column
 */
#include "core/event.h"
#include "sql/store_private.h"

void
busp_unit_positions(busp_params *params, const bus_unit *unit)
{
	size_t count = unit->position_count;
	bus_buf *streams = busp_param_array(params, BUSP_OID_INT4, count);
	bus_buf *epochs = busp_param_array(params, BUSP_OID_INT8, count);
	bus_buf *expected = busp_param_array(params, BUSP_OID_INT8, count);
	bus_buf *next = busp_param_array(params, BUSP_OID_INT8, count);
	bus_buf *outbox = busp_param_array(params, BUSP_OID_INT8, count);
	bus_buf *heads = busp_param_array(params, BUSP_OID_BYTEA, count);
	for (size_t i = 0; i < count; i++) {
		const bus_unit_position *p = &unit->positions[i];
		busp_put_int4(streams, p->expected->stream);
		busp_put_int8(epochs, p->expected->epoch);
		busp_put_int8(expected, p->expected->next_offset);
		busp_put_int8(next, p->next_offset);
		busp_put_int8(outbox, p->outbox_seq);
		busp_put_str(heads,
			     (bus_str){ (const char *)p->head.bytes, BUS_DIGEST_BYTES });
	}
}

bool
busp_unit_identities(busp_params *params, const bus_unit *unit)
{
	size_t count = 0;
	for (size_t i = 0; i < unit->ledger_count; i++) {
		count += unit->ledger[i].identified ? 1 : 0;
	}
	if (count == 0) {
		return false;
	}
	bus_buf *streams = busp_param_array(params, BUSP_OID_INT4, count);
	bus_buf *keys = busp_param_array(params, BUSP_OID_UUID, count);
	bus_buf *offsets = busp_param_array(params, BUSP_OID_INT8, count);
	bus_buf *digests = busp_param_array(params, BUSP_OID_BYTEA, count);
	for (size_t i = 0; i < unit->ledger_count; i++) {
		const bus_ledger_row *row = &unit->ledger[i];
		if (!row->identified) {
			continue;
		}
		busp_put_int4(streams, row->stream);
		busp_put_str(keys, (bus_str){ (const char *)row->identity.bytes,
					      BUS_UUID_BYTES });
		busp_put_int8(offsets, row->offset);
		busp_put_str(digests, (bus_str){ (const char *)row->digest.bytes,
						 BUS_DIGEST_BYTES / 2 });
	}
	return true;
}

static const bus_event no_event = { .time_us = BUS_TIME_NONE };

static const bus_event *
event_of(const bus_ledger_row *row)
{
	return row->event != NULL ? row->event : &no_event;
}

static bus_str
headers_of(const bus_record *record, bus_arena *arena)
{
	return bus_headers_pack(record->headers, record->header_count, arena);
}

/* The array of one text of every row's event. An event that was rejected may hold anything;
 * the others passed the envelope's rules, which know only valid text. */
static void
param_event_texts(busp_params *params, const bus_unit *unit, size_t member,
		  bus_arena *arena)
{
	bool any = false;
	bus_buf *array = busp_param_array(params, BUSP_OID_TEXT, unit->ledger_count);
	for (size_t i = 0; i < unit->ledger_count; i++) {
		const bus_ledger_row *row = &unit->ledger[i];
		bus_str text;
		memcpy(&text, (const char *)event_of(row) + member, sizeof(text));
		if (row->verdict == BUS_REJECTED) {
			text = busp_text_safe(text, arena);
		}
		any |= text.data != NULL;
		busp_put_str(array, text);
	}
	if (!any) {
		busp_param_nothing(params);
	}
}

static void
param_ledger_reasons(busp_params *params, const bus_unit *unit, bus_arena *arena)
{
	bool any = false;
	bus_buf *array = busp_param_array(params, BUSP_OID_TEXT, unit->ledger_count);
	for (size_t i = 0; i < unit->ledger_count; i++) {
		any |= unit->ledger[i].reason.data != NULL;
		busp_put_str(array, busp_text_safe(unit->ledger[i].reason, arena));
	}
	if (!any) {
		busp_param_nothing(params);
	}
}

static void
param_ledger_fixed(busp_params *params, const bus_unit *unit)
{
	size_t count = unit->ledger_count;
	bus_buf *streams = busp_param_array(params, BUSP_OID_INT4, count);
	bus_buf *offsets = busp_param_array(params, BUSP_OID_INT8, count);
	bus_buf *record_times = busp_param_array(params, BUSP_OID_TIMESTAMPTZ, count);
	bus_buf *times = busp_param_array(params, BUSP_OID_TIMESTAMPTZ, count);
	bus_buf *verdicts = busp_param_array(params, BUSP_OID_TEXT, count);
	bus_buf *hashes = busp_param_array(params, BUSP_OID_BYTEA, count);
	for (size_t i = 0; i < count; i++) {
		const bus_ledger_row *row = &unit->ledger[i];
		busp_put_int4(streams, row->stream);
		busp_put_int8(offsets, row->offset);
		busp_put_time(record_times, row->record_time_ms < 0 ?
						    BUS_INT_NULL :
						    row->record_time_ms * 1000);
		busp_put_time(times, event_of(row)->time_us);
		busp_put_str(verdicts, bus_str_from(bus_verdict_name(row->verdict)));
		busp_put_str(hashes, (bus_str){ (const char *)row->hash.bytes,
						BUS_DIGEST_BYTES });
	}
}

void
busp_unit_ledger(busp_params *params, const bus_unit *unit, bus_arena *arena)
{
	static const size_t texts[] = {
		offsetof(bus_event, source),        offsetof(bus_event, id),
		offsetof(bus_event, tenant),        offsetof(bus_event, type),
		offsetof(bus_event, subject),       offsetof(bus_event, actor),
		offsetof(bus_event, correlationid), offsetof(bus_event, causationid),
		offsetof(bus_event, traceparent),
	};
	size_t count = unit->ledger_count;
	param_ledger_fixed(params, unit);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		param_event_texts(params, unit, texts[i], arena);
	}
	param_ledger_reasons(params, unit, arena);
	bus_buf *keys = busp_param_array(params, BUSP_OID_BYTEA, count);
	bus_buf *headers = busp_param_array(params, BUSP_OID_BYTEA, count);
	bus_buf *values = busp_param_array(params, BUSP_OID_BYTEA, count);
	for (size_t i = 0; i < count; i++) {
		const bus_ledger_row *row = &unit->ledger[i];
		busp_put_str(keys, row->record->key);
		busp_put_str(headers, headers_of(row->record, arena));
		busp_put_str(values, row->record->value);
	}
}

void
busp_unit_dead_letters(busp_params *params, const bus_unit *unit, bus_arena *arena)
{
	size_t count = unit->dead_letter_count;
	bus_buf *streams = busp_param_array(params, BUSP_OID_INT4, count);
	bus_buf *offsets = busp_param_array(params, BUSP_OID_INT8, count);
	bus_buf *texts[7];
	for (size_t i = 0; i < 7; i++) {
		texts[i] = busp_param_array(params, BUSP_OID_TEXT, count);
	}
	bus_buf *keys = busp_param_array(params, BUSP_OID_BYTEA, count);
	bus_buf *headers = busp_param_array(params, BUSP_OID_BYTEA, count);
	bus_buf *values = busp_param_array(params, BUSP_OID_BYTEA, count);
	bus_buf *times = busp_param_array(params, BUSP_OID_TIMESTAMPTZ, count);
	for (size_t i = 0; i < count; i++) {
		const bus_dead_letter *letter = &unit->dead_letters[i];
		const bus_ledger_row *row = letter->row;
		const bus_event *event = event_of(row);
		busp_put_int4(streams, row->stream);
		busp_put_int8(offsets, row->offset);
		const bus_str cells[7] = {
			bus_str_from(bus_cause_name(letter->cause)),
			letter->detail,
			event->tenant,
			event->source,
			event->id,
			event->type,
			event->subject,
		};
		for (size_t c = 0; c < 7; c++) {
			busp_put_str(texts[c], busp_text_safe(cells[c], arena));
		}
		busp_put_str(keys, row->record->key);
		busp_put_str(headers, headers_of(row->record, arena));
		busp_put_str(values, row->record->value);
		busp_put_time(times, row->record_time_ms < 0 ?
					     BUS_INT_NULL :
					     row->record_time_ms * 1000);
	}
}

void
busp_unit_outbox(busp_params *params, const bus_unit *unit, bus_arena *arena)
{
	size_t count = unit->outbox_count;
	bus_buf *streams = busp_param_array(params, BUSP_OID_INT4, count);
	bus_buf *seqs = busp_param_array(params, BUSP_OID_INT8, count);
	bus_buf *kinds = busp_param_array(params, BUSP_OID_INT4, count);
	bus_buf *topics = busp_param_array(params, BUSP_OID_TEXT, count);
	bus_buf *keys = busp_param_array(params, BUSP_OID_BYTEA, count);
	bus_buf *headers = busp_param_array(params, BUSP_OID_BYTEA, count);
	bus_buf *values = busp_param_array(params, BUSP_OID_BYTEA, count);
	for (size_t i = 0; i < count; i++) {
		const bus_outbox_row *row = &unit->outbox[i];
		busp_put_int4(streams, row->stream);
		busp_put_int8(seqs, row->seq);
		busp_put_int4(kinds, (int32_t)row->kind);
		busp_put_str(topics, row->topic);
		busp_put_str(keys, row->record.key);
		busp_put_str(headers, headers_of(&row->record, arena));
		busp_put_str(values, row->record.value);
	}
}
