"""The embedded broker's log under power cuts: nothing that was acknowledged is lost.

An ext4 image on a loop device is shut down without flushing its journal (EXT4_IOC_SHUTDOWN): what
was not synced is gone, as when the power goes. BUSLINE_POWER_CUTS says how many times (5).
"""

import os
import pathlib
import random
import subprocess
import time

import pytest

from support.disk import DEADLINE_SECONDS, Disk
from support.platform import BINARY

CUTS = int(os.environ.get("BUSLINE_POWER_CUTS", "5"))
DRIVER = pathlib.Path(os.environ.get("BUSLINE_JOURNAL_DRIVER",
                                     BINARY.parent / "tests/support/journal_driver"))
# The file of the image is sparse. A WAL of 64 MiB goes into the store while it is there itself.
IMAGE_BYTES = 384 << 20
# Enough for the journal's WAL to be used more than once in some of the cycles, where the disk is
# fast enough; it must never fill the image.
LOAD_SECONDS, LOAD_BYTES = (0.05, 1.5), 192 << 20
KEPT_BYTES = 96 << 20


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path, IMAGE_BYTES)
    yield made
    made.unmount()


def numbers(lines, count):
    return [tuple(map(int, line.split())) for line in lines if len(line.split()) == count]


def stored(store):
    return sum(os.path.getsize(file) for file in (store / "broker.db", store / "broker.db-wal")
               if file.exists())


def append_until_cut(disk, store, first, seconds):
    """What was acknowledged before the power went, as (partition, offset) -> number."""
    with subprocess.Popen([DRIVER, "append", store, str(first)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as driver:
        os.set_blocking(driver.stdout.fileno(), False)
        said, end, cut = b"", time.monotonic() + seconds, False
        deadline = end + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            piece = driver.stdout.read()
            if piece:
                said += piece
            if not cut and said and (time.monotonic() > end or stored(store) > LOAD_BYTES):
                disk.cut()
                cut = True
            if piece is None:
                time.sleep(0.001)
            elif not piece:
                break
        driver.kill()
        errors = driver.stderr.read().decode()
    assert cut, f"the driver ended by itself: {errors}"
    # the disk's end is the driver's: it acknowledges nothing and says why
    assert "appending" in errors and driver.returncode == 1, errors
    acknowledged = {}
    for partition, offset, number, count in numbers(said.decode().splitlines(), 4):
        acknowledged.update({(partition, offset + i): number + i for i in range(count)})
    return acknowledged


def read_all(store):
    done = subprocess.run([DRIVER, "read", store], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {(partition, offset): number
            for partition, offset, number in numbers(done.stdout.splitlines(), 3)}


def test_nothing_acknowledged_is_lost(disk):
    rng = random.Random(int(os.environ.get("BUSLINE_POWER_SEED", "11")))
    store, acknowledged, first, unasked = disk.point / "store", {}, 0, 0
    for _ in range(CUTS):
        acknowledged |= append_until_cut(disk, store, first, rng.uniform(*LOAD_SECONDS))
        disk.unmount()
        disk.mount()
        found = read_all(store)
        missing = {place: number for place, number in acknowledged.items()
                   if found.get(place) != number}
        assert not missing, f"{len(missing)} of {len(acknowledged)}, {sorted(missing.items())[:3]}"
        # what was under way may be there, once, and is then there for ever
        assert len(set(found.values())) == len(found)
        unasked += len(found) - len(acknowledged)
        acknowledged, first = found, max(found.values()) + 1
        if stored(store) > KEPT_BYTES:
            for file in store.iterdir():
                file.unlink()
            acknowledged = {}
    print(f"{CUTS} power cuts, {first} events, {unasked} that were not acknowledged any more")
