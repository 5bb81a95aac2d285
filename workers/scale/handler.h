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

extern const bus_row_type bus_scale_table;
extern const bus_worker bus_scale_worker;

#endif
