/*
 * test_nng_disk.c - the log on a disk that fails or is full, and in a process that is killed
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/support/disk_fault.h"
#include "tests/support/journal_kit.h"
#include "tests/support/suite.h"

#define STORE "broker.db"
#define WAL "broker.db-wal"

static char *work; /* copies of a store */

static int
setup(void)
{
	disk_fault.no_sync = true;
	work = kit_directory();
	return 0;
}

static int
teardown(void)
{
	kit_remove_take(work);
	return 0;
}

/* ---- a disk that fails ---- */

typedef struct failing {
	size_t at;    /* the operation that fails, from 1 on */
	size_t until; /* and those up to here */
	size_t seen;
	int code;
	bool writes; /* only these, or only syncs */
} failing;

static int
fail_at(void *ctx, disk_op op, int fd)
{
	failing *fault = ctx;
	(void)fd;
	if ((op == DISK_SYNC) == fault->writes) {
		return 0;
	}
	fault->seen++;
	return fault->seen >= fault->at && fault->seen <= fault->until ? fault->code : 0;
}

/* EDQUOT for one file. */
static int
quota_on_file(void *ctx, disk_op op, int fd)
{
	struct stat wanted;
	struct stat is;
	return op == DISK_WRITE && stat(ctx, &wanted) == 0 && fstat(fd, &is) == 0 &&
			       wanted.st_ino == is.st_ino ?
		       EDQUOT :
		       0;
}

#define COMMITS 12
/* Of 2 MB each: more than the WAL takes before it goes into the store. */
#define CHECKPOINT_COMMITS 42

/* Appends until one is refused; then again. How many were acknowledged; *ret_fatal: it
 * ended so. Whatever the disk does, refused ones are not there. */
static uint64_t
append_through(busp_journal *journal, busp_log *log, size_t *ret_retries, bool *ret_fatal)
{
	uint64_t done = 0;
	bus_str answer;
	*ret_retries = 0;
	*ret_fatal = false;
	for (int i = 0; i < COMMITS * 3 && done < COMMITS; i++) {
		bus_error err = BUS_ERROR_INIT;
		int64_t end = log->end;
		busp_journal_begin(journal);
		CU_ASSERT_EQUAL(busp_journal_producer(journal, 1, done + 1, &answer),
				BUSP_PRODUCER_NEXT);
		(void)kit_append(journal, log, done, 1, 3000);
		busp_journal_producer_done(journal, 1, done + 1, BUS_STR("done"));
		bus_status status = busp_journal_commit(journal, &err);
		kit_made_free();
		if (status == BUS_E_FATAL) {
			CU_ASSERT_TRUE(err.text[0] != '\0');
			*ret_fatal = true;
			break;
		}
		done += status == BUS_OK;
		*ret_retries += status == BUS_E_RETRY;
		CU_ASSERT_EQUAL(log->end, end + (status == BUS_OK));
		CU_ASSERT_TRUE(status == BUS_OK || status == BUS_E_RETRY);
		if (status != BUS_OK) {
			CU_ASSERT_TRUE(kit_log_holds(journal, log, 0, done));
		}
	}
	return done;
}

/* Every later call is refused, too. */
static void
assert_broken(busp_journal *journal, busp_log *log)
{
	BUS_BUF_AUTO slices = { 0 };
	int64_t next;
	busp_read read;
	bus_error err = BUS_ERROR_INIT;
	CU_ASSERT_EQUAL(kit_write(journal, log, 0, 1, 1), BUS_E_FATAL);
	CU_ASSERT_EQUAL(busp_journal_read(journal, log, 0, 1, &slices, &next, &read, &err),
			BUS_E_FATAL);
	bus_topic_spec spec = kit_spec("more", 1);
	const busp_topic *topic;
	CU_ASSERT_EQUAL(busp_journal_topic_make(journal, &spec, &topic, &err),
			BUS_E_FATAL);
	CU_ASSERT_EQUAL(busp_journal_seal(journal, log->topic, true, &err), BUS_E_FATAL);
}

/* One fault at each operation of a life, one after the other. */
static void
sweep(int code, bool writes, size_t length)
{
	size_t retries = 0;
	size_t fatals = 0;
	size_t at = 1;
	for (;; at++) {
		char *directory = kit_directory();
		failing fault = {
			.at = at, .until = at + length - 1, .code = code, .writes = writes
		};
		busp_journal *journal = kit_open(directory, bus_clock_system());
		busp_log *log = kit_topic(journal, "t", 1)->logs;
		size_t retried;
		bool fatal;
		disk_fault.ctx = &fault;
		disk_fault.before = fail_at;
		uint64_t done = append_through(journal, log, &retried, &fatal);
		retries += retried > 0;
		fatals += fatal;
		if (fatal) {
			assert_broken(journal, log);
		} else {
			CU_ASSERT_EQUAL(done, COMMITS);
			CU_ASSERT_TRUE(kit_log_holds(journal, log, 0, done));
		}
		busp_journal_close(journal);
		disk_fault.before = NULL;
		journal = kit_open(directory, bus_clock_system());
		log = busp_journal_log(busp_journal_topic(journal, BUS_STR("t")), 0);
		/* what was in flight when the disk failed may be there */
		CU_ASSERT_TRUE(kit_log_holds(journal, log, 0, done) ||
			       (fatal && kit_log_holds(journal, log, 0, done + 1)));
		busp_journal_close(journal);
		kit_remove_take(directory);
		if (fault.seen < at) {
			break;
		}
	}
	printf(" errno %d at %zu %s: %zu retried, %zu fatal ", code, at - 1,
	       writes ? "writes" : "syncs", retries, fatals);
	bool no_space = code == ENOSPC || code == EDQUOT || code == EFBIG;
	CU_ASSERT_TRUE(at > 2 * COMMITS || !writes);
	CU_ASSERT_TRUE(no_space && writes ? retries > COMMITS && fatals == 0 :
					    retries == 0 && fatals > 0);
}

static void
test_full_at_every_write(void)
{
	sweep(ENOSPC, true, 1);
	sweep(EDQUOT, true, 3);
	sweep(EFBIG, true, 1);
}

static void
test_failure_at_every_write(void)
{
	sweep(EIO, true, 1);
}

static void
test_failure_at_every_sync(void)
{
	sweep(EIO, false, 1);
	sweep(ENOSPC, false, 1);
}

/* Trouble that passed does not excuse the next one: a full checkpoint, then a broken WAL. */
static void
test_failure_after_full(void)
{
	char *directory = kit_directory();
	busp_journal *journal = kit_open(directory, bus_clock_system());
	busp_log *log = kit_topic(journal, "t", 1)->logs;
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", directory, STORE);
	disk_fault.ctx = path;
	disk_fault.before = quota_on_file;
	bus_status status = BUS_OK;
	for (uint64_t i = 0; i < CHECKPOINT_COMMITS && status == BUS_OK; i++) {
		status = kit_write(journal, log, i * 500, 500, 4000);
	}
	/* the WAL grew instead */
	CU_ASSERT_EQUAL(status, BUS_OK);
	CU_ASSERT_TRUE(kit_file_size(directory, WAL) > CHECKPOINT_COMMITS * 2000000);
	failing fault = { .at = 1, .until = 1, .code = EIO, .writes = true };
	disk_fault.ctx = &fault;
	disk_fault.before = fail_at;
	CU_ASSERT_EQUAL(kit_write(journal, log, 1000000, 1, 10), BUS_E_FATAL);
	disk_fault.before = NULL;
	assert_broken(journal, log);
	busp_journal_close(journal);
	kit_remove_take(directory);
}

/* A checkpoint's failures, too: a WAL that is long enough for one. */
static void
test_failure_in_checkpoint(void)
{
	for (int round = 0; round < 2; round++) {
		char *directory = kit_directory();
		busp_journal *journal = kit_open(directory, bus_clock_system());
		busp_log *log = kit_topic(journal, "t", 1)->logs;
		uint64_t done = 0;
		bus_status status = BUS_OK;
		/* each commit has one sync; the second in one is the checkpoint's */
		failing fault = { .at = 2, .until = 2, .code = EIO };
		disk_fault.ctx = &fault;
		disk_fault.before = round == 0 ? NULL : fail_at;
		while (status == BUS_OK && done < CHECKPOINT_COMMITS) {
			fault.seen = 0;
			status = kit_write(journal, log, done * 500, 500, 4000);
			done += status == BUS_OK;
		}
		disk_fault.before = NULL;
		CU_ASSERT_EQUAL(status, round == 0 ? BUS_OK : BUS_E_FATAL);
		CU_ASSERT_TRUE(round == 0 || done > 10);
		/* the WAL was used again */
		CU_ASSERT_TRUE(round == 1 || kit_file_size(directory, WAL) < 70 * 1000000);
		busp_journal_close(journal);
		journal = kit_open(directory, bus_clock_system());
		log = busp_journal_log(busp_journal_topic(journal, BUS_STR("t")), 0);
		CU_ASSERT_TRUE(kit_log_holds(journal, log, 0, (size_t)log->end));
		CU_ASSERT_TRUE(log->end >= (int64_t)done * 500);
		busp_journal_close(journal);
		kit_remove_take(directory);
	}
}

/* ---- a kill at every operation ---- */

typedef struct killing {
	const char *directory;
	uint64_t acknowledged;
	bool busy;
	size_t images;
} killing;

/* The files as they are before each operation are what a kill leaves. */
static int
kill_here(void *ctx, disk_op op, int fd)
{
	killing *kill = ctx;
	(void)op;
	(void)fd;
	if (kill->busy) {
		return 0;
	}
	kill->busy = true;
	kit_copy(kill->directory, work);
	busp_journal *image = kit_open(work, bus_clock_system());
	const busp_topic *topic = busp_journal_topic(image, BUS_STR("t"));
	busp_log *log = busp_journal_log(topic, 0);
	CU_ASSERT_TRUE(kit_log_holds(image, log, 0, kill->acknowledged) ||
		       kit_log_holds(image, log, 0, kill->acknowledged + 5));
	/* and life goes on there */
	CU_ASSERT_EQUAL(kit_write(image, log, (uint64_t)log->end, 2, 10), BUS_OK);
	CU_ASSERT_TRUE(kit_log_holds(image, log, 0, (size_t)log->end));
	busp_journal_close(image);
	kill->images++;
	kill->busy = false;
	return 0;
}

static void
test_kill_at_every_write(void)
{
	killing kill = { .directory = kit_directory() };
	busp_journal *journal = kit_open(kill.directory, bus_clock_system());
	busp_log *log = kit_topic(journal, "t", 1)->logs;
	disk_fault.ctx = &kill;
	for (int i = 0; i < 20; i++) {
		/* batches are made beforehand: images append, too */
		busp_batch_maker maker = { 0 };
		for (int j = 0; j < 5; j++) {
			char key[24];
			snprintf(key, sizeof(key), "%d", (int)kill.acknowledged + j);
			busp_batch_add(&maker, &(bus_record){ .key = bus_str_from(key) });
		}
		busp_batch batch = { maker.count, bus_buf_view(&maker.directory),
				     bus_buf_view(&maker.bodies) };
		int64_t base;
		int64_t time_ms;
		bus_error err = BUS_ERROR_INIT;
		busp_journal_begin(journal);
		busp_journal_append(journal, log, &batch, &base, &time_ms);
		disk_fault.before = kill_here;
		CU_ASSERT_EQUAL(busp_journal_commit(journal, &err), BUS_OK);
		disk_fault.before = NULL;
		busp_batch_fini(&maker);
		kill.acknowledged += 5;
	}
	disk_fault.before = kill_here;
	busp_journal_close(journal);
	disk_fault.before = NULL;
	CU_ASSERT_TRUE(kill.images > 60);
	kit_remove_take((char *)(uintptr_t)kill.directory);
}

/* ---- a disk that is full ---- */

/* Appends until there is no space, frees some, and goes on. */
static void
fill_and_recover(const char *directory, void (*give)(const char *), size_t bytes_max)
{
	busp_journal *journal = kit_open(directory, bus_clock_system());
	busp_log *log = kit_topic(journal, "t", 1)->logs;
	uint64_t done = 0;
	bus_status status = BUS_OK;
	while (status == BUS_OK && done * 10000 < bytes_max) {
		status = kit_write(journal, log, done * 100, 100, 100);
		done += status == BUS_OK;
	}
	CU_ASSERT_EQUAL(status, BUS_E_RETRY);
	CU_ASSERT_TRUE(done > 2);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_TRUE(kit_log_holds(journal, log, 0, done * 100));
		status = kit_write(journal, log, done * 100, 100, 100);
		CU_ASSERT_TRUE(status == BUS_E_RETRY || status == BUS_OK);
		done += status == BUS_OK;
	}
	give(directory);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(kit_write(journal, log, done * 100, 100, 100), BUS_OK);
		done++;
	}
	CU_ASSERT_TRUE(kit_log_holds(journal, log, 0, done * 100));
	busp_journal_close(journal);
	journal = kit_open(directory, bus_clock_system());
	log = busp_journal_log(busp_journal_topic(journal, BUS_STR("t")), 0);
	CU_ASSERT_TRUE(kit_log_holds(journal, log, 0, done * 100));
	busp_journal_close(journal);
}

static void
give_limit(const char *directory)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	(void)directory;
	CU_ASSERT_EQUAL(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void
test_file_limit(void)
{
	char *directory = kit_directory();
	struct rlimit limit;
	(void)signal(SIGXFSZ, SIG_IGN);
	CU_ASSERT_EQUAL(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = 300000;
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
	fill_and_recover(directory, give_limit, 10000000);
	give_limit(directory);
	kit_remove_take(directory);
}

static void
give_space(const char *directory)
{
	char *parent = busp_adapter_copy(directory);
	*strrchr(parent, '/') = '\0';
	CU_ASSERT_EQUAL(mount("tmpfs", parent, "tmpfs", MS_REMOUNT, "size=16m"), 0);
	free(parent);
}

static void
test_full_disk(void)
{
	char *directory = kit_directory();
	char *parent = busp_adapter_copy(directory);
	*strrchr(parent, '/') = '\0';
	if (mount("tmpfs", parent, "tmpfs", 0, "size=1m") != 0) {
		printf(" skipped: no tmpfs may be mounted here (%s); the limit on files "
		       "stands for it ",
		       strerror(errno));
	} else {
		fill_and_recover(directory, give_space, 10000000);
		CU_ASSERT_EQUAL(umount(parent), 0);
	}
	free(parent);
	kit_remove_take(directory);
}

static const bus_case cases[] = {
	{ "no space at any write: nothing happened, and it passes",
	  test_full_at_every_write },
	{ "a failed write is the end", test_failure_at_every_write },
	{ "a failed sync is the end", test_failure_at_every_sync },
	{ "a failure after no space is the end, too", test_failure_after_full },
	{ "a failed checkpoint is the end", test_failure_in_checkpoint },
	{ "a kill at any write leaves what was committed", test_kill_at_every_write },
	{ "a limit on files is no space", test_file_limit },
	{ "a full disk is no space, and passes", test_full_disk },
	{ 0 },
};

const bus_suite_def bus_suite = { "nng disk", cases, setup, teardown };
