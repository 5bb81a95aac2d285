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
#include "workers/engine/quarantine.h"

typedef struct busp_batch_context {
	const bus_worker *worker;
	const bus_registry *registry;
	bus_folder *folder;
	bus_store *store;
	bus_hasher *hasher;
	busp_lane *lanes;
	size_t lane_count;
	int32_t topic_partitions;
	const busp_refusal *refusals; /* BUSP_REFUSALS_MAX */
	busp_quarantine *quarantine;
	size_t letters_max; /* of a drain */
	bool probe;         /* ask which events are repeats before folding */
	bool alone;         /* no unit is in flight, and none is sent before the answer */
} busp_batch_context;

typedef struct busp_batch {
	bus_unit unit;
	size_t taken;       /* deliveries that are done with when the unit is */
	bool wants_alone;   /* nothing was made: the next event needs context.alone */
	size_t event_count; /* repeats included */
	size_t repeat_count;
	size_t letter_count;     /* dead letters that are folded in it */
	bus_held_key held;       /* what becomes of a key */
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
 * Takes fewer than there are if one of them must be alone: see quarantine.h.
 *
 * Errors: those of the store (repeats, load).
 */
BUS_MUST_CHECK bus_status busp_batch_make(const busp_batch_context *context,
					  const bus_delivery *deliveries, size_t count,
					  bus_arena *arena, busp_batch *ret_batch,
					  bus_error *err);

/* The unit has been sent: the lanes expect what it leaves behind. */
void busp_batch_keep(const busp_batch_context *context, const busp_batch *batch);

#endif
