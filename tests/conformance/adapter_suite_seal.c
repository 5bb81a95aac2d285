/*
 * adapter_suite_seal.c - the contract of adapter.h as cases: a log's start and end are cut off
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/arena.h"
#include "core/filler.h"
#include "tests/conformance/adapter_suite.h"

/* As large as the smallest event: a seal may let through what is none. */
#define EVENT "an event has some headers, and its data: never less than these bytes"

static int64_t
offset_of(bus_adapter *adapter, const char *topic, int32_t partition, bus_offset_at at)
{
	int64_t offset = -1;

	BUS_SUITE_OK(bus_adapter_offset(adapter, topic, partition, at, 0, 10000, &offset,
					&err));
	return offset;
}

static void
trim(bus_adapter *adapter, const char *topic, int32_t partition, int64_t new_start)
{
	BUS_SUITE_OK(bus_adapter_trim(adapter, topic, partition, new_start, 10000, &err));
}

static void
seal(bus_adapter *adapter, const char *topic, bool sealed)
{
	BUS_SUITE_OK(bus_adapter_seal(adapter, topic, sealed, 10000, &err));
}

void
bus_adapter_case_trim(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 2);
	bus_suite_reader reader;

	bus_suite_fill(adapter, topic, 0, 0, 100);
	bus_suite_fill(adapter, topic, 1, 0, 10);
	trim(adapter, topic, 0, 0);
	CU_ASSERT_EQUAL(offset_of(adapter, topic, 0, BUS_OFFSET_EARLIEST), 0);
	for (int again = 0; again < 2; again++) {
		trim(adapter, topic, 0, 40);
		CU_ASSERT_EQUAL(offset_of(adapter, topic, 0, BUS_OFFSET_EARLIEST), 40);
	}
	trim(adapter, topic, 0, 7);
	CU_ASSERT_EQUAL(offset_of(adapter, topic, 0, BUS_OFFSET_EARLIEST), 40);
	CU_ASSERT_EQUAL(offset_of(adapter, topic, 0, BUS_OFFSET_LATEST), 100);
	CU_ASSERT_EQUAL(offset_of(adapter, topic, 1, BUS_OFFSET_EARLIEST), 0);
	bus_suite_reader_init(&reader, adapter, topic);
	reader.next[0] = 40;
	bus_suite_reader_start(&reader, 1);
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, 100));
	CU_ASSERT_EQUAL(reader.wrong, 0);
	bus_adapter_stop(adapter);
	/* all of it: the log is empty and goes on where it was */
	trim(adapter, topic, 0, 100);
	CU_ASSERT_EQUAL(offset_of(adapter, topic, 0, BUS_OFFSET_EARLIEST), 100);
	CU_ASSERT_EQUAL(bus_suite_put(adapter, topic, 0, "next"), 100);
	bus_adapter_close(adapter);
}

void
bus_adapter_case_trim_refused(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);
	const char *missing = bus_suite_name("missing");

	bus_suite_fill(adapter, topic, 0, 0, 10);
	BUS_SUITE_FATAL(bus_adapter_trim(adapter, topic, 0, 11, 10000, &err), topic);
	BUS_SUITE_FATAL(bus_adapter_trim(adapter, topic, 0, -1, 10000, &err), topic);
	BUS_SUITE_FATAL(bus_adapter_trim(adapter, topic, 1, 0, 10000, &err), topic);
	BUS_SUITE_FATAL(bus_adapter_trim(adapter, missing, 0, 0, 10000, &err), missing);
	CU_ASSERT_EQUAL(offset_of(adapter, topic, 0, BUS_OFFSET_EARLIEST), 0);
	bus_adapter_close(adapter);
}

/* One publish of an event, whatever its answer. */
static bus_status
put_once(bus_adapter *adapter, const char *topic, int32_t partition,
	 bus_publication *ret_publication)
{
	bus_error err = BUS_ERROR_INIT;

	*ret_publication = (bus_publication){
		.topic = topic,
		.partition = partition,
		.record = { .key = BUS_STR("key"), .value = BUS_STR(EVENT) },
	};
	bus_status status = bus_adapter_publish(adapter, ret_publication, 1, 10000, &err);

	if (status != BUS_OK) {
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, topic));
	}
	return status;
}

/* Where the record at, or behind, this offset lies. */
static int64_t
last_offset(bus_adapter *adapter, const char *topic, int64_t from)
{
	const bus_position start = { topic, 0, from };

	BUS_SUITE_OK(bus_adapter_start(adapter, &start, 1, &err));
	int64_t offset = bus_suite_next(adapter)->offset;

	bus_adapter_stop(adapter);
	return offset;
}

void
bus_adapter_case_seal(void)
{
	bus_adapter *adapter = bus_suite_open();
	bus_adapter *other = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 2);
	const char *open = bus_suite_topic(adapter, 1);
	bus_publication publication;

	for (int32_t p = 0; p < 2; p++) {
		CU_ASSERT_EQUAL(put_once(adapter, topic, p, &publication), BUS_OK);
		CU_ASSERT_EQUAL(put_once(other, topic, p, &publication), BUS_OK);
	}
	for (int round = 0; round < 2; round++) {
		int64_t end = 0;

		seal(adapter, topic, true);
		seal(other, topic, true);
		end = offset_of(other, topic, 0, BUS_OFFSET_LATEST);
		CU_ASSERT_EQUAL(last_offset(other, topic, end - 1), end - 1);
		for (int32_t p = 0; p < 2; p++) {
			CU_ASSERT_EQUAL(put_once(adapter, topic, p, &publication),
					BUS_E_RETRY);
			CU_ASSERT_EQUAL(publication.outcome, BUS_OUTCOME_FAILED);
			CU_ASSERT_EQUAL(put_once(other, topic, p, &publication),
					BUS_E_RETRY);
			CU_ASSERT_EQUAL(publication.outcome, BUS_OUTCOME_FAILED);
		}
		CU_ASSERT_EQUAL(put_once(other, open, 0, &publication), BUS_OK);
		CU_ASSERT_EQUAL(offset_of(adapter, topic, 0, BUS_OFFSET_LATEST), end);
		/* who opens it need not be who sealed it */
		seal(other, topic, false);
		seal(adapter, topic, false);
		BUS_SUITE_OK(put_once(adapter, topic, 0, &publication));
		CU_ASSERT_EQUAL(publication.ret_offset, end);
	}
	bus_adapter_close(other);
	bus_adapter_close(adapter);
}

typedef struct writing {
	const char *topic;
	atomic_bool stop;
	_Atomic int64_t refused; /* publications, so far */
	_Atomic int64_t durable;
} writing;

#define WRITING_BATCH 3000

/* Writes numbers in order, each again until it is durable, as adapter.h asks for. */
static void *
write_on(void *ctx)
{
	writing *self = ctx;
	bus_adapter *adapter = bus_suite_open();
	bus_publication *batch = calloc(WRITING_BATCH, sizeof(*batch));
	bus_arena *arena = bus_arena_create(1 << 20);
	int64_t next = 0;

	while (!self->stop) {
		bus_error err = BUS_ERROR_INIT;
		size_t done = 0;

		bus_arena_reset(arena);
		for (size_t i = 0; i < WRITING_BATCH; i++) {
			batch[i] = (bus_publication){
				.topic = self->topic,
				.record.key = BUS_STR(EVENT),
				.record.value =
					bus_arena_printf(arena, "%lld",
							 (long long)next + (long long)i),
			};
		}
		(void)!bus_adapter_publish(adapter, batch, WRITING_BATCH, 10000, &err);
		while (done < WRITING_BATCH &&
		       batch[done].outcome == BUS_OUTCOME_DURABLE) {
			done++;
		}
		next += (int64_t)done;
		self->durable = next;
		self->refused += (int64_t)(WRITING_BATCH - done);
	}
	bus_arena_destroy(arena);
	free(batch);
	bus_adapter_close(adapter);
	return NULL;
}

/* The log: numbers may repeat, but a new one always follows the last new one. */
static void
check_order(bus_adapter *adapter, const char *topic)
{
	const bus_position start = { topic, 0, 0 };
	int64_t end = offset_of(adapter, topic, 0, BUS_OFFSET_LATEST);
	int64_t next = 0;
	int64_t at = 0;
	int wrong = 0;

	BUS_SUITE_OK(bus_adapter_start(adapter, &start, 1, &err));
	while (at < end) {
		const bus_delivery *delivery = bus_suite_next(adapter);

		at = delivery->offset + 1;
		if (bus_is_filler(&delivery->record)) {
			continue;
		}
		int64_t number = atoll(delivery->record.value.data);

		wrong += number > next;
		next += number == next;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	bus_adapter_stop(adapter);
}

void
bus_adapter_case_seal_order(void)
{
	bus_adapter *adapter = bus_suite_open();
	writing writer = { .topic = bus_suite_topic(adapter, 1) };
	pthread_t thread;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, write_on, &writer), 0);
	for (int round = 0; round < 5; round++) {
		int64_t before = writer.durable;
		int64_t deadline = bus_suite_now() + BUS_SUITE_MS;

		while (writer.durable < before + WRITING_BATCH &&
		       bus_suite_now() < deadline) {
			(void)poll(NULL, 0, 1);
		}
		CU_ASSERT(writer.durable > before);
		int64_t refused = writer.refused;

		seal(adapter, writer.topic, true);
		int64_t end = offset_of(adapter, writer.topic, 0, BUS_OFFSET_LATEST);

		while (writer.refused == refused && bus_suite_now() < deadline) {
			(void)poll(NULL, 0, 1);
		}
		CU_ASSERT(writer.refused > refused);
		CU_ASSERT_EQUAL(offset_of(adapter, writer.topic, 0, BUS_OFFSET_LATEST),
				end);
		seal(adapter, writer.topic, false);
	}
	writer.stop = true;
	pthread_join(thread, NULL);
	check_order(adapter, writer.topic);
	bus_adapter_close(adapter);
}

void
bus_adapter_case_seal_refused(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *missing = bus_suite_name("missing");

	BUS_SUITE_FATAL(bus_adapter_seal(adapter, missing, true, 10000, &err), missing);
	BUS_SUITE_FATAL(bus_adapter_seal(adapter, missing, false, 10000, &err), missing);
	bus_adapter_close(adapter);
}

void
bus_adapter_case_timestamp(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);
	int64_t now_ms = bus_clock_wall_us(bus_clock_system()) / 1000;
	const bus_position start = { topic, 0, 0 };
	bus_publication batch[2] = {
		{ .topic = topic,
		  .record.value = BUS_STR("old"),
		  .timestamp_ms = now_ms - 86400000 },
		{ .topic = topic, .record.value = BUS_STR("new") },
	};

	BUS_SUITE_OK(bus_adapter_publish(adapter, batch, 2, 10000, &err));
	BUS_SUITE_OK(bus_adapter_start(adapter, &start, 1, &err));
	int64_t first_ms = bus_suite_next(adapter)->timestamp_ms;
	int64_t second_ms = bus_suite_next(adapter)->timestamp_ms;

	CU_ASSERT(bus_fixture.own_time ? first_ms >= now_ms - 5000 :
					 first_ms == now_ms - 86400000);
	CU_ASSERT(second_ms >= now_ms - 5000 && second_ms <= now_ms + 60000);
	bus_adapter_close(adapter);
}
