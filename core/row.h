/*
 * row.h - typed rows of state: a C struct described by a table of columns
 *
 * A worker declares each table it owns as one bus_row_type. The store reads and writes
 * whole sets of rows by it, the engine caches them by their key; neither knows what they
 * mean. The SQL is in sql/queries/<name>_load.sql and <name>_store.sql, whose
 * parameters are arrays: of the key columns to load, of all columns to store, in the
 * order of the table here.
 */
#ifndef BUS_CORE_ROW_H
#define BUS_CORE_ROW_H

#include "core/str.h"

typedef enum bus_column_type {
	BUS_COL_TEXT,  /* bus_str, text;       NULL: data == NULL */
	BUS_COL_JSON,  /* bus_str, jsonb, sent as text; NULL: data == NULL */
	BUS_COL_BYTES, /* bus_str, bytea;      NULL: data == NULL */
	BUS_COL_INT8,  /* int64_t, bigint;     NULL: BUS_INT_NULL */
	BUS_COL_TIME, /* int64_t, microseconds since 1970, timestamptz; NULL: BUS_INT_NULL */
	BUS_COL_BOOL, /* bool, boolean;       never NULL */
	BUS_COL_UUID, /* bus_uuid, uuid;      never NULL */
} bus_column_type;

#define BUS_INT_NULL INT64_MIN

typedef struct bus_column {
	const char *name;
	bus_column_type type;
	size_t offset; /* of the member in the struct */
} bus_column;

/* The first two key columns are tenant and subject of the event's key, if there are two. */
typedef struct bus_row_type {
	const char *name; /* of the table in schema paas, and stem of its two queries */
	size_t size;      /* of the struct */
	const bus_column *columns;
	size_t column_count;
	size_t key_count; /* leading columns that make the primary key; TEXT or INT8 */
} bus_row_type;

#define BUS_COLUMN(row_struct, member, column_type)                                      \
	{                                                                                \
#member, column_type, offsetof(row_struct, member)                       \
	}

#endif
