/*
 * tape.c - a broker that only takes events
 */
#include "tests/support/tape.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct tape_client {
	bus_adapter adapter;
	tape *tape;
} tape_client;

tape *
tape_create(void)
{
	tape *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		perror("tape");
		abort();
	}
	return shared;
}

void
tape_destroy(tape *shared)
{
	munmap(shared, sizeof(*shared));
}

void
tape_clear(tape *shared)
{
	atomic_store(&shared->count, 0);
	atomic_store(&shared->down, false);
	atomic_store(&shared->acks_lost, false);
	atomic_store(&shared->holds, false);
	atomic_store(&shared->slow, false);
	atomic_store(&shared->stops_once, false);
	atomic_store(&shared->refused, 0);
	shared->refuses[0] = '\0';
}

static void
copy_text(char out[static TAPE_TEXT_MAX], bus_str text)
{
	snprintf(out, TAPE_TEXT_MAX, "%.*s", BUS_STR_ARG(text));
}

static void
record(tape *shared, const bus_publication *publication)
{
	size_t n = atomic_fetch_add(&shared->count, 1);
	if (n >= TAPE_ENTRIES_MAX) {
		fprintf(stderr, "tape: more than %d entries\n", TAPE_ENTRIES_MAX);
		abort();
	}
	tape_entry *entry = &shared->entries[n];
	copy_text(entry->topic, bus_str_from(publication->topic));
	copy_text(entry->key, publication->record.key);
	copy_text(entry->value, publication->record.value);
	entry->publisher = getpid();
	entry->wall_us = bus_clock_wall_us(bus_clock_system());
}

static bus_status
publish_one(tape *shared, bus_publication *publication, bus_error *err)
{
	publication->outcome = BUS_OUTCOME_FAILED;
	if (atomic_load(&shared->down)) {
		return bus_error_set(err, BUS_E_RETRY, "tape", 1, "the tape is down");
	}
	if (shared->refuses[0] != '\0' &&
	    bus_str_is(publication->record.value, shared->refuses)) {
		atomic_fetch_add(&shared->refused, 1);
		return bus_error_set(err, BUS_E_FATAL, "tape", 2, "the tape refuses %s",
				     shared->refuses);
	}
	record(shared, publication);
	if (atomic_load(&shared->acks_lost)) {
		publication->outcome = BUS_OUTCOME_UNCERTAIN;
		return bus_error_set(err, BUS_E_UNKNOWN, "tape", 3, "the answer is lost");
	}
	publication->outcome = BUS_OUTCOME_DURABLE;
	return BUS_OK;
}

static bus_status
tape_publish(bus_adapter *adapter, bus_publication *publications, size_t count,
	     int timeout_ms, bus_error *err)
{
	tape *shared = ((tape_client *)adapter)->tape;
	(void)timeout_ms;
	bus_status worst = BUS_OK;
	while (atomic_load(&shared->holds)) {
		poll(NULL, 0, 1);
	}
	poll(NULL, 0, atomic_load(&shared->slow) ? 10 : 0);
	for (size_t i = 0; i < count; i++) {
		bus_error one = BUS_ERROR_INIT;
		bus_status status = publish_one(shared, &publications[i], &one);
		if (status > worst) {
			worst = status;
			*err = one;
		}
	}
	if (atomic_exchange(&shared->stops_once, false)) {
		raise(SIGSTOP);
	}
	return worst;
}

static void
tape_close(bus_adapter *adapter)
{
	free(adapter);
}

bus_adapter *
tape_adapter(tape *shared)
{
	static const bus_adapter_ops ops = {
		.scheme = "tape",
		.publish = tape_publish,
		.close = tape_close,
	};
	tape_client *client = calloc(1, sizeof(*client));
	if (client == NULL) {
		abort();
	}
	*client = (tape_client){ .adapter = { .ops = &ops }, .tape = shared };
	return &client->adapter;
}
