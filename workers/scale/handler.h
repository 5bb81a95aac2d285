/*
 * handler.h - scale: how many replicas each process of an app should have, and has
 */
#ifndef BUS_SCALE_HANDLER_H
#define BUS_SCALE_HANDLER_H

#include "workers/engine/stamp.h"
#include "workers/engine/worker.h"

typedef struct bus_scale_row {
	bus_str tenant;
	bus_str app;
	bus_str process;
	int64_t desired;
	int64_t observed; /* as last reported, or BUS_INT_NULL */
	int64_t min, max; /* desired stays within */
	int64_t version;  /* one more with each request that was applied */
	bus_str status;   /* "requested", "succeeded", "failed" */
	bus_str reason;   /* why it failed */
	bus_stamp stamp;
} bus_scale_row;

/* What was wanted before a step of a saga scaled a process. */
typedef struct bus_scale_step_row {
	bus_str tenant;
	bus_str app;
	bus_str sagaid;
	bus_str step; /* "scale/do" */
	bus_str process;
	int64_t version;        /* the step made, or made anew */
	int64_t desired_before; /* BUS_INT_NULL: it was never scaled before */
	int64_t min_before, max_before;
	bus_str status; /* "applied", "reverted" */
	bus_stamp stamp;
} bus_scale_step_row;

/* Whether all replicas of a process work, as last asked. */
typedef struct bus_scale_check_row {
	bus_str tenant;
	bus_str app;
	bus_str process;
	bus_str status; /* "requested", "verified", "failed" */
	bus_str reason; /* why it failed */
	bus_str requested_by;
	int64_t requested_at;
	int64_t finished_at;
	bus_stamp stamp;
} bus_scale_check_row;

/* How many replicas of a process may be reserved, and are. */
typedef struct bus_quota_row {
	bus_str tenant;
	bus_str app;
	bus_str process;
	int64_t replicas_max;
	int64_t reserved;
	bus_stamp stamp;
} bus_quota_row;

/* What a step of a saga has reserved. */
typedef struct bus_quota_step_row {
	bus_str tenant;
	bus_str app;
	bus_str sagaid;
	bus_str step; /* "reserve/do" */
	bus_str process;
	int64_t replicas;
	bus_str status; /* "reserved", "released" */
	bus_stamp stamp;
} bus_quota_step_row;

extern const bus_row_type bus_scale_table;
extern const bus_row_type bus_scale_step_table;
extern const bus_row_type bus_scale_check_table;
extern const bus_row_type bus_quota_table;
extern const bus_row_type bus_quota_step_table;
extern const bus_worker bus_scale_worker;

#endif
