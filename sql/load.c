/*
 * load.c - typed rows out of binary results
 */
#include <assert.h>
#include <stdio.h>

#include "core/id.h"
#include "sql/store_private.h"

int64_t
busp_cell_int8(const PGresult *rows, int row, int column)
{
	assert(PQgetlength(rows, row, column) == 8);
	return (int64_t)busp_get_be64(PQgetvalue(rows, row, column));
}

int32_t
busp_cell_int4(const PGresult *rows, int row, int column)
{
	assert(PQgetlength(rows, row, column) == 4);
	return (int32_t)busp_get_be32(PQgetvalue(rows, row, column));
}

bus_str
busp_cell_str(const PGresult *rows, int row, int column, bus_arena *arena)
{
	if (PQgetisnull(rows, row, column)) {
		return BUS_STR_NULL;
	}
	return bus_arena_str(arena, (bus_str){ PQgetvalue(rows, row, column),
					       (size_t)PQgetlength(rows, row, column) });
}

static Oid
result_oid(bus_column_type type)
{
	switch (type) {
	case BUS_COL_TEXT:
	case BUS_COL_JSON: /* the query casts it: jsonb's binary form is its own */
		return BUSP_OID_TEXT;
	case BUS_COL_BYTES:
		return BUSP_OID_BYTEA;
	case BUS_COL_INT8:
		return BUSP_OID_INT8;
	case BUS_COL_TIME:
		return BUSP_OID_TIMESTAMPTZ;
	case BUS_COL_BOOL:
		return BUSP_OID_BOOL;
	case BUS_COL_UUID:
		return BUSP_OID_UUID;
	}
	return 0;
}

/* A query that has drifted from its row type would put values into wrong members. */
static bus_status
columns_check(const bus_row_type *type, const PGresult *rows, bus_error *err)
{
	if ((size_t)PQnfields(rows) != type->column_count) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "%s_load gives %d columns, the row type has %zu",
				     type->name, PQnfields(rows), type->column_count);
	}
	for (size_t i = 0; i < type->column_count; i++) {
		if (PQftype(rows, (int)i) != result_oid(type->columns[i].type) ||
		    strcmp(PQfname(rows, (int)i), type->columns[i].name) != 0) {
			return bus_error_set(
				err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				"%s_load: column %zu is not %s as the row type says",
				type->name, i + 1, type->columns[i].name);
		}
	}
	return BUS_OK;
}

static void
cell_into(const PGresult *rows, int row, int column, bus_column_type type, char *member,
	  bus_arena *arena)
{
	bool null = PQgetisnull(rows, row, column) == 1;
	const char *value = PQgetvalue(rows, row, column);
	bus_str text;
	int64_t integer = BUS_INT_NULL;
	switch (type) {
	case BUS_COL_TEXT:
	case BUS_COL_BYTES:
	case BUS_COL_JSON:
		text = busp_cell_str(rows, row, column, arena);
		memcpy(member, &text, sizeof(text));
		return;
	case BUS_COL_INT8:
	case BUS_COL_TIME:
		if (!null) {
			integer = busp_cell_int8(rows, row, column);
			integer += type == BUS_COL_TIME ? BUSP_EPOCH_SHIFT_US : 0;
		}
		memcpy(member, &integer, sizeof(integer));
		return;
	case BUS_COL_BOOL:
		*(bool *)member = !null && value[0] != 0;
		return;
	case BUS_COL_UUID:
		assert(!null);
		memcpy(member, value, BUS_UUID_BYTES);
		return;
	}
}

bus_status
bus_store_load(bus_store *store, const bus_row_type *type, const void *const *keys,
	       size_t count, bus_arena *arena, void **ret_rows, size_t *ret_count,
	       bus_error *err)
{
	if (count == 0) {
		*ret_rows = NULL;
		*ret_count = 0;
		return BUS_OK;
	}
	char query[BUSP_QUERY_NAME_MAX];
	snprintf(query, sizeof(query), "%s_load", type->name);
	busp_params_clear(&store->params);
	for (size_t i = 0; i < type->key_count; i++) {
		busp_param_column(&store->params, &type->columns[i], keys, count);
	}
	PGresult *rows = NULL;
	bus_status status = busp_ask(store, query, &rows, err);
	if (status == BUS_OK) {
		status = columns_check(type, rows, err);
	}
	if (status != BUS_OK) {
		PQclear(rows);
		return status;
	}
	size_t found = (size_t)PQntuples(rows);
	char *structs = bus_arena_alloc(arena, found * type->size);
	for (size_t row = 0; row < found; row++) {
		for (size_t c = 0; c < type->column_count; c++) {
			cell_into(rows, (int)row, (int)c, type->columns[c].type,
				  structs + row * type->size + type->columns[c].offset,
				  arena);
		}
	}
	PQclear(rows);
	*ret_rows = structs;
	*ret_count = found;
	return BUS_OK;
}
