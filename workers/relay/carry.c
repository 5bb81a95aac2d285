/*
 * carry.c - batches of the outbox: read, send, settle
 *
 * DESIGN
 * While one batch is published, the next is read behind it, as if all of the first were
 * durable already. It is sent only when that has turned out true of every stream; else it
 * is dropped and read again, so that the topics never see a row before the one in front.
 *
 * Rows of a stream are published in their order and count as published up to the first
 * that is not durable; that one and all after it are sent again, and workers recognise by
 * their ids those that were in the topic already. A stream that fails is held: it is left
 * out of reading until its back-off ends, and then only its first row is sent until that
 * one arrives, so that a row nobody will ever take costs one attempt now and then, and the
 * rows behind it are not sent over and over.
 */
#include "workers/relay/relay.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/crash.h"
#include "core/log.h"

#define HOLD_BASE_MS 100
/* An operator who has removed the cause waits no longer than this. */
#define HOLD_CAP_MS 10000

/* Where the stream is in the sorted array, or belongs. */
static size_t
place_of(const busp_relay *relay, int32_t stream)
{
	size_t low = 0, high = relay->stream_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (relay->streams[middle].stream < stream) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

/* The stream of a row just read; one seen for the first time starts before that row. */
static bus_status
stream_of(busp_relay *relay, const bus_outbox_row *row, busp_relay_stream **ret_stream,
	  bus_error *err)
{
	size_t place = place_of(relay, row->stream);
	if (place < relay->stream_count && relay->streams[place].stream == row->stream) {
		*ret_stream = &relay->streams[place];
		return BUS_OK;
	}
	if (relay->stream_count == relay->stream_room) {
		size_t room = relay->stream_room == 0 ? 64 : relay->stream_room * 2;
		busp_relay_stream *grown =
			reallocarray(relay->streams, room, sizeof(*grown));
		if (grown == NULL) {
			return bus_error_set(err, BUS_E_FATAL, "relay", 0,
					     "out of memory for %zu streams", room);
		}
		relay->streams = grown;
		relay->stream_room = room;
	}
	memmove(&relay->streams[place + 1], &relay->streams[place],
		(relay->stream_count - place) * sizeof(*relay->streams));
	relay->stream_count++;
	relay->streams[place] = (busp_relay_stream){
		.stream = row->stream,
		.published_seq = row->seq - 1,
		.sent_seq = row->seq - 1,
		.marked_seq = row->seq - 1,
		.backoff = { .base_ms = HOLD_BASE_MS,
			     .cap_ms = HOLD_CAP_MS,
			     .attempt = 1,
			     .seed = (uint64_t)row->stream + 1 },
	};
	*ret_stream = &relay->streams[place];
	return BUS_OK;
}

int64_t
busp_relay_due_ms(const busp_relay *relay)
{
	int64_t due_ms = INT64_MAX;
	for (size_t i = 0; i < relay->stream_count; i++) {
		const busp_relay_stream *stream = &relay->streams[i];
		if (stream->held && stream->due_ms < due_ms) {
			due_ms = stream->due_ms;
		}
	}
	return due_ms;
}

void
busp_relay_hurry(busp_relay *relay)
{
	for (size_t i = 0; i < relay->stream_count; i++) {
		relay->streams[i].due_ms = busp_relay_now(relay);
		relay->streams[i].backoff.attempt = 1;
	}
}

static void
hold(busp_relay *relay, busp_relay_stream *stream)
{
	stream->held = true;
	stream->due_ms = busp_relay_now(relay) + bus_backoff_next_ms(&stream->backoff);
}

static void
go_on(busp_relay *relay, busp_relay_stream *stream)
{
	if (stream->held) {
		relay->drained = false; /* the rows behind it were left out of reading */
	}
	if (stream->reported) {
		BUS_LOG(BUS_LOG_INFO, "outbox stream goes on",
			BUS_LOG_I("stream", stream->stream),
			BUS_LOG_I("seq", stream->published_seq));
	}
	stream->held = false;
	stream->reported = false;
	stream->backoff.attempt = 1;
}

static void
report(busp_relay_stream *stream, const bus_outbox_row *row, const bus_error *err)
{
	if (stream->reported) {
		return;
	}
	stream->reported = true;
	BUS_LOG(BUS_LOG_WARN, "outbox row not published, its stream is held",
		BUS_LOG_I("stream", row->stream), BUS_LOG_I("seq", row->seq),
		BUS_LOG_S("topic", row->topic),
		BUS_LOG_S("status", bus_str_from(bus_status_name(err->status))),
		BUS_LOG_I("native_code", err->native_code),
		BUS_LOG_S("cause", bus_str_from(err->text)));
}

/* ---- reading ---- */

/* Where each stream is read on; a held one is left out while it waits or is tried. */
static bus_outbox_cursor *
cursors_of(const busp_relay *relay, bus_arena *arena)
{
	int64_t now_ms = busp_relay_now(relay);
	bus_outbox_cursor *cursors =
		bus_arena_alloc(arena, (relay->stream_count + 1) * sizeof(*cursors));
	for (size_t i = 0; i < relay->stream_count; i++) {
		const busp_relay_stream *stream = &relay->streams[i];
		bool tried = stream->sent_seq > stream->published_seq;
		bool left_out = stream->held && (tried || stream->due_ms > now_ms);
		cursors[i] = (bus_outbox_cursor){
			.stream = stream->stream,
			.seq = left_out ? INT64_MAX : stream->sent_seq,
		};
	}
	return cursors;
}

bus_status
busp_relay_read(busp_relay *relay, bus_error *err)
{
	busp_batch *batch = &relay->next;
	if (batch->row_count > 0) {
		return BUS_OK;
	}
	bus_arena_reset(batch->arena);
	const bus_outbox_cursor *cursors = cursors_of(relay, batch->arena);
	bus_outbox_row *rows = NULL;
	size_t count = 0;
	const bus_outbox_range range = {
		.shards = busp_relay_ours(relay),
		.cursors = cursors,
		.cursor_count = relay->stream_count,
		.rows_max = relay->batch_rows,
	};
	bus_status status = bus_store_outbox_read(relay->store, &range, batch->arena,
						  &rows, &count, err);
	if (status == BUS_OK) {
		batch->rows = rows;
		batch->row_count = count;
		relay->drained = count == 0;
	}
	return status;
}

void
busp_relay_drop(busp_relay *relay)
{
	relay->next.row_count = 0;
	relay->drained = false;
}

/*
 * Which rows are sent now: all of a stream that flows, the first of one that is held. That
 * no number is missing between the rows is the store's promise.
 */
static bus_status
choose(busp_relay *relay, busp_batch *batch, bus_error *err)
{
	batch->parcels =
		bus_arena_alloc(batch->arena, batch->row_count * sizeof(*batch->parcels));
	batch->parcel_count = 0;
	busp_relay_stream *stream = NULL;
	for (size_t i = 0; i < batch->row_count; i++) {
		const bus_outbox_row *row = &batch->rows[i];
		bool first = i == 0 || row[-1].stream != row->stream;
		if (first) {
			bus_status status = stream_of(relay, row, &stream, err);
			if (status != BUS_OK) {
				return status;
			}
		}
		if (first || !stream->held) {
			assert(row->seq == stream->sent_seq + 1);
			stream->sent_seq = row->seq;
			batch->parcels[batch->parcel_count++] =
				(busp_parcel){ .row = row, .first = first };
		}
	}
	return BUS_OK;
}

/* ---- publishing ---- */

static int
publish_ms(const busp_relay *relay)
{
	return (int)(relay->lease_ms / BUSP_RELAY_LEASE_PARTS);
}

static void
address(busp_batch *batch)
{
	batch->publications =
		bus_arena_alloc(batch->arena,
				batch->parcel_count * sizeof(*batch->publications));
	bus_str topic = BUS_STR_NULL; /* rows of one topic come in runs */
	for (size_t i = 0; i < batch->parcel_count; i++) {
		const bus_outbox_row *row = batch->parcels[i].row;
		if (!bus_str_eq(topic, row->topic)) {
			topic = bus_arena_str(batch->arena, row->topic);
		}
		batch->publications[i] = (bus_publication){
			.topic = topic.data,
			.partition = BUS_PARTITION_HOME,
			.record = row->record,
		};
	}
}

bus_status
busp_relay_send(busp_relay *relay, bus_error *err)
{
	busp_batch batch = relay->next;
	if (batch.row_count == 0) {
		return BUS_OK;
	}
	bus_status status = choose(relay, &batch, err);
	if (status != BUS_OK) {
		return status;
	}
	address(&batch);
	relay->next = relay->sent;
	relay->next.row_count = 0;
	relay->sent = batch;
	busp_publisher_give(&relay->publisher, batch.publications, batch.parcel_count,
			    publish_ms(relay));
	return BUS_OK;
}

static void
count_published(busp_relay *relay, busp_relay_stream *stream, const bus_outbox_row *last)
{
	if (relay->unmarked == 0) {
		relay->unmarked_ms = busp_relay_now(relay);
	}
	relay->unmarked += (size_t)(last->seq - stream->published_seq);
	stream->published_seq = last->seq;
}

/* Opens the incident of a row that will not get further by itself, or counts it again. */
static bus_status
open_incident(busp_relay *relay, const bus_outbox_row *row, const bus_error *cause,
	      bus_error *err)
{
	bus_incident incident = {
		.kind = "relay-refused",
		.topic = bus_arena_str(relay->arena, row->topic).data,
		.partition = BUS_PARTITION_HOME,
		.offset = row->seq,
		.detail = bus_arena_printf(
			relay->arena,
			"the broker refuses outbox row %d/%" PRId64
			" (stream/seq) for topic %.*s: %s; the rows behind it wait until "
			"the broker takes it",
			row->stream, row->seq, BUS_STR_ARG(row->topic), cause->text),
	};
	return bus_store_incident(relay->store, &incident, err);
}

/* The row alone: the answer of a whole batch does not say whose fault it was. */
static bus_status
send_alone(busp_relay *relay, busp_relay_stream *stream, const bus_outbox_row *row,
	   bus_publication *publication, bus_error *err)
{
	bus_error cause = BUS_ERROR_INIT;
	publication->outcome = BUS_OUTCOME_NONE;
	busp_publisher_give(&relay->publisher, publication, 1, publish_ms(relay));
	bus_status status = busp_publisher_take(&relay->publisher, &cause);
	if (status == BUS_OK) {
		count_published(relay, stream, row);
		go_on(relay, stream);
		return BUS_OK;
	}
	report(stream, row, &cause);
	return status == BUS_E_FATAL ? open_incident(relay, row, &cause, err) : BUS_OK;
}

/* The rows of one stream that are not durable: hold it, and find out why. What was read behind
 * them waits until they are there. */
static bus_status
settle_failed(busp_relay *relay, busp_relay_stream *stream, const bus_outbox_row *row,
	      bus_publication *publication, const bus_error *cause, bus_error *err)
{
	busp_relay_drop(relay);
	hold(relay, stream);
	if (cause->status == BUS_E_FATAL &&
	    busp_relay_now(relay) < relay->alone_until_ms) {
		return send_alone(relay, stream, row, publication, err);
	}
	report(stream, row, cause);
	return BUS_OK;
}

/* What became of one stream's parcels, from..end. */
static bus_status
settle_stream(busp_relay *relay, size_t from, size_t end, const bus_error *cause,
	      bus_error *err)
{
	const busp_batch *batch = &relay->sent;
	if (relay->epochs[bus_relay_shard_of(batch->parcels[from].row->stream)] == 0) {
		return BUS_OK; /* lost on the way: its next relay sends them again */
	}
	busp_relay_stream *stream;
	bus_status status = stream_of(relay, batch->parcels[from].row, &stream, err);
	if (status != BUS_OK) {
		return status;
	}
	size_t next = from;
	while (next < end && batch->publications[next].outcome == BUS_OUTCOME_DURABLE) {
		next++;
	}
	if (next > from) {
		count_published(relay, stream, batch->parcels[next - 1].row);
	}
	if (next == end) {
		go_on(relay, stream);
	} else {
		status = settle_failed(relay, stream, batch->parcels[next].row,
				       &batch->publications[next], cause, err);
	}
	stream->sent_seq = stream->published_seq;
	return status;
}

bus_status
busp_relay_settle(busp_relay *relay, bus_error *err)
{
	if (relay->sent.row_count == 0) {
		return BUS_OK;
	}
	/* Every row has an outcome of its own; this only says why some failed. */
	bus_error cause = BUS_ERROR_INIT;
	cause.status = busp_publisher_take(&relay->publisher, &cause);
	if (bus_crash_due(BUS_CRASH_RELAY_PUBLISHED)) {
		bus_crash_now();
	}
	relay->alone_until_ms = busp_relay_now(relay) + publish_ms(relay);
	bus_status status = BUS_OK;
	const busp_batch *batch = &relay->sent;
	for (size_t i = 0, end; status == BUS_OK && i < batch->parcel_count; i = end) {
		for (end = i + 1;
		     end < batch->parcel_count && !batch->parcels[end].first;) {
			end++;
		}
		status = settle_stream(relay, i, end, &cause, err);
	}
	relay->sent.row_count = 0;
	return status;
}
