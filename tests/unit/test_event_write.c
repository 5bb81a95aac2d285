/*
 * test_event_write.c - records of events: what we write, we take
 */
#include <stdlib.h>

#include "core/event.h"
#include "core/json.h"
#include "tests/support/suite.h"
#include "tests/unit/rows.h"

static bus_arena *arena;

static int
setup(void)
{
	arena = bus_arena_create(64 * 1024);
	return arena == NULL;
}

static int
teardown(void)
{
	bus_arena_destroy(arena);
	return 0;
}

static const bus_header extensions[] = {
	{ BUS_STR("comexampleext"), BUS_STR("a \"quoted\" v\xc3\xa4lue") },
	{ BUS_STR("empty"), BUS_STR("") },
};

static bus_event
full(void)
{
	return (bus_event){
		.id = BUS_STR("019a9d1c-3f5a-7abc-8def-0123456789ab"),
		.source = BUS_STR("/busline/worker/deploy"),
		.type = BUS_STR("io.busline.deploy.requested.v1"),
		.subject = BUS_STR("web"),
		.datacontenttype = BUS_STR("application/json"),
		.dataschema =
			BUS_STR("https://busline.io/schemas/deploy/requested.v1.json"),
		.time = BUS_STR("2026-11-21T08:36:28.123456Z"),
		.time_us = INT64_C(1795250188123456),
		.tenant = BUS_STR("acme"),
		.actor = BUS_STR("user:ada"),
		.correlationid = BUS_STR("c-1"),
		.causationid = BUS_STR("c-0"),
		.partitionkey = BUS_STR("acme/web"),
		.sequence = BUS_STR("7"),
		.traceparent =
			BUS_STR("00-0af7651916cd43dd8448eb211c80319c-b9c7c989f97918e1-01"),
		.extensions = extensions,
		.extension_count = 2,
		.data = BUS_STR("{\"image\":\"web:1\"}"),
	};
}

static bus_event
minimal(void)
{
	return (bus_event){
		.id = BUS_STR("1"),
		.source = BUS_STR("/s"),
		.type = BUS_STR("t"),
		.tenant = BUS_STR("acme"),
		.time_us = BUS_TIME_NONE,
	};
}

static const bus_str *
header_of(const bus_record *record, const char *name)
{
	for (size_t i = 0; i < record->header_count; i++) {
		if (bus_str_is(record->headers[i].name, name)) {
			return &record->headers[i].value;
		}
	}
	return NULL;
}

static void
assert_same(const char *row, const bus_event *a, const bus_event *b)
{
	BUS_ASSERT_ROW(row, bus_str_eq(a->id, b->id));
	BUS_ASSERT_ROW(row, bus_str_eq(a->source, b->source));
	BUS_ASSERT_ROW(row, bus_str_eq(a->type, b->type));
	BUS_ASSERT_ROW(row, bus_str_eq(a->subject, b->subject));
	BUS_ASSERT_ROW(row, bus_str_eq(a->datacontenttype, b->datacontenttype));
	BUS_ASSERT_ROW(row, bus_str_eq(a->dataschema, b->dataschema));
	BUS_ASSERT_ROW(row, bus_str_eq(a->time, b->time));
	BUS_ASSERT_ROW(row, a->time_us == b->time_us);
	BUS_ASSERT_ROW(row, bus_str_eq(a->tenant, b->tenant));
	BUS_ASSERT_ROW(row, bus_str_eq(a->actor, b->actor));
	BUS_ASSERT_ROW(row, bus_str_eq(a->correlationid, b->correlationid));
	BUS_ASSERT_ROW(row, bus_str_eq(a->causationid, b->causationid));
	BUS_ASSERT_ROW(row, bus_str_eq(a->partitionkey, b->partitionkey));
	BUS_ASSERT_ROW(row, bus_str_eq(a->sequence, b->sequence));
	BUS_ASSERT_ROW(row, bus_str_eq(a->traceparent, b->traceparent));
	BUS_ASSERT_ROW(row, a->extension_count == b->extension_count);
	for (size_t i = 0; i < a->extension_count && i < b->extension_count; i++) {
		BUS_ASSERT_ROW(row,
			       bus_str_eq(a->extensions[i].name, b->extensions[i].name));
		BUS_ASSERT_ROW(row, bus_str_eq(a->extensions[i].value,
					       b->extensions[i].value));
	}
}

static void
test_round_trip(void)
{
	static const struct {
		const char *row;
		bus_event_mode mode;
		bool full;
	} rows[] = {
		{ "binary, full", BUS_MODE_BINARY, true },
		{ "binary, minimal", BUS_MODE_BINARY, false },
		{ "structured, full", BUS_MODE_STRUCTURED, true },
		{ "structured, minimal", BUS_MODE_STRUCTURED, false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bus_event event = rows[i].full ? full() : minimal();
		bus_record record;
		bus_event read;
		bus_cause cause;
		bus_error err = BUS_ERROR_INIT;
		BUS_ASSERT_ROW(rows[i].row, bus_event_write(&event, rows[i].mode, arena,
							    &record, &err) == BUS_OK);
		BUS_ASSERT_ROW(rows[i].row, bus_event_parse(&record, arena, &read, &cause,
							    &err) == BUS_OK);
		assert_same(rows[i].row, &event, &read);
		BUS_ASSERT_ROW(rows[i].row,
			       bus_str_is(record.key,
					  rows[i].full ? "acme/web" : "acme/"));
		BUS_ASSERT_ROW(rows[i].row,
			       read.structured == (rows[i].mode != BUS_MODE_BINARY));
		json_t *json = NULL;
		BUS_ASSERT_ROW(rows[i].row, bus_event_data(&read, &json, &err) == BUS_OK);
		BUS_ASSERT_ROW(rows[i].row, (json != NULL) == rows[i].full);
		BUS_ASSERT_ROW(rows[i].row,
			       !rows[i].full ||
				       bus_str_is(bus_json_str(json, "image"), "web:1"));
		bus_event_fini(&read);
	}
}

static void
test_binary(void)
{
	bus_event event = full();
	bus_record record;
	CU_ASSERT_EQUAL_FATAL(bus_event_write(&event, BUS_MODE_BINARY, arena, &record,
					      NULL),
			      BUS_OK);
	CU_ASSERT_TRUE(bus_str_is(*header_of(&record, "ce_specversion"), "1.0"));
	CU_ASSERT_TRUE(bus_str_is(*header_of(&record, "content-type"),
				  "application/json"));
	CU_ASSERT_PTR_NULL(header_of(&record, "ce_datacontenttype"));
	CU_ASSERT_TRUE(bus_str_is(*header_of(&record, "ce_comexampleext"),
				  "a \"quoted\" v\xc3\xa4lue"));
	CU_ASSERT_TRUE(bus_str_eq(record.value, event.data));
	/* the record is the arena's: the event may go */
	CU_ASSERT_PTR_NOT_EQUAL(record.value.data, event.data.data);

	event = minimal();
	CU_ASSERT_EQUAL_FATAL(bus_event_write(&event, BUS_MODE_BINARY, arena, &record,
					      NULL),
			      BUS_OK);
	CU_ASSERT_PTR_NULL(record.value.data); /* no data: a tombstone */
	CU_ASSERT_PTR_NULL(header_of(&record, "content-type"));
	CU_ASSERT_PTR_NULL(header_of(&record, "ce_subject"));
	CU_ASSERT_PTR_NULL(header_of(&record, "ce_time"));
	CU_ASSERT_EQUAL(record.header_count, 5);
}

static void
test_filled_in(void)
{
	bus_event event = minimal();
	event.subject = BUS_STR("");
	event.time_us = INT64_C(1795250188123456);
	bus_record record;
	CU_ASSERT_EQUAL_FATAL(bus_event_write(&event, BUS_MODE_BINARY, arena, &record,
					      NULL),
			      BUS_OK);
	CU_ASSERT_PTR_NULL(header_of(&record, "ce_subject"));
	CU_ASSERT_TRUE(bus_str_is(*header_of(&record, "ce_time"),
				  "2026-11-21T08:36:28.123456Z"));
	/* nobody means 1970: storage that was only zeroed has no time */
	event.time_us = 0;
	CU_ASSERT_EQUAL_FATAL(bus_event_write(&event, BUS_MODE_BINARY, arena, &record,
					      NULL),
			      BUS_OK);
	CU_ASSERT_PTR_NULL(header_of(&record, "ce_time"));
}

static void
test_from_tree(void)
{
	const bus_header header = { BUS_STR("content-type"),
				    BUS_STR("application/cloudevents+json") };
	const bus_record structured = {
		.value = BUS_STR(
			"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":"
			"\"t\",\"tenant\":\"acme\",\"data\":{ \"a\" : [1, \"x\"] }}"),
		.headers = &header,
		.header_count = 1,
	};
	bus_event event;
	bus_cause cause;
	CU_ASSERT_EQUAL_FATAL(bus_event_parse(&structured, arena, &event, &cause, NULL),
			      BUS_OK);
	bus_record record;
	CU_ASSERT_EQUAL_FATAL(bus_event_write(&event, BUS_MODE_BINARY, arena, &record,
					      NULL),
			      BUS_OK);
	CU_ASSERT_TRUE(bus_str_is(record.value, "{\"a\":[1,\"x\"]}"));
	CU_ASSERT_TRUE(bus_str_is(*header_of(&record, "content-type"),
				  "application/json"));
	bus_event_fini(&event);
}

static void
test_structured_data(void)
{
	bus_event event = minimal();
	bus_record record;
	bus_error err = BUS_ERROR_INIT;
	/* bytes of every remainder of three */
	static const char *const texts[] = { "",     "f",     "fo",    "foo",
					     "foob", "fooba", "foobar" };
	static const char *const encoded[] = { "\"\"",         "\"Zg==\"",
					       "\"Zm8=\"",     "\"Zm9v\"",
					       "\"Zm9vYg==\"", "\"Zm9vYmE=\"",
					       "\"Zm9vYmFy\"" };
	event.datacontenttype = BUS_STR("application/octet-stream");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		event.data = bus_str_from(texts[i]);
		BUS_ASSERT_ROW(texts[i], bus_event_write(&event, BUS_MODE_STRUCTURED,
							 arena, &record, NULL) == BUS_OK);
		char *value = strstr(record.value.data, "\"data_base64\":");
		BUS_ASSERT_ROW(texts[i],
			       value != NULL && strncmp(value + 14, encoded[i],
							strlen(encoded[i])) == 0);
		bus_event read;
		bus_cause cause;
		BUS_ASSERT_ROW(texts[i], bus_event_parse(&record, arena, &read, &cause,
							 NULL) == BUS_OK);
		BUS_ASSERT_ROW(texts[i], bus_str_eq(read.data, event.data));
		bus_event_fini(&read);
	}
	event.datacontenttype = BUS_STR("application/json");
	event.data = BUS_STR("{\"a\":1},\"id\":\"smuggled\"");
	CU_ASSERT_EQUAL(bus_event_write(&event, BUS_MODE_STRUCTURED, arena, &record, &err),
			BUS_E_REJECT);
}

static void
test_refused(void)
{
	static const bus_header upper[] = { { BUS_STR("Ext"), BUS_STR("v") } };
	static const bus_header known[] = { { BUS_STR("subject"), BUS_STR("v") } };
	static const bus_header data[] = { { BUS_STR("data"), BUS_STR("v") } };
	static const bus_header absent[] = { { BUS_STR("ext"), BUS_STR_NULL } };
	static const bus_header control[] = { { BUS_STR("ext"), BUS_STR("\n") } };
	static const bus_header twice[] = { { BUS_STR("ext"), BUS_STR("1") },
					    { BUS_STR("ext"), BUS_STR("2") } };
	static char large[BUS_EVENT_BYTES_MAX + 1];
	static char name[300];
	memset(name, 'x', sizeof(name));
	memset(large, ' ', sizeof(large));
	const struct {
		const char *row;
		size_t offset;
		bus_str value;
		const bus_header *extensions;
		size_t extension_count;
		const char *says;
	} rows[] = {
		{ "no id", offsetof(bus_event, id), BUS_STR_NULL, NULL, 0,
		  "id is missing" },
		{ "no source", offsetof(bus_event, source), BUS_STR_NULL, NULL, 0,
		  "source is missing" },
		{ "no type", offsetof(bus_event, type), BUS_STR_NULL, NULL, 0,
		  "type is missing" },
		{ "no tenant", offsetof(bus_event, tenant), BUS_STR_NULL, NULL, 0,
		  "tenant is missing" },
		{ "tenant with a slash", offsetof(bus_event, tenant), BUS_STR("a/b"),
		  NULL, 0, "tenant is not" },
		{ "id too long",
		  offsetof(bus_event, id),
		  { name, 257 },
		  NULL,
		  0,
		  "id is longer than" },
		{ "source with a space", offsetof(bus_event, source), BUS_STR("a b"),
		  NULL, 0, "source is not a URI-reference" },
		{ "time wrong", offsetof(bus_event, time), BUS_STR("now"), NULL, 0,
		  "time is not an RFC 3339" },
		{ "actor not UTF-8", offsetof(bus_event, actor), BUS_STR("\xff"), NULL, 0,
		  "actor is not valid UTF-8" },
		{ "too large",
		  offsetof(bus_event, data),
		  { large, sizeof(large) },
		  NULL,
		  0,
		  "at most 262144" },
		{ "extension in upper case", 0, BUS_STR("1"), upper, 1,
		  "attribute Ext has a name" },
		{ "extension with a place of its own", 0, BUS_STR("1"), known, 1,
		  "attribute subject has a place" },
		{ "extension named data", 0, BUS_STR("1"), data, 1,
		  "attribute data has a name" },
		{ "extension without a value", 0, BUS_STR("1"), absent, 1,
		  "ext has no value" },
		{ "extension with a newline", 0, BUS_STR("1"), control, 1,
		  "ext holds a control character" },
		{ "extension twice", 0, BUS_STR("1"), twice, 2, "ext is there twice" },
		{ "too many extensions", 0, BUS_STR("1"), twice, 65, "more than 64" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bus_event event = minimal();
		*(bus_str *)((char *)&event + rows[i].offset) = rows[i].value;
		event.extensions = rows[i].extensions;
		event.extension_count = rows[i].extension_count;
		bus_record record = { .header_count = 77 };
		bus_error err = BUS_ERROR_INIT;
		bus_status status =
			bus_event_write(&event, BUS_MODE_BINARY, arena, &record, &err);
		BUS_ASSERT_ROW(rows[i].row, status == BUS_E_REJECT);
		BUS_ASSERT_ROW(rows[i].row, strstr(err.text, rows[i].says) != NULL);
		BUS_ASSERT_ROW(rows[i].row, record.header_count == 77);
	}
}

static const bus_case cases[] = {
	{ "both modes, there and back", test_round_trip },
	{ "binary mode: headers as the binding says", test_binary },
	{ "time is filled in, an empty subject is none", test_filled_in },
	{ "data read as a tree is written as JSON", test_from_tree },
	{ "structured mode: JSON as it is, all else in base64", test_structured_data },
	{ "a broken rule is refused and named", test_refused },
	{ 0 },
};

const bus_suite_def bus_suite = {
	.name = "event_write", .cases = cases, .setup = setup, .teardown = teardown
};
