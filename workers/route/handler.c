/*
 * handler.c - route: versioned sets of weighted targets per host of an app
 *
 * A change asked for is a new version with targets of its own; no version is ever edited.
 * Facts say what became of a version: changed (in effect) or failed, both final. What asks
 * for versions is in wish.c.
 */
#include "workers/route/handler.h"

#include <inttypes.h>

#include "core/json.h"
#include "workers/route/parts.h"

#define FAILED_TYPE "io.busline.route.failed.v1"

static const bus_column route_columns[] = {
	BUS_COLUMN(bus_route_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bus_route_row, app, BUS_COL_TEXT),
	BUS_COLUMN(bus_route_row, host, BUS_COL_TEXT),
	BUS_COLUMN(bus_route_row, wanted_version, BUS_COL_INT8),
	BUS_COLUMN(bus_route_row, applied_version, BUS_COL_INT8),
	BUS_STAMP_COLUMNS(bus_route_row),
};

const bus_row_type bus_route_table = {
	.name = "route",
	.size = sizeof(bus_route_row),
	.columns = route_columns,
	.column_count = sizeof(route_columns) / sizeof(route_columns[0]),
	.key_count = 3,
};

static const bus_column route_version_columns[] = {
	BUS_COLUMN(bus_route_version_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bus_route_version_row, app, BUS_COL_TEXT),
	BUS_COLUMN(bus_route_version_row, host, BUS_COL_TEXT),
	BUS_COLUMN(bus_route_version_row, version, BUS_COL_INT8),
	BUS_COLUMN(bus_route_version_row, status, BUS_COL_TEXT),
	BUS_COLUMN(bus_route_version_row, reason, BUS_COL_TEXT),
	BUS_COLUMN(bus_route_version_row, requested_by, BUS_COL_TEXT),
	BUS_COLUMN(bus_route_version_row, requested_at, BUS_COL_TIME),
	BUS_COLUMN(bus_route_version_row, finished_at, BUS_COL_TIME),
	BUS_COLUMN(bus_route_version_row, targets, BUS_COL_JSON),
	BUS_COLUMN(bus_route_version_row, restores, BUS_COL_INT8),
	BUS_STAMP_COLUMNS(bus_route_version_row),
};

const bus_row_type bus_route_version_table = {
	.name = "route_version",
	.size = sizeof(bus_route_version_row),
	.columns = route_version_columns,
	.column_count = sizeof(route_version_columns) / sizeof(route_version_columns[0]),
	.key_count = 4,
};

static const bus_column route_target_columns[] = {
	BUS_COLUMN(bus_route_target_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bus_route_target_row, app, BUS_COL_TEXT),
	BUS_COLUMN(bus_route_target_row, host, BUS_COL_TEXT),
	BUS_COLUMN(bus_route_target_row, version, BUS_COL_INT8),
	BUS_COLUMN(bus_route_target_row, release, BUS_COL_INT8),
	BUS_COLUMN(bus_route_target_row, weight, BUS_COL_INT8),
	BUS_STAMP_COLUMNS(bus_route_target_row),
};

const bus_row_type bus_route_target_table = {
	.name = "route_target",
	.size = sizeof(bus_route_target_row),
	.columns = route_target_columns,
	.column_count = sizeof(route_target_columns) / sizeof(route_target_columns[0]),
	.key_count = 5,
};

static const bus_column route_step_columns[] = {
	BUS_COLUMN(bus_route_step_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bus_route_step_row, app, BUS_COL_TEXT),
	BUS_COLUMN(bus_route_step_row, sagaid, BUS_COL_TEXT),
	BUS_COLUMN(bus_route_step_row, step, BUS_COL_TEXT),
	BUS_COLUMN(bus_route_step_row, host, BUS_COL_TEXT),
	BUS_COLUMN(bus_route_step_row, version, BUS_COL_INT8),
	BUS_COLUMN(bus_route_step_row, version_before, BUS_COL_INT8),
	BUS_STAMP_COLUMNS(bus_route_step_row),
};

const bus_row_type bus_route_step_table = {
	.name = "route_step",
	.size = sizeof(bus_route_step_row),
	.columns = route_step_columns,
	.column_count = sizeof(route_step_columns) / sizeof(route_step_columns[0]),
	.key_count = 4,
};

/* The version a fact is about, ready to be changed; false if *ret_verdict is the answer. */
static bool
version_of(bus_fold *fold, const json_t *data, bus_route_version_row *ret_row,
	   bus_verdict *ret_verdict)
{
	bus_route_version_row key = {
		.host = bus_json_str(data, "host"),
		.version = bus_json_int(data, "version", 0),
	};
	const void *found;
	if (bus_fold_get(fold, &bus_route_version_table, &key, &found) == BUS_WAIT) {
		*ret_verdict = bus_fold_wait(fold);
		return false;
	}
	if (found == NULL) {
		*ret_verdict = bus_fold_ignore(fold, "host %.*s has no version %" PRId64,
					       BUS_STR_ARG(key.host), key.version);
		return false;
	}
	*ret_row = *(const bus_route_version_row *)found;
	if (ret_row->finished_at != BUS_INT_NULL) {
		*ret_verdict = bus_fold_ignore(
			fold, "version %" PRId64 " is final: it %s", key.version,
			bus_str_is(ret_row->status, "failed") ? "failed" : "took effect");
		return false;
	}
	return true;
}

/* Also for a version that was reverted to, or that removed the route. */
static bus_verdict
on_changed(bus_fold *fold, const bus_event *event, const json_t *data)
{
	if (json_object_get(data, "version") == NULL) {
		return bus_fold_ignore(fold, "no version named: there was nothing to do");
	}
	bus_route_version_row version;
	bus_verdict verdict;
	if (!version_of(fold, data, &version, &verdict)) {
		return verdict;
	}
	const void *found;
	if (bus_fold_get(fold, &bus_route_table, &(bus_route_row){ .host = version.host },
			 &found) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	if (found == NULL) {
		return bus_fold_reject(fold, "version %" PRId64 " belongs to no route",
				       version.version);
	}
	version.status = BUS_STR("changed");
	version.finished_at = event->time_us;
	version.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_route_version_table, &version);

	/* An older version that took effect late does not hide a newer one. */
	bus_route_row route = *(const bus_route_row *)found;
	if (route.applied_version == BUS_INT_NULL ||
	    version.version > route.applied_version) {
		route.applied_version = version.version;
		route.stamp = bus_stamp_of(event);
		bus_fold_put(fold, &bus_route_table, &route);
	}
	return BUS_APPLIED;
}

static bus_verdict
on_failed(bus_fold *fold, const bus_event *event, const json_t *data)
{
	if (json_object_get(data, "version") == NULL) {
		return bus_fold_ignore(fold,
				       "no version named: it answers a refused request");
	}
	bus_route_version_row version;
	bus_verdict verdict;
	if (!version_of(fold, data, &version, &verdict)) {
		return verdict;
	}
	version.status = BUS_STR("failed");
	version.reason = bus_json_str(data, "reason");
	version.finished_at = event->time_us;
	version.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_route_version_table, &version);
	return BUS_APPLIED;
}

static const bus_handler handlers[] = {
	{ "io.busline.route.change-requested.v1", busp_on_change_requested },
	{ "io.busline.route.shift-requested.v1", busp_on_shift_requested },
	{ "io.busline.route.revert-requested.v1", busp_on_route_revert_requested },
	{ "io.busline.route.remove-requested.v1", busp_on_remove_requested },
	{ "io.busline.route.changed.v1", on_changed },
	{ "io.busline.route.reverted.v1", on_changed },
	{ "io.busline.route.removed.v1", on_changed },
	{ FAILED_TYPE, on_failed },
	{ NULL, NULL },
};

static const bus_row_type *const tables[] = {
	&bus_route_table,
	&bus_route_version_table,
	&bus_route_target_table,
	&bus_route_step_table,
	NULL,
};

const bus_worker bus_route_worker = {
	.name = "route",
	.topic = "busline.route",
	.help = "Folds busline.route into versioned, weighted routes",
	.handlers = handlers,
	.tables = tables,
};
