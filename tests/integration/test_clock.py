"""The clock: no timer early, none twice, none lost, whatever wall clocks do and whoever dies."""

import json
import os
import random
import threading
import time

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME

from support.platform import PROMISED, Postgres, on_both_brokers, scratch, wait_for
from support.writers import Writer, arguments, query

LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
TOPIC = "busline.scale"
HOUR = 3600
# On the second broker it is only asked whether that is one, too.
TIMERS = {"embedded": 1000, "kafka": 300}


class Wall:
    """The wall clock of whoever is started with env: real time and an offset that may step. The
    time since boot is left alone, as by an operator's `date --set`."""

    def __init__(self):
        self.folder = scratch("wall")
        self.file = self.folder / "offset"
        self.step(0)
        self.env = {"LD_PRELOAD": LIBRARY, "FAKETIME_TIMESTAMP_FILE": str(self.file),
                    "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1"}
        # A sanitizer wants to be loaded first, and does well without.
        self.clock_env = {**self.env, "ASAN_OPTIONS": ":".join(
            filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))}

    def step(self, seconds):
        new = self.folder / "offset.new"
        new.write_text(f"{seconds:+d}\n")
        new.chmod(0o644)
        new.rename(self.file)


@pytest.fixture(scope="module")
def wall():
    assert os.path.exists(LIBRARY), "the package libfaketime is missing: run ops/install test"
    return Wall()


@pytest.fixture(scope="module")
def postgres(wall):
    """A server whose clock steps."""
    os.environ.update(wall.env)
    try:
        server = Postgres.start()
    finally:
        for name in wall.env:
            del os.environ[name]
    yield server
    wall.step(0)
    server.remove()


@pytest.fixture(scope="session")
def broker(request):
    """The embedded one, or what the test is parametrised with."""
    return request.getfixturevalue(getattr(request, "param", "embedded"))


@pytest.fixture
def platform(broker, postgres, wall, make_platform):
    wall.step(0)
    return make_platform(broker, postgres, BUSLINE_CLOCK_LEASE_MS=500,
                         BUSLINE_RELAY_LEASE_MS=500, BUSLINE_CLOCK_POLL_MS=200)


class Setter(Writer):
    """Sets and cancels timers as a worker's unit does; each setting has a cause of its own."""

    SET = query("timer_set") + "\nreturning name, xmax <> 0 as replaced"
    CANCEL = query("timer_cancel") + "\nreturning t.name"
    TELL = query("timer_notify")

    def __init__(self, platform, partition=0):
        super().__init__(platform, TOPIC, partition)
        self.causes = 0

    def set(self, delays):
        """{name: delay in ms}, in one transaction. Returns {name: (cause, moment, replaced)};
        the moment is real time when the statement is sent."""
        count = len(delays)
        names = sorted(delays)
        causes = {}
        for name in names:
            self.causes += 1
            causes[name] = f"{self.stream}-{self.causes}"
        moment = time.time()
        replaced = dict(self.connection.execute(self.SET, arguments(
            [self.stream] * count, ["acme"] * count, ["shop"] * count, names,
            [delays[name] for name in names], [None] * count, ["/test"] * count,
            [causes[name] for name in names], ["undertaking"] * count, [None] * count,
            ["tester"] * count)).fetchall())
        self.connection.execute(self.TELL)
        self.connection.commit()
        return {name: (causes[name], moment, replaced[name]) for name in names}

    def cancel(self, names):
        """Those that were still there; they never fire."""
        count = len(names)
        gone = self.connection.execute(self.CANCEL, arguments(
            [self.stream] * count, ["acme"] * count, ["shop"] * count, names)).fetchall()
        self.connection.commit()
        return {name for name, in gone}


def stamped_ms(message):
    """When it was in the log; Kafka's clients say of which kind that time is."""
    if hasattr(message, "timestamp_ms"):
        return message.timestamp_ms()
    kind, at_ms = message.timestamp()
    assert kind in (TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME)
    return at_ms


def fired(platform):
    """(cause, name, when it was in the log, data) of each event, repeats left out."""
    seen, events = set(), []
    for messages in platform.broker.read(TOPIC).values():
        for message in messages:
            headers = {name: value.decode() for name, value in message.headers()}
            assert headers["ce_type"] == "io.busline.timer.fired.v1"
            assert message.key() == b"acme/shop"
            assert headers["ce_correlationid"] == "undertaking"
            if headers["ce_id"] in seen:
                continue  # published again by the relay
            seen.add(headers["ce_id"])
            data = json.loads(message.value())
            events.append((headers["ce_causationid"], data["name"],
                           stamped_ms(message) / 1000, data))
    return events


def pending(platform):
    return platform.value("select count(*) from busline.timer")


def all_fired(platform, timeout=60):
    wait_for(lambda: pending(platform) == 0 and platform.value(PROMISED) == 0,
             lambda: f"{pending(platform)} timers left\n{platform.tails()}", timeout)
    events = fired(platform)
    promised = platform.value("select outbox_seq from busline.position "
                              "where topic = 'busline.clock'")
    assert promised == len(events), f"{promised} promised, {len(events)} different ones came"
    return events


def check(events, settings):
    """settings: {cause: (name, moment, delay in ms)} of all that must have fired."""
    causes = [cause for cause, *_ in events]
    assert len(causes) == len(set(causes)), "fired twice"
    assert set(causes) == set(settings), (
        f"lost: {set(settings) - set(causes)}, not to come: {set(causes) - set(settings)}")
    lateness = []
    for cause, name, arrived, _ in events:
        wanted, moment, delay = settings[cause]
        assert name == wanted
        late = arrived - moment - delay / 1000
        assert late >= -0.001, f"{name} came {-late:.3f} s early"
        lateness.append(late)
    return lateness


class Trouble(threading.Thread):
    """Steps the wall clock an hour to and fro, and kills one of two clocks with -9, at random."""

    def __init__(self, platform, wall, rng):
        super().__init__(daemon=True)
        self.platform, self.wall, self.rng = platform, wall, rng
        self.stopping = threading.Event()
        self.steps = self.kills = 0
        self.failure = None
        self.clocks = [self.launch(), self.launch()]

    def launch(self):
        return self.platform.start("clock", **self.wall.clock_env)

    def run(self):
        try:
            while not self.stopping.wait(self.rng.uniform(0.3, 1.2)):
                if self.rng.random() < 0.6:
                    self.wall.step(self.rng.choice((-HOUR, 0, HOUR)))
                    self.steps += 1
                if self.rng.random() < 0.6:
                    victim = self.rng.randrange(2)
                    assert self.clocks[victim].running(), self.clocks[victim].tail()
                    self.clocks[victim].kill()
                    self.kills += 1
                    self.clocks[victim] = self.launch()
        except Exception as failure:  # noqa: BLE001 - told to the test by halt()
            self.failure = failure

    def halt(self):
        self.stopping.set()
        self.join(30)
        if self.failure:
            raise self.failure


@on_both_brokers
def test_steps_of_the_wall_clock_and_kills(platform, wall):
    """Many timers, some cancelled and some set again, while the wall clock of PostgreSQL
    and of the clocks steps by an hour and the clocks die."""
    timers = TIMERS[platform.broker.kind]
    rng = random.Random(11)
    platform.start("relay")
    trouble = Trouble(platform, wall, rng)
    setter = Setter(platform)
    open_ones, must = {}, {}
    trouble.start()
    for round_ in range(timers // 20):
        delays = {f"t{round_}-{n}": rng.randrange(0, 12000) for n in range(20)}
        again = rng.sample(sorted(open_ones), min(4, len(open_ones)))
        delays.update({name: rng.randrange(0, 12000) for name in again})
        for name, (cause, moment, replaced) in setter.set(delays).items():
            if replaced:
                del must[open_ones[name]]
            must[cause] = (name, moment, delays[name])
            open_ones[name] = cause
        for name in setter.cancel(rng.sample(sorted(open_ones), 3)):
            del must[open_ones[name]]
        time.sleep(rng.uniform(0, 0.3))
    wait_for(lambda: time.time() > max(m + d / 1000 for _, m, d in must.values()),
             "the last is due", 60, 0.2)
    wait_for(lambda: trouble.failure or (trouble.steps > 10 and trouble.kills > 10),
             "trouble enough", 60)
    trouble.halt()
    lateness = check(all_fired(platform), must)
    print(f"{len(must)} fired, {trouble.steps} steps, {trouble.kills} kills, "
          f"late at most {max(lateness):.2f} s, median {sorted(lateness)[len(lateness) // 2]:.3f} s")
    assert len(must) > timers * 0.8


def test_exact_while_it_runs(platform):
    """Nothing disturbs it: each comes within a fraction of a second."""
    platform.start("relay")
    platform.start("clock")
    setter = Setter(platform)
    wait_for(lambda: platform.value("select count(*) from busline.clock"), "the clock leads")
    must, rng = {}, random.Random(3)
    for round_ in range(20):
        delays = {f"t{round_}-{n}": rng.randrange(0, 2000) for n in range(10)}
        for name, (cause, moment, _) in setter.set(delays).items():
            must[cause] = (name, moment, delays[name])
    lateness = check(all_fired(platform), must)
    print(f"late: median {sorted(lateness)[len(lateness) // 2] * 1000:.0f} ms, "
          f"worst {max(lateness) * 1000:.0f} ms")
    assert max(lateness) < 2


@pytest.mark.parametrize("step", (HOUR, -HOUR))
def test_a_step_while_no_clock_runs(platform, wall, step):
    """What was known before is due as if nothing had been; what was set while nobody looked is
    never early, and waits its whole delay again at most."""
    platform.start("relay")
    setter = Setter(platform)
    clock = platform.start("clock", **wall.clock_env)
    wait_for(lambda: platform.value("select count(*) from busline.clock"), "the clock leads")
    known = setter.set({"known": 4000})["known"]
    xid = platform.value("select xid from busline.timer")
    wait_for(lambda: platform.value("select seen_xid > %s from busline.clock", xid),
             "a sign of life that knows it")
    clock.kill()
    before = setter.set({"before": 5000})["before"]
    wall.step(step)
    after = setter.set({"after": 5000})["after"]
    wait_for(lambda: time.time() > known[1] + 2.5, "most of the first one's delay is over")
    clock = platform.start("clock", **wall.clock_env)
    lateness = check(all_fired(platform), {
        known[0]: ("known", known[1], 4000), before[0]: ("before", before[1], 5000),
        after[0]: ("after", after[1], 5000)})
    print(step, [f"{late:.2f}" for late in lateness])
    by_cause = {cause: arrived for cause, _, arrived, _ in fired(platform)}
    assert by_cause[known[0]] - known[1] < 4 + 1.5, "late although it was known\n" + clock.tail()
    assert max(lateness) < 5 + 3


@pytest.mark.parametrize("step", (HOUR, -HOUR))
def test_due_times_are_kept_right(platform, wall, step):
    """After a step the table says the same by the new time, so the next clock is not misled."""
    setter = Setter(platform)
    clock = platform.start("clock", **wall.clock_env)
    wait_for(lambda: platform.value("select count(*) from busline.clock"), "the clock leads")
    setter.set({"far": 600_000})
    left = "select extract(epoch from due_at - clock_timestamp())::float from busline.timer"
    assert abs(platform.value(left) - 600) < 5
    xid = platform.value("select xid from busline.timer")
    wait_for(lambda: platform.value("select seen_xid > %s from busline.clock", xid), "known")
    wall.step(step)
    wait_for(lambda: abs(platform.value(left) - 600) < 30,
             lambda: f"due time corrected: {platform.value(left)}\n{clock.tail()}", 10)
    assert "was stepped" in clock.said()


def test_one_that_was_frozen_is_fenced(platform):
    """A clock that sleeps between its look at the lease and its transaction finds another epoch:
    nothing fires under the old one."""
    platform.start("relay")
    setter = Setter(platform)
    clock = platform.start("clock", BUSLINE_CLOCK_LEASE_MS=2000)
    wait_for(lambda: platform.value("select count(*) from busline.clock"), "the clock leads")
    cause, moment, _ = setter.set({"one": 300})["one"]
    # What the event is made of cannot be read while this is locked.
    with setter.connection.transaction():
        setter.connection.execute("reset role")
        setter.connection.execute("lock table busline.position in access exclusive mode")
        wait_for(lambda: platform.value(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' "
            "and application_name = 'busline worker clock' and query like '%%cause_us%%'"),
            "the clock is about to fire", 5, 0.02)
        clock.freeze()
    platform.execute("update busline.position set epoch = epoch + 1 where topic = 'busline.clock';"
                     "update busline.lease set epoch = epoch + 1, holder = 'another', "
                     "expires_at = now() + interval '1 hour' where name = 'clock'")
    clock.thaw()
    wait_for(lambda: "lease lost" in clock.said(), clock.tail, 10)
    assert pending(platform) == 1 and platform.value(PROMISED) == 0 and not fired(platform)
    platform.execute("update busline.lease set expires_at = now() where name = 'clock'")
    check(all_fired(platform), {cause: ("one", moment, 300)})


@on_both_brokers
def test_a_frozen_leader_is_replaced(platform):
    """The one that stands by fires; the one that wakes up does not fire again."""
    platform.start("relay")
    setter = Setter(platform)
    first = platform.start("clock")
    wait_for(lambda: "lease taken" in first.said(), first.tail)
    second = platform.start("clock")
    must = {}
    for name, (cause, moment, _) in setter.set({f"t{n}": 1000 + n * 20
                                                for n in range(100)}).items():
        must[cause] = (name, moment, 1000 + int(name[1:]) * 20)
    first.freeze()
    wait_for(lambda: "lease taken" in second.said(), second.tail)
    wait_for(lambda: pending(platform) < 50, second.tail)
    first.thaw()
    check(all_fired(platform), must)
    wait_for(lambda: "lease lost" in first.said(), first.tail)


@on_both_brokers
def test_a_transaction_that_ends_late(platform):
    """Timers set by a transaction that is older than what the clock has seen since."""
    platform.start("relay")
    platform.start("clock")
    wait_for(lambda: platform.value("select count(*) from busline.clock"), "the clock leads")
    slow, quick = Setter(platform), Setter(platform, 1)
    with slow.connection.transaction():
        slow.connection.execute(slow.SET, arguments(
            [slow.stream], ["acme"], ["shop"], ["slow"], [0], [None], ["/test"], ["slow"],
            ["undertaking"], [None], ["tester"]))
        must = {}
        for n in range(3):
            cause, moment, _ = quick.set({f"t{n}": 0})[f"t{n}"]
            must[cause] = (f"t{n}", moment, 0)
            wait_for(lambda: pending(platform) == 0, "fired, and the other not to be seen")
        moment = time.time()
    must["slow"] = ("slow", moment, 0)
    check(all_fired(platform), must)


def test_late_is_told(platform):
    """No clock ran when they were due: each event says how late it is, the log in one line."""
    platform.start("relay")
    setter = Setter(platform)
    settings = setter.set({f"t{n}": 100 for n in range(50)})
    moment = max(moment for _, moment, _ in settings.values())
    wait_for(lambda: time.time() > moment + 2.5, "late", 10)
    states = platform.rows("select distinct state, overdue > interval '1 s' from busline.timers")
    assert states == [("overdue", True)]
    clock = platform.start("clock")
    events = all_fired(platform)
    assert len(events) == 50
    assert all(2000 < data["late_ms"] < 60000 for *_, data in events)
    lines = [line for line in clock.said().splitlines() if "fired late" in line]
    assert len(lines) == 1 and json.loads(lines[0])["count"] == 50, clock.tail()
