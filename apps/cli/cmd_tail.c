/*
 * cmd_tail.c - tail: events of the log, a part of it or as they come
 *
 * DESIGN
 * Partitions are read directly, without a group: nobody's position moves. A part that is
 * small is gathered and shown in the order of the broker's times; a large one, and one
 * that is followed, is shown as it comes.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli/client.h"
#include "apps/cli/commands.h"
#include "apps/cli/filter.h"
#include "apps/cli/offsets.h"
#include "apps/cli/output.h"
#include "apps/cli/record.h"
#include "core/filler.h"
#include "schemas/registry.h"

#define PARTS_MAX 4096 /* partitions read at once */
#define GATHER_EVENTS_MAX 10000
#define IDLE_MS 10000 /* the broker answers in less, if there is something */
#define POLL_EVENTS 2000
#define ARENA_CHUNK_BYTES (1u << 20)
#define DEFAULT_RANGE "-10"
#define LOCATE_MS 5000 /* a connection to PostgreSQL each time */

typedef struct busp_part {
	const char *topic;
	int32_t partition;
	int64_t from; /* the next one that is wanted */
	int64_t to;   /* the first that is not; INT64_MAX: none */
	bool done;
} busp_part;

enum {
	CELL_POSITION,
	CELL_TIME,
	CELL_TENANT,
	CELL_SUBJECT,
	CELL_TYPE,
	CELL_ID,
	CELL_DATA,
	CELL_COUNT
};

static const bus_cli_column columns[] = {
	[CELL_POSITION] = { "position", .cell = BUS_CLI_CELL_TEXT, .width = 24 },
	[CELL_TIME] = { "time", .cell = BUS_CLI_CELL_TEXT, .width = 27 },
	[CELL_TENANT] = { "tenant", .cell = BUS_CLI_CELL_TEXT, .width = 10 },
	[CELL_SUBJECT] = { "subject", .cell = BUS_CLI_CELL_TEXT, .width = 12 },
	[CELL_TYPE] = { "type", .cell = BUS_CLI_CELL_TEXT, .width = 32 },
	[CELL_ID] = { "id", .cell = BUS_CLI_CELL_TEXT, .width = 36 },
	[CELL_DATA] = { "data", .cell = BUS_CLI_CELL_TEXT },
};

/* An event as it is shown: cells of a table, or an object. */
typedef struct busp_line {
	int64_t time_ms;
	const char *topic;
	int32_t partition;
	int64_t offset;
	bus_str cells[CELL_COUNT];
	bus_str object;
} busp_line;

typedef struct busp_tail {
	bus_cli *cli;
	char url[BUS_BROKER_URL_MAX]; /* where the bus is */
	bus_adapter *adapter;         /* there */
	int64_t located_ms;
	bus_offset_range range;
	bus_cli_filter filter;
	bool follow, gather, fillers;
	int64_t shown_max, shown, passed_over;
	busp_part *parts;
	size_t part_count, done_count;
	bus_arena *arena; /* of one poll, or of all that is gathered */
	busp_line *lines;
	size_t line_count, line_cap;
	bus_cli_printer printer;
} busp_tail;

/* ---- where to begin and end ---- */

static bus_status
busp_at_time(busp_tail *tail, const busp_part *part, int64_t time_ms, int64_t *ret_offset,
	     bus_error *err)
{
	return bus_adapter_offset(tail->adapter, part->topic, part->partition,
				  BUS_OFFSET_TIME, time_ms, BUS_CLI_BROKER_MS, ret_offset,
				  err);
}

static int64_t
busp_clamp(int64_t offset, int64_t oldest, int64_t newest)
{
	return offset < oldest ? oldest : offset > newest ? newest : offset;
}

static bus_status
busp_point(busp_tail *tail, const busp_part *part, const bus_offset_point *point,
	   const int64_t limits[2], int64_t *ret_offset, bus_error *err)
{
	int64_t oldest = limits[0], newest = limits[1], value = point->value;
	switch (point->kind) {
	case BUS_OFFSET_NONE:
		*ret_offset = tail->follow ? INT64_MAX : newest;
		return BUS_OK;
	case BUS_OFFSET_OLDEST:
		*ret_offset = oldest;
		return BUS_OK;
	case BUS_OFFSET_NEWEST:
		*ret_offset = newest;
		return BUS_OK;
	case BUS_OFFSET_EXACT:
		*ret_offset = busp_clamp(value, oldest, newest);
		return BUS_OK;
	case BUS_OFFSET_PAST_OLDEST:
		*ret_offset = value > newest - oldest ? newest : oldest + value;
		return BUS_OK;
	case BUS_OFFSET_BEFORE_NEWEST:
		*ret_offset = value > newest - oldest ? oldest : newest - value;
		return BUS_OK;
	case BUS_OFFSET_AT_TIME:
		return busp_at_time(tail, part, value, ret_offset, err);
	}
	return bus_error_set(err, BUS_E_FATAL, "cli", 0, "tail: unknown kind of offset");
}

static bus_status
busp_resolve(busp_tail *tail, busp_part *part, bus_error *err)
{
	int64_t limits[2];
	static const bus_offset_at ends[2] = { BUS_OFFSET_EARLIEST, BUS_OFFSET_LATEST };
	for (size_t i = 0; i < 2; i++) {
		if (bus_adapter_offset(tail->adapter, part->topic, part->partition,
				       ends[i], 0, BUS_CLI_BROKER_MS, &limits[i],
				       err) != BUS_OK) {
			return err->status;
		}
	}
	if (busp_point(tail, part, &tail->range.from, limits, &part->from, err) !=
		    BUS_OK ||
	    busp_point(tail, part, &tail->range.to, limits, &part->to, err) != BUS_OK) {
		return err->status;
	}
	/* followed, an end that is not there yet is waited for */
	if (tail->follow && tail->range.to.kind == BUS_OFFSET_EXACT) {
		part->to = tail->range.to.value;
	}
	part->done = part->from >= part->to;
	tail->done_count += part->done;
	return BUS_OK;
}

static bus_status
busp_add_topic(busp_tail *tail, const char *topic, bus_error *err)
{
	int32_t partitions;
	if (bus_adapter_partitions(tail->adapter, topic, BUS_CLI_BROKER_MS, &partitions,
				   err) != BUS_OK) {
		return err->status;
	}
	for (int32_t i = 0; i < partitions; i++) {
		if (tail->part_count == PARTS_MAX) {
			return bus_error_set(
				err, BUS_E_REJECT, "cli", 0,
				"tail: more than %d partitions at once; name one topic",
				PARTS_MAX);
		}
		busp_part *part = &tail->parts[tail->part_count++];
		*part = (busp_part){ .topic = topic, .partition = i };
		if (busp_resolve(tail, part, err) != BUS_OK) {
			return err->status;
		}
	}
	return BUS_OK;
}

static bus_status
busp_start(busp_tail *tail, bus_error *err)
{
	int64_t wanted = 0;
	bus_position *positions =
		bus_arena_alloc(tail->cli->arena,
				(tail->part_count + 1) * sizeof(*positions));
	size_t count = 0;
	for (size_t i = 0; i < tail->part_count; i++) {
		const busp_part *part = &tail->parts[i];
		if (!part->done) {
			positions[count++] = (bus_position){ part->topic, part->partition,
							     part->from };
			wanted = part->to == INT64_MAX ? INT64_MAX :
				 wanted == INT64_MAX   ? wanted :
							 wanted + part->to - part->from;
		}
	}
	tail->gather = !tail->follow && wanted <= GATHER_EVENTS_MAX;
	return count == 0 ? BUS_OK :
			    bus_adapter_start(tail->adapter, positions, count, err);
}

/* ---- showing ---- */

static void
busp_member(bus_buf *out, const char *name, bus_str value, bus_arena *arena)
{
	if (value.data == NULL) {
		return;
	}
	bus_buf_byte(out, ',');
	bus_buf_json_string(out, bus_str_from(name));
	bus_buf_byte(out, ':');
	bus_buf_json_string(out, bus_cli_text_of(value, arena));
}

static bus_str
busp_data_of(bus_event *event, const bus_delivery *delivery, bool read, bus_arena *arena,
	     bool *ret_base64)
{
	if (read && event->data_json != NULL) {
		size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
		size_t len = json_dumpb(event->data_json, NULL, 0, flags);
		char *text = bus_arena_alloc(arena, len + 1);
		json_dumpb(event->data_json, text, len, flags);
		*ret_base64 = false;
		return (bus_str){ text, len };
	}
	return bus_cli_data_json(read ? event->data : delivery->record.value, arena,
				 ret_base64);
}

static void
busp_attributes(bus_buf *out, const bus_event *event, bus_arena *arena)
{
	busp_member(out, "id", event->id, arena);
	busp_member(out, "source", event->source, arena);
	busp_member(out, "type", event->type, arena);
	busp_member(out, "time", event->time, arena);
	busp_member(out, "tenant", event->tenant, arena);
	busp_member(out, "subject", event->subject, arena);
	busp_member(out, "actor", event->actor, arena);
	busp_member(out, "correlationid", event->correlationid, arena);
	busp_member(out, "causationid", event->causationid, arena);
	busp_member(out, "partitionkey", event->partitionkey, arena);
	busp_member(out, "sequence", event->sequence, arena);
	busp_member(out, "traceparent", event->traceparent, arena);
	busp_member(out, "sagaid", event->sagaid, arena);
	busp_member(out, "sagastep", event->sagastep, arena);
	busp_member(out, "datacontenttype", event->datacontenttype, arena);
	busp_member(out, "dataschema", event->dataschema, arena);
	for (size_t i = 0; i < event->extension_count; i++) {
		const bus_header *extension = &event->extensions[i];
		busp_member(out, bus_arena_str(arena, extension->name).data,
			    extension->value, arena);
	}
}

static void
busp_object(busp_tail *tail, busp_line *line, const bus_delivery *delivery,
	    bus_event *event, const bus_error *err)
{
	BUS_BUF_AUTO out = { 0 };
	char time[BUS_TIME_TEXT_MAX] = "";
	bool base64, read = err->status == BUS_OK;
	bus_buf_printf(&out, "{\"topic\":\"%s\",\"partition\":%d,\"offset\":%lld",
		       line->topic, line->partition, (long long)line->offset);
	if (line->time_ms >= 0) {
		bus_time_format(line->time_ms * 1000, time);
		busp_member(&out, "recordtime", bus_str_from(time), tail->arena);
	}
	busp_member(&out, "key", delivery->record.key, tail->arena);
	if (!read) {
		busp_member(&out, "error", bus_str_from(err->text), tail->arena);
		bus_str headers =
			bus_cli_headers_json(delivery->record.headers,
					     delivery->record.header_count, tail->arena);
		bus_buf_printf(&out, ",\"headers\":%.*s", BUS_STR_ARG(headers));
	}
	busp_attributes(&out, event, tail->arena);
	bus_str data = busp_data_of(event, delivery, read, tail->arena, &base64);
	if (!read || event->data.data != NULL || event->data_json != NULL) {
		bus_buf_printf(&out, ",\"%s\":", base64 ? "data_base64" : "data");
		bus_buf_str(&out, data);
	}
	bus_buf_byte(&out, '}');
	line->object = bus_arena_str(tail->arena, bus_buf_view(&out));
}

static void
busp_cells(busp_tail *tail, busp_line *line, const bus_delivery *delivery,
	   bus_event *event, const bus_error *err)
{
	bool base64, read = err->status == BUS_OK;
	bus_arena *arena = tail->arena;
	char time[BUS_TIME_TEXT_MAX] = "";
	if (line->time_ms >= 0) {
		bus_time_format(line->time_ms * 1000, time);
	}
	bus_str at = event->time.data != NULL ? event->time : bus_str_from(time);
	line->cells[CELL_POSITION] =
		bus_arena_printf(arena, "%s-%d@%lld", line->topic, line->partition,
				 (long long)line->offset);
	line->cells[CELL_TIME] = bus_arena_str(arena, at);
	line->cells[CELL_TENANT] = bus_arena_str(arena, event->tenant);
	line->cells[CELL_SUBJECT] = bus_arena_str(arena, event->subject);
	line->cells[CELL_TYPE] = bus_arena_str(arena, event->type);
	line->cells[CELL_ID] = bus_arena_str(arena, event->id);
	line->cells[CELL_DATA] =
		read ? bus_arena_str(arena, busp_data_of(event, delivery, true, arena,
							 &base64)) :
		       bus_arena_printf(arena, "(no event: %s)", err->text);
}

static busp_line *
busp_new_line(busp_tail *tail)
{
	if (tail->line_count == tail->line_cap) {
		size_t cap = tail->line_cap == 0 ? POLL_EVENTS : 2 * tail->line_cap;
		busp_line *grown = realloc(tail->lines, cap * sizeof(*grown));
		assert(grown != NULL);
		tail->lines = grown;
		tail->line_cap = cap;
	}
	return &tail->lines[tail->line_count++];
}

static int
busp_by_time(const void *left, const void *right)
{
	const busp_line *a = left, *b = right;
	if (a->time_ms != b->time_ms) {
		return a->time_ms < b->time_ms ? -1 : 1;
	}
	int topics = strcmp(a->topic, b->topic);
	if (topics != 0) {
		return topics;
	}
	if (a->partition != b->partition) {
		return a->partition < b->partition ? -1 : 1;
	}
	return (a->offset > b->offset) - (a->offset < b->offset);
}

/* Shows what is there and makes room for more. */
static void
busp_show(busp_tail *tail)
{
	bus_cli_rows rows;
	size_t count = tail->line_count;
	if (tail->gather && count > 1) {
		qsort(tail->lines, count, sizeof(*tail->lines), busp_by_time);
	}
	if (tail->shown_max >= 0 && (int64_t)count > tail->shown_max - tail->shown) {
		count = (size_t)(tail->shown_max - tail->shown);
	}
	bus_cli_rows_init(&rows, tail->arena, columns, CELL_COUNT);
	for (size_t i = 0; i < count; i++) {
		if (tail->cli->format == BUS_CLI_TABLE) {
			bus_cli_rows_add(&rows, tail->lines[i].cells);
		} else {
			bus_cli_print_object(&tail->printer, tail->lines[i].object);
		}
	}
	if (tail->cli->format == BUS_CLI_TABLE) {
		bus_cli_print_more(&tail->printer, &rows.table);
	} else {
		fflush(stdout);
	}
	tail->shown += (int64_t)count;
	tail->line_count = 0;
	bus_arena_reset(tail->arena);
}

/* ---- reading ---- */

static busp_part *
busp_part_of(busp_tail *tail, const char *topic, int32_t partition)
{
	for (size_t i = 0; i < tail->part_count; i++) {
		busp_part *part = &tail->parts[i];
		if (part->partition == partition && strcmp(part->topic, topic) == 0) {
			return part;
		}
	}
	return NULL;
}

static void
busp_done(busp_tail *tail, busp_part *part)
{
	tail->done_count += !part->done;
	part->done = true;
}

static void
busp_take(busp_tail *tail, const bus_delivery *delivery)
{
	bus_event event = { 0 };
	bus_cause cause;
	bus_error err = BUS_ERROR_INIT;
	busp_part *part = busp_part_of(tail, delivery->topic, delivery->partition);
	if (part == NULL || part->done) {
		return;
	}
	part->from = delivery->offset + 1;
	if (delivery->offset >= part->to - 1) {
		busp_done(tail, part);
		if (delivery->offset >= part->to) {
			return;
		}
	}
	if (bus_is_filler(&delivery->record) && !tail->fillers) {
		return;
	}
	bus_status status =
		bus_event_parse(&delivery->record, tail->arena, &event, &cause, &err);
	if (!bus_cli_filter_match(&tail->filter, &event)) {
		tail->passed_over++;
	} else {
		busp_line *line = busp_new_line(tail);
		*line = (busp_line){ .time_ms = delivery->timestamp_ms,
				     .topic = part->topic,
				     .partition = delivery->partition,
				     .offset = delivery->offset };
		err.status = status;
		if (tail->cli->format == BUS_CLI_TABLE) {
			busp_cells(tail, line, delivery, &event, &err);
		} else {
			busp_object(tail, line, delivery, &event, &err);
		}
	}
	bus_event_fini(&event);
}

/* The partition delivers nothing more; the others go on. */
static void
busp_ended(busp_tail *tail, bus_poll_kind why, const bus_position *position)
{
	busp_part *part = busp_part_of(tail, position->topic, position->partition);
	bool damaged = why == BUS_POLL_DAMAGED;
	bus_cli_fail(BUS_EXIT_OK, NULL,
		     damaged ? "see `busline broker check`, or read from behind it" :
			       "read from `-o start`",
		     "%s-%d@%lld: %s", position->topic, position->partition,
		     (long long)position->offset,
		     damaged ? "is damaged and cannot be read" : "is not in the log");
	if (part != NULL) {
		busp_done(tail, part);
	}
}

static bool
busp_enough(const busp_tail *tail)
{
	return tail->done_count == tail->part_count ||
	       (!tail->gather && tail->shown_max >= 0 && tail->shown >= tail->shown_max);
}

/* Goes on where the bus is, if it has moved: at the same offsets. */
static bus_exit
busp_follow_bus(busp_tail *tail)
{
	bus_cli *cli = tail->cli;
	char url[BUS_BROKER_URL_MAX];
	bus_error err = BUS_ERROR_INIT;
	bus_adapter *adapter = NULL;
	int64_t now_ms = bus_clock_mono_ms(cli->clock);
	if (!tail->follow || now_ms - tail->located_ms < LOCATE_MS) {
		return BUS_EXIT_OK;
	}
	tail->located_ms = now_ms;
	if (!bus_cli_locate(cli, url, &err) || strcmp(url, tail->url) == 0) {
		return BUS_EXIT_OK;
	}
	bus_exit code = bus_cli_adapter_at(cli, url, &adapter);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	bus_cli_note(cli, "the bus has moved to %s", url);
	snprintf(tail->url, sizeof(tail->url), "%s", url);
	bus_adapter_close(tail->adapter);
	tail->adapter = adapter;
	return busp_start(tail, &err) == BUS_OK ? BUS_EXIT_OK : bus_cli_fail_error(&err);
}

static bus_exit
busp_read(busp_tail *tail)
{
	const bus_clock *clock = tail->cli->clock;
	const bus_poll_limit limit = { .events_max = POLL_EVENTS,
				       .bytes_max = 16u << 20,
				       .timeout_ms = BUS_POLL_MS_MAX };
	int64_t heard_ms = bus_clock_mono_ms(clock);
	while (!busp_enough(tail)) {
		bus_poll poll = { 0 };
		bus_error err = BUS_ERROR_INIT;
		bus_status status = bus_adapter_poll(tail->adapter, &limit, &poll, &err);
		bool idle = bus_clock_mono_ms(clock) - heard_ms > IDLE_MS;
		if (status != BUS_OK &&
		    (status != BUS_E_RETRY || (idle && !tail->follow))) {
			return bus_cli_fail_error(&err);
		}
		if (status == BUS_OK && (poll.kind == BUS_POLL_OUT_OF_RANGE ||
					 poll.kind == BUS_POLL_DAMAGED)) {
			busp_ended(tail, poll.kind, &poll.partitions[0]);
		}
		for (size_t i = 0; status == BUS_OK && i < poll.count; i++) {
			busp_take(tail, &poll.deliveries[i]);
			heard_ms = bus_clock_mono_ms(clock);
		}
		if (!tail->gather) {
			busp_show(tail);
		}
		if (status != BUS_OK || poll.count == 0) {
			bus_exit code = busp_follow_bus(tail);
			if (code != BUS_EXIT_OK) {
				return code;
			}
		}
		if (idle && !tail->follow && poll.count == 0) {
			/* the last offsets may be marks of a transaction, which are no events */
			bus_cli_note(tail->cli,
				     "nothing more within %d s; %zu of %zu partitions "
				     "were not read to their end",
				     IDLE_MS / 1000, tail->part_count - tail->done_count,
				     tail->part_count);
			break;
		}
	}
	if (tail->gather) {
		busp_show(tail);
	}
	return BUS_EXIT_OK;
}

/* ---- the command ---- */

/* -o means a format everywhere else: here it takes both, which no value is. */
static bus_exit
busp_tail_options(busp_tail *tail)
{
	bus_cli *cli = tail->cli;
	bus_error err = BUS_ERROR_INIT;
	const char *range = DEFAULT_RANGE;
	const char *text;
	for (size_t i = 0; (text = bus_cli_nth(cli, "offset", i)) != NULL; i++) {
		if (strcmp(text, "json") == 0) {
			cli->format = BUS_CLI_JSON;
		} else if (strcmp(text, "jsonl") == 0) {
			cli->format = BUS_CLI_JSONL;
		} else if (strcmp(text, "table") == 0) {
			cli->format = BUS_CLI_TABLE;
		} else {
			range = text;
		}
	}
	int64_t now_ms = bus_clock_wall_us(cli->clock) / 1000;
	if (bus_offset_range_parse(range, now_ms, &tail->range, &err) != BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	tail->follow = bus_cli_given(cli, "follow");
	tail->fillers = bus_cli_given(cli, "fillers");
	tail->shown_max = bus_cli_int(cli, "count");
	return bus_cli_filter_init(&tail->filter, cli);
}

static void
busp_tail_fini(busp_tail *tail)
{
	bus_adapter_close(tail->adapter);
	bus_arena_destroy(tail->arena);
	free(tail->lines);
}

static bus_exit
busp_tail_run(bus_cli *cli)
{
	bus_error err = BUS_ERROR_INIT;
	bus_status status = BUS_OK;
	__attribute__((cleanup(busp_tail_fini))) busp_tail tail = {
		.cli = cli,
		.printer = { .cli = cli, .columns = columns },
		.parts = bus_arena_alloc(cli->arena, PARTS_MAX * sizeof(busp_part)),
		.arena = bus_arena_create(ARENA_CHUNK_BYTES),
	};
	assert(tail.arena != NULL);
	bus_exit code = busp_tail_options(&tail);
	if (code == BUS_EXIT_OK) {
		bus_cli_locate_or_say(cli, tail.url);
		tail.located_ms = bus_clock_mono_ms(cli->clock);
		code = bus_cli_adapter_at(cli, tail.url, &tail.adapter);
	}
	if (code != BUS_EXIT_OK) {
		return code;
	}
	for (size_t i = 0; i < cli->argument_count && status == BUS_OK; i++) {
		status = busp_add_topic(&tail, cli->arguments[i], &err);
	}
	for (const bus_family *row = bus_families();
	     cli->argument_count == 0 && row->name != NULL && status == BUS_OK; row++) {
		status = busp_add_topic(&tail, row->topic, &err);
	}
	if (status == BUS_E_FATAL) {
		return bus_cli_fail(bus_cli_exit_of(&err), NULL,
				    "`busline topic ls --all` lists the topics", "%s",
				    err.text);
	}
	if (status == BUS_OK) {
		status = busp_start(&tail, &err);
	}
	if (status != BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	code = busp_read(&tail);
	bus_cli_print_end(&tail.printer);
	if (tail.shown == 0 || tail.passed_over > 0) {
		bus_cli_note(cli, "%lld events shown, %lld filtered out",
			     (long long)tail.shown, (long long)tail.passed_over);
	}
	return code;
}

static const bus_cli_option tail_options[] = {
	{ "offset", 'o', BUS_CLI_TEXT, .many = true, .argument = "RANGE",
	  .help = "Which part of each partition (default the last 10); a format (table, json, "
		  "jsonl) is taken as one" },
	{ "follow", 'f', BUS_CLI_FLAG, .help = "Go on with what comes; end with ^C" },
	{ "count", 'n', BUS_CLI_INT, .argument = "N",
	  .help = "End after so many events shown" },
	{ "fillers", .kind = BUS_CLI_FLAG,
	  .help = "Also records that only keep an offset, where the bus has moved" },
	BUS_CLI_FILTER_OPTIONS,
	{ 0 },
};

static const bus_cli_argument tail_arguments[] = {
	{ "TOPIC", .many = true, .values = "@topics",
	  .help = "Names; none: all of the bus" },
	{ 0 },
};

const bus_cli_command bus_command_tail = {
	.name = "tail",
	.group = BUS_GROUP_LOOK,
	.summary = "Events of the log: the last ones, a part, or as they come",
	.text = "RANGE: start, end, N, +N (past the oldest), -N (the last N), :N and :end (until), N:M, "
		"@TIME, @:TIME, @T1:T2. A TIME is RFC 3339, YYYY-MM-DD, seconds (9 or 10 digits) or "
		"milliseconds (13) since 1970, or -10m (ago); T2 may be end, or a duration after T1. No "
		"position of any worker moves. Up to 10,000 events are shown in the order of their "
		"times, more as they come.",
	.options = tail_options,
	.arguments = tail_arguments,
	.examples =
		(const char *const[]){
			"busline tail -f",
			"busline tail busline.deploy -o @-10m --app shop",
			"busline tail busline.scale -o start -o jsonl > scale.jsonl",
			"busline tail --filter 'prefix type=io.busline.route.' -o @2026-11-21:end",
			NULL },
	.run = busp_tail_run,
};
