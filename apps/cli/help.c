/*
 * help.c - --help at every level, from the table
 */
#include <stdio.h>
#include <string.h>

#include "apps/cli/cli.h"

#define HELP_COLUMN 26
#define HELP_WIDTH 88

bool
bus_cli_is_below(const bus_cli_command *a, const bus_cli_command *b)
{
	size_t len = strlen(a->name);
	return strncmp(a->name, b->name, len) == 0 && b->name[len] == ' ' &&
	       strchr(b->name + len + 1, ' ') == NULL;
}

void
bus_cli_usage_line(const bus_cli_command *command, bus_buf *out)
{
	bus_buf_printf(out, "busline %s", command->name);
	if (command->run == NULL) {
		bus_buf_cstr(out, " COMMAND");
	}
	for (const bus_cli_option *row = command->options;
	     row != NULL && row->name != NULL; row++) {
		if (row->required) {
			bus_buf_printf(out, " --%s %s", row->name, row->argument);
		}
	}
	for (const bus_cli_argument *row = command->arguments;
	     row != NULL && row->name != NULL; row++) {
		bus_buf_printf(out, row->required ? " %s%s" : " [%s%s]", row->name,
			       row->many ? "..." : "");
	}
	bus_buf_cstr(out, " [OPTIONS]\n");
}

/* Text from where the line stands, wrapped; further lines begin at indent. */
static void
busp_wrap(bus_buf *out, const char *text, size_t at, size_t indent)
{
	while (*text != '\0') {
		size_t word = strcspn(text, " \n");
		if (at + word > HELP_WIDTH && at > indent) {
			bus_buf_printf(out, "\n%*s", (int)indent, "");
			at = indent;
		}
		bus_buf_append(out, text, word);
		at += word;
		text += word;
		if (*text == '\n') {
			bus_buf_printf(out, "\n%*s", (int)indent, "");
			at = indent;
			text++;
		} else if (*text == ' ') {
			text++;
			if (*text != '\0' && at + 1 + strcspn(text, " \n") <= HELP_WIDTH) {
				bus_buf_byte(out, ' ');
				at++;
			} else if (*text != '\0') {
				bus_buf_printf(out, "\n%*s", (int)indent, "");
				at = indent;
			}
		}
	}
	bus_buf_byte(out, '\n');
}

static void
busp_entry(bus_buf *out, const char *left, const char *text)
{
	size_t at = 2 + strlen(left);
	bus_buf_printf(out, "  %s", left);
	if (at + 2 > HELP_COLUMN) {
		bus_buf_byte(out, '\n');
		at = 0;
	}
	bus_buf_printf(out, "%*s", (int)(HELP_COLUMN - at), "");
	busp_wrap(out, text, HELP_COLUMN, HELP_COLUMN);
}

static void
busp_option_entry(bus_buf *out, const bus_cli_option *row)
{
	char left[120];
	char text[512];
	size_t len = 0;
	if (row->letter != 0) {
		len = (size_t)snprintf(left, sizeof(left), "-%c, ", row->letter);
	}
	snprintf(left + len, sizeof(left) - len, "--%s%s%s%s", row->name,
		 row->kind == BUS_CLI_FLAG ? "" :
		 row->bare != NULL         ? "[=" :
					     " ",
		 row->kind == BUS_CLI_FLAG ? "" : row->argument,
		 row->bare != NULL ? "]" : "");
	len = (size_t)snprintf(text, sizeof(text), "%s", row->help);
	if (row->kind == BUS_CLI_CHOICE) {
		len += (size_t)snprintf(text + len, sizeof(text) - len, ": %s",
					row->values);
	}
	if (row->many) {
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"; may be repeated");
	}
	if (bus_cli_has_default(row)) {
		snprintf(text + len, sizeof(text) - len, " (default %s)", row->fallback);
	}
	busp_entry(out, left, text);
}

static void
busp_options(bus_buf *out, const char *title, const bus_cli_option *rows)
{
	if (rows == NULL || rows->name == NULL) {
		return;
	}
	bus_buf_printf(out, "\n%s\n", title);
	for (; rows->name != NULL; rows++) {
		busp_option_entry(out, rows);
	}
}

static void
busp_below(bus_buf *out, const bus_cli_command *command)
{
	bool any = false;
	for (const bus_cli_command *const *row = bus_cli_commands(); *row != NULL; row++) {
		if (bus_cli_is_below(command, *row) && (*row)->group != NULL) {
			bus_buf_cstr(out, any ? "" : "\nCommands\n");
			busp_entry(out, (*row)->name, (*row)->summary);
			any = true;
		}
	}
}

static void
busp_arguments(bus_buf *out, const bus_cli_argument *rows)
{
	if (rows == NULL || rows->name == NULL) {
		return;
	}
	bus_buf_cstr(out, "\nArguments\n");
	for (; rows->name != NULL; rows++) {
		busp_entry(out, rows->name, rows->help);
	}
}

void
bus_cli_help_command(const bus_cli_command *command, bus_buf *out)
{
	char code[16];
	bus_buf_printf(out, "%s\n\nUsage: ", command->summary);
	bus_cli_usage_line(command, out);
	if (command->text != NULL) {
		bus_buf_byte(out, '\n');
		busp_wrap(out, command->text, 0, 0);
	}
	busp_below(out, command);
	busp_arguments(out, command->arguments);
	busp_options(out, "Options", command->options);
	if (command->examples != NULL) {
		bus_buf_cstr(out, "\nExamples\n");
		for (const char *const *example = command->examples; *example != NULL;
		     example++) {
			bus_buf_printf(out, "  %s\n", *example);
		}
	}
	if (command->exits != NULL) {
		bus_buf_cstr(out, "\nExit codes of its own\n");
		for (const bus_exit_row *row = command->exits; row->meaning != NULL;
		     row++) {
			snprintf(code, sizeof(code), "%d", row->code);
			busp_entry(out, code, row->meaning);
		}
	}
	bus_buf_cstr(
		out,
		"\nOptions of every command: `busline help options`; exit codes: `busline "
		"help exit-codes`.\n");
}

void
bus_cli_help_all(bus_buf *out)
{
	const char *group = "";
	bus_buf_cstr(
		out,
		"busline - platform actions as ordered events, each one exactly once in "
		"PostgreSQL\n\nUsage: busline COMMAND [ARGUMENTS] [OPTIONS]\n");
	for (const bus_cli_command *const *row = bus_cli_commands(); *row != NULL; row++) {
		/* a family stands for its members in this list only where it has no others */
		if ((*row)->group == NULL || (*row)->run == NULL) {
			continue;
		}
		if (strcmp(group, (*row)->group) != 0) {
			group = (*row)->group;
			bus_buf_printf(out, "\n%s\n", group);
		}
		busp_entry(out, (*row)->name, (*row)->summary);
	}
	busp_options(out, "Options of every command", bus_cli_globals());
	bus_buf_cstr(
		out,
		"\n`busline COMMAND --help` tells the rest; `busline help options` lists "
		"the settings.\n");
}

void
bus_cli_help_options(bus_buf *out)
{
	char left[120];
	char text[512];
	bus_buf_cstr(out, "Options that every command takes, before or after its name.\n");
	busp_options(out, "Options", bus_cli_globals());
	bus_buf_cstr(
		out,
		"\nSettings: flag, else environment, else the file of --config, else the "
		"default\n");
	for (int key = 0; key < BUS_CONF_COUNT; key++) {
		const bus_config_option *row = bus_config_option_of((bus_config_key)key);
		snprintf(left, sizeof(left), "--%s VALUE", row->name);
		for (char *dot = left; (dot = strchr(dot, '.')) != NULL;) {
			*dot = '-';
		}
		snprintf(text, sizeof(text), "%s%s%s%s", row->help,
			 *row->fallback != '\0' ? " (default " : "", row->fallback,
			 *row->fallback != '\0' ? ")" : "");
		busp_entry(out, left, text);
	}
}

void
bus_cli_help_exits(bus_buf *out)
{
	char code[16];
	bus_buf_cstr(out, "Exit codes, those of sysexits.h where there is one\n\n");
	for (const bus_exit_row *row = bus_exits(); row->meaning != NULL; row++) {
		snprintf(code, sizeof(code), "%d", row->code);
		busp_entry(out, code, row->meaning);
	}
}
