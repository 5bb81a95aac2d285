/*
 * transitions.c - the one table of what becomes of a step
 */
#include "workers/saga/transitions.h"

#define IN(symbol) (1u << BUS_STEP_##symbol)
#define ALL ((1u << BUS_STEP_STATUS_COUNT) - 1)
#define BUT(statuses) (ALL & ~(uint32_t)(statuses))

/* The action has been sent at least once, and it is not taken back yet. */
#define BEGUN                                                                            \
	(IN(RUNNING) | IN(PAUSED) | IN(FAILED) | IN(UNKNOWN) | IN(STUCK) | IN(SKIPPED))

#define MOVE(from, input, guard, to, effect, why)                                        \
	{                                                                                \
		from, BUS_STEP_ON_##input, BUS_GUARD_##guard, BUS_RULE_MOVE,             \
			BUS_STEP_##to, BUS_EFFECT_##effect, why                          \
	}
#define STAY(from, input, guard, rule, why)                                              \
	{                                                                                \
		from, BUS_STEP_ON_##input, BUS_GUARD_##guard, BUS_RULE_##rule,           \
			BUS_STEP_IDLE, BUS_EFFECT_NONE, why                              \
	}

static const bus_saga_transition transitions[] = {
	MOVE(IN(IDLE), START, NONE, RUNNING, SEND_GRANTED, "its stage begins"),
	STAY(BUT(IN(IDLE)), START, NONE, NEVER,
	     "a stage begins once, with all steps idle"),

	MOVE(IN(RUNNING), SUCCESS, NONE, DONE, DROP_DEADLINE, "done"),
	MOVE(IN(PAUSED), SUCCESS, NONE, DONE, DROP_WAIT,
	     "late, but before the next attempt"),
	MOVE(IN(STUCK), SUCCESS, NONE, DONE, NONE, "late: nobody has to look any more"),
	MOVE(IN(SKIPPED), SUCCESS, NONE, DONE, NONE, "late: done after all"),
	MOVE(IN(FAILED) | IN(UNKNOWN), SUCCESS, NONE, DONE, NONE,
	     "late: taken back like every step that is done"),
	MOVE(IN(UNDOING), SUCCESS, NONE, DONE, DROP_UNDO_DEADLINE,
	     "late: the compensation that is out may have come before it; taken back again"),
	MOVE(IN(UNDO_PAUSED), SUCCESS, NONE, DONE, DROP_UNDO_WAIT,
	     "late: taken back again, with a new budget"),
	MOVE(IN(UNDONE), SUCCESS, NONE, DONE, NONE, "late: taken back again"),
	MOVE(IN(UNDO_STUCK), SUCCESS, NONE, DONE, NONE,
	     "late: taken back again, with a new budget"),
	STAY(IN(DONE), SUCCESS, NONE, NOTE, "another attempt was done before"),
	STAY(IN(IDLE), SUCCESS, NONE, NEVER, "no attempt was made"),

	STAY(IN(RUNNING), FAILURE, EARLIER, NOTE, "the last attempt is still out"),
	MOVE(IN(RUNNING), FAILURE, BUDGET, PAUSED, DROP_DEADLINE_WAIT,
	     "tried again later"),
	MOVE(IN(RUNNING), FAILURE, FORWARD, STUCK, DROP_DEADLINE_PARK,
	     "the saga must not go back"),
	MOVE(IN(RUNNING), FAILURE, UNCERTAIN, UNKNOWN, DROP_DEADLINE,
	     "not tried again, and an earlier attempt never answered"),
	MOVE(IN(RUNNING), FAILURE, NONE, FAILED, DROP_DEADLINE, "not tried again"),
	STAY(IN(PAUSED), FAILURE, NONE, NOTE, "late: the next attempt is set already"),
	MOVE(IN(UNKNOWN), FAILURE, CERTAIN, FAILED, NONE,
	     "late, but before it was taken back: it has had no effect"),
	STAY(IN(UNKNOWN), FAILURE, NONE, NOTE, "late: another attempt never answered"),
	MOVE(IN(STUCK), FAILURE, CERTAIN_BACK, FAILED, NONE,
	     "late: the pivot has had no effect, so the saga may go back"),
	STAY(IN(STUCK), FAILURE, NONE, NOTE, "late: a person decides"),
	STAY(IN(DONE), FAILURE, NONE, NOTE, "another attempt was done"),
	STAY(IN(SKIPPED), FAILURE, NONE, NOTE, "a person has said that it counts as done"),
	STAY(IN(UNDOING) | IN(UNDO_PAUSED) | IN(UNDONE) | IN(UNDO_STUCK), FAILURE, NONE,
	     NOTE, "late: it is being taken back, whatever it did"),
	STAY(IN(IDLE), FAILURE, NONE, NEVER, "no attempt was made"),
	STAY(IN(FAILED), FAILURE, NONE, NEVER, "each of its attempts has answered"),

	MOVE(IN(RUNNING), DEADLINE, BUDGET, PAUSED, WAIT, "tried again later"),
	MOVE(IN(RUNNING), DEADLINE, FORWARD, STUCK, PARK, "the saga must not go back"),
	MOVE(IN(RUNNING), DEADLINE, NONE, UNKNOWN, NONE, "not tried again"),
	STAY(BUT(IN(RUNNING) | IN(IDLE)), DEADLINE, NONE, IGNORE,
	     "the attempt has answered, or its time was over before"),
	STAY(IN(IDLE), DEADLINE, NONE, NEVER, "no attempt was made"),

	MOVE(IN(PAUSED), RETRY, NONE, RUNNING, SEND, "the next attempt"),
	STAY(BUT(IN(PAUSED) | IN(IDLE) | IN(RUNNING)), RETRY, NONE, IGNORE,
	     "there is no next attempt any more"),
	STAY(IN(IDLE) | IN(RUNNING), RETRY, NONE, NEVER, "no next attempt was planned"),

	MOVE(IN(PAUSED), STOP, FORWARD, STUCK, DROP_WAIT_PARK,
	     "the pivot may have had its effect"),
	MOVE(IN(PAUSED), STOP, UNCERTAIN, UNKNOWN, DROP_WAIT,
	     "not tried again, and an attempt never answered"),
	MOVE(IN(PAUSED), STOP, NONE, FAILED, DROP_WAIT, "not tried again"),
	STAY(BUT(IN(PAUSED)), STOP, NONE, NEVER, "only a step that waits is stopped"),

	MOVE(IN(FAILED) | IN(UNKNOWN), PIVOT, NONE, STUCK, PARK,
	     "the saga does not go back any more"),
	STAY(BUT(IN(FAILED) | IN(UNKNOWN)), PIVOT, NONE, NEVER,
	     "only steps that sent the saga back are turned"),

	MOVE(IN(STUCK), TURN, UNCERTAIN, UNKNOWN, NONE, "an attempt never answered"),
	MOVE(IN(STUCK), TURN, NONE, FAILED, NONE,
	     "every attempt said that it had no effect"),
	STAY(BUT(IN(STUCK)), TURN, NONE, NEVER, "only steps that are stuck are turned"),

	MOVE(IN(DONE) | IN(UNKNOWN) | IN(SKIPPED), UNDO, NONE, UNDOING, SEND_UNDO_GRANTED,
	     "it has, or may have, had its effect"),
	STAY(BUT(IN(DONE) | IN(UNKNOWN) | IN(SKIPPED)), UNDO, NONE, NEVER,
	     "only what may have had an effect is taken back"),

	MOVE(IN(UNDOING), UNDO_SUCCESS, NONE, UNDONE, DROP_UNDO_DEADLINE, "taken back"),
	MOVE(IN(UNDO_PAUSED), UNDO_SUCCESS, NONE, UNDONE, DROP_UNDO_WAIT,
	     "late, but before the next attempt"),
	MOVE(IN(UNDO_STUCK), UNDO_SUCCESS, NONE, UNDONE, NONE,
	     "late: nobody has to look any more"),
	STAY(IN(UNDONE), UNDO_SUCCESS, NONE, IGNORE, "it is taken back already"),
	STAY(IN(DONE), UNDO_SUCCESS, NONE, IGNORE,
	     "its effect came after this compensation was sent: taken back again"),
	STAY(BEGUN | IN(IDLE), UNDO_SUCCESS, NONE, NEVER, "no compensation was sent"),

	MOVE(IN(UNDOING), UNDO_FAILURE, UNDO_BUDGET, UNDO_PAUSED, DROP_UNDO_DEADLINE_WAIT,
	     "tried again later"),
	MOVE(IN(UNDOING), UNDO_FAILURE, NONE, UNDO_STUCK, DROP_UNDO_DEADLINE_PARK,
	     "its budget is spent"),
	STAY(IN(UNDO_PAUSED) | IN(UNDO_STUCK), UNDO_FAILURE, NONE, IGNORE,
	     "this attempt counts as failed already"),
	STAY(IN(UNDONE), UNDO_FAILURE, NONE, IGNORE, "it is taken back already"),
	STAY(IN(DONE), UNDO_FAILURE, NONE, IGNORE,
	     "its effect came after this compensation was sent: taken back again"),
	STAY(BEGUN | IN(IDLE), UNDO_FAILURE, NONE, NEVER, "no compensation was sent"),

	MOVE(IN(UNDOING), UNDO_DEADLINE, UNDO_BUDGET, UNDO_PAUSED, WAIT_UNDO,
	     "tried again later"),
	MOVE(IN(UNDOING), UNDO_DEADLINE, NONE, UNDO_STUCK, PARK, "its budget is spent"),
	STAY(IN(UNDO_PAUSED) | IN(UNDO_STUCK) | IN(UNDONE) | IN(DONE), UNDO_DEADLINE,
	     NONE, IGNORE, "the attempt has answered, or does not count any more"),
	STAY(BEGUN | IN(IDLE), UNDO_DEADLINE, NONE, NEVER, "no compensation was sent"),

	MOVE(IN(UNDO_PAUSED), UNDO_RETRY, NONE, UNDOING, SEND_UNDO, "the next attempt"),
	STAY(IN(UNDONE) | IN(DONE), UNDO_RETRY, NONE, IGNORE,
	     "there is no next attempt any more"),
	STAY(IN(UNDOING) | IN(UNDO_STUCK), UNDO_RETRY, NONE, NEVER,
	     "no next attempt was planned"),
	STAY(BEGUN | IN(IDLE), UNDO_RETRY, NONE, NEVER, "no compensation was sent"),

	MOVE(IN(STUCK), OP_RETRY, NONE, RUNNING, SEND_GRANTED, "a new budget"),
	MOVE(IN(UNDO_STUCK), OP_RETRY, NONE, UNDOING, SEND_UNDO_GRANTED, "a new budget"),
	STAY(IN(PAUSED) | IN(UNDO_PAUSED), OP_RETRY, NONE, REFUSE,
	     "its next attempt comes by itself"),
	STAY(IN(RUNNING) | IN(UNDOING), OP_RETRY, NONE, REFUSE, "an attempt is out"),
	STAY(IN(IDLE) | IN(DONE) | IN(FAILED) | IN(UNKNOWN) | IN(SKIPPED) | IN(UNDONE),
	     OP_RETRY, NONE, REFUSE, "only a step that is stuck is tried again"),

	MOVE(IN(STUCK), OP_SKIP, NONE, SKIPPED, NONE, "counts as done"),
	MOVE(IN(UNDO_STUCK), OP_SKIP, NONE, UNDONE, NONE, "counts as taken back"),
	STAY(BUT(IN(STUCK) | IN(UNDO_STUCK)), OP_SKIP, NONE, REFUSE,
	     "only a step that is stuck is skipped"),
};

const bus_saga_transition *
bus_saga_transitions(size_t *ret_count)
{
	*ret_count = sizeof(transitions) / sizeof(transitions[0]);
	return transitions;
}

/* ---- names ---- */

static const char *const status_names[] = {
#define X(symbol, name, meaning) name,
	BUS_SAGA_STEP_STATUS_LIST(X)
#undef X
};

const char *
bus_saga_step_status_name(bus_saga_step_status status)
{
	return status_names[status];
}

bus_saga_step_status
bus_saga_step_status_of(bus_str name)
{
	int status = 0;
	while (status < BUS_STEP_STATUS_COUNT && !bus_str_is(name, status_names[status])) {
		status++;
	}
	return (bus_saga_step_status)status;
}

static const struct {
	const char *name;
	bool outside;
	const char *meaning;
} inputs[] = {
#define X(symbol, name, outside, meaning) { name, outside, meaning },
	BUS_SAGA_STEP_INPUT_LIST(X)
#undef X
};

const char *
bus_saga_step_input_name(bus_saga_step_input input)
{
	return inputs[input].name;
}

bool
bus_saga_step_input_is_outside(bus_saga_step_input input)
{
	return inputs[input].outside;
}

static const char *const guards[] = {
#define X(symbol, meaning) meaning,
	BUS_SAGA_GUARD_LIST(X)
#undef X
};

const char *
bus_saga_guard_text(bus_saga_guard guard)
{
	return guards[guard];
}

static const char *const effects[] = {
#define X(symbol, meaning) meaning,
	BUS_SAGA_EFFECT_LIST(X)
#undef X
};

const char *
bus_saga_effect_text(bus_saga_effect effect)
{
	return effects[effect];
}

/* ---- docs/saga-states.md ---- */

static void
document_states(bus_buf *out)
{
	static const char *const meanings[] = {
#define X(symbol, name, meaning) meaning,
		BUS_SAGA_STEP_STATUS_LIST(X)
#undef X
	};
	bus_buf_cstr(out, "## States of a step\n\n| state | means |\n| --- | --- |\n");
	for (int i = 0; i < BUS_STEP_STATUS_COUNT; i++) {
		bus_buf_printf(out, "| `%s` | %s |\n", status_names[i], meanings[i]);
	}
	bus_buf_cstr(out, "\n## What can happen to it\n\n"
			  "| input | comes from | means |\n| --- | --- | --- |\n");
	for (int i = 0; i < BUS_STEP_INPUT_COUNT; i++) {
		bus_buf_printf(out, "| %s | %s | %s |\n", inputs[i].name,
			       inputs[i].outside ? "outside" : "the saga itself",
			       inputs[i].meaning);
	}
}

/* Names in a diagram are identifiers. */
static void
diagram_name(bus_buf *out, int status)
{
	for (const char *c = status_names[status]; *c != '\0'; c++) {
		bus_buf_byte(out, *c == '-' ? '_' : (uint8_t)*c);
	}
}

static void
document_diagram(bus_buf *out)
{
	bus_buf_cstr(out,
		     "\n## The moves\n\n```mermaid\nstateDiagram-v2\n\t[*] --> idle\n");
	for (int from = 0; from < BUS_STEP_STATUS_COUNT; from++) {
		for (size_t i = 0; i < sizeof(transitions) / sizeof(transitions[0]); i++) {
			const bus_saga_transition *row = &transitions[i];
			if ((row->statuses >> from & 1) == 0 ||
			    row->rule != BUS_RULE_MOVE) {
				continue;
			}
			bus_buf_byte(out, '\t');
			diagram_name(out, from);
			bus_buf_cstr(out, " --> ");
			diagram_name(out, (int)row->next);
			/* a second colon would end the label */
			const char *name = row->input == BUS_STEP_ON_OP_RETRY ?
						   "operator retries" :
					   row->input == BUS_STEP_ON_OP_SKIP ?
						   "operator skips" :
						   inputs[row->input].name;
			bus_buf_printf(out, " : %s", name);
			if (row->guard != BUS_GUARD_NONE) {
				bus_buf_printf(out, " [%s]", guards[row->guard]);
			}
			bus_buf_byte(out, '\n');
		}
	}
	bus_buf_cstr(out, "```\n");
}

static void
document_row(bus_buf *out, int status, const bus_saga_transition *row)
{
	static const char *const rules[] = { "", "noted", "ignored", "refused",
					     "impossible" };
	bus_buf_printf(out, "| `%s` | %s | %s | ", status_names[status],
		       inputs[row->input].name, guards[row->guard]);
	if (row->rule == BUS_RULE_MOVE) {
		bus_buf_printf(out, "`%s` | %s | %s |\n", status_names[row->next],
			       effects[row->effect], row->why);
	} else {
		bus_buf_printf(out, "%s | | %s |\n", rules[row->rule], row->why);
	}
}

void
bus_saga_document(bus_buf *out)
{
	bus_buf_cstr(
		out,
		"# What becomes of a step of a saga\n\n"
		"Written from the table in `workers/saga/transitions.c` by "
		"`busline docs saga-states`; a test fails when it is another.\n"
		"Each state and input has its rows, also those that cannot be; the first row "
		"whose guard holds is taken. How a saga uses them: docs/sagas.md.\n\n");
	document_states(out);
	document_diagram(out);
	bus_buf_cstr(out,
		     "\n## The table\n\n| state | input | if | becomes | effect | why |\n"
		     "| --- | --- | --- | --- | --- | --- |\n");
	for (int status = 0; status < BUS_STEP_STATUS_COUNT; status++) {
		for (size_t i = 0; i < sizeof(transitions) / sizeof(transitions[0]); i++) {
			if (transitions[i].statuses >> status & 1) {
				document_row(out, status, &transitions[i]);
			}
		}
	}
}
