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

typedef struct batch {
	const busp_batch_context *context;
	bus_arena *arena;
	busp_item *items;
	size_t count;        /* letters included */
	size_t letter_count; /* behind their control */
	size_t taken;        /* of the deliveries */
	bool wants_alone;
	busp_plan plan;
	busp_refusal spent; /* of the event that is tried with care */
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

static void
decode(batch *b, busp_item *it)
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
		busp_item_decide(
			it, BUS_REJECTED, BUS_CAUSE_TOO_LARGE,
			bus_arena_printf(b->arena,
					 "the event has %zu bytes, the limit is %u",
					 bus_record_bytes(it->record),
					 BUS_EVENT_BYTES_MAX));
	} else if (status != BUS_OK) {
		busp_item_decide(it, BUS_REJECTED, cause,
				 bus_arena_str(b->arena, bus_str_from(err.text)));
	} else if (event->time_us == BUS_TIME_NONE) {
		/* The log's own timestamp: the same at every replay. */
		event->time_us =
			delivery->timestamp_ms < 0 ? 0 : delivery->timestamp_ms * 1000;
	}
	if (!it->decided && !it->letter) {
		it->act = busp_act_of(event);
	}
}

/* Must this event be a unit alone? */
static bool
is_special(const busp_item *it)
{
	return it->act != BUSP_ACT_NONE || it->lane->careful > 0;
}

/* The lanes as they are before the batch. */
static void
start(const busp_batch_context *context)
{
	for (size_t i = 0; i < context->lane_count; i++) {
		busp_lane *lane = &context->lanes[i];
		lane->touched = false;
		lane->next_offset = lane->stream.next_offset;
		lane->outbox_seq = lane->stream.outbox_seq;
		lane->head = lane->stream.head;
	}
}

/* Takes the deliveries that are ours and new, up to one that must be alone; what lies before
 * the lane's offset was delivered again and is done. Fillers move the position and are nothing
 * else. */
static void
take(batch *b, const bus_delivery *deliveries, size_t count)
{
	const busp_batch_context *context = b->context;
	busp_lane *lane = NULL;
	for (; b->taken < count; b->taken++) {
		const bus_delivery *delivery = &deliveries[b->taken];
		if (lane == NULL || lane->stream.partition != delivery->partition) {
			lane = lane_of(context, delivery->partition);
		}
		if (lane == NULL || delivery->offset < lane->next_offset) {
			continue;
		}
		if (!bus_is_filler(&delivery->record)) {
			busp_item *it = &b->items[b->count];
			*it = (busp_item){
				.delivery = delivery,
				.lane = lane,
				.record = &delivery->record,
			};
			decode(b, it);
			if (is_special(it) && (b->count > 0 || !context->alone)) {
				b->wants_alone = b->count == 0;
				bus_event_fini(&it->event);
				return;
			}
			b->count++;
		}
		lane->touched = true;
		lane->next_offset = delivery->offset + 1;
		if (b->count > 0 && context->alone) {
			b->taken++;
			return;
		}
	}
}

/* ---- repeats ---- */

static int
compare_identity(const void *a, const void *b)
{
	const busp_item *x = *(busp_item *const *)a, *y = *(busp_item *const *)b;
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
mark_known(batch *b, busp_item *it, const uint8_t digest[16], int64_t offset)
{
	if (memcmp(digest, it->digest.bytes, 16) == 0) {
		it->repeat = true;
		return;
	}
	/* Its identity is taken: the dead letter is found by its offset. */
	it->identified = false;
	busp_item_decide(
		it, BUS_REJECTED, BUS_CAUSE_IDENTITY_CONFLICT,
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
	busp_item **sorted = bus_arena_alloc(b->arena, (b->count + 1) * sizeof(*sorted));
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
	const busp_item *first = NULL;
	for (size_t i = 0; i < n; i++) {
		busp_item *it = sorted[i];
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
send_home(batch *b, busp_item *it, bus_str key)
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
	busp_item_decide(it, BUS_REROUTED, BUS_CAUSE_NONE, BUS_STR_NULL);
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

/* What is known of an earlier try of this event; NULL: nothing. */
static const busp_refusal *
refusal_of(const batch *b, const busp_item *it)
{
	const busp_refusal *told = busp_refusals_find(b->context->refusals, it);
	return told != NULL ? told : busp_refusal_is_of(&b->spent, it) ? &b->spent : NULL;
}

/* An event that is right, but cannot be folded now. */
static void
hold_back(batch *b, busp_item *it)
{
	const busp_batch_context *context = b->context;
	const busp_refusal *refusal = refusal_of(b, it);
	if (refusal != NULL && refusal->kind == BUSP_REFUSED) {
		busp_item_decide(it, BUS_REJECTED, BUS_CAUSE_CONSTRAINT,
				 bus_arena_str(b->arena, bus_str_from(refusal->detail)));
		return;
	}
	const bus_held_key *key =
		busp_quarantine_find(context->quarantine, it->lane->stream.stream,
				     it->event.tenant, it->event.subject);
	if (key != NULL) {
		busp_item_decide(it, BUS_HELD, BUS_CAUSE_HELD,
				 bus_arena_printf(b->arena, "waits behind offset %lld",
						  (long long)key->head));
	} else if (refusal != NULL) {
		busp_plan_hold(context->quarantine, &b->plan, it, refusal, b->arena);
	}
}

/* An act comes where the letter lies that it names, whatever its own key. A letter was looked
 * at when it came. */
static bool
needs_no_home(const busp_item *it)
{
	return it->letter || it->act == BUSP_ACT_REDRIVE || it->act == BUSP_ACT_EDIT ||
	       it->act == BUSP_ACT_DISCARD;
}

static void
check(batch *b, busp_item *it)
{
	const busp_batch_context *context = b->context;
	bus_str key = bus_event_key(&it->event, b->arena);
	if (!needs_no_home(it) && bus_partition_home(key, context->topic_partitions) !=
					  it->delivery->partition) {
		send_home(b, it, key);
		return;
	}
	bus_error err = BUS_ERROR_INIT;
	bus_schema_report report = { .count = 0 };
	bus_cause cause = BUS_CAUSE_NONE;
	if (bus_registry_validate(context->registry, bus_str_from(context->worker->topic),
				  &it->event, &report, &cause, &err) != BUS_OK) {
		busp_item_decide(it, BUS_REJECTED, cause,
				 describe(&report, &err, b->arena));
		return;
	}
	if (bus_event_data(&it->event, &it->data, &err) != BUS_OK) {
		busp_item_decide(it, BUS_REJECTED, BUS_CAUSE_INVALID_DATA,
				 bus_arena_str(b->arena, bus_str_from(err.text)));
		return;
	}
	if (!it->letter && it->act == BUSP_ACT_NONE) {
		hold_back(b, it);
	}
}

/* ---- held keys ---- */

/* Whatever this event does to the worker, that it is tried is known before. */
static bus_status
count_careful(batch *b, bus_error *err)
{
	const busp_batch_context *context = b->context;
	const busp_item *it = &b->items[0];
	int32_t attempts = 0;
	if (!context->alone || b->count == 0 || it->lane->careful == 0 ||
	    busp_refusals_find(context->refusals, it) != NULL) {
		return BUS_OK;
	}
	bus_status status = bus_store_attempt_event(context->store, &it->lane->stream,
						    it->delivery->offset, &attempts, err);
	int32_t attempts_max = busp_quarantine_retry(context->quarantine)->attempts_max;
	if (status == BUS_OK && attempts > attempts_max) {
		b->spent = (busp_refusal){
			.set = true,
			.kind = BUSP_SPENT,
			.partition = it->delivery->partition,
			.offset = it->delivery->offset,
		};
		snprintf(b->spent.detail, sizeof(b->spent.detail),
			 "its worker ended during each of %d tries", attempts_max);
	}
	return status;
}

/* A control becomes a plan; the letters it is about become items behind it. */
static bus_status
plan(batch *b, bus_error *err)
{
	const busp_batch_context *context = b->context;
	busp_item *control = &b->items[0];
	if (b->count == 0 || control->act == BUSP_ACT_NONE || control->repeat ||
	    control->decided) {
		return BUS_OK;
	}
	const busp_refusal *refusal = refusal_of(b, control);
	bus_status status =
		busp_plan_make(context->quarantine, context->store, refusal,
			       context->letters_max, control, b->arena, &b->plan, err);
	control->decided = true;
	if (status != BUS_OK || b->plan.failed != NULL) {
		return status;
	}
	for (size_t i = 0; i < b->plan.letter_count; i++) {
		const bus_letter *letter = &b->plan.letters[i];
		bus_delivery *delivery = bus_arena_alloc(b->arena, sizeof(*delivery));
		*delivery = (bus_delivery){
			.topic = context->worker->topic,
			.partition = control->delivery->partition,
			.offset = letter->offset,
			.timestamp_ms = letter->record_time_us == BUS_TIME_NONE ?
						-1 :
						letter->record_time_us / 1000,
			.record = letter->record,
		};
		busp_item *it = &b->items[b->count++];
		*it = (busp_item){
			.delivery = delivery,
			.lane = control->lane,
			.record = &delivery->record,
			.letter = true,
		};
		b->letter_count++;
		decode(b, it);
		if (!it->decided) {
			check(b, it);
		}
	}
	return BUS_OK;
}

/* ---- folding ---- */

static bus_status
fold(batch *b, bus_error *err)
{
	bus_fold_item *folds = bus_arena_alloc(b->arena, (b->count + 1) * sizeof(*folds));
	busp_item **of = bus_arena_alloc(b->arena, (b->count + 1) * sizeof(*of));
	size_t n = 0;
	for (size_t i = 0; i < b->count; i++) {
		busp_item *it = &b->items[i];
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
		busp_item *it = of[i];
		it->verdict = folds[i].verdict;
		it->reason = folds[i].reason;
		it->outbox = folds[i].follow_ups;
		it->outbox_count = folds[i].follow_up_count;
		it->timers = folds[i].timers;
		it->timer_count = folds[i].timer_count;
		it->incidents = folds[i].incidents;
		it->incident_count = folds[i].incident_count;
		it->answered = folds[i].answered;
		if (it->verdict == BUS_REJECTED) {
			busp_item_decide(it, BUS_REJECTED, BUS_CAUSE_REJECTED,
					 folds[i].reason);
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
		busp_item *it = &b->items[i];
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
chain(batch *b, const busp_item *it)
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

/* The row of a delivery that counts, and the dead letter beside it. */
static void
write_ledger(batch *b, busp_item *it, bus_ledger_row *row, bus_dead_letter *dead,
	     busp_batch *ret)
{
	busp_lane *lane = it->lane;
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
		busp_item *it = &b->items[i];
		if (it->repeat) {
			ret->repeat_count++;
			continue;
		}
		busp_lane *lane = it->lane;
		if (!it->letter) {
			write_ledger(b, it, &ledger[ret->unit.ledger_count++], dead, ret);
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
			busp_promises_count(&all, b->items[i].timer_count,
					    b->items[i].incident_count);
		}
	}
	busp_promises_room(&all, b->arena);
	for (size_t i = 0; i < b->count; i++) {
		const busp_item *it = &b->items[i];
		const busp_promises of_item = { it->timers, it->timer_count,
						it->incidents, it->incident_count };
		if (!it->repeat) {
			busp_promises_add(&all, &of_item, it->lane->stream.stream,
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

/* What the batch does beside its rows. */
static void
hand_over(batch *b, busp_batch *ret)
{
	ret->event_count = b->count - b->letter_count;
	ret->letter_count = b->letter_count;
	ret->unit.letter_changes = b->plan.changes;
	ret->unit.letter_change_count = b->plan.change_count;
	if (b->plan.changed) {
		ret->held = b->plan.change;
		ret->unit.held_keys = &ret->held;
		ret->unit.held_key_count = 1;
	}
	if (b->count > 0) {
		ret->first_partition = b->items[0].delivery->partition;
		ret->first_offset = b->items[0].delivery->offset;
	}
}

static bus_status
make(batch *b, busp_batch *ret, bus_error *err)
{
	bus_status status = count_careful(b, err);
	if (status == BUS_OK && b->context->probe) {
		status = find_repeats(b, err);
	}
	for (size_t i = 0; i < b->count && status == BUS_OK; i++) {
		if (!b->items[i].repeat && !b->items[i].decided) {
			check(b, &b->items[i]);
		}
	}
	if (status == BUS_OK) {
		status = plan(b, err);
	}
	if (status == BUS_OK) {
		status = fold(b, err);
	}
	if (status == BUS_OK) {
		busp_plan_settle(b->context->quarantine, &b->plan,
				 b->letter_count > 0 ? &b->items[1] : NULL, b->arena);
		answer(b);
		write_rows(b, ret);
		write_promises(b, ret);
		advance(b, ret);
		hand_over(b, ret);
	}
	return status;
}

bus_status
busp_batch_make(const busp_batch_context *context, const bus_delivery *deliveries,
		size_t count, bus_arena *arena, busp_batch *ret_batch, bus_error *err)
{
	batch b = { .context = context, .arena = arena };
	size_t room = count + 1 + (context->alone ? BUSP_DRAIN_LETTERS_MAX : 0);
	bus_status status = BUS_OK;
	b.items = bus_arena_alloc(arena, room * sizeof(*b.items));
	memset(ret_batch, 0, sizeof(*ret_batch));
	start(context);
	take(&b, deliveries, count);
	if (!b.wants_alone) {
		status = make(&b, ret_batch, err);
	}
	ret_batch->taken = b.taken;
	ret_batch->wants_alone = b.wants_alone;
	release(&b);
	return status;
}

void
busp_batch_keep(const busp_batch_context *context, const busp_batch *made)
{
	for (size_t i = 0; i < context->lane_count; i++) {
		busp_lane *lane = &context->lanes[i];
		if (lane->touched) {
			lane->stream.next_offset = lane->next_offset;
			lane->stream.outbox_seq = lane->outbox_seq;
			lane->stream.head = lane->head;
			lane->stream.idle_assignments = 0;
			if (lane->careful > 0 && made->event_count > 0 &&
			    lane->stream.partition == made->first_partition) {
				lane->careful--;
			}
			lane->touched = false;
		}
	}
	if (made->unit.held_key_count > 0) {
		busp_quarantine_put(context->quarantine, &made->held);
	}
	bus_folder_keep(context->folder);
}
