/*
 * up_process.c - children: started, watched, started again, stopped
 *
 * DESIGN
 * What ended by itself is started again after a pause that doubles from 0.1 s to 10 s, with
 * jitter, and begins anew after ten seconds of life. What ended within five seconds of its
 * start five times in a row is reported and from then on started twice a minute.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/cli/up.h"

#define SELF "/proc/self/exe"
#define PAUSE_FIRST_MS 100
#define PAUSE_MAX_MS 10000
#define PAUSE_FAILING_MS 30000
#define QUICK_MS 5000   /* lived less: it failed at its start */
#define STEADY_MS 10000 /* lived longer: whatever was, is over */
#define FAILURES_MAX 5
#define PROBE_MS 20 /* between two looks whether a process answers */
#define KILLED_MS 5000
/* A log that has grown past this is put aside when its process is started. */
#define LOG_BYTES_MAX (16 * 1024 * 1024)
#define TAIL_BYTES 2048

/* ---- starting ---- */

static int
busp_open_log(const bus_up *up, const char *name)
{
	char path[PATH_MAX], old[PATH_MAX];
	struct stat about;
	snprintf(path, sizeof(path), "%s/log/%s.log", up->data, name);
	snprintf(old, sizeof(old), "%s/log/%s.log.1", up->data, name);
	if (stat(path, &about) == 0 && about.st_size > LOG_BYTES_MAX) {
		rename(path, old);
	}
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
}

/* A file that is nowhere, holding text; or nothing to read. */
static int
busp_open_input(const char *text)
{
	if (text == NULL) {
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	int file = memfd_create("input", MFD_CLOEXEC);
	ssize_t len = (ssize_t)strlen(text);
	if (file >= 0 &&
	    (write(file, text, (size_t)len) != len || lseek(file, 0, SEEK_SET) != 0)) {
		close(file);
		return -1;
	}
	return file;
}

bool
bus_up_drop(const bus_up *up)
{
	return !up->drop ||
	       (setgroups(0, NULL) == 0 && setresgid(up->gid, up->gid, up->gid) == 0 &&
		setresuid(up->uid, up->uid, up->uid) == 0 && chdir("/") == 0);
}

static char **
busp_environment(const bus_up *up, const char *db_url)
{
	size_t count = 0;
	while (up->environment[count] != NULL) {
		count++;
	}
	char **all = calloc(count + 2, sizeof(*all));
	if (all == NULL || asprintf(&all[count], "BUSLINE_DB_URL=%s", db_url) < 0) {
		return NULL;
	}
	memcpy(all, up->environment, count * sizeof(*all));
	return all;
}

/* In the child: becomes the command, or ends with 127 and says why in its log. */
static _Noreturn void
busp_become(const bus_up *up, const bus_up_command *command, pid_t parent, int input,
	    int log)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	umask(077);
	/* a session of its own: Ctrl-C of the terminal is for the parent alone */
	setsid();
	const char *what = "user";
	if (dup2(input, STDIN_FILENO) >= 0 && dup2(log, STDOUT_FILENO) >= 0 &&
	    dup2(log, STDERR_FILENO) >= 0 && bus_up_drop(up)) {
		/* after the change of user, which would undo it */
		prctl(PR_SET_PDEATHSIG, command->death_signal);
		if (getppid() != parent) {
			_exit(EXIT_FAILURE); /* it died before it could be heard */
		}
		const char *words[BUS_UP_WORDS_MAX + 1] = { NULL };
		memcpy(words, command->words, sizeof(command->words));
		char **environment =
			busp_environment(up, command->db_url != NULL ? command->db_url :
								       up->db_url);
		what = command->program != NULL ? command->program : SELF;
		close_range(STDERR_FILENO + 1, UINT_MAX, 0);
		if (environment != NULL) {
			execve(what, (char *const *)words, environment);
		}
	}
	dprintf(STDERR_FILENO, "busline up: %s: %s\n", what, strerror(errno));
	_exit(127);
}

pid_t
bus_up_spawn(bus_up *up, const bus_up_command *command)
{
	pid_t parent = getpid();
	int input = busp_open_input(command->input);
	int log = busp_open_log(up, command->name);
	pid_t pid = input < 0 || log < 0 ? -1 : fork();
	if (pid == 0) {
		busp_become(up, command, parent, input, log);
	}
	int cause = errno;
	close(input);
	close(log);
	errno = cause;
	return pid;
}

uint64_t
bus_up_start_ticks(pid_t pid)
{
	char path[64], text[1024] = "";
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0) {
		return 0;
	}
	ssize_t got = read(file, text, sizeof(text) - 1);
	close(file);
	/* the name in parentheses may hold anything; field 3 follows it */
	char *at = got > 0 ? strrchr(text, ')') : NULL;
	for (int field = 2; at != NULL && field < 22; field++) {
		at = strchr(at + 1, ' ');
	}
	return at == NULL ? 0 : strtoull(at + 1, NULL, 10);
}

void
bus_up_set(bus_up *up, bus_up_process *process, bus_up_state state, const char *detail)
{
	process->state = state;
	process->since_us = bus_clock_wall_us(up->cli->clock);
	snprintf(process->detail, sizeof(process->detail), "%s", detail);
	bus_up_save(up);
	bus_up_show(up, process);
}

void
bus_up_launch(bus_up *up, bus_up_process *process)
{
	if (process->prepare != NULL) {
		process->prepare(up);
	}
	process->started_mono = bus_clock_mono_ms(up->cli->clock);
	process->pid = bus_up_spawn(up, &process->command);
	if (process->pid < 0) {
		process->pid = 0;
		process->again_mono = process->started_mono + PAUSE_MAX_MS;
		bus_up_set(up, process, BUS_UP_FAILING, strerror(errno));
		return;
	}
	process->start_ticks = bus_up_start_ticks(process->pid);
	bus_up_set(up, process, process->ready != NULL ? BUS_UP_STARTING : BUS_UP_RUNNING,
		   "");
}

/* ---- ends ---- */

static void
busp_end_text(int status, char *ret_text, size_t size)
{
	if (WIFSIGNALED(status)) {
		snprintf(ret_text, size, "killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	} else {
		snprintf(ret_text, size, "exit %d", WEXITSTATUS(status));
	}
}

/* Half of it or up to all of it: what broke together does not come back in step. */
static int64_t
busp_jitter(int64_t ms)
{
	uint32_t random = 0;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random)) {
		random = (uint32_t)getpid();
	}
	return ms / 2 + (int64_t)(random % (uint32_t)(ms / 2 + 1));
}

static void
busp_ended(bus_up *up, bus_up_process *process, int status)
{
	char how[64], detail[sizeof(process->detail)];
	int64_t now = bus_clock_mono_ms(up->cli->clock);
	int64_t lived = now - process->started_mono;
	busp_end_text(status, how, sizeof(how));
	process->pid = 0;
	if (up->stopping) {
		bus_up_set(up, process, BUS_UP_STOPPED, how);
		return;
	}
	process->failures = lived < QUICK_MS  ? process->failures + 1 :
			    lived < STEADY_MS ? process->failures :
						0;
	bool failing = process->failures >= FAILURES_MAX;
	int64_t pause = PAUSE_FAILING_MS;
	if (!failing) {
		unsigned doublings = process->failures > 0 ? process->failures - 1 : 0;
		pause = (int64_t)PAUSE_FIRST_MS << doublings;
		pause = pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
	}
	pause = busp_jitter(pause);
	process->again_mono = now + pause;
	process->restarts++;
	snprintf(detail, sizeof(detail), "%s after %.1f s, again in %.1f s", how,
		 (double)lived / 1000, (double)pause / 1000);
	bus_up_set(up, process, failing ? BUS_UP_FAILING : BUS_UP_ENDED, detail);
	if (process->failures == FAILURES_MAX) {
		bus_cli_note(up->cli,
			     "%s ended %d times right after its start; its log is "
			     "%s/log/%s.log",
			     process->command.name, FAILURES_MAX, up->data,
			     process->command.name);
		bus_up_tail(up, process->command.name);
	}
}

static void
busp_reap(bus_up *up)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == up->task) {
			up->task = 0;
			up->task_status = status;
		}
		for (size_t i = 0; i < up->count; i++) {
			if (up->processes[i].pid == pid) {
				busp_ended(up, &up->processes[i], status);
			}
		}
	}
}

/* ---- the loop ---- */

static bool
busp_probe(bus_up *up)
{
	bool waiting = false;
	for (size_t i = 0; i < up->count; i++) {
		bus_up_process *process = &up->processes[i];
		if (process->state == BUS_UP_STARTING && process->ready(up)) {
			bus_up_set(up, process, BUS_UP_RUNNING, "");
		}
		waiting = waiting || process->state == BUS_UP_STARTING;
	}
	return waiting;
}

/* Starts what is due; the time until the next. */
static int64_t
busp_start_due(bus_up *up, int64_t ms)
{
	int64_t now = bus_clock_mono_ms(up->cli->clock);
	for (size_t i = 0; i < up->count && !up->stopping; i++) {
		bus_up_process *process = &up->processes[i];
		if (process->state != BUS_UP_ENDED && process->state != BUS_UP_FAILING) {
			continue;
		}
		if (process->again_mono <= now) {
			bus_up_launch(up, process);
		} else if (process->again_mono - now < ms) {
			ms = process->again_mono - now;
		}
	}
	return ms;
}

void
bus_up_turn(bus_up *up, int64_t ms)
{
	struct signalfd_siginfo signal;
	struct pollfd wait = { .fd = up->signals, .events = POLLIN };
	ms = busp_start_due(up, ms);
	if (busp_probe(up) && ms > PROBE_MS) {
		ms = PROBE_MS;
	}
	poll(&wait, 1, (int)ms);
	while (read(up->signals, &signal, sizeof(signal)) == sizeof(signal)) {
		up->stop_requests += signal.ssi_signo != SIGCHLD;
	}
	busp_reap(up);
}

bus_exit
bus_up_task(bus_up *up, const bus_up_command *command)
{
	char how[64];
	up->task_status = 0;
	up->task = bus_up_spawn(up, command);
	if (up->task < 0) {
		up->task = 0;
		return bus_cli_fail(BUS_EXIT_SOFTWARE, command->name, NULL,
				    "cannot be started: %s", strerror(errno));
	}
	while (up->task != 0) {
		bus_up_turn(up, 1000);
		if (up->stop_requests > 0 && up->task != 0) {
			kill(up->task, up->stop_requests > 1 ? SIGKILL : SIGTERM);
		}
	}
	if (up->task_status == 0 || up->stop_requests > 0) {
		return BUS_EXIT_OK;
	}
	bus_up_tail(up, command->name);
	busp_end_text(up->task_status, how, sizeof(how));
	return bus_cli_fail(BUS_EXIT_UNAVAILABLE, command->name, NULL,
			    "failed (%s); its log is %s/log/%s.log", how, up->data,
			    command->name);
}

/* ---- stopping ---- */

static bool
busp_stage_lives(const bus_up *up, int stage)
{
	for (size_t i = 0; i < up->count; i++) {
		if (up->processes[i].stage == stage && up->processes[i].pid != 0) {
			return true;
		}
	}
	return false;
}

/* PostgreSQL: SIGQUIT, so that its own children hear of it. */
static void
busp_force(bus_up *up, bus_up_process *process, int64_t late_ms)
{
	bool quit = process == up->postgres && late_ms < KILLED_MS;
	kill(process->pid, quit ? SIGQUIT : SIGKILL);
}

void
bus_up_stop_stage(bus_up *up, int stage)
{
	int64_t begun = bus_clock_mono_ms(up->cli->clock);
	for (size_t i = 0; i < up->count; i++) {
		bus_up_process *process = &up->processes[i];
		if (process->stage != stage) {
			continue;
		}
		if (process->pid != 0) {
			bus_up_set(up, process, BUS_UP_STOPPING, "");
			kill(process->pid, process->stop_signal);
		} else if (process->state != BUS_UP_WAITING) {
			bus_up_set(up, process, BUS_UP_STOPPED, process->detail);
		}
	}
	int64_t asked = 0;
	while (busp_stage_lives(up, stage)) {
		bus_up_turn(up, 1000);
		int64_t now = bus_clock_mono_ms(up->cli->clock);
		asked = up->stop_requests > 1 && asked == 0 ? now : asked;
		for (size_t i = 0; i < up->count; i++) {
			bus_up_process *process = &up->processes[i];
			int64_t end = asked != 0 ? asked : begun + process->stop_ms;
			if (process->stage == stage && process->pid != 0 && now >= end) {
				busp_force(up, process, now - end);
			}
		}
	}
}

void
bus_up_tail(const bus_up *up, const char *name)
{
	char path[PATH_MAX], text[TAIL_BYTES + 1];
	snprintf(path, sizeof(path), "%s/log/%s.log", up->data, name);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0) {
		return;
	}
	off_t end = lseek(file, 0, SEEK_END);
	ssize_t got =
		pread(file, text, TAIL_BYTES, end > TAIL_BYTES ? end - TAIL_BYTES : 0);
	close(file);
	if (got <= 0) {
		return;
	}
	text[got] = '\0';
	const char *begin = text;
	int lines = 0;
	for (const char *at = text + got - 1; at > text && lines < 5; at--) {
		if (at[-1] == '\n') {
			begin = at;
			lines++;
		}
	}
	fflush(stdout);
	fprintf(stderr, "--- the end of %s\n%s", path, begin);
}
