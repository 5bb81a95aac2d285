/*
 * man.c - busline(1) in mdoc(7), from the table
 */
#include <stdio.h>
#include <string.h>

#include "apps/cli/cli.h"

/* Of the page; the build must give the same bytes every time. */
#define MAN_DATE "November 21, 2026"

#define LINE_WIDTH 76

/* A word of text: what would be a request, an escape or a dash of another length is not. */
static void
busp_word(bus_buf *out, const char *word, size_t len, bool line_start)
{
	if (line_start && (*word == '.' || *word == '\'')) {
		bus_buf_cstr(out, "\\&");
	}
	for (size_t i = 0; i < len; i++) {
		switch (word[i]) {
		case '\\':
			bus_buf_cstr(out, "\\e");
			break;
		case '`':
			bus_buf_cstr(out, "\\(ga");
			break;
		case '-':
			bus_buf_cstr(out, "\\-");
			break;
		default:
			bus_buf_byte(out, (uint8_t)word[i]);
		}
	}
}

/* Sentences: each begins on a line of its own, as mdoc wants it, and ends with a stop. */
static void
busp_text(bus_buf *out, const char *text)
{
	size_t line = 0;
	char last = '\0';
	while (*text != '\0') {
		size_t len = strcspn(text, " ");
		if (line > 0 && (line + len >= LINE_WIDTH || last == '.')) {
			bus_buf_byte(out, '\n');
			line = 0;
		} else if (line > 0) {
			bus_buf_byte(out, ' ');
		}
		busp_word(out, text, len, line == 0);
		last = text[len - 1];
		line += 2 * len; /* escapes make it longer */
		text += len;
		text += strspn(text, " ");
	}
	bus_buf_cstr(out, last == '.' ? "\n" : ".\n");
}

/* An argument of a macro: quoted, so that no word is taken for a macro itself. */
static void
busp_quoted(bus_buf *out, const char *text)
{
	bus_buf_byte(out, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"') {
			bus_buf_cstr(out, "\"\"");
		} else if (*text == '\\') {
			bus_buf_cstr(out, "\\e");
		} else if (*text == '-') {
			bus_buf_cstr(out, "\\-");
		} else {
			bus_buf_byte(out, (uint8_t)*text);
		}
	}
	bus_buf_byte(out, '"');
}

static void
busp_option(bus_buf *out, const bus_cli_option *row)
{
	bus_buf_cstr(out, ".It ");
	if (row->letter != 0) {
		bus_buf_printf(out, "Fl %c , ", row->letter);
	}
	bus_buf_printf(out, "Fl \\-%s", row->name);
	if (row->kind != BUS_CLI_FLAG) {
		bus_buf_cstr(out, row->bare != NULL ? " Ns Op = Ns Ar " : " Ar ");
		busp_quoted(out, row->argument);
	}
	bus_buf_byte(out, '\n');
	busp_text(out, row->help);
	if (row->kind == BUS_CLI_CHOICE) {
		bus_buf_printf(out, "One of %s.\n", row->values);
	}
	if (row->many) {
		bus_buf_cstr(out, "May be repeated.\n");
	}
	if (bus_cli_has_default(row)) {
		/* \\& so that a dot at its end is no end of a sentence */
		bus_buf_printf(out, "The default is\n.Cm %s\\& .\n", row->fallback);
	}
}

static void
busp_option_list(bus_buf *out, const bus_cli_option *rows)
{
	if (rows == NULL || rows->name == NULL) {
		return;
	}
	bus_buf_cstr(out, ".Bl -tag -width Ds\n");
	for (; rows->name != NULL; rows++) {
		busp_option(out, rows);
	}
	bus_buf_cstr(out, ".El\n");
}

static void
busp_examples(bus_buf *out, const char *const *examples)
{
	if (examples == NULL) {
		return;
	}
	bus_buf_cstr(out, ".Bd -literal -offset indent\n");
	for (; *examples != NULL; examples++) {
		BUS_BUF_AUTO line = { 0 };
		for (const char *at = *examples; *at != '\0'; at++) {
			bus_buf_cstr(&line, *at == '\\' ? "\\e" :
					    *at == '-'  ? "\\-" :
							  "");
			if (*at != '\\' && *at != '-') {
				bus_buf_byte(&line, (uint8_t)*at);
			}
		}
		bus_buf_printf(out, "%.*s\n", BUS_STR_ARG(bus_buf_view(&line)));
	}
	bus_buf_cstr(out, ".Ed\n");
}

static void
busp_command(bus_buf *out, const bus_cli_command *command)
{
	bus_buf_printf(out, ".Ss %s\n", command->name);
	bus_buf_printf(out, ".Nm\n.Cm %s\n", command->name);
	for (const bus_cli_argument *row = command->arguments;
	     row != NULL && row->name != NULL; row++) {
		bus_buf_cstr(out, row->required ? ".Ar " : ".Op Ar ");
		busp_quoted(out, row->name);
		bus_buf_cstr(out, row->many ? " ...\n" : "\n");
	}
	bus_buf_cstr(out, ".Pp\n");
	busp_text(out, command->summary);
	if (command->text != NULL) {
		bus_buf_cstr(out, ".Pp\n");
		busp_text(out, command->text);
	}
	busp_option_list(out, command->options);
	busp_examples(out, command->examples);
}

static void
busp_environment(bus_buf *out)
{
	bus_buf_cstr(out,
		     ".Sh ENVIRONMENT\nEach setting is a flag, an environment variable and "
		     "a member of the file of\n.Fl \\-config ;\nthe first of them that is "
		     "given counts.\n.Bl -tag -width Ds\n");
	for (int key = 0; key < BUS_CONF_COUNT; key++) {
		const bus_config_option *row = bus_config_option_of((bus_config_key)key);
		BUS_BUF_AUTO name = { 0 };
		for (const char *at = row->name; *at != '\0'; at++) {
			bool letter = *at >= 'a' && *at <= 'z';
			bus_buf_byte(&name, (uint8_t)(letter ? *at - 'a' + 'A' : '_'));
		}
		bus_buf_printf(out, ".It Ev BUSLINE_%s\n", name.data);
		busp_text(out, row->help);
	}
	bus_buf_cstr(out,
		     ".It Ev BUSLINE_TENANT\nThe default of\n.Fl \\-tenant .\n"
		     ".It Ev NO_COLOR\nNo colours, if it is set and not empty.\n.El\n");
}

void
bus_cli_man(bus_buf *out)
{
	char code[16];
	bus_buf_cstr(out,
		     ".Dd " MAN_DATE "\n.Dt BUSLINE 1\n.Os\n.Sh NAME\n.Nm busline\n"
		     ".Nd platform actions as ordered events, once each in PostgreSQL\n"
		     ".Sh SYNOPSIS\n.Nm\n.Ar command\n.Op Ar argument ...\n.Op Ar options\n"
		     ".Sh DESCRIPTION\nThese are the commands.\n");
	for (const bus_cli_command *const *row = bus_cli_commands(); *row != NULL; row++) {
		if ((*row)->group != NULL && (*row)->run != NULL) {
			busp_command(out, *row);
		}
	}
	bus_buf_cstr(out, ".Ss Options of every command\n");
	busp_option_list(out, bus_cli_globals());
	busp_environment(out);
	bus_buf_cstr(out, ".Sh EXIT STATUS\n.Bl -tag -width 999\n");
	for (const bus_exit_row *row = bus_exits(); row->meaning != NULL; row++) {
		snprintf(code, sizeof(code), "%d", row->code);
		bus_buf_printf(out, ".It %s\n", code);
		busp_text(out, row->meaning);
	}
	bus_buf_cstr(out, ".El\n");
}
