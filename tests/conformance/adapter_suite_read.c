/*
 * adapter_suite_read.c - the contract of adapter.h as cases: polling, positions, groups
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/arena.h"
#include "tests/conformance/adapter_suite.h"

#define ORDER_EVENTS 20000
#define ORDER_PARTITIONS 4
#define REWINDS 150

/* One poll that must be OK; RETRY is asked again. */
static bus_poll
poll_with(bus_adapter *adapter, size_t events_max, size_t bytes_max, int timeout_ms)
{
	const bus_poll_limit limit = { events_max, bytes_max, timeout_ms };
	bus_poll poll = { 0 };

	BUS_SUITE_OK(bus_adapter_poll(adapter, &limit, &poll, &err));
	return poll;
}

/* ---- batches and waiting ---- */

void
bus_adapter_case_limits(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);
	const bus_position start = { topic, 0, 0 };
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;
	int64_t next = 0;
	size_t most = 0;

	bus_suite_fill(adapter, topic, 0, 10000, 200);
	BUS_SUITE_OK(bus_adapter_start(adapter, &start, 1, &err));
	for (size_t turn = 0; next < 100 && bus_suite_now() < deadline; turn++) {
		/* what was kept back for a large batch obeys the limit of a small one */
		size_t events_max = turn % 2 == 0 ? 20 : 7;
		bus_poll poll = poll_with(adapter, events_max, 1u << 20, 200);

		CU_ASSERT(poll.kind == BUS_POLL_DELIVERIES && poll.count <= events_max);
		for (size_t i = 0; i < poll.count; i++) {
			CU_ASSERT_EQUAL(poll.deliveries[i].offset, next);
			next++;
		}
		most = poll.count > most ? poll.count : most;
	}
	CU_ASSERT(most > 7);
	/* "key" and five digits: 8 bytes each, so three fit into 30 */
	for (most = 0; next < 200 && bus_suite_now() < deadline;) {
		bus_poll poll = poll_with(adapter, 100, 30, 200);

		CU_ASSERT(poll.kind == BUS_POLL_DELIVERIES && poll.count <= 3);
		for (size_t i = 0; i < poll.count; i++) {
			CU_ASSERT_EQUAL(poll.deliveries[i].offset, next);
			next++;
		}
		most = poll.count > most ? poll.count : most;
	}
	CU_ASSERT_EQUAL(most, 3);
	CU_ASSERT_EQUAL(next, 200);
	bus_adapter_close(adapter);
}

void
bus_adapter_case_one_over(void)
{
	static const char value[1000];
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);
	const bus_position start = { topic, 0, 0 };
	const bus_header header = { BUS_STR("h"), { value, 90 } };
	bus_publication batch[3] = { 0 };
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;

	for (int i = 0; i < 3; i++) {
		batch[i].topic = topic;
		batch[i].record.value = (bus_str){ value, i == 1 ? 1000 : 9 };
		batch[i].record.headers = &header;
		batch[i].record.header_count = i == 2 ? 1 : 0;
	}
	BUS_SUITE_OK(bus_adapter_publish(adapter, batch, 3, 10000, &err));
	BUS_SUITE_OK(bus_adapter_start(adapter, &start, 1, &err));
	/* 9 bytes, 1000 bytes, 9 and a header of 91: each in a batch of its own */
	for (int64_t next = 0; next < 3 && bus_suite_now() < deadline;) {
		bus_poll poll = poll_with(adapter, 100, 99, 200);

		CU_ASSERT(poll.count <= 1);
		CU_ASSERT(poll.count == 0 || poll.deliveries[0].offset == next);
		next += (int64_t)poll.count;
	}
	CU_ASSERT(bus_suite_now() < deadline);
	bus_adapter_close(adapter);
}

void
bus_adapter_case_waiting(void)
{
	bus_adapter *adapter = bus_suite_open();
	bus_adapter *other = bus_suite_open();
	const char *topic = bus_suite_topic(other, 1);
	bus_suite_reader reader;

	bus_suite_put(other, topic, 0, "0");
	bus_suite_reader_init(&reader, adapter, topic);
	bus_suite_reader_start(&reader, 1);
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, 1));
	int64_t begin = bus_suite_now();

	while (bus_suite_now() < begin + 50) {
		CU_ASSERT_EQUAL(bus_suite_reader_poll(&reader, 0), 0);
	}
	begin = bus_suite_now();
	CU_ASSERT_EQUAL(bus_suite_reader_poll(&reader, 300), 0);
	CU_ASSERT(bus_suite_now() < begin + 1500);
	bus_suite_put(other, topic, 0, "1");
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, 2));
	CU_ASSERT_EQUAL(reader.wrong, 0);
	bus_adapter_close(other);
	bus_adapter_close(adapter);
}

/* ---- order and positions ---- */

void
bus_adapter_case_order(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, ORDER_PARTITIONS);
	bus_publication *batch = calloc(ORDER_EVENTS, sizeof(*batch));
	bus_arena *arena = bus_arena_create(1 << 16);
	int64_t next[ORDER_PARTITIONS] = { 0 };
	bus_suite_reader reader;

	for (int i = 0; i < ORDER_EVENTS; i++) {
		batch[i].topic = topic;
		batch[i].partition = BUS_PARTITION_HOME;
		batch[i].record.key = bus_arena_printf(arena, "tenant/app-%d", i % 97);
		batch[i].record.value = bus_arena_printf(arena, "%d", i);
	}
	BUS_SUITE_OK(bus_adapter_publish(adapter, batch, ORDER_EVENTS, BUS_SUITE_MS,
					 &err));
	for (int i = 0; i < ORDER_EVENTS; i++) {
		CU_ASSERT_EQUAL_FATAL(batch[i].outcome, BUS_OUTCOME_DURABLE);
		CU_ASSERT_EQUAL(batch[i].ret_offset, next[batch[i].ret_partition]);
		next[batch[i].ret_partition] = batch[i].ret_offset + 1;
	}
	bus_suite_reader_init(&reader, adapter, topic);
	bus_suite_reader_start(&reader, ORDER_PARTITIONS);
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;

	while (bus_suite_reader_total(&reader) < ORDER_EVENTS &&
	       bus_suite_now() < deadline) {
		(void)bus_suite_reader_poll(&reader, 100);
	}
	for (int p = 0; p < ORDER_PARTITIONS; p++) {
		CU_ASSERT_EQUAL(reader.next[p], next[p]);
	}
	CU_ASSERT_EQUAL(reader.wrong, 0);
	bus_arena_destroy(arena);
	free(batch);
	bus_adapter_close(adapter);
}

void
bus_adapter_case_start_inside(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);
	const bus_position start = { topic, 0, 4711 };

	bus_suite_fill(adapter, topic, 0, 0, 5000);
	BUS_SUITE_OK(bus_adapter_start(adapter, &start, 1, &err));
	const bus_delivery *delivery = bus_suite_next(adapter);

	CU_ASSERT_EQUAL(delivery->offset, 4711);
	CU_ASSERT_EQUAL(delivery->partition, 0);
	CU_ASSERT_STRING_EQUAL(delivery->topic, topic);
	CU_ASSERT_TRUE(bus_str_is(delivery->record.key, "key"));
	CU_ASSERT_TRUE(bus_str_is(delivery->record.value, "4711"));
	CU_ASSERT_EQUAL(bus_suite_next(adapter)->offset, 4712);
	bus_adapter_close(adapter);
}

/* A small generator, so that a failure can be run again. */
static uint32_t
random_below(uint32_t *state, uint32_t limit)
{
	*state = *state * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)*state * limit >> 32);
}

void
bus_adapter_case_rewind(void)
{
	bus_adapter *adapter = bus_suite_open();
	bus_adapter *writer = bus_suite_open();
	const char *topic = bus_suite_topic(writer, 4);
	bus_suite_reader reader;
	uint32_t seed = 42;

	for (int p = 0; p < 4; p++) {
		bus_suite_fill(writer, topic, p, 0, 20000);
	}
	bus_suite_reader_init(&reader, adapter, topic);
	bus_suite_reader_start(&reader, 4);
	for (int i = 0; i < REWINDS; i++) {
		uint32_t polls = random_below(&seed, 6);
		uint32_t count = 1 + random_below(&seed, 4);

		/* in the middle of what is being fetched, forth and back; the reader
		 * expects exactly the offset it starts from */
		for (uint32_t n = 0; n < polls; n++) {
			(void)bus_suite_reader_poll(&reader, (int)random_below(&seed, 20));
		}
		for (uint32_t p = 0; p < count; p++) {
			reader.next[p] = random_below(&seed, 20000);
		}
		if (i % 7 == 0) {
			bus_adapter_stop(adapter);
			count = 4;
		}
		bus_suite_reader_start(&reader, (int32_t)count);
		if (i % 10 == 0) {
			bus_suite_put(writer, topic, (int32_t)random_below(&seed, 4),
				      "new");
		}
	}
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 4, 20000));
	CU_ASSERT_EQUAL(reader.wrong, 0);
	CU_ASSERT_EQUAL(reader.holds, 0);
	bus_adapter_close(writer);
	bus_adapter_close(adapter);
}

void
bus_adapter_case_rewind_some(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 2);
	bus_suite_reader reader;
	bus_position back = { topic, 0, 17 };

	bus_suite_fill(adapter, topic, 0, 0, 3000);
	bus_suite_fill(adapter, topic, 1, 0, 3000);
	bus_suite_reader_init(&reader, adapter, topic);
	bus_suite_reader_start(&reader, 2);
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 2, 500));
	int64_t before = reader.next[1];

	reader.next[0] = back.offset;
	BUS_SUITE_OK(bus_adapter_start(adapter, &back, 1, &err));
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 2, 3000));
	CU_ASSERT_EQUAL(reader.wrong, 0);
	CU_ASSERT_EQUAL(reader.delivered[1], 3000);
	CU_ASSERT(reader.delivered[0] >= 500 + 3000 - 17 && before >= 500);
	bus_adapter_close(adapter);
}

void
bus_adapter_case_two_topics(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topics[2] = { bus_suite_topic(adapter, 1),
				  bus_suite_topic(adapter, 1) };
	const bus_position starts[2] = { { topics[0], 0, 3 }, { topics[1], 0, 5 } };
	int64_t next[2] = { 3, 5 };
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;

	bus_suite_fill(adapter, topics[0], 0, 0, 10);
	bus_suite_fill(adapter, topics[1], 0, 0, 10);
	BUS_SUITE_OK(bus_adapter_start(adapter, starts, 2, &err));
	while ((next[0] < 10 || next[1] < 10) && bus_suite_now() < deadline) {
		bus_poll poll = poll_with(adapter, 3, 1 << 20, 200);

		for (size_t i = 0; i < poll.count; i++) {
			int of = strcmp(poll.deliveries[i].topic, topics[1]) == 0 ? 1 : 0;

			CU_ASSERT_STRING_EQUAL(poll.deliveries[i].topic, topics[of]);
			CU_ASSERT_EQUAL(poll.deliveries[i].offset, next[of]);
			next[of]++;
		}
	}
	CU_ASSERT(next[0] == 10 && next[1] == 10);
	bus_adapter_close(adapter);
}

void
bus_adapter_case_start_refused(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);
	const bus_position places[] = {
		{ topic, -1, 0 },
		{ topic, 0, -1 },
		{ topic, BUS_PARTITIONS_MAX, 0 },
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		BUS_SUITE_FATAL(bus_adapter_start(adapter, &places[i], 1, &err), topic);
	}
	bus_adapter_close(adapter);
}

void
bus_adapter_case_stop(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);
	bus_suite_reader reader;

	bus_suite_fill(adapter, topic, 0, 0, 20000);
	bus_suite_reader_init(&reader, adapter, topic);
	bus_suite_reader_start(&reader, 1);
	for (int round = 0; round < 8; round++) {
		CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, reader.next[0] + 1));
		bus_adapter_stop(adapter);
		for (int i = 0; i < 4; i++) {
			CU_ASSERT_EQUAL(bus_suite_reader_poll(&reader, 20), 0);
		}
		bus_suite_reader_start(&reader, 1);
	}
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, 20000));
	CU_ASSERT_EQUAL(reader.wrong, 0);
	CU_ASSERT_EQUAL(reader.delivered[0], 20000);
	bus_adapter_close(adapter);
}

/* ---- positions that are not in the log ---- */

static bool
until_held(bus_suite_reader *reader, int holds)
{
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;

	while (reader->holds < holds && bus_suite_now() < deadline) {
		(void)bus_suite_reader_poll(reader, 100);
	}
	return reader->holds == holds;
}

void
bus_adapter_case_past_end(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 2);
	bus_suite_reader reader;

	bus_suite_fill(adapter, topic, 0, 0, 10);
	bus_suite_fill(adapter, topic, 1, 0, 10);
	bus_suite_reader_init(&reader, adapter, topic);
	for (int start = 1; start <= 2; start++) {
		reader.next[0] = 11;
		bus_suite_reader_start(&reader, 1);
		CU_ASSERT_TRUE_FATAL(until_held(&reader, start));
		CU_ASSERT_STRING_EQUAL(reader.hold.topic, topic);
		CU_ASSERT_EQUAL(reader.hold.partition, 0);
		CU_ASSERT_EQUAL(reader.hold.offset, 11);
		/* not even when the log has grown to there, and not a second time */
		bus_suite_fill(adapter, topic, 0, 10, start == 2 ? 10 : 0);
		for (int i = 0; i < 8; i++) {
			CU_ASSERT_EQUAL(bus_suite_reader_poll(&reader, 50), 0);
		}
		CU_ASSERT_EQUAL(reader.holds, start);
	}
	reader.next[0] = 11;
	bus_suite_reader_start(&reader, 2);
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, 20));
	/* the end itself is a position: of the next record */
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 2, 10));
	bus_suite_reader_start(&reader, 2);
	bus_suite_put(adapter, topic, 0, "20");
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, 21));
	CU_ASSERT_EQUAL(reader.holds, 2);
	CU_ASSERT_EQUAL(reader.wrong, 0);
	bus_adapter_close(adapter);
}

void
bus_adapter_case_cut_off(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 2);
	bus_suite_reader reader;

	bus_suite_fill(adapter, topic, 0, 0, 100);
	bus_suite_fill(adapter, topic, 1, 0, 100);
	bus_fixture.trim(topic, 0, 60);
	bus_suite_reader_init(&reader, adapter, topic);
	reader.next[0] = 59;
	bus_suite_reader_start(&reader, 2);
	CU_ASSERT_TRUE_FATAL(until_held(&reader, 1));
	CU_ASSERT_EQUAL(reader.hold.partition, 0);
	CU_ASSERT_EQUAL(reader.hold.offset, 59);
	while (reader.next[1] < 100 && bus_suite_reader_poll(&reader, 100) >= 0) {
	}
	CU_ASSERT_EQUAL(reader.delivered[0], 0);
	/* a rewind of the other one does not wake the one that is held */
	reader.next[1] = 50;
	BUS_SUITE_OK(bus_adapter_start(adapter, &(bus_position){ topic, 1, 50 }, 1, &err));
	while (reader.next[1] < 100 && bus_suite_reader_poll(&reader, 100) >= 0) {
	}
	for (int i = 0; i < 8; i++) {
		CU_ASSERT_EQUAL(bus_suite_reader_poll(&reader, 50), 0);
	}
	CU_ASSERT_EQUAL(reader.holds, 1);
	reader.next[0] = 60;
	BUS_SUITE_OK(bus_adapter_start(adapter, &(bus_position){ topic, 0, 60 }, 1, &err));
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, 100));
	CU_ASSERT_EQUAL(reader.delivered[0], 40);
	CU_ASSERT_EQUAL(reader.holds, 1);
	CU_ASSERT_EQUAL(reader.wrong, 0);
	bus_adapter_close(adapter);
}

/* ---- groups ---- */

static void
join(bus_suite_reader *reader, const char *group, const char *topic)
{
	bus_suite_reader_init(reader, bus_suite_open(), topic);
	BUS_SUITE_OK(bus_adapter_join(reader->adapter, group, topic, &err));
}

/* Polls all members until each has the number of partitions wanted of it. */
static bool
until_assigned(bus_suite_reader *readers, const int *wanted, int count)
{
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;

	while (bus_suite_now() < deadline) {
		bool settled = true;

		for (int i = 0; i < count; i++) {
			(void)bus_suite_reader_poll(&readers[i], 20);
		}
		for (int i = 0; i < count; i++) {
			settled = settled && readers[i].assigned == wanted[i];
		}
		if (settled) {
			return true;
		}
	}
	return false;
}

void
bus_adapter_case_group_one(void)
{
	bus_adapter *writer = bus_suite_open();
	const char *topic = bus_suite_topic(writer, 3);
	bus_suite_reader reader;

	for (int p = 0; p < 3; p++) {
		bus_suite_fill(writer, topic, p, 0, 300);
	}
	join(&reader, bus_suite_name("group"), topic);
	for (int p = 0; p < 3; p++) {
		reader.next[p] = 100 + p;
	}
	CU_ASSERT_TRUE(until_assigned(&reader, &(int){ 3 }, 1));
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 3, 300));
	CU_ASSERT_EQUAL(bus_suite_reader_total(&reader), 597);
	CU_ASSERT_EQUAL(reader.wrong, 0);
	bus_adapter_close(reader.adapter);
	bus_adapter_close(writer);
}

/* Both read on; partitions must be shared out between them, each to one. */
static void
check_shared(const bus_suite_reader *readers, int partitions)
{
	for (int p = 0; p < partitions; p++) {
		CU_ASSERT_NOT_EQUAL(readers[0].mine[p], readers[1].mine[p]);
	}
	CU_ASSERT_EQUAL(readers[0].wrong, 0);
	CU_ASSERT_EQUAL(readers[1].wrong, 0);
}

/* What one has read, the other goes on from: both have one mind, like one database. */
static void
share_positions(bus_suite_reader *readers, int partitions)
{
	for (int p = 0; p < partitions; p++) {
		int64_t most = readers[0].next[p] > readers[1].next[p] ?
				       readers[0].next[p] :
				       readers[1].next[p];

		for (int i = 0; i < 2; i++) {
			if (!readers[i].mine[p]) {
				readers[i].next[p] = most;
			}
		}
	}
}

static bool
both_until(bus_suite_reader *readers, int partitions, int64_t until)
{
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;
	bool done = false;

	while (!done && bus_suite_now() < deadline) {
		done = true;
		for (int i = 0; i < 2; i++) {
			if (readers[i].adapter != NULL) {
				(void)bus_suite_reader_poll(&readers[i], 20);
			}
			share_positions(readers, partitions);
		}
		for (int p = 0; p < partitions; p++) {
			done = done && readers[0].next[p] >= until &&
			       readers[1].next[p] >= until;
		}
	}
	return done;
}

void
bus_adapter_case_group_handover(void)
{
	bus_adapter *writer = bus_suite_open();
	const char *topic = bus_suite_topic(writer, 4);
	const char *group = bus_suite_name("group");
	bus_suite_reader readers[2];

	for (int p = 0; p < 4; p++) {
		bus_suite_fill(writer, topic, p, 0, 1000);
	}
	join(&readers[0], group, topic);
	CU_ASSERT_TRUE(until_assigned(readers, (int[]){ 4 }, 1));
	int revocations = readers[0].revocations;

	join(&readers[1], group, topic);
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;

	while ((readers[0].assigned != 2 || readers[1].assigned != 2) &&
	       bus_suite_now() < deadline) {
		(void)both_until(readers, 4, 0);
	}
	CU_ASSERT(readers[0].revocations > revocations);
	check_shared(readers, 4);
	CU_ASSERT_TRUE(both_until(readers, 4, 1000));
	for (int p = 0; p < 4; p++) {
		bus_suite_fill(writer, topic, p, 1000, 1000);
	}
	bus_adapter_leave(readers[1].adapter);
	bus_adapter_close(readers[1].adapter);
	readers[1].adapter = NULL;
	memset(readers[1].mine, 0, sizeof(readers[1].mine));
	CU_ASSERT_TRUE(both_until(readers, 4, 2000));
	CU_ASSERT_EQUAL(readers[0].assigned, 4);
	CU_ASSERT_EQUAL(readers[0].wrong + readers[1].wrong, 0);
	CU_ASSERT_EQUAL(bus_suite_reader_total(&readers[0]) +
				bus_suite_reader_total(&readers[1]),
			8000);
	bus_adapter_close(readers[0].adapter);
	bus_adapter_close(writer);
}

void
bus_adapter_case_group_asked(void)
{
	bus_adapter *writer = bus_suite_open();
	const char *topic = bus_suite_topic(writer, 2);
	const char *group = bus_suite_name("group");
	const bus_position start = { topic, 0, 0 };
	bus_suite_reader readers[2];
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;
	bus_poll poll = { 0 };

	for (int p = 0; p < 2; p++) {
		bus_suite_fill(writer, topic, p, 0, 20000);
	}
	join(&readers[0], group, topic);
	CU_ASSERT_TRUE(until_assigned(readers, (int[]){ 2 }, 1));
	join(&readers[1], group, topic);
	while (poll.kind != BUS_POLL_REVOKED && bus_suite_now() < deadline) {
		(void)bus_suite_reader_poll(&readers[1], 10);
		poll = poll_with(readers[0].adapter, 10, 1 << 20, 10);
	}
	CU_ASSERT_EQUAL_FATAL(poll.kind, BUS_POLL_REVOKED);
	CU_ASSERT_EQUAL(poll.partition_count, 2);
	/* while it drains: nothing comes, nothing may be started, the other one waits */
	BUS_SUITE_FATAL(bus_adapter_start(readers[0].adapter, &start, 1, &err),
			"not assigned");
	for (int i = 0; i < 10; i++) {
		poll = poll_with(readers[0].adapter, 10, 1 << 20, 10);
		CU_ASSERT(poll.kind == BUS_POLL_DELIVERIES && poll.count == 0);
		(void)bus_suite_reader_poll(&readers[1], 10);
	}
	CU_ASSERT_EQUAL(readers[1].assignments, 0);
	bus_adapter_stop(readers[0].adapter);
	CU_ASSERT_TRUE(until_assigned(readers, (int[]){ 1, 1 }, 2));
	bus_adapter_close(readers[0].adapter);
	bus_adapter_close(readers[1].adapter);
	bus_adapter_close(writer);
}

void
bus_adapter_case_group_close(void)
{
	bus_adapter *writer = bus_suite_open();
	const char *topic = bus_suite_topic(writer, 2);
	const char *group = bus_suite_name("group");
	bus_suite_reader readers[2];

	join(&readers[0], group, topic);
	CU_ASSERT_TRUE(until_assigned(readers, (int[]){ 2 }, 1));
	join(&readers[1], group, topic);
	CU_ASSERT_TRUE(until_assigned(readers, (int[]){ 1, 1 }, 2));
	int64_t begin = bus_suite_now();

	bus_adapter_close(readers[0].adapter);
	CU_ASSERT_TRUE(until_assigned(&readers[1], (int[]){ 2 }, 1));
	/* at once: not after the session of the one that left has run out */
	CU_ASSERT(bus_suite_now() < begin + 5000);
	bus_adapter_close(readers[1].adapter);
	bus_adapter_close(writer);
}

void
bus_adapter_case_group_many(void)
{
	bus_adapter *writer = bus_suite_open();
	const char *topic = bus_suite_topic(writer, 1);
	const char *group = bus_suite_name("group");
	bus_suite_reader readers[2];
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;

	bus_suite_fill(writer, topic, 0, 0, 100);
	join(&readers[0], group, topic);
	join(&readers[1], group, topic);
	while (readers[0].assigned + readers[1].assigned != 1 &&
	       bus_suite_now() < deadline) {
		(void)bus_suite_reader_poll(&readers[0], 20);
		(void)bus_suite_reader_poll(&readers[1], 20);
	}
	CU_ASSERT_EQUAL(readers[0].assigned + readers[1].assigned, 1);
	int has = readers[0].assigned == 1 ? 0 : 1;

	readers[0].next[0] = readers[1].next[0] = readers[has].next[0];
	CU_ASSERT_TRUE(both_until(readers, 1, 100));
	bus_adapter_close(readers[has].adapter);
	CU_ASSERT_TRUE(until_assigned(&readers[1 - has], (int[]){ 1 }, 1));
	CU_ASSERT_EQUAL(readers[0].wrong + readers[1].wrong, 0);
	bus_adapter_close(readers[1 - has].adapter);
	bus_adapter_close(writer);
}

void
bus_adapter_case_group_refused(void)
{
	bus_adapter *writer = bus_suite_open();
	const char *topic = bus_suite_topic(writer, 2);
	const char *group = bus_suite_name("group");
	const bus_position positions[] = { { topic, 0, 0 }, { topic, 5, 0 } };
	bus_suite_reader reader;

	join(&reader, group, topic);
	BUS_SUITE_FATAL(bus_adapter_start(reader.adapter, positions, 1, &err),
			"not assigned");
	CU_ASSERT_TRUE(until_assigned(&reader, &(int){ 2 }, 1));
	BUS_SUITE_FATAL(bus_adapter_join(reader.adapter, group, topic, &err), group);
	BUS_SUITE_FATAL(bus_adapter_start(reader.adapter, positions, 2, &err), topic);
	bus_adapter_close(reader.adapter);
	bus_adapter_close(writer);
}

void
bus_adapter_case_group_note(void)
{
	bus_adapter *writer = bus_suite_open();
	const char *topic = bus_suite_topic(writer, 1);
	const char *group = bus_suite_name("group");
	const bus_position noted = { topic, 0, 70 };
	bus_suite_reader reader;

	bus_adapter_note(writer, &noted, 1);
	bus_suite_fill(writer, topic, 0, 0, 100);
	for (int round = 0; round < 2; round++) {
		join(&reader, group, topic);
		reader.next[0] = 30;
		CU_ASSERT_TRUE(until_assigned(&reader, &(int){ 1 }, 1));
		CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, 100));
		CU_ASSERT_EQUAL(reader.delivered[0], 70);
		CU_ASSERT_EQUAL(reader.wrong, 0);
		bus_adapter_note(reader.adapter, &noted, 1);
		bus_adapter_note(reader.adapter, &noted, 0);
		bus_adapter_close(reader.adapter);
	}
	bus_adapter_close(writer);
}

void
bus_adapter_case_idle(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);
	bus_suite_reader reader;

	bus_adapter_close(NULL);
	bus_suite_put(adapter, topic, 0, "v");
	bus_adapter_stop(adapter);
	bus_adapter_stop(adapter);
	bus_adapter_leave(adapter);
	CU_ASSERT_EQUAL(poll_with(adapter, 10, 100, 10).count, 0);
	bus_suite_reader_init(&reader, adapter, topic);
	BUS_SUITE_OK(bus_adapter_join(adapter, bus_suite_name("group"), topic, &err));
	CU_ASSERT_TRUE(until_assigned(&reader, &(int){ 1 }, 1));
	bus_adapter_leave(adapter);
	bus_adapter_leave(adapter);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(poll_with(adapter, 10, 100, 10).count, 0);
	}
	/* and it can join again */
	reader.assigned = -1;
	BUS_SUITE_OK(bus_adapter_join(adapter, bus_suite_name("group"), topic, &err));
	CU_ASSERT_TRUE(until_assigned(&reader, &(int){ 1 }, 1));
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, 1));
	bus_adapter_stop(adapter);
	bus_adapter_close(adapter);
}
