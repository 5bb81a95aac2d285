/*
 * adapter_suite.c - the contract of adapter.h as cases: topics, writing, what a record is
 */
#include "tests/conformance/adapter_suite.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/arena.h"
#include "core/json.h"

void
bus_adapter_case_scheme(void)
{
	const bus_adapter_options options = { .url = "amqp://x",
					      .clock = bus_clock_system() };
	bus_adapter *adapter = NULL;

	BUS_SUITE_FATAL(bus_adapter_open(&options, &adapter, &err), "amqp");
	BUS_SUITE_FATAL(bus_adapter_open(&options, &adapter, &err),
			"kafka, nng, memory, fault");
	CU_ASSERT_PTR_NULL(adapter);
}

void
bus_adapter_case_ensure(void)
{
	bus_adapter *adapter = bus_suite_open();
	bus_topic_spec spec = { bus_suite_name("ensure"), 3, 1, 86400000, 1 << 20, 1 };
	bus_topic_info info = { 0 };
	bool made = false;

	BUS_SUITE_OK(bus_adapter_topic_ensure(adapter, &spec, 10000, &info, &made, &err));
	CU_ASSERT_TRUE(made);
	for (int again = 0; again < 2; again++) {
		CU_ASSERT_STRING_EQUAL(info.name, spec.name);
		CU_ASSERT_EQUAL(info.partitions, 3);
		CU_ASSERT_EQUAL(info.replication, 1);
		CU_ASSERT_EQUAL(info.retention_ms, 86400000);
		CU_ASSERT_EQUAL(info.retention_bytes, 1 << 20);
		CU_ASSERT_EQUAL(info.min_isr, 1);
		info = (bus_topic_info){ 0 };
		spec.partitions = 5;
		spec.retention_ms = -1;
		spec.retention_bytes = 0;
		BUS_SUITE_OK(bus_adapter_topic_ensure(adapter, &spec, 10000, &info, &made,
						      &err));
		CU_ASSERT_FALSE(made);
	}
	spec.name = bus_suite_name("forever");
	BUS_SUITE_OK(bus_adapter_topic_ensure(adapter, &spec, 10000, &info, &made, &err));
	CU_ASSERT_EQUAL(info.retention_ms, -1);
	CU_ASSERT_EQUAL(info.retention_bytes, 0);
	bus_adapter_close(adapter);
}

void
bus_adapter_case_ensure_refused(void)
{
	const bus_topic_spec specs[] = {
		{ "", 1, 1, -1, 0, 1 },
		{ "no spaces", 1, 1, -1, 0, 1 },
		{ "..", 1, 1, -1, 0, 1 },
		{ "suite.refused", 0, 1, -1, 0, 1 },
		{ "suite.refused", BUS_PARTITIONS_MAX + 1, 1, -1, 0, 1 },
		{ "suite.refused", 1, 0, -1, 0, 1 },
		{ "suite.refused", 1, 1, -1, 0, 2 },
		{ "suite.refused", 1, 1, -2, 0, 1 },
		{ "suite.refused", 1, 1, -1, -1, 1 },
	};
	bus_adapter *adapter = bus_suite_open();
	bus_topic_info info = { 0 };
	bool made = false;
	int32_t count = 0;

	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		BUS_SUITE_FATAL(bus_adapter_topic_ensure(adapter, &specs[i], 10000, &info,
							 &made, &err),
				specs[i].name);
	}
	CU_ASSERT_FALSE(made);
	BUS_SUITE_FATAL(bus_adapter_partitions(adapter, "suite.refused", 10000, &count,
					       &err),
			"suite.refused");
	bus_adapter_close(adapter);
}

void
bus_adapter_case_list(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *stem = bus_suite_name("list");
	const char *const ends[] = { ".b", ".c", ".a" };
	bus_arena *arena = bus_arena_create(4096);
	bus_topic_info *topics = NULL;
	size_t count = 99;
	char name[BUS_TOPIC_NAME_MAX];

	for (size_t i = 0; i < 3; i++) {
		bus_topic_spec spec = { name, (int32_t)i + 1, 1, 3600000, 0, 1 };
		bus_topic_info info = { 0 };
		bool made = false;

		snprintf(name, sizeof(name), "%s%s", stem, ends[i]);
		BUS_SUITE_OK(bus_adapter_topic_ensure(adapter, &spec, 10000, &info, &made,
						      &err));
	}
	BUS_SUITE_OK(bus_adapter_topic_list(adapter, stem, 10000, arena, &topics, &count,
					    &err));
	CU_ASSERT_EQUAL_FATAL(count, 3);
	for (size_t i = 0; i < 3; i++) {
		static const int32_t partitions[] = { 3, 1, 2 };

		CU_ASSERT_EQUAL(topics[i].name[strlen(stem) + 1], "abc"[i]);
		CU_ASSERT_EQUAL(topics[i].partitions, partitions[i]);
		CU_ASSERT_EQUAL(topics[i].replication, 1);
		CU_ASSERT_EQUAL(topics[i].retention_ms, 3600000);
		CU_ASSERT_EQUAL(topics[i].min_isr, 1);
	}
	BUS_SUITE_OK(bus_adapter_topic_list(adapter, "suite.none.", 10000, arena, &topics,
					    &count, &err));
	CU_ASSERT_EQUAL(count, 0);
	BUS_SUITE_OK(bus_adapter_topic_list(adapter, "", 10000, arena, &topics, &count,
					    &err));
	CU_ASSERT(count >= 3);
	for (size_t i = 0; i < count; i++) {
		CU_ASSERT_NOT_EQUAL(strncmp(topics[i].name, "__", 2), 0);
		CU_ASSERT(i == 0 || strcmp(topics[i - 1].name, topics[i].name) < 0);
	}
	bus_arena_destroy(arena);
	bus_adapter_close(adapter);
}

void
bus_adapter_case_partitions(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 7);
	const char *missing = bus_suite_name("missing");
	bus_adapter *other = bus_suite_open();
	int32_t count = 0;

	BUS_SUITE_OK(bus_adapter_partitions(other, topic, 10000, &count, &err));
	CU_ASSERT_EQUAL(count, 7);
	count = 0;
	BUS_SUITE_OK(bus_adapter_partitions(other, topic, 10000, &count, &err));
	CU_ASSERT_EQUAL(count, 7);
	BUS_SUITE_FATAL(bus_adapter_partitions(other, missing, 10000, &count, &err),
			missing);
	CU_ASSERT_EQUAL(count, 7);
	bus_adapter_close(other);
	bus_adapter_close(adapter);
}

void
bus_adapter_case_publish(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 3);
	bus_publication batch[9] = { 0 };

	for (int i = 0; i < 9; i++) {
		batch[i] = (bus_publication){
			.topic = topic,
			.partition = i % 3,
			.record = { .key = BUS_STR("k"), .value = BUS_STR("v") },
			.outcome = BUS_OUTCOME_NONE,
			.ret_offset = -7,
			.native_code = 7,
		};
	}
	BUS_SUITE_OK(bus_adapter_publish(adapter, batch, 9, 10000, &err));
	for (int i = 0; i < 9; i++) {
		CU_ASSERT_EQUAL(batch[i].outcome, BUS_OUTCOME_DURABLE);
		CU_ASSERT_EQUAL(batch[i].ret_partition, i % 3);
		CU_ASSERT_EQUAL(batch[i].ret_offset, i / 3);
		CU_ASSERT_EQUAL(batch[i].native_code, 0);
	}
	BUS_SUITE_OK(bus_adapter_publish(adapter, NULL, 0, 10000, &err));
	CU_ASSERT_EQUAL(bus_suite_put(adapter, topic, 1, "v"), 3);
	bus_adapter_close(adapter);
}

void
bus_adapter_case_home(void)
{
	/* Kafka's own vectors: org.apache.kafka.common.utils.UtilsTest */
	static const struct {
		const char *key;
		int32_t murmur2;
	} vectors[] = {
		{ "21", -973932308 },
		{ "foobar", -790332482 },
		{ "a-little-bit-long-string", -985981536 },
		{ "a-little-bit-longer-string", -1486304829 },
		{ "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971 },
		{ "abc", 479470107 },
	};
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 7);

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		bus_publication publication = {
			.topic = topic,
			.partition = BUS_PARTITION_HOME,
			.record = { .key = bus_str_from(vectors[i].key),
				    .value = BUS_STR("v") },
		};

		BUS_SUITE_OK(bus_adapter_publish(adapter, &publication, 1, 10000, &err));
		CU_ASSERT_EQUAL(publication.ret_partition,
				(vectors[i].murmur2 & 0x7fffffff) % 7);
	}
	bus_adapter_close(adapter);
}

void
bus_adapter_case_publish_refused(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 2);
	char *large = calloc(1, 2u << 20);
	bus_publication batch[4];

	memset(large, 'x', 2u << 20);
	for (int bad = 0; bad < 4; bad++) {
		const bus_record record = { .key = BUS_STR("k"), .value = BUS_STR("v") };

		batch[0] = (bus_publication){ .topic = topic, .record = record };
		batch[1] = (bus_publication){ .topic = topic,
					      .partition = 1,
					      .record = record };
		batch[2] = batch[0];
		if (bad == 0) {
			batch[1].partition = 2;
		} else if (bad == 1) {
			batch[1].partition = -2;
		} else if (bad == 2) {
			batch[1].record.value = (bus_str){ large, 2u << 20 };
		} else {
			batch[1].topic = bus_suite_name("missing");
		}
		BUS_SUITE_FATAL(bus_adapter_publish(adapter, batch, 3, 10000, &err),
				batch[1].topic);
		CU_ASSERT_EQUAL(batch[0].outcome, BUS_OUTCOME_DURABLE);
		CU_ASSERT_EQUAL(batch[1].outcome, BUS_OUTCOME_FAILED);
		CU_ASSERT_EQUAL(batch[2].outcome, BUS_OUTCOME_DURABLE);
		CU_ASSERT_EQUAL(batch[2].ret_offset, 2 * bad + 1);
	}
	free(large);
	bus_adapter_close(adapter);
}

/* ---- what a record is ---- */

static void
start_one(bus_adapter *adapter, const char *topic, int32_t partition, int64_t offset)
{
	const bus_position position = { topic, partition, offset };

	BUS_SUITE_OK(bus_adapter_start(adapter, &position, 1, &err));
}

void
bus_adapter_case_absent(void)
{
	static const bus_str forms[] = { { NULL, 0 }, { "", 0 }, { "a\0b", 3 } };
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);

	for (size_t i = 0; i < 9; i++) {
		bus_publication publication = {
			.topic = topic,
			.partition = BUS_PARTITION_HOME,
			.record = { .key = forms[i / 3], .value = forms[i % 3] },
		};

		BUS_SUITE_OK(bus_adapter_publish(adapter, &publication, 1, 10000, &err));
	}
	start_one(adapter, topic, 0, 0);
	for (size_t i = 0; i < 9; i++) {
		const bus_delivery *delivery = bus_suite_next(adapter);

		CU_ASSERT_EQUAL(delivery->offset, (int64_t)i);
		CU_ASSERT_TRUE(bus_str_eq(delivery->record.key, forms[i / 3]));
		CU_ASSERT_TRUE(bus_str_eq(delivery->record.value, forms[i % 3]));
		CU_ASSERT_EQUAL(delivery->record.header_count, 0);
	}
	bus_adapter_close(adapter);
}

void
bus_adapter_case_headers(void)
{
	const bus_header headers[] = {
		{ BUS_STR("ce_id"), BUS_STR("1") },
		{ BUS_STR("b"), BUS_STR("x\0y") },
		{ BUS_STR("a"), BUS_STR_NULL },
		{ BUS_STR("b"), BUS_STR("") },
		{ BUS_STR("ce_id"), BUS_STR("1") },
		{ BUS_STR(""), BUS_STR("no name") },
		{ BUS_STR("ce_\xc3\xa4"), BUS_STR("\xff") },
	};
	const size_t count = sizeof(headers) / sizeof(headers[0]);
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);
	bus_publication publication = {
		.topic = topic,
		.record = { BUS_STR("k"), BUS_STR("v"), headers, count },
	};

	BUS_SUITE_OK(bus_adapter_publish(adapter, &publication, 1, 10000, &err));
	start_one(adapter, topic, 0, 0);
	const bus_delivery *delivery = bus_suite_next(adapter);

	CU_ASSERT_EQUAL_FATAL(delivery->record.header_count, count);
	for (size_t i = 0; i < count; i++) {
		CU_ASSERT_TRUE(bus_str_eq(delivery->record.headers[i].name,
					  headers[i].name));
		CU_ASSERT_TRUE(bus_str_eq(delivery->record.headers[i].value,
					  headers[i].value));
	}
	bus_adapter_close(adapter);
}

void
bus_adapter_case_large(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);
	char *bytes = calloc(1, BUS_EVENT_BYTES_MAX);

	for (size_t i = 0; i < BUS_EVENT_BYTES_MAX; i++) {
		bytes[i] = (char)(i * 2654435761u >> 13);
	}
	bus_publication publication = {
		.topic = topic,
		.record = { .key = BUS_STR("k"), .value = { bytes, BUS_EVENT_BYTES_MAX } },
	};

	BUS_SUITE_OK(bus_adapter_publish(adapter, &publication, 1, 10000, &err));
	start_one(adapter, topic, 0, 0);
	CU_ASSERT_TRUE(bus_str_eq(bus_suite_next(adapter)->record.value,
				  publication.record.value));
	free(bytes);
	bus_adapter_close(adapter);
}

/* ---- offsets ---- */

/* Waits until the machine's wall clock has left this millisecond. */
static int64_t
next_millisecond(void)
{
	int64_t now = bus_clock_wall_us(bus_clock_system()) / 1000;
	int64_t then = now;

	while (then <= now + 1) {
		then = bus_clock_wall_us(bus_clock_system()) / 1000;
	}
	return then;
}

static int64_t
offset_of(bus_adapter *adapter, const char *topic, bus_offset_at at, int64_t time_ms)
{
	int64_t offset = -1;

	BUS_SUITE_OK(bus_adapter_offset(adapter, topic, 0, at, time_ms, 10000, &offset,
					&err));
	return offset;
}

void
bus_adapter_case_offsets(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);

	CU_ASSERT_EQUAL(offset_of(adapter, topic, BUS_OFFSET_EARLIEST, 0), 0);
	CU_ASSERT_EQUAL(offset_of(adapter, topic, BUS_OFFSET_LATEST, 0), 0);
	CU_ASSERT_EQUAL(offset_of(adapter, topic, BUS_OFFSET_TIME, 1), 0);
	bus_suite_fill(adapter, topic, 0, 0, 5);
	int64_t between = next_millisecond();

	(void)next_millisecond();
	bus_suite_fill(adapter, topic, 0, 5, 5);
	CU_ASSERT_EQUAL(offset_of(adapter, topic, BUS_OFFSET_EARLIEST, 0), 0);
	CU_ASSERT_EQUAL(offset_of(adapter, topic, BUS_OFFSET_LATEST, 0), 10);
	CU_ASSERT_EQUAL(offset_of(adapter, topic, BUS_OFFSET_TIME, 0), 0);
	CU_ASSERT_EQUAL(offset_of(adapter, topic, BUS_OFFSET_TIME, -5), 0);
	CU_ASSERT_EQUAL(offset_of(adapter, topic, BUS_OFFSET_TIME, between), 5);
	CU_ASSERT_EQUAL(offset_of(adapter, topic, BUS_OFFSET_TIME, between + 86400000),
			10);
	start_one(adapter, topic, 0, 5);
	int64_t timestamp_ms = bus_suite_next(adapter)->timestamp_ms;

	CU_ASSERT(timestamp_ms > between && timestamp_ms < between + 60000);
	CU_ASSERT_EQUAL(offset_of(adapter, topic, BUS_OFFSET_TIME, timestamp_ms), 5);
	bus_fixture.trim(topic, 0, 7);
	CU_ASSERT_EQUAL(offset_of(adapter, topic, BUS_OFFSET_EARLIEST, 0), 7);
	CU_ASSERT_EQUAL(offset_of(adapter, topic, BUS_OFFSET_TIME, 0), 7);
	CU_ASSERT_EQUAL(offset_of(adapter, topic, BUS_OFFSET_LATEST, 0), 10);
	bus_adapter_close(adapter);
}

void
bus_adapter_case_offsets_refused(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 2);
	const char *missing = bus_suite_name("missing");
	int64_t offset = -7;

	BUS_SUITE_FATAL(bus_adapter_offset(adapter, missing, 0, BUS_OFFSET_LATEST, 0,
					   10000, &offset, &err),
			missing);
	BUS_SUITE_FATAL(bus_adapter_offset(adapter, topic, 2, BUS_OFFSET_LATEST, 0, 10000,
					   &offset, &err),
			topic);
	BUS_SUITE_FATAL(bus_adapter_offset(adapter, topic, -1, BUS_OFFSET_EARLIEST, 0,
					   10000, &offset, &err),
			topic);
	CU_ASSERT_EQUAL(offset, -7);
	bus_adapter_close(adapter);
}
