/*
 * memory.c - a broker in the memory of the process: deterministic, for tests, the shortest
 * adapter to read
 *
 * DESIGN
 * The parts are in broker.h. With the machine's clock a poll waits for another thread's
 * adapter; with any other clock it returns at once, because time stands still while it
 * would wait. A member of a group lives as long as it polls.
 */
#include "broker-adapters/memory/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "broker-adapters/memory/broker.h"
#include "core/partition.h"

#define BUSP_SESSION_MS 6000

/* A partition that is being read. */
typedef struct busp_reading {
	busp_topic *topic;
	int32_t partition;
	int64_t offset; /* of the next record */
	bool held;      /* OUT_OF_RANGE was reported */
} busp_reading;

typedef struct busp_memory {
	bus_adapter base;
	const bus_clock *clock;
	int64_t session_ms;
	busp_broker *broker;
	busp_member member;
	busp_reading *readings;
	size_t reading_count;
	size_t reading_capacity;
	size_t turn; /* the reading whose turn it is to be first in a batch */
	bus_delivery *deliveries;
	size_t delivery_count;
	size_t delivery_capacity;
	size_t delivery_bytes;
	bus_position hold; /* what OUT_OF_RANGE points to */
} busp_memory;

static pthread_mutex_t busp_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t busp_changed = PTHREAD_COND_INITIALIZER;

static pthread_mutex_t *
busp_locked(void)
{
	pthread_mutex_lock(&busp_lock);
	return &busp_lock;
}

static void
busp_unlock(pthread_mutex_t **lock)
{
	pthread_mutex_unlock(*lock);
}

/* Holds the lock until the end of the scope. */
#define BUSP_LOCKED                                                                      \
	__attribute__((cleanup(busp_unlock), unused)) pthread_mutex_t *scope_lock =      \
		busp_locked()

static busp_memory *
busp_memory_of(bus_adapter *adapter)
{
	return (busp_memory *)adapter;
}

static bus_status
busp_memory_open(const bus_adapter_options *options, bus_adapter **ret_adapter,
		 bus_error *err)
{
	if (options->properties != NULL && options->properties[0] != '\0') {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "properties \"%.200s\": a broker in memory has none",
				     options->properties);
	}
	BUSP_LOCKED;
	busp_memory *self = busp_adapter_alloc(1, sizeof(*self));

	self->base.ops = &busp_memory_ops;
	self->clock = options->clock;
	self->session_ms =
		options->session_ms > 0 ? options->session_ms : BUSP_SESSION_MS;
	self->broker = busp_mem_broker_use(options->url);
	*ret_adapter = &self->base;
	return BUS_OK;
}

static void
busp_memory_leave(bus_adapter *adapter)
{
	BUSP_LOCKED;
	busp_memory *self = busp_memory_of(adapter);

	if (self->member.state != BUSP_OUT) {
		busp_mem_group_leave(&self->member);
		self->reading_count = 0;
		pthread_cond_broadcast(&busp_changed);
	}
}

static void
busp_memory_close(bus_adapter *adapter)
{
	busp_memory *self = busp_memory_of(adapter);

	busp_memory_leave(adapter);
	BUSP_LOCKED;
	busp_mem_broker_release(self->broker);
	free(self->readings);
	free(self->deliveries);
	free(self);
}

static bus_status
busp_memory_topic_ensure(bus_adapter *adapter, const bus_topic_spec *spec, int timeout_ms,
			 bus_topic_info *ret_info, bool *ret_made, bus_error *err)
{
	(void)timeout_ms;
	BUSP_LOCKED;
	busp_broker *broker = busp_memory_of(adapter)->broker;
	bus_status status = busp_topic_spec_check(BUSP_ORIGIN, spec, err);

	if (status != BUS_OK) {
		return status;
	}
	busp_topic *topic = busp_mem_topic_find(broker, spec->name);

	*ret_made = topic == NULL;
	if (topic == NULL) {
		topic = busp_mem_topic_make(broker, spec);
	}
	*ret_info = topic->info;
	return BUS_OK;
}

static bool
busp_listed(const busp_topic *topic, const char *prefix)
{
	return strncmp(topic->info.name, prefix, strlen(prefix)) == 0 &&
	       strncmp(topic->info.name, BUSP_INTERNAL_PREFIX,
		       strlen(BUSP_INTERNAL_PREFIX)) != 0;
}

static bus_status
busp_memory_topic_list(bus_adapter *adapter, const char *prefix, int timeout_ms,
		       bus_arena *arena, bus_topic_info **ret_topics, size_t *ret_count,
		       bus_error *err)
{
	(void)timeout_ms;
	(void)err;
	BUSP_LOCKED;
	const busp_topic *topics = busp_memory_of(adapter)->broker->topics;
	size_t count = 0;

	for (const busp_topic *topic = topics; topic != NULL; topic = topic->next) {
		count += busp_listed(topic, prefix) ? 1 : 0;
	}
	*ret_topics = bus_arena_alloc(arena, (count + 1) * sizeof(**ret_topics));
	*ret_count = 0;
	for (const busp_topic *topic = topics; topic != NULL; topic = topic->next) {
		if (busp_listed(topic, prefix)) {
			(*ret_topics)[(*ret_count)++] = topic->info;
		}
	}
	return BUS_OK;
}

static bus_status
busp_memory_partitions(bus_adapter *adapter, const char *topic_name, int timeout_ms,
		       int32_t *ret_count, bus_error *err)
{
	(void)timeout_ms;
	BUSP_LOCKED;
	const busp_topic *topic =
		busp_mem_topic_find(busp_memory_of(adapter)->broker, topic_name);

	if (topic == NULL) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0, "no topic %.300s",
				     topic_name);
	}
	*ret_count = topic->info.partitions;
	return BUS_OK;
}

static bus_status
busp_memory_append(busp_memory *self, bus_publication *publication, bus_error *err)
{
	const busp_topic *topic = busp_mem_topic_find(self->broker, publication->topic);
	int32_t partition = publication->partition;

	if (topic != NULL && partition == BUS_PARTITION_HOME) {
		partition = bus_partition_home(publication->record.key,
					       topic->info.partitions);
	}
	busp_log *log =
		busp_mem_log_find(self->broker, publication->topic, partition, err);

	if (log == NULL) {
		return BUS_E_FATAL;
	}
	if (bus_record_bytes(&publication->record) > BUSP_RECORD_BYTES_MAX) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "publish to %s: a record of %zu bytes, at most %u",
				     publication->topic,
				     bus_record_bytes(&publication->record),
				     BUSP_RECORD_BYTES_MAX);
	}
	if (topic->sealed) {
		return bus_error_set(err, BUS_E_RETRY, BUSP_ORIGIN, 0,
				     "publish to %s: the topic is sealed",
				     publication->topic);
	}
	publication->outcome = BUS_OUTCOME_DURABLE;
	publication->native_code = 0;
	publication->ret_partition = partition;
	publication->ret_offset =
		busp_mem_log_append(log, &publication->record,
				    publication->timestamp_ms > 0 ?
					    publication->timestamp_ms :
					    bus_clock_wall_us(self->clock) / 1000);
	return BUS_OK;
}

static bus_status
busp_memory_publish(bus_adapter *adapter, bus_publication *publications, size_t count,
		    int timeout_ms, bus_error *err)
{
	(void)timeout_ms;
	BUSP_LOCKED;
	busp_memory *self = busp_memory_of(adapter);
	bus_status worst = BUS_OK;

	for (size_t i = 0; i < count; i++) {
		bus_error mine = BUS_ERROR_INIT;
		bus_status status = busp_memory_append(self, &publications[i], &mine);

		if (status == BUS_OK) {
			continue;
		}
		publications[i].outcome = BUS_OUTCOME_FAILED;
		if (worst != BUS_E_FATAL && worst != status) {
			worst = status;
			if (err != NULL) {
				*err = mine;
			}
		}
	}
	pthread_cond_broadcast(&busp_changed);
	return worst;
}

static bus_status
busp_memory_join(bus_adapter *adapter, const char *group, const char *topic_name,
		 bus_error *err)
{
	BUSP_LOCKED;
	busp_memory *self = busp_memory_of(adapter);
	busp_topic *topic = busp_mem_topic_find(self->broker, topic_name);

	if (topic == NULL || self->member.state != BUSP_OUT || self->reading_count > 0) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "join %s for %.200s: %s", group, topic_name,
				     topic == NULL ? "no such topic" :
						     "is reading already");
	}
	self->member.session_ms = self->session_ms;
	busp_mem_group_join(busp_mem_group_use(self->broker, group, topic), &self->member,
			    bus_clock_mono_ms(self->clock));
	pthread_cond_broadcast(&busp_changed);
	return BUS_OK;
}

/* In a group only what is assigned may be read. */
static bool
busp_may_read(const busp_member *member, const bus_position *position)
{
	if (member->state == BUSP_OUT) {
		return true;
	}
	for (size_t i = 0; i < member->partition_count; i++) {
		if (member->partitions[i].partition == position->partition &&
		    strcmp(member->partitions[i].topic, position->topic) == 0) {
			return member->state == BUSP_HOLDING ||
			       member->state == BUSP_EVICTED;
		}
	}
	return false;
}

static busp_reading *
busp_reading_use(busp_memory *self, busp_topic *topic, int32_t partition)
{
	for (size_t i = 0; i < self->reading_count; i++) {
		if (self->readings[i].topic == topic &&
		    self->readings[i].partition == partition) {
			return &self->readings[i];
		}
	}
	self->readings =
		busp_adapter_grow(self->readings, self->reading_count,
				  &self->reading_capacity, sizeof(*self->readings));
	return &self->readings[self->reading_count++];
}

static bus_status
busp_memory_start(bus_adapter *adapter, const bus_position *positions, size_t count,
		  bus_error *err)
{
	BUSP_LOCKED;
	busp_memory *self = busp_memory_of(adapter);

	for (size_t i = 0; i < count; i++) {
		const bus_position *position = &positions[i];

		if (busp_position_check(BUSP_ORIGIN, position, err) != BUS_OK ||
		    busp_mem_log_find(self->broker, position->topic, position->partition,
				      err) == NULL) {
			return BUS_E_FATAL;
		}
		if (!busp_may_read(&self->member, position)) {
			return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
					     "start %s[%d]: not assigned",
					     position->topic, position->partition);
		}
	}
	for (size_t i = 0; i < count; i++) {
		busp_topic *topic = busp_mem_topic_find(self->broker, positions[i].topic);

		*busp_reading_use(self, topic, positions[i].partition) = (busp_reading){
			.topic = topic,
			.partition = positions[i].partition,
			.offset = positions[i].offset,
		};
	}
	return BUS_OK;
}

static void
busp_memory_stop(bus_adapter *adapter)
{
	BUSP_LOCKED;
	busp_memory *self = busp_memory_of(adapter);

	self->reading_count = 0;
	busp_mem_group_stopped(&self->member);
	pthread_cond_broadcast(&busp_changed);
}

/* Reports the first position that its log does not hold. */
static bool
busp_out_of_range(busp_memory *self, bus_poll *ret_poll)
{
	for (size_t i = 0; i < self->reading_count; i++) {
		busp_reading *reading = &self->readings[i];
		const busp_log *log = &reading->topic->logs[reading->partition];

		if (!reading->held && (reading->offset < (int64_t)log->start ||
				       reading->offset > (int64_t)log->count)) {
			reading->held = true;
			self->hold =
				(bus_position){ reading->topic->info.name,
						reading->partition, reading->offset };
			*ret_poll = (bus_poll){ .kind = BUS_POLL_OUT_OF_RANGE,
						.partitions = &self->hold,
						.partition_count = 1 };
			return true;
		}
	}
	return false;
}

/* Takes what fits of one partition; false once the batch is full. */
static bool
busp_take(busp_memory *self, busp_reading *reading, const bus_poll_limit *limit)
{
	const busp_log *log = &reading->topic->logs[reading->partition];

	while (!reading->held && reading->offset < (int64_t)log->count) {
		const busp_logged *logged = log->records[reading->offset];

		if (self->delivery_count >= limit->events_max ||
		    (self->delivery_count > 0 &&
		     self->delivery_bytes + logged->bytes > limit->bytes_max)) {
			return false;
		}
		self->deliveries =
			busp_adapter_grow(self->deliveries, self->delivery_count,
					  &self->delivery_capacity,
					  sizeof(*self->deliveries));
		self->deliveries[self->delivery_count++] = (bus_delivery){
			.topic = reading->topic->info.name,
			.partition = reading->partition,
			.offset = reading->offset++,
			.timestamp_ms = logged->timestamp_ms,
			.record = logged->record,
		};
		self->delivery_bytes += logged->bytes;
	}
	return true;
}

static void
busp_take_all(busp_memory *self, const bus_poll_limit *limit, bus_poll *ret_poll)
{
	size_t first = self->turn++;

	self->delivery_count = 0;
	self->delivery_bytes = 0;
	for (size_t i = 0; i < self->reading_count && self->member.state != BUSP_ASKED;
	     i++) {
		if (!busp_take(self, &self->readings[(first + i) % self->reading_count],
			       limit)) {
			break;
		}
	}
	*ret_poll = (bus_poll){ .kind = BUS_POLL_DELIVERIES,
				.deliveries = self->deliveries,
				.count = self->delivery_count };
}

/* Waits for a change of any broker; false when the deadline has passed. */
static bool
busp_wait(const busp_memory *self, int64_t deadline_ms)
{
	const struct timespec deadline = {
		.tv_sec = deadline_ms / 1000,
		.tv_nsec = deadline_ms % 1000 * 1000000,
	};

	return self->clock == bus_clock_system() &&
	       pthread_cond_clockwait(&busp_changed, &busp_lock, CLOCK_MONOTONIC,
				      &deadline) == 0;
}

static bus_status
busp_memory_poll(bus_adapter *adapter, const bus_poll_limit *limit, bus_poll *ret_poll,
		 bus_error *err)
{
	(void)err;
	BUSP_LOCKED;
	busp_memory *self = busp_memory_of(adapter);
	int64_t deadline_ms = bus_clock_mono_ms(self->clock) + limit->timeout_ms;

	do {
		if (busp_mem_group_event(&self->member, bus_clock_mono_ms(self->clock),
					 ret_poll) ||
		    busp_out_of_range(self, ret_poll)) {
			return BUS_OK;
		}
		busp_take_all(self, limit, ret_poll);
	} while (ret_poll->count == 0 && busp_wait(self, deadline_ms));
	return BUS_OK;
}

static int64_t
busp_offset_at_time(const busp_log *log, int64_t time_ms)
{
	size_t at = log->start;

	while (at < log->count && log->records[at]->timestamp_ms < time_ms) {
		at++;
	}
	return (int64_t)at;
}

static bus_status
busp_memory_offset(bus_adapter *adapter, const char *topic, int32_t partition,
		   bus_offset_at at, int64_t time_ms, int timeout_ms, int64_t *ret_offset,
		   bus_error *err)
{
	(void)timeout_ms;
	BUSP_LOCKED;
	const busp_log *log =
		busp_mem_log_find(busp_memory_of(adapter)->broker, topic, partition, err);

	if (log == NULL) {
		return BUS_E_FATAL;
	}
	switch (at) {
	case BUS_OFFSET_EARLIEST:
		*ret_offset = (int64_t)log->start;
		break;
	case BUS_OFFSET_LATEST:
		*ret_offset = (int64_t)log->count;
		break;
	case BUS_OFFSET_TIME:
		*ret_offset = busp_offset_at_time(log, time_ms);
		break;
	}
	return BUS_OK;
}

static bus_status
busp_log_trim(busp_broker *broker, const char *topic, int32_t partition,
	      int64_t new_start, bus_error *err)
{
	busp_log *log = busp_mem_log_find(broker, topic, partition, err);

	if (log == NULL) {
		return BUS_E_FATAL;
	}
	if (new_start < 0 || new_start > (int64_t)log->count) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "trim %s[%d] at %lld: it has %zu records", topic,
				     partition, (long long)new_start, log->count);
	}
	if ((size_t)new_start > log->start) {
		log->start = (size_t)new_start;
	}
	pthread_cond_broadcast(&busp_changed);
	return BUS_OK;
}

static bus_status
busp_memory_trim(bus_adapter *adapter, const char *topic, int32_t partition,
		 int64_t new_start, int timeout_ms, bus_error *err)
{
	(void)timeout_ms;
	BUSP_LOCKED;

	return busp_log_trim(busp_memory_of(adapter)->broker, topic, partition, new_start,
			     err);
}

static bus_status
busp_memory_seal(bus_adapter *adapter, const char *topic_name, bool sealed,
		 int timeout_ms, bus_error *err)
{
	(void)timeout_ms;
	BUSP_LOCKED;
	busp_topic *topic =
		busp_mem_topic_find(busp_memory_of(adapter)->broker, topic_name);

	if (topic == NULL) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0, "no topic %.300s",
				     topic_name);
	}
	topic->sealed = sealed;
	return BUS_OK;
}

/* There is no ecosystem to tell. */
static void
busp_memory_note(bus_adapter *adapter, const bus_position *positions, size_t count)
{
	(void)adapter;
	(void)positions;
	(void)count;
}

bus_status
bus_memory_trim(const char *url, const char *topic, int32_t partition, int64_t new_start,
		bus_error *err)
{
	BUSP_LOCKED;
	busp_broker *broker = busp_mem_broker_find(url);

	if (broker == NULL) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0, "no broker %s",
				     url);
	}
	return busp_log_trim(broker, topic, partition, new_start, err);
}

void
bus_memory_drop(const char *url)
{
	BUSP_LOCKED;
	busp_mem_broker_forget(url);
}

const bus_adapter_ops busp_memory_ops = {
	.scheme = "memory",
	.open = busp_memory_open,
	.close = busp_memory_close,
	.topic_ensure = busp_memory_topic_ensure,
	.topic_list = busp_memory_topic_list,
	.partitions = busp_memory_partitions,
	.publish = busp_memory_publish,
	.join = busp_memory_join,
	.leave = busp_memory_leave,
	.start = busp_memory_start,
	.stop = busp_memory_stop,
	.poll = busp_memory_poll,
	.offset = busp_memory_offset,
	.trim = busp_memory_trim,
	.seal = busp_memory_seal,
	.note = busp_memory_note,
};
