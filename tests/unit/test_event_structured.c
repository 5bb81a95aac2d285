/*
 * test_event_structured.c - every rule of structured mode, as rows
 *
 * Sources: CloudEvents 1.0.2 JSON event format, Kafka protocol binding section 3.3.
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

typedef struct outcome {
	bus_status status;
	bus_cause cause;
	bus_event event;
	bus_error err;
} outcome;

/* Parses a copy that ends where its memory ends. */
static outcome
parse_structured(bus_str value)
{
	static const bus_header headers[] = {
		{ BUS_STR("Content-Type"),
		  BUS_STR("application/cloudevents+json; charset=UTF-8") },
		/* repeated attributes are ignored, right or wrong */
		{ BUS_STR("ce_id"), BUS_STR("of the header") },
		{ BUS_STR("ce_specversion"), BUS_STR("0.1") },
	};
	char *copy = NULL;
	if (value.data != NULL) {
		copy = bus_arena_alloc(arena, value.len);
		memcpy(copy, value.data, value.len);
	}
	bus_record record = { .value = { copy, value.len },
			      .headers = headers,
			      .header_count = 3 };
	outcome out = { .cause = BUS_CAUSE_NONE };
	out.status = bus_event_parse(&record, arena, &out.event, &out.cause, &out.err);
	return out;
}

#define HEAD                                                                             \
	"\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",\"tenant\":\"acme\""

static void
test_structured_valid(void)
{
	const struct {
		const char *row;
		bus_str text;
		const char *data; /* decoded bytes, or NULL */
		const char *json; /* data as compact JSON, or NULL */
		const char *extension;
	} rows[] = {
		{ "minimal", BUS_STR("{" HEAD "}"), NULL, NULL, NULL },
		{ "data object", BUS_STR("{" HEAD ",\"data\":{\"a\":[1]}}"), NULL,
		  "{\"a\":[1]}", NULL },
		{ "data first", BUS_STR("{\"data\":{\"a\":1}," HEAD "}"), NULL,
		  "{\"a\":1}", NULL },
		{ "data string is a JSON string", BUS_STR("{" HEAD ",\"data\":\"{}\"}"),
		  NULL, "\"{}\"", NULL },
		{ "data number", BUS_STR("{" HEAD ",\"data\":5}"), NULL, "5", NULL },
		{ "data null is an explicit null", BUS_STR("{" HEAD ",\"data\":null}"),
		  NULL, "null", NULL },
		{ "data of +json",
		  BUS_STR("{" HEAD ",\"datacontenttype\":\"application/x+JSON\","
			  "\"data\":{\"a\":1}}"),
		  NULL, "{\"a\":1}", NULL },
		{ "data of */json",
		  BUS_STR("{" HEAD ",\"datacontenttype\":\"text/json; x=y\","
			  "\"data\":[]}"),
		  NULL, "[]", NULL },
		{ "data of XML",
		  BUS_STR("{" HEAD ",\"datacontenttype\":\"application/xml\","
			  "\"data\":\"<much wow=\\\"xml\\\"/>\"}"),
		  "<much wow=\"xml\"/>", NULL, NULL },
		{ "base64",
		  BUS_STR("{" HEAD ",\"datacontenttype\":\"application/xml\","
			  "\"data_base64\":\"PGEvPg==\"}"),
		  "<a/>", NULL, NULL },
		{ "base64 of JSON", BUS_STR("{" HEAD ",\"data_base64\":\"eyJhIjoxfQ==\"}"),
		  "{\"a\":1}", "{\"a\":1}", NULL },
		{ "base64 empty",
		  BUS_STR("{" HEAD ",\"datacontenttype\":\"text/plain\","
			  "\"data_base64\":\"\"}"),
		  "", NULL, NULL },
		{ "base64 null is unset",
		  BUS_STR("{" HEAD ",\"data_base64\":null,\"data\":1}"), NULL, "1", NULL },
		{ "null attributes are unset",
		  BUS_STR("{" HEAD
			  ",\"subject\":null,\"time\":null,\"unsetextension\":null}"),
		  NULL, NULL, NULL },
		{ "string extension", BUS_STR("{" HEAD ",\"ext\":\"v\"}"), NULL, NULL,
		  "v" },
		{ "integer extension", BUS_STR("{" HEAD ",\"ext\":5}"), NULL, NULL, "5" },
		{ "negative extension", BUS_STR("{" HEAD ",\"ext\":-2147483648}"), NULL,
		  NULL, "-2147483648" },
		{ "true extension", BUS_STR("{" HEAD ",\"ext\":true}"), NULL, NULL,
		  "true" },
		{ "false extension", BUS_STR("{" HEAD ",\"ext\":false}"), NULL, NULL,
		  "false" },
		{ "escapes in a value", BUS_STR("{" HEAD ",\"ext\":\"\\u00e9\\/\"}"),
		  NULL, NULL, "\xc3\xa9/" },
		{ "white space and order",
		  BUS_STR(" {\n \"type\" : \"t\" , \"tenant\":\"acme\",\"id\":"
			  "\"1\",\"source\":\"/s\",\"specversion\":\"1.0\" } "),
		  NULL, NULL, NULL },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *row = rows[i].row;
		outcome out = parse_structured(rows[i].text);
		BUS_ASSERT_ROW(row, out.status == BUS_OK);
		BUS_ASSERT_ROW(row, bus_str_is(out.event.id, "1"));
		BUS_ASSERT_ROW(row, bus_str_is(out.event.tenant, "acme"));
		BUS_ASSERT_ROW(row, out.event.subject.data == NULL);
		BUS_ASSERT_ROW(row,
			       bus_str_eq(out.event.data, bus_str_from(rows[i].data)));
		if (rows[i].json != NULL) {
			json_t *json = NULL;
			BUS_ASSERT_ROW(row,
				       bus_event_data(&out.event, &json, NULL) == BUS_OK);
			char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
			BUS_ASSERT_ROW(row,
				       text != NULL && strcmp(text, rows[i].json) == 0);
			free(text);
		} else {
			BUS_ASSERT_ROW(row, out.event.data_json == NULL);
		}
		size_t count = rows[i].extension != NULL ? 1 : 0;
		BUS_ASSERT_ROW(row, out.event.extension_count == count);
		if (count == 1 && out.event.extension_count == 1) {
			BUS_ASSERT_ROW(row,
				       bus_str_is(out.event.extensions[0].name, "ext"));
			BUS_ASSERT_ROW(row, bus_str_is(out.event.extensions[0].value,
						       rows[i].extension));
		}
		bus_event_fini(&out.event);
	}
}

static void
test_structured_invalid(void)
{
	const struct {
		const char *row;
		bus_str text;
		const char *says;
	} rows[] = {
		{ "no value", BUS_STR_NULL, "without a value" },
		{ "empty value", BUS_STR(""), "empty" },
		{ "not JSON", BUS_STR("<event/>"), "line 1" },
		{ "array", BUS_STR("[]"), "not a JSON object" },
		{ "string", BUS_STR("\"x\""), "not a JSON object" },
		{ "empty object", BUS_STR("{}"), "specversion is missing" },
		{ "no specversion",
		  BUS_STR("{\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"}"),
		  "specversion is missing" },
		{ "specversion as number",
		  BUS_STR("{\"specversion\":1.0,\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"}"),
		  "specversion is not a string" },
		{ "id null",
		  BUS_STR("{\"specversion\":\"1.0\",\"id\":null,\"source\":\"/s\",\"type\":\"t\"}"),
		  "id is missing" },
		{ "id as number",
		  BUS_STR("{\"specversion\":\"1.0\",\"id\":1,\"source\":\"/s\",\"type\":\"t\"}"),
		  "id is not a string" },
		{ "id empty",
		  BUS_STR("{\"specversion\":\"1.0\",\"id\":\"\",\"source\":\"/s\",\"type\":\"t\"}"),
		  "id is empty" },
		{ "subject empty", BUS_STR("{" HEAD ",\"subject\":\"\"}"),
		  "subject is empty" },
		{ "subject as number", BUS_STR("{" HEAD ",\"subject\":5}"),
		  "subject is not a string" },
		{ "time wrong", BUS_STR("{" HEAD ",\"time\":\"yesterday\"}"),
		  "time is not an RFC 3339 timestamp" },
		{ "time as number", BUS_STR("{" HEAD ",\"time\":1522949460}"),
		  "time is not a string" },
		{ "dataschema relative", BUS_STR("{" HEAD ",\"dataschema\":\"x\"}"),
		  "dataschema is not an absolute URI" },
		{ "duplicate member", BUS_STR("{" HEAD ",\"id\":\"2\"}"), "duplicate" },
		{ "member in upper case", BUS_STR("{" HEAD ",\"Subject\":\"x\"}"),
		  "member Subject: attribute names" },
		{ "member with a hyphen", BUS_STR("{" HEAD ",\"my-ext\":\"x\"}"),
		  "attribute names are a-z and 0-9" },
		{ "member without a name", BUS_STR("{" HEAD ",\"\":\"x\"}"),
		  "attribute names are a-z and 0-9" },
		{ "extension as object", BUS_STR("{" HEAD ",\"ext\":{}}"),
		  "ext is not a string, an integer or a boolean" },
		{ "extension as array", BUS_STR("{" HEAD ",\"ext\":[1]}"),
		  "ext is not a string, an integer or a boolean" },
		{ "extension as real", BUS_STR("{" HEAD ",\"ext\":1.5}"),
		  "ext is not a string, an integer or a boolean" },
		{ "extension with a control character",
		  BUS_STR("{" HEAD ",\"ext\":\"a\\u0007\"}"),
		  "extension ext holds a control character" },
		{ "NUL escaped", BUS_STR("{" HEAD ",\"ext\":\"a\\u0000\"}"), "line 1" },
		{ "integer past int64",
		  BUS_STR("{" HEAD ",\"data\":9223372036854775808}"), "does not fit" },
		{ "data and data_base64",
		  BUS_STR("{" HEAD ",\"data\":1,\"data_base64\":\"\"}"),
		  "both data and data_base64" },
		{ "base64 as number", BUS_STR("{" HEAD ",\"data_base64\":1}"),
		  "is not base64" },
		{ "base64 without padding",
		  BUS_STR("{" HEAD ",\"data_base64\":\"PGEvPg\"}"), "is not base64" },
		{ "base64 with a space",
		  BUS_STR("{" HEAD ",\"data_base64\":\"PGEv Pg==\"}"), "is not base64" },
		{ "base64 of the URL alphabet",
		  BUS_STR("{" HEAD ",\"data_base64\":\"_-__\"}"), "is not base64" },
		{ "base64 with stray bits",
		  BUS_STR("{" HEAD ",\"data_base64\":\"PGEvPh==\"}"), "is not base64" },
		{ "base64 all padding", BUS_STR("{" HEAD ",\"data_base64\":\"====\"}"),
		  "is not base64" },
		{ "base64 padding inside",
		  BUS_STR("{" HEAD ",\"data_base64\":\"PG==PGEv\"}"), "is not base64" },
		{ "data of XML is no string",
		  BUS_STR("{" HEAD ",\"datacontenttype\":\"text/xml\","
			  "\"data\":{}}"),
		  "data is not a string" },
		{ "invalid UTF-8", BUS_STR("{" HEAD ",\"ext\":\"\xff\"}"), "line 1" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		outcome out = parse_structured(rows[i].text);
		BUS_ASSERT_ROW(rows[i].row, out.status == BUS_E_REJECT);
		BUS_ASSERT_ROW(rows[i].row, out.cause == BUS_CAUSE_UNDECODABLE);
		BUS_ASSERT_ROW(rows[i].row, strstr(out.err.text, rows[i].says) != NULL);
		bus_event_fini(&out.event);
	}
	outcome out =
		parse_structured(BUS_STR("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":"
					 "\"/s\",\"type\":\"t\",\"tenant\":null}"));
	CU_ASSERT_EQUAL(out.cause, BUS_CAUSE_NO_TENANT);
	CU_ASSERT_TRUE(bus_str_is(out.event.source, "/s"));
}

/* What a structured event says in strings outlives its tree. */
static void
test_structured_lifetime(void)
{
	outcome out =
		parse_structured(BUS_STR("{" HEAD
					 ",\"data\":{\"a\":\"b\"},\"sequence\":7}"));
	CU_ASSERT_EQUAL_FATAL(out.status, BUS_OK);
	json_t *json = NULL;
	CU_ASSERT_EQUAL(bus_event_data(&out.event, &json, NULL), BUS_OK);
	CU_ASSERT_TRUE(bus_str_is(bus_json_str(json, "a"), "b"));
	bus_event_fini(&out.event);
	CU_ASSERT_PTR_NULL(out.event.data_json);
	CU_ASSERT_TRUE(bus_str_is(out.event.sequence, "7"));
	CU_ASSERT_TRUE(bus_str_is(out.event.id, "1"));
	bus_event_fini(&out.event);
}

static const bus_case cases[] = {
	{ "what is valid", test_structured_valid },
	{ "what is not", test_structured_invalid },
	{ "strings outlive the tree", test_structured_lifetime },
	{ 0 },
};

const bus_suite_def bus_suite = {
	.name = "event_structured", .cases = cases, .setup = setup, .teardown = teardown
};
