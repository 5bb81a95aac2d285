/*
 * prepare.c - the table of queries, and which of them this connection knows
 */
#include <stdio.h>

#include "sql/store_private.h"

size_t
busp_query_find(const char *name)
{
	char path[BUSP_QUERY_NAME_MAX + 16];
	int len = snprintf(path, sizeof(path), "queries/%s.sql", name);
	if (len < 0 || (size_t)len >= sizeof(path)) {
		return SIZE_MAX;
	}
	for (size_t i = 0; bus_sql_files[i].name != NULL; i++) {
		if (strcmp(bus_sql_files[i].name, path) == 0) {
			return i;
		}
	}
	return SIZE_MAX;
}

size_t
busp_query_count(void)
{
	size_t count = 0;
	while (bus_sql_files[count].name != NULL) {
		count++;
	}
	return count;
}

void
busp_prepared_forget(bus_store *store)
{
	store->generation++;
}

bool
busp_is_prepared(const bus_store *store, size_t query)
{
	return store->prepared[query] == store->generation;
}

/* "ledger_insert.3": readable in pg_prepared_statements. */
void
busp_prepared_name(const bus_store *store, size_t query,
		   char ret_name[BUSP_QUERY_NAME_MAX])
{
	const char *stem = strchr(bus_sql_files[query].name, '/') + 1;
	snprintf(ret_name, BUSP_QUERY_NAME_MAX, "%.*s.%u", (int)strcspn(stem, "."), stem,
		 store->generation);
}
