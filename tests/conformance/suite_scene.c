/*
 * suite_scene.c - what goes on at a broker while something happens to it
 */
#include "tests/conformance/suite_scene.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/arena.h"

#define RATE_EVENTS 200000
#define RATE_BATCH 5000
#define RATE_SINGLE 400

void
bus_suite_pump_once(bus_suite_pump *self, int timeout_ms)
{
	bus_publication batch[10] = { 0 };
	bus_arena *arena = bus_arena_create(4096);
	bus_error err = BUS_ERROR_INIT;

	for (int i = 0; i < 10; i++) {
		batch[i].topic = self->topic;
		batch[i].record.value = bus_arena_printf(arena, "%d", self->next + i);
	}
	bus_status status =
		bus_adapter_publish(self->adapter, batch, 10, timeout_ms, &err);
	bool in_order = true;

	CU_ASSERT(status == BUS_OK || status == BUS_E_RETRY || status == BUS_E_UNKNOWN);
	for (int i = 0; i < 10; i++) {
		CU_ASSERT_NOT_EQUAL(batch[i].outcome, BUS_OUTCOME_NONE);
		CU_ASSERT(status != BUS_OK || batch[i].outcome == BUS_OUTCOME_DURABLE);
		self->uncertain += batch[i].outcome == BUS_OUTCOME_UNCERTAIN;
		self->failed += batch[i].outcome == BUS_OUTCOME_FAILED;
		in_order = in_order && batch[i].outcome == BUS_OUTCOME_DURABLE;
		self->next += in_order;
		self->durable += in_order;
	}
	bus_arena_destroy(arena);
}

int
bus_suite_values_check(const char *topic, int count)
{
	bus_adapter *adapter = bus_suite_open();
	const bus_position start = { topic, 0, 0 };
	int next = 0;
	int records = 0;

	BUS_SUITE_OK(bus_adapter_start(adapter, &start, 1, &err));
	while (next < count) {
		/* decimal digits and no NUL: the record's length ends them */
		char text[16] = "";
		bus_str value = bus_suite_next(adapter)->record.value;

		CU_ASSERT_FATAL(value.len < sizeof(text));
		memcpy(text, value.data, value.len);
		CU_ASSERT_FATAL(atoi(text) <= next);
		next += atoi(text) == next;
		records++;
	}
	bus_adapter_close(adapter);
	return records;
}

void
bus_suite_scene_open(bus_suite_scene *self)
{
	bus_adapter *adapter = bus_suite_open();

	*self = (bus_suite_scene){ 0 };
	self->pump.adapter = bus_suite_open();
	self->pump.topic = bus_suite_topic(adapter, 1);
	self->late.adapter = bus_suite_open();
	self->late.topic = bus_suite_topic(adapter, 1);
	bus_suite_reader_init(&self->group, adapter, self->pump.topic);
	BUS_SUITE_OK(bus_adapter_join(adapter, bus_suite_name("group"), self->pump.topic,
				      &err));
	bus_suite_reader_init(&self->alone, bus_suite_open(), self->pump.topic);
	bus_suite_reader_start(&self->alone, 1);
}

void
bus_suite_scene_close(bus_suite_scene *self)
{
	bus_adapter_close(self->pump.adapter);
	bus_adapter_close(self->late.adapter);
	bus_adapter_close(self->group.adapter);
	bus_adapter_close(self->alone.adapter);
}

bool
bus_suite_scene_until(bus_suite_scene *self, int count)
{
	int64_t begin = bus_suite_now();
	int64_t written = 0;

	while (self->pump.durable < count || self->group.next[0] < count ||
	       self->alone.next[0] < count) {
		if (bus_suite_now() > begin + BUS_SUITE_MS) {
			return false;
		}
		bus_suite_pump_once(&self->pump, 1000);
		if (written == 0 && self->pump.durable >= count) {
			written = bus_suite_now() - begin;
		}
		(void)bus_suite_reader_poll(&self->group, 10);
		(void)bus_suite_reader_poll(&self->alone, 10);
	}
	printf("(writing %lld ms, reading %lld ms) ", (long long)written,
	       (long long)(bus_suite_now() - begin));
	return true;
}

/* ---- speed ---- */

static int
per_second(int count, int64_t begin)
{
	return (int)(count * 1000ll / (bus_suite_now() - begin + 1));
}

/* Records of about 300 bytes. */
static void
rate_publish(bus_adapter *adapter, const char *topic)
{
	static char value[180];
	static const bus_header headers[] = {
		{ BUS_STR("ce_id"), BUS_STR("01234567-89ab-7cde-8f01-23456789abcd") },
		{ BUS_STR("ce_type"), BUS_STR("io.busline.deploy.requested.v1") },
	};
	bus_publication *batch = calloc(RATE_BATCH, sizeof(*batch));
	bus_arena *arena = bus_arena_create(1 << 20);

	memset(value, 'v', sizeof(value));
	for (int i = 0; i < RATE_BATCH; i++) {
		batch[i].topic = topic;
		batch[i].partition = BUS_PARTITION_HOME;
		batch[i].record =
			(bus_record){ bus_arena_printf(arena, "tenant/app-%d", i),
				      { value, sizeof(value) },
				      headers,
				      2 };
	}
	int64_t begin = bus_suite_now();

	for (int done = 0; done < RATE_EVENTS; done += RATE_BATCH) {
		BUS_SUITE_OK(bus_adapter_publish(adapter, batch, RATE_BATCH, BUS_SUITE_MS,
						 &err));
	}
	printf("(published %d/s of %zu bytes, ", per_second(RATE_EVENTS, begin),
	       bus_record_bytes(&batch[0].record));
	bus_arena_destroy(arena);
	free(batch);
}

static int
by_value(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a;
	int64_t right = *(const int64_t *)b;

	return left < right ? -1 : left > right;
}

static void
print_times(const char *what, int64_t *times_us)
{
	qsort(times_us, RATE_SINGLE, sizeof(times_us[0]), by_value);
	printf("%s p50 %lld us, p99 %lld us", what, (long long)times_us[RATE_SINGLE / 2],
	       (long long)times_us[RATE_SINGLE * 99 / 100]);
}

/* One event at a time, published by one adapter and awaited by another. */
static void
rate_single(bus_suite_reader *reader)
{
	bus_adapter *writer = bus_suite_open();
	int64_t publish_us[RATE_SINGLE];
	int64_t arrive_us[RATE_SINGLE];
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;
	int before;

	for (int i = 0; i < RATE_SINGLE; i++) {
		int64_t begin = bus_clock_wall_us(bus_clock_system());

		before = bus_suite_reader_total(reader);
		bus_suite_put(writer, reader->topic, 0, "v");
		publish_us[i] = bus_clock_wall_us(bus_clock_system()) - begin;
		while (bus_suite_reader_poll(reader, 100) == 0 &&
		       bus_suite_now() < deadline) {
		}
		arrive_us[i] = bus_clock_wall_us(bus_clock_system()) - begin;
		CU_ASSERT_EQUAL(bus_suite_reader_total(reader), before + 1);
	}
	print_times("publish", publish_us);
	print_times("; to arrival", arrive_us);
	printf(") ");
	bus_adapter_close(writer);
}

void
bus_suite_rate(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 6);
	bus_suite_reader reader;

	rate_publish(adapter, topic);
	bus_suite_reader_init(&reader, adapter, topic);
	bus_suite_reader_start(&reader, 6);
	int64_t begin = bus_suite_now();
	int read = 0;

	while (read < RATE_EVENTS && bus_suite_now() < begin + BUS_SUITE_MS) {
		read += bus_suite_reader_poll(&reader, 100);
	}
	printf("read %d/s, ", per_second(RATE_EVENTS, begin));
	CU_ASSERT_EQUAL(read, RATE_EVENTS);
	rate_single(&reader);
	CU_ASSERT_EQUAL(reader.wrong, 0);
	bus_adapter_close(adapter);
}
