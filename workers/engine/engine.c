/*
 * engine.c - the loop of every worker
 *
 * DESIGN
 * Two units may be in flight. Whatever goes wrong with one, there is one recovery: forget
 * the cache and what is in flight, connect again if needed, read the position rows, read the
 * log from there. See docs/architecture.md.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/crash.h"
#include "core/log.h"
#include "workers/engine/batch.h"
#include "workers/engine/hold.h"
#include "workers/engine/service.h"
#include "workers/engine/suspects.h"

/* Waiting with nothing to do: how soon a stop is seen that came without a signal. */
#define IDLE_POLL_MS 200
/* Ask the broker for its partitions this long before trying again. */
#define BROKER_MS 5000
/* The group's committed offsets serve lag tools; once a second is often enough. */
#define NOTE_MS 1000
/* A held partition is looked at again this often: an operator may have moved it. */
#define HELD_MS 5000

typedef struct engine {
	const bus_worker *worker;
	const bus_service *service;
	bus_place place;
	bus_adapter *adapter; /* of that place */
	bus_store *store;
	bus_registry *registry;
	bus_folder *folder;
	bus_hasher *hasher;
	bus_arena *arena;
	int32_t topic_partitions;
	char group[128];

	busp_lane *lanes;
	size_t lane_count;
	busp_sent sent[BUS_UNITS_IN_FLIGHT_MAX];
	size_t sent_count;

	bool probe; /* the last unit met a repeat */
	busp_suspects suspects;
	busp_quarantine *quarantine;
	bus_backoff backoff; /* of recoveries in a row */
	int64_t noted_ms;
	int64_t held_ms;
	bool rejoin;
} engine;

static bool
stopping(const engine *e)
{
	return *e->service->stop != 0;
}

static busp_batch_context
context_of(engine *e)
{
	return (busp_batch_context){
		.worker = e->worker,
		.registry = e->registry,
		.folder = e->folder,
		.store = e->store,
		.hasher = e->hasher,
		.lanes = e->lanes,
		.lane_count = e->lane_count,
		.topic_partitions = e->topic_partitions,
		.refusals = e->suspects.refusals,
		.quarantine = e->quarantine,
		.letters_max = e->suspects.letters_max,
		.probe = e->probe,
	};
}

/* ---- positions and the log ---- */

/* Reads the lanes that are not held from their next offset. */
static bus_status
start_lanes(engine *e, bus_error *err)
{
	bus_position *positions = calloc(e->lane_count + 1, sizeof(*positions));
	if (positions == NULL) {
		return bus_error_set(err, BUS_E_FATAL, "engine", 0, "out of memory");
	}
	size_t count = 0;
	for (size_t i = 0; i < e->lane_count; i++) {
		if (!e->lanes[i].held) {
			positions[count++] = (bus_position){
				.topic = e->worker->topic,
				.partition = e->lanes[i].stream.partition,
				.offset = e->lanes[i].stream.next_offset,
			};
		}
	}
	bus_status status = bus_adapter_start(e->adapter, positions, count, err);
	free(positions);
	return status;
}

static void
note_positions(engine *e, bool now)
{
	int64_t ms = bus_clock_mono_ms(e->service->clock);
	if (!now && ms - e->noted_ms < NOTE_MS) {
		return;
	}
	e->noted_ms = ms;
	bus_position *positions = calloc(e->lane_count + 1, sizeof(*positions));
	if (positions == NULL) {
		return;
	}
	for (size_t i = 0; i < e->lane_count; i++) {
		positions[i] = (bus_position){
			.topic = e->worker->topic,
			.partition = e->lanes[i].stream.partition,
			.offset = e->lanes[i].stream.next_offset,
		};
	}
	bus_adapter_note(e->adapter, positions, e->lane_count);
	free(positions);
}

static void
drop_lanes(engine *e)
{
	free(e->lanes);
	e->lanes = NULL;
	e->lane_count = 0;
	e->sent_count = 0;
	busp_suspects_init(&e->suspects, NULL, 0);
	bus_folder_forget(e->folder);
}

static bus_status
load_held_keys(engine *e, const bus_stream *streams, bus_error *err)
{
	int32_t *numbers = calloc(e->lane_count + 1, sizeof(*numbers));
	if (numbers == NULL) {
		return bus_error_set(err, BUS_E_FATAL, "engine", 0, "out of memory");
	}
	for (size_t i = 0; i < e->lane_count; i++) {
		numbers[i] =
			streams != NULL ? streams[i].stream : e->lanes[i].stream.stream;
	}
	bus_status status = busp_quarantine_load(e->quarantine, e->store, numbers,
						 e->lane_count, err);
	free(numbers);
	return status;
}

/* The streams' rows, and the keys that are held in them; asks until the answer is something
 * else than "try again". */
static bus_status
read_streams(engine *e, bus_stream *streams, bool assign, bus_error *err)
{
	int32_t *partitions = calloc(e->lane_count + 1, sizeof(*partitions));
	if (partitions == NULL) {
		return bus_error_set(err, BUS_E_FATAL, "engine", 0, "out of memory");
	}
	for (size_t i = 0; i < e->lane_count; i++) {
		partitions[i] = streams[i].partition;
	}
	bus_backoff backoff = { .base_ms = 20,
				.cap_ms = 2000,
				.seed = (uint64_t)getpid() };
	bus_status status;
	for (;;) {
		bus_error_reset(err);
		bus_service_pause(e->service, bus_backoff_next_ms(&backoff));
		status = bus_store_connected(e->store) ?
				 BUS_OK :
				 bus_service_connect(e->service, e->store, err);
		if (status != BUS_OK) {
			break;
		}
		status = assign ? bus_store_assign(e->store, e->worker->topic, partitions,
						   e->lane_count, streams, err) :
				  bus_store_positions(e->store, streams, e->lane_count,
						      err);
		if (status == BUS_OK) {
			status = load_held_keys(e, streams, err);
		}
		if (status == BUS_OK || status == BUS_E_FATAL) {
			break;
		}
		bus_log_error(BUS_LOG_WARN, "positions could not be read, trying again",
			      err);
		bus_store_disconnect(e->store);
	}
	free(partitions);
	return status;
}

static bus_status
on_assigned(engine *e, const bus_poll *poll, bus_error *err)
{
	drop_lanes(e);
	e->lane_count = poll->partition_count;
	e->lanes = calloc(e->lane_count + 1, sizeof(*e->lanes));
	bus_stream *streams = calloc(e->lane_count + 1, sizeof(*streams));
	if (e->lanes == NULL || streams == NULL) {
		free(streams);
		return bus_error_set(err, BUS_E_FATAL, "engine", 0, "out of memory");
	}
	busp_suspects_init(&e->suspects, e->lanes, e->lane_count);
	for (size_t i = 0; i < e->lane_count; i++) {
		streams[i].partition = poll->partitions[i].partition;
	}
	bus_status status =
		e->lane_count == 0 ? BUS_OK : read_streams(e, streams, true, err);
	if (status == BUS_OK) {
		for (size_t i = 0; i < e->lane_count; i++) {
			e->lanes[i].stream = streams[i];
			busp_lane_take_care(&e->lanes[i]);
			BUS_LOG(BUS_LOG_INFO, "partition assigned",
				BUS_LOG_S("topic", bus_str_from(e->worker->topic)),
				BUS_LOG_I("partition", streams[i].partition),
				BUS_LOG_I("offset", streams[i].next_offset),
				BUS_LOG_I("epoch", streams[i].epoch));
		}
		status = start_lanes(e, err);
	}
	free(streams);
	return status;
}

/* ---- recovery ---- */

static void
log_lost_unit(const bus_error *err)
{
	if (bus_store_is_repeat(err)) {
		BUS_LOG(BUS_LOG_DEBUG, "repeats met, looking closer");
		return;
	}
	bus_log_error(BUS_LOG_WARN, "unit lost, starting over from the stored positions",
		      err);
}

/* What the failure of the oldest unit teaches for the next attempt. */
static bus_status
learn(engine *e, const bus_error *cause, bus_error *err)
{
	bool pause = false;
	if (bus_store_is_repeat(cause)) {
		e->probe = true;
		return BUS_OK;
	}
	bus_status status =
		busp_suspects_learn(&e->suspects, e->sent_count > 0 ? &e->sent[0] : NULL,
				    e->worker->topic, cause, &pause, err);
	if (pause) {
		bus_service_pause(e->service, bus_backoff_next_ms(&e->backoff));
	}
	return status;
}

/* The one way back after a failed unit or read. */
static bus_status
recover(engine *e, const bus_error *cause, bus_error *err)
{
	log_lost_unit(cause);
	bus_error reason = *cause;
	bus_error_reset(err);
	bus_status status = learn(e, &reason, err);
	if (status != BUS_OK) {
		return status;
	}
	e->sent_count = 0;
	bus_folder_forget(e->folder);
	if (bus_store_in_flight(e->store) > 0) {
		bus_store_disconnect(e->store);
	}
	bus_stream *streams = calloc(e->lane_count + 1, sizeof(*streams));
	if (streams == NULL) {
		return bus_error_set(err, BUS_E_FATAL, "engine", 0, "out of memory");
	}
	for (size_t i = 0; i < e->lane_count; i++) {
		streams[i] = e->lanes[i].stream;
	}
	status = read_streams(e, streams, false, err);
	for (size_t i = 0; i < e->lane_count && status == BUS_OK; i++) {
		if (streams[i].epoch != e->lanes[i].stream.epoch) {
			BUS_LOG(BUS_LOG_WARN,
				"fenced: another worker owns the partition now",
				BUS_LOG_I("partition", streams[i].partition),
				BUS_LOG_I("our_epoch", e->lanes[i].stream.epoch),
				BUS_LOG_I("epoch", streams[i].epoch));
			e->rejoin = true;
		}
		e->lanes[i].stream = streams[i];
		busp_suspects_passed(&e->suspects, streams[i].partition,
				     streams[i].next_offset);
	}
	free(streams);
	if (status != BUS_OK || e->rejoin) {
		return status;
	}
	return start_lanes(e, err);
}

/* ---- units ---- */

static void
count_done(engine *e)
{
	busp_sent done = e->sent[0];
	e->sent_count--;
	memmove(&e->sent[0], &e->sent[1], e->sent_count * sizeof(e->sent[0]));
	e->backoff.attempt = 0;
	if (done.repeat_count == 0) {
		e->probe = false;
	}
	busp_suspects_done(&e->suspects, &done);
}

/* Waits for the oldest unit; timeout as for bus_store_await. */
static bus_status
await(engine *e, int timeout_ms, bus_error *err)
{
	bool done = false;
	bus_status status = bus_store_await(e->store, timeout_ms, &done, err);
	if (status == BUS_OK && done) {
		count_done(e);
		note_positions(e, false);
	}
	return status;
}

static bus_status
await_all(engine *e, bus_error *err)
{
	while (bus_store_in_flight(e->store) > 0) {
		bus_status status = await(e, -1, err);
		if (status != BUS_OK) {
			return status;
		}
	}
	return BUS_OK;
}

/* A unit has failed with none behind it: what is in memory is still true, and its events are
 * tried again from here (*ret_taken is 0), unless the failure teaches nothing. */
static bus_status
try_again(engine *e, size_t *ret_taken, bus_error *err)
{
	const bus_error cause = *err;
	bool pause = false;
	if (!bus_store_connected(e->store) || bus_store_is_repeat(&cause)) {
		return cause.status;
	}
	bus_error_reset(err);
	bus_status status = busp_suspects_learn(&e->suspects, &e->sent[0],
						e->worker->topic, &cause, &pause, err);
	if (status != BUS_OK || pause) {
		*err = status == BUS_OK ? cause : *err;
		return err->status;
	}
	bus_log_error(BUS_LOG_WARN, "unit failed, looking for the event", &cause);
	e->sent_count = 0;
	*ret_taken = 0;
	return load_held_keys(e, NULL, err);
}

/* Sends what can go into one unit; the next one goes on behind *ret_taken deliveries. */
static bus_status
apply(engine *e, const bus_delivery *deliveries, size_t count, bool careful,
      size_t *ret_taken, bus_error *err)
{
	/* Reads come after what is in flight, and whoever is careful must see its end. */
	size_t most = e->probe || careful ? 1 : BUS_UNITS_IN_FLIGHT_MAX;
	bus_status status = BUS_OK;
	while (status == BUS_OK && bus_store_in_flight(e->store) >= most) {
		status = await(e, -1, err);
	}
	if (status != BUS_OK) {
		return status;
	}
	busp_batch_context context = context_of(e);
	busp_batch batch;
	bus_arena_reset(e->arena);
	status = busp_batch_make(&context, deliveries, count, e->arena, &batch, err);
	if (status == BUS_OK && batch.wants_alone) {
		status = await_all(e, err);
		if (status != BUS_OK) {
			return status;
		}
		context = context_of(e);
		context.alone = true;
		bus_arena_reset(e->arena);
		status = busp_batch_make(&context, deliveries, count, e->arena, &batch,
					 err);
	}
	*ret_taken = batch.taken;
	if (status != BUS_OK || batch.unit.position_count == 0) {
		return status;
	}
	e->sent[e->sent_count++] = (busp_sent){
		.event_count = batch.event_count,
		.repeat_count = batch.repeat_count,
		.letter_count = batch.letter_count,
		.first_partition = batch.first_partition,
		.first_offset = batch.first_offset,
	};
	status = bus_store_submit(e->store, &batch.unit, err);
	if (status == BUS_OK && (context.alone || careful)) {
		status = await(e, -1, err);
		if (status != BUS_OK) {
			return try_again(e, ret_taken, err);
		}
	}
	if (status == BUS_OK) {
		busp_batch_keep(&context, &batch);
	}
	return status;
}

/* ---- gaps ---- */

/*
 * Offsets are missing. Markers of a producer's transactions look like that, and so does
 * loss, and so would a fault between the broker and us: the log is read again from before
 * the gap. If it is still there it is the log's, and an incident says so; what is missing
 * does not exist any more, so the partition goes on.
 */
static bus_status
on_gap(engine *e, busp_lane *lane, int64_t gap_end, bus_error *err)
{
	bus_status status = await_all(e, err);
	if (status != BUS_OK) {
		return status;
	}
	if (lane->gap_suspect != gap_end) {
		lane->gap_suspect = gap_end;
		return start_lanes(e, err);
	}
	lane->gap_end = gap_end;
	status = busp_hold_gap(e->store, e->worker->topic, &lane->stream, gap_end, err);
	return status == BUS_OK ? start_lanes(e, err) : status;
}

static bus_status
on_deliveries(engine *e, const bus_poll *poll, bus_error *err)
{
	if (poll->count > 0 && bus_crash_due(BUS_CRASH_AFTER_POLL)) {
		bus_crash_now();
	}
	busp_lane *gap_lane = NULL;
	size_t count = busp_gap_find(e->lanes, e->lane_count, poll, &gap_lane);
	size_t taken = 0;
	for (size_t i = 0; i < count; i += taken) {
		const bus_delivery *rest = &poll->deliveries[i];
		bool careful;
		size_t few = busp_suspects_take(&e->suspects, rest, count - i, &careful);
		bus_status status = apply(e, rest, few, careful, &taken, err);
		if (status != BUS_OK) {
			return status;
		}
	}
	if (gap_lane != NULL) {
		return on_gap(e, gap_lane, poll->deliveries[count].offset, err);
	}
	return poll->count == 0                  ? await_all(e, err) :
	       bus_store_in_flight(e->store) > 0 ? await(e, 0, err) :
						   BUS_OK;
}

/* ---- held partitions ---- */

static bus_status
on_held(engine *e, const bus_poll *poll, bus_error *err)
{
	bus_status status = await_all(e, err);
	if (status != BUS_OK) {
		return status;
	}
	for (size_t i = 0; i < e->lane_count; i++) {
		busp_lane *lane = &e->lanes[i];
		if (lane->stream.partition == poll->partitions[0].partition) {
			lane->held = true;
			return busp_hold_tell(e->store, e->worker->topic, &lane->stream,
					      poll->kind, err);
		}
	}
	return BUS_OK;
}

/* An operator may have moved the position of a held partition: then it goes on there. */
static bus_status
look_at_held(engine *e, bus_error *err)
{
	int64_t now = bus_clock_mono_ms(e->service->clock);
	if (now - e->held_ms < HELD_MS) {
		return BUS_OK;
	}
	e->held_ms = now;
	for (size_t i = 0; i < e->lane_count; i++) {
		busp_lane *lane = &e->lanes[i];
		if (!lane->held) {
			continue;
		}
		bus_status status = await_all(e, err);
		bus_stream stream = lane->stream;
		if (status == BUS_OK) {
			status = bus_store_positions(e->store, &stream, 1, err);
		}
		if (status != BUS_OK) {
			return status;
		}
		if (stream.next_offset == lane->stream.next_offset ||
		    stream.epoch != lane->stream.epoch) {
			continue;
		}
		lane->stream = stream;
		lane->held = false;
		BUS_LOG(BUS_LOG_INFO, "position moved, partition goes on",
			BUS_LOG_I("partition", stream.partition),
			BUS_LOG_I("offset", stream.next_offset));
		bus_position position = {
			.topic = e->worker->topic,
			.partition = stream.partition,
			.offset = stream.next_offset,
		};
		status = bus_adapter_start(e->adapter, &position, 1, err);
		if (status != BUS_OK) {
			return status;
		}
	}
	return BUS_OK;
}

/* ---- the loop ---- */

/* Nothing that was read has ended this worker. */
static void
leave_lanes(engine *e)
{
	bus_error err = BUS_ERROR_INIT;
	size_t count = 0;
	bus_stream *streams = calloc(e->lane_count + 1, sizeof(*streams));
	if (streams == NULL) {
		return;
	}
	for (size_t i = 0; i < e->lane_count; i++) {
		if (e->lanes[i].stream.idle_assignments > 0) {
			streams[count++] = e->lanes[i].stream;
		}
	}
	if (bus_store_connected(e->store) &&
	    bus_store_leave(e->store, streams, count, &err) != BUS_OK) {
		bus_log_error(BUS_LOG_DEBUG, "left without a word", &err);
	}
	free(streams);
}

/* Gives all partitions up, after what is in flight has its answer, good or bad. */
static void
give_up(engine *e)
{
	bus_error err = BUS_ERROR_INIT;
	if (await_all(e, &err) == BUS_OK) {
		note_positions(e, true);
		leave_lanes(e);
	} else {
		bus_log_error(BUS_LOG_WARN, "last unit lost; the next owner does it",
			      &err);
		bus_store_disconnect(e->store);
	}
	bus_adapter_stop(e->adapter);
	drop_lanes(e);
}

/* Looks where the bus is now; if it has moved, opens an adapter there instead of this one. The
 * positions in PostgreSQL are as true there as here. */
static bus_status
follow(engine *e, bool *ret_moved, bus_error *err)
{
	bus_status status =
		bus_service_locate(e->service, e->store, &e->place, ret_moved, err);
	if (status != BUS_OK || !*ret_moved) {
		return status;
	}
	give_up(e);
	bus_adapter_leave(e->adapter);
	bus_adapter_close(e->adapter);
	e->adapter = NULL;
	return bus_service_adapter(e->service, e->place.url, &e->adapter, err);
}

/* While the broker is out of reach: perhaps the bus is at another one. */
static bus_status
follow_if_connected(engine *e, bool *ret_moved, bus_error *err)
{
	bus_error mine = BUS_ERROR_INIT;
	*ret_moved = false;
	if (!bus_store_connected(e->store) || bus_store_in_flight(e->store) > 0) {
		return BUS_OK; /* the next unit or read finds that out */
	}
	bus_status status = follow(e, ret_moved, &mine);
	if (status == BUS_E_FATAL) {
		*err = mine;
		return status;
	}
	if (status != BUS_OK) {
		bus_log_error(BUS_LOG_WARN, "not known where the bus is", &mine);
		bus_store_disconnect(e->store);
	}
	return BUS_OK;
}

static bus_status
join(engine *e, bus_error *err)
{
	bus_backoff backoff = { .base_ms = 100,
				.cap_ms = 5000,
				.seed = (uint64_t)getpid() };
	bool moved = false;
	while (!stopping(e)) {
		bus_error_reset(err);
		bus_status status =
			bus_adapter_partitions(e->adapter, e->worker->topic, BROKER_MS,
					       &e->topic_partitions, err);
		if (status == BUS_OK) {
			return bus_adapter_join(e->adapter, e->group, e->worker->topic,
						err);
		}
		if (status == BUS_E_FATAL) {
			return status;
		}
		bus_log_error(BUS_LOG_WARN, "broker not reachable, trying again", err);
		bus_service_pause(e->service, bus_backoff_next_ms(&backoff));
		bus_error_reset(err);
		status = follow_if_connected(e, &moved, err);
		if (status != BUS_OK) {
			return status;
		}
	}
	return BUS_OK;
}

static bus_status
handle(engine *e, const bus_poll *poll, bus_error *err)
{
	switch (poll->kind) {
	case BUS_POLL_DELIVERIES:
		return on_deliveries(e, poll, err);
	case BUS_POLL_ASSIGNED:
		return on_assigned(e, poll, err);
	case BUS_POLL_REVOKED:
	case BUS_POLL_LOST:
		BUS_LOG(BUS_LOG_INFO, "partitions given up",
			BUS_LOG_I("count", (int64_t)e->lane_count));
		give_up(e);
		return BUS_OK;
	case BUS_POLL_OUT_OF_RANGE:
	case BUS_POLL_DAMAGED:
		return on_held(e, poll, err);
	}
	return BUS_OK;
}

/* One turn: poll, handle, and if that failed, recover. */
static bus_status
turn(engine *e, bus_error *err)
{
	bus_error_reset(err);
	bus_poll_limit limit = {
		.events_max = (size_t)bus_config_int(e->service->config,
						     BUS_CONF_WORKER_BATCH_EVENTS),
		.bytes_max = (size_t)bus_config_int(e->service->config,
						    BUS_CONF_WORKER_BATCH_BYTES),
		.timeout_ms = bus_store_in_flight(e->store) > 0 ? 0 : IDLE_POLL_MS,
	};
	bus_poll poll;
	bus_status status = bus_adapter_poll(e->adapter, &limit, &poll, err);
	bool moved = false;
	if (status == BUS_E_RETRY) {
		bus_log_error(BUS_LOG_WARN, "broker not reachable", err);
		bus_service_pause(e->service, IDLE_POLL_MS);
		bus_error_reset(err);
		status = follow_if_connected(e, &moved, err);
		return status == BUS_OK && moved ? join(e, err) : status;
	}
	if (status != BUS_OK) {
		return status;
	}
	bool idle = poll.kind == BUS_POLL_DELIVERIES && poll.count == 0;
	status = handle(e, &poll, err);
	if (status == BUS_OK) {
		status = look_at_held(e, err);
	}
	if (status == BUS_OK && idle) {
		status = follow(e, &moved, err);
	}
	if (status == BUS_OK && moved) {
		return join(e, err);
	}
	if (status != BUS_OK && err->status != BUS_E_FATAL && !stopping(e)) {
		bus_error cause = *err;
		status = recover(e, &cause, err);
	}
	if (status == BUS_OK && e->rejoin) {
		e->rejoin = false;
		bus_adapter_leave(e->adapter);
		drop_lanes(e);
		status = join(e, err);
	}
	return status;
}

static bus_status
open_engine(engine *e, bus_error *err)
{
	bus_status status = bus_registry_create(&e->registry, err);
	if (status == BUS_OK && e->worker->prepare != NULL) {
		status = e->worker->prepare(e->service->config, e->registry, err);
	}
	if (status != BUS_OK) {
		return status;
	}
	e->store = bus_service_store(e->service, "busline_worker");
	e->hasher = bus_hasher_create();
	e->arena = bus_arena_create(1u << 20);
	busp_retry retry = busp_retry_of(e->service->config);
	e->quarantine = busp_quarantine_create(&retry);
	if (e->store == NULL || e->hasher == NULL || e->arena == NULL ||
	    e->quarantine == NULL) {
		return bus_error_set(err, BUS_E_FATAL, "engine", 0, "out of memory");
	}
	return bus_service_open(e->service, e->store, &e->place, &e->adapter, err);
}

static bus_status
load_rows(void *ctx, const bus_row_type *type, const void *const *keys, size_t count,
	  bus_arena *arena, void **ret_rows, size_t *ret_count, bus_error *err)
{
	engine *e = ctx;
	return bus_store_load(e->store, type, keys, count, arena, ret_rows, ret_count,
			      err);
}

static void
close_engine(engine *e)
{
	if (e->adapter != NULL && e->folder != NULL) {
		give_up(e);
		bus_adapter_leave(e->adapter);
	}
	bus_adapter_close(e->adapter);
	bus_store_destroy(e->store);
	bus_registry_destroy(e->registry);
	bus_folder_destroy(e->folder);
	busp_quarantine_destroy(e->quarantine);
	bus_hasher_destroy(e->hasher);
	bus_arena_destroy(e->arena);
	free(e->lanes);
}

bus_status
bus_engine_run(const bus_worker *worker, const bus_service *service, bus_error *err)
{
	engine e = {
		.worker = worker,
		.service = service,
		.backoff = { .base_ms = 20, .cap_ms = 5000, .seed = (uint64_t)getpid() },
	};
	snprintf(e.group, sizeof(e.group), "%s.%s",
		 bus_config_text(service->config, BUS_CONF_WORKER_GROUP), worker->name);
	bus_fold_source source = { .load = load_rows, .ctx = &e };
	e.folder = bus_folder_create(worker, source,
				     (size_t)bus_config_int(service->config,
							    BUS_CONF_WORKER_CACHE_ROWS));
	bus_status status = open_engine(&e, err);
	if (status == BUS_OK) {
		status = join(&e, err);
	}
	if (status == BUS_OK) {
		BUS_LOG(BUS_LOG_INFO, "worker started",
			BUS_LOG_S("topic", bus_str_from(worker->topic)),
			BUS_LOG_S("group", bus_str_from(e.group)),
			BUS_LOG_I("partitions", e.topic_partitions));
	}
	while (status == BUS_OK && !stopping(&e)) {
		status = turn(&e, err);
	}
	if (stopping(&e) && status != BUS_E_FATAL) {
		status = BUS_OK;
	}
	close_engine(&e);
	BUS_LOG(BUS_LOG_INFO, "worker stopped");
	return status;
}
