/*
 * test_adapter_memory.c - the broker in memory keeps the contract; and what is its own:
 * names, time from the injected clock, eviction
 */
#include <stdio.h>

#include "broker-adapters/memory/memory.h"
#include "tests/conformance/adapter_suite.h"

#define URL "memory:conformance"

static void
trim(const char *topic, int32_t partition, int64_t new_start)
{
	BUS_SUITE_OK(bus_memory_trim(URL, topic, partition, new_start, &err));
}

static int
setup(void)
{
	snprintf(bus_fixture.url, sizeof(bus_fixture.url), "%s", URL);
	bus_fixture.trim = trim;
	return 0;
}

static int
teardown(void)
{
	bus_memory_drop(URL);
	return 0;
}

static bus_adapter *
open_at(const char *url, const bus_clock *clock)
{
	const bus_adapter_options options = { .url = url, .clock = clock };
	bus_adapter *adapter = NULL;

	BUS_SUITE_OK(bus_adapter_open(&options, &adapter, &err));
	return adapter;
}

static void
case_names(void)
{
	bus_adapter *one = open_at("memory:one", bus_clock_system());
	bus_adapter *two = open_at("memory:two", bus_clock_system());
	const char *topic = bus_suite_topic(one, 1);
	int32_t count = 0;

	BUS_SUITE_FATAL(bus_adapter_partitions(two, topic, 0, &count, &err), topic);
	bus_suite_put(one, topic, 0, "kept");
	bus_adapter_close(one);
	one = open_at("memory:one", bus_clock_system());
	CU_ASSERT_EQUAL(bus_suite_put(one, topic, 0, "second"), 1);
	bus_memory_drop("memory:one");
	CU_ASSERT_EQUAL(bus_suite_put(one, topic, 0, "who uses it keeps it"), 2);
	bus_adapter *new_one = open_at("memory:one", bus_clock_system());

	BUS_SUITE_FATAL(bus_adapter_partitions(new_one, topic, 0, &count, &err), topic);
	bus_adapter_close(new_one);
	bus_adapter_close(one);
	bus_adapter_close(two);
	bus_memory_drop("memory:one");
	bus_memory_drop("memory:two");
	bus_memory_drop("memory:never opened");
}

static void
case_options(void)
{
	const bus_adapter_options options = { .url = URL,
					      .properties = "linger.ms=1",
					      .clock = bus_clock_system() };
	bus_adapter *adapter = NULL;

	BUS_SUITE_FATAL(bus_adapter_open(&options, &adapter, &err), "linger.ms=1");
	BUS_SUITE_FATAL(bus_memory_trim("memory:none", "t", 0, 0, &err), "memory:none");
}

static void
case_clock(void)
{
	bus_clock_manual clock;

	bus_clock_manual_init(&clock, 5000000);
	bus_adapter *adapter = open_at(URL, &clock.clock);
	const char *topic = bus_suite_topic(adapter, 1);
	const bus_position start = { topic, 0, 0 };
	const bus_poll_limit limit = { 10, 1000, BUS_POLL_MS_MAX };
	bus_poll poll = { 0 };
	int64_t offset = -1;
	int64_t begin = bus_suite_now();

	bus_suite_put(adapter, topic, 0, "at 5 s");
	clock.wall_us = 7000000;
	bus_suite_put(adapter, topic, 0, "at 7 s");
	BUS_SUITE_OK(bus_adapter_start(adapter, &start, 1, &err));
	BUS_SUITE_OK(bus_adapter_poll(adapter, &limit, &poll, &err));
	CU_ASSERT_EQUAL_FATAL(poll.count, 2);
	CU_ASSERT_EQUAL(poll.deliveries[0].timestamp_ms, 5000);
	CU_ASSERT_EQUAL(poll.deliveries[1].timestamp_ms, 7000);
	BUS_SUITE_OK(bus_adapter_offset(adapter, topic, 0, BUS_OFFSET_TIME, 5001, 0,
					&offset, &err));
	CU_ASSERT_EQUAL(offset, 1);
	/* time stands still: nobody waits for it */
	for (int i = 0; i < 5; i++) {
		BUS_SUITE_OK(bus_adapter_poll(adapter, &limit, &poll, &err));
	}
	CU_ASSERT(bus_suite_now() < begin + 3 * BUS_POLL_MS_MAX);
	bus_adapter_close(adapter);
}

static bus_poll_kind
poll_kind(bus_adapter *adapter)
{
	const bus_poll_limit limit = { 10, 1000, 0 };
	bus_poll poll = { 0 };

	BUS_SUITE_OK(bus_adapter_poll(adapter, &limit, &poll, &err));
	return poll.kind;
}

static void
case_eviction(void)
{
	bus_clock_manual clock;

	bus_clock_manual_init(&clock, 0);
	bus_adapter *silent = open_at(URL, &clock.clock);
	bus_adapter *other = open_at(URL, &clock.clock);
	const char *topic = bus_suite_topic(silent, 2);

	BUS_SUITE_OK(bus_adapter_join(silent, "evict", topic, &err));
	CU_ASSERT_EQUAL(poll_kind(silent), BUS_POLL_ASSIGNED);
	BUS_SUITE_OK(bus_adapter_join(other, "evict", topic, &err));
	CU_ASSERT_EQUAL(poll_kind(other), BUS_POLL_DELIVERIES);
	clock.mono_ms += 6000;
	CU_ASSERT_EQUAL(poll_kind(other), BUS_POLL_DELIVERIES);
	clock.mono_ms += 1;
	CU_ASSERT_EQUAL(poll_kind(other), BUS_POLL_ASSIGNED);
	CU_ASSERT_EQUAL(poll_kind(silent), BUS_POLL_LOST);
	CU_ASSERT_EQUAL(poll_kind(silent), BUS_POLL_DELIVERIES);
	CU_ASSERT_EQUAL(poll_kind(other), BUS_POLL_DELIVERIES);
	bus_adapter_stop(silent);
	CU_ASSERT_EQUAL(poll_kind(other), BUS_POLL_REVOKED);
	bus_adapter_stop(other);
	CU_ASSERT_EQUAL(poll_kind(silent), BUS_POLL_ASSIGNED);
	CU_ASSERT_EQUAL(poll_kind(other), BUS_POLL_ASSIGNED);
	bus_adapter_close(silent);
	bus_adapter_close(other);
}

static const bus_case cases[] = {
	BUS_ADAPTER_CASES{ "brokers are found by name and live until they are dropped",
			   case_names },
	{ "properties are refused", case_options },
	{ "time is the injected clock's", case_clock },
	{ "a member silent for its session is evicted, and comes back", case_eviction },
	{ 0 },
};

const bus_suite_def bus_suite = { "adapter memory", cases, setup, teardown };
