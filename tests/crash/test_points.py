"""kill -9 at every named point of a transaction: effects exactly once."""

import itertools
import random
import re

import pytest

from support.checker import DISAGREEMENTS, assert_once
from support.events import scale, seconds
from support.platform import ROOT, Platform, on_both_brokers

# The embedded broker gives a dead worker a second to come back, so a round takes longer.
ROUNDS = {"kafka": 20, "embedded": 6}
APPS = 24
PER_ROUND = 240
BATCH = 20
POINTS = re.findall(r'X\(\w+,\s*"([a-z-]+)"\)', (ROOT / "core/crash.h").read_text())


def test_the_table_of_points_is_read():
    assert {"after-poll", "after-begin", "after-ledger", "before-commit", "after-commit",
            "relay-published"} <= set(POINTS)


class Stream:
    """Deltas over a few applications; every third event goes to a partition of chance."""

    def __init__(self, broker):
        self.publisher = broker.publisher(sticky_partitioning_linger_ms=0)
        self.numbers = itertools.count()
        self.rng = random.Random(3)
        self.sums = {}
        self.count = 0

    def publish(self, count):
        for number in itertools.islice(self.numbers, count):
            app, delta = f"app-{number % APPS}", self.rng.choice([1, 2, 3])
            # An event away from home needs a row of its own: the log gives it no order.
            astray = number % 3 == 0
            process = f"astray-{number}" if astray else "web"
            self.sums[app, process] = self.sums.get((app, process), 0) + delta
            self.publisher.publish([scale("acme", app, process, at=seconds(number), delta=delta,
                                          key=not astray)])
            self.count += 1
        self.publisher.flush()

    def check(self, platform):
        rows = platform.rows("select app, process, desired from paas.scale")
        assert {(app, process): desired for app, process, desired in rows} == self.sums
        assert not platform.rows(DISAGREEMENTS)
        assert_once(platform, self.count)


@pytest.fixture(scope="module")
def stage(broker, postgres):
    """One log and one database for all rounds of all points."""
    platform = Platform(broker, postgres, {"BUSLINE_WORKER_BATCH_EVENTS": BATCH,
                                          "BUSLINE_RELAY_LEASE_MS": 500}).prepare()
    stream = Stream(broker)
    yield platform, stream
    platform.close()


@on_both_brokers
@pytest.mark.parametrize("point", POINTS)
def test_effects_exactly_once(stage, point):
    platform, stream = stage
    relay_dies = point.startswith("relay")
    victim, other = ("relay", "scale") if relay_dies else ("scale", "relay")
    member = platform.group + "-scale"
    chance = random.Random(point)
    survivor = platform.start(other, member=member)
    for number in range(ROUNDS[platform.broker.kind]):
        # A batch is at most BATCH events and a partition's share may come in several.
        passage = 1 if relay_dies else chance.randint(1, PER_ROUND // BATCH - 3)
        process = platform.start(victim, member=member, crash=f"{point}:{passage}")
        stream.publish(PER_ROUND)
        code = process.wait(60)
        assert code == -9, f"round {number}, passage {passage}: exit {code}\n{process.tail()}"
        assert survivor.running(), survivor.tail()
        assert not platform.rows(DISAGREEMENTS)
    last = platform.start(victim, member=member)
    platform.quiesce(["busline.scale"], timeout=60)
    stream.check(platform)
    assert last.stop() == 0 and survivor.stop() == 0


@on_both_brokers
def test_digest_is_that_of_a_run_without_kills(stage, broker, postgres, make_platform):
    disturbed, stream = stage
    calm = make_platform(broker, postgres, fresh_log=False)
    calm.start_all(["scale", "relay"])
    calm.quiesce(["busline.scale"], timeout=120)
    stream.check(calm)
    assert calm.digest() == disturbed.digest()


