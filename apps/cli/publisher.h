/*
 * publisher.h - events on their way: checked, written in batches, and followed to their
 * verdict
 */
#ifndef BUS_CLI_PUBLISHER_H
#define BUS_CLI_PUBLISHER_H

#include "apps/cli/client.h"
#include "apps/cli/output.h"
#include "core/event.h"
#include "schemas/registry.h"

/* One round trip to the broker and one question to PostgreSQL each. */
#define BUS_CLI_BATCH_MAX 1000

#define BUS_CLI_SOURCE "/busline/cli"

typedef struct bus_cli_sent {
	bus_str id, source, type, tenant, subject;
	bus_str verdict; /* absent until known */
	bus_str reason;
	bus_uuid identity;
} bus_cli_sent;

typedef struct bus_cli_publisher {
	const bus_cli *cli;
	char url[BUS_BROKER_URL_MAX]; /* where the bus is */
	bus_adapter *adapter;         /* there */
	int64_t located_ms;
	bus_registry *registry; /* NULL: nothing is checked */
	bool applied;           /* verdicts are waited for */
	bus_store *store;       /* connected with the first batch that is waited for */
	bus_event_mode mode;
	bus_str source;            /* of events without one */
	const char *topic;         /* NULL: that of the type's family */
	int32_t partition;         /* or BUS_PARTITION_HOME */
	const bus_header *headers; /* added to each record */
	size_t header_count;
	int64_t timeout_ms;
	bus_arena *arena; /* of the batch */
	bus_publication publications[BUS_CLI_BATCH_MAX];
	bus_cli_sent sent[BUS_CLI_BATCH_MAX];
	size_t count;
	/* over all batches */
	size_t published;
	size_t rejected;
} bus_cli_publisher;

/* Options every publishing command has; the second is of those that wait. */
#define BUS_CLI_WAIT_OPTIONS                                                                  \
	{ "wait",                                                                             \
	  .kind = BUS_CLI_CHOICE,                                                             \
	  .argument = "durable|applied",                                                      \
	  .fallback = "durable",                                                              \
	  .bare = "applied",                                                                  \
	  .values = "durable|applied",                                                        \
	  .help = "Return when the broker has it for good, or when its effect is "            \
		  "committed and its verdict known" },                                        \
	{                                                                                     \
		"timeout",                                                                    \
			.kind = BUS_CLI_SECONDS, .argument = "TIME", .fallback = "30s",       \
			.help = "Longest wait, first for the broker and then for the verdict" \
	}

#define BUS_CLI_EVENT_OPTIONS                                                                  \
	{ "tenant", .kind = BUS_CLI_TEXT, .argument = "TENANT", .values = "@tenants",          \
	  .help = "Tenant of the event; else $BUSLINE_TENANT" },                               \
		{ "actor", .kind = BUS_CLI_TEXT, .argument = "WHO",                            \
		  .help = "Who wants it; else $BUSLINE_ACTOR, else user@host" },               \
		{ "id", .kind = BUS_CLI_TEXT, .argument = "ID",                                \
		  .help = "Id of the event, unique within its source; else a new UUIDv7. The " \
			  "same id again has no second effect" },                              \
	{                                                                                      \
		"correlation", .kind = BUS_CLI_TEXT, .argument = "ID",                         \
			       .help = "correlationid: what this event belongs to"             \
	}

/* Of a command with the options above; new. Does not block. */
bus_exit bus_cli_publisher_create(const bus_cli *cli, bool validate,
				  bus_cli_publisher **ret_publisher);
void bus_cli_publisher_destroy(bus_cli_publisher *publisher);

/* Who acts: --actor, $BUSLINE_ACTOR, or user@host. */
bus_str bus_cli_actor(const bus_cli *cli);

/* Tenant, actor, id and correlation as given or by default. */
void bus_cli_event_defaults(const bus_cli *cli, bus_event *event);

/**
 * bus_cli_publisher_add - check an event and put it into the batch
 *
 * @event: type is set; source, id and time are made up where absent
 * @where: "FILE:17", or NULL: put before what is said of it
 *
 * Says what is wrong, with its place. Returns BUS_EXIT_DATA then.
 */
bus_exit bus_cli_publisher_add(bus_cli_publisher *publisher, bus_event *event,
			       const char *where);

/* Sends the batch and, if asked for, waits for its verdicts. The batch stays readable until
 * the next add. */
bus_exit bus_cli_publisher_flush(bus_cli_publisher *publisher);

/* Prints the batch: a line per event, or rows of JSON. */
void bus_cli_publisher_print(const bus_cli_publisher *publisher, bus_cli_printer *printer);

/* One event: add, flush, print; the exit code tells the verdict. */
bus_exit bus_cli_publish_one(bus_cli_publisher *publisher, bus_event *event);

/**
 * bus_cli_event_of_json - a line of JSON Lines as an event
 *
 * Members are CloudEvents attributes, and data. What tail prints besides (topic, partition,
 * offset, recordtime, key) is read over.
 */
BUS_MUST_CHECK bus_status bus_cli_event_of_json(const json_t *object, bus_arena *arena,
						bus_event *ret_event, bus_error *err);

/* "io.busline.deploy.requested.v1" of "deploy.requested"; another text is itself. */
bus_str bus_cli_type_of(const char *text, bus_arena *arena);

static inline void
busp_publisher_destroy(bus_cli_publisher **publisher)
{
	bus_cli_publisher_destroy(*publisher);
}

#define BUS_PUBLISHER_AUTO                                                               \
	__attribute__((cleanup(busp_publisher_destroy))) bus_cli_publisher

#endif
