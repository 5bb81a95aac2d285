/*
 * params.c - parameters in PostgreSQL's binary formats
 *
 * One growing buffer per parameter, kept from statement to statement: encoding a unit
 * allocates nothing once the buffers are as large as units get.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>

#include "core/id.h"
#include "sql/store_private.h"

void
busp_put_be32(char *at, uint32_t value)
{
	uint32_t be = htobe32(value);
	memcpy(at, &be, sizeof(be));
}

void
busp_put_be64(char *at, uint64_t value)
{
	uint64_t be = htobe64(value);
	memcpy(at, &be, sizeof(be));
}

uint32_t
busp_get_be32(const char *at)
{
	uint32_t be;
	memcpy(&be, at, sizeof(be));
	return be32toh(be);
}

uint64_t
busp_get_be64(const char *at)
{
	uint64_t be;
	memcpy(&be, at, sizeof(be));
	return be64toh(be);
}

void
busp_params_clear(busp_params *params)
{
	for (size_t i = 0; i < params->count; i++) {
		bus_buf_clear(&params->bufs[i]);
		params->absent[i] = false;
	}
	params->count = 0;
}

void
busp_params_fini(busp_params *params)
{
	for (size_t i = 0; i < BUSP_PARAMS_MAX; i++) {
		bus_buf_fini(&params->bufs[i]);
	}
	params->count = 0;
}

static bus_buf *
param_next(busp_params *params)
{
	assert(params->count < BUSP_PARAMS_MAX);
	return &params->bufs[params->count++];
}

void
busp_param_int8(busp_params *params, int64_t value)
{
	bus_buf_be64(param_next(params), (uint64_t)value);
}

void
busp_param_int4(busp_params *params, int32_t value)
{
	bus_buf_be32(param_next(params), (uint32_t)value);
}

void
busp_param_str(busp_params *params, bus_str text)
{
	params->absent[params->count] = text.data == NULL;
	bus_buf_str(param_next(params), text);
}

bus_buf *
busp_param_array(busp_params *params, uint32_t element_oid, size_t count)
{
	bus_buf *array = param_next(params);
	char *at = bus_buf_reserve(array, 20);
	busp_put_be32(at, 1);     /* dimensions */
	busp_put_be32(at + 4, 1); /* "may have NULLs": the server looks for itself */
	busp_put_be32(at + 8, element_oid);
	busp_put_be32(at + 12, (uint32_t)count);
	busp_put_be32(at + 16, 1); /* lower bound */
	array->len += 20;
	return array;
}

void
busp_put_str(bus_buf *array, bus_str text)
{
	char *at = bus_buf_reserve(array, 4 + text.len);
	if (text.data == NULL) {
		busp_put_be32(at, UINT32_MAX);
		array->len += 4;
		return;
	}
	busp_put_be32(at, (uint32_t)text.len);
	memcpy(at + 4, text.data, text.len);
	array->len += 4 + text.len;
}

void
busp_put_int8(bus_buf *array, int64_t value)
{
	char *at = bus_buf_reserve(array, 12);
	busp_put_be32(at, 8);
	busp_put_be64(at + 4, (uint64_t)value);
	array->len += 12;
}

void
busp_put_int4(bus_buf *array, int32_t value)
{
	char *at = bus_buf_reserve(array, 8);
	busp_put_be32(at, 4);
	busp_put_be32(at + 4, (uint32_t)value);
	array->len += 8;
}

void
busp_put_time(bus_buf *array, int64_t time_us)
{
	if (time_us == BUS_INT_NULL) {
		busp_put_str(array, BUS_STR_NULL);
		return;
	}
	busp_put_int8(array, time_us - BUSP_EPOCH_SHIFT_US);
}

static uint32_t
column_oid(bus_column_type type)
{
	switch (type) {
	case BUS_COL_TEXT:
	case BUS_COL_JSON: /* jsonb[] is the slowest of all batch forms: cast in the query */
		return BUSP_OID_TEXT;
	case BUS_COL_BYTES:
		return BUSP_OID_BYTEA;
	case BUS_COL_INT8:
		return BUSP_OID_INT8;
	case BUS_COL_TIME:
		return BUSP_OID_TIMESTAMPTZ;
	case BUS_COL_BOOL:
		return BUSP_OID_BOOL;
	case BUS_COL_UUID:
		return BUSP_OID_UUID;
	}
	assert(!"column type");
	return 0;
}

void
busp_param_nothing(busp_params *params)
{
	params->absent[params->count - 1] = true;
}

/* False for NULL. */
static bool
put_column(bus_buf *array, bus_column_type type, const char *member)
{
	bus_str text;
	int64_t integer;
	switch (type) {
	case BUS_COL_TEXT:
	case BUS_COL_JSON:
	case BUS_COL_BYTES:
		memcpy(&text, member, sizeof(text));
		busp_put_str(array, text);
		return text.data != NULL;
	case BUS_COL_INT8:
	case BUS_COL_TIME:
		memcpy(&integer, member, sizeof(integer));
		if (integer == BUS_INT_NULL) {
			busp_put_str(array, BUS_STR_NULL);
		} else if (type == BUS_COL_TIME) {
			busp_put_time(array, integer);
		} else {
			busp_put_int8(array, integer);
		}
		return integer != BUS_INT_NULL;
	case BUS_COL_BOOL:
		busp_put_str(array, (bus_str){ *(const bool *)member ? "\1" : "\0", 1 });
		return true;
	case BUS_COL_UUID:
		busp_put_str(array, (bus_str){ member, BUS_UUID_BYTES });
		return true;
	}
	return true;
}

void
busp_param_column(busp_params *params, const bus_column *column, const void *const *rows,
		  size_t count)
{
	bool any = false;
	bus_buf *array = busp_param_array(params, column_oid(column->type), count);
	for (size_t i = 0; i < count; i++) {
		any |= put_column(array, column->type,
				  (const char *)rows[i] + column->offset);
	}
	if (!any) {
		busp_param_nothing(params);
	}
}

bus_str
busp_text_safe(bus_str text, bus_arena *arena)
{
	if (text.data == NULL ||
	    (bus_utf8_valid(text) && memchr(text.data, 0, text.len) == NULL)) {
		return text;
	}
	char *out = bus_arena_alloc(arena, text.len * 3);
	size_t len = 0;
	for (size_t i = 0; i < text.len;) {
		size_t take = 1;
		while (take <= 4 && i + take <= text.len && text.data[i] != '\0' &&
		       !bus_utf8_valid((bus_str){ text.data + i, take })) {
			take++;
		}
		if (text.data[i] == '\0' || take > 4 || i + take > text.len) {
			memcpy(out + len, "\xef\xbf\xbd", 3);
			len += 3;
			i++;
		} else {
			memcpy(out + len, text.data + i, take);
			len += take;
			i += take;
		}
	}
	return (bus_str){ out, len };
}
