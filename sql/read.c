/*
 * read.c - queries of people: read only, as text, into an arena
 */
#include "sql/store_private.h"

static bool
is_numeric(Oid type)
{
	switch (type) {
	case BUSP_OID_INT8:
	case BUSP_OID_INT2:
	case BUSP_OID_INT4:
	case BUSP_OID_OID:
	case BUSP_OID_FLOAT4:
	case BUSP_OID_FLOAT8:
	case BUSP_OID_NUMERIC:
		return true;
	default:
		return false;
	}
}

/* Booleans as JSON writes them. */
static bus_str
cell_text(const PGresult *rows, int row, int column, bus_arena *arena)
{
	bus_str text = busp_cell_str(rows, row, column, arena);
	if (PQftype(rows, column) == BUSP_OID_BOOL && text.data != NULL) {
		return text.data[0] == 't' ? BUS_STR("true") : BUS_STR("false");
	}
	return text;
}

static void
table_of(const PGresult *rows, bus_arena *arena, bus_table *ret_table)
{
	size_t columns = (size_t)PQnfields(rows);
	size_t count = (size_t)PQntuples(rows);
	bus_str *names = bus_arena_alloc(arena, (columns + 1) * sizeof(*names));
	bool *numeric = bus_arena_alloc(arena, columns + 1);
	bool *json = bus_arena_alloc(arena, columns + 1);
	bus_str *cells = bus_arena_alloc(arena, (columns * count + 1) * sizeof(*cells));
	for (size_t c = 0; c < columns; c++) {
		Oid type = PQftype(rows, (int)c);
		names[c] = bus_arena_str(arena, bus_str_from(PQfname(rows, (int)c)));
		numeric[c] = is_numeric(type);
		json[c] = type == BUSP_OID_JSON || type == BUSP_OID_JSONB ||
			  type == BUSP_OID_BOOL;
		for (size_t r = 0; r < count; r++) {
			cells[r * columns + c] = cell_text(rows, (int)r, (int)c, arena);
		}
	}
	*ret_table = (bus_table){ .column_count = columns,
				  .row_count = count,
				  .columns = names,
				  .numeric = numeric,
				  .json = json,
				  .cells = cells };
}

/* In a read-only transaction, planned for its own values. */
static bus_status
read_all(bus_store *store, const busp_question *question, bus_arena *arena,
	 bus_table *ret_table, bus_error *err)
{
	const busp_question questions[] = {
		{ .query = "read_begin" },
		{ .query = "read_plan" },
		*question,
		{ .query = "read_end" },
	};
	PGresult *rows = NULL;
	bus_error mine = BUS_ERROR_INIT;
	bus_status status =
		busp_ask_all(store, BUSP_IN_QUESTION, questions, 4, &rows, &mine);
	if (status != BUS_OK && bus_store_connected(store)) {
		const busp_question end = { .query = "unit_rollback" };
		bus_error ignored = BUS_ERROR_INIT;
		if (busp_ask_all(store, BUSP_IN_STATEMENT, &end, 1, NULL, &ignored) !=
		    BUS_OK) {
			bus_store_disconnect(store);
		}
	}
	if (status == BUS_OK) {
		table_of(rows, arena, ret_table);
	} else if (err != NULL && err->status == BUS_OK) {
		*err = mine;
	}
	PQclear(rows);
	return status;
}

bus_status
bus_store_read(bus_store *store, const char *query, const bus_str *params, size_t count,
	       bus_arena *arena, bus_table *ret_table, bus_error *err)
{
	if (count > BUSP_PARAMS_MAX || busp_query_find(query) == SIZE_MAX) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "there is no query %s", query);
	}
	busp_params_clear(&store->params);
	for (size_t i = 0; i < count; i++) {
		busp_param_str(&store->params, params[i]);
	}
	const busp_question question = { .query = query,
					 .params = &store->params,
					 .as_text = true };
	return read_all(store, &question, arena, ret_table, err);
}

bus_status
bus_store_query(bus_store *store, const char *sql, bus_arena *arena, bus_table *ret_table,
		bus_error *err)
{
	const busp_question question = { .sql = sql, .as_text = true };
	return read_all(store, &question, arena, ret_table, err);
}
