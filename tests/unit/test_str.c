/*
 * test_str.c - views, UTF-8 and JSON escapes
 */
#include "core/str.h"
#include "core/text.h"
#include "tests/support/suite.h"
#include "tests/unit/rows.h"

static void
test_equality(void)
{
	CU_ASSERT_TRUE(bus_str_eq(BUS_STR("ab"), BUS_STR("ab")));
	CU_ASSERT_FALSE(bus_str_eq(BUS_STR("ab"), BUS_STR("ac")));
	CU_ASSERT_FALSE(bus_str_eq(BUS_STR("ab"), BUS_STR("abc")));
	CU_ASSERT_FALSE(bus_str_eq(BUS_STR_NULL, BUS_STR("")));
	CU_ASSERT_TRUE(bus_str_eq(BUS_STR_NULL, BUS_STR_NULL));
	CU_ASSERT_FALSE(bus_str_is(BUS_STR_NULL, ""));
	CU_ASSERT_TRUE(bus_str_is(BUS_STR(""), ""));
	CU_ASSERT_PTR_NULL(bus_str_from(NULL).data);
}

static void
test_utf8(void)
{
	const struct {
		const char *name;
		bus_str text;
		bool valid;
	} rows[] = {
		{ "empty", BUS_STR(""), true },
		{ "ASCII, longer than a word", BUS_STR("0123456789abcdef!"), true },
		{ "U+0080", BUS_STR("\xc2\x80"), true },
		{ "U+07FF", BUS_STR("\xdf\xbf"), true },
		{ "U+0800", BUS_STR("\xe0\xa0\x80"), true },
		{ "U+D7FF", BUS_STR("\xed\x9f\xbf"), true },
		{ "U+E000", BUS_STR("\xee\x80\x80"), true },
		{ "U+FFFF", BUS_STR("\xef\xbf\xbf"), true },
		{ "U+10000", BUS_STR("\xf0\x90\x80\x80"), true },
		{ "U+10FFFF", BUS_STR("\xf4\x8f\xbf\xbf"), true },
		{ "behind eight ASCII bytes", BUS_STR("01234567\xc3\xa9"), true },
		{ "NUL is a character", BUS_STR("a\0b"), true },
		{ "continuation alone", BUS_STR("\x80"), false },
		{ "overlong /", BUS_STR("\xc0\xaf"), false },
		{ "overlong U+007F", BUS_STR("\xc1\xbf"), false },
		{ "overlong U+07FF", BUS_STR("\xe0\x9f\xbf"), false },
		{ "overlong U+FFFF", BUS_STR("\xf0\x8f\xbf\xbf"), false },
		{ "surrogate D800", BUS_STR("\xed\xa0\x80"), false },
		{ "surrogate DFFF", BUS_STR("\xed\xbf\xbf"), false },
		{ "U+110000", BUS_STR("\xf4\x90\x80\x80"), false },
		{ "five bytes", BUS_STR("\xf8\x88\x80\x80\x80"), false },
		{ "FE", BUS_STR("\xfe"), false },
		{ "cut after one of two", BUS_STR("\xc3"), false },
		{ "cut after two of three", BUS_STR("\xe2\x82"), false },
		{ "cut after three of four", BUS_STR("\xf0\x9f\x98"), false },
		{ "continuation missing", BUS_STR("\xc3 "), false },
		{ "bad behind eight ASCII bytes", BUS_STR("01234567\xff"), false },
		{ "bad in the middle of a word",
		  BUS_STR("0123\xff"
			  "567"),
		  false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		BUS_ASSERT_ROW(rows[i].name,
			       bus_utf8_valid(rows[i].text) == rows[i].valid);
	}
}

/* ASCII is looked at eight bytes at a time. */
static void
test_utf8_words(void)
{
	for (size_t at = 0; at < 24; at++) {
		char text[] = "0123456789abcdefghijklmn";
		CU_ASSERT_TRUE(bus_utf8_valid((bus_str){ text, 24 }));
		text[at] = (char)0xff;
		CU_ASSERT_FALSE(bus_utf8_valid((bus_str){ text, 24 }));
	}
}

/* Every two-byte sequence against the definition: only C2..DF 80..BF are characters. */
static void
test_utf8_pairs(void)
{
	unsigned wrong = 0;
	for (unsigned a = 0x80; a <= 0xff; a++) {
		for (unsigned b = 0; b <= 0xff; b++) {
			char bytes[2] = { (char)a, (char)b };
			bool valid = a >= 0xc2 && a <= 0xdf && b >= 0x80 && b <= 0xbf;
			wrong += bus_utf8_valid((bus_str){ bytes, 2 }) != valid;
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void
test_json_units(void)
{
	const struct {
		bus_str text;
		const char *json;
	} rows[] = {
		{ BUS_STR("plain"), "plain" },
		{ BUS_STR("\"\\/"), "\\\"\\\\/" },
		{ BUS_STR("\b\t\n\f\r"), "\\b\\t\\n\\f\\r" },
		{ BUS_STR("\0\x01\x1f\x7f"), "\\u0000\\u0001\\u001f\\u007f" },
		{ BUS_STR("\xc3\xa9\xf0\x9f\x98\x80"), "\xc3\xa9\xf0\x9f\x98\x80" },
		{ BUS_STR("a\xff"
			  "b\xc3"),
		  "a\\ufffdb\\ufffd" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char json[64] = "";
		size_t len = 0;
		for (size_t at = 0; at < rows[i].text.len;) {
			len += busp_json_unit(rows[i].text, &at, json + len);
		}
		json[len] = '\0';
		CU_ASSERT_STRING_EQUAL(json, rows[i].json);
	}
}

static const bus_case cases[] = {
	{ "absent, empty and equal are three things", test_equality },
	{ "UTF-8 is what RFC 3629 says", test_utf8 },
	{ "a wrong byte at any place of a word", test_utf8_words },
	{ "all pairs of bytes", test_utf8_pairs },
	{ "JSON escapes, and a wrong byte becomes U+FFFD", test_json_units },
	{ 0 },
};

const bus_suite_def bus_suite = { .name = "str", .cases = cases };
