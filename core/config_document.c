/*
 * config_document.c - the table of options as a page
 */
#include "core/config_private.h"

static const char busp_document_head[] =
	"# Configuration\n"
	"\n"
	"Every setting of every role. The table in `core/config.h` is the source of this page; a "
	"test fails when they differ.\n"
	"\n"
	"A value is taken from, strongest first: flag, environment, file, default. `busline config "
	"show --origin` prints what is in force and where it came from.\n"
	"\n"
	"- **Flag**: `--worker-batch-events 500`.\n"
	"- **Environment**: `BUSLINE_WORKER_BATCH_EVENTS=500`. With `_FILE` behind its name any "
	"variable holds the path of a\n"
	"  file with the value (`BUSLINE_DB_URL_FILE=/run/secrets/db-url`); a newline at the end of "
	"the file is not part of it.\n"
	"- **File**: JSON, named by `--config` or `BUSLINE_CONFIG`: `{ \"worker\": { \"batch-events\": "
	"500 } }`.\n"
	"\n"
	"A name that is not in the table is an error, in the file and in `BUSLINE_` variables. Beside "
	"the options there are\n"
	"`BUSLINE_CONFIG`, `BUSLINE_CRASH_POINT` (builds with crash points), `BUSLINE_WERROR` (the "
	"build) and names that begin\n"
	"with `BUSLINE_TEST_`. Secrets are never printed.\n"
	"\n"
	"| Option | Type | Default | Meaning | Environment |\n"
	"| --- | --- | --- | --- | --- |\n";

/* A cell: "|" would end it, "<" begin a tag. */
static void
busp_document_cell(bus_buf *markdown, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '|' || *text == '<') {
			bus_buf_byte(markdown, '\\');
		}
		bus_buf_byte(markdown, (uint8_t)*text);
	}
}

void
bus_config_document(bus_buf *ret_markdown)
{
	static const char *const types[] = {
		[BUS_CONFIG_TEXT] = "text",
		[BUS_CONFIG_INT] = "integer",
		[BUS_CONFIG_BOOL] = "true, false",
	};
	bus_buf_cstr(ret_markdown, busp_document_head);
	for (int k = 0; k < BUS_CONF_COUNT; k++) {
		const bus_config_option *option = bus_config_option_of((bus_config_key)k);
		char env[BUSP_CONFIG_NAME_MAX];
		busp_config_env_name((bus_config_key)k, env);
		bool secret = (option->flags & BUS_CONFIG_SECRET) != 0;
		bus_buf_printf(ret_markdown, "| `%s` | %s%s | ", option->name,
			       types[option->type], secret ? ", secret" : "");
		if (option->fallback[0] != '\0') {
			bus_buf_printf(ret_markdown, "`%s`", option->fallback);
		}
		bus_buf_cstr(ret_markdown, " | ");
		busp_document_cell(ret_markdown, option->help);
		bus_buf_printf(ret_markdown, " | `%s` |\n", env);
	}
}
