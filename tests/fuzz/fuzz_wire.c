/*
 * fuzz_wire.c - any bytes as a frame of the embedded broker: requests, answers, records
 *
 * The first byte chooses what the rest is taken for. What must hold for every input is
 * checked here and aborts when it does not. tests/fuzz/run builds it with libFuzzer; without
 * it main() of corpus.h runs the files named once each.
 */
#include <stdio.h>
#include <stdlib.h>

#include "broker-adapters/nng/wire.h"
#include "tests/fuzz/corpus.h"

static bus_arena *arena;

static void
must(bool holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "fuzz_wire: does not hold: %s\n", what);
		abort();
	}
}

static void
inside(bus_str view, bus_str whole)
{
	must(view.len == 0 || (view.data >= whole.data &&
			       view.data + view.len <= whole.data + whole.len),
	     "a view lies in the frame");
}

/* ---- each taken apart, and made again of its parts ---- */

static void
check_batch(const busp_batch *batch, bus_str whole)
{
	inside(batch->directory, whole);
	inside(batch->bodies, whole);
	if (batch->count == 0) {
		return;
	}
	must(batch->directory.len == (size_t)batch->count * BUSP_DIRECTORY_BYTES,
	     "a directory has an entry for each");
	uint32_t right = busp_batch_verify(batch);
	must(right <= batch->count, "as many are right as there are, at most");
	size_t at = 0;
	for (uint32_t i = 0; i < batch->count; i++) {
		bus_str body = { batch->bodies.data + at, busp_batch_length(batch, i) };
		bus_record record;
		inside(body, batch->bodies);
		bool taken = busp_get_record(body, arena, &record, NULL) == BUS_OK;
		must(i >= right || taken, "what was verified is a record");
		must(!taken || busp_body_bytes(&record) == body.len,
		     "a record takes as many bytes as it came with");
		at += body.len;
	}
	must(at == batch->bodies.len, "lengths add up");
	BUS_BUF_AUTO again = { 0 };
	busp_put_batch(&again, batch->count, batch->directory, batch->bodies);
	must(again.len == 8 + batch->directory.len + batch->bodies.len,
	     "a batch can be made again");
}

static void
take_batch(busp_reader *reader, bus_str whole)
{
	busp_batch batch = busp_get_batch(reader);
	must(!reader->bad || batch.count == 0, "a bad batch is empty");
	check_batch(&batch, whole);
}

static void
take_slices(busp_reader *reader, bus_str whole)
{
	uint32_t count = busp_get_count(reader, 24);
	for (uint32_t i = 0; i < count && !reader->bad; i++) {
		busp_slice slice = busp_get_slice(reader);
		check_batch(&slice.batch, whole);
	}
}

static void
take_topic(busp_reader *reader, bus_str whole)
{
	bus_topic_info info;
	busp_get_topic(reader, &info);
	must(memchr(info.name, '\0', sizeof(info.name)) != NULL, "a name has an end");
	if (busp_reader_done(reader)) {
		BUS_BUF_AUTO again = { 0 };
		busp_put_topic(&again, &info);
		must(bus_str_eq(bus_buf_view(&again), whole), "a topic comes back");
	}
}

static void
take_group_request(busp_reader *reader, bus_str whole)
{
	busp_group_request request;
	busp_get_group_request(reader, &request);
	inside(request.group, whole);
	inside(request.topic, whole);
	inside(request.client, whole);
	must(request.state <= BUSP_GROUP_LEAVING, "a state is one");
	if (busp_reader_done(reader)) {
		BUS_BUF_AUTO again = { 0 };
		busp_put_group_request(&again, &request);
		must(bus_str_eq(bus_buf_view(&again), whole), "a request comes back");
	}
}

static void
take_group_answer(busp_reader *reader, bus_str whole)
{
	busp_group_answer answer;
	busp_get_group_answer(reader, arena, &answer);
	must(answer.verdict <= BUSP_GROUP_LOST, "a verdict is one");
	must(answer.partition_count <= whole.len / 4, "no more than was sent");
	if (busp_reader_done(reader)) {
		BUS_BUF_AUTO again = { 0 };
		busp_put_group_answer(&again, &answer);
		must(bus_str_eq(bus_buf_view(&again), whole), "an answer comes back");
	}
}

static void
take_request(busp_reader *reader, bus_str whole)
{
	busp_op op;
	const uint8_t *token = NULL;
	if (busp_get_request(reader, &op, &token) == BUSP_DONE) {
		must(op > 0 && op < BUSP_OP_COUNT, "an op is one");
		inside((bus_str){ (const char *)token, BUSP_TOKEN_BYTES }, whole);
	}
}

static void
take_answer(busp_reader *reader, bus_str whole)
{
	bus_error err = BUS_ERROR_INIT;
	(void)whole;
	if (busp_get_answer(reader, BUSP_OP_INFO, &err) != BUS_OK) {
		must(err.status != BUS_OK && err.text[0] != '\0', "a refusal says why");
	}
}

static void (*const takers[])(busp_reader *reader, bus_str whole) = {
	take_batch,        take_slices,  take_topic,  take_group_request,
	take_group_answer, take_request, take_answer,
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (arena == NULL) {
		arena = bus_arena_create(64 * 1024);
	}
	bus_arena_reset(arena);
	if (size == 0) {
		return 0;
	}
	bus_str whole = { (const char *)data + 1, size - 1 };
	busp_reader reader = { .rest = whole };
	takers[data[0] % (sizeof(takers) / sizeof(takers[0]))](&reader, whole);
	inside(reader.rest, whole);
	must(bus_arena_used(arena) <= 16 * size + 64, "memory is as much as was sent");
	return 0;
}

void
fuzz_end(void)
{
	bus_arena_destroy(arena);
}
