/*
 * client.h - broker and PostgreSQL, as a command needs them
 *
 * Each says itself what went wrong; the answer is the exit code.
 */
#ifndef BUS_CLI_CLIENT_H
#define BUS_CLI_CLIENT_H

#include "apps/cli/cli.h"
#include "broker-adapters/adapter.h"
#include "sql/broker_move.h"
#include "sql/store.h"

/* Longest wait for one answer of the broker's administration. */
#define BUS_CLI_BROKER_MS 10000

#define BUS_CLI_AUDITOR "busline_auditor"

/* Connected, in this role unless db.role names another; new. */
bus_exit bus_cli_store(const bus_cli *cli, const char *role, bus_store **ret_store);
/* Where the bus is: broker.url, followed through its moves if a database is configured; one that
 * is given as a flag is taken as it is. False: the database does not answer, it is broker.url as
 * it is; the second says so. */
bool bus_cli_locate(const bus_cli *cli, char ret_url[BUS_BROKER_URL_MAX], bus_error *err);
void bus_cli_locate_or_say(const bus_cli *cli, char ret_url[BUS_BROKER_URL_MAX]);
/* An adapter of that place; new. */
bus_exit bus_cli_adapter_at(const bus_cli *cli, const char *url,
			    bus_adapter **ret_adapter);
/* Both. */
bus_exit bus_cli_adapter(const bus_cli *cli, bus_adapter **ret_adapter);
/* A query of sql/queries as the auditor, over a connection of its own. */
bus_exit bus_cli_read(const bus_cli *cli, const char *query, const bus_str *params,
		      size_t count, bus_table *ret_table);
/* bus_cli_read, then print; a remark if there is nothing. */
bus_exit bus_cli_show(const bus_cli *cli, const char *query, const bus_str *params,
		      size_t count, const char *nothing);

static inline void
busp_store_destroy(bus_store **store)
{
	bus_store_destroy(*store);
}

static inline void
busp_adapter_close(bus_adapter **adapter)
{
	bus_adapter_close(*adapter);
}

#define BUS_STORE_AUTO __attribute__((cleanup(busp_store_destroy))) bus_store
#define BUS_ADAPTER_AUTO __attribute__((cleanup(busp_adapter_close))) bus_adapter

/* The cell of a row by its column's number; absent is NULL. */
static inline bus_str
bus_table_cell(const bus_table *table, size_t row, size_t column)
{
	return table->cells[row * table->column_count + column];
}

int64_t bus_table_int(const bus_table *table, size_t row, size_t column, int64_t fallback);

#endif
