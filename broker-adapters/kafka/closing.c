/*
 * closing.c - the end of a handle, on a thread of its own
 *
 * DESIGN
 * rd_kafka_consumer_close() and rd_kafka_destroy() of 2.0.2 may hang (librdkafka#4187,
 * #4362, #4486, #4519, #4724), and what they wait for is of no use to us: positions are in
 * PostgreSQL, outcomes were decided by publish. So the thread owns all it ends; whoever
 * waits, waits for a bounded time, and a thread that hangs keeps what it owns.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "broker-adapters/kafka/kafka.h"

typedef struct busp_ending {
	busp_consumer *consumer;
	busp_producer *producer;
	rd_kafka_t *admin;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned holders; /* the thread and who waits: the last one frees */
	bool done;
} busp_ending;

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

	busp_consumer_free(ending->consumer);
	busp_producer_free(ending->producer);
	if (ending->admin != NULL) {
		rd_kafka_destroy(ending->admin);
	}
	pthread_mutex_lock(&ending->lock);
	ending->done = true;
	pthread_cond_signal(&ending->changed);
	pthread_mutex_unlock(&ending->lock);
	busp_ending_release(ending);
	return NULL;
}

static void
busp_ending_wait(busp_ending *ending, int wait_ms)
{
	int64_t deadline_ms = busp_kafka_deadline(wait_ms);
	const struct timespec deadline = {
		.tv_sec = deadline_ms / 1000,
		.tv_nsec = deadline_ms % 1000 * 1000000,
	};

	pthread_mutex_lock(&ending->lock);
	while (!ending->done && pthread_cond_clockwait(&ending->changed, &ending->lock,
						       CLOCK_MONOTONIC, &deadline) == 0) {
	}
	pthread_mutex_unlock(&ending->lock);
}

void
busp_kafka_end(busp_consumer *consumer, busp_producer *producer, rd_kafka_t *admin,
	       int wait_ms)
{
	busp_ending *ending = busp_adapter_alloc(1, sizeof(*ending));
	pthread_t thread;

	if (consumer != NULL) {
		consumer->closing = true;
	}
	*ending = (busp_ending){
		.consumer = consumer,
		.producer = producer,
		.admin = admin,
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
	busp_ending_wait(ending, wait_ms);
	busp_ending_release(ending);
}
