/*
 * suspects.h - which event of a failed unit it was
 *
 * DESIGN
 * A unit says that it failed, not through which event. Those of a failed unit are suspects, known
 * by partition and offset: the log may come in another order when it is read again. They are sent
 * again in units of a tenth, until one stands alone and fails; all others go on meanwhile as
 * before. What is known of that one is its refusal: the next time it is met, it is not folded.
 */
#ifndef BUSP_ENGINE_SUSPECTS_H
#define BUSP_ENGINE_SUSPECTS_H

#include "workers/engine/item.h"

/* A unit in flight. */
typedef struct busp_sent {
	size_t event_count;
	size_t repeat_count;
	size_t letter_count;
	int32_t first_partition;
	int64_t first_offset;
} busp_sent;

typedef struct busp_suspects {
	busp_lane *lanes; /* borrowed; each says where its suspects end */
	size_t lane_count;
	size_t unit;                              /* so many of them go into one unit */
	size_t letters_max;                       /* letters of a drain, likewise */
	busp_refusal refusals[BUSP_REFUSALS_MAX]; /* until their events are done with */
} busp_suspects;

/* No suspects in these lanes, which are borrowed until the next call. */
void busp_suspects_init(busp_suspects *suspects, busp_lane *lanes, size_t lane_count);

/**
 * busp_suspects_learn - from the failure of a unit
 *
 * @sent: the unit, whose lanes are as they were after it was sent; NULL if none was in flight
 * @ret_pause: it teaches nothing about events: wait before the next attempt
 *
 * Errors: BUS_E_FATAL an event is refused even as a dead letter.
 */
BUS_MUST_CHECK bus_status busp_suspects_learn(busp_suspects *suspects,
					      const busp_sent *sent, const char *topic,
					      const bus_error *cause, bool *ret_pause,
					      bus_error *err);

/**
 * busp_suspects_take - how many of these go into the next unit
 *
 * Suspects go in few, others not with them, and one with a refusal alone.
 *
 * @count: at least 1
 * @ret_careful: the answer decides what comes next: nothing is sent before it
 *
 * Returns: 1..count
 */
size_t busp_suspects_take(busp_suspects *suspects, const bus_delivery *deliveries,
			  size_t count, bool *ret_careful);

/* What lies before this offset of a partition is done with. */
void busp_suspects_passed(busp_suspects *suspects, int32_t partition, int64_t next_offset);

/* A unit was committed. */
void busp_suspects_done(busp_suspects *suspects, const busp_sent *sent);

#endif
