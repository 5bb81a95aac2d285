/*
 * test_digest.c - SHA-256
 */
#include "core/digest.h"
#include "tests/support/suite.h"

static void
hex(const bus_digest *digest, char ret_text[65])
{
	for (int i = 0; i < BUS_DIGEST_BYTES; i++) {
		ret_text[2 * i] = "0123456789abcdef"[digest->bytes[i] >> 4];
		ret_text[2 * i + 1] = "0123456789abcdef"[digest->bytes[i] & 15];
	}
	ret_text[64] = '\0';
}

/* FIPS 180-4's examples. */
static void
test_vectors(void)
{
	const struct {
		const char *text;
		const char *digest;
	} rows[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc",
		  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};
	bus_hasher *hasher = bus_hasher_create();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[65];
		bus_digest digest = bus_digest_of(bus_str_from(rows[i].text));
		hex(&digest, text);
		CU_ASSERT_STRING_EQUAL(text, rows[i].digest);

		bus_hasher_begin(hasher);
		for (const char *c = rows[i].text; *c != '\0'; c++) {
			bus_hasher_add(hasher, c, 1);
		}
		digest = bus_hasher_end(hasher);
		hex(&digest, text);
		CU_ASSERT_STRING_EQUAL(text, rows[i].digest);
	}
	bus_hasher_destroy(hasher);
	bus_hasher_destroy(NULL);
}

/* Fields and numbers are bytes with a length before them. */
static void
test_fields(void)
{
	bus_hasher *hasher = bus_hasher_create();
	bus_hasher_begin(hasher);
	bus_hasher_field(hasher, BUS_STR("ab"));
	bus_hasher_field(hasher, BUS_STR(""));
	bus_hasher_field(hasher, BUS_STR_NULL);
	bus_hasher_be64(hasher, UINT64_C(0x0102030405060708));
	bus_digest fields = bus_hasher_end(hasher);
	bus_digest bytes = bus_digest_of(BUS_STR("\0\0\0\2ab"
						 "\0\0\0\0"
						 "\xff\xff\xff\xff"
						 "\1\2\3\4\5\6\7\x08"));
	CU_ASSERT_EQUAL(memcmp(&fields, &bytes, sizeof(bytes)), 0);
	bus_hasher_destroy(hasher);
}

static const bus_case cases[] = {
	{ "the standard's examples, in one piece and byte by byte", test_vectors },
	{ "a field is its length and its bytes", test_fields },
	{ 0 },
};

const bus_suite_def bus_suite = { .name = "digest", .cases = cases };
