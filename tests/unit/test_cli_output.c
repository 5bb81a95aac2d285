/*
 * test_cli_output.c - what goes to stdout, byte for byte; records for people; filters
 */
#include "tests/support/suite.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "apps/cli/filter.h"
#include "apps/cli/output.h"
#include "apps/cli/record.h"

static bus_arena *arena;
static FILE *captured;
static int real_stdout;

static int
setup(void)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	arena = bus_arena_create(4096);
	captured = tmpfile();
	return arena == NULL || captured == NULL;
}

static int
teardown(void)
{
	bus_arena_destroy(arena);
	fclose(captured);
	return 0;
}

static void
capture_begin(void)
{
	fflush(stdout);
	real_stdout = dup(STDOUT_FILENO);
	rewind(captured);
	CU_ASSERT_EQUAL_FATAL(ftruncate(fileno(captured), 0), 0);
	dup2(fileno(captured), STDOUT_FILENO);
}

static const char *
capture_end(void)
{
	static char text[4096];
	fflush(stdout);
	dup2(real_stdout, STDOUT_FILENO);
	close(real_stdout);
	fseek(captured, 0, SEEK_SET);
	size_t len = fread(text, 1, sizeof(text) - 1, captured);
	text[len] = '\0';
	return text;
}

static const bus_cli_column columns[] = { { "name", .cell = BUS_CLI_CELL_TEXT },
					  { "count", .cell = BUS_CLI_CELL_NUMBER },
					  { "tags", .cell = BUS_CLI_CELL_JSON } };

static void
fill(bus_cli_rows *rows, size_t count)
{
	static const bus_str cells[][3] = {
		{ { "a\"b", 3 }, { "7", 1 }, { "{\"k\": [1]}", 10 } },
		{ { "\x1b[31m", 5 }, { "NaN", 3 }, { NULL, 0 } },
		{ { "\xff", 1 }, { "-1.5e3", 6 }, { "true", 4 } },
	};
	bus_cli_rows_init(rows, arena, columns, 3);
	for (size_t i = 0; i < count; i++) {
		bus_cli_rows_add(rows, cells[i]);
	}
}

static const struct {
	bus_cli_format format;
	size_t rows;
	const char *expected;
} prints[] = {
	{ BUS_CLI_JSONL, 3,
	  "{\"name\":\"a\\\"b\",\"count\":7,\"tags\":{\"k\": [1]}}\n"
	  "{\"name\":\"\\u001b[31m\",\"count\":\"NaN\",\"tags\":null}\n"
	  "{\"name\":\"\\\\xff\",\"count\":-1.5e3,\"tags\":true}\n" },
	{ BUS_CLI_JSON, 1,
	  "[\n{\"name\":\"a\\\"b\",\"count\":7,\"tags\":{\"k\": [1]}}\n]\n" },
	{ BUS_CLI_JSON, 0, "[]\n" },
	{ BUS_CLI_JSONL, 0, "" },
	{ BUS_CLI_TABLE, 0, "" },
	{ BUS_CLI_TABLE, 2,
	  "name     count tags\n"
	  "a\"b          7 {\"k\": [1]}\n"
	  "\\x1b[31m   NaN \n" },
};

static void
test_formats(void)
{
	for (size_t i = 0; i < sizeof(prints) / sizeof(prints[0]); i++) {
		bus_cli cli = { .format = prints[i].format };
		bus_cli_rows rows;
		fill(&rows, prints[i].rows);
		capture_begin();
		bus_cli_print(&cli, &rows.table);
		const char *printed = capture_end();
		if (strcmp(printed, prints[i].expected) != 0) {
			fprintf(stderr, "printed:\n%s", printed);
		}
		CU_ASSERT_STRING_EQUAL(printed, prints[i].expected);
	}
}

static void
test_pieces(void)
{
	static const bus_cli_format formats[] = { BUS_CLI_JSON, BUS_CLI_TABLE };
	static const char *const expected[] = {
		"[\n{\"name\":\"a\\\"b\",\"count\":7,\"tags\":{\"k\": [1]}},\n"
		"{\"name\":\"a\\\"b\",\"count\":7,\"tags\":{\"k\": [1]}}\n]\n",
		"name count tags\na\"b      7 {\"k\": [1]}\na\"b      7 {\"k\": [1]}\n",
	};
	static const bus_cli_column widths[] = { { .name = "name", .width = 4 },
						 { .name = "count", .width = 5 },
						 { .name = "tags" } };
	for (size_t i = 0; i < 2; i++) {
		bus_cli cli = { .format = formats[i] };
		bus_cli_printer printer = { .cli = &cli, .columns = widths };
		bus_cli_rows rows;
		fill(&rows, 1);
		capture_begin();
		bus_cli_print_more(&printer, &rows.table);
		bus_cli_print_more(&printer, &rows.table);
		bus_cli_print_end(&printer);
		CU_ASSERT_STRING_EQUAL(capture_end(), expected[i]);
	}
}

static void
test_rows_grow(void)
{
	bus_cli_rows rows;
	bus_cli_rows_init(&rows, arena, columns, 3);
	for (int64_t i = 0; i < 1000; i++) {
		bus_cli_rows_add(&rows, (const bus_str[]){ BUS_STR("x"),
							   bus_cli_number(arena, i),
							   BUS_STR_NULL });
	}
	CU_ASSERT_EQUAL(rows.table.row_count, 1000);
	CU_ASSERT_TRUE(bus_str_is(rows.table.cells[1], "0"));
	CU_ASSERT_TRUE(bus_str_is(rows.table.cells[999 * 3 + 1], "999"));
}

static const struct {
	bus_str data;
	const char *json;
	bool base64;
} data[] = {
	{ { NULL, 0 }, "null", false },
	{ { "{\"a\":1}", 7 }, "{\"a\":1}", false },
	{ { "{\"a\":\n1}", 8 }, "{\"a\":1}", false },
	{ { "no json", 7 }, "\"no json\"", false },
	{ { "", 0 }, "\"\"", false },
	{ { "\xff\x00z", 3 }, "\"/wB6\"", true },
	{ { "{\"a\":1,\"a\":2}", 13 }, "\"{\\\"a\\\":1,\\\"a\\\":2}\"", false },
};

static void
test_data(void)
{
	for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
		bool base64;
		bus_str json = bus_cli_data_json(data[i].data, arena, &base64);
		CU_ASSERT_TRUE(bus_str_is(json, data[i].json));
		CU_ASSERT_EQUAL(base64, data[i].base64);
	}
}

static void
test_headers(void)
{
	const bus_header headers[] = { { BUS_STR("a"), BUS_STR("1") },
				       { BUS_STR("b"), BUS_STR_NULL },
				       { BUS_STR("a"), BUS_STR("\xff") },
				       { BUS_STR("a"), BUS_STR("3") } };
	bus_str json = bus_cli_headers_json(headers, 4, arena);
	CU_ASSERT_TRUE(bus_str_is(json, "{\"a\":[\"1\",\"\\\\xff\",\"3\"],\"b\":null}"));
	CU_ASSERT_TRUE(bus_str_is(bus_cli_bytea(BUS_STR("\\x61ff"), arena), "a\xff"));
	CU_ASSERT_TRUE(bus_str_is(bus_cli_bytea(BUS_STR("\\x"), arena), ""));
	CU_ASSERT_PTR_NULL(bus_cli_bytea(BUS_STR("\\x6"), arena).data);
	CU_ASSERT_PTR_NULL(bus_cli_bytea(BUS_STR("\\xzz"), arena).data);
	CU_ASSERT_PTR_NULL(bus_cli_bytea(BUS_STR("61"), arena).data);
}

static const struct {
	const char *filter;
	bool understood, matches;
} filters[] = {
	{ "type=io.busline.deploy.requested.v1", true, true },
	{ "exact type=io.busline.deploy.requested.v1", true, true },
	{ "type=io.busline.deploy", true, false },
	{ "prefix type=io.busline.deploy", true, true },
	{ "prefix type=io.busline.scale", true, false },
	{ "suffix type=.v1", true, true },
	{ "suffix type=.v2", true, false },
	{ "suffix subject=a-longer-one-than-it-is", true, false },
	{ "region=eu=1", true, true },
	{ "region=eu", true, false },
	{ "actor=", true, false },
	{ "prefix subject=", true, true },
	{ "type", false, false },
	{ "=x", false, false },
	{ "contains type=x", false, false },
	{ "", false, false },
};

static void
test_filters(void)
{
	const bus_header region = { BUS_STR("region"), BUS_STR("eu=1") };
	const bus_event event = { .type = BUS_STR("io.busline.deploy.requested.v1"),
				  .subject = BUS_STR("shop"),
				  .extensions = &region,
				  .extension_count = 1 };
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		bus_cli_filter filter = { 0 };
		bool understood = bus_cli_filter_parse(&filter, filters[i].filter);
		bool right = understood == filters[i].understood &&
			     (!understood || bus_cli_filter_match(&filter, &event) ==
						     filters[i].matches);
		if (!right) {
			fprintf(stderr, "'%s'\n", filters[i].filter);
		}
		CU_ASSERT_TRUE(right);
	}
}

static const bus_case cases[] = {
	{ "table, JSON and JSON Lines of the same rows", test_formats },
	{ "a print in pieces is one array, one heading", test_pieces },
	{ "rows grow and keep what they hold", test_rows_grow },
	{ "data as JSON, as text, as base64", test_data },
	{ "headers and bytea for people", test_headers },
	{ "filters exact, prefix, suffix", test_filters },
	{ 0 },
};

const bus_suite_def bus_suite = { "cli output", cases, setup, teardown };
