/*
 * suspects.h - which event of a failed unit it was
 *
 * DESIGN
 * A unit says that it failed, not through which event. Those of a failed unit are suspects: they
 * are sent again in units of a tenth, until one stands alone and fails. What is known of it is
 * its refusal: the next time it is met, it is not folded.
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
	size_t count;       /* events from here on that are suspects */
	size_t unit;        /* so many of them go into one unit */
	size_t letters_max; /* letters of a drain, likewise */
	busp_refusal refusals[BUSP_REFUSALS_MAX]; /* until their events are done with */
} busp_suspects;

void busp_suspects_init(busp_suspects *suspects);

/**
 * busp_suspects_learn - from the failure of a unit
 *
 * @sent: the unit; NULL if none was in flight
 * @ret_pause: it teaches nothing about events: wait before the next attempt
 *
 * Errors: BUS_E_FATAL an event is refused even as a dead letter.
 */
BUS_MUST_CHECK bus_status busp_suspects_learn(busp_suspects *suspects,
					      const busp_sent *sent, const char *topic,
					      const bus_error *cause, bool *ret_pause,
					      bus_error *err);

/* Most events of the next unit; 0: as many as there are. */
size_t busp_suspects_unit(const busp_suspects *suspects);

/* What lies before this offset of a partition is done with. */
void busp_suspects_passed(busp_suspects *suspects, int32_t partition, int64_t next_offset);

/* A unit was committed. */
void busp_suspects_done(busp_suspects *suspects, const busp_sent *sent);

#endif
