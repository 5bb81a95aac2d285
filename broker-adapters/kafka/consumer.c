/*
 * consumer.c - membership, and what is being read from where
 *
 * DESIGN
 * librdkafka answers the group's coordinator at once, the caller takes its time: an
 * assignment is accepted with an empty rd_kafka_assign() inside the callback, so that a
 * rebalance that follows is not held up by a caller who is still fencing; a revocation is
 * answered when the caller stops.
 *
 * There is one way to read from somewhere: rd_kafka_assign() of all that is read, each from
 * its next offset. It raises the version of every partition before it returns, and
 * librdkafka hands out no message of an older version: that is the promise of start(). It
 * goes around rd_kafka_seek_partitions(), whose timeout is 1000 times too short
 * (librdkafka#4230) and which fails on a partition that is not fetching yet, and around
 * pause and resume, which lose their place (#4208, #4636).
 */
#include "broker-adapters/kafka/kafka.h"

#include <stdio.h>
#include <stdlib.h>

/* Without a group librdkafka still wants a name; nothing joins or commits under it. */
#define BUSP_NO_GROUP "busline.reader"
#define BUSP_ARENA_CHUNK_BYTES (64 * 1024)

void
busp_consumer_release(busp_consumer *consumer)
{
	for (size_t i = 0; i < consumer->message_count; i++) {
		rd_kafka_message_destroy(consumer->messages[i]);
	}
	consumer->message_count = 0;
	consumer->bytes = 0;
	bus_arena_reset(consumer->arena);
}

void
busp_consumer_forget(busp_consumer *consumer)
{
	busp_consumer_release(consumer);
	if (consumer->waiting != NULL) {
		rd_kafka_message_destroy(consumer->waiting);
		consumer->waiting = NULL;
	}
}

/* Runs on the thread of closing.c, or here when the handle could not be made. A coordinator
 * that is out of reach is not told: librdkafka may crash over that answer until 2.14.2, and
 * the session runs out by itself. */
void
busp_consumer_free(busp_consumer *consumer)
{
	if (consumer == NULL) {
		return;
	}
	busp_consumer_forget(consumer);
	if (consumer->rk != NULL && consumer->down) {
		rd_kafka_destroy_flags(consumer->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	} else if (consumer->rk != NULL) {
		(void)rd_kafka_consumer_close(consumer->rk);
		rd_kafka_destroy(consumer->rk);
	}
	bus_arena_destroy(consumer->arena);
	free(consumer->messages);
	free(consumer->deliveries);
	free(consumer->readings);
	free(consumer->assigned);
	free(consumer);
}

/* ---- callbacks, from within a poll ---- */

static void
busp_on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
	busp_consumer *consumer = opaque;

	if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
		consumer->down = true;
	}
	if (busp_kafka_polling((rd_kafka_resp_err_t)code) != BUS_OK &&
	    !consumer->closing) {
		consumer->trouble = (rd_kafka_resp_err_t)code;
		snprintf(consumer->trouble_text, sizeof(consumer->trouble_text), "%s",
			 reason);
		rd_kafka_yield(rk);
	}
}

static void
busp_answer(rd_kafka_t *rk, bool accept)
{
	rd_kafka_topic_partition_list_t *nothing =
		accept ? rd_kafka_topic_partition_list_new(0) : NULL;

	(void)rd_kafka_assign(rk, nothing);
	if (nothing != NULL) {
		rd_kafka_topic_partition_list_destroy(nothing);
	}
}

static void
busp_on_assigned(busp_consumer *consumer, rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_topic_partition_list_sort(list, NULL, NULL);
	free(consumer->assigned);
	consumer->assigned =
		busp_adapter_alloc((size_t)list->cnt, sizeof(*consumer->assigned));
	consumer->assigned_count = (size_t)list->cnt;
	for (int i = 0; i < list->cnt; i++) {
		consumer->assigned[i] = (bus_position){
			.topic = consumer->topic,
			.partition = list->elems[i].partition,
			.offset = -1,
		};
	}
	consumer->event = BUSP_EVENT_ASSIGNED;
	busp_answer(consumer->rk, true);
}

static void
busp_on_revoked(busp_consumer *consumer)
{
	if (consumer->event == BUSP_EVENT_ASSIGNED || consumer->assigned_count == 0) {
		/* the caller never heard of it */
		consumer->event = BUSP_EVENT_NONE;
		consumer->assigned_count = 0;
		busp_answer(consumer->rk, false);
		return;
	}
	/* a lost assignment may be reported as a revoked one (librdkafka#5604): the caller's
	 * epoch decides what can still be written, not this word */
	consumer->event = rd_kafka_assignment_lost(consumer->rk) ? BUSP_EVENT_LOST :
								   BUSP_EVENT_REVOKED;
	consumer->asked = true;
}

static void
busp_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
		  rd_kafka_topic_partition_list_t *list, void *opaque)
{
	busp_consumer *consumer = opaque;

	consumer->down = false;
	if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && !consumer->closing) {
		busp_on_assigned(consumer, list);
	} else if (code == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS && !consumer->closing) {
		busp_on_revoked(consumer);
	} else {
		busp_answer(rk, false);
	}
	rd_kafka_yield(rk);
}

/* ---- life ---- */

static bus_status
busp_consumer_make(busp_kafka *self, const char *group, bus_error *err)
{
	busp_consumer *consumer = busp_adapter_alloc(1, sizeof(*consumer));
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	rd_kafka_conf_set_opaque(conf, consumer);
	rd_kafka_conf_set_error_cb(conf, busp_on_error);
	rd_kafka_conf_set_rebalance_cb(conf, busp_on_rebalance);
	consumer->arena = bus_arena_create(BUSP_ARENA_CHUNK_BYTES);
	bus_status status = busp_kafka_handle(self, BUSP_ROLE_CONSUMER, group, conf,
					      &consumer->rk, err);

	if (status != BUS_OK) {
		busp_consumer_free(consumer);
		return status;
	}
	/* all that librdkafka has to say comes through the one poll */
	(void)rd_kafka_poll_set_consumer(consumer->rk);
	self->consumer = consumer;
	return BUS_OK;
}

bus_status
busp_kafka_join(bus_adapter *adapter, const char *group, const char *topic, bus_error *err)
{
	busp_kafka *self = busp_kafka_of(adapter);

	if (self->consumer != NULL &&
	    (self->consumer->topic != NULL || self->consumer->reading_count > 0)) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "join %s for %.200s: is reading already", group,
				     topic);
	}
	if (self->consumer != NULL) {
		busp_kafka_end(self->consumer, NULL, NULL, 0);
		self->consumer = NULL;
	}
	bus_status status = busp_consumer_make(self, group, err);

	if (status != BUS_OK) {
		return status;
	}
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

	self->consumer->topic = busp_kafka_topic_use(self, topic)->name;
	rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
	rd_kafka_resp_err_t code = rd_kafka_subscribe(self->consumer->rk, list);

	rd_kafka_topic_partition_list_destroy(list);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		busp_kafka_leave(adapter);
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, code,
				     "join %s for %.200s: %s", group, topic,
				     rd_kafka_err2str(code));
	}
	return BUS_OK;
}

void
busp_kafka_leave(bus_adapter *adapter)
{
	busp_kafka *self = busp_kafka_of(adapter);

	if (self->consumer != NULL && self->consumer->topic != NULL) {
		busp_kafka_end(self->consumer, NULL, NULL, BUS_CLOSE_MS_MAX);
		self->consumer = NULL;
	}
}

/* ---- what is read from where ---- */

/* Waits until librdkafka has stopped the fetchers of the last assignment. A second one
 * before that stops them twice and ends the process: "Assertion `rktp->rktp_started'
 * failed", in 2.0.2 and still in 2.15.0. Stopping is two steps of librdkafka's own thread,
 * the second queued by the first; each of our questions is queued behind one of them. Both
 * are answered from memory, in microseconds. */
static void
busp_settle(rd_kafka_t *rk)
{
	for (int step = 0; step < 2; step++) {
		rd_kafka_topic_partition_list_t *list = NULL;

		if (rd_kafka_assignment(rk, &list) == RD_KAFKA_RESP_ERR_NO_ERROR) {
			rd_kafka_topic_partition_list_destroy(list);
		}
	}
}

bus_status
busp_consumer_assign(busp_consumer *consumer, bus_error *err)
{
	rd_kafka_topic_partition_list_t *list =
		rd_kafka_topic_partition_list_new((int)consumer->reading_count);

	consumer->restart = false;
	consumer->heard_ms = bus_clock_mono_ms(bus_clock_system());
	busp_consumer_forget(consumer);
	for (size_t i = 0; i < consumer->reading_count; i++) {
		const busp_reading *reading = &consumer->readings[i];

		if (!reading->held) {
			rd_kafka_topic_partition_list_add(list, reading->topic,
							  reading->partition)
				->offset = reading->next;
		}
	}
	rd_kafka_resp_err_t code = rd_kafka_assign(consumer->rk, list);

	rd_kafka_topic_partition_list_destroy(list);
	busp_settle(consumer->rk);
	return code == RD_KAFKA_RESP_ERR_NO_ERROR ?
		       BUS_OK :
		       bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, code, "start: %s",
				     rd_kafka_err2str(code));
}

/* In a group only what is assigned, and not asked back, may be read. */
static bool
busp_may_read(const busp_consumer *consumer, const bus_position *position)
{
	if (consumer->topic == NULL) {
		return true;
	}
	for (size_t i = 0; i < consumer->assigned_count && !consumer->asked; i++) {
		if (consumer->assigned[i].partition == position->partition &&
		    strcmp(consumer->topic, position->topic) == 0) {
			return true;
		}
	}
	return false;
}

static void
busp_reading_set(busp_consumer *consumer, const char *topic, const bus_position *position)
{
	size_t at = 0;

	while (at < consumer->reading_count &&
	       (consumer->readings[at].partition != position->partition ||
		consumer->readings[at].topic != topic)) {
		at++;
	}
	if (at == consumer->reading_count) {
		consumer->readings =
			busp_adapter_grow(consumer->readings, consumer->reading_count++,
					  &consumer->reading_capacity,
					  sizeof(busp_reading));
	}
	if ((consumer->event == BUSP_EVENT_OUT_OF_RANGE ||
	     consumer->event == BUSP_EVENT_DAMAGED) &&
	    consumer->hold.topic == topic &&
	    consumer->hold.partition == position->partition) {
		consumer->event =
			BUSP_EVENT_NONE; /* it was not told, and is no longer so */
	}
	consumer->readings[at] = (busp_reading){
		.topic = topic,
		.partition = position->partition,
		.next = position->offset,
		.doubted = -1,
	};
}

bus_status
busp_kafka_start(bus_adapter *adapter, const bus_position *positions, size_t count,
		 bus_error *err)
{
	busp_kafka *self = busp_kafka_of(adapter);

	if (self->consumer == NULL) {
		bus_status status = busp_consumer_make(self, BUSP_NO_GROUP, err);

		if (status != BUS_OK) {
			return status;
		}
	}
	for (size_t i = 0; i < count; i++) {
		bus_status status = busp_position_check(BUSP_ORIGIN, &positions[i], err);

		if (status != BUS_OK) {
			return status;
		}
		if (!busp_may_read(self->consumer, &positions[i])) {
			return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
					     "start %s[%d]: not assigned",
					     positions[i].topic, positions[i].partition);
		}
	}
	for (size_t i = 0; i < count; i++) {
		busp_reading_set(self->consumer,
				 busp_kafka_topic_use(self, positions[i].topic)->name,
				 &positions[i]);
	}
	return busp_consumer_assign(self->consumer, err);
}

void
busp_kafka_stop(bus_adapter *adapter)
{
	busp_consumer *consumer = busp_kafka_of(adapter)->consumer;

	if (consumer == NULL) {
		return;
	}
	busp_consumer_forget(consumer);
	consumer->reading_count = 0;
	consumer->restart = false;
	if (consumer->event == BUSP_EVENT_OUT_OF_RANGE ||
	    consumer->event == BUSP_EVENT_DAMAGED) {
		consumer->event = BUSP_EVENT_NONE;
	}
	busp_answer(consumer->rk, !consumer->asked);
	if (consumer->asked) {
		consumer->asked = false;
		consumer->assigned_count = 0;
	}
}

void
busp_kafka_note(bus_adapter *adapter, const bus_position *positions, size_t count)
{
	busp_consumer *consumer = busp_kafka_of(adapter)->consumer;

	if (consumer == NULL || consumer->topic == NULL || consumer->asked || count == 0) {
		return;
	}
	rd_kafka_topic_partition_list_t *list =
		rd_kafka_topic_partition_list_new((int)count);

	for (size_t i = 0; i < count; i++) {
		rd_kafka_topic_partition_list_add(list, positions[i].topic,
						  positions[i].partition)
			->offset = positions[i].offset;
	}
	(void)rd_kafka_commit(consumer->rk, list, 1);
	rd_kafka_topic_partition_list_destroy(list);
}
