/*
 * membership.c - being a member of a group
 *
 * DESIGN
 * One GROUP request is always under way: it joins, it is the sign of life, and its answer
 * says what to do. The broker keeps it for up to a third of the session; when it is
 * answered, the thread of nng that brings the answer sends the next one, so that the broker
 * hears of a member whose owner is busy in the database. When the connection was lost, nng
 * sends the request again on the next one, within the broker's grace. An owner that has not polled for
 * minutes is not busy but stuck: then nothing more is sent and its share goes to others.
 *
 * What the broker said becomes an event for the next poll. Between REVOKED and stop the
 * member goes on to say that it holds; it says "joining" again once it was stopped.
 */
#include <stdlib.h>

#include "broker-adapters/nng/nng_adapter.h"

/* An owner silent for this long is stuck, as Kafka's max.poll.interval.ms has it. */
#define BUSP_OWNER_SILENT_MS 300000
/* Before a beat that the broker could not answer is tried again. */
#define BUSP_BEAT_AGAIN_MS 200
/* Between beats of one that was asked to give up: the broker has no reason to keep them.
 * Shorter than its grace for who lost the connection in between. */
#define BUSP_BEAT_DRAINING_MS 300
/* Leaving is told if there is somebody to tell, and not waited for longer. */
#define BUSP_LEAVE_MS 3000
/* Notes under way; one more is left out. */
#define BUSP_NOTES_MAX 8

static void busp_on_beat(busp_call *call, void *arg);

/* ---- beats, with the client's lock held ---- */

static void
busp_beat_write(busp_nng *self, busp_group_state state)
{
	busp_membership *m = &self->membership;
	const busp_group_request request = {
		.group = bus_str_from(m->group),
		.topic = bus_str_from(m->topic),
		.member = m->member,
		.client = bus_str_from(self->client_id),
		.session_ms = (uint32_t)self->session_ms,
		.wait_ms = (uint32_t)self->session_ms / 3,
		.state = state,
		.generation = state == BUSP_GROUP_HOLDING ? m->generation : 0,
	};

	busp_client_request(self->client, &m->frame, BUSP_OP_GROUP);
	busp_put_group_request(&m->frame, &request);
}

/* The next one, unless there is one, or nothing to be said. */
static void
busp_beat(busp_nng *self)
{
	busp_membership *m = &self->membership;

	if (m->beat != NULL || m->state == BUSP_MEMBER_OUT || m->lost ||
	    self->client->closing) {
		return;
	}
	m->silent = bus_clock_mono_ms(self->clock) - m->polled_ms >
		    (self->session_ms > BUSP_OWNER_SILENT_MS ? self->session_ms :
							       BUSP_OWNER_SILENT_MS);
	if (m->silent) {
		return;
	}
	busp_beat_write(self, m->state == BUSP_MEMBER_JOINING ? BUSP_GROUP_JOINING :
								BUSP_GROUP_HOLDING);
	m->beat = busp_call_begin_locked(self->client, &m->frame, busp_on_beat, self);
}

static void
busp_on_pause(void *argument)
{
	busp_nng *self = argument;

	busp_client_lock(self->client);
	self->membership.pausing = false;
	busp_beat(self);
	busp_client_unlock(self->client);
}

/* The next one after a while; or sooner, if a pause is not over yet. */
static void
busp_beat_later(busp_nng *self, int64_t pause_ms)
{
	busp_membership *m = &self->membership;

	if (!m->pausing && !self->client->closing) {
		m->pausing = true;
		nng_sleep_aio((nng_duration)pause_ms, m->pause);
	}
}

/* ---- what the broker says, with the lock held ---- */

static int
busp_by_number(const void *a, const void *b)
{
	int32_t left = *(const int32_t *)a;
	int32_t right = *(const int32_t *)b;

	return left < right ? -1 : left > right;
}

static void
busp_member_assigned(busp_membership *m, const busp_group_answer *answer)
{
	free(m->partitions);
	m->partitions = busp_adapter_alloc(answer->partition_count, sizeof(int32_t));
	m->partition_count = answer->partition_count;
	if (m->partition_count > 0) {
		memcpy(m->partitions, answer->partitions,
		       m->partition_count * sizeof(int32_t));
		qsort(m->partitions, m->partition_count, sizeof(int32_t), busp_by_number);
	}
	m->generation = answer->generation;
	m->state = BUSP_MEMBER_HOLDING;
	m->event = BUSP_EVENT_ASSIGNED;
}

/* GIVE_UP or LOST. True: the owner has nothing to give up and need not hear of it. */
static bool
busp_member_unassigned(busp_membership *m, bool lost)
{
	if (m->state == BUSP_MEMBER_HOLDING &&
	    (m->event == BUSP_EVENT_ASSIGNED || m->partition_count == 0)) {
		m->event = BUSP_EVENT_NONE;
		m->partition_count = 0;
		m->state = BUSP_MEMBER_JOINING;
		return true;
	}
	if (m->state == BUSP_MEMBER_HOLDING) {
		m->event = lost ? BUSP_EVENT_LOST : BUSP_EVENT_REVOKED;
	}
	m->lost = lost;
	return false;
}

static void
busp_member_told(busp_nng *self, const busp_group_answer *answer, int64_t took_ms)
{
	busp_membership *m = &self->membership;
	bool at_once = true;

	if (m->state == BUSP_MEMBER_JOINING) {
		/* it may have been asked while it still held: that is settled */
		if (answer->verdict == BUSP_GROUP_ASSIGNED) {
			busp_member_assigned(m, answer);
		}
	} else if (answer->verdict == BUSP_GROUP_GIVE_UP ||
		   answer->verdict == BUSP_GROUP_LOST) {
		at_once = busp_member_unassigned(m, answer->verdict == BUSP_GROUP_LOST);
	}
	if (!at_once) {
		busp_beat_later(self, self->session_ms / 3 < BUSP_BEAT_DRAINING_MS ?
					      self->session_ms / 3 :
					      BUSP_BEAT_DRAINING_MS);
	} else if (answer->verdict == BUSP_GROUP_GO_ON && took_ms < BUSP_BEAT_AGAIN_MS) {
		/* a broker that keeps no more requests is not asked in a circle */
		busp_beat_later(self, BUSP_BEAT_AGAIN_MS);
	} else {
		busp_beat(self);
	}
}

/* On a thread of nng. */
static void
busp_on_beat(busp_call *call, void *arg)
{
	busp_nng *self = arg;
	busp_membership *m = &self->membership;
	int64_t took_ms = busp_now_ms() - call->begun_ms;
	busp_group_answer answer = { 0 };
	busp_reader reader = { 0 };
	bus_error err = BUS_ERROR_INIT;
	bus_status status = BUS_E_RETRY;

	if (call->answer != NULL) {
		status = busp_answer_read(call->answer, BUSP_OP_GROUP, &reader, &err);
	}
	if (status == BUS_OK) {
		bus_arena_reset(m->arena);
		busp_get_group_answer(&reader, m->arena, &answer);
		if (!busp_reader_done(&reader)) {
			status = bus_error_set(
				&err, BUS_E_FATAL, BUSP_ORIGIN, BUSP_MALFORMED,
				"the answer to a member breaks the protocol");
		}
	}
	m->beat = NULL;
	busp_call_forget_locked(call);
	if (status == BUS_OK) {
		busp_member_told(self, &answer, took_ms);
	} else if (status == BUS_E_FATAL) {
		m->trouble = err;
		m->silent = true; /* until the owner polls, and hears it */
	} else {
		busp_beat_later(self, BUSP_BEAT_AGAIN_MS);
	}
}

/* ---- the owner's side ---- */

bus_status
busp_nng_join(bus_adapter *adapter, const char *group, const char *topic, bus_error *err)
{
	busp_nng *self = busp_nng_of(adapter);
	busp_membership *m = &self->membership;

	if (m->state != BUSP_MEMBER_OUT || self->reader.count > 0 || group[0] == '\0' ||
	    strlen(group) > BUSP_GROUP_NAME_MAX || strlen(topic) >= BUS_TOPIC_NAME_MAX) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "join %.200s for %.200s: %s", group, topic,
				     m->state != BUSP_MEMBER_OUT ||
						     self->reader.count > 0 ?
					     "is reading already" :
					     "no such name can be");
	}
	if (m->pause == NULL) {
		if (nng_aio_alloc(&m->pause, busp_on_pause, self) != 0) {
			m->pause = NULL;
			return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, NNG_ENOMEM,
					     "join %.200s: out of memory", group);
		}
		m->arena = bus_arena_create(4096);
	}
	busp_client_lock(self->client);
	free(m->group);
	m->group = busp_adapter_copy(group);
	m->topic = busp_nng_target(self, topic)->name;
	m->member = busp_random();
	m->generation = 0;
	m->partition_count = 0;
	m->event = BUSP_EVENT_NONE;
	m->lost = false;
	m->trouble = BUS_ERROR_INIT;
	m->polled_ms = bus_clock_mono_ms(self->clock);
	m->state = BUSP_MEMBER_JOINING;
	busp_beat(self);
	busp_client_unlock(self->client);
	return BUS_OK;
}

void
busp_nng_leave(bus_adapter *adapter)
{
	busp_nng *self = busp_nng_of(adapter);
	busp_membership *m = &self->membership;
	bus_error ignored = BUS_ERROR_INIT;
	nng_msg *answer = NULL;
	busp_reader reader;

	busp_client_lock(self->client);
	bool member = m->state != BUSP_MEMBER_OUT;
	bool reachable = self->client->pipe != 0;

	if (member) {
		m->state = BUSP_MEMBER_OUT;
		m->event = BUSP_EVENT_NONE;
		if (m->beat != NULL) {
			busp_call_forget_locked(m->beat);
			m->beat = NULL;
		}
		if (m->pausing) {
			nng_aio_cancel(m->pause);
		}
		busp_beat_write(self, BUSP_GROUP_LEAVING);
	}
	busp_client_unlock(self->client);
	if (!member) {
		return;
	}
	busp_nng_read_nothing(self);
	/* a broker that is away will miss us by itself */
	if (reachable &&
	    busp_client_ask(self->client, &m->frame, BUSP_OP_GROUP, BUSP_LEAVE_MS,
			    &answer, &reader, &ignored) == BUS_OK) {
		nng_msg_free(answer);
	}
}

void
busp_nng_stop(bus_adapter *adapter)
{
	busp_nng *self = busp_nng_of(adapter);
	busp_membership *m = &self->membership;

	busp_nng_read_nothing(self);
	busp_client_lock(self->client);
	if (m->state == BUSP_MEMBER_ASKED) {
		m->state = BUSP_MEMBER_JOINING;
		m->partition_count = 0;
		m->lost = false;
		if (m->pausing) {
			nng_aio_cancel(m->pause); /* and its end is the next beat */
		} else {
			busp_beat(self);
		}
	}
	busp_client_unlock(self->client);
}

/* Copies what an event points to: the owner reads it while the broker may say more. */
static void
busp_member_tell(busp_membership *m, bus_poll_kind kind, bus_poll *ret_poll)
{
	free(m->told);
	m->told = busp_adapter_alloc(m->partition_count, sizeof(*m->told));
	for (size_t i = 0; i < m->partition_count; i++) {
		m->told[i] = (bus_position){ m->topic, m->partitions[i], -1 };
	}
	*ret_poll = (bus_poll){
		.kind = kind,
		.partitions = m->told,
		.partition_count = m->partition_count,
	};
}

bool
busp_membership_tell(busp_nng *self, bus_poll *ret_poll, bus_status *ret_status,
		     bus_error *err)
{
	static const bus_poll_kind kinds[] = {
		[BUSP_EVENT_ASSIGNED] = BUS_POLL_ASSIGNED,
		[BUSP_EVENT_REVOKED] = BUS_POLL_REVOKED,
		[BUSP_EVENT_LOST] = BUS_POLL_LOST,
	};
	busp_membership *m = &self->membership;

	busp_client_lock(self->client);
	busp_member_event event = m->event;
	bus_status trouble = m->state != BUSP_MEMBER_OUT ? m->trouble.status : BUS_OK;

	*ret_status = BUS_OK;
	m->polled_ms = bus_clock_mono_ms(self->clock);
	if (m->silent) {
		busp_beat(self);
	}
	if (event != BUSP_EVENT_NONE) {
		m->event = BUSP_EVENT_NONE;
		if (event != BUSP_EVENT_ASSIGNED) {
			m->state = BUSP_MEMBER_ASKED;
		}
		busp_member_tell(m, kinds[event], ret_poll);
	} else if (trouble != BUS_OK) {
		*ret_status =
			bus_error_set(err, trouble, BUSP_ORIGIN, m->trouble.native_code,
				      "member of %.100s for %.200s: %.200s", m->group,
				      m->topic, m->trouble.text);
		m->trouble = BUS_ERROR_INIT;
	}
	busp_client_unlock(self->client);
	return event != BUSP_EVENT_NONE || trouble != BUS_OK;
}

bool
busp_membership_may_read(busp_nng *self, const bus_position *position)
{
	busp_membership *m = &self->membership;

	busp_client_lock(self->client);
	bool may = m->state == BUSP_MEMBER_OUT;

	if (m->state == BUSP_MEMBER_HOLDING && m->event != BUSP_EVENT_ASSIGNED &&
	    strcmp(m->topic, position->topic) == 0) {
		for (size_t i = 0; i < m->partition_count && !may; i++) {
			may = m->partitions[i] == position->partition;
		}
	}
	busp_client_unlock(self->client);
	return may;
}

bool
busp_membership_overdue(busp_nng *self)
{
	const busp_membership *m = &self->membership;

	busp_client_lock(self->client);
	bool overdue =
		m->beat != NULL && m->beat->state == BUSP_CALL_SENT &&
		busp_now_ms() - m->beat->begun_ms > self->session_ms / 3 + BUSP_SILENT_MS;
	busp_client_unlock(self->client);
	return overdue;
}

bool
busp_membership_asked(busp_nng *self)
{
	busp_client_lock(self->client);
	bool asked = self->membership.state == BUSP_MEMBER_ASKED;
	busp_client_unlock(self->client);
	return asked;
}

bool
busp_membership_in(busp_nng *self)
{
	busp_client_lock(self->client);
	bool in = self->membership.state != BUSP_MEMBER_OUT;
	busp_client_unlock(self->client);
	return in;
}

/* ---- notes ---- */

static void
busp_on_noted(busp_call *call, void *arg)
{
	busp_nng *self = arg;

	self->notes--;
	busp_call_forget_locked(call);
}

void
busp_nng_note(bus_adapter *adapter, const bus_position *positions, size_t count)
{
	busp_nng *self = busp_nng_of(adapter);
	busp_membership *m = &self->membership;

	busp_client_lock(self->client);
	if (m->state != BUSP_MEMBER_OUT && !m->lost && count > 0 &&
	    self->notes < BUSP_NOTES_MAX) {
		bus_buf *frame = &self->frame;

		busp_client_request(self->client, frame, BUSP_OP_NOTE);
		busp_put_text(frame, bus_str_from(m->group));
		bus_buf_be32(frame, (uint32_t)count);
		for (size_t i = 0; i < count; i++) {
			busp_put_text(frame, bus_str_from(positions[i].topic));
			bus_buf_be32(frame, (uint32_t)positions[i].partition);
			bus_buf_be64(frame, (uint64_t)positions[i].offset);
		}
		self->notes++;
		(void)busp_call_begin_locked(self->client, frame, busp_on_noted, self);
	}
	busp_client_unlock(self->client);
}

/* ---- the end ---- */

void
busp_membership_stop(busp_nng *self)
{
	busp_client_lock(self->client);
	self->client->closing = true;
	busp_client_unlock(self->client);
	if (self->membership.pause != NULL) {
		nng_aio_stop(self->membership.pause);
		nng_aio_free(self->membership.pause);
	}
}

void
busp_membership_free(busp_nng *self)
{
	busp_membership *m = &self->membership;

	free(m->group);
	free(m->partitions);
	free(m->told);
	bus_buf_fini(&m->frame);
	bus_arena_destroy(m->arena);
}
