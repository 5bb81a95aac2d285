/*
 * json.c - jansson behind our limits
 *
 * Depth is counted over the bytes before jansson sees them: jansson recurses to 2048 and
 * has allocated for every level by the time it says no. NUL is refused here too, because
 * JSON_DECODE_ANY lets a number through that a NUL byte follows.
 */
#include "core/json.h"

typedef enum busp_json_fault {
	BUSP_JSON_FINE,
	BUSP_JSON_NUL,
	BUSP_JSON_DEEP,
} busp_json_fault;

/* The byte behind a string that begins at its opening quote; end if it never closes. */
static const char *
busp_json_skip_string(const char *at, const char *end)
{
	for (at++; at < end && *at != '"'; at++) {
		if (*at == '\0') {
			return at;
		}
		if (*at == '\\') {
			at++;
		}
	}
	return at < end ? at + 1 : end;
}

static busp_json_fault
busp_json_prescan(bus_str text)
{
	const char *end = text.data + text.len;
	int depth = 0;
	for (const char *at = text.data; at < end;) {
		switch (*at) {
		case '"':
			at = busp_json_skip_string(at, end);
			continue;
		case '[':
		case '{':
			if (++depth > BUS_JSON_DEPTH_MAX) {
				return BUSP_JSON_DEEP;
			}
			break;
		case ']':
		case '}':
			depth--;
			break;
		case '\0':
			return BUSP_JSON_NUL;
		}
		at++;
	}
	return BUSP_JSON_FINE;
}

static bus_status
busp_json_refuse(const json_error_t *why, bus_error *err)
{
	if (json_error_code(why) == json_error_numeric_overflow) {
		return bus_error_set(
			err, BUS_E_REJECT, "json", (int)json_error_code(why),
			"JSON line %d column %d: a number does not fit (integers "
			"are 64 bits, reals are doubles)",
			why->line, why->column);
	}
	return bus_error_set(err, BUS_E_REJECT, "json", (int)json_error_code(why),
			     "JSON line %d column %d: %s", why->line, why->column,
			     why->text);
}

bus_status
bus_json_parse(bus_str text, json_t **ret_json, bus_error *err)
{
	if (text.data == NULL || text.len == 0) {
		return bus_error_set(err, BUS_E_REJECT, "json", 0, "JSON text is empty");
	}
	if (text.len > BUS_EVENT_BYTES_MAX) {
		return bus_error_set(err, BUS_E_REJECT, "json", 0,
				     "JSON text has %zu bytes, more than %u", text.len,
				     BUS_EVENT_BYTES_MAX);
	}
	switch (busp_json_prescan(text)) {
	case BUSP_JSON_NUL:
		return bus_error_set(err, BUS_E_REJECT, "json", 0,
				     "JSON text holds a NUL byte");
	case BUSP_JSON_DEEP:
		return bus_error_set(err, BUS_E_REJECT, "json", 0,
				     "JSON text is nested deeper than %d",
				     BUS_JSON_DEPTH_MAX);
	case BUSP_JSON_FINE:
		break;
	}
	json_error_t why;
	json_t *json = json_loadb(text.data, text.len,
				  JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	if (json == NULL) {
		return busp_json_refuse(&why, err);
	}
	*ret_json = json;
	return BUS_OK;
}

bus_str
bus_json_str(const json_t *object, const char *member)
{
	const json_t *value = json_object_get(object, member);
	return json_is_string(value) ?
		       (bus_str){ json_string_value(value), json_string_length(value) } :
		       BUS_STR_NULL;
}

int64_t
bus_json_int(const json_t *object, const char *member, int64_t fallback)
{
	const json_t *value = json_object_get(object, member);
	if (json_is_integer(value)) {
		return json_integer_value(value);
	}
	/* JSON Schema takes 3.0 for an integer, so what was validated as one may come so. Past
	 * 2^53 a double does not hold every integer: that is none. */
	double real = json_is_real(value) ? json_real_value(value) : 0.5;
	if (real < -0x1p53 || real > 0x1p53 || real != (double)(int64_t)real) {
		return fallback;
	}
	return (int64_t)real;
}
