/*
 * relay.h - what the relay's files share: the loop (handler.c), the shards (shards.c), the
 * batches (carry.c), the thread that publishes (publisher.c)
 */
#ifndef BUSP_RELAY_H
#define BUSP_RELAY_H

#include "workers/relay/handler.h"
#include "workers/relay/publisher.h"

/* The lease is renewed when a part of it has passed, and no call to the broker takes longer
 * than a part: renewal, a batch and one row tried alone end within the lease. */
#define BUSP_RELAY_LEASE_PARTS 4

/* Tables are emptied when so much time has passed. */
#define BUSP_RELAY_ROTATE_MS 60000
/* After the last mark: the first turns writers away from a table, a later one empties it. That
 * waits for no lock to speak of, so a reader (or autovacuum) can be in its way; this often it is
 * tried again before it is left to the next mark. */
#define BUSP_RELAY_ROTATIONS 12

/* What the relay knows of one stream of the outbox. */
typedef struct busp_relay_stream {
	int32_t stream;
	int64_t published_seq; /* every row up to here is in its topic */
	int64_t sent_seq;      /* and those up to here are on their way */
	int64_t marked_seq;    /* PostgreSQL knows of those up to here */
	bool held;             /* its next row could not be published; the others go on */
	bool reported;         /* that has been logged */
	int64_t due_ms;        /* held: when to try again */
	bus_backoff backoff;
} busp_relay_stream;

/* One row on its way. */
typedef struct busp_parcel {
	const bus_outbox_row *row;
	bool first; /* of its stream */
} busp_parcel;

/* Rows that were read, and then sent. */
typedef struct busp_batch {
	bus_arena *arena; /* all it points to */
	const bus_outbox_row *rows;
	size_t row_count; /* 0: there is nothing in it */
	busp_parcel *parcels;
	bus_publication *publications; /* one per parcel; the publisher's while it is sent */
	size_t parcel_count;
} busp_batch;

typedef struct busp_relay {
	const bus_service *service;
	busp_publisher publisher;
	bus_place place;
	bus_adapter *followed; /* of that place; NULL: the adapter is a caller's */
	bus_store *store;
	bus_arena *arena; /* of one turn */

	/* configuration */
	size_t batch_rows;
	int64_t poll_ms;
	int64_t lease_ms;
	char holder[64];

	int64_t epochs[BUS_RELAY_SHARDS]; /* of the shards that are ours; 0: not ours */
	int64_t renew_ms;                 /* when to say that we live */
	busp_relay_stream *streams;       /* of our shards, sorted by number */
	size_t stream_count;
	size_t stream_room;
	busp_batch sent;        /* on its way to the topics */
	busp_batch next;        /* read behind it */
	bool drained;           /* the last look found no row that could be read */
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

/* ---- shards.c ---- */

/* The shards that are ours now. */
bus_relay_shards busp_relay_ours(const busp_relay *relay);

/**
 * busp_relay_renew - say that we live; take what is free, give up what is too much
 *
 * Not while a batch is on its way: what is given up must be settled. Errors: those of the
 * store.
 */
BUS_MUST_CHECK bus_status busp_relay_renew(busp_relay *relay, bus_error *err);

/* Has another relay had one of our shards since the last heartbeat? Then what looks like a
 * broken outbox may be its work: it has emptied tables we had not read. False if PostgreSQL
 * cannot be asked. */
bool busp_relay_robbed(busp_relay *relay);

/* Marks what is published. Errors: those of the store. */
BUS_MUST_CHECK bus_status busp_relay_mark(busp_relay *relay, bus_error *err);

/* Forgets what is known of the streams of these shards, and what was read: PostgreSQL's marks
 * are the truth again. */
void busp_relay_forget(busp_relay *relay, bus_relay_shards shards);

/* ---- carry.c ---- */

/**
 * busp_relay_read - read the next batch, behind the one that is sent
 *
 * It goes on from what is sent as if that were published already; busp_relay_settle() drops
 * it when that was wrong. Does nothing if there is one already.
 *
 * Errors: those of the store.
 */
BUS_MUST_CHECK bus_status busp_relay_read(busp_relay *relay, bus_error *err);

/* Sends the batch that was read, if any. Errors: BUS_E_FATAL out of memory. */
BUS_MUST_CHECK bus_status busp_relay_send(busp_relay *relay, bus_error *err);

/**
 * busp_relay_settle - wait for the batch that was sent, and see what became of it
 *
 * What is durable moves published_seq; a stream that fails is held, and what was read behind
 * it is dropped. Errors: those of the store.
 */
BUS_MUST_CHECK bus_status busp_relay_settle(busp_relay *relay, bus_error *err);

/* Drops what was read and not sent. */
void busp_relay_drop(busp_relay *relay);

/* Held streams are tried at once: what was in their way may be gone. */
void busp_relay_hurry(busp_relay *relay);
/* When the first held stream is due; INT64_MAX if none is held. */
int64_t busp_relay_due_ms(const busp_relay *relay);

#endif
