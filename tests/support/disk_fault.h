/*
 * disk_fault.h - writes and syncs of this process that fail, or are looked at, on demand
 *
 * A program with disk_fault.c among its sources has pwrite, fdatasync, fsync and ftruncate
 * of its own, which libraries that it is linked with use, too.
 */
#ifndef BUS_TEST_DISK_FAULT_H
#define BUS_TEST_DISK_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum disk_op { DISK_WRITE, DISK_SYNC, DISK_CUT } disk_op;

typedef struct disk_faults {
	/* Called before each; not 0: the errno it fails with, and it does not happen. */
	int (*before)(void *ctx, disk_op op, int fd);
	void *ctx;
	int64_t end;  /* for before(): where the write would end */
	bool no_sync; /* syncs do nothing: for tests that lose no power */
} disk_faults;

extern disk_faults disk_fault;

#endif
