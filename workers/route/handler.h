/*
 * handler.h - routes: which releases of an app a host's requests go to, version by version
 */
#ifndef BUS_ROUTE_HANDLER_H
#define BUS_ROUTE_HANDLER_H

#include "workers/engine/stamp.h"
#include "workers/engine/worker.h"

typedef struct bus_route_row {
	bus_str tenant;
	bus_str app;
	bus_str host;
	int64_t wanted_version;
	int64_t applied_version; /* the highest in effect, or BUS_INT_NULL */
	bus_stamp stamp;
} bus_route_row;

typedef struct bus_route_version_row {
	bus_str tenant;
	bus_str app;
	bus_str host;
	int64_t version;
	bus_str status; /* "requested", "changed", "failed" */
	bus_str reason; /* why it was asked for; once failed, why it failed */
	bus_str requested_by;
	int64_t requested_at;
	int64_t finished_at;
	bus_str targets; /* JSON: [{"release", "weight"}, ...] by release; []: no traffic */
	int64_t restores; /* the earlier version whose targets these are, or BUS_INT_NULL */
	bus_stamp stamp;
} bus_route_version_row;

typedef struct bus_route_target_row {
	bus_str tenant;
	bus_str app;
	bus_str host;
	int64_t version;
	int64_t release;
	int64_t weight; /* per cent; those of a version sum to 100 */
	bus_stamp stamp;
} bus_route_target_row;

/* The version that a step of a saga made. */
typedef struct bus_route_step_row {
	bus_str tenant;
	bus_str app;
	bus_str sagaid;
	bus_str step; /* "shift/do" */
	bus_str host;
	int64_t version;
	int64_t version_before; /* BUS_INT_NULL: there was no route */
	bus_stamp stamp;
} bus_route_step_row;

extern const bus_row_type bus_route_table;
extern const bus_row_type bus_route_version_table;
extern const bus_row_type bus_route_target_table;
extern const bus_row_type bus_route_step_table;
extern const bus_worker bus_route_worker;

#endif
