/*
 * cmd_broker.c - broker, broker check, broker status: the embedded broker
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/cli/client.h"
#include "apps/cli/commands.h"
#include "apps/cli/output.h"
#include "broker-adapters/broker.h"
#include "core/log.h"

/* A connection costs the broker a few kilobytes, and up to two frames when its client does
 * not behave. */
#define CONNECTIONS_MAX 100000

static volatile sig_atomic_t broker_stop;

/* First: in order. Second: now; what was acknowledged is on disk. */
static void
busp_on_signal(int number)
{
	if (broker_stop) {
		_exit(128 + number);
	}
	broker_stop = 1;
}

static void
busp_catch_signals(void)
{
	struct sigaction action = { .sa_handler = busp_on_signal };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	/* a limit of the file's size is an error of a write like a full disk */
	sigaction(SIGXFSZ, &ignore, NULL);
}

/* --data, else broker.directory, else where `busline up` has it. */
static const char *
busp_directory(const bus_cli *cli)
{
	const char *given = bus_cli_text(cli, "data");
	const char *configured = bus_config_text(cli->config, BUS_CONF_BROKER_DIRECTORY);
	const char *home = getenv("HOME");
	if (given != NULL || configured[0] != '\0') {
		return given != NULL ? given : configured;
	}
	if (geteuid() == 0 || home == NULL || home[0] == '\0') {
		return "/var/lib/busline/broker";
	}
	return bus_arena_printf(cli->arena, "%s/.local/share/busline/broker", home).data;
}

static const char *
busp_setting(const bus_cli *cli, bus_config_key key)
{
	const char *text = bus_config_text(cli->config, key);
	return text[0] != '\0' ? text : NULL;
}

/* ---- serve ---- */

static void
busp_on_ready(void *ctx, const char *url)
{
	bus_cli_note(ctx, "listening on %s", url);
}

static bus_exit
busp_broker_run(bus_cli *cli)
{
	bus_error err = BUS_ERROR_INIT;
	bus_log_level level;
	const char *least = bus_config_text(cli->config, BUS_CONF_LOG_LEVEL);
	int64_t connections =
		bus_config_int(cli->config, BUS_CONF_BROKER_CONNECTIONS_MAX);
	if (!bus_log_level_parse(bus_str_from(least), &level)) {
		return bus_cli_fail(BUS_EXIT_CONFIG, "log.level",
				    "debug, info, warn and error are",
				    "'%s' is not a level", least);
	}
	if (connections < 1 || connections > CONNECTIONS_MAX) {
		return bus_cli_fail(BUS_EXIT_CONFIG, "broker.connections-max", NULL,
				    "%lld, must be 1 to %d", (long long)connections,
				    CONNECTIONS_MAX);
	}
	const char *listen = bus_cli_text(cli, "listen");
	bus_broker_options options = {
		.directory = busp_directory(cli),
		.listen = listen != NULL ?
				  listen :
				  bus_config_text(cli->config, BUS_CONF_BROKER_LISTEN),
		.token_file = busp_setting(cli, BUS_CONF_BROKER_TOKEN_FILE),
		.tls_file = busp_setting(cli, BUS_CONF_BROKER_TLS_FILE),
		.connections_max = (size_t)connections,
		.clock = cli->clock,
		.stop = &broker_stop,
		.on_ready = busp_on_ready,
		.ctx = cli,
	};
	bus_log_init("broker", level, cli->clock);
	busp_catch_signals();
	if (bus_broker_serve(&options, &err) != BUS_OK) {
		/* a daemon's last word goes where its others went */
		bus_log_error(BUS_LOG_ERROR, "broker ended", &err);
		return bus_cli_exit_of(&err);
	}
	BUS_LOG(BUS_LOG_INFO, "broker ended");
	return BUS_EXIT_OK;
}

#define DATA_OPTION                                                                      \
	{                                                                                \
		"data", .kind = BUS_CLI_TEXT, .argument = "DIR", .values = "@files",     \
			.help = "Directory of its store; else --broker-directory, else " \
				"/var/lib/busline/broker for root, "                     \
				"~/.local/share/busline/broker for others"               \
	}

static const bus_cli_option broker_options[] = {
	DATA_OPTION,
	{ "listen", .kind = BUS_CLI_TEXT, .argument = "URL",
	  .help = "Where clients connect; else --broker-listen. Port 0: a free one" },
	{ 0 },
};

static const bus_exit_row broker_exits[] = {
	{ BUS_EXIT_OK, "it was told to end: everything it took is on disk" },
	{ BUS_EXIT_CONFIG, "the address is not allowed, a file it was given is wrong" },
	{ BUS_EXIT_SOFTWARE,
	  "the address is taken, the directory is another broker's, damaged or older than "
	  "what was acknowledged, or the disk failed; the message says which" },
	{ 0, NULL },
};

const bus_cli_command bus_command_broker = {
	.name = "broker",
	.group = BUS_GROUP_RUN,
	.summary = "Run the embedded broker until SIGTERM or SIGINT",
	.text = "Topics on one machine, without Kafka: what is acknowledged is on disk. Logs JSON "
		"lines to stderr. The first signal carries out what has come and ends with 0, the "
		"second ends at once. Listens on loopback; any other address takes a token file "
		"(--broker-token-file), which clients name in --broker-properties "
		"token-file=PATH, and should have TLS (--broker-tls-file and nng+tls+tcp://).",
	.options = broker_options,
	.examples =
		(const char *const[]){
			"busline broker",
			"busline broker --data ./broker --listen nng+tcp://127.0.0.1:7441",
			"busline broker --listen nng+tls+tcp://0.0.0.0:7440 --broker-tls-file "
			"broker.pem --broker-token-file token",
			NULL },
	.exits = broker_exits,
	.run = busp_broker_run,
};

/* ---- check ---- */

static const bus_cli_column damage_columns[] = {
	{ "topic", .cell = BUS_CLI_CELL_TEXT },
	{ "partition", .cell = BUS_CLI_CELL_NUMBER },
	{ "offset", .cell = BUS_CLI_CELL_NUMBER },
	{ "damage", .cell = BUS_CLI_CELL_TEXT },
};

typedef struct busp_check {
	bus_cli *cli;
	bus_cli_rows rows;
	bool progress; /* a line that is written over again */
} busp_check;

static void
busp_on_damage(void *ctx, const bus_broker_damage *damage)
{
	busp_check *check = ctx;
	bus_arena *arena = check->cli->arena;
	bus_cli_rows_add(&check->rows,
			 (const bus_str[]){
				 damage->topic[0] != '\0' ?
					 bus_arena_printf(arena, "%s", damage->topic) :
					 BUS_STR_NULL,
				 damage->partition >= 0 ?
					 bus_cli_number(arena, damage->partition) :
					 BUS_STR_NULL,
				 damage->offset >= 0 ?
					 bus_cli_number(arena, damage->offset) :
					 BUS_STR_NULL,
				 bus_arena_printf(arena, "%s", damage->what),
			 });
}

static void
busp_on_progress(void *ctx, uint64_t records, uint64_t total)
{
	const busp_check *check = ctx;
	if (check->progress) {
		fprintf(stderr, "\r%llu of %llu records", (unsigned long long)records,
			(unsigned long long)total);
	}
}

static bus_exit
busp_broker_check_run(bus_cli *cli)
{
	bus_error err = BUS_ERROR_INIT;
	bus_broker_check_result result;
	busp_check check = { .cli = cli,
			     .progress = isatty(STDERR_FILENO) && !cli->quiet };
	bus_cli_rows_init(&check.rows, cli->arena, damage_columns,
			  sizeof(damage_columns) / sizeof(damage_columns[0]));
	bus_status status = bus_broker_check(
		&(bus_broker_check_options){
			.directory = busp_directory(cli),
			.on_damage = busp_on_damage,
			.on_progress = busp_on_progress,
			.ctx = &check,
		},
		&result, &err);
	if (check.progress) {
		fputs("\r\033[K", stderr);
	}
	if (status != BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	if (result.damages > 0 || cli->format != BUS_CLI_TABLE) {
		bus_cli_print(cli, &check.rows.table);
	}
	bus_cli_note(
		cli,
		"%llu topics, %llu partitions, %llu records, %llu bytes: %llu damages",
		(unsigned long long)result.topics, (unsigned long long)result.partitions,
		(unsigned long long)result.records, (unsigned long long)result.bytes,
		(unsigned long long)result.damages);
	return result.damages > 0 ? BUS_EXIT_FAILED : BUS_EXIT_OK;
}

static const bus_cli_option check_options[] = { DATA_OPTION, { 0 } };

static const bus_exit_row check_exits[] = {
	{ BUS_EXIT_OK, "everything can be read and has its checksum" },
	{ BUS_EXIT_FAILED, "there is damage: each place is a row" },
	{ BUS_EXIT_SOFTWARE, "DIR is no broker's, or a broker is running on it" },
	{ 0, NULL },
};

const bus_cli_command bus_command_broker_check = {
	.name = "broker check",
	.group = BUS_GROUP_RUN,
	.summary = "Read and verify everything in a broker's directory",
	.text = "For a broker that is stopped; changes nothing. A damaged record and those behind it in "
		"its partition are not served: restore the directory from a copy, or the positions "
		"of who reads it.",
	.options = check_options,
	.examples = (const char *const[]){ "busline broker check --data ./broker", NULL },
	.exits = check_exits,
	.run = busp_broker_check_run,
};

/* ---- status ---- */

static const bus_cli_column status_columns[] = {
	{ "topic", .cell = BUS_CLI_CELL_TEXT },
	{ "partition", .cell = BUS_CLI_CELL_NUMBER },
	{ "start", .cell = BUS_CLI_CELL_NUMBER },
	{ "end", .cell = BUS_CLI_CELL_NUMBER },
	{ "bytes", .cell = BUS_CLI_CELL_NUMBER },
	{ "status", .cell = BUS_CLI_CELL_TEXT },
	{ "group", .cell = BUS_CLI_CELL_TEXT },
	{ "client", .cell = BUS_CLI_CELL_TEXT },
	{ "cursor", .cell = BUS_CLI_CELL_NUMBER },
	{ "lag", .cell = BUS_CLI_CELL_NUMBER },
	{ "broker", .cell = BUS_CLI_CELL_TEXT },
};
#define STATUS_COLUMNS (sizeof(status_columns) / sizeof(status_columns[0]))

typedef struct busp_status {
	const bus_cli *cli;
	const bus_broker_status *broker;
	bus_cli_rows rows;
} busp_status;

static const bus_broker_member *
busp_holder(const bus_broker_group *group, int32_t partition)
{
	for (size_t i = 0; i < group->member_count; i++) {
		const bus_broker_member *member = &group->members[i];
		for (size_t j = 0; j < member->partition_count; j++) {
			if (member->partitions[j] == partition) {
				return member;
			}
		}
	}
	return NULL;
}

static const bus_broker_cursor *
busp_cursor(const bus_broker_group *group, int32_t partition)
{
	for (size_t i = 0; i < group->cursor_count; i++) {
		if (group->cursors[i].partition == partition) {
			return &group->cursors[i];
		}
	}
	return NULL;
}

/* A partition, and how a group reads it (NULL: nobody does). */
static void
busp_status_row(busp_status *status, const bus_broker_topic *topic, int32_t partition,
		const bus_broker_group *group)
{
	bus_arena *arena = status->cli->arena;
	const bus_broker_log *log = &topic->logs[partition];
	const bus_broker_member *member = NULL;
	const bus_broker_cursor *cursor = NULL;
	if (group != NULL) {
		member = busp_holder(group, partition);
		cursor = busp_cursor(group, partition);
	}
	bus_str state = log->damaged_at >= 0 ?
				bus_arena_printf(arena, "damaged at %lld",
						 (long long)log->damaged_at) :
			topic->sealed ? BUS_STR("sealed") :
					BUS_STR("ok");
	bus_cli_rows_add(&status->rows,
			 (const bus_str[]){
				 bus_str_from(topic->info.name),
				 bus_cli_number(arena, partition),
				 bus_cli_number(arena, log->start),
				 bus_cli_number(arena, log->end),
				 bus_cli_number(arena, log->bytes),
				 state,
				 group != NULL ? group->name : BUS_STR_NULL,
				 member != NULL ? member->client : BUS_STR_NULL,
				 cursor != NULL ? bus_cli_number(arena, cursor->offset) :
						  BUS_STR_NULL,
				 cursor != NULL ?
					 bus_cli_number(arena,
							log->end > cursor->offset ?
								log->end - cursor->offset :
								0) :
					 BUS_STR_NULL,
				 bus_str_from(status->broker->uuid),
			 });
}

/* Members that hold nothing, maybe because there are more of them than partitions. */
static void
busp_status_idle(busp_status *status, const bus_broker_group *group)
{
	for (size_t i = 0; i < group->member_count; i++) {
		if (group->members[i].partition_count == 0) {
			bus_str cells[STATUS_COLUMNS] = { { 0 } };
			cells[0] = group->topic;
			cells[6] = group->name;
			cells[7] = group->members[i].client;
			cells[10] = bus_str_from(status->broker->uuid);
			bus_cli_rows_add(&status->rows, cells);
		}
	}
}

static void
busp_status_topic(busp_status *status, const bus_broker_topic *topic)
{
	const bus_broker_status *broker = status->broker;
	for (int32_t partition = 0; partition < topic->info.partitions; partition++) {
		bool read = false;
		for (size_t i = 0; i < broker->group_count; i++) {
			if (bus_str_is(broker->groups[i].topic, topic->info.name)) {
				busp_status_row(status, topic, partition,
						&broker->groups[i]);
				read = true;
			}
		}
		if (!read) {
			busp_status_row(status, topic, partition, NULL);
		}
	}
	for (size_t i = 0; i < broker->group_count; i++) {
		if (bus_str_is(broker->groups[i].topic, topic->info.name)) {
			busp_status_idle(status, &broker->groups[i]);
		}
	}
}

static bus_exit
busp_broker_status_run(bus_cli *cli)
{
	bus_error err = BUS_ERROR_INIT;
	bus_broker_status broker;
	char since[BUS_TIME_TEXT_MAX];
	bus_adapter_options options = {
		.url = bus_config_text(cli->config, BUS_CONF_BROKER_URL),
		.properties = bus_config_text(cli->config, BUS_CONF_BROKER_PROPERTIES),
		.client_id = "busline.broker.status",
		.clock = cli->clock,
	};
	if (bus_broker_status_read(&options, BUS_CLI_BROKER_MS, cli->arena, &broker,
				   &err) != BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	busp_status status = { .cli = cli, .broker = &broker };
	bus_cli_rows_init(&status.rows, cli->arena, status_columns, STATUS_COLUMNS);
	for (size_t i = 0; i < broker.topic_count; i++) {
		busp_status_topic(&status, &broker.topics[i]);
	}
	bus_cli_print(cli, &status.rows.table);
	bus_time_format(broker.started_s * 1000000, since);
	bus_cli_note(cli, "broker %s, version %.*s, up since %.19sZ", broker.uuid,
		     BUS_STR_ARG(broker.version), since);
	return BUS_EXIT_OK;
}

const bus_cli_command bus_command_broker_status = {
	.name = "broker status",
	.group = BUS_GROUP_RUN,
	.summary = "Ask a running embedded broker for its topics and groups",
	.text = "A row per partition and group that reads it: who holds it now, where the group said it "
		"was, and how many records lie behind that. Positions that count are in PostgreSQL: "
		"`busline lag`. Members without a partition have a row of their own.",
	.examples =
		(const char *const[]){
			"busline broker status",
			"busline broker status -o json --broker-url nng+tcp://127.0.0.1:7441",
			NULL },
	.run = busp_broker_status_run,
};
