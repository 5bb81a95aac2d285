/*
 * scan.h - a cursor over text, for the formats; private to this room
 */
#ifndef BUSP_SCHEMAS_SCAN_H
#define BUSP_SCHEMAS_SCAN_H

#include "core/str.h"

typedef struct busp_scan {
	const char *at, *end;
} busp_scan;

static inline busp_scan
busp_scan_of(bus_str text)
{
	return (busp_scan){ text.data, text.data + text.len };
}

static inline bool
busp_scan_done(const busp_scan *scan)
{
	return scan->at == scan->end;
}

/* The next byte, -1 at the end. */
static inline int
busp_scan_peek(const busp_scan *scan)
{
	return scan->at < scan->end ? (unsigned char)*scan->at : -1;
}

static inline bool
busp_scan_char(busp_scan *scan, char c)
{
	if (busp_scan_peek(scan) != (unsigned char)c) {
		return false;
	}
	scan->at++;
	return true;
}

/* ASCII only, whatever the locale is. */
static inline bool
busp_is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static inline bool
busp_is_alpha(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool
busp_is_hex(int c)
{
	return busp_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static inline bool
busp_is_alnum(int c)
{
	return busp_is_alpha(c) || busp_is_digit(c);
}

/* At least one digit, at most max; how many, their value in *ret_value (up to 9). */
static inline size_t
busp_scan_digits(busp_scan *scan, size_t max, unsigned *ret_value)
{
	size_t count = 0;
	unsigned value = 0;
	while (count < max && busp_is_digit(busp_scan_peek(scan))) {
		if (count < 9) {
			value = value * 10 + (unsigned)(*scan->at - '0');
		}
		scan->at++;
		count++;
	}
	*ret_value = value;
	return count;
}

/* format_time.c */
bool busp_is_date_time(bus_str text);
bool busp_is_date(bus_str text);
bool busp_is_time(bus_str text);
bool busp_is_duration(bus_str text);

/* format_net.c */
bool busp_is_hostname(bus_str text);
bool busp_is_ipv4(bus_str text);
bool busp_is_ipv6(bus_str text);
bool busp_is_email(bus_str text);
bool busp_is_idn_email(bus_str text);
bool busp_is_uri(bus_str text);
bool busp_is_uri_reference(bus_str text);
bool busp_is_iri(bus_str text);
bool busp_is_iri_reference(bus_str text);
bool busp_is_uri_template(bus_str text);

#endif
