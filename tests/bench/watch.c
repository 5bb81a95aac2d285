/*
 * watch.c - how far a worker has come, as PostgreSQL shows it to anybody, once a millisecond
 *
 *	bench_watch --db URL --topic NAME --sql DIR
 *
 * Looks until SIGTERM; then prints a line per look at which something was new: its end (seconds
 * of the monotonic clock), how long the look before it was ago, partition and position. It costs
 * the machine little: what is measured needs its cores.
 */
#include <inttypes.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/made.h"

#define NEWS_MAX 4000000

typedef struct news {
	double at, since;
	int32_t partition;
	int64_t next_offset;
} news;

static volatile sig_atomic_t stopped;

static _Noreturn void
die(const char *what, const char *why)
{
	fprintf(stderr, "bench_watch: %s: %s\n", what, why);
	exit(1);
}

static void
stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static void
prepare(PGconn *pg, const char *sql_dir)
{
	char path[512], text[4096];
	snprintf(path, sizeof(path), "%s/watch.sql", sql_dir);
	FILE *file = fopen(path, "r");
	if (file == NULL) {
		die(path, "cannot be read");
	}
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	PGresult *result = PQprepare(pg, "watch", text, 0, NULL);
	if (PQresultStatus(result) != PGRES_COMMAND_OK) {
		die(path, PQerrorMessage(pg));
	}
	PQclear(result);
}

static size_t
watch(PGconn *pg, const char *topic, news *all)
{
	int64_t known[MADE_PARTITIONS] = { 0 };
	size_t count = 0;
	double before = made_seconds();
	while (!stopped && count < NEWS_MAX - MADE_PARTITIONS) {
		PGresult *rows = PQexecPrepared(pg, "watch", 1, &topic, NULL, NULL, 0);
		double now = made_seconds();
		if (PQresultStatus(rows) != PGRES_TUPLES_OK) {
			die("look", PQerrorMessage(pg));
		}
		for (int row = 0; row < PQntuples(rows); row++) {
			int partition = atoi(PQgetvalue(rows, row, 0));
			int64_t next = atoll(PQgetvalue(rows, row, 1));
			if (partition < MADE_PARTITIONS && next > known[partition]) {
				known[partition] = next;
				all[count++] =
					(news){ now, now - before, partition, next };
			}
		}
		PQclear(rows);
		before = now;
		nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
	}
	return count;
}

int
main(int argc, char **argv)
{
	const char *db = NULL, *topic = NULL, *sql = NULL;
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--db") == 0) {
			db = argv[i + 1];
		} else if (strcmp(argv[i], "--topic") == 0) {
			topic = argv[i + 1];
		} else if (strcmp(argv[i], "--sql") == 0) {
			sql = argv[i + 1];
		} else {
			die(argv[i], "no such option");
		}
	}
	if (db == NULL || topic == NULL || sql == NULL) {
		die("usage", "--db URL --topic NAME --sql DIR");
	}
	news *all = calloc(NEWS_MAX, sizeof(*all));
	PGconn *pg = PQconnectdb(db);
	if (all == NULL || PQstatus(pg) != CONNECTION_OK) {
		die("connect", PQerrorMessage(pg));
	}
	signal(SIGTERM, stop);
	prepare(pg, sql);
	puts("watching");
	fflush(stdout);
	size_t count = watch(pg, topic, all);
	for (size_t i = 0; i < count; i++) {
		printf("%.6f %.6f %" PRId32 " %" PRId64 "\n", all[i].at, all[i].since,
		       all[i].partition, all[i].next_offset);
	}
	PQfinish(pg);
	free(all);
	return 0;
}
