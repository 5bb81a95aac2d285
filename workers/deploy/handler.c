/*
 * handler.c - deploy: numbered releases of each app
 *
 * DESIGN
 * A release is made by a command and never changes what it is; facts move its status
 *
 *     requested -> started -> succeeded | failed
 *
 * where `started` may be missing (facts of different sources can overtake it on the way
 * into the log) and the last two are final, but for a release that is retired. A rollback is
 * a new release that copies an old one: numbers only grow, and history stays what it was.
 *
 * A step of a saga makes one release, however often it is attempted. Only if that one failed
 * does the next attempt make another.
 */
#include "workers/deploy/handler.h"

#include <inttypes.h>

#include "core/json.h"
#include "workers/deploy/later.h"
#include "workers/engine/step.h"

#define FAILED_TYPE "io.busline.deploy.failed.v1"

static const bus_column deployment_columns[] = {
	BUS_COLUMN(bus_deployment_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bus_deployment_row, app, BUS_COL_TEXT),
	BUS_COLUMN(bus_deployment_row, latest_release, BUS_COL_INT8),
	BUS_COLUMN(bus_deployment_row, current_release, BUS_COL_INT8),
	BUS_COLUMN(bus_deployment_row, previous_release, BUS_COL_INT8),
	BUS_STAMP_COLUMNS(bus_deployment_row),
};

const bus_row_type bus_deployment_table = {
	.name = "deployment",
	.size = sizeof(bus_deployment_row),
	.columns = deployment_columns,
	.column_count = sizeof(deployment_columns) / sizeof(deployment_columns[0]),
	.key_count = 2,
};

static const bus_column release_columns[] = {
	BUS_COLUMN(bus_release_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bus_release_row, app, BUS_COL_TEXT),
	BUS_COLUMN(bus_release_row, number, BUS_COL_INT8),
	BUS_COLUMN(bus_release_row, kind, BUS_COL_TEXT),
	BUS_COLUMN(bus_release_row, rollback_to, BUS_COL_INT8),
	BUS_COLUMN(bus_release_row, image, BUS_COL_TEXT),
	BUS_COLUMN(bus_release_row, command, BUS_COL_JSON),
	BUS_COLUMN(bus_release_row, environment, BUS_COL_JSON),
	BUS_COLUMN(bus_release_row, artifact_digest, BUS_COL_TEXT),
	BUS_COLUMN(bus_release_row, status, BUS_COL_TEXT),
	BUS_COLUMN(bus_release_row, reason, BUS_COL_TEXT),
	BUS_COLUMN(bus_release_row, requested_by, BUS_COL_TEXT),
	BUS_COLUMN(bus_release_row, requested_at, BUS_COL_TIME),
	BUS_COLUMN(bus_release_row, started_at, BUS_COL_TIME),
	BUS_COLUMN(bus_release_row, finished_at, BUS_COL_TIME),
	BUS_STAMP_COLUMNS(bus_release_row),
};

const bus_row_type bus_release_table = {
	.name = "release",
	.size = sizeof(bus_release_row),
	.columns = release_columns,
	.column_count = sizeof(release_columns) / sizeof(release_columns[0]),
	.key_count = 3,
};

static const bus_column deploy_step_columns[] = {
	BUS_COLUMN(bus_deploy_step_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bus_deploy_step_row, app, BUS_COL_TEXT),
	BUS_COLUMN(bus_deploy_step_row, sagaid, BUS_COL_TEXT),
	BUS_COLUMN(bus_deploy_step_row, step, BUS_COL_TEXT),
	BUS_COLUMN(bus_deploy_step_row, release, BUS_COL_INT8),
	BUS_STAMP_COLUMNS(bus_deploy_step_row),
};

const bus_row_type bus_deploy_step_table = {
	.name = "deploy_step",
	.size = sizeof(bus_deploy_step_row),
	.columns = deploy_step_columns,
	.column_count = sizeof(deploy_step_columns) / sizeof(deploy_step_columns[0]),
	.key_count = 4,
};

static const bus_column release_check_columns[] = {
	BUS_COLUMN(bus_release_check_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bus_release_check_row, app, BUS_COL_TEXT),
	BUS_COLUMN(bus_release_check_row, release, BUS_COL_INT8),
	BUS_COLUMN(bus_release_check_row, status, BUS_COL_TEXT),
	BUS_COLUMN(bus_release_check_row, reason, BUS_COL_TEXT),
	BUS_COLUMN(bus_release_check_row, requested_by, BUS_COL_TEXT),
	BUS_COLUMN(bus_release_check_row, requested_at, BUS_COL_TIME),
	BUS_COLUMN(bus_release_check_row, finished_at, BUS_COL_TIME),
	BUS_STAMP_COLUMNS(bus_release_check_row),
};

const bus_row_type bus_release_check_table = {
	.name = "release_check",
	.size = sizeof(bus_release_check_row),
	.columns = release_check_columns,
	.column_count = sizeof(release_check_columns) / sizeof(release_check_columns[0]),
	.key_count = 3,
};

/* What the command and the environment are stored as; absent stays absent. */
static bus_str
json_text(bus_fold *fold, const json_t *value)
{
	if (value == NULL) {
		return BUS_STR_NULL;
	}
	size_t len = json_dumpb(value, NULL, 0, JSON_COMPACT);
	char *text = bus_arena_alloc(bus_fold_arena(fold), len + 1);
	json_dumpb(value, text, len, JSON_COMPACT);
	return (bus_str){ text, len };
}

/* The next release of the app, with all that a command gives it, and its deployment. */
static void
put_release(bus_fold *fold, const bus_event *event, const bus_deployment_row *old,
	    bus_release_row *release)
{
	bus_deployment_row deployment = {
		.current_release = BUS_INT_NULL,
		.previous_release = BUS_INT_NULL,
	};
	if (old != NULL) {
		deployment = *old;
	}
	deployment.tenant = event->tenant;
	deployment.app = event->subject;
	deployment.latest_release++;
	deployment.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_deployment_table, &deployment);

	release->tenant = event->tenant;
	release->app = event->subject;
	release->number = deployment.latest_release;
	release->status = BUS_STR("requested");
	release->requested_by = event->actor;
	release->requested_at = event->time_us;
	release->started_at = BUS_INT_NULL;
	release->finished_at = BUS_INT_NULL;
	release->stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_release_table, release);
	bus_str step = bus_step_of(event);
	if (step.data != NULL) {
		bus_fold_put(fold, &bus_deploy_step_table,
			     &(bus_deploy_step_row){
				     .tenant = event->tenant,
				     .app = event->subject,
				     .sagaid = event->sagaid,
				     .step = step,
				     .release = release->number,
				     .stamp = bus_stamp_of(event),
			     });
	}
}

/* A command that cannot be carried out is answered at once, so that whoever waits for its
 * terminal fact gets one; there is no release it could name. */
static bus_verdict
refuse(bus_fold *fold, bus_str reason)
{
	bus_fold_emit(fold, &(bus_follow_up){
				    .type = FAILED_TYPE,
				    .step = "refused",
				    .data = json_pack("{s:s%}", "reason", reason.data,
						      reason.len),
			    });
	return bus_fold_reject(fold, "%.*s", BUS_STR_ARG(reason));
}

bus_found
busp_release_of_step(bus_fold *fold, bus_str sagaid, bus_str step,
		     const bus_release_row **ret_release)
{
	const void *found = NULL;
	*ret_release = NULL;
	if (step.data == NULL) {
		return BUS_ABSENT;
	}
	bus_deploy_step_row key = { .sagaid = sagaid, .step = step };
	bus_found answer = bus_fold_get(fold, &bus_deploy_step_table, &key, &found);
	if (answer != BUS_FOUND) {
		return answer;
	}
	const bus_deploy_step_row *row = found;
	answer = bus_fold_get(fold, &bus_release_table,
			      &(bus_release_row){ .number = row->release }, &found);
	*ret_release = found;
	return answer;
}

/* Is this another attempt at what has been done? Then *ret_verdict is the answer. */
static bool
repeated(bus_fold *fold, const bus_event *event, bus_verdict *ret_verdict)
{
	const bus_release_row *release;
	switch (busp_release_of_step(fold, event->sagaid, bus_step_of(event), &release)) {
	case BUS_WAIT:
		*ret_verdict = bus_fold_wait(fold);
		return true;
	case BUS_ABSENT:
		return false;
	case BUS_FOUND:
		break;
	}
	if (bus_str_is(release->status, "failed")) {
		return false;
	}
	if (bus_str_is(release->status, "retiring") ||
	    bus_str_is(release->status, "retired")) {
		/* It must not do what nobody would take back. */
		*ret_verdict =
			refuse(fold,
			       BUS_STR("this step of the saga was taken back already"));
		return true;
	}
	if (bus_str_is(release->status, "succeeded")) {
		bus_fold_emit(fold, &(bus_follow_up){
					    .type = "io.busline.deploy.succeeded.v1",
					    .step = "repeated",
					    .data = json_pack("{s:I}", "release",
							      (json_int_t)release->number),
				    });
	}
	*ret_verdict =
		bus_fold_ignore(fold, "release %" PRId64 " is that of an earlier attempt",
				release->number);
	return true;
}

static bus_verdict
on_requested(bus_fold *fold, const bus_event *event, const json_t *data)
{
	if (bus_str_empty(event->subject)) {
		return bus_fold_reject(fold, "the subject must name the app");
	}
	bus_verdict verdict;
	if (repeated(fold, event, &verdict)) {
		return verdict;
	}
	const void *deployment;
	if (bus_fold_get(fold, &bus_deployment_table, &(bus_deployment_row){ 0 },
			 &deployment) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	bus_release_row release = {
		.kind = BUS_STR("deploy"),
		.rollback_to = BUS_INT_NULL,
		.image = bus_json_str(data, "image"),
		.command = json_text(fold, json_object_get(data, "command")),
		.environment = json_text(fold, json_object_get(data, "environment")),
		.artifact_digest = bus_json_str(data, "artifact_digest"),
	};
	put_release(fold, event, deployment, &release);
	return BUS_APPLIED;
}

static bus_verdict
on_rollback_requested(bus_fold *fold, const bus_event *event, const json_t *data)
{
	if (bus_str_empty(event->subject)) {
		return bus_fold_reject(fold, "the subject must name the app");
	}
	bus_verdict verdict;
	if (repeated(fold, event, &verdict)) {
		return verdict;
	}
	const void *found;
	if (bus_fold_get(fold, &bus_deployment_table, &(bus_deployment_row){ 0 },
			 &found) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	const bus_deployment_row *deployment = found;
	if (deployment == NULL) {
		return refuse(fold, BUS_STR("the app has no release to roll back to"));
	}
	int64_t target = bus_json_int(data, "to_release", deployment->previous_release);
	if (target == BUS_INT_NULL) {
		return refuse(fold, BUS_STR("no release succeeded before the current one; "
					    "name one with to_release"));
	}
	if (bus_fold_get(fold, &bus_release_table, &(bus_release_row){ .number = target },
			 &found) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	const bus_release_row *old = found;
	if (old == NULL) {
		return refuse(fold,
			      bus_arena_printf(bus_fold_arena(fold),
					       "there is no release %" PRId64, target));
	}
	bus_release_row release = {
		.kind = BUS_STR("rollback"),
		.rollback_to = target,
		.image = old->image,
		.command = old->command,
		.environment = old->environment,
		.artifact_digest = old->artifact_digest,
		.reason = bus_json_str(data, "reason"),
	};
	put_release(fold, event, deployment, &release);
	return BUS_APPLIED;
}

/* The release a fact is about, ready to be changed; false if *ret_verdict is the answer. */
static bool
release_of(bus_fold *fold, int64_t number, bus_release_row *ret_release,
	   bus_verdict *ret_verdict)
{
	const void *found;
	if (bus_fold_get(fold, &bus_release_table, &(bus_release_row){ .number = number },
			 &found) == BUS_WAIT) {
		*ret_verdict = bus_fold_wait(fold);
		return false;
	}
	if (found == NULL) {
		*ret_verdict =
			bus_fold_ignore(fold, "there is no release %" PRId64, number);
		return false;
	}
	*ret_release = *(const bus_release_row *)found;
	if (ret_release->finished_at != BUS_INT_NULL) {
		*ret_verdict =
			bus_fold_ignore(fold, "release %" PRId64 " is final: it %.*s",
					number, BUS_STR_ARG(ret_release->status));
		return false;
	}
	return true;
}

/* One that is being retired stays so: its times keep what it has come to. */
static void
move(bus_release_row *release, bus_str status)
{
	if (!bus_str_is(release->status, "retiring")) {
		release->status = status;
	}
}

static bus_verdict
on_started(bus_fold *fold, const bus_event *event, const json_t *data)
{
	bus_release_row release;
	bus_verdict verdict;
	if (!release_of(fold, bus_json_int(data, "release", 0), &release, &verdict)) {
		return verdict;
	}
	if (release.started_at != BUS_INT_NULL) {
		return bus_fold_ignore(fold, "release %" PRId64 " has started already",
				       release.number);
	}
	move(&release, BUS_STR("started"));
	release.started_at = event->time_us;
	release.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_release_table, &release);
	return BUS_APPLIED;
}

static bus_verdict
on_succeeded(bus_fold *fold, const bus_event *event, const json_t *data)
{
	bus_release_row release;
	bus_verdict verdict;
	if (!release_of(fold, bus_json_int(data, "release", 0), &release, &verdict)) {
		return verdict;
	}
	const void *found;
	if (bus_fold_get(fold, &bus_deployment_table, &(bus_deployment_row){ 0 },
			 &found) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	if (found == NULL) {
		return bus_fold_reject(fold,
				       "release %" PRId64 " belongs to no deployment",
				       release.number);
	}
	move(&release, BUS_STR("succeeded"));
	release.finished_at = event->time_us;
	release.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_release_table, &release);

	/* An older release that succeeds late does not take over from a newer one. */
	bus_deployment_row deployment = *(const bus_deployment_row *)found;
	if (deployment.current_release == BUS_INT_NULL ||
	    release.number > deployment.current_release) {
		deployment.previous_release = deployment.current_release;
		deployment.current_release = release.number;
		deployment.stamp = bus_stamp_of(event);
		bus_fold_put(fold, &bus_deployment_table, &deployment);
	}
	return BUS_APPLIED;
}

static bus_verdict
on_failed(bus_fold *fold, const bus_event *event, const json_t *data)
{
	if (json_object_get(data, "release") == NULL) {
		return bus_fold_ignore(fold,
				       "no release named: it answers a refused request");
	}
	bus_release_row release;
	bus_verdict verdict;
	if (!release_of(fold, bus_json_int(data, "release", 0), &release, &verdict)) {
		return verdict;
	}
	release.status = BUS_STR("failed");
	release.reason = bus_json_str(data, "reason");
	release.finished_at = event->time_us;
	release.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_release_table, &release);
	return BUS_APPLIED;
}

static const bus_handler handlers[] = {
	{ "io.busline.deploy.requested.v1", on_requested },
	{ "io.busline.deploy.rollback-requested.v1", on_rollback_requested },
	{ "io.busline.deploy.started.v1", on_started },
	{ "io.busline.deploy.succeeded.v1", on_succeeded },
	{ FAILED_TYPE, on_failed },
	{ "io.busline.deploy.verify-requested.v1", busp_on_verify_requested },
	{ "io.busline.deploy.verified.v1", busp_on_verified },
	{ "io.busline.deploy.verify-failed.v1", busp_on_verify_failed },
	{ "io.busline.deploy.retire-requested.v1", busp_on_retire_requested },
	{ "io.busline.deploy.retired.v1", busp_on_retired },
	{ "io.busline.deploy.retire-failed.v1", busp_on_retire_failed },
	{ NULL, NULL },
};

static const bus_row_type *const tables[] = {
	&bus_deployment_table,
	&bus_release_table,
	&bus_deploy_step_table,
	&bus_release_check_table,
	NULL,
};

const bus_worker bus_deploy_worker = {
	.name = "deploy",
	.topic = "busline.deploy",
	.help = "Folds busline.deploy into releases and deployments",
	.handlers = handlers,
	.tables = tables,
};
