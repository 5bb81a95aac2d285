/*
 * broker_load.c - producers and readers of a broker that is killed under them
 *
 *	broker_load --url URL --topic NAME [--partitions P] [--producers N] [--readers R]
 *		[--timeout-ms T]
 *
 * Every 20 ms a line of progress: records acknowledged, records delivered. When its input
 * ends, producers stop, the whole log is read once more and settled with what producers were
 * told; one line of JSON, exit 0. Exit 1 with a sentence at the first wrong thing: an
 * acknowledged record that is missing, there twice, elsewhere or out of order; an offset
 * with two contents; an offset left out; a position that was read and is past the end.
 */
#include "tests/crash/broker_load.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Records of one publish; now and then far more than usual. */
#define BATCH_USUAL 8
#define BATCH_LARGE 200
#define PAUSE_US_MAX 5000

typedef struct lane {
	load *load;
	size_t number;
	pthread_t thread;
} lane;

void
load_wrong(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fputs("wrong: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	_exit(1);
}

bus_adapter *
load_open(const load *l, const char *role, size_t number)
{
	char name[64];
	snprintf(name, sizeof(name), "load-%s-%zu", role, number);
	const bus_adapter_options options = {
		.url = l->url,
		.client_id = name,
		.clock = bus_clock_system(),
	};
	bus_adapter *adapter = NULL;
	bus_error err = BUS_ERROR_INIT;
	if (bus_adapter_open(&options, &adapter, &err) != BUS_OK) {
		load_wrong("%s: %s", l->url, err.text);
	}
	return adapter;
}

static void *
reserve(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED) {
		load_wrong("%zu bytes of address space: %s", bytes, strerror(errno));
	}
	return memory;
}

static void
pause_us(uint64_t us)
{
	struct timespec span = { .tv_nsec = (long)(us * 1000) };
	nanosleep(&span, NULL);
}

/* ---- producers ---- */

static void
note_outcome(load *l, size_t producer, uint64_t number, const bus_publication *p)
{
	int64_t *fate = &l->fate[producer][p->partition][number];
	switch (p->outcome) {
	case BUS_OUTCOME_DURABLE:
		if (p->ret_partition != p->partition || p->ret_offset < 0) {
			load_wrong("acknowledged at %d@%lld, asked for partition %d",
				   p->ret_partition, (long long)p->ret_offset,
				   p->partition);
		}
		*fate = p->ret_offset + 1;
		load_acknowledged(l, p->ret_offset,
				  &(load_content){ (uint32_t)producer,
						   (uint32_t)p->partition, number });
		atomic_fetch_add(&l->acknowledged, 1);
		return;
	case BUS_OUTCOME_FAILED:
		*fate = LOAD_FAILED;
		atomic_fetch_add(&l->failed, 1);
		return;
	case BUS_OUTCOME_UNCERTAIN:
		*fate = LOAD_UNCERTAIN;
		atomic_fetch_add(&l->uncertain, 1);
		return;
	case BUS_OUTCOME_NONE:
		break;
	}
	load_wrong("publish returned and a record has no outcome");
}

static void
publish_some(load *l, bus_adapter *adapter, size_t producer, uint64_t *numbers,
	     uint64_t *chance)
{
	static _Thread_local char values[BATCH_LARGE][LOAD_VALUE_MAX];
	bus_publication publications[BATCH_LARGE];
	uint64_t used[BATCH_LARGE];
	bool large = load_chance(chance) % 64 == 0;
	size_t count = 1 + load_chance(chance) % (large ? BATCH_LARGE : BATCH_USUAL);

	for (size_t i = 0; i < count; i++) {
		int32_t partition =
			(int32_t)(load_chance(chance) % (uint64_t)l->partitions);
		used[i] = numbers[partition]++;
		if (used[i] >= LOAD_NUMBERS_MAX) {
			load_wrong("more records than this program can remember");
		}
		load_content content = { (uint32_t)producer, (uint32_t)partition,
					 used[i] };
		publications[i] = (bus_publication){
			.topic = l->topic,
			.partition = partition,
			.record.key = BUS_STR("load"),
			.record.value = { values[i], load_value(&content, values[i]) },
		};
	}
	bus_error err = BUS_ERROR_INIT;
	bus_status status =
		bus_adapter_publish(adapter, publications, count, l->timeout_ms, &err);
	if (status == BUS_E_FATAL) {
		load_wrong("publish: %s", err.text);
	}
	for (size_t i = 0; i < count; i++) {
		note_outcome(l, producer, used[i], &publications[i]);
	}
}

static void *
produce(void *arg)
{
	const lane *me = arg;
	load *l = me->load;
	uint64_t chance = 1000 + me->number;
	uint64_t numbers[LOAD_PARTITIONS_MAX] = { 0 };
	bus_adapter *adapter = load_open(l, "producer", me->number);
	while (!l->stop) {
		publish_some(l, adapter, me->number, numbers, &chance);
		pause_us(load_chance(&chance) % PAUSE_US_MAX);
	}
	bus_adapter_close(adapter);
	return NULL;
}

/* ---- readers ---- */

/* From where somebody has read already, or from what is wanted next. */
static void
start_reading(load *l, bus_adapter *adapter, int64_t *next, uint64_t *chance, bool back)
{
	bus_position positions[LOAD_PARTITIONS_MAX];
	for (int32_t p = 0; p < l->partitions; p++) {
		if (back) {
			/* Mostly the newest ones: the kill was there. */
			int64_t end = l->seen_end[p];
			int64_t reach = load_chance(chance) % 4 == 0 ? end : 2000;
			int64_t step =
				(int64_t)(load_chance(chance) % ((uint64_t)reach + 1));
			next[p] = step < end ? end - step : 0;
		}
		positions[p] = (bus_position){ l->topic, p, next[p] };
	}
	bus_error err = BUS_ERROR_INIT;
	if (bus_adapter_start(adapter, positions, (size_t)l->partitions, &err) != BUS_OK) {
		load_wrong("start: %s", err.text);
	}
}

static void
take(load *l, const bus_poll *poll, int64_t *next)
{
	if (poll->kind != BUS_POLL_DELIVERIES) {
		load_wrong("partition %d@%lld was read and is now %s",
			   poll->partitions[0].partition,
			   (long long)poll->partitions[0].offset,
			   poll->kind == BUS_POLL_DAMAGED ? "damaged" : "out of range");
	}
	for (size_t i = 0; i < poll->count; i++) {
		const bus_delivery *d = &poll->deliveries[i];
		if (d->offset != next[d->partition]) {
			load_wrong("partition %d: offset %lld came where %lld was due",
				   d->partition, (long long)d->offset,
				   (long long)next[d->partition]);
		}
		next[d->partition]++;
		load_content content = load_read(d);
		load_remember(l, d, &content);
	}
	atomic_fetch_add(&l->delivered, poll->count);
}

static void *
read_on(void *arg)
{
	const lane *me = arg;
	load *l = me->load;
	uint64_t chance = 2000 + me->number;
	int64_t next[LOAD_PARTITIONS_MAX] = { 0 };
	bus_adapter *adapter = load_open(l, "reader", me->number);
	start_reading(l, adapter, next, &chance, false);
	while (!l->stop_readers) {
		const bus_poll_limit limit = { 1000, 1u << 20, 100 };
		bus_error err = BUS_ERROR_INIT;
		bus_poll poll;
		bus_status status = bus_adapter_poll(adapter, &limit, &poll, &err);
		if (status == BUS_E_FATAL) {
			load_wrong("poll: %s", err.text);
		}
		if (status == BUS_OK) {
			take(l, &poll, next);
		}
		/* The first reader follows the log and never looks back. */
		if (me->number > 0 && load_chance(&chance) % 20 == 0) {
			start_reading(l, adapter, next, &chance, true);
			atomic_fetch_add(&l->rewinds, 1);
		}
	}
	bus_adapter_close(adapter);
	return NULL;
}

/* ---- the run ---- */

static void
make_topic(const load *l)
{
	const bus_topic_spec spec = { l->topic, l->partitions, 1, -1, 0, 1 };
	bus_adapter *adapter = load_open(l, "maker", 0);
	bus_topic_info info;
	bool made;
	bus_error err = BUS_ERROR_INIT;
	if (bus_adapter_topic_ensure(adapter, &spec, l->timeout_ms, &info, &made, &err) !=
	    BUS_OK) {
		load_wrong("topic: %s", err.text);
	}
	if (!made || info.partitions != l->partitions) {
		load_wrong("the topic was there already");
	}
	bus_adapter_close(adapter);
}

/* Until the input ends. */
static void
tell_progress(const load *l)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;
	while (poll(&input, 1, 20) == 0 || read(STDIN_FILENO, &byte, 1) > 0) {
		printf("%llu %llu\n", (unsigned long long)l->acknowledged,
		       (unsigned long long)l->delivered);
		fflush(stdout);
	}
}

static void
begin(lane *lanes, size_t count, load *l, void *(*run)(void *arg))
{
	for (size_t i = 0; i < count; i++) {
		lanes[i] = (lane){ .load = l, .number = i };
		if (pthread_create(&lanes[i].thread, NULL, run, &lanes[i]) != 0) {
			load_wrong("no thread");
		}
	}
}

static void
end(const lane *lanes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		pthread_join(lanes[i].thread, NULL);
	}
}

static void
run(load *l)
{
	lane producers[LOAD_PRODUCERS_MAX];
	lane readers[LOAD_PRODUCERS_MAX];
	make_topic(l);
	begin(producers, l->producers, l, produce);
	begin(readers, l->readers, l, read_on);
	tell_progress(l);
	l->stop = true;
	end(producers, l->producers);
	l->stop_readers = true;
	end(readers, l->readers);
	load_verdict found = load_settle(l);
	printf("{\"acknowledged\":%llu,\"failed\":%llu,\"uncertain\":%llu,"
	       "\"uncertain_there\":%llu,\"records\":%llu,\"delivered\":%llu,"
	       "\"rewinds\":%llu}\n",
	       (unsigned long long)l->acknowledged, (unsigned long long)l->failed,
	       (unsigned long long)l->uncertain,
	       (unsigned long long)found.uncertain_there,
	       (unsigned long long)found.records, (unsigned long long)l->delivered,
	       (unsigned long long)l->rewinds);
}

static size_t
number_of(const char *name, const char *text, size_t max)
{
	char *rest;
	unsigned long value = strtoul(text, &rest, 10);
	if (*rest != '\0' || value < 1 || value > max) {
		load_wrong("%s: %s", name, text);
	}
	return value;
}

int
main(int argc, char **argv)
{
	static load l = { .topic = "load", .partitions = 6, .producers = 8, .readers = 3 };
	l.timeout_ms = 60000;
	for (int i = 1; i + 1 < argc; i += 2) {
		const char *name = argv[i];
		const char *value = argv[i + 1];
		if (strcmp(name, "--url") == 0) {
			l.url = value;
		} else if (strcmp(name, "--topic") == 0) {
			l.topic = value;
		} else if (strcmp(name, "--partitions") == 0) {
			l.partitions =
				(int32_t)number_of(name, value, LOAD_PARTITIONS_MAX);
		} else if (strcmp(name, "--producers") == 0) {
			l.producers = number_of(name, value, LOAD_PRODUCERS_MAX);
		} else if (strcmp(name, "--readers") == 0) {
			l.readers = number_of(name, value, LOAD_PRODUCERS_MAX);
		} else if (strcmp(name, "--timeout-ms") == 0) {
			l.timeout_ms = (int)number_of(name, value, 3600000);
		} else {
			load_wrong("%s: no such option", name);
		}
	}
	for (int32_t p = 0; p < l.partitions; p++) {
		l.told[p] = reserve((size_t)LOAD_OFFSETS_MAX * sizeof(*l.told[p]));
		l.seen[p] = reserve((size_t)LOAD_OFFSETS_MAX * sizeof(*l.seen[p]));
		for (size_t n = 0; n < l.producers; n++) {
			l.fate[n][p] = reserve(LOAD_NUMBERS_MAX * sizeof(*l.fate[n][p]));
		}
	}
	run(&l);
	return 0;
}
