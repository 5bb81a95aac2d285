/*
 * test_nng_damage.c - the log in files that are not what they were
 *
 * Whatever happens to the files: what is read is what was written, or it is said where it
 * is not. BUSLINE_DAMAGE_SEED and BUSLINE_DAMAGE_ROUNDS choose other flips, and more.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/disk_fault.h"
#include "tests/support/journal_kit.h"
#include "tests/support/suite.h"

#define STORE "broker.db"
#define WAL "broker.db-wal"
#define MARK "broker.mark"
#define PRODUCERS 6

static char *closed; /* a store that was closed */
static char *killed; /* one whose process died: most of it is in the WAL */
static char *work;
static kit_dump closed_dump;
static kit_dump killed_dump;
static uint64_t seed = 1;
static size_t rounds = 1000;

static uint64_t
draw(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static void
fill(busp_journal *journal, int from, int to)
{
	bus_error err = BUS_ERROR_INIT;
	for (int i = from; i < to; i++) {
		char answer[32];
		const busp_topic *topic =
			busp_journal_topic(journal, i % 3 == 0 ? BUS_STR("small") :
								 BUS_STR("large"));
		busp_log *log = &topic->logs[i / 2 % topic->info.partitions];
		busp_journal_begin(journal);
		(void)kit_append(journal, log, (uint64_t)i * 100, (uint32_t)(1 + i % 7),
				 i % 20 == 0 ? 9000 : 120);
		snprintf(answer, sizeof(answer), "answer %d", i);
		uint64_t id = (uint64_t)(1 + i % PRODUCERS);
		busp_journal_producer_done(journal, id, (uint64_t)(1 + i / PRODUCERS),
					   bus_str_from(answer));
		busp_journal_note(journal, BUS_STR("group"), log, i);
		if (busp_journal_commit(journal, &err) != BUS_OK) {
			fprintf(stderr, "%s\n", err.text);
			exit(2);
		}
		kit_made_free();
	}
	busp_log *log =
		busp_journal_log(busp_journal_topic(journal, BUS_STR("small")), 0);
	if (busp_journal_trim(journal, log, log->start + 3, &err) != BUS_OK) {
		fprintf(stderr, "%s\n", err.text);
		exit(2);
	}
}

static int
setup(void)
{
	disk_fault.no_sync = true;
	if (getenv("BUSLINE_DAMAGE_SEED") != NULL) {
		seed = strtoull(getenv("BUSLINE_DAMAGE_SEED"), NULL, 10) * 2 + 1;
	}
	if (getenv("BUSLINE_DAMAGE_ROUNDS") != NULL) {
		rounds = strtoull(getenv("BUSLINE_DAMAGE_ROUNDS"), NULL, 10);
	}
	closed = kit_directory();
	killed = kit_directory();
	work = kit_directory();
	busp_journal *journal = kit_open(closed, bus_clock_system());
	(void)kit_topic(journal, "small", 2);
	(void)kit_topic(journal, "large", 3);
	fill(journal, 0, 40);
	busp_journal_close(journal);
	journal = kit_open(closed, bus_clock_system());
	fill(journal, 40, 60);
	kit_dump_make(journal, PRODUCERS, &killed_dump);
	kit_copy(closed, killed);
	busp_journal_close(journal);
	journal = kit_open(closed, bus_clock_system());
	kit_dump_make(journal, PRODUCERS, &closed_dump);
	busp_journal_close(journal);
	return 0;
}

static int
teardown(void)
{
	kit_dump_free(&closed_dump);
	kit_dump_free(&killed_dump);
	kit_remove_take(closed);
	kit_remove_take(killed);
	kit_remove_take(work);
	return 0;
}

/* Cursors of the last second are not in the store of a process that died. */
static void
without_cursors(kit_dump *dump)
{
	bus_buf_fini(&dump->cursors);
}

/* Opens what is in work and compares; what the refusal says, if it is one. */
static kit_verdict
look(const kit_dump *wanted, char ret_why[BUS_ERROR_TEXT_MAX])
{
	busp_journal *journal = NULL;
	bus_error err = BUS_ERROR_INIT;
	ret_why[0] = '\0';
	if (busp_journal_open(work, bus_clock_system(), &journal, &err) != BUS_OK) {
		snprintf(ret_why, BUS_ERROR_TEXT_MAX, "%s", err.text);
		return err.status == BUS_E_FATAL ? KIT_FOUND : KIT_WRONG;
	}
	kit_dump dump;
	kit_dump_make(journal, PRODUCERS, &dump);
	if (wanted == &killed_dump) {
		without_cursors(&dump);
	}
	kit_verdict verdict = kit_dump_compare(wanted, &dump);
	kit_dump_free(&dump);
	busp_journal_close(journal);
	return verdict;
}

static void
count_damage(void *ctx, const bus_broker_damage *damage)
{
	size_t *count = ctx;
	CU_ASSERT_TRUE(damage->what[0] != '\0');
	(*count)++;
}

/* How much a check finds; SIZE_MAX: it refused. */
static size_t
check_work(void)
{
	size_t told = 0;
	bus_broker_check_options options = { .directory = work,
					     .on_damage = count_damage,
					     .ctx = &told };
	bus_broker_check_result result;
	bus_error err = BUS_ERROR_INIT;
	if (bus_broker_check(&options, &result, &err) != BUS_OK) {
		return SIZE_MAX;
	}
	CU_ASSERT_EQUAL(told, result.damages);
	return told;
}

/* ---- damage ---- */

static void
flip_many(const char *from, const char *name, const kit_dump *wanted, size_t count)
{
	BUS_BUF_AUTO content = { 0 };
	size_t seen[KIT_WRONG + 1] = { 0 };
	size_t checked = 0;
	size_t unnamed = 0;
	kit_file_read(from, name, &content);
	for (size_t i = 0; i < count; i++) {
		size_t bit = draw(content.len * 8);
		char why[BUS_ERROR_TEXT_MAX];
		content.data[bit / 8] ^= (char)(1 << bit % 8);
		kit_copy(from, work);
		kit_file_write(work, name, bus_buf_view(&content));
		size_t damages = check_work();
		kit_verdict verdict = look(wanted, why);
		seen[verdict]++;
		checked += damages > 0;
		if (verdict == KIT_WRONG || (verdict == KIT_FOUND && damages == 0)) {
			fprintf(stderr,
				"%s: bit %zu of byte %zu: %s; a check finds %zu\n", name,
				bit % 8, bit / 8,
				verdict == KIT_WRONG ? "silently wrong" : why, damages);
			unnamed++;
		}
		content.data[bit / 8] ^= (char)(1 << bit % 8);
	}
	printf(" %s: %zu the same, %zu found (check: %zu) ", name, seen[KIT_SAME],
	       seen[KIT_FOUND], checked);
	CU_ASSERT_EQUAL(unnamed, 0);
	CU_ASSERT_EQUAL(seen[KIT_WRONG], 0);
	/* most of a store is content */
	CU_ASSERT_TRUE(seen[KIT_FOUND] > count / 4);
}

static void
test_flips_in_store(void)
{
	flip_many(closed, STORE, &closed_dump, rounds / 2);
}

static void
test_flips_before_recovery(void)
{
	without_cursors(&killed_dump);
	flip_many(killed, WAL, &killed_dump, rounds / 4);
	flip_many(killed, STORE, &killed_dump, rounds / 4);
}

static void
test_flips_in_mark(void)
{
	BUS_BUF_AUTO content = { 0 };
	kit_file_read(closed, MARK, &content);
	for (size_t bit = 0; bit < content.len * 8; bit += 3) {
		char why[BUS_ERROR_TEXT_MAX];
		content.data[bit / 8] ^= (char)(1 << bit % 8);
		kit_copy(closed, work);
		kit_file_write(work, MARK, bus_buf_view(&content));
		CU_ASSERT_NOT_EQUAL(look(&closed_dump, why), KIT_WRONG);
		content.data[bit / 8] ^= (char)(1 << bit % 8);
	}
	/* both slots */
	char why[BUS_ERROR_TEXT_MAX];
	content.data[8] ^= 1;
	content.data[512 + 8] ^= 1;
	kit_copy(closed, work);
	kit_file_write(work, MARK, bus_buf_view(&content));
	CU_ASSERT_EQUAL(look(&closed_dump, why), KIT_FOUND);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "broker.mark is damaged"));
	CU_ASSERT_EQUAL(check_work(), 1);
}

/* A sector of zeros, a page of another place: more than one bit. */
static void
test_sectors(void)
{
	BUS_BUF_AUTO content = { 0 };
	BUS_BUF_AUTO other = { 0 };
	kit_file_read(closed, STORE, &content);
	size_t pages = content.len / 4096;
	for (size_t i = 0; i < pages * 2; i++) {
		char why[BUS_ERROR_TEXT_MAX];
		bus_buf_clear(&other);
		bus_buf_str(&other, bus_buf_view(&content));
		size_t page = i / 2;
		if (i % 2 == 0) {
			memset(other.data + page * 4096 + draw(8) * 512, 0, 512);
		} else {
			memcpy(other.data + page * 4096,
			       content.data + draw(pages) * 4096, 4096);
		}
		kit_copy(closed, work);
		kit_file_write(work, STORE, bus_buf_view(&other));
		size_t damages = check_work();
		kit_verdict verdict = look(&closed_dump, why);
		CU_ASSERT_NOT_EQUAL(verdict, KIT_WRONG);
		CU_ASSERT_TRUE(verdict != KIT_FOUND || damages > 0);
	}
}

static void
test_cut_files(void)
{
	char why[BUS_ERROR_TEXT_MAX];
	int64_t size = kit_file_size(closed, STORE);
	for (int64_t at = 0; at < size; at += 1 + (int64_t)draw(3000)) {
		kit_copy(closed, work);
		kit_file_cut(work, STORE, at);
		CU_ASSERT_TRUE(check_work() > 0);
		CU_ASSERT_EQUAL(look(&closed_dump, why), KIT_FOUND);
	}
	size = kit_file_size(killed, WAL);
	for (int64_t at = 0; at < size; at += 1 + (int64_t)draw(9000)) {
		kit_copy(killed, work);
		kit_file_cut(work, WAL, at);
		CU_ASSERT_TRUE(check_work() > 0);
		CU_ASSERT_EQUAL(look(&killed_dump, why), KIT_FOUND);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, "older than what was acknowledged"));
	}
	kit_copy(killed, work);
	kit_file_remove(work, WAL);
	CU_ASSERT_EQUAL(look(&killed_dump, why), KIT_FOUND);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "older than what was acknowledged"));
	kit_copy(closed, work);
	kit_file_remove(work, STORE);
	CU_ASSERT_EQUAL(look(&closed_dump, why), KIT_FOUND);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "is gone"));
	/* a store that is empty does not take its WAL along */
	kit_copy(killed, work);
	kit_file_cut(work, STORE, 0);
	CU_ASSERT_EQUAL(look(&killed_dump, why), KIT_FOUND);
	CU_ASSERT_EQUAL(check_work(), SIZE_MAX);
	CU_ASSERT_EQUAL(kit_file_size(work, WAL), kit_file_size(killed, WAL));
	/* as it was, it opens */
	kit_copy(killed, work);
	CU_ASSERT_EQUAL(look(&killed_dump, why), KIT_SAME);
}

static void
test_old_copy(void)
{
	char why[BUS_ERROR_TEXT_MAX];
	BUS_BUF_AUTO old = { 0 };
	kit_copy(closed, work);
	busp_journal *journal = kit_open(work, bus_clock_system());
	busp_journal_close(journal);
	kit_file_read(work, STORE, &old);
	journal = kit_open(work, bus_clock_system());
	busp_log *log =
		busp_journal_log(busp_journal_topic(journal, BUS_STR("small")), 0);
	CU_ASSERT_EQUAL(kit_write(journal, log, 1, 1, 10), BUS_OK);
	busp_journal_close(journal);
	kit_file_write(work, STORE, bus_buf_view(&old));
	CU_ASSERT_EQUAL(check_work(), 1);
	CU_ASSERT_EQUAL(look(&closed_dump, why), KIT_FOUND);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "older than what was acknowledged"));
	/* the way out that it names */
	kit_file_remove(work, MARK);
	CU_ASSERT_EQUAL(look(&closed_dump, why), KIT_SAME);
	/* another broker's mark */
	char *other = kit_directory();
	journal = kit_open(other, bus_clock_system());
	busp_journal_close(journal);
	kit_file_read(other, MARK, &old);
	kit_remove_take(other);
	kit_file_write(work, MARK, bus_buf_view(&old));
	CU_ASSERT_EQUAL(look(&closed_dump, why), KIT_FOUND);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "is of another store"));
}

static void
store_exec(const char *sql)
{
	char path[512];
	sqlite3 *db = NULL;
	snprintf(path, sizeof(path), "%s/%s", work, STORE);
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
	CU_ASSERT_EQUAL_FATAL(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* What a bit cannot do: chunks moved, doubled, taken away; rows changed by hand. */
static void
test_chunks_by_hand(void)
{
	static const struct {
		const char *name;
		const char *sql; /* of log 3, ends at nine chunks or more */
		bool opens;
	} sins[] = {
		{ "one in the middle is gone",
		  "delete from chunk where place = (select place from chunk where place >> 43 "
		  "= 3 order by place limit 1 offset 2)",
		  true },
		{ "the first is gone",
		  "delete from chunk where place = (select min(place) from chunk where place "
		  ">> 43 = 3)",
		  true },
		{ "the last is gone",
		  "delete from chunk where place = (select max(place) from chunk where place "
		  ">> 43 = 3)",
		  true },
		{ "all are gone", "delete from chunk where place >> 43 = 3", true },
		{ "two have changed places",
		  "create table s as select * from chunk where place >> 43 = 3 order by place "
		  "limit 2 offset 1; update chunk set head = (select head from s where "
		  "s.place <> chunk.place), bodies = (select bodies from s where s.place <> "
		  "chunk.place) where place in (select place from s); drop table s",
		  true },
		{ "one of another partition",
		  "update chunk set head = (select head from chunk where place >> 43 = 4), "
		  "bodies = (select bodies from chunk where place >> 43 = 4) where place = "
		  "(select min(place) from chunk where place >> 43 = 3)",
		  true },
		{ "a copy behind the end",
		  "insert into chunk select max(place) + 100, head, bodies from chunk where "
		  "place >> 43 = 3",
		  false },
		{ "bodies cut",
		  "update chunk set bodies = substr(bodies, 1, length(bodies) - 1) where "
		  "place >> 43 = 3",
		  true },
		{ "bodies of another chunk",
		  "update chunk set bodies = (select bodies from chunk where place >> 43 = 4) "
		  "where place = (select min(place) from chunk where place >> 43 = 3)",
		  true },
		{ "no bodies", "update chunk set bodies = x'' where place >> 43 = 3",
		  true },
		{ "no head", "update chunk set head = x'' where place >> 43 = 3", true },
		{ "an end too early", "update log set next = next - 1 where number = 3",
		  false },
		{ "a start too late", "update log set first = first + 1 where number = 3",
		  false },
		{ "another time", "update log set last_ms = 0 where number = 3", false },
		{ "a partition less", "delete from log where number = 3", false },
		{ "a topic more",
		  "insert into topic select 6, 'x', partitions, replication, retention_ms, "
		  "retention_bytes, min_isr, sealed, checksum from topic limit 1",
		  false },
		{ "another name", "update topic set name = 'smalk' where first_log = 1",
		  false },
		{ "a seal", "update topic set sealed = 1", false },
		{ "a producer less", "delete from producer where id = 1", false },
		{ "another answer", "update producer set answers = x'00' where id = 1",
		  false },
		{ "a cursor less", "delete from cursor where log = 1", false },
		{ "another cursor", "update cursor set position = position + 1", false },
		{ "another boot", "update store set boot = boot + 1", false },
		{ "a commit less", "update store set commits = commits - 1", false },
		{ "no store", "delete from store", false },
	};
	for (size_t i = 0; i < sizeof(sins) / sizeof(sins[0]); i++) {
		char why[BUS_ERROR_TEXT_MAX];
		kit_copy(closed, work);
		store_exec(sins[i].sql);
		size_t damages = check_work();
		kit_verdict verdict = look(&closed_dump, why);
		if (verdict != KIT_FOUND || damages == 0 ||
		    (why[0] == '\0') != sins[i].opens) {
			fprintf(stderr, "%s: verdict %d, %s, a check finds %zu\n",
				sins[i].name, (int)verdict, why, damages);
			CU_FAIL("something done by hand was not found as it should");
		}
	}
	/* of no partition: only a check sees it, and nobody is ever given it */
	char why[BUS_ERROR_TEXT_MAX];
	kit_copy(closed, work);
	store_exec("insert into chunk select (6 << 43), head, bodies from chunk limit 1");
	CU_ASSERT_EQUAL(check_work(), 1);
	CU_ASSERT_EQUAL(look(&closed_dump, why), KIT_SAME);
}

/* Appends go on behind damage; reads do who begin there, others stop before it. When the
 * start has passed it, all is well. */
static void
test_life_with_damage(void)
{
	bus_error err = BUS_ERROR_INIT;
	kit_copy(closed, work);
	store_exec("update chunk set bodies = x'' where place = (select place from chunk "
		   "where place >> 43 = 3 order by place limit 1 offset 2)");
	busp_journal *journal = kit_open(work, bus_clock_system());
	busp_log *log =
		busp_journal_log(busp_journal_topic(journal, BUS_STR("large")), 0);
	CU_ASSERT_EQUAL(log->number, 3);
	CU_ASSERT_EQUAL(log->damaged_at, -1);
	CU_ASSERT_FALSE(kit_log_holds(journal, log, 0, 1));
	int64_t at = log->damaged_at;
	CU_ASSERT_TRUE(at > log->start && at < log->end);
	int64_t end = log->end;
	CU_ASSERT_EQUAL(kit_write(journal, log, 5, 3, 10), BUS_OK);
	CU_ASSERT_EQUAL(log->end, end + 3);
	const struct {
		int64_t offset;
		busp_read read;
	} asks[] = {
		{ at, BUSP_READ_DAMAGED },
		{ at + 1, BUSP_READ_DAMAGED }, /* of the same chunk */
		{ end, BUSP_READ_OK },
		{ end + 1, BUSP_READ_OK },
		{ at, BUSP_READ_DAMAGED },
	};
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		BUS_BUF_AUTO slices = { 0 };
		int64_t next = -1;
		busp_read read;
		CU_ASSERT_EQUAL(busp_journal_read(journal, log, asks[i].offset, 1000,
						  &slices, &next, &read, &err),
				BUS_OK);
		CU_ASSERT_EQUAL(read, asks[i].read);
		bool damaged = read == BUSP_READ_DAMAGED;
		CU_ASSERT_EQUAL(slices.len == 0, damaged);
		CU_ASSERT_EQUAL(next, damaged ? asks[i].offset : end + 3);
	}
	CU_ASSERT_EQUAL(log->damaged_at, at);
	CU_ASSERT_EQUAL(busp_journal_trim(journal, log, end, &err), BUS_OK);
	CU_ASSERT_EQUAL(log->damaged_at, -1);
	CU_ASSERT_TRUE(kit_log_holds(journal, log, 5, 3));
	busp_journal_close(journal);
	CU_ASSERT_EQUAL(check_work(), 0);
}

/* Old chunks whose pages hang together wrongly cannot be deleted: appends go on. */
static void
test_retention_over_damage(void)
{
	bus_error err = BUS_ERROR_INIT;
	bus_topic_spec spec = kit_spec("t", 2);
	const busp_topic *topic;
	BUS_BUF_AUTO content = { 0 };
	char page[4092];
	char *directory = kit_directory();
	busp_journal *journal = kit_open(directory, bus_clock_system());
	spec.retention_bytes = 100000;
	CU_ASSERT_EQUAL_FATAL(busp_journal_topic_make(journal, &spec, &topic, &err),
			      BUS_OK);
	for (uint64_t i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(kit_write(journal, &topic->logs[0], i + 1, 1, 20000),
				BUS_OK);
		CU_ASSERT_EQUAL(kit_write(journal, &topic->logs[1], 26, 1, 20000), BUS_OK);
	}
	int64_t bytes = topic->logs[1].bytes / 4;
	busp_journal_close(journal);
	kit_file_read(directory, STORE, &content);
	memset(page, 'a', sizeof(page));
	for (size_t at = 0; at < content.len; at += 4096) {
		if (memcmp(content.data + at + 4, page, sizeof(page)) == 0) {
			memset(content.data + at, 0x7f, 4);
		}
	}
	kit_file_write(directory, STORE, bus_buf_view(&content));
	journal = kit_open(directory, bus_clock_system());
	topic = busp_journal_topic(journal, BUS_STR("t"));
	for (uint64_t i = 4; i < 10; i++) {
		busp_journal_begin(journal);
		(void)kit_append(journal, &topic->logs[0], i + 1, 1, 20000);
		(void)kit_append(journal, &topic->logs[1], 26 + i, 1, 20000);
		CU_ASSERT_EQUAL(busp_journal_commit(journal, &err), BUS_OK);
		kit_made_free();
	}
	busp_log *log = &topic->logs[1];
	CU_ASSERT_EQUAL(log->start, 0);
	CU_ASSERT_EQUAL(log->end, 10);
	CU_ASSERT_EQUAL(log->bytes, bytes * 10);
	CU_ASSERT_FALSE(kit_log_holds(journal, log, 0, 10));
	CU_ASSERT_EQUAL(log->damaged_at, 0);
	/* its neighbour, which was cut in the same commit */
	log = &topic->logs[0];
	CU_ASSERT_EQUAL(log->end, 10);
	CU_ASSERT_EQUAL(log->start, 5);
	CU_ASSERT_TRUE(log->bytes > 5 * 20000 && log->bytes < 5 * 20200);
	CU_ASSERT_TRUE(kit_log_holds(journal, log, 6, 5));
	busp_journal_close(journal);
	kit_remove_take(directory);
}

/* What heads say is used before any record is looked at: each of their bits counts. */
static void
test_flips_in_heads(void)
{
	BUS_BUF_AUTO content = { 0 };
	char magic[12] = "BSC1\0\0\0\4";
	kit_file_read(closed, STORE, &content);
	char *head = memmem(content.data, content.len, magic, 8);
	CU_ASSERT_PTR_NOT_NULL_FATAL(head);
	for (size_t bit = 0; bit < 60 * 8; bit++) {
		char why[BUS_ERROR_TEXT_MAX];
		head[bit / 8] ^= (char)(1 << bit % 8);
		kit_copy(closed, work);
		kit_file_write(work, STORE, bus_buf_view(&content));
		kit_verdict verdict = look(&closed_dump, why);
		CU_ASSERT_EQUAL(verdict, KIT_FOUND);
		head[bit / 8] ^= (char)(1 << bit % 8);
	}
}

/* One commit less than the mark says is found, whichever slot says it; and with the newer
 * slot gone the other one does for all but that commit. */
static void
test_each_slot(void)
{
	bus_buf old[4] = { 0 };
	BUS_BUF_AUTO mark = { 0 };
	char why[BUS_ERROR_TEXT_MAX];
	kit_copy(closed, work);
	for (int i = 0; i < 4; i++) {
		kit_file_read(work, STORE, &old[i]);
		busp_journal *journal = kit_open(work, bus_clock_system());
		bus_str name = BUS_STR("small");
		busp_log *log = busp_journal_log(busp_journal_topic(journal, name), 0);
		CU_ASSERT_EQUAL(kit_write(journal, log, 1, 1, 10), BUS_OK);
		kit_dump dump;
		kit_dump_make(journal, PRODUCERS, &dump);
		busp_journal_close(journal);
		kit_file_read(work, MARK, &mark);
		BUS_BUF_AUTO now = { 0 };
		kit_file_read(work, STORE, &now);
		kit_file_write(work, STORE, bus_buf_view(&old[i]));
		CU_ASSERT_EQUAL(look(&closed_dump, why), KIT_FOUND);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, "older than what was acknowledged"));
		if (i >= 2) {
			/* the slot with the larger count, at byte 8 of each */
			size_t newer = memcmp(mark.data + 8, mark.data + 512 + 8, 8) > 0 ?
					       0 :
					       512;
			memset(mark.data + newer, 0, 512);
			kit_file_write(work, MARK, bus_buf_view(&mark));
			kit_file_write(work, STORE, bus_buf_view(&old[i - 1]));
			CU_ASSERT_EQUAL(look(&closed_dump, why), KIT_FOUND);
			kit_file_write(work, STORE, bus_buf_view(&now));
			CU_ASSERT_EQUAL(look(&dump, why), KIT_SAME);
		} else {
			kit_file_write(work, STORE, bus_buf_view(&now));
		}
		kit_dump_free(&dump);
	}
	for (int i = 0; i < 4; i++) {
		bus_buf_fini(&old[i]);
	}
}

/* It is as if it had never been written. */
static void
lose_slot(size_t slot)
{
	BUS_BUF_AUTO mark = { 0 };
	kit_file_read(work, MARK, &mark);
	CU_ASSERT_EQUAL_FATAL(mark.len, 1024);
	mark.data[slot * 512 + 9] ^= 1;
	kit_file_write(work, MARK, bus_buf_view(&mark));
}

/* No number of a life comes again, whether anything was committed in it or not, whichever
 * slot of the mark is lost, or all of it. */
static void
test_boots(void)
{
	kit_copy(closed, work);
	busp_journal *journal = kit_open(work, bus_clock_system());
	uint32_t last = busp_journal_boot(journal);
	for (size_t life = 0; life < 12; life++) {
		bus_str name = BUS_STR("small");
		busp_log *log = busp_journal_log(busp_journal_topic(journal, name), 0);
		CU_ASSERT_TRUE(life % 3 != 0 ||
			       kit_write(journal, log, life, 1, 10) == BUS_OK);
		busp_journal_close(journal);
		if (life == 11) {
			kit_file_remove(work, MARK);
		} else if (life > 3) {
			lose_slot(life / 2 % 2);
		}
		journal = kit_open(work, bus_clock_system());
		CU_ASSERT_TRUE(busp_journal_boot(journal) > last);
		CU_ASSERT_EQUAL(busp_journal_boot(journal) == last + 1, life < 11);
		last = busp_journal_boot(journal);
	}
	busp_journal_close(journal);
}

/* Pages that nothing is read from are for a check. */
static void
test_structure(void)
{
	BUS_BUF_AUTO content = { 0 };
	char why[BUS_ERROR_TEXT_MAX];
	kit_copy(closed, work);
	CU_ASSERT_EQUAL(check_work(), 0);
	kit_file_read(work, STORE, &content);
	content.data[39]++; /* how many pages are free */
	kit_file_write(work, STORE, bus_buf_view(&content));
	CU_ASSERT_TRUE(check_work() > 0);
	CU_ASSERT_NOT_EQUAL(look(&closed_dump, why), KIT_WRONG);
}

static const bus_case cases[] = {
	{ "a flipped bit of the store is found", test_flips_in_store },
	{ "a flipped bit is found before recovery, too", test_flips_before_recovery },
	{ "every bit of a head counts", test_flips_in_heads },
	{ "each slot of the mark counts", test_each_slot },
	{ "no life has the number of another", test_boots },
	{ "the structure is checked, too", test_structure },
	{ "a flipped bit of the mark never makes it lie", test_flips_in_mark },
	{ "a lost sector, a page of another place are found", test_sectors },
	{ "a file that was cut or lost is found", test_cut_files },
	{ "an old copy is found", test_old_copy },
	{ "chunks moved, doubled or lost are found", test_chunks_by_hand },
	{ "appends go on behind damage, and so do reads that begin there",
	  test_life_with_damage },
	{ "what cannot be deleted holds nothing up", test_retention_over_damage },
	{ 0 },
};

const bus_suite_def bus_suite = { "nng damage", cases, setup, teardown };
