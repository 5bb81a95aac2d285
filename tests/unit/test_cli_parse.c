/*
 * test_cli_parse.c - command lines, good and bad; the table of commands itself
 */
#include "tests/support/suite.h"

#include <stdlib.h>

#include "apps/cli/cli.h"

#define WORDS_MAX 32

static bus_cli *cli;

/* Splits at blanks, so that a case is one line. */
static bus_status
parse(const char *line, bus_error *err)
{
	static char text[512];
	static char *argv[WORDS_MAX + 1];
	int argc = 0;
	memset(cli, 0, sizeof(*cli));
	snprintf(text, sizeof(text), "busline %s", line);
	for (char *word = strtok(text, " "); word != NULL && argc < WORDS_MAX;
	     word = strtok(NULL, " ")) {
		argv[argc++] = word;
	}
	argv[argc] = NULL;
	return bus_cli_parse(cli, argc, argv, err);
}

static int
setup(void)
{
	cli = calloc(1, sizeof(*cli));
	return cli == NULL;
}

static int
teardown(void)
{
	free(cli);
	return 0;
}

static const struct {
	const char *line, *command, *arguments;
} good[] = {
	{ "topic ensure", "topic ensure", "" },
	{ "topic ensure a b", "topic ensure", "a b" },
	{ "topic -q ensure a", "topic ensure", "a" },
	{ "--db-url x topic --broker-url y ls", "topic ls", "" },
	{ "publish t -d {} --tenant a", "publish", "t" },
	{ "publish --tenant=a -d {} t", "publish", "t" },
	{ "scale shop web=-1 worker=+2", "scale", "shop web=-1 worker=+2" },
	{ "deploy shop -i image -- npm start --port 8", "deploy",
	  "shop npm start --port 8" },
	{ "tail -o -10 -f", "tail", "" },
	{ "sql select", "sql", "select" },
	{ "topic", "topic", "" },
	{ "broker", "broker", "" },
	{ "broker --data d", "broker", "" },
	{ "-q broker status -o json", "broker status", "" },
	{ "broker check --data d", "broker check", "" },
};

static void
test_understood(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		bus_error err = BUS_ERROR_INIT;
		char words[256] = "";
		bus_status status = parse(good[i].line, &err);
		for (size_t j = 0; status == BUS_OK && j < cli->argument_count; j++) {
			size_t len = strlen(words);
			snprintf(words + len, sizeof(words) - len, "%s%s",
				 j > 0 ? " " : "", cli->arguments[j]);
		}
		bool same = status == BUS_OK && cli->command != NULL &&
			    strcmp(cli->command->name, good[i].command) == 0 &&
			    strcmp(words, good[i].arguments) == 0;
		if (!same) {
			fprintf(stderr, "'%s': %s, arguments '%s'\n", good[i].line,
				err.text, words);
		}
		CU_ASSERT(same);
	}
}

static const struct {
	const char *line, *says;
} bad[] = {
	{ "publsh", "`busline publish`" },
	{ "topic esnure", "`busline topic ensure`" },
	{ "nothing-like-it", "no such command" },
	{ "publish t --tenent a", "did you mean --tenant?" },
	{ "publish t --broker-ulr a", "did you mean --broker-url?" },
	{ "publish t --zzzzzzzz", "--zzzzzzzz: no such option" },
	{ "publish t -Z", "-Z: no such option" },
	{ "publish t --data", "--data: needs a value" },
	{ "publish t -d", "-d: needs a value" },
	{ "publish t --no-validate=1", "--no-validate: takes no value" },
	{ "publish t --time yesterday", "RFC 3339" },
	{ "publish t --timeout 5x", "duration" },
	{ "publish t --partition -1", "whole number" },
	{ "publish t --partition 1e3", "whole number" },
	{ "publish t --wait=later", "durable|applied" },
	{ "-o yaml topic ls", "table|json|jsonl" },
	{ "publish t --db", "more than one option" },
	{ "rollback", "APP is missing" },
	{ "route shop host", "RELEASE=WEIGHT is missing" },
	{ "deploy shop", "--image is missing" },
	{ "sql a b", "'b' is too much" },
	{ "dlq ls x", "'x' is too much" },
	{ "broker statsu", "'statsu' is too much" },
	{ "broker --data d status", "'status' is too much" },
};

static void
test_refused(void)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bus_error err = BUS_ERROR_INIT;
		bus_status status = parse(bad[i].line, &err);
		if (status != BUS_E_REJECT || strstr(err.text, bad[i].says) == NULL) {
			fprintf(stderr, "'%s' says '%s', not '%s'\n", bad[i].line,
				err.text, bad[i].says);
			CU_FAIL("a wrong line was taken, or told badly");
		}
	}
}

static void
test_values(void)
{
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL_FATAL(
		parse("publish t -d 1 --data 2 --header a=b --header c=d --wait "
		      "--timeout 1m30s --partition 7 --db-url x --db-url y -o json",
		      &err),
		BUS_OK);
	CU_ASSERT_STRING_EQUAL(bus_cli_text(cli, "data"), "2");
	CU_ASSERT_STRING_EQUAL(bus_cli_nth(cli, "header", 0), "a=b");
	CU_ASSERT_STRING_EQUAL(bus_cli_nth(cli, "header", 1), "c=d");
	CU_ASSERT_PTR_NULL(bus_cli_nth(cli, "header", 2));
	CU_ASSERT_STRING_EQUAL(bus_cli_text(cli, "wait"), "applied");
	CU_ASSERT_EQUAL(bus_cli_ms(cli, "timeout"), 90000);
	CU_ASSERT_EQUAL(bus_cli_int(cli, "partition"), 7);
	CU_ASSERT_STRING_EQUAL(bus_cli_text(cli, "mode"), "binary");
	CU_ASSERT_FALSE(bus_cli_given(cli, "mode"));
	CU_ASSERT_PTR_NULL(bus_cli_text(cli, "subject"));
	CU_ASSERT_EQUAL(cli->format, BUS_CLI_JSON);
	CU_ASSERT_EQUAL_FATAL(cli->setting_count, 2);
	CU_ASSERT_STRING_EQUAL(cli->settings[1].name, "db.url");
	CU_ASSERT_STRING_EQUAL(cli->settings[1].text, "y");
}

/* tail's -o is its own, the global one keeps its long name. */
static void
test_own_letter_hides_global(void)
{
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL_FATAL(parse("tail -o start --output jsonl", &err), BUS_OK);
	CU_ASSERT_STRING_EQUAL(bus_cli_text(cli, "offset"), "start");
	CU_ASSERT_EQUAL(cli->format, BUS_CLI_JSONL);
}

static void
test_help_and_version(void)
{
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL(parse("rollback --help", &err), BUS_OK);
	CU_ASSERT_TRUE(cli->help);
	CU_ASSERT_EQUAL(parse("-h", &err), BUS_OK);
	CU_ASSERT_TRUE(cli->help && cli->command == NULL);
	CU_ASSERT_EQUAL(parse("--version", &err), BUS_OK);
	CU_ASSERT_TRUE(cli->version);
	CU_ASSERT_EQUAL(parse("", &err), BUS_OK);
	CU_ASSERT_PTR_NULL(cli->command);
}

static const struct {
	const char *text;
	int64_t ms; /* -1: none */
} durations[] = {
	{ "0", 0 },        { "5", 5000 },     { "1.5s", 1500 },   { "500ms", 500 },
	{ "10m", 600000 }, { "2h", 7200000 }, { "1d", 86400000 }, { "1h30m", 5400000 },
	{ "", -1 },        { "s", -1 },       { "5x", -1 },       { "5 s", -1 },
	{ "-5s", -1 },     { "1m5", 65000 },  { "5m5x", -1 },     { "inf", -1 },
	{ "1e400", -1 },   { "0x10", -1 },    { "1msm", -1 },
};

static void
test_durations(void)
{
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
		int64_t ms = -1;
		bool taken = bus_cli_duration_parse(durations[i].text, &ms);
		if ((taken ? ms : -1) != durations[i].ms) {
			fprintf(stderr, "'%s' is %lld\n", durations[i].text,
				(long long)ms);
			CU_FAIL("a duration was misunderstood");
		}
	}
}

/* Rules the rows must keep, or parser and pages would lie. */
static void
check_options(const bus_cli_command *command)
{
	const bus_cli_option *row = command->options;
	for (; row != NULL && row->name != NULL; row++) {
		bool choice = row->kind == BUS_CLI_CHOICE;
		CU_ASSERT_PTR_NOT_NULL(row->help);
		CU_ASSERT_EQUAL(row->argument == NULL, row->kind == BUS_CLI_FLAG);
		CU_ASSERT_EQUAL(choice,
				choice && row->values != NULL && row->values[0] != '@');
		CU_ASSERT_FALSE(row->required && row->fallback != NULL);
		for (const bus_cli_option *other = row + 1; other->name != NULL; other++) {
			CU_ASSERT_STRING_NOT_EQUAL(row->name, other->name);
			CU_ASSERT_TRUE(row->letter == 0 || row->letter != other->letter);
		}
	}
}

static void
test_table(void)
{
	for (const bus_cli_command *const *row = bus_cli_commands(); *row != NULL; row++) {
		const bus_cli_command *command = *row;
		CU_ASSERT_PTR_NOT_NULL(command->summary);
		CU_ASSERT_PTR_EQUAL(bus_cli_command_find(command->name), command);
		check_options(command);
		const char *space = strrchr(command->name, ' ');
		if (space != NULL) {
			char family[64];
			snprintf(family, sizeof(family), "%.*s",
				 (int)(space - command->name), command->name);
			const bus_cli_command *parent = bus_cli_command_find(family);
			CU_ASSERT_TRUE(parent != NULL &&
				       bus_cli_is_below(parent, command));
			/* else its argument and a command below it look the same */
			CU_ASSERT_TRUE(parent->run == NULL || parent->arguments == NULL);
		}
		bool optional = false;
		const bus_cli_argument *argument = command->arguments;
		for (; argument != NULL && argument->name != NULL; argument++) {
			CU_ASSERT_FALSE(optional && argument->required);
			CU_ASSERT_FALSE(argument->many && argument[1].name != NULL);
			optional = optional || !argument->required;
		}
	}
}

static const bus_case cases[] = {
	{ "good lines give command and arguments", test_understood },
	{ "bad lines are refused, with the nearest name", test_refused },
	{ "values: the last counts, repeated ones are all there", test_values },
	{ "an option of a command hides a global letter", test_own_letter_hides_global },
	{ "help and version are asked for anywhere", test_help_and_version },
	{ "durations", test_durations },
	{ "the table of commands keeps its own rules", test_table },
	{ 0 },
};

const bus_suite_def bus_suite = { "cli parser", cases, setup, teardown };
