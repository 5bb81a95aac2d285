/*
 * quarantine.h - keys that wait behind an event that fails
 *
 * DESIGN
 * An event that PostgreSQL refuses for a reason that may pass, or that ends the worker each
 * time, is set aside as a dead letter and its key is held: later events of the key are set
 * aside behind it, all others go on. What happens then is begun by events of the log, so that
 * nothing is polled: timers of the engine's own ("quarantine/retry", "quarantine/drain") and
 * the acts of operators (io.busline.dlq.*). Such an event is a unit alone, with none in
 * flight: it reads the letters it is about, folds them like events that have just arrived, and
 * says in their rows what became of them.
 *
 *   retry    folds the head, the one all others wait for. Fails: the next timer, with
 *            back-off; after worker.attempts tries none, and an incident.
 *   drain    the head went well: folds those behind it, in order, as many as fit.
 *   redrive  an operator's retry with a fresh budget; of a letter that holds nothing: folds it.
 *   edit     keeps other data, which the next try folds.
 *   discard  the letter is done without effect; if it was the head, the next one is.
 *
 * A try of the head alone is counted before it is made, in a transaction of its own, so that a
 * worker that does not live to tell has used it up. A partition that was assigned three times
 * without progress, or whose last owner ended in such a try, is read with care: for a while one
 * event at a time, each counted before it is tried.
 */
#ifndef BUSP_ENGINE_QUARANTINE_H
#define BUSP_ENGINE_QUARANTINE_H

#include "core/config.h"
#include "workers/engine/item.h"

/* Letters of one drain, a quarter of a usual batch; and their bytes. */
#define BUSP_DRAIN_LETTERS_MAX 500
#define BUSP_DRAIN_BYTES_MAX (8u << 20)
/* Assignments without progress until a partition is read with care; the first is usual, and a
 * second one comes with every rebalance. */
#define BUSP_CAREFUL_ASSIGNMENTS 3
/* So many events then go one by one: as many as a unit has, among which the culprit is. */
#define BUSP_CAREFUL_EVENTS 2000

#define BUSP_TIMER_RETRY "quarantine/retry"
#define BUSP_TIMER_DRAIN "quarantine/drain"
#define BUSP_INCIDENT_HELD "key-held"

typedef struct busp_retry {
	int32_t attempts_max; /* >= 1 */
	int64_t base_ms, cap_ms;
} busp_retry;

/* As configured; what makes no sense becomes the nearest that does. */
busp_retry busp_retry_of(const bus_config *config);

/* Wait before the try after this many: full jitter, 0 to min(cap, base * 2^(attempts - 1)).
 * The same seed waits the same. */
int64_t busp_retry_delay_ms(const busp_retry *retry, int32_t attempts, uint64_t seed);

/* The held keys of the partitions a worker owns. */
typedef struct busp_quarantine busp_quarantine;

/* NULL when memory is short. */
busp_quarantine *busp_quarantine_create(const busp_retry *retry);
void busp_quarantine_destroy(busp_quarantine *quarantine);
const busp_retry *busp_quarantine_retry(const busp_quarantine *quarantine);

/* Forgets all and reads them again. */
BUS_MUST_CHECK bus_status busp_quarantine_load(busp_quarantine *quarantine,
					       bus_store *store, const int32_t *streams,
					       size_t count, bus_error *err);
/* One key is held, or not any more; texts are copied. */
void busp_quarantine_put(busp_quarantine *quarantine, const bus_held_key *key);
/* NULL: not held. Borrowed until it is put again. */
const bus_held_key *busp_quarantine_find(const busp_quarantine *quarantine,
					 int32_t stream, bus_str tenant, bus_str subject);

/* A lane just assigned: were its last owners ended, again and again, by what comes next? */
void busp_lane_take_care(busp_lane *lane);

/* What a batch does about held keys: at most one key, because whatever changes one is a unit
 * alone. */
typedef struct busp_plan {
	busp_item *control;      /* the event that began it */
	const bus_held_key *key; /* the one it is about, or NULL */
	bus_letter *letters;     /* to be folded, in order */
	size_t letter_count;
	int32_t attempts;           /* of the head, this one counted */
	const busp_refusal *failed; /* they were tried before, and that is what came of it */
	bus_letter_change *changes;
	size_t change_count;
	bus_held_key change; /* of the key */
	bool changed;
} busp_plan;

/* What the engine does with this event itself; looks at its type and a timer's name. */
busp_act busp_act_of(bus_event *event);

/**
 * busp_plan_make - what a control does, as far as it is known before letters are folded
 *
 * @control: valid against its schema; its verdict is set where nothing is folded
 * @refusal: what is known of an earlier try, borrowed; NULL: nothing
 * @letters_max: of a drain
 *
 * Errors: those of the store.
 */
BUS_MUST_CHECK bus_status busp_plan_make(busp_quarantine *quarantine, bus_store *store,
					 const busp_refusal *refusal, size_t letters_max,
					 busp_item *control, bus_arena *arena,
					 busp_plan *ret_plan, bus_error *err);

/* The letters have been folded, or not tried: their changes, and the control's verdict.
 * @items: one per letter; NULL if they were not tried */
void busp_plan_settle(const busp_quarantine *quarantine, busp_plan *plan,
		      const busp_item *items, bus_arena *arena);

/* The first failure of an event: it is set aside, its key is held from here on. */
void busp_plan_hold(const busp_quarantine *quarantine, busp_plan *plan, busp_item *item,
		    const busp_refusal *refusal, bus_arena *arena);

#endif
