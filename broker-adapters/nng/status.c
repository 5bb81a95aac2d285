/*
 * status.c - a running broker's topics and groups, as an operator asks for them
 */
#include <stdio.h>
#include <stdlib.h>

#include "broker-adapters/broker.h"
#include "broker-adapters/nng/client.h"

/* What an entry takes at least, in the lists below. */
#define TOPIC_BYTES_MIN 22u
#define LOG_BYTES 32u
#define GROUP_BYTES_MIN 20u
#define MEMBER_BYTES_MIN 14u
#define CURSOR_BYTES 28u

typedef struct busp_asking {
	busp_client *client;
	int timeout_ms;
	bus_arena *arena;
	bus_broker_status *status;
	bus_buf frame;
	size_t capacity; /* of the list that is growing */
	bus_buf after;   /* where the last page ended */
	bus_error *err;
} busp_asking;

static void
busp_ask_begin(busp_asking *asking, busp_op op)
{
	bus_buf_clear(&asking->frame);
	busp_client_request(asking->client, &asking->frame, op);
}

/* Sends the frame and hands the answer to `take`; FATAL if that leaves anything. */
static bus_status
busp_ask(busp_asking *asking, busp_op op, void (*take)(busp_asking *, busp_reader *))
{
	nng_msg *answer = NULL;
	busp_reader reader;
	bus_status status =
		busp_client_ask(asking->client, &asking->frame, op, asking->timeout_ms,
				&answer, &reader, asking->err);
	if (status != BUS_OK) {
		return status;
	}
	take(asking, &reader);
	bool whole = busp_reader_done(&reader);
	nng_msg_free(answer);
	if (!whole) {
		return bus_error_set(asking->err, BUS_E_FATAL, BUSP_ORIGIN,
				     BUSP_MALFORMED,
				     "the broker's answer breaks the protocol");
	}
	return BUS_OK;
}

static void
busp_take_info(busp_asking *asking, busp_reader *reader)
{
	bus_broker_status *status = asking->status;
	bus_str uuid = busp_get_bytes(reader, 16);
	char *to = status->uuid;
	for (size_t i = 0; i < uuid.len; i++) {
		bool dash = i == 4 || i == 6 || i == 8 || i == 10;
		to += sprintf(to, "%s%02x", dash ? "-" : "", (uint8_t)uuid.data[i]);
	}
	status->started_s = busp_get_u32(reader);
	busp_get_u32(reader); /* the largest record */
	status->version = bus_arena_str(asking->arena, busp_get_text(reader, UINT8_MAX));
}

/* ---- topics ---- */

static void
busp_take_topics(busp_asking *asking, busp_reader *reader)
{
	bus_broker_status *status = asking->status;
	uint32_t count = busp_get_count(reader, TOPIC_BYTES_MIN);
	for (uint32_t i = 0; i < count; i++) {
		bus_broker_topic topic = { 0 };
		busp_get_topic(reader, &topic.info);
		status->topics = busp_adapter_grow(status->topics, status->topic_count,
						   &asking->capacity, sizeof(topic));
		status->topics[status->topic_count++] = topic;
		bus_buf_clear(&asking->after);
		bus_buf_cstr(&asking->after, topic.info.name);
	}
	if (busp_get_u8(reader) == 0 || count == 0) {
		bus_buf_clear(&asking->after);
	}
}

static void
busp_take_logs(busp_asking *asking, busp_reader *reader)
{
	bus_broker_topic *topic = &asking->status->topics[asking->capacity];
	topic->sealed = busp_get_u8(reader) != 0;
	uint32_t count = busp_get_count(reader, LOG_BYTES);
	topic->info.partitions = (int32_t)count;
	topic->logs = bus_arena_alloc(asking->arena, count * sizeof(*topic->logs));
	for (uint32_t i = 0; i < count; i++) {
		topic->logs[i].start = (int64_t)busp_get_u64(reader);
		topic->logs[i].end = (int64_t)busp_get_u64(reader);
		topic->logs[i].bytes = (int64_t)busp_get_u64(reader);
		topic->logs[i].damaged_at = (int64_t)busp_get_u64(reader);
	}
}

/* A list that grew on the heap goes to the arena. */
static void *
busp_into_arena(bus_arena *arena, void *list, size_t count, size_t bytes)
{
	void *copy = bus_arena_alloc(arena, count * bytes);
	if (count > 0) {
		memcpy(copy, list, count * bytes);
	}
	free(list);
	return copy;
}

static bus_status
busp_ask_topics(busp_asking *asking)
{
	bus_broker_status *answer = asking->status;
	bus_status status;
	asking->capacity = 0;
	do {
		busp_ask_begin(asking, BUSP_OP_TOPIC_LIST);
		busp_put_text(&asking->frame, BUS_STR(""));
		busp_put_text(&asking->frame, bus_buf_view(&asking->after));
		status = busp_ask(asking, BUSP_OP_TOPIC_LIST, busp_take_topics);
	} while (status == BUS_OK && asking->after.len > 0);
	answer->topics = busp_into_arena(asking->arena, answer->topics,
					 answer->topic_count, sizeof(*answer->topics));
	for (size_t i = 0; i < answer->topic_count && status == BUS_OK; i++) {
		asking->capacity = i; /* which one it is about */
		busp_ask_begin(asking, BUSP_OP_LOGS);
		busp_put_text(&asking->frame, bus_str_from(answer->topics[i].info.name));
		status = busp_ask(asking, BUSP_OP_LOGS, busp_take_logs);
	}
	return status;
}

/* ---- groups ---- */

static bus_broker_member
busp_get_member(busp_reader *reader, bus_arena *arena)
{
	bus_broker_member member = { .id = busp_get_u64(reader) };
	member.client = bus_arena_str(arena, busp_get_text(reader, BUSP_CLIENT_NAME_MAX));
	member.partition_count = busp_get_count(reader, sizeof(int32_t));
	member.partitions =
		bus_arena_alloc(arena, member.partition_count * sizeof(int32_t));
	for (size_t i = 0; i < member.partition_count; i++) {
		member.partitions[i] = (int32_t)busp_get_u32(reader);
	}
	return member;
}

static bus_broker_group
busp_get_group(busp_reader *reader, bus_arena *arena)
{
	bus_broker_group group = { 0 };
	group.name = bus_arena_str(arena, busp_get_text(reader, BUSP_GROUP_NAME_MAX));
	group.topic = bus_arena_str(arena, busp_get_text(reader, BUS_TOPIC_NAME_MAX - 1));
	group.generation = busp_get_u64(reader);
	group.member_count = busp_get_count(reader, MEMBER_BYTES_MIN);
	group.members =
		bus_arena_alloc(arena, group.member_count * sizeof(*group.members));
	for (size_t i = 0; i < group.member_count; i++) {
		group.members[i] = busp_get_member(reader, arena);
	}
	group.cursor_count = busp_get_count(reader, CURSOR_BYTES);
	group.cursors =
		bus_arena_alloc(arena, group.cursor_count * sizeof(*group.cursors));
	for (size_t i = 0; i < group.cursor_count; i++) {
		group.cursors[i].partition = (int32_t)busp_get_u32(reader);
		group.cursors[i].offset = (int64_t)busp_get_u64(reader);
		group.cursors[i].end = (int64_t)busp_get_u64(reader);
		group.cursors[i].noted_ms = (int64_t)busp_get_u64(reader);
	}
	return group;
}

static void
busp_take_groups(busp_asking *asking, busp_reader *reader)
{
	bus_broker_status *status = asking->status;
	uint32_t count = busp_get_count(reader, GROUP_BYTES_MIN);
	for (uint32_t i = 0; i < count; i++) {
		bus_broker_group group = busp_get_group(reader, asking->arena);
		status->groups = busp_adapter_grow(status->groups, status->group_count,
						   &asking->capacity, sizeof(group));
		status->groups[status->group_count++] = group;
		bus_buf_clear(&asking->after);
		bus_buf_str(&asking->after, group.name);
		bus_buf_byte(&asking->after, 0);
		bus_buf_str(&asking->after, group.topic);
	}
	if (busp_get_u8(reader) == 0 || count == 0) {
		bus_buf_clear(&asking->after);
	}
}

static bus_status
busp_ask_groups(busp_asking *asking)
{
	bus_broker_status *answer = asking->status;
	bus_status status;
	asking->capacity = 0;
	do {
		busp_ask_begin(asking, BUSP_OP_GROUPS);
		busp_put_text(&asking->frame, bus_buf_view(&asking->after));
		status = busp_ask(asking, BUSP_OP_GROUPS, busp_take_groups);
	} while (status == BUS_OK && asking->after.len > 0);
	answer->groups = busp_into_arena(asking->arena, answer->groups,
					 answer->group_count, sizeof(*answer->groups));
	return status;
}

bus_status
bus_broker_status_read(const bus_adapter_options *options, int timeout_ms,
		       bus_arena *arena, bus_broker_status *ret_status, bus_error *err)
{
	bus_broker_status answer = { 0 };
	busp_asking asking = {
		.timeout_ms = timeout_ms,
		.arena = arena,
		.status = &answer,
		.err = err,
	};
	bus_status status = busp_client_open(options, &asking.client, err);
	if (status != BUS_OK) {
		return status;
	}
	busp_ask_begin(&asking, BUSP_OP_INFO);
	status = busp_ask(&asking, BUSP_OP_INFO, busp_take_info);
	if (status == BUS_OK) {
		status = busp_ask_topics(&asking);
	}
	if (status == BUS_OK) {
		status = busp_ask_groups(&asking);
	}
	busp_client_free(asking.client);
	bus_buf_fini(&asking.frame);
	bus_buf_fini(&asking.after);
	if (status == BUS_OK) {
		*ret_status = answer;
	}
	return status;
}
