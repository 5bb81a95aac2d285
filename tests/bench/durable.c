/*
 * durable.c - durable appends per second, and how long each was waited for
 *
 *	bench_durable WAY --at ADDRESS --producers N --batch B [--bytes 300] [--seconds S]
 *
 *	busline  the embedded broker, through its adapter; ADDRESS is its URL
 *	sqlite   SQLite's own loop: one INSERT per event, B per transaction, WAL and
 *	         synchronous=FULL, in a new file in the directory ADDRESS; one producer
 *	redis    XADD to one stream, B pipelined; appendfsync is the server's business
 *	nats     publishes to a JetStream, B under way; sync_interval is the server's
 *
 * Each producer is a thread with a connection of its own: it sends a batch, waits until all
 * of it is acknowledged, and sends the next. Prints one line of JSON; latency is that of a
 * batch, total what was acknowledged at all, also before and after the measured time.
 */
#include "tests/bench/durable.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/made.h"

#define CHANCE_BYTES 65536u

typedef struct producer {
	const durable_options *options;
	const durable_way *way;
	size_t number;
	pthread_t thread;
	uint64_t events; /* acknowledged in the measured time */
	uint64_t total;  /* acknowledged at all */
	float *waits;    /* seconds */
	size_t count, cap;
} producer;

static const durable_way *const ways[] = { &durable_busline, &durable_sqlite,
					   &durable_redis, &durable_nats };
static pthread_barrier_t start;
static double begin, end;
static char chance[CHANCE_BYTES * 2];

void
durable_die(const char *what, const char *why)
{
	fprintf(stderr, "bench_durable: %s: %s\n", what, why);
	exit(1);
}

void
durable_key(uint64_t number, char *key)
{
	char text[DURABLE_KEY_BYTES + 8];
	snprintf(text, sizeof(text), "bench/app-%06u", (unsigned)(number % DURABLE_KEYS));
	memcpy(key, text, DURABLE_KEY_BYTES);
}

const char *
durable_value(const durable_options *options, uint64_t number, size_t *ret_len)
{
	*ret_len = options->event_bytes - DURABLE_KEY_BYTES;
	return chance + number * 61 % CHANCE_BYTES;
}

static void
make_chance(void)
{
	uint64_t state = 1;
	for (size_t i = 0; i < sizeof(chance); i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		/* Letters: NATS and Redis take any bytes, a person who looks does not. */
		chance[i] = (char)('a' + (state >> 40) % 26);
	}
}

static void
note_wait(producer *p, double seconds)
{
	if (p->count == p->cap) {
		p->cap = p->cap > 0 ? p->cap * 2 : 4096;
		p->waits = reallocarray(p->waits, p->cap, sizeof(*p->waits));
		if (p->waits == NULL) {
			durable_die("memory", "none left");
		}
	}
	p->waits[p->count++] = (float)seconds;
}

static void *
produce(void *arg)
{
	producer *p = arg;
	size_t batch = p->options->batch;
	void *connection = p->way->open(p->options, p->number);
	uint64_t number = p->number << 32;
	pthread_barrier_wait(&start);
	pthread_barrier_wait(&start);
	for (double sent = made_seconds(); sent < end;) {
		p->way->append(connection, number, batch);
		double done = made_seconds();
		if (sent >= begin && done <= end) {
			p->events += batch;
			note_wait(p, done - sent);
		}
		p->total += batch;
		number += batch;
		sent = done;
	}
	p->way->close(connection);
	return NULL;
}

static int
compare(const void *a, const void *b)
{
	float x = *(const float *)a;
	float y = *(const float *)b;
	return (x > y) - (x < y);
}

static void
report(const durable_options *o, const durable_way *way, const producer *producers)
{
	size_t count = 0;
	uint64_t events = 0;
	uint64_t total = 0;
	for (size_t i = 0; i < o->producers; i++) {
		count += producers[i].count;
		events += producers[i].events;
		total += producers[i].total;
	}
	if (count == 0) {
		durable_die(way->name, "nothing was acknowledged in time");
	}
	float *waits = calloc(count, sizeof(*waits));
	size_t at = 0;
	for (size_t i = 0; i < o->producers; i++) {
		memcpy(waits + at, producers[i].waits,
		       producers[i].count * sizeof(*waits));
		at += producers[i].count;
	}
	qsort(waits, count, sizeof(*waits), compare);
	printf("{\"way\":\"%s\",\"producers\":%zu,\"batch\":%zu,\"events\":%llu,"
	       "\"total\":%llu,\"rate\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}\n",
	       way->name, o->producers, o->batch, (unsigned long long)events,
	       (unsigned long long)total, (double)events / o->seconds,
	       (double)waits[count / 2] * 1e3, (double)waits[count * 99 / 100] * 1e3,
	       (double)waits[count - 1] * 1e3);
	free(waits);
}

static void
measure(const durable_options *o, const durable_way *way)
{
	producer *producers = calloc(o->producers, sizeof(*producers));
	pthread_barrier_init(&start, NULL, (unsigned)o->producers + 1);
	for (size_t i = 0; i < o->producers; i++) {
		producers[i] = (producer){ .options = o, .way = way, .number = i };
		if (pthread_create(&producers[i].thread, NULL, produce, &producers[i]) !=
		    0) {
			durable_die("thread", "cannot start another");
		}
	}
	/* All are connected before time begins. */
	pthread_barrier_wait(&start);
	begin = made_seconds() + o->warm_up;
	end = begin + o->seconds;
	pthread_barrier_wait(&start);
	for (size_t i = 0; i < o->producers; i++) {
		pthread_join(producers[i].thread, NULL);
	}
	report(o, way, producers);
	for (size_t i = 0; i < o->producers; i++) {
		free(producers[i].waits);
	}
	free(producers);
}

int
main(int argc, char **argv)
{
	durable_options o = { .producers = 1, .batch = 1, .event_bytes = 300 };
	o.seconds = 3;
	o.warm_up = 0.5;
	o.partitions = MADE_PARTITIONS;
	for (int i = 2; i + 1 < argc; i += 2) {
		const char *value = argv[i + 1];
		if (strcmp(argv[i], "--at") == 0) {
			o.address = value;
		} else if (strcmp(argv[i], "--producers") == 0) {
			o.producers = strtoul(value, NULL, 10);
		} else if (strcmp(argv[i], "--batch") == 0) {
			o.batch = strtoul(value, NULL, 10);
		} else if (strcmp(argv[i], "--bytes") == 0) {
			o.event_bytes = strtoul(value, NULL, 10);
		} else if (strcmp(argv[i], "--seconds") == 0) {
			o.seconds = strtod(value, NULL);
		} else {
			durable_die(argv[i], "no such option");
		}
	}
	if (o.address == NULL || o.producers < 1 || o.batch < 1 ||
	    o.event_bytes <= DURABLE_KEY_BYTES || o.event_bytes > CHANCE_BYTES) {
		durable_die("usage", "WAY --at ADDRESS --producers N --batch B");
	}
	make_chance();
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (argc > 1 && strcmp(ways[i]->name, argv[1]) == 0) {
			measure(&o, ways[i]);
			return 0;
		}
	}
	durable_die("way", "busline, sqlite, redis or nats");
}
