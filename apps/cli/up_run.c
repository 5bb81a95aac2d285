/*
 * up_run.c - the order of things: what starts after what, what stops before what
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "apps/cli/up.h"
#include "workers/workers.h"

enum { STAGE_POSTGRES, STAGE_BROKER, STAGE_RELAY, STAGE_WORKERS, STAGES };

#define READY_MS 60000 /* a server that recovers from kill -9 reads its log first */
#define BROKER_STOP_MS 30000
#define WORKER_STOP_MS 20000
#define ROUND_MS 1000

/* ---- the processes ---- */

/* Does somebody listen there? It was free before the broker was started. */
static bool
busp_broker_ready(const bus_up *up)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)up->port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ready = fd >= 0 &&
		     connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
	close(fd);
	return ready;
}

static void
busp_broker_row(bus_up *up, bus_up_process *row)
{
	*row = (bus_up_process){
		.command = { .name = "broker",
			     .words = { "busline", "broker", "--data",
					bus_arena_printf(up->cli->arena, "%s/broker",
							 up->data)
						.data,
					"--listen", up->broker_url },
			     .death_signal = SIGTERM },
		.stage = STAGE_BROKER,
		.stop_signal = SIGTERM,
		.stop_ms = BROKER_STOP_MS,
		.ready = busp_broker_ready,
	};
}

static void
busp_processes(bus_up *up)
{
	up->postgres = &up->processes[up->count++];
	bus_up_postgres_row(up, up->postgres);
	up->postgres->stage = STAGE_POSTGRES;
	if (up->own_broker) {
		up->broker = &up->processes[up->count++];
		busp_broker_row(up, up->broker);
	}
	for (const bus_role *role = bus_roles();
	     role->name != NULL && up->count < BUS_UP_PROCESSES_MAX; role++) {
		up->processes[up->count++] = (bus_up_process){
			.command = { .name = role->name,
				     .words = { "busline", "worker", role->name },
				     .death_signal = SIGTERM },
			.stage = role->worker != NULL ? STAGE_WORKERS : STAGE_RELAY,
			.stop_signal = SIGTERM,
			.stop_ms = WORKER_STOP_MS,
		};
	}
}

/* ---- start ---- */

static bus_exit
busp_await(bus_up *up, const bus_up_process *process)
{
	int64_t end = bus_clock_mono_ms(up->cli->clock) + READY_MS;
	while (process->state == BUS_UP_STARTING && up->stop_requests == 0) {
		if (bus_clock_mono_ms(up->cli->clock) >= end) {
			break;
		}
		bus_up_turn(up, ROUND_MS);
	}
	if (process->state == BUS_UP_RUNNING || up->stop_requests > 0) {
		return BUS_EXIT_OK;
	}
	bus_up_tail(up, process->command.name);
	return bus_cli_fail(BUS_EXIT_UNAVAILABLE, process->command.name, NULL,
			    "does not start (%s); its log is %s/log/%s.log",
			    process->state == BUS_UP_STARTING ? "no answer" :
								process->detail,
			    up->data, process->command.name);
}

/* A command of this binary, run to its end. */
static bus_exit
busp_own_task(bus_up *up, const char *name, const char *db_url, const char *second,
	      const char *third)
{
	bus_up_command command = { .name = name,
				   .words = { "busline", second, third },
				   .db_url = db_url,
				   .death_signal = SIGKILL };
	return bus_up_task(up, &command);
}

static bus_exit
busp_prepare(bus_up *up)
{
	bus_exit code = bus_up_postgres_script(up, "up_database.sql", "postgres");
	if (code == BUS_EXIT_OK && up->stop_requests == 0) {
		code = busp_own_task(up, "migrate", up->admin_url, "migrate", NULL);
	}
	if (code == BUS_EXIT_OK && up->stop_requests == 0) {
		code = bus_up_postgres_script(up, "up_logins.sql", "busline");
	}
	if (code == BUS_EXIT_OK && up->stop_requests == 0 &&
	    strcmp(up->known_url, up->broker_url) != 0) {
		code = bus_up_postgres_script(up, "up_port.sql", "busline");
		up->known_url = code == BUS_EXIT_OK ? up->broker_url : up->known_url;
	}
	if (code == BUS_EXIT_OK && up->stop_requests == 0 && up->broker != NULL) {
		code = busp_await(up, up->broker);
	}
	if (code == BUS_EXIT_OK && up->stop_requests == 0) {
		code = busp_own_task(up, "topics", up->db_url, "topic", "ensure");
	}
	return code;
}

static bus_exit
busp_start(bus_up *up)
{
	if (up->broker != NULL) {
		bus_up_launch(up, up->broker);
	}
	bus_exit code = bus_up_postgres_make(up);
	if (code != BUS_EXIT_OK || up->stop_requests > 0) {
		return code;
	}
	bus_up_launch(up, up->postgres);
	code = busp_await(up, up->postgres);
	if (code == BUS_EXIT_OK && up->stop_requests == 0) {
		code = busp_prepare(up);
	}
	for (size_t i = 0; i < up->count && code == BUS_EXIT_OK && up->stop_requests == 0;
	     i++) {
		if (up->processes[i].stage >= STAGE_RELAY) {
			bus_up_launch(up, &up->processes[i]);
		}
	}
	return code;
}

/* ---- ready ---- */

static bus_exit
busp_write_env(const bus_up *up)
{
	BUS_BUF_AUTO out = { 0 };
	bus_buf_printf(&out,
		       "export BUSLINE_BROKER_URL='%s'\nexport BUSLINE_DB_URL='%s'\n",
		       up->broker_url, up->db_url);
	return bus_up_write(up, "env", bus_buf_view(&out)) ?
		       BUS_EXIT_OK :
		       bus_cli_fail(BUS_EXIT_IO, up->data, NULL,
				    "env cannot be written: %s", strerror(errno));
}

static void
busp_say_ready(const bus_up *up)
{
	int64_t took = bus_clock_mono_ms(up->cli->clock) - up->begun_mono;
	bool stays = up->ready_fd >= 0;
	bus_cli_note(up->cli, "ready after %lld.%lld s", (long long)(took / 1000),
		     (long long)(took / 100 % 10));
	bus_cli_note(up->cli, "to talk to it: . %s/env", up->data);
	bus_cli_note(up->cli, "logs: %s/log", up->data);
	if (stays) {
		bus_cli_note(up->cli, "to stop it: busline up --stop --data %s", up->data);
	} else {
		bus_cli_note(up->cli, "to stop it: Ctrl-C");
	}
}

/* From here on alone: who waited for the start is told that it went well. */
static void
busp_detach(bus_up *up)
{
	const char *path =
		bus_arena_printf(up->cli->arena, "%s/log/up.log", up->data).data;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int log =
		open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
	fflush(NULL);
	setsid();
	if (null >= 0 && log >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(log, STDOUT_FILENO);
		dup2(log, STDERR_FILENO);
	}
	close(null);
	close(log);
	if (write(up->ready_fd, "", 1) == 1) {
		close(up->ready_fd);
	}
	up->ready_fd = -1;
}

/* ---- the whole ---- */

static bool
busp_catch(bus_up *up)
{
	sigset_t wanted;
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGHUP);
	sigaddset(&wanted, SIGCHLD);
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigaction(SIGPIPE, &ignore, NULL); /* who reads its lines may go away */
	/* what a dead server left comes to this process, which collects it */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	up->signals = signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
	return up->signals >= 0 && sigprocmask(SIG_BLOCK, &wanted, NULL) == 0;
}

static void
busp_stop(bus_up *up)
{
	up->stopping = true;
	for (int stage = STAGES - 1; stage >= 0; stage--) {
		bus_up_stop_stage(up, stage);
	}
	bus_up_postgres_sweep(up);
	bus_cli_print_end(&up->printer);
}

bus_exit
bus_up_run(bus_up *up)
{
	if (!busp_catch(up)) {
		return bus_cli_fail(BUS_EXIT_SOFTWARE, "up", NULL, "signals: %s",
				    strerror(errno));
	}
	busp_processes(up);
	bus_up_environment(up);
	bus_exit code = busp_start(up);
	if (code == BUS_EXIT_OK && up->stop_requests == 0) {
		code = busp_write_env(up);
	}
	if (code == BUS_EXIT_OK && up->stop_requests == 0) {
		busp_say_ready(up);
		if (up->ready_fd >= 0) {
			busp_detach(up);
		}
		while (up->stop_requests == 0) {
			bus_up_turn(up, ROUND_MS);
		}
	} else if (code == BUS_EXIT_OK) {
		code = BUS_EXIT_INTERRUPT;
	}
	busp_stop(up);
	close(up->signals);
	return code;
}
