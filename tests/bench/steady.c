/*
 * steady.c - events through any adapter: written, written at a steady rate, read
 *
 *	bench_steady fill --url URL --events N [--apps K]
 *	bench_steady rate --url URL --events N [--apps K] --rate R
 *	bench_steady read --url URL --topic NAME --events N
 *
 * fill and rate publish to busline.scale. rate prints a line per event: when it was meant to
 * be sent (seconds of the monotonic clock), partition, offset, and how long after that it was
 * acknowledged. Meant, not sent: an event that a stall held back counts with its wait. read
 * reads a topic of N events from its beginning and prints a line of JSON.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "broker-adapters/adapter.h"
#include "tests/bench/made.h"

#define ANSWER_MS 60000
/* Events of one publish; at a steady rate those that are due. */
#define BATCH_MAX 5000

typedef struct steady {
	const char *url, *topic;
	uint64_t events, rate;
	maker maker;
	bus_arena *arena;
	bus_adapter *adapter;
} steady;

static _Noreturn void
die(const char *what, const char *why)
{
	fprintf(stderr, "bench_steady: %s: %s\n", what, why);
	exit(1);
}

static void
publish(steady *s, bus_publication *publications, size_t count)
{
	bus_error err = BUS_ERROR_INIT;
	for (size_t i = 0; i < count; i++) {
		made event = maker_next(&s->maker, s->arena, false);
		publications[i] = (bus_publication){
			.topic = MADE_TOPIC,
			.partition = BUS_PARTITION_HOME,
			.record = event.record,
		};
	}
	if (bus_adapter_publish(s->adapter, publications, count, ANSWER_MS, &err) !=
	    BUS_OK) {
		die("publish", err.text);
	}
	bus_arena_reset(s->arena);
}

static void
fill(steady *s)
{
	bus_publication *publications = calloc(BATCH_MAX, sizeof(*publications));
	for (uint64_t done = 0; done < s->events;) {
		size_t count =
			s->events - done < BATCH_MAX ? s->events - done : BATCH_MAX;
		publish(s, publications, count);
		done += count;
	}
	free(publications);
}

static void
wait_until(double moment)
{
	struct timespec at = { .tv_sec = (time_t)moment };
	at.tv_nsec = (long)((moment - (double)at.tv_sec) * 1e9);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
	}
}

/* Open loop: what became due while the last answer was waited for goes together. */
static void
keep_rate(steady *s)
{
	bus_publication *publications = calloc(BATCH_MAX, sizeof(*publications));
	double began = made_seconds() + 0.5;
	double rate = (double)s->rate;
	for (uint64_t done = 0; done < s->events;) {
		wait_until(began + (double)done / rate);
		uint64_t due = (uint64_t)((made_seconds() - began) * rate) + 1;
		size_t count = 1;
		while (done + count < due && done + count < s->events &&
		       count < BATCH_MAX) {
			count++;
		}
		publish(s, publications, count);
		double acknowledged = made_seconds();
		for (size_t i = 0; i < count; i++, done++) {
			double meant = began + (double)done / rate;
			printf("%.6f %" PRId32 " %" PRId64 " %.6f\n", meant,
			       publications[i].ret_partition, publications[i].ret_offset,
			       acknowledged - meant);
		}
	}
	free(publications);
}

static void
read_all(steady *s)
{
	bus_error err = BUS_ERROR_INIT;
	bus_position positions[BUS_PARTITIONS_MAX];
	int32_t count;
	if (bus_adapter_partitions(s->adapter, s->topic, ANSWER_MS, &count, &err) !=
	    BUS_OK) {
		die(s->topic, err.text);
	}
	for (int32_t p = 0; p < count; p++) {
		positions[p] = (bus_position){ s->topic, p, 0 };
	}
	double began = made_seconds();
	if (bus_adapter_start(s->adapter, positions, (size_t)count, &err) != BUS_OK) {
		die("start", err.text);
	}
	uint64_t events = 0;
	uint64_t bytes = 0;
	while (events < s->events) {
		const bus_poll_limit limit = { 5000, 4u << 20, 1000 };
		bus_poll poll;
		if (bus_adapter_poll(s->adapter, &limit, &poll, &err) != BUS_OK ||
		    poll.kind != BUS_POLL_DELIVERIES) {
			die("poll", err.text);
		}
		for (size_t i = 0; i < poll.count; i++) {
			bytes += bus_record_bytes(&poll.deliveries[i].record);
		}
		events += poll.count;
	}
	double took = made_seconds() - began;
	printf("{\"events\":%" PRIu64 ",\"bytes\":%" PRIu64
	       ",\"seconds\":%.4f,\"rate\":%.0f}\n",
	       events, bytes, took, (double)events / took);
}

int
main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	steady s = { .events = 1000000, .maker = { .apps = 10000, .chance = 1 } };
	for (int i = 2; i + 1 < argc; i += 2) {
		const char *value = argv[i + 1];
		if (strcmp(argv[i], "--url") == 0) {
			s.url = value;
		} else if (strcmp(argv[i], "--topic") == 0) {
			s.topic = value;
		} else if (strcmp(argv[i], "--events") == 0) {
			s.events = strtoull(value, NULL, 10);
		} else if (strcmp(argv[i], "--apps") == 0) {
			s.maker.apps = strtoull(value, NULL, 10);
		} else if (strcmp(argv[i], "--rate") == 0) {
			s.rate = strtoull(value, NULL, 10);
		} else {
			die(argv[i], "no such option");
		}
	}
	const bus_adapter_options options = {
		.url = s.url,
		.client_id = "bench",
		.clock = bus_clock_system(),
	};
	bus_error err = BUS_ERROR_INIT;
	if (bus_adapter_open(&options, &s.adapter, &err) != BUS_OK) {
		die(s.url, err.text);
	}
	s.arena = bus_arena_create(1u << 22);
	if (strcmp(mode, "fill") == 0) {
		fill(&s);
	} else if (strcmp(mode, "rate") == 0 && s.rate > 0) {
		keep_rate(&s);
	} else if (strcmp(mode, "read") == 0 && s.topic != NULL) {
		read_all(&s);
	} else {
		die(mode, "no such mode: fill, rate, read");
	}
	bus_adapter_close(s.adapter);
	bus_arena_destroy(s.arena);
	return 0;
}
