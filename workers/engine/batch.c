/*
 * batch.c - from deliveries to a unit
 */
#include "workers/engine/batch.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/filler.h"
#include "core/json.h"
#include "core/partition.h"
#include "workers/engine/promises.h"

/* One delivery on its way through the batch. */
typedef struct item {
	const bus_delivery *delivery;
	busp_lane *lane;
	bus_event event;
	const bus_record *record;
	bool identified;
	bool repeat;
	bool decided; /* the verdict stands: not for the fold */
	bus_uuid identity;
	bus_digest digest;
	bus_verdict verdict;
	bus_cause cause;
	bus_str reason;
	bus_str detail;
	json_t *data; /* borrowed from event */
	bus_outbox_row *outbox;
	size_t outbox_count;
	busp_promises promises; /* of its fold */
	bool answered;          /* its fold promised the answer its saga waits for */
} item;

typedef struct batch {
	const busp_batch_context *context;
	bus_arena *arena;
	item *items;
	size_t count;
} batch;

static busp_lane *
lane_of(const busp_batch_context *context, int32_t partition)
{
	for (size_t i = 0; i < context->lane_count; i++) {
		if (context->lanes[i].stream.partition == partition) {
			return &context->lanes[i];
		}
	}
	return NULL;
}

/* Takes the deliveries that are ours and new; what lies before the lane's offset was
 * delivered again and is done. Fillers move the position and are nothing else. */
static void
take(batch *b, const bus_delivery *deliveries, size_t count)
{
	const busp_batch_context *context = b->context;
	for (size_t i = 0; i < context->lane_count; i++) {
		busp_lane *lane = &context->lanes[i];
		lane->touched = false;
		lane->next_offset = lane->stream.next_offset;
		lane->outbox_seq = lane->stream.outbox_seq;
		lane->head = lane->stream.head;
	}
	busp_lane *lane = NULL;
	for (size_t i = 0; i < count; i++) {
		if (lane == NULL || lane->stream.partition != deliveries[i].partition) {
			lane = lane_of(context, deliveries[i].partition);
		}
		if (lane == NULL || deliveries[i].offset < lane->next_offset) {
			continue;
		}
		lane->touched = true;
		lane->next_offset = deliveries[i].offset + 1;
		if (bus_is_filler(&deliveries[i].record)) {
			continue;
		}
		b->items[b->count++] = (item){
			.delivery = &deliveries[i],
			.lane = lane,
			.record = &deliveries[i].record,
		};
	}
}

static void
decide(item *it, bus_verdict verdict, bus_cause cause, bus_str detail)
{
	it->decided = true;
	it->verdict = verdict;
	it->cause = cause;
	it->reason = cause == BUS_CAUSE_NONE ? BUS_STR_NULL :
					       bus_str_from(bus_cause_name(cause));
	it->detail = detail;
}

static void
decode(batch *b, item *it)
{
	const busp_batch_context *context = b->context;
	const bus_delivery *delivery = it->delivery;
	bus_error err = BUS_ERROR_INIT;
	bus_cause cause = BUS_CAUSE_NONE;
	bus_status status =
		bus_event_parse(it->record, b->arena, &it->event, &cause, &err);
	bus_event *event = &it->event;
	it->identified = event->source.data != NULL && event->id.data != NULL;
	if (it->identified) {
		it->identity = bus_identity_key(event->source, event->id);
		it->digest = bus_record_digest(it->record, context->hasher, b->arena);
	}
	if (bus_record_bytes(it->record) > BUS_EVENT_BYTES_MAX) {
		decide(it, BUS_REJECTED, BUS_CAUSE_TOO_LARGE,
		       bus_arena_printf(b->arena,
					"the event has %zu bytes, the limit is %u",
					bus_record_bytes(it->record),
					BUS_EVENT_BYTES_MAX));
	} else if (status != BUS_OK) {
		decide(it, BUS_REJECTED, cause,
		       bus_arena_str(b->arena, bus_str_from(err.text)));
	} else if (event->time_us == BUS_TIME_NONE) {
		/* The log's own timestamp: the same at every replay. */
		event->time_us =
			delivery->timestamp_ms < 0 ? 0 : delivery->timestamp_ms * 1000;
	}
}

/* ---- repeats ---- */

static int
compare_identity(const void *a, const void *b)
{
	const item *x = *(item *const *)a, *y = *(item *const *)b;
	if (x->lane != y->lane) {
		return x->lane < y->lane ? -1 : 1;
	}
	int order = memcmp(&x->identity, &y->identity, sizeof(x->identity));
	if (order != 0) {
		return order;
	}
	return (x->delivery->offset > y->delivery->offset) -
	       (x->delivery->offset < y->delivery->offset);
}

static void
mark_known(batch *b, item *it, const uint8_t digest[16], int64_t offset)
{
	if (memcmp(digest, it->digest.bytes, 16) == 0) {
		it->repeat = true;
		return;
	}
	/* Its identity is taken: the dead letter is found by its offset. */
	it->identified = false;
	decide(it, BUS_REJECTED, BUS_CAUSE_IDENTITY_CONFLICT,
	       bus_arena_printf(
		       b->arena,
		       "source and id were used before, with other bytes, at offset "
		       "%lld of the same partition; publish under a new id",
		       (long long)offset));
}

/* Which items are known, in the database or earlier in this batch? */
static bus_status
find_repeats(batch *b, bus_error *err)
{
	item **sorted = bus_arena_alloc(b->arena, (b->count + 1) * sizeof(*sorted));
	int32_t *streams = bus_arena_alloc(b->arena, (b->count + 1) * sizeof(*streams));
	bus_uuid *identities =
		bus_arena_alloc(b->arena, (b->count + 1) * sizeof(*identities));
	size_t n = 0;
	for (size_t i = 0; i < b->count; i++) {
		if (b->items[i].identified) {
			sorted[n++] = &b->items[i];
		}
	}
	if (n == 0) {
		return BUS_OK;
	}
	qsort(sorted, n, sizeof(*sorted), compare_identity);
	for (size_t i = 0; i < n; i++) {
		streams[i] = sorted[i]->lane->stream.stream;
		identities[i] = sorted[i]->identity;
	}
	bus_known_identity *known = bus_arena_alloc(b->arena, n * sizeof(*known));
	bus_status status =
		bus_store_repeats(b->context->store, streams, identities, n, known, err);
	if (status != BUS_OK) {
		return status;
	}
	const item *first = NULL;
	for (size_t i = 0; i < n; i++) {
		item *it = sorted[i];
		bool same = first != NULL && first->lane == it->lane &&
			    memcmp(&first->identity, &it->identity,
				   sizeof(it->identity)) == 0;
		if (known[i].known) {
			mark_known(b, it, known[i].digest, known[i].offset);
		} else if (same) {
			mark_known(b, it, first->digest.bytes, first->delivery->offset);
		} else {
			first = it;
		}
	}
	return BUS_OK;
}

/* ---- what needs no state ---- */

/* An event away from home goes there through the outbox, its bytes untouched. */
static void
send_home(batch *b, item *it, bus_str key)
{
	bus_outbox_row *row = bus_arena_alloc(b->arena, sizeof(*row));
	*row = (bus_outbox_row){
		.kind = BUS_OUTBOX_REROUTE,
		.topic = bus_str_from(b->context->worker->topic),
		.record = *it->record,
	};
	row->record.key = key;
	it->outbox = row;
	it->outbox_count = 1;
	decide(it, BUS_REROUTED, BUS_CAUSE_NONE, BUS_STR_NULL);
}

static bus_str
describe(const bus_schema_report *report, const bus_error *err, bus_arena *arena)
{
	if (report->count == 0) {
		return bus_arena_str(arena, bus_str_from(err->text));
	}
	char text[BUSP_DETAIL_MAX];
	size_t len = 0;
	size_t shown = report->count < BUS_SCHEMA_ERRORS_MAX ? report->count :
							       BUS_SCHEMA_ERRORS_MAX;
	for (size_t i = 0; i < shown && len < sizeof(text) - 1; i++) {
		const bus_schema_error *e = &report->errors[i];
		int wrote =
			snprintf(text + len, sizeof(text) - len, "%s%s %s (%s)",
				 i > 0 ? "; " : "",
				 e->instance_location[0] != '\0' ? e->instance_location :
								   "/",
				 e->text, e->keyword_location);
		len += wrote < 0 ? 0 : (size_t)wrote;
	}
	len = len < sizeof(text) ? len : sizeof(text) - 1;
	while (len > 0 && !bus_utf8_valid((bus_str){ text, len })) {
		len--;
	}
	return bus_arena_str(arena, (bus_str){ text, len });
}

static void
check(batch *b, item *it)
{
	const busp_batch_context *context = b->context;
	bus_str key = bus_event_key(&it->event, b->arena);
	if (bus_partition_home(key, context->topic_partitions) !=
	    it->delivery->partition) {
		send_home(b, it, key);
		return;
	}
	bus_error err = BUS_ERROR_INIT;
	bus_schema_report report = { .count = 0 };
	bus_cause cause = BUS_CAUSE_NONE;
	if (bus_registry_validate(context->registry, bus_str_from(context->worker->topic),
				  &it->event, &report, &cause, &err) != BUS_OK) {
		decide(it, BUS_REJECTED, cause, describe(&report, &err, b->arena));
		return;
	}
	const busp_refusal *refusal = context->refusal;
	if (refusal->set && refusal->partition == it->delivery->partition &&
	    refusal->offset == it->delivery->offset) {
		decide(it, BUS_REJECTED, BUS_CAUSE_CONSTRAINT,
		       bus_arena_str(b->arena, bus_str_from(refusal->detail)));
		return;
	}
	if (bus_event_data(&it->event, &it->data, &err) != BUS_OK) {
		decide(it, BUS_REJECTED, BUS_CAUSE_INVALID_DATA,
		       bus_arena_str(b->arena, bus_str_from(err.text)));
	}
}

/* ---- folding ---- */

static bus_status
fold(batch *b, bus_error *err)
{
	bus_fold_item *folds = bus_arena_alloc(b->arena, (b->count + 1) * sizeof(*folds));
	item **of = bus_arena_alloc(b->arena, (b->count + 1) * sizeof(*of));
	size_t n = 0;
	for (size_t i = 0; i < b->count; i++) {
		item *it = &b->items[i];
		if (!it->repeat && !it->decided) {
			folds[n] =
				(bus_fold_item){ .event = &it->event, .data = it->data };
			of[n++] = it;
		}
	}
	bus_status status = bus_folder_run(b->context->folder, folds, n, b->arena, err);
	if (status != BUS_OK) {
		return status;
	}
	for (size_t i = 0; i < n; i++) {
		item *it = of[i];
		it->verdict = folds[i].verdict;
		it->reason = folds[i].reason;
		it->outbox = folds[i].follow_ups;
		it->outbox_count = folds[i].follow_up_count;
		it->promises = (busp_promises){
			.timers = folds[i].timers,
			.timer_count = folds[i].timer_count,
			.incidents = folds[i].incidents,
			.incident_count = folds[i].incident_count,
		};
		it->answered = folds[i].answered;
		if (it->verdict == BUS_REJECTED) {
			decide(it, BUS_REJECTED, BUS_CAUSE_REJECTED, folds[i].reason);
		}
	}
	return BUS_OK;
}

/* Tells sagas what became of the events that carry their ids. */
static void
answer(batch *b)
{
	busp_teller teller = bus_folder_teller(b->context->folder);
	for (size_t i = 0; i < b->count; i++) {
		item *it = &b->items[i];
		if (it->repeat || it->event.sagaid.len == 0) {
			continue;
		}
		const busp_outcome outcome = {
			.event = &it->event,
			.data = it->data,
			.verdict = it->verdict,
			.cause = it->cause,
			.reason = it->detail.data != NULL ? it->detail : it->reason,
			.answered = it->answered,
		};
		bus_outbox_row *rows =
			bus_arena_alloc(b->arena, (it->outbox_count + 1) * sizeof(*rows));
		if (busp_answer_folded(&teller, &outcome, b->arena,
				       &rows[it->outbox_count])) {
			if (it->outbox_count > 0) {
				memcpy(rows, it->outbox, it->outbox_count * sizeof(*rows));
			}
			it->outbox = rows;
			it->outbox_count++;
		}
	}
}

/* ---- the unit ---- */

static bus_digest
chain(batch *b, const item *it)
{
	static const uint8_t tag = 0x01;
	bus_hasher *hasher = b->context->hasher;
	const bus_record *record = it->record;
	bus_hasher_begin(hasher);
	bus_hasher_add(hasher, &tag, 1);
	bus_hasher_add(hasher, it->lane->head.bytes, BUS_DIGEST_BYTES);
	bus_hasher_be64(hasher, (uint64_t)it->delivery->offset);
	bus_hasher_field(hasher, record->key);
	bus_hasher_field(hasher, bus_headers_pack(record->headers, record->header_count,
						  b->arena));
	bus_hasher_field(hasher, record->value);
	bus_hasher_field(hasher, bus_str_from(bus_verdict_name(it->verdict)));
	bus_hasher_field(hasher, it->reason);
	return bus_hasher_end(hasher);
}

static void
write_rows(batch *b, busp_batch *ret)
{
	size_t outbox_count = 0;
	for (size_t i = 0; i < b->count; i++) {
		outbox_count += b->items[i].outbox_count;
	}
	bus_ledger_row *ledger =
		bus_arena_alloc(b->arena, (b->count + 1) * sizeof(*ledger));
	bus_dead_letter *dead = bus_arena_alloc(b->arena, (b->count + 1) * sizeof(*dead));
	bus_outbox_row *outbox =
		bus_arena_alloc(b->arena, (outbox_count + 1) * sizeof(*outbox));
	for (size_t i = 0; i < b->count; i++) {
		item *it = &b->items[i];
		if (it->repeat) {
			ret->repeat_count++;
			continue;
		}
		busp_lane *lane = it->lane;
		bus_ledger_row *row = &ledger[ret->unit.ledger_count++];
		*row = (bus_ledger_row){
			.stream = lane->stream.stream,
			.offset = it->delivery->offset,
			.identified = it->identified,
			.identity = it->identity,
			.digest = it->digest,
			.event = &it->event,
			.record = it->record,
			.record_time_ms = it->delivery->timestamp_ms,
			.verdict = it->verdict,
			.reason = it->reason,
		};
		row->hash = lane->head = chain(b, it);
		if (it->cause != BUS_CAUSE_NONE) {
			dead[ret->unit.dead_letter_count++] = (bus_dead_letter){
				.row = row,
				.cause = it->cause,
				.detail = it->detail,
			};
		}
		for (size_t o = 0; o < it->outbox_count; o++) {
			bus_outbox_row *promise = &outbox[ret->unit.outbox_count++];
			*promise = it->outbox[o];
			promise->stream = lane->stream.stream;
			promise->seq = ++lane->outbox_seq;
		}
	}
	ret->unit.ledger = ledger;
	ret->unit.dead_letters = dead;
	ret->unit.outbox = outbox;
}

/* Timers and incidents: of what one unit says about a name, the last word counts. */
static void
write_promises(batch *b, busp_batch *ret)
{
	busp_promises all = { 0 };
	for (size_t i = 0; i < b->count; i++) {
		if (!b->items[i].repeat) {
			busp_promises_count(&all, b->items[i].promises.timer_count,
					    b->items[i].promises.incident_count);
		}
	}
	busp_promises_room(&all, b->arena);
	for (size_t i = 0; i < b->count; i++) {
		const item *it = &b->items[i];
		if (!it->repeat) {
			busp_promises_add(&all, &it->promises, it->lane->stream.stream,
					  it->delivery->offset);
		}
	}
	busp_promises_last(&all, b->arena);
	ret->unit.timers = all.timers;
	ret->unit.timer_count = all.timer_count;
	ret->unit.incidents = all.incidents;
	ret->unit.incident_count = all.incident_count;
}

static void
advance(batch *b, busp_batch *ret)
{
	const busp_batch_context *context = b->context;
	bus_unit_position *positions =
		bus_arena_alloc(b->arena, (context->lane_count + 1) * sizeof(*positions));
	for (size_t i = 0; i < context->lane_count; i++) {
		busp_lane *lane = &context->lanes[i];
		if (!lane->touched) {
			continue;
		}
		positions[ret->unit.position_count++] = (bus_unit_position){
			.expected = &lane->stream,
			.next_offset = lane->next_offset,
			.outbox_seq = lane->outbox_seq,
			.head = lane->head,
		};
	}
	ret->unit.positions = positions;
	bus_folder_writes(context->folder, &ret->unit.writes, &ret->unit.write_count);
}

static void
release(batch *b)
{
	for (size_t i = 0; i < b->count; i++) {
		bus_event_fini(&b->items[i].event);
	}
}

bus_status
busp_batch_make(const busp_batch_context *context, const bus_delivery *deliveries,
		size_t count, bus_arena *arena, busp_batch *ret_batch, bus_error *err)
{
	batch b = { .context = context, .arena = arena };
	b.items = bus_arena_alloc(arena, (count + 1) * sizeof(*b.items));
	memset(ret_batch, 0, sizeof(*ret_batch));
	take(&b, deliveries, count);
	for (size_t i = 0; i < b.count; i++) {
		decode(&b, &b.items[i]);
	}
	bus_status status = context->probe ? find_repeats(&b, err) : BUS_OK;
	for (size_t i = 0; i < b.count && status == BUS_OK; i++) {
		if (!b.items[i].repeat && !b.items[i].decided) {
			check(&b, &b.items[i]);
		}
	}
	if (status == BUS_OK) {
		status = fold(&b, err);
	}
	if (status == BUS_OK) {
		answer(&b);
		write_rows(&b, ret_batch);
		write_promises(&b, ret_batch);
		advance(&b, ret_batch);
		ret_batch->event_count = b.count;
		if (b.count > 0) {
			ret_batch->first_partition = b.items[0].delivery->partition;
			ret_batch->first_offset = b.items[0].delivery->offset;
		}
	}
	release(&b);
	return status;
}

void
busp_batch_keep(const busp_batch_context *context)
{
	for (size_t i = 0; i < context->lane_count; i++) {
		busp_lane *lane = &context->lanes[i];
		if (lane->touched) {
			lane->stream.next_offset = lane->next_offset;
			lane->stream.outbox_seq = lane->outbox_seq;
			lane->stream.head = lane->head;
			lane->touched = false;
		}
	}
	bus_folder_keep(context->folder);
}
