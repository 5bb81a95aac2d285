/*
 * handler.c - scale: wanted and observed replicas per process of an app
 *
 * Requests are absolute ("replicas") or relative ("delta"); both must end within the
 * process's bounds, which a request may set in the same breath. A relative request counts
 * from what is wanted, never from what is observed: the result is the log's alone.
 */
#include "workers/scale/handler.h"

#include <inttypes.h>

#include "core/json.h"
#include "workers/scale/parts.h"

#define FAILED_TYPE "io.busline.scale.failed.v1"
/* What the engine writes as source of the events this worker emits. */
#define OWN_SOURCE "/busline/worker/scale"

/* Bounds of a process nobody has set bounds for; the schema allows no more either. */
#define MIN_DEFAULT 0
#define MAX_DEFAULT 10000

static const bus_column scale_columns[] = {
	BUS_COLUMN(bus_scale_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bus_scale_row, app, BUS_COL_TEXT),
	BUS_COLUMN(bus_scale_row, process, BUS_COL_TEXT),
	BUS_COLUMN(bus_scale_row, desired, BUS_COL_INT8),
	BUS_COLUMN(bus_scale_row, observed, BUS_COL_INT8),
	BUS_COLUMN(bus_scale_row, min, BUS_COL_INT8),
	BUS_COLUMN(bus_scale_row, max, BUS_COL_INT8),
	BUS_COLUMN(bus_scale_row, version, BUS_COL_INT8),
	BUS_COLUMN(bus_scale_row, status, BUS_COL_TEXT),
	BUS_COLUMN(bus_scale_row, reason, BUS_COL_TEXT),
	BUS_STAMP_COLUMNS(bus_scale_row),
};

const bus_row_type bus_scale_table = {
	.name = "scale",
	.size = sizeof(bus_scale_row),
	.columns = scale_columns,
	.column_count = sizeof(scale_columns) / sizeof(scale_columns[0]),
	.key_count = 3,
};

/* A command that cannot be carried out is answered at once, so that whoever waits for its
 * terminal fact gets one. */
static bus_verdict
refuse(bus_fold *fold, bus_str process, bus_str reason)
{
	bus_fold_emit(fold, &(bus_follow_up){
				    .type = FAILED_TYPE,
				    .step = "refused",
				    .data = json_pack("{s:s%,s:s%}", "process",
						      process.data, process.len, "reason",
						      reason.data, reason.len),
			    });
	return bus_fold_reject(fold, "%.*s", BUS_STR_ARG(reason));
}

static bus_verdict
on_requested(bus_fold *fold, const bus_event *event, const json_t *data)
{
	if (bus_str_empty(event->subject)) {
		return bus_fold_reject(fold, "the subject must name the app");
	}
	bus_scale_row row = {
		.tenant = event->tenant,
		.app = event->subject,
		.process = bus_json_str(data, "process"),
		.observed = BUS_INT_NULL,
		.min = MIN_DEFAULT,
		.max = MAX_DEFAULT,
	};
	bus_verdict verdict;
	if (busp_scale_repeated(fold, event, data, &verdict)) {
		return verdict;
	}
	const void *found;
	if (bus_fold_get(fold, &bus_scale_table, &row, &found) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	if (found != NULL) {
		row = *(const bus_scale_row *)found;
	}
	row.min = bus_json_int(data, "min", row.min);
	row.max = bus_json_int(data, "max", row.max);
	if (row.min > row.max) {
		return refuse(fold, row.process,
			      bus_arena_printf(bus_fold_arena(fold),
					       "min %" PRId64
					       " is greater than max %" PRId64,
					       row.min, row.max));
	}
	int64_t delta = bus_json_int(data, "delta", 0);
	row.desired = bus_json_int(data, "replicas", row.desired + delta);
	if (row.desired < row.min || row.desired > row.max) {
		return refuse(fold, row.process,
			      bus_arena_printf(bus_fold_arena(fold),
					       "%" PRId64
					       " replicas are out of bounds: min %" PRId64
					       ", max %" PRId64,
					       row.desired, row.min, row.max));
	}
	row.version++;
	row.status = BUS_STR("requested");
	row.reason = BUS_STR_NULL;
	row.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_scale_table, &row);
	busp_scale_remember(fold, event, found, &row);
	return BUS_APPLIED;
}

/* The row a fact is about, ready to be changed; false if *ret_verdict is the answer. */
static bool
row_of(bus_fold *fold, const json_t *data, bus_scale_row *ret_row,
       bus_verdict *ret_verdict)
{
	bus_scale_row key = { .process = bus_json_str(data, "process") };
	const void *found;
	if (bus_fold_get(fold, &bus_scale_table, &key, &found) == BUS_WAIT) {
		*ret_verdict = bus_fold_wait(fold);
		return false;
	}
	if (found == NULL) {
		*ret_verdict = bus_fold_ignore(fold, "process %.*s was never scaled",
					       BUS_STR_ARG(key.process));
		return false;
	}
	*ret_row = *(const bus_scale_row *)found;
	return true;
}

static bus_verdict
on_succeeded(bus_fold *fold, const bus_event *event, const json_t *data)
{
	bus_scale_row row;
	bus_verdict verdict;
	if (!row_of(fold, data, &row, &verdict)) {
		return verdict;
	}
	row.observed = bus_json_int(data, "replicas", BUS_INT_NULL);
	/* Success of an earlier request: what is wanted by now is still under way. */
	if (row.observed == row.desired) {
		row.status = BUS_STR("succeeded");
		row.reason = BUS_STR_NULL;
	}
	row.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_scale_table, &row);
	return BUS_APPLIED;
}

/* A revert that changed nothing says no number. */
static bus_verdict
on_reverted(bus_fold *fold, const bus_event *event, const json_t *data)
{
	if (json_object_get(data, "replicas") == NULL) {
		return bus_fold_ignore(fold, "nothing was reverted");
	}
	return on_succeeded(fold, event, data);
}

static bus_verdict
on_failed(bus_fold *fold, const bus_event *event, const json_t *data)
{
	/* A refusal of ours (see refuse) comes back on the topic. The request it answers has
	 * changed nothing, and what was wanted before it may well be under way. */
	if (bus_str_is(event->source, OWN_SOURCE)) {
		return bus_fold_ignore(fold, "it answers a refused request");
	}
	bus_scale_row row;
	bus_verdict verdict;
	if (!row_of(fold, data, &row, &verdict)) {
		return verdict;
	}
	row.status = BUS_STR("failed");
	row.reason = bus_json_str(data, "reason");
	row.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_scale_table, &row);
	return BUS_APPLIED;
}

static const bus_handler handlers[] = {
	{ "io.busline.scale.requested.v1", on_requested },
	{ "io.busline.scale.succeeded.v1", on_succeeded },
	{ FAILED_TYPE, on_failed },
	{ "io.busline.scale.revert-requested.v1", busp_on_revert_requested },
	{ "io.busline.scale.reverted.v1", on_reverted },
	{ "io.busline.scale.quota-set.v1", busp_on_quota_set },
	{ "io.busline.scale.quota-reserve-requested.v1", busp_on_quota_reserve },
	{ "io.busline.scale.quota-release-requested.v1", busp_on_quota_release },
	{ "io.busline.scale.quota-reserved.v1", busp_on_quota_answer },
	{ "io.busline.scale.quota-denied.v1", busp_on_quota_answer },
	{ "io.busline.scale.quota-released.v1", busp_on_quota_answer },
	{ "io.busline.scale.verify-requested.v1", busp_on_scale_verify_requested },
	{ "io.busline.scale.verified.v1", busp_on_scale_verified },
	{ "io.busline.scale.verify-failed.v1", busp_on_scale_verify_failed },
	{ NULL, NULL },
};

static const bus_row_type *const tables[] = {
	&bus_scale_table, &bus_scale_step_table, &bus_scale_check_table,
	&bus_quota_table, &bus_quota_step_table, NULL,
};

const bus_worker bus_scale_worker = {
	.name = "scale",
	.topic = "busline.scale",
	.help = "Folds busline.scale into wanted and observed replicas",
	.handlers = handlers,
	.tables = tables,
};
