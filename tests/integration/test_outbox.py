"""The outbox: what is committed is published, in order per key, whoever dies when."""

import os
import random

import psycopg
import pytest

from support.events import cloud_event, seconds, to_record
from support.platform import PROMISED, on_both_brokers, wait_for
from support.tcp_proxy import Proxy
from support.writers import Writer

WRITERS = 16
ROUNDS = 12
ROWS = int(os.environ.get("BUSLINE_TEST_OUTBOX_ROWS", "1000000"))
TARGET = "busline.catalog"

# All three tables that take turns, with their indexes.
SIZE = """
select sum(pg_total_relation_size(inhrelid))::bigint from pg_inherits
where inhparent = 'busline.outbox'::regclass
"""


def record(writer, number):
    return to_record(cloud_event("catalog", "app.created", "acme", f"app-{writer}-{number % 3}",
                                 {"description": str(number)}, source=f"/writer/{writer}",
                                 at=seconds(number), id=f"{writer}-{number}"))


@pytest.fixture
def relayed(platform):
    platform.settings["BUSLINE_RELAY_LEASE_MS"] = 500
    return platform


def published(platform):
    """Ids by key in the order of the log; a repeat is where it was first."""
    order, seen = {}, set()
    for partition, messages in platform.broker.read(TARGET).items():
        for message in messages:
            id = dict(message.headers())["ce_id"].decode()
            if id not in seen:
                seen.add(id)
                order.setdefault(message.key(), []).append(id)
    return order


def drained(platform, timeout=60):
    wait_for(lambda: platform.value(PROMISED) == 0,
             lambda: f"published: {platform.value(PROMISED)} rows left\n" + platform.tails(),
             timeout)


@on_both_brokers
def test_writers_in_reverse_order_and_a_relay_that_dies(relayed):
    """Sixteen transactions begin in one order and commit in the other; some are rolled back;
    the relay is killed again and again after it published and before it marked."""
    platform, rng = relayed, random.Random(5)
    writers = [Writer(platform, "test.writers", n) for n in range(WRITERS)]
    numbers = [0] * WRITERS
    committed, aborted = {}, set()
    for _ in range(ROUNDS):
        relay = platform.start("relay", crash="relay-published")
        fates = []
        for n, writer in enumerate(writers):
            records = [record(n, numbers[n] + i) for i in range(rng.randint(1, 8))]
            numbers[n] += len(records)
            writer.begin(records)
            fates.append((writer, records, rng.random() < 0.25))
        for writer, records, gives_up in reversed(fates):
            if gives_up:
                writer.abort()
                aborted.update(r.id for r in records)
                continue
            writer.commit()
            for r in records:
                committed.setdefault(r.key, []).append(r.id)
        assert relay.wait(30) == -9, relay.tail()
    platform.start("relay")
    drained(platform)
    order = published(platform)
    assert aborted and not aborted & {id for ids in order.values() for id in ids}
    assert order == committed, "all that is committed, in the order of its key"
    total = sum(len(m) for m in platform.broker.read(TARGET).values())
    assert total > sum(map(len, committed.values())), "relays did die before they marked"
    for writer in writers:
        writer.close()


def test_one_relay_at_a_time_and_a_second_one_takes_over(relayed):
    platform = relayed
    writer = Writer(platform, "test.writers", 0)
    relays = [platform.start("relay") for _ in range(2)]
    number = 0
    for _ in range(3):
        wait_for(lambda: platform.rows("select 1 from busline.lease where name = 'relay' "
                                       "and expires_at > now()"), "a relay holds the lease", 30)
        for _ in range(5):
            writer.begin([record(0, number)])
            writer.commit()
            number += 1
        drained(platform)
        holder = platform.value("select holder from busline.lease where name = 'relay'")
        mine = next((r for r in relays if str(r.pid) in holder), None)
        assert mine, f"the holder {holder!r} names a process"
        mine.kill()
        relays.remove(mine)
        writer.begin([record(0, number)])
        writer.commit()
        number += 1
        drained(platform, 10)
        assert platform.value("select holder from busline.lease where name = 'relay'") != holder
        relays.append(platform.start("relay"))
    ids = [id for ids in published(platform).values() for id in ids]
    assert sorted(ids) == sorted(f"0-{n}" for n in range(number))
    writer.close()


# Transactions of this database that PostgreSQL rolled back.
REFUSED = "select xact_rollback from pg_stat_database where datname = current_database()"


def test_a_frozen_relay_cannot_mark(relayed):
    """Its mark is held in the network until another relay has the lease."""
    platform = relayed
    user = platform.name + "_relay"
    platform.execute(f"create role {user} login superuser password 'x'")
    proxy = Proxy(*platform.postgres.address())
    writer = Writer(platform, "test.writers", 0)
    first = platform.start("relay", BUSLINE_DB_URL=platform.postgres.url_of(
        platform.name, host="127.0.0.1", port=proxy.port, user=user, password="x",
        sslmode="disable", gssencmode="disable"))
    writer.begin([record(0, 0)])
    writer.commit()
    drained(platform)
    proxy.hold_from(b"outbox_mark")
    writer.begin([record(0, 1)])
    writer.commit()
    wait_for(lambda: proxy.waiting > 0, "the mark is under way", 30, 0.001)
    first.freeze()
    second = platform.start("relay")
    for number in range(2, 200):
        writer.begin([record(0, number)])
        writer.commit()
    drained(platform)
    holder = platform.rows("select holder, epoch from busline.lease where name = 'relay'")
    assert str(second.pid) in holder[0][0]
    refused = platform.value(REFUSED)
    proxy.release()
    wait_for(lambda: platform.value(REFUSED) > refused, "the late mark is refused", 30)
    first.thaw()
    for number in range(200, 400):
        writer.begin([record(0, number)])
        writer.commit()
    drained(platform)
    assert platform.rows("select holder, epoch from busline.lease where name = 'relay'") == holder
    assert first.running() and second.running()
    for key, ids in published(platform).items():
        assert ids == sorted(ids, key=lambda id: int(id.split("-")[1])), key
    first.kill()
    writer.close()
    proxy.close()
    platform.execute(f"drop role {user}")


FILL = """
with moved as (
    update busline.position set outbox_seq = outbox_seq + %(n)s where stream = %(stream)s
    returning outbox_seq - %(n)s as seq)
insert into busline.outbox (slot, stream, seq, kind, topic, key, headers, data)
select (select slot from busline.outbox_rotation), %(stream)s, seq + i, 0, %(topic)s,
       convert_to('acme/app-' || i %% 100, 'UTF8'), '\\x00000000'::bytea,
       decode(repeat('ab', 200), 'hex')
from moved, generate_series(1, %(n)s) i
"""


def test_size_stays_flat(relayed):
    """A million rows go through; half of them while an old transaction stays open."""
    platform, batch = relayed, 5000
    platform.start("relay")
    writer = Writer(platform, "test.writers", 0)
    peaks, sizes, old = [], [], None
    done = 0
    while done < ROWS:
        if old is None and done >= ROWS / 2:
            peaks.append(max(sizes))
            sizes = []
            old = psycopg.connect(platform.url)
            old.execute("set transaction isolation level repeatable read")
            old.execute("select count(*) from busline.position").fetchone()
        with writer.connection.cursor() as cursor:
            cursor.execute(FILL, {"n": batch, "stream": writer.stream, "topic": TARGET})
            cursor.execute(Writer.NOTIFY)
        writer.commit()
        done += batch
        wait_for(lambda: platform.value(PROMISED) < 8 * batch, "the relay keeps up", 60, 0.01)
        sizes.append(platform.value(SIZE))
    drained(platform)
    peaks.append(max(sizes))
    wait_for(lambda: platform.value(SIZE) < peaks[0], "emptied while the transaction is open", 30)
    per_row = 420
    print(f"\npeak {peaks[0] / 1e6:.1f} MB, with an old transaction {peaks[1] / 1e6:.1f} MB, "
          f"at the end {platform.value(SIZE) / 1e6:.1f} MB; a table that keeps all would have "
          f"{ROWS * per_row / 1e6:.0f} MB")
    assert peaks[1] <= 2 * peaks[0]
    assert max(peaks) < ROWS * per_row / 4 or ROWS < 500000
    assert sum(platform.broker.ends(TARGET).values()) >= ROWS
    old.close()
    writer.close()
