/*
 * nng_broker.c - a `busline broker` of its own for a test
 */
#include "tests/conformance/nng_broker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A port below those that the kernel gives to clients: a broker that is away for a while
 * finds it free when it comes back. */
static int
free_port(void)
{
	for (unsigned i = 0; i < 1000; i++) {
		int port =
			12000 + (int)(((unsigned)getpid() * 31u +
				       (unsigned)bus_clock_wall_us(bus_clock_system()) +
				       i * 7919u) %
				      8000u);
		struct sockaddr_in address = {
			.sin_family = AF_INET,
			.sin_port = htons((uint16_t)port),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		};
		int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		bool taken =
			connect(probe, (struct sockaddr *)&address, sizeof(address)) == 0;

		close(probe);
		if (!taken) {
			return port;
		}
	}
	return 0;
}

const char *
bus_nng_broker_program(void)
{
	static char program[300];
	const char *path = getenv("BUSLINE_BIN");

	if (program[0] != '\0') {
		return program;
	}
	snprintf(program, sizeof(program), "%s", path != NULL ? path : "build/busline");
	/* the settings of whoever runs the tests are not meant for it */
	for (char **at = environ; *at != NULL;) {
		char name[128];

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(*at, "="), *at);
		if (strncmp(name, "BUSLINE_", 8) == 0 && unsetenv(name) == 0) {
			at = environ;
		} else {
			at++;
		}
	}
	return program;
}

/* Starts the process; it says what it has to say into broker.log of its folder. */
static void
bus_nng_broker_launch(bus_nng_broker *self)
{
	char data[256];
	char log[256];
	const char *words[] = { bus_nng_broker_program(),
				"broker",
				"--data",
				data,
				"--listen",
				self->url,
				"--broker-token-file",
				self->token_file != NULL ? self->token_file : "",
				"--broker-tls-file",
				self->tls_file != NULL ? self->tls_file : "" };
	char *arguments[sizeof(words) / sizeof(words[0]) + 1] = { 0 };

	snprintf(data, sizeof(data), "%s/data", self->folder);
	snprintf(log, sizeof(log), "%s/broker.log", self->folder);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		arguments[i] = (char *)(uintptr_t)words[i];
	}
	self->process = fork();
	if (self->process == 0) {
		int output = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

		dup2(output, 1);
		dup2(output, 2);
		execv(arguments[0], arguments);
		dprintf(2, "%s: %s\n", arguments[0], strerror(errno));
		_exit(127);
	}
}

bus_adapter *
bus_nng_broker_open(const bus_nng_broker *self, const char *properties,
		    int64_t session_ms, const bus_clock *clock)
{
	const bus_adapter_options options = {
		.url = self->url,
		.properties = properties,
		.client_id = "conformance",
		.session_ms = session_ms,
		.clock = clock != NULL ? clock : bus_clock_system(),
	};
	bus_adapter *adapter = NULL;

	BUS_SUITE_OK(bus_adapter_open(&options, &adapter, &err));
	return adapter;
}

/* True once it answers anything at all. */
static bool
bus_nng_broker_answers(const bus_nng_broker *self)
{
	const bus_adapter_options options = { .url = self->url,
					      .properties = self->properties,
					      .clock = bus_clock_system() };
	bus_adapter *adapter = NULL;
	bus_error err = BUS_ERROR_INIT;
	bus_status status = bus_adapter_open(&options, &adapter, &err);
	int64_t deadline = bus_suite_now() + BUS_SUITE_MS;
	int32_t count = 0;

	while (status != BUS_E_FATAL && bus_suite_now() < deadline &&
	       waitpid(self->process, NULL, WNOHANG) == 0) {
		bus_error_reset(&err);
		status = bus_adapter_partitions(adapter, "suite.none", 100, &count, &err);
	}
	bus_adapter_close(adapter);
	return status == BUS_E_FATAL;
}

bool
bus_nng_broker_start(bus_nng_broker *self)
{
	const char *temporary = getenv("TMPDIR");

	snprintf(self->folder, sizeof(self->folder), "%s/busline-broker-XXXXXX",
		 temporary != NULL ? temporary : "/tmp");
	if (mkdtemp(self->folder) == NULL) {
		return false;
	}
	snprintf(self->url, sizeof(self->url), "nng+%s://127.0.0.1:%d",
		 self->tls_file != NULL ? "tls+tcp" : "tcp", free_port());
	bus_nng_broker_launch(self);
	return bus_nng_broker_answers(self);
}

void
bus_nng_broker_signal(bus_nng_broker *self, int signal_number)
{
	kill(self->process, signal_number);
	waitpid(self->process, NULL, 0);
	self->process = 0;
}

bool
bus_nng_broker_again(bus_nng_broker *self)
{
	bus_nng_broker_launch(self);
	return bus_nng_broker_answers(self);
}

void
bus_nng_broker_remove(bus_nng_broker *self)
{
	char command[300];

	if (self->process > 0) {
		bus_nng_broker_signal(self, SIGKILL);
	}
	snprintf(command, sizeof(command), "rm -rf '%s'", self->folder);
	if (system(command) != 0) {
		fprintf(stderr, "%s is left\n", self->folder);
	}
}
