/*
 * publisher.h - the relay's second thread: publishes a batch while the next one is read
 */
#ifndef BUSP_RELAY_PUBLISHER_H
#define BUSP_RELAY_PUBLISHER_H

#include <pthread.h>

#include "workers/engine/service.h"

typedef struct busp_publisher {
	bus_adapter *adapter;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;

	/* under the lock */
	bool busy; /* the thread has a batch */
	bool ending;
	bus_publication *publications;
	size_t count;
	int timeout_ms;
	bus_status status;
	bus_error error;
} busp_publisher;

/* From here to the end the adapter is the thread's. FATAL: no thread to be had. */
BUS_MUST_CHECK bus_status busp_publisher_start(busp_publisher *publisher,
					       bus_adapter *adapter, bus_error *err);
/* From the next batch on it is this adapter; the other one is the caller's again. Nothing may be
 * on its way. */
void busp_publisher_use(busp_publisher *publisher, bus_adapter *adapter);
/* Waits for a batch under way. */
void busp_publisher_stop(busp_publisher *publisher);

/* Hands a batch over; it stays where it is, and is not touched until it is taken back. One at
 * a time. Does not block. */
void busp_publisher_give(busp_publisher *publisher, bus_publication *publications,
			 size_t count, int timeout_ms);

/* Waits until every publication of the batch has an outcome; the answer is that of
 * bus_adapter_publish(), BUS_OK if nothing was given. */
BUS_MUST_CHECK bus_status busp_publisher_take(busp_publisher *publisher, bus_error *err);

#endif
