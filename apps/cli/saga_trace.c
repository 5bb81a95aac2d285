/*
 * saga_trace.c - a saga as a tree
 *
 * DESIGN
 * Forward lane first, then what was taken back, each in the order in which its attempts began. A
 * line is one event of an attempt: sent, answered, its time over. Events that name no attempt
 * (an operator's, the saga's own, answers whose type says enough) stand where they came, under
 * the saga.
 */
#include "apps/cli/saga_trace.h"

#include <stdio.h>
#include <string.h>

#include "apps/cli/output.h"

#define WIDTH 100
#define ATTEMPTS_MAX 4096

typedef struct busp_attempt {
	const char *sagastep; /* "verify/do/2" */
	bool undo;
} busp_attempt;

typedef struct busp_trace {
	const bus_cli *cli;
	const json_t *saga, *steps, *events;
	busp_attempt attempts[ATTEMPTS_MAX]; /* in the order they began */
	size_t attempt_count;
} busp_trace;

static const char *
text_of(const json_t *object, const char *member)
{
	const char *text = json_string_value(json_object_get(object, member));
	return text != NULL ? text : "";
}

const char *
bus_cli_saga_time(const bus_cli *cli, const char *time)
{
	/* 2026-11-21T10:15:02.123456Z */
	return strlen(time) >= 23 ?
		       bus_arena_printf(cli->arena, "%.12s", time + 11).data :
		       "";
}

static void
paint(const busp_trace *t, const char *color, const char *text)
{
	if (t->cli->color && color != NULL) {
		printf("\033[%sm", color);
	}
	bus_cli_put_text(bus_str_from(text));
	if (t->cli->color && color != NULL) {
		fputs("\033[0m", stdout);
	}
}

static const char *
color_of(const char *status)
{
	static const struct {
		const char *status, *color;
	} colors[] = {
		{ "done", "32" },        { "completed", "32" },    { "undone", "33" },
		{ "compensated", "33" }, { "compensating", "33" }, { "undoing", "33" },
		{ "failed", "31" },      { "unknown", "31" },      { "stuck", "31" },
		{ "undo-stuck", "31" },  { "parked", "31" },       { "running", "36" },
		{ "succeeded", "32" },   { "no answer", "31" },    { "refused", "31" },
	};
	for (size_t i = 0; i < sizeof(colors) / sizeof(colors[0]); i++) {
		if (strcmp(status, colors[i].status) == 0) {
			return colors[i].color;
		}
	}
	return NULL;
}

/* At most so many characters of text, by its UTF-8; then "…". */
static const char *
cut(const busp_trace *t, const char *text, size_t width)
{
	size_t seen = 0, bytes = 0, before = 0;
	while (text[bytes] != '\0' && seen < width) {
		before = bytes++;
		while (((unsigned char)text[bytes] & 0xc0) == 0x80) {
			bytes++;
		}
		seen++;
	}
	if (text[bytes] == '\0') {
		return text;
	}
	return bus_arena_printf(t->cli->arena, "%.*s…", (int)before, text).data;
}

/* "deploy.failed" of "io.busline.deploy.failed.v1" */
static const char *
short_type(const busp_trace *t, const char *type)
{
	static const char prefix[] = "io.busline.";
	size_t skip = sizeof(prefix) - 1;
	const char *version = strrchr(type, '.');
	if (strncmp(type, prefix, skip) != 0 || version == NULL ||
	    version <= type + skip) {
		return type;
	}
	return bus_arena_printf(t->cli->arena, "%.*s",
				(int)(version - type - (ptrdiff_t)skip), type + skip)
		.data;
}

static const char *
compact(const busp_trace *t, const json_t *json)
{
	if (json_object_size(json) == 0) {
		return "";
	}
	size_t len = json_dumpb(json, NULL, 0, JSON_COMPACT);
	char *text = bus_arena_alloc(t->cli->arena, len + 1);
	json_dumpb(json, text, len, JSON_COMPACT);
	text[len] = '\0';
	return text;
}

/* ---- lines ---- */

/* The action or compensation itself, on its family's topic. */
static bool
is_sent(const json_t *event)
{
	return strcmp(text_of(event, "topic"), "busline.saga") != 0;
}

/* What one event of an attempt says, and more about it. */
static void
explain(const busp_trace *t, const json_t *event, const char **ret_what,
	const char **ret_more)
{
	const json_t *data = json_object_get(event, "data");
	const char *type = short_type(t, text_of(event, "type"));
	const char *why = text_of(event, "why");
	if (is_sent(event)) {
		*ret_what = "sent";
		*ret_more = bus_arena_printf(t->cli->arena, "%s%s%s", type,
					     *why != '\0' ? ": " : "", why)
				    .data;
		return;
	}
	if (strcmp(type, "timer.fired") == 0) {
		bool retry = strncmp(text_of(data, "name"), "retry/", 6) == 0;
		*ret_what = retry ? "due" : "no answer";
		*ret_more = why;
		return;
	}
	const char *answer = short_type(t, text_of(data, "type"));
	const json_t *said = json_object_get(data, "data");
	const char *reason = *text_of(said, "reason") != '\0' ? text_of(said, "reason") :
								text_of(data, "reason");
	bool refused = strcmp(text_of(data, "outcome"), "rejected") == 0;
	*ret_what = refused ? "refused" : "answered";
	const char *more = *reason != '\0' ? reason : compact(t, said);
	*ret_more = bus_arena_printf(t->cli->arena, "%s%s%s%s%s", answer,
				     *more != '\0' ? ": " : "", more,
				     *why != '\0' ? "; ignored: " : "", why)
			    .data;
}

static void
print_event(const busp_trace *t, const json_t *event, const char *indent)
{
	const char *what, *more;
	explain(t, event, &what, &more);
	/* indent 10, time 12, what 9, and the spaces between them */
	printf("%s%s  %-9s ", indent, bus_cli_saga_time(t->cli, text_of(event, "time")),
	       what);
	bus_cli_put_text(bus_str_from(cut(t, more, WIDTH - 10 - 12 - 2 - 10)));
	putchar('\n');
}

static void
print_attempt(const busp_trace *t, const busp_attempt *attempt, bool last)
{
	const char *slash = strchr(attempt->sagastep, '/');
	size_t i;
	json_t *event;
	printf("│  │  %s─ %s\n", last ? "└" : "├",
	       slash != NULL ? slash + 1 : attempt->sagastep);
	/* what a saga does at once has one time: what was sent comes before its answer */
	for (int sent = 1; sent >= 0; sent--) {
		json_array_foreach(t->events, i, event)
		{
			if (strcmp(text_of(event, "sagastep"), attempt->sagastep) == 0 &&
			    is_sent(event) == sent) {
				print_event(t, event, last ? "│  │      " : "│  │  │   ");
			}
		}
	}
}

static bool
is_of(const busp_attempt *attempt, const char *step, bool undo)
{
	size_t len = strlen(step);
	return attempt->undo == undo && strncmp(attempt->sagastep, step, len) == 0 &&
	       attempt->sagastep[len] == '/';
}

static void
print_step(const busp_trace *t, const json_t *step, bool undo)
{
	const char *name = text_of(step, "step"), *status = text_of(step, "status");
	size_t left = 0;
	for (size_t i = 0; i < t->attempt_count; i++) {
		left += is_of(&t->attempts[i], name, undo);
	}
	if (left == 0 && undo) {
		return;
	}
	printf("│  ├─ %-22s ", name);
	paint(t, color_of(status), status);
	const char *reason = text_of(step, "reason"), *due = text_of(step, "due_at");
	size_t taken = 29 + 2 + strlen(status) + (*due != '\0' ? 22 : 0);
	if (*reason != '\0' && strcmp(status, "done") != 0) {
		fputs(": ", stdout);
		bus_cli_put_text(bus_str_from(cut(t, reason, WIDTH - taken)));
	}
	if (*due != '\0') {
		printf("  (until %s)", bus_cli_saga_time(t->cli, due));
	}
	putchar('\n');
	for (size_t i = 0; i < t->attempt_count; i++) {
		if (is_of(&t->attempts[i], name, undo)) {
			print_attempt(t, &t->attempts[i], --left == 0);
		}
	}
}

static bool
is_undo(const char *sagastep)
{
	const char *slash = strchr(sagastep, '/');
	return slash != NULL && strncmp(slash, "/undo/", 6) == 0;
}

static void
find_attempts(busp_trace *t)
{
	size_t i;
	json_t *event;
	json_array_foreach(t->events, i, event)
	{
		const char *sagastep = text_of(event, "sagastep");
		size_t a = 0;
		while (a < t->attempt_count &&
		       strcmp(t->attempts[a].sagastep, sagastep) != 0) {
			a++;
		}
		if (*sagastep != '\0' && a == t->attempt_count && a < ATTEMPTS_MAX) {
			t->attempts[t->attempt_count++] = (busp_attempt){
				.sagastep = sagastep,
				.undo = is_undo(sagastep),
			};
		}
	}
}

static void
print_head(const busp_trace *t)
{
	const json_t *saga = t->saga;
	const char *status = text_of(saga, "status");
	printf("%s  %s v%lld  tenant %s  ", text_of(saga, "saga"),
	       text_of(saga, "definition"),
	       (long long)json_integer_value(json_object_get(saga, "version")),
	       text_of(saga, "tenant"));
	paint(t, color_of(status), status);
	putchar('\n');
	const char *began = text_of(saga, "requested_at"),
		   *ended = text_of(saga, "finished_at");
	printf("│  asked for by %s, %.10s %s%s%s (UTC)\n", text_of(saga, "requested_by"),
	       began, bus_cli_saga_time(t->cli, began), *ended != '\0' ? ", ended " : "",
	       bus_cli_saga_time(t->cli, ended));
	const char *reason = text_of(saga, "reason"),
		   *step = text_of(saga, "failed_step");
	if (*reason != '\0') {
		printf("│  because ");
		bus_cli_put_text(bus_str_from(
			cut(t,
			    bus_arena_printf(t->cli->arena, "%s%s%s", step,
					     *step != '\0' ? ": " : "", reason)
				    .data,
			    WIDTH - 11)));
		putchar('\n');
	}
}

/* What names no attempt: requests of people, answers by their type, and what the saga came to. */
static void
print_others(const busp_trace *t)
{
	size_t i;
	json_t *event;
	printf("└─ the saga\n");
	json_array_foreach(t->events, i, event)
	{
		if (*text_of(event, "sagastep") != '\0') {
			continue;
		}
		/* its type told which step it answers */
		if (strcmp(text_of(event, "type"), "io.busline.saga.answered.v1") == 0) {
			print_event(t, event, "        ");
			continue;
		}
		const json_t *data = json_object_get(event, "data");
		const char *step = text_of(data, "step");
		const char *more =
			bus_arena_printf(t->cli->arena, "%s%s%s%s%s%s%s%s",
					 short_type(t, text_of(event, "type")),
					 *step != '\0' ? " " : "", step,
					 *text_of(event, "actor") != '\0' ? " by " : "",
					 text_of(event, "actor"),
					 *text_of(data, "reason") != '\0' ? ": " : "",
					 text_of(data, "reason"),
					 strcmp(text_of(event, "verdict"), "REJECTED") ==
							 0 ?
						 " (refused)" :
						 "")
				.data;
		printf("        %s  ", bus_cli_saga_time(t->cli, text_of(event, "time")));
		bus_cli_put_text(bus_str_from(cut(t, more, WIDTH - 8 - 14)));
		putchar('\n');
	}
}

void
bus_cli_saga_trace(const bus_cli *cli, const json_t *saga)
{
	busp_trace *t = bus_arena_alloc(cli->arena, sizeof(*t));
	*t = (busp_trace){
		.cli = cli,
		.saga = saga,
		.steps = json_object_get(saga, "steps"),
		.events = json_object_get(saga, "events"),
	};
	size_t i;
	json_t *step;
	find_attempts(t);
	print_head(t);
	printf("├─ forward\n");
	json_array_foreach(t->steps, i, step)
	{
		print_step(t, step, false);
	}
	bool any = false;
	for (size_t a = 0; a < t->attempt_count; a++) {
		any |= t->attempts[a].undo;
	}
	if (any) {
		printf("├─ taken back\n");
		for (i = json_array_size(t->steps); i > 0; i--) {
			print_step(t, json_array_get(t->steps, i - 1), true);
		}
	}
	print_others(t);
}
