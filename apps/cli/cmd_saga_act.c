/*
 * cmd_saga_act.c - saga retry, skip, compensate, cancel: what a person decides, as events
 */
#include <stdio.h>
#include <string.h>

#include "apps/cli/commands.h"
#include "apps/cli/publisher.h"
#include "core/json.h"

/* Publishes the request about the saga that is the first argument; takes data. */
static bus_exit
busp_request(bus_cli *cli, const char *type)
{
	BUS_PUBLISHER_AUTO *publisher = NULL;
	bus_event event = { .time_us = BUS_TIME_NONE };
	BUS_JSON_AUTO *data = json_pack("{s:s*}", "reason", bus_cli_text(cli, "reason"));
	if (data == NULL) {
		return bus_cli_fail(BUS_EXIT_DATA, "--reason", NULL, "is no UTF-8");
	}
	if (cli->argument_count > 1) {
		json_object_set_new(data, "step", json_string(cli->arguments[1]));
	}
	bus_exit code = bus_cli_publisher_create(cli, true, &publisher);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	size_t len = json_dumpb(data, NULL, 0, JSON_COMPACT);
	char *text = bus_arena_alloc(cli->arena, len + 1);
	json_dumpb(data, text, len, JSON_COMPACT);
	bus_cli_event_defaults(cli, &event);
	event.type = bus_cli_type_of(type, cli->arena);
	event.subject = bus_str_from(cli->arguments[0]);
	event.data = (bus_str){ text, len };
	return bus_cli_publish_one(publisher, &event);
}

static const bus_cli_option act_options[] = {
	{ "reason", .kind = BUS_CLI_TEXT, .required = true, .argument = "TEXT",
	  .help = "Why; it is kept" },
	BUS_CLI_EVENT_OPTIONS,
	{ "wait", .kind = BUS_CLI_CHOICE, .argument = "durable|applied",
	  .fallback = "applied", .bare = "applied", .values = "durable|applied",
	  .help = "Return when the broker has it for good, or when its verdict is known" },
	{ "timeout", .kind = BUS_CLI_SECONDS, .argument = "TIME", .fallback = "30s",
	  .help = "Longest wait, first for the broker and then for the verdict" },
	{ 0 },
};

static const bus_cli_argument step_arguments[] = {
	{ "ID", .required = true, .values = "@sagas", .help = "The saga" },
	{ "STEP", .required = true, .help = "The step that is stuck" },
	{ 0 },
};

static const bus_cli_argument saga_arguments[] = {
	{ "ID", .required = true, .values = "@sagas", .help = "The saga" },
	{ 0 },
};

static const bus_exit_row act_exits[] = {
	{ BUS_EXIT_FAILED, "it was refused: the reason says why; nothing has changed" },
	{ BUS_EXIT_TIMEOUT, "published, but its verdict is not known in time" },
	{ 0, NULL },
};

static bus_exit
busp_retry_run(bus_cli *cli)
{
	return busp_request(cli, "saga.retry-requested");
}

const bus_cli_command bus_command_saga_retry = {
	.name = "saga retry",
	.group = BUS_GROUP_ACT,
	.summary = "Give a stuck step of a saga, or its compensation, a new budget",
	.options = act_options,
	.arguments = step_arguments,
	.examples =
		(const char *const[]){
			"busline saga retry spring-sale verify --tenant acme "
			"--reason 'the node is back'",
			NULL },
	.exits = act_exits,
	.run = busp_retry_run,
};

static bus_exit
busp_skip_run(bus_cli *cli)
{
	return busp_request(cli, "saga.skip-requested");
}

const bus_cli_command bus_command_saga_skip = {
	.name = "saga skip",
	.group = BUS_GROUP_ACT,
	.summary = "Say that a stuck step counts as done, or as taken back",
	.options = act_options,
	.arguments = step_arguments,
	.examples =
		(const char *const[]){
			"busline saga skip spring-sale retire --tenant acme "
			"--reason 'retired by hand'",
			NULL },
	.exits = act_exits,
	.run = busp_skip_run,
};

static bus_exit
busp_compensate_run(bus_cli *cli)
{
	return busp_request(cli, "saga.compensate-requested");
}

const bus_cli_command bus_command_saga_compensate = {
	.name = "saga compensate",
	.group = BUS_GROUP_ACT,
	.summary =
		"Send a saga that is parked on its way forward back, also past its pivot",
	.options = act_options,
	.arguments = saga_arguments,
	.examples =
		(const char *const[]){ "busline saga compensate spring-sale --tenant acme "
				       "--reason 'the sale is off'",
				       NULL },
	.exits = act_exits,
	.run = busp_compensate_run,
};

static bus_exit
busp_cancel_run(bus_cli *cli)
{
	return busp_request(cli, "saga.cancel-requested");
}

const bus_cli_command bus_command_saga_cancel = {
	.name = "saga cancel",
	.group = BUS_GROUP_ACT,
	.summary = "Send a running saga back; refused after its pivot",
	.options = act_options,
	.arguments = saga_arguments,
	.examples = (const char *const[]){ "busline saga cancel spring-sale --tenant acme "
					   "--reason 'wrong image'",
					   NULL },
	.exits = act_exits,
	.run = busp_cancel_run,
};
