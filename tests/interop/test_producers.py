"""Foreign producers partition as they like; order and effects are those of a right one.

Each producer sends 20 requests for each of the same 50 applications, to a process type of its
own: what one producer sends for one application has an order, what two send has none, and the
state must depend on the first and not on the second.

A null key gives events no order beyond that of the partition each happens to lie in. So there
are two such producers: one that stays on the partition it was given (as Java's and librdkafka's
do for a while), whose order is kept whole; and one that changes it with every event, whose
requests are each for a process type of its own.
"""

import random

import psycopg
import pytest

from support.checker import assert_once
from support.events import Publisher, scale, seconds
from support.platform import PARTITIONS, Platform, wait_for

APPS = 50
EACH = 20
TOPIC = "busline.scale"

# name: librdkafka's settings, whether it sends a key
PRODUCERS = {
    "crc32": ({"partitioner": "consistent_random"}, True),
    "murmur2": ({"partitioner": "murmur2_random"}, True),
    "null-staying": ({"partitioner": "consistent_random",
                      "sticky_partitioning_linger_ms": 900000}, False),
    "null-roaming": ({"partitioner": "consistent_random",
                      "sticky_partitioning_linger_ms": 0}, False),
}


def streams(key=None):
    """What each producer sends, in its order."""
    for kind, name in enumerate(PRODUCERS):
        rng = random.Random(name)
        sent = []
        for round_ in range(EACH):
            for app in rng.sample(range(APPS), APPS):
                number = round_ * APPS + app
                process = f"n{round_}" if name == "null-roaming" else name
                # Absolute requests: two that change places leave another state behind.
                sent.append(scale("acme", f"app-{app}", process, source=f"/producer/{name}",
                                  at=seconds(number * 10 + kind), replicas=rng.randint(0, 900),
                                  key=PRODUCERS[name][1] if key is None else key))
        yield name, sent


def interleaved(per_producer):
    rng = random.Random(11)
    left = {name: list(reversed(sent)) for name, sent in per_producer.items()}
    while left:
        name = rng.choice(sorted(left))
        for _ in range(min(rng.randint(1, 5), len(left[name]))):
            yield name, left[name].pop()
        if not left[name]:
            del left[name]


TOTAL = APPS * EACH * len(PRODUCERS)


@pytest.fixture(scope="module")
def foreign(kafka, postgres):
    """The log the foreign producers wrote, folded once by one worker of each kind."""
    platform = Platform(kafka, postgres).prepare()
    platform.start_all(["scale", "relay"])
    publishers = {name: Publisher(kafka.servers, **settings)
                  for name, (settings, _) in PRODUCERS.items()}
    places = {}

    def note(record, partition, offset):
        places[record.id] = (partition, offset)
    begun = set()
    for name, record in interleaved(dict(streams())):
        publishers[name].publish([record], note=note)
        if name not in begun:
            # librdkafka stays on a partition once it knows the topic.
            publishers[name].flush()
            begun.add(name)
    for publisher in publishers.values():
        publisher.flush()
    platform.quiesce([TOPIC], timeout=120)
    platform.places = places
    yield platform
    platform.close()


def at_home(platform):
    """(source, app) -> ids in the order in which they took effect."""
    order = {}
    for source, app, id in platform.rows(
            "select source, subject, id from busline.events "
            "where topic = %s and verdict = 'APPLIED' order by partition, \"offset\"", TOPIC):
        order.setdefault((source, app), []).append(id)
    return order


def test_each_event_in_effect_once(foreign):
    assert_once(foreign, TOTAL)
    homes = foreign.rows("select subject from busline.events where verdict = 'APPLIED' "
                         "group by 1 having count(distinct partition) > 1")
    assert not homes, "all of a key takes effect in one partition"
    astray = foreign.value("select count(*) from busline.events where verdict = 'REROUTED'")
    assert astray > TOTAL / 4, "the foreign producers did miss homes"


def test_order_per_producer_and_app_is_kept(foreign):
    order = at_home(foreign)
    staying = {foreign.places[record.id][0] for record in dict(streams())["null-staying"]}
    assert len(staying) == 1, "it stayed"
    for name, sent in streams():
        if name == "null-roaming":
            continue
        wanted = {}
        for record in sent:
            app = dict(record.headers)["ce_subject"].decode()
            wanted.setdefault((f"/producer/{name}", app), []).append(record.id)
        assert len(wanted) == APPS
        for stream, ids in wanted.items():
            assert order[stream] == ids, stream


def test_order_of_each_partition_is_kept_for_a_roaming_producer(foreign):
    checked = 0
    for (source, _), ids in at_home(foreign).items():
        if source != "/producer/null-roaming":
            continue
        for partition in range(PARTITIONS):
            offsets = [foreign.places[id][1] for id in ids if foreign.places[id][0] == partition]
            assert offsets == sorted(offsets)
            checked += len(offsets) > 1
    assert checked > APPS, "there were events to compare"


def test_one_worker_or_four_same_digest(foreign, make_platform):
    for workers, shares in ((1, [6]), (4, [1, 1, 2, 2])):
        again = make_platform(foreign.broker, foreign.postgres, fresh_log=False)
        # Nobody gets anything done before all have their share.
        with psycopg.connect(again.url) as gate:
            gate.execute("lock table busline.identity in share mode")
            for _ in range(workers):
                again.start("scale")
            again.start("relay")
            wait_for(lambda: again.shares("scale") == shares, "all have their share", 60)
            assert again.value("select count(*) from busline.ledger") == 0
        again.quiesce([TOPIC], timeout=120)
        assert_once(again, TOTAL)
        assert again.digest() == foreign.digest(), f"{workers} workers"


def test_partitions_read_in_another_order_same_digest(foreign, make_platform):
    """The same log made again partition by partition, the last one first, each folded to its
    end before the next begins."""
    log = foreign.broker.read(TOPIC)
    wanted = foreign.digest()
    again = make_platform(foreign.broker, foreign.postgres)
    again.start_all(["scale", "relay"])
    publisher = Publisher(again.broker.servers)
    for partition in reversed(range(PARTITIONS)):
        for message in log[partition]:
            publisher.producer.produce(TOPIC, value=message.value(), key=message.key(),
                                       headers=message.headers(), partition=partition,
                                       on_delivery=publisher._report)
            publisher.producer.poll(0)
        publisher.flush()
        wait_for(lambda: not again.behind([TOPIC]), f"partition {partition} done", 60)
    assert_once(again, TOTAL)
    assert again.digest() == wanted


def test_digest_is_that_of_one_right_producer(foreign, make_platform):
    wanted = foreign.digest()
    right = make_platform(foreign.broker, foreign.postgres)
    right.start_all(["scale", "relay"])
    publisher = Publisher(right.broker.servers)
    for _, sent in streams(key=True):
        publisher.publish(sent)
    publisher.flush()
    right.quiesce([TOPIC], timeout=120)
    assert_once(right, TOTAL)
    assert not right.value("select count(*) from busline.events where verdict = 'REROUTED'")
    assert right.digest() == wanted
