/*
 * pg_cluster.h - a private PostgreSQL for one test executable
 *
 * Makes a cluster in a temporary directory, on a Unix socket there and on a free port of
 * 127.0.0.1, durable as in production, and removes it at the end. As root the server runs
 * as user postgres, because it refuses to run as root. With BUSLINE_TEST_PG set to the URL of
 * a superuser, databases are made on that server instead and nothing is started.
 */
#ifndef BUS_TEST_PG_CLUSTER_H
#define BUS_TEST_PG_CLUSTER_H

#include <stdbool.h>

typedef struct pg_cluster pg_cluster;

/* New and ready to be connected to; NULL with a message on stderr. */
pg_cluster *pg_cluster_start(void);
/* Stops it and removes its files. NULL-safe. */
void pg_cluster_stop(pg_cluster *cluster);

/* Makes an empty database of this name, dropping one that is there; false with a message. */
bool pg_cluster_database(pg_cluster *cluster, const char *name);

/* Connection string of a superuser over the Unix socket; borrowed until the next call. */
const char *pg_cluster_url(pg_cluster *cluster, const char *database);
/* The same over TCP, for proxies in between; NULL with BUSLINE_TEST_PG. */
const char *pg_cluster_tcp_url(pg_cluster *cluster, const char *database);
/* 0 with BUSLINE_TEST_PG. */
int pg_cluster_port(const pg_cluster *cluster);

#endif
