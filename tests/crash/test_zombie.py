"""A worker that was stopped until another owns its partitions, and then goes on."""

import threading

import pytest

from support.checker import Checker, assert_once
from support.events import scale, seconds
from support.platform import PARTITIONS, SLOW, on_both_brokers, wait_for
from support.tcp_proxy import Proxy

TOPIC = "busline.scale"

# Who writes the positions, seen by PostgreSQL itself.
WITNESS = """
create schema witness;
create table witness.write (seq bigint generated always as identity, who text, stream int,
    epoch_before bigint, epoch bigint, offset_before bigint, "offset" bigint);
create function witness.note() returns trigger language plpgsql security definer as $$
begin
    insert into witness.write (who, stream, epoch_before, epoch, offset_before, "offset")
    values (session_user, new.stream, old.epoch, new.epoch, old.next_offset, new.next_offset);
    return null;
end $$;
create trigger witness after update on busline.position
    for each row execute function witness.note();
"""

# Commits by somebody who is not the one that raised the epoch last.
TRESPASSES = """
select w.seq, w.who, owner.who, w.stream, w.epoch, w.offset_before, w."offset"
from witness.write w
cross join lateral (select who from witness.write o where o.stream = w.stream and o.seq <= w.seq
                    and o.epoch > o.epoch_before order by o.seq desc limit 1) owner
where w."offset" > w.offset_before and w.who <> owner.who
"""



class Stage:
    """Two scale workers under logins of their own, so that PostgreSQL can tell them apart."""

    def __init__(self, platform):
        self.platform = platform
        self.logins = {}
        platform.execute(WITNESS)
        for name in ("first", "second"):
            user = f"{platform.name}_{name}"
            platform.execute(f"create role {user} login password 'x' in role busline_worker")
            self.logins[name] = user

    def url(self, name, **changes):
        return self.platform.postgres.url_of(self.platform.name, user=self.logins[name],
                                             password="x", **changes)

    def start(self, name, url=None, **env):
        return self.platform.start("scale", BUSLINE_DB_URL=url or self.url(name), **env)

    def start_behind(self, proxy, name, **env):
        """Its way to PostgreSQL is the proxy."""
        return self.start(name, self.url(name, host="127.0.0.1", port=proxy.port,
                                         sslmode="disable", gssencmode="disable"), **env)

    def owners(self):
        """Who raised the epoch of each partition last."""
        return dict(self.platform.rows(
            "select distinct on (stream) partition, who from witness.write "
            "join busline.position using (stream) "
            "where write.epoch > epoch_before order by stream, seq desc"))

    def owner(self):
        """The same, if it is one for all."""
        owners = self.owners()
        names = set(owners.values())
        return names.pop() if len(owners) == PARTITIONS and len(names) == 1 else None

    def owned(self, name):
        return {p for p, who in self.owners().items() if who == self.logins[name]}

    def advances(self, name):
        return self.platform.value(
            'select count(*) from witness.write where who = %s and "offset" > offset_before',
            self.logins[name])

    def drop(self):
        self.platform.kill_all()
        for user in self.logins.values():
            self.platform.execute(f"drop role {user}")


# Transactions of this database that PostgreSQL rolled back.
REFUSED = "select xact_rollback from pg_stat_database where datname = current_database()"

SESSIONS = "select pid from pg_stat_activity where usename = %s"


@pytest.fixture
def stage(platform):
    stage = Stage(platform)
    yield stage
    stage.drop()


class Load(threading.Thread):
    """A few thousand events a second, so that a worker always has units under way."""

    def __init__(self, broker):
        super().__init__(daemon=True)
        self.publisher = broker.publisher()
        self.stopping = threading.Event()
        self.count = 0
        self.start()

    def run(self):
        while not self.stopping.wait(0.005):
            for _ in range(20):
                self.publisher.publish([scale("acme", f"app-{self.count % 40}", "web",
                                              at=seconds(self.count), delta=1)])
                self.count += 1

    def finish(self):
        """How many were published in all."""
        self.stopping.set()
        self.join(30)
        self.publisher.flush()
        return self.count


def check(stage, load, checker):
    count = load.finish()
    stage.platform.quiesce([TOPIC])
    checker.finish(least=20)
    assert not stage.platform.rows(TRESPASSES)
    assert_once(stage.platform, count)


@pytest.mark.parametrize("broker, attempt", [("kafka", 0), ("kafka", 1), ("kafka", 2),
                                             ("embedded", 0)], indirect=["broker"])
def test_stopped_until_replaced_commits_nothing(stage, attempt):
    platform = stage.platform
    checker = Checker(platform.url)
    checker.start()
    first = stage.start("first")
    wait_for(lambda: stage.owner() == stage.logins["first"], "the first owns all", 30)
    load = Load(platform.broker)
    wait_for(lambda: stage.advances("first") > 10, "the first works", 30)
    first.freeze()
    second = stage.start("second")
    wait_for(lambda: stage.owner() == stage.logins["second"], "the second owns all", 60)
    wait_for(lambda: stage.advances("second") > 10, "the second works", 30)
    first.thaw()
    wait_for(lambda: "given up" in first.said() or "fenced" in first.said(),
             lambda: "the first notices\n" + first.tail(), 30)
    check(stage, load, checker)
    assert first.running() and second.running()


@on_both_brokers
@pytest.mark.parametrize("how", ["whole", "half"])
def test_its_unit_arrives_after_the_other_took_over(stage, how):
    """The network holds the zombie's unit, or the second half of it, and delivers it when the
    epoch is another's. Half a unit has taken locks that the other must not wait for."""
    platform = stage.platform
    host, port = platform.postgres.address()
    proxy = Proxy(host, port)
    checker = Checker(platform.url)
    checker.start()
    first = stage.start_behind(proxy, "first")
    wait_for(lambda: stage.owner() == stage.logins["first"], "the first owns all", 30)
    load = Load(platform.broker)
    wait_for(lambda: stage.advances("first") > 10, "the first works", 30)
    proxy.hold_from(b"unit_fence") if how == "whole" else proxy.hold_in_the_middle()
    wait_for(lambda: proxy.waiting > 0, "a unit is under way", 30, 0.001)
    first.freeze()
    done = stage.advances("first")
    sessions = platform.rows(SESSIONS, stage.logins["first"])
    assert sessions
    stage.start("second")
    wait_for(lambda: stage.owner() == stage.logins["second"], "the second owns all", 60)
    wait_for(lambda: stage.advances("second") > 10, "the second works", 30)
    load.finish()
    platform.quiesce([TOPIC])
    refused = platform.value(REFUSED)
    proxy.release()
    # Half a unit that held locks was ended with its session, before it could be refused.
    wait_for(lambda: platform.value(REFUSED) > refused or
             not set(sessions) & set(platform.rows(SESSIONS, stage.logins["first"])),
             "the late unit is refused", 30)
    assert stage.advances("first") == done
    first.thaw()
    wait_for(lambda: "fenced" in first.said() or "given up" in first.said(),
             lambda: "the first notices\n" + first.tail(), 30)
    check(stage, load, checker)
    proxy.close()


# So long a worker waits for an answer that is held.
PATIENT = {"BUSLINE_DB_DEADLINE_MS": int(120000 * SLOW)}


@pytest.fixture
def moving(request, broker, postgres, make_platform):
    """A stage on one broker, and the other one, where nothing is yet."""
    other = request.getfixturevalue("embedded" if broker.kind == "kafka" else "kafka")
    other.wipe()
    stage = Stage(make_platform(broker, postgres, BUSLINE_BROKER_URL=broker.url))
    yield stage, other
    stage.drop()


@on_both_brokers
def test_its_unit_arrives_after_the_bus_has_moved(moving):
    """The old broker never took a partition from it, and the new one has not heard of it. The other
    worker has followed the bus, and has a unit under way itself, when that one comes: only the
    epoch says whose the partitions are."""
    stage, new = moving
    platform, old = stage.platform, stage.platform.broker
    ways = [Proxy(*platform.postgres.address()) for _ in range(2)]
    checker = Checker(platform.url)
    checker.start()
    first = stage.start_behind(ways[0], "first", **PATIENT)
    second = stage.start_behind(ways[1], "second", **PATIENT)
    wait_for(lambda: len(stage.owned("first")) == len(stage.owned("second")) == PARTITIONS // 2,
             "each owns its half", 60)
    load = Load(old)
    for name in stage.logins:
        wait_for(lambda name=name: stage.advances(name) > 10, f"the {name} works", 30)
    ways[0].hold_from(b"unit_fence")
    wait_for(lambda: ways[0].waiting > 0, "a unit is under way", 30)
    load.finish()
    halves = stage.owned("first"), stage.owned("second")
    wait_for(lambda: {p for _, p in platform.behind([TOPIC])} <= halves[0],
             "the second has done its part", 60)
    ways[1].hold_from(b"broker_url")
    asked = wait_for(lambda: ways[1].waiting, "the second asks where the bus is")
    platform.busline("migrate-broker", old.url, new.url)
    assert (stage.owned("first"), stage.owned("second")) == halves
    ways[1].hold_from(b"unit_fence")
    ways[1].release()
    wait_for(lambda: ways[1].waiting > asked,
             lambda: "the second has read on\n" + second.tail(), 60)
    # What it would do when it hears of that is not to be seen yet.
    first.freeze()
    done, refused = stage.advances("first"), platform.value(REFUSED)
    sessions = platform.rows(SESSIONS, stage.logins["first"])
    assert sessions
    ways[0].release()
    wait_for(lambda: platform.value(REFUSED) > refused or stage.advances("first") > done or
             not set(sessions) & set(platform.rows(SESSIONS, stage.logins["first"])),
             "the late unit is refused", 30)
    assert stage.advances("first") == done
    assert stage.owner() == stage.logins["second"]
    before = len(first.said())
    ways[1].release()
    first.thaw()
    wait_for(lambda: any(word in first.said()[before:] for word in ("fenced", "last unit lost")),
             lambda: "the first notices\n" + first.tail(), 30)
    platform.broker = new
    check(stage, load, checker)
    assert first.running() and second.running()
    for way in ways:
        way.close()
