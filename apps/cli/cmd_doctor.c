/*
 * cmd_doctor.c - doctor: what an operator would check, and what to do
 */
#include <stdio.h>
#include <string.h>

#include "apps/cli/client.h"
#include "apps/cli/commands.h"
#include "apps/cli/lag.h"
#include "apps/cli/output.h"
#include "apps/cli/topics.h"
#include "schemas/registry.h"
#include "workers/engine/service.h"

#define CLOCK_WARN_MS 1000
#define CLOCK_FAIL_MS 30000

typedef enum busp_grade { BUSP_OK, BUSP_WARN, BUSP_FAIL } busp_grade;

typedef struct busp_doctor {
	bus_cli *cli;
	bus_cli_rows rows;
	bus_store *store;     /* NULL: not reachable */
	bus_adapter *adapter; /* likewise */
	bool failed;
} busp_doctor;

static void busp_found(busp_doctor *doctor, const char *check, busp_grade grade,
		       const char *advice, const char *fmt, ...) BUS_PRINTF(5, 6);

static void
busp_found(busp_doctor *doctor, const char *check, busp_grade grade, const char *advice,
	   const char *fmt, ...)
{
	static const char *const grades[] = { "ok", "warn", "fail" };
	char text[BUS_ERROR_TEXT_MAX];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	bus_cli_rows_add(&doctor->rows,
			 (const bus_str[]){
				 bus_arena_printf(doctor->cli->arena, "%s", check),
				 bus_str_from(grades[grade]),
				 bus_arena_printf(doctor->cli->arena, "%s", text),
				 grade == BUSP_OK ? BUS_STR_NULL : bus_str_from(advice),
			 });
	doctor->failed = doctor->failed || grade == BUSP_FAIL;
}

/* ---- PostgreSQL ---- */

/* Rows of cli_doctor: check, status, detail, advice; the SQL judges what SQL can see. */
static void
busp_check_server(busp_doctor *doctor)
{
	bus_table table;
	bus_error err = BUS_ERROR_INIT;
	if (bus_store_read(doctor->store, "cli_doctor", NULL, 0, doctor->cli->arena,
			   &table, &err) != BUS_OK) {
		busp_found(doctor, "postgresql settings", BUSP_FAIL, "`busline migrate`",
			   "%s", err.text);
		return;
	}
	for (size_t row = 0; row < table.row_count; row++) {
		const bus_str *cells = table.cells + row * table.column_count;
		bus_cli_rows_add(&doctor->rows, cells);
		doctor->failed = doctor->failed || bus_str_is(cells[1], "fail");
	}
}

static void
busp_check_clock(busp_doctor *doctor)
{
	bus_table table;
	bus_error err = BUS_ERROR_INIT;
	int64_t before = bus_clock_wall_us(doctor->cli->clock);
	if (bus_store_read(doctor->store, "cli_clock", NULL, 0, doctor->cli->arena,
			   &table, &err) != BUS_OK) {
		busp_found(doctor, "clock", BUSP_WARN, "see the checks above", "%s",
			   err.text);
		return;
	}
	int64_t after = bus_clock_wall_us(doctor->cli->clock);
	int64_t apart_ms =
		(bus_table_int(&table, 0, 0, before) - (before + after) / 2) / 1000;
	int64_t size = apart_ms < 0 ? -apart_ms : apart_ms;
	busp_found(doctor, "clock",
		   size > CLOCK_FAIL_MS ? BUSP_FAIL :
		   size > CLOCK_WARN_MS ? BUSP_WARN :
					  BUSP_OK,
		   "run a time service (chrony) on both machines",
		   "PostgreSQL's clock is %lld ms from ours", (long long)apart_ms);
}

static void
busp_check_migrations(busp_doctor *doctor)
{
	const bus_migration *migrations;
	size_t count, pending = 0;
	bus_error err = BUS_ERROR_INIT;
	bus_service service = { .config = doctor->cli->config,
				.clock = doctor->cli->clock,
				.role = "doctor" };
	BUS_STORE_AUTO *store = bus_service_store(&service, NULL);
	if (store == NULL ||
	    bus_store_migrate(store, true, &migrations, &count, &err) != BUS_OK) {
		busp_found(doctor, "schema", BUSP_FAIL, "`busline migrate`", "%s",
			   err.text);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		pending += !migrations[i].applied;
	}
	busp_found(doctor, "schema", pending > 0 ? BUSP_FAIL : BUSP_OK,
		   "`busline migrate`", "%zu of %zu migrations applied", count - pending,
		   count);
}

static void
busp_check_postgresql(busp_doctor *doctor)
{
	bus_error err = BUS_ERROR_INIT;
	bus_service service = { .config = doctor->cli->config,
				.clock = doctor->cli->clock,
				.role = "doctor" };
	bus_store *store = bus_service_store(&service, BUS_CLI_AUDITOR);
	if (store == NULL || bus_store_connect(store, &err) != BUS_OK) {
		busp_found(doctor, "postgresql", BUSP_FAIL,
			   "is it up, and --db-url right? does the schema exist?", "%s",
			   err.text);
		bus_store_destroy(store);
		return;
	}
	doctor->store = store;
	busp_found(doctor, "postgresql", BUSP_OK, NULL, "reachable as %s",
		   BUS_CLI_AUDITOR);
	busp_check_migrations(doctor);
	busp_check_server(doctor);
	busp_check_clock(doctor);
}

/* ---- broker ---- */

static const bus_topic_info *
busp_topic_info(const bus_topic_info *topics, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(topics[i].name, name) == 0) {
			return &topics[i];
		}
	}
	return NULL;
}

static void
busp_check_topic(busp_doctor *doctor, const char *topic, const bus_topic_info *info)
{
	char check[BUS_TOPIC_NAME_MAX + 8];
	snprintf(check, sizeof(check), "topic %s", topic);
	if (info == NULL) {
		busp_found(doctor, check, BUSP_FAIL, "`busline topic ensure`",
			   "does not exist");
		return;
	}
	BUS_BUF_AUTO detail = { 0 };
	bus_topic_spec spec = bus_cli_topic_spec(doctor->cli, topic);
	bool bad = bus_cli_topic_differences(&spec, info, &detail);
	if (detail.len == 0) {
		busp_found(doctor, check, BUSP_OK, NULL, "%d partitions, %d replicas",
			   info->partitions, info->replication);
		return;
	}
	busp_found(doctor, check, bad ? BUSP_FAIL : BUSP_WARN,
		   "change the topic, or the topic.* settings if it is right as it is",
		   "%s", detail.data);
}

static bool
busp_check_broker(busp_doctor *doctor)
{
	bus_error err = BUS_ERROR_INIT;
	bus_topic_info *topics = NULL;
	size_t count = 0;
	bool whole = true;
	bus_service service = { .config = doctor->cli->config,
				.clock = doctor->cli->clock,
				.role = "doctor" };
	char url[BUS_BROKER_URL_MAX];
	bus_error unknown =
		BUS_ERROR_INIT; /* that PostgreSQL is away is said elsewhere */
	bool located = bus_cli_locate(doctor->cli, url, &unknown);
	if (bus_service_adapter(&service, url, &doctor->adapter, &err) != BUS_OK ||
	    bus_adapter_topic_list(doctor->adapter, "busline.", BUS_CLI_BROKER_MS,
				   doctor->cli->arena, &topics, &count, &err) != BUS_OK) {
		busp_found(doctor, "broker", BUSP_FAIL,
			   "is it up, and --broker-url right?", "%s", err.text);
		return false;
	}
	const char *configured =
		bus_config_text(doctor->cli->config, BUS_CONF_BROKER_URL);
	if (located && strcmp(url, configured) != 0) {
		busp_found(doctor, "broker", BUSP_WARN,
			   "set --broker-url (BUSLINE_BROKER_URL) to where it is",
			   "reachable at %s, where the bus has moved to from %s", url,
			   configured);
	} else {
		busp_found(doctor, "broker", BUSP_OK, NULL, "reachable at %s", url);
	}
	for (const bus_family *row = bus_families(); row->name != NULL; row++) {
		const bus_topic_info *info = busp_topic_info(topics, count, row->topic);
		busp_check_topic(doctor, row->topic, info);
		whole = whole && info != NULL;
	}
	return whole;
}

/* ---- both ---- */

static void
busp_check_positions(busp_doctor *doctor)
{
	bus_cli_lag *lags;
	size_t count, bad = 0, behind = 0;
	if (bus_cli_lag_read(doctor->cli, doctor->adapter, doctor->store, false,
			     doctor->cli->arena, &lags, &count) != BUS_EXIT_OK) {
		busp_found(doctor, "positions", BUSP_FAIL, "see the line on stderr",
			   "could not be compared with the log");
		return;
	}
	for (size_t i = 0; i < count; i++) {
		const bus_cli_lag *lag = &lags[i];
		char check[BUS_TOPIC_NAME_MAX + 24];
		behind += lag->end > lag->position;
		if (!lag->known ||
		    (lag->position >= lag->oldest && lag->position <= lag->end)) {
			continue;
		}
		bad++;
		snprintf(check, sizeof(check), "position %s-%d", lag->topic,
			 lag->partition);
		busp_found(
			doctor, check, BUSP_FAIL,
			"events are lost or the topic was made anew: restore the topic, or "
			"replay; nothing is skipped meanwhile",
			"%lld is outside the log, %lld to %lld", (long long)lag->position,
			(long long)lag->oldest, (long long)lag->end);
	}
	if (bad == 0) {
		busp_found(doctor, "positions", BUSP_OK, NULL,
			   "all inside the log; %zu of %zu partitions have events waiting",
			   behind, count);
	}
}

static bus_exit
busp_doctor_run(bus_cli *cli)
{
	static const bus_cli_column columns[] = { { "check", .cell = BUS_CLI_CELL_TEXT },
						  { "status", .cell = BUS_CLI_CELL_TEXT },
						  { "detail", .cell = BUS_CLI_CELL_TEXT },
						  { "advice",
						    .cell = BUS_CLI_CELL_TEXT } };
	busp_doctor doctor = { .cli = cli };
	bus_cli_rows_init(&doctor.rows, cli->arena, columns, 4);
	busp_check_postgresql(&doctor);
	bool topics = busp_check_broker(&doctor);
	if (doctor.store != NULL && topics) {
		busp_check_positions(&doctor);
	}
	bus_cli_print(cli, &doctor.rows.table);
	bus_adapter_close(doctor.adapter);
	bus_store_destroy(doctor.store);
	return doctor.failed ? BUS_EXIT_FAILED : BUS_EXIT_OK;
}

static const bus_exit_row doctor_exits[] = {
	{ BUS_EXIT_FAILED, "a check failed; warnings alone end with 0" },
	{ 0, NULL },
};

const bus_cli_command bus_command_doctor = {
	.name = "doctor",
	.group = BUS_GROUP_RUN,
	.summary = "Check PostgreSQL, broker, topics, positions, incidents and clocks",
	.text = "A row per check, with what to do about it.",
	.examples = (const char *const[]){ "busline doctor",
					   "busline doctor -o json --topic-partitions 12",
					   NULL },
	.exits = doctor_exits,
	.run = busp_doctor_run,
};
