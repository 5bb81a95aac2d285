/*
 * item.h - one event on its way through a batch
 */
#ifndef BUSP_ENGINE_ITEM_H
#define BUSP_ENGINE_ITEM_H

#include "broker-adapters/adapter.h"
#include "sql/store.h"

/* Longest text kept of why an event was refused. */
#define BUSP_DETAIL_MAX 1024

/* What the engine itself does when it meets an event; see quarantine.h. */
typedef enum busp_act {
	BUSP_ACT_NONE, /* an event for the worker's fold */
	BUSP_ACT_RETRY,
	BUSP_ACT_DRAIN,
	BUSP_ACT_REDRIVE,
	BUSP_ACT_EDIT,
	BUSP_ACT_DISCARD,
} busp_act;

typedef struct busp_lane {
	bus_stream stream; /* expected by the next unit */
	bool held;         /* its position cannot be read: an incident is open */
	/* Offsets that are missing before these were met: once, and again after a rewind.
	 * 0 is never the end of a gap. */
	int64_t gap_suspect;
	int64_t gap_end;
	int64_t suspect_end; /* what lies before it was in a unit that failed */
	int32_t careful; /* so many events go one by one, each counted before it is tried */
	/* of the batch being made */
	bool touched;
	int64_t next_offset;
	int64_t outbox_seq;
	bus_digest head;
} busp_lane;

typedef struct busp_item {
	const bus_delivery *delivery; /* of a letter: made of what is stored */
	busp_lane *lane;
	bus_event event;
	const bus_record *record;
	bool identified;
	bool repeat;
	bool decided; /* the verdict stands: not for the fold */
	bool letter;  /* a dead letter that is folded now: it has its ledger row */
	busp_act act;
	bus_uuid identity;
	bus_digest digest;
	bus_verdict verdict;
	bus_cause cause;
	bus_str reason;
	bus_str detail;
	json_t *data; /* borrowed from event */
	bus_outbox_row *outbox;
	size_t outbox_count;
	bus_timer_write *timers;
	size_t timer_count;
	bus_incident_write *incidents;
	size_t incident_count;
	bool answered; /* its fold promised the answer its saga waits for */
} busp_item;

/* Sets the verdict; with a cause it is a dead letter. */
void busp_item_decide(busp_item *item, bus_verdict verdict, bus_cause cause,
		      bus_str detail);

/* Why the unit of this event alone has failed. */
typedef enum busp_refusal_kind {
	BUSP_REFUSED, /* PostgreSQL refuses its data: a dead letter */
	BUSP_FAILED,  /* for a reason that may pass: its key is held */
	BUSP_SPENT, /* its worker died as often as the budget allows: held without a try */
} busp_refusal_kind;

typedef struct busp_refusal {
	bool set;
	busp_refusal_kind kind;
	int32_t partition;
	int64_t offset;
	char detail[BUSP_DETAIL_MAX];
} busp_refusal;

static inline bool
busp_refusal_is_of(const busp_refusal *refusal, const busp_item *item)
{
	return refusal->set && !item->letter &&
	       refusal->partition == item->delivery->partition &&
	       refusal->offset == item->delivery->offset;
}

/* One that was tried in front of others and is met again later, and one that is met at once. */
#define BUSP_REFUSALS_MAX 2

/* The one of this event among BUSP_REFUSALS_MAX; NULL if there is none. */
static inline const busp_refusal *
busp_refusals_find(const busp_refusal *refusals, const busp_item *item)
{
	for (size_t i = 0; i < BUSP_REFUSALS_MAX; i++) {
		if (busp_refusal_is_of(&refusals[i], item)) {
			return &refusals[i];
		}
	}
	return NULL;
}

#endif
