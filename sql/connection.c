/*
 * connection.c - open, wait, close; never longer than our own deadline
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "sql/store_private.h"

/* As much of a unit as the kernel lets lie between us and the server, so that it has work
 * while we fold the next; the kernel's own limit cuts it. */
#define SEND_BUFFER_BYTES (4 << 20)

/* Where the URL says nothing. The TCP ones end a connection whose other side is gone; our
 * own deadline is what ends one whose other side is frozen. */
static const struct {
	const char *keyword;
	const char *value;
} connection_defaults[] = {
	{ "connect_timeout", "3" },      { "keepalives_idle", "5" },
	{ "keepalives_interval", "3" },  { "keepalives_count", "3" },
	{ "tcp_user_timeout", "10000" }, { "gssencmode", "disable" },
};
#define DEFAULTS_COUNT (sizeof(connection_defaults) / sizeof(connection_defaults[0]))
/* More than libpq has. */
#define KEYWORDS_MAX 96

static char *
copy_of(const char *text)
{
	return text == NULL ? NULL : strdup(text);
}

bus_store *
bus_store_create(const bus_store_options *options)
{
	bus_store *store = calloc(1, sizeof(*store));
	if (store == NULL) {
		return NULL;
	}
	store->url = copy_of(options->url != NULL ? options->url : "");
	store->role = copy_of(options->role != NULL ? options->role : "");
	store->application_name =
		copy_of(options->application_name != NULL ? options->application_name :
							    "busline");
	store->deadline_ms = options->deadline_ms > 0 ? options->deadline_ms : 1;
	store->durable = options->durable;
	store->clock = options->clock != NULL ? options->clock : bus_clock_system();
	store->generation = 1;
	store->prepared = calloc(busp_query_count() + 1, sizeof(*store->prepared));
	store->arena = bus_arena_create(BUSP_ARENA_CHUNK);
	if (store->url == NULL || store->role == NULL ||
	    store->application_name == NULL || store->prepared == NULL ||
	    store->arena == NULL) {
		bus_store_destroy(store);
		return NULL;
	}
	return store;
}

void
bus_store_destroy(bus_store *store)
{
	if (store == NULL) {
		return;
	}
	bus_store_disconnect(store);
	busp_params_fini(&store->params);
	bus_arena_destroy(store->arena);
	free(store->migrations);
	free(store->prepared);
	free(store->application_name);
	free(store->role);
	if (store->url != NULL) {
		explicit_bzero(store->url,
			       strlen(store->url)); /* it may hold a password */
	}
	free(store->url);
	free(store);
}

/* PQfinish on a non-blocking connection tries to say goodbye and does not insist. */
void
bus_store_disconnect(bus_store *store)
{
	busp_segments_clear(store);
	if (store->conn != NULL) {
		PQfinish(store->conn);
		store->conn = NULL;
	}
}

bool
bus_store_connected(const bus_store *store)
{
	return store->conn != NULL && PQstatus(store->conn) == CONNECTION_OK;
}

int64_t
busp_deadline(const bus_store *store)
{
	return bus_clock_mono_ms(store->clock) + store->deadline_ms;
}

busp_waited
busp_wait(bus_store *store, bool write, int64_t deadline_mono_ms)
{
	struct pollfd fd = { .fd = PQsocket(store->conn), .events = POLLIN };
	if (write) {
		fd.events |= POLLOUT;
	}
	if (fd.fd < 0) {
		return BUSP_BROKEN;
	}
	int64_t left_ms = deadline_mono_ms - bus_clock_mono_ms(store->clock);
	left_ms = left_ms < 0 ? 0 : left_ms > 3600000 ? 3600000 : left_ms;
	int ready = poll(&fd, 1, (int)left_ms);
	if (ready < 0) {
		return errno == EINTR ? BUSP_INTERRUPTED : BUSP_BROKEN;
	}
	return ready == 0 ? BUSP_TIMED_OUT : BUSP_READY;
}

/* libpq tells no SQLSTATE of a refused connection except inside a verbose message:
 * "FATAL:  28P01: ...". */
static void
refusal_sqlstate(const char *message, char ret_sqlstate[BUS_SQLSTATE_LEN + 1])
{
	ret_sqlstate[0] = '\0';
	for (const char *at = strstr(message, ":  "); at != NULL;
	     at = strstr(at + 1, ":  ")) {
		size_t len = strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");
		if (len == BUS_SQLSTATE_LEN && at[3 + len] == ':') {
			memcpy(ret_sqlstate, at + 3, BUS_SQLSTATE_LEN);
			ret_sqlstate[BUS_SQLSTATE_LEN] = '\0';
		}
	}
}

static bus_status
open_failed(bus_store *store, bus_error *err)
{
	char sqlstate[BUS_SQLSTATE_LEN + 1];
	const char *message = PQerrorMessage(store->conn);
	refusal_sqlstate(message, sqlstate);
	bus_status status = sqlstate[0] == '\0' ?
				    BUS_E_RETRY :
				    busp_status_of(sqlstate, BUSP_IN_CONNECT);
	if (err != NULL && err->status == BUS_OK) {
		memcpy(err->sqlstate, sqlstate, sizeof(sqlstate));
		bus_error_set(err, status, BUSP_ORIGIN, 0, "cannot connect: %.*s",
			      (int)strcspn(message, "\n"), message);
	}
	bus_store_disconnect(store);
	return status;
}

/* The URL's words and our defaults, as libpq wants them. */
static PGconn *
open_start(bus_store *store, bus_error *err)
{
	char *message = NULL;
	PQconninfoOption *given = PQconninfoParse(store->url, &message);
	if (given == NULL) {
		bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
			      "the database URL is wrong: %s",
			      message != NULL ? message : "out of memory");
		PQfreemem(message);
		return NULL;
	}
	const char *keywords[KEYWORDS_MAX];
	const char *values[KEYWORDS_MAX];
	size_t count = 0;
	bool several_hosts = false;
	for (size_t i = 0; i < DEFAULTS_COUNT; i++) {
		keywords[count] = connection_defaults[i].keyword;
		values[count++] = connection_defaults[i].value;
	}
	for (PQconninfoOption *o = given; o->keyword != NULL; o++) {
		if (o->val == NULL) {
			continue;
		}
		assert(count + 4 < KEYWORDS_MAX);
		several_hosts |= strncmp(o->keyword, "host", 4) == 0 &&
				 strchr(o->val, ',') != NULL;
		keywords[count] = o->keyword; /* a later one of the same name wins */
		values[count++] = o->val;
	}
	if (several_hosts) {
		keywords[count] = "target_session_attrs";
		values[count++] = "read-write";
	}
	keywords[count] = "client_encoding"; /* we speak nothing else */
	values[count++] = "UTF8";
	keywords[count] = NULL;
	values[count] = NULL;
	PGconn *conn = PQconnectStartParams(keywords, values, 0);
	PQconninfoFree(given);
	if (conn == NULL) {
		bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
			      "out of memory connecting");
	}
	return conn;
}

static void
notice_ignore(void *ctx, const PGresult *result)
{
	(void)ctx;
	(void)result;
}

bus_status
busp_open(bus_store *store, bus_error *err)
{
	bus_store_disconnect(store);
	busp_prepared_forget(store);
	store->conn = open_start(store, err);
	if (store->conn == NULL) {
		return BUS_E_FATAL;
	}
	PQsetErrorVerbosity(store->conn, PQERRORS_VERBOSE);
	PQsetNoticeReceiver(store->conn, notice_ignore, NULL);
	int64_t deadline = busp_deadline(store);
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;
	if (PQstatus(store->conn) == CONNECTION_BAD) {
		next = PGRES_POLLING_FAILED;
	}
	while (next != PGRES_POLLING_OK) {
		if (next == PGRES_POLLING_FAILED) {
			return open_failed(store, err);
		}
		switch (busp_wait(store, next == PGRES_POLLING_WRITING, deadline)) {
		case BUSP_READY:
			next = PQconnectPoll(store->conn);
			break;
		case BUSP_INTERRUPTED:
			break;
		case BUSP_TIMED_OUT:
		case BUSP_BROKEN:
			bus_store_disconnect(store);
			return bus_error_set(err, BUS_E_RETRY, BUSP_ORIGIN, 0,
					     "cannot connect: no answer within %lld ms",
					     (long long)store->deadline_ms);
		}
	}
	PQsetErrorVerbosity(store->conn, PQERRORS_DEFAULT);
	int bytes = SEND_BUFFER_BYTES;
	(void)setsockopt(PQsocket(store->conn), SOL_SOCKET, SO_SNDBUF, &bytes,
			 sizeof(bytes));
	if (PQsetnonblocking(store->conn, 1) != 0) {
		return open_failed(store, err);
	}
	return BUS_OK;
}

bus_status
busp_flush(bus_store *store, bus_error *err)
{
	int64_t deadline = busp_deadline(store);
	for (;;) {
		int left = PQflush(store->conn);
		if (left == 0) {
			return BUS_OK;
		}
		busp_waited waited =
			left < 0 ? BUSP_BROKEN : busp_wait(store, true, deadline);
		if (waited == BUSP_READY) {
			/* Read too: a server that cannot get rid of its answers stops reading. */
			if (PQconsumeInput(store->conn) != 1) {
				waited = BUSP_BROKEN;
			} else {
				deadline = busp_deadline(store);
			}
		}
		if (waited == BUSP_BROKEN || waited == BUSP_TIMED_OUT) {
			return bus_error_set(
				err, BUS_E_UNKNOWN, BUSP_ORIGIN, 0,
				waited == BUSP_BROKEN ?
					"connection lost while sending" :
					"the server took nothing within the deadline");
		}
	}
}

bus_status
busp_plain_result(bus_store *store, const char *what, int64_t deadline_ms,
		  PGresult **ret_result, bus_error *err)
{
	int64_t deadline = bus_clock_mono_ms(store->clock) + deadline_ms;
	PGresult *last = NULL;
	for (;;) {
		while (PQisBusy(store->conn)) {
			busp_waited waited = busp_wait(store, false, deadline);
			if (waited == BUSP_TIMED_OUT || waited == BUSP_BROKEN ||
			    (waited == BUSP_READY && PQconsumeInput(store->conn) != 1)) {
				PQclear(last);
				bus_store_disconnect(store);
				return bus_error_set(
					err, BUS_E_RETRY, BUSP_ORIGIN, 0, "%s: %s", what,
					waited == BUSP_TIMED_OUT ?
						"no answer within the deadline" :
						"connection lost");
			}
		}
		PGresult *result = PQgetResult(store->conn);
		if (result == NULL) {
			break;
		}
		/* A script has many results; the first error is the one that counts. */
		if (last != NULL && PQresultStatus(last) == PGRES_FATAL_ERROR) {
			PQclear(result);
			continue;
		}
		PQclear(last);
		last = result;
	}
	if (last == NULL || PQresultStatus(last) == PGRES_FATAL_ERROR) {
		bus_status status =
			last == NULL ?
				bus_error_set(err, BUS_E_RETRY, BUSP_ORIGIN, 0,
					      "%s: no result", what) :
				busp_error_result(err, last, BUSP_IN_CONNECT, what);
		PQclear(last);
		return status;
	}
	*ret_result = last;
	return BUS_OK;
}

bus_status
busp_plain(bus_store *store, const char *query, const busp_params *params,
	   int64_t deadline_ms, PGresult **ret_result, bus_error *err)
{
	const char *values[BUSP_PARAMS_MAX];
	size_t file = busp_query_find(query);
	assert(file != SIZE_MAX);
	for (size_t i = 0; i < params->count; i++) {
		values[i] =
			params->absent[i] ? NULL : bus_buf_view(&params->bufs[i]).data;
	}
	if (PQsendQueryParams(store->conn, busp_query_file(file)->data,
			      (int)params->count, NULL, values, NULL, NULL, 0) != 1) {
		bus_store_disconnect(store);
		return bus_error_set(err, BUS_E_RETRY, BUSP_ORIGIN, 0, "%s: cannot send",
				     query);
	}
	bus_error flushed = BUS_ERROR_INIT;
	if (busp_flush(store, &flushed) != BUS_OK) {
		bus_store_disconnect(store);
		return bus_error_set(err, BUS_E_RETRY, BUSP_ORIGIN, 0, "%s: %s", query,
				     flushed.text);
	}
	return busp_plain_result(store, query, deadline_ms, ret_result, err);
}
