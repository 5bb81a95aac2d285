/*
 * cmd_saga_lint.c - saga lint, definitions: what sagas there are, and what is wrong with one
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli/commands.h"
#include "apps/cli/output.h"
#include "core/json.h"
#include "schemas/saga.h"

const bus_cli_command bus_command_saga = {
	.name = "saga",
	.group = BUS_GROUP_LOOK,
	.summary = "Sagas: actions of several steps that end complete or taken back",
	.text = "A definition says the steps, and how each is taken back. Beside the shipped ones there are "
		"those of the directory saga.definitions. How sagas work: docs/sagas.md.",
};

/* ---- lint ---- */

static const bus_cli_column lint_columns[] = {
	{ "file", .cell = BUS_CLI_CELL_TEXT },
	{ "where", .cell = BUS_CLI_CELL_TEXT },
	{ "severity", .cell = BUS_CLI_CELL_TEXT },
	{ "what", .cell = BUS_CLI_CELL_TEXT },
};

/* A file, or standard input as "-". One byte more than may be is enough to be refused. */
static bus_exit
busp_read(const char *path, bus_buf *text)
{
	char chunk[4096];
	size_t len;
	bool standard = strcmp(path, "-") == 0;
	FILE *file = standard ? stdin : fopen(path, "re");
	if (file == NULL) {
		return bus_cli_fail(BUS_EXIT_NO_INPUT, path, NULL, "cannot be read: %s",
				    strerror(errno));
	}
	while (text->len <= BUS_EVENT_BYTES_MAX &&
	       (len = fread(chunk, 1, sizeof(chunk), file)) > 0) {
		bus_buf_append(text, chunk, len);
	}
	bool failed = ferror(file) != 0;
	int code = errno;
	if (!standard) {
		fclose(file);
	}
	return failed ? bus_cli_fail(BUS_EXIT_NO_INPUT, path, NULL, "cannot be read: %s",
				     strerror(code)) :
			BUS_EXIT_OK;
}

static void
busp_add_findings(bus_cli *cli, const char *path, const bus_saga_report *report,
		  bus_cli_rows *rows)
{
	for (size_t i = 0; i < report->count; i++) {
		const bus_saga_finding *row = &report->findings[i];
		bus_cli_rows_add(
			rows, (const bus_str[]){
				      bus_str_from(path),
				      bus_arena_str(cli->arena, bus_str_from(row->where)),
				      row->warning ? BUS_STR("warning") : BUS_STR("error"),
				      bus_arena_str(cli->arena, bus_str_from(row->what)),
			      });
	}
}

static bus_exit
busp_lint_one(bus_cli *cli, const bus_registry *registry, const char *path,
	      bus_cli_rows *rows)
{
	BUS_BUF_AUTO text = { 0 };
	bus_error err = BUS_ERROR_INIT;
	bus_saga_definition *definition = NULL;
	bus_saga_report *report = bus_arena_alloc(cli->arena, sizeof(*report));
	bus_exit code = busp_read(path, &text);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	bus_status status = bus_saga_parse(bus_buf_view(&text), path, registry, report,
					   &definition, &err);
	bus_saga_destroy(definition);
	if (status != BUS_OK && status != BUS_E_REJECT) {
		return bus_cli_fail_error(&err);
	}
	busp_add_findings(cli, path, report, rows);
	return status == BUS_OK ? BUS_EXIT_OK : BUS_EXIT_DATA;
}

static bus_exit
busp_saga_lint_run(bus_cli *cli)
{
	bus_error err = BUS_ERROR_INIT;
	bus_registry *registry = NULL;
	bus_cli_rows rows;
	bus_exit worst = BUS_EXIT_OK;
	if (bus_registry_create(&registry, &err) != BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	bus_cli_rows_init(&rows, cli->arena, lint_columns,
			  sizeof(lint_columns) / sizeof(lint_columns[0]));
	/* A file that cannot be read does not hide what is wrong with the others. */
	for (size_t i = 0; i < cli->argument_count; i++) {
		bus_exit code = busp_lint_one(cli, registry, cli->arguments[i], &rows);
		worst = code != BUS_EXIT_OK && worst != BUS_EXIT_NO_INPUT ? code : worst;
	}
	bus_registry_destroy(registry);
	if (rows.table.row_count > 0 || cli->format != BUS_CLI_TABLE) {
		bus_cli_print(cli, &rows.table);
	}
	if (rows.table.row_count == 0 && worst == BUS_EXIT_OK) {
		bus_cli_note(cli, "nothing is wrong");
	}
	return worst;
}

static const bus_cli_argument lint_arguments[] = {
	{ "FILE", .required = true, .many = true,
	  .help = "Definitions; - is standard input" },
	{ 0 },
};

static const bus_exit_row lint_exits[] = {
	{ BUS_EXIT_OK, "nothing is wrong, or there are warnings only" },
	{ BUS_EXIT_DATA, "a definition is wrong" },
	{ 0, NULL },
};

const bus_cli_command bus_command_saga_lint = {
	.name = "saga lint",
	.group = BUS_GROUP_LOOK,
	.summary = "What is wrong with saga definitions, all of it at once",
	.text = "Each finding says where (a JSON Pointer into the file) and what to do. Events of the "
		"directory schemas.directory are known. A warning is something that may be meant so.",
	.arguments = lint_arguments,
	.exits = lint_exits,
	.examples =
		(const char *const[]){
			"busline saga lint sagas/*.json",
			"busline saga lint -o json my-saga.v1.json",
			NULL,
		},
	.run = busp_saga_lint_run,
};

/* ---- definitions ---- */

static const bus_cli_column list_columns[] = {
	{ "name", .cell = BUS_CLI_CELL_TEXT },
	{ "version", .cell = BUS_CLI_CELL_NUMBER },
	{ "steps", .cell = BUS_CLI_CELL_NUMBER },
	{ "pivot", .cell = BUS_CLI_CELL_TEXT },
	{ "title", .cell = BUS_CLI_CELL_TEXT },
	{ "file", .cell = BUS_CLI_CELL_TEXT },
};

static void
busp_list(bus_cli *cli, const bus_saga_book *book)
{
	size_t count;
	bus_cli_rows rows;
	const bus_saga_definition *const *all = bus_saga_book_all(book, &count);
	bus_cli_rows_init(&rows, cli->arena, list_columns,
			  sizeof(list_columns) / sizeof(list_columns[0]));
	for (size_t i = 0; i < count; i++) {
		const char *pivot = NULL;
		for (size_t s = 0; s < all[i]->step_count; s++) {
			pivot = all[i]->steps[s].pivot ? all[i]->steps[s].name : pivot;
		}
		bus_cli_rows_add(&rows,
				 (const bus_str[]){
					 bus_str_from(all[i]->name),
					 bus_cli_number(cli->arena, all[i]->version),
					 bus_cli_number(cli->arena,
							(int64_t)all[i]->step_count),
					 bus_str_from(pivot),
					 bus_str_from(all[i]->title),
					 bus_str_from(all[i]->file),
				 });
	}
	bus_cli_print(cli, &rows.table);
}

static const bus_cli_column step_columns[] = {
	{ "stage", .cell = BUS_CLI_CELL_NUMBER },
	{ "step", .cell = BUS_CLI_CELL_TEXT },
	{ "does", .cell = BUS_CLI_CELL_TEXT },
	{ "action", .cell = BUS_CLI_CELL_TEXT },
	{ "deadline_ms", .cell = BUS_CLI_CELL_NUMBER },
	{ "attempts", .cell = BUS_CLI_CELL_NUMBER },
	{ "compensation", .cell = BUS_CLI_CELL_TEXT },
	{ "pivot", .cell = BUS_CLI_CELL_JSON },
};

static void
busp_steps(bus_cli *cli, const bus_saga_definition *definition)
{
	bus_cli_rows rows;
	bus_cli_rows_init(&rows, cli->arena, step_columns,
			  sizeof(step_columns) / sizeof(step_columns[0]));
	for (size_t i = 0; i < definition->step_count; i++) {
		const bus_saga_step *step = &definition->steps[i];
		bus_cli_rows_add(
			&rows,
			(const bus_str[]){
				bus_cli_number(cli->arena, step->stage + 1),
				bus_str_from(step->name),
				bus_str_from(step->title),
				bus_str_from(step->action.type),
				bus_cli_number(cli->arena, step->action.deadline_ms),
				bus_cli_number(cli->arena, step->action.attempts),
				bus_str_from(step->compensated ? step->compensation.type :
								 NULL),
				step->pivot ? BUS_STR("true") : BUS_STR("false"),
			});
	}
	bus_cli_print(cli, &rows.table);
}

/* "release", the newest, or "release.v2". */
static const bus_saga_definition *
busp_find(bus_cli *cli, const bus_saga_book *book, const char *name)
{
	const char *dot = strstr(name, ".v");
	char *end = NULL;
	long version = dot != NULL ? strtol(dot + 2, &end, 10) : 0;
	if (dot != NULL && version > 0 && version <= INT32_MAX && *end == '\0') {
		return bus_saga_book_find(book,
					  bus_arena_printf(cli->arena, "%.*s",
							   (int)(dot - name), name),
					  (int32_t)version);
	}
	return bus_saga_book_find(book, bus_str_from(name), 0);
}

static bus_exit
busp_no_definition(bus_cli *cli, const bus_saga_book *book, const char *name)
{
	size_t count;
	const bus_saga_definition *const *all = bus_saga_book_all(book, &count);
	const char **names = bus_arena_alloc(cli->arena, (count + 1) * sizeof(*names));
	for (size_t i = 0; i < count; i++) {
		names[i] = all[i]->name;
	}
	const char *nearest = bus_cli_nearest(name, names);
	return bus_cli_fail(
		BUS_EXIT_DATA, name,
		nearest != NULL ?
			bus_arena_printf(cli->arena, "did you mean %s?", nearest).data :
			"`busline saga definitions` lists them",
		"there is no saga definition of this name");
}

static bus_exit
busp_saga_definitions_run(bus_cli *cli)
{
	bus_error err = BUS_ERROR_INIT;
	bus_registry *registry = NULL;
	bus_saga_book *book = NULL;
	bus_exit code = BUS_EXIT_OK;
	const char *name = bus_cli_argument_at(cli, 0);
	if (bus_registry_create(&registry, &err) != BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	if (bus_saga_book_create(bus_config_text(cli->config, BUS_CONF_SAGA_DEFINITIONS),
				 registry, &book, &err) != BUS_OK) {
		code = bus_cli_fail_error(&err);
	} else if (name == NULL) {
		busp_list(cli, book);
	} else {
		const bus_saga_definition *definition = busp_find(cli, book, name);
		if (definition == NULL) {
			code = busp_no_definition(cli, book, name);
		} else {
			busp_steps(cli, definition);
		}
	}
	bus_saga_book_destroy(book);
	bus_registry_destroy(registry);
	return code;
}

static const bus_cli_argument definitions_arguments[] = {
	{ "NAME", .help = "Its steps: the newest version, or that of NAME.v<N>" },
	{ 0 },
};

static const bus_exit_row definitions_exits[] = {
	{ BUS_EXIT_DATA, "there is no definition of this name" },
	{ BUS_EXIT_CONFIG, "a file of saga.definitions is wrong" },
	{ 0, NULL },
};

const bus_cli_command bus_command_saga_definitions = {
	.name = "saga definitions",
	.group = BUS_GROUP_LOOK,
	.summary = "The sagas that can be started, or the steps of one",
	.arguments = definitions_arguments,
	.exits = definitions_exits,
	.examples =
		(const char *const[]){
			"busline saga definitions",
			"busline saga definitions release",
			NULL,
		},
	.run = busp_saga_definitions_run,
};
