/*
 * fold.h - running folds over a batch: cache, missing rows, follow-ups
 *
 * DESIGN
 * Events are folded in batch order, but a key whose fold asks for a row that is not in
 * memory stops there while the others go on. What is missing is loaded in one query per
 * table, and the stopped keys go on from the event that stopped. What an event puts
 * becomes visible to the next event of its key only when its verdict is BUS_APPLIED.
 *
 * The results of a batch live in its arena until they are submitted; bus_folder_keep()
 * then makes them the cache's. After a failure bus_folder_forget() drops everything.
 */
#ifndef BUS_ENGINE_FOLD_H
#define BUS_ENGINE_FOLD_H

#include "sql/store.h"
#include "workers/engine/answer.h"
#include "workers/engine/worker.h"

/* Where rows come from that are not in memory: the store, or a test's own table. */
typedef struct bus_fold_source {
	bus_status (*load)(void *ctx, const bus_row_type *type, const void *const *keys,
			   size_t count, bus_arena *arena, void **ret_rows,
			   size_t *ret_count, bus_error *err);
	void *ctx;
} bus_fold_source;

typedef struct bus_fold_item {
	/* in */
	const bus_event *event; /* tenant set, time_us set */
	const json_t *data;
	/* out, in the batch arena */
	bus_verdict verdict;
	bus_str reason; /* of IGNORED and REJECTED */
	bus_outbox_row
		*follow_ups; /* topic and record set; stream and seq are the caller's */
	size_t follow_up_count;
	bus_timer_write *timers; /* as called; the stream is the caller's */
	size_t timer_count;
	bus_incident_write *incidents; /* likewise, and the offset */
	size_t incident_count;
	bool answered; /* a fact with the event's sagaid was promised */
	/* the folder's own */
	struct bus_fold_item *next;
} bus_fold_item;

typedef struct bus_folder bus_folder;

/* @rows_max: rows kept in memory between batches. Returns new. */
bus_folder *bus_folder_create(const bus_worker *worker, bus_fold_source source,
			      size_t rows_max);
void bus_folder_destroy(bus_folder *folder);
/* Who tells sagas what its folds came to. */
busp_teller bus_folder_teller(const bus_folder *folder);

/**
 * bus_folder_run - fold a batch
 *
 * @items: in log order per key; in and out
 * @arena: holds everything that comes out
 *
 * Errors: those of the source; the batch is then void, call bus_folder_forget().
 */
BUS_MUST_CHECK bus_status bus_folder_run(bus_folder *folder, bus_fold_item *items,
					 size_t count, bus_arena *arena, bus_error *err);

/* The rows that the last run changed, per table in the worker's order, sorted by key;
 * borrowed from the arena of that run. */
void bus_folder_writes(bus_folder *folder, const bus_unit_write **ret_writes,
		       size_t *ret_count);

/* The last run has been submitted: its rows are the truth from now on. */
void bus_folder_keep(bus_folder *folder);

/* Nothing in memory can be trusted. */
void bus_folder_forget(bus_folder *folder);

#endif
