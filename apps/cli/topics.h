/*
 * topics.h - how a topic should be, and how it differs
 */
#ifndef BUS_CLI_TOPICS_H
#define BUS_CLI_TOPICS_H

#include "apps/cli/cli.h"
#include "broker-adapters/adapter.h"

/* As the settings topic.* want it. */
bus_topic_spec bus_cli_topic_spec(const bus_cli *cli, const char *topic);

/* Appends a sentence per difference and what to do; true if one endangers order or replay
 * (partitions, retention). */
bool bus_cli_topic_differences(const bus_topic_spec *spec, const bus_topic_info *info,
			       bus_buf *out);

#endif
