/*
 * test_relay_shards.c - relays that share the outbox, come and go
 */
#include <signal.h>
#include <sys/wait.h>

#include "tests/integration/relay_kit.h"

/* A row for each stream. */
static void
promise_round(void)
{
	for (int s = 1; s <= STREAMS_ALL; s++) {
		kit_promise(s, 1);
	}
}

static void
all_in_order(int rows)
{
	for (int s = 1; s <= STREAMS_ALL; s++) {
		CU_ASSERT_EQUAL(kit_in_order(s), rows);
	}
}

static size_t
published_by(const relay *r)
{
	size_t found = 0, count = atomic_load(&kit_tape->count);
	for (size_t i = 0; i < count; i++) {
		found += kit_tape->entries[i].publisher == r->pid;
	}
	return found;
}

static void
three_share(void)
{
	kit_begin();
	relay relays[3];
	for (int i = 0; i < 3; i++) {
		relays[i] = kit_start(4 * LEASE_MS, NULL);
		WAIT_FOR(strcmp(kit_shares(),
				((const char *[]){ "16", "8,8", "6,5,5" })[i]) == 0);
	}
	for (int round = 0; round < 20; round++) {
		promise_round();
	}
	WAIT_FOR(kit_drained());
	all_in_order(20);
	/* Each by the relay whose it is, and by no other. */
	CU_ASSERT_EQUAL(atomic_load(&kit_tape->count), 20 * STREAMS_ALL);
	CU_ASSERT_EQUAL(published_by(&relays[0]), 20 * 6);
	CU_ASSERT_EQUAL(published_by(&relays[1]), 20 * 5);
	CU_ASSERT_EQUAL(published_by(&relays[2]), 20 * 5);
	for (int i = 0; i < 3; i++) {
		kit_stop_relay(&relays[i]);
	}
	kit_end();
}

/* Promises until the shards are divided like this, and a little longer. */
static int
promise_until(const char *wanted)
{
	int64_t end_ms = bus_clock_mono_ms(bus_clock_system()) + WAIT_MS;
	int rounds = 0, more = 5;
	while (more > 0 && bus_clock_mono_ms(bus_clock_system()) < end_ms) {
		promise_round();
		rounds++;
		more -= strcmp(kit_shares(), wanted) == 0;
		poll(NULL, 0, 10);
	}
	CU_ASSERT_EQUAL(more, 0);
	return rounds;
}

/* Relays come and leave under load. What one gives up is settled and marked: no row comes
 * twice. */
static void
moves_without_repeats(void)
{
	kit_begin();
	atomic_store(&kit_tape->slow, true);
	int rounds = 0;
	relay first = kit_start(4 * LEASE_MS, NULL);
	rounds += promise_until("16");
	relay second = kit_start(4 * LEASE_MS, NULL);
	rounds += promise_until("8,8");
	relay third = kit_start(4 * LEASE_MS, NULL);
	rounds += promise_until("6,5,5");
	kit_stop_relay(&first);
	rounds += promise_until("8,8");
	kit_stop_relay(&third);
	rounds += promise_until("16");
	WAIT_FOR(kit_drained());
	all_in_order(rounds);
	CU_ASSERT_EQUAL(atomic_load(&kit_tape->count), (size_t)rounds * STREAMS_ALL);
	CU_ASSERT(!kit_logged(&second, LOST));
	kit_stop_relay(&second);
	kit_end();
}

/* Relays die and new ones come, under load: rows come again, never out of order. */
static void
order_through_deaths(void)
{
	kit_begin();
	int rounds = 0;
	relay relays[3];
	for (int i = 0; i < 3; i++) {
		relays[i] = kit_start(LEASE_MS / 2, NULL);
	}
	for (int death = 0; death < 9; death++) {
		int64_t end_ms = bus_clock_mono_ms(bus_clock_system()) + 400;
		while (bus_clock_mono_ms(bus_clock_system()) < end_ms) {
			promise_round();
			rounds++;
		}
		kill(relays[death % 3].pid, SIGKILL);
		kit_ended(&relays[death % 3]);
		relays[death % 3] = kit_start(LEASE_MS / 2, NULL);
	}
	WAIT_FOR(kit_drained());
	all_in_order(rounds);
	for (int i = 0; i < 3; i++) {
		kit_stop_relay(&relays[i]);
	}
	kit_end();
}

static const bus_case suite_cases[] = {
	{ "three relays share the work", three_share },
	{ "shards go from relay to relay without a repeat", moves_without_repeats },
	{ "order is kept while relays die and come", order_through_deaths },
	{ NULL, NULL },
};

const bus_suite_def bus_suite = {
	.name = "relay: shards",
	.cases = suite_cases,
	.setup = kit_setup,
	.teardown = kit_teardown,
};
