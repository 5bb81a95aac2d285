/*
 * dlq.h - what the commands on dead letters share
 */
#ifndef BUS_CLI_DLQ_H
#define BUS_CLI_DLQ_H

#include "apps/cli/cli.h"

#define BUS_CLI_DLQ_TENANT                                                               \
	{                                                                                \
		"tenant", .kind = BUS_CLI_TEXT, .argument = "TENANT",                    \
			  .values = "@tenants",                                          \
			  .help = "Only this tenant; else $BUSLINE_TENANT, else all"     \
	}

/* The tenant given, or that of the environment, or NULL: all. */
bus_str bus_cli_dlq_tenant(const bus_cli *cli);

/* "busline.deploy/3@17", or as publish and tail write it, "busline.deploy-3@17": topic,
 * partition and offset as texts, in the arena. */
bool bus_cli_dlq_place(const char *text, bus_arena *arena, bus_str ret_params[3]);

#endif
