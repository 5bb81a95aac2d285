/*
 * made.h - events of a benchmark: the same ones for every way of storing them
 */
#ifndef BUS_BENCH_MADE_H
#define BUS_BENCH_MADE_H

#include "core/arena.h"
#include "core/digest.h"
#include "core/event.h"
#include "core/id.h"

#define MADE_PARTITIONS 6
#define MADE_TENANT "bench"
#define MADE_SOURCE "/bench"
#define MADE_TYPE "io.busline.scale.requested.v1"
#define MADE_TOPIC "busline.scale"
/* Bytes of an event's data; with its headers it has about 440. */
#define MADE_VALUE_BYTES 152

typedef struct made {
	bus_event event;
	bus_record record;
	bus_str headers; /* packed */
	size_t app;
	int32_t partition;
	int64_t offset;
	bus_uuid identity;
	bus_digest digest;
	bus_digest hash; /* of the chain */
} made;

typedef struct maker {
	size_t apps;
	uint64_t number; /* of the next event */
	uint64_t chance;
	int64_t next_offset[MADE_PARTITIONS];
	bus_digest head[MADE_PARTITIONS];
	bus_hasher *hasher;
} maker;

/* The next event. Texts live in the arena. hashed: with identity, digest and chain, as a
 * worker computes them. */
made maker_next(maker *m, bus_arena *arena, bool hashed);

/* Seconds on a clock that never steps back. */
double made_seconds(void);

#endif
