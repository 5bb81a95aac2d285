/*
 * server_read.c - FETCH and OFFSET: what is in the logs
 *
 * DESIGN
 * A FETCH is answered as soon as one of its partitions has records or a verdict; else it is
 * parked, and hangs on each of its logs until a commit wakes it or its wait ends. Which
 * partition is first goes round, and each gets a share of the bytes that are left, so that
 * a full partition never keeps the others out.
 */
#include <stdlib.h>

#include "broker-adapters/nng/server.h"
#include "core/log.h"

/* text topic, i32 partition, i64 offset */
#define WANT_BYTES_MIN 14u
/* u32 place, u8 verdict, u32 count or two i64 */
#define ENTRY_BYTES_MAX 21u

/* ---- who waits for a log ---- */

static void
busp_want_link(busp_want *want)
{
	busp_want *first = want->log->user;
	want->next = first;
	want->prev = NULL;
	if (first != NULL) {
		first->prev = want;
	}
	want->log->user = want;
}

static void
busp_want_unlink(busp_want *want)
{
	if (want->prev != NULL) {
		want->prev->next = want->next;
	} else {
		want->log->user = want->next;
	}
	if (want->next != NULL) {
		want->next->prev = want->prev;
	}
}

void
busp_read_forget(busp_request *request)
{
	if (request->parked) {
		for (uint32_t i = 0; i < request->want_count; i++) {
			if (request->wants[i].log != NULL) {
				busp_want_unlink(&request->wants[i]);
			}
		}
		request->server->want_count -= request->want_count;
		request->parked = false;
	}
	free(request->wants);
	request->wants = NULL;
	request->want_count = 0;
}

static void
busp_read_wait(busp_server *server, busp_request *request)
{
	busp_list_add(&server->fetches, request);
	if (request->due_ms < server->fetch_due_ms) {
		server->fetch_due_ms = request->due_ms;
	}
}

static void
busp_read_link(busp_server *server, busp_request *request)
{
	for (uint32_t i = 0; i < request->want_count; i++) {
		if (request->wants[i].log != NULL) {
			busp_want_link(&request->wants[i]);
		}
	}
	request->parked = true;
	server->want_count += request->want_count;
	busp_request_let_go(request);
}

static void
busp_read_park(busp_server *server, busp_request *request)
{
	busp_read_link(server, request);
	busp_read_wait(server, request);
	while (server->want_count > BUSP_FETCH_WANTS_MAX) {
		busp_read_release(server);
	}
}

void
busp_read_wake(busp_server *server, const busp_log *log)
{
	const busp_want *want = log->user;
	for (; want != NULL; want = want->next) {
		if (want->request->list == &server->fetches) {
			busp_list_remove(want->request);
			busp_list_add(&server->ready, want->request);
		}
	}
}

bool
busp_read_release(busp_server *server)
{
	busp_request *request = server->fetches.first;
	if (request == NULL) {
		return false;
	}
	bus_buf_be32(busp_answer_begin(request), 0);
	busp_answer_end(request);
	return true;
}

/* ---- answering ---- */

static bool
busp_want_ready(const busp_want *want)
{
	const busp_log *log = want->log;
	return log == NULL || want->offset != log->end || want->offset < log->start;
}

static uint32_t
busp_read_ready(const busp_request *request)
{
	uint32_t ready = 0;
	for (uint32_t i = 0; i < request->want_count; i++) {
		ready += busp_want_ready(&request->wants[i]);
	}
	return ready;
}

static void
busp_read_damage(busp_server *server, const busp_log *log)
{
	for (size_t i = 0; i < server->damaged_count; i++) {
		if (server->damaged[i] == log->number) {
			return;
		}
	}
	server->damaged =
		busp_adapter_grow(server->damaged, server->damaged_count,
				  &server->damaged_capacity, sizeof(*server->damaged));
	server->damaged[server->damaged_count++] = log->number;
	BUS_LOG(BUS_LOG_ERROR,
		"a record cannot be read; it and what follows is not served",
		BUS_LOG_S("topic", bus_str_from(log->topic->info.name)),
		BUS_LOG_I("partition", log->partition),
		BUS_LOG_I("offset", log->damaged_at));
}

/* As many of the slices as fit; how many those are, and their bytes. */
static uint32_t
busp_slices_fitting(bus_str slices, size_t room, size_t *ret_bytes)
{
	busp_reader reader = { .rest = slices };
	uint32_t count = 0;
	*ret_bytes = 0;
	while (reader.rest.len > 0) {
		busp_get_slice(&reader);
		size_t bytes = slices.len - reader.rest.len;
		if (reader.bad || bytes > room) {
			break;
		}
		*ret_bytes = bytes;
		count++;
	}
	return count;
}

static void
busp_put_entry(bus_buf *frame, const busp_want *want, busp_fetch_verdict verdict)
{
	bus_buf_be32(frame, want->place);
	bus_buf_byte(frame, (uint8_t)verdict);
}

/* Adds what there is to say of one partition; *ret_bytes: of records. True if it did. */
static bool
busp_read_want(busp_server *server, const busp_want *want, size_t bytes_max,
	       bus_buf *frame, size_t *ret_bytes, bus_error *err)
{
	busp_log *log = want->log;
	busp_read read = BUSP_READ_OK;
	int64_t next;
	*ret_bytes = 0;
	if (log == NULL) {
		busp_put_entry(frame, want, BUSP_FETCH_NO_LOG);
		return true;
	}
	bus_buf_clear(&server->slices);
	if (busp_journal_read(server->journal, log, want->offset, bytes_max,
			      &server->slices, &next, &read, err) != BUS_OK) {
		return false;
	}
	if (read == BUSP_READ_OUT_OF_RANGE) {
		busp_put_entry(frame, want, BUSP_FETCH_OUT_OF_RANGE);
		bus_buf_be64(frame, (uint64_t)log->start);
		bus_buf_be64(frame, (uint64_t)log->end);
		return true;
	}
	if (read == BUSP_READ_DAMAGED) {
		busp_read_damage(server, log);
		busp_put_entry(frame, want, BUSP_FETCH_DAMAGED);
		bus_buf_be64(frame, (uint64_t)next);
		return true;
	}
	size_t room = BUSP_FRAME_BYTES_MAX - BUSP_FRAME_RESERVE - frame->len;
	uint32_t count =
		busp_slices_fitting(bus_buf_view(&server->slices), room, ret_bytes);
	if (count == 0) {
		return false;
	}
	busp_put_entry(frame, want, BUSP_FETCH_SLICES);
	bus_buf_be32(frame, count);
	bus_buf_append(frame, server->slices.data, *ret_bytes);
	return true;
}

/* Nothing to say gives an empty list. */
static bus_status
busp_read_answer(busp_server *server, busp_request *request, uint32_t ready,
		 bus_error *err)
{
	bus_buf *frame = busp_answer_begin(request);
	size_t count_at = frame->len;
	size_t left = request->most_bytes;
	if (left > BUSP_FETCH_BYTES_FEW && busp_answers_many(server)) {
		left = BUSP_FETCH_BYTES_FEW;
	}
	uint32_t entries = 0;
	bus_buf_be32(frame, 0);
	server->turn++;
	for (uint32_t i = 0; i < request->want_count && ready > 0 && left > 0; i++) {
		const busp_want *want =
			&request->wants[(server->turn + i) % request->want_count];
		if (!busp_want_ready(want)) {
			continue;
		}
		size_t share = left / ready;
		size_t bytes;
		ready--;
		if (frame->len + ENTRY_BYTES_MAX + BUSP_FRAME_RESERVE >
		    BUSP_FRAME_BYTES_MAX) {
			break;
		}
		entries += busp_read_want(server, want, share > 0 ? share : 1, frame,
					  &bytes, err);
		if (err->status != BUS_OK) {
			return err->status;
		}
		left -= bytes < left ? bytes : left;
	}
	for (int i = 0; i < 4; i++) {
		frame->data[count_at + (size_t)i] = (char)(entries >> (24 - 8 * i));
	}
	server->read_bytes += frame->len;
	busp_answer_end(request);
	return BUS_OK;
}

/* ---- FETCH ---- */

/* The wants, new, or NULL: the request has been refused. */
static busp_want *
busp_wants_read(busp_server *server, busp_request *request, uint32_t *ret_count)
{
	busp_reader *reader = &request->body;
	uint32_t count = busp_get_count(reader, WANT_BYTES_MIN);
	if (!reader->bad && (count == 0 || count > BUSP_FETCH_PARTITIONS_MAX)) {
		busp_answer_refuse(request, BUSP_INVALID,
				   "%u partitions, must be 1 to %u", count,
				   BUSP_FETCH_PARTITIONS_MAX);
		return NULL;
	}
	busp_want *wants = busp_adapter_alloc(count, sizeof(*wants));
	for (uint32_t i = 0; i < count; i++) {
		bus_str name = busp_get_text(reader, BUS_TOPIC_NAME_MAX - 1);
		int32_t partition = (int32_t)busp_get_u32(reader);
		const busp_topic *topic = busp_journal_topic(server->journal, name);
		wants[i] = (busp_want){
			.request = request,
			.log = topic != NULL ? busp_journal_log(topic, partition) : NULL,
			.offset = (int64_t)busp_get_u64(reader),
			.place = i,
		};
	}
	if (!busp_reader_done(reader)) {
		free(wants);
		busp_answer_refuse(request, BUSP_MALFORMED,
				   "a fetch whose lengths do not add up");
		return NULL;
	}
	*ret_count = count;
	return wants;
}

bus_status
busp_read_fetch(busp_server *server, busp_request *request, bus_error *err)
{
	uint32_t wait_ms = busp_get_u32(&request->body);
	uint32_t most = busp_get_u32(&request->body);
	uint32_t count;
	busp_want *wants = busp_wants_read(server, request, &count);
	if (wants == NULL) {
		return BUS_OK;
	}
	request->wants = wants;
	request->want_count = count;
	request->most_bytes = most < 1                 ? 1 :
			      most > BUSP_FRAME_BODIES ? BUSP_FRAME_BODIES :
							 most;
	request->due_ms = request->arrived_ms +
			  (wait_ms < BUSP_WAIT_MS_MAX ? wait_ms : BUSP_WAIT_MS_MAX);
	uint32_t ready = busp_read_ready(request);
	/* this round has answered enough, or others have waited since an earlier one */
	bool later = (server->read_bytes >= BUSP_READ_BYTES_MAX ||
		      server->ready.first != NULL) &&
		     server->want_count < BUSP_FETCH_WANTS_MAX;
	if (ready > 0 && later) {
		busp_read_link(server, request);
		busp_list_add(&server->ready, request);
	} else if (ready > 0 || wait_ms == 0) {
		return busp_read_answer(server, request, ready, err);
	} else {
		busp_read_park(server, request);
	}
	return BUS_OK;
}

/* Those whose wait is over, and when the next one's is. */
static void
busp_read_due(busp_server *server, int64_t now_ms)
{
	busp_request *next;
	if (now_ms < server->fetch_due_ms) {
		return;
	}
	server->fetch_due_ms = INT64_MAX;
	for (busp_request *request = server->fetches.first; request != NULL;
	     request = next) {
		next = request->next;
		if (request->due_ms <= now_ms) {
			bus_buf_be32(busp_answer_begin(request), 0);
			busp_answer_end(request);
		} else if (request->due_ms < server->fetch_due_ms) {
			server->fetch_due_ms = request->due_ms;
		}
	}
}

bus_status
busp_read_round(busp_server *server, int64_t now_ms, bus_error *err)
{
	while (server->ready.first != NULL && server->read_bytes < BUSP_READ_BYTES_MAX) {
		busp_request *request = server->ready.first;
		uint32_t ready = busp_read_ready(request);
		busp_list_remove(request);
		if (ready == 0) {
			busp_read_wait(server, request);
		} else if (busp_read_answer(server, request, ready, err) != BUS_OK) {
			return err->status;
		}
	}
	server->read_bytes = 0;
	busp_read_due(server, now_ms);
	return BUS_OK;
}

/* ---- OFFSET ---- */

bus_status
busp_read_offset(busp_server *server, busp_request *request, bus_error *err)
{
	busp_reader *reader = &request->body;
	bus_str name = busp_get_text(reader, BUS_TOPIC_NAME_MAX - 1);
	int32_t partition = (int32_t)busp_get_u32(reader);
	uint8_t at = busp_get_u8(reader);
	int64_t time_ms = (int64_t)busp_get_u64(reader);
	if (!busp_reader_done(reader) || at > BUS_OFFSET_TIME) {
		busp_answer_refuse(request, BUSP_MALFORMED,
				   "not a question for an offset");
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
	int64_t offset = at == BUS_OFFSET_EARLIEST ? log->start : log->end;
	if (at == BUS_OFFSET_TIME && busp_journal_offset_at(server->journal, log, time_ms,
							    &offset, err) != BUS_OK) {
		return err->status;
	}
	bus_buf_be64(busp_answer_begin(request), (uint64_t)offset);
	busp_answer_end(request);
	return BUS_OK;
}
