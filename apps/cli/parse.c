/*
 * parse.c - one command line into a command and its values; getopt_long is beneath
 *
 * DESIGN
 * Words before options: global options may stand anywhere, so each word of the command is
 * looked for with the global options only, and what follows the last word is parsed with
 * all. An option of a command hides a global one of the same name or letter.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli/cli.h"
#include "core/buf.h"

#define OPTIONS_MAX 128
#define FIRST_VAL 1000 /* past every character */
#define NAME_MAX_LEN 80

static const bus_cli_option globals[] = {
	{ "output", 'o', BUS_CLI_CHOICE, .argument = "FORMAT", .fallback = "table",
	  .values = "table|json|jsonl", .help = "How data is printed" },
	{ "color", 0, BUS_CLI_CHOICE, .argument = "WHEN", .fallback = "auto",
	  .bare = "always", .values = "auto|always|never",
	  .help = "Colours in tables; auto: on a terminal, unless NO_COLOR is set" },
	{ "quiet", 'q', BUS_CLI_FLAG, .help = "No progress and no remarks on stderr" },
	{ "config", 0, BUS_CLI_TEXT, .argument = "FILE", .values = "@files",
	  .help = "JSON file of settings; else $BUSLINE_CONFIG" },
	{ "help", 'h', BUS_CLI_FLAG, .help = "What the command does and takes" },
	{ "version", 0, BUS_CLI_FLAG, .help = "Version of this binary" },
	{ 0 },
};

typedef struct busp_parser {
	const bus_cli_option *options[OPTIONS_MAX]; /* NULL where it is a setting */
	struct option longs[OPTIONS_MAX + 1];
	bus_config_key keys[OPTIONS_MAX];
	char flags[BUS_CONF_COUNT][NAME_MAX_LEN];
	char shorts[2 * OPTIONS_MAX + 3];
	size_t count;
} busp_parser;

const bus_cli_option *
bus_cli_globals(void)
{
	return globals;
}

static bool
busp_hidden(const busp_parser *parser, const char *name, char letter)
{
	for (size_t i = 0; i < parser->count; i++) {
		if (name != NULL && strcmp(parser->longs[i].name, name) == 0) {
			return true;
		}
		if (letter != 0 && parser->options[i] != NULL &&
		    parser->options[i]->letter == letter) {
			return true;
		}
	}
	return false;
}

static void
busp_add(busp_parser *parser, const bus_cli_option *option)
{
	bool letter = option->letter != 0 && !busp_hidden(parser, NULL, option->letter);
	int wants = option->kind == BUS_CLI_FLAG ? no_argument :
		    option->bare != NULL         ? optional_argument :
						   required_argument;
	parser->options[parser->count] = option;
	parser->longs[parser->count] = (struct option){ option->name, wants, NULL,
							FIRST_VAL + (int)parser->count };
	if (letter) {
		size_t len = strlen(parser->shorts);
		snprintf(parser->shorts + len, sizeof(parser->shorts) - len, "%c%s",
			 option->letter, wants == required_argument ? ":" : "");
	}
	parser->count++;
}

static void
busp_add_list(busp_parser *parser, const bus_cli_option *list)
{
	for (; list != NULL && list->name != NULL; list++) {
		if (!busp_hidden(parser, list->name, 0)) {
			busp_add(parser, list);
		}
	}
}

/* The settings of core/config.h: "db.url" is --db-url. */
static void
busp_add_settings(busp_parser *parser)
{
	for (int key = 0; key < BUS_CONF_COUNT; key++) {
		const bus_config_option *row = bus_config_option_of((bus_config_key)key);
		char *flag = parser->flags[key];
		snprintf(flag, NAME_MAX_LEN, "%s", row->name);
		for (char *dot = flag; (dot = strchr(dot, '.')) != NULL;) {
			*dot = '-';
		}
		parser->options[parser->count] = NULL;
		parser->keys[parser->count] = (bus_config_key)key;
		parser->longs[parser->count] =
			(struct option){ flag, required_argument, NULL,
					 FIRST_VAL + (int)parser->count };
		parser->count++;
	}
}

static void
busp_parser_init(busp_parser *parser, const bus_cli_command *command, bool permute)
{
	memset(parser, 0, sizeof(*parser));
	strcpy(parser->shorts, permute ? ":" : "+:");
	busp_add_list(parser, command != NULL ? command->options : NULL);
	busp_add_list(parser, globals);
	busp_add_settings(parser);
	parser->longs[parser->count] = (struct option){ 0 };
}

static size_t
busp_distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_LEN + 1];
	size_t alen = strlen(a), blen = strlen(b);
	if (alen > NAME_MAX_LEN || blen > NAME_MAX_LEN) {
		return NAME_MAX_LEN;
	}
	for (size_t j = 0; j <= blen; j++) {
		row[j] = j;
	}
	for (size_t i = 1; i <= alen; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= blen; j++) {
			size_t change = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			size_t drop = row[j] + 1, insert = row[j - 1] + 1;
			row[j] = change < drop ? change : drop;
			row[j] = row[j] < insert ? row[j] : insert;
		}
	}
	return row[blen];
}

const char *
bus_cli_nearest(const char *word, const char *const *candidates)
{
	const char *best = NULL;
	size_t least = strlen(word) / 3 + 2; /* further away it is another word */
	for (; *candidates != NULL; candidates++) {
		size_t distance = busp_distance(word, *candidates);
		if (distance < least) {
			least = distance;
			best = *candidates;
		}
	}
	return best;
}

/* What getopt complains of, said with the option's own name. */
static bus_status
busp_refuse(const busp_parser *parser, int answer, const char *given, bus_error *err)
{
	if (optopt >= FIRST_VAL) {
		const struct option *row = &parser->longs[optopt - FIRST_VAL];
		return bus_error_set(err, BUS_E_REJECT, "cli", 0, "--%s: %s", row->name,
				     answer == ':' ? "needs a value" : "takes no value");
	}
	if (optopt != 0) {
		return bus_error_set(err, BUS_E_REJECT, "cli", 0, "-%c: %s", optopt,
				     answer == ':' ? "needs a value" : "no such option");
	}
	char word[NAME_MAX_LEN];
	const char *start = given + strspn(given, "-");
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(start, "="), start);
	const char *names[OPTIONS_MAX + 1] = { NULL };
	const char *begun = NULL;
	size_t begins = 0;
	for (size_t i = 0; i < parser->count; i++) {
		names[i] = parser->longs[i].name;
		if (strncmp(names[i], word, strlen(word)) == 0) {
			begins++;
			begun = names[i];
		}
	}
	const char *nearest = bus_cli_nearest(word, names);
	if (begins > 1) {
		return bus_error_set(err, BUS_E_REJECT, "cli", 0,
				     "--%s: may mean more than one option, --%s among them",
				     word, begun);
	}
	return nearest == NULL ? bus_error_set(err, BUS_E_REJECT, "cli", 0,
					       "--%s: no such option", word) :
				 bus_error_set(err, BUS_E_REJECT, "cli", 0,
					       "--%s: no such option; did you mean --%s?",
					       word, nearest);
}

bool
bus_cli_duration_parse(const char *text, int64_t *ret_ms)
{
	static const struct {
		const char *unit;
		double ms;
	} units[] = { { "ms", 1 },  { "s", 1e3 },   { "", 1e3 },
		      { "m", 6e4 }, { "h", 3.6e6 }, { "d", 8.64e7 } };
	double total = 0;
	if (*text == '\0') {
		return false;
	}
	while (*text != '\0') {
		/* strtod would take 0x10 and 1e3 too */
		size_t digits = strspn(text, "0123456789.");
		if (digits == 0) {
			return false;
		}
		char *end;
		double number = strtod(text, &end);
		size_t unit_len = strspn(end, "mshd");
		if ((size_t)(end - text) != digits) {
			return false;
		}
		size_t i = 0;
		while (i < sizeof(units) / sizeof(units[0]) &&
		       !(strlen(units[i].unit) == unit_len &&
			 strncmp(units[i].unit, end, unit_len) == 0)) {
			i++;
		}
		if (i == sizeof(units) / sizeof(units[0])) {
			return false;
		}
		total += number * units[i].ms;
		text = end + unit_len;
		if (unit_len == 0 && *text != '\0') {
			return false;
		}
	}
	if (total > 1e15) {
		return false;
	}
	*ret_ms = (int64_t)(total + 0.5);
	return true;
}

static bool
busp_is_choice(const char *values, const char *text)
{
	size_t len = strlen(text);
	for (const char *at = values; at != NULL; at = strchr(at, '|')) {
		at += *at == '|';
		if (strcspn(at, "|") == len && strncmp(at, text, len) == 0) {
			return true;
		}
	}
	return false;
}

static bus_status
busp_check_value(const bus_cli_option *option, const char *text, bus_error *err)
{
	int64_t number;
	const char *wants = NULL;
	char *end;
	switch (option->kind) {
	case BUS_CLI_FLAG:
	case BUS_CLI_TEXT:
		break;
	case BUS_CLI_INT:
		errno = 0;
		number = strtoll(text, &end, 10);
		wants = *text == '\0' || *end != '\0' || errno != 0 || number < 0 ?
				"a whole number of 0 or more" :
				NULL;
		break;
	case BUS_CLI_SECONDS:
		wants = bus_cli_duration_parse(text, &number) ?
				NULL :
				"a duration such as 500ms, 10s, 5m, 1h";
		break;
	case BUS_CLI_TIME:
		wants = bus_time_parse(bus_str_from(text), &number) ?
				NULL :
				"a time such as 2026-11-21T08:36:28Z (RFC 3339)";
		break;
	case BUS_CLI_CHOICE:
		wants = busp_is_choice(option->values, text) ? NULL : option->values;
		break;
	}
	return wants == NULL ? BUS_OK :
			       bus_error_set(err, BUS_E_REJECT, "cli", 0,
					     "--%s: '%s' is not what it takes: %s",
					     option->name, text, wants);
}

static bool
busp_is_global(const bus_cli_option *option)
{
	size_t count = sizeof(globals) / sizeof(globals[0]);
	return option >= globals && option < globals + count;
}

static void
busp_take_global(bus_cli *cli, const bus_cli_option *option, const char *text)
{
	if (strcmp(option->name, "output") == 0) {
		cli->format = strcmp(text, "json") == 0  ? BUS_CLI_JSON :
			      strcmp(text, "jsonl") == 0 ? BUS_CLI_JSONL :
							   BUS_CLI_TABLE;
	} else if (strcmp(option->name, "color") == 0) {
		cli->color_when = text;
	} else if (strcmp(option->name, "quiet") == 0) {
		cli->quiet = true;
	} else if (strcmp(option->name, "config") == 0) {
		cli->config_path = text;
	} else if (strcmp(option->name, "help") == 0) {
		cli->help = true;
	} else {
		cli->version = true;
	}
}

static bus_status
busp_take(bus_cli *cli, const busp_parser *parser, size_t index, bus_error *err)
{
	const bus_cli_option *option = parser->options[index];
	bool setting = option == NULL;
	bus_cli_value value = { parser->longs[index].name, optarg };
	if (!setting) {
		/* the row's own text: the parser, which holds the other, is gone later */
		value.name = option->name;
		value.text = optarg != NULL ? optarg : option->bare;
		if (option->kind != BUS_CLI_FLAG &&
		    busp_check_value(option, value.text, err) != BUS_OK) {
			return err->status;
		}
		if (busp_is_global(option)) {
			busp_take_global(cli, option, value.text);
			return BUS_OK;
		}
	}
	size_t *count = setting ? &cli->setting_count : &cli->value_count;
	if (*count == BUS_CLI_VALUES_MAX) {
		return bus_error_set(err, BUS_E_REJECT, "cli", 0,
				     "--%s: more than %d options on one command line",
				     value.name, BUS_CLI_VALUES_MAX);
	}
	if (setting) {
		value.name = bus_config_option_of(parser->keys[index])->name;
		cli->settings[cli->setting_count++] = value;
	} else {
		cli->values[cli->value_count++] = value;
	}
	return BUS_OK;
}

/* Options of argv up to where getopt stops: optind. */
static bus_status
busp_run(bus_cli *cli, busp_parser *parser, int argc, char **argv, bus_error *err)
{
	opterr = 0;
	optind = 0; /* glibc: forget the last line */
	for (;;) {
		optopt = 0;
		int answer = getopt_long(argc, argv, parser->shorts, parser->longs, NULL);
		if (answer == -1) {
			return BUS_OK;
		}
		if (answer == '?' || answer == ':') {
			int at = optind > 1 ? optind - 1 : 1;
			return busp_refuse(parser, answer, argv[at], err);
		}
		size_t index = (size_t)(answer - FIRST_VAL);
		for (size_t i = 0; answer < FIRST_VAL && i < parser->count; i++) {
			if (parser->options[i] != NULL &&
			    parser->options[i]->letter == answer) {
				index = i;
				break;
			}
		}
		if (busp_take(cli, parser, index, err) != BUS_OK) {
			return err->status;
		}
	}
}

static bus_status
busp_unknown_command(const char *path, const char *word, bus_error *err)
{
	const char *names[OPTIONS_MAX] = { NULL };
	char wanted[2 * NAME_MAX_LEN];
	snprintf(wanted, sizeof(wanted), "%.70s%s%.70s", path, *path != '\0' ? " " : "",
		 word);
	size_t count = 0;
	for (const bus_cli_command *const *row = bus_cli_commands(); *row != NULL; row++) {
		bool below = strncmp((*row)->name, path, strlen(path)) == 0;
		if (below && (*row)->group != NULL && count + 1 < OPTIONS_MAX) {
			names[count++] = (*row)->name;
		}
	}
	const char *nearest = bus_cli_nearest(wanted, names);
	if (nearest != NULL) {
		return bus_error_set(err, BUS_E_REJECT, "cli", 0,
				     "%s: no such command; did you mean `busline %s`?",
				     wanted, nearest);
	}
	return bus_error_set(err, BUS_E_REJECT, "cli", 0,
			     "%s: no such command; `busline help` lists them", wanted);
}

static bus_status
busp_check_arguments(const bus_cli *cli, bus_error *err)
{
	size_t allowed = 0, i = 0;
	bool many = false;
	const bus_cli_argument *row = cli->command->arguments;
	const bus_cli_option *option = cli->command->options;
	for (; option != NULL && option->name != NULL; option++) {
		if (option->required && !bus_cli_given(cli, option->name)) {
			return bus_error_set(
				err, BUS_E_REJECT, "cli", 0,
				"%s: --%s is missing; `busline %s --help` shows how",
				cli->command->name, option->name, cli->command->name);
		}
	}
	for (; row != NULL && row->name != NULL; row++, i++) {
		if (row->required && i >= cli->argument_count) {
			return bus_error_set(
				err, BUS_E_REJECT, "cli", 0,
				"%s: %s is missing; `busline %s --help` shows how",
				cli->command->name, row->name, cli->command->name);
		}
		allowed++;
		many = many || row->many;
	}
	if (!many && cli->argument_count > allowed) {
		return bus_error_set(err, BUS_E_REJECT, "cli", 0,
				     "%s: '%s' is too much; `busline "
				     "%s --help` shows how",
				     cli->command->name, cli->arguments[allowed],
				     cli->command->name);
	}
	return BUS_OK;
}

/* A command that runs may have others below it; it takes no arguments then (a test sees to
 * that), so the word right behind it says which one is meant. */
static const bus_cli_command *
busp_below(const bus_cli_command *command, const char *word)
{
	char longer[NAME_MAX_LEN];
	int fit = snprintf(longer, sizeof(longer), "%s %s", command->name, word);
	return fit < (int)sizeof(longer) ? bus_cli_command_find(longer) : NULL;
}

bus_status
bus_cli_parse(bus_cli *cli, int argc, char **argv, bus_error *err)
{
	busp_parser parser;
	char path[NAME_MAX_LEN] = "";
	int at = 0;
	while (cli->command == NULL || cli->command->run == NULL) {
		busp_parser_init(&parser, NULL, false);
		if (busp_run(cli, &parser, argc - at, argv + at, err) != BUS_OK) {
			return err->status;
		}
		at += optind;
		if (at >= argc) {
			return BUS_OK; /* only a family, or nothing: the caller shows help */
		}
		size_t len = strlen(path);
		char longer[NAME_MAX_LEN];
		int fit = snprintf(longer, sizeof(longer), "%s%s%s", path,
				   len > 0 ? " " : "", argv[at]);
		const bus_cli_command *found = bus_cli_command_find(longer);
		if (found == NULL || fit >= (int)sizeof(longer)) {
			return busp_unknown_command(path, argv[at], err);
		}
		cli->command = found;
		memcpy(path, longer, sizeof(path));
	}
	const bus_cli_command *below =
		at + 1 < argc ? busp_below(cli->command, argv[at + 1]) : NULL;
	if (below != NULL) {
		cli->command = below;
		at++;
	}
	busp_parser_init(&parser, cli->command, true);
	if (busp_run(cli, &parser, argc - at, argv + at, err) != BUS_OK) {
		return err->status;
	}
	cli->arguments = (const char *const *)argv + at + optind;
	cli->argument_count = (size_t)(argc - at - optind);
	return cli->help || cli->version ? BUS_OK : busp_check_arguments(cli, err);
}
