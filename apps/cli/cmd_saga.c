/*
 * cmd_saga.c - saga start, ls, show, trace: sagas begun and looked at
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli/commands.h"
#include "apps/cli/publisher.h"
#include "apps/cli/saga_trace.h"
#include "core/id.h"
#include "core/json.h"
#include "schemas/saga.h"

#define POLL_FIRST_MS 20
#define POLL_LAST_MS 500

#define TENANT_OPTION                                                                    \
	{                                                                                \
		"tenant", .kind = BUS_CLI_TEXT, .argument = "TENANT",                    \
			  .values = "@tenants",                                          \
			  .help = "Only this tenant; else $BUSLINE_TENANT, else all"     \
	}

static bus_str
busp_tenant(const bus_cli *cli)
{
	const char *text = bus_cli_text(cli, "tenant");
	return bus_str_from(text != NULL ? text : cli->tenant);
}

/* ---- start ---- */

static void
busp_book_destroy(bus_saga_book **book)
{
	bus_saga_book_destroy(*book);
}

/* NAME=TEXT, NAME:=JSON, a JSON object, or @FILE of one; put into input. */
static bus_exit
busp_input_add(const char *given, json_t *input)
{
	json_error_t error;
	BUS_JSON_AUTO *object = NULL;
	const char *equals = strchr(given, '=');
	if (given[0] == '@' || given[0] == '{') {
		object = given[0] == '@' ?
				 json_load_file(given + 1, JSON_REJECT_DUPLICATES,
						&error) :
				 json_loads(given, JSON_REJECT_DUPLICATES, &error);
		if (!json_is_object(object)) {
			bool unread =
				object == NULL &&
				json_error_code(&error) == json_error_cannot_open_file;
			return bus_cli_fail(unread ? BUS_EXIT_NO_INPUT : BUS_EXIT_DATA,
					    "--input", NULL, "%s: %s", given,
					    object != NULL ? "is no JSON object" :
							     error.text);
		}
		json_object_update(input, object);
		return BUS_EXIT_OK;
	}
	if (equals == NULL || equals == given) {
		return bus_cli_fail(BUS_EXIT_USAGE, "--input", NULL,
				    "'%s' is no NAME=TEXT, NAME:=JSON, {JSON} or @FILE",
				    given);
	}
	bool as_json = equals > given + 1 && equals[-1] == ':';
	json_t *value = as_json ? json_loads(equals + 1, JSON_DECODE_ANY, &error) :
				  json_string(equals + 1);
	if (value == NULL) {
		return bus_cli_fail(BUS_EXIT_DATA, "--input", NULL, "%s: %s", given,
				    as_json ? error.text : "is no UTF-8");
	}
	json_object_setn_new(input, given, (size_t)(equals - given) - as_json, value);
	return BUS_EXIT_OK;
}

/* The definition as it is known here: a request names its version, so that it means the same
 * whenever it is read. */
static bus_exit
busp_definition(bus_cli *cli, const bus_saga_book *book, const json_t *input,
		const bus_saga_definition **ret_definition)
{
	bus_error err = BUS_ERROR_INIT;
	const char *name = cli->arguments[0];
	int64_t version = bus_cli_int(cli, "version");
	if (version > INT32_MAX) {
		return bus_cli_fail(BUS_EXIT_USAGE, "--version", NULL, "is too large");
	}
	const bus_saga_definition *found =
		bus_saga_book_find(book, bus_str_from(name),
				   version < 0 ? 0 : (int32_t)version);
	if (found == NULL) {
		return bus_cli_fail(
			BUS_EXIT_DATA, name,
			"`busline saga definitions` lists them; those of your own are "
			"in the directory saga.definitions",
			"no such saga definition");
	}
	if (bus_saga_check_input(found, input, &err) != BUS_OK) {
		return bus_cli_fail(BUS_EXIT_DATA, name, "give it with --input", "%s",
				    err.text);
	}
	*ret_definition = found;
	return BUS_EXIT_OK;
}

/* --id, or one made up: the definition's name and 40 random bits. */
static bus_exit
busp_saga_id(bus_cli *cli, const char *definition, bus_str *ret_id)
{
	bus_uuid uuid;
	char text[BUS_UUID_TEXT_LEN + 1];
	bus_error err = BUS_ERROR_INIT;
	*ret_id = bus_str_from(bus_cli_text(cli, "id"));
	if (ret_id->data != NULL) {
		return BUS_EXIT_OK;
	}
	if (bus_uuid_v7(cli->clock, &uuid, &err) != BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	bus_uuid_format(&uuid, text);
	*ret_id = bus_arena_printf(cli->arena, "%s-%s", definition,
				   text + BUS_UUID_TEXT_LEN - 10);
	return BUS_EXIT_OK;
}

static bool
busp_has_ended(bus_str status)
{
	return bus_str_is(status, "completed") || bus_str_is(status, "compensated") ||
	       bus_str_is(status, "parked");
}

/* Until the saga has ended or is parked. */
static bus_exit
busp_await_end(bus_cli *cli, bus_cli_publisher *publisher, bus_str tenant, bus_str saga,
	       int64_t deadline_ms)
{
	const bus_str params[] = { tenant, saga };
	int64_t pause_ms = POLL_FIRST_MS;
	for (;;) {
		bus_error err = BUS_ERROR_INIT;
		bus_table table;
		bus_status status = bus_store_connected(publisher->store) ?
					    BUS_OK :
					    bus_store_connect(publisher->store, &err);
		if (status == BUS_OK) {
			status = bus_store_read(publisher->store, "cli_saga_status",
						params, 2, cli->arena, &table, &err);
		}
		bool late = bus_clock_mono_ms(cli->clock) >= deadline_ms;
		if (status != BUS_OK && (status != BUS_E_RETRY || late)) {
			return bus_cli_fail_error(&err);
		}
		if (status == BUS_OK && table.row_count > 0 &&
		    busp_has_ended(bus_table_cell(&table, 0, 0))) {
			bus_str ended = bus_table_cell(&table, 0, 0);
			bus_cli_note(cli, "saga %.*s is %.*s%s%.*s", BUS_STR_ARG(saga),
				     BUS_STR_ARG(ended),
				     bus_table_cell(&table, 0, 2).data != NULL ? ": " : "",
				     BUS_STR_ARG(bus_table_cell(&table, 0, 2)));
			return bus_str_is(ended, "completed") ? BUS_EXIT_OK :
								BUS_EXIT_FAILED;
		}
		if (late) {
			return bus_cli_fail(BUS_EXIT_TIMEOUT, NULL,
					    "`busline saga trace` shows what it waits for",
					    "saga %.*s has not ended", BUS_STR_ARG(saga));
		}
		bus_cli_pause(pause_ms);
		pause_ms = pause_ms * 2 > POLL_LAST_MS ? POLL_LAST_MS : pause_ms * 2;
	}
}

static bus_exit
busp_start_with(bus_cli *cli, bus_cli_publisher *publisher, const json_t *input)
{
	__attribute__((cleanup(busp_book_destroy))) bus_saga_book *book = NULL;
	const bus_saga_definition *definition;
	bus_error err = BUS_ERROR_INIT;
	bus_event event = { .time_us = BUS_TIME_NONE };
	if (bus_saga_book_create(bus_config_text(cli->config, BUS_CONF_SAGA_DEFINITIONS),
				 publisher->registry, &book, &err) != BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	bus_exit code = busp_definition(cli, book, input, &definition);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	bus_cli_event_defaults(cli, &event);
	event.id = BUS_STR_NULL; /* --id is the saga's */
	event.type = bus_cli_type_of("saga.requested", cli->arena);
	code = busp_saga_id(cli, definition->name, &event.subject);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	BUS_JSON_AUTO *data =
		json_pack("{s:s,s:i,s:O}", "definition", definition->name, "version",
			  (int)definition->version, "input", input);
	size_t len = json_dumpb(data, NULL, 0, JSON_COMPACT);
	char *text = bus_arena_alloc(cli->arena, len + 1);
	json_dumpb(data, text, len, JSON_COMPACT);
	event.data = (bus_str){ text, len };
	bool finished = strcmp(bus_cli_text(cli, "wait"), "finished") == 0;
	int64_t deadline_ms = bus_clock_mono_ms(cli->clock) + publisher->timeout_ms;
	bus_str saga = event.subject, tenant = event.tenant;
	publisher->applied |= finished;
	code = bus_cli_publish_one(publisher, &event);
	return code == BUS_EXIT_OK && finished ?
		       busp_await_end(cli, publisher, tenant, saga, deadline_ms) :
		       code;
}

static bus_exit
busp_start_run(bus_cli *cli)
{
	BUS_PUBLISHER_AUTO *publisher = NULL;
	BUS_JSON_AUTO *input = json_object();
	const char *given;
	for (size_t i = 0; (given = bus_cli_nth(cli, "input", i)) != NULL; i++) {
		bus_exit code = busp_input_add(given, input);
		if (code != BUS_EXIT_OK) {
			return code;
		}
	}
	bus_exit code = bus_cli_publisher_create(cli, true, &publisher);
	return code == BUS_EXIT_OK ? busp_start_with(cli, publisher, input) : code;
}

static const bus_cli_option start_options[] = {
	{ "input", 'i', BUS_CLI_TEXT, .many = true, .argument = "INPUT",
	  .help = "What the definition asks for: NAME=TEXT, NAME:=JSON, a JSON object, or @FILE "
		  "of one" },
	{ "id", .kind = BUS_CLI_TEXT, .argument = "ID",
	  .help = "Id of the saga, unique in its tenant; else the definition's name and a random "
		  "end" },
	{ "version", .kind = BUS_CLI_INT, .argument = "N",
	  .help = "Version of the definition; else the newest" },
	{ "tenant", .kind = BUS_CLI_TEXT, .argument = "TENANT", .values = "@tenants",
	  .help = "Tenant of the saga; else $BUSLINE_TENANT" },
	{ "actor", .kind = BUS_CLI_TEXT, .argument = "WHO",
	  .help = "Who wants it; else $BUSLINE_ACTOR, else user@host" },
	{ "correlation", .kind = BUS_CLI_TEXT, .argument = "ID",
	  .help = "correlationid: what this event belongs to" },
	{ "wait", .kind = BUS_CLI_CHOICE, .argument = "durable|applied|finished",
	  .fallback = "durable", .bare = "applied", .values = "durable|applied|finished",
	  .help = "Return when the broker has it for good, when it has begun, or when it has "
		  "ended or is parked" },
	{ "timeout", .kind = BUS_CLI_SECONDS, .argument = "TIME", .fallback = "30s",
	  .help = "Longest wait" },
	{ 0 },
};

static const bus_cli_argument start_arguments[] = {
	{ "DEFINITION", .required = true, .help = "Name of the saga's definition" },
	{ 0 },
};

static const bus_exit_row start_exits[] = {
	{ BUS_EXIT_FAILED, "the request was rejected; with --wait=finished: the saga was "
			   "taken back, or is parked" },
	{ BUS_EXIT_DATA, "no such definition, or the input is not as it asks" },
	{ BUS_EXIT_TIMEOUT, "published, but not begun, or not ended, in time" },
	{ 0, NULL },
};

const bus_cli_command bus_command_saga_start = {
	.name = "saga start",
	.group = BUS_GROUP_ACT,
	.summary = "Begin a saga",
	.text = "Checks the input against the definition, then publishes saga.requested with the "
		"version it was checked against.",
	.options = start_options,
	.arguments = start_arguments,
	.examples =
		(const char *const[]){
			"busline saga start release --tenant acme -i app=shop -i image=shop:2 "
			"--wait=finished --timeout 5m",
			"busline saga start scale-out --tenant acme --id spring-sale -i @input.json",
			NULL },
	.exits = start_exits,
	.run = busp_start_run,
};

/* ---- ls ---- */

static bus_exit
busp_ls_run(bus_cli *cli)
{
	const bus_str params[] = { busp_tenant(cli),
				   bus_str_from(bus_cli_text(cli, "status")),
				   bus_str_from(bus_cli_text(cli, "definition")),
				   bus_str_from(bus_cli_text(cli, "limit")) };
	return bus_cli_show(cli, "cli_sagas", params, 4, "no sagas");
}

static const bus_cli_option ls_options[] = {
	TENANT_OPTION,
	{ "status", .kind = BUS_CLI_CHOICE,
	  .argument = "open|running|compensating|parked|completed|compensated",
	  .values = "open|running|compensating|parked|completed|compensated",
	  .help = "Only those that are so; open: those that have not ended" },
	{ "definition", .kind = BUS_CLI_TEXT, .argument = "NAME",
	  .help = "Only of this definition" },
	{ "limit", 'n', BUS_CLI_INT, .argument = "N", .fallback = "100",
	  .help = "Only so many" },
	{ 0 },
};

const bus_cli_command bus_command_saga_ls = {
	.name = "saga ls",
	.group = BUS_GROUP_LOOK,
	.summary = "Sagas: those that have not ended first, then the newest",
	.options = ls_options,
	.examples = (const char *const[]){ "busline saga ls --status parked", NULL },
	.run = busp_ls_run,
};

/* ---- show, trace ---- */

static bus_exit
busp_find(bus_cli *cli, bool with_events, bus_table *ret_table)
{
	const bus_str params[] = { busp_tenant(cli), bus_str_from(cli->arguments[0]),
				   with_events ? BUS_STR("true") : BUS_STR("false") };
	bus_exit code = bus_cli_read(cli, "cli_saga", params, 3, ret_table);
	if (code == BUS_EXIT_OK && ret_table->row_count == 0) {
		return bus_cli_fail(BUS_EXIT_FAILED, cli->arguments[0],
				    "`busline saga ls` lists them",
				    "there is no such saga");
	}
	return code;
}

static bus_str
busp_cell(bus_cli *cli, const json_t *value)
{
	if (value == NULL || json_is_null(value)) {
		return BUS_STR_NULL;
	}
	if (json_is_string(value)) {
		return bus_arena_str(cli->arena, bus_str_from(json_string_value(value)));
	}
	size_t len = json_dumpb(value, NULL, 0, JSON_ENCODE_ANY | JSON_COMPACT);
	char *text = bus_arena_alloc(cli->arena, len + 1);
	json_dumpb(value, text, len, JSON_ENCODE_ANY | JSON_COMPACT);
	return (bus_str){ text, len };
}

/* A line per attribute, then a table of the steps. */
static void
busp_show_one(bus_cli *cli, const json_t *saga)
{
	static const bus_cli_column pairs[] = { { "name", .cell = BUS_CLI_CELL_TEXT },
						{ "value", .cell = BUS_CLI_CELL_TEXT } };
	static const bus_cli_column columns[] = {
		{ "stage", .cell = BUS_CLI_CELL_NUMBER },
		{ "step", .cell = BUS_CLI_CELL_TEXT },
		{ "status", .cell = BUS_CLI_CELL_TEXT },
		{ "do_attempts", .cell = BUS_CLI_CELL_NUMBER },
		{ "undo_attempts", .cell = BUS_CLI_CELL_NUMBER },
		{ "began_at", .cell = BUS_CLI_CELL_TEXT },
		{ "ended_at", .cell = BUS_CLI_CELL_TEXT },
		{ "undone_at", .cell = BUS_CLI_CELL_TEXT },
		{ "due_at", .cell = BUS_CLI_CELL_TEXT },
		{ "reason", .cell = BUS_CLI_CELL_TEXT },
	};
	enum { COUNT = sizeof(columns) / sizeof(columns[0]) };
	const char *name;
	json_t *value, *step;
	size_t i;
	bus_cli_rows rows;
	bus_cli_rows_init(&rows, cli->arena, pairs, 2);
	json_object_foreach((json_t *)saga, name, value)
	{
		if (strcmp(name, "steps") != 0 && strcmp(name, "events") != 0) {
			bus_cli_rows_add(&rows,
					 (const bus_str[]){ bus_str_from(name),
							    busp_cell(cli, value) });
		}
	}
	bus_cli_print(cli, &rows.table);
	putchar('\n');
	bus_cli_rows_init(&rows, cli->arena, columns, COUNT);
	json_array_foreach(json_object_get(saga, "steps"), i, step)
	{
		bus_str cells[COUNT];
		for (size_t c = 0; c < COUNT; c++) {
			cells[c] = busp_cell(cli, json_object_get(step, columns[c].name));
		}
		bus_cli_rows_add(&rows, cells);
	}
	bus_cli_print(cli, &rows.table);
}

static bus_exit
busp_look(bus_cli *cli, bool trace)
{
	bus_table table;
	bus_exit code = busp_find(cli, trace, &table);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	if (!trace) {
		table.column_count--; /* the events, which are not read */
		for (size_t row = 1; row < table.row_count; row++) {
			memmove((bus_str *)table.cells + row * table.column_count,
				table.cells + row * (table.column_count + 1),
				table.column_count * sizeof(*table.cells));
		}
	}
	if (cli->format != BUS_CLI_TABLE) {
		bus_cli_print(cli, &table);
		return BUS_EXIT_OK;
	}
	for (size_t row = 0; row < table.row_count; row++) {
		BUS_BUF_AUTO text = { 0 };
		bus_cli_row_json(&table, row, &text);
		BUS_JSON_AUTO *saga =
			json_loadb((const char *)text.data, text.len, 0, NULL);
		if (row > 0) {
			putchar('\n');
		}
		if (trace) {
			bus_cli_saga_trace(cli, saga);
		} else {
			busp_show_one(cli, saga);
		}
	}
	return BUS_EXIT_OK;
}

static bus_exit
busp_show_run(bus_cli *cli)
{
	return busp_look(cli, false);
}

static bus_exit
busp_trace_run(bus_cli *cli)
{
	return busp_look(cli, true);
}

static const bus_cli_option look_options[] = {
	TENANT_OPTION,
	{ 0 },
};

static const bus_cli_argument look_arguments[] = {
	{ "ID", .required = true, .values = "@sagas", .help = "The saga" },
	{ 0 },
};

const bus_cli_command bus_command_saga_show = {
	.name = "saga show",
	.group = BUS_GROUP_LOOK,
	.summary = "One saga: what it is, what each of its steps has come to",
	.options = look_options,
	.arguments = look_arguments,
	.examples = (const char *const[]){ "busline saga show spring-sale", NULL },
	.run = busp_show_run,
};

const bus_cli_command bus_command_saga_trace = {
	.name = "saga trace",
	.group = BUS_GROUP_LOOK,
	.summary = "One saga as a tree: steps, attempts, answers, and what was taken back",
	.text = "Reads the saga's events from the ledger; -o json gives them whole.",
	.options = look_options,
	.arguments = look_arguments,
	.examples = (const char *const[]){ "busline saga trace spring-sale", NULL },
	.run = busp_trace_run,
};
