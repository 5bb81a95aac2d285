/*
 * adapter_suite_busy.c - the contract of adapter.h as cases: several at once, much and little
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/arena.h"
#include "tests/conformance/adapter_suite.h"

#define SMALL_CALLS 400
#define MIX_EVENTS 300
#define MIX_PARTITIONS 3
#define MIX_VALUE_MAX 200000u
#define CUT_EVENTS 3000
#define WRITERS 4
#define WRITER_EVENTS 1500
#define TIMES 300

/* A small generator, so that a failure can be run again. */
static uint32_t
random_below(uint32_t *state, uint32_t limit)
{
	*state = *state * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)*state * limit >> 32);
}

static int64_t
offset_of(bus_adapter *adapter, const char *topic, bus_offset_at at, int64_t time_ms)
{
	int64_t offset = -1;

	BUS_SUITE_OK(bus_adapter_offset(adapter, topic, 0, at, time_ms, 10000, &offset,
					&err));
	return offset;
}

/* ---- much and little ---- */

void
bus_adapter_case_many_small(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);
	bus_suite_reader reader;
	int64_t next = 0;

	for (int call = 0; call < SMALL_CALLS; call++) {
		bus_publication batch[3] = { 0 };
		size_t count = 1 + (size_t)call % 3;

		for (size_t i = 0; i < count; i++) {
			batch[i].topic = topic;
			batch[i].record.value = BUS_STR("v");
		}
		BUS_SUITE_OK(bus_adapter_publish(adapter, batch, count, 10000, &err));
		for (size_t i = 0; i < count; i++) {
			CU_ASSERT_EQUAL(batch[i].outcome, BUS_OUTCOME_DURABLE);
			CU_ASSERT_EQUAL(batch[i].ret_offset, next);
			next++;
		}
	}
	/* and of nothing there is nothing to be said */
	BUS_SUITE_OK(bus_adapter_publish(adapter, NULL, 0, 10000, &err));
	bus_suite_reader_init(&reader, adapter, topic);
	bus_suite_reader_start(&reader, 1);
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, next));
	CU_ASSERT_EQUAL(reader.wrong, 0);
	bus_adapter_close(adapter);
}

/* Sizes of several orders in one call, and all of it arrives as it was. */
void
bus_adapter_case_mixed(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, MIX_PARTITIONS);
	bus_publication *batch = calloc(MIX_EVENTS, sizeof(*batch));
	char *bytes = malloc(2 * MIX_VALUE_MAX);
	uint32_t seed = 7;
	bus_position starts[MIX_PARTITIONS];

	for (uint32_t i = 0; i < 2 * MIX_VALUE_MAX; i++) {
		bytes[i] = (char)(i * 2654435761u >> 11);
	}
	for (int i = 0; i < MIX_EVENTS; i++) {
		uint32_t limit = i % 10 == 0 ? MIX_VALUE_MAX : i % 3 == 0 ? 3000 : 20;

		batch[i].topic = topic;
		batch[i].partition = (int32_t)random_below(&seed, MIX_PARTITIONS);
		batch[i].record.value = (bus_str){
			bytes + random_below(&seed, MIX_VALUE_MAX),
			random_below(&seed, limit),
		};
	}
	BUS_SUITE_OK(bus_adapter_publish(adapter, batch, MIX_EVENTS, BUS_SUITE_MS, &err));
	for (int p = 0; p < MIX_PARTITIONS; p++) {
		starts[p] = (bus_position){ topic, p, 0 };
	}
	BUS_SUITE_OK(bus_adapter_start(adapter, starts, MIX_PARTITIONS, &err));
	int arrived[MIX_PARTITIONS] = { 0 }; /* place in batch, by partition */

	for (int n = 0; n < MIX_EVENTS; n++) {
		const bus_delivery *delivery = bus_suite_next(adapter);
		int *at = &arrived[delivery->partition];

		while (*at < MIX_EVENTS && batch[*at].partition != delivery->partition) {
			++*at;
		}
		CU_ASSERT_FATAL(*at < MIX_EVENTS);
		CU_ASSERT_EQUAL(delivery->offset, batch[*at].ret_offset);
		CU_ASSERT_TRUE(bus_str_eq(delivery->record.value,
					  batch[*at].record.value));
		++*at;
	}
	free(bytes);
	free(batch);
	bus_adapter_close(adapter);
}

/* ---- a publisher whose time is up in the middle ---- */

/* What one call said, against what it may say. Returns how many are durable from the first
 * on, which is where the next call begins. */
static int
check_outcomes(const bus_publication *batch, int count, bus_status status)
{
	int outcomes[4] = { 0 };
	int durable = 0;
	bool missing = false;

	for (int i = 0; i < count; i++) {
		outcomes[batch[i].outcome]++;
		durable += durable == i && batch[i].outcome == BUS_OUTCOME_DURABLE;
		/* behind what is not there, nothing is */
		CU_ASSERT_FALSE(missing && batch[i].outcome == BUS_OUTCOME_DURABLE);
		missing = missing || batch[i].outcome == BUS_OUTCOME_FAILED;
	}
	CU_ASSERT_EQUAL(outcomes[BUS_OUTCOME_NONE], 0);
	CU_ASSERT_EQUAL(status, outcomes[BUS_OUTCOME_UNCERTAIN] > 0 ? BUS_E_UNKNOWN :
				outcomes[BUS_OUTCOME_FAILED] > 0    ? BUS_E_RETRY :
								      BUS_OK);
	return durable;
}

void
bus_adapter_case_cut_short(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);
	bus_publication *batch = calloc(CUT_EVENTS, sizeof(*batch));
	bus_arena *arena = bus_arena_create(1 << 16);
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;
	int done = 0;

	for (int i = 0; i < CUT_EVENTS; i++) {
		batch[i].topic = topic;
		batch[i].record.value = bus_arena_printf(arena, "%d%1000d", i, i);
	}
	for (int call = 0; done < CUT_EVENTS && bus_suite_now() < deadline; call++) {
		bus_error err = BUS_ERROR_INIT;
		/* too little at first, in the end enough */
		int timeout_ms = call < 20 ? call : 5000;
		bus_status status = bus_adapter_publish(adapter, &batch[done],
							(size_t)(CUT_EVENTS - done),
							timeout_ms, &err);

		CU_ASSERT_EQUAL(status, err.status);
		done += check_outcomes(&batch[done], CUT_EVENTS - done, status);
	}
	CU_ASSERT_EQUAL_FATAL(done, CUT_EVENTS);
	int64_t end = offset_of(adapter, topic, BUS_OFFSET_LATEST, 0);
	int next = 0;

	/* sent again in order: repeats there may be, gaps and swaps there are none */
	BUS_SUITE_OK(bus_adapter_start(adapter, &(bus_position){ topic, 0, 0 }, 1, &err));
	for (int64_t at = 0; at < end; at++) {
		const bus_delivery *delivery = bus_suite_next(adapter);
		int value = atoi(delivery->record.value.data);

		CU_ASSERT_FATAL(value <= next);
		if (value == next) {
			next++;
		}
		if (batch[value].ret_offset == at) {
			CU_ASSERT_TRUE(bus_str_eq(delivery->record.value,
						  batch[value].record.value));
		}
	}
	CU_ASSERT_EQUAL(next, CUT_EVENTS);
	bus_arena_destroy(arena);
	free(batch);
	bus_adapter_close(adapter);
}

/* ---- several at once ---- */

/* CUnit's counters are one thread's: a writer counts, and is asked when it has ended. */
typedef struct writer {
	pthread_t thread;
	bus_adapter *adapter;
	const char *topic;
	int64_t offsets[WRITER_EVENTS];
	int wrong;
} writer;

static void *
write_all(void *argument)
{
	writer *self = argument;

	for (int done = 0; done < WRITER_EVENTS;) {
		bus_publication batch[30] = { 0 };
		bus_error err = BUS_ERROR_INIT;
		int count = 1 + done % 30;

		if (count > WRITER_EVENTS - done) {
			count = WRITER_EVENTS - done;
		}
		for (int i = 0; i < count; i++) {
			batch[i].topic = self->topic;
			batch[i].record.value = BUS_STR("value");
		}
		if (bus_adapter_publish(self->adapter, batch, (size_t)count, BUS_SUITE_MS,
					&err) != BUS_OK) {
			self->wrong++;
			return NULL;
		}
		for (int i = 0; i < count; i++) {
			int64_t before = done + i > 0 ? self->offsets[done + i - 1] : -1;

			self->wrong += batch[i].ret_offset <= before;
			self->offsets[done + i] = batch[i].ret_offset;
		}
		done += count;
	}
	return NULL;
}

static void
writers_begin(writer *writers, const char *topic)
{
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (writer){ .adapter = bus_suite_open(), .topic = topic };
		CU_ASSERT_EQUAL_FATAL(pthread_create(&writers[i].thread, NULL, write_all,
						     &writers[i]),
				      0);
	}
}

static void
writers_end(writer *writers)
{
	bool *seen = calloc(WRITERS * WRITER_EVENTS, sizeof(*seen));
	int shared = 0;

	for (int i = 0; i < WRITERS; i++) {
		pthread_join(writers[i].thread, NULL);
		CU_ASSERT_EQUAL(writers[i].wrong, 0);
		bus_adapter_close(writers[i].adapter);
		for (int n = 0; n < WRITER_EVENTS && writers[i].wrong == 0; n++) {
			int64_t offset = writers[i].offsets[n];

			CU_ASSERT_FATAL(offset >= 0 && offset < WRITERS * WRITER_EVENTS);
			shared += seen[offset];
			seen[offset] = true;
		}
	}
	CU_ASSERT_EQUAL(shared, 0);
	free(seen);
}

void
bus_adapter_case_writers(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);
	writer *writers = calloc(WRITERS, sizeof(*writers));

	writers_begin(writers, topic);
	writers_end(writers);
	CU_ASSERT_EQUAL(offset_of(adapter, topic, BUS_OFFSET_LATEST, 0),
			WRITERS * WRITER_EVENTS);
	free(writers);
	bus_adapter_close(adapter);
}

void
bus_adapter_case_read_while_written(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);
	writer *writers = calloc(WRITERS, sizeof(*writers));
	bus_suite_reader reader;

	bus_suite_reader_init(&reader, adapter, topic);
	bus_suite_reader_start(&reader, 1);
	writers_begin(writers, topic);
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1,
					      WRITERS * (int64_t)WRITER_EVENTS));
	writers_end(writers);
	CU_ASSERT_EQUAL(bus_suite_reader_poll(&reader, 200), 0);
	CU_ASSERT_EQUAL(reader.wrong + reader.holds, 0);
	CU_ASSERT_EQUAL(reader.delivered[0], WRITERS * WRITER_EVENTS);
	free(writers);
	bus_adapter_close(adapter);
}

/* ---- time ---- */

/* The times of a log that two adapters wrote, in turn and in bursts. */
static void
fill_times(const char *topic)
{
	bus_adapter *adapters[2] = { bus_suite_open(), bus_suite_open() };

	for (int i = 0; i < TIMES; i += 10) {
		bus_suite_fill(adapters[i / 10 % 2], topic, 0, i, i % 20 == 0 ? 9 : 11);
		if (i % 50 == 0) {
			usleep(3000);
		}
	}
	bus_adapter_close(adapters[0]);
	bus_adapter_close(adapters[1]);
}

void
bus_adapter_case_times(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);
	int64_t times[TIMES];
	int equal = 0;

	fill_times(topic);
	BUS_SUITE_OK(bus_adapter_start(adapter, &(bus_position){ topic, 0, 0 }, 1, &err));
	for (int i = 0; i < TIMES; i++) {
		times[i] = bus_suite_next(adapter)->timestamp_ms;
		CU_ASSERT(i == 0 || times[i] >= times[i - 1]);
		equal += i > 0 && times[i] == times[i - 1];
	}
	CU_ASSERT(equal > TIMES / 2);
	/* the first of those that share a time, whichever is asked for */
	for (int i = 0; i < TIMES; i++) {
		int first = i;

		if (i > 0 && times[i] == times[i - 1]) {
			continue;
		}
		CU_ASSERT_EQUAL(offset_of(adapter, topic, BUS_OFFSET_TIME, times[i]), i);
		while (first < TIMES && times[first] == times[i]) {
			first++;
		}
		CU_ASSERT_EQUAL(offset_of(adapter, topic, BUS_OFFSET_TIME, times[i] + 1),
				first);
	}
	bus_adapter_close(adapter);
}

/* ---- a member whose owner is busy ---- */

void
bus_adapter_case_group_busy(void)
{
	bus_adapter *writer_adapter = bus_suite_open();
	const char *topic = bus_suite_topic(writer_adapter, 2);
	const char *group = bus_suite_name("group");
	bus_suite_reader readers[2];
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;

	for (int i = 0; i < 2; i++) {
		bus_suite_reader_init(&readers[i], bus_suite_open(), topic);
		BUS_SUITE_OK(bus_adapter_join(readers[i].adapter, group, topic, &err));
	}
	while ((readers[0].assigned != 1 || readers[1].assigned != 1) &&
	       bus_suite_now() < deadline) {
		(void)bus_suite_reader_poll(&readers[0], 20);
		(void)bus_suite_reader_poll(&readers[1], 20);
	}
	CU_ASSERT_FATAL(readers[0].assigned == 1 && readers[1].assigned == 1);
	int revocations = readers[0].revocations + readers[1].revocations;
	int mine = readers[0].mine[0] ? 0 : 1;
	int64_t until = bus_suite_now() + 2500;

	/* more than a third of the session, in which the other one hears of nothing */
	while (bus_suite_now() < until) {
		(void)bus_suite_reader_poll(&readers[1], 50);
	}
	bus_suite_put(writer_adapter, topic, mine, "v");
	while (readers[0].next[mine] < 1 && bus_suite_now() < deadline) {
		(void)bus_suite_reader_poll(&readers[0], 50);
	}
	CU_ASSERT_EQUAL(readers[0].next[mine], 1);
	CU_ASSERT_EQUAL(readers[0].revocations + readers[1].revocations, revocations);
	bus_adapter_close(readers[0].adapter);
	bus_adapter_close(readers[1].adapter);
	bus_adapter_close(writer_adapter);
}
