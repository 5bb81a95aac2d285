/*
 * test_relay.c - a relay against PostgreSQL: order, take-over, death, refusal
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "tests/integration/relay_kit.h"

static void
carries_all(void)
{
	kit_begin();
	relay r = kit_start(LEASE_MS, NULL);
	for (int round = 0; round < 20; round++) {
		for (int s = 1; s <= STREAMS; s++) {
			kit_promise(s, 1 + round * s);
		}
	}
	WAIT_FOR(kit_drained());
	CU_ASSERT_EQUAL(kit_in_order(1), 210);
	CU_ASSERT_EQUAL(kit_in_order(2), 400);
	CU_ASSERT_EQUAL(kit_in_order(3), 590);
	CU_ASSERT_EQUAL(atomic_load(&kit_tape->count), 1200);
	CU_ASSERT_STRING_EQUAL(kit_tape->entries[0].topic, "busline.test");
	CU_ASSERT(strncmp(kit_tape->entries[0].key, "acme/app-", 9) == 0);
	CU_ASSERT(kit_epoch() > 0);
	kit_stop_relay(&r);
	CU_ASSERT_EQUAL(kit_epoch(), 0); /* given back */
	CU_ASSERT_STRING_EQUAL(kit_sql("select count(*) from busline.relay"), "0");
	kit_end();
}

/* With this lease and poll interval nothing else would wake the relay for 15 s. */
static void
notified(void)
{
	kit_begin();
	relay r = kit_start(60000, NULL);
	for (int i = 1; i <= 20; i++) {
		int64_t before_ms = bus_clock_mono_ms(bus_clock_system());
		kit_promise(1, 1);
		WAIT_FOR(kit_in_order(1) == i);
		CU_ASSERT(bus_clock_mono_ms(bus_clock_system()) - before_ms < 5000);
	}
	kit_stop_relay(&r);
	kit_end();
}

static void
marks_at_the_end(void)
{
	kit_begin();
	relay r = kit_start(LEASE_MS, NULL);
	kit_promise(1, 1);
	WAIT_FOR(kit_in_order(1) == 1);
	kit_stop_relay(&r);
	CU_ASSERT(kit_drained());
	kit_end();
}

static void
dies_before_the_mark(void)
{
	kit_begin();
	kit_promise(1, 120);
	kit_promise(2, 1);
	relay r = kit_start(LEASE_MS, "relay-published");
	int status = kit_ended(&r);
	CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CU_ASSERT(kit_count_of("s1-1") == 1);
	CU_ASSERT_STRING_EQUAL(kit_sql("select count(*) from busline.outbox_mark"), "0");
	/* Again, one batch further, and at last one that lives. */
	r = kit_start(LEASE_MS, "relay-published:2");
	status = kit_ended(&r);
	CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	r = kit_start(LEASE_MS, NULL);
	WAIT_FOR(kit_drained());
	CU_ASSERT_EQUAL(kit_in_order(1), 120);
	CU_ASSERT_EQUAL(kit_in_order(2), 1);
	CU_ASSERT(kit_count_of("s1-1") == 3); /* sent again: workers drop it by its id */
	kit_stop_relay(&r);
	kit_end();
}

static void
takes_over_from_the_dead(void)
{
	kit_begin();
	relay first = kit_start(LEASE_MS, NULL);
	WAIT_FOR(kit_epoch() > 0);
	long before = kit_epoch();
	relay second = kit_start(LEASE_MS, NULL);
	kit_promise(1, 10);
	WAIT_FOR(kit_drained());
	kill(first.pid, SIGKILL);
	kit_ended(&first);
	int64_t died_ms = bus_clock_mono_ms(bus_clock_system());
	kit_promise(1, 10);
	WAIT_FOR(kit_in_order(1) == 20);
	CU_ASSERT(bus_clock_mono_ms(bus_clock_system()) - died_ms < 3 * LEASE_MS);
	CU_ASSERT_EQUAL(kit_epoch(), before + 1);
	CU_ASSERT_EQUAL(atomic_load(&kit_tape->count), 20);
	kit_stop_relay(&second);
	kit_end();
}

/* The lease is long: only that it was given back lets the second one in this early. */
static void
takes_over_from_the_leaving(void)
{
	const int64_t lease_ms = 9000;
	kit_begin();
	relay first = kit_start(lease_ms, NULL);
	WAIT_FOR(kit_epoch() > 0);
	relay second = kit_start(lease_ms, NULL);
	kit_promise(1, 10);
	WAIT_FOR(kit_drained());
	int64_t left_ms = bus_clock_mono_ms(bus_clock_system());
	kit_stop_relay(&first);
	kit_promise(1, 10);
	WAIT_FOR(kit_in_order(1) == 20);
	CU_ASSERT(bus_clock_mono_ms(bus_clock_system()) - left_ms < lease_ms / 2);
	kit_stop_relay(&second);
	kit_end();
}

/* Stopped between publication and mark, until another has its shards. */
static void
zombie_has_nothing(void)
{
	kit_begin();
	relay zombie = kit_start(LEASE_MS, NULL);
	WAIT_FOR(kit_epoch() > 0);
	long before = kit_epoch();
	atomic_store(&kit_tape->stops_once, true);
	kit_promise(1, 30);
	WAIT_FOR(kit_in_order(1) == 30);
	relay heir = kit_start(LEASE_MS, NULL);
	WAIT_FOR(kit_drained());
	kill(zombie.pid, SIGCONT);
	kit_promise(1, 30);
	WAIT_FOR(kit_drained());
	WAIT_FOR(kit_logged(&zombie, LOST));
	CU_ASSERT_EQUAL(kit_epoch(), before + 1);
	CU_ASSERT_EQUAL(kit_in_order(1), 60);
	kit_stop_relay(&zombie);
	kit_stop_relay(&heir);
	kit_end();
}

/* Shards go to another for a while; our relay does not know before it marks. */
static void
steal(const char *which)
{
	kit_sql("insert into busline.relay (holder, expires_at) "
		"values ('thief', clock_timestamp() + interval '1 second')");
	kit_sql("update busline.relay_shard set epoch = epoch + 1, holder = 'thief' where %s",
		which);
}

static void
fenced_mark(void)
{
	kit_begin();
	relay r = kit_start(60000, NULL);
	kit_promise(1, 5);
	WAIT_FOR(kit_drained());
	long before = kit_epoch();
	steal("true");
	kit_promise(1, 5);
	WAIT_FOR(kit_logged(&r, LOST));
	CU_ASSERT_EQUAL(kit_in_order(1), 10);
	CU_ASSERT_STRING_EQUAL(kit_sql("select seq from busline.outbox_mark"), "5");
	WAIT_FOR(kit_drained());
	CU_ASSERT_EQUAL(kit_epoch(), before + 2);
	CU_ASSERT_EQUAL(kit_count_of("s1-6"), 2);
	CU_ASSERT_EQUAL(kit_in_order(1), 10);
	kit_stop_relay(&r);
	kit_end();
}

/* One shard is lost: the marks of the others count, and its own do not. */
static void
one_shard_is_lost(void)
{
	kit_begin();
	relay r = kit_start(60000, NULL);
	kit_promise(1, 5);
	kit_promise(2, 5);
	WAIT_FOR(kit_drained());
	steal("shard = 1");
	kit_sql("begin");
	kit_promise(1, 5);
	kit_promise(2, 5);
	kit_sql("commit");
	WAIT_FOR(kit_logged(&r, LOST));
	CU_ASSERT_STRING_EQUAL(
		kit_sql("select seq from busline.outbox_mark where stream = 1"), "5");
	WAIT_FOR(strcmp(kit_sql("select seq from busline.outbox_mark where stream = 2"),
			"10") == 0);
	WAIT_FOR(kit_drained());
	CU_ASSERT_EQUAL(kit_in_order(1), 10);
	CU_ASSERT_EQUAL(kit_count_of("s1-6"), 2);
	CU_ASSERT_EQUAL(kit_count_of("s2-6"), 1);
	kit_stop_relay(&r);
	kit_end();
}

/* Whoever has the lease has published, marked and emptied what ours has not read yet. */
static void
emptied_by_another(void)
{
	kit_begin();
	relay r = kit_start(60000, NULL);
	WAIT_FOR(kit_epoch() > 0);
	kit_promise(1, 5);
	WAIT_FOR(kit_drained());
	kit_sql("begin");
	steal("true");
	kit_promise(1, 5);
	kit_sql("truncate busline.outbox");
	kit_sql("update busline.outbox_mark set seq = 10 where stream = 1");
	kit_promise(1, 5);
	kit_sql("commit");
	WAIT_FOR(kit_logged(&r, LOST));
	WAIT_FOR(kit_drained());
	CU_ASSERT_EQUAL(kit_count_of("s1-10"), 0);
	CU_ASSERT_EQUAL(kit_count_of("s1-11"), 1);
	kit_stop_relay(&r);
	kit_end();
}

/* The same without another holder: promises are lost, and nothing hides it. */
static void
lost_promises(void)
{
	kit_begin();
	relay r = kit_start(60000, NULL);
	kit_promise(1, 5);
	WAIT_FOR(kit_drained());
	kit_sql("begin");
	kit_promise(1, 5);
	kit_sql("truncate busline.outbox");
	kit_promise(1, 5);
	kit_sql("commit");
	WAIT_FOR(kit_logged(&r, "has a gap: 11 follows 5"));
	int status = kit_ended(&r);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	CU_ASSERT_EQUAL(kit_count_of("s1-11"), 0);
	kit_end();
}

static void
one_row_is_refused(void)
{
	kit_begin();
	snprintf(kit_tape->refuses, sizeof(kit_tape->refuses), "s1-3");
	relay r = kit_start(LEASE_MS, NULL);
	kit_promise(1, 6);
	kit_promise(2, 6);
	WAIT_FOR(kit_in_order(2) == 6);
	/* Tried twice each time, with its batch and alone; between two times are at least 100 ms. */
	WAIT_FOR(atomic_load(&kit_tape->refused) >= 1);
	int64_t first_ms = bus_clock_mono_ms(bus_clock_system());
	WAIT_FOR(atomic_load(&kit_tape->refused) >= 10);
	CU_ASSERT(bus_clock_mono_ms(bus_clock_system()) - first_ms >= 350);
	kit_promise(2, 6);
	WAIT_FOR(kit_in_order(2) == 12);
	WAIT_FOR(strcmp(kit_sql("select seq from busline.outbox_mark where stream = 1"),
			"2") == 0);
	WAIT_FOR(strcmp(kit_sql("select kind || topic || \"offset\" from busline.incident"),
			"relay-refusedbusline.test3") == 0);
	CU_ASSERT_STRING_EQUAL(kit_sql("select count(*) from busline.incident"), "1");
	/* Behind it nothing is sent over and over. */
	CU_ASSERT_EQUAL(kit_count_of("s1-4"), 1);
	kit_tape->refuses[0] = '\0';
	WAIT_FOR(kit_drained());
	CU_ASSERT_EQUAL(kit_count_of("s1-3"), 1);
	CU_ASSERT_EQUAL(kit_count_of("s1-4"), 2);
	CU_ASSERT_EQUAL(kit_count_of("s1-6"), 2);
	CU_ASSERT(kit_logged(&r, "outbox stream goes on"));
	kit_stop_relay(&r);
	kit_end();
}

/* The second batch is in memory before the first is in its topic. */
static void
read_ahead(void)
{
	kit_begin();
	atomic_store(&kit_tape->holds, true);
	kit_promise(1, 120);
	relay r = kit_start(LEASE_MS * 60, NULL);
	/* Nothing left to ask while the first batch of 50 is held. */
	WAIT_FOR(kit_epoch() > 0);
	WAIT_FOR(strcmp(kit_sql("select count(*) from pg_stat_activity "
				"where application_name = 'busline relay' and state = 'idle' "
				"and state_change < clock_timestamp() - interval '300 ms'"),
			"1") == 0);
	CU_ASSERT_EQUAL(atomic_load(&kit_tape->count), 0);
	kit_sql("delete from busline.outbox where seq <= 100");
	atomic_store(&kit_tape->holds, false);
	WAIT_FOR(kit_drained());
	CU_ASSERT_EQUAL(kit_in_order(1), 120);
	CU_ASSERT_EQUAL(atomic_load(&kit_tape->count), 120);
	kit_stop_relay(&r);
	kit_end();
}

/* Two streams share a batch: 25 rows of each. What was read behind a failure is not sent. */
static void
read_ahead_is_dropped(void)
{
	kit_begin();
	snprintf(kit_tape->refuses, sizeof(kit_tape->refuses), "s1-20");
	kit_promise(1, 100);
	kit_promise(2, 100);
	relay r = kit_start(LEASE_MS, NULL);
	WAIT_FOR(kit_in_order(2) == 100);
	CU_ASSERT_EQUAL(kit_in_order(1), -1); /* 21 to 25 went with the batch */
	CU_ASSERT_EQUAL(kit_count_of("s1-25"), 1);
	CU_ASSERT_EQUAL(kit_count_of("s1-26"), 0);
	CU_ASSERT_EQUAL(kit_count_of("s2-26"), 1); /* read again, sent once */
	kit_tape->refuses[0] = '\0';
	WAIT_FOR(kit_drained());
	CU_ASSERT_EQUAL(kit_count_of("s1-20"), 1);
	CU_ASSERT_EQUAL(kit_count_of("s1-25"), 2);
	for (int i = 26; i <= 100; i++) {
		char value[16];
		snprintf(value, sizeof(value), "s1-%d", i);
		CU_ASSERT_EQUAL(kit_count_of(value), 1);
	}
	kit_stop_relay(&r);
	kit_end();
}

/* A batch in hand is of the epoch it was read under: the thief has published it. */
static void
read_ahead_ends_with_the_shard(void)
{
	kit_begin();
	atomic_store(&kit_tape->holds, true);
	kit_promise(1, 100);
	relay r = kit_start(LEASE_MS, NULL);
	WAIT_FOR(kit_epoch() > 0);
	steal("true");
	/* Held for longer than a part of the lease: it is renewed before anything is sent. */
	WAIT_FOR(strcmp(kit_sql("select clock_timestamp() > expires_at - interval '200 ms' "
				"from busline.relay where holder = 'thief'"),
			"t") == 0);
	kit_sql("update busline.relay set expires_at = clock_timestamp() + interval '1 second'");
	kit_sql("insert into busline.outbox_mark values (1, 100)");
	atomic_store(&kit_tape->holds, false);
	WAIT_FOR(kit_logged(&r, LOST));
	WAIT_FOR(kit_epoch() > 0 &&
		 strcmp(kit_sql("select holder from busline.relay_shard where shard = 1"),
			"thief") != 0);
	kit_promise(1, 1);
	WAIT_FOR(kit_count_of("s1-101") == 1);
	CU_ASSERT_EQUAL(kit_count_of("s1-50"), 1);
	CU_ASSERT_EQUAL(kit_count_of("s1-51"), 0);
	kit_stop_relay(&r);
	kit_end();
}

static void
broker_is_away(void)
{
	kit_begin();
	atomic_store(&kit_tape->down, true);
	relay r = kit_start(LEASE_MS, NULL);
	for (int s = 1; s <= STREAMS; s++) {
		kit_promise(s, 100);
	}
	WAIT_FOR(kit_logged(&r, "the tape is down"));
	CU_ASSERT_EQUAL(atomic_load(&kit_tape->count), 0);
	atomic_store(&kit_tape->down, false);
	WAIT_FOR(kit_drained());
	for (int s = 1; s <= STREAMS; s++) {
		CU_ASSERT_EQUAL(kit_in_order(s), 100);
	}
	CU_ASSERT_EQUAL(atomic_load(&kit_tape->count), 300);
	CU_ASSERT_STRING_EQUAL(kit_sql("select count(*) from busline.incident"), "0");
	kit_stop_relay(&r);
	kit_end();
}

static void
answers_are_lost(void)
{
	kit_begin();
	atomic_store(&kit_tape->acks_lost, true);
	relay r = kit_start(LEASE_MS, NULL);
	kit_promise(1, 100);
	WAIT_FOR(kit_count_of("s1-1") >= 3);
	CU_ASSERT_STRING_EQUAL(kit_sql("select count(*) from busline.outbox_mark"), "0");
	atomic_store(&kit_tape->acks_lost, false);
	WAIT_FOR(kit_drained());
	CU_ASSERT_EQUAL(kit_in_order(1), 100);
	kit_stop_relay(&r);
	kit_end();
}

static void
connection_is_cut(void)
{
	kit_begin();
	relay r = kit_start(LEASE_MS, NULL);
	for (int i = 0; i < 5; i++) {
		kit_promise(1, 60);
		WAIT_FOR(kit_in_order(1) > i * 60);
		kit_sql("select pg_terminate_backend(pid) from pg_stat_activity "
			"where application_name = 'busline relay'");
	}
	WAIT_FOR(kit_drained());
	CU_ASSERT_EQUAL(kit_in_order(1), 300);
	kit_stop_relay(&r);
	kit_end();
}

/* A relay empties what is left of the one before it, without anything new to publish. */
static void
tables_are_emptied(void)
{
	kit_begin();
	relay r = kit_start(LEASE_MS, NULL);
	kit_promise(1, 5000);
	kit_promise(2, 5000);
	WAIT_FOR(kit_drained());
	kit_stop_relay(&r);
	CU_ASSERT_STRING_EQUAL(kit_sql("select count(*) from busline.outbox"), "10000");
	kit_promise(3, 1);
	r = kit_start(LEASE_MS, NULL);
	/* Their size, and not their rows: reading those would be in the way of emptying. */
	WAIT_FOR(strcmp(kit_sql("select sum(pg_relation_size(format('busline.outbox_%%s', i))) "
				"from generate_series(0, 2) i"),
			"0") == 0);
	CU_ASSERT_EQUAL(kit_in_order(1), 5000);
	CU_ASSERT_EQUAL(kit_in_order(2), 5000);
	CU_ASSERT_EQUAL(kit_in_order(3), 1);
	kit_stop_relay(&r);
	kit_end();
}

static const bus_case suite_cases[] = {
	{ "what is promised is in its topic once, in order, and marked", carries_all },
	{ "a commit is heard of at once", notified },
	{ "a relay told to stop marks what it has published", marks_at_the_end },
	{ "a relay killed before its mark loses nothing", dies_before_the_mark },
	{ "a second relay takes over from a dead one", takes_over_from_the_dead },
	{ "a second relay takes over at once from one that leaves",
	  takes_over_from_the_leaving },
	{ "a relay that slept through its lease has nothing left", zombie_has_nothing },
	{ "marks of lost shards are refused, and the rows come again", fenced_mark },
	{ "a shard that is lost costs the marks of no other", one_shard_is_lost },
	{ "what another relay has emptied is not taken for lost", emptied_by_another },
	{ "lost promises end the relay", lost_promises },
	{ "a refused row holds its stream and no other", one_row_is_refused },
	{ "the next batch is read while one is published", read_ahead },
	{ "what was read behind a row that failed is dropped", read_ahead_is_dropped },
	{ "what was read of a lost shard is dropped", read_ahead_ends_with_the_shard },
	{ "while the broker is away nothing is lost or out of order", broker_is_away },
	{ "what may be in the topic is sent again", answers_are_lost },
	{ "a cut connection is made again", connection_is_cut },
	{ "published tables are emptied", tables_are_emptied },
	{ NULL, NULL },
};

const bus_suite_def bus_suite = {
	.name = "relay",
	.cases = suite_cases,
	.setup = kit_setup,
	.teardown = kit_teardown,
};
