/*
 * test_relay.c - relays against PostgreSQL: order, shares, take-over, death, refusal
 *
 * Relays are processes of their own, forked from here; they publish to a tape that outlives
 * them. Rows of a stream say s<stream>-<number>, so that the tape shows their order.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log.h"
#include "tests/support/pg_cluster.h"
#include "tests/support/suite.h"
#include "tests/support/tape.h"
#include "workers/relay/handler.h"

/* What most cases use, and what there is: one in each shard, 1 to 15 and at last 0. */
#define STREAMS 3
#define STREAMS_ALL BUS_RELAY_SHARDS
#define WAIT_MS 20000
#define LEASE_MS 1000
#define LOST "shards lost to another relay"

static pg_cluster *cluster;
static PGconn *db;
static tape *shared;
static volatile sig_atomic_t stop;

/* ---- the database ---- */

static const char *sql(const char *format, ...) BUS_PRINTF(1, 2);

/* Runs it; the first cell of its answer, until the next call. */
static const char *
sql(const char *format, ...)
{
	static char answer[256];
	char text[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	PGresult *result = PQexec(db, text);
	ExecStatusType status = PQresultStatus(result);
	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
		fprintf(stderr, "%s\n%s\n", text, PQerrorMessage(db));
		CU_FAIL_FATAL("SQL");
	}
	snprintf(answer, sizeof(answer), "%s",
		 PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
	PQclear(result);
	return answer;
}

static bool
migrate(const char *url)
{
	bus_store *store = bus_store_create(&(bus_store_options){
		.url = url, .deadline_ms = 30000, .clock = bus_clock_system() });
	const bus_migration *migrations;
	size_t count;
	bus_error err = BUS_ERROR_INIT;
	bool ok = bus_store_migrate(store, false, &migrations, &count, &err) == BUS_OK;
	if (!ok) {
		fprintf(stderr, "migrate: %s\n", err.text);
	}
	bus_store_destroy(store);
	return ok;
}

static int
setup(void)
{
	cluster = pg_cluster_start();
	shared = tape_create();
	return cluster != NULL && pg_cluster_database(cluster, "relay") &&
			       migrate(pg_cluster_url(cluster, "relay")) ?
		       0 :
		       1;
}

static int
teardown(void)
{
	pg_cluster_stop(cluster);
	tape_destroy(shared);
	return 0;
}

/* Nothing promised, no relay, and a stream in each shard. */
static void
begin(void)
{
	tape_clear(shared);
	db = PQconnectdb(pg_cluster_url(cluster, "relay"));
	CU_ASSERT_EQUAL_FATAL(PQstatus(db), CONNECTION_OK);
	sql("truncate busline.outbox, busline.outbox_mark, busline.incident, "
	    "busline.position restart identity");
	sql("delete from busline.relay");
	for (int i = 0; i < STREAMS_ALL; i++) {
		sql("insert into busline.position (topic, partition) values ('test', %d)",
		    i);
	}
}

static void
end(void)
{
	PQfinish(db);
	db = NULL;
}

/* Promises rows of one stream, as a unit does. */
static void
promise(int stream, int count)
{
	sql("with moved as (update busline.position set outbox_seq = outbox_seq + %d "
	    "where stream = %d returning outbox_seq - %d as seq), "
	    "rows as (insert into busline.outbox (slot, stream, seq, kind, topic, key, headers, "
	    "data) select (select slot from busline.outbox_rotation), %d, seq + i, 0, "
	    "'busline.test', convert_to('acme/app-%d', 'UTF8'), '\\x00000000'::bytea, "
	    "convert_to('s%d-' || seq + i, 'UTF8') from moved, generate_series(1, %d) i) "
	    "select pg_notify('busline_outbox', '')",
	    count, stream, count, stream, stream, stream, count);
}

static bool
drained(void)
{
	return strcmp(sql("select bool_and(coalesce(m.seq, 0) = p.outbox_seq) "
			  "from busline.position p left join busline.outbox_mark m "
			  "using (stream)"),
		      "t") == 0;
}

/* Of the shard of stream 1, which the oldest relay keeps; 0: nobody alive has it. */
static long
epoch(void)
{
	return strtol(sql("select epoch from busline.relay_shard join busline.relay "
			  "using (holder) where shard = 1 and "
			  "expires_at > clock_timestamp()"),
		      NULL, 10);
}

/* How many shards each relay has, the oldest first: "6,5,5". */
static const char *
shares(void)
{
	return sql("select string_agg(shard_count::text, ',' order by since) "
		   "from busline.relays where holder is not null");
}

/* ---- relays ---- */

typedef struct relay {
	pid_t pid;
	FILE *log;
} relay;

static void
on_stop(int signal_number)
{
	(void)signal_number;
	stop = 1;
}

static void
run_relay(int64_t lease_ms, const char *crash_point)
{
	if (crash_point != NULL) {
		setenv("BUSLINE_CRASH_POINT", crash_point, 1);
	}
	signal(SIGTERM, on_stop);
	bus_config *config = bus_config_create();
	bus_error err = BUS_ERROR_INIT;
	char lease[32], url[512];
	snprintf(lease, sizeof(lease), "%lld", (long long)lease_ms);
	snprintf(url, sizeof(url), "%s", pg_cluster_url(cluster, "relay"));
	const struct {
		bus_config_key key;
		const char *value;
	} settings[] = {
		{ BUS_CONF_DB_URL, url },
		{ BUS_CONF_RELAY_LEASE_MS, lease },
		{ BUS_CONF_RELAY_POLL_MS, "60000" }, /* notifications must do */
		{ BUS_CONF_RELAY_BATCH_EVENTS, "50" },
	};
	bus_log_init("relay", BUS_LOG_INFO, bus_clock_system());
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		if (bus_config_set(config, settings[i].key,
				   bus_str_from(settings[i].value), BUS_ORIGIN_FLAG,
				   "test", &err) != BUS_OK) {
			_exit(2);
		}
	}
	bus_service service = { .config = config,
				.clock = bus_clock_system(),
				.role = "relay",
				.stop = &stop };
	bus_adapter *adapter = tape_adapter(shared);
	bus_status status = bus_relay_serve(&service, adapter, &err);
	if (status != BUS_OK) {
		bus_log_error(BUS_LOG_ERROR, "relay ended", &err);
	}
	bus_adapter_close(adapter);
	bus_config_destroy(config);
	_exit(status == BUS_OK ? 0 : 1);
}

static relay
start(int64_t lease_ms, const char *crash_point)
{
	relay started = { .log = tmpfile() };
	fflush(stdout);
	started.pid = fork();
	if (started.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fileno(started.log), STDERR_FILENO);
		run_relay(lease_ms, crash_point);
	}
	return started;
}

static bool
logged(relay *r, const char *text)
{
	char line[8192];
	rewind(r->log);
	while (fgets(line, sizeof(line), r->log) != NULL) {
		if (strstr(line, text) != NULL) {
			return true;
		}
	}
	return false;
}

static void
show_log(relay *r)
{
	char line[8192];
	rewind(r->log);
	while (fgets(line, sizeof(line), r->log) != NULL) {
		printf("    %s", line);
	}
}

/* Its wait status; what it still runs after WAIT_MS is killed and fails. */
static int
ended(relay *r)
{
	int status = 0;
	int64_t end_ms = bus_clock_mono_ms(bus_clock_system()) + WAIT_MS;
	while (waitpid(r->pid, &status, WNOHANG) == 0) {
		if (bus_clock_mono_ms(bus_clock_system()) > end_ms) {
			show_log(r);
			kill(r->pid, SIGKILL);
			waitpid(r->pid, &status, 0);
			CU_FAIL("the relay did not end");
			break;
		}
		poll(NULL, 0, 5);
	}
	fclose(r->log);
	return status;
}

static void
stop_relay(relay *r)
{
	kill(r->pid, SIGTERM);
	int status = ended(r);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#define WAIT_FOR(condition)                                                              \
	do {                                                                             \
		int64_t end_ms = bus_clock_mono_ms(bus_clock_system()) + WAIT_MS;        \
		while (!(condition) && bus_clock_mono_ms(bus_clock_system()) < end_ms) { \
			poll(NULL, 0, 5);                                                \
		}                                                                        \
		CU_ASSERT(condition);                                                    \
	} while (0)

/* ---- the tape ---- */

static size_t
count_of(const char *value)
{
	size_t found = 0, count = atomic_load(&shared->count);
	for (size_t i = 0; i < count; i++) {
		found += strcmp(shared->entries[i].value, value) == 0;
	}
	return found;
}

/* Rows of a stream, if the first arrivals of 1, 2, 3 ... are in this order; -1 if not. */
static int
in_order(int stream)
{
	int last = 0;
	size_t count = atomic_load(&shared->count);
	for (size_t i = 0; i < count; i++) {
		int from, number;
		if (sscanf(shared->entries[i].value, "s%d-%d", &from, &number) != 2 ||
		    from != stream || number <= last) {
			continue;
		}
		if (number != last + 1) {
			return -1;
		}
		last = number;
	}
	return last;
}

/* ---- cases ---- */

static void
carries_all(void)
{
	begin();
	relay r = start(LEASE_MS, NULL);
	for (int round = 0; round < 20; round++) {
		for (int s = 1; s <= STREAMS; s++) {
			promise(s, 1 + round * s);
		}
	}
	WAIT_FOR(drained());
	CU_ASSERT_EQUAL(in_order(1), 210);
	CU_ASSERT_EQUAL(in_order(2), 400);
	CU_ASSERT_EQUAL(in_order(3), 590);
	CU_ASSERT_EQUAL(atomic_load(&shared->count), 1200);
	CU_ASSERT_STRING_EQUAL(shared->entries[0].topic, "busline.test");
	CU_ASSERT(strncmp(shared->entries[0].key, "acme/app-", 9) == 0);
	CU_ASSERT(epoch() > 0);
	stop_relay(&r);
	CU_ASSERT_EQUAL(epoch(), 0); /* given back */
	CU_ASSERT_STRING_EQUAL(sql("select count(*) from busline.relay"), "0");
	end();
}

/* With this lease and poll interval nothing else would wake the relay for 15 s. */
static void
notified(void)
{
	begin();
	relay r = start(60000, NULL);
	for (int i = 1; i <= 20; i++) {
		int64_t before_ms = bus_clock_mono_ms(bus_clock_system());
		promise(1, 1);
		WAIT_FOR(in_order(1) == i);
		CU_ASSERT(bus_clock_mono_ms(bus_clock_system()) - before_ms < 5000);
	}
	stop_relay(&r);
	end();
}

static void
marks_at_the_end(void)
{
	begin();
	relay r = start(LEASE_MS, NULL);
	promise(1, 1);
	WAIT_FOR(in_order(1) == 1);
	stop_relay(&r);
	CU_ASSERT(drained());
	end();
}

static void
dies_before_the_mark(void)
{
	begin();
	promise(1, 120);
	promise(2, 1);
	relay r = start(LEASE_MS, "relay-published");
	int status = ended(&r);
	CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CU_ASSERT(count_of("s1-1") == 1);
	CU_ASSERT_STRING_EQUAL(sql("select count(*) from busline.outbox_mark"), "0");
	/* Again, one batch further, and at last one that lives. */
	r = start(LEASE_MS, "relay-published:2");
	status = ended(&r);
	CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	r = start(LEASE_MS, NULL);
	WAIT_FOR(drained());
	CU_ASSERT_EQUAL(in_order(1), 120);
	CU_ASSERT_EQUAL(in_order(2), 1);
	CU_ASSERT(count_of("s1-1") == 3); /* sent again: workers drop it by its id */
	stop_relay(&r);
	end();
}

static void
takes_over_from_the_dead(void)
{
	begin();
	relay first = start(LEASE_MS, NULL);
	WAIT_FOR(epoch() > 0);
	long before = epoch();
	relay second = start(LEASE_MS, NULL);
	promise(1, 10);
	WAIT_FOR(drained());
	kill(first.pid, SIGKILL);
	ended(&first);
	int64_t died_ms = bus_clock_mono_ms(bus_clock_system());
	promise(1, 10);
	WAIT_FOR(in_order(1) == 20);
	CU_ASSERT(bus_clock_mono_ms(bus_clock_system()) - died_ms < 3 * LEASE_MS);
	CU_ASSERT_EQUAL(epoch(), before + 1);
	CU_ASSERT_EQUAL(atomic_load(&shared->count), 20);
	stop_relay(&second);
	end();
}

/* The lease is long: only that it was given back lets the second one in this early. */
static void
takes_over_from_the_leaving(void)
{
	const int64_t lease_ms = 9000;
	begin();
	relay first = start(lease_ms, NULL);
	WAIT_FOR(epoch() > 0);
	relay second = start(lease_ms, NULL);
	promise(1, 10);
	WAIT_FOR(drained());
	int64_t left_ms = bus_clock_mono_ms(bus_clock_system());
	stop_relay(&first);
	promise(1, 10);
	WAIT_FOR(in_order(1) == 20);
	CU_ASSERT(bus_clock_mono_ms(bus_clock_system()) - left_ms < lease_ms / 2);
	stop_relay(&second);
	end();
}

/* Stopped between publication and mark, until another has its shards. */
static void
zombie_has_nothing(void)
{
	begin();
	relay zombie = start(LEASE_MS, NULL);
	WAIT_FOR(epoch() > 0);
	long before = epoch();
	atomic_store(&shared->stops_once, true);
	promise(1, 30);
	WAIT_FOR(in_order(1) == 30);
	relay heir = start(LEASE_MS, NULL);
	WAIT_FOR(drained());
	kill(zombie.pid, SIGCONT);
	promise(1, 30);
	WAIT_FOR(drained());
	WAIT_FOR(logged(&zombie, LOST));
	CU_ASSERT_EQUAL(epoch(), before + 1);
	CU_ASSERT_EQUAL(in_order(1), 60);
	stop_relay(&zombie);
	stop_relay(&heir);
	end();
}

/* Shards go to another for a while; our relay does not know before it marks. */
static void
steal(const char *which)
{
	sql("insert into busline.relay (holder, expires_at) "
	    "values ('thief', clock_timestamp() + interval '1 second')");
	sql("update busline.relay_shard set epoch = epoch + 1, holder = 'thief' where %s",
	    which);
}

static void
fenced_mark(void)
{
	begin();
	relay r = start(60000, NULL);
	promise(1, 5);
	WAIT_FOR(drained());
	long before = epoch();
	steal("true");
	promise(1, 5);
	WAIT_FOR(logged(&r, LOST));
	CU_ASSERT_EQUAL(in_order(1), 10);
	CU_ASSERT_STRING_EQUAL(sql("select seq from busline.outbox_mark"), "5");
	WAIT_FOR(drained());
	CU_ASSERT_EQUAL(epoch(), before + 2);
	CU_ASSERT_EQUAL(count_of("s1-6"), 2);
	CU_ASSERT_EQUAL(in_order(1), 10);
	stop_relay(&r);
	end();
}

/* One shard is lost: the marks of the others count, and its own do not. */
static void
one_shard_is_lost(void)
{
	begin();
	relay r = start(60000, NULL);
	promise(1, 5);
	promise(2, 5);
	WAIT_FOR(drained());
	steal("shard = 1");
	sql("begin");
	promise(1, 5);
	promise(2, 5);
	sql("commit");
	WAIT_FOR(logged(&r, LOST));
	CU_ASSERT_STRING_EQUAL(sql("select seq from busline.outbox_mark where stream = 1"),
			       "5");
	WAIT_FOR(strcmp(sql("select seq from busline.outbox_mark where stream = 2"),
			"10") == 0);
	WAIT_FOR(drained());
	CU_ASSERT_EQUAL(in_order(1), 10);
	CU_ASSERT_EQUAL(count_of("s1-6"), 2);
	CU_ASSERT_EQUAL(count_of("s2-6"), 1);
	stop_relay(&r);
	end();
}

/* Whoever has the lease has published, marked and emptied what ours has not read yet. */
static void
emptied_by_another(void)
{
	begin();
	relay r = start(60000, NULL);
	WAIT_FOR(epoch() > 0);
	promise(1, 5);
	WAIT_FOR(drained());
	sql("begin");
	steal("true");
	promise(1, 5);
	sql("truncate busline.outbox");
	sql("update busline.outbox_mark set seq = 10 where stream = 1");
	promise(1, 5);
	sql("commit");
	WAIT_FOR(logged(&r, LOST));
	WAIT_FOR(drained());
	CU_ASSERT_EQUAL(count_of("s1-10"), 0);
	CU_ASSERT_EQUAL(count_of("s1-11"), 1);
	stop_relay(&r);
	end();
}

/* The same without another holder: promises are lost, and nothing hides it. */
static void
lost_promises(void)
{
	begin();
	relay r = start(60000, NULL);
	promise(1, 5);
	WAIT_FOR(drained());
	sql("begin");
	promise(1, 5);
	sql("truncate busline.outbox");
	promise(1, 5);
	sql("commit");
	WAIT_FOR(logged(&r, "has a gap: 11 follows 5"));
	int status = ended(&r);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	CU_ASSERT_EQUAL(count_of("s1-11"), 0);
	end();
}

static void
one_row_is_refused(void)
{
	begin();
	snprintf(shared->refuses, sizeof(shared->refuses), "s1-3");
	relay r = start(LEASE_MS, NULL);
	promise(1, 6);
	promise(2, 6);
	WAIT_FOR(in_order(2) == 6);
	/* Tried twice each time, with its batch and alone; between two times are at least 100 ms. */
	WAIT_FOR(atomic_load(&shared->refused) >= 1);
	int64_t first_ms = bus_clock_mono_ms(bus_clock_system());
	WAIT_FOR(atomic_load(&shared->refused) >= 10);
	CU_ASSERT(bus_clock_mono_ms(bus_clock_system()) - first_ms >= 350);
	promise(2, 6);
	WAIT_FOR(in_order(2) == 12);
	WAIT_FOR(strcmp(sql("select seq from busline.outbox_mark where stream = 1"),
			"2") == 0);
	WAIT_FOR(strcmp(sql("select kind || topic || \"offset\" from busline.incident"),
			"relay-refusedbusline.test3") == 0);
	CU_ASSERT_STRING_EQUAL(sql("select count(*) from busline.incident"), "1");
	/* Behind it nothing is sent over and over. */
	CU_ASSERT_EQUAL(count_of("s1-4"), 1);
	shared->refuses[0] = '\0';
	WAIT_FOR(drained());
	CU_ASSERT_EQUAL(count_of("s1-3"), 1);
	CU_ASSERT_EQUAL(count_of("s1-4"), 2);
	CU_ASSERT_EQUAL(count_of("s1-6"), 2);
	CU_ASSERT(logged(&r, "outbox stream goes on"));
	stop_relay(&r);
	end();
}

/* The second batch is in memory before the first is in its topic. */
static void
read_ahead(void)
{
	begin();
	atomic_store(&shared->holds, true);
	promise(1, 120);
	relay r = start(LEASE_MS * 60, NULL);
	/* Nothing left to ask while the first batch of 50 is held. */
	WAIT_FOR(epoch() > 0);
	WAIT_FOR(strcmp(sql("select count(*) from pg_stat_activity "
			    "where application_name = 'busline relay' and state = 'idle' "
			    "and state_change < clock_timestamp() - interval '300 ms'"),
			"1") == 0);
	CU_ASSERT_EQUAL(atomic_load(&shared->count), 0);
	sql("delete from busline.outbox where seq <= 100");
	atomic_store(&shared->holds, false);
	WAIT_FOR(drained());
	CU_ASSERT_EQUAL(in_order(1), 120);
	CU_ASSERT_EQUAL(atomic_load(&shared->count), 120);
	stop_relay(&r);
	end();
}

/* Two streams share a batch: 25 rows of each. What was read behind a failure is not sent. */
static void
read_ahead_is_dropped(void)
{
	begin();
	snprintf(shared->refuses, sizeof(shared->refuses), "s1-20");
	promise(1, 100);
	promise(2, 100);
	relay r = start(LEASE_MS, NULL);
	WAIT_FOR(in_order(2) == 100);
	CU_ASSERT_EQUAL(in_order(1), -1); /* 21 to 25 went with the batch */
	CU_ASSERT_EQUAL(count_of("s1-25"), 1);
	CU_ASSERT_EQUAL(count_of("s1-26"), 0);
	CU_ASSERT_EQUAL(count_of("s2-26"), 1); /* read again, sent once */
	shared->refuses[0] = '\0';
	WAIT_FOR(drained());
	CU_ASSERT_EQUAL(count_of("s1-20"), 1);
	CU_ASSERT_EQUAL(count_of("s1-25"), 2);
	for (int i = 26; i <= 100; i++) {
		char value[16];
		snprintf(value, sizeof(value), "s1-%d", i);
		CU_ASSERT_EQUAL(count_of(value), 1);
	}
	stop_relay(&r);
	end();
}

/* A batch in hand is of the epoch it was read under: the thief has published it. */
static void
read_ahead_ends_with_the_shard(void)
{
	begin();
	atomic_store(&shared->holds, true);
	promise(1, 100);
	relay r = start(LEASE_MS, NULL);
	WAIT_FOR(epoch() > 0);
	steal("true");
	/* Held for longer than a part of the lease: it is renewed before anything is sent. */
	WAIT_FOR(strcmp(sql("select clock_timestamp() > expires_at - interval '200 ms' "
			    "from busline.relay where holder = 'thief'"),
			"t") == 0);
	sql("update busline.relay set expires_at = clock_timestamp() + interval '1 second'");
	sql("insert into busline.outbox_mark values (1, 100)");
	atomic_store(&shared->holds, false);
	WAIT_FOR(logged(&r, LOST));
	WAIT_FOR(epoch() > 0 &&
		 strcmp(sql("select holder from busline.relay_shard where shard = 1"),
			"thief") != 0);
	promise(1, 1);
	WAIT_FOR(count_of("s1-101") == 1);
	CU_ASSERT_EQUAL(count_of("s1-50"), 1);
	CU_ASSERT_EQUAL(count_of("s1-51"), 0);
	stop_relay(&r);
	end();
}

static void
broker_is_away(void)
{
	begin();
	atomic_store(&shared->down, true);
	relay r = start(LEASE_MS, NULL);
	for (int s = 1; s <= STREAMS; s++) {
		promise(s, 100);
	}
	WAIT_FOR(logged(&r, "the tape is down"));
	CU_ASSERT_EQUAL(atomic_load(&shared->count), 0);
	atomic_store(&shared->down, false);
	WAIT_FOR(drained());
	for (int s = 1; s <= STREAMS; s++) {
		CU_ASSERT_EQUAL(in_order(s), 100);
	}
	CU_ASSERT_EQUAL(atomic_load(&shared->count), 300);
	CU_ASSERT_STRING_EQUAL(sql("select count(*) from busline.incident"), "0");
	stop_relay(&r);
	end();
}

static void
answers_are_lost(void)
{
	begin();
	atomic_store(&shared->acks_lost, true);
	relay r = start(LEASE_MS, NULL);
	promise(1, 100);
	WAIT_FOR(count_of("s1-1") >= 3);
	CU_ASSERT_STRING_EQUAL(sql("select count(*) from busline.outbox_mark"), "0");
	atomic_store(&shared->acks_lost, false);
	WAIT_FOR(drained());
	CU_ASSERT_EQUAL(in_order(1), 100);
	stop_relay(&r);
	end();
}

static void
connection_is_cut(void)
{
	begin();
	relay r = start(LEASE_MS, NULL);
	for (int i = 0; i < 5; i++) {
		promise(1, 60);
		WAIT_FOR(in_order(1) > i * 60);
		sql("select pg_terminate_backend(pid) from pg_stat_activity "
		    "where application_name = 'busline relay'");
	}
	WAIT_FOR(drained());
	CU_ASSERT_EQUAL(in_order(1), 300);
	stop_relay(&r);
	end();
}

/* A relay empties what is left of the one before it, without anything new to publish. */
static void
tables_are_emptied(void)
{
	begin();
	relay r = start(LEASE_MS, NULL);
	promise(1, 5000);
	promise(2, 5000);
	WAIT_FOR(drained());
	stop_relay(&r);
	CU_ASSERT_STRING_EQUAL(sql("select count(*) from busline.outbox"), "10000");
	promise(3, 1);
	r = start(LEASE_MS, NULL);
	/* Their size, and not their rows: reading those would be in the way of emptying. */
	WAIT_FOR(strcmp(sql("select sum(pg_relation_size(format('busline.outbox_%%s', i))) "
			    "from generate_series(0, 2) i"),
			"0") == 0);
	CU_ASSERT_EQUAL(in_order(1), 5000);
	CU_ASSERT_EQUAL(in_order(2), 5000);
	CU_ASSERT_EQUAL(in_order(3), 1);
	stop_relay(&r);
	end();
}

/* ---- several at once ---- */

/* A row for each stream. */
static void
promise_round(void)
{
	for (int s = 1; s <= STREAMS_ALL; s++) {
		promise(s, 1);
	}
}

static void
all_in_order(int rows)
{
	for (int s = 1; s <= STREAMS_ALL; s++) {
		CU_ASSERT_EQUAL(in_order(s), rows);
	}
}

static size_t
published_by(const relay *r)
{
	size_t found = 0, count = atomic_load(&shared->count);
	for (size_t i = 0; i < count; i++) {
		found += shared->entries[i].publisher == r->pid;
	}
	return found;
}

static void
three_share(void)
{
	begin();
	relay relays[3];
	for (int i = 0; i < 3; i++) {
		relays[i] = start(4 * LEASE_MS, NULL);
		WAIT_FOR(strcmp(shares(),
				((const char *[]){ "16", "8,8", "6,5,5" })[i]) == 0);
	}
	for (int round = 0; round < 20; round++) {
		promise_round();
	}
	WAIT_FOR(drained());
	all_in_order(20);
	/* Each by the relay whose it is, and by no other. */
	CU_ASSERT_EQUAL(atomic_load(&shared->count), 20 * STREAMS_ALL);
	CU_ASSERT_EQUAL(published_by(&relays[0]), 20 * 6);
	CU_ASSERT_EQUAL(published_by(&relays[1]), 20 * 5);
	CU_ASSERT_EQUAL(published_by(&relays[2]), 20 * 5);
	for (int i = 0; i < 3; i++) {
		stop_relay(&relays[i]);
	}
	end();
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
		more -= strcmp(shares(), wanted) == 0;
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
	begin();
	atomic_store(&shared->slow, true);
	int rounds = 0;
	relay first = start(4 * LEASE_MS, NULL);
	rounds += promise_until("16");
	relay second = start(4 * LEASE_MS, NULL);
	rounds += promise_until("8,8");
	relay third = start(4 * LEASE_MS, NULL);
	rounds += promise_until("6,5,5");
	stop_relay(&first);
	rounds += promise_until("8,8");
	stop_relay(&third);
	rounds += promise_until("16");
	WAIT_FOR(drained());
	all_in_order(rounds);
	CU_ASSERT_EQUAL(atomic_load(&shared->count), (size_t)rounds * STREAMS_ALL);
	CU_ASSERT(!logged(&second, LOST));
	stop_relay(&second);
	end();
}

/* Relays die and new ones come, under load: rows come again, never out of order. */
static void
order_through_deaths(void)
{
	begin();
	int rounds = 0;
	relay relays[3];
	for (int i = 0; i < 3; i++) {
		relays[i] = start(LEASE_MS / 2, NULL);
	}
	for (int death = 0; death < 9; death++) {
		int64_t end_ms = bus_clock_mono_ms(bus_clock_system()) + 400;
		while (bus_clock_mono_ms(bus_clock_system()) < end_ms) {
			promise_round();
			rounds++;
		}
		kill(relays[death % 3].pid, SIGKILL);
		ended(&relays[death % 3]);
		relays[death % 3] = start(LEASE_MS / 2, NULL);
	}
	WAIT_FOR(drained());
	all_in_order(rounds);
	for (int i = 0; i < 3; i++) {
		stop_relay(&relays[i]);
	}
	end();
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
	{ "three relays share the work", three_share },
	{ "shards go from relay to relay without a repeat", moves_without_repeats },
	{ "order is kept while relays die and come", order_through_deaths },
	{ NULL, NULL },
};

const bus_suite_def bus_suite = {
	.name = "relay",
	.cases = suite_cases,
	.setup = setup,
	.teardown = teardown,
};
