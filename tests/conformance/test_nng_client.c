/*
 * test_nng_client.c - the adapter of the embedded broker against one that says what a test
 * wants: refusals, silence, broken records and bytes that are no answer at all
 */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "broker-adapters/nng/groups.h"
#include "broker-adapters/nng/wire.h"
#include "tests/conformance/adapter_suite.h"

#define RECORDS 20
#define APPENDS_MAX 64

typedef struct append_seen {
	uint64_t producer;
	uint64_t sequence;
} append_seen;

/* What the other side does; guarded by lock. */
static struct {
	pthread_mutex_t lock;
	pthread_t thread;
	nng_socket socket;
	char url[64];

	busp_refusal refusals[8]; /* of the next APPENDs, in turn; then DONE */
	size_t refusal_count;
	bool busy;     /* every APPEND is refused so */
	bool mute;     /* no answer to APPEND and FETCH */
	bool garbage;  /* every answer is other bytes */
	size_t cut_at; /* FETCH: so many bytes of its answer; 0: all */
	int breaks;    /* FETCH: so many more times record 7 arrives broken */
	bool no_log;   /* FETCH: no such partition */
	int cuts;      /* APPEND: so many more times the connection ends unanswered */
	int lapses;    /* APPEND: so many more times it is not answered */
	bool keep;     /* GROUP: who holds is not answered */
	busp_group_verdict verdict; /* else it is told this */

	append_seen appends[APPENDS_MAX];
	size_t append_count;
	int64_t end;
	size_t fetches;
	size_t fetch_bytes; /* of the last whole answer */
	size_t words;       /* GROUP */
	busp_group_state word;
	nng_pipe pipe; /* the last of them came on */
} other = { .lock = PTHREAD_MUTEX_INITIALIZER };

#define OTHER(statements)                                                                \
	do {                                                                             \
		pthread_mutex_lock(&other.lock);                                         \
		statements;                                                              \
		pthread_mutex_unlock(&other.lock);                                       \
	} while (0)

/* ---- the other side ---- */

static void
answer_append(busp_reader *reader, bus_buf *answer)
{
	append_seen seen = { busp_get_u64(reader), busp_get_u64(reader) };
	uint32_t count = busp_get_count(reader, 8);

	if (other.append_count < APPENDS_MAX) {
		other.appends[other.append_count++] = seen;
	}
	busp_refusal refusal = other.busy              ? BUSP_BUSY :
			       other.refusal_count > 0 ? other.refusals[0] :
							 BUSP_DONE;

	if (other.refusal_count > 0) {
		memmove(other.refusals, other.refusals + 1,
			--other.refusal_count * sizeof(other.refusals[0]));
	}
	busp_put_answer(answer, BUSP_OP_APPEND, refusal);
	if (refusal != BUSP_DONE) {
		busp_put_text(answer, BUS_STR("as asked"));
		return;
	}
	bus_buf_be32(answer, count);
	for (uint32_t i = 0; i < count; i++) {
		(void)busp_get_text(reader, BUS_TOPIC_NAME_MAX);
		(void)busp_get_u32(reader);
		busp_batch batch = busp_get_batch(reader);

		bus_buf_be64(answer, (uint64_t)other.end);
		bus_buf_be64(answer, 1000);
		other.end += batch.count;
	}
}

/* RECORDS records from 0 on, whatever is asked for: a slice may begin before it. */
static void
answer_fetch(busp_reader *reader, bus_buf *answer)
{
	busp_batch_maker maker = { 0 };

	(void)busp_get_u32(reader);
	(void)busp_get_u32(reader);
	(void)busp_get_u32(reader);
	(void)busp_get_text(reader, BUS_TOPIC_NAME_MAX);
	(void)busp_get_u32(reader);
	int64_t offset = (int64_t)busp_get_u64(reader);

	busp_put_answer(answer, BUSP_OP_FETCH, BUSP_DONE);
	other.fetches++;
	if (offset >= RECORDS) {
		bus_buf_be32(answer, 0);
		return;
	}
	bus_buf_be32(answer, 1);
	bus_buf_be32(answer, 0);
	bus_buf_byte(answer, other.no_log ? BUSP_FETCH_NO_LOG : BUSP_FETCH_SLICES);
	if (other.no_log) {
		return;
	}
	for (int i = 0; i < RECORDS; i++) {
		char text[16];

		snprintf(text, sizeof(text), "value %d", i);
		busp_batch_add(&maker, &(bus_record){ .key = BUS_STR("k"),
						      .value = bus_str_from(text) });
	}
	if (other.breaks > 0) {
		char *at = memmem(maker.bodies.data, maker.bodies.len, "value 7", 7);

		other.breaks--;
		at[6] = '8';
	}
	bus_buf_be32(answer, 1);
	busp_put_slice(answer, 0, 1000, maker.count, bus_buf_view(&maker.directory),
		       bus_buf_view(&maker.bodies));
	busp_batch_fini(&maker);
	other.fetch_bytes = answer->len;
	if (other.cut_at > 0 && other.cut_at < answer->len) {
		answer->len = other.cut_at;
	}
}

/* Who joins has both partitions. False: the request is kept. */
static bool
answer_group(busp_reader *reader, nng_pipe pipe, bus_buf *answer)
{
	static const int32_t partitions[] = { 0, 1 };
	busp_group_request request = { 0 };
	busp_group_answer said = { .verdict = BUSP_GROUP_GO_ON, .generation = 1 };

	busp_get_group_request(reader, &request);
	other.words++;
	other.word = request.state;
	other.pipe = pipe;
	if (request.state == BUSP_GROUP_HOLDING && other.keep) {
		return false;
	}
	if (request.state == BUSP_GROUP_JOINING) {
		said.verdict = BUSP_GROUP_ASSIGNED;
		said.partitions = partitions;
		said.partition_count = 2;
	} else if (request.state == BUSP_GROUP_HOLDING) {
		said.verdict = other.verdict;
	}
	busp_put_answer(answer, BUSP_OP_GROUP, BUSP_DONE);
	busp_put_group_answer(answer, &said);
	return true;
}

static void
answer_list(bus_buf *answer)
{
	busp_put_answer(answer, BUSP_OP_TOPIC_LIST, BUSP_DONE);
	bus_buf_be32(answer, 1);
	busp_put_topic(answer, &(bus_topic_info){ .name = "t", .partitions = 2 });
	bus_buf_byte(answer, 0);
}

/* False: no answer is given. */
static bool
answer(nng_msg *request, bus_buf *to)
{
	busp_reader reader = {
		.rest = { nng_msg_body(request), nng_msg_len(request) },
	};
	busp_op op = BUSP_OP_COUNT;
	const uint8_t *token = NULL;

	(void)busp_get_request(&reader, &op, &token);
	if (other.garbage) {
		bus_buf_cstr(to, "HTTP/1.1 400 Bad Request\r\n\r\n");
	} else if (other.mute && (op == BUSP_OP_APPEND || op == BUSP_OP_FETCH)) {
		other.fetches += op == BUSP_OP_FETCH;
		return false;
	} else if (op == BUSP_OP_TOPIC_LIST) {
		answer_list(to);
	} else if (op == BUSP_OP_APPEND) {
		answer_append(&reader, to);
		if (other.cuts > 0) {
			other.cuts--;
			nng_pipe_close(nng_msg_get_pipe(request));
			return false;
		}
		return other.lapses-- <= 0;
	} else if (op == BUSP_OP_GROUP) {
		return answer_group(&reader, nng_msg_get_pipe(request), to);
	} else if (op == BUSP_OP_FETCH) {
		answer_fetch(&reader, to);
	} else {
		busp_put_answer(to, op, BUSP_INVALID);
		busp_put_text(to, BUS_STR("not played"));
	}
	return true;
}

static void *
answer_all(void *argument)
{
	nng_msg *message = NULL;

	(void)argument;
	while (nng_recvmsg(other.socket, &message, 0) == 0) {
		BUS_BUF_AUTO to = { 0 };

		pthread_mutex_lock(&other.lock);
		bool answered = answer(message, &to);
		pthread_mutex_unlock(&other.lock);
		if (!answered) {
			nng_msg_free(message);
			continue;
		}
		nng_msg_clear(message);
		if (nng_msg_append(message, to.data, to.len) != 0 ||
		    nng_sendmsg(other.socket, message, 0) != 0) {
			nng_msg_free(message);
		}
	}
	return NULL;
}

static int
setup(void)
{
	nng_listener listener;
	nng_sockaddr address;

	if (nng_rep0_open(&other.socket) != 0 ||
	    nng_listener_create(&listener, other.socket, "tcp://127.0.0.1:0") != 0 ||
	    nng_listener_start(listener, 0) != 0 ||
	    nng_listener_get_addr(listener, NNG_OPT_LOCADDR, &address) != 0) {
		return 1;
	}
	snprintf(other.url, sizeof(other.url), "nng+tcp://127.0.0.1:%u",
		 (unsigned)__builtin_bswap16(address.s_in.sa_port));
	return pthread_create(&other.thread, NULL, answer_all, NULL) != 0 ||
	       pthread_detach(other.thread) != 0;
}

/* The socket is left to the end of the process: nng 1.5.2 may never be done with a connection
 * that its client has closed. */
static int
teardown(void)
{
	OTHER(other.mute = true);
	return 0;
}

/* ---- what cases say to it ---- */

static bus_adapter *
open_adapter(void)
{
	const bus_adapter_options options = { .url = other.url,
					      .clock = bus_clock_system() };
	bus_adapter *adapter = NULL;

	BUS_SUITE_OK(bus_adapter_open(&options, &adapter, &err));
	return adapter;
}

static bus_status
publish(bus_adapter *adapter, int timeout_ms, bus_outcome *ret_outcome)
{
	bus_publication publication = { .topic = "t", .record.value = BUS_STR("v") };
	bus_error err = BUS_ERROR_INIT;
	bus_status status =
		bus_adapter_publish(adapter, &publication, 1, timeout_ms, &err);

	CU_ASSERT_EQUAL(status, err.status);
	*ret_outcome = publication.outcome;
	return status;
}

/* ---- publishing ---- */

static void
case_refusals(void)
{
	static const struct {
		busp_refusal refusals[4]; /* up to DONE */
		bus_status status;
		bus_outcome outcome;
		size_t requests;
		bool other_producer; /* afterwards */
	} rows[] = {
		{ { BUSP_BUSY, BUSP_BUSY }, BUS_OK, BUS_OUTCOME_DURABLE, 3, false },
		{ { BUSP_NO_SPACE }, BUS_OK, BUS_OUTCOME_DURABLE, 2, false },
		{ { BUSP_OUT_OF_SEQUENCE }, BUS_OK, BUS_OUTCOME_DURABLE, 2, false },
		{ { BUSP_SEALED }, BUS_E_RETRY, BUS_OUTCOME_FAILED, 1, true },
		{ { BUSP_FORGOTTEN }, BUS_E_UNKNOWN, BUS_OUTCOME_UNCERTAIN, 1, true },
		{ { BUSP_DENIED }, BUS_E_FATAL, BUS_OUTCOME_FAILED, 1, true },
		{ { BUSP_NO_TOPIC }, BUS_E_FATAL, BUS_OUTCOME_FAILED, 1, true },
		{ { BUSP_INVALID }, BUS_E_FATAL, BUS_OUTCOME_FAILED, 1, true },
	};
	bus_adapter *adapter = open_adapter();
	bus_outcome outcome;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CU_ASSERT_EQUAL(publish(adapter, 5000, &outcome), BUS_OK);
		OTHER(other.append_count = 0;
		      memcpy(other.refusals, rows[i].refusals, sizeof(rows[i].refusals));
		      other.refusal_count = 4);
		CU_ASSERT_EQUAL(publish(adapter, 5000, &outcome), rows[i].status);
		CU_ASSERT_EQUAL(outcome, rows[i].outcome);
		OTHER(other.refusal_count = 0);
		CU_ASSERT_EQUAL(publish(adapter, 5000, &outcome), BUS_OK);
		size_t count = rows[i].requests;

		CU_ASSERT_EQUAL_FATAL(other.append_count, count + 1);
		const append_seen *first = &other.appends[0];

		/* sent again it is the same request, after a failure a new producer's */
		for (size_t n = 1; n < count; n++) {
			CU_ASSERT_EQUAL(other.appends[n].producer, first->producer);
			CU_ASSERT_EQUAL(other.appends[n].sequence, first->sequence);
		}
		CU_ASSERT_EQUAL(other.appends[count].producer != first->producer,
				rows[i].other_producer);
		CU_ASSERT_EQUAL(other.appends[count].sequence,
				rows[i].other_producer ? 1 : first->sequence + 1);
	}
	bus_adapter_close(adapter);
}

static void
case_no_end(void)
{
	bus_adapter *adapter = open_adapter();
	bus_outcome outcome = BUS_OUTCOME_UNCERTAIN;
	int64_t begin = bus_suite_now();

	/* refused until the time is up: surely not done, unless it is up while one is asked */
	OTHER(other.busy = true);
	for (int i = 0; i < 5 && outcome != BUS_OUTCOME_FAILED; i++) {
		bus_status status = publish(adapter, 1000, &outcome);

		CU_ASSERT_EQUAL(status, outcome == BUS_OUTCOME_FAILED ? BUS_E_RETRY :
									BUS_E_UNKNOWN);
	}
	CU_ASSERT_EQUAL(outcome, BUS_OUTCOME_FAILED);
	/* sent and not answered: who knows */
	OTHER(other.busy = false; other.mute = true);
	CU_ASSERT_EQUAL(publish(adapter, 1000, &outcome), BUS_E_UNKNOWN);
	CU_ASSERT_EQUAL(outcome, BUS_OUTCOME_UNCERTAIN);
	CU_ASSERT(bus_suite_now() < begin + 10000);
	OTHER(other.mute = false);
	CU_ASSERT_EQUAL(publish(adapter, 5000, &outcome), BUS_OK);
	bus_adapter_close(adapter);
}

/* It came twice, under the number that lets a broker do it once. */
static void
publish_twice(bus_adapter *adapter)
{
	bus_outcome outcome;

	CU_ASSERT_EQUAL(publish(adapter, 30000, &outcome), BUS_OK);
	CU_ASSERT_EQUAL(outcome, BUS_OUTCOME_DURABLE);
	CU_ASSERT_EQUAL_FATAL(other.append_count, 2);
	CU_ASSERT_EQUAL(other.appends[0].producer, other.appends[1].producer);
	CU_ASSERT_EQUAL(other.appends[0].sequence, other.appends[1].sequence);
}

/* The append was done and its answer never came: the connection ended, which nng notices,
 * or it is dead without knowing, which the client does. */
static void
case_lost_answer(void)
{
	bus_adapter *adapter = open_adapter();
	bus_outcome outcome;

	CU_ASSERT_EQUAL(publish(adapter, 5000, &outcome), BUS_OK);
	OTHER(other.append_count = 0; other.cuts = 1);
	publish_twice(adapter);
	OTHER(other.append_count = 0; other.lapses = 1);
	publish_twice(adapter);
	bus_adapter_close(adapter);
}

/* ---- a member ---- */

static void
poll_until(bus_adapter *adapter, bus_poll_kind kind)
{
	const bus_poll_limit limit = { 100, 1 << 20, 20 };
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;
	bus_poll poll = { .kind = BUS_POLL_DELIVERIES };

	while (poll.kind != kind && bus_suite_now() < deadline) {
		BUS_SUITE_OK(bus_adapter_poll(adapter, &limit, &poll, &err));
	}
	CU_ASSERT_EQUAL(poll.kind, kind);
}

static busp_group_state
last_word(void)
{
	busp_group_state word;

	OTHER(word = other.word);
	return word;
}

/* Waits for `words` more than there are, while the owner does nothing; how long it took. */
static int64_t
listen_for(size_t words)
{
	int64_t begin = bus_suite_now();
	size_t goal = SIZE_MAX;
	bool there = false;

	while (!there && bus_suite_now() < begin + BUS_SUITE_MS) {
		OTHER(goal = goal == SIZE_MAX ? other.words + words : goal;
		      there = other.words >= goal);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	CU_ASSERT_TRUE(there);
	return bus_suite_now() - begin;
}

static bus_adapter *
open_member(void)
{
	bus_adapter *adapter = open_adapter();

	OTHER(other.keep = false; other.verdict = BUSP_GROUP_GO_ON);
	BUS_SUITE_OK(bus_adapter_join(adapter, "g", "t", &err));
	poll_until(adapter, BUS_POLL_ASSIGNED);
	return adapter;
}

/* An owner that is busy does not poll: its member is heard of all the same. */
static void
case_beats(void)
{
	bus_adapter *adapter = open_member();

	CU_ASSERT(listen_for(5) < 6000);
	CU_ASSERT_EQUAL(last_word(), BUSP_GROUP_HOLDING);
	bus_adapter_close(adapter);
}

static void
case_leaves(void)
{
	bus_adapter *adapter = open_member();

	bus_adapter_leave(adapter);
	CU_ASSERT_EQUAL(last_word(), BUSP_GROUP_LEAVING);
	BUS_SUITE_OK(bus_adapter_join(adapter, "g", "t", &err));
	poll_until(adapter, BUS_POLL_ASSIGNED);
	CU_ASSERT_NOT_EQUAL(last_word(), BUSP_GROUP_LEAVING);
	/* closing is leaving, too */
	bus_adapter_close(adapter);
	CU_ASSERT_EQUAL(last_word(), BUSP_GROUP_LEAVING);
}

/* 1: it was not heard of again within the broker's grace. */
static int
cut_member(void)
{
	(void)listen_for(1);
	OTHER(nng_pipe_close(other.pipe));
	return listen_for(1) >= BUSP_GROUP_GRACE_MS * 8 / 10;
}

/* Whoever loses its connection is heard of within the broker's grace, busy or not. */
static void
case_cut_member(void)
{
	bus_adapter *adapter = open_member();

	int late = 0;

	for (int i = 0; i < 3; i++) {
		late += cut_member();
	}
	/* the broker keeps a word that says nothing new */
	OTHER(other.keep = true);
	late += cut_member();
	OTHER(other.keep = false; other.verdict = BUSP_GROUP_GIVE_UP;
	      nng_pipe_close(other.pipe));
	poll_until(adapter, BUS_POLL_REVOKED);
	/* its owner takes its time */
	for (int i = 0; i < 3; i++) {
		late += cut_member();
	}
	/* a machine that stalls makes one late; a client that is slow, most of them */
	CU_ASSERT(late <= 1);
	OTHER(other.verdict = BUSP_GROUP_GO_ON);
	bus_adapter_stop(adapter);
	poll_until(adapter, BUS_POLL_ASSIGNED);
	bus_adapter_close(adapter);
}

/* ---- reading ---- */

static bus_suite_reader
reader_start(bus_adapter *adapter)
{
	bus_suite_reader reader;

	bus_suite_reader_init(&reader, adapter, "t");
	bus_suite_reader_start(&reader, 1);
	return reader;
}

static void
case_broken_once(void)
{
	bus_adapter *adapter = open_adapter();

	OTHER(other.breaks = 1);
	bus_suite_reader reader = reader_start(adapter);

	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, RECORDS));
	CU_ASSERT_EQUAL(reader.wrong + reader.damages, 0);
	CU_ASSERT_EQUAL(other.breaks, 0);
	bus_adapter_close(adapter);
}

static void
case_broken_twice(void)
{
	bus_adapter *adapter = open_adapter();
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;

	OTHER(other.breaks = 1000);
	bus_suite_reader reader = reader_start(adapter);

	while (reader.damages == 0 && bus_suite_now() < deadline) {
		(void)bus_suite_reader_poll(&reader, 50);
	}
	CU_ASSERT_EQUAL(reader.hold.offset, 7);
	CU_ASSERT_EQUAL(reader.next[0], 7);
	for (int i = 0; i < 5; i++) {
		CU_ASSERT_EQUAL(bus_suite_reader_poll(&reader, 20), 0);
	}
	CU_ASSERT_EQUAL(reader.damages, 1);
	OTHER(other.breaks = 0);
	bus_suite_reader_start(&reader, 1);
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, RECORDS));
	CU_ASSERT_EQUAL(reader.wrong, 0);
	bus_adapter_close(adapter);
}

/* Polls until something else than silence comes. */
static bus_status
poll_status(bus_adapter *adapter)
{
	const bus_poll_limit limit = { 100, 1 << 20, 100 };
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;
	bus_poll poll = { 0 };
	bus_status status = BUS_OK;

	while (status == BUS_OK && poll.count == 0 && bus_suite_now() < deadline) {
		bus_error err = BUS_ERROR_INIT;

		status = bus_adapter_poll(adapter, &limit, &poll, &err);
		CU_ASSERT_EQUAL(status, err.status);
	}
	return status;
}

static void
case_not_an_answer(void)
{
	bus_adapter *adapter = open_adapter();
	const bus_position start = { "t", 0, 0 };
	int32_t count = 0;

	BUS_SUITE_OK(bus_adapter_partitions(adapter, "t", 5000, &count, &err));
	CU_ASSERT_EQUAL(count, 2);
	/* an answer that ends early, wherever it ends */
	BUS_SUITE_OK(bus_adapter_start(adapter, &start, 1, &err));
	CU_ASSERT_EQUAL(poll_status(adapter), BUS_OK);
	size_t whole = other.fetch_bytes;

	CU_ASSERT(whole > 100);
	for (size_t cut = 1; cut < whole; cut += cut < 100 ? 1 : 13) {
		OTHER(other.cut_at = cut);
		BUS_SUITE_OK(bus_adapter_start(adapter, &start, 1, &err));
		CU_ASSERT_EQUAL(poll_status(adapter), BUS_E_FATAL);
	}
	OTHER(other.cut_at = 0; other.no_log = true);
	BUS_SUITE_OK(bus_adapter_start(adapter, &start, 1, &err));
	CU_ASSERT_EQUAL(poll_status(adapter), BUS_E_FATAL);
	OTHER(other.no_log = false; other.garbage = true);
	BUS_SUITE_OK(bus_adapter_start(adapter, &start, 1, &err));
	CU_ASSERT_EQUAL(poll_status(adapter), BUS_E_FATAL);
	bus_adapter_stop(adapter);
	BUS_SUITE_OK(bus_adapter_join(adapter, "g", "t", &err));
	CU_ASSERT_EQUAL(poll_status(adapter), BUS_E_FATAL);
	bus_outcome outcome;

	CU_ASSERT_EQUAL(publish(adapter, 5000, &outcome), BUS_E_FATAL);
	/* who knows what it did before it talked nonsense */
	CU_ASSERT_EQUAL(outcome, BUS_OUTCOME_UNCERTAIN);
	BUS_SUITE_FATAL(bus_adapter_partitions(adapter, "u", 5000, &count, &err),
			"no answer to what was asked");
	OTHER(other.garbage = false);
	bus_adapter_close(adapter);
}

/* A connection that is dead without knowing is ended after a while, and a new one made. */
static void
case_silent(void)
{
	bus_adapter *adapter = open_adapter();

	OTHER(other.mute = true; other.fetches = 0);
	bus_suite_reader reader = reader_start(adapter);
	int64_t begin = bus_suite_now();

	CU_ASSERT_EQUAL(poll_status(adapter), BUS_E_RETRY);
	CU_ASSERT(bus_suite_now() >= begin + 10000 && bus_suite_now() < begin + 20000);
	CU_ASSERT(other.fetches >= 1);
	OTHER(other.mute = false);
	/* the question that nobody answered is asked again by itself */
	CU_ASSERT_TRUE(bus_suite_reader_until(&reader, 1, RECORDS));
	CU_ASSERT_EQUAL(reader.wrong, 0);
	bus_adapter_close(adapter);
}

static const bus_case cases[] = {
	{ "what a refusal of an append leads to", case_refusals },
	{ "a publish ends in time, and says what is known", case_no_end },
	{ "an append whose answer is lost is the same one again", case_lost_answer },
	{ "a member is heard of while its owner is busy", case_beats },
	{ "a member that goes says so", case_leaves },
	{ "a member that loses its connection is back in time", case_cut_member },
	{ "a record that arrives broken once is fetched again", case_broken_once },
	{ "a record that arrives broken twice is damaged", case_broken_twice },
	{ "what is no answer is fatal, and nothing worse", case_not_an_answer },
	{ "a broker that falls silent is connected to anew", case_silent },
	{ 0 },
};

const bus_suite_def bus_suite = { "nng client", cases, setup, teardown };
