/*
 * json.h - JSON from outside, with our limits
 *
 * Over jansson: duplicate keys refused, NUL refused, nesting bounded before anything is
 * allocated for it, bytes bounded. Nothing is ever hashed after re-serialising.
 */
#ifndef BUS_CORE_JSON_H
#define BUS_CORE_JSON_H

#include <jansson.h>

#include "core/status.h"
#include "core/str.h"

/* A deploy with its environment is about 2 KiB; 1 MiB of "{}," would grow to 81 MiB. */
#define BUS_EVENT_BYTES_MAX (256u * 1024u)
/* Deepest event of the platform is 6; jansson itself stops at 2048. */
#define BUS_JSON_DEPTH_MAX 32

/**
 * bus_json_parse - one JSON text
 *
 * @text: RFC 8259, UTF-8, any value at the top; leading and trailing white space only
 * @ret_json: new reference
 *
 * Errors:  BUS_E_REJECT with line, column and cause.
 * Threads: any.
 */
BUS_MUST_CHECK bus_status bus_json_parse(bus_str text, json_t **ret_json, bus_error *err);

static inline void
busp_json_decref(json_t **json)
{
	json_decref(*json);
}

#define BUS_JSON_AUTO __attribute__((cleanup(busp_json_decref))) json_t

/* Views into the tree, borrowed; BUS_STR_NULL if missing or no string. */
bus_str bus_json_str(const json_t *object, const char *member);
/* Fallback if missing or no integer; 3.0 is one, as JSON Schema has it. */
int64_t bus_json_int(const json_t *object, const char *member, int64_t fallback);

#endif
