/*
 * event_bytes.c - what is computed over received bytes: digest and packed headers
 */
#include <stdlib.h>

#include "core/event.h"
#include "core/text.h"

typedef struct busp_digest_header {
	bus_str name; /* lower-case */
	bus_str value;
	size_t index; /* as received: names that are there twice keep their order */
} busp_digest_header;

static int
busp_digest_order(const void *a, const void *b)
{
	const busp_digest_header *x = a;
	const busp_digest_header *y = b;
	size_t shorter = x->name.len < y->name.len ? x->name.len : y->name.len;
	int order = memcmp(x->name.data, y->name.data, shorter);
	if (order == 0) {
		order = (x->name.len > y->name.len) - (x->name.len < y->name.len);
	}
	return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

static bus_str
busp_lower_name(bus_str name, bus_arena *arena)
{
	for (size_t i = 0; i < name.len; i++) {
		if (busp_lower(name.data[i]) != name.data[i]) {
			char *lower = bus_arena_alloc(arena, name.len);
			for (size_t j = 0; j < name.len; j++) {
				lower[j] = busp_lower(name.data[j]);
			}
			return (bus_str){ lower, name.len };
		}
	}
	return name;
}

static bool
busp_counts(bus_str name)
{
	return busp_has_prefix_nocase(name, BUS_STR("ce_")) ||
	       busp_is_nocase(name, BUS_STR("content-type"));
}

/* The usual ten headers are sorted faster in place than by a call of qsort. */
static void
busp_digest_sort(busp_digest_header *headers, size_t count)
{
	if (count > 32) {
		qsort(headers, count, sizeof(headers[0]), busp_digest_order);
		return;
	}
	for (size_t i = 1; i < count; i++) {
		busp_digest_header moved = headers[i];
		size_t j = i;
		for (; j > 0 && busp_digest_order(&headers[j - 1], &moved) > 0; j--) {
			headers[j] = headers[j - 1];
		}
		headers[j] = moved;
	}
}

bus_digest
bus_record_digest(const bus_record *record, bus_hasher *hasher, bus_arena *arena)
{
	busp_digest_header *headers =
		bus_arena_alloc(arena, record->header_count * sizeof(headers[0]));
	size_t count = 0;
	for (size_t i = 0; i < record->header_count; i++) {
		const bus_header *header = &record->headers[i];
		if (busp_counts(header->name)) {
			headers[count] = (busp_digest_header){
				busp_lower_name(header->name, arena), header->value, count
			};
			count++;
		}
	}
	busp_digest_sort(headers, count);
	bus_hasher_begin(hasher);
	for (size_t i = 0; i < count; i++) {
		bus_hasher_field(hasher, headers[i].name);
		bus_hasher_field(hasher, headers[i].value);
	}
	bus_hasher_field(hasher, record->value);
	return bus_hasher_end(hasher);
}

static char *
busp_put_be32(char *to, uint32_t value)
{
	for (int i = 0; i < 4; i++) {
		to[i] = (char)(uint8_t)(value >> (24 - 8 * i));
	}
	return to + 4;
}

static char *
busp_put_field(char *to, bus_str field)
{
	to = busp_put_be32(to, field.data != NULL ? (uint32_t)field.len : UINT32_MAX);
	if (field.len > 0) {
		memcpy(to, field.data, field.len);
	}
	return to + field.len;
}

bus_str
bus_headers_pack(const bus_header *headers, size_t count, bus_arena *arena)
{
	size_t len = 4;
	for (size_t i = 0; i < count; i++) {
		len += 8 + headers[i].name.len + headers[i].value.len;
	}
	char *packed = bus_arena_alloc(arena, len);
	char *to = busp_put_be32(packed, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		to = busp_put_field(to, headers[i].name);
		to = busp_put_field(to, headers[i].value);
	}
	return (bus_str){ packed, len };
}

/* Takes four bytes from the front of rest. */
static bool
busp_get_be32(bus_str *rest, uint32_t *ret_value)
{
	if (rest->len < 4) {
		return false;
	}
	*ret_value = 0;
	for (int i = 0; i < 4; i++) {
		*ret_value = *ret_value << 8 | (uint8_t)rest->data[i];
	}
	*rest = (bus_str){ rest->data + 4, rest->len - 4 };
	return true;
}

static bool
busp_get_field(bus_str *rest, bus_str *ret_field)
{
	uint32_t len;
	if (!busp_get_be32(rest, &len)) {
		return false;
	}
	if (len == UINT32_MAX) {
		*ret_field = BUS_STR_NULL;
		return true;
	}
	if (len > rest->len) {
		return false;
	}
	*ret_field = (bus_str){ rest->data, len };
	*rest = (bus_str){ rest->data + len, rest->len - len };
	return true;
}

bus_status
bus_headers_unpack(bus_str packed, bus_arena *arena, const bus_header **ret_headers,
		   size_t *ret_count, bus_error *err)
{
	bus_str rest = packed;
	uint32_t count;
	/* a header takes eight bytes at least: checked before anything is allocated */
	if (!busp_get_be32(&rest, &count) || count > rest.len / 8) {
		return bus_error_set(err, BUS_E_REJECT, "event", 0,
				     "packed headers: %zu bytes cannot hold their count",
				     packed.len);
	}
	bus_header *headers = bus_arena_alloc(arena, count * sizeof(headers[0]));
	for (uint32_t i = 0; i < count; i++) {
		if (!busp_get_field(&rest, &headers[i].name) ||
		    !busp_get_field(&rest, &headers[i].value)) {
			return bus_error_set(err, BUS_E_REJECT, "event", 0,
					     "packed headers: header %u of %u is cut",
					     i + 1, count);
		}
	}
	if (rest.len > 0) {
		return bus_error_set(err, BUS_E_REJECT, "event", 0,
				     "packed headers: %zu bytes too many", rest.len);
	}
	*ret_headers = headers;
	*ret_count = count;
	return BUS_OK;
}
