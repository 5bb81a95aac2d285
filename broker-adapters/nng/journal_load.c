/*
 * journal_load.c - the metadata as it is read when the journal is opened
 *
 * DESIGN
 * Every row has a checksum, and the store's own row says how many there are of each kind:
 * one that is damaged, moved here from another store or gone is told. Whoever opens to
 * serve refuses at the first such finding; whoever checks goes on with the rest.
 */
#include "broker-adapters/nng/journal_private.h"

#include <stdio.h>
#include <stdlib.h>

void
busp_found(const busp_findings *findings, const busp_log *log, int64_t offset,
	   const char *fmt, ...)
{
	char what[BUS_ERROR_TEXT_MAX];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	findings->found(findings->ctx,
			&(bus_broker_damage){
				.topic = log != NULL ? log->topic->info.name : "",
				.partition = log != NULL ? log->partition : -1,
				.offset = offset,
				.what = what,
			});
}

/* A table being read. */
typedef struct busp_table_read {
	busp_query query;
	busp_table table;
	const char *what; /* one of its rows */
	int number_count; /* columns in front, which are numbers */
	int bytes_column; /* -1: none */
	int checksum_column;
	/* takes one row; false: it contradicts the others */
	bool (*take)(busp_journal *journal, const int64_t *numbers, bus_str bytes);
} busp_table_read;

#define BUSP_NUMBERS_MAX 8

/* The columns of one row, in the order in which its checksum has them. */
static bool
busp_load_row(busp_journal *journal, const busp_table_read *read, sqlite3_stmt *query)
{
	int64_t numbers[BUSP_NUMBERS_MAX];
	int number = 0;
	for (int column = 0; number < read->number_count; column++) {
		if (column != read->bytes_column) {
			numbers[number++] = sqlite3_column_int64(query, column);
		}
	}
	bus_str bytes = read->bytes_column < 0 ?
				BUS_STR("") :
				busp_column_bytes(query, read->bytes_column);
	int64_t checksum = sqlite3_column_int64(query, read->checksum_column);
	return checksum == busp_row_checksum(journal, read->table, numbers,
					     (size_t)read->number_count, bytes) &&
	       read->take(journal, numbers, bytes);
}

static bus_status
busp_load_table(busp_journal *journal, const busp_table_read *read, int64_t expected,
		const busp_findings *findings, bus_error *err)
{
	sqlite3_stmt *query = journal->store.queries[read->query];
	int64_t row = 0;
	int code;
	while ((code = sqlite3_step(query)) == SQLITE_ROW) {
		row++;
		if (!busp_load_row(journal, read, query)) {
			busp_found(findings, NULL, -1,
				   "the row of %s is damaged (row %lld)", read->what,
				   (long long)row);
		}
	}
	bus_status status = BUS_OK;
	if (busp_store_is_damage(code)) {
		busp_found(findings, NULL, -1, "the rows of %ss cannot be read: %s",
			   read->what, sqlite3_errmsg(journal->store.db));
	} else if (code != SQLITE_DONE) {
		status = busp_store_failed(&journal->store, code, read->what, err);
	} else if (row != expected) {
		busp_found(findings, NULL, -1, "there are %lld rows of %ss, not %lld",
			   (long long)row, read->what, (long long)expected);
	}
	(void)sqlite3_reset(query);
	return status;
}

static bool
busp_take_topic(busp_journal *journal, const int64_t *numbers, bus_str name)
{
	bus_topic_info info = {
		.partitions = (int32_t)numbers[1],
		.replication = (int32_t)numbers[2],
		.retention_ms = numbers[3],
		.retention_bytes = numbers[4],
		.min_isr = (int32_t)numbers[5],
	};
	if (numbers[0] != (int64_t)journal->slots.count || numbers[1] < 1 ||
	    numbers[1] > BUS_PARTITIONS_MAX || name.len == 0 ||
	    name.len >= sizeof(info.name)) {
		return false;
	}
	memcpy(info.name, name.data, name.len);
	busp_topic *topic = busp_topic_create(&info, (uint32_t)numbers[0]);
	topic->sealed = numbers[6] != 0;
	busp_topic_add(journal, topic);
	return true;
}

static bool
busp_take_log(busp_journal *journal, const int64_t *numbers, bus_str none)
{
	(void)none;
	if (numbers[0] < 1 || numbers[0] >= (int64_t)journal->slots.count ||
	    numbers[1] < 0 || numbers[2] < numbers[1] || numbers[2] >= BUSP_OFFSET_MAX) {
		return false;
	}
	busp_log *log = journal->slots.at[numbers[0]].log;
	log->start = numbers[1];
	log->end = numbers[2];
	log->last_ms = numbers[3];
	log->bytes = numbers[4];
	return true;
}

static bool
busp_take_producer(busp_journal *journal, const int64_t *numbers, bus_str answers)
{
	return busp_producer_load(&journal->producers, (uint64_t)numbers[0], numbers[1],
				  answers);
}

static bool
busp_take_cursor(busp_journal *journal, const int64_t *numbers, bus_str group)
{
	size_t place;
	if (numbers[0] < 1 || numbers[0] >= (int64_t)journal->slots.count) {
		return false;
	}
	busp_log *log = journal->slots.at[numbers[0]].log;
	if (memchr(group.data, 0, group.len) != NULL ||
	    busp_cursor_find(&journal->cursors, group, log, &place)) {
		return false;
	}
	busp_cursor_row *row = busp_cursor_insert(&journal->cursors, place, group, log);
	if (row != NULL) {
		row->offset = numbers[1];
		row->noted_ms = numbers[2];
		row->stored = true;
	}
	return row != NULL;
}

/* In the order in which they need each other. */
static const busp_table_read busp_tables[] = {
	{ BUSP_Q_TOPIC_READ, BUSP_T_TOPIC, "topic", 7, 7, 8, busp_take_topic },
	{ BUSP_Q_LOG_READ, BUSP_T_LOG, "partition", 5, -1, 5, busp_take_log },
	{ BUSP_Q_PRODUCER_READ, BUSP_T_PRODUCER, "producer", 2, 2, 3, busp_take_producer },
	{ BUSP_Q_CURSOR_READ, BUSP_T_CURSOR, "cursor", 3, 0, 4, busp_take_cursor },
};
#define BUSP_TABLES (sizeof(busp_tables) / sizeof(busp_tables[0]))

/* uuid, boot, commits, and how many rows the tables have. */
static bool
busp_take_store(busp_journal *journal, sqlite3_stmt *query, int64_t ret_counts[4])
{
	int64_t numbers[6];
	bus_str uuid = busp_column_bytes(query, 0);
	if (uuid.len != BUSP_UUID_BYTES) {
		return false;
	}
	memcpy(journal->uuid, uuid.data, BUSP_UUID_BYTES);
	for (int i = 0; i < 6; i++) {
		numbers[i] = sqlite3_column_int64(query, i + 1);
	}
	journal->boot = (uint32_t)numbers[0];
	journal->commits = (uint64_t)numbers[1];
	memcpy(ret_counts, numbers + 2, 4 * sizeof(numbers[0]));
	return sqlite3_column_int64(query, 7) ==
	       busp_row_checksum(journal, BUSP_T_STORE, numbers, 6, BUS_STR(""));
}

static bus_status
busp_load_store(busp_journal *journal, const busp_findings *findings, bool *ret_loaded,
		int64_t ret_counts[4], bus_error *err)
{
	sqlite3_stmt *query = journal->store.queries[BUSP_Q_STORE_READ];
	int code = sqlite3_step(query);
	bus_status status = BUS_OK;
	*ret_loaded = false;
	if (code == SQLITE_ROW) {
		*ret_loaded = busp_take_store(journal, query, ret_counts);
	} else if (code != SQLITE_DONE && !busp_store_is_damage(code)) {
		status = busp_store_failed(&journal->store, code, "the store's row", err);
	}
	(void)sqlite3_reset(query);
	if (status == BUS_OK && !*ret_loaded) {
		busp_found(findings, NULL, -1, "the store's own row is damaged");
	}
	return status;
}

bus_status
busp_journal_load(busp_journal *journal, const busp_findings *findings, bus_error *err)
{
	bool loaded;
	int64_t counts[BUSP_TABLES] = { 0 };
	bus_status status = busp_load_store(journal, findings, &loaded, counts, err);
	for (size_t i = 0; i < BUSP_TABLES && status == BUS_OK && loaded; i++) {
		status = busp_load_table(journal, &busp_tables[i], counts[i], findings,
					 err);
	}
	journal->cursors.stored = journal->cursors.count;
	return status;
}

void
busp_mark_compare(const busp_journal *journal, const busp_mark_content *mark,
		  const busp_findings *findings)
{
	if (!mark->present) {
		return;
	}
	if (!mark->valid) {
		busp_found(findings, NULL, -1,
			   "%s is damaged: it cannot be told if the store is the newest. "
			   "If it is, remove %s",
			   BUSP_MARK_FILE, BUSP_MARK_FILE);
	} else if (memcmp(mark->uuid, journal->uuid, BUSP_UUID_BYTES) != 0) {
		busp_found(findings, NULL, -1, "%s is of another store than %s",
			   BUSP_MARK_FILE, BUSP_STORE_FILE);
	} else if (mark->commits > journal->commits) {
		busp_found(findings, NULL, -1,
			   "the store is older than what was acknowledged (commit %llu, "
			   "mark %llu): an old copy, or its write-ahead log is missing. "
			   "Put the newest %s and %s back; to go on without what was "
			   "acknowledged since, remove %s",
			   (unsigned long long)journal->commits,
			   (unsigned long long)mark->commits, BUSP_STORE_FILE,
			   BUSP_WAL_FILE, BUSP_MARK_FILE);
	}
}

/* The first chunk or, from the other end, the last one: where it begins and ends. False:
 * there is none that can be read. */
static bus_status
busp_log_edge(busp_journal *journal, const busp_log *log, bool last, int64_t *ret_begin,
	      int64_t *ret_end, bus_error *err)
{
	busp_query which = last ? BUSP_Q_CHUNK_AT : BUSP_Q_CHUNK_HEADS;
	int64_t places[] = { busp_place(log->number, last ? BUSP_OFFSET_MAX : 0),
			     busp_place(log->number, last ? 0 : BUSP_OFFSET_MAX) };
	sqlite3_stmt *query = busp_store_bind(&journal->store, which, places, 2);
	int code = sqlite3_step(query);
	bus_status status = BUS_OK;
	*ret_begin = *ret_end = -1;
	if (code == SQLITE_ROW) {
		busp_chunk chunk;
		int64_t place = sqlite3_column_int64(query, 0);
		bus_str head = busp_column_bytes(query, last ? 1 : 2);
		*ret_begin = *ret_end = busp_place_offset(place);
		if (busp_chunk_parse(journal, log, place, head, &chunk) == NULL) {
			*ret_end = chunk.base + chunk.batch.count;
		}
	} else if (code != SQLITE_DONE && !busp_store_is_damage(code)) {
		status = busp_store_failed(&journal->store, code, "a partition's chunks",
					   err);
	}
	(void)sqlite3_reset(query);
	return status;
}

bus_status
busp_log_compare(busp_journal *journal, busp_log *log, const busp_findings *findings,
		 bus_error *err)
{
	int64_t first;
	int64_t first_end;
	int64_t last;
	int64_t last_end;
	bus_status status = busp_log_edge(journal, log, false, &first, &first_end, err);
	if (status == BUS_OK) {
		status = busp_log_edge(journal, log, true, &last, &last_end, err);
	}
	if (status != BUS_OK) {
		return status;
	}
	if (last >= log->end || last_end > log->end) {
		busp_found(findings, log, -1,
			   "the partition's row says that it ends at %lld, and there are "
			   "records to %lld",
			   (long long)log->end,
			   (long long)(last_end > last ? last_end : last + 1));
		return BUS_OK;
	}
	if (log->start < log->end && (first < 0 || first > log->start)) {
		busp_log_damaged(log, log->start);
	}
	if (log->start < log->end && last_end < log->end) {
		busp_log_damaged(log, last_end < 0 ? log->start : last_end);
	}
	return BUS_OK;
}
