/*
 * reading.c - poll: what the broker has, as a batch of ours
 *
 * DESIGN
 * One FETCH asks for all that is read. The broker answers as soon as it has something; when
 * an answer is taken over, the next FETCH is sent before the first record is handed out, so
 * that the broker and the wire work while the caller does. So there are an answer that is
 * being handed out, in several polls if need be, and one under way or arrived.
 *
 * start and stop drop both: nothing that was asked for before is delivered after. Every
 * record is compared with its checksum once more; one that differs is fetched again, and
 * called damaged only when it differs again.
 */
#include <stdlib.h>

#include "broker-adapters/nng/nng_adapter.h"

/* How long the broker may keep a FETCH. One that was dropped is kept as long, for nobody. */
#define BUSP_FETCH_WAIT_MS 2000
/* Before a broker that was busy is asked again. */
#define BUSP_FETCH_AGAIN_MS 50
#define BUSP_ARENA_CHUNK_BYTES (64 * 1024)
/* Least bytes of one partition in an answer: its place and its verdict. */
#define BUSP_VERDICT_BYTES 5
/* Least bytes of a slice: base, time, two lengths, one record. */
#define BUSP_SLICE_BYTES (24 + BUSP_DIRECTORY_BYTES)

/* ---- asking ---- */

static void
busp_reader_release(busp_reader_state *reader)
{
	if (reader->answer != NULL) {
		nng_msg_free(reader->answer);
		reader->answer = NULL;
	}
	reader->run_count = 0;
	reader->run_at = 0;
	reader->record_at = 0;
	reader->body_at = 0;
}

/* Nothing of what was asked for counts any more. */
static void
busp_reader_drop(busp_reader_state *reader)
{
	busp_call_forget(reader->call);
	reader->call = NULL;
	reader->again_ms = 0;
	reader->delivery_count = 0;
	busp_reader_release(reader);
	for (size_t i = 0; i < reader->count; i++) {
		busp_reading *reading = &reader->readings[i];

		if (reading->verdict == BUSP_FETCH_SLICES) {
			reading->fetched = reading->next;
		}
	}
}

static void
busp_fetch_write(busp_nng *self)
{
	busp_reader_state *reader = &self->reader;
	bus_buf *frame = &reader->frame;

	busp_client_request(self->client, frame, BUSP_OP_FETCH);
	bus_buf_be32(frame, BUSP_FETCH_WAIT_MS);
	bus_buf_be32(frame, BUSP_FRAME_BODIES);
	bus_buf_be32(frame, (uint32_t)reader->asked_count);
	for (size_t i = 0; i < reader->asked_count; i++) {
		const busp_reading *reading = &reader->readings[reader->asked[i]];

		busp_put_text(frame, bus_str_from(reading->topic));
		bus_buf_be32(frame, (uint32_t)reading->partition);
		bus_buf_be64(frame, (uint64_t)reading->fetched);
	}
}

/* Sends a FETCH, unless one is under way or nothing is to be read. Each begins with another
 * partition, so that a full one does not keep the others waiting. */
static void
busp_fetch(busp_nng *self)
{
	busp_reader_state *reader = &self->reader;

	if (reader->call != NULL || busp_now_ms() < reader->again_ms) {
		return;
	}
	reader->asked_count = 0;
	reader->turn++;
	for (size_t i = 0; i < reader->count; i++) {
		size_t at = (reader->turn + i) % reader->count;

		if (reader->readings[at].verdict == BUSP_FETCH_SLICES) {
			reader->asked =
				busp_adapter_grow(reader->asked, reader->asked_count,
						  &reader->asked_capacity,
						  sizeof(*reader->asked));
			reader->asked[reader->asked_count++] = at;
		}
	}
	if (reader->asked_count > 0) {
		busp_fetch_write(self);
		reader->call = busp_call_begin(self->client, &reader->frame);
	}
}

/* ---- taking an answer over ---- */

static void
busp_take_slices(busp_reader_state *reader, size_t at, busp_reader *from)
{
	busp_reading *reading = &reader->readings[at];
	uint32_t count = busp_get_count(from, BUSP_SLICE_BYTES);

	for (uint32_t i = 0; i < count && !from->bad; i++) {
		busp_slice slice = busp_get_slice(from);

		if (slice.base < 0 || slice.base > INT64_MAX - slice.batch.count ||
		    slice.base + slice.batch.count <= reading->fetched) {
			/* what was not asked for: taking it would be asking for ever */
			from->bad = true;
		}
		if (from->bad) {
			return;
		}
		reader->runs =
			busp_adapter_grow(reader->runs, reader->run_count,
					  &reader->run_capacity, sizeof(*reader->runs));
		reader->runs[reader->run_count++] = (busp_run){ at, slice };
		reading->fetched = slice.base + slice.batch.count;
	}
}

static void
busp_take_verdict(busp_reader_state *reader, busp_reader *from)
{
	uint32_t place = busp_get_u32(from);
	uint8_t verdict = busp_get_u8(from);

	if (place >= reader->asked_count || verdict > BUSP_FETCH_NO_LOG) {
		from->bad = true;
		return;
	}
	size_t at = reader->asked[place];
	busp_reading *reading = &reader->readings[at];

	switch ((busp_fetch_verdict)verdict) {
	case BUSP_FETCH_SLICES:
		busp_take_slices(reader, at, from);
		return;
	case BUSP_FETCH_OUT_OF_RANGE:
		(void)busp_get_u64(from);
		(void)busp_get_u64(from);
		break;
	case BUSP_FETCH_DAMAGED:
		reading->fetched = (int64_t)busp_get_u64(from);
		break;
	case BUSP_FETCH_NO_LOG:
		break;
	}
	reading->verdict = (busp_fetch_verdict)verdict;
	reading->untold = true;
}

static bus_status
busp_take_answer(busp_reader_state *reader, bus_error *err)
{
	busp_reader from;
	bus_status status = busp_answer_read(reader->answer, BUSP_OP_FETCH, &from, err);

	if (status != BUS_OK) {
		return status;
	}
	uint32_t count = busp_get_count(&from, BUSP_VERDICT_BYTES);

	for (uint32_t i = 0; i < count && !from.bad; i++) {
		busp_take_verdict(reader, &from);
	}
	if (!busp_reader_done(&from)) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, BUSP_MALFORMED,
				     "poll: the answer to a fetch breaks the protocol");
	}
	return BUS_OK;
}

/* The FETCH is done: its answer is what is handed out next. */
static bus_status
busp_take_over(busp_nng *self, bus_error *err)
{
	busp_reader_state *reader = &self->reader;
	bus_error cause = BUS_ERROR_INIT;
	int result = 0;
	bool sent = false;

	reader->answer = busp_call_end(reader->call, &result, &sent);
	reader->call = NULL;
	bus_status status = reader->answer != NULL ?
				    busp_take_answer(reader, &cause) :
				    bus_error_set(&cause, BUS_E_RETRY, BUSP_ORIGIN,
						  result, "%s", nng_strerror(result));

	if (status != BUS_OK) {
		busp_reader_drop(reader);
		reader->again_ms = busp_now_ms() + BUSP_FETCH_AGAIN_MS;
		return bus_error_set(err, status, BUSP_ORIGIN, cause.native_code,
				     "poll of %.200s: %.250s", self->client->url,
				     cause.text);
	}
	return BUS_OK;
}

/* ---- handing out ---- */

/* The record arrived broken. Once may be the way, twice is the store. */
static void
busp_doubt(busp_reader_state *reader, busp_reading *reading, int64_t offset)
{
	if (reading->doubted == offset) {
		reading->verdict = BUSP_FETCH_DAMAGED;
		reading->fetched = offset;
		reading->untold = true;
	} else {
		reading->doubted = offset;
		busp_reader_drop(reader);
	}
}

static void
busp_run_step(busp_reader_state *reader, const busp_batch *batch, uint32_t length)
{
	reader->body_at += length;
	if (++reader->record_at == batch->count) {
		reader->run_at++;
		reader->record_at = 0;
		reader->body_at = 0;
	}
}

/* Puts one record into the batch; false if it must wait for the next one. */
static bool
busp_deliver(busp_reader_state *reader, const busp_run *run, int64_t offset, bus_str body,
	     size_t bytes_max)
{
	busp_reading *reading = &reader->readings[run->reading];
	bus_error ignored = BUS_ERROR_INIT;
	bus_record record;

	if (busp_checksum(body.data, body.len) !=
		    busp_batch_checksum(&run->slice.batch, reader->record_at) ||
	    busp_get_record(body, reader->arena, &record, &ignored) != BUS_OK) {
		if (reader->delivery_count == 0) {
			busp_doubt(reader, reading, offset);
		}
		return false;
	}
	size_t bytes = bus_record_bytes(&record);

	if (reader->delivery_count > 0 && reader->delivery_bytes + bytes > bytes_max) {
		return false;
	}
	reader->deliveries = busp_adapter_grow(reader->deliveries, reader->delivery_count,
					       &reader->delivery_capacity,
					       sizeof(*reader->deliveries));
	reader->deliveries[reader->delivery_count++] = (bus_delivery){
		.topic = reading->topic,
		.partition = reading->partition,
		.offset = offset,
		.timestamp_ms = run->slice.timestamp_ms,
		.record = record,
	};
	reader->delivery_bytes += bytes;
	reading->next = offset + 1;
	return true;
}

/* Fills the batch from the answer, until it is full or the answer is at its end. */
static void
busp_fill(busp_reader_state *reader, const bus_poll_limit *limit)
{
	while (reader->run_at < reader->run_count &&
	       reader->delivery_count < limit->events_max) {
		const busp_run *run = &reader->runs[reader->run_at];
		const busp_batch *batch = &run->slice.batch;
		const busp_reading *reading = &reader->readings[run->reading];
		uint32_t length = busp_batch_length(batch, reader->record_at);
		int64_t offset = run->slice.base + reader->record_at;
		bus_str body = { batch->bodies.data + reader->body_at, length };

		/* a slice may begin before what was asked for */
		if (reading->verdict == BUSP_FETCH_SLICES && offset >= reading->next &&
		    !busp_deliver(reader, run, offset, body, limit->bytes_max)) {
			return;
		}
		busp_run_step(reader, batch, length);
	}
}

/* ---- what else there is to tell ---- */

/* True with *ret_poll, or a status, if a partition has stopped and it was not said. */
static bool
busp_tell_hold(busp_reader_state *reader, bus_poll *ret_poll, bus_status *ret_status,
	       bus_error *err)
{
	for (size_t i = 0; i < reader->count; i++) {
		busp_reading *reading = &reader->readings[i];

		if (!reading->untold) {
			continue;
		}
		reading->untold = false;
		if (reading->verdict == BUSP_FETCH_NO_LOG) {
			*ret_status = bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN,
						    BUSP_NO_PARTITION,
						    "poll: no such partition %s[%d]",
						    reading->topic, reading->partition);
			return true;
		}
		bool damaged = reading->verdict == BUSP_FETCH_DAMAGED;

		reader->hold =
			(bus_position){ reading->topic, reading->partition,
					damaged ? reading->fetched : reading->next };
		*ret_poll = (bus_poll){
			.kind = damaged ? BUS_POLL_DAMAGED : BUS_POLL_OUT_OF_RANGE,
			.partitions = &reader->hold,
			.partition_count = 1,
		};
		*ret_status = BUS_OK;
		return true;
	}
	return false;
}

/* One look at what there is. True: something is to be told, in *ret_poll or as a status. */
static bool
busp_reader_look(busp_nng *self, const bus_poll_limit *limit, bus_poll *ret_poll,
		 bus_status *ret_status, bus_error *err)
{
	busp_reader_state *reader = &self->reader;

	for (;;) {
		busp_fill(reader, limit);
		if (reader->delivery_count > 0) {
			*ret_poll = (bus_poll){
				.kind = BUS_POLL_DELIVERIES,
				.deliveries = reader->deliveries,
				.count = reader->delivery_count,
			};
			*ret_status = BUS_OK;
			return true;
		}
		if (reader->run_at < reader->run_count) {
			continue; /* the first one was called damaged: the others go on */
		}
		busp_reader_release(reader);
		if (busp_tell_hold(reader, ret_poll, ret_status, err)) {
			return true;
		}
		busp_fetch(self);
		if (reader->call == NULL || !busp_call_done(reader->call)) {
			return false;
		}
		*ret_status = busp_take_over(self, err);
		if (*ret_status != BUS_OK) {
			return true;
		}
		busp_fetch(self);
	}
}

/* Nothing came: because there is nothing, or because nobody is there? */
static bus_status
busp_reader_silence(busp_nng *self, bus_error *err)
{
	busp_reader_state *reader = &self->reader;

	if (reader->count == 0 && !busp_membership_in(self)) {
		return BUS_OK;
	}
	bool overdue = reader->call != NULL &&
		       busp_call_overdue(reader->call, BUSP_FETCH_WAIT_MS);

	if (overdue || busp_membership_overdue(self)) {
		busp_client_renew(self->client);
		return busp_client_refuse_unreachable(self->client, "poll", err);
	}
	busp_client_tend(self->client);
	if (busp_client_unreachable(self->client)) {
		return busp_client_refuse_unreachable(self->client, "poll", err);
	}
	return BUS_OK;
}

/* ---- the operations ---- */

bus_status
busp_nng_poll(bus_adapter *adapter, const bus_poll_limit *limit, bus_poll *ret_poll,
	      bus_error *err)
{
	busp_nng *self = busp_nng_of(adapter);
	busp_reader_state *reader = &self->reader;
	int timeout_ms =
		limit->timeout_ms < BUS_POLL_MS_MAX ? limit->timeout_ms : BUS_POLL_MS_MAX;
	int64_t deadline_ms = busp_now_ms() + timeout_ms;
	bus_status status = BUS_OK;

	*ret_poll = (bus_poll){ .kind = BUS_POLL_DELIVERIES };
	if (reader->arena == NULL) {
		reader->arena = bus_arena_create(BUSP_ARENA_CHUNK_BYTES);
	}
	bus_arena_reset(reader->arena);
	reader->delivery_count = 0;
	reader->delivery_bytes = 0;
	for (;;) {
		uint64_t seen = busp_client_changes(self->client);

		if (busp_membership_tell(self, ret_poll, &status, err)) {
			if (ret_poll->kind != BUS_POLL_DELIVERIES) {
				busp_reader_drop(reader);
			}
			return status;
		}
		if (!busp_membership_asked(self) &&
		    busp_reader_look(self, limit, ret_poll, &status, err)) {
			return status;
		}
		int64_t now_ms = busp_now_ms();
		bool again = reader->again_ms > now_ms && reader->again_ms < deadline_ms;

		if (now_ms >= deadline_ms) {
			return busp_reader_silence(self, err);
		}
		(void)busp_client_await(self->client, seen,
					again ? reader->again_ms : deadline_ms);
	}
}

/* Its place among the readings, or their count. */
static size_t
busp_reading_find(const busp_reader_state *reader, const bus_position *position)
{
	size_t at = 0;

	while (at < reader->count &&
	       (reader->readings[at].partition != position->partition ||
		strcmp(reader->readings[at].topic, position->topic) != 0)) {
		at++;
	}
	return at;
}

static void
busp_reading_set(busp_nng *self, const bus_position *position)
{
	busp_reader_state *reader = &self->reader;
	size_t at = busp_reading_find(reader, position);

	if (at == reader->count) {
		reader->readings =
			busp_adapter_grow(reader->readings, reader->count,
					  &reader->capacity, sizeof(*reader->readings));
		reader->count++;
	}
	reader->readings[at] = (busp_reading){
		.topic = busp_nng_target(self, position->topic)->name,
		.partition = position->partition,
		.next = position->offset,
		.fetched = position->offset,
		.doubted = -1,
		.verdict = BUSP_FETCH_SLICES,
	};
}

bus_status
busp_nng_start(bus_adapter *adapter, const bus_position *positions, size_t count,
	       bus_error *err)
{
	busp_nng *self = busp_nng_of(adapter);
	size_t reading = self->reader.count;

	for (size_t i = 0; i < count; i++) {
		bus_status status = busp_position_check(BUSP_ORIGIN, &positions[i], err);

		if (status != BUS_OK) {
			return status;
		}
		reading += busp_reading_find(&self->reader, &positions[i]) ==
			   self->reader.count;
		if (strlen(positions[i].topic) >= BUS_TOPIC_NAME_MAX ||
		    reading > BUSP_READINGS_MAX) {
			return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, BUSP_INVALID,
					     "start %.300s[%d]: no such topic can be, or "
					     "too many at once",
					     positions[i].topic, positions[i].partition);
		}
		if (!busp_membership_may_read(self, &positions[i])) {
			return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
					     "start %s[%d]: not assigned",
					     positions[i].topic, positions[i].partition);
		}
	}
	for (size_t i = 0; i < count; i++) {
		busp_reading_set(self, &positions[i]);
	}
	busp_reader_drop(&self->reader);
	busp_fetch(self);
	return BUS_OK;
}

void
busp_nng_read_nothing(busp_nng *self)
{
	busp_reader_drop(&self->reader);
	self->reader.count = 0;
}

void
busp_nng_reader_free(busp_nng *self)
{
	busp_reader_state *reader = &self->reader;

	busp_reader_release(reader);
	free(reader->readings);
	free(reader->asked);
	free(reader->runs);
	free(reader->deliveries);
	bus_buf_fini(&reader->frame);
	bus_arena_destroy(reader->arena);
}
