/*
 * worker.h - what a worker is: a table, and folds that are pure
 *
 * A worker names its topic, the tables it alone writes, and one fold per event type. The
 * engine does everything else: reading, checking, repeats, transactions, fencing, dead
 * letters. A fold sees the event, the state rows of the event's own key, and nothing
 * else: no clock, no randomness, no I/O. So the state is a function of the log.
 */
#ifndef BUS_ENGINE_WORKER_H
#define BUS_ENGINE_WORKER_H

#include <jansson.h>

#include "core/arena.h"
#include "core/config.h"
#include "core/event.h"
#include "core/row.h"
#include "core/verdict.h"
#include "schemas/registry.h"

typedef struct bus_fold bus_fold; /* one event's fold while it runs */

/**
 * bus_fold_fn - (state, event) -> (state', follow-ups, verdict)
 *
 * @event: borrowed; tenant is set
 * @data: its data, valid against the schema of its type; NULL if it has none
 *
 * Returns BUS_APPLIED, or what bus_fold_ignore, bus_fold_reject or bus_fold_wait give.
 * May run more than once for one event (see bus_fold_get): it keeps nothing of its own.
 */
typedef bus_verdict (*bus_fold_fn)(bus_fold *fold, const bus_event *event,
				   const json_t *data);

typedef struct bus_handler {
	const char *type;
	bus_fold_fn fold;
} bus_handler;

typedef struct bus_worker {
	const char *name;  /* "deploy": its process, group, source of follow-ups */
	const char *topic; /* the one it reads */
	const char *help;  /* one sentence */
	const bus_handler *handlers;       /* ended by a zero row */
	const bus_row_type *const *tables; /* the ones it writes, ended by NULL */
	/* What folds need besides the event and rows, the same for the life of the process
	 * (saga definitions); NULL: nothing. FATAL ends the worker before it reads. */
	bus_status (*prepare)(const bus_config *config, const bus_registry *registry,
			      bus_error *err);
} bus_worker;

typedef enum bus_found {
	BUS_FOUND,  /* *ret_row is the row */
	BUS_ABSENT, /* there is none; *ret_row is NULL */
	BUS_WAIT,   /* not in memory yet: return bus_fold_wait() at once */
} bus_found;

/**
 * bus_fold_get - a state row of the event's key
 *
 * @key: a struct of the type with its key columns set; tenant and subject are set by the
 *	engine to the event's own, whatever they hold
 * @ret_row: borrowed, read only, as left by the events before this one; texts in it stay
 *	valid until the end of the fold
 *
 * On BUS_WAIT the engine loads the row together with all others that are missing, and runs
 * the fold again from its start.
 */
bus_found bus_fold_get(bus_fold *fold, const bus_row_type *type, const void *key,
		       const void **ret_row);

/* Inserts or replaces the row with this key; texts are copied when the fold has ended well.
 * Takes effect only if the verdict is BUS_APPLIED. */
void bus_fold_put(bus_fold *fold, const bus_row_type *type, const void *row);

typedef struct bus_follow_up {
	const char *type;  /* of the event */
	const char *topic; /* NULL: the worker's own */
	const char *step; /* which follow-up of this cause this is; unique within the fold */
	bus_str subject; /* absent: the cause's */
	bus_str sagaid;  /* absent: the cause's, and its sagastep */
	bus_str sagastep;
	json_t *data; /* taken */
} bus_follow_up;

/*
 * Promises an event: it goes into the outbox with the transaction, whatever the verdict.
 * Its id derives from the cause, worker and step; time, tenant, actor, correlation and
 * traceparent are the cause's; causation is the cause's id. A fact that carries a sagaid
 * goes to busline.saga, too, as an answer (docs/sagas.md).
 */
void bus_fold_emit(bus_fold *fold, const bus_follow_up *follow_up);

/* The event of a timer that is due; it comes on the topic of the worker that set it. Its
 * data: {"name", "due": when it was to fire, "late_ms": how much later it did}. */
#define BUS_TIMER_FIRED_TYPE "io.busline.timer.fired.v1"

/*
 * A timer of the event's key: BUS_TIMER_FIRED_TYPE comes with this name, once, delay_ms
 * after the transaction or a little later, never earlier. One per key and name: setting it
 * again replaces it, and one that is due already may still come. In the transaction,
 * whatever the verdict.
 */
void bus_fold_timer_set(bus_fold *fold, bus_str name, int64_t delay_ms);
void bus_fold_timer_cancel(bus_fold *fold, bus_str name);

/* Something a person must look at, about the event's key: one open incident per kind and key;
 * opened again it counts. In the transaction, whatever the verdict. @kind: static. */
void bus_fold_incident_open(bus_fold *fold, const char *kind, bus_str detail);
void bus_fold_incident_close(bus_fold *fold, const char *kind, bus_str reason);

bus_arena *bus_fold_arena(bus_fold *fold);

/* "what is missing comes first" */
bus_verdict bus_fold_wait(bus_fold *fold);
/* Right but without effect; the reason is stored in the ledger. */
bus_verdict bus_fold_ignore(bus_fold *fold, const char *reason, ...) BUS_PRINTF(2, 3);
/* Can never be applied: a dead letter with cause "rejected" and this detail. */
bus_verdict bus_fold_reject(bus_fold *fold, const char *reason, ...) BUS_PRINTF(2, 3);

#endif
