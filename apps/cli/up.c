/*
 * up.c - up: the whole platform on one machine, in the foreground, staying, stopped, shown
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/cli/commands.h"
#include "apps/cli/up.h"

#define LINE_BYTES (16u * 1024u)
#define STOP_MS 180000 /* all stages one after the other, each at its longest */

/* ---- run ---- */

static bus_exit
busp_up(const bus_cli *cli, const char *data, int ready_fd)
{
	bus_up up = { .cli = cli,
		      .data = data,
		      .lock = -1,
		      .ready_fd = ready_fd,
		      .printer = { .cli = cli },
		      .begun_mono = bus_clock_mono_ms(cli->clock),
		      .begun_us = bus_clock_wall_us(cli->clock),
		      .line = bus_arena_create(LINE_BYTES) };
	bus_exit code = bus_up_postgres_find(&up);
	if (code == BUS_EXIT_OK) {
		code = bus_up_take(&up);
	}
	if (code == BUS_EXIT_OK) {
		code = bus_up_become(&up);
	}
	if (code == BUS_EXIT_OK) {
		code = bus_up_address(&up);
	}
	if (code == BUS_EXIT_OK) {
		code = bus_up_run(&up);
	}
	if (up.lock >= 0) {
		close(up.lock);
	}
	bus_arena_destroy(up.line);
	return code;
}

/* ---- --stay ---- */

/* The child is the platform; this process waits until it is up, or for its exit code. */
static bus_exit
busp_stay(const bus_cli *cli, const char *data)
{
	int ends[2];
	char byte;
	int status;
	if (pipe2(ends, O_CLOEXEC) != 0) {
		return bus_cli_fail(BUS_EXIT_SOFTWARE, "up", NULL, "%s", strerror(errno));
	}
	pid_t pid = fork();
	if (pid < 0) {
		return bus_cli_fail(BUS_EXIT_SOFTWARE, "up", NULL, "%s", strerror(errno));
	}
	if (pid == 0) {
		close(ends[0]);
		return busp_up(cli, data, ends[1]);
	}
	close(ends[1]);
	ssize_t got;
	do {
		got = read(ends[0], &byte, 1);
	} while (got < 0 && errno == EINTR);
	close(ends[0]);
	if (got == 1) {
		return BUS_EXIT_OK;
	}
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status)) {
		return (bus_exit)WEXITSTATUS(status);
	}
	return bus_cli_fail(BUS_EXIT_SOFTWARE, "up", NULL, "was killed while it started");
}

/* ---- --stop ---- */

static bool
busp_wait_end(const bus_cli *cli, const char *data)
{
	pid_t holder;
	int64_t end = bus_clock_mono_ms(cli->clock) + STOP_MS;
	while (bus_up_holder(data, &holder) == 1) {
		if (bus_clock_mono_ms(cli->clock) >= end) {
			return false;
		}
		bus_cli_pause(20);
	}
	return true;
}

/* One that was killed leaves processes that end by themselves, or do not. */
static bus_exit
busp_clean(const bus_cli *cli, const char *data)
{
	const char *url;
	bus_up up = { .cli = cli, .data = data, .lock = -1 };
	bus_exit code = bus_up_take(&up);
	if (code == BUS_EXIT_OK) {
		bus_up_adopt(&up, &url);
		bus_up_postgres_sweep(&up);
	}
	if (up.lock >= 0) {
		close(up.lock);
	}
	return code;
}

static bus_exit
busp_stop(const bus_cli *cli, const char *data)
{
	pid_t pid;
	int held = bus_up_holder(data, &pid);
	if (held != 1) {
		bus_cli_note(cli, "nothing is up in %s", data);
		return held == 0 ? busp_clean(cli, data) : BUS_EXIT_OK;
	}
	/* the number is looked up again once it is held: then it is that process for sure */
	pid_t again = 0;
	int process = pid > 0 ? pidfd_open(pid, 0) : -1;
	bool same = process >= 0 && bus_up_holder(data, &again) == 1 && again == pid;
	int sent = same ? pidfd_send_signal(process, SIGTERM, NULL, 0) : -1;
	int cause = errno;
	if (process >= 0) {
		close(process);
	}
	if (same && sent != 0 && cause == EPERM) {
		return bus_cli_fail(BUS_EXIT_PERMISSION, data, NULL,
				    "process %d is another user's", (int)pid);
	}
	return busp_wait_end(cli, data) ?
		       BUS_EXIT_OK :
		       bus_cli_fail(BUS_EXIT_TIMEOUT, data, NULL,
				    "process %d was told to end and has not", (int)pid);
}

/* ---- the command ---- */

static bus_exit
busp_up_run(bus_cli *cli)
{
	const char *data;
	bool stay = bus_cli_given(cli, "stay");
	bool stop = bus_cli_given(cli, "stop");
	bool status = bus_cli_given(cli, "status");
	if (stay + stop + status > 1) {
		return bus_cli_fail(BUS_EXIT_USAGE, "up", NULL,
				    "--stay, --stop and --status exclude each other");
	}
	for (int i = 0; i < BUS_CONF_COUNT; i++) {
		bus_config_key key = (bus_config_key)i;
		const char *where;
		if (bus_up_refuses(key) &&
		    bus_config_origin_of(cli->config, key, &where) == BUS_ORIGIN_FLAG) {
			return bus_cli_fail(BUS_EXIT_USAGE, where,
					    "`busline broker` and `busline worker` take it",
					    "up has servers of its own");
		}
	}
	bus_exit code = bus_up_data(cli, &data);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	return status ? bus_up_status(cli, data) :
	       stop   ? busp_stop(cli, data) :
	       stay   ? busp_stay(cli, data) :
			busp_up(cli, data, -1);
}

static const bus_cli_option up_options[] = {
	{ "data", .kind = BUS_CLI_TEXT, .argument = "DIR", .values = "@files",
	  .help = "Where everything lies; else /var/lib/busline for root, "
		  "~/.local/share/busline for others" },
	{ "stay", .kind = BUS_CLI_FLAG,
	  .help = "Return when everything is ready, and leave it running" },
	{ "stop", .kind = BUS_CLI_FLAG, .help = "End what runs on DIR, in order" },
	{ "status", .kind = BUS_CLI_FLAG,
	  .help = "What runs on DIR, one line per process" },
	{ "port", .kind = BUS_CLI_INT, .argument = "N",
	  .help = "Port of the broker on 127.0.0.1; 0: a free one. Else that of the last "
		  "start, at first 7440" },
	{ "pg-bin", .kind = BUS_CLI_TEXT, .argument = "DIR", .values = "@files",
	  .help = "Programs of PostgreSQL; else found in PATH or "
		  "/usr/lib/postgresql/15/bin" },
	{ 0 },
};

static const bus_exit_row up_exits[] = {
	{ BUS_EXIT_OK, "it was told to end and has ended; with --stay: it is ready" },
	{ BUS_EXIT_FAILED, "DIR is in use; with --status: nothing is up" },
	{ BUS_EXIT_UNAVAILABLE, "a process does not start, its port is taken" },
	{ BUS_EXIT_INTERRUPT, "it was told to end before it was ready" },
	{ 0, NULL },
};

const bus_cli_command bus_command_up = {
	.name = "up",
	.group = BUS_GROUP_RUN,
	.summary = "Run the whole platform on this machine, without any configuration",
	.text = "A PostgreSQL cluster and a broker of its own, all workers and the relay, made "
		"ready on first use and watched: what ends is started again. Prints a line for "
		"each change of a process. Ctrl-C or SIGTERM stops everything in order (workers, clock "
		"and relay, broker, PostgreSQL); a second one does not wait. DIR/env holds the "
		"settings for your shell, DIR/log a log per process. Settings given here "
		"(--log-level, --topic-partitions, ...) go to all processes. With --broker-url "
		"that broker is used, and none is started. Started as root, all processes run as "
		"user postgres.",
	.options = up_options,
	.examples =
		(const char *const[]){
			"busline up", "busline up --data ./platform --stay",
			"busline up --data ./platform --status -o json",
			"busline up --data ./platform --stop",
			"busline up --broker-url kafka://127.0.0.1:9092", NULL },
	.exits = up_exits,
	.run = busp_up_run,
};
