/*
 * promises.h - timers and incidents of many events as those of one unit
 */
#ifndef BUSP_ENGINE_PROMISES_H
#define BUSP_ENGINE_PROMISES_H

#include "sql/store.h"

typedef struct busp_promises {
	bus_timer_write *timers; /* in the order they were made */
	size_t timer_count;
	bus_incident_write *incidents;
	size_t incident_count;
} busp_promises;

/* First all are counted, then there is room, then they are added in log order. */
void busp_promises_count(busp_promises *all, size_t timers, size_t incidents);
void busp_promises_room(busp_promises *all, bus_arena *arena);
void busp_promises_add(busp_promises *all, const busp_promises *one, int32_t stream,
		       int64_t offset);

/* Leaves the last per key and name, or kind; sorted by them. */
void busp_promises_last(busp_promises *all, bus_arena *arena);

#endif
