/*
 * cmd_act.c - deploy, rollback, scale, route: requests on an application, as events
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli/commands.h"
#include "apps/cli/publisher.h"
#include "core/json.h"

#define APP_ARGUMENT                                                                     \
	{                                                                                \
		"APP", .required = true, .values = "@apps", .help = "The application"    \
	}

/* Publishes data as an event of the type about the application; takes data. */
static bus_exit
busp_request(bus_cli *cli, const char *type, json_t *data)
{
	BUS_PUBLISHER_AUTO *publisher = NULL;
	BUS_JSON_AUTO *owned = data;
	bus_event event = { .time_us = BUS_TIME_NONE };
	bus_exit code = bus_cli_publisher_create(cli, true, &publisher);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	size_t len = json_dumpb(owned, NULL, 0, JSON_COMPACT);
	char *text = bus_arena_alloc(cli->arena, len + 1);
	json_dumpb(owned, text, len, JSON_COMPACT);
	bus_cli_event_defaults(cli, &event);
	event.type = bus_cli_type_of(type, cli->arena);
	event.subject = bus_str_from(bus_cli_argument_at(cli, 0));
	event.data = (bus_str){ text, len };
	return bus_cli_publish_one(publisher, &event);
}

/* A number at the start of text; *ret_end is what follows. */
static bool
busp_number(const char *text, int64_t *ret_number, const char **ret_end)
{
	char *end;
	errno = 0;
	*ret_number = strtoll(text, &end, 10);
	*ret_end = end;
	return end != text && errno == 0;
}

/* ---- deploy ---- */

static json_t *
busp_words(const bus_cli *cli)
{
	json_t *words = json_array();
	const char *word;
	for (size_t i = 0; (word = bus_cli_nth(cli, "command", i)) != NULL; i++) {
		json_array_append_new(words, json_string(word));
	}
	for (size_t i = 1; i < cli->argument_count; i++) {
		json_array_append_new(words, json_string(cli->arguments[i]));
	}
	return words;
}

static bus_exit
busp_deploy_run(bus_cli *cli)
{
	json_t *data = json_object();
	json_object_set_new(data, "image", json_string(bus_cli_text(cli, "image")));
	json_t *words = busp_words(cli);
	if (json_array_size(words) > 0) {
		json_object_set_new(data, "command", words);
	} else {
		json_decref(words);
	}
	json_t *environment = json_object();
	const char *pair;
	for (size_t i = 0; (pair = bus_cli_nth(cli, "env", i)) != NULL; i++) {
		const char *equals = strchr(pair, '=');
		if (equals == NULL || equals == pair) {
			json_decref(environment);
			json_decref(data);
			return bus_cli_fail(BUS_EXIT_USAGE, "--env", NULL,
					    "'%s' is not NAME=VALUE", pair);
		}
		json_object_setn_new(environment, pair, (size_t)(equals - pair),
				     json_string(equals + 1));
	}
	if (json_object_size(environment) > 0) {
		json_object_set_new(data, "environment", environment);
	} else {
		json_decref(environment);
	}
	if (bus_cli_given(cli, "digest")) {
		json_object_set_new(data, "artifact_digest",
				    json_string(bus_cli_text(cli, "digest")));
	}
	return busp_request(cli, "deploy.requested", data);
}

static const bus_cli_option deploy_options[] = {
	{ "image", 'i', BUS_CLI_TEXT, .required = true, .argument = "IMAGE",
	  .help = "What to run" },
	{ "command", .kind = BUS_CLI_TEXT, .many = true, .argument = "WORD",
	  .help = "A word of the command; or give the command after --" },
	{ "env", 'e', BUS_CLI_TEXT, .many = true, .argument = "NAME=VALUE",
	  .help = "A variable of its environment" },
	{ "digest", .kind = BUS_CLI_TEXT, .argument = "sha256:HEX",
	  .help = "Digest of the registered artifact" },
	BUS_CLI_EVENT_OPTIONS,
	BUS_CLI_WAIT_OPTIONS,
	{ 0 },
};

static const bus_cli_argument deploy_arguments[] = {
	APP_ARGUMENT,
	{ "-- COMMAND", .many = true, .help = "The command to run and its arguments" },
	{ 0 },
};

static const bus_exit_row act_exits[] = {
	{ BUS_EXIT_FAILED, "with --wait=applied: the request was rejected" },
	{ BUS_EXIT_TIMEOUT, "with --wait=applied: published, but not applied in time" },
	{ 0, NULL },
};

const bus_cli_command bus_command_deploy = {
	.name = "deploy",
	.group = BUS_GROUP_ACT,
	.summary = "Ask for a new release of an application",
	.text = "Publishes deploy.requested; --wait=applied returns when the release has its number in "
		"PostgreSQL (`busline releases APP`).",
	.options = deploy_options,
	.arguments = deploy_arguments,
	.examples =
		(const char *const[]){
			"busline deploy shop --tenant acme --image registry/shop:7 --env PORT=80 --wait",
			"busline deploy shop --tenant acme -i registry/shop:8 -- node server.js",
			NULL },
	.exits = act_exits,
	.run = busp_deploy_run,
};

/* ---- rollback ---- */

static bus_exit
busp_rollback_run(bus_cli *cli)
{
	int64_t release;
	const char *end;
	json_t *data = json_object();
	const char *to = bus_cli_text(cli, "to");
	if (to != NULL) {
		if (!busp_number(to + (*to == 'v'), &release, &end) || *end != '\0') {
			json_decref(data);
			return bus_cli_fail(BUS_EXIT_USAGE, "--to", NULL,
					    "'%s' is not a release such as 7 or v7", to);
		}
		json_object_set_new(data, "to_release", json_integer(release));
	}
	if (bus_cli_given(cli, "reason")) {
		json_object_set_new(data, "reason",
				    json_string(bus_cli_text(cli, "reason")));
	}
	return busp_request(cli, "deploy.rollback-requested", data);
}

static const bus_cli_option rollback_options[] = {
	{ "to", .kind = BUS_CLI_TEXT, .argument = "RELEASE",
	  .help = "The release to go back to; else the one before the current" },
	{ "reason", .kind = BUS_CLI_TEXT, .argument = "TEXT", .help = "Why; it is kept" },
	BUS_CLI_EVENT_OPTIONS,
	BUS_CLI_WAIT_OPTIONS,
	{ 0 },
};

static const bus_cli_argument app_arguments[] = {
	APP_ARGUMENT,
	{ 0 },
};

const bus_cli_command bus_command_rollback = {
	.name = "rollback",
	.group = BUS_GROUP_ACT,
	.summary = "Ask for a release that is what an older one was",
	.text = "Makes a new release with image, command and environment of the old one.",
	.options = rollback_options,
	.arguments = app_arguments,
	.examples =
		(const char *const[]){
			"busline rollback shop --tenant acme --to v7 --wait", NULL },
	.exits = act_exits,
	.run = busp_rollback_run,
};

/* ---- scale ---- */

static bus_exit
busp_scale_data(bus_cli *cli, const char *text, json_t *data)
{
	int64_t number;
	const char *end;
	const char *equals = strchr(text, '=');
	bool relative = equals != NULL && (equals[1] == '+' || equals[1] == '-');
	if (equals == NULL || equals == text || !busp_number(equals + 1, &number, &end) ||
	    *end != '\0') {
		return bus_cli_fail(BUS_EXIT_USAGE, text, "write web=3, web=+1 or web=-1",
				    "is not PROCESS=REPLICAS");
	}
	json_object_set_new(data, "process", json_stringn(text, (size_t)(equals - text)));
	json_object_set_new(data, relative ? "delta" : "replicas", json_integer(number));
	if (bus_cli_given(cli, "min")) {
		json_object_set_new(data, "min", json_integer(bus_cli_int(cli, "min")));
	}
	if (bus_cli_given(cli, "max")) {
		json_object_set_new(data, "max", json_integer(bus_cli_int(cli, "max")));
	}
	return BUS_EXIT_OK;
}

static bus_exit
busp_scale_run(bus_cli *cli)
{
	if (cli->argument_count > 2 && bus_cli_given(cli, "id")) {
		return bus_cli_fail(
			BUS_EXIT_USAGE, "--id", NULL,
			"is the id of one event, but each process is one of its own");
	}
	/* all are understood before the first is sent */
	json_t **all = bus_arena_alloc(cli->arena, cli->argument_count * sizeof(*all));
	bus_exit code = BUS_EXIT_OK;
	for (size_t i = 1; i < cli->argument_count && code == BUS_EXIT_OK; i++) {
		all[i] = json_object();
		code = busp_scale_data(cli, cli->arguments[i], all[i]);
	}
	for (size_t i = 1; i < cli->argument_count; i++) {
		if (code == BUS_EXIT_OK) {
			code = busp_request(cli, "scale.requested", all[i]);
		} else {
			json_decref(all[i]);
		}
	}
	return code;
}

static const bus_cli_option scale_options[] = {
	{ "min", .kind = BUS_CLI_INT, .argument = "N",
	  .help = "Never fewer replicas than this, from now on" },
	{ "max", .kind = BUS_CLI_INT, .argument = "N",
	  .help = "Never more replicas than this, from now on" },
	BUS_CLI_EVENT_OPTIONS,
	BUS_CLI_WAIT_OPTIONS,
	{ 0 },
};

static const bus_cli_argument scale_arguments[] = {
	APP_ARGUMENT,
	{ "PROCESS=N", .required = true, .many = true,
	  .help = "So many replicas of a process type; +N and -N are relative" },
	{ 0 },
};

const bus_cli_command bus_command_scale = {
	.name = "scale",
	.group = BUS_GROUP_ACT,
	.summary = "Ask for more or fewer replicas of an application's processes",
	.text = "One scale.requested event per process.",
	.options = scale_options,
	.arguments = scale_arguments,
	.examples =
		(const char *const[]){
			"busline scale shop web=3 worker=+1 --tenant acme --wait", NULL },
	.exits = act_exits,
	.run = busp_scale_run,
};

/* ---- route ---- */

static bus_exit
busp_target(const char *text, json_t *targets)
{
	int64_t release, weight;
	const char *end;
	if (!busp_number(text + (*text == 'v'), &release, &end) || *end != '=' ||
	    !busp_number(end + 1, &weight, &end) ||
	    (*end != '\0' && strcmp(end, "%") != 0)) {
		return bus_cli_fail(BUS_EXIT_USAGE, text, "write v7=90 v8=10",
				    "is not RELEASE=WEIGHT");
	}
	json_array_append_new(targets,
			      json_pack("{s:I,s:I}", "release", (json_int_t)release,
					"weight", (json_int_t)weight));
	return BUS_EXIT_OK;
}

static bus_exit
busp_route_run(bus_cli *cli)
{
	json_t *data = json_object();
	json_t *targets = json_array();
	json_object_set_new(data, "host", json_string(cli->arguments[1]));
	json_object_set_new(data, "targets", targets);
	if (bus_cli_given(cli, "reason")) {
		json_object_set_new(data, "reason",
				    json_string(bus_cli_text(cli, "reason")));
	}
	for (size_t i = 2; i < cli->argument_count; i++) {
		bus_exit code = busp_target(cli->arguments[i], targets);
		if (code != BUS_EXIT_OK) {
			json_decref(data);
			return code;
		}
	}
	return busp_request(cli, "route.change-requested", data);
}

static const bus_cli_option route_options[] = {
	{ "reason", .kind = BUS_CLI_TEXT, .argument = "TEXT", .help = "Why; it is kept" },
	BUS_CLI_EVENT_OPTIONS,
	BUS_CLI_WAIT_OPTIONS,
	{ 0 },
};

static const bus_cli_argument route_arguments[] = {
	APP_ARGUMENT,
	{ "HOST", .required = true, .help = "The name that people call" },
	{ "RELEASE=WEIGHT", .required = true, .many = true,
	  .help = "Shares of the traffic in percent; together 100" },
	{ 0 },
};

const bus_cli_command bus_command_route = {
	.name = "route",
	.group = BUS_GROUP_ACT,
	.summary = "Ask for another split of a host's traffic between releases",
	.options = route_options,
	.arguments = route_arguments,
	.examples =
		(const char *const[]){
			"busline route shop shop.example.org v7=90 v8=10 --tenant acme --wait",
			NULL },
	.exits = act_exits,
	.run = busp_route_run,
};
