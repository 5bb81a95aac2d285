/*
 * server_peer.c - connections: nng's REP, spoken over its streams
 *
 * DESIGN
 * nng 1.5.2's own REP sockets cannot be left alone with strangers. Ending a connection
 * while a message is half read or half written may lose the end of that transfer; the one
 * thread that takes connections apart waits for it for ever, and no connection of the
 * process ever goes again. Nor has the answer that is on its way a time limit. So here
 * are the streams below them (TCP, or TLS over it), of which the same can be said in one
 * rule: nothing is begun on a stream that was closed. Both happen under the peer's lock,
 * which no callback of nng is called under: streams report on other threads.
 *
 * A peer has one transfer in each direction. When it was closed and both have ended, it
 * is dead, and the broker's thread buries it.
 *
 * Locks: the server's may be held when a peer's is taken, never the other way round.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "broker-adapters/nng/server_frame.h"
#include "core/log.h"

/* Answers in one call of the system. */
#define OUT_IOV_MAX 8u
#define WATCH_MS 1000
/* How long the end waits for answers to leave, and for connections to go. */
#define LEAVE_MS_MAX 1000
#define CLOSE_MS_MAX 5000

static const uint8_t greeting_rep[BUSP_GREETING_BYTES] = { 0, 'S', 'P', 0, 0, 0x31, 0, 0 };

typedef struct busp_out {
	struct busp_out *next;
	size_t len;
	char data[];
} busp_out;

struct busp_peer {
	busp_server *server;
	nng_stream *stream;
	nng_aio *in;
	nng_aio *out;

	/* under the lock of the server */
	uint64_t number; /* does not change */
	busp_peer *next;
	busp_peer *prev;
	busp_peer *next_dead;
	atomic_uint requests; /* not ended; changed under the lock */
	size_t request_bytes; /* of those that wait to be carried out */
	size_t answer_bytes;  /* not sent */

	/* under the lock of the peer */
	pthread_mutex_t lock;
	atomic_bool closed;
	bool receiving;
	bool sending;
	busp_out *first;
	busp_out *last;
	size_t first_sent; /* of the first's bytes */

	/* since when nothing left of what is to; 0: nothing is */
	atomic_int_least64_t unsent_ms;
	atomic_int_least64_t heard_ms;
	busp_intake intake;
	bool buried; /* the broker's thread's */
};

/* ---- under the peer's lock ---- */

static void
busp_peer_close(busp_peer *peer)
{
	if (!peer->closed) {
		peer->closed = true;
		nng_stream_close(peer->stream);
	}
}

static void
busp_peer_receive(busp_peer *peer)
{
	nng_iov iov = busp_intake_room(&peer->intake);
	peer->receiving = true;
	nng_aio_set_iov(peer->in, 1, &iov);
	nng_stream_recv(peer->stream, peer->in);
}

static void
busp_peer_transmit(busp_peer *peer)
{
	nng_iov iov[OUT_IOV_MAX];
	unsigned count = 0;
	size_t skip = peer->first_sent;
	for (busp_out *out = peer->first; out != NULL && count < OUT_IOV_MAX;
	     out = out->next) {
		iov[count++] = (nng_iov){ out->data + skip, out->len - skip };
		skip = 0;
	}
	peer->sending = true;
	nng_aio_set_iov(peer->out, count, iov);
	nng_stream_send(peer->stream, peer->out);
}

static void
busp_peer_sent(busp_peer *peer, size_t bytes)
{
	while (bytes > 0) {
		busp_out *out = peer->first;
		size_t rest = out->len - peer->first_sent;
		if (bytes < rest) {
			peer->first_sent += bytes;
			return;
		}
		bytes -= rest;
		peer->first = out->next;
		peer->first_sent = 0;
		free(out);
	}
	if (peer->first == NULL) {
		peer->last = NULL;
	}
}

static bool
busp_peer_idle(const busp_peer *peer)
{
	return peer->closed && !peer->receiving && !peer->sending;
}

/* ---- dying; without a lock ---- */

static void
busp_peer_died(busp_peer *peer)
{
	busp_server *server = peer->server;
	pthread_mutex_lock(&server->lock);
	peer->next_dead = server->dead;
	server->dead = peer;
	busp_wake(server);
	pthread_mutex_unlock(&server->lock);
}

/* ---- receiving ---- */

static void
busp_peer_received(void *arg)
{
	busp_peer *peer = arg;
	peer->heard_ms = bus_clock_mono_ms(peer->server->clock);
	bool go_on = nng_aio_result(peer->in) == 0 &&
		     busp_intake_take(&peer->intake, nng_aio_count(peer->in));
	pthread_mutex_lock(&peer->lock);
	peer->receiving = false;
	if (!go_on) {
		busp_peer_close(peer);
	}
	if (!peer->closed) {
		busp_peer_receive(peer);
	}
	bool died = busp_peer_idle(peer);
	pthread_mutex_unlock(&peer->lock);
	if (died) {
		busp_peer_died(peer);
	}
}

/* ---- sending ---- */

static void
busp_answers_count(busp_peer *peer, size_t bytes)
{
	busp_server *server = peer->server;
	pthread_mutex_lock(&server->lock);
	peer->answer_bytes -= bytes;
	server->answer_bytes -= bytes;
	pthread_mutex_unlock(&server->lock);
}

/* Of one that is closed: nothing is put there any more. */
static void
busp_answers_drop(busp_peer *peer)
{
	size_t bytes = 0;
	while (peer->first != NULL) {
		busp_out *out = peer->first;
		bytes += out->len - peer->first_sent;
		peer->first = out->next;
		peer->first_sent = 0;
		free(out);
	}
	busp_answers_count(peer, bytes);
}

static void
busp_peer_transmitted(void *arg)
{
	busp_peer *peer = arg;
	bool well = nng_aio_result(peer->out) == 0;
	size_t count = well ? nng_aio_count(peer->out) : 0;
	busp_answers_count(peer, count);
	pthread_mutex_lock(&peer->lock);
	busp_peer_sent(peer, count);
	peer->unsent_ms =
		peer->first != NULL ? bus_clock_mono_ms(peer->server->clock) : 0;
	if (!well) {
		busp_peer_close(peer);
	}
	bool closed = peer->closed;
	if (!closed) {
		peer->sending = false;
		if (peer->first != NULL) {
			busp_peer_transmit(peer);
		}
	}
	pthread_mutex_unlock(&peer->lock);
	if (!closed) {
		return;
	}
	/* before it counts as not sending: it cannot be buried meanwhile */
	busp_answers_drop(peer);
	pthread_mutex_lock(&peer->lock);
	peer->sending = false;
	bool died = busp_peer_idle(peer);
	pthread_mutex_unlock(&peer->lock);
	if (died) {
		busp_peer_died(peer);
	}
}

static busp_out *
busp_out_create(const busp_hops *hops, const bus_buf *frame)
{
	size_t len = hops->len + frame->len;
	busp_out *out = busp_adapter_alloc(1, sizeof(*out) + BUSP_LENGTH_BYTES + len);
	char *to = out->data;
	for (size_t i = 0; i < BUSP_LENGTH_BYTES; i++) {
		*to++ = (char)(uint8_t)((uint64_t)len >> (56 - 8 * i));
	}
	memcpy(to, hops->bytes, hops->len);
	memcpy(to + hops->len, frame->data, frame->len);
	out->len = BUSP_LENGTH_BYTES + len;
	return out;
}

/* ---- what is told ---- */

void
busp_peer_cut_log(busp_server *server, const char *why)
{
	pthread_mutex_lock(&server->lock);
	bool admitted =
		bus_log_limit_admit(&server->cut_lines, bus_clock_mono_ms(server->clock));
	pthread_mutex_unlock(&server->lock);
	if (admitted) {
		BUS_LOG(BUS_LOG_WARN, "connection cut",
			BUS_LOG_S("why", bus_str_from(why)));
	}
}

static void
busp_peers_log_rest(busp_server *server, int64_t now_ms)
{
	pthread_mutex_lock(&server->lock);
	int64_t cut = bus_log_limit_left_out(&server->cut_lines, now_ms);
	int64_t crowds = bus_log_limit_left_out(&server->crowd_lines, now_ms);
	pthread_mutex_unlock(&server->lock);
	if (cut > 0) {
		BUS_LOG(BUS_LOG_WARN, "more connections cut, not told one by one",
			BUS_LOG_I("count", cut));
	}
	if (crowds > 0) {
		BUS_LOG(BUS_LOG_WARN, "connections were refused again and again",
			BUS_LOG_I("count", crowds));
	}
}

/* ---- cutting ---- */

/* A peer that lives is being received from: the end of that says that it died. */
static void
busp_peer_cut(busp_peer *peer, const char *why)
{
	pthread_mutex_lock(&peer->lock);
	bool already = peer->closed;
	busp_peer_close(peer);
	pthread_mutex_unlock(&peer->lock);
	if (!already && why != NULL) {
		busp_peer_cut_log(peer->server, why);
	}
}

/* Cuts the one with the most unread answers, when all together are too many. Of those
 * that were cut already they go by themselves. Peers leave the list in this thread only,
 * so one that was found stays. */
static void
busp_peers_lighten(busp_server *server)
{
	busp_peer *heaviest = NULL;
	size_t bytes = 0;
	pthread_mutex_lock(&server->lock);
	for (busp_peer *peer = server->peers; peer != NULL; peer = peer->next) {
		bytes += peer->closed ? 0 : peer->answer_bytes;
		if (!peer->closed &&
		    (heaviest == NULL || peer->answer_bytes > heaviest->answer_bytes)) {
			heaviest = peer;
		}
	}
	pthread_mutex_unlock(&server->lock);
	if (heaviest != NULL && bytes > BUSP_ANSWER_BYTES_MAX) {
		busp_peer_cut(heaviest, "it does not read its answers");
	}
}

/* Under the peer's lock. */
static void
busp_peer_put(busp_peer *peer, busp_out *out)
{
	*(peer->last != NULL ? &peer->last->next : &peer->first) = out;
	peer->last = out;
	if (!peer->sending) {
		peer->unsent_ms = bus_clock_mono_ms(peer->server->clock);
		busp_peer_transmit(peer);
	}
}

void
busp_peer_send(busp_peer *peer, const busp_hops *hops, const bus_buf *frame)
{
	busp_server *server = peer->server;
	if (peer->buried) {
		return;
	}
	busp_out *out = busp_out_create(hops, frame);
	pthread_mutex_lock(&server->lock);
	peer->answer_bytes += out->len;
	server->answer_bytes += out->len;
	bool many = peer->answer_bytes > BUSP_PEER_ANSWER_BYTES_MAX;
	bool many_of_all = server->answer_bytes > BUSP_ANSWER_BYTES_MAX;
	pthread_mutex_unlock(&server->lock);
	if (many) {
		busp_peer_cut(peer, "it does not read its answers");
	}
	pthread_mutex_lock(&peer->lock);
	bool closed = peer->closed;
	if (!closed) {
		busp_peer_put(peer, out);
	}
	pthread_mutex_unlock(&peer->lock);
	if (closed) {
		busp_answers_count(peer, out->len);
		free(out);
	}
	if (many_of_all) {
		busp_peers_lighten(server);
	}
}

bool
busp_answers_many(busp_server *server)
{
	pthread_mutex_lock(&server->lock);
	bool many = server->answer_bytes > BUSP_ANSWER_BYTES_MANY;
	pthread_mutex_unlock(&server->lock);
	return many;
}

/* ---- counts; under the server's lock ---- */

bool
busp_peer_admit(busp_peer *peer, busp_request *request, size_t bytes)
{
	const busp_server *server = peer->server;
	if (peer->requests >= BUSP_PEER_REQUESTS_MAX) {
		return false;
	}
	peer->requests++;
	if (request->refused == BUSP_DONE &&
	    (peer->request_bytes + bytes > BUSP_PEER_QUEUE_BYTES_MAX ||
	     server->queue_bytes + bytes > BUSP_QUEUE_BYTES_MAX ||
	     server->request_count >= 2 * BUSP_REQUESTS_MAX)) {
		request->refused = BUSP_BUSY;
	}
	request->bytes = request->refused == BUSP_DONE ? bytes : 0;
	peer->request_bytes += request->bytes;
	return true;
}

void
busp_peer_let_go(busp_peer *peer, size_t bytes)
{
	peer->request_bytes -= bytes;
}

/* ---- taking connections ---- */

static busp_peer *
busp_peer_create(busp_server *server, nng_stream *stream)
{
	busp_peer *peer = busp_adapter_alloc(1, sizeof(*peer));
	peer->server = server;
	peer->stream = stream;
	peer->heard_ms = bus_clock_mono_ms(server->clock);
	peer->intake.peer = peer;
	peer->intake.server = server;
	pthread_mutex_init(&peer->lock, NULL);
	if (nng_aio_alloc(&peer->in, busp_peer_received, peer) != 0 ||
	    nng_aio_alloc(&peer->out, busp_peer_transmitted, peer) != 0) {
		nng_aio_free(peer->in);
		free(peer);
		return NULL;
	}
	return peer;
}

/* Under the server's lock: is there room? If not, is that to be logged? */
static bool
busp_peer_welcome(busp_server *server, bool *ret_crowded)
{
	bool room = server->peer_count < server->options->connections_max;
	bool crowded = !room && !server->crowded && !server->draining;
	server->crowded |= crowded;
	*ret_crowded = crowded && bus_log_limit_admit(&server->crowd_lines,
						      bus_clock_mono_ms(server->clock));
	return room && !server->draining;
}

static void
busp_peer_begin(busp_server *server, nng_stream *stream)
{
	bool crowded = false;
	busp_peer *peer = busp_peer_create(server, stream);
	pthread_mutex_lock(&server->lock);
	bool welcome = peer != NULL && busp_peer_welcome(server, &crowded);
	if (welcome) {
		peer->next = server->peers;
		if (server->peers != NULL) {
			server->peers->prev = peer;
		}
		server->peers = peer;
		server->peer_count++;
		peer->number = ++server->peer_numbers;
		peer->answer_bytes = BUSP_GREETING_BYTES;
		server->answer_bytes += BUSP_GREETING_BYTES;
		/* nobody ends it before it has begun */
		pthread_mutex_lock(&peer->lock);
	}
	pthread_mutex_unlock(&server->lock);
	if (crowded) {
		BUS_LOG(BUS_LOG_WARN, "connections are refused, there are too many",
			BUS_LOG_I("connections_max",
				  (int64_t)server->options->connections_max));
	}
	if (!welcome) {
		nng_stream_close(stream);
		nng_stream_free(stream);
		if (peer != NULL) {
			nng_aio_free(peer->in);
			nng_aio_free(peer->out);
			free(peer);
		}
		return;
	}
	busp_out *hello = busp_adapter_alloc(1, sizeof(*hello) + BUSP_GREETING_BYTES);
	hello->len = BUSP_GREETING_BYTES;
	memcpy(hello->data, greeting_rep, BUSP_GREETING_BYTES);
	busp_peer_put(peer, hello);
	busp_peer_receive(peer);
	pthread_mutex_unlock(&peer->lock);
}

static void
busp_accepted(void *arg)
{
	busp_server *server = arg;
	int rv = nng_aio_result(server->accepting);
	if (rv == 0) {
		busp_peer_begin(server, nng_aio_get_output(server->accepting, 0));
	}
	if (rv == NNG_ECLOSED || rv == NNG_ECANCELED) {
		return;
	}
	if (rv == 0 || rv == NNG_ECONNABORTED || rv == NNG_ECONNRESET) {
		nng_stream_listener_accept(server->listener, server->accepting);
		return;
	}
	/* descriptors or memory are short: the broker's thread tries again, a little
	 * later */
	pthread_mutex_lock(&server->lock);
	server->accept_failed = true;
	pthread_mutex_unlock(&server->lock);
}

void
busp_peers_accept(busp_server *server)
{
	nng_stream_listener_accept(server->listener, server->accepting);
}

/* ---- the broker's thread: watching and burying ---- */

/* Why this one is to be cut, or NULL. */
static const char *
busp_peer_misbehaves(const busp_peer *peer, int64_t now_ms, bool squeezed)
{
	int64_t unsent_ms = peer->unsent_ms;
	int64_t begun_ms = peer->intake.begun_ms;
	int64_t partial_ms =
		squeezed ? BUSP_PARTIAL_SQUEEZED_MS_MAX : BUSP_PARTIAL_MS_MAX;
	int64_t silent_ms = now_ms - peer->heard_ms;
	if (unsent_ms != 0 && now_ms - unsent_ms > BUSP_SEND_MS_MAX) {
		return "it does not read its answers";
	}
	if (!peer->intake.greeted && silent_ms > BUSP_GREET_MS_MAX) {
		return "it does not say who it is";
	}
	if (begun_ms != 0 && now_ms - begun_ms > partial_ms) {
		return "it does not finish its request";
	}
	/* TLS of nng 1.5.2 may break between two receptions, and not tell the second */
	if (peer->server->tls && peer->requests == 0 && silent_ms > BUSP_TLS_IDLE_MS_MAX) {
		return "it has said nothing for long";
	}
	return NULL;
}

void
busp_peers_watch(busp_server *server, int64_t now_ms)
{
	pthread_mutex_lock(&server->lock);
	bool again = server->accept_failed;
	server->accept_failed = false;
	bool squeezed = server->squeezed;
	server->squeezed = false;
	busp_peer *peer = server->peers; /* new ones come in front of it */
	pthread_mutex_unlock(&server->lock);
	if (again) {
		busp_peers_accept(server);
	}
	busp_peers_log_rest(server, now_ms);
	if (now_ms < server->watch_ms && !squeezed) {
		return;
	}
	server->watch_ms = now_ms + WATCH_MS;
	for (; peer != NULL; peer = peer->next) {
		const char *why = busp_peer_misbehaves(peer, now_ms, squeezed);
		if (why != NULL) {
			busp_peer_cut(peer, why);
		}
	}
}

/* Under the server's lock. */
static void
busp_peer_unlist(busp_server *server, busp_peer *peer)
{
	*(peer->prev != NULL ? &peer->prev->next : &server->peers) = peer->next;
	if (peer->next != NULL) {
		peer->next->prev = peer->prev;
	}
	server->peer_count--;
	if (server->peer_count < server->options->connections_max / 10 * 9) {
		server->crowded = false;
	}
}

static void
busp_peer_free(busp_peer *peer)
{
	pthread_mutex_destroy(&peer->lock);
	free(peer);
}

static void
busp_peer_bury(busp_server *server, busp_peer *peer)
{
	pthread_mutex_lock(&server->lock);
	busp_peer_unlist(server, peer);
	bool alone = peer->requests == 0;
	pthread_mutex_unlock(&server->lock);
	nng_aio_free(peer->in);
	nng_aio_free(peer->out);
	nng_stream_free(peer->stream);
	busp_intake_fini(&peer->intake);
	peer->buried = true;
	if (alone) {
		busp_peer_free(peer);
	}
}

busp_peer *
busp_peers_dead(busp_server *server)
{
	pthread_mutex_lock(&server->lock);
	busp_peer *dead = server->dead;
	server->dead = NULL;
	pthread_mutex_unlock(&server->lock);
	return dead;
}

void
busp_peers_bury(busp_server *server, busp_peer *dead,
		void (*each)(busp_server *server, const busp_peer *peer))
{
	while (dead != NULL) {
		busp_peer *peer = dead;
		dead = peer->next_dead;
		if (each != NULL) {
			each(server, peer);
		}
		busp_peer_bury(server, peer);
	}
}

busp_server *
busp_peer_server(const busp_peer *peer)
{
	return peer->server;
}

bool
busp_peer_closed(const busp_peer *peer)
{
	return peer->closed;
}

uint64_t
busp_peer_number(const busp_peer *peer)
{
	return peer->number;
}

void
busp_peer_release(busp_peer *peer)
{
	pthread_mutex_lock(&peer->server->lock);
	bool last = --peer->requests == 0 && peer->buried;
	pthread_mutex_unlock(&peer->server->lock);
	if (last) {
		busp_peer_free(peer);
	}
}

/* ---- begin and end ---- */

bus_status
busp_peers_open(busp_server *server, bus_error *err)
{
	server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (server->wake_fd < 0) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, errno,
				     "the broker's eventfd: %s", strerror(errno));
	}
	int rv = nng_aio_alloc(&server->accepting, busp_accepted, server);
	if (rv != 0) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, rv,
				     "the broker cannot accept: %s", nng_strerror(rv));
	}
	return BUS_OK;
}

void
busp_peers_drain(busp_server *server)
{
	pthread_mutex_lock(&server->lock);
	server->draining = true;
	pthread_mutex_unlock(&server->lock);
}

static bool
busp_peers_gone(busp_server *server)
{
	busp_peer *dead = busp_peers_dead(server);
	busp_requests_drop(server);
	busp_peers_bury(server, dead, NULL);
	pthread_mutex_lock(&server->lock);
	bool gone = server->peers == NULL;
	pthread_mutex_unlock(&server->lock);
	return gone;
}

static bool
busp_answers_left(busp_server *server)
{
	busp_peers_bury(server, busp_peers_dead(server), NULL);
	pthread_mutex_lock(&server->lock);
	bool left = server->answer_bytes == 0;
	pthread_mutex_unlock(&server->lock);
	return left;
}

static void
busp_await(busp_server *server, bool (*condition)(busp_server *server), int64_t ms_max)
{
	int64_t end_ms = bus_clock_mono_ms(server->clock) + ms_max;
	while (!condition(server) && bus_clock_mono_ms(server->clock) < end_ms) {
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

void
busp_peers_close(busp_server *server)
{
	busp_peers_drain(server);
	busp_await(server, busp_answers_left, LEAVE_MS_MAX);
	if (server->listener != NULL) {
		nng_stream_listener_close(server->listener);
	}
	/* when it returns nothing is accepted any more */
	nng_aio_free(server->accepting);
	for (busp_peer *peer = server->peers; peer != NULL; peer = peer->next) {
		busp_peer_cut(peer, NULL);
	}
	busp_await(server, busp_peers_gone, CLOSE_MS_MAX);
	busp_peers_log_rest(server, INT64_MAX);
	if (server->listener != NULL) {
		nng_stream_listener_free(server->listener);
	}
	if (server->wake_fd >= 0) {
		/* a connection that nng never finished with must not write into another file */
		pthread_mutex_lock(&server->lock);
		close(server->wake_fd);
		server->wake_fd = -1;
		pthread_mutex_unlock(&server->lock);
	}
}
