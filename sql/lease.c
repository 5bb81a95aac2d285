/*
 * lease.c - leases and incidents: single rows by name
 */
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
