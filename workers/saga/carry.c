/*
 * carry.c - what a decision makes of a saga: rows, events, timers, incidents
 */
#include "workers/saga/carry.h"

#include "core/id.h"

#define ORIGIN "saga"
/* The schema of the facts allows 2,000 characters. */
#define REASON_BYTES_MAX 1500u

static bus_arena *
arena_of(busp_work *work)
{
	return bus_fold_arena(work->fold);
}

static bus_str
printable(bus_str text)
{
	if (text.len <= REASON_BYTES_MAX) {
		return text;
	}
	size_t len = REASON_BYTES_MAX;
	while (len > 0 && ((unsigned char)text.data[len] & 0xc0) == 0x80) {
		len--; /* a character cut in two */
	}
	return (bus_str){ text.data, len };
}

void
busp_work_fini(busp_work *work)
{
	json_decref(work->scope);
}

/* ---- templates ---- */

static json_t *
parsed(bus_str text)
{
	json_t *json =
		text.data == NULL ? NULL : json_loadb(text.data, text.len, 0, NULL);
	return json != NULL ? json : json_object();
}

/* {"input", "steps": {NAME: result}, "saga": {"id", "name"}}; borrowed. */
static const json_t *
scope_of(busp_work *work)
{
	if (work->scope != NULL) {
		return work->scope;
	}
	json_t *steps = json_object();
	for (uint32_t i = 0; i < work->plan.step_count; i++) {
		if (work->steps[i].result.data != NULL) {
			json_object_set_new(steps, work->definition->steps[i].name,
					    parsed(work->steps[i].result));
		}
	}
	work->scope =
		json_pack("{s:o,s:o,s:{s:s%,s:s}}", "input", parsed(work->saga.input),
			  "steps", steps, "saga", "id", work->event->subject.data,
			  work->event->subject.len, "name", work->definition->name);
	return work->scope;
}

/* An event that cannot be written would stop the worker: it is tried before it is promised. */
static bus_status
check_event(busp_work *work, const bus_saga_act *act, bus_str subject, const json_t *data,
	    bus_error *err)
{
	bus_record record;
	size_t len = json_dumpb(data, NULL, 0, JSON_COMPACT);
	char *text = bus_arena_alloc(arena_of(work), len + 1);
	json_dumpb(data, text, len, JSON_COMPACT);
	const bus_event event = {
		.id = work->event->id,
		.source = BUS_STR("/busline/worker/saga"),
		.type = bus_str_from(act->type),
		.subject = subject,
		.tenant = work->event->tenant,
		.datacontenttype = BUS_STR("application/json"),
		.data = { text, len },
	};
	if (len > BUS_EVENT_BYTES_MAX) {
		return bus_error_set(err, BUS_E_REJECT, ORIGIN, 0,
				     "its data would have %zu bytes, more than %u", len,
				     BUS_EVENT_BYTES_MAX);
	}
	return bus_event_write(&event, BUS_MODE_BINARY, arena_of(work), &record, err);
}

/* The event of an attempt. REJECT: it cannot be made, err says why. */
static bus_status
render(busp_work *work, const bus_saga_act *act, bus_str *ret_subject, json_t **ret_data,
       bus_error *err)
{
	BUS_JSON_AUTO *subject = NULL;
	BUS_JSON_AUTO *data = NULL;
	*ret_subject = BUS_STR_NULL;
	if (act->subject != NULL) {
		bus_status status =
			bus_saga_render(act->subject, scope_of(work), &subject, err);
		if (status != BUS_OK) {
			return status;
		}
		if (!json_is_string(subject)) {
			return bus_error_set(err, BUS_E_REJECT, ORIGIN, 0,
					     "its subject is no text");
		}
		*ret_subject = bus_arena_str(arena_of(work),
					     (bus_str){ json_string_value(subject),
							json_string_length(subject) });
	}
	if (bus_saga_render(act->data, scope_of(work), &data, err) != BUS_OK) {
		return err->status;
	}
	if (!json_is_object(data)) {
		return bus_error_set(err, BUS_E_REJECT, ORIGIN, 0,
				     "its data is no object");
	}
	if (check_event(work, act, *ret_subject, data, err) != BUS_OK) {
		return err->status;
	}
	*ret_data = json_incref(data);
	return BUS_OK;
}

/* ---- commands ---- */

/* The id that the engine gives to the follow-up of this name. */
static bus_str
id_of(busp_work *work, const char *follow_up)
{
	char text[BUS_UUID_TEXT_LEN + 1];
	bus_uuid id = bus_uuid_derive(work->event->time_us, work->event->source,
				      work->event->id, bus_str_from(bus_saga_worker.name),
				      bus_str_from(follow_up));
	bus_uuid_format(&id, text);
	return bus_arena_str(arena_of(work), (bus_str){ text, BUS_UUID_TEXT_LEN });
}

static int64_t
later(const busp_work *work, int64_t delay_ms)
{
	return work->event->time_us == BUS_TIME_NONE ?
		       BUS_INT_NULL :
		       work->event->time_us + delay_ms * 1000;
}

static bus_str
timer_name(busp_work *work, const char *kind, const bus_saga_command *c)
{
	bus_str attempt = busp_sagastep(work->definition->steps[c->step].name, c->lane,
					c->attempt, arena_of(work));
	return bus_arena_printf(arena_of(work), "%s/%s", kind, attempt.data);
}

static void
send(busp_work *work, const bus_saga_command *c)
{
	const bus_saga_step *step = &work->definition->steps[c->step];
	bool undo = c->lane == BUS_LANE_UNDO;
	const bus_saga_act *act = undo ? &step->compensation : &step->action;
	bus_saga_step_row *row = &work->steps[c->step];
	bus_str subject;
	json_t *data = NULL;
	bus_error err = BUS_ERROR_INIT;
	if (!undo && row->began_at == BUS_INT_NULL) {
		row->began_at = work->event->time_us;
	}
	if (render(work, act, &subject, &data, &err) != BUS_OK) {
		work->unsent_reasons[work->unsent_count] =
			bus_arena_printf(arena_of(work), "%s cannot be sent: %s",
					 act->type, err.text);
		work->unsent[work->unsent_count++] = (bus_saga_input){
			.kind = BUS_SAGA_STEP,
			.step_input =
				undo ? BUS_STEP_ON_UNDO_FAILURE : BUS_STEP_ON_FAILURE,
			.step = c->step,
			.attempt = c->attempt,
			.hopeless = true,
		};
		return;
	}
	bus_str attempt = busp_sagastep(step->name, c->lane, c->attempt, arena_of(work));
	bus_fold_emit(work->fold, &(bus_follow_up){
					  .type = act->type,
					  .topic = act->topic,
					  .step = attempt.data,
					  .subject = subject,
					  .sagaid = work->event->subject,
					  .sagastep = attempt,
					  .data = data,
				  });
	*(undo ? &row->compensation_id : &row->action_id) = id_of(work, attempt.data);
	row->due_at = later(work, c->delay_ms);
	bus_fold_timer_set(work->fold, timer_name(work, "deadline", c), c->delay_ms);
}

/* What it came to. */
static void
tell(busp_work *work, const char *type, bus_str step, bus_str reason, const char *name)
{
	json_t *data = json_pack("{s:s,s:I}", "definition", work->definition->name,
				 "version", (json_int_t)work->definition->version);
	if (!bus_str_empty(step)) {
		json_object_set_new(data, "step", json_stringn(step.data, step.len));
	}
	if (!bus_str_empty(reason)) {
		json_object_set_new(data, "reason", json_stringn(reason.data, reason.len));
	}
	bus_fold_emit(work->fold,
		      &(bus_follow_up){ .type = type, .step = name, .data = data });
}

static void
park(busp_work *work, const bus_saga_command *c)
{
	const char *name = work->definition->steps[c->step].name;
	bus_str reason = work->steps[c->step].reason;
	bool undo = c->lane == BUS_LANE_UNDO;
	if (!undo) { /* going back it stays what sent it back */
		work->saga.failed_step = bus_str_from(name);
		work->saga.reason = reason;
		work->saga_changed = true;
	}
	tell(work, "io.busline.saga.parked.v1", bus_str_from(name), reason,
	     bus_arena_printf(arena_of(work), "parked/%s", name).data);
	bus_fold_incident_open(
		work->fold, BUS_SAGA_INCIDENT,
		bus_arena_printf(arena_of(work),
				 "saga %.*s (%s v%d): %s %s after attempt %d: %.*s; "
				 "`busline saga trace` shows it; retry, skip%s",
				 BUS_STR_ARG(work->event->subject),
				 work->definition->name, (int)work->definition->version,
				 name, undo ? "could not be taken back" : "is stuck",
				 (int)c->attempt, BUS_STR_ARG(reason),
				 undo ? "" : " or compensate"));
}

static void
finish(busp_work *work)
{
	bool completed = work->state.status == BUS_SAGA_COMPLETED;
	if (completed) {
		/* what was in its way is told by the steps */
		work->saga.failed_step = BUS_STR_NULL;
		work->saga.reason = BUS_STR_NULL;
		tell(work, "io.busline.saga.completed.v1", BUS_STR_NULL, BUS_STR_NULL,
		     "completed");
	} else {
		tell(work, "io.busline.saga.compensated.v1", work->saga.failed_step,
		     work->saga.reason, "compensated");
	}
	work->saga.finished_at = work->event->time_us;
	work->saga_changed = true;
}

static void
carry_out(busp_work *work, const bus_saga_command *c)
{
	switch (c->kind) {
	case BUS_SAGA_SEND:
		send(work, c);
		break;
	case BUS_SAGA_RETRY_SET:
		work->steps[c->step].due_at = later(work, c->delay_ms);
		bus_fold_timer_set(work->fold, timer_name(work, "retry", c), c->delay_ms);
		break;
	case BUS_SAGA_DEADLINE_CANCEL:
		bus_fold_timer_cancel(work->fold, timer_name(work, "deadline", c));
		break;
	case BUS_SAGA_RETRY_CANCEL:
		bus_fold_timer_cancel(work->fold, timer_name(work, "retry", c));
		break;
	case BUS_SAGA_PARK:
		park(work, c);
		break;
	case BUS_SAGA_UNPARK:
		if (!work->state.back) {
			work->saga.failed_step = BUS_STR_NULL;
			work->saga.reason = BUS_STR_NULL;
		}
		bus_fold_incident_close(work->fold, BUS_SAGA_INCIDENT,
					BUS_STR("no step of the saga waits for a person"));
		break;
	case BUS_SAGA_FINISH:
		finish(work);
		break;
	}
}

/* ---- rows ---- */

#define IN(symbol) (1u << BUS_STEP_##symbol)

static bool
is_in(bus_saga_step_status status, uint32_t statuses)
{
	return statuses >> status & 1;
}

/* Times of a step that has come to another status. What is done while its saga goes back is taken
 * back at once, so that its end is seen only by what it was before. */
static void
set_times(const busp_work *work, bus_saga_step_status before, bus_saga_step_status status,
	  bus_saga_step_row *row)
{
	const uint32_t open = IN(RUNNING) | IN(PAUSED);
	const uint32_t over =
		IN(DONE) | IN(FAILED) | IN(UNKNOWN) | IN(STUCK) | IN(SKIPPED);
	if (is_in(status, open)) {
		row->ended_at = BUS_INT_NULL;
	} else if (is_in(before, open) || is_in(status, over)) {
		row->ended_at = work->event->time_us;
	}
	row->undone_at = status == BUS_STEP_UNDONE ? work->event->time_us : BUS_INT_NULL;
	if (!is_in(status, IN(RUNNING) | IN(PAUSED) | IN(UNDOING) | IN(UNDO_PAUSED))) {
		row->due_at = BUS_INT_NULL;
	}
}

static bool
same_step(const bus_saga_step_state *a, const bus_saga_step_state *b)
{
	return a->status == b->status && a->lanes[0].attempts == b->lanes[0].attempts &&
	       a->lanes[0].limit == b->lanes[0].limit &&
	       a->lanes[1].attempts == b->lanes[1].attempts &&
	       a->lanes[1].limit == b->lanes[1].limit && a->unanswered == b->unanswered &&
	       a->succeeded == b->succeeded;
}

/* From the state before to that after, before the commands run. */
static void
update_rows(busp_work *work, const bus_saga_state *before)
{
	for (uint32_t i = 0; i < work->plan.step_count; i++) {
		const bus_saga_step_state *step = &work->state.steps[i];
		if (same_step(&before->steps[i], step)) {
			continue;
		}
		if (before->steps[i].status != step->status) {
			set_times(work, before->steps[i].status, step->status,
				  &work->steps[i]);
		}
		busp_saga_step_row_set(step, &work->steps[i]);
		work->step_changed[i] = true;
	}
	int64_t stage = work->saga.stage;
	busp_saga_row_set(&work->plan, &work->state, &work->saga);
	work->saga_changed |= stage != work->saga.stage ||
			      before->back != work->state.back ||
			      before->status != work->state.status ||
			      before->pivot_passed != work->state.pivot_passed;
	if (bus_saga_is_final(before->status) && !bus_saga_is_final(work->state.status)) {
		work->saga.finished_at = BUS_INT_NULL; /* a late effect is taken back */
	}
}

static void
put_rows(busp_work *work)
{
	bus_stamp stamp = bus_stamp_of(work->event);
	if (work->saga_changed) {
		work->saga.stamp = stamp;
		bus_fold_put(work->fold, &bus_saga_table, &work->saga);
	}
	for (uint32_t i = 0; i < work->plan.step_count; i++) {
		if (work->step_changed[i]) {
			work->steps[i].stamp = stamp;
			bus_fold_put(work->fold, &bus_saga_step_table, &work->steps[i]);
		}
	}
}

static void
take_failure(busp_work *work, const bus_saga_input *input, bus_str reason, bool was_back)
{
	if (reason.data == NULL) {
		return;
	}
	if (input->kind == BUS_SAGA_STEP) {
		work->steps[input->step].reason = reason;
		work->step_changed[input->step] = true;
	}
	if (!was_back && work->state.back) {
		if (input->kind == BUS_SAGA_STEP) {
			work->saga.failed_step =
				bus_str_from(work->definition->steps[input->step].name);
		}
		work->saga.reason = reason;
		work->saga_changed = true;
	}
}

/* One decision and its commands. */
static bus_saga_outcome
step_on(busp_work *work, const bus_saga_input *input, bus_str reason)
{
	bus_saga_state before = work->state;
	bus_saga_decide(&work->plan, &work->state, input, &work->decision);
	if (work->decision.outcome != BUS_SAGA_MOVED) {
		return work->decision.outcome;
	}
	update_rows(work, &before);
	take_failure(work, input, printable(reason), before.back);
	/* a send that fails makes another decision, so this one is kept */
	const bus_saga_decision decision = work->decision;
	for (size_t i = 0; i < decision.command_count; i++) {
		carry_out(work, &decision.commands[i]);
	}
	return BUS_SAGA_MOVED;
}

/* "verify is done: this attempt has said so before" */
static bus_str
explain(busp_work *work, const bus_saga_input *input)
{
	if (input->kind != BUS_SAGA_STEP) {
		return bus_str_from(work->decision.why);
	}
	return bus_arena_printf(arena_of(work), "%s is %.*s: %s",
				work->definition->steps[input->step].name,
				BUS_STR_ARG(work->steps[input->step].status),
				work->decision.why);
}

bus_verdict
busp_work_feed(busp_work *work, const bus_saga_input *input, bus_str reason)
{
	bus_saga_outcome outcome = step_on(work, input, reason);
	if (outcome == BUS_SAGA_IGNORED) {
		return bus_fold_ignore(work->fold, "%s", explain(work, input).data);
	}
	if (outcome == BUS_SAGA_REFUSED) {
		return bus_fold_reject(work->fold, "%s", explain(work, input).data);
	}
	while (work->unsent_count > 0) {
		work->unsent_count--;
		const bus_saga_input unsent = work->unsent[work->unsent_count];
		step_on(work, &unsent, work->unsent_reasons[work->unsent_count]);
	}
	put_rows(work);
	return BUS_APPLIED;
}
