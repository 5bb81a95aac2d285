/*
 * test_crash.c - a process dies at the wanted passage of the wanted point
 */
#include "core/crash.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/rows.h"

/* In a child: ten passages of after-begin; exits with the number that was survived. */
static int
passages(const char *wanted)
{
	pid_t child = fork();
	if (child == 0) {
		setenv("BUSLINE_CRASH_POINT", wanted, 1);
		for (int i = 0; i < 10; i++) {
			if (bus_crash_due(BUS_CRASH_AFTER_POLL)) {
				_exit(99);
			}
			if (bus_crash_due(BUS_CRASH_AFTER_BEGIN)) {
				if (i == 2) {
					bus_crash_now();
				}
				_exit(i);
			}
		}
		_exit(bus_crash_armed(BUS_CRASH_AFTER_BEGIN) ? 51 : 50);
	}
	int code = 0;
	CU_ASSERT_EQUAL(waitpid(child, &code, 0), child);
	return WIFSIGNALED(code) ? -WTERMSIG(code) : WEXITSTATUS(code);
}

static void
test_points(void)
{
	static const struct {
		const char *wanted;
		int ends;
	} rows[] = {
		{ "after-begin", 0 },           { "after-begin:1", 0 },
		{ "after-begin:2", 1 },         { "after-begin:3", -SIGKILL },
		{ "after-begin:11", 51 },       { "before-commit", 50 },
		{ "relay-published:1", 50 },    { "", 50 },
		{ "nowhere", EX_CONFIG },       { "after", EX_CONFIG },
		{ "after-begin:0", EX_CONFIG }, { "after-begin:x", EX_CONFIG },
		{ "after-begin:", EX_CONFIG },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int ends = passages(rows[i].wanted);
#if BUS_CRASH_POINTS
		BUS_ASSERT_ROW(rows[i].wanted, ends == rows[i].ends);
#else
		BUS_ASSERT_ROW(rows[i].wanted, ends == 50);
#endif
	}
}

static const bus_case cases[] = {
	{ "the wanted passage of the wanted point, and no misspelt one", test_points },
	{ 0 },
};

const bus_suite_def bus_suite = { .name = "crash", .cases = cases };
