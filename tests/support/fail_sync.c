/*
 * fail_sync.c - a disk whose syncs fail, or take long; preloaded into a process
 *
 * $FAIL_SYNC names a file: while it is there and empty, syncs fail; while it is there and
 * not empty, each takes half a second.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int fsync(int fd);
int fdatasync(int fd);

static int
sync_or_fail(long number, int fd)
{
	const char *path = getenv("FAIL_SYNC");
	struct stat file;
	if (path != NULL && stat(path, &file) == 0) {
		if (file.st_size == 0) {
			errno = EIO;
			return -1;
		}
		usleep(500000);
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
