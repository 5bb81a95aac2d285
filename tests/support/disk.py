"""A small ext4 filesystem on a loop device: one that can be full, and whose power can be cut."""

import errno
import fcntl
import os
import struct
import subprocess
import time

import pytest

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
DEADLINE_SECONDS = 30


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


class Disk:
    """Mounted at .point."""

    def __init__(self, folder, size):
        if os.geteuid() != 0:
            pytest.skip("only root may mount a filesystem")
        self.image, self.point = folder / "disk", folder / "mounted"
        self.point.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(size)
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0",
            self.image)
        self.mounted = False
        try:
            self.mount()
        except RuntimeError as error:
            pytest.skip(f"no loop device may be used here: {error}")

    def mount(self):
        run("mount", "-o", "loop", self.image, self.point)
        self.mounted = True

    def unmount(self):
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self.mounted:
            try:
                run("umount", self.point)
                self.mounted = False
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def cut(self):
        """What was not synced is gone, as when the power goes; to be mounted anew."""
        directory = os.open(self.point, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(directory)

    def fill(self, name, most=1 << 40):
        """A file that takes all the space there is, or so many bytes."""
        path, done = self.point / name, 0
        for piece in (1 << 16, 1 << 12):
            with open(path, "ab", buffering=0) as file:
                try:
                    while done < most:
                        done += file.write(bytes(piece))
                    os.fsync(file.fileno())
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
        return path
