/*
 * status.c - errors in the caller's storage
 */
#include "core/status.h"

#include <stdio.h>

#include "core/text.h"

const char *
bus_status_name(bus_status status)
{
	switch (status) {
	case BUS_OK:
		return "OK";
	case BUS_E_RETRY:
		return "RETRY";
	case BUS_E_ABORT:
		return "ABORT";
	case BUS_E_UNKNOWN:
		return "UNKNOWN";
	case BUS_E_REJECT:
		return "REJECT";
	case BUS_E_FATAL:
		return "FATAL";
	}
	return "?";
}

/* The text may quote what came from outside and may be cut inside a character, yet it
 * goes into PostgreSQL and JSON: one line of valid UTF-8, whatever it quotes. */
static void
busp_error_clean(char *text)
{
	bus_str all = bus_str_from(text);
	size_t at = 0;
	while (at < all.len) {
		uint32_t code;
		size_t len = busp_utf8_next(all, at, &code);
		if (len == 0) {
			text[at] = '?';
			len = 1;
		} else if (code < 0x20 || code == 0x7f) {
			text[at] = ' ';
		}
		at += len;
	}
}

bus_status
bus_error_vset(bus_error *err, bus_status status, const char *origin, int native_code,
	       const char *fmt, va_list args)
{
	if (err == NULL || err->status != BUS_OK) {
		return status;
	}
	err->status = status;
	err->origin = origin;
	err->native_code = native_code;
	vsnprintf(err->text, sizeof(err->text), fmt, args);
	busp_error_clean(err->text);
	return status;
}

bus_status
bus_error_set(bus_error *err, bus_status status, const char *origin, int native_code,
	      const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	bus_error_vset(err, status, origin, native_code, fmt, args);
	va_end(args);
	return status;
}

void
bus_error_reset(bus_error *err)
{
	*err = BUS_ERROR_INIT;
}
