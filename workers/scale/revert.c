/*
 * revert.c - scale: another attempt of a step does nothing twice, a compensation goes back
 *
 * A revert only undoes what is still so: once somebody else has scaled the process, what was
 * wanted before the saga is nobody's wish any more.
 */
#include <inttypes.h>

#include "core/json.h"
#include "workers/engine/step.h"
#include "workers/scale/parts.h"

static const bus_column scale_step_columns[] = {
	BUS_COLUMN(bus_scale_step_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bus_scale_step_row, app, BUS_COL_TEXT),
	BUS_COLUMN(bus_scale_step_row, sagaid, BUS_COL_TEXT),
	BUS_COLUMN(bus_scale_step_row, step, BUS_COL_TEXT),
	BUS_COLUMN(bus_scale_step_row, process, BUS_COL_TEXT),
	BUS_COLUMN(bus_scale_step_row, version, BUS_COL_INT8),
	BUS_COLUMN(bus_scale_step_row, desired_before, BUS_COL_INT8),
	BUS_COLUMN(bus_scale_step_row, min_before, BUS_COL_INT8),
	BUS_COLUMN(bus_scale_step_row, max_before, BUS_COL_INT8),
	BUS_COLUMN(bus_scale_step_row, status, BUS_COL_TEXT),
	BUS_STAMP_COLUMNS(bus_scale_step_row),
};

const bus_row_type bus_scale_step_table = {
	.name = "scale_step",
	.size = sizeof(bus_scale_step_row),
	.columns = scale_step_columns,
	.column_count = sizeof(scale_step_columns) / sizeof(scale_step_columns[0]),
	.key_count = 4,
};

/* What a step did, and the process as it is; NULL where there is none. */
static bus_found
get_step(bus_fold *fold, const bus_event *event, bus_str step, bus_str process,
	 const bus_scale_step_row **ret_step, const bus_scale_row **ret_row)
{
	const void *found = NULL;
	bus_scale_step_row key = { .sagaid = event->sagaid, .step = step };
	*ret_step = NULL;
	*ret_row = NULL;
	if (step.data != NULL &&
	    bus_fold_get(fold, &bus_scale_step_table, &key, &found) == BUS_WAIT) {
		return BUS_WAIT;
	}
	*ret_step = found;
	bus_found answer = bus_fold_get(fold, &bus_scale_table,
					&(bus_scale_row){ .process = process }, &found);
	*ret_row = found;
	return answer;
}

/* An attempt that comes after its compensation must not do what nobody would take back. */
static bus_verdict
refuse(bus_fold *fold, bus_str process, const char *reason)
{
	bus_fold_emit(fold,
		      &(bus_follow_up){
			      .type = "io.busline.scale.failed.v1",
			      .step = "refused",
			      .data = json_pack("{s:s%,s:s}", "process", process.data,
						process.len, "reason", reason),
		      });
	return bus_fold_reject(fold, "%s", reason);
}

bool
busp_scale_repeated(bus_fold *fold, const bus_event *event, const json_t *data,
		    bus_verdict *ret_verdict)
{
	const bus_scale_step_row *step;
	const bus_scale_row *row;
	bus_str name = bus_step_of(event);
	if (name.data == NULL) {
		return false;
	}
	if (get_step(fold, event, name, bus_json_str(data, "process"), &step, &row) ==
	    BUS_WAIT) {
		*ret_verdict = bus_fold_wait(fold);
		return true;
	}
	if (step == NULL || row == NULL) {
		return false;
	}
	if (bus_str_is(step->status, "reverted")) {
		*ret_verdict = refuse(fold, row->process,
				      "this step of the saga was taken back already");
		return true;
	}
	if (step->version != row->version) {
		*ret_verdict =
			bus_fold_ignore(fold, "an earlier attempt did it, and "
					      "somebody has scaled the process since");
		return true;
	}
	if (bus_str_is(row->status, "failed")) {
		/* It is tried again; what is wanted stays what the first attempt made it. */
		bus_scale_row again = *row;
		again.status = BUS_STR("requested");
		again.reason = BUS_STR_NULL;
		again.stamp = bus_stamp_of(event);
		bus_fold_put(fold, &bus_scale_table, &again);
		*ret_verdict = BUS_APPLIED;
		return true;
	}
	if (bus_str_is(row->status, "succeeded")) {
		bus_fold_emit(fold, &(bus_follow_up){
					    .type = "io.busline.scale.succeeded.v1",
					    .step = "repeated",
					    .data = json_pack("{s:s%,s:I}", "process",
							      row->process.data,
							      row->process.len, "replicas",
							      (json_int_t)row->observed),
				    });
	}
	*ret_verdict = bus_fold_ignore(fold, "an earlier attempt did it");
	return true;
}

void
busp_scale_remember(bus_fold *fold, const bus_event *event, const bus_scale_row *before,
		    const bus_scale_row *row)
{
	bus_str step = bus_step_of(event);
	if (step.data == NULL) {
		return;
	}
	bus_fold_put(fold, &bus_scale_step_table,
		     &(bus_scale_step_row){
			     .tenant = event->tenant,
			     .app = event->subject,
			     .sagaid = event->sagaid,
			     .step = step,
			     .process = row->process,
			     .version = row->version,
			     .desired_before =
				     before != NULL ? before->desired : BUS_INT_NULL,
			     .min_before = before != NULL ? before->min : BUS_INT_NULL,
			     .max_before = before != NULL ? before->max : BUS_INT_NULL,
			     .status = BUS_STR("applied"),
			     .stamp = bus_stamp_of(event),
		     });
}

/* The answer to a revert that changes nothing. */
static bus_verdict
nothing_to_revert(bus_fold *fold, bus_str process, const char *why)
{
	bus_fold_emit(fold,
		      &(bus_follow_up){
			      .type = "io.busline.scale.reverted.v1",
			      .step = "done",
			      .data = json_pack("{s:s%,s:s}", "process", process.data,
						process.len, "reason", why),
		      });
	return bus_fold_ignore(fold, "nothing to revert: %s", why);
}

/* Another attempt of a revert: its answer, if it is known. */
static bus_verdict
reverted_before(bus_fold *fold, const bus_scale_row *row)
{
	if (bus_str_is(row->status, "succeeded")) {
		bus_fold_emit(fold, &(bus_follow_up){
					    .type = "io.busline.scale.reverted.v1",
					    .step = "repeated",
					    .data = json_pack("{s:s%,s:I}", "process",
							      row->process.data,
							      row->process.len, "replicas",
							      (json_int_t)row->observed),
				    });
	}
	return bus_fold_ignore(fold, "an earlier attempt did it");
}

bus_verdict
busp_on_revert_requested(bus_fold *fold, const bus_event *event, const json_t *data)
{
	const bus_scale_step_row *step;
	const bus_scale_row *row;
	bus_str process = bus_json_str(data, "process");
	if (bus_str_empty(event->subject)) {
		return bus_fold_reject(fold, "the subject must name the app");
	}
	if (get_step(fold, event, bus_step_done(fold, event), process, &step, &row) ==
	    BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	if (step == NULL || row == NULL || !bus_str_eq(step->process, process)) {
		return nothing_to_revert(
			fold, process, "this step of the saga has not scaled the process");
	}
	if (step->version != row->version) {
		return nothing_to_revert(fold, process,
					 "somebody else has scaled the process since");
	}
	bus_scale_step_row done = *step;
	bus_scale_row back = *row;
	if (bus_str_is(step->status, "reverted") && !bus_str_is(row->status, "failed")) {
		return reverted_before(fold, row);
	}
	if (!bus_str_is(step->status, "reverted")) {
		back.min = step->min_before != BUS_INT_NULL ? step->min_before : 0;
		back.max = step->max_before != BUS_INT_NULL ? step->max_before : row->max;
		back.desired =
			step->desired_before != BUS_INT_NULL ? step->desired_before : 0;
		back.version++;
	}
	back.status = BUS_STR("requested");
	back.reason = BUS_STR_NULL;
	back.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_scale_table, &back);
	done.version = back.version;
	done.status = BUS_STR("reverted");
	done.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_scale_step_table, &done);
	return BUS_APPLIED;
}
