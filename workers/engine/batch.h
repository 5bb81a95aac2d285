/*
 * batch.h - from deliveries to a unit: decode, validate, send home, fold, chain
 *
 * DESIGN
 * A lane is one partition this worker owns, as it will be once everything submitted is
 * committed. A batch works on copies of what changes (next offset, chain head, outbox
 * number) and gives them back with busp_batch_keep() when its unit has been sent; a batch
 * that is dropped has changed nothing.
 */
#ifndef BUSP_ENGINE_BATCH_H
#define BUSP_ENGINE_BATCH_H

#include "broker-adapters/adapter.h"
#include "schemas/registry.h"
#include "workers/engine/fold.h"

/* Longest text kept of why an event was refused. */
#define BUSP_DETAIL_MAX 1024

typedef struct busp_lane {
	bus_stream stream; /* expected by the next unit */
	bool held;         /* its position cannot be read: an incident is open */
	/* Offsets that are missing before these were met: once, and again after a rewind.
	 * 0 is never the end of a gap. */
	int64_t gap_suspect;
	int64_t gap_end;
	/* of the batch being made */
	bool touched;
	int64_t next_offset;
	int64_t outbox_seq;
	bus_digest head;
} busp_lane;

/* An event that PostgreSQL refused when it stood alone: it becomes a dead letter. */
typedef struct busp_refusal {
	bool set;
	int32_t partition;
	int64_t offset;
	char detail[BUSP_DETAIL_MAX];
} busp_refusal;

typedef struct busp_batch_context {
	const bus_worker *worker;
	const bus_registry *registry;
	bus_folder *folder;
	bus_store *store;
	bus_hasher *hasher;
	busp_lane *lanes;
	size_t lane_count;
	int32_t topic_partitions;
	const busp_refusal *refusal;
	bool probe; /* ask which events are repeats before folding */
} busp_batch_context;

typedef struct busp_batch {
	bus_unit unit;
	size_t event_count; /* deliveries taken, repeats included */
	size_t repeat_count;
	int32_t first_partition; /* of the first delivery, to name it if it stands alone */
	int64_t first_offset;
} busp_batch;

/**
 * busp_batch_make - everything up to the unit that can be submitted
 *
 * @deliveries: borrowed until the batch is submitted, because the unit points into them
 * @arena: the batch's
 * @ret_batch: unit.position_count is 0 if nothing of it was new
 *
 * Errors: those of the store (repeats, load).
 */
BUS_MUST_CHECK bus_status busp_batch_make(const busp_batch_context *context,
					  const bus_delivery *deliveries, size_t count,
					  bus_arena *arena, busp_batch *ret_batch,
					  bus_error *err);

/* The unit has been sent: the lanes expect what it leaves behind. */
void busp_batch_keep(const busp_batch_context *context);

#endif
