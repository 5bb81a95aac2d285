/*
 * server_pool.c - requests come, answers go: the side of the broker that nng's threads see
 *
 * DESIGN
 * Whatever a client does must cost a bounded amount of memory, and must not keep others
 * waiting. nng holds one received message per connection back when no context is free;
 * requests that wait are counted in bytes; answers too, per connection and together. nng
 * has no time limit for the answer that is on its way (only for those behind it), so its
 * statistics are asked, now and then, whether that one has left.
 *
 * No call into nng is made under the lock: its callbacks take the lock.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker-adapters/nng/server.h"
#include "core/log.h"

/* An answer smaller than this is in the system's buffers: nobody has to look after it. */
#define FLIGHT_BYTES_MIN 65536u
#define CONFIRM_MS 1000

static void busp_pool_event(void *arg);

/* ---- lists ---- */

void
busp_list_add(busp_list *list, busp_request *request)
{
	request->list = list;
	request->next = NULL;
	request->prev = list->last;
	*(list->last != NULL ? &list->last->next : &list->first) = request;
	list->last = request;
	list->count++;
}

void
busp_list_remove(busp_request *request)
{
	busp_list *list = request->list;
	if (list == NULL) {
		return;
	}
	*(request->prev != NULL ? &request->prev->next : &list->first) = request->next;
	*(request->next != NULL ? &request->next->prev : &list->last) = request->prev;
	list->count--;
	request->list = NULL;
}

/* ---- connections; under the lock ---- */

static busp_pipe **
busp_pipe_place(busp_server *server, uint32_t id)
{
	busp_pipe **place = &server->pipes[id % BUSP_PIPE_BUCKETS];
	while (*place != NULL && (*place)->id != id) {
		place = &(*place)->next;
	}
	return place;
}

static void
busp_pipe_add(busp_server *server, uint32_t id)
{
	busp_pipe **place = busp_pipe_place(server, id);
	if (*place == NULL) {
		*place = busp_adapter_alloc(1, sizeof(busp_pipe));
		(*place)->id = id;
		server->pipe_count++;
	}
}

static void
busp_pipe_remove(busp_server *server, uint32_t id)
{
	busp_pipe **place = busp_pipe_place(server, id);
	busp_pipe *pipe = *place;
	if (pipe == NULL) {
		return;
	}
	if (pipe->requests > 0) {
		server->gone =
			busp_adapter_grow(server->gone, server->gone_count,
					  &server->gone_capacity, sizeof(*server->gone));
		server->gone[server->gone_count++] = id;
	}
	server->answer_bytes -= pipe->queued_bytes + pipe->flight_bytes;
	server->pipe_count--;
	*place = pipe->next;
	free(pipe);
}

static void
busp_wake(busp_server *server)
{
	uint64_t one = 1;
	if (!server->woken) {
		server->woken = true;
		/* an eventfd takes 2^64 - 2 of these before it would block */
		ssize_t written = write(server->wake_fd, &one, sizeof(one));
		(void)written;
	}
}

static void
busp_pipe_event(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	busp_server *server = arg;
	uint32_t id = (uint32_t)nng_pipe_id(pipe);
	bool refuse = false;
	bool crowded = false;
	pthread_mutex_lock(&server->lock);
	if (event == NNG_PIPE_EV_ADD_PRE) {
		refuse = server->pipe_count >= server->options->connections_max ||
			 server->draining;
		crowded = refuse && !server->crowded && !server->draining;
		server->crowded |= crowded;
		if (!refuse) {
			busp_pipe_add(server, id);
		}
	} else if (event == NNG_PIPE_EV_REM_POST) {
		busp_pipe_remove(server, id);
		busp_wake(server);
		if (server->pipe_count < server->options->connections_max / 10 * 9) {
			server->crowded = false;
		}
	}
	pthread_mutex_unlock(&server->lock);
	if (refuse) {
		nng_pipe_close(pipe);
	}
	if (crowded) {
		BUS_LOG(BUS_LOG_WARN, "connections are refused, there are too many",
			BUS_LOG_I("connections_max",
				  (int64_t)server->options->connections_max));
	}
}

static void
busp_pipe_cut(uint32_t id, const char *why)
{
	BUS_LOG(BUS_LOG_WARN, "connection cut", BUS_LOG_S("why", bus_str_from(why)));
	nng_pipe_close((nng_pipe){ .id = id });
}

/* ---- receiving ---- */

static void
busp_receive(busp_request *request)
{
	busp_server *server = request->server;
	request->sending = false;
	pthread_mutex_lock(&server->lock);
	bool closing = server->closing;
	server->receiving += !closing;
	pthread_mutex_unlock(&server->lock);
	if (!closing) {
		nng_aio_set_timeout(request->aio, NNG_DURATION_INFINITE);
		nng_ctx_recv(request->ctx, request->aio);
	}
}

/* No early end: how long it takes does not tell how much was right. */
static bool
busp_token_is(const uint8_t *a, const uint8_t *b)
{
	volatile uint8_t differences = 0;
	for (size_t i = 0; i < BUSP_TOKEN_BYTES; i++) {
		differences = (uint8_t)(differences | (a[i] ^ b[i]));
	}
	return differences == 0;
}

/* What can be said of a request without the broker's state. */
static void
busp_request_read(busp_request *request)
{
	const busp_server *server = request->server;
	const uint8_t *token = NULL;
	request->body = (busp_reader){
		.rest = { nng_msg_body(request->msg), nng_msg_len(request->msg) },
	};
	request->refused = busp_get_request(&request->body, &request->op, &token);
	if (request->refused == BUSP_DONE && server->has_token &&
	    !busp_token_is(token, server->token)) {
		request->refused = BUSP_DENIED;
	}
}

/* Under the lock. False: the connection is gone, or goes because it asks for too much at
 * once (*ret_cut). */
static bool
busp_request_admit(busp_request *request, bool *ret_cut)
{
	busp_server *server = request->server;
	busp_pipe *pipe = *busp_pipe_place(server, request->pipe);
	if (pipe == NULL || pipe->cut || server->closing) {
		return false;
	}
	if (pipe->requests >= BUSP_PIPE_REQUESTS_MAX) {
		pipe->cut = *ret_cut = true;
		return false;
	}
	pipe->requests++;
	size_t bytes = nng_msg_len(request->msg);
	if (request->refused == BUSP_DONE &&
	    (pipe->request_bytes + bytes > BUSP_PIPE_QUEUE_BYTES_MAX ||
	     server->queue_bytes + bytes > BUSP_QUEUE_BYTES_MAX)) {
		request->refused = BUSP_BUSY;
	}
	request->bytes = request->refused == BUSP_DONE ? bytes : 0;
	pipe->request_bytes += request->bytes;
	server->queue_bytes += request->bytes;
	busp_list_add(&server->arrived, request);
	busp_wake(server);
	return true;
}

static void
busp_received(busp_request *request)
{
	busp_server *server = request->server;
	int rv = nng_aio_result(request->aio);
	pthread_mutex_lock(&server->lock);
	server->receiving--;
	pthread_mutex_unlock(&server->lock);
	if (rv == NNG_ECLOSED || rv == NNG_ECANCELED) {
		return;
	}
	if (rv != 0) {
		busp_receive(request);
		return;
	}
	nng_msg *msg = nng_aio_get_msg(request->aio);
	nng_aio_set_msg(request->aio, NULL);
	request->msg = msg;
	request->pipe = (uint32_t)nng_pipe_id(nng_msg_get_pipe(msg));
	request->arrived_ms = bus_clock_mono_ms(server->clock);
	busp_request_read(request);
	bool cut = false;
	pthread_mutex_lock(&server->lock);
	bool admitted = busp_request_admit(request, &cut);
	/* From here on an admitted request is the other thread's. */
	pthread_mutex_unlock(&server->lock);
	if (!admitted) {
		request->msg = NULL;
		nng_msg_free(msg);
		if (cut) {
			busp_pipe_cut(request->pipe, "too many requests at once");
		}
		busp_receive(request);
	}
}

/* ---- answering ---- */

/* Under the lock. An answer that nng took over is on its way; those before it have left. */
static void
busp_pipe_sent(const busp_request *request, busp_pipe *pipe, bool taken)
{
	busp_server *server = request->server;
	size_t bytes = request->answer_bytes;
	pipe->queued_bytes -= bytes;
	server->answer_bytes -= bytes + pipe->flight_bytes;
	pipe->flight_bytes = taken && bytes >= FLIGHT_BYTES_MIN ? bytes : 0;
	server->answer_bytes += pipe->flight_bytes;
	pipe->flight_ms = bus_clock_mono_ms(server->clock);
	pipe->sends += taken;
}

static void
busp_sent(busp_request *request)
{
	busp_server *server = request->server;
	int rv = nng_aio_result(request->aio);
	if (rv != 0) {
		nng_msg_free(nng_aio_get_msg(request->aio));
		nng_aio_set_msg(request->aio, NULL);
	}
	pthread_mutex_lock(&server->lock);
	busp_pipe *pipe = *busp_pipe_place(server, request->pipe);
	bool cut = rv == NNG_ETIMEDOUT && pipe != NULL && !pipe->cut;
	if (pipe != NULL && !pipe->cut) {
		busp_pipe_sent(request, pipe, rv == 0);
		pipe->cut = cut;
	}
	if (pipe != NULL) {
		pipe->requests--;
	}
	pthread_mutex_unlock(&server->lock);
	if (cut) {
		busp_pipe_cut(request->pipe, "it does not read its answers");
	}
	if (rv != NNG_ECLOSED && rv != NNG_ECANCELED) {
		busp_receive(request);
	}
}

static void
busp_pool_event(void *arg)
{
	busp_request *request = arg;
	if (request->sending) {
		busp_sent(request);
	} else {
		busp_received(request);
	}
}

void
busp_request_let_go(busp_request *request)
{
	busp_server *server = request->server;
	if (request->msg != NULL) {
		nng_msg_free(request->msg);
		request->msg = NULL;
	}
	if (request->bytes > 0) {
		pthread_mutex_lock(&server->lock);
		busp_pipe *pipe = *busp_pipe_place(server, request->pipe);
		if (pipe != NULL) {
			pipe->request_bytes -= request->bytes;
		}
		server->queue_bytes -= request->bytes;
		pthread_mutex_unlock(&server->lock);
		request->bytes = 0;
	}
}

/* What the request held besides its bytes. */
static void
busp_request_clear(busp_request *request)
{
	busp_read_forget(request);
	busp_list_remove(request);
	busp_request_let_go(request);
	bus_buf_fini(&request->answer);
	bus_buf_fini(&request->group_text);
}

/* Counts the answer. False: there is nobody to send it to. */
static bool
busp_answer_count(busp_request *request, bool *ret_cut)
{
	busp_server *server = request->server;
	busp_pipe *pipe = *busp_pipe_place(server, request->pipe);
	size_t bytes = request->answer_bytes;
	if (pipe == NULL) {
		return false;
	}
	if (!pipe->cut && pipe->queued_bytes + pipe->flight_bytes + bytes >
				  BUSP_PIPE_ANSWER_BYTES_MAX) {
		pipe->cut = *ret_cut = true;
	}
	if (pipe->cut) {
		pipe->requests--;
		return false;
	}
	pipe->queued_bytes += bytes;
	server->answer_bytes += bytes;
	return true;
}

void
busp_answer_frame(busp_request *request, const bus_buf *frame)
{
	busp_server *server = request->server;
	nng_msg *msg = NULL;
	bool cut = false;
	busp_request_clear(request);
	if (nng_msg_alloc(&msg, frame->len) != 0) {
		/* as everywhere: half an answer is worse than none, for everybody */
		fputs("busline: out of memory for an answer\n", stderr);
		abort();
	}
	memcpy(nng_msg_body(msg), frame->data, frame->len);
	request->answer_bytes = frame->len;
	pthread_mutex_lock(&server->lock);
	bool send = busp_answer_count(request, &cut);
	pthread_mutex_unlock(&server->lock);
	if (!send) {
		nng_msg_free(msg);
		if (cut) {
			busp_pipe_cut(request->pipe, "it does not read its answers");
		}
		busp_receive(request);
		return;
	}
	request->sending = true;
	nng_aio_set_msg(request->aio, msg);
	nng_aio_set_timeout(request->aio, BUSP_SEND_MS_MAX);
	nng_ctx_send(request->ctx, request->aio);
}

bus_buf *
busp_answer_begin(busp_request *request)
{
	bus_buf *frame = &request->server->frame;
	bus_buf_clear(frame);
	busp_put_answer(frame, request->op, BUSP_DONE);
	return frame;
}

void
busp_answer_end(busp_request *request)
{
	busp_answer_frame(request, &request->server->frame);
}

/* A name that a client made up is told back as what can be printed. */
static void
busp_text_clean(char *text)
{
	if (!bus_utf8_valid(bus_str_from(text))) {
		for (char *at = text; *at != '\0'; at++) {
			*at = (unsigned char)*at < 0x80 ? *at : '?';
		}
	}
}

void
busp_answer_refuse(busp_request *request, busp_refusal refusal, const char *fmt, ...)
{
	char text[BUS_ERROR_TEXT_MAX];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	busp_text_clean(text);
	bus_buf *frame = &request->server->frame;
	bus_buf_clear(frame);
	busp_put_answer(frame, request->op, refusal);
	busp_put_text(frame, bus_str_from(text));
	busp_answer_frame(request, frame);
}

/* ---- the broker's thread ---- */

busp_list
busp_pool_take(busp_server *server)
{
	busp_list none = { 0 };
	pthread_mutex_lock(&server->lock);
	busp_list taken = server->arrived;
	server->arrived = none;
	server->woken = false;
	pthread_mutex_unlock(&server->lock);
	return taken;
}

void
busp_pool_gone(busp_server *server, void (*each)(busp_server *server, uint32_t pipe))
{
	pthread_mutex_lock(&server->lock);
	uint32_t *gone = server->gone;
	size_t count = server->gone_count;
	server->gone = NULL;
	server->gone_count = server->gone_capacity = 0;
	pthread_mutex_unlock(&server->lock);
	for (size_t i = 0; i < count; i++) {
		each(server, gone[i]);
	}
	free(gone);
}

void
busp_pool_sleep(busp_server *server, int64_t ms)
{
	struct pollfd wake = { .fd = server->wake_fd, .events = POLLIN };
	uint64_t count;
	if (poll(&wake, 1, (int)ms) > 0 &&
	    read(server->wake_fd, &count, sizeof(count)) < 0 && errno != EAGAIN) {
		abort(); /* the descriptor is ours alone */
	}
}

static busp_request *
busp_request_create(busp_server *server)
{
	busp_request *request = busp_adapter_alloc(1, sizeof(*request));
	request->server = server;
	if (nng_aio_alloc(&request->aio, busp_pool_event, request) != 0) {
		free(request);
		return NULL;
	}
	if (nng_ctx_open(&request->ctx, server->socket) != 0) {
		nng_aio_free(request->aio);
		free(request);
		return NULL;
	}
	return request;
}

size_t
busp_pool_grow(busp_server *server)
{
	pthread_mutex_lock(&server->lock);
	size_t receiving = server->receiving;
	pthread_mutex_unlock(&server->lock);
	for (; receiving < BUSP_REQUESTS_SPARE; receiving++) {
		busp_request *request = server->request_count < BUSP_REQUESTS_MAX ?
						busp_request_create(server) :
						NULL;
		if (request == NULL) {
			return BUSP_REQUESTS_SPARE - receiving;
		}
		server->requests =
			busp_adapter_grow(server->requests, server->request_count,
					  &server->request_capacity, sizeof(request));
		server->requests[server->request_count++] = request;
		busp_receive(request);
	}
	return 0;
}

/* ---- who does not read ---- */

static uint64_t
busp_stat_value(nng_stat *scope, const char *name)
{
	nng_stat *stat = nng_stat_child(scope);
	for (; stat != NULL; stat = nng_stat_next(stat)) {
		if (strcmp(nng_stat_name(stat), name) == 0) {
			return nng_stat_value(stat);
		}
	}
	return 0;
}

static void
busp_flight_landed(busp_server *server, uint32_t id, uint64_t sent)
{
	busp_pipe *pipe = *busp_pipe_place(server, id);
	if (pipe != NULL && sent >= pipe->sends) {
		server->answer_bytes -= pipe->flight_bytes;
		pipe->flight_bytes = 0;
	}
}

/* Takes what nng says into account: which answers have left. */
static void
busp_flights_check(busp_server *server)
{
	nng_stat *root;
	if (nng_stats_get(&root) != 0) {
		return;
	}
	pthread_mutex_lock(&server->lock);
	nng_stat *scope = nng_stat_child(root);
	for (; scope != NULL; scope = nng_stat_next(scope)) {
		if (strcmp(nng_stat_name(scope), "pipe") == 0) {
			busp_flight_landed(server, (uint32_t)busp_stat_value(scope, "id"),
					   busp_stat_value(scope, "tx_msgs"));
		}
	}
	pthread_mutex_unlock(&server->lock);
	nng_stats_free(root);
}

/* The connection to be cut next, or 0: one whose answer is on its way for too long; when
 * all answers together are too many, the one that has waited longest. */
static uint32_t
busp_flight_stuck(busp_server *server, int64_t now_ms)
{
	busp_pipe *oldest = NULL;
	pthread_mutex_lock(&server->lock);
	for (size_t i = 0; i < BUSP_PIPE_BUCKETS; i++) {
		busp_pipe *pipe = server->pipes[i];
		for (; pipe != NULL; pipe = pipe->next) {
			if (pipe->flight_bytes > 0 && !pipe->cut &&
			    (oldest == NULL || pipe->flight_ms < oldest->flight_ms)) {
				oldest = pipe;
			}
		}
	}
	bool stuck = oldest != NULL && (now_ms - oldest->flight_ms > BUSP_SEND_MS_MAX ||
					server->answer_bytes > BUSP_ANSWER_BYTES_MAX);
	uint32_t id = stuck ? oldest->id : 0;
	if (stuck) {
		/* its bytes go when it is gone: they are not counted again until then */
		oldest->cut = true;
		server->answer_bytes -= oldest->queued_bytes + oldest->flight_bytes;
		oldest->queued_bytes = oldest->flight_bytes = 0;
	}
	pthread_mutex_unlock(&server->lock);
	return id;
}

/* Is there an answer that has been on its way for long, or too much of them all? */
static bool
busp_flights_suspicious(busp_server *server, int64_t now_ms)
{
	bool suspicious = false;
	pthread_mutex_lock(&server->lock);
	suspicious = server->answer_bytes > BUSP_ANSWER_BYTES_MAX;
	for (size_t i = 0; i < BUSP_PIPE_BUCKETS && !suspicious; i++) {
		const busp_pipe *pipe = server->pipes[i];
		for (; pipe != NULL && !suspicious; pipe = pipe->next) {
			suspicious = pipe->flight_bytes > 0 &&
				     now_ms - pipe->flight_ms > BUSP_SEND_MS_MAX / 2;
		}
	}
	pthread_mutex_unlock(&server->lock);
	return suspicious;
}

void
busp_pool_confirm(busp_server *server, int64_t now_ms)
{
	if (now_ms < server->confirm_ms) {
		return;
	}
	server->confirm_ms = now_ms + CONFIRM_MS;
	if (!busp_flights_suspicious(server, now_ms)) {
		return;
	}
	busp_flights_check(server);
	for (uint32_t id; (id = busp_flight_stuck(server, now_ms)) != 0;) {
		busp_pipe_cut(id, "it does not read its answers");
	}
}

/* ---- begin and end ---- */

bus_status
busp_pool_open(busp_server *server, bus_error *err)
{
	server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (server->wake_fd < 0) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, errno,
				     "the broker's eventfd: %s", strerror(errno));
	}
	int rv = nng_pipe_notify(server->socket, NNG_PIPE_EV_ADD_PRE, busp_pipe_event,
				 server);
	rv = rv != 0 ? rv :
		       nng_pipe_notify(server->socket, NNG_PIPE_EV_REM_POST,
				       busp_pipe_event, server);
	if (rv != 0 || busp_pool_grow(server) > 0) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, rv,
				     "the broker cannot receive: %s",
				     nng_strerror(rv != 0 ? rv : NNG_ENOMEM));
	}
	return BUS_OK;
}

void
busp_pool_drain(busp_server *server)
{
	/* Closing the listener would close its connections, and with them the answers. */
	pthread_mutex_lock(&server->lock);
	server->draining = true;
	pthread_mutex_unlock(&server->lock);
}

void
busp_pool_close(busp_server *server)
{
	pthread_mutex_lock(&server->lock);
	server->draining = server->closing = true;
	pthread_mutex_unlock(&server->lock);
	/* A context that is in use when its socket is closed may outlive it in nng 1.5.2. */
	for (size_t i = 0; i < server->request_count; i++) {
		nng_aio_stop(server->requests[i]->aio);
		nng_ctx_close(server->requests[i]->ctx);
	}
	nng_close(server->socket);
	for (size_t i = 0; i < server->request_count; i++) {
		busp_request *request = server->requests[i];
		busp_request_clear(request);
		nng_aio_free(request->aio);
		free(request);
	}
	free(server->requests);
	for (size_t i = 0; i < BUSP_PIPE_BUCKETS; i++) {
		while (server->pipes[i] != NULL) {
			busp_pipe_remove(server, server->pipes[i]->id);
		}
	}
	free(server->gone);
	if (server->wake_fd >= 0) {
		close(server->wake_fd);
	}
}
