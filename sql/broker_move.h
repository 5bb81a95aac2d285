/*
 * broker_move.h - where the bus is: moves of all topics from one broker to another
 */
#ifndef BUS_SQL_BROKER_MOVE_H
#define BUS_SQL_BROKER_MOVE_H

#include "sql/store.h"

/* Who moves the bus holds it. */
#define BUS_LEASE_BROKER_MOVE "migrate-broker"
/* Longest address of a broker, and its NUL: some dozens of hosts. */
#define BUS_BROKER_URL_MAX 1024

/**
 * bus_store_broker_url - where the bus is for somebody whose settings say `configured`
 *
 * @ret_url: `configured` itself if the bus never moved from there
 *
 * May be called with units in flight: it is answered after them.
 */
BUS_MUST_CHECK bus_status bus_store_broker_url(bus_store *store, const char *configured,
					       char ret_url[BUS_BROKER_URL_MAX],
					       bus_error *err);

typedef struct bus_broker_move {
	int64_t lease_epoch; /* of BUS_LEASE_BROKER_MOVE */
	const char *from_url;
	const char *to_url;
	const char *actor;
	const char *reason;
} bus_broker_move;

/**
 * bus_store_broker_move - from now on the bus is there: the commit point of a move
 *
 * Errors: BUS_E_ABORT with BUS_SQLSTATE_FENCED: the lease is another's. BUS_E_FATAL: the bus is
 * not at from_url. BUS_E_RETRY: it may have happened; bus_store_broker_url() tells.
 */
BUS_MUST_CHECK bus_status bus_store_broker_move(bus_store *store,
						const bus_broker_move *move,
						bus_error *err);

#endif
