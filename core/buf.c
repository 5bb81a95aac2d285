/*
 * buf.c - a growing byte buffer
 */
#include "core/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"
#include "core/text.h"

void
bus_buf_fini(bus_buf *buf)
{
	if (buf == NULL) {
		return;
	}
	free(buf->data);
	*buf = (bus_buf){ 0 };
}

void
bus_buf_clear(bus_buf *buf)
{
	buf->len = 0;
	if (buf->data != NULL) {
		buf->data[0] = '\0';
	}
}

char *
bus_buf_reserve(bus_buf *buf, size_t len)
{
	/* one more than asked for: the NUL behind the data */
	if (buf->data != NULL && buf->cap - buf->len > len) {
		return buf->data + buf->len;
	}
	if (len > SIZE_MAX / 2 - buf->len) {
		busp_memory_short("a buffer", len);
	}
	size_t need = buf->len + len + 1;
	size_t cap = buf->cap > 0 ? buf->cap : 64;
	while (cap < need) {
		cap *= 2;
	}
	char *data = realloc(buf->data, cap);
	if (data == NULL) {
		busp_memory_short("a buffer", cap);
	}
	buf->data = data;
	buf->cap = cap;
	return data + buf->len;
}

void
bus_buf_append(bus_buf *buf, const void *data, size_t len)
{
	char *to = bus_buf_reserve(buf, len);
	if (len > 0) {
		memcpy(to, data, len);
	}
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void
bus_buf_str(bus_buf *buf, bus_str text)
{
	bus_buf_append(buf, text.data, text.len);
}

void
bus_buf_cstr(bus_buf *buf, const char *cstr)
{
	bus_buf_append(buf, cstr, strlen(cstr));
}

void
bus_buf_byte(bus_buf *buf, uint8_t byte)
{
	bus_buf_append(buf, &byte, 1);
}

void
bus_buf_be32(bus_buf *buf, uint32_t value)
{
	uint8_t bytes[4] = { (uint8_t)(value >> 24), (uint8_t)(value >> 16),
			     (uint8_t)(value >> 8), (uint8_t)value };
	bus_buf_append(buf, bytes, sizeof(bytes));
}

void
bus_buf_be64(bus_buf *buf, uint64_t value)
{
	bus_buf_be32(buf, (uint32_t)(value >> 32));
	bus_buf_be32(buf, (uint32_t)value);
}

void
bus_buf_printf(bus_buf *buf, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	va_list again;
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0) {
		/* only a format that cannot be converted: our own bug */
		abort();
	}
	char *to = bus_buf_reserve(buf, (size_t)len);
	vsnprintf(to, (size_t)len + 1, fmt, again);
	va_end(again);
	buf->len += (size_t)len;
}

void
bus_buf_json_string(bus_buf *buf, bus_str text)
{
	bus_buf_byte(buf, '"');
	size_t at = 0;
	while (at < text.len) {
		char unit[BUSP_JSON_UNIT_MAX];
		size_t len = busp_json_unit(text, &at, unit);
		bus_buf_append(buf, unit, len);
	}
	bus_buf_byte(buf, '"');
}
