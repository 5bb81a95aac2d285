/*
 * test_answer.c - what sagas are told of folded events, and promises of many as those of one
 */
#include "workers/engine/answer.h"

#include <stdlib.h>

#include "core/json.h"
#include "tests/support/suite.h"
#include "workers/engine/promises.h"

static const bus_worker deploy_worker = { .name = "deploy", .topic = "busline.deploy" };
static const bus_worker saga_worker = { .name = "saga", .topic = "busline.saga" };

static bus_arena *arena;

static int
setup(void)
{
	arena = bus_arena_create(4096);
	return arena == NULL ? -1 : 0;
}

static int
teardown(void)
{
	bus_arena_destroy(arena);
	return 0;
}

static bus_event
event(const char *type, const char *source)
{
	return (bus_event){
		.id = BUS_STR("e1"),
		.source = bus_str_from(source),
		.type = bus_str_from(type),
		.subject = BUS_STR("shop"),
		.tenant = BUS_STR("acme"),
		.actor = BUS_STR("eve"),
		.time_us = 1700000000000000,
		.sagaid = BUS_STR("s1"),
		.sagastep = BUS_STR("deploy/do/1"),
	};
}

static void
test_who_is_told(void)
{
	static const char fact[] = "io.busline.deploy.succeeded.v1";
	static const char asked[] = "io.busline.deploy.rollback-requested.v12";
	static const char own[] = "/busline/worker/deploy";
	static const struct {
		const char *what, *type, *source, *word;
		bus_verdict verdict;
		bus_cause cause;
		bool answered, of_saga, without;
	} rows[] = {
		{ "a fact", fact, "/m", "applied", BUS_APPLIED, 0, false, false, false },
		{ "ignored", fact, "/m", "ignored", BUS_IGNORED, 0, false, false, false },
		{ "refused fact", fact, "/m", "rejected", BUS_REJECTED,
		  BUS_CAUSE_REJECTED, false, false, false },
		{ "refused command", asked, "/m", "rejected", BUS_REJECTED,
		  BUS_CAUSE_SCHEMA_INVALID, false, false, false },
		{ "not a version", "requested.v1x", "/m", "applied", BUS_APPLIED, 0,
		  false, false, false },
		{ "a command", asked, "/m", NULL, BUS_APPLIED, 0, false, false, false },
		{ "bare command", "requested", "/m", NULL, BUS_APPLIED, 0, false, false,
		  false },
		{ "fold has answered", asked, "/m", NULL, BUS_REJECTED,
		  BUS_CAUSE_REJECTED, true, false, false },
		{ "told when promised", fact, own, NULL, BUS_APPLIED, 0, false, false,
		  false },
		{ "id taken", fact, "/m", NULL, BUS_REJECTED, BUS_CAUSE_IDENTITY_CONFLICT,
		  false, false, false },
		{ "sent home", fact, "/m", NULL, BUS_REROUTED, 0, false, false, false },
		{ "waits", fact, "/m", NULL, BUS_HELD, 0, false, false, false },
		{ "on the saga's topic", fact, "/m", NULL, BUS_APPLIED, 0, false, true,
		  false },
		{ "no saga", fact, "/m", NULL, BUS_APPLIED, 0, false, false, true },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bus_event e = event(rows[i].type, rows[i].source);
		if (rows[i].without) {
			e.sagaid = BUS_STR_NULL;
		}
		const busp_teller teller = {
			.worker = rows[i].of_saga ? &saga_worker : &deploy_worker,
			.source = bus_str_from(own),
		};
		const busp_outcome outcome = {
			.event = &e,
			.verdict = rows[i].verdict,
			.cause = rows[i].cause,
			.reason = BUS_STR("because"),
			.answered = rows[i].answered,
		};
		bus_outbox_row row;
		bool told = busp_answer_folded(&teller, &outcome, arena, &row);
		if (told != (rows[i].word != NULL)) {
			fprintf(stderr, "%s: %s\n", rows[i].what,
				told ? "told" : "not told");
		}
		CU_ASSERT_EQUAL_FATAL(told, rows[i].word != NULL);
		if (!told) {
			continue;
		}
		BUS_JSON_AUTO *data =
			json_loadb(row.record.value.data, row.record.value.len, 0, NULL);
		CU_ASSERT_TRUE(bus_str_is(bus_json_str(data, "outcome"), rows[i].word));
		CU_ASSERT_TRUE(bus_str_is(bus_json_str(data, "type"), rows[i].type));
		CU_ASSERT_TRUE(bus_str_is(bus_json_str(data, "reason"), "because"));
		CU_ASSERT_TRUE(bus_str_is(row.record.key, "acme/s1"));
		CU_ASSERT_TRUE(bus_str_is(row.topic, "busline.saga"));
	}
}

/* Data that fits its own event but not the answer around it is left out. */
static void
test_large_data(void)
{
	bus_event e = event("io.busline.deploy.succeeded.v1", "/m");
	char *text = calloc(1, BUS_EVENT_BYTES_MAX);
	memset(text, 'x', BUS_EVENT_BYTES_MAX - 200);
	BUS_JSON_AUTO *data = json_pack("{s:s}", "text", text);
	free(text);
	const busp_teller teller = { &deploy_worker, BUS_STR("/busline/worker/deploy") };
	const busp_outcome outcome = { .event = &e, .data = data };
	bus_outbox_row row;
	CU_ASSERT_TRUE_FATAL(busp_answer_folded(&teller, &outcome, arena, &row));
	CU_ASSERT_TRUE(bus_record_bytes(&row.record) <= BUS_EVENT_BYTES_MAX);
	BUS_JSON_AUTO *answer =
		json_loadb(row.record.value.data, row.record.value.len, 0, NULL);
	CU_ASSERT_PTR_NULL(json_object_get(answer, "data"));
	CU_ASSERT_TRUE(bus_str_is(bus_json_str(answer, "id"), "e1"));
}

static void
test_last_word(void)
{
	bus_event shop = event("t", "/m"), blog = event("t", "/m");
	bus_event bare = event("t", "/m"), empty = event("t", "/m");
	blog.subject = BUS_STR("blog");
	bare.subject = BUS_STR_NULL;
	empty.subject = BUS_STR("");
	bus_timer_write timers[] = {
		{ .name = BUS_STR("b"), .delay_ms = 1, .cause = &shop },
		{ .name = BUS_STR("a"), .delay_ms = 2, .cause = &shop },
		{ .name = BUS_STR("b"), .cancelled = true, .cause = &shop },
		{ .name = BUS_STR("b"), .delay_ms = 4, .cause = &blog },
		{ .name = BUS_STR("a"), .cancelled = true, .cause = &shop },
		{ .name = BUS_STR("a"), .delay_ms = 6, .cause = &shop },
		{ .name = BUS_STR("a"), .delay_ms = 7, .cause = &bare },
		{ .name = BUS_STR("a"), .delay_ms = 8, .cause = &empty },
	};
	bus_incident_write incidents[] = {
		{ .kind = "stuck", .cause = &shop },
		{ .kind = "stuck", .closed = true, .cause = &shop },
		{ .kind = "late", .cause = &shop },
	};
	const busp_promises first = { timers, 3, incidents, 1 };
	const busp_promises second = { timers + 3, 5, incidents + 1, 2 };
	busp_promises all = { 0 };
	busp_promises_count(&all, first.timer_count, first.incident_count);
	busp_promises_count(&all, second.timer_count, second.incident_count);
	busp_promises_room(&all, arena);
	busp_promises_add(&all, &first, 3, 70);
	busp_promises_add(&all, &second, 3, 71);
	busp_promises_last(&all, arena);
	CU_ASSERT_EQUAL_FATAL(all.timer_count, 4);
	CU_ASSERT_EQUAL(all.timers[0].delay_ms, 8); /* no subject, said twice */
	CU_ASSERT_EQUAL(all.timers[1].delay_ms, 4);
	CU_ASSERT_EQUAL(all.timers[2].delay_ms, 6);
	CU_ASSERT_TRUE(all.timers[3].cancelled);
	CU_ASSERT_EQUAL(all.timers[3].stream, 3);
	CU_ASSERT_EQUAL_FATAL(all.incident_count, 2);
	CU_ASSERT_STRING_EQUAL(all.incidents[0].kind, "late");
	CU_ASSERT_TRUE(all.incidents[1].closed);
	CU_ASSERT_EQUAL(all.incidents[1].offset, 71);
}

static const bus_case cases[] = {
	{ "facts, and what becomes a dead letter, are told; nothing twice",
	  test_who_is_told },
	{ "data too large for an answer is left out of it", test_large_data },
	{ "of what a unit says about a name, the last word counts", test_last_word },
	{ NULL, NULL },
};

const bus_suite_def bus_suite = { "engine: answers and promises", cases, setup, teardown };
