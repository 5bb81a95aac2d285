/*
 * rows.c - the tables of sagas, and rows as the state that decide works on
 */
#include "workers/saga/rows.h"

static const bus_column saga_columns[] = {
	BUS_COLUMN(bus_saga_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bus_saga_row, saga, BUS_COL_TEXT),
	BUS_COLUMN(bus_saga_row, definition, BUS_COL_TEXT),
	BUS_COLUMN(bus_saga_row, version, BUS_COL_INT8),
	BUS_COLUMN(bus_saga_row, digest, BUS_COL_TEXT),
	BUS_COLUMN(bus_saga_row, status, BUS_COL_TEXT),
	BUS_COLUMN(bus_saga_row, direction, BUS_COL_TEXT),
	BUS_COLUMN(bus_saga_row, stage, BUS_COL_INT8),
	BUS_COLUMN(bus_saga_row, pivot_passed, BUS_COL_BOOL),
	BUS_COLUMN(bus_saga_row, input, BUS_COL_JSON),
	BUS_COLUMN(bus_saga_row, failed_step, BUS_COL_TEXT),
	BUS_COLUMN(bus_saga_row, reason, BUS_COL_TEXT),
	BUS_COLUMN(bus_saga_row, requested_by, BUS_COL_TEXT),
	BUS_COLUMN(bus_saga_row, requested_at, BUS_COL_TIME),
	BUS_COLUMN(bus_saga_row, finished_at, BUS_COL_TIME),
	BUS_STAMP_COLUMNS(bus_saga_row),
};

const bus_row_type bus_saga_table = {
	.name = "saga",
	.size = sizeof(bus_saga_row),
	.columns = saga_columns,
	.column_count = sizeof(saga_columns) / sizeof(saga_columns[0]),
	.key_count = 2,
};

static const bus_column step_columns[] = {
	BUS_COLUMN(bus_saga_step_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bus_saga_step_row, saga, BUS_COL_TEXT),
	BUS_COLUMN(bus_saga_step_row, step, BUS_COL_TEXT),
	BUS_COLUMN(bus_saga_step_row, stage, BUS_COL_INT8),
	BUS_COLUMN(bus_saga_step_row, status, BUS_COL_TEXT),
	BUS_COLUMN(bus_saga_step_row, do_attempts, BUS_COL_INT8),
	BUS_COLUMN(bus_saga_step_row, do_limit, BUS_COL_INT8),
	BUS_COLUMN(bus_saga_step_row, undo_attempts, BUS_COL_INT8),
	BUS_COLUMN(bus_saga_step_row, undo_limit, BUS_COL_INT8),
	BUS_COLUMN(bus_saga_step_row, unanswered, BUS_COL_INT8),
	BUS_COLUMN(bus_saga_step_row, succeeded, BUS_COL_INT8),
	BUS_COLUMN(bus_saga_step_row, action, BUS_COL_TEXT),
	BUS_COLUMN(bus_saga_step_row, compensation, BUS_COL_TEXT),
	BUS_COLUMN(bus_saga_step_row, result, BUS_COL_JSON),
	BUS_COLUMN(bus_saga_step_row, reason, BUS_COL_TEXT),
	BUS_COLUMN(bus_saga_step_row, action_id, BUS_COL_TEXT),
	BUS_COLUMN(bus_saga_step_row, compensation_id, BUS_COL_TEXT),
	BUS_COLUMN(bus_saga_step_row, began_at, BUS_COL_TIME),
	BUS_COLUMN(bus_saga_step_row, ended_at, BUS_COL_TIME),
	BUS_COLUMN(bus_saga_step_row, undone_at, BUS_COL_TIME),
	BUS_COLUMN(bus_saga_step_row, due_at, BUS_COL_TIME),
	BUS_STAMP_COLUMNS(bus_saga_step_row),
};

const bus_row_type bus_saga_step_table = {
	.name = "saga_step",
	.size = sizeof(bus_saga_step_row),
	.columns = step_columns,
	.column_count = sizeof(step_columns) / sizeof(step_columns[0]),
	.key_count = 3,
};

/* ---- a definition as a plan ---- */

static void
set_budget(const bus_saga_act *act, bus_saga_budget *ret_budget)
{
	ret_budget->attempts = act->attempts;
	ret_budget->deadline_ms = act->deadline_ms;
	ret_budget->delay_ms = act->delay_ms;
	ret_budget->delay_max_ms = act->delay_max_ms;
}

void
busp_saga_plan(const bus_saga_definition *definition, bus_saga_plan *ret_plan)
{
	ret_plan->stage_count = definition->stage_count;
	ret_plan->step_count = (uint32_t)definition->step_count;
	for (size_t i = 0; i < definition->step_count; i++) {
		const bus_saga_step *step = &definition->steps[i];
		bus_saga_plan_step *plan = &ret_plan->steps[i];
		plan->stage = step->stage;
		plan->pivot = step->pivot;
		plan->compensated = step->compensated;
		set_budget(&step->action, &plan->lanes[BUS_LANE_DO]);
		if (step->compensated) {
			set_budget(&step->compensation, &plan->lanes[BUS_LANE_UNDO]);
		}
	}
}

/* ---- rows to state and back ---- */

bool
busp_saga_state_of(const bus_saga_row *saga, const bus_saga_step_row *steps,
		   size_t step_count, bus_saga_state *ret_state)
{
	*ret_state = (bus_saga_state){
		.status = bus_saga_status_of(saga->status),
		.back = bus_str_is(saga->direction, "back"),
		.pivot_passed = saga->pivot_passed,
	};
	bool known = ret_state->status != BUS_SAGA_STATUS_COUNT;
	for (size_t i = 0; i < step_count; i++) {
		const bus_saga_step_row *from = &steps[i];
		ret_state->steps[i] = (bus_saga_step_state){
			.status = bus_saga_step_status_of(from->status),
			.lanes = { { (int32_t)from->do_attempts, (int32_t)from->do_limit },
				   { (int32_t)from->undo_attempts,
				     (int32_t)from->undo_limit } },
			.unanswered = (uint64_t)from->unanswered,
			.succeeded = (uint64_t)from->succeeded,
		};
		known = known && ret_state->steps[i].status != BUS_STEP_STATUS_COUNT;
	}
	return known;
}

void
busp_saga_row_set(const bus_saga_plan *plan, const bus_saga_state *state,
		  bus_saga_row *saga)
{
	saga->status = bus_str_from(bus_saga_status_name(state->status));
	saga->direction = state->back ? BUS_STR("back") : BUS_STR("forward");
	saga->stage = bus_saga_stage(plan, state);
	saga->pivot_passed = state->pivot_passed;
}

void
busp_saga_step_row_set(const bus_saga_step_state *state, bus_saga_step_row *step)
{
	const bus_saga_lane_state *lanes = state->lanes;
	step->status = bus_str_from(bus_saga_step_status_name(state->status));
	step->do_attempts = lanes[BUS_LANE_DO].attempts;
	step->do_limit = lanes[BUS_LANE_DO].limit;
	step->undo_attempts = lanes[BUS_LANE_UNDO].attempts;
	step->undo_limit = lanes[BUS_LANE_UNDO].limit;
	step->unanswered = (int64_t)state->unanswered;
	step->succeeded = (int64_t)state->succeeded;
}

/* ---- names of attempts and timers ---- */

static const char *const lane_names[] = { "do", "undo" };

bus_str
busp_sagastep(const char *step, bus_saga_lane lane, int32_t attempt, bus_arena *arena)
{
	return bus_arena_printf(arena, "%s/%s/%d", step, lane_names[lane], (int)attempt);
}

bool
busp_sagastep_parse(bus_str text, busp_attempt *ret_attempt)
{
	const char *end = text.data + text.len;
	const char *slash = text.len > 0 ? memchr(text.data, '/', text.len) : NULL;
	const char *last = text.len > 0 ? memrchr(text.data, '/', text.len) : NULL;
	if (slash == NULL || last == slash || end - last > 10 || end - last < 2 ||
	    last[1] == '0') {
		return false;
	}
	int32_t attempt = 0;
	for (const char *c = last + 1; c < end; c++) {
		if (*c < '0' || *c > '9') {
			return false;
		}
		attempt = attempt * 10 + (*c - '0');
	}
	bus_str lane = { slash + 1, (size_t)(last - slash - 1) };
	bool undo = bus_str_is(lane, lane_names[BUS_LANE_UNDO]);
	if (!undo && !bus_str_is(lane, lane_names[BUS_LANE_DO])) {
		return false;
	}
	*ret_attempt = (busp_attempt){
		.step = { text.data, (size_t)(slash - text.data) },
		.lane = undo ? BUS_LANE_UNDO : BUS_LANE_DO,
		.attempt = attempt,
	};
	return true;
}
