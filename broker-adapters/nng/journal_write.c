/*
 * journal_write.c - transactions: what they gather, and the commit
 *
 * DESIGN
 * SQLite is not touched before the commit; until then a transaction is a list in memory.
 * So readers see what is committed, and a rollback has nothing to undo but the producers.
 * The commit writes all of it in one transaction of the store. Old chunks go before new
 * ones are written: on a full disk their pages are what the new ones get.
 */
#include "broker-adapters/nng/journal_private.h"

#include <errno.h>
#include <stdlib.h>

/* Appends of one commit to one partition share a chunk up to here: large enough that a
 * row costs little, small enough that reading a part of one does not cost much. */
#define BUSP_CHUNK_BODIES 262144u
/* Cursors are hints: they wait for a commit that happens anyway, or for so long. */
#define BUSP_CURSORS_WAIT_MS 1000
#define BUSP_MARK_SYNC_MS 1000

void
busp_journal_begin(busp_journal *journal)
{
	journal->open = true;
	journal->now_ms = busp_journal_now_ms(journal);
}

/* The log in the open transaction. */
static size_t
busp_touch(busp_journal *journal, busp_log *log)
{
	busp_slot *slot = &journal->slots.at[log->number];
	if (slot->touched == 0) {
		*BUSP_PUSH(journal->touched) = (busp_touched){
			.log = log,
			.start = log->start,
			.end = log->end,
			.last_ms = log->last_ms > journal->now_ms ? log->last_ms :
								    journal->now_ms,
			.bytes = log->bytes,
			.pending = SIZE_MAX,
		};
		slot->touched = journal->touched.count;
	}
	return slot->touched - 1;
}

static busp_pending *
busp_pending_of(busp_journal *journal, size_t touched, const busp_batch *batch)
{
	busp_touched *log = &journal->touched.at[touched];
	if (log->pending != SIZE_MAX) {
		busp_pending *pending = &journal->pending.at[log->pending];
		if (pending->bodies + batch->bodies.len <= BUSP_CHUNK_BODIES) {
			return pending;
		}
	}
	log->pending = journal->pending.count;
	log->chunks++;
	log->bytes += BUSP_CHUNK_HEAD_BYTES;
	busp_pending *pending = BUSP_PUSH(journal->pending);
	*pending = (busp_pending){
		.touched = touched,
		.base = log->end,
		.timestamp_ms = log->last_ms,
		.first_part = SIZE_MAX,
	};
	return pending;
}

void
busp_journal_append(busp_journal *journal, busp_log *log, const busp_batch *batch,
		    int64_t *ret_base, int64_t *ret_timestamp_ms)
{
	size_t touched = busp_touch(journal, log);
	busp_pending *pending = busp_pending_of(journal, touched, batch);
	size_t part = journal->parts.count;
	*BUSP_PUSH(journal->parts) = (busp_part){ .batch = *batch };
	if (pending->first_part == SIZE_MAX) {
		pending->first_part = part;
	} else {
		journal->parts.at[pending->last_part].next = part;
	}
	pending->last_part = part;
	pending->count += batch->count;
	pending->bodies += batch->bodies.len;
	busp_touched *log_now = &journal->touched.at[touched];
	*ret_base = log_now->end;
	*ret_timestamp_ms = log_now->last_ms;
	log_now->end += batch->count;
	log_now->bytes += (int64_t)(batch->directory.len + batch->bodies.len);
}

busp_producer_state
busp_journal_producer(busp_journal *journal, uint64_t producer, uint64_t seq,
		      bus_str *ret_answer)
{
	const busp_producer *known = busp_producer_find(&journal->producers, producer);
	if (known == NULL) {
		return seq == 1 ? BUSP_PRODUCER_NEXT : BUSP_PRODUCER_FORGOTTEN;
	}
	uint64_t last;
	bus_str answer = busp_producer_answer_to(known, seq, &last);
	if (answer.data != NULL) {
		*ret_answer = answer;
		return BUSP_PRODUCER_KNOWN;
	}
	if (seq <= last) {
		return BUSP_PRODUCER_FORGOTTEN;
	}
	return seq == last + 1 ? BUSP_PRODUCER_NEXT : BUSP_PRODUCER_AHEAD;
}

void
busp_journal_producer_done(busp_journal *journal, uint64_t producer, uint64_t seq,
			   bus_str answer)
{
	busp_producer_remember(&journal->producers, producer, journal->now_ms, seq,
			       answer);
}

void
busp_journal_note(busp_journal *journal, bus_str group, const busp_log *log,
		  int64_t offset)
{
	char *name = busp_adapter_alloc(group.len + 1, 1);
	memcpy(name, group.data, group.len);
	*BUSP_PUSH(journal->noted) = (busp_noted){
		.group = name,
		.log = journal->slots.at[log->number].log,
		.offset = offset,
	};
}

/* ---- the commit ---- */

static bus_status
busp_write_chunk(busp_journal *journal, const busp_pending *pending, bus_error *err)
{
	const busp_log *log = journal->touched.at[pending->touched].log;
	bus_buf *bodies = &journal->bodies;
	bus_buf_clear(bodies);
	for (size_t part = pending->first_part;; part = journal->parts.at[part].next) {
		bus_buf_str(bodies, journal->parts.at[part].batch.bodies);
		if (part == pending->last_part) {
			break;
		}
	}
	busp_chunk_head(journal, log, pending, &journal->head);
	sqlite3_stmt *statement = journal->store.queries[BUSP_Q_CHUNK_INSERT];
	(void)sqlite3_bind_int64(statement, 1, busp_place(log->number, pending->base));
	(void)sqlite3_bind_blob64(statement, 2, journal->head.data, journal->head.len,
				  SQLITE_STATIC);
	(void)sqlite3_bind_blob64(statement, 3, bodies->data, bodies->len, SQLITE_STATIC);
	return busp_store_run(&journal->store, BUSP_Q_CHUNK_INSERT, "writing records",
			      err);
}

static bus_status
busp_write_logs(busp_journal *journal, bus_error *err)
{
	bus_status status = BUS_OK;
	for (size_t i = 0; i < journal->touched.count && status == BUS_OK; i++) {
		busp_touched *touched = &journal->touched.at[i];
		status = touched->end < BUSP_OFFSET_MAX ?
				 busp_apply_retention(journal, touched, err) :
				 bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
					       "%s[%d]: has no offsets left",
					       touched->log->topic->info.name,
					       touched->log->partition);
	}
	for (size_t i = 0; i < journal->pending.count && status == BUS_OK; i++) {
		status = busp_write_chunk(journal, &journal->pending.at[i], err);
	}
	for (size_t i = 0; i < journal->touched.count && status == BUS_OK; i++) {
		status = busp_write_log(journal, BUSP_Q_LOG_UPDATE,
					&journal->touched.at[i], err);
	}
	return status;
}

/* All of the open transaction, in one of the store: all of it, or nothing. */
static bus_status
busp_write_all(busp_journal *journal, bool cursors, bus_error *err)
{
	bus_status status = busp_store_begin(&journal->store, err);
	if (status != BUS_OK) {
		return status;
	}
	status = busp_write_logs(journal, err);
	if (status == BUS_OK) {
		status = busp_write_producers(journal, err);
	}
	if (status == BUS_OK && cursors) {
		status = busp_write_cursors(journal, err);
	}
	return busp_journal_finish(journal, status, err);
}

bus_status
busp_journal_finish(busp_journal *journal, bus_status status, bus_error *err)
{
	if (status == BUS_OK) {
		status = busp_write_store(journal, err);
	}
	if (status == BUS_OK) {
		status = busp_store_commit(&journal->store, err);
	}
	if (status == BUS_OK) {
		journal->commits++;
		journal->counts.commits++;
		return BUS_OK;
	}
	bus_error worse = BUS_ERROR_INIT;
	if (busp_store_rollback(&journal->store, &worse) != BUS_OK) {
		bus_error_reset(err);
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, worse.native_code,
				     "%s", worse.text);
	}
	return status;
}

static void
busp_transaction_end(busp_journal *journal)
{
	for (size_t i = 0; i < journal->touched.count; i++) {
		journal->slots.at[journal->touched.at[i].log->number].touched = 0;
	}
	for (size_t i = 0; i < journal->noted.count; i++) {
		free(journal->noted.at[i].group);
	}
	journal->touched.count = 0;
	journal->pending.count = 0;
	journal->parts.count = 0;
	journal->noted.count = 0;
	journal->open = false;
}

void
busp_journal_rollback(busp_journal *journal)
{
	busp_producers_undo(&journal->producers);
	busp_transaction_end(journal);
}

void
busp_touched_apply(const busp_touched *touched)
{
	busp_log *log = touched->log;
	log->start = touched->start;
	log->end = touched->end;
	log->last_ms = touched->last_ms;
	log->bytes = touched->bytes;
	if (log->damaged_at >= 0 && log->damaged_at < log->start) {
		log->damaged_at = -1;
	}
}

/* The memory becomes what the store has. */
static void
busp_transaction_apply(busp_journal *journal, bool cursors)
{
	for (size_t i = 0; i < journal->touched.count; i++) {
		busp_touched_apply(&journal->touched.at[i]);
	}
	for (size_t i = 0; i < journal->pending.count; i++) {
		journal->counts.records += journal->pending.at[i].count;
		journal->counts.bytes += journal->pending.at[i].bodies;
	}
	busp_producers_keep(&journal->producers);
	busp_cursors *rows = &journal->cursors;
	for (size_t i = 0; cursors && i < rows->count; i++) {
		rows->rows[i].stored |= rows->rows[i].changed;
		rows->rows[i].changed = false;
	}
	if (cursors) {
		rows->stored += rows->writing;
		rows->writing = 0;
		rows->changed = false;
		rows->written_ms = bus_clock_mono_ms(journal->clock);
	}
}

/* Notes are taken over even if nothing else of the transaction is written. */
static void
busp_take_notes(busp_journal *journal)
{
	for (size_t i = 0; i < journal->noted.count; i++) {
		const busp_noted *noted = &journal->noted.at[i];
		bus_str group = bus_str_from(noted->group);
		busp_cursors *cursors = &journal->cursors;
		size_t place;
		busp_cursor_row *row =
			busp_cursor_find(cursors, group, noted->log, &place) ?
				&cursors->rows[place] :
				busp_cursor_insert(cursors, place, group, noted->log);
		if (row != NULL) {
			row->offset = noted->offset;
			row->noted_ms = journal->now_ms;
			row->changed = true;
			cursors->changed = true;
		}
	}
}

/* What follows a commit that is on disk: the mark, and now and then a checkpoint. */
bus_status
busp_journal_after_commit(busp_journal *journal, bus_error *err)
{
	bus_error why = BUS_ERROR_INIT;
	bus_status status = busp_mark_write(&journal->mark, journal->uuid,
					    journal->commits, journal->boot, &why);
	/* no space: it lags for a while, which it may */
	status = status == BUS_E_RETRY ? BUS_OK : status;
	int64_t now_ms = bus_clock_mono_ms(journal->clock);
	if (status == BUS_OK && now_ms - journal->mark.synced_ms >= BUSP_MARK_SYNC_MS) {
		journal->mark.synced_ms = now_ms;
		status = busp_mark_sync(&journal->mark, &why);
	}
	if (status == BUS_OK && journal->store.wal_pages >= journal->store.wal_pages_max) {
		status = busp_store_checkpoint(&journal->store, false, &why);
		/* no space: the WAL goes on growing */
		status = status == BUS_E_RETRY ? BUS_OK : status;
	}
	if (status != BUS_OK) {
		busp_store_break(&journal->store, &why);
		return bus_error_set(err, status, BUSP_ORIGIN, why.native_code, "%s",
				     why.text);
	}
	return BUS_OK;
}

/* No space: what is in the WAL may still find room in the store, and then the WAL is used
 * again from its start. */
static void
busp_make_room(busp_journal *journal)
{
	bus_error err = BUS_ERROR_INIT;
	if (busp_store_checkpoint(&journal->store, false, &err) != BUS_OK) {
		/* still none; a disk that failed is remembered by the store */
		return;
	}
}

bus_status
busp_journal_commit(busp_journal *journal, bus_error *err)
{
	bus_status status = busp_store_usable(&journal->store, err);
	if (status != BUS_OK) {
		busp_journal_rollback(journal);
		return status;
	}
	busp_take_notes(journal);
	bool wanted = journal->touched.count > 0 || journal->producers.changed_count > 0;
	bool cursors = journal->cursors.changed &&
		       bus_clock_mono_ms(journal->clock) - journal->cursors.written_ms >=
			       BUSP_CURSORS_WAIT_MS;
	if (!wanted && !cursors) {
		busp_transaction_end(journal);
		return BUS_OK;
	}
	status = busp_write_all(journal, cursors, err);
	if (status == BUS_E_ABORT) {
		/* old chunks that cannot be deleted hold nothing else up */
		bus_error_reset(err);
		busp_retention_undo(journal);
		status = busp_write_all(journal, cursors, err);
	}
	if (status != BUS_OK) {
		journal->cursors.writing = 0;
		busp_journal_rollback(journal);
		if (status == BUS_E_RETRY) {
			busp_make_room(journal);
		}
		return status;
	}
	busp_transaction_apply(journal, cursors);
	busp_transaction_end(journal);
	return busp_journal_after_commit(journal, err);
}
