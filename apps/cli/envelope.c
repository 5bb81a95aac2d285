/*
 * envelope.c - a line of JSON Lines as an event
 */
#include <stddef.h>
#include <string.h>

#include "apps/cli/publisher.h"
#include "core/json.h"

static const struct {
	const char *name;
	size_t offset; /* of the bus_str in bus_event */
} attributes[] = {
	{ "id", offsetof(bus_event, id) },
	{ "source", offsetof(bus_event, source) },
	{ "type", offsetof(bus_event, type) },
	{ "subject", offsetof(bus_event, subject) },
	{ "datacontenttype", offsetof(bus_event, datacontenttype) },
	{ "dataschema", offsetof(bus_event, dataschema) },
	{ "time", offsetof(bus_event, time) },
	{ "tenant", offsetof(bus_event, tenant) },
	{ "actor", offsetof(bus_event, actor) },
	{ "correlationid", offsetof(bus_event, correlationid) },
	{ "causationid", offsetof(bus_event, causationid) },
	{ "partitionkey", offsetof(bus_event, partitionkey) },
	{ "sequence", offsetof(bus_event, sequence) },
	{ "traceparent", offsetof(bus_event, traceparent) },
	{ "sagaid", offsetof(bus_event, sagaid) },
	{ "sagastep", offsetof(bus_event, sagastep) },
};

/* What tail says about the record, not the event about itself. */
static const char *const read_over[] = { "topic", "partition", "offset", "recordtime",
					 "key" };

static bool
busp_is_read_over(const char *name)
{
	for (size_t i = 0; i < sizeof(read_over) / sizeof(read_over[0]); i++) {
		if (strcmp(read_over[i], name) == 0) {
			return true;
		}
	}
	return false;
}

static bus_str *
busp_attribute(bus_event *event, const char *name)
{
	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		if (strcmp(attributes[i].name, name) == 0) {
			return (bus_str *)((char *)event + attributes[i].offset);
		}
	}
	return NULL;
}

/* CloudEvents attributes have a text form whatever their type. */
static bus_status
busp_text(const char *name, const json_t *value, bus_arena *arena, bus_str *ret_text,
	  bus_error *err)
{
	if (json_is_string(value)) {
		bus_str view = { json_string_value(value), json_string_length(value) };
		*ret_text = bus_arena_str(arena, view);
	} else if (json_is_integer(value)) {
		*ret_text = bus_arena_printf(arena, "%lld",
					     (long long)json_integer_value(value));
	} else if (json_is_boolean(value)) {
		*ret_text = json_is_true(value) ? BUS_STR("true") : BUS_STR("false");
	} else {
		return bus_error_set(err, BUS_E_REJECT, "event", 0,
				     "/%s must be a string, a number or a boolean", name);
	}
	return BUS_OK;
}

static bus_str
busp_data(const json_t *data, bus_arena *arena)
{
	size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
	size_t len = json_dumpb(data, NULL, 0, flags);
	char *text = bus_arena_alloc(arena, len + 1);
	json_dumpb(data, text, len, flags);
	return (bus_str){ text, len };
}

static bus_status
busp_member(bus_event *event, const char *name, const json_t *value, bus_arena *arena,
	    bus_header *extensions, bus_error *err)
{
	bus_str text;
	if (busp_is_read_over(name) ||
	    (json_is_null(value) && strcmp(name, "data") != 0)) {
		return BUS_OK;
	}
	if (strcmp(name, "data") == 0) {
		event->data = busp_data(value, arena);
		return BUS_OK;
	}
	if (strcmp(name, "data_base64") == 0) {
		return bus_error_set(
			err, BUS_E_REJECT, "event", 0,
			"/data_base64 is not taken here: data of these events is JSON");
	}
	if (busp_text(name, value, arena, &text, err) != BUS_OK) {
		return err->status;
	}
	if (strcmp(name, "specversion") == 0) {
		return bus_str_is(text, "1.0") ?
			       BUS_OK :
			       bus_error_set(err, BUS_E_REJECT, "event", 0,
					     "/specversion must be \"1.0\"");
	}
	bus_str *attribute = busp_attribute(event, name);
	if (attribute != NULL) {
		*attribute = text;
		return BUS_OK;
	}
	extensions[event->extension_count].name =
		bus_arena_str(arena, bus_str_from(name));
	extensions[event->extension_count++].value = text;
	return BUS_OK;
}

bus_status
bus_cli_event_of_json(const json_t *object, bus_arena *arena, bus_event *ret_event,
		      bus_error *err)
{
	const char *name;
	json_t *value;
	bus_event event = { .time_us = BUS_TIME_NONE };
	if (!json_is_object(object)) {
		return bus_error_set(err, BUS_E_REJECT, "event", 0,
				     "an event is a JSON object, one per line");
	}
	bus_header *extensions =
		bus_arena_alloc(arena, json_object_size(object) * sizeof(*extensions));
	/* jansson's iterator takes a pointer to what it does not change */
	json_object_foreach((json_t *)object, name, value)
	{
		if (busp_member(&event, name, value, arena, extensions, err) != BUS_OK) {
			return err->status;
		}
	}
	event.extensions = extensions;
	if (bus_str_empty(event.type)) {
		return bus_error_set(err, BUS_E_REJECT, "event", 0, "/type is missing");
	}
	if (event.time.data != NULL && !bus_time_parse(event.time, &event.time_us)) {
		return bus_error_set(err, BUS_E_REJECT, "event", 0,
				     "/time must be as in RFC 3339, 2026-11-21T08:36:28Z");
	}
	*ret_event = event;
	return BUS_OK;
}
