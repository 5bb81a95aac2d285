/*
 * arena.h - memory of one batch: allocated piece by piece, given back at once
 */
#ifndef BUS_CORE_ARENA_H
#define BUS_CORE_ARENA_H

#include "core/status.h"
#include "core/str.h"

typedef struct bus_arena bus_arena;

/**
 * bus_arena_create - an empty arena
 *
 * @chunk_bytes: size of each block taken from malloc; larger requests get a block
 *	of their own
 *
 * Returns new, or NULL when memory is short.
 * Threads: one thread per arena.
 */
bus_arena *bus_arena_create(size_t chunk_bytes);

/* NULL-safe. */
void bus_arena_destroy(bus_arena *arena);

/* Everything allocated becomes invalid; the blocks are kept for the next batch. */
void bus_arena_reset(bus_arena *arena);

/**
 * bus_arena_alloc - zeroed memory, aligned to 16
 *
 * Returns borrowed until reset or destroy. Never NULL: when memory is short the
 * process ends with a message, because no batch can be half decoded.
 */
void *bus_arena_alloc(bus_arena *arena, size_t bytes);

/* A copy of text in the arena, NUL-terminated beyond its len. Absent stays absent. */
bus_str bus_arena_str(bus_arena *arena, bus_str text);

/* printf into the arena; NUL-terminated beyond its len. */
bus_str bus_arena_printf(bus_arena *arena, const char *fmt, ...) BUS_PRINTF(2, 3);

/* Bytes handed out since the last reset. */
size_t bus_arena_used(const bus_arena *arena);

#endif
