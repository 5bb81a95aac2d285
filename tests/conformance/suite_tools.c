/*
 * suite_tools.c - what the cases of the adapters' contract are made of
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/arena.h"
#include "tests/conformance/adapter_suite.h"

bus_adapter_fixture bus_fixture;

int64_t
bus_suite_now(void)
{
	return bus_clock_mono_ms(bus_clock_system());
}

bus_adapter *
bus_suite_open(void)
{
	const bus_adapter_options options = {
		.url = bus_fixture.url,
		.client_id = "conformance",
		.clock = bus_clock_system(),
	};
	bus_adapter *adapter = NULL;

	BUS_SUITE_OK(bus_adapter_open(&options, &adapter, &err));
	return adapter;
}

const char *
bus_suite_name(const char *stem)
{
	static char names[512][64];
	static size_t count;
	char *name = names[count];

	CU_ASSERT_FATAL(count < sizeof(names) / sizeof(names[0]));
	snprintf(name, sizeof(names[0]), "suite.%d.%llx.%zu.%s", (int)getpid(),
		 (unsigned long long)bus_clock_wall_us(bus_clock_system()), count, stem);
	count++;
	return name;
}

const char *
bus_suite_topic(bus_adapter *adapter, int32_t partitions)
{
	const bus_topic_spec spec = {
		.name = bus_suite_name("topic"),
		.partitions = partitions,
		.replication = 1,
		.retention_ms = -1,
		.min_isr = 1,
	};
	bus_topic_info info = { 0 };
	bool made = false;

	BUS_SUITE_OK(bus_adapter_topic_ensure(adapter, &spec, 10000, &info, &made, &err));
	return spec.name;
}

int64_t
bus_suite_put(bus_adapter *adapter, const char *topic, int32_t partition,
	      const char *value)
{
	bus_publication publication = {
		.topic = topic,
		.partition = partition,
		.record = { .key = BUS_STR("key"), .value = bus_str_from(value) },
	};

	BUS_SUITE_OK(bus_adapter_publish(adapter, &publication, 1, 10000, &err));
	return publication.ret_offset;
}

void
bus_suite_fill(bus_adapter *adapter, const char *topic, int32_t partition, int first,
	       int count)
{
	bus_publication *batch = calloc((size_t)count, sizeof(*batch));
	bus_arena *arena = bus_arena_create(64 * 1024);

	for (int i = 0; i < count; i++) {
		batch[i].topic = topic;
		batch[i].partition = partition;
		batch[i].record.key = BUS_STR("key");
		batch[i].record.value = bus_arena_printf(arena, "%d", first + i);
	}
	BUS_SUITE_OK(bus_adapter_publish(adapter, batch, (size_t)count, BUS_SUITE_MS,
					 &err));
	bus_arena_destroy(arena);
	free(batch);
}

/* ---- the reader ---- */

void
bus_suite_reader_init(bus_suite_reader *reader, bus_adapter *adapter, const char *topic)
{
	*reader =
		(bus_suite_reader){ .adapter = adapter, .topic = topic, .assigned = -1 };
}

void
bus_suite_reader_start(bus_suite_reader *reader, int32_t count)
{
	bus_position positions[16];

	CU_ASSERT_FATAL(count <= 16);
	for (int32_t p = 0; p < count; p++) {
		positions[p] = (bus_position){ reader->topic, p, reader->next[p] };
		reader->mine[p] = true;
	}
	BUS_SUITE_OK(bus_adapter_start(reader->adapter, positions, (size_t)count, &err));
}

static void
reader_assigned(bus_suite_reader *reader, const bus_poll *poll)
{
	bus_position positions[16];

	CU_ASSERT_FATAL(poll->partition_count <= 16);
	for (size_t i = 0; i < poll->partition_count; i++) {
		int32_t p = poll->partitions[i].partition;

		CU_ASSERT_STRING_EQUAL(poll->partitions[i].topic, reader->topic);
		positions[i] = (bus_position){ reader->topic, p, reader->next[p] };
		reader->mine[p] = true;
	}
	reader->assigned = (int)poll->partition_count;
	reader->assignments++;
	if (poll->partition_count > 0) {
		BUS_SUITE_OK(bus_adapter_start(reader->adapter, positions,
					       poll->partition_count, &err));
	}
}

static void
reader_gone(bus_suite_reader *reader)
{
	memset(reader->mine, 0, sizeof(reader->mine));
	reader->assigned = -1;
	reader->revocations++;
	bus_adapter_stop(reader->adapter);
}

static void
reader_took(bus_suite_reader *reader, const bus_delivery *delivery)
{
	int32_t p = delivery->partition;

	if (strcmp(delivery->topic, reader->topic) != 0 || p < 0 ||
	    p >= BUS_PARTITIONS_MAX || !reader->mine[p] ||
	    delivery->offset != reader->next[p]) {
		if (reader->wrong++ < 3) {
			fprintf(stderr, "\n%s[%d]: delivered %lld, expected %lld\n",
				delivery->topic, p, (long long)delivery->offset,
				p >= 0 && p < BUS_PARTITIONS_MAX ?
					(long long)reader->next[p] :
					-1);
		}
		return;
	}
	reader->next[p]++;
	reader->delivered[p]++;
}

int
bus_suite_reader_poll(bus_suite_reader *reader, int timeout_ms)
{
	const bus_poll_limit limit = { 2000, 8u << 20, timeout_ms };
	bus_poll poll = { 0 };
	bus_error err = BUS_ERROR_INIT;
	bus_status status = bus_adapter_poll(reader->adapter, &limit, &poll, &err);

	if (status == BUS_E_RETRY) {
		return 0;
	}
	if (status != BUS_OK) {
		fprintf(stderr, "\npoll: %s\n", err.text);
	}
	CU_ASSERT_EQUAL_FATAL(status, BUS_OK);
	switch (poll.kind) {
	case BUS_POLL_DELIVERIES:
		for (size_t i = 0; i < poll.count; i++) {
			reader_took(reader, &poll.deliveries[i]);
		}
		return (int)poll.count;
	case BUS_POLL_ASSIGNED:
		reader_assigned(reader, &poll);
		break;
	case BUS_POLL_REVOKED:
	case BUS_POLL_LOST:
		reader_gone(reader);
		break;
	case BUS_POLL_OUT_OF_RANGE:
	case BUS_POLL_DAMAGED:
		CU_ASSERT_EQUAL_FATAL(poll.partition_count, 1);
		reader->hold = poll.partitions[0];
		reader->holds += poll.kind == BUS_POLL_OUT_OF_RANGE;
		reader->damages += poll.kind == BUS_POLL_DAMAGED;
		break;
	}
	return 0;
}

bool
bus_suite_reader_until(bus_suite_reader *reader, int32_t count, int64_t until)
{
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;

	for (int32_t p = 0; p < count;) {
		if (reader->next[p] >= until) {
			p++;
		} else if (bus_suite_now() > deadline) {
			return false;
		} else {
			(void)bus_suite_reader_poll(reader, 100);
		}
	}
	return true;
}

int
bus_suite_reader_total(const bus_suite_reader *reader)
{
	int total = 0;

	for (int p = 0; p < BUS_PARTITIONS_MAX; p++) {
		total += reader->delivered[p];
	}
	return total;
}

const bus_delivery *
bus_suite_next(bus_adapter *adapter)
{
	const bus_poll_limit limit = { 1, 8u << 20, 200 };
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;
	bus_poll poll = { 0 };

	do {
		bus_error err = BUS_ERROR_INIT;
		bus_status status = bus_adapter_poll(adapter, &limit, &poll, &err);

		if (status == BUS_OK && poll.kind == BUS_POLL_DELIVERIES &&
		    poll.count == 1) {
			return &poll.deliveries[0];
		}
		CU_ASSERT_FATAL(status == BUS_OK || status == BUS_E_RETRY);
	} while (bus_suite_now() < deadline);
	CU_FAIL_FATAL("no delivery in time");
	return NULL;
}
