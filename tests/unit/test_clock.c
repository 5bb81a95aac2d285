/*
 * test_clock.c - clocks, and time as text
 */
#include "core/clock.h"

#include <time.h>

#include "tests/support/suite.h"
#include "tests/unit/rows.h"

static void
test_parse(void)
{
	const struct {
		const char *text;
		int64_t us; /* BUS_TIME_NONE: refused */
	} rows[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1970-01-01t00:00:00z", 0 },
		{ "1970-01-01T00:00:00.000001Z", 1 },
		{ "1969-12-31T23:59:59.999999Z", -1 },
		{ "1970-01-01T00:00:00.1234567899Z", 123456 },
		{ "1970-01-01T00:00:00.5Z", 500000 },
		{ "1970-01-01T01:00:00+01:00", 0 },
		{ "1969-12-31T18:30:00-05:30", 0 },
		{ "1970-01-01T00:00:00-00:00", 0 },
		{ "2018-04-05T17:31:00Z", INT64_C(1522949460000000) },
		{ "2000-02-29T00:00:00Z", INT64_C(951782400000000) },
		{ "2024-02-29T12:00:00Z", INT64_C(1709208000000000) },
		{ "1990-12-31T23:59:60Z", INT64_C(662688000000000) },
		{ "1990-12-31T15:59:60-08:00", INT64_C(662688000000000) },
		{ "0001-01-01T00:00:00Z", INT64_C(-62135596800000000) },
		{ "9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999) },
		{ "", BUS_TIME_NONE },
		{ "2018-04-05", BUS_TIME_NONE },
		{ "2018-04-05T17:31Z", BUS_TIME_NONE },
		{ "2018-04-05T17:31:00", BUS_TIME_NONE },
		{ "2018-04-05 17:31:00Z", BUS_TIME_NONE },
		{ "2018-04-05T17:31:00.Z", BUS_TIME_NONE },
		{ "2018-04-05T17:31:00,5Z", BUS_TIME_NONE },
		{ "2018-04-05T17:31:00Z ", BUS_TIME_NONE },
		{ " 2018-04-05T17:31:00Z", BUS_TIME_NONE },
		{ "2018-4-5T17:31:00Z", BUS_TIME_NONE },
		{ "+018-04-05T17:31:00Z", BUS_TIME_NONE },
		{ "0000-04-05T17:31:00Z", BUS_TIME_NONE },
		{ "2018-00-05T17:31:00Z", BUS_TIME_NONE },
		{ "2018-13-05T17:31:00Z", BUS_TIME_NONE },
		{ "2018-04-00T17:31:00Z", BUS_TIME_NONE },
		{ "2018-04-31T17:31:00Z", BUS_TIME_NONE },
		{ "2023-02-29T17:31:00Z", BUS_TIME_NONE },
		{ "1900-02-29T17:31:00Z", BUS_TIME_NONE },
		{ "2018-04-05T24:00:00Z", BUS_TIME_NONE },
		{ "2018-04-05T17:60:00Z", BUS_TIME_NONE },
		{ "2018-04-05T17:31:61Z", BUS_TIME_NONE },
		{ "2018-04-05T17:31:60Z", BUS_TIME_NONE },
		{ "1990-12-31T23:59:60-08:00", BUS_TIME_NONE },
		{ "2018-04-05T17:31:00+24:00", BUS_TIME_NONE },
		{ "2018-04-05T17:31:00+01:60", BUS_TIME_NONE },
		{ "2018-04-05T17:31:00+0100", BUS_TIME_NONE },
		{ "2018-04-05T17:31:00+01", BUS_TIME_NONE },
		{ "9999-12-31T23:59:60Z", BUS_TIME_NONE },
		{ "9999-12-31T23:59:59-01:00", BUS_TIME_NONE },
		{ "0001-01-01T00:00:00+01:00", BUS_TIME_NONE },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t us = BUS_TIME_NONE;
		bool parsed = bus_time_parse(bus_str_from(rows[i].text), &us);
		BUS_ASSERT_ROW(rows[i].text, parsed == (rows[i].us != BUS_TIME_NONE));
		BUS_ASSERT_ROW(rows[i].text, us == rows[i].us);
	}
	int64_t us = 7;
	CU_ASSERT_FALSE(bus_time_parse(BUS_STR_NULL, &us));
	CU_ASSERT_EQUAL(us, 7);
}

/* Each day of 1600 to 2400 against libc's calendar, there and back. */
static void
test_calendar(void)
{
	unsigned wrong = 0;
	for (int64_t day = -135140; day < 157054; day += 1) {
		time_t seconds =
			(time_t)(day * 86400 + (day * 7919 % 86400 + 86400) % 86400);
		struct tm tm;
		gmtime_r(&seconds, &tm);
		char expected[64];
		strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000000Z", &tm);
		char text[BUS_TIME_TEXT_MAX];
		size_t len = bus_time_format((int64_t)seconds * 1000000, text);
		int64_t us = 0;
		bool parsed = bus_time_parse((bus_str){ text, len }, &us);
		wrong += strcmp(text, expected) != 0 || !parsed ||
			 us != (int64_t)seconds * 1000000;
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void
test_format(void)
{
	const struct {
		int64_t us;
		const char *text;
	} rows[] = {
		{ 0, "1970-01-01T00:00:00.000000Z" },
		{ -1, "1969-12-31T23:59:59.999999Z" },
		{ INT64_C(1795250188123456), "2026-11-21T08:36:28.123456Z" },
		{ INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z" },
		{ INT64_C(253402300800000000), "9999-12-31T23:59:59.999999Z" },
		{ INT64_MAX, "9999-12-31T23:59:59.999999Z" },
		{ BUS_TIME_NONE, "0001-01-01T00:00:00.000000Z" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[BUS_TIME_TEXT_MAX];
		CU_ASSERT_EQUAL(bus_time_format(rows[i].us, text), BUS_TIME_TEXT_MAX - 1);
		CU_ASSERT_STRING_EQUAL(text, rows[i].text);
	}
}

static void
test_clocks(void)
{
	bus_clock_manual manual;
	bus_clock_manual_init(&manual, 1234567);
	CU_ASSERT_EQUAL(bus_clock_wall_us(&manual.clock), 1234567);
	CU_ASSERT_EQUAL(bus_clock_mono_ms(&manual.clock), 0);
	manual.wall_us += 5;
	manual.mono_ms = 9;
	CU_ASSERT_EQUAL(bus_clock_wall_us(&manual.clock), 1234572);
	CU_ASSERT_EQUAL(bus_clock_mono_ms(&manual.clock), 9);

	const bus_clock *system = bus_clock_system();
	int64_t seconds = bus_clock_wall_us(system) / 1000000;
	CU_ASSERT_TRUE(seconds - time(NULL) >= -1 && seconds - time(NULL) <= 1);
	int64_t before = bus_clock_mono_ms(system);
	CU_ASSERT_TRUE(bus_clock_mono_ms(system) >= before);
}

static const bus_case cases[] = {
	{ "RFC 3339 and nothing else", test_parse },
	{ "eight centuries of days, there and back", test_calendar },
	{ "what is outside four-digit years is cut, not overrun", test_format },
	{ "a manual clock moves only when moved", test_clocks },
	{ 0 },
};

const bus_suite_def bus_suite = { .name = "clock", .cases = cases };
