/*
 * commands.h - the rows of the command table; each stands in its family's cmd_*.c
 */
#ifndef BUS_CLI_COMMANDS_H
#define BUS_CLI_COMMANDS_H

#include "apps/cli/cli.h"

/* In the order of the help. */
#define BUS_COMMAND_LIST(X)                                                              \
	X(publish)                                                                       \
	X(deploy)                                                                        \
	X(rollback)                                                                      \
	X(scale)                                                                         \
	X(route)                                                                         \
	X(status)                                                                        \
	X(releases)                                                                      \
	X(tail)                                                                          \
	X(lag)                                                                           \
	X(dlq)                                                                           \
	X(dlq_ls)                                                                        \
	X(dlq_show)                                                                      \
	X(dlq_redrive)                                                                   \
	X(dlq_edit)                                                                      \
	X(dlq_discard)                                                                   \
	X(saga)                                                                          \
	X(saga_start)                                                                    \
	X(saga_ls)                                                                       \
	X(saga_show)                                                                     \
	X(saga_trace)                                                                    \
	X(saga_retry)                                                                    \
	X(saga_skip)                                                                     \
	X(saga_compensate)                                                               \
	X(saga_cancel)                                                                   \
	X(saga_lint)                                                                     \
	X(saga_definitions)                                                              \
	X(incident)                                                                      \
	X(incident_ls)                                                                   \
	X(sql)                                                                           \
	X(up)                                                                            \
	X(broker)                                                                        \
	X(broker_check)                                                                  \
	X(broker_status)                                                                 \
	X(migrate)                                                                       \
	X(migrate_broker)                                                                \
	X(topic)                                                                         \
	X(topic_ensure)                                                                  \
	X(topic_ls)                                                                      \
	X(worker)                                                                        \
	X(doctor)                                                                        \
	X(config)                                                                        \
	X(config_show)                                                                   \
	X(version)                                                                       \
	X(completion)                                                                    \
	X(man)                                                                           \
	X(docs)                                                                          \
	X(help)                                                                          \
	X(complete)

#define X(symbol) extern const bus_cli_command bus_command_##symbol;
BUS_COMMAND_LIST(X)
#undef X

#define BUS_GROUP_ACT "Act"
#define BUS_GROUP_LOOK "Look"
#define BUS_GROUP_RUN "Run"
#define BUS_GROUP_HELP "Help"

#endif
