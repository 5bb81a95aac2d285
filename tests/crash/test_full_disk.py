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
from support.platform import ROOT, run, scratch
from support.raw_broker import TOPIC, append, append_body, ensure

MIB = 1 << 20
PARTITIONS = 3
VALUE_BYTES = 50000


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path, 32 * MIB)
    yield made
    made.unmount()


class Producer:
    """Appends to all partitions, and knows what must be there."""

    def __init__(self, broker):
        self.broker, self.number, self.sequence = broker, random.getrandbits(60) + 1, 1
        self.log = {p: [] for p in range(PARTITIONS)}
        self.said = []

    def append(self):
        """Why it was refused, or nothing. One needs as much space as the other: a smaller one may
        fit where a larger one did not."""
        values = [os.urandom(VALUE_BYTES) for _ in range(PARTITIONS)]
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


def test_a_broker_starts_on_a_full_disk(disk, make_broker):
    broker = make_broker(running=False)
    broker.directory = disk.point / "data"
    taken = disk.fill("taken", 8 * MIB)
    broker.run()
    ensure(broker.client, partitions=PARTITIONS)
    producer = Producer(broker)
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


def test_what_is_read_on_a_full_disk_survives_a_power_cut(disk, make_broker):
    folder = scratch("disk")
    bad = folder / "bad"
    run("cc", "-shared", "-fPIC", "-o", folder / "fail_sync.so",
        ROOT / "tests/support/fail_sync.c")
    broker = make_broker(running=False, environment={
        "LD_PRELOAD": str(folder / "fail_sync.so"), "FAIL_SYNC": str(bad),
        "ASAN_OPTIONS": "verify_asan_link_order=0"})
    broker.directory = disk.point / "data"
    broker.run()
    ensure(broker.client, partitions=PARTITIONS)
    producer = Producer(broker)
    for _ in range(20):
        assert producer.append() is None
    bad.write_text("")
    lost = append_body(1, 1, [(TOPIC, 0, [b"never synced"])])
    with pytest.raises(wire.Gone):
        Client(broker.address).ask(wire.APPEND, lost)
    assert broker.process.wait(20) == 70, broker.tail()
    broker.client.close()
    bad.unlink()
    disk.fill("rest")
    broker.run()
    assert producer.append() == "no space"
    read = {p: [m.value() for m in log] for p, log in broker.read(TOPIC).items()}
    # it was not acknowledged, and is there all the same: the kernel had it
    assert read == producer.log | {0: producer.log[0] + [b"never synced"]}
    disk.cut()
    broker.kill()
    disk.unmount()
    disk.mount()
    broker.run()
    assert {p: [m.value() for m in log] for p, log in broker.read(TOPIC).items()} == read
    shutil.rmtree(folder)
