/*
 * server_peer.c - connections, and frames on them: nng's REP, spoken over its streams
 *
 * Source: the TCP mapping of nng's scalability protocols (SP): a greeting of eight bytes
 * from each side, then messages of a be64 length and their bytes; and REP, which gives
 * back what a request begins with: words of four bytes up to one whose highest bit is
 * set.
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

#include "broker-adapters/nng/server.h"
#include "core/log.h"

/* What a small request fits into, with others behind it. */
#define PEER_BUFFER_BYTES 4096u
#define GREETING_BYTES 8u
#define LENGTH_BYTES 8u
/* Answers in one call of the system. */
#define OUT_IOV_MAX 8u
#define WATCH_MS 1000
/* How long the end waits for answers to leave, and for connections to go. */
#define LEAVE_MS_MAX 1000
#define CLOSE_MS_MAX 5000

static const uint8_t greeting_rep[GREETING_BYTES] = { 0, 'S', 'P', 0, 0, 0x31, 0, 0 };
static const uint8_t greeting_req[GREETING_BYTES] = { 0, 'S', 'P', 0, 0, 0x30, 0, 0 };

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
	busp_peer *next;
	busp_peer *prev;
	busp_peer *next_dead;
	atomic_uint requests; /* not ended; changed under the lock */
	size_t request_bytes; /* of those that wait to be carried out */
	size_t answer_bytes;  /* not sent */

	/* under the lock of the peer */
	pthread_mutex_t lock;
	bool closed;
	bool receiving;
	bool sending;
	busp_out *first;
	busp_out *last;
	size_t first_sent; /* of the first's bytes */

	atomic_int_least64_t
		unsent_ms; /* since when nothing left of what is to; 0: nothing is */
	atomic_int_least64_t heard_ms;
	atomic_bool greeted;

	/* the receiving callback's */
	char buffer[PEER_BUFFER_BYTES];
	size_t buffered;
	char *body; /* a frame that is not there whole */
	size_t body_len;
	size_t body_have;

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
	nng_iov iov = { peer->buffer + peer->buffered,
			sizeof(peer->buffer) - peer->buffered };
	if (peer->body != NULL) {
		iov.iov_buf = peer->body + peer->body_have;
		iov.iov_len = peer->body_len - peer->body_have;
	}
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

static void
busp_peer_cut_told(const char *why)
{
	BUS_LOG(BUS_LOG_WARN, "connection cut", BUS_LOG_S("why", bus_str_from(why)));
}

/* ---- receiving ---- */

static uint64_t
busp_be64_at(const char *at)
{
	uint64_t value = 0;
	for (int i = 0; i < 8; i++) {
		value = value << 8 | (uint8_t)at[i];
	}
	return value;
}

/* A whole frame, which is taken over. False: it is none, or one too many. */
static bool
busp_peer_frame(busp_peer *peer, char *data, size_t len)
{
	busp_hops hops = { 0 };
	bool last = false;
	while (!last && hops.len < sizeof(hops.bytes) && len - hops.len >= 4) {
		memcpy(hops.bytes + hops.len, data + hops.len, 4);
		last = (hops.bytes[hops.len] & 0x80) != 0;
		hops.len += 4;
	}
	if (!last) {
		free(data);
		return false;
	}
	bus_str frame = { data + hops.len, len - hops.len };
	bool admitted = busp_request_arrive(peer->server, peer, &hops, data, frame);
	if (!admitted) {
		busp_peer_cut_told("too many requests at once");
	}
	return admitted;
}

/* What the buffer begins with; *ret_used of it, 0: more must come. False: nonsense. */
static bool
busp_peer_piece(busp_peer *peer, const char *at, size_t len, size_t *ret_used)
{
	*ret_used = 0;
	if (!peer->greeted) {
		bool whole = len >= GREETING_BYTES;
		bool right = memcmp(at, greeting_req, whole ? GREETING_BYTES : len) == 0;
		peer->greeted = whole && right;
		*ret_used = whole ? GREETING_BYTES : 0;
		return right;
	}
	if (len < LENGTH_BYTES) {
		return true;
	}
	uint64_t body_len = busp_be64_at(at);
	if (body_len < 4 || body_len > BUSP_FRAME_BYTES_MAX) {
		return false;
	}
	size_t have = len - LENGTH_BYTES < body_len ? len - LENGTH_BYTES : body_len;
	char *body = malloc(body_len);
	if (body == NULL) {
		return false;
	}
	memcpy(body, at + LENGTH_BYTES, have);
	*ret_used = LENGTH_BYTES + have;
	if (have == body_len) {
		return busp_peer_frame(peer, body, body_len);
	}
	peer->body = body;
	peer->body_len = body_len;
	peer->body_have = have;
	return true;
}

/* Takes what came apart. False: the connection is to be ended. */
static bool
busp_peer_take(busp_peer *peer, size_t count)
{
	if (peer->body != NULL) {
		char *body = peer->body;
		peer->body_have += count;
		if (peer->body_have < peer->body_len) {
			return true;
		}
		peer->body = NULL;
		return busp_peer_frame(peer, body, peer->body_len);
	}
	peer->buffered += count;
	size_t at = 0;
	size_t used;
	do {
		if (!busp_peer_piece(peer, peer->buffer + at, peer->buffered - at,
				     &used)) {
			return false;
		}
		at += used;
	} while (used > 0 && peer->body == NULL);
	peer->buffered -= at;
	memmove(peer->buffer, peer->buffer + at, peer->buffered);
	return true;
}

static void
busp_peer_received(void *arg)
{
	busp_peer *peer = arg;
	peer->heard_ms = bus_clock_mono_ms(peer->server->clock);
	bool go_on = nng_aio_result(peer->in) == 0 &&
		     busp_peer_take(peer, nng_aio_count(peer->in));
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
busp_peer_transmitted(void *arg)
{
	busp_peer *peer = arg;
	busp_server *server = peer->server;
	bool well = nng_aio_result(peer->out) == 0;
	size_t count = well ? nng_aio_count(peer->out) : 0;
	pthread_mutex_lock(&server->lock);
	peer->answer_bytes -= count;
	server->answer_bytes -= count;
	pthread_mutex_unlock(&server->lock);
	pthread_mutex_lock(&peer->lock);
	peer->sending = false;
	busp_peer_sent(peer, count);
	peer->unsent_ms = peer->first != NULL ? bus_clock_mono_ms(server->clock) : 0;
	if (!well) {
		busp_peer_close(peer);
	}
	if (!peer->closed && peer->first != NULL) {
		busp_peer_transmit(peer);
	}
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
	busp_out *out = busp_adapter_alloc(1, sizeof(*out) + LENGTH_BYTES + len);
	char *to = out->data;
	for (size_t i = 0; i < LENGTH_BYTES; i++) {
		*to++ = (char)(uint8_t)((uint64_t)len >> (56 - 8 * i));
	}
	memcpy(to, hops->bytes, hops->len);
	memcpy(to + hops->len, frame->data, frame->len);
	out->len = LENGTH_BYTES + len;
	return out;
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
	bool many = peer->answer_bytes + out->len > BUSP_PEER_ANSWER_BYTES_MAX;
	peer->answer_bytes += out->len;
	server->answer_bytes += out->len;
	pthread_mutex_unlock(&server->lock);
	pthread_mutex_lock(&peer->lock);
	bool cut = many && !peer->closed;
	if (many) {
		busp_peer_close(peer);
	}
	if (!peer->closed) {
		busp_peer_put(peer, out);
		out = NULL;
	}
	pthread_mutex_unlock(&peer->lock);
	if (out != NULL) {
		/* counted until the peer is buried, as all that it never read */
		free(out);
	}
	if (cut) {
		busp_peer_cut_told("it does not read its answers");
	}
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
	pthread_mutex_init(&peer->lock, NULL);
	if (nng_aio_alloc(&peer->in, busp_peer_received, peer) != 0 ||
	    nng_aio_alloc(&peer->out, busp_peer_transmitted, peer) != 0) {
		nng_aio_free(peer->in);
		free(peer);
		return NULL;
	}
	return peer;
}

/* Under the server's lock: is there room? */
static bool
busp_peer_welcome(busp_server *server, bool *ret_crowded)
{
	bool room = server->peer_count < server->options->connections_max;
	*ret_crowded = !room && !server->crowded && !server->draining;
	server->crowded |= *ret_crowded;
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
		peer->answer_bytes = GREETING_BYTES;
		server->answer_bytes += GREETING_BYTES;
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
	busp_out *hello = busp_adapter_alloc(1, sizeof(*hello) + GREETING_BYTES);
	hello->len = GREETING_BYTES;
	memcpy(hello->data, greeting_rep, GREETING_BYTES);
	pthread_mutex_lock(&peer->lock);
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
busp_peer_misbehaves(busp_peer *peer, int64_t now_ms)
{
	int64_t unsent_ms = peer->unsent_ms;
	int64_t silent_ms = now_ms - peer->heard_ms;
	if (unsent_ms != 0 && now_ms - unsent_ms > BUSP_SEND_MS_MAX) {
		return "it does not read its answers";
	}
	if (!peer->greeted && silent_ms > BUSP_GREET_MS_MAX) {
		return "it does not say who it is";
	}
	/* TLS of nng 1.5.2 may break between two receptions and not tell the second
	 * one */
	if (peer->server->tls && peer->requests == 0 && silent_ms > BUSP_TLS_IDLE_MS_MAX) {
		return "it has said nothing for long";
	}
	return NULL;
}

/* The peer with the most unread answers, when all together are too many. */
static busp_peer *
busp_peers_heaviest(busp_server *server)
{
	busp_peer *heaviest = NULL;
	if (server->answer_bytes <= BUSP_ANSWER_BYTES_MAX) {
		return NULL;
	}
	for (busp_peer *peer = server->peers; peer != NULL; peer = peer->next) {
		if (heaviest == NULL || peer->answer_bytes > heaviest->answer_bytes) {
			heaviest = peer;
		}
	}
	return heaviest;
}

/* A peer that lives is being received from: the end of that says that it died. Peers
 * leave the list in this thread only, so one that was found stays. */
static void
busp_peer_cut(busp_peer *peer, const char *why)
{
	pthread_mutex_lock(&peer->lock);
	bool already = peer->closed;
	busp_peer_close(peer);
	pthread_mutex_unlock(&peer->lock);
	if (!already && why != NULL) {
		busp_peer_cut_told(why);
	}
}

void
busp_peers_watch(busp_server *server, int64_t now_ms)
{
	pthread_mutex_lock(&server->lock);
	bool again = server->accept_failed;
	server->accept_failed = false;
	busp_peer *heaviest = busp_peers_heaviest(server);
	busp_peer *peer = server->peers; /* new ones come in front of it */
	pthread_mutex_unlock(&server->lock);
	if (again) {
		busp_peers_accept(server);
	}
	if (heaviest != NULL) {
		busp_peer_cut(heaviest, "it does not read its answers");
	}
	if (now_ms < server->watch_ms) {
		return;
	}
	server->watch_ms = now_ms + WATCH_MS;
	for (; peer != NULL; peer = peer->next) {
		const char *why = busp_peer_misbehaves(peer, now_ms);
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
	server->answer_bytes -= peer->answer_bytes;
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
	free(peer->body);
	while (peer->first != NULL) {
		busp_out *out = peer->first;
		peer->first = out->next;
		free(out);
	}
	peer->buried = true;
	if (alone) {
		busp_peer_free(peer);
	}
}

void
busp_peers_bury(busp_server *server,
		void (*each)(busp_server *server, const busp_peer *peer))
{
	pthread_mutex_lock(&server->lock);
	busp_peer *dead = server->dead;
	server->dead = NULL;
	pthread_mutex_unlock(&server->lock);
	while (dead != NULL) {
		busp_peer *peer = dead;
		dead = peer->next_dead;
		if (each != NULL) {
			each(server, peer);
		}
		busp_peer_bury(server, peer);
	}
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
	busp_requests_drop(server);
	busp_peers_bury(server, NULL);
	pthread_mutex_lock(&server->lock);
	bool gone = server->peers == NULL;
	pthread_mutex_unlock(&server->lock);
	return gone;
}

static bool
busp_answers_left(busp_server *server)
{
	busp_peers_bury(server, NULL);
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
	if (server->listener != NULL) {
		nng_stream_listener_free(server->listener);
	}
	if (server->wake_fd >= 0) {
		close(server->wake_fd);
	}
}
