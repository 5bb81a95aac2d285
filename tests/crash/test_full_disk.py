"""The embedded broker on a disk that is full already when it starts.

What it acknowledged is read, nothing more is taken, and it goes on when there is space; and what it
lets be read is on the disk for certain, whatever the broker before it could not sync.
"""

import os
import random
import shutil

import pytest

from support import nng_client as wire
from support.disk import Disk
from support.nng_client import Client, Refused
from support.platform import ROOT, SLOW, run, scratch
from support.raw_broker import TOPIC, append, append_body, ensure

MIB = 1 << 20
PARTITIONS = 3


@pytest.fixture
def make_disk(tmp_path):
    made = []

    def make(size):
        made.append(Disk(tmp_path, size))
        return made[-1]

    yield make
    for disk in made:
        disk.unmount()


class Producer:
    """Appends to all partitions, and knows what must be there."""

    def __init__(self, broker, value_bytes):
        self.broker, self.value_bytes = broker, value_bytes
        self.number, self.sequence = random.getrandbits(60) + 1, 1
        self.log = {p: [] for p in range(PARTITIONS)}
        self.said = []

    def append(self):
        """Why it was refused, or nothing. One needs as much space as the other: a smaller one may
        fit where a larger one did not."""
        values = [os.urandom(self.value_bytes) for _ in range(PARTITIONS)]
        batches = [(TOPIC, p, [value]) for p, value in enumerate(values)]
        try:
            bases = append(self.broker.client, self.number, self.sequence, *batches)
        except Refused as refused:
            return refused.why
        assert bases == [len(log) for log in self.log.values()]
        for log, value in zip(self.log.values(), values):
            log.append(value)
        self.said.append((self.sequence, batches, bases))
        self.sequence += 1
        return None

    def until_refused(self):
        while True:
            why = self.append()
            if why:
                return why

    def check(self):
        found = {p: [m.value() for m in log] for p, log in self.broker.read(TOPIC).items()}
        assert found == self.log

    def ask_again(self):
        """The last answers are remembered: they are given, nothing is appended."""
        for sequence, batches, bases in self.said[-3:]:
            assert append(self.broker.client, self.number, sequence, *batches) == bases


def test_a_broker_starts_on_a_full_disk(make_disk, make_broker):
    disk = make_disk(32 * MIB)
    broker = make_broker(running=False)
    broker.directory = disk.point / "data"
    taken = disk.fill("taken", 8 * MIB)
    broker.run()
    ensure(broker.client, partitions=PARTITIONS)
    producer = Producer(broker, 50000)
    assert producer.until_refused() == "no space"
    assert len(producer.said) > 20
    disk.fill("rest")
    boots = [broker.client.info()["boot"]]
    for _ in range(3):
        broker.kill()
        checked = broker.check()
        assert checked.returncode == 0, checked.stdout + checked.stderr
        broker.run()
        boots.append(broker.client.info()["boot"])
        for _ in range(3):
            assert producer.append() == "no space"
            producer.check()
        producer.ask_again()
    assert len(set(boots)) == len(boots), "lives are told apart"
    assert broker.stop() == 0, "an orderly end needs no space, either"
    broker.run()
    producer.check()
    # in the middle of a life it passes
    assert producer.append() == "no space"
    taken.unlink()
    for _ in range(20):
        assert producer.append() is None
    producer.ask_again()
    producer.check()
    assert len(broker.logged("there is space on the disk again")) == 1
    broker.kill()
    broker.run()
    assert producer.append() is None
    producer.check()
    broker.restart()
    producer.check()
    assert broker.stop() == 0
    assert broker.check().returncode == 0


def test_what_is_read_on_a_full_disk_survives_a_power_cut(make_disk, make_broker):
    """A broker that could not sync ends; the kernel has what it wrote, in place of older bytes of the
    WAL. The next one has no space to take it into the store, and must not let it be read before it
    is on the disk for certain."""
    disk, folder = make_disk(192 * MIB), scratch("disk")
    bad = folder / "bad"
    run("cc", "-shared", "-fPIC", "-o", folder / "fail_sync.so",
        ROOT / "tests/support/fail_sync.c")
    broker = make_broker(running=False, environment={
        "LD_PRELOAD": str(folder / "fail_sync.so"), "FAIL_SYNC": str(bad),
        "ASAN_OPTIONS": "verify_asan_link_order=0"})
    broker.directory = disk.point / "data"
    broker.run()
    ensure(broker.client, partitions=PARTITIONS)
    producer = Producer(broker, 600000)
    store = broker.directory / "broker.db"
    while store.stat().st_size < MIB:
        assert producer.append() is None
    disk.fill("rest")
    before = store.stat().st_size
    assert producer.append() is None, "the WAL is written anew from its start"
    bad.write_text("")
    lost = append_body(1, 1, [(TOPIC, 0, [b"never synced"])])
    with pytest.raises(wire.Gone):
        Client(broker.address).ask(wire.APPEND, lost)
    assert broker.process.wait(20 * SLOW) == 70, broker.tail()
    broker.client.close()
    bad.unlink()
    broker.run()
    # it was not acknowledged, and is there all the same
    read = {p: [m.value() for m in log] for p, log in broker.read(TOPIC).items()}
    assert read == producer.log | {0: producer.log[0] + [b"never synced"]}
    assert store.stat().st_size == before and (broker.directory / "broker.db-wal").stat().st_size
    disk.cut()
    broker.kill()
    disk.unmount()
    disk.mount()
    broker.run()
    assert {p: [m.value() for m in log] for p, log in broker.read(TOPIC).items()} == read
    shutil.rmtree(folder)
