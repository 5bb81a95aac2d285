/*
 * mover_copy.c - the copy itself: in order, one writer, every offset looked at
 *
 * DESIGN
 * What is read in one poll is published in one call. When a publication may or may not be in
 * the new log, the new log is asked where it ends, and reading begins anew from there: what
 * is there counts, if it is what should be there. A record that got in twice shows by its
 * offset, and cannot be taken back: that ends the copy.
 */
#include "apps/cli/cli.h"
#include "apps/cli/mover.h"
#include "core/filler.h"

#define POLL_MS 200
/* The old side's ends are asked for again this often. */
#define LOOK_MS 500
/* Nothing was delivered for so long: what is missing before the seal are offsets without a
 * record. Behind the seal there is a record at the end of every partition. */
#define SILENT_MS 5000
/* A gap in the log is read again before it is believed; a log with more of them has
 * transactions, and is not read twice for each. */
#define GAPS_DOUBTED 100
/* So much may be missing when the old side is sealed: at most about a second's work. */
#define LAG_RECORDS 2000
/* A late request of a writer whose call was given up has come by then, or never comes. */
#define LATE_MS 500
/* What stands for records that are not in the old log any more is cut off after so many. */
#define HEAD_TRIM 1000000
/* Time of those: the oldest there is, so that no search by time ends at one. */
#define HEAD_MS 1

/* ---- publishing ---- */

static bus_status
doubled(const bus_mover_part *part, int64_t wanted, int64_t got, bus_error *err)
{
	return bus_error_set(err, BUS_E_REJECT, "mover", 0,
			     "%s/%d: the record of offset %lld is at %lld on the new "
			     "broker: another producer writes there, or a record got in "
			     "twice; delete the topic there and run this again",
			     part->topic->name, part->partition, (long long)wanted,
			     (long long)got);
}

static void
count_in(bus_mover_part *part, const bus_record *record)
{
	part->next++;
	if (bus_is_filler(record)) {
		part->fillers++;
	} else {
		part->records++;
	}
}

/* Every publication is where it should be: the parts move on. */
static bus_status
settle(bus_mover *mover, bus_error *err)
{
	for (size_t i = 0; i < mover->batch_count; i++) {
		bus_mover_part *part = mover->batch_parts[i];
		bus_publication *publication = &mover->batch[i];
		int64_t offset = publication->ret_offset;
		if (offset < 0) {
			/* the broker had it and has forgotten where: its end tells */
			int64_t end = 0;
			bus_status status =
				busp_mover_offset(mover, mover->to, part,
						  BUS_OFFSET_LATEST, &end, err);
			if (status != BUS_OK) {
				return status;
			}
			offset = end == part->planned ? part->next : end - 1;
		}
		if (offset != part->next) {
			return doubled(part, part->next, offset, err);
		}
		count_in(part, &publication->record);
	}
	mover->batch_count = 0;
	mover->refused_ms = 0;
	return BUS_OK;
}

/* Some of the batch may be in, and some not: the new side's ends tell. */
static bus_status
recover(bus_mover *mover, const bus_error *cause, bus_error *err)
{
	int64_t now_ms = bus_clock_mono_ms(mover->clock);
	mover->refused_ms = mover->refused_ms > 0 ? mover->refused_ms : now_ms;
	if (now_ms - mover->refused_ms > BUSP_MOVER_PATIENCE_MS) {
		*err = *cause;
		return cause->status;
	}
	busp_mover_range *ranges =
		bus_arena_alloc(mover->arena, (mover->part_count + 1) * sizeof(*ranges));
	bus_cli_pause(cause->status == BUS_E_UNKNOWN ? LATE_MS : POLL_MS);
	for (size_t i = 0; i < mover->part_count; i++) {
		bus_mover_part *part = &mover->parts[i];
		int64_t end = 0;
		bus_status status = busp_mover_offset(mover, mover->to, part,
						      BUS_OFFSET_LATEST, &end, err);
		if (status != BUS_OK) {
			return status;
		}
		if (end < part->next || end > part->planned) {
			return doubled(part, part->planned, end, err);
		}
		ranges[i] = (busp_mover_range){ part->next, end };
	}
	for (size_t i = 0; i < mover->batch_count; i++) {
		bus_mover_part *part = mover->batch_parts[i];
		if (part->next < ranges[part - mover->parts].hi) {
			count_in(part, &mover->batch[i].record);
		}
	}
	for (size_t i = 0; i < mover->part_count; i++) {
		mover->parts[i].planned = mover->parts[i].next;
	}
	mover->batch_count = 0;
	mover->recoveries++;
	return busp_mover_compare_ranges(mover, ranges, err);
}

static bus_status
flush(bus_mover *mover, bus_error *err)
{
	if (mover->batch_count == 0) {
		return BUS_OK;
	}
	bus_error mine = BUS_ERROR_INIT;
	bus_status status =
		bus_adapter_publish(mover->to, mover->batch, mover->batch_count,
				    BUSP_MOVER_ANSWER_MS, &mine);
	if (status == BUS_OK) {
		return settle(mover, err);
	}
	if (status == BUS_E_FATAL) {
		*err = mine;
		return status;
	}
	mine.status = status;
	return recover(mover, &mine, err);
}

static bus_status
add(bus_mover *mover, bus_mover_part *part, const bus_record *record,
    int64_t timestamp_ms, bus_error *err)
{
	mover->batch_parts[mover->batch_count] = part;
	mover->batch[mover->batch_count++] = (bus_publication){
		.topic = part->topic->name,
		.partition = part->partition,
		.record = *record,
		.timestamp_ms = timestamp_ms > 0 ? timestamp_ms : 0,
	};
	part->planned++;
	return mover->batch_count == BUSP_MOVER_BATCH ? flush(mover, err) : BUS_OK;
}

/* Fillers up to this offset. A flush on the way may have found that less is in than was planned:
 * then it ends there, for what comes next may be no filler. */
static bus_status
fill(bus_mover *mover, bus_mover_part *part, int64_t until, int64_t timestamp_ms,
     bus_error *err)
{
	const bus_record filler = bus_filler();
	size_t recoveries = mover->recoveries;
	bus_status status = BUS_OK;
	while (part->planned < until && status == BUS_OK &&
	       mover->recoveries == recoveries) {
		status = add(mover, part, &filler, timestamp_ms, err);
		if (status == BUS_OK && mover->batch_count == 0) {
			status = busp_mover_tick(mover, err);
		}
	}
	return status;
}

/* ---- the head of a log ---- */

static bus_status
trim(bus_mover *mover, bus_mover_part *part, int64_t start, bus_error *err)
{
	int64_t since_ms = bus_clock_mono_ms(mover->clock);
	for (;;) {
		bus_status status =
			bus_adapter_trim(mover->to, part->topic->name, part->partition,
					 start, BUSP_MOVER_ANSWER_MS, err);
		if (status == BUS_E_RETRY) {
			status = busp_mover_again(mover, since_ms, err);
			if (status == BUS_OK) {
				continue;
			}
		}
		if (status == BUS_OK) {
			part->to_start = start;
		}
		return status;
	}
}

/* What the old log has no more is not in the new one either, and has its offsets there. */
static bus_status
fill_head(bus_mover *mover, bus_mover_part *part, bus_error *err)
{
	bus_status status = BUS_OK;
	while (part->next < part->from_start && status == BUS_OK) {
		int64_t until = part->next + HEAD_TRIM;
		until = until < part->from_start ? until : part->from_start;
		status = fill(mover, part, until, HEAD_MS, err);
		if (status == BUS_OK) {
			status = flush(mover, err);
		}
		if (status == BUS_OK) {
			status = trim(mover, part, part->next, err);
		}
	}
	if (status == BUS_OK && part->to_start < part->from_start) {
		status = trim(mover, part, part->from_start, err);
	}
	return status;
}

/* ---- reading ---- */

bus_status
bus_mover_look(bus_mover *mover, bus_error *err)
{
	for (size_t i = 0; i < mover->part_count; i++) {
		bus_status status = busp_mover_offset(mover, mover->from,
						      &mover->parts[i], BUS_OFFSET_LATEST,
						      &mover->parts[i].from_end, err);
		if (status != BUS_OK) {
			return status;
		}
	}
	mover->looked_ms = bus_clock_mono_ms(mover->clock);
	return BUS_OK;
}

/* Reads the old side from where the new one ends. */
static bus_status
begin(bus_mover *mover, bus_error *err)
{
	bus_arena *arena = mover->arena;
	bus_position *positions =
		bus_arena_alloc(arena, (mover->part_count + 1) * sizeof(*positions));
	bus_status status = BUS_OK;
	for (size_t i = 0; i < mover->part_count && status == BUS_OK; i++) {
		bus_mover_part *part = &mover->parts[i];
		status = busp_mover_offset(mover, mover->from, part, BUS_OFFSET_EARLIEST,
					   &part->from_start, err);
		if (status == BUS_OK) {
			status = fill_head(mover, part, err);
		}
		positions[i] =
			(bus_position){ part->topic->name, part->partition, part->next };
	}
	if (status == BUS_OK && mover->part_count > 0) {
		status =
			bus_adapter_start(mover->from, positions, mover->part_count, err);
	}
	mover->reading = status == BUS_OK;
	mover->heard_ms = bus_clock_mono_ms(mover->clock);
	return status;
}

/* Offsets are missing before this record. */
static bus_status
pass_gap(bus_mover *mover, bus_mover_part *part, const bus_delivery *delivery,
	 bus_error *err)
{
	if (part->gap_end != delivery->offset && mover->gaps < GAPS_DOUBTED) {
		part->gap_end = delivery->offset;
		mover->reading = false;
		return BUS_OK;
	}
	mover->gaps++;
	return fill(mover, part, delivery->offset, delivery->timestamp_ms, err);
}

static bus_status
take(bus_mover *mover, const bus_delivery *delivery, bus_error *err)
{
	bus_mover_part *part =
		busp_mover_part(mover, delivery->topic, delivery->partition);
	if (part == NULL || delivery->offset < part->planned) {
		return BUS_OK;
	}
	bus_status status = BUS_OK;
	if (delivery->offset > part->planned) {
		status = pass_gap(mover, part, delivery, err);
	}
	if (status != BUS_OK || !mover->reading || part->planned != delivery->offset) {
		return status;
	}
	return add(mover, part, &delivery->record, delivery->timestamp_ms, err);
}

static bus_status
on_damaged(const bus_poll *poll, bus_error *err)
{
	return bus_error_set(err, BUS_E_REJECT, "mover", 0,
			     "%s/%d@%lld on the old broker: the record cannot be read; "
			     "nothing is left out, so nothing is moved",
			     poll->partitions[0].topic, poll->partitions[0].partition,
			     (long long)poll->partitions[0].offset);
}

/* The old side is out of reach: nothing of it is known, not even that it is silent. */
static bus_status
wait_out(bus_mover *mover, const bus_error *cause, bus_error *err)
{
	int64_t now_ms = bus_clock_mono_ms(mover->clock);
	mover->trouble_ms = mover->trouble_ms > 0 ? mover->trouble_ms : now_ms;
	mover->heard_ms = now_ms;
	if (now_ms - mover->trouble_ms > BUSP_MOVER_PATIENCE_MS) {
		*err = *cause;
		return BUS_E_RETRY;
	}
	bus_cli_pause(POLL_MS);
	return BUS_OK;
}

/* One poll, and what it brought is on the new side. */
static bus_status
step(bus_mover *mover, bus_error *err)
{
	const bus_poll_limit limit = { BUSP_MOVER_BATCH, BUSP_MOVER_BATCH_BYTES, POLL_MS };
	bus_poll poll = { 0 };
	bus_status status = busp_mover_tick(mover, err);
	if (status == BUS_OK && !mover->reading) {
		status = begin(mover, err);
	}
	if (status != BUS_OK) {
		return status;
	}
	bus_error mine = BUS_ERROR_INIT;
	status = bus_adapter_poll(mover->from, &limit, &poll, &mine);
	int64_t now_ms = bus_clock_mono_ms(mover->clock);
	if (status == BUS_E_RETRY) {
		return wait_out(mover, &mine, err);
	}
	mover->trouble_ms = 0;
	if (status != BUS_OK) {
		*err = mine;
		return status;
	}
	if (poll.kind == BUS_POLL_DAMAGED) {
		return on_damaged(&poll, err);
	}
	if (poll.kind != BUS_POLL_DELIVERIES) {
		mover->reading =
			false; /* retention was faster: the log begins later now */
		return BUS_OK;
	}
	for (size_t i = 0; i < poll.count && mover->reading && status == BUS_OK; i++) {
		status = take(mover, &poll.deliveries[i], err);
	}
	mover->heard_ms = poll.count > 0 ? now_ms : mover->heard_ms;
	mover->idle = poll.count == 0;
	return status == BUS_OK ? flush(mover, err) : status;
}

/* ---- until when ---- */

bus_status
bus_mover_follow(bus_mover *mover, bus_error *err)
{
	int64_t begun_ms = bus_clock_mono_ms(mover->clock);
	int64_t before = bus_mover_added(mover);
	bus_status status = bus_mover_look(mover, err);
	while (status == BUS_OK) {
		status = step(mover, err);
		int64_t now_ms = bus_clock_mono_ms(mover->clock);
		if (status != BUS_OK ||
		    (!mover->idle && now_ms - mover->looked_ms < LOOK_MS)) {
			continue;
		}
		status = bus_mover_look(mover, err);
		int64_t spent_ms = now_ms - begun_ms + 1;
		int64_t rate = (bus_mover_added(mover) - before) * 1000 / spent_ms;
		int64_t little = rate > LAG_RECORDS ? rate : LAG_RECORDS;
		if (mover->reading && (bus_mover_lag(mover) <= little ||
				       now_ms - mover->heard_ms > SILENT_MS)) {
			return status;
		}
	}
	return status;
}

bus_status
bus_mover_finish(bus_mover *mover, bus_error *err)
{
	bus_status status = bus_mover_look(mover, err);
	mover->heard_ms = bus_clock_mono_ms(mover->clock);
	while (status == BUS_OK && bus_mover_lag(mover) > 0) {
		status = step(mover, err);
		int64_t silent_ms = bus_clock_mono_ms(mover->clock) - mover->heard_ms;
		if (status == BUS_OK && silent_ms > BUSP_MOVER_PATIENCE_MS) {
			status = bus_error_set(err, BUS_E_RETRY, "mover", 0,
					       "the last %lld records of the old broker "
					       "are not delivered",
					       (long long)bus_mover_lag(mover));
		}
	}
	if (status == BUS_OK) {
		status = bus_mover_look(mover, err);
	}
	for (size_t i = 0; i < mover->part_count && status == BUS_OK; i++) {
		const bus_mover_part *part = &mover->parts[i];
		if (part->next != part->from_end) {
			status = bus_error_set(
				err, BUS_E_REJECT, "mover", 0,
				"%s/%d: the old broker ends at %lld although "
				"it is sealed, the new one at %lld",
				part->topic->name, part->partition,
				(long long)part->from_end, (long long)part->next);
		}
	}
	return status;
}
