/*
 * event.c - a record's envelope, read
 *
 * DESIGN
 * One pass over the headers, or over the members of a structured record; each attribute
 * is checked by the rule of its row in event_attr.c. The first broken rule is the answer,
 * but reading goes on, so that a dead letter can still be found by the id, tenant or type
 * that the record did carry.
 */
#include "core/event.h"

#include <inttypes.h>

#include "core/base64.h"
#include "core/event_attr.h"
#include "core/json.h"
#include "core/text.h"

typedef struct busp_parse {
	const bus_record *record;
	bus_arena *arena;
	bus_event *event;
	bus_error *err;
	bus_header *extensions; /* of extensions_max, when there is one */
	size_t extensions_max;  /* no more than the record has headers or members */
	uint32_t seen;          /* bit per busp_attr */
	bus_cause cause;        /* of the first broken rule */
} busp_parse;

static void busp_fail(busp_parse *p, bus_cause cause, const char *fmt, ...)
	BUS_PRINTF(3, 4);

static void
busp_fail(busp_parse *p, bus_cause cause, const char *fmt, ...)
{
	if (p->cause != BUS_CAUSE_NONE) {
		return;
	}
	p->cause = cause;
	va_list args;
	va_start(args, fmt);
	bus_error_vset(p->err, BUS_E_REJECT, "event", 0, fmt, args);
	va_end(args);
}

static void
busp_expect(busp_parse *p, size_t attributes)
{
	p->extensions_max =
		attributes < BUSP_EXTENSIONS_MAX ? attributes : BUSP_EXTENSIONS_MAX;
}

static void
busp_take_extension(busp_parse *p, bus_str name, bus_str value)
{
	const char *problem = busp_attr_problem(BUSP_ATTR_COUNT, value, NULL);
	if (problem != NULL) {
		busp_fail(p, BUS_CAUSE_UNDECODABLE, "extension %.*s %s",
			  name.len > 40 ? 40 : (int)name.len, name.data, problem);
		return;
	}
	if (p->extensions == NULL) {
		p->extensions =
			bus_arena_alloc(p->arena, p->extensions_max * sizeof(bus_header));
		p->event->extensions = p->extensions;
	}
	for (size_t i = 0; i < p->event->extension_count; i++) {
		if (bus_str_eq(p->extensions[i].name, name)) {
			busp_fail(p, BUS_CAUSE_UNDECODABLE,
				  "extension %.*s is there twice",
				  name.len > 40 ? 40 : (int)name.len, name.data);
			return;
		}
	}
	if (p->event->extension_count == p->extensions_max) {
		busp_fail(p, BUS_CAUSE_UNDECODABLE, "more than %d extensions",
			  BUSP_EXTENSIONS_MAX);
		return;
	}
	p->extensions[p->event->extension_count++] = (bus_header){ name, value };
}

static void
busp_take(busp_parse *p, busp_attr attr, bus_str value)
{
	bus_str *member = busp_attr_of(p->event, attr);
	if ((p->seen & 1u << attr) != 0) {
		/* SDKs send both content-type and ce_datacontenttype: harmless while equal */
		if (attr != BUSP_ATTR_DATACONTENTTYPE || !bus_str_eq(*member, value)) {
			busp_fail(p, BUS_CAUSE_UNDECODABLE, "attribute %s is there twice",
				  busp_attr_name(attr));
		}
		return;
	}
	p->seen |= 1u << attr;
	const char *problem = busp_attr_problem(attr, value, &p->event->time_us);
	if (problem != NULL) {
		busp_fail(p, BUS_CAUSE_UNDECODABLE, "attribute %s %s",
			  busp_attr_name(attr), problem);
		return;
	}
	if (member != NULL) {
		*member = value;
	}
}

/* What both modes must hold in the end. */
static void
busp_finish(busp_parse *p)
{
	for (int attr = 0; attr < BUSP_ATTR_REQUIRED; attr++) {
		if ((p->seen & 1u << attr) == 0) {
			busp_fail(p, BUS_CAUSE_UNDECODABLE, "attribute %s is missing",
				  busp_attr_name((busp_attr)attr));
		}
	}
	if ((p->seen & 1u << BUSP_ATTR_TENANT) == 0) {
		busp_fail(p, BUS_CAUSE_NO_TENANT, "attribute tenant is missing");
	}
}

/* A name as attributes have it, or absent when it cannot be one. */
static bus_str
busp_binary_name(busp_parse *p, bus_str name)
{
	if (busp_attr_name_valid(name)) {
		return name;
	}
	char *lower = bus_arena_alloc(p->arena, name.len + 1);
	for (size_t i = 0; i < name.len; i++) {
		lower[i] = busp_lower(name.data[i]);
	}
	bus_str lowered = { lower, name.len };
	return busp_attr_name_valid(lowered) ? lowered : BUS_STR_NULL;
}

static void
busp_binary_header(busp_parse *p, const bus_header *header)
{
	bus_str name = { header->name.data + 3, header->name.len - 3 };
	if (header->value.data == NULL) {
		/* a header without a value sets nothing, as null does in JSON */
		return;
	}
	busp_attr attr = busp_attr_find(name);
	if (attr != BUSP_ATTR_COUNT) {
		busp_take(p, attr, header->value);
		return;
	}
	bus_str extension = busp_binary_name(p, name);
	if (extension.data == NULL) {
		busp_fail(p, BUS_CAUSE_UNDECODABLE,
			  "header ce_%.*s: attribute names are a-z and 0-9",
			  name.len > 40 ? 40 : (int)name.len, name.data);
		return;
	}
	busp_take_extension(p, extension, header->value);
}

static bool
busp_is_ce_header(bus_str name)
{
	return name.len >= 3 && (name.data[0] | 0x20) == 'c' &&
	       (name.data[1] | 0x20) == 'e' && name.data[2] == '_';
}

static bool
busp_is_content_type(bus_str name)
{
	return name.len == 12 && busp_is_nocase(name, BUS_STR("content-type"));
}

static void
busp_binary(busp_parse *p)
{
	const bus_record *record = p->record;
	busp_expect(p, record->header_count);
	bool any = false;
	bool typed = false;
	for (size_t i = 0; i < record->header_count; i++) {
		const bus_header *header = &record->headers[i];
		if (busp_is_ce_header(header->name)) {
			any = true;
			busp_binary_header(p, header);
		} else if (busp_is_content_type(header->name) &&
			   header->value.data != NULL) {
			if (typed) {
				busp_fail(p, BUS_CAUSE_UNDECODABLE,
					  "header content-type is there twice");
			}
			typed = true;
			busp_take(p, BUSP_ATTR_DATACONTENTTYPE, header->value);
		}
	}
	if (!any) {
		busp_fail(p, BUS_CAUSE_UNDECODABLE,
			  "no ce_ header and no content-type of CloudEvents: not an event");
	}
	p->event->data = record->value;
	busp_finish(p);
}

/* The string an attribute has in every other format; absent for what is no attribute. */
static bus_str
busp_json_attribute(busp_parse *p, busp_attr attr, const json_t *value)
{
	if (json_is_string(value)) {
		return bus_arena_str(p->arena, (bus_str){ json_string_value(value),
							  json_string_length(value) });
	}
	if (attr <= BUSP_ATTR_TIME) {
		return BUS_STR_NULL;
	}
	if (json_is_boolean(value)) {
		return json_is_true(value) ? BUS_STR("true") : BUS_STR("false");
	}
	return json_is_integer(value) ?
		       bus_arena_printf(p->arena, "%" PRId64,
					(int64_t)json_integer_value(value)) :
		       BUS_STR_NULL;
}

static void
busp_structured_member(busp_parse *p, bus_str name, const json_t *value)
{
	if (json_is_null(value)) {
		return;
	}
	busp_attr attr =
		busp_attr_name_valid(name) ? busp_attr_find(name) : BUSP_ATTR_COUNT;
	if (attr == BUSP_ATTR_COUNT && !busp_attr_name_valid(name)) {
		busp_fail(p, BUS_CAUSE_UNDECODABLE,
			  "member %.*s: attribute names are a-z and 0-9",
			  name.len > 40 ? 40 : (int)name.len, name.data);
		return;
	}
	bus_str text = busp_json_attribute(p, attr, value);
	if (text.data == NULL) {
		busp_fail(p, BUS_CAUSE_UNDECODABLE, "attribute %.*s is not %s",
			  name.len > 40 ? 40 : (int)name.len, name.data,
			  attr <= BUSP_ATTR_TIME ? "a string" :
						   "a string, an integer or a boolean");
	} else if (attr != BUSP_ATTR_COUNT) {
		busp_take(p, attr, text);
	} else {
		busp_take_extension(p, bus_arena_str(p->arena, name), text);
	}
}

/* JSON format sections 3.1.1 and 3.1.2: data is the value itself for JSON content, text
 * for any other; data_base64 is bytes for all. */
static void
busp_structured_data(busp_parse *p, json_t *root)
{
	json_t *data = json_object_get(root, "data");
	json_t *base64 = json_object_get(root, "data_base64");
	if (json_is_null(base64)) {
		base64 = NULL;
	}
	if (data != NULL && base64 != NULL) {
		busp_fail(p, BUS_CAUSE_UNDECODABLE, "both data and data_base64");
	} else if (base64 != NULL) {
		bus_str text = { json_string_value(base64), json_string_length(base64) };
		if (text.data == NULL ||
		    !busp_base64_decode(text, p->arena, &p->event->data)) {
			busp_fail(p, BUS_CAUSE_UNDECODABLE, "data_base64 is not base64");
		}
	} else if (data != NULL && busp_media_is_json(p->event->datacontenttype)) {
		p->event->data_json = json_incref(data);
	} else if (json_is_string(data)) {
		p->event->data =
			bus_arena_str(p->arena, (bus_str){ json_string_value(data),
							   json_string_length(data) });
	} else if (data != NULL && !json_is_null(data)) {
		busp_fail(p, BUS_CAUSE_UNDECODABLE,
			  "data is not a string, but datacontenttype is not JSON");
	}
}

static void
busp_structured(busp_parse *p)
{
	p->event->structured = true;
	bus_error why = BUS_ERROR_INIT;
	BUS_JSON_AUTO *root = NULL;
	if (p->record->value.data == NULL) {
		busp_fail(p, BUS_CAUSE_UNDECODABLE, "structured mode without a value");
		return;
	}
	if (bus_json_parse(p->record->value, &root, &why) != BUS_OK) {
		busp_fail(p, BUS_CAUSE_UNDECODABLE, "structured mode: %s", why.text);
		return;
	}
	if (!json_is_object(root)) {
		busp_fail(p, BUS_CAUSE_UNDECODABLE, "structured mode: not a JSON object");
		return;
	}
	busp_expect(p, json_object_size(root));
	const char *name;
	json_t *value;
	json_object_foreach(root, name, value)
	{
		bus_str member = bus_str_from(name);
		if (!bus_str_is(member, "data") && !bus_str_is(member, "data_base64")) {
			busp_structured_member(p, member, value);
		}
	}
	busp_structured_data(p, root);
	busp_finish(p);
}

typedef enum busp_mode {
	BUSP_MODE_BINARY,
	BUSP_MODE_JSON,
	BUSP_MODE_BATCH,
	BUSP_MODE_OTHER, /* an event format that is not JSON */
} busp_mode;

static busp_mode
busp_mode_of(const bus_record *record)
{
	for (size_t i = 0; i < record->header_count; i++) {
		const bus_header *header = &record->headers[i];
		if (!busp_is_content_type(header->name) ||
		    !busp_has_prefix_nocase(header->value,
					    BUS_STR("application/cloudevents"))) {
			continue;
		}
		/* batch first: the other prefix is part of its name */
		if (busp_has_prefix_nocase(header->value,
					   BUS_STR("application/cloudevents-batch"))) {
			return BUSP_MODE_BATCH;
		}
		bus_str json = BUS_STR("application/cloudevents+json");
		bus_str end = { header->value.data + json.len,
				header->value.len > json.len ?
					header->value.len - json.len :
					0 };
		bool ends = end.len == 0 || end.data[0] == ';' || end.data[0] == ' ';
		return busp_has_prefix_nocase(header->value, json) && ends ?
			       BUSP_MODE_JSON :
			       BUSP_MODE_OTHER;
	}
	return BUSP_MODE_BINARY;
}

bus_status
bus_event_parse(const bus_record *record, bus_arena *arena, bus_event *ret_event,
		bus_cause *ret_cause, bus_error *err)
{
	memset(ret_event, 0, sizeof(*ret_event));
	ret_event->time_us = BUS_TIME_NONE;
	busp_parse p = {
		.record = record, .arena = arena, .event = ret_event, .err = err
	};
	busp_mode mode = busp_mode_of(record);
	size_t bytes = bus_record_bytes(record);
	if (bytes > BUS_EVENT_BYTES_MAX) {
		busp_fail(&p, BUS_CAUSE_TOO_LARGE,
			  "%zu bytes of key, headers and value; at most %u", bytes,
			  BUS_EVENT_BYTES_MAX);
	}
	switch (mode) {
	case BUSP_MODE_BINARY:
		busp_binary(&p);
		break;
	case BUSP_MODE_JSON:
		busp_structured(&p);
		break;
	case BUSP_MODE_BATCH:
		busp_fail(&p, BUS_CAUSE_UNDECODABLE,
			  "content-type is a batch: Kafka has one event per record");
		break;
	case BUSP_MODE_OTHER:
		busp_fail(&p, BUS_CAUSE_UNDECODABLE,
			  "content-type is an event format other than JSON");
		break;
	}
	if (p.cause != BUS_CAUSE_NONE) {
		*ret_cause = p.cause;
		return BUS_E_REJECT;
	}
	return BUS_OK;
}

void
bus_event_fini(bus_event *event)
{
	json_decref(event->data_json);
	event->data_json = NULL;
}

bus_status
bus_event_data(bus_event *event, json_t **ret_json, bus_error *err)
{
	if (event->data_json == NULL && event->data.data != NULL) {
		if (!busp_media_is_json(event->datacontenttype)) {
			return bus_error_set(err, BUS_E_REJECT, "event", 0,
					     "datacontenttype %.*s is not JSON",
					     BUS_STR_ARG(event->datacontenttype));
		}
		bus_status status = bus_json_parse(event->data, &event->data_json, err);
		if (status != BUS_OK) {
			return status;
		}
	}
	*ret_json = event->data_json;
	return BUS_OK;
}

static const struct {
	const char *name;
	const char *help;
} busp_causes[] = {
	[BUS_CAUSE_NONE] = { "none", "Nothing is wrong." },
	[BUS_CAUSE_TOO_LARGE] = { "too-large",
				  "The record has more bytes than the platform takes; publish large content "
				  "elsewhere and send its address." },
	[BUS_CAUSE_UNDECODABLE] = { "undecodable",
				    "The record breaks a rule of CloudEvents or of its Kafka binding; repair the "
				    "producer and publish the event again." },
	[BUS_CAUSE_INVALID_DATA] = { "invalid-data",
				     "The data is not JSON within the platform's limits; repair the producer and "
				     "publish the event again." },
	[BUS_CAUSE_NO_TENANT] = { "no-tenant",
				  "The event has no tenant attribute and therefore no home; publish it again "
				  "with one." },
	[BUS_CAUSE_UNKNOWN_TYPE] = { "unknown-type",
				     "No schema of this topic describes the event's type; check type and topic, or "
				     "upgrade the workers first." },
	[BUS_CAUSE_SCHEMA_INVALID] = { "schema-invalid",
				       "The data breaks the schema of the event's type; publish it again as the "
				       "schema says." },
	[BUS_CAUSE_IDENTITY_CONFLICT] = { "identity-conflict",
					  "An event with this source and id is known with other bytes; a producer uses "
					  "ids twice or the log was altered." },
	[BUS_CAUSE_REJECTED] = { "rejected",
				 "The worker's rules say that the event can never be applied; the error names "
				 "the rule." },
	[BUS_CAUSE_CONSTRAINT] = { "constraint",
				   "PostgreSQL refuses the row that the event leads to; the error names the "
				   "constraint." },
	[BUS_CAUSE_TRANSIENT] = { "transient",
				  "It failed for a reason that may pass, or ended its worker; its key is held "
				  "and tried again until the budget is spent, then `busline dlq redrive`." },
	[BUS_CAUSE_HELD] = { "held",
			     "An earlier event of its key failed; it waits behind that one and is folded "
			     "after it, in order." },
};

const char *
bus_cause_name(bus_cause cause)
{
	return cause >= 0 && cause < BUS_CAUSE_COUNT ? busp_causes[cause].name : "?";
}

const char *
bus_cause_help(bus_cause cause)
{
	return cause >= 0 && cause < BUS_CAUSE_COUNT ? busp_causes[cause].help : "?";
}
