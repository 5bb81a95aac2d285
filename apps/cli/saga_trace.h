/*
 * saga_trace.h - a saga as a tree: its steps, their attempts, what became of each
 */
#ifndef BUS_CLI_SAGA_TRACE_H
#define BUS_CLI_SAGA_TRACE_H

#include <jansson.h>

#include "apps/cli/cli.h"

/* What `cli_saga` says of one saga, as JSON. Prints at most 100 columns. */
void bus_cli_saga_trace(const bus_cli *cli, const json_t *saga);

/* "10:15:02.123" of an RFC 3339 text; "" if there is none. In the arena. */
const char *bus_cli_saga_time(const bus_cli *cli, const char *time);

#endif
