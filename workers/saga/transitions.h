/*
 * transitions.h - the states of a step, what can happen to it, and the one table that says what
 * becomes of it
 *
 * The table is complete: every state and every input have rows, those that cannot be included,
 * and the last row of a pair has no guard. tests/unit/test_saga_model.c checks that, and
 * docs/saga-states.md is written from it.
 */
#ifndef BUS_SAGA_TRANSITIONS_H
#define BUS_SAGA_TRANSITIONS_H

#include "core/buf.h"
#include "core/str.h"

/* symbol, name in tables and documents, what it means */
#define BUS_SAGA_STEP_STATUS_LIST(X)                                                     \
	X(IDLE, "idle", "not begun: it has had no effect")                               \
	X(RUNNING, "running", "an attempt is out and has not answered")                  \
	X(PAUSED, "paused", "waits for its next attempt")                                \
	X(DONE, "done", "it has had its effect")                                         \
	X(FAILED, "failed", "every attempt said so: it has had no effect")               \
	X(UNKNOWN, "unknown", "an attempt never answered: it may have had its effect")   \
	X(STUCK, "stuck", "cannot go on and must not go back: waits for a person")       \
	X(SKIPPED, "skipped", "counts as done, by a person's word")                      \
	X(UNDOING, "undoing",                                                            \
	  "an attempt of its compensation is out and has not answered")                  \
	X(UNDO_PAUSED, "undo-paused", "waits for the next attempt of its compensation")  \
	X(UNDONE, "undone", "taken back")                                                \
	X(UNDO_STUCK, "undo-stuck", "could not be taken back: waits for a person")

typedef enum bus_saga_step_status {
#define X(symbol, name, meaning) BUS_STEP_##symbol,
	BUS_SAGA_STEP_STATUS_LIST(X)
#undef X
		BUS_STEP_STATUS_COUNT,
} bus_saga_step_status;

/* symbol, name, whether it comes from outside, what it means */
#define BUS_SAGA_STEP_INPUT_LIST(X)                                                      \
	X(START, "start", false, "its stage begins")                                     \
	X(SUCCESS, "success", true, "an attempt says that it has had its effect")        \
	X(FAILURE, "failure", true, "an attempt says that it has had none")              \
	X(DEADLINE, "deadline", true, "the time of its last attempt is over")            \
	X(RETRY, "retry", true, "it is time for its next attempt")                       \
	X(STOP, "stop", false,                                                           \
	  "another step of its stage has failed, or the saga is cancelled")              \
	X(PIVOT, "pivot", false, "the pivot is done: the saga only goes forward")        \
	X(TURN, "turn", false, "a person sends the saga back")                           \
	X(UNDO, "undo", false, "the saga going back has come to its stage")              \
	X(UNDO_SUCCESS, "undo success", true,                                            \
	  "the last attempt of its compensation is done")                                \
	X(UNDO_FAILURE, "undo failure", true,                                            \
	  "the last attempt of its compensation failed")                                 \
	X(UNDO_DEADLINE, "undo deadline", true, "the time of that attempt is over")      \
	X(UNDO_RETRY, "undo retry", true,                                                \
	  "it is time for the next attempt of its compensation")                         \
	X(OP_RETRY, "operator: retry", true, "a person gives it a new budget")           \
	X(OP_SKIP, "operator: skip", true, "a person says that it is done, or taken back")

typedef enum bus_saga_step_input {
#define X(symbol, name, outside, meaning) BUS_STEP_ON_##symbol,
	BUS_SAGA_STEP_INPUT_LIST(X)
#undef X
		BUS_STEP_INPUT_COUNT,
} bus_saga_step_input;

/* symbol, what it asks */
#define BUS_SAGA_GUARD_LIST(X)                                                           \
	X(NONE, "")                                                                      \
	X(EARLIER, "of an earlier attempt")                                              \
	X(BUDGET, "attempts are left, and its stage goes on")                            \
	X(FORWARD, "the pivot is done, or may be")                                       \
	X(UNCERTAIN, "an attempt never answered")                                        \
	X(CERTAIN, "now every attempt has answered")                                     \
	X(CERTAIN_BACK, "now every attempt has answered, and the pivot is not done")     \
	X(UNDO_BUDGET, "attempts are left")

typedef enum bus_saga_guard {
#define X(symbol, meaning) BUS_GUARD_##symbol,
	BUS_SAGA_GUARD_LIST(X)
#undef X
		BUS_GUARD_COUNT,
} bus_saga_guard;

/* symbol, what the saga does */
#define BUS_SAGA_EFFECT_LIST(X)                                                           \
	X(NONE, "")                                                                       \
	X(SEND, "send the action, set its deadline")                                      \
	X(SEND_GRANTED, "send the action with a new budget, set its deadline")            \
	X(WAIT, "set a timer for the next attempt")                                       \
	X(DROP_WAIT, "cancel the timer of the next attempt")                              \
	X(DROP_DEADLINE, "cancel the deadline")                                           \
	X(DROP_DEADLINE_WAIT, "cancel the deadline, set a timer for the next attempt")    \
	X(DROP_DEADLINE_PARK, "cancel the deadline, park")                                \
	X(DROP_WAIT_PARK, "cancel the timer of the next attempt, park")                   \
	X(PARK, "park")                                                                   \
	X(SEND_UNDO, "send the compensation, set its deadline")                           \
	X(SEND_UNDO_GRANTED, "send the compensation with a new budget, set its deadline") \
	X(WAIT_UNDO, "set a timer for the next attempt")                                  \
	X(DROP_UNDO_WAIT, "cancel the timer of the next attempt")                         \
	X(DROP_UNDO_DEADLINE, "cancel the deadline")                                      \
	X(DROP_UNDO_DEADLINE_WAIT,                                                        \
	  "cancel the deadline, set a timer for the next attempt")                        \
	X(DROP_UNDO_DEADLINE_PARK, "cancel the deadline, park")

typedef enum bus_saga_effect {
#define X(symbol, meaning) BUS_EFFECT_##symbol,
	BUS_SAGA_EFFECT_LIST(X)
#undef X
		BUS_EFFECT_COUNT,
} bus_saga_effect;

typedef enum bus_saga_rule {
	BUS_RULE_MOVE,   /* the step is `next` now */
	BUS_RULE_NOTE,   /* it stays; only what is known of its attempts changes */
	BUS_RULE_IGNORE, /* nothing changes */
	BUS_RULE_REFUSE, /* an operator is told why not */
	BUS_RULE_NEVER,  /* cannot happen; ignored if it does */
} bus_saga_rule;

typedef struct bus_saga_transition {
	uint32_t statuses; /* a bit each: the row holds in all of these */
	bus_saga_step_input input;
	bus_saga_guard guard;
	bus_saga_rule rule;
	bus_saga_step_status next; /* of MOVE */
	bus_saga_effect effect;
	const char *why; /* a sentence's end: "success: ..." */
} bus_saga_transition;

/* In the order in which guards are asked. At most 128 rows. */
const bus_saga_transition *bus_saga_transitions(size_t *ret_count);

const char *bus_saga_step_status_name(bus_saga_step_status status); /* static */
/* BUS_STEP_STATUS_COUNT if it is none. */
bus_saga_step_status bus_saga_step_status_of(bus_str name);
const char *bus_saga_step_input_name(bus_saga_step_input input);
const char *bus_saga_guard_text(bus_saga_guard guard);
const char *bus_saga_effect_text(bus_saga_effect effect);
bool bus_saga_step_input_is_outside(bus_saga_step_input input);

/* docs/saga-states.md: states, inputs, the table as text, the diagram. */
void bus_saga_document(bus_buf *out);

#endif
