/*
 * test_json.c - JSON from outside, with our limits
 */
#include "core/json.h"

#include <stdlib.h>

#include "tests/support/suite.h"
#include "tests/unit/rows.h"

static void
test_texts(void)
{
	const struct {
		const char *name;
		bus_str text;
		const char *says; /* NULL: accepted */
	} rows[] = {
		{ "object", BUS_STR("{\"a\":[1,2.5,true,null,\"x\"]}"), NULL },
		{ "string at the top", BUS_STR("\"x\""), NULL },
		{ "number at the top", BUS_STR("42"), NULL },
		{ "null at the top", BUS_STR("null"), NULL },
		{ "white space around", BUS_STR(" \t\r\n{} \t\r\n"), NULL },
		{ "brackets in a string",
		  BUS_STR("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\""), NULL },
		{ "escaped quote before a bracket",
		  BUS_STR("\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\""), NULL },
		{ "escaped backslash ends the string", BUS_STR("[\"\\\\\",[]]"), NULL },
		{ "least integer", BUS_STR("-9223372036854775808"), NULL },
		{ "greatest integer", BUS_STR("9223372036854775807"), NULL },
		{ "absent", BUS_STR_NULL, "empty" },
		{ "empty", BUS_STR(""), "empty" },
		{ "white space only", BUS_STR("  "), "line 1" },
		{ "trailing text", BUS_STR("{} x"), "line 1 column" },
		{ "two values", BUS_STR("1 2"), "line 1 column" },
		{ "number and NUL", BUS_STR("1\0"), "NUL" },
		{ "NUL in a string", BUS_STR("\"a\0b\""), "NUL" },
		{ "NUL behind a backslash", BUS_STR("\"a\\\0b\""), "invalid escape" },
		{ "escaped NUL in a value", BUS_STR("[\"\\u0000\"]"), "line 1 column" },
		{ "escaped NUL in a name", BUS_STR("{\"a\\u0000b\":1}"), "line 1 column" },
		{ "duplicate name", BUS_STR("{\"a\":1,\"a\":1}"), "duplicate" },
		{ "duplicate name by escape", BUS_STR("{\"a\":1,\"\\u0061\":1}"),
		  "duplicate" },
		{ "duplicate name deep inside", BUS_STR("[{\"b\":{\"a\":1,\"a\":2}}]"),
		  "duplicate" },
		{ "invalid UTF-8", BUS_STR("\"\xff\""), "line 1 column" },
		{ "byte order mark", BUS_STR("\xef\xbb\xbf{}"), "line 1 column" },
		{ "UTF-16", BUS_STR("\"\0a\0\"\0"), "NUL" },
		{ "lone surrogate", BUS_STR("\"\\ud800\""), "line 1 column" },
		{ "single quotes", BUS_STR("{'a':1}"), "line 1 column" },
		{ "trailing comma", BUS_STR("[1,]"), "line 1 column" },
		{ "NaN", BUS_STR("NaN"), "line 1 column" },
		{ "control character in a string", BUS_STR("\"a\nb\""), "line" },
		{ "second line", BUS_STR("{\n\"a\": x}"), "line 2 column" },
		{ "one more than int64", BUS_STR("9223372036854775808"), "does not fit" },
		{ "one less than int64", BUS_STR("-9223372036854775809"), "does not fit" },
		{ "real past double", BUS_STR("1e400"), "does not fit" },
		{ "string never closed", BUS_STR("\"abc"), "line 1 column" },
		{ "ends in a backslash", BUS_STR("\"abc\\"), "line 1 column" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* a copy of exactly that size: a read past the end is found */
		char *copy = malloc(rows[i].text.len + (rows[i].text.len == 0));
		if (rows[i].text.len > 0) {
			memcpy(copy, rows[i].text.data, rows[i].text.len);
		}
		bus_str text = { rows[i].text.data != NULL ? copy : NULL,
				 rows[i].text.len };
		BUS_JSON_AUTO *json = NULL;
		bus_error err = BUS_ERROR_INIT;
		bus_status status = bus_json_parse(text, &json, &err);
		BUS_ASSERT_ROW(rows[i].name, (status == BUS_OK) == (rows[i].says == NULL));
		BUS_ASSERT_ROW(rows[i].name, (json != NULL) == (rows[i].says == NULL));
		if (rows[i].says != NULL) {
			BUS_ASSERT_ROW(rows[i].name, status == BUS_E_REJECT);
			BUS_ASSERT_ROW(rows[i].name,
				       strstr(err.text, rows[i].says) != NULL);
		}
		free(copy);
	}
}

static bus_status
parse_nested(int depth, char open, char close, const char **ret_text)
{
	static char text[512];
	static bus_error err;
	bus_error_reset(&err);
	int len = 0;
	for (int i = 0; i < depth; i++) {
		text[len++] = open;
		if (open == '{') {
			len += sprintf(text + len, "\"a\":");
		}
	}
	text[len++] = '1';
	for (int i = 0; i < depth; i++) {
		text[len++] = close;
	}
	BUS_JSON_AUTO *json = NULL;
	*ret_text = err.text;
	return bus_json_parse((bus_str){ text, (size_t)len }, &json, &err);
}

static void
test_depth(void)
{
	const char *says;
	CU_ASSERT_EQUAL(parse_nested(BUS_JSON_DEPTH_MAX, '[', ']', &says), BUS_OK);
	CU_ASSERT_EQUAL(parse_nested(BUS_JSON_DEPTH_MAX, '{', '}', &says), BUS_OK);
	CU_ASSERT_EQUAL(parse_nested(BUS_JSON_DEPTH_MAX + 1, '[', ']', &says),
			BUS_E_REJECT);
	CU_ASSERT_PTR_NOT_NULL(strstr(says, "deeper than 32"));
	CU_ASSERT_EQUAL(parse_nested(BUS_JSON_DEPTH_MAX + 1, '{', '}', &says),
			BUS_E_REJECT);
	CU_ASSERT_PTR_NOT_NULL(strstr(says, "deeper than 32"));
	/* wide is not deep */
	BUS_JSON_AUTO *json = NULL;
	CU_ASSERT_EQUAL(
		bus_json_parse(
			BUS_STR("[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],"
				"[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]"),
			&json, NULL),
		BUS_OK);
}

static void
test_size(void)
{
	char *text = malloc(BUS_EVENT_BYTES_MAX + 1);
	memset(text, ' ', BUS_EVENT_BYTES_MAX + 1);
	text[0] = '1';
	BUS_JSON_AUTO *json = NULL;
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL(bus_json_parse((bus_str){ text, BUS_EVENT_BYTES_MAX }, &json,
				       &err),
			BUS_OK);
	BUS_JSON_AUTO *larger = NULL;
	CU_ASSERT_EQUAL(bus_json_parse((bus_str){ text, BUS_EVENT_BYTES_MAX + 1 },
				       &larger, &err),
			BUS_E_REJECT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "262145 bytes"));
	CU_ASSERT_PTR_NULL(larger);
	free(text);
}

static void
test_members(void)
{
	BUS_JSON_AUTO *json = NULL;
	CU_ASSERT_EQUAL_FATAL(
		bus_json_parse(BUS_STR("{\"s\":\"x\",\"i\":7,\"r\":1.5,\"n\":null,"
				       "\"whole\":-3.0,\"huge\":1e300}"),
			       &json, NULL),
		BUS_OK);
	CU_ASSERT_TRUE(bus_str_is(bus_json_str(json, "s"), "x"));
	CU_ASSERT_PTR_NULL(bus_json_str(json, "i").data);
	CU_ASSERT_PTR_NULL(bus_json_str(json, "missing").data);
	CU_ASSERT_PTR_NULL(bus_json_str(NULL, "s").data);
	CU_ASSERT_EQUAL(bus_json_int(json, "i", -1), 7);
	CU_ASSERT_EQUAL(bus_json_int(json, "r", -1), -1);
	CU_ASSERT_EQUAL(bus_json_int(json, "whole", -1), -3);
	CU_ASSERT_EQUAL(bus_json_int(json, "huge", -1), -1);
	CU_ASSERT_EQUAL(bus_json_int(json, "n", -1), -1);
	CU_ASSERT_EQUAL(bus_json_int(NULL, "i", -1), -1);
}

static const bus_case cases[] = {
	{ "RFC 8259, and no duplicates, no NUL, no number that does not fit", test_texts },
	{ "32 levels and no more", test_depth },
	{ "256 KiB and no more", test_size },
	{ "members of the wanted type", test_members },
	{ 0 },
};

const bus_suite_def bus_suite = { .name = "json", .cases = cases };
