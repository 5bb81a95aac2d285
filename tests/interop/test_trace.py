"""A real stream of platform actions, published by somebody else's client.

BUSLINE_TEST_TRACE names a cluster's instance table; without it a small one is made here.
"""

import json
import subprocess
import sys
import threading
import time

import pytest

from support.checker import Checker, assert_once, replicas
from support.events import scale, seconds
from support.platform import ROOT, SLOW, Reaper, on_both_brokers, wait_for

BENCH = ROOT / "tests/bench"


def load(platform, trace, mode, pace=0):
    subprocess.run([sys.executable, BENCH / "load_trace.py", "--csv", trace, "--broker",
                    platform.broker.url, "--mode", mode, "--pace", str(pace)],
                   check=True, timeout=900)


@pytest.fixture(scope="module")
def expected(trace):
    done = subprocess.run([sys.executable, BENCH / "expect_trace.py", "--csv", trace],
                          check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def check(platform, expected):
    assert replicas(platform) == expected["replicas"]
    assert_once(platform, expected["events"])
    verdicts = dict(platform.rows("select verdict::text, count(*) from busline.ledger group by 1"))
    assert verdicts == {"APPLIED": expected["events"]}
    releases = platform.rows("select number, count(*) from paas.release group by 1")
    assert releases == [(1, expected["apps"])]


digests = {}


def agreed(platform, how):
    """The digest, which is the same for every broker, content mode and history of kills."""
    digests[platform.broker.kind, how] = platform.digest()
    assert len(set(digests.values())) == 1, digests
    return platform.digest()


@pytest.mark.trace
@on_both_brokers
@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_effects_are_those_of_the_table(platform, trace, expected, mode):
    roles = platform.start_all()
    load(platform, trace, mode)
    platform.quiesce(timeout=300)
    check(platform, expected)
    digest = agreed(platform, mode)

    load(platform, trace, mode)
    platform.quiesce(timeout=300)
    check(platform, expected)
    assert platform.digest() == digest, "published twice, in effect once"
    assert all(p.running() for p in roles.values())
    assert all(p.stop() == 0 for p in roles.values())


# The embedded broker gives a dead worker a second to come back, so that one lives longer.
@pytest.mark.trace
@pytest.mark.parametrize("broker, interval", [("kafka", 1), ("embedded", 2.5)],
                         indirect=["broker"])
def test_killed_every_second_and_postgres_restarted_twice(
        broker, postgres, own_postgres, make_platform, trace, expected, interval):
    platform = make_platform(broker, own_postgres)
    checker = Checker(platform.url)
    checker.start()
    reaper = Reaper(platform, interval=interval)
    reaper.start()
    loader = threading.Thread(target=load, args=(platform, trace, "binary"),
                              kwargs={"pace": max(300, expected["events"] // 16)})
    loader.start()
    for mode in ("fast", "immediate"):
        done = platform.value("select count(*) from busline.ledger")
        wait_for(lambda: platform.value("select count(*) from busline.ledger") > done,
                 lambda: "the ledger grows although workers are killed\n" + platform.tails(), 60)
        own_postgres.command("restart", "-m", mode)
        if broker.kind == "embedded":
            broker.kill()
            broker.run()
    loader.join(900)
    reaper.halt()
    platform.quiesce(timeout=300)
    checker.finish(least=10)
    check(platform, expected)
    print(f"\n{reaper.kills} kills, {checker.looks} looks at ledger and state, "
          f"{checker.unreachable} while PostgreSQL was away")

    calm = make_platform(broker, postgres, fresh_log=False)
    calm.start_all()
    calm.quiesce(timeout=300)
    check(calm, expected)
    assert platform.digest() == calm.digest()
    agreed(platform, "kills")


def trickle(broker, stop, count):
    """About 500 events a second over 60 applications, until told to stop."""
    publisher = broker.publisher()
    number = 0
    while not stop.wait(0.02):
        for _ in range(10):
            publisher.publish([scale("alibaba", f"app-{number % 60}", "web", at=seconds(number),
                                     delta=1)])
            number += 1
    publisher.flush()
    count.append(number)


def later(ends, before):
    return ends if all(ends[p] > before[p] for p in ends) else None


@on_both_brokers
def test_another_worker_takes_over(platform):
    """The kill test under which peers stand still for 45 s, and ledger and state part."""
    took = []
    stop, count = threading.Event(), []
    workers = [platform.start("scale") for _ in range(2)]
    wait_for(lambda: platform.shares("scale") == [3, 3], "two share", 60)
    checker = Checker(platform.url)
    checker.start()
    publishing = threading.Thread(target=trickle, args=(platform.broker, stop, count))
    publishing.start()
    for victim in (0, 1):
        wait_for(lambda: all(platform.positions("busline.scale").get(p, 0) > 50 * (victim + 1)
                             for p in range(6)), "all partitions move", 60)
        workers[victim].kill()
        began = time.monotonic()
        at_kill = platform.broker.ends("busline.scale")
        # Events nobody but a successor can have folded, in every partition.
        ends = wait_for(lambda: later(platform.broker.ends("busline.scale"), at_kill), "events", 10)
        wait_for(lambda: all(platform.positions("busline.scale").get(p, 0) >= end
                             for p, end in ends.items()),
                 lambda: "the other worker takes over\n" + platform.tails(), 60, 0.02)
        took.append(time.monotonic() - began)
        workers[victim] = platform.start("scale")
        wait_for(lambda: platform.shares("scale") == [3, 3], "two share", 60)
    stop.set()
    publishing.join(60)
    platform.quiesce(["busline.scale"])
    checker.finish(least=20)
    assert_once(platform, count[0])
    print(f"\ntaken over after {', '.join(f'{s:.1f} s' for s in took)}; {checker.looks} looks: "
          "ledger and state agree, no step back")
    # The one waits for the end of the session, the other for a second after the connection's.
    assert max(took) <= (10 if platform.broker.kind == "kafka" else 4 * SLOW)
