/*
 * values.c - what was given on the command line, by the name of its option
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli/cli.h"

static const bus_cli_option *
busp_option(const bus_cli *cli, const char *name)
{
	for (const bus_cli_option *row = cli->command->options; row->name != NULL; row++) {
		if (strcmp(row->name, name) == 0) {
			return row;
		}
	}
	assert(!"an option asked for is in the command's table");
	abort();
}

const char *
bus_cli_text(const bus_cli *cli, const char *name)
{
	const char *text = busp_option(cli, name)->fallback;
	for (size_t i = 0; i < cli->value_count; i++) {
		if (strcmp(cli->values[i].name, name) == 0) {
			text = cli->values[i].text;
		}
	}
	return text;
}

bool
bus_cli_given(const bus_cli *cli, const char *name)
{
	(void)busp_option(cli, name);
	for (size_t i = 0; i < cli->value_count; i++) {
		if (strcmp(cli->values[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

int64_t
bus_cli_int(const bus_cli *cli, const char *name)
{
	const char *text = bus_cli_text(cli, name);
	return text == NULL ? -1 : strtoll(text, NULL, 10);
}

int64_t
bus_cli_ms(const bus_cli *cli, const char *name)
{
	int64_t ms = -1;
	const char *text = bus_cli_text(cli, name);
	return text != NULL && bus_cli_duration_parse(text, &ms) ? ms : -1;
}

const char *
bus_cli_nth(const bus_cli *cli, const char *name, size_t n)
{
	(void)busp_option(cli, name);
	for (size_t i = 0; i < cli->value_count; i++) {
		if (strcmp(cli->values[i].name, name) == 0 && n-- == 0) {
			return cli->values[i].text;
		}
	}
	return NULL;
}

const char *
bus_cli_argument_at(const bus_cli *cli, size_t n)
{
	return n < cli->argument_count ? cli->arguments[n] : NULL;
}
