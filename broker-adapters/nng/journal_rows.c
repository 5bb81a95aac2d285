/*
 * journal_rows.c - the metadata's rows and their checksums
 */
#include "broker-adapters/nng/journal_private.h"

/* Who was silent for so long is forgotten: its retries are long over. */
#define BUSP_PRODUCER_IDLE_MS ((int64_t)7 * 24 * 3600 * 1000)
#define BUSP_PRODUCERS_MAX 100000u
/* Rows that go in one commit: more than come, and never a long pause. */
#define BUSP_EXPIRE_ROWS_MAX 64

int64_t
busp_row_checksum(busp_journal *journal, busp_table table, const int64_t *numbers,
		  size_t count, bus_str bytes)
{
	bus_buf *row = &journal->scratch;
	bus_buf_clear(row);
	bus_buf_append(row, journal->uuid, BUSP_UUID_BYTES);
	bus_buf_be32(row, (uint32_t)table);
	for (size_t i = 0; i < count; i++) {
		bus_buf_be64(row, (uint64_t)numbers[i]);
	}
	bus_buf_append(row, bytes.data, bytes.len);
	return (int64_t)busp_checksum(row->data, row->len);
}

static void
busp_bind_bytes(sqlite3_stmt *statement, int parameter, bus_str bytes, bool text)
{
	if (text) {
		(void)sqlite3_bind_text(statement, parameter, bytes.data, (int)bytes.len,
					SQLITE_STATIC);
	} else {
		(void)sqlite3_bind_blob(statement, parameter, bytes.data, (int)bytes.len,
					SQLITE_STATIC);
	}
}

bus_status
busp_write_store(busp_journal *journal, bus_error *err)
{
	int64_t numbers[] = {
		(int64_t)journal->boot,
		(int64_t)journal->commits + 1,
		(int64_t)journal->topics.count,
		journal->slots.count > 0 ? (int64_t)journal->slots.count - 1 : 0,
		(int64_t)(journal->producers.count - journal->producers.expired),
		(int64_t)(journal->cursors.stored + journal->cursors.writing),
	};
	int64_t checksum =
		busp_row_checksum(journal, BUSP_T_STORE, numbers, 6, BUS_STR(""));
	sqlite3_stmt *statement = journal->store.queries[BUSP_Q_STORE_WRITE];
	(void)sqlite3_bind_blob(statement, 1, journal->uuid, BUSP_UUID_BYTES,
				SQLITE_STATIC);
	for (int i = 0; i < 6; i++) {
		(void)sqlite3_bind_int64(statement, i + 2, numbers[i]);
	}
	(void)sqlite3_bind_int64(statement, 8, checksum);
	return busp_store_run(&journal->store, BUSP_Q_STORE_WRITE, "counting a commit",
			      err);
}

bus_status
busp_write_topic(busp_journal *journal, const busp_topic *topic, bool sealed,
		 bus_error *err)
{
	const bus_topic_info *info = &topic->info;
	int64_t numbers[] = {
		topic->logs[0].number,
		info->partitions,
		info->replication,
		info->retention_ms,
		info->retention_bytes,
		info->min_isr,
		sealed,
	};
	bus_str name = bus_str_from(info->name);
	int64_t checksum = busp_row_checksum(journal, BUSP_T_TOPIC, numbers, 7, name);
	sqlite3_stmt *statement =
		busp_store_bind(&journal->store, BUSP_Q_TOPIC_WRITE, numbers, 7);
	busp_bind_bytes(statement, 8, name, true);
	(void)sqlite3_bind_int64(statement, 9, checksum);
	return busp_store_run(&journal->store, BUSP_Q_TOPIC_WRITE, "writing a topic", err);
}

bus_status
busp_write_log(busp_journal *journal, busp_query query, const busp_touched *touched,
	       bus_error *err)
{
	int64_t numbers[6] = { touched->log->number, touched->start, touched->end,
			       touched->last_ms, touched->bytes };
	numbers[5] = busp_row_checksum(journal, BUSP_T_LOG, numbers, 5, BUS_STR(""));
	(void)busp_store_bind(&journal->store, query, numbers, 6);
	return busp_store_run(&journal->store, query, "writing a partition's row", err);
}

static bus_status
busp_write_producer(busp_journal *journal, const busp_producer *producer, bus_error *err)
{
	int64_t numbers[] = { (int64_t)producer->id, producer->used_ms };
	bus_str answers = bus_buf_view(&producer->answers);
	int64_t checksum =
		busp_row_checksum(journal, BUSP_T_PRODUCER, numbers, 2, answers);
	sqlite3_stmt *statement =
		busp_store_bind(&journal->store, BUSP_Q_PRODUCER_WRITE, numbers, 2);
	busp_bind_bytes(statement, 3, answers, false);
	(void)sqlite3_bind_int64(statement, 4, checksum);
	return busp_store_run(&journal->store, BUSP_Q_PRODUCER_WRITE,
			      "remembering a producer", err);
}

/* Expired rows go; the producers themselves leave the memory when that is committed. */
static bus_status
busp_expire_producers(busp_journal *journal, bus_error *err)
{
	busp_producers *producers = &journal->producers;
	busp_producer *oldest = producers->oldest;
	while (oldest != NULL && !oldest->changed &&
	       producers->expired < BUSP_EXPIRE_ROWS_MAX &&
	       (producers->count - producers->expired > BUSP_PRODUCERS_MAX ||
		oldest->used_ms < journal->now_ms - BUSP_PRODUCER_IDLE_MS)) {
		int64_t id = (int64_t)oldest->id;
		(void)busp_store_bind(&journal->store, BUSP_Q_PRODUCER_DELETE, &id, 1);
		bus_status status =
			busp_store_run(&journal->store, BUSP_Q_PRODUCER_DELETE,
				       "forgetting a producer", err);
		if (status != BUS_OK) {
			return status;
		}
		producers->expired++;
		oldest = oldest->newer;
	}
	return BUS_OK;
}

bus_status
busp_write_producers(busp_journal *journal, bus_error *err)
{
	const busp_producers *producers = &journal->producers;
	for (size_t i = 0; i < producers->changed_count; i++) {
		bus_status status =
			busp_write_producer(journal, producers->changed[i], err);
		if (status != BUS_OK) {
			return status;
		}
	}
	return producers->changed_count > 0 ? busp_expire_producers(journal, err) :
					      BUS_OK;
}

static bus_status
busp_write_cursor(busp_journal *journal, const busp_cursor_row *row, bus_error *err)
{
	int64_t numbers[] = { row->log->number, row->offset, row->noted_ms };
	bus_str group = bus_str_from(row->group);
	int64_t checksum = busp_row_checksum(journal, BUSP_T_CURSOR, numbers, 3, group);
	sqlite3_stmt *statement = journal->store.queries[BUSP_Q_CURSOR_WRITE];
	busp_bind_bytes(statement, 1, group, true);
	for (int i = 0; i < 3; i++) {
		(void)sqlite3_bind_int64(statement, i + 2, numbers[i]);
	}
	(void)sqlite3_bind_int64(statement, 5, checksum);
	return busp_store_run(&journal->store, BUSP_Q_CURSOR_WRITE, "writing a cursor",
			      err);
}

bus_status
busp_write_cursors(busp_journal *journal, bus_error *err)
{
	busp_cursors *cursors = &journal->cursors;
	cursors->writing = 0;
	for (size_t i = 0; i < cursors->count; i++) {
		busp_cursor_row *row = &cursors->rows[i];
		if (!row->changed) {
			continue;
		}
		bus_status status = busp_write_cursor(journal, row, err);
		if (status != BUS_OK) {
			return status;
		}
		cursors->writing += row->stored ? 0 : 1;
	}
	return BUS_OK;
}
