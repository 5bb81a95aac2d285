/*
 * relay_kit.h - what the tests of relays share: a database, relays of their own, a tape
 *
 * Relays are processes of their own, forked from here; they publish to a tape that outlives
 * them. Rows of a stream say s<stream>-<number>, so that the tape shows their order.
 */
#ifndef BUS_TEST_RELAY_KIT_H
#define BUS_TEST_RELAY_KIT_H

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "sql/store.h"
#include "tests/support/suite.h"
#include "tests/support/tape.h"

/* What most cases use, and what there is: one in each shard, 1 to 15 and at last 0. */
#define STREAMS 3
#define STREAMS_ALL BUS_RELAY_SHARDS
#define WAIT_MS 20000
#define LEASE_MS 1000
#define LOST "shards lost to another relay"

extern tape *kit_tape;

/* Server and schema; for bus_suite. */
int kit_setup(void);
int kit_teardown(void);

/* Nothing promised, no relay, and a stream in each shard. */
void kit_begin(void);
void kit_end(void);
/* Runs it; the first cell of its answer, until the next call. */
const char *kit_sql(const char *format, ...) BUS_PRINTF(1, 2);
/* Promises rows of one stream, as a unit does. */
void kit_promise(int stream, int count);
bool kit_drained(void);
/* Of the shard of stream 1, which the oldest relay keeps; 0: nobody alive has it. */
long kit_epoch(void);
/* How many shards each relay has, the oldest first: "6,5,5". */
const char *kit_shares(void);

typedef struct relay {
	pid_t pid;
	FILE *log;
} relay;
relay kit_start(int64_t lease_ms, const char *crash_point);
bool kit_logged(relay *r, const char *text);
/* Its wait status; what it still runs after WAIT_MS is killed and fails. */
int kit_ended(relay *r);
void kit_stop_relay(relay *r);
size_t kit_count_of(const char *value);
/* Rows of a stream, if the first arrivals of 1, 2, 3 ... are in this order; -1 if not. */
int kit_in_order(int stream);

#define WAIT_FOR(condition)                                                              \
	do {                                                                             \
		int64_t end_ms = bus_clock_mono_ms(bus_clock_system()) + WAIT_MS;        \
		while (!(condition) && bus_clock_mono_ms(bus_clock_system()) < end_ms) { \
			poll(NULL, 0, 5);                                                \
		}                                                                        \
		CU_ASSERT(condition);                                                    \
	} while (0)

#endif
