/*
 * log.h - one JSON line per message, on stderr
 *
 * Logged once, at the top: only workers and apps log above debug. Under journald
 * (JOURNAL_STREAM set) lines carry their <N> priority in front.
 */
#ifndef BUS_CORE_LOG_H
#define BUS_CORE_LOG_H

#include "core/clock.h"
#include "core/status.h"
#include "core/str.h"

typedef enum bus_log_level {
	BUS_LOG_DEBUG,
	BUS_LOG_INFO,
	BUS_LOG_WARN,
	BUS_LOG_ERROR,
} bus_log_level;

/* A field of the line; ends with { 0 }. */
typedef struct bus_log_field {
	const char *name;
	enum { BUS_LOG_END = 0, BUS_LOG_TEXT, BUS_LOG_INT } kind;
	bus_str text;
	int64_t integer;
} bus_log_field;

#define BUS_LOG_S(field_name, str)                                                       \
	{                                                                                \
		.name = (field_name), .kind = BUS_LOG_TEXT, .text = (str)                \
	}
#define BUS_LOG_I(field_name, value)                                                     \
	{                                                                                \
		.name = (field_name), .kind = BUS_LOG_INT, .integer = (value)            \
	}

/* Once at start: the process's role ("worker deploy") and the least level written. */
void bus_log_init(const char *role, bus_log_level least, const bus_clock *clock);

/* "debug", "info", "warn", "error"; false if it is none. */
bool bus_log_level_parse(bus_str text, bus_log_level *ret_level);

/**
 * bus_log - write one line
 *
 * @message: what happened, a constant sentence; what varies goes into fields
 * @fields: ended by a zero row, or NULL
 *
 * One write(2) per line, cut at 8 KiB. Threads: any. Never fails: what cannot be
 * written is lost and counted in the next line that can.
 */
void bus_log(bus_log_level level, const char *message, const bus_log_field *fields);

/* The usual call: BUS_LOG(BUS_LOG_INFO, "assigned", BUS_LOG_I("partition", p)); */
#define BUS_LOG(level, message, ...)                                                     \
	bus_log(level, message,                                                          \
		(const bus_log_field[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })

/* For a message that strangers can provoke: at most lines_max lines of it per
 * BUS_LOG_LIMIT_MS; those left out are counted. The rest zeroed; the caller's lock. */
typedef struct bus_log_limit {
	unsigned lines_max;
	unsigned lines;   /* since since_ms */
	int64_t since_ms; /* of the monotonic clock */
	int64_t told_ms;  /* of left_out, last */
	int64_t left_out;
} bus_log_limit;

#define BUS_LOG_LIMIT_MS 1000

/* May the line be written? If not, it is counted. */
bool bus_log_limit_admit(bus_log_limit *limit, int64_t now_ms);

/**
 * bus_log_limit_left_out - how many were left out that nobody was told of
 *
 * @now_ms: INT64_MAX: at the end, whatever there is
 *
 * To be asked now and then, and told when it is not 0; it is 0 if the last answer that was
 * not is less than BUS_LOG_LIMIT_MS ago. Lines written and all answers add up to what
 * happened.
 */
int64_t bus_log_limit_left_out(bus_log_limit *limit, int64_t now_ms);

/* A line with status, origin, native code, SQLSTATE and text of err. */
void bus_log_error(bus_log_level level, const char *message, const bus_error *err);

#endif
