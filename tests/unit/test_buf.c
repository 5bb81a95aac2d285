/*
 * test_buf.c - a growing byte buffer
 */
#include "core/buf.h"
#include "tests/support/suite.h"

static void
test_append(void)
{
	BUS_BUF_AUTO buf = { 0 };
	CU_ASSERT_TRUE(bus_str_is(bus_buf_view(&buf), ""));
	bus_buf_cstr(&buf, "ab");
	bus_buf_str(&buf, BUS_STR("c"));
	bus_buf_str(&buf, BUS_STR_NULL);
	bus_buf_byte(&buf, 'd');
	bus_buf_printf(&buf, "%d-%s", 12, "x");
	CU_ASSERT_TRUE(bus_str_is(bus_buf_view(&buf), "abcd12-x"));
	CU_ASSERT_EQUAL(buf.data[buf.len], '\0');
	bus_buf_clear(&buf);
	CU_ASSERT_TRUE(bus_str_is(bus_buf_view(&buf), ""));
	CU_ASSERT_EQUAL(buf.data[0], '\0');
	bus_buf_fini(&buf);
	CU_ASSERT_PTR_NULL(buf.data);
	bus_buf_fini(NULL);
}

static void
test_numbers(void)
{
	BUS_BUF_AUTO buf = { 0 };
	bus_buf_be32(&buf, 0x01020304u);
	bus_buf_be64(&buf, UINT64_C(0xfffefdfcfbfaf9f8));
	static const uint8_t expected[] = { 1,    2,    3,    4,    0xff, 0xfe,
					    0xfd, 0xfc, 0xfb, 0xfa, 0xf9, 0xf8 };
	CU_ASSERT_EQUAL_FATAL(buf.len, sizeof(expected));
	CU_ASSERT_EQUAL(memcmp(buf.data, expected, sizeof(expected)), 0);
}

static void
test_growth(void)
{
	BUS_BUF_AUTO buf = { 0 };
	for (size_t i = 0; i < 100000; i++) {
		bus_buf_byte(&buf, (uint8_t)(i * 7));
	}
	unsigned wrong = 0;
	for (size_t i = 0; i < 100000; i++) {
		wrong += (uint8_t)buf.data[i] != (uint8_t)(i * 7);
	}
	CU_ASSERT_EQUAL(buf.len, 100000);
	CU_ASSERT_EQUAL(wrong, 0);
	/* room for exactly as much as asked, every size */
	for (size_t len = 0; len < 300; len++) {
		BUS_BUF_AUTO small = { 0 };
		char *to = bus_buf_reserve(&small, len);
		memset(to, 'z', len);
		small.len += len;
		bus_buf_append(&small, "", 0);
		CU_ASSERT_EQUAL(small.data[len], '\0');
		CU_ASSERT_EQUAL(strlen(small.data), len);
	}
	BUS_BUF_AUTO text = { 0 };
	bus_buf_printf(&text, "%70000d", 5);
	CU_ASSERT_EQUAL(text.len, 70000);
}

static void
test_json(void)
{
	BUS_BUF_AUTO buf = { 0 };
	bus_buf_json_string(&buf, BUS_STR("a\"\\\n\x01\xc3\xa9\xff"));
	CU_ASSERT_TRUE(bus_str_is(bus_buf_view(&buf),
				  "\"a\\\"\\\\\\n\\u0001\xc3\xa9\\ufffd\""));
}

static const bus_case cases[] = {
	{ "every way to append, NUL-terminated", test_append },
	{ "numbers are big-endian", test_numbers },
	{ "growth loses nothing", test_growth },
	{ "a JSON string is valid whatever the bytes", test_json },
	{ 0 },
};

const bus_suite_def bus_suite = { .name = "buf", .cases = cases };
