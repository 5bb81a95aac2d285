"""The outbox: what is committed is published, in order per key, whoever dies when."""

import os
import random
import threading

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
# Each table without rows: a page of its index and one of its TOAST's.
EMPTY = 3 * 2 * 8192


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


# Number of shards of each relay that counts as alive; the rest are those nobody alive has.
SHARES = "select holder, shard_count from busline.relays where alive"


def shared_out(platform, relays, timeout=30):
    """Waits until these relays and no others count as alive, and have all shards in equal parts."""
    def fair():
        shares = {int(holder.split("/")[-2]): count for holder, count in platform.rows(SHARES)}
        return (set(shares) == {relay.pid for relay in relays} and sum(shares.values()) == 16
                and max(shares.values()) - min(shares.values()) <= 1)
    wait_for(fair, lambda: f"equal shares: {platform.rows(SHARES)}\n{platform.tails()}", timeout)


def shards_of(platform, relay):
    return {shard for shard, in platform.rows(
        "select shard from busline.relay_shard where holder like %s", f"%/{relay.pid}/%")}


def in_order(platform):
    """First occurrences of a writer's events are in order in each partition."""
    for partition, messages in platform.broker.read(TARGET).items():
        last, seen = {}, set()
        for message in messages:
            id = dict(message.headers())["ce_id"].decode()
            if id in seen:
                continue
            seen.add(id)
            writer, number = map(int, id.split("-"))
            assert number > last.get(writer, -1), (partition, id)
            last[writer] = number


def test_three_relays_each_publish_their_own_shards(platform):
    """All but one are frozen: what gets out is what is in the shards of that one."""
    platform.settings["BUSLINE_RELAY_LEASE_MS"] = 15000
    writers = [Writer(platform, "test.writers", n) for n in range(WRITERS)]
    relays = [platform.start("relay") for _ in range(3)]
    shared_out(platform, relays)
    owned = [shards_of(platform, relay) for relay in relays]
    assert sorted(map(len, owned)) == [5, 5, 6] and set().union(*owned) == set(range(16))
    for number, working in enumerate(relays):
        for relay in relays:
            if relay is not working:
                relay.freeze()
        for n, writer in enumerate(writers):
            writer.begin([record(n, number)])
            writer.commit()
        waiting = """select array_agg(busline.relay_shard_of(stream)) from busline.position p
                     left join busline.outbox_mark m using (stream)
                     where p.outbox_seq > coalesce(m.seq, 0)"""
        others = set(range(16)) - owned[number]
        wait_for(lambda: set(platform.value(waiting)) == others,
                 lambda: f"{others} wait: {platform.value(waiting)}", 10)
        for relay in relays:
            relay.thaw()
        drained(platform)
    assert [shards_of(platform, relay) for relay in relays] == owned
    order = published(platform)
    assert sum(map(len, order.values())) == 3 * WRITERS
    assert sum(len(m) for m in platform.broker.read(TARGET).values()) == 3 * WRITERS
    for writer in writers:
        writer.close()


def test_the_shards_of_a_dead_relay_are_taken_over(relayed):
    platform = relayed
    writers = [Writer(platform, "test.writers", n) for n in range(WRITERS)]
    relays = [platform.start("relay") for _ in range(2)]
    for number in range(3):
        shared_out(platform, relays)
        relays.pop(0).kill()
        for n, writer in enumerate(writers):
            writer.begin([record(n, number)])
            writer.commit()
        drained(platform, 10)
        assert len(shards_of(platform, relays[0])) == 16
        relays.append(platform.start("relay"))
    ids = [id for ids in published(platform).values() for id in ids]
    assert sorted(ids) == sorted(f"{w}-{n}" for w in range(WRITERS) for n in range(3))
    for writer in writers:
        writer.close()


# Who has written which mark, and what was there before.
MARKS = """
create table public.mark (who text, stream int, before bigint, after bigint);
create function public.mark() returns trigger language plpgsql security definer as $$
begin
    insert into public.mark values (session_user, new.stream,
                                    case when tg_op = 'UPDATE' then old.seq end, new.seq);
    return null;
end $$;
create trigger mark after insert or update on busline.outbox_mark
    for each row execute function public.mark();
"""


class Load(threading.Thread):
    """A writer that goes on until it is told to stop; some of its transactions are rolled back."""

    def __init__(self, platform, number):
        super().__init__(daemon=True)
        self.number, self.rng = number, random.Random(number)
        self.writer = Writer(platform, "test.writers", number)
        self.stopping = threading.Event()
        self.committed, self.failure = {}, None

    def run(self):
        try:
            number = 0
            while not self.stopping.wait(self.rng.random() / 20):
                records = [record(self.number, number + i) for i in range(self.rng.randint(1, 8))]
                number += len(records)
                self.writer.begin(records)
                if self.rng.random() < 0.1:
                    self.writer.abort()
                    continue
                self.writer.commit()
                for r in records:
                    self.committed.setdefault(r.key, []).append(r.id)
        except Exception as failure:
            self.failure = failure

    def end(self):
        self.stopping.set()
        self.join()
        self.writer.close()
        if self.failure:
            raise self.failure


def kill(platform, relay):
    relay.kill()


def stop(platform, relay):
    assert relay.stop() == 0, relay.tail()


def freeze(platform, relay):
    """Until others have its shards; then it wakes up and ends like any other."""
    relay.freeze()
    assert shards_of(platform, relay)
    wait_for(lambda: not shards_of(platform, relay), relay.tail)
    relay.thaw()
    wait_for(lambda: "shards lost" in relay.said() and shards_of(platform, relay), relay.said)
    stop(platform, relay)


@on_both_brokers
def test_relays_come_and_go_under_load(relayed):
    platform, rng = relayed, random.Random(15)
    platform.settings["BUSLINE_RELAY_LEASE_MS"] = 1500
    platform.execute(MARKS)
    loads = [Load(platform, n) for n in range(WRITERS)]
    for load in loads:
        load.start()
    relays = [platform.start("relay") for _ in range(3)]
    shared_out(platform, relays)
    acts = [kill, stop, freeze] * 4
    rng.shuffle(acts)
    for number, act in enumerate(acts):
        relay = relays.pop(rng.randrange(len(relays)))
        if number % 2:
            relays.append(platform.start("relay"))
        act(platform, relay)
        if not number % 2:
            relays.append(platform.start("relay"))
        shared_out(platform, relays)
    for load in loads:
        load.end()
    drained(platform)
    committed = {key: ids for load in loads for key, ids in load.committed.items()}
    assert published(platform) == committed, "all that is committed, in the order of its key"
    in_order(platform)
    assert platform.rows("select * from public.mark where after < before") == []
    assert platform.value("select count(*) from public.mark") > len(acts) * WRITERS
    # Emptied; only their size is looked at: to read them would be in the way.
    wait_for(lambda: platform.value(SIZE) == EMPTY, lambda: f"{platform.value(SIZE)} bytes", 60)


def test_a_frozen_relay_cannot_mark(relayed):
    """Its mark is held in the network until another relay has its shards."""
    platform = relayed
    user = platform.name + "_relay"
    platform.execute(f"create role {user} login superuser password 'x'")
    platform.execute(MARKS)
    proxy = Proxy(*platform.postgres.address())
    writer = Writer(platform, "test.writers", 0)
    first = platform.start("relay", BUSLINE_DB_URL=platform.postgres.url_of(
        platform.name, host="127.0.0.1", port=proxy.port, user=user, password="x",
        sslmode="disable", gssencmode="disable"))
    marks = f"select count(*) from public.mark where who = '{user}'"
    writer.begin([record(0, 0)])
    writer.commit()
    drained(platform)
    assert platform.value(marks) == 1
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
    assert len(shards_of(platform, second)) == 16
    released = platform.value("select clock_timestamp()")
    proxy.release()
    wait_for(lambda: platform.rows("select 1 from pg_stat_activity where usename = %s and "
                                   "state = 'idle' and state_change > %s", user, released),
             "the late mark is answered", 30)
    assert platform.value(marks) == 1
    first.thaw()
    shared_out(platform, [first, second])
    for number in range(200, 400):
        writer.begin([record(0, number)])
        writer.commit()
    drained(platform)
    assert first.running() and second.running()
    assert "shards lost to another relay" in first.said()
    in_order(platform)
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


@pytest.mark.parametrize("relays", (1, 3))
def test_size_stays_flat(relayed, relays):
    """A million rows go through; half of them while an old transaction stays open."""
    platform, batch = relayed, 5000
    shared_out(platform, [platform.start("relay") for _ in range(relays)])
    writers = [Writer(platform, "test.writers", n) for n in range(1 if relays == 1 else WRITERS)]
    peaks, sizes, old = [], [], None
    done = 0
    while done < ROWS:
        if old is None and done >= ROWS / 2:
            peaks.append(max(sizes))
            sizes = []
            old = psycopg.connect(platform.url)
            old.execute("set transaction isolation level repeatable read")
            old.execute("select count(*) from busline.position").fetchone()
        writer = writers[done // batch % len(writers)]
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
    for writer in writers:
        writer.close()
