/*
 * broker.c - named brokers in memory: topics and their logs
 */
#include "broker-adapters/memory/broker.h"

#include <stdio.h>
#include <stdlib.h>

static busp_broker *busp_brokers;

busp_broker *
busp_mem_broker_find(const char *url)
{
	busp_broker *broker = busp_brokers;

	while (broker != NULL && strcmp(broker->url, url) != 0) {
		broker = broker->next;
	}
	return broker;
}

busp_broker *
busp_mem_broker_use(const char *url)
{
	busp_broker *broker = busp_mem_broker_find(url);

	if (broker == NULL) {
		broker = busp_adapter_alloc(1, sizeof(*broker));
		broker->url = busp_adapter_copy(url);
		broker->uses = 1;
		broker->next = busp_brokers;
		busp_brokers = broker;
	}
	broker->uses++;
	return broker;
}

static void
busp_topic_free(busp_topic *topic)
{
	for (int32_t p = 0; p < topic->info.partitions; p++) {
		for (size_t i = 0; i < topic->logs[p].count; i++) {
			free(topic->logs[p].records[i]);
		}
		free(topic->logs[p].records);
	}
	free(topic->logs);
	free(topic);
}

void
busp_mem_broker_release(busp_broker *broker)
{
	if (--broker->uses > 0) {
		return;
	}
	while (broker->topics != NULL) {
		busp_topic *topic = broker->topics;

		broker->topics = topic->next;
		busp_topic_free(topic);
	}
	busp_mem_groups_free(broker->groups);
	free(broker->url);
	free(broker);
}

void
busp_mem_broker_forget(const char *url)
{
	for (busp_broker **at = &busp_brokers; *at != NULL; at = &(*at)->next) {
		busp_broker *broker = *at;

		if (strcmp(broker->url, url) == 0) {
			*at = broker->next;
			busp_mem_broker_release(broker);
			return;
		}
	}
}

busp_topic *
busp_mem_topic_find(busp_broker *broker, const char *name)
{
	busp_topic *topic = broker->topics;

	while (topic != NULL && strcmp(topic->info.name, name) != 0) {
		topic = topic->next;
	}
	return topic;
}

/* The list of topics is sorted by name. */
busp_topic *
busp_mem_topic_make(busp_broker *broker, const bus_topic_spec *spec)
{
	busp_topic *topic = busp_adapter_alloc(1, sizeof(*topic));
	busp_topic **at = &broker->topics;

	topic->info = (bus_topic_info){
		.partitions = spec->partitions,
		.replication = spec->replication,
		.retention_ms = spec->retention_ms,
		.retention_bytes = spec->retention_bytes,
		.min_isr = spec->min_isr,
	};
	snprintf(topic->info.name, sizeof(topic->info.name), "%s", spec->name);
	topic->logs = busp_adapter_alloc((size_t)spec->partitions, sizeof(*topic->logs));
	while (*at != NULL && strcmp((*at)->info.name, spec->name) < 0) {
		at = &(*at)->next;
	}
	topic->next = *at;
	*at = topic;
	return topic;
}

busp_log *
busp_mem_log_find(busp_broker *broker, const char *topic_name, int32_t partition,
		  bus_error *err)
{
	busp_topic *topic = busp_mem_topic_find(broker, topic_name);

	if (topic == NULL) {
		(void)bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0, "no topic %.300s",
				    topic_name);
		return NULL;
	}
	if (partition < 0 || partition >= topic->info.partitions) {
		(void)bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				    "topic %s has no partition %d, it has %d", topic_name,
				    partition, topic->info.partitions);
		return NULL;
	}
	return &topic->logs[partition];
}

/* Copies text to *at and moves it on; absent stays absent. */
static bus_str
busp_place(bus_str text, char **at)
{
	bus_str placed = { text.data != NULL ? *at : NULL, text.len };

	if (text.len > 0) {
		memcpy(*at, text.data, text.len);
		*at += text.len;
	}
	return placed;
}

int64_t
busp_mem_log_append(busp_log *log, const bus_record *record, int64_t timestamp_ms)
{
	size_t headers_bytes = record->header_count * sizeof(bus_header);
	size_t bytes = bus_record_bytes(record);
	busp_logged *logged =
		busp_adapter_alloc(1, sizeof(*logged) + headers_bytes + bytes + 1);
	bus_header *headers = (bus_header *)(logged + 1);
	char *at = (char *)headers + headers_bytes;

	logged->timestamp_ms = timestamp_ms;
	logged->bytes = bytes;
	logged->record.key = busp_place(record->key, &at);
	logged->record.value = busp_place(record->value, &at);
	logged->record.headers = headers;
	logged->record.header_count = record->header_count;
	for (size_t i = 0; i < record->header_count; i++) {
		headers[i].name = busp_place(record->headers[i].name, &at);
		headers[i].value = busp_place(record->headers[i].value, &at);
	}
	log->records = busp_adapter_grow(log->records, log->count, &log->capacity,
					 sizeof(*log->records));
	log->records[log->count] = logged;
	return (int64_t)log->count++;
}
