/*
 * cli.c - from a command line to an exit code
 */
#include <assert.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "apps/cli/cli.h"
#include "schemas/registry.h"

#define ARENA_CHUNK_BYTES (256u * 1024u)

/* Tables are laid out by the width of characters: that takes a UTF-8 locale, and nearly
 * every text here is UTF-8, also where the environment names none. */
static void
busp_locale(void)
{
	setlocale(LC_CTYPE, "");
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) {
		setlocale(LC_CTYPE, "C.UTF-8");
	}
}

static bool
busp_color(const bus_cli *cli)
{
	const char *when = cli->color_when != NULL ? cli->color_when : "auto";
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");
	if (strcmp(when, "auto") != 0) {
		return strcmp(when, "always") == 0;
	}
	return isatty(STDOUT_FILENO) && (no_color == NULL || *no_color == '\0') &&
	       (term == NULL || strcmp(term, "dumb") != 0);
}

static bus_status
busp_configure(bus_cli *cli, bus_error *err)
{
	char where[96];
	if (bus_config_load(cli->config, cli->config_path, err) != BUS_OK) {
		return err->status;
	}
	for (size_t i = 0; i < cli->setting_count; i++) {
		const bus_cli_value *value = &cli->settings[i];
		bus_config_key key = bus_config_find(bus_str_from(value->name));
		assert(key < BUS_CONF_COUNT);
		snprintf(where, sizeof(where), "--%s", value->name);
		for (char *dot = where; (dot = strchr(dot, '.')) != NULL;) {
			*dot = '-';
		}
		if (bus_config_set(cli->config, key, bus_str_from(value->text),
				   BUS_ORIGIN_FLAG, where, err) != BUS_OK) {
			return err->status;
		}
	}
	/* Every command that names a type or a topic knows the user's own families. */
	const char *directory = bus_config_text(cli->config, BUS_CONF_SCHEMAS_DIRECTORY);
	return *directory != '\0' ? bus_registry_add_directory(directory, err) : BUS_OK;
}

/* Defaults of options, not settings: taken out of the environment, where the configuration
 * refuses a BUSLINE_ variable that it does not know. */
static const char *
busp_take_variable(bus_cli *cli, const char *name)
{
	const char *text = getenv(name);
	if (text == NULL) {
		return NULL;
	}
	const char *copy = bus_arena_printf(cli->arena, "%s", text).data;
	unsetenv(name);
	return *copy != '\0' ? copy : NULL;
}

static bus_exit
busp_help(const bus_cli *cli)
{
	BUS_BUF_AUTO page = { 0 };
	if (cli->command == NULL) {
		bus_cli_help_all(&page);
	} else {
		bus_cli_help_command(cli->command, &page);
	}
	/* asked for, it is the answer; otherwise it tells what was missing */
	fwrite(page.data, 1, page.len, cli->help ? stdout : stderr);
	return cli->help ? BUS_EXIT_OK : BUS_EXIT_USAGE;
}

static bus_exit
busp_run(bus_cli *cli, int argc, char **argv)
{
	bus_error err = BUS_ERROR_INIT;
	if (bus_cli_parse(cli, argc, argv, &err) != BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	if (cli->version && !cli->help) {
		cli->command = bus_cli_command_find("version");
	}
	if (cli->help || cli->command == NULL || cli->command->run == NULL) {
		return busp_help(cli);
	}
	cli->color = busp_color(cli);
	if (!cli->command->unconfigured && busp_configure(cli, &err) != BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	return cli->command->run(cli);
}

void
bus_cli_pause(int64_t ms)
{
	struct timespec wait = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	nanosleep(&wait, NULL);
}

int
bus_cli_main(int argc, char **argv)
{
	busp_locale();
	bus_cli *cli = calloc(1, sizeof(*cli));
	assert(cli != NULL);
	cli->clock = bus_clock_system();
	cli->arena = bus_arena_create(ARENA_CHUNK_BYTES);
	cli->config = bus_config_create();
	assert(cli->arena != NULL && cli->config != NULL);
	cli->tenant = busp_take_variable(cli, "BUSLINE_TENANT");
	cli->actor = busp_take_variable(cli, "BUSLINE_ACTOR");
	bus_exit code = busp_run(cli, argc, argv);
	if ((fflush(stdout) != 0 || ferror(stdout)) && code == BUS_EXIT_OK) {
		code = bus_cli_fail(BUS_EXIT_IO, "standard output", NULL, "%s",
				    strerror(errno));
	}
	bus_config_destroy(cli->config);
	bus_arena_destroy(cli->arena);
	free(cli);
	return (int)code;
}
