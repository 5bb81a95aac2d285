/*
 * saga_model.c - a saga and the world around it, and every history of both
 *
 * DESIGN
 * A node is a saga's state and the world around it: messages under way, timers, what has had an
 * effect. From each node every move is tried: an answer arrives, a timer fires, an operator acts,
 * a fault happens. A message that is never delivered is a lost one, so a history may end wherever
 * no timer is left. Nodes are remembered: a node reached twice is explored once, and the number
 * of histories is counted over the graph.
 *
 * An action has its effect when its answer is delivered, or silently, its answer lost. An action
 * that arrives after its compensation was carried out has no silent effect: that is for the
 * barrier of whoever acts. A compensation is carried out, and answers later or never.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/suite.h"
#include "tests/unit/saga_model.h"

#define STEPS BUS_MODEL_STEPS
#define ATTEMPTS_MAX 8
#define UNDO_ATTEMPTS_MAX 12

enum { MESSAGE_NONE, MESSAGE_OUT, MESSAGE_ACTED, MESSAGE_SUCCEEDED, MESSAGE_FAILED };
enum { TIMER_NONE, TIMER_DEADLINE, TIMER_RETRY };

/* Bytes only: nodes are compared and hashed as they lie in memory. */
typedef struct timer {
	uint8_t kind, lane, attempt;
} timer;

typedef struct node_step {
	/* the saga's */
	uint8_t status;
	uint8_t attempts[2], limit[2];
	uint8_t unanswered, succeeded;
	/* the world's */
	uint8_t actions[ATTEMPTS_MAX];
	uint8_t undos[UNDO_ATTEMPTS_MAX];
	uint8_t allowed[2]; /* attempts that all budgets so far come to */
	uint8_t effect;     /* it is there */
	uint8_t undone_ever;
	uint8_t by_word; /* a person has said that it is taken back */
	timer timer, dropped;
} node_step;

typedef struct node {
	node_step steps[STEPS];
	uint8_t status, back, pivot_passed;
	uint8_t faults, acts, late; /* left */
	uint8_t pivot_done, sent_back;
	uint8_t incident, completed, compensated;
} node;

static struct {
	const bus_model *model;
	node *nodes; /* open addressing */
	double *histories;
	uint8_t *used;
	size_t cap, count;
	uint64_t moves;
	uint64_t rows[2];
	const bus_saga_input *input; /* that is being answered */
	size_t wrong;
} run;

/* ---- states to and fro ---- */

static void
unpack(const node *n, bus_saga_state *state)
{
	memset(state, 0, sizeof(*state));
	state->status = (bus_saga_status)n->status;
	state->back = n->back;
	state->pivot_passed = n->pivot_passed;
	for (size_t i = 0; i < STEPS; i++) {
		const node_step *from = &n->steps[i];
		bus_saga_step_state *to = &state->steps[i];
		to->status = (bus_saga_step_status)from->status;
		for (size_t lane = 0; lane < 2; lane++) {
			to->lanes[lane].attempts = from->attempts[lane];
			to->lanes[lane].limit = from->limit[lane];
		}
		to->unanswered = from->unanswered;
		to->succeeded = from->succeeded;
	}
}

static void
pack(const bus_saga_state *state, node *n)
{
	n->status = (uint8_t)state->status;
	n->back = state->back;
	n->pivot_passed = state->pivot_passed;
	for (size_t i = 0; i < STEPS; i++) {
		const bus_saga_step_state *from = &state->steps[i];
		node_step *to = &n->steps[i];
		to->status = (uint8_t)from->status;
		for (size_t lane = 0; lane < 2; lane++) {
			to->attempts[lane] = (uint8_t)from->lanes[lane].attempts;
			to->limit[lane] = (uint8_t)from->lanes[lane].limit;
		}
		to->unanswered = (uint8_t)from->unanswered;
		to->succeeded = (uint8_t)from->succeeded;
	}
}

/* ---- what must hold ---- */

static void
print_node(const node *n)
{
	printf("    saga %s%s%s\n", bus_saga_status_name((bus_saga_status)n->status),
	       n->back ? ", back" : "", n->pivot_passed ? ", past its pivot" : "");
	for (size_t i = 0; i < STEPS; i++) {
		const node_step *s = &n->steps[i];
		printf("    step %zu %-11s attempts %d/%d undo %d/%d unanswered %x effect %d "
		       "timer %d/%d/%d\n",
		       i, bus_saga_step_status_name((bus_saga_step_status)s->status),
		       s->attempts[0], s->limit[0], s->attempts[1], s->limit[1],
		       s->unanswered, s->effect, s->timer.kind, s->timer.lane,
		       s->timer.attempt);
	}
}

static void
must(bool holds, const char *what, const node *n)
{
	if (holds) {
		return;
	}
	if (run.wrong++ < 3) {
		printf("\n  %s: %s\n", run.model->name, what);
		print_node(n);
	}
}

static bool
in(const node_step *s, uint32_t statuses)
{
	return statuses >> s->status & 1;
}

#define IN(symbol) (1u << BUS_STEP_##symbol)
#define TAKING_BACK (IN(UNDOING) | IN(UNDO_PAUSED) | IN(UNDO_STUCK))
#define WAITING (IN(RUNNING) | IN(PAUSED) | IN(UNDOING) | IN(UNDO_PAUSED))
#define EFFECTIVE (IN(DONE) | IN(UNKNOWN) | IN(SKIPPED))

/* Going on with a compensation that has begun is not beginning one. */
static bool
goes_on(size_t step)
{
	const bus_saga_input *input = run.input;
	return input->kind == BUS_SAGA_STEP && input->step == step &&
	       (input->step_input == BUS_STEP_ON_UNDO_RETRY ||
		input->step_input == BUS_STEP_ON_OP_RETRY);
}

static void
check_undo(const node *n, size_t step)
{
	const bus_saga_plan_step *plan = run.model->plan.steps;
	must(plan[step].compensated, "a compensation that there is not", n);
	must(n->steps[step].attempts[0] > 0, "compensates what was never begun", n);
	must(!n->pivot_done || n->sent_back,
	     "compensates after the pivot, without an operator", n);
	for (size_t i = 0; i < STEPS; i++) {
		const node_step *other = &n->steps[i];
		must(!in(other, IN(RUNNING) | IN(PAUSED) | IN(STUCK)),
		     "compensates before its stage has settled", n);
		must(goes_on(step) || plan[i].stage <= plan[step].stage ||
			     !plan[i].compensated || !in(other, EFFECTIVE | TAKING_BACK),
		     "compensates before a later stage is taken back", n);
	}
}

static void
check_send(const node *n, size_t step)
{
	const bus_saga_plan_step *plan = run.model->plan.steps;
	for (size_t i = 0; i < STEPS; i++) {
		must(plan[i].stage >= plan[step].stage ||
			     in(&n->steps[i], IN(DONE) | IN(SKIPPED)),
		     "acts before the stage below is done", n);
	}
}

static void
check_end(node *n)
{
	const bus_saga_plan_step *plan = run.model->plan.steps;
	bool completed = n->status == BUS_SAGA_COMPLETED;
	must(completed || n->status == BUS_SAGA_COMPENSATED, "ends in no final state", n);
	n->completed |= completed;
	n->compensated |= !completed;
	must(!(n->completed && n->compensated), "is both completed and compensated", n);
	must(completed || !n->pivot_done || n->sent_back,
	     "is compensated after its pivot, without an operator", n);
	for (size_t i = 0; i < STEPS; i++) {
		const node_step *s = &n->steps[i];
		if (completed) {
			must(in(s, IN(DONE) | IN(SKIPPED)),
			     "is completed with a step undone", n);
			must(!in(s, IN(DONE)) || s->effect,
			     "is completed without an effect", n);
		} else if (plan[i].compensated) {
			must(in(s, IN(IDLE) | IN(FAILED) | IN(UNDONE)),
			     "is compensated with a step that is not", n);
			must(!s->effect || s->by_word,
			     "is compensated with an effect left", n);
		} else {
			must(!in(s, WAITING | IN(STUCK)),
			     "is compensated with a step open", n);
		}
	}
}

/* Of every node. */
static void
check_node(const node *n)
{
	size_t timers = 0;
	bool stuck = false;
	for (size_t i = 0; i < STEPS; i++) {
		const node_step *s = &n->steps[i];
		timers += s->timer.kind != TIMER_NONE;
		stuck |= in(s, IN(STUCK) | IN(UNDO_STUCK));
		must((s->timer.kind != TIMER_NONE) == in(s, WAITING),
		     "a step waits without a timer, or has one for nothing", n);
		must(!run.model->plan.steps[i].pivot || !in(s, IN(UNKNOWN)) ||
			     n->sent_back,
		     "a pivot that may have had its effect is taken for any step", n);
		must(s->attempts[0] <= s->allowed[0] && s->attempts[1] <= s->allowed[1],
		     "more attempts than its budget", n);
	}
	bool parked = n->status == BUS_SAGA_PARKED;
	bool final = bus_saga_is_final((bus_saga_status)n->status);
	must(timers > 0 || parked || final, "nothing is pending and it has not ended", n);
	must(!final || timers == 0, "it has ended and something is pending", n);
	must(parked == stuck, "it is parked without a step that is stuck, or the reverse",
	     n);
	must(parked == (n->incident != 0), "parked and the incident differ", n);
	must(!n->pivot_done || n->sent_back || n->status == BUS_SAGA_RUNNING || parked ||
		     n->status == BUS_SAGA_COMPLETED,
	     "goes back after its pivot, without an operator", n);
}

/* ---- what the saga does to the world ---- */

static void
carry_out(node *n, const bus_saga_command *c)
{
	node_step *s = &n->steps[c->step];
	timer wanted = { .lane = (uint8_t)c->lane, .attempt = (uint8_t)c->attempt };
	bool undo = c->lane == BUS_LANE_UNDO;
	switch (c->kind) {
	case BUS_SAGA_SEND:
		must(c->attempt == s->attempts[c->lane] && c->delay_ms > 0,
		     "sends another attempt than it counts", n);
		must(c->attempt <= (undo ? UNDO_ATTEMPTS_MAX : ATTEMPTS_MAX),
		     "more attempts than a model has room for", n);
		must(s->timer.kind == TIMER_NONE, "two timers of one step", n);
		*(undo ? &s->undos[c->attempt - 1] : &s->actions[c->attempt - 1]) =
			MESSAGE_OUT;
		wanted.kind = TIMER_DEADLINE;
		s->timer = wanted;
		if (undo) {
			check_undo(n, c->step);
		} else {
			check_send(n, c->step);
		}
		break;
	case BUS_SAGA_RETRY_SET:
		must(s->timer.kind == TIMER_NONE, "two timers of one step", n);
		wanted.kind = TIMER_RETRY;
		s->timer = wanted;
		break;
	case BUS_SAGA_DEADLINE_CANCEL:
	case BUS_SAGA_RETRY_CANCEL:
		wanted.kind =
			c->kind == BUS_SAGA_RETRY_CANCEL ? TIMER_RETRY : TIMER_DEADLINE;
		must(memcmp(&wanted, &s->timer, sizeof(timer)) == 0,
		     "cancels a timer that is not set", n);
		s->dropped = s->timer;
		memset(&s->timer, 0, sizeof(timer));
		break;
	case BUS_SAGA_PARK:
		must(in(s, IN(STUCK) | IN(UNDO_STUCK)),
		     "parks for a step that is not stuck", n);
		n->incident = 1;
		break;
	case BUS_SAGA_UNPARK:
		n->incident = 0;
		break;
	case BUS_SAGA_FINISH:
		check_end(n);
		break;
	}
}

static double explore(const node *n);

/* An input, already taken out of the world. Returns the histories from there. */
static double
feed(const node *before, const node *after, const bus_saga_input *input, bool *ret_moved)
{
	node n = *after;
	bus_saga_state state;
	bus_saga_decision decision;
	size_t counted;
	const bus_saga_transition *rows = bus_saga_transitions(&counted);
	unpack(&n, &state);
	run.input = input;
	bus_saga_decide(&run.model->plan, &state, input, &decision);
	run.moves++;
	for (size_t i = 0; i < counted; i++) {
		if (decision.rows[i / 64] >> i % 64 & 1) {
			must(rows[i].rule != BUS_RULE_NEVER, rows[i].why, before);
			run.rows[i / 64] |= UINT64_C(1) << i % 64;
		}
	}
	pack(&state, &n);
	*ret_moved = decision.outcome == BUS_SAGA_MOVED;
	if (!*ret_moved) {
		must(decision.command_count == 0 && state.status == before->status,
		     "an input that is refused has an effect", before);
		return memcmp(&n, before, sizeof(n)) == 0 ? 0 : explore(&n);
	}
	for (size_t i = 0; run.wrong == 0 && i < decision.command_count; i++) {
		carry_out(&n, &decision.commands[i]);
	}
	return explore(&n);
}

/* ---- the moves ---- */

static bus_saga_input
about(size_t step, bus_saga_step_input what, int attempt)
{
	return (bus_saga_input){
		.kind = BUS_SAGA_STEP,
		.step_input = what,
		.step = (uint32_t)step,
		.attempt = (int32_t)attempt,
	};
}

static double
say(const node *before, const node *after, size_t step, bus_saga_step_input what,
    int attempt)
{
	bus_saga_input input = about(step, what, attempt);
	bool moved;
	return feed(before, after, &input, &moved);
}

/* A success takes effect and gives its compensation a new budget if that was begun. */
static double
succeed(const node *before, node after, size_t step, int attempt)
{
	node_step *s = &after.steps[step];
	const bus_saga_plan_step *plan = &run.model->plan.steps[step];
	s->actions[attempt - 1] = MESSAGE_SUCCEEDED;
	s->effect = 1;
	s->by_word = 0;
	if (in(s, TAKING_BACK | IN(UNDONE)) && !(s->succeeded >> (attempt - 1) & 1)) {
		s->allowed[1] = (uint8_t)(s->allowed[1] + plan->lanes[1].attempts);
	}
	after.pivot_done |= plan->pivot && in(s, IN(RUNNING) | IN(PAUSED) | IN(STUCK));
	return say(before, &after, step, BUS_STEP_ON_SUCCESS, attempt);
}

/* The attempt that the step waits for. */
static bool
is_open(const node_step *s, size_t lane, int attempt)
{
	return attempt == s->attempts[lane] &&
	       in(s, lane == 0 ? IN(RUNNING) : IN(UNDOING));
}

static double
move_action(const node *origin, size_t step, int attempt)
{
	double histories = 0;
	const node_step *s = &origin->steps[step];
	uint8_t message = s->actions[attempt - 1];
	node paid = *origin, after;
	const node *n = &paid;
	if ((message == MESSAGE_OUT || message == MESSAGE_ACTED) &&
	    !is_open(s, 0, attempt)) {
		if (origin->late == 0) {
			return 0;
		}
		paid.late--;
	}
	after = *n;
	if (message == MESSAGE_OUT || message == MESSAGE_ACTED) {
		histories += succeed(n, after, step, attempt);
	}
	if (message == MESSAGE_OUT) {
		after.steps[step].actions[attempt - 1] = MESSAGE_FAILED;
		histories += say(n, &after, step, BUS_STEP_ON_FAILURE, attempt);
	}
	if (n->faults == 0) {
		return histories;
	}
	after = *n;
	after.faults--;
	if (message == MESSAGE_OUT && !n->steps[step].undone_ever) {
		after.steps[step].actions[attempt - 1] = MESSAGE_ACTED;
		after.steps[step].effect = 1;
		histories += explore(&after);
	} else if (message == MESSAGE_SUCCEEDED) { /* said twice */
		histories += say(n, &after, step, BUS_STEP_ON_SUCCESS, attempt);
	} else if (message == MESSAGE_FAILED) {
		histories += say(n, &after, step, BUS_STEP_ON_FAILURE, attempt);
		histories += succeed(n, after, step, attempt); /* and taken back */
	}
	return histories;
}

static double
move_undo(const node *origin, size_t step, int attempt)
{
	double histories = 0;
	uint8_t message = origin->steps[step].undos[attempt - 1];
	node paid = *origin, after;
	const node *n = &paid;
	if ((message == MESSAGE_OUT || message == MESSAGE_ACTED) &&
	    !is_open(&origin->steps[step], 1, attempt)) {
		if (origin->late == 0) {
			return 0;
		}
		paid.late--;
	}
	after = *n;
	node_step *s = &after.steps[step];
	if (message == MESSAGE_OUT) {
		s->undos[attempt - 1] = MESSAGE_ACTED;
		s->effect = 0;
		s->undone_ever = 1;
		histories += explore(&after);
		after = *n;
		s->undos[attempt - 1] = MESSAGE_FAILED;
		histories += say(n, &after, step, BUS_STEP_ON_UNDO_FAILURE, attempt);
	} else if (message == MESSAGE_ACTED) {
		s->undos[attempt - 1] = MESSAGE_SUCCEEDED;
		histories += say(n, &after, step, BUS_STEP_ON_UNDO_SUCCESS, attempt);
	} else if (n->faults > 0 && message != MESSAGE_NONE) { /* said twice */
		after.faults--;
		histories += say(n, &after, step,
				 message == MESSAGE_FAILED ? BUS_STEP_ON_UNDO_FAILURE :
							     BUS_STEP_ON_UNDO_SUCCESS,
				 attempt);
	}
	return histories;
}

static double
fire(const node *n, const node *after, size_t step, const timer *t)
{
	static const bus_saga_step_input inputs[2][3] = {
		{ 0, BUS_STEP_ON_DEADLINE, BUS_STEP_ON_RETRY },
		{ 0, BUS_STEP_ON_UNDO_DEADLINE, BUS_STEP_ON_UNDO_RETRY },
	};
	return say(n, after, step, inputs[t->lane][t->kind], t->attempt);
}

static double
move_timers(const node *n, size_t step)
{
	const node_step *s = &n->steps[step];
	double histories = 0;
	node after = *n;
	if (s->timer.kind != TIMER_NONE) {
		memset(&after.steps[step].timer, 0, sizeof(timer));
		histories += fire(n, &after, step, &s->timer);
	}
	if (s->dropped.kind != TIMER_NONE && n->faults > 0) { /* cancelled too late */
		after = *n;
		after.faults--;
		memset(&after.steps[step].dropped, 0, sizeof(timer));
		histories += fire(n, &after, step, &s->dropped);
	}
	return histories;
}

static double
move_operator_step(const node *n, size_t step, bus_saga_step_input what)
{
	node after = *n;
	node_step *s = &after.steps[step];
	const bus_saga_plan_step *plan = &run.model->plan.steps[step];
	bool moved, retry = what == BUS_STEP_ON_OP_RETRY;
	if (in(s, IN(STUCK) | IN(UNDO_STUCK))) {
		after.acts--;
		size_t lane = in(s, IN(UNDO_STUCK));
		if (retry) {
			s->allowed[lane] =
				(uint8_t)(s->allowed[lane] + plan->lanes[lane].attempts);
		}
		s->by_word |= !retry && lane == 1;
		after.pivot_done |= plan->pivot && !retry && lane == 0;
	}
	bus_saga_input input = about(step, what, 0);
	return feed(n, &after, &input, &moved);
}

static double
move_operator(const node *n)
{
	double histories = 0;
	bool moved;
	for (size_t step = 0; step < STEPS; step++) {
		histories += move_operator_step(n, step, BUS_STEP_ON_OP_RETRY);
		histories += move_operator_step(n, step, BUS_STEP_ON_OP_SKIP);
	}
	node after = *n;
	bool parked = n->status == BUS_SAGA_PARKED;
	after.acts = (uint8_t)(after.acts - (n->status == BUS_SAGA_RUNNING));
	histories +=
		feed(n, &after, &(bus_saga_input){ .kind = BUS_SAGA_CANCEL }, &moved);
	must(!moved || (n->status == BUS_SAGA_RUNNING && !n->pivot_done),
	     "a saga is cancelled that must not be", n);
	bool stuck = false;
	for (size_t i = 0; i < STEPS; i++) {
		stuck |= in(&n->steps[i], IN(STUCK));
	}
	after = *n;
	if (stuck) {
		after.acts--;
		after.sent_back = 1;
	}
	histories +=
		feed(n, &after, &(bus_saga_input){ .kind = BUS_SAGA_COMPENSATE }, &moved);
	must(moved == (parked && stuck), "compensate is for sagas parked on their way", n);
	return histories;
}

/* ---- all of them ---- */

static uint64_t
hash_node(const node *n)
{
	const unsigned char *bytes = (const unsigned char *)n;
	uint64_t hash = UINT64_C(0x9e3779b97f4a7c15);
	size_t i = 0;
	for (; i + 8 <= sizeof(*n); i += 8) {
		uint64_t word;
		memcpy(&word, bytes + i, 8);
		hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
		hash ^= hash >> 32;
	}
	for (; i < sizeof(*n); i++) {
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	}
	return hash ^ hash >> 29;
}

static size_t
slot_of(const node *n)
{
	size_t slot = hash_node(n) & (run.cap - 1);
	while (run.used[slot] && memcmp(&run.nodes[slot], n, sizeof(*n)) != 0) {
		slot = (slot + 1) & (run.cap - 1);
	}
	return slot;
}

static void
make_table(size_t cap)
{
	run.cap = cap;
	run.nodes = calloc(cap, sizeof(*run.nodes));
	run.histories = calloc(cap, sizeof(*run.histories));
	run.used = calloc(cap, 1);
	if (run.nodes == NULL || run.histories == NULL || run.used == NULL) {
		abort();
	}
}

static void
free_table(void)
{
	free(run.nodes);
	free(run.histories);
	free(run.used);
}

static void
grow(void)
{
	node *nodes = run.nodes;
	double *histories = run.histories;
	uint8_t *used = run.used;
	size_t cap = run.cap;
	make_table(cap * 2);
	for (size_t i = 0; i < cap; i++) {
		if (used[i]) {
			size_t slot = slot_of(&nodes[i]);
			run.nodes[slot] = nodes[i];
			run.histories[slot] = histories[i];
			run.used[slot] = 1;
		}
	}
	free(nodes);
	free(histories);
	free(used);
}

static double
explore_moves(const node *n)
{
	bool quiet = true;
	double histories = 0;
	for (size_t step = 0; step < STEPS; step++) {
		const node_step *s = &n->steps[step];
		quiet &= s->timer.kind == TIMER_NONE;
		for (int attempt = 1; attempt <= s->attempts[0]; attempt++) {
			histories += move_action(n, step, attempt);
		}
		for (int attempt = 1; attempt <= s->attempts[1]; attempt++) {
			histories += move_undo(n, step, attempt);
		}
		histories += move_timers(n, step);
	}
	if (n->acts > 0) {
		histories += move_operator(n);
	}
	return histories + (quiet ? 1 : 0);
}

/* Is a message still good for a move? */
static bool
is_alive(const node *n, const node_step *s, size_t lane, int attempt, uint8_t message)
{
	if (message == MESSAGE_OUT || message == MESSAGE_ACTED) {
		return n->late > 0 || is_open(s, lane, attempt);
	}
	return n->faults > 0;
}

/* What no move can use any more is the same as nothing. */
static node
without_traces(const node *n)
{
	node plain = *n;
	for (size_t i = 0; i < STEPS; i++) {
		node_step *s = &plain.steps[i];
		if (n->faults == 0) {
			memset(&s->dropped, 0, sizeof(timer));
			s->undone_ever = 0;
		}
		for (int a = 0; a < ATTEMPTS_MAX; a++) {
			if (!is_alive(n, s, 0, a + 1, s->actions[a])) {
				s->actions[a] = MESSAGE_NONE;
			}
		}
		for (int a = 0; a < UNDO_ATTEMPTS_MAX; a++) {
			if (!is_alive(n, s, 1, a + 1, s->undos[a])) {
				s->undos[a] = MESSAGE_NONE;
			}
		}
	}
	return plain;
}

static double
explore(const node *reached)
{
	const node plain = without_traces(reached), *n = &plain;
	size_t slot = slot_of(n);
	if (run.used[slot]) {
		return run.histories[slot];
	}
	check_node(n);
	double histories = run.wrong > 0 ? 0 : explore_moves(n);
	if (run.count * 2 >= run.cap) {
		grow();
	}
	slot = slot_of(n);
	run.used[slot] = 1;
	run.nodes[slot] = *n;
	run.histories[slot] = histories;
	run.count++;
	return histories;
}

double
bus_model_run(const bus_model *m)
{
	node start;
	memset(&start, 0, sizeof(start));
	run.model = m;
	run.count = 0;
	make_table(1u << 16);
	start.faults = m->faults;
	start.acts = m->acts;
	start.late = m->late;
	for (size_t i = 0; i < STEPS; i++) {
		for (size_t lane = 0; lane < 2; lane++) {
			start.steps[i].allowed[lane] =
				(uint8_t)m->plan.steps[i].lanes[lane].attempts;
		}
	}
	bus_saga_state state;
	bus_saga_state_init(&m->plan, &state);
	pack(&state, &start);
	bool moved;
	double histories = feed(&start, &start,
				&(bus_saga_input){ .kind = BUS_SAGA_BEGINS }, &moved);
	CU_ASSERT(moved);
	free_table();
	return histories;
}

bus_model_totals
bus_model_so_far(void)
{
	return (bus_model_totals){
		.nodes = run.count,
		.moves = run.moves,
		.rows = { run.rows[0], run.rows[1] },
		.wrong = run.wrong,
	};
}
