/*
 * journal_read.c - records out of the log
 *
 * DESIGN
 * Nothing that is read is believed: a chunk must begin where the one before it ended, its
 * head must have its checksum and say that it is this chunk of this log of this store,
 * and every record must have its own checksum. What does not is damage at an offset: no
 * reader is served past it that did not begin behind it.
 */
#include "broker-adapters/nng/journal_private.h"

#define BUSP_SLICE_HEAD 24 /* base, timestamp, count, length of the bodies */

/* A reading under way. */
typedef struct busp_scan {
	busp_journal *journal;
	busp_log *log;
	int64_t at;  /* offset of the next record */
	size_t room; /* bytes that may still be given */
	bool given;  /* at least one record */
	bool ended;  /* the room is used up */
	const char *damage;
	bus_buf *to;
} busp_scan;

/* Gives the records of one chunk from scan->at on, as far as there is room. */
static void
busp_scan_chunk(busp_scan *scan, const busp_chunk *chunk)
{
	const busp_batch *batch = &chunk->batch;
	uint32_t first = (uint32_t)(scan->at - chunk->base);
	size_t begin = 0;
	for (uint32_t i = 0; i < first; i++) {
		begin += busp_batch_length(batch, i);
	}
	size_t room = scan->room > BUSP_SLICE_HEAD ? scan->room - BUSP_SLICE_HEAD : 0;
	size_t end = begin;
	uint32_t i = first;
	for (; i < batch->count; i++) {
		uint32_t len = busp_batch_length(batch, i);
		if (scan->given && len + BUSP_DIRECTORY_BYTES > room) {
			scan->ended = true;
			break;
		}
		if (busp_checksum(batch->bodies.data + end, len) !=
		    busp_batch_checksum(batch, i)) {
			scan->damage = "a record is damaged";
			break;
		}
		scan->given = true;
		end += len;
		room = room > len + BUSP_DIRECTORY_BYTES ?
			       room - len - BUSP_DIRECTORY_BYTES :
			       0;
	}
	if (i == first) {
		return;
	}
	busp_put_slice(scan->to, scan->at, chunk->timestamp_ms, i - first,
		       (bus_str){ batch->directory.data +
					  (size_t)first * BUSP_DIRECTORY_BYTES,
				  (size_t)(i - first) * BUSP_DIRECTORY_BYTES },
		       (bus_str){ batch->bodies.data + begin, end - begin });
	scan->at += i - first;
	scan->room = room;
}

/* One row of the scan, whatever is in it. */
static void
busp_scan_row(busp_scan *scan, sqlite3_stmt *query)
{
	busp_chunk chunk;
	scan->damage =
		busp_chunk_parse(scan->journal, scan->log, sqlite3_column_int64(query, 0),
				 busp_column_bytes(query, 1), &chunk);
	if (scan->damage != NULL) {
		return;
	}
	if (chunk.base > scan->at || scan->at >= chunk.base + chunk.batch.count) {
		scan->damage = "a chunk is missing";
		return;
	}
	/* Behind the first, each begins where the last one ended. */
	if (scan->given && chunk.base != scan->at) {
		scan->damage = "two chunks overlap";
		return;
	}
	chunk.batch.bodies = busp_column_bytes(query, 2);
	if (chunk.batch.bodies.len != chunk.bodies_bytes) {
		scan->damage = "a chunk is cut";
		return;
	}
	busp_scan_chunk(scan, &chunk);
}

/* From scan->at until the room is used up, the end is reached or damage is met. */
static bus_status
busp_scan_run(busp_scan *scan, int64_t end, bus_error *err)
{
	busp_store *store = &scan->journal->store;
	uint32_t number = scan->log->number;
	int64_t places[] = { busp_place(number, scan->at), busp_place(number, 0),
			     busp_place(number, BUSP_OFFSET_MAX) };
	sqlite3_stmt *query = busp_store_bind(store, BUSP_Q_CHUNK_SCAN, places, 3);
	bus_status status = BUS_OK;
	while (scan->at < end && !scan->ended && scan->damage == NULL) {
		int code = sqlite3_step(query);
		if (code == SQLITE_ROW) {
			busp_scan_row(scan, query);
		} else if (code == SQLITE_DONE) {
			scan->damage = "a chunk is missing";
		} else if (busp_store_is_damage(code)) {
			scan->damage = "the store's tree is damaged";
		} else {
			status = busp_store_failed(store, code, "reading", err);
			break;
		}
	}
	(void)sqlite3_reset(query);
	return status;
}

bus_status
busp_journal_read(busp_journal *journal, busp_log *log, int64_t offset, size_t bytes_max,
		  bus_buf *to, int64_t *ret_next, busp_read *ret_read, bus_error *err)
{
	bus_status status = busp_store_usable(&journal->store, err);
	if (status != BUS_OK) {
		return status;
	}
	if (offset < log->start || offset > log->end) {
		*ret_next = offset;
		*ret_read = BUSP_READ_OUT_OF_RANGE;
		return BUS_OK;
	}
	busp_scan scan = {
		.journal = journal, .log = log, .at = offset, .room = bytes_max, .to = to
	};
	/* Damage before offset is not this reader's: somebody decided where it goes on. */
	int64_t known = log->damaged_at >= offset ? log->damaged_at : log->end;
	int64_t end = known < log->end ? known : log->end;
	status = busp_scan_run(&scan, end, err);
	if (status != BUS_OK) {
		return status;
	}
	if (scan.damage != NULL) {
		busp_log_damaged(log, scan.at);
		journal->damage = scan.damage;
	}
	bool met = scan.damage != NULL || (known < log->end && scan.at >= known);
	*ret_next = scan.at;
	*ret_read = met && !scan.given ? BUSP_READ_DAMAGED : BUSP_READ_OK;
	return BUS_OK;
}

/* The head of the chunk that holds offset. *ret_chunk->batch is not to be used. False: it
 * cannot be found, and *ret_from says from where on. */
static bus_status
busp_chunk_holding(busp_journal *journal, busp_log *log, int64_t offset,
		   busp_chunk *ret_chunk, bool *ret_found, int64_t *ret_from,
		   bus_error *err)
{
	int64_t places[] = { busp_place(log->number, offset), busp_place(log->number, 0) };
	sqlite3_stmt *query =
		busp_store_bind(&journal->store, BUSP_Q_CHUNK_AT, places, 2);
	int code = sqlite3_step(query);
	bus_status status = BUS_OK;
	*ret_found = false;
	*ret_from = log->start;
	if (code == SQLITE_ROW) {
		int64_t place = sqlite3_column_int64(query, 0);
		*ret_from = busp_place_offset(place);
		if (busp_chunk_parse(journal, log, place, busp_column_bytes(query, 1),
				     ret_chunk) == NULL) {
			*ret_from = ret_chunk->base + ret_chunk->batch.count;
			*ret_found = offset < *ret_from;
		}
	} else if (code != SQLITE_DONE && !busp_store_is_damage(code)) {
		status = busp_store_failed(&journal->store, code, "looking for a time",
					   err);
	}
	(void)sqlite3_reset(query);
	return status;
}

bus_status
busp_journal_offset_at(busp_journal *journal, busp_log *log, int64_t time_ms,
		       int64_t *ret_offset, bus_error *err)
{
	bus_status status = busp_store_usable(&journal->store, err);
	int64_t low = log->start;
	int64_t high = log->end;
	/* Time never steps back in a log, so halving finds it. Where a head cannot be read
	 * the answer lies before it: whoever reads from there on meets the damage. */
	while (status == BUS_OK && low < high) {
		int64_t middle = low + (high - low) / 2;
		busp_chunk chunk = { 0 };
		bool found;
		int64_t from;
		status = busp_chunk_holding(journal, log, middle, &chunk, &found, &from,
					    err);
		if (status != BUS_OK) {
			break;
		}
		if (!found) {
			busp_log_damaged(log, from);
			high = from < low ? low : from < middle ? from : middle;
		} else if (chunk.timestamp_ms >= time_ms) {
			high = chunk.base < low ? low : chunk.base;
		} else {
			low = chunk.base + chunk.batch.count;
		}
	}
	if (status == BUS_OK) {
		*ret_offset = low < log->end ? low : log->end;
	}
	return status;
}
