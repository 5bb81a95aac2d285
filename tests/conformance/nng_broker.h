/*
 * nng_broker.h - a `busline broker` of its own for a test
 *
 * BUSLINE_BIN is the program; without it, build/busline. Each broker has a folder, in which
 * it says what it has to say into broker.log, and a port.
 */
#ifndef BUS_NNG_BROKER_H
#define BUS_NNG_BROKER_H

#include <sys/types.h>

#include "tests/conformance/adapter_suite.h"

typedef struct bus_nng_broker {
	/* set before it is started, each may be NULL; files outside its folder */
	const char *token_file;
	const char *tls_file;
	const char *properties; /* with which it is asked whether it answers */

	char folder[200];
	char url[64];
	pid_t process; /* 0: it does not run */
} bus_nng_broker;

const char *bus_nng_broker_program(void);
/* A new folder, a free port, a process; true once it answers anything at all. */
bool bus_nng_broker_start(bus_nng_broker *self);
/* Ends the process and waits for its end. */
void bus_nng_broker_signal(bus_nng_broker *self, int signal_number);
/* A new process on the same folder and port; true once it answers. */
bool bus_nng_broker_again(bus_nng_broker *self);
/* Kills it if it runs, and removes its folder. */
void bus_nng_broker_remove(bus_nng_broker *self);

/* An adapter of it; session_ms and clock as in bus_adapter_options, NULL: the machine's. */
bus_adapter *bus_nng_broker_open(const bus_nng_broker *self, const char *properties,
				 int64_t session_ms, const bus_clock *clock);

#endif
