/*
 * saga_model.h - every history of a saga of three steps, through the real decide
 */
#ifndef BUS_TEST_SAGA_MODEL_H
#define BUS_TEST_SAGA_MODEL_H

#include "workers/saga/decide.h"

#define BUS_MODEL_STEPS 3

typedef struct bus_model {
	const char *name;
	bus_saga_plan plan;
	/* how often in one history: */
	uint8_t faults; /* said twice, said otherwise, done and never said, a timer cancelled too late */
	uint8_t acts; /* of an operator */
	uint8_t late; /* answers of attempts that are given up */
} bus_model;

typedef struct bus_model_totals {
	size_t nodes;     /* of the last model */
	uint64_t moves;   /* of all so far, as the others */
	uint64_t rows[2]; /* of bus_saga_transitions() that were taken, a bit each */
	size_t wrong;     /* what must hold and did not; the first ones are printed */
} bus_model_totals;

/* Returns how many histories there are. After something wrong it is not looked further. */
double bus_model_run(const bus_model *model);

bus_model_totals bus_model_so_far(void);

#endif
