/*
 * prepare.c - the table of queries, and which of them this connection knows
 */
#include <stdio.h>

#include "sql/store_private.h"

static const bus_embedded no_files[] = { { NULL, NULL, 0 } };
static const bus_embedded *more_files = no_files; /* queries of a worker's own tables */

void
bus_store_queries_add(const bus_embedded *files)
{
	more_files = files;
}

static size_t
files_count(const bus_embedded *files)
{
	size_t count = 0;
	while (files[count].name != NULL) {
		count++;
	}
	return count;
}

size_t
busp_query_count(void)
{
	return files_count(bus_sql_files) + files_count(more_files);
}

const bus_embedded *
busp_query_file(size_t query)
{
	static size_t own;
	if (own == 0) {
		own = files_count(bus_sql_files);
	}
	return query < own ? &bus_sql_files[query] : &more_files[query - own];
}

size_t
busp_query_find(const char *name)
{
	char path[BUSP_QUERY_NAME_MAX + 16];
	int len = snprintf(path, sizeof(path), "queries/%s.sql", name);
	if (len < 0 || (size_t)len >= sizeof(path)) {
		return SIZE_MAX;
	}
	size_t query = 0;
	for (const bus_embedded *file = bus_sql_files; file->name != NULL; file++) {
		if (strcmp(file->name, path) == 0) {
			return query;
		}
		query++;
	}
	for (const bus_embedded *file = more_files; file->name != NULL; file++) {
		if (strcmp(file->name, path) == 0) {
			return query;
		}
		query++;
	}
	return SIZE_MAX;
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
	const char *stem = strchr(busp_query_file(query)->name, '/') + 1;
	snprintf(ret_name, BUSP_QUERY_NAME_MAX, "%.*s.%u", (int)strcspn(stem, "."), stem,
		 store->generation);
}
