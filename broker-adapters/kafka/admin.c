/*
 * admin.c - questions to the cluster, and making topics
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker-adapters/kafka/kafka.h"

/* A new topic is asked for again this often until all its leaders are known. */
#define BUSP_LOOK_MS 50
/* A topic is believed to be missing when no node has known it for this long: one that was just
 * made is not known everywhere at once. */
#define BUSP_KNOWN_MS 1000
/* The broker answers within the request's timeout; the way back is added. */
#define BUSP_ANSWER_MS 500

bus_status
busp_kafka_refuse(bus_error *err, rd_kafka_resp_err_t code, const char *what,
		  const char *topic, const char *text)
{
	return bus_error_set(err, busp_kafka_asking(code), BUSP_ORIGIN, code,
			     "%s %.250s: %s", what, topic,
			     text != NULL ? text : rd_kafka_err2str(code));
}

/* Serves what the handle has to say to nobody, so that it does not pile up. */
static void
busp_drain(rd_kafka_t *rk)
{
	while (rd_kafka_poll(rk, 0) > 0) {
	}
}

static rd_kafka_resp_err_t
busp_count_once(rd_kafka_t *rk, rd_kafka_topic_t *rkt, int timeout_ms, int32_t *ret_count)
{
	const struct rd_kafka_metadata *metadata = NULL;
	rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 0, rkt, &metadata, timeout_ms);

	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		return code;
	}
	if (metadata->topic_cnt == 1) {
		code = metadata->topics[0].err;
		*ret_count = metadata->topics[0].partition_cnt;
	} else {
		code = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
	}
	rd_kafka_metadata_destroy(metadata);
	return code;
}

bus_status
busp_kafka_count(rd_kafka_t *rk, rd_kafka_topic_t *rkt, int timeout_ms,
		 int32_t *ret_count, bus_error *err)
{
	const char *name = rd_kafka_topic_name(rkt);
	int64_t deadline_ms = busp_kafka_deadline(timeout_ms);
	int64_t known_ms =
		busp_kafka_deadline(timeout_ms < BUSP_KNOWN_MS ? timeout_ms :
								 BUSP_KNOWN_MS);
	rd_kafka_resp_err_t code =
		busp_count_once(rk, rkt, busp_kafka_left(deadline_ms), ret_count);

	while (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART &&
	       busp_remaining_ms(bus_clock_system(), known_ms) > 0) {
		(void)poll(NULL, 0, BUSP_LOOK_MS);
		code = busp_count_once(rk, rkt, busp_kafka_left(deadline_ms), ret_count);
	}
	if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, code,
				     "no topic %.300s", name);
	}
	return code == RD_KAFKA_RESP_ERR_NO_ERROR ?
		       BUS_OK :
		       busp_kafka_refuse(err, code, "metadata of topic", name, NULL);
}

bus_status
busp_kafka_partitions(bus_adapter *adapter, const char *name, int timeout_ms,
		      int32_t *ret_count, bus_error *err)
{
	busp_kafka *self = busp_kafka_of(adapter);
	busp_kafka_topic *topic = busp_kafka_topic_use(self, name);
	bus_status status = BUS_OK;

	busp_drain(self->admin);
	if (topic->partitions == 0) {
		rd_kafka_topic_t *rkt = rd_kafka_topic_new(self->admin, name, NULL);

		if (rkt == NULL) {
			return busp_kafka_refuse(err, rd_kafka_last_error(), "topic",
						 name, NULL);
		}
		status = busp_kafka_count(self->admin, rkt,
					  timeout_ms > 0 ? timeout_ms : 1,
					  &topic->partitions, err);
		rd_kafka_topic_destroy(rkt);
	}
	if (status == BUS_OK) {
		*ret_count = topic->partitions;
	}
	return status;
}

/* ---- offsets ---- */

/* One question for all three kinds: rd_kafka_query_watermark_offsets() of 2.0.2 outlives
 * its timeout (librdkafka#4460); a timestamp of -1 or -2 means latest or earliest in the
 * request that both make. */
static bus_status
busp_ask_offset(busp_kafka *self, const char *topic, int32_t partition, int64_t time_ms,
		int timeout_ms, int64_t *ret_offset, bus_error *err)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_t *row =
		rd_kafka_topic_partition_list_add(list, topic, partition);

	row->offset = time_ms;
	rd_kafka_resp_err_t code =
		rd_kafka_offsets_for_times(self->admin, list, timeout_ms);

	if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
		code = list->elems[0].err;
	}
	*ret_offset = list->elems[0].offset;
	rd_kafka_topic_partition_list_destroy(list);
	return code == RD_KAFKA_RESP_ERR_NO_ERROR ?
		       BUS_OK :
		       busp_kafka_refuse(err, code, "offsets of topic", topic, NULL);
}

bus_status
busp_kafka_offset(bus_adapter *adapter, const char *topic, int32_t partition,
		  bus_offset_at at, int64_t time_ms, int timeout_ms, int64_t *ret_offset,
		  bus_error *err)
{
	busp_kafka *self = busp_kafka_of(adapter);
	int64_t deadline_ms = busp_kafka_deadline(timeout_ms);
	int64_t wanted = at == BUS_OFFSET_EARLIEST ? RD_KAFKA_OFFSET_BEGINNING :
			 at == BUS_OFFSET_LATEST   ? RD_KAFKA_OFFSET_END :
			 time_ms > 0               ? time_ms :
						     0;
	int32_t count = 0;
	int64_t offset = -1;
	bus_status status =
		busp_kafka_partitions(adapter, topic, timeout_ms, &count, err);

	if (status == BUS_OK && (partition < 0 || partition >= count)) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "topic %s has no partition %d, it has %d", topic,
				     partition, count);
	}
	if (status == BUS_OK) {
		status = busp_ask_offset(self, topic, partition, wanted,
					 busp_kafka_left(deadline_ms), &offset, err);
	}
	if (status == BUS_OK && offset < 0) {
		/* no record is as young as that */
		status = busp_ask_offset(self, topic, partition, RD_KAFKA_OFFSET_END,
					 busp_kafka_left(deadline_ms), &offset, err);
	}
	if (status == BUS_OK) {
		*ret_offset = offset;
	}
	return status;
}

/* ---- topics ---- */

busp_request
busp_kafka_request_begin(busp_kafka *self, rd_kafka_admin_op_t op, int64_t deadline_ms)
{
	busp_request request = {
		.options = rd_kafka_AdminOptions_new(self->admin, op),
		.queue = rd_kafka_queue_new(self->admin),
	};
	char text[BUSP_KAFKA_TEXT_MAX];

	(void)rd_kafka_AdminOptions_set_request_timeout(request.options,
							busp_kafka_left(deadline_ms),
							text, sizeof(text));
	return request;
}

rd_kafka_event_t *
busp_kafka_request_end(busp_request *request, int64_t deadline_ms)
{
	rd_kafka_event_t *event =
		rd_kafka_queue_poll(request->queue,
				    busp_kafka_left(deadline_ms) + BUSP_ANSWER_MS);

	rd_kafka_queue_destroy(request->queue);
	rd_kafka_AdminOptions_destroy(request->options);
	return event;
}

static void
busp_new_topic_set(rd_kafka_NewTopic_t *new_topic, const char *name, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	(void)rd_kafka_NewTopic_set_config(new_topic, name, text);
}

static bus_status
busp_create_result(const bus_topic_spec *spec, const rd_kafka_event_t *event,
		   bool *ret_made, bus_error *err)
{
	size_t count = 0;

	if (event == NULL) {
		return busp_kafka_refuse(err, RD_KAFKA_RESP_ERR__TIMED_OUT, "make topic",
					 spec->name, NULL);
	}
	const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(
		rd_kafka_event_CreateTopics_result((rd_kafka_event_t *)(uintptr_t)event),
		&count);
	rd_kafka_resp_err_t code =
		rd_kafka_event_error((rd_kafka_event_t *)(uintptr_t)event);

	if (code == RD_KAFKA_RESP_ERR_NO_ERROR && count == 1) {
		code = rd_kafka_topic_result_error(results[0]);
	}
	*ret_made = code == RD_KAFKA_RESP_ERR_NO_ERROR;
	if (*ret_made || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
		return BUS_OK;
	}
	return busp_kafka_refuse(err, code, "make topic", spec->name,
				 count == 1 ?
					 rd_kafka_topic_result_error_string(results[0]) :
					 NULL);
}

static bus_status
busp_create(busp_kafka *self, const bus_topic_spec *spec, int64_t deadline_ms,
	    bool *ret_made, bus_error *err)
{
	char text[BUSP_KAFKA_TEXT_MAX];
	rd_kafka_NewTopic_t *new_topic =
		rd_kafka_NewTopic_new(spec->name, spec->partitions, spec->replication,
				      text, sizeof(text));

	if (new_topic == NULL) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "make topic %s: %s", spec->name, text);
	}
	/* an event is never replaced by a younger one of its key: the log is the truth */
	(void)rd_kafka_NewTopic_set_config(new_topic, "cleanup.policy", "delete");
	busp_new_topic_set(new_topic, "retention.ms", spec->retention_ms);
	busp_new_topic_set(new_topic, "retention.bytes",
			   spec->retention_bytes > 0 ? spec->retention_bytes : -1);
	busp_new_topic_set(new_topic, "min.insync.replicas", spec->min_isr);
	busp_request request =
		busp_kafka_request_begin(self, RD_KAFKA_ADMIN_OP_CREATETOPICS,
					 deadline_ms);

	rd_kafka_CreateTopics(self->admin, &new_topic, 1, request.options, request.queue);
	rd_kafka_event_t *event = busp_kafka_request_end(&request, deadline_ms);
	bus_status status = busp_create_result(spec, event, ret_made, err);

	if (event != NULL) {
		rd_kafka_event_destroy(event);
	}
	rd_kafka_NewTopic_destroy(new_topic);
	return status;
}

static void
busp_info_config(bus_topic_info *info, const rd_kafka_ConfigEntry_t *entry)
{
	const char *name = rd_kafka_ConfigEntry_name(entry);
	const char *value = rd_kafka_ConfigEntry_value(entry);

	if (value != NULL && strcmp(name, "retention.ms") == 0) {
		info->retention_ms = strtoll(value, NULL, 10);
	} else if (value != NULL && strcmp(name, "retention.bytes") == 0) {
		int64_t bytes = strtoll(value, NULL, 10);

		info->retention_bytes = bytes > 0 ? bytes : 0; /* Kafka's -1: no limit */
	} else if (value != NULL && strcmp(name, "min.insync.replicas") == 0) {
		info->min_isr = (int32_t)strtol(value, NULL, 10);
	}
}

static bus_status
busp_info_resource(bus_topic_info *infos, size_t count,
		   const rd_kafka_ConfigResource_t *resource, bus_error *err)
{
	const char *name = rd_kafka_ConfigResource_name(resource);
	rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resource);
	size_t entry_count = 0;
	const rd_kafka_ConfigEntry_t **entries =
		rd_kafka_ConfigResource_configs(resource, &entry_count);

	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		return busp_kafka_refuse(err, code, "configuration of topic", name,
					 rd_kafka_ConfigResource_error_string(resource));
	}
	for (size_t i = 0; i < count; i++) {
		for (size_t e = 0; e < entry_count && strcmp(infos[i].name, name) == 0;
		     e++) {
			busp_info_config(&infos[i], entries[e]);
		}
	}
	return BUS_OK;
}

static bus_status
busp_describe_result(bus_topic_info *infos, size_t count, rd_kafka_event_t *event,
		     bus_error *err)
{
	size_t resource_count = 0;
	rd_kafka_resp_err_t code = event != NULL ? rd_kafka_event_error(event) :
						   RD_KAFKA_RESP_ERR__TIMED_OUT;

	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		return busp_kafka_refuse(err, code, "configuration of topic",
					 infos[0].name, NULL);
	}
	const rd_kafka_ConfigResource_t **resources =
		rd_kafka_DescribeConfigs_result_resources(
			rd_kafka_event_DescribeConfigs_result(event), &resource_count);
	bus_status status = BUS_OK;

	for (size_t i = 0; i < resource_count && status == BUS_OK; i++) {
		status = busp_info_resource(infos, count, resources[i], err);
	}
	return status;
}

/* Fills in retention and in-sync replicas of topics. */
static bus_status
busp_describe(busp_kafka *self, bus_topic_info *infos, size_t count, int64_t deadline_ms,
	      bus_error *err)
{
	if (count == 0) {
		return BUS_OK;
	}
	rd_kafka_ConfigResource_t **resources =
		busp_adapter_alloc(count, sizeof(*resources));
	busp_request request =
		busp_kafka_request_begin(self, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS,
					 deadline_ms);

	for (size_t i = 0; i < count; i++) {
		resources[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC,
							   infos[i].name);
	}
	rd_kafka_DescribeConfigs(self->admin, resources, count, request.options,
				 request.queue);
	rd_kafka_event_t *event = busp_kafka_request_end(&request, deadline_ms);
	bus_status status = busp_describe_result(infos, count, event, err);

	if (event != NULL) {
		rd_kafka_event_destroy(event);
	}
	rd_kafka_ConfigResource_destroy_array(resources, count);
	free(resources);
	return status;
}

static bool
busp_info_of(const struct rd_kafka_metadata_topic *topic, bus_topic_info *ret_info)
{
	bool ready = topic->err == RD_KAFKA_RESP_ERR_NO_ERROR && topic->partition_cnt > 0;

	for (int i = 0; i < topic->partition_cnt; i++) {
		ready = ready && topic->partitions[i].leader >= 0;
	}
	*ret_info = (bus_topic_info){
		.partitions = topic->partition_cnt,
		.replication =
			topic->partition_cnt > 0 ? topic->partitions[0].replica_cnt : 0,
	};
	snprintf(ret_info->name, sizeof(ret_info->name), "%s", topic->topic);
	return ready;
}

/* Looks until every partition of a topic has a leader: what was just made is not known
 * everywhere at once. */
static bus_status
busp_await_topic(busp_kafka *self, const char *name, int64_t deadline_ms,
		 bus_topic_info *ret_info, bus_error *err)
{
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(self->admin, name, NULL);
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
	bool ready = false;

	do {
		const struct rd_kafka_metadata *metadata = NULL;

		code = rd_kafka_metadata(self->admin, 0, rkt, &metadata,
					 busp_kafka_left(deadline_ms));
		if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
			ready = metadata->topic_cnt == 1 &&
				busp_info_of(&metadata->topics[0], ret_info);
			code = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
			rd_kafka_metadata_destroy(metadata);
		}
		if (!ready) {
			rd_kafka_poll(self->admin, BUSP_LOOK_MS);
		}
	} while (!ready && busp_remaining_ms(bus_clock_system(), deadline_ms) > 0);
	rd_kafka_topic_destroy(rkt);
	return ready ? BUS_OK : busp_kafka_refuse(err, code, "topic", name, NULL);
}

/* The node that answers may be one that has not heard of the topic yet, though others have. */
static bus_status
busp_describe_new(busp_kafka *self, bus_topic_info *info, int64_t deadline_ms,
		  bus_error *err)
{
	bus_error mine = BUS_ERROR_INIT;
	bus_status status = busp_describe(self, info, 1, deadline_ms, &mine);

	while (mine.native_code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART &&
	       busp_remaining_ms(bus_clock_system(), deadline_ms) > 0) {
		rd_kafka_poll(self->admin, BUSP_LOOK_MS);
		bus_error_reset(&mine);
		status = busp_describe(self, info, 1, deadline_ms, &mine);
	}
	if (status != BUS_OK && err != NULL && err->status == BUS_OK) {
		*err = mine;
	}
	return status;
}

bus_status
busp_kafka_topic_ensure(bus_adapter *adapter, const bus_topic_spec *spec, int timeout_ms,
			bus_topic_info *ret_info, bool *ret_made, bus_error *err)
{
	busp_kafka *self = busp_kafka_of(adapter);
	int64_t deadline_ms = busp_kafka_deadline(timeout_ms);
	bus_topic_info info = { 0 };
	bool made = false;
	bus_status status = busp_topic_spec_check(BUSP_ORIGIN, spec, err);

	busp_drain(self->admin);
	if (status == BUS_OK) {
		status = busp_create(self, spec, deadline_ms, &made, err);
	}
	if (status == BUS_OK) {
		status = busp_await_topic(self, spec->name, deadline_ms, &info, err);
	}
	if (status == BUS_OK) {
		status = busp_describe_new(self, &info, deadline_ms, err);
	}
	if (status == BUS_OK) {
		busp_kafka_topic_use(self, spec->name)->partitions = info.partitions;
		*ret_info = info;
		*ret_made = made;
	}
	return status;
}

static int
busp_info_order(const void *a, const void *b)
{
	return strcmp(((const bus_topic_info *)a)->name,
		      ((const bus_topic_info *)b)->name);
}

static bool
busp_listed(const struct rd_kafka_metadata_topic *topic, const char *prefix)
{
	return topic->err == RD_KAFKA_RESP_ERR_NO_ERROR &&
	       strncmp(topic->topic, prefix, strlen(prefix)) == 0 &&
	       strncmp(topic->topic, BUSP_INTERNAL_PREFIX,
		       strlen(BUSP_INTERNAL_PREFIX)) != 0;
}

bus_status
busp_kafka_topic_list(bus_adapter *adapter, const char *prefix, int timeout_ms,
		      bus_arena *arena, bus_topic_info **ret_topics, size_t *ret_count,
		      bus_error *err)
{
	busp_kafka *self = busp_kafka_of(adapter);
	int64_t deadline_ms = busp_kafka_deadline(timeout_ms);
	const struct rd_kafka_metadata *metadata = NULL;

	busp_drain(self->admin);
	rd_kafka_resp_err_t code = rd_kafka_metadata(self->admin, 1, NULL, &metadata,
						     busp_kafka_left(deadline_ms));

	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		return busp_kafka_refuse(err, code, "list topics", prefix, NULL);
	}
	bus_topic_info *infos = bus_arena_alloc(arena, ((size_t)metadata->topic_cnt + 1) *
							       sizeof(*infos));
	size_t count = 0;

	for (int i = 0; i < metadata->topic_cnt; i++) {
		if (busp_listed(&metadata->topics[i], prefix)) {
			(void)busp_info_of(&metadata->topics[i], &infos[count++]);
		}
	}
	rd_kafka_metadata_destroy(metadata);
	qsort(infos, count, sizeof(*infos), busp_info_order);
	bus_status status = busp_describe(self, infos, count, deadline_ms, err);

	if (status == BUS_OK) {
		*ret_topics = infos;
		*ret_count = count;
	}
	return status;
}
