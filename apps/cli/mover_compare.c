/*
 * mover_compare.c - both sides read back and compared, record by record
 *
 * DESIGN
 * The new side has a record at every offset, so its ranges are read to their ends. Where it
 * has a filler the old side has none, or a filler: behind the last record that is no filler,
 * what the old side does not deliver within a while is not there.
 */
#include <stdlib.h>
#include <string.h>

#include "apps/cli/cli.h"
#include "apps/cli/mover.h"
#include "core/event.h"
#include "core/filler.h"

/* Records of each partition that are held against each other at a time. */
#define ROUND_RECORDS 2000
#define POLL_MS 200
#define SILENT_MS 5000

/* What one side has in the range of one part. */
typedef struct seen {
	bus_digest *digests; /* by offset - lo; all zeros: no record, or a filler */
	int64_t lo, hi;
	int64_t first; /* before this, it is cut off */
	int64_t next;  /* read so far */
	int64_t until; /* up to here there must be something to read */
} seen;

static const bus_digest nothing;

static bool
is_nothing(const bus_digest *digest)
{
	return memcmp(digest, &nothing, sizeof(nothing)) == 0;
}

static bus_digest
digest_of(bus_mover *mover, const bus_record *record, bus_arena *arena)
{
	bus_hasher_begin(mover->hasher);
	bus_hasher_field(mover->hasher, record->key);
	bus_hasher_field(mover->hasher,
			 bus_headers_pack(record->headers, record->header_count, arena));
	bus_hasher_field(mover->hasher, record->value);
	return bus_hasher_end(mover->hasher);
}

/* Was it waited for? */
static bool
take(bus_mover *mover, seen *side, const bus_delivery *delivery, bus_arena *arena)
{
	const bus_mover_part *part =
		busp_mover_part(mover, delivery->topic, delivery->partition);
	if (part == NULL) {
		return false;
	}
	seen *at = &side[part - mover->parts];
	if (delivery->offset < at->next || at->next >= at->hi) {
		return false;
	}
	at->next = delivery->offset + 1;
	if (delivery->offset < at->hi && !bus_is_filler(&delivery->record)) {
		at->digests[delivery->offset - at->lo] =
			digest_of(mover, &delivery->record, arena);
	}
	return true;
}

/* Is there something to read that has not come? What need not be there is waited for as long as
 * it might come. */
static bool
is_unread(const bus_mover *mover, const seen *side, int64_t silent_ms)
{
	for (size_t i = 0; i < mover->part_count; i++) {
		bool must = side[i].next < side[i].until;
		if (must || (side[i].next < side[i].hi && silent_ms <= SILENT_MS)) {
			return true;
		}
	}
	return false;
}

static bus_status
start(bus_mover *mover, bus_adapter *adapter, const seen *side, bus_arena *arena,
      bus_error *err)
{
	size_t count = 0;
	bus_position *positions =
		bus_arena_alloc(arena, (mover->part_count + 1) * sizeof(*positions));
	for (size_t i = 0; i < mover->part_count; i++) {
		if (side[i].next < side[i].hi) {
			positions[count++] =
				(bus_position){ mover->parts[i].topic->name,
						mover->parts[i].partition, side[i].next };
		}
	}
	bus_adapter_stop(adapter);
	return count == 0 ? BUS_OK : bus_adapter_start(adapter, positions, count, err);
}

/* Retention was faster: reading goes on where the log begins now. */
static bus_status
pass_cut(bus_mover *mover, bus_adapter *adapter, seen *side, const bus_poll *poll,
	 bus_error *err)
{
	bus_position at = poll->partitions[0];
	const bus_mover_part *part = busp_mover_part(mover, at.topic, at.partition);
	seen *cut = &side[part - mover->parts];
	int64_t first = 0;
	at.topic = part->topic->name;
	bus_status status =
		busp_mover_offset(mover, adapter, part, BUS_OFFSET_EARLIEST, &first, err);
	if (status == BUS_OK && (poll->kind == BUS_POLL_DAMAGED || first <= cut->next)) {
		return bus_error_set(err, BUS_E_REJECT, "mover", 0,
				     "%s/%d@%lld on the %s broker: the record cannot be "
				     "read",
				     at.topic, at.partition, (long long)at.offset,
				     adapter == mover->from ? "old" : "new");
	}
	if (status != BUS_OK) {
		return status;
	}
	cut->first = cut->next = at.offset = first;
	return first < cut->hi ? bus_adapter_start(adapter, &at, 1, err) : BUS_OK;
}

static bus_status
read_side(bus_mover *mover, bus_adapter *adapter, seen *side, bus_error *err)
{
	const bus_poll_limit limit = { BUSP_MOVER_BATCH, BUSP_MOVER_BATCH_BYTES, POLL_MS };
	bus_arena *arena = bus_arena_create(64u * 1024u);
	bus_status status = start(mover, adapter, side, arena, err);
	int64_t heard_ms = bus_clock_mono_ms(mover->clock);
	int64_t now_ms = heard_ms;
	while (status == BUS_OK && is_unread(mover, side, now_ms - heard_ms)) {
		bus_poll poll = { 0 };
		bus_arena_reset(arena);
		status = busp_mover_tick(mover, err);
		if (status != BUS_OK) {
			break;
		}
		status = bus_adapter_poll(adapter, &limit, &poll, err);
		if (status == BUS_E_RETRY) {
			status = busp_mover_again(mover, heard_ms, err);
			continue;
		}
		now_ms = bus_clock_mono_ms(mover->clock);
		if (status == BUS_OK && poll.kind != BUS_POLL_DELIVERIES) {
			status = pass_cut(mover, adapter, side, &poll, err);
			continue;
		}
		for (size_t i = 0; i < poll.count && status == BUS_OK; i++) {
			bool wanted = take(mover, side, &poll.deliveries[i], arena);
			heard_ms = wanted ? now_ms : heard_ms;
		}
		if (now_ms - heard_ms > BUSP_MOVER_PATIENCE_MS) {
			status = bus_error_set(err, BUS_E_RETRY, "mover", 0,
					       "a log could not be read back within %d s",
					       BUSP_MOVER_PATIENCE_MS / 1000);
		}
	}
	bus_adapter_stop(adapter);
	bus_arena_destroy(arena);
	return status;
}

/* The part's digest goes on over what both sides have. */
static bus_status
match(bus_mover *mover, bus_mover_part *part, const seen *from, const seen *to,
      bus_error *err)
{
	int64_t first = from->first > to->first ? from->first : to->first;
	for (int64_t offset = first; offset < to->hi; offset++) {
		const bus_digest *old = &from->digests[offset - to->lo];
		const bus_digest *new = &to->digests[offset - to->lo];
		if (memcmp(old, new, sizeof(*old)) != 0) {
			return busp_mover_refuse(
				part, offset,
				is_nothing(old) ? "the old broker has no such record" :
						  "the brokers have different records",
				err);
		}
		if (!is_nothing(new)) {
			bus_hasher_begin(mover->hasher);
			bus_hasher_add(mover->hasher, part->digest.bytes,
				       BUS_DIGEST_BYTES);
			bus_hasher_be64(mover->hasher, (uint64_t)offset);
			bus_hasher_add(mover->hasher, new->bytes, BUS_DIGEST_BYTES);
			part->digest = bus_hasher_end(mover->hasher);
			part->compared++;
		}
	}
	return BUS_OK;
}

static seen *
side_of(const bus_mover *mover, const busp_mover_range *ranges, bus_arena *arena)
{
	seen *side = bus_arena_alloc(arena, (mover->part_count + 1) * sizeof(*side));
	for (size_t i = 0; i < mover->part_count; i++) {
		size_t count = (size_t)(ranges[i].hi - ranges[i].lo);
		side[i] = (seen){ .lo = ranges[i].lo,
				  .hi = ranges[i].hi,
				  .first = ranges[i].lo,
				  .next = ranges[i].lo,
				  .until = ranges[i].hi };
		side[i].digests =
			bus_arena_alloc(arena, (count + 1) * sizeof(*side[i].digests));
		memset(side[i].digests, 0, (count + 1) * sizeof(*side[i].digests));
	}
	return side;
}

bus_status
busp_mover_compare_ranges(bus_mover *mover, const busp_mover_range *ranges, bus_error *err)
{
	bus_arena *arena = bus_arena_create(1u << 20);
	seen *from = side_of(mover, ranges, arena);
	seen *to = side_of(mover, ranges, arena);
	mover->reading = false;
	bus_status status = read_side(mover, mover->to, to, err);
	for (size_t i = 0; i < mover->part_count; i++) {
		/* up to the last that is no filler */
		while (from[i].until > from[i].lo &&
		       is_nothing(&to[i].digests[from[i].until - 1 - to[i].lo])) {
			from[i].until--;
		}
		/* what is before is compared: the old side has nothing there */
		int64_t start_at = mover->parts[i].from_start;
		from[i].next = start_at > from[i].lo ? start_at : from[i].lo;
	}
	if (status == BUS_OK) {
		status = read_side(mover, mover->from, from, err);
	}
	for (size_t i = 0; i < mover->part_count && status == BUS_OK; i++) {
		status = match(mover, &mover->parts[i], &from[i], &to[i], err);
	}
	bus_arena_destroy(arena);
	return status;
}

static bus_status
bounds(bus_mover *mover, int64_t last, busp_mover_range *ranges, bus_error *err)
{
	for (size_t i = 0; i < mover->part_count; i++) {
		bus_mover_part *part = &mover->parts[i];
		bus_status status =
			busp_mover_offset(mover, mover->from, part, BUS_OFFSET_EARLIEST,
					  &part->from_start, err);
		if (status == BUS_OK) {
			status = busp_mover_offset(mover, mover->to, part,
						   BUS_OFFSET_EARLIEST, &part->to_start,
						   err);
		}
		if (status != BUS_OK) {
			return status;
		}
		int64_t lo = part->to_start > part->from_start ? part->to_start :
								 part->from_start;
		if (part->next - last > lo) {
			lo = part->next - last;
		}
		ranges[i].lo = lo < part->next ? lo : part->next;
		part->digest = nothing;
		part->compared = 0;
	}
	return BUS_OK;
}

bus_status
bus_mover_compare(bus_mover *mover, int64_t last, bus_error *err)
{
	busp_mover_range *ranges =
		bus_arena_alloc(mover->arena, (mover->part_count + 1) * sizeof(*ranges));
	bus_status status = bounds(mover, last, ranges, err);
	mover->to_compare = mover->compared = 0;
	for (size_t i = 0; i < mover->part_count && status == BUS_OK; i++) {
		mover->to_compare += mover->parts[i].next - ranges[i].lo;
	}
	while (status == BUS_OK && mover->compared < mover->to_compare) {
		int64_t round = 0;
		for (size_t i = 0; i < mover->part_count; i++) {
			int64_t left = mover->parts[i].next - ranges[i].lo;
			left = left < ROUND_RECORDS ? left : ROUND_RECORDS;
			ranges[i].hi = ranges[i].lo + left;
			round += left;
		}
		status = busp_mover_compare_ranges(mover, ranges, err);
		mover->compared += round;
		for (size_t i = 0; i < mover->part_count; i++) {
			ranges[i].lo = ranges[i].hi;
		}
	}
	mover->to_compare = mover->compared = 0;
	return status;
}
