/*
 * test_nng_journal.c - the embedded broker's log: what it keeps, where, and for how long
 */
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/journal_kit.h"
#include "tests/support/suite.h"

#define T0_MS 1700000000000

static char *directory;
static bus_clock_manual now;
static busp_journal *journal;

static void
begin(void)
{
	directory = kit_directory();
	bus_clock_manual_init(&now, T0_MS * 1000);
	journal = kit_open(directory, &now.clock);
}

static void
again(void)
{
	busp_journal_close(journal);
	journal = kit_open(directory, &now.clock);
}

static void
end(void)
{
	busp_journal_close(journal);
	kit_made_free();
	kit_remove_take(directory);
}

static void
at_ms(int64_t ms)
{
	now.wall_us = ms * 1000;
}

static busp_log *
log_of(const char *topic, int32_t partition)
{
	return busp_journal_log(busp_journal_topic(journal, bus_str_from(topic)),
				partition);
}

static void
commit_ok(void)
{
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL(busp_journal_commit(journal, &err), BUS_OK);
	kit_made_free();
}

/* Of a closed store. */
static int64_t
ask_store(const char *sql)
{
	char path[512];
	sqlite3 *db = NULL;
	sqlite3_stmt *query = NULL;
	int64_t answer = -1;
	snprintf(path, sizeof(path), "%s/broker.db", directory);
	if (sqlite3_open(path, &db) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, sql, -1, &query, NULL) == SQLITE_OK &&
	    sqlite3_step(query) == SQLITE_ROW) {
		answer = sqlite3_column_int64(query, 0);
	}
	sqlite3_finalize(query);
	sqlite3_close(db);
	return answer;
}

static int64_t
chunks(void)
{
	busp_journal_close(journal);
	int64_t count = ask_store("select count(*) from chunk");
	journal = kit_open(directory, &now.clock);
	return count;
}

/* One record as it is read from an offset; its time. */
static int64_t
time_of(busp_log *log, int64_t offset)
{
	BUS_BUF_AUTO slices = { 0 };
	int64_t next;
	busp_read read;
	bus_error err = BUS_ERROR_INIT;
	if (busp_journal_read(journal, log, offset, 1, &slices, &next, &read, &err) !=
		    BUS_OK ||
	    read != BUSP_READ_OK || next != offset + 1) {
		return -1;
	}
	busp_reader reader = { .rest = bus_buf_view(&slices) };
	busp_slice slice = busp_get_slice(&reader);
	return slice.base == offset && slice.batch.count == 1 ? slice.timestamp_ms : -1;
}

/* ---- */

static void
test_round_trip(void)
{
	begin();
	const busp_topic *topic = kit_topic(journal, "t", 2);
	char *large = calloc(1, BUSP_RECORD_BYTES_MAX);
	static const bus_header headers[] = { { { "a", 1 }, { NULL, 0 } },
					      { { "a", 1 }, { "", 0 } } };
	const bus_record records[] = {
		{ { NULL, 0 }, { NULL, 0 }, NULL, 0 },
		{ { "k", 1 }, { "v", 1 }, headers, 2 },
		{ { "", 0 }, { large, BUSP_RECORD_BYTES_MAX }, NULL, 0 },
	};
	busp_batch_maker maker = { 0 };
	for (size_t i = 0; i < 3; i++) {
		busp_batch_add(&maker, &records[i]);
	}
	busp_batch batch = { maker.count, bus_buf_view(&maker.directory),
			     bus_buf_view(&maker.bodies) };
	int64_t base;
	int64_t time_ms;
	busp_journal_begin(journal);
	busp_journal_append(journal, &topic->logs[1], &batch, &base, &time_ms);
	CU_ASSERT_EQUAL(base, 0);
	CU_ASSERT_EQUAL(time_ms, T0_MS);
	commit_ok();
	for (int round = 0; round < 2; round++) {
		BUS_BUF_AUTO slices = { 0 };
		int64_t next;
		busp_read read;
		bus_error err = BUS_ERROR_INIT;
		CU_ASSERT_EQUAL(busp_journal_read(journal, log_of("t", 1), 0, 10000000,
						  &slices, &next, &read, &err),
				BUS_OK);
		CU_ASSERT_EQUAL(next, 3);
		busp_reader reader = { .rest = bus_buf_view(&slices) };
		busp_slice slice = busp_get_slice(&reader);
		CU_ASSERT_TRUE(busp_reader_done(&reader));
		CU_ASSERT_TRUE(bus_str_eq(slice.batch.directory, batch.directory));
		CU_ASSERT_TRUE(bus_str_eq(slice.batch.bodies, batch.bodies));
		CU_ASSERT_EQUAL(log_of("t", 0)->end, 0);
		again();
	}
	busp_batch_fini(&maker);
	free(large);
	end();
}

static void
test_files(void)
{
	begin();
	struct stat info;
	CU_ASSERT_EQUAL(stat(directory, &info), 0);
	CU_ASSERT_EQUAL(info.st_mode & 07777, 0700);
	uint8_t uuid[16];
	memcpy(uuid, busp_journal_uuid(journal), sizeof(uuid));
	CU_ASSERT_EQUAL(busp_journal_boot(journal), 1);
	again();
	CU_ASSERT_EQUAL(busp_journal_boot(journal), 2);
	CU_ASSERT_EQUAL(memcmp(uuid, busp_journal_uuid(journal), sizeof(uuid)), 0);
	busp_journal_close(journal);
	CU_ASSERT_EQUAL(kit_file_size(directory, "broker.db-wal"), -1);
	CU_ASSERT_EQUAL(ask_store("pragma application_id"), 0x42534c4e);
	CU_ASSERT_EQUAL(ask_store("pragma user_version"), 1);
	CU_ASSERT_EQUAL(ask_store("pragma user_version = 2"), -1);
	char why[BUS_ERROR_TEXT_MAX];
	kit_open_refused(directory, why);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "has format 2"));
	CU_ASSERT_EQUAL(ask_store("pragma user_version = 1"), -1);
	CU_ASSERT_EQUAL(ask_store("pragma application_id = 7"), -1);
	kit_open_refused(directory, why);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "is no broker's store"));
	CU_ASSERT_EQUAL(ask_store("pragma application_id = 1112755278"), -1);
	journal = kit_open(directory, &now.clock);
	end();
}

/* In the same process, and in another one. */
static void
test_lock(void)
{
	begin();
	char why[BUS_ERROR_TEXT_MAX];
	char pid[32];
	snprintf(pid, sizeof(pid), "pid %d", (int)getpid());
	kit_open_refused(directory, why);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, pid));
	pid_t child = fork();
	if (child == 0) {
		kit_open_refused(directory, why);
		/* not by exit, where valgrind would find the parent's open journal lost */
		kill(getpid(), strstr(why, pid) != NULL ? SIGKILL : SIGTERM);
	}
	int status = -1;
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	bus_broker_check_options options = { .directory = directory };
	bus_broker_check_result result;
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL(bus_broker_check(&options, &result, &err), BUS_E_FATAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, pid));
	end();
}

static void
test_coalescing(void)
{
	begin();
	const busp_topic *topic = kit_topic(journal, "t", 2);
	busp_journal_begin(journal);
	CU_ASSERT_EQUAL(kit_append(journal, &topic->logs[0], 0, 3, 100), 0);
	CU_ASSERT_EQUAL(kit_append(journal, &topic->logs[1], 100, 1, 100), 0);
	CU_ASSERT_EQUAL(kit_append(journal, &topic->logs[0], 3, 4, 100), 3);
	CU_ASSERT_EQUAL(kit_append(journal, &topic->logs[1], 101, 1, 100), 1);
	CU_ASSERT_EQUAL(topic->logs[0].end, 0);
	commit_ok();
	CU_ASSERT_EQUAL(topic->logs[0].end, 7);
	CU_ASSERT_TRUE(kit_log_holds(journal, &topic->logs[0], 0, 7));
	CU_ASSERT_TRUE(kit_log_holds(journal, &topic->logs[1], 100, 2));
	CU_ASSERT_EQUAL(chunks(), 2);
	/* 1 MB in one commit is more than one row */
	busp_journal_begin(journal);
	for (uint64_t i = 0; i < 10; i++) {
		CU_ASSERT_EQUAL(kit_append(journal, log_of("t", 0), 7 + i * 10, 10, 10000),
				7 + (int64_t)i * 10);
	}
	commit_ok();
	CU_ASSERT_TRUE(kit_log_holds(journal, log_of("t", 0), 0, 107));
	CU_ASSERT_EQUAL(chunks(), 2 + 5);
	CU_ASSERT_TRUE(kit_log_holds(journal, log_of("t", 0), 0, 107));
	end();
}

static void
test_rollback(void)
{
	begin();
	busp_log *log = kit_topic(journal, "t", 1)->logs;
	CU_ASSERT_EQUAL(kit_write(journal, log, 0, 2, 10), BUS_OK);
	busp_journal_begin(journal);
	CU_ASSERT_EQUAL(kit_append(journal, log, 50, 2, 10), 2);
	busp_journal_producer_done(journal, 1, 1, BUS_STR("x"));
	busp_journal_note(journal, BUS_STR("g"), log, 2);
	busp_journal_rollback(journal);
	kit_made_free();
	bus_str answer;
	CU_ASSERT_EQUAL(busp_journal_producer(journal, 1, 1, &answer), BUSP_PRODUCER_NEXT);
	CU_ASSERT_EQUAL(kit_write(journal, log, 2, 2, 10), BUS_OK);
	CU_ASSERT_TRUE(kit_log_holds(journal, log, 0, 4));
	busp_journal_counts counts = busp_journal_counted(journal);
	CU_ASSERT_EQUAL(counts.records, 4);
	again();
	CU_ASSERT_TRUE(kit_log_holds(journal, log_of("t", 0), 0, 4));
	kit_dump dump;
	kit_dump_make(journal, 0, &dump);
	CU_ASSERT_EQUAL(dump.cursors.len, 0);
	kit_dump_free(&dump);
	end();
}

static void
test_reading(void)
{
	begin();
	busp_log *log = kit_topic(journal, "t", 1)->logs;
	for (uint64_t i = 0; i < 10; i++) {
		CU_ASSERT_EQUAL(kit_write(journal, log, i * 5, 5, 100), BUS_OK);
	}
	static const struct {
		int64_t offset;
		size_t bytes;
		int64_t next;
		busp_read read;
	} reads[] = {
		{ 0, 1, 1, BUSP_READ_OK },
		{ 7, 0, 8, BUSP_READ_OK },
		{ 7, 1 << 20, 50, BUSP_READ_OK },
		{ 50, 100, 50, BUSP_READ_OK },
		{ 51, 100, 51, BUSP_READ_OUT_OF_RANGE },
		{ -1, 100, -1, BUSP_READ_OUT_OF_RANGE },
		/* a body of 113 bytes and its directory, in a slice of 24 more */
		{ 3, 24 + 2 * 125, 5, BUSP_READ_OK },
		{ 3, 24 + 2 * 125 + 24 + 124, 5, BUSP_READ_OK },
		{ 3, 24 + 2 * 125 + 24 + 125, 6, BUSP_READ_OK },
	};
	for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
		BUS_BUF_AUTO slices = { 0 };
		int64_t next = 99;
		busp_read read;
		bus_error err = BUS_ERROR_INIT;
		CU_ASSERT_EQUAL(busp_journal_read(journal, log, reads[i].offset,
						  reads[i].bytes, &slices, &next, &read,
						  &err),
				BUS_OK);
		CU_ASSERT_EQUAL(next, reads[i].next);
		CU_ASSERT_EQUAL(read, reads[i].read);
		CU_ASSERT_TRUE(slices.len <= reads[i].bytes || reads[i].bytes < 2);
	}
	end();
}

static void
test_time_never_steps_back(void)
{
	begin();
	busp_log *log = kit_topic(journal, "t", 1)->logs;
	static const int64_t clock_ms[] = { T0_MS, T0_MS + 5, T0_MS - 3600000, T0_MS + 4,
					    T0_MS + 6 };
	static const int64_t expected[] = { T0_MS, T0_MS + 5, T0_MS + 5, T0_MS + 5,
					    T0_MS + 6 };
	for (size_t i = 0; i < 5; i++) {
		at_ms(clock_ms[i]);
		CU_ASSERT_EQUAL(kit_write(journal, log, i, 1, 10), BUS_OK);
		if (i == 2) {
			again();
			log = log_of("t", 0);
		}
	}
	for (int64_t i = 0; i < 5; i++) {
		CU_ASSERT_EQUAL(time_of(log, i), expected[i]);
	}
	end();
}

static void
test_offset_at(void)
{
	begin();
	busp_log *log = kit_topic(journal, "t", 1)->logs;
	int64_t offset = -1;
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL(busp_journal_offset_at(journal, log, 0, &offset, &err), BUS_OK);
	CU_ASSERT_EQUAL(offset, 0);
	/* chunks of 1, 2, 3 ... records, two and two of one time */
	int64_t first_of[20];
	int64_t total = 0;
	for (uint32_t i = 0; i < 40; i++) {
		at_ms(T0_MS + (i / 2) * 10);
		first_of[i / 2] = i % 2 == 0 ? total : first_of[i / 2];
		CU_ASSERT_EQUAL(kit_write(journal, log, (uint64_t)total, i + 1, 10),
				BUS_OK);
		total += i + 1;
	}
	for (int64_t ms = -5; ms <= 195; ms++) {
		int64_t wanted = ms <= 0 ? 0 : ms > 190 ? total : first_of[(ms + 9) / 10];
		CU_ASSERT_EQUAL(busp_journal_offset_at(journal, log, T0_MS + ms, &offset,
						       &err),
				BUS_OK);
		CU_ASSERT_EQUAL(offset, wanted);
	}
	CU_ASSERT_EQUAL(busp_journal_trim(journal, log, 50, &err), BUS_OK);
	CU_ASSERT_EQUAL(busp_journal_offset_at(journal, log, 0, &offset, &err), BUS_OK);
	CU_ASSERT_EQUAL(offset, 50);
	end();
}

static const busp_topic *
topic_keeping(const char *name, int64_t ms, int64_t bytes)
{
	bus_topic_spec spec = kit_spec(name, 1);
	const busp_topic *topic = NULL;
	bus_error err = BUS_ERROR_INIT;
	spec.retention_ms = ms;
	spec.retention_bytes = bytes;
	CU_ASSERT_EQUAL_FATAL(busp_journal_topic_make(journal, &spec, &topic, &err),
			      BUS_OK);
	return topic;
}

static void
test_retention_by_age(void)
{
	begin();
	busp_log *log = topic_keeping("t", 1000, 0)->logs;
	for (uint64_t i = 0; i < 30; i++) {
		at_ms(T0_MS + (int64_t)i * 100);
		CU_ASSERT_EQUAL(kit_write(journal, log, i * 2, 2, 10), BUS_OK);
	}
	/* ten intervals of 100 ms are kept, and what was written at their beginning */
	CU_ASSERT_EQUAL(log->end, 60);
	CU_ASSERT_EQUAL(log->start, (29 - 10) * 2);
	CU_ASSERT_TRUE(kit_log_holds(journal, log, 38, 22));
	/* nothing is written, nothing goes */
	at_ms(T0_MS + 1000000);
	again();
	log = log_of("t", 0);
	CU_ASSERT_EQUAL(log->start, 38);
	/* a long backlog goes in steps; the newest record always stays */
	CU_ASSERT_EQUAL(kit_write(journal, log, 60, 1, 10), BUS_OK);
	CU_ASSERT_TRUE(log->start > 38 && log->start < 60);
	CU_ASSERT_EQUAL(kit_write(journal, log, 61, 1, 10), BUS_OK);
	CU_ASSERT_EQUAL(kit_write(journal, log, 62, 1, 10), BUS_OK);
	CU_ASSERT_EQUAL(log->start, 60);
	CU_ASSERT_TRUE(kit_log_holds(journal, log, 60, 3));
	at_ms(T0_MS + 9000000);
	CU_ASSERT_EQUAL(kit_write(journal, log, 63, 1, 10), BUS_OK);
	CU_ASSERT_TRUE(kit_log_holds(journal, log, 63, 1));
	CU_ASSERT_EQUAL(chunks(), 1);
	end();
}

static void
test_retention_by_bytes(void)
{
	begin();
	busp_log *log = topic_keeping("t", -1, 5000)->logs;
	for (uint64_t i = 0; i < 50; i++) {
		CU_ASSERT_EQUAL(kit_write(journal, log, i, 1, 900), BUS_OK);
		CU_ASSERT_TRUE(log->bytes < 5000 + 1000);
		CU_ASSERT_TRUE(i < 5 || log->bytes >= 5000);
	}
	int64_t start = log->start;
	int64_t bytes = log->bytes;
	CU_ASSERT_TRUE(kit_log_holds(journal, log, (uint64_t)start, (size_t)(50 - start)));
	busp_journal_close(journal);
	CU_ASSERT_EQUAL(ask_store("select sum(length(head) + length(bodies)) from chunk"),
			bytes);
	journal = kit_open(directory, &now.clock);
	log = log_of("t", 0);
	CU_ASSERT_EQUAL(log->start, start);
	CU_ASSERT_EQUAL(log->bytes, bytes);
	/* one that is larger than the limit alone */
	for (uint64_t i = 50; i < 53; i++) {
		CU_ASSERT_EQUAL(kit_write(journal, log, i, 1, 20000), BUS_OK);
	}
	CU_ASSERT_TRUE(kit_log_holds(journal, log, 52, 1));
	end();
}

static void
test_trim(void)
{
	begin();
	busp_log *log = kit_topic(journal, "t", 2)->logs;
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL(busp_journal_trim(journal, log, 0, &err), BUS_OK);
	for (uint64_t i = 0; i < 600; i++) {
		CU_ASSERT_EQUAL(kit_write(journal, log, i * 2, 2, 10), BUS_OK);
	}
	CU_ASSERT_EQUAL(kit_write(journal, log + 1, 7, 1, 10), BUS_OK);
	static const int64_t starts[] = { 3, 3, 1, 4, 1001, 1001 };
	static const int64_t expected[] = { 3, 3, 3, 4, 1001, 1001 };
	for (size_t i = 0; i < 6; i++) {
		CU_ASSERT_EQUAL(busp_journal_trim(journal, log, starts[i], &err), BUS_OK);
		CU_ASSERT_EQUAL(log->start, expected[i]);
		CU_ASSERT_TRUE(kit_log_holds(journal, log, (uint64_t)expected[i],
					     (size_t)(1200 - expected[i])));
	}
	CU_ASSERT_EQUAL(chunks(), 1 + (1200 - 1000) / 2);
	log = log_of("t", 0);
	CU_ASSERT_EQUAL(log->start, 1001);
	CU_ASSERT_EQUAL(busp_journal_trim(journal, log, 1201, &err), BUS_E_REJECT);
	bus_error_reset(&err);
	CU_ASSERT_EQUAL(busp_journal_trim(journal, log, 1200, &err), BUS_OK);
	CU_ASSERT_EQUAL(log->start, 1200);
	CU_ASSERT_EQUAL(log->bytes, 0);
	CU_ASSERT_EQUAL(chunks(), 1);
	log = log_of("t", 0);
	CU_ASSERT_EQUAL(kit_write(journal, log, 1200, 1, 10), BUS_OK);
	CU_ASSERT_TRUE(kit_log_holds(journal, log, 1200, 1));
	CU_ASSERT_TRUE(kit_log_holds(journal, log_of("t", 1), 7, 1));
	end();
}

static void
test_seal(void)
{
	begin();
	const busp_topic *topic = kit_topic(journal, "t", 1);
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_FALSE(topic->sealed);
	for (int sealed = 1; sealed >= 0; sealed--) {
		for (int twice = 0; twice < 2; twice++) {
			CU_ASSERT_EQUAL(busp_journal_seal(journal,
							  busp_journal_topic(journal,
									     BUS_STR("t")),
							  sealed, &err),
					BUS_OK);
		}
		again();
		topic = busp_journal_topic(journal, BUS_STR("t"));
		CU_ASSERT_EQUAL(topic->sealed, sealed);
	}
	end();
}

static void
test_topics(void)
{
	begin();
	static const char *const names[] = { "b.x", "a", "b", "b.y", "c", "b.x.1" };
	for (int32_t i = 0; i < 6; i++) {
		bus_topic_spec spec = kit_spec(names[i], i + 1);
		const busp_topic *topic;
		bus_error err = BUS_ERROR_INIT;
		spec.retention_ms = i * 1000;
		spec.retention_bytes = i;
		CU_ASSERT_EQUAL(busp_journal_topic_make(journal, &spec, &topic, &err),
				BUS_OK);
		CU_ASSERT_EQUAL(kit_write(journal, &topic->logs[i], (uint64_t)i, 1, 10),
				BUS_OK);
	}
	for (int round = 0; round < 2; round++) {
		static const char *const sorted[] = { "b.x", "b.x.1", "b.y" };
		bus_str after = BUS_STR("");
		for (size_t i = 0; i < 3; i++) {
			const busp_topic *topic =
				busp_journal_topic_after(journal, BUS_STR("b."), after);
			CU_ASSERT_PTR_NOT_NULL_FATAL(topic);
			CU_ASSERT_STRING_EQUAL(topic->info.name, sorted[i]);
			after = bus_str_from(sorted[i]);
		}
		CU_ASSERT_PTR_NULL(busp_journal_topic_after(journal, BUS_STR("b."),
							    after));
		CU_ASSERT_PTR_NULL(busp_journal_topic_after(journal, BUS_STR("a."),
							    BUS_STR("")));
		for (int32_t i = 0; i < 6; i++) {
			const busp_topic *topic =
				busp_journal_topic(journal, bus_str_from(names[i]));
			CU_ASSERT_PTR_NOT_NULL_FATAL(topic);
			CU_ASSERT_EQUAL(topic->info.partitions, i + 1);
			CU_ASSERT_EQUAL(topic->info.retention_ms, i * 1000);
			CU_ASSERT_EQUAL(topic->info.retention_bytes, i);
			CU_ASSERT_TRUE(kit_log_holds(journal, &topic->logs[i],
						     (uint64_t)i, 1));
			CU_ASSERT_PTR_NULL(busp_journal_log(topic, i + 1));
			CU_ASSERT_PTR_NULL(busp_journal_log(topic, -1));
		}
		CU_ASSERT_PTR_NULL(busp_journal_topic(journal, BUS_STR("b.")));
		again();
	}
	bus_topic_spec wrong = kit_spec("no/slash", 1);
	const busp_topic *none;
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL(busp_journal_topic_make(journal, &wrong, &none, &err),
			BUS_E_REJECT);
	end();
}

static void
test_producers(void)
{
	begin();
	bus_str answer = BUS_STR_NULL;
	CU_ASSERT_EQUAL(busp_journal_producer(journal, 7, 1, &answer), BUSP_PRODUCER_NEXT);
	CU_ASSERT_EQUAL(busp_journal_producer(journal, 7, 2, &answer),
			BUSP_PRODUCER_FORGOTTEN);
	for (uint64_t seq = 1; seq <= 20; seq++) {
		char said[16];
		snprintf(said, sizeof(said), "answer %d", (int)seq);
		busp_journal_begin(journal);
		CU_ASSERT_EQUAL(busp_journal_producer(journal, 7, seq, &answer),
				BUSP_PRODUCER_NEXT);
		busp_journal_producer_done(journal, 7, seq, bus_str_from(said));
		/* known before the commit, too */
		CU_ASSERT_EQUAL(busp_journal_producer(journal, 7, seq, &answer),
				BUSP_PRODUCER_KNOWN);
		CU_ASSERT_TRUE(bus_str_is(answer, said));
		commit_ok();
	}
	for (int round = 0; round < 2; round++) {
		static const struct {
			uint64_t seq;
			busp_producer_state state;
			const char *answer;
		} asked[] = {
			{ 0, BUSP_PRODUCER_FORGOTTEN, NULL },
			{ 12, BUSP_PRODUCER_FORGOTTEN, NULL },
			{ 13, BUSP_PRODUCER_KNOWN, "answer 13" },
			{ 20, BUSP_PRODUCER_KNOWN, "answer 20" },
			{ 21, BUSP_PRODUCER_NEXT, NULL },
			{ 22, BUSP_PRODUCER_AHEAD, NULL },
			{ UINT64_MAX, BUSP_PRODUCER_AHEAD, NULL },
		};
		for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
			CU_ASSERT_EQUAL(busp_journal_producer(journal, 7, asked[i].seq,
							      &answer),
					asked[i].state);
			CU_ASSERT_TRUE(asked[i].answer == NULL ||
				       bus_str_is(answer, asked[i].answer));
		}
		again();
	}
	/* a rollback forgets what it did, and nothing else */
	busp_journal_begin(journal);
	busp_journal_producer_done(journal, 7, 21, BUS_STR("lost"));
	busp_journal_producer_done(journal, 7, 22, BUS_STR("lost"));
	busp_journal_producer_done(journal, 8, 1, BUS_STR("lost"));
	busp_journal_rollback(journal);
	CU_ASSERT_EQUAL(busp_journal_producer(journal, 7, 21, &answer),
			BUSP_PRODUCER_NEXT);
	CU_ASSERT_EQUAL(busp_journal_producer(journal, 7, 13, &answer),
			BUSP_PRODUCER_KNOWN);
	CU_ASSERT_EQUAL(busp_journal_producer(journal, 8, 1, &answer), BUSP_PRODUCER_NEXT);
	end();
}

static void
test_producers_expire(void)
{
	begin();
	bus_str answer;
	const int64_t day_ms = 24 * 3600 * 1000;
	for (uint64_t id = 1; id <= 10; id++) {
		at_ms(T0_MS + (int64_t)id * day_ms);
		busp_journal_begin(journal);
		busp_journal_producer_done(journal, id, 1, BUS_STR("x"));
		commit_ok();
	}
	for (int round = 0; round < 2; round++) {
		for (uint64_t id = 1; id <= 10; id++) {
			CU_ASSERT_EQUAL(busp_journal_producer(journal, id, 1, &answer),
					id < 3 ? BUSP_PRODUCER_NEXT : BUSP_PRODUCER_KNOWN);
		}
		again();
	}
	/* 100,000 are kept: the oldest go */
	for (uint64_t id = 100; id < 100100;) {
		busp_journal_begin(journal);
		for (int i = 0; i < 1000; i++, id++) {
			busp_journal_producer_done(journal, id, 1, BUS_STR("x"));
		}
		commit_ok();
	}
	again();
	CU_ASSERT_EQUAL(busp_journal_producer(journal, 10, 1, &answer),
			BUSP_PRODUCER_NEXT);
	CU_ASSERT_EQUAL(busp_journal_producer(journal, 100, 1, &answer),
			BUSP_PRODUCER_KNOWN);
	busp_journal_close(journal);
	CU_ASSERT_EQUAL(ask_store("select count(*) from producer"), 100000);
	journal = kit_open(directory, &now.clock);
	end();
}

static void
test_cursors(void)
{
	begin();
	const busp_topic *b = kit_topic(journal, "b", 2);
	const busp_topic *a = kit_topic(journal, "a", 1);
	busp_journal_begin(journal);
	busp_journal_note(journal, BUS_STR("g2"), &b->logs[1], 5);
	busp_journal_note(journal, BUS_STR("g2"), &b->logs[0], 4);
	busp_journal_note(journal, BUS_STR("g1"), &b->logs[0], 3);
	busp_journal_note(journal, BUS_STR("g2"), &a->logs[0], 2);
	commit_ok();
	at_ms(T0_MS + 7);
	busp_journal_begin(journal);
	busp_journal_note(journal, BUS_STR("g2"), &b->logs[0], 9);
	commit_ok();
	for (int round = 0; round < 2; round++) {
		kit_dump dump;
		kit_dump_make(journal, 0, &dump);
		CU_ASSERT_STRING_EQUAL(dump.cursors.data, "g1 b[0] 3 1700000000000\n"
							  "g2 a[0] 2 1700000000000\n"
							  "g2 b[0] 9 1700000000007\n"
							  "g2 b[1] 5 1700000000000\n");
		kit_dump_free(&dump);
		again();
	}
	/* notes alone are not worth a commit each */
	uint64_t before = busp_journal_counted(journal).commits;
	for (int64_t i = 0; i < 100; i++) {
		busp_journal_begin(journal);
		busp_journal_note(journal, BUS_STR("g1"), log_of("b", 0), i);
		commit_ok();
	}
	CU_ASSERT_TRUE(busp_journal_counted(journal).commits <= before + 1);
	now.mono_ms += 1000;
	busp_journal_begin(journal);
	busp_journal_note(journal, BUS_STR("g1"), log_of("b", 0), 100);
	commit_ok();
	CU_ASSERT_TRUE(busp_journal_counted(journal).commits > before);
	end();
}

/* A process that dies at any moment leaves what was committed. */
static void
test_killed(void)
{
	begin();
	const busp_topic *topic = kit_topic(journal, "t", 2);
	char *copy = kit_directory();
	for (uint64_t i = 0; i < 25; i++) {
		CU_ASSERT_EQUAL(kit_write(journal, &topic->logs[i % 2], i / 2, 1, 500),
				BUS_OK);
		kit_copy(directory, copy);
		CU_ASSERT_TRUE(kit_file_size(copy, "broker.db-wal") > 0);
		busp_journal *image = kit_open(copy, &now.clock);
		/* nothing is served that is only in a WAL that was never synced */
		CU_ASSERT_EQUAL(kit_file_size(copy, "broker.db-wal"), 0);
		for (int32_t p = 0; p < 2; p++) {
			busp_log *log =
				busp_journal_log(busp_journal_topic(image, BUS_STR("t")),
						 p);
			CU_ASSERT_TRUE(kit_log_holds(image, log, 0,
						     (size_t)((i + 2 - (uint64_t)p) / 2)));
		}
		busp_journal_close(image);
	}
	kit_remove_take(copy);
	end();
}

static void
test_check(void)
{
	begin();
	const busp_topic *topic = kit_topic(journal, "t", 3);
	for (uint64_t i = 0; i < 100; i++) {
		CU_ASSERT_EQUAL(kit_write(journal, &topic->logs[i % 3], i, 3, 100),
				BUS_OK);
	}
	char *copy = kit_directory();
	kit_copy(directory, copy);
	busp_journal_close(journal);
	const char *stores[] = { directory, copy };
	for (size_t i = 0; i < 2; i++) {
		bus_broker_check_options options = { .directory = stores[i] };
		bus_broker_check_result result = { 0 };
		bus_error err = BUS_ERROR_INIT;
		BUS_BUF_AUTO before = { 0 };
		BUS_BUF_AUTO after = { 0 };
		int64_t wal = kit_file_size(stores[i], "broker.db-wal");
		kit_file_read(stores[i], "broker.db", &before);
		CU_ASSERT_EQUAL(bus_broker_check(&options, &result, &err), BUS_OK);
		CU_ASSERT_EQUAL(result.topics, 1);
		CU_ASSERT_EQUAL(result.partitions, 3);
		CU_ASSERT_EQUAL(result.records, 300);
		CU_ASSERT_EQUAL(result.damages, 0);
		kit_file_read(stores[i], "broker.db", &after);
		CU_ASSERT_TRUE(bus_str_eq(bus_buf_view(&before), bus_buf_view(&after)));
		CU_ASSERT_EQUAL(kit_file_size(stores[i], "broker.db-wal"), wal);
		CU_ASSERT_TRUE((wal > 0) == (i == 1));
	}
	bus_broker_check_options nowhere = { .directory = "/nowhere" };
	bus_broker_check_result result;
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL(bus_broker_check(&nowhere, &result, &err), BUS_E_FATAL);
	kit_remove_take(copy);
	journal = kit_open(directory, &now.clock);
	end();
}

static const bus_case cases[] = {
	{ "records come back as they were, also after a restart", test_round_trip },
	{ "files are private, of one format, and know their boots", test_files },
	{ "a directory has one user", test_lock },
	{ "appends of one commit share a row", test_coalescing },
	{ "what is rolled back never was", test_rollback },
	{ "reading begins and ends anywhere", test_reading },
	{ "time never steps back in a log", test_time_never_steps_back },
	{ "a time is found", test_offset_at },
	{ "old records go by age, in steps, never the newest", test_retention_by_age },
	{ "old records go by size, never the newest", test_retention_by_bytes },
	{ "a trim moves the start", test_trim },
	{ "a seal lasts", test_seal },
	{ "topics are found, listed and kept", test_topics },
	{ "a producer's answers are remembered", test_producers },
	{ "producers that are silent are forgotten", test_producers_expire },
	{ "cursors are kept, in order, and wait", test_cursors },
	{ "a killed process leaves what was committed", test_killed },
	{ "a check reads all and changes nothing", test_check },
	{ 0 },
};

const bus_suite_def bus_suite = { "nng journal", cases, NULL, NULL };
