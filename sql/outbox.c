/*
 * outbox.c - the relay's side: read, mark, rotate, wait for news
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "core/event.h"
#include "sql/store_private.h"

static void
param_cursors(busp_params *params, const bus_outbox_cursor *cursors, size_t count)
{
	bus_buf *streams = busp_param_array(params, BUSP_OID_INT4, count);
	bus_buf *seqs = busp_param_array(params, BUSP_OID_INT8, count);
	for (size_t i = 0; i < count; i++) {
		busp_put_int4(streams, cursors[i].stream);
		busp_put_int8(seqs, cursors[i].seq);
	}
}

static bus_status
outbox_row(const PGresult *rows, int row, bus_arena *arena, bus_outbox_row *ret_row,
	   bus_error *err)
{
	bus_str packed = busp_cell_str(rows, row, 5, arena);
	ret_row->stream = busp_cell_int4(rows, row, 0);
	ret_row->seq = busp_cell_int8(rows, row, 1);
	ret_row->kind = busp_cell_int4(rows, row, 2) == BUS_OUTBOX_REROUTE ?
				BUS_OUTBOX_REROUTE :
				BUS_OUTBOX_FOLLOW_UP;
	ret_row->topic = busp_cell_str(rows, row, 3, arena);
	ret_row->record.key = busp_cell_str(rows, row, 4, arena);
	ret_row->record.value = busp_cell_str(rows, row, 6, arena);
	return bus_headers_unpack(packed, arena, &ret_row->record.headers,
				  &ret_row->record.header_count, err);
}

/* Numbers have no gap by construction; if one is missing, a promise was lost, and to go on
 * behind it would hide that for ever. */
static bus_status
outbox_gap(const PGresult *rows, int row, const bus_outbox_row *all, bus_error *err)
{
	int64_t before = busp_cell_int8(rows, row, 7);
	if (row > 0 && all[row - 1].stream == all[row].stream) {
		before = all[row - 1].seq;
	}
	if (all[row].seq == before + 1) {
		return BUS_OK;
	}
	return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
			     "the outbox of stream %d has a gap: %lld follows %lld",
			     all[row].stream, (long long)all[row].seq, (long long)before);
}

bus_status
bus_store_outbox_read(bus_store *store, const bus_outbox_cursor *cursors, size_t count,
		      size_t rows_max, bus_arena *arena, bus_outbox_row **ret_rows,
		      size_t *ret_count, bus_error *err)
{
	busp_params_clear(&store->params);
	param_cursors(&store->params, cursors, count);
	busp_param_int8(&store->params, (int64_t)rows_max);
	busp_param_int8(&store->params, BUS_OUTBOX_READ_BYTES_MAX);
	PGresult *rows = NULL;
	bus_status status = busp_ask(store, "outbox_read", &rows, err);
	if (status != BUS_OK) {
		return status;
	}
	size_t found = (size_t)PQntuples(rows);
	bus_outbox_row *all = bus_arena_alloc(arena, (found + 1) * sizeof(*all));
	for (size_t i = 0; status == BUS_OK && i < found; i++) {
		status = outbox_row(rows, (int)i, arena, &all[i], err);
		if (status == BUS_OK) {
			status = outbox_gap(rows, (int)i, all, err);
		}
	}
	PQclear(rows);
	if (status == BUS_OK) {
		*ret_rows = all;
		*ret_count = found;
	}
	return status;
}

bus_status
bus_store_outbox_mark(bus_store *store, int64_t lease_epoch,
		      const bus_outbox_cursor *marks, size_t count, bus_error *err)
{
	busp_params_clear(&store->params);
	busp_param_int8(&store->params, lease_epoch);
	param_cursors(&store->params, marks, count);
	return busp_ask(store, "outbox_mark", NULL, err);
}

bus_status
bus_store_outbox_rotate(bus_store *store, int64_t lease_epoch, int *ret_emptied,
			bus_error *err)
{
	busp_params_clear(&store->params);
	busp_param_int8(&store->params, lease_epoch);
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
