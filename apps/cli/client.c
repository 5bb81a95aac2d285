/*
 * client.c - broker and PostgreSQL, as a command needs them
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli/client.h"
#include "apps/cli/output.h"
#include "workers/engine/service.h"

static const volatile sig_atomic_t never;

static bus_service
busp_service(const bus_cli *cli)
{
	return (bus_service){ .config = cli->config,
			      .clock = cli->clock,
			      .role = cli->command->name,
			      .stop = &never };
}

bus_exit
bus_cli_store(const bus_cli *cli, const char *role, bus_store **ret_store)
{
	bus_error err = BUS_ERROR_INIT;
	bus_service service = busp_service(cli);
	bus_store *store = bus_service_store(&service, role);
	if (store == NULL) {
		return bus_cli_fail(BUS_EXIT_SOFTWARE, "PostgreSQL", NULL,
				    "memory is short");
	}
	/* one attempt: a person waits, and may be told at once */
	if (bus_store_connect(store, &err) != BUS_OK) {
		bus_store_destroy(store);
		return bus_cli_fail_error(&err);
	}
	*ret_store = store;
	return BUS_EXIT_OK;
}

/* Has somebody said where PostgreSQL is? Only then is it asked where the bus is: a publisher
 * needs no database. */
static bool
busp_has_database(const bus_cli *cli)
{
	return bus_config_origin_of(cli->config, BUS_CONF_DB_URL, NULL) !=
	       BUS_ORIGIN_DEFAULT;
}

bool
bus_cli_locate(const bus_cli *cli, char ret_url[BUS_BROKER_URL_MAX], bus_error *err)
{
	bus_service service = busp_service(cli);
	bus_place place = { .url = "" };
	bool moved;
	snprintf(ret_url, BUS_BROKER_URL_MAX, "%s",
		 bus_config_text(cli->config, BUS_CONF_BROKER_URL));
	/* who names a broker on the command line means that one */
	if (!busp_has_database(cli) ||
	    bus_config_origin_of(cli->config, BUS_CONF_BROKER_URL, NULL) ==
		    BUS_ORIGIN_FLAG) {
		return true;
	}
	BUS_STORE_AUTO *store = bus_service_store(&service, BUS_CLI_AUDITOR);
	if (store != NULL && bus_store_connect(store, err) == BUS_OK &&
	    bus_service_locate(&service, store, &place, &moved, err) == BUS_OK) {
		snprintf(ret_url, BUS_BROKER_URL_MAX, "%s", place.url);
		return true;
	}
	return false;
}

void
bus_cli_locate_or_say(const bus_cli *cli, char ret_url[BUS_BROKER_URL_MAX])
{
	bus_error err = BUS_ERROR_INIT;
	if (!bus_cli_locate(cli, ret_url, &err)) {
		bus_cli_note(cli, "it is not known whether the bus has moved from %s: %s",
			     ret_url, err.text);
	}
}

bus_exit
bus_cli_adapter_at(const bus_cli *cli, const char *url, bus_adapter **ret_adapter)
{
	bus_error err = BUS_ERROR_INIT;
	bus_service service = busp_service(cli);
	if (bus_service_adapter(&service, url, ret_adapter, &err) != BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	return BUS_EXIT_OK;
}

bus_exit
bus_cli_adapter(const bus_cli *cli, bus_adapter **ret_adapter)
{
	char url[BUS_BROKER_URL_MAX];
	bus_cli_locate_or_say(cli, url);
	return bus_cli_adapter_at(cli, url, ret_adapter);
}

bus_exit
bus_cli_read(const bus_cli *cli, const char *query, const bus_str *params, size_t count,
	     bus_table *ret_table)
{
	bus_error err = BUS_ERROR_INIT;
	BUS_STORE_AUTO *store = NULL;
	bus_exit code = bus_cli_store(cli, BUS_CLI_AUDITOR, &store);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	if (bus_store_read(store, query, params, count, cli->arena, ret_table, &err) !=
	    BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	return BUS_EXIT_OK;
}

bus_exit
bus_cli_show(const bus_cli *cli, const char *query, const bus_str *params, size_t count,
	     const char *nothing)
{
	bus_table table;
	bus_exit code = bus_cli_read(cli, query, params, count, &table);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	bus_cli_print(cli, &table);
	if (table.row_count == 0) {
		bus_cli_note(cli, "%s", nothing);
	}
	return BUS_EXIT_OK;
}

int64_t
bus_table_int(const bus_table *table, size_t row, size_t column, int64_t fallback)
{
	char text[32];
	bus_str cell = bus_table_cell(table, row, column);
	if (cell.data == NULL || cell.len == 0 || cell.len >= sizeof(text)) {
		return fallback;
	}
	memcpy(text, cell.data, cell.len);
	text[cell.len] = '\0';
	return strtoll(text, NULL, 10);
}
