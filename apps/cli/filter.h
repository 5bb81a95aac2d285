/*
 * filter.h - which events are meant: dialects exact, prefix and suffix of CloudEvents
 */
#ifndef BUS_CLI_FILTER_H
#define BUS_CLI_FILTER_H

#include "apps/cli/cli.h"
#include "core/event.h"

#define BUS_CLI_FILTERS_MAX 32

#define BUS_CLI_FILTER_OPTIONS                                                                         \
	{ "tenant", .kind = BUS_CLI_TEXT, .argument = "TENANT", .values = "@tenants",                  \
	  .help = "Only events of this tenant" },                                                      \
		{ "app", .kind = BUS_CLI_TEXT, .argument = "APP", .values = "@apps",                   \
		  .help = "Only events about this application (their subject)" },                      \
		{ "type", .kind = BUS_CLI_TEXT, .argument = "TYPE", .values = "@types",                \
		  .help = "Only this type; the short form deploy.requested is one too, and "           \
			  "a * at the end stands for the rest" },                                      \
	{                                                                                              \
		"filter",                                                                              \
			.kind = BUS_CLI_TEXT, .many = true, .argument = "FILTER",                      \
			.help = "Only where ATTRIBUTE=VALUE, or 'prefix ATTRIBUTE=VALUE', or 'suffix " \
				"ATTRIBUTE=VALUE' holds; all of them"                                  \
	}

typedef enum bus_cli_dialect {
	BUS_CLI_EXACT,
	BUS_CLI_PREFIX,
	BUS_CLI_SUFFIX,
} bus_cli_dialect;

typedef struct bus_cli_condition {
	bus_cli_dialect dialect;
	bus_str attribute, value;
} bus_cli_condition;

typedef struct bus_cli_filter {
	bus_cli_condition conditions[BUS_CLI_FILTERS_MAX];
	size_t count;
} bus_cli_filter;

/* Of the options above. BUS_EXIT_USAGE, said, for one that is none. */
bus_exit bus_cli_filter_init(bus_cli_filter *filter, const bus_cli *cli);
/* "prefix type=io.busline."; false if it is no filter. Texts are borrowed. */
bool bus_cli_filter_parse(bus_cli_filter *filter, const char *text);
/* An attribute that is absent matches nothing. */
bool bus_cli_filter_match(const bus_cli_filter *filter, const bus_event *event);

#endif
