/*
 * settings.c - how librdkafka is configured, each line with its reason
 *
 * DESIGN
 * Written for librdkafka 2.0.2, right on later ones. Three layers: our tunable values, the
 * operator's properties, our fixed values. A property that touches a fixed value is
 * refused with the reason, because a guarantee of the platform hangs on it.
 */
#include "broker-adapters/kafka/kafka.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"

#define BUSP_ALL (BUSP_ROLE_ADMIN | BUSP_ROLE_PRODUCER | BUSP_ROLE_CONSUMER)
#define BUSP_SESSION_MS 6000
/* A worker that has not polled for this long is stuck, not slow: a unit's longest wait is
 * db.deadline-ms. Its partitions go to another; the epoch keeps it from writing. */
#define BUSP_POLL_INTERVAL_MS 60000

typedef struct busp_setting {
	unsigned roles;
	const char *name;
	const char *value;
	enum {
		BUSP_TUNABLE,
		BUSP_FIXED,
		BUSP_IF_KNOWN
	} kind; /* IF_KNOWN: not in 2.0.2 */
	const char *reason;
} busp_setting;

static const busp_setting busp_settings[] = {
	/* every handle */
	{ BUSP_ALL, "allow.auto.create.topics", "false", BUSP_FIXED,
	  "a mistyped name must be an error, not a topic with default partitions" },
	{ BUSP_ALL, "socket.keepalive.enable", "true", BUSP_TUNABLE,
	  "off by default: a peer that vanished would be noticed after a minute only" },
	{ BUSP_ALL, "socket.nagle.disable", "true", BUSP_TUNABLE,
	  "Nagle is on by default until 2.10.0 and adds up to 40 ms to small requests" },
	{ BUSP_ALL, "socket.connection.setup.timeout.ms", "5000", BUSP_TUNABLE,
	  "30 s by default: longer than a takeover may take" },
	{ BUSP_ALL, "reconnect.backoff.max.ms", "1000", BUSP_TUNABLE,
	  "10 s by default: a restarted broker would be found 10 s late" },
	{ BUSP_ALL, "log.connection.close", "false", BUSP_TUNABLE,
	  "brokers close idle connections; that is no news" },

	/* writing */
	{ BUSP_ROLE_PRODUCER, "enable.idempotence", "true", BUSP_FIXED,
	  "off by default: a retry would repeat and reorder within a partition" },
	{ BUSP_ROLE_PRODUCER, "enable.gapless.guarantee", "true", BUSP_FIXED,
	  "false by default: what lies behind a refused batch would be sent on, and be in "
	  "the log before it when that is sent again" },
	{ BUSP_ROLE_PRODUCER, "acks", "all", BUSP_FIXED,
	  "durable means every in-sync replica has it" },
	{ BUSP_ROLE_PRODUCER, "message.timeout.ms", "300000", BUSP_FIXED,
	  "a message that times out inside the library leaves a gap in the idempotent "
	  "sequence and can turn the producer fatal (librdkafka#3584); publish has its own, "
	  "shorter deadline" },
	{ BUSP_ROLE_PRODUCER, "message.max.bytes", "1000000", BUSP_TUNABLE,
	  "as BUSP_RECORD_BYTES_MAX" },
	{ BUSP_ROLE_PRODUCER, "linger.ms", "5", BUSP_TUNABLE,
	  "lets a batch fill while publish hands its events over; publish then flushes, "
	  "which ends the lingering, so that a single event does not wait for it" },
	{ BUSP_ROLE_PRODUCER, "queue.buffering.max.kbytes", "131072", BUSP_TUNABLE,
	  "1 GiB by default; a publish of more waits for room, it does not fail" },

	/* reading */
	{ BUSP_ROLE_CONSUMER, "enable.auto.commit", "false", BUSP_FIXED,
	  "positions are in PostgreSQL; the broker's cursor is written by note() only" },
	{ BUSP_ROLE_CONSUMER, "enable.auto.offset.store", "false", BUSP_FIXED,
	  "likewise: nothing is stored for having been read" },
	{ BUSP_ROLE_CONSUMER, "auto.offset.reset", "error", BUSP_FIXED,
	  "largest by default, which skips silently what retention or a lost log took" },
	{ BUSP_ROLE_CONSUMER, "check.crcs", "true", BUSP_FIXED,
	  "false by default: a flipped bit would become an event" },
	{ BUSP_ROLE_CONSUMER, "isolation.level", "read_committed", BUSP_FIXED,
	  "foreign producers may use transactions: what they aborted never happened" },
	{ BUSP_ROLE_CONSUMER, "partition.assignment.strategy", "range", BUSP_FIXED,
	  "eager: cooperative loses assignments and spins before 2.10.1 (librdkafka#4059, "
	  "#4783, #4908), sticky can give one partition to two members (#4252)" },
	{ BUSP_ROLE_CONSUMER, "enable.partition.eof", "false", BUSP_FIXED,
	  "the end of a log is not an event" },
	{ BUSP_ROLE_CONSUMER, "fetch.wait.max.ms", "100", BUSP_TUNABLE,
	  "500 by default: a start has to wait for the fetch under way to come back" },
	{ BUSP_ROLE_CONSUMER, "fetch.error.backoff.ms", "100", BUSP_TUNABLE,
	  "500 by default: seen as stalls after a leader moved" },
	{ BUSP_ROLE_CONSUMER, "fetch.queue.backoff.ms", "10", BUSP_IF_KNOWN,
	  "since 2.2.0, 1000 by default: seen as stalls after the local queue was full" },
	{ BUSP_ROLE_CONSUMER, "queued.min.messages", "1000000", BUSP_TUNABLE,
	  "the limit in bytes decides; before 2.2.0 a full queue stops fetching for up to a "
	  "second, so it should hold more than a second's work" },
	{ BUSP_ROLE_CONSUMER, "queued.max.messages.kbytes", "65536", BUSP_TUNABLE,
	  "eight batches of worker.batch-bytes: what one consumer may hold in memory" },
	{ BUSP_ROLE_CONSUMER, "fetch.message.max.bytes", "4194304", BUSP_TUNABLE,
	  "1 MiB by default: four times fewer requests when catching up" },
};

#define BUSP_SETTING_COUNT (sizeof(busp_settings) / sizeof(busp_settings[0]))

/* Names whose value comes from the adapter's options. */
static const char *const busp_from_options[] = {
	"bootstrap.servers",  "metadata.broker.list",  "group.id",
	"session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms",
	"client.id",
};

static bus_status
busp_set(rd_kafka_conf_t *conf, const char *name, const char *value, bool if_known,
	 bus_error *err)
{
	char text[BUSP_KAFKA_TEXT_MAX];
	rd_kafka_conf_res_t result =
		rd_kafka_conf_set(conf, name, value, text, sizeof(text));

	if (result == RD_KAFKA_CONF_OK || (if_known && result == RD_KAFKA_CONF_UNKNOWN)) {
		return BUS_OK;
	}
	return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0, "property %.60s: %s", name,
			     text);
}

static bus_status
busp_set_int(rd_kafka_conf_t *conf, const char *name, int64_t value, bus_error *err)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	return busp_set(conf, name, text, false, err);
}

static bus_status
busp_set_table(rd_kafka_conf_t *conf, busp_kafka_role role, bool fixed, bus_error *err)
{
	bus_status status = BUS_OK;

	for (size_t i = 0; i < BUSP_SETTING_COUNT && status == BUS_OK; i++) {
		const busp_setting *setting = &busp_settings[i];

		if ((setting->roles & (unsigned)role) != 0 &&
		    (setting->kind == BUSP_FIXED) == fixed) {
			status = busp_set(conf, setting->name, setting->value,
					  setting->kind == BUSP_IF_KNOWN, err);
		}
	}
	return status;
}

static bus_status
busp_property_allowed(const char *name, bus_error *err)
{
	for (size_t i = 0; i < BUSP_SETTING_COUNT; i++) {
		if (busp_settings[i].kind == BUSP_FIXED &&
		    strcmp(busp_settings[i].name, name) == 0) {
			return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
					     "property %s is always %s: %s", name,
					     busp_settings[i].value,
					     busp_settings[i].reason);
		}
	}
	for (size_t i = 0; i < sizeof(busp_from_options) / sizeof(busp_from_options[0]);
	     i++) {
		if (strcmp(busp_from_options[i], name) == 0) {
			return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
					     "property %s has a setting of its own",
					     name);
		}
	}
	return BUS_OK;
}

/* "name=value name=value"; a value cannot hold a space. */
static bus_status
busp_set_properties(rd_kafka_conf_t *conf, char *properties, bus_error *err)
{
	char *rest = properties;
	char *property;
	bus_status status = BUS_OK;

	while (status == BUS_OK && (property = strsep(&rest, " ")) != NULL) {
		char *value = strchr(property, '=');

		if (property[0] == '\0') {
			continue;
		}
		if (value == NULL) {
			return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
					     "property \"%.60s\" is not name=value",
					     property);
		}
		*value++ = '\0';
		status = busp_property_allowed(property, err);
		if (status == BUS_OK) {
			status = busp_set(conf, property, value, false, err);
		}
	}
	return status;
}

/* Called on librdkafka's threads; what it says is detail, so it never goes above debug. */
static void
busp_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	BUS_LOG(BUS_LOG_DEBUG, "librdkafka",
		BUS_LOG_S("client", bus_str_from(rd_kafka_name(rk))),
		BUS_LOG_I("severity", level),
		BUS_LOG_S("facility", bus_str_from(facility)),
		BUS_LOG_S("text", bus_str_from(text)));
}

static bus_status
busp_set_group(rd_kafka_conf_t *conf, const busp_kafka *self, const char *group,
	       bus_error *err)
{
	int64_t session_ms = self->session_ms > 0 ? self->session_ms : BUSP_SESSION_MS;
	int64_t interval_ms =
		session_ms > BUSP_POLL_INTERVAL_MS ? session_ms : BUSP_POLL_INTERVAL_MS;
	bus_status status = busp_set(conf, "group.id", group, false, err);

	if (status == BUS_OK) {
		status = busp_set_int(conf, "session.timeout.ms", session_ms, err);
	}
	if (status == BUS_OK) {
		/* two heartbeats may be lost before the session is */
		status = busp_set_int(conf, "heartbeat.interval.ms", session_ms / 3, err);
	}
	if (status == BUS_OK) {
		status = busp_set_int(conf, "max.poll.interval.ms", interval_ms, err);
	}
	return status;
}

static bus_status
busp_configure(rd_kafka_conf_t *conf, const busp_kafka *self, busp_kafka_role role,
	       const char *group, bus_error *err)
{
	char *properties = busp_adapter_copy(self->properties);
	bus_status status = busp_set_table(conf, role, false, err);

	if (status == BUS_OK) {
		status = busp_set_properties(conf, properties, err);
	}
	free(properties);
	if (status == BUS_OK) {
		status = busp_set_table(conf, role, true, err);
	}
	if (status == BUS_OK) {
		status = busp_set(conf, "bootstrap.servers", self->brokers, false, err);
	}
	if (status == BUS_OK) {
		status = busp_set(conf, "client.id", self->client_id, false, err);
	}
	if (status == BUS_OK && group != NULL) {
		status = busp_set_group(conf, self, group, err);
	}
	return status;
}

bus_status
busp_kafka_handle(const busp_kafka *self, busp_kafka_role role, const char *group,
		  rd_kafka_conf_t *conf, rd_kafka_t **ret_rk, bus_error *err)
{
	char text[BUSP_KAFKA_TEXT_MAX];
	rd_kafka_type_t type =
		role == BUSP_ROLE_CONSUMER ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER;
	bus_status status = busp_configure(conf, self, role, group, err);

	if (status == BUS_OK) {
		rd_kafka_conf_set_log_cb(conf, busp_log);
		*ret_rk = rd_kafka_new(type, conf, text, sizeof(text));
		if (*ret_rk != NULL) {
			return BUS_OK;
		}
		status = bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0,
				       "client of %.100s: %s", self->brokers, text);
	}
	rd_kafka_conf_destroy(conf);
	return status;
}
