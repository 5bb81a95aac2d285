/*
 * check.c - everything a broker's directory holds, read and verified
 */
#include "broker-adapters/nng/journal_private.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Records between two reports of progress, about. */
#define BUSP_PROGRESS_RECORDS 100000u
/* Bytes of one reading. */
#define BUSP_CHECK_BYTES 1048576u

typedef struct busp_check {
	const bus_broker_check_options *options;
	busp_journal *journal;
	bus_broker_check_result result;
	uint64_t total;
	uint64_t reported;
	bus_buf slices;
} busp_check;

static void
busp_check_found(void *ctx, const bus_broker_damage *damage)
{
	busp_check *check = ctx;
	check->result.damages++;
	if (check->options->on_damage != NULL) {
		check->options->on_damage(check->options->ctx, damage);
	}
}

static void
busp_check_progress(busp_check *check)
{
	if (check->options->on_progress != NULL &&
	    check->result.records - check->reported >= BUSP_PROGRESS_RECORDS) {
		check->reported = check->result.records;
		check->options->on_progress(check->options->ctx, check->result.records,
					    check->total);
	}
}

/* Where reading may go on behind damage: the next chunk, or the end. */
static bus_status
busp_check_next_chunk(busp_check *check, const busp_log *log, int64_t behind,
		      int64_t *ret_next, bus_error *err)
{
	busp_store *store = &check->journal->store;
	int64_t places[] = { busp_place(log->number, behind + 1),
			     busp_place(log->number, log->end) };
	sqlite3_stmt *query = busp_store_bind(store, BUSP_Q_CHUNK_HEADS, places, 2);
	int code = sqlite3_step(query);
	bus_status status = BUS_OK;
	*ret_next = code == SQLITE_ROW ?
			    busp_place_offset(sqlite3_column_int64(query, 0)) :
			    log->end;
	if (code != SQLITE_ROW && code != SQLITE_DONE && !busp_store_is_damage(code)) {
		status = busp_store_failed(store, code, "checking", err);
	}
	(void)sqlite3_reset(query);
	return status;
}

/* From offset to the end or the next damage; everything that reading gives is verified. */
static bus_status
busp_check_read(busp_check *check, busp_log *log, int64_t *offset, bool *ret_damaged,
		bus_error *err)
{
	busp_read read = BUSP_READ_OK;
	bus_status status = BUS_OK;
	while (status == BUS_OK && read == BUSP_READ_OK && *offset < log->end) {
		int64_t next;
		bus_buf_clear(&check->slices);
		status = busp_journal_read(check->journal, log, *offset, BUSP_CHECK_BYTES,
					   &check->slices, &next, &read, err);
		if (status == BUS_OK && read == BUSP_READ_OK) {
			check->result.records += (uint64_t)(next - *offset);
			check->result.bytes += check->slices.len;
			*offset = next;
			busp_check_progress(check);
		}
	}
	*ret_damaged = read != BUSP_READ_OK;
	return status;
}

static bus_status
busp_check_log(busp_check *check, busp_log *log, bus_error *err)
{
	busp_findings findings = { busp_check_found, check };
	bus_status status = busp_log_compare(check->journal, log, &findings, err);
	int64_t offset = log->start;
	log->damaged_at = -1; /* found again below, with its reason */
	check->result.partitions++;
	while (status == BUS_OK && offset < log->end) {
		bool damaged;
		status = busp_check_read(check, log, &offset, &damaged, err);
		if (status != BUS_OK || !damaged) {
			break;
		}
		busp_found(&findings, log, offset, "%s", check->journal->damage);
		log->damaged_at = -1;
		status = busp_check_next_chunk(check, log, offset, &offset, err);
	}
	return status;
}

/* Chunks that belong to no partition. */
static bus_status
busp_check_strays(busp_check *check, bus_error *err)
{
	busp_findings findings = { busp_check_found, check };
	busp_store *store = &check->journal->store;
	size_t slots = check->journal->slots.count;
	int64_t places[] = { slots < BUSP_LOGS_MAX ? busp_place((uint32_t)slots, 0) :
						     INT64_MAX,
			     busp_place(1, 0) };
	sqlite3_stmt *query = busp_store_bind(store, BUSP_Q_CHUNK_STRAYS, places, 2);
	bus_status status = BUS_OK;
	int code;
	while ((code = sqlite3_step(query)) == SQLITE_ROW) {
		busp_found(&findings, NULL, -1, "a chunk is of no partition (place %lld)",
			   (long long)sqlite3_column_int64(query, 0));
	}
	if (code != SQLITE_DONE && !busp_store_is_damage(code)) {
		status = busp_store_failed(store, code, "checking", err);
	}
	(void)sqlite3_reset(query);
	return status;
}

/* The trees of the store, also where nothing is read from. */
static bus_status
busp_check_structure(busp_check *check, bus_error *err)
{
	busp_findings findings = { busp_check_found, check };
	busp_store *store = &check->journal->store;
	sqlite3_stmt *query = store->queries[BUSP_Q_STRUCTURE];
	bus_status status = BUS_OK;
	int code;
	while ((code = sqlite3_step(query)) == SQLITE_ROW) {
		bus_str line = busp_column_bytes(query, 0);
		if (!bus_str_is(line, "ok")) {
			busp_found(&findings, NULL, -1, "the store's structure: %.*s",
				   BUS_STR_ARG(line));
		}
	}
	if (busp_store_is_damage(code)) {
		busp_found(&findings, NULL, -1, "the store's structure: %s",
			   sqlite3_errmsg(store->db));
	} else if (code != SQLITE_DONE) {
		status = busp_store_failed(store, code, "checking", err);
	}
	(void)sqlite3_reset(query);
	return status;
}

static bus_status
busp_check_all(busp_check *check, const busp_mark_content *mark, bus_error *err)
{
	busp_findings findings = { busp_check_found, check };
	busp_journal *journal = check->journal;
	bus_status status = busp_journal_load(journal, &findings, err);
	if (status == BUS_OK) {
		busp_mark_compare(journal, mark, &findings);
		status = busp_check_structure(check, err);
	}
	check->result.topics = journal->topics.count;
	for (size_t i = 1; i < journal->slots.count; i++) {
		const busp_log *log = journal->slots.at[i].log;
		check->total += (uint64_t)(log->end - log->start);
	}
	for (size_t i = 1; i < journal->slots.count && status == BUS_OK; i++) {
		status = busp_check_log(check, journal->slots.at[i].log, err);
	}
	return status == BUS_OK ? busp_check_strays(check, err) : status;
}

/* SQLite makes the file of the WAL when it opens a store that has none. */
static void
busp_check_leave(const char *wal, bool was_there)
{
	struct stat info;
	if (!was_there && stat(wal, &info) == 0 && info.st_size == 0) {
		(void)unlink(wal);
	}
}

static bus_status
busp_check_open(busp_check *check, const char *store, bus_error *err)
{
	busp_journal *journal = check->journal;
	struct stat info;
	busp_mark_content mark;
	bool made;
	if (stat(store, &info) != 0 || info.st_size == 0) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				     "%s: is no broker's directory: %s is %s",
				     journal->directory, BUSP_STORE_FILE,
				     stat(store, &info) != 0 ? "missing" : "empty");
	}
	bus_status status =
		busp_lock_take(journal->directory, true, &journal->lock_fd, err);
	if (status == BUS_OK) {
		status = busp_mark_open(&journal->mark, journal->directory, false, &mark,
					err);
	}
	if (status == BUS_OK) {
		status = busp_store_open(&journal->store, store, BUSP_STORE_LOOK, &made,
					 err);
	}
	return status == BUS_OK ? busp_check_all(check, &mark, err) : status;
}

bus_status
bus_broker_check(const bus_broker_check_options *options,
		 bus_broker_check_result *ret_result, bus_error *err)
{
	busp_check check = { .options = options };
	char *store = busp_path(options->directory, BUSP_STORE_FILE);
	char *wal = busp_path(options->directory, BUSP_WAL_FILE);
	bool had_wal = access(wal, F_OK) == 0;
	check.journal = busp_journal_create(options->directory, bus_clock_system());
	bus_status status = busp_check_open(&check, store, err);
	busp_journal_destroy(check.journal);
	busp_check_leave(wal, had_wal);
	bus_buf_fini(&check.slices);
	free(store);
	free(wal);
	if (status == BUS_OK) {
		*ret_result = check.result;
	}
	return status;
}
