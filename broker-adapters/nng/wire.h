/*
 * wire.h - what client and broker say to each other, as bytes; private to this folder
 *
 * DESIGN
 * The format is in README.md. Decoding never allocates by a length that the frame could
 * not hold, and what it gives out are views into the frame. Every number is big-endian.
 * One request or answer is one nng message: the body of a frame.
 */
#ifndef BUSP_NNG_WIRE_H
#define BUSP_NNG_WIRE_H

#include "broker-adapters/adapter.h"
#include "core/arena.h"
#include "core/buf.h"

#define BUSP_ORIGIN "nng"
#define BUSP_WIRE_MAGIC 0x42534c4eu /* "BSLN" */
#define BUSP_WIRE_VERSION 1
/* Bodies of records in one frame: many events make one, but one event always fits. */
#define BUSP_FRAME_BODIES 1048576u
/* Largest frame either side takes; nng refuses a longer one before it allocates. */
#define BUSP_FRAME_BYTES_MAX 2621440u
#define BUSP_TOKEN_BYTES 32 /* SHA-256 of what the token file holds; zeros: none */
#define BUSP_WAIT_MS_MAX 30000
#define BUSP_SESSION_MS_MIN 500
#define BUSP_SESSION_MS_MAX 300000
#define BUSP_GROUP_NAME_MAX 256
#define BUSP_CLIENT_NAME_MAX 128

typedef enum busp_op {
	BUSP_OP_INFO = 1,
	BUSP_OP_TOPIC_ENSURE,
	BUSP_OP_TOPIC_LIST,
	BUSP_OP_OFFSET,
	BUSP_OP_APPEND,
	BUSP_OP_FETCH,
	BUSP_OP_GROUP,
	BUSP_OP_NOTE,
	BUSP_OP_GROUPS,
	BUSP_OP_TRIM,
	BUSP_OP_SEAL,
	BUSP_OP_LOGS,
	BUSP_OP_COUNT,
} busp_op;

/* Why not. One table in wire.c says what each means to the caller of the adapter. */
typedef enum busp_refusal {
	BUSP_DONE = 0,
	BUSP_MALFORMED,       /* the frame breaks the format: FATAL */
	BUSP_OTHER_VERSION,   /* FATAL */
	BUSP_DENIED,          /* no token, or another: FATAL */
	BUSP_NO_TOPIC,        /* FATAL */
	BUSP_NO_PARTITION,    /* FATAL */
	BUSP_INVALID,         /* what is asked for can never be: FATAL */
	BUSP_TOO_LARGE,       /* FATAL */
	BUSP_BUSY,            /* too much at once, nothing happened: RETRY */
	BUSP_NO_SPACE,        /* the disk is full, nothing happened: RETRY */
	BUSP_OUT_OF_SEQUENCE, /* an earlier append of the producer failed, nothing
			       * happened: RETRY */
	BUSP_FORGOTTEN,       /* not known if that append happened: UNKNOWN */
	BUSP_SEALED,          /* the topic takes nothing, nothing happened: RETRY */
	BUSP_REFUSAL_COUNT,
} busp_refusal;

const char *busp_refusal_name(busp_refusal refusal);
bus_status busp_refusal_status(busp_refusal refusal);

/* ---- frames ---- */

/* A reader of a frame; `bad` stays set once anything was missing or out of bounds. */
typedef struct busp_reader {
	bus_str rest;
	bool bad;
} busp_reader;

uint8_t busp_get_u8(busp_reader *reader);
uint16_t busp_get_u16(busp_reader *reader);
uint32_t busp_get_u32(busp_reader *reader);
uint64_t busp_get_u64(busp_reader *reader);
bus_str busp_get_bytes(busp_reader *reader, size_t len);
/* be16 length and bytes, at most len_max; never absent. */
bus_str busp_get_text(busp_reader *reader, size_t len_max);
/* A count of things that take at least bytes_each: checked against what is left. */
uint32_t busp_get_count(busp_reader *reader, size_t bytes_each);
/* True if everything was there and nothing is left. */
bool busp_reader_done(const busp_reader *reader);

void busp_put_u16(bus_buf *to, uint16_t value);
void busp_put_text(bus_buf *to, bus_str text);

/* SHA-256 of what the file holds, without its last newline. FATAL: it cannot be read, or
 * is empty. */
BUS_MUST_CHECK bus_status busp_token_load(const char *path,
					  uint8_t ret_token[BUSP_TOKEN_BYTES],
					  bus_error *err);

/* A request begins so; the body of its op follows. */
void busp_put_request(bus_buf *to, busp_op op, const uint8_t token[BUSP_TOKEN_BYTES]);
/* DONE and the op with the body in reader->rest; or why it is refused. */
busp_refusal busp_get_request(busp_reader *reader, busp_op *ret_op,
			      const uint8_t **ret_token);

/* An answer begins so. After a refusal other than DONE a text follows that says more. */
void busp_put_answer(bus_buf *to, busp_op op, busp_refusal refusal);
/* OK: the body is in reader->rest. Else what the refusal means, with its text. FATAL too if
 * the frame is not an answer to op. */
bus_status busp_get_answer(busp_reader *reader, busp_op op, bus_error *err);

/* ---- records ---- */

/*
 * Several records of one partition: a directory of (length, checksum) and the bodies one
 * behind the other. The same bytes travel, lie on disk and travel again.
 */
typedef struct busp_batch {
	uint32_t count;    /* at least 1 */
	bus_str directory; /* count * BUSP_DIRECTORY_BYTES */
	bus_str bodies;
} busp_batch;

#define BUSP_DIRECTORY_BYTES 12 /* be32 length of the body, be64 XXH3 of the body */

/* A batch that is being made. */
typedef struct busp_batch_maker {
	uint32_t count;
	bus_buf directory;
	bus_buf bodies;
} busp_batch_maker;

void busp_batch_add(busp_batch_maker *maker, const bus_record *record);
void busp_batch_clear(busp_batch_maker *maker);
void busp_batch_fini(busp_batch_maker *maker);
/* Bytes that the body of this record takes. */
size_t busp_body_bytes(const bus_record *record);

void busp_put_batch(bus_buf *to, uint32_t count, bus_str directory, bus_str bodies);
/* Lengths are verified against the frame, contents are not. */
busp_batch busp_get_batch(busp_reader *reader);
/* Length of body number index, and its checksum. */
uint32_t busp_batch_length(const busp_batch *batch, uint32_t index);
uint64_t busp_batch_checksum(const busp_batch *batch, uint32_t index);
/* Every body has its checksum, is a well-formed record, and is not too large: the number of
 * the first that is not, or count. What a broker does before it writes. */
uint32_t busp_batch_verify(const busp_batch *batch);

uint64_t busp_checksum(const void *data, size_t len);
/* A body as a record: views, headers in the arena. REJECT: not well-formed. */
BUS_MUST_CHECK bus_status busp_get_record(bus_str body, bus_arena *arena,
					  bus_record *ret_record, bus_error *err);

/* A slice of a log, in answers to FETCH: where the batch lies. */
typedef struct busp_slice {
	int64_t base;
	int64_t timestamp_ms;
	busp_batch batch;
} busp_slice;

void busp_put_slice(bus_buf *to, int64_t base, int64_t timestamp_ms, uint32_t count,
		    bus_str directory, bus_str bodies);
busp_slice busp_get_slice(busp_reader *reader);

/* ---- bodies that both sides make or read in more than one place ---- */

void busp_put_topic(bus_buf *to, const bus_topic_info *info);
void busp_get_topic(busp_reader *reader, bus_topic_info *ret_info);

typedef enum busp_group_state {
	BUSP_GROUP_JOINING, /* holds nothing, wants a share (also after giving up) */
	BUSP_GROUP_HOLDING, /* reads what `generation` gave it */
	BUSP_GROUP_LEAVING, /* the answer does not matter */
} busp_group_state;

typedef struct busp_group_request {
	bus_str group;
	bus_str topic;
	uint64_t member; /* random, made by the client for each join */
	bus_str client;  /* its client_id */
	uint32_t session_ms;
	uint32_t wait_ms; /* how long the broker may keep the request */
	busp_group_state state;
	uint64_t generation; /* HOLDING: the one it was assigned in */
} busp_group_request;

typedef enum busp_group_verdict {
	BUSP_GROUP_GO_ON,    /* nothing new */
	BUSP_GROUP_ASSIGNED, /* to JOINING: generation and partitions, maybe none */
	BUSP_GROUP_GIVE_UP,  /* to HOLDING: drain, stop, then say JOINING */
	BUSP_GROUP_LOST,     /* to HOLDING: others may have them already; say JOINING */
} busp_group_verdict;

typedef struct busp_group_answer {
	busp_group_verdict verdict;
	uint64_t generation;
	const int32_t *partitions;
	size_t partition_count;
} busp_group_answer;

void busp_put_group_request(bus_buf *to, const busp_group_request *request);
void busp_get_group_request(busp_reader *reader, busp_group_request *ret_request);
void busp_put_group_answer(bus_buf *to, const busp_group_answer *answer);
/* partitions in the arena */
void busp_get_group_answer(busp_reader *reader, bus_arena *arena,
			   busp_group_answer *ret_answer);

/* What became of one partition of a FETCH. */
typedef enum busp_fetch_verdict {
	BUSP_FETCH_SLICES,       /* u32 count, slices */
	BUSP_FETCH_OUT_OF_RANGE, /* i64 start, i64 end */
	BUSP_FETCH_DAMAGED,      /* i64 offset of the record that cannot be read */
	BUSP_FETCH_NO_LOG,       /* no such topic or partition */
} busp_fetch_verdict;

#endif
