/*
 * cmd_lag.c - lag: how far the workers are behind, in events and in seconds
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "apps/cli/commands.h"
#include "apps/cli/lag.h"
#include "apps/cli/output.h"

static const bus_cli_column columns[] = {
	{ "topic", .cell = BUS_CLI_CELL_TEXT },
	{ "partition", .cell = BUS_CLI_CELL_NUMBER },
	{ "position", .cell = BUS_CLI_CELL_NUMBER },
	{ "end", .cell = BUS_CLI_CELL_NUMBER },
	{ "lag", .cell = BUS_CLI_CELL_NUMBER },
	{ "seconds", .cell = BUS_CLI_CELL_NUMBER },
	{ "epoch", .cell = BUS_CLI_CELL_NUMBER },
	{ "group", .cell = BUS_CLI_CELL_TEXT },
};

static bus_str
busp_seconds(bus_arena *arena, int64_t age_ms)
{
	return age_ms < 0 ?
		       BUS_STR_NULL :
		       bus_arena_printf(arena, "%lld.%03d", (long long)(age_ms / 1000),
					(int)(age_ms % 1000));
}

static void
busp_lag_print(const bus_cli *cli, bus_arena *arena, const bus_cli_lag *lags, size_t count)
{
	bus_cli_rows rows;
	const char *prefix = bus_config_text(cli->config, BUS_CONF_WORKER_GROUP);
	bus_cli_rows_init(&rows, arena, columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < count; i++) {
		const bus_cli_lag *lag = &lags[i];
		const char *dot = strrchr(lag->topic, '.');
		bus_cli_rows_add(
			&rows,
			(const bus_str[]){
				bus_str_from(lag->topic),
				bus_cli_number(arena, lag->partition),
				lag->known ? bus_cli_number(arena, lag->position) :
					     BUS_STR_NULL,
				bus_cli_number(arena, lag->end),
				bus_cli_number(arena, lag->end - lag->position),
				busp_seconds(arena, lag->age_ms),
				lag->known ? bus_cli_number(arena, lag->epoch) :
					     BUS_STR_NULL,
				bus_arena_printf(arena, "%s.%s", prefix,
						 dot != NULL ? dot + 1 : lag->topic),
			});
	}
	bus_cli_print(cli, &rows.table);
}

/* The worst is over the limit, or its age is not known although something waits. */
static bool
busp_late(const bus_cli_lag *lags, size_t count, int64_t max_ms)
{
	for (size_t i = 0; i < count; i++) {
		if (lags[i].age_ms > max_ms || lags[i].age_ms < 0) {
			return true;
		}
	}
	return false;
}

/* Each time at the broker where the bus is by then. */
static bus_exit
busp_lag_once(bus_cli *cli, bus_store *store, bool clear)
{
	bus_cli_lag *lags;
	size_t count;
	BUS_ADAPTER_AUTO *adapter = NULL;
	bus_exit code = bus_cli_adapter(cli, &adapter);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	bus_arena *arena = bus_arena_create(256u * 1024u);
	if (arena == NULL) {
		return bus_cli_fail(BUS_EXIT_SOFTWARE, "lag", NULL, "memory is short");
	}
	code = bus_cli_lag_read(cli, adapter, store, true, arena, &lags, &count);
	if (code == BUS_EXIT_OK) {
		if (clear) {
			fputs("\033[H\033[2J", stdout);
		}
		busp_lag_print(cli, arena, lags, count);
		int64_t max_ms = bus_cli_ms(cli, "max-seconds");
		if (max_ms >= 0 && busp_late(lags, count, max_ms)) {
			code = BUS_EXIT_FAILED;
		}
	}
	bus_arena_destroy(arena);
	return code;
}

static bus_exit
busp_lag_run(bus_cli *cli)
{
	BUS_STORE_AUTO *store = NULL;
	bus_exit code = bus_cli_store(cli, BUS_CLI_AUDITOR, &store);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	bool watch = bus_cli_given(cli, "watch");
	bool clear = watch && cli->format == BUS_CLI_TABLE && isatty(STDOUT_FILENO);
	int64_t interval_ms = bus_cli_ms(cli, "interval");
	do {
		code = busp_lag_once(cli, store, clear);
		if (watch && (code == BUS_EXIT_OK || code == BUS_EXIT_FAILED)) {
			bus_cli_pause(interval_ms);
		}
	} while (watch && (code == BUS_EXIT_OK || code == BUS_EXIT_FAILED));
	return code;
}

static const bus_cli_option lag_options[] = {
	{ "watch", 'w', BUS_CLI_FLAG, .help = "Again and again, until ^C" },
	{ "interval", .kind = BUS_CLI_SECONDS, .argument = "TIME", .fallback = "2s",
	  .help = "Time between two looks of --watch" },
	{ "max-seconds", .kind = BUS_CLI_SECONDS, .argument = "N",
	  .help = "End with 1 if an event waits longer than this" },
	{ 0 },
};

static const bus_exit_row lag_exits[] = {
	{ BUS_EXIT_FAILED,
	  "with --max-seconds: an event waits longer, or its age is not known" },
	{ 0, NULL },
};

const bus_cli_command bus_command_lag = {
	.name = "lag",
	.group = BUS_GROUP_LOOK,
	.summary = "How far each partition's worker is behind, in events and in seconds",
	.text = "Positions are those of PostgreSQL, which decide. Seconds are the age of the first event "
		"that waits. No position: no worker has had the partition yet.",
	.options = lag_options,
	.examples = (const char *const[]){ "busline lag --watch",
					   "busline lag --max-seconds 30 || page-someone",
					   NULL },
	.exits = lag_exits,
	.run = busp_lag_run,
};
