/*
 * carry.h - one fold of a saga: its rows, and what a decision makes of them; private
 */
#ifndef BUS_SAGA_CARRY_H
#define BUS_SAGA_CARRY_H

#include "core/json.h"
#include "workers/saga/rows.h"

/* What failed, for the row and the facts: of the input that is being folded. */
typedef struct busp_failure {
	uint32_t step;
	bus_str reason; /* absent: nothing failed */
} busp_failure;

typedef struct busp_work {
	bus_fold *fold;
	const bus_event *event;
	const bus_saga_definition *definition;
	bus_saga_plan plan;
	bus_saga_state state;
	bus_saga_row saga;
	bus_saga_step_row steps[BUS_SAGA_STEPS_MAX];
	bool saga_changed;
	bool step_changed[BUS_SAGA_STEPS_MAX];
	json_t *scope; /* of templates; made when first used */
	bus_saga_decision decision;
	/* sends that could not be made: they fail at once */
	bus_saga_input unsent[BUS_SAGA_STEPS_MAX];
	bus_str unsent_reasons[BUS_SAGA_STEPS_MAX];
	size_t unsent_count;
} busp_work;

void busp_work_fini(busp_work *work);

#define BUSP_WORK_AUTO __attribute__((cleanup(busp_work_fini))) busp_work

/**
 * busp_work_feed - decide, and do what it says: rows, events, timers, incidents
 *
 * @reason: of a failure, for the step's row; absent: it is none
 *
 * Returns the verdict; with APPLIED the rows that changed are put.
 */
bus_verdict busp_work_feed(busp_work *work, const bus_saga_input *input, bus_str reason);

#endif
