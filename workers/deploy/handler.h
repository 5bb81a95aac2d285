/*
 * handler.h - deployments: which releases an app has had, and which one it runs
 */
#ifndef BUS_DEPLOY_HANDLER_H
#define BUS_DEPLOY_HANDLER_H

#include "workers/engine/stamp.h"
#include "workers/engine/worker.h"

typedef struct bus_deployment_row {
	bus_str tenant;
	bus_str app;
	int64_t latest_release;   /* the highest number given */
	int64_t current_release;  /* the highest that succeeded, or BUS_INT_NULL */
	int64_t previous_release; /* the one current before it, or BUS_INT_NULL */
	bus_stamp stamp;
} bus_deployment_row;

typedef struct bus_release_row {
	bus_str tenant;
	bus_str app;
	int64_t number;
	bus_str kind;        /* "deploy", "rollback" */
	int64_t rollback_to; /* the release it copies, or BUS_INT_NULL */
	bus_str image;
	bus_str command;     /* JSON */
	bus_str environment; /* JSON */
	bus_str artifact_digest;
	/* "requested", "started", "succeeded", "failed", "retiring", "retired" */
	bus_str status;
	bus_str reason; /* why it was asked for; once failed, why it failed */
	bus_str requested_by;
	int64_t requested_at;
	int64_t started_at;
	int64_t finished_at;
	bus_stamp stamp;
} bus_release_row;

/* The release that a step of a saga made. */
typedef struct bus_deploy_step_row {
	bus_str tenant;
	bus_str app;
	bus_str sagaid;
	bus_str step; /* "deploy/do" */
	int64_t release;
	bus_stamp stamp;
} bus_deploy_step_row;

/* Whether a release is healthy, as last asked. */
typedef struct bus_release_check_row {
	bus_str tenant;
	bus_str app;
	int64_t release;
	bus_str status; /* "requested", "verified", "failed" */
	bus_str reason; /* why it failed */
	bus_str requested_by;
	int64_t requested_at;
	int64_t finished_at;
	bus_stamp stamp;
} bus_release_check_row;

extern const bus_row_type bus_deployment_table;
extern const bus_row_type bus_release_table;
extern const bus_row_type bus_deploy_step_table;
extern const bus_row_type bus_release_check_table;
extern const bus_worker bus_deploy_worker;

#endif
