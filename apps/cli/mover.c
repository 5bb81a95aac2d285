/*
 * mover.c - what is to be moved, and what is there already
 */
#include "apps/cli/mover.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli/cli.h"
#include "core/filler.h"

#define AGAIN_MS 100
#define ARENA_CHUNK_BYTES (64u * 1024u)
#define FIRST_MS 5000
/* A seal waits for what other producers have open, at most Kafka's transaction.timeout.ms. */
#define SEAL_MS 70000

void
bus_mover_init(bus_mover *mover)
{
	mover->arena = bus_arena_create(ARENA_CHUNK_BYTES);
	mover->hasher = bus_hasher_create();
	mover->batch = calloc(BUSP_MOVER_BATCH, sizeof(*mover->batch));
	mover->batch_parts = calloc(BUSP_MOVER_BATCH, sizeof(*mover->batch_parts));
	assert(mover->arena != NULL && mover->hasher != NULL && mover->batch != NULL &&
	       mover->batch_parts != NULL);
}

void
bus_mover_fini(bus_mover *mover)
{
	bus_arena_destroy(mover->arena);
	bus_hasher_destroy(mover->hasher);
	free(mover->batch);
	free(mover->batch_parts);
}

bus_status
busp_mover_tick(bus_mover *mover, bus_error *err)
{
	if (*mover->stop != 0) {
		return bus_error_set(err, BUS_E_ABORT, "mover", 0, "told to stop");
	}
	return mover->tick != NULL ? mover->tick(mover->ctx, err) : BUS_OK;
}

bus_status
busp_mover_again(bus_mover *mover, int64_t since_ms, bus_error *err)
{
	if (bus_clock_mono_ms(mover->clock) - since_ms > BUSP_MOVER_PATIENCE_MS) {
		return BUS_E_RETRY; /* err tells what is in the way */
	}
	bus_error_reset(err);
	bus_cli_pause(AGAIN_MS);
	return busp_mover_tick(mover, err);
}

bus_status
busp_mover_offset(bus_mover *mover, bus_adapter *adapter, const bus_mover_part *part,
		  bus_offset_at at, int64_t *ret_offset, bus_error *err)
{
	int64_t since_ms = bus_clock_mono_ms(mover->clock);
	for (;;) {
		bus_status status =
			bus_adapter_offset(adapter, part->topic->name, part->partition,
					   at, 0, BUSP_MOVER_ANSWER_MS, ret_offset, err);
		if (status == BUS_E_RETRY) {
			status = busp_mover_again(mover, since_ms, err);
			if (status == BUS_OK) {
				continue;
			}
		}
		return status;
	}
}

bus_mover_part *
busp_mover_part(bus_mover *mover, const char *topic, int32_t partition)
{
	for (size_t i = 0; i < mover->part_count; i++) {
		size_t at = (mover->part_last + i) % mover->part_count;
		bus_mover_part *part = &mover->parts[at];
		if (part->partition == partition &&
		    strcmp(part->topic->name, topic) == 0) {
			mover->part_last = at;
			return part;
		}
	}
	return NULL;
}

int64_t
bus_mover_lag(const bus_mover *mover)
{
	int64_t lag = 0;
	for (size_t i = 0; i < mover->part_count; i++) {
		const bus_mover_part *part = &mover->parts[i];
		lag += part->from_end > part->next ? part->from_end - part->next : 0;
	}
	return lag;
}

int64_t
bus_mover_added(const bus_mover *mover)
{
	int64_t added = 0;
	for (size_t i = 0; i < mover->part_count; i++) {
		added += mover->parts[i].records + mover->parts[i].fillers;
	}
	return added;
}

/* ---- plan ---- */

/* The first question to a broker: one that is not there is not waited for as long as one that
 * goes away in between. */
static bus_status
list_topics(bus_mover *mover, bus_adapter *adapter, bus_topic_info **ret_topics,
	    size_t *ret_count, bus_error *err)
{
	int64_t until_ms = bus_clock_mono_ms(mover->clock) + FIRST_MS;
	for (;;) {
		bus_status status =
			bus_adapter_topic_list(adapter, mover->prefix, FIRST_MS,
					       mover->arena, ret_topics, ret_count, err);
		if (status != BUS_E_RETRY || bus_clock_mono_ms(mover->clock) >= until_ms) {
			return status;
		}
		bus_error_reset(err);
		bus_cli_pause(AGAIN_MS);
		status = busp_mover_tick(mover, err);
		if (status != BUS_OK) {
			return status;
		}
	}
}

static const bus_topic_info *
find_topic(const bus_topic_info *topics, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(topics[i].name, name) == 0) {
			return &topics[i];
		}
	}
	return NULL;
}

static bus_status
plan_part(bus_mover *mover, bus_mover_part *part, bool on_new_side, bus_error *err)
{
	bus_status status =
		busp_mover_offset(mover, mover->from, part, BUS_OFFSET_EARLIEST,
				  &part->from_start, err);
	if (status == BUS_OK) {
		status = busp_mover_offset(mover, mover->from, part, BUS_OFFSET_LATEST,
					   &part->from_end, err);
	}
	if (status == BUS_OK && on_new_side) {
		status = busp_mover_offset(mover, mover->to, part, BUS_OFFSET_EARLIEST,
					   &part->to_start, err);
	}
	if (status == BUS_OK && on_new_side) {
		status = busp_mover_offset(mover, mover->to, part, BUS_OFFSET_LATEST,
					   &part->next, err);
	}
	part->begun = part->planned = part->next;
	return status;
}

static bus_status
plan_topic(bus_mover *mover, const bus_topic_info *topic, const bus_topic_info *there,
	   bus_error *err)
{
	if (there != NULL && there->partitions != topic->partitions) {
		return bus_error_set(err, BUS_E_REJECT, "mover", 0,
				     "topic %s has %d partitions, and %d on the new "
				     "broker; delete it there, it is made as it is here",
				     topic->name, topic->partitions, there->partitions);
	}
	for (int32_t p = 0; p < topic->partitions; p++) {
		bus_mover_part *part = &mover->parts[mover->part_count++];
		*part = (bus_mover_part){ .topic = topic, .partition = p, .position = -1 };
		bus_status status = plan_part(mover, part, there != NULL, err);
		if (status != BUS_OK) {
			return status;
		}
	}
	return BUS_OK;
}

bus_status
bus_mover_plan(bus_mover *mover, bus_error *err)
{
	bus_topic_info *topics = NULL, *there = NULL;
	size_t count = 0, there_count = 0, parts = 0;
	bus_status status = list_topics(mover, mover->from, &topics, &count, err);
	if (status == BUS_OK) {
		mover->topics = topics;
		mover->topic_count = count;
	}
	if (status == BUS_OK && mover->to != NULL) {
		status = list_topics(mover, mover->to, &there, &there_count, err);
	}
	if (status != BUS_OK) {
		return status;
	}
	for (size_t i = 0; i < count; i++) {
		parts += (size_t)topics[i].partitions;
	}
	mover->parts = bus_arena_alloc(mover->arena, (parts + 1) * sizeof(*mover->parts));
	mover->part_count = 0;
	for (size_t i = 0; i < count && status == BUS_OK; i++) {
		status = plan_topic(mover, &topics[i],
				    find_topic(there, there_count, topics[i].name), err);
	}
	return status;
}

bus_status
bus_mover_recheck(bus_mover *mover, bus_error *err)
{
	bus_topic_info *now = NULL;
	size_t count = 0;
	bus_status status = list_topics(mover, mover->from, &now, &count, err);
	for (size_t i = 0; i < count && status == BUS_OK; i++) {
		const bus_topic_info *was =
			find_topic(mover->topics, mover->topic_count, now[i].name);
		if (was == NULL || was->partitions != now[i].partitions) {
			status = bus_error_set(
				err, BUS_E_ABORT, "mover", 0,
				"topic %s of the old broker %s while this ran, and is not "
				"copied",
				now[i].name,
				was == NULL ? "was made" : "has got partitions");
		}
	}
	return status;
}

/* ---- is it a beginning? ---- */

bus_status
busp_mover_refuse(const bus_mover_part *part, int64_t offset, const char *why,
		  bus_error *err)
{
	return bus_error_set(err, BUS_E_REJECT, "mover", 0,
			     "%s/%d@%lld on the new broker: %s; what is there is no "
			     "beginning of this log: delete the topic there, or choose "
			     "another broker",
			     part->topic->name, part->partition, (long long)offset, why);
}

static bus_status
check_part(const bus_mover_part *part, busp_mover_range *ret_range, bus_error *err)
{
	int64_t lo = part->next - BUS_MOVER_COMPARE_FIRST;
	lo = lo > part->to_start ? lo : part->to_start;
	if (part->next > part->from_start && lo < part->from_start) {
		lo = part->from_start; /* what the old side has no more is not asked for */
	}
	*ret_range = (busp_mover_range){ lo, part->next };
	if (part->next > part->from_end) {
		return busp_mover_refuse(part, part->from_end,
					 "the log is longer than the old one", err);
	}
	if (part->next > part->from_start && part->to_start > part->from_start &&
	    part->position < part->to_start) {
		return busp_mover_refuse(
			part, part->to_start,
			"the log begins later than the old one, and not everything "
			"before that is done",
			err);
	}
	if (part->to_start == part->next && part->next > part->from_start) {
		return busp_mover_refuse(
			part, part->next,
			"all records were cut off, so nothing shows what they were", err);
	}
	return BUS_OK;
}

bus_status
bus_mover_check(bus_mover *mover, bus_error *err)
{
	busp_mover_range *ranges =
		bus_arena_alloc(mover->arena, (mover->part_count + 1) * sizeof(*ranges));
	for (size_t i = 0; i < mover->part_count; i++) {
		bus_status status = check_part(&mover->parts[i], &ranges[i], err);
		if (status != BUS_OK) {
			return status;
		}
	}
	return busp_mover_compare_ranges(mover, ranges, err);
}

/* ---- topics ---- */

static bus_status
seal_one(bus_mover *mover, bus_adapter *adapter, const char *topic, bool sealed,
	 bus_error *err)
{
	int64_t since_ms = bus_clock_mono_ms(mover->clock);
	for (;;) {
		bus_status status = bus_adapter_seal(adapter, topic, sealed,
						     BUSP_MOVER_ANSWER_MS, err);
		if (status != BUS_E_RETRY ||
		    bus_clock_mono_ms(mover->clock) - since_ms > SEAL_MS) {
			return status;
		}
		bus_error_reset(err);
		status = busp_mover_tick(mover, err);
		if (status != BUS_OK) {
			return status;
		}
		bus_cli_pause(AGAIN_MS);
	}
}

bus_status
bus_mover_seal(bus_mover *mover, bool sealed, bus_error *err)
{
	for (size_t i = 0; i < mover->topic_count; i++) {
		bus_status status =
			seal_one(mover, mover->from, mover->topics[i].name, sealed, err);
		if (status != BUS_OK) {
			return status;
		}
	}
	return BUS_OK;
}

static bus_status
ensure(bus_mover *mover, const bus_topic_info *topic, bus_error *err)
{
	const bus_topic_spec spec = {
		.name = topic->name,
		.partitions = topic->partitions,
		.replication =
			mover->replication > 0 ? mover->replication : topic->replication,
		.retention_ms = topic->retention_ms,
		.retention_bytes = topic->retention_bytes,
		.min_isr = mover->min_isr > 0 ? mover->min_isr : topic->min_isr,
	};
	int64_t since_ms = bus_clock_mono_ms(mover->clock);
	for (;;) {
		bus_topic_info info;
		bool made = false;
		bus_status status =
			bus_adapter_topic_ensure(mover->to, &spec, BUSP_MOVER_ANSWER_MS,
						 &info, &made, err);
		if (status == BUS_E_RETRY) {
			status = busp_mover_again(mover, since_ms, err);
			if (status == BUS_OK) {
				continue;
			}
		}
		return status;
	}
}

static bus_status
put_filler(bus_mover *mover, const bus_mover_part *part, bus_error *err)
{
	int64_t since_ms = bus_clock_mono_ms(mover->clock);
	for (;;) {
		bus_publication filler = {
			.topic = part->topic->name,
			.partition = part->partition,
			.record = bus_filler(),
		};
		bus_status status = bus_adapter_publish(mover->from, &filler, 1,
							BUSP_MOVER_ANSWER_MS, err);
		if (status == BUS_E_RETRY || status == BUS_E_UNKNOWN) {
			/* one filler more does not matter */
			status = busp_mover_again(mover, since_ms, err);
			if (status == BUS_OK) {
				continue;
			}
		}
		return status;
	}
}

/* A filler that is put into the old side must not appear on the new one: the same broker, under
 * two names, would be sealed and moved to itself. */
static bus_status
tell_apart(bus_mover *mover, bus_error *err)
{
	const bus_mover_part *part = &mover->parts[0];
	int64_t end = 0;
	bus_status status = put_filler(mover, part, err);
	if (status == BUS_OK) {
		status = busp_mover_offset(mover, mover->to, part, BUS_OFFSET_LATEST,
					   &end, err);
	}
	if (status == BUS_OK && end != part->next) {
		status =
			bus_error_set(err, BUS_E_REJECT, "mover", 0,
				      "both are the same broker, or somebody writes to %s "
				      "on the new one",
				      part->topic->name);
	}
	return status;
}

bus_status
bus_mover_prepare(bus_mover *mover, bus_error *err)
{
	if (mover->part_count == 0) {
		return BUS_OK;
	}
	for (size_t i = 0; i < mover->topic_count; i++) {
		bus_status status = ensure(mover, &mover->topics[i], err);
		if (status == BUS_OK) {
			status = seal_one(mover, mover->to, mover->topics[i].name, false,
					  err);
		}
		if (status != BUS_OK) {
			return status;
		}
	}
	/* sealed by a run that was killed: producers have waited long enough */
	bus_status status = bus_mover_seal(mover, false, err);
	return status == BUS_OK ? tell_apart(mover, err) : status;
}
