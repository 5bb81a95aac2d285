/*
 * up_place.c - where the platform lives: directory, lock, user, address, environment
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/cli/up.h"
#include "broker-adapters/broker.h"

/* 5 s: a child that is about to die needs a busy machine's while for it. */
#define LOCK_TRIES 250
#define LOCK_AGAIN_MS 20
#define LOCK_FILE "up.lock"
#define USER "postgres"
/* "/postgres/.s.PGSQL.5432" and its NUL must fit behind the directory into sun_path. */
#define DATA_BYTES_MAX (108 - sizeof("/postgres/.s.PGSQL.5432"))
/* Free ports are looked for below the range from which the kernel serves clients, so that
 * a broker that is away for a moment finds its port free when it comes back. */
#define PORT_LEAST 20000
#define PORT_COUNT 12000

/* ---- the directory ---- */

static const char *
busp_default_data(const bus_cli *cli)
{
	const char *base = getenv("XDG_DATA_HOME");
	const char *home = getenv("HOME");
	if (geteuid() == 0) {
		return "/var/lib/busline";
	}
	if (base != NULL && base[0] == '/') {
		return bus_arena_printf(cli->arena, "%s/busline", base).data;
	}
	return home == NULL ?
		       NULL :
		       bus_arena_printf(cli->arena, "%s/.local/share/busline", home).data;
}

bus_exit
bus_up_data(const bus_cli *cli, const char **ret_data)
{
	char real[PATH_MAX];
	const char *given = bus_cli_text(cli, "data");
	const char *path = given != NULL ? given : busp_default_data(cli);
	if (path == NULL || *path == '\0') {
		return bus_cli_fail(BUS_EXIT_USAGE, "up", NULL,
				    "give --data DIR: there is no home directory");
	}
	if (realpath(path, real) != NULL) {
		path = bus_arena_printf(cli->arena, "%s", real).data;
	} else if (*path != '/' && getcwd(real, sizeof(real)) != NULL) {
		path = bus_arena_printf(cli->arena, "%s/%s", real, path).data;
	}
	*ret_data = path;
	return BUS_EXIT_OK;
}

static bool
busp_make_parents(const char *path)
{
	char part[PATH_MAX];
	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part)) {
		errno = ENAMETOOLONG;
		return false;
	}
	for (char *slash = strchr(part + 1, '/');; slash = strchr(slash + 1, '/')) {
		if (slash != NULL) {
			*slash = '\0';
		}
		if (mkdir(part, 0755) != 0 && errno != EEXIST) {
			return false;
		}
		if (slash == NULL) {
			return true;
		}
		*slash = '/';
	}
}

/* Empty, or one that was taken before. */
static bool
busp_is_ours(int directory)
{
	int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	bool ours = list != NULL;
	if (list != NULL) {
		for (const struct dirent *entry; (entry = readdir(list)) != NULL;) {
			if (strcmp(entry->d_name, LOCK_FILE) == 0) {
				ours = true;
				break;
			}
			ours = ours && (strcmp(entry->d_name, ".") == 0 ||
					strcmp(entry->d_name, "..") == 0 ||
					strcmp(entry->d_name, "lost+found") == 0);
		}
		closedir(list);
	}
	return ours;
}

static bus_exit
busp_open(bus_up *up)
{
	char real[PATH_MAX];
	if (!busp_make_parents(up->data) || realpath(up->data, real) == NULL) {
		return bus_cli_fail(BUS_EXIT_NO_INPUT, up->data, NULL,
				    "cannot be made: %s", strerror(errno));
	}
	up->data = bus_arena_printf(up->cli->arena, "%s", real).data;
	if (strlen(up->data) > DATA_BYTES_MAX) {
		return bus_cli_fail(BUS_EXIT_USAGE, up->data,
				    "give --data a shorter path, or a link's target",
				    "PostgreSQL's socket lies in it, and the path of a "
				    "socket has at most 107 bytes");
	}
	int directory = open(up->data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0 || !busp_is_ours(directory)) {
		int cause = directory < 0 ? errno : 0;
		close(directory);
		return bus_cli_fail(BUS_EXIT_NO_INPUT, up->data,
				    cause == 0 ? "give --data an empty directory" : NULL,
				    "%s",
				    cause == 0 ? "holds other things" : strerror(cause));
	}
	up->lock = openat(directory, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
			  0644);
	int cause = errno;
	close(directory);
	return up->lock >= 0 ? BUS_EXIT_OK :
			       bus_cli_fail(BUS_EXIT_PERMISSION, up->data, NULL,
					    "%s cannot be opened: %s", LOCK_FILE,
					    strerror(cause));
}

static pid_t
busp_read_pid(int lock)
{
	char text[32] = "";
	ssize_t got = pread(lock, text, sizeof(text) - 1, 0);
	return got > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

/*
 * False: another `up` has it. One that was killed in the middle of a fork leaves the lock to its
 * child for a moment, until that one dies with it or becomes another program.
 */
static bool
busp_lock(int lock)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	for (int tries = 0; fcntl(lock, F_OFD_SETLK, &whole) != 0; tries++) {
		pid_t holder = busp_read_pid(lock);
		bool lives = holder > 0 && (kill(holder, 0) == 0 || errno != ESRCH);
		if (lives || tries == LOCK_TRIES) {
			return false;
		}
		(void)poll(NULL, 0, LOCK_AGAIN_MS);
	}
	return true;
}

bus_exit
bus_up_take(bus_up *up)
{
	char text[32];
	bus_exit code = busp_open(up);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	if (!busp_lock(up->lock)) {
		bus_str advice = bus_arena_printf(
			up->cli->arena,
			"`busline up --status --data %s` shows it, --stop ends it",
			up->data);
		return bus_cli_fail(BUS_EXIT_FAILED, up->data, advice.data,
				    "is up already, as process %d",
				    (int)busp_read_pid(up->lock));
	}
	int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(up->lock, 0) != 0 || pwrite(up->lock, text, (size_t)len, 0) != len) {
		return bus_cli_fail(BUS_EXIT_IO, up->data, NULL,
				    "%s cannot be written: %s", LOCK_FILE,
				    strerror(errno));
	}
	return BUS_EXIT_OK;
}

int
bus_up_holder(const char *data, pid_t *ret_pid)
{
	char path[PATH_MAX];
	struct flock whole = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	snprintf(path, sizeof(path), "%s/%s", data, LOCK_FILE);
	int lock = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (lock < 0) {
		return -1;
	}
	bool held = fcntl(lock, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
	*ret_pid = held ? busp_read_pid(lock) : 0;
	close(lock);
	return held;
}

bool
bus_up_write(const bus_up *up, const char *name, bus_str text)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", up->data, name);
	snprintf(fresh, sizeof(fresh), "%s/%s.new", up->data, name);
	int file =
		open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (file < 0) {
		return false;
	}
	bool whole = write(file, text.data, text.len) == (ssize_t)text.len;
	int cause = errno;
	close(file);
	errno = cause;
	return whole && rename(fresh, path) == 0;
}

/* ---- the user ---- */

/* Can the children's user go there? Asked as that user. */
static bool
busp_reaches(const bus_up *up, const char *path)
{
	int status = -1;
	pid_t pid = fork();
	if (pid == 0) {
		bool same = bus_up_drop(up);
		_exit(same && chdir(path) == 0 ? 0 : 1);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bus_exit
busp_folder(const bus_up *up, const char *name, mode_t mode, bool theirs)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", up->data, name);
	if ((mkdir(path, mode) != 0 && errno != EEXIST) ||
	    (theirs && up->drop && lchown(path, up->uid, up->gid) != 0)) {
		return bus_cli_fail(BUS_EXIT_PERMISSION, path, NULL, "cannot be made: %s",
				    strerror(errno));
	}
	if (theirs && up->drop && !busp_reaches(up, path)) {
		return bus_cli_fail(BUS_EXIT_PERMISSION, up->data,
				    "give --data a directory that user can reach",
				    "user " USER " cannot go there, and PostgreSQL does "
				    "not run as root");
	}
	return BUS_EXIT_OK;
}

bus_exit
bus_up_become(bus_up *up)
{
	up->uid = geteuid();
	up->gid = getegid();
	up->drop = up->uid == 0;
	if (up->drop) {
		const struct passwd *user = getpwnam(USER);
		if (user == NULL) {
			return bus_cli_fail(BUS_EXIT_CONFIG, "up",
					    "make it, or start as another user",
					    "PostgreSQL does not run as root, and there "
					    "is no user " USER);
		}
		up->uid = user->pw_uid;
		up->gid = user->pw_gid;
	}
	bus_exit code = busp_folder(up, "log", 0750, false);
	if (code == BUS_EXIT_OK) {
		code = busp_folder(up, "postgres", 0700, true);
	}
	return code;
}

/* ---- the address ---- */

/* 0, or why nobody can listen there. */
static int
busp_port_taken(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return errno;
	}
	/* as servers do it: connections of an earlier one that linger are no hindrance */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	int cause = bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
				    listen(fd, 1) == 0 ?
			    0 :
			    errno;
	close(fd);
	return cause;
}

static int
busp_free_port(const bus_up *up)
{
	/* begins anywhere, so that two that start at once seldom meet */
	unsigned first = (unsigned)bus_clock_wall_us(up->cli->clock) / 10 +
			 (unsigned)getpid() * 97;
	for (unsigned i = 0; i < PORT_COUNT; i++) {
		int port = PORT_LEAST + (int)((first + i) % PORT_COUNT);
		if (busp_port_taken(port) == 0) {
			return port;
		}
	}
	return 0;
}

/* The port of an URL that an earlier start wrote, 0 if it had none. */
static int
busp_port_of(const char *url)
{
	const char *colon = url == NULL ? NULL : strrchr(url, ':');
	return colon == NULL ? 0 : (int)strtol(colon + 1, NULL, 10);
}

static bus_exit
busp_listen(bus_up *up, const char *before)
{
	bool given = bus_cli_given(up->cli, "port");
	int64_t wanted = given ? bus_cli_int(up->cli, "port") : busp_port_of(before);
	if (given && wanted > 65535) {
		return bus_cli_fail(BUS_EXIT_USAGE, "--port", NULL, "is at most 65535");
	}
	up->port = (int)wanted;
	if (given && wanted == 0) {
		up->port = busp_free_port(up);
	} else if (wanted == 0) {
		up->port = BUS_BROKER_PORT;
	}
	int cause = busp_port_taken(up->port);
	if (cause != 0) {
		return bus_cli_fail(BUS_EXIT_UNAVAILABLE, "up",
				    "`--port N` takes another, `--port 0` a free one",
				    "the broker cannot listen on port %d of 127.0.0.1: "
				    "%s",
				    up->port, strerror(cause));
	}
	up->own_broker = true;
	up->broker_url =
		bus_arena_printf(up->cli->arena, "nng+tcp://127.0.0.1:%d", up->port).data;
	return BUS_EXIT_OK;
}

/* Only the flag: BUSLINE_BROKER_URL in the environment says where clients find a broker, and
 * stands in the env file of every platform that was made here. */
static const char *
busp_given_broker(const bus_cli *cli)
{
	bool flag = bus_config_origin_of(cli->config, BUS_CONF_BROKER_URL, NULL) ==
		    BUS_ORIGIN_FLAG;
	return flag ? bus_config_text(cli->config, BUS_CONF_BROKER_URL) : NULL;
}

bus_exit
bus_up_address(bus_up *up)
{
	const char *before = NULL;
	const char *given = busp_given_broker(up->cli);
	bus_up_adopt(up, &before);
	bool embedded =
		before != NULL && strncmp(before, "nng+tcp://127.0.0.1:", 20) == 0;
	if (before != NULL && (given == NULL) != embedded) {
		return bus_cli_fail(BUS_EXIT_CONFIG, up->data,
				    given == NULL ?
					    "give --broker-url, or another --data" :
					    "leave --broker-url out, or give "
					    "another --data",
				    "was made with the broker %s, and its positions are "
				    "that broker's",
				    before);
	}
	bus_exit code = BUS_EXIT_OK;
	if (given == NULL) {
		code = busp_folder(up, "broker", 0700, true);
		code = code == BUS_EXIT_OK ? busp_listen(up, before) : code;
	} else {
		up->broker_url = given;
	}
	up->known_url = before != NULL ? before : up->broker_url;
	return code;
}

/* ---- the environment ---- */

/* What belongs to another platform or another PostgreSQL stays outside. */
static bool
busp_inherited(const char *entry)
{
	return strncmp(entry, "PG", 2) != 0 && (strncmp(entry, "BUSLINE_", 8) != 0 ||
						strncmp(entry, "BUSLINE_TEST_", 13) == 0);
}

bool
bus_up_refuses(bus_config_key key)
{
	return key == BUS_CONF_DB_URL || key == BUS_CONF_DB_ROLE ||
	       key == BUS_CONF_BROKER_LISTEN || key == BUS_CONF_BROKER_DIRECTORY;
}

static bool
busp_is_own(bus_config_key key)
{
	return key == BUS_CONF_BROKER_URL || bus_up_refuses(key);
}

static char *
busp_setting(const bus_cli *cli, bus_config_key key)
{
	bus_str text = bus_arena_printf(cli->arena, "BUSLINE_%s=%s",
					bus_config_option_of(key)->name,
					bus_config_text(cli->config, key));
	char *copy = bus_arena_alloc(cli->arena, text.len + 1);
	memcpy(copy, text.data, text.len);
	for (char *c = copy + 8; *c != '='; c++) {
		*c = *c == '.' || *c == '-' ? '_' :
		     *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') :
					      *c;
	}
	return copy;
}

void
bus_up_environment(bus_up *up)
{
	bus_arena *arena = up->cli->arena;
	size_t count = 0, used = 0;
	while (environ[count] != NULL) {
		count++;
	}
	/* besides: every setting, the two servers, the end */
	char **all = bus_arena_alloc(arena, (count + BUS_CONF_COUNT + 3) * sizeof(*all));
	for (size_t i = 0; i < count; i++) {
		if (busp_inherited(environ[i])) {
			all[used++] = environ[i];
		}
	}
	for (int i = 0; i < BUS_CONF_COUNT; i++) {
		bus_config_key key = (bus_config_key)i;
		if (!busp_is_own(key) &&
		    bus_config_origin_of(up->cli->config, key, NULL) !=
			    BUS_ORIGIN_DEFAULT) {
			all[used++] = busp_setting(up->cli, key);
		}
	}
	bus_str broker = bus_arena_printf(arena, "BUSLINE_BROKER_URL=%s", up->broker_url);
	all[used] = bus_arena_alloc(arena, broker.len + 1);
	memcpy(all[used], broker.data, broker.len);
	up->environment = all;
}
