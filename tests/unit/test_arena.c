/*
 * test_arena.c - memory of one batch
 */
#include "core/arena.h"
#include "tests/support/suite.h"

static void
test_alloc(void)
{
	bus_arena *arena = bus_arena_create(1024);
	CU_ASSERT_PTR_NOT_NULL_FATAL(arena);
	uint32_t seed = 1;
	char *blocks[200];
	size_t sizes[200];
	for (int i = 0; i < 200; i++) {
		seed = seed * 1664525u + 1013904223u;
		sizes[i] = seed >> 16 & 0x3ff; /* 0 to 1023: small, large, empty */
		blocks[i] = bus_arena_alloc(arena, sizes[i]);
		CU_ASSERT_EQUAL((uintptr_t)blocks[i] % 16, 0);
		for (size_t j = 0; j < sizes[i]; j++) {
			CU_ASSERT_EQUAL_FATAL(blocks[i][j], 0);
		}
		memset(blocks[i], i + 1, sizes[i]);
	}
	/* nothing handed out later lies on anything handed out before */
	for (int i = 0; i < 200; i++) {
		for (size_t j = 0; j < sizes[i]; j++) {
			CU_ASSERT_EQUAL_FATAL(blocks[i][j], (char)(i + 1));
		}
	}
	bus_arena_destroy(arena);
	bus_arena_destroy(NULL);
}

static void
test_reset(void)
{
	bus_arena *arena = bus_arena_create(4096);
	char *first = bus_arena_alloc(arena, 100);
	memset(first, 'x', 100);
	CU_ASSERT_TRUE(bus_arena_used(arena) >= 100);
	memset(bus_arena_alloc(arena, 1 << 20), 'y', 1 << 20);
	CU_ASSERT_TRUE(bus_arena_used(arena) >= (1 << 20) + 100);
	bus_arena_reset(arena);
	CU_ASSERT_EQUAL(bus_arena_used(arena), 0);
	char *again = bus_arena_alloc(arena, 100);
	CU_ASSERT_PTR_EQUAL(again, first); /* the block was kept */
	CU_ASSERT_EQUAL(again[0], 0);      /* and what was in it is gone */
	CU_ASSERT_EQUAL(again[99], 0);
	bus_arena_destroy(arena);
}

static void
test_text(void)
{
	bus_arena *arena = bus_arena_create(0);
	bus_str absent = bus_arena_str(arena, BUS_STR_NULL);
	CU_ASSERT_PTR_NULL(absent.data);
	bus_str empty = bus_arena_str(arena, BUS_STR(""));
	CU_ASSERT_PTR_NOT_NULL(empty.data);
	CU_ASSERT_EQUAL(empty.len, 0);
	bus_str copy = bus_arena_str(arena, (bus_str){ "abcdef", 3 });
	CU_ASSERT_TRUE(bus_str_is(copy, "abc"));
	CU_ASSERT_EQUAL(copy.data[3], '\0');
	bus_str text = bus_arena_printf(arena, "%s/%d", "tenant", 42);
	CU_ASSERT_TRUE(bus_str_is(text, "tenant/42"));
	CU_ASSERT_EQUAL(text.data[text.len], '\0');
	bus_str longer = bus_arena_printf(arena, "%5000d", 7);
	CU_ASSERT_EQUAL(longer.len, 5000);
	CU_ASSERT_EQUAL(longer.data[4999], '7');
	bus_arena_destroy(arena);
}

static const bus_case cases[] = {
	{ "memory is zeroed, aligned and handed out once", test_alloc },
	{ "reset keeps the blocks", test_reset },
	{ "text is NUL-terminated, absent stays absent", test_text },
	{ 0 },
};

const bus_suite_def bus_suite = { .name = "arena", .cases = cases };
