/*
 * durable.h - ways to append events so that they are on disk when one is told
 */
#ifndef BUS_BENCH_DURABLE_H
#define BUS_BENCH_DURABLE_H

#include <stddef.h>
#include <stdint.h>

#define DURABLE_TOPIC "bench"
#define DURABLE_KEYS 1000
#define DURABLE_KEY_BYTES 16

typedef struct durable_options {
	const char *address; /* URL of the broker, host:port, or a directory */
	size_t producers;
	size_t batch;       /* events that one producer sends and then waits for */
	size_t event_bytes; /* key and value */
	double seconds, warm_up;
	int32_t partitions;
} durable_options;

/* What one producer has: a connection of its own. Each call ends the process if it fails. */
typedef struct durable_way {
	const char *name;
	void *(*open)(const durable_options *options, size_t number);
	/* Returns when count events, the first of which has this number, are durable. */
	void (*append)(void *producer, uint64_t number, size_t count);
	void (*close)(void *producer);
} durable_way;

extern const durable_way durable_busline, durable_sqlite, durable_redis, durable_nats;

_Noreturn void durable_die(const char *what, const char *why);

/* Key of an event, DURABLE_KEY_BYTES; and bytes to be its value, which nothing compresses. */
void durable_key(uint64_t number, char *key);
const char *durable_value(const durable_options *options, uint64_t number,
			  size_t *ret_len);

#endif
