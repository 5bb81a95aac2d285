/*
 * reading.c - poll: messages of librdkafka into a batch of ours
 *
 * DESIGN
 * Messages are polled one by one: rd_kafka_consume_batch() skips messages around a change
 * of the assignment (librdkafka#4208, #4844). The first is waited for, the rest of a batch
 * is what lies ready. A rebalance ends the batch and drops it: nothing of it was handed
 * over, so nothing of it was read.
 *
 * "Position not in the log" is one message without a version and then silence. It may be
 * older than the last start, or wrong (a broken TLS connection, librdkafka#4294), so the
 * log is asked before it is believed. Silence is not believed for ever either: librdkafka
 * has been seen to fetch no more after a broker came back (#4970, #5153), so now and then
 * the log is asked whether there really is nothing, and fetching begins anew if there is.
 */
#include "broker-adapters/kafka/kafka.h"

#include <stdio.h>
#include <stdlib.h>

/* Longest wait for the bounds of a log, beyond the poll's own. */
#define BUSP_BOUNDS_MS 1000
/* A consumer that is silent for this long is looked after: one small question. */
#define BUSP_SILENT_MS 10000

/* ---- what belongs where ---- */

static busp_reading *
busp_reading_of(busp_consumer *consumer, const rd_kafka_message_t *message)
{
	const char *topic = message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : "";

	for (size_t i = 0; i < consumer->reading_count; i++) {
		size_t at = (consumer->reading_last + i) % consumer->reading_count;
		busp_reading *reading = &consumer->readings[at];

		if (reading->partition == message->partition &&
		    strcmp(reading->topic, topic) == 0) {
			consumer->reading_last = at;
			return reading;
		}
	}
	return NULL;
}

static bus_str
busp_bytes(const void *data, size_t len)
{
	return data != NULL ? (bus_str){ data, len } : BUS_STR_NULL;
}

static bus_record
busp_record_of(busp_consumer *consumer, const rd_kafka_message_t *message)
{
	rd_kafka_headers_t *list = NULL;
	bus_record record = {
		.key = busp_bytes(message->key, message->key_len),
		.value = busp_bytes(message->payload, message->len),
	};

	if (rd_kafka_message_headers(message, &list) != RD_KAFKA_RESP_ERR_NO_ERROR) {
		return record;
	}
	record.header_count = rd_kafka_header_cnt(list);
	bus_header *headers = bus_arena_alloc(consumer->arena,
					      record.header_count * sizeof(*headers) + 1);

	for (size_t i = 0; i < record.header_count; i++) {
		const char *name = NULL;
		const void *value = NULL;
		size_t len = 0;

		(void)rd_kafka_header_get_all(list, i, &name, &value, &len);
		headers[i] = (bus_header){ bus_str_from(name), busp_bytes(value, len) };
	}
	record.headers = headers;
	return record;
}

static int64_t
busp_timestamp(const rd_kafka_message_t *message)
{
	rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
	int64_t timestamp = rd_kafka_message_timestamp(message, &type);

	return type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : timestamp;
}

/* ---- trouble ---- */

static bus_status
busp_trouble(busp_consumer *consumer, bus_error *err)
{
	rd_kafka_resp_err_t code = consumer->trouble;

	consumer->trouble = RD_KAFKA_RESP_ERR_NO_ERROR;
	return bus_error_set(err, busp_kafka_polling(code), BUSP_ORIGIN, code,
			     "poll: %s: %s", rd_kafka_err2str(code),
			     consumer->trouble_text);
}

/* A partition has stopped delivering for its position: is that so? */
static void
busp_verify(busp_kafka *self, busp_reading *reading)
{
	busp_consumer *consumer = self->consumer;
	bus_error ignored = BUS_ERROR_INIT;
	int64_t first = 0;
	int64_t end = 0;

	/* whatever is found, it has to be fetched again, or the question asked again */
	consumer->restart = true;
	if (busp_kafka_offset(&self->base, reading->topic, reading->partition,
			      BUS_OFFSET_EARLIEST, 0, BUSP_BOUNDS_MS, &first,
			      &ignored) != BUS_OK ||
	    busp_kafka_offset(&self->base, reading->topic, reading->partition,
			      BUS_OFFSET_LATEST, 0, BUSP_BOUNDS_MS, &end,
			      &ignored) != BUS_OK ||
	    (reading->next >= first && reading->next <= end)) {
		return;
	}
	consumer->restart = false;
	reading->held = true;
	consumer->hold =
		(bus_position){ reading->topic, reading->partition, reading->next };
	consumer->event = BUSP_EVENT_OUT_OF_RANGE;
}

/* A batch whose checksum is wrong: librdkafka has passed it by, so nothing behind it may be
 * handed over. Once may be the way, twice is the log. */
static void
busp_doubt(busp_consumer *consumer, busp_reading *reading, int64_t base)
{
	int64_t offset = base > reading->next ? base : reading->next;

	if (reading->doubted != offset) {
		reading->doubted = offset;
		consumer->restart = true;
		return;
	}
	reading->held = true;
	consumer->hold = (bus_position){ reading->topic, reading->partition, offset };
	consumer->event = BUSP_EVENT_DAMAGED;
}

/* Nothing came for a while. Asks about one partition at a time, in turn. */
static void
busp_look_after(busp_kafka *self)
{
	busp_consumer *consumer = self->consumer;
	int64_t now_ms = bus_clock_mono_ms(bus_clock_system());
	bus_error ignored = BUS_ERROR_INIT;
	int64_t end = 0;

	if (consumer->message_count > 0 || consumer->reading_count == 0 ||
	    consumer->asked) {
		consumer->heard_ms = now_ms;
		return;
	}
	if (now_ms - consumer->heard_ms < BUSP_SILENT_MS) {
		return;
	}
	const busp_reading *reading =
		&consumer->readings[consumer->looked++ % consumer->reading_count];

	consumer->heard_ms = now_ms;
	if (!reading->held &&
	    busp_kafka_offset(&self->base, reading->topic, reading->partition,
			      BUS_OFFSET_LATEST, 0, BUSP_BOUNDS_MS, &end,
			      &ignored) == BUS_OK &&
	    end > reading->next) {
		consumer->restart = true;
	}
}

/* An error in place of a message. */
static void
busp_take_error(busp_kafka *self, const rd_kafka_message_t *message)
{
	busp_consumer *consumer = self->consumer;
	busp_reading *reading = busp_reading_of(consumer, message);

	if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
	    message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
		if (reading != NULL && !reading->held) {
			busp_verify(self, reading);
		}
	} else if (message->err == RD_KAFKA_RESP_ERR__BAD_MSG && reading != NULL) {
		if (!reading->held && !consumer->asked) {
			busp_doubt(consumer, reading, message->offset);
		}
	} else if (busp_kafka_polling(message->err) != BUS_OK) {
		consumer->trouble = message->err;
		snprintf(consumer->trouble_text, sizeof(consumer->trouble_text), "%s",
			 rd_kafka_message_errstr(message));
	}
}

/* ---- the batch ---- */

/* Puts a message into the batch; false if it must wait for the next one. Takes it. */
static bool
busp_take(busp_consumer *consumer, rd_kafka_message_t *message,
	  const bus_poll_limit *limit)
{
	busp_reading *reading = busp_reading_of(consumer, message);

	if (consumer->asked || reading == NULL || reading->held ||
	    message->offset < reading->next) {
		/* fetched for an assignment that is gone, or going */
		rd_kafka_message_destroy(message);
		return true;
	}
	bus_record record = busp_record_of(consumer, message);
	size_t bytes = bus_record_bytes(&record);
	size_t at = consumer->message_count;

	if (at > 0 && consumer->bytes + bytes > limit->bytes_max) {
		consumer->waiting = message;
		return false;
	}
	consumer->messages =
		busp_adapter_grow(consumer->messages, at, &consumer->message_capacity,
				  sizeof(*consumer->messages));
	consumer->deliveries =
		busp_adapter_grow(consumer->deliveries, at, &consumer->delivery_capacity,
				  sizeof(*consumer->deliveries));
	consumer->messages[at] = message;
	consumer->deliveries[at] = (bus_delivery){
		.topic = reading->topic,
		.partition = message->partition,
		.offset = message->offset,
		.timestamp_ms = busp_timestamp(message),
		.record = record,
	};
	consumer->message_count++;
	consumer->bytes += bytes;
	consumer->down = false;
	reading->next = message->offset + 1;
	return true;
}

/* Fills the batch; ends when it is full, when nothing lies ready, or when there is
 * something else to tell. */
static void
busp_fill(busp_kafka *self, const bus_poll_limit *limit)
{
	busp_consumer *consumer = self->consumer;
	int timeout_ms =
		limit->timeout_ms < BUS_POLL_MS_MAX ? limit->timeout_ms : BUS_POLL_MS_MAX;
	int64_t deadline_ms = busp_kafka_deadline(timeout_ms);

	while (consumer->message_count < limit->events_max &&
	       consumer->event == BUSP_EVENT_NONE &&
	       consumer->trouble == RD_KAFKA_RESP_ERR_NO_ERROR && !consumer->restart) {
		rd_kafka_message_t *message = consumer->waiting;

		consumer->waiting = NULL;
		if (message == NULL) {
			message = rd_kafka_consumer_poll(
				consumer->rk, consumer->message_count > 0 ?
						      0 :
						      busp_remaining_ms(bus_clock_system(),
									deadline_ms));
		}
		if (message == NULL) {
			return;
		}
		if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
			busp_take_error(self, message);
			rd_kafka_message_destroy(message);
		} else if (!busp_take(consumer, message, limit)) {
			return;
		}
	}
}

/* Tells an event. One about the group drops the batch, one about a partition follows it. */
static bool
busp_tell(busp_consumer *consumer, bus_poll *ret_poll)
{
	static const bus_poll_kind kinds[] = {
		[BUSP_EVENT_ASSIGNED] = BUS_POLL_ASSIGNED,
		[BUSP_EVENT_REVOKED] = BUS_POLL_REVOKED,
		[BUSP_EVENT_LOST] = BUS_POLL_LOST,
		[BUSP_EVENT_OUT_OF_RANGE] = BUS_POLL_OUT_OF_RANGE,
		[BUSP_EVENT_DAMAGED] = BUS_POLL_DAMAGED,
	};
	busp_event event = consumer->event;
	bool hold = event == BUSP_EVENT_OUT_OF_RANGE || event == BUSP_EVENT_DAMAGED;

	if (event == BUSP_EVENT_NONE || (hold && consumer->message_count > 0)) {
		return false;
	}
	busp_consumer_forget(consumer);
	consumer->event = BUSP_EVENT_NONE;
	*ret_poll = (bus_poll){
		.kind = kinds[event],
		.partitions = hold ? &consumer->hold : consumer->assigned,
		.partition_count = hold ? 1 : consumer->assigned_count,
	};
	return true;
}

bus_status
busp_kafka_poll(bus_adapter *adapter, const bus_poll_limit *limit, bus_poll *ret_poll,
		bus_error *err)
{
	busp_kafka *self = busp_kafka_of(adapter);
	busp_consumer *consumer = self->consumer;

	*ret_poll = (bus_poll){ .kind = BUS_POLL_DELIVERIES };
	if (consumer == NULL) {
		/* nothing is read: only the time passes */
		rd_kafka_poll(self->admin, limit->timeout_ms);
		return BUS_OK;
	}
	/* the other handles' errors would pile up unread */
	rd_kafka_poll(self->admin, 0);
	if (self->producer != NULL) {
		rd_kafka_poll(self->producer->rk, 0);
	}
	busp_consumer_release(consumer);
	if (consumer->restart) {
		bus_status status = busp_consumer_assign(consumer, err);

		if (status != BUS_OK) {
			return status;
		}
	}
	busp_fill(self, limit);
	busp_look_after(self);
	if (busp_tell(consumer, ret_poll)) {
		return BUS_OK;
	}
	if (consumer->message_count == 0 &&
	    consumer->trouble != RD_KAFKA_RESP_ERR_NO_ERROR) {
		return busp_trouble(consumer, err);
	}
	ret_poll->deliveries = consumer->deliveries;
	ret_poll->count = consumer->message_count;
	return BUS_OK;
}
