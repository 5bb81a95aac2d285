/*
 * commands.c - all commands, in the order of the help
 */
#include <string.h>

#include "apps/cli/commands.h"

static const bus_cli_command *const commands[] = {
#define X(symbol) &bus_command_##symbol,
	BUS_COMMAND_LIST(X)
#undef X
		NULL,
};

const bus_cli_command *const *
bus_cli_commands(void)
{
	return commands;
}

const bus_cli_command *
bus_cli_command_find(const char *name)
{
	for (size_t i = 0; commands[i] != NULL; i++) {
		if (strcmp(commands[i]->name, name) == 0) {
			return commands[i];
		}
	}
	return NULL;
}
