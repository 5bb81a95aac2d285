/*
 * handler.c - saga: what comes in about a saga, as an input of its decision
 *
 * DESIGN
 * A request makes the saga's row and a row for each step of its definition: what takes a step
 * back is written down before the step is sent. From then on each event is one input: an answer,
 * a timer, an operator. decide.h says what it does, carry.h does it, in the transaction of the
 * event.
 *
 * A saga keeps the definition it began with, by the digest of its file. Where this is another
 * one, or none, its events become dead letters that say so; they are redriven when the file is
 * back.
 */
#include "workers/saga/handler.h"

#include "workers/saga/carry.h"

static bus_saga_book *book;

static bus_status
prepare(const bus_config *config, const bus_registry *registry, bus_error *err)
{
	bus_saga_book *made;
	if (bus_saga_book_create(bus_config_text(config, BUS_CONF_SAGA_DEFINITIONS),
				 registry, &made, err) != BUS_OK) {
		return err->status;
	}
	bus_saga_book_destroy(book);
	book = made;
	return BUS_OK;
}

/* Every row of the saga; false: *ret_verdict is the answer. */
static bool
load_steps(busp_work *work, bus_verdict *ret_verdict)
{
	bool waits = false;
	for (size_t i = 0; i < work->definition->step_count; i++) {
		const char *name = work->definition->steps[i].name;
		const void *row;
		bus_found found =
			bus_fold_get(work->fold, &bus_saga_step_table,
				     &(bus_saga_step_row){ .step = bus_str_from(name) },
				     &row);
		waits |= found == BUS_WAIT;
		if (found == BUS_FOUND) {
			work->steps[i] = *(const bus_saga_step_row *)row;
		} else if (found == BUS_ABSENT) {
			*ret_verdict =
				bus_fold_reject(work->fold,
						"the saga has no row of its step %s",
						name);
			return false;
		}
	}
	if (waits) {
		*ret_verdict = bus_fold_wait(work->fold);
		return false;
	}
	busp_saga_plan(work->definition, &work->plan);
	if (!busp_saga_state_of(&work->saga, work->steps, work->definition->step_count,
				&work->state)) {
		*ret_verdict =
			bus_fold_reject(work->fold, "a row of the saga has a status "
						    "that this version does not know");
		return false;
	}
	return true;
}

/* The saga of the event's key, with its definition; false: *ret_verdict is the answer. */
static bool
load(busp_work *work, bool operator_asks, bus_verdict *ret_verdict)
{
	const void *row;
	bus_found found =
		bus_fold_get(work->fold, &bus_saga_table, &(bus_saga_row){ 0 }, &row);
	if (found == BUS_WAIT) {
		*ret_verdict = bus_fold_wait(work->fold);
		return false;
	}
	if (found == BUS_ABSENT) {
		*ret_verdict =
			operator_asks ?
				bus_fold_reject(work->fold, "there is no such saga") :
				bus_fold_ignore(work->fold, "there is no such saga");
		return false;
	}
	work->saga = *(const bus_saga_row *)row;
	const bus_saga_row *saga = &work->saga;
	work->definition =
		bus_saga_book_find(book, saga->definition, (int32_t)saga->version);
	if (work->definition == NULL) {
		*ret_verdict = bus_fold_reject(
			work->fold,
			"the definition %.*s v%lld of this saga is gone: put its file back, "
			"restart the worker, redrive this event",
			BUS_STR_ARG(saga->definition), (long long)saga->version);
		return false;
	}
	if (!bus_str_is(saga->digest, work->definition->digest)) {
		*ret_verdict = bus_fold_reject(
			work->fold,
			"the definition %.*s v%lld has changed since this saga began: give the "
			"new one the next version, put the old file back, restart the worker, "
			"redrive this event",
			BUS_STR_ARG(saga->definition), (long long)saga->version);
		return false;
	}
	return load_steps(work, ret_verdict);
}

/* ---- the beginning ---- */

static void
make_rows(busp_work *work, const json_t *input)
{
	const bus_saga_definition *definition = work->definition;
	bus_arena *arena = bus_fold_arena(work->fold);
	size_t len = json_dumpb(input, NULL, 0, JSON_COMPACT);
	char *text = bus_arena_alloc(arena, len + 1);
	json_dumpb(input, text, len, JSON_COMPACT);
	busp_saga_plan(definition, &work->plan);
	bus_saga_state_init(&work->plan, &work->state);
	work->saga = (bus_saga_row){
		.definition = bus_str_from(definition->name),
		.version = definition->version,
		.digest = bus_str_from(definition->digest),
		.input = { text, len },
		.requested_by = work->event->actor,
		.requested_at = work->event->time_us,
		.finished_at = BUS_INT_NULL,
	};
	busp_saga_row_set(&work->plan, &work->state, &work->saga);
	work->saga_changed = true;
	for (size_t i = 0; i < definition->step_count; i++) {
		const bus_saga_step *step = &definition->steps[i];
		work->steps[i] = (bus_saga_step_row){
			.step = bus_str_from(step->name),
			.stage = step->stage,
			.action = bus_str_from(step->action.type),
			.compensation =
				bus_str_from(step->compensated ? step->compensation.type :
								 NULL),
			.began_at = BUS_INT_NULL,
			.ended_at = BUS_INT_NULL,
			.undone_at = BUS_INT_NULL,
			.due_at = BUS_INT_NULL,
		};
		busp_saga_step_row_set(&work->state.steps[i], &work->steps[i]);
		work->step_changed[i] = true;
	}
}

static bus_verdict
on_requested(bus_fold *fold, const bus_event *event, const json_t *data)
{
	BUSP_WORK_AUTO work = { .fold = fold, .event = event };
	bus_error err = BUS_ERROR_INIT;
	const void *row;
	if (bus_str_empty(event->subject)) {
		return bus_fold_reject(fold, "the subject must be the saga's id");
	}
	bus_found found = bus_fold_get(fold, &bus_saga_table, &(bus_saga_row){ 0 }, &row);
	if (found == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	if (found == BUS_FOUND) {
		return bus_fold_reject(fold, "there is a saga with this id already");
	}
	bus_str name = bus_json_str(data, "definition");
	int64_t version = bus_json_int(data, "version", 0);
	work.definition = bus_saga_book_find(book, name, (int32_t)version);
	if (work.definition == NULL && version != 0) {
		return bus_fold_reject(fold, "there is no saga definition %.*s v%lld",
				       BUS_STR_ARG(name), (long long)version);
	}
	if (work.definition == NULL) {
		return bus_fold_reject(fold, "there is no saga definition %.*s",
				       BUS_STR_ARG(name));
	}
	const json_t *input = json_object_get(data, "input");
	if (bus_saga_check_input(work.definition, input, &err) != BUS_OK) {
		return bus_fold_reject(fold, "%s", err.text);
	}
	make_rows(&work, input);
	return busp_work_feed(&work, &(bus_saga_input){ .kind = BUS_SAGA_BEGINS },
			      BUS_STR_NULL);
}

/* ---- answers ---- */

static bool
is_one_of(bus_str type, const char *const *types)
{
	while (*types != NULL && !bus_str_is(type, *types)) {
		types++;
	}
	return *types != NULL;
}

typedef enum answer_kind { ANSWER_NONE, ANSWER_SUCCESS, ANSWER_FAILURE } answer_kind;

/* What a fact means to an act. A fact that was refused says nothing; a refused act fails. */
static answer_kind
meaning_of(const bus_saga_act *act, bus_str type, bool rejected)
{
	if (rejected) {
		return bus_str_is(type, act->type) ? ANSWER_FAILURE : ANSWER_NONE;
	}
	return is_one_of(type, act->success) ? ANSWER_SUCCESS :
	       is_one_of(type, act->failure) ? ANSWER_FAILURE :
					       ANSWER_NONE;
}

static const bus_saga_act *
act_of(const busp_work *work, uint32_t step, bus_saga_lane lane)
{
	const bus_saga_step *s = &work->definition->steps[step];
	return lane == BUS_LANE_DO ? &s->action :
	       s->compensated      ? &s->compensation :
				     NULL;
}

/* The step of a name; step_count if there is none. */
static uint32_t
find_step(const busp_work *work, bus_str name)
{
	uint32_t step = 0;
	while (step < work->plan.step_count &&
	       !bus_str_is(name, work->definition->steps[step].name)) {
		step++;
	}
	return step;
}

/* Without a sagastep: the one open attempt that the fact can answer. Returns how many there are. */
static size_t
guess_attempt(const busp_work *work, bus_str type, bool rejected,
	      busp_attempt *ret_attempt)
{
	size_t fits = 0;
	for (uint32_t i = 0; i < work->plan.step_count; i++) {
		const bus_saga_step_state *state = &work->state.steps[i];
		bool doing = state->status == BUS_STEP_RUNNING;
		if (!doing && state->status != BUS_STEP_UNDOING) {
			continue;
		}
		bus_saga_lane lane = doing ? BUS_LANE_DO : BUS_LANE_UNDO;
		if (meaning_of(act_of(work, i, lane), type, rejected) != ANSWER_NONE) {
			*ret_attempt = (busp_attempt){
				.step = bus_str_from(work->definition->steps[i].name),
				.lane = lane,
				.attempt = state->lanes[lane].attempts,
			};
			fits++;
		}
	}
	return fits;
}

/* Why it failed, in the words of the fact, else of the ledger, else by its name. */
static bus_str
reason_of(busp_work *work, const json_t *data, bus_str type, bool rejected)
{
	bus_str reason = bus_json_str(data, "reason");
	if (rejected) {
		return bus_arena_printf(bus_fold_arena(work->fold), "refused: %.*s",
					BUS_STR_ARG(bus_str_empty(reason) ? type :
									    reason));
	}
	bus_str said = bus_json_str(json_object_get(data, "data"), "reason");
	return !bus_str_empty(said) ? said : !bus_str_empty(reason) ? reason : type;
}

static void
keep_result(busp_work *work, uint32_t step, const json_t *data)
{
	const json_t *result = json_object_get(data, "data");
	if (result == NULL || work->state.steps[step].status == BUS_STEP_DONE) {
		return; /* the first one counts */
	}
	size_t len = json_dumpb(result, NULL, 0, JSON_COMPACT);
	char *text = bus_arena_alloc(bus_fold_arena(work->fold), len + 1);
	json_dumpb(result, text, len, JSON_COMPACT);
	work->steps[step].result = (bus_str){ text, len };
}

static bus_verdict
on_answered(bus_fold *fold, const bus_event *event, const json_t *data)
{
	BUSP_WORK_AUTO work = { .fold = fold, .event = event };
	bus_verdict verdict;
	if (!load(&work, false, &verdict)) {
		return verdict;
	}
	bus_str type = bus_json_str(data, "type"),
		sagastep = bus_json_str(data, "sagastep");
	bool rejected = bus_str_is(bus_json_str(data, "outcome"), "rejected");
	busp_attempt attempt;
	if (sagastep.data == NULL) {
		size_t fits = guess_attempt(&work, type, rejected, &attempt);
		if (fits != 1) {
			return bus_fold_ignore(
				fold, "%.*s names no step, and %s", BUS_STR_ARG(type),
				fits == 0 ? "answers none that is open" :
					    "answers more than one that is open");
		}
	} else if (!busp_sagastep_parse(sagastep, &attempt)) {
		return bus_fold_ignore(fold, "'%.*s' is not <step>/<do|undo>/<attempt>",
				       BUS_STR_ARG(sagastep));
	}
	uint32_t step = find_step(&work, attempt.step);
	const bus_saga_act *act =
		step < work.plan.step_count ? act_of(&work, step, attempt.lane) : NULL;
	if (act == NULL) {
		return bus_fold_ignore(fold, "%s v%d has no %.*s to answer",
				       work.definition->name,
				       (int)work.definition->version,
				       BUS_STR_ARG(sagastep));
	}
	answer_kind meaning = meaning_of(act, type, rejected);
	bool undo = attempt.lane == BUS_LANE_UNDO;
	if (meaning == ANSWER_NONE) {
		return bus_fold_ignore(fold, "%.*s%s is no answer to %s",
				       BUS_STR_ARG(type),
				       rejected ? " was refused, it" : "", act->type);
	}
	bool success = meaning == ANSWER_SUCCESS;
	if (success && !undo) {
		keep_result(&work, step, data);
	}
	const bus_saga_input input = {
		.kind = BUS_SAGA_STEP,
		.step_input = undo ? (success ? BUS_STEP_ON_UNDO_SUCCESS :
						BUS_STEP_ON_UNDO_FAILURE) :
				     (success ? BUS_STEP_ON_SUCCESS : BUS_STEP_ON_FAILURE),
		.step = step,
		.attempt = attempt.attempt,
	};
	return busp_work_feed(&work, &input,
			      success ? BUS_STR_NULL :
					reason_of(&work, data, type, rejected));
}

/* ---- timers ---- */

static bool
starts_with(bus_str text, const char *prefix, bus_str *ret_rest)
{
	size_t len = strlen(prefix);
	if (text.len < len || memcmp(text.data, prefix, len) != 0) {
		return false;
	}
	*ret_rest = (bus_str){ text.data + len, text.len - len };
	return true;
}

/* "10m", "1500ms": as definitions write it. */
static bus_str
duration(bus_arena *arena, int64_t ms)
{
	static const struct {
		int64_t ms;
		const char *unit;
	} units[] = { { 3600000, "h" }, { 60000, "m" }, { 1000, "s" }, { 1, "ms" } };
	size_t i = 0;
	while (ms % units[i].ms != 0) {
		i++;
	}
	return bus_arena_printf(arena, "%lld%s", (long long)(ms / units[i].ms),
				units[i].unit);
}

static bus_verdict
on_timer(bus_fold *fold, const bus_event *event, const json_t *data)
{
	BUSP_WORK_AUTO work = { .fold = fold, .event = event };
	bus_verdict verdict;
	bus_str name = bus_json_str(data, "name"), rest;
	busp_attempt attempt;
	bool deadline = starts_with(name, "deadline/", &rest);
	if ((!deadline && !starts_with(name, "retry/", &rest)) ||
	    !busp_sagastep_parse(rest, &attempt)) {
		return bus_fold_ignore(fold, "no timer of this worker is named %.*s",
				       BUS_STR_ARG(name));
	}
	if (!load(&work, false, &verdict)) {
		return verdict;
	}
	uint32_t step = find_step(&work, attempt.step);
	const bus_saga_act *act =
		step < work.plan.step_count ? act_of(&work, step, attempt.lane) : NULL;
	if (act == NULL) {
		return bus_fold_ignore(fold, "%s v%d has no such step",
				       work.definition->name,
				       (int)work.definition->version);
	}
	bool undo = attempt.lane == BUS_LANE_UNDO;
	const bus_saga_input input = {
		.kind = BUS_SAGA_STEP,
		.step_input = deadline ?
				      (undo ? BUS_STEP_ON_UNDO_DEADLINE :
					      BUS_STEP_ON_DEADLINE) :
				      (undo ? BUS_STEP_ON_UNDO_RETRY : BUS_STEP_ON_RETRY),
		.step = step,
		.attempt = attempt.attempt,
	};
	bus_arena *arena = bus_fold_arena(fold);
	return busp_work_feed(
		&work, &input,
		deadline ? bus_arena_printf(arena, "no answer within %s",
					    duration(arena, act->deadline_ms).data) :
			   BUS_STR_NULL);
}

/* ---- operators ---- */

static bus_str
words_of(busp_work *work, const char *what, const json_t *data)
{
	bus_str actor = bus_str_empty(work->event->actor) ? BUS_STR("an operator") :
							    work->event->actor;
	return bus_arena_printf(bus_fold_arena(work->fold), "%s by %.*s: %.*s", what,
				BUS_STR_ARG(actor),
				BUS_STR_ARG(bus_json_str(data, "reason")));
}

static bus_verdict
on_operator(bus_fold *fold, const bus_event *event, const json_t *data,
	    bus_saga_input input, const char *what)
{
	BUSP_WORK_AUTO work = { .fold = fold, .event = event };
	bus_verdict verdict;
	if (!load(&work, true, &verdict)) {
		return verdict;
	}
	if (input.kind == BUS_SAGA_STEP) {
		bus_str name = bus_json_str(data, "step");
		input.step = find_step(&work, name);
		if (input.step == work.plan.step_count) {
			return bus_fold_reject(fold, "%s v%d has no step %.*s",
					       work.definition->name,
					       (int)work.definition->version,
					       BUS_STR_ARG(name));
		}
	}
	return busp_work_feed(&work, &input, words_of(&work, what, data));
}

static bus_verdict
on_retry(bus_fold *fold, const bus_event *event, const json_t *data)
{
	return on_operator(fold, event, data,
			   (bus_saga_input){ .kind = BUS_SAGA_STEP,
					     .step_input = BUS_STEP_ON_OP_RETRY },
			   "tried again");
}

static bus_verdict
on_skip(bus_fold *fold, const bus_event *event, const json_t *data)
{
	return on_operator(fold, event, data,
			   (bus_saga_input){ .kind = BUS_SAGA_STEP,
					     .step_input = BUS_STEP_ON_OP_SKIP },
			   "skipped");
}

static bus_verdict
on_compensate(bus_fold *fold, const bus_event *event, const json_t *data)
{
	return on_operator(fold, event, data,
			   (bus_saga_input){ .kind = BUS_SAGA_COMPENSATE }, "sent back");
}

static bus_verdict
on_cancel(bus_fold *fold, const bus_event *event, const json_t *data)
{
	return on_operator(fold, event, data, (bus_saga_input){ .kind = BUS_SAGA_CANCEL },
			   "cancelled");
}

static bus_verdict
on_own_fact(bus_fold *fold, const bus_event *event, const json_t *data)
{
	(void)event;
	(void)data;
	return bus_fold_ignore(fold, "it says what the saga's row says already");
}

static const bus_handler handlers[] = {
	{ "io.busline.saga.requested.v1", on_requested },
	{ "io.busline.saga.answered.v1", on_answered },
	{ BUS_TIMER_FIRED_TYPE, on_timer },
	{ "io.busline.saga.retry-requested.v1", on_retry },
	{ "io.busline.saga.skip-requested.v1", on_skip },
	{ "io.busline.saga.compensate-requested.v1", on_compensate },
	{ "io.busline.saga.cancel-requested.v1", on_cancel },
	{ "io.busline.saga.completed.v1", on_own_fact },
	{ "io.busline.saga.compensated.v1", on_own_fact },
	{ "io.busline.saga.parked.v1", on_own_fact },
	{ NULL, NULL },
};

static const bus_row_type *const tables[] = {
	&bus_saga_table,
	&bus_saga_step_table,
	NULL,
};

const bus_worker bus_saga_worker = {
	.name = "saga",
	.topic = BUS_SAGA_TOPIC,
	.help = "Runs sagas: sends their steps, takes them back",
	.handlers = handlers,
	.tables = tables,
	.prepare = prepare,
};
