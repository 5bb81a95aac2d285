/*
 * paths.c - ways to store the same events, for comparison
 *
 *	bench_paths MODE --db URL --events N --batch B --apps K --sql DIR
 *
 *	store    the store of the product: units of arrays, folded to one row per key, two
 *	         in flight
 *	pgjdbc   one Bind/Execute per row and effect, pipelined, one Sync per batch: what a
 *	         JDBC sink's executeBatch sends
 *	rows     one statement per round trip, one transaction per event
 *	ceiling  the bytes alone, an array per column, into a bare table
 *
 * The first three have the same four effects (identity, ledger, state, position) in the same
 * tables under the same role. Prints one line of JSON.
 */
#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/buf.h"
#include "sql/store.h"
#include "tests/bench/made.h"
#include "workers/scale/handler.h"

typedef struct bench {
	const char *mode, *url, *sql_dir;
	uint64_t events;
	size_t batch;
	maker maker;
	bus_arena *arena;
	int64_t *versions; /* of each app */
	PGconn *pg;
} bench;

static _Noreturn void
die(const char *what, const char *why)
{
	fprintf(stderr, "bench_paths: %s: %s\n", what, why);
	exit(1);
}

/* ---- the product's store ---- */

static int
compare_rows(const void *a, const void *b)
{
	const bus_scale_row *x = *(const bus_scale_row *const *)a;
	const bus_scale_row *y = *(const bus_scale_row *const *)b;
	size_t len = x->app.len < y->app.len ? x->app.len : y->app.len;
	int order = memcmp(x->app.data, y->app.data, len);
	return order != 0 ? order : (x->app.len > y->app.len) - (x->app.len < y->app.len);
}

/* One row per app of the batch, as its last event leaves it. */
static size_t
fold_batch(bench *b, const made *events, size_t count, const void **ret_rows)
{
	size_t rows = 0;
	bus_scale_row **latest =
		bus_arena_alloc(b->arena, b->maker.apps * sizeof(*latest));
	for (size_t i = 0; i < count; i++) {
		const made *event = &events[i];
		bus_scale_row *row = latest[event->app];
		if (row == NULL) {
			row = latest[event->app] =
				bus_arena_alloc(b->arena, sizeof(*row));
			ret_rows[rows++] = row;
		}
		int64_t version = ++b->versions[event->app];
		*row = (bus_scale_row){
			.tenant = event->event.tenant,
			.app = event->event.subject,
			.process = BUS_STR("web"),
			.desired = version,
			.observed = BUS_INT_NULL,
			.max = 10000,
			.version = version,
			.status = BUS_STR("requested"),
			.stamp = bus_stamp_of(&event->event),
		};
	}
	qsort(ret_rows, rows, sizeof(*ret_rows), compare_rows);
	return rows;
}

static void
submit(bench *b, bus_store *store, bus_stream *streams, size_t count)
{
	bus_arena_reset(b->arena);
	made *events = bus_arena_alloc(b->arena, count * sizeof(*events));
	bus_ledger_row *ledger = bus_arena_alloc(b->arena, count * sizeof(*ledger));
	const void **rows = bus_arena_alloc(b->arena, count * sizeof(*rows));
	for (size_t i = 0; i < count; i++) {
		made *event = &events[i];
		*event = maker_next(&b->maker, b->arena, true);
		ledger[i] = (bus_ledger_row){
			.stream = streams[event->partition].stream,
			.offset = event->offset,
			.identified = true,
			.identity = event->identity,
			.digest = event->digest,
			.event = &event->event,
			.record = &event->record,
			.record_time_ms = event->event.time_us / 1000,
			.verdict = BUS_APPLIED,
			.hash = event->hash,
		};
	}
	bus_unit_position positions[MADE_PARTITIONS];
	for (int p = 0; p < MADE_PARTITIONS; p++) {
		positions[p] = (bus_unit_position){
			.expected = &streams[p],
			.next_offset = b->maker.next_offset[p],
			.head = b->maker.head[p],
		};
	}
	bus_unit_write write = { .type = &bus_scale_table, .rows = rows };
	write.count = fold_batch(b, events, count, rows);
	bus_unit unit = {
		.positions = positions,
		.position_count = MADE_PARTITIONS,
		.ledger = ledger,
		.ledger_count = count,
		.writes = &write,
		.write_count = 1,
	};
	bus_error err = BUS_ERROR_INIT;
	if (bus_store_submit(store, &unit, &err) != BUS_OK) {
		die("submit", err.text);
	}
	for (int p = 0; p < MADE_PARTITIONS; p++) {
		streams[p].next_offset = b->maker.next_offset[p];
		streams[p].head = b->maker.head[p];
	}
}

static double
run_store(bench *b)
{
	bus_error err = BUS_ERROR_INIT;
	bus_store *store = bus_store_create(&(bus_store_options){
		.url = b->url,
		.role = "busline_worker",
		.application_name = "bench",
		.deadline_ms = 30000,
		.durable = true,
		.clock = bus_clock_system(),
	});
	bus_stream streams[MADE_PARTITIONS];
	int32_t partitions[MADE_PARTITIONS];
	for (int p = 0; p < MADE_PARTITIONS; p++) {
		partitions[p] = p;
	}
	if (store == NULL || bus_store_connect(store, &err) != BUS_OK ||
	    bus_store_assign(store, MADE_TOPIC, partitions, MADE_PARTITIONS, streams,
			     &err) != BUS_OK) {
		die("connect", err.text);
	}
	double began = made_seconds();
	bool done;
	for (uint64_t sent = 0; sent < b->events; sent += b->batch) {
		while (bus_store_in_flight(store) >= BUS_UNITS_IN_FLIGHT_MAX) {
			if (bus_store_await(store, -1, &done, &err) != BUS_OK) {
				die("unit", err.text);
			}
		}
		submit(b, store, streams, b->batch);
	}
	while (bus_store_in_flight(store) > 0) {
		if (bus_store_await(store, -1, &done, &err) != BUS_OK) {
			die("unit", err.text);
		}
	}
	double took = made_seconds() - began;
	bus_store_destroy(store);
	return took;
}

/* ---- other people's ways ---- */

static void
expect(PGconn *pg, PGresult *result, const char *what)
{
	ExecStatusType status = PQresultStatus(result);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK &&
	    status != PGRES_PIPELINE_SYNC) {
		die(what, PQerrorMessage(pg));
	}
	PQclear(result);
}

#define STATEMENT_MAX 8192

static void
read_statement(bench *b, const char *name, char ret_text[STATEMENT_MAX])
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s.sql", b->sql_dir, name);
	FILE *file = fopen(path, "r");
	if (file == NULL) {
		die(path, "cannot be read");
	}
	size_t len = fread(ret_text, 1, STATEMENT_MAX - 1, file);
	fclose(file);
	ret_text[len] = '\0';
}

static void
prepare(bench *b, const char *name)
{
	char text[STATEMENT_MAX];
	read_statement(b, name, text);
	expect(b->pg, PQprepare(b->pg, name, text, 0, NULL), name);
}

static void
connect_peer(bench *b)
{
	b->pg = PQconnectdb(b->url);
	if (PQstatus(b->pg) != CONNECTION_OK) {
		die("connect", PQerrorMessage(b->pg));
	}
}

#define PARAMS_MAX 16

typedef struct params {
	const char *values[PARAMS_MAX];
	int lengths[PARAMS_MAX];
	int formats[PARAMS_MAX];
	char numbers[PARAMS_MAX][8];
	int count;
} params;

static void
add(params *p, const void *data, size_t len)
{
	p->values[p->count] = data;
	p->lengths[p->count] = (int)len;
	p->formats[p->count++] = 1;
}

static void
add_str(params *p, bus_str text)
{
	add(p, text.data, text.len);
}

static void
add_int(params *p, int64_t value, int bytes)
{
	char *at = p->numbers[p->count];
	for (int i = 0; i < bytes; i++) {
		at[i] = (char)(uint8_t)((uint64_t)value >> (8 * (bytes - 1 - i)));
	}
	add(p, at, (size_t)bytes);
}

/* PostgreSQL counts microseconds from 2000-01-01. */
static void
add_time(params *p, int64_t time_us)
{
	add_int(p, time_us - INT64_C(946684800000000), 8);
}

typedef struct peer {
	bench *b;
	int32_t streams[MADE_PARTITIONS];
	int64_t epochs[MADE_PARTITIONS];
	bool pipelined;
} peer;

static void
call(peer *p, const char *statement, const params *args)
{
	PGconn *pg = p->b->pg;
	if (!p->pipelined) {
		expect(pg,
		       PQexecPrepared(pg, statement, args->count, args->values,
				      args->lengths, args->formats, 0),
		       statement);
	} else if (!PQsendQueryPrepared(pg, statement, args->count, args->values,
					args->lengths, args->formats, 0)) {
		die(statement, PQerrorMessage(pg));
	}
}

static void
command(peer *p, const char *statement)
{
	params none = { .count = 0 };
	call(p, statement, &none);
}

static void
identity_row(peer *p, const made *event)
{
	params args = { .count = 0 };
	add_int(&args, p->streams[event->partition], 4);
	add(&args, event->identity.bytes, BUS_UUID_BYTES);
	add_int(&args, event->offset, 8);
	add(&args, event->digest.bytes, 16);
	call(p, "identity_row", &args);
}

static void
ledger_row(peer *p, const made *event)
{
	params args = { .count = 0 };
	add_int(&args, p->streams[event->partition], 4);
	add_int(&args, event->offset, 8);
	add_time(&args, event->event.time_us);
	add_str(&args, BUS_STR("APPLIED"));
	add(&args, event->hash.bytes, BUS_DIGEST_BYTES);
	add_str(&args, event->event.source);
	add_str(&args, event->event.id);
	add_str(&args, event->event.tenant);
	add_str(&args, event->event.type);
	add_str(&args, event->event.subject);
	add_str(&args, event->record.key);
	add_str(&args, event->headers);
	add_str(&args, event->record.value);
	call(p, "ledger_row", &args);
}

static void
state_row(peer *p, const made *event)
{
	int64_t version = ++p->b->versions[event->app];
	params args = { .count = 0 };
	add_str(&args, event->event.tenant);
	add_str(&args, event->event.subject);
	add_str(&args, BUS_STR("web"));
	add_int(&args, version, 8);
	add_int(&args, version, 8);
	add_str(&args, event->event.source);
	add_str(&args, event->event.id);
	add_time(&args, event->event.time_us);
	call(p, "scale_row", &args);
}

static void
position_row(peer *p, int partition)
{
	params args = { .count = 0 };
	add_int(&args, p->b->maker.next_offset[partition], 8);
	add(&args, p->b->maker.head[partition].bytes, BUS_DIGEST_BYTES);
	add_int(&args, p->streams[partition], 4);
	add_int(&args, p->epochs[partition], 8);
	call(p, "position_row", &args);
}

/* Sends what is buffered while reading what is answered: neither side waits for the other. */
static void
finish_pipeline(PGconn *pg)
{
	if (!PQpipelineSync(pg)) {
		die("sync", PQerrorMessage(pg));
	}
	int left = 1;
	while (left == 1) {
		left = PQflush(pg);
		struct pollfd fd = { .fd = PQsocket(pg), .events = POLLIN };
		fd.events = (short)(POLLIN | (left == 1 ? POLLOUT : 0));
		if (left == 1 && poll(&fd, 1, -1) > 0 && (fd.revents & POLLIN) &&
		    !PQconsumeInput(pg)) {
			die("read", PQerrorMessage(pg));
		}
	}
	for (;;) {
		PGresult *result = PQgetResult(pg);
		if (result == NULL) {
			continue;
		}
		bool last = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
		expect(pg, result, "pipeline");
		if (last) {
			return;
		}
	}
}

static void
open_peer(peer *p)
{
	bench *b = p->b;
	connect_peer(b);
	char text[STATEMENT_MAX];
	read_statement(b, "streams", text);
	PGresult *result = PQexec(b->pg, text);
	if (PQresultStatus(result) != PGRES_TUPLES_OK ||
	    PQntuples(result) != MADE_PARTITIONS) {
		die("streams", PQerrorMessage(b->pg));
	}
	for (int i = 0; i < MADE_PARTITIONS; i++) {
		p->streams[i] = atoi(PQgetvalue(result, i, 0));
		p->epochs[i] = atoll(PQgetvalue(result, i, 1));
	}
	PQclear(result);
	static const char *const names[] = { "identity_row", "ledger_row", "scale_row",
					     "position_row", "begin",      "commit" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		prepare(b, names[i]);
	}
}

static void
batch_of_pgjdbc(peer *p)
{
	bench *b = p->b;
	bus_arena_reset(b->arena);
	made *events = bus_arena_alloc(b->arena, b->batch * sizeof(*events));
	for (size_t i = 0; i < b->batch; i++) {
		events[i] = maker_next(&b->maker, b->arena, true);
	}
	command(p, "begin");
	for (size_t i = 0; i < b->batch; i++) {
		identity_row(p, &events[i]);
	}
	for (size_t i = 0; i < b->batch; i++) {
		ledger_row(p, &events[i]);
	}
	for (size_t i = 0; i < b->batch; i++) {
		state_row(p, &events[i]);
	}
	for (int partition = 0; partition < MADE_PARTITIONS; partition++) {
		position_row(p, partition);
	}
	command(p, "commit");
	finish_pipeline(b->pg);
}

static double
run_pgjdbc(bench *b)
{
	peer p = { .b = b };
	open_peer(&p);
	p.pipelined = true;
	if (!PQenterPipelineMode(b->pg) || PQsetnonblocking(b->pg, 1) != 0) {
		die("pipeline", PQerrorMessage(b->pg));
	}
	double began = made_seconds();
	for (uint64_t sent = 0; sent < b->events; sent += b->batch) {
		batch_of_pgjdbc(&p);
	}
	return made_seconds() - began;
}

static double
run_rows(bench *b)
{
	peer p = { .b = b };
	open_peer(&p);
	double began = made_seconds();
	for (uint64_t i = 0; i < b->events; i++) {
		bus_arena_reset(b->arena);
		made event = maker_next(&b->maker, b->arena, true);
		command(&p, "begin");
		identity_row(&p, &event);
		ledger_row(&p, &event);
		state_row(&p, &event);
		position_row(&p, event.partition);
		command(&p, "commit");
	}
	return made_seconds() - began;
}

static void
array_begin(bus_buf *buf, size_t count)
{
	bus_buf_clear(buf);
	bus_buf_be32(buf, 1);
	bus_buf_be32(buf, 0);
	bus_buf_be32(buf, 17); /* bytea */
	bus_buf_be32(buf, (uint32_t)count);
	bus_buf_be32(buf, 1);
}

static void
array_add(bus_buf *buf, bus_str bytes)
{
	bus_buf_be32(buf, (uint32_t)bytes.len);
	bus_buf_str(buf, bytes);
}

static double
run_ceiling(bench *b)
{
	connect_peer(b);
	prepare(b, "ceiling");
	peer p = { .b = b };
	BUS_BUF_AUTO headers = { 0 };
	BUS_BUF_AUTO values = { 0 };
	double took = 0;
	for (uint64_t sent = 0; sent < b->events; sent += b->batch) {
		bus_arena_reset(b->arena);
		array_begin(&headers, b->batch);
		array_begin(&values, b->batch);
		for (size_t i = 0; i < b->batch; i++) {
			made event = maker_next(&b->maker, b->arena, false);
			array_add(&headers, event.headers);
			array_add(&values, event.record.value);
		}
		/* Making the events is nothing PostgreSQL could be faster at. */
		double began = made_seconds();
		params args = { .count = 0 };
		add(&args, headers.data, headers.len);
		add(&args, values.data, values.len);
		call(&p, "ceiling", &args);
		took += made_seconds() - began;
	}
	return took;
}

static const struct {
	const char *name;
	double (*run)(bench *b);
} modes[] = {
	{ "store", run_store },
	{ "pgjdbc", run_pgjdbc },
	{ "rows", run_rows },
	{ "ceiling", run_ceiling },
};

int
main(int argc, char **argv)
{
	bench b = { .mode = argc > 1 ? argv[1] : "", .events = 100000, .batch = 1000 };
	b.maker = (maker){ .apps = 10000, .chance = 1 };
	for (int i = 2; i + 1 < argc; i += 2) {
		const char *value = argv[i + 1];
		if (strcmp(argv[i], "--db") == 0) {
			b.url = value;
		} else if (strcmp(argv[i], "--sql") == 0) {
			b.sql_dir = value;
		} else if (strcmp(argv[i], "--events") == 0) {
			b.events = strtoull(value, NULL, 10);
		} else if (strcmp(argv[i], "--batch") == 0) {
			b.batch = strtoull(value, NULL, 10);
		} else if (strcmp(argv[i], "--apps") == 0) {
			b.maker.apps = strtoull(value, NULL, 10);
		} else {
			die(argv[i], "no such option");
		}
	}
	b.arena = bus_arena_create(1u << 22);
	b.maker.hasher = bus_hasher_create();
	b.versions = calloc(b.maker.apps, sizeof(*b.versions));
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(modes[i].name, b.mode) == 0) {
			double took = modes[i].run(&b);
			uint64_t whole = (b.events + b.batch - 1) / b.batch * b.batch;
			uint64_t count = strcmp(b.mode, "rows") == 0 ? b.events : whole;
			printf("{\"mode\":\"%s\",\"events\":%" PRIu64
			       ",\"seconds\":%.4f,\"rate\":%.0f}\n",
			       b.mode, count, took, (double)count / took);
			PQfinish(b.pg);
			free(b.versions);
			bus_hasher_destroy(b.maker.hasher);
			bus_arena_destroy(b.arena);
			return 0;
		}
	}
	die(b.mode, "no such mode: store, pgjdbc, rows, ceiling");
}
