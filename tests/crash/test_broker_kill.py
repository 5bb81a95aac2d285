"""The embedded broker, killed with -9 again and again while eight producers write and readers
follow: what was acknowledged is there once, at the offset that was said, and no offset ever
has two contents (broker_load.c says how that is found out).

BUSLINE_TEST_BROKER_CYCLES is how often; docs/benchmarks.md has the command of the long run.
"""

import json
import os
import random
import subprocess
import threading
import time

import pytest

from support.embedded import Embedded
from support.platform import BINARY, SLOW, wait_for

CYCLES = int(os.environ.get("BUSLINE_TEST_BROKER_CYCLES", "40"))
LOAD = BINARY.parent / "tests/crash/broker_load"
PARTITIONS = 6
# nng 1.5.2 loses a request's memory when its connection ends in the wrong moment (nng#1713);
# that the adapter itself loses none is seen where no connection ends.
LEAKS_ALLOWED = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")
                 + ":detect_leaks=0"}


class Load:
    """broker_load, and how far it is."""

    def __init__(self, url):
        self.child = subprocess.Popen(
            [LOAD, "--url", url, "--partitions", str(PARTITIONS), "--timeout-ms",
             str(int(60000 * SLOW))], env=LEAKS_ALLOWED,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.acknowledged = self.delivered = 0
        self.result = self.complaint = None
        self.threads = [threading.Thread(target=work, daemon=True)
                        for work in (self._listen, self._complain)]
        for thread in self.threads:
            thread.start()

    def _listen(self):
        for line in self.child.stdout:
            if line.startswith("{"):
                self.result = json.loads(line)
            else:
                self.acknowledged, self.delivered = map(int, line.split())

    def _complain(self):
        self.complaint = self.child.stderr.read()

    def lives(self, broker):
        if self.child.poll() is not None:
            self.threads[1].join(10)
            raise AssertionError(f"exit {self.child.returncode}: {self.complaint}")
        assert broker is None or broker.running(), broker.tail()
        return True

    def moves(self, count, broker=None):
        """Waits until so many more are acknowledged, and as many delivered."""
        before = self.acknowledged, self.delivered
        wait_for(lambda: self.lives(broker) and self.acknowledged >= before[0] + count
                 and self.delivered >= before[1] + count,
                 lambda: f"progress from {before} to {self.acknowledged}, {self.delivered}",
                 60, 0.005)

    def finish(self, timeout=600):
        self.child.stdin.close()
        code = self.child.wait(timeout * SLOW)
        for thread in self.threads:
            thread.join(10)
        assert code == 0, self.complaint
        return self.result

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait(10)


@pytest.fixture
def own_broker():
    broker = Embedded.start()
    yield broker
    broker.remove()


@pytest.fixture
def load(own_broker):
    load = Load(own_broker.url)
    yield load
    load.close()


def die_young(broker, chance):
    """A broker that is killed before it is ready, or just after."""
    broker.launch()
    time.sleep(chance.random() * 0.05 * SLOW)
    broker.kill()


def test_every_acknowledged_event_is_there_once(own_broker, load):
    chance = random.Random(11)
    load.moves(1000, own_broker)
    for _ in range(CYCLES):
        time.sleep(chance.random() * 0.15)
        own_broker.kill()
        for _ in range(chance.choice([0, 0, 0, 1, 2])):
            die_young(own_broker, chance)
        own_broker.launch()
        load.moves(200, own_broker)
    found = load.finish()
    print(f"\n{CYCLES} kills: {found}")
    assert found["failed"] == found["uncertain"] == 0, "the broker was back in time each time"
    assert found["records"] == found["acknowledged"] > 200 * CYCLES
    assert found["rewinds"] > CYCLES, "readers looked back"
    ends = own_broker.ends("load")
    assert sum(ends.values()) == found["records"], "somebody else's client sees the same log"
    assert own_broker.stop() == 0
    checked = own_broker.check()
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("faults, complaint", [
    ("duplicate=0.001", "there twice|its producer was told"),
])
def test_the_load_sees_what_is_wrong(faults, complaint):
    """A broker that appends a record twice is found out; one that has bad days is not accused."""
    good = Load("fault+memory:load?uncertain=0.02&fail=0.02&drop=0.02&delay=0.3")
    try:
        good.moves(1000)
        found = good.finish()
        assert 0 < found["uncertain_there"] < found["uncertain"] and found["failed"] > 0
    finally:
        good.close()
    bad = Load(f"fault+memory:load?{faults}")
    try:
        with pytest.raises(AssertionError, match=complaint):
            bad.moves(1000)
            bad.finish()
    finally:
        bad.close()
