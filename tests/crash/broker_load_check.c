/*
 * broker_load_check.c - what a record must be, and whether a log is right
 */
#include "tests/crash/broker_load.h"

#include <endian.h>

/* Who wrote it, in one word that is never 0. */
#define WORD(content) ((uint64_t)((content)->producer + 1) << 48 | (content)->number)

uint64_t
load_chance(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

size_t
load_value(const load_content *content, char *value)
{
	uint32_t producer = htobe32(content->producer);
	uint32_t partition = htobe32(content->partition);
	uint64_t number = htobe64(content->number);
	memcpy(value, &producer, 4);
	memcpy(value + 4, &partition, 4);
	memcpy(value + 8, &number, 8);
	uint64_t state = WORD(content) ^ (uint64_t)content->partition << 40;
	size_t len = LOAD_HEAD_BYTES +
		     load_chance(&state) % (LOAD_VALUE_MAX - LOAD_HEAD_BYTES + 1);
	for (size_t at = LOAD_HEAD_BYTES; at < len; at += 8) {
		uint64_t word = load_chance(&state);
		memcpy(value + at, &word, len - at < 8 ? len - at : 8);
	}
	return len;
}

load_content
load_read(const bus_delivery *delivery)
{
	const bus_str value = delivery->record.value;
	char expected[LOAD_VALUE_MAX];
	load_content content = { 0 };
	uint64_t number = 0;
	if (value.len >= LOAD_HEAD_BYTES) {
		memcpy(&content.producer, value.data, 4);
		memcpy(&content.partition, value.data + 4, 4);
		memcpy(&number, value.data + 8, 8);
		content.producer = be32toh(content.producer);
		content.partition = be32toh(content.partition);
		content.number = be64toh(number);
	}
	if (content.number >= LOAD_NUMBERS_MAX ||
	    content.producer >= LOAD_PRODUCERS_MAX ||
	    content.partition != (uint32_t)delivery->partition ||
	    load_value(&content, expected) != value.len ||
	    memcmp(expected, value.data, value.len) != 0 ||
	    !bus_str_eq(delivery->record.key, BUS_STR("load"))) {
		load_wrong("partition %d@%lld holds bytes that nobody sent there",
			   delivery->partition, (long long)delivery->offset);
	}
	return content;
}

static uint64_t
word_producer(uint64_t word)
{
	return (word >> 48) - 1;
}

static uint64_t
word_number(uint64_t word)
{
	return word & 0xffffffffffff;
}

static void
check_lost(int32_t partition, int64_t offset, uint64_t acknowledged, uint64_t other,
	   const char *how)
{
	if (acknowledged == 0 || other == 0 || acknowledged == other) {
		return;
	}
	load_wrong("lost: producer %llu number %llu was acknowledged at partition %d@%lld, "
		   "where producer %llu number %llu %s",
		   (unsigned long long)word_producer(acknowledged),
		   (unsigned long long)word_number(acknowledged), partition,
		   (long long)offset, (unsigned long long)word_producer(other),
		   (unsigned long long)word_number(other), how);
}

static void
check_offset(int64_t offset)
{
	if (offset >= LOAD_OFFSETS_MAX) {
		load_wrong("more offsets than this program can remember");
	}
}

void
load_acknowledged(load *l, int64_t offset, const load_content *content)
{
	int32_t p = (int32_t)content->partition;
	check_offset(offset);
	uint64_t before = atomic_exchange(&l->told[p][offset], WORD(content));
	check_lost(p, offset, before, WORD(content), "was acknowledged, too");
	check_lost(p, offset, WORD(content), l->seen[p][offset], "was read");
}

void
load_remember(load *l, const bus_delivery *delivery, const load_content *content)
{
	check_offset(delivery->offset);
	int32_t p = delivery->partition;
	uint64_t word = WORD(content);
	uint64_t first = 0;
	if (!atomic_compare_exchange_strong(&l->seen[p][delivery->offset], &first, word) &&
	    first != word) {
		load_wrong("partition %d@%lld: producer %u number %llu, and before it was "
			   "producer %llu number %llu",
			   p, (long long)delivery->offset, content->producer,
			   (unsigned long long)content->number,
			   (unsigned long long)word_producer(first),
			   (unsigned long long)word_number(first));
	}
	check_lost(p, delivery->offset, l->told[p][delivery->offset], word, "was read");
	int64_t end = l->seen_end[p];
	while (end <= delivery->offset &&
	       !atomic_compare_exchange_weak(&l->seen_end[p], &end,
					     delivery->offset + 1)) {
	}
}

/* ---- the whole log, once more ---- */

typedef struct pass {
	load *load;
	int64_t next[LOAD_PARTITIONS_MAX];
	int64_t end[LOAD_PARTITIONS_MAX];
	/* by producer and partition: numbers below this were there */
	uint64_t number[LOAD_PRODUCERS_MAX][LOAD_PARTITIONS_MAX];
	uint64_t acknowledged;
	load_verdict verdict;
} pass;

static void
settle_record(pass *s, const bus_delivery *d)
{
	int32_t p = d->partition;
	load_content content = load_read(d);
	load_remember(s->load, d, &content);
	if (d->offset != s->next[p]++) {
		load_wrong("partition %d: offset %lld came where %lld was due", p,
			   (long long)d->offset, (long long)s->next[p] - 1);
	}
	uint64_t *due = &s->number[content.producer][p];
	if (content.number < *due) {
		load_wrong("partition %d@%lld: producer %u number %llu is there twice or "
			   "behind a later one",
			   p, (long long)d->offset, content.producer,
			   (unsigned long long)content.number);
	}
	*due = content.number + 1;
	int64_t fate = s->load->fate[content.producer][p][content.number];
	if (fate == LOAD_UNCERTAIN) {
		s->verdict.uncertain_there++;
	} else if (fate != d->offset + 1) {
		load_wrong("partition %d@%lld: producer %u number %llu; its producer was "
			   "told %s %lld",
			   p, (long long)d->offset, content.producer,
			   (unsigned long long)content.number,
			   fate == LOAD_FAILED ? "that it failed," : "offset",
			   (long long)fate - 1);
	} else {
		s->acknowledged++;
	}
	s->verdict.records++;
}

static bool
all_read(const pass *s)
{
	for (int32_t p = 0; p < s->load->partitions; p++) {
		if (s->next[p] < s->end[p]) {
			return false;
		}
	}
	return true;
}

static void
find_bounds(pass *s, bus_adapter *adapter)
{
	const load *l = s->load;
	bus_position positions[LOAD_PARTITIONS_MAX];
	bus_error err = BUS_ERROR_INIT;
	for (int32_t p = 0; p < l->partitions; p++) {
		if (bus_adapter_offset(adapter, l->topic, p, BUS_OFFSET_EARLIEST, 0,
				       l->timeout_ms, &s->next[p], &err) != BUS_OK ||
		    bus_adapter_offset(adapter, l->topic, p, BUS_OFFSET_LATEST, 0,
				       l->timeout_ms, &s->end[p], &err) != BUS_OK) {
			load_wrong("offsets: %s", err.text);
		}
		if (s->next[p] != 0 || s->end[p] < l->seen_end[p]) {
			load_wrong("partition %d is %lld to %lld, and %lld was seen", p,
				   (long long)s->next[p], (long long)s->end[p],
				   (long long)l->seen_end[p] - 1);
		}
		positions[p] = (bus_position){ l->topic, p, 0 };
	}
	if (bus_adapter_start(adapter, positions, (size_t)l->partitions, &err) != BUS_OK) {
		load_wrong("start: %s", err.text);
	}
}

/* What was acknowledged where the log does not reach; elsewhere another one was found. */
static void
find_lost(const pass *s, size_t producer, int32_t p)
{
	const int64_t *fate = s->load->fate[producer][p];
	for (uint64_t n = 0; n < LOAD_NUMBERS_MAX && fate[n] != LOAD_UNSENT; n++) {
		if (fate[n] > s->end[p]) {
			load_wrong("lost: producer %zu number %llu was acknowledged at "
				   "partition %d@%lld, and the log ends at %lld",
				   producer, (unsigned long long)n, p,
				   (long long)fate[n] - 1, (long long)s->end[p]);
		}
	}
}

load_verdict
load_settle(load *l)
{
	static pass s;
	s.load = l;
	bus_adapter *adapter = load_open(l, "settler", 0);
	find_bounds(&s, adapter);
	const bus_clock *clock = bus_clock_system();
	int64_t idle_since = bus_clock_mono_ms(clock);
	while (!all_read(&s)) {
		const bus_poll_limit limit = { 5000, 4u << 20, 100 };
		bus_error err = BUS_ERROR_INIT;
		bus_poll poll;
		bus_status status = bus_adapter_poll(adapter, &limit, &poll, &err);
		if (status == BUS_OK && poll.kind == BUS_POLL_DELIVERIES) {
			for (size_t i = 0; i < poll.count; i++) {
				settle_record(&s, &poll.deliveries[i]);
			}
		} else if (status != BUS_E_RETRY) {
			load_wrong("the log cannot be read to its end: %s", err.text);
		}
		int64_t now = bus_clock_mono_ms(clock);
		idle_since = status == BUS_OK && poll.count > 0 ? now : idle_since;
		if (now - idle_since > l->timeout_ms) {
			load_wrong("nothing comes, and the end is not reached");
		}
	}
	bus_adapter_close(adapter);
	for (size_t n = 0; n < l->producers; n++) {
		for (int32_t p = 0; p < l->partitions; p++) {
			find_lost(&s, n, p);
		}
	}
	if (s.acknowledged != l->acknowledged) {
		load_wrong("%llu records were acknowledged, %llu of them are there",
			   (unsigned long long)l->acknowledged,
			   (unsigned long long)s.acknowledged);
	}
	return s.verdict;
}
