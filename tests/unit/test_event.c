/*
 * test_event.c - every rule of the envelope, as rows: binary mode, modes, data
 *
 * Sources: CloudEvents 1.0.2 core, Kafka protocol binding, JSON event format.
 */
#include "core/event.h"

#include <stdlib.h>

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

/* n times c, in the arena */
static bus_str
many(char c, size_t n)
{
	char *text = bus_arena_alloc(arena, n + 1);
	memset(text, c, n);
	return (bus_str){ text, n };
}

typedef struct outcome {
	bus_status status;
	bus_cause cause;
	bus_event event;
	bus_error err;
} outcome;

/* Parses a copy that ends where its memory ends. */
static outcome
parse(const bus_header *headers, size_t count, bus_str value)
{
	char *copy = NULL;
	if (value.data != NULL) {
		copy = bus_arena_alloc(arena, value.len);
		memcpy(copy, value.data, value.len);
	}
	bus_record record = { .key = BUS_STR("k"),
			      .value = { copy, value.len },
			      .headers = headers,
			      .header_count = count };
	outcome out = { .cause = BUS_CAUSE_NONE };
	out.status = bus_event_parse(&record, arena, &out.event, &out.cause, &out.err);
	return out;
}

static const bus_header good[] = {
	{ BUS_STR("ce_specversion"), BUS_STR("1.0") },
	{ BUS_STR("ce_id"), BUS_STR("A234-1234-1234") },
	{ BUS_STR("ce_source"), BUS_STR("/mycontext/subcontext") },
	{ BUS_STR("ce_type"), BUS_STR("com.example.someevent") },
	{ BUS_STR("ce_tenant"), BUS_STR("acme") },
	{ BUS_STR("ce_time"), BUS_STR("2018-04-05T17:31:00Z") },
	{ BUS_STR("content-type"), BUS_STR("application/json") },
};
#define GOOD (sizeof(good) / sizeof(good[0]))

typedef enum edit { SET, DROP, ADD } edit;

/* The good headers with one of them set (or added), dropped, or one more. */
static outcome
parse_edited(edit how, bus_str name, bus_str value)
{
	static bus_header headers[GOOD + 1];
	size_t count = 0;
	bool placed = false;
	for (size_t i = 0; i < GOOD; i++) {
		bool this = bus_str_eq(good[i].name, name);
		if (this && how == DROP) {
			continue;
		}
		headers[count] = good[i];
		if (this && how == SET) {
			headers[count].value = value;
			placed = true;
		}
		count++;
	}
	if (how == ADD || (how == SET && !placed)) {
		headers[count++] = (bus_header){ name, value };
	}
	return parse(headers, count, BUS_STR("{\"a\":1}"));
}

static void
test_binary_example(void)
{
	const bus_header headers[] = {
		{ BUS_STR("ce_specversion"), BUS_STR("1.0") },
		{ BUS_STR("ce_type"), BUS_STR("io.busline.deploy.requested.v1") },
		{ BUS_STR("ce_source"), BUS_STR("/ci/pipelines/7") },
		{ BUS_STR("ce_id"), BUS_STR("1234-1234-1234") },
		{ BUS_STR("ce_time"), BUS_STR("2018-04-05T03:56:24.5+02:00") },
		{ BUS_STR("ce_subject"), BUS_STR("web") },
		{ BUS_STR("ce_dataschema"), BUS_STR("https://busline.io/schemas/x.json") },
		{ BUS_STR("ce_tenant"), BUS_STR("acme") },
		{ BUS_STR("ce_actor"), BUS_STR("user:J\xc3\xbcrgen") },
		{ BUS_STR("ce_correlationid"), BUS_STR("c-1") },
		{ BUS_STR("ce_causationid"), BUS_STR("c-0") },
		{ BUS_STR("ce_partitionkey"), BUS_STR("acme/web") },
		{ BUS_STR("ce_sequence"), BUS_STR("00001") },
		{ BUS_STR("ce_traceparent"),
		  BUS_STR("00-0af7651916cd43dd8448eb211c80319c-b9c7c989f97918e1-01") },
		{ BUS_STR("ce_comexampleextension1"), BUS_STR("value") },
		{ BUS_STR("traceparent"), BUS_STR("of the way") },
		{ BUS_STR("ce_comexampleothervalue"), BUS_STR("5") },
		{ BUS_STR("content-type"), BUS_STR("application/json; charset=utf-8") },
	};
	outcome out = parse(headers, sizeof(headers) / sizeof(headers[0]),
			    BUS_STR("{\"a\":1}"));
	CU_ASSERT_EQUAL_FATAL(out.status, BUS_OK);
	const bus_event *e = &out.event;
	CU_ASSERT_TRUE(bus_str_is(e->id, "1234-1234-1234"));
	CU_ASSERT_TRUE(bus_str_is(e->source, "/ci/pipelines/7"));
	CU_ASSERT_TRUE(bus_str_is(e->type, "io.busline.deploy.requested.v1"));
	CU_ASSERT_TRUE(bus_str_is(e->subject, "web"));
	CU_ASSERT_TRUE(bus_str_is(e->time, "2018-04-05T03:56:24.5+02:00"));
	CU_ASSERT_EQUAL(e->time_us, INT64_C(1522893384500000));
	CU_ASSERT_TRUE(bus_str_is(e->dataschema, "https://busline.io/schemas/x.json"));
	CU_ASSERT_TRUE(bus_str_is(e->datacontenttype, "application/json; charset=utf-8"));
	CU_ASSERT_TRUE(bus_str_is(e->tenant, "acme"));
	CU_ASSERT_TRUE(bus_str_is(e->actor, "user:J\xc3\xbcrgen"));
	CU_ASSERT_TRUE(bus_str_is(e->correlationid, "c-1"));
	CU_ASSERT_TRUE(bus_str_is(e->causationid, "c-0"));
	CU_ASSERT_TRUE(bus_str_is(e->partitionkey, "acme/web"));
	CU_ASSERT_TRUE(bus_str_is(e->sequence, "00001"));
	CU_ASSERT_TRUE(e->traceparent.len == 55);
	CU_ASSERT_EQUAL_FATAL(e->extension_count, 2);
	CU_ASSERT_TRUE(bus_str_is(e->extensions[0].name, "comexampleextension1"));
	CU_ASSERT_TRUE(bus_str_is(e->extensions[0].value, "value"));
	CU_ASSERT_TRUE(bus_str_is(e->extensions[1].name, "comexampleothervalue"));
	CU_ASSERT_TRUE(bus_str_is(e->extensions[1].value, "5"));
	CU_ASSERT_TRUE(bus_str_is(e->data, "{\"a\":1}"));
	CU_ASSERT_FALSE(e->structured);
	CU_ASSERT_PTR_EQUAL(e->id.data,
			    headers[3].value.data); /* pointed at, not copied */
	CU_ASSERT_TRUE(bus_str_is(bus_event_key(e, arena), "acme/web"));
	bus_event_fini(&out.event);
}

static void
test_binary_rules(void)
{
	const struct {
		const char *row;
		edit how;
		bus_str name;
		bus_str value;
		const char *says; /* NULL: accepted */
	} rows[] = {
		{ "nothing edited", DROP, BUS_STR("nothing"), BUS_STR(""), NULL },
		{ "no specversion", DROP, BUS_STR("ce_specversion"), BUS_STR(""),
		  "attribute specversion is missing" },
		{ "specversion 0.3", SET, BUS_STR("ce_specversion"), BUS_STR("0.3"),
		  "is not 1.0" },
		{ "specversion 1.0.2", SET, BUS_STR("ce_specversion"), BUS_STR("1.0.2"),
		  "is not 1.0" },
		{ "specversion 1", SET, BUS_STR("ce_specversion"), BUS_STR("1"),
		  "is not 1.0" },
		{ "specversion empty", SET, BUS_STR("ce_specversion"), BUS_STR(""),
		  "is empty" },
		{ "no id", DROP, BUS_STR("ce_id"), BUS_STR(""),
		  "attribute id is missing" },
		{ "id empty", SET, BUS_STR("ce_id"), BUS_STR(""),
		  "attribute id is empty" },
		{ "id null", SET, BUS_STR("ce_id"), BUS_STR_NULL,
		  "attribute id is missing" },
		{ "id of 256 bytes", SET, BUS_STR("ce_id"), many('x', 256), NULL },
		{ "id of 257 bytes", SET, BUS_STR("ce_id"), many('x', 257),
		  "id is longer than 256 bytes" },
		{ "id with a space", SET, BUS_STR("ce_id"), BUS_STR("a b"), NULL },
		{ "id twice", ADD, BUS_STR("ce_id"), BUS_STR("A234-1234-1234"),
		  "attribute id is there twice" },
		{ "id twice, in another case", ADD, BUS_STR("CE_ID"), BUS_STR("x"),
		  "attribute id is there twice" },
		{ "no source", DROP, BUS_STR("ce_source"), BUS_STR(""),
		  "attribute source is missing" },
		{ "source empty", SET, BUS_STR("ce_source"), BUS_STR(""),
		  "source is empty" },
		{ "source URL", SET, BUS_STR("ce_source"),
		  BUS_STR("https://github.com/cloudevents/spec/pull?q=1#x"), NULL },
		{ "source URN", SET, BUS_STR("ce_source"),
		  BUS_STR("urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66"), NULL },
		{ "source mailto", SET, BUS_STR("ce_source"),
		  BUS_STR("mailto:cncf-wg-serverless@lists.cncf.io"), NULL },
		{ "source relative", SET, BUS_STR("ce_source"), BUS_STR("1-555-123-4567"),
		  NULL },
		{ "source percent-encoded stays so", SET, BUS_STR("ce_source"),
		  BUS_STR("/a%20b"), NULL },
		{ "source with a space", SET, BUS_STR("ce_source"), BUS_STR("/a b"),
		  "source is not a URI-reference" },
		{ "source with a quote", SET, BUS_STR("ce_source"), BUS_STR("/a\"b"),
		  "source is not a URI-reference" },
		{ "source with braces", SET, BUS_STR("ce_source"), BUS_STR("/{app}"),
		  "source is not a URI-reference" },
		{ "source of 1024 bytes", SET, BUS_STR("ce_source"), many('/', 1024),
		  NULL },
		{ "source of 1025 bytes", SET, BUS_STR("ce_source"), many('/', 1025),
		  "source is longer than 1024 bytes" },
		{ "no type", DROP, BUS_STR("ce_type"), BUS_STR(""),
		  "attribute type is missing" },
		{ "type empty", SET, BUS_STR("ce_type"), BUS_STR(""), "type is empty" },
		{ "type of 257 bytes", SET, BUS_STR("ce_type"), many('t', 257),
		  "type is longer than 256 bytes" },
		{ "subject", SET, BUS_STR("ce_subject"), BUS_STR("a/b c"), NULL },
		{ "subject empty", SET, BUS_STR("ce_subject"), BUS_STR(""),
		  "subject is empty" },
		{ "subject null is unset", SET, BUS_STR("ce_subject"), BUS_STR_NULL,
		  NULL },
		{ "subject of 256 bytes", SET, BUS_STR("ce_subject"), many('s', 256),
		  NULL },
		{ "subject of 257 bytes", SET, BUS_STR("ce_subject"), many('s', 257),
		  "subject is longer than 256 bytes" },
		{ "no time", DROP, BUS_STR("ce_time"), BUS_STR(""), NULL },
		{ "time without zone", SET, BUS_STR("ce_time"),
		  BUS_STR("2018-04-05T17:31:00"), "time is not an RFC 3339 timestamp" },
		{ "time percent-encoded is not decoded", SET, BUS_STR("ce_time"),
		  BUS_STR("2018-04-05T17%3A31%3A00Z"),
		  "time is not an RFC 3339 timestamp" },
		{ "time empty", SET, BUS_STR("ce_time"), BUS_STR(""), "time is empty" },
		{ "dataschema", SET, BUS_STR("ce_dataschema"), BUS_STR("urn:x"), NULL },
		{ "dataschema relative", SET, BUS_STR("ce_dataschema"),
		  BUS_STR("/schemas/x"), "dataschema is not an absolute URI" },
		{ "dataschema with a space", SET, BUS_STR("ce_dataschema"),
		  BUS_STR("http://a b"), "dataschema is not an absolute URI" },
		{ "dataschema only a scheme", SET, BUS_STR("ce_dataschema"),
		  BUS_STR("http:"), "dataschema is not an absolute URI" },
		{ "dataschema scheme begins with a digit", SET, BUS_STR("ce_dataschema"),
		  BUS_STR("1http:x"), "dataschema is not an absolute URI" },
		{ "no content-type", DROP, BUS_STR("content-type"), BUS_STR(""), NULL },
		{ "content-type avro", SET, BUS_STR("content-type"),
		  BUS_STR("application/avro"), NULL },
		{ "content-type in another case", SET, BUS_STR("content-type"),
		  BUS_STR("Application/JSON ; charset=UTF-8"), NULL },
		{ "content-type is no media type", SET, BUS_STR("content-type"),
		  BUS_STR("json"), "datacontenttype is not a media type" },
		{ "content-type without subtype", SET, BUS_STR("content-type"),
		  BUS_STR("text/"), "datacontenttype is not a media type" },
		{ "content-type twice", ADD, BUS_STR("content-type"),
		  BUS_STR("application/json"), "content-type is there twice" },
		{ "content-type and an equal ce_datacontenttype", ADD,
		  BUS_STR("ce_datacontenttype"), BUS_STR("application/json"), NULL },
		{ "content-type and another ce_datacontenttype", ADD,
		  BUS_STR("ce_datacontenttype"), BUS_STR("text/xml"),
		  "datacontenttype is there twice" },
		{ "header names in any case", SET, BUS_STR("CE_Subject"), BUS_STR("x"),
		  NULL },
		{ "extension in any case", ADD, BUS_STR("Ce_ComExample"), BUS_STR("x"),
		  NULL },
		{ "extension of 30 characters", ADD,
		  BUS_STR("ce_abcdefghijklmnopqrstuvwxyz0123"), BUS_STR("x"), NULL },
		{ "extension with a digit first", ADD, BUS_STR("ce_1a"), BUS_STR("x"),
		  NULL },
		{ "extension with a hyphen", ADD, BUS_STR("ce_my-ext"), BUS_STR("x"),
		  "attribute names are a-z and 0-9" },
		{ "extension with an underscore", ADD, BUS_STR("ce_my_ext"), BUS_STR("x"),
		  "attribute names are a-z and 0-9" },
		{ "extension not ASCII", ADD, BUS_STR("ce_\xc3\xa9"), BUS_STR("x"),
		  "attribute names are a-z and 0-9" },
		{ "extension without a name", ADD, BUS_STR("ce_"), BUS_STR("x"),
		  "attribute names are a-z and 0-9" },
		{ "an attribute named data", ADD, BUS_STR("ce_data"), BUS_STR("x"),
		  "attribute names are a-z and 0-9" },
		{ "extension empty", ADD, BUS_STR("ce_myext"), BUS_STR(""), NULL },
		{ "extension null is unset", ADD, BUS_STR("ce_myext"), BUS_STR_NULL,
		  NULL },
		{ "extension of 4096 bytes", ADD, BUS_STR("ce_myext"), many('x', 4096),
		  NULL },
		{ "extension of 4097 bytes", ADD, BUS_STR("ce_myext"), many('x', 4097),
		  "extension myext is longer than 4096 bytes" },
		{ "correlationid empty", ADD, BUS_STR("ce_correlationid"), BUS_STR(""),
		  "correlationid is empty" },
		{ "actor of 4097 bytes", ADD, BUS_STR("ce_actor"), many('x', 4097),
		  "actor is longer than 4096 bytes" },
		{ "no prefix: not ours", ADD, BUS_STR("tenant"), BUS_STR("\xff"), NULL },
		{ "HTTP's prefix: not ours", ADD, BUS_STR("ce-id"), BUS_STR("other"),
		  NULL },
		{ "two letters: not ours", ADD, BUS_STR("ce"), BUS_STR("other"), NULL },
		{ "header without a name: not ours", ADD, BUS_STR(""), BUS_STR("other"),
		  NULL },
		{ "tab in a value", SET, BUS_STR("ce_subject"), BUS_STR("a\tb"),
		  "subject holds a control character" },
		{ "NUL in a value", SET, BUS_STR("ce_id"), BUS_STR("a\0b"),
		  "id holds a control character" },
		{ "newline in an extension", ADD, BUS_STR("ce_myext"), BUS_STR("a\nb"),
		  "extension myext holds a control character" },
		{ "DEL", SET, BUS_STR("ce_id"), BUS_STR("a\x7f"),
		  "id holds a control character" },
		{ "U+0085", SET, BUS_STR("ce_id"), BUS_STR("a\xc2\x85"),
		  "id holds a control character" },
		{ "U+FFFE", SET, BUS_STR("ce_id"), BUS_STR("a\xef\xbf\xbe"),
		  "id holds a Unicode noncharacter" },
		{ "U+FDD0", SET, BUS_STR("ce_id"), BUS_STR("a\xef\xb7\x90"),
		  "id holds a Unicode noncharacter" },
		{ "U+1FFFF", SET, BUS_STR("ce_id"), BUS_STR("a\xf0\x9f\xbf\xbf"),
		  "id holds a Unicode noncharacter" },
		{ "U+1F600", SET, BUS_STR("ce_id"), BUS_STR("\xf0\x9f\x98\x80"), NULL },
		{ "UTF-8 of two bytes", SET, BUS_STR("ce_subject"), BUS_STR("\xc3\xa9"),
		  NULL },
		{ "invalid UTF-8", SET, BUS_STR("ce_subject"), BUS_STR("\xe9"),
		  "subject is not valid UTF-8" },
		{ "overlong UTF-8", SET, BUS_STR("ce_subject"), BUS_STR("\xc0\xaf"),
		  "subject is not valid UTF-8" },
		{ "surrogate in UTF-8", ADD, BUS_STR("ce_myext"), BUS_STR("\xed\xa0\x80"),
		  "extension myext is not valid UTF-8" },
		{ "percent sign alone", SET, BUS_STR("ce_subject"), BUS_STR("100%"),
		  NULL },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		outcome out = parse_edited(rows[i].how, rows[i].name, rows[i].value);
		if (rows[i].says == NULL) {
			BUS_ASSERT_ROW(rows[i].row, out.status == BUS_OK);
		} else {
			BUS_ASSERT_ROW(rows[i].row, out.status == BUS_E_REJECT);
			BUS_ASSERT_ROW(rows[i].row, out.cause == BUS_CAUSE_UNDECODABLE);
			BUS_ASSERT_ROW(rows[i].row,
				       strstr(out.err.text, rows[i].says) != NULL);
		}
		if (out.err.text[0] != '\0' && out.status == BUS_OK) {
			CU_FAIL("an error without a failure");
		}
		bus_event_fini(&out.event);
	}
}

static void
test_values_as_received(void)
{
	outcome out = parse_edited(SET, BUS_STR("ce_subject"), BUS_STR("a%20b%C3%A9"));
	CU_ASSERT_TRUE(bus_str_is(out.event.subject, "a%20b%C3%A9"));
	out = parse_edited(ADD, BUS_STR("CE_MyExt"), BUS_STR("V"));
	CU_ASSERT_EQUAL_FATAL(out.event.extension_count, 1);
	CU_ASSERT_TRUE(bus_str_is(out.event.extensions[0].name, "myext"));
	CU_ASSERT_TRUE(bus_str_is(out.event.extensions[0].value, "V"));
	out = parse_edited(ADD, BUS_STR("ce_myext"), BUS_STR_NULL);
	CU_ASSERT_EQUAL(out.event.extension_count, 0);
	out = parse_edited(DROP, BUS_STR("ce_time"), BUS_STR_NULL);
	CU_ASSERT_EQUAL(out.event.time_us, BUS_TIME_NONE);
	CU_ASSERT_PTR_NULL(out.event.time.data);
	out = parse_edited(DROP, BUS_STR("content-type"), BUS_STR_NULL);
	CU_ASSERT_PTR_NULL(out.event.datacontenttype.data);
}

static void
test_tenant(void)
{
	const struct {
		bus_str tenant;
		bool valid;
	} rows[] = {
		{ BUS_STR("a"), true },
		{ BUS_STR("7"), true },
		{ BUS_STR("acme-corp.eu_west"), true },
		{ many('a', 63), true },
		{ many('a', 64), false },
		{ BUS_STR(""), false },
		{ BUS_STR("Acme"), false },
		{ BUS_STR("-acme"), false },
		{ BUS_STR("acme-"), false },
		{ BUS_STR("."), false },
		{ BUS_STR("a/b"), false },
		{ BUS_STR("a b"), false },
		{ BUS_STR("a\xc3\xa9"), false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		outcome out = parse_edited(SET, BUS_STR("ce_tenant"), rows[i].tenant);
		BUS_ASSERT_ROW(rows[i].tenant.data,
			       (out.status == BUS_OK) == rows[i].valid);
		if (!rows[i].valid) {
			BUS_ASSERT_ROW(rows[i].tenant.data,
				       out.cause == BUS_CAUSE_UNDECODABLE);
			BUS_ASSERT_ROW(rows[i].tenant.data, out.event.tenant.data == NULL);
		}
	}
	outcome out = parse_edited(DROP, BUS_STR("ce_tenant"), BUS_STR_NULL);
	CU_ASSERT_EQUAL(out.status, BUS_E_REJECT);
	CU_ASSERT_EQUAL(out.cause, BUS_CAUSE_NO_TENANT);
	CU_ASSERT_TRUE(bus_str_is(out.event.id, "A234-1234-1234"));
}

/* A dead letter is looked for by what the record did say. */
static void
test_kept_identification(void)
{
	outcome out = parse_edited(SET, BUS_STR("ce_specversion"), BUS_STR("9"));
	CU_ASSERT_EQUAL(out.status, BUS_E_REJECT);
	CU_ASSERT_TRUE(bus_str_is(out.event.id, "A234-1234-1234"));
	CU_ASSERT_TRUE(bus_str_is(out.event.source, "/mycontext/subcontext"));
	CU_ASSERT_TRUE(bus_str_is(out.event.type, "com.example.someevent"));
	CU_ASSERT_TRUE(bus_str_is(out.event.tenant, "acme"));

	out = parse_edited(SET, BUS_STR("ce_source"), BUS_STR("a b"));
	CU_ASSERT_PTR_NULL(out.event.source.data);
	CU_ASSERT_TRUE(bus_str_is(out.event.type, "com.example.someevent"));

	out = parse_edited(ADD, BUS_STR("ce_id"), BUS_STR("second"));
	CU_ASSERT_TRUE(bus_str_is(out.event.id, "A234-1234-1234"));

	/* two rules broken: the first is told */
	out = parse_edited(SET, BUS_STR("ce_specversion"), BUS_STR("\xff"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.err.text, "specversion is not valid UTF-8"));
}

static void
test_tombstones(void)
{
	outcome out = parse(good, GOOD, BUS_STR_NULL);
	CU_ASSERT_EQUAL(out.status, BUS_OK);
	json_t *json = (json_t *)&out;
	CU_ASSERT_EQUAL(bus_event_data(&out.event, &json, NULL), BUS_OK);
	CU_ASSERT_PTR_NULL(json);
	CU_ASSERT_PTR_NULL(out.event.data.data);

	/* present and empty is data, but no JSON */
	out = parse(good, GOOD, BUS_STR(""));
	CU_ASSERT_EQUAL(out.status, BUS_OK);
	CU_ASSERT_PTR_NOT_NULL(out.event.data.data);
	CU_ASSERT_EQUAL(bus_event_data(&out.event, &json, NULL), BUS_E_REJECT);

	out = parse(NULL, 0, BUS_STR_NULL);
	CU_ASSERT_EQUAL(out.status, BUS_E_REJECT);
	CU_ASSERT_EQUAL(out.cause, BUS_CAUSE_UNDECODABLE);
	CU_ASSERT_PTR_NOT_NULL(strstr(out.err.text, "not an event"));

	out = parse(NULL, 0, BUS_STR("{\"specversion\":\"1.0\"}"));
	CU_ASSERT_EQUAL(out.cause, BUS_CAUSE_UNDECODABLE);
}

static void
test_size(void)
{
	/* "k" is the key; what is left of 256 KiB is the value */
	size_t used = 1;
	for (size_t i = 0; i < GOOD; i++) {
		used += good[i].name.len + good[i].value.len;
	}
	outcome out = parse(good, GOOD, many(' ', BUS_EVENT_BYTES_MAX - used));
	CU_ASSERT_EQUAL(out.status, BUS_OK);
	out = parse(good, GOOD, many(' ', BUS_EVENT_BYTES_MAX - used + 1));
	CU_ASSERT_EQUAL(out.status, BUS_E_REJECT);
	CU_ASSERT_EQUAL(out.cause, BUS_CAUSE_TOO_LARGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(out.err.text, "262145 bytes"));
	CU_ASSERT_TRUE(bus_str_is(out.event.id, "A234-1234-1234"));
}

static void
test_many_extensions(void)
{
	bus_header headers[GOOD + 65];
	memcpy(headers, good, sizeof(good));
	for (int i = 0; i < 65; i++) {
		headers[GOOD + (size_t)i] =
			(bus_header){ bus_arena_printf(arena, "ce_x%d", i), BUS_STR("v") };
	}
	outcome out = parse(headers, GOOD + 64, BUS_STR("{}"));
	CU_ASSERT_EQUAL(out.status, BUS_OK);
	CU_ASSERT_EQUAL(out.event.extension_count, 64);
	CU_ASSERT_TRUE(bus_str_is(out.event.extensions[63].name, "x63"));
	out = parse(headers, GOOD + 65, BUS_STR("{}"));
	CU_ASSERT_EQUAL(out.cause, BUS_CAUSE_UNDECODABLE);
	CU_ASSERT_PTR_NOT_NULL(strstr(out.err.text, "more than 64 extensions"));
	headers[GOOD + 1] = (bus_header){ BUS_STR("ce_X0"), BUS_STR("v") };
	out = parse(headers, GOOD + 2, BUS_STR("{}"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.err.text, "extension x0 is there twice"));
}

static void
test_modes(void)
{
	const struct {
		bus_str content_type;
		const char *says; /* NULL: structured */
	} rows[] = {
		{ BUS_STR("application/cloudevents+json"), NULL },
		{ BUS_STR("application/cloudevents+json; charset=UTF-8"), NULL },
		{ BUS_STR("application/cloudevents+json ;charset=utf-8"), NULL },
		{ BUS_STR("APPLICATION/CloudEvents+JSON"), NULL },
		{ BUS_STR("application/cloudevents"), "other than JSON" },
		{ BUS_STR("application/cloudevents+avro"), "other than JSON" },
		{ BUS_STR("application/cloudevents+json5"), "other than JSON" },
		{ BUS_STR("application/cloudevents-batch+json"), "batch" },
		{ BUS_STR("Application/CloudEvents-Batch+json"), "batch" },
		{ BUS_STR("application/cloudevent+json"), "no ce_ header" },
		{ BUS_STR("application/json"), "no ce_ header" },
		{ BUS_STR_NULL, "no ce_ header" },
	};
	bus_str value = BUS_STR("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\","
				"\"type\":\"t\",\"tenant\":\"acme\"}");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bus_header header = { BUS_STR("content-type"), rows[i].content_type };
		const char *row = rows[i].content_type.data != NULL ?
					  rows[i].content_type.data :
					  "absent";
		outcome out = parse(&header, 1, value);
		BUS_ASSERT_ROW(row, (out.status == BUS_OK) == (rows[i].says == NULL));
		BUS_ASSERT_ROW(row, out.event.structured == (rows[i].says == NULL));
		if (rows[i].says != NULL) {
			BUS_ASSERT_ROW(row, strstr(out.err.text, rows[i].says) != NULL);
			BUS_ASSERT_ROW(row, out.cause == BUS_CAUSE_UNDECODABLE);
		}
		bus_event_fini(&out.event);
	}
}

static void
test_data(void)
{
	const struct {
		const char *row;
		bus_str content_type;
		bus_str value;
		const char *says; /* NULL: JSON */
	} rows[] = {
		{ "JSON", BUS_STR("application/json"), BUS_STR("{}"), NULL },
		{ "JSON in upper case, with parameter",
		  BUS_STR("APPLICATION/JSON;charset=utf-8"), BUS_STR("{}"), NULL },
		{ "+json", BUS_STR("application/vnd.x.v1+json"), BUS_STR("{}"), NULL },
		{ "absent", BUS_STR_NULL, BUS_STR("{}"), NULL },
		{ "any value", BUS_STR("text/json"), BUS_STR("3"), NULL },
		{ "XML", BUS_STR("text/xml"), BUS_STR("{}"), "text/xml is not JSON" },
		{ "only json behind a plus", BUS_STR("application/+json"), BUS_STR("{}"),
		  "is not JSON" },
		{ "json as the type", BUS_STR("json/text"), BUS_STR("{}"), "is not JSON" },
		{ "jsonx", BUS_STR("application/jsonx"), BUS_STR("{}"), "is not JSON" },
		{ "broken JSON", BUS_STR("application/json"), BUS_STR("{"),
		  "line 1 column" },
		{ "duplicate", BUS_STR("application/json"), BUS_STR("{\"a\":1,\"a\":1}"),
		  "duplicate" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bus_header headers[GOOD];
		memcpy(headers, good, sizeof(good));
		headers[GOOD - 1].value = rows[i].content_type;
		outcome out = parse(headers, GOOD, rows[i].value);
		BUS_ASSERT_ROW(rows[i].row, out.status == BUS_OK);
		json_t *json = NULL;
		bus_error err = BUS_ERROR_INIT;
		bus_status status = bus_event_data(&out.event, &json, &err);
		BUS_ASSERT_ROW(rows[i].row, (status == BUS_OK) == (rows[i].says == NULL));
		BUS_ASSERT_ROW(rows[i].row, (json != NULL) == (rows[i].says == NULL));
		json_t *again = NULL;
		if (rows[i].says == NULL) {
			BUS_ASSERT_ROW(rows[i].row, bus_event_data(&out.event, &again,
								   NULL) == BUS_OK);
			BUS_ASSERT_ROW(rows[i].row, again == json);
		} else {
			BUS_ASSERT_ROW(rows[i].row, status == BUS_E_REJECT);
			BUS_ASSERT_ROW(rows[i].row,
				       strstr(err.text, rows[i].says) != NULL);
		}
		bus_event_fini(&out.event);
	}
}

static void
test_causes(void)
{
	static const char *const names[BUS_CAUSE_COUNT] = {
		"none",      "too-large",    "undecodable",    "invalid-data",
		"no-tenant", "unknown-type", "schema-invalid", "identity-conflict",
		"rejected",  "constraint",   "transient",      "held",
	};
	for (int cause = 0; cause < BUS_CAUSE_COUNT; cause++) {
		CU_ASSERT_STRING_EQUAL(bus_cause_name((bus_cause)cause), names[cause]);
		const char *help = bus_cause_help((bus_cause)cause);
		CU_ASSERT_TRUE(strlen(help) > 10 && help[strlen(help) - 1] == '.');
	}
	CU_ASSERT_STRING_EQUAL(bus_cause_name(BUS_CAUSE_COUNT), "?");
}

static const bus_case cases[] = {
	{ "binary mode: every attribute in its place", test_binary_example },
	{ "binary mode: the rules", test_binary_rules },
	{ "values are as received: nothing is decoded", test_values_as_received },
	{ "a tenant can be part of a key", test_tenant },
	{ "what could be read of a wrong record is kept", test_kept_identification },
	{ "null value: an event without data, or no event", test_tombstones },
	{ "256 KiB and no more", test_size },
	{ "64 extensions and no more, each once", test_many_extensions },
	{ "the content-type decides the mode", test_modes },
	{ "data is JSON when the content type says so", test_data },
	{ "every cause has a name and a sentence", test_causes },
	{ 0 },
};

const bus_suite_def bus_suite = {
	.name = "event", .cases = cases, .setup = setup, .teardown = teardown
};
