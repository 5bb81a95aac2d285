/*
 * fill.c - fills busline.scale with events, at full speed or at a steady rate
 *
 *	bench_fill --servers LIST --events N [--apps K] [--rate R]
 *
 * With a rate it prints one line per event in the order of delivery: when it was meant to be
 * sent (seconds of the monotonic clock), partition and offset. Meant, not sent: an event that
 * a stall held back counts with its wait.
 */
#include <errno.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/bench/made.h"

typedef struct fill {
	rd_kafka_t *producer;
	double *meant; /* by event number; NULL without a rate */
	uint64_t delivered, failed;
} fill;

static _Noreturn void
die(const char *what, const char *why)
{
	fprintf(stderr, "bench_fill: %s: %s\n", what, why);
	exit(1);
}

static void
on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
	(void)producer;
	fill *f = opaque;
	if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		f->failed++;
		return;
	}
	f->delivered++;
	if (f->meant != NULL) {
		printf("%.6f %" PRId32 " %" PRId64 "\n",
		       f->meant[(uintptr_t)message->_private], message->partition,
		       message->offset);
	}
}

static void
set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char why[256];
	if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK) {
		die(name, why);
	}
}

static rd_kafka_t *
open_producer(fill *f, const char *servers, bool steady)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	set(conf, "bootstrap.servers", servers);
	set(conf, "enable.idempotence", "true");
	set(conf, "partitioner", "murmur2_random");
	set(conf, "linger.ms", steady ? "0" : "5");
	set(conf, "socket.nagle.disable", "true");
	set(conf, "queue.buffering.max.messages", "500000");
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_opaque(conf, f);
	char why[256];
	rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (producer == NULL) {
		die("producer", why);
	}
	return producer;
}

static void
publish(fill *f, const made *event, uint64_t number)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new(event->record.header_count);
	for (size_t i = 0; i < event->record.header_count; i++) {
		const bus_header *h = &event->record.headers[i];
		rd_kafka_header_add(headers, h->name.data, (ssize_t)h->name.len,
				    h->value.data, (ssize_t)h->value.len);
	}
	for (;;) {
		rd_kafka_resp_err_t err = rd_kafka_producev(
			f->producer, RD_KAFKA_V_TOPIC(MADE_TOPIC),
			RD_KAFKA_V_KEY(event->record.key.data, event->record.key.len),
			RD_KAFKA_V_VALUE((void *)(uintptr_t)event->record.value.data,
					 event->record.value.len),
			RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
			RD_KAFKA_V_HEADERS(headers),
			RD_KAFKA_V_OPAQUE((void *)(uintptr_t)number), RD_KAFKA_V_END);
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			return;
		}
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
			die("produce", rd_kafka_err2str(err));
		}
		rd_kafka_poll(f->producer, 100);
	}
}

static void
wait_until(double moment)
{
	struct timespec at = { .tv_sec = (time_t)moment };
	at.tv_nsec = (long)((moment - (double)at.tv_sec) * 1e9);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
	}
}

int
main(int argc, char **argv)
{
	const char *servers = NULL;
	uint64_t events = 1000000, rate = 0;
	maker m = { .apps = 10000, .chance = 1 };
	for (int i = 1; i + 1 < argc; i += 2) {
		const char *value = argv[i + 1];
		if (strcmp(argv[i], "--servers") == 0) {
			servers = value;
		} else if (strcmp(argv[i], "--events") == 0) {
			events = strtoull(value, NULL, 10);
		} else if (strcmp(argv[i], "--apps") == 0) {
			m.apps = strtoull(value, NULL, 10);
		} else if (strcmp(argv[i], "--rate") == 0) {
			rate = strtoull(value, NULL, 10);
		} else {
			die(argv[i], "no such option");
		}
	}
	fill f = { .meant = rate > 0 ? calloc(events, sizeof(double)) : NULL };
	f.producer = open_producer(&f, servers, rate > 0);
	bus_arena *arena = bus_arena_create(1u << 20);
	double began = made_seconds() + 0.5;
	for (uint64_t n = 0; n < events; n++) {
		bus_arena_reset(arena);
		made event = maker_next(&m, arena, false);
		if (rate > 0) {
			f.meant[n] = began + (double)n / (double)rate;
			wait_until(f.meant[n]);
		}
		publish(&f, &event, n);
		rd_kafka_poll(f.producer, 0);
	}
	rd_kafka_flush(f.producer, 120000);
	rd_kafka_destroy(f.producer);
	if (f.delivered != events) {
		die("publish", "not everything is in the log");
	}
	free(f.meant);
	bus_arena_destroy(arena);
	return 0;
}
