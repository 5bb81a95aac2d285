/*
 * cmd_look.c - status, releases, incident: what PostgreSQL says
 */
#include "apps/cli/client.h"
#include "apps/cli/commands.h"
#include "apps/cli/output.h"

#define TENANT_OPTION                                                                    \
	{                                                                                \
		"tenant", .kind = BUS_CLI_TEXT, .argument = "TENANT",                    \
			  .values = "@tenants",                                          \
			  .help = "Only this tenant; else $BUSLINE_TENANT, else all"     \
	}

/* The tenant given, or that of the environment, or NULL: all. */
static bus_str
busp_tenant(const bus_cli *cli)
{
	const char *text = bus_cli_text(cli, "tenant");
	return bus_str_from(text != NULL ? text : cli->tenant);
}

static const bus_cli_option tenant_options[] = {
	TENANT_OPTION,
	{ 0 },
};

/* ---- status ---- */

static bus_exit
busp_status_run(bus_cli *cli)
{
	const bus_str params[] = { busp_tenant(cli),
				   bus_str_from(bus_cli_argument_at(cli, 0)) };
	return bus_cli_show(cli, "cli_status", params, 2, "no such application has state");
}

static const bus_cli_argument status_arguments[] = {
	{ "APP", .values = "@apps", .help = "Only this application" },
	{ 0 },
};

const bus_cli_command bus_command_status = {
	.name = "status",
	.group = BUS_GROUP_LOOK,
	.summary = "Wanted state of applications: release, replicas, routes",
	.options = tenant_options,
	.arguments = status_arguments,
	.examples = (const char *const[]){ "busline status",
					   "busline status shop -o json", NULL },
	.run = busp_status_run,
};

/* ---- releases ---- */

static bus_exit
busp_releases_run(bus_cli *cli)
{
	const bus_str params[] = { busp_tenant(cli), bus_str_from(cli->arguments[0]) };
	return bus_cli_show(cli, "cli_releases", params, 2,
			    "the application has no release");
}

static const bus_cli_argument releases_arguments[] = {
	{ "APP", .required = true, .values = "@apps", .help = "The application" },
	{ 0 },
};

const bus_cli_command bus_command_releases = {
	.name = "releases",
	.group = BUS_GROUP_LOOK,
	.summary =
		"Releases of an application, the newest first: what, who, when, how it ended",
	.options = tenant_options,
	.arguments = releases_arguments,
	.examples = (const char *const[]){ "busline releases shop --tenant acme", NULL },
	.run = busp_releases_run,
};

/* ---- incident ---- */

static bus_exit
busp_incident_ls_run(bus_cli *cli)
{
	const bus_str params[] = { bus_cli_given(cli, "all") ? BUS_STR("true") :
							       BUS_STR("false") };
	return bus_cli_show(cli, "cli_incidents", params, 1, "no open incidents");
}

static const bus_cli_option incident_ls_options[] = {
	{ "all", 'a', BUS_CLI_FLAG, .help = "Closed ones too" },
	{ 0 },
};

const bus_cli_command bus_command_incident = {
	.name = "incident",
	.group = BUS_GROUP_LOOK,
	.summary = "Incidents: what a person must look at",
};

const bus_cli_command bus_command_incident_ls = {
	.name = "incident ls",
	.group = BUS_GROUP_LOOK,
	.summary =
		"Open incidents: held keys, parked sagas, gaps, positions outside the log",
	.options = incident_ls_options,
	.run = busp_incident_ls_run,
};
