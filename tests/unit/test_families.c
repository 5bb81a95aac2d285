/*
 * test_families.c - families of a user's directory beside the platform's own
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schemas/registry.h"
#include "tests/support/suite.h"
#include "tests/unit/rows.h"

#define TYPE(fact) "io.busline.bank." fact ".v1"
#define SCHEMA(id, type, rest)                                                           \
	"{\"$id\":\"https://example.org/" id "\",\"x-busline-type\":\"" type             \
	"\",\"title\":\"T\"" rest "}"
#define GOOD(fact)                                                                         \
	SCHEMA(fact, TYPE(fact),                                                           \
	       ",\"type\":\"object\",\"required\":[\"cents\"],\"properties\":{\"cents\":{" \
	       "\"type\":\"integer\"}}")

static char folder[] = "/tmp/bus_families_XXXXXX";
static bus_error err;

static int
setup(void)
{
	return mkdtemp(folder) != NULL ? 0 : -1;
}

/* file: "bank/moved.v1.json" */
static void
put(const char *file, const char *text)
{
	char path[200];
	snprintf(path, sizeof(path), "%s/%s", folder, file);
	*strrchr(path, '/') = '\0';
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%s", folder, file);
	FILE *out = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	fputs(text, out);
	fclose(out);
}

static void
drop(const char *file)
{
	char path[200];
	snprintf(path, sizeof(path), "%s/%s", folder, file);
	unlink(path);
	*strrchr(path, '/') = '\0';
	if (strcmp(path, folder) != 0) {
		rmdir(path);
	}
}

static int
teardown(void)
{
	static const char *const left[] = {
		"bank/moved.v1.json", "bank/opened.v1.json", "a-bank/opened.v2.json",
		"sagas/x.json",       "documents/read.md",   "README.md"
	};
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		drop(left[i]);
	}
	return rmdir(folder);
}

static const struct {
	const char *file, *text, *reason;
} wrong[] = {
	{ "bank/moved.v1.json", "{\"a\":1,}", "moved.v1.json: JSON line 1 column 8" },
	{ "bank/moved.v1.json", "{}", "has no \"$id\", or it is no text" },
	{ "bank/moved.v1.json", "[]", "has no \"$id\", or it is no text" },
	{ "bank/moved.v1.json", "{\"$id\":\"u:1\",\"title\":\"t\"}",
	  "has no \"x-busline-type\"" },
	{ "bank/moved.v1.json",
	  "{\"$id\":\"u:1\",\"x-busline-type\":\"" TYPE("moved") "\"}",
	  "has no \"title\"" },
	{ "bank/moved.v1.json", SCHEMA("a", TYPE("lost"), ""),
	  "x-busline-type io.busline.bank.lost.v1 is not that of its folder and name" },
	{ "bank/moved.v1.json", SCHEMA("a", TYPE("moved"), ",\"type\":\"text\""),
	  "must name types of JSON" },
	{ "bank/moved.v1.json", SCHEMA("a", TYPE("moved"), ",\"requires\":[]"),
	  "requires" },
	{ "bank/moved.v1.json",
	  "{\"$id\":\"https://busline.io/schemas/deploy/failed.v1.json\","
	  "\"x-busline-type\":\"" TYPE("moved") "\",\"title\":\"t\"}",
	  "https://busline.io/schemas/deploy/failed.v1.json" },
	{ "bank/moved.json", GOOD("moved"), "moved.json: is not called <fact>.v<N>.json" },
	{ "bank/moved.v0.json", GOOD("moved"), "is not called <fact>.v<N>.json" },
	{ "bank/Moved.v1.json", GOOD("moved"), "is not called <fact>.v<N>.json" },
	{ "bank/.v1.json", "", NULL },
	{ "bank/moved..x.v1.json", GOOD("moved"), "is not called <fact>.v<N>.json" },
	{ "Bank/moved.v1.json", GOOD("moved"), "a family has lower-case letters" },
	{ "deploy/moved.v1.json", GOOD("moved"), "deploy is the platform's own" },
	{ "timer/moved.v1.json", GOOD("moved"), "timer is the platform's own" },
};

static void
what_is_wrong_is_refused(void)
{
	size_t before, after;
	bus_registry_types(&before);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char row[120];
		snprintf(row, sizeof(row), "row %zu, %s", i, wrong[i].file);
		put(wrong[i].file, wrong[i].text);
		bus_error_reset(&err);
		bus_status status = bus_registry_add_directory(folder, &err);
		drop(wrong[i].file);
		if (wrong[i].reason == NULL) {
			BUS_ASSERT_ROW(row, status == BUS_OK);
			continue;
		}
		if (strstr(err.text, wrong[i].reason) == NULL) {
			printf("\n  %s: %s\n", row, err.text);
		}
		BUS_ASSERT_ROW(row, status == BUS_E_FATAL);
		BUS_ASSERT_ROW(row, strstr(err.text, folder) != NULL);
		BUS_ASSERT_ROW(row, strstr(err.text, wrong[i].reason) != NULL);
	}
	bus_registry_types(&after);
	CU_ASSERT_EQUAL(before, after);
	bus_error_reset(&err);
	CU_ASSERT_EQUAL(bus_registry_add_directory("/nowhere", &err), BUS_E_FATAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "schemas.directory /nowhere"));
}

static bus_status
validate(const bus_registry *registry, const char *type, const char *topic,
	 const char *data)
{
	bus_event event = { .type = bus_str_from(type), .data = bus_str_from(data) };
	bus_cause cause;
	bus_status status = bus_registry_validate(registry, bus_str_from(topic), &event,
						  NULL, &cause, NULL);
	bus_event_fini(&event);
	return status;
}

static void
families_are_added(void)
{
	size_t before, count;
	bus_registry *registry = NULL;
	bus_registry_types(&before);
	put("bank/moved.v1.json", GOOD("moved"));
	put("bank/opened.v1.json", GOOD("opened"));
	put("a-bank/opened.v2.json",
	    SCHEMA("b", "io.busline.a-bank.opened.v2", ",\"type\":\"object\""));
	put("sagas/x.json", "no schema");
	put("documents/read.md", "no schema");
	put("README.md", "no family");
	bus_error_reset(&err);
	CU_ASSERT_EQUAL_FATAL(bus_registry_add_directory(folder, &err), BUS_OK);
	CU_ASSERT_EQUAL_FATAL(bus_registry_create(&registry, &err), BUS_OK);

	const bus_event_type *types = bus_registry_types(&count);
	CU_ASSERT_EQUAL(count, before + 3);
	for (size_t i = 1; i < count; i++) {
		CU_ASSERT(strcmp(types[i - 1].type, types[i].type) < 0);
	}
	for (size_t i = 0; i < count; i++) {
		CU_ASSERT_PTR_EQUAL(bus_registry_find(registry,
						      bus_str_from(types[i].type)),
				    &types[i]);
	}
	const bus_family *bank = bus_family_of_topic(BUS_STR("busline.bank"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(bank);
	CU_ASSERT_STRING_EQUAL(bank->name, "bank");
	CU_ASSERT_PTR_EQUAL(bus_family_of_name(BUS_STR("bank")), bank);
	CU_ASSERT_PTR_EQUAL(bus_registry_find(registry, BUS_STR(TYPE("moved")))->family,
			    bank);
	CU_ASSERT_PTR_NOT_NULL(bus_family_of_name(BUS_STR("a-bank")));
	CU_ASSERT_PTR_NULL(bus_family_of_name(BUS_STR("sagas")));
	CU_ASSERT_PTR_NULL(bus_family_of_name(BUS_STR("documents")));
	for (const bus_family *family = bus_families(); family[1].name != NULL; family++) {
		CU_ASSERT(strcmp(family[0].name, family[1].name) < 0);
	}

	CU_ASSERT_EQUAL(validate(registry, TYPE("moved"), "busline.bank", "{\"cents\":5}"),
			BUS_OK);
	CU_ASSERT_EQUAL(validate(registry, TYPE("moved"), "busline.bank", "{}"),
			BUS_E_REJECT);
	CU_ASSERT_EQUAL(validate(registry, TYPE("moved"), "busline.deploy",
				 "{\"cents\":5}"),
			BUS_E_REJECT);
	CU_ASSERT_EQUAL(validate(registry, "io.busline.deploy.started.v1",
				 "busline.deploy", "{\"release\":1}"),
			BUS_OK);
	bus_registry_destroy(registry);
}

static const bus_case cases[] = {
	{ "what is wrong is refused, with file and reason", what_is_wrong_is_refused },
	{ "families are added", families_are_added },
	{ NULL, NULL },
};

const bus_suite_def bus_suite = { "families of a directory", cases, setup, teardown };
