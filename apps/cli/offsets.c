/*
 * offsets.c - the offset grammar of rpk
 *
 * Source: `rpk topic consume --help` (flag --offset); N-M is ours, for people who write
 * ranges so.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli/cli.h"
#include "apps/cli/offsets.h"

#define TIME_MAX_LEN 64

static bool
busp_digits(const char *text, size_t len)
{
	return len > 0 && strspn(text, "0123456789") >= len;
}

static bool
busp_number(const char *text, size_t len, int64_t *ret_number)
{
	char copy[24];
	if (!busp_digits(text, len) || len >= sizeof(copy)) {
		return false;
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	errno = 0;
	*ret_number = strtoll(copy, NULL, 10);
	return errno == 0;
}

/* One time; after_ms: T1 where a bare duration may follow it, -1 where it may not. */
static bool
busp_time(const char *text, size_t len, int64_t now_ms, int64_t after_ms,
	  bus_offset_point *ret_point)
{
	char copy[TIME_MAX_LEN];
	char day[TIME_MAX_LEN + 10];
	int64_t value;
	if (len == 0 || len >= sizeof(copy)) {
		return false;
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	int64_t at_ms = -1;
	if (strcmp(copy, "end") == 0 && after_ms >= 0) {
		*ret_point = (bus_offset_point){ BUS_OFFSET_NEWEST, 0 };
		return true;
	}
	if (len == 13 && busp_number(copy, len, &value)) {
		at_ms = value;
	} else if ((len == 9 || len == 10) && busp_number(copy, len, &value)) {
		at_ms = value * 1000;
	} else if (bus_time_parse((bus_str){ copy, len }, &value)) {
		at_ms = value / 1000;
	} else if (len == 10) {
		memcpy(day, copy, len);
		strcpy(day + len, "T00:00:00Z");
		at_ms = bus_time_parse(bus_str_from(day), &value) ? value / 1000 : -1;
	} else if (copy[0] == '-' && !busp_digits(copy + 1, len - 1) &&
		   bus_cli_duration_parse(copy + 1, &value)) {
		at_ms = now_ms - value;
	} else if (after_ms >= 0 && !busp_digits(copy, len) &&
		   bus_cli_duration_parse(copy, &value)) {
		at_ms = after_ms + value;
	}
	if (at_ms < 0) {
		return false;
	}
	*ret_point = (bus_offset_point){ BUS_OFFSET_AT_TIME, at_ms };
	return true;
}

/* A time holds colons itself, so every colon may be the one between two times. */
static bool
busp_times(const char *text, int64_t now_ms, bus_offset_range *range)
{
	size_t len = strlen(text);
	range->from = (bus_offset_point){ BUS_OFFSET_OLDEST, 0 };
	if (text[0] == ':') {
		return busp_time(text + 1, len - 1, now_ms, 0, &range->to);
	}
	if (busp_time(text, len, now_ms, -1, &range->from)) {
		return true;
	}
	if (len > 0 && text[len - 1] == ':' &&
	    busp_time(text, len - 1, now_ms, -1, &range->from)) {
		return true;
	}
	const char *colon = text;
	while ((colon = strchr(colon, ':')) != NULL) {
		size_t head = (size_t)(colon - text);
		colon++;
		if (busp_time(text, head, now_ms, -1, &range->from) &&
		    busp_time(colon, strlen(colon), now_ms, range->from.value,
			      &range->to)) {
			return true;
		}
	}
	return false;
}

/* "N", "N:", "N:M", "N-M", ":N", ":end" */
static bool
busp_exact(const char *text, bus_offset_range *range)
{
	size_t head = strspn(text, "0123456789");
	const char *tail = text + head;
	if (head > 0) {
		range->from.kind = BUS_OFFSET_EXACT;
		if (!busp_number(text, head, &range->from.value)) {
			return false;
		}
	} else {
		range->from.kind = BUS_OFFSET_OLDEST;
	}
	if (*tail == '\0' || (head > 0 && strcmp(tail, ":") == 0)) {
		return head > 0;
	}
	if (*tail != ':' && !(*tail == '-' && head > 0)) {
		return false;
	}
	if (strcmp(tail, ":end") == 0) {
		range->to.kind = BUS_OFFSET_NEWEST;
		return true;
	}
	range->to.kind = BUS_OFFSET_EXACT;
	return busp_number(tail + 1, strlen(tail + 1), &range->to.value);
}

static bool
busp_range(const char *text, int64_t now_ms, bus_offset_range *range)
{
	int64_t number;
	if (strcmp(text, "start") == 0) {
		range->from.kind = BUS_OFFSET_OLDEST;
		return true;
	}
	if (strcmp(text, "end") == 0) {
		range->from.kind = BUS_OFFSET_NEWEST;
		return true;
	}
	if (*text == '@') {
		return busp_times(text + 1, now_ms, range);
	}
	if ((*text == '+' || *text == '-') &&
	    busp_number(text + 1, strlen(text + 1), &number)) {
		range->from.kind =
			*text == '+' ? BUS_OFFSET_PAST_OLDEST : BUS_OFFSET_BEFORE_NEWEST;
		range->from.value = number;
		return true;
	}
	return busp_exact(text, range);
}

bus_status
bus_offset_range_parse(const char *text, int64_t now_ms, bus_offset_range *ret_range,
		       bus_error *err)
{
	bus_offset_range range = { 0 };
	if (!busp_range(text, now_ms, &range)) {
		return bus_error_set(
			err, BUS_E_REJECT, "cli", 0,
			"offset '%s': is none of start, end, :end, N, +N, -N, :N, N:M, "
			"@TIME, @-10m, @T1:T2, @-10m:end",
			text);
	}
	bool backwards =
		range.from.kind == range.to.kind && range.to.value < range.from.value;
	if (backwards) {
		return bus_error_set(err, BUS_E_REJECT, "cli", 0,
				     "offset '%s': ends before it begins", text);
	}
	*ret_range = range;
	return BUS_OK;
}
