/*
 * cmd_publish.c - publish: one event from the command line, or many from JSON Lines
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/cli/commands.h"
#include "apps/cli/output.h"
#include "apps/cli/publisher.h"
#include "core/json.h"

/* A line is an event's data (256 KiB) and its attributes. */
#define LINE_BYTES_MAX (BUS_EVENT_BYTES_MAX + 64u * 1024u)
#define PROGRESS_FIRST_MS 2000
#define PROGRESS_TERMINAL_MS 200
#define PROGRESS_LOG_MS 5000

static const bus_cli_option publish_options[] = {
	{ "data", 'd', BUS_CLI_TEXT, .argument = "JSON|@FILE|-",
	  .help = "Data of the event: as given, a file's, or standard input's" },
	{ "jsonl", .kind = BUS_CLI_TEXT, .argument = "FILE|-", .values = "@files",
	  .help = "Publish an event per line: a JSON object of CloudEvents attributes and data" },
	{ "subject", 's', BUS_CLI_TEXT, .argument = "APP", .values = "@apps",
	  .help = "The application; empty for the tenant itself" },
	BUS_CLI_EVENT_OPTIONS,
	{ "source", .kind = BUS_CLI_TEXT, .argument = "URI", .fallback = BUS_CLI_SOURCE,
	  .help = "Who publishes; (source, id) is the identity of an event" },
	{ "time", .kind = BUS_CLI_TIME, .argument = "TIME",
	  .help = "Event time; else the time in the id, if that is a UUIDv7" },
	{ "causation", .kind = BUS_CLI_TEXT, .argument = "ID",
	  .help = "causationid: the event that caused this one" },
	{ "saga", .kind = BUS_CLI_TEXT, .argument = "ID",
	  .help = "sagaid: the saga that this event answers" },
	{ "saga-step", .kind = BUS_CLI_TEXT, .argument = "STEP",
	  .help = "sagastep: which attempt of which step of it, as in the event it answers; "
		  "needed only where the type does not tell" },
	{ "extension", .kind = BUS_CLI_TEXT, .many = true, .argument = "NAME=VALUE",
	  .help = "A CloudEvents extension attribute" },
	{ "header", .kind = BUS_CLI_TEXT, .many = true, .argument = "NAME=VALUE",
	  .help = "A header of the record, beside the event" },
	{ "mode", .kind = BUS_CLI_CHOICE, .argument = "MODE", .fallback = "binary",
	  .values = "binary|structured", .help = "Content mode of CloudEvents on Kafka" },
	{ "topic", .kind = BUS_CLI_TEXT, .argument = "TOPIC", .values = "@topics",
	  .help = "Else that of the type's family" },
	{ "partition", .kind = BUS_CLI_INT, .argument = "N",
	  .help = "Else the home of the key; the engine sends strays home" },
	BUS_CLI_WAIT_OPTIONS,
	{ "no-validate", .kind = BUS_CLI_FLAG,
	  .help = "Do not check type, tenant and data before sending" },
	{ 0 },
};

static const bus_cli_argument publish_arguments[] = {
	{ "TYPE", .values = "@types",
	  .help = "Type of the event, or its short form: deploy.requested" },
	{ 0 },
};

/* All of a stream, or BUS_EXIT_DATA when it is longer than an event may be. */
static bus_exit
busp_read_all(FILE *in, const char *name, bus_buf *out)
{
	char chunk[16 * 1024];
	size_t got;
	while ((got = fread(chunk, 1, sizeof(chunk), in)) > 0) {
		bus_buf_append(out, chunk, got);
		if (out->len > BUS_EVENT_BYTES_MAX) {
			return bus_cli_fail(BUS_EXIT_DATA, name, NULL,
					    "is longer than an event may be, %u bytes",
					    BUS_EVENT_BYTES_MAX);
		}
	}
	return ferror(in) ? bus_cli_fail(BUS_EXIT_NO_INPUT, name, NULL, "%s",
					 strerror(errno)) :
			    BUS_EXIT_OK;
}

static bus_exit
busp_data(const char *given, bus_buf *out)
{
	if (given == NULL) {
		return BUS_EXIT_OK;
	}
	if (strcmp(given, "-") == 0) {
		return busp_read_all(stdin, "standard input", out);
	}
	if (given[0] != '@') {
		bus_buf_cstr(out, given);
		return BUS_EXIT_OK;
	}
	FILE *in = fopen(given + 1, "re");
	if (in == NULL) {
		return bus_cli_fail(BUS_EXIT_NO_INPUT, given + 1, NULL, "%s",
				    strerror(errno));
	}
	bus_exit code = busp_read_all(in, given + 1, out);
	fclose(in);
	return code;
}

/* NAME=VALUE options as headers in the arena. */
static bus_exit
busp_pairs(const bus_cli *cli, const char *option, const bus_header **ret_pairs,
	   size_t *ret_count)
{
	size_t count = 0;
	while (bus_cli_nth(cli, option, count) != NULL) {
		count++;
	}
	bus_header *pairs = bus_arena_alloc(cli->arena, (count + 1) * sizeof(*pairs));
	for (size_t i = 0; i < count; i++) {
		const char *text = bus_cli_nth(cli, option, i);
		const char *equals = strchr(text, '=');
		if (equals == NULL || equals == text) {
			return bus_cli_fail(BUS_EXIT_USAGE, option, NULL,
					    "'%s' is not NAME=VALUE", text);
		}
		pairs[i].name = (bus_str){ text, (size_t)(equals - text) };
		pairs[i].value = bus_str_from(equals + 1);
	}
	*ret_pairs = pairs;
	*ret_count = count;
	return BUS_EXIT_OK;
}

static bus_exit
busp_publish_one(bus_cli *cli, bus_cli_publisher *publisher)
{
	BUS_BUF_AUTO data = { 0 };
	bus_event event = { .time_us = BUS_TIME_NONE };
	bus_exit code = busp_data(bus_cli_text(cli, "data"), &data);
	if (code == BUS_EXIT_OK) {
		code = busp_pairs(cli, "extension", &event.extensions,
				  &event.extension_count);
	}
	if (code != BUS_EXIT_OK) {
		return code;
	}
	bus_cli_event_defaults(cli, &event);
	event.type = bus_cli_type_of(cli->arguments[0], cli->arena);
	event.subject = bus_str_from(bus_cli_text(cli, "subject"));
	event.causationid = bus_str_from(bus_cli_text(cli, "causation"));
	event.sagaid = bus_str_from(bus_cli_text(cli, "saga"));
	event.sagastep = bus_str_from(bus_cli_text(cli, "saga-step"));
	event.time = bus_str_from(bus_cli_text(cli, "time"));
	if (event.time.data != NULL && !bus_time_parse(event.time, &event.time_us)) {
		return bus_cli_fail(BUS_EXIT_USAGE, "time", NULL, "is not as in RFC 3339");
	}
	if (bus_cli_given(cli, "data")) {
		event.data = bus_buf_view(&data);
	}
	return bus_cli_publish_one(publisher, &event);
}

/* ---- many ---- */

typedef struct busp_progress {
	const bus_cli *cli;
	int64_t begin_ms, next_ms;
	int64_t bytes_all; /* of the file, 0: not known */
	int64_t bytes;
	bool terminal, shown;
} busp_progress;

static void
busp_progress_show(busp_progress *progress, size_t published, bool last)
{
	int64_t now = bus_clock_mono_ms(progress->cli->clock);
	int64_t spent = now - progress->begin_ms;
	if (progress->cli->quiet || (!last && now < progress->next_ms) ||
	    (last && !progress->shown)) {
		return;
	}
	progress->next_ms =
		now + (progress->terminal ? PROGRESS_TERMINAL_MS : PROGRESS_LOG_MS);
	progress->shown = true;
	double rate = spent > 0 ? (double)published * 1000 / (double)spent : 0;
	fprintf(stderr, "%s%zu events published, %.0f/s", progress->terminal ? "\r" : "",
		published, rate);
	if (progress->bytes_all > 0 && progress->bytes > 0 && !last) {
		double part = (double)progress->bytes / (double)progress->bytes_all;
		double left_s = (double)spent / 1000 * (1 - part) / part;
		fprintf(stderr, ", %.0f%%, %.0f s left", part * 100, left_s);
	}
	fputs(progress->terminal && !last ? "\033[K" :
	      progress->terminal          ? "\033[K\n" :
					    "\n",
	      stderr);
}

static bus_exit
busp_add_line(bus_cli *cli, bus_cli_publisher *publisher, bus_str line, const char *where)
{
	bus_error err = BUS_ERROR_INIT;
	bus_event event;
	BUS_JSON_AUTO *object = NULL;
	if (bus_json_parse(line, &object, &err) != BUS_OK ||
	    bus_cli_event_of_json(object, publisher->arena, &event, &err) != BUS_OK) {
		return bus_cli_fail(BUS_EXIT_DATA, where, NULL, "%s", err.text);
	}
	char type[256];
	snprintf(type, sizeof(type), "%.*s", BUS_STR_ARG(event.type));
	if (strlen(type) == event.type.len) {
		event.type = bus_arena_str(publisher->arena,
					   bus_cli_type_of(type, publisher->arena));
	}
	bus_event defaults = { 0 };
	bus_cli_event_defaults(cli, &defaults);
	event.tenant = event.tenant.data != NULL ? event.tenant : defaults.tenant;
	event.actor = event.actor.data != NULL ? event.actor : defaults.actor;
	bus_exit code = bus_cli_publisher_add(publisher, &event, where);
	bus_event_fini(&event);
	return code;
}

static bus_exit
busp_flush(bus_cli *cli, bus_cli_publisher *publisher, bus_cli_printer *printer)
{
	bus_exit code = bus_cli_publisher_flush(publisher);
	if (cli->format != BUS_CLI_TABLE) {
		bus_cli_publisher_print(publisher, printer);
	}
	publisher->count = 0;
	bus_arena_reset(publisher->arena);
	return code;
}

static bool
busp_blank(bus_str line)
{
	for (size_t i = 0; i < line.len; i++) {
		if (strchr(" \t\r", line.data[i]) == NULL) {
			return false;
		}
	}
	return true;
}

static void
busp_free_line(char **text)
{
	free(*text);
}

static bus_exit
busp_publish_lines(bus_cli *cli, bus_cli_publisher *publisher, FILE *in, const char *name,
		   busp_progress *progress)
{
	char *text __attribute__((cleanup(busp_free_line))) = NULL;
	size_t cap = 0, number = 0;
	ssize_t len;
	char where[512];
	bus_exit code = BUS_EXIT_OK;
	bus_cli_printer printer = { .cli = cli };
	while (code == BUS_EXIT_OK && (len = getline(&text, &cap, in)) >= 0) {
		number++;
		progress->bytes += len;
		bus_str line = { text, (size_t)len - (text[len - 1] == '\n') };
		snprintf(where, sizeof(where), "%s:%zu", name, number);
		if (busp_blank(line)) {
			continue;
		}
		bus_exit bad =
			line.len > LINE_BYTES_MAX ?
				bus_cli_fail(BUS_EXIT_DATA, where, NULL,
					     "is longer than %u bytes", LINE_BYTES_MAX) :
				busp_add_line(cli, publisher, line, where);
		if (bad != BUS_EXIT_OK || publisher->count == BUS_CLI_BATCH_MAX) {
			code = busp_flush(cli, publisher, &printer);
			busp_progress_show(progress, publisher->published, false);
		}
		if (bad != BUS_EXIT_OK && code == BUS_EXIT_OK) {
			bus_cli_fail(bad, where,
				     "go on with `tail -n +N FILE | busline publish "
				     "--jsonl -`",
				     "stopped here; the lines before are published");
		}
		code = code == BUS_EXIT_OK ? bad : code;
	}
	if (code == BUS_EXIT_OK) {
		code = ferror(in) ? bus_cli_fail(BUS_EXIT_NO_INPUT, name, NULL, "%s",
						 strerror(errno)) :
				    busp_flush(cli, publisher, &printer);
	}
	bus_cli_print_end(&printer);
	busp_progress_show(progress, publisher->published, true);
	return code;
}

static void
busp_summary(const bus_cli *cli, const bus_cli_publisher *publisher)
{
	if (cli->format == BUS_CLI_TABLE && !publisher->applied) {
		printf("%zu events published\n", publisher->published);
	} else if (cli->format == BUS_CLI_TABLE) {
		printf("%zu events published, %zu rejected\n", publisher->published,
		       publisher->rejected);
	}
}

static bus_exit
busp_publish_file(bus_cli *cli, bus_cli_publisher *publisher)
{
	struct stat about;
	const char *path = bus_cli_text(cli, "jsonl");
	bool standard = strcmp(path, "-") == 0;
	FILE *in = standard ? stdin : fopen(path, "re");
	if (in == NULL) {
		return bus_cli_fail(BUS_EXIT_NO_INPUT, path, NULL, "%s", strerror(errno));
	}
	int64_t now = bus_clock_mono_ms(cli->clock);
	bool terminal = isatty(STDERR_FILENO);
	busp_progress progress = { .cli = cli,
				   .begin_ms = now,
				   .terminal = terminal,
				   .next_ms = terminal ? now : now + PROGRESS_FIRST_MS };
	if (fstat(fileno(in), &about) == 0 && S_ISREG(about.st_mode)) {
		progress.bytes_all = about.st_size;
	}
	bus_exit code = busp_publish_lines(cli, publisher, in,
					   standard ? "standard input" : path, &progress);
	if (!standard) {
		fclose(in);
	}
	busp_summary(cli, publisher);
	return code == BUS_EXIT_OK && publisher->rejected > 0 ? BUS_EXIT_FAILED : code;
}

static bus_exit
busp_publish_run(bus_cli *cli)
{
	BUS_PUBLISHER_AUTO *publisher = NULL;
	bool lines = bus_cli_given(cli, "jsonl");
	if (lines == (cli->argument_count > 0)) {
		return bus_cli_fail(BUS_EXIT_USAGE, "publish",
				    "`busline publish --help` shows how",
				    "wants either a TYPE or --jsonl FILE");
	}
	bus_exit code = bus_cli_publisher_create(cli, !bus_cli_given(cli, "no-validate"),
						 &publisher);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	publisher->source = bus_str_from(bus_cli_text(cli, "source"));
	publisher->topic = bus_cli_text(cli, "topic");
	if (bus_cli_given(cli, "partition")) {
		int64_t partition = bus_cli_int(cli, "partition");
		publisher->partition = partition < BUS_PARTITIONS_MAX ?
					       (int32_t)partition :
					       BUS_PARTITIONS_MAX;
	}
	publisher->mode = strcmp(bus_cli_text(cli, "mode"), "structured") == 0 ?
				  BUS_MODE_STRUCTURED :
				  BUS_MODE_BINARY;
	code = busp_pairs(cli, "header", &publisher->headers, &publisher->header_count);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	return lines ? busp_publish_file(cli, publisher) :
		       busp_publish_one(cli, publisher);
}

static const bus_exit_row publish_exits[] = {
	{ BUS_EXIT_FAILED, "with --wait=applied: an event was rejected" },
	{ BUS_EXIT_DATA,
	  "an event breaks its schema; its place is named, it was not sent" },
	{ BUS_EXIT_RETRY,
	  "events may be in the log or not; publish them again, same ids" },
	{ BUS_EXIT_TIMEOUT, "with --wait=applied: published, but not applied in time" },
	{ 0, NULL },
};

const bus_cli_command bus_command_publish = {
	.name = "publish",
	.group = BUS_GROUP_ACT,
	.summary = "Publish events, checked against their schemas",
	.text = "Prints id and topic-partition@offset of each event; with --wait=applied also what "
		"became of it. Lines of --jsonl are objects of CloudEvents attributes (type, tenant, "
		"subject, actor, source, id, time, ...) and data: what `busline tail -o jsonl` prints. "
		"--tenant, --actor and --source count for events that do not name theirs.",
	.options = publish_options,
	.arguments = publish_arguments,
	.examples =
		(const char *const[]){
			"busline publish catalog.tenant.created --tenant acme -d '{\"name\":\"Acme\"}'",
			"busline publish deploy.requested --tenant acme -s shop -d @deploy.json --wait",
			"busline publish --jsonl day.jsonl --wait=applied -o jsonl",
			NULL },
	.exits = publish_exits,
	.run = busp_publish_run,
};
