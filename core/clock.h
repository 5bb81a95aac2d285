/*
 * clock.h - the only place that reads a clock
 *
 * Folds never see one (time is an event); what needs wall time or a deadline takes
 * a bus_clock, so that tests decide what time it is.
 */
#ifndef BUS_CORE_CLOCK_H
#define BUS_CORE_CLOCK_H

#include <stdint.h>

#include "core/str.h"

typedef struct bus_clock {
	int64_t (*wall_us)(void *ctx); /* microseconds since 1970-01-01T00:00:00Z */
	int64_t (*mono_ms)(void *ctx); /* milliseconds, never steps back */
	void *ctx;
} bus_clock;

/* The machine's clocks; static, any thread. */
const bus_clock *bus_clock_system(void);
/* Milliseconds since the machine booted, sleep counted: the same for all its processes. */
int64_t bus_clock_boot_ms(void);

/* A clock that stands still until it is moved; caller's storage, one thread. */
typedef struct bus_clock_manual {
	bus_clock clock;
	int64_t wall_us;
	int64_t mono_ms;
} bus_clock_manual;

void bus_clock_manual_init(bus_clock_manual *manual, int64_t wall_us);

static inline int64_t
bus_clock_wall_us(const bus_clock *clock)
{
	return clock->wall_us(clock->ctx);
}

static inline int64_t
bus_clock_mono_ms(const bus_clock *clock)
{
	return clock->mono_ms(clock->ctx);
}

/* "no time": an absent timestamp */
#define BUS_TIME_NONE INT64_MIN
/* length of "2026-11-21T08:36:28.123456Z" and its NUL */
#define BUS_TIME_TEXT_MAX 28

/**
 * bus_time_parse - RFC 3339 date-time to microseconds since 1970
 *
 * Years 0001 to 9999; any offset; digits past the microsecond are cut; a leap second
 * (:60) is taken as the following second. Returns false on anything else.
 */
bool bus_time_parse(bus_str text, int64_t *ret_us);

/* Writes UTC RFC 3339 with microseconds; returns its length. */
size_t bus_time_format(int64_t time_us, char ret_text[BUS_TIME_TEXT_MAX]);

#endif
