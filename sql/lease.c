/*
 * lease.c - leases, the relays' shards, and incidents: rows by name
 */
#include <assert.h>
#include <stdio.h>

#include "sql/store_private.h"

bus_status
bus_store_lease(bus_store *store, const char *name, const char *holder, int64_t lease_ms,
		int64_t epoch, bus_lease *ret_lease, bus_error *err)
{
	busp_params_clear(&store->params);
	busp_param_str(&store->params, bus_str_from(name));
	busp_param_str(&store->params, bus_str_from(holder));
	busp_param_int8(&store->params, lease_ms);
	busp_param_int8(&store->params, epoch);
	PGresult *rows = NULL;
	bus_status status = busp_ask(store, "lease_take", &rows, err);
	if (status != BUS_OK) {
		return status;
	}
	if (PQntuples(rows) == 1) {
		ret_lease->epoch = busp_cell_int8(rows, 0, 0);
		snprintf(ret_lease->holder, sizeof(ret_lease->holder), "%.*s",
			 PQgetlength(rows, 0, 1), PQgetvalue(rows, 0, 1));
		ret_lease->left_ms = busp_cell_int8(rows, 0, 2);
	} else {
		status = bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				       "the lease %s is gone while it was taken", name);
	}
	PQclear(rows);
	return status;
}

bus_status
bus_store_lease_release(bus_store *store, const char *name, int64_t epoch, bus_error *err)
{
	busp_params_clear(&store->params);
	busp_param_str(&store->params, bus_str_from(name));
	busp_param_int8(&store->params, epoch);
	return busp_ask(store, "lease_release", NULL, err);
}

void
busp_param_shards(busp_params *params, bus_relay_shards shards)
{
	size_t count = (size_t)__builtin_popcount(shards);
	bus_buf *array = busp_param_array(params, BUSP_OID_INT4, count);
	for (int shard = 0; shard < BUS_RELAY_SHARDS; shard++) {
		if ((shards >> shard & 1) != 0) {
			busp_put_int4(array, shard);
		}
	}
}

/* Columns of relay_renew. */
enum { COLUMN_SHARD, COLUMN_EPOCH, COLUMN_SHARE, COLUMN_OTHERS_MS };

/* One row per shard; without any, one row that says the rest. */
static bus_relay_part
relay_part(const PGresult *rows)
{
	bus_relay_part part = {
		.share = busp_cell_int4(rows, 0, COLUMN_SHARE),
		.others_ms = PQgetisnull(rows, 0, COLUMN_OTHERS_MS) ?
				     INT64_MAX :
				     busp_cell_int8(rows, 0, COLUMN_OTHERS_MS),
	};
	for (int row = 0; row < PQntuples(rows); row++) {
		if (!PQgetisnull(rows, row, COLUMN_SHARD)) {
			int32_t shard = busp_cell_int4(rows, row, COLUMN_SHARD);
			assert(shard >= 0 && shard < BUS_RELAY_SHARDS);
			part.epochs[shard] = busp_cell_int8(rows, row, COLUMN_EPOCH);
		}
	}
	return part;
}

bus_status
bus_store_relay_renew(bus_store *store, const char *holder, int64_t lease_ms,
		      bus_relay_shards given, bus_relay_part *ret_part, bus_error *err)
{
	busp_params_clear(&store->params);
	busp_param_str(&store->params, bus_str_from(holder));
	busp_param_int8(&store->params, lease_ms);
	busp_param_shards(&store->params, given);
	PGresult *rows = NULL;
	bus_status status = busp_ask(store, "relay_renew", &rows, err);
	if (status == BUS_OK) {
		*ret_part = relay_part(rows);
	}
	PQclear(rows);
	return status;
}

bus_status
bus_store_relay_leave(bus_store *store, const char *holder, bus_error *err)
{
	busp_params_clear(&store->params);
	busp_param_str(&store->params, bus_str_from(holder));
	return busp_ask(store, "relay_leave", NULL, err);
}

bus_status
bus_store_incident(bus_store *store, const bus_incident *incident, bus_error *err)
{
	busp_params_clear(&store->params);
	busp_param_str(&store->params, bus_str_from(incident->kind));
	busp_param_str(&store->params, bus_str_from(incident->topic));
	busp_param_int4(&store->params, incident->partition);
	busp_param_int8(&store->params, incident->offset);
	busp_param_str(&store->params, busp_text_safe(incident->detail, store->arena));
	bus_status status = busp_ask(store, "incident_open", NULL, err);
	bus_arena_reset(store->arena);
	return status;
}
