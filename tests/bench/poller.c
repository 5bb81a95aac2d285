/*
 * poller.c - the outbox relay most programs have: SELECT what is not marked, publish, UPDATE
 *
 *	bench_poller --db URL --servers LIST --batch B --sql DIR
 *
 * Ends when nothing is left and prints one line of JSON. The producer has the settings of the
 * product's own.
 */
#include <inttypes.h>
#include <libpq-fe.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "tests/bench/made.h"

static _Noreturn void
die(const char *what, const char *why)
{
	fprintf(stderr, "bench_poller: %s: %s\n", what, why);
	exit(1);
}

static uint64_t failed;

static void
on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
	(void)producer;
	(void)opaque;
	failed += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void
set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char why[256];
	if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK) {
		die(name, why);
	}
}

static rd_kafka_t *
open_producer(const char *servers)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	set(conf, "bootstrap.servers", servers);
	set(conf, "enable.idempotence", "true");
	set(conf, "partitioner", "murmur2_random");
	set(conf, "linger.ms", "1");
	set(conf, "socket.nagle.disable", "true");
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	char why[256];
	rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (producer == NULL) {
		die("producer", why);
	}
	return producer;
}

static void
prepare(PGconn *pg, const char *sql_dir, const char *name)
{
	char path[512], text[4096];
	snprintf(path, sizeof(path), "%s/%s.sql", sql_dir, name);
	FILE *file = fopen(path, "r");
	if (file == NULL) {
		die(path, "cannot be read");
	}
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	PGresult *result = PQprepare(pg, name, text, 0, NULL);
	if (PQresultStatus(result) != PGRES_COMMAND_OK) {
		die(name, PQerrorMessage(pg));
	}
	PQclear(result);
}

static PGresult *
call(PGconn *pg, const char *name, const char *param, int len, int format)
{
	PGresult *result =
		PQexecPrepared(pg, name, param != NULL, &param, &len, &format, 1);
	ExecStatusType status = PQresultStatus(result);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
		die(name, PQerrorMessage(pg));
	}
	return result;
}

static void
publish(rd_kafka_t *producer, PGresult *rows, int row)
{
	rd_kafka_resp_err_t err;
	do {
		err = rd_kafka_producev(
			producer, RD_KAFKA_V_TOPIC(PQgetvalue(rows, row, 1)),
			RD_KAFKA_V_KEY(PQgetvalue(rows, row, 2),
				       (size_t)PQgetlength(rows, row, 2)),
			RD_KAFKA_V_VALUE(PQgetvalue(rows, row, 3),
					 (size_t)PQgetlength(rows, row, 3)),
			RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
		rd_kafka_poll(producer, err == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 10 : 0);
	} while (err == RD_KAFKA_RESP_ERR__QUEUE_FULL);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		die("produce", rd_kafka_err2str(err));
	}
}

static int
turn(PGconn *pg, rd_kafka_t *producer, const char *batch)
{
	PQclear(call(pg, "begin", NULL, 0, 0));
	PGresult *rows = call(pg, "poller_read", batch, 0, 0);
	int count = PQntuples(rows);
	BUS_BUF_AUTO ids = { 0 };
	bus_buf_be32(&ids, 1);
	bus_buf_be32(&ids, 0);
	bus_buf_be32(&ids, 20); /* bigint */
	bus_buf_be32(&ids, (uint32_t)count);
	bus_buf_be32(&ids, 1);
	for (int row = 0; row < count; row++) {
		publish(producer, rows, row);
		bus_buf_be32(&ids, 8);
		bus_buf_append(&ids, PQgetvalue(rows, row, 0), 8);
	}
	if (rd_kafka_flush(producer, 60000) != RD_KAFKA_RESP_ERR_NO_ERROR || failed > 0) {
		die("publish", "not acknowledged");
	}
	PQclear(rows);
	if (count > 0) {
		PQclear(call(pg, "poller_mark", ids.data, (int)ids.len, 1));
	}
	PQclear(call(pg, "commit", NULL, 0, 0));
	return count;
}

int
main(int argc, char **argv)
{
	const char *url = NULL, *servers = NULL, *batch = "1000", *sql_dir = ".";
	for (int i = 1; i + 1 < argc; i += 2) {
		const char **to = strcmp(argv[i], "--db") == 0      ? &url :
				  strcmp(argv[i], "--servers") == 0 ? &servers :
				  strcmp(argv[i], "--batch") == 0   ? &batch :
				  strcmp(argv[i], "--sql") == 0     ? &sql_dir :
								      NULL;
		if (to == NULL) {
			die(argv[i], "no such option");
		}
		*to = argv[i + 1];
	}
	PGconn *pg = PQconnectdb(url);
	if (PQstatus(pg) != CONNECTION_OK) {
		die("connect", PQerrorMessage(pg));
	}
	static const char *const names[] = { "begin", "poller_read", "poller_mark",
					     "commit" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		prepare(pg, sql_dir, names[i]);
	}
	rd_kafka_t *producer = open_producer(servers);
	double began = made_seconds();
	uint64_t total = 0;
	int count;
	while ((count = turn(pg, producer, batch)) > 0) {
		total += (uint64_t)count;
	}
	double took = made_seconds() - began;
	printf("{\"rows\":%" PRIu64 ",\"seconds\":%.4f,\"rate\":%.0f}\n", total, took,
	       (double)total / took);
	rd_kafka_destroy(producer);
	PQfinish(pg);
	return 0;
}
