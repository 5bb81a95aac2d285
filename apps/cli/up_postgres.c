/*
 * up_postgres.c - a private PostgreSQL cluster: its programs, its making, its server
 *
 * DESIGN
 * The cluster is made beside its place and moved there when it is whole and on disk, so
 * that one that was killed while it was made is made again. The server listens on a unix
 * socket in its own directory and nowhere else. It is run as a child, not by pg_ctl: its
 * end is noticed at once.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/cli/up.h"
#include "core/embed.h"

#define DEBIAN_BIN "/usr/lib/postgresql/15/bin"
#define SOCKET_PORT "5432" /* only part of the socket's name: nothing listens on TCP */
#define STOP_MS 60000      /* it writes what is only in memory */
#define SWEEP_MS 10000

extern const bus_embedded bus_up_files[];

static const char *
busp_file(const char *name)
{
	const bus_embedded *row = bus_up_files;
	while (row->name != NULL && strcmp(row->name, name) != 0) {
		row++;
	}
	return row->data;
}

static const char *
busp_path(const bus_up *up, const char *directory, const char *name)
{
	return bus_arena_printf(up->cli->arena, "%s/%s", directory, name).data;
}

/* ---- the programs ---- */

static bool
busp_holds_programs(const char *directory)
{
	static const char *const names[] = { "initdb", "postgres", "psql" };
	char path[PATH_MAX];
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		if (access(path, X_OK) != 0) {
			return false;
		}
	}
	return true;
}

bus_exit
bus_up_postgres_find(bus_up *up)
{
	const char *given = bus_cli_text(up->cli, "pg-bin");
	if (given != NULL) {
		up->pg_bin = given;
		return busp_holds_programs(given) ?
			       BUS_EXIT_OK :
			       bus_cli_fail(BUS_EXIT_CONFIG, given, NULL,
					    "holds no initdb, postgres and psql");
	}
	const char *at = getenv("PATH");
	while (at != NULL && *at != '\0') {
		size_t len = strcspn(at, ":");
		const char *one =
			bus_arena_printf(up->cli->arena, "%.*s", (int)len, at).data;
		if (one[0] == '/' && busp_holds_programs(one)) {
			up->pg_bin = one;
			return BUS_EXIT_OK;
		}
		at += len + (at[len] == ':');
	}
	up->pg_bin = DEBIAN_BIN;
	return busp_holds_programs(DEBIAN_BIN) ?
		       BUS_EXIT_OK :
		       bus_cli_fail(BUS_EXIT_CONFIG, "PostgreSQL",
				    "install it (Debian 12: apt-get install "
				    "postgresql-15), or name its programs' directory "
				    "with --pg-bin",
				    "is neither in PATH nor in " DEBIAN_BIN);
}

/* ---- the making ---- */

static int
busp_remove_one(const char *path, const struct stat *about, int kind, struct FTW *walk)
{
	(void)about;
	(void)kind;
	(void)walk;
	return remove(path);
}

static bus_exit
busp_settings(const bus_up *up)
{
	static const char *const names[][2] = {
		{ "postgresql.conf", "up_postgresql.conf" },
		{ "pg_hba.conf", "up_pg_hba.conf" },
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *path = busp_path(up, up->data, names[i][0]);
		if (access(path, F_OK) != 0 &&
		    !bus_up_write(up, names[i][0], bus_str_from(busp_file(names[i][1])))) {
			return bus_cli_fail(BUS_EXIT_IO, path, NULL,
					    "cannot be written: %s", strerror(errno));
		}
	}
	return BUS_EXIT_OK;
}

static bus_exit
busp_initdb(bus_up *up, const char *fresh)
{
	const char *program = busp_path(up, up->pg_bin, "initdb");
	/* nothing is in it yet that could be lost: all is synced once, at the end */
	bus_up_command make = {
		.name = "initdb",
		.program = program,
		.words = { program, "--no-sync", "--pgdata", fresh, "--username=postgres",
			   "--auth=trust", "--data-checksums", "--encoding=UTF8",
			   "--locale=C.UTF-8", "--no-instructions" },
		.death_signal = SIGKILL,
	};
	bus_up_command sync = {
		.name = "initdb",
		.program = program,
		.words = { program, "--sync-only", "--pgdata", fresh },
		.death_signal = SIGKILL,
	};
	bus_exit code = bus_up_task(up, &make);
	if (code == BUS_EXIT_OK && up->stop_requests == 0) {
		code = bus_up_task(up, &sync);
	}
	return code;
}

bus_exit
bus_up_postgres_make(bus_up *up)
{
	const char *home = busp_path(up, up->data, "postgres");
	const char *data = busp_path(up, home, "data");
	const char *fresh = busp_path(up, home, "data.new");
	bus_exit code = busp_settings(up);
	if (code != BUS_EXIT_OK || access(data, F_OK) == 0) {
		return code;
	}
	if (nftw(fresh, busp_remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 &&
	    errno != ENOENT) {
		return bus_cli_fail(BUS_EXIT_IO, fresh, NULL, "cannot be removed: %s",
				    strerror(errno));
	}
	bus_cli_note(up->cli, "making a PostgreSQL cluster in %s", home);
	code = busp_initdb(up, fresh);
	if (code != BUS_EXIT_OK || up->stop_requests > 0) {
		return code;
	}
	int parent = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool moved = rename(fresh, data) == 0 && parent >= 0 && fsync(parent) == 0;
	int cause = errno;
	close(parent);
	return moved ? BUS_EXIT_OK :
		       bus_cli_fail(BUS_EXIT_IO, data, NULL, "cannot be put in place: %s",
				    strerror(cause));
}

/* ---- the server ---- */

/* Line 8 of postmaster.pid, as pg_ctl reads it. */
static bool
busp_ready(const bus_up *up)
{
	char path[PATH_MAX], text[512] = "";
	snprintf(path, sizeof(path), "%s/postgres/data/postmaster.pid", up->data);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0) {
		return false;
	}
	ssize_t got = read(file, text, sizeof(text) - 1);
	close(file);
	if (got <= 0 || strtol(text, NULL, 10) != up->postgres->pid) {
		return false;
	}
	const char *line = text;
	for (int i = 1; line != NULL && i < 8; i++) {
		line = strchr(line, '\n');
		line = line == NULL ? NULL : line + 1;
	}
	return line != NULL && strncmp(line, "ready", 5) == 0;
}

void
bus_up_postgres_row(bus_up *up, bus_up_process *row)
{
	const bus_cli *cli = up->cli;
	const char *home = busp_path(up, up->data, "postgres");
	const char *program = busp_path(up, up->pg_bin, "postgres");
	bus_str config =
		bus_arena_printf(cli->arena, "config_file=%s/postgresql.conf", up->data);
	bus_str hba = bus_arena_printf(cli->arena, "hba_file=%s/pg_hba.conf", up->data);
	*row = (bus_up_process){
		.command = { .name = "postgres",
			     .program = program,
			     .words = { program, "-D", busp_path(up, home, "data"), "-k",
					home, "-h", "", "-p", SOCKET_PORT, "-c",
					config.data, "-c", hba.data },
			     .death_signal = SIGINT },
		.stop_signal = SIGINT, /* fast: ends its sessions, writes a checkpoint */
		.stop_ms = STOP_MS,
		.prepare = bus_up_postgres_sweep,
		.ready = busp_ready,
	};
	static const char url[] = "postgresql://%s@/%s?host=%s&port=" SOCKET_PORT;
	up->db_url = bus_arena_printf(cli->arena, url, "platform", "busline", home).data;
	up->admin_url =
		bus_arena_printf(cli->arena, url, "postgres", "busline", home).data;
}

bus_exit
bus_up_postgres_script(bus_up *up, const char *name, const char *database)
{
	const char *home = busp_path(up, up->data, "postgres");
	const char *program = busp_path(up, up->pg_bin, "psql");
	bus_up_command command = {
		.name = "psql",
		.program = program,
		.words = { program, "-qX", "-v", "ON_ERROR_STOP=1", "-h", home, "-p",
			   SOCKET_PORT, "-U", "postgres", "-d", database, "-f", "-" },
		.input = busp_file(name),
		.death_signal = SIGKILL,
	};
	return bus_up_task(up, &command);
}

/* ---- what a dead server left ---- */

static bool
busp_link_is(pid_t pid, const char *link, const char *wanted, bool ending)
{
	char path[64], target[PATH_MAX];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, link);
	ssize_t len = readlink(path, target, sizeof(target) - 1);
	if (len <= 0) {
		return false;
	}
	target[len] = '\0';
	char *gone = strstr(target, " (deleted)"); /* an upgrade replaced it */
	if (gone != NULL) {
		*gone = '\0';
	}
	size_t skip = strlen(target) - strlen(wanted);
	return strlen(target) >= strlen(wanted) &&
	       strcmp(target + (ending ? skip : 0), wanted) == 0;
}

/* Kills every server process that works in the directory; how many there were. */
static int
busp_kill_in(const char *data)
{
	int count = 0;
	DIR *list = opendir("/proc");
	for (const struct dirent *entry;
	     list != NULL && (entry = readdir(list)) != NULL;) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (pid > 0 && busp_link_is(pid, "cwd", data, false) &&
		    busp_link_is(pid, "exe", "/postgres", true)) {
			kill(pid, SIGKILL);
			count++;
		}
	}
	if (list != NULL) {
		closedir(list);
	}
	return count;
}

void
bus_up_postgres_sweep(bus_up *up)
{
	char data[PATH_MAX], path[PATH_MAX];
	snprintf(data, sizeof(data), "%s/postgres/data", up->data);
	int64_t end = bus_clock_mono_ms(up->cli->clock) + SWEEP_MS;
	while (busp_kill_in(data) > 0 && bus_clock_mono_ms(up->cli->clock) < end) {
		bus_cli_pause(10);
	}
	/* Nobody works there, so the number in this file is a dead one's, and may be the
	 * number of any other process by now: PostgreSQL would refuse to start. */
	if (snprintf(path, sizeof(path), "%s/postmaster.pid", data) < (int)sizeof(path)) {
		unlink(path);
	}
}
