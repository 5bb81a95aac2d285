/*
 * test_cli_offsets.c - the offset grammar of rpk
 */
#include "tests/support/suite.h"

#include "apps/cli/offsets.h"

#define NOW_MS 1700000000000LL

static const struct {
	const char *text;
	bus_offset_point from, to;
} good[] = {
	{ "start", { BUS_OFFSET_OLDEST, 0 }, { BUS_OFFSET_NONE, 0 } },
	{ "end", { BUS_OFFSET_NEWEST, 0 }, { BUS_OFFSET_NONE, 0 } },
	{ ":end", { BUS_OFFSET_OLDEST, 0 }, { BUS_OFFSET_NEWEST, 0 } },
	{ "0", { BUS_OFFSET_EXACT, 0 }, { BUS_OFFSET_NONE, 0 } },
	{ "17", { BUS_OFFSET_EXACT, 17 }, { BUS_OFFSET_NONE, 0 } },
	{ "17:", { BUS_OFFSET_EXACT, 17 }, { BUS_OFFSET_NONE, 0 } },
	{ "17:end", { BUS_OFFSET_EXACT, 17 }, { BUS_OFFSET_NEWEST, 0 } },
	{ ":17", { BUS_OFFSET_OLDEST, 0 }, { BUS_OFFSET_EXACT, 17 } },
	{ "5:17", { BUS_OFFSET_EXACT, 5 }, { BUS_OFFSET_EXACT, 17 } },
	{ "5-17", { BUS_OFFSET_EXACT, 5 }, { BUS_OFFSET_EXACT, 17 } },
	{ "5:5", { BUS_OFFSET_EXACT, 5 }, { BUS_OFFSET_EXACT, 5 } },
	{ "+3", { BUS_OFFSET_PAST_OLDEST, 3 }, { BUS_OFFSET_NONE, 0 } },
	{ "-3", { BUS_OFFSET_BEFORE_NEWEST, 3 }, { BUS_OFFSET_NONE, 0 } },
	{ "@1234567890123",
	  { BUS_OFFSET_AT_TIME, 1234567890123 },
	  { BUS_OFFSET_NONE, 0 } },
	{ "@123456789", { BUS_OFFSET_AT_TIME, 123456789000 }, { BUS_OFFSET_NONE, 0 } },
	{ "@1700000000", { BUS_OFFSET_AT_TIME, 1700000000000 }, { BUS_OFFSET_NONE, 0 } },
	{ "@1700000000:", { BUS_OFFSET_AT_TIME, 1700000000000 }, { BUS_OFFSET_NONE, 0 } },
	{ "@2023-11-14", { BUS_OFFSET_AT_TIME, 1699920000000 }, { BUS_OFFSET_NONE, 0 } },
	{ "@2023-11-14T22:13:20Z",
	  { BUS_OFFSET_AT_TIME, NOW_MS },
	  { BUS_OFFSET_NONE, 0 } },
	{ "@2023-11-14T23:13:20.5+01:00",
	  { BUS_OFFSET_AT_TIME, NOW_MS + 500 },
	  { BUS_OFFSET_NONE, 0 } },
	{ "@-10m", { BUS_OFFSET_AT_TIME, NOW_MS - 600000 }, { BUS_OFFSET_NONE, 0 } },
	{ "@-1h30m", { BUS_OFFSET_AT_TIME, NOW_MS - 5400000 }, { BUS_OFFSET_NONE, 0 } },
	{ "@-10m:end", { BUS_OFFSET_AT_TIME, NOW_MS - 600000 }, { BUS_OFFSET_NEWEST, 0 } },
	{ "@-10m:-5m",
	  { BUS_OFFSET_AT_TIME, NOW_MS - 600000 },
	  { BUS_OFFSET_AT_TIME, NOW_MS - 300000 } },
	{ "@-10m:2m",
	  { BUS_OFFSET_AT_TIME, NOW_MS - 600000 },
	  { BUS_OFFSET_AT_TIME, NOW_MS - 480000 } },
	{ "@:-5m", { BUS_OFFSET_OLDEST, 0 }, { BUS_OFFSET_AT_TIME, NOW_MS - 300000 } },
	{ "@2023-11-14T22:13:20Z:2023-11-14T22:13:21Z",
	  { BUS_OFFSET_AT_TIME, NOW_MS },
	  { BUS_OFFSET_AT_TIME, NOW_MS + 1000 } },
};

static const char *const bad[] = {
	"",          "begin",     "x",           "-",
	"+",         "--3",       "+-3",         "3x",
	"5:x",       ":",         "::",          ":-3",
	"17:5",      "17-5",      "5-",          "-3:4",
	"@",         "@:",        "@now",        "@12345",
	"@-10",      "@-10q",     "@10m",        "@end",
	"@-5m:x",    "@-5m:-10m", "@2023-13-01", "99999999999999999999999",
	"start:end",
};

static void
test_understood(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		bus_error err = BUS_ERROR_INIT;
		bus_offset_range range = { 0 };
		bus_status status =
			bus_offset_range_parse(good[i].text, NOW_MS, &range, &err);
		bool same = status == BUS_OK && range.from.kind == good[i].from.kind &&
			    range.from.value == good[i].from.value &&
			    range.to.kind == good[i].to.kind &&
			    range.to.value == good[i].to.value;
		if (!same) {
			fprintf(stderr, "'%s': %s, %d %lld to %d %lld\n", good[i].text,
				err.text, range.from.kind, (long long)range.from.value,
				range.to.kind, (long long)range.to.value);
		}
		CU_ASSERT(same);
	}
}

static void
test_refused(void)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bus_error err = BUS_ERROR_INIT;
		bus_offset_range range = { { BUS_OFFSET_EXACT, 7 },
					   { BUS_OFFSET_EXACT, 9 } };
		if (bus_offset_range_parse(bad[i], NOW_MS, &range, &err) != BUS_E_REJECT) {
			fprintf(stderr, "'%s' was taken\n", bad[i]);
			CU_FAIL("a wrong range was taken");
		}
		CU_ASSERT(range.from.value == 7 && range.to.value == 9);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, bad[i]));
	}
}

static const bus_case cases[] = {
	{ "every form of the grammar is understood", test_understood },
	{ "anything else is refused by name and changes nothing", test_refused },
	{ 0 },
};

const bus_suite_def bus_suite = { "cli offsets", cases, NULL, NULL };
