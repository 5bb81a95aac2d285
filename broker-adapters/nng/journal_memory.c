/*
 * journal_memory.c - producers and cursors, as they are between two commits
 *
 * DESIGN
 * Both are held in memory whole, since the answer to "was this appended?" may not wait
 * for the disk: at most 100,000 producers of a few hundred bytes. Producers hang in a hash
 * table and in a list from the oldest use to the newest. What the open transaction changes
 * keeps its former answers until the commit, or for the rollback.
 */
#include "broker-adapters/nng/journal_private.h"

#include <stdlib.h>

#define BUSP_ANSWER_HEAD 12 /* be64 sequence, be32 length */

/* ---- producers ---- */

static size_t
busp_bucket(const busp_producers *producers, uint64_t id)
{
	/* ids are random, but who sends them may choose */
	return busp_checksum(&id, sizeof(id)) % producers->bucket_count;
}

busp_producer *
busp_producer_find(const busp_producers *producers, uint64_t id)
{
	if (producers->bucket_count == 0) {
		return NULL;
	}
	busp_producer *at = producers->buckets[busp_bucket(producers, id)];
	while (at != NULL && at->id != id) {
		at = at->next;
	}
	return at;
}

static void
busp_producers_rehash(busp_producers *producers)
{
	size_t count = producers->bucket_count == 0 ? 1024 : producers->bucket_count * 2;
	free(producers->buckets);
	producers->buckets = busp_adapter_alloc(count, sizeof(producers->buckets[0]));
	producers->bucket_count = count;
	for (busp_producer *p = producers->oldest; p != NULL; p = p->newer) {
		size_t bucket = busp_bucket(producers, p->id);
		p->next = producers->buckets[bucket];
		producers->buckets[bucket] = p;
	}
}

static void
busp_producer_unlink(busp_producers *producers, busp_producer *producer)
{
	if (producer->older != NULL) {
		producer->older->newer = producer->newer;
	} else {
		producers->oldest = producer->newer;
	}
	if (producer->newer != NULL) {
		producer->newer->older = producer->older;
	} else {
		producers->newest = producer->older;
	}
	producer->older = producer->newer = NULL;
}

static void
busp_producer_link_newest(busp_producers *producers, busp_producer *producer)
{
	producer->older = producers->newest;
	producer->newer = NULL;
	if (producers->newest != NULL) {
		producers->newest->newer = producer;
	} else {
		producers->oldest = producer;
	}
	producers->newest = producer;
}

static busp_producer *
busp_producer_add(busp_producers *producers, uint64_t id, int64_t used_ms)
{
	if (producers->count >= producers->bucket_count) {
		busp_producers_rehash(producers);
	}
	busp_producer *producer = busp_adapter_alloc(1, sizeof(*producer));
	size_t bucket = busp_bucket(producers, id);
	producer->id = id;
	producer->used_ms = used_ms;
	producer->next = producers->buckets[bucket];
	producers->buckets[bucket] = producer;
	busp_producer_link_newest(producers, producer);
	producers->count++;
	return producer;
}

void
busp_producer_remove(busp_producers *producers, busp_producer *producer)
{
	busp_producer **at = &producers->buckets[busp_bucket(producers, producer->id)];
	while (*at != producer) {
		at = &(*at)->next;
	}
	*at = producer->next;
	busp_producer_unlink(producers, producer);
	producers->count--;
	bus_buf_fini(&producer->answers);
	bus_buf_fini(&producer->was_answers);
	free(producer);
}

/* Takes one remembered answer from the front. */
static bool
busp_answer_take(busp_reader *reader, uint64_t *ret_seq, bus_str *ret_answer)
{
	*ret_seq = busp_get_u64(reader);
	*ret_answer = busp_get_bytes(reader, busp_get_u32(reader));
	return !reader->bad;
}

bool
busp_producer_load(busp_producers *producers, uint64_t id, int64_t used_ms,
		   bus_str answers)
{
	busp_reader reader = { .rest = answers };
	uint64_t last = 0;
	size_t count = 0;
	while (reader.rest.len > 0) {
		uint64_t seq;
		bus_str answer;
		if (!busp_answer_take(&reader, &seq, &answer) || seq == 0 ||
		    (count > 0 && seq != last + 1)) {
			return false;
		}
		last = seq;
		count++;
	}
	if (count == 0 || count > BUSP_PRODUCER_RESULTS ||
	    busp_producer_find(producers, id) != NULL) {
		return false;
	}
	busp_producer *producer = busp_producer_add(producers, id, used_ms);
	bus_buf_str(&producer->answers, answers);
	return true;
}

bus_str
busp_producer_answer_to(const busp_producer *producer, uint64_t seq, uint64_t *ret_last)
{
	busp_reader reader = { .rest = bus_buf_view(&producer->answers) };
	bus_str found = BUS_STR_NULL;
	*ret_last = 0;
	while (reader.rest.len > 0) {
		bus_str answer;
		(void)busp_answer_take(&reader, ret_last, &answer);
		if (*ret_last == seq) {
			found = answer;
		}
	}
	return found;
}

/* The first change in a transaction puts the former answers aside. */
static void
busp_producer_change(busp_producers *producers, busp_producer *producer)
{
	if (producer->changed) {
		return;
	}
	producer->changed = true;
	producer->was_used_ms = producer->used_ms;
	bus_buf_clear(&producer->was_answers);
	bus_buf_str(&producer->was_answers, bus_buf_view(&producer->answers));
	producers->changed =
		busp_adapter_grow(producers->changed, producers->changed_count,
				  &producers->changed_cap, sizeof(producers->changed[0]));
	producers->changed[producers->changed_count++] = producer;
}

/* Drops the oldest answer when there are as many as are kept. */
static void
busp_answers_make_room(bus_buf *answers)
{
	busp_reader reader = { .rest = bus_buf_view(answers) };
	size_t first = 0;
	size_t count = 0;
	while (reader.rest.len > 0) {
		uint64_t seq;
		bus_str answer;
		(void)busp_answer_take(&reader, &seq, &answer);
		first = count == 0 ? BUSP_ANSWER_HEAD + answer.len : first;
		count++;
	}
	if (count == BUSP_PRODUCER_RESULTS) {
		answers->len -= first;
		memmove(answers->data, answers->data + first, answers->len);
	}
}

void
busp_producer_remember(busp_producers *producers, uint64_t id, int64_t now_ms,
		       uint64_t seq, bus_str answer)
{
	busp_producer *producer = busp_producer_find(producers, id);
	if (producer == NULL) {
		producer = busp_producer_add(producers, id, now_ms);
		producer->fresh = true;
	}
	busp_producer_change(producers, producer);
	producer->used_ms = now_ms;
	busp_producer_unlink(producers, producer);
	busp_producer_link_newest(producers, producer);
	busp_answers_make_room(&producer->answers);
	bus_buf_be64(&producer->answers, seq);
	bus_buf_be32(&producer->answers, (uint32_t)answer.len);
	bus_buf_str(&producer->answers, answer);
}

void
busp_producers_keep(busp_producers *producers)
{
	for (size_t i = 0; i < producers->changed_count; i++) {
		producers->changed[i]->changed = false;
		producers->changed[i]->fresh = false;
	}
	producers->changed_count = 0;
	for (; producers->expired > 0; producers->expired--) {
		busp_producer_remove(producers, producers->oldest);
	}
}

void
busp_producers_undo(busp_producers *producers)
{
	for (size_t i = 0; i < producers->changed_count; i++) {
		busp_producer *producer = producers->changed[i];
		if (producer->fresh) {
			busp_producer_remove(producers, producer);
			continue;
		}
		bus_buf now = producer->answers;
		producer->answers = producer->was_answers;
		producer->was_answers = now;
		producer->used_ms = producer->was_used_ms;
		producer->changed = false;
	}
	producers->changed_count = 0;
	producers->expired = 0;
}

void
busp_producers_fini(busp_producers *producers)
{
	while (producers->oldest != NULL) {
		busp_producer_remove(producers, producers->oldest);
	}
	free(producers->buckets);
	free(producers->changed);
	*producers = (busp_producers){ 0 };
}

/* ---- cursors ---- */

/* Of all groups: more than any platform on one machine has. */
#define BUSP_CURSORS_MAX 65536u

static int
busp_cursor_order(const busp_cursor_row *row, bus_str group, const busp_log *log)
{
	size_t len = strlen(row->group);
	int order = memcmp(row->group, group.data, len < group.len ? len : group.len);
	if (order == 0) {
		order = (len > group.len) - (len < group.len);
	}
	if (order == 0) {
		order = strcmp(row->log->topic->info.name, log->topic->info.name);
	}
	return order != 0 ? order :
			    (row->log->partition > log->partition) -
				    (row->log->partition < log->partition);
}

bool
busp_cursor_find(const busp_cursors *cursors, bus_str group, const busp_log *log,
		 size_t *ret_place)
{
	size_t low = 0;
	size_t high = cursors->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = busp_cursor_order(&cursors->rows[middle], group, log);
		if (order == 0) {
			*ret_place = middle;
			return true;
		}
		if (order < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	*ret_place = low;
	return false;
}

busp_cursor_row *
busp_cursor_insert(busp_cursors *cursors, size_t place, bus_str group, busp_log *log)
{
	/* A hint for tools is not worth an end: who comes too late has no cursor. */
	if (cursors->count >= BUSP_CURSORS_MAX) {
		return NULL;
	}
	cursors->rows = busp_adapter_grow(cursors->rows, cursors->count, &cursors->cap,
					  sizeof(cursors->rows[0]));
	memmove(&cursors->rows[place + 1], &cursors->rows[place],
		(cursors->count - place) * sizeof(cursors->rows[0]));
	cursors->count++;
	char *name = busp_adapter_alloc(group.len + 1, 1);
	memcpy(name, group.data, group.len);
	cursors->rows[place] = (busp_cursor_row){ .group = name, .log = log };
	return &cursors->rows[place];
}

void
busp_cursors_fini(busp_cursors *cursors)
{
	for (size_t i = 0; i < cursors->count; i++) {
		free(cursors->rows[i].group);
	}
	free(cursors->rows);
	*cursors = (busp_cursors){ 0 };
}
