/*
 * journal_mark.c - how many commits and lives there were, beside the store
 *
 * DESIGN
 * Two slots, a disk sector each, written in turn: a torn write leaves the other. A slot is
 * magic, commits, uuid, boot and a checksum. The commits are written after the last one is
 * on disk, so they can lag (after a power cut) and never lead; a store with fewer commits
 * than the mark has lost some. The boot is in both slots before the life it counts serves
 * anything: this file has its place on the disk, also when the disk is full.
 */
#include "broker-adapters/nng/journal_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define BUSP_MARK_SLOT 512
#define BUSP_MARK_SLOTS 2
#define BUSP_MARK_MAGIC UINT64_C(0x42534c4d4b303032) /* "BSLMK002" */
#define BUSP_MARK_SUMMED 40 /* magic, commits, uuid, boot; the checksum follows */

static bus_status
busp_mark_failed(const char *doing, bus_error *err)
{
	int native = errno;
	bool full = native == ENOSPC || native == EDQUOT || native == EFBIG;
	return bus_error_set(err, full ? BUS_E_RETRY : BUS_E_FATAL, BUSP_ORIGIN, native,
			     "%s: %s: %s", BUSP_MARK_FILE, doing, strerror(native));
}

static uint64_t
busp_be64(const char *at)
{
	uint64_t value = 0;
	for (int i = 0; i < 8; i++) {
		value = value << 8 | (uint8_t)at[i];
	}
	return value;
}

/* True: it is newer than what was read before. */
static bool
busp_mark_read_slot(const char *slot, busp_mark_content *content)
{
	if (busp_be64(slot) != BUSP_MARK_MAGIC ||
	    busp_be64(slot + BUSP_MARK_SUMMED) != busp_checksum(slot, BUSP_MARK_SUMMED)) {
		return false;
	}
	uint64_t commits = busp_be64(slot + 8);
	uint64_t boot = busp_be64(slot + 32);
	if (content->valid && (commits < content->commits ||
			       (commits == content->commits && boot <= content->boot))) {
		return false;
	}
	content->valid = true;
	content->commits = commits;
	content->boot = (uint32_t)boot;
	memcpy(content->uuid, slot + 16, BUSP_UUID_BYTES);
	return true;
}

static bus_status
busp_mark_read(busp_mark *mark, busp_mark_content *ret_content, bus_error *err)
{
	char slots[BUSP_MARK_SLOTS * BUSP_MARK_SLOT] = { 0 };
	busp_mark_content content = { 0 };
	ssize_t got = pread(mark->fd, slots, sizeof(slots), 0);
	if (got < 0) {
		return busp_mark_failed("reading", err);
	}
	content.present = got > 0;
	for (int i = 0; i < BUSP_MARK_SLOTS; i++) {
		if (busp_mark_read_slot(slots + i * BUSP_MARK_SLOT, &content)) {
			mark->turn = (i + 1) % BUSP_MARK_SLOTS;
		}
	}
	*ret_content = content;
	return BUS_OK;
}

bus_status
busp_mark_open(busp_mark *mark, const char *directory, bool make,
	       busp_mark_content *ret_content, bus_error *err)
{
	char *path = busp_path(directory, BUSP_MARK_FILE);
	mark->fd = open(path, (make ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC, 0600);
	free(path);
	if (mark->fd < 0 && errno == ENOENT) {
		*ret_content = (busp_mark_content){ 0 };
		return BUS_OK;
	}
	return mark->fd < 0 ? busp_mark_failed("opening", err) :
			      busp_mark_read(mark, ret_content, err);
}

bus_status
busp_mark_write(busp_mark *mark, const uint8_t *uuid, uint64_t commits, uint32_t boot,
		bus_error *err)
{
	/* the whole sector, so that it has its space from the first write on */
	char slot[BUSP_MARK_SLOT] = { 0 };
	BUS_BUF_AUTO content = { 0 };
	bus_buf_be64(&content, BUSP_MARK_MAGIC);
	bus_buf_be64(&content, commits);
	bus_buf_append(&content, uuid, BUSP_UUID_BYTES);
	bus_buf_be64(&content, boot);
	bus_buf_be64(&content, busp_checksum(content.data, content.len));
	memcpy(slot, content.data, content.len);
	off_t at = (off_t)mark->turn * BUSP_MARK_SLOT;
	size_t done = 0;
	while (done < sizeof(slot)) {
		ssize_t put = pwrite(mark->fd, slot + done, sizeof(slot) - done,
				     at + (off_t)done);
		if (put < 0 && errno == EINTR) {
			continue;
		}
		if (put < 0) {
			return busp_mark_failed("writing", err);
		}
		done += (size_t)put;
	}
	mark->turn = (mark->turn + 1) % BUSP_MARK_SLOTS;
	return BUS_OK;
}

bus_status
busp_mark_sync(busp_mark *mark, bus_error *err)
{
	if (fdatasync(mark->fd) == 0) {
		return BUS_OK;
	}
	/* also for want of space: what the kernel still holds is not to be believed */
	(void)busp_mark_failed("syncing", err);
	return err->status = BUS_E_FATAL;
}

void
busp_mark_close(busp_mark *mark)
{
	if (mark->fd >= 0) {
		(void)close(mark->fd);
	}
	mark->fd = -1;
}
