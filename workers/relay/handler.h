/*
 * handler.h - the relay: outbox to topics
 */
#ifndef BUS_RELAY_HANDLER_H
#define BUS_RELAY_HANDLER_H

#include "workers/engine/service.h"

/**
 * bus_relay_run - the relay, until told to stop
 *
 * Broker and database are those of the service's configuration. Several relays share the
 * outbox; one that is not needed stands by.
 *
 * Returns BUS_OK after an orderly stop, with its shards given back. Errors: BUS_E_FATAL.
 */
BUS_MUST_CHECK bus_status bus_relay_run(const bus_service *service, bus_error *err);

/* The same over an adapter of the caller's, which stays the caller's. */
BUS_MUST_CHECK bus_status bus_relay_serve(const bus_service *service,
					  bus_adapter *adapter, bus_error *err);

#endif
