/*
 * config.h - every setting of every role, one table
 *
 * flag > environment > file > default. The table prints `busline config show --origin`
 * and docs/configuration.md. A secret may be given as <ENV>_FILE, the path of a file
 * holding it; it is never printed.
 */
#ifndef BUS_CORE_CONFIG_H
#define BUS_CORE_CONFIG_H

#include "core/buf.h"
#include "core/status.h"
#include "core/str.h"

/* X(symbol, "name", type, "default", flags, "help") - name is section.key; its flag is
 * --section-key, its environment variable BUSLINE_SECTION_KEY, its place in the JSON file
 * { "section": { "key": ... } }. */
#define BUS_CONFIG_LIST(X)                                                                    \
	X(BROKER_URL, "broker.url", BUS_CONFIG_TEXT, "nng+tcp://127.0.0.1:7440", 0,           \
	  "Broker: nng+tcp://host:port (the embedded one), kafka://host:port[,...], memory:") \
	X(BROKER_PROPERTIES, "broker.properties", BUS_CONFIG_TEXT, "",                        \
	  BUS_CONFIG_SECRET,                                                                  \
	  "Further properties, name=value separated by spaces: librdkafka's; the embedded "   \
	  "broker's token-file and tls-ca-file")                                              \
	X(BROKER_LISTEN, "broker.listen", BUS_CONFIG_TEXT, "nng+tcp://127.0.0.1:7440",        \
	  0, "Where `busline broker` listens; off loopback only with a token file")           \
	X(BROKER_DIRECTORY, "broker.directory", BUS_CONFIG_TEXT, "", 0,                       \
	  "Where `busline broker` keeps its store; empty: see `busline broker --help`")       \
	X(BROKER_TOKEN_FILE, "broker.token-file", BUS_CONFIG_TEXT, "", 0,                     \
	  "File whose content clients of `busline broker` must show")                         \
	X(BROKER_TLS_FILE, "broker.tls-file", BUS_CONFIG_TEXT, "", 0,                         \
	  "Certificates and key (PEM) of `busline broker` for nng+tls+tcp://")                \
	X(BROKER_CONNECTIONS_MAX, "broker.connections-max", BUS_CONFIG_INT, "1024", 0,        \
	  "Connections to `busline broker`; one more is closed at once")                      \
	X(BROKER_MOVED_PROPERTIES, "broker.moved-properties", BUS_CONFIG_TEXT, "",            \
	  BUS_CONFIG_SECRET,                                                                  \
	  "The same for a broker that is not that of broker.url: the one the bus has moved "  \
	  "to; empty: broker.properties if its kind is the same")                             \
	X(DB_URL, "db.url", BUS_CONFIG_TEXT, "postgresql:///busline", BUS_CONFIG_SECRET,      \
	  "PostgreSQL connection URI or keyword string")                                      \
	X(DB_ROLE, "db.role", BUS_CONFIG_TEXT, "", 0,                                         \
	  "PostgreSQL role to take on after connecting (SET ROLE); empty: the command's own") \
	X(DB_DEADLINE_MS, "db.deadline-ms", BUS_CONFIG_INT, "5000", 0,                        \
	  "Longest wait for one answer of PostgreSQL before the connection is given up")      \
	X(DB_DURABLE, "db.durable", BUS_CONFIG_BOOL, "true", 0,                               \
	  "Wait for PostgreSQL's WAL flush at every commit (synchronous_commit)")             \
	X(WORKER_GROUP, "worker.group", BUS_CONFIG_TEXT, "busline", 0,                        \
	  "Prefix of the consumer groups; a worker joins <prefix>.<worker>")                  \
	X(WORKER_BATCH_EVENTS, "worker.batch-events", BUS_CONFIG_INT, "2000", 0,              \
	  "Most events in one transaction")                                                   \
	X(WORKER_BATCH_BYTES, "worker.batch-bytes", BUS_CONFIG_INT, "8388608", 0,             \
	  "Most bytes of events in one transaction")                                          \
	X(WORKER_CACHE_ROWS, "worker.cache-rows", BUS_CONFIG_INT, "200000", 0,                \
	  "State rows a worker keeps in memory")                                              \
	X(WORKER_SESSION_MS, "worker.session-ms", BUS_CONFIG_INT, "6000", 0,                  \
	  "A worker silent for this long loses its partitions to another")                    \
	X(WORKER_ATTEMPTS, "worker.attempts", BUS_CONFIG_INT, "5", 0,                         \
	  "Tries of an event that fails for a reason that may pass, before its key waits "    \
	  "for a person")                                                                     \
	X(WORKER_RETRY_BASE_MS, "worker.retry-base-ms", BUS_CONFIG_INT, "200", 0,             \
	  "Longest wait before the second try; it doubles with each one")                     \
	X(WORKER_RETRY_CAP_MS, "worker.retry-cap-ms", BUS_CONFIG_INT, "30000", 0,             \
	  "Longest wait before any try")                                                      \
	X(SCHEMAS_DIRECTORY, "schemas.directory", BUS_CONFIG_TEXT, "", 0,                     \
	  "Event families of your own: a directory of <family>/<fact>.v<N>.json")             \
	X(SAGA_DEFINITIONS, "saga.definitions", BUS_CONFIG_TEXT, "", 0,                       \
	  "Saga definitions of your own: a directory of <name>.v<N>.json")                    \
	X(RELAY_BATCH_EVENTS, "relay.batch-events", BUS_CONFIG_INT, "5000", 0,                \
	  "Most outbox rows of one batch; at most two are published before they are marked")  \
	X(RELAY_POLL_MS, "relay.poll-ms", BUS_CONFIG_INT, "500", 0,                           \
	  "Look into the outbox this often even without a notification")                      \
	X(RELAY_LEASE_MS, "relay.lease-ms", BUS_CONFIG_INT, "5000", 0,                        \
	  "A relay silent for this long loses its share of the outbox to the others")         \
	X(CLOCK_POLL_MS, "clock.poll-ms", BUS_CONFIG_INT, "1000", 0,                          \
	  "Look for new timers this often even without a notification")                       \
	X(CLOCK_LEASE_MS, "clock.lease-ms", BUS_CONFIG_INT, "5000", 0,                        \
	  "A clock silent for this long is replaced by a waiting one")                        \
	X(TOPIC_PARTITIONS, "topic.partitions", BUS_CONFIG_INT, "6", 0,                       \
	  "Partitions of a topic when it is made; fixed from then on")                        \
	X(TOPIC_REPLICATION, "topic.replication", BUS_CONFIG_INT, "1", 0,                     \
	  "Replicas of a topic when it is made; 3 beyond one machine")                        \
	X(TOPIC_RETENTION_MS, "topic.retention-ms", BUS_CONFIG_INT, "-1", 0,                  \
	  "Least retention of a topic, -1 for ever: the window that can be replayed")         \
	X(TOPIC_RETENTION_BYTES, "topic.retention-bytes", BUS_CONFIG_INT, "0", 0,             \
	  "Least room of a partition in a topic, 0 for no limit; what is older goes first")   \
	X(TOPIC_MIN_ISR, "topic.min-isr", BUS_CONFIG_INT, "1", 0,                             \
	  "Least in-sync replicas that acknowledge; 2 with three replicas")                   \
	X(LOG_LEVEL, "log.level", BUS_CONFIG_TEXT, "info", 0,                                 \
	  "Least level logged: debug, info, warn, error")

typedef enum bus_config_key {
#define X(symbol, name, type, fallback, flags, help) BUS_CONF_##symbol,
	BUS_CONFIG_LIST(X)
#undef X
		BUS_CONF_COUNT
} bus_config_key;

typedef enum bus_config_type {
	BUS_CONFIG_TEXT,
	BUS_CONFIG_INT,
	BUS_CONFIG_BOOL
} bus_config_type;
#define BUS_CONFIG_SECRET 1u

typedef enum bus_config_origin {
	BUS_ORIGIN_DEFAULT,
	BUS_ORIGIN_FILE,
	BUS_ORIGIN_ENVIRONMENT,
	BUS_ORIGIN_FLAG,
} bus_config_origin;

typedef struct bus_config_option {
	const char *name;
	bus_config_type type;
	const char *fallback;
	unsigned flags;
	const char *help;
} bus_config_option;

typedef struct bus_config bus_config;

/* Row of the table; borrowed, static. */
const bus_config_option *bus_config_option_of(bus_config_key key);
/* By its name "worker.group" or its flag "worker-group"; BUS_CONF_COUNT if there is none. */
bus_config_key bus_config_find(bus_str name);

/**
 * bus_config_create - all defaults
 *
 * Returns new; destroy wipes secrets. Threads: one thread until loaded, then read only.
 */
bus_config *bus_config_create(void);
void bus_config_destroy(bus_config *config);

/**
 * bus_config_load - file, then environment
 *
 * @path: of a JSON file, or NULL: $BUSLINE_CONFIG, else no file
 *
 * Errors: BUS_E_FATAL a value of the wrong type, an unknown name (in file or in
 * a BUSLINE_ variable), an unreadable file; names it, says where it came from.
 */
BUS_MUST_CHECK bus_status bus_config_load(bus_config *config, const char *path,
					  bus_error *err);

/* A flag's value; beats everything. Errors: BUS_E_FATAL wrong type. */
BUS_MUST_CHECK bus_status bus_config_set(bus_config *config, bus_config_key key,
					 bus_str value, bus_config_origin origin,
					 const char *where, bus_error *err);

/* Borrowed until the config is destroyed; NUL-terminated. */
const char *bus_config_text(const bus_config *config, bus_config_key key);
int64_t bus_config_int(const bus_config *config, bus_config_key key);
bool bus_config_bool(const bus_config *config, bus_config_key key);
/* @ret_where: "BUSLINE_DB_URL", a file's path, "--db-url" or ""; may be NULL. */
bus_config_origin bus_config_origin_of(const bus_config *config, bus_config_key key,
				       const char **ret_where);

/* The table as the page docs/configuration.md. */
void bus_config_document(bus_buf *ret_markdown);

#endif
