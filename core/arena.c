/*
 * arena.c - blocks in a list, filled from the front
 *
 * DESIGN
 * Blocks of the usual size are kept over a reset; a block made for one large request is
 * given back to malloc then, so that one large event does not stay in memory for ever.
 * Under AddressSanitizer everything not handed out is poisoned: a view that outlives its
 * batch is found where it is used.
 */
#include "core/arena.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"

#if defined(__SANITIZE_ADDRESS__)
#define BUSP_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BUSP_ASAN 1
#endif
#endif

#ifdef BUSP_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, len) ((void)(data), (void)(len))
#define ASAN_UNPOISON_MEMORY_REGION(data, len) ((void)(data), (void)(len))
#endif

#define BUSP_ALIGN ((size_t)16)

typedef struct busp_block {
	struct busp_block *next;
	size_t cap;
	size_t used;
	alignas(16) char data[];
} busp_block;

struct bus_arena {
	busp_block *first;   /* of the usual size, in the order they are filled */
	busp_block *current; /* the one being filled */
	busp_block *large;   /* one request each */
	size_t chunk_bytes;
	size_t used;
};

void
busp_memory_short(const char *what, size_t bytes)
{
	fprintf(stderr, "busline: out of memory: %zu bytes for %s\n", bytes, what);
	abort();
}

static busp_block *
busp_block_create(size_t cap)
{
	if (cap > SIZE_MAX - sizeof(busp_block)) {
		return NULL;
	}
	busp_block *block = malloc(sizeof(*block) + cap);
	if (block != NULL) {
		block->next = NULL;
		block->cap = cap;
		block->used = 0;
		ASAN_POISON_MEMORY_REGION(block->data, cap);
	}
	return block;
}

static void
busp_blocks_destroy(busp_block *block)
{
	while (block != NULL) {
		busp_block *next = block->next;
		ASAN_UNPOISON_MEMORY_REGION(block->data, block->cap);
		free(block);
		block = next;
	}
}

bus_arena *
bus_arena_create(size_t chunk_bytes)
{
	bus_arena *arena = calloc(1, sizeof(*arena));
	if (arena == NULL) {
		return NULL;
	}
	arena->chunk_bytes = (chunk_bytes + BUSP_ALIGN - 1) & ~(BUSP_ALIGN - 1);
	if (arena->chunk_bytes < 256) {
		arena->chunk_bytes = 256;
	}
	arena->first = arena->current = busp_block_create(arena->chunk_bytes);
	if (arena->first == NULL) {
		free(arena);
		return NULL;
	}
	return arena;
}

void
bus_arena_destroy(bus_arena *arena)
{
	if (arena == NULL) {
		return;
	}
	busp_blocks_destroy(arena->first);
	busp_blocks_destroy(arena->large);
	free(arena);
}

void
bus_arena_reset(bus_arena *arena)
{
	busp_blocks_destroy(arena->large);
	arena->large = NULL;
	for (busp_block *block = arena->first; block != NULL; block = block->next) {
		block->used = 0;
		ASAN_POISON_MEMORY_REGION(block->data, block->cap);
	}
	arena->current = arena->first;
	arena->used = 0;
}

/* The block to take bytes from: the current one, the next, a new one, or one of its own. */
static busp_block *
busp_arena_block(bus_arena *arena, size_t bytes)
{
	if (bytes > arena->chunk_bytes / 2) {
		busp_block *own = busp_block_create(bytes);
		if (own != NULL) {
			own->next = arena->large;
			arena->large = own;
		}
		return own;
	}
	if (arena->current->next == NULL) {
		arena->current->next = busp_block_create(arena->chunk_bytes);
		if (arena->current->next == NULL) {
			return NULL;
		}
	}
	arena->current = arena->current->next;
	return arena->current;
}

void *
bus_arena_alloc(bus_arena *arena, size_t bytes)
{
	if (bytes > SIZE_MAX - 4096) {
		busp_memory_short("a batch", bytes);
	}
	size_t rounded = (bytes + BUSP_ALIGN - 1) & ~(BUSP_ALIGN - 1);
	rounded = rounded > 0 ? rounded : BUSP_ALIGN;
	busp_block *block = arena->current;
	if (block->cap - block->used < rounded) {
		block = busp_arena_block(arena, rounded);
		if (block == NULL) {
			busp_memory_short("a batch", bytes);
		}
	}
	char *data = block->data + block->used;
	block->used += rounded;
	arena->used += rounded;
	ASAN_UNPOISON_MEMORY_REGION(data, bytes > 0 ? bytes : 1);
	return memset(data, 0, bytes > 0 ? bytes : 1);
}

bus_str
bus_arena_str(bus_arena *arena, bus_str text)
{
	if (text.data == NULL) {
		return BUS_STR_NULL;
	}
	char *copy = bus_arena_alloc(arena, text.len + 1);
	memcpy(copy, text.data, text.len);
	return (bus_str){ copy, text.len };
}

bus_str
bus_arena_printf(bus_arena *arena, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	va_list again;
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0) {
		/* only a format that cannot be converted: our own bug */
		abort();
	}
	char *text = bus_arena_alloc(arena, (size_t)len + 1);
	vsnprintf(text, (size_t)len + 1, fmt, again);
	va_end(again);
	return (bus_str){ text, (size_t)len };
}

size_t
bus_arena_used(const bus_arena *arena)
{
	return arena->used;
}
