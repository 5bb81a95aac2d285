/*
 * nng.c - the adapter of the embedded broker: its operations, and questions about topics
 */
#include <stdio.h>
#include <stdlib.h>

#include "broker-adapters/nng/nng_adapter.h"

#define BUSP_CLIENT_ID "busline"
/* Ending a socket takes a moment, or for ever (client.h). */
#define BUSP_END_MS 2000

/* ---- life ---- */

static bus_status
busp_nng_open(const bus_adapter_options *options, bus_adapter **ret_adapter,
	      bus_error *err)
{
	int64_t session_ms =
		options->session_ms > 0 ? options->session_ms : BUSP_SESSION_MS;

	if (session_ms < BUSP_SESSION_MS_MIN || session_ms > BUSP_SESSION_MS_MAX) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "a session of %lld ms: must be %d to %d",
				     (long long)session_ms, BUSP_SESSION_MS_MIN,
				     BUSP_SESSION_MS_MAX);
	}
	busp_client *client = NULL;
	bus_status status = busp_client_open(options, &client, err);

	if (status != BUS_OK) {
		return status;
	}
	busp_nng *self = busp_adapter_alloc(1, sizeof(*self));

	self->base.ops = &busp_nng_ops;
	self->client = client;
	self->session_ms = session_ms;
	self->clock = options->clock;
	self->client_id =
		busp_adapter_copy(options->client_id != NULL ? options->client_id :
							       BUSP_CLIENT_ID);
	if (strlen(self->client_id) > BUSP_CLIENT_NAME_MAX) {
		self->client_id[BUSP_CLIENT_NAME_MAX] = '\0';
	}
	*ret_adapter = &self->base;
	return BUS_OK;
}

static void
busp_nng_close(bus_adapter *adapter)
{
	/* first what is coming: to leave ends what is being read */
	busp_client_quiet(busp_nng_of(adapter)->client);
	busp_nng_leave(adapter);
	busp_nng_end(busp_nng_of(adapter), BUSP_END_MS);
}

/* ---- topics ---- */

busp_target *
busp_nng_target(busp_nng *self, const char *name)
{
	for (size_t i = 0; i < self->target_count; i++) {
		if (strcmp(self->targets[i]->name, name) == 0) {
			return self->targets[i];
		}
	}
	busp_target *target = busp_adapter_alloc(1, sizeof(*target));

	target->name = busp_adapter_copy(name);
	self->targets = busp_adapter_grow(self->targets, self->target_count,
					  &self->target_capacity, sizeof(busp_target *));
	self->targets[self->target_count++] = target;
	return target;
}

static void
busp_target_set(busp_target *target, int32_t partitions)
{
	if (target->partitions != partitions) {
		free(target->places);
		target->places =
			busp_adapter_alloc((size_t)partitions, sizeof(*target->places));
		target->partitions = partitions;
	}
}

static bus_status
busp_malformed(busp_nng *self, const char *what, bus_error *err)
{
	return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, BUSP_MALFORMED,
			     "%s: the answer to %s breaks the protocol",
			     self->client->url, what);
}

static bus_status
busp_nng_topic_ensure(bus_adapter *adapter, const bus_topic_spec *spec, int timeout_ms,
		      bus_topic_info *ret_info, bool *ret_made, bus_error *err)
{
	busp_nng *self = busp_nng_of(adapter);
	bus_status status = busp_topic_spec_check(BUSP_ORIGIN, spec, err);

	if (status == BUS_OK && spec->replication > 1) {
		status =
			bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				      "topic %s: %d replicas, but the embedded broker is "
				      "one machine",
				      spec->name, spec->replication);
	}
	if (status != BUS_OK) {
		return status;
	}
	bus_topic_info info = {
		.partitions = spec->partitions,
		.retention_ms = spec->retention_ms,
		.retention_bytes = spec->retention_bytes,
	};
	nng_msg *answer = NULL;
	busp_reader reader;

	snprintf(info.name, sizeof(info.name), "%s", spec->name);
	busp_client_request(self->client, &self->frame, BUSP_OP_TOPIC_ENSURE);
	busp_put_topic(&self->frame, &info);
	status = busp_client_ask(self->client, &self->frame, BUSP_OP_TOPIC_ENSURE,
				 timeout_ms, &answer, &reader, err);
	if (status != BUS_OK) {
		return status;
	}
	bool made = busp_get_u8(&reader) != 0;

	busp_get_topic(&reader, &info);
	bool well = busp_reader_done(&reader) && info.partitions > 0 &&
		    info.partitions <= BUS_PARTITIONS_MAX;

	nng_msg_free(answer);
	if (!well) {
		return busp_malformed(self, "making a topic", err);
	}
	busp_target_set(busp_nng_target(self, info.name), info.partitions);
	*ret_info = info;
	*ret_made = made;
	return BUS_OK;
}

/* A page of topics that begin with prefix and come after `after`. */
static bus_status
busp_topics_ask(busp_nng *self, const char *prefix, const char *after, int timeout_ms,
		nng_msg **ret_answer, busp_reader *ret_reader, bus_error *err)
{
	busp_client_request(self->client, &self->frame, BUSP_OP_TOPIC_LIST);
	busp_put_text(&self->frame, bus_str_from(prefix));
	busp_put_text(&self->frame, bus_str_from(after));
	return busp_client_ask(self->client, &self->frame, BUSP_OP_TOPIC_LIST, timeout_ms,
			       ret_answer, ret_reader, err);
}

/* Bytes of a topic without a name, in an answer. */
#define BUSP_TOPIC_BYTES 22

typedef struct busp_topic_table {
	bus_topic_info *infos;
	size_t count;
	size_t capacity;
} busp_topic_table;

/* Takes a page over. Pages go forward, or it would never end. */
static bool
busp_topics_take(busp_topic_table *table, busp_reader *reader,
		 char after[BUS_TOPIC_NAME_MAX], bool *ret_more)
{
	uint32_t count = busp_get_count(reader, BUSP_TOPIC_BYTES);
	bool forward = true;

	for (uint32_t i = 0; i < count && !reader->bad; i++) {
		bus_topic_info info;

		busp_get_topic(reader, &info);
		forward = forward && strcmp(info.name, after) > 0;
		memcpy(after, info.name, sizeof(info.name));
		if (strncmp(info.name, BUSP_INTERNAL_PREFIX,
			    strlen(BUSP_INTERNAL_PREFIX)) != 0) {
			table->infos = busp_adapter_grow(table->infos, table->count,
							 &table->capacity, sizeof(info));
			table->infos[table->count++] = info;
		}
	}
	*ret_more = busp_get_u8(reader) != 0;
	return busp_reader_done(reader) && forward && !(*ret_more && count == 0);
}

static bus_status
busp_topics_all(busp_nng *self, const char *prefix, int timeout_ms,
		busp_topic_table *table, bus_error *err)
{
	int64_t deadline_ms = busp_now_ms() + timeout_ms;
	char after[BUS_TOPIC_NAME_MAX] = "";
	bool more = true;

	while (more) {
		nng_msg *answer = NULL;
		busp_reader reader;
		bus_status status = busp_topics_ask(self, prefix, after,
						    busp_remaining_ms(bus_clock_system(),
								      deadline_ms),
						    &answer, &reader, err);

		if (status != BUS_OK) {
			return status;
		}
		bool well = busp_topics_take(table, &reader, after, &more);

		nng_msg_free(answer);
		if (!well) {
			return busp_malformed(self, "listing topics", err);
		}
	}
	return BUS_OK;
}

static bus_status
busp_nng_topic_list(bus_adapter *adapter, const char *prefix, int timeout_ms,
		    bus_arena *arena, bus_topic_info **ret_topics, size_t *ret_count,
		    bus_error *err)
{
	busp_topic_table table = { 0 };
	bus_status status = BUS_OK;

	if (strlen(prefix) < BUS_TOPIC_NAME_MAX) {
		status = busp_topics_all(busp_nng_of(adapter), prefix, timeout_ms, &table,
					 err);
	}
	if (status == BUS_OK) {
		*ret_topics =
			bus_arena_alloc(arena, (table.count + 1) * sizeof(**ret_topics));
		if (table.count > 0) {
			memcpy(*ret_topics, table.infos,
			       table.count * sizeof(**ret_topics));
		}
		*ret_count = table.count;
	}
	free(table.infos);
	return status;
}

bus_status
busp_nng_target_ask(busp_nng *self, const char *name, int timeout_ms,
		    busp_target **ret_target, bus_error *err)
{
	busp_target *target = busp_nng_target(self, name);
	bus_topic_info info = { 0 };

	if (target->partitions == 0 && strlen(name) < BUS_TOPIC_NAME_MAX) {
		nng_msg *answer = NULL;
		busp_reader reader;
		bus_status status = busp_topics_ask(self, name, "", timeout_ms, &answer,
						    &reader, err);

		if (status != BUS_OK) {
			return status;
		}
		/* of those that begin with it, the name itself sorts first */
		if (busp_get_count(&reader, BUSP_TOPIC_BYTES) > 0) {
			busp_get_topic(&reader, &info);
		}
		bool well = !reader.bad && info.partitions >= 0 &&
			    info.partitions <= BUS_PARTITIONS_MAX;

		nng_msg_free(answer);
		if (!well) {
			return busp_malformed(self, "asking for a topic", err);
		}
	}
	if (info.partitions > 0 && strcmp(info.name, name) == 0) {
		busp_target_set(target, info.partitions);
	}
	if (target->partitions == 0) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, BUSP_NO_TOPIC,
				     "no topic %.300s", name);
	}
	*ret_target = target;
	return BUS_OK;
}

static bus_status
busp_nng_partitions(bus_adapter *adapter, const char *topic, int timeout_ms,
		    int32_t *ret_count, bus_error *err)
{
	busp_target *target = NULL;
	bus_status status = busp_nng_target_ask(busp_nng_of(adapter), topic, timeout_ms,
						&target, err);

	if (status == BUS_OK) {
		*ret_count = target->partitions;
	}
	return status;
}

/* ---- one partition, or one topic ---- */

/* Begins a request that names a topic. FATAL: no topic has such a name. */
static bus_status
busp_nng_about(busp_nng *self, busp_op op, const char *topic, bus_error *err)
{
	if (strlen(topic) >= BUS_TOPIC_NAME_MAX) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, BUSP_NO_TOPIC,
				     "no topic %.300s", topic);
	}
	busp_client_request(self->client, &self->frame, op);
	busp_put_text(&self->frame, bus_str_from(topic));
	return BUS_OK;
}

/* Asks; what is refused names the topic. */
static bus_status
busp_nng_ask_about(busp_nng *self, busp_op op, const char *topic, int timeout_ms,
		   nng_msg **ret_answer, busp_reader *ret_reader, bus_error *err)
{
	bus_error cause = BUS_ERROR_INIT;
	bus_status status = busp_client_ask(self->client, &self->frame, op, timeout_ms,
					    ret_answer, ret_reader, &cause);

	if (status == BUS_OK) {
		return BUS_OK;
	}
	return bus_error_set(err, status, cause.origin, cause.native_code,
			     "topic %s: %.300s", topic, cause.text);
}

static bus_status
busp_nng_offset(bus_adapter *adapter, const char *topic, int32_t partition,
		bus_offset_at at, int64_t time_ms, int timeout_ms, int64_t *ret_offset,
		bus_error *err)
{
	static const uint8_t places[] = {
		[BUS_OFFSET_EARLIEST] = 0,
		[BUS_OFFSET_LATEST] = 1,
		[BUS_OFFSET_TIME] = 2,
	};
	busp_nng *self = busp_nng_of(adapter);
	nng_msg *answer = NULL;
	busp_reader reader;
	bus_status status = busp_nng_about(self, BUSP_OP_OFFSET, topic, err);

	if (status != BUS_OK) {
		return status;
	}
	bus_buf_be32(&self->frame, (uint32_t)partition);
	bus_buf_byte(&self->frame, places[at]);
	bus_buf_be64(&self->frame, (uint64_t)time_ms);
	status = busp_nng_ask_about(self, BUSP_OP_OFFSET, topic, timeout_ms, &answer,
				    &reader, err);
	if (status != BUS_OK) {
		return status;
	}
	int64_t offset = (int64_t)busp_get_u64(&reader);
	bool well = busp_reader_done(&reader) && offset >= 0;

	nng_msg_free(answer);
	if (!well) {
		return busp_malformed(self, "asking for an offset", err);
	}
	*ret_offset = offset;
	return BUS_OK;
}

/* What is in the frame has no answer but that it is done. */
static bus_status
busp_nng_do(busp_nng *self, busp_op op, const char *topic, int timeout_ms, bus_error *err)
{
	nng_msg *answer = NULL;
	busp_reader reader;
	bus_status status =
		busp_nng_ask_about(self, op, topic, timeout_ms, &answer, &reader, err);

	if (status == BUS_OK) {
		nng_msg_free(answer);
	}
	return status;
}

static bus_status
busp_nng_trim(bus_adapter *adapter, const char *topic, int32_t partition,
	      int64_t new_start, int timeout_ms, bus_error *err)
{
	busp_nng *self = busp_nng_of(adapter);
	bus_status status = busp_nng_about(self, BUSP_OP_TRIM, topic, err);

	if (status != BUS_OK) {
		return status;
	}
	bus_buf_be32(&self->frame, (uint32_t)partition);
	bus_buf_be64(&self->frame, (uint64_t)new_start);
	return busp_nng_do(self, BUSP_OP_TRIM, topic, timeout_ms, err);
}

static bus_status
busp_nng_seal(bus_adapter *adapter, const char *topic, bool sealed, int timeout_ms,
	      bus_error *err)
{
	busp_nng *self = busp_nng_of(adapter);
	bus_status status = busp_nng_about(self, BUSP_OP_SEAL, topic, err);

	if (status != BUS_OK) {
		return status;
	}
	bus_buf_byte(&self->frame, sealed ? 1 : 0);
	return busp_nng_do(self, BUSP_OP_SEAL, topic, timeout_ms, err);
}

const bus_adapter_ops busp_nng_ops = {
	.scheme = "nng",
	.open = busp_nng_open,
	.close = busp_nng_close,
	.topic_ensure = busp_nng_topic_ensure,
	.topic_list = busp_nng_topic_list,
	.partitions = busp_nng_partitions,
	.publish = busp_nng_publish,
	.join = busp_nng_join,
	.leave = busp_nng_leave,
	.start = busp_nng_start,
	.stop = busp_nng_stop,
	.poll = busp_nng_poll,
	.offset = busp_nng_offset,
	.trim = busp_nng_trim,
	.seal = busp_nng_seal,
	.note = busp_nng_note,
};

#ifdef __SANITIZE_ADDRESS__
/* nng 1.5.2 loses a connection's memory when it ends while it is being made or used (fixed in
 * 1.6.0: nng#1713). What is allocated outside nng is not excused. */
const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:libnng.so\n";
}
#endif
