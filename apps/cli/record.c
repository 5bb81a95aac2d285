/*
 * record.c - a record of a log, for people
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli/record.h"
#include "core/buf.h"
#include "core/json.h"

static bus_str
busp_kept(bus_arena *arena, const bus_buf *buf)
{
	return bus_arena_str(arena, bus_buf_view(buf));
}

/* JSON of others may stand on several lines; ours stands on one. */
static bool
busp_one_line(bus_str text)
{
	return memchr(text.data, '\n', text.len) == NULL &&
	       memchr(text.data, '\r', text.len) == NULL;
}

bus_str
bus_cli_data_json(bus_str data, bus_arena *arena, bool *ret_base64)
{
	BUS_JSON_AUTO *json = NULL;
	bus_error err = BUS_ERROR_INIT;
	*ret_base64 = false;
	if (data.data == NULL) {
		return BUS_STR("null");
	}
	if (bus_json_parse(data, &json, &err) == BUS_OK) {
		if (busp_one_line(data)) {
			return data;
		}
		size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
		size_t len = json_dumpb(json, NULL, 0, flags);
		char *text = bus_arena_alloc(arena, len + 1);
		json_dumpb(json, text, len, flags);
		return (bus_str){ text, len };
	}
	BUS_BUF_AUTO out = { 0 };
	if (bus_utf8_valid(data)) {
		bus_buf_json_string(&out, data);
		return busp_kept(arena, &out);
	}
	*ret_base64 = true;
	bus_buf_byte(&out, '"');
	char *room = bus_buf_reserve(&out, data.len / 3 * 4 + 8);
	int len = EVP_EncodeBlock((unsigned char *)room, (const unsigned char *)data.data,
				  (int)data.len);
	out.len += (size_t)len;
	bus_buf_byte(&out, '"');
	return busp_kept(arena, &out);
}

bus_str
bus_cli_text_of(bus_str bytes, bus_arena *arena)
{
	if (bytes.data == NULL || bus_utf8_valid(bytes)) {
		return bytes;
	}
	BUS_BUF_AUTO out = { 0 };
	bus_buf_cstr(&out, "\\x");
	for (size_t i = 0; i < bytes.len; i++) {
		bus_buf_printf(&out, "%02x", (unsigned char)bytes.data[i]);
	}
	return busp_kept(arena, &out);
}

bus_str
bus_cli_headers_json(const bus_header *headers, size_t count, bus_arena *arena)
{
	BUS_JSON_AUTO *object = json_object();
	for (size_t i = 0; i < count; i++) {
		bus_str name = bus_cli_text_of(headers[i].name, arena);
		bus_str value = bus_cli_text_of(headers[i].value, arena);
		const char *key = bus_arena_str(arena, name).data;
		json_t *text = value.data == NULL ? json_null() :
						    json_stringn(value.data, value.len);
		json_t *old = json_object_get(object, key);
		if (old == NULL) {
			json_object_set_new(object, key, text);
		} else if (json_is_array(old)) {
			json_array_append_new(old, text);
		} else {
			json_object_set_new(object, key, json_pack("[O,o]", old, text));
		}
	}
	size_t len = json_dumpb(object, NULL, 0, JSON_COMPACT);
	char *text = bus_arena_alloc(arena, len + 1);
	json_dumpb(object, text, len, JSON_COMPACT);
	return (bus_str){ text, len };
}

static int
busp_hex(char digit)
{
	const char *digits = "0123456789abcdef";
	const char *at = memchr(digits, digit, 16);
	return at == NULL ? -1 : (int)(at - digits);
}

bus_str
bus_cli_bytea(bus_str text, bus_arena *arena)
{
	if (text.data == NULL || text.len < 2 || memcmp(text.data, "\\x", 2) != 0 ||
	    text.len % 2 != 0) {
		return BUS_STR_NULL;
	}
	char *bytes = bus_arena_alloc(arena, text.len / 2);
	for (size_t i = 2; i < text.len; i += 2) {
		int high = busp_hex(text.data[i]), low = busp_hex(text.data[i + 1]);
		if (high < 0 || low < 0) {
			return BUS_STR_NULL;
		}
		bytes[i / 2 - 1] = (char)(high << 4 | low);
	}
	return (bus_str){ bytes, text.len / 2 - 1 };
}
