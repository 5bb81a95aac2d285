/*
 * client.c - calls: requests under way and their answers
 */
#include "broker-adapters/nng/client.h"

#include <nng/protocol/reqrep0/req.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

/* A call that was cancelled is over at once; this is for a machine in trouble. */
#define BUSP_CANCEL_MS 2000
/* A connection that broke is made again within this; so long nobody speaks of it. */
#define BUSP_RECONNECT_MS 1000

/* What nng cannot do for want of memory or threads is like memory itself: no call can be
 * half made. */
static void
busp_nng_must(int result, const char *what)
{
	if (result != 0) {
		fprintf(stderr, "busline: nng cannot make %s: %s\n", what,
			nng_strerror(result));
		abort();
	}
}

int64_t
busp_now_ms(void)
{
	return bus_clock_mono_ms(bus_clock_system());
}

uint64_t
busp_random(void)
{
	uint64_t number = 0;

	while (number == 0) {
		if (getrandom(&number, sizeof(number), 0) != sizeof(number)) {
			number = 0;
		}
	}
	return number;
}

void
busp_client_lock(busp_client *client)
{
	pthread_mutex_lock(&client->lock);
}

void
busp_client_unlock(busp_client *client)
{
	pthread_mutex_unlock(&client->lock);
}

static void
busp_client_signal(busp_client *client)
{
	client->changes++;
	pthread_cond_broadcast(&client->changed);
}

uint64_t
busp_client_changes(busp_client *client)
{
	busp_client_lock(client);
	uint64_t changes = client->changes;
	busp_client_unlock(client);
	return changes;
}

static bool
busp_client_await_locked(busp_client *client, uint64_t seen, int64_t deadline_ms)
{
	const struct timespec deadline = {
		.tv_sec = deadline_ms / 1000,
		.tv_nsec = deadline_ms % 1000 * 1000000,
	};
	bool in_time = true;

	while (client->changes == seen && in_time) {
		in_time = pthread_cond_clockwait(&client->changed, &client->lock,
						 CLOCK_MONOTONIC, &deadline) == 0;
	}
	return client->changes != seen;
}

bool
busp_client_await(busp_client *client, uint64_t seen, int64_t deadline_ms)
{
	busp_client_lock(client);
	bool changed = busp_client_await_locked(client, seen, deadline_ms);
	busp_client_unlock(client);
	return changed;
}

/* ---- the connection ---- */

bool
busp_client_unreachable(busp_client *client)
{
	busp_client_lock(client);
	bool unreachable =
		client->pipe == 0 && busp_now_ms() - client->lost_ms > BUSP_RECONNECT_MS;
	busp_client_unlock(client);
	return unreachable;
}

bus_status
busp_client_refuse_unreachable(busp_client *client, const char *doing, bus_error *err)
{
	busp_client_lock(client);
	bool connected = client->pipe != 0;
	busp_client_unlock(client);
	return bus_error_set(err, BUS_E_RETRY, BUSP_ORIGIN, NNG_ETIMEDOUT, "%s: %s %s",
			     doing, client->url,
			     connected ? "has not answered in time" : "cannot be reached");
}

/* ---- calls ---- */

static void
busp_call_recycle(busp_call *call)
{
	if (call->answer != NULL) {
		nng_msg_free(call->answer);
		call->answer = NULL;
	}
	call->state = BUSP_CALL_IDLE;
}

/* With the lock held. */
static void
busp_call_finish(busp_call *call, int result)
{
	call->result = result;
	call->state = BUSP_CALL_DONE;
	if (call->forgotten) {
		busp_call_recycle(call);
	} else if (call->on_done != NULL && !call->client->closing) {
		call->on_done(call, call->arg);
	}
	busp_client_signal(call->client);
}

/* On a thread of nng: the request is on its way, or its answer is there, or neither. */
static void
busp_call_step(void *argument)
{
	busp_call *call = argument;

	busp_client_lock(call->client);
	int result = nng_aio_result(call->aio);

	if (call->state == BUSP_CALL_SENDING && result == 0) {
		call->state = BUSP_CALL_SENT;
		call->was_sent = true;
		nng_ctx_recv(call->context, call->aio);
		if (call->cancelled) {
			/* only a receive that is cancelled makes nng forget the request */
			nng_aio_cancel(call->aio);
		}
	} else {
		if (call->state == BUSP_CALL_SENDING) {
			nng_msg_free(nng_aio_get_msg(call->aio));
		} else if (result == 0) {
			call->answer = nng_aio_get_msg(call->aio);
		}
		nng_aio_set_msg(call->aio, NULL);
		busp_call_finish(call, result);
	}
	busp_client_unlock(call->client);
}

static busp_call *
busp_call_idle(busp_client *client)
{
	busp_call *call = client->calls;

	while (call != NULL && call->state != BUSP_CALL_IDLE) {
		call = call->next;
	}
	if (call == NULL) {
		call = busp_adapter_alloc(1, sizeof(*call));
		call->client = client;
		busp_nng_must(nng_ctx_open(&call->context, client->socket), "a context");
		busp_nng_must(nng_ctx_set_ms(call->context, NNG_OPT_REQ_RESENDTIME,
					     BUSP_RESEND_MS),
			      "a context");
		busp_nng_must(nng_aio_alloc(&call->aio, busp_call_step, call), "an aio");
		nng_aio_set_timeout(call->aio, NNG_DURATION_INFINITE);
		call->next = client->calls;
		client->calls = call;
	}
	return call;
}

busp_call *
busp_call_begin_locked(busp_client *client, const bus_buf *frame,
		       void (*on_done)(busp_call *call, void *arg), void *arg)
{
	busp_call *call = busp_call_idle(client);
	nng_msg *request = NULL;

	busp_nng_must(nng_msg_alloc(&request, frame->len), "a message");
	memcpy(nng_msg_body(request), frame->data, frame->len);
	call->state = BUSP_CALL_SENDING;
	call->was_sent = call->cancelled = call->forgotten = false;
	call->result = 0;
	call->on_done = on_done;
	call->arg = arg;
	call->begun_ms = busp_now_ms();
	call->connections_max = client->connections + (client->pipe != 0 ? 0 : 1);
	nng_aio_set_msg(call->aio, request);
	nng_ctx_send(call->context, call->aio);
	return call;
}

busp_call *
busp_call_begin(busp_client *client, const bus_buf *frame)
{
	busp_client_lock(client);
	busp_call *call = busp_call_begin_locked(client, frame, NULL, NULL);
	busp_client_unlock(client);
	return call;
}

bool
busp_call_done(busp_call *call)
{
	busp_client_lock(call->client);
	bool done = call->state == BUSP_CALL_DONE;
	busp_client_unlock(call->client);
	return done;
}

nng_msg *
busp_call_end(busp_call *call, int *ret_result)
{
	busp_client_lock(call->client);
	nng_msg *answer = call->answer;

	*ret_result = call->result;
	call->answer = NULL;
	busp_call_recycle(call);
	busp_client_unlock(call->client);
	return answer;
}

void
busp_call_forget_locked(busp_call *call)
{
	if (call->state == BUSP_CALL_DONE) {
		busp_call_recycle(call);
		return;
	}
	call->on_done = NULL;
	call->forgotten = true;
	call->cancelled = true;
	nng_aio_cancel(call->aio);
}

void
busp_call_forget(busp_call *call)
{
	if (call != NULL) {
		busp_client_lock(call->client);
		busp_call_forget_locked(call);
		busp_client_unlock(call->client);
	}
}

bool
busp_call_unsent(busp_call *call)
{
	int64_t deadline_ms = busp_now_ms() + BUSP_CANCEL_MS;
	busp_client *client = call->client;

	busp_client_lock(client);
	call->cancelled = true;
	if (call->state != BUSP_CALL_DONE) {
		nng_aio_cancel(call->aio);
	}
	while (call->state != BUSP_CALL_DONE &&
	       busp_client_await_locked(client, client->changes, deadline_ms)) {
	}
	bool unsent = call->state == BUSP_CALL_DONE && !call->was_sent;

	busp_call_forget_locked(call);
	busp_client_unlock(client);
	return unsent;
}

bool
busp_call_repeated(busp_call *call)
{
	busp_client_lock(call->client);
	bool repeated = call->client->connections > call->connections_max ||
			busp_now_ms() - call->begun_ms >= BUSP_RESEND_MS;
	busp_client_unlock(call->client);
	return repeated;
}

bool
busp_call_overdue(busp_call *call, int wait_ms)
{
	busp_client *client = call->client;
	int64_t now_ms = busp_now_ms();

	busp_client_lock(client);
	int64_t since_ms =
		client->kicked_ms > call->begun_ms ? client->kicked_ms : call->begun_ms;
	bool overdue = call->state == BUSP_CALL_SENT && client->pipe != 0 &&
		       now_ms - since_ms > wait_ms + BUSP_SILENT_MS;
	nng_pipe pipe = { .id = (uint32_t)client->pipe };

	if (overdue) {
		client->kicked_ms = now_ms;
	}
	busp_client_unlock(client);
	if (overdue) {
		(void)nng_pipe_close(pipe);
	}
	return overdue;
}

/* ---- questions ---- */

void
busp_client_request(const busp_client *client, bus_buf *frame, busp_op op)
{
	bus_buf_clear(frame);
	busp_put_request(frame, op, client->token);
}

bus_status
busp_answer_read(const nng_msg *answer, busp_op op, busp_reader *ret_reader,
		 bus_error *err)
{
	nng_msg *message = (nng_msg *)(uintptr_t)answer; /* reading changes nothing */

	*ret_reader = (busp_reader){
		.rest = { nng_msg_body(message), nng_msg_len(message) },
	};
	return busp_get_answer(ret_reader, op, err);
}

bus_status
busp_client_ask(busp_client *client, const bus_buf *frame, busp_op op, int timeout_ms,
		nng_msg **ret_answer, busp_reader *ret_reader, bus_error *err)
{
	int64_t deadline_ms = busp_now_ms() + timeout_ms;
	busp_call *call = busp_call_begin(client, frame);
	int result = 0;

	for (;;) {
		uint64_t seen = busp_client_changes(client);

		if (busp_call_done(call)) {
			break;
		}
		if (!busp_client_await(client, seen, deadline_ms)) {
			(void)busp_call_overdue(call, 0);
			busp_call_forget(call);
			return busp_client_refuse_unreachable(client, "no answer", err);
		}
	}
	nng_msg *answer = busp_call_end(call, &result);

	if (answer == NULL) {
		return bus_error_set(err, BUS_E_RETRY, BUSP_ORIGIN, result, "%s: %s",
				     client->url, nng_strerror(result));
	}
	bus_status status = busp_answer_read(answer, op, ret_reader, err);

	if (status != BUS_OK) {
		nng_msg_free(answer);
		return status;
	}
	*ret_answer = answer;
	return BUS_OK;
}
