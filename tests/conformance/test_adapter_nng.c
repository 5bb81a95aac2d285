/*
 * test_adapter_nng.c - the adapter of the embedded broker keeps the contract, against a real
 * `busline broker`; and what is its own: the URL, tokens, restarts, damage on disk, speed
 *
 * BUSLINE_BIN is the program that is started as the broker. It gets a folder of its own and
 * a port of its own, and is ended with the suite.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/arena.h"
#include "tests/conformance/nng_broker.h"
#include "tests/conformance/suite_scene.h"

/* In the broker's folder: its records. */
#define BROKER_FILE "broker.db"

static bus_nng_broker main_broker;

static void
trim(const char *topic, int32_t partition, int64_t new_start)
{
	bus_adapter *adapter = bus_suite_open();

	BUS_SUITE_OK(bus_adapter_trim(adapter, topic, partition, new_start, 10000, &err));
	bus_adapter_close(adapter);
}

static int
setup(void)
{
	bus_fixture.trim = trim;
	bus_fixture.own_time = true;
	if (!bus_nng_broker_start(&main_broker)) {
		fprintf(stderr, "no broker: %s could not be started, see %s/broker.log\n",
			bus_nng_broker_program(), main_broker.folder);
		return 1;
	}
	snprintf(bus_fixture.url, sizeof(bus_fixture.url), "%s", main_broker.url);
	return 0;
}

static int
teardown(void)
{
	bus_nng_broker_remove(&main_broker);
	return 0;
}

/* ---- where the broker is, and how to speak to it ---- */

static bus_status
try_open(const char *url, const char *properties, bus_error *err)
{
	const bus_adapter_options options = { .url = url,
					      .properties = properties,
					      .clock = bus_clock_system() };
	bus_adapter *adapter = NULL;
	bus_status status = bus_adapter_open(&options, &adapter, err);

	CU_ASSERT_EQUAL(status == BUS_OK, adapter != NULL);
	bus_adapter_close(adapter);
	return status;
}

static void
case_urls(void)
{
	static const char *const wrong[] = {
		"nng:",
		"nng+tcp:",
		"nng+tcp://",
		"nng+tcp://127.0.0.1",
		"nng+tcp://127.0.0.1:",
		"nng+tcp://127.0.0.1:0",
		"nng+tcp://127.0.0.1:65536",
		"nng+tcp://127.0.0.1:74x",
		"nng+tcp://:7440",
		"nng+tcp://*:7440",
		"nng+tcp://127.0.0.1:7440/",
		"nng+tcp://127.0.0.1:7440 ",
		"nng+tcp://a@127.0.0.1:7440",
		"nng+ipc:///tmp/x",
		"nng+ws://127.0.0.1:7440",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		BUS_SUITE_FATAL(try_open(wrong[i], NULL, &err), wrong[i]);
	}
	BUS_SUITE_OK(try_open("nng+tcp://localhost:7440", NULL, &err));
	BUS_SUITE_OK(try_open("nng+tcp://[::1]:7440", "", &err));
}

static void
write_file(char *path, size_t size, const char *name, const char *text)
{
	snprintf(path, size, "%s/%s", main_broker.folder, name);
	FILE *file = fopen(path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fputs(text, file);
	fclose(file);
}

static void
case_properties(void)
{
	char path[300];
	char properties[400];

	write_file(path, sizeof(path), "empty", "\n");
	snprintf(properties, sizeof(properties), "token-file=%s", path);
	BUS_SUITE_FATAL(try_open(main_broker.url, properties, &err), "empty");
	write_file(path, sizeof(path), "token", "some words\n");
	snprintf(properties, sizeof(properties), "  token-file=%s ", path);
	BUS_SUITE_OK(try_open(main_broker.url, properties, &err));
	BUS_SUITE_FATAL(try_open(main_broker.url, "token-file=/no/such", &err),
			"/no/such");
	BUS_SUITE_FATAL(try_open(main_broker.url, "token-file=", &err), "token-file=PATH");
	BUS_SUITE_FATAL(try_open(main_broker.url, "linger.ms=1", &err), "linger.ms=1");
	BUS_SUITE_FATAL(try_open(main_broker.url, "tls-ca-file=/x", &err), "tls-ca-file");
	BUS_SUITE_FATAL(try_open("nng+tls+tcp://127.0.0.1:1", NULL, &err), "tls-ca-file");
	BUS_SUITE_FATAL(try_open("nng+tls+tcp://127.0.0.1:1", "tls-ca-file=/no/such",
				 &err),
			"/no/such");
}

static void
case_session(void)
{
	static const int64_t wrong[] = { 1, 499, 300001 };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const bus_adapter_options options = { .url = main_broker.url,
						      .session_ms = wrong[i],
						      .clock = bus_clock_system() };
		bus_adapter *adapter = NULL;

		BUS_SUITE_FATAL(bus_adapter_open(&options, &adapter, &err), "session");
	}
}

/* ---- who may ---- */

/* Everything is refused, nothing is written, and it is said why. */
static void
check_denied(bus_adapter *adapter)
{
	const bus_topic_spec spec = {
		.name = "suite.denied", .partitions = 1, .replication = 1, .min_isr = 1
	};
	const bus_poll_limit limit = { 10, 1000, 200 };
	const bus_position start = { "suite.token", 0, 0 };
	bus_publication publication = { .topic = "suite.token",
					.record.value = BUS_STR("v") };
	bus_topic_info info;
	bus_poll poll;
	bool made;
	int32_t count;
	int64_t offset;

	BUS_SUITE_FATAL(bus_adapter_partitions(adapter, "suite.token", 5000, &count, &err),
			"denied");
	BUS_SUITE_FATAL(bus_adapter_topic_ensure(adapter, &spec, 5000, &info, &made, &err),
			"denied");
	BUS_SUITE_FATAL(bus_adapter_offset(adapter, "suite.token", 0, BUS_OFFSET_LATEST,
					   0, 5000, &offset, &err),
			"denied");
	BUS_SUITE_FATAL(bus_adapter_publish(adapter, &publication, 1, 5000, &err),
			"denied");
	CU_ASSERT_EQUAL(publication.outcome, BUS_OUTCOME_FAILED);
	BUS_SUITE_OK(bus_adapter_start(adapter, &start, 1, &err));
	for (int i = 0; i < 2; i++) {
		bus_status status = BUS_OK;
		int64_t deadline = bus_suite_now() + BUS_SUITE_MS;

		/* reading, then as a member */
		while (status != BUS_E_FATAL && bus_suite_now() < deadline) {
			bus_error err = BUS_ERROR_INIT;

			status = bus_adapter_poll(adapter, &limit, &poll, &err);
		}
		CU_ASSERT_EQUAL(status, BUS_E_FATAL);
		bus_adapter_stop(adapter);
		bus_adapter_leave(adapter);
		BUS_SUITE_OK(bus_adapter_join(adapter, "group", "suite.token", &err));
	}
	bus_adapter_close(adapter);
}

static void
case_token(void)
{
	char right[300];
	char wrong[300];
	char properties[400];
	const bus_topic_spec spec = {
		.name = "suite.token", .partitions = 1, .replication = 1, .min_isr = 1
	};
	bus_topic_info info;
	bool made = false;
	bus_nng_broker guarded = { .token_file = right };

	write_file(right, sizeof(right), "right", "a long sentence that nobody knows\n");
	write_file(wrong, sizeof(wrong), "wrong", "a long sentence that nobody knew\n");
	CU_ASSERT_TRUE_FATAL(bus_nng_broker_start(&guarded));
	/* the newline at its end is the editor's, not the token's */
	write_file(right, sizeof(right), "right", "a long sentence that nobody knows");
	snprintf(properties, sizeof(properties), "token-file=%s", right);
	bus_adapter *adapter = bus_nng_broker_open(&guarded, properties, 0, NULL);

	BUS_SUITE_OK(bus_adapter_topic_ensure(adapter, &spec, 10000, &info, &made, &err));
	CU_ASSERT_TRUE(made);
	check_denied(bus_nng_broker_open(&guarded, NULL, 0, NULL));
	snprintf(properties, sizeof(properties), "token-file=%s", wrong);
	check_denied(bus_nng_broker_open(&guarded, properties, 0, NULL));
	CU_ASSERT_EQUAL(bus_suite_put(adapter, "suite.token", 0, "v"), 0);
	bus_adapter_close(adapter);
	bus_nng_broker_remove(&guarded);
}

/* A certificate that vouches for itself, and its key, in one file. */
static bool
make_certificate(char *path, size_t size, const char *name)
{
	char command[2000];

	snprintf(path, size, "%s/%s.pem", main_broker.folder, name);
	snprintf(command, sizeof(command),
		 "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 "
		 "-keyout %s.key -out %s >/dev/null 2>&1 && cat %s.key >>%s",
		 path, path, path, path);
	return system(command) == 0;
}

static void
case_tls(void)
{
	char ours[300];
	char theirs[300];
	char properties[400];
	bus_nng_broker secret = { .tls_file = ours, .properties = properties };
	bus_topic_spec spec = {
		.name = "suite.tls", .partitions = 1, .replication = 1, .min_isr = 1
	};
	bus_topic_info info;
	bus_error refused = BUS_ERROR_INIT;
	bool made = false;

	CU_ASSERT_TRUE_FATAL(make_certificate(ours, sizeof(ours), "ours"));
	CU_ASSERT_TRUE_FATAL(make_certificate(theirs, sizeof(theirs), "theirs"));
	snprintf(properties, sizeof(properties), "tls-ca-file=%s", ours);
	CU_ASSERT_TRUE_FATAL(bus_nng_broker_start(&secret));
	bus_adapter *adapter = bus_nng_broker_open(&secret, properties, 0, NULL);
	bus_suite_reader reader;

	BUS_SUITE_OK(bus_adapter_topic_ensure(adapter, &spec, 10000, &info, &made, &err));
	bus_suite_fill(adapter, spec.name, 0, 0, 20000);
	bus_suite_reader_init(&reader, adapter, spec.name);
	bus_suite_reader_start(&reader, 1);
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, 20000));
	CU_ASSERT_EQUAL(reader.wrong, 0);
	bus_adapter_close(adapter);
	/* somebody else answers there: not spoken to */
	snprintf(properties, sizeof(properties), "tls-ca-file=%s", theirs);
	adapter = bus_nng_broker_open(&secret, properties, 0, NULL);
	CU_ASSERT_EQUAL(bus_adapter_topic_ensure(adapter, &spec, 1000, &info, &made,
						 &refused),
			BUS_E_RETRY);
	bus_adapter_close(adapter);
	bus_nng_broker_remove(&secret);
}

/* ---- a broker that goes and comes ---- */

static void
case_restart(void)
{
	static const int signals[] = { SIGKILL, SIGTERM };
	bus_suite_scene scene;

	bus_suite_scene_open(&scene);
	for (int round = 0; round < 2; round++) {
		int before = scene.pump.durable;

		CU_ASSERT_TRUE(bus_suite_scene_until(&scene, before + 200));
		bus_suite_pump_once(&scene.late, 5000);
		CU_ASSERT_EQUAL(scene.late.durable, 10 * (round + 1));
		bus_nng_broker_signal(&main_broker, signals[round]);
		before = scene.pump.durable;
		for (int i = 0; i < 3; i++) {
			bus_suite_pump_once(&scene.pump, 300);
			(void)bus_suite_reader_poll(&scene.group, 100);
			(void)bus_suite_reader_poll(&scene.alone, 100);
		}
		CU_ASSERT_EQUAL(scene.pump.durable, before);
		/* never sent, and known not to be */
		bus_suite_pump_once(&scene.late, 300);
		CU_ASSERT_EQUAL(scene.late.failed, 10 * (round + 1));
		CU_ASSERT_TRUE_FATAL(bus_nng_broker_again(&main_broker));
		CU_ASSERT_TRUE(bus_suite_scene_until(&scene, before + 200));
	}
	/* its generation was of another life: it hears so, and joins again */
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;

	while (scene.group.revocations < 2 && bus_suite_now() < deadline) {
		(void)bus_suite_reader_poll(&scene.group, 50);
	}
	CU_ASSERT(scene.group.revocations >= 2);
	CU_ASSERT_EQUAL(scene.group.wrong + scene.alone.wrong, 0);
	CU_ASSERT_EQUAL(scene.group.holds + scene.alone.holds, 0);
	(void)bus_suite_values_check(scene.pump.topic, scene.pump.durable);
	bus_suite_scene_close(&scene);
}

/* Publishes all the time, a call may take as long as it takes. */
typedef struct publishing {
	const char *topic;
	pthread_t thread;
	atomic_bool end;
	atomic_int calls;
	int durable;
	int other;
} publishing;

static void *
publish_on(void *argument)
{
	publishing *self = argument;
	bus_suite_pump pump = { .adapter = bus_suite_open(), .topic = self->topic };

	while (!self->end) {
		bus_publication batch[50] = { 0 };
		bus_error err = BUS_ERROR_INIT;
		char values[50][16];

		for (int i = 0; i < 50; i++) {
			snprintf(values[i], sizeof(values[i]), "%d", self->durable + i);
			batch[i].topic = self->topic;
			batch[i].record.value = bus_str_from(values[i]);
		}
		if (bus_adapter_publish(pump.adapter, batch, 50, BUS_SUITE_MS, &err) ==
		    BUS_OK) {
			self->durable += 50;
		} else {
			self->other++;
			fprintf(stderr, "\n%s\n", err.text);
		}
		self->calls++;
	}
	bus_adapter_close(pump.adapter);
	return NULL;
}

/* A request that was on its way when the broker died is sent again to the next one, which
 * knows whether it was done: each event is in the log once, without anybody's help. */
static void
case_killed_in_publish(void)
{
	bus_adapter *adapter = bus_suite_open();
	publishing writer = { .topic = bus_suite_topic(adapter, 1) };

	CU_ASSERT_EQUAL_FATAL(pthread_create(&writer.thread, NULL, publish_on, &writer),
			      0);
	for (int round = 0; round < 6; round++) {
		int64_t deadline = bus_suite_now() + BUS_SUITE_MS;
		int calls = writer.calls + 10 + round;

		while (writer.calls < calls && bus_suite_now() < deadline) {
			usleep(1000);
		}
		CU_ASSERT(writer.calls >= calls);
		bus_nng_broker_signal(&main_broker, SIGKILL);
		CU_ASSERT_TRUE_FATAL(bus_nng_broker_again(&main_broker));
	}
	writer.end = true;
	pthread_join(writer.thread, NULL);
	CU_ASSERT_EQUAL(writer.other, 0);
	CU_ASSERT_EQUAL(bus_suite_values_check(writer.topic, writer.durable),
			writer.durable);
	int64_t end = 0;

	BUS_SUITE_OK(bus_adapter_offset(adapter, writer.topic, 0, BUS_OFFSET_LATEST, 0,
					10000, &end, &err));
	CU_ASSERT_EQUAL(end, writer.durable);
	bus_adapter_close(adapter);
}

/* What one has read, the other goes on from, like two workers on one database. */
static void
share(bus_suite_reader *readers, int partitions)
{
	for (int p = 0; p < partitions; p++) {
		int ahead = readers[0].next[p] > readers[1].next[p] ? 0 : 1;

		if (!readers[1 - ahead].mine[p]) {
			readers[1 - ahead].next[p] = readers[ahead].next[p];
		}
	}
}

static void
case_group_killed(void)
{
	bus_adapter *writer = bus_suite_open();
	const char *topic = bus_suite_topic(writer, 4);
	const char *group = bus_suite_name("group");
	bus_suite_reader readers[2];
	int filled = 0;

	for (int i = 0; i < 2; i++) {
		bus_suite_reader_init(&readers[i],
				      bus_nng_broker_open(&main_broker, NULL, 1000, NULL),
				      topic);
		BUS_SUITE_OK(bus_adapter_join(readers[i].adapter, group, topic, &err));
	}
	for (int round = 0; round < 4; round++) {
		int64_t deadline = bus_suite_now() + BUS_SUITE_MS;
		bool done = false;

		for (int p = 0; p < 4; p++) {
			bus_suite_fill(writer, topic, p, filled, 300);
		}
		filled += 300;
		while (!done && bus_suite_now() < deadline) {
			done = readers[0].assigned == 2 && readers[1].assigned == 2;
			for (int i = 0; i < 2; i++) {
				(void)bus_suite_reader_poll(&readers[i], 10);
				share(readers, 4);
			}
			for (int p = 0; p < 4; p++) {
				done = done && readers[0].next[p] == filled &&
				       readers[1].next[p] == filled;
			}
		}
		CU_ASSERT_TRUE(done);
		if (round < 3) {
			bus_nng_broker_signal(&main_broker, SIGKILL);
			CU_ASSERT_TRUE_FATAL(bus_nng_broker_again(&main_broker));
		}
	}
	for (int i = 0; i < 2; i++) {
		CU_ASSERT(readers[i].revocations >= 3);
		CU_ASSERT_EQUAL(readers[i].wrong, 0);
		bus_adapter_close(readers[i].adapter);
	}
	bus_adapter_close(writer);
}

/* ---- members and their owners ---- */

/* A clock that another thread may move. */
static int64_t
shifted_ms(void *ctx)
{
	return bus_suite_now() + atomic_load((atomic_llong *)ctx);
}

static int64_t
shifted_us(void *ctx)
{
	(void)ctx;
	return bus_clock_wall_us(bus_clock_system());
}

/* An owner that has not polled for minutes is stuck: its share goes to another, and when it
 * wakes up it hears that. */
static void
case_stuck(void)
{
	atomic_llong shift = 0;
	const bus_clock clock = { shifted_us, shifted_ms, &shift };
	bus_adapter *writer = bus_suite_open();
	const char *topic = bus_suite_topic(writer, 2);
	const char *group = bus_suite_name("group");
	bus_suite_reader stuck;
	bus_suite_reader other;
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;

	bus_suite_reader_init(&stuck,
			      bus_nng_broker_open(&main_broker, NULL, 600, &clock),
			      topic);
	bus_suite_reader_init(&other, bus_nng_broker_open(&main_broker, NULL, 600, NULL),
			      topic);
	BUS_SUITE_OK(bus_adapter_join(stuck.adapter, group, topic, &err));
	while (stuck.assigned != 2 && bus_suite_now() < deadline) {
		(void)bus_suite_reader_poll(&stuck, 20);
	}
	BUS_SUITE_OK(bus_adapter_join(other.adapter, group, topic, &err));
	int64_t until = bus_suite_now() + 2000;

	/* busy: three sessions without a poll */
	while (bus_suite_now() < until) {
		(void)bus_suite_reader_poll(&other, 20);
	}
	CU_ASSERT_EQUAL(other.assignments, 0);
	atomic_store(&shift, 301000);
	while (other.assigned != 2 && bus_suite_now() < deadline) {
		(void)bus_suite_reader_poll(&other, 20);
	}
	CU_ASSERT_EQUAL(other.assigned, 2);
	CU_ASSERT_EQUAL(stuck.revocations, 0);
	while ((stuck.assigned != 1 || other.assigned != 1) &&
	       bus_suite_now() < deadline) {
		(void)bus_suite_reader_poll(&stuck, 20);
		(void)bus_suite_reader_poll(&other, 20);
	}
	CU_ASSERT(stuck.assigned == 1 && other.assigned == 1);
	CU_ASSERT(stuck.revocations >= 1);
	bus_adapter_close(stuck.adapter);
	bus_adapter_close(other.adapter);
	bus_adapter_close(writer);
}

/* ---- damage on disk ---- */

/* Flips one bit of the first place in a file of the broker that holds the text. */
static int
flip(const char *name, const char *text)
{
	char path[300];
	int found = 0;

	snprintf(path, sizeof(path), "%s/data/%s", main_broker.folder, name);
	int file = open(path, O_RDWR | O_CLOEXEC);
	off_t size = file >= 0 ? lseek(file, 0, SEEK_END) : 0;
	char *bytes = malloc((size_t)size + 1);

	if (size > 0 && pread(file, bytes, (size_t)size, 0) == size) {
		char *at = memmem(bytes, (size_t)size, text, strlen(text));

		if (at != NULL) {
			at[3] ^= 4;
			found = pwrite(file, at + 3, 1, at + 3 - bytes) == 1;
		}
	}
	free(bytes);
	close(file);
	return found;
}

static void
case_damaged(void)
{
	bus_adapter *adapter = bus_suite_open();
	const char *topic = bus_suite_topic(adapter, 2);
	bus_suite_reader reader;
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;

	bus_suite_fill(adapter, topic, 0, 0, 20);
	bus_suite_put(adapter, topic, 0, "a value that will not be as it was");
	bus_suite_fill(adapter, topic, 0, 21, 20);
	bus_suite_fill(adapter, topic, 1, 0, 50);
	bus_nng_broker_signal(&main_broker, SIGTERM);
	CU_ASSERT_EQUAL_FATAL(flip(BROKER_FILE, "a value that will not be as it was"), 1);
	CU_ASSERT_TRUE_FATAL(bus_nng_broker_again(&main_broker));
	bus_suite_reader_init(&reader, adapter, topic);
	for (int start = 1; start <= 2; start++) {
		bus_suite_reader_start(&reader, 2);
		while (reader.damages < start && bus_suite_now() < deadline) {
			(void)bus_suite_reader_poll(&reader, 50);
		}
		CU_ASSERT_EQUAL_FATAL(reader.damages, start);
		CU_ASSERT_STRING_EQUAL(reader.hold.topic, topic);
		CU_ASSERT_EQUAL(reader.hold.partition, 0);
		CU_ASSERT_EQUAL(reader.hold.offset, 20);
		/* what lies before it was delivered, what lies behind it is not */
		CU_ASSERT_EQUAL(reader.next[0], 20);
		for (int i = 0; i < 6; i++) {
			(void)bus_suite_reader_poll(&reader, 50);
		}
		CU_ASSERT_EQUAL(reader.next[0], 20);
		CU_ASSERT_EQUAL(reader.next[1], 50);
		CU_ASSERT_EQUAL(reader.damages, start);
	}
	/* writing goes on, and so does reading once the log begins behind it */
	CU_ASSERT_EQUAL(bus_suite_put(adapter, topic, 0, "new"), 41);
	BUS_SUITE_OK(bus_adapter_trim(adapter, topic, 0, 21, 10000, &err));
	reader.next[0] = 21;
	bus_suite_reader_start(&reader, 2);
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, 42));
	CU_ASSERT_EQUAL(reader.wrong + reader.holds, 0);
	CU_ASSERT_EQUAL(reader.damages, 2);
	bus_adapter_close(adapter);
}

/* ---- nobody there ---- */

static void
case_unreachable(void)
{
	const bus_nng_broker nobody = { .url = "nng+tcp://127.0.0.1:1" };
	const bus_topic_spec spec = {
		.name = "suite.nobody", .partitions = 1, .replication = 1, .min_isr = 1
	};
	bus_adapter *adapter = bus_nng_broker_open(&nobody, NULL, 0, NULL);
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
	CU_ASSERT_EQUAL(bus_adapter_trim(adapter, "suite.nobody", 0, 1, 300, &err),
			BUS_E_RETRY);
	CU_ASSERT_EQUAL(bus_adapter_seal(adapter, "suite.nobody", true, 300, &err),
			BUS_E_RETRY);
	CU_ASSERT(bus_suite_now() < begin + 6000);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "127.0.0.1:1 cannot be reached"));
	bus_arena_destroy(arena);
	bus_adapter_close(adapter);
	CU_ASSERT(bus_suite_now() < begin + 8000);
}

static void
case_poll_unreachable(void)
{
	const bus_nng_broker nobody = { .url = "nng+tcp://127.0.0.1:1" };
	const bus_poll_limit limit = { 10, 1000, 200 };

	for (int member = 0; member < 2; member++) {
		bus_adapter *adapter = bus_nng_broker_open(&nobody, NULL, 0, NULL);
		bus_status status = BUS_OK;
		int64_t deadline = bus_suite_now() + BUS_SUITE_MS;

		if (member) {
			BUS_SUITE_OK(bus_adapter_join(adapter, "nobody", "suite.nobody",
						      &err));
		} else {
			BUS_SUITE_OK(bus_adapter_start(adapter,
						       &(bus_position){ "suite.nobody", 0,
									0 },
						       1, &err));
		}
		while (status == BUS_OK && bus_suite_now() < deadline) {
			bus_error err = BUS_ERROR_INIT;
			bus_poll poll;

			status = bus_adapter_poll(adapter, &limit, &poll, &err);
		}
		CU_ASSERT_EQUAL(status, BUS_E_RETRY);
		int64_t begin = bus_suite_now();

		bus_adapter_close(adapter);
		CU_ASSERT(bus_suite_now() < begin + 2000);
	}
}

/* An adapter that was there before its broker finds it. */
static void
case_broker_late(void)
{
	bus_adapter *adapter = bus_nng_broker_open(&main_broker, NULL, 0, NULL);
	const char *topic = bus_suite_topic(adapter, 1);

	bus_adapter_close(adapter);
	bus_nng_broker_signal(&main_broker, SIGTERM);
	adapter = bus_nng_broker_open(&main_broker, NULL, 0, NULL);
	bus_suite_reader reader;

	bus_suite_reader_init(&reader, adapter, topic);
	bus_suite_reader_start(&reader, 1);
	CU_ASSERT_EQUAL(bus_suite_reader_poll(&reader, 200), 0);
	CU_ASSERT_TRUE_FATAL(bus_nng_broker_again(&main_broker));
	CU_ASSERT_EQUAL(bus_suite_put(adapter, topic, 0, "v"), 0);
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, 1));
	bus_adapter_close(adapter);
}

static const bus_case cases[] = {
	BUS_ADAPTER_CASES{ "URLs are taken by the letter", case_urls },
	{ "properties are files that can be read", case_properties },
	{ "a session is neither too short nor too long", case_session },
	{ "without the token nothing is said, with it everything", case_token },
	{ "over TLS, and only to who can prove it", case_tls },
	{ "a broker killed and started again: nothing lost, order kept", case_restart },
	{ "killed under publish: every call is durable, every event once",
	  case_killed_in_publish },
	{ "killed under a group: members join again, nothing is left out",
	  case_group_killed },
	{ "who is busy keeps its share, who is stuck loses it", case_stuck },
	{ "a damaged record is told with its place, others go on", case_damaged },
	{ "with nobody there every question is RETRY in time, closing too",
	  case_unreachable },
	{ "with nobody there a reader hears it, and can close", case_poll_unreachable },
	{ "a broker that comes later is found", case_broker_late },
	{ "speed", bus_suite_rate },
	{ 0 },
};

const bus_suite_def bus_suite = { "adapter nng", cases, setup, teardown };
