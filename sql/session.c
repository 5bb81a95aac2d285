/*
 * session.c - what a connection is set to, and what a server must be to be used
 */
#include <stdio.h>
#include <stdlib.h>

#include "sql/store_private.h"

/* Ledger partitions a worker makes sure of when it connects. */
#define PARTITIONS_AHEAD "3"

static bus_status
session_ask(bus_store *store, const char *query, PGresult **ret_result, bus_error *err)
{
	return busp_plain(store, query, &store->params, store->deadline_ms, ret_result,
			  err);
}

static bus_status
session_do(bus_store *store, const char *query, bus_error *err)
{
	PGresult *result = NULL;
	bus_status status = session_ask(store, query, &result, err);
	PQclear(result);
	return status;
}

static bus_status
session_set(bus_store *store, bus_error *err)
{
	char milliseconds[32];
	busp_params *params = &store->params;
	busp_params_clear(params);
	/* The server gives up before we do, so that we hear why. */
	snprintf(milliseconds, sizeof(milliseconds), "%lldms",
		 (long long)(store->deadline_ms * 9 / 10 + 1));
	busp_param_str(params, bus_str_from(milliseconds));
	snprintf(milliseconds, sizeof(milliseconds), "%lldms",
		 (long long)(store->deadline_ms * 4 / 10 + 1));
	busp_param_str(params, bus_str_from(milliseconds));
	busp_param_str(params, store->durable ? BUS_STR("on") : BUS_STR("off"));
	busp_param_str(params, bus_str_from(store->application_name));
	bus_status status = session_do(store, "session_set", err);
	if (status == BUS_OK && store->role[0] != '\0') {
		busp_params_clear(params);
		busp_param_str(params, bus_str_from(store->role));
		status = session_do(store, "session_role", err);
	}
	busp_params_clear(params);
	return status;
}

static bus_status
session_check(bus_store *store, bus_error *err)
{
	static const struct {
		const char *must;
		const char *refusal;
	} checks[] = {
		{ "on", "fsync is off: a power cut would lose what was committed" },
		{ "on", "full_page_writes is off: a power cut could tear pages" },
		{ "off", "the server is read only (a standby?)" },
		{ "UTF8", "the database's encoding is not UTF8" },
		{ "true", "there is no schema busline here: run busline migrate" },
	};
	PGresult *result = NULL;
	bus_status status = session_ask(store, "session_check", &result, err);
	for (size_t i = 0; status == BUS_OK && i < sizeof(checks) / sizeof(checks[0]);
	     i++) {
		if (strcmp(PQgetvalue(result, 0, (int)i), checks[i].must) != 0) {
			status = bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
					       "database refused: %s", checks[i].refusal);
		}
	}
	PQclear(result);
	return status;
}

/* The schema must be exactly the one this binary was built with. */
static bus_status
session_version(bus_store *store, bus_error *err)
{
	const bus_migration *mine = &store->migrations[store->migration_count - 1];
	PGresult *result = NULL;
	bus_status status = session_ask(store, "session_version", &result, err);
	if (status != BUS_OK) {
		return status;
	}
	int number = PQntuples(result) == 1 ? atoi(PQgetvalue(result, 0, 0)) : 0;
	if (number != mine->number) {
		status = bus_error_set(
			err, BUS_E_FATAL, BUSP_ORIGIN, 0,
			"the schema has version %d, this program needs %d: %s", number,
			mine->number,
			number < mine->number ? "run busline migrate" :
						"use the newer program");
	} else if (strcmp(PQgetvalue(result, 0, 1), mine->sha256) != 0) {
		status = bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				       "migration %s was applied with another content",
				       mine->name);
	}
	PQclear(result);
	return status;
}

bus_status
busp_session_begin(bus_store *store, bus_error *err)
{
	bus_status status = session_set(store, err);
	if (status == BUS_OK) {
		status = session_check(store, err);
	}
	if (status == BUS_OK) {
		status = session_version(store, err);
	}
	if (status == BUS_OK) {
		busp_params_clear(&store->params);
		busp_param_str(&store->params, BUS_STR(PARTITIONS_AHEAD));
		status = session_do(store, "session_partitions", err);
		busp_params_clear(&store->params);
	}
	if (status == BUS_OK && PQenterPipelineMode(store->conn) != 1) {
		status = bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				       "cannot enter pipeline mode");
	}
	return status;
}

bus_status
bus_store_connect(bus_store *store, bus_error *err)
{
	bus_status status = busp_migrations_list(store, err);
	if (status == BUS_OK) {
		status = busp_open(store, err);
	}
	if (status == BUS_OK) {
		status = busp_session_begin(store, err);
	}
	if (status != BUS_OK) {
		bus_store_disconnect(store);
	}
	return status;
}
