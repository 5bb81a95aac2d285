/*
 * wire_batch.c - records of one partition as bytes: bodies, their directory, slices
 */
#include <xxhash.h>

#include "broker-adapters/nng/wire.h"
#include "broker-adapters/shared.h"

/* What stands in front of a field that is absent. */
#define BUSP_ABSENT UINT32_MAX
/* Lengths of key and value, and the number of headers. */
#define BUSP_BODY_FIXED 12u
/* Lengths of name and value. */
#define BUSP_BODY_PER_HEADER 8u

/* A body taken apart, without its headers. */
typedef struct busp_body {
	bus_str key;
	bus_str headers; /* as bus_headers_unpack() takes them */
	bus_str value;
	size_t record_bytes; /* as bus_record_bytes() counts */
} busp_body;

uint64_t
busp_checksum(const void *data, size_t len)
{
	return XXH3_64bits(data, len);
}

static uint32_t
busp_be32_at(const char *at)
{
	const uint8_t *byte = (const uint8_t *)at;
	return (uint32_t)byte[0] << 24 | (uint32_t)byte[1] << 16 |
	       (uint32_t)byte[2] << 8 | byte[3];
}

static char *
busp_set_be32(char *to, uint32_t value)
{
	for (int i = 0; i < 4; i++) {
		to[i] = (char)(uint8_t)(value >> (24 - 8 * i));
	}
	return to + 4;
}

static char *
busp_set_field(char *to, bus_str field)
{
	to = busp_set_be32(to, field.data != NULL ? (uint32_t)field.len : BUSP_ABSENT);
	if (field.len > 0) {
		memcpy(to, field.data, field.len);
	}
	return to + field.len;
}

size_t
busp_body_bytes(const bus_record *record)
{
	return BUSP_BODY_FIXED + record->header_count * BUSP_BODY_PER_HEADER +
	       bus_record_bytes(record);
}

void
busp_batch_add(busp_batch_maker *maker, const bus_record *record)
{
	size_t len = busp_body_bytes(record);
	char *body = bus_buf_reserve(&maker->bodies, len);
	char *to = busp_set_field(body, record->key);
	to = busp_set_be32(to, (uint32_t)record->header_count);
	for (size_t i = 0; i < record->header_count; i++) {
		to = busp_set_field(to, record->headers[i].name);
		to = busp_set_field(to, record->headers[i].value);
	}
	busp_set_field(to, record->value);
	maker->bodies.len += len;
	bus_buf_be32(&maker->directory, (uint32_t)len);
	bus_buf_be64(&maker->directory, busp_checksum(body, len));
	maker->count++;
}

void
busp_batch_clear(busp_batch_maker *maker)
{
	maker->count = 0;
	bus_buf_clear(&maker->directory);
	bus_buf_clear(&maker->bodies);
}

void
busp_batch_fini(busp_batch_maker *maker)
{
	maker->count = 0;
	bus_buf_fini(&maker->directory);
	bus_buf_fini(&maker->bodies);
}

void
busp_put_batch(bus_buf *to, uint32_t count, bus_str directory, bus_str bodies)
{
	bus_buf_be32(to, count);
	bus_buf_be32(to, (uint32_t)bodies.len);
	bus_buf_append(to, directory.data, directory.len);
	bus_buf_append(to, bodies.data, bodies.len);
}

uint32_t
busp_batch_length(const busp_batch *batch, uint32_t index)
{
	return busp_be32_at(batch->directory.data + (size_t)index * BUSP_DIRECTORY_BYTES);
}

uint64_t
busp_batch_checksum(const busp_batch *batch, uint32_t index)
{
	const char *at = batch->directory.data + (size_t)index * BUSP_DIRECTORY_BYTES + 4;
	return (uint64_t)busp_be32_at(at) << 32 | busp_be32_at(at + 4);
}

/* Do the lengths of the directory add up to the bodies? */
static bool
busp_batch_adds_up(const busp_batch *batch)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < batch->count; i++) {
		sum += busp_batch_length(batch, i);
	}
	return sum == batch->bodies.len;
}

busp_batch
busp_get_batch(busp_reader *reader)
{
	busp_batch batch = { .count = busp_get_count(reader, BUSP_DIRECTORY_BYTES) };
	uint32_t bodies = busp_get_u32(reader);
	batch.directory =
		busp_get_bytes(reader, (size_t)batch.count * BUSP_DIRECTORY_BYTES);
	batch.bodies = busp_get_bytes(reader, bodies);
	if (reader->bad || batch.count == 0 || !busp_batch_adds_up(&batch)) {
		reader->bad = true;
		return (busp_batch){ .directory = BUS_STR(""), .bodies = BUS_STR("") };
	}
	return batch;
}

static bool
busp_take_be32(bus_str *rest, uint32_t *ret_value)
{
	if (rest->len < 4) {
		return false;
	}
	*ret_value = busp_be32_at(rest->data);
	*rest = (bus_str){ rest->data + 4, rest->len - 4 };
	return true;
}

static bool
busp_take_field(bus_str *rest, bus_str *ret_field)
{
	uint32_t len;
	if (!busp_take_be32(rest, &len)) {
		return false;
	}
	if (len == BUSP_ABSENT) {
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

static bool
busp_take_headers(bus_str *rest, busp_body *body)
{
	const char *begin = rest->data;
	uint32_t count;
	if (!busp_take_be32(rest, &count)) {
		return false;
	}
	for (uint32_t i = 0; i < count; i++) {
		bus_str name;
		bus_str value;
		/* Kafka has no header without a name, and logs move between the two */
		if (!busp_take_field(rest, &name) || name.data == NULL ||
		    !busp_take_field(rest, &value)) {
			return false;
		}
		body->record_bytes += name.len + value.len;
	}
	body->headers = (bus_str){ begin, (size_t)(rest->data - begin) };
	return true;
}

static bool
busp_body_parse(bus_str bytes, busp_body *ret_body)
{
	bus_str rest = bytes;
	busp_body body = { 0 };
	if (!busp_take_field(&rest, &body.key) || !busp_take_headers(&rest, &body) ||
	    !busp_take_field(&rest, &body.value) || rest.len > 0) {
		return false;
	}
	body.record_bytes += body.key.len + body.value.len;
	*ret_body = body;
	return true;
}

uint32_t
busp_batch_verify(const busp_batch *batch)
{
	const char *at = batch->bodies.data;
	for (uint32_t i = 0; i < batch->count; i++) {
		uint32_t len = busp_batch_length(batch, i);
		busp_body body;
		/* thousands of empty headers are few bytes of record and many of body */
		if (len > BUSP_FRAME_BODIES ||
		    busp_checksum(at, len) != busp_batch_checksum(batch, i) ||
		    !busp_body_parse((bus_str){ at, len }, &body) ||
		    body.record_bytes > BUSP_RECORD_BYTES_MAX) {
			return i;
		}
		at += len;
	}
	return batch->count;
}

bus_status
busp_get_record(bus_str body, bus_arena *arena, bus_record *ret_record, bus_error *err)
{
	busp_body parts;
	if (!busp_body_parse(body, &parts)) {
		return bus_error_set(err, BUS_E_REJECT, BUSP_ORIGIN, 0,
				     "record of %zu bytes: key, headers and value do not "
				     "fill it",
				     body.len);
	}
	bus_record record = { .key = parts.key, .value = parts.value };
	bus_status status = bus_headers_unpack(parts.headers, arena, &record.headers,
					       &record.header_count, err);
	if (status == BUS_OK) {
		*ret_record = record;
	}
	return status;
}

void
busp_put_slice(bus_buf *to, int64_t base, int64_t timestamp_ms, uint32_t count,
	       bus_str directory, bus_str bodies)
{
	bus_buf_be64(to, (uint64_t)base);
	bus_buf_be64(to, (uint64_t)timestamp_ms);
	busp_put_batch(to, count, directory, bodies);
}

busp_slice
busp_get_slice(busp_reader *reader)
{
	busp_slice slice = { 0 };
	slice.base = (int64_t)busp_get_u64(reader);
	slice.timestamp_ms = (int64_t)busp_get_u64(reader);
	slice.batch = busp_get_batch(reader);
	return slice;
}
