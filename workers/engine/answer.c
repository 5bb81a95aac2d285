/*
 * answer.c - facts with a sagaid, as answers on busline.saga
 */
#include "workers/engine/answer.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/id.h"
#include "core/json.h"

#define ANSWERED_TYPE "io.busline.saga.answered.v1"
#define ANSWER_STEP "saga.answered"
/* As in its schema. */
#define REASON_MAX 4096u

/* Commands end in "requested", before the version. */
static bool
is_fact(bus_str type)
{
	static const char requested[] = "requested";
	const size_t len = sizeof(requested) - 1;
	size_t end = type.len;
	while (end > 0 && type.data[end - 1] >= '0' && type.data[end - 1] <= '9') {
		end--;
	}
	if (end >= 2 && end < type.len && memcmp(type.data + end - 2, ".v", 2) == 0) {
		end -= 2;
	} else {
		end = type.len;
	}
	return end < len || memcmp(type.data + end - len, requested, len) != 0;
}

static void
put(json_t *object, const char *name, json_t *value)
{
	if (value == NULL || json_object_set_new(object, name, value) != 0) {
		fputs("busline: out of memory for an answer to a saga\n", stderr);
		abort();
	}
}

static void
put_text(json_t *object, const char *name, bus_str text)
{
	if (text.len > 0) {
		put(object, name, json_stringn(text.data, text.len));
	}
}

static bus_str
cut(bus_str reason)
{
	if (reason.len > REASON_MAX) {
		reason.len = REASON_MAX;
		while (!bus_utf8_valid(reason)) {
			reason.len--;
		}
	}
	return reason;
}

static bus_str
answer_data(const busp_outcome *outcome, const char *word, bool whole, bus_arena *arena)
{
	BUS_JSON_AUTO *answer = json_object();
	const bus_event *event = outcome->event;
	put_text(answer, "sagastep", event->sagastep);
	put_text(answer, "type", event->type);
	put_text(answer, "source", event->source);
	put_text(answer, "id", event->id);
	put(answer, "outcome", json_string(word));
	put_text(answer, "reason", cut(outcome->reason));
	if (whole && json_is_object(outcome->data)) {
		put(answer, "data", json_deep_copy(outcome->data));
	}
	char *text = json_dumps(answer, JSON_COMPACT);
	bus_str copy = BUS_STR_NULL;
	if (text != NULL) {
		copy = bus_arena_str(arena, bus_str_from(text));
	}
	free(text);
	return copy;
}

/* False if it cannot be said as an event: what was refused may have held anything. */
static bool
write_answer(const busp_teller *teller, const busp_outcome *outcome, const char *word,
	     bus_arena *arena, bus_outbox_row *ret_row)
{
	const bus_event *about = outcome->event;
	char id_text[BUS_UUID_TEXT_LEN + 1], time_text[BUS_TIME_TEXT_MAX];
	/* an event that was refused may be redriven: what becomes of it then is another answer */
	bus_str step = bus_arena_printf(arena, ANSWER_STEP ".%s.%.*s", word,
					BUS_STR_ARG(outcome->reason));
	bus_uuid id = bus_uuid_derive(about->time_us, about->source, about->id,
				      bus_str_from(teller->worker->name), step);
	bus_uuid_format(&id, id_text);
	bus_event event = {
		.id = bus_arena_str(arena, (bus_str){ id_text, BUS_UUID_TEXT_LEN }),
		.source = teller->source,
		.type = BUS_STR(ANSWERED_TYPE),
		.subject = about->sagaid,
		.datacontenttype = BUS_STR("application/json"),
		.time_us = about->time_us,
		.tenant = about->tenant,
		.actor = about->actor,
		.correlationid = about->correlationid.data != NULL ?
					 about->correlationid :
					 about->id,
		.causationid = about->id,
		.traceparent = about->traceparent,
	};
	if (about->time_us != BUS_TIME_NONE) {
		size_t len = bus_time_format(about->time_us, time_text);
		event.time = bus_arena_str(arena, (bus_str){ time_text, len });
	}
	*ret_row = (bus_outbox_row){ .kind = BUS_OUTBOX_FOLLOW_UP,
				     .topic = BUS_STR(BUSP_SAGA_TOPIC) };
	/* Data that fits its own event may not fit with the words around it: then without. */
	for (int whole = 1; whole >= 0; whole--) {
		bus_error ignored = BUS_ERROR_INIT;
		event.data = answer_data(outcome, word, whole == 1, arena);
		if (event.data.data != NULL &&
		    bus_event_write(&event, BUS_MODE_BINARY, arena, &ret_row->record,
				    &ignored) == BUS_OK &&
		    bus_record_bytes(&ret_row->record) <= BUS_EVENT_BYTES_MAX) {
			return true;
		}
	}
	return false;
}

static bool
carries_saga(const busp_teller *teller, const bus_event *event)
{
	return event->sagaid.len > 0 &&
	       strcmp(teller->worker->topic, BUSP_SAGA_TOPIC) != 0;
}

bool
busp_answer_folded(const busp_teller *teller, const busp_outcome *outcome,
		   bus_arena *arena, bus_outbox_row *ret_row)
{
	const bus_event *event = outcome->event;
	if (!carries_saga(teller, event) || bus_str_empty(event->tenant) ||
	    bus_str_empty(event->source) || bus_str_empty(event->id)) {
		return false;
	}
	/* What a fold of this worker promised was answered then. */
	if (bus_str_eq(event->source, teller->source)) {
		return false;
	}
	const char *word = NULL;
	switch (outcome->verdict) {
	case BUS_APPLIED:
		word = is_fact(event->type) ? "applied" : NULL;
		break;
	case BUS_IGNORED:
		word = is_fact(event->type) ? "ignored" : NULL;
		break;
	case BUS_REJECTED:
		/* The first one with these names was answered; they are the answer's too. */
		word = outcome->cause == BUS_CAUSE_IDENTITY_CONFLICT ||
				       outcome->answered ?
			       NULL :
			       "rejected";
		break;
	case BUS_REROUTED: /* folded at home */
	case BUS_HELD:     /* folded when its key is free */
	case BUS_VERDICT_COUNT:
		break;
	}
	return word != NULL && write_answer(teller, outcome, word, arena, ret_row);
}

bool
busp_answer_promised(const busp_teller *teller, const bus_event *event,
		     const json_t *data, const char *topic, bus_arena *arena,
		     bus_outbox_row *ret_row, bool *ret_answered)
{
	if (!carries_saga(teller, event) || !is_fact(event->type)) {
		return false;
	}
	*ret_answered = true;
	/* On another worker's topic it is not that worker's own, who tells when he folds it. */
	if (strcmp(topic, teller->worker->topic) != 0) {
		return false;
	}
	const busp_outcome outcome = { .event = event, .data = data };
	return write_answer(teller, &outcome, "applied", arena, ret_row);
}
