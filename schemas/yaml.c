/* yaml.c - a JSON tree as YAML 1.2 for people: blocks, plain words where they are safe */
#include "schemas/docs.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* An inline list longer than this goes into lines of its own. */
#define FLOW_MAX 70

/* Words another YAML reader (1.1) takes for something else than text. */
static bool
is_reserved(const char *text)
{
	static const char *const words[] = { "true", "false", "null", "yes", "no",
					     "on",   "off",   "y",    "n" };
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			return true;
		}
	}
	return false;
}

/* Text that needs no quotes: begins with a letter, holds nothing that ends a scalar. */
static bool
is_plain(const char *text)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_$";
	size_t len = strlen(text);
	if (len == 0 || strchr(letters, text[0]) == NULL || is_reserved(text) ||
	    text[len - 1] == ' ' || text[len - 1] == ':') {
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c < ' ' || c >= 127 || strchr("\"'#,[]{}&*!|>%@`\\", c) != NULL ||
		    (c == ':' && text[i + 1] == ' ')) {
			return false;
		}
	}
	return true;
}

static void
write_text(const char *text, bus_buf *buf)
{
	if (is_plain(text)) {
		bus_buf_cstr(buf, text);
	} else {
		bus_buf_json_string(buf, bus_str_from(text));
	}
}

static bool
is_scalar(const json_t *json)
{
	return !json_is_object(json) && !json_is_array(json);
}

static void
write_scalar(const json_t *json, bus_buf *buf)
{
	if (json_is_string(json)) {
		write_text(json_string_value(json), buf);
		return;
	}
	char *dump = json_dumps(json, JSON_ENCODE_ANY);
	bus_buf_cstr(buf, dump != NULL ? dump : "null");
	free(dump);
}

/* [a, b, c] if it is short and holds scalars only; false and nothing written if not. */
static bool
write_flow(const json_t *array, bus_buf *buf)
{
	BUS_BUF_AUTO flow = { 0 };
	bus_buf_byte(&flow, '[');
	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *item = json_array_get(array, i);
		if (!is_scalar(item)) {
			return false;
		}
		bus_buf_cstr(&flow, i > 0 ? ", " : "");
		write_scalar(item, &flow);
	}
	bus_buf_byte(&flow, ']');
	if (flow.len > FLOW_MAX) {
		return false;
	}
	bus_buf_str(buf, bus_buf_view(&flow));
	return true;
}

static void
indent(bus_buf *buf, int depth)
{
	for (int i = 0; i < depth; i++) {
		bus_buf_cstr(buf, "  ");
	}
}

static void write_block(const json_t *json, int depth, bool inside_item, bus_buf *buf);

/* What follows "name:" or "-" . */
static void
write_value(const json_t *json, int depth, bool is_item, bus_buf *buf)
{
	if (is_scalar(json)) {
		bus_buf_byte(buf, ' ');
		write_scalar(json, buf);
		bus_buf_byte(buf, '\n');
	} else if (json_is_object(json) && json_object_size(json) == 0) {
		bus_buf_cstr(buf, " {}\n");
	} else if (json_is_array(json)) {
		size_t len = buf->len;
		bus_buf_byte(buf, ' ');
		if (write_flow(json, buf)) {
			bus_buf_byte(buf, '\n');
			return;
		}
		buf->len = len;
		bus_buf_byte(buf, '\n');
		write_block(json, depth, false, buf);
	} else if (is_item) {
		bus_buf_byte(buf, ' ');
		write_block(json, depth, true, buf);
	} else {
		bus_buf_byte(buf, '\n');
		write_block(json, depth, false, buf);
	}
}

/* inside_item: the first line stands behind a dash already. */
static void
write_block(const json_t *json, int depth, bool inside_item, bus_buf *buf)
{
	if (json_is_array(json)) {
		for (size_t i = 0; i < json_array_size(json); i++) {
			indent(buf, depth);
			bus_buf_byte(buf, '-');
			write_value(json_array_get(json, i), depth + 1, true, buf);
		}
		return;
	}
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)json, name, value)
	{
		indent(buf, inside_item ? 0 : depth);
		inside_item = false;
		write_text(name, buf);
		bus_buf_byte(buf, ':');
		write_value(value, depth + 1, false, buf);
	}
}

void
busp_yaml_write(const json_t *json, bus_buf *buf)
{
	write_block(json, 0, false, buf);
}
