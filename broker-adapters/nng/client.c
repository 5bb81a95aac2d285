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
/* Answers that are coming come within this; the others are waited for by the broker. */
#define BUSP_QUIET_MS 100
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

/* An answer may come before nng has told that its connection is there. */
static void
busp_call_came(const busp_call *call)
{
	busp_client *client = call->client;
	int id = nng_pipe_id(nng_msg_get_pipe(call->answer));

	if (call->link == client->link && client->pipe == 0 && id > 0 &&
	    id != client->pipe_lost) {
		client->pipe = id;
	}
}

/* On a thread of nng: the request is on its way, or its answer is there, or neither. */
static void
busp_call_step(void *argument)
{
	busp_call *call = argument;

	busp_client_lock(call->client);
	int result = nng_aio_result(call->aio);

	if (call->state == BUSP_CALL_SENDING && result == 0 &&
	    call->link != call->client->link) {
		/* its socket is being closed: no more of it */
		call->was_sent = true;
		busp_call_finish(call, NNG_ECANCELED);
	} else if (call->state == BUSP_CALL_SENDING && result == 0) {
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
			busp_call_came(call);
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

	while (call != NULL &&
	       (call->state != BUSP_CALL_IDLE || call->link != client->link)) {
		call = call->next;
	}
	if (call == NULL) {
		call = busp_adapter_alloc(1, sizeof(*call));
		call->client = client;
		call->link = client->link;
		busp_nng_must(nng_ctx_open(&call->context, client->link->socket),
			      "a context");
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
busp_call_end(busp_call *call, int *ret_result, bool *ret_sent)
{
	busp_client_lock(call->client);
	nng_msg *answer = call->answer;

	*ret_result = call->result;
	*ret_sent = call->was_sent;
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
	busp_client_lock(call->client);
	bool overdue = call->state == BUSP_CALL_SENT &&
		       busp_now_ms() - call->begun_ms > wait_ms + BUSP_SILENT_MS;
	busp_client_unlock(call->client);
	return overdue;
}

/* ---- the link ---- */

/* Calls of links that were given up, as far as they are idle: to be freed. */
static busp_call *
busp_calls_stale(busp_client *client)
{
	busp_call *stale = NULL;
	busp_call **at = &client->calls;

	while (*at != NULL) {
		busp_call *call = *at;

		if (call->link != client->link && call->state == BUSP_CALL_IDLE) {
			*at = call->next;
			call->next = stale;
			stale = call;
		} else {
			at = &call->next;
		}
	}
	return stale;
}

void
busp_calls_free(busp_call *calls)
{
	while (calls != NULL) {
		busp_call *call = calls;

		calls = call->next;
		nng_aio_free(call->aio);
		(void)nng_ctx_close(call->context);
		if (call->answer != NULL) {
			nng_msg_free(call->answer);
		}
		free(call);
	}
}

void
busp_client_renew(busp_client *client)
{
	bus_error ignored = BUS_ERROR_INIT;
	busp_link *old = client->link;
	busp_link *link = NULL;

	if (busp_link_open(client, &link, &ignored) != BUS_OK) {
		return; /* as it was opened once: for want of memory, and for now */
	}
	busp_client_lock(client);
	client->link = link;
	client->pipe = 0;
	client->lost_ms = busp_now_ms();
	for (busp_call *call = client->calls; call != NULL; call = call->next) {
		if (call->link == old &&
		    (call->state == BUSP_CALL_SENDING || call->state == BUSP_CALL_SENT)) {
			call->cancelled = true;
			nng_aio_cancel(call->aio);
		}
	}
	busp_call *stale = busp_calls_stale(client);
	busp_client_unlock(client);
	busp_calls_free(stale);
	busp_link_give_up(old);
	busp_link_start(link);
}

void
busp_client_tend(busp_client *client)
{
	int64_t now_ms = busp_now_ms();

	busp_client_lock(client);
	bool late = client->pipe == 0 && now_ms - client->lost_ms > client->patience_ms;

	if (late) {
		/* most likely the broker is away: then a new link is no better */
		client->patience_ms = client->patience_ms * 2 < BUSP_PATIENCE_MS_MAX ?
					      client->patience_ms * 2 :
					      BUSP_PATIENCE_MS_MAX;
	} else if (client->pipe != 0) {
		client->patience_ms = BUSP_PATIENCE_MS_MIN;
	}
	busp_client_unlock(client);
	if (late) {
		busp_client_renew(client);
	}
}

static bool
busp_calls_sent(const busp_client *client)
{
	for (const busp_call *call = client->calls; call != NULL; call = call->next) {
		if (call->state == BUSP_CALL_SENT) {
			return true;
		}
	}
	return false;
}

void
busp_client_quiet(busp_client *client)
{
	int64_t deadline_ms = busp_now_ms() + BUSP_QUIET_MS;

	busp_client_lock(client);
	while (busp_calls_sent(client) &&
	       busp_client_await_locked(client, client->changes, deadline_ms)) {
	}
	busp_client_unlock(client);
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

/* True when it is done in time. */
static bool
busp_call_wait(busp_call *call, int64_t deadline_ms)
{
	busp_client *client = call->client;

	for (;;) {
		uint64_t seen = busp_client_changes(client);
		int64_t now_ms = busp_now_ms();
		int64_t tend_ms = now_ms + BUSP_TEND_MS;

		if (busp_call_done(call)) {
			return true;
		}
		if (now_ms >= deadline_ms) {
			return false;
		}
		(void)busp_client_await(client, seen,
					tend_ms < deadline_ms ? tend_ms : deadline_ms);
		if (busp_call_overdue(call, 0)) {
			busp_client_renew(client);
		}
		busp_client_tend(client);
	}
}

bus_status
busp_client_ask(busp_client *client, const bus_buf *frame, busp_op op, int timeout_ms,
		nng_msg **ret_answer, busp_reader *ret_reader, bus_error *err)
{
	int64_t deadline_ms = busp_now_ms() + timeout_ms;
	nng_msg *answer = NULL;

	/* again on another link, if this one is given up meanwhile */
	while (answer == NULL) {
		int result = 0;
		bool sent = false;
		busp_call *call = busp_call_begin(client, frame);

		if (!busp_call_wait(call, deadline_ms)) {
			busp_call_forget(call);
			return busp_client_refuse_unreachable(client, "no answer", err);
		}
		answer = busp_call_end(call, &result, &sent);
		if (answer == NULL && result != NNG_ECANCELED) {
			return bus_error_set(err, BUS_E_RETRY, BUSP_ORIGIN, result,
					     "%s: %s", client->url, nng_strerror(result));
		}
	}
	bus_status status = busp_answer_read(answer, op, ret_reader, err);

	if (status != BUS_OK) {
		nng_msg_free(answer);
		return status;
	}
	*ret_answer = answer;
	return BUS_OK;
}
