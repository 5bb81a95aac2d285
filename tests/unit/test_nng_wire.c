/*
 * test_nng_wire.c - frames of the embedded broker: there and back, cut short, made wrong
 */
#include "broker-adapters/nng/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/rows.h"

#define MUTATIONS 20000

static bus_arena *arena;
static const uint8_t token[BUSP_TOKEN_BYTES] = { 1, 2, 3, 0xff };
static const int32_t partitions[] = { 0, 5, BUS_PARTITIONS_MAX - 1 };

static int
setup(void)
{
	arena = bus_arena_create(4096);
	return arena == NULL;
}

static int
teardown(void)
{
	bus_arena_destroy(arena);
	return 0;
}

static busp_reader
reader_of(const bus_buf *frame)
{
	return (busp_reader){ .rest = bus_buf_view(frame) };
}

/* ---- one shape of frame per row: how it is made, and what must come out again ---- */

static void
make_numbers(bus_buf *to)
{
	bus_buf_byte(to, 0xfe);
	busp_put_u16(to, 0xfedc);
	bus_buf_be32(to, 0xfedcba98u);
	bus_buf_be64(to, UINT64_C(0xfedcba9876543210));
	busp_put_text(to, BUS_STR("text"));
	busp_put_text(to, BUS_STR(""));
}

static bool
read_numbers(busp_reader *reader)
{
	bool same = busp_get_u8(reader) == 0xfe && busp_get_u16(reader) == 0xfedc &&
		    busp_get_u32(reader) == 0xfedcba98u &&
		    busp_get_u64(reader) == UINT64_C(0xfedcba9876543210) &&
		    bus_str_is(busp_get_text(reader, 4), "text");
	bus_str empty = busp_get_text(reader, 0);
	return same && empty.data != NULL && empty.len == 0;
}

static void
make_request(bus_buf *to)
{
	busp_put_request(to, BUSP_OP_INFO, token);
}

static bool
read_request(busp_reader *reader)
{
	busp_op op;
	const uint8_t *shown = NULL;
	return busp_get_request(reader, &op, &shown) == BUSP_DONE && op == BUSP_OP_INFO &&
	       memcmp(shown, token, sizeof(token)) == 0;
}

static void
make_answer(bus_buf *to)
{
	busp_put_answer(to, BUSP_OP_OFFSET, BUSP_DONE);
	bus_buf_be64(to, 42);
}

static bool
read_answer(busp_reader *reader)
{
	bus_error err = BUS_ERROR_INIT;
	return busp_get_answer(reader, BUSP_OP_OFFSET, &err) == BUS_OK &&
	       busp_get_u64(reader) == 42;
}

static void
make_topic(bus_buf *to)
{
	busp_put_topic(to, &(bus_topic_info){ .name = "busline.deploy",
					      .partitions = 6,
					      .retention_ms = -1,
					      .retention_bytes = INT64_MAX });
}

static bool
read_topic(busp_reader *reader)
{
	bus_topic_info info;
	busp_get_topic(reader, &info);
	return strcmp(info.name, "busline.deploy") == 0 && info.partitions == 6 &&
	       info.retention_ms == -1 && info.retention_bytes == INT64_MAX &&
	       info.replication == 1 && info.min_isr == 1;
}

static void
make_group_request(bus_buf *to)
{
	busp_put_group_request(to, &(busp_group_request){
					   .group = BUS_STR("busline.deploy"),
					   .topic = BUS_STR("t"),
					   .member = UINT64_MAX,
					   .client = BUS_STR("c"),
					   .session_ms = 6000,
					   .wait_ms = 2000,
					   .state = BUSP_GROUP_LEAVING,
					   .generation = UINT64_C(1) << 63,
				   });
}

static bool
read_group_request(busp_reader *reader)
{
	busp_group_request request;
	busp_get_group_request(reader, &request);
	return bus_str_is(request.group, "busline.deploy") &&
	       bus_str_is(request.topic, "t") && request.member == UINT64_MAX &&
	       bus_str_is(request.client, "c") && request.session_ms == 6000 &&
	       request.wait_ms == 2000 && request.state == BUSP_GROUP_LEAVING &&
	       request.generation == UINT64_C(1) << 63;
}

static void
make_group_answer(bus_buf *to)
{
	busp_put_group_answer(to, &(busp_group_answer){ .verdict = BUSP_GROUP_ASSIGNED,
							.generation = 9,
							.partitions = partitions,
							.partition_count = 3 });
}

static bool
read_group_answer(busp_reader *reader)
{
	busp_group_answer answer;
	busp_get_group_answer(reader, arena, &answer);
	return answer.verdict == BUSP_GROUP_ASSIGNED && answer.generation == 9 &&
	       answer.partition_count == 3 &&
	       memcmp(answer.partitions, partitions, sizeof(partitions)) == 0;
}

static const bus_header header = { BUS_STR("ce_id"), { NULL, 0 } };
static const bus_record records[] = {
	{ .key = BUS_STR("acme/shop"),
	  .value = BUS_STR("{}"),
	  .headers = &header,
	  .header_count = 1 },
	{ .value = BUS_STR("") },
};

static void
make_slice(bus_buf *to)
{
	busp_batch_maker maker = { 0 };
	busp_batch_add(&maker, &records[0]);
	busp_batch_add(&maker, &records[1]);
	busp_put_slice(to, 1000, 1700000000000, maker.count,
		       bus_buf_view(&maker.directory), bus_buf_view(&maker.bodies));
	busp_batch_fini(&maker);
}

static bool
read_slice(busp_reader *reader)
{
	busp_slice slice = busp_get_slice(reader);
	bus_record record;
	if (slice.base != 1000 || slice.timestamp_ms != 1700000000000 ||
	    slice.batch.count != 2 || busp_batch_verify(&slice.batch) != 2) {
		return false;
	}
	bus_str body = { slice.batch.bodies.data, busp_batch_length(&slice.batch, 0) };
	return busp_get_record(body, arena, &record, NULL) == BUS_OK &&
	       bus_str_is(record.key, "acme/shop") && bus_str_is(record.value, "{}") &&
	       record.header_count == 1 && bus_str_is(record.headers[0].name, "ce_id") &&
	       record.headers[0].value.data == NULL;
}

static const struct {
	const char *name;
	void (*make)(bus_buf *to);
	bool (*read)(busp_reader *reader);
} shapes[] = {
	{ "numbers and texts", make_numbers, read_numbers },
	{ "request", make_request, read_request },
	{ "answer", make_answer, read_answer },
	{ "topic", make_topic, read_topic },
	{ "group request", make_group_request, read_group_request },
	{ "group answer", make_group_answer, read_group_answer },
	{ "slice", make_slice, read_slice },
};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static void
test_round_trip(void)
{
	for (size_t i = 0; i < SHAPES; i++) {
		BUS_BUF_AUTO frame = { 0 };
		shapes[i].make(&frame);
		busp_reader reader = reader_of(&frame);
		BUS_ASSERT_ROW(shapes[i].name, shapes[i].read(&reader));
		BUS_ASSERT_ROW(shapes[i].name, busp_reader_done(&reader));
	}
}

/* Cut anywhere, in memory that ends there: nothing is read past it, and it is refused. */
static void
test_cut(void)
{
	for (size_t i = 0; i < SHAPES; i++) {
		BUS_BUF_AUTO frame = { 0 };
		shapes[i].make(&frame);
		for (size_t len = 0; len < frame.len; len++) {
			char *cut = malloc(len + (len == 0));
			CU_ASSERT_PTR_NOT_NULL_FATAL(cut);
			memcpy(cut, frame.data, len);
			busp_reader reader = { .rest = { cut, len } };
			shapes[i].read(&reader);
			BUS_ASSERT_ROW(shapes[i].name, reader.bad);
			BUS_ASSERT_ROW(shapes[i].name, !busp_reader_done(&reader));
			free(cut);
		}
		bus_buf_byte(&frame, 0);
		busp_reader longer = reader_of(&frame);
		shapes[i].read(&longer);
		BUS_ASSERT_ROW(shapes[i].name, !busp_reader_done(&longer));
	}
}

/* Whatever comes: views stay inside, and nothing is allocated that was not sent. */
static void
test_mutated(void)
{
	srand(20250101);
	for (int round = 0; round < MUTATIONS; round++) {
		size_t shape = (size_t)rand() % SHAPES;
		BUS_BUF_AUTO frame = { 0 };
		shapes[shape].make(&frame);
		for (int flips = 1 + rand() % 6; flips > 0; flips--) {
			size_t at = (size_t)rand() % frame.len;
			frame.data[at] = rand() % 3 == 0 ? (char)0xff : (char)rand();
		}
		size_t len = rand() % 4 == 0 ? (size_t)rand() % frame.len : frame.len;
		char *copy = malloc(len + (len == 0));
		CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
		memcpy(copy, frame.data, len);
		for (size_t i = 0; i < SHAPES; i++) {
			busp_reader reader = { .rest = { copy, len } };
			bus_arena_reset(arena);
			shapes[i].read(&reader);
			CU_ASSERT(bus_arena_used(arena) <= 16 * len + 64);
			CU_ASSERT(reader.rest.data >= copy &&
				  reader.rest.data + reader.rest.len == copy + len);
		}
		free(copy);
	}
}

/* ---- lengths and counts that no frame can hold ---- */

static void
test_huge(void)
{
	BUS_BUF_AUTO frame = { 0 };
	bus_buf_be32(&frame, UINT32_MAX);
	bus_buf_be32(&frame, UINT32_MAX);
	busp_reader reader = reader_of(&frame);
	CU_ASSERT_EQUAL(busp_get_count(&reader, 1), 0);
	CU_ASSERT_TRUE(reader.bad);
	reader = reader_of(&frame);
	CU_ASSERT_EQUAL(busp_get_bytes(&reader, SIZE_MAX).len, 0);
	CU_ASSERT_TRUE(reader.bad);
	reader = reader_of(&frame);
	CU_ASSERT_EQUAL(busp_get_batch(&reader).count, 0);
	CU_ASSERT_TRUE(reader.bad);
	/* four are announced, three are there */
	bus_buf_clear(&frame);
	bus_buf_be32(&frame, 4);
	bus_buf_append(&frame, "123456789abc", 12);
	reader = reader_of(&frame);
	CU_ASSERT_EQUAL(busp_get_count(&reader, 4), 0);
	CU_ASSERT_TRUE(reader.bad);
	reader = reader_of(&frame);
	CU_ASSERT_EQUAL(busp_get_count(&reader, 3), 4);
	CU_ASSERT_FALSE(reader.bad);
}

static void
test_limits(void)
{
	BUS_BUF_AUTO frame = { 0 };
	busp_put_text(&frame, BUS_STR("12345"));
	busp_reader reader = reader_of(&frame);
	CU_ASSERT_EQUAL(busp_get_text(&reader, 4).len, 0);
	CU_ASSERT_TRUE(reader.bad);
	/* bad stays: what follows is not believed */
	reader = reader_of(&frame);
	busp_get_bytes(&reader, 100);
	CU_ASSERT_EQUAL(busp_get_u16(&reader), 0);
	CU_ASSERT_TRUE(reader.bad);
	/* a name with a zero byte would be another name */
	bus_buf_clear(&frame);
	busp_put_text(&frame, BUS_STR("a\0b"));
	bus_buf_be32(&frame, 1);
	bus_buf_be64(&frame, 0);
	bus_buf_be64(&frame, 0);
	reader = reader_of(&frame);
	bus_topic_info info;
	busp_get_topic(&reader, &info);
	CU_ASSERT_TRUE(reader.bad);
}

static void
test_enums(void)
{
	BUS_BUF_AUTO frame = { 0 };
	make_group_request(&frame);
	frame.data[frame.len - 9] = BUSP_GROUP_LEAVING + 1;
	busp_reader reader = reader_of(&frame);
	busp_group_request request;
	busp_get_group_request(&reader, &request);
	CU_ASSERT_TRUE(reader.bad);
	bus_buf_clear(&frame);
	make_group_answer(&frame);
	frame.data[0] = BUSP_GROUP_LOST + 1;
	reader = reader_of(&frame);
	busp_group_answer answer;
	busp_get_group_answer(&reader, arena, &answer);
	CU_ASSERT_TRUE(reader.bad);
	CU_ASSERT_EQUAL(answer.partition_count, 0);
}

/* ---- what a head says ---- */

static busp_refusal
head(size_t at, char byte, busp_op *ret_op)
{
	BUS_BUF_AUTO frame = { 0 };
	const uint8_t *shown = NULL;
	make_request(&frame);
	frame.data[at] = byte;
	busp_reader reader = reader_of(&frame);
	return busp_get_request(&reader, ret_op, &shown);
}

static void
test_request_refused(void)
{
	busp_op op;
	CU_ASSERT_EQUAL(head(0, 'X', &op), BUSP_MALFORMED);
	CU_ASSERT_EQUAL(head(4, 2, &op), BUSP_OTHER_VERSION);
	CU_ASSERT_EQUAL(op, BUSP_OP_INFO);
	CU_ASSERT_EQUAL(head(5, 0, &op), BUSP_MALFORMED);
	CU_ASSERT_EQUAL(head(5, BUSP_OP_COUNT, &op), BUSP_MALFORMED);
	CU_ASSERT_EQUAL(head(5, (char)0xff, &op), BUSP_MALFORMED);
	/* the answer repeats the op that is none */
	CU_ASSERT_EQUAL((unsigned)op, 0xff);
	for (int i = 1; i < BUSP_OP_COUNT; i++) {
		CU_ASSERT_EQUAL(head(5, (char)i, &op), BUSP_DONE);
		CU_ASSERT_EQUAL((int)op, i);
	}
}

static void
test_answer_refused(void)
{
	for (int refusal = 1; refusal < BUSP_REFUSAL_COUNT; refusal++) {
		BUS_BUF_AUTO frame = { 0 };
		bus_error err = BUS_ERROR_INIT;
		busp_put_answer(&frame, BUSP_OP_APPEND, (busp_refusal)refusal);
		busp_put_text(&frame, BUS_STR("more of it"));
		busp_reader reader = reader_of(&frame);
		bus_status status = busp_get_answer(&reader, BUSP_OP_APPEND, &err);
		CU_ASSERT_NOT_EQUAL(status, BUS_OK);
		CU_ASSERT_EQUAL(status, busp_refusal_status((busp_refusal)refusal));
		CU_ASSERT_EQUAL(err.status, status);
		CU_ASSERT_EQUAL(err.native_code, refusal);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "more of it"));
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text,
					      busp_refusal_name((busp_refusal)refusal)));
	}
	/* what a caller may do next */
	CU_ASSERT_EQUAL(busp_refusal_status(BUSP_DONE), BUS_OK);
	CU_ASSERT_EQUAL(busp_refusal_status(BUSP_DENIED), BUS_E_FATAL);
	CU_ASSERT_EQUAL(busp_refusal_status(BUSP_BUSY), BUS_E_RETRY);
	CU_ASSERT_EQUAL(busp_refusal_status(BUSP_NO_SPACE), BUS_E_RETRY);
	CU_ASSERT_EQUAL(busp_refusal_status(BUSP_OUT_OF_SEQUENCE), BUS_E_RETRY);
	CU_ASSERT_EQUAL(busp_refusal_status(BUSP_SEALED), BUS_E_RETRY);
	CU_ASSERT_EQUAL(busp_refusal_status(BUSP_FORGOTTEN), BUS_E_UNKNOWN);
	CU_ASSERT_EQUAL(busp_refusal_status(BUSP_REFUSAL_COUNT), BUS_E_FATAL);
}

/* Byte of an answer's head, what it becomes, and what the refusal speaks of. */
static const struct {
	const char *name;
	size_t at;
	char byte;
	const char *says;
} strange[] = {
	{ "magic", 0, 'H', "busline broker" },
	{ "version", 4, 9, "version 9" },
	{ "another op", 5, BUSP_OP_FETCH, "no answer" },
	{ "refusal", 6, BUSP_REFUSAL_COUNT, "no answer" },
};

static void
test_answer_strange(void)
{
	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
		BUS_BUF_AUTO frame = { 0 };
		bus_error err = BUS_ERROR_INIT;
		make_answer(&frame);
		frame.data[strange[i].at] = strange[i].byte;
		busp_reader reader = reader_of(&frame);
		BUS_ASSERT_ROW(strange[i].name, busp_get_answer(&reader, BUSP_OP_OFFSET,
								&err) == BUS_E_FATAL);
		BUS_ASSERT_ROW(strange[i].name, strstr(err.text, strange[i].says) != NULL);
	}
}

/* ---- the token file ---- */

static bus_status
token_of(const char *content, uint8_t ret_token[BUSP_TOKEN_BYTES], bus_error *err)
{
	char path[] = "/tmp/busline-token-XXXXXX";
	int fd = mkstemp(path);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	close(fd);
	bus_status status = busp_token_load(path, ret_token, err);
	unlink(path);
	return status;
}

static void
test_token(void)
{
	static const uint8_t abc[] = { 0xba, 0x78, 0x16, 0xbf };
	uint8_t a[BUSP_TOKEN_BYTES], b[BUSP_TOKEN_BYTES];
	bus_error err = BUS_ERROR_INIT;
	char longest[4098];
	CU_ASSERT_EQUAL(token_of("abc", a, &err), BUS_OK);
	CU_ASSERT_EQUAL(memcmp(a, abc, sizeof(abc)), 0);
	CU_ASSERT_EQUAL(token_of("abc\n", b, &err), BUS_OK);
	CU_ASSERT_EQUAL(memcmp(a, b, sizeof(a)), 0);
	CU_ASSERT_EQUAL(token_of("abc\n\n", b, &err), BUS_OK);
	CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof(a)), 0);
	CU_ASSERT_EQUAL(token_of("", b, &err), BUS_E_FATAL);
	bus_error_reset(&err);
	CU_ASSERT_EQUAL(token_of("\n", b, &err), BUS_E_FATAL);
	bus_error_reset(&err);
	CU_ASSERT_EQUAL(busp_token_load("/nonexistent/token", b, &err), BUS_E_FATAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/nonexistent/token"));
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	bus_error_reset(&err);
	CU_ASSERT_EQUAL(token_of(longest, b, &err), BUS_E_FATAL);
}

static const bus_case cases[] = {
	{ "every shape comes back as it was", test_round_trip },
	{ "every shape that is cut or too long is refused", test_cut },
	{ "mutated frames are read within their bounds", test_mutated },
	{ "lengths and counts of 4 GiB are refused before anything is done", test_huge },
	{ "texts have limits, names no zero byte, bad stays bad", test_limits },
	{ "states and verdicts that are none are refused", test_enums },
	{ "a request's head says why it is refused", test_request_refused },
	{ "a refusal is a status, with its text", test_answer_refused },
	{ "what is no answer is not taken for one", test_answer_strange },
	{ "a token is what its file holds, without the last newline", test_token },
	{ 0 },
};

const bus_suite_def bus_suite = {
	.name = "nng wire", .cases = cases, .setup = setup, .teardown = teardown
};
