/*
 * quarantine_plan.c - what a timer or an operator makes of dead letters and held keys
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/json.h"
#include "workers/engine/quarantine.h"

void
busp_item_decide(busp_item *item, bus_verdict verdict, bus_cause cause, bus_str detail)
{
	item->decided = true;
	item->verdict = verdict;
	item->cause = cause;
	item->reason = cause == BUS_CAUSE_NONE ? BUS_STR_NULL :
						 bus_str_from(bus_cause_name(cause));
	item->detail = detail;
}

static void
ignore(busp_plan *plan, bus_str reason)
{
	busp_item_decide(plan->control, BUS_IGNORED, BUS_CAUSE_NONE, BUS_STR_NULL);
	plan->control->reason = reason;
}

static void
done(busp_plan *plan)
{
	busp_item_decide(plan->control, BUS_APPLIED, BUS_CAUSE_NONE, BUS_STR_NULL);
}

/* ---- what a plan writes ---- */

static bus_letter_change *
add_change(busp_plan *plan, int64_t offset, bus_arena *arena)
{
	const busp_item *control = plan->control;
	const bus_event *event = &control->event;
	bool timer = control->act == BUSP_ACT_RETRY || control->act == BUSP_ACT_DRAIN;
	bus_letter_change *change = &plan->changes[plan->change_count++];
	*change = (bus_letter_change){
		.stream = control->lane->stream.stream,
		.offset = offset,
		.state = BUS_LETTER_OPEN,
		.who = timer                     ? BUS_STR("busline") :
		       event->actor.data != NULL ? event->actor :
						   event->source,
		.why = timer ? BUS_STR("tried again") :
			       bus_arena_str(arena, bus_json_str(control->data, "reason")),
		.act_offset = control->delivery->offset,
	};
	return change;
}

static void
add_timer(busp_item *cause, const char *name, bool cancelled, int64_t delay_ms,
	  bus_arena *arena)
{
	if (cause->timers == NULL) {
		cause->timers = bus_arena_alloc(arena, 2 * sizeof(*cause->timers));
	}
	cause->timers[cause->timer_count++] = (bus_timer_write){
		.name = bus_str_from(name),
		.cancelled = cancelled,
		.delay_ms = delay_ms,
		.cause = &cause->event,
	};
}

static void
add_incident(busp_item *cause, bool closed, bus_str text, bus_arena *arena)
{
	cause->incidents = bus_arena_alloc(arena, sizeof(*cause->incidents));
	cause->incidents[cause->incident_count++] = (bus_incident_write){
		.kind = BUSP_INCIDENT_HELD,
		.closed = closed,
		.text = text,
		.cause = &cause->event,
	};
}

static uint64_t
seed_of(const bus_held_key *key)
{
	return (uint64_t)key->stream << 48 ^ (uint64_t)key->head;
}

/* The head's next try has a timer, or there is none any more and a person is asked. */
static void
wait_or_park(const busp_quarantine *quarantine, busp_plan *plan, busp_item *cause,
	     bus_str error, bus_arena *arena)
{
	const busp_retry *retry = busp_quarantine_retry(quarantine);
	bus_held_key *key = &plan->change;
	plan->changed = true;
	key->error = error;
	if (key->attempts < retry->attempts_max) {
		key->state = BUS_HOLD_RETRYING;
		key->delay_ms = busp_retry_delay_ms(retry, key->attempts, seed_of(key));
		add_timer(cause, BUSP_TIMER_RETRY, false, key->delay_ms, arena);
		return;
	}
	key->state = BUS_HOLD_HELD;
	key->delay_ms = BUS_INT_NULL;
	add_incident(
		cause, false,
		bus_arena_printf(arena,
				 "offset %lld has failed %d times, key %.*s/%.*s waits: "
				 "%.*s; repair that, then `busline dlq redrive`, or "
				 "`busline dlq discard`",
				 (long long)key->head, key->attempts,
				 BUS_STR_ARG(key->tenant), BUS_STR_ARG(key->subject),
				 BUS_STR_ARG(error)),
		arena);
}

/* The head is done with, one way or the other: the next one is, or the key is free. */
static void
go_on(busp_plan *plan, int64_t next_offset, bus_arena *arena)
{
	busp_item *control = plan->control;
	plan->changed = true;
	plan->change = *plan->key;
	plan->change.attempts = 0;
	plan->change.delay_ms = BUS_INT_NULL;
	if (control->act != BUSP_ACT_RETRY && control->act != BUSP_ACT_DRAIN) {
		add_timer(control, BUSP_TIMER_RETRY, true, 0, arena);
	}
	if (next_offset < 0) {
		plan->change.state = BUS_HOLD_FREE;
		add_incident(control, true, BUS_STR("the key is free again"), arena);
		return;
	}
	plan->change.state = BUS_HOLD_DRAINING;
	plan->change.head = next_offset;
	plan->change.delay_ms = 0;
	add_timer(control, BUSP_TIMER_DRAIN, false, 0, arena);
}

/* ---- before letters are folded ---- */

/* The records are as they came, but for data that an operator has put in their place. */
static void
put_edited(bus_letter *letter, bus_arena *arena)
{
	bus_record *record = &letter->record;
	json_t *data, *whole = NULL;
	if (letter->edited.data == NULL ||
	    bus_json_parse(letter->edited, &data, NULL) != BUS_OK) {
		return;
	}
	for (size_t i = 0; i < record->header_count; i++) {
		const bus_header *header = &record->headers[i];
		if (header->name.len == strlen("content-type") &&
		    strncasecmp(header->name.data, "content-type", header->name.len) ==
			    0 &&
		    header->value.len > strlen("application/cloudevents") &&
		    strncasecmp(header->value.data, "application/cloudevents",
				strlen("application/cloudevents")) == 0 &&
		    bus_json_parse(record->value, &whole, NULL) != BUS_OK) {
			whole = NULL; /* it is undecodable, and stays so */
		}
	}
	if (whole == NULL) {
		record->value = letter->edited;
		json_decref(data);
		return;
	}
	json_object_set_new(whole, "data", data);
	json_object_del(whole, "data_base64");
	size_t len = json_dumpb(whole, NULL, 0, JSON_COMPACT);
	char *text = bus_arena_alloc(arena, len + 1);
	json_dumpb(whole, text, len, JSON_COMPACT);
	record->value = (bus_str){ text, len };
	json_decref(whole);
}

static void
fold_these(busp_plan *plan, bus_letter *letters, size_t count, bus_arena *arena)
{
	plan->letters = letters;
	plan->letter_count = count;
	plan->changes = bus_arena_alloc(arena, (count + 1) * sizeof(*plan->changes));
	for (size_t i = 0; i < count; i++) {
		put_edited(&letters[i], arena);
	}
}

/* A try of one letter is counted first; more than the budget allows means that workers ended
 * in the middle of the others. */
static bus_status
count_try(const busp_quarantine *quarantine, bus_store *store, busp_plan *plan,
	  bus_arena *arena, bus_error *err)
{
	int32_t attempts_max = busp_quarantine_retry(quarantine)->attempts_max;
	const bus_held_key *key = plan->key;
	bus_status status = bus_store_attempt_head(store, &plan->control->lane->stream,
						   key, &plan->attempts, err);
	if (status == BUS_OK && plan->attempts > attempts_max) {
		busp_refusal *spent = bus_arena_alloc(arena, sizeof(*spent));
		*spent = (busp_refusal){ .set = true, .kind = BUSP_SPENT };
		snprintf(spent->detail, sizeof(spent->detail),
			 "its worker ended during the last of %d tries", attempts_max);
		plan->failed = spent;
	}
	return status;
}

/* A timer: the head alone, or as many as go into a unit. */
static bus_status
plan_key(busp_quarantine *quarantine, bus_store *store, size_t letters_max,
	 busp_plan *plan, bus_arena *arena, bus_error *err)
{
	const bus_held_key *key = plan->key;
	bus_letter *letters;
	size_t count;
	if (key == NULL || key->state == BUS_HOLD_HELD) {
		ignore(plan, key == NULL ?
				     BUS_STR("the key is not held") :
				     BUS_STR("the budget is spent: a person decides"));
		return BUS_OK;
	}
	bool drains = key->state == BUS_HOLD_DRAINING && key->attempts == 0 &&
		      plan->failed == NULL;
	bus_status status =
		bus_store_letters(store, key, drains ? letters_max : 1,
				  BUSP_DRAIN_BYTES_MAX, arena, &letters, &count, err);
	if (status != BUS_OK) {
		return status;
	}
	if (count == 0) {
		go_on(plan, -1, arena);
		done(plan);
		return BUS_OK;
	}
	plan->attempts = key->attempts;
	fold_these(plan, letters, count, arena);
	if (count == 1 && plan->failed == NULL && letters[0].offset == key->head) {
		status = count_try(quarantine, store, plan, arena, err);
	}
	return status;
}

/* Why an act on this letter has no effect; absent if it may have one. */
static bus_str
objection(const busp_plan *plan, const bus_letter *letter, bus_arena *arena)
{
	const busp_item *control = plan->control;
	bool redrive = control->act == BUSP_ACT_REDRIVE;
	bool cut = letter != NULL && (letter->cause == BUS_CAUSE_UNDECODABLE ||
				      letter->cause == BUS_CAUSE_NO_TENANT);
	if (letter == NULL) {
		return BUS_STR("no dead letter lies there");
	}
	if (letter->tenant.data != NULL &&
	    !bus_str_eq(letter->tenant, control->event.tenant)) {
		return BUS_STR("the dead letter is another tenant's");
	}
	if (letter->state != BUS_LETTER_OPEN) {
		return letter->state == BUS_LETTER_REDRIVEN ?
			       BUS_STR("it is redriven already") :
			       BUS_STR("it is discarded already");
	}
	if (control->act == BUSP_ACT_DISCARD) {
		return BUS_STR_NULL;
	}
	if (letter->cause == BUS_CAUSE_IDENTITY_CONFLICT || cut) {
		return BUS_STR("more than its data is wrong: publish the event anew, "
			       "then discard this one");
	}
	if (redrive && plan->key != NULL && plan->key->head != letter->offset) {
		return bus_arena_printf(arena, "its key is held: offset %lld comes first",
					(long long)plan->key->head);
	}
	if (redrive && letter->redrives >= BUS_REDRIVES_MAX &&
	    !json_is_true(json_object_get(control->data, "force"))) {
		return bus_arena_printf(arena,
					"it was redriven %lld times without success: "
					"edit it, or insist with force",
					(long long)letter->redrives);
	}
	return BUS_STR_NULL;
}

static bool
waits(const bus_letter *letter)
{
	return letter->cause == BUS_CAUSE_TRANSIENT || letter->cause == BUS_CAUSE_HELD;
}

/* The key of a letter, if it is held; the next one behind the head comes with it. */
static bus_status
find_key(busp_quarantine *quarantine, bus_store *store, busp_plan *plan,
	 bus_letter **letter, bus_arena *arena, bus_error *err)
{
	bus_letter *first;
	size_t count;
	if ((*letter)->tenant.data == NULL) {
		return BUS_OK;
	}
	plan->key = busp_quarantine_find(quarantine, plan->control->lane->stream.stream,
					 (*letter)->tenant, (*letter)->subject);
	if (plan->key == NULL || plan->key->head != (*letter)->offset) {
		return BUS_OK;
	}
	bus_status status = bus_store_letters(store, plan->key, 1, BUSP_DRAIN_BYTES_MAX,
					      arena, &first, &count, err);
	if (status == BUS_OK && count == 1 && first->offset == (*letter)->offset) {
		*letter = first;
	}
	return status;
}

/* An operator's act on the letter it names. */
static bus_status
plan_letter(busp_quarantine *quarantine, bus_store *store, busp_plan *plan,
	    bus_arena *arena, bus_error *err)
{
	busp_item *control = plan->control;
	bus_letter *letter = NULL;
	int64_t partition = bus_json_int(control->data, "partition", -1);
	if (partition != control->delivery->partition) {
		ignore(plan, bus_arena_printf(arena,
					      "it names a dead letter of partition %lld, "
					      "but came in partition %d",
					      (long long)partition,
					      control->delivery->partition));
		return BUS_OK;
	}
	bus_status status = bus_store_letter(store, control->lane->stream.stream,
					     bus_json_int(control->data, "offset", -1),
					     arena, &letter, err);
	plan->key = NULL;
	if (status == BUS_OK && letter != NULL) {
		status = find_key(quarantine, store, plan, &letter, arena, err);
	}
	if (status != BUS_OK) {
		return status;
	}
	bus_str reason = objection(plan, letter, arena);
	if (reason.data != NULL) {
		ignore(plan, reason);
		return BUS_OK;
	}
	if (plan->key != NULL && plan->key->head != letter->offset) {
		plan->key = NULL; /* what is done to this one does not move the key */
	}
	if (control->act == BUSP_ACT_REDRIVE) {
		plan->attempts = 1;
		fold_these(plan, letter, 1, arena);
		return BUS_OK;
	}
	if (plan->failed != NULL) {
		ignore(plan,
		       bus_arena_printf(arena, "it failed: %s", plan->failed->detail));
		return BUS_OK;
	}
	plan->changes = bus_arena_alloc(arena, sizeof(*plan->changes));
	bus_letter_change *change = add_change(plan, letter->offset, arena);
	if (control->act == BUSP_ACT_DISCARD) {
		change->state = BUS_LETTER_DISCARDED;
		if (plan->key != NULL && waits(letter)) {
			go_on(plan, letter->next_offset, arena);
		}
	} else {
		const json_t *data = json_object_get(control->data, "data");
		size_t len = json_dumpb(data, NULL, 0, JSON_COMPACT);
		char *text = bus_arena_alloc(arena, len + 1);
		json_dumpb(data, text, len, JSON_COMPACT);
		change->edited = (bus_str){ text, len };
	}
	done(plan);
	return BUS_OK;
}

bus_status
busp_plan_make(busp_quarantine *quarantine, bus_store *store, const busp_refusal *refusal,
	       size_t letters_max, busp_item *control, bus_arena *arena,
	       busp_plan *ret_plan, bus_error *err)
{
	const bus_event *event = &control->event;
	bool timer = control->act == BUSP_ACT_RETRY || control->act == BUSP_ACT_DRAIN;
	*ret_plan = (busp_plan){
		.control = control,
		.key = busp_quarantine_find(quarantine, control->lane->stream.stream,
					    event->tenant, event->subject),
		.failed = refusal != NULL && busp_refusal_is_of(refusal, control) ?
				  refusal :
				  NULL,
	};
	return timer ? plan_key(quarantine, store, letters_max, ret_plan, arena, err) :
		       plan_letter(quarantine, store, ret_plan, arena, err);
}

/* ---- after ---- */

/* The one letter that was tried did not get through PostgreSQL, or its worker did not. */
static void
settle_failure(const busp_quarantine *quarantine, busp_plan *plan, bus_arena *arena)
{
	const busp_refusal *failed = plan->failed;
	bus_str detail = bus_arena_str(arena, bus_str_from(failed->detail));
	int32_t attempts_max = busp_quarantine_retry(quarantine)->attempts_max;
	bus_letter_change *change = add_change(plan, plan->letters[0].offset, arena);
	change->failed = plan->control->act == BUSP_ACT_REDRIVE;
	change->detail = detail;
	if (failed->kind == BUSP_REFUSED) {
		change->cause = BUS_CAUSE_CONSTRAINT;
		ignore(plan,
		       bus_arena_printf(arena, "it failed again: %s", failed->detail));
		if (plan->key != NULL) {
			go_on(plan, plan->letters[0].next_offset, arena);
		}
		return;
	}
	if (plan->key == NULL) {
		ignore(plan,
		       bus_arena_printf(arena, "it failed again: %s", failed->detail));
		return;
	}
	change->cause = BUS_CAUSE_TRANSIENT;
	plan->change = *plan->key;
	plan->change.attempts =
		failed->kind == BUSP_SPENT ? attempts_max : plan->attempts;
	ignore(plan,
	       bus_arena_printf(arena, "try %d of %d failed: %s", plan->change.attempts,
				attempts_max, failed->detail));
	wait_or_park(quarantine, plan, plan->control, detail, arena);
}

void
busp_plan_settle(const busp_quarantine *quarantine, busp_plan *plan,
		 const busp_item *items, bus_arena *arena)
{
	if (plan->letter_count == 0) {
		return;
	}
	if (items == NULL) {
		settle_failure(quarantine, plan, arena);
		return;
	}
	done(plan);
	for (size_t i = 0; i < plan->letter_count; i++) {
		const busp_item *item = &items[i];
		bus_letter_change *change =
			add_change(plan, plan->letters[i].offset, arena);
		if (item->verdict != BUS_REJECTED) {
			change->state = BUS_LETTER_REDRIVEN;
			change->folded = true;
			change->verdict = item->verdict;
			change->verdict_reason = item->reason;
			continue;
		}
		change->cause = item->cause;
		change->detail = item->detail;
		change->failed = plan->control->act == BUSP_ACT_REDRIVE;
		if (change->failed) {
			ignore(plan, bus_arena_printf(arena, "it failed again: %s: %.*s",
						      bus_cause_name(item->cause),
						      BUS_STR_ARG(item->detail)));
		}
	}
	if (plan->key != NULL) {
		go_on(plan, plan->letters[plan->letter_count - 1].next_offset, arena);
	}
}

void
busp_plan_hold(const busp_quarantine *quarantine, busp_plan *plan, busp_item *item,
	       const busp_refusal *refusal, bus_arena *arena)
{
	const bus_event *event = &item->event;
	bus_str detail = bus_arena_str(arena, bus_str_from(refusal->detail));
	plan->change = (bus_held_key){
		.stream = item->lane->stream.stream,
		.tenant = event->tenant,
		.subject = event->subject.data != NULL ? event->subject : BUS_STR(""),
		.head = item->delivery->offset,
		.attempts = refusal->kind == BUSP_SPENT ?
				    busp_quarantine_retry(quarantine)->attempts_max :
				    1,
	};
	busp_item_decide(item, BUS_HELD, BUS_CAUSE_TRANSIENT, detail);
	wait_or_park(quarantine, plan, item, detail, arena);
}
