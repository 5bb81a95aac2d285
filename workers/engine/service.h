/*
 * service.h - what a long-running role stands on: config, clock, broker, store, signals
 *
 * Workers that are not a table of folds (the relay) reach broker and store through here.
 */
#ifndef BUS_ENGINE_SERVICE_H
#define BUS_ENGINE_SERVICE_H

#include <signal.h>

#include "broker-adapters/adapter.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/status.h"
#include "sql/store.h"
#include "workers/engine/worker.h"

typedef struct bus_service {
	const bus_config *config;
	const bus_clock *clock;
	const char *role;                  /* "worker deploy" */
	const volatile sig_atomic_t *stop; /* set by SIGTERM, SIGINT */
} bus_service;

/* Full jitter between base and min(cap, base * 2^attempt); 0 for attempt 0. */
typedef struct bus_backoff {
	int64_t base_ms, cap_ms;
	unsigned attempt;
	uint64_t seed;
} bus_backoff;

int64_t bus_backoff_next_ms(bus_backoff *backoff);

/* Waits, but ends early when the service is told to stop. */
void bus_service_pause(const bus_service *service, int64_t wait_ms);

/* Adapter and store of the service's configuration; new. The store is not connected. */
BUS_MUST_CHECK bus_status bus_service_adapter(const bus_service *service,
					      bus_adapter **ret_adapter, bus_error *err);
bus_store *bus_service_store(const bus_service *service, const char *role);

/* Connects, again and again with back-off while the answer is BUS_E_RETRY, until it works,
 * is FATAL, or the service is told to stop (then BUS_E_RETRY). */
BUS_MUST_CHECK bus_status bus_service_connect(const bus_service *service,
					      bus_store *store, bus_error *err);

/**
 * bus_engine_run - a worker, until told to stop
 *
 * Returns BUS_OK after an orderly stop. Errors: BUS_E_FATAL.
 */
BUS_MUST_CHECK bus_status bus_engine_run(const bus_worker *worker,
					 const bus_service *service, bus_error *err);

#endif
