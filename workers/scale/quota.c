/*
 * quota.c - scale: replicas are reserved before they are asked for
 *
 * All of it is decided here, so every request is answered at once. A step of a saga has one
 * reservation, however often it is attempted; once it was given back the step gets no other:
 * an attempt that comes late must not reserve what nobody would give back.
 */
#include <inttypes.h>

#include "core/json.h"
#include "workers/engine/step.h"
#include "workers/scale/parts.h"

#define RESERVED_TYPE "io.busline.scale.quota-reserved.v1"
#define DENIED_TYPE "io.busline.scale.quota-denied.v1"
#define RELEASED_TYPE "io.busline.scale.quota-released.v1"
#define LIMIT_DEFAULT 10000 /* as many as a process can have */

static const bus_column quota_columns[] = {
	BUS_COLUMN(bus_quota_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bus_quota_row, app, BUS_COL_TEXT),
	BUS_COLUMN(bus_quota_row, process, BUS_COL_TEXT),
	BUS_COLUMN(bus_quota_row, replicas_max, BUS_COL_INT8),
	BUS_COLUMN(bus_quota_row, reserved, BUS_COL_INT8),
	BUS_STAMP_COLUMNS(bus_quota_row),
};

const bus_row_type bus_quota_table = {
	.name = "quota",
	.size = sizeof(bus_quota_row),
	.columns = quota_columns,
	.column_count = sizeof(quota_columns) / sizeof(quota_columns[0]),
	.key_count = 3,
};

static const bus_column quota_step_columns[] = {
	BUS_COLUMN(bus_quota_step_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bus_quota_step_row, app, BUS_COL_TEXT),
	BUS_COLUMN(bus_quota_step_row, sagaid, BUS_COL_TEXT),
	BUS_COLUMN(bus_quota_step_row, step, BUS_COL_TEXT),
	BUS_COLUMN(bus_quota_step_row, process, BUS_COL_TEXT),
	BUS_COLUMN(bus_quota_step_row, replicas, BUS_COL_INT8),
	BUS_COLUMN(bus_quota_step_row, status, BUS_COL_TEXT),
	BUS_STAMP_COLUMNS(bus_quota_step_row),
};

const bus_row_type bus_quota_step_table = {
	.name = "quota_step",
	.size = sizeof(bus_quota_step_row),
	.columns = quota_step_columns,
	.column_count = sizeof(quota_step_columns) / sizeof(quota_step_columns[0]),
	.key_count = 4,
};

/* The quota of the process, as it is or as it begins; false: wait. */
static bool
quota_of(bus_fold *fold, const bus_event *event, const json_t *data,
	 bus_quota_row *ret_row)
{
	const void *found;
	*ret_row = (bus_quota_row){
		.tenant = event->tenant,
		.app = event->subject,
		.process = bus_json_str(data, "process"),
		.replicas_max = LIMIT_DEFAULT,
	};
	if (bus_fold_get(fold, &bus_quota_table, ret_row, &found) == BUS_WAIT) {
		return false;
	}
	if (found != NULL) {
		*ret_row = *(const bus_quota_row *)found;
	}
	ret_row->stamp = bus_stamp_of(event);
	return true;
}

/* The reservation of a step; *ret_found NULL if it has none. False: wait. */
static bool
step_of(bus_fold *fold, const bus_event *event, bus_str step,
	const bus_quota_step_row **ret_found)
{
	const void *found = NULL;
	bus_quota_step_row key = { .sagaid = event->sagaid, .step = step };
	if (step.data != NULL &&
	    bus_fold_get(fold, &bus_quota_step_table, &key, &found) == BUS_WAIT) {
		return false;
	}
	*ret_found = found;
	return true;
}

static void
put_step(bus_fold *fold, const bus_event *event, bus_str step, const bus_quota_row *quota,
	 int64_t replicas, bus_str status)
{
	if (step.data == NULL) {
		return;
	}
	bus_fold_put(fold, &bus_quota_step_table,
		     &(bus_quota_step_row){
			     .tenant = event->tenant,
			     .app = event->subject,
			     .sagaid = event->sagaid,
			     .step = step,
			     .process = quota->process,
			     .replicas = replicas,
			     .status = status,
			     .stamp = bus_stamp_of(event),
		     });
}

bus_verdict
busp_on_quota_set(bus_fold *fold, const bus_event *event, const json_t *data)
{
	bus_quota_row quota;
	if (bus_str_empty(event->subject)) {
		return bus_fold_reject(fold, "the subject must name the app");
	}
	if (!quota_of(fold, event, data, &quota)) {
		return bus_fold_wait(fold);
	}
	quota.replicas_max = bus_json_int(data, "limit", quota.replicas_max);
	bus_fold_put(fold, &bus_quota_table, &quota);
	return BUS_APPLIED;
}

static void
say_reserved(bus_fold *fold, const bus_quota_row *quota, int64_t replicas)
{
	json_t *data = json_pack("{s:s%,s:I,s:I,s:I}", "process", quota->process.data,
				 quota->process.len, "replicas", (json_int_t)replicas,
				 "reserved", (json_int_t)quota->reserved, "limit",
				 (json_int_t)quota->replicas_max);
	bus_fold_emit(fold, &(bus_follow_up){ .type = RESERVED_TYPE,
					      .step = "answer",
					      .data = data });
}

static bus_verdict
deny(bus_fold *fold, bus_str process, bus_str reason)
{
	bus_fold_emit(fold, &(bus_follow_up){
				    .type = DENIED_TYPE,
				    .step = "answer",
				    .data = json_pack("{s:s%,s:s%}", "process",
						      process.data, process.len, "reason",
						      reason.data, reason.len),
			    });
	return bus_fold_ignore(fold, "denied: %.*s", BUS_STR_ARG(reason));
}

bus_verdict
busp_on_quota_reserve(bus_fold *fold, const bus_event *event, const json_t *data)
{
	bus_quota_row quota;
	const bus_quota_step_row *before;
	int64_t replicas = bus_json_int(data, "replicas", 0);
	if (bus_str_empty(event->subject)) {
		return bus_fold_reject(fold, "the subject must name the app");
	}
	if (!quota_of(fold, event, data, &quota) ||
	    !step_of(fold, event, bus_step_of(event), &before)) {
		return bus_fold_wait(fold);
	}
	if (before != NULL && bus_str_is(before->status, "released")) {
		return deny(fold, quota.process,
			    BUS_STR("this step of the saga was taken back already"));
	}
	if (before != NULL) {
		say_reserved(fold, &quota, before->replicas);
		return bus_fold_ignore(fold, "an earlier attempt has reserved %" PRId64,
				       before->replicas);
	}
	if (quota.reserved + replicas > quota.replicas_max) {
		return deny(fold, quota.process,
			    bus_arena_printf(bus_fold_arena(fold),
					     "%" PRId64 " of %" PRId64
					     " are reserved, %" PRId64 " more do not fit",
					     quota.reserved, quota.replicas_max,
					     replicas));
	}
	quota.reserved += replicas;
	bus_fold_put(fold, &bus_quota_table, &quota);
	put_step(fold, event, bus_step_of(event), &quota, replicas, BUS_STR("reserved"));
	say_reserved(fold, &quota, replicas);
	return BUS_APPLIED;
}

bus_verdict
busp_on_quota_release(bus_fold *fold, const bus_event *event, const json_t *data)
{
	bus_quota_row quota;
	const bus_quota_step_row *before = NULL;
	int64_t replicas = bus_json_int(data, "replicas", BUS_INT_NULL);
	bus_str step =
		replicas == BUS_INT_NULL ? bus_step_done(fold, event) : BUS_STR_NULL;
	if (bus_str_empty(event->subject)) {
		return bus_fold_reject(fold, "the subject must name the app");
	}
	if (!quota_of(fold, event, data, &quota) || !step_of(fold, event, step, &before)) {
		return bus_fold_wait(fold);
	}
	if (replicas == BUS_INT_NULL) {
		bool holds = before != NULL && bus_str_is(before->status, "reserved");
		replicas = holds ? before->replicas : 0;
	}
	replicas = replicas < quota.reserved ? replicas : quota.reserved;
	quota.reserved -= replicas;
	json_t *answer = json_pack("{s:s%,s:I,s:I}", "process", quota.process.data,
				   quota.process.len, "replicas", (json_int_t)replicas,
				   "reserved", (json_int_t)quota.reserved);
	bus_fold_emit(fold, &(bus_follow_up){ .type = RELEASED_TYPE,
					      .step = "answer",
					      .data = answer });
	if (replicas == 0 && (step.data == NULL || before != NULL)) {
		return bus_fold_ignore(fold, "there is nothing to give back");
	}
	bus_fold_put(fold, &bus_quota_table, &quota);
	put_step(fold, event, step, &quota, replicas, BUS_STR("released"));
	return BUS_APPLIED;
}

/* Our own answers come back on the topic; their requests have done all there is to do. */
bus_verdict
busp_on_quota_answer(bus_fold *fold, const bus_event *event, const json_t *data)
{
	(void)event;
	(void)data;
	return bus_fold_ignore(fold, "it answers a request that is done");
}
