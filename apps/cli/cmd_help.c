/*
 * cmd_help.c - help, version, completion, man, docs: what the binary says of itself
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli/client.h"
#include "apps/cli/commands.h"
#include "apps/cli/output.h"
#include "schemas/registry.h"
#include "workers/saga/transitions.h"
#include "workers/workers.h"

static void
busp_put(const bus_buf *page)
{
	fwrite(page->data, 1, page->len, stdout);
}

/* ---- help ---- */

static const bus_cli_argument help_arguments[] = {
	{ "COMMAND", .many = true, .values = "exit-codes|options",
	  .help = "A command, or `exit-codes`, or `options` for those of every command" },
	{ 0 },
};

static bus_exit
busp_help_run(bus_cli *cli)
{
	BUS_BUF_AUTO page = { 0 };
	char name[128] = "";
	for (size_t i = 0; i < cli->argument_count; i++) {
		size_t len = strlen(name);
		snprintf(name + len, sizeof(name) - len, "%s%s", i > 0 ? " " : "",
			 cli->arguments[i]);
	}
	const bus_cli_command *command = bus_cli_command_find(name);
	if (*name == '\0') {
		bus_cli_help_all(&page);
	} else if (strcmp(name, "exit-codes") == 0) {
		bus_cli_help_exits(&page);
	} else if (strcmp(name, "options") == 0) {
		bus_cli_help_options(&page);
	} else if (command != NULL) {
		bus_cli_help_command(command, &page);
	} else {
		return bus_cli_fail(BUS_EXIT_USAGE, name, "`busline help` lists them",
				    "no such command");
	}
	busp_put(&page);
	return BUS_EXIT_OK;
}

const bus_cli_command bus_command_help = {
	.name = "help",
	.group = BUS_GROUP_HELP,
	.summary = "What a command does; all commands; the exit codes",
	.arguments = help_arguments,
	.examples = (const char *const[]){ "busline help publish",
					   "busline help exit-codes", NULL },
	.run = busp_help_run,
	.unconfigured = true,
};

/* ---- version ---- */

static bus_exit
busp_version_run(bus_cli *cli)
{
	static const bus_cli_column columns[] = { { "name", .cell = BUS_CLI_CELL_TEXT },
						  { "version",
						    .cell = BUS_CLI_CELL_TEXT } };
	bus_cli_rows rows;
	bus_cli_rows_init(&rows, cli->arena, columns, 2);
	bus_cli_rows_add(&rows,
			 (const bus_str[]){ BUS_STR("busline"), BUS_STR(BUS_VERSION) });
	if (cli->format == BUS_CLI_TABLE) {
		printf("busline %s\n", BUS_VERSION);
	} else {
		bus_cli_print(cli, &rows.table);
	}
	return BUS_EXIT_OK;
}

const bus_cli_command bus_command_version = {
	.name = "version",
	.group = BUS_GROUP_HELP,
	.summary = "Version of this binary",
	.run = busp_version_run,
	.unconfigured = true,
};

/* ---- completion ---- */

static const bus_cli_argument completion_arguments[] = {
	{ "SHELL", .required = true, .values = "bash|zsh|fish",
	  .help = "bash, zsh or fish" },
	{ 0 },
};

static bus_exit
busp_completion_run(bus_cli *cli)
{
	BUS_BUF_AUTO script = { 0 };
	if (!bus_cli_completion(cli->arguments[0], &script)) {
		return bus_cli_fail(BUS_EXIT_USAGE, cli->arguments[0],
				    "bash, zsh and fish are",
				    "not a shell this binary has completion for");
	}
	busp_put(&script);
	return BUS_EXIT_OK;
}

const bus_cli_command bus_command_completion = {
	.name = "completion",
	.group = BUS_GROUP_HELP,
	.summary = "A completion script for a shell",
	.arguments = completion_arguments,
	.examples = (const char *const[]){ "source <(busline completion bash)",
					   "busline completion fish | source", NULL },
	.run = busp_completion_run,
	.unconfigured = true,
};

/* ---- man, docs ---- */

static bus_exit
busp_man_run(bus_cli *cli)
{
	(void)cli;
	BUS_BUF_AUTO page = { 0 };
	bus_cli_man(&page);
	busp_put(&page);
	return BUS_EXIT_OK;
}

const bus_cli_command bus_command_man = {
	.name = "man",
	.group = BUS_GROUP_HELP,
	.summary = "The manual page busline(1), as roff",
	.examples = (const char *const[]){ "busline man | man -l -", NULL },
	.run = busp_man_run,
	.unconfigured = true,
};

static const bus_cli_argument docs_arguments[] = {
	{ "PAGE", .required = true, .values = "cli|configuration|saga-states",
	  .help = "cli: docs/cli.md; configuration: docs/configuration.md; saga-states: "
		  "docs/saga-states.md" },
	{ 0 },
};

static bus_exit
busp_docs_run(bus_cli *cli)
{
	BUS_BUF_AUTO page = { 0 };
	if (strcmp(cli->arguments[0], "cli") == 0) {
		bus_cli_document(&page);
	} else if (strcmp(cli->arguments[0], "configuration") == 0) {
		bus_config_document(&page);
	} else if (strcmp(cli->arguments[0], "saga-states") == 0) {
		bus_saga_document(&page);
	} else {
		return bus_cli_fail(BUS_EXIT_USAGE, cli->arguments[0],
				    "pages are: cli, configuration, saga-states",
				    "no such page");
	}
	busp_put(&page);
	return BUS_EXIT_OK;
}

const bus_cli_command bus_command_docs = {
	.name = "docs",
	.group = BUS_GROUP_HELP,
	.summary = "A page of the documentation that is made from a table",
	.arguments = docs_arguments,
	.examples = (const char *const[]){ "busline docs cli > docs/cli.md", NULL },
	.run = busp_docs_run,
	.unconfigured = true,
};

/* ---- __complete: names for the completion scripts ---- */

static const bus_cli_argument complete_arguments[] = {
	{ "KIND", .required = true,
	  .help = "apps, sagas, tenants, topics, types, workers" },
	{ 0 },
};

static void
busp_complete_query(bus_cli *cli, const char *query)
{
	bus_table table;
	/* a person waits at a prompt: no database, no names, no message */
	if (freopen("/dev/null", "w", stderr) == NULL ||
	    bus_cli_read(cli, query, NULL, 0, &table) != BUS_EXIT_OK) {
		return;
	}
	for (size_t row = 0; row < table.row_count; row++) {
		printf("%.*s\n", BUS_STR_ARG(bus_table_cell(&table, row, 0)));
	}
}

static bus_exit
busp_complete_run(bus_cli *cli)
{
	const char *kind = cli->arguments[0];
	if (strcmp(kind, "apps") == 0) {
		busp_complete_query(cli, "cli_complete_apps");
	} else if (strcmp(kind, "tenants") == 0) {
		busp_complete_query(cli, "cli_complete_tenants");
	} else if (strcmp(kind, "sagas") == 0) {
		busp_complete_query(cli, "cli_complete_sagas");
	} else if (strcmp(kind, "topics") == 0) {
		for (const bus_family *row = bus_families(); row->name != NULL; row++) {
			puts(row->topic);
		}
	} else if (strcmp(kind, "types") == 0) {
		size_t count;
		const bus_event_type *types = bus_registry_types(&count);
		for (size_t i = 0; i < count; i++) {
			puts(types[i].type);
		}
	} else if (strcmp(kind, "workers") == 0) {
		for (const bus_role *row = bus_roles(); row->name != NULL; row++) {
			puts(row->name);
		}
	}
	return BUS_EXIT_OK;
}

const bus_cli_command bus_command_complete = {
	.name = "__complete",
	.summary = "Names for the completion scripts, one per line",
	.arguments = complete_arguments,
	.run = busp_complete_run,
};
