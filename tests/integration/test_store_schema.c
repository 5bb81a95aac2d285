/*
 * test_store_schema.c - migrations, every query, who may do what, one digest
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/embed.h"
#include "tests/integration/store_kit.h"

extern const bus_embedded bus_sql_files[];

static bus_store *
store_on(const char *database)
{
	char url[512];
	snprintf(url, sizeof(url), "%s", pg_cluster_url(kit_cluster, database));
	const bus_store_options options = { .url = url,
					    .role = "busline_worker",
					    .application_name = "schema",
					    .deadline_ms = 10000,
					    .durable = true,
					    .clock = bus_clock_system() };
	return bus_store_create(&options);
}

/* ---- migrations ---- */

static void
test_migrate(void)
{
	const bus_migration *migrations = NULL;
	size_t count = 0;
	CU_ASSERT_TRUE_FATAL(pg_cluster_database(kit_cluster, "fresh"));
	bus_store *store = store_on("fresh");
	KIT_IS(bus_store_connect(store, kit_error()), BUS_E_FATAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(kit_err.text, "busline migrate"));

	KIT_OK(bus_store_migrate(store, true, &migrations, &count, kit_error()));
	CU_ASSERT_TRUE(count >= 6);
	for (size_t i = 0; i < count; i++) {
		CU_ASSERT_FALSE(migrations[i].applied);
	}
	KIT_IS(bus_store_connect(store, kit_error()),
	       BUS_E_FATAL); /* a plan changes nothing */

	KIT_OK(bus_store_migrate(store, false, &migrations, &count, kit_error()));
	char applied_at[BUS_TIME_TEXT_MAX];
	snprintf(applied_at, sizeof(applied_at), "%s", migrations[0].applied_at);
	CU_ASSERT_EQUAL(strlen(applied_at), BUS_TIME_TEXT_MAX - 1);
	KIT_OK(bus_store_migrate(store, false, &migrations, &count, kit_error()));
	for (size_t i = 0; i < count; i++) {
		CU_ASSERT_TRUE(migrations[i].applied);
	}
	CU_ASSERT_STRING_EQUAL(migrations[0].applied_at, applied_at); /* not again */
	KIT_OK(bus_store_connect(store, kit_error()));
	CU_ASSERT_TRUE(bus_store_connected(store));
	bus_store_destroy(store);
}

static void
test_migrate_changed(void)
{
	const bus_migration *migrations = NULL;
	size_t count = 0;
	char was[65];
	snprintf(was, sizeof(was), "%s",
		 kit_sql("SELECT sha256 FROM busline.migration WHERE number = 2"));
	bus_store *store = store_on("kit");
	kit_sql("UPDATE busline.migration SET sha256 = repeat('0', 64) WHERE number = 2");
	KIT_IS(bus_store_migrate(store, false, &migrations, &count, kit_error()),
	       BUS_E_FATAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(kit_err.text, "0002_positions"));
	kit_sql("UPDATE busline.migration SET sha256 = '%s' WHERE number = 2", was);
	KIT_OK(bus_store_migrate(store, false, &migrations, &count, kit_error()));
	bus_store_destroy(store);
}

static void
test_migrate_newer(void)
{
	const bus_migration *migrations = NULL;
	size_t count = 0;
	bus_store *store = store_on("kit");
	kit_sql("INSERT INTO busline.migration VALUES (9999, '9999_later', repeat('a', 64))");
	KIT_IS(bus_store_migrate(store, false, &migrations, &count, kit_error()),
	       BUS_E_FATAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(kit_err.text, "9999_later"));
	KIT_IS(bus_store_connect(store, kit_error()), BUS_E_FATAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(kit_err.text, "9999"));
	kit_sql("DELETE FROM busline.migration WHERE number = 9999");
	KIT_OK(bus_store_connect(store, kit_error()));
	bus_store_destroy(store);
}

/* Who migrates need not be a superuser. */
static void
test_migrate_by_owner(void)
{
	const bus_migration *migrations = NULL;
	size_t count = 0;
	if (pg_cluster_port(kit_cluster) == 0) {
		return; /* a server of somebody else's: its rules of login are not ours */
	}
	CU_ASSERT_TRUE_FATAL(pg_cluster_database(kit_cluster, "plain"));
	kit_sql("CREATE ROLE kit_dba LOGIN CREATEROLE");
	kit_sql("ALTER DATABASE plain OWNER TO kit_dba");
	char url[512];
	snprintf(url, sizeof(url), "host=127.0.0.1 port=%d user=kit_dba dbname=plain",
		 pg_cluster_port(kit_cluster));
	const bus_store_options options = { .url = url,
					    .deadline_ms = 10000,
					    .clock = bus_clock_system() };
	bus_store *store = bus_store_create(&options);
	KIT_OK(bus_store_migrate(store, false, &migrations, &count, kit_error()));
	KIT_OK(bus_store_migrate(store, false, &migrations, &count, kit_error()));
	bus_store_destroy(store);
}

/* ---- every query ---- */

static void
test_prepare_all(void)
{
	PGconn *conn = PQconnectdb(pg_cluster_url(kit_cluster, "kit"));
	size_t queries = 0;
	for (const bus_embedded *file = bus_sql_files; file->name != NULL; file++) {
		if (strncmp(file->name, "queries/", 8) != 0) {
			continue;
		}
		queries++;
		PGresult *result = PQprepare(conn, file->name, file->data, 0, NULL);
		if (PQresultStatus(result) != PGRES_COMMAND_OK) {
			printf("\n%s: %s", file->name, PQerrorMessage(conn));
		}
		CU_ASSERT_EQUAL(PQresultStatus(result), PGRES_COMMAND_OK);
		PQclear(result);
	}
	CU_ASSERT_TRUE(queries > 50);
	PQfinish(conn);
}

/* ---- roles ---- */

static void
test_roles_matrix(void)
{
	static const struct {
		const char *role;
		const char *sql;
		const char *answer;
	} cases[] = {
		{ "busline_worker", "SELECT count(*) >= 0 FROM busline.ledger", "t" },
		{ "busline_worker", "UPDATE busline.ledger SET tenant = ''", "!42501" },
		{ "busline_worker", "DELETE FROM busline.ledger", "!42501" },
		{ "busline_worker", "TRUNCATE busline.ledger", "!42501" },
		{ "busline_worker", "SELECT FROM busline.ledger_default", "!42501" },
		{ "busline_worker", "DELETE FROM busline.identity", "!42501" },
		{ "busline_worker", "UPDATE busline.identity SET \"offset\" = 0",
		  "!42501" },
		{ "busline_worker", "DELETE FROM busline.dead_letter", "!42501" },
		{ "busline_worker", "DELETE FROM busline.outbox", "!42501" },
		{ "busline_worker", "TRUNCATE busline.outbox_0", "!42501" },
		{ "busline_worker", "UPDATE busline.position SET topic = 'x'", "!42501" },
		{ "busline_worker", "DELETE FROM busline.position", "!42501" },
		{ "busline_worker", "UPDATE busline.incident SET closed_at = now()",
		  "!42501" },
		{ "busline_worker", "INSERT INTO busline.migration VALUES (1, '', '')",
		  "!42501" },
		{ "busline_worker", "CREATE TABLE busline.x ()", "!42501" },
		{ "busline_worker", "CREATE TEMP TABLE x ()", "!42501" },
		{ "busline_worker", "DELETE FROM paas.app", "!42501" },
		{ "busline_worker", "SELECT length(busline.state_digest()) = 64", "t" },
		{ "busline_worker", "SET ROLE busline_owner",
		  "" }, /* session is a superuser */
		{ "busline_worker", "SELECT busline.broker_url('x')", "x" },
		{ "busline_worker",
		  "INSERT INTO busline.broker_move (from_url, to_url, actor, reason) "
		  "VALUES ('a', 'b', 'c', '')",
		  "!42501" },
		{ "busline_worker",
		  "SELECT busline.broker_move_record(1, 'a', 'b', 'c', '')", "!42501" },
		{ "busline_auditor", "SELECT busline.broker_url('x')", "x" },
		{ "busline_migrator",
		  "SELECT busline.broker_move_record(1, 'a', 'b', 'c', '')", "!BL001" },
		{ "busline_owner", "UPDATE busline.broker_move SET to_url = 'x'",
		  "!BL002" },
		{ "busline_owner", "DELETE FROM busline.broker_move", "!BL002" },
		{ "busline_auditor", "SELECT count(*) >= 0 FROM busline.ledger", "t" },
		{ "busline_auditor", "SELECT count(*) >= 0 FROM busline.events", "t" },
		{ "busline_auditor", "SELECT count(*) >= 0 FROM paas.release", "t" },
		{ "busline_auditor", "SELECT count(*) >= 0 FROM busline.dead_letter",
		  "t" },
		{ "busline_auditor", "SELECT length(busline.state_digest()) = 64", "t" },
		{ "busline_auditor", "SELECT FROM busline.outbox", "!42501" },
		{ "busline_auditor", "INSERT INTO busline.ledger DEFAULT VALUES",
		  "!42501" },
		{ "busline_auditor", "UPDATE paas.app SET owner = 'me'", "!42501" },
		{ "busline_auditor", "INSERT INTO paas.app DEFAULT VALUES", "!42501" },
		{ "busline_auditor", "UPDATE busline.position SET epoch = 0", "!42501" },
		{ "busline_auditor", "SELECT busline.outbox_rotate()", "!42501" },
		{ "busline_auditor", "SELECT busline.relay_renew('me', 1000, '{}')",
		  "!42501" },
		{ "busline_auditor", "UPDATE busline.relay_shard SET epoch = 9",
		  "!42501" },
		{ "busline_auditor", "SELECT count(*) > 0 FROM busline.relays", "t" },
		{ "busline_gateway", "SELECT FROM busline.relays", "!42501" },
		{ "busline_auditor", "SELECT busline.ledger_partitions_ensure(1)",
		  "!42501" },
		{ "busline_gateway", "SELECT count(*) >= 0 FROM paas.release", "t" },
		{ "busline_gateway", "INSERT INTO paas.app DEFAULT VALUES", "!42501" },
		{ "busline_gateway", "UPDATE busline.position SET epoch = 0", "!42501" },
		{ "busline_gateway", "SELECT busline.state_digest()", "!42501" },
		{ "busline_gateway", "SELECT FROM busline.outbox", "!42501" },
		{ "busline_gateway", "SELECT FROM busline.incident", "!42501" },
		{ "busline_owner", "UPDATE busline.ledger SET tenant = ''", "!BL002" },
		{ "busline_owner", "DELETE FROM busline.ledger", "!BL002" },
		{ "busline_owner", "TRUNCATE busline.ledger", "!BL002" },
		{ "busline_owner", "DELETE FROM busline.ledger_default", "!BL002" },
		{ "busline_owner", "TRUNCATE busline.ledger_default", "!BL002" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *answer = kit_sql_as(cases[i].role, "", cases[i].sql);
		if (strcmp(answer, cases[i].answer) != 0) {
			printf("\n%s: %s: %s instead of %s\n", cases[i].role,
			       cases[i].sql, answer, cases[i].answer);
		}
		CU_ASSERT_STRING_EQUAL(answer, cases[i].answer);
	}
}

/* Followed in their order, each once; recorded only from where the bus is, under the lease. */
static void
test_broker_moves(void)
{
	static const struct {
		const char *from, *to;
		int epoch;
		const char *refused;
		const char *a, *b, *c; /* where the bus is then, from these settings */
	} moves[] = {
		{ "a", "b", 6, "!BL001", "a", "b", "c" },
		{ "a", "b", 7, NULL, "b", "b", "c" },
		{ "a", "c", 7, "!BL003", "b", "b", "c" },
		{ "b", "a", 7, NULL, "a", "a", "c" },
		{ "b", "c", 7, "!BL003", "a", "a", "c" },
		{ "a", "b", 7, NULL, "b", "b", "c" },
		{ "b", "c", 7, NULL, "c", "c", "c" },
		{ "c", "a", 7, NULL, "a", "a", "a" },
	};
	kit_sql("INSERT INTO busline.lease VALUES ('migrate-broker', 7, 'kit', now(), now())");
	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
		const char *id = kit_sql("SELECT busline.broker_move_record(%d, '%s', "
					 "'%s', 'kit', '')",
					 moves[i].epoch, moves[i].from, moves[i].to);
		if (moves[i].refused != NULL) {
			CU_ASSERT_STRING_EQUAL(id, moves[i].refused);
		} else {
			CU_ASSERT(atoi(id) > 0);
		}
		CU_ASSERT_STRING_EQUAL(kit_sql("SELECT busline.broker_url('a')"),
				       moves[i].a);
		CU_ASSERT_STRING_EQUAL(kit_sql("SELECT busline.broker_url('b')"),
				       moves[i].b);
		CU_ASSERT_STRING_EQUAL(kit_sql("SELECT busline.broker_url('c')"),
				       moves[i].c);
	}
}

/* Also a partition of a month, named directly, and with triggers switched off. */
static void
test_ledger_append_only(void)
{
	char leaf[64];
	snprintf(
		leaf, sizeof(leaf), "busline.%s",
		kit_sql("SELECT 'ledger_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')"));
	CU_ASSERT_STRING_EQUAL(kit_sql("SELECT count(*) FROM %s WHERE false", leaf), "0");
	CU_ASSERT_STRING_EQUAL(kit_sql("DELETE FROM %s", leaf), "!BL002");
	CU_ASSERT_STRING_EQUAL(kit_sql("UPDATE %s SET tenant = ''", leaf), "!BL002");
	CU_ASSERT_STRING_EQUAL(kit_sql("TRUNCATE %s", leaf), "!BL002");
	CU_ASSERT_STRING_EQUAL(
		kit_sql("SET session_replication_role = replica; DELETE FROM %s", leaf),
		"!BL002");
	kit_sql("SET session_replication_role = origin");
}

static void
test_partitions(void)
{
	const char *count = "SELECT count(*) FROM pg_inherits "
			    "WHERE inhparent = 'busline.ledger'::regclass";
	CU_ASSERT_EQUAL(kit_int("%s", count),
			5); /* this month, three more, the default one */
	CU_ASSERT_EQUAL(kit_int("SELECT busline.ledger_partitions_ensure(3)"), 0);
	CU_ASSERT_EQUAL(kit_int("SELECT busline.ledger_partitions_ensure(5)"), 2);
	CU_ASSERT_EQUAL(kit_int("%s", count), 7);
	/* a month nobody made: the row is taken, and the month is left where it is */
	kit_sql("INSERT INTO busline.ledger (stream, \"offset\", verdict, hash, headers, "
		"recorded_at) VALUES (-1, 0, 'APPLIED', '', '\\x00000000', "
		"now() + interval '6 months 40 days')");
	CU_ASSERT_EQUAL(kit_int("SELECT count(*) FROM busline.ledger_default"), 1);
	CU_ASSERT_TRUE(kit_int("SELECT busline.ledger_partitions_ensure(8)") >= 1);
	CU_ASSERT_EQUAL(kit_int("SELECT count(*) FROM busline.ledger_default"), 1);
}

static void
test_row_level_security(void)
{
	/* every table with a tenant, partitions too */
	CU_ASSERT_STRING_EQUAL(
		kit_sql("SELECT string_agg(c.oid::regclass::text, ' ') FROM pg_class c "
			"JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant' "
			"WHERE c.relkind IN ('r', 'p') AND c.relnamespace IN ('busline'::regnamespace, "
			"'paas'::regnamespace) AND NOT (c.relrowsecurity AND c.relforcerowsecurity "
			"AND (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid) = 3)"),
		"");
	CU_ASSERT_TRUE(
		kit_int("SELECT count(*) FROM pg_class WHERE relforcerowsecurity") >= 12);
	/* every view reads with its reader's rights */
	CU_ASSERT_STRING_EQUAL(
		kit_sql("SELECT string_agg(oid::regclass::text, ' ') FROM pg_class "
			"WHERE relkind = 'v' AND relnamespace::regnamespace::text IN ('busline', "
			"'paas', 'audit') AND NOT coalesce('security_invoker=true' = "
			"ANY (reloptions), false)"),
		"");
	/* every definer's function pins its search_path */
	CU_ASSERT_STRING_EQUAL(
		kit_sql("SELECT string_agg(oid::regprocedure::text, ' ') FROM pg_proc "
			"WHERE pronamespace::regnamespace::text IN ('busline', 'paas', 'audit') "
			"AND prosecdef AND NOT coalesce(array_to_string(proconfig, ' ') "
			"LIKE '%%search_path=pg_catalog, pg_temp%%', false)"),
		"");
	/* nobody mighty, nobody's function open to all, everything the owner's */
	CU_ASSERT_EQUAL(
		kit_int("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'busline\\_%%' "
			"AND (rolsuper OR rolbypassrls OR rolcanlogin)"),
		0);
	CU_ASSERT_EQUAL(
		kit_int("SELECT count(*) FROM pg_proc WHERE "
			"pronamespace::regnamespace::text IN ('busline', 'paas', 'audit') "
			"AND has_function_privilege('public', oid, 'EXECUTE')"),
		0);
	CU_ASSERT_EQUAL(
		kit_int("SELECT count(*) FROM pg_class WHERE "
			"relnamespace::regnamespace::text IN ('busline', 'paas', 'audit') "
			"AND relowner <> 'busline_owner'::regrole"),
		0);
}

static void
test_tenants(void)
{
	kit_sql("INSERT INTO paas.app (tenant, app, event_source, event_id) "
		"VALUES ('one', 'a', '', ''), ('two', 'b', '', '')");
	kit_sql("INSERT INTO busline.position (topic, partition) VALUES ('tenants', 0)");
	kit_sql("INSERT INTO busline.ledger (stream, \"offset\", verdict, hash, headers, tenant) "
		"SELECT p.stream, t.o, 'APPLIED', '', '\\x00000000', t.t FROM busline.position p, "
		"(VALUES (1, 'one'), (2, 'two'), (3, NULL)) AS t (o, t) WHERE p.topic = 'tenants'");
	static const struct {
		const char *role;
		const char *tenant;
		const char *apps;
		const char *events;
	} cases[] = {
		{ "busline_gateway", "", "", "" },
		{ "busline_gateway", "one", "a", "1" },
		{ "busline_gateway", "two", "b", "2" },
		{ "busline_gateway", "three", "", "" },
		{ "busline_auditor", "", "ab", "123" },
		{ "busline_auditor", "one", "a", "1" },
		{ "busline_worker", "one", "ab", "123" },
		{ "busline_owner", "one", "ab", "123" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_STRING_EQUAL(
			kit_sql_as(cases[i].role, cases[i].tenant,
				   "SELECT string_agg(app, '' ORDER BY app) FROM paas.app "
				   "WHERE tenant IN ('one', 'two')"),
			cases[i].apps);
		/* the owner may read no more than his view's reader */
		CU_ASSERT_STRING_EQUAL(
			kit_sql_as(cases[i].role, cases[i].tenant,
				   "SELECT string_agg(\"offset\"::text, '' ORDER BY \"offset\") "
				   "FROM busline.events WHERE topic = 'tenants'"),
			cases[i].events);
	}
	/* never set at all is no error */
	CU_ASSERT_STRING_EQUAL(kit_sql_as("busline_gateway", "", "RESET busline.tenant"),
			       "");
}

/* ---- constraints ---- */

static void
test_constraints(void)
{
	static const char *const refused[] = {
		"paas.release (tenant, app, number, kind, image, status, event_source, event_id) "
		"VALUES ('t', 'a', 0, 'deploy', '', 'started', '', '')",
		"paas.release (tenant, app, number, kind, image, status, event_source, event_id) "
		"VALUES ('t', 'a', 1, 'rollback', '', 'started', '', '')",
		"paas.release (tenant, app, number, kind, rollback_to, image, status, event_source, "
		"event_id) VALUES ('t', 'a', 2, 'rollback', 2, '', 'started', '', '')",
		"paas.release (tenant, app, number, kind, image, status, command, event_source, "
		"event_id) VALUES ('t', 'a', 2, 'deploy', '', 'started', '{}', '', '')",
		"paas.deployment (tenant, app, latest_release, current_release, event_source, "
		"event_id) VALUES ('t', 'a', 1, 2, '', '')",
		"paas.scale (tenant, app, process, desired, min, max, version, status, event_source, "
		"event_id) VALUES ('t', 'a', 'web', 11, 0, 10, 1, 'requested', '', '')",
		"paas.route (tenant, app, host, wanted_version, applied_version, event_source, "
		"event_id) VALUES ('t', 'a', 'h', 1, 2, '', '')",
		"paas.route_target (tenant, app, host, version, release, weight, event_source, "
		"event_id) VALUES ('t', 'a', 'h', 1, 1, 101, '', '')",
		"paas.artifact (tenant, app, digest, image, event_source, event_id) "
		"VALUES ('t', 'a', 'sha256:12', '', '', '')",
		"paas.app (tenant, app, event_source, event_id) VALUES ('', 'a', '', '')",
	};
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		CU_ASSERT_STRING_EQUAL(kit_sql("INSERT INTO %s", refused[i]), "!23514");
	}
}

/* ---- the digest of all state ---- */

static const char *
digest(void)
{
	return kit_sql("SELECT busline.state_digest()");
}

static void
insert_app(const char *app)
{
	kit_sql("INSERT INTO paas.app (tenant, app, description, updated_at, event_source, "
		"event_id) VALUES ('digest', '%s', 'd', '2026-01-01 00:00+00', '/s', 'i')",
		app);
}

static void
test_digest(void)
{
	char empty[65];
	char wanted[65];
	kit_sql("DELETE FROM paas.app WHERE tenant = 'digest'");
	snprintf(empty, sizeof(empty), "%s", digest());
	CU_ASSERT_EQUAL(strlen(empty), 64);
	insert_app("a");
	insert_app("B");
	insert_app("\xc3\xa4");
	snprintf(wanted, sizeof(wanted), "%s", digest());
	CU_ASSERT_STRING_NOT_EQUAL(wanted, empty);

	/* the order of insertion, a rewritten row, the session's settings: all the same */
	kit_sql("DELETE FROM paas.app WHERE tenant = 'digest'");
	insert_app("\xc3\xa4");
	insert_app("B");
	insert_app("a");
	kit_sql("UPDATE paas.app SET owner = 'x' WHERE app = 'a'");
	CU_ASSERT_STRING_NOT_EQUAL(digest(), wanted);
	kit_sql("UPDATE paas.app SET owner = NULL WHERE app = 'a'");
	CU_ASSERT_STRING_EQUAL(digest(), wanted);
	kit_sql("SET timezone = 'Asia/Tokyo'; SET datestyle = 'German'; SET search_path = paas");
	CU_ASSERT_STRING_EQUAL(digest(), wanted);
	kit_sql("RESET ALL");
	CU_ASSERT_STRING_EQUAL(kit_sql_as("busline_auditor", "nobody",
					  "SELECT busline.state_digest()"),
			       wanted);
	/* NULL is not the empty text */
	kit_sql("UPDATE paas.app SET owner = '' WHERE app = 'a'");
	CU_ASSERT_STRING_NOT_EQUAL(digest(), wanted);
	kit_sql("UPDATE paas.app SET owner = NULL WHERE app = 'a'");

	/* a new table and a new column count by themselves */
	kit_sql("CREATE TABLE paas.kit_new (x int)");
	CU_ASSERT_STRING_EQUAL(digest(), "!42501"); /* one it may not read is no silence */
	kit_sql("ALTER TABLE paas.kit_new OWNER TO busline_owner");
	CU_ASSERT_STRING_EQUAL(digest(), wanted);
	kit_sql("INSERT INTO paas.kit_new VALUES (1)");
	CU_ASSERT_EQUAL(strlen(digest()), 64);
	CU_ASSERT_STRING_NOT_EQUAL(digest(), wanted);
	kit_sql("DROP TABLE paas.kit_new");
	CU_ASSERT_STRING_EQUAL(digest(), wanted);
	kit_sql("ALTER TABLE paas.app ADD COLUMN kit_new int DEFAULT 1");
	CU_ASSERT_STRING_NOT_EQUAL(digest(), wanted);
	kit_sql("ALTER TABLE paas.app DROP COLUMN kit_new");
	CU_ASSERT_STRING_EQUAL(digest(), wanted);
	kit_sql("DELETE FROM paas.app WHERE tenant = 'digest'");
	CU_ASSERT_STRING_EQUAL(digest(), empty);
}

/* Every column of every state table changes it. */
static void
test_digest_columns(void)
{
	kit_sql("INSERT INTO paas.release (tenant, app, number, kind, image, status, event_source, "
		"event_id) VALUES ('cols', 'a', 5, 'deploy', 'i', 'started', '', '')");
	static const char *const sets[] = {
		"app = 'b'",          "number = 6",
		"image = 'j'",        "command = '[]'",
		"environment = '{}'", "artifact_digest = ''",
		"status = 'failed'",  "reason = ''",
		"requested_by = ''",  "requested_at = now()",
		"started_at = now()", "finished_at = now()",
		"event_source = 'x'", "event_id = 'x'",
		"updated_at = now()",
	};
	char before[65];
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		snprintf(before, sizeof(before), "%s", digest());
		kit_sql("UPDATE paas.release SET %s WHERE tenant = 'cols'", sets[i]);
		CU_ASSERT_STRING_NOT_EQUAL(digest(), before);
	}
	kit_sql("DELETE FROM paas.release WHERE tenant = 'cols'");
}

/* ---- reading ---- */

static void
test_read(void)
{
	bus_store *store = kit_store("busline_auditor");
	bus_table table;
	KIT_OK(bus_store_read(store, "state_digest", NULL, 0, kit_arena, &table,
			      kit_error()));
	CU_ASSERT_EQUAL(table.row_count, 1);
	CU_ASSERT_TRUE(bus_str_is(table.columns[0], "state_digest"));
	CU_ASSERT_EQUAL(table.cells[0].len, 64);
	KIT_OK(bus_store_query(
		store,
		"SELECT 1 AS n, NULL AS z, 'x' AS t, true AS b, '{\"a\":1}'::jsonb "
		"AS j UNION ALL SELECT 2, '', 'y', NULL, NULL ORDER BY 1",
		kit_arena, &table, kit_error()));
	CU_ASSERT_EQUAL_FATAL(table.column_count, 5);
	CU_ASSERT_EQUAL_FATAL(table.row_count, 2);
	CU_ASSERT_TRUE(table.numeric[0] && !table.numeric[2]);
	CU_ASSERT_TRUE(table.json[3] && table.json[4] && !table.json[2]);
	CU_ASSERT_TRUE(bus_str_is(table.cells[0], "1"));
	CU_ASSERT_PTR_NULL(table.cells[1].data);
	CU_ASSERT_TRUE(bus_str_is(table.cells[3], "true"));
	CU_ASSERT_TRUE(bus_str_is(table.cells[4], "{\"a\": 1}"));
	CU_ASSERT_TRUE(bus_str_is(table.cells[6], ""));
	/* no rows, still columns */
	KIT_OK(bus_store_query(store, "SELECT 1 AS n WHERE false", kit_arena, &table,
			       kit_error()));
	CU_ASSERT_EQUAL(table.row_count, 0);
	CU_ASSERT_TRUE(bus_str_is(table.columns[0], "n"));

	static const struct {
		const char *sql;
		bus_status status;
	} refused[] = {
		{ "SELEC 1", BUS_E_REJECT },
		{ "SELECT 1/0", BUS_E_REJECT },
		{ "SELECT 1; SELECT 2", BUS_E_REJECT },
		{ "SELECT FROM busline.outbox", BUS_E_FATAL },
		{ "INSERT INTO busline.lease VALUES ('x', 1, 'x', now(), now())",
		  BUS_E_REJECT },
	};
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		KIT_IS(bus_store_query(store, refused[i].sql, kit_arena, &table,
				       kit_error()),
		       refused[i].status);
	}
	KIT_IS(bus_store_read(store, "no_such_query", NULL, 0, kit_arena, &table,
			      kit_error()),
	       BUS_E_FATAL);
	/* and none of that spoiled the connection */
	KIT_OK(bus_store_query(store, "SELECT 1", kit_arena, &table, kit_error()));
	bus_store_destroy(store);
	CU_ASSERT_EQUAL(kit_int("SELECT count(*) FROM busline.lease WHERE name = 'x'"), 0);
}

static const bus_case cases[] = {
	{ "migrations apply, a second time changes nothing", test_migrate },
	{ "a migration whose file was changed is refused", test_migrate_changed },
	{ "a database newer than the program is refused", test_migrate_newer },
	{ "the owner of a database can migrate without being superuser",
	  test_migrate_by_owner },
	{ "every query can be prepared", test_prepare_all },
	{ "ledger partitions are made ahead", test_partitions },
	{ "each role may do what it must and nothing else", test_roles_matrix },
	{ "moves of the bus are followed in their order", test_broker_moves },
	{ "the ledger is append-only for everybody", test_ledger_append_only },
	{ "row-level security is on and forced wherever there is a tenant",
	  test_row_level_security },
	{ "gateway and auditor see the tenants they may", test_tenants },
	{ "state that breaks a rule is refused", test_constraints },
	{ "the digest depends on state and on nothing else", test_digest },
	{ "every column is in the digest", test_digest_columns },
	{ "queries of people are read only", test_read },
	{ 0 },
};

const bus_suite_def bus_suite = { "store: schema", cases, kit_setup, kit_teardown };
