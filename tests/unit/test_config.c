/*
 * test_config.c - every setting, from everywhere
 *
 * BUSLINE_TEST_WRITE_DOCS=1 writes docs/configuration.md instead of comparing it.
 */
#include "core/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/rows.h"

#define DOCUMENT "docs/configuration.md"

static char folder[] = "/tmp/busline-config-XXXXXX";
static char path[128];

static int
setup(void)
{
	for (int key = 0; key < BUS_CONF_COUNT; key++) {
		/* a developer's own settings would be taken for the test's */
		char name[80];
		snprintf(name, sizeof(name), "BUSLINE_%s",
			 bus_config_option_of((bus_config_key)key)->name);
		for (char *c = name; *c != '\0'; c++) {
			*c = *c == '.' || *c == '-' ? '_' :
			     *c >= 'a' && *c <= 'z' ? (char)(*c - 32) :
						      *c;
		}
		unsetenv(name);
	}
	unsetenv("BUSLINE_CONFIG");
	if (mkdtemp(folder) == NULL) {
		return 1;
	}
	snprintf(path, sizeof(path), "%s/file", folder);
	return 0;
}

static int
teardown(void)
{
	(void)unlink(path);
	return rmdir(folder);
}

static void
write_file(bus_str text)
{
	FILE *file = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	CU_ASSERT_EQUAL(fwrite(text.data, 1, text.len, file), text.len);
	CU_ASSERT_EQUAL(fclose(file), 0);
}

static void
test_defaults(void)
{
	bus_config *config = bus_config_create();
	CU_ASSERT_STRING_EQUAL(bus_config_text(config, BUS_CONF_BROKER_URL),
			       "nng+tcp://127.0.0.1:7440");
	CU_ASSERT_EQUAL(bus_config_int(config, BUS_CONF_WORKER_BATCH_EVENTS), 2000);
	CU_ASSERT_EQUAL(bus_config_int(config, BUS_CONF_TOPIC_RETENTION_MS), -1);
	CU_ASSERT_TRUE(bus_config_bool(config, BUS_CONF_DB_DURABLE));
	const char *where = NULL;
	CU_ASSERT_EQUAL(bus_config_origin_of(config, BUS_CONF_DB_URL, &where),
			BUS_ORIGIN_DEFAULT);
	CU_ASSERT_STRING_EQUAL(where, "");
	CU_ASSERT_EQUAL(bus_config_origin_of(config, BUS_CONF_DB_URL, NULL),
			BUS_ORIGIN_DEFAULT);
	bus_config_destroy(config);
	bus_config_destroy(NULL);
}

static void
test_find(void)
{
	for (int key = 0; key < BUS_CONF_COUNT; key++) {
		const char *name = bus_config_option_of((bus_config_key)key)->name;
		CU_ASSERT_EQUAL((int)bus_config_find(bus_str_from(name)), key);
	}
	CU_ASSERT_EQUAL(bus_config_find(BUS_STR("worker-batch-events")),
			BUS_CONF_WORKER_BATCH_EVENTS);
	CU_ASSERT_EQUAL(bus_config_find(BUS_STR("worker.batch.events")), BUS_CONF_COUNT);
	CU_ASSERT_EQUAL(bus_config_find(BUS_STR("worker_batch_events")), BUS_CONF_COUNT);
	CU_ASSERT_EQUAL(bus_config_find(BUS_STR("worker")), BUS_CONF_COUNT);
	CU_ASSERT_EQUAL(bus_config_find(BUS_STR("")), BUS_CONF_COUNT);
	CU_ASSERT_EQUAL(bus_config_find(BUS_STR_NULL), BUS_CONF_COUNT);
}

static void
test_precedence(void)
{
	write_file(BUS_STR(
		"{\"worker\":{\"batch-events\":11,\"group\":\"file\",\"cache-rows\":12},"
		"\"db\":{\"durable\":false}}"));
	setenv("BUSLINE_WORKER_BATCH_EVENTS", "21", 1);
	setenv("BUSLINE_WORKER_GROUP", "environment", 1);
	bus_config *config = bus_config_create();
	bus_error err = BUS_ERROR_INIT;
	/* a flag read before the file beats it all the same */
	CU_ASSERT_EQUAL(bus_config_set(config, BUS_CONF_WORKER_BATCH_EVENTS, BUS_STR("31"),
				       BUS_ORIGIN_FLAG, "--worker-batch-events", &err),
			BUS_OK);
	CU_ASSERT_EQUAL(bus_config_load(config, path, &err), BUS_OK);
	CU_ASSERT_EQUAL(bus_config_int(config, BUS_CONF_WORKER_BATCH_EVENTS), 31);
	CU_ASSERT_STRING_EQUAL(bus_config_text(config, BUS_CONF_WORKER_GROUP),
			       "environment");
	CU_ASSERT_EQUAL(bus_config_int(config, BUS_CONF_WORKER_CACHE_ROWS), 12);
	CU_ASSERT_FALSE(bus_config_bool(config, BUS_CONF_DB_DURABLE));
	const char *where;
	CU_ASSERT_EQUAL(bus_config_origin_of(config, BUS_CONF_WORKER_BATCH_EVENTS, &where),
			BUS_ORIGIN_FLAG);
	CU_ASSERT_STRING_EQUAL(where, "--worker-batch-events");
	CU_ASSERT_EQUAL(bus_config_origin_of(config, BUS_CONF_WORKER_GROUP, &where),
			BUS_ORIGIN_ENVIRONMENT);
	CU_ASSERT_STRING_EQUAL(where, "BUSLINE_WORKER_GROUP");
	CU_ASSERT_EQUAL(bus_config_origin_of(config, BUS_CONF_WORKER_CACHE_ROWS, &where),
			BUS_ORIGIN_FILE);
	CU_ASSERT_STRING_EQUAL(where, path);
	/* the same flag twice: the last one */
	CU_ASSERT_EQUAL(bus_config_set(config, BUS_CONF_WORKER_BATCH_EVENTS, BUS_STR("32"),
				       BUS_ORIGIN_FLAG, "--worker-batch-events", &err),
			BUS_OK);
	CU_ASSERT_EQUAL(bus_config_int(config, BUS_CONF_WORKER_BATCH_EVENTS), 32);
	bus_config_destroy(config);
	unsetenv("BUSLINE_WORKER_BATCH_EVENTS");
	unsetenv("BUSLINE_WORKER_GROUP");
}

static void
test_config_variable(void)
{
	write_file(BUS_STR("{\"log\":{\"level\":\"debug\"}}"));
	setenv("BUSLINE_CONFIG", path, 1);
	bus_config *config = bus_config_create();
	CU_ASSERT_EQUAL(bus_config_load(config, NULL, NULL), BUS_OK);
	CU_ASSERT_STRING_EQUAL(bus_config_text(config, BUS_CONF_LOG_LEVEL), "debug");
	bus_config_destroy(config);
	unsetenv("BUSLINE_CONFIG");
	config = bus_config_create();
	CU_ASSERT_EQUAL(bus_config_load(config, NULL, NULL), BUS_OK);
	CU_ASSERT_STRING_EQUAL(bus_config_text(config, BUS_CONF_LOG_LEVEL), "info");
	bus_config_destroy(config);
}

static void
test_file_refused(void)
{
	const struct {
		const char *row;
		bus_str text;
		const char *says;
	} rows[] = {
		{ "not JSON", BUS_STR("worker: {}"), "line 1 column" },
		{ "not an object", BUS_STR("[]"), "not an object of sections" },
		{ "section is no object", BUS_STR("{\"worker\":5}"),
		  "\"worker\" is not an object" },
		{ "unknown option", BUS_STR("{\"worker\":{\"batch-event\":5}}"),
		  "no option worker.batch-event; did you mean worker.batch-events?" },
		{ "unknown section", BUS_STR("{\"workers\":{\"group\":\"x\"}}"),
		  "no option workers.group; did you mean worker.group?" },
		{ "nothing like it",
		  BUS_STR("{\"zzzzzzzz\":{\"qqqqqqqqqqqqqqqqqq\":\"x\"}}"),
		  "there is no option zzzzzzzz.qqqqqqqqqqqqqqqqqq" },
		{ "text for an integer", BUS_STR("{\"worker\":{\"batch-events\":\"5\"}}"),
		  "worker.batch-events is not an integer" },
		{ "real for an integer", BUS_STR("{\"worker\":{\"batch-events\":5.5}}"),
		  "worker.batch-events is not an integer" },
		{ "integer for a text", BUS_STR("{\"worker\":{\"group\":5}}"),
		  "worker.group is not a string" },
		{ "text for a boolean", BUS_STR("{\"db\":{\"durable\":\"yes\"}}"),
		  "db.durable is not true or false" },
		{ "zero events", BUS_STR("{\"worker\":{\"batch-events\":0}}"),
		  "at least 1" },
		{ "twice", BUS_STR("{\"db\":{\"role\":\"a\",\"role\":\"b\"}}"),
		  "duplicate" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		write_file(rows[i].text);
		bus_config *config = bus_config_create();
		bus_error err = BUS_ERROR_INIT;
		BUS_ASSERT_ROW(rows[i].row,
			       bus_config_load(config, path, &err) == BUS_E_FATAL);
		BUS_ASSERT_ROW(rows[i].row, strstr(err.text, rows[i].says) != NULL);
		BUS_ASSERT_ROW(rows[i].row, strstr(err.text, path) != NULL);
		bus_config_destroy(config);
	}
	bus_config *config = bus_config_create();
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL(bus_config_load(config, "/nowhere/busline.json", &err),
			BUS_E_FATAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/nowhere/busline.json: No such file"));
	bus_error_reset(&err);
	CU_ASSERT_EQUAL(bus_config_load(config, folder, &err), BUS_E_FATAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "cannot read"));
	bus_config_destroy(config);
}

static void
test_environment(void)
{
	static const struct {
		const char *variable;
		const char *value;
		const char *says; /* NULL: accepted */
	} rows[] = {
		{ "BUSLINE_RELAY_POLL_MS", "250", NULL },
		{ "BUSLINE_DB_ROLE", "", NULL },
		{ "BUSLINE_TOPIC_RETENTION_MS", "-1", NULL },
		{ "BUSLINE_CRASH_POINT", "after-begin", NULL },
		{ "BUSLINE_WERROR", "ON", NULL },
		{ "BUSLINE_TEST_ANYTHING", "1", NULL },
		{ "BUSLINEX", "1", NULL },
		{ "BUSLINE_RELAY_POL_MS", "250",
		  "environment: there is no option BUSLINE_RELAY_POL_MS; did you mean "
		  "BUSLINE_RELAY_POLL_MS?" },
		{ "BUSLINE_relay_poll_ms", "250", "no option BUSLINE_relay_poll_ms" },
		{ "BUSLINE_", "1", "there is no option BUSLINE_" },
		{ "BUSLINE_RELAY_POLL_MS_FILES", "x",
		  "no option BUSLINE_RELAY_POLL_MS_FILES" },
		{ "BUSLINE_RELAY_POLL_MS", "",
		  "relay.poll-ms: \"\" of BUSLINE_RELAY_POLL_MS is not an integer" },
		{ "BUSLINE_RELAY_POLL_MS", " 5", "is not an integer" },
		{ "BUSLINE_RELAY_POLL_MS", "+5", "is not an integer" },
		{ "BUSLINE_RELAY_POLL_MS", "5s", "is not an integer" },
		{ "BUSLINE_RELAY_POLL_MS", "-", "is not an integer" },
		{ "BUSLINE_RELAY_POLL_MS", "0x10", "is not an integer" },
		{ "BUSLINE_RELAY_POLL_MS", "9223372036854775808", "is not an integer" },
		{ "BUSLINE_RELAY_POLL_MS", "0", "at least 1" },
		{ "BUSLINE_TOPIC_RETENTION_MS", "-2", "at least -1" },
		{ "BUSLINE_DB_DURABLE", "yes",
		  "db.durable: \"yes\" of BUSLINE_DB_DURABLE is not "
		  "true or false" },
		{ "BUSLINE_DB_DURABLE", "TRUE", "is not true or false" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char row[160];
		snprintf(row, sizeof(row), "%s=%s", rows[i].variable, rows[i].value);
		setenv(rows[i].variable, rows[i].value, 1);
		bus_config *config = bus_config_create();
		bus_error err = BUS_ERROR_INIT;
		bus_status status = bus_config_load(config, NULL, &err);
		BUS_ASSERT_ROW(row,
			       status == (rows[i].says == NULL ? BUS_OK : BUS_E_FATAL));
		BUS_ASSERT_ROW(row, rows[i].says == NULL ||
					    strstr(err.text, rows[i].says) != NULL);
		bus_config_destroy(config);
		unsetenv(rows[i].variable);
	}
}

static void
test_secret_file(void)
{
	const struct {
		const char *row;
		bus_str text;
		const char *value; /* NULL: refused */
	} rows[] = {
		{ "plain", BUS_STR("postgresql://u:p@h/d"), "postgresql://u:p@h/d" },
		{ "newline", BUS_STR("secret\n"), "secret" },
		{ "DOS newline", BUS_STR("secret\r\n"), "secret" },
		{ "only one newline", BUS_STR("secret\n\n"), "secret\n" },
		{ "spaces are part of it", BUS_STR(" secret "), " secret " },
		{ "empty", BUS_STR(""), "" },
		{ "NUL", BUS_STR("a\0b"), NULL },
	};
	setenv("BUSLINE_DB_URL_FILE", path, 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		write_file(rows[i].text);
		bus_config *config = bus_config_create();
		bus_status status = bus_config_load(config, NULL, NULL);
		BUS_ASSERT_ROW(rows[i].row, (status == BUS_OK) == (rows[i].value != NULL));
		if (status == BUS_OK && rows[i].value != NULL) {
			const char *where;
			BUS_ASSERT_ROW(rows[i].row,
				       strcmp(bus_config_text(config, BUS_CONF_DB_URL),
					      rows[i].value) == 0);
			BUS_ASSERT_ROW(rows[i].row,
				       bus_config_origin_of(config, BUS_CONF_DB_URL,
							    &where) ==
					       BUS_ORIGIN_ENVIRONMENT);
			BUS_ASSERT_ROW(rows[i].row,
				       strcmp(where, "BUSLINE_DB_URL_FILE") == 0);
		}
		bus_config_destroy(config);
	}
	bus_config *config = bus_config_create();
	bus_error err = BUS_ERROR_INIT;
	setenv("BUSLINE_DB_URL", "postgresql:///x", 1);
	CU_ASSERT_EQUAL(bus_config_load(config, NULL, &err), BUS_E_FATAL);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(err.text, "BUSLINE_DB_URL and BUSLINE_DB_URL_FILE are both set"));
	unsetenv("BUSLINE_DB_URL");
	bus_error_reset(&err);
	setenv("BUSLINE_DB_URL_FILE", "/nowhere/secret", 1);
	CU_ASSERT_EQUAL(bus_config_load(config, NULL, &err), BUS_E_FATAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text,
				      "BUSLINE_DB_URL_FILE: cannot open /nowhere/secret"));
	unsetenv("BUSLINE_DB_URL_FILE");
	bus_config_destroy(config);
}

static void
test_large_file(void)
{
	static char text[65 * 1024];
	memset(text, ' ', sizeof(text));
	memcpy(text, "{}", 2);
	bus_config *config = bus_config_create();
	bus_error err = BUS_ERROR_INIT;
	write_file((bus_str){ text, 64 * 1024 });
	CU_ASSERT_EQUAL(bus_config_load(config, path, &err), BUS_OK);
	write_file((bus_str){ text, 64 * 1024 + 1 });
	CU_ASSERT_EQUAL(bus_config_load(config, path, &err), BUS_E_FATAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "larger than 65536 bytes"));
	bus_config_destroy(config);
}

static void
test_document(void)
{
	BUS_BUF_AUTO page = { 0 };
	bus_config_document(&page);
	for (int key = 0; key < BUS_CONF_COUNT; key++) {
		const char *name = bus_config_option_of((bus_config_key)key)->name;
		char cell[80];
		snprintf(cell, sizeof(cell), "| `%s` |", name);
		BUS_ASSERT_ROW(name, strstr(page.data, cell) != NULL);
	}
	if (getenv("BUSLINE_TEST_WRITE_DOCS") != NULL) {
		FILE *file = fopen(DOCUMENT, "w");
		CU_ASSERT_PTR_NOT_NULL_FATAL(file);
		CU_ASSERT_EQUAL(fwrite(page.data, 1, page.len, file), page.len);
		CU_ASSERT_EQUAL(fclose(file), 0);
	}
	FILE *file = fopen(DOCUMENT, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	BUS_BUF_AUTO kept = { 0 };
	kept.len = fread(bus_buf_reserve(&kept, 1 << 20), 1, 1 << 20, file);
	fclose(file);
	CU_ASSERT_TRUE(bus_str_eq(bus_buf_view(&kept), bus_buf_view(&page)));
}

static const bus_case cases[] = {
	{ "defaults", test_defaults },
	{ "an option by its name or its flag", test_find },
	{ "flag before environment before file before default", test_precedence },
	{ "BUSLINE_CONFIG names the file", test_config_variable },
	{ "a wrong file is refused and says where", test_file_refused },
	{ "variables: values, misspellings, what is not an option", test_environment },
	{ "NAME_FILE holds a secret", test_secret_file },
	{ "64 KiB and no more", test_large_file },
	{ "docs/configuration.md is what the table says", test_document },
	{ 0 },
};

const bus_suite_def bus_suite = {
	.name = "config", .cases = cases, .setup = setup, .teardown = teardown
};
