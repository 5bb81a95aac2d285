/*
 * server_listen.c - where the broker listens, and who may reach it there
 *
 * Off loopback only with a token: whoever reaches the port could write events otherwise.
 */
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "broker-adapters/nng/server.h"
#include "core/log.h"

#define SCHEME_TCP "nng+tcp://"
#define SCHEME_TLS "nng+tls+tcp://"
#define HOST_MAX 256

typedef struct busp_place {
	const char *address; /* the URL as nng takes it */
	char host[HOST_MAX]; /* without the brackets of IPv6 */
	char port[8];
	bool tls;
} busp_place;

static bus_status
busp_place_wrong(const char *url, bus_error *err)
{
	return bus_error_set(err, BUS_E_FATAL, "config", 0,
			     "broker.listen \"%.200s\": must be nng+tcp://host:port or "
			     "nng+tls+tcp://host:port",
			     url);
}

static bool
busp_port_read(const char *text, busp_place *place)
{
	size_t len = strspn(text, "0123456789");
	if (len == 0 || len > 5 || text[len] != '\0' || atol(text) > 65535) {
		return false;
	}
	memcpy(place->port, text, len + 1);
	return true;
}

static bus_status
busp_place_read(const char *url, busp_place *place, bus_error *err)
{
	const char *host = NULL;
	if (strncmp(url, SCHEME_TCP, strlen(SCHEME_TCP)) == 0) {
		host = url + strlen(SCHEME_TCP);
	} else if (strncmp(url, SCHEME_TLS, strlen(SCHEME_TLS)) == 0) {
		host = url + strlen(SCHEME_TLS);
		place->tls = true;
	}
	const char *colon = host != NULL ? strrchr(host, ':') : NULL;
	if (colon == NULL || colon == host || !busp_port_read(colon + 1, place) ||
	    strpbrk(host, "/?#@ \t\r\n") != NULL) {
		return busp_place_wrong(url, err);
	}
	size_t len = (size_t)(colon - host);
	bool bracketed = host[0] == '[' && host[len - 1] == ']';
	host += bracketed;
	len -= bracketed ? 2 : 0;
	if (len == 0 || len >= HOST_MAX) {
		return busp_place_wrong(url, err);
	}
	memcpy(place->host, host, len);
	place->address = url + strlen("nng+");
	return BUS_OK;
}

static bool
busp_sockaddr_loopback(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, address, sizeof(in));
		return ntohl(in.sin_addr.s_addr) >> 24 == 127;
	}
	if (address->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;
		memcpy(&in6, address, sizeof(in6));
		return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
	}
	return false;
}

/* Every address of the host; "*" is all interfaces. */
static bus_status
busp_place_loopback(const busp_place *place, bool *ret_loopback, bus_error *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	struct addrinfo *found = NULL;
	*ret_loopback = false;
	if (strcmp(place->host, "*") == 0) {
		return BUS_OK;
	}
	int rc = getaddrinfo(place->host, place->port, &hints, &found);
	if (rc != 0) {
		return bus_error_set(err, BUS_E_FATAL, "config", rc,
				     "broker.listen: host %.200s: %s", place->host,
				     gai_strerror(rc));
	}
	*ret_loopback = true;
	for (const struct addrinfo *at = found; at != NULL; at = at->ai_next) {
		*ret_loopback = *ret_loopback && busp_sockaddr_loopback(at->ai_addr);
	}
	freeaddrinfo(found);
	return BUS_OK;
}

static bus_status
busp_place_allowed(busp_server *server, const busp_place *place, bus_error *err)
{
	bool loopback;
	if (busp_place_loopback(place, &loopback, err) != BUS_OK) {
		return err->status;
	}
	if (!loopback && !server->has_token) {
		return bus_error_set(err, BUS_E_FATAL, "config", 0,
				     "broker.listen %.200s can be reached from other "
				     "machines; that takes --broker-token-file, or listen "
				     "on 127.0.0.1",
				     server->options->listen);
	}
	if (!loopback && !place->tls) {
		BUS_LOG(BUS_LOG_WARN, "token and events travel in the clear without TLS",
			BUS_LOG_S("listen", bus_str_from(server->options->listen)));
	}
	if (place->tls && server->options->tls_file == NULL) {
		return bus_error_set(err, BUS_E_FATAL, "config", 0,
				     "broker.listen %.200s needs a certificate and its key; "
				     "give --broker-tls-file",
				     server->options->listen);
	}
	return BUS_OK;
}

/* Each connection is a descriptor; the journal must never be the one that gets none. */
static bus_status
busp_descriptors(const bus_broker_options *options, bus_error *err)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
		return BUS_OK;
	}
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < options->connections_max + BUSP_DESCRIPTORS_RESERVE) {
		return bus_error_set(err, BUS_E_FATAL, "config", 0,
				     "broker.connections-max %zu takes %zu open files, the "
				     "system allows %llu; raise `ulimit -n` or lower it",
				     options->connections_max,
				     options->connections_max + BUSP_DESCRIPTORS_RESERVE,
				     (unsigned long long)limit.rlim_cur);
	}
	return BUS_OK;
}

static int
busp_listener_make(busp_server *server, const busp_place *place)
{
	int rv = nng_stream_listener_alloc(&server->listener, place->address);
	rv = rv != 0 ? rv :
		       nng_stream_listener_set_bool(server->listener, NNG_OPT_TCP_NODELAY,
						    true);
	rv = rv != 0 ? rv :
		       nng_stream_listener_set_bool(server->listener,
						    NNG_OPT_TCP_KEEPALIVE, true);
	return rv;
}

bus_status
busp_listen_open(busp_server *server, bus_error *err)
{
	const bus_broker_options *options = server->options;
	if (options->token_file != NULL) {
		if (busp_token_load(options->token_file, server->token, err) != BUS_OK) {
			return err->status;
		}
		server->has_token = true;
	}
	busp_place place = { 0 };
	if (busp_place_read(options->listen, &place, err) != BUS_OK ||
	    busp_place_allowed(server, &place, err) != BUS_OK ||
	    busp_descriptors(options, err) != BUS_OK) {
		return err->status;
	}
	return BUS_OK;
}

bus_status
busp_listen_start(busp_server *server, bus_buf *ret_url, bus_error *err)
{
	busp_place place = { 0 };
	if (busp_place_read(server->options->listen, &place, err) != BUS_OK) {
		return err->status;
	}
	server->tls = place.tls;
	int rv = busp_listener_make(server, &place);
	if (rv == 0 && place.tls) {
		rv = nng_stream_listener_set_string(server->listener,
						    NNG_OPT_TLS_CERT_KEY_FILE,
						    server->options->tls_file);
		if (rv != 0) {
			return bus_error_set(err, BUS_E_FATAL, "config", rv,
					     "broker.tls-file %.200s: %s; it holds "
					     "certificates and their key, as PEM",
					     server->options->tls_file, nng_strerror(rv));
		}
	}
	rv = rv != 0 ? rv : nng_stream_listener_listen(server->listener);
	if (rv != 0) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, rv,
				     "broker.listen %.200s: %s", server->options->listen,
				     nng_strerror(rv));
	}
	int port = atoi(place.port);
	if (port == 0) {
		rv = nng_stream_listener_get_int(server->listener, NNG_OPT_TCP_BOUND_PORT,
						 &port);
	}
	if (rv != 0) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, rv,
				     "broker.listen %.200s: which port? %s",
				     server->options->listen, nng_strerror(rv));
	}
	bool ipv6 = strchr(place.host, ':') != NULL;
	bus_buf_printf(ret_url, "%s%s%s%s:%d", place.tls ? SCHEME_TLS : SCHEME_TCP,
		       ipv6 ? "[" : "", place.host, ipv6 ? "]" : "", port);
	return BUS_OK;
}
