/*
 * id.h - event ids: UUIDv7 for new events, UUIDv8 for derived ones, identity keys
 *
 * Source: RFC 9562 sections 5.7 (version 7) and 5.8 (version 8).
 */
#ifndef BUS_CORE_ID_H
#define BUS_CORE_ID_H

#include "core/clock.h"
#include "core/status.h"
#include "core/str.h"

#define BUS_UUID_BYTES 16
#define BUS_UUID_TEXT_LEN 36

typedef struct bus_uuid {
	uint8_t bytes[BUS_UUID_BYTES];
} bus_uuid;

/**
 * bus_uuid_v7 - a new time-ordered id
 *
 * Ids of one process grow strictly, also within one millisecond and when the clock
 * steps back (the last millisecond is kept and its counter grows).
 * Errors:  BUS_E_FATAL no randomness from the kernel.
 * Threads: any.
 */
BUS_MUST_CHECK bus_status bus_uuid_v7(const bus_clock *clock, bus_uuid *ret_uuid,
				      bus_error *err);

/**
 * bus_uuid_derive - the id of an event that a worker derives from another
 *
 * @cause_time_us: event time of the cause; BUS_TIME_NONE counts as 0
 * @worker: name of the deriving worker
 * @step: which of its follow-ups this is, unique per cause and worker
 *
 * UUIDv8: 48 bits of milliseconds of the cause's time, the rest SHA-256 over (cause
 * source, cause id, worker, step), each length-prefixed. The same input gives the same
 * id for ever: a follow-up derived twice is a repeat, not a second event.
 */
bus_uuid bus_uuid_derive(int64_t cause_time_us, bus_str cause_source, bus_str cause_id,
			 bus_str worker, bus_str step);

/**
 * bus_identity_key - the 16 bytes under which (source, id) is remembered
 *
 * A UUIDv7 or UUIDv8 id keeps its 48 time bits in front, so that inserts stay at the
 * right edge of the index; the rest, and all of any other id, is SHA-256 of
 * (source, id), length-prefixed.
 */
bus_uuid bus_identity_key(bus_str source, bus_str id);

/* Writes 36 characters and a NUL. */
void bus_uuid_format(const bus_uuid *uuid, char ret_text[BUS_UUID_TEXT_LEN + 1]);

/* The canonical 8-4-4-4-12 form, hex of either case. */
bool bus_uuid_parse(bus_str text, bus_uuid *ret_uuid);

#endif
