/*
 * known.h - the timers a clock has seen, the earliest first
 */
#ifndef BUSP_CLOCK_KNOWN_H
#define BUSP_CLOCK_KNOWN_H

#include "workers/engine/service.h"

typedef struct busp_known_timer {
	bus_timer_id id;
	int64_t due_ms; /* since boot */
} busp_known_timer;

/* Zeroed: empty. */
typedef struct busp_known {
	busp_known_timer *heap;
	size_t count, room;
	/* Numbers ever seen since the last purge: open addressing, 0 is a free place. A number
	 * is given once, so one that has fired may stay in it. */
	int64_t *numbers;
	size_t number_count, number_room;
} busp_known;

void busp_known_fini(busp_known *known);
void busp_known_clear(busp_known *known);

/* False if it was seen before; its due time stays. */
bool busp_known_see(busp_known *known, bus_timer_id id, int64_t due_ms);
/* Puts one back that was taken. */
void busp_known_return(busp_known *known, const busp_known_timer *timer);
/* NULL if there is none. */
const busp_known_timer *busp_known_first(const busp_known *known);
/* The first; there must be one. */
busp_known_timer busp_known_take(busp_known *known);
/* Forgets all whose numbers are not among these (sorted): set again, or cancelled. */
void busp_known_purge(busp_known *known, const int64_t *numbers, size_t count);

#endif
