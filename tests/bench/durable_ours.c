/*
 * durable_ours.c - the embedded broker's adapter, and SQLite's own loop
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker-adapters/adapter.h"
#include "tests/bench/durable.h"

#define PUBLISH_MS 60000

/* ---- the adapter ---- */

typedef struct ours {
	const durable_options *options;
	bus_adapter *adapter;
	bus_publication *publications;
	char (*keys)[DURABLE_KEY_BYTES];
} ours;

static void *
ours_open(const durable_options *options, size_t number)
{
	(void)number;
	const bus_adapter_options wanted = {
		.url = options->address,
		.client_id = "bench",
		.clock = bus_clock_system(),
	};
	const bus_topic_spec spec = { DURABLE_TOPIC, options->partitions, 1, -1, 0, 1 };
	ours *o = calloc(1, sizeof(*o));
	o->options = options;
	o->publications = calloc(options->batch, sizeof(*o->publications));
	o->keys = calloc(options->batch, sizeof(*o->keys));
	bus_error err = BUS_ERROR_INIT;
	bus_topic_info info;
	bool made;
	if (bus_adapter_open(&wanted, &o->adapter, &err) != BUS_OK ||
	    bus_adapter_topic_ensure(o->adapter, &spec, PUBLISH_MS, &info, &made, &err) !=
		    BUS_OK) {
		durable_die(options->address, err.text);
	}
	return o;
}

static void
ours_append(void *producer, uint64_t number, size_t count)
{
	ours *o = producer;
	for (size_t i = 0; i < count; i++) {
		size_t len;
		const char *value = durable_value(o->options, number + i, &len);
		durable_key(number + i, o->keys[i]);
		o->publications[i] = (bus_publication){
			.topic = DURABLE_TOPIC,
			.partition = BUS_PARTITION_HOME,
			.record.key = { o->keys[i], DURABLE_KEY_BYTES },
			.record.value = { value, len },
		};
	}
	bus_error err = BUS_ERROR_INIT;
	if (bus_adapter_publish(o->adapter, o->publications, count, PUBLISH_MS, &err) !=
	    BUS_OK) {
		durable_die("publish", err.text);
	}
}

static void
ours_close(void *producer)
{
	ours *o = producer;
	bus_adapter_close(o->adapter);
	free(o->publications);
	free(o->keys);
	free(o);
}

const durable_way durable_busline = { "busline", ours_open, ours_append, ours_close };

/* ---- SQLite ---- */

typedef struct loop {
	const durable_options *options;
	sqlite3 *db;
	sqlite3_stmt *insert;
} loop;

static void
execute(sqlite3 *db, const char *sql)
{
	char *why = NULL;
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) {
		durable_die(sql, why);
	}
}

static void *
loop_open(const durable_options *options, size_t number)
{
	loop *l = calloc(1, sizeof(*l));
	char path[4096];
	snprintf(path, sizeof(path), "%s/loop-%zu.db", options->address, number);
	l->options = options;
	if (options->producers != 1 || sqlite3_open(path, &l->db) != SQLITE_OK) {
		durable_die(path, "one producer, and a file that can be made");
	}
	execute(l->db, "pragma journal_mode = wal");
	execute(l->db, "pragma synchronous = full");
	execute(l->db,
		"create table event (id integer primary key, key blob, value blob)");
	if (sqlite3_prepare_v2(l->db, "insert into event (key, value) values (?, ?)", -1,
			       &l->insert, NULL) != SQLITE_OK) {
		durable_die("insert", sqlite3_errmsg(l->db));
	}
	return l;
}

static void
loop_append(void *producer, uint64_t number, size_t count)
{
	loop *l = producer;
	execute(l->db, "begin immediate");
	for (size_t i = 0; i < count; i++) {
		char key[DURABLE_KEY_BYTES];
		size_t len;
		const char *value = durable_value(l->options, number + i, &len);
		durable_key(number + i, key);
		sqlite3_bind_blob(l->insert, 1, key, DURABLE_KEY_BYTES, SQLITE_STATIC);
		sqlite3_bind_blob(l->insert, 2, value, (int)len, SQLITE_STATIC);
		if (sqlite3_step(l->insert) != SQLITE_DONE) {
			durable_die("insert", sqlite3_errmsg(l->db));
		}
		sqlite3_reset(l->insert);
	}
	execute(l->db, "commit");
}

static void
loop_close(void *producer)
{
	loop *l = producer;
	sqlite3_finalize(l->insert);
	sqlite3_close(l->db);
	free(l);
}

const durable_way durable_sqlite = { "sqlite", loop_open, loop_append, loop_close };
