/*
 * event_write.c - a record of an event
 *
 * The rules are those of reading (event_attr.c): what we write, we would take.
 */
#include <stdlib.h>

#include "core/base64.h"
#include "core/buf.h"
#include "core/event.h"
#include "core/event_attr.h"
#include "core/json.h"

static bus_status
busp_refuse(bus_error *err, const char *name, const char *problem)
{
	return bus_error_set(err, BUS_E_REJECT, "event", 0, "attribute %.80s %s", name,
			     problem);
}

/* The event as it goes out: specversion, time and content type filled in, "no subject"
 * said one way. */
typedef struct busp_outgoing {
	bus_event event;
	bus_str values[BUSP_ATTR_COUNT]; /* absent: not set */
} busp_outgoing;

static bus_status
busp_outgoing_check(busp_outgoing *out, bus_error *err)
{
	for (int attr = 0; attr < BUSP_ATTR_COUNT; attr++) {
		bus_str value = out->values[attr];
		if (value.data == NULL) {
			if (attr < BUSP_ATTR_REQUIRED || attr == BUSP_ATTR_TENANT) {
				return busp_refuse(err, busp_attr_name((busp_attr)attr),
						   "is missing");
			}
			continue;
		}
		int64_t time_us;
		const char *problem = busp_attr_problem((busp_attr)attr, value, &time_us);
		if (problem != NULL) {
			return busp_refuse(err, busp_attr_name((busp_attr)attr), problem);
		}
	}
	return BUS_OK;
}

static bus_status
busp_extensions_check(const bus_event *event, bus_arena *arena, bus_error *err)
{
	if (event->extension_count > BUSP_EXTENSIONS_MAX) {
		return bus_error_set(err, BUS_E_REJECT, "event", 0,
				     "more than %d extensions", BUSP_EXTENSIONS_MAX);
	}
	for (size_t i = 0; i < event->extension_count; i++) {
		const bus_header *extension = &event->extensions[i];
		const char *problem = NULL;
		if (!busp_attr_name_valid(extension->name)) {
			problem = "has a name that is not a-z and 0-9";
		} else if (busp_attr_find(extension->name) != BUSP_ATTR_COUNT) {
			problem = "has a place of its own in the event";
		} else if (extension->value.data == NULL) {
			problem = "has no value";
		} else {
			problem = busp_attr_problem(BUSP_ATTR_COUNT, extension->value,
						    NULL);
		}
		for (size_t j = 0; j < i && problem == NULL; j++) {
			if (bus_str_eq(event->extensions[j].name, extension->name)) {
				problem = "is there twice";
			}
		}
		if (problem != NULL) {
			return busp_refuse(err,
					   bus_arena_str(arena, extension->name).data,
					   problem);
		}
	}
	return BUS_OK;
}

/* Data that came as a tree is written as bytes, and says that it is JSON. */
static bus_status
busp_outgoing_data(busp_outgoing *out, bus_arena *arena, bus_error *err)
{
	bus_event *event = &out->event;
	if (event->data.data != NULL || event->data_json == NULL) {
		return BUS_OK;
	}
	char *text = json_dumps(event->data_json, JSON_COMPACT | JSON_ENCODE_ANY);
	if (text == NULL) {
		return bus_error_set(err, BUS_E_REJECT, "event", 0,
				     "data cannot be written as JSON");
	}
	event->data = bus_arena_str(arena, bus_str_from(text));
	free(text);
	if (out->values[BUSP_ATTR_DATACONTENTTYPE].data == NULL) {
		out->values[BUSP_ATTR_DATACONTENTTYPE] = BUS_STR("application/json");
	}
	return BUS_OK;
}

static bus_status
busp_outgoing_init(busp_outgoing *out, const bus_event *event, bus_arena *arena,
		   bus_error *err)
{
	out->event = *event;
	for (int attr = 0; attr < BUSP_ATTR_COUNT; attr++) {
		const bus_str *value = busp_attr_of(&out->event, (busp_attr)attr);
		out->values[attr] = value != NULL ? *value : BUS_STR("1.0");
	}
	if (bus_str_empty(event->subject)) {
		out->values[BUSP_ATTR_SUBJECT] = BUS_STR_NULL;
	}
	bool timed = event->time_us != BUS_TIME_NONE && event->time_us != 0;
	if (event->time.data == NULL && timed) {
		char text[BUS_TIME_TEXT_MAX];
		size_t len = bus_time_format(event->time_us, text);
		out->values[BUSP_ATTR_TIME] =
			bus_arena_str(arena, (bus_str){ text, len });
	}
	bus_status status = busp_outgoing_data(out, arena, err);
	if (status == BUS_OK) {
		status = busp_outgoing_check(out, err);
	}
	return status == BUS_OK ? busp_extensions_check(event, arena, err) : status;
}

static void
busp_write_binary(const busp_outgoing *out, bus_arena *arena, bus_record *record)
{
	bus_header *headers =
		bus_arena_alloc(arena, (BUSP_ATTR_COUNT + out->event.extension_count) *
					       sizeof(headers[0]));
	size_t count = 0;
	for (int attr = 0; attr < BUSP_ATTR_COUNT; attr++) {
		if (out->values[attr].data == NULL) {
			continue;
		}
		bus_str name = bus_str_from(busp_attr_header((busp_attr)attr));
		headers[count++] =
			(bus_header){ name, bus_arena_str(arena, out->values[attr]) };
	}
	for (size_t i = 0; i < out->event.extension_count; i++) {
		const bus_header *extension = &out->event.extensions[i];
		headers[count++] = (bus_header){
			bus_arena_printf(arena, "ce_%.*s", BUS_STR_ARG(extension->name)),
			bus_arena_str(arena, extension->value),
		};
	}
	record->headers = headers;
	record->header_count = count;
	record->value = bus_arena_str(arena, out->event.data);
}

static void
busp_write_member(bus_buf *json, bus_str name, bus_str value)
{
	bus_buf_byte(json, json->len == 0 ? '{' : ',');
	bus_buf_json_string(json, name);
	bus_buf_byte(json, ':');
	bus_buf_json_string(json, value);
}

static bus_status
busp_write_structured_data(const busp_outgoing *out, bus_arena *arena, bus_buf *json,
			   bus_error *err)
{
	bus_str data = out->event.data;
	if (data.data == NULL) {
		return BUS_OK;
	}
	if (!busp_media_is_json(out->values[BUSP_ATTR_DATACONTENTTYPE])) {
		busp_write_member(json, BUS_STR("data_base64"),
				  busp_base64_encode(data, arena));
		return BUS_OK;
	}
	BUS_JSON_AUTO *parsed = NULL;
	bus_status status = bus_json_parse(data, &parsed, err);
	if (status == BUS_OK) {
		bus_buf_cstr(json, ",\"data\":");
		bus_buf_str(json, data);
	}
	return status;
}

static bus_status
busp_write_structured(const busp_outgoing *out, bus_arena *arena, bus_record *record,
		      bus_error *err)
{
	BUS_BUF_AUTO json = { 0 };
	for (int attr = 0; attr < BUSP_ATTR_COUNT; attr++) {
		if (out->values[attr].data != NULL) {
			busp_write_member(&json,
					  bus_str_from(busp_attr_name((busp_attr)attr)),
					  out->values[attr]);
		}
	}
	for (size_t i = 0; i < out->event.extension_count; i++) {
		busp_write_member(&json, out->event.extensions[i].name,
				  out->event.extensions[i].value);
	}
	bus_status status = busp_write_structured_data(out, arena, &json, err);
	if (status != BUS_OK) {
		return status;
	}
	bus_buf_byte(&json, '}');
	bus_header *header = bus_arena_alloc(arena, sizeof(*header));
	*header = (bus_header){ BUS_STR("content-type"),
				BUS_STR("application/cloudevents+json; charset=UTF-8") };
	record->headers = header;
	record->header_count = 1;
	record->value = bus_arena_str(arena, bus_buf_view(&json));
	return BUS_OK;
}

bus_str
bus_event_key(const bus_event *event, bus_arena *arena)
{
	return bus_arena_printf(arena, "%.*s/%.*s", BUS_STR_ARG(event->tenant),
				BUS_STR_ARG(event->subject));
}

bus_status
bus_event_write(const bus_event *event, bus_event_mode mode, bus_arena *arena,
		bus_record *ret_record, bus_error *err)
{
	busp_outgoing out;
	bus_status status = busp_outgoing_init(&out, event, arena, err);
	if (status != BUS_OK) {
		return status;
	}
	bus_record record = { .key = bus_event_key(event, arena) };
	switch (mode) {
	case BUS_MODE_BINARY:
		busp_write_binary(&out, arena, &record);
		break;
	case BUS_MODE_STRUCTURED:
		status = busp_write_structured(&out, arena, &record, err);
		break;
	}
	if (status != BUS_OK) {
		return status;
	}
	size_t bytes = bus_record_bytes(&record);
	if (bytes > BUS_EVENT_BYTES_MAX) {
		return bus_error_set(err, BUS_E_REJECT, "event", 0,
				     "%zu bytes of key, headers and value; at most %u",
				     bytes, BUS_EVENT_BYTES_MAX);
	}
	*ret_record = record;
	return BUS_OK;
}
