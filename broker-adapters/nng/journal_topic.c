/*
 * journal_topic.c - topics: finding them, making them, sealing them
 */
#include "broker-adapters/nng/journal_private.h"

#include <stdio.h>
#include <stdlib.h>

static int
busp_name_order(const char *name, bus_str other)
{
	size_t len = strlen(name);
	size_t shorter = len < other.len ? len : other.len;
	int order = shorter > 0 ? memcmp(name, other.data, shorter) : 0;
	return order != 0 ? order : (len > other.len) - (len < other.len);
}

/* The place of the first topic whose name does not sort before this one. */
static size_t
busp_topic_place(const busp_journal *journal, bus_str name)
{
	size_t low = 0;
	size_t high = journal->topics.count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (busp_name_order(journal->topics.at[middle]->info.name, name) < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

const busp_topic *
busp_journal_topic(const busp_journal *journal, bus_str name)
{
	size_t place = busp_topic_place(journal, name);
	if (place == journal->topics.count ||
	    busp_name_order(journal->topics.at[place]->info.name, name) != 0) {
		return NULL;
	}
	return journal->topics.at[place];
}

const busp_topic *
busp_journal_topic_after(const busp_journal *journal, bus_str prefix, bus_str after)
{
	size_t place = busp_topic_place(journal, after);
	size_t first = busp_topic_place(journal, prefix);
	if (place < journal->topics.count &&
	    busp_name_order(journal->topics.at[place]->info.name, after) == 0) {
		place++;
	}
	place = place > first ? place : first;
	if (place == journal->topics.count) {
		return NULL;
	}
	const busp_topic *topic = journal->topics.at[place];
	return prefix.len == 0 ||
			       strncmp(topic->info.name, prefix.data, prefix.len) == 0 ?
		       topic :
		       NULL;
}

busp_log *
busp_journal_log(const busp_topic *topic, int32_t partition)
{
	return partition >= 0 && partition < topic->info.partitions ?
		       &topic->logs[partition] :
		       NULL;
}

busp_topic *
busp_topic_create(const bus_topic_info *info, uint32_t first_log)
{
	busp_topic *topic = busp_adapter_alloc(1, sizeof(*topic));
	topic->info = *info;
	topic->logs =
		busp_adapter_alloc((size_t)info->partitions, sizeof(topic->logs[0]));
	for (int32_t i = 0; i < info->partitions; i++) {
		topic->logs[i] = (busp_log){
			.number = first_log + (uint32_t)i,
			.topic = topic,
			.partition = i,
			.damaged_at = -1,
		};
	}
	return topic;
}

void
busp_topic_destroy(busp_topic *topic)
{
	free(topic->logs);
	free(topic);
}

void
busp_topic_add(busp_journal *journal, busp_topic *topic)
{
	size_t place = busp_topic_place(journal, bus_str_from(topic->info.name));
	size_t after = journal->topics.count - place;
	(void)BUSP_PUSH(journal->topics);
	memmove(&journal->topics.at[place + 1], &journal->topics.at[place],
		after * sizeof(journal->topics.at[0]));
	journal->topics.at[place] = topic;
	for (int32_t i = 0; i < topic->info.partitions; i++) {
		*BUSP_PUSH(journal->slots) = (busp_slot){ .log = &topic->logs[i] };
	}
}

static void
busp_topic_remove(busp_journal *journal, busp_topic *topic)
{
	size_t place = busp_topic_place(journal, bus_str_from(topic->info.name));
	journal->topics.count--;
	memmove(&journal->topics.at[place], &journal->topics.at[place + 1],
		(journal->topics.count - place) * sizeof(journal->topics.at[0]));
	journal->slots.count -= (size_t)topic->info.partitions;
	busp_topic_destroy(topic);
}

static bus_status
busp_topic_check(const busp_journal *journal, const bus_topic_spec *spec, bus_error *err)
{
	bus_error why = BUS_ERROR_INIT;
	if (busp_topic_spec_check(BUSP_ORIGIN, spec, &why) != BUS_OK) {
		return bus_error_set(err, BUS_E_REJECT, BUSP_ORIGIN, 0, "%s", why.text);
	}
	if (journal->slots.count + (size_t)spec->partitions > BUSP_LOGS_MAX) {
		return bus_error_set(err, BUS_E_REJECT, BUSP_ORIGIN, 0,
				     "topic %s: the store has room for %u partitions in "
				     "all, %zu are taken",
				     spec->name, BUSP_LOGS_MAX - 1,
				     journal->slots.count - 1);
	}
	return BUS_OK;
}

static bus_status
busp_topic_write(busp_journal *journal, const busp_topic *topic, bus_error *err)
{
	bus_status status = busp_store_begin(&journal->store, err);
	if (status != BUS_OK) {
		return status;
	}
	status = busp_write_topic(journal, topic, false, err);
	for (int32_t i = 0; i < topic->info.partitions && status == BUS_OK; i++) {
		busp_touched fresh = { .log = &topic->logs[i] };
		status = busp_write_log(journal, BUSP_Q_LOG_INSERT, &fresh, err);
	}
	return busp_journal_finish(journal, status, err);
}

bus_status
busp_journal_topic_make(busp_journal *journal, const bus_topic_spec *spec,
			const busp_topic **ret_topic, bus_error *err)
{
	bus_status status = busp_topic_check(journal, spec, err);
	if (status != BUS_OK) {
		return status;
	}
	bus_topic_info info = {
		.partitions = spec->partitions,
		.replication = spec->replication,
		.retention_ms = spec->retention_ms,
		.retention_bytes = spec->retention_bytes,
		.min_isr = spec->min_isr,
	};
	snprintf(info.name, sizeof(info.name), "%s", spec->name);
	busp_topic *topic = busp_topic_create(&info, (uint32_t)journal->slots.count);
	/* the store's row counts what is in the memory */
	busp_topic_add(journal, topic);
	status = busp_topic_write(journal, topic, err);
	if (status != BUS_OK) {
		busp_topic_remove(journal, topic);
		return status;
	}
	*ret_topic = topic;
	return busp_journal_after_commit(journal, err);
}

bus_status
busp_journal_seal(busp_journal *journal, const busp_topic *topic, bool sealed,
		  bus_error *err)
{
	bus_status status = busp_store_usable(&journal->store, err);
	if (status != BUS_OK || topic->sealed == sealed) {
		return status;
	}
	status = busp_store_begin(&journal->store, err);
	if (status != BUS_OK) {
		return status;
	}
	status = busp_write_topic(journal, topic, sealed, err);
	status = busp_journal_finish(journal, status, err);
	if (status != BUS_OK) {
		return status;
	}
	journal->topics.at[busp_topic_place(journal, bus_str_from(topic->info.name))]
		->sealed = sealed;
	return busp_journal_after_commit(journal, err);
}
