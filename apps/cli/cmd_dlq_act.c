/*
 * cmd_dlq_act.c - dlq redrive, edit, discard: what is done to dead letters, as events
 *
 * DESIGN
 * Every act is an event on the dead letter's own topic, in the partition where the letter lies:
 * the worker that owns the partition carries it out when it meets it. So acts are in the ledger,
 * with who and why, in order with everything else. Without --execute it is only shown what would
 * be done. Letters go in the order of the log; a held key is one act on its head, and the
 * others follow by themselves.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/cli/commands.h"
#include "apps/cli/dlq.h"
#include "apps/cli/publisher.h"
#include "core/json.h"

#define POLL_MS 100
#define PROGRESS_MS 1000

enum {
	COLUMN_TOPIC,
	COLUMN_PARTITION,
	COLUMN_OFFSET,
	COLUMN_CAUSE,
	COLUMN_TENANT,
	COLUMN_SUBJECT,
	COLUMN_TYPE,
	COLUMN_ID,
	COLUMN_REDRIVES,
	COLUMN_HEAD,
	COLUMN_FIRST,
	COLUMN_BEHIND,
};

typedef enum busp_outcome {
	BUSP_PLANNED,      /* it would be done */
	BUSP_REFUSED_HERE, /* it would not: reason says why */
	BUSP_SENT,
	BUSP_DONE,
	BUSP_FOLLOWING, /* the head went well, those behind it are not through yet */
	BUSP_FAILED_AGAIN,
} busp_outcome;

static const char *const outcomes[] = {
	[BUSP_PLANNED] = "planned",     [BUSP_REFUSED_HERE] = "refused",
	[BUSP_SENT] = "sent",           [BUSP_DONE] = "done",
	[BUSP_FOLLOWING] = "following", [BUSP_FAILED_AGAIN] = "failed",
};

/* One act: an event. */
typedef struct busp_target {
	bus_str topic, tenant, subject, cause, type;
	int64_t partition, offset;
	bool head;      /* of a held key */
	int64_t behind; /* events that wait behind it */
	busp_outcome outcome;
	bus_str reason;
} busp_target;

typedef struct busp_work {
	bus_cli *cli;
	const char *fact;   /* "redrive-requested" */
	const json_t *data; /* of an edit; NULL */
	busp_target *targets;
	size_t count;
	size_t planned;
	size_t sent;
	int64_t started_ms;
	int64_t told_ms;
} busp_work;

/* ---- what it is about ---- */

static void
busp_array_text(bus_buf *array, bus_str text)
{
	bus_buf_printf(array, "%s\"", array->len == 0 ? "{" : ",");
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '"' || text.data[i] == '\\') {
			bus_buf_byte(array, '\\');
		}
		bus_buf_printf(array, "%c", text.data[i]);
	}
	bus_buf_byte(array, '"');
}

/* The places named on the command line as three arrays; NULL if there is none. */
static bus_exit
busp_places(bus_cli *cli, bus_str ret_params[3])
{
	bus_buf arrays[3] = { 0 };
	bus_exit code = BUS_EXIT_OK;
	for (size_t i = 0; i < cli->argument_count && code == BUS_EXIT_OK; i++) {
		bus_str place[3];
		if (!bus_cli_dlq_place(cli->arguments[i], cli->arena, place)) {
			code = bus_cli_fail(BUS_EXIT_USAGE, cli->arguments[i],
					    "`busline dlq ls` shows where they lie",
					    "is not TOPIC/PARTITION@OFFSET");
			break;
		}
		for (size_t a = 0; a < 3; a++) {
			busp_array_text(&arrays[a], place[a]);
		}
	}
	for (size_t a = 0; a < 3; a++) {
		if (cli->argument_count > 0 && code == BUS_EXIT_OK) {
			bus_buf_byte(&arrays[a], '}');
			ret_params[a] =
				bus_arena_str(cli->arena, bus_buf_view(&arrays[a]));
		}
		bus_buf_fini(&arrays[a]);
	}
	return code;
}

/* Why this act need not be sent. */
static bus_str
busp_objection(const busp_work *work, const bus_table *table, size_t row)
{
	bus_cli *cli = work->cli;
	int64_t redrives = bus_table_int(table, row, COLUMN_REDRIVES, 0);
	bool redrive = strcmp(work->fact, "redrive-requested") == 0;
	if (bus_table_cell(table, row, COLUMN_TENANT).data == NULL &&
	    bus_cli_dlq_tenant(cli).data == NULL) {
		return BUS_STR("it names no tenant: say whose act this is with --tenant");
	}
	if (redrive && bus_table_cell(table, row, COLUMN_HEAD).data == NULL &&
	    redrives >= BUS_REDRIVES_MAX && !bus_cli_given(cli, "force")) {
		return bus_arena_printf(cli->arena,
					"redriven %lld times without success: edit it, or "
					"insist with --force",
					(long long)redrives);
	}
	return BUS_STR_NULL;
}

/* A row becomes a target, unless its head is one already. */
static void
busp_add_target(busp_work *work, const bus_table *table, size_t row)
{
	bool redrive = strcmp(work->fact, "redrive-requested") == 0;
	int64_t offset = bus_table_int(table, row, COLUMN_OFFSET, -1);
	int64_t head = bus_table_int(table, row, COLUMN_HEAD, -1);
	if (redrive && bus_table_int(table, row, COLUMN_FIRST, 1) == 0) {
		return; /* it follows its head */
	}
	busp_target *target = &work->targets[work->count++];
	bus_str tenant = bus_table_cell(table, row, COLUMN_TENANT);
	*target = (busp_target){
		.topic = bus_table_cell(table, row, COLUMN_TOPIC),
		.partition = bus_table_int(table, row, COLUMN_PARTITION, -1),
		.offset = redrive && head >= 0 ? head : offset,
		.tenant = tenant.data != NULL ? tenant : bus_cli_dlq_tenant(work->cli),
		.subject = bus_table_cell(table, row, COLUMN_SUBJECT),
		.cause = bus_table_cell(table, row, COLUMN_CAUSE),
		.type = bus_table_cell(table, row, COLUMN_TYPE),
		.head = head >= 0,
		.behind = redrive ? bus_table_int(table, row, COLUMN_BEHIND, 0) : 0,
		.reason = busp_objection(work, table, row),
	};
	target->outcome = target->reason.data != NULL ? BUSP_REFUSED_HERE : BUSP_PLANNED;
	work->planned += target->outcome == BUSP_PLANNED ? 1 : 0;
}

static bus_exit
busp_find_targets(busp_work *work)
{
	bus_cli *cli = work->cli;
	bool discard = strcmp(work->fact, "discard-requested") == 0;
	bus_str params[7] = { BUS_STR_NULL };
	bus_table table;
	bus_exit code = busp_places(cli, params);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	/* One that is named is meant, whosever it is. */
	params[3] = cli->argument_count > 0 ? BUS_STR_NULL : bus_cli_dlq_tenant(cli);
	if (work->data == NULL) { /* an edit is of one that is named */
		params[4] = bus_str_from(bus_cli_text(cli, "cause"));
		params[5] = bus_str_from(bus_cli_text(cli, "topic"));
		params[6] = bus_str_from(bus_cli_text(cli, "key"));
	}
	if (cli->argument_count == 0 && params[4].data == NULL &&
	    params[5].data == NULL && params[6].data == NULL) {
		return bus_cli_fail(BUS_EXIT_USAGE, NULL,
				    "name dead letters, or give --key, --cause or --topic",
				    "which dead letters?");
	}
	code = bus_cli_read(cli, "cli_dlq_targets", params, 7, &table);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	work->targets =
		bus_arena_alloc(cli->arena, (table.row_count + 1) * sizeof(busp_target));
	for (size_t i = 0; i < table.row_count; i++) {
		/* From behind: what waits must not move up between two acts. */
		busp_add_target(work, &table, discard ? table.row_count - 1 - i : i);
	}
	if (work->count == 0) {
		return bus_cli_fail(BUS_EXIT_FAILED, NULL,
				    "`busline dlq ls` shows what there is",
				    "no open dead letter is like that");
	}
	return BUS_EXIT_OK;
}

/* ---- sending ---- */

static bus_exit
busp_add(busp_work *work, bus_cli_publisher *publisher, const busp_target *target)
{
	bus_cli *cli = work->cli;
	BUS_JSON_AUTO *data = json_object();
	bus_event event = { .time_us = BUS_TIME_NONE };
	json_object_set_new(data, "partition", json_integer(target->partition));
	json_object_set_new(data, "offset", json_integer(target->offset));
	if (work->data != NULL) {
		json_object_set(data, "data", (json_t *)(uintptr_t)work->data);
	}
	if (strcmp(work->fact, "redrive-requested") == 0 && bus_cli_given(cli, "force")) {
		json_object_set_new(data, "force", json_true());
	}
	json_object_set_new(data, "reason", json_string(bus_cli_text(cli, "reason")));
	size_t len = json_dumpb(data, NULL, 0, JSON_COMPACT);
	char *text = bus_arena_alloc(publisher->arena, len + 1);
	json_dumpb(data, text, len, JSON_COMPACT);
	event.type =
		bus_arena_printf(publisher->arena, "io.busline.dlq.%s.v1", work->fact);
	event.tenant = target->tenant;
	event.subject = target->subject.len > 0 ? target->subject : BUS_STR_NULL;
	event.actor = bus_cli_actor(cli);
	event.data = (bus_str){ text, len };
	publisher->topic =
		bus_arena_printf(publisher->arena, "%.*s", BUS_STR_ARG(target->topic)).data;
	publisher->partition = (int32_t)target->partition;
	bus_exit code = bus_cli_publisher_add(publisher, &event, NULL);
	bus_event_fini(&event);
	return code;
}

/* What the broker may have is sent; what it does not have stays planned. */
static void
busp_learn(busp_work *work, const bus_cli_publisher *publisher, busp_target *const *batch)
{
	for (size_t i = 0; i < publisher->count; i++) {
		busp_target *target = batch[i];
		const bus_cli_sent *sent = &publisher->sent[i];
		bus_outcome outcome = publisher->publications[i].outcome;
		if (outcome != BUS_OUTCOME_DURABLE && outcome != BUS_OUTCOME_UNCERTAIN) {
			continue;
		}
		work->sent++;
		if (sent->verdict.data == NULL) {
			target->outcome = BUSP_SENT;
			continue;
		}
		bool applied = bus_str_is(sent->verdict, "APPLIED");
		target->outcome = !applied                           ? BUSP_FAILED_AGAIN :
				  target->head && target->behind > 0 ? BUSP_FOLLOWING :
								       BUSP_DONE;
		target->reason = bus_arena_str(work->cli->arena, sent->reason);
	}
}

static void
busp_progress(busp_work *work, bool last)
{
	int64_t now_ms = bus_clock_mono_ms(work->cli->clock);
	int64_t spent_ms = now_ms - work->started_ms;
	if (work->planned < 2 || spent_ms < PROGRESS_MS ||
	    (!last && now_ms - work->told_ms < PROGRESS_MS)) {
		return;
	}
	work->told_ms = now_ms;
	double rate = (double)work->sent * 1000.0 / (double)spent_ms;
	bus_cli_note(work->cli, "%zu of %zu, %.*f/s, %.0f s left", work->sent,
		     work->planned, rate < 10 ? 1 : 0, rate,
		     rate > 0 ? (double)(work->planned - work->sent) / rate : 0.0);
}

/* With --rate, no more at once than a tenth of a second may have. */
static size_t
busp_batch_size(const bus_cli *cli)
{
	int64_t rate = bus_cli_int(cli, "rate");
	return rate <= 0       ? 200 :
	       rate < 10       ? 1 :
	       rate / 10 > 200 ? 200 :
				 (size_t)(rate / 10);
}

/* A ceiling at every moment: what a stall has cost is not caught up in a burst. */
static void
busp_keep_rate(const busp_work *work, int64_t begun_ms, size_t count)
{
	int64_t rate = bus_cli_int(work->cli, "rate");
	int64_t now_ms = bus_clock_mono_ms(work->cli->clock);
	if (rate > 0) {
		int64_t due_ms = begun_ms + ((int64_t)count * 1000 + rate - 1) / rate;
		if (due_ms > now_ms) {
			bus_cli_pause(due_ms - now_ms);
		}
	}
}

static bus_exit
busp_send_all(busp_work *work)
{
	bus_cli *cli = work->cli;
	BUS_PUBLISHER_AUTO *publisher = NULL;
	busp_target *batch[BUS_CLI_BATCH_MAX];
	size_t size = busp_batch_size(cli);
	bus_exit code = bus_cli_publisher_create(cli, true, &publisher);
	work->started_ms = work->told_ms = bus_clock_mono_ms(cli->clock);
	for (size_t i = 0; i < work->count && code == BUS_EXIT_OK;) {
		size_t count = 0;
		for (; i < work->count && count < size && code == BUS_EXIT_OK; i++) {
			if (work->targets[i].outcome == BUSP_PLANNED) {
				batch[count++] = &work->targets[i];
				code = busp_add(work, publisher, batch[count - 1]);
			}
		}
		int64_t begun_ms = bus_clock_mono_ms(cli->clock);
		if (code == BUS_EXIT_OK) {
			code = bus_cli_publisher_flush(publisher);
			busp_learn(work, publisher, batch);
		}
		publisher->count = 0;
		bus_arena_reset(publisher->arena);
		busp_progress(work, i == work->count);
		if (i < work->count && code == BUS_EXIT_OK) {
			busp_keep_rate(work, begun_ms, count);
		}
	}
	return code;
}

/* ---- those that follow ---- */

static bus_str
busp_keys_params(const busp_work *work, bus_str params[4], size_t *indices)
{
	bus_buf arrays[4] = { 0 };
	size_t count = 0;
	for (size_t i = 0; i < work->count; i++) {
		const busp_target *target = &work->targets[i];
		if (target->outcome != BUSP_FOLLOWING) {
			continue;
		}
		indices[count++] = i;
		busp_array_text(&arrays[0], target->topic);
		busp_array_text(&arrays[1],
				bus_cli_number(work->cli->arena, target->partition));
		busp_array_text(&arrays[2], target->tenant);
		busp_array_text(&arrays[3], target->subject);
	}
	for (size_t a = 0; a < 4; a++) {
		if (count > 0) {
			bus_buf_byte(&arrays[a], '}');
			params[a] =
				bus_arena_str(work->cli->arena, bus_buf_view(&arrays[a]));
		}
		bus_buf_fini(&arrays[a]);
	}
	return params[0];
}

/* How far the keys are whose heads went well; *ret_left counts those that are not free. */
static bus_exit
busp_look(busp_work *work, size_t *ret_left)
{
	bus_cli *cli = work->cli;
	bus_table table;
	bus_str params[4] = { BUS_STR_NULL };
	size_t *indices = bus_arena_alloc(cli->arena, (work->count + 1) * sizeof(size_t));
	*ret_left = 0;
	if (busp_keys_params(work, params, indices).data == NULL) {
		return BUS_EXIT_OK;
	}
	bus_exit code = bus_cli_read(cli, "cli_dlq_keys", params, 4, &table);
	for (size_t row = 0; code == BUS_EXIT_OK && row < table.row_count; row++) {
		busp_target *target =
			&work->targets[indices[bus_table_int(&table, row, 0, 1) - 1]];
		bus_str state = bus_table_cell(&table, row, 1);
		if (state.data == NULL) {
			target->outcome = BUSP_DONE;
		} else if (bus_str_is(state, "held")) {
			target->outcome = BUSP_FAILED_AGAIN;
			target->reason = bus_arena_printf(
				cli->arena, "offset %.*s behind it fails: %.*s",
				BUS_STR_ARG(bus_table_cell(&table, row, 2)),
				BUS_STR_ARG(bus_table_cell(&table, row, 3)));
		} else {
			*ret_left += 1;
		}
	}
	return code;
}

static bus_exit
busp_follow_keys(busp_work *work)
{
	bus_cli *cli = work->cli;
	int64_t deadline = bus_clock_mono_ms(cli->clock) + bus_cli_ms(cli, "timeout");
	for (;;) {
		size_t left;
		bus_exit code = busp_look(work, &left);
		if (code != BUS_EXIT_OK || left == 0) {
			return code;
		}
		if (bus_clock_mono_ms(cli->clock) >= deadline) {
			return bus_cli_fail(
				BUS_EXIT_TIMEOUT, NULL,
				"do clock and relay run? `busline dlq ls --keys` "
				"shows how far they are",
				"events still wait for %zu keys after their "
				"heads went well",
				left);
		}
		bus_cli_pause(POLL_MS);
	}
}

/* ---- saying it ---- */

static void
busp_print(const busp_work *work)
{
	static const bus_cli_column columns[] = {
		{ "topic", .cell = BUS_CLI_CELL_TEXT },
		{ "partition", .cell = BUS_CLI_CELL_NUMBER },
		{ "offset", .cell = BUS_CLI_CELL_NUMBER },
		{ "cause", .cell = BUS_CLI_CELL_TEXT },
		{ "tenant", .cell = BUS_CLI_CELL_TEXT },
		{ "subject", .cell = BUS_CLI_CELL_TEXT },
		{ "type", .cell = BUS_CLI_CELL_TEXT },
		{ "behind", .cell = BUS_CLI_CELL_NUMBER },
		{ "outcome", .cell = BUS_CLI_CELL_TEXT },
		{ "reason", .cell = BUS_CLI_CELL_TEXT },
	};
	bus_arena *arena = work->cli->arena;
	bus_cli_rows rows;
	bus_cli_rows_init(&rows, arena, columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < work->count; i++) {
		const busp_target *target = &work->targets[i];
		bus_cli_rows_add(&rows, (const bus_str[]){
						target->topic,
						bus_cli_number(arena, target->partition),
						bus_cli_number(arena, target->offset),
						target->cause,
						target->tenant,
						target->subject,
						target->type,
						bus_cli_number(arena, target->behind),
						bus_str_from(outcomes[target->outcome]),
						target->reason,
					});
	}
	bus_cli_print(work->cli, &rows.table);
}

static bus_exit
busp_conclude(const busp_work *work, bus_exit code)
{
	size_t of[sizeof(outcomes) / sizeof(outcomes[0])] = { 0 };
	int64_t behind = 0;
	for (size_t i = 0; i < work->count; i++) {
		of[work->targets[i].outcome]++;
		behind += work->targets[i].outcome == BUSP_DONE ?
				  work->targets[i].behind :
				  0;
	}
	busp_print(work);
	if (strcmp(bus_cli_text(work->cli, "wait"), "durable") == 0) {
		bus_cli_note(work->cli, "%zu published; not waited for", of[BUSP_SENT]);
		of[BUSP_SENT] = 0;
	} else {
		bus_cli_note(work->cli,
			     "%zu done, and %lld that waited behind them; %zu failed, %zu "
			     "refused",
			     of[BUSP_DONE], (long long)behind, of[BUSP_FAILED_AGAIN],
			     of[BUSP_REFUSED_HERE]);
	}
	if (of[BUSP_SENT] + of[BUSP_PLANNED] > 0) {
		bus_cli_note(work->cli, "%zu published without an answer, %zu not sent",
			     of[BUSP_SENT], of[BUSP_PLANNED]);
	}
	return code == BUS_EXIT_OK && of[BUSP_FAILED_AGAIN] + of[BUSP_REFUSED_HERE] > 0 ?
		       BUS_EXIT_FAILED :
		       code;
}

static bus_exit
busp_act(bus_cli *cli, const char *fact, const json_t *data)
{
	busp_work work = { .cli = cli, .fact = fact, .data = data };
	bus_exit code = busp_find_targets(&work);
	if (code != BUS_EXIT_OK) {
		return code;
	}
	if (!bus_cli_given(cli, "execute")) {
		busp_print(&work);
		bus_cli_note(cli, "nothing was done: --execute does it");
		return BUS_EXIT_OK;
	}
	code = busp_send_all(&work);
	if (code == BUS_EXIT_OK) {
		code = busp_follow_keys(&work);
	}
	return busp_conclude(&work, code);
}

/* ---- the commands ---- */

#define SELECT_OPTIONS                                                                   \
	{ "key", .kind = BUS_CLI_TEXT, .argument = "TENANT/SUBJECT",                     \
	  .help = "All of this key" },                                                   \
		{ "cause", .kind = BUS_CLI_TEXT, .argument = "CAUSE",                    \
		  .values = "@causes", .help = "All with this cause" },                  \
		{ "topic", .kind = BUS_CLI_TEXT, .argument = "TOPIC",                    \
		  .help = "All of this topic" },                                         \
		BUS_CLI_DLQ_TENANT

#define ACT_OPTIONS                                                                        \
	{ "reason", .kind = BUS_CLI_TEXT, .required = true, .argument = "TEXT",            \
	  .help = "Why; it is kept with the act" },                                        \
		{ "execute", 'x', BUS_CLI_FLAG,                                            \
		  .help = "Do it; without, it is shown what would be done" },              \
		{ "rate", .kind = BUS_CLI_INT, .argument = "N", .fallback = "0",           \
		  .help = "At most so many a second; 0: as fast as they are done" },       \
		{ "actor", .kind = BUS_CLI_TEXT, .argument = "WHO",                        \
		  .help = "Who wants it; else $BUSLINE_ACTOR, else user@host" },           \
		{ "wait",                                                                  \
		  .kind = BUS_CLI_CHOICE,                                                  \
		  .argument = "durable|applied",                                           \
		  .fallback = "applied",                                                   \
		  .bare = "applied",                                                       \
		  .values = "durable|applied",                                             \
		  .help = "Return when the broker has the acts, or when it is known what " \
			  "became of them" },                                              \
	{                                                                                  \
		"timeout", .kind = BUS_CLI_SECONDS, .argument = "TIME",                    \
			   .fallback = "30s",                                              \
			   .help = "Longest wait for the broker, for verdicts, and for "   \
				   "what waits behind a head"                              \
	}

static const bus_cli_argument place_arguments[] = {
	{ "TOPIC/PARTITION@OFFSET", .many = true, .help = "Where it lies in the log" },
	{ 0 },
};

static const bus_exit_row act_exits[] = {
	{ BUS_EXIT_FAILED, "one of them failed again, or was refused" },
	{ BUS_EXIT_TIMEOUT, "the acts are published, but not all is done in time" },
	{ 0, NULL },
};

static bus_exit
busp_redrive_run(bus_cli *cli)
{
	return busp_act(cli, "redrive-requested", NULL);
}

static const bus_cli_option redrive_options[] = {
	SELECT_OPTIONS,
	{ "force", .kind = BUS_CLI_FLAG,
	  .help = "Also what was redriven three times without success" },
	ACT_OPTIONS,
	{ 0 },
};

const bus_cli_command bus_command_dlq_redrive = {
	.name = "dlq redrive",
	.group = BUS_GROUP_LOOK,
	.summary = "Fold dead letters now, in the order of the log; try held keys again",
	.text = "A held key gets a fresh budget: its head is tried, and those behind it follow by "
		"themselves. A dead letter that holds nothing is folded as it is, or as it was "
		"edited.",
	.options = redrive_options,
	.arguments = place_arguments,
	.examples =
		(const char *const[]){
			"busline dlq redrive --key acme/shop --reason 'the lock is gone'",
			"busline dlq redrive --cause transient --reason 'disk is back' --execute",
			"busline dlq redrive busline.scale/3@17 --reason edited -x",
			NULL },
	.exits = act_exits,
	.run = busp_redrive_run,
};

static bus_exit
busp_discard_run(bus_cli *cli)
{
	return busp_act(cli, "discard-requested", NULL);
}

static const bus_cli_option discard_options[] = {
	SELECT_OPTIONS,
	ACT_OPTIONS,
	{ 0 },
};

const bus_cli_command bus_command_dlq_discard = {
	.name = "dlq discard",
	.group = BUS_GROUP_LOOK,
	.summary =
		"Be done with dead letters without effect; what waits behind them goes on",
	.text = "The bytes stay where they are, with who discarded them and why. It cannot be undone; "
		"publish the event anew instead.",
	.options = discard_options,
	.arguments = place_arguments,
	.examples =
		(const char *const[]){
			"busline dlq discard busline.scale/3@17 --reason 'sent by mistake' -x",
			NULL },
	.exits = act_exits,
	.run = busp_discard_run,
};

/* JSON of --data: itself, or the file behind @, or standard input for @-. */
static bus_exit
busp_edited(bus_cli *cli, json_t **ret_data)
{
	const char *text = bus_cli_text(cli, "data");
	json_error_t why;
	json_t *data = text[0] != '@' ?
			       json_loads(text, JSON_REJECT_DUPLICATES, &why) :
		       strcmp(text, "@-") == 0 ?
			       json_loadf(stdin, JSON_REJECT_DUPLICATES, &why) :
			       json_load_file(text + 1, JSON_REJECT_DUPLICATES, &why);
	if (data == NULL || !json_is_object(data)) {
		json_decref(data);
		return bus_cli_fail(BUS_EXIT_DATA, "--data", NULL, "%s",
				    data == NULL ? why.text : "is no JSON object");
	}
	*ret_data = data;
	return BUS_EXIT_OK;
}

static bus_exit
busp_edit_run(bus_cli *cli)
{
	BUS_JSON_AUTO *data = NULL;
	bus_exit code = busp_edited(cli, &data);
	return code == BUS_EXIT_OK ? busp_act(cli, "edit-requested", data) : code;
}

static const bus_cli_option edit_options[] = {
	{ "data", .kind = BUS_CLI_TEXT, .required = true, .argument = "JSON|@FILE",
	  .help = "What is folded instead of its data; @- reads standard input" },
	BUS_CLI_DLQ_TENANT,
	ACT_OPTIONS,
	{ 0 },
};

static const bus_cli_argument edit_arguments[] = {
	{ "TOPIC/PARTITION@OFFSET", .required = true, .help = "Where it lies in the log" },
	{ 0 },
};

const bus_cli_command bus_command_dlq_edit = {
	.name = "dlq edit",
	.group = BUS_GROUP_LOOK,
	.summary = "Give a dead letter other data; the next redrive folds that",
	.text = "The bytes received stay beside it; nothing is folded yet.",
	.options = edit_options,
	.arguments = edit_arguments,
	.examples =
		(const char *const[]){
			"busline dlq edit busline.scale/3@17 --data '{\"process\": \"web\", "
			"\"replicas\": 3}' --reason 'replicas was a text' -x",
			NULL },
	.exits = act_exits,
	.run = busp_edit_run,
};
