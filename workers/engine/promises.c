/*
 * promises.c - of what one unit says about a name, the last word counts
 */
#include "workers/engine/promises.h"

#include <stdlib.h>

/* One promise by what it is about, and which one it is. */
typedef struct label {
	const bus_event *cause;
	bus_str name;
	size_t index;
} label;

void
busp_promises_count(busp_promises *all, size_t timers, size_t incidents)
{
	all->timer_count += timers;
	all->incident_count += incidents;
}

void
busp_promises_room(busp_promises *all, bus_arena *arena)
{
	if (all->timer_count > 0) {
		all->timers =
			bus_arena_alloc(arena, all->timer_count * sizeof(*all->timers));
	}
	if (all->incident_count > 0) {
		all->incidents = bus_arena_alloc(arena, all->incident_count *
								sizeof(*all->incidents));
	}
	all->timer_count = 0;
	all->incident_count = 0;
}

void
busp_promises_add(busp_promises *all, const busp_promises *one, int32_t stream,
		  int64_t offset)
{
	for (size_t i = 0; i < one->timer_count; i++) {
		bus_timer_write *timer = &all->timers[all->timer_count++];
		*timer = one->timers[i];
		timer->stream = stream;
	}
	for (size_t i = 0; i < one->incident_count; i++) {
		bus_incident_write *incident = &all->incidents[all->incident_count++];
		*incident = one->incidents[i];
		incident->stream = stream;
		incident->offset = offset;
	}
}

static int
compare_text(bus_str a, bus_str b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* An absent subject and an empty one make the same key. */
static int
compare_name(const label *a, const label *b)
{
	int order = compare_text(a->cause->tenant, b->cause->tenant);
	if (order == 0) {
		order = compare_text(a->cause->subject, b->cause->subject);
	}
	return order != 0 ? order : compare_text(a->name, b->name);
}

static int
compare_label(const void *a, const void *b)
{
	const label *x = a, *y = b;
	int order = compare_name(x, y);
	return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

/* Sorts labels and keeps the last of each name; how many. A key has one home, so the stream
 * need not be looked at. */
static size_t
keep_last(label *labels, size_t count)
{
	size_t kept = 0;
	qsort(labels, count, sizeof(*labels), compare_label);
	for (size_t i = 0; i < count; i++) {
		if (i + 1 == count || compare_name(&labels[i], &labels[i + 1]) != 0) {
			labels[kept++] = labels[i];
		}
	}
	return kept;
}

static void
last_timers(busp_promises *all, bus_arena *arena)
{
	size_t count = all->timer_count;
	bus_timer_write *rows = bus_arena_alloc(arena, count * sizeof(*rows));
	label *labels = bus_arena_alloc(arena, count * sizeof(*labels));
	for (size_t i = 0; i < count; i++) {
		labels[i] = (label){ all->timers[i].cause, all->timers[i].name, i };
	}
	all->timer_count = keep_last(labels, count);
	for (size_t i = 0; i < all->timer_count; i++) {
		rows[i] = all->timers[labels[i].index];
	}
	all->timers = rows;
}

static void
last_incidents(busp_promises *all, bus_arena *arena)
{
	size_t count = all->incident_count;
	bus_incident_write *rows = bus_arena_alloc(arena, count * sizeof(*rows));
	label *labels = bus_arena_alloc(arena, count * sizeof(*labels));
	for (size_t i = 0; i < count; i++) {
		const bus_incident_write *row = &all->incidents[i];
		labels[i] = (label){ row->cause, bus_str_from(row->kind), i };
	}
	all->incident_count = keep_last(labels, count);
	for (size_t i = 0; i < all->incident_count; i++) {
		rows[i] = all->incidents[labels[i].index];
	}
	all->incidents = rows;
}

void
busp_promises_last(busp_promises *all, bus_arena *arena)
{
	if (all->timer_count > 1) {
		last_timers(all, arena);
	}
	if (all->incident_count > 1) {
		last_incidents(all, arena);
	}
}
