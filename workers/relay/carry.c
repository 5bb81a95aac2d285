/*
 * carry.c - one batch of the outbox: read, publish, settle
 *
 * DESIGN
 * Rows of a stream are published in their order and count as published up to the first
 * that is not durable; that one and all after it are sent again, and workers recognise by
 * their ids those that were in the topic already. A stream that fails is held: it is left
 * out of reading until its back-off ends, and then only its first row is sent until that
 * one arrives, so that a row nobody will ever take costs one attempt now and then, and the
 * rows behind it are not sent over and over.
 */
#include "workers/relay/relay.h"

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

static void
hold(busp_relay *relay, busp_relay_stream *stream)
{
	stream->held = true;
	stream->due_ms = busp_relay_now(relay) + bus_backoff_next_ms(&stream->backoff);
}

static void
go_on(busp_relay_stream *stream)
{
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

static bus_status
read_rows(busp_relay *relay, bus_outbox_row **ret_rows, size_t *ret_count, bus_error *err)
{
	int64_t now_ms = busp_relay_now(relay);
	bus_outbox_cursor *cursors =
		bus_arena_alloc(relay->arena,
				(relay->stream_count + 1) * sizeof(*cursors));
	for (size_t i = 0; i < relay->stream_count; i++) {
		const busp_relay_stream *stream = &relay->streams[i];
		bool left_out = stream->held && stream->due_ms > now_ms;
		cursors[i] = (bus_outbox_cursor){
			.stream = stream->stream,
			.seq = left_out ? INT64_MAX : stream->published_seq,
		};
	}
	return bus_store_outbox_read(relay->store, cursors, relay->stream_count,
				     relay->batch_rows, relay->arena, ret_rows, ret_count,
				     err);
}

/* One row on its way. */
typedef struct parcel {
	const bus_outbox_row *row;
	bool first; /* of its stream */
} parcel;

/*
 * Which rows are sent now: all of a stream that flows, the first of one that is held. That
 * no number is missing between the rows is the store's promise.
 */
static bus_status
choose(busp_relay *relay, const bus_outbox_row *rows, size_t count, parcel *ret_parcels,
       size_t *ret_count, bus_error *err)
{
	size_t chosen = 0;
	busp_relay_stream *stream = NULL;
	for (size_t i = 0; i < count; i++) {
		const bus_outbox_row *row = &rows[i];
		bool first = i == 0 || rows[i - 1].stream != row->stream;
		if (first) {
			bus_status status = stream_of(relay, row, &stream, err);
			if (status != BUS_OK) {
				return status;
			}
		}
		if (first || !stream->held) {
			ret_parcels[chosen++] = (parcel){ .row = row, .first = first };
		}
	}
	*ret_count = chosen;
	return BUS_OK;
}

/* ---- publishing ---- */

static int
publish_ms(const busp_relay *relay)
{
	return (int)(relay->lease_ms / BUSP_RELAY_LEASE_PARTS);
}

static bus_publication *
publications_of(busp_relay *relay, const parcel *parcels, size_t count)
{
	bus_publication *publications =
		bus_arena_alloc(relay->arena, (count + 1) * sizeof(*publications));
	bus_str topic = BUS_STR_NULL; /* rows of one topic come in runs */
	for (size_t i = 0; i < count; i++) {
		if (!bus_str_eq(topic, parcels[i].row->topic)) {
			topic = bus_arena_str(relay->arena, parcels[i].row->topic);
		}
		publications[i] = (bus_publication){
			.topic = topic.data,
			.partition = BUS_PARTITION_HOME,
			.record = parcels[i].row->record,
		};
	}
	return publications;
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
	bus_status status = bus_adapter_publish(relay->adapter, publication, 1,
						publish_ms(relay), &cause);
	if (status == BUS_OK) {
		count_published(relay, stream, row);
		go_on(stream);
		return BUS_OK;
	}
	report(stream, row, &cause);
	return status == BUS_E_FATAL ? open_incident(relay, row, &cause, err) : BUS_OK;
}

/* The rows of one stream that are not durable: hold it, and find out why. */
static bus_status
settle_failed(busp_relay *relay, busp_relay_stream *stream, const bus_outbox_row *row,
	      bus_publication *publication, const bus_error *cause, bus_error *err)
{
	hold(relay, stream);
	if (cause->status == BUS_E_FATAL &&
	    busp_relay_now(relay) < relay->alone_until_ms) {
		return send_alone(relay, stream, row, publication, err);
	}
	report(stream, row, cause);
	return BUS_OK;
}

/* What became of each stream's rows. */
static bus_status
settle(busp_relay *relay, const parcel *parcels, bus_publication *publications,
       size_t count, const bus_error *cause, bus_error *err)
{
	relay->alone_until_ms = busp_relay_now(relay) + publish_ms(relay);
	for (size_t i = 0, end; i < count; i = end) {
		for (end = i + 1; end < count && !parcels[end].first;) {
			end++;
		}
		busp_relay_stream *stream;
		bus_status status = stream_of(relay, parcels[i].row, &stream, err);
		if (status != BUS_OK) {
			return status;
		}
		size_t next = i;
		while (next < end && publications[next].outcome == BUS_OUTCOME_DURABLE) {
			count_published(relay, stream, parcels[next++].row);
		}
		if (next == end) {
			go_on(stream);
			continue;
		}
		status = settle_failed(relay, stream, parcels[next].row,
				       &publications[next], cause, err);
		if (status != BUS_OK) {
			return status;
		}
	}
	return BUS_OK;
}

bus_status
busp_relay_carry(busp_relay *relay, size_t *ret_rows, bus_error *err)
{
	bus_arena_reset(relay->arena);
	bus_outbox_row *rows = NULL;
	size_t count = 0;
	bus_status status = read_rows(relay, &rows, &count, err);
	if (status != BUS_OK || count == 0) {
		*ret_rows = 0;
		return status;
	}
	parcel *parcels = bus_arena_alloc(relay->arena, count * sizeof(*parcels));
	size_t parcel_count = 0;
	status = choose(relay, rows, count, parcels, &parcel_count, err);
	if (status != BUS_OK) {
		return status;
	}
	bus_publication *publications = publications_of(relay, parcels, parcel_count);
	bus_error cause = BUS_ERROR_INIT;
	/* Every row has an outcome of its own; this only says why some failed. */
	bus_status published =
		parcel_count == 0 ?
			BUS_OK :
			bus_adapter_publish(relay->adapter, publications, parcel_count,
					    publish_ms(relay), &cause);
	cause.status = published;
	if (bus_crash_due(BUS_CRASH_RELAY_PUBLISHED)) {
		bus_crash_now();
	}
	*ret_rows = count;
	return settle(relay, parcels, publications, parcel_count, &cause, err);
}
