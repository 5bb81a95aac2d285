/*
 * fail.c - what went wrong, in one line, and the exit code that says so
 */
#include <stdio.h>
#include <string.h>

#include "apps/cli/cli.h"

static const bus_exit_row exits[] = {
#define X(symbol, code, meaning) { code, meaning },
	BUS_EXIT_LIST(X)
#undef X
		{ 0, NULL },
};

/* First match wins; NULL matches anything. */
static const struct {
	bus_status status;
	const char *origin;
	const char *sqlstate; /* its beginning */
	bus_exit code;
	const char *advice;
} causes[] = {
	{ BUS_E_REJECT, "cli", NULL, BUS_EXIT_USAGE, NULL },
	{ BUS_E_REJECT, NULL, NULL, BUS_EXIT_DATA, NULL },
	{ BUS_E_RETRY, "pg", NULL, BUS_EXIT_UNAVAILABLE,
	  "is PostgreSQL up, and --db-url (BUSLINE_DB_URL) right?" },
	{ BUS_E_RETRY, NULL, NULL, BUS_EXIT_UNAVAILABLE,
	  "is the broker up, and --broker-url (BUSLINE_BROKER_URL) right?" },
	{ BUS_E_ABORT, NULL, NULL, BUS_EXIT_RETRY, "run it again" },
	{ BUS_E_UNKNOWN, NULL, NULL, BUS_EXIT_RETRY, "run it again" },
	{ BUS_E_FATAL, "config", NULL, BUS_EXIT_CONFIG,
	  "`busline config show --origin` tells where each setting comes from" },
	{ BUS_E_FATAL, "pg", "42501", BUS_EXIT_PERMISSION, "see --db-role and --db-url" },
	{ BUS_E_FATAL, "pg", "28", BUS_EXIT_PERMISSION, "see --db-url" },
	{ BUS_E_FATAL, "pg", "3", BUS_EXIT_CONFIG, "`busline migrate` makes the schema" },
	{ BUS_E_FATAL, "pg", "42P01", BUS_EXIT_CONFIG,
	  "`busline migrate` makes the schema" },
	{ BUS_E_FATAL, NULL, NULL, BUS_EXIT_SOFTWARE, NULL },
};

const bus_exit_row *
bus_exits(void)
{
	return exits;
}

static size_t
busp_cause(const bus_error *err)
{
	size_t count = sizeof(causes) / sizeof(causes[0]);
	for (size_t i = 0; i + 1 < count; i++) {
		bool origin = causes[i].origin == NULL ||
			      (err->origin != NULL &&
			       strcmp(causes[i].origin, err->origin) == 0);
		bool state = causes[i].sqlstate == NULL ||
			     strncmp(err->sqlstate, causes[i].sqlstate,
				     strlen(causes[i].sqlstate)) == 0;
		if (causes[i].status == err->status && origin && state) {
			return i;
		}
	}
	return count - 1;
}

bus_exit
bus_cli_exit_of(const bus_error *err)
{
	return causes[busp_cause(err)].code;
}

/* One line, whatever a server's message holds; one terminal, whatever it says to it. */
static void
busp_say(const char *text)
{
	for (const char *at = text; *at != '\0'; at++) {
		unsigned char byte = (unsigned char)*at;
		bool line_end = byte == '\n' && at[1] == '\0';
		if (byte == '\n' || byte == '\t') {
			fputs(line_end ? "" : " ", stderr);
		} else if (byte < 0x20 || byte == 0x7f) {
			fprintf(stderr, "\\x%02x", byte);
		} else {
			fputc(byte, stderr);
		}
	}
}

bus_exit
bus_cli_fail(bus_exit code, const char *object, const char *advice, const char *fmt, ...)
{
	char cause[2 * BUS_ERROR_TEXT_MAX];
	va_list args;
	va_start(args, fmt);
	vsnprintf(cause, sizeof(cause), fmt, args);
	va_end(args);
	fflush(stdout);
	fputs("busline: ", stderr);
	if (object != NULL) {
		busp_say(object);
		fputs(": ", stderr);
	}
	busp_say(cause);
	if (advice != NULL) {
		fputs("; ", stderr);
		busp_say(advice);
	}
	fputc('\n', stderr);
	return code;
}

bus_exit
bus_cli_fail_error(const bus_error *err)
{
	size_t i = busp_cause(err);
	bool advised = strchr(err->text, ';') != NULL || strchr(err->text, '?') != NULL;
	return bus_cli_fail(causes[i].code, NULL, advised ? NULL : causes[i].advice, "%s",
			    err->text);
}

void
bus_cli_note(const bus_cli *cli, const char *fmt, ...)
{
	char text[2 * BUS_ERROR_TEXT_MAX];
	if (cli->quiet) {
		return;
	}
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	busp_say(text);
	fputc('\n', stderr);
}
