/*
 * relay.h - what the relay's two files share: the loop (handler.c), one batch (carry.c)
 */
#ifndef BUSP_RELAY_H
#define BUSP_RELAY_H

#include "workers/relay/handler.h"

/* The lease is renewed when a part of it has passed, and no call to the broker takes longer
 * than a part: renewal, a batch and one row tried alone end within the lease. */
#define BUSP_RELAY_LEASE_PARTS 4

/* What the relay knows of one stream of the outbox. */
typedef struct busp_relay_stream {
	int32_t stream;
	int64_t published_seq; /* every row up to here is in its topic */
	int64_t marked_seq;    /* and PostgreSQL knows of those up to here */
	bool held;             /* its next row could not be published; the others go on */
	bool reported;         /* that has been logged */
	int64_t due_ms;        /* held: when to try again */
	bus_backoff backoff;
} busp_relay_stream;

typedef struct busp_relay {
	const bus_service *service;
	bus_adapter *adapter;
	bus_store *store;
	bus_arena *arena; /* of one batch */

	/* configuration */
	size_t batch_rows;
	int64_t poll_ms;
	int64_t lease_ms;
	char holder[64];

	/* of the lease; forgotten with it */
	int64_t epoch; /* 0: another relay works */
	int64_t renewed_ms;
	busp_relay_stream *streams; /* sorted by number */
	size_t stream_count;
	size_t stream_room;
	size_t unmarked;        /* rows published since the last mark */
	int64_t unmarked_ms;    /* since when */
	int64_t alone_until_ms; /* rows of this batch may be tried alone until then */
	size_t unrotated;       /* rows marked since the last rotation */
	int rotations;          /* left to try for what is marked by now */
	int64_t rotated_ms;

	bus_backoff backoff; /* of failures of the store in a row */
	bool listening;
} busp_relay;

static inline int64_t
busp_relay_now(const busp_relay *relay)
{
	return bus_clock_mono_ms(relay->service->clock);
}

/**
 * busp_relay_carry - read one batch of the outbox and publish it
 *
 * @ret_rows: rows read; 0: nothing to do now
 *
 * What becomes durable moves published_seq; a stream that fails is held. Errors: those of
 * the store.
 */
BUS_MUST_CHECK bus_status busp_relay_carry(busp_relay *relay, size_t *ret_rows,
					   bus_error *err);

/* When the first held stream is due; INT64_MAX if none is held. */
int64_t busp_relay_due_ms(const busp_relay *relay);

#endif
