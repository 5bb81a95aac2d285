/*
 * asyncapi.c - the registry as an AsyncAPI 3.0 document
 *
 * A channel per family with a topic, a message per event type; the events of a family without
 * one are in every channel. Payloads are the schemas as they are,
 * without $schema: they keep to the words that AsyncAPI's own schema object shares with
 * JSON Schema 2020-12, and the linter checks that.
 */
#include "schemas/docs.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/json.h"
#include "schemas/registry.h"

#define KAFKA_BINDING "0.5.0"

/* "io.busline.deploy.requested.v1" is "deploy.requested.v1" here. */
static const char *
message_name(const bus_event_type *type)
{
	return type->type + strlen("io.busline.");
}

/* New; memory is not short where pages are made. */
static json_t *
must(json_t *json)
{
	if (json == NULL) {
		abort();
	}
	return json;
}

static void
put(json_t *object, const char *name, json_t *value)
{
	if (json_object_set_new(object, name, must(value)) != 0) {
		abort();
	}
}

static json_t *
reference(const char *folder, const char *name)
{
	return must(json_pack("{s:o}", "$ref",
			      must(json_sprintf("#/%s/%s", folder, name))));
}

static json_t *
info(void)
{
	return must(json_pack(
		"{s:s,s:s,s:s,s:{s:s,s:s}}", "title", "Busline", "version", BUS_VERSION,
		"description",
		"Platform actions as events: CloudEvents 1.0 on Kafka, binary or "
		"structured mode. The record key is tenant/subject; it decides the "
		"partition, and order holds per key within a topic.",
		"license", "name", "Apache-2.0", "url",
		"https://www.apache.org/licenses/LICENSE-2.0"));
}

static json_t *
channel(const bus_family *family, const bus_event_type *types, size_t count)
{
	json_t *messages = must(json_object());
	for (size_t i = 0; i < count; i++) {
		if (types[i].family == family || types[i].family->topic == NULL) {
			put(messages, message_name(&types[i]),
			    reference("components/messages", message_name(&types[i])));
		}
	}
	return must(json_pack("{s:s,s:s,s:o,s:{s:{s:s,s:{s:[s]},s:s}}}", "address",
			      family->topic, "description", family->help, "messages",
			      messages, "bindings", "kafka", "topic", family->topic,
			      "topicConfiguration", "cleanup.policy", "delete",
			      "bindingVersion", KAFKA_BINDING));
}

static json_t *
operation(const bus_family *family)
{
	char text[160];
	snprintf(text, sizeof(text),
		 "The %s worker turns these events into state, each once", family->name);
	return must(json_pack("{s:s,s:o,s:s}", "action", "receive", "channel",
			      reference("channels", family->name), "summary", text));
}

/* A header of the CloudEvents Kafka binding. */
static json_t *
header(const char *text)
{
	return must(json_pack("{s:s,s:s}", "description", text, "type", "string"));
}

static json_t *
headers(void)
{
	static const struct {
		const char *name, *text;
	} rows[] = {
		{ "content-type", "Of the data: application/json" },
		{ "ce_specversion", "1.0" },
		{ "ce_id",
		  "Unique within the source; both together are the event's identity" },
		{ "ce_source", "Who publishes, a URI reference" },
		{ "ce_type", "Which event this is" },
		{ "ce_tenant", "Tenant the event belongs to" },
		{ "ce_subject", "The app; absent for the tenant itself" },
		{ "ce_time", "When it happened, RFC 3339" },
		{ "ce_dataschema", "URI of the schema of the data" },
		{ "ce_actor", "Who caused it" },
		{ "ce_correlationid", "Shared by all events of one undertaking" },
		{ "ce_causationid", "Id of the event that caused this one" },
		{ "ce_sagaid", "The saga that caused it, or that it answers" },
		{ "ce_sagastep", "Of that saga: step, do or undo, and attempt" },
	};
	json_t *properties = must(json_object());
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put(properties, rows[i].name, header(rows[i].text));
	}
	return must(json_pack("{s:s,s:o,s:[s,s,s,s,s]}", "type", "object", "properties",
			      properties, "required", "ce_specversion", "ce_id",
			      "ce_source", "ce_type", "ce_tenant"));
}

/* The schema of an event as a payload. */
static json_t *
payload(const bus_event_type *type)
{
	json_t *schema = must(json_loads(type->schema_text, 0, NULL));
	json_object_del(schema, "$schema");
	json_object_del(schema, "$id");
	put(schema, "x-schema-uri", json_string(type->schema_uri));
	return schema;
}

static json_t *
message(const bus_event_type *type, const json_t *schema)
{
	json_t *examples = must(json_array());
	size_t i;
	json_t *example;
	json_array_foreach(json_object_get(schema, "examples"), i, example)
	{
		json_array_append_new(examples,
				      must(json_pack("{s:O}", "payload", example)));
	}
	json_t *type_header =
		must(json_pack("{s:s,s:{s:{s:s}}}", "type", "object", "properties",
			       "ce_type", "const", type->type));
	return must(json_pack(
		"{s:s,s:s,s:O,s:s,s:{s:[o,o]},s:o,s:{s:s},s:{s:{s:{s:s,s:s},s:s}},s:o}",
		"name", type->type, "title", type->title, "summary",
		json_object_get(schema, "description"), "contentType", "application/json",
		"headers", "allOf", reference("components/schemas", "headers"),
		type_header, "payload",
		reference("components/schemas", message_name(type)), "correlationId",
		"location", "$message.header#/ce_correlationid", "bindings", "kafka",
		"key", "type", "string", "description", "tenant/subject",
		"bindingVersion", KAFKA_BINDING, "examples", examples));
}

static json_t *
components(const bus_event_type *types, size_t count)
{
	json_t *messages = must(json_object());
	json_t *schemas = must(json_object());
	put(schemas, "headers", headers());
	for (size_t i = 0; i < count; i++) {
		json_t *schema = payload(&types[i]);
		put(messages, message_name(&types[i]), message(&types[i], schema));
		put(schemas, message_name(&types[i]), schema);
	}
	return must(json_pack("{s:o,s:o}", "messages", messages, "schemas", schemas));
}

void
busp_asyncapi_write(bus_buf *buf)
{
	size_t count;
	const bus_event_type *types = bus_registry_types(&count);
	json_t *channels = must(json_object());
	json_t *operations = must(json_object());
	for (const bus_family *family = bus_families(); family->name != NULL; family++) {
		char name[64];
		snprintf(name, sizeof(name), "%s.fold", family->name);
		put(channels, family->name, channel(family, types, count));
		put(operations, name, operation(family));
	}
	BUS_JSON_AUTO *document =
		must(json_pack("{s:s,s:o,s:s,s:o,s:o,s:o}", "asyncapi", "3.0.0", "info",
			       info(), "defaultContentType", "application/json",
			       "channels", channels, "operations", operations,
			       "components", components(types, count)));
	bus_buf_cstr(buf,
		     "# Generated from the registry by asyncapi_generate; do not edit.\n");
	busp_yaml_write(document, buf);
}
