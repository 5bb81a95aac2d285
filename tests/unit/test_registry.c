/* test_registry.c - the platform's events: table, schemas, examples of right and wrong */
#include "schemas/registry.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/buf.h"
#include "core/json.h"
#include "tests/support/suite.h"

#define TIMER_FIRED "{\"name\":\"a\",\"due\":\"2026-11-21T08:36:28Z\",\"late_ms\":0}"

static bus_registry *registry;

static int
setup(void)
{
	bus_error err = BUS_ERROR_INIT;
	if (bus_registry_create(&registry, &err) != BUS_OK) {
		fprintf(stderr, "%s\n", err.text);
		return -1;
	}
	return 0;
}

static int
teardown(void)
{
	bus_registry_destroy(registry);
	return 0;
}

/* Where events of a type come; one of the topics, if it is every one. */
static bus_str
topic_of(const bus_event_type *type)
{
	const char *topic = type->family->topic;
	return bus_str_from(topic != NULL ? topic : "busline.deploy");
}

/* An event of that type on that topic. */
static bus_status
validate(bus_str type, bus_str topic, bus_str data, bus_schema_report *report,
	 bus_cause *ret_cause, bus_error *err)
{
	bus_event event = { .type = type,
			    .data = data,
			    .datacontenttype = BUS_STR("application/json") };
	*ret_cause = BUS_CAUSE_NONE;
	bus_status status =
		bus_registry_validate(registry, topic, &event, report, ret_cause, err);
	bus_event_fini(&event);
	return status;
}

static void
read_file(const char *path, bus_buf *buf)
{
	FILE *file = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	char chunk[4096];
	size_t len;
	bus_buf_clear(buf);
	while ((len = fread(chunk, 1, sizeof(chunk), file)) > 0) {
		bus_buf_append(buf, chunk, len);
	}
	fclose(file);
}

/* One example: true if it is what its folder says. */
static bool
example_holds(const bus_event_type *type, const char *path, bool valid)
{
	BUS_BUF_AUTO text = { 0 };
	bus_error err = BUS_ERROR_INIT;
	bus_schema_report report;
	bus_cause cause;
	read_file(path, &text);
	bus_status status = validate(bus_str_from(type->type), topic_of(type),
				     bus_buf_view(&text), &report, &cause, &err);
	bool holds = valid ? status == BUS_OK && report.count == 0 :
			     status == BUS_E_REJECT &&
				     cause == BUS_CAUSE_SCHEMA_INVALID &&
				     report.count > 0 && err.text[0] != '\0';
	if (!holds) {
		fprintf(stderr, "%s: should be %s: %s\n", path,
			valid ? "valid" : "invalid", err.text);
	}
	return holds;
}

/* Runs the examples of one type in one folder; how many there are. */
static size_t
run_examples(const bus_event_type *type, const char *kind)
{
	char folder[256], prefix[128];
	size_t count = 0;
	/* "io.busline.deploy.requested.v1" has files "requested.v1.<point>.json" */
	const char *fact =
		type->type + strlen("io.busline.") + strlen(type->family->name) + 1;
	int prefix_len = snprintf(prefix, sizeof(prefix), "%s.", fact);
	snprintf(folder, sizeof(folder), "schemas/%s/examples/%s", type->family->name,
		 kind);
	DIR *dir = opendir(folder);
	CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		if (strncmp(entry->d_name, prefix, (size_t)prefix_len) == 0) {
			char path[600];
			snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
			CU_ASSERT(example_holds(type, path, strcmp(kind, "valid") == 0));
			count++;
		}
	}
	closedir(dir);
	return count;
}

static size_t
count_files(const char *family, const char *kind)
{
	char folder[256];
	size_t count = 0;
	snprintf(folder, sizeof(folder), "schemas/%s/examples/%s", family, kind);
	DIR *dir = opendir(folder);
	CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		count += entry->d_name[0] != '.';
	}
	closedir(dir);
	return count;
}

static void
examples_of_families(const bus_family *family, const char *kind)
{
	size_t type_count;
	const bus_event_type *types = bus_registry_types(&type_count);
	for (; family->name != NULL; family++) {
		size_t ran = 0;
		for (size_t i = 0; i < type_count; i++) {
			if (types[i].family == family) {
				size_t count = run_examples(&types[i], kind);
				CU_ASSERT(count > 0);
				ran += count;
			}
		}
		CU_ASSERT_EQUAL(ran, count_files(family->name, kind));
	}
}

/* Also: every type has examples of both kinds, and no file belongs to none. */
static void
examples_are_what_they_say(void)
{
	static const char *const kinds[] = { "valid", "invalid" };
	for (size_t k = 0; k < 2; k++) {
		examples_of_families(bus_families(), kinds[k]);
		examples_of_families(bus_common_families(), kinds[k]);
	}
}

static void
schemas_own_examples_are_valid(void)
{
	size_t count;
	const bus_event_type *types = bus_registry_types(&count);
	for (size_t i = 0; i < count; i++) {
		BUS_JSON_AUTO *schema = json_loads(types[i].schema_text, 0, NULL);
		const json_t *examples = json_object_get(schema, "examples");
		CU_ASSERT(json_array_size(examples) > 0);
		for (size_t j = 0; j < json_array_size(examples); j++) {
			char *text = json_dumps(json_array_get(examples, j), 0);
			bus_error err = BUS_ERROR_INIT;
			bus_cause cause;
			CU_ASSERT_EQUAL(validate(bus_str_from(types[i].type),
						 topic_of(&types[i]), bus_str_from(text),
						 NULL, &cause, &err),
					BUS_OK);
			free(text);
		}
	}
}

static void
every_event_of_the_platform_is_there(void)
{
	static const char *const wanted[] = {
		"io.busline.catalog.app.created.v1",
		"io.busline.catalog.app.delete-failed.v1",
		"io.busline.catalog.app.delete-requested.v1",
		"io.busline.catalog.app.deleted.v1",
		"io.busline.catalog.artifact.registered.v1",
		"io.busline.catalog.tenant.created.v1",
		"io.busline.deploy.failed.v1",
		"io.busline.deploy.requested.v1",
		"io.busline.deploy.retire-failed.v1",
		"io.busline.deploy.retire-requested.v1",
		"io.busline.deploy.retired.v1",
		"io.busline.deploy.rollback-requested.v1",
		"io.busline.deploy.started.v1",
		"io.busline.deploy.succeeded.v1",
		"io.busline.deploy.verified.v1",
		"io.busline.deploy.verify-failed.v1",
		"io.busline.deploy.verify-requested.v1",
		"io.busline.dlq.discard-requested.v1",
		"io.busline.dlq.edit-requested.v1",
		"io.busline.dlq.redrive-requested.v1",
		"io.busline.route.change-requested.v1",
		"io.busline.route.changed.v1",
		"io.busline.route.failed.v1",
		"io.busline.route.remove-requested.v1",
		"io.busline.route.removed.v1",
		"io.busline.route.revert-requested.v1",
		"io.busline.route.reverted.v1",
		"io.busline.route.shift-requested.v1",
		"io.busline.saga.answered.v1",
		"io.busline.saga.cancel-requested.v1",
		"io.busline.saga.compensate-requested.v1",
		"io.busline.saga.compensated.v1",
		"io.busline.saga.completed.v1",
		"io.busline.saga.parked.v1",
		"io.busline.saga.requested.v1",
		"io.busline.saga.retry-requested.v1",
		"io.busline.saga.skip-requested.v1",
		"io.busline.scale.failed.v1",
		"io.busline.scale.quota-denied.v1",
		"io.busline.scale.quota-release-requested.v1",
		"io.busline.scale.quota-released.v1",
		"io.busline.scale.quota-reserve-requested.v1",
		"io.busline.scale.quota-reserved.v1",
		"io.busline.scale.quota-set.v1",
		"io.busline.scale.requested.v1",
		"io.busline.scale.revert-requested.v1",
		"io.busline.scale.reverted.v1",
		"io.busline.scale.succeeded.v1",
		"io.busline.scale.verified.v1",
		"io.busline.scale.verify-failed.v1",
		"io.busline.scale.verify-requested.v1",
		"io.busline.timer.fired.v1",
	};
	size_t count;
	const bus_event_type *types = bus_registry_types(&count);
	CU_ASSERT_EQUAL_FATAL(count, sizeof(wanted) / sizeof(wanted[0]));
	for (size_t i = 0; i < count; i++) {
		CU_ASSERT_STRING_EQUAL(types[i].type, wanted[i]);
		CU_ASSERT_PTR_EQUAL(bus_registry_find(registry, bus_str_from(wanted[i])),
				    &types[i]);
		CU_ASSERT(types[i].title[0] != '\0');
	}
}

static void
a_schema_is_closed_and_says_what_it_is(void)
{
	size_t count;
	const bus_event_type *types = bus_registry_types(&count);
	for (size_t i = 0; i < count; i++) {
		BUS_JSON_AUTO *schema = json_loads(types[i].schema_text, 0, NULL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(schema);
		CU_ASSERT(json_is_false(json_object_get(schema, "additionalProperties")));
		CU_ASSERT(bus_str_is(bus_json_str(schema, "$id"), types[i].schema_uri));
		CU_ASSERT(bus_json_str(schema, "description").len > 0);
		CU_ASSERT(bus_str_is(bus_json_str(schema, "type"), "object"));
		const char *name;
		json_t *property;
		json_object_foreach(json_object_get(schema, "properties"), name, property)
		{
			CU_ASSERT(bus_json_str(property, "description").len > 0);
		}
	}
}

static void
types_that_are_not_there_are_not_found(void)
{
	static const char *const strange[] = {
		"",
		"io.busline.deploy.requested.v",
		"io.busline.deploy.requested.v11",
		"io.busline.deploy.requested.v2",
		"IO.busline.deploy.requested.v1",
		"zz",
	};
	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
		CU_ASSERT_PTR_NULL(bus_registry_find(registry, bus_str_from(strange[i])));
	}
	CU_ASSERT_PTR_NULL(bus_registry_find(registry, BUS_STR_NULL));
	CU_ASSERT_PTR_NULL(bus_registry_find(registry,
					     BUS_STR("io.busline.deploy.failed.v1\0x")));
}

static void
families_are_found_by_topic_and_name(void)
{
	for (const bus_family *f = bus_families(); f->name != NULL; f++) {
		CU_ASSERT_PTR_EQUAL(bus_family_of_name(bus_str_from(f->name)), f);
		CU_ASSERT_PTR_EQUAL(bus_family_of_topic(bus_str_from(f->topic)), f);
	}
	for (const bus_family *f = bus_common_families(); f->name != NULL; f++) {
		CU_ASSERT_PTR_EQUAL(bus_family_of_name(bus_str_from(f->name)), f);
		CU_ASSERT_PTR_NULL(f->topic);
	}
	CU_ASSERT_PTR_NULL(bus_family_of_topic(BUS_STR("busline.deploy2")));
	CU_ASSERT_PTR_NULL(bus_family_of_topic(BUS_STR_NULL));
	CU_ASSERT_PTR_NULL(bus_family_of_name(BUS_STR("busline.deploy")));
}

static void
the_cause_says_what_was_wrong(void)
{
	static const struct {
		const char *type, *topic, *data;
		bus_cause cause;
	} cases[] = {
		{ "io.busline.deploy.started.v1", "busline.deploy", "{\"release\":1}",
		  BUS_CAUSE_NONE },
		{ "io.busline.deploy.started.v1", "busline.scale", "{\"release\":1}",
		  BUS_CAUSE_UNKNOWN_TYPE },
		{ "io.busline.timer.fired.v1", "busline.scale", TIMER_FIRED,
		  BUS_CAUSE_NONE },
		{ "io.busline.timer.fired.v1", "busline.catalog", TIMER_FIRED,
		  BUS_CAUSE_NONE },
		{ "io.busline.timer.fired.v1", "busline.deploy", "{}",
		  BUS_CAUSE_SCHEMA_INVALID },
		{ "io.busline.deploy.begun.v1", "busline.deploy", "{\"release\":1}",
		  BUS_CAUSE_UNKNOWN_TYPE },
		{ "io.busline.deploy.started.v1", "busline.deploy", "{\"release\":1",
		  BUS_CAUSE_INVALID_DATA },
		{ "io.busline.deploy.started.v1", "busline.deploy", NULL,
		  BUS_CAUSE_INVALID_DATA },
		{ "io.busline.deploy.started.v1", "busline.deploy", "{\"release\":0}",
		  BUS_CAUSE_SCHEMA_INVALID },
		{ "io.busline.deploy.started.v1", "busline.deploy", "[]",
		  BUS_CAUSE_SCHEMA_INVALID },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bus_error err = BUS_ERROR_INIT;
		bus_cause cause;
		bus_status status =
			validate(bus_str_from(cases[i].type),
				 bus_str_from(cases[i].topic),
				 bus_str_from(cases[i].data), NULL, &cause, &err);
		CU_ASSERT_EQUAL(cause, cases[i].cause);
		CU_ASSERT_EQUAL(status,
				cases[i].cause == BUS_CAUSE_NONE ? BUS_OK : BUS_E_REJECT);
	}
}

static const bus_case cases[] = {
	{ "every event of the platform is there", every_event_of_the_platform_is_there },
	{ "a schema is closed and says what it is",
	  a_schema_is_closed_and_says_what_it_is },
	{ "examples are what they say", examples_are_what_they_say },
	{ "the schemas' own examples are valid", schemas_own_examples_are_valid },
	{ "types that are not there are not found",
	  types_that_are_not_there_are_not_found },
	{ "families are found by topic and name", families_are_found_by_topic_and_name },
	{ "the cause says what was wrong", the_cause_says_what_was_wrong },
	{ NULL, NULL },
};

const bus_suite_def bus_suite = { "registry", cases, setup, teardown };
