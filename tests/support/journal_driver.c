/*
 * journal_driver.c - the journal of the embedded broker, driven from a script
 *
 * usage: journal_driver append DIRECTORY FIRST   appends batches of events with numbers from
 *            FIRST on for ever; a line "partition offset number count" after each commit
 *        journal_driver read DIRECTORY           a line "partition offset number" for each
 *            event; ends with 1 if anything cannot be read
 * A value is its number, spaces, and as many dots as the number says: nothing but the
 * number is needed to know it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker-adapters/nng/journal.h"

#define PARTITIONS 4

static char value[1100];

static size_t
make_value(uint64_t number)
{
	size_t dots = number * 7919 % 1000;
	int len = snprintf(value, sizeof(value), "%llu ", (unsigned long long)number);
	memset(value + len, '.', dots);
	return (size_t)len + dots;
}

static int
fail(const char *doing, const bus_error *err)
{
	fprintf(stderr, "journal_driver: %s: %s\n", doing, err->text);
	return 1;
}

static const busp_topic *
topic_of(busp_journal *journal, bus_error *err)
{
	const busp_topic *topic = busp_journal_topic(journal, BUS_STR("t"));
	bus_topic_spec spec = { .name = "t",
				.partitions = PARTITIONS,
				.replication = 1,
				.min_isr = 1,
				.retention_ms = -1 };
	if (topic == NULL &&
	    busp_journal_topic_make(journal, &spec, &topic, err) != BUS_OK) {
		return NULL;
	}
	return topic;
}

/* One commit: some partitions, some events each. False: it failed. */
static bool
append_once(busp_journal *journal, const busp_topic *topic, uint64_t *number,
	    bus_error *err)
{
	struct {
		int64_t base;
		uint64_t first;
		uint32_t count;
	} said[PARTITIONS] = { 0 };
	busp_batch_maker makers[PARTITIONS] = { 0 };
	busp_journal_begin(journal);
	for (int32_t p = 0; p < PARTITIONS; p++) {
		uint32_t count = (uint32_t)((*number + (uint64_t)p) % 5);
		int64_t time_ms;
		if (count == 0) {
			continue;
		}
		said[p].first = *number;
		said[p].count = count;
		for (uint32_t i = 0; i < count; i++, (*number)++) {
			size_t len = make_value(*number);
			busp_batch_add(&makers[p],
				       &(bus_record){ .value = { value, len } });
		}
		busp_batch batch = { count, bus_buf_view(&makers[p].directory),
				     bus_buf_view(&makers[p].bodies) };
		busp_journal_append(journal, busp_journal_log(topic, p), &batch,
				    &said[p].base, &time_ms);
	}
	bool done = busp_journal_commit(journal, err) == BUS_OK;
	char text[512];
	size_t len = 0;
	for (int32_t p = 0; p < PARTITIONS; p++) {
		if (done && said[p].count > 0) {
			len += (size_t)snprintf(text + len, sizeof(text) - len,
						"%d %lld %llu %u\n", p,
						(long long)said[p].base,
						(unsigned long long)said[p].first,
						said[p].count);
		}
		busp_batch_fini(&makers[p]);
	}
	/* one write: whoever reads it has a commit whole or not at all */
	return done && write(STDOUT_FILENO, text, len) == (ssize_t)len;
}

static int
append(busp_journal *journal, uint64_t number)
{
	bus_error err = BUS_ERROR_INIT;
	const busp_topic *topic = topic_of(journal, &err);
	while (topic != NULL && append_once(journal, topic, &number, &err)) {
	}
	return fail("appending", &err);
}

static bool
print_slice(int32_t partition, const busp_slice *slice)
{
	const char *at = slice->batch.bodies.data;
	bus_arena *arena = bus_arena_create(4096);
	bool good = true;
	for (uint32_t i = 0; i < slice->batch.count && good; i++) {
		bus_record record = { 0 };
		bus_error err = BUS_ERROR_INIT;
		uint32_t len = busp_batch_length(&slice->batch, i);
		good = busp_get_record((bus_str){ at, len }, arena, &record, &err) ==
		       BUS_OK;
		uint64_t number = good ? strtoull(record.value.data, NULL, 10) : 0;
		good = good &&
		       bus_str_eq(record.value, (bus_str){ value, make_value(number) });
		printf("%d %lld %llu\n", partition, (long long)(slice->base + i),
		       (unsigned long long)number);
		at += len;
	}
	bus_arena_destroy(arena);
	return good;
}

static bool
read_log(busp_journal *journal, busp_log *log)
{
	BUS_BUF_AUTO slices = { 0 };
	int64_t offset = log->start;
	while (offset < log->end) {
		busp_read read;
		bus_error err = BUS_ERROR_INIT;
		bus_buf_clear(&slices);
		if (busp_journal_read(journal, log, offset, 1 << 20, &slices, &offset,
				      &read, &err) != BUS_OK ||
		    read != BUSP_READ_OK) {
			fprintf(stderr, "journal_driver: [%d] at %lld: %s\n",
				log->partition, (long long)offset, err.text);
			return false;
		}
		busp_reader reader = { .rest = bus_buf_view(&slices) };
		while (reader.rest.len > 0) {
			busp_slice slice = busp_get_slice(&reader);
			if (reader.bad || !print_slice(log->partition, &slice)) {
				fprintf(stderr, "journal_driver: another value\n");
				return false;
			}
		}
	}
	return true;
}

static int
read_all(busp_journal *journal)
{
	bus_error err = BUS_ERROR_INIT;
	const busp_topic *topic = topic_of(journal, &err);
	if (topic == NULL) {
		return fail("reading", &err);
	}
	for (int32_t p = 0; p < PARTITIONS; p++) {
		if (!read_log(journal, busp_journal_log(topic, p))) {
			return 1;
		}
	}
	return 0;
}

int
main(int argc, char **argv)
{
	busp_journal *journal = NULL;
	bus_error err = BUS_ERROR_INIT;
	bool appends = argc == 4 && strcmp(argv[1], "append") == 0;
	if (!appends && (argc != 3 || strcmp(argv[1], "read") != 0)) {
		fputs("usage: journal_driver append DIRECTORY FIRST | read DIRECTORY\n",
		      stderr);
		return 2;
	}
	if (busp_journal_open(argv[2], bus_clock_system(), &journal, &err) != BUS_OK) {
		return fail("opening", &err);
	}
	int code = appends ? append(journal, strtoull(argv[3], NULL, 10)) :
			     read_all(journal);
	busp_journal_close(journal);
	return code;
}
