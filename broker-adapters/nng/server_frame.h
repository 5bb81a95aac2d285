/*
 * server_frame.h - what comes on a connection, taken apart into requests; private to the
 * server's files
 */
#ifndef BUSP_NNG_SERVER_FRAME_H
#define BUSP_NNG_SERVER_FRAME_H

#include <stdatomic.h>

#include "broker-adapters/nng/server.h"

/* What a small request fits into, with others behind it. */
#define BUSP_INTAKE_BYTES 4096u
#define BUSP_GREETING_BYTES 8u
/* A frame begins with its length, be64. */
#define BUSP_LENGTH_BYTES 8u

/* The receiving callback's, but for the atomics, which the broker's thread looks at. */
typedef struct busp_intake {
	busp_peer *peer;
	busp_server *server;
	atomic_bool greeted;
	/* since when a frame is there in part; 0: none is */
	atomic_int_least64_t begun_ms;
	char buffer[BUSP_INTAKE_BYTES];
	size_t buffered;
	char *body; /* of the frame that is there in part, or NULL */
	size_t body_len;
	size_t body_have;
	size_t body_kept; /* body_len; or less: there is no room, the rest is read away */
} busp_intake;

/* Where the next bytes go. */
nng_iov busp_intake_room(busp_intake *intake);
/* So many bytes have come there. False: the connection is to be ended. */
bool busp_intake_take(busp_intake *intake, size_t count);
void busp_intake_fini(busp_intake *intake);

#endif
