/*
 * str.h - borrowed text: a pointer and a length, never NUL-terminated by promise
 */
#ifndef BUS_CORE_STR_H
#define BUS_CORE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * A view. data == NULL is "absent" (an SQL NULL, a Kafka null key, a missing
 * attribute); data != NULL with len == 0 is "present and empty".
 */
typedef struct bus_str {
	const char *data;
	size_t len;
} bus_str;

#define BUS_STR_NULL ((bus_str){ NULL, 0 })
#define BUS_STR(literal) ((bus_str){ "" literal, sizeof(literal) - 1 })
/* for printf("%.*s", BUS_STR_ARG(s)) */
#define BUS_STR_ARG(s) (int)(s).len, (s).data != NULL ? (s).data : ""

static inline bus_str
bus_str_from(const char *cstr)
{
	return cstr == NULL ? BUS_STR_NULL : (bus_str){ cstr, strlen(cstr) };
}

static inline bool
bus_str_eq(bus_str a, bus_str b)
{
	return a.len == b.len && (a.data == NULL) == (b.data == NULL) &&
	       (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool
bus_str_is(bus_str a, const char *cstr)
{
	return a.data != NULL && a.len == strlen(cstr) &&
	       memcmp(a.data, cstr, a.len) == 0;
}

static inline bool
bus_str_empty(bus_str a)
{
	return a.len == 0;
}

/* Valid UTF-8 as of RFC 3629: no overlong form, no surrogate, nothing past U+10FFFF. */
bool bus_utf8_valid(bus_str text);

#endif
