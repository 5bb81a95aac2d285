/*
 * test_status.c - errors: first cause wins, one line of valid UTF-8
 */
#include "core/status.h"
#include "core/str.h"
#include "core/verdict.h"
#include "tests/support/suite.h"

static void
test_first_cause(void)
{
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL(bus_error_set(&err, BUS_E_RETRY, "kafka", -195, "no %s", "broker"),
			BUS_E_RETRY);
	CU_ASSERT_EQUAL(bus_error_set(&err, BUS_E_FATAL, "pg", 7, "later"), BUS_E_FATAL);
	CU_ASSERT_EQUAL(err.status, BUS_E_RETRY);
	CU_ASSERT_STRING_EQUAL(err.origin, "kafka");
	CU_ASSERT_EQUAL(err.native_code, -195);
	CU_ASSERT_STRING_EQUAL(err.text, "no broker");
	bus_error_reset(&err);
	CU_ASSERT_EQUAL(err.status, BUS_OK);
	CU_ASSERT_STRING_EQUAL(err.text, "");
	CU_ASSERT_EQUAL(bus_error_set(&err, BUS_E_FATAL, "pg", 7, "later"), BUS_E_FATAL);
	CU_ASSERT_STRING_EQUAL(err.text, "later");
	CU_ASSERT_EQUAL(bus_error_set(NULL, BUS_E_ABORT, "pg", 0, "nobody asks"),
			BUS_E_ABORT);
}

static void
test_text_is_clean(void)
{
	bus_error err = BUS_ERROR_INIT;
	(void)bus_error_set(&err, BUS_E_REJECT, "x", 0,
			    "a\nb\tc\x7f"
			    "d %s",
			    "\xff\xc3");
	CU_ASSERT_STRING_EQUAL(err.text, "a b c d ??");

	/* é does not fit whole: 510 bytes, then the first half of it */
	char longest[BUS_ERROR_TEXT_MAX];
	memset(longest, 'x', sizeof(longest));
	longest[BUS_ERROR_TEXT_MAX - 2] = '\0';
	bus_error_reset(&err);
	(void)bus_error_set(&err, BUS_E_REJECT, "x", 0, "%s\xc3\xa9 end", longest);
	CU_ASSERT_EQUAL(strlen(err.text), BUS_ERROR_TEXT_MAX - 1);
	CU_ASSERT_TRUE(bus_utf8_valid(bus_str_from(err.text)));
	CU_ASSERT_EQUAL(err.text[BUS_ERROR_TEXT_MAX - 2], '?');
}

static void
test_names(void)
{
	static const struct {
		bus_status status;
		const char *name;
	} rows[] = {
		{ BUS_OK, "OK" },           { BUS_E_RETRY, "RETRY" },
		{ BUS_E_ABORT, "ABORT" },   { BUS_E_UNKNOWN, "UNKNOWN" },
		{ BUS_E_REJECT, "REJECT" }, { BUS_E_FATAL, "FATAL" },
		{ (bus_status)99, "?" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CU_ASSERT_STRING_EQUAL(bus_status_name(rows[i].status), rows[i].name);
	}
	CU_ASSERT_STRING_EQUAL(bus_verdict_name(BUS_APPLIED), "APPLIED");
	CU_ASSERT_STRING_EQUAL(bus_verdict_name(BUS_IGNORED), "IGNORED");
	CU_ASSERT_STRING_EQUAL(bus_verdict_name(BUS_REJECTED), "REJECTED");
	CU_ASSERT_STRING_EQUAL(bus_verdict_name(BUS_REROUTED), "REROUTED");
	CU_ASSERT_STRING_EQUAL(bus_verdict_name((bus_verdict)99), "?");
}

static const bus_case cases[] = {
	{ "the first cause wins until it is reset", test_first_cause },
	{ "the text is one line of valid UTF-8", test_text_is_clean },
	{ "every status and verdict has its name", test_names },
	{ 0 },
};

const bus_suite_def bus_suite = { .name = "status", .cases = cases };
