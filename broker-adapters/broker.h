/*
 * broker.h - the embedded broker: topics on one machine, nothing acknowledged that is
 * not on disk
 *
 * DESIGN
 * A process of its own (`busline broker`). Clients reach it through the nng adapter; the
 * protocol is in nng/README.md. Everything is in one SQLite file in WAL mode with
 * synchronous=FULL, written by one thread: what all clients sent while the disk was busy
 * is the next commit, and is acknowledged after that commit returned.
 */
#ifndef BUS_BROKER_H
#define BUS_BROKER_H

#include <signal.h>

#include "broker-adapters/adapter.h"
#include "core/arena.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/status.h"

#define BUS_BROKER_PORT 7440
#define BUS_BROKER_LISTEN_DEFAULT "nng+tcp://127.0.0.1:7440"

typedef struct bus_broker_options {
	const char *directory; /* made if it is missing; its parent must be there */
	const char *listen; /* nng+tcp://host:port or nng+tls+tcp://host:port; port 0: any */
	const char *token_file; /* clients must show what it holds; required off loopback */
	const char *tls_file; /* certificate chain and key, PEM; required by nng+tls+tcp */
	size_t connections_max; /* one more is closed at once */
	const bus_clock *clock;
	const volatile sig_atomic_t *stop; /* not 0: drain, checkpoint, return */
	/* Called once, when clients can connect; url has the port that was taken. */
	void (*on_ready)(void *ctx, const char *url);
	void *ctx;
} bus_broker_options;

/**
 * bus_broker_serve - be the broker until *stop
 *
 * Errors: BUS_E_FATAL the directory is another broker's, damaged or older than what was
 * acknowledged; the address is taken or not allowed; the disk failed (nothing was
 * acknowledged after that). The error says which and what to do.
 */
BUS_MUST_CHECK bus_status bus_broker_serve(const bus_broker_options *options,
					   bus_error *err);

/* What bus_broker_check found. */
typedef struct bus_broker_damage {
	const char *topic; /* "" where it is not of one partition */
	int32_t partition; /* -1: not of one partition */
	int64_t offset;    /* first that cannot be read, -1: not of one record */
	const char *what;
} bus_broker_damage;

typedef struct bus_broker_check_options {
	const char *directory;
	void (*on_damage)(void *ctx, const bus_broker_damage *damage); /* borrowed */
	/* now and then; total is what the store says it holds */
	void (*on_progress)(void *ctx, uint64_t records, uint64_t total);
	void *ctx;
} bus_broker_check_options;

typedef struct bus_broker_check_result {
	uint64_t topics, partitions, records, bytes, damages;
} bus_broker_check_result;

/**
 * bus_broker_check - read and verify everything a broker's directory holds
 *
 * Changes nothing. OK also when there is damage: *ret_result counts it.
 * Errors: BUS_E_FATAL not a broker's directory, or a broker is running on it.
 */
BUS_MUST_CHECK bus_status bus_broker_check(const bus_broker_check_options *options,
					   bus_broker_check_result *ret_result,
					   bus_error *err);

/* What a running broker says of itself; all in the arena that was given. */
typedef struct bus_broker_log {
	int64_t start; /* oldest record kept */
	int64_t end;   /* of the next record */
	int64_t bytes;
	int64_t damaged_at; /* offset that cannot be read, -1: none is known */
} bus_broker_log;

typedef struct bus_broker_topic {
	bus_topic_info info;
	bool sealed;
	bus_broker_log *logs; /* of info.partitions */
} bus_broker_topic;

typedef struct bus_broker_member {
	uint64_t id;
	bus_str client;
	int32_t *partitions; /* what it holds now */
	size_t partition_count;
} bus_broker_member;

typedef struct bus_broker_cursor {
	int32_t partition;
	int64_t offset; /* where the group said it was; a hint, positions are elsewhere */
	int64_t end;
	int64_t noted_ms;
} bus_broker_cursor;

/* A group on one topic. */
typedef struct bus_broker_group {
	bus_str name;
	bus_str topic;
	uint64_t generation; /* 0: it has no member */
	bus_broker_member *members;
	size_t member_count;
	bus_broker_cursor *cursors;
	size_t cursor_count;
} bus_broker_group;

#define BUS_BROKER_UUID_TEXT 37 /* and its NUL */

typedef struct bus_broker_status {
	char uuid[BUS_BROKER_UUID_TEXT]; /* made with the store: which log this is */
	int64_t started_s;               /* seconds since 1970 */
	bus_str version;
	bus_broker_topic *topics;
	size_t topic_count;
	bus_broker_group *groups;
	size_t group_count;
} bus_broker_status;

/**
 * bus_broker_status_read - ask a running broker how it is
 *
 * @options: as for an adapter; the URL is nng+tcp:// or nng+tls+tcp://
 *
 * Blocks up to timeout_ms for each of its questions. Errors: BUS_E_RETRY not reachable;
 * BUS_E_FATAL the URL is no embedded broker's, or refused.
 */
BUS_MUST_CHECK bus_status bus_broker_status_read(const bus_adapter_options *options,
						 int timeout_ms, bus_arena *arena,
						 bus_broker_status *ret_status,
						 bus_error *err);

#endif
