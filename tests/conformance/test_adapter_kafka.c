/*
 * test_adapter_kafka.c - the Kafka adapter keeps the contract, against a real broker; and
 * what is its own: settings, truncation, restarts, speed of closing
 *
 * BUSLINE_TEST_KAFKA=host:port is a broker to use; without it the suite starts one and
 * removes it. BUSLINE_TEST_KAFKA_DIR is the folder in which ops/kafka/kafka started the
 * given one, if it may be killed and started again; without it that case starts its own. A
 * broker that cannot be had fails the suite.
 */
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/filler.h"
#include "core/id.h"
#include "tests/conformance/suite_scene.h"

#define SCRIPT "ops/kafka/kafka"

static char broker[200]; /* host:port[,host:port] */
static char folder[200]; /* of the broker's data, empty: not ours to restart */
static bool broker_is_ours;

/* ---- the broker ---- */

/* Runs the script with words; its standard output goes to ret_line, cut at the line's end. */
static int
script(const char *words, char *ret_line, size_t size)
{
	char command[512];

	snprintf(command, sizeof(command), "%s %s --dir '%s'", SCRIPT, words, folder);
	FILE *output = popen(command, "r");

	if (output == NULL) {
		return -1;
	}
	char line[256] = "";

	while (fgets(line, sizeof(line), output) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (ret_line != NULL) {
			snprintf(ret_line, size, "%s", line);
		}
	}
	return pclose(output);
}

static void
trim(const char *topic, int32_t partition, int64_t new_start)
{
	char text[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	rd_kafka_conf_set(conf, "bootstrap.servers", broker, text, sizeof(text));
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);

	rd_kafka_topic_partition_list_add(list, topic, partition)->offset = new_start;
	rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);

	rd_kafka_DeleteRecords(rk, &request, 1, NULL, queue);
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, BUS_SUITE_MS);

	CU_ASSERT_PTR_NOT_NULL_FATAL(event);
	CU_ASSERT_EQUAL_FATAL(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
	const rd_kafka_topic_partition_list_t *result =
		rd_kafka_DeleteRecords_result_offsets(
			rd_kafka_event_DeleteRecords_result(event));

	CU_ASSERT_EQUAL_FATAL(result->elems[0].err, RD_KAFKA_RESP_ERR_NO_ERROR);
	CU_ASSERT_EQUAL(result->elems[0].offset, new_start);
	rd_kafka_event_destroy(event);
	rd_kafka_DeleteRecords_destroy(request);
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_queue_destroy(queue);
	rd_kafka_destroy(rk);
}

static void
broker_use(const char *address)
{
	if (address != broker) {
		snprintf(broker, sizeof(broker), "%s", address);
	}
	snprintf(bus_fixture.url, sizeof(bus_fixture.url), "kafka://%s", broker);
}

/* Starts a broker in a new folder and uses it. */
static int
broker_start(void)
{
	const char *temporary = getenv("TMPDIR");

	snprintf(folder, sizeof(folder), "%s/busline-kafka-XXXXXX",
		 temporary != NULL ? temporary : "/tmp");
	if (mkdtemp(folder) == NULL || script("start", broker, sizeof(broker)) != 0) {
		fputs("no Kafka: " SCRIPT " could not start one\n", stderr);
		(void)script("remove", NULL, 0);
		return 1;
	}
	broker_use(broker);
	return 0;
}

static int
setup(void)
{
	const char *address = getenv("BUSLINE_TEST_KAFKA");
	const char *dir = getenv("BUSLINE_TEST_KAFKA_DIR");

	bus_fixture.trim = trim;
	if (address == NULL) {
		broker_is_ours = true;
		return broker_start();
	}
	snprintf(folder, sizeof(folder), "%s", dir != NULL ? dir : "");
	broker_use(address);
	return 0;
}

static int
teardown(void)
{
	return broker_is_ours ? script("remove", NULL, 0) : 0;
}

static bus_status
open_with(const char *url, const char *properties, bus_adapter **ret_adapter,
	  bus_error *err)
{
	const bus_adapter_options options = {
		.url = url,
		.properties = properties,
		.client_id = "conformance",
		.clock = bus_clock_system(),
	};

	return bus_adapter_open(&options, ret_adapter, err);
}

/* ---- settings ---- */

static void
case_urls(void)
{
	static const char *const urls[] = { "kafka:", "kafka://", "kafka:127.0.0.1:9092",
					    "kafka://127.0.0.1:9092/topic",
					    "kafka://127.0.0.1:9092 " };
	bus_adapter *adapter = NULL;

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		BUS_SUITE_FATAL(open_with(urls[i], NULL, &adapter, &err), urls[i]);
	}
	CU_ASSERT_PTR_NULL(adapter);
}

static void
case_properties(void)
{
	static const struct {
		const char *properties;
		const char *says; /* NULL: taken */
	} rows[] = {
		{ "linger.ms=1  socket.nagle.disable=false", NULL },
		{ "", NULL },
		{ "linger.ms", "not name=value" },
		{ "no.such.property=1",
		  "No such configuration property: \"no.such.property\"" },
		{ "linger.ms=soon", "linger.ms" },
		{ "security.protocol=ssl ssl.ca.location=/no/such/file",
		  "ssl.ca.location failed" },
		{ "enable.idempotence=false", "always true: off by default" },
		{ "auto.offset.reset=earliest", "always error" },
		{ "enable.auto.commit=true", "always false" },
		{ "partition.assignment.strategy=cooperative-sticky", "always range" },
		{ "acks=1", "always all" },
		{ "group.id=other", "has a setting of its own" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bus_adapter *adapter = NULL;

		if (rows[i].says == NULL) {
			BUS_SUITE_OK(open_with(bus_fixture.url, rows[i].properties,
					       &adapter, &err));
		} else {
			BUS_SUITE_FATAL(open_with(bus_fixture.url, rows[i].properties,
						  &adapter, &err),
					rows[i].says);
		}
		bus_adapter_close(adapter);
	}
}

/* ---- a log that is cut off while it is read ---- */

static void
case_cut_while_reading(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);
	bus_suite_reader reader;
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;

	bus_suite_fill(adapter, topic, 0, 0, 100);
	bus_suite_reader_init(&reader, adapter, topic);
	bus_suite_reader_start(&reader, 1);
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, 100));
	bus_adapter_stop(adapter);
	bus_suite_fill(adapter, topic, 0, 100, 100);
	trim(topic, 0, 150);
	bus_suite_reader_start(&reader, 1);
	while (reader.holds == 0 && bus_suite_now() < deadline) {
		(void)bus_suite_reader_poll(&reader, 100);
	}
	CU_ASSERT_EQUAL(reader.holds, 1);
	CU_ASSERT_EQUAL(reader.hold.offset, 100);
	reader.next[0] = 150;
	bus_suite_reader_start(&reader, 1);
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, 200));
	CU_ASSERT_EQUAL(reader.wrong, 0);
	CU_ASSERT_EQUAL(reader.holds, 1);
	bus_adapter_close(adapter);
}

/* ---- foreign transactions ---- */

/* One event in a transaction of a foreign producer, kept or not. */
static void
transact(const char *topic, const char *value, bool commit)
{
	char text[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	rd_kafka_conf_set(conf, "bootstrap.servers", broker, text, sizeof(text));
	rd_kafka_conf_set(conf, "transactional.id", topic, text, sizeof(text));
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));

	CU_ASSERT_PTR_NULL_FATAL(rd_kafka_init_transactions(rk, BUS_SUITE_MS));
	CU_ASSERT_PTR_NULL_FATAL(rd_kafka_begin_transaction(rk));
	CU_ASSERT_EQUAL(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic),
					  RD_KAFKA_V_VALUE((void *)(uintptr_t)value,
							   strlen(value)),
					  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
					  RD_KAFKA_V_END),
			RD_KAFKA_RESP_ERR_NO_ERROR);
	rd_kafka_flush(rk, BUS_SUITE_MS);
	CU_ASSERT_PTR_NULL_FATAL(commit ? rd_kafka_commit_transaction(rk, BUS_SUITE_MS) :
					  rd_kafka_abort_transaction(rk, BUS_SUITE_MS));
	rd_kafka_destroy(rk);
}

/* A transaction's end takes an offset and delivers nothing. At the end of a log that looks
 * like a consumer that has fallen silent, and it is made to fetch again: nothing may come
 * twice or be left out for that. */
static void
case_transactions(void)
{
	const bus_poll_limit limit = { 100, 1 << 20, 500 };
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);
	const bus_position start = { topic, 0, 0 };
	int64_t silent_until = 0;

	bus_suite_put(adapter, topic, 0, "before");
	transact(topic, "aborted", false);
	transact(topic, "committed", true);
	BUS_SUITE_OK(bus_adapter_start(adapter, &start, 1, &err));
	CU_ASSERT_TRUE(bus_str_is(bus_suite_next(adapter)->record.value, "before"));
	CU_ASSERT_TRUE(bus_str_is(bus_suite_next(adapter)->record.value, "committed"));
	silent_until = bus_suite_now() + 12000;
	while (bus_suite_now() < silent_until) {
		bus_poll poll = { 0 };

		BUS_SUITE_OK(bus_adapter_poll(adapter, &limit, &poll, &err));
		CU_ASSERT(poll.kind == BUS_POLL_DELIVERIES && poll.count == 0);
	}
	CU_ASSERT_EQUAL(bus_suite_put(adapter, topic, 0, "after"), 5);
	const bus_delivery *delivery = bus_suite_next(adapter);

	CU_ASSERT_EQUAL(delivery->offset, 5);
	CU_ASSERT_TRUE(bus_str_is(delivery->record.value, "after"));
	bus_adapter_close(adapter);
}

/* ---- a seal and what others do ---- */

/* What a client of another make says about a topic, or its former limit: the tool of the
 * distribution would be slower. */
static void
set_limit(const char *topic, const char *retention, const char *limit)
{
	char text[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	rd_kafka_conf_set(conf, "bootstrap.servers", broker, text, sizeof(text));
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_ConfigResource_t *resource =
		rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);

	rd_kafka_ConfigResource_set_config(resource, "retention.ms", retention);
	if (limit != NULL) {
		rd_kafka_ConfigResource_set_config(resource, "max.message.bytes", limit);
	}
	rd_kafka_AlterConfigs(rk, &resource, 1, NULL, queue);
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, BUS_SUITE_MS);

	CU_ASSERT_PTR_NOT_NULL_FATAL(event);
	CU_ASSERT_EQUAL(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
	rd_kafka_event_destroy(event);
	rd_kafka_ConfigResource_destroy(resource);
	rd_kafka_queue_destroy(queue);
	rd_kafka_destroy(rk);
}

static void
case_seal_settings(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);
	bus_arena *arena = bus_arena_create(4096);
	bus_topic_info *info = NULL;
	size_t count = 0;
	char *value = calloc(1, 50000);
	bus_publication large = { .topic = topic, .record.value = { value, 50000 } };

	set_limit(topic, "7777777", NULL);
	BUS_SUITE_OK(bus_adapter_seal(adapter, topic, true, 10000, &err));
	BUS_SUITE_OK(bus_adapter_seal(adapter, topic, false, 10000, &err));
	BUS_SUITE_OK(bus_adapter_topic_list(adapter, topic, 10000, arena, &info, &count,
					    &err));
	CU_ASSERT_EQUAL_FATAL(count, 1);
	CU_ASSERT_EQUAL(info[0].retention_ms, 7777777);
	/* a limit of the topic's own is no seal, and a seal would not give it back */
	set_limit(topic, "7777777", "20000");
	BUS_SUITE_FATAL(bus_adapter_seal(adapter, topic, true, 10000, &err), "20000");
	BUS_SUITE_OK(bus_adapter_seal(adapter, topic, false, 10000, &err));
	BUS_SUITE_FATAL(bus_adapter_publish(adapter, &large, 1, 10000, &err), topic);
	CU_ASSERT_EQUAL(large.outcome, BUS_OUTCOME_FAILED);
	free(value);
	bus_arena_destroy(arena);
	bus_adapter_close(adapter);
}

/* A transaction of another producer that is open when the topic is sealed: its end is part of
 * the log before anything is said to be sealed, and its producer can go on. */
static void
case_seal_transaction(void)
{
	char text[256];
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 1);
	const char *value =
		"a value as large as that of the smallest event, which has more";
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	bus_error open_err = BUS_ERROR_INIT;
	int64_t end = -1;

	rd_kafka_conf_set(conf, "bootstrap.servers", broker, text, sizeof(text));
	rd_kafka_conf_set(conf, "transactional.id", topic, text, sizeof(text));
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));

	CU_ASSERT_PTR_NULL_FATAL(rd_kafka_init_transactions(rk, BUS_SUITE_MS));
	for (int round = 0; round < 2; round++) {
		CU_ASSERT_PTR_NULL_FATAL(rd_kafka_begin_transaction(rk));
		CU_ASSERT_EQUAL(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic),
						  RD_KAFKA_V_VALUE((void *)(uintptr_t)value,
								   strlen(value)),
						  RD_KAFKA_V_END),
				RD_KAFKA_RESP_ERR_NO_ERROR);
		rd_kafka_flush(rk, BUS_SUITE_MS);
		/* a busy machine may need longer to come to the transaction */
		bool told = false;

		for (int wait_ms = 1000; !told && wait_ms <= 16000; wait_ms *= 2) {
			bus_error_reset(&open_err);
			CU_ASSERT_EQUAL(bus_adapter_seal(adapter, topic, true, wait_ms,
							 &open_err),
					BUS_E_RETRY);
			told = strstr(open_err.text, "open transaction") != NULL;
		}
		CU_ASSERT_TRUE(told);
		CU_ASSERT_PTR_NULL_FATAL(rd_kafka_commit_transaction(rk, BUS_SUITE_MS));
		BUS_SUITE_OK(bus_adapter_seal(adapter, topic, true, 10000, &err));
		BUS_SUITE_OK(bus_adapter_offset(adapter, topic, 0, BUS_OFFSET_LATEST, 0,
						10000, &end, &err));
		/* the value and its mark, and behind them a record that can be read */
		CU_ASSERT(end >= 3 * (round + 1));
		const bus_position last = { topic, 0, end - 1 };

		BUS_SUITE_OK(bus_adapter_start(adapter, &last, 1, &err));
		const bus_delivery *delivery = bus_suite_next(adapter);

		CU_ASSERT_EQUAL(delivery->offset, end - 1);
		CU_ASSERT_TRUE(bus_is_filler(&delivery->record));
		bus_adapter_stop(adapter);
		BUS_SUITE_OK(bus_adapter_seal(adapter, topic, false, 10000, &err));
	}
	const bus_position start = { topic, 0, 0 };

	BUS_SUITE_OK(bus_adapter_start(adapter, &start, 1, &err));
	for (int seen = 0; seen < 2;) {
		seen += bus_str_is(bus_suite_next(adapter)->record.value, value);
	}
	rd_kafka_destroy(rk);
	bus_adapter_close(adapter);
}

/* ---- a broker that goes and comes ---- */

/* A broker that somebody else counts on is not killed: this case gets its own. */
static bool
broker_borrow(void)
{
	if (folder[0] != '\0') {
		return false;
	}
	CU_ASSERT_EQUAL_FATAL(broker_start(), 0);
	return true;
}

/* Gives it back, and uses the given one again. */
static void
broker_return(bool borrowed, const char *given)
{
	if (borrowed) {
		CU_ASSERT_EQUAL(script("remove", NULL, 0), 0);
		folder[0] = '\0';
		broker_use(given);
	}
}

static void
case_restart(void)
{
	char given[sizeof(broker)];
	bus_suite_scene scene;

	snprintf(given, sizeof(given), "%s", broker);
	bool borrowed = broker_borrow();

	bus_suite_scene_open(&scene);
	CU_ASSERT_TRUE(bus_suite_scene_until(&scene, 200));
	bus_suite_pump_once(&scene.late, 5000);
	CU_ASSERT_EQUAL(scene.late.durable, 10);
	CU_ASSERT_EQUAL_FATAL(script("kill", NULL, 0), 0);
	int before = scene.pump.durable;

	for (int i = 0; i < 3; i++) {
		bus_suite_pump_once(&scene.pump, 300);
		(void)bus_suite_reader_poll(&scene.group, 100);
		(void)bus_suite_reader_poll(&scene.alone, 100);
	}
	CU_ASSERT_EQUAL(scene.pump.durable, before);
	/* never sent, and known not to be */
	bus_suite_pump_once(&scene.late, 300);
	CU_ASSERT_EQUAL(scene.late.failed, 10);
	CU_ASSERT_EQUAL_FATAL(script("start", NULL, 0), 0);
	CU_ASSERT_TRUE(bus_suite_scene_until(&scene, before + 200));
	CU_ASSERT_EQUAL(scene.group.wrong + scene.alone.wrong, 0);
	CU_ASSERT_EQUAL(scene.group.holds + scene.alone.holds, 0);
	(void)bus_suite_values_check(scene.pump.topic, scene.pump.durable);
	bus_suite_scene_close(&scene);
	broker_return(borrowed, given);
}

/* ---- a log whose bytes are not what was written ---- */

/* Flips one bit in the log of partition 0, where the text is, as the broker runs: it does
 * not look at what it sends. */
static bool
flip(const char *topic, const char *text)
{
	char command[600];

	snprintf(command, sizeof(command),
		 "file=$(find '%s' -path '*/%s-0/*.log') && at=$(grep -abo '%s' \"$file\" | "
		 "head -n 1 | cut -d : -f 1) && test -n \"$at\" && printf '?' | "
		 "dd of=\"$file\" bs=1 seek=\"$at\" conv=notrunc 2>/dev/null",
		 folder, topic, text);
	return system(command) == 0;
}

static void
case_damaged(void)
{
	char given[sizeof(broker)];

	snprintf(given, sizeof(given), "%s", broker);
	bool borrowed = broker_borrow();
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 2);
	bus_suite_reader reader;
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;

	bus_suite_fill(adapter, topic, 0, 0, 20);
	bus_suite_put(adapter, topic, 0, "a value that will not be as it was");
	bus_suite_fill(adapter, topic, 0, 21, 20);
	bus_suite_fill(adapter, topic, 1, 0, 50);
	CU_ASSERT_TRUE_FATAL(flip(topic, "a value that will not be as it was"));
	bus_suite_reader_init(&reader, adapter, topic);
	for (int start = 1; start <= 2; start++) {
		bus_suite_reader_start(&reader, 2);
		while ((reader.damages < start || reader.next[1] < 50) &&
		       bus_suite_now() < deadline) {
			(void)bus_suite_reader_poll(&reader, 50);
		}
		CU_ASSERT_EQUAL_FATAL(reader.damages, start);
		CU_ASSERT_EQUAL(reader.hold.partition, 0);
		CU_ASSERT_EQUAL(reader.hold.offset, 20);
		for (int i = 0; i < 6; i++) {
			CU_ASSERT_EQUAL(bus_suite_reader_poll(&reader, 50), 0);
		}
		CU_ASSERT_EQUAL(reader.next[0], 20);
		CU_ASSERT_EQUAL(reader.next[1], 50);
		CU_ASSERT_EQUAL(reader.damages, start);
	}
	reader.next[0] = 21;
	bus_suite_reader_start(&reader, 2);
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, 41));
	CU_ASSERT_EQUAL(reader.wrong + reader.holds, 0);
	CU_ASSERT_EQUAL(reader.damages, 2);
	bus_adapter_close(adapter);
	broker_return(borrowed, given);
}

/* ---- nobody there ---- */

static void
case_unreachable(void)
{
	bus_adapter *adapter = NULL;
	const bus_topic_spec spec = { "suite.nobody", 1, 1, -1, 0, 1 };
	bus_publication publication = { .topic = "suite.nobody",
					.record.value = BUS_STR("v") };
	bus_topic_info info;
	bus_arena *arena = bus_arena_create(4096);
	bus_topic_info *topics = NULL;
	size_t topic_count = 0;
	bool made = false;
	int32_t count = 0;
	int64_t offset = 0;
	int64_t begin = bus_suite_now();

	/* port 1: refused at once */
	BUS_SUITE_OK(open_with("kafka://127.0.0.1:1", NULL, &adapter, &err));
	bus_error err = BUS_ERROR_INIT;

	CU_ASSERT_EQUAL(bus_adapter_topic_ensure(adapter, &spec, 300, &info, &made, &err),
			BUS_E_RETRY);
	CU_ASSERT_EQUAL(bus_adapter_topic_list(adapter, "", 300, arena, &topics,
					       &topic_count, &err),
			BUS_E_RETRY);
	CU_ASSERT_EQUAL(bus_adapter_partitions(adapter, "suite.nobody", 300, &count, &err),
			BUS_E_RETRY);
	CU_ASSERT_EQUAL(bus_adapter_offset(adapter, "suite.nobody", 0, BUS_OFFSET_LATEST,
					   0, 300, &offset, &err),
			BUS_E_RETRY);
	CU_ASSERT_EQUAL(bus_adapter_publish(adapter, &publication, 1, 300, &err),
			BUS_E_RETRY);
	CU_ASSERT_EQUAL(publication.outcome, BUS_OUTCOME_FAILED);
	CU_ASSERT(bus_suite_now() < begin + 6000);
	bus_arena_destroy(arena);
	bus_adapter_close(adapter);
	CU_ASSERT(bus_suite_now() < begin + 6000 + BUS_CLOSE_MS_MAX);
}

static void
case_poll_unreachable(void)
{
	const bus_poll_limit limit = { 10, 1000, 200 };
	bus_adapter *adapter = NULL;
	bus_poll poll;
	bus_status status = BUS_OK;
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;

	BUS_SUITE_OK(open_with("kafka://127.0.0.1:1", NULL, &adapter, &err));
	BUS_SUITE_OK(bus_adapter_join(adapter, "nobody", "suite.nobody", &err));
	while (status == BUS_OK && bus_suite_now() < deadline) {
		bus_error err = BUS_ERROR_INIT;

		status = bus_adapter_poll(adapter, &limit, &poll, &err);
	}
	CU_ASSERT_EQUAL(status, BUS_E_RETRY);
	int64_t begin = bus_suite_now();

	bus_adapter_close(adapter);
	CU_ASSERT(bus_suite_now() < begin + BUS_CLOSE_MS_MAX + 500);
}

static const bus_case cases[] = {
	BUS_ADAPTER_CASES{ "URLs are taken by the letter", case_urls },
	{ "properties are librdkafka's, those a guarantee needs are fixed",
	  case_properties },
	{ "a log cut off below the position holds the partition", case_cut_while_reading },
	{ "what a transaction aborted is not delivered, its marks are no loss",
	  case_transactions },
	{ "a seal leaves a topic's other settings, and its own limit, alone",
	  case_seal_settings },
	{ "a seal waits for open transactions and does not break them",
	  case_seal_transaction },
	{ "a broker killed and started again: nothing lost, order kept", case_restart },
	{ "a damaged batch is told with its place, others go on", case_damaged },
	{ "with nobody there every question is RETRY in time, closing too",
	  case_unreachable },
	{ "with nobody there a member hears it, and can close", case_poll_unreachable },
	{ "speed", bus_suite_rate },
	{ 0 },
};

const bus_suite_def bus_suite = { "adapter kafka", cases, setup, teardown };
