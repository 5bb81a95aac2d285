/*
 * server_admin.c - topics: made, listed, trimmed, sealed; and what is told about all of it
 *
 * Lists that may be long are given in pages: `after` is what the last one ended with.
 */
#include <stdlib.h>

#include "broker-adapters/nng/server.h"

/* A page ends past this: what one more entry may take still fits into a frame. */
#define PAGE_BYTES 1048576u

static void
busp_refuse_malformed(busp_request *request)
{
	busp_answer_refuse(request, BUSP_MALFORMED, "its lengths do not add up");
}

/* What a failed change of a topic means to its client; FATAL is handed on. */
static bus_status
busp_admin_failed(busp_request *request, bus_error *err)
{
	bus_status status = err->status;
	if (status == BUS_E_FATAL) {
		return status;
	}
	busp_answer_refuse(request, status == BUS_E_REJECT ? BUSP_INVALID : BUSP_NO_SPACE,
			   "%s", err->text);
	bus_error_reset(err);
	return BUS_OK;
}

static void
busp_admin_info(busp_server *server, busp_request *request)
{
	bus_buf *frame = busp_answer_begin(request);
	bus_buf_append(frame, busp_journal_uuid(server->journal), 16);
	bus_buf_be32(frame, server->boot);
	bus_buf_be32(frame, BUSP_RECORD_BYTES_MAX);
	busp_put_text(frame, BUS_STR(BUS_VERSION));
	busp_answer_end(request);
}

static bus_status
busp_admin_topic_ensure(busp_server *server, busp_request *request, bus_error *err)
{
	bus_topic_info info;
	busp_get_topic(&request->body, &info);
	if (!busp_reader_done(&request->body)) {
		busp_refuse_malformed(request);
		return BUS_OK;
	}
	const busp_topic *topic =
		busp_journal_topic(server->journal, bus_str_from(info.name));
	bool made = topic == NULL;
	if (made) {
		bus_topic_spec spec = {
			.name = info.name,
			.partitions = info.partitions,
			.replication = info.replication,
			.retention_ms = info.retention_ms,
			.retention_bytes = info.retention_bytes,
			.min_isr = info.min_isr,
		};
		if (busp_journal_topic_make(server->journal, &spec, &topic, err) !=
		    BUS_OK) {
			return busp_admin_failed(request, err);
		}
	}
	bus_buf *frame = busp_answer_begin(request);
	bus_buf_byte(frame, made);
	busp_put_topic(frame, &topic->info);
	busp_answer_end(request);
	return BUS_OK;
}

static void
busp_patch_be32(bus_buf *frame, size_t at, uint32_t value)
{
	for (size_t i = 0; i < 4; i++) {
		frame->data[at + i] = (char)(value >> (24 - 8 * i));
	}
}

static void
busp_admin_topic_list(busp_server *server, busp_request *request)
{
	bus_str prefix = busp_get_text(&request->body, BUS_TOPIC_NAME_MAX - 1);
	bus_str after = busp_get_text(&request->body, BUS_TOPIC_NAME_MAX - 1);
	if (!busp_reader_done(&request->body)) {
		busp_refuse_malformed(request);
		return;
	}
	bus_buf *frame = busp_answer_begin(request);
	size_t count_at = frame->len;
	uint32_t count = 0;
	bus_buf_be32(frame, 0);
	const busp_topic *topic =
		busp_journal_topic_after(server->journal, prefix, after);
	while (topic != NULL && frame->len < PAGE_BYTES) {
		busp_put_topic(frame, &topic->info);
		count++;
		topic = busp_journal_topic_after(server->journal, prefix,
						 bus_str_from(topic->info.name));
	}
	bus_buf_byte(frame, topic != NULL);
	busp_patch_be32(frame, count_at, count);
	busp_answer_end(request);
}

static void
busp_admin_logs(busp_server *server, busp_request *request)
{
	bus_str name = busp_get_text(&request->body, BUS_TOPIC_NAME_MAX - 1);
	if (!busp_reader_done(&request->body)) {
		busp_refuse_malformed(request);
		return;
	}
	const busp_topic *topic = busp_journal_topic(server->journal, name);
	if (topic == NULL) {
		busp_answer_refuse(request, BUSP_NO_TOPIC, "%.*s", BUS_STR_ARG(name));
		return;
	}
	bus_buf *frame = busp_answer_begin(request);
	bus_buf_byte(frame, topic->sealed);
	bus_buf_be32(frame, (uint32_t)topic->info.partitions);
	for (int32_t i = 0; i < topic->info.partitions; i++) {
		const busp_log *log = busp_journal_log(topic, i);
		bus_buf_be64(frame, (uint64_t)log->start);
		bus_buf_be64(frame, (uint64_t)log->end);
		bus_buf_be64(frame, (uint64_t)log->bytes);
		bus_buf_be64(frame, (uint64_t)log->damaged_at);
	}
	busp_answer_end(request);
}

static bus_status
busp_admin_trim(busp_server *server, busp_request *request, bus_error *err)
{
	bus_str name = busp_get_text(&request->body, BUS_TOPIC_NAME_MAX - 1);
	int32_t partition = (int32_t)busp_get_u32(&request->body);
	int64_t start = (int64_t)busp_get_u64(&request->body);
	if (!busp_reader_done(&request->body)) {
		busp_refuse_malformed(request);
		return BUS_OK;
	}
	const busp_topic *topic = busp_journal_topic(server->journal, name);
	busp_log *log = topic != NULL ? busp_journal_log(topic, partition) : NULL;
	if (log == NULL) {
		busp_answer_refuse(request,
				   topic != NULL ? BUSP_NO_PARTITION : BUSP_NO_TOPIC,
				   "%.*s[%d]", BUS_STR_ARG(name), partition);
		return BUS_OK;
	}
	if (start < 0 || start > log->end) {
		busp_answer_refuse(request, BUSP_INVALID,
				   "%s[%d] has no offset %lld, it ends at %lld",
				   topic->info.name, partition, (long long)start,
				   (long long)log->end);
		return BUS_OK;
	}
	if (start > log->start &&
	    busp_journal_trim(server->journal, log, start, err) != BUS_OK) {
		return busp_admin_failed(request, err);
	}
	busp_read_wake(server, log);
	busp_answer_begin(request);
	busp_answer_end(request);
	return BUS_OK;
}

static bus_status
busp_admin_seal(busp_server *server, busp_request *request, bus_error *err)
{
	bus_str name = busp_get_text(&request->body, BUS_TOPIC_NAME_MAX - 1);
	uint8_t sealed = busp_get_u8(&request->body);
	if (!busp_reader_done(&request->body) || sealed > 1) {
		busp_refuse_malformed(request);
		return BUS_OK;
	}
	const busp_topic *topic = busp_journal_topic(server->journal, name);
	if (topic == NULL) {
		busp_answer_refuse(request, BUSP_NO_TOPIC, "%.*s", BUS_STR_ARG(name));
		return BUS_OK;
	}
	if (busp_journal_seal(server->journal, topic, sealed != 0, err) != BUS_OK) {
		return busp_admin_failed(request, err);
	}
	busp_answer_begin(request);
	busp_answer_end(request);
	return BUS_OK;
}

/* ---- GROUPS ---- */

/* A member, or a cursor, of a group on a topic. */
typedef struct busp_reading {
	const char *group;
	const char *topic;
	uint64_t generation;
	uint64_t member;
	const char *client;
	const int32_t *partitions;
	size_t count;
	const busp_cursor *cursor; /* NULL: it is a member */
	size_t order;
} busp_reading;

typedef struct busp_readings {
	busp_reading *all;
	size_t count;
	size_t capacity;
} busp_readings;

static void
busp_reading_add(busp_readings *readings, const busp_reading *reading)
{
	readings->all = busp_adapter_grow(readings->all, readings->count,
					  &readings->capacity, sizeof(*reading));
	readings->all[readings->count] = *reading;
	readings->all[readings->count].order = readings->count;
	readings->count++;
}

static void
busp_reading_member(void *ctx, const char *group, const char *topic, uint64_t generation,
		    uint64_t member, const char *client, const int32_t *partitions,
		    size_t count)
{
	busp_reading_add(ctx, &(busp_reading){
				      .group = group,
				      .topic = topic,
				      .generation = generation,
				      .member = member,
				      .client = client,
				      .partitions = partitions,
				      .count = count,
			      });
}

static int
busp_reading_order(const void *a_ptr, const void *b_ptr)
{
	const busp_reading *a = a_ptr;
	const busp_reading *b = b_ptr;
	int order = strcmp(a->group, b->group);
	order = order != 0 ? order : strcmp(a->topic, b->topic);
	return order != 0 ? order : (a->order > b->order) - (a->order < b->order);
}

/* Is this group on this topic past the page before, which ended with "group NUL topic"? */
static bool
busp_reading_past(const busp_reading *reading, bus_str after)
{
	BUS_BUF_AUTO name = { 0 };
	bus_buf_cstr(&name, reading->group);
	bus_buf_byte(&name, 0);
	bus_buf_cstr(&name, reading->topic);
	size_t len = name.len < after.len ? name.len : after.len;
	int order = memcmp(name.data, after.len > 0 ? after.data : "", len);
	return order != 0 ? order > 0 : name.len > after.len;
}

static void
busp_put_member(bus_buf *frame, const busp_reading *reading)
{
	bus_buf_be64(frame, reading->member);
	busp_put_text(frame, bus_str_from(reading->client));
	bus_buf_be32(frame, (uint32_t)reading->count);
	for (size_t i = 0; i < reading->count; i++) {
		bus_buf_be32(frame, (uint32_t)reading->partitions[i]);
	}
}

static void
busp_put_cursor(bus_buf *frame, const busp_cursor *cursor)
{
	bus_buf_be32(frame, (uint32_t)cursor->log->partition);
	bus_buf_be64(frame, (uint64_t)cursor->offset);
	bus_buf_be64(frame, (uint64_t)cursor->log->end);
	bus_buf_be64(frame, (uint64_t)cursor->noted_ms);
}

/* One group on one topic: what lies from `first` up to the end that is returned. */
static size_t
busp_put_group(bus_buf *frame, const busp_readings *readings, size_t first)
{
	const busp_reading *all = readings->all;
	size_t end = first;
	uint32_t members = 0;
	uint64_t generation = 0;
	while (end < readings->count && strcmp(all[end].group, all[first].group) == 0 &&
	       strcmp(all[end].topic, all[first].topic) == 0) {
		members += all[end].cursor == NULL;
		generation = all[end].generation > generation ? all[end].generation :
								generation;
		end++;
	}
	busp_put_text(frame, bus_str_from(all[first].group));
	busp_put_text(frame, bus_str_from(all[first].topic));
	bus_buf_be64(frame, generation);
	bus_buf_be32(frame, members);
	for (size_t i = first; i < end; i++) {
		if (all[i].cursor == NULL) {
			busp_put_member(frame, &all[i]);
		}
	}
	bus_buf_be32(frame, (uint32_t)(end - first) - members);
	for (size_t i = first; i < end; i++) {
		if (all[i].cursor != NULL) {
			busp_put_cursor(frame, all[i].cursor);
		}
	}
	return end;
}

static bus_status
busp_readings_collect(busp_server *server, bus_arena *arena, busp_readings *readings,
		      bus_error *err)
{
	busp_cursor *cursors;
	size_t count;
	if (busp_journal_cursors(server->journal, arena, &cursors, &count, err) !=
	    BUS_OK) {
		return err->status;
	}
	busp_groups_each(server->groups, busp_reading_member, readings);
	for (size_t i = 0; i < count; i++) {
		busp_reading_add(readings,
				 &(busp_reading){
					 .group = cursors[i].group,
					 .topic = cursors[i].log->topic->info.name,
					 .cursor = &cursors[i],
				 });
	}
	if (readings->count > 0) {
		qsort(readings->all, readings->count, sizeof(*readings->all),
		      busp_reading_order);
	}
	return BUS_OK;
}

static bus_status
busp_admin_groups(busp_server *server, busp_request *request, bus_error *err)
{
	bus_str after = busp_get_text(&request->body, UINT16_MAX);
	if (!busp_reader_done(&request->body)) {
		busp_refuse_malformed(request);
		return BUS_OK;
	}
	bus_arena *arena = bus_arena_create(PAGE_BYTES);
	busp_readings readings = { 0 };
	bus_status status = busp_readings_collect(server, arena, &readings, err);
	if (status == BUS_OK) {
		bus_buf *frame = busp_answer_begin(request);
		size_t count_at = frame->len;
		size_t at = 0;
		uint32_t count = 0;
		bus_buf_be32(frame, 0);
		while (at < readings.count &&
		       !busp_reading_past(&readings.all[at], after)) {
			at++;
		}
		while (at < readings.count && frame->len < PAGE_BYTES) {
			at = busp_put_group(frame, &readings, at);
			count++;
		}
		bus_buf_byte(frame, at < readings.count);
		busp_patch_be32(frame, count_at, count);
		busp_answer_end(request);
	}
	free(readings.all);
	bus_arena_destroy(arena);
	return status;
}

bus_status
busp_admin_do(busp_server *server, busp_request *request, bus_error *err)
{
	switch (request->op) {
	case BUSP_OP_INFO:
		busp_admin_info(server, request);
		return BUS_OK;
	case BUSP_OP_TOPIC_ENSURE:
		return busp_admin_topic_ensure(server, request, err);
	case BUSP_OP_TOPIC_LIST:
		busp_admin_topic_list(server, request);
		return BUS_OK;
	case BUSP_OP_GROUPS:
		return busp_admin_groups(server, request, err);
	case BUSP_OP_TRIM:
		return busp_admin_trim(server, request, err);
	case BUSP_OP_SEAL:
		return busp_admin_seal(server, request, err);
	case BUSP_OP_LOGS:
		busp_admin_logs(server, request);
		return BUS_OK;
	case BUSP_OP_OFFSET:
	case BUSP_OP_APPEND:
	case BUSP_OP_FETCH:
	case BUSP_OP_GROUP:
	case BUSP_OP_NOTE:
	case BUSP_OP_COUNT:
		break;
	}
	abort();
}
