/*
 * decide.h - what a saga does next: (plan, state, input) -> state', commands
 *
 * Pure: no clock, no I/O, no allocation, no names; steps and attempts are numbers. The rules of
 * one step are the table of transitions.h; this adds what steps have to do with each other.
 *
 * DESIGN
 * A saga goes forward stage by stage. When a step of a stage has failed for good, the stage
 * settles (what is open is waited for, nothing is tried again) and the saga goes back: of all
 * steps that may have had an effect, those of the highest stage are taken back, all at once;
 * when none of that stage is left, the next one below. So a late effect is taken back
 * whenever it is known, and before anything below it that is not yet begun. Once the pivot is
 * done the saga only goes forward: what fails for good is parked for a person.
 *
 * No answer is trusted to come: each attempt has a deadline, each wait a timer. An attempt
 * that did not answer may have had its effect, so its step counts as uncertain until it does.
 */
#ifndef BUS_SAGA_DECIDE_H
#define BUS_SAGA_DECIDE_H

#include "schemas/saga.h"
#include "workers/saga/transitions.h"

typedef enum bus_saga_lane { BUS_LANE_DO, BUS_LANE_UNDO } bus_saga_lane;

typedef enum bus_saga_status {
	BUS_SAGA_RUNNING,
	BUS_SAGA_COMPENSATING,
	BUS_SAGA_PARKED, /* a step waits for a person; what is open goes on */
	BUS_SAGA_COMPLETED,
	BUS_SAGA_COMPENSATED,
	BUS_SAGA_STATUS_COUNT,
} bus_saga_status;

/* ---- what was planned ---- */

typedef struct bus_saga_budget {
	int32_t attempts; /* >= 1 */
	int64_t deadline_ms;
	int64_t delay_ms; /* before the second attempt; doubles up to delay_max_ms */
	int64_t delay_max_ms;
} bus_saga_budget;

typedef struct bus_saga_plan_step {
	int32_t stage;
	bool pivot;
	bool compensated;
	bus_saga_budget lanes[2]; /* by bus_saga_lane */
} bus_saga_plan_step;

typedef struct bus_saga_plan {
	int32_t stage_count;
	uint32_t step_count;
	bus_saga_plan_step steps[BUS_SAGA_STEPS_MAX];
} bus_saga_plan;

/* ---- where it is ---- */

/* Attempts are numbered from 1 and never again. A set of them holds the last so many by their
 * number modulo this, and one bit for "an older one, nobody knows". */
#define BUS_SAGA_ATTEMPTS_KEPT 62

typedef struct bus_saga_lane_state {
	int32_t attempts; /* made: the number of the last one */
	int32_t limit;    /* up to which number it may try by itself */
} bus_saga_lane_state;

typedef struct bus_saga_step_state {
	bus_saga_step_status status;
	bus_saga_lane_state lanes[2]; /* by bus_saga_lane */
	uint64_t unanswered; /* attempts of the action that may have had an effect */
	uint64_t succeeded;  /* attempts of the action that said so */
} bus_saga_step_state;

typedef struct bus_saga_state {
	bus_saga_status status;
	bool back; /* goes back, or will when its stage has settled */
	bool pivot_passed;
	bus_saga_step_state steps[BUS_SAGA_STEPS_MAX];
} bus_saga_state;

/* ---- what happens ---- */

typedef enum bus_saga_input_kind {
	BUS_SAGA_BEGINS,
	BUS_SAGA_STEP, /* an answer, a timer, an operator about one step: `step_input` */
	BUS_SAGA_COMPENSATE, /* an operator: a parked saga goes back, also past its pivot */
	BUS_SAGA_CANCEL,     /* an operator: a running saga goes back */
} bus_saga_input_kind;

typedef struct bus_saga_input {
	bus_saga_input_kind kind;
	bus_saga_step_input step_input; /* one of those that come from outside */
	uint32_t step;
	int32_t attempt; /* of answers and timers; a retry timer names the attempt to come */
	bool hopeless; /* a failure that another attempt cannot mend */
} bus_saga_input;

/* ---- what is to be done ---- */

typedef enum bus_saga_command_kind {
	BUS_SAGA_SEND, /* the lane's event as this attempt, with a deadline of delay_ms */
	BUS_SAGA_RETRY_SET,       /* a timer for this attempt, in delay_ms */
	BUS_SAGA_DEADLINE_CANCEL, /* the timer of this attempt */
	BUS_SAGA_RETRY_CANCEL,
	BUS_SAGA_PARK,   /* the step waits for a person: fact and incident */
	BUS_SAGA_UNPARK, /* nothing waits for a person any more */
	BUS_SAGA_FINISH, /* the saga has come to its status, COMPLETED or COMPENSATED */
} bus_saga_command_kind;

typedef struct bus_saga_command {
	bus_saga_command_kind kind;
	uint32_t step;
	bus_saga_lane lane;
	int32_t attempt;
	int64_t delay_ms;
} bus_saga_command;

/* A step does at most: cancel, park, send; and the saga two more. */
#define BUS_SAGA_COMMANDS_MAX (3 * BUS_SAGA_STEPS_MAX + 2)

typedef enum bus_saga_outcome {
	BUS_SAGA_MOVED,   /* the state is another; do the commands */
	BUS_SAGA_IGNORED, /* nothing has changed: why */
	BUS_SAGA_REFUSED, /* an operator asks for what cannot be: why */
} bus_saga_outcome;

typedef struct bus_saga_decision {
	bus_saga_outcome outcome;
	const char *why; /* of the row that answered the input, or of the rule; static */
	bus_saga_command commands[BUS_SAGA_COMMANDS_MAX];
	size_t command_count;
	uint64_t rows[2]; /* of bus_saga_transitions() that were taken, a bit each */
} bus_saga_decision;

/* Everything idle. */
void bus_saga_state_init(const bus_saga_plan *plan, bus_saga_state *ret_state);

/**
 * bus_saga_decide - the next state, and what it takes
 *
 * @state: in and out; changed only if the outcome is MOVED
 * @input: about a step of the plan
 */
void bus_saga_decide(const bus_saga_plan *plan, bus_saga_state *state,
		     const bus_saga_input *input, bus_saga_decision *ret_decision);

/* The stage it is at: forward the first that is not over, going back the highest of which something
 * is open; stage_count and -1 when there is none left. */
int32_t bus_saga_stage(const bus_saga_plan *plan, const bus_saga_state *state);

/* It may have had an effect, and there is a compensation to take it back. */
bool bus_saga_step_needs_undo(const bus_saga_plan_step *plan,
			      const bus_saga_step_state *step);

const char *bus_saga_status_name(bus_saga_status status); /* "running"; static */
/* BUS_SAGA_STATUS_COUNT if it is none. */
bus_saga_status bus_saga_status_of(bus_str name);

static inline bool
bus_saga_is_final(bus_saga_status status)
{
	return status == BUS_SAGA_COMPLETED || status == BUS_SAGA_COMPENSATED;
}

#endif
