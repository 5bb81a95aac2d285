/*
 * migrate.c - the embedded migrations, applied in order, each in its own transaction
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/digest.h"
#include "sql/store_private.h"

/* Longest time one migration may take before its connection is given up. */
#define MIGRATION_MS (30 * 60 * 1000)
#define SHA256_HEX 64

typedef struct busp_migration_file {
	char sha256[SHA256_HEX + 1];
	char name[BUSP_QUERY_NAME_MAX];
} busp_migration_file;

static bool
is_migration(const bus_embedded *file)
{
	return strncmp(file->name, "migrations/", 11) == 0;
}

static const bus_embedded *
migration_file(int number)
{
	for (const bus_embedded *file = bus_sql_files; file->name != NULL; file++) {
		if (is_migration(file) && atoi(file->name + 11) == number) {
			return file;
		}
	}
	return NULL;
}

static void
migration_describe(const bus_embedded *file, busp_migration_file *ret_texts)
{
	bus_digest digest = bus_digest_of((bus_str){ file->data, file->len });
	for (size_t i = 0; i < BUS_DIGEST_BYTES; i++) {
		snprintf(ret_texts->sha256 + 2 * i, 3, "%02x", digest.bytes[i]);
	}
	const char *stem = file->name + 11;
	snprintf(ret_texts->name, sizeof(ret_texts->name), "%.*s",
		 (int)strcspn(stem, "."), stem);
}

/* One block: the rows, then the texts they point to. */
bus_status
busp_migrations_list(bus_store *store, bus_error *err)
{
	if (store->migrations != NULL) {
		return BUS_OK;
	}
	size_t count = 0;
	for (const bus_embedded *file = bus_sql_files; file->name != NULL; file++) {
		count += is_migration(file) ? 1 : 0;
	}
	assert(count > 0);
	store->migrations =
		calloc(count, sizeof(bus_migration) + sizeof(busp_migration_file));
	if (store->migrations == NULL) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0, "out of memory");
	}
	busp_migration_file *texts = (busp_migration_file *)(store->migrations + count);
	size_t i = 0;
	for (const bus_embedded *file = bus_sql_files; file->name != NULL; file++) {
		if (!is_migration(file)) {
			continue;
		}
		migration_describe(file, &texts[i]);
		store->migrations[i].number = atoi(file->name + 11);
		store->migrations[i].name = texts[i].name;
		store->migrations[i].sha256 = texts[i].sha256;
		i++;
	}
	store->migration_count = count;
	return BUS_OK;
}

static bus_status
migrate_ask(bus_store *store, const char *query, PGresult **ret_result, bus_error *err)
{
	return busp_plain(store, query, &store->params, MIGRATION_MS, ret_result, err);
}

static bus_status
migrate_do(bus_store *store, const char *query, bus_error *err)
{
	PGresult *result = NULL;
	busp_params_clear(&store->params);
	bus_status status = migrate_ask(store, query, &result, err);
	PQclear(result);
	return status;
}

/* One row of busline.migration against the file of its number. */
static bus_status
applied_check(bus_store *store, const PGresult *rows, int row, bus_error *err)
{
	int number = atoi(PQgetvalue(rows, row, 0));
	for (size_t i = 0; i < store->migration_count; i++) {
		bus_migration *mine = &store->migrations[i];
		if (mine->number != number) {
			continue;
		}
		if (strcmp(mine->sha256, PQgetvalue(rows, row, 2)) != 0) {
			return bus_error_set(
				err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				"migration %s was applied with another content "
				"(sha256 %s, this program has %s)",
				mine->name, PQgetvalue(rows, row, 2), mine->sha256);
		}
		mine->applied = true;
		snprintf(mine->applied_at, sizeof(mine->applied_at), "%s",
			 PQgetvalue(rows, row, 3));
		return BUS_OK;
	}
	return bus_error_set(
		err, BUS_E_FATAL, BUSP_ORIGIN, 0,
		"the database has migration %s, which this program does not know: "
		"use the newer program",
		PQgetvalue(rows, row, 1));
}

static bus_status
applied_read(bus_store *store, bus_error *err)
{
	for (size_t i = 0; i < store->migration_count; i++) {
		store->migrations[i].applied = false;
		store->migrations[i].applied_at[0] = '\0';
	}
	PGresult *rows = NULL;
	busp_params_clear(&store->params);
	bus_status status = migrate_ask(store, "migration_present", &rows, err);
	bool present = status == BUS_OK && strcmp(PQgetvalue(rows, 0, 0), "t") == 0;
	PQclear(rows);
	if (!present) {
		return status;
	}
	rows = NULL;
	status = migrate_ask(store, "migration_list", &rows, err);
	for (int row = 0; status == BUS_OK && row < PQntuples(rows); row++) {
		status = applied_check(store, rows, row, err);
	}
	PQclear(rows);
	return status;
}

/* Which line of the file, where libpq can tell: its long message says "LINE 12: ...". */
static void
migration_line(bus_store *store, bus_error *err)
{
	const char *line = store->conn == NULL ?
				   NULL :
				   strstr(PQerrorMessage(store->conn), "\nLINE ");
	size_t len = strlen(err->text);
	if (line != NULL && len < sizeof(err->text)) {
		snprintf(err->text + len, sizeof(err->text) - len,
			 " (line %d of the file)", atoi(line + 6));
	}
}

/* The file itself, as a script. */
static bus_status
migration_script(bus_store *store, const bus_migration *migration, bus_error *err)
{
	const bus_embedded *file = migration_file(migration->number);
	PGresult *result = NULL;
	if (PQsendQuery(store->conn, file->data) != 1) {
		return bus_error_set(err, BUS_E_RETRY, BUSP_ORIGIN, 0, "%s: cannot send",
				     migration->name);
	}
	bus_status status = busp_flush(store, err);
	if (status != BUS_OK) {
		return (err->status = BUS_E_RETRY);
	}
	status = busp_plain_result(store, migration->name, MIGRATION_MS, &result, err);
	if (status != BUS_OK) {
		migration_line(store, err);
	}
	PQclear(result);
	return status;
}

static bus_status
migration_record(bus_store *store, bus_migration *migration, bus_error *err)
{
	char number[16];
	snprintf(number, sizeof(number), "%d", migration->number);
	busp_params_clear(&store->params);
	busp_param_str(&store->params, bus_str_from(number));
	busp_param_str(&store->params, bus_str_from(migration->name));
	busp_param_str(&store->params, bus_str_from(migration->sha256));
	PGresult *rows = NULL;
	bus_status status = migrate_ask(store, "migration_record", &rows, err);
	if (status == BUS_OK) {
		snprintf(migration->applied_at, sizeof(migration->applied_at), "%s",
			 PQgetvalue(rows, 0, 0));
	}
	PQclear(rows);
	return status;
}

static bus_status
migration_apply(bus_store *store, bus_migration *migration, bus_error *err)
{
	bus_status status = migrate_do(store, "migration_begin", err);
	if (status == BUS_OK) {
		status = migration_script(store, migration, err);
	}
	if (status == BUS_OK) {
		status = migration_record(store, migration, err);
	}
	if (status != BUS_OK) {
		return status;
	}
	PGresult *result = NULL;
	busp_params_clear(&store->params);
	status = migrate_ask(store, "migration_commit", &result, err);
	if (status == BUS_OK && strcmp(PQcmdStatus(result), "COMMIT") != 0) {
		status = bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				       "migration %s was rolled back at its COMMIT",
				       migration->name);
	}
	PQclear(result);
	migration->applied = status == BUS_OK;
	return status;
}

static bus_status
migrate_all(bus_store *store, bool plan_only, bus_error *err)
{
	bus_status status = migrate_do(store, "migration_set", err);
	if (status == BUS_OK && !plan_only) {
		status = migrate_do(store, "migration_lock", err);
	}
	if (status == BUS_OK) {
		status = applied_read(store, err);
	}
	for (size_t i = 0; status == BUS_OK && !plan_only && i < store->migration_count;
	     i++) {
		if (!store->migrations[i].applied) {
			status = migration_apply(store, &store->migrations[i], err);
		}
	}
	if (status == BUS_OK && !plan_only) {
		busp_params_clear(&store->params);
		busp_param_str(&store->params, BUS_STR("3"));
		PGresult *result = NULL;
		status = migrate_ask(store, "session_partitions", &result, err);
		PQclear(result);
	}
	busp_params_clear(&store->params);
	return status;
}

bus_status
bus_store_migrate(bus_store *store, bool plan_only, const bus_migration **ret_migrations,
		  size_t *ret_count, bus_error *err)
{
	bus_error mine = BUS_ERROR_INIT;
	bus_status status = busp_migrations_list(store, &mine);
	if (status == BUS_OK) {
		status = busp_open(store, &mine);
	}
	if (status == BUS_OK) {
		status = migrate_all(store, plan_only, &mine);
	}
	bus_store_disconnect(store);
	if (status == BUS_OK) {
		*ret_migrations = store->migrations;
		*ret_count = store->migration_count;
	} else if (err != NULL && err->status == BUS_OK) {
		*err = mine;
	}
	return status;
}
