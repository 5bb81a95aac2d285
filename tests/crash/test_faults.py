"""What networks, servers and operators do: nothing is lost, nothing counts twice."""

import itertools
import os
import signal
import time

import pytest

from support.checker import DISAGREEMENTS, Checker, assert_once
from support.events import scale, seconds
from support.platform import BROKERS, PARTITIONS, on_both_brokers, wait_for
from support.tcp_proxy import Proxy

TOPIC = "busline.scale"


class Stream:
    def __init__(self, broker):
        self.numbers, self.count = itertools.count(), 0
        self.publisher = broker.publisher()

    def publish(self, count, partition=None):
        for number in itertools.islice(self.numbers, count):
            self.publisher.publish([scale("acme", f"app-{number % 60}", "web",
                                          at=seconds(number), delta=1)], partition)
        self.publisher.flush()
        self.count += count


def check(platform, stream):
    platform.quiesce([TOPIC])
    assert not platform.rows(DISAGREEMENTS)
    assert platform.value("select sum(desired) from paas.scale") == stream.count
    assert_once(platform, stream.count)


@on_both_brokers
def test_commit_answer_lost(platform):
    """Committed, but the answer never arrives: the position row tells."""
    proxy = Proxy(*platform.postgres.address())
    url = platform.postgres.url_of(platform.name, host="127.0.0.1", port=proxy.port,
                                   user=login(platform), password="x",
                                   sslmode="disable", gssencmode="disable")
    worker = platform.start("scale", BUSLINE_DB_URL=url, BUSLINE_WORKER_BATCH_EVENTS=50)
    stream = Stream(platform.broker)
    stream.publish(100)
    platform.quiesce([TOPIC])
    for round_ in range(10):
        proxy.lose_commits(1)
        stream.publish(300)
        wait_for(lambda: proxy.commits_to_lose == 0, "an answer was lost", 30)
        platform.quiesce([TOPIC])
        assert not platform.rows(DISAGREEMENTS)
    assert proxy.lost == 10
    assert worker.running(), worker.tail()
    check(platform, stream)
    worker.stop()
    proxy.close()
    platform.execute(f"drop role {login_name(platform)}")


def login_name(platform):
    return platform.name + "_tcp"


def login(platform):
    """Over TCP a password is asked for."""
    platform.execute(f"create role {login_name(platform)} login superuser password 'x'")
    return login_name(platform)


def backend_of(platform):
    rows = platform.rows("select pid from pg_stat_activity where datname = current_database() "
                         "and application_name like '%%scale%%'")
    return rows[0][0] if rows else None


def test_backend_frozen_for_30_seconds(platform):
    """libpq would wait for ever; the worker has a deadline of its own and goes on elsewhere."""
    worker = platform.start("scale")
    stream = Stream(platform.broker)
    stream.publish(500)
    platform.quiesce([TOPIC])
    frozen = wait_for(lambda: backend_of(platform), "the worker's backend", 10)
    os.kill(frozen, signal.SIGSTOP)
    began = time.monotonic()
    try:
        stream.publish(500)
        # The frozen backend may hold the locks of its unit: only its end frees them.
        while time.monotonic() < began + 30:
            assert worker.running(), worker.tail()
            time.sleep(0.5)
    finally:
        os.kill(frozen, signal.SIGCONT)
    stream.publish(500)
    check(platform, stream)
    assert backend_of(platform) != frozen, "the frozen connection was given up"
    assert "deadline" in worker.said() or "answer" in worker.said(), worker.tail()
    assert worker.stop() == 0


@pytest.mark.parametrize("how", ["restart", "kill"])
@pytest.mark.parametrize("own_broker", BROKERS, indirect=True)
def test_broker_restarted(own_broker, postgres, make_platform, how):
    platform = make_platform(own_broker, postgres)
    checker = Checker(platform.url)
    checker.start()
    roles = platform.start_all(["scale", "relay"])
    stream = Stream(own_broker)
    stream.publish(2000)
    stream.publish(2000, partition=0)  # most of them go home through the relay
    wait_for(lambda: platform.value("select count(*) from busline.ledger where verdict = "
                                    "'REROUTED'") > 100, "it runs", 30)
    if how == "kill":
        own_broker.kill()
        own_broker.run()
    else:
        own_broker.restart()
    stream.publish(2000)
    stream.publish(1000, partition=3)
    check(platform, stream)
    checker.finish(least=5)
    assert all(p.running() for p in roles.values()), platform.tails()
    # The ones that lived through it, and a new one, both still work.
    stream.publish(500)
    check(platform, stream)


def test_any_node_of_three_may_die(three_kafkas, postgres, make_platform):
    """Three copies, two of which must have an event: killing one node after the other loses
    nothing and stops nothing for long."""
    platform = make_platform(three_kafkas, postgres, BUSLINE_TOPIC_REPLICATION=3,
                             BUSLINE_TOPIC_MIN_ISR=2)
    roles = platform.start_all(["scale", "relay"])
    stream = Stream(three_kafkas)
    stream.publish(500)
    for node in ("1", "2", "3"):
        three_kafkas.command("kill", "--node", node)
        stream.publish(500)
        check(platform, stream)
        three_kafkas.command("start")
        # The next one may die when all copies are whole again.
        wait_for(lambda: all(len(partition.isrs) == 3
                             for topic in three_kafkas.admin.list_topics(timeout=10).topics.values()
                             if topic.topic.startswith("busline.")
                             for partition in topic.partitions.values()),
                 f"node {node} has caught up", 60)
    assert all(p.running() for p in roles.values()), platform.tails()


@on_both_brokers
def test_topic_truncated_below_the_stored_position(platform):
    """Records the worker never saw are gone: that partition holds, the others flow."""
    worker = platform.start("scale")
    stream = Stream(platform.broker)
    stream.publish(600)
    platform.quiesce([TOPIC])
    assert worker.stop() == 0
    before = platform.positions(TOPIC)
    done = dict(platform.rows("select partition, count(*) from busline.ledger "
                              "join busline.position using (stream) group by 1"))

    stream.publish(600)
    platform.broker.trim(TOPIC, 2, before[2] + 10)
    assert platform.broker.bounds(TOPIC)[2][0] == before[2] + 10

    worker = platform.start("scale")
    incident = wait_for(
        lambda: platform.rows('select kind, partition, "offset", detail from busline.incident'),
        lambda: "an incident opens\n" + worker.tail(), 60)
    assert len(incident) == 1
    kind, partition, offset, detail = incident[0]
    assert (kind, partition, offset) == ("out-of-range", 2, before[2])
    assert str(before[2]) in detail and f"{TOPIC}/2" in detail and "holds" in detail

    ends = platform.broker.ends(TOPIC)
    others = [p for p in range(PARTITIONS) if p != 2]
    wait_for(lambda: all(platform.positions(TOPIC)[p] == ends[p] for p in others),
             lambda: "the other partitions flow\n" + worker.tail(), 60)
    stream.publish(300)
    ends = platform.broker.ends(TOPIC)
    wait_for(lambda: all(platform.positions(TOPIC)[p] == ends[p] for p in others),
             lambda: "they keep flowing\n" + worker.tail(), 60)
    assert platform.positions(TOPIC)[2] == before[2], "nothing is skipped"
    now = dict(platform.rows("select partition, count(*) from busline.ledger "
                             "join busline.position using (stream) group by 1"))
    assert now[2] == done[2]
    assert worker.running()

    # A restart does not talk it into skipping either.
    assert worker.stop() == 0
    worker = platform.start("scale")
    wait_for(lambda: "held" in worker.said(), lambda: "held again\n" + worker.tail(), 60)
    assert platform.positions(TOPIC)[2] == before[2]
    assert platform.value("select count(*) from busline.incident") == 1, "one incident, counted on"
