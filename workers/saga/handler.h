/*
 * handler.h - sagas: actions of several steps that end complete, taken back, or parked
 */
#ifndef BUS_SAGA_HANDLER_H
#define BUS_SAGA_HANDLER_H

#include "workers/engine/stamp.h"
#include "workers/engine/worker.h"

#define BUS_SAGA_TOPIC "busline.saga"
#define BUS_SAGA_INCIDENT "saga-parked"

typedef struct bus_saga_row {
	bus_str tenant;
	bus_str saga;
	bus_str definition;
	int64_t version;
	bus_str digest;    /* of the definition's file: a running saga keeps it */
	bus_str status;    /* bus_saga_status_name() */
	bus_str direction; /* "forward", "back" */
	int64_t stage;     /* bus_saga_stage() */
	bool pivot_passed;
	bus_str input;       /* JSON */
	bus_str failed_step; /* that sent it back, or parked it last */
	bus_str reason;      /* why */
	bus_str requested_by;
	int64_t requested_at;
	int64_t finished_at;
	bus_stamp stamp;
} bus_saga_row;

typedef struct bus_saga_step_row {
	bus_str tenant;
	bus_str saga;
	bus_str step;
	int64_t stage;
	bus_str status; /* bus_saga_step_status_name() */
	int64_t do_attempts;
	int64_t do_limit;
	int64_t undo_attempts;
	int64_t undo_limit;
	int64_t unanswered; /* sets of attempts, see decide.h */
	int64_t succeeded;
	bus_str action;       /* type of the event */
	bus_str compensation; /* type of the event; absent: there is none */
	bus_str result;       /* JSON, data of the fact that it is done */
	bus_str reason;       /* of the last failure */
	bus_str action_id;    /* of the last attempt */
	bus_str compensation_id;
	int64_t began_at;  /* its first attempt */
	int64_t ended_at;  /* done, failed, given up, skipped */
	int64_t undone_at; /* taken back */
	int64_t due_at; /* its deadline, or its next attempt; absent: it waits for neither */
	bus_stamp stamp;
} bus_saga_step_row;

extern const bus_row_type bus_saga_table;
extern const bus_row_type bus_saga_step_table;
extern const bus_worker bus_saga_worker;

#endif
