/*
 * test_state.c - rows of folds in PostgreSQL: each member in the column of its name, and back
 *
 * Parameters are matched by place, columns by name: only a database can tell that the two
 * agree. Events are folded with nothing kept in memory, so that every row a fold needs comes
 * back from PostgreSQL.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/fold_bench_private.h"
#include "tests/support/pg_cluster.h"
#include "tests/support/suite.h"
#include "workers/catalog/handler.h"
#include "workers/deploy/handler.h"
#include "workers/route/handler.h"
#include "workers/saga/handler.h"
#include "workers/scale/handler.h"

#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static pg_cluster *cluster;
static PGconn *db;
static bus_store *store;

static int
setup(void)
{
	bus_error err = BUS_ERROR_INIT;
	cluster = pg_cluster_start();
	if (cluster == NULL || !pg_cluster_database(cluster, "state")) {
		return 1;
	}
	bus_store_options options = {
		.url = pg_cluster_url(cluster, "state"),
		.deadline_ms = 30000,
		.durable = true,
		.clock = bus_clock_system(),
	};
	const bus_migration *migrations;
	size_t count;
	bus_store *migrator = bus_store_create(&options);
	bus_status status = bus_store_migrate(migrator, false, &migrations, &count, &err);
	bus_store_destroy(migrator);
	options.role = "busline_worker";
	store = bus_store_create(&options);
	if (status == BUS_OK) {
		status = bus_store_connect(store, &err);
	}
	if (status != BUS_OK) {
		fprintf(stderr, "state: %s\n", err.text);
		return 1;
	}
	db = PQconnectdb(pg_cluster_url(cluster, "state"));
	return PQstatus(db) == CONNECTION_OK ? 0 : 1;
}

static int
teardown(void)
{
	PQfinish(db);
	bus_store_destroy(store);
	pg_cluster_stop(cluster);
	return 0;
}

/* ---- what PostgreSQL has ---- */

/* All rows of a table as JSON, in the order of their keys. */
static json_t *
rows_of(const bus_row_type *type)
{
	char text[256];
	snprintf(text, sizeof(text),
		 "set time zone 'UTC'; select coalesce(jsonb_agg(jsonb_strip_nulls(to_jsonb(t)) "
		 "order by t), '[]') from paas.%s t",
		 type->name);
	PGresult *result = PQexec(db, text);
	CU_ASSERT_EQUAL_FATAL(PQresultStatus(result), PGRES_TUPLES_OK);
	json_t *rows = json_loads(PQgetvalue(result, 0, 0), 0, NULL);
	PQclear(result);
	return rows;
}

/* Times as the database writes them become microseconds, as a row has them. */
static void
convert_times(const bus_row_type *type, json_t *row)
{
	for (size_t c = 0; c < type->column_count; c++) {
		json_t *value = json_object_get(row, type->columns[c].name);
		int64_t time_us;
		if (type->columns[c].type == BUS_COL_TIME && value != NULL) {
			CU_ASSERT_FATAL(bus_time_parse(
				bus_str_from(json_string_value(value)), &time_us));
			json_object_set_new(row, type->columns[c].name,
					    json_integer(time_us));
		}
	}
}

/* PostgreSQL has exactly these rows, each value in the column of its member's name. */
static void
check_table(const bus_row_type *type, const busp_bench *expected)
{
	json_t *got = rows_of(type), *want = json_array(), *row;
	size_t i;
	json_array_foreach(got, i, row)
	{
		convert_times(type, row);
	}
	for (i = 0; i < expected->row_count; i++) {
		if (expected->rows[i].type == type) {
			json_array_append_new(want,
					      busp_bench_row_json(type,
								  expected->rows[i].row,
								  true));
		}
	}
	char *got_text = json_dumps(got, JSON_COMPACT | JSON_SORT_KEYS);
	char *want_text = json_dumps(want, JSON_COMPACT | JSON_SORT_KEYS);
	busp_bench_check(strcmp(got_text, want_text) == 0, "rows in PostgreSQL",
			 type->name, got_text, want_text);
	busp_bench_check(json_array_size(want) > 0, "rows", type->name, "none", "some");
	free(got_text);
	free(want_text);
	json_decref(got);
	json_decref(want);
}

/* ---- folding into it ---- */

static bus_status
load(void *ctx, const bus_row_type *type, const void *const *keys, size_t count,
     bus_arena *arena, void **ret_rows, size_t *ret_count, bus_error *err)
{
	(void)ctx;
	return bus_store_load(store, type, keys, count, arena, ret_rows, ret_count, err);
}

static void
commit(bus_folder *folder, bus_stream *stream, busp_bench *expected)
{
	bus_unit_position position = {
		.expected = stream,
		.next_offset = stream->next_offset + 1,
		.outbox_seq = stream->outbox_seq,
		.head = stream->head,
	};
	bus_unit unit = { .positions = &position, .position_count = 1 };
	bus_folder_writes(folder, &unit.writes, &unit.write_count);
	for (size_t w = 0; w < unit.write_count; w++) {
		for (size_t i = 0; i < unit.writes[w].count; i++) {
			busp_bench_put(expected, unit.writes[w].type,
				       unit.writes[w].rows[i]);
		}
	}
	bus_error err = BUS_ERROR_INIT;
	bool done = false;
	bus_status status = bus_store_submit(store, &unit, &err);
	if (status == BUS_OK) {
		status = bus_store_await(store, -1, &done, &err);
	}
	busp_bench_check(status == BUS_OK && done, "unit",
			 stream->partition == 0 ? "" : "?", err.text, "committed");
	stream->next_offset++;
}

/* Folds events one by one into PostgreSQL, then looks at every row. */
static void
run(const bus_worker *worker, const bus_fold_case *events)
{
	busp_bench expected;
	busp_bench_init(&expected, worker);
	bus_stream stream;
	bus_error err = BUS_ERROR_INIT;
	const int32_t partition = 0;
	CU_ASSERT_EQUAL_FATAL(bus_store_assign(store, worker->topic, &partition, 1,
					       &stream, &err),
			      BUS_OK);
	for (const bus_fold_case *e = events; e->type != NULL; e++) {
		bus_folder *folder =
			bus_folder_create(worker, (bus_fold_source){ load, NULL }, 1000);
		bus_event event;
		json_t *data = NULL;
		busp_bench_event(e, expected.arena, &event);
		CU_ASSERT_EQUAL_FATAL(bus_event_data(&event, &data, &err), BUS_OK);
		event.time_us += 1000000 * (e - events);
		event.id = bus_arena_printf(expected.arena, "event-%td", e - events);
		bus_fold_item item = { .event = &event, .data = data };
		CU_ASSERT_EQUAL_FATAL(bus_folder_run(folder, &item, 1, expected.arena,
						     &err),
				      BUS_OK);
		busp_bench_check(item.verdict == BUS_APPLIED, "verdict", e->type,
				 bus_verdict_name(item.verdict), "APPLIED");
		commit(folder, &stream, &expected);
		bus_event_fini(&event);
		bus_folder_destroy(folder);
	}
	busp_bench_sort(&expected);
	for (const bus_row_type *const *type = worker->tables; *type != NULL; type++) {
		check_table(*type, &expected);
	}
	busp_bench_fini(&expected);
}

/* ---- cases: every column has a value once, and is NULL once where it may be ---- */

static void
catalog(void)
{
	static const bus_fold_case events[] = {
		{ .type = "catalog.tenant.created",
		  .subject = "",
		  .data = "{'name':'Acme Inc','plan':'pro'}" },
		{ .type = "catalog.app.created",
		  .data = "{'description':'the \\u00e9shop','owner':'ann'}" },
		{ .type = "catalog.artifact.registered",
		  .data = "{'image':'shop:1','digest':'" DIGEST
			  "','size_bytes':123456789012,"
			  "'source_commit':'4f2a'}" },
		{ .type = "catalog.app.deleted", .data = "{'reason':'unused'}" },
		{ .type = "catalog.app.created", .subject = "tiny", .data = "{}" },
		{ .type = "catalog.artifact.registered",
		  .subject = "tiny",
		  .data = "{'image':'tiny:1','digest':'" DIGEST "'}" },
		{ 0 },
	};
	run(&bus_catalog_worker, events);
}

static void
deploy(void)
{
	static const bus_fold_case events[] = {
		{ .type = "deploy.requested",
		  .actor = "ann",
		  .data = "{'image':'shop:1','command':['serve','--port=80'],"
			  "'environment':{'MODE':'live'},'artifact_digest':'" DIGEST
			  "'}" },
		{ .type = "deploy.started", .data = "{'release':1}" },
		{ .type = "deploy.succeeded", .data = "{'release':1}" },
		{ .type = "deploy.requested", .data = "{'image':'shop:2'}" },
		{ .type = "deploy.succeeded", .data = "{'release':2}" },
		{ .type = "deploy.rollback-requested",
		  .actor = "bob",
		  .data = "{'reason':'slow'}" },
		{ .type = "deploy.rollback-requested", .data = "{'to_release':2}" },
		{ .type = "deploy.failed", .data = "{'release':4,'reason':'no memory'}" },
		{ .type = "deploy.requested", .subject = "tiny", .data = "{'image':'t'}" },
		{ .type = "deploy.requested",
		  .sagastep = "deploy/do/1",
		  .data = "{'image':'shop:5'}" },
		{ .type = "deploy.succeeded", .data = "{'release':5}" },
		{ .type = "deploy.verify-requested",
		  .actor = "ann",
		  .data = "{'release':5}" },
		{ .type = "deploy.verify-failed",
		  .data = "{'release':5,'reason':'slow'}" },
		{ .type = "deploy.verify-requested", .data = "{'release':2}" },
		{ .type = "deploy.retire-requested",
		  .sagastep = "deploy/undo/1",
		  .data = "{}" },
		{ .type = "deploy.retired", .data = "{'release':5}" },
		{ .type = "deploy.retire-requested", .data = "{'release':1}" },
		{ 0 },
	};
	run(&bus_deploy_worker, events);
}

static void
scale(void)
{
	static const bus_fold_case events[] = {
		{ .type = "scale.requested",
		  .data = "{'process':'web','replicas':3,'min':2,'max':5}" },
		{ .type = "scale.succeeded", .data = "{'process':'web','replicas':1}" },
		{ .type = "scale.failed",
		  .data = "{'process':'web','reason':'no memory'}" },
		{ .type = "scale.requested", .data = "{'process':'batch','delta':1}" },
		{ .type = "scale.requested",
		  .sagastep = "more/do/1",
		  .data = "{'process':'web','delta':1}" },
		{ .type = "scale.requested",
		  .sagastep = "first/do/1",
		  .data = "{'process':'cron','replicas':1}" },
		{ .type = "scale.revert-requested",
		  .sagastep = "more/undo/1",
		  .data = "{'process':'web'}" },
		{ .type = "scale.reverted", .data = "{'process':'web','replicas':3}" },
		{ .type = "scale.verify-requested",
		  .actor = "ann",
		  .data = "{'process':'web'}" },
		{ .type = "scale.verify-failed",
		  .data = "{'process':'web','reason':'slow'}" },
		{ .type = "scale.verify-requested", .data = "{'process':'cron'}" },
		{ .type = "scale.quota-set", .data = "{'process':'web','limit':7}" },
		{ .type = "scale.quota-reserve-requested",
		  .sagastep = "reserve/do/1",
		  .data = "{'process':'web','replicas':3}" },
		{ .type = "scale.quota-release-requested",
		  .data = "{'process':'web','replicas':1}" },
		{ 0 },
	};
	run(&bus_scale_worker, events);
}

static void
route(void)
{
	static const bus_fold_case events[] = {
		{ .type = "route.change-requested",
		  .actor = "ann",
		  .data = "{'host':'a.example','targets':[{'release':7,'weight':60},"
			  "{'release':8,'weight':40}],'reason':'canary'}" },
		{ .type = "route.changed", .data = "{'host':'a.example','version':1}" },
		{ .type = "route.change-requested",
		  .data = "{'host':'a.example','targets':[{'release':9,'weight':100}]}" },
		{ .type = "route.failed",
		  .data = "{'host':'a.example','version':2,'reason':'not healthy'}" },
		{ .type = "route.change-requested",
		  .data = "{'host':'b.example','targets':[{'release':1,'weight':100}]}" },
		{ .type = "route.shift-requested",
		  .sagastep = "shift/do/1",
		  .data = "{'host':'b.example','release':2,'weight':25}" },
		{ .type = "route.changed", .data = "{'host':'b.example','version':2}" },
		{ .type = "route.revert-requested",
		  .sagastep = "shift/undo/1",
		  .data = "{'host':'b.example'}" },
		{ .type = "route.shift-requested",
		  .sagastep = "first/do/1",
		  .data = "{'host':'c.example','release':2,'weight':25}" },
		{ .type = "route.remove-requested", .data = "{'host':'b.example'}" },
		{ 0 },
	};
	run(&bus_route_worker, events);
}

#define ANSWER(step, type, data)                                                         \
	"{'sagastep':'" step "','type':'io.busline." type                                \
	".v1','source':'/test','id':'1','outcome':'applied','data':" data "}"
#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

/* One that is sent back past its pivot, one that waits, one that cannot be begun. */
static void
saga(void)
{
	static const bus_fold_case events[] = {
		{ .type = "saga.requested",
		  .actor = "ann",
		  .data = "{'definition':'move','input':{'app':'shop','image':'shop:2',"
			  "'host':'a.example','replicas':3}}" },
		{ .type = "saga.answered",
		  .data = ANSWER("deploy/do/1", "deploy.succeeded", "{'release':7}") },
		{ .type = "saga.answered",
		  .data = ANSWER("grow/do/1", "scale.succeeded", "{'replicas':3}") },
		{ .type = "saga.answered",
		  .data = ANSWER("shift/do/1", "route.changed", "{'version':2}") },
		{ .type = "saga.answered",
		  .data = ANSWER("retire/do/1", "scale.failed", "{'reason':'busy'}") },
		{ .type = "saga.compensate-requested",
		  .data = "{'reason':'sale is off'}" },
		{ .type = "saga.answered",
		  .data = ANSWER("grow/undo/1", "scale.succeeded", "{'replicas':1}") },
		{ .type = "saga.requested",
		  .subject = "tiny",
		  .data = "{'definition':'move','version':1,'input':{'app':'tiny',"
			  "'image':'t','host':'b.example'}}" },
		{ .type = "timer.fired",
		  .subject = "tiny",
		  .data = "{'name':'deadline/deploy/do/1','due':'2026-11-21T08:00:00Z',"
			  "'late_ms':3}" },
		{ .type = "saga.requested",
		  .subject = "long",
		  .data = "{'definition':'move','input':{'app':'" HUNDRED HUNDRED HUNDRED
			  "','image':'t','host':'b.example'}}" },
		{ 0 },
	};
	bus_error err = BUS_ERROR_INIT;
	bus_registry *registry;
	bus_config *config = bus_config_create();
	CU_ASSERT_EQUAL_FATAL(bus_registry_create(&registry, &err), BUS_OK);
	CU_ASSERT_EQUAL_FATAL(bus_config_set(config, BUS_CONF_SAGA_DEFINITIONS,
					     BUS_STR("tests/unit/saga_lives"),
					     BUS_ORIGIN_FLAG, "test", &err),
			      BUS_OK);
	CU_ASSERT_EQUAL_FATAL(bus_saga_worker.prepare(config, registry, &err), BUS_OK);
	run(&bus_saga_worker, events);
	bus_config_destroy(config);
	bus_registry_destroy(registry);
}

static const bus_case suite_cases[] = {
	{ "the catalog's tables", catalog }, { "the tables of deploy", deploy },
	{ "the table of scale", scale },     { "the tables of route", route },
	{ "the tables of saga", saga },      { NULL, NULL },
};

const bus_suite_def bus_suite = {
	.name = "state",
	.cases = suite_cases,
	.setup = setup,
	.teardown = teardown,
};
