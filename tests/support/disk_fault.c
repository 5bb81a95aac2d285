/*
 * disk_fault.c - writes and syncs that fail on demand
 */
#include "tests/support/disk_fault.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

disk_faults disk_fault;

static bool
disk_fails(disk_op op, int fd)
{
	int code =
		disk_fault.before != NULL ? disk_fault.before(disk_fault.ctx, op, fd) : 0;
	if (code != 0) {
		errno = code;
	}
	return code != 0;
}

ssize_t
pwrite(int fd, const void *data, size_t len, off_t at)
{
	disk_fault.end = at + (off_t)len;
	return disk_fails(DISK_WRITE, fd) ? -1 : syscall(SYS_pwrite64, fd, data, len, at);
}

ssize_t
pwrite64(int fd, const void *data, size_t len, off64_t at)
{
	return pwrite(fd, data, len, at);
}

int
fdatasync(int fd)
{
	if (disk_fails(DISK_SYNC, fd)) {
		return -1;
	}
	return disk_fault.no_sync ? 0 : (int)syscall(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
	if (disk_fails(DISK_SYNC, fd)) {
		return -1;
	}
	return disk_fault.no_sync ? 0 : (int)syscall(SYS_fsync, fd);
}

int
ftruncate(int fd, off_t len)
{
	return disk_fails(DISK_CUT, fd) ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

int
ftruncate64(int fd, off64_t len)
{
	return ftruncate(fd, len);
}
