/* test_known_timers.c - the clock's heap: earliest first, each once, purged */
#include <stdlib.h>

#include "tests/support/suite.h"
#include "workers/clock/known.h"

enum { TIMERS = 5000 };

static void
fill(busp_known *known)
{
	for (int64_t i = 1; i <= TIMERS; i++) {
		int64_t due_ms = (i * 7919) % 1009; /* many are due at once */
		CU_ASSERT_TRUE(busp_known_see(known, (bus_timer_id){ 1, i }, due_ms));
	}
}

static void
test_order(void)
{
	busp_known known = { 0 };
	fill(&known);
	for (int64_t i = 1; i <= TIMERS; i++) {
		CU_ASSERT_FALSE(busp_known_see(&known, (bus_timer_id){ 1, i }, 0));
	}
	bool met[TIMERS + 1] = { false };
	int64_t before_ms = INT64_MIN;
	for (size_t i = 0; i < TIMERS; i++) {
		CU_ASSERT_PTR_NOT_NULL_FATAL(busp_known_first(&known));
		busp_known_timer timer = busp_known_take(&known);
		CU_ASSERT_TRUE(timer.due_ms >= before_ms);
		CU_ASSERT_FALSE(met[timer.id.number]);
		met[timer.id.number] = true;
		before_ms = timer.due_ms;
	}
	CU_ASSERT_PTR_NULL(busp_known_first(&known));
	/* one that was taken is known still, and can come back */
	CU_ASSERT_FALSE(busp_known_see(&known, (bus_timer_id){ 1, 1 }, 0));
	busp_known_return(&known, &(busp_known_timer){ .id = { 1, 1 }, .due_ms = 5 });
	CU_ASSERT_EQUAL(busp_known_take(&known).due_ms, 5);
	busp_known_fini(&known);
}

static void
test_purge(void)
{
	busp_known known = { 0 };
	int64_t kept[TIMERS / 10];
	fill(&known);
	for (int64_t i = 0; i < TIMERS / 10; i++) {
		kept[i] = (i + 1) * 10;
	}
	busp_known_purge(&known, kept, TIMERS / 10);
	CU_ASSERT_EQUAL(known.count, TIMERS / 10);
	CU_ASSERT_FALSE(busp_known_see(&known, (bus_timer_id){ 1, 20 }, 0));
	CU_ASSERT_TRUE(busp_known_see(&known, (bus_timer_id){ 1, 21 }, -1));
	CU_ASSERT_EQUAL(busp_known_take(&known).id.number, 21);
	int64_t before_ms = INT64_MIN;
	for (size_t i = 0; i < TIMERS / 10; i++) {
		busp_known_timer timer = busp_known_take(&known);
		CU_ASSERT_TRUE(timer.due_ms >= before_ms && timer.id.number % 10 == 0);
		before_ms = timer.due_ms;
	}
	CU_ASSERT_PTR_NULL(busp_known_first(&known));
	busp_known_purge(&known, kept, 0);
	busp_known_fini(&known);
}

static const bus_case cases[] = {
	{ "the earliest comes first, each number once", test_order },
	{ "what is not there any more is forgotten", test_purge },
	{ NULL, NULL },
};

const bus_suite_def bus_suite = { .name = "clock: known timers", .cases = cases };
