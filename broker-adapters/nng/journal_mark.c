/*
 * journal_mark.c - how many commits there were, beside the store
 *
 * DESIGN
 * Two slots, a disk sector each, written in turn: a torn write leaves the other. A slot is
 * magic, format, count, uuid and a checksum. The count is written after the commit it
 * counts is on disk, so it can lag (after a power cut) and never leads; a store with fewer
 * commits than the mark has lost some.
 */
#include "broker-adapters/nng/journal_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define BUSP_MARK_SLOT 512
#define BUSP_MARK_SLOTS 2
#define BUSP_MARK_MAGIC UINT64_C(0x42534c4d4b303031) /* "BSLMK001" */
#define BUSP_MARK_USED 40                            /* magic, count, uuid, checksum */

static bus_status
busp_mark_failed(const char *doing, bus_error *err)
{
	int native = errno;
	return bus_error_set(err, BUS_E_FATAL, BUSP_ORIGIN, native, "%s: %s: %s",
			     BUSP_MARK_FILE, doing, strerror(native));
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

static void
busp_mark_read_slot(const char *slot, busp_mark_content *content)
{
	if (busp_be64(slot) != BUSP_MARK_MAGIC ||
	    busp_be64(slot + 32) != busp_checksum(slot, 32)) {
		return;
	}
	uint64_t commits = busp_be64(slot + 8);
	if (!content->valid || commits > content->commits) {
		content->valid = true;
		content->commits = commits;
		memcpy(content->uuid, slot + 16, BUSP_UUID_BYTES);
	}
}

static bus_status
busp_mark_read(const busp_mark *mark, busp_mark_content *ret_content, bus_error *err)
{
	char slots[BUSP_MARK_SLOTS * BUSP_MARK_SLOT] = { 0 };
	busp_mark_content content = { 0 };
	ssize_t got = pread(mark->fd, slots, sizeof(slots), 0);
	if (got < 0) {
		return busp_mark_failed("reading", err);
	}
	content.present = got > 0;
	for (size_t i = 0; i < BUSP_MARK_SLOTS; i++) {
		busp_mark_read_slot(slots + i * BUSP_MARK_SLOT, &content);
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
busp_mark_write(busp_mark *mark, const uint8_t *uuid, uint64_t commits, bus_error *err)
{
	/* The whole sector, so that both have their space from the first two writes on. */
	char slot[BUSP_MARK_SLOT] = { 0 };
	BUS_BUF_AUTO content = { 0 };
	bus_buf_be64(&content, BUSP_MARK_MAGIC);
	bus_buf_be64(&content, commits);
	bus_buf_append(&content, uuid, BUSP_UUID_BYTES);
	bus_buf_be64(&content, busp_checksum(content.data, content.len));
	memcpy(slot, content.data, BUSP_MARK_USED);
	off_t at = (off_t)(commits % BUSP_MARK_SLOTS) * BUSP_MARK_SLOT;
	size_t done = 0;
	while (done < sizeof(slot)) {
		ssize_t put = pwrite(mark->fd, slot + done, sizeof(slot) - done,
				     at + (off_t)done);
		if (put < 0 && errno == EINTR) {
			continue;
		}
		if (put < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
			/* A filesystem that copies on write: the mark lags for a while,
			 * which it may. */
			return BUS_OK;
		}
		if (put < 0) {
			return busp_mark_failed("writing", err);
		}
		done += (size_t)put;
	}
	return BUS_OK;
}

bus_status
busp_mark_sync(busp_mark *mark, bus_error *err)
{
	return fdatasync(mark->fd) == 0 ? BUS_OK : busp_mark_failed("syncing", err);
}

void
busp_mark_close(busp_mark *mark)
{
	if (mark->fd >= 0) {
		(void)close(mark->fd);
	}
	mark->fd = -1;
}
