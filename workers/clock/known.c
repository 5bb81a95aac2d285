/*
 * known.c - a binary heap by due time, and a set of the numbers in it
 */
#include "workers/clock/known.h"

#include <stdio.h>
#include <stdlib.h>

#define NUMBERS_MIN 1024u

static void *
must(void *memory)
{
	if (memory == NULL) {
		fputs("busline: out of memory for timers\n", stderr);
		abort();
	}
	return memory;
}

void
busp_known_clear(busp_known *known)
{
	free(known->heap);
	free(known->numbers);
	*known = (busp_known){ 0 };
}

void
busp_known_fini(busp_known *known)
{
	busp_known_clear(known);
}

/* ---- the numbers ---- */

/* Where this number is, or would be. Consecutive numbers are spread by a multiplication. */
static size_t
place_of(const int64_t *numbers, size_t room, int64_t number)
{
	uint64_t hash = (uint64_t)number * UINT64_C(0x9e3779b97f4a7c15);
	size_t at = (size_t)(hash >> 32) & (room - 1);
	while (numbers[at] != 0 && numbers[at] != number) {
		at = (at + 1) & (room - 1);
	}
	return at;
}

static void
numbers_resize(busp_known *known, size_t room)
{
	int64_t *numbers = must(calloc(room, sizeof(*numbers)));
	for (size_t i = 0; i < known->number_room; i++) {
		if (known->numbers[i] != 0) {
			numbers[place_of(numbers, room, known->numbers[i])] =
				known->numbers[i];
		}
	}
	free(known->numbers);
	known->numbers = numbers;
	known->number_room = room;
}

/* False if it is there. */
static bool
numbers_add(busp_known *known, int64_t number)
{
	if (known->number_count * 2 >= known->number_room) {
		numbers_resize(known, known->number_room == 0 ? NUMBERS_MIN :
								known->number_room * 2);
	}
	size_t at = place_of(known->numbers, known->number_room, number);
	if (known->numbers[at] != 0) {
		return false;
	}
	known->numbers[at] = number;
	known->number_count++;
	return true;
}

/* ---- the heap ---- */

static void
sift_up(busp_known *known, size_t at)
{
	busp_known_timer timer = known->heap[at];
	while (at > 0 && known->heap[(at - 1) / 2].due_ms > timer.due_ms) {
		known->heap[at] = known->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	known->heap[at] = timer;
}

static void
sift_down(busp_known *known, size_t at)
{
	busp_known_timer timer = known->heap[at];
	for (;;) {
		size_t child = at * 2 + 1;
		if (child >= known->count) {
			break;
		}
		if (child + 1 < known->count &&
		    known->heap[child + 1].due_ms < known->heap[child].due_ms) {
			child++;
		}
		if (known->heap[child].due_ms >= timer.due_ms) {
			break;
		}
		known->heap[at] = known->heap[child];
		at = child;
	}
	known->heap[at] = timer;
}

void
busp_known_return(busp_known *known, const busp_known_timer *timer)
{
	if (known->count == known->room) {
		known->room = known->room == 0 ? NUMBERS_MIN : known->room * 2;
		known->heap =
			must(realloc(known->heap, known->room * sizeof(*known->heap)));
	}
	known->heap[known->count] = *timer;
	sift_up(known, known->count++);
}

bool
busp_known_see(busp_known *known, bus_timer_id id, int64_t due_ms)
{
	if (!numbers_add(known, id.number)) {
		return false;
	}
	busp_known_return(known, &(busp_known_timer){ .id = id, .due_ms = due_ms });
	return true;
}

const busp_known_timer *
busp_known_first(const busp_known *known)
{
	return known->count > 0 ? &known->heap[0] : NULL;
}

busp_known_timer
busp_known_take(busp_known *known)
{
	busp_known_timer first = known->heap[0];
	known->heap[0] = known->heap[--known->count];
	if (known->count > 0) {
		sift_down(known, 0);
	}
	return first;
}

static int
compare_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

void
busp_known_purge(busp_known *known, const int64_t *numbers, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < known->count; i++) {
		if (count > 0 && bsearch(&known->heap[i].id.number, numbers, count,
					 sizeof(*numbers), compare_number) != NULL) {
			known->heap[kept++] = known->heap[i];
		}
	}
	known->count = kept;
	for (size_t i = kept / 2; i-- > 0;) {
		sift_down(known, i);
	}
	free(known->numbers);
	known->numbers = NULL;
	known->number_count = 0;
	known->number_room = 0;
	for (size_t i = 0; i < kept; i++) {
		numbers_add(known, known->heap[i].id.number);
	}
}
