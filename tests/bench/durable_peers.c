/*
 * durable_peers.c - Redis and NATS by their own protocols, so that no client is in the way
 */
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/buf.h"
#include "tests/bench/durable.h"

#define READ_BYTES 65536
#define LINE_MAX_BYTES 4096

typedef struct peer {
	const durable_options *options;
	int fd;
	size_t number;
	bus_buf out;
	char in[READ_BYTES];
	size_t at, len;
	char line[LINE_MAX_BYTES];
} peer;

static peer *
dial(const durable_options *options, size_t number)
{
	char host[256];
	snprintf(host, sizeof(host), "%s", options->address);
	char *port = strrchr(host, ':');
	if (port == NULL) {
		durable_die(options->address, "host:port");
	}
	*port++ = '\0';
	const struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	peer *p = calloc(1, sizeof(*p));
	p->options = options;
	p->number = number;
	if (getaddrinfo(host, port, &hints, &found) != 0) {
		durable_die(options->address, "no such address");
	}
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0 || connect(p->fd, found->ai_addr, found->ai_addrlen) != 0) {
		durable_die(options->address, "cannot connect");
	}
	freeaddrinfo(found);
	const int on = 1;
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return p;
}

static void
hang_up(void *producer)
{
	peer *p = producer;
	close(p->fd);
	bus_buf_fini(&p->out);
	free(p);
}

static void
flush(peer *p)
{
	for (size_t at = 0; at < p->out.len;) {
		ssize_t sent = send(p->fd, p->out.data + at, p->out.len - at, 0);
		if (sent <= 0) {
			durable_die("send", "the connection is lost");
		}
		at += (size_t)sent;
	}
	bus_buf_clear(&p->out);
}

static char
next_byte(peer *p)
{
	if (p->at == p->len) {
		ssize_t got = recv(p->fd, p->in, sizeof(p->in), 0);
		if (got <= 0) {
			durable_die("receive", "the connection is lost");
		}
		p->at = 0;
		p->len = (size_t)got;
	}
	return p->in[p->at++];
}

/* Without its CR LF. */
static const char *
next_line(peer *p)
{
	size_t len = 0;
	for (char byte = next_byte(p); byte != '\n'; byte = next_byte(p)) {
		if (len + 1 == sizeof(p->line)) {
			durable_die("receive", "an endless line");
		}
		p->line[len++] = byte;
	}
	p->line[len > 0 ? len - 1 : 0] = '\0';
	return p->line;
}

/* ---- Redis ---- */

static void *
redis_open(const durable_options *options, size_t number)
{
	return dial(options, number);
}

static void
redis_append(void *producer, uint64_t number, size_t count)
{
	peer *p = producer;
	for (size_t i = 0; i < count; i++) {
		char key[DURABLE_KEY_BYTES];
		size_t len;
		const char *value = durable_value(p->options, number + i, &len);
		durable_key(number + i, key);
		bus_buf_cstr(&p->out, "*5\r\n$4\r\nXADD\r\n$5\r\n" DURABLE_TOPIC
				      "\r\n$1\r\n*\r\n");
		bus_buf_printf(&p->out, "$%d\r\n", DURABLE_KEY_BYTES);
		bus_buf_append(&p->out, key, DURABLE_KEY_BYTES);
		bus_buf_printf(&p->out, "\r\n$%zu\r\n", len);
		bus_buf_append(&p->out, value, len);
		bus_buf_cstr(&p->out, "\r\n");
	}
	flush(p);
	for (size_t i = 0; i < count; i++) {
		const char *line = next_line(p);
		if (line[0] != '$') {
			durable_die("XADD", line);
		}
		next_line(p);
	}
}

const durable_way durable_redis = { "redis", redis_open, redis_append, hang_up };

/* ---- NATS ---- */

static void *
nats_open(const durable_options *options, size_t number)
{
	peer *p = dial(options, number);
	const char *line = next_line(p);
	if (strncmp(line, "INFO ", 5) != 0) {
		durable_die("NATS", line);
	}
	bus_buf_cstr(&p->out, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n");
	bus_buf_printf(&p->out, "SUB _INBOX.%zu 1\r\nPING\r\n", number);
	flush(p);
	line = next_line(p);
	if (strcmp(line, "PONG") != 0) {
		durable_die("NATS", line);
	}
	return p;
}

/* One acknowledgement of the stream. */
static void
nats_acknowledged(peer *p)
{
	const char *line = next_line(p);
	while (strcmp(line, "PING") == 0) {
		bus_buf_cstr(&p->out, "PONG\r\n");
		flush(p);
		line = next_line(p);
	}
	if (strncmp(line, "MSG ", 4) != 0) {
		durable_die("NATS", line);
	}
	line = next_line(p);
	if (strstr(line, "\"seq\":") == NULL || strstr(line, "\"error\"") != NULL) {
		durable_die("publish", line);
	}
}

static void
nats_append(void *producer, uint64_t number, size_t count)
{
	peer *p = producer;
	for (size_t i = 0; i < count; i++) {
		char key[DURABLE_KEY_BYTES];
		size_t len;
		const char *value = durable_value(p->options, number + i, &len);
		durable_key(number + i, key);
		bus_buf_printf(&p->out, "PUB " DURABLE_TOPIC " _INBOX.%zu %zu\r\n",
			       p->number, len + DURABLE_KEY_BYTES);
		bus_buf_append(&p->out, key, DURABLE_KEY_BYTES);
		bus_buf_append(&p->out, value, len);
		bus_buf_cstr(&p->out, "\r\n");
	}
	flush(p);
	for (size_t i = 0; i < count; i++) {
		nats_acknowledged(p);
	}
}

const durable_way durable_nats = { "nats", nats_open, nats_append, hang_up };
