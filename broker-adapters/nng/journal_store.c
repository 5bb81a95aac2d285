/*
 * journal_store.c - SQLite as the journal uses it: how it is opened, what its errors mean
 *
 * DESIGN
 * No space is the only trouble that passes by itself. SQLite says so as SQLITE_FULL, or,
 * for a quota and for a limit on the size of files, as a failed write with that errno:
 * nothing was synced then, so a rollback leaves the store as it was. Any other failure of
 * the disk is the end: after a failed fsync the kernel may forget pages that were never
 * written, and the next fsync succeeds.
 */
#include "broker-adapters/nng/journal_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/embed.h"

#define BUSP_BUSY_MS 1000
/* The WAL goes into the store when it has so many pages (64 MiB), and, where there was no
 * space for that, so many more. The commit that meets it takes some 100 ms at full load;
 * they are rare enough (1 in 200 commits of 1,000 events) to be beyond the 99th percentile.
 * At a fourth of it they are not. */
#define BUSP_WAL_PAGES 16384

extern const bus_embedded busp_nng_sql[];

static const char *const busp_query_names[BUSP_Q_COUNT] = {
#define X(symbol, name) [BUSP_Q_##symbol] = "nng/sql/" name ".sql",
	BUSP_QUERY_LIST(X)
#undef X
};

static const char *
busp_sql(const char *name)
{
	for (const bus_embedded *file = busp_nng_sql; file->name != NULL; file++) {
		if (strcmp(file->name, name) == 0) {
			return file->data;
		}
	}
	fprintf(stderr, "busline: %s is not in the program\n", name);
	abort();
}

bool
busp_store_is_damage(int code)
{
	return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

/* The store's file or its WAL, as SQLite has it open; NULL: it is not. */
static sqlite3_file *
busp_store_file(const busp_store *store, bool wal)
{
	sqlite3_file *file = NULL;
	int code = sqlite3_file_control(store->db, NULL,
					wal ? SQLITE_FCNTL_JOURNAL_POINTER :
					      SQLITE_FCNTL_FILE_POINTER,
					(void *)&file);
	return code == SQLITE_OK && file != NULL && file->pMethods != NULL ? file : NULL;
}

/* What the last failed call on the file that was being written said: the store's in a
 * checkpoint and before there is a WAL, else the WAL. errno itself may be another's by the
 * time SQLite has undone what it did. */
static int
busp_store_errno(const busp_store *store)
{
	bool wal = !store->checkpointing && store->queries[BUSP_Q_BEGIN] != NULL;
	sqlite3_file *file = busp_store_file(store, wal);
	int native = 0;
	if (file != NULL) {
		(void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &native);
	}
	return native;
}

static bool
busp_is_no_space(const busp_store *store, int code)
{
	if ((code & 0xff) == SQLITE_FULL) {
		return true;
	}
	int native = code == SQLITE_IOERR_WRITE && store->db != NULL ?
			     busp_store_errno(store) :
			     0;
	return native == ENOSPC || native == EDQUOT || native == EFBIG;
}

void
busp_store_break(busp_store *store, const bus_error *why)
{
	if (!store->broken) {
		store->broken = true;
		store->why = *why;
	}
}

bus_status
busp_store_failed(busp_store *store, int code, const char *doing, bus_error *err)
{
	/* a call past SQLite, on its file, left nothing there */
	bool told = store->db != NULL && sqlite3_extended_errcode(store->db) == code;
	int native = told ? sqlite3_system_errno(store->db) : 0;
	const char *why = told ? sqlite3_errmsg(store->db) : sqlite3_errstr(code);
	if (busp_is_no_space(store, code)) {
		return bus_error_set(err, BUS_E_RETRY, BUSP_ORIGIN, code,
				     "%s: %s: no space on the disk", store->path, doing);
	}
	bus_error reason = BUS_ERROR_INIT;
	bool disk = (code & 0xff) == SQLITE_IOERR;
	(void)bus_error_set(&reason, BUS_E_FATAL, BUSP_ORIGIN, code, "%s: %s: %s%s%s",
			    store->path, doing, why, disk && native != 0 ? ", " : "",
			    disk && native != 0 ? strerror(native) : "");
	if (!busp_store_is_damage(code)) {
		busp_store_break(store, &reason);
	}
	return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, code, "%s", reason.text);
}

bus_status
busp_store_usable(const busp_store *store, bus_error *err)
{
	if (!store->broken) {
		return BUS_OK;
	}
	return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, store->why.native_code, "%s",
			     store->why.text);
}

static int
busp_on_wal(void *ctx, sqlite3 *db, const char *name, int pages)
{
	busp_store *store = ctx;
	(void)db;
	(void)name;
	store->wal_pages = pages;
	return SQLITE_OK;
}

/* A file from elsewhere brings no code with it. */
static void
busp_store_limit(sqlite3 *db, busp_store_use use)
{
	static const struct {
		int option;
		int value;
	} options[] = {
		{ SQLITE_DBCONFIG_DEFENSIVE, 1 },
		{ SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },
		{ SQLITE_DBCONFIG_ENABLE_VIEW, 0 },
		{ SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0 },
		{ SQLITE_DBCONFIG_DQS_DDL, 0 },
		{ SQLITE_DBCONFIG_DQS_DML, 0 },
	};
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		(void)sqlite3_db_config(db, options[i].option, options[i].value, NULL);
	}
	if (use == BUSP_STORE_LOOK) {
		(void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	}
	(void)sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
	(void)sqlite3_busy_timeout(db, BUSP_BUSY_MS);
}

static bus_status
busp_store_exec(busp_store *store, const char *name, const char *doing, bus_error *err)
{
	int code = sqlite3_exec(store->db, busp_sql(name), NULL, NULL, NULL);
	return code == SQLITE_OK ? BUS_OK : busp_store_failed(store, code, doing, err);
}

/* One row of numbers or text that a statement of the opening gives. */
static bus_status
busp_store_ask(busp_store *store, const char *name, int64_t *ret_numbers,
	       char ret_text[16], bus_error *err)
{
	sqlite3_stmt *query = NULL;
	int code = sqlite3_prepare_v2(store->db, busp_sql(name), -1, &query, NULL);
	if (code == SQLITE_OK) {
		code = sqlite3_step(query);
	}
	if (code == SQLITE_ROW) {
		for (int i = 0; ret_numbers != NULL && i < sqlite3_column_count(query);
		     i++) {
			ret_numbers[i] = sqlite3_column_int64(query, i);
		}
		if (ret_text != NULL) {
			snprintf(ret_text, 16, "%s",
				 (const char *)sqlite3_column_text(query, 0));
		}
	}
	bus_status status = code == SQLITE_ROW ?
				    BUS_OK :
				    busp_store_failed(store, code, "opening", err);
	(void)sqlite3_finalize(query);
	return status;
}

static bus_status
busp_store_format(busp_store *store, busp_store_use use, bool *ret_empty, bus_error *err)
{
	int64_t format[3] = { 0 };
	bus_status status =
		busp_store_ask(store, "nng/sql/format.sql", format, NULL, err);
	if (status != BUS_OK) {
		return status;
	}
	*ret_empty = format[0] == 0 && format[1] == 0 && format[2] == 0;
	if (*ret_empty && use == BUSP_STORE_MAKE) {
		return BUS_OK;
	}
	if (*ret_empty || format[0] != BUSP_APPLICATION_ID) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "%s: is no broker's store", store->path);
	}
	if (format[1] != BUSP_FORMAT) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "%s: has format %lld, this program knows format %d",
				     store->path, (long long)format[1], BUSP_FORMAT);
	}
	return BUS_OK;
}

static bus_status
busp_store_wal(busp_store *store, bus_error *err)
{
	char mode[16] = "";
	bus_status status =
		busp_store_ask(store, "nng/sql/journal_mode.sql", NULL, mode, err);
	if (status == BUS_OK && strcmp(mode, "wal") != 0) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "%s: cannot have a write-ahead log here (mode %s)",
				     store->path, mode);
	}
	return status;
}

/* The tables, in a transaction that the store's first row ends: all of it is there, or
 * nothing. */
static bus_status
busp_store_make(busp_store *store, bus_error *err)
{
	bus_status status = busp_store_exec(store, "nng/sql/begin.sql", "making it", err);
	return status == BUS_OK ?
		       busp_store_exec(store, "nng/sql/schema.sql", "making it", err) :
		       status;
}

static bus_status
busp_store_prepare(busp_store *store, bus_error *err)
{
	for (int i = 0; i < BUSP_Q_COUNT; i++) {
		int code = sqlite3_prepare_v3(store->db, busp_sql(busp_query_names[i]),
					      -1, SQLITE_PREPARE_PERSISTENT,
					      &store->queries[i], NULL);
		if (code != SQLITE_OK) {
			return busp_store_failed(store, code, busp_query_names[i], err);
		}
	}
	return BUS_OK;
}

bus_status
busp_store_open(busp_store *store, const char *path, busp_store_use use, bool *ret_made,
		bus_error *err)
{
	bool empty = false;
	store->path = busp_adapter_copy(path);
	store->wal_pages_max = BUSP_WAL_PAGES;
	int code =
		sqlite3_open_v2(path, &store->db,
				SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
					SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE,
				NULL);
	if (code != SQLITE_OK) {
		return busp_store_failed(store, code, "opening", err);
	}
	busp_store_limit(store->db, use);
	bus_status status =
		busp_store_exec(store, "nng/sql/configure.sql", "configuring", err);
	if (status == BUS_OK) {
		status = busp_store_format(store, use, &empty, err);
	}
	if (status == BUS_OK && use == BUSP_STORE_LOOK) {
		status = busp_store_exec(store, "nng/sql/query_only.sql", "opening", err);
	} else if (status == BUS_OK) {
		status = busp_store_wal(store, err);
	}
	if (status == BUS_OK && empty) {
		status = busp_store_make(store, err);
	}
	if (status == BUS_OK) {
		(void)sqlite3_wal_hook(store->db, busp_on_wal, store);
		status = busp_store_prepare(store, err);
	}
	if (status == BUS_OK) {
		*ret_made = empty;
	}
	return status;
}

void
busp_store_close(busp_store *store)
{
	for (int i = 0; i < BUSP_Q_COUNT; i++) {
		(void)sqlite3_finalize(store->queries[i]);
		store->queries[i] = NULL;
	}
	if (store->db != NULL && store->broken) {
		/* the WAL is what a later start will believe, not the pages in memory */
		(void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1,
					NULL);
	}
	(void)sqlite3_close(store->db);
	store->db = NULL;
	free(store->path);
	store->path = NULL;
}

sqlite3_stmt *
busp_store_bind(busp_store *store, busp_query query, const int64_t *numbers, int count)
{
	sqlite3_stmt *statement = store->queries[query];
	for (int i = 0; i < count; i++) {
		(void)sqlite3_bind_int64(statement, i + 1, numbers[i]);
	}
	return statement;
}

bus_status
busp_store_run(busp_store *store, busp_query query, const char *doing, bus_error *err)
{
	sqlite3_stmt *statement = store->queries[query];
	int code = sqlite3_step(statement);
	bus_status status = BUS_OK;
	if (code != SQLITE_DONE && code != SQLITE_ROW) {
		status = busp_store_failed(store, code, doing, err);
	}
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	return status;
}

bus_str
busp_column_bytes(sqlite3_stmt *query, int column)
{
	const char *data = sqlite3_column_blob(query, column);
	int len = sqlite3_column_bytes(query, column);
	return data != NULL ? (bus_str){ data, (size_t)len } : BUS_STR("");
}

bus_status
busp_store_begin(busp_store *store, bus_error *err)
{
	bus_status status = busp_store_usable(store, err);
	return status != BUS_OK ? status :
				  busp_store_run(store, BUSP_Q_BEGIN, "beginning", err);
}

bus_status
busp_store_rollback(busp_store *store, bus_error *err)
{
	if (sqlite3_get_autocommit(store->db)) {
		return BUS_OK;
	}
	bus_error rest = BUS_ERROR_INIT;
	if (busp_store_run(store, BUSP_Q_ROLLBACK, "rolling back", &rest) == BUS_OK) {
		return BUS_OK;
	}
	busp_store_break(store, &rest);
	return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, rest.native_code, "%s",
			     rest.text);
}

bus_status
busp_store_commit(busp_store *store, bus_error *err)
{
	return busp_store_run(store, BUSP_Q_COMMIT, "committing", err);
}

bus_status
busp_store_checkpoint(busp_store *store, bool truncate, bus_error *err)
{
	bus_status status = busp_store_usable(store, err);
	if (status != BUS_OK) {
		return status;
	}
	int mode = truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
	sqlite3_file *file = busp_store_file(store, false);
	sqlite3_int64 size = 0;
	bool sized = file != NULL && file->pMethods->xFileSize(file, &size) == SQLITE_OK;
	int code = sqlite3_wal_checkpoint_v2(store->db, NULL, mode, NULL, NULL);
	store->checkpointing = true;
	if (code == SQLITE_OK) {
		store->wal_pages = 0;
		store->wal_pages_max = BUSP_WAL_PAGES;
	} else {
		status = busp_store_failed(store, code, "checkpointing", err);
		store->wal_pages_max = store->wal_pages + BUSP_WAL_PAGES;
	}
	store->checkpointing = false;
	if (status == BUS_E_RETRY && sized) {
		/* The space it took is the WAL's, which has all of it still. If it cannot be
		 * had back, the next checkpoint uses it. */
		(void)file->pMethods->xTruncate(file, size);
	}
	return status;
}

/* Every byte of the WAL is written again where it is, and synced. A sync alone would not
 * do: after one that failed, the kernel takes for written what never reached the disk. */
static int
busp_wal_rewrite(const busp_store *store)
{
	char piece[65536];
	sqlite3_file *wal = busp_store_file(store, true);
	sqlite3_int64 size = 0;
	if (wal == NULL) {
		return SQLITE_OK; /* nothing is in it */
	}
	int code = wal->pMethods->xFileSize(wal, &size);
	for (sqlite3_int64 at = 0; at < size && code == SQLITE_OK;) {
		int len = size - at < (sqlite3_int64)sizeof(piece) ? (int)(size - at) :
								     (int)sizeof(piece);
		code = wal->pMethods->xRead(wal, piece, len, at);
		if (code == SQLITE_OK) {
			code = wal->pMethods->xWrite(wal, piece, len, at);
		}
		at += len;
	}
	return code == SQLITE_OK ? wal->pMethods->xSync(wal, SQLITE_SYNC_FULL) : code;
}

bus_status
busp_store_settle(busp_store *store, bus_error *err)
{
	bus_status status = busp_store_checkpoint(store, true, err);
	if (status != BUS_E_RETRY) {
		return status;
	}
	bus_error_reset(err);
	int code = busp_wal_rewrite(store);
	return code == SQLITE_OK ?
		       BUS_OK :
		       busp_store_failed(store, code, "syncing its write-ahead log", err);
}
