/*
 * offsets.h - which part of a partition is meant: the offset grammar of rpk
 *
 *	start           from the oldest          :end     until the newest of now
 *	end             from the newest on       N        from offset N
 *	+N              N past the oldest        -N       the last N
 *	:N              until before offset N    N:M N-M  from N until before M
 *	@T              from a time on           @:T      until a time
 *	@T1:T2          between two times
 *
 * T: 13 digits (milliseconds) or 9 or 10 digits (seconds) since 1970, YYYY-MM-DD,
 * RFC 3339, -10m (ago); T2 also `end` or a duration after T1 (10m).
 */
#ifndef BUS_CLI_OFFSETS_H
#define BUS_CLI_OFFSETS_H

#include "core/status.h"
#include "core/str.h"

typedef enum bus_offset_kind {
	BUS_OFFSET_NONE, /* as an end: go on for ever, or until the newest of now */
	BUS_OFFSET_OLDEST,
	BUS_OFFSET_NEWEST,
	BUS_OFFSET_EXACT,
	BUS_OFFSET_PAST_OLDEST,
	BUS_OFFSET_BEFORE_NEWEST,
	BUS_OFFSET_AT_TIME, /* value in milliseconds since 1970 */
} bus_offset_kind;

typedef struct bus_offset_point {
	bus_offset_kind kind;
	int64_t value;
} bus_offset_point;

typedef struct bus_offset_range {
	bus_offset_point from; /* never NONE */
	bus_offset_point to;   /* the first that is not wanted any more */
} bus_offset_range;

/**
 * bus_offset_range_parse - a range of the grammar above
 *
 * @now_ms: what -10m counts from
 * Errors: BUS_E_REJECT naming the part that is not understood.
 */
BUS_MUST_CHECK bus_status bus_offset_range_parse(const char *text, int64_t now_ms,
						 bus_offset_range *ret_range,
						 bus_error *err);

#endif
