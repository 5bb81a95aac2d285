/*
 * log.c - one JSON line per message
 *
 * The line is put together on the stack and leaves in one write(2), so lines of several
 * threads or processes never mix and a full heap does not silence the log.
 */
#include "core/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/text.h"

/* Enough for every field we log; PIPE_BUF is 4 KiB, a journal line at most 48 KiB. */
#define BUSP_LINE_MAX 8192
/* Kept free for the end of a cut line: the closing quote, ,"cut":true} and \n. */
#define BUSP_LINE_TAIL 16

typedef struct busp_line {
	char data[BUSP_LINE_MAX];
	size_t len;
	bool cut;
} busp_line;

static struct {
	char role[64];
	bus_log_level least;
	const bus_clock *clock;
	bool journal;
	atomic_ullong lost; /* lines since the last one that was written */
	atomic_bool torn;   /* the stream ends inside a line */
} busp_log = { .role = "busline", .least = BUS_LOG_INFO };

static const struct {
	const char *name;
	char priority; /* of syslog(3) */
} busp_levels[] = {
	[BUS_LOG_DEBUG] = { "debug", '7' },
	[BUS_LOG_INFO] = { "info", '6' },
	[BUS_LOG_WARN] = { "warn", '4' },
	[BUS_LOG_ERROR] = { "error", '3' },
};

/* JOURNAL_STREAM is inherited by children whose stderr goes elsewhere: systemd.exec(5)
 * says to compare it with the stream. */
static bool
busp_stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat file;
	if (stream == NULL || fstat(STDERR_FILENO, &file) != 0) {
		return false;
	}
	char expected[64];
	snprintf(expected, sizeof(expected), "%llu:%llu", (unsigned long long)file.st_dev,
		 (unsigned long long)file.st_ino);
	return strcmp(stream, expected) == 0;
}

void
bus_log_init(const char *role, bus_log_level least, const bus_clock *clock)
{
	snprintf(busp_log.role, sizeof(busp_log.role), "%s", role);
	busp_log.least = least;
	busp_log.clock = clock;
	busp_log.journal = busp_stderr_is_journal();
}

bool
bus_log_level_parse(bus_str text, bus_log_level *ret_level)
{
	for (size_t i = 0; i < sizeof(busp_levels) / sizeof(busp_levels[0]); i++) {
		if (bus_str_is(text, busp_levels[i].name)) {
			*ret_level = (bus_log_level)i;
			return true;
		}
	}
	return false;
}

/* All of it or, when it does not fit, nothing and the line is cut here. */
static bool
busp_line_put(busp_line *line, const char *data, size_t len)
{
	if (line->cut || line->len + len > BUSP_LINE_MAX - BUSP_LINE_TAIL) {
		line->cut = true;
		return false;
	}
	memcpy(line->data + line->len, data, len);
	line->len += len;
	return true;
}

static void
busp_line_text(busp_line *line, bus_str text)
{
	size_t at = 0;
	while (at < text.len && !line->cut) {
		char unit[BUSP_JSON_UNIT_MAX];
		size_t len = busp_json_unit(text, &at, unit);
		busp_line_put(line, unit, len);
	}
	/* the tail keeps room for the quote of a string that was cut */
	line->data[line->len++] = '"';
}

/* `,"name":` or nothing; the value's first byte belongs to it, so that a cut never
 * leaves a name alone. */
static bool
busp_line_name(busp_line *line, const char *name, const char *value)
{
	char text[128];
	int len = snprintf(text, sizeof(text), "%s\"%s\":%s",
			   line->len > 0 && line->data[line->len - 1] != '{' ? "," : "",
			   name, value);
	if (len < 0 || (size_t)len >= sizeof(text)) {
		line->cut = true;
		return false;
	}
	return busp_line_put(line, text, (size_t)len);
}

static void
busp_line_string(busp_line *line, const char *name, bus_str text)
{
	if (text.data == NULL) {
		busp_line_name(line, name, "null");
	} else if (busp_line_name(line, name, "\"")) {
		busp_line_text(line, text);
	}
}

static void
busp_line_integer(busp_line *line, const char *name, int64_t value)
{
	char text[24];
	snprintf(text, sizeof(text), "%lld", (long long)value);
	busp_line_name(line, name, text);
}

static void
busp_line_begin(busp_line *line, bus_log_level level)
{
	line->len = 0;
	line->cut = false;
	if (atomic_exchange(&busp_log.torn, false)) {
		busp_line_put(line, "\n", 1);
	}
	if (busp_log.journal) {
		busp_line_put(line, (char[]){ '<', busp_levels[level].priority, '>' }, 3);
	}
	busp_line_put(line, "{", 1);
	const bus_clock *clock =
		busp_log.clock != NULL ? busp_log.clock : bus_clock_system();
	char now[BUS_TIME_TEXT_MAX];
	size_t len = bus_time_format(bus_clock_wall_us(clock), now);
	busp_line_string(line, "time", (bus_str){ now, len });
	busp_line_string(line, "level", bus_str_from(busp_levels[level].name));
	busp_line_string(line, "role", bus_str_from(busp_log.role));
	busp_line_integer(line, "pid", getpid());
}

static void
busp_line_end(busp_line *line)
{
	static const char cut[] = ",\"cut\":true";
	if (line->cut) {
		memcpy(line->data + line->len, cut, sizeof(cut) - 1);
		line->len += sizeof(cut) - 1;
	}
	line->data[line->len++] = '}';
	line->data[line->len++] = '\n';
}

static bool
busp_line_write(const busp_line *line)
{
	size_t done = 0;
	while (done < line->len) {
		ssize_t wrote = write(STDERR_FILENO, line->data + done, line->len - done);
		if (wrote < 0 && errno != EINTR) {
			atomic_store(&busp_log.torn, done > 0);
			return false;
		}
		done += wrote > 0 ? (size_t)wrote : 0;
	}
	return true;
}

void
bus_log(bus_log_level level, const char *message, const bus_log_field *fields)
{
	if (level < busp_log.least) {
		return;
	}
	int saved_errno = errno;
	busp_line line;
	busp_line_begin(&line, level);
	unsigned long long lost = atomic_exchange(&busp_log.lost, 0);
	if (lost > 0) {
		busp_line_integer(&line, "lost", (int64_t)lost);
	}
	busp_line_string(&line, "message", bus_str_from(message));
	for (const bus_log_field *f = fields; f != NULL && f->kind != BUS_LOG_END; f++) {
		if (f->kind == BUS_LOG_TEXT) {
			busp_line_string(&line, f->name, f->text);
		} else {
			busp_line_integer(&line, f->name, f->integer);
		}
	}
	busp_line_end(&line);
	if (!busp_line_write(&line)) {
		atomic_fetch_add(&busp_log.lost, lost + 1);
	}
	errno = saved_errno;
}

bool
bus_log_limit_admit(bus_log_limit *limit, int64_t now_ms)
{
	if (limit->lines == 0 || now_ms - limit->since_ms >= BUS_LOG_LIMIT_MS) {
		limit->lines = 0;
		limit->since_ms = now_ms;
	}
	if (limit->lines >= limit->lines_max) {
		limit->left_out++;
		return false;
	}
	limit->lines++;
	return true;
}

int64_t
bus_log_limit_left_out(bus_log_limit *limit, int64_t now_ms)
{
	int64_t left_out = limit->left_out;
	if (left_out == 0 || now_ms - limit->told_ms < BUS_LOG_LIMIT_MS) {
		return 0;
	}
	limit->told_ms = now_ms;
	limit->left_out = 0;
	return left_out;
}

void
bus_log_error(bus_log_level level, const char *message, const bus_error *err)
{
	bus_log_field fields[7] = {
		BUS_LOG_S("status", bus_str_from(bus_status_name(err->status)))
	};
	size_t count = 1;
	if (err->origin != NULL) {
		fields[count++] =
			(bus_log_field)BUS_LOG_S("origin", bus_str_from(err->origin));
	}
	if (err->native_code != 0) {
		fields[count++] =
			(bus_log_field)BUS_LOG_I("native_code", err->native_code);
	}
	if (err->sqlstate[0] != '\0') {
		fields[count++] =
			(bus_log_field)BUS_LOG_S("sqlstate", bus_str_from(err->sqlstate));
	}
	if (err->constraint[0] != '\0') {
		fields[count++] = (bus_log_field)BUS_LOG_S("constraint",
							   bus_str_from(err->constraint));
	}
	fields[count] = (bus_log_field)BUS_LOG_S("error", bus_str_from(err->text));
	bus_log(level, message, fields);
}
