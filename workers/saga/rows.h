/*
 * rows.h - rows of sagas as what decide works on, and back; private to this worker
 */
#ifndef BUS_SAGA_ROWS_H
#define BUS_SAGA_ROWS_H

#include "schemas/saga.h"
#include "workers/saga/decide.h"
#include "workers/saga/handler.h"

void busp_saga_plan(const bus_saga_definition *definition, bus_saga_plan *ret_plan);

/* False: a row says what this version does not know. */
bool busp_saga_state_of(const bus_saga_row *saga, const bus_saga_step_row *steps,
			size_t step_count, bus_saga_state *ret_state);
void busp_saga_row_set(const bus_saga_plan *plan, const bus_saga_state *state,
		       bus_saga_row *saga);
void busp_saga_step_row_set(const bus_saga_step_state *state, bus_saga_step_row *step);

/* One attempt of a step: "<step>/<do|undo>/<attempt>". */
typedef struct busp_attempt {
	bus_str step; /* view into the text */
	bus_saga_lane lane;
	int32_t attempt;
} busp_attempt;

/* NUL-terminated beyond its length. */
bus_str busp_sagastep(const char *step, bus_saga_lane lane, int32_t attempt,
		      bus_arena *arena);
bool busp_sagastep_parse(bus_str text, busp_attempt *ret_attempt);

#endif
