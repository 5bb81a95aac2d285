/*
 * journal_chunk.c - what the records of one commit and one partition look like on disk
 *
 * DESIGN
 * The head has what a reader needs to believe that a chunk is whole and at home: be32
 * magic, be32 log number, 8 bytes of the store's uuid, be64 base offset, be64 timestamp,
 * be32 count, be32 length of the bodies, be64 XXH3 of all that and of the directory, which
 * follows. The bodies have their checksums in the directory.
 */
#include "broker-adapters/nng/journal_private.h"

#define BUSP_CHUNK_MAGIC 0x42534331u /* "BSC1" */
#define BUSP_CHUNK_SUMMED 40         /* bytes of the head that lie before its checksum */

static uint64_t
busp_chunk_checksum(const char *head, bus_str directory, bus_buf *scratch)
{
	bus_buf_clear(scratch);
	bus_buf_append(scratch, head, BUSP_CHUNK_SUMMED);
	bus_buf_append(scratch, directory.data, directory.len);
	return busp_checksum(scratch->data, scratch->len);
}

void
busp_chunk_head(const busp_journal *journal, const busp_log *log,
		const busp_pending *pending, bus_buf *ret_head)
{
	BUS_BUF_AUTO directory = { 0 };
	BUS_BUF_AUTO scratch = { 0 };
	size_t part = pending->first_part;
	for (;;) {
		bus_buf_str(&directory, journal->parts.at[part].batch.directory);
		if (part == pending->last_part) {
			break;
		}
		part = journal->parts.at[part].next;
	}
	bus_buf_clear(ret_head);
	bus_buf_be32(ret_head, BUSP_CHUNK_MAGIC);
	bus_buf_be32(ret_head, log->number);
	bus_buf_append(ret_head, journal->uuid, 8);
	bus_buf_be64(ret_head, (uint64_t)pending->base);
	bus_buf_be64(ret_head, (uint64_t)pending->timestamp_ms);
	bus_buf_be32(ret_head, pending->count);
	bus_buf_be32(ret_head, (uint32_t)pending->bodies);
	bus_buf_be64(ret_head, busp_chunk_checksum(ret_head->data,
						   bus_buf_view(&directory), &scratch));
	bus_buf_str(ret_head, bus_buf_view(&directory));
}

/* Do the lengths in the directory add up? A head with a right checksum always does: this
 * is for one that somebody made. */
static bool
busp_chunk_adds_up(const busp_batch *batch, uint64_t bodies)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < batch->count; i++) {
		sum += busp_batch_length(batch, i);
	}
	return sum == bodies;
}

const char *
busp_chunk_parse(busp_journal *journal, const busp_log *log, int64_t place, bus_str head,
		 busp_chunk *ret_chunk)
{
	busp_reader reader = { .rest = head };
	uint32_t magic = busp_get_u32(&reader);
	uint32_t number = busp_get_u32(&reader);
	bus_str uuid = busp_get_bytes(&reader, 8);
	busp_chunk chunk = { .base = (int64_t)busp_get_u64(&reader),
			     .timestamp_ms = (int64_t)busp_get_u64(&reader) };
	chunk.batch.count = busp_get_u32(&reader);
	chunk.bodies_bytes = busp_get_u32(&reader);
	uint64_t checksum = busp_get_u64(&reader);
	chunk.batch.directory = reader.rest;
	chunk.batch.bodies = BUS_STR_NULL;
	if (reader.bad || magic != BUSP_CHUNK_MAGIC ||
	    checksum != busp_chunk_checksum(head.data, chunk.batch.directory,
					    &journal->scratch)) {
		return "the head of a chunk is damaged";
	}
	if (memcmp(uuid.data, journal->uuid, 8) != 0 || number != log->number ||
	    place != busp_place(number, chunk.base)) {
		return "a chunk is in another's place";
	}
	if (chunk.batch.count == 0 ||
	    chunk.batch.directory.len !=
		    (size_t)chunk.batch.count * BUSP_DIRECTORY_BYTES ||
	    chunk.base > BUSP_OFFSET_MAX - chunk.batch.count ||
	    !busp_chunk_adds_up(&chunk.batch, chunk.bodies_bytes)) {
		return "the head of a chunk contradicts itself";
	}
	*ret_chunk = chunk;
	return NULL;
}

void
busp_log_damaged(busp_log *log, int64_t offset)
{
	if (offset < log->start) {
		offset = log->start;
	}
	if (log->damaged_at < 0 || offset < log->damaged_at) {
		log->damaged_at = offset;
	}
}
