/*
 * up.h - `busline up`: the platform on one machine, as one process sees it
 *
 * DESIGN
 * One thread. It starts every process itself, waits for signals and for the ends of its
 * children in one place (bus_up_turn), and starts again what ended. Children are told by
 * the kernel when it dies (PR_SET_PDEATHSIG); what outlives it all the same is found by
 * the next one, from state.json and from who works in the cluster's directory.
 *
 * The data directory:
 *	up.lock         locked (OFD) by the one that runs; holds its process id
 *	state.json      what runs, for `up --status` and for the next start
 *	env             for people's shells
 *	postgresql.conf, pg_hba.conf
 *	postgres/       of the unprivileged user: data/ and the socket
 *	broker/         of the unprivileged user: the embedded broker's store
 *	log/            NAME.log of every process
 */
#ifndef BUS_CLI_UP_H
#define BUS_CLI_UP_H

#include <sys/types.h>

#include "apps/cli/output.h"

/* PostgreSQL, the broker, every role of workers.h; more is a bug. */
#define BUS_UP_PROCESSES_MAX 32
/* Words of the longest command line, initdb's. */
#define BUS_UP_WORDS_MAX 24

#define BUS_UP_STATE_LIST(X)                                                             \
	X(WAITING, "waiting", "not started yet")                                         \
	X(STARTING, "starting", "runs, does not answer yet")                             \
	X(RUNNING, "running", "runs, and answers if others wait for its answer")         \
	X(ENDED, "ended", "ended by itself and is started again in a moment")            \
	X(FAILING, "failing", "ends right after its start, so it is started slowly")     \
	X(STOPPING, "stopping", "was told to end")                                       \
	X(STOPPED, "stopped", "ended because it was told to")

typedef enum bus_up_state {
#define X(symbol, text, why) BUS_UP_##symbol,
	BUS_UP_STATE_LIST(X)
#undef X
} bus_up_state;

typedef struct bus_up bus_up;

/* A command line and what it needs. */
typedef struct bus_up_command {
	const char *name;    /* of its log */
	const char *program; /* path; NULL: this binary */
	const char *words[BUS_UP_WORDS_MAX];
	const char *db_url; /* NULL: the platform's */
	const char *input;  /* for its standard input, or NULL: nothing */
	int death_signal;   /* sent to it when this process dies */
} bus_up_command;

typedef struct bus_up_process {
	bus_up_command command;
	int stage;       /* started in this order, stopped in the reverse one */
	int stop_signal; /* asks for an orderly end */
	int64_t stop_ms; /* this long after it the end is forced */
	void (*prepare)(bus_up *up);     /* before each start, or NULL */
	bool (*ready)(const bus_up *up); /* does it answer? NULL: does not matter */
	/* now */
	bus_up_state state;
	pid_t pid;                   /* 0: none */
	uint64_t start_ticks;        /* of the pid, as /proc has it */
	int64_t since_us;            /* of the state, wall clock */
	int64_t started_mono;        /* of the last start */
	int64_t again_mono;          /* when it is started again */
	unsigned restarts, failures; /* failures: quick ends in a row */
	char detail[120];
} bus_up_process;

struct bus_up {
	const bus_cli *cli;
	/* the directory, absolute */
	const char *data;
	int lock;
	uid_t uid; /* of the children */
	gid_t gid;
	bool drop; /* this process is root, they are not */
	/* what it runs */
	const char *pg_bin;
	const char *broker_url; /* for clients */
	const char *known_url;  /* of the last start; broker_url once it may replace it */
	bool own_broker;
	int port;
	const char *db_url, *admin_url; /* the platform's login; the superuser's */
	char *const *environment;       /* of children, without the database */
	bus_up_process processes[BUS_UP_PROCESSES_MAX];
	size_t count;
	bus_up_process *postgres, *broker; /* of them; broker may be NULL */
	/* one command beside them */
	pid_t task;
	int task_status;
	/* the loop */
	int signals;       /* signalfd */
	int stop_requests; /* signals that ask for the end, so far */
	bool stopping;     /* what ends now stays ended */
	int ready_fd;      /* --stay: who waits for the start, or -1 */
	int64_t begun_mono;
	int64_t begun_us;
	bus_cli_printer printer;
	bus_arena *line; /* of one line of output */
};

/* ---- up_place.c: the directory, the user, the port ---- */

/* --data, else the default, absolute as far as it exists; in the arena. */
bus_exit bus_up_data(const bus_cli *cli, const char **ret_data);
/* Makes the directory, locks it, refuses one that is another's. */
bus_exit bus_up_take(bus_up *up);
/* Who runs on this directory: 1 with its pid (0: not known), 0 nobody, -1 no directory. */
int bus_up_holder(const char *data, pid_t *ret_pid);
/* The children's user; its directories below data. */
bus_exit bus_up_become(bus_up *up);
/* Where the broker listens, or whose it is. */
bus_exit bus_up_address(bus_up *up);
/* Settings that are not given to it: it decides them. */
bool bus_up_refuses(bus_config_key key);
/* The environment of children: settings given to this process, servers of its own. */
void bus_up_environment(bus_up *up);
/* The file DIR/name with this text, in one step; false: errno. */
bool bus_up_write(const bus_up *up, const char *name, bus_str text);

/* ---- up_process.c: children ---- */

/* Starts a child as the children's user; -1: it cannot, errno. */
pid_t bus_up_spawn(bus_up *up, const bus_up_command *command);
/* In a child: takes the children's user, for good. */
bool bus_up_drop(const bus_up *up);
/* Field 22 of /proc/PID/stat: with the pid it names a process for ever; 0: there is none. */
uint64_t bus_up_start_ticks(pid_t pid);
/* Runs a command to its end; its exit code, or what it says and why it failed. */
bus_exit bus_up_task(bus_up *up, const bus_up_command *command);
void bus_up_launch(bus_up *up, bus_up_process *process);
void bus_up_set(bus_up *up, bus_up_process *process, bus_up_state state,
		const char *detail);
/* One round of the loop: at most ms long. */
void bus_up_turn(bus_up *up, int64_t ms);
/* Stops those of a stage and waits for their ends. */
void bus_up_stop_stage(bus_up *up, int stage);
/* The last lines of a log on stderr. */
void bus_up_tail(const bus_up *up, const char *name);

/* ---- up_postgres.c ---- */

bus_exit bus_up_postgres_find(bus_up *up);
/* Makes the cluster unless it is there. */
bus_exit bus_up_postgres_make(bus_up *up);
/* A script of up_*.sql, by the superuser. */
bus_exit bus_up_postgres_script(bus_up *up, const char *name, const char *database);
void bus_up_postgres_row(bus_up *up, bus_up_process *row);
/* Kills servers that are left in the cluster's directory and removes what they left. */
void bus_up_postgres_sweep(bus_up *up);

/* ---- up_state.c ---- */

const char *bus_up_state_text(bus_up_state state);
/* One line about a process on stdout. */
void bus_up_show(bus_up *up, const bus_up_process *process);
/* state.json */
void bus_up_save(bus_up *up);
/* Ends what an earlier one left running; broker_url: what it used, in the arena, or NULL. */
void bus_up_adopt(bus_up *up, const char **ret_broker_url);
/* The table of `up --status`. */
bus_exit bus_up_status(const bus_cli *cli, const char *data);

/* ---- up_run.c ---- */

/* Everything from the lock to the last process's end. */
bus_exit bus_up_run(bus_up *up);

#endif
