/*
 * server_write.c - APPEND and NOTE: what all clients sent becomes one commit
 *
 * DESIGN
 * Appends are carried out in the order they came, each whole or not at all: everything in
 * it is looked at before the first record goes to the journal. Answers wait until the
 * commit returned, also those that repeat what the open transaction has just remembered.
 * An append whose predecessor is missing waits for it; when the predecessor is refused, it
 * is refused too, so that a producer's records never lie in another order than its own.
 */
#include <stdlib.h>

#include "broker-adapters/nng/server.h"
#include "core/log.h"

/* text topic, i32 partition, and what a batch has besides its records */
#define PART_BYTES_MIN 14u

/* One batch of an append. */
typedef struct busp_part {
	busp_log *log;
	busp_batch batch;
} busp_part;

/* ---- looking at what came ---- */

static bool
busp_note_valid(const busp_request *request)
{
	busp_reader reader = request->body;
	bus_str group = busp_get_text(&reader, BUSP_GROUP_NAME_MAX);
	uint32_t count = busp_get_count(&reader, PART_BYTES_MIN);
	for (uint32_t i = 0; i < count; i++) {
		busp_get_text(&reader, BUS_TOPIC_NAME_MAX - 1);
		busp_get_u32(&reader);
		busp_get_u64(&reader);
	}
	return busp_reader_done(&reader) && busp_group_name_valid(group);
}

void
busp_write_take(busp_server *server, busp_request *request)
{
	if (request->op == BUSP_OP_NOTE) {
		if (!busp_note_valid(request)) {
			busp_answer_refuse(request, BUSP_MALFORMED,
					   "a note is a group and places in logs");
			return;
		}
		request->due_ms = request->arrived_ms + BUSP_NOTE_MS_MAX;
		busp_list_add(&server->notes, request);
		return;
	}
	request->producer = busp_get_u64(&request->body);
	request->seq = busp_get_u64(&request->body);
	if (request->body.bad) {
		busp_answer_refuse(request, BUSP_MALFORMED,
				   "an append begins with producer and sequence");
		return;
	}
	if (request->seq == 0) {
		busp_answer_refuse(request, BUSP_INVALID, "sequences begin with 1");
		return;
	}
	request->due_ms = request->arrived_ms + BUSP_AHEAD_MS_MAX;
	busp_list_add(&server->appends, request);
}

/* DONE, or why this part cannot be appended; then the request has been answered. */
static bool
busp_part_read(busp_server *server, busp_request *request, busp_reader *reader,
	       busp_part *ret_part)
{
	bus_str name = busp_get_text(reader, BUS_TOPIC_NAME_MAX - 1);
	int32_t partition = (int32_t)busp_get_u32(reader);
	busp_batch batch = busp_get_batch(reader);
	if (reader->bad) {
		busp_answer_refuse(request, BUSP_MALFORMED,
				   "an append whose lengths do not add up");
		return false;
	}
	const busp_topic *topic = busp_journal_topic(server->journal, name);
	busp_log *log = topic != NULL ? busp_journal_log(topic, partition) : NULL;
	if (log == NULL) {
		busp_answer_refuse(request,
				   topic != NULL ? BUSP_NO_PARTITION : BUSP_NO_TOPIC,
				   "%.*s[%d]", BUS_STR_ARG(name), partition);
		return false;
	}
	if (topic->sealed) {
		busp_answer_refuse(request, BUSP_SEALED, "%s", topic->info.name);
		return false;
	}
	uint32_t wrong = busp_batch_verify(&batch);
	if (wrong < batch.count) {
		bool large = busp_batch_length(&batch, wrong) > BUSP_RECORD_BYTES_MAX;
		busp_answer_refuse(
			request, large ? BUSP_TOO_LARGE : BUSP_MALFORMED,
			large ? "record %u for %s[%d] is over %u bytes" :
				"record %u for %s[%d] does not have its checksum "
				"or form (at most %u bytes)",
			wrong, topic->info.name, partition, BUSP_RECORD_BYTES_MAX);
		return false;
	}
	if (log->end > BUSP_OFFSET_MAX - (int64_t)BUSP_FRAME_BYTES_MAX) {
		busp_answer_refuse(request, BUSP_INVALID, "%s[%d] holds all it ever can",
				   topic->info.name, partition);
		return false;
	}
	*ret_part = (busp_part){ .log = log, .batch = batch };
	return true;
}

/* The parts, new, or NULL: the request has been answered. */
static busp_part *
busp_parts_read(busp_server *server, busp_request *request, uint32_t *ret_count)
{
	busp_reader reader = request->body;
	uint32_t count = busp_get_count(&reader, PART_BYTES_MIN);
	if (reader.bad) {
		busp_answer_refuse(request, BUSP_MALFORMED, "an append without its count");
		return NULL;
	}
	if (count == 0 || count > BUSP_APPEND_BATCHES_MAX) {
		busp_answer_refuse(request, BUSP_INVALID, "%u batches, must be 1 to %u",
				   count, BUSP_APPEND_BATCHES_MAX);
		return NULL;
	}
	busp_part *parts = busp_adapter_alloc(count, sizeof(*parts));
	for (uint32_t i = 0; i < count; i++) {
		if (!busp_part_read(server, request, &reader, &parts[i])) {
			free(parts);
			return NULL;
		}
	}
	if (!busp_reader_done(&reader)) {
		busp_answer_refuse(request, BUSP_MALFORMED, "more than was announced");
		free(parts);
		return NULL;
	}
	*ret_count = count;
	return parts;
}

/* ---- into the transaction ---- */

/* This one did not happen: those behind it must not. */
static void
busp_write_failed(busp_server *server, uint64_t producer, uint64_t seq)
{
	server->failed =
		busp_adapter_grow(server->failed, server->failed_count,
				  &server->failed_capacity, sizeof(*server->failed));
	server->failed[server->failed_count++] =
		(busp_failed){ .producer = producer, .seq = seq };
}

static void
busp_write_append(busp_server *server, busp_request *request)
{
	uint64_t producer = request->producer;
	uint64_t seq = request->seq;
	uint32_t count;
	busp_part *parts = busp_parts_read(server, request, &count);
	if (parts == NULL) {
		busp_write_failed(server, producer, seq);
		return;
	}
	bus_buf *answer = &request->answer;
	bus_buf_be32(answer, count);
	for (uint32_t i = 0; i < count; i++) {
		int64_t base;
		int64_t timestamp_ms;
		busp_journal_append(server->journal, parts[i].log, &parts[i].batch, &base,
				    &timestamp_ms);
		bus_buf_be64(answer, (uint64_t)base);
		bus_buf_be64(answer, (uint64_t)timestamp_ms);
		server->touched =
			busp_adapter_grow(server->touched, server->touched_count,
					  &server->touched_capacity, sizeof(busp_log *));
		server->touched[server->touched_count++] = parts[i].log;
	}
	free(parts);
	busp_journal_producer_done(server->journal, producer, seq, bus_buf_view(answer));
	server->commit_bytes += request->bytes;
	busp_list_add(&server->commits, request);
}

/* False: it waits for its predecessor. The request is in no list. */
static bool
busp_write_try(busp_server *server, busp_request *request)
{
	bus_str said;
	switch (busp_journal_producer(server->journal, request->producer, request->seq,
				      &said)) {
	case BUSP_PRODUCER_NEXT:
		busp_write_append(server, request);
		return true;
	case BUSP_PRODUCER_KNOWN:
		bus_buf_str(&request->answer, said);
		busp_list_add(&server->commits, request);
		return true;
	case BUSP_PRODUCER_AHEAD:
		return false;
	case BUSP_PRODUCER_FORGOTTEN:
		busp_answer_refuse(request, BUSP_FORGOTTEN,
				   "number %llu of this producer is not remembered",
				   (unsigned long long)request->seq);
		return true;
	}
	abort();
}

/* Those that waited for one that is in the transaction now. */
static void
busp_write_followers(busp_server *server)
{
	bool moved = true;
	while (moved) {
		moved = false;
		busp_request *next;
		busp_request *request = server->ahead.first;
		for (; request != NULL; request = next) {
			next = request->next;
			bus_str said;
			if (busp_journal_producer(server->journal, request->producer,
						  request->seq,
						  &said) != BUSP_PRODUCER_AHEAD) {
				busp_list_remove(request);
				busp_write_try(server, request);
				moved = true;
			}
		}
	}
}

static void
busp_write_appends(busp_server *server)
{
	while (server->appends.first != NULL &&
	       server->commit_bytes < BUSP_COMMIT_BYTES_MAX) {
		busp_request *request = server->appends.first;
		busp_list_remove(request);
		if (!busp_write_try(server, request)) {
			busp_list_add(&server->ahead, request);
		}
	}
	busp_write_followers(server);
}

static void
busp_write_note(busp_server *server, busp_request *request)
{
	busp_reader reader = request->body;
	bus_str group = busp_get_text(&reader, BUSP_GROUP_NAME_MAX);
	uint32_t count = busp_get_count(&reader, PART_BYTES_MIN);
	for (uint32_t i = 0; i < count; i++) {
		bus_str name = busp_get_text(&reader, BUS_TOPIC_NAME_MAX - 1);
		int32_t partition = (int32_t)busp_get_u32(&reader);
		int64_t offset = (int64_t)busp_get_u64(&reader);
		const busp_topic *topic = busp_journal_topic(server->journal, name);
		const busp_log *log =
			topic != NULL ? busp_journal_log(topic, partition) : NULL;
		/* a hint for lag tools: one that says nothing is left out */
		if (log != NULL && offset >= 0 && offset <= BUSP_OFFSET_MAX) {
			busp_journal_note(server->journal, group, log, offset);
		}
	}
	busp_list_remove(request);
	busp_list_add(&server->commits, request);
}

/* ---- what became of it ---- */

static void
busp_write_done(busp_server *server)
{
	while (server->commits.first != NULL) {
		busp_request *request = server->commits.first;
		bus_buf *frame = busp_answer_begin(request);
		bus_buf_str(frame, bus_buf_view(&request->answer));
		busp_answer_end(request);
	}
	for (size_t i = 0; i < server->touched_count; i++) {
		busp_read_wake(server, server->touched[i]);
	}
}

/* The transaction did not happen. What was remembered from earlier ones did. */
static void
busp_write_undone(busp_server *server, const bus_error *why)
{
	while (server->commits.first != NULL) {
		busp_request *request = server->commits.first;
		bus_str said;
		if (request->op == BUSP_OP_APPEND &&
		    busp_journal_producer(server->journal, request->producer,
					  request->seq, &said) == BUSP_PRODUCER_KNOWN) {
			bus_buf *frame = busp_answer_begin(request);
			bus_buf_str(frame, said);
			busp_answer_end(request);
			continue;
		}
		if (request->op == BUSP_OP_APPEND) {
			busp_write_failed(server, request->producer, request->seq);
		}
		busp_answer_refuse(request, BUSP_NO_SPACE, "%s", why->text);
	}
}

static void
busp_write_space(busp_server *server, bool full, const bus_error *why)
{
	if (full && !server->full) {
		bus_log_error(BUS_LOG_ERROR, "nothing is written, the disk is full", why);
	} else if (!full && server->full) {
		BUS_LOG(BUS_LOG_INFO, "there is space on the disk again");
	}
	server->full = full;
}

static void
busp_write_out_of_sequence(busp_request *request)
{
	busp_answer_refuse(request, BUSP_OUT_OF_SEQUENCE,
			   "the append before number %llu did not happen",
			   (unsigned long long)request->seq);
}

/* Refuses who waits for one that failed, or has waited for too long. */
static void
busp_write_hopeless(busp_server *server, int64_t now_ms)
{
	busp_request *next;
	for (busp_request *request = server->ahead.first; request != NULL;
	     request = next) {
		next = request->next;
		bool hopeless = request->due_ms <= now_ms;
		for (size_t i = 0; i < server->failed_count && !hopeless; i++) {
			hopeless = server->failed[i].producer == request->producer &&
				   server->failed[i].seq < request->seq;
		}
		if (hopeless) {
			busp_write_out_of_sequence(request);
		}
	}
	server->failed_count = 0;
}

bus_status
busp_write_commit(busp_server *server, int64_t now_ms, bus_error *err)
{
	bool notes_due =
		server->notes.first != NULL && server->notes.first->due_ms <= now_ms;
	if (server->appends.first == NULL && !notes_due) {
		busp_write_hopeless(server, now_ms);
		return BUS_OK;
	}
	busp_journal_begin(server->journal);
	server->touched_count = 0;
	server->commit_bytes = 0;
	busp_write_appends(server);
	bool write = server->touched_count > 0 || notes_due;
	while (write && server->notes.first != NULL) {
		busp_write_note(server, server->notes.first);
	}
	bus_error why = BUS_ERROR_INIT;
	bus_status status = BUS_OK;
	if (write) {
		status = busp_journal_commit(server->journal, &why);
		busp_write_space(server, status == BUS_E_RETRY, &why);
	} else {
		busp_journal_rollback(server->journal);
	}
	if (status == BUS_OK) {
		busp_write_done(server);
	} else if (status == BUS_E_RETRY) {
		busp_write_undone(server, &why);
	} else {
		*err = why;
		return BUS_E_FATAL;
	}
	busp_write_hopeless(server, now_ms);
	return BUS_OK;
}

int64_t
busp_write_due_ms(const busp_server *server)
{
	int64_t due = INT64_MAX;
	if (server->appends.first != NULL) {
		return 0;
	}
	if (server->notes.first != NULL) {
		due = server->notes.first->due_ms;
	}
	/* In the order they came, nearly: who waits a moment longer loses nothing. */
	if (server->ahead.first != NULL && server->ahead.first->due_ms < due) {
		due = server->ahead.first->due_ms;
	}
	return due;
}
