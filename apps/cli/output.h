/*
 * output.h - rows of data on stdout: as a table, as JSON, as one JSON object per line
 *
 * The three formats show the same columns under the same names.
 */
#ifndef BUS_CLI_OUTPUT_H
#define BUS_CLI_OUTPUT_H

#include "apps/cli/cli.h"
#include "sql/store.h"

typedef enum bus_cli_cell {
	BUS_CLI_CELL_TEXT,
	BUS_CLI_CELL_NUMBER,
	BUS_CLI_CELL_JSON, /* JSON itself: objects, true and false */
} bus_cli_cell;

typedef struct bus_cli_column {
	const char *name;
	bus_cli_cell cell;
	int width; /* least width in a table that comes piece by piece, or 0 */
} bus_cli_column;

/* A bus_table that grows; all in its arena. */
typedef struct bus_cli_rows {
	bus_arena *arena;
	bus_table table;
	bus_str *cells;
	size_t cap;
	const bus_cli_column *columns;
} bus_cli_rows;

void bus_cli_rows_init(bus_cli_rows *rows, bus_arena *arena,
		       const bus_cli_column *columns, size_t count);
/* One cell per column; texts are borrowed as long as the rows are used. */
void bus_cli_rows_add(bus_cli_rows *rows, const bus_str *cells);
bus_str bus_cli_number(bus_arena *arena, int64_t number);

/* A print in pieces; zero-initialised but for its first two members. */
typedef struct bus_cli_printer {
	const bus_cli *cli;
	const bus_cli_column *columns; /* widths of a table in pieces, or NULL */
	size_t printed;                /* rows */
	bool begun;
} bus_cli_printer;

/* Prints these rows, then flushes. Threads: one. */
void bus_cli_print_more(bus_cli_printer *printer, const bus_table *table);
/* One JSON object, as a line or as a member of the array; not for tables. */
void bus_cli_print_object(bus_cli_printer *printer, bus_str object);
/* Closes the JSON array. */
void bus_cli_print_end(bus_cli_printer *printer);
/* All at once. */
void bus_cli_print(const bus_cli *cli, const bus_table *table);

/* Text from outside on stdout, control characters as \xHH. */
void bus_cli_put_text(bus_str text);

/* One row as a JSON object. */
void bus_cli_row_json(const bus_table *table, size_t row, bus_buf *out);

#endif
