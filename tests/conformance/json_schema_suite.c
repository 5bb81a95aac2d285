/*
 * json_schema_suite.c - runs the official JSON Schema test suite, draft 2020-12
 *
 * json_schema_suite DIR [--all]: DIR as fetch_json_schema_suite leaves it. Every required
 * test must pass, and every optional one but those of the files listed below; --all names
 * what fails there as well.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/validator.h"

#define PATH_MAX_ 1024
#define REMOTE_BASE "http://localhost:1234"
#define REMOTES_MAX 128
/* The suite has more; fewer means that it was not found. */
#define TESTS_MIN 1000

/* Documents every schema of the suite may refer to. */
static struct {
	char uri[PATH_MAX_];
	json_t *document;
} remotes[REMOTES_MAX];
static size_t remote_count;

/* Optional files that need not pass; schemas/README.md says why. */
static const char *const excepted[] = {
	"cross-draft.json",
	"dependencies-compatibility.json",
	"idn-hostname.json",
};

typedef struct tally {
	unsigned passed, failed, excepted, files;
} tally;

typedef struct suite_run {
	unsigned flags;
	bool optional;
	bool name_all; /* also what fails in excepted files */
	bool name_failures;
	tally total;
} suite_run;

static json_t *
load(const char *path)
{
	json_error_t why;
	size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
	json_t *json = json_load_file(path, flags, &why);
	if (json == NULL && json_error_code(&why) == json_error_numeric_overflow) {
		json = json_load_file(path, flags | JSON_DECODE_INT_AS_REAL, &why);
	}
	if (json == NULL) {
		fprintf(stderr, "%s:%d: %s\n", path, why.line, why.text);
	}
	return json;
}

static int
visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Calls each(path, name, arg) for the entries of a folder in order; false if it is none. */
static bool
walk(const char *folder, void (*each)(const char *path, const char *name, void *arg),
     void *arg)
{
	struct dirent **entries;
	int count = scandir(folder, &entries, visible, alphasort);
	for (int i = 0; i < count; i++) {
		char path[PATH_MAX_];
		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		each(path, entries[i]->d_name, arg);
		free(entries[i]);
	}
	if (count >= 0) {
		free(entries);
	}
	return count > 0;
}

static bool
has_suffix(const char *name, const char *suffix)
{
	size_t len = strlen(name), suffix_len = strlen(suffix);
	return len >= suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
}

/* Remotes of other drafts are written in other dialects. */
static void
add_remote(const char *path, const char *name, void *arg)
{
	const char *base = arg;
	char uri[PATH_MAX_];
	snprintf(uri, sizeof(uri), "%s/%s", base, name);
	if (!has_suffix(name, ".json")) {
		if (strncmp(name, "draft", 5) != 0 || strcmp(name, "draft2020-12") == 0) {
			walk(path, add_remote, uri);
		}
		return;
	}
	json_t *document = load(path);
	if (document != NULL && remote_count < REMOTES_MAX) {
		snprintf(remotes[remote_count].uri, PATH_MAX_, "%s", uri);
		remotes[remote_count++].document = document;
	}
}

/* The metaschema's documents say themselves where they are at home. */
static void
add_metaschema(const char *path, const char *name, void *arg)
{
	(void)name;
	(void)arg;
	json_t *document = walk(path, add_metaschema, NULL) ? NULL : load(path);
	const char *id = json_string_value(json_object_get(document, "$id"));
	if (id != NULL && remote_count < REMOTES_MAX) {
		snprintf(remotes[remote_count].uri, PATH_MAX_, "%s", id);
		remotes[remote_count++].document = document;
	}
}

static const bus_schema *
compile(bus_schema_set *set, json_t *schema, bus_error *err)
{
	const bus_schema *compiled = NULL;
	bus_status status = BUS_OK;
	for (size_t i = 0; i < remote_count && status == BUS_OK; i++) {
		status = bus_schema_set_add(set, bus_str_from(remotes[i].uri),
					    remotes[i].document, err);
	}
	if (status == BUS_OK) {
		status = bus_schema_set_add(set, BUS_STR("https://suite.invalid/schema"),
					    schema, err);
	}
	if (status == BUS_OK) {
		status = bus_schema_compile(set, BUS_STR("https://suite.invalid/schema"),
					    &compiled, err);
	}
	return compiled;
}

/* With and without a report the answer must be the same, and the report fit it. */
static bool
agrees(const bus_schema *schema, const json_t *data, bool valid)
{
	bus_schema_report report;
	bus_status quick = bus_schema_validate(schema, data, NULL, NULL);
	bus_status told = bus_schema_validate(schema, data, &report, NULL);
	return quick == told && (quick == BUS_OK) == valid &&
	       (report.count == 0) == valid;
}

static void
run_group(const suite_run *run, const char *name, const json_t *group, tally *file)
{
	bus_error err = BUS_ERROR_INIT;
	bus_schema_set *set =
		bus_schema_set_create(run->flags | BUS_SCHEMA_ALLOW_UNKNOWN);
	const bus_schema *schema =
		set != NULL ? compile(set, json_object_get(group, "schema"), &err) : NULL;
	const json_t *tests = json_object_get(group, "tests");
	size_t i;
	json_t *test;
	json_array_foreach(tests, i, test)
	{
		bool valid = json_is_true(json_object_get(test, "valid"));
		if (schema != NULL &&
		    agrees(schema, json_object_get(test, "data"), valid)) {
			file->passed++;
			continue;
		}
		file->failed++;
		if (run->name_failures) {
			printf("  FAILED %s: %s: %s %s\n", name,
			       json_string_value(json_object_get(group, "description")),
			       json_string_value(json_object_get(test, "description")),
			       schema == NULL ? err.text : "");
		}
	}
	bus_schema_set_destroy(set);
}

static bool
is_excepted(const suite_run *run, const char *name)
{
	bool found = false;
	for (size_t i = 0; i < sizeof(excepted) / sizeof(excepted[0]); i++) {
		found = found || strcmp(excepted[i], name) == 0;
	}
	return run->optional && found;
}

static void
run_file(const char *path, const char *name, void *arg)
{
	suite_run *run = arg;
	tally file = { 0 };
	if (!has_suffix(name, ".json")) {
		return;
	}
	bool may_fail = is_excepted(run, name);
	run->name_failures = run->name_all || !may_fail;
	json_t *groups = load(path);
	size_t i;
	json_t *group;
	json_array_foreach(groups, i, group)
	{
		run_group(run, name, group, &file);
	}
	file.failed += groups == NULL;
	json_decref(groups);
	printf("%-36s %4u passed %4u failed%s\n", name, file.passed, file.failed,
	       may_fail ? " (excepted)" : "");
	run->total.files++;
	run->total.passed += file.passed;
	run->total.failed += may_fail ? 0 : file.failed;
	run->total.excepted += may_fail ? file.failed : 0;
}

static tally
run_folder(const char *root, const char *folder, unsigned flags, bool all)
{
	char path[PATH_MAX_];
	suite_run run = { .flags = flags, .name_all = all, .optional = folder[0] != '\0' };
	snprintf(path, sizeof(path), "%s/tests/draft2020-12%s", root, folder);
	printf("-- draft2020-12%s\n", folder);
	if (!walk(path, run_file, &run)) {
		fprintf(stderr, "%s: no such folder\n", path);
	}
	return run.total;
}

static void
print_tally(const char *name, const tally *t)
{
	printf("%s: %u passed, %u failed, %u failed in excepted files; %u files\n", name,
	       t->passed, t->failed, t->excepted, t->files);
}

int
main(int argc, char **argv)
{
	char path[PATH_MAX_];
	if (argc < 2) {
		fprintf(stderr, "usage: json_schema_suite DIR [--all]\n");
		return 64;
	}
	bool all = argc > 2 && strcmp(argv[2], "--all") == 0;
	snprintf(path, sizeof(path), "%s/metaschema", argv[1]);
	walk(path, add_metaschema, NULL);
	snprintf(path, sizeof(path), "%s/remotes", argv[1]);
	walk(path, add_remote, REMOTE_BASE);

	tally required = run_folder(argv[1], "", 0, all);
	tally optional = run_folder(argv[1], "/optional", 0, all);
	tally format = run_folder(argv[1], "/optional/format", BUS_SCHEMA_FORMAT, all);
	print_tally("required", &required);
	print_tally("optional", &optional);
	print_tally("formats", &format);
	for (size_t i = 0; i < remote_count; i++) {
		json_decref(remotes[i].document);
	}
	bool good = required.failed == 0 && optional.failed == 0 && format.failed == 0;
	return good && required.passed >= TESTS_MIN ? EXIT_SUCCESS : EXIT_FAILURE;
}
