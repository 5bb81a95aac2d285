/*
 * server_frame.c - what comes on a connection, taken apart into requests
 *
 * Source: the TCP mapping of nng's scalability protocols (SP): a greeting of eight bytes
 * from each side, then messages of a be64 length and their bytes; and REP, which gives
 * back what a request begins with: words of four bytes up to one whose highest bit is
 * set.
 *
 * DESIGN
 * A frame that does not fit into the buffer gets memory for all of it when its length is
 * known. That memory is bounded over all connections: when there is none left, a frame is
 * read and thrown away but for its head, and its request is refused with BUSY, as one that
 * finds the queue full. Whoever has memory must use it: the broker's thread cuts off who
 * is at one frame for too long, and sooner while others find no room.
 */
#include "broker-adapters/nng/server_frame.h"

#include <stdlib.h>

/* Of a frame that is thrown away: hops, and what every request begins with. */
#define HEAD_BYTES 128u

static const uint8_t greeting_req[BUSP_GREETING_BYTES] = { 0, 'S', 'P', 0, 0, 0x30, 0, 0 };

/* ---- memory for frames that are there in part ---- */

static bool
busp_partial_reserve(busp_server *server, size_t bytes)
{
	pthread_mutex_lock(&server->lock);
	bool room = server->partial_bytes + bytes <= BUSP_PARTIAL_BYTES_MAX;
	if (room) {
		server->partial_bytes += bytes;
	} else {
		server->squeezed = true;
	}
	pthread_mutex_unlock(&server->lock);
	return room;
}

static void
busp_partial_release(busp_intake *intake)
{
	busp_server *server = intake->server;
	if (intake->body_kept == intake->body_len) {
		pthread_mutex_lock(&server->lock);
		server->partial_bytes -= intake->body_len;
		pthread_mutex_unlock(&server->lock);
	}
}

/* ---- frames ---- */

static uint64_t
busp_be64_at(const char *at)
{
	uint64_t value = 0;
	for (int i = 0; i < 8; i++) {
		value = value << 8 | (uint8_t)at[i];
	}
	return value;
}

/* A frame, or the head of one, which is taken over. False: it is none, or one too many. */
static bool
busp_frame_take(busp_intake *intake, char *data, size_t len, bool whole)
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
	bool admitted = busp_request_arrive(intake->peer, &hops, data, frame, whole);
	if (!admitted) {
		busp_peer_cut_log(intake->server, "too many requests at once");
	}
	return admitted;
}

/* A frame of body_len bytes begins with the `have` at `at`, which may be all of it. */
static bool
busp_frame_begin(busp_intake *intake, const char *at, size_t have, size_t body_len)
{
	bool whole = have == body_len;
	bool room = whole || busp_partial_reserve(intake->server, body_len);
	size_t kept = room ? body_len : HEAD_BYTES;
	char *body = malloc(kept);
	if (body != NULL) {
		memcpy(body, at, have < kept ? have : kept);
	}
	if (whole) {
		return body != NULL && busp_frame_take(intake, body, body_len, true);
	}
	intake->body = body;
	intake->body_len = body_len;
	intake->body_have = have;
	intake->body_kept = kept;
	intake->begun_ms = bus_clock_mono_ms(intake->server->clock);
	if (body == NULL) {
		busp_partial_release(intake);
	}
	return body != NULL;
}

static bool
busp_frame_end(busp_intake *intake)
{
	char *body = intake->body;
	bool whole = intake->body_kept == intake->body_len;
	busp_partial_release(intake);
	intake->body = NULL;
	intake->begun_ms = 0;
	return busp_frame_take(intake, body, intake->body_kept, whole);
}

/* What the buffer begins with; *ret_used of it, 0: more must come. False: nonsense. */
static bool
busp_intake_piece(busp_intake *intake, const char *at, size_t len, size_t *ret_used)
{
	*ret_used = 0;
	if (!intake->greeted) {
		bool whole = len >= BUSP_GREETING_BYTES;
		size_t have = whole ? BUSP_GREETING_BYTES : len;
		bool right = memcmp(at, greeting_req, have) == 0;
		intake->greeted = whole && right;
		*ret_used = whole ? BUSP_GREETING_BYTES : 0;
		return right;
	}
	if (len < BUSP_LENGTH_BYTES) {
		return true;
	}
	uint64_t body_len = busp_be64_at(at);
	if (body_len < 4 || body_len > BUSP_FRAME_BYTES_MAX) {
		return false;
	}
	size_t have =
		len - BUSP_LENGTH_BYTES < body_len ? len - BUSP_LENGTH_BYTES : body_len;
	if (have < body_len && BUSP_LENGTH_BYTES + body_len <= sizeof(intake->buffer)) {
		return true;
	}
	*ret_used = BUSP_LENGTH_BYTES + have;
	return busp_frame_begin(intake, at + BUSP_LENGTH_BYTES, have, body_len);
}

/* ---- bytes ---- */

nng_iov
busp_intake_room(busp_intake *intake)
{
	size_t rest = intake->body_len - intake->body_have;
	if (intake->body == NULL) {
		return (nng_iov){ intake->buffer + intake->buffered,
				  sizeof(intake->buffer) - intake->buffered };
	}
	if (intake->body_have < intake->body_kept) {
		return (nng_iov){ intake->body + intake->body_have,
				  intake->body_kept - intake->body_have };
	}
	/* nothing is in the buffer while a frame is there in part */
	return (nng_iov){ intake->buffer,
			  rest < sizeof(intake->buffer) ? rest : sizeof(intake->buffer) };
}

bool
busp_intake_take(busp_intake *intake, size_t count)
{
	if (intake->body != NULL) {
		intake->body_have += count;
		return intake->body_have < intake->body_len || busp_frame_end(intake);
	}
	intake->buffered += count;
	size_t at = 0;
	size_t used;
	do {
		if (!busp_intake_piece(intake, intake->buffer + at, intake->buffered - at,
				       &used)) {
			return false;
		}
		at += used;
	} while (used > 0 && intake->body == NULL);
	intake->buffered -= at;
	memmove(intake->buffer, intake->buffer + at, intake->buffered);
	return true;
}

void
busp_intake_fini(busp_intake *intake)
{
	if (intake->body != NULL) {
		busp_partial_release(intake);
		free(intake->body);
	}
}
