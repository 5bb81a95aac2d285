/*
 * shared.c - what the adapters have in common
 */
#include "broker-adapters/shared.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static void *
busp_or_die(void *memory)
{
	if (memory == NULL) {
		fputs("busline: out of memory in a broker adapter\n", stderr);
		abort();
	}
	return memory;
}

void *
busp_adapter_alloc(size_t count, size_t bytes)
{
	return busp_or_die(calloc(count > 0 ? count : 1, bytes));
}

void *
busp_adapter_grow(void *array, size_t count, size_t *capacity, size_t bytes)
{
	if (count < *capacity) {
		return array;
	}
	*capacity = *capacity == 0 ? 16 : *capacity * 2;
	return busp_or_die(reallocarray(array, *capacity, bytes));
}

char *
busp_adapter_copy(const char *text)
{
	return busp_or_die(strdup(text));
}

static bool
busp_topic_name_valid(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < BUS_TOPIC_NAME_MAX && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "0123456789._-") == len;
}

bus_status
busp_topic_spec_check(const char *origin, const bus_topic_spec *spec, bus_error *err)
{
	if (!busp_topic_name_valid(spec->name)) {
		return bus_error_set(err, BUS_E_FATAL, origin, 0,
				     "topic \"%.300s\": a name has 1 to %d characters of "
				     "a-z A-Z 0-9 . _ - and is not . or ..",
				     spec->name, BUS_TOPIC_NAME_MAX - 1);
	}
	if (spec->partitions < 1 || spec->partitions > BUS_PARTITIONS_MAX) {
		return bus_error_set(err, BUS_E_FATAL, origin, 0,
				     "topic %s: %d partitions, must be 1 to %d",
				     spec->name, spec->partitions, BUS_PARTITIONS_MAX);
	}
	if (spec->replication < 1 || spec->min_isr < 1 ||
	    spec->min_isr > spec->replication) {
		return bus_error_set(err, BUS_E_FATAL, origin, 0,
				     "topic %s: %d in-sync of %d replicas can never be met",
				     spec->name, spec->min_isr, spec->replication);
	}
	if (spec->retention_ms < -1) {
		return bus_error_set(err, BUS_E_FATAL, origin, 0,
				     "topic %s: retention of %lld ms, must be -1 or more",
				     spec->name, (long long)spec->retention_ms);
	}
	if (spec->retention_bytes < 0) {
		return bus_error_set(err, BUS_E_FATAL, origin, 0,
				     "topic %s: retention of %lld bytes, must be 0 (no "
				     "limit) or more",
				     spec->name, (long long)spec->retention_bytes);
	}
	return BUS_OK;
}

bus_status
busp_position_check(const char *origin, const bus_position *position, bus_error *err)
{
	if (position->partition < 0 || position->partition >= BUS_PARTITIONS_MAX ||
	    position->offset < 0) {
		return bus_error_set(err, BUS_E_FATAL, origin, 0,
				     "start %s[%d] at %lld: no such place",
				     position->topic, position->partition,
				     (long long)position->offset);
	}
	return BUS_OK;
}

int
busp_remaining_ms(const bus_clock *clock, int64_t deadline_ms)
{
	int64_t left = deadline_ms - bus_clock_mono_ms(clock);

	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}
