/*
 * text.h - bytes of unknown origin, one character at a time (private to core)
 */
#ifndef BUS_CORE_TEXT_H
#define BUS_CORE_TEXT_H

#include "core/str.h"

/* Longest result of busp_json_unit(): two \uXXXX would be 12, we need one, or 4 bytes. */
#define BUSP_JSON_UNIT_MAX 8

/* One UTF-8 character at text[at]; its length, or 0 when the bytes there are none. */
size_t busp_utf8_next(bus_str text, size_t at, uint32_t *ret_code);

/**
 * busp_json_unit - the next character of text as it stands between the quotes of JSON
 *
 * @at: moved past the character; must be below text.len
 *
 * A byte that is no UTF-8 becomes U+FFFD: what we print is always valid JSON.
 * Returns the number of bytes put into ret_unit.
 */
size_t busp_json_unit(bus_str text, size_t *at, char ret_unit[BUSP_JSON_UNIT_MAX]);

/* ASCII letters only; everything else unchanged. */
static inline char
busp_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Does text begin with the lower-case ASCII prefix, in any case? */
static inline bool
busp_has_prefix_nocase(bus_str text, bus_str prefix)
{
	if (text.len < prefix.len) {
		return false;
	}
	for (size_t i = 0; i < prefix.len; i++) {
		if (busp_lower(text.data[i]) != prefix.data[i]) {
			return false;
		}
	}
	return true;
}

static inline bool
busp_is_nocase(bus_str text, bus_str lower)
{
	return text.len == lower.len && busp_has_prefix_nocase(text, lower);
}

#endif
