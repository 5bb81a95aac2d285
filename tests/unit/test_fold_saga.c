/*
 * test_fold_saga.c - lives of sagas, event by event: what is sent, which timers, what the rows say
 *
 * A life is a list of lines: an event, and one text of all that its fold does. The definition is
 * tests/unit/saga_lives/move.v1.json: deploy, grow, shift (the pivot), retire.
 */
#include <stdio.h>
#include <stdlib.h>

#include "schemas/saga.h"
#include "tests/support/fold_bench_private.h"
#include "tests/support/suite.h"
#include "workers/saga/handler.h"

#define FOLDER "tests/unit/saga_lives"
#define PREFIX "io.busline."

typedef struct line {
	const char *what; /* "ok deploy/do/1", see make_event; NULL ends a life */
	const char *data; /* of the fact, the request, the operator; or NULL */
	const char *expected;
} line;

typedef struct life {
	const char *name;
	const line *lines;
	const char *end; /* the saga's row as text */
} life;

static bus_registry *registry;

static int
setup(void)
{
	bus_error err = BUS_ERROR_INIT;
	bus_config *config = bus_config_create();
	bus_status status = bus_registry_create(&registry, &err);
	if (status == BUS_OK) {
		status = bus_config_set(config, BUS_CONF_SAGA_DEFINITIONS,
					BUS_STR(FOLDER), BUS_ORIGIN_FLAG, "test", &err);
	}
	if (status == BUS_OK) {
		status = bus_saga_worker.prepare(config, registry, &err);
	}
	bus_config_destroy(config);
	if (status != BUS_OK) {
		fprintf(stderr, "fold_saga: %s\n", err.text);
		return 1;
	}
	return 0;
}

/* ---- events ---- */

static const char *
answer_type(const char *verb, const char *attempt)
{
	bool ok = strcmp(verb, "ok") == 0;
	if (strncmp(attempt, "deploy/undo", 11) == 0) {
		return ok ? "deploy.started" : "deploy.failed";
	}
	const char *family = strncmp(attempt, "deploy", 6) == 0 ? "deploy" :
			     strncmp(attempt, "shift", 5) == 0  ? "route" :
								  "scale";
	static char text[32];
	snprintf(text, sizeof(text), "%s.%s", family,
		 !ok                          ? "failed" :
		 strcmp(family, "route") == 0 ? "changed" :
						"succeeded");
	return text;
}

static json_t *
answer(const char *type, const char *outcome, const char *sagastep, const char *data)
{
	char full[96];
	snprintf(full, sizeof(full), PREFIX "%s.v1", type);
	json_t *json = json_pack("{s:s,s:s,s:s,s:s}", "type", full, "source", "/test",
				 "id", "1", "outcome", outcome);
	if (sagastep != NULL) {
		json_object_set_new(json, "sagastep", json_string(sagastep));
	}
	if (data != NULL) {
		json_object_set_new(json, "data", busp_bench_json(data));
	}
	return json;
}

/*
 * begin | ok ATTEMPT | fail ATTEMPT | refuse ATTEMPT (its action became a dead letter) |
 * fact TYPE [ATTEMPT] | timer NAME | retry STEP | skip STEP | compensate | cancel
 */
static json_t *
make_event(const line *l, const char **ret_type)
{
	char verb[16] = "", first[64] = "", second[64] = "";
	sscanf(l->what, "%15s %63s %63s", verb, first, second);
	*ret_type = "saga.answered";
	if (strcmp(verb, "begin") == 0) {
		*ret_type = "saga.requested";
		return busp_bench_json(l->data);
	}
	if (strcmp(verb, "ok") == 0 || strcmp(verb, "fail") == 0) {
		return answer(answer_type(verb, first), "applied", first, l->data);
	}
	if (strcmp(verb, "refuse") == 0) {
		json_t *json = answer(l->data, "rejected", first, NULL);
		json_object_set_new(json, "reason", json_string("no such app"));
		return json;
	}
	if (strcmp(verb, "fact") == 0) {
		return answer(first, "applied", *second != '\0' ? second : NULL, l->data);
	}
	if (strcmp(verb, "timer") == 0) {
		*ret_type = "timer.fired";
		return json_pack("{s:s,s:s,s:i}", "name", first, "due",
				 "2026-11-21T08:00:00Z", "late_ms", 1);
	}
	static char type[64];
	snprintf(type, sizeof(type), "saga.%s-requested", verb);
	*ret_type = type;
	json_t *json = json_pack("{s:s}", "reason", "because");
	if (*first != '\0') {
		json_object_set_new(json, "step", json_string(first));
	}
	return json;
}

/* ---- what a fold does, as one text ---- */

static void
say_follow_ups(const bus_fold_item *item, bus_arena *arena, bus_buf *out)
{
	for (size_t i = 0; i < item->follow_up_count; i++) {
		bus_event event;
		bus_cause cause;
		bus_error err = BUS_ERROR_INIT;
		const bus_outbox_row *row = &item->follow_ups[i];
		CU_ASSERT_EQUAL_FATAL(bus_event_parse(&row->record, arena, &event, &cause,
						      &err),
				      BUS_OK);
		bus_schema_report report;
		CU_ASSERT_EQUAL(bus_registry_validate(registry, row->topic, &event,
						      &report, &cause, &err),
				BUS_OK);
		bus_str name = { event.type.data + strlen(PREFIX),
				 event.type.len - strlen(PREFIX) - 3 };
		bus_buf_printf(out, "; > %.*s", BUS_STR_ARG(name));
		if (event.sagaid.data != NULL) {
			CU_ASSERT(bus_str_is(event.sagaid, "s1"));
			bus_buf_printf(out, " %.*s %.*s", BUS_STR_ARG(event.subject),
				       BUS_STR_ARG(event.sagastep));
		}
		bus_buf_printf(out, " %.*s", BUS_STR_ARG(event.data));
		bus_event_fini(&event);
	}
}

static void
say_all(const bus_fold_item *item, bus_arena *arena, bus_buf *out)
{
	bus_buf_cstr(out, bus_verdict_name(item->verdict));
	if (item->reason.data != NULL) {
		bus_buf_printf(out, ": %.*s", BUS_STR_ARG(item->reason));
	}
	say_follow_ups(item, arena, out);
	for (size_t i = 0; i < item->timer_count; i++) {
		const bus_timer_write *t = &item->timers[i];
		bus_buf_printf(out, "; %c%.*s", t->cancelled ? '-' : '+',
			       BUS_STR_ARG(t->name));
		if (!t->cancelled) {
			bus_buf_printf(out, " %lld", (long long)t->delay_ms);
		}
	}
	for (size_t i = 0; i < item->incident_count; i++) {
		bus_buf_printf(out, "; %s %s",
			       item->incidents[i].closed ? "closes" : "opens",
			       item->incidents[i].kind);
	}
	bus_buf_byte(out, 0);
}

/* ---- a life ---- */

typedef struct bench {
	busp_bench rows;
	bus_folder *folder;
	int events;
} bench;

static void
keep(bench *b)
{
	const bus_unit_write *writes;
	size_t count;
	bus_folder_writes(b->folder, &writes, &count);
	for (size_t w = 0; w < count; w++) {
		for (size_t i = 0; i < writes[w].count; i++) {
			busp_bench_put(&b->rows, writes[w].type, writes[w].rows[i]);
		}
	}
	/* what the next event needs comes from the rows, as after a restart */
	bus_folder_forget(b->folder);
}

static void
live(bench *b, const char *name, const line *l)
{
	BUS_BUF_AUTO out = { 0 };
	bus_error err = BUS_ERROR_INIT;
	const char *type;
	json_t *given = make_event(l, &type);
	char *text = json_dumps(given, JSON_COMPACT);
	bus_event event = {
		.id = bus_arena_printf(b->rows.arena, "%d", ++b->events),
		.source = BUS_STR("/test"),
		.type = bus_arena_printf(b->rows.arena, PREFIX "%s.v1", type),
		.subject = BUS_STR("s1"),
		.time_us = b->events * 1000000,
		.tenant = BUS_STR("acme"),
		.actor = BUS_STR("ann"),
		.datacontenttype = BUS_STR("application/json"),
		.data = bus_arena_str(b->rows.arena, bus_str_from(text)),
	};
	free(text);
	json_decref(given);
	bus_schema_report report;
	bus_cause cause;
	CU_ASSERT_EQUAL(bus_registry_validate(registry, BUS_STR(BUS_SAGA_TOPIC), &event,
					      &report, &cause, &err),
			BUS_OK);
	json_t *data = NULL;
	CU_ASSERT_EQUAL_FATAL(bus_event_data(&event, &data, &err), BUS_OK);
	bus_fold_item item = { .event = &event, .data = data };
	CU_ASSERT_EQUAL_FATAL(bus_folder_run(b->folder, &item, 1, b->rows.arena, &err),
			      BUS_OK);
	say_all(&item, b->rows.arena, &out);
	char what[160];
	snprintf(what, sizeof(what), "event %d, %s", b->events, l->what);
	busp_bench_check(strcmp((const char *)out.data, l->expected) == 0, what, name,
			 (const char *)out.data, l->expected);
	keep(b);
	bus_event_fini(&event);
}

/* "status direction stage; step status do/undo attempts; ..." */
static bus_str
describe(bench *b)
{
	bus_str text = BUS_STR("no saga");
	busp_bench_sort(&b->rows);
	for (size_t i = 0; i < b->rows.row_count; i++) {
		const busp_bench_row *row = &b->rows.rows[i];
		if (row->type == &bus_saga_table) {
			const bus_saga_row *s = row->row;
			text = bus_arena_printf(b->rows.arena,
						"%.*s %.*s %d%s%s%.*s%s%.*s",
						BUS_STR_ARG(s->status),
						BUS_STR_ARG(s->direction), (int)s->stage,
						s->finished_at != BUS_INT_NULL ?
							" ended" :
							"",
						s->failed_step.data != NULL ? " " : "",
						BUS_STR_ARG(s->failed_step),
						s->reason.data != NULL ? ": " : "",
						BUS_STR_ARG(s->reason));
		} else {
			const bus_saga_step_row *s = row->row;
			CU_ASSERT_EQUAL(s->began_at == BUS_INT_NULL, s->do_attempts == 0);
			CU_ASSERT_EQUAL(s->ended_at == BUS_INT_NULL,
					s->do_attempts == 0 || s->due_at != BUS_INT_NULL);
			CU_ASSERT_EQUAL(s->undone_at != BUS_INT_NULL,
					bus_str_is(s->status, "undone"));
			text = bus_arena_printf(b->rows.arena, "%.*s; %.*s %.*s %d/%d%s",
						BUS_STR_ARG(text), BUS_STR_ARG(s->step),
						BUS_STR_ARG(s->status),
						(int)s->do_attempts,
						(int)s->undo_attempts,
						s->due_at != BUS_INT_NULL ? " due" : "");
		}
	}
	return text;
}

static void
run_life(const life *l)
{
	bench b = { 0 };
	busp_bench_init(&b.rows, &bus_saga_worker);
	b.folder = bus_folder_create(&bus_saga_worker,
				     (bus_fold_source){ busp_bench_load, &b.rows }, 1000);
	for (const line *each = l->lines; each->what != NULL; each++) {
		live(&b, l->name, each);
	}
	bus_str end = describe(&b);
	busp_bench_check(bus_str_is(end, l->end), "the end", l->name, end.data, l->end);
	bus_folder_destroy(b.folder);
	busp_bench_fini(&b.rows);
}

#define INPUT                                                                            \
	"{'definition':'move','input':{'app':'shop','image':'shop:2','host':'a.example'}}"
#define BEGIN                                                                                   \
	{                                                                                       \
		"begin", INPUT,                                                                 \
			"APPLIED; > deploy.requested shop deploy/do/1 {\"image\":\"shop:2\"}; " \
			"+deadline/deploy/do/1 600000"                                          \
	}

static const line straight[] = {
	BEGIN,
	{ "ok deploy/do/1", "{'release':7}",
	  "APPLIED; > scale.requested shop grow/do/1 {\"process\":\"web\",\"replicas\":2}; -deadline/deploy/do/1; +deadline/grow/do/1 60000" },
	{ "ok grow/do/1", NULL,
	  "APPLIED; > route.change-requested shop shift/do/1 {\"host\":\"a.example\",\"targets\":[{\"release\":7,\"weight\":100}]}; -deadline/grow/do/1; +deadline/shift/do/1 1500" },
	{ "ok shift/do/1", NULL,
	  "APPLIED; > scale.requested shop retire/do/1 {\"process\":\"old\",\"replicas\":0}; -deadline/shift/do/1; +deadline/retire/do/1 3600000" },
	{ "ok retire/do/1", NULL,
	  "APPLIED; > saga.completed {\"definition\":\"move\",\"version\":1}; -deadline/retire/do/1" },
	{ "ok retire/do/1", NULL,
	  "IGNORED: retire is done: this attempt has said so before" },
	{ "cancel", NULL, "REJECTED: the saga has ended" },
	{ NULL, NULL, NULL },
};

static const line taken_back[] = {
	BEGIN,
	{ "ok deploy/do/1", "{'release':7}",
	  "APPLIED; > scale.requested shop grow/do/1 {\"process\":\"web\",\"replicas\":2}; -deadline/deploy/do/1; +deadline/grow/do/1 60000" },
	{ "fail grow/do/1", "{'reason':'no quota'}",
	  "APPLIED; > deploy.rollback-requested shop deploy/undo/1 {\"reason\":\"taken back\"}; -deadline/grow/do/1; +deadline/deploy/undo/1 30000" },
	{ "ok deploy/undo/1", NULL,
	  "APPLIED; > saga.compensated {\"definition\":\"move\",\"version\":1,\"step\":\"grow\",\"reason\":\"no quota\"}; -deadline/deploy/undo/1" },
	{ "fail grow/do/1", NULL,
	  "IGNORED: grow is failed: this attempt has answered before" },
	{ "ok grow/do/1", NULL,
	  "APPLIED; > scale.requested shop grow/undo/1 {\"process\":\"web\",\"replicas\":1}; +deadline/grow/undo/1 60000" },
	{ "ok grow/do/1", NULL,
	  "IGNORED: grow is undoing: this attempt has said so before" },
	{ "ok grow/undo/1", NULL,
	  "APPLIED; > saga.compensated {\"definition\":\"move\",\"version\":1,\"step\":\"grow\",\"reason\":\"no quota\"}; -deadline/grow/undo/1" },
	{ "ok grow/undo/1", NULL, "IGNORED: grow is undone: it is taken back already" },
	{ NULL, NULL, NULL },
};

static const line tried_again[] = {
	BEGIN,
	{ "timer deadline/deploy/do/1", NULL, "APPLIED; +retry/deploy/do/2 5000" },
	{ "timer deadline/deploy/do/1", NULL,
	  "IGNORED: deploy is paused: the attempt has answered, or its time was over before" },
	{ "timer retry/deploy/do/2", NULL,
	  "APPLIED; > deploy.requested shop deploy/do/2 {\"image\":\"shop:2\"}; +deadline/deploy/do/2 600000" },
	{ "timer retry/deploy/do/2", NULL,
	  "IGNORED: deploy is running: a timer of another attempt" },
	{ "timer deadline/deploy/do/2", NULL, "APPLIED; +retry/deploy/do/3 8000" },
	{ "fail deploy/do/1", NULL, "APPLIED" },
	{ "timer retry/deploy/do/3", NULL,
	  "APPLIED; > deploy.requested shop deploy/do/3 {\"image\":\"shop:2\"}; +deadline/deploy/do/3 600000" },
	{ "fail deploy/do/3", "{'reason':'no disk'}",
	  "APPLIED; > deploy.rollback-requested shop deploy/undo/1 {\"reason\":\"taken back\"}; -deadline/deploy/do/3; +deadline/deploy/undo/1 30000" },
	{ "fail deploy/undo/1", "{'reason':'busy'}",
	  "APPLIED; -deadline/deploy/undo/1; +retry/deploy/undo/2 1000" },
	{ "timer retry/deploy/undo/2", NULL,
	  "APPLIED; > deploy.rollback-requested shop deploy/undo/2 {\"reason\":\"taken back\"}; +deadline/deploy/undo/2 30000" },
	{ "timer deadline/deploy/undo/2", NULL,
	  "APPLIED; > saga.parked {\"definition\":\"move\",\"version\":1,\"step\":\"deploy\",\"reason\":\"no answer within 30s\"}; opens saga-parked" },
	{ "cancel", NULL, "REJECTED: the saga is parked: retry, skip or compensate" },
	{ "compensate", NULL, "REJECTED: the saga goes back already" },
	{ "skip grow", NULL,
	  "REJECTED: grow is idle: only a step that is stuck is skipped" },
	{ "retry deploy", NULL,
	  "APPLIED; > deploy.rollback-requested shop deploy/undo/3 {\"reason\":\"taken back\"}; +deadline/deploy/undo/3 30000; closes saga-parked" },
	{ "retry deploy", NULL, "REJECTED: deploy is undoing: an attempt is out" },
	{ "ok deploy/undo/2", NULL,
	  "IGNORED: deploy is undoing: only the last attempt of a compensation counts" },
	{ "ok deploy/undo/3", NULL,
	  "APPLIED; > saga.compensated {\"definition\":\"move\",\"version\":1,\"step\":\"deploy\",\"reason\":\"no disk\"}; -deadline/deploy/undo/3" },
	{ NULL, NULL, NULL },
};

static const line past_pivot[] = {
	BEGIN,
	{ "ok deploy/do/1", "{'release':7}",
	  "APPLIED; > scale.requested shop grow/do/1 {\"process\":\"web\",\"replicas\":2}; -deadline/deploy/do/1; +deadline/grow/do/1 60000" },
	{ "ok grow/do/1", NULL,
	  "APPLIED; > route.change-requested shop shift/do/1 {\"host\":\"a.example\",\"targets\":[{\"release\":7,\"weight\":100}]}; -deadline/grow/do/1; +deadline/shift/do/1 1500" },
	{ "ok shift/do/1", NULL,
	  "APPLIED; > scale.requested shop retire/do/1 {\"process\":\"old\",\"replicas\":0}; -deadline/shift/do/1; +deadline/retire/do/1 3600000" },
	{ "fail retire/do/1", "{'reason':'no such process'}",
	  "APPLIED; > saga.parked {\"definition\":\"move\",\"version\":1,\"step\":\"retire\",\"reason\":\"no such process\"}; -deadline/retire/do/1; opens saga-parked" },
	{ "cancel", NULL, "REJECTED: the saga is parked: retry, skip or compensate" },
	{ "retry retire", NULL,
	  "APPLIED; > scale.requested shop retire/do/2 {\"process\":\"old\",\"replicas\":0}; +deadline/retire/do/2 3600000; closes saga-parked" },
	{ "timer deadline/retire/do/2", NULL,
	  "APPLIED; > saga.parked {\"definition\":\"move\",\"version\":1,\"step\":\"retire\",\"reason\":\"no answer within 1h\"}; opens saga-parked" },
	{ "compensate", NULL,
	  "APPLIED; > scale.requested shop grow/undo/1 {\"process\":\"web\",\"replicas\":1}; +deadline/grow/undo/1 60000; closes saga-parked" },
	{ "ok grow/undo/1", NULL,
	  "APPLIED; > deploy.rollback-requested shop deploy/undo/1 {\"reason\":\"taken back\"}; -deadline/grow/undo/1; +deadline/deploy/undo/1 30000" },
	{ "ok deploy/undo/1", NULL,
	  "APPLIED; > saga.compensated {\"definition\":\"move\",\"version\":1,\"step\":\"retire\",\"reason\":\"sent back by ann: because\"}; -deadline/deploy/undo/1" },
	{ NULL, NULL, NULL },
};

static const line late_pivot[] = {
	BEGIN,
	{ "ok deploy/do/1", "{'release':7}",
	  "APPLIED; > scale.requested shop grow/do/1 {\"process\":\"web\",\"replicas\":2}; -deadline/deploy/do/1; +deadline/grow/do/1 60000" },
	{ "ok grow/do/1", NULL,
	  "APPLIED; > route.change-requested shop shift/do/1 {\"host\":\"a.example\",\"targets\":[{\"release\":7,\"weight\":100}]}; -deadline/grow/do/1; +deadline/shift/do/1 1500" },
	{ "timer deadline/shift/do/1", NULL,
	  "APPLIED; > saga.parked {\"definition\":\"move\",\"version\":1,\"step\":\"shift\",\"reason\":\"no answer within 1500ms\"}; opens saga-parked" },
	{ "ok shift/do/1", NULL,
	  "APPLIED; > scale.requested shop retire/do/1 {\"process\":\"old\",\"replicas\":0}; +deadline/retire/do/1 3600000; closes saga-parked" },
	{ "fail retire/do/1", NULL,
	  "APPLIED; > saga.parked {\"definition\":\"move\",\"version\":1,\"step\":\"retire\",\"reason\":\"io.busline.scale.failed.v1\"}; -deadline/retire/do/1; opens saga-parked" },
	{ "skip retire", NULL,
	  "APPLIED; > saga.completed {\"definition\":\"move\",\"version\":1}; closes saga-parked" },
	{ NULL, NULL, NULL },
};

static const line failed_pivot[] = {
	BEGIN,
	{ "ok deploy/do/1", "{'release':7}",
	  "APPLIED; > scale.requested shop grow/do/1 {\"process\":\"web\",\"replicas\":2}; -deadline/deploy/do/1; +deadline/grow/do/1 60000" },
	{ "ok grow/do/1", NULL,
	  "APPLIED; > route.change-requested shop shift/do/1 {\"host\":\"a.example\",\"targets\":[{\"release\":7,\"weight\":100}]}; -deadline/grow/do/1; +deadline/shift/do/1 1500" },
	{ "timer deadline/shift/do/1", NULL,
	  "APPLIED; > saga.parked {\"definition\":\"move\",\"version\":1,\"step\":\"shift\",\"reason\":\"no answer within 1500ms\"}; opens saga-parked" },
	{ "fail shift/do/1", "{'reason':'no such host'}",
	  "APPLIED; > scale.requested shop grow/undo/1 {\"process\":\"web\",\"replicas\":1}; +deadline/grow/undo/1 60000; closes saga-parked" },
	{ "ok grow/undo/1", NULL,
	  "APPLIED; > deploy.rollback-requested shop deploy/undo/1 {\"reason\":\"taken back\"}; -deadline/grow/undo/1; +deadline/deploy/undo/1 30000" },
	{ "ok deploy/undo/1", NULL,
	  "APPLIED; > saga.compensated {\"definition\":\"move\",\"version\":1,\"step\":\"shift\",\"reason\":\"no such host\"}; -deadline/deploy/undo/1" },
	{ NULL, NULL, NULL },
};

static const line answers[] = {
	{ "ok deploy/do/1", NULL, "IGNORED: there is no such saga" },
	{ "timer deadline/deploy/do/1", NULL, "IGNORED: there is no such saga" },
	{ "retry deploy", NULL, "REJECTED: there is no such saga" },
	BEGIN,
	{ "begin", INPUT, "REJECTED: there is a saga with this id already" },
	{ "fact deploy.started deploy/do/1", NULL,
	  "IGNORED: io.busline.deploy.started.v1 is no answer to io.busline.deploy.requested.v1" },
	{ "fact deploy.succeeded deploy/do/2", NULL,
	  "IGNORED: deploy is running: no such attempt was made" },
	{ "fact deploy.succeeded deploy", NULL,
	  "IGNORED: 'deploy' is not <step>/<do|undo>/<attempt>" },
	{ "fact deploy.succeeded other/do/1", NULL,
	  "IGNORED: move v1 has no other/do/1 to answer" },
	{ "fact deploy.succeeded shift/undo/1", NULL,
	  "IGNORED: move v1 has no shift/undo/1 to answer" },
	{ "fact deploy.succeeded deploy/do/01", NULL,
	  "IGNORED: 'deploy/do/01' is not <step>/<do|undo>/<attempt>" },
	{ "timer other/deploy/do/1", NULL,
	  "IGNORED: no timer of this worker is named other/deploy/do/1" },
	{ "timer deadline/other/do/1", NULL, "IGNORED: move v1 has no such step" },
	{ "retry other", NULL, "REJECTED: move v1 has no step other" },
	{ "refuse deploy/do/1", "deploy.succeeded",
	  "IGNORED: io.busline.deploy.succeeded.v1 was refused, it is no answer to io.busline.deploy.requested.v1" },
	{ "refuse deploy/do/1", "deploy.requested",
	  "APPLIED; -deadline/deploy/do/1; +retry/deploy/do/2 5000" },
	{ "fact deploy.succeeded", NULL,
	  "IGNORED: io.busline.deploy.succeeded.v1 names no step, and answers none that is open" },
	{ "timer retry/deploy/do/2", NULL,
	  "APPLIED; > deploy.requested shop deploy/do/2 {\"image\":\"shop:2\"}; +deadline/deploy/do/2 600000" },
	{ "fact deploy.succeeded", "{'release':1}",
	  "APPLIED; > scale.requested shop grow/do/1 {\"process\":\"web\",\"replicas\":2}; -deadline/deploy/do/2; +deadline/grow/do/1 60000" },
	{ NULL, NULL, NULL },
};

static const line cancelled[] = {
	BEGIN,
	{ "ok deploy/do/1", "{'release':7}",
	  "APPLIED; > scale.requested shop grow/do/1 {\"process\":\"web\",\"replicas\":2}; -deadline/deploy/do/1; +deadline/grow/do/1 60000" },
	{ "cancel", NULL, "APPLIED" },
	{ "cancel", NULL, "REJECTED: the saga goes back already" },
	{ "ok grow/do/1", NULL,
	  "APPLIED; > scale.requested shop grow/undo/1 {\"process\":\"web\",\"replicas\":1}; -deadline/grow/do/1; +deadline/grow/undo/1 60000" },
	{ "ok grow/undo/1", NULL,
	  "APPLIED; > deploy.rollback-requested shop deploy/undo/1 {\"reason\":\"taken back\"}; -deadline/grow/undo/1; +deadline/deploy/undo/1 30000" },
	{ "ok deploy/undo/1", NULL,
	  "APPLIED; > saga.compensated {\"definition\":\"move\",\"version\":1,\"reason\":\"cancelled by ann: because\"}; -deadline/deploy/undo/1" },
	{ NULL, NULL, NULL },
};

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const line not_sendable[] = {
	{ "begin",
	  "{'definition':'move','input':{'app':'" HUNDRED HUNDRED HUNDRED
	  "','image':'shop:2','host':'a.example'}}",
	  "APPLIED; > saga.compensated {\"definition\":\"move\",\"version\":1,\"step\":\"deploy\",\"reason\":\"io.busline.deploy.requested.v1 cannot be sent: attribute subject is longer than 256 bytes\"}; -deadline/deploy/do/1" },
	{ NULL, NULL, NULL },
};

static const line refused[] = {
	{ "begin", "{'definition':'mvoe','input':{}}",
	  "REJECTED: there is no saga definition mvoe" },
	{ "begin", "{'definition':'move','version':2,'input':{}}",
	  "REJECTED: there is no saga definition move v2" },
	{ "begin", "{'definition':'move','input':{'app':'shop'}}",
	  "REJECTED: input of move.v1: data \"image\" is missing (/required)" },
	{ NULL, NULL, NULL },
};

static const life lives[] = {
	{ "straight through", straight,
	  "completed forward 4 ended; deploy done 1/0; grow done 1/0; retire done 1/0; shift done 1/0" },
	{ "what fails is taken back, and what is late, too", taken_back,
	  "compensated back -1 ended grow: no quota; deploy undone 1/1; grow undone 1/1; retire idle 0/0; shift idle 0/0" },
	{ "attempts, deadlines, and a compensation that is stuck", tried_again,
	  "compensated back -1 ended deploy: no disk; deploy undone 3/3; grow idle 0/0; retire idle 0/0; shift idle 0/0" },
	{ "past the pivot", past_pivot,
	  "compensated back -1 ended retire: sent back by ann: because; deploy undone 1/1; grow undone 1/1; retire unknown 2/0; shift done 1/0" },
	{ "a pivot that is late", late_pivot,
	  "completed forward 4 ended; deploy done 1/0; grow done 1/0; retire skipped 1/0; shift done 1/0" },
	{ "a pivot that fails late", failed_pivot,
	  "compensated back -1 ended shift: no such host; deploy undone 1/1; grow undone 1/1; retire idle 0/0; shift failed 1/0" },
	{ "answers that fit, and others", answers,
	  "running forward 1; deploy done 2/0; grow running 1/0 due; retire idle 0/0; shift idle 0/0" },
	{ "cancelled", cancelled,
	  "compensated back -1 ended: cancelled by ann: because; deploy undone 1/1; grow undone 1/1; retire idle 0/0; shift idle 0/0" },
	{ "an action that cannot be sent", not_sendable,
	  "compensated back -1 ended deploy: io.busline.deploy.requested.v1 cannot be sent: attribute subject is longer than 256 bytes; deploy failed 1/0; grow idle 0/0; retire idle 0/0; shift idle 0/0" },
	{ "refused", refused, "no saga" },
};

static void
every_life(void)
{
	for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++) {
		run_life(&lives[i]);
	}
}

/* ---- a definition that is not what it was ---- */

static void
change_saga(bench *b, void (*change)(bus_saga_row *))
{
	for (size_t i = 0; i < b->rows.row_count; i++) {
		if (b->rows.rows[i].type == &bus_saga_table) {
			bus_saga_row row = *(const bus_saga_row *)b->rows.rows[i].row;
			change(&row);
			busp_bench_put(&b->rows, &bus_saga_table, &row);
		}
	}
}

static void
other_digest(bus_saga_row *row)
{
	row->digest = BUS_STR("0000");
}

static void
other_version(bus_saga_row *row)
{
	row->version = 2;
}

static void
definition_kept(void)
{
	static const line begin = BEGIN;
	static const line changed = {
		"ok deploy/do/1", NULL,
		"REJECTED: the definition move v1 has changed since this saga began: give the new one "
		"the next version, put the old file back, restart the worker, redrive this event"
	};
	static const line gone = {
		"ok deploy/do/1", NULL,
		"REJECTED: the definition move v2 of this saga is gone: put its "
		"file back, restart the worker, redrive this event"
	};
	bench b = { 0 };
	busp_bench_init(&b.rows, &bus_saga_worker);
	b.folder = bus_folder_create(&bus_saga_worker,
				     (bus_fold_source){ busp_bench_load, &b.rows }, 1000);
	live(&b, "definition", &begin);
	change_saga(&b, other_digest);
	live(&b, "definition", &changed);
	change_saga(&b, other_version);
	live(&b, "definition", &gone);
	bus_folder_destroy(b.folder);
	busp_bench_fini(&b.rows);
}

static int
teardown(void)
{
	bus_registry_destroy(registry);
	return 0;
}

static const bus_case suite_cases[] = {
	{ "each event of a saga's life does what it says", every_life },
	{ "a saga keeps its definition", definition_kept },
	{ NULL, NULL },
};

const bus_suite_def bus_suite = {
	.name = "fold_saga",
	.cases = suite_cases,
	.setup = setup,
	.teardown = teardown,
};
