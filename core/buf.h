/*
 * buf.h - a growing byte buffer
 */
#ifndef BUS_CORE_BUF_H
#define BUS_CORE_BUF_H

#include "core/status.h"
#include "core/str.h"

/* Caller's storage; zero-initialised is empty. data is NUL-terminated after any append. */
typedef struct bus_buf {
	char *data;
	size_t len;
	size_t cap;
} bus_buf;

/* Frees the memory; the buffer is empty and usable again. NULL-safe. */
void bus_buf_fini(bus_buf *buf);

/* len = 0, memory kept. */
void bus_buf_clear(bus_buf *buf);

/* Appends; when memory is short the process ends with a message. */
void bus_buf_append(bus_buf *buf, const void *data, size_t len);
void bus_buf_str(bus_buf *buf, bus_str text);
void bus_buf_cstr(bus_buf *buf, const char *cstr);
void bus_buf_byte(bus_buf *buf, uint8_t byte);
void bus_buf_be32(bus_buf *buf, uint32_t value);
void bus_buf_be64(bus_buf *buf, uint64_t value);
void bus_buf_printf(bus_buf *buf, const char *fmt, ...) BUS_PRINTF(2, 3);

/* Appends text as a JSON string with its quotes (RFC 8259 escapes, UTF-8 kept). */
void bus_buf_json_string(bus_buf *buf, bus_str text);

/* Room for len more bytes; returns where they go. The caller adds to buf->len. */
char *bus_buf_reserve(bus_buf *buf, size_t len);

static inline bus_str
bus_buf_view(const bus_buf *buf)
{
	return (bus_str){ buf->data != NULL ? buf->data : "", buf->len };
}

#define BUS_BUF_AUTO __attribute__((cleanup(bus_buf_fini))) bus_buf

#endif
