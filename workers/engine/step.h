/*
 * step.h - which step of a saga an event is an attempt of
 *
 * A saga sends an act again under a new event id when it got no answer. A fold knows it by
 * saga and step, and does not do twice what the first attempt did.
 */
#ifndef BUS_ENGINE_STEP_H
#define BUS_ENGINE_STEP_H

#include "workers/engine/worker.h"

/* "deploy/do" of "deploy/do/2"; absent for an event that is no attempt of a step. */
static inline bus_str
bus_step_of(const bus_event *event)
{
	size_t len = event->sagastep.len;
	while (len > 0 && event->sagastep.data[len - 1] != '/') {
		len--;
	}
	return event->sagaid.len == 0 || len < 2 ?
		       BUS_STR_NULL :
		       (bus_str){ event->sagastep.data, len - 1 };
}

/* "deploy/do" of "deploy/undo/1": what a compensation takes back. */
static inline bus_str
bus_step_done(bus_fold *fold, const bus_event *event)
{
	bus_str step = bus_step_of(event);
	const char *slash = step.len > 0 ? memchr(step.data, '/', step.len) : NULL;
	return slash == NULL ? BUS_STR_NULL :
			       bus_arena_printf(bus_fold_arena(fold), "%.*s/do",
						(int)(slash - step.data), step.data);
}

#endif
