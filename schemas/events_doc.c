/* events_doc.c - the registry as docs/events.md */
#include "schemas/docs.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/json.h"
#include "schemas/registry.h"

/* In a table's cell a bar would end it, in a pattern too. */
static void
write_cell(bus_buf *buf, const char *text)
{
	for (; *text != '\0'; text++) {
		bus_buf_cstr(buf, *text == '|' ? "\\" : "");
		bus_buf_byte(buf, (uint8_t)*text);
	}
}

static void
write_scalar(bus_buf *buf, const json_t *json)
{
	char *text = json_dumps(json, JSON_ENCODE_ANY);
	write_cell(buf, text != NULL ? text : "");
	free(text);
}

/* " 1 to 200 characters": bounds, if there are any. */
static void
write_bounds(bus_buf *buf, const json_t *schema, const char *min, const char *max,
	     const char *unit)
{
	const json_t *least = json_object_get(schema, min);
	const json_t *most = json_object_get(schema, max);
	if (least == NULL && most == NULL) {
		return;
	}
	bus_buf_cstr(buf, ", ");
	if (least != NULL) {
		write_scalar(buf, least);
		bus_buf_cstr(buf, most != NULL ? " to " : " or more");
	} else {
		bus_buf_cstr(buf, "at most ");
	}
	if (most != NULL) {
		write_scalar(buf, most);
	}
	bus_buf_cstr(buf, unit);
}

static void
write_type(bus_buf *buf, const json_t *schema)
{
	bus_str type = bus_json_str(schema, "type");
	bus_str pattern = bus_json_str(schema, "pattern");
	bus_str format = bus_json_str(schema, "format");
	bus_buf_str(buf, format.len > 0 ? format : type);
	write_bounds(buf, schema, "minimum", "maximum", "");
	write_bounds(buf, schema, "minLength", "maxLength", " characters");
	write_bounds(buf, schema, "minItems", "maxItems", " items");
	write_bounds(buf, schema, "minProperties", "maxProperties", " members");
	if (pattern.len > 0) {
		bus_buf_cstr(buf, ", `");
		write_cell(buf, pattern.data);
		bus_buf_byte(buf, '`');
	}
}

static bool
is_required(const json_t *schema, const char *name)
{
	size_t i;
	json_t *item;
	json_array_foreach(json_object_get(schema, "required"), i, item)
	{
		if (strcmp(json_string_value(item), name) == 0) {
			return true;
		}
	}
	return false;
}

/* The rows of an object, then those of what its members hold. */
static void
write_members(bus_buf *buf, const json_t *schema, const char *path)
{
	const char *name;
	json_t *member;
	json_object_foreach(json_object_get(schema, "properties"), name, member)
	{
		char inner[256];
		snprintf(inner, sizeof(inner), "%s%s", path, name);
		bus_buf_printf(buf, "| `%s` | ", inner);
		write_type(buf, member);
		bus_buf_printf(buf, " | %s | ", is_required(schema, name) ? "yes" : "");
		bus_str text = bus_json_str(member, "description");
		write_cell(buf, text.len > 0 ? text.data : "");
		bus_buf_cstr(buf, " |\n");
		const json_t *items = json_object_get(member, "items");
		snprintf(inner, sizeof(inner), "%s%s[].", path, name);
		write_members(buf, items, inner);
	}
}

/* oneOf over required members is the one rule a row cannot say. */
static void
write_choice(bus_buf *buf, const json_t *schema)
{
	const json_t *choice = json_object_get(schema, "oneOf");
	size_t i;
	json_t *option;
	if (choice == NULL) {
		return;
	}
	bus_buf_cstr(buf, "Exactly one of");
	json_array_foreach(choice, i, option)
	{
		const json_t *name =
			json_array_get(json_object_get(option, "required"), 0);
		bus_buf_printf(buf, "%s `%s`", i > 0 ? "," : "", json_string_value(name));
	}
	bus_buf_cstr(buf, " must be there.\n\n");
}

static void
write_examples(bus_buf *buf, const json_t *schema)
{
	size_t i;
	json_t *example;
	json_array_foreach(json_object_get(schema, "examples"), i, example)
	{
		char *text = json_dumps(example, JSON_INDENT(2));
		bus_buf_printf(buf, "```json\n%s\n```\n\n", text != NULL ? text : "");
		free(text);
	}
}

static void
write_event(bus_buf *buf, const bus_event_type *type)
{
	BUS_JSON_AUTO *schema = json_loads(type->schema_text, 0, NULL);
	const char *fact =
		type->type + strlen("io.busline.") + strlen(type->family->name) + 1;
	bus_buf_printf(buf, "### %s\n\n`%s` · [schema](../schemas/%s/%s.json)\n\n%s\n\n",
		       type->title, type->type, type->family->name, fact,
		       bus_json_str(schema, "description").data);
	bus_buf_cstr(buf, "| Member | Type | Required | Meaning |\n"
			  "| --- | --- | --- | --- |\n");
	write_members(buf, schema, "");
	bus_buf_byte(buf, '\n');
	write_choice(buf, schema);
	write_examples(buf, schema);
}

static const char opening[] =
	"<!-- Generated from the registry by asyncapi_generate; do not edit. -->\n"
	"# Events\n"
	"\n"
	"Every event is a CloudEvent 1.0. Beside `id`, `source` and `type` the attribute\n"
	"`tenant` is required; `subject` names the app, the saga for events of the family\n"
	"saga, and is empty for `catalog.tenant.created`; `actor`, `correlationid` and `causationid` are optional.\n"
	"The Kafka key is `tenant/subject`. What stands below is the data; a member that is\n"
	"not listed is refused.\n"
	"\n"
	"| Family | Topic | What it tells | Events |\n"
	"| --- | --- | --- | --- |\n";

static void
write_rows(bus_buf *buf, const bus_family *family)
{
	size_t count;
	const bus_event_type *types = bus_registry_types(&count);
	for (; family->name != NULL; family++) {
		unsigned events = 0;
		for (size_t i = 0; i < count; i++) {
			events += types[i].family == family;
		}
		bus_buf_printf(buf, "| [%s](#%s) | ", family->name, family->name);
		if (family->topic != NULL) {
			bus_buf_printf(buf, "`%s`", family->topic);
		} else {
			bus_buf_cstr(buf, "every one");
		}
		bus_buf_printf(buf, " | %s | %u |\n", family->help, events);
	}
}

static void
write_families(bus_buf *buf, const bus_family *family)
{
	size_t count;
	const bus_event_type *types = bus_registry_types(&count);
	for (; family->name != NULL; family++) {
		bus_buf_printf(buf, "\n## %s\n\n", family->name);
		if (family->topic != NULL) {
			bus_buf_printf(buf, "Topic `%s`. ", family->topic);
		}
		bus_buf_printf(buf, "%s\n\n", family->help);
		for (size_t i = 0; i < count; i++) {
			if (types[i].family == family) {
				write_event(buf, &types[i]);
			}
		}
	}
}

void
busp_events_write(bus_buf *buf)
{
	bus_buf_cstr(buf, opening);
	write_rows(buf, bus_families());
	write_rows(buf, bus_common_families());
	write_families(buf, bus_families());
	write_families(buf, bus_common_families());
	buf->len--; /* one line end at the end of the file */
}
