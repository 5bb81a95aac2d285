/*
 * handler.c - catalog: what tenants, apps and artifacts there are
 *
 * An event that says what is so already is IGNORED: creation and registration may be sent
 * again by anybody at any time, under a new id, without harm.
 */
#include "workers/catalog/handler.h"

#include "core/json.h"

static const bus_column tenant_columns[] = {
	BUS_COLUMN(bus_tenant_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bus_tenant_row, name, BUS_COL_TEXT),
	BUS_COLUMN(bus_tenant_row, plan, BUS_COL_TEXT),
	BUS_COLUMN(bus_tenant_row, created_at, BUS_COL_TIME),
	BUS_STAMP_COLUMNS(bus_tenant_row),
};

const bus_row_type bus_tenant_table = {
	.name = "tenant",
	.size = sizeof(bus_tenant_row),
	.columns = tenant_columns,
	.column_count = sizeof(tenant_columns) / sizeof(tenant_columns[0]),
	.key_count = 1,
};

static const bus_column app_columns[] = {
	BUS_COLUMN(bus_app_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bus_app_row, app, BUS_COL_TEXT),
	BUS_COLUMN(bus_app_row, description, BUS_COL_TEXT),
	BUS_COLUMN(bus_app_row, owner, BUS_COL_TEXT),
	BUS_COLUMN(bus_app_row, created_at, BUS_COL_TIME),
	BUS_COLUMN(bus_app_row, deleted_at, BUS_COL_TIME),
	BUS_COLUMN(bus_app_row, delete_reason, BUS_COL_TEXT),
	BUS_STAMP_COLUMNS(bus_app_row),
};

const bus_row_type bus_app_table = {
	.name = "app",
	.size = sizeof(bus_app_row),
	.columns = app_columns,
	.column_count = sizeof(app_columns) / sizeof(app_columns[0]),
	.key_count = 2,
};

static const bus_column artifact_columns[] = {
	BUS_COLUMN(bus_artifact_row, tenant, BUS_COL_TEXT),
	BUS_COLUMN(bus_artifact_row, app, BUS_COL_TEXT),
	BUS_COLUMN(bus_artifact_row, digest, BUS_COL_TEXT),
	BUS_COLUMN(bus_artifact_row, image, BUS_COL_TEXT),
	BUS_COLUMN(bus_artifact_row, size_bytes, BUS_COL_INT8),
	BUS_COLUMN(bus_artifact_row, source_commit, BUS_COL_TEXT),
	BUS_COLUMN(bus_artifact_row, registered_at, BUS_COL_TIME),
	BUS_STAMP_COLUMNS(bus_artifact_row),
};

const bus_row_type bus_artifact_table = {
	.name = "artifact",
	.size = sizeof(bus_artifact_row),
	.columns = artifact_columns,
	.column_count = sizeof(artifact_columns) / sizeof(artifact_columns[0]),
	.key_count = 3,
};

static bus_verdict
on_tenant_created(bus_fold *fold, const bus_event *event, const json_t *data)
{
	/* The row is the tenant's, so only events of the tenant's own key may touch it:
	 * events of an app's key have no order with those of another app. */
	if (!bus_str_empty(event->subject)) {
		return bus_fold_reject(fold, "tenant.created is about the tenant itself: "
					     "it must not have a subject");
	}
	const void *found;
	if (bus_fold_get(fold, &bus_tenant_table, &(bus_tenant_row){ 0 }, &found) ==
	    BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	if (found != NULL) {
		return bus_fold_ignore(fold, "tenant exists");
	}
	bus_fold_put(fold, &bus_tenant_table,
		     &(bus_tenant_row){
			     .tenant = event->tenant,
			     .name = bus_json_str(data, "name"),
			     .plan = bus_json_str(data, "plan"),
			     .created_at = event->time_us,
			     .stamp = bus_stamp_of(event),
		     });
	return BUS_APPLIED;
}

static bus_verdict
on_app_created(bus_fold *fold, const bus_event *event, const json_t *data)
{
	if (bus_str_empty(event->subject)) {
		return bus_fold_reject(fold, "the subject must name the app");
	}
	const void *found;
	if (bus_fold_get(fold, &bus_app_table, &(bus_app_row){ 0 }, &found) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	const bus_app_row *old = found;
	if (old != NULL && old->deleted_at == BUS_INT_NULL) {
		return bus_fold_ignore(fold, "app exists");
	}
	/* After a deletion this is another app of the same name: nothing is taken over. */
	bus_fold_put(fold, &bus_app_table,
		     &(bus_app_row){
			     .tenant = event->tenant,
			     .app = event->subject,
			     .description = bus_json_str(data, "description"),
			     .owner = bus_json_str(data, "owner"),
			     .created_at = event->time_us,
			     .deleted_at = BUS_INT_NULL,
			     .stamp = bus_stamp_of(event),
		     });
	return BUS_APPLIED;
}

static bus_verdict
on_app_deleted(bus_fold *fold, const bus_event *event, const json_t *data)
{
	if (bus_str_empty(event->subject)) {
		return bus_fold_reject(fold, "the subject must name the app");
	}
	const void *found;
	if (bus_fold_get(fold, &bus_app_table, &(bus_app_row){ 0 }, &found) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	const bus_app_row *old = found;
	if (old == NULL) {
		return bus_fold_ignore(fold, "no such app");
	}
	if (old->deleted_at != BUS_INT_NULL) {
		return bus_fold_ignore(fold, "app is deleted already");
	}
	bus_app_row row = *old;
	row.deleted_at = event->time_us;
	row.delete_reason = bus_json_str(data, "reason");
	row.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_app_table, &row);
	return BUS_APPLIED;
}

/* The answer to a request to delete; whatever it was before, the app is gone. */
static bus_verdict
deleted(bus_fold *fold, bus_str reason, bus_verdict verdict)
{
	json_t *answer = json_object();
	if (reason.data != NULL) {
		json_object_set_new(answer, "reason",
				    json_stringn(reason.data, reason.len));
	}
	bus_fold_emit(fold, &(bus_follow_up){ .type = "io.busline.catalog.app.deleted.v1",
					      .step = "deleted",
					      .data = answer });
	return verdict;
}

static bus_verdict
on_app_delete_requested(bus_fold *fold, const bus_event *event, const json_t *data)
{
	if (bus_str_empty(event->subject)) {
		return bus_fold_reject(fold, "the subject must name the app");
	}
	const void *found;
	if (bus_fold_get(fold, &bus_app_table, &(bus_app_row){ 0 }, &found) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	const bus_app_row *old = found;
	if (old == NULL) {
		bus_fold_emit(fold,
			      &(bus_follow_up){
				      .type = "io.busline.catalog.app.delete-failed.v1",
				      .step = "refused",
				      .data = json_pack("{s:s}", "reason",
							"there is no such app"),
			      });
		return bus_fold_reject(fold, "there is no such app");
	}
	if (old->deleted_at != BUS_INT_NULL) {
		return deleted(fold, old->delete_reason,
			       bus_fold_ignore(fold, "app is deleted already"));
	}
	bus_app_row row = *old;
	row.deleted_at = event->time_us;
	row.delete_reason = bus_json_str(data, "reason");
	row.stamp = bus_stamp_of(event);
	bus_fold_put(fold, &bus_app_table, &row);
	return deleted(fold, row.delete_reason, BUS_APPLIED);
}

static bus_verdict
on_app_delete_failed(bus_fold *fold, const bus_event *event, const json_t *data)
{
	(void)event;
	(void)data;
	return bus_fold_ignore(fold, "it answers a refused request");
}

static bus_verdict
on_artifact_registered(bus_fold *fold, const bus_event *event, const json_t *data)
{
	if (bus_str_empty(event->subject)) {
		return bus_fold_reject(fold, "the subject must name the app");
	}
	bus_artifact_row row = {
		.tenant = event->tenant,
		.app = event->subject,
		.digest = bus_json_str(data, "digest"),
		.image = bus_json_str(data, "image"),
		.size_bytes = bus_json_int(data, "size_bytes", BUS_INT_NULL),
		.source_commit = bus_json_str(data, "source_commit"),
		.registered_at = event->time_us,
		.stamp = bus_stamp_of(event),
	};
	const void *found;
	if (bus_fold_get(fold, &bus_artifact_table, &row, &found) == BUS_WAIT) {
		return bus_fold_wait(fold);
	}
	if (found != NULL) {
		return bus_fold_ignore(fold, "artifact is registered already");
	}
	bus_fold_put(fold, &bus_artifact_table, &row);
	return BUS_APPLIED;
}

static const bus_handler handlers[] = {
	{ "io.busline.catalog.tenant.created.v1", on_tenant_created },
	{ "io.busline.catalog.app.created.v1", on_app_created },
	{ "io.busline.catalog.app.deleted.v1", on_app_deleted },
	{ "io.busline.catalog.app.delete-requested.v1", on_app_delete_requested },
	{ "io.busline.catalog.app.delete-failed.v1", on_app_delete_failed },
	{ "io.busline.catalog.artifact.registered.v1", on_artifact_registered },
	{ NULL, NULL },
};

static const bus_row_type *const tables[] = {
	&bus_tenant_table,
	&bus_app_table,
	&bus_artifact_table,
	NULL,
};

const bus_worker bus_catalog_worker = {
	.name = "catalog",
	.topic = "busline.catalog",
	.help = "Folds busline.catalog into tenants, apps and artifacts",
	.handlers = handlers,
	.tables = tables,
};
