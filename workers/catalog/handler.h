/*
 * handler.h - the catalog: tenants, their apps, the artifacts of apps
 */
#ifndef BUS_CATALOG_HANDLER_H
#define BUS_CATALOG_HANDLER_H

#include "workers/engine/stamp.h"
#include "workers/engine/worker.h"

typedef struct bus_tenant_row {
	bus_str tenant;
	bus_str name;
	bus_str plan;
	int64_t created_at;
	bus_stamp stamp;
} bus_tenant_row;

typedef struct bus_app_row {
	bus_str tenant;
	bus_str app;
	bus_str description;
	bus_str owner;
	int64_t created_at;
	int64_t deleted_at; /* BUS_INT_NULL: it exists */
	bus_str delete_reason;
	bus_stamp stamp;
} bus_app_row;

typedef struct bus_artifact_row {
	bus_str tenant;
	bus_str app;
	bus_str digest;
	bus_str image;
	int64_t size_bytes;
	bus_str source_commit;
	int64_t registered_at;
	bus_stamp stamp;
} bus_artifact_row;

extern const bus_row_type bus_tenant_table;
extern const bus_row_type bus_app_table;
extern const bus_row_type bus_artifact_table;
extern const bus_worker bus_catalog_worker;

#endif
