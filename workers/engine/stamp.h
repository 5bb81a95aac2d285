/*
 * stamp.h - what every state row says about the event that made it what it is
 */
#ifndef BUS_ENGINE_STAMP_H
#define BUS_ENGINE_STAMP_H

#include "core/event.h"
#include "core/row.h"

typedef struct bus_stamp {
	bus_str event_source;
	bus_str event_id;
	int64_t updated_at; /* the event's time, never the clock's */
} bus_stamp;

/* The last three columns of every table; the row's struct has a member `stamp`. */
#define BUS_STAMP_COLUMNS(row_struct)                                                    \
	{ "event_source", BUS_COL_TEXT, offsetof(row_struct, stamp.event_source) },      \
		{ "event_id", BUS_COL_TEXT, offsetof(row_struct, stamp.event_id) },      \
	{                                                                                \
		"updated_at", BUS_COL_TIME, offsetof(row_struct, stamp.updated_at)       \
	}

static inline bus_stamp
bus_stamp_of(const bus_event *event)
{
	return (bus_stamp){
		.event_source = event->source,
		.event_id = event->id,
		.updated_at = event->time_us,
	};
}

#endif
