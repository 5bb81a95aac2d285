/*
 * relay_kit.c - what the tests of relays share
 */
#include "tests/integration/relay_kit.h"

#include <libpq-fe.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log.h"
#include "tests/support/pg_cluster.h"
#include "workers/relay/handler.h"

tape *kit_tape;
static pg_cluster *cluster;
static PGconn *db;
static volatile sig_atomic_t stop;

/* ---- the database ---- */

const char *
kit_sql(const char *format, ...)
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

int
kit_setup(void)
{
	cluster = pg_cluster_start();
	kit_tape = tape_create();
	return cluster != NULL && pg_cluster_database(cluster, "relay") &&
			       migrate(pg_cluster_url(cluster, "relay")) ?
		       0 :
		       1;
}

int
kit_teardown(void)
{
	pg_cluster_stop(cluster);
	tape_destroy(kit_tape);
	return 0;
}

void
kit_begin(void)
{
	tape_clear(kit_tape);
	db = PQconnectdb(pg_cluster_url(cluster, "relay"));
	CU_ASSERT_EQUAL_FATAL(PQstatus(db), CONNECTION_OK);
	kit_sql("truncate busline.outbox, busline.outbox_mark, busline.incident, "
		"busline.position restart identity");
	kit_sql("delete from busline.relay");
	for (int i = 0; i < STREAMS_ALL; i++) {
		kit_sql("insert into busline.position (topic, partition) values ('test', %d)",
			i);
	}
}

void
kit_end(void)
{
	PQfinish(db);
	db = NULL;
}

void
kit_promise(int stream, int count)
{
	kit_sql("with moved as (update busline.position set outbox_seq = outbox_seq + %d "
		"where stream = %d returning outbox_seq - %d as seq), "
		"rows as (insert into busline.outbox (slot, stream, seq, kind, topic, key, headers, "
		"data) select (select slot from busline.outbox_rotation), %d, seq + i, 0, "
		"'busline.test', convert_to('acme/app-%d', 'UTF8'), '\\x00000000'::bytea, "
		"convert_to('s%d-' || seq + i, 'UTF8') from moved, generate_series(1, %d) i) "
		"select pg_notify('busline_outbox', '')",
		count, stream, count, stream, stream, stream, count);
}

bool
kit_drained(void)
{
	return strcmp(kit_sql("select bool_and(coalesce(m.seq, 0) = p.outbox_seq) "
			      "from busline.position p left join busline.outbox_mark m "
			      "using (stream)"),
		      "t") == 0;
}

long
kit_epoch(void)
{
	return strtol(kit_sql("select epoch from busline.relay_shard join busline.relay "
			      "using (holder) where shard = 1 and "
			      "expires_at > clock_timestamp()"),
		      NULL, 10);
}

const char *
kit_shares(void)
{
	return kit_sql("select string_agg(shard_count::text, ',' order by since) "
		       "from busline.relays where holder is not null");
}

/* ---- relays ---- */

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
	bus_adapter *adapter = tape_adapter(kit_tape);
	bus_status status = bus_relay_serve(&service, adapter, &err);
	if (status != BUS_OK) {
		bus_log_error(BUS_LOG_ERROR, "relay ended", &err);
	}
	bus_adapter_close(adapter);
	bus_config_destroy(config);
	_exit(status == BUS_OK ? 0 : 1);
}

relay
kit_start(int64_t lease_ms, const char *crash_point)
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

bool
kit_logged(relay *r, const char *text)
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

int
kit_ended(relay *r)
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

void
kit_stop_relay(relay *r)
{
	kill(r->pid, SIGTERM);
	int status = kit_ended(r);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- the tape ---- */

size_t
kit_count_of(const char *value)
{
	size_t found = 0, count = atomic_load(&kit_tape->count);
	for (size_t i = 0; i < count; i++) {
		found += strcmp(kit_tape->entries[i].value, value) == 0;
	}
	return found;
}

int
kit_in_order(int stream)
{
	int last = 0;
	size_t count = atomic_load(&kit_tape->count);
	for (size_t i = 0; i < count; i++) {
		int from, number;
		if (sscanf(kit_tape->entries[i].value, "s%d-%d", &from, &number) != 2 ||
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
