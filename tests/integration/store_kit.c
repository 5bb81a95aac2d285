/*
 * store_kit.c - what the tests of the store share: a server, a schema, units of one's own
 */
#include "tests/integration/store_kit.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "sql/store_private.h"

#define WAIT_MS 10000

pg_cluster *kit_cluster;
bus_error kit_err;
bus_arena *kit_arena;
static PGconn *admin;

bool
kit_expect(bus_status got, bus_status wanted, const bus_error *err, const char *call,
	   const char *file, int line)
{
	if (got != wanted) {
		printf("\n%s:%d: %s: %s instead of %s: %s %s\n", file, line, call,
		       bus_status_name(got), bus_status_name(wanted), err->sqlstate,
		       err->text);
	}
	CU_ASSERT_EQUAL(got, wanted);
	return got == wanted;
}

bus_error *
kit_error(void)
{
	bus_error_reset(&kit_err);
	return &kit_err;
}

static bus_store *
store_new(const char *role, int64_t deadline_ms, const char *name)
{
	char url[512];
	snprintf(url, sizeof(url), "%s", pg_cluster_url(kit_cluster, "kit"));
	const bus_store_options options = { .url = url,
					    .role = role,
					    .application_name = name,
					    .deadline_ms = deadline_ms,
					    .durable = true,
					    .clock = bus_clock_system() };
	return bus_store_create(&options);
}

int
kit_setup(void)
{
	const bus_migration *migrations;
	size_t count;
	kit_arena = bus_arena_create(65536);
	kit_cluster = pg_cluster_start();
	bus_status status = BUS_E_FATAL;
	if (kit_cluster != NULL && pg_cluster_database(kit_cluster, "kit")) {
		admin = PQconnectdb(pg_cluster_url(kit_cluster, "kit"));
		bus_store *store = store_new("", 20000, "kit");
		status =
			bus_store_migrate(store, false, &migrations, &count, kit_error());
		bus_store_destroy(store);
	}
	if (status != BUS_OK || PQstatus(admin) != CONNECTION_OK) {
		fprintf(stderr, "no schema to test: %s\n", kit_err.text);
		kit_teardown(); /* CUnit does not, after a setup that failed */
		return 1;
	}
	return 0;
}

int
kit_teardown(void)
{
	PQfinish(admin);
	pg_cluster_stop(kit_cluster);
	bus_arena_destroy(kit_arena);
	return 0;
}

bus_store *
kit_store_deadline(const char *role, int64_t deadline_ms)
{
	bus_store *store = store_new(role, deadline_ms, "kit");
	if (bus_store_connect(store, kit_error()) != BUS_OK) {
		fprintf(stderr, "cannot connect as %s: %s\n", role, kit_err.text);
		exit(EXIT_FAILURE);
	}
	return store;
}

bus_store *
kit_store(const char *role)
{
	return kit_store_deadline(role, 10000);
}

static const char *
first_cell(PGresult *result)
{
	static char cells[4][2048];
	static unsigned turn;
	char *cell = cells[turn++ % 4];
	if (PQresultStatus(result) == PGRES_FATAL_ERROR) {
		snprintf(cell, sizeof(cells[0]), "!%s",
			 PQresultErrorField(result, PG_DIAG_SQLSTATE));
	} else if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) > 0) {
		snprintf(cell, sizeof(cells[0]), "%s", PQgetvalue(result, 0, 0));
	} else {
		cell[0] = '\0';
	}
	PQclear(result);
	return cell;
}

static const char *
admin_run(const char *fmt, va_list args)
{
	char sql[4096];
	vsnprintf(sql, sizeof(sql), fmt, args);
	return first_cell(PQexec(admin, sql));
}

const char *
kit_sql(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	const char *cell = admin_run(fmt, args);
	va_end(args);
	return cell;
}

int64_t
kit_int(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	const char *cell = admin_run(fmt, args);
	va_end(args);
	return cell[0] == '!' || cell[0] == '\0' ? INT64_MIN : strtoll(cell, NULL, 10);
}

const char *
kit_sql_as(const char *role, const char *tenant, const char *sql)
{
	char begin[256];
	snprintf(begin, sizeof(begin),
		 "BEGIN; SET LOCAL ROLE %s; SET LOCAL busline.tenant = '%s'", role,
		 tenant);
	PQclear(PQexec(admin, begin));
	const char *cell = first_cell(PQexec(admin, sql));
	PQclear(PQexec(admin, "ROLLBACK"));
	return cell;
}

bool
kit_until(const char *sql)
{
	for (int waited_ms = 0; waited_ms < WAIT_MS; waited_ms += 10) {
		if (strcmp(first_cell(PQexec(admin, sql)), "t") == 0) {
			return true;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 10 * 1000 * 1000 }, NULL);
	}
	return false;
}

int
kit_backend(const char *application_name)
{
	return (int)
		kit_int("SELECT pid FROM pg_stat_activity WHERE application_name = '%s' "
			"ORDER BY backend_start DESC LIMIT 1",
			application_name);
}

void
kit_reconnect(void)
{
	PQreset(admin);
}

/* To the end of what was sent on the store's connection. */
static void
drain(PGconn *conn)
{
	bool end = false;
	CU_ASSERT_EQUAL_FATAL(PQpipelineSync(conn), 1);
	while (!end) {
		PGresult *result = PQgetResult(conn);
		end = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
		CU_ASSERT_NOT_EQUAL_FATAL(result != NULL ? PQresultStatus(result) :
							   PGRES_TUPLES_OK,
					  PGRES_FATAL_ERROR);
		PQclear(result);
	}
}

void
kit_deallocate_all(bus_store *store)
{
	PQsendQueryParams(store->conn, "DEALLOCATE ALL", 0, NULL, NULL, NULL, NULL, 0);
	drain(store->conn);
}

void
kit_swap_commit(bus_store *store)
{
	char name[BUSP_QUERY_NAME_MAX];
	char sql[BUSP_QUERY_NAME_MAX + 16];
	busp_prepared_name(store, busp_query_find("unit_commit"), name);
	snprintf(sql, sizeof(sql), "DEALLOCATE \"%s\"", name);
	PQsendQueryParams(store->conn, sql, 0, NULL, NULL, NULL, NULL, 0);
	PQsendPrepare(store->conn, name, "ROLLBACK", 0, NULL);
	drain(store->conn);
}

int
kit_silent_port(int *ret_port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	CU_ASSERT_EQUAL_FATAL(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	CU_ASSERT_EQUAL_FATAL(listen(fd, 8), 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

void
kit_unit_make(kit_unit *unit, bus_stream *stream, size_t events, const char *tenant)
{
	static uint64_t serial;
	memset(unit, 0, sizeof(*unit));
	unit->expected = *stream;
	for (size_t i = 0; i < events; i++) {
		serial++;
		snprintf(unit->ids[i], sizeof(unit->ids[i]), "event-%llu",
			 (unsigned long long)serial);
		unit->headers[i][0] =
			(bus_header){ BUS_STR("ce_id"), bus_str_from(unit->ids[i]) };
		unit->headers[i][1] = (bus_header){ BUS_STR("content-type"),
						    BUS_STR("application/json") };
		unit->events[i] = (bus_event){ .id = bus_str_from(unit->ids[i]),
					       .source = BUS_STR("/kit"),
					       .type = BUS_STR("io.busline.kit.v1"),
					       .tenant = bus_str_from(tenant),
					       .time_us = 1700000000123456 };
		unit->records[i] = (bus_record){ .key = BUS_STR("key"),
						 .value = BUS_STR("{\"a\": 1}"),
						 .headers = unit->headers[i],
						 .header_count = 2 };
		bus_ledger_row *row = &unit->ledger[i];
		*row = (bus_ledger_row){ .stream = stream->stream,
					 .offset = stream->next_offset + (int64_t)i,
					 .identified = true,
					 .identity =
						 bus_identity_key(unit->events[i].source,
								  unit->events[i].id),
					 .event = &unit->events[i],
					 .record = &unit->records[i],
					 .record_time_ms = 1700000000000,
					 .verdict = BUS_APPLIED };
		row->hash.bytes[31] = (uint8_t)(i + 1);
		memcpy(row->digest.bytes, row->identity.bytes, BUS_UUID_BYTES);
	}
	stream->next_offset += (int64_t)events;
	stream->head = events > 0 ? unit->ledger[events - 1].hash : stream->head;
	unit->position = (bus_unit_position){ .expected = &unit->expected,
					      .next_offset = stream->next_offset,
					      .outbox_seq = stream->outbox_seq,
					      .head = stream->head };
	unit->unit = (bus_unit){ .positions = &unit->position,
				 .position_count = 1,
				 .ledger = unit->ledger,
				 .ledger_count = events };
}

bus_stream
kit_stream(bus_store *store)
{
	static int topics;
	char topic[32];
	int32_t partition = 0;
	bus_stream stream = { 0 };
	snprintf(topic, sizeof(topic), "kit.%d", topics++);
	KIT_OK(bus_store_assign(store, topic, &partition, 1, &stream, kit_error()));
	return stream;
}
