/*
 * registry.h - which events there are: the families, their topics and schemas
 *
 * The schema files of this room are embedded in the binary at build time; each names its
 * event type in "x-busline-type" (read over by the validator) and lies in its family's
 * folder. A directory can add families. This table is what asyncapi.yaml and
 * docs/events.md are generated from.
 */
#ifndef BUS_SCHEMAS_REGISTRY_H
#define BUS_SCHEMAS_REGISTRY_H

#include "core/event.h"
#include "schemas/validator.h"

typedef struct bus_family {
	const char *name;  /* "deploy" */
	const char *topic; /* "busline.deploy"; NULL: its events come on every topic */
	const char *help;  /* one sentence */
} bus_family;

typedef struct bus_event_type {
	const char *type; /* "io.busline.deploy.requested.v1" */
	const bus_family *family;
	const char *schema_uri; /* "https://busline.io/schemas/deploy/requested.v1.json" */
	const char *schema_text; /* the file */
	const char *title;       /* from the schema */
} bus_event_type;

typedef struct bus_registry bus_registry;

/**
 * bus_registry_add_directory - a user's own families, for the life of the process
 *
 * @directory: holds <family>/<fact>.v<N>.json, as this room does; each folder with such
 *	files is a family with the topic busline.<family>. "sagas" is none.
 *
 * Before anything else is asked of the registry: what was borrowed from it ends.
 *
 * Errors: BUS_E_FATAL a file is wrong, names it; nothing is added.
 * Threads: one, and no registry exists.
 */
BUS_MUST_CHECK bus_status bus_registry_add_directory(const char *directory,
						     bus_error *err);

/* Table of the families with a topic, ended by a row whose name is NULL. */
const bus_family *bus_families(void);
/* Those without: what the platform itself says to a worker, on the worker's own topic. */
const bus_family *bus_common_families(void);
/* NULL if there is none. */
const bus_family *bus_family_of_topic(bus_str topic);
const bus_family *bus_family_of_name(bus_str name);

/**
 * bus_registry_create - compile every embedded schema
 *
 * Errors: BUS_E_FATAL one of them is wrong (a bug of ours).
 * Threads: read only afterwards, any number.
 */
BUS_MUST_CHECK bus_status bus_registry_create(bus_registry **ret_registry, bus_error *err);
void bus_registry_destroy(bus_registry *registry);

/* Sorted by type; borrowed for the life of the process. */
const bus_event_type *bus_registry_types(size_t *ret_count);
/* NULL if there is none. */
const bus_event_type *bus_registry_find(const bus_registry *registry, bus_str type);

/**
 * bus_registry_validate - an event's data against the schema of its type
 *
 * Errors: BUS_E_REJECT; *ret_cause says which: UNKNOWN_TYPE (none, or of a family with
 * another topic), INVALID_DATA, SCHEMA_INVALID.
 */
BUS_MUST_CHECK bus_status bus_registry_validate(const bus_registry *registry,
						bus_str topic, bus_event *event,
						bus_schema_report *report,
						bus_cause *ret_cause, bus_error *err);

#endif
