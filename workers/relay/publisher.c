/*
 * publisher.c - a thread that does nothing but publish
 *
 * DESIGN
 * PostgreSQL hands out rows no faster than they are taken off its socket, so reading ahead
 * needs a thread that reads while another waits for the broker. The store stays with the
 * relay's loop, the adapter goes to this thread; what passes between them is one batch at a
 * time, there and back, under one lock.
 */
#include "workers/relay/publisher.h"

#include <assert.h>
#include <signal.h>

static void *
publisher_run(void *argument)
{
	busp_publisher *publisher = argument;
	pthread_mutex_lock(&publisher->lock);
	while (!publisher->ending) {
		if (!publisher->busy) {
			pthread_cond_wait(&publisher->changed, &publisher->lock);
			continue;
		}
		pthread_mutex_unlock(&publisher->lock);
		bus_error err = BUS_ERROR_INIT;
		bus_status status =
			bus_adapter_publish(publisher->adapter, publisher->publications,
					    publisher->count, publisher->timeout_ms,
					    &err);
		pthread_mutex_lock(&publisher->lock);
		publisher->status = status;
		publisher->error = err;
		publisher->busy = false;
		pthread_cond_broadcast(&publisher->changed);
	}
	pthread_mutex_unlock(&publisher->lock);
	return NULL;
}

bus_status
busp_publisher_start(busp_publisher *publisher, bus_adapter *adapter, bus_error *err)
{
	*publisher = (busp_publisher){
		.adapter = adapter,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	/* Signals are the loop's: they end its waits. */
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = pthread_create(&publisher->thread, NULL, publisher_run, publisher);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed != 0) {
		return bus_error_set(err, BUS_E_FATAL, "relay", failed,
				     "no thread to publish with");
	}
	return BUS_OK;
}

/* Waits, under the lock, until the thread has nothing to do. */
static void
publisher_idle(busp_publisher *publisher)
{
	while (publisher->busy) {
		pthread_cond_wait(&publisher->changed, &publisher->lock);
	}
}

void
busp_publisher_use(busp_publisher *publisher, bus_adapter *adapter)
{
	pthread_mutex_lock(&publisher->lock);
	assert(!publisher->busy);
	publisher->adapter = adapter;
	pthread_mutex_unlock(&publisher->lock);
}

void
busp_publisher_stop(busp_publisher *publisher)
{
	pthread_mutex_lock(&publisher->lock);
	publisher_idle(publisher);
	publisher->ending = true;
	pthread_cond_broadcast(&publisher->changed);
	pthread_mutex_unlock(&publisher->lock);
	pthread_join(publisher->thread, NULL);
	pthread_cond_destroy(&publisher->changed);
	pthread_mutex_destroy(&publisher->lock);
}

void
busp_publisher_give(busp_publisher *publisher, bus_publication *publications,
		    size_t count, int timeout_ms)
{
	pthread_mutex_lock(&publisher->lock);
	assert(!publisher->busy);
	publisher->publications = publications;
	publisher->count = count;
	publisher->timeout_ms = timeout_ms;
	publisher->busy = true;
	pthread_cond_broadcast(&publisher->changed);
	pthread_mutex_unlock(&publisher->lock);
}

bus_status
busp_publisher_take(busp_publisher *publisher, bus_error *err)
{
	pthread_mutex_lock(&publisher->lock);
	publisher_idle(publisher);
	bus_status status = publisher->status;
	if (status != BUS_OK) {
		*err = publisher->error;
	}
	publisher->status = BUS_OK;
	pthread_mutex_unlock(&publisher->lock);
	return status;
}
