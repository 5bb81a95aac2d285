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
#include <unistd.h>

#include "tests/support/disk_fault.h"
#include "tests/support/journal_kit.h"
#include "tests/support/suite.h"

#define STORE "broker.db"
#define WAL "broker.db-wal"

static char *work;   /* copies of a store */
static char *killed; /* copies of a copy */

static int
setup(void)
{
	disk_fault.no_sync = true;
	work = kit_directory();
	killed = kit_directory();
	return 0;
}

static int
teardown(void)
{
	kit_remove_take(work);
	kit_remove_take(killed);
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

typedef struct limited {
	char path[512];
	size_t refused;
} limited;

/* EDQUOT for one file. */
static int
quota_on_file(void *ctx, disk_op op, int fd)
{
	limited *quota = ctx;
	struct stat wanted;
	struct stat is;
	if (op != DISK_WRITE || stat(quota->path, &wanted) != 0 || fstat(fd, &is) != 0 ||
	    wanted.st_ino != is.st_ino) {
		return 0;
	}
	quota->refused++;
	return EDQUOT;
}

#define COMMITS 12
/* Of 2 MB each: more than the WAL takes before it goes into the store. */
#define CHECKPOINT_COMMITS 42
#define CHECKPOINT_RECORDS 20
#define CHECKPOINT_BYTES 100000

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
	limited quota = { 0 };
	snprintf(quota.path, sizeof(quota.path), "%s/%s", directory, STORE);
	disk_fault.ctx = &quota;
	disk_fault.before = quota_on_file;
	bus_status status = BUS_OK;
	for (uint64_t i = 0; i < CHECKPOINT_COMMITS && status == BUS_OK; i++) {
		status = kit_write(journal, log, i * CHECKPOINT_RECORDS,
				   CHECKPOINT_RECORDS, CHECKPOINT_BYTES);
	}
	/* the WAL grew instead */
	CU_ASSERT_EQUAL(status, BUS_OK);
	CU_ASSERT_TRUE(kit_file_size(directory, WAL) > CHECKPOINT_COMMITS * 2000000);
	/* and not every commit from then on tries in vain */
	CU_ASSERT_EQUAL(quota.refused, 1);
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
		/* stands still: it is not time that brings the mark's sync */
		bus_clock_manual now;
		bus_clock_manual_init(&now, 0);
		busp_journal *journal = kit_open(directory, &now.clock);
		busp_log *log = kit_topic(journal, "t", 1)->logs;
		uint64_t done = 0;
		bus_status status = BUS_OK;
		/* each commit has one sync; the second in one is the checkpoint's */
		failing fault = { .at = 2, .until = 2, .code = EIO };
		disk_fault.ctx = &fault;
		disk_fault.before = round == 0 ? NULL : fail_at;
		while (status == BUS_OK && done < CHECKPOINT_COMMITS) {
			fault.seen = 0;
			status = kit_write(journal, log, done * CHECKPOINT_RECORDS,
					   CHECKPOINT_RECORDS, CHECKPOINT_BYTES);
			done += status == BUS_OK;
		}
		disk_fault.before = NULL;
		CU_ASSERT_EQUAL(status, round == 0 ? BUS_OK : BUS_E_FATAL);
		CU_ASSERT_TRUE(round == 0 || done > 30);
		/* the WAL was used again */
		CU_ASSERT_TRUE(round == 1 || kit_file_size(directory, WAL) < 70 * 1000000);
		busp_journal_close(journal);
		journal = kit_open(directory, bus_clock_system());
		log = busp_journal_log(busp_journal_topic(journal, BUS_STR("t")), 0);
		CU_ASSERT_TRUE(kit_log_holds(journal, log, 0, (size_t)log->end));
		CU_ASSERT_TRUE(log->end >= (int64_t)done * CHECKPOINT_RECORDS);
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

/* ---- a disk that is full when the journal is opened ---- */

#define KEPT 40 /* records of the life that a kill ends */

typedef struct filled {
	size_t fail_at; /* the operation that fails although it needs no space; 0: none */
	int fail_code;
	bool syncs; /* it is a sync */
	size_t seen;
	int64_t wal_written; /* from its start on */
	bool wal_synced;     /* since */
	uint32_t served;     /* the last number of a life before this one */
	bool imaging;
	bool busy;
	size_t images;
} filled;

static bool
is_wal(int fd)
{
	char link[32];
	char path[512];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t len = readlink(link, path, sizeof(path) - 1);
	path[len > 0 ? len : 0] = '\0';
	return strstr(path, WAL) != NULL;
}

/* A kill before this operation: whoever opens what is left has it all, and another number. */
static void
kill_while_opening(filled *disk)
{
	disk->busy = true;
	kit_copy(work, killed);
	busp_journal *journal = kit_open(killed, bus_clock_system());
	busp_log *log = busp_journal_log(busp_journal_topic(journal, BUS_STR("t")), 0);
	CU_ASSERT_TRUE(kit_log_holds(journal, log, 0, KEPT));
	CU_ASSERT_TRUE(busp_journal_boot(journal) > disk->served);
	busp_journal_close(journal);
	disk->images++;
	disk->busy = false;
}

/* No file grows; what has its place can be written. */
static int
no_growth(void *ctx, disk_op op, int fd)
{
	filled *disk = ctx;
	struct stat info;
	int64_t end = disk_fault.end;
	if (disk->imaging && !disk->busy) {
		kill_while_opening(disk);
	}
	bool grows = op == DISK_WRITE && (fstat(fd, &info) != 0 || end > info.st_size);
	if (grows) {
		return ENOSPC;
	}
	disk->seen += op != DISK_CUT && (op == DISK_SYNC) == disk->syncs;
	if (disk->seen == disk->fail_at && disk->fail_at > 0) {
		return disk->fail_code;
	}
	if (!disk->busy && is_wal(fd)) {
		disk->wal_written = op == DISK_WRITE ? end : disk->wal_written;
		disk->wal_synced = op == DISK_SYNC;
	}
	return 0;
}

/* Lets a life with records end by a kill; `work` is what it left. */
static void
leave_killed(void)
{
	char *directory = kit_directory();
	busp_journal *journal = kit_open(directory, bus_clock_system());
	busp_log *log = kit_topic(journal, "t", 1)->logs;
	for (uint64_t i = 0; i < KEPT; i++) {
		busp_journal_begin(journal);
		(void)kit_append(journal, log, i, 1, 3000);
		busp_journal_producer_done(journal, 1, i + 1, BUS_STR("said"));
		bus_error err = BUS_ERROR_INIT;
		CU_ASSERT_EQUAL(busp_journal_commit(journal, &err), BUS_OK);
		kit_made_free();
	}
	kit_copy(directory, work);
	busp_journal_close(journal);
	kit_remove_take(directory);
}

static busp_journal *
open_full(filled *disk, busp_log **ret_log)
{
	disk_fault.ctx = disk;
	disk_fault.before = no_growth;
	busp_journal *journal = kit_open(work, bus_clock_system());
	*ret_log = busp_journal_log(busp_journal_topic(journal, BUS_STR("t")), 0);
	return journal;
}

static void
test_open_full(void)
{
	filled disk = { .served = 1, .imaging = true };
	busp_log *log;
	bus_str answer;
	leave_killed();
	int64_t wal = kit_file_size(work, WAL);
	/* twice: a life without a commit has its number, too */
	for (uint32_t boot = 2; boot < 5; boot++) {
		busp_journal *journal = open_full(&disk, &log);
		disk.imaging = false;
		CU_ASSERT_EQUAL(busp_journal_boot(journal), boot);
		/* all of the WAL is on the disk for certain before anything is served */
		CU_ASSERT_EQUAL(disk.wal_written, wal);
		CU_ASSERT_TRUE(disk.wal_synced);
		CU_ASSERT_TRUE(kit_log_holds(journal, log, 0, KEPT));
		for (int i = 0; i < 3; i++) {
			CU_ASSERT_EQUAL(kit_write(journal, log, KEPT, 1, 3000),
					BUS_E_RETRY);
			CU_ASSERT_TRUE(kit_log_holds(journal, log, 0, KEPT));
		}
		CU_ASSERT_EQUAL(busp_journal_producer(journal, 1, KEPT, &answer),
				BUSP_PRODUCER_KNOWN);
		CU_ASSERT_EQUAL(busp_journal_producer(journal, 1, KEPT + 1, &answer),
				BUSP_PRODUCER_NEXT);
		busp_journal_close(journal);
		disk = (filled){ .served = boot, .imaging = true };
	}
	/* it passes while the journal is open */
	busp_journal *journal = open_full(&disk, &log);
	CU_ASSERT_TRUE(disk.images > 4);
	disk_fault.before = NULL;
	CU_ASSERT_EQUAL(kit_write(journal, log, KEPT, 2, 3000), BUS_OK);
	CU_ASSERT_TRUE(kit_log_holds(journal, log, 0, KEPT + 2));
	busp_journal_close(journal);
	journal = kit_open(work, bus_clock_system());
	log = busp_journal_log(busp_journal_topic(journal, BUS_STR("t")), 0);
	CU_ASSERT_EQUAL(busp_journal_boot(journal), 6);
	CU_ASSERT_TRUE(kit_log_holds(journal, log, 0, KEPT + 2));
	busp_journal_close(journal);
}

/* On a full disk, each write or sync of the opening fails in turn: it does not open, and
 * loses nothing. */
static void
sweep_opening(int code, bool syncs, bus_status wanted)
{
	size_t refused = 0;
	leave_killed();
	for (size_t at = 1;; at++) {
		filled disk = { .fail_at = at, .fail_code = code, .syncs = syncs };
		busp_journal *journal = NULL;
		bus_error err = BUS_ERROR_INIT;
		disk_fault.ctx = &disk;
		disk_fault.before = no_growth;
		bus_status status =
			busp_journal_open(work, bus_clock_system(), &journal, &err);
		bool failed = disk.seen >= at;
		busp_journal_close(journal);
		disk_fault.before = NULL;
		CU_ASSERT_TRUE(status == BUS_OK || (failed && status == wanted));
		refused += status != BUS_OK;
		journal = kit_open(work, bus_clock_system());
		busp_log *log =
			busp_journal_log(busp_journal_topic(journal, BUS_STR("t")), 0);
		CU_ASSERT_TRUE(kit_log_holds(journal, log, 0, KEPT));
		busp_journal_close(journal);
		leave_killed();
		if (!failed) {
			break;
		}
	}
	printf(" errno %d: %zu refused ", code, refused);
	CU_ASSERT_TRUE(refused > 2);
}

static void
test_failure_while_opening(void)
{
	sweep_opening(EIO, false, BUS_E_FATAL);
	sweep_opening(EIO, true, BUS_E_FATAL);
	/* copying on write: even what has its place needs space */
	sweep_opening(ENOSPC, false, BUS_E_RETRY);
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
	{ "on a full disk it opens, is read and takes nothing", test_open_full },
	{ "a failure while it opens on a full disk loses nothing",
	  test_failure_while_opening },
	{ 0 },
};

const bus_suite_def bus_suite = { "nng disk", cases, setup, teardown };
