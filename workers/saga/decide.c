/*
 * decide.c - one input, and all that follows from it
 */
#include "workers/saga/decide.h"

#define OLDER (UINT64_C(1) << BUS_SAGA_ATTEMPTS_KEPT)

/* One decision while it is made. */
typedef struct decision {
	const bus_saga_plan *plan;
	bus_saga_state *state; /* a copy: the caller's changes when all is done */
	const bus_saga_input *input;
	bus_saga_decision *out;
} decision;

/* ---- sets of attempts ---- */

static uint64_t
bit_of(int32_t attempt)
{
	return UINT64_C(1) << ((attempt - 1) % BUS_SAGA_ATTEMPTS_KEPT);
}

static bool
is_kept(const bus_saga_lane_state *lane, int32_t attempt)
{
	return attempt > lane->attempts - BUS_SAGA_ATTEMPTS_KEPT;
}

/* A new attempt of the action; the one whose place it takes is forgotten but for its doubt. */
static void
add_attempt(bus_saga_step_state *step)
{
	uint64_t bit = bit_of(++step->lanes[BUS_LANE_DO].attempts);
	if (step->unanswered & bit) {
		step->unanswered |= OLDER;
	}
	step->unanswered |= bit;
	step->succeeded &= ~bit;
}

/* ---- commands ---- */

static void
command(decision *d, bus_saga_command_kind kind, uint32_t step, bus_saga_lane lane,
	int32_t attempt, int64_t delay_ms)
{
	if (d->out->command_count < BUS_SAGA_COMMANDS_MAX) {
		d->out->commands[d->out->command_count++] = (bus_saga_command){
			.kind = kind,
			.step = step,
			.lane = lane,
			.attempt = attempt,
			.delay_ms = delay_ms,
		};
	}
}

static void
send(decision *d, uint32_t step, bus_saga_lane lane, bool granted)
{
	const bus_saga_budget *budget = &d->plan->steps[step].lanes[lane];
	bus_saga_lane_state *made = &d->state->steps[step].lanes[lane];
	if (granted) {
		made->limit = made->attempts + budget->attempts;
	}
	if (lane == BUS_LANE_DO) {
		add_attempt(&d->state->steps[step]);
	} else {
		made->attempts++;
	}
	command(d, BUS_SAGA_SEND, step, lane, made->attempts, budget->deadline_ms);
}

/* Doubles with each attempt of this budget. */
static int64_t
delay_of(const bus_saga_budget *budget, const bus_saga_lane_state *lane)
{
	int32_t made = lane->attempts - (lane->limit - budget->attempts);
	int64_t delay_ms = budget->delay_ms;
	while (made-- > 1 && delay_ms < budget->delay_max_ms) {
		delay_ms *= 2;
	}
	return delay_ms < budget->delay_max_ms ? delay_ms : budget->delay_max_ms;
}

static void
wait(decision *d, uint32_t step, bus_saga_lane lane)
{
	const bus_saga_lane_state *made = &d->state->steps[step].lanes[lane];
	command(d, BUS_SAGA_RETRY_SET, step, lane, made->attempts + 1,
		delay_of(&d->plan->steps[step].lanes[lane], made));
}

static void
drop_deadline(decision *d, uint32_t step, bus_saga_lane lane)
{
	command(d, BUS_SAGA_DEADLINE_CANCEL, step, lane,
		d->state->steps[step].lanes[lane].attempts, 0);
}

static void
drop_wait(decision *d, uint32_t step, bus_saga_lane lane)
{
	command(d, BUS_SAGA_RETRY_CANCEL, step, lane,
		d->state->steps[step].lanes[lane].attempts + 1, 0);
}

static void
park(decision *d, uint32_t step)
{
	bool undo = d->state->steps[step].status == BUS_STEP_UNDO_STUCK;
	bus_saga_lane lane = undo ? BUS_LANE_UNDO : BUS_LANE_DO;
	command(d, BUS_SAGA_PARK, step, lane, d->state->steps[step].lanes[lane].attempts,
		0);
}

static void
take_effect(decision *d, uint32_t step, bus_saga_effect effect)
{
	const bus_saga_lane onward = BUS_LANE_DO, undo = BUS_LANE_UNDO;
	switch (effect) {
	case BUS_EFFECT_NONE:
	case BUS_EFFECT_COUNT:
		break;
	case BUS_EFFECT_SEND:
	case BUS_EFFECT_SEND_GRANTED:
		send(d, step, onward, effect == BUS_EFFECT_SEND_GRANTED);
		break;
	case BUS_EFFECT_SEND_UNDO:
	case BUS_EFFECT_SEND_UNDO_GRANTED:
		send(d, step, undo, effect == BUS_EFFECT_SEND_UNDO_GRANTED);
		break;
	case BUS_EFFECT_WAIT:
		wait(d, step, onward);
		break;
	case BUS_EFFECT_WAIT_UNDO:
		wait(d, step, undo);
		break;
	case BUS_EFFECT_DROP_WAIT:
		drop_wait(d, step, onward);
		break;
	case BUS_EFFECT_DROP_WAIT_PARK:
		drop_wait(d, step, onward);
		park(d, step);
		break;
	case BUS_EFFECT_DROP_UNDO_WAIT:
		drop_wait(d, step, undo);
		break;
	case BUS_EFFECT_DROP_DEADLINE:
		drop_deadline(d, step, onward);
		break;
	case BUS_EFFECT_DROP_DEADLINE_WAIT:
		drop_deadline(d, step, onward);
		wait(d, step, onward);
		break;
	case BUS_EFFECT_DROP_DEADLINE_PARK:
		drop_deadline(d, step, onward);
		park(d, step);
		break;
	case BUS_EFFECT_DROP_UNDO_DEADLINE:
		drop_deadline(d, step, undo);
		break;
	case BUS_EFFECT_DROP_UNDO_DEADLINE_WAIT:
		drop_deadline(d, step, undo);
		wait(d, step, undo);
		break;
	case BUS_EFFECT_DROP_UNDO_DEADLINE_PARK:
		drop_deadline(d, step, undo);
		park(d, step);
		break;
	case BUS_EFFECT_PARK:
		park(d, step);
		break;
	}
}

/* ---- one step ---- */

static bool
holds(const decision *d, uint32_t n, bus_saga_guard guard)
{
	const bus_saga_state *state = d->state;
	const bus_saga_step_state *step = &state->steps[n];
	const bus_saga_lane_state *lanes = step->lanes;
	switch (guard) {
	case BUS_GUARD_NONE:
	case BUS_GUARD_COUNT:
		break;
	case BUS_GUARD_EARLIER:
		return d->input->attempt < lanes[BUS_LANE_DO].attempts;
	case BUS_GUARD_BUDGET:
		return lanes[BUS_LANE_DO].attempts < lanes[BUS_LANE_DO].limit &&
		       !state->back && !d->input->hopeless;
	case BUS_GUARD_FORWARD:
		return (state->pivot_passed && !state->back) ||
		       (d->plan->steps[n].pivot && step->unanswered != 0);
	case BUS_GUARD_UNCERTAIN:
		return step->unanswered != 0;
	case BUS_GUARD_CERTAIN:
		return step->unanswered == 0;
	case BUS_GUARD_CERTAIN_BACK:
		return step->unanswered == 0 && !state->pivot_passed;
	case BUS_GUARD_UNDO_BUDGET:
		return lanes[BUS_LANE_UNDO].attempts < lanes[BUS_LANE_UNDO].limit &&
		       !d->input->hopeless;
	}
	return true;
}

static const bus_saga_transition *
find_row(const decision *d, uint32_t step, bus_saga_step_input input)
{
	size_t count;
	const bus_saga_transition *rows = bus_saga_transitions(&count);
	uint32_t in = 1u << d->state->steps[step].status;
	for (size_t i = 0; i < count; i++) {
		if (rows[i].input == input && (rows[i].statuses & in) != 0 &&
		    holds(d, step, rows[i].guard)) {
			d->out->rows[i / 64] |= UINT64_C(1) << i % 64;
			return &rows[i];
		}
	}
	return NULL; /* the table is complete */
}

static const bus_saga_transition *move(decision *d, uint32_t step,
				       bus_saga_step_input input);

/* From now on forward only; a stage that was going to turn back does not. */
static void
pass_pivot(decision *d)
{
	d->state->pivot_passed = true;
	if (!d->state->back) {
		return;
	}
	d->state->back = false;
	for (uint32_t i = 0; i < d->plan->step_count; i++) {
		bus_saga_step_status status = d->state->steps[i].status;
		if (status == BUS_STEP_FAILED || status == BUS_STEP_UNKNOWN) {
			move(d, i, BUS_STEP_ON_PIVOT);
		}
	}
}

static const bus_saga_transition *
move(decision *d, uint32_t n, bus_saga_step_input input)
{
	bus_saga_step_state *step = &d->state->steps[n];
	const bus_saga_transition *row = find_row(d, n, input);
	if (row == NULL || row->rule != BUS_RULE_MOVE) {
		return row;
	}
	bool forward = step->status == BUS_STEP_RUNNING ||
		       step->status == BUS_STEP_PAUSED || step->status == BUS_STEP_STUCK;
	step->status = row->next;
	take_effect(d, n, row->effect);
	if (forward && d->plan->steps[n].pivot &&
	    (row->next == BUS_STEP_DONE || row->next == BUS_STEP_SKIPPED)) {
		pass_pivot(d);
	}
	return row;
}

/* ---- the saga ---- */

bool
bus_saga_step_needs_undo(const bus_saga_plan_step *plan, const bus_saga_step_state *step)
{
	return plan->compensated &&
	       (step->status == BUS_STEP_DONE || step->status == BUS_STEP_UNKNOWN ||
		step->status == BUS_STEP_SKIPPED);
}

/* How many steps are in one of these. */
static uint32_t
count_in(const decision *d, uint32_t statuses)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < d->plan->step_count; i++) {
		count += statuses >> d->state->steps[i].status & 1;
	}
	return count;
}

#define IN(symbol) (1u << BUS_STEP_##symbol)
#define FORWARD_OPEN (IN(RUNNING) | IN(PAUSED))
#define UNDO_OPEN (IN(UNDOING) | IN(UNDO_PAUSED))

static bool
is_in(const bus_saga_step_state *step, uint32_t statuses)
{
	return statuses >> step->status & 1;
}

int32_t
bus_saga_stage(const bus_saga_plan *plan, const bus_saga_state *state)
{
	int32_t stage = state->back ? -1 : plan->stage_count;
	for (uint32_t i = 0; i < plan->step_count; i++) {
		const bus_saga_step_state *step = &state->steps[i];
		int32_t its = plan->steps[i].stage;
		if (state->back) {
			bool open = is_in(step, FORWARD_OPEN | UNDO_OPEN | IN(STUCK) |
							IN(UNDO_STUCK)) ||
				    bus_saga_step_needs_undo(&plan->steps[i], step);
			stage = open && its > stage ? its : stage;
		} else {
			bool over = is_in(step, IN(DONE) | IN(SKIPPED));
			stage = !over && its < stage ? its : stage;
		}
	}
	return stage;
}

static void
go_back(decision *d)
{
	for (uint32_t i = 0; i < d->plan->step_count; i++) {
		if (d->state->steps[i].status == BUS_STEP_PAUSED) {
			move(d, i, BUS_STEP_ON_STOP);
		}
	}
	if (count_in(d, IN(RUNNING) | IN(STUCK)) > 0) {
		return; /* the stage has not settled */
	}
	int32_t stage = bus_saga_stage(d->plan, d->state);
	for (uint32_t i = 0; i < d->plan->step_count; i++) {
		const bus_saga_plan_step *plan = &d->plan->steps[i];
		if (plan->stage == stage &&
		    bus_saga_step_needs_undo(plan, &d->state->steps[i])) {
			move(d, i, BUS_STEP_ON_UNDO);
		}
	}
}

static void
go_forward(decision *d)
{
	int32_t stage = bus_saga_stage(d->plan, d->state);
	for (uint32_t i = 0; i < d->plan->step_count; i++) {
		if (d->plan->steps[i].stage == stage &&
		    d->state->steps[i].status == BUS_STEP_IDLE) {
			move(d, i, BUS_STEP_ON_START);
		}
	}
}

static bus_saga_status
status_of(const decision *d)
{
	if (count_in(d, IN(STUCK) | IN(UNDO_STUCK)) > 0) {
		return BUS_SAGA_PARKED;
	}
	if (d->state->back) {
		bool open = count_in(d, FORWARD_OPEN | UNDO_OPEN) > 0;
		return open ? BUS_SAGA_COMPENSATING : BUS_SAGA_COMPENSATED;
	}
	return count_in(d, IN(DONE) | IN(SKIPPED)) == d->plan->step_count ?
		       BUS_SAGA_COMPLETED :
		       BUS_SAGA_RUNNING;
}

/* What the saga does by itself now that a step has changed. */
static void
advance(decision *d)
{
	bus_saga_status before = d->state->status;
	if (count_in(d, IN(FAILED) | IN(UNKNOWN)) > 0) {
		d->state->back = true;
	}
	if (d->state->back) {
		go_back(d);
	} else {
		go_forward(d);
	}
	d->state->status = status_of(d);
	if (before == BUS_SAGA_PARKED && d->state->status != BUS_SAGA_PARKED) {
		command(d, BUS_SAGA_UNPARK, 0, BUS_LANE_DO, 0, 0);
	}
	if (!bus_saga_is_final(before) && bus_saga_is_final(d->state->status)) {
		command(d, BUS_SAGA_FINISH, 0, BUS_LANE_DO, 0, 0);
	}
}

/* ---- what comes from outside ---- */

static void
answer(decision *d, bus_saga_outcome outcome, const char *why)
{
	d->out->outcome = outcome;
	d->out->why = why;
}

/* Why an input about a step says nothing new; NULL: it does, and its attempt is marked. */
static const char *
check_attempt(decision *d)
{
	bus_saga_step_state *step = &d->state->steps[d->input->step];
	const bus_saga_lane_state *onward = &step->lanes[BUS_LANE_DO];
	const bus_saga_lane_state *undo = &step->lanes[BUS_LANE_UNDO];
	int32_t attempt = d->input->attempt;
	switch (d->input->step_input) {
	case BUS_STEP_ON_SUCCESS:
	case BUS_STEP_ON_FAILURE:
		if (attempt < 1 || attempt > onward->attempts) {
			return "no such attempt was made";
		}
		if (d->input->step_input == BUS_STEP_ON_FAILURE) {
			if (!is_kept(onward, attempt) ||
			    !(step->unanswered & bit_of(attempt))) {
				return "this attempt has answered before";
			}
		} else if (is_kept(onward, attempt)) {
			if (step->succeeded & bit_of(attempt)) {
				return "this attempt has said so before";
			}
			step->succeeded |= bit_of(attempt);
		}
		if (is_kept(onward, attempt)) {
			step->unanswered &= ~bit_of(attempt);
		}
		return NULL;
	case BUS_STEP_ON_DEADLINE:
		return attempt == onward->attempts ? NULL : "a timer of another attempt";
	case BUS_STEP_ON_RETRY:
		return attempt == onward->attempts + 1 ? NULL :
							 "a timer of another attempt";
	case BUS_STEP_ON_UNDO_SUCCESS:
	case BUS_STEP_ON_UNDO_FAILURE:
		if (attempt < 1 || attempt > undo->attempts) {
			return "no such attempt was made";
		}
		return attempt == undo->attempts ?
			       NULL :
			       "only the last attempt of a compensation counts";
	case BUS_STEP_ON_UNDO_DEADLINE:
		return attempt == undo->attempts ? NULL : "a timer of another attempt";
	case BUS_STEP_ON_UNDO_RETRY:
		return attempt == undo->attempts + 1 ? NULL :
						       "a timer of another attempt";
	case BUS_STEP_ON_OP_RETRY:
	case BUS_STEP_ON_OP_SKIP:
		return NULL;
	case BUS_STEP_ON_START:
	case BUS_STEP_ON_STOP:
	case BUS_STEP_ON_PIVOT:
	case BUS_STEP_ON_TURN:
	case BUS_STEP_ON_UNDO:
	case BUS_STEP_INPUT_COUNT:
		break;
	}
	return "it does not come from outside";
}

static void
on_step(decision *d)
{
	if (d->input->step >= d->plan->step_count) {
		answer(d, BUS_SAGA_IGNORED, "there is no such step");
		return;
	}
	const char *nothing = check_attempt(d);
	if (nothing != NULL) {
		answer(d, BUS_SAGA_IGNORED, nothing);
		return;
	}
	const bus_saga_transition *row = move(d, d->input->step, d->input->step_input);
	if (row == NULL) {
		answer(d, BUS_SAGA_IGNORED, "the table has no row for it");
		return;
	}
	switch (row->rule) {
	case BUS_RULE_MOVE:
	case BUS_RULE_NOTE:
		answer(d, BUS_SAGA_MOVED, row->why);
		break;
	case BUS_RULE_IGNORE:
	case BUS_RULE_NEVER:
		answer(d, BUS_SAGA_IGNORED, row->why);
		break;
	case BUS_RULE_REFUSE:
		answer(d, BUS_SAGA_REFUSED, row->why);
		break;
	}
}

static void
on_compensate(decision *d)
{
	if (count_in(d, IN(STUCK)) == 0) {
		answer(d, BUS_SAGA_REFUSED,
		       d->state->back || d->state->status == BUS_SAGA_COMPENSATED ?
			       "the saga goes back already" :
			       "only a saga that is parked on its way forward is sent back; "
			       "a running one is cancelled");
		return;
	}
	d->state->back = true;
	for (uint32_t i = 0; i < d->plan->step_count; i++) {
		if (d->state->steps[i].status == BUS_STEP_STUCK) {
			move(d, i, BUS_STEP_ON_TURN);
		}
	}
	answer(d, BUS_SAGA_MOVED, "goes back");
}

static void
on_cancel(decision *d)
{
	const char *why = NULL;
	switch (d->state->status) {
	case BUS_SAGA_RUNNING:
		why = d->state->pivot_passed ?
			      "its pivot is done: the saga only goes forward" :
			      NULL;
		break;
	case BUS_SAGA_COMPENSATING:
		why = "the saga goes back already";
		break;
	case BUS_SAGA_PARKED:
		why = "the saga is parked: retry, skip or compensate";
		break;
	case BUS_SAGA_COMPLETED:
	case BUS_SAGA_COMPENSATED:
	case BUS_SAGA_STATUS_COUNT:
		why = "the saga has ended";
		break;
	}
	if (why != NULL) {
		answer(d, BUS_SAGA_REFUSED, why);
		return;
	}
	d->state->back = true;
	answer(d, BUS_SAGA_MOVED, "cancelled");
}

void
bus_saga_state_init(const bus_saga_plan *plan, bus_saga_state *ret_state)
{
	*ret_state = (bus_saga_state){ .status = BUS_SAGA_RUNNING };
	for (uint32_t i = 0; i < plan->step_count; i++) {
		ret_state->steps[i].status = BUS_STEP_IDLE;
	}
}

void
bus_saga_decide(const bus_saga_plan *plan, bus_saga_state *state,
		const bus_saga_input *input, bus_saga_decision *ret_decision)
{
	bus_saga_state next = *state;
	decision d = { plan, &next, input, ret_decision };
	ret_decision->command_count = 0;
	ret_decision->rows[0] = ret_decision->rows[1] = 0;
	switch (input->kind) {
	case BUS_SAGA_BEGINS:
		answer(&d, BUS_SAGA_MOVED, "begins");
		break;
	case BUS_SAGA_STEP:
		on_step(&d);
		break;
	case BUS_SAGA_COMPENSATE:
		on_compensate(&d);
		break;
	case BUS_SAGA_CANCEL:
		on_cancel(&d);
		break;
	}
	if (ret_decision->outcome != BUS_SAGA_MOVED) {
		return;
	}
	advance(&d);
	*state = next;
}

/* ---- names ---- */

static const char *const status_names[] = { "running", "compensating", "parked",
					    "completed", "compensated" };

const char *
bus_saga_status_name(bus_saga_status status)
{
	return status_names[status];
}

bus_saga_status
bus_saga_status_of(bus_str name)
{
	int status = 0;
	while (status < BUS_SAGA_STATUS_COUNT && !bus_str_is(name, status_names[status])) {
		status++;
	}
	return (bus_saga_status)status;
}
