/*
 * sealing.c - trim and seal: what cuts a topic off at its start and at its end
 *
 * DESIGN
 * A topic is sealed by its limit max.message.bytes, which binds every client of every kind, is
 * changed while the cluster runs, and can be taken back. The limit is that of one mark of a
 * transaction and not lower: a mark that is refused as too large is given up by the broker for
 * ever (Kafka 4.1.0: "Received fatal error RecordTooLargeException while sending txn marker"),
 * although the producer was told that its transaction is committed. So what is open ends as
 * its producer wants, the seal waits for it, and a record without headers of at most 10 bytes
 * of key and value still fits, which is no event. The last one that is put in is such a one, a
 * filler: so a reader finds the end of the log by its last record, where marks are none.
 *
 * Brokers hear of the limit one after the other. Fillers are sent to every partition until each
 * is refused; one that gets in is what fillers are for. librdkafka 2.0.2 can only replace all
 * overrides of a topic at once, so the others are read before and written back.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker-adapters/kafka/kafka.h"
#include "core/filler.h"

#define BUSP_LIMIT "max.message.bytes"
/* A batch of one mark: 61 bytes of batch, 17 of record. */
#define BUSP_LIMIT_SEALED "78"
/* Kafka's own limit: an override that says the same may go. */
#define BUSP_LIMIT_DEFAULT "1048588"
/* A batch and its one record, without what is in it; each header takes up to 10 more. */
#define BUSP_BATCH_BYTES 100u
#define BUSP_HEADER_BYTES 10u
/* Between two looks whether all is refused, or all transactions have ended. */
#define BUSP_LOOK_MS 20
/* An append that was checked against the old limit is in the log by then. */
#define BUSP_SETTLE_MS 200
/* Longest look at a topic's limit after a refusal, beyond what is left of the publish. */
#define BUSP_TELL_MS 2000

/* ---- trim ---- */

static bus_status
busp_trim_result(const char *topic, int64_t new_start, rd_kafka_event_t *event,
		 bus_error *err)
{
	rd_kafka_resp_err_t code = event != NULL ? rd_kafka_event_error(event) :
						   RD_KAFKA_RESP_ERR__TIMED_OUT;

	if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
		code = rd_kafka_DeleteRecords_result_offsets(
			       rd_kafka_event_DeleteRecords_result(event))
			       ->elems[0]
			       .err;
	}
	if (code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, code,
				     "trim %s at %lld: it ends before that", topic,
				     (long long)new_start);
	}
	return code == RD_KAFKA_RESP_ERR_NO_ERROR ?
		       BUS_OK :
		       busp_kafka_refuse(err, code, "trim", topic, NULL);
}

static bus_status
busp_partition_check(bus_adapter *adapter, const char *topic, int32_t partition,
		     int timeout_ms, bus_error *err)
{
	int32_t count = 0;
	bus_status status =
		busp_kafka_partitions(adapter, topic, timeout_ms, &count, err);

	if (status == BUS_OK && (partition < 0 || partition >= count)) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "topic %s has no partition %d, it has %d", topic,
				     partition, count);
	}
	return status;
}

bus_status
busp_kafka_trim(bus_adapter *adapter, const char *topic, int32_t partition,
		int64_t new_start, int timeout_ms, bus_error *err)
{
	busp_kafka *self = busp_kafka_of(adapter);
	int64_t deadline_ms = busp_kafka_deadline(timeout_ms);
	bus_status status =
		busp_partition_check(adapter, topic, partition, timeout_ms, err);

	if (status != BUS_OK) {
		return status;
	}
	if (new_start < 0) {
		/* -1 would be the end of the log to Kafka */
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "trim %s[%d] at %lld: no such place", topic,
				     partition, (long long)new_start);
	}
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

	rd_kafka_topic_partition_list_add(list, topic, partition)->offset = new_start;
	rd_kafka_DeleteRecords_t *records = rd_kafka_DeleteRecords_new(list);
	busp_request request =
		busp_kafka_request_begin(self, RD_KAFKA_ADMIN_OP_DELETERECORDS,
					 deadline_ms);

	rd_kafka_DeleteRecords(self->admin, &records, 1, request.options, request.queue);
	rd_kafka_event_t *event = busp_kafka_request_end(&request, deadline_ms);

	status = busp_trim_result(topic, new_start, event, err);
	if (event != NULL) {
		rd_kafka_event_destroy(event);
	}
	rd_kafka_DeleteRecords_destroy(records);
	rd_kafka_topic_partition_list_destroy(list);
	return status;
}

/* ---- a topic's limit ---- */

typedef struct busp_overrides {
	rd_kafka_ConfigResource_t *others; /* all but the limit */
	char limit[24];                    /* "" if it is not overridden */
	int64_t limit_bytes;               /* in force */
	bool complete;                     /* every value was told */
} busp_overrides;

static void
busp_overrides_take(busp_overrides *overrides, const rd_kafka_ConfigEntry_t *entry)
{
	const char *name = rd_kafka_ConfigEntry_name(entry);
	const char *value = rd_kafka_ConfigEntry_value(entry);
	bool ours = rd_kafka_ConfigEntry_source(entry) ==
		    RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG;

	if (strcmp(name, BUSP_LIMIT) == 0 && value != NULL) {
		overrides->limit_bytes = strtoll(value, NULL, 10);
		snprintf(overrides->limit, sizeof(overrides->limit), "%s",
			 ours ? value : "");
	} else if (ours && value != NULL) {
		(void)rd_kafka_ConfigResource_set_config(overrides->others, name, value);
	} else if (ours) {
		overrides->complete = false;
	}
}

static bus_status
busp_overrides_result(const char *topic, rd_kafka_event_t *event,
		      busp_overrides *overrides, bus_error *err)
{
	size_t count = 0;
	rd_kafka_resp_err_t code = event != NULL ? rd_kafka_event_error(event) :
						   RD_KAFKA_RESP_ERR__TIMED_OUT;
	const rd_kafka_ConfigResource_t **resources =
		code == RD_KAFKA_RESP_ERR_NO_ERROR ?
			rd_kafka_DescribeConfigs_result_resources(
				rd_kafka_event_DescribeConfigs_result(event), &count) :
			NULL;

	if (count == 1) {
		code = rd_kafka_ConfigResource_error(resources[0]);
	} else if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
		code = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
	}
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		return busp_kafka_refuse(err, code, "configuration of topic", topic, NULL);
	}
	const rd_kafka_ConfigEntry_t **entries =
		rd_kafka_ConfigResource_configs(resources[0], &count);

	for (size_t i = 0; i < count; i++) {
		busp_overrides_take(overrides, entries[i]);
	}
	return BUS_OK;
}

/* The caller destroys ret->others, also after a failure. */
static bus_status
busp_overrides_read(busp_kafka *self, const char *topic, int64_t deadline_ms,
		    busp_overrides *ret, bus_error *err)
{
	rd_kafka_ConfigResource_t *asked =
		rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
	busp_request request =
		busp_kafka_request_begin(self, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS,
					 deadline_ms);

	*ret = (busp_overrides){
		.others = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic),
		.complete = true,
	};
	rd_kafka_DescribeConfigs(self->admin, &asked, 1, request.options, request.queue);
	rd_kafka_event_t *event = busp_kafka_request_end(&request, deadline_ms);
	bus_status status = busp_overrides_result(topic, event, ret, err);

	if (event != NULL) {
		rd_kafka_event_destroy(event);
	}
	rd_kafka_ConfigResource_destroy(asked);
	return status;
}

static bus_status
busp_overrides_write(busp_kafka *self, const char *topic, busp_overrides *overrides,
		     int64_t deadline_ms, bus_error *err)
{
	size_t count = 0;
	busp_request request =
		busp_kafka_request_begin(self, RD_KAFKA_ADMIN_OP_ALTERCONFIGS,
					 deadline_ms);

	rd_kafka_AlterConfigs(self->admin, &overrides->others, 1, request.options,
			      request.queue);
	rd_kafka_event_t *event = busp_kafka_request_end(&request, deadline_ms);
	rd_kafka_resp_err_t code = event != NULL ? rd_kafka_event_error(event) :
						   RD_KAFKA_RESP_ERR__TIMED_OUT;
	bus_status status = BUS_OK;

	if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
		const rd_kafka_ConfigResource_t **resources =
			rd_kafka_AlterConfigs_result_resources(
				rd_kafka_event_AlterConfigs_result(event), &count);

		code = count == 1 ? rd_kafka_ConfigResource_error(resources[0]) : code;
		status = code == RD_KAFKA_RESP_ERR_NO_ERROR ?
				 BUS_OK :
				 busp_kafka_refuse(err, code, "seal topic", topic,
						   rd_kafka_ConfigResource_error_string(
							   resources[0]));
	} else {
		status = busp_kafka_refuse(err, code, "seal topic", topic, NULL);
	}
	if (event != NULL) {
		rd_kafka_event_destroy(event);
	}
	return status;
}

/* Puts our limit into the overrides, or takes it out. */
static bus_status
busp_limit_set(busp_kafka *self, const char *topic, bool sealed, int64_t deadline_ms,
	       bus_error *err)
{
	busp_overrides overrides;
	bus_status status =
		busp_overrides_read(self, topic, deadline_ms, &overrides, err);
	bool is_sealed = strcmp(overrides.limit, BUSP_LIMIT_SEALED) == 0;
	bool foreign = overrides.limit[0] != '\0' && !is_sealed &&
		       strcmp(overrides.limit, BUSP_LIMIT_DEFAULT) != 0;

	if (status == BUS_OK && sealed && foreign) {
		status = bus_error_set(
			err, BUS_E_FATAL, BUSP_ORIGIN, 0,
			"seal topic %s: its own " BUSP_LIMIT
			" (%s) could not be given back; take that setting off the topic, "
			"events have at most 256 KiB",
			topic, overrides.limit);
	} else if (status == BUS_OK && sealed != is_sealed && !overrides.complete) {
		status = bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				       "seal topic %s: the broker keeps a setting of it "
				       "secret, and all are written back",
				       topic);
	} else if (status == BUS_OK && sealed != is_sealed) {
		if (sealed) {
			(void)rd_kafka_ConfigResource_set_config(overrides.others,
								 BUSP_LIMIT,
								 BUSP_LIMIT_SEALED);
		}
		status = busp_overrides_write(self, topic, &overrides, deadline_ms, err);
	}
	rd_kafka_ConfigResource_destroy(overrides.others);
	return status;
}

/* ---- is it sealed everywhere? ---- */

/* A producer that sends fillers and, as a reader of what is not committed too, knows where
 * logs really end. Not idempotent: a refusal would end it. */
typedef struct busp_prober {
	rd_kafka_t *rk;
	size_t outstanding;
	bool refused[BUS_PARTITIONS_MAX]; /* the last filler, as too large */
	bool ended[BUS_PARTITIONS_MAX];   /* by a filler that is in the log */
} busp_prober;

static void
busp_on_probe(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	(void)rk;
	busp_prober *prober = opaque;

	prober->outstanding--;
	if (message->partition >= 0 && message->partition < BUS_PARTITIONS_MAX) {
		prober->refused[message->partition] =
			message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
		prober->ended[message->partition] =
			message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message->len > 0;
	}
}

static bus_status
busp_prober_make(busp_kafka *self, busp_prober **ret_prober, bus_error *err)
{
	char text[BUSP_KAFKA_TEXT_MAX];
	busp_prober *prober = busp_adapter_alloc(1, sizeof(*prober));
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	rd_kafka_conf_set_opaque(conf, prober);
	rd_kafka_conf_set_dr_msg_cb(conf, busp_on_probe);
	(void)rd_kafka_conf_set(conf, "isolation.level", "read_uncommitted", text,
				sizeof(text));
	(void)rd_kafka_conf_set(conf, "linger.ms", "0", text, sizeof(text));
	(void)rd_kafka_conf_set(conf, "message.timeout.ms", "2000", text, sizeof(text));
	bus_status status =
		busp_kafka_handle(self, BUSP_ROLE_ADMIN, NULL, conf, &prober->rk, err);

	if (status != BUS_OK) {
		free(prober);
		return status;
	}
	*ret_prober = prober;
	return BUS_OK;
}

/* On a thread of its own: librdkafka may take its time to end. Fillers that are still on
 * their way are dropped, and reported to nobody. */
static void
busp_prober_free(busp_prober *prober)
{
	rd_kafka_purge(prober->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	while (rd_kafka_poll(prober->rk, 0) > 0) {
	}
	busp_kafka_end(NULL, NULL, prober->rk, BUS_CLOSE_MS_MAX);
	free(prober);
}

static void
busp_prober_await(busp_prober *prober, int64_t deadline_ms)
{
	while (prober->outstanding > 0 &&
	       busp_remaining_ms(bus_clock_system(), deadline_ms) > 0) {
		rd_kafka_poll(prober->rk, BUSP_LOOK_MS);
	}
}

/* Sends a filler to each partition that took the last one; true if there is none left. */
static bool
busp_probe(busp_prober *prober, const char *topic, int32_t count, int64_t deadline_ms)
{
	bool all = true;

	for (int32_t p = 0; p < count; p++) {
		if (!prober->refused[p] &&
		    rd_kafka_producev(prober->rk, RD_KAFKA_V_TOPIC(topic),
				      RD_KAFKA_V_PARTITION(p),
				      RD_KAFKA_V_HEADER(BUS_FILLER_HEADER, NULL, 0),
				      RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR_NO_ERROR) {
			prober->outstanding++;
		}
	}
	busp_prober_await(prober, deadline_ms);
	for (int32_t p = 0; p < count; p++) {
		all = all && prober->refused[p];
	}
	return all;
}

static bus_status
busp_await_refusal(busp_prober *prober, const char *topic, int32_t count,
		   int64_t deadline_ms, bus_error *err)
{
	while (!busp_probe(prober, topic, count, deadline_ms)) {
		if (busp_remaining_ms(bus_clock_system(), deadline_ms) == 0) {
			return bus_error_set(err, BUS_E_RETRY, BUSP_ORIGIN, 0,
					     "seal topic %s: not every broker refuses "
					     "records yet",
					     topic);
		}
		(void)poll(NULL, 0, BUSP_LOOK_MS);
	}
	(void)poll(NULL, 0, BUSP_SETTLE_MS);
	return BUS_OK;
}

static bus_status
busp_ends(rd_kafka_t *rk, const char *topic, int32_t count, int64_t deadline_ms,
	  rd_kafka_topic_partition_list_t *list, bus_error *err)
{
	for (int32_t p = 0; p < count; p++) {
		rd_kafka_topic_partition_list_add(list, topic, p)->offset =
			RD_KAFKA_OFFSET_END;
	}
	rd_kafka_resp_err_t code =
		rd_kafka_offsets_for_times(rk, list, busp_kafka_left(deadline_ms));

	for (int32_t p = 0; p < count && code == RD_KAFKA_RESP_ERR_NO_ERROR; p++) {
		code = list->elems[p].err;
	}
	return code == RD_KAFKA_RESP_ERR_NO_ERROR ?
		       BUS_OK :
		       busp_kafka_refuse(err, code, "offsets of topic", topic, NULL);
}

/* One look: is everything that is in the logs decided? */
static bus_status
busp_decided(busp_kafka *self, busp_prober *prober, const char *topic, int32_t count,
	     int64_t deadline_ms, int32_t *ret_open, bus_error *err)
{
	rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(count);
	rd_kafka_topic_partition_list_t *stable =
		rd_kafka_topic_partition_list_new(count);
	bus_status status = busp_ends(prober->rk, topic, count, deadline_ms, all, err);

	if (status == BUS_OK) {
		status = busp_ends(self->admin, topic, count, deadline_ms, stable, err);
	}
	*ret_open = -1;
	for (int32_t p = 0; p < count && status == BUS_OK; p++) {
		if (all->elems[p].offset != stable->elems[p].offset) {
			*ret_open = p;
		}
	}
	rd_kafka_topic_partition_list_destroy(all);
	rd_kafka_topic_partition_list_destroy(stable);
	return status;
}

static bus_status
busp_await_decided(busp_kafka *self, busp_prober *prober, const char *topic,
		   int32_t count, int64_t deadline_ms, bus_error *err)
{
	int32_t open = -1;
	bus_status status =
		busp_decided(self, prober, topic, count, deadline_ms, &open, err);

	while (status == BUS_OK && open >= 0 &&
	       busp_remaining_ms(bus_clock_system(), deadline_ms) > 0) {
		(void)poll(NULL, 0, BUSP_LOOK_MS);
		status =
			busp_decided(self, prober, topic, count, deadline_ms, &open, err);
	}
	if (status == BUS_OK && open >= 0) {
		return bus_error_set(err, BUS_E_RETRY, BUSP_ORIGIN, 0,
				     "seal topic %s: partition %d has an open transaction "
				     "of another producer",
				     topic, open);
	}
	return status;
}

/* The last record of each partition, behind all marks. */
static bus_status
busp_end(busp_prober *prober, const char *topic, int32_t count, int64_t deadline_ms,
	 bus_error *err)
{
	static char value[] = BUS_FILLER_VALUE;

	for (int32_t p = 0; p < count; p++) {
		if (rd_kafka_producev(prober->rk, RD_KAFKA_V_TOPIC(topic),
				      RD_KAFKA_V_PARTITION(p),
				      RD_KAFKA_V_VALUE(value, sizeof(value) - 1),
				      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
				      RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR_NO_ERROR) {
			prober->outstanding++;
		}
	}
	busp_prober_await(prober, deadline_ms);
	for (int32_t p = 0; p < count; p++) {
		if (!prober->ended[p]) {
			return bus_error_set(err, BUS_E_RETRY, BUSP_ORIGIN, 0,
					     "seal topic %s: the end of partition %d "
					     "could not be marked",
					     topic, p);
		}
	}
	return BUS_OK;
}

bus_status
busp_kafka_seal(bus_adapter *adapter, const char *topic, bool sealed, int timeout_ms,
		bus_error *err)
{
	busp_kafka *self = busp_kafka_of(adapter);
	int64_t deadline_ms = busp_kafka_deadline(timeout_ms);
	int32_t count = 0;
	busp_prober *prober = NULL;
	bus_status status =
		busp_kafka_partitions(adapter, topic, timeout_ms, &count, err);

	if (status == BUS_OK) {
		status = busp_limit_set(self, topic, sealed, deadline_ms, err);
	}
	if (status != BUS_OK || !sealed) {
		return status;
	}
	status = busp_prober_make(self, &prober, err);
	if (status != BUS_OK) {
		return status;
	}
	status = busp_await_refusal(prober, topic, count, deadline_ms, err);
	if (status == BUS_OK) {
		status = busp_await_decided(self, prober, topic, count, deadline_ms, err);
	}
	if (status == BUS_OK) {
		status = busp_end(prober, topic, count, deadline_ms, err);
	}
	busp_prober_free(prober);
	return status;
}

/* ---- a publisher asks why ---- */

/* Could the batch that this one was in have been over the limit? */
static bool
busp_may_exceed(const bus_publication *publications, size_t count,
		const bus_publication *refused, int64_t limit_bytes)
{
	int64_t bytes = BUSP_BATCH_BYTES;

	for (size_t i = 0; i < count && bytes <= limit_bytes; i++) {
		const bus_publication *p = &publications[i];

		if (strcmp(p->topic, refused->topic) == 0 &&
		    p->ret_partition == refused->ret_partition &&
		    p->outcome != BUS_OUTCOME_DURABLE) {
			bytes += (int64_t)(bus_record_bytes(&p->record) +
					   BUSP_BATCH_BYTES +
					   p->record.header_count * BUSP_HEADER_BYTES);
		}
	}
	return bytes > limit_bytes;
}

void
busp_kafka_tell_sealed(busp_kafka *self, bus_publication *publications, size_t count,
		       int64_t deadline_ms)
{
	const char *topic = NULL;
	busp_overrides overrides = { .limit = "" };
	bool known = false;
	int64_t until_ms = busp_kafka_deadline(BUSP_TELL_MS);

	until_ms = until_ms > deadline_ms ? until_ms : deadline_ms;
	for (size_t i = 0; i < count; i++) {
		bus_publication *p = &publications[i];
		bus_error ignored = BUS_ERROR_INIT;

		if (p->native_code != RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
		    bus_record_bytes(&p->record) > BUSP_RECORD_BYTES_MAX) {
			continue;
		}
		if (topic == NULL || strcmp(topic, p->topic) != 0) {
			topic = p->topic;
			known = busp_overrides_read(self, topic, until_ms, &overrides,
						    &ignored) == BUS_OK;
			rd_kafka_ConfigResource_destroy(overrides.others);
		}
		/* not known, or opened again meanwhile: it may be sent again, too */
		if (!known || strcmp(overrides.limit, BUSP_LIMIT_SEALED) == 0 ||
		    !busp_may_exceed(publications, count, p, overrides.limit_bytes)) {
			p->native_code = BUSP_KAFKA_SEALED;
		}
	}
}
