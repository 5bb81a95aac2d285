/*
 * test_saga_definition.c - definitions: what is found wrong in them, what is read out of them
 *
 * Each file of saga_definitions/ is the right one with one thing changed, and has a row here.
 */
#include "schemas/saga.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/json.h"
#include "tests/support/suite.h"

#define FOLDER "tests/unit/saga_definitions"

static bus_registry *registry;
static bus_saga_report report;

static int
setup(void)
{
	bus_error err = BUS_ERROR_INIT;
	return bus_registry_create(&registry, &err) == BUS_OK ? 0 : -1;
}

static int
teardown(void)
{
	bus_registry_destroy(registry);
	return 0;
}

static void
read_file(const char *name, bus_buf *buf)
{
	char path[256];
	snprintf(path, sizeof(path), FOLDER "/%s.json", name);
	FILE *file = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	char chunk[4096];
	size_t len;
	while ((len = fread(chunk, 1, sizeof(chunk), file)) > 0) {
		bus_buf_append(buf, chunk, len);
	}
	fclose(file);
}

static bus_saga_definition *
parse(const char *name, bus_status expected)
{
	BUS_BUF_AUTO text = { 0 };
	bus_error err = BUS_ERROR_INIT;
	bus_saga_definition *definition = NULL;
	read_file(name, &text);
	bus_status status = bus_saga_parse(bus_buf_view(&text), name, registry, &report,
					   &definition, &err);
	if (status != expected) {
		printf("\n  %s: %s\n", name, err.text);
	}
	CU_ASSERT_EQUAL(status, expected);
	CU_ASSERT_EQUAL(definition != NULL, status == BUS_OK);
	return definition;
}

/* The findings of a file, all of them: where, and a part of what. */
typedef struct expectation {
	const char *file;
	const char *where;
	const char *what;
} expectation;

static const expectation errors[] = {
	{ "a-list", "", "must be an object" },
	{ "answer-is-a-request", "/steps/0/action/success/0", "only facts are answers" },
	{ "answer-is-a-request", "/steps/1/parallel/0/action/data/targets/0/release",
	  "no fact that ends step \"deploy\" has /release" },
	{ "answer-of-another-topic", "/steps/0/action/success/0",
	  "is of topic busline.scale, the action of busline.deploy" },
	{ "answer-of-another-topic", "/steps/1/parallel/0/action/data/targets/0/release",
	  "no fact that ends step \"deploy\" has /release" },
	{ "attempts-zero", "/steps/0/action/retry/attempts", "must be >= 1" },
	{ "compensation-may-lack-own-fact", "/steps/0/compensation/data",
	  "\"release\" is missing where a value is absent that may be" },
	{ "data-literal-wrong", "/steps/1/parallel/0/action/data/targets/0/weight",
	  "io.busline.route.change-requested.v1: must be an integer" },
	{ "data-may-be-absent", "/steps/0/action/data",
	  "\"image\" is missing where a value is absent that may be; require it in the "
	  "input or give a \"default\"" },
	{ "data-misses-member", "/steps/0/action/data",
	  "io.busline.deploy.requested.v1: \"image\" is missing" },
	{ "data-unknown-member", "/steps/0/action/data/picture",
	  "is not a member of this object" },
	{ "deadline-missing", "/steps/0/action", "\"deadline\" is missing" },
	{ "deadline-too-long", "/steps/0/action/deadline", "is more than 720h" },
	{ "deadline-zero", "/steps/0/action/deadline",
	  "must be a number above zero and ms, s, m or h" },
	{ "default-of-wrong-kind", "/steps/1/parallel/1/action/data/replicas",
	  "must be an integer where a value is absent" },
	{ "delay-over-max", "/steps/0/action/retry/max_delay", "is less than \"delay\"" },
	{ "duplicate-name", "/steps/1/parallel/1",
	  "the name \"deploy\" is that of /steps/0 too" },
	{ "fact-has-no-such-member", "/steps/1/parallel/0/action/data/targets/0/release",
	  "no fact that ends step \"deploy\" has /number" },
	{ "input-is-no-schema", "/input", "is no schema that can be used" },
	{ "input-is-no-schema", "/subject", "the value is of type text" },
	{ "input-too-deep", "/steps/0/action/data/image",
	  "the schema of the input has no /image/tag" },
	{ "input-unknown", "/steps/0/action/data/image",
	  "the schema of the input has no /picture" },
	{ "member-unknown", "/owner", "is not a member of this object" },
	{ "name-upper-case", "/name", "lower-case letters, digits and dashes" },
	{ "no-compensation", "/steps/0", "say null if nothing has to be taken back" },
	{ "no-compensation-no-pivot", "/steps/2", "has no \"compensation\"" },
	{ "no-steps", "/steps", "must have at least 1 items" },
	{ "no-steps", "/pivot", "no step has the name \"shift\"" },
	{ "not-json", "", "JSON line 3 column 15" },
	{ "pivot-unknown", "/pivot", "no step has the name \"shft\"" },
	{ "scope-unknown", "/steps/0/action/data/image",
	  "/inputs/image is none of /input/..., /steps/NAME/..." },
	{ "several", "/steps/2/action/deadline", "must be a number above zero" },
	{ "several", "/pivot", "no step has the name \"shft\"" },
	{ "several", "/steps/0/action/type",
	  "no event has the type io.busline.deploy.requestd.v1; did you mean "
	  "io.busline.deploy.requested.v1?" },
	{ "step-itself", "/steps/0/action/data/image", "step \"deploy\" is this one" },
	{ "step-later", "/steps/0/action/data/image", "step \"note\" comes later" },
	{ "step-same-stage", "/steps/1/parallel/0/action/data/targets/0/release",
	  "step \"scale\" runs at the same time" },
	{ "step-unknown", "/steps/1/parallel/0/action/data/targets/0/release",
	  "no step has the name \"deplo\"" },
	{ "subject-is-number", "/subject", "is of type integer, wanted is string" },
	{ "subject-may-be-absent", "/subject", "may be absent" },
	{ "subject-missing", "/steps/0/action", "has no \"subject\"" },
	{ "subject-missing", "/steps/0/compensation", "has no \"subject\"" },
	{ "subject-missing", "/steps/1/parallel/0/action", "has no \"subject\"" },
	{ "subject-missing", "/steps/1/parallel/1/action", "has no \"subject\"" },
	{ "success-is-failure", "/steps/0/action/success/0", "is a failure too" },
	{ "too-many-in-a-row", "/steps", "must have at most 32 items" },
	{ "type-of-every-topic", "/steps/0/action/type", "comes on every topic" },
	{ "type-without-form", "/steps/0/action/type", "is no event type" },
	{ "unknown-success", "/steps/0/action/success/0",
	  "did you mean io.busline.deploy.succeeded.v1?" },
	{ "unknown-type", "/steps/0/action/type",
	  "did you mean io.busline.deploy.requested.v1?" },
	{ "value-is-no-pointer", "/steps/0/action/data/image", "must be a JSON Pointer" },
	{ "value-of-another-kind", "/steps/0/action/data/image",
	  "is of type integer, wanted is string" },
	{ NULL, NULL, NULL },
};

static const expectation warnings[] = {
	{ "warn-compensation", "/steps/0/action/success/0", "ends the compensation, too" },
	{ "warn-same-stage", "/steps/1/parallel/1/action/success/0",
	  "ends step \"shift\", too, which runs at the same time" },
	{ NULL, NULL, NULL },
};

static void
check_finding(const expectation *row, const bus_saga_finding *found, bool warning)
{
	bool same = strcmp(found->where, row->where) == 0 &&
		    strstr(found->what, row->what) != NULL && found->warning == warning;
	if (!same) {
		printf("\n  %s: got %s: %s\n   expected %s: %s\n", row->file,
		       found->where, found->what, row->where, row->what);
	}
	CU_ASSERT(same);
}

/* Rows of one file stand together; the report must hold them and nothing else. */
static void
check_rows(const expectation *row, bus_status status, bool warning)
{
	while (row->file != NULL) {
		size_t count = 1;
		while (row[count].file != NULL &&
		       strcmp(row[count].file, row->file) == 0) {
			count++;
		}
		bus_saga_destroy(parse(row->file, status));
		if (report.count != count) {
			printf("\n  %s: %zu findings, expected %zu\n", row->file,
			       report.count, count);
		}
		CU_ASSERT_EQUAL(report.count, count);
		for (size_t i = 0; i < count && i < report.count; i++) {
			check_finding(&row[i], &report.findings[i], warning);
		}
		row += count;
	}
}

static void
every_mistake_is_found(void)
{
	check_rows(errors, BUS_E_REJECT, false);
}

static void
what_may_be_meant_is_a_warning(void)
{
	check_rows(warnings, BUS_OK, true);
}

/* Errors and warnings together, and more of them than a row can say. */
static void
mixed_findings(void)
{
	bus_saga_destroy(parse("beside-pivot", BUS_E_REJECT));
	CU_ASSERT_EQUAL_FATAL(report.count, 2);
	CU_ASSERT_STRING_EQUAL(report.findings[0].where, "/steps/1/parallel/1");
	CU_ASSERT_PTR_NOT_NULL(strstr(report.findings[0].what, "runs beside the pivot"));
	CU_ASSERT(!report.findings[0].warning && report.findings[1].warning);
	bus_saga_destroy(parse("too-many-steps", BUS_E_REJECT));
	CU_ASSERT_STRING_EQUAL(report.findings[0].where, "/steps/1/parallel/15");
	CU_ASSERT_PTR_NOT_NULL(strstr(report.findings[0].what, "one step more than 32"));
	CU_ASSERT_EQUAL(report.count, BUS_SAGA_FINDINGS_MAX - 1);
}

static void
every_file_has_a_row(void)
{
	static const char *const others[] = { "right", "beside-pivot", "too-many-steps" };
	DIR *dir = opendir(FOLDER);
	CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		char name[300];
		bool known = entry->d_name[0] == '.';
		snprintf(name, sizeof(name), "%s", entry->d_name);
		char *end = strstr(name, ".json");
		if (end != NULL) {
			*end = '\0';
		}
		for (const expectation *row = errors; row->file != NULL; row++) {
			known = known || strcmp(row->file, name) == 0;
		}
		for (const expectation *row = warnings; row->file != NULL; row++) {
			known = known || strcmp(row->file, name) == 0;
		}
		for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
			known = known || strcmp(others[i], name) == 0;
		}
		if (!known) {
			printf("\n  %s has no row\n", name);
		}
		CU_ASSERT(known);
	}
	closedir(dir);
}

/* ---- reading ---- */

static void
a_definition_is_read(void)
{
	bus_saga_definition *saga = parse("right", BUS_OK);
	CU_ASSERT_PTR_NOT_NULL_FATAL(saga);
	CU_ASSERT_EQUAL(report.count, 0);
	CU_ASSERT_STRING_EQUAL(saga->name, "rollout");
	CU_ASSERT_EQUAL(saga->version, 1);
	CU_ASSERT_STRING_EQUAL(saga->title, "Roll out an image");
	CU_ASSERT_STRING_EQUAL(saga->file, "right");
	CU_ASSERT_EQUAL(strlen(saga->digest), 64);
	CU_ASSERT_EQUAL_FATAL(saga->step_count, 4);
	CU_ASSERT_EQUAL(saga->stage_count, 3);

	const bus_saga_step *deploy = &saga->steps[0];
	CU_ASSERT_STRING_EQUAL(deploy->name, "deploy");
	CU_ASSERT_STRING_EQUAL(deploy->action.type, "io.busline.deploy.requested.v1");
	CU_ASSERT_STRING_EQUAL(deploy->action.topic, "busline.deploy");
	CU_ASSERT_STRING_EQUAL(deploy->action.success[0],
			       "io.busline.deploy.succeeded.v1");
	CU_ASSERT_PTR_NULL(deploy->action.success[1]);
	CU_ASSERT_STRING_EQUAL(deploy->action.failure[0], "io.busline.deploy.failed.v1");
	CU_ASSERT_EQUAL(deploy->action.deadline_ms, 600000);
	CU_ASSERT_EQUAL(deploy->action.attempts, 3);
	CU_ASSERT_EQUAL(deploy->action.delay_ms, 5000);
	CU_ASSERT_EQUAL(deploy->action.delay_max_ms, 60000);
	CU_ASSERT(deploy->compensated && !deploy->pivot);
	CU_ASSERT_EQUAL(deploy->compensation.attempts, 1);
	CU_ASSERT_EQUAL(deploy->compensation.deadline_ms, 30000);
	CU_ASSERT_EQUAL(deploy->compensation.delay_ms, 1000);
	CU_ASSERT(saga->steps[1].pivot && !saga->steps[1].compensated);
	CU_ASSERT_EQUAL(saga->steps[1].stage, 1);
	CU_ASSERT_EQUAL(saga->steps[2].stage, 1);
	CU_ASSERT_EQUAL(saga->steps[2].action.deadline_ms, 500);
	CU_ASSERT_EQUAL(saga->steps[3].stage, 2);
	CU_ASSERT_EQUAL(saga->steps[1].action.deadline_ms, 3600000);
	CU_ASSERT_STRING_EQUAL(json_string_value(saga->steps[3].action.subject), "log");
	bus_saga_destroy(saga);
}

static void
input_is_checked(void)
{
	static const struct {
		const char *input;
		bus_status status;
	} cases[] = {
		{ "{\"app\":\"shop\",\"image\":\"i\",\"host\":\"h\"}", BUS_OK },
		{ "{\"app\":\"shop\",\"image\":\"i\"}", BUS_E_REJECT },
		{ "{\"app\":7,\"image\":\"i\",\"host\":\"h\"}", BUS_E_REJECT },
		{ "{\"app\":\"shop\",\"image\":\"i\",\"host\":\"h\",\"x\":1}",
		  BUS_E_REJECT },
		{ "[]", BUS_E_REJECT },
	};
	bus_saga_definition *saga = parse("right", BUS_OK);
	CU_ASSERT_PTR_NOT_NULL_FATAL(saga);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bus_error err = BUS_ERROR_INIT;
		BUS_JSON_AUTO *input = json_loads(cases[i].input, 0, NULL);
		CU_ASSERT_EQUAL(bus_saga_check_input(saga, input, &err), cases[i].status);
		if (cases[i].status != BUS_OK) {
			CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "input of rollout.v1"));
		}
	}
	bus_saga_destroy(saga);
}

/* ---- templates ---- */

static const char scope[] =
	"{\"input\":{\"a\":\"x\",\"n\":null,\"list\":[1,[2]],\"a/b\":{\"~\":3}},"
	"\"steps\":{\"one\":{\"release\":7}},\"saga\":{\"id\":\"s1\",\"name\":\"r\"}}";

static const struct {
	const char *template, *result; /* NULL: it has no value */
} templates[] = {
	{ "\"text\"", "\"text\"" },
	{ "{\"$value\":\"/input/a\"}", "\"x\"" },
	{ "{\"$value\":\"/saga/id\"}", "\"s1\"" },
	{ "{\"$value\":\"/steps/one\"}", "{\"release\":7}" },
	{ "{\"$value\":\"/input/list/1/0\"}", "2" },
	{ "{\"$value\":\"/input/a~1b/~0\"}", "3" },
	{ "{\"$value\":\"/input/n\"}", "null" },
	{ "{\"$value\":\"/input/n\",\"default\":1}", "null" },
	{ "{\"$value\":\"/input/none\"}", NULL },
	{ "{\"$value\":\"/input/list/2\"}", NULL },
	{ "{\"$value\":\"/input/list/01\"}", NULL },
	{ "{\"$value\":\"/input/list/x\"}", NULL },
	{ "{\"$value\":\"/input/a/x\"}", NULL },
	{ "{\"$value\":\"/steps/two/release\"}", NULL },
	{ "{\"$value\":\"/input/none\",\"default\":[1]}", "[1]" },
	{ "{\"$value\":\"/input/none\",\"default\":null}", "null" },
	/* a default is what it is, no template */
	{ "{\"$value\":\"/none\",\"default\":{\"$value\":\"/input/a\"}}",
	  "{\"$value\":\"/input/a\"}" },
	{ "{\"a\":{\"$value\":\"/input/none\"},\"b\":1}", "{\"b\":1}" },
	{ "[{\"$value\":\"/input/none\"},{\"$value\":\"/input/a\"}]", "[\"x\"]" },
	{ "{\"t\":[{\"release\":{\"$value\":\"/steps/one/release\"},\"weight\":100}]}",
	  "{\"t\":[{\"release\":7,\"weight\":100}]}" },
	{ "{}", "{}" },
};

static void
templates_get_their_values(void)
{
	BUS_JSON_AUTO *values = json_loads(scope, 0, NULL);
	for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++) {
		bus_error err = BUS_ERROR_INIT;
		BUS_JSON_AUTO *template =
			json_loads(templates[i].template, JSON_DECODE_ANY, NULL);
		BUS_JSON_AUTO *result = NULL;
		bus_status status = bus_saga_render(template, values, &result, &err);
		CU_ASSERT_EQUAL(status,
				templates[i].result != NULL ? BUS_OK : BUS_E_REJECT);
		if (templates[i].result == NULL) {
			CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "has no value"));
			continue;
		}
		char *text = json_dumps(result, JSON_COMPACT | JSON_ENCODE_ANY);
		CU_ASSERT_STRING_EQUAL(text, templates[i].result);
		free(text);
	}
}

/* ---- all of them ---- */

static void
the_shipped_ones_are_clean(void)
{
	static const char *const names[] = { "app-teardown", "release", "route-switch",
					     "scale-out" };
	size_t count;
	bus_error err = BUS_ERROR_INIT;
	bus_saga_book *book = NULL;
	CU_ASSERT_EQUAL_FATAL(bus_saga_book_create(NULL, registry, &book, &err), BUS_OK);
	const bus_saga_definition *const *rows = bus_saga_book_all(book, &count);
	CU_ASSERT_EQUAL_FATAL(count, sizeof(names) / sizeof(names[0]));
	for (size_t i = 0; i < count; i++) {
		char path[128];
		bus_saga_definition *again = NULL;
		CU_ASSERT_STRING_EQUAL(rows[i]->name, names[i]);
		snprintf(path, sizeof(path), "../../../schemas/sagas/%s.v1", names[i]);
		again = parse(path, BUS_OK);
		CU_ASSERT_EQUAL(report.count, 0); /* no warning either */
		CU_ASSERT_STRING_EQUAL(again->digest, rows[i]->digest);
		bus_saga_destroy(again);
	}
	const bus_saga_definition *release =
		bus_saga_book_find(book, BUS_STR("release"), 1);
	CU_ASSERT_EQUAL_FATAL(release->step_count, 6);
	CU_ASSERT(release->steps[4].pivot && release->steps[4].compensated);
	CU_ASSERT(!release->steps[5].compensated);
	bus_saga_book_destroy(book);
}

static char folder[] = "/tmp/bus_saga_XXXXXX";

static void
put_file(const char *name, const char *from, const char *old, const char *new)
{
	BUS_BUF_AUTO text = { 0 };
	char path[256];
	read_file(from, &text);
	char *at = strstr(text.data, old);
	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fprintf(file, "%.*s%s%s", (int)(at - text.data), text.data, new, at + strlen(old));
	fclose(file);
}

static void
drop_file(const char *name)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	CU_ASSERT_EQUAL(unlink(path), 0);
}

/* What the book says about the folder; NULL: it takes it. */
static void
check_book(const char *wrong)
{
	bus_error err = BUS_ERROR_INIT;
	bus_saga_book *book = NULL;
	bus_status status = bus_saga_book_create(folder, registry, &book, &err);
	CU_ASSERT_EQUAL(status, wrong == NULL ? BUS_OK : BUS_E_FATAL);
	if (wrong != NULL && strstr(err.text, wrong) == NULL) {
		printf("\n  got %s\n  expected %s\n", err.text, wrong);
		CU_FAIL("another reason");
	}
	bus_saga_book_destroy(book);
}

static void
a_directory_adds_definitions(void)
{
	size_t shipped, all;
	bus_error err = BUS_ERROR_INIT;
	bus_saga_book *book = NULL;
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	CU_ASSERT_EQUAL_FATAL(bus_saga_book_create("", registry, &book, &err), BUS_OK);
	bus_saga_book_all(book, &shipped);
	CU_ASSERT_PTR_NULL(bus_saga_book_find(book, BUS_STR("rollout"), 0));
	bus_saga_book_destroy(book);

	put_file("rollout.v1.json", "right", "\"version\": 1", "\"version\": 1");
	put_file("rollout.v10.json", "right", "\"version\": 1", "\"version\": 10");
	put_file("rollout.v9.json", "right", "\"version\": 1", "\"version\": 9");
	put_file("notes.txt", "right", "\"version\": 1", "no definition");
	CU_ASSERT_EQUAL_FATAL(bus_saga_book_create(folder, registry, &book, &err), BUS_OK);
	const bus_saga_definition *const *rows = bus_saga_book_all(book, &all);
	CU_ASSERT_EQUAL(all, shipped + 3);
	for (size_t i = 1; i < all; i++) {
		int order = strcmp(rows[i - 1]->name, rows[i]->name);
		CU_ASSERT(order < 0 ||
			  (order == 0 && rows[i - 1]->version < rows[i]->version));
	}
	CU_ASSERT_EQUAL(bus_saga_book_find(book, BUS_STR("rollout"), 0)->version, 10);
	CU_ASSERT_EQUAL(bus_saga_book_find(book, BUS_STR("rollout"), 9)->version, 9);
	CU_ASSERT_PTR_NULL(bus_saga_book_find(book, BUS_STR("rollout"), 2));
	bus_saga_book_destroy(book);
	drop_file("notes.txt");
	drop_file("rollout.v10.json");
	drop_file("rollout.v9.json");
}

static void
a_directory_with_something_wrong_is_refused(void)
{
	put_file("rollout.v2.json", "right", "\"version\": 1", "\"version\": 1");
	check_book("it must be called rollout.v1.json");
	drop_file("rollout.v2.json");
	put_file("rollout.v2.json", "several", "\"version\": 1", "\"version\": 2");
	check_book(
		"must be a number above zero and ms, s, m or h: 30s, 10m, 1h (and more)");
	drop_file("rollout.v2.json");
	put_file("rollout.v2.json", "right", "{", "{{");
	check_book("rollout.v2.json: JSON line 1 column 2");
	drop_file("rollout.v2.json");
	put_file("release.v1.json", "right", "\"name\": \"rollout\"",
		 "\"name\": \"release\"");
	check_book("there is another version 1 of release, in sagas/release.v1.json");
	drop_file("release.v1.json");
	check_book(NULL);
	drop_file("rollout.v1.json");
	CU_ASSERT_EQUAL(rmdir(folder), 0);
	check_book("cannot be read: No such file or directory");
}

static const bus_case cases[] = {
	{ "every mistake is found, and nothing else", every_mistake_is_found },
	{ "what may be meant is a warning", what_may_be_meant_is_a_warning },
	{ "errors and warnings stand together", mixed_findings },
	{ "every file has a row", every_file_has_a_row },
	{ "a definition is read", a_definition_is_read },
	{ "input is checked", input_is_checked },
	{ "templates get their values", templates_get_their_values },
	{ "the shipped definitions are clean", the_shipped_ones_are_clean },
	{ "a directory adds definitions", a_directory_adds_definitions },
	{ "a directory with something wrong is refused",
	  a_directory_with_something_wrong_is_refused },
	{ NULL, NULL },
};

const bus_suite_def bus_suite = { "saga definitions", cases, setup, teardown };
