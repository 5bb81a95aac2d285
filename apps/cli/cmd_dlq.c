/*
 * cmd_dlq.c - dlq ls, show: what was set aside, and what waits
 */
#include <string.h>

#include "apps/cli/client.h"
#include "apps/cli/commands.h"
#include "apps/cli/dlq.h"
#include "apps/cli/output.h"
#include "apps/cli/record.h"
#include "core/event.h"

bus_str
bus_cli_dlq_tenant(const bus_cli *cli)
{
	const char *text = bus_cli_text(cli, "tenant");
	return bus_str_from(text != NULL ? text : cli->tenant);
}

static const bus_cli_option dlq_ls_options[] = {
	BUS_CLI_DLQ_TENANT,
	{ "topic", .kind = BUS_CLI_TEXT, .argument = "TOPIC",
	  .help = "Only of this topic" },
	{ "cause", .kind = BUS_CLI_TEXT, .argument = "CAUSE", .values = "@causes",
	  .help = "Only with this cause" },
	{ "state", .kind = BUS_CLI_CHOICE, .argument = "STATE", .fallback = "open",
	  .values = "open|redriven|discarded|all",
	  .help = "Those that wait, those that are done, or all" },
	{ "group", 'g', BUS_CLI_FLAG, .help = "Count by cause, with what it means" },
	{ "keys", 'k', BUS_CLI_FLAG,
	  .help = "The keys that are held: since when, behind what, how many wait" },
	{ "limit", 'n', BUS_CLI_INT, .argument = "N", .fallback = "100",
	  .help = "Only the newest so many" },
	{ 0 },
};

/* The table of causes knows what each means and what to do. */
static bus_str
busp_cause_help(bus_str name)
{
	for (int i = 0; i < BUS_CAUSE_COUNT; i++) {
		if (bus_str_is(name, bus_cause_name((bus_cause)i))) {
			return bus_str_from(bus_cause_help((bus_cause)i));
		}
	}
	return BUS_STR_NULL;
}

static bus_exit
busp_dlq_group(bus_cli *cli, const bus_str *params)
{
	static const bus_cli_column columns[] = {
		{ "cause", .cell = BUS_CLI_CELL_TEXT },
		{ "count", .cell = BUS_CLI_CELL_NUMBER },
		{ "keys", .cell = BUS_CLI_CELL_NUMBER },
		{ "first", .cell = BUS_CLI_CELL_TEXT },
		{ "last", .cell = BUS_CLI_CELL_TEXT },
		{ "example", .cell = BUS_CLI_CELL_TEXT },
		{ "meaning", .cell = BUS_CLI_CELL_TEXT },
	};
	enum { COUNT = sizeof(columns) / sizeof(columns[0]) };
	bus_table table;
	bus_cli_rows rows;
	bus_exit code = bus_cli_read(cli, "cli_dead_letter_causes", params, 4, &table);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	bus_cli_rows_init(&rows, cli->arena, columns, COUNT);
	for (size_t row = 0; row < table.row_count; row++) {
		bus_str cells[COUNT];
		for (size_t i = 0; i + 1 < COUNT; i++) {
			cells[i] = bus_table_cell(&table, row, i);
		}
		cells[COUNT - 1] = busp_cause_help(cells[0]);
		bus_cli_rows_add(&rows, cells);
	}
	bus_cli_print(cli, &rows.table);
	if (table.row_count == 0) {
		bus_cli_note(cli, "no dead letters");
	}
	return BUS_EXIT_OK;
}

static bus_exit
busp_dlq_ls_run(bus_cli *cli)
{
	const char *state = bus_cli_text(cli, "state");
	const bus_str params[] = {
		bus_cli_dlq_tenant(cli),
		bus_str_from(bus_cli_text(cli, "cause")),
		bus_str_from(bus_cli_text(cli, "topic")),
		strcmp(state, "all") == 0 ? BUS_STR_NULL : bus_str_from(state),
		bus_str_from(bus_cli_text(cli, "limit")),
	};
	if (bus_cli_given(cli, "keys")) {
		const bus_str of_keys[] = { params[0], params[2] };
		return bus_cli_show(cli, "cli_held_keys", of_keys, 2, "no key is held");
	}
	if (bus_cli_given(cli, "group")) {
		return busp_dlq_group(cli, params);
	}
	return bus_cli_show(cli, "cli_dead_letters", params, 5, "no dead letters");
}

const bus_cli_command bus_command_dlq = {
	.name = "dlq",
	.group = BUS_GROUP_LOOK,
	.summary = "Dead letters: events that were set aside, and the keys that wait",
	.text = "An event that can never be applied is set aside alone. One that fails for a reason that "
		"may pass holds its key: later events of the key wait behind it, in order, and are "
		"folded after it. What to do: docs/quarantine.md.",
};

const bus_cli_command bus_command_dlq_ls = {
	.name = "dlq ls",
	.group = BUS_GROUP_LOOK,
	.summary =
		"Dead letters, the newest first; how many of each cause; keys that are held",
	.options = dlq_ls_options,
	.examples =
		(const char *const[]){ "busline dlq ls --group", "busline dlq ls --keys",
				       "busline dlq ls --cause schema-invalid", NULL },
	.run = busp_dlq_ls_run,
};

/* "busline.deploy/3@17", or as publish and tail write it, "busline.deploy-3@17". */
bool
bus_cli_dlq_place(const char *text, bus_arena *arena, bus_str ret_params[3])
{
	const char *at = strrchr(text, '@');
	const char *digits = at;
	while (digits != NULL && digits > text && digits[-1] >= '0' && digits[-1] <= '9') {
		digits--;
	}
	if (at == NULL || digits == at || digits == text || at[1] == '\0' ||
	    (digits[-1] != '/' && digits[-1] != '-') || at - digits > 6 ||
	    strlen(at + 1) > 18 || strspn(at + 1, "0123456789") != strlen(at + 1)) {
		return false;
	}
	ret_params[0] =
		bus_arena_str(arena, (bus_str){ text, (size_t)(digits - 1 - text) });
	ret_params[1] = bus_arena_str(arena, (bus_str){ digits, (size_t)(at - digits) });
	ret_params[2] = bus_str_from(at + 1);
	return true;
}

/* Columns of cli_dead_letter that hold bytes, as PostgreSQL shows them. */
static bus_str
busp_readable(bus_cli *cli, bus_str *name, bus_str cell)
{
	const bus_header *headers;
	size_t count;
	bool base64 = false;
	bus_error err = BUS_ERROR_INIT;
	bus_str bytes = bus_cli_bytea(cell, cli->arena);
	if (bus_str_is(*name, "headers") && bytes.data != NULL &&
	    bus_headers_unpack(bytes, cli->arena, &headers, &count, &err) == BUS_OK) {
		return bus_cli_headers_json(headers, count, cli->arena);
	}
	if (bus_str_is(*name, "edited")) {
		return bytes.data != NULL ?
			       bus_cli_data_json(bytes, cli->arena, &base64) :
			       BUS_STR_NULL;
	}
	if (bus_str_is(*name, "data")) {
		cell = bus_cli_data_json(bytes, cli->arena, &base64);
		*name = base64 ? BUS_STR("data_base64") : *name;
		return cell;
	}
	return bytes.data != NULL && bus_str_is(*name, "key") ?
		       bus_cli_text_of(bytes, cli->arena) :
		       cell;
}

static void
busp_dlq_print(bus_cli *cli, bus_table *table)
{
	bus_str *names =
		bus_arena_alloc(cli->arena, table->column_count * sizeof(*names));
	bus_str *cells =
		bus_arena_alloc(cli->arena, table->column_count * sizeof(*cells));
	bool *json = bus_arena_alloc(cli->arena, table->column_count * sizeof(*json));
	for (size_t i = 0; i < table->column_count; i++) {
		names[i] = table->columns[i];
		json[i] = table->json[i] || bus_str_is(names[i], "headers") ||
			  bus_str_is(names[i], "data") || bus_str_is(names[i], "edited");
		cells[i] = busp_readable(cli, &names[i], table->cells[i]);
	}
	table->columns = names;
	table->cells = cells;
	table->json = json;
	if (cli->format != BUS_CLI_TABLE) {
		bus_cli_print(cli, table);
		return;
	}
	/* one event: a line per attribute reads better than a very long one */
	static const bus_cli_column columns[] = { { "name", .cell = BUS_CLI_CELL_TEXT },
						  { "value", .cell = BUS_CLI_CELL_TEXT } };
	bus_cli_rows rows;
	bus_cli_rows_init(&rows, cli->arena, columns, 2);
	for (size_t i = 0; i < table->column_count; i++) {
		if (cells[i].data == NULL) {
			continue; /* an empty line tells nothing */
		}
		bus_cli_rows_add(&rows, (const bus_str[]){ names[i], cells[i] });
	}
	bus_cli_print(cli, &rows.table);
}

static bus_exit
busp_dlq_show_run(bus_cli *cli)
{
	bus_str params[3];
	bus_table table;
	if (!bus_cli_dlq_place(cli->arguments[0], cli->arena, params)) {
		return bus_cli_fail(BUS_EXIT_USAGE, cli->arguments[0],
				    "`busline dlq ls` shows where they lie",
				    "is not TOPIC/PARTITION@OFFSET");
	}
	bus_exit code = bus_cli_read(cli, "cli_dead_letter", params, 3, &table);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	if (table.row_count == 0) {
		return bus_cli_fail(BUS_EXIT_FAILED, cli->arguments[0],
				    "`busline dlq ls` shows where they lie",
				    "no dead letter lies there");
	}
	busp_dlq_print(cli, &table);
	return BUS_EXIT_OK;
}

static const bus_cli_argument dlq_show_arguments[] = {
	{ "TOPIC/PARTITION@OFFSET", .required = true, .help = "Where it lies in the log" },
	{ 0 },
};

const bus_cli_command bus_command_dlq_show = {
	.name = "dlq show",
	.group = BUS_GROUP_LOOK,
	.summary =
		"One dead letter whole: cause, place, what became of it, headers and data as they came",
	.arguments = dlq_show_arguments,
	.examples = (const char *const[]){ "busline dlq show busline.deploy/3@17", NULL },
	.run = busp_dlq_show_run,
};
