/*
 * fault.h - the parts of the fault adapter; private to this folder
 */
#ifndef BUSP_FAULT_H
#define BUSP_FAULT_H

#include "broker-adapters/shared.h"
#include "core/arena.h"

#define BUSP_ORIGIN "fault"

typedef enum busp_fault_kind {
	BUSP_FAULT_DROP, /* a poll or a question fails with RETRY, nothing happened */
	BUSP_FAULT_FAIL, /* a publication is FAILED: it is not in the log */
	BUSP_FAULT_UNCERTAIN, /* it is UNCERTAIN, and in the log every other time */
	BUSP_FAULT_DUPLICATE, /* it is in the log twice in a row */
	BUSP_FAULT_DELAY,     /* a batch is cut, its rest comes later, mixed */
	BUSP_FAULT_LOST,      /* a member loses all partitions and gets them again */
	BUSP_FAULT_COUNT,
} busp_fault_kind;

/* An artificial loss: told LOST, stopped, told ASSIGNED again. */
typedef enum busp_loss {
	BUSP_LOSS_NONE,
	BUSP_LOSS_TOLD,    /* LOST was told, the caller has not stopped yet */
	BUSP_LOSS_STOPPED, /* it has: ASSIGNED is next */
} busp_loss;

typedef struct busp_fault {
	bus_adapter base;
	bus_adapter *inner;
	double probability[BUSP_FAULT_COUNT];
	uint64_t state; /* of the generator */

	char *topic; /* of the membership, NULL: none */
	busp_loss loss;
	bus_position *assigned; /* of the inner adapter's last ASSIGNED */
	size_t assigned_count;

	/* what the inner adapter delivered and the caller has not got yet */
	bus_delivery *left;
	size_t left_count;
	size_t left_capacity;
	size_t left_at;
	bus_arena *arena; /* holds its bytes */
} busp_fault;

static inline busp_fault *
busp_fault_of(bus_adapter *adapter)
{
	return (busp_fault *)adapter;
}

/* ---- fault.c ---- */

bool busp_fault_strikes(busp_fault *self, busp_fault_kind kind);
/* A number from 0 to limit - 1. */
size_t busp_fault_below(busp_fault *self, size_t limit);

/* ---- writing.c ---- */

bus_status busp_fault_publish(bus_adapter *adapter, bus_publication *publications,
			      size_t count, int timeout_ms, bus_error *err);

/* ---- reading.c ---- */

bus_status busp_fault_join(bus_adapter *adapter, const char *group, const char *topic,
			   bus_error *err);
void busp_fault_leave(bus_adapter *adapter);
bus_status busp_fault_start(bus_adapter *adapter, const bus_position *positions,
			    size_t count, bus_error *err);
void busp_fault_stop(bus_adapter *adapter);
bus_status busp_fault_poll(bus_adapter *adapter, const bus_poll_limit *limit,
			   bus_poll *ret_poll, bus_error *err);

#endif
