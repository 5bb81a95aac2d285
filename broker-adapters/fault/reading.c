/*
 * reading.c - polls that fail, are cut short, come mixed, and partitions that get lost
 */
#include <stdlib.h>

#include "broker-adapters/fault/fault.h"

/* ---- what is left of a batch ---- */

static bool
busp_same_partition(const bus_delivery *a, const char *topic, int32_t partition)
{
	return a->partition == partition && strcmp(a->topic, topic) == 0;
}

static bus_delivery
busp_copy(bus_arena *arena, const bus_delivery *from)
{
	bus_delivery copy = *from;
	bus_header *headers =
		bus_arena_alloc(arena, from->record.header_count * sizeof(*headers) + 1);

	copy.topic = bus_arena_str(arena, bus_str_from(from->topic)).data;
	copy.record.key = bus_arena_str(arena, from->record.key);
	copy.record.value = bus_arena_str(arena, from->record.value);
	for (size_t i = 0; i < from->record.header_count; i++) {
		headers[i].name = bus_arena_str(arena, from->record.headers[i].name);
		headers[i].value = bus_arena_str(arena, from->record.headers[i].value);
	}
	copy.record.headers = headers;
	return copy;
}

/* Partitions take turns by chance; within one, order stays. */
static void
busp_mix(busp_fault *self)
{
	for (size_t i = 0; i < self->left_count; i++) {
		const bus_delivery *chosen =
			&self->left[i + busp_fault_below(self, self->left_count - i)];
		size_t first = i;

		while (!busp_same_partition(&self->left[first], chosen->topic,
					    chosen->partition)) {
			first++;
		}
		bus_delivery next = self->left[first];

		memmove(&self->left[i + 1], &self->left[i], (first - i) * sizeof(next));
		self->left[i] = next;
	}
}

static void
busp_keep(busp_fault *self, const bus_poll *poll)
{
	bus_arena_reset(self->arena);
	self->left_at = 0;
	self->left_count = 0;
	for (size_t i = 0; i < poll->count; i++) {
		self->left = busp_adapter_grow(self->left, self->left_count,
					       &self->left_capacity, sizeof(*self->left));
		self->left[self->left_count++] =
			busp_copy(self->arena, &poll->deliveries[i]);
	}
	busp_mix(self);
}

/* Hands out a part of what is left, perhaps nothing, within the limits. */
static void
busp_hand_out(busp_fault *self, const bus_poll_limit *limit, bus_poll *ret_poll)
{
	size_t most = busp_fault_below(self, self->left_count - self->left_at + 1);
	size_t first = self->left_at;
	size_t bytes = 0;

	while (self->left_at < first + most && self->left_at - first < limit->events_max) {
		bytes += bus_record_bytes(&self->left[self->left_at].record);
		if (self->left_at > first && bytes > limit->bytes_max) {
			break;
		}
		self->left_at++;
	}
	*ret_poll = (bus_poll){ .kind = BUS_POLL_DELIVERIES,
				.deliveries = self->left + first,
				.count = self->left_at - first };
}

static void
busp_drop_left(busp_fault *self)
{
	self->left_at = 0;
	self->left_count = 0;
}

/* ---- membership ---- */

bus_status
busp_fault_join(bus_adapter *adapter, const char *group, const char *topic, bus_error *err)
{
	busp_fault *self = busp_fault_of(adapter);
	bus_status status = bus_adapter_join(self->inner, group, topic, err);

	if (status == BUS_OK) {
		free(self->topic);
		self->topic = busp_adapter_copy(topic);
		self->assigned_count = 0;
		self->loss = BUSP_LOSS_NONE;
	}
	return status;
}

void
busp_fault_leave(bus_adapter *adapter)
{
	busp_fault *self = busp_fault_of(adapter);

	if (self->topic != NULL) {
		busp_drop_left(self);
		self->assigned_count = 0;
		self->loss = BUSP_LOSS_NONE;
	}
	bus_adapter_leave(self->inner);
	free(self->topic);
	self->topic = NULL;
}

bus_status
busp_fault_start(bus_adapter *adapter, const bus_position *positions, size_t count,
		 bus_error *err)
{
	busp_fault *self = busp_fault_of(adapter);
	size_t kept = self->left_at;

	if (self->loss != BUSP_LOSS_NONE) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "start %s: not assigned, all was lost",
				     count > 0 ? positions[0].topic : "");
	}
	bus_status status = bus_adapter_start(self->inner, positions, count, err);

	for (size_t i = self->left_at; i < self->left_count && status == BUS_OK; i++) {
		size_t p = 0;

		while (p < count &&
		       !busp_same_partition(&self->left[i], positions[p].topic,
					    positions[p].partition)) {
			p++;
		}
		if (p == count) {
			self->left[kept++] = self->left[i];
		}
	}
	if (status == BUS_OK) {
		self->left_count = kept;
	}
	return status;
}

void
busp_fault_stop(bus_adapter *adapter)
{
	busp_fault *self = busp_fault_of(adapter);

	busp_drop_left(self);
	bus_adapter_stop(self->inner);
	if (self->loss == BUSP_LOSS_TOLD) {
		self->loss = BUSP_LOSS_STOPPED;
	}
}

/* ---- poll ---- */

static void
busp_remember(busp_fault *self, const bus_poll *poll)
{
	if (poll->kind == BUS_POLL_ASSIGNED) {
		free(self->assigned);
		self->assigned = busp_adapter_alloc(poll->partition_count,
						    sizeof(*self->assigned));
		self->assigned_count = poll->partition_count;
		for (size_t i = 0; i < poll->partition_count; i++) {
			self->assigned[i] = poll->partitions[i];
			self->assigned[i].topic = self->topic;
		}
	} else if (poll->kind == BUS_POLL_REVOKED || poll->kind == BUS_POLL_LOST) {
		self->assigned_count = 0;
	}
}

/* What an artificial loss has to say now, if anything. */
static bool
busp_tell_loss(busp_fault *self, bus_poll *ret_poll)
{
	*ret_poll = (bus_poll){ .kind = BUS_POLL_DELIVERIES };
	switch (self->loss) {
	case BUSP_LOSS_TOLD:
		return true;
	case BUSP_LOSS_STOPPED:
		self->loss = BUSP_LOSS_NONE;
		ret_poll->kind = BUS_POLL_ASSIGNED;
		break;
	case BUSP_LOSS_NONE:
		if (self->assigned_count == 0 ||
		    !busp_fault_strikes(self, BUSP_FAULT_LOST)) {
			return false;
		}
		self->loss = BUSP_LOSS_TOLD;
		busp_drop_left(self);
		ret_poll->kind = BUS_POLL_LOST;
		break;
	}
	ret_poll->partitions = self->assigned;
	ret_poll->partition_count = self->assigned_count;
	return true;
}

bus_status
busp_fault_poll(bus_adapter *adapter, const bus_poll_limit *limit, bus_poll *ret_poll,
		bus_error *err)
{
	busp_fault *self = busp_fault_of(adapter);

	if (busp_fault_strikes(self, BUSP_FAULT_DROP)) {
		return bus_error_set(err, BUS_E_RETRY, BUSP_ORIGIN, 0, "poll: dropped");
	}
	if (busp_tell_loss(self, ret_poll)) {
		return BUS_OK;
	}
	if (self->left_at < self->left_count) {
		busp_hand_out(self, limit, ret_poll);
		return BUS_OK;
	}
	bus_status status = bus_adapter_poll(self->inner, limit, ret_poll, err);

	if (status != BUS_OK) {
		return status;
	}
	busp_remember(self, ret_poll);
	if (ret_poll->kind == BUS_POLL_DELIVERIES && ret_poll->count > 0 &&
	    busp_fault_strikes(self, BUSP_FAULT_DELAY)) {
		busp_keep(self, ret_poll);
		busp_hand_out(self, limit, ret_poll);
	}
	return BUS_OK;
}
