/*
 * producer.c - publish: every event has an outcome when it returns
 *
 * DESIGN
 * One idempotent producer, made by the first publish. Events go to it with their partition
 * decided here, by murmur2 over the partition count that the producer's own metadata says:
 * no event waits for metadata inside the library (librdkafka#5032), none meets a partition
 * that is not there (#4627 frees headers twice then). Delivery reports come back to the
 * publication by number. What is not reported by the deadline is purged: what was not sent
 * FAILED, what was sent is UNCERTAIN. After that, as after a fatal error, the producer is
 * thrown away: a purge leaves a gap in its sequence, and an old request of it can at worst
 * put repeats into the log.
 */
#include <stdlib.h>

#include "broker-adapters/kafka/kafka.h"
#include "core/partition.h"

/* Reports of a purge are made in memory; this is for a machine in trouble. */
#define BUSP_PURGE_MS 2000
/* A full queue is looked at this often while it drains. */
#define BUSP_FULL_MS 10
/* Events kept back for the next flush when many are published: also the most that one
 * publish keeps in the library at a time, well below its limit of 100000. */
#define BUSP_OUTSTANDING_MAX 50000u

/* A message's opaque is its batch and its place in it: a pointer could dangle. */
static void *
busp_opaque(uint32_t batch, size_t index)
{
	return (void *)(uintptr_t)(((uint64_t)batch << 32) | (uint32_t)index);
}

static bus_outcome
busp_outcome(const rd_kafka_message_t *message)
{
	switch (rd_kafka_message_status(message)) {
	case RD_KAFKA_MSG_STATUS_PERSISTED:
		return BUS_OUTCOME_DURABLE;
	case RD_KAFKA_MSG_STATUS_NOT_PERSISTED:
		return BUS_OUTCOME_FAILED;
	case RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED:
		break;
	}
	return BUS_OUTCOME_UNCERTAIN;
}

static void
busp_on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	(void)rk;
	busp_producer *producer = opaque;
	uint64_t place = (uint64_t)(uintptr_t)message->_private;
	size_t index = (uint32_t)place;

	if (place >> 32 != producer->batch || index >= producer->publication_count) {
		return;
	}
	bus_publication *publication = &producer->publications[index];

	publication->outcome = busp_outcome(message);
	publication->native_code =
		publication->outcome == BUS_OUTCOME_DURABLE ? 0 : (int)message->err;
	publication->ret_partition = message->partition;
	/* unknown when the broker had it already and no longer remembers where */
	publication->ret_offset = message->offset >= 0 ? message->offset : -1;
	producer->outstanding--;
}

/* Brokers come and go; the outcomes say all there is to say. A fatal error spoils. */
static void
busp_on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
	(void)rk;
	(void)reason;
	busp_producer *producer = opaque;

	if (code == RD_KAFKA_RESP_ERR__FATAL) {
		producer->spoiled = true;
	}
}

void
busp_producer_free(busp_producer *producer)
{
	if (producer == NULL) {
		return;
	}
	for (size_t i = 0; i < producer->target_count; i++) {
		rd_kafka_topic_destroy(producer->targets[i].rkt);
	}
	rd_kafka_destroy(producer->rk);
	free(producer->targets);
	free(producer);
}

static bus_status
busp_producer_use(busp_kafka *self, bus_error *err)
{
	if (self->producer != NULL && self->producer->spoiled) {
		busp_kafka_end(NULL, self->producer, NULL, 0);
		self->producer = NULL;
	}
	if (self->producer != NULL) {
		return BUS_OK;
	}
	busp_producer *producer = busp_adapter_alloc(1, sizeof(*producer));
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	rd_kafka_conf_set_opaque(conf, producer);
	rd_kafka_conf_set_dr_msg_cb(conf, busp_on_report);
	rd_kafka_conf_set_error_cb(conf, busp_on_error);
	bus_status status = busp_kafka_handle(self, BUSP_ROLE_PRODUCER, NULL, conf,
					      &producer->rk, err);

	if (status != BUS_OK) {
		free(producer);
		return status;
	}
	self->producer = producer;
	return BUS_OK;
}

/* The topic as the producer knows it; asks the broker the first time. */
static bus_status
busp_target_use(busp_kafka *self, const char *name, int64_t deadline_ms,
		busp_target **ret_target, bus_error *err)
{
	busp_producer *producer = self->producer;

	for (size_t i = 0; i < producer->target_count; i++) {
		if (strcmp(producer->targets[i].name, name) == 0) {
			*ret_target = &producer->targets[i];
			return BUS_OK;
		}
	}
	busp_target target = {
		.name = busp_kafka_topic_use(self, name)->name,
		.rkt = rd_kafka_topic_new(producer->rk, name, NULL),
	};

	if (target.rkt == NULL) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "publish to %.300s: %s", name,
				     rd_kafka_err2str(rd_kafka_last_error()));
	}
	bus_status status =
		busp_kafka_count(producer->rk, target.rkt, busp_kafka_left(deadline_ms),
				 &target.partitions, err);

	if (status != BUS_OK) {
		rd_kafka_topic_destroy(target.rkt);
		return status;
	}
	producer->targets = busp_adapter_grow(producer->targets, producer->target_count,
					      &producer->target_capacity, sizeof(target));
	producer->targets[producer->target_count] = target;
	*ret_target = &producer->targets[producer->target_count++];
	return BUS_OK;
}

static rd_kafka_headers_t *
busp_headers(const bus_record *record)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);

	for (size_t i = 0; i < record->header_count; i++) {
		const bus_header *header = &record->headers[i];

		(void)rd_kafka_header_add(headers, header->name.data,
					  (ssize_t)header->name.len, header->value.data,
					  (ssize_t)header->value.len);
	}
	return headers;
}

/* Hands one record over. The headers are an object of ours: produceva takes it on success
 * only, which the single-header form gets wrong (librdkafka#4627). They are the last part,
 * left off where there are none: an empty object costs two allocations per event. */
static rd_kafka_resp_err_t
busp_produce(busp_producer *producer, const busp_target *target, int32_t partition,
	     const bus_publication *publication, void *opaque)
{
	const bus_record *record = &publication->record;
	rd_kafka_headers_t *headers =
		record->header_count > 0 ? busp_headers(record) : NULL;
	const rd_kafka_vu_t parts[] = {
		{ .vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = target->rkt },
		{ .vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = partition },
		{ .vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY },
		{ .vtype = RD_KAFKA_VTYPE_KEY,
		  .u.mem = { (void *)(uintptr_t)record->key.data, record->key.len } },
		{ .vtype = RD_KAFKA_VTYPE_VALUE,
		  .u.mem = { (void *)(uintptr_t)record->value.data, record->value.len } },
		{ .vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = opaque },
		{ .vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = publication->timestamp_ms },
		{ .vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers },
	};
	size_t count = sizeof(parts) / sizeof(parts[0]) - (headers == NULL);
	rd_kafka_error_t *error = rd_kafka_produceva(producer->rk, parts, count);
	rd_kafka_resp_err_t code = rd_kafka_error_code(error);

	if (error != NULL) {
		if (headers != NULL) {
			rd_kafka_headers_destroy(headers);
		}
		rd_kafka_error_destroy(error);
	}
	return code;
}

static bus_status
busp_publication_check(const bus_publication *publication, const busp_target *target,
		       int32_t *ret_partition, bus_error *err)
{
	size_t bytes = bus_record_bytes(&publication->record);
	int32_t partition = publication->partition;

	if (partition == BUS_PARTITION_HOME) {
		partition =
			bus_partition_home(publication->record.key, target->partitions);
	}
	if (partition < 0 || partition >= target->partitions) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "topic %s has no partition %d, it has %d",
				     target->name, partition, target->partitions);
	}
	if (bytes > BUSP_RECORD_BYTES_MAX) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN,
				     RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
				     "publish to %s: a record of %zu bytes, at most %u",
				     target->name, bytes, BUSP_RECORD_BYTES_MAX);
	}
	*ret_partition = partition;
	return BUS_OK;
}

/* Puts publication number index into the producer's queue, waiting for room. */
static bus_status
busp_enqueue(busp_kafka *self, size_t index, int64_t deadline_ms, bus_error *err)
{
	busp_producer *producer = self->producer;
	bus_publication *publication = &producer->publications[index];
	busp_target *target = NULL;
	int32_t partition = 0;
	bus_status status =
		busp_target_use(self, publication->topic, deadline_ms, &target, err);

	if (status == BUS_OK) {
		status = busp_publication_check(publication, target, &partition, err);
	}
	if (status != BUS_OK) {
		return status;
	}
	while (producer->outstanding >= BUSP_OUTSTANDING_MAX &&
	       busp_remaining_ms(bus_clock_system(), deadline_ms) > 0) {
		rd_kafka_poll(producer->rk, BUSP_FULL_MS);
	}
	rd_kafka_resp_err_t code;

	do {
		code = busp_produce(producer, target, partition, publication,
				    busp_opaque(producer->batch, index));
	} while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL &&
		 busp_remaining_ms(bus_clock_system(), deadline_ms) > 0 &&
		 rd_kafka_poll(producer->rk, BUSP_FULL_MS) >= 0);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		publication->native_code = code;
		return bus_error_set(err, busp_kafka_asking(code), BUSP_ORIGIN, code,
				     "publish to %s[%d]: %s", target->name, partition,
				     rd_kafka_err2str(code));
	}
	publication->outcome = BUS_OUTCOME_UNCERTAIN;
	producer->outstanding++;
	return BUS_OK;
}

/* Hands all over; one that can never be written is passed by, anything else ends it. */
static bus_status
busp_enqueue_all(busp_kafka *self, int64_t deadline_ms, bus_error *err)
{
	busp_producer *producer = self->producer;
	bus_status worst = BUS_OK;

	for (size_t i = 0; i < producer->publication_count; i++) {
		bus_status status = busp_enqueue(self, i, deadline_ms, err);

		if (status == BUS_E_FATAL) {
			worst = status;
		} else if (status != BUS_OK) {
			return worst == BUS_OK ? status : worst;
		}
	}
	return worst;
}

/* Waits for the reports, and makes them come when the time is up. */
static void
busp_collect(busp_producer *producer, int64_t deadline_ms)
{
	while (producer->outstanding > 0 && !producer->spoiled &&
	       busp_remaining_ms(bus_clock_system(), deadline_ms) > 0) {
		/* a flush ends linger.ms and serves reports meanwhile */
		rd_kafka_flush(producer->rk, busp_kafka_left(deadline_ms));
	}
	if (producer->outstanding == 0) {
		return;
	}
	producer->spoiled = true;
	rd_kafka_purge(producer->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	deadline_ms = busp_kafka_deadline(BUSP_PURGE_MS);
	while (producer->outstanding > 0 &&
	       busp_remaining_ms(bus_clock_system(), deadline_ms) > 0) {
		rd_kafka_poll(producer->rk, busp_kafka_left(deadline_ms));
	}
}

/* The answer of publish, from the outcomes. */
static bus_status
busp_conclude(const bus_publication *publications, size_t count, bus_status status,
	      bus_error *err)
{
	const bus_publication *worst = NULL;

	for (size_t i = 0; i < count; i++) {
		const bus_publication *p = &publications[i];
		bus_status asking =
			busp_kafka_asking((rd_kafka_resp_err_t)p->native_code);

		if (p->outcome == BUS_OUTCOME_DURABLE) {
			continue;
		}
		if (asking == BUS_E_FATAL) {
			status = BUS_E_FATAL;
			worst = p;
		} else if (status != BUS_E_FATAL && p->outcome == BUS_OUTCOME_UNCERTAIN) {
			status = BUS_E_UNKNOWN;
			worst = p;
		} else if (status == BUS_OK) {
			status = BUS_E_RETRY;
			worst = p;
		}
	}
	if (worst == NULL) {
		return status;
	}
	return bus_error_set(
		err, status, BUSP_ORIGIN, worst->native_code, "publish to %.200s: %s",
		worst->topic,
		worst->native_code == BUSP_KAFKA_SEALED ?
			"the topic is sealed" :
			rd_kafka_err2str((rd_kafka_resp_err_t)worst->native_code));
}

bus_status
busp_kafka_publish(bus_adapter *adapter, bus_publication *publications, size_t count,
		   int timeout_ms, bus_error *err)
{
	busp_kafka *self = busp_kafka_of(adapter);
	int64_t deadline_ms = busp_kafka_deadline(timeout_ms);

	for (size_t i = 0; i < count; i++) {
		publications[i].outcome = BUS_OUTCOME_FAILED;
		publications[i].native_code = 0;
	}
	bus_status status = busp_producer_use(self, err);

	if (status != BUS_OK) {
		return status;
	}
	busp_producer *producer = self->producer;

	producer->batch++;
	producer->publications = publications;
	producer->publication_count = count;
	producer->outstanding = 0;
	status = busp_enqueue_all(self, deadline_ms, err);
	busp_collect(producer, deadline_ms);
	producer->publications = NULL;
	producer->publication_count = 0;
	if (rd_kafka_fatal_error(producer->rk, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR) {
		producer->spoiled = true;
	}
	busp_kafka_tell_sealed(self, publications, count, deadline_ms);
	return busp_conclude(publications, count, status, err);
}
