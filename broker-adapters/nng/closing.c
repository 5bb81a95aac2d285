/*
 * closing.c - the end of an adapter, on a thread of its own
 *
 * DESIGN
 * Closing a socket of nng 1.5.2 may hang (fixed in 1.7), and what it waits for is of no use
 * to us: positions are in PostgreSQL, outcomes were decided by publish, the group was told.
 * So the thread owns all it ends; whoever waits, waits for a bounded time, and a thread that
 * hangs keeps what it owns.
 */
#include <stdlib.h>
#include <time.h>

#include "broker-adapters/nng/nng_adapter.h"

typedef struct busp_ending {
	busp_nng *self;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned holders; /* the thread and who waits: the last one frees */
	bool done;
} busp_ending;

void
busp_nng_free(busp_nng *self)
{
	busp_membership_stop(self);
	busp_client_free(self->client);
	busp_membership_free(self);
	busp_nng_publish_free(self);
	busp_nng_reader_free(self);
	for (size_t i = 0; i < self->target_count; i++) {
		free(self->targets[i]->name);
		free(self->targets[i]->places);
		free(self->targets[i]);
	}
	free(self->targets);
	bus_buf_fini(&self->frame);
	free(self->client_id);
	free(self);
}

static void
busp_ending_release(busp_ending *ending)
{
	pthread_mutex_lock(&ending->lock);
	bool last = --ending->holders == 0;
	pthread_mutex_unlock(&ending->lock);
	if (last) {
		pthread_cond_destroy(&ending->changed);
		pthread_mutex_destroy(&ending->lock);
		free(ending);
	}
}

static void *
busp_ending_run(void *argument)
{
	busp_ending *ending = argument;

	busp_nng_free(ending->self);
	pthread_mutex_lock(&ending->lock);
	ending->done = true;
	pthread_cond_signal(&ending->changed);
	pthread_mutex_unlock(&ending->lock);
	busp_ending_release(ending);
	return NULL;
}

void
busp_nng_end(busp_nng *self, int wait_ms)
{
	int64_t deadline_ms = busp_now_ms() + wait_ms;
	const struct timespec deadline = {
		.tv_sec = deadline_ms / 1000,
		.tv_nsec = deadline_ms % 1000 * 1000000,
	};
	busp_ending *ending = busp_adapter_alloc(1, sizeof(*ending));
	pthread_t thread;

	*ending = (busp_ending){
		.self = self,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
		.holders = 2,
	};
	if (pthread_create(&thread, NULL, busp_ending_run, ending) != 0) {
		/* no thread to be had: rather leak than risk to hang */
		ending->holders = 1;
		busp_ending_release(ending);
		return;
	}
	pthread_detach(thread);
	pthread_mutex_lock(&ending->lock);
	while (!ending->done && pthread_cond_clockwait(&ending->changed, &ending->lock,
						       CLOCK_MONOTONIC, &deadline) == 0) {
	}
	pthread_mutex_unlock(&ending->lock);
	busp_ending_release(ending);
}
