/*
 * server.h - the embedded broker at work; private to the server's files
 *
 * DESIGN
 * Two kinds of threads meet here. nng's own threads receive requests and send answers
 * (server_peer.c); everything else happens in one thread, the one that called
 * bus_broker_serve: it takes all requests that wait, carries them out, and sleeps. A
 * request belongs to that thread from the moment it is taken until it is answered. What
 * cannot be answered yet is parked in one of the lists below, which only it touches.
 */
#ifndef BUSP_NNG_SERVER_H
#define BUSP_NNG_SERVER_H

#include <nng/nng.h>
#include <pthread.h>

#include "broker-adapters/broker.h"
#include "broker-adapters/nng/groups.h"
#include "broker-adapters/nng/journal.h"
#include "broker-adapters/nng/wire.h"
#include "broker-adapters/shared.h"
#include "core/log.h"

/* Requests at once, parked ones included; when there are more, the oldest of the parked
 * ones are answered. */
#define BUSP_REQUESTS_MAX 4096u
/* Requests of one connection at once; a client of ours has less than ten. */
#define BUSP_PEER_REQUESTS_MAX 64u
/* Bytes of requests that wait to be carried out, of one connection and of all; more are
 * refused with BUSY. */
#define BUSP_PEER_QUEUE_BYTES_MAX (8u << 20)
#define BUSP_QUEUE_BYTES_MAX (64u << 20)
/* Memory of frames that are there in part; without room for it a request is BUSY. */
#define BUSP_PARTIAL_BYTES_MAX (64u << 20)
/* A frame that is not whole after so long is given up, and its connection: its client has
 * given up the answer by then. The shorter time is for when others find no room. */
#define BUSP_PARTIAL_MS_MAX 30000
#define BUSP_PARTIAL_SQUEEZED_MS_MAX 2000
/* Answers that wait for one client to read, and for all of them. */
#define BUSP_PEER_ANSWER_BYTES_MAX (8u << 20)
#define BUSP_ANSWER_BYTES_MAX (256u << 20)
/* With more than the first of these on their way, a FETCH is told no more than the second:
 * many that read the same at once are all served. */
#define BUSP_ANSWER_BYTES_MANY (128u << 20)
#define BUSP_FETCH_BYTES_FEW (64u << 10)
/* A connection over TLS on which nothing happens; its client makes a new one. */
#define BUSP_TLS_IDLE_MS_MAX 600000
/* A client that does not say who it is for this long is cut off. */
#define BUSP_GREET_MS_MAX 10000
/* A client that reads nothing of an answer for this long is cut off. */
#define BUSP_SEND_MS_MAX 10000
/* Bytes of one commit: what comes first does not wait for all that came later. */
#define BUSP_COMMIT_BYTES_MAX (4u << 20)
/* How long an append waits for the one before it. */
#define BUSP_AHEAD_MS_MAX 2000
/* How long a group's cursor waits for a commit that it can go with. */
#define BUSP_NOTE_MS_MAX 250
/* Batches in one APPEND: their places are remembered with the producer. */
#define BUSP_APPEND_BATCHES_MAX 4096u
/* What an answer needs besides its entries. */
#define BUSP_FRAME_RESERVE 64u
/* Answers to FETCHes in one round: other requests do not wait for all of them. */
#define BUSP_READ_BYTES_MAX (16u << 20)
/* Partitions in one FETCH, and in all that are parked. */
#define BUSP_FETCH_PARTITIONS_MAX 4096u
#define BUSP_FETCH_WANTS_MAX 262144u
/* Open files besides connections: the journal's, nng's, those being negotiated. */
#define BUSP_DESCRIPTORS_RESERVE 64u
/* Lines in the log about connections that were cut, and about too many of them, each per
 * second: with one that says how many were left out, about 100 MB of log a day at most. */
#define BUSP_CUT_LINES_MAX 5u
#define BUSP_CROWD_LINES_MAX 1u
/* The loop looks at *stop at least this often. */
#define BUSP_LOOP_MS_MAX 200

typedef struct busp_server busp_server;
typedef struct busp_request busp_request;
typedef struct busp_peer busp_peer; /* a connection; server_peer.c */

/* What REQ puts in front of a request, and wants back with its answer: a word per hop. */
#define BUSP_HOPS_MAX 8u
typedef struct busp_hops {
	uint8_t bytes[BUSP_HOPS_MAX * 4];
	size_t len;
} busp_hops;

/* A partition that a FETCH asks for. While it is parked, it is in the list of its log,
 * whose first member busp_log.user is. */
typedef struct busp_want {
	busp_request *request;
	busp_log *log; /* NULL: no such */
	int64_t offset;
	uint32_t place; /* in the request */
	struct busp_want *next;
	struct busp_want *prev;
} busp_want;

typedef struct busp_list {
	busp_request *first;
	busp_request *last;
	size_t count;
} busp_list;

struct busp_request {
	busp_server *server;
	busp_peer *peer; /* whose it is; there until the request has ended */
	busp_hops hops;
	char *data;   /* the request's bytes, until they are not needed any more */
	size_t bytes; /* counted as queued */
	busp_op op;
	busp_refusal refused; /* decided before the broker's thread saw it */
	busp_reader body;
	int64_t arrived_ms;

	/* the list it is in, or NULL */
	busp_list *list;
	busp_request *next;
	busp_request *prev;
	int64_t due_ms; /* parked: until then */

	uint64_t producer; /* APPEND */
	uint64_t seq;
	bus_buf answer;   /* APPEND, once it is in the transaction: its body */
	busp_want *wants; /* FETCH */
	uint32_t want_count;
	uint32_t most_bytes;
	bool parked;              /* FETCH: its wants hang on their logs */
	busp_group_request group; /* GROUP; its texts are in group_text */
	bus_buf group_text;
	int32_t partitions;
};

/* An append that was refused; those behind it are, too. */
typedef struct busp_failed {
	uint64_t producer;
	uint64_t seq;
} busp_failed;

struct busp_server {
	const bus_broker_options *options;
	const bus_clock *clock;
	busp_journal *journal;
	busp_groups *groups;
	nng_stream_listener *listener;
	bool tls;
	nng_aio *accepting;
	int wake_fd;
	bool has_token;
	uint8_t token[BUSP_TOKEN_BYTES];
	uint32_t boot;

	/* ---- shared with nng's threads ---- */
	pthread_mutex_t lock;
	busp_list arrived;
	size_t request_count; /* not ended */
	size_t queue_bytes;   /* of requests */
	size_t partial_bytes; /* of frames that are there in part */
	size_t answer_bytes;  /* not sent */
	busp_peer *peers;
	size_t peer_count;
	uint64_t peer_numbers; /* given so far */
	busp_peer *dead;       /* nothing comes of them any more: to be buried */
	bool accept_failed;    /* to be tried again */
	bool squeezed;         /* a frame found no room */
	bool woken;
	bool crowded; /* connections are refused; logged once */
	bus_log_limit cut_lines;
	bus_log_limit crowd_lines;
	bool draining; /* takes no connection */

	/* ---- the broker's thread only ---- */
	busp_list appends; /* to be carried out, in order */
	busp_list ahead;   /* APPEND whose predecessor is missing */
	busp_list notes;   /* NOTE that waits for a commit */
	busp_list commits; /* APPEND and NOTE in the open transaction */
	size_t commit_bytes;
	busp_failed *failed; /* in this round */
	size_t failed_count;
	size_t failed_capacity;
	busp_log **touched; /* in the open transaction; some twice */
	size_t touched_count;
	size_t touched_capacity;
	busp_list fetches;    /* parked */
	busp_list ready;      /* FETCH that may have something now */
	busp_list joins;      /* GROUP, parked */
	size_t want_count;    /* of the parked */
	size_t read_bytes;    /* answered in this round */
	int64_t fetch_due_ms; /* not before this one of the parked is due */
	int64_t join_due_ms;
	bus_buf slices;    /* what a read gave */
	uint32_t turn;     /* whose partition is first in the next FETCH */
	bool groups_moved; /* the parked GROUPs are to be asked again */
	bool full;         /* the disk was full at the last commit */
	int64_t watch_ms;  /* when connections are looked at next */
	uint32_t *damaged; /* logs whose damage was logged */
	size_t damaged_count;
	size_t damaged_capacity;
	bus_buf frame; /* the answer being made */
};

/* ---- server_listen.c ---- */

/* Reads the token and refuses what must not be; touches nothing yet. */
BUS_MUST_CHECK bus_status busp_listen_open(busp_server *server, bus_error *err);
/* Clients can connect on return; the URL has the port that was taken. */
BUS_MUST_CHECK bus_status busp_listen_start(busp_server *server, bus_buf *ret_url,
					    bus_error *err);

/* ---- server_peer.c: connections ---- */

BUS_MUST_CHECK bus_status busp_peers_open(busp_server *server, bus_error *err);
/* After busp_listen_start: takes connections from now on. */
void busp_peers_accept(busp_server *server);
/* No connection is taken any more; those that are there stay. */
void busp_peers_drain(busp_server *server);
/* Waits a moment for answers to leave, then ends all connections and frees them. Requests
 * have ended before. */
void busp_peers_close(busp_server *server);
/* Connections that have ended, to be buried. What they sent has arrived before. */
busp_peer *busp_peers_dead(busp_server *server);
/* Calls for each of them, unless NULL, before it is forgotten. */
void busp_peers_bury(busp_server *server, busp_peer *dead,
		     void (*each)(busp_server *server, const busp_peer *peer));
/* Cuts off who does not read its answers, or says nothing, or half of something. */
void busp_peers_watch(busp_server *server, int64_t now_ms);
/* Says in the log, unless it is full of that, that a connection was cut and why. */
void busp_peer_cut_log(busp_server *server, const char *why);
/* Sends the frame (copied) if the connection is there still. */
void busp_peer_send(busp_peer *peer, const busp_hops *hops, const bus_buf *frame);
/* More is on its way to clients than is good. */
bool busp_answers_many(busp_server *server);
/* With the lock: counts of the connection's requests. False: one too many. */
bool busp_peer_admit(busp_peer *peer, busp_request *request, size_t bytes);
void busp_peer_let_go(busp_peer *peer, size_t bytes);
/* The request has ended. May free the peer; the broker's thread only. */
void busp_peer_release(busp_peer *peer);
busp_server *busp_peer_server(const busp_peer *peer);
bool busp_peer_closed(const busp_peer *peer);
/* No other connection of this server has it. */
uint64_t busp_peer_number(const busp_peer *peer);

/* ---- server_pool.c: requests come, answers go ---- */

/* A frame in data, which is taken over, on a thread of nng; or the head of one for which
 * there was no room. False: more than is allowed. */
bool busp_request_arrive(busp_peer *peer, const busp_hops *hops, char *data,
			 bus_str frame, bool whole);
/* With the lock: the broker's thread has something to do. */
void busp_wake(busp_server *server);
/* Sleeps until something arrives, or for that long. */
void busp_sleep(busp_server *server, int64_t ms);
/* All that arrived; of each, `list` is to be set. */
busp_list busp_requests_take(busp_server *server);
/* How many there are too many of. */
size_t busp_requests_excess(busp_server *server);
/* Ends one, or all, without an answer. */
void busp_request_drop(busp_request *request);
void busp_requests_drop(busp_server *server);

/* Answers. Each ends the request: it is taken out of its list and freed. */
void busp_answer_frame(busp_request *request, const bus_buf *frame);
/* Begins the answer DONE in server->frame. */
bus_buf *busp_answer_begin(busp_request *request);
void busp_answer_end(busp_request *request);
void busp_answer_refuse(busp_request *request, busp_refusal refusal, const char *fmt, ...)
	BUS_PRINTF(3, 4);
/* The request's bytes are not needed any more. */
void busp_request_let_go(busp_request *request);

void busp_list_add(busp_list *list, busp_request *request);
void busp_list_remove(busp_request *request);

/* ---- server_write.c ---- */

void busp_write_take(busp_server *server, busp_request *request);
/* Commits what there is; at most BUSP_COMMIT_BYTES_MAX of it. FATAL: the disk failed. */
BUS_MUST_CHECK bus_status busp_write_commit(busp_server *server, int64_t now_ms,
					    bus_error *err);
/* When a parked APPEND or NOTE is due; INT64_MAX: none is. */
int64_t busp_write_due_ms(const busp_server *server);

/* ---- server_read.c ---- */

BUS_MUST_CHECK bus_status busp_read_fetch(busp_server *server, busp_request *request,
					  bus_error *err);
/* The log has changed: who waits for it is to be looked at. */
void busp_read_wake(busp_server *server, const busp_log *log);
/* Answers FETCHes that have something to say, at most BUSP_READ_BYTES_MAX, or are due. */
BUS_MUST_CHECK bus_status busp_read_round(busp_server *server, int64_t now_ms,
					  bus_error *err);
/* An empty answer for the oldest; false if none is parked. */
bool busp_read_release(busp_server *server);
/* Takes a parked request out of the lists of its logs. */
void busp_read_forget(busp_request *request);
BUS_MUST_CHECK bus_status busp_read_offset(busp_server *server, busp_request *request,
					   bus_error *err);

/* ---- server_admin.c: topics, and what is told about them and groups ---- */

BUS_MUST_CHECK bus_status busp_admin_do(busp_server *server, busp_request *request,
					bus_error *err);

/* ---- server_group.c: who reads ---- */

void busp_group_take(busp_server *server, busp_request *request);
/* Asks the parked ones again, if anything moved. */
void busp_group_round(busp_server *server, int64_t now_ms);
/* GO_ON for the oldest; false if none is parked. */
bool busp_group_release(busp_server *server);
bool busp_group_name_valid(bus_str name);

#endif
