/* test_quarantine.c - held keys, how long a try waits, and who is suspected of a failure */
#include "workers/engine/quarantine.h"
#include "workers/engine/suspects.h"

#include <stdio.h>

#include "tests/support/suite.h"

/* ---- back-off ---- */

static void
delays_stay_below_their_ceiling_and_spread(void)
{
	static const struct {
		int32_t attempts;
		int64_t ceiling_ms;
	} rows[] = {
		{ 1, 200 },    { 2, 400 },      { 3, 800 },           { 4, 1600 },
		{ 8, 25600 },  { 9, 30000 },    { 10, 30000 },        { 63, 30000 },
		{ 64, 30000 }, { 1000, 30000 }, { INT32_MAX, 30000 },
	};
	const busp_retry retry = { .attempts_max = 5, .base_ms = 200, .cap_ms = 30000 };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t least = INT64_MAX, most = -1;
		for (uint64_t seed = 0; seed < 2000; seed++) {
			int64_t ms = busp_retry_delay_ms(&retry, rows[i].attempts, seed);
			least = ms < least ? ms : least;
			most = ms > most ? ms : most;
		}
		/* full jitter: down to nothing, up to the ceiling, never above it */
		CU_ASSERT_TRUE(least >= 0 && least < rows[i].ceiling_ms / 20);
		CU_ASSERT_TRUE(most <= rows[i].ceiling_ms);
		CU_ASSERT_TRUE(most > rows[i].ceiling_ms * 19 / 20);
	}
}

static void
delays_are_the_same_for_the_same_seed_and_differ_by_attempt(void)
{
	const busp_retry retry = { .attempts_max = 5, .base_ms = 1000, .cap_ms = 1000 };
	int differ = 0;
	for (uint64_t seed = 0; seed < 100; seed++) {
		CU_ASSERT_EQUAL(busp_retry_delay_ms(&retry, 2, seed),
				busp_retry_delay_ms(&retry, 2, seed));
		differ += busp_retry_delay_ms(&retry, 2, seed) !=
			  busp_retry_delay_ms(&retry, 3, seed);
	}
	CU_ASSERT_TRUE(differ > 90);
}

static void
odd_settings_do_no_harm(void)
{
	static const busp_retry rows[] = {
		{ .attempts_max = 1, .base_ms = 0, .cap_ms = 0 },
		{ .attempts_max = 1, .base_ms = 500, .cap_ms = 100 },
		{ .attempts_max = 1, .base_ms = INT64_MAX / 2, .cap_ms = INT64_MAX / 2 },
		{ .attempts_max = 1, .base_ms = 0, .cap_ms = 1000 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int32_t attempts = 0; attempts < 70; attempts++) {
			int64_t ms = busp_retry_delay_ms(&rows[i], attempts, 7);
			CU_ASSERT_TRUE(ms >= 0 && ms <= rows[i].cap_ms);
		}
	}
}

/* ---- held keys ---- */

static void
keys_are_found_by_stream_tenant_and_subject(void)
{
	const busp_retry retry = { .attempts_max = 5 };
	busp_quarantine *q = busp_quarantine_create(&retry);
	CU_ASSERT_PTR_NOT_NULL_FATAL(q);
	CU_ASSERT_PTR_NULL(busp_quarantine_find(q, 1, BUS_STR("acme"), BUS_STR("shop")));
	for (int32_t i = 0; i < 5000; i++) {
		char subject[32];
		int len = snprintf(subject, sizeof(subject), "app-%d", i);
		busp_quarantine_put(q, &(bus_held_key){
					       .stream = i % 3,
					       .tenant = BUS_STR("acme"),
					       .subject = { subject, (size_t)len },
					       .head = i,
					       .attempts = 1,
				       });
	}
	const bus_held_key *key =
		busp_quarantine_find(q, 4000 % 3, BUS_STR("acme"), BUS_STR("app-4000"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(key);
	CU_ASSERT_EQUAL(key->head, 4000);
	CU_ASSERT_PTR_NULL(busp_quarantine_find(q, (4000 + 1) % 3, BUS_STR("acme"),
						BUS_STR("app-4000")));
	/* "acme" + "app-4000" and "acmeapp-4000" + "" are other keys */
	CU_ASSERT_PTR_NULL(busp_quarantine_find(q, 4000 % 3, BUS_STR("acmeapp-4000"),
						BUS_STR("")));
	/* the key itself may be what it is changed from */
	bus_held_key changed = *key;
	changed.attempts = 3;
	busp_quarantine_put(q, &changed);
	key = busp_quarantine_find(q, 4000 % 3, BUS_STR("acme"), BUS_STR("app-4000"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(key);
	CU_ASSERT_EQUAL(key->attempts, 3);
	changed = *key;
	changed.state = BUS_HOLD_FREE;
	busp_quarantine_put(q, &changed);
	CU_ASSERT_PTR_NULL(busp_quarantine_find(q, 4000 % 3, BUS_STR("acme"),
						BUS_STR("app-4000")));
	busp_quarantine_destroy(q);
}

static void
an_absent_subject_is_an_empty_one(void)
{
	const busp_retry retry = { .attempts_max = 5 };
	busp_quarantine *q = busp_quarantine_create(&retry);
	CU_ASSERT_PTR_NOT_NULL_FATAL(q);
	busp_quarantine_put(q, &(bus_held_key){ .stream = 1,
						.tenant = BUS_STR("acme"),
						.subject = BUS_STR("") });
	CU_ASSERT_PTR_NOT_NULL(busp_quarantine_find(q, 1, BUS_STR("acme"), BUS_STR_NULL));
	busp_quarantine_destroy(q);
}

/* ---- suspects ---- */

static bus_error
failure(bus_status status, const char *sqlstate, const char *text)
{
	bus_error err = BUS_ERROR_INIT;
	bus_error_set(&err, status, "pg", 0, "%s", text);
	snprintf(err.sqlstate, sizeof(err.sqlstate), "%s", sqlstate);
	return err;
}

/* A log of two partitions, read in the order of `log`. */
typedef struct reading {
	busp_lane lanes[2];
	bus_delivery log[2000];
	size_t count;
	busp_suspects s;
	size_t units, careful_units;
	int failures;
} reading;

static void
reading_add(reading *r, int32_t partition, int64_t first, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		r->log[r->count++] = (bus_delivery){ .partition = partition,
						     .offset = first + (int64_t)i };
	}
}

static void
reading_init(reading *r)
{
	*r = (reading){ .lanes = { { .stream.partition = 0 },
				   { .stream.partition = 1 } } };
	busp_suspects_init(&r->s, r->lanes, 2);
}

/* The lanes are as after `unit` deliveries from `at` on were sent. */
static void
reading_touch(reading *r, size_t at, size_t unit)
{
	r->lanes[0].touched = r->lanes[1].touched = false;
	for (size_t i = at; i < at + unit; i++) {
		r->lanes[r->log[i].partition].touched = true;
		r->lanes[r->log[i].partition].next_offset = r->log[i].offset + 1;
	}
}

static bool
reading_has(const reading *r, size_t at, size_t unit, const bus_delivery *culprit)
{
	for (size_t i = at; i < at + unit; i++) {
		if (r->log[i].partition == culprit->partition &&
		    r->log[i].offset == culprit->offset) {
			return true;
		}
	}
	return false;
}

/* Sends all from `at` on; a unit with the culprit in it fails, unless it has a refusal: then it
 * must be alone. */
static void
reading_send(reading *r, size_t at, const bus_delivery *culprit)
{
	const bus_error cause = failure(BUS_E_ABORT, "55P03", "scale_store.sql: lock");
	while (at < r->count) {
		bool careful, pause;
		size_t unit =
			busp_suspects_take(&r->s, &r->log[at], r->count - at, &careful);
		const busp_sent sent = { .event_count = unit,
					 .first_partition = r->log[at].partition,
					 .first_offset = r->log[at].offset };

		CU_ASSERT_FATAL(unit >= 1 && unit <= r->count - at);
		r->units++;
		r->careful_units += careful;
		bool fails = reading_has(r, at, unit, culprit);
		if (fails && r->s.refusals[0].set) {
			CU_ASSERT_EQUAL(unit, 1);
			CU_ASSERT_TRUE(careful);
			fails = false;
		}
		reading_touch(r, at, unit);
		if (fails) {
			r->failures++;
			CU_ASSERT_EQUAL(busp_suspects_learn(&r->s, &sent, "t", &cause,
							    &pause, NULL),
					BUS_OK);
			CU_ASSERT_FALSE(pause);
			continue;
		}
		for (int p = 0; p < 2; p++) {
			if (r->lanes[p].touched) {
				r->lanes[p].stream.next_offset = r->lanes[p].next_offset;
				r->lanes[p].touched = false;
			}
		}
		busp_suspects_done(&r->s, &sent);
		at += unit;
	}
}

/* Sends count events, the culprit-th of which fails its unit; how many failures until it was
 * alone. */
static int
failures_until_alone(size_t count, size_t culprit)
{
	static reading r;
	reading_init(&r);
	reading_add(&r, 0, 0, count);
	reading_send(&r, 0, &r.log[culprit]);
	CU_ASSERT_FALSE(r.s.refusals[0].set);
	CU_ASSERT_EQUAL(r.lanes[0].stream.next_offset, (int64_t)count);
	return r.failures;
}

static void
the_culprit_is_found_in_few_failures(void)
{
	static const struct {
		size_t count;
		int failures;
	} rows[] = { { 1, 1 }, { 2, 2 }, { 10, 2 }, { 99, 3 }, { 1000, 4 }, { 2000, 5 } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t c = 0; c < rows[i].count; c += 1 + rows[i].count / 50) {
			CU_ASSERT_TRUE(failures_until_alone(rows[i].count, c) <=
				       rows[i].failures);
		}
	}
}

/* The unit that failed had events of both partitions; they come again behind a thousand others. */
static void
suspects_are_known_when_the_log_comes_in_another_order(void)
{
	const bus_error cause = failure(BUS_E_ABORT, "55P03", "scale_store.sql: lock");
	const busp_sent sent = { .event_count = 200 };
	const bus_delivery culprit = { .partition = 1, .offset = 77 };
	static reading r;
	bool careful, pause;

	reading_init(&r);
	/* sent and kept: they were two of several in flight */
	r.lanes[0].stream.next_offset = r.lanes[1].stream.next_offset = 100;
	CU_ASSERT_EQUAL(busp_suspects_learn(&r.s, &sent, "t", &cause, &pause, NULL),
			BUS_OK);
	r.lanes[0].stream.next_offset = r.lanes[1].stream.next_offset = 0;
	reading_add(&r, 0, 0, 1000);
	reading_add(&r, 1, 0, 1000);
	/* of the first thousand, a hundred were sent */
	CU_ASSERT_EQUAL(busp_suspects_take(&r.s, r.log, r.count, &careful), 20);
	CU_ASSERT_TRUE(careful);
	CU_ASSERT_EQUAL(busp_suspects_take(&r.s, &r.log[100], r.count - 100, &careful),
			900);
	CU_ASSERT_FALSE(careful);
	reading_send(&r, 0, &culprit);
	CU_ASSERT_EQUAL(r.failures, 3); /* of 20, of 2, of 1 */
	CU_ASSERT_TRUE(r.units <= 60);
	CU_ASSERT_EQUAL(r.lanes[1].stream.next_offset, 1000);
	CU_ASSERT_EQUAL(busp_suspects_take(&r.s, r.log, r.count, &careful), r.count);
	CU_ASSERT_FALSE(careful);
}

/* Whatever else is met first. */
static void
one_with_a_refusal_is_met_alone(void)
{
	const bus_error cause = failure(BUS_E_ABORT, "55P03", "scale_store.sql: lock");
	const busp_sent alone = { .event_count = 1,
				  .first_partition = 1,
				  .first_offset = 500 };
	const busp_sent many = { .event_count = 1000 };
	static reading r;
	bool careful, pause;

	reading_init(&r);
	reading_add(&r, 0, 0, 1000);
	reading_add(&r, 1, 0, 1000);
	CU_ASSERT_EQUAL(busp_suspects_learn(&r.s, &alone, "t", &cause, &pause, NULL),
			BUS_OK);
	/* another unit fails before it is met */
	reading_touch(&r, 0, 1000);
	CU_ASSERT_EQUAL(busp_suspects_learn(&r.s, &many, "t", &cause, &pause, NULL),
			BUS_OK);
	r.lanes[0].touched = false;
	CU_ASSERT_EQUAL(busp_suspects_take(&r.s, &r.log[1000], 1000, &careful), 500);
	CU_ASSERT_TRUE(careful);
	CU_ASSERT_EQUAL(busp_suspects_take(&r.s, &r.log[1500], 500, &careful), 1);
	CU_ASSERT_TRUE(careful);
	busp_suspects_done(&r.s, &alone);
	CU_ASSERT_EQUAL(busp_suspects_take(&r.s, &r.log[1501], 499, &careful), 499);
	CU_ASSERT_FALSE(careful);
}

static void
only_failures_of_an_event_count(void)
{
	static const struct {
		bus_status status;
		const char *sqlstate, *text;
		bool counts;
	} rows[] = {
		{ BUS_E_ABORT, "40001", "scale_store.sql: x", true },
		{ BUS_E_ABORT, "40P01", "scale_store.sql: x", true },
		{ BUS_E_ABORT, "55P03", "ledger_insert.sql: x", true },
		{ BUS_E_ABORT, "57014", "scale_store.sql: x", true },
		{ BUS_E_ABORT, "53200", "scale_store.sql: x", true },
		{ BUS_E_REJECT, "23514", "scale_store.sql: x", true },
		/* whoever takes over holds the position */
		{ BUS_E_ABORT, "55P03", "unit_fence.sql: x", false },
		{ BUS_E_ABORT, "57014", "unit_fence.sql: x", false },
		/* the server's trouble */
		{ BUS_E_ABORT, "53100", "scale_store.sql: disk full", false },
		{ BUS_E_ABORT, "53300", "scale_store.sql: x", false },
		{ BUS_E_ABORT, "57P01", "scale_store.sql: x", false },
		{ BUS_E_ABORT, "25006", "scale_store.sql: x", false },
		{ BUS_E_ABORT, "BL001", "unit_fence.sql: x", false },
		{ BUS_E_UNKNOWN, "", "connection lost", false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const bus_error cause =
			failure(rows[i].status, rows[i].sqlstate, rows[i].text);
		const busp_sent sent = { .event_count = 1, .first_offset = 9 };
		busp_suspects s;
		bool pause;
		busp_suspects_init(&s, NULL, 0);
		CU_ASSERT_EQUAL(busp_suspects_learn(&s, &sent, "t", &cause, &pause, NULL),
				BUS_OK);
		CU_ASSERT_EQUAL(s.refusals[0].set, rows[i].counts);
		CU_ASSERT_EQUAL(pause, !rows[i].counts);
	}
}

static void
what_cannot_be_set_aside_either(void)
{
	const busp_sent sent = { .event_count = 1, .first_offset = 9 };
	const bus_error passing =
		failure(BUS_E_ABORT, "55P03", "dead_letter_insert.sql: x");
	const bus_error never =
		failure(BUS_E_REJECT, "23514", "dead_letter_insert.sql: x");
	busp_suspects s;
	bool pause;
	busp_suspects_init(&s, NULL, 0);
	CU_ASSERT_EQUAL(busp_suspects_learn(&s, &sent, "t", &passing, &pause, NULL),
			BUS_OK);
	CU_ASSERT_EQUAL(busp_suspects_learn(&s, &sent, "t", &passing, &pause, NULL),
			BUS_OK);
	CU_ASSERT_TRUE(pause);
	CU_ASSERT_EQUAL(busp_suspects_learn(&s, &sent, "t", &never, &pause, NULL),
			BUS_E_FATAL);
}

static void
a_drain_that_fails_becomes_narrow_and_wide_again(void)
{
	const bus_error cause = failure(BUS_E_ABORT, "55P03", "scale_store.sql: x");
	busp_sent sent = { .event_count = 1, .letter_count = 500 };
	busp_suspects s;
	bool pause;
	busp_suspects_init(&s, NULL, 0);
	CU_ASSERT_EQUAL(s.letters_max, BUSP_DRAIN_LETTERS_MAX);
	CU_ASSERT_EQUAL(busp_suspects_learn(&s, &sent, "t", &cause, &pause, NULL), BUS_OK);
	CU_ASSERT_EQUAL(s.letters_max, 50);
	CU_ASSERT_FALSE(s.refusals[0].set);
	sent.letter_count = 50;
	CU_ASSERT_EQUAL(busp_suspects_learn(&s, &sent, "t", &cause, &pause, NULL), BUS_OK);
	CU_ASSERT_EQUAL(s.letters_max, 5);
	sent.letter_count = 5;
	busp_suspects_done(&s, &sent);
	CU_ASSERT_EQUAL(s.letters_max, 50);
	sent.letter_count = 50;
	busp_suspects_done(&s, &sent);
	CU_ASSERT_EQUAL(s.letters_max, BUSP_DRAIN_LETTERS_MAX);
}

static const bus_case cases[] = {
	{ "delays stay below their ceiling and spread",
	  delays_stay_below_their_ceiling_and_spread },
	{ "delays are the same for the same seed, and differ by attempt",
	  delays_are_the_same_for_the_same_seed_and_differ_by_attempt },
	{ "odd settings do no harm", odd_settings_do_no_harm },
	{ "keys are found by stream, tenant and subject",
	  keys_are_found_by_stream_tenant_and_subject },
	{ "an absent subject is an empty one", an_absent_subject_is_an_empty_one },
	{ "the culprit is found in few failures", the_culprit_is_found_in_few_failures },
	{ "suspects are known when the log comes in another order",
	  suspects_are_known_when_the_log_comes_in_another_order },
	{ "one with a refusal is met alone", one_with_a_refusal_is_met_alone },
	{ "only failures of an event count", only_failures_of_an_event_count },
	{ "what cannot be set aside either", what_cannot_be_set_aside_either },
	{ "a drain that fails becomes narrow, and wide again",
	  a_drain_that_fails_becomes_narrow_and_wide_again },
	{ NULL, NULL },
};

const bus_suite_def bus_suite = { .name = "engine: quarantine", .cases = cases };
