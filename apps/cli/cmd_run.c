/*
 * cmd_run.c - migrate, topic ensure, topic ls, worker, config show, sql: running the bus
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "apps/cli/client.h"
#include "apps/cli/commands.h"
#include "apps/cli/output.h"
#include "apps/cli/topics.h"
#include "core/log.h"
#include "schemas/registry.h"
#include "workers/workers.h"

/* ---- migrate ---- */

static const bus_cli_option migrate_options[] = {
	{ "plan", .kind = BUS_CLI_FLAG,
	  .help = "Change nothing; show what would be done" },
	{ 0 },
};

static void
busp_print_migrations(const bus_cli *cli, const bus_migration *migrations, size_t count)
{
	static const bus_cli_column columns[] = {
		{ "number", .cell = BUS_CLI_CELL_NUMBER },
		{ "name", .cell = BUS_CLI_CELL_TEXT },
		{ "status", .cell = BUS_CLI_CELL_TEXT },
		{ "applied_at", .cell = BUS_CLI_CELL_TEXT },
		{ "sha256", .cell = BUS_CLI_CELL_TEXT },
	};
	bus_cli_rows rows;
	bus_cli_rows_init(&rows, cli->arena, columns,
			  sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < count; i++) {
		const bus_migration *row = &migrations[i];
		bus_cli_rows_add(&rows, (const bus_str[]){
						bus_cli_number(cli->arena, row->number),
						bus_str_from(row->name),
						row->applied ? BUS_STR("applied") :
							       BUS_STR("pending"),
						row->applied_at[0] != '\0' ?
							bus_str_from(row->applied_at) :
							BUS_STR_NULL,
						bus_str_from(row->sha256),
					});
	}
	bus_cli_print(cli, &rows.table);
}

static bus_exit
busp_migrate_run(bus_cli *cli)
{
	bus_error err = BUS_ERROR_INIT;
	const bus_migration *migrations;
	size_t count;
	bus_service service = { .config = cli->config,
				.clock = cli->clock,
				.role = "migrate" };
	BUS_STORE_AUTO *store = bus_service_store(&service, NULL);
	if (store == NULL) {
		return bus_cli_fail(BUS_EXIT_SOFTWARE, "migrate", NULL, "memory is short");
	}
	if (bus_store_migrate(store, bus_cli_given(cli, "plan"), &migrations, &count,
			      &err) != BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	busp_print_migrations(cli, migrations, count);
	return BUS_EXIT_OK;
}

const bus_cli_command bus_command_migrate = {
	.name = "migrate",
	.group = BUS_GROUP_RUN,
	.summary = "Bring the schema of PostgreSQL up to this binary's version",
	.text = "Migrations go forward only, each in a transaction of its own, under a lock, with its "
		"checksum. The database user must be allowed to create roles and schemas.",
	.options = migrate_options,
	.examples =
		(const char *const[]){
			"busline migrate --plan",
			"busline migrate --db-url postgresql://postgres@db/busline",
			NULL },
	.run = busp_migrate_run,
};

/* ---- topic ---- */

static const bus_cli_column topic_columns[] = {
	{ "topic", .cell = BUS_CLI_CELL_TEXT },
	{ "partitions", .cell = BUS_CLI_CELL_NUMBER },
	{ "replication", .cell = BUS_CLI_CELL_NUMBER },
	{ "retention_ms", .cell = BUS_CLI_CELL_NUMBER },
	{ "retention_bytes", .cell = BUS_CLI_CELL_NUMBER },
	{ "min_isr", .cell = BUS_CLI_CELL_NUMBER },
	{ "status", .cell = BUS_CLI_CELL_TEXT },
	{ "detail", .cell = BUS_CLI_CELL_TEXT },
};
#define TOPIC_LS_COLUMNS 6

bool
bus_cli_topic_differences(const bus_topic_spec *spec, const bus_topic_info *info,
			  bus_buf *out)
{
	bool bad = false;
	if (info->partitions != spec->partitions) {
		bus_buf_printf(
			out,
			"has %d partitions, not %d: the home of keys would change; keep it "
			"and set --topic-partitions, or make a new topic. ",
			info->partitions, spec->partitions);
		bad = true;
	}
	if (info->retention_ms >= 0 &&
	    (spec->retention_ms < 0 || info->retention_ms < spec->retention_ms)) {
		bus_buf_printf(
			out,
			"keeps events for %lld ms, the replay window is %lld (-1: for ever): "
			"raise retention.ms of the topic. ",
			(long long)info->retention_ms, (long long)spec->retention_ms);
		bad = true;
	}
	if (info->retention_bytes > 0 && (spec->retention_bytes == 0 ||
					  info->retention_bytes < spec->retention_bytes)) {
		bus_buf_printf(
			out,
			"keeps %lld bytes of a partition, wanted %lld (0: no limit): raise "
			"retention.bytes of the topic. ",
			(long long)info->retention_bytes,
			(long long)spec->retention_bytes);
		bad = true;
	}
	if (info->min_isr < spec->min_isr) {
		bus_buf_printf(out,
			       "acknowledges with %d replicas in sync, wanted %d: raise "
			       "min.insync.replicas. ",
			       info->min_isr, spec->min_isr);
	}
	if (info->replication < spec->replication) {
		bus_buf_printf(out,
			       "has %d replicas, wanted %d: reassign its partitions. ",
			       info->replication, spec->replication);
	}
	return bad;
}

bus_topic_spec
bus_cli_topic_spec(const bus_cli *cli, const char *topic)
{
	return (bus_topic_spec){
		.name = topic,
		.partitions =
			(int32_t)bus_config_int(cli->config, BUS_CONF_TOPIC_PARTITIONS),
		.replication =
			(int32_t)bus_config_int(cli->config, BUS_CONF_TOPIC_REPLICATION),
		.retention_ms = bus_config_int(cli->config, BUS_CONF_TOPIC_RETENTION_MS),
		.retention_bytes =
			bus_config_int(cli->config, BUS_CONF_TOPIC_RETENTION_BYTES),
		.min_isr = (int32_t)bus_config_int(cli->config, BUS_CONF_TOPIC_MIN_ISR),
	};
}

static bus_status
busp_topic_ensure_one(bus_cli *cli, bus_adapter *adapter, const char *topic,
		      bus_cli_rows *rows, bool *bad, bus_error *err)
{
	bus_topic_info info;
	bool made = false;
	bus_topic_spec spec = bus_cli_topic_spec(cli, topic);
	if (bus_adapter_topic_ensure(adapter, &spec, BUS_CLI_BROKER_MS, &info, &made,
				     err) != BUS_OK) {
		return err->status;
	}
	BUS_BUF_AUTO detail = { 0 };
	bool differs = bus_cli_topic_differences(&spec, &info, &detail);
	*bad = *bad || differs;
	bus_cli_rows_add(rows,
			 (const bus_str[]){
				 bus_arena_printf(cli->arena, "%s", info.name),
				 bus_cli_number(cli->arena, info.partitions),
				 bus_cli_number(cli->arena, info.replication),
				 bus_cli_number(cli->arena, info.retention_ms),
				 bus_cli_number(cli->arena, info.retention_bytes),
				 bus_cli_number(cli->arena, info.min_isr),
				 differs        ? BUS_STR("fail") :
				 detail.len > 0 ? BUS_STR("warn") :
				 made           ? BUS_STR("made") :
						  BUS_STR("ok"),
				 detail.len > 0 ? bus_arena_str(cli->arena,
								bus_buf_view(&detail)) :
						  BUS_STR_NULL,
			 });
	return BUS_OK;
}

static bus_exit
busp_topic_ensure_run(bus_cli *cli)
{
	bus_error err = BUS_ERROR_INIT;
	bus_status status = BUS_OK;
	bool bad = false;
	bus_cli_rows rows;
	BUS_ADAPTER_AUTO *adapter = NULL;
	bus_exit code = bus_cli_adapter(cli, &adapter);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	bus_cli_rows_init(&rows, cli->arena, topic_columns,
			  sizeof(topic_columns) / sizeof(topic_columns[0]));
	for (size_t i = 0; i < cli->argument_count && status == BUS_OK; i++) {
		status = busp_topic_ensure_one(cli, adapter, cli->arguments[i], &rows,
					       &bad, &err);
	}
	if (cli->argument_count == 0) {
		for (const bus_family *row = bus_families();
		     row->name != NULL && status == BUS_OK; row++) {
			status = busp_topic_ensure_one(cli, adapter, row->topic, &rows,
						       &bad, &err);
		}
	}
	bus_cli_print(cli, &rows.table);
	if (status != BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	return bad ? BUS_EXIT_FAILED : BUS_EXIT_OK;
}

static const bus_cli_argument topic_ensure_arguments[] = {
	{ "TOPIC", .many = true, .values = "@topics",
	  .help = "Names; none: the topics of all event families" },
	{ 0 },
};

static const bus_exit_row topic_ensure_exits[] = {
	{ BUS_EXIT_FAILED,
	  "a topic has another number of partitions or too short a retention" },
	{ 0, NULL },
};

const bus_cli_command bus_command_topic = {
	.name = "topic",
	.group = BUS_GROUP_RUN,
	.summary = "Topics of the broker",
};

const bus_cli_command bus_command_topic_ensure = {
	.name = "topic ensure",
	.group = BUS_GROUP_RUN,
	.summary = "Make the topics that are missing, check the others",
	.text = "A topic that is there is never changed: what differs from the settings "
		"--topic-partitions, --topic-replication, --topic-retention-ms, --topic-retention-bytes "
		"and --topic-min-isr is reported.",
	.arguments = topic_ensure_arguments,
	.examples = (const char *const[]){ "busline topic ensure",
					   "busline topic ensure --topic-partitions 12",
					   NULL },
	.exits = topic_ensure_exits,
	.run = busp_topic_ensure_run,
};

static const bus_cli_option topic_ls_options[] = {
	{ "all", 'a', BUS_CLI_FLAG, .help = "Also topics that are not the bus's own" },
	{ 0 },
};

static bus_exit
busp_topic_ls_run(bus_cli *cli)
{
	bus_error err = BUS_ERROR_INIT;
	bus_topic_info *topics;
	size_t count;
	bus_cli_rows rows;
	BUS_ADAPTER_AUTO *adapter = NULL;
	bus_exit code = bus_cli_adapter(cli, &adapter);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	const char *prefix = bus_cli_given(cli, "all") ? "" : "busline.";
	if (bus_adapter_topic_list(adapter, prefix, BUS_CLI_BROKER_MS, cli->arena,
				   &topics, &count, &err) != BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	bus_cli_rows_init(&rows, cli->arena, topic_columns, TOPIC_LS_COLUMNS);
	for (size_t i = 0; i < count; i++) {
		bus_cli_rows_add(
			&rows,
			(const bus_str[]){
				bus_str_from(topics[i].name),
				bus_cli_number(cli->arena, topics[i].partitions),
				bus_cli_number(cli->arena, topics[i].replication),
				bus_cli_number(cli->arena, topics[i].retention_ms),
				bus_cli_number(cli->arena, topics[i].retention_bytes),
				bus_cli_number(cli->arena, topics[i].min_isr),
			});
	}
	bus_cli_print(cli, &rows.table);
	if (count == 0) {
		bus_cli_note(cli, "no topics; `busline topic ensure` makes them");
	}
	return BUS_EXIT_OK;
}

const bus_cli_command bus_command_topic_ls = {
	.name = "topic ls",
	.group = BUS_GROUP_RUN,
	.summary = "Topics with their partitions, replicas and retention",
	.options = topic_ls_options,
	.run = busp_topic_ls_run,
};

/* ---- worker ---- */

static volatile sig_atomic_t worker_stop;

/* First: drain and end. Second: end now; positions are in PostgreSQL, nothing is lost. */
static void
busp_on_signal(int number)
{
	if (worker_stop) {
		_exit(128 + number);
	}
	worker_stop = 1;
}

static bus_exit
busp_worker_list(bus_cli *cli)
{
	static const bus_cli_column columns[] = { { "name", .cell = BUS_CLI_CELL_TEXT },
						  { "topic", .cell = BUS_CLI_CELL_TEXT },
						  { "help", .cell = BUS_CLI_CELL_TEXT } };
	bus_cli_rows rows;
	bus_cli_rows_init(&rows, cli->arena, columns, 3);
	for (const bus_role *row = bus_roles(); row->name != NULL; row++) {
		bus_cli_rows_add(&rows, (const bus_str[]){
						bus_str_from(row->name),
						row->worker != NULL ?
							bus_str_from(row->worker->topic) :
							BUS_STR_NULL,
						bus_str_from(row->help),
					});
	}
	bus_cli_print(cli, &rows.table);
	return BUS_EXIT_OK;
}

static const bus_role *
busp_role(const char *name, const char **ret_nearest)
{
	const char *names[64] = { NULL };
	size_t count = 0;
	for (const bus_role *row = bus_roles(); row->name != NULL; row++) {
		if (strcmp(row->name, name) == 0) {
			return row;
		}
		if (count + 1 < sizeof(names) / sizeof(names[0])) {
			names[count++] = row->name;
		}
	}
	*ret_nearest = bus_cli_nearest(name, names);
	return NULL;
}

static void
busp_catch_signals(void)
{
	struct sigaction action = { .sa_handler = busp_on_signal };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

static bus_exit
busp_worker_run(bus_cli *cli)
{
	bus_error err = BUS_ERROR_INIT;
	bus_log_level level;
	const char *nearest = NULL;
	if (bus_cli_given(cli, "list") || cli->argument_count == 0) {
		return busp_worker_list(cli);
	}
	const bus_role *role = busp_role(cli->arguments[0], &nearest);
	if (role == NULL) {
		bus_str advice = nearest == NULL ?
					 BUS_STR("`busline worker --list` shows them") :
					 bus_arena_printf(cli->arena,
							  "did you mean `%s`?", nearest);
		return bus_cli_fail(BUS_EXIT_USAGE, cli->arguments[0], advice.data,
				    "no such worker");
	}
	const char *least = bus_config_text(cli->config, BUS_CONF_LOG_LEVEL);
	if (!bus_log_level_parse(bus_str_from(least), &level)) {
		return bus_cli_fail(BUS_EXIT_CONFIG, "log.level",
				    "debug, info, warn and error are",
				    "'%s' is not a level", least);
	}
	char name[64];
	snprintf(name, sizeof(name), "worker %s", role->name);
	bus_log_init(name, level, cli->clock);
	busp_catch_signals();
	bus_service service = { .config = cli->config,
				.clock = cli->clock,
				.role = name,
				.stop = &worker_stop };
	if (bus_role_run(role, &service, &err) != BUS_OK) {
		/* a daemon's last word goes where its others went */
		bus_log_error(BUS_LOG_ERROR, "worker ended", &err);
		return bus_cli_exit_of(&err);
	}
	return BUS_EXIT_OK;
}

static const bus_cli_option worker_options[] = {
	{ "list", .kind = BUS_CLI_FLAG, .help = "Show all workers and what they read" },
	{ 0 },
};

static const bus_cli_argument worker_arguments[] = {
	{ "NAME", .values = "@workers", .help = "Which one; none: show all" },
	{ 0 },
};

const bus_cli_command bus_command_worker = {
	.name = "worker",
	.group = BUS_GROUP_RUN,
	.summary = "Run a worker until SIGTERM or SIGINT",
	.text = "Logs JSON lines to stderr. The first signal drains and ends with 0, the second ends at "
		"once. More processes of one worker share its partitions.",
	.options = worker_options,
	.arguments = worker_arguments,
	.examples =
		(const char *const[]){ "busline worker --list", "busline worker deploy",
				       "busline worker relay --log-level debug", NULL },
	.run = busp_worker_run,
};

/* ---- config show ---- */

static bus_str
busp_origin(const bus_cli *cli, bus_config_key key)
{
	const char *where = "";
	switch (bus_config_origin_of(cli->config, key, &where)) {
	case BUS_ORIGIN_DEFAULT:
		return BUS_STR("default");
	case BUS_ORIGIN_FILE:
		return bus_arena_printf(cli->arena, "file %s", where);
	case BUS_ORIGIN_ENVIRONMENT:
		return bus_arena_printf(cli->arena, "environment %s", where);
	case BUS_ORIGIN_FLAG:
		return bus_arena_printf(cli->arena, "flag %s", where);
	}
	return BUS_STR_NULL;
}

static bus_exit
busp_config_show_run(bus_cli *cli)
{
	static const bus_cli_column columns[] = { { "name", .cell = BUS_CLI_CELL_TEXT },
						  { "value", .cell = BUS_CLI_CELL_TEXT },
						  { "origin",
						    .cell = BUS_CLI_CELL_TEXT } };
	bus_cli_rows rows;
	bus_cli_rows_init(&rows, cli->arena, columns,
			  bus_cli_given(cli, "origin") ? 3 : 2);
	for (int i = 0; i < BUS_CONF_COUNT; i++) {
		bus_config_key key = (bus_config_key)i;
		const bus_config_option *row = bus_config_option_of(key);
		bool secret = (row->flags & BUS_CONFIG_SECRET) != 0 &&
			      bus_config_origin_of(cli->config, key, NULL) !=
				      BUS_ORIGIN_DEFAULT;
		bus_cli_rows_add(
			&rows,
			(const bus_str[]){
				bus_str_from(row->name),
				secret ? BUS_STR("(secret)") :
					 bus_str_from(bus_config_text(cli->config, key)),
				busp_origin(cli, key),
			});
	}
	bus_cli_print(cli, &rows.table);
	return BUS_EXIT_OK;
}

static const bus_cli_option config_show_options[] = {
	{ "origin", .kind = BUS_CLI_FLAG, .help = "Where each value comes from" },
	{ 0 },
};

const bus_cli_command bus_command_config = {
	.name = "config",
	.group = BUS_GROUP_RUN,
	.summary = "Settings",
};

const bus_cli_command bus_command_config_show = {
	.name = "config show",
	.group = BUS_GROUP_RUN,
	.summary = "Every setting and its value; secrets are not printed",
	.options = config_show_options,
	.examples = (const char *const[]){ "busline config show --origin", NULL },
	.run = busp_config_show_run,
};

/* ---- sql ---- */

static bus_exit
busp_sql_run(bus_cli *cli)
{
	bus_error err = BUS_ERROR_INIT;
	bus_table table;
	BUS_STORE_AUTO *store = NULL;
	bus_exit code = bus_cli_store(cli, BUS_CLI_AUDITOR, &store);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	if (bus_store_query(store, cli->arguments[0], cli->arena, &table, &err) !=
	    BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	bus_cli_print(cli, &table);
	if (table.row_count == 0) {
		bus_cli_note(cli, "(no rows)");
	}
	return BUS_EXIT_OK;
}

static const bus_cli_argument sql_arguments[] = {
	{ "STATEMENT", .required = true, .help = "One statement that reads" },
	{ 0 },
};

const bus_cli_command bus_command_sql = {
	.name = "sql",
	.group = BUS_GROUP_LOOK,
	.summary = "Ask ledger, views and state with SQL, as the auditor",
	.text = "Runs in a read-only transaction in the role busline_auditor, which may read the ledger, "
		"the views and the state, and nothing else.",
	.arguments = sql_arguments,
	.examples =
		(const char *const[]){
			"busline sql 'select verdict, count(*) from busline.ledger group by verdict'",
			"busline sql -o jsonl 'select * from paas.release order by tenant, app, number'",
			NULL },
	.run = busp_sql_run,
};
