/*
 * wish.c - route: what asks for a new version
 *
 * DESIGN
 * A step of a saga makes one version, however often it is attempted; only if that one failed
 * does the next attempt make another. Reverting is a new version, too, with the targets of the
 * one before the step. It says which version it restores, and counts as that one: so the steps
 * of a saga can be reverted one after the other, while a version that somebody else asked for
 * in between ends it.
 */
#include <inttypes.h>

#include "core/json.h"
#include "workers/engine/step.h"
#include "workers/route/parts.h"

#define FAILED_TYPE "io.busline.route.failed.v1"

/* A request and all that its fold needs. */
typedef struct request {
	bus_fold *fold;
	const bus_event *event;
	const char *answer;  /* type of the fact that fulfils it */
	bus_route_row route; /* as it is, or as it begins */
	bool exists;         /* the route */
	const bus_route_version_row
		*wanted;                /* its newest version, or NULL; see load_wanted */
	const bus_route_step_row *step; /* of an earlier attempt, or NULL */
	const bus_route_version_row *attempted; /* by that */
	bus_str reason;
	bus_verdict verdict; /* if there is nothing more to do */
} request;

/* A command that cannot be carried out is answered at once, so that whoever waits for its
 * terminal fact gets one; there is no version it could name. */
static bus_verdict
refuse(const request *wish, bus_str reason)
{
	bus_str host = wish->route.host;
	bus_fold_emit(wish->fold, &(bus_follow_up){
					  .type = FAILED_TYPE,
					  .step = "refused",
					  .data = json_pack("{s:s%,s:s%}", "host",
							    host.data, host.len, "reason",
							    reason.data, reason.len),
				  });
	return bus_fold_reject(wish->fold, "%.*s", BUS_STR_ARG(reason));
}

/* Fulfilled without a change of the route; version or why may be absent. */
static bus_verdict
fulfil(const request *wish, int64_t version, const char *why)
{
	bus_str host = wish->route.host;
	json_t *data = json_pack("{s:s%}", "host", host.data, host.len);
	if (version != BUS_INT_NULL) {
		json_object_set_new(data, "version", json_integer(version));
	} else if (why != NULL) {
		json_object_set_new(data, "reason", json_string(why));
	}
	bus_fold_emit(wish->fold, &(bus_follow_up){ .type = wish->answer,
						    .step = "done",
						    .data = data });
	return bus_fold_ignore(wish->fold, "there is nothing to do%s%s",
			       why != NULL ? ": " : "", why != NULL ? why : "");
}

static bus_found
get_version(const request *wish, int64_t version, const bus_route_version_row **ret_row)
{
	const void *found;
	bus_route_version_row key = { .host = wish->route.host, .version = version };
	bus_found answer =
		bus_fold_get(wish->fold, &bus_route_version_table, &key, &found);
	*ret_row = found;
	return answer;
}

/* What a step made of this host's route; *ret_row NULL if nothing. */
static bus_found
get_step(const request *wish, bus_str step, const bus_route_step_row **ret_row)
{
	const void *found = NULL;
	*ret_row = NULL;
	if (step.data == NULL) {
		return BUS_ABSENT;
	}
	bus_route_step_row key = { .sagaid = wish->event->sagaid, .step = step };
	bus_found answer = bus_fold_get(wish->fold, &bus_route_step_table, &key, &found);
	const bus_route_step_row *row = found;
	if (row != NULL && bus_str_eq(row->host, wish->route.host)) {
		*ret_row = row;
	}
	return answer;
}

/* The version whose targets these are. */
static int64_t
origin_of(const bus_route_version_row *version)
{
	return version->restores != BUS_INT_NULL ? version->restores : version->version;
}

/* The rows that every request needs; false: wait. */
static bool
load(request *wish)
{
	const void *found;
	if (bus_fold_get(wish->fold, &bus_route_table, &wish->route, &found) == BUS_WAIT) {
		return false;
	}
	if (found != NULL) {
		wish->route = *(const bus_route_row *)found;
		wish->exists = true;
	}
	if (get_step(wish, bus_step_of(wish->event), &wish->step) == BUS_WAIT) {
		return false;
	}
	return wish->step == NULL ||
	       get_version(wish, wish->step->version, &wish->attempted) != BUS_WAIT;
}

/* An attempt to do what a compensation has taken back already; *ret_late says so. */
static bool
look_for_undo(const request *wish, bool *ret_late)
{
	const bus_route_step_row *undo;
	bus_str done = bus_step_done(wish->fold, wish->event);
	bus_str own = bus_step_of(wish->event);
	*ret_late = false;
	if (done.data == NULL || !bus_str_eq(done, own)) {
		return true;
	}
	bus_str name = bus_arena_printf(bus_fold_arena(wish->fold), "%.*sundo",
					(int)(done.len - 2), done.data);
	if (get_step(wish, name, &undo) == BUS_WAIT) {
		return false;
	}
	*ret_late = undo != NULL;
	return true;
}

/* The targets as they are wanted now; false: wait. */
static bool
load_wanted(request *wish)
{
	return !wish->exists ||
	       get_version(wish, wish->route.wanted_version, &wish->wanted) != BUS_WAIT;
}

/* False: wish->verdict is the answer. */
static bool
begin(request *wish, const json_t *data)
{
	const bus_event *event = wish->event;
	bool late;
	if (bus_str_empty(event->subject)) {
		wish->verdict =
			bus_fold_reject(wish->fold, "the subject must name the app");
		return false;
	}
	wish->reason = bus_json_str(data, "reason");
	wish->route = (bus_route_row){
		.tenant = event->tenant,
		.app = event->subject,
		.host = bus_json_str(data, "host"),
		.applied_version = BUS_INT_NULL,
	};
	if (!load(wish) || !look_for_undo(wish, &late)) {
		wish->verdict = bus_fold_wait(wish->fold);
		return false;
	}
	if (late) {
		wish->verdict =
			refuse(wish,
			       BUS_STR("this step of the saga was taken back already"));
		return false;
	}
	if (wish->attempted == NULL || bus_str_is(wish->attempted->status, "failed")) {
		return true;
	}
	if (bus_str_is(wish->attempted->status, "changed")) {
		wish->verdict = fulfil(wish, wish->attempted->version, NULL);
	} else {
		wish->verdict = bus_fold_ignore(wish->fold,
						"version %" PRId64
						" is that of an earlier attempt",
						wish->attempted->version);
	}
	return false;
}

/* What a revert goes back to is what was wanted before the first attempt, unless somebody has
 * asked for something else since. */
static int64_t
version_before(const request *wish)
{
	if (!wish->exists) {
		return BUS_INT_NULL;
	}
	return wish->step != NULL && wish->step->version == wish->route.wanted_version ?
		       wish->step->version_before :
		       wish->route.wanted_version;
}

static void
remember(const request *wish, int64_t version)
{
	bus_str step = bus_step_of(wish->event);
	if (step.data != NULL) {
		bus_fold_put(wish->fold, &bus_route_step_table,
			     &(bus_route_step_row){
				     .tenant = wish->event->tenant,
				     .app = wish->event->subject,
				     .sagaid = wish->event->sagaid,
				     .step = step,
				     .host = wish->route.host,
				     .version = version,
				     .version_before = version_before(wish),
				     .stamp = bus_stamp_of(wish->event),
			     });
	}
}

static bus_verdict
make_version(const request *wish, const busp_targets *targets, int64_t restores)
{
	const bus_event *event = wish->event;
	bus_route_row route = wish->route;
	route.wanted_version++;
	route.stamp = bus_stamp_of(event);
	bus_fold_put(wish->fold, &bus_route_table, &route);
	bus_fold_put(wish->fold, &bus_route_version_table,
		     &(bus_route_version_row){
			     .tenant = event->tenant,
			     .app = event->subject,
			     .host = route.host,
			     .version = route.wanted_version,
			     .status = BUS_STR("requested"),
			     .reason = wish->reason,
			     .requested_by = event->actor,
			     .requested_at = event->time_us,
			     .finished_at = BUS_INT_NULL,
			     .targets = busp_targets_text(targets,
							  bus_fold_arena(wish->fold)),
			     .restores = restores,
			     .stamp = bus_stamp_of(event),
		     });
	for (size_t i = 0; i < targets->count; i++) {
		bus_fold_put(wish->fold, &bus_route_target_table,
			     &(bus_route_target_row){
				     .tenant = event->tenant,
				     .app = event->subject,
				     .host = route.host,
				     .version = route.wanted_version,
				     .release = targets->rows[i].release,
				     .weight = targets->rows[i].weight,
				     .stamp = bus_stamp_of(event),
			     });
	}
	remember(wish, route.wanted_version);
	return BUS_APPLIED;
}

bus_verdict
busp_on_change_requested(bus_fold *fold, const bus_event *event, const json_t *data)
{
	request wish = { .fold = fold,
			 .event = event,
			 .answer = "io.busline.route.changed.v1" };
	busp_targets targets = busp_targets_read(json_object_get(data, "targets"));
	if (!begin(&wish, data)) {
		return wish.verdict;
	}
	bus_str wrong = busp_targets_check(&targets, bus_fold_arena(fold));
	return wrong.data != NULL ? refuse(&wish, wrong) :
				    make_version(&wish, &targets, BUS_INT_NULL);
}

bus_verdict
busp_on_shift_requested(bus_fold *fold, const bus_event *event, const json_t *data)
{
	request wish = { .fold = fold,
			 .event = event,
			 .answer = "io.busline.route.changed.v1" };
	if (!begin(&wish, data)) {
		return wish.verdict;
	}
	if (!load_wanted(&wish)) {
		return bus_fold_wait(fold);
	}
	busp_targets before =
		busp_targets_parse(wish.wanted != NULL ? wish.wanted->targets :
							 BUS_STR_NULL);
	busp_targets after = busp_targets_shift(&before, bus_json_int(data, "release", 0),
						bus_json_int(data, "weight", 0));
	if (after.count > BUSP_TARGETS_MAX) {
		return refuse(&wish, BUS_STR("the host would have more than 16 targets"));
	}
	return make_version(&wish, &after, BUS_INT_NULL);
}

bus_verdict
busp_on_remove_requested(bus_fold *fold, const bus_event *event, const json_t *data)
{
	static const busp_targets none = { .count = 0 };
	request wish = { .fold = fold,
			 .event = event,
			 .answer = "io.busline.route.removed.v1" };
	if (!begin(&wish, data)) {
		return wish.verdict;
	}
	if (!load_wanted(&wish)) {
		return bus_fold_wait(fold);
	}
	if (!wish.exists ||
	    (wish.wanted != NULL && bus_str_is(wish.wanted->status, "changed") &&
	     busp_targets_parse(wish.wanted->targets).count == 0)) {
		return fulfil(&wish, BUS_INT_NULL, NULL);
	}
	return make_version(&wish, &none, BUS_INT_NULL);
}

bus_verdict
busp_on_route_revert_requested(bus_fold *fold, const bus_event *event, const json_t *data)
{
	request wish = { .fold = fold,
			 .event = event,
			 .answer = "io.busline.route.reverted.v1" };
	const bus_route_step_row *done;
	const bus_route_version_row *before = NULL;
	if (!begin(&wish, data)) {
		return wish.verdict;
	}
	if (!load_wanted(&wish)) {
		return bus_fold_wait(fold);
	}
	if (get_step(&wish, bus_step_done(fold, event), &done) == BUS_WAIT ||
	    (done != NULL && done->version_before != BUS_INT_NULL &&
	     get_version(&wish, done->version_before, &before) == BUS_WAIT)) {
		return bus_fold_wait(fold);
	}
	if (done == NULL || wish.wanted == NULL) {
		return fulfil(&wish, BUS_INT_NULL,
			      "this step of the saga has not changed the route");
	}
	/* An earlier attempt at reverting that failed has restored what was before already. */
	bool own = wish.step != NULL && wish.step->version == wish.wanted->version;
	if (!own && origin_of(wish.wanted) != done->version) {
		return fulfil(&wish, BUS_INT_NULL,
			      "somebody else has changed the route since");
	}
	busp_targets targets =
		busp_targets_parse(before != NULL ? before->targets : BUS_STR_NULL);
	return make_version(&wish, &targets,
			    before != NULL ? origin_of(before) : BUS_INT_NULL);
}
