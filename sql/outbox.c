/*
 * outbox.c - the relay's side: read, mark, rotate, wait for news
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "core/event.h"
#include "sql/store_private.h"

/* Of a stream that was not read yet; the queries know it. */
#define BUSP_NO_CURSOR (-1)

/* An array with a place for each stream: what is looked up once per stream needs no join. */
static void
param_cursors(busp_params *params, const bus_outbox_cursor *cursors, size_t count,
	      bus_arena *arena)
{
	int32_t last = 0;
	for (size_t i = 0; i < count; i++) {
		last = cursors[i].stream > last ? cursors[i].stream : last;
	}
	int64_t *seqs = bus_arena_alloc(arena, ((size_t)last + 1) * sizeof(*seqs));
	for (int32_t stream = 1; stream <= last; stream++) {
		seqs[stream] = BUSP_NO_CURSOR;
	}
	for (size_t i = 0; i < count; i++) {
		seqs[cursors[i].stream] = cursors[i].seq;
	}
	bus_buf *array = busp_param_array(params, BUSP_OID_INT8, (size_t)last);
	for (int32_t stream = 1; stream <= last; stream++) {
		busp_put_int8(array, seqs[stream]);
	}
}

/* Columns of outbox_read and outbox_read_large. */
enum {
	COLUMN_STREAM,
	COLUMN_SEQ,
	COLUMN_FOLLOWS, /* true or NULL: the next after the cursor */
	COLUMN_KIND,    /* NULL: follow-up */
	COLUMN_TOPIC,
	COLUMN_KEY,
	COLUMN_HEADERS,
	COLUMN_DATA,
	COLUMN_PLACE_BEFORE, /* of outbox_read_large only */
};

static bus_str
cell_view(const PGresult *rows, int row, int column)
{
	return (bus_str){ PQgetvalue(rows, row, column),
			  (size_t)PQgetlength(rows, row, column) };
}

/* before: the row in front of it, or NULL; rows of one topic come in runs and share it. */
static bus_status
outbox_row(const PGresult *rows, int row, bus_arena *arena, const bus_outbox_row *before,
	   bus_outbox_row *ret_row, bus_error *err)
{
	bus_str topic = cell_view(rows, row, COLUMN_TOPIC);
	bus_str packed = cell_view(rows, row, COLUMN_HEADERS);
	ret_row->stream = busp_cell_int4(rows, row, COLUMN_STREAM);
	ret_row->seq = busp_cell_int8(rows, row, COLUMN_SEQ);
	ret_row->kind = PQgetisnull(rows, row, COLUMN_KIND) ? BUS_OUTBOX_FOLLOW_UP :
							      BUS_OUTBOX_REROUTE;
	ret_row->topic = before != NULL && bus_str_eq(topic, before->topic) ?
				 before->topic :
				 bus_arena_str(arena, topic);
	ret_row->record.key = busp_cell_str(rows, row, COLUMN_KEY, arena);
	ret_row->record.value = busp_cell_str(rows, row, COLUMN_DATA, arena);
	return bus_headers_unpack(bus_arena_str(arena, packed), arena,
				  &ret_row->record.headers, &ret_row->record.header_count,
				  err);
}

/* Is it the next of its stream? The order of the rows is seen here too, and not believed. */
static bool
outbox_follows(const PGresult *rows, int row, const bus_outbox_row *all)
{
	if (PQgetisnull(rows, row, COLUMN_SEQ)) {
		return false; /* the stream has rows, and none was found */
	}
	int32_t stream = busp_cell_int4(rows, row, COLUMN_STREAM);
	if (row > 0 && all[row - 1].stream == stream) {
		return busp_cell_int8(rows, row, COLUMN_SEQ) == all[row - 1].seq + 1;
	}
	return !PQgetisnull(rows, row, COLUMN_FOLLOWS);
}

/* Numbers have no gap by construction; if one is missing, a promise was lost, and to go on
 * behind it would hide that for ever. */
static bus_status
outbox_gap(const PGresult *rows, int row, const bus_outbox_row *all, bus_error *err)
{
	int32_t stream = busp_cell_int4(rows, row, COLUMN_STREAM);
	int64_t before = row > 0 && all[row - 1].stream == stream ?
				 all[row - 1].seq :
				 busp_cell_int8(rows, row, COLUMN_PLACE_BEFORE);
	return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
			     "the outbox of stream %d has a gap: %lld follows %lld",
			     stream, (long long)busp_cell_int8(rows, row, COLUMN_SEQ),
			     (long long)before);
}

/* Rows of an answer, up to the first that does not follow: *ret_count says which. */
static bus_status
outbox_rows(const PGresult *rows, bus_arena *arena, bus_outbox_row *all,
	    size_t *ret_count, bus_error *err)
{
	int found = PQntuples(rows);
	int row = 0;
	bus_status status = BUS_OK;
	while (status == BUS_OK && row < found && outbox_follows(rows, row, all)) {
		status = outbox_row(rows, row, arena, row > 0 ? &all[row - 1] : NULL,
				    &all[row], err);
		row++;
	}
	*ret_count = (size_t)row;
	return status;
}

bus_status
bus_store_outbox_read(bus_store *store, const bus_outbox_range *range, bus_arena *arena,
		      bus_outbox_row **ret_rows, size_t *ret_count, bus_error *err)
{
	static const char *const questions[] = { "outbox_read", "outbox_read_large" };
	busp_params_clear(&store->params);
	param_cursors(&store->params, range->cursors, range->cursor_count, arena);
	busp_param_int8(&store->params, (int64_t)range->rows_max);
	busp_param_int8(&store->params, BUS_OUTBOX_READ_BYTES_MAX);
	busp_param_shards(&store->params, range->shards);
	for (size_t i = 0;; i++) {
		PGresult *rows = NULL;
		bus_status status = busp_ask(store, questions[i], &rows, err);
		if (status != BUS_OK) {
			return status;
		}
		size_t found = (size_t)PQntuples(rows), taken = 0;
		bus_outbox_row *all = bus_arena_alloc(arena, (found + 1) * sizeof(*all));
		status = outbox_rows(rows, arena, all, &taken, err);
		bool whole = taken == found;
		if (status == BUS_OK && !whole && i == 1) {
			status = outbox_gap(rows, (int)taken, all, err);
		}
		PQclear(rows);
		if (status != BUS_OK) {
			return status;
		}
		if (whole) {
			*ret_rows = all;
			*ret_count = found;
			return BUS_OK;
		}
	}
}

bus_status
bus_store_outbox_mark(bus_store *store, const bus_outbox_mark *marks, size_t count,
		      bus_relay_shards *ret_lost, bus_error *err)
{
	busp_params_clear(&store->params);
	bus_buf *streams = busp_param_array(&store->params, BUSP_OID_INT4, count);
	bus_buf *seqs = busp_param_array(&store->params, BUSP_OID_INT8, count);
	bus_buf *epochs = busp_param_array(&store->params, BUSP_OID_INT8, count);
	for (size_t i = 0; i < count; i++) {
		busp_put_int4(streams, marks[i].stream);
		busp_put_int8(seqs, marks[i].seq);
		busp_put_int8(epochs, marks[i].epoch);
	}
	PGresult *rows = NULL;
	bus_status status = busp_ask(store, "outbox_mark", &rows, err);
	if (status == BUS_OK) {
		*ret_lost = (bus_relay_shards)busp_cell_int4(rows, 0, 1);
	}
	PQclear(rows);
	return status;
}

bus_status
bus_store_outbox_rotate(bus_store *store, int *ret_emptied, bus_error *err)
{
	busp_params_clear(&store->params);
	PGresult *rows = NULL;
	bus_status status = busp_ask(store, "outbox_rotate", &rows, err);
	if (status == BUS_OK) {
		*ret_emptied = busp_cell_int4(rows, 0, 0);
	}
	PQclear(rows);
	return status;
}

bus_status
bus_store_listen(bus_store *store, const char *channel, bus_error *err)
{
	busp_params_clear(&store->params);
	busp_param_str(&store->params, bus_str_from(channel));
	return busp_ask(store, "listen_channel", NULL, err);
}

/* All that have come: one is enough to look, and the look finds everything. */
static bool
notifications_take(PGconn *conn)
{
	bool any = false;
	for (PGnotify *n = PQnotifies(conn); n != NULL; n = PQnotifies(conn)) {
		any = true;
		PQfreemem(n);
	}
	return any;
}

bus_status
bus_store_wait(bus_store *store, int timeout_ms, bool *ret_notified, bus_error *err)
{
	if (!bus_store_connected(store)) {
		return bus_error_set(err, BUS_E_RETRY, BUSP_ORIGIN, 0, "not connected");
	}
	int64_t deadline =
		bus_clock_mono_ms(store->clock) + (timeout_ms < 0 ? 0 : timeout_ms);
	for (;;) {
		if (notifications_take(store->conn)) {
			*ret_notified = true;
			return BUS_OK;
		}
		busp_waited waited = busp_wait(store, false, deadline);
		if (waited == BUSP_READY && PQconsumeInput(store->conn) == 1) {
			continue;
		}
		if (waited == BUSP_TIMED_OUT || waited == BUSP_INTERRUPTED) {
			*ret_notified =
				false; /* a signal ends the wait too: told to stop */
			return BUS_OK;
		}
		busp_lost(store, "connection lost");
		return bus_error_set(err, BUS_E_RETRY, BUSP_ORIGIN, 0,
				     "connection lost while waiting for notifications");
	}
}
