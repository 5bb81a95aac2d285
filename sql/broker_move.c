/*
 * broker_move.c - where the bus is
 */
#include "sql/broker_move.h"

#include <stdio.h>

#include "sql/store_private.h"

bus_status
bus_store_broker_url(bus_store *store, const char *configured,
		     char ret_url[BUS_BROKER_URL_MAX], bus_error *err)
{
	PGresult *rows = NULL;
	busp_params_clear(&store->params);
	busp_param_str(&store->params, bus_str_from(configured));
	bus_status status = busp_ask(store, "broker_url", &rows, err);
	if (status == BUS_OK && PQgetlength(rows, 0, 0) >= BUS_BROKER_URL_MAX) {
		status = bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				       "broker URL %.100s...: longer than %d bytes",
				       configured, BUS_BROKER_URL_MAX - 1);
	} else if (status == BUS_OK) {
		snprintf(ret_url, BUS_BROKER_URL_MAX, "%s", PQgetvalue(rows, 0, 0));
	}
	PQclear(rows);
	return status;
}

bus_status
bus_store_broker_move(bus_store *store, const bus_broker_move *move, bus_error *err)
{
	busp_params_clear(&store->params);
	busp_param_int8(&store->params, move->lease_epoch);
	busp_param_str(&store->params, bus_str_from(move->from_url));
	busp_param_str(&store->params, bus_str_from(move->to_url));
	busp_param_str(&store->params, bus_str_from(move->actor));
	busp_param_str(&store->params, bus_str_from(move->reason));
	return busp_ask(store, "broker_move_record", NULL, err);
}
