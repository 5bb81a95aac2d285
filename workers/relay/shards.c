/*
 * shards.c - which shards of the outbox are ours: heartbeat, fair share, marks
 *
 * DESIGN
 * The streams are divided into shards, the shards among the relays that live. A heartbeat
 * says that we live and answers what our part is: shards that nobody alive has are taken by
 * the one who needs them, and who has more than its share gives some up. That happens between
 * two turns, when nothing is on its way: what was sent is settled, and is marked before the
 * shard goes, so an orderly move publishes nothing twice.
 *
 * Each shard has an epoch of its own, and the statement that marks compares it. Whatever was
 * known of a shard's streams is forgotten with the shard; the marks in PostgreSQL are where
 * its next relay starts, and where we do if it comes back.
 */
#include <assert.h>
#include <string.h>

#include "core/log.h"
#include "workers/relay/relay.h"

/* Whoever has less than its share looks this often, since the others are about to give it up:
 * as long as that takes, nobody publishes those shards. */
#define HUNGRY_PARTS 50
#define HUNGRY_MS_MIN 20

static int
count_of(bus_relay_shards shards)
{
	return __builtin_popcount(shards);
}

bus_relay_shards
busp_relay_ours(const busp_relay *relay)
{
	bus_relay_shards ours = 0;
	for (int shard = 0; shard < BUS_RELAY_SHARDS; shard++) {
		if (relay->epochs[shard] != 0) {
			ours |= (bus_relay_shards)1 << shard;
		}
	}
	return ours;
}

void
busp_relay_forget(busp_relay *relay, bus_relay_shards shards)
{
	size_t kept = 0;
	for (size_t i = 0; i < relay->stream_count; i++) {
		int shard = bus_relay_shard_of(relay->streams[i].stream);
		if ((shards >> shard & 1) == 0) {
			relay->streams[kept++] = relay->streams[i];
		}
	}
	relay->stream_count = kept;
	busp_relay_drop(relay);
}

/* These are not ours any more. */
static void
part_with(busp_relay *relay, bus_relay_shards shards)
{
	busp_relay_forget(relay, shards);
	for (int shard = 0; shard < BUS_RELAY_SHARDS; shard++) {
		if ((shards >> shard & 1) != 0) {
			relay->epochs[shard] = 0;
		}
	}
}

static void
lose(busp_relay *relay, bus_relay_shards shards)
{
	part_with(relay, shards);
	BUS_LOG(BUS_LOG_WARN, "shards lost to another relay",
		BUS_LOG_I("lost", count_of(shards)),
		BUS_LOG_I("left", count_of(busp_relay_ours(relay))));
}

/* What the heartbeat answered is what is ours; returns what has been another's since. */
static bus_relay_shards
adopt(busp_relay *relay, const bus_relay_part *part)
{
	bus_relay_shards lost = 0, taken = 0;
	for (int shard = 0; shard < BUS_RELAY_SHARDS; shard++) {
		bus_relay_shards bit = (bus_relay_shards)1 << shard;
		if (part->epochs[shard] != relay->epochs[shard]) {
			lost |= relay->epochs[shard] != 0 ? bit : 0;
			taken |= part->epochs[shard] != 0 ? bit : 0;
		}
	}
	if (lost != 0) {
		lose(relay, lost);
	}
	memcpy(relay->epochs, part->epochs, sizeof(relay->epochs));
	if (taken != 0) {
		BUS_LOG(BUS_LOG_INFO, "shards taken", BUS_LOG_I("taken", count_of(taken)),
			BUS_LOG_I("now", count_of(busp_relay_ours(relay))));
		/* Tables that the one before us has published are there to be emptied. */
		relay->rotations = BUSP_RELAY_ROTATIONS;
		relay->rotated_ms = busp_relay_now(relay) - BUSP_RELAY_ROTATE_MS;
	}
	return lost;
}

/* Until the next heartbeat: soon if shards are missing, or when another relay may be dead. */
static int64_t
rest_ms(const busp_relay *relay, const bus_relay_part *part)
{
	int64_t wait_ms = relay->lease_ms / BUSP_RELAY_LEASE_PARTS;
	if (count_of(busp_relay_ours(relay)) < part->share) {
		wait_ms = relay->lease_ms / HUNGRY_PARTS;
		wait_ms = wait_ms < HUNGRY_MS_MIN ? HUNGRY_MS_MIN : wait_ms;
	}
	return part->others_ms < wait_ms ? part->others_ms + 1 : wait_ms;
}

static bus_status
beat(busp_relay *relay, bus_relay_shards given, bus_relay_part *ret_part,
     bus_relay_shards *ret_lost, bus_error *err)
{
	int64_t now_ms = busp_relay_now(relay);
	bus_status status = bus_store_relay_renew(relay->store, relay->holder,
						  relay->lease_ms, given, ret_part, err);
	if (status == BUS_OK) {
		*ret_lost = adopt(relay, ret_part);
		relay->renew_ms = now_ms + rest_ms(relay, ret_part);
	}
	return status;
}

/* Those of ours that are too many. */
static bus_relay_shards
surplus(const busp_relay *relay, int share)
{
	bus_relay_shards ours = busp_relay_ours(relay), given = 0;
	for (int shard = BUS_RELAY_SHARDS - 1; count_of(ours) > share; shard--) {
		given |= ours & (bus_relay_shards)1 << shard;
		ours &= ~((bus_relay_shards)1 << shard);
	}
	return given;
}

bus_status
busp_relay_renew(busp_relay *relay, bus_error *err)
{
	bus_relay_part part;
	bus_relay_shards lost;
	assert(relay->sent.row_count == 0);
	bus_status status = beat(relay, 0, &part, &lost, err);
	if (status != BUS_OK || surplus(relay, part.share) == 0) {
		return status;
	}
	status = busp_relay_mark(relay, err);
	if (status != BUS_OK) {
		return status;
	}
	bus_relay_shards given = surplus(relay, part.share);
	part_with(relay, given);
	BUS_LOG(BUS_LOG_INFO, "shards given up", BUS_LOG_I("given", count_of(given)),
		BUS_LOG_I("left", count_of(busp_relay_ours(relay))));
	return beat(relay, given, &part, &lost, err);
}

bool
busp_relay_robbed(busp_relay *relay)
{
	bus_error err = BUS_ERROR_INIT;
	bus_relay_part part;
	bus_relay_shards lost = 0;
	return bus_store_connected(relay->store) &&
	       beat(relay, 0, &part, &lost, &err) == BUS_OK && lost != 0;
}

bus_status
busp_relay_mark(busp_relay *relay, bus_error *err)
{
	bus_outbox_mark *marks =
		bus_arena_alloc(relay->arena, (relay->stream_count + 1) * sizeof(*marks));
	size_t count = 0;
	for (size_t i = 0; i < relay->stream_count; i++) {
		const busp_relay_stream *stream = &relay->streams[i];
		if (stream->published_seq > stream->marked_seq) {
			marks[count++] = (bus_outbox_mark){
				.stream = stream->stream,
				.seq = stream->published_seq,
				.epoch = relay->epochs[bus_relay_shard_of(stream->stream)],
			};
		}
	}
	bus_relay_shards lost = 0;
	bus_status status = count == 0 ? BUS_OK :
					 bus_store_outbox_mark(relay->store, marks, count,
							       &lost, err);
	if (status != BUS_OK) {
		return status;
	}
	for (size_t i = 0; i < relay->stream_count; i++) {
		relay->streams[i].marked_seq = relay->streams[i].published_seq;
	}
	relay->unrotated += relay->unmarked;
	relay->unmarked = 0;
	relay->rotations = BUSP_RELAY_ROTATIONS;
	if (lost != 0) {
		lose(relay, lost);
		relay->renew_ms = busp_relay_now(relay);
	}
	return BUS_OK;
}
