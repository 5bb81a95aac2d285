/*
 * answer.h - what a saga hears of the events that carry its id
 *
 * A saga's worker reads one topic only. What became of an event of another one that carries a
 * sagaid is told there by the worker that folds it, in the same transaction: a fact when it is
 * folded, or already when a fold promises it, and any event that becomes a dead letter.
 */
#ifndef BUSP_ENGINE_ANSWER_H
#define BUSP_ENGINE_ANSWER_H

#include "sql/store.h"
#include "workers/engine/worker.h"

#define BUSP_SAGA_TOPIC "busline.saga"

typedef struct busp_teller {
	const bus_worker *worker;
	bus_str source; /* of its events */
} busp_teller;

/* One event, and what came of it. */
typedef struct busp_outcome {
	const bus_event *event;
	const json_t *data; /* its data, or NULL */
	bus_verdict verdict;
	bus_cause cause; /* of a dead letter */
	bus_str reason;
	bool answered; /* its fold promised a fact, which is the answer */
} busp_outcome;

/**
 * busp_answer_folded - the answer that an event's end makes, if any
 *
 * @ret_row: topic and record set; stream and seq are the caller's
 *
 * False: nobody waits for it.
 */
bool busp_answer_folded(const busp_teller *teller, const busp_outcome *outcome,
			bus_arena *arena, bus_outbox_row *ret_row);

/* The same for an event that a fold of this worker promises on a topic. *ret_answered: it is,
 * now or when it is folded there, the answer of its saga. */
bool busp_answer_promised(const busp_teller *teller, const bus_event *event,
			  const json_t *data, const char *topic, bus_arena *arena,
			  bus_outbox_row *ret_row, bool *ret_answered);

#endif
