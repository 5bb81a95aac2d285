/*
 * memory.h - what only tests do to a broker in memory
 *
 * Brokers in memory are found by their URL, "memory:<name>", and live until they are
 * dropped, so that a test can close an adapter and open the next one on the same log.
 */
#ifndef BUS_ADAPTER_MEMORY_H
#define BUS_ADAPTER_MEMORY_H

#include "core/status.h"

#include <stdint.h>

/**
 * bus_memory_trim - cut off the start of a partition, as retention does
 *
 * @new_start: offset of the first record that stays; may be the end, never past it
 *
 * Errors:  BUS_E_FATAL no such broker, topic, partition or offset.
 * Threads: any.
 */
BUS_MUST_CHECK bus_status bus_memory_trim(const char *url, const char *topic,
					  int32_t partition, int64_t new_start,
					  bus_error *err);

/* Forgets the broker: the next adapter of this URL finds an empty one. Its memory goes
 * when the last adapter that uses it is closed. Any thread. */
void bus_memory_drop(const char *url);

#endif
