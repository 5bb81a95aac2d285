/*
 * later.c - deploy: releases are verified, and taken away
 *
 * Health is asked for as often as one likes: the last answer stands.
 *
 *     requested | started | succeeded -> retiring -> retired
 *
 * A release that is retired is gone; if it was the current one, the one before it is current
 * again. If it cannot be retired it is again what its times say it was.
 */
#include "workers/deploy/later.h"

#include <inttypes.h>

#include "core/json.h"
#include "workers/engine/step.h"

#define VERIFY_FAILED_TYPE "io.busline.deploy.verify-failed.v1"
#define RETIRED_TYPE "io.busline.deploy.retired.v1"
#define RETIRE_FAILED_TYPE "io.busline.deploy.retire-failed.v1"

static bus_found
get_release(bus_fold *fold, int64_t number, const bus_release_row **ret_release)
{
	const void *found;
	bus_found answer = bus_fold_get(fold, &bus_release_table,
					&(bus_release_row){ .number = number }, &found);
	*ret_release = found;
	return answer;
}

/* ---- health ---- */

static bus_verdict
refuse_verification(bus_fold *fold, int64_t release, bus_str reason)
{
	bus_fold_emit(fold, &(bus_follow_up){
				    .type = VERIFY_FAILED_TYPE,
				    .step = "refused",
				    .data = json_pack("{s:I,s:s%}", "release",
						      (json_int_t)release, "reason",
						      reason.data, reason.len),
			    });
	return bus_fold_reject(fold, "%.*s", BUS_STR_ARG(reason));
}

bus_verdict
busp_on_verify_requested(bus_fold *fold, const bus_event *event, const json_t *data)
{
	const bus_release_row *release;
	int64_t number = bus_json_int(data, "release", 0);
	if (bus_str_empty(event->subject)) {
		return bus_fold_reject(fold, "the subject must name the app");
	}
	if (get_release(fold, number, &release) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	if (release == NULL) {
		return refuse_verification(fold, number,
					   bus_arena_printf(bus_fold_arena(fold),
							    "there is no release %" PRId64,
							    number));
	}
	if (!bus_str_is(release->status, "succeeded")) {
		return refuse_verification(
			fold, number,
			bus_arena_printf(bus_fold_arena(fold),
					 "release %" PRId64 " does not run: it is %.*s",
					 number, BUS_STR_ARG(release->status)));
	}
	bus_fold_put(fold, &bus_release_check_table,
		     &(bus_release_check_row){
			     .tenant = event->tenant,
			     .app = event->subject,
			     .release = number,
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
	bus_release_check_row key = { .release = bus_json_int(data, "release", 0) };
	if (bus_fold_get(fold, &bus_release_check_table, &key, &found) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	if (found == NULL) {
		return bus_fold_ignore(fold,
				       "nobody asked whether release %" PRId64
				       " is healthy",
				       key.release);
	}
	bus_release_check_row row = *(const bus_release_check_row *)found;
	row.status = status;
	row.reason = bus_json_str(data, "reason");
	row.finished_at = event->time_us;
	row.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_release_check_table, &row);
	return BUS_APPLIED;
}

bus_verdict
busp_on_verified(bus_fold *fold, const bus_event *event, const json_t *data)
{
	return check_ends(fold, event, data, BUS_STR("verified"));
}

bus_verdict
busp_on_verify_failed(bus_fold *fold, const bus_event *event, const json_t *data)
{
	/* A refusal of ours comes back on the topic; what was found out before it stands. */
	if (bus_str_is(event->source, "/busline/worker/deploy")) {
		return bus_fold_ignore(fold, "it answers a refused request");
	}
	return check_ends(fold, event, data, BUS_STR("failed"));
}

/* ---- retirement ---- */

static bus_verdict
refuse_retirement(bus_fold *fold, bus_str reason)
{
	bus_fold_emit(fold, &(bus_follow_up){
				    .type = RETIRE_FAILED_TYPE,
				    .step = "refused",
				    .data = json_pack("{s:s%}", "reason", reason.data,
						      reason.len),
			    });
	return bus_fold_reject(fold, "%.*s", BUS_STR_ARG(reason));
}

/* Nothing runs that would have to be taken away: the answer can be given at once. */
static bus_verdict
nothing_to_retire(bus_fold *fold, int64_t release, const char *why)
{
	json_t *data = json_object();
	if (release != BUS_INT_NULL) {
		json_object_set_new(data, "release", json_integer(release));
	}
	bus_fold_emit(fold, &(bus_follow_up){
				    .type = RETIRED_TYPE, .step = "done", .data = data });
	return bus_fold_ignore(fold, "nothing to retire: %s", why);
}

/* Which release a request means: *ret_number, or BUS_INT_NULL for none. */
static bus_found
meant_release(bus_fold *fold, const bus_event *event, const json_t *data,
	      int64_t *ret_number)
{
	const void *found;
	const bus_release_row *made;
	*ret_number = bus_json_int(data, "release", BUS_INT_NULL);
	if (*ret_number != BUS_INT_NULL) {
		return BUS_FOUND;
	}
	int64_t after = bus_json_int(data, "superseded_by", BUS_INT_NULL);
	if (after == BUS_INT_NULL) {
		bus_found answer =
			busp_release_of_step(fold, event->sagaid,
					     bus_step_done(fold, event), &made);
		*ret_number = made != NULL ? made->number : BUS_INT_NULL;
		return answer;
	}
	bus_found answer = bus_fold_get(fold, &bus_deployment_table,
					&(bus_deployment_row){ 0 }, &found);
	const bus_deployment_row *deployment = found;
	/* Once another release has taken over, which one was before is not known any more. */
	if (answer == BUS_FOUND && deployment->current_release == after) {
		*ret_number = deployment->previous_release;
	}
	return answer;
}

bus_verdict
busp_on_retire_requested(bus_fold *fold, const bus_event *event, const json_t *data)
{
	int64_t number;
	const bus_release_row *release;
	if (bus_str_empty(event->subject)) {
		return bus_fold_reject(fold, "the subject must name the app");
	}
	if (json_object_get(data, "release") == NULL &&
	    json_object_get(data, "superseded_by") == NULL &&
	    bus_step_of(event).data == NULL) {
		return refuse_retirement(fold, BUS_STR("no release is named"));
	}
	if (meant_release(fold, event, data, &number) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	if (number == BUS_INT_NULL) {
		return nothing_to_retire(fold, number, "there is no such release");
	}
	if (get_release(fold, number, &release) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	if (release == NULL) {
		return refuse_retirement(fold,
					 bus_arena_printf(bus_fold_arena(fold),
							  "there is no release %" PRId64,
							  number));
	}
	if (bus_str_is(release->status, "failed") ||
	    bus_str_is(release->status, "retired")) {
		return nothing_to_retire(fold, number,
					 bus_str_is(release->status, "failed") ?
						 "the release failed" :
						 "the release is retired already");
	}
	bus_release_row row = *release;
	row.status = BUS_STR("retiring");
	row.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_release_table, &row);
	return BUS_APPLIED;
}

/* The current release is gone: the one before is current, if it runs. */
static bus_found
put_back(bus_fold *fold, const bus_event *event, int64_t gone)
{
	const void *found;
	const bus_release_row *previous = NULL;
	bus_found answer = bus_fold_get(fold, &bus_deployment_table,
					&(bus_deployment_row){ 0 }, &found);
	const bus_deployment_row *deployment = found;
	if (answer != BUS_FOUND || deployment->current_release != gone) {
		return answer;
	}
	if (deployment->previous_release != BUS_INT_NULL &&
	    get_release(fold, deployment->previous_release, &previous) == BUS_WAIT) {
		return BUS_WAIT;
	}
	bool runs = previous != NULL && bus_str_is(previous->status, "succeeded");
	bus_deployment_row row = *deployment;
	row.current_release = runs ? deployment->previous_release : BUS_INT_NULL;
	row.previous_release = runs ? BUS_INT_NULL : deployment->previous_release;
	row.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_deployment_table, &row);
	return BUS_FOUND;
}

bus_verdict
busp_on_retired(bus_fold *fold, const bus_event *event, const json_t *data)
{
	const bus_release_row *found;
	int64_t number = bus_json_int(data, "release", BUS_INT_NULL);
	if (number == BUS_INT_NULL) {
		return bus_fold_ignore(fold, "no release named: there was none to retire");
	}
	if (get_release(fold, number, &found) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	if (found == NULL) {
		return bus_fold_ignore(fold, "there is no release %" PRId64, number);
	}
	if (bus_str_is(found->status, "failed") || bus_str_is(found->status, "retired")) {
		return bus_fold_ignore(fold, "release %" PRId64 " is final: it %.*s",
				       number, BUS_STR_ARG(found->status));
	}
	if (put_back(fold, event, number) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	bus_release_row row = *found;
	row.status = BUS_STR("retired");
	if (row.finished_at == BUS_INT_NULL) {
		row.finished_at = event->time_us;
	}
	row.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_release_table, &row);
	return BUS_APPLIED;
}

bus_verdict
busp_on_retire_failed(bus_fold *fold, const bus_event *event, const json_t *data)
{
	const bus_release_row *found;
	int64_t number = bus_json_int(data, "release", BUS_INT_NULL);
	if (number == BUS_INT_NULL) {
		return bus_fold_ignore(fold,
				       "no release named: it answers a refused request");
	}
	if (get_release(fold, number, &found) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	if (found == NULL || !bus_str_is(found->status, "retiring")) {
		return bus_fold_ignore(fold, "release %" PRId64 " is not being retired",
				       number);
	}
	bus_release_row row = *found;
	row.status = row.finished_at != BUS_INT_NULL ? BUS_STR("succeeded") :
		     row.started_at != BUS_INT_NULL  ? BUS_STR("started") :
						       BUS_STR("requested");
	row.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_release_table, &row);
	return BUS_APPLIED;
}
