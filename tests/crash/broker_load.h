/*
 * broker_load.h - what the threads of broker_load share
 *
 * DESIGN
 * A record says who wrote it and which one it is: producer, partition, number; the rest of
 * its bytes follow from these three, so that whoever reads it can tell every wrong byte. A
 * number is used once: what the broker refused, or may have lost, is not sent again. So in
 * a right log the numbers of one producer only grow in each partition, whatever happened.
 */
#ifndef BUS_TEST_BROKER_LOAD_H
#define BUS_TEST_BROKER_LOAD_H

#include <stdatomic.h>
#include <stdint.h>

#include "broker-adapters/adapter.h"

#define LOAD_PARTITIONS_MAX 64
#define LOAD_PRODUCERS_MAX 64
/* Of one producer in one partition; far more than a run of 500 cycles makes. */
#define LOAD_NUMBERS_MAX ((uint64_t)1 << 22)
/* Of one partition. */
#define LOAD_OFFSETS_MAX ((int64_t)1 << 26)
#define LOAD_HEAD_BYTES 16
#define LOAD_VALUE_MAX 512

/* What became of a number, where it has no offset. */
#define LOAD_UNSENT INT64_C(0) /* memory begins so: offsets are kept plus one */
#define LOAD_UNCERTAIN INT64_C(-1)
#define LOAD_FAILED INT64_C(-2)

typedef struct load_content {
	uint32_t producer;
	uint32_t partition;
	uint64_t number;
} load_content;

typedef struct load {
	const char *url, *topic;
	int32_t partitions;
	size_t producers, readers;
	int timeout_ms;
	atomic_bool stop, stop_readers;
	atomic_uint_fast64_t acknowledged, uncertain, failed, delivered, rewinds;

	/* by producer and partition: what became of each number */
	int64_t *fate[LOAD_PRODUCERS_MAX][LOAD_PARTITIONS_MAX];
	/* by partition: whose record was acknowledged at an offset */
	_Atomic uint64_t *told[LOAD_PARTITIONS_MAX];
	/* by partition: who wrote what lies at an offset, as whoever saw it first says */
	_Atomic uint64_t *seen[LOAD_PARTITIONS_MAX];
	/* by partition: one past the last offset anybody saw */
	_Atomic int64_t seen_end[LOAD_PARTITIONS_MAX];
} load;

/* Ends the process at once: what is wrong must not be followed by more of it. */
_Noreturn void load_wrong(const char *fmt, ...) BUS_PRINTF(1, 2);

bus_adapter *load_open(const load *l, const char *role, size_t number);

/* SplitMix64. */
uint64_t load_chance(uint64_t *state);

/* Fills value (LOAD_VALUE_MAX bytes); returns how many it has. */
size_t load_value(const load_content *content, char *value);
/* Is this record what its first bytes say, to the last byte? Ends the process if not. */
load_content load_read(const bus_delivery *delivery);

/* Remembers where a record was acknowledged, or ends the process if another one was
 * acknowledged or read there: one of the two is lost. */
void load_acknowledged(load *l, int64_t offset, const load_content *content);

/* Remembers a delivery, or ends the process if somebody saw another one at its offset, or
 * was told that it is there. */
void load_remember(load *l, const bus_delivery *delivery, const load_content *content);

typedef struct load_verdict {
	uint64_t records, uncertain_there;
} load_verdict;

/* Reads the whole log once more and settles it with what producers were told. */
load_verdict load_settle(load *l);

#endif
