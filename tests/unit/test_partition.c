/*
 * test_partition.c - murmur2 as Kafka computes it
 */
#include "core/partition.h"

#include <stdio.h>

#include "tests/support/suite.h"

/* The vectors of Kafka's own test (UtilsTest.testMurmur2), as the Java ints it asserts;
 * they cover every remainder of four. */
static void
test_vectors(void)
{
	const struct {
		const char *key;
		int32_t hash;
	} rows[] = {
		{ "21", -973932308 },
		{ "foobar", -790332482 },
		{ "a-little-bit-long-string", -985981536 },
		{ "a-little-bit-longer-string", -1486304829 },
		{ "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971 },
		{ "abc", 479470107 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t hash = bus_murmur2(bus_str_from(rows[i].key));
		CU_ASSERT_EQUAL((int32_t)hash, rows[i].hash);
		CU_ASSERT_EQUAL(bus_partition_home(bus_str_from(rows[i].key), 6),
				(rows[i].hash & 0x7fffffff) % 6);
	}
}

static void
test_range(void)
{
	unsigned counts[6] = { 0 };
	for (int i = 0; i < 6000; i++) {
		char key[32];
		int len = snprintf(key, sizeof(key), "tenant/app-%d", i);
		int32_t home = bus_partition_home((bus_str){ key, (size_t)len }, 6);
		CU_ASSERT_TRUE_FATAL(home >= 0 && home < 6);
		counts[home]++;
		CU_ASSERT_EQUAL(bus_partition_home((bus_str){ key, (size_t)len }, 1), 0);
	}
	for (int i = 0; i < 6; i++) {
		CU_ASSERT_TRUE(counts[i] > 800 && counts[i] < 1200);
	}
}

/* The hash reads bytes: \x80 and above must not be taken as negative. */
static void
test_bytes(void)
{
	CU_ASSERT_NOT_EQUAL(bus_murmur2(BUS_STR("\xff\xfe\xfd")),
			    bus_murmur2(BUS_STR("\x7f~}")));
	CU_ASSERT_EQUAL(bus_murmur2(BUS_STR("")), 275646681u);
}

static const bus_case cases[] = {
	{ "Kafka's own vectors", test_vectors },
	{ "homes are in range and spread", test_range },
	{ "bytes are unsigned, the empty key has a hash", test_bytes },
	{ 0 },
};

const bus_suite_def bus_suite = { .name = "partition", .cases = cases };
