/* test_validator.c - what the official suite does not ask: errors, refusals, limits */
#include "schemas/validator.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/json.h"
#include "tests/support/suite.h"

#define URI "https://test.invalid/s.json"

static json_t *
parse(const char *text)
{
	json_error_t why;
	json_t *json = json_loads(text, JSON_DECODE_ANY, &why);
	if (json == NULL) {
		fprintf(stderr, "%s: %s\n", text, why.text);
	}
	CU_ASSERT_PTR_NOT_NULL_FATAL(json);
	return json;
}

/* The schema of a text; NULL and why in err if it is refused. */
static const bus_schema *
compile(bus_schema_set *set, const char *text, bus_error *err)
{
	const bus_schema *schema = NULL;
	BUS_JSON_AUTO *document = parse(text);
	bus_status status = bus_schema_set_add(set, BUS_STR(URI), document, err);
	if (status == BUS_OK) {
		status = bus_schema_compile(set, BUS_STR(URI), &schema, err);
	}
	CU_ASSERT((status == BUS_OK) == (schema != NULL));
	CU_ASSERT(status == BUS_OK || status == BUS_E_FATAL);
	return schema;
}

static const struct failure {
	const char *schema, *instance;
	const char *at, *keyword, *text; /* of the first error */
	size_t count;
} failures[] = {
	{ "{\"type\":\"object\"}", "[]", "", "/type", "must be an object", 1 },
	{ "{\"type\":[\"string\",\"integer\"]}", "1.5", "", "/type",
	  "must be a string or an integer", 1 },
	{ "{\"type\":\"boolean\"}", "null", "", "/type", "must be true or false", 1 },
	{ "{\"properties\":{\"a/b\":{\"properties\":{\"c~d\":{\"minimum\":3}}}}}",
	  "{\"a/b\":{\"c~d\":2}}", "/a~1b/c~0d",
	  "/properties/a~1b/properties/c~0d/minimum", "must be >= 3", 1 },
	{ "{\"required\":[\"a\",\"b\"]}", "{\"b\":1}", "", "/required",
	  "\"a\" is missing", 1 },
	{ "{\"required\":[\"a\",\"b\"]}", "{\"c\":1}", "", "/required",
	  "\"a\" is missing", 2 },
	{ "{\"properties\":{\"a\":true},\"additionalProperties\":false}",
	  "{\"a\":1,\"x\":1}", "/x", "/additionalProperties",
	  "is not a member of this object", 1 },
	{ "{\"additionalProperties\":{\"type\":\"string\"}}", "{\"x\":1}", "/x",
	  "/additionalProperties/type", "must be a string", 1 },
	{ "{\"patternProperties\":{\"^n\":{\"type\":\"number\"}}}", "{\"n1\":\"x\"}",
	  "/n1", "/patternProperties/^n/type", "must be a number", 1 },
	{ "{\"propertyNames\":{\"maxLength\":2}}", "{\"abc\":1}", "/abc",
	  "/propertyNames/maxLength", "must have at most 2 characters", 1 },
	{ "{\"items\":{\"type\":\"integer\"}}", "[1,\"x\",2,\"y\"]", "/1", "/items/type",
	  "must be an integer", 2 },
	{ "{\"prefixItems\":[true,{\"const\":2}],\"items\":false}", "[1,3]", "/1",
	  "/prefixItems/1/const", "must be 2", 1 },
	{ "{\"items\":false}", "[1]", "/0", "/items", "is not allowed", 1 },
	{ "{\"contains\":{\"const\":1}}", "[2,3]", "", "/contains",
	  "0 items match, at least 1 must", 1 },
	{ "{\"contains\":{\"const\":1},\"maxContains\":1}", "[1,1]", "", "/maxContains",
	  "2 items match, at most 1 may", 1 },
	{ "{\"uniqueItems\":true}", "[1,{\"a\":1},{\"a\":1.0}]", "", "/uniqueItems",
	  "must not have equal items", 1 },
	{ "{\"enum\":[\"a\",1]}", "\"b\"", "", "/enum", "must be one of [\"a\",1]", 1 },
	{ "{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"maximum\":1}}}", "2", "",
	  "/$ref/maximum", "must be <= 1", 1 },
	{ "{\"allOf\":[true,{\"minLength\":3}]}", "\"xy\"", "", "/allOf/1/minLength",
	  "must have at least 3 characters", 1 },
	/* what each alternative would have needed stands behind the failure itself */
	{ "{\"oneOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}", "{}", "",
	  "/oneOf", "matches none of the 2 alternatives", 3 },
	{ "{\"oneOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}",
	  "{\"a\":1,\"b\":1}", "", "/oneOf", "must match one alternative, matches 2 of 2",
	  1 },
	{ "{\"anyOf\":[{\"type\":\"null\"},{\"minimum\":5}]}", "4", "", "/anyOf",
	  "matches none of the 2 alternatives", 3 },
	{ "{\"not\":{\"type\":\"null\"}}", "null", "", "/not",
	  "must not match this schema", 1 },
	{ "{\"if\":{\"minimum\":5},\"then\":{\"multipleOf\":2},\"else\":{\"const\":1}}",
	  "7", "", "/then/multipleOf", "must be a multiple of 2", 1 },
	{ "{\"if\":{\"minimum\":5},\"then\":{\"multipleOf\":2},\"else\":{\"const\":1}}",
	  "4", "", "/else/const", "must be 1", 1 },
	{ "{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":1}", "",
	  "/dependentRequired", "\"b\" is missing beside \"a\"", 1 },
	{ "{\"dependentSchemas\":{\"a\":{\"maxProperties\":1}}}", "{\"a\":1,\"b\":1}", "",
	  "/dependentSchemas/a/maxProperties", "must have at most 1 members", 1 },
	{ "{\"properties\":{\"a\":true},\"unevaluatedProperties\":false}",
	  "{\"a\":1,\"b\":2}", "/b", "/unevaluatedProperties", "is not allowed", 1 },
	/* a branch that failed marks nothing, but that is no failure of its own */
	{ "{\"allOf\":[{\"properties\":{\"a\":{\"const\":1}}}],\"unevaluatedProperties\":false}",
	  "{\"a\":2}", "/a", "/allOf/0/properties/a/const", "must be 1", 1 },
	{ "{\"prefixItems\":[true],\"unevaluatedItems\":{\"type\":\"null\"}}", "[1,2]",
	  "/1", "/unevaluatedItems/type", "must be null", 1 },
	{ "{\"pattern\":\"^[a-z]+$\"}", "\"A\"", "", "/pattern", "must match ^[a-z]+$",
	  1 },
	{ "{\"exclusiveMinimum\":1.5}", "1.5", "", "/exclusiveMinimum", "must be > 1.5",
	  1 },
	{ "{\"minItems\":1}", "[]", "", "/minItems", "must have at least 1 items", 1 },
	{ "false", "1", "", "", "is not allowed", 1 },
};

static void
check_failure(const struct failure *f)
{
	bus_error err = BUS_ERROR_INIT;
	bus_schema_report report;
	bus_schema_set *set = bus_schema_set_create(0);
	const bus_schema *schema = compile(set, f->schema, &err);
	BUS_JSON_AUTO *instance = parse(f->instance);
	CU_ASSERT_PTR_NOT_NULL_FATAL(schema);
	CU_ASSERT_EQUAL(bus_schema_validate(schema, instance, &report, &err),
			BUS_E_REJECT);
	bool right = report.count == f->count &&
		     strcmp(report.errors[0].instance_location, f->at) == 0 &&
		     strcmp(report.errors[0].keyword_location, f->keyword) == 0 &&
		     strcmp(report.errors[0].text, f->text) == 0;
	if (!right) {
		fprintf(stderr, "%s on %s: %zu errors, \"%s\" \"%s\" \"%s\"\n", f->schema,
			f->instance, report.count, report.errors[0].instance_location,
			report.errors[0].keyword_location, report.errors[0].text);
	}
	CU_ASSERT(right);
	CU_ASSERT(strstr(err.text, f->text) != NULL);
	CU_ASSERT_EQUAL(bus_schema_validate(schema, instance, NULL, NULL), BUS_E_REJECT);
	bus_schema_set_destroy(set);
}

static void
a_failure_says_where_and_why(void)
{
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		check_failure(&failures[i]);
	}
}

static const struct {
	const char *schema, *why; /* part of the error */
} refused[] = {
	{ "{\"minimun\":1}", "/minimun: is not a keyword" },
	{ "{\"properties\":{\"a\":{\"requird\":[]}}}", "/properties/a/requird: is not a" },
	{ "{\"$defs\":{\"unused\":{\"colour\":1}}}", "/$defs/unused/colour: is not a" },
	{ "{\"then\":{\"colour\":1}}", "/then/colour: is not a keyword" },
	{ "{\"definitions\":{}}", "is not a keyword" },
	{ "{\"dependencies\":{}}", "is not a keyword" },
	{ "{\"type\":\"int\"}", "must name types" },
	{ "{\"type\":[]}", "must name types" },
	{ "{\"type\":[\"string\",1]}", "must name types" },
	{ "{\"minLength\":-1}", "must be an integer" },
	{ "{\"minLength\":1.5}", "must be an integer" },
	{ "{\"maximum\":\"1\"}", "must be a number" },
	{ "{\"multipleOf\":0}", "above 0" },
	{ "{\"required\":\"a\"}", "list of strings" },
	{ "{\"required\":[\"a\",\"a\"]}", "names \"a\" twice" },
	{ "{\"required\":[1]}", "list of strings" },
	{ "{\"dependentRequired\":[]}", "must be an object" },
	{ "{\"enum\":1}", "must be a list" },
	{ "{\"uniqueItems\":1}", "must be true or false" },
	{ "{\"pattern\":\"(\"}", "pattern (" },
	{ "{\"pattern\":\"a++\"}", "ECMA-262" },
	{ "{\"patternProperties\":{\"[\":true}}", "ECMA-262" },
	{ "{\"properties\":[]}", "object of schemas" },
	{ "{\"items\":[true]}", "true or false" },
	{ "{\"items\":1}", "true or false" },
	{ "{\"allOf\":{}}", "list of schemas" },
	{ "{\"allOf\":[]}", "at least one" },
	{ "{\"$ref\":\"other.json\"}", "leads to no schema" },
	{ "{\"$ref\":\"#/properties\",\"properties\":{}}", "no schema at that place" },
	{ "{\"$ref\":\"#nowhere\"}", "leads to no schema" },
	{ "{\"$ref\":\"#/allOf/00\",\"allOf\":[true]}", "leads to no schema" },
	{ "{\"$ref\":\"#/$defs/%zz\",\"$defs\":{}}", "leads to no schema" },
	{ "{\"$ref\":1}", "must be a string" },
	{ "{\"$dynamicRef\":1}", "must be a string" },
	{ "{\"$id\":1}", "$id must be a string" },
	{ "{\"$id\":\"a.json#b\"}", "must not have a fragment" },
	{ "{\"$anchor\":\"1a\"}", "an anchor is a name" },
	{ "{\"$defs\":{\"a\":{\"$anchor\":\"x\"},\"b\":{\"$anchor\":\"x\"}}}",
	  "anchor of that name" },
	{ "{\"$defs\":{\"a\":{\"$id\":\"x\"},\"b\":{\"$id\":\"x\"}}}", "another schema" },
	{ "{\"$schema\":\"http://json-schema.org/draft-07/schema#\"}", "is not known" },
	{ "{\"$schema\":1}", "must be a string" },
	{ "{\"properties\":{\"a\":{\"$schema\":\"x\"}}}", "root of a resource" },
	{ "1", "object, true or false" },
	/* for ever */
	{ "{\"$ref\":\"#\"}", "refers to itself" },
	{ "{\"allOf\":[{\"$ref\":\"#/$defs/a\"}],\"$defs\":{\"a\":{\"not\":{\"$ref\":\"#\"}}}}",
	  "refers to itself" },
	{ "{\"if\":true,\"then\":{\"$ref\":\"#\"}}", "refers to itself" },
	{ "{\"dependentSchemas\":{\"a\":{\"anyOf\":[{\"$ref\":\"#\"}]}}}",
	  "refers to itself" },
};

static void
a_schema_that_is_wrong_is_refused(void)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		bus_error err = BUS_ERROR_INIT;
		bus_schema_set *set = bus_schema_set_create(0);
		const bus_schema *schema = compile(set, refused[i].schema, &err);
		if (schema != NULL || strstr(err.text, refused[i].why) == NULL) {
			fprintf(stderr, "%s: \"%s\"\n", refused[i].schema, err.text);
		}
		CU_ASSERT_PTR_NULL(schema);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, refused[i].why));
		bus_schema_set_destroy(set);
	}
}

static bool
is_valid(const char *schema_text, const char *instance_text, unsigned flags)
{
	bus_error err = BUS_ERROR_INIT;
	bus_schema_set *set = bus_schema_set_create(flags);
	const bus_schema *schema = compile(set, schema_text, &err);
	BUS_JSON_AUTO *instance = parse(instance_text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(schema);
	bus_status status = bus_schema_validate(schema, instance, NULL, NULL);
	bus_schema_set_destroy(set);
	return status == BUS_OK;
}

static void
annotations_are_read_over(void)
{
	CU_ASSERT(is_valid("{\"x-busline-type\":\"t\",\"x-a\":{\"type\":5},\"title\":\"t\","
			   "\"default\":1,\"examples\":[],\"deprecated\":true,"
			   "\"contentMediaType\":\"a/b\",\"format\":\"ipv4\"}",
			   "\"no address\"", 0));
}

static void
unknown_keywords_pass_only_on_request(void)
{
	CU_ASSERT(is_valid("{\"colour\":1}", "1", BUS_SCHEMA_ALLOW_UNKNOWN));
	CU_ASSERT(is_valid("{\"format\":\"colour\"}", "\"x\"",
			   BUS_SCHEMA_ALLOW_UNKNOWN | BUS_SCHEMA_FORMAT));
	CU_ASSERT(is_valid("{\"format\":\"colour\"}", "\"x\"", 0));
	bus_error err = BUS_ERROR_INIT;
	bus_schema_set *set = bus_schema_set_create(BUS_SCHEMA_FORMAT);
	CU_ASSERT_PTR_NULL(compile(set, "{\"format\":\"colour\"}", &err));
	bus_schema_set_destroy(set);
}

static void
numbers_are_compared_exactly(void)
{
	static const struct {
		const char *schema, *instance;
		bool valid;
	} rows[] = {
		{ "{\"maximum\":9007199254740992}", "9007199254740993", false },
		{ "{\"maximum\":9007199254740992.0}", "9007199254740993", false },
		{ "{\"minimum\":9007199254740993}", "9007199254740992.0", false },
		{ "{\"const\":9223372036854775807}", "9223372036854775806", false },
		{ "{\"const\":9223372036854775807}", "9223372036854775808.0", false },
		{ "{\"const\":-9223372036854775808}", "-9223372036854775808.0", true },
		{ "{\"const\":9007199254740993}", "9007199254740992.0", false },
		{ "{\"const\":1}", "1.0", true },
		{ "{\"const\":0}", "-0.0", true },
		{ "{\"const\":1}", "true", false },
		{ "{\"exclusiveMinimum\":2}", "2.5", true },
		{ "{\"exclusiveMaximum\":-2}", "-2.5", true },
		{ "{\"maximum\":2}", "2.5", false },
		{ "{\"minimum\":-2}", "-2.5", false },
		{ "{\"maximum\":1}", "1e300", false },
		{ "{\"minimum\":1}", "-1e300", false },
		{ "{\"type\":\"integer\"}", "1e300", true },
		{ "{\"type\":\"integer\"}", "1.0000001", false },
		{ "{\"multipleOf\":0.01}", "19.99", true },
		{ "{\"multipleOf\":0.01}", "19.999", false },
		{ "{\"multipleOf\":3}", "9223372036854775807", false },
		{ "{\"multipleOf\":7}", "9223372036854775807", true },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool valid = is_valid(rows[i].schema, rows[i].instance, 0);
		if (valid != rows[i].valid) {
			fprintf(stderr, "%s %s\n", rows[i].schema, rows[i].instance);
		}
		CU_ASSERT_EQUAL(valid, rows[i].valid);
	}
}

static void
lengths_count_characters(void)
{
	CU_ASSERT(is_valid("{\"maxLength\":2,\"minLength\":2}",
			   "\"\\u00e4\\ud83d\\ude00\"", 0));
	CU_ASSERT(!is_valid("{\"minLength\":3}", "\"\\u00e4\\ud83d\\ude00\"", 0));
	CU_ASSERT(!is_valid("{\"maxLength\":1}", "\"\\u00e4\\ud83d\\ude00\"", 0));
}

static const struct {
	const char *pattern, *text; /* as JSON strings */
	bool matches;
} patterns[] = {
	{ "^\\\\d+$", "0123456789", true },
	{ "^\\\\d$", "\\u0663", false }, /* an Arabic digit */
	{ "^\\\\w$", "\\u00e4", false },
	{ "^\\\\s$", "\\u00a0", true },
	{ "^\\\\S$", "\\u00a0", false },
	{ "^[\\\\s]$", "\\ufeff", true },
	{ "^[\\\\S]$", "\\ufeff", false },
	{ "^[\\\\S]$", "x", true },
	{ "^[^\\\\s]$", "\\u2003", false },
	{ "^a$", "a\\n", false },
	{ "a", "xay", true }, /* not anchored */
	{ "^.$", "\\r", false },
	{ "^.$", "\\u2028", false },
	{ "^.$", "\\ud83d\\ude00", true }, /* one character */
	{ "^\\\\u00e4$", "\\u00e4", true },
	{ "^\\\\u{1F600}$", "\\ud83d\\ude00", true },
	{ "^\\\\ud83d\\\\ude00$", "\\ud83d\\ude00", true },
	{ "^\\\\p{Letter}\\\\p{Lu}$", "aB", true },
	{ "^\\\\p{Script=Greek}$", "\\u03c0", true },
	{ "^\\\\p{gc=Decimal_Number}$", "\\u0663", true },
	{ "^\\\\P{L}$", "1", true },
	{ "^\\\\v$", "\\u000b", true },
	{ "^\\\\v$", "\\n", false },
	{ "^[[:alpha:]]$", "a]", true }, /* a class of these characters, then ] */
	{ "^[\\\\b]$", "\\b", true },
	{ "^\\\\cJ$", "\\n", true },
	{ "^\\\\x41$", "A", true },
	{ "^[^]$", "\\n", true },
	{ "[]", "a", false },
	{ "^(?<y>a)\\\\k<y>$", "aa", true },
	{ "^(?:a|b)+?(?=c)(?!d)c$", "abc", true },
	{ "(?<=a)b", "ab", true },
	{ "(?<!a)b", "ab", false },
	{ "^\\\\/\\\\-\\\\.$", "/-.", true },
	{ "^a{2,3}$", "aaaa", false },
	{ "^(a)?b\\\\1$", "b", true }, /* a group that took no part is empty */
};

static void
patterns_mean_what_ecma_262_says(void)
{
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		char schema[128], text[64];
		snprintf(schema, sizeof(schema), "{\"pattern\":\"%s\"}",
			 patterns[i].pattern);
		snprintf(text, sizeof(text), "\"%s\"", patterns[i].text);
		bool valid = is_valid(schema, text, 0);
		if (valid != patterns[i].matches) {
			fprintf(stderr, "%s %s\n", schema, text);
		}
		CU_ASSERT_EQUAL(valid, patterns[i].matches);
	}
}

static void
patterns_only_pcre2_knows_are_refused(void)
{
	static const char *const strange[] = {
		"\\\\Aa",    "a\\\\Z",  "\\\\Qa\\\\E",   "(?i)a",      "(?>a)",
		"(?P<n>a)",  "a*+",     "a{2}+",         "\\\\R",      "\\\\h",
		"\\\\a",     "(?#x)a",  "(*UTF)a",       "\\\\x4",     "\\\\u12",
		"\\\\ud800", "\\\\p{L", "\\\\pL",        "\\\\p{x=y}", "\\\\",
		"a{,2}",     "\\\\08",  "\\\\c1",        "[a",         "[\\\\1]",
		"(?R)",      "a{",      "\\\\u{110000}",
	};
	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
		char schema[128];
		bus_error err = BUS_ERROR_INIT;
		bus_schema_set *set = bus_schema_set_create(0);
		snprintf(schema, sizeof(schema), "{\"pattern\":\"%s\"}", strange[i]);
		const bus_schema *compiled = compile(set, schema, &err);
		if (compiled != NULL) {
			fprintf(stderr, "%s was taken\n", schema);
		}
		CU_ASSERT_PTR_NULL(compiled);
		bus_schema_set_destroy(set);
	}
}

/* Exponential for whoever tries everything. */
static void
a_pattern_that_takes_for_ever_rejects(void)
{
	bus_error err = BUS_ERROR_INIT;
	bus_schema_report report;
	bus_schema_set *set = bus_schema_set_create(0);
	const bus_schema *schema = compile(set, "{\"pattern\":\"^(a|aa)+$\"}", &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(schema);
	char text[64] = "";
	memset(text, 'a', sizeof(text) - 2);
	text[sizeof(text) - 2] = 'b';
	BUS_JSON_AUTO *instance = json_string(text);
	CU_ASSERT_EQUAL(bus_schema_validate(schema, instance, &report, &err),
			BUS_E_REJECT);
	CU_ASSERT_PTR_NOT_NULL(strstr(report.errors[0].text, "too many steps"));
	bus_schema_set_destroy(set);
}

/* [[[...]]] */
static json_t *
nested(unsigned depth)
{
	json_t *json = json_array();
	for (unsigned i = 1; i < depth; i++) {
		json_t *outer = json_array();
		json_array_append_new(outer, json);
		json = outer;
	}
	return json;
}

static void
depth_is_bounded(void)
{
	bus_error err = BUS_ERROR_INIT;
	bus_schema_set *set = bus_schema_set_create(0);
	const bus_schema *schema =
		compile(set, "{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}", &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(schema);
	BUS_JSON_AUTO *usual = nested(BUS_JSON_DEPTH_MAX);
	BUS_JSON_AUTO *deep = nested(2000);
	CU_ASSERT_EQUAL(bus_schema_validate(schema, usual, NULL, &err), BUS_OK);
	CU_ASSERT_EQUAL(bus_schema_validate(schema, deep, NULL, &err), BUS_E_REJECT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "too deeply"));
	bus_schema_set_destroy(set);
}

/* The search for circles cannot see this one. */
static void
a_dynamic_circle_is_bounded(void)
{
	bus_error err = BUS_ERROR_INIT;
	bus_schema_set *set = bus_schema_set_create(0);
	const bus_schema *schema =
		compile(set,
			"{\"$dynamicAnchor\":\"a\",\"not\":{\"$dynamicRef\":\"#a\"}}",
			&err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(schema);
	BUS_JSON_AUTO *instance = parse("1");
	CU_ASSERT_EQUAL(bus_schema_validate(schema, instance, NULL, &err), BUS_E_REJECT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "too deeply"));
	bus_schema_set_destroy(set);
}

static void
many_failures_are_counted_and_some_kept(void)
{
	bus_error err = BUS_ERROR_INIT;
	bus_schema_report report;
	bus_schema_set *set = bus_schema_set_create(0);
	const bus_schema *schema =
		compile(set, "{\"items\":{\"type\":\"string\"}}", &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(schema);
	BUS_JSON_AUTO *instance = json_array();
	for (int i = 0; i < 100; i++) {
		json_array_append_new(instance, json_integer(i));
	}
	CU_ASSERT_EQUAL(bus_schema_validate(schema, instance, &report, &err),
			BUS_E_REJECT);
	CU_ASSERT_EQUAL(report.count, 100);
	CU_ASSERT_STRING_EQUAL(report.errors[BUS_SCHEMA_ERRORS_MAX - 1].instance_location,
			       "/7");
	json_array_clear(instance);
	CU_ASSERT_EQUAL(bus_schema_validate(schema, instance, &report, &err), BUS_OK);
	CU_ASSERT_EQUAL(report.count, 0);
	bus_schema_set_destroy(set);
}

static void
a_long_pointer_is_cut_at_its_end(void)
{
	bus_error err = BUS_ERROR_INIT;
	bus_schema_report report;
	bus_schema_set *set = bus_schema_set_create(0);
	const bus_schema *schema = compile(set, "{\"additionalProperties\":false}", &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(schema);
	char name[500] = "";
	memset(name, 'n', sizeof(name) - 1);
	BUS_JSON_AUTO *instance = json_object();
	json_object_set_new(instance, name, json_null());
	CU_ASSERT_EQUAL(bus_schema_validate(schema, instance, &report, &err),
			BUS_E_REJECT);
	CU_ASSERT_EQUAL(strlen(report.errors[0].instance_location), BUS_POINTER_MAX - 1);
	bus_schema_set_destroy(set);
}

static bool
unique(size_t count, size_t twin_at)
{
	bus_error err = BUS_ERROR_INIT;
	bus_schema_set *set = bus_schema_set_create(0);
	const bus_schema *schema = compile(set, "{\"uniqueItems\":true}", &err);
	BUS_JSON_AUTO *instance = json_array();
	for (size_t i = 0; i < count; i++) {
		/* the twin is equal, not alike: 5.0 is 5 */
		json_t *number =
			i == twin_at ? json_real(5.0) : json_integer((json_int_t)i);
		json_array_append_new(instance, json_pack("{s:o,s:[s,i]}", "n", number,
							  "t", "text of some length", 1));
	}
	bus_status status = bus_schema_validate(schema, instance, NULL, NULL);
	bus_schema_set_destroy(set);
	return status == BUS_OK;
}

/* Each with each would be 1.8 billion comparisons. */
static void
many_items_are_compared_in_time(void)
{
	CU_ASSERT(unique(60000, SIZE_MAX));
	CU_ASSERT(!unique(60000, 59999));
	CU_ASSERT(!unique(13, 12));
	CU_ASSERT(!unique(12, 11));
	CU_ASSERT(unique(12, SIZE_MAX));
}

/* More than one word of marks. */
static void
many_members_are_marked(void)
{
	bus_error err = BUS_ERROR_INIT;
	bus_schema_report report;
	bus_schema_set *set = bus_schema_set_create(0);
	const bus_schema *schema =
		compile(set,
			"{\"allOf\":[{\"patternProperties\":{\"^m\":true}}],"
			"\"unevaluatedProperties\":false}",
			&err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(schema);
	BUS_JSON_AUTO *instance = json_object();
	for (int i = 0; i < 300; i++) {
		char name[16];
		snprintf(name, sizeof(name), "m%d", i);
		json_object_set_new(instance, name, json_null());
	}
	CU_ASSERT_EQUAL(bus_schema_validate(schema, instance, &report, &err), BUS_OK);
	json_object_set_new(instance, "n", json_null());
	CU_ASSERT_EQUAL(bus_schema_validate(schema, instance, &report, &err),
			BUS_E_REJECT);
	CU_ASSERT_STRING_EQUAL(report.errors[0].instance_location, "/n");
	bus_schema_set_destroy(set);
}

static void
documents_refer_to_each_other(void)
{
	bus_error err = BUS_ERROR_INIT;
	const bus_schema *schema;
	bus_schema_set *set = bus_schema_set_create(0);
	BUS_JSON_AUTO *a = parse("{\"$ref\":\"b.json#/$defs/n\"}");
	BUS_JSON_AUTO *b =
		parse("{\"$id\":\"https://test.invalid/b.json\",\"$defs\":{\"n\":"
		      "{\"$ref\":\"#whole\"},\"i\":{\"$anchor\":\"whole\","
		      "\"type\":\"integer\"}}}");
	CU_ASSERT_EQUAL(bus_schema_set_add(set, BUS_STR(URI), a, &err), BUS_OK);
	CU_ASSERT_EQUAL(bus_schema_set_add(set, BUS_STR("file:///b"), b, &err), BUS_OK);
	/* the set has copies */
	json_object_clear(b);
	CU_ASSERT_EQUAL(bus_schema_compile(set, BUS_STR(URI), &schema, &err), BUS_OK);
	BUS_JSON_AUTO *one = parse("1");
	BUS_JSON_AUTO *text = parse("\"1\"");
	CU_ASSERT_EQUAL(bus_schema_validate(schema, one, NULL, &err), BUS_OK);
	CU_ASSERT_EQUAL(bus_schema_validate(schema, text, NULL, &err), BUS_E_REJECT);
	bus_error_reset(&err);
	/* by the URI it was given, too, and by fragments */
	CU_ASSERT_EQUAL(bus_schema_compile(set, BUS_STR("file:///b#whole"), &schema, &err),
			BUS_OK);
	CU_ASSERT_EQUAL(bus_schema_validate(schema, text, NULL, &err), BUS_E_REJECT);
	bus_error_reset(&err);
	CU_ASSERT_EQUAL(bus_schema_compile(set, BUS_STR("file:///c"), &schema, &err),
			BUS_E_FATAL);
	bus_error_reset(&err);
	CU_ASSERT_EQUAL(bus_schema_set_add(set, BUS_STR(URI), a, &err), BUS_E_FATAL);
	bus_schema_set_destroy(set);
}

/* Documents that need each other; the first is the one that is run. */
static const struct {
	const char *documents[4];
	const char *instance;
	bool valid;
} webs[] = {
	/* a relative reference from a base without a path */
	{ { "{\"$id\":\"https://test.invalid\",\"$ref\":\"b\"}",
	    "{\"$id\":\"https://test.invalid/b\",\"type\":\"null\"}" },
	  "1",
	  false },
	/* the anchor of b is in scope, though b itself is never run, only a part of it */
	{ { "{\"$id\":\"https://test.invalid/a\",\"$ref\":\"b#/$defs/part\"}",
	    "{\"$id\":\"https://test.invalid/b\",\"$defs\":{\"part\":{\"$ref\":"
	    "\"c#/$defs/part\"},\"n\":{\"$dynamicAnchor\":\"n\",\"maximum\":2}}}",
	    "{\"$id\":\"https://test.invalid/c\",\"$defs\":{\"part\":{\"$dynamicRef\":"
	    "\"#n\"},\"n\":{\"$dynamicAnchor\":\"n\",\"maximum\":3}}}" },
	  "3",
	  false },
	/* a name that is both kinds of anchor can be overridden */
	{ { "{\"$id\":\"https://test.invalid/a\",\"$ref\":\"b\",\"$defs\":{\"n\":"
	    "{\"$dynamicAnchor\":\"n\",\"maximum\":2}}}",
	    "{\"$id\":\"https://test.invalid/b\",\"$dynamicRef\":\"#n\",\"$defs\":{\"n\":"
	    "{\"$anchor\":\"n\",\"$dynamicAnchor\":\"n\",\"maximum\":3}}}" },
	  "3",
	  false },
	{ { "{\"$id\":\"https://test.invalid/a\",\"$ref\":\"b\"}",
	    "{\"$id\":\"https://test.invalid/b\",\"$dynamicRef\":\"#n\",\"$defs\":{\"n\":"
	    "{\"$anchor\":\"n\",\"$dynamicAnchor\":\"n\",\"maximum\":3}}}" },
	  "3",
	  true },
};

static void
references_lead_where_the_standard_says(void)
{
	for (size_t i = 0; i < sizeof(webs) / sizeof(webs[0]); i++) {
		bus_error err = BUS_ERROR_INIT;
		const bus_schema *schema = NULL;
		bus_schema_set *set = bus_schema_set_create(0);
		for (size_t j = 0; webs[i].documents[j] != NULL; j++) {
			static const char *const uris[] = { "file:///0", "file:///1",
							    "file:///2" };
			BUS_JSON_AUTO *document = parse(webs[i].documents[j]);
			CU_ASSERT_EQUAL(bus_schema_set_add(set, bus_str_from(uris[j]),
							   document, &err),
					BUS_OK);
		}
		CU_ASSERT_EQUAL(bus_schema_compile(set, BUS_STR("file:///0"), &schema,
						   &err),
				BUS_OK);
		CU_ASSERT_PTR_NOT_NULL_FATAL(schema);
		BUS_JSON_AUTO *instance = parse(webs[i].instance);
		bus_status status = bus_schema_validate(schema, instance, NULL, &err);
		CU_ASSERT_EQUAL(status, webs[i].valid ? BUS_OK : BUS_E_REJECT);
		bus_schema_set_destroy(set);
	}
}

/* The suite's own cases are run by tests/conformance; these are not among them. */
static void
formats_are_asserted_on_request(void)
{
	static const struct {
		const char *format, *text;
		bool valid;
	} rows[] = {
		{ "duration", "P1Y1D", false }, /* months between must be named */
		{ "duration", "PT1H1S", false },
		{ "duration", "P1Y1M1DT1H1M1S", true },
		{ "date", "2000-02-29", true },
		{ "date", "1900-02-29", false },
		{ "date-time", "2024-02-29 10:00:00Z", false },
		{ "ipv4", "127.0.0.01", false },
		{ "ipv6", "::ffff:1.2.3.4", true },
		{ "hostname", "a..b", false },
		{ "uri", "http://[v1.x]/", true },
		{ "uri", "http://[::g]/", false },
		{ "uri", "http://h:80a/", false },
		{ "uri-reference", "a:b/c", true },
		{ "uri-reference", "1a:b", false },
		{ "uri-template", "/{+path:3,list*}{?q}", true },
		{ "uri-template", "/{a:0}", false },
		{ "regex", "a++", false },
		{ "uuid", "2eb8aa08-aa98-11ea-b4aa-73b441d1638", false },
		{ "email", "a@b", true },
		{ "email", "a@", false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char schema[64], text[64];
		snprintf(schema, sizeof(schema), "{\"format\":\"%s\"}", rows[i].format);
		snprintf(text, sizeof(text), "\"%s\"", rows[i].text);
		bool valid = is_valid(schema, text, BUS_SCHEMA_FORMAT);
		if (valid != rows[i].valid) {
			fprintf(stderr, "%s %s\n", schema, text);
		}
		CU_ASSERT_EQUAL(valid, rows[i].valid);
		CU_ASSERT(is_valid(schema, text, 0));
	}
}

static void
nothing_comes_out_of_a_broken_set(void)
{
	bus_error err = BUS_ERROR_INIT;
	const bus_schema *schema = NULL;
	bus_schema_set *set = bus_schema_set_create(0);
	CU_ASSERT_PTR_NULL(compile(set, "{\"items\":{\"colour\":1}}", &err));
	bus_error_reset(&err);
	CU_ASSERT_EQUAL(bus_schema_compile(set, BUS_STR(URI), &schema, &err), BUS_E_FATAL);
	CU_ASSERT_PTR_NULL(schema);
	bus_schema_set_destroy(set);
	bus_schema_set_destroy(NULL);
}

#define THREADS 4

static void *
validate_often(void *arg)
{
	const bus_schema *schema = arg;
	json_t *good = json_string("sha256-abc");
	json_t *bad = json_string("sha512-abc");
	size_t wrong = 0;
	for (int i = 0; i < 20000; i++) {
		wrong += bus_schema_validate(schema, good, NULL, NULL) != BUS_OK;
		wrong += bus_schema_validate(schema, bad, NULL, NULL) != BUS_E_REJECT;
	}
	json_decref(good);
	json_decref(bad);
	return (void *)wrong;
}

static void
threads_share_a_schema(void)
{
	bus_error err = BUS_ERROR_INIT;
	bus_schema_set *set = bus_schema_set_create(0);
	const bus_schema *schema =
		compile(set, "{\"pattern\":\"^sha256-(a|b|c)+$\",\"minLength\":5}", &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(schema);
	pthread_t threads[THREADS];
	for (size_t i = 0; i < THREADS; i++) {
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, validate_often,
						     (void *)schema),
				      0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		void *wrong;
		pthread_join(threads[i], &wrong);
		CU_ASSERT_EQUAL((size_t)wrong, 0);
	}
	bus_schema_set_destroy(set);
}

static const bus_case cases[] = {
	{ "a failure says where and why", a_failure_says_where_and_why },
	{ "a schema that is wrong is refused", a_schema_that_is_wrong_is_refused },
	{ "annotations are read over", annotations_are_read_over },
	{ "unknown keywords pass only on request", unknown_keywords_pass_only_on_request },
	{ "numbers are compared exactly", numbers_are_compared_exactly },
	{ "lengths count characters", lengths_count_characters },
	{ "patterns mean what ECMA-262 says", patterns_mean_what_ecma_262_says },
	{ "patterns only PCRE2 knows are refused", patterns_only_pcre2_knows_are_refused },
	{ "a pattern that takes for ever rejects", a_pattern_that_takes_for_ever_rejects },
	{ "depth is bounded", depth_is_bounded },
	{ "a dynamic circle is bounded", a_dynamic_circle_is_bounded },
	{ "many failures are counted and some kept",
	  many_failures_are_counted_and_some_kept },
	{ "a long pointer is cut at its end", a_long_pointer_is_cut_at_its_end },
	{ "many items are compared in time", many_items_are_compared_in_time },
	{ "many members are marked", many_members_are_marked },
	{ "documents refer to each other", documents_refer_to_each_other },
	{ "references lead where the standard says",
	  references_lead_where_the_standard_says },
	{ "formats are asserted on request", formats_are_asserted_on_request },
	{ "nothing comes out of a broken set", nothing_comes_out_of_a_broken_set },
	{ "threads share a schema", threads_share_a_schema },
	{ NULL, NULL },
};

const bus_suite_def bus_suite = { "validator", cases, NULL, NULL };
