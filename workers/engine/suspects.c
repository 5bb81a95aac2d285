/*
 * suspects.c - which event of a failed unit it was
 */
#include "workers/engine/suspects.h"

#include <inttypes.h>
#include <stdio.h>

#include "workers/engine/quarantine.h"

void
busp_suspects_init(busp_suspects *suspects, busp_lane *lanes, size_t lane_count)
{
	*suspects = (busp_suspects){
		.lanes = lanes,
		.lane_count = lane_count,
		.unit = 1,
		.letters_max = BUSP_DRAIN_LETTERS_MAX,
	};
}

/* Three or four failures find the culprit among a thousand. */
static size_t
tenth(size_t count)
{
	return count < 10 ? 1 : count / 10;
}

static busp_refusal *
find(busp_suspects *suspects, int32_t partition, int64_t offset)
{
	for (size_t i = 0; i < BUSP_REFUSALS_MAX; i++) {
		busp_refusal *refusal = &suspects->refusals[i];
		if (refusal->set && refusal->partition == partition &&
		    refusal->offset == offset) {
			return refusal;
		}
	}
	return NULL;
}

/* Is there an event that must be met alone? */
static bool
is_waiting(const busp_suspects *suspects)
{
	for (size_t i = 0; i < BUSP_REFUSALS_MAX; i++) {
		if (suspects->refusals[i].set) {
			return true;
		}
	}
	return false;
}

static busp_lane *
lane_of(const busp_suspects *suspects, int32_t partition)
{
	for (size_t i = 0; i < suspects->lane_count; i++) {
		if (suspects->lanes[i].stream.partition == partition) {
			return &suspects->lanes[i];
		}
	}
	return NULL;
}

/* All that was sent and not committed, and nothing else. */
static void
suspect_sent(busp_suspects *suspects)
{
	for (size_t i = 0; i < suspects->lane_count; i++) {
		busp_lane *lane = &suspects->lanes[i];
		lane->suspect_end =
			lane->touched ? lane->next_offset : lane->stream.next_offset;
	}
}

static bool
any(const busp_suspects *suspects)
{
	for (size_t i = 0; i < suspects->lane_count; i++) {
		const busp_lane *lane = &suspects->lanes[i];
		if (lane->suspect_end > lane->stream.next_offset) {
			return true;
		}
	}
	return false;
}

size_t
busp_suspects_take(busp_suspects *suspects, const bus_delivery *deliveries, size_t count,
		   bool *ret_careful)
{
	bool waiting = is_waiting(suspects);
	*ret_careful = waiting;
	if (!waiting && !any(suspects)) {
		return count;
	}
	const busp_lane *lane = NULL;
	bool all = false; /* are suspects */
	for (size_t taken = 0; taken < count; taken++) {
		const bus_delivery *delivery = &deliveries[taken];
		if (find(suspects, delivery->partition, delivery->offset) != NULL) {
			return taken > 0 ? taken : 1;
		}
		if (lane == NULL || lane->stream.partition != delivery->partition) {
			lane = lane_of(suspects, delivery->partition);
		}
		bool suspect = lane != NULL && delivery->offset < lane->suspect_end;
		if (taken == 0) {
			all = suspect;
			*ret_careful = waiting || suspect;
		}
		if (suspect != all || (suspect && taken == suspects->unit)) {
			return taken;
		}
	}
	return count;
}

/* One event alone, or one letter, has made its unit fail. */
static bus_status
refuse(busp_suspects *suspects, const busp_sent *sent, const char *topic,
       const bus_error *cause, bool *ret_pause, bus_error *err)
{
	busp_refusal *refusal = find(suspects, sent->first_partition, sent->first_offset);
	busp_refusal_kind kind =
		cause->status == BUS_E_REJECT ? BUSP_REFUSED : BUSP_FAILED;
	bool again = refusal != NULL;
	if (again && kind == BUSP_REFUSED) {
		return bus_error_set(err, BUS_E_FATAL, cause->origin, cause->native_code,
				     "event %s/%d@%" PRId64
				     " is refused even as a dead letter: %s",
				     topic, sent->first_partition, sent->first_offset,
				     cause->text);
	}
	if (again) {
		*ret_pause =
			true; /* setting it aside fails, too: not the event's doing */
		return BUS_OK;
	}
	refusal = &suspects->refusals[suspects->refusals[0].set ? 1 : 0];
	*refusal = (busp_refusal){
		.set = true,
		.kind = kind,
		.partition = sent->first_partition,
		.offset = sent->first_offset,
	};
	snprintf(refusal->detail, sizeof(refusal->detail), "%s", cause->text);
	return BUS_OK;
}

bus_status
busp_suspects_learn(busp_suspects *suspects, const busp_sent *sent, const char *topic,
		    const bus_error *cause, bool *ret_pause, bus_error *err)
{
	bool refused = cause->status == BUS_E_REJECT;
	*ret_pause = sent == NULL || (!refused && !bus_store_may_pass(cause));
	if (*ret_pause) {
		return BUS_OK;
	}
	if (sent->event_count > 1) {
		suspects->unit = tenth(sent->event_count);
		suspect_sent(suspects);
		return BUS_OK;
	}
	if (sent->letter_count > 1) {
		suspects->letters_max = tenth(sent->letter_count);
		return BUS_OK;
	}
	return refuse(suspects, sent, topic, cause, ret_pause, err);
}

void
busp_suspects_passed(busp_suspects *suspects, int32_t partition, int64_t next_offset)
{
	for (size_t i = 0; i < BUSP_REFUSALS_MAX; i++) {
		busp_refusal *refusal = &suspects->refusals[i];
		refusal->set = refusal->set && (refusal->partition != partition ||
						refusal->offset >= next_offset);
	}
}

void
busp_suspects_done(busp_suspects *suspects, const busp_sent *sent)
{
	if (sent->letter_count > 0) {
		size_t more = sent->letter_count * 10;
		suspects->letters_max =
			more < BUSP_DRAIN_LETTERS_MAX ? more : BUSP_DRAIN_LETTERS_MAX;
	}
	busp_suspects_passed(suspects, sent->first_partition, sent->first_offset + 1);
}
