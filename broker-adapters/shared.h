/*
 * shared.h - what the adapters have in common; private to this room
 */
#ifndef BUSP_ADAPTER_SHARED_H
#define BUSP_ADAPTER_SHARED_H

#include "broker-adapters/adapter.h"

/* Largest record, counted as bus_poll_limit counts: Kafka's message.max.bytes. Four times
 * the largest event, so that nothing the platform says can meet it. */
#define BUSP_RECORD_BYTES_MAX 1000000u
/* Broker-internal topics (__consumer_offsets ...) begin so and are not listed. */
#define BUSP_INTERNAL_PREFIX "__"

/* One row per adapter; the table is in registry.c. */
extern const bus_adapter_ops busp_memory_ops;
extern const bus_adapter_ops busp_fault_ops;
extern const bus_adapter_ops busp_kafka_ops;
extern const bus_adapter_ops busp_nng_ops;

/* Zeroed, owned by the caller; never NULL: when memory is short the process ends with
 * a message, as in core/arena.h. */
void *busp_adapter_alloc(size_t count, size_t bytes);

/* Room for one more in a growing array of elements of `bytes` each: the array, moved if
 * it had to be. Never NULL, as above. */
void *busp_adapter_grow(void *array, size_t count, size_t *capacity, size_t bytes);

/* A NUL-terminated copy, owned by the caller. */
char *busp_adapter_copy(const char *text);

/* FATAL when no broker could make such a topic: its name breaks Kafka's rule, a number is
 * out of range. */
BUS_MUST_CHECK bus_status busp_topic_spec_check(const char *origin,
						const bus_topic_spec *spec,
						bus_error *err);

/* FATAL when a position could never be read. */
BUS_MUST_CHECK bus_status busp_position_check(const char *origin,
					      const bus_position *position,
					      bus_error *err);

/* Milliseconds left until deadline_ms, between 0 and INT_MAX. */
int busp_remaining_ms(const bus_clock *clock, int64_t deadline_ms);

#endif
