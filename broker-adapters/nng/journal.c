/*
 * journal.c - the journal's life: the directory's lock, opening, closing
 */
#include "broker-adapters/nng/journal_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* The store learns the number of a life with its first commit. When the mark was removed,
 * the numbers of lives without one are not known: more than there can have been are left
 * out. */
#define BUSP_BOOTS_UNKNOWN (1u << 16)

static bus_status
busp_file_failed(const char *path, const char *doing, bus_error *err)
{
	int native = errno;
	bool full = native == ENOSPC || native == EDQUOT;
	return bus_error_set(err, full ? BUS_E_RETRY : BUS_E_FATAL, BUSP_ORIGIN, native,
			     "%s: %s: %s", path, doing, strerror(native));
}

char *
busp_path(const char *directory, const char *name)
{
	size_t len = strlen(directory) + strlen(name) + 2;
	char *path = busp_adapter_alloc(len, 1);
	snprintf(path, len, "%s/%s", directory, name);
	return path;
}

/* What was made or renamed in it stays there after a power cut. */
static bus_status
busp_directory_sync(const char *path, bus_error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return busp_file_failed(path, "opening", err);
	}
	bus_status status =
		fsync(fd) == 0 ? BUS_OK : busp_file_failed(path, "syncing", err);
	(void)close(fd);
	return status;
}

static bus_status
busp_directory_make(const char *directory, bus_error *err)
{
	if (mkdir(directory, 0700) != 0) {
		return errno == EEXIST ? BUS_OK :
					 busp_file_failed(directory, "making", err);
	}
	char *parent = busp_path(directory, "..");
	bus_status status = busp_directory_sync(parent, err);
	free(parent);
	return status;
}

static bus_status
busp_lock_refused(const char *directory, int fd, bus_error *err)
{
	char pid[16] = "";
	ssize_t len = pread(fd, pid, sizeof(pid) - 1, 0);
	pid[len > 0 ? len : 0] = '\0';
	pid[strspn(pid, "0123456789")] = '\0';
	return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, EAGAIN,
			     "%s: in use by another process%s%s", directory,
			     pid[0] != '\0' ? ", pid " : "", pid);
}

/* Says who has it, for whoever comes second. */
static void
busp_lock_sign(int fd)
{
	char pid[16];
	int len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)len, 0) != len) {
		/* a full disk: the lock holds without a name on it */
		return;
	}
}

bus_status
busp_lock_take(const char *directory, bool look, int *ret_fd, bus_error *err)
{
	char *path = busp_path(directory, BUSP_LOCK_FILE);
	int fd = open(path, O_RDWR | O_CLOEXEC | (look ? 0 : O_CREAT), 0600);
	free(path);
	if (fd < 0 && look && errno == ENOENT) {
		*ret_fd = -1;
		return BUS_OK;
	}
	if (fd < 0) {
		return busp_file_failed(directory, "its lock", err);
	}
	/* of the open file, not of the process: no other close() in here gives it up */
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
		bus_status status = errno == EAGAIN || errno == EACCES ?
					    busp_lock_refused(directory, fd, err) :
					    busp_file_failed(directory, "its lock", err);
		(void)close(fd);
		return status;
	}
	if (!look) {
		busp_lock_sign(fd);
	}
	*ret_fd = fd;
	return BUS_OK;
}

busp_journal *
busp_journal_create(const char *directory, const bus_clock *clock)
{
	busp_journal *journal = busp_adapter_alloc(1, sizeof(*journal));
	journal->directory = busp_adapter_copy(directory);
	journal->clock = clock;
	journal->lock_fd = -1;
	journal->mark.fd = -1;
	*BUSP_PUSH(journal->slots) = (busp_slot){ 0 };
	return journal;
}

void
busp_journal_destroy(busp_journal *journal)
{
	busp_store_close(&journal->store);
	busp_mark_close(&journal->mark);
	for (size_t i = 0; i < journal->topics.count; i++) {
		busp_topic_destroy(journal->topics.at[i]);
	}
	busp_producers_fini(&journal->producers);
	busp_cursors_fini(&journal->cursors);
	free(journal->topics.at);
	free(journal->slots.at);
	free(journal->touched.at);
	free(journal->pending.at);
	free(journal->parts.at);
	free(journal->noted.at);
	bus_buf_fini(&journal->scratch);
	bus_buf_fini(&journal->head);
	bus_buf_fini(&journal->bodies);
	if (journal->lock_fd >= 0) {
		(void)close(journal->lock_fd);
	}
	free(journal->directory);
	free(journal);
}

/* The file is made by us, so that nobody else may read it. Looked at before SQLite opens
 * it: beside an empty store it would throw the WAL away. */
static bus_status
busp_store_touch(const char *path, bool expected, bus_error *err)
{
	struct stat info;
	int fd = open(path, O_RDWR | O_CLOEXEC | (expected ? 0 : O_CREAT), 0600);
	bool missing = fd < 0 && expected && errno == ENOENT;
	if (fd < 0 && !missing) {
		return busp_file_failed(path, "opening", err);
	}
	bool empty = !missing && fstat(fd, &info) == 0 && info.st_size == 0;
	if (fd >= 0) {
		(void)close(fd);
	}
	if (missing || (expected && empty)) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, ENOENT,
				     "%s: is %s, and %s says that there was one. Put it "
				     "back; to begin anew, remove %s",
				     path, missing ? "gone" : "empty", BUSP_MARK_FILE,
				     BUSP_MARK_FILE);
	}
	return BUS_OK;
}

static bus_status
busp_uuid_make(uint8_t uuid[BUSP_UUID_BYTES], bus_error *err)
{
	ssize_t got;
	do {
		got = getrandom(uuid, BUSP_UUID_BYTES, 0);
	} while (got < 0 && errno == EINTR);
	return got == BUSP_UUID_BYTES ? BUS_OK :
					busp_file_failed("getrandom", "a uuid", err);
}

/* The first finding, as the reason why the journal does not open. */
static void
busp_refuse(void *ctx, const bus_broker_damage *damage)
{
	bus_error *err = ctx;
	if (damage->partition >= 0) {
		(void)bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0, "%s[%d]: %s",
				    damage->topic, damage->partition, damage->what);
	} else {
		(void)bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0, "%s: %s",
				    BUSP_STORE_FILE, damage->what);
	}
}

/* Reads everything that is not records, and believes it or refuses. */
static bus_status
busp_journal_believe(busp_journal *journal, const busp_mark_content *mark, bus_error *err)
{
	bus_error why = BUS_ERROR_INIT;
	busp_findings findings = { busp_refuse, &why };
	bus_status status = busp_journal_load(journal, &findings, err);
	if (status == BUS_OK && why.status == BUS_OK) {
		busp_mark_compare(journal, mark, &findings);
	}
	for (size_t i = 1;
	     i < journal->slots.count && status == BUS_OK && why.status == BUS_OK; i++) {
		status = busp_log_compare(journal, journal->slots.at[i].log, &findings,
					  err);
	}
	if (status == BUS_OK && why.status != BUS_OK) {
		return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, 0, "%s: %s",
				     journal->directory, why.text);
	}
	return status;
}

/* A new life begins: its number is durable before anything is served, and so is everything
 * that the WAL has, which may never have been synced. None of it needs space on the disk,
 * except for a store that is made. */
static bus_status
busp_journal_boot_next(busp_journal *journal, bool made, const busp_mark_content *mark,
		       bus_error *err)
{
	journal->boot = mark->boot > journal->boot ? mark->boot : journal->boot;
	journal->boot += made || mark->present ? 1 : BUSP_BOOTS_UNKNOWN;
	bus_status status = made ? busp_journal_finish(journal, BUS_OK, err) : BUS_OK;
	if (status == BUS_OK) {
		status = busp_store_settle(&journal->store, err);
	}
	/* both slots, so that one that is lost later does not bring the number again */
	for (int i = 0; i < 2 && status == BUS_OK; i++) {
		status = busp_mark_write(&journal->mark, journal->uuid, journal->commits,
					 journal->boot, err);
		if (status == BUS_OK) {
			status = busp_mark_sync(&journal->mark, err);
		}
	}
	return status == BUS_OK ? busp_directory_sync(journal->directory, err) : status;
}

static bus_status
busp_journal_start(busp_journal *journal, bus_error *err)
{
	busp_mark_content mark;
	bool made = false;
	bus_status status =
		busp_lock_take(journal->directory, false, &journal->lock_fd, err);
	if (status == BUS_OK) {
		status = busp_mark_open(&journal->mark, journal->directory, true, &mark,
					err);
	}
	if (status != BUS_OK) {
		return status;
	}
	char *path = busp_path(journal->directory, BUSP_STORE_FILE);
	status = busp_store_touch(path, mark.present, err);
	if (status == BUS_OK) {
		status =
			busp_store_open(&journal->store, path,
					mark.present ? BUSP_STORE_WRITE : BUSP_STORE_MAKE,
					&made, err);
	}
	free(path);
	if (status == BUS_OK) {
		status = made ? busp_uuid_make(journal->uuid, err) :
				busp_journal_believe(journal, &mark, err);
	}
	return status == BUS_OK ? busp_journal_boot_next(journal, made, &mark, err) :
				  status;
}

bus_status
busp_journal_open(const char *directory, const bus_clock *clock,
		  busp_journal **ret_journal, bus_error *err)
{
	bus_status status = busp_directory_make(directory, err);
	if (status != BUS_OK) {
		return status;
	}
	busp_journal *journal = busp_journal_create(directory, clock);
	status = busp_journal_start(journal, err);
	if (status != BUS_OK) {
		busp_journal_destroy(journal);
		return status;
	}
	*ret_journal = journal;
	return BUS_OK;
}

void
busp_journal_close(busp_journal *journal)
{
	if (journal == NULL) {
		return;
	}
	bus_error none = BUS_ERROR_INIT;
	if (journal->open) {
		busp_journal_rollback(journal);
	}
	/* notes that waited for a commit; what cannot be written is a hint lost */
	journal->cursors.written_ms = INT64_MIN / 2;
	busp_journal_begin(journal);
	bus_status status = busp_journal_commit(journal, &none);
	if (status == BUS_OK) {
		status = busp_store_checkpoint(&journal->store, true, &none);
	}
	if (status == BUS_OK) {
		status = busp_mark_sync(&journal->mark, &none);
	}
	/* One that failed is tried again at the next start, from the WAL. */
	journal->store.broken |= status != BUS_OK;
	busp_journal_destroy(journal);
}

const uint8_t *
busp_journal_uuid(const busp_journal *journal)
{
	return journal->uuid;
}

uint32_t
busp_journal_boot(const busp_journal *journal)
{
	return journal->boot;
}

busp_journal_counts
busp_journal_counted(const busp_journal *journal)
{
	return journal->counts;
}

bus_status
busp_journal_cursors(busp_journal *journal, bus_arena *arena, busp_cursor **ret_cursors,
		     size_t *ret_count, bus_error *err)
{
	bus_status status = busp_store_usable(&journal->store, err);
	if (status != BUS_OK) {
		return status;
	}
	const busp_cursors *rows = &journal->cursors;
	busp_cursor *cursors = bus_arena_alloc(arena, rows->count * sizeof(cursors[0]));
	for (size_t i = 0; i < rows->count; i++) {
		cursors[i] = (busp_cursor){
			.group = bus_arena_str(arena, bus_str_from(rows->rows[i].group))
					 .data,
			.log = rows->rows[i].log,
			.offset = rows->rows[i].offset,
			.noted_ms = rows->rows[i].noted_ms,
		};
	}
	*ret_cursors = cursors;
	*ret_count = rows->count;
	return BUS_OK;
}
