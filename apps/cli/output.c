/*
 * output.c - rows of data on stdout; libsmartcols lays tables out
 *
 * libsmartcols writes control characters as \xHH, so that text of an event cannot move
 * the cursor of who reads it.
 */
#include <assert.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <string.h>

#include "apps/cli/output.h"

/* Words that say how something is, in columns that say it. */
static const struct {
	const char *word;
	const char *color;
} colors[] = {
	{ "ok", "green" },        { "warn", "yellow" },    { "fail", "red" },
	{ "APPLIED", "green" },   { "IGNORED", "yellow" }, { "REJECTED", "red" },
	{ "succeeded", "green" }, { "failed", "red" },     { "started", "cyan" },
	{ "requested", "cyan" },  { "changed", "green" },
};

void
bus_cli_rows_init(bus_cli_rows *rows, bus_arena *arena, const bus_cli_column *columns,
		  size_t count)
{
	bus_str *names = bus_arena_alloc(arena, count * sizeof(*names));
	bool *numeric = bus_arena_alloc(arena, count * sizeof(*numeric));
	bool *json = bus_arena_alloc(arena, count * sizeof(*json));
	for (size_t i = 0; i < count; i++) {
		names[i] = bus_str_from(columns[i].name);
		numeric[i] = columns[i].cell == BUS_CLI_CELL_NUMBER;
		json[i] = columns[i].cell == BUS_CLI_CELL_JSON;
	}
	*rows = (bus_cli_rows){
		.arena = arena,
		.columns = columns,
		.table = { .column_count = count,
			   .columns = names,
			   .numeric = numeric,
			   .json = json },
	};
}

void
bus_cli_rows_add(bus_cli_rows *rows, const bus_str *cells)
{
	size_t width = rows->table.column_count;
	size_t used = rows->table.row_count * width;
	if (used + width > rows->cap) {
		size_t cap = rows->cap == 0 ? 16 * width : 2 * rows->cap;
		bus_str *grown = bus_arena_alloc(rows->arena, cap * sizeof(*grown));
		if (used > 0) {
			memcpy(grown, rows->cells, used * sizeof(*grown));
		}
		rows->cells = grown;
		rows->cap = cap;
	}
	memcpy(rows->cells + used, cells, width * sizeof(*cells));
	rows->table.cells = rows->cells;
	rows->table.row_count++;
}

bus_str
bus_cli_number(bus_arena *arena, int64_t number)
{
	return bus_arena_printf(arena, "%lld", (long long)number);
}

/* PostgreSQL knows numbers that JSON does not: NaN, Infinity. */
static bool
busp_json_number(bus_str cell)
{
	for (size_t i = 0; i < cell.len; i++) {
		if (strchr("0123456789+-.eE", cell.data[i]) == NULL) {
			return false;
		}
	}
	return cell.len > 0;
}

static void
busp_json_text(bus_str cell, bus_buf *out)
{
	if (bus_utf8_valid(cell)) {
		bus_buf_json_string(out, cell);
		return;
	}
	/* bytes that are no text: as PostgreSQL shows them */
	bus_buf_cstr(out, "\"\\\\x");
	for (size_t i = 0; i < cell.len; i++) {
		bus_buf_printf(out, "%02x", (unsigned char)cell.data[i]);
	}
	bus_buf_byte(out, '"');
}

void
bus_cli_row_json(const bus_table *table, size_t row, bus_buf *out)
{
	for (size_t i = 0; i < table->column_count; i++) {
		bus_str cell = table->cells[row * table->column_count + i];
		bus_buf_cstr(out, i == 0 ? "{" : ",");
		bus_buf_json_string(out, table->columns[i]);
		bus_buf_byte(out, ':');
		if (cell.data == NULL) {
			bus_buf_cstr(out, "null");
		} else if (table->json[i] ||
			   (table->numeric[i] && busp_json_number(cell))) {
			bus_buf_str(out, cell);
		} else {
			busp_json_text(cell, out);
		}
	}
	bus_buf_cstr(out, table->column_count == 0 ? "{}" : "}");
}

void
bus_cli_print_object(bus_cli_printer *printer, bus_str object)
{
	bool array = printer->cli->format == BUS_CLI_JSON;
	if (array) {
		fputs(printer->begun ? ",\n" : "[\n", stdout);
	}
	fwrite(object.data, 1, object.len, stdout);
	if (!array) {
		fputc('\n', stdout);
	}
	printer->begun = true;
	printer->printed++;
}

void
bus_cli_put_text(bus_str text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char byte = (unsigned char)text.data[i];
		if (byte < 0x20 || byte == 0x7f) {
			printf("\\x%02x", byte);
		} else {
			fputc(byte, stdout);
		}
	}
}

static void
busp_print_json(bus_cli_printer *printer, const bus_table *table)
{
	BUS_BUF_AUTO object = { 0 };
	for (size_t row = 0; row < table->row_count; row++) {
		bus_buf_clear(&object);
		bus_cli_row_json(table, row, &object);
		bus_cli_print_object(printer, bus_buf_view(&object));
	}
}

static void
busp_add_columns(struct libscols_table *target, const bus_cli_printer *printer,
		 const bus_table *table)
{
	for (size_t i = 0; i < table->column_count; i++) {
		int flags = table->numeric[i] ? SCOLS_FL_RIGHT : 0;
		double width = printer->columns != NULL ? printer->columns[i].width : 0;
		char name[128];
		snprintf(name, sizeof(name), "%.*s", BUS_STR_ARG(table->columns[i]));
		struct libscols_column *column =
			scols_table_new_column(target, name, width, flags);
		assert(column != NULL);
		scols_cell_set_color(scols_column_get_header(column), "bold");
	}
}

static const char *
busp_color(bus_str column, const char *cell)
{
	if (!bus_str_is(column, "status") && !bus_str_is(column, "verdict")) {
		return NULL;
	}
	for (size_t i = 0; i < sizeof(colors) / sizeof(colors[0]); i++) {
		if (strcmp(colors[i].word, cell) == 0) {
			return colors[i].color;
		}
	}
	return NULL;
}

static void
busp_print_table(bus_cli_printer *printer, const bus_table *table)
{
	struct libscols_table *target = scols_new_table();
	assert(target != NULL);
	scols_table_enable_colors(target, printer->cli->color);
	scols_table_enable_noheadings(target, printer->begun);
	busp_add_columns(target, printer, table);
	bus_arena *arena = bus_arena_create(64u * 1024u);
	assert(arena != NULL);
	for (size_t row = 0; row < table->row_count; row++) {
		struct libscols_line *line = scols_table_new_line(target, NULL);
		assert(line != NULL);
		for (size_t i = 0; i < table->column_count; i++) {
			bus_str cell = table->cells[row * table->column_count + i];
			const char *text = bus_arena_str(arena, cell).data;
			if (text == NULL) {
				continue;
			}
			const char *color = busp_color(table->columns[i], text);
			scols_line_set_data(line, i, text);
			if (color != NULL) {
				scols_cell_set_color(scols_line_get_cell(line, i), color);
			}
		}
	}
	/* a table without rows prints nothing at all: the remark is the caller's */
	scols_print_table(target);
	scols_unref_table(target);
	bus_arena_destroy(arena);
	printer->printed += table->row_count;
}

void
bus_cli_print_more(bus_cli_printer *printer, const bus_table *table)
{
	if (printer->cli->format == BUS_CLI_TABLE) {
		if (table->row_count > 0) {
			busp_print_table(printer, table);
			printer->begun = true;
		}
	} else {
		busp_print_json(printer, table);
	}
	fflush(stdout);
}

void
bus_cli_print_end(bus_cli_printer *printer)
{
	if (printer->cli->format == BUS_CLI_JSON) {
		fputs(printer->begun ? "\n]\n" : "[]\n", stdout);
	}
	fflush(stdout);
}

void
bus_cli_print(const bus_cli *cli, const bus_table *table)
{
	bus_cli_printer printer = { .cli = cli };
	bus_cli_print_more(&printer, table);
	bus_cli_print_end(&printer);
}
