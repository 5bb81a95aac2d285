/*
 * hold.h - what a worker tells of a log that is not as it should be
 */
#ifndef BUS_ENGINE_HOLD_H
#define BUS_ENGINE_HOLD_H

#include "broker-adapters/adapter.h"
#include "sql/store.h"
#include "workers/engine/item.h"

/**
 * busp_hold_tell - says why a partition holds: a line in the log and an incident
 *
 * @why: BUS_POLL_OUT_OF_RANGE or BUS_POLL_DAMAGED
 *
 * Errors: those of bus_store_incident().
 */
BUS_MUST_CHECK bus_status busp_hold_tell(bus_store *store, const char *topic,
					 const bus_stream *stream, bus_poll_kind why,
					 bus_error *err);

/* The same for records that are missing in the log, from the stream's position up to gap_end;
 * the partition goes on. */
BUS_MUST_CHECK bus_status busp_hold_gap(bus_store *store, const char *topic,
					const bus_stream *stream, int64_t gap_end,
					bus_error *err);

/* The first delivery that does not follow the one before it in its partition, unless the
 * same gap was seen again after a rewind; count if there is none. */
size_t busp_gap_find(busp_lane *lanes, size_t lane_count, const bus_poll *poll,
		     busp_lane **ret_lane);

#endif
