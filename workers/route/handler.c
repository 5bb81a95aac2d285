/*
 * handler.c - route: versioned sets of weighted targets per host of an app
 *
 * A change asked for is a new version with targets of its own; no version is ever edited.
 * Facts say what became of a version: changed (in effect) or failed, both final.
 */
#include "workers/route/handler.h"

#include <inttypes.h>

#include "core/json.h"

#define FAILED_TYPE "io.busline.route.failed.v1"
#define WEIGHT_SUM 100

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

/* What is wrong with a set of targets; absent if nothing is. */
static bus_str
check_targets(bus_fold *fold, const json_t *targets)
{
	int64_t sum = 0;
	for (size_t i = 0; i < json_array_size(targets); i++) {
		const json_t *target = json_array_get(targets, i);
		int64_t release = bus_json_int(target, "release", 0);
		for (size_t j = 0; j < i; j++) {
			if (bus_json_int(json_array_get(targets, j), "release", 0) ==
			    release) {
				return bus_arena_printf(bus_fold_arena(fold),
							"release %" PRId64
							" is named twice",
							release);
			}
		}
		sum += bus_json_int(target, "weight", 0);
	}
	if (sum != WEIGHT_SUM) {
		return bus_arena_printf(bus_fold_arena(fold),
					"weights sum to %" PRId64 ", not to %d", sum,
					WEIGHT_SUM);
	}
	return BUS_STR_NULL;
}

/* A command that cannot be carried out is answered at once, so that whoever waits for its
 * terminal fact gets one; there is no version it could name. */
static bus_verdict
refuse(bus_fold *fold, bus_str host, bus_str reason)
{
	bus_fold_emit(fold, &(bus_follow_up){
				    .type = FAILED_TYPE,
				    .step = "refused",
				    .data = json_pack("{s:s%,s:s%}", "host", host.data,
						      host.len, "reason", reason.data,
						      reason.len),
			    });
	return bus_fold_reject(fold, "%.*s", BUS_STR_ARG(reason));
}

static void
put_targets(bus_fold *fold, const bus_event *event, const bus_route_row *route,
	    const json_t *targets)
{
	for (size_t i = 0; i < json_array_size(targets); i++) {
		const json_t *target = json_array_get(targets, i);
		bus_fold_put(fold, &bus_route_target_table,
			     &(bus_route_target_row){
				     .tenant = event->tenant,
				     .app = event->subject,
				     .host = route->host,
				     .version = route->wanted_version,
				     .release = bus_json_int(target, "release", 0),
				     .weight = bus_json_int(target, "weight", 0),
				     .stamp = bus_stamp_of(event),
			     });
	}
}

static bus_verdict
on_change_requested(bus_fold *fold, const bus_event *event, const json_t *data)
{
	if (bus_str_empty(event->subject)) {
		return bus_fold_reject(fold, "the subject must name the app");
	}
	bus_route_row route = {
		.tenant = event->tenant,
		.app = event->subject,
		.host = bus_json_str(data, "host"),
		.applied_version = BUS_INT_NULL,
	};
	const json_t *targets = json_object_get(data, "targets");
	bus_str wrong = check_targets(fold, targets);
	if (wrong.data != NULL) {
		return refuse(fold, route.host, wrong);
	}
	const void *found;
	if (bus_fold_get(fold, &bus_route_table, &route, &found) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	if (found != NULL) {
		route = *(const bus_route_row *)found;
	}
	route.wanted_version++;
	route.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_route_table, &route);
	bus_fold_put(fold, &bus_route_version_table,
		     &(bus_route_version_row){
			     .tenant = event->tenant,
			     .app = event->subject,
			     .host = route.host,
			     .version = route.wanted_version,
			     .status = BUS_STR("requested"),
			     .reason = bus_json_str(data, "reason"),
			     .requested_by = event->actor,
			     .requested_at = event->time_us,
			     .finished_at = BUS_INT_NULL,
			     .stamp = bus_stamp_of(event),
		     });
	put_targets(fold, event, &route, targets);
	return BUS_APPLIED;
}

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

static bus_verdict
on_changed(bus_fold *fold, const bus_event *event, const json_t *data)
{
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
	{ "io.busline.route.change-requested.v1", on_change_requested },
	{ "io.busline.route.changed.v1", on_changed },
	{ FAILED_TYPE, on_failed },
	{ NULL, NULL },
};

static const bus_row_type *const tables[] = {
	&bus_route_table,
	&bus_route_version_table,
	&bus_route_target_table,
	NULL,
};

const bus_worker bus_route_worker = {
	.name = "route",
	.topic = "busline.route",
	.help = "Folds busline.route into versioned, weighted routes",
	.handlers = handlers,
	.tables = tables,
};
