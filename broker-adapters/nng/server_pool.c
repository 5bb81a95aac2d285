/*
 * server_pool.c - requests come, answers go: where nng's threads and the broker's meet
 *
 * DESIGN
 * Whatever a client does must cost a bounded amount of memory, and must not keep others
 * waiting: requests are counted, per connection and together, and their bytes too.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker-adapters/nng/server.h"

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

/* ---- arriving, on nng's threads ---- */

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
busp_request_read(busp_request *request, bus_str frame, bool whole)
{
	const busp_server *server = request->server;
	const uint8_t *token = NULL;
	request->body = (busp_reader){ .rest = frame };
	request->refused = busp_get_request(&request->body, &request->op, &token);
	if (request->refused == BUSP_DONE && server->has_token &&
	    !busp_token_is(token, server->token)) {
		request->refused = BUSP_DENIED;
	}
	if (request->refused == BUSP_DONE && !whole) {
		request->refused = BUSP_BUSY;
	}
}

void
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

bool
busp_request_arrive(busp_peer *peer, const busp_hops *hops, char *data, bus_str frame,
		    bool whole)
{
	busp_server *server = busp_peer_server(peer);
	busp_request *request = busp_adapter_alloc(1, sizeof(*request));
	request->server = server;
	request->peer = peer;
	request->hops = *hops;
	request->data = data;
	request->arrived_ms = bus_clock_mono_ms(server->clock);
	busp_request_read(request, frame, whole);
	pthread_mutex_lock(&server->lock);
	bool admitted = busp_peer_admit(peer, request, frame.len);
	/* what is refused costs no more than being told so, however long that takes */
	bool keep = admitted && request->refused == BUSP_DONE;
	if (!keep) {
		request->data = NULL;
	}
	if (admitted) {
		server->request_count++;
		server->queue_bytes += request->bytes;
		busp_list_add(&server->arrived, request);
		busp_wake(server);
	}
	pthread_mutex_unlock(&server->lock);
	if (!keep) {
		free(data);
	}
	if (!admitted) {
		free(request);
	}
	return admitted;
}

/* ---- the end of a request ---- */

void
busp_request_let_go(busp_request *request)
{
	busp_server *server = request->server;
	free(request->data);
	request->data = NULL;
	if (request->bytes > 0) {
		pthread_mutex_lock(&server->lock);
		busp_peer_let_go(request->peer, request->bytes);
		server->queue_bytes -= request->bytes;
		pthread_mutex_unlock(&server->lock);
		request->bytes = 0;
	}
}

void
busp_request_drop(busp_request *request)
{
	busp_server *server = request->server;
	busp_read_forget(request);
	busp_list_remove(request);
	busp_request_let_go(request);
	bus_buf_fini(&request->answer);
	bus_buf_fini(&request->group_text);
	pthread_mutex_lock(&server->lock);
	server->request_count--;
	pthread_mutex_unlock(&server->lock);
	busp_peer_release(request->peer);
	free(request);
}

static void
busp_list_drop(busp_list *list)
{
	while (list->first != NULL) {
		busp_request_drop(list->first);
	}
}

void
busp_requests_drop(busp_server *server)
{
	busp_list taken = busp_requests_take(server);
	while (taken.first != NULL) {
		busp_request *request = taken.first;
		taken.first = request->next;
		request->list = NULL;
		busp_request_drop(request);
	}
	busp_list_drop(&server->appends);
	busp_list_drop(&server->ahead);
	busp_list_drop(&server->notes);
	busp_list_drop(&server->commits);
	busp_list_drop(&server->fetches);
	busp_list_drop(&server->ready);
	busp_list_drop(&server->joins);
}

/* ---- answering ---- */

void
busp_answer_frame(busp_request *request, const bus_buf *frame)
{
	busp_peer_send(request->peer, &request->hops, frame);
	busp_request_drop(request);
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
busp_requests_take(busp_server *server)
{
	busp_list none = { 0 };
	pthread_mutex_lock(&server->lock);
	busp_list taken = server->arrived;
	server->arrived = none;
	server->woken = false;
	pthread_mutex_unlock(&server->lock);
	return taken;
}

size_t
busp_requests_excess(busp_server *server)
{
	pthread_mutex_lock(&server->lock);
	size_t count = server->request_count;
	pthread_mutex_unlock(&server->lock);
	return count > BUSP_REQUESTS_MAX ? count - BUSP_REQUESTS_MAX : 0;
}

void
busp_sleep(busp_server *server, int64_t ms)
{
	struct pollfd wake = { .fd = server->wake_fd, .events = POLLIN };
	uint64_t count;
	if (poll(&wake, 1, (int)ms) > 0 &&
	    read(server->wake_fd, &count, sizeof(count)) < 0 && errno != EAGAIN) {
		abort(); /* the descriptor is ours alone */
	}
}
