/* test_asyncapi.c - the pages made from the registry are what it says today */
#include "schemas/docs.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/json.h"
#include "schemas/registry.h"
#include "tests/support/suite.h"

static void
check_page(const char *path, void (*write)(bus_buf *buf))
{
	BUS_BUF_AUTO wanted = { 0 };
	BUS_BUF_AUTO there = { 0 };
	FILE *file = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	size_t len;
	do {
		len = fread(bus_buf_reserve(&there, 4096), 1, 4096, file);
		there.len += len;
	} while (len > 0);
	fclose(file);
	write(&wanted);
	bool same = bus_str_eq(bus_buf_view(&wanted), bus_buf_view(&there));
	if (!same) {
		fprintf(stderr, "%s is stale: build the target `asyncapi`\n", path);
	}
	CU_ASSERT(same);
}

static void
the_checked_in_pages_are_fresh(void)
{
	check_page("schemas/asyncapi.yaml", busp_asyncapi_write);
	check_page("docs/events.md", busp_events_write);
}

static void
every_event_is_on_both_pages(void)
{
	BUS_BUF_AUTO asyncapi = { 0 };
	BUS_BUF_AUTO events = { 0 };
	size_t count;
	const bus_event_type *types = bus_registry_types(&count);
	busp_asyncapi_write(&asyncapi);
	busp_events_write(&events);
	CU_ASSERT(count > 0);
	for (size_t i = 0; i < count; i++) {
		CU_ASSERT_PTR_NOT_NULL(strstr(asyncapi.data, types[i].type));
		CU_ASSERT_PTR_NOT_NULL(strstr(asyncapi.data, types[i].schema_uri));
		CU_ASSERT_PTR_NOT_NULL(strstr(events.data, types[i].type));
	}
}

static const struct {
	const char *json, *yaml;
} trees[] = {
	{ "{\"a\":1,\"b\":-1.5,\"c\":true,\"d\":null}",
	  "a: 1\nb: -1.5\nc: true\nd: null\n" },
	{ "{\"a\":\"plain words\",\"b\":\"\"}", "a: plain words\nb: \"\"\n" },
	/* what would be read as something else */
	{ "{\"a\":\"true\",\"b\":\"No\",\"c\":\"1\",\"d\":\"~\"}",
	  "a: \"true\"\nb: \"No\"\nc: \"1\"\nd: \"~\"\n" },
	{ "{\"a\":\"k: v\",\"b\":\"a #c\",\"c\":\"x:\",\"d\":\" x\",\"e\":\"-\"}",
	  "a: \"k: v\"\nb: \"a #c\"\nc: \"x:\"\nd: \" x\"\ne: \"-\"\n" },
	{ "{\"a\":\"^\\\\S+$\\n\",\"y\":\"a:b\"}", "a: \"^\\\\S+$\\n\"\n\"y\": a:b\n" },
	{ "{\"a\":{},\"b\":[],\"c\":{\"d\":{\"e\":1}}}",
	  "a: {}\nb: []\nc:\n  d:\n    e: 1\n" },
	{ "{\"a\":[1,\"x\",\"y z\"]}", "a: [1, x, y z]\n" },
	{ "{\"a\":[{\"b\":1,\"c\":[{\"d\":2}]},[{\"e\":3}]]}",
	  "a:\n  - b: 1\n    c:\n      - d: 2\n  -\n    - e: 3\n" },
};

static void
yaml_says_what_the_tree_says(void)
{
	for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++) {
		BUS_JSON_AUTO *json = json_loads(trees[i].json, 0, NULL);
		BUS_BUF_AUTO yaml = { 0 };
		CU_ASSERT_PTR_NOT_NULL_FATAL(json);
		busp_yaml_write(json, &yaml);
		if (strcmp(yaml.data, trees[i].yaml) != 0) {
			fprintf(stderr, "%s:\n%s", trees[i].json, yaml.data);
		}
		CU_ASSERT_STRING_EQUAL(yaml.data, trees[i].yaml);
	}
}

static const bus_case cases[] = {
	{ "YAML says what the tree says", yaml_says_what_the_tree_says },
	{ "every event is on both pages", every_event_is_on_both_pages },
	{ "the checked-in pages are fresh", the_checked_in_pages_are_fresh },
	{ NULL, NULL },
};

const bus_suite_def bus_suite = { "asyncapi", cases, NULL, NULL };
