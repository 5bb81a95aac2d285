/*
 * publisher.c - events on their way: checked and sent
 *
 * DESIGN
 * A batch is sent until every event has an outcome that counts. One that may or may not be
 * in the log is sent again under the same id: the worker knows repeats by it, for ever.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/cli/publisher.h"
#include "apps/cli/verdict.h"
#include "workers/engine/service.h"

#define ARENA_CHUNK_BYTES (1u << 20)
#define RETRY_PAUSE_MS 100 /* a broker that refuses at once is not asked in a hot loop */

bus_exit
bus_cli_publisher_create(const bus_cli *cli, bool validate,
			 bus_cli_publisher **ret_publisher)
{
	bus_error err = BUS_ERROR_INIT;
	BUS_PUBLISHER_AUTO *publisher = calloc(1, sizeof(*publisher));
	assert(publisher != NULL);
	*publisher = (bus_cli_publisher){
		.cli = cli,
		.source = BUS_STR(BUS_CLI_SOURCE),
		.partition = BUS_PARTITION_HOME,
		.timeout_ms = bus_cli_ms(cli, "timeout"),
		.arena = bus_arena_create(ARENA_CHUNK_BYTES),
	};
	assert(publisher->arena != NULL);
	if (validate && bus_registry_create(&publisher->registry, &err) != BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	publisher->applied = strcmp(bus_cli_text(cli, "wait"), "applied") == 0;
	bus_cli_locate_or_say(cli, publisher->url);
	publisher->located_ms = bus_clock_mono_ms(cli->clock);
	bus_exit code = bus_cli_adapter_at(cli, publisher->url, &publisher->adapter);
	if (code == BUS_EXIT_OK) {
		*ret_publisher = publisher;
		publisher = NULL;
	}
	return code;
}

void
bus_cli_publisher_destroy(bus_cli_publisher *publisher)
{
	if (publisher == NULL) {
		return;
	}
	bus_adapter_close(publisher->adapter);
	bus_store_destroy(publisher->store);
	bus_registry_destroy(publisher->registry);
	bus_arena_destroy(publisher->arena);
	free(publisher);
}

bus_str
bus_cli_actor(const bus_cli *cli)
{
	const char *actor = bus_cli_text(cli, "actor");
	actor = actor != NULL ? actor : cli->actor;
	char host[256] = "";
	const char *user = getenv("USER");
	gethostname(host, sizeof(host) - 1);
	if (actor != NULL) {
		return bus_str_from(actor);
	}
	if (user == NULL || *user == '\0') {
		return bus_arena_printf(cli->arena, "uid%ld@%s", (long)getuid(), host);
	}
	return bus_arena_printf(cli->arena, "%s@%s", user, host);
}

void
bus_cli_event_defaults(const bus_cli *cli, bus_event *event)
{
	const char *tenant = bus_cli_text(cli, "tenant");
	event->tenant = bus_str_from(tenant != NULL ? tenant : cli->tenant);
	event->actor = bus_cli_actor(cli);
	event->id = bus_str_from(bus_cli_text(cli, "id"));
	event->correlationid = bus_str_from(bus_cli_text(cli, "correlation"));
}

bus_str
bus_cli_type_of(const char *text, bus_arena *arena)
{
	size_t count;
	const bus_event_type *types = bus_registry_types(&count);
	bus_str full = bus_arena_printf(arena, "io.busline.%s.v1", text);
	for (size_t i = 0; i < count; i++) {
		if (bus_str_is(full, types[i].type)) {
			return full;
		}
	}
	return bus_str_from(text);
}

/* Short names are compared with short names. */
static const char *
busp_nearest_type(bus_arena *arena, const char *wanted)
{
	static const char prefix[] = "io.busline.";
	size_t count;
	const bus_event_type *types = bus_registry_types(&count);
	const char **names = bus_arena_alloc(arena, (count + 1) * sizeof(*names));
	bool whole = strncmp(wanted, prefix, sizeof(prefix) - 1) == 0;
	for (size_t i = 0; i < count; i++) {
		const char *start = types[i].type + (whole ? 0 : sizeof(prefix) - 1);
		const char *version = strrchr(start, '.');
		size_t len = whole ? strlen(start) : (size_t)(version - start);
		names[i] = bus_arena_printf(arena, "%.*s", (int)len, start).data;
	}
	return bus_cli_nearest(wanted, names);
}

static bus_exit
busp_unknown_type(const bus_cli_publisher *publisher, const bus_event *event,
		  const char *where)
{
	bus_arena *arena = publisher->arena;
	const char *wanted =
		bus_arena_printf(arena, "%.*s", BUS_STR_ARG(event->type)).data;
	const char *nearest = busp_nearest_type(arena, wanted);
	const char *advice =
		nearest == NULL ?
			"docs/events.md lists them; --no-validate and --topic send any" :
			bus_arena_printf(arena, "did you mean %s?", nearest).data;
	return bus_cli_fail(BUS_EXIT_DATA, where, advice, "no event has the type '%s'",
			    wanted);
}

/* "io.busline.<family>.<fact>.v<N>": the family is known even where the fact is not. */
static const char *
busp_topic(const bus_cli_publisher *publisher, const bus_event *event)
{
	static const char prefix[] = "io.busline.";
	if (publisher->topic != NULL) {
		return publisher->topic;
	}
	bus_str type = event->type;
	size_t skip = sizeof(prefix) - 1;
	if (type.len <= skip || memcmp(type.data, prefix, skip) != 0) {
		return NULL;
	}
	const char *start = type.data + skip;
	const char *dot = memchr(start, '.', type.len - skip);
	if (dot == NULL) {
		return NULL;
	}
	const bus_family *family =
		bus_family_of_name((bus_str){ start, (size_t)(dot - start) });
	return family == NULL ? NULL : family->topic;
}

static bus_exit
busp_say_report(const bus_event *event, const bus_schema_report *report,
		const bus_error *err, const char *where)
{
	char object[512];
	size_t kept = report->count < BUS_SCHEMA_ERRORS_MAX ? report->count :
							      BUS_SCHEMA_ERRORS_MAX;
	snprintf(object, sizeof(object), "%s%s%.*s", where != NULL ? where : "",
		 where != NULL ? ": " : "", BUS_STR_ARG(event->type));
	for (size_t i = 0; i < kept; i++) {
		const bus_schema_error *row = &report->errors[i];
		bus_cli_fail(BUS_EXIT_DATA, object, NULL, "data%s%s: %s (schema %s)",
			     *row->instance_location != '\0' ? " at " : "",
			     row->instance_location, row->text, row->keyword_location);
	}
	if (kept == 0) {
		bus_cli_fail(BUS_EXIT_DATA, object, NULL, "data: %s", err->text);
	} else if (kept < report->count) {
		bus_cli_fail(BUS_EXIT_DATA, object, NULL, "and %zu more",
			     report->count - kept);
	}
	return BUS_EXIT_DATA;
}

static bus_exit
busp_validate(bus_cli_publisher *publisher, const char *topic, bus_event *event,
	      const char *where)
{
	bus_schema_report report = { 0 };
	bus_cause cause = BUS_CAUSE_NONE;
	bus_error err = BUS_ERROR_INIT;
	if (publisher->registry == NULL) {
		return BUS_EXIT_OK;
	}
	if (bus_registry_find(publisher->registry, event->type) == NULL) {
		return busp_unknown_type(publisher, event, where);
	}
	if (bus_str_empty(event->tenant)) {
		return bus_cli_fail(BUS_EXIT_DATA, where,
				    "give --tenant or set BUSLINE_TENANT",
				    "the event has no tenant");
	}
	if (bus_registry_validate(publisher->registry, bus_str_from(topic), event,
				  &report, &cause, &err) != BUS_OK) {
		return busp_say_report(event, &report, &err, where);
	}
	return BUS_EXIT_OK;
}

/* The time of an event that names none: the one in its id, so that the same event published
 * again is the same bytes, and known as a repeat. An id of another kind tells no time, and
 * one made up here would make a conflict of the repeat. */
static void
busp_time_of_id(bus_cli_publisher *publisher, bus_event *event)
{
	bus_uuid uuid;
	char text[BUS_TIME_TEXT_MAX];
	if (event->time.data != NULL || !bus_uuid_parse(event->id, &uuid) ||
	    uuid.bytes[6] >> 4 != 7) {
		return;
	}
	int64_t ms = 0;
	for (size_t i = 0; i < 6; i++) {
		ms = ms << 8 | uuid.bytes[i];
	}
	event->time_us = ms * 1000;
	size_t len = bus_time_format(event->time_us, text);
	event->time = bus_arena_str(publisher->arena, (bus_str){ text, len });
}

/* What a publisher need not say. */
static bus_status
busp_complete(bus_cli_publisher *publisher, bus_event *event, bus_error *err)
{
	if (event->source.data == NULL) {
		event->source = publisher->source;
	}
	if (event->id.data == NULL) {
		bus_uuid uuid;
		char text[BUS_UUID_TEXT_LEN + 1];
		if (bus_uuid_v7(publisher->cli->clock, &uuid, err) != BUS_OK) {
			return err->status;
		}
		bus_uuid_format(&uuid, text);
		event->id = bus_arena_str(publisher->arena, bus_str_from(text));
	}
	busp_time_of_id(publisher, event);
	if (event->data.data != NULL && event->datacontenttype.data == NULL) {
		event->datacontenttype = BUS_STR("application/json");
	}
	const bus_event_type *type =
		publisher->registry == NULL ?
			NULL :
			bus_registry_find(publisher->registry, event->type);
	if (type != NULL && event->dataschema.data == NULL) {
		event->dataschema = bus_str_from(type->schema_uri);
	}
	return BUS_OK;
}

static void
busp_add_headers(const bus_cli_publisher *publisher, bus_record *record)
{
	size_t count = record->header_count + publisher->header_count;
	if (publisher->header_count == 0) {
		return;
	}
	bus_header *all = bus_arena_alloc(publisher->arena, count * sizeof(*all));
	memcpy(all, record->headers, record->header_count * sizeof(*all));
	memcpy(all + record->header_count, publisher->headers,
	       publisher->header_count * sizeof(*all));
	record->headers = all;
	record->header_count = count;
}

bus_exit
bus_cli_publisher_add(bus_cli_publisher *publisher, bus_event *event, const char *where)
{
	bus_error err = BUS_ERROR_INIT;
	bus_record record;
	assert(publisher->count < BUS_CLI_BATCH_MAX);
	const char *topic = busp_topic(publisher, event);
	if (topic == NULL) {
		return busp_unknown_type(publisher, event, where);
	}
	bus_status status = busp_complete(publisher, event, &err);
	bus_exit code = status == BUS_OK ? busp_validate(publisher, topic, event, where) :
					   bus_cli_fail_error(&err);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	if (bus_event_write(event, publisher->mode, publisher->arena, &record, &err) !=
	    BUS_OK) {
		return bus_cli_fail(bus_cli_exit_of(&err), where, NULL, "%s", err.text);
	}
	busp_add_headers(publisher, &record);
	publisher->publications[publisher->count] = (bus_publication){
		.topic = topic, .partition = publisher->partition, .record = record
	};
	publisher->sent[publisher->count] = (bus_cli_sent){
		.id = bus_arena_str(publisher->arena, event->id),
		.source = bus_arena_str(publisher->arena, event->source),
		.type = bus_arena_str(publisher->arena, event->type),
		.tenant = bus_arena_str(publisher->arena, event->tenant),
		.subject = bus_arena_str(publisher->arena, event->subject),
		.identity = bus_identity_key(event->source, event->id),
	};
	publisher->count++;
	return BUS_EXIT_OK;
}

/* Those without a lasting place, in their order. */
static size_t
busp_pending(const bus_cli_publisher *publisher, bus_publication *pending, size_t *indices)
{
	size_t count = 0;
	for (size_t i = 0; i < publisher->count; i++) {
		if (publisher->publications[i].outcome != BUS_OUTCOME_DURABLE) {
			pending[count] = publisher->publications[i];
			indices[count++] = i;
		}
	}
	return count;
}

static bus_exit
busp_say_unsent(const bus_cli_publisher *publisher, const bus_error *err)
{
	size_t failed = 0, uncertain = 0, first = publisher->count;
	for (size_t i = 0; i < publisher->count; i++) {
		bus_outcome outcome = publisher->publications[i].outcome;
		failed += outcome == BUS_OUTCOME_FAILED || outcome == BUS_OUTCOME_NONE;
		uncertain += outcome == BUS_OUTCOME_UNCERTAIN;
		first = outcome != BUS_OUTCOME_DURABLE && first == publisher->count ?
				i :
				first;
	}
	const bus_str id = publisher->sent[first].id;
	if (uncertain > 0) {
		return bus_cli_fail(BUS_EXIT_RETRY, NULL,
				    "publish them again under the same ids: "
				    "repeats have no second effect",
				    "%zu events may be in the log, "
				    "%zu are not, from id %.*s on: %s",
				    uncertain, failed, BUS_STR_ARG(id), err->text);
	}
	bus_exit code = bus_cli_exit_of(err);
	return bus_cli_fail(code, NULL,
			    code == BUS_EXIT_UNAVAILABLE ?
				    "is the broker up, and --broker-url right?" :
				    NULL,
			    "%zu events are not published, from id %.*s on: %s", failed,
			    BUS_STR_ARG(id), err->text);
}

/* What could not be published may be wanted at another place. */
static bus_exit
busp_follow(bus_cli_publisher *publisher)
{
	const bus_cli *cli = publisher->cli;
	char url[BUS_BROKER_URL_MAX];
	bus_adapter *adapter = NULL;
	int64_t now_ms = bus_clock_mono_ms(cli->clock);
	if (now_ms - publisher->located_ms < BUS_PLACE_LOOK_MS) {
		return BUS_EXIT_OK;
	}
	publisher->located_ms = now_ms;
	bus_error ignored = BUS_ERROR_INIT;
	if (!bus_cli_locate(cli, url, &ignored) || strcmp(url, publisher->url) == 0) {
		return BUS_EXIT_OK;
	}
	bus_exit code = bus_cli_adapter_at(cli, url, &adapter);
	if (code == BUS_EXIT_OK) {
		bus_cli_note(cli, "the bus has moved to %s", url);
		bus_adapter_close(publisher->adapter);
		publisher->adapter = adapter;
		snprintf(publisher->url, sizeof(publisher->url), "%s", url);
	}
	return code;
}

static bus_exit
busp_send(bus_cli_publisher *publisher)
{
	const bus_cli *cli = publisher->cli;
	int64_t deadline = bus_clock_mono_ms(cli->clock) + publisher->timeout_ms;
	bus_publication *pending =
		bus_arena_alloc(publisher->arena, publisher->count * sizeof(*pending));
	size_t *indices =
		bus_arena_alloc(publisher->arena, publisher->count * sizeof(*indices));
	for (;;) {
		bus_error err = BUS_ERROR_INIT;
		size_t count = busp_pending(publisher, pending, indices);
		int64_t left = deadline - bus_clock_mono_ms(cli->clock);
		if (count == 0) {
			return BUS_EXIT_OK;
		}
		left = left < 1 ? 1 : left > INT32_MAX ? INT32_MAX : left;
		bus_status status = bus_adapter_publish(publisher->adapter, pending,
							count, (int)left, &err);
		for (size_t i = 0; i < count; i++) {
			bus_publication *place = &publisher->publications[indices[i]];
			bool uncertain = place->outcome == BUS_OUTCOME_UNCERTAIN &&
					 pending[i].outcome != BUS_OUTCOME_DURABLE;
			*place = pending[i];
			/* a later failure does not take the first attempt back */
			place->outcome =
				uncertain ? BUS_OUTCOME_UNCERTAIN : place->outcome;
		}
		/* with no time left for another attempt: that one could only fail otherwise */
		bool late = bus_clock_mono_ms(cli->clock) + RETRY_PAUSE_MS >= deadline;
		if (status == BUS_E_FATAL || (status != BUS_OK && late)) {
			return busp_say_unsent(publisher, &err);
		}
		if (status != BUS_OK) {
			bus_cli_pause(RETRY_PAUSE_MS);
			bus_exit code = busp_follow(publisher);
			if (code != BUS_EXIT_OK) {
				return code;
			}
		}
	}
}

bus_exit
bus_cli_publisher_flush(bus_cli_publisher *publisher)
{
	if (publisher->count == 0) {
		return BUS_EXIT_OK;
	}
	bus_exit code = BUS_EXIT_OK;
	if (publisher->applied && publisher->store == NULL) {
		/* before anything is sent: who cannot wait should know it in time */
		code = bus_cli_store(publisher->cli, BUS_CLI_AUDITOR, &publisher->store);
	}
	if (code == BUS_EXIT_OK) {
		code = busp_send(publisher);
	}
	for (size_t i = 0; i < publisher->count; i++) {
		publisher->published +=
			publisher->publications[i].outcome == BUS_OUTCOME_DURABLE;
	}
	if (code == BUS_EXIT_OK && publisher->applied) {
		code = bus_cli_await_verdicts(publisher);
	}
	return code;
}

static void
busp_print_lines(const bus_cli_publisher *publisher)
{
	for (size_t i = 0; i < publisher->count; i++) {
		const bus_publication *publication = &publisher->publications[i];
		const bus_cli_sent *sent = &publisher->sent[i];
		if (publication->outcome != BUS_OUTCOME_DURABLE) {
			continue;
		}
		bus_cli_put_text(sent->id);
		printf(" %s-%d@%lld", publication->topic, publication->ret_partition,
		       (long long)publication->ret_offset);
		if (sent->verdict.data != NULL) {
			printf(" %.*s", BUS_STR_ARG(sent->verdict));
		}
		if (sent->reason.data != NULL) {
			fputs(": ", stdout);
			bus_cli_put_text(sent->reason);
		}
		fputc('\n', stdout);
	}
}

void
bus_cli_publisher_print(const bus_cli_publisher *publisher, bus_cli_printer *printer)
{
	static const bus_cli_column columns[] = {
		{ "id", .cell = BUS_CLI_CELL_TEXT },
		{ "source", .cell = BUS_CLI_CELL_TEXT },
		{ "type", .cell = BUS_CLI_CELL_TEXT },
		{ "tenant", .cell = BUS_CLI_CELL_TEXT },
		{ "subject", .cell = BUS_CLI_CELL_TEXT },
		{ "topic", .cell = BUS_CLI_CELL_TEXT },
		{ "partition", .cell = BUS_CLI_CELL_NUMBER },
		{ "offset", .cell = BUS_CLI_CELL_NUMBER },
		{ "verdict", .cell = BUS_CLI_CELL_TEXT },
		{ "reason", .cell = BUS_CLI_CELL_TEXT },
	};
	bus_cli_rows rows;
	if (publisher->cli->format == BUS_CLI_TABLE) {
		busp_print_lines(publisher);
		return;
	}
	bus_cli_rows_init(&rows, publisher->arena, columns,
			  sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < publisher->count; i++) {
		const bus_publication *publication = &publisher->publications[i];
		const bus_cli_sent *sent = &publisher->sent[i];
		if (publication->outcome != BUS_OUTCOME_DURABLE) {
			continue;
		}
		bus_cli_rows_add(&rows, (const bus_str[]){
						sent->id,
						sent->source,
						sent->type,
						sent->tenant,
						sent->subject,
						bus_str_from(publication->topic),
						bus_cli_number(publisher->arena,
							       publication->ret_partition),
						bus_cli_number(publisher->arena,
							       publication->ret_offset),
						sent->verdict,
						sent->reason,
					});
	}
	bus_cli_print_more(printer, &rows.table);
}

bus_exit
bus_cli_publish_one(bus_cli_publisher *publisher, bus_event *event)
{
	bus_cli_printer printer = { .cli = publisher->cli };
	bus_exit code = bus_cli_publisher_add(publisher, event, NULL);
	bus_event_fini(event);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	code = bus_cli_publisher_flush(publisher);
	bus_cli_publisher_print(publisher, &printer);
	bus_cli_print_end(&printer);
	return code == BUS_EXIT_OK && publisher->rejected > 0 ? BUS_EXIT_FAILED : code;
}
