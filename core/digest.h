/*
 * digest.h - SHA-256 over received bytes
 */
#ifndef BUS_CORE_DIGEST_H
#define BUS_CORE_DIGEST_H

#include "core/str.h"

#define BUS_DIGEST_BYTES 32

typedef struct bus_digest {
	uint8_t bytes[BUS_DIGEST_BYTES];
} bus_digest;

/* A running SHA-256; heap, reusable: begin, add ..., end, begin ... One thread. */
typedef struct bus_hasher bus_hasher;

bus_hasher *bus_hasher_create(void);
void bus_hasher_destroy(bus_hasher *hasher);
void bus_hasher_begin(bus_hasher *hasher);
void bus_hasher_add(bus_hasher *hasher, const void *data, size_t len);
/* 4 bytes big-endian length (0xffffffff when absent), then the bytes: no two lists of
 * fields give the same input. */
void bus_hasher_field(bus_hasher *hasher, bus_str field);
void bus_hasher_be64(bus_hasher *hasher, uint64_t value);
bus_digest bus_hasher_end(bus_hasher *hasher);

/* One shot. */
bus_digest bus_digest_of(bus_str bytes);

#endif
