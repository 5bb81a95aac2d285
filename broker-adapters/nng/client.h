/*
 * client.h - the client's side of the embedded broker: a connection, and calls on it
 *
 * DESIGN
 * One nng socket per adapter; it connects in the background and again whenever the
 * connection breaks. A call is one request and its answer, in an nng context of its own, so
 * that several are under way at once. nng sends a request again when the connection was
 * lost: every request of the protocol may come twice.
 *
 * nng tells what became of a call on a thread of its own. What happens there is little: it
 * notes the state under the client's one lock and wakes who waits. The owner's thread waits
 * with a deadline, always. Sending and receiving of a call share one nng_aio, so that never
 * both are under way: cancelling the one while the other is ends nng 1.5.2 (nng#1702).
 *
 * A link is a socket of nng and the connection on it. In nng 1.5.2 a connection that is
 * closed in the middle of a message may never be done with: its transport begins the next
 * part of the message on an nng_aio that is stopped already, which is not refused but
 * forgotten. Then the one thread that takes connections apart waits for ever, no socket of
 * the process connects again by itself, and none can be closed. A new socket can still
 * connect. So a link that has been without a connection or an answer for too long is given
 * up for a new one, and what ends it may hang without harm.
 */
#ifndef BUSP_NNG_CLIENT_H
#define BUSP_NNG_CLIENT_H

#include <nng/nng.h>
#include <pthread.h>

#include "broker-adapters/nng/wire.h"
#include "broker-adapters/shared.h"

typedef enum busp_call_state {
	BUSP_CALL_IDLE,    /* nobody's */
	BUSP_CALL_SENDING, /* waits for a connection */
	BUSP_CALL_SENT, /* handed to a connection, maybe to several one after the other */
	BUSP_CALL_DONE, /* answer or result is there */
} busp_call_state;

/* Its own until it is given up. */
typedef struct busp_link {
	struct busp_client *client; /* NULL: given up */
	nng_socket socket;
	nng_dialer dialer;
} busp_link;

/* Guarded by the client's lock. */
typedef struct busp_call {
	struct busp_call *next;
	struct busp_client *client;
	const busp_link *link; /* where its context is; only compared */
	nng_ctx context;
	nng_aio *aio;
	busp_call_state state;
	bool was_sent;
	bool cancelled;
	bool forgotten; /* nobody waits: idle again as soon as it is done */
	int result;     /* of nng; 0: answer is there */
	nng_msg *answer;
	/* DONE, instead of waiting; runs on a thread of nng, with the lock held */
	void (*on_done)(struct busp_call *call, void *arg);
	void *arg;
	int64_t begun_ms;
	uint64_t connections_max; /* sent on more than so many: may have come twice */
} busp_call;

typedef struct busp_client {
	char *url; /* as the user wrote it */
	bool tls;
	char *tls_ca_file;
	uint8_t token[BUSP_TOKEN_BYTES];
	busp_link *link; /* changed by the owner only */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t changes; /* counts what was signalled */
	busp_call *calls;
	uint64_t connections; /* begun so far */
	int pipe;             /* nng's number of the connection, 0: there is none */
	int pipe_lost;        /* of the last one that ended */
	int64_t lost_ms;      /* since when there is none; of opening at first */
	int64_t patience_ms;  /* before the next one is */
	bool closing;         /* nothing begins any more */
} busp_client;

/* An answer takes no longer than what was asked to wait, and this. */
#define BUSP_SILENT_MS 10000
/* How long a request waits before nng sends it once more without a reason: longer than
 * any answer may take, and after a lost connection it is sent again at once. */
#define BUSP_RESEND_MS 60000

/* Connects in the background. FATAL: URL or properties are wrong. */
BUS_MUST_CHECK bus_status busp_client_open(const bus_adapter_options *options,
					   busp_client **ret_client, bus_error *err);
/* May hang in nng (see closing.c); NULL-safe. */
void busp_client_free(busp_client *client);

void busp_client_lock(busp_client *client);
void busp_client_unlock(busp_client *client);
/* To be read before looking at calls, and given to the wait that follows. */
uint64_t busp_client_changes(busp_client *client);
/* Until something has changed since `seen`; false: the deadline has passed. */
bool busp_client_await(busp_client *client, uint64_t seen, int64_t deadline_ms);

/* True while the broker cannot be reached; a connection that is being made counts as one
 * for a moment. */
bool busp_client_unreachable(busp_client *client);
bus_status busp_client_refuse_unreachable(busp_client *client, const char *doing,
					  bus_error *err);

/* A frame begins so; the body of the op follows. */
void busp_client_request(const busp_client *client, bus_buf *frame, busp_op op);

/* With the lock held: an idle call begins with the request in frame (copied). */
busp_call *busp_call_begin_locked(busp_client *client, const bus_buf *frame,
				  void (*on_done)(busp_call *call, void *arg), void *arg);
busp_call *busp_call_begin(busp_client *client, const bus_buf *frame);
/* True once the call is done. */
bool busp_call_done(busp_call *call);
/* Takes the answer of a call that is done, NULL if there is none: *ret_result says why, and
 * *ret_sent if the request may have come all the same. Gives the call back. The message is
 * the caller's. */
nng_msg *busp_call_end(busp_call *call, int *ret_result, bool *ret_sent);
/* Gives a call back that may be under way: its answer is dropped. NULL-safe. */
void busp_call_forget(busp_call *call);
void busp_call_forget_locked(busp_call *call);
/* Ends a call that is under way: true if its request was never sent. Waits a moment. */
bool busp_call_unsent(busp_call *call);
/* May the request have come twice? Of a call that is done. */
bool busp_call_repeated(busp_call *call);
/* Nothing came for longer than wait_ms allows. */
bool busp_call_overdue(busp_call *call, int wait_ms);

/* ---- settings.c ---- */

/* A link that does not connect yet. FATAL: refused. */
BUS_MUST_CHECK bus_status busp_link_open(busp_client *client, busp_link **ret_link,
					 bus_error *err);
/* It is the client's: what happens to it counts from now on. */
void busp_link_start(busp_link *link);
/* Ends it on a thread of its own, which takes it. */
void busp_link_give_up(busp_link *link);

/* Looks after the connection, while the owner waits: a link that has none for too long is
 * given up for a new one; calls under way end with NNG_ECANCELED. */
void busp_client_tend(busp_client *client);
/* The same at once: its connection is dead without knowing. */
void busp_client_renew(busp_client *client);
/* Waits a moment for answers under way: closing is safe when none is coming. */
void busp_client_quiet(busp_client *client);

/* Frees calls of links that are no more, and nobody waits for. */
void busp_calls_free(busp_call *calls);

/* How long a link may be without a connection: doubled each time in vain. */
#define BUSP_PATIENCE_MS_MIN 3000
#define BUSP_PATIENCE_MS_MAX 60000
/* The owner waits no longer than this without looking after the connection. */
#define BUSP_TEND_MS 500

/* One question: sends the frame and waits for its answer. RETRY: no answer in time. On OK
 * ret_reader is at the body, inside *ret_answer, which is the caller's. */
BUS_MUST_CHECK bus_status busp_client_ask(busp_client *client, const bus_buf *frame,
					  busp_op op, int timeout_ms,
					  nng_msg **ret_answer, busp_reader *ret_reader,
					  bus_error *err);
/* An answer as a reader; then as busp_get_answer(). */
bus_status busp_answer_read(const nng_msg *answer, busp_op op, busp_reader *ret_reader,
			    bus_error *err);

int64_t busp_now_ms(void);
/* A number that nobody else has. */
uint64_t busp_random(void);

#endif
