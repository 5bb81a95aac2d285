/*
 * hold.c - why a partition holds, and what can be done about it
 */
#include "workers/engine/hold.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/log.h"
#include "workers/engine/batch.h"

typedef struct hold_reason {
	const char *kind; /* of the incident */
	const char *message;
	const char *detail; /* follows "topic/partition: the stored position N" */
} hold_reason;

static const hold_reason out_of_range = {
	.kind = "out-of-range",
	.message = "partition held: its position is not in the log",
	.detail =
		"is not in the log any more (cut off by retention, truncated, or the topic "
		"was made anew); the partition holds and nothing is skipped; restore the "
		"log, or move the position with busline.position_move()",
};

static const hold_reason damaged = {
	.kind = "damaged",
	.message = "partition held: the record at its position cannot be read",
	.detail = "is in the log and cannot be read; the partition holds and nothing is "
		  "skipped; see what else is damaged (embedded broker: `busline broker "
		  "check`), then restore the log, or give the record up and move the "
		  "position with busline.position_move()",
};

bus_status
busp_hold_tell(bus_store *store, const char *topic, const bus_stream *stream,
	       bus_poll_kind why, bus_error *err)
{
	const hold_reason *reason = why == BUS_POLL_DAMAGED ? &damaged : &out_of_range;
	char detail[BUSP_DETAIL_MAX];
	snprintf(detail, sizeof(detail), "%s/%d: the stored position %" PRId64 " %s",
		 topic, stream->partition, stream->next_offset, reason->detail);
	BUS_LOG(BUS_LOG_ERROR, reason->message, BUS_LOG_S("detail", bus_str_from(detail)),
		BUS_LOG_I("partition", stream->partition),
		BUS_LOG_I("offset", stream->next_offset));
	bus_incident incident = {
		.kind = reason->kind,
		.topic = topic,
		.partition = stream->partition,
		.offset = stream->next_offset,
		.detail = bus_str_from(detail),
	};
	return bus_store_incident(store, &incident, err);
}

bus_status
busp_hold_gap(bus_store *store, const char *topic, const bus_stream *stream,
	      int64_t gap_end, bus_error *err)
{
	char detail[BUSP_DETAIL_MAX];
	snprintf(detail, sizeof(detail),
		 "%s/%d: the log has no records %" PRId64 " to %" PRId64
		 "; expected if a producer uses transactions or the topic is compacted, "
		 "otherwise records were lost in the broker",
		 topic, stream->partition, stream->next_offset, gap_end - 1);
	BUS_LOG(BUS_LOG_WARN, "offsets missing in the log",
		BUS_LOG_S("detail", bus_str_from(detail)));
	bus_incident incident = {
		.kind = "offset-gap",
		.topic = topic,
		.partition = stream->partition,
		.offset = stream->next_offset,
		.detail = bus_str_from(detail),
	};
	return bus_store_incident(store, &incident, err);
}

size_t
busp_gap_find(busp_lane *lanes, size_t lane_count, const bus_poll *poll,
	      busp_lane **ret_lane)
{
	for (size_t i = 0; i < lane_count; i++) {
		lanes[i].next_offset = lanes[i].stream.next_offset;
	}
	busp_lane *lane = NULL;
	for (size_t d = 0; d < poll->count; d++) {
		const bus_delivery *delivery = &poll->deliveries[d];
		for (size_t i = 0;
		     i < lane_count &&
		     (lane == NULL || lane->stream.partition != delivery->partition);
		     i++) {
			lane = &lanes[i];
		}
		if (lane == NULL || delivery->offset < lane->next_offset) {
			continue;
		}
		if (delivery->offset > lane->next_offset &&
		    lane->gap_end != delivery->offset) {
			*ret_lane = lane;
			return d;
		}
		lane->next_offset = delivery->offset + 1;
	}
	return poll->count;
}
