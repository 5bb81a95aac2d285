/*
 * fault.c - an adapter around an adapter that does what brokers do on a bad day
 *
 * fault+<inner url>?<fault>=<probability>[&...][&seed=<number>], for tests of those who
 * call adapters. Which fault comes when follows from the seed and the calls alone.
 *
 * DESIGN
 * Nothing here breaks the contract; it shows the caller every corner of it. Order per
 * partition is kept: behind an event that is not in the log no later one of its partition
 * and call is, repeats come in order, deliveries are held back and mixed between
 * partitions only.
 */
#include "broker-adapters/fault/fault.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/partition.h"

#define BUSP_URL_PREFIX "fault+"

/* ---- chance ---- */

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014 */
static uint64_t
busp_random(busp_fault *self)
{
	uint64_t z = self->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

bool
busp_fault_strikes(busp_fault *self, busp_fault_kind kind)
{
	return (double)(busp_random(self) >> 11) * 0x1p-53 < self->probability[kind];
}

size_t
busp_fault_below(busp_fault *self, size_t limit)
{
	return (size_t)(busp_random(self) % limit);
}

/* ---- the URL ---- */

static const struct {
	const char *name;
	busp_fault_kind kind;
} busp_fault_names[] = {
	{ "drop", BUSP_FAULT_DROP },           { "fail", BUSP_FAULT_FAIL },
	{ "uncertain", BUSP_FAULT_UNCERTAIN }, { "duplicate", BUSP_FAULT_DUPLICATE },
	{ "delay", BUSP_FAULT_DELAY },         { "lost", BUSP_FAULT_LOST },
};

static bus_status
busp_fault_parse_one(busp_fault *self, const char *name, const char *value, bus_error *err)
{
	char *end = NULL;

	if (strcmp(name, "seed") == 0) {
		self->state = strtoull(value, &end, 10);
		if (value[0] != '\0' && *end == '\0') {
			return BUS_OK;
		}
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "seed \"%.60s\" is not a number", value);
	}
	for (size_t i = 0; i < sizeof(busp_fault_names) / sizeof(busp_fault_names[0]);
	     i++) {
		if (strcmp(name, busp_fault_names[i].name) == 0) {
			double probability = strtod(value, &end);

			if (value[0] == '\0' || *end != '\0' ||
			    !(probability >= 0 && probability <= 1)) {
				return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
						     "%s \"%.60s\" is not between 0 and 1",
						     name, value);
			}
			self->probability[busp_fault_names[i].kind] = probability;
			return BUS_OK;
		}
	}
	return bus_error_set(
		err, BUS_E_FATAL, BUSP_ORIGIN, 0,
		"no fault \"%.60s\" (there are drop, fail, uncertain, duplicate, "
		"delay, lost, and seed)",
		name);
}

/* Takes "<fault>=<probability>&..." apart in place. */
static bus_status
busp_fault_parse(busp_fault *self, char *faults, bus_error *err)
{
	char *rest = faults;
	char *pair;
	bus_status status = BUS_OK;

	while (status == BUS_OK && (pair = strsep(&rest, "&")) != NULL) {
		char *value = strchr(pair, '=');

		if (value == NULL) {
			return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
					     "\"%.60s\" is not fault=probability", pair);
		}
		*value = '\0';
		status = busp_fault_parse_one(self, pair, value + 1, err);
	}
	return status;
}

static bus_status
busp_fault_open(const bus_adapter_options *options, bus_adapter **ret_adapter,
		bus_error *err)
{
	busp_fault *self = busp_adapter_alloc(1, sizeof(*self));
	bool named = strncmp(options->url, BUSP_URL_PREFIX, strlen(BUSP_URL_PREFIX)) == 0;
	char *url =
		busp_adapter_copy(options->url + (named ? strlen(BUSP_URL_PREFIX) : 0));
	char *faults = strchr(url, '?');
	bus_adapter_options inner = *options;
	bus_status status = BUS_OK;

	self->base.ops = &busp_fault_ops;
	self->arena = bus_arena_create(64 * 1024);
	inner.url = url;
	if (faults != NULL) {
		*faults = '\0';
		status = busp_fault_parse(self, faults + 1, err);
	}
	if (status == BUS_OK && !named) {
		status =
			bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				      "broker URL \"%.200s\" is not fault+<url>?<faults>",
				      options->url);
	}
	if (status == BUS_OK) {
		status = bus_adapter_open(&inner, &self->inner, err);
	}
	free(url);
	if (status != BUS_OK) {
		bus_arena_destroy(self->arena);
		free(self);
		return status;
	}
	*ret_adapter = &self->base;
	return BUS_OK;
}

static void
busp_fault_close(bus_adapter *adapter)
{
	busp_fault *self = busp_fault_of(adapter);

	bus_adapter_close(self->inner);
	bus_arena_destroy(self->arena);
	free(self->left);
	free(self->assigned);
	free(self->topic);
	free(self);
}

/* ---- questions: lost on the way, or passed on ---- */

static bool
busp_fault_drops(busp_fault *self, const char *what, bus_error *err)
{
	if (!busp_fault_strikes(self, BUSP_FAULT_DROP)) {
		return false;
	}
	(void)bus_error_set(err, BUS_E_RETRY, BUSP_ORIGIN, 0, "%s: dropped", what);
	return true;
}

static bus_status
busp_fault_topic_ensure(bus_adapter *adapter, const bus_topic_spec *spec, int timeout_ms,
			bus_topic_info *ret_info, bool *ret_made, bus_error *err)
{
	busp_fault *self = busp_fault_of(adapter);

	return busp_fault_drops(self, "topic_ensure", err) ?
		       BUS_E_RETRY :
		       bus_adapter_topic_ensure(self->inner, spec, timeout_ms, ret_info,
						ret_made, err);
}

static bus_status
busp_fault_topic_list(bus_adapter *adapter, const char *prefix, int timeout_ms,
		      bus_arena *arena, bus_topic_info **ret_topics, size_t *ret_count,
		      bus_error *err)
{
	busp_fault *self = busp_fault_of(adapter);

	return busp_fault_drops(self, "topic_list", err) ?
		       BUS_E_RETRY :
		       bus_adapter_topic_list(self->inner, prefix, timeout_ms, arena,
					      ret_topics, ret_count, err);
}

static bus_status
busp_fault_partitions(bus_adapter *adapter, const char *topic, int timeout_ms,
		      int32_t *ret_count, bus_error *err)
{
	busp_fault *self = busp_fault_of(adapter);

	return busp_fault_drops(self, "partitions", err) ?
		       BUS_E_RETRY :
		       bus_adapter_partitions(self->inner, topic, timeout_ms, ret_count,
					      err);
}

static bus_status
busp_fault_offset(bus_adapter *adapter, const char *topic, int32_t partition,
		  bus_offset_at at, int64_t time_ms, int timeout_ms, int64_t *ret_offset,
		  bus_error *err)
{
	busp_fault *self = busp_fault_of(adapter);

	return busp_fault_drops(self, "offset", err) ?
		       BUS_E_RETRY :
		       bus_adapter_offset(self->inner, topic, partition, at, time_ms,
					  timeout_ms, ret_offset, err);
}

static bus_status
busp_fault_trim(bus_adapter *adapter, const char *topic, int32_t partition,
		int64_t new_start, int timeout_ms, bus_error *err)
{
	busp_fault *self = busp_fault_of(adapter);

	return busp_fault_drops(self, "trim", err) ?
		       BUS_E_RETRY :
		       bus_adapter_trim(self->inner, topic, partition, new_start,
					timeout_ms, err);
}

static bus_status
busp_fault_seal(bus_adapter *adapter, const char *topic, bool sealed, int timeout_ms,
		bus_error *err)
{
	busp_fault *self = busp_fault_of(adapter);

	return busp_fault_drops(self, "seal", err) ?
		       BUS_E_RETRY :
		       bus_adapter_seal(self->inner, topic, sealed, timeout_ms, err);
}

static void
busp_fault_note(bus_adapter *adapter, const bus_position *positions, size_t count)
{
	bus_adapter_note(busp_fault_of(adapter)->inner, positions, count);
}

const bus_adapter_ops busp_fault_ops = {
	.scheme = "fault",
	.open = busp_fault_open,
	.close = busp_fault_close,
	.topic_ensure = busp_fault_topic_ensure,
	.topic_list = busp_fault_topic_list,
	.partitions = busp_fault_partitions,
	.publish = busp_fault_publish,
	.join = busp_fault_join,
	.leave = busp_fault_leave,
	.start = busp_fault_start,
	.stop = busp_fault_stop,
	.poll = busp_fault_poll,
	.offset = busp_fault_offset,
	.trim = busp_fault_trim,
	.seal = busp_fault_seal,
	.note = busp_fault_note,
};
