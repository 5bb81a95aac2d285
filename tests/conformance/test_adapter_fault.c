/*
 * test_adapter_fault.c - the contract holds on bad days too; and each fault does what its
 * name says, by its seed
 */
#include <stdio.h>
#include <stdlib.h>

#include "broker-adapters/memory/memory.h"
#include "core/arena.h"
#include "tests/conformance/adapter_suite.h"

#define INNER "memory:fault"

static void
trim(const char *topic, int32_t partition, int64_t new_start)
{
	BUS_SUITE_OK(bus_memory_trim(INNER, topic, partition, new_start, &err));
}

/* The suite's caller sends nothing twice, so its broker fails in every way but that. */
static int
setup(void)
{
	snprintf(bus_fixture.url, sizeof(bus_fixture.url), "%s",
		 "fault+" INNER "?drop=0.1&delay=0.4&seed=7");
	bus_fixture.trim = trim;
	return 0;
}

static int
teardown(void)
{
	bus_memory_drop(INNER);
	return 0;
}

static bus_status
open_at(const char *url, bus_adapter **ret_adapter, bus_error *err)
{
	const bus_adapter_options options = { .url = url, .clock = bus_clock_system() };

	return bus_adapter_open(&options, ret_adapter, err);
}

static bus_adapter *
opened(const char *url)
{
	bus_adapter *adapter = NULL;

	BUS_SUITE_OK(open_at(url, &adapter, &err));
	return adapter;
}

static void
case_urls(void)
{
	static const struct {
		const char *url;
		const char *says;
	} rows[] = {
		{ "fault:memory:x", "fault+<url>" },
		{ "fault+amqp:x", "amqp" },
		{ "fault+memory:x?", "not fault=probability" },
		{ "fault+memory:x?drop", "not fault=probability" },
		{ "fault+memory:x?explode=0.1", "explode" },
		{ "fault+memory:x?drop=2", "between 0 and 1" },
		{ "fault+memory:x?drop=-0.1", "between 0 and 1" },
		{ "fault+memory:x?drop=nan", "between 0 and 1" },
		{ "fault+memory:x?drop=", "between 0 and 1" },
		{ "fault+memory:x?seed=one", "one" },
	};
	bus_adapter *adapter = NULL;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		BUS_SUITE_FATAL(open_at(rows[i].url, &adapter, &err), rows[i].says);
	}
	CU_ASSERT_PTR_NULL(adapter);
	bus_adapter_close(opened("fault+fault+memory:fault?drop=0.5&seed=1"));
	bus_adapter_close(opened("fault+memory:fault"));
}

/* ---- writing ---- */

#define EVENTS 300
#define PARTITIONS 3

/* Publishes values first, first + 1 ... round the partitions, once. */
static bus_status
publish_once(bus_adapter *adapter, const char *topic, bus_publication *batch, int count,
	     bus_arena *arena)
{
	bus_error err = BUS_ERROR_INIT;

	for (int i = 0; i < count; i++) {
		batch[i] = (bus_publication){
			.topic = topic,
			.partition = i % PARTITIONS,
			.record = { .key = BUS_STR("k"),
				    .value = bus_arena_printf(arena, "%d", i) },
		};
	}
	return bus_adapter_publish(adapter, batch, (size_t)count, 1000, &err);
}

/* The values of a partition, as they lie in the log. */
static int
read_values(const char *topic, int32_t partition, int *ret_values)
{
	bus_adapter *adapter = opened(INNER);
	const bus_position start = { topic, partition, 0 };
	const bus_poll_limit limit = { 10000, 1 << 20, 0 };
	bus_poll poll = { 0 };

	BUS_SUITE_OK(bus_adapter_start(adapter, &start, 1, &err));
	BUS_SUITE_OK(bus_adapter_poll(adapter, &limit, &poll, &err));
	for (size_t i = 0; i < poll.count; i++) {
		ret_values[i] = atoi(poll.deliveries[i].record.value.data);
	}
	bus_adapter_close(adapter);
	return (int)poll.count;
}

/* How often value i lies in the log; checks that nothing is out of order. */
static void
count_values(const char *topic, int *ret_times)
{
	memset(ret_times, 0, EVENTS * sizeof(*ret_times));
	for (int p = 0; p < PARTITIONS; p++) {
		int values[2 * EVENTS];
		int count = read_values(topic, p, values);

		for (int i = 0; i < count; i++) {
			CU_ASSERT(i == 0 || values[i] == values[i - 1] ||
				  values[i] == values[i - 1] + PARTITIONS);
			ret_times[values[i]]++;
		}
	}
}

static void
check_publish(const char *url, bus_outcome strikes, int durable_times_max)
{
	bus_adapter *adapter = opened(url);
	const char *topic = bus_suite_topic(adapter, PARTITIONS);
	bus_publication batch[EVENTS];
	bus_arena *arena = bus_arena_create(4096);
	bus_status status = publish_once(adapter, topic, batch, EVENTS, arena);
	int times[EVENTS];
	int struck = 0;
	int struck_in_log = 0;
	int twice = 0;
	bool gap[PARTITIONS] = { false };

	count_values(topic, times);
	for (int i = 0; i < EVENTS; i++) {
		bus_outcome outcome = batch[i].outcome;

		struck += outcome == strikes;
		struck_in_log += outcome == strikes && times[i] > 0;
		twice += times[i] == 2;
		CU_ASSERT_NOT_EQUAL(outcome, BUS_OUTCOME_NONE);
		CU_ASSERT(outcome != BUS_OUTCOME_FAILED || times[i] == 0);
		CU_ASSERT(outcome != BUS_OUTCOME_DURABLE ||
			  (times[i] >= 1 && times[i] <= durable_times_max));
		/* behind what is missing, everything is */
		gap[i % PARTITIONS] = gap[i % PARTITIONS] || times[i] == 0;
		CU_ASSERT(!gap[i % PARTITIONS] || times[i] == 0);
	}
	CU_ASSERT_EQUAL(status, strikes == BUS_OUTCOME_FAILED    ? BUS_E_RETRY :
				strikes == BUS_OUTCOME_UNCERTAIN ? BUS_E_UNKNOWN :
								   BUS_OK);
	CU_ASSERT(struck > 0);
	CU_ASSERT(strikes != BUS_OUTCOME_UNCERTAIN ||
		  (struck_in_log > 0 && struck_in_log < struck));
	CU_ASSERT((twice > 0) == (durable_times_max == 2));
	bus_arena_destroy(arena);
	bus_adapter_close(adapter);
}

static void
case_fail(void)
{
	check_publish("fault+memory:fault?fail=0.01&seed=3", BUS_OUTCOME_FAILED, 1);
}

static void
case_uncertain(void)
{
	check_publish("fault+memory:fault?uncertain=0.1&seed=3", BUS_OUTCOME_UNCERTAIN, 1);
}

static void
case_duplicate(void)
{
	check_publish("fault+memory:fault?duplicate=0.1&seed=3", BUS_OUTCOME_DURABLE, 2);
}

/* A writer that obeys: sends again, in order, from the first that is not durable. */
static void
case_resend(void)
{
	bus_adapter *adapter = opened(
		"fault+memory:fault?fail=0.02&uncertain=0.02&duplicate=0.05&seed=11");
	const char *topic = bus_suite_topic(adapter, 1);
	bus_arena *arena = bus_arena_create(4096);
	bus_publication batch[10] = { 0 };
	int values[20 * EVENTS];
	int next = 0;

	for (int first = 0; first < EVENTS;) {
		bus_error err = BUS_ERROR_INIT;
		int count = EVENTS - first < 10 ? EVENTS - first : 10;

		for (int i = 0; i < count; i++) {
			batch[i].topic = topic;
			batch[i].record.value = bus_arena_printf(arena, "%d", first + i);
		}
		(void)!bus_adapter_publish(adapter, batch, (size_t)count, 1000, &err);
		for (int i = 0; i < count && batch[i].outcome == BUS_OUTCOME_DURABLE;
		     i++) {
			first++;
		}
	}
	int count = read_values(topic, 0, values);

	for (int i = 0; i < count; i++) {
		CU_ASSERT(values[i] <= next);
		next += values[i] == next;
	}
	CU_ASSERT_EQUAL(next, EVENTS);
	CU_ASSERT(count > EVENTS);
	bus_arena_destroy(arena);
	bus_adapter_close(adapter);
}

/* ---- reading ---- */

static void
case_lost(void)
{
	bus_adapter *writer = opened(INNER);
	const char *topic = bus_suite_topic(writer, PARTITIONS);
	bus_suite_reader reader;

	for (int p = 0; p < PARTITIONS; p++) {
		bus_suite_fill(writer, topic, p, 0, 2000);
	}
	bus_suite_reader_init(&reader,
			      opened("fault+memory:fault?lost=0.2&delay=0.9&drop=0.1"
				     "&seed=5"),
			      topic);
	BUS_SUITE_OK(bus_adapter_join(reader.adapter, "lost", topic, &err));
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, PARTITIONS, 2000));
	CU_ASSERT_EQUAL(reader.wrong, 0);
	CU_ASSERT(reader.revocations >= 1);
	CU_ASSERT(reader.assignments >= reader.revocations);
	/* lost, and not answered: nothing may be read, nothing comes */
	const bus_poll_limit limit = { 10, 1000, 0 };
	const bus_position start = { topic, 0, 0 };
	bus_poll poll = { 0 };

	while (poll.kind != BUS_POLL_LOST) {
		BUS_SUITE_OK(bus_adapter_poll(reader.adapter, &limit, &poll, &err));
	}
	CU_ASSERT_EQUAL(poll.partition_count, PARTITIONS);
	BUS_SUITE_FATAL(bus_adapter_start(reader.adapter, &start, 1, &err), "lost");
	for (int i = 0; i < 20; i++) {
		BUS_SUITE_OK(bus_adapter_poll(reader.adapter, &limit, &poll, &err));
		CU_ASSERT(poll.kind == BUS_POLL_DELIVERIES && poll.count == 0);
	}
	bus_adapter_stop(reader.adapter);
	BUS_SUITE_OK(bus_adapter_poll(reader.adapter, &limit, &poll, &err));
	CU_ASSERT_EQUAL(poll.kind, BUS_POLL_ASSIGNED);
	bus_adapter_close(reader.adapter);
	bus_adapter_close(writer);
}

/* Delayed deliveries come mixed, in order within each partition. */
static void
case_mixed(void)
{
	bus_adapter *adapter = opened("fault+memory:fault?delay=1&seed=9");
	const char *topic = bus_suite_topic(adapter, PARTITIONS);
	const bus_poll_limit limit = { 1000, 1 << 20, 0 };
	bus_position starts[PARTITIONS];
	int64_t next[PARTITIONS] = { 0 };
	int switches = 0;
	int32_t last = -1;

	for (int p = 0; p < PARTITIONS; p++) {
		starts[p] = (bus_position){ topic, p, 0 };
		bus_suite_fill(adapter, topic, p, 0, 100);
	}
	BUS_SUITE_OK(bus_adapter_start(adapter, starts, PARTITIONS, &err));
	for (int polls = 0; polls < 1000 && next[0] + next[1] + next[2] < 300; polls++) {
		bus_poll poll = { 0 };

		BUS_SUITE_OK(bus_adapter_poll(adapter, &limit, &poll, &err));
		for (size_t i = 0; i < poll.count; i++) {
			CU_ASSERT_EQUAL(poll.deliveries[i].offset,
					next[poll.deliveries[i].partition]++);
			switches += poll.deliveries[i].partition != last;
			last = poll.deliveries[i].partition;
		}
	}
	CU_ASSERT(next[0] == 100 && next[1] == 100 && next[2] == 100);
	CU_ASSERT(switches > 100);
	bus_adapter_close(adapter);
}

/* Deliveries as "partition:offset" of the first polls, for comparing two runs. */
static void
trace(const char *seed, const char *topic, char *ret_text, size_t size)
{
	char url[80];
	const bus_poll_limit limit = { 5, 1 << 20, 0 };
	size_t len = 0;
	bus_position starts[PARTITIONS];

	snprintf(url, sizeof(url), "fault+memory:fault?delay=0.7&drop=0.2&seed=%s", seed);
	bus_adapter *adapter = opened(url);

	for (int p = 0; p < PARTITIONS; p++) {
		starts[p] = (bus_position){ topic, p, 0 };
	}
	BUS_SUITE_OK(bus_adapter_start(adapter, starts, PARTITIONS, &err));
	for (int i = 0; i < 40; i++) {
		bus_error err = BUS_ERROR_INIT;
		bus_poll poll = { 0 };
		bus_status status = bus_adapter_poll(adapter, &limit, &poll, &err);

		len += (size_t)snprintf(ret_text + len, size - len, "%s",
					status == BUS_E_RETRY ? "R " : ". ");
		for (size_t d = 0; d < poll.count && status == BUS_OK; d++) {
			len += (size_t)snprintf(ret_text + len, size - len, "%d:%lld ",
						poll.deliveries[d].partition,
						(long long)poll.deliveries[d].offset);
		}
	}
	bus_adapter_close(adapter);
}

static void
case_seed(void)
{
	bus_adapter *writer = opened(INNER);
	const char *topic = bus_suite_topic(writer, PARTITIONS);
	char first[4096];
	char again[4096];
	char other[4096];

	for (int p = 0; p < PARTITIONS; p++) {
		bus_suite_fill(writer, topic, p, 0, 100);
	}
	trace("1", topic, first, sizeof(first));
	trace("1", topic, again, sizeof(again));
	trace("2", topic, other, sizeof(other));
	CU_ASSERT_STRING_EQUAL(first, again);
	CU_ASSERT_STRING_NOT_EQUAL(first, other);
	CU_ASSERT_PTR_NOT_NULL(strstr(first, "R "));
	bus_adapter_close(writer);
}

static const bus_case cases[] = {
	BUS_ADAPTER_CASES{ "faults are named and bounded", case_urls },
	{ "what failed is not in the log, nor is what follows it", case_fail },
	{ "what is uncertain is in the log or not", case_uncertain },
	{ "duplicates follow their first at once", case_duplicate },
	{ "a writer that sends again in order loses nothing and keeps order",
	  case_resend },
	{ "lost partitions come back, and reading goes on where it was", case_lost },
	{ "delayed deliveries come mixed, in order within a partition", case_mixed },
	{ "the seed decides", case_seed },
	{ 0 },
};

const bus_suite_def bus_suite = { "adapter fault", cases, setup, teardown };
