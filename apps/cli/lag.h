/*
 * lag.h - how far the workers are behind the log, per topic-partition
 */
#ifndef BUS_CLI_LAG_H
#define BUS_CLI_LAG_H

#include "apps/cli/client.h"

typedef struct bus_cli_lag {
	const char *topic;
	int32_t partition;
	bool known; /* PostgreSQL has a position; if not, position is the oldest event */
	int64_t position; /* of the next event to apply */
	int64_t oldest, end;
	int64_t epoch;
	int64_t age_ms; /* of the event at the position; 0: none waits; -1: not known */
} bus_cli_lag;

/**
 * bus_cli_lag_read - all partitions of all families
 *
 * @ages: also read the event at each position that is behind, to know its age
 * @ret_lags: in the arena
 *
 * Says itself what went wrong.
 */
bus_exit bus_cli_lag_read(const bus_cli *cli, bus_adapter *adapter, bus_store *store,
			  bool ages, bus_arena *arena, bus_cli_lag **ret_lags,
			  size_t *ret_count);

#endif
