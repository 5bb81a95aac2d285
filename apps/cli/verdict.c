/*
 * verdict.c - waiting until PostgreSQL says what became of the events just published
 */
#include <stdlib.h>
#include <string.h>

#include "apps/cli/verdict.h"

/* An effect is usually there within 20 ms; after a second nobody sees the difference. */
#define POLL_FIRST_MS 10
#define POLL_LAST_MS 250

enum { COLUMN_N, COLUMN_VERDICT, COLUMN_REASON };

/* The events still without a verdict, as arrays of PostgreSQL. */
typedef struct busp_question {
	bus_buf topics, partitions, offsets, keys;
	size_t *indices;
	size_t count;
} busp_question;

static void
busp_question_fini(busp_question *question)
{
	bus_buf_fini(&question->topics);
	bus_buf_fini(&question->partitions);
	bus_buf_fini(&question->offsets);
	bus_buf_fini(&question->keys);
}

static void
busp_ask_about(const bus_cli_publisher *publisher, size_t i, busp_question *question)
{
	char uuid[BUS_UUID_TEXT_LEN + 1];
	char sep = question->count == 0 ? '{' : ',';
	bus_uuid_format(&publisher->sent[i].identity, uuid);
	bus_buf_printf(&question->topics, "%c\"%s\"", sep,
		       publisher->publications[i].topic);
	bus_buf_printf(&question->partitions, "%c%d", sep,
		       publisher->publications[i].ret_partition);
	bus_buf_printf(&question->offsets, "%c%lld", sep,
		       (long long)publisher->publications[i].ret_offset);
	bus_buf_printf(&question->keys, "%c%s", sep, uuid);
	question->indices[question->count++] = i;
}

static bus_status
busp_ask(bus_cli_publisher *publisher, bus_arena *arena, size_t *ret_left, bus_error *err)
{
	__attribute__((cleanup(busp_question_fini))) busp_question question = { 0 };
	bus_table table;
	question.indices = bus_arena_alloc(arena, publisher->count * sizeof(size_t));
	for (size_t i = 0; i < publisher->count; i++) {
		if (publisher->sent[i].verdict.data == NULL) {
			busp_ask_about(publisher, i, &question);
		}
	}
	bus_buf_byte(&question.topics, '}');
	bus_buf_byte(&question.partitions, '}');
	bus_buf_byte(&question.offsets, '}');
	bus_buf_byte(&question.keys, '}');
	const bus_str params[] = { bus_buf_view(&question.topics),
				   bus_buf_view(&question.partitions),
				   bus_buf_view(&question.offsets),
				   bus_buf_view(&question.keys) };
	if (bus_store_read(publisher->store, "cli_verdicts", params, 4, arena, &table,
			   err) != BUS_OK) {
		return err->status;
	}
	for (size_t row = 0; row < table.row_count; row++) {
		int64_t n = bus_table_int(&table, row, COLUMN_N, 0);
		if (n < 1 || (size_t)n > question.count) {
			continue;
		}
		bus_cli_sent *sent = &publisher->sent[question.indices[n - 1]];
		sent->verdict =
			bus_arena_str(publisher->arena,
				      bus_table_cell(&table, row, COLUMN_VERDICT));
		sent->reason = bus_arena_str(publisher->arena,
					     bus_table_cell(&table, row, COLUMN_REASON));
		publisher->rejected += bus_str_is(sent->verdict, "REJECTED") ||
				       bus_str_is(sent->verdict, "HELD");
	}
	*ret_left = question.count - table.row_count;
	return BUS_OK;
}

/* A connection that broke while waiting is made again: the answer is in the database. */
static bus_status
busp_ask_again(bus_cli_publisher *publisher, size_t *ret_left, bus_error *err)
{
	bus_arena *arena = bus_arena_create(256u * 1024u);
	if (arena == NULL) {
		return bus_error_set(err, BUS_E_FATAL, "cli", 0,
				     "verdicts: memory is short");
	}
	bus_status status = BUS_OK;
	if (!bus_store_connected(publisher->store)) {
		status = bus_store_connect(publisher->store, err);
	}
	if (status == BUS_OK) {
		status = busp_ask(publisher, arena, ret_left, err);
	}
	bus_arena_destroy(arena);
	return status;
}

bus_exit
bus_cli_await_verdicts(bus_cli_publisher *publisher)
{
	const bus_clock *clock = publisher->cli->clock;
	int64_t deadline = bus_clock_mono_ms(clock) + publisher->timeout_ms;
	int64_t pause_ms = POLL_FIRST_MS;
	size_t left = publisher->count;
	for (;;) {
		bus_error err = BUS_ERROR_INIT;
		bus_status status = busp_ask_again(publisher, &left, &err);
		bool late = bus_clock_mono_ms(clock) >= deadline;
		if (status != BUS_OK && (status != BUS_E_RETRY || late)) {
			return bus_cli_fail_error(&err);
		}
		if (status == BUS_OK && left == 0) {
			return BUS_EXIT_OK;
		}
		if (late) {
			break;
		}
		bus_cli_pause(pause_ms);
		pause_ms = pause_ms * 2 > POLL_LAST_MS ? POLL_LAST_MS : pause_ms * 2;
	}
	size_t first = 0;
	while (first + 1 < publisher->count &&
	       publisher->sent[first].verdict.data != NULL) {
		first++;
	}
	return bus_cli_fail(BUS_EXIT_TIMEOUT, NULL,
			    "is its worker running, and the relay? `busline "
			    "lag` shows it",
			    "%zu events are published but not applied after %lld "
			    "ms, the first is %.*s in %s-%d@%lld",
			    left, (long long)publisher->timeout_ms,
			    BUS_STR_ARG(publisher->sent[first].id),
			    publisher->publications[first].topic,
			    publisher->publications[first].ret_partition,
			    (long long)publisher->publications[first].ret_offset);
}
