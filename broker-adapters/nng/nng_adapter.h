/*
 * nng_adapter.h - the parts of the adapter of the embedded broker; private to this folder
 *
 * DESIGN
 * client.h carries questions. On top of it: nng.c asks about topics, publish.c writes,
 * reading.c reads, membership.c is a member of a group. Of these only membership does
 * anything while the owner is elsewhere: it has to be heard of by the broker.
 */
#ifndef BUSP_NNG_ADAPTER_H
#define BUSP_NNG_ADAPTER_H

#include "broker-adapters/nng/client.h"

#define BUSP_SESSION_MS 6000
/* Appends under way at once; the broker remembers the results of twice as many. */
#define BUSP_APPENDS_MAX 4

/* A topic that was asked for: its name outlives every delivery that points to it. */
typedef struct busp_target {
	char *name;
	int32_t partitions; /* 0: not known */
	uint32_t *places; /* of each partition in the frame that is being made, plus 1 */
} busp_target;

/* ---- membership.c ---- */

typedef enum busp_member_state {
	BUSP_MEMBER_OUT,
	BUSP_MEMBER_JOINING, /* has nothing */
	BUSP_MEMBER_HOLDING, /* has its share; what is told next is in event */
	BUSP_MEMBER_ASKED,   /* was told to stop, and has not yet */
} busp_member_state;

typedef enum busp_member_event {
	BUSP_EVENT_NONE,
	BUSP_EVENT_ASSIGNED,
	BUSP_EVENT_REVOKED,
	BUSP_EVENT_LOST,
} busp_member_event;

/* Guarded by the client's lock, but for told, which is the owner's. */
typedef struct busp_membership {
	busp_member_state state;
	busp_member_event event;
	char *group;
	const char *topic; /* of the adapter's table */
	uint64_t member;
	uint64_t generation;
	bool lost;           /* the broker counts us out: nothing to be held on to */
	bool silent;         /* the owner polls no more: the broker shall miss us */
	int64_t polled_ms;   /* last sign of the owner */
	int32_t *partitions; /* the share */
	size_t partition_count;
	busp_call *beat; /* under way */
	nng_aio *pause;  /* before the next one */
	bool pausing;
	bus_buf frame;
	bus_arena *arena;
	bus_error trouble;  /* for the next poll */
	bus_position *told; /* what the last event pointed to */
	size_t told_count;
} busp_membership;

/* ---- reading.c ---- */

/* Partitions that one adapter reads at once: the broker takes no more in one question. */
#define BUSP_READINGS_MAX 4096u

/* A partition that is being read. */
typedef struct busp_reading {
	const char *topic; /* of the adapter's table */
	int32_t partition;
	int64_t next;               /* of the next record to be handed over */
	int64_t fetched;            /* of the next record to be fetched */
	int64_t doubted;            /* arrived broken, and is fetched again; -1: none */
	busp_fetch_verdict verdict; /* other than SLICES: it delivers nothing more */
	bool untold;                /* and that was not said yet */
} busp_reading;

/* Records of one reading in an answer. */
typedef struct busp_run {
	size_t reading;
	busp_slice slice;
} busp_run;

typedef struct busp_reader_state {
	busp_reading *readings;
	size_t count;
	size_t capacity;
	size_t turn;      /* where the next request begins */
	busp_call *call;  /* FETCH under way, or NULL */
	int64_t again_ms; /* not before: the broker was busy */
	size_t *asked;    /* readings in the order of the FETCH under way */
	size_t asked_count;
	size_t asked_capacity;
	bus_buf frame;

	/* the answer that is being handed over */
	nng_msg *answer;
	busp_run *runs;
	size_t run_count;
	size_t run_capacity;
	size_t run_at;
	uint32_t record_at; /* in the run */
	size_t body_at;

	/* the batch on loan */
	bus_delivery *deliveries;
	size_t delivery_count;
	size_t delivery_capacity;
	size_t delivery_bytes;
	bus_arena *arena;  /* its headers */
	bus_position hold; /* what OUT_OF_RANGE and DAMAGED point to */
} busp_reader_state;

typedef struct busp_nng {
	bus_adapter base;
	busp_client *client;
	char *client_id;
	int64_t session_ms;
	const bus_clock *clock; /* says how long the owner was away; all else is nng's time */
	busp_target **targets;
	size_t target_count;
	size_t target_capacity;
	bus_buf frame; /* of questions */

	uint64_t producer; /* 0: a new one is to be made */
	uint64_t sequence; /* of the last append */
	int64_t appended_ms;
	struct busp_appends *appends; /* made by the first publish */

	busp_reader_state reader;
	busp_membership membership;
	size_t notes; /* under way; guarded by the client's lock */
} busp_nng;

static inline busp_nng *
busp_nng_of(bus_adapter *adapter)
{
	return (busp_nng *)adapter;
}

/* ---- nng.c ---- */

busp_target *busp_nng_target(busp_nng *self, const char *name);
/* The target with its partitions known. RETRY: not reachable. FATAL: no such topic. */
BUS_MUST_CHECK bus_status busp_nng_target_ask(busp_nng *self, const char *name,
					      int timeout_ms, busp_target **ret_target,
					      bus_error *err);

/* ---- publish.c ---- */

bus_status busp_nng_publish(bus_adapter *adapter, bus_publication *publications,
			    size_t count, int timeout_ms, bus_error *err);
void busp_nng_publish_free(busp_nng *self);

/* ---- reading.c ---- */

bus_status busp_nng_start(bus_adapter *adapter, const bus_position *positions,
			  size_t count, bus_error *err);
bus_status busp_nng_poll(bus_adapter *adapter, const bus_poll_limit *limit,
			 bus_poll *ret_poll, bus_error *err);
/* Nothing is read any more. */
void busp_nng_read_nothing(busp_nng *self);
void busp_nng_reader_free(busp_nng *self);

/* ---- membership.c ---- */

bus_status busp_nng_join(bus_adapter *adapter, const char *group, const char *topic,
			 bus_error *err);
void busp_nng_leave(bus_adapter *adapter);
void busp_nng_stop(bus_adapter *adapter);
void busp_nng_note(bus_adapter *adapter, const bus_position *positions, size_t count);
/* The owner polls: true if it must be told something, which is in ret_poll unless the
 * status is not OK. */
bool busp_membership_tell(busp_nng *self, bus_poll *ret_poll, bus_status *ret_status,
			  bus_error *err);
bool busp_membership_may_read(busp_nng *self, const bus_position *position);
/* Was told to stop and has not: nothing is delivered. */
bool busp_membership_asked(busp_nng *self);
bool busp_membership_in(busp_nng *self);
/* The broker has not answered for longer than it may. */
bool busp_membership_overdue(busp_nng *self);
/* Nothing of it happens any more; before the client is freed, and free after that. */
void busp_membership_stop(busp_nng *self);
void busp_membership_free(busp_nng *self);

/* ---- closing.c ---- */

/* Ends all of it on a thread of its own; waits up to wait_ms. */
void busp_nng_end(busp_nng *self, int wait_ms);
/* What that thread does. */
void busp_nng_free(busp_nng *self);

#endif
