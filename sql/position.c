/*
 * position.c - the rows of busline.position and busline.identity
 */
#include <assert.h>
#include <string.h>

#include "sql/store_private.h"

#define SQLSTATE_LOCKED "55P03" /* lock_not_available: lock_timeout ran out */

static void
stream_of(const PGresult *rows, int row, bus_stream *ret_stream)
{
	ret_stream->stream = busp_cell_int4(rows, row, 0);
	ret_stream->partition = busp_cell_int4(rows, row, 1);
	ret_stream->epoch = busp_cell_int8(rows, row, 2);
	ret_stream->next_offset = busp_cell_int8(rows, row, 3);
	ret_stream->outbox_seq = busp_cell_int8(rows, row, 4);
	memcpy(ret_stream->head.bytes, PQgetvalue(rows, row, 5), BUS_DIGEST_BYTES);
	ret_stream->idle_assignments = busp_cell_int4(rows, row, 6);
	ret_stream->tried_offset = busp_cell_int8(rows, row, 7);
}

/* Partitions and streams are few: a search of all rows for each. */
static int
row_with(const PGresult *rows, int column, int32_t wanted)
{
	for (int row = 0; row < PQntuples(rows); row++) {
		if (busp_cell_int4(rows, row, column) == wanted) {
			return row;
		}
	}
	return -1;
}

static void
param_int4s(busp_params *params, const int32_t *values, size_t count)
{
	bus_buf *array = busp_param_array(params, BUSP_OID_INT4, count);
	for (size_t i = 0; i < count; i++) {
		busp_put_int4(array, values[i]);
	}
}

/* The rows stayed locked past lock_timeout: whoever holds them is not the owner any more. The
 * parameters are those of the assignment; the caller asks for it again. */
static void
evict(bus_store *store, const bus_error *refused)
{
	bus_error ignored = BUS_ERROR_INIT;
	if (strcmp(refused->sqlstate, SQLSTATE_LOCKED) == 0) {
		/* If this fails too, so does the next assignment, and that is told. */
		(void)!busp_ask(store, "position_evict", NULL, &ignored);
	}
}

bus_status
bus_store_assign(bus_store *store, const char *topic, const int32_t *partitions,
		 size_t count, bus_stream *ret_streams, bus_error *err)
{
	if (count == 0) {
		return BUS_OK;
	}
	busp_params_clear(&store->params);
	busp_param_str(&store->params, bus_str_from(topic));
	param_int4s(&store->params, partitions, count);
	bus_status status = busp_ask(store, "position_add", NULL, err);
	if (status != BUS_OK) {
		return status;
	}
	PGresult *rows = NULL;
	bus_error refused = BUS_ERROR_INIT;
	status = busp_ask(store, "position_assign", &rows, &refused);
	if (status != BUS_OK) {
		evict(store, &refused);
		if (err != NULL && err->status == BUS_OK) {
			*err = refused;
		}
		return status;
	}
	for (size_t i = 0; status == BUS_OK && i < count; i++) {
		int row = row_with(rows, 1, partitions[i]);
		if (row < 0) {
			status = bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
					       "no position row of %s/%d", topic,
					       partitions[i]);
			break;
		}
		stream_of(rows, row, &ret_streams[i]);
	}
	PQclear(rows);
	return status;
}

bus_status
bus_store_positions(bus_store *store, bus_stream *streams, size_t count, bus_error *err)
{
	if (count == 0) {
		return BUS_OK;
	}
	busp_params_clear(&store->params);
	bus_buf *array = busp_param_array(&store->params, BUSP_OID_INT4, count);
	for (size_t i = 0; i < count; i++) {
		busp_put_int4(array, streams[i].stream);
	}
	PGresult *rows = NULL;
	bus_status status = busp_ask(store, "position_read", &rows, err);
	for (size_t i = 0; status == BUS_OK && i < count; i++) {
		int row = row_with(rows, 0, streams[i].stream);
		if (row < 0) {
			status = bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
					       "the position row of stream %d is gone",
					       streams[i].stream);
			break;
		}
		stream_of(rows, row, &streams[i]);
	}
	PQclear(rows);
	return status;
}

bus_status
bus_store_leave(bus_store *store, const bus_stream *streams, size_t count, bus_error *err)
{
	if (count == 0) {
		return BUS_OK;
	}
	busp_params_clear(&store->params);
	bus_buf *numbers = busp_param_array(&store->params, BUSP_OID_INT4, count);
	bus_buf *epochs = busp_param_array(&store->params, BUSP_OID_INT8, count);
	for (size_t i = 0; i < count; i++) {
		busp_put_int4(numbers, streams[i].stream);
		busp_put_int8(epochs, streams[i].epoch);
	}
	return busp_ask(store, "position_leave", NULL, err);
}

bus_status
bus_store_repeats(bus_store *store, const int32_t *streams, const bus_uuid *identities,
		  size_t count, bus_known_identity *ret_known, bus_error *err)
{
	if (count == 0) {
		return BUS_OK;
	}
	busp_params_clear(&store->params);
	param_int4s(&store->params, streams, count);
	bus_buf *keys = busp_param_array(&store->params, BUSP_OID_UUID, count);
	for (size_t i = 0; i < count; i++) {
		busp_put_str(keys, (bus_str){ (const char *)identities[i].bytes,
					      BUS_UUID_BYTES });
	}
	PGresult *rows = NULL;
	bus_status status = busp_ask(store, "identity_find", &rows, err);
	if (status != BUS_OK) {
		return status;
	}
	memset(ret_known, 0, count * sizeof(*ret_known));
	for (int row = 0; row < PQntuples(rows); row++) {
		size_t place = (size_t)busp_cell_int8(rows, row, 0);
		assert(place < count);
		ret_known[place].known = true;
		ret_known[place].offset = busp_cell_int8(rows, row, 1);
		memcpy(ret_known[place].digest, PQgetvalue(rows, row, 2),
		       sizeof(ret_known[place].digest));
	}
	PQclear(rows);
	return BUS_OK;
}
