/*
 * cli.h - the command line: one table of commands, and what running one needs
 *
 * DESIGN
 * A command is a row: its words, its options, its arguments, its examples, what its exit
 * codes mean, and the function that runs it. The row stands beside that function in its
 * cmd_*.c; commands.c lists them. Parser, --help, completion, man page and docs/cli.md
 * walk the rows and know no command by name.
 *
 * Data goes to stdout, everything else to stderr. An error is one line:
 * `busline: <object>: <cause>; <what to do>`.
 */
#ifndef BUS_CLI_H
#define BUS_CLI_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/status.h"
#include "core/str.h"

/* sysexits.h, and two that shells and timeout(1) made usual. */
#define BUS_EXIT_LIST(X)                                                                 \
	X(OK, 0, "done")                                                                 \
	X(FAILED, 1,                                                                     \
	  "it ran and the answer is no: the event was rejected, a check failed")         \
	X(USAGE, 64, "the command line is wrong")                                        \
	X(DATA, 65, "the data given is wrong: not JSON, not as its schema says")         \
	X(NO_INPUT, 66, "a file named cannot be read")                                   \
	X(UNAVAILABLE, 69, "broker or PostgreSQL cannot be reached")                     \
	X(SOFTWARE, 70, "broker or PostgreSQL refused for good, or a bug of ours")       \
	X(IO, 74, "writing the output failed")                                           \
	X(RETRY, 75,                                                                     \
	  "it may or may not have happened, or was in the way of something; "            \
	  "do the same again")                                                           \
	X(PERMISSION, 77, "the role or the broker's user may not do this")               \
	X(CONFIG, 78, "a setting is wrong, the database has no schema or another one")   \
	X(TIMEOUT, 124,                                                                  \
	  "the time given by --timeout ran out; the event itself is published")          \
	X(INTERRUPT, 130, "ended by SIGINT (128 + 2)")                                   \
	X(TERMINATED, 143,                                                               \
	  "ended by SIGTERM (128 + 15); a worker's first one ends it in order, with 0")

typedef enum bus_exit {
#define X(symbol, code, meaning) BUS_EXIT_##symbol = (code),
	BUS_EXIT_LIST(X)
#undef X
} bus_exit;

typedef struct bus_exit_row {
	int code;
	const char *meaning;
} bus_exit_row;

/* Ended by a row without meaning. */
const bus_exit_row *bus_exits(void);

typedef enum bus_cli_kind {
	BUS_CLI_FLAG,    /* no value */
	BUS_CLI_TEXT,    /* any */
	BUS_CLI_INT,     /* a whole number >= 0 */
	BUS_CLI_SECONDS, /* 500ms, 10s, 5m, 1h; a bare number is seconds */
	BUS_CLI_TIME,    /* RFC 3339 */
	BUS_CLI_CHOICE,  /* one of values */
} bus_cli_kind;

typedef struct bus_cli_option {
	const char *name; /* without the dashes; NULL ends a list */
	char letter;      /* or 0 */
	bus_cli_kind kind;
	bool many; /* may be given again; otherwise the last one counts */
	bool required;
	const char *argument; /* what the help calls its value */
	const char *fallback; /* or NULL */
	const char *bare;   /* the value if it is given without one, or NULL: needs one */
	const char *values; /* "a|b" to choose from; "@apps" asks `__complete apps` */
	const char *help;
} bus_cli_option;

/* An empty one is not worth telling. */
static inline bool
bus_cli_has_default(const bus_cli_option *option)
{
	return option->fallback != NULL && *option->fallback != '\0';
}

typedef struct bus_cli_argument {
	const char *name; /* as help writes it; NULL ends a list */
	bool required;
	bool many; /* this and all that follow */
	const char *values;
	const char *help;
} bus_cli_argument;

typedef struct bus_cli bus_cli;

typedef struct bus_cli_command {
	const char *name;              /* its words: "topic ensure" */
	const char *group;             /* heading in the list of commands; NULL: hidden */
	const char *summary;           /* one line */
	const char *text;              /* paragraphs, or NULL */
	const bus_cli_option *options; /* its own, or NULL */
	const bus_cli_argument *arguments; /* or NULL */
	const char *const *examples;       /* ended by NULL, or NULL */
	const bus_exit_row *exits;         /* what is special to it, or NULL */
	bus_exit (*run)(bus_cli *cli);     /* NULL: only a family of commands */
	bool unconfigured; /* runs without any setting, even with wrong ones */
} bus_cli_command;

/* All of them in the order of the help; ended by NULL. */
const bus_cli_command *const *bus_cli_commands(void);
/* "topic ensure"; NULL if there is none. */
const bus_cli_command *bus_cli_command_find(const char *name);
/* The ones every command takes, without those of core/config.h. */
const bus_cli_option *bus_cli_globals(void);

typedef enum bus_cli_format { BUS_CLI_TABLE, BUS_CLI_JSON, BUS_CLI_JSONL } bus_cli_format;

#define BUS_CLI_VALUES_MAX 512 /* options on one command line */

typedef struct bus_cli_value {
	const char *name;
	const char *text;
} bus_cli_value;

struct bus_cli {
	const bus_cli_command *command;
	bus_config *config;
	const bus_clock *clock;
	bus_arena *arena; /* until the command ends */
	bus_cli_format format;
	bool color; /* on stdout */
	bool quiet;
	bool help;
	bool version;
	const char *color_when; /* auto, always, never; NULL: auto */
	const char *config_path;
	const char *tenant; /* $BUSLINE_TENANT, or NULL */
	const char *actor;  /* $BUSLINE_ACTOR, or NULL */
	const char *const *arguments;
	size_t argument_count;
	bus_cli_value values[BUS_CLI_VALUES_MAX];
	size_t value_count;
	bus_cli_value
		settings[BUS_CLI_VALUES_MAX]; /* of core/config.h, to be set after loading */
	size_t setting_count;
};

/**
 * bus_cli_main - parse, load the configuration, run
 *
 * Returns the exit code. Threads: the main one.
 */
int bus_cli_main(int argc, char **argv);

/**
 * bus_cli_parse - which command, with what
 *
 * @argv: reordered: options first
 *
 * Sets command, values, settings, arguments, format, color, quiet, help, config_path.
 * Errors: BUS_E_REJECT the line is wrong: object, cause, nearest name.
 */
BUS_MUST_CHECK bus_status bus_cli_parse(bus_cli *cli, int argc, char **argv,
					bus_error *err);

/* ---- what was given; names are those of the command's own options ---- */

/* The last value, else the fallback, else NULL. */
const char *bus_cli_text(const bus_cli *cli, const char *name);
bool bus_cli_given(const bus_cli *cli, const char *name);
/* The value as checked by the parser; an option without value and fallback is -1. */
int64_t bus_cli_int(const bus_cli *cli, const char *name);
int64_t bus_cli_ms(const bus_cli *cli, const char *name);
/* The n-th value of an option that may be given again, NULL past the last. */
const char *bus_cli_nth(const bus_cli *cli, const char *name, size_t n);
/* The n-th argument, NULL past the last. */
const char *bus_cli_argument_at(const bus_cli *cli, size_t n);
/* "10s" and the like; false if it is none. */
bool bus_cli_duration_parse(const char *text, int64_t *ret_ms);
/* The candidate most like word, NULL if none is near; ended by NULL. */
const char *bus_cli_nearest(const char *word, const char *const *candidates);

/* Waits; a signal that ends the program ends it. */
void bus_cli_pause(int64_t ms);

/* ---- saying what went wrong ---- */

/* `busline: object: cause; what to do` on stderr. Returns code. */
bus_exit bus_cli_fail(bus_exit code, const char *object, const char *advice,
		      const char *fmt, ...) BUS_PRINTF(4, 5);
/* The same of an error; the exit code follows from it. */
bus_exit bus_cli_fail_error(const bus_error *err);
/* Which code an error ends the program with. */
bus_exit bus_cli_exit_of(const bus_error *err);
/* A line on stderr unless --quiet. */
void bus_cli_note(const bus_cli *cli, const char *fmt, ...) BUS_PRINTF(2, 3);

/* ---- pages made from the table ---- */

void bus_cli_help_command(const bus_cli_command *command, bus_buf *out);
void bus_cli_help_all(bus_buf *out);
void bus_cli_help_options(bus_buf *out);
void bus_cli_help_exits(bus_buf *out);
void bus_cli_usage_line(const bus_cli_command *command, bus_buf *out);
void bus_cli_man(bus_buf *out);
void bus_cli_document(bus_buf *out);
/* "bash", "zsh", "fish"; false for another. */
bool bus_cli_completion(const char *shell, bus_buf *out);

/* Is b a command right below a ("topic", "topic ls")? */
bool bus_cli_is_below(const bus_cli_command *a, const bus_cli_command *b);

#endif
