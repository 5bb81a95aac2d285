/*
 * lag.c - how far the workers are behind the log
 *
 * Positions are PostgreSQL's, ends the broker's. The lag in seconds is the age of the first
 * event that waits: it is read, since no number of events tells a time.
 */
#include <string.h>

#include "apps/cli/lag.h"
#include "schemas/registry.h"

#define LAGS_MAX 4096
#define AGE_WAIT_MS 5000

enum { COLUMN_TOPIC, COLUMN_PARTITION, COLUMN_NEXT_OFFSET, COLUMN_EPOCH };

typedef struct busp_lags {
	bus_adapter *adapter;
	bus_cli_lag *rows;
	size_t count;
} busp_lags;

static void
busp_position(bus_cli_lag *lag, const bus_table *positions)
{
	for (size_t row = 0; row < positions->row_count; row++) {
		bus_str topic = bus_table_cell(positions, row, COLUMN_TOPIC);
		if (bus_str_is(topic, lag->topic) &&
		    bus_table_int(positions, row, COLUMN_PARTITION, -1) ==
			    lag->partition) {
			lag->known = true;
			lag->position =
				bus_table_int(positions, row, COLUMN_NEXT_OFFSET, 0);
			lag->epoch = bus_table_int(positions, row, COLUMN_EPOCH, 0);
			return;
		}
	}
	lag->position = lag->oldest;
}

static bus_status
busp_partition(busp_lags *lags, const char *topic, int32_t partition,
	       const bus_table *positions, bus_error *err)
{
	bus_cli_lag *lag = &lags->rows[lags->count];
	*lag = (bus_cli_lag){ .topic = topic, .partition = partition };
	if (bus_adapter_offset(lags->adapter, topic, partition, BUS_OFFSET_EARLIEST, 0,
			       BUS_CLI_BROKER_MS, &lag->oldest, err) != BUS_OK ||
	    bus_adapter_offset(lags->adapter, topic, partition, BUS_OFFSET_LATEST, 0,
			       BUS_CLI_BROKER_MS, &lag->end, err) != BUS_OK) {
		return err->status;
	}
	busp_position(lag, positions);
	lags->count++;
	return BUS_OK;
}

static bus_status
busp_topic(busp_lags *lags, const char *topic, const bus_table *positions, bus_error *err)
{
	int32_t partitions;
	if (bus_adapter_partitions(lags->adapter, topic, BUS_CLI_BROKER_MS, &partitions,
				   err) != BUS_OK) {
		return err->status;
	}
	for (int32_t i = 0; i < partitions && lags->count < LAGS_MAX; i++) {
		if (busp_partition(lags, topic, i, positions, err) != BUS_OK) {
			return err->status;
		}
	}
	return BUS_OK;
}

/* Partitions whose first waiting event can be read: it is in the log. */
static bool
busp_readable(const bus_cli_lag *lag)
{
	return lag->end > lag->position && lag->position >= lag->oldest;
}

static void
busp_age(busp_lags *lags, const bus_delivery *delivery, int64_t now_ms, size_t *left)
{
	for (size_t i = 0; i < lags->count; i++) {
		bus_cli_lag *lag = &lags->rows[i];
		if (lag->age_ms == -1 && lag->partition == delivery->partition &&
		    strcmp(lag->topic, delivery->topic) == 0) {
			int64_t age = now_ms - delivery->timestamp_ms;
			bool timed = delivery->timestamp_ms >= 0;
			/* the broker's clock may be ahead of ours */
			lag->age_ms = !timed ? -2 : age > 0 ? age : 0;
			(*left)--;
			return;
		}
	}
}

static bus_status
busp_ages(const bus_cli *cli, busp_lags *lags, bus_arena *arena, bus_error *err)
{
	const bus_poll_limit limit = { .events_max = 100,
				       .bytes_max = 1u << 20,
				       .timeout_ms = 200 };
	bus_position *starts =
		bus_arena_alloc(arena, (lags->count + 1) * sizeof(*starts));
	int64_t deadline = bus_clock_mono_ms(cli->clock) + AGE_WAIT_MS;
	int64_t now_ms = bus_clock_wall_us(cli->clock) / 1000;
	size_t left = 0;
	for (size_t i = 0; i < lags->count; i++) {
		bus_cli_lag *lag = &lags->rows[i];
		lag->age_ms = lag->end > lag->position ? -1 : 0;
		if (busp_readable(lag)) {
			starts[left++] = (bus_position){ lag->topic, lag->partition,
							 lag->position };
		}
	}
	if (left > 0 && bus_adapter_start(lags->adapter, starts, left, err) != BUS_OK) {
		return err->status;
	}
	while (left > 0 && bus_clock_mono_ms(cli->clock) < deadline) {
		bus_poll poll = { 0 };
		bus_error ignored = BUS_ERROR_INIT;
		if (bus_adapter_poll(lags->adapter, &limit, &poll, &ignored) != BUS_OK) {
			continue; /* the ages stay unknown, which is what is shown */
		}
		for (size_t i = 0; i < poll.count && left > 0; i++) {
			busp_age(lags, &poll.deliveries[i], now_ms, &left);
		}
	}
	bus_adapter_stop(lags->adapter);
	for (size_t i = 0; i < lags->count; i++) {
		lags->rows[i].age_ms =
			lags->rows[i].age_ms < 0 ? -1 : lags->rows[i].age_ms;
	}
	return BUS_OK;
}

bus_exit
bus_cli_lag_read(const bus_cli *cli, bus_adapter *adapter, bus_store *store, bool ages,
		 bus_arena *arena, bus_cli_lag **ret_lags, size_t *ret_count)
{
	bus_error err = BUS_ERROR_INIT;
	bus_table positions;
	busp_lags lags = { .adapter = adapter,
			   .rows = bus_arena_alloc(arena,
						   LAGS_MAX * sizeof(bus_cli_lag)) };
	bus_status status =
		bus_store_read(store, "cli_positions", NULL, 0, arena, &positions, &err);
	for (const bus_family *row = bus_families();
	     row->name != NULL && status == BUS_OK; row++) {
		status = busp_topic(&lags, row->topic, &positions, &err);
	}
	if (status == BUS_OK && ages) {
		status = busp_ages(cli, &lags, arena, &err);
	}
	if (status != BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	*ret_lags = lags.rows;
	*ret_count = lags.count;
	return BUS_EXIT_OK;
}
