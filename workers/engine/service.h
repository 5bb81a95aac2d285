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
#include "sql/broker_move.h"
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

/* A store of the service's configuration; new, not connected. */
bus_store *bus_service_store(const bus_service *service, const char *role);

/* Where the bus is: broker.url, followed through its moves (`busline migrate-broker`). Zeroed
 * before the first look. */
typedef struct bus_place {
	char url[BUS_BROKER_URL_MAX]; /* "": not looked yet */
	int64_t looked_ms;
} bus_place;

/* A move is seen within this time by whoever is idle. */
#define BUS_PLACE_LOOK_MS 1000

/**
 * bus_service_locate - look where the bus is, if the last look is BUS_PLACE_LOOK_MS ago
 *
 * @store: connected
 * @ret_moved: it is not where it was at the last look; false at the first
 *
 * Errors: those of bus_store_broker_url().
 */
BUS_MUST_CHECK bus_status bus_service_locate(const bus_service *service, bus_store *store,
					     bus_place *place, bool *ret_moved,
					     bus_error *err);

/**
 * bus_service_adapter - an adapter of this place, new
 *
 * @url: NULL: broker.url as it is configured
 *
 * Its properties are broker.properties at broker.url; elsewhere broker.moved-properties, or,
 * where that is empty and the scheme is the same, broker.properties.
 */
BUS_MUST_CHECK bus_status bus_service_adapter(const bus_service *service, const char *url,
					      bus_adapter **ret_adapter, bus_error *err);

/* Connects, again and again with back-off while the answer is BUS_E_RETRY, until it works,
 * is FATAL, or the service is told to stop (then BUS_E_RETRY). */
BUS_MUST_CHECK bus_status bus_service_connect(const bus_service *service,
					      bus_store *store, bus_error *err);

/* Connects as above, locates the bus and opens an adapter there; new. */
BUS_MUST_CHECK bus_status bus_service_open(const bus_service *service, bus_store *store,
					   bus_place *place, bus_adapter **ret_adapter,
					   bus_error *err);

/**
 * bus_engine_run - a worker, until told to stop
 *
 * Returns BUS_OK after an orderly stop. Errors: BUS_E_FATAL.
 */
BUS_MUST_CHECK bus_status bus_engine_run(const bus_worker *worker,
					 const bus_service *service, bus_error *err);

#endif
