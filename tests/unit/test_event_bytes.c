/*
 * test_event_bytes.c - the digest of a record, packed headers
 */
#include <stdlib.h>

#include "core/event.h"
#include "tests/support/suite.h"
#include "tests/unit/rows.h"

static bus_arena *arena;
static bus_hasher *hasher;

static int
setup(void)
{
	arena = bus_arena_create(64 * 1024);
	hasher = bus_hasher_create();
	return arena == NULL;
}

static int
teardown(void)
{
	bus_hasher_destroy(hasher);
	bus_arena_destroy(arena);
	return 0;
}

static bus_digest
digest(bus_str key, bus_str value, const bus_header *headers, size_t count)
{
	bus_record record = { key, value, headers, count };
	return bus_record_digest(&record, hasher, arena);
}

static void
test_digest(void)
{
	const bus_header a[] = { { BUS_STR("ce_type"), BUS_STR("t") },
				 { BUS_STR("Content-Type"), BUS_STR("application/json") },
				 { BUS_STR("ce_id"), BUS_STR("1") } };
	const bus_header b[] = { { BUS_STR("content-type"), BUS_STR("application/json") },
				 { BUS_STR("CE_ID"), BUS_STR("1") },
				 { BUS_STR("traceparent"), BUS_STR("00-...") },
				 { BUS_STR("ce-id"), BUS_STR("of HTTP") },
				 { BUS_STR("ce_type"), BUS_STR("t") } };
	bus_digest first = digest(BUS_STR("k"), BUS_STR("{}"), a, 3);
	bus_digest second = digest(BUS_STR_NULL, BUS_STR("{}"), b, 5);
	CU_ASSERT_EQUAL(memcmp(&first, &second, sizeof(first)), 0);

	/* the definition, written out */
	bus_digest bytes = bus_digest_of(BUS_STR("\0\0\0\5ce_id\0\0\0\1"
						 "1"
						 "\0\0\0\7ce_type\0\0\0\1t"
						 "\0\0\0\x0c"
						 "content-type\0\0\0\x10"
						 "application/json"
						 "\0\0\0\2{}"));
	CU_ASSERT_EQUAL(memcmp(&first, &bytes, sizeof(first)), 0);
}

static void
test_digest_differs(void)
{
	const bus_header base[] = { { BUS_STR("ce_id"), BUS_STR("1") } };
	const bus_header value[] = { { BUS_STR("ce_id"), BUS_STR("2") } };
	const bus_header name[] = { { BUS_STR("ce_ie"), BUS_STR("1") } };
	const bus_header absent[] = { { BUS_STR("ce_id"), BUS_STR_NULL } };
	const bus_header empty[] = { { BUS_STR("ce_id"), BUS_STR("") } };
	const bus_header more[] = { { BUS_STR("ce_id"), BUS_STR("1") },
				    { BUS_STR("ce_x"), BUS_STR("") } };
	const bus_header twice[] = { { BUS_STR("ce_id"), BUS_STR("1") },
				     { BUS_STR("ce_id"), BUS_STR("2") } };
	const bus_header swapped[] = { { BUS_STR("ce_id"), BUS_STR("2") },
				       { BUS_STR("ce_id"), BUS_STR("1") } };
	const struct {
		const bus_header *headers;
		size_t count;
		bus_str value;
	} rows[] = {
		{ base, 1, BUS_STR("{}") },  { value, 1, BUS_STR("{}") },
		{ name, 1, BUS_STR("{}") },  { absent, 1, BUS_STR("{}") },
		{ empty, 1, BUS_STR("{}") }, { more, 2, BUS_STR("{}") },
		{ twice, 2, BUS_STR("{}") }, { swapped, 2, BUS_STR("{}") },
		{ base, 1, BUS_STR("{ }") }, { base, 1, BUS_STR("") },
		{ base, 1, BUS_STR_NULL },   { base, 0, BUS_STR("{}") },
	};
	const size_t count = sizeof(rows) / sizeof(rows[0]);
	bus_digest digests[sizeof(rows) / sizeof(rows[0])];
	for (size_t i = 0; i < count; i++) {
		digests[i] = digest(BUS_STR("k"), rows[i].value, rows[i].headers,
				    rows[i].count);
		for (size_t j = 0; j < i; j++) {
			CU_ASSERT_NOT_EQUAL(memcmp(&digests[i], &digests[j],
						   sizeof(digests[i])),
					    0);
		}
	}
}

/* Few headers and many are sorted by different code. */
static void
test_digest_order(void)
{
	for (size_t count = 1; count <= 100; count += 33) {
		bus_header headers[100];
		bus_header turned[100];
		for (size_t i = 0; i < count; i++) {
			headers[i] = (bus_header){ bus_arena_printf(arena, "ce_%zu",
								    i * 37 % 101),
						   BUS_STR("v") };
		}
		for (size_t i = 0; i < count; i++) {
			turned[i] = headers[count - 1 - i];
		}
		bus_digest a = digest(BUS_STR_NULL, BUS_STR("x"), headers, count);
		bus_digest b = digest(BUS_STR_NULL, BUS_STR("x"), turned, count);
		CU_ASSERT_EQUAL(memcmp(&a, &b, sizeof(a)), 0);
	}
}

static void
test_pack(void)
{
	const bus_header headers[] = { { BUS_STR("ce_id"), BUS_STR("1") },
				       { BUS_STR("x"), BUS_STR_NULL },
				       { BUS_STR(""), BUS_STR("") },
				       { BUS_STR("bytes"), BUS_STR("\0\xff") } };
	bus_str packed = bus_headers_pack(headers, 4, arena);
	bus_str expected = BUS_STR("\0\0\0\4"
				   "\0\0\0\5ce_id\0\0\0\1"
				   "1"
				   "\0\0\0\1x\xff\xff\xff\xff"
				   "\0\0\0\0\0\0\0\0"
				   "\0\0\0\5bytes\0\0\0\2\0\xff");
	CU_ASSERT_TRUE(bus_str_eq(packed, expected));
	const bus_header *back;
	size_t count;
	CU_ASSERT_EQUAL_FATAL(bus_headers_unpack(packed, arena, &back, &count, NULL),
			      BUS_OK);
	CU_ASSERT_EQUAL_FATAL(count, 4);
	for (size_t i = 0; i < count; i++) {
		CU_ASSERT_TRUE(bus_str_eq(back[i].name, headers[i].name));
		CU_ASSERT_TRUE(bus_str_eq(back[i].value, headers[i].value));
	}
	CU_ASSERT_TRUE(bus_str_eq(bus_headers_pack(NULL, 0, arena), BUS_STR("\0\0\0\0")));
	CU_ASSERT_EQUAL(bus_headers_unpack(BUS_STR("\0\0\0\0"), arena, &back, &count,
					   NULL),
			BUS_OK);
	CU_ASSERT_EQUAL(count, 0);

	/* every prefix of it, and one byte more, is refused */
	char *copy = malloc(packed.len + 1);
	memcpy(copy, packed.data, packed.len);
	copy[packed.len] = 0;
	for (size_t len = 0; len <= packed.len + 1; len++) {
		bus_error err = BUS_ERROR_INIT;
		bus_status status = bus_headers_unpack((bus_str){ copy, len }, arena,
						       &back, &count, &err);
		CU_ASSERT_EQUAL(status, len == packed.len ? BUS_OK : BUS_E_REJECT);
		CU_ASSERT_EQUAL(err.text[0] != '\0', len != packed.len);
	}
	free(copy);
	/* a count that no memory could hold */
	CU_ASSERT_EQUAL(bus_headers_unpack(BUS_STR("\xff\xff\xff\xff\0\0\0\0\0\0\0\0"),
					   arena, &back, &count, NULL),
			BUS_E_REJECT);
	CU_ASSERT_EQUAL(bus_headers_unpack(BUS_STR("\0\0\0\1\0\0\0\5\0\0\0\0"), arena,
					   &back, &count, NULL),
			BUS_E_REJECT);
}

static const bus_case cases[] = {
	{ "the digest is over lower-case sorted ce_ headers and the value", test_digest },
	{ "any difference that counts gives another digest", test_digest_differs },
	{ "order does not count, few or many", test_digest_order },
	{ "packed headers come back, and nothing else does", test_pack },
	{ 0 },
};

const bus_suite_def bus_suite = {
	.name = "event_bytes", .cases = cases, .setup = setup, .teardown = teardown
};
