/*
 * test_log.c - one JSON line per message
 */
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/json.h"
#include "tests/support/suite.h"
#include "tests/unit/rows.h"

static bus_clock_manual manual;
static int saved_stderr;
static int reader;
static char output[64 * 1024];

/* stderr is a pipe between capture() and captured(). */
static void
capture(void)
{
	int ends[2];
	fflush(stderr);
	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	CU_ASSERT_TRUE(fcntl(ends[1], F_SETPIPE_SZ, 64 * 1024) > 0);
	saved_stderr = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	reader = ends[0];
}

static bus_str
captured(void)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	size_t len = 0;
	for (ssize_t got;
	     (got = read(reader, output + len, sizeof(output) - 1 - len)) > 0;) {
		len += (size_t)got;
	}
	output[len] = '\0';
	close(reader);
	return (bus_str){ output, len };
}

static int
setup(void)
{
	unsetenv("JOURNAL_STREAM");
	bus_clock_manual_init(&manual, INT64_C(1795250188123456));
	return 0;
}

static void
test_line(void)
{
	bus_log_init("worker deploy", BUS_LOG_INFO, &manual.clock);
	capture();
	BUS_LOG(BUS_LOG_INFO, "assigned", BUS_LOG_S("topic", BUS_STR("busline.deploy")),
		BUS_LOG_I("partition", -3), BUS_LOG_S("key", BUS_STR_NULL));
	BUS_LOG(BUS_LOG_DEBUG, "not wanted");
	BUS_LOG(BUS_LOG_ERROR, "no fields");
	bus_log(BUS_LOG_WARN, "null fields", NULL);
	bus_str text = captured();
	char expected[512];
	int pid = (int)getpid();
	snprintf(
		expected, sizeof(expected),
		"{\"time\":\"2026-11-21T08:36:28.123456Z\",\"level\":\"info\",\"role\":\"worker "
		"deploy\",\"pid\":%d,\"message\":\"assigned\",\"topic\":\"busline.deploy\","
		"\"partition\":-3,\"key\":null}\n"
		"{\"time\":\"2026-11-21T08:36:28.123456Z\",\"level\":\"error\",\"role\":\"worker "
		"deploy\",\"pid\":%d,\"message\":\"no fields\"}\n"
		"{\"time\":\"2026-11-21T08:36:28.123456Z\",\"level\":\"warn\",\"role\":\"worker "
		"deploy\",\"pid\":%d,\"message\":\"null fields\"}\n",
		pid, pid, pid);
	CU_ASSERT_STRING_EQUAL(text.data, expected);
}

/* Whatever the fields hold and however long they are, it is a line of JSON. */
static void
test_always_json(void)
{
	static char longest[20000];
	static const char fills[] = { 'x', '\n', '\xff', '"', '\x01' };
	bus_log_init("test", BUS_LOG_INFO, &manual.clock);
	for (size_t fill = 0; fill < sizeof(fills); fill++) {
		memset(longest, fills[fill], sizeof(longest));
		for (size_t len = 7900; len < 8200; len += 1) {
			bus_str text = { longest, fill == 0 ? len : len / 6 };
			capture();
			BUS_LOG(BUS_LOG_INFO, "m", BUS_LOG_S("a", text),
				BUS_LOG_I("b", 1), BUS_LOG_S("c", BUS_STR("z")));
			bus_str line = captured();
			CU_ASSERT_TRUE_FATAL(line.len <= 8192 && line.len > 1000);
			CU_ASSERT_EQUAL_FATAL(line.data[line.len - 1], '\n');
			BUS_JSON_AUTO *json = NULL;
			CU_ASSERT_EQUAL_FATAL(bus_json_parse(line, &json, NULL), BUS_OK);
			bool cut = json_is_true(json_object_get(json, "cut"));
			bool whole = bus_str_is(bus_json_str(json, "c"), "z");
			CU_ASSERT_EQUAL(cut, !whole);
			CU_ASSERT_TRUE(bus_json_str(json, "a").len > 0);
		}
	}
	capture();
	bus_str all = { longest, sizeof(longest) };
	BUS_LOG(BUS_LOG_INFO, "m", BUS_LOG_S("a", all));
	bus_str line = captured();
	BUS_JSON_AUTO *json = NULL;
	CU_ASSERT_EQUAL(bus_json_parse(line, &json, NULL), BUS_OK);
	CU_ASSERT_TRUE(json_is_true(json_object_get(json, "cut")));
}

static void
test_error(void)
{
	bus_error err = BUS_ERROR_INIT;
	(void)bus_error_set(&err, BUS_E_ABORT, "pg", 7, "insert into ledger: %s",
			    "deadlock");
	memcpy(err.sqlstate, "40P01", 6);
	memcpy(err.constraint, "ledger_pk", 10);
	bus_log_init("test", BUS_LOG_INFO, &manual.clock);
	capture();
	bus_log_error(BUS_LOG_WARN, "unit lost", &err);
	bus_error plain = BUS_ERROR_INIT;
	bus_log_error(BUS_LOG_WARN, "nothing", &plain);
	bus_str text = captured();
	CU_ASSERT_PTR_NOT_NULL(strstr(
		text.data, "\"message\":\"unit lost\",\"status\":\"ABORT\",\"origin\":"
			   "\"pg\",\"native_code\":7,\"sqlstate\":\"40P01\","
			   "\"constraint\":\"ledger_pk\",\"error\":\"insert into "
			   "ledger: deadlock\"}\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(
		text.data, "\"message\":\"nothing\",\"status\":\"OK\",\"error\":\"\"}\n"));
}

static void
test_journal(void)
{
	static const char priorities[] = { '7', '6', '4', '3' };
	capture();
	struct stat file;
	CU_ASSERT_EQUAL(fstat(STDERR_FILENO, &file), 0);
	char stream[64];
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)file.st_dev,
		 (unsigned long long)file.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	bus_log_init("test", BUS_LOG_DEBUG, &manual.clock);
	for (int level = BUS_LOG_DEBUG; level <= BUS_LOG_ERROR; level++) {
		BUS_LOG((bus_log_level)level, "m");
	}
	bus_str text = captured();
	const char *at = text.data;
	for (int i = 0; i < 4 && at != NULL; i++) {
		char prefix[] = { '<', priorities[i], '>', '{', '\0' };
		CU_ASSERT_EQUAL(strncmp(at, prefix, 4), 0);
		at = strchr(at, '\n');
		at = at != NULL ? at + 1 : NULL;
	}
	/* inherited, but our stderr goes elsewhere */
	setenv("JOURNAL_STREAM", "1:1", 1);
	capture();
	bus_log_init("test", BUS_LOG_DEBUG, &manual.clock);
	BUS_LOG(BUS_LOG_INFO, "m");
	CU_ASSERT_EQUAL(captured().data[0], '{');
	unsetenv("JOURNAL_STREAM");
	bus_log_init("test", BUS_LOG_INFO, &manual.clock);
}

static void
test_lost(void)
{
	bus_log_init("test", BUS_LOG_INFO, &manual.clock);
	int saved = dup(STDERR_FILENO);
	int full = open("/dev/full", O_WRONLY);
	CU_ASSERT_TRUE_FATAL(full >= 0);
	dup2(full, STDERR_FILENO);
	close(full);
	errno = 42;
	for (int i = 0; i < 3; i++) {
		BUS_LOG(BUS_LOG_INFO, "lost");
	}
	CU_ASSERT_EQUAL(errno, 42);
	dup2(saved, STDERR_FILENO);
	close(saved);
	capture();
	BUS_LOG(BUS_LOG_INFO, "first");
	BUS_LOG(BUS_LOG_INFO, "second");
	bus_str text = captured();
	CU_ASSERT_PTR_NOT_NULL(strstr(text.data, "\"lost\":3,\"message\":\"first\""));
	CU_ASSERT_PTR_NULL(strstr(strstr(text.data, "first"), "lost"));
}

static void
test_levels(void)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	for (int i = 0; i < 4; i++) {
		bus_log_level level = BUS_LOG_DEBUG;
		CU_ASSERT_TRUE(bus_log_level_parse(bus_str_from(names[i]), &level));
		CU_ASSERT_EQUAL((int)level, i);
	}
	bus_log_level level = BUS_LOG_WARN;
	CU_ASSERT_FALSE(bus_log_level_parse(BUS_STR("INFO"), &level));
	CU_ASSERT_FALSE(bus_log_level_parse(BUS_STR(""), &level));
	CU_ASSERT_FALSE(bus_log_level_parse(BUS_STR_NULL, &level));
	CU_ASSERT_EQUAL(level, BUS_LOG_WARN);
}

static void
test_limit(void)
{
	/* Each step: so many at once, this much later; and what is told then. */
	static const struct {
		int64_t later_ms;
		int count, written;
		int64_t told;
	} steps[] = {
		{ 0, 3, 3, 0 },       { 0, 5, 0, 5 },     { 999, 2, 0, 0 },
		{ 1, 4, 3, 3 },       { 500, 1, 0, 0 },   { 499, 0, 0, 0 },
		{ 1, 0, 0, 1 },       { 5000, 2, 2, 0 },  { 900, 1, 1, 0 },
		{ 50, 1, 0, 1 },      { 50, 3000, 3, 0 }, { 950, 0, 0, 2997 },
		{ 1000000, 3, 3, 0 }, { 0, 7, 0, 7 },
	};
	bus_log_limit limit = { .lines_max = 3 };
	int64_t now_ms = 123456, happened = 0, known = 0;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int written = 0;
		now_ms += steps[i].later_ms;
		for (int n = 0; n < steps[i].count; n++) {
			written += bus_log_limit_admit(&limit, now_ms);
		}
		int64_t told = bus_log_limit_left_out(&limit, now_ms);
		CU_ASSERT_EQUAL(written, steps[i].written);
		CU_ASSERT_EQUAL(told, steps[i].told);
		happened += steps[i].count;
		known += written + told;
	}
	CU_ASSERT_EQUAL(known, happened);
	/* at the end nothing is kept back, however soon it comes */
	CU_ASSERT_FALSE(bus_log_limit_admit(&limit, now_ms));
	CU_ASSERT_EQUAL(bus_log_limit_left_out(&limit, now_ms), 0);
	CU_ASSERT_EQUAL(bus_log_limit_left_out(&limit, INT64_MAX), 1);
	CU_ASSERT_EQUAL(bus_log_limit_left_out(&limit, INT64_MAX), 0);
	/* a second that always begins anew, and is never seen to end: still told */
	limit = (bus_log_limit){ .lines_max = 1 };
	known = 0;
	for (now_ms = 1000; now_ms < 11000; now_ms++) {
		known += bus_log_limit_admit(&limit, now_ms);
		known += bus_log_limit_left_out(&limit, now_ms);
	}
	CU_ASSERT_EQUAL(known + limit.left_out, 10000);
	CU_ASSERT_TRUE(limit.left_out < BUS_LOG_LIMIT_MS);
}

static const bus_case cases[] = {
	{ "a line is what it should be", test_line },
	{ "a line is JSON whatever it holds, at most 8 KiB", test_always_json },
	{ "an error with all it knows", test_error },
	{ "priorities for the journal and for nobody else", test_journal },
	{ "lines that could not be written are counted", test_lost },
	{ "levels by name", test_levels },
	{ "so many lines a second, the others are counted", test_limit },
	{ 0 },
};

const bus_suite_def bus_suite = { .name = "log", .cases = cases, .setup = setup };
