/*
 * journal_kit.c - journals for tests
 */
#include "tests/support/journal_kit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- directories ---- */

static void __attribute__((noreturn)) kit_die(const char *what, const char *name)
{
	fprintf(stderr, "journal_kit: %s %s: %s\n", what, name, strerror(errno));
	exit(2);
}

static char *
kit_join(const char *directory, const char *name)
{
	char *path = NULL;
	if (asprintf(&path, "%s/%s", directory, name) < 0) {
		kit_die("memory for", name);
	}
	return path;
}

char *
kit_directory(void)
{
	const char *base = getenv("TMPDIR");
	char *folder = kit_join(base != NULL ? base : "/tmp", "busline-journal-XXXXXX");
	if (mkdtemp(folder) == NULL) {
		kit_die("making", folder);
	}
	char *directory = kit_join(folder, "store");
	free(folder);
	return directory;
}

/* Calls for each file of a directory; nothing if it is not there. */
static void
kit_each(const char *directory,
	 void (*each)(const char *path, const char *name, void *ctx), void *ctx)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.') {
			char *path = kit_join(directory, entry->d_name);
			each(path, entry->d_name, ctx);
			free(path);
		}
	}
	if (dir != NULL) {
		(void)closedir(dir);
	}
}

static void
kit_unlink(const char *path, const char *name, void *ctx)
{
	(void)name;
	(void)ctx;
	(void)unlink(path);
}

void
kit_remove_take(char *directory)
{
	kit_each(directory, kit_unlink, NULL);
	(void)rmdir(directory);
	*strrchr(directory, '/') = '\0';
	(void)rmdir(directory);
	free(directory);
}

static void
kit_read_path(const char *path, bus_buf *ret_content)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bus_buf_clear(ret_content);
	if (fd < 0) {
		kit_die("opening", path);
	}
	for (;;) {
		ssize_t got = read(fd, bus_buf_reserve(ret_content, 65536), 65536);
		if (got < 0) {
			kit_die("reading", path);
		}
		if (got == 0) {
			break;
		}
		ret_content->len += (size_t)got;
	}
	(void)close(fd);
}

void
kit_file_read(const char *directory, const char *name, bus_buf *ret_content)
{
	char *path = kit_join(directory, name);
	kit_read_path(path, ret_content);
	free(path);
}

void
kit_file_write(const char *directory, const char *name, bus_str content)
{
	char *path = kit_join(directory, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t done = 0;
	if (fd < 0) {
		kit_die("making", path);
	}
	while (done < content.len) {
		ssize_t put = write(fd, content.data + done, content.len - done);
		if (put < 0) {
			kit_die("writing", path);
		}
		done += (size_t)put;
	}
	(void)close(fd);
	free(path);
}

int64_t
kit_file_size(const char *directory, const char *name)
{
	char *path = kit_join(directory, name);
	struct stat info;
	int64_t size = stat(path, &info) == 0 ? (int64_t)info.st_size : -1;
	free(path);
	return size;
}

void
kit_file_remove(const char *directory, const char *name)
{
	char *path = kit_join(directory, name);
	if (unlink(path) != 0 && errno != ENOENT) {
		kit_die("removing", path);
	}
	free(path);
}

void
kit_file_cut(const char *directory, const char *name, int64_t size)
{
	char *path = kit_join(directory, name);
	if (truncate(path, size) != 0) {
		kit_die("cutting", path);
	}
	free(path);
}

static void
kit_copy_file(const char *path, const char *name, void *ctx)
{
	const char *to = ctx;
	BUS_BUF_AUTO content = { 0 };
	kit_read_path(path, &content);
	kit_file_write(to, name, bus_buf_view(&content));
}

void
kit_copy(const char *from, const char *to)
{
	if (mkdir(to, 0700) != 0 && errno != EEXIST) {
		kit_die("making", to);
	}
	kit_each(to, kit_unlink, NULL);
	kit_each(from, kit_copy_file, (void *)(uintptr_t)to);
}

/* ---- journals ---- */

busp_journal *
kit_open(const char *directory, const bus_clock *clock)
{
	busp_journal *journal = NULL;
	bus_error err = BUS_ERROR_INIT;
	if (busp_journal_open(directory, clock, &journal, &err) != BUS_OK) {
		fprintf(stderr, "journal_kit: %s\n", err.text);
		exit(2);
	}
	return journal;
}

void
kit_open_refused(const char *directory, char ret_text[BUS_ERROR_TEXT_MAX])
{
	busp_journal *journal = NULL;
	bus_error err = BUS_ERROR_INIT;
	ret_text[0] = '\0';
	if (busp_journal_open(directory, bus_clock_system(), &journal, &err) != BUS_OK) {
		snprintf(ret_text, BUS_ERROR_TEXT_MAX, "%s", err.text);
		return;
	}
	busp_journal_close(journal);
}

bus_topic_spec
kit_spec(const char *name, int32_t partitions)
{
	return (bus_topic_spec){ .name = name,
				 .partitions = partitions,
				 .replication = 1,
				 .min_isr = 1,
				 .retention_ms = -1 };
}

const busp_topic *
kit_topic(busp_journal *journal, const char *name, int32_t partitions)
{
	bus_topic_spec spec = kit_spec(name, partitions);
	const busp_topic *topic = NULL;
	bus_error err = BUS_ERROR_INIT;
	if (busp_journal_topic_make(journal, &spec, &topic, &err) != BUS_OK) {
		fprintf(stderr, "journal_kit: %s\n", err.text);
		exit(2);
	}
	return topic;
}

/* What appended batches are made of. */
static struct {
	busp_batch_maker *at;
	size_t count;
	size_t cap;
} kit_made;

void
kit_made_free(void)
{
	for (size_t i = 0; i < kit_made.count; i++) {
		busp_batch_fini(&kit_made.at[i]);
	}
	free(kit_made.at);
	kit_made.at = NULL;
	kit_made.count = kit_made.cap = 0;
}

int64_t
kit_append(busp_journal *journal, busp_log *log, uint64_t first, uint32_t count,
	   size_t bytes)
{
	busp_batch_maker maker = { 0 };
	char *value = busp_adapter_alloc(bytes + 24, 1);
	for (uint32_t i = 0; i < count; i++) {
		char key[24];
		snprintf(key, sizeof(key), "%llu", (unsigned long long)(first + i));
		memset(value, 'a' + (int)((first + i) % 26), bytes);
		busp_batch_add(&maker, &(bus_record){ .key = bus_str_from(key),
						      .value = { value, bytes } });
	}
	free(value);
	busp_batch batch = { maker.count, bus_buf_view(&maker.directory),
			     bus_buf_view(&maker.bodies) };
	int64_t base = -1;
	int64_t timestamp_ms;
	busp_journal_append(journal, log, &batch, &base, &timestamp_ms);
	kit_made.at = busp_adapter_grow(kit_made.at, kit_made.count, &kit_made.cap,
					sizeof(kit_made.at[0]));
	kit_made.at[kit_made.count++] = maker;
	return base;
}

bus_status
kit_write(busp_journal *journal, busp_log *log, uint64_t first, uint32_t count,
	  size_t bytes)
{
	busp_journal_begin(journal);
	(void)kit_append(journal, log, first, count, bytes);
	bus_error err = BUS_ERROR_INIT;
	bus_status status = busp_journal_commit(journal, &err);
	kit_made_free();
	return status;
}

/* ---- what is in a journal ---- */

static uint64_t
kit_number(bus_str body, bus_arena *arena)
{
	bus_record record;
	bus_error err = BUS_ERROR_INIT;
	if (busp_get_record(body, arena, &record, &err) != BUS_OK || record.key.len == 0) {
		return UINT64_MAX;
	}
	return strtoull(bus_arena_str(arena, record.key).data, NULL, 10);
}

static void
kit_take_slice(kit_log *log, const busp_slice *slice, size_t *cap, bus_arena *arena)
{
	const char *at = slice->batch.bodies.data;
	if (slice->base != log->start + (int64_t)log->count) {
		fprintf(stderr, "journal_kit: %s[%d]: a slice begins at %lld\n",
			log->topic, log->partition, (long long)slice->base);
		exit(2);
	}
	for (uint32_t i = 0; i < slice->batch.count; i++) {
		uint32_t len = busp_batch_length(&slice->batch, i);
		log->records = busp_adapter_grow(log->records, log->count, cap,
						 sizeof(log->records[0]));
		log->records[log->count++] = (kit_record){
			.number = kit_number((bus_str){ at, len }, arena),
			.timestamp_ms = slice->timestamp_ms,
			.checksum = busp_checksum(at, len),
		};
		bus_arena_reset(arena);
		at += len;
	}
}

static void
kit_dump_log(busp_journal *journal, busp_log *log, kit_log *ret_log)
{
	kit_log got = { .partition = log->partition,
			.start = log->start,
			.end = log->end,
			.damaged = -1 };
	BUS_BUF_AUTO slices = { 0 };
	bus_arena *arena = bus_arena_create(65536);
	size_t cap = 0;
	int64_t offset = log->start;
	snprintf(got.topic, sizeof(got.topic), "%s", log->topic->info.name);
	while (offset < log->end && got.damaged < 0) {
		busp_read read;
		bus_error err = BUS_ERROR_INIT;
		bus_buf_clear(&slices);
		/* small, so that most readings begin inside a chunk */
		if (busp_journal_read(journal, log, offset, 2000, &slices, &offset, &read,
				      &err) != BUS_OK) {
			fprintf(stderr, "journal_kit: reading: %s\n", err.text);
			exit(2);
		}
		busp_reader reader = { .rest = bus_buf_view(&slices) };
		while (reader.rest.len > 0) {
			busp_slice slice = busp_get_slice(&reader);
			if (reader.bad) {
				fprintf(stderr, "journal_kit: no slice\n");
				exit(2);
			}
			kit_take_slice(&got, &slice, &cap, arena);
		}
		if (read == BUSP_READ_DAMAGED) {
			got.damaged = log->damaged_at;
		}
	}
	bus_arena_destroy(arena);
	*ret_log = got;
}

static void
kit_dump_producers(busp_journal *journal, uint64_t producers, bus_buf *to)
{
	for (uint64_t id = 1; id <= producers; id++) {
		for (uint64_t seq = 1; seq <= 12; seq++) {
			bus_str answer = BUS_STR("");
			busp_producer_state state =
				busp_journal_producer(journal, id, seq, &answer);
			bus_buf_printf(to, "%llu/%llu: %d %.*s\n", (unsigned long long)id,
				       (unsigned long long)seq, (int)state,
				       BUS_STR_ARG(answer));
		}
	}
}

static void
kit_dump_cursors(busp_journal *journal, bus_buf *to)
{
	bus_arena *arena = bus_arena_create(4096);
	busp_cursor *cursors;
	size_t count;
	bus_error err = BUS_ERROR_INIT;
	if (busp_journal_cursors(journal, arena, &cursors, &count, &err) != BUS_OK) {
		fprintf(stderr, "journal_kit: cursors: %s\n", err.text);
		exit(2);
	}
	for (size_t i = 0; i < count; i++) {
		bus_buf_printf(to, "%s %s[%d] %lld %lld\n", cursors[i].group,
			       cursors[i].log->topic->info.name,
			       cursors[i].log->partition, (long long)cursors[i].offset,
			       (long long)cursors[i].noted_ms);
	}
	bus_arena_destroy(arena);
}

void
kit_dump_make(busp_journal *journal, uint64_t producers, kit_dump *ret_dump)
{
	kit_dump dump = { 0 };
	size_t cap = 0;
	const busp_topic *topic =
		busp_journal_topic_after(journal, BUS_STR(""), BUS_STR(""));
	while (topic != NULL) {
		const bus_topic_info *info = &topic->info;
		bus_buf_printf(&dump.topics, "%s %d %d %lld %lld %d %d\n", info->name,
			       info->partitions, info->replication,
			       (long long)info->retention_ms,
			       (long long)info->retention_bytes, info->min_isr,
			       topic->sealed);
		for (int32_t i = 0; i < info->partitions; i++) {
			dump.logs = busp_adapter_grow(dump.logs, dump.log_count, &cap,
						      sizeof(dump.logs[0]));
			kit_dump_log(journal, busp_journal_log(topic, i),
				     &dump.logs[dump.log_count++]);
		}
		topic = busp_journal_topic_after(journal, BUS_STR(""),
						 bus_str_from(info->name));
	}
	kit_dump_producers(journal, producers, &dump.producers);
	kit_dump_cursors(journal, &dump.cursors);
	*ret_dump = dump;
}

void
kit_dump_free(kit_dump *dump)
{
	for (size_t i = 0; i < dump->log_count; i++) {
		free(dump->logs[i].records);
	}
	free(dump->logs);
	bus_buf_fini(&dump->topics);
	bus_buf_fini(&dump->producers);
	bus_buf_fini(&dump->cursors);
	*dump = (kit_dump){ 0 };
}

static kit_verdict
kit_log_compare(const kit_log *wanted, const kit_log *got)
{
	bool whole = got->count == wanted->count && got->damaged < 0;
	bool found = got->count < wanted->count &&
		     got->damaged == got->start + (int64_t)got->count;
	if (strcmp(got->topic, wanted->topic) != 0 ||
	    got->partition != wanted->partition || got->start != wanted->start ||
	    got->end != wanted->end || (!whole && !found)) {
		fprintf(stderr,
			"%s[%d]: %lld to %lld, %zu records, damage at %lld; wanted "
			"%lld to %lld, %zu\n",
			got->topic, got->partition, (long long)got->start,
			(long long)got->end, got->count, (long long)got->damaged,
			(long long)wanted->start, (long long)wanted->end, wanted->count);
		return KIT_WRONG;
	}
	for (size_t i = 0; i < got->count; i++) {
		const kit_record *a = &wanted->records[i];
		const kit_record *b = &got->records[i];
		if (a->number != b->number || a->timestamp_ms != b->timestamp_ms ||
		    a->checksum != b->checksum) {
			fprintf(stderr, "%s[%d]: record %zu is another\n", got->topic,
				got->partition, i);
			return KIT_WRONG;
		}
	}
	return whole ? KIT_SAME : KIT_FOUND;
}

kit_verdict
kit_dump_compare(const kit_dump *wanted, const kit_dump *got)
{
	if (!bus_str_eq(bus_buf_view(&wanted->topics), bus_buf_view(&got->topics)) ||
	    !bus_str_eq(bus_buf_view(&wanted->producers), bus_buf_view(&got->producers)) ||
	    !bus_str_eq(bus_buf_view(&wanted->cursors), bus_buf_view(&got->cursors)) ||
	    wanted->log_count != got->log_count) {
		fprintf(stderr, "topics, producers or cursors are others:\n%s%s%s",
			got->topics.data, got->producers.data, got->cursors.data);
		return KIT_WRONG;
	}
	kit_verdict verdict = KIT_SAME;
	for (size_t i = 0; i < got->log_count; i++) {
		kit_verdict one = kit_log_compare(&wanted->logs[i], &got->logs[i]);
		verdict = one > verdict ? one : verdict;
	}
	return verdict;
}

bool
kit_log_holds(busp_journal *journal, busp_log *log, uint64_t first, size_t count)
{
	kit_log got;
	kit_dump_log(journal, log, &got);
	bool same = got.damaged < 0 && got.count == count;
	for (size_t i = 0; i < got.count && same; i++) {
		same = got.records[i].number == first + i;
	}
	free(got.records);
	return same;
}
