/*
 * test_nng_batch.c - records as bytes: batches, slices, bodies
 */
#include <stdio.h>
#include <stdlib.h>

#include "broker-adapters/nng/wire.h"
#include "broker-adapters/shared.h"
#include "tests/support/suite.h"

static bus_arena *arena;

static const bus_header headers[] = {
	{ { "ce_id", 5 }, { "1", 1 } },
	{ { "empty", 5 }, { "", 0 } },
	{ { "none", 4 }, { NULL, 0 } },
	{ { "", 0 }, { "nameless", 8 } },
};

static const bus_record records[] = {
	{ { "acme/shop", 9 }, { "{\"a\":1}", 7 }, headers, 4 },
	{ { NULL, 0 }, { NULL, 0 }, NULL, 0 },
	{ { "", 0 }, { "", 0 }, headers + 1, 1 },
	{ { "k", 1 }, { NULL, 0 }, headers, 1 },
};
#define RECORDS (sizeof(records) / sizeof(records[0]))

static int
setup(void)
{
	arena = bus_arena_create(4096);
	return arena == NULL;
}

static int
teardown(void)
{
	bus_arena_destroy(arena);
	return 0;
}

static bool
same_record(const bus_record *a, const bus_record *b)
{
	bool same = bus_str_eq(a->key, b->key) && bus_str_eq(a->value, b->value) &&
		    a->header_count == b->header_count;
	for (size_t i = 0; same && i < a->header_count; i++) {
		same = bus_str_eq(a->headers[i].name, b->headers[i].name) &&
		       bus_str_eq(a->headers[i].value, b->headers[i].value);
	}
	return same;
}

static busp_batch
made(const busp_batch_maker *maker)
{
	return (busp_batch){ maker->count, bus_buf_view(&maker->directory),
			     bus_buf_view(&maker->bodies) };
}

static void
make_all(busp_batch_maker *maker)
{
	for (size_t i = 0; i < RECORDS; i++) {
		busp_batch_add(maker, &records[i]);
	}
}

static void
test_round_trip(void)
{
	busp_batch_maker maker = { 0 };
	make_all(&maker);
	BUS_BUF_AUTO frame = { 0 };
	busp_put_slice(&frame, 7, -5, maker.count, bus_buf_view(&maker.directory),
		       bus_buf_view(&maker.bodies));
	busp_batch_fini(&maker);
	busp_reader reader = { .rest = bus_buf_view(&frame) };
	busp_slice slice = busp_get_slice(&reader);
	CU_ASSERT_TRUE_FATAL(busp_reader_done(&reader));
	CU_ASSERT_EQUAL(slice.base, 7);
	CU_ASSERT_EQUAL(slice.timestamp_ms, -5);
	CU_ASSERT_EQUAL_FATAL(slice.batch.count, RECORDS);
	CU_ASSERT_EQUAL(busp_batch_verify(&slice.batch), RECORDS);
	const char *at = slice.batch.bodies.data;
	for (uint32_t i = 0; i < RECORDS; i++) {
		bus_record record;
		bus_error err = BUS_ERROR_INIT;
		uint32_t len = busp_batch_length(&slice.batch, i);
		CU_ASSERT_EQUAL(len, busp_body_bytes(&records[i]));
		CU_ASSERT_EQUAL_FATAL(busp_get_record((bus_str){ at, len }, arena,
						      &record, &err),
				      BUS_OK);
		CU_ASSERT_TRUE(same_record(&record, &records[i]));
		at += len;
	}
}

static void
test_maker_again(void)
{
	busp_batch_maker maker = { 0 };
	make_all(&maker);
	busp_batch_clear(&maker);
	CU_ASSERT_EQUAL(maker.count, 0);
	busp_batch_add(&maker, &records[0]);
	busp_batch batch = made(&maker);
	CU_ASSERT_EQUAL(batch.bodies.len, busp_body_bytes(&records[0]));
	CU_ASSERT_EQUAL(busp_batch_verify(&batch), 1);
	busp_batch_fini(&maker);
	CU_ASSERT_PTR_NULL(maker.bodies.data);
}

/* Each bit of the directory and the bodies: the record it belongs to is the one named. */
static void
test_every_bit(void)
{
	busp_batch_maker maker = { 0 };
	make_all(&maker);
	size_t wrong = 0;
	for (size_t bit = 0; bit < maker.bodies.len * 8; bit++) {
		uint32_t expected = 0;
		size_t end = busp_body_bytes(&records[0]);
		while (bit / 8 >= end) {
			end += busp_body_bytes(&records[++expected]);
		}
		maker.bodies.data[bit / 8] ^= (char)(1 << bit % 8);
		busp_batch batch = made(&maker);
		wrong += busp_batch_verify(&batch) != expected;
		maker.bodies.data[bit / 8] ^= (char)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < maker.directory.len * 8; bit++) {
		maker.directory.data[bit / 8] ^= (char)(1 << bit % 8);
		BUS_BUF_AUTO frame = { 0 };
		busp_put_batch(&frame, maker.count, bus_buf_view(&maker.directory),
			       bus_buf_view(&maker.bodies));
		busp_reader reader = { .rest = bus_buf_view(&frame) };
		busp_batch batch = busp_get_batch(&reader);
		wrong += !reader.bad &&
			 busp_batch_verify(&batch) != bit / 8 / BUSP_DIRECTORY_BYTES;
		maker.directory.data[bit / 8] ^= (char)(1 << bit % 8);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	busp_batch_fini(&maker);
}

/* A body with a right checksum that is no record. */
static uint32_t
verify_body(bus_str body)
{
	BUS_BUF_AUTO directory = { 0 };
	bus_buf_be32(&directory, (uint32_t)body.len);
	bus_buf_be64(&directory, busp_checksum(body.data, body.len));
	busp_batch batch = { 1, bus_buf_view(&directory), body };
	return busp_batch_verify(&batch);
}

static void
test_malformed_bodies(void)
{
	static const struct {
		const char *name;
		bus_str body;
		uint32_t verified; /* 1: well-formed */
	} cases[] = {
		{ "nothing at all", BUS_STR(""), 0 },
		{ "all absent", BUS_STR("\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff"), 1 },
		{ "no value", BUS_STR("\xff\xff\xff\xff\0\0\0\0"), 0 },
		{ "a byte too many", BUS_STR("\xff\xff\xff\xff\0\0\0\0\0\0\0\0x"), 0 },
		{ "key longer than all", BUS_STR("\0\0\0\x9\0\0\0\0\0\0\0\0"), 0 },
		{ "key of 4 GiB", BUS_STR("\xff\xff\xff\xfe\0\0\0\0\0\0\0\0"), 0 },
		{ "more headers than there are",
		  BUS_STR("\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0"), 0 },
		{ "a header without a name",
		  BUS_STR("\0\0\0\0\0\0\0\1\xff\xff\xff\xff\0\0\0\0\0\0\0\0"), 0 },
		{ "a header with an empty name",
		  BUS_STR("\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0"), 1 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bus_record record;
		bus_error err = BUS_ERROR_INIT;
		bus_status status = busp_get_record(cases[i].body, arena, &record, &err);
		if (verify_body(cases[i].body) != cases[i].verified ||
		    (status == BUS_OK) != (cases[i].verified == 1) ||
		    (status != BUS_OK && status != BUS_E_REJECT)) {
			fprintf(stderr, "%s: %s\n", cases[i].name, err.text);
			CU_FAIL("a body was taken for another");
		}
	}
}

static void
test_too_large(void)
{
	char *value = calloc(1, BUSP_RECORD_BYTES_MAX + 1);
	for (size_t more = 0; more < 2; more++) {
		busp_batch_maker maker = { 0 };
		busp_batch_add(&maker,
			       &(bus_record){ .key = { "k", 1 },
					      .value = { value, BUSP_RECORD_BYTES_MAX -
									1 + more } });
		busp_batch batch = made(&maker);
		CU_ASSERT_EQUAL(busp_batch_verify(&batch), more == 0 ? 1 : 0);
		busp_batch_fini(&maker);
	}
	/* few bytes of record, and more of body than a frame takes */
	size_t count = BUSP_FRAME_BODIES / 8;
	bus_header *many = calloc(count, sizeof(many[0]));
	for (size_t i = 0; i < count; i++) {
		many[i].name = BUS_STR("");
	}
	busp_batch_maker maker = { 0 };
	busp_batch_add(&maker, &(bus_record){ .headers = many, .header_count = count });
	busp_batch batch = made(&maker);
	CU_ASSERT_EQUAL(busp_batch_verify(&batch), 0);
	busp_batch_fini(&maker);
	free(many);
	free(value);
}

static void
test_malformed_batches(void)
{
	static const struct {
		const char *name;
		bus_str frame;
	} cases[] = {
		{ "cut in the count", BUS_STR("\0\0\0") },
		{ "no record", BUS_STR("\0\0\0\0\0\0\0\0") },
		{ "4 billion records", BUS_STR("\xff\xff\xff\xff\0\0\0\0") },
		{ "bodies of 4 GiB",
		  BUS_STR("\0\0\0\1\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0") },
		{ "lengths that do not add up",
		  BUS_STR("\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0x") },
		{ "lengths that add up past 32 bits",
		  BUS_STR("\0\0\0\2\0\0\0\1\xff\xff\xff\xff\0\0\0\0\0\0\0\0"
			  "\0\0\0\2\0\0\0\0\0\0\0\0x") },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		busp_reader reader = { .rest = cases[i].frame };
		busp_batch batch = busp_get_batch(&reader);
		if (!reader.bad || batch.count != 0) {
			fprintf(stderr, "%s\n", cases[i].name);
			CU_FAIL("a frame was taken for a batch");
		}
	}
}

static const bus_case cases[] = {
	{ "records come back as they were", test_round_trip },
	{ "a maker can be used again", test_maker_again },
	{ "a flipped bit is found at its record", test_every_bit },
	{ "a body that is no record is refused", test_malformed_bodies },
	{ "a record has a largest size", test_too_large },
	{ "a frame that is no batch is refused", test_malformed_batches },
	{ 0 },
};

const bus_suite_def bus_suite = { "nng batch", cases, setup, teardown };
