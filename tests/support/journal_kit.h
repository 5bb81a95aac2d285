/*
 * journal_kit.h - journals for tests: directories, numbered records, and all that is in one
 */
#ifndef BUS_TEST_JOURNAL_KIT_H
#define BUS_TEST_JOURNAL_KIT_H

#include "broker-adapters/nng/journal.h"

/* ---- directories ---- */

/* New, below a folder of its own in TMPDIR; not made yet. Ends with kit_remove(). */
char *kit_directory(void);
/* The directory and its folder; takes the name. */
void kit_remove_take(char *directory);
/* `to` becomes the same files as `from`; both are of kit_directory(). */
void kit_copy(const char *from, const char *to);
/* Contents of a file of the directory; ends the test if it is not there. */
void kit_file_read(const char *directory, const char *name, bus_buf *ret_content);
void kit_file_write(const char *directory, const char *name, bus_str content);
/* -1: not there */
int64_t kit_file_size(const char *directory, const char *name);
void kit_file_remove(const char *directory, const char *name);
void kit_file_cut(const char *directory, const char *name, int64_t size);

/* ---- journals ---- */

/* Opens, or ends the test with the reason. */
busp_journal *kit_open(const char *directory, const bus_clock *clock);
/* The reason why it does not open; "" if it does (and is closed again). */
void kit_open_refused(const char *directory, char ret_text[BUS_ERROR_TEXT_MAX]);

/* Kept for ever, one copy. */
bus_topic_spec kit_spec(const char *name, int32_t partitions);
const busp_topic *kit_topic(busp_journal *journal, const char *name, int32_t partitions);

/* count records with numbers from first on, of `bytes` bytes of value each, in the open
 * transaction. Returns where they lie; what they are made of lives until kit_made_free(). */
int64_t kit_append(busp_journal *journal, busp_log *log, uint64_t first, uint32_t count,
		   size_t bytes);
/* In a transaction of its own; its status. */
bus_status kit_write(busp_journal *journal, busp_log *log, uint64_t first, uint32_t count,
		     size_t bytes);
void kit_made_free(void);

/* ---- what is in a journal ---- */

typedef struct kit_record {
	uint64_t number; /* as kit_append gave it; UINT64_MAX: not such a record */
	int64_t timestamp_ms;
	uint64_t checksum;
} kit_record;

typedef struct kit_log {
	char topic[BUS_TOPIC_NAME_MAX];
	int32_t partition;
	int64_t start;
	int64_t end;
	int64_t damaged; /* -1: read to the end */
	kit_record *records;
	size_t count;
} kit_log;

typedef struct kit_dump {
	bus_buf topics;    /* all that is said of them, as text */
	bus_buf producers; /* answers to those that were asked for */
	bus_buf cursors;
	kit_log *logs;
	size_t log_count;
} kit_dump;

/* producers: ids 1 .. producers are asked for their sequences 1 .. 12. */
void kit_dump_make(busp_journal *journal, uint64_t producers, kit_dump *ret_dump);
void kit_dump_free(kit_dump *dump);

typedef enum kit_verdict {
	KIT_SAME,  /* every byte that can be asked for */
	KIT_FOUND, /* the same up to damage that is reported where it is */
	KIT_WRONG, /* something else, and nobody said so */
} kit_verdict;

/* Says on stderr what is wrong. */
kit_verdict kit_dump_compare(const kit_dump *wanted, const kit_dump *got);

/* Reads a log by itself; the records' numbers are first, first + 1, ... */
bool kit_log_holds(busp_journal *journal, busp_log *log, uint64_t first, size_t count);

#endif
