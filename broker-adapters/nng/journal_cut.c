/*
 * journal_cut.c - old records go: by retention, and by trim
 *
 * DESIGN
 * Chunks go whole. A chunk ends where the next one begins, so that one whose head cannot
 * be read can go, too; only its age is unknown. The start moves in the transaction that
 * deletes.
 */
#include "broker-adapters/nng/journal_private.h"

/* Chunks that may go per chunk that comes, and a few more: a long backlog goes away in
 * small steps. */
#define BUSP_RETENTION_PER_CHUNK 2
#define BUSP_RETENTION_MORE 4
/* Of a trim, per transaction. */
#define BUSP_TRIM_CHUNKS 256

/* An old chunk. */
typedef struct busp_old {
	int64_t bytes;
	int64_t time_ms; /* INT64_MAX: unknown */
	int64_t end;
} busp_old;

/* How far from the start chunks may go. */
typedef struct busp_cut {
	const busp_touched *log;
	bool (*may_go)(const struct busp_cut *cut, const busp_old *old);
	size_t chunks_max;
	int64_t oldest_ms; /* retention: younger ones stay; INT64_MIN: all do */
	int64_t new_start; /* trim: what reaches past it stays */
	/* out */
	int64_t to; /* they go up to here */
	int64_t bytes;
	size_t chunks;
} busp_cut;

static bool
busp_retention_may_go(const busp_cut *cut, const busp_old *old)
{
	int64_t limit = cut->log->log->topic->info.retention_bytes;
	return (limit > 0 && cut->log->bytes - cut->bytes - old->bytes >= limit) ||
	       old->time_ms < cut->oldest_ms;
}

static bool
busp_trim_may_go(const busp_cut *cut, const busp_old *old)
{
	return old->end <= cut->new_start;
}

/* The row that the query stands on; steps to the next. */
static int
busp_cut_row(busp_journal *journal, const busp_log *log, sqlite3_stmt *query,
	     busp_old *ret_old)
{
	busp_chunk chunk;
	bool read = busp_chunk_parse(journal, log, sqlite3_column_int64(query, 0),
				     busp_column_bytes(query, 2), &chunk) == NULL;
	ret_old->bytes = sqlite3_column_int64(query, 1);
	ret_old->time_ms = read ? chunk.timestamp_ms : INT64_MAX;
	int code = sqlite3_step(query);
	ret_old->end = code == SQLITE_ROW ?
			       busp_place_offset(sqlite3_column_int64(query, 0)) :
			       log->end;
	return code;
}

static int
busp_cut_find(busp_journal *journal, busp_cut *cut)
{
	const busp_log *log = cut->log->log;
	int64_t places[] = { busp_place(log->number, 0),
			     busp_place(log->number, log->end) };
	sqlite3_stmt *query =
		busp_store_bind(&journal->store, BUSP_Q_CHUNK_HEADS, places, 2);
	int code = sqlite3_step(query);
	cut->to = cut->log->start;
	while (code == SQLITE_ROW && cut->chunks < cut->chunks_max) {
		busp_old old;
		code = busp_cut_row(journal, log, query, &old);
		if ((code != SQLITE_ROW && code != SQLITE_DONE) ||
		    !cut->may_go(cut, &old)) {
			break;
		}
		cut->chunks++;
		cut->bytes += old.bytes;
		cut->to = old.end > cut->to ? old.end : cut->to;
	}
	(void)sqlite3_reset(query);
	return code == SQLITE_ROW ? SQLITE_DONE : code;
}

/* Deletes what may go. */
static int
busp_cut_make(busp_journal *journal, busp_cut *cut)
{
	const busp_log *log = cut->log->log;
	int code = busp_cut_find(journal, cut);
	if (code != SQLITE_DONE || cut->chunks == 0) {
		return code;
	}
	int64_t places[] = { busp_place(log->number, 0),
			     busp_place(log->number, cut->to) };
	sqlite3_stmt *query =
		busp_store_bind(&journal->store, BUSP_Q_CHUNK_DELETE, places, 2);
	code = sqlite3_step(query);
	(void)sqlite3_reset(query);
	return code;
}

static void
busp_cut_apply(busp_touched *touched, const busp_cut *cut)
{
	touched->start = cut->to;
	touched->bytes_cut = cut->bytes < touched->bytes ? cut->bytes : touched->bytes;
	touched->bytes -= touched->bytes_cut;
}

bus_status
busp_apply_retention(busp_journal *journal, busp_touched *touched, bus_error *err)
{
	const bus_topic_info *info = &touched->log->topic->info;
	busp_slot *slot = &journal->slots.at[touched->log->number];
	if (touched->chunks == 0 || slot->uncuttable ||
	    (info->retention_ms < 0 && info->retention_bytes == 0)) {
		return BUS_OK;
	}
	busp_cut cut = {
		.log = touched,
		.may_go = busp_retention_may_go,
		.chunks_max =
			touched->chunks * BUSP_RETENTION_PER_CHUNK + BUSP_RETENTION_MORE,
		.oldest_ms = info->retention_ms < 0 ?
				     INT64_MIN :
				     journal->now_ms - info->retention_ms,
	};
	int code = busp_cut_make(journal, &cut);
	if (busp_store_is_damage(code)) {
		slot->uncuttable = true;
		return bus_error_set(err, BUS_E_ABORT, BUSP_ORIGIN, code,
				     "%s[%d]: old records cannot be deleted: the store is "
				     "damaged there",
				     info->name, touched->log->partition);
	}
	if (code != SQLITE_DONE) {
		return busp_store_failed(&journal->store, code, "deleting old records",
					 err);
	}
	busp_cut_apply(touched, &cut);
	return BUS_OK;
}

void
busp_retention_undo(busp_journal *journal)
{
	for (size_t i = 0; i < journal->touched.count; i++) {
		busp_touched *touched = &journal->touched.at[i];
		touched->start = touched->log->start;
		touched->bytes += touched->bytes_cut;
		touched->bytes_cut = 0;
	}
}

/* One transaction of a trim. */
static bus_status
busp_trim_step(busp_journal *journal, busp_log *log, int64_t new_start, bus_error *err)
{
	busp_touched touched = { .log = log,
				 .start = log->start,
				 .end = log->end,
				 .last_ms = log->last_ms,
				 .bytes = log->bytes };
	busp_cut cut = { .log = &touched,
			 .may_go = busp_trim_may_go,
			 .chunks_max = BUSP_TRIM_CHUNKS,
			 .new_start = new_start };
	bus_status status = busp_store_begin(&journal->store, err);
	if (status != BUS_OK) {
		return status;
	}
	int code = busp_cut_make(journal, &cut);
	if (code != SQLITE_DONE) {
		status = busp_store_failed(&journal->store, code, "trimming", err);
	} else {
		busp_cut_apply(&touched, &cut);
		touched.start = cut.chunks < cut.chunks_max ? new_start : touched.start;
		status = busp_write_log(journal, BUSP_Q_LOG_UPDATE, &touched, err);
	}
	status = busp_journal_finish(journal, status, err);
	if (status != BUS_OK) {
		return status;
	}
	busp_touched_apply(&touched);
	return busp_journal_after_commit(journal, err);
}

bus_status
busp_journal_trim(busp_journal *journal, busp_log *log, int64_t new_start, bus_error *err)
{
	if (new_start > log->end) {
		return bus_error_set(err, BUS_E_REJECT, BUSP_ORIGIN, 0,
				     "%s[%d]: ends at %lld, cannot begin at %lld",
				     log->topic->info.name, log->partition,
				     (long long)log->end, (long long)new_start);
	}
	bus_status status = busp_store_usable(&journal->store, err);
	while (status == BUS_OK && log->start < new_start) {
		status = busp_trim_step(journal, log, new_start, err);
	}
	return status;
}
