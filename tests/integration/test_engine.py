"""What a worker meets in a batch: rows PostgreSQL refuses, repeats, conflicts, missing offsets."""

import json

import pytest
from confluent_kafka import Producer

from support.checker import DISAGREEMENTS, assert_once
from support.events import cloud_event, scale, seconds, to_record
from support.platform import on_both_brokers, wait_for

TOPIC = "busline.scale"


def publish(platform, records):
    publisher = platform.broker.publisher()
    publisher.publish(records)
    publisher.flush()


def request(number, process="web", **changes):
    return scale("acme", f"app-{number % 20}", process, at=seconds(number),
                 **({"delta": 1} | changes))


def test_a_row_that_postgres_refuses_stops_only_its_event(platform):
    """The fold was content, the database is not: the unit is cut down to find the culprit."""
    platform.execute("alter table paas.scale add constraint no_poison "
                     "check (process <> 'poison')")
    poison = {n for n in range(300) if n % 97 == 5}
    publish(platform, [request(n, "poison" if n in poison else "web") for n in range(300)])
    worker = platform.start("scale")
    platform.quiesce([TOPIC])
    dead = platform.rows("select cause, detail, id from busline.dead_letter")
    assert len(dead) == len(poison)
    assert {cause for cause, _, _ in dead} == {"constraint"}
    assert all("no_poison" in detail for _, detail, _ in dead)
    assert platform.value("select sum(desired) from paas.scale") == 300 - len(poison)
    assert_once(platform, 300)
    # It goes on in whole batches afterwards.
    publish(platform, [request(n) for n in range(300, 600)])
    platform.quiesce([TOPIC])
    assert platform.value("select sum(desired) from paas.scale") == 600 - len(poison)
    assert not platform.rows(DISAGREEMENTS)
    assert worker.running() and worker.stop() == 0


def test_repeats_and_conflicts_within_one_batch(platform):
    """The same event twice and thrice in a row, and another one under its id."""
    once = [request(n) for n in range(200)]
    ids = [record.id for record in once]
    twice = [record for record in once for _ in range(2)]
    other = [request(n, id=ids[n], delta=2) for n in range(0, 200, 50)]
    publish(platform, twice + once + other + other)
    platform.start("scale")
    platform.quiesce([TOPIC])
    assert platform.value("select sum(desired) from paas.scale") == len(once)
    dead = platform.rows("select cause, id, detail from busline.dead_letter")
    assert sorted(id for _, id, _ in dead) == sorted([ids[n] for n in range(0, 200, 50)] * 2)
    assert {cause for cause, _, _ in dead} == {"identity-conflict"}
    assert platform.value("select count(*) from busline.ledger where verdict = 'APPLIED'") \
        == len(once)
    assert not platform.rows(DISAGREEMENTS)


@pytest.mark.parametrize("batch", [1, 2000])
def test_offsets_that_are_missing_are_told_and_nothing_else_is(platform, batch):
    """Transactions leave marks in the log, where no record is; what was aborted never was."""
    producer = Producer({"bootstrap.servers": platform.broker.servers,
                         "partitioner": "murmur2_random",
                         "transactional.id": platform.name})
    producer.init_transactions(30)
    kept = 0
    for round_ in range(6):
        producer.begin_transaction()
        for number in range(round_ * 40, round_ * 40 + 40):
            record = request(number)
            producer.produce(TOPIC, value=record.value, key=record.key, headers=record.headers)
        assert producer.flush(30) == 0  # in the log, whatever becomes of it
        if round_ % 3 == 1:
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)
            kept += 40
    worker = platform.start("scale", BUSLINE_WORKER_BATCH_EVENTS=batch)
    wait_for(lambda: platform.value("select count(*) from busline.ledger") >= kept,
             lambda: "what was committed is in\n" + worker.tail(), 60)
    assert_once(platform, kept)
    assert platform.value("select sum(desired) from paas.scale") == kept
    incidents = platform.rows("select kind, count, detail from busline.incident")
    assert {kind for kind, _, _ in incidents} == {"offset-gap"}
    assert all("the log has no records" in detail for _, _, detail in incidents)
    assert worker.running() and worker.stop() == 0


@on_both_brokers
def test_more_workers_than_partitions(platform):
    """Who has nothing to read waits, and takes over when another leaves."""
    workers = [platform.start("scale") for _ in range(7)]
    wait_for(lambda: platform.shares("scale") == [0, 1, 1, 1, 1, 1, 1], "all have a share", 60)
    publish(platform, [request(n) for n in range(600)])
    platform.quiesce([TOPIC])
    assert workers[0].stop() == 0
    wait_for(lambda: platform.shares("scale") == [1] * 6, "the others have them all", 60)
    publish(platform, [request(n) for n in range(600, 1200)])
    platform.quiesce([TOPIC])
    assert platform.value("select sum(desired) from paas.scale") == 1200
    assert_once(platform, 1200)
    assert all(worker.running() for worker in workers[1:])


UNKNOWN = json.dumps({
    "name": "odd", "version": 1, "title": "Odd", "subject": "app",
    "input": {"type": "object", "properties": {}, "additionalProperties": False},
    "steps": [{"name": "odd", "title": "Odd", "compensation": None, "action": {
        "type": "io.busline.odd.requested.v1", "data": {}, "deadline": "5s",
        "success": ["io.busline.odd.done.v1"], "failure": ["io.busline.odd.failed.v1"]}}]})


@on_both_brokers
def test_a_worker_that_cannot_be_prepared_ends_and_reads_nothing(platform, tmp_path):
    """The saga worker reads its definitions before it joins; the event waits for the mended."""
    publish(platform, [to_record(cloud_event(
        "saga", "requested", "acme", "s1",
        {"definition": "scale-out", "input": {"app": "shop", "process": "web", "replicas": 2}},
        source="/test", at=seconds(0), id="first"))])
    wrong = tmp_path / "odd.v1.json"
    for text, why in (("{", "odd.v1.json: JSON line 1"),
                      (UNKNOWN, "no event has the type io.busline.odd.requested.v1"),
                      (None, "cannot be read")):
        if text is None:
            wrong.unlink()
            wrong.mkdir()
        else:
            wrong.write_text(text)
        worker = platform.start("saga", BUSLINE_SAGA_DEFINITIONS=tmp_path)
        assert worker.wait(30) == 78, worker.tail()
        said = worker.said()
        assert said.count(why) == 1 and str(wrong) in said, said
        assert "worker started" not in said
        assert not platform.rows("select 1 from busline.position where topic = 'busline.saga'")
        assert not platform.rows("select 1 from busline.ledger")
    wrong.rmdir()
    worker = platform.start("saga", BUSLINE_SAGA_DEFINITIONS=tmp_path)
    verdict = "select verdict::text from busline.ledger where id = 'first'"
    wait_for(lambda: platform.rows(verdict) == [("APPLIED",)],
             lambda: "what waited is folded\n" + worker.tail())
    assert worker.stop() == 0
