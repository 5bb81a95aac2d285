/*
 * made.c - events of a benchmark
 */
#include "tests/bench/made.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FIRST_US 1735689600000000 /* 2025-01-01 */

double
made_seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* SplitMix64: the same applications in the same order at every run. */
static uint64_t
next_chance(maker *m)
{
	uint64_t z = m->chance += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static bus_str
value_of(bus_arena *arena)
{
	static const char start[] = "{\"process\":\"web\",\"delta\":1";
	char *text = bus_arena_alloc(arena, MADE_VALUE_BYTES);
	memset(text, ' ', MADE_VALUE_BYTES);
	memcpy(text, start, sizeof(start) - 1);
	text[MADE_VALUE_BYTES - 1] = '}';
	return (bus_str){ text, MADE_VALUE_BYTES };
}

static void
hash(maker *m, made *event, bus_arena *arena)
{
	static const uint8_t tag = 0x01;
	event->identity = bus_identity_key(event->event.source, event->event.id);
	event->digest = bus_record_digest(&event->record, m->hasher, arena);
	bus_hasher_begin(m->hasher);
	bus_hasher_add(m->hasher, &tag, 1);
	bus_hasher_add(m->hasher, m->head[event->partition].bytes, BUS_DIGEST_BYTES);
	bus_hasher_be64(m->hasher, (uint64_t)event->offset);
	bus_hasher_field(m->hasher, event->record.key);
	bus_hasher_field(m->hasher, event->headers);
	bus_hasher_field(m->hasher, event->record.value);
	bus_hasher_field(m->hasher, BUS_STR("APPLIED"));
	bus_hasher_field(m->hasher, BUS_STR_NULL);
	event->hash = m->head[event->partition] = bus_hasher_end(m->hasher);
}

made
maker_next(maker *m, bus_arena *arena, bool hashed)
{
	uint64_t number = m->number++;
	made event = { .app = next_chance(m) % m->apps };
	int64_t time_us = FIRST_US + (int64_t)number * 1000;
	char text[BUS_UUID_TEXT_LEN + 1];
	char number_text[24];
	snprintf(number_text, sizeof(number_text), "%llu", (unsigned long long)number);
	bus_uuid id =
		bus_uuid_derive(time_us, BUS_STR(MADE_SOURCE), bus_str_from(number_text),
				BUS_STR("bench"), BUS_STR("id"));
	bus_uuid_format(&id, text);
	char time_text[BUS_TIME_TEXT_MAX];
	bus_time_format(time_us, time_text);
	event.event = (bus_event){
		.id = bus_arena_str(arena, bus_str_from(text)),
		.source = BUS_STR(MADE_SOURCE),
		.type = BUS_STR(MADE_TYPE),
		.subject = bus_arena_printf(arena, "app-%zu", event.app),
		.datacontenttype = BUS_STR("application/json"),
		.time = bus_arena_str(arena, bus_str_from(time_text)),
		.time_us = time_us,
		.tenant = BUS_STR(MADE_TENANT),
		.actor = BUS_STR("user:alice@example.com"),
		.data = value_of(arena),
	};
	bus_error err = BUS_ERROR_INIT;
	if (bus_event_write(&event.event, BUS_MODE_BINARY, arena, &event.record, &err) !=
	    BUS_OK) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	event.headers =
		bus_headers_pack(event.record.headers, event.record.header_count, arena);
	event.partition = (int32_t)(event.app % MADE_PARTITIONS);
	event.offset = m->next_offset[event.partition]++;
	if (hashed) {
		hash(m, &event, arena);
	}
	return event;
}
