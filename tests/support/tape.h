/*
 * tape.h - a broker that only takes events, in memory that processes share
 *
 * What a process has published stays on the tape when it is killed. Faults are set by any
 * process that shares the tape, and hold from the next publication on.
 */
#ifndef BUS_TEST_TAPE_H
#define BUS_TEST_TAPE_H

#include <stdatomic.h>
#include <sys/types.h>

#include "broker-adapters/adapter.h"

#define TAPE_ENTRIES_MAX 20000
#define TAPE_TEXT_MAX 32

typedef struct tape_entry {
	char topic[TAPE_TEXT_MAX];
	char key[TAPE_TEXT_MAX];
	char value[TAPE_TEXT_MAX];
	pid_t publisher;
	int64_t wall_us;
} tape_entry;

typedef struct tape {
	atomic_size_t count;
	atomic_bool down;       /* all fail, as a broker that cannot be reached */
	atomic_bool acks_lost;  /* each is on the tape, and none is said to be */
	atomic_bool holds;      /* a publication waits until this is over */
	atomic_bool slow;       /* each call takes a while */
	atomic_bool stops_once; /* SIGSTOP after the next publication, before its answer */
	atomic_size_t refused;  /* publications refused so far */
	char refuses[TAPE_TEXT_MAX]; /* the value that is refused for good; "": none */
	tape_entry entries[TAPE_ENTRIES_MAX];
} tape;

/* New, shared with processes forked from now on; ends the process if there is no memory. */
tape *tape_create(void);
void tape_destroy(tape *tape);
void tape_clear(tape *tape);

/* An adapter that publishes to the tape and can do nothing else. New; ends with
 * bus_adapter_close(). */
bus_adapter *tape_adapter(tape *tape);

#endif
