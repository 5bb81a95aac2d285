/*
 * wire.c - what client and broker say to each other, as bytes
 */
#include "broker-adapters/nng/wire.h"

#include <assert.h>

static const struct {
	const char *name;
	bus_status status;
} refusals[BUSP_REFUSAL_COUNT] = {
	[BUSP_DONE] = { "done", BUS_OK },
	[BUSP_MALFORMED] = { "malformed", BUS_E_FATAL },
	[BUSP_OTHER_VERSION] = { "other version", BUS_E_FATAL },
	[BUSP_DENIED] = { "denied", BUS_E_FATAL },
	[BUSP_NO_TOPIC] = { "no such topic", BUS_E_FATAL },
	[BUSP_NO_PARTITION] = { "no such partition", BUS_E_FATAL },
	[BUSP_INVALID] = { "invalid", BUS_E_FATAL },
	[BUSP_TOO_LARGE] = { "too large", BUS_E_FATAL },
	[BUSP_BUSY] = { "busy", BUS_E_RETRY },
	[BUSP_NO_SPACE] = { "no space", BUS_E_RETRY },
	[BUSP_OUT_OF_SEQUENCE] = { "out of sequence", BUS_E_RETRY },
	[BUSP_FORGOTTEN] = { "forgotten", BUS_E_UNKNOWN },
	[BUSP_SEALED] = { "sealed", BUS_E_RETRY },
};

const char *
busp_refusal_name(busp_refusal refusal)
{
	return refusal < BUSP_REFUSAL_COUNT ? refusals[refusal].name : "unknown refusal";
}

bus_status
busp_refusal_status(busp_refusal refusal)
{
	return refusal < BUSP_REFUSAL_COUNT ? refusals[refusal].status : BUS_E_FATAL;
}

/* ---- reading ---- */

bus_str
busp_get_bytes(busp_reader *reader, size_t len)
{
	if (reader->bad || len > reader->rest.len) {
		/* What follows cannot be read either: each getter now gives nothing. */
		reader->bad = true;
		return (bus_str){ "", 0 };
	}
	bus_str bytes = { len > 0 ? reader->rest.data : "", len };
	if (len > 0) {
		reader->rest.data += len;
		reader->rest.len -= len;
	}
	return bytes;
}

static uint64_t
busp_get_number(busp_reader *reader, size_t bytes)
{
	bus_str text = busp_get_bytes(reader, bytes);
	uint64_t number = 0;
	for (size_t i = 0; i < text.len; i++) {
		number = number << 8 | (uint8_t)text.data[i];
	}
	return number;
}

uint8_t
busp_get_u8(busp_reader *reader)
{
	return (uint8_t)busp_get_number(reader, 1);
}

uint16_t
busp_get_u16(busp_reader *reader)
{
	return (uint16_t)busp_get_number(reader, 2);
}

uint32_t
busp_get_u32(busp_reader *reader)
{
	return (uint32_t)busp_get_number(reader, 4);
}

uint64_t
busp_get_u64(busp_reader *reader)
{
	return busp_get_number(reader, 8);
}

bus_str
busp_get_text(busp_reader *reader, size_t len_max)
{
	size_t len = busp_get_u16(reader);
	if (len > len_max) {
		reader->bad = true;
	}
	return busp_get_bytes(reader, len);
}

uint32_t
busp_get_count(busp_reader *reader, size_t bytes_each)
{
	uint32_t count = busp_get_u32(reader);
	assert(bytes_each > 0);
	if (count > reader->rest.len / bytes_each) {
		reader->bad = true;
	}
	return reader->bad ? 0 : count;
}

bool
busp_reader_done(const busp_reader *reader)
{
	return !reader->bad && reader->rest.len == 0;
}

/* ---- writing ---- */

void
busp_put_u16(bus_buf *to, uint16_t value)
{
	bus_buf_byte(to, (uint8_t)(value >> 8));
	bus_buf_byte(to, (uint8_t)value);
}

void
busp_put_text(bus_buf *to, bus_str text)
{
	/* Who writes has checked what came from outside. */
	assert(text.len <= UINT16_MAX);
	busp_put_u16(to, (uint16_t)text.len);
	bus_buf_str(to, text);
}

/* ---- frames ---- */

static void
busp_put_head(bus_buf *to, busp_op op)
{
	bus_buf_be32(to, BUSP_WIRE_MAGIC);
	bus_buf_byte(to, BUSP_WIRE_VERSION);
	bus_buf_byte(to, (uint8_t)op);
}

void
busp_put_request(bus_buf *to, busp_op op, const uint8_t token[BUSP_TOKEN_BYTES])
{
	busp_put_head(to, op);
	bus_buf_append(to, token, BUSP_TOKEN_BYTES);
}

busp_refusal
busp_get_request(busp_reader *reader, busp_op *ret_op, const uint8_t **ret_token)
{
	uint32_t magic = busp_get_u32(reader);
	uint8_t version = busp_get_u8(reader);
	uint8_t op = busp_get_u8(reader);
	*ret_op = op; /* also of a refused one: the answer repeats it */
	if (reader->bad || magic != BUSP_WIRE_MAGIC) {
		reader->bad = true;
		return BUSP_MALFORMED;
	}
	if (version != BUSP_WIRE_VERSION) {
		return BUSP_OTHER_VERSION;
	}
	*ret_token = (const uint8_t *)busp_get_bytes(reader, BUSP_TOKEN_BYTES).data;
	if (op == 0 || op >= BUSP_OP_COUNT) {
		reader->bad = true;
	}
	return reader->bad ? BUSP_MALFORMED : BUSP_DONE;
}

void
busp_put_answer(bus_buf *to, busp_op op, busp_refusal refusal)
{
	busp_put_head(to, op);
	bus_buf_byte(to, (uint8_t)refusal);
}

bus_status
busp_get_answer(busp_reader *reader, busp_op op, bus_error *err)
{
	uint32_t magic = busp_get_u32(reader);
	uint8_t version = busp_get_u8(reader);
	uint8_t answered = busp_get_u8(reader);
	uint8_t refusal = busp_get_u8(reader);
	if (!reader->bad && magic == BUSP_WIRE_MAGIC && version != BUSP_WIRE_VERSION) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, BUSP_OTHER_VERSION,
				     "the broker speaks version %u of the protocol, this "
				     "program %d; run the same release on both sides",
				     version, BUSP_WIRE_VERSION);
	}
	if (reader->bad || magic != BUSP_WIRE_MAGIC || answered != (uint8_t)op ||
	    refusal >= BUSP_REFUSAL_COUNT) {
		reader->bad = true;
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, BUSP_MALFORMED,
				     "what came is no answer to what was asked; is it a "
				     "busline broker that listens there?");
	}
	if (refusal == BUSP_DONE) {
		return BUS_OK;
	}
	bus_str text = busp_get_text(reader, UINT16_MAX);
	return bus_error_set(err, busp_refusal_status(refusal), BUSP_ORIGIN, refusal,
			     "%s%s%.*s", busp_refusal_name(refusal),
			     text.len > 0 ? ": " : "", BUS_STR_ARG(text));
}

/* ---- bodies that both sides make or read ---- */

void
busp_put_topic(bus_buf *to, const bus_topic_info *info)
{
	busp_put_text(to, bus_str_from(info->name));
	bus_buf_be32(to, (uint32_t)info->partitions);
	bus_buf_be64(to, (uint64_t)info->retention_ms);
	bus_buf_be64(to, (uint64_t)info->retention_bytes);
}

void
busp_get_topic(busp_reader *reader, bus_topic_info *ret_info)
{
	bus_str name = busp_get_text(reader, BUS_TOPIC_NAME_MAX - 1);
	*ret_info = (bus_topic_info){ .replication = 1, .min_isr = 1 };
	if (memchr(name.data, '\0', name.len) != NULL) {
		/* It would be another topic's name when it is read as a C string. */
		reader->bad = true;
	}
	if (!reader->bad) {
		memcpy(ret_info->name, name.data, name.len);
	}
	ret_info->partitions = (int32_t)busp_get_u32(reader);
	ret_info->retention_ms = (int64_t)busp_get_u64(reader);
	ret_info->retention_bytes = (int64_t)busp_get_u64(reader);
}

void
busp_put_group_request(bus_buf *to, const busp_group_request *request)
{
	busp_put_text(to, request->group);
	busp_put_text(to, request->topic);
	bus_buf_be64(to, request->member);
	busp_put_text(to, request->client);
	bus_buf_be32(to, request->session_ms);
	bus_buf_be32(to, request->wait_ms);
	bus_buf_byte(to, (uint8_t)request->state);
	bus_buf_be64(to, request->generation);
}

void
busp_get_group_request(busp_reader *reader, busp_group_request *ret_request)
{
	busp_group_request request = { 0 };
	request.group = busp_get_text(reader, BUSP_GROUP_NAME_MAX);
	request.topic = busp_get_text(reader, BUS_TOPIC_NAME_MAX - 1);
	request.member = busp_get_u64(reader);
	request.client = busp_get_text(reader, BUSP_CLIENT_NAME_MAX);
	request.session_ms = busp_get_u32(reader);
	request.wait_ms = busp_get_u32(reader);
	uint8_t state = busp_get_u8(reader);
	request.generation = busp_get_u64(reader);
	if (state > BUSP_GROUP_LEAVING) {
		reader->bad = true;
		state = BUSP_GROUP_LEAVING;
	}
	request.state = (busp_group_state)state;
	*ret_request = request;
}

void
busp_put_group_answer(bus_buf *to, const busp_group_answer *answer)
{
	bus_buf_byte(to, (uint8_t)answer->verdict);
	bus_buf_be64(to, answer->generation);
	bus_buf_be32(to, (uint32_t)answer->partition_count);
	for (size_t i = 0; i < answer->partition_count; i++) {
		bus_buf_be32(to, (uint32_t)answer->partitions[i]);
	}
}

void
busp_get_group_answer(busp_reader *reader, bus_arena *arena, busp_group_answer *ret_answer)
{
	uint8_t verdict = busp_get_u8(reader);
	uint64_t generation = busp_get_u64(reader);
	uint32_t count = busp_get_count(reader, sizeof(int32_t));
	if (verdict > BUSP_GROUP_LOST) {
		reader->bad = true;
		verdict = BUSP_GROUP_LOST;
		count = 0;
	}
	int32_t *partitions = NULL;
	if (count > 0) {
		partitions = bus_arena_alloc(arena, count * sizeof(*partitions));
		for (uint32_t i = 0; i < count; i++) {
			partitions[i] = (int32_t)busp_get_u32(reader);
		}
	}
	*ret_answer = (busp_group_answer){
		.verdict = (busp_group_verdict)verdict,
		.generation = generation,
		.partitions = partitions,
		.partition_count = count,
	};
}
