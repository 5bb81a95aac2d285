/*
 * test_id.c - UUIDs of versions 7 and 8, identity keys
 */
#include "core/id.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/digest.h"
#include "tests/support/suite.h"
#include "tests/unit/rows.h"

static uint64_t
ms_of(const bus_uuid *uuid)
{
	uint64_t ms = 0;
	for (int i = 0; i < 6; i++) {
		ms = ms << 8 | uuid->bytes[i];
	}
	return ms;
}

static bool
is_version(const bus_uuid *uuid, int version)
{
	return uuid->bytes[6] >> 4 == version && (uuid->bytes[8] & 0xc0) == 0x80;
}

static bool
less(const bus_uuid *a, const bus_uuid *b)
{
	return memcmp(a->bytes, b->bytes, BUS_UUID_BYTES) < 0;
}

static bus_uuid
make(const bus_clock *clock)
{
	bus_uuid uuid = { { 0 } };
	CU_ASSERT_EQUAL_FATAL(bus_uuid_v7(clock, &uuid, NULL), BUS_OK);
	return uuid;
}

/* All times lie ahead of the machine's, because the last one of the process counts. */
#define AHEAD_MS INT64_C(200000000000000)

static void
test_layout(void)
{
	bus_clock_manual manual;
	bus_clock_manual_init(&manual, AHEAD_MS * 1000 + 999);
	bus_uuid uuid = make(&manual.clock);
	CU_ASSERT_EQUAL(ms_of(&uuid), AHEAD_MS);
	CU_ASSERT_TRUE(is_version(&uuid, 7));
}

static void
test_monotone(void)
{
	bus_clock_manual manual;
	bus_clock_manual_init(&manual, (AHEAD_MS + 10) * 1000);
	bus_uuid last = make(&manual.clock);
	unsigned wrong = 0;
	/* more than the counter of a millisecond holds: the next one is borrowed */
	for (int i = 0; i < 100000; i++) {
		bus_uuid next = make(&manual.clock);
		wrong += !less(&last, &next) || !is_version(&next, 7);
		last = next;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_TRUE(ms_of(&last) >= (uint64_t)AHEAD_MS + 11);
	/* the clock steps back by an hour */
	manual.wall_us -= INT64_C(3600000000);
	bus_uuid next = make(&manual.clock);
	CU_ASSERT_TRUE(less(&last, &next));
	/* and on again */
	manual.wall_us = (AHEAD_MS + 1000) * 1000;
	last = make(&manual.clock);
	CU_ASSERT_TRUE(less(&next, &last));
	CU_ASSERT_EQUAL(ms_of(&last), AHEAD_MS + 1000);
}

static void
test_random(void)
{
	bus_uuid uuids[64];
	unsigned ones[BUS_UUID_BYTES * 8] = { 0 };
	for (int i = 0; i < 64; i++) {
		uuids[i] = make(bus_clock_system());
		for (int bit = 66; bit < 128; bit++) {
			ones[bit] += uuids[i].bytes[bit / 8] >> (7 - bit % 8) & 1;
		}
	}
	/* the 58 random bits: none of them stands still (chance of failure 2^-57) */
	for (int bit = 70; bit < 128; bit++) {
		CU_ASSERT_TRUE(ones[bit] > 0 && ones[bit] < 64);
	}
}

#define THREADS 4
#define PER_THREAD 20000

static void *
make_many(void *arg)
{
	bus_uuid *uuids = arg;
	for (int i = 0; i < PER_THREAD; i++) {
		if (bus_uuid_v7(bus_clock_system(), &uuids[i], NULL) != BUS_OK) {
			return arg;
		}
	}
	/* each thread hashes with a hasher of its own */
	(void)bus_identity_key(BUS_STR("s"), BUS_STR("i"));
	return NULL;
}

static int
order(const void *a, const void *b)
{
	return memcmp(a, b, BUS_UUID_BYTES);
}

static void
test_threads(void)
{
	bus_uuid *uuids = calloc(THREADS * PER_THREAD, sizeof(*uuids));
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++) {
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, make_many,
						     uuids + i * PER_THREAD),
				      0);
	}
	for (int i = 0; i < THREADS; i++) {
		void *failed;
		pthread_join(threads[i], &failed);
		CU_ASSERT_PTR_NULL(failed);
	}
	unsigned wrong = 0;
	for (int i = 0; i < THREADS * PER_THREAD; i++) {
		wrong += i % PER_THREAD > 0 && !less(&uuids[i - 1], &uuids[i]);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	qsort(uuids, THREADS * PER_THREAD, sizeof(*uuids), order);
	for (int i = 1; i < THREADS * PER_THREAD; i++) {
		wrong += !less(&uuids[i - 1], &uuids[i]);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	free(uuids);
}

/* Parent and child start from the same counter; only randomness tells their ids apart. */
static void
test_fork(void)
{
	bus_clock_manual manual;
	bus_clock_manual_init(&manual, (AHEAD_MS + 5000) * 1000);
	(void)make(&manual.clock);
	int ends[2];
	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	pid_t child = fork();
	bus_uuid mine = { { 0 } };
	bus_status status = bus_uuid_v7(&manual.clock, &mine, NULL);
	if (child == 0) {
		ssize_t wrote = write(ends[1], &mine, sizeof(mine));
		_exit(status == BUS_OK && wrote == sizeof(mine) ? 0 : 1);
	}
	CU_ASSERT_TRUE_FATAL(child > 0);
	bus_uuid theirs = { { 0 } };
	CU_ASSERT_EQUAL(read(ends[0], &theirs, sizeof(theirs)), sizeof(theirs));
	int code;
	CU_ASSERT_EQUAL(waitpid(child, &code, 0), child);
	CU_ASSERT_EQUAL(code, 0);
	CU_ASSERT_EQUAL(memcmp(mine.bytes, theirs.bytes, 8), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(mine.bytes + 8, theirs.bytes + 8, 8), 0);
	close(ends[0]);
	close(ends[1]);
}

static void
test_derive(void)
{
	const bus_str source = BUS_STR("/ci");
	const bus_str id = BUS_STR("1");
	bus_uuid uuid = bus_uuid_derive(INT64_C(1795250188123456), source, id,
					BUS_STR("deploy"), BUS_STR("started"));
	CU_ASSERT_TRUE(is_version(&uuid, 8));
	CU_ASSERT_EQUAL(ms_of(&uuid), UINT64_C(1795250188123));
	/* the rest is the digest of the four fields, byte for byte, for ever */
	bus_digest digest = bus_digest_of(BUS_STR("\0\0\0\3/ci\0\0\0\1"
						  "1\0\0\0\6deploy\0\0\0\7started"));
	CU_ASSERT_EQUAL(uuid.bytes[6] & 0x0f, digest.bytes[6] & 0x0f);
	CU_ASSERT_EQUAL(uuid.bytes[7], digest.bytes[7]);
	CU_ASSERT_EQUAL(uuid.bytes[8] & 0x3f, digest.bytes[8] & 0x3f);
	CU_ASSERT_EQUAL(memcmp(uuid.bytes + 9, digest.bytes + 9, 7), 0);

	bus_uuid again = bus_uuid_derive(INT64_C(1795250188123999), source, id,
					 BUS_STR("deploy"), BUS_STR("started"));
	CU_ASSERT_EQUAL(memcmp(&uuid, &again, sizeof(uuid)), 0);
	bus_uuid other = bus_uuid_derive(INT64_C(1795250188123456), source, id,
					 BUS_STR("deploy"), BUS_STR("failed"));
	CU_ASSERT_NOT_EQUAL(memcmp(&uuid, &other, sizeof(uuid)), 0);
	/* fields do not run into each other */
	other = bus_uuid_derive(INT64_C(1795250188123456), BUS_STR("/ci1"), BUS_STR(""),
				BUS_STR("deploy"), BUS_STR("started"));
	CU_ASSERT_NOT_EQUAL(memcmp(uuid.bytes + 9, other.bytes + 9, 7), 0);

	uuid = bus_uuid_derive(BUS_TIME_NONE, source, id, BUS_STR("w"), BUS_STR("s"));
	CU_ASSERT_EQUAL(ms_of(&uuid), 0);
	uuid = bus_uuid_derive(-1, source, id, BUS_STR("w"), BUS_STR("s"));
	CU_ASSERT_EQUAL(ms_of(&uuid), 0);
}

static void
test_identity(void)
{
	const struct {
		const char *id;
		bool ordered; /* keeps its time bits */
	} rows[] = {
		{ "019a9d1c-3f5a-7abc-8def-0123456789ab", true },
		{ "019A9D1C-3F5A-7ABC-BDEF-0123456789AB", true },
		{ "019a9d1c-3f5a-8abc-9def-0123456789ab", true },
		{ "019a9d1c-3f5a-4abc-8def-0123456789ab", false },
		{ "019a9d1c-3f5a-7abc-cdef-0123456789ab", false },
		{ "019a9d1c3f5a7abc8def0123456789ab", false },
		{ "1", false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bus_str id = bus_str_from(rows[i].id);
		bus_uuid key = bus_identity_key(BUS_STR("/a"), id);
		bus_uuid uuid = { { 0 } };
		bool parsed = bus_uuid_parse(id, &uuid);
		bool front = parsed && memcmp(key.bytes, uuid.bytes, 6) == 0;
		BUS_ASSERT_ROW(rows[i].id, front == rows[i].ordered);
		bus_uuid again = bus_identity_key(BUS_STR("/a"), id);
		BUS_ASSERT_ROW(rows[i].id, memcmp(&key, &again, sizeof(key)) == 0);
		bus_uuid other = bus_identity_key(BUS_STR("/b"), id);
		BUS_ASSERT_ROW(rows[i].id,
			       memcmp(key.bytes + 6, other.bytes + 6, 10) != 0);
	}
	bus_uuid key = bus_identity_key(BUS_STR("/a"), BUS_STR("1"));
	bus_digest digest = bus_digest_of(BUS_STR("\0\0\0\2/a\0\0\0\1"
						  "1"));
	CU_ASSERT_EQUAL(memcmp(key.bytes, digest.bytes, sizeof(key.bytes)), 0);
	bus_uuid shifted = bus_identity_key(BUS_STR("/a1"), BUS_STR(""));
	CU_ASSERT_NOT_EQUAL(memcmp(&key, &shifted, sizeof(key)), 0);
}

static void
test_text(void)
{
	const struct {
		const char *text;
		bool valid;
	} rows[] = {
		{ "00112233-4455-6677-8899-aabbccddeeff", true },
		{ "00112233-4455-6677-8899-AABBCCDDEEFF", true },
		{ "00112233-4455-6677-8899-aabbccddeef", false },
		{ "00112233-4455-6677-8899-aabbccddeeff0", false },
		{ "00112233445566778899aabbccddeeff----", false },
		{ "0011223-34455-6677-8899-aabbccddeeff", false },
		{ "00112233-4455-6677-8899-aabbccddeefg", false },
		{ "00112233-4455-6677-8899-aabbccddee f", false },
		{ "{0112233-4455-6677-8899-aabbccddeef}", false },
		{ "", false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bus_uuid uuid = { { 0 } };
		bool valid = bus_uuid_parse(bus_str_from(rows[i].text), &uuid);
		BUS_ASSERT_ROW(rows[i].text, valid == rows[i].valid);
		if (valid) {
			char text[BUS_UUID_TEXT_LEN + 1];
			bus_uuid_format(&uuid, text);
			BUS_ASSERT_ROW(rows[i].text,
				       strcmp(text,
					      "00112233-4455-6677-8899-aabbccddeeff") ==
					       0);
		}
	}
	bus_uuid uuid;
	CU_ASSERT_FALSE(bus_uuid_parse(BUS_STR_NULL, &uuid));
}

static const bus_case cases[] = {
	{ "version 7 as RFC 9562 lays it out", test_layout },
	{ "ids grow, also when the clock does not", test_monotone },
	{ "58 bits are random", test_random },
	{ "four threads, no id twice", test_threads },
	{ "a child does not repeat its parent", test_fork },
	{ "a derived id is a function of its cause", test_derive },
	{ "identity keys keep time in front, or are all digest", test_identity },
	{ "the canonical text and nothing else", test_text },
	{ 0 },
};

const bus_suite_def bus_suite = { .name = "id", .cases = cases };
