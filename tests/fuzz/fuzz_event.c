/*
 * fuzz_event.c - any bytes as a record: read, written, hashed, packed
 *
 * An input is text: a line "name: value" per header, an empty line, and the value; without
 * the empty line the value is null, and a line without ": " is a header without a value.
 * What must hold for every input is checked here and aborts when it does not.
 *
 * tests/fuzz/run builds it with libFuzzer; without it main() of corpus.h runs the files
 * named once each.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/event.h"
#include "core/json.h"
#include "tests/fuzz/corpus.h"

#define HEADERS_MAX 256

static bus_arena *arena;
static bus_hasher *hasher;

static void
must(bool holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "fuzz_event: does not hold: %s\n", what);
		abort();
	}
}

/* The bytes up to the newline, which is taken too. */
static bus_str
take_line(bus_str *rest)
{
	const char *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
	size_t len = end != NULL ? (size_t)(end - rest->data) : rest->len;
	bus_str line = { rest->data, len };
	size_t taken = end != NULL ? len + 1 : len;
	*rest = (bus_str){ rest->data + taken, rest->len - taken };
	return line;
}

static bus_record
record_of(bus_str input, bus_header *headers)
{
	bus_record record = { .key = BUS_STR("k"), .headers = headers };
	while (input.len > 0 && record.header_count < HEADERS_MAX) {
		bus_str line = take_line(&input);
		if (line.len == 0) {
			record.value = input;
			break;
		}
		const char *colon = memmem(line.data, line.len, ": ", 2);
		size_t name = colon != NULL ? (size_t)(colon - line.data) : line.len;
		headers[record.header_count++] = (bus_header){
			.name = { line.data, name },
			.value = colon != NULL ?
					 (bus_str){ colon + 2, line.len - name - 2 } :
					 BUS_STR_NULL,
		};
	}
	return record;
}

static void
check_refusal(bus_cause cause, const bus_error *err)
{
	must(cause == BUS_CAUSE_TOO_LARGE || cause == BUS_CAUSE_UNDECODABLE ||
		     cause == BUS_CAUSE_NO_TENANT,
	     "a refusal has a cause of the envelope");
	must(err->status == BUS_E_REJECT && err->text[0] != '\0', "a refusal says why");
	must(bus_utf8_valid(bus_str_from(err->text)), "the reason is valid UTF-8");
}

/* Whether it was taken or refused: what stands in the event is right by itself. */
static void
check_attributes(const bus_event *event)
{
	const bus_str attributes[] = {
		event->id,          event->source,
		event->type,        event->subject,
		event->time,        event->tenant,
		event->dataschema,  event->datacontenttype,
		event->actor,       event->causationid,
		event->traceparent, event->correlationid,
		event->sequence,    event->partitionkey,
	};
	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		bus_str text = attributes[i];
		must(text.data == NULL || text.len > 0, "no attribute of ours is empty");
		must(text.len <= 4096, "no attribute is longer than 4096 bytes");
		must(bus_utf8_valid(text), "attributes are valid UTF-8");
		for (size_t j = 0; j < text.len; j++) {
			must((uint8_t)text.data[j] >= 0x20, "no control characters");
		}
	}
	must(event->tenant.len == 0 ||
		     memchr(event->tenant.data, '/', event->tenant.len) == NULL,
	     "tenant/subject has one meaning");
	must((event->time.data != NULL) == (event->time_us != BUS_TIME_NONE),
	     "time is there twice or not at all");
}

static void
check_written(const bus_event *event, bus_event_mode mode)
{
	bus_record record;
	bus_error err = BUS_ERROR_INIT;
	if (bus_event_write(event, mode, arena, &record, &err) != BUS_OK) {
		/* data that is no JSON fits no structured record, and JSON escapes grow */
		must(mode == BUS_MODE_STRUCTURED ||
			     strstr(err.text, "bytes of key") != NULL,
		     "what was read can be written");
		return;
	}
	bus_event again;
	bus_cause cause = BUS_CAUSE_NONE;
	must(bus_event_parse(&record, arena, &again, &cause, &err) == BUS_OK,
	     "what was written can be read");
	must(bus_str_eq(again.id, event->id) && bus_str_eq(again.source, event->source) &&
		     bus_str_eq(again.type, event->type) &&
		     bus_str_eq(again.subject, event->subject) &&
		     bus_str_eq(again.tenant, event->tenant) &&
		     bus_str_eq(again.time, event->time) &&
		     again.time_us == event->time_us,
	     "and is the same event");
	must(again.extension_count == event->extension_count, "with the same extensions");
	bus_event_fini(&again);
}

static void
check_bytes(const bus_record *record)
{
	bus_str packed = bus_headers_pack(record->headers, record->header_count, arena);
	const bus_header *headers;
	size_t count;
	must(bus_headers_unpack(packed, arena, &headers, &count, NULL) == BUS_OK &&
		     count == record->header_count,
	     "packed headers come back");
	bus_record copy = *record;
	copy.headers = headers;
	copy.key = BUS_STR("another");
	bus_digest a = bus_record_digest(record, hasher, arena);
	bus_digest b = bus_record_digest(&copy, hasher, arena);
	must(memcmp(&a, &b, sizeof(a)) == 0, "the digest is of the bytes alone");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (arena == NULL) {
		arena = bus_arena_create(64 * 1024);
		hasher = bus_hasher_create();
	}
	bus_arena_reset(arena);
	bus_str input = { (const char *)data, size };
	bus_header headers[HEADERS_MAX];
	bus_record record = record_of(input, headers);

	bus_event event;
	bus_cause cause = BUS_CAUSE_NONE;
	bus_error err = BUS_ERROR_INIT;
	bus_status status = bus_event_parse(&record, arena, &event, &cause, &err);
	check_attributes(&event);
	check_bytes(&record);
	if (status == BUS_OK) {
		json_t *json = NULL;
		bus_status parsed = bus_event_data(&event, &json, &err);
		must(parsed == BUS_OK || parsed == BUS_E_REJECT,
		     "data is JSON or refused");
		check_written(&event, BUS_MODE_BINARY);
		check_written(&event, BUS_MODE_STRUCTURED);
	} else {
		check_refusal(cause, &err);
	}
	bus_event_fini(&event);

	const bus_header *unpacked;
	size_t count;
	(void)!bus_headers_unpack(input, arena, &unpacked, &count, NULL);
	return 0;
}

void
fuzz_end(void)
{
	bus_arena_destroy(arena);
	bus_hasher_destroy(hasher);
}
