/*
 * fail_sync.c - a disk whose syncs fail as soon as a file exists; preloaded into a process
 *
 * $FAIL_SYNC names the file.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int fsync(int fd);
int fdatasync(int fd);

static int
sync_or_fail(long number, int fd)
{
	const char *path = getenv("FAIL_SYNC");
	if (path != NULL && access(path, F_OK) == 0) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(number, fd);
}

int
fsync(int fd)
{
	return sync_or_fail(SYS_fsync, fd);
}

int
fdatasync(int fd)
{
	return sync_or_fail(SYS_fdatasync, fd);
}
