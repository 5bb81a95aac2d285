/*
 * adapter_suite.h - the contract of adapter.h as cases, the same for every adapter
 *
 * An executable per adapter sets bus_fixture in its setup and lists BUS_ADAPTER_CASES
 * before its own cases. Topic names are new in every run, so that a broker may live on.
 */
#ifndef BUS_ADAPTER_SUITE_H
#define BUS_ADAPTER_SUITE_H

#include "broker-adapters/adapter.h"
#include "tests/support/suite.h"

typedef struct bus_adapter_fixture {
	char url[256]; /* of the broker, as the adapter under test takes it */
	/* Cuts off the start of a partition, as retention does. */
	void (*trim)(const char *topic, int32_t partition, int64_t new_start);
	bool own_time; /* timestamps are the broker's, whatever a publication says */
} bus_adapter_fixture;

extern bus_adapter_fixture bus_fixture;

#define BUS_ADAPTER_CASE_LIST(X)                                                         \
	X(scheme, "an unknown scheme is refused, the known ones are named")              \
	X(ensure, "a topic is made once and reported as it is from then on")             \
	X(ensure_refused, "a topic that cannot be is refused")                           \
	X(list, "topics are listed by prefix, sorted, without internal ones")            \
	X(partitions, "partitions are counted; a missing topic is fatal")                \
	X(publish, "a publication has partition, offset and outcome")                    \
	X(home, "home is murmur2 of the key, sign cleared, modulo partitions")           \
	X(publish_refused, "what can never be written is fatal, the rest is written")    \
	X(absent, "null key, tombstone and empty bytes stay apart")                      \
	X(headers, "headers keep order, repeats, empty and missing values")              \
	X(large, "an event of 256 KiB arrives whole")                                    \
	X(limits, "a batch honours events_max and bytes_max")                            \
	X(one_over, "one event may exceed bytes_max, alone")                             \
	X(waiting, "a poll waits for what is published meanwhile, no longer than asked") \
	X(offsets, "a log begins, ends, and was somewhere at a time")                    \
	X(offsets_refused, "offsets of what is missing are fatal")                       \
	X(order, "20000 events in one call arrive in order, each once")                  \
	X(many_small, "many calls of few events: offsets go on by one")                  \
	X(mixed, "events of all sizes in one call arrive as they were")                  \
	X(cut_short, "a call cut short says what became of each; order survives it")     \
	X(writers, "several writers of one partition never share an offset")             \
	X(read_while_written, "who reads while others write sees each event once")       \
	X(times, "times of a log never step back, and lead to the first that has them")  \
	X(start_inside, "reading begins exactly where it was told")                      \
	X(rewind, "after a rewind nothing fetched before it is delivered")               \
	X(rewind_some, "a rewind of one partition leaves the others where they were")    \
	X(two_topics, "partitions of two topics are read at once")                       \
	X(start_refused, "a start at no place is fatal")                                 \
	X(stop, "nothing is delivered after stop, and start goes on")                    \
	X(past_end, "a position past the end is out of range, once per start")           \
	X(cut_off, "a position that was cut off is out of range, others go on")          \
	X(trim, "what lies before a new start is cut off, once")                         \
	X(trim_refused, "a trim past the end or of what is missing is fatal")            \
	X(seal, "a sealed topic takes nothing of anybody, and is read")                  \
	X(seal_order, "behind what a seal refused nothing is in the log")                \
	X(seal_refused, "a topic that is missing cannot be sealed")                      \
	X(timestamp, "a copy keeps its time, where the broker takes one")                \
	X(group_one, "one member has all partitions, from the caller's positions")       \
	X(group_handover, "two members share, and one gets all back")                    \
	X(group_asked, "what is asked back delivers nothing, and waits for stop")        \
	X(group_close, "closing gives partitions up like leaving")                       \
	X(group_busy, "a member that is busy for a while keeps its share")               \
	X(group_many, "a member too many is assigned nothing")                           \
	X(group_refused, "joining twice or reading what is not assigned is fatal")       \
	X(group_note, "what was noted decides nothing")                                  \
	X(idle, "stop, leave and close are idempotent, and nothing started is nothing")

#define X(name, sentence) void bus_adapter_case_##name(void);
BUS_ADAPTER_CASE_LIST(X)
#undef X

#define BUS_ADAPTER_ROW(name, sentence) { sentence, bus_adapter_case_##name },
#define BUS_ADAPTER_CASES BUS_ADAPTER_CASE_LIST(BUS_ADAPTER_ROW)

/* ---- what cases are made of (suite_tools.c) ---- */

#define BUS_SUITE_MS 30000 /* nothing in here takes longer on a busy machine */

/* Assigns status to the call's last answer, which was asked again while it was RETRY. */
#define BUS_SUITE_TRY(status, err, call)                                                 \
	do {                                                                             \
		int64_t try_until = bus_suite_now() + BUS_SUITE_MS;                      \
		do {                                                                     \
			bus_error_reset(&(err));                                         \
			(status) = (call);                                               \
		} while ((status) == BUS_E_RETRY && bus_suite_now() < try_until);        \
	} while (0)

/* The call must be OK in the end, RETRY is asked again; prints why not. */
#define BUS_SUITE_OK(call)                                                               \
	do {                                                                             \
		bus_error err = BUS_ERROR_INIT;                                          \
		bus_status ok_status;                                                    \
		BUS_SUITE_TRY(ok_status, err, call);                                     \
		if (ok_status != BUS_OK) {                                               \
			fprintf(stderr, "\n%s:%d: %s: %s\n", __FILE__, __LINE__,         \
				bus_status_name(ok_status), err.text);                   \
		}                                                                        \
		CU_ASSERT_EQUAL_FATAL(ok_status, BUS_OK);                                \
	} while (0)

/* The call must be refused, with a sentence that names `what`. */
#define BUS_SUITE_FATAL(call, what)                                                      \
	do {                                                                             \
		bus_error err = BUS_ERROR_INIT;                                          \
		bus_status fatal_status;                                                 \
		BUS_SUITE_TRY(fatal_status, err, call);                                  \
		CU_ASSERT_EQUAL(fatal_status, BUS_E_FATAL);                              \
		CU_ASSERT_EQUAL(err.status, BUS_E_FATAL);                                \
		if (strstr(err.text, what) == NULL) {                                    \
			fprintf(stderr, "\n%s:%d: said: %s\n", __FILE__, __LINE__,       \
				err.text);                                               \
		}                                                                        \
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, what));                          \
	} while (0)

int64_t bus_suite_now(void); /* milliseconds of the machine's steady clock */

bus_adapter *bus_suite_open(void);
/* A new name; valid until the end of the process. */
const char *bus_suite_name(const char *stem);
/* A new topic. */
const char *bus_suite_topic(bus_adapter *adapter, int32_t partitions);

/* Appends one record; the value is text. Returns its offset. */
int64_t bus_suite_put(bus_adapter *adapter, const char *topic, int32_t partition,
		      const char *value);
/* Appends values "<first>", "<first+1>" ... to one partition. */
void bus_suite_fill(bus_adapter *adapter, const char *topic, int32_t partition, int first,
		    int count);

/* A caller that obeys the contract: it keeps positions, answers every poll, and checks that
 * the first delivery after a start is at its offset and the next ones follow it. */
typedef struct bus_suite_reader {
	bus_adapter *adapter;
	const char *topic;
	int64_t next[BUS_PARTITIONS_MAX];
	bool mine[BUS_PARTITIONS_MAX]; /* started */
	int delivered[BUS_PARTITIONS_MAX];
	int assigned;    /* partitions of the last ASSIGNED, -1: none */
	int assignments; /* ASSIGNED so far */
	int revocations; /* REVOKED and LOST so far */
	int holds;       /* OUT_OF_RANGE so far */
	int damages;     /* DAMAGED so far */
	bus_position hold;
	int wrong; /* deliveries that broke the contract */
} bus_suite_reader;

void bus_suite_reader_init(bus_suite_reader *reader, bus_adapter *adapter,
			   const char *topic);
/* Starts partitions 0 .. count - 1 at reader->next. */
void bus_suite_reader_start(bus_suite_reader *reader, int32_t count);
/* One poll, answered. Returns how many deliveries it had. */
int bus_suite_reader_poll(bus_suite_reader *reader, int timeout_ms);
/* Polls until all deliveries of partitions 0 .. count - 1 reach `until`; false: in vain. */
bool bus_suite_reader_until(bus_suite_reader *reader, int32_t count, int64_t until);
int bus_suite_reader_total(const bus_suite_reader *reader);

/* The next delivery of an adapter that is reading, or NULL when there is none in time;
 * borrowed until the next call. */
const bus_delivery *bus_suite_next(bus_adapter *adapter);

#endif
