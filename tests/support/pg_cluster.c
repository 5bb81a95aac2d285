/*
 * pg_cluster.c - a private PostgreSQL for one test executable
 */
#include "tests/support/pg_cluster.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READY_MS 30000

struct pg_cluster {
	char bin[256];
	char dir[128];
	char socket_dir[160];
	char url[512];
	const char *given; /* BUSLINE_TEST_PG */
	int port;
	pid_t pid;
};

/* The newest server installed, or $BUSLINE_PG_BIN. */
static bool
find_bin(char *ret_bin, size_t size)
{
	const char *given = getenv("BUSLINE_PG_BIN");
	glob_t found = { 0 };
	bool ok = false;
	if (given != NULL) {
		ok = snprintf(ret_bin, size, "%s", given) > 0;
	} else if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) == 0) {
		const char *last = found.gl_pathv[found.gl_pathc - 1];
		ok = snprintf(ret_bin, size, "%.*s",
			      (int)(strlen(last) - strlen("/initdb")), last) > 0;
	}
	globfree(&found);
	if (!ok) {
		fprintf(stderr, "pg_cluster: no PostgreSQL server is installed\n");
	}
	return ok;
}

/* A port that is free now; the kernel hands others out for a while after. */
static int
free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int port = 0;
	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    getsockname(fd, (struct sockaddr *)&address, &len) == 0) {
		port = ntohs(address.sin_port);
	}
	if (fd >= 0) {
		close(fd);
	}
	return port;
}

static void
become_postgres(void)
{
	if (geteuid() != 0) {
		return;
	}
	const struct passwd *user = getpwnam("postgres");
	if (user == NULL || initgroups("postgres", user->pw_gid) != 0 ||
	    setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0) {
		fprintf(stderr, "pg_cluster: cannot become user postgres\n");
		_exit(127);
	}
}

/* Starts a program as the server's user, its output in a file; -1 if it cannot. argv[0] becomes
 * its whole path: the server's programs look for each other from there. */
static pid_t
spawn(const pg_cluster *cluster, const char *log, const char **argv)
{
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid != 0) {
		return pid;
	}
	become_postgres();
	/* A test that dies must not leave a server behind. */
	prctl(PR_SET_PDEATHSIG, SIGINT);
	if (getppid() != parent || chdir(cluster->dir) != 0 ||
	    freopen(log, "a", stdout) == NULL ||
	    dup2(fileno(stdout), STDERR_FILENO) < 0) {
		_exit(127);
	}
	char path[320];
	snprintf(path, sizeof(path), "%s/%s", cluster->bin, argv[0]);
	argv[0] = path;
	execv(path, (char *const *)argv);
	_exit(127);
}

static bool
run_initdb(const pg_cluster *cluster)
{
	const char *argv[] = { "initdb",
			       "-D",
			       "data",
			       "-U",
			       "postgres",
			       "--auth=trust",
			       "--encoding=UTF8",
			       "--locale=C",
			       "--data-checksums",
			       "--no-sync",
			       NULL };
	int status = -1;
	pid_t pid = spawn(cluster, "initdb.log", argv);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool
run_postgres(pg_cluster *cluster)
{
	char port[16];
	char sockets[256];
	snprintf(port, sizeof(port), "%d", cluster->port);
	snprintf(sockets, sizeof(sockets), "unix_socket_directories=%s",
		 cluster->socket_dir);
	const char *argv[] = { "postgres",
			       "-D",
			       "data",
			       "-p",
			       port,
			       "-c",
			       sockets,
			       "-c",
			       "listen_addresses=127.0.0.1",
			       "-c",
			       "fsync=on",
			       "-c",
			       "shared_buffers=256MB",
			       "-c",
			       "max_wal_size=4GB",
			       "-c",
			       "max_connections=60",
			       "-c",
			       "log_min_messages=fatal",
			       NULL };
	cluster->pid = spawn(cluster, "server.log", argv);
	return cluster->pid > 0;
}

static bool
wait_ready(pg_cluster *cluster)
{
	for (int waited_ms = 0; waited_ms < READY_MS; waited_ms += 50) {
		if (PQping(pg_cluster_url(cluster, "postgres")) == PQPING_OK) {
			return true;
		}
		if (waitpid(cluster->pid, NULL, WNOHANG) == cluster->pid) {
			cluster->pid = 0;
			break;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 50 * 1000 * 1000 }, NULL);
	}
	fprintf(stderr, "pg_cluster: the server did not start, see %s/server.log\n",
		cluster->dir);
	return false;
}

static bool
make_dir(pg_cluster *cluster)
{
	snprintf(cluster->dir, sizeof(cluster->dir), "/tmp/busline-pg-XXXXXX");
	if (mkdtemp(cluster->dir) == NULL) {
		return false;
	}
	snprintf(cluster->socket_dir, sizeof(cluster->socket_dir), "%s", cluster->dir);
	const struct passwd *user = geteuid() == 0 ? getpwnam("postgres") : NULL;
	return geteuid() != 0 ||
	       (user != NULL && chown(cluster->dir, user->pw_uid, user->pw_gid) == 0);
}

pg_cluster *
pg_cluster_start(void)
{
	pg_cluster *cluster = calloc(1, sizeof(*cluster));
	if (cluster == NULL) {
		return NULL;
	}
	cluster->given = getenv("BUSLINE_TEST_PG");
	if (cluster->given != NULL && cluster->given[0] != '\0') {
		return cluster;
	}
	cluster->given = NULL;
	cluster->port = free_port();
	if (cluster->port == 0 || !find_bin(cluster->bin, sizeof(cluster->bin)) ||
	    !make_dir(cluster) || !run_initdb(cluster) || !run_postgres(cluster) ||
	    !wait_ready(cluster)) {
		fprintf(stderr, "pg_cluster: cannot start a server in %s\n", cluster->dir);
		pg_cluster_stop(cluster);
		return NULL;
	}
	return cluster;
}

static int
remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
	(void)info;
	(void)type;
	(void)walk;
	return remove(path);
}

void
pg_cluster_stop(pg_cluster *cluster)
{
	if (cluster == NULL) {
		return;
	}
	if (cluster->pid > 0) {
		kill(cluster->pid, SIGQUIT); /* at once: the files go away anyway */
		waitpid(cluster->pid, NULL, 0);
	}
	if (cluster->dir[0] != '\0') {
		nftw(cluster->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	}
	free(cluster);
}

const char *
pg_cluster_url(pg_cluster *cluster, const char *database)
{
	if (cluster->given != NULL) {
		/* An URL of a server, with or without a database and options. */
		const char *options = strchr(cluster->given, '?');
		size_t len = options != NULL ? (size_t)(options - cluster->given) :
					       strlen(cluster->given);
		const char *host = strstr(cluster->given, "://");
		const char *path =
			host == NULL ? NULL :
				       memchr(host + 3, '/',
					      len - (size_t)(host + 3 - cluster->given));
		len = path != NULL ? (size_t)(path - cluster->given) : len;
		snprintf(cluster->url, sizeof(cluster->url), "%.*s/%s%s", (int)len,
			 cluster->given, database, options != NULL ? options : "");
	} else {
		snprintf(cluster->url, sizeof(cluster->url),
			 "host=%s port=%d user=postgres dbname=%s", cluster->socket_dir,
			 cluster->port, database);
	}
	return cluster->url;
}

const char *
pg_cluster_tcp_url(pg_cluster *cluster, const char *database)
{
	if (cluster->given != NULL) {
		return NULL;
	}
	snprintf(cluster->url, sizeof(cluster->url),
		 "host=127.0.0.1 port=%d user=postgres dbname=%s", cluster->port,
		 database);
	return cluster->url;
}

int
pg_cluster_port(const pg_cluster *cluster)
{
	return cluster->port;
}

static bool
run_sql(PGconn *conn, const char *sql)
{
	PGresult *result = PQexec(conn, sql);
	bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;
	PQclear(result);
	return ok;
}

bool
pg_cluster_database(pg_cluster *cluster, const char *name)
{
	PGconn *conn = PQconnectdb(pg_cluster_url(cluster, "postgres"));
	bool ok = PQstatus(conn) == CONNECTION_OK;
	char *quoted = PQescapeIdentifier(conn, name, strlen(name));
	char drop[256];
	char create[256];
	snprintf(drop, sizeof(drop), "DROP DATABASE IF EXISTS %s WITH (FORCE)",
		 quoted != NULL ? quoted : "");
	snprintf(create, sizeof(create),
		 "CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8'",
		 quoted != NULL ? quoted : "");
	ok = ok && quoted != NULL && run_sql(conn, drop) && run_sql(conn, create);
	if (!ok) {
		fprintf(stderr, "pg_cluster: database %s: %s", name, PQerrorMessage(conn));
	}
	PQfreemem(quoted);
	PQfinish(conn);
	return ok;
}
