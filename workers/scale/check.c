/* check.c - scale: whether all replicas of a process work; the last answer stands */
#include "core/json.h"
#include "workers/scale/parts.h"

#define VERIFY_FAILED_TYPE "io.busline.scale.verify-failed.v1"

static const bus_column scale_check_columns[] = {
	BUS_COLUMN(bus_scale_check_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bus_scale_check_row, app, BUS_COL_TEXT),
	BUS_COLUMN(bus_scale_check_row, process, BUS_COL_TEXT),
	BUS_COLUMN(bus_scale_check_row, status, BUS_COL_TEXT),
	BUS_COLUMN(bus_scale_check_row, reason, BUS_COL_TEXT),
	BUS_COLUMN(bus_scale_check_row, requested_by, BUS_COL_TEXT),
	BUS_COLUMN(bus_scale_check_row, requested_at, BUS_COL_TIME),
	BUS_COLUMN(bus_scale_check_row, finished_at, BUS_COL_TIME),
	BUS_STAMP_COLUMNS(bus_scale_check_row),
};

const bus_row_type bus_scale_check_table = {
	.name = "scale_check",
	.size = sizeof(bus_scale_check_row),
	.columns = scale_check_columns,
	.column_count = sizeof(scale_check_columns) / sizeof(scale_check_columns[0]),
	.key_count = 3,
};

bus_verdict
busp_on_scale_verify_requested(bus_fold *fold, const bus_event *event, const json_t *data)
{
	const void *found;
	bus_scale_row key = { .process = bus_json_str(data, "process") };
	if (bus_str_empty(event->subject)) {
		return bus_fold_reject(fold, "the subject must name the app");
	}
	if (bus_fold_get(fold, &bus_scale_table, &key, &found) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	if (found == NULL) {
		static const char reason[] = "the process was never scaled";
		bus_fold_emit(fold,
			      &(bus_follow_up){
				      .type = VERIFY_FAILED_TYPE,
				      .step = "refused",
				      .data = json_pack("{s:s%,s:s}", "process",
							key.process.data, key.process.len,
							"reason", reason),
			      });
		return bus_fold_reject(fold, "%s", reason);
	}
	bus_fold_put(fold, &bus_scale_check_table,
		     &(bus_scale_check_row){
			     .tenant = event->tenant,
			     .app = event->subject,
			     .process = key.process,
			     .status = BUS_STR("requested"),
			     .requested_by = event->actor,
			     .requested_at = event->time_us,
			     .finished_at = BUS_INT_NULL,
			     .stamp = bus_stamp_of(event),
		     });
	return BUS_APPLIED;
}

static bus_verdict
check_ends(bus_fold *fold, const bus_event *event, const json_t *data, bus_str status)
{
	const void *found;
	bus_scale_check_row key = { .process = bus_json_str(data, "process") };
	if (bus_fold_get(fold, &bus_scale_check_table, &key, &found) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	if (found == NULL) {
		return bus_fold_ignore(fold, "nobody asked whether process %.*s works",
				       BUS_STR_ARG(key.process));
	}
	bus_scale_check_row row = *(const bus_scale_check_row *)found;
	row.status = status;
	row.reason = bus_json_str(data, "reason");
	row.finished_at = event->time_us;
	row.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_scale_check_table, &row);
	return BUS_APPLIED;
}

bus_verdict
busp_on_scale_verified(bus_fold *fold, const bus_event *event, const json_t *data)
{
	return check_ends(fold, event, data, BUS_STR("verified"));
}

bus_verdict
busp_on_scale_verify_failed(bus_fold *fold, const bus_event *event, const json_t *data)
{
	/* A refusal of ours comes back on the topic; what was found out before it stands. */
	if (bus_str_is(event->source, "/busline/worker/scale")) {
		return bus_fold_ignore(fold, "it answers a refused request");
	}
	return check_ends(fold, event, data, BUS_STR("failed"));
}
