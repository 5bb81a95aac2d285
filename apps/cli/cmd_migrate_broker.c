/*
 * cmd_migrate_broker.c - migrate-broker: the bus goes to another broker while it runs
 *
 * DESIGN
 * mover.h copies; this decides. The commit point is one row in PostgreSQL (busline.broker_move):
 * before it is there the bus is at the old broker, and whatever goes wrong opens that one
 * again; from then on it is at the new one, and the old one stays sealed, so that nobody who has
 * not heard of it writes where nobody reads. One move at a time: a lease, whose epoch the row
 * is written under.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "apps/cli/client.h"
#include "apps/cli/commands.h"
#include "apps/cli/mover.h"
#include "apps/cli/mover_show.h"
#include "apps/cli/publisher.h"

#define ROLE "busline_migrator"
/* A run that was killed keeps the next one waiting for this long. */
#define LEASE_MS 10000
#define LEASE_WAIT_MS (2 * LEASE_MS)
/* The answer to the one row is sought for so long before it is called unknown. */
#define SWITCH_MS 60000
#define PAUSE_MS 200

typedef struct busp_move {
	bus_cli *cli;
	const char *from_url, *to_url;
	bus_adapter *from, *to;
	bus_store *store;
	char holder[64];
	int64_t lease_epoch; /* 0: not held */
	int64_t renewed_ms;
	bus_mover mover;
	bool moved;
	int64_t begun_ms;
	int64_t sealed_ms; /* when the old side was sealed, and then for how long */
	bus_mover_progress progress;
} busp_move;

static volatile sig_atomic_t busp_stop;
static const volatile sig_atomic_t busp_never;

/* First: the old broker is opened again. Second: now; the next run, or --abort, opens it. */
static void
busp_on_signal(int number)
{
	if (busp_stop) {
		_exit(128 + number);
	}
	busp_stop = number;
}

static void
busp_catch_signals(void)
{
	struct sigaction action = { .sa_handler = busp_on_signal };
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
}

static int64_t
busp_now(const busp_move *move)
{
	return bus_clock_mono_ms(move->cli->clock);
}

static bus_exit
busp_fail(const bus_error *err)
{
	if (busp_stop) {
		return bus_cli_fail(busp_stop == SIGINT ? BUS_EXIT_INTERRUPT :
							  BUS_EXIT_TERMINATED,
				    "migrate-broker", NULL, "ended by a signal");
	}
	if (err->status == BUS_E_REJECT) {
		return bus_cli_fail(BUS_EXIT_FAILED, NULL, NULL, "%s", err->text);
	}
	return bus_cli_fail_error(err);
}

/* ---- the lease ---- */

static bus_status
busp_reconnect(busp_move *move, bus_error *err)
{
	return bus_store_connected(move->store) ? BUS_OK :
						  bus_store_connect(move->store, err);
}

/* A PostgreSQL that is away for a while is no reason to stop copying: what counts is the
 * epoch, when the move is to come true. */
static bus_status
busp_renew(busp_move *move, bus_error *err)
{
	bus_error mine = BUS_ERROR_INIT;
	bus_lease lease = { 0 };
	if (busp_now(move) - move->renewed_ms < LEASE_MS / 4) {
		return BUS_OK;
	}
	move->renewed_ms = busp_now(move);
	if (busp_reconnect(move, &mine) != BUS_OK ||
	    bus_store_lease(move->store, BUS_LEASE_BROKER_MOVE, move->holder, LEASE_MS,
			    move->lease_epoch, &lease, &mine) != BUS_OK) {
		bus_store_disconnect(move->store);
		return BUS_OK;
	}
	if (lease.epoch != move->lease_epoch) {
		move->lease_epoch = 0;
		return bus_error_set(err, BUS_E_ABORT, "mover", 0,
				     "another migrate-broker (%s) has taken over",
				     lease.holder);
	}
	return BUS_OK;
}

static bus_status
busp_tick(void *ctx, bus_error *err)
{
	busp_move *move = ctx;
	bus_mover_progress_show(&move->progress);
	return busp_renew(move, err);
}

static bus_exit
busp_take_lease(busp_move *move)
{
	bus_error err = BUS_ERROR_INIT;
	bus_lease lease = { 0 };
	char host[32] = "";
	int64_t since_ms = busp_now(move);
	gethostname(host, sizeof(host) - 1);
	snprintf(move->holder, sizeof(move->holder), "%s/%d/%" PRIx64, host,
		 (int)getpid(), (uint64_t)bus_clock_wall_us(move->cli->clock));
	for (;;) {
		if (bus_store_lease(move->store, BUS_LEASE_BROKER_MOVE, move->holder,
				    LEASE_MS, 0, &lease, &err) != BUS_OK) {
			return bus_cli_fail_error(&err);
		}
		if (lease.epoch != 0) {
			move->lease_epoch = lease.epoch;
			move->renewed_ms = busp_now(move);
			return BUS_EXIT_OK;
		}
		if (busp_stop) {
			return busp_fail(&err);
		}
		if (busp_now(move) - since_ms > LEASE_WAIT_MS) {
			return bus_cli_fail(BUS_EXIT_RETRY, "migrate-broker",
					    "wait until it has ended",
					    "another one is running (%s)", lease.holder);
		}
		bus_cli_pause(PAUSE_MS);
	}
}

static void
busp_give_lease(busp_move *move)
{
	bus_error ignored = BUS_ERROR_INIT;
	if (move->lease_epoch != 0 && bus_store_connected(move->store) &&
	    bus_store_lease_release(move->store, BUS_LEASE_BROKER_MOVE, move->lease_epoch,
				    &ignored) != BUS_OK) {
		bus_store_disconnect(move->store); /* it ends by itself */
	}
}

/* ---- where the bus is ---- */

/* FROM must be where the bus is, by what PostgreSQL and our own settings say. */
static bus_exit
busp_check_place(busp_move *move, bool *ret_there)
{
	const bus_cli *cli = move->cli;
	bus_error err = BUS_ERROR_INIT;
	char url[BUS_BROKER_URL_MAX];
	const char *configured = bus_config_text(cli->config, BUS_CONF_BROKER_URL);
	*ret_there = false;
	if (bus_store_broker_url(move->store, move->from_url, url, &err) != BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	if (move->to_url != NULL && strcmp(url, move->to_url) == 0) {
		*ret_there = true;
		return BUS_EXIT_OK;
	}
	if (strcmp(url, move->from_url) != 0) {
		return bus_cli_fail(BUS_EXIT_FAILED, move->from_url, NULL,
				    "the bus has moved from there, it is at %s", url);
	}
	if (bus_config_origin_of(cli->config, BUS_CONF_BROKER_URL, NULL) ==
	    BUS_ORIGIN_DEFAULT) {
		return BUS_EXIT_OK;
	}
	if (bus_store_broker_url(move->store, configured, url, &err) != BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	if (strcmp(url, move->from_url) != 0) {
		return bus_cli_fail(
			BUS_EXIT_FAILED, move->from_url,
			"name it as the workers' setting broker.url does: they follow the "
			"move from that address, by the letter",
			"the bus is at %s by the settings", url);
	}
	return BUS_EXIT_OK;
}

static bool
busp_among(bus_str topic, const bus_topic_info *topics, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (bus_str_is(topic, topics[i].name)) {
			return true;
		}
	}
	return false;
}

/* Workers go where the bus goes, each with its topic: none may be left behind. */
static bus_exit
busp_take_positions(busp_move *move)
{
	bus_error err = BUS_ERROR_INIT;
	bus_table table;
	bus_topic_info *all = NULL;
	size_t count = 0;
	if (bus_store_read(move->store, "cli_positions", NULL, 0, move->cli->arena,
			   &table, &err) != BUS_OK ||
	    bus_adapter_topic_list(move->from, "", BUS_CLI_BROKER_MS, move->cli->arena,
				   &all, &count, &err) != BUS_OK) {
		return bus_cli_fail_error(&err);
	}
	for (size_t row = 0; row < table.row_count; row++) {
		bus_str topic = bus_table_cell(&table, row, 0);
		bool moves =
			busp_among(topic, move->mover.topics, move->mover.topic_count);
		if (!moves && busp_among(topic, all, count)) {
			return bus_cli_fail(
				BUS_EXIT_FAILED, move->from_url, "see --topics",
				"topic %.*s has a worker and would stay behind",
				BUS_STR_ARG(topic));
		}
		char name[BUS_TOPIC_NAME_MAX];
		snprintf(name, sizeof(name), "%.*s", BUS_STR_ARG(topic));
		bus_mover_part *part =
			busp_mover_part(&move->mover, name,
					(int32_t)bus_table_int(&table, row, 1, -1));
		if (part != NULL) {
			part->position = bus_table_int(&table, row, 2, -1);
		}
	}
	return BUS_EXIT_OK;
}

/* ---- the move ---- */

static bus_status
busp_where(busp_move *move, bus_error *err)
{
	char url[BUS_BROKER_URL_MAX] = "";
	bus_status status = busp_reconnect(move, err);
	if (status == BUS_OK) {
		status = bus_store_broker_url(move->store, move->from_url, url, err);
	}
	if (status != BUS_OK || strcmp(url, move->from_url) == 0) {
		return status;
	}
	if (move->to_url == NULL || strcmp(url, move->to_url) != 0) {
		return bus_error_set(err, BUS_E_ABORT, "mover", 0,
				     "the bus has been moved to %s meanwhile", url);
	}
	move->moved = true;
	return BUS_OK;
}

/* Takes the lease anew: a row that was sent under the old epoch and not answered is there now,
 * or never will be, and no other run has made one. */
static bus_status
busp_fence(busp_move *move, bus_error *err)
{
	bus_lease lease = { 0 };
	bus_status status = busp_reconnect(move, err);
	if (status == BUS_OK) {
		status = bus_store_lease_release(move->store, BUS_LEASE_BROKER_MOVE,
						 move->lease_epoch, err);
	}
	if (status == BUS_OK) {
		status = bus_store_lease(move->store, BUS_LEASE_BROKER_MOVE, move->holder,
					 LEASE_MS, 0, &lease, err);
	}
	if (status == BUS_OK && lease.epoch == 0) {
		/* ours: it was taken, and the answer was lost; it ends soon */
		bool ours = strcmp(lease.holder, move->holder) == 0;
		status = bus_error_set(err, ours ? BUS_E_RETRY : BUS_E_ABORT, "mover", 0,
				       "the lease of migrate-broker is held by %s",
				       lease.holder);
	}
	if (status == BUS_OK) {
		move->lease_epoch = lease.epoch;
		status = busp_where(move, err);
	}
	return status;
}

/* Is it known where the bus is? Then nothing changes that but this run, and move->moved tells. */
static bool
busp_find_out(busp_move *move, bus_error *ret_why)
{
	int64_t since_ms = busp_now(move);
	if (move->lease_epoch == 0) {
		return false;
	}
	bus_status status = busp_fence(move, ret_why);
	while (status == BUS_E_RETRY && busp_now(move) - since_ms < SWITCH_MS) {
		bus_store_disconnect(move->store);
		bus_cli_pause(PAUSE_MS);
		bus_error_reset(ret_why);
		status = busp_fence(move, ret_why);
	}
	if (status != BUS_OK) {
		move->lease_epoch = 0;
	}
	return status == BUS_OK;
}

/* The row is written, or it is not. If the answer is not got in time, or is not waited for any
 * longer, it is found out. */
static bus_status
busp_switch(busp_move *move, bus_error *err)
{
	const bus_broker_move row = {
		.lease_epoch = move->lease_epoch,
		.from_url = move->from_url,
		.to_url = move->to_url,
		.actor = bus_arena_str(move->cli->arena, bus_cli_actor(move->cli)).data,
		.reason = bus_cli_text(move->cli, "reason"),
	};
	int64_t since_ms = busp_now(move);
	for (;;) {
		bus_error_reset(err);
		bus_status status = busp_where(move, err);
		if (status == BUS_OK && !move->moved) {
			status = bus_store_broker_move(move->store, &row, err);
			move->moved = status == BUS_OK;
		}
		if (status == BUS_OK) {
			return BUS_OK;
		}
		if (status != BUS_E_RETRY || busp_stop ||
		    busp_now(move) - since_ms > SWITCH_MS) {
			break;
		}
		bus_store_disconnect(move->store);
		bus_cli_pause(PAUSE_MS);
	}
	bus_error why = BUS_ERROR_INIT;
	if (!busp_find_out(move, &why)) {
		err->status = BUS_E_UNKNOWN;
	}
	return move->moved ? BUS_OK : err->status;
}

/* Topics that only the new broker has are no part of the move: they stay, and would be read. */
static void
busp_note_others(const busp_move *move)
{
	bus_error ignored = BUS_ERROR_INIT;
	const bus_mover *mover = &move->mover;
	bus_topic_info *topics = NULL;
	size_t count = 0;
	if (bus_adapter_topic_list(move->to, mover->prefix, BUS_CLI_BROKER_MS,
				   move->cli->arena, &topics, &count,
				   &ignored) != BUS_OK) {
		return; /* whoever needs an answer asks again */
	}
	for (size_t i = 0; i < count; i++) {
		if (!busp_among(bus_str_from(topics[i].name), mover->topics,
				mover->topic_count)) {
			bus_cli_note(move->cli,
				     "topic %s is at %s only; what it holds there stays",
				     topics[i].name, move->to_url);
		}
	}
}

static bus_status
busp_copy(busp_move *move, bus_error *err)
{
	bus_mover *mover = &move->mover;
	bool verify = bus_cli_given(move->cli, "verify");
	bus_mover_progress_begin(&move->progress, "copying");
	bus_status status = bus_mover_prepare(mover, err);
	if (status == BUS_OK) {
		status = bus_mover_follow(mover, err);
	}
	if (status == BUS_OK && verify) {
		bus_mover_progress_begin(&move->progress, "comparing");
		status = bus_mover_compare(mover, INT64_MAX, err);
	}
	if (status == BUS_OK && verify) {
		bus_mover_progress_begin(&move->progress, "copying");
		status = bus_mover_follow(mover, err);
	}
	return status;
}

static bus_status
busp_close_and_switch(busp_move *move, bus_error *err)
{
	bus_mover *mover = &move->mover;
	int64_t sealed_at_ms = busp_now(move);
	bus_mover_progress_begin(&move->progress, "sealed, copying the rest");
	bus_status status = bus_mover_seal(mover, true, err);
	if (status == BUS_OK) {
		status = bus_mover_finish(mover, err);
	}
	if (status == BUS_OK) {
		status = bus_mover_compare(mover, BUS_MOVER_COMPARE_LAST, err);
	}
	if (status == BUS_OK) {
		status = bus_mover_recheck(mover, err);
	}
	if (status == BUS_OK) {
		status = busp_switch(move, err);
	}
	move->sealed_ms = busp_now(move) - sealed_at_ms;
	return status;
}

/* What a seal should have kept out and did not is nowhere: say so. */
static bus_exit
busp_check_left(busp_move *move)
{
	bus_error err = BUS_ERROR_INIT;
	const char *advice = "read them there and publish them again, under their ids";
	move->mover.stop = &busp_never;
	move->mover.tick = NULL;
	if (bus_mover_recheck(&move->mover, &err) == BUS_E_ABORT) {
		return bus_cli_fail(BUS_EXIT_FAILED, move->from_url, advice,
				    "the bus has moved without records: %s", err.text);
	}
	if (bus_mover_look(&move->mover, &err) != BUS_OK ||
	    bus_mover_lag(&move->mover) == 0) {
		return BUS_EXIT_OK;
	}
	return bus_cli_fail(BUS_EXIT_FAILED, move->from_url, advice,
			    "%" PRId64 " records came although all topics were sealed; "
			    "the bus has moved without them",
			    bus_mover_lag(&move->mover));
}

static void
busp_report(const busp_move *move)
{
	const bus_mover_outcome outcome = {
		.from_url = move->from_url,
		.to_url = move->to_url,
		.moved = move->moved,
		.spent_ms = busp_now(move) - move->begun_ms,
		.sealed_ms = move->sealed_ms,
	};
	bus_mover_report(move->cli, &move->mover, &outcome);
}

static bus_exit
busp_run(busp_move *move)
{
	bus_error err = BUS_ERROR_INIT;
	bus_mover *mover = &move->mover;
	bus_status status = bus_mover_plan(mover, &err);
	if (status == BUS_OK && mover->topic_count == 0) {
		return bus_cli_fail(BUS_EXIT_FAILED, move->from_url, "see --topics",
				    "has no topic %s*", mover->prefix);
	}
	bus_exit code = status == BUS_OK ? busp_take_positions(move) : busp_fail(&err);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	busp_note_others(move);
	status = bus_mover_check(mover, &err);
	if (status == BUS_OK && bus_cli_given(move->cli, "dry-run")) {
		busp_report(move);
		return BUS_EXIT_OK;
	}
	if (status == BUS_OK) {
		status = busp_copy(move, &err);
	}
	if (status == BUS_OK) {
		status = busp_close_and_switch(move, &err);
	}
	bus_mover_progress_end(&move->progress);
	if (status == BUS_OK) {
		busp_report(move);
		return busp_check_left(move);
	}
	return busp_fail(&err);
}

/* A run that has not moved the bus leaves the old broker open: but only if it is certain that
 * nobody else has. */
static bus_exit
busp_leave(busp_move *move, bus_exit code)
{
	bus_error err = BUS_ERROR_INIT;
	if (move->moved || move->mover.topic_count == 0) {
		return code;
	}
	if (!busp_find_out(move, &err)) {
		return bus_cli_fail(BUS_EXIT_RETRY, move->from_url, "run it again",
				    "its topics are left as they are, perhaps sealed%s%s",
				    err.text[0] != '\0' ? ": " : "", err.text);
	}
	if (move->moved) {
		bus_cli_note(move->cli, "the bus is at %s", move->to_url);
		return code;
	}
	move->mover.stop = &busp_never;
	move->mover.tick = NULL;
	if (bus_mover_seal(&move->mover, false, &err) == BUS_OK) {
		return code;
	}
	return bus_cli_fail(code != BUS_EXIT_OK ? code : bus_cli_exit_of(&err),
			    move->from_url,
			    "run this again, or `busline migrate-broker --abort`",
			    "its topics may still be sealed: %s", err.text);
}

/* Looks what is there; busp_leave() opens it. */
static bus_exit
busp_abort(busp_move *move)
{
	bus_error err = BUS_ERROR_INIT;
	bus_exit code = bus_mover_plan(&move->mover, &err) == BUS_OK ? BUS_EXIT_OK :
								       busp_fail(&err);
	code = busp_leave(move, code);
	if (code == BUS_EXIT_OK) {
		bus_cli_note(move->cli, "%zu topics of %s are open",
			     move->mover.topic_count, move->from_url);
	}
	return code;
}

/* Under the lease, if anything is to be changed: nobody else moves the bus now. */
static bus_exit
busp_decide(busp_move *move)
{
	bool there = false;
	bus_exit code = busp_check_place(move, &there);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	if (there) {
		bus_cli_note(move->cli, "the bus is at %s already", move->to_url);
		move->moved = true;
		if (move->cli->format != BUS_CLI_TABLE) {
			busp_report(move);
		}
		return BUS_EXIT_OK;
	}
	if (move->to_url == NULL) {
		return busp_abort(move);
	}
	code = busp_run(move);
	return bus_cli_given(move->cli, "dry-run") ? code : busp_leave(move, code);
}

/* ---- the command ---- */

static void
busp_move_fini(busp_move *move)
{
	bus_mover_fini(&move->mover);
	bus_adapter_close(move->from);
	bus_adapter_close(move->to);
	bus_store_destroy(move->store);
}

/* How many copies a topic that is made has: as before on the same kind of broker, else as the
 * settings want it. */
static void
busp_replicate(busp_move *move)
{
	const bus_config *config = move->cli->config;
	size_t scheme = strcspn(move->from_url, ":") + 1;
	if (strncmp(move->from_url, move->to_url, scheme) != 0) {
		bool many = strncmp(move->to_url, "kafka:", 6) == 0;
		move->mover.replication =
			many ? (int32_t)bus_config_int(config,
						       BUS_CONF_TOPIC_REPLICATION) :
			       1;
		move->mover.min_isr =
			many ? (int32_t)bus_config_int(config, BUS_CONF_TOPIC_MIN_ISR) :
			       1;
	}
}

static bus_exit
busp_open(busp_move *move)
{
	bus_cli *cli = move->cli;
	bool dry = bus_cli_given(cli, "dry-run");
	bus_exit code = bus_cli_store(cli, dry ? BUS_CLI_AUDITOR : ROLE, &move->store);
	if (code == BUS_EXIT_OK) {
		code = bus_cli_adapter_at(cli, move->from_url, &move->from);
	}
	if (code == BUS_EXIT_OK && move->to_url != NULL) {
		code = bus_cli_adapter_at(cli, move->to_url, &move->to);
	}
	move->mover.from = move->from;
	move->mover.to = move->to;
	move->mover.prefix = bus_cli_text(cli, "topics");
	move->mover.clock = cli->clock;
	move->mover.stop = &busp_stop;
	move->mover.tick = dry ? NULL : busp_tick;
	move->mover.ctx = move;
	move->progress = (bus_mover_progress){ .cli = cli,
					       .mover = &move->mover,
					       .terminal = isatty(STDERR_FILENO) == 1 };
	move->begun_ms = busp_now(move);
	bus_mover_progress_begin(&move->progress, "looking");
	if (move->to_url != NULL) {
		busp_replicate(move);
	}
	return code;
}

static bus_exit
busp_migrate_broker_run(bus_cli *cli)
{
	bool abort = bus_cli_given(cli, "abort");
	if (cli->argument_count != (abort ? 1u : 2u) ||
	    (abort && bus_cli_given(cli, "dry-run"))) {
		return bus_cli_fail(BUS_EXIT_USAGE, "migrate-broker", NULL,
				    "wants FROM and TO, or --abort FROM");
	}
	__attribute__((cleanup(busp_move_fini))) busp_move move = {
		.cli = cli,
		.from_url = cli->arguments[0],
		.to_url = abort ? NULL : cli->arguments[1],
	};
	bus_mover_init(&move.mover);
	if (!abort && strcmp(move.from_url, move.to_url) == 0) {
		return bus_cli_fail(BUS_EXIT_USAGE, "migrate-broker", NULL,
				    "FROM and TO are the same");
	}
	bus_exit code = busp_open(&move);
	if (code == BUS_EXIT_OK && !bus_cli_given(cli, "dry-run")) {
		busp_catch_signals();
		code = busp_take_lease(&move);
	}
	if (code == BUS_EXIT_OK) {
		code = busp_decide(&move);
		busp_give_lease(&move);
	}
	return code;
}

static const bus_cli_option migrate_broker_options[] = {
	{ "topics", .kind = BUS_CLI_TEXT, .argument = "PREFIX", .fallback = "busline.",
	  .help = "Topics to move, by the beginning of their names; none with a worker may "
		  "be left out" },
	{ "dry-run", .kind = BUS_CLI_FLAG,
	  .help = "Change nothing; show what would be copied" },
	{ "verify", .kind = BUS_CLI_FLAG,
	  .help = "Read everything back and compare it, not only the last records of each "
		  "partition" },
	{ "reason", .kind = BUS_CLI_TEXT, .argument = "TEXT", .fallback = "",
	  .help = "Why; kept with the move" },
	{ "actor", .kind = BUS_CLI_TEXT, .argument = "WHO",
	  .help = "Who moves it; else $BUSLINE_ACTOR, else user@host" },
	{ "abort", .kind = BUS_CLI_FLAG,
	  .help = "Open the topics of FROM that a killed run has left sealed" },
	{ 0 },
};

static const bus_cli_argument migrate_broker_arguments[] = {
	{ "FROM", .required = true, .help = "URL of the broker where the bus is" },
	{ "TO", .help = "URL of the one it goes to; not with --abort" },
	{ 0 },
};

static const bus_exit_row migrate_broker_exits[] = {
	{ BUS_EXIT_FAILED,
	  "nothing was moved: the topics on TO are others, or the bus is elsewhere" },
	{ BUS_EXIT_RETRY,
	  "another one is running, topics were made meanwhile, or it is not known whether it "
	  "came true: run it again" },
	{ 0, NULL },
};

const bus_cli_command bus_command_migrate_broker = {
	.name = "migrate-broker",
	.group = BUS_GROUP_RUN,
	.summary = "Move all topics to another broker while producers and workers run",
	.text = "Every record keeps its offset, so positions and ledger stay true. The topics of FROM are "
		"copied, then sealed (publishing is refused and tried again), the rest is copied, "
		"both sides are compared, and one row in PostgreSQL makes the move come true: workers, "
		"relay and every command that has a database go to TO within seconds. Before that row "
		"FROM is opened again whatever goes wrong; after it FROM stays sealed. A run that was "
		"interrupted is run again and goes on where it was. Moving back is the same the other way "
		"round. docs/migrate-broker.md tells what other clients see.",
	.options = migrate_broker_options,
	.arguments = migrate_broker_arguments,
	.examples =
		(const char *const[]){
			"busline migrate-broker nng+tcp://127.0.0.1:7440 kafka://k1:9092 --dry-run",
			"busline migrate-broker nng+tcp://127.0.0.1:7440 kafka://k1:9092 --verify --reason 'second machine'",
			"busline migrate-broker --abort nng+tcp://127.0.0.1:7440", NULL },
	.exits = migrate_broker_exits,
	.run = busp_migrate_broker_run,
};
