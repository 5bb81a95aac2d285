"""Keys that wait behind an event that fails: budget, order, what operators do, and deaths."""

import itertools
import json
import os
import re
import time

import pytest

from support.events import cloud_event, scale, seconds, to_record
from support.platform import ROOT, on_both_brokers, wait_for

TOPIC = "busline.scale"
# The run of five minutes: BUSLINE_RETRY_SECONDS=300.
RETRY_SECONDS = float(os.environ.get("BUSLINE_RETRY_SECONDS", "12"))
POINTS = [point for point in
          re.findall(r'X\(\w+,\s*"([a-z-]+)"\)', (ROOT / "core/crash.h").read_text())
          if not point.startswith(("relay", "clock"))]
FAST = {"BUSLINE_WORKER_RETRY_BASE_MS": 20, "BUSLINE_WORKER_RETRY_CAP_MS": 100}

# Rows of an application named in public.poison are refused, for a reason that may pass. How
# often is counted by a sequence, which no rollback takes back.
POISON = """
create table public.poison (app text primary key, sqlstate text, sleeps boolean default false);
create sequence public.tries;
create function public.poison() returns trigger language plpgsql as $$
declare
    found public.poison;
begin
    select * into found from public.poison p where p.app = new.app;
    if found.sleeps then
        perform pg_sleep(30);
    elsif found.app is not null then
        perform nextval('public.tries');
        raise exception using errcode = found.sqlstate, message = 'poison';
    end if;
    return new;
end $$;
create trigger poison before insert or update on paas.scale
    for each row execute function public.poison();
grant usage on schema public to public;
grant select on public.poison to public;
grant all on sequence public.tries to public;
"""

HELD = """
select q.state, q.attempts, q.head, (select count(*) from busline.dead_letter d
       where d.stream = q.stream and d.tenant = q.tenant and d.subject = q.subject
         and d.state = 'open' and d.cause in ('transient', 'held'))
from busline.quarantine q where q.subject = %s
"""


def arm(platform, *apps, sqlstate="55P03", sleeps=False):
    for app in apps:
        platform.rows("insert into public.poison values (%s, %s, %s) returning 1",
                      app, sqlstate, sleeps)


def disarm(platform):
    platform.execute("truncate public.poison")


def publish(platform, records):
    publisher = platform.broker.publisher()
    publisher.publish(records)
    publisher.flush()


def change(number, app, process="web", **more):
    """Set, add, add, set, ...: what comes out depends on the order."""
    data = {"replicas": number % 50} if number % 3 == 0 else {"delta": number % 7 + 1}
    return scale("acme", app, process, at=seconds(number), **(data | more))


def tries(platform):
    return platform.value("select case when is_called then last_value else 0 end "
                          "from public.tries")


def held(platform, app):
    """(state, attempts, head, letters), or None."""
    found = platform.rows(HELD, app)
    return found[0] if found else None


def await_state(platform, app, state, timeout=60):
    def look():
        now = held(platform, app)
        return (now[0] if now else None) == state
    wait_for(look, lambda: f"{app} is {state}; it is {held(platform, app)}\n"
             + platform.tails(), timeout)
    return held(platform, app)


def dlq(platform, verb, *words, execute=True, check=True, **env):
    words = ["dlq", verb, *words, "--reason", "a test", "-o", "json"]
    done = platform.busline(*words, *(["-x"] if execute else []), check=False, **env)
    rows = json.loads(done.stdout) if done.stdout else None
    if check:
        assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return done.returncode, rows, done.stderr


def place(platform, app, nth=0):
    return platform.value(
        "select p.topic || '/' || p.partition || '@' || d.\"offset\" from busline.dead_letter d "
        "join busline.position p using (stream) where d.subject = %s "
        f"order by d.\"offset\" offset {nth} limit 1", app)


@pytest.fixture
def stage(broker, postgres, make_platform):
    def make(**settings):
        env = FAST | {"BUSLINE_ACTOR": "tester"} | settings
        platform = make_platform(broker, postgres, **env)
        platform.execute(POISON)
        return platform
    return make


# ---- one key waits, the others do not

@on_both_brokers
def test_one_key_of_ten_thousand(stage, broker, postgres, make_platform):
    platform = stage()
    arm(platform, "app-77", sqlstate="40001")
    bad = [change(n, "app-77") for n in range(40)]
    others = [change(n, f"app-{n}") for n in range(10_000) if n != 77]
    log = list(itertools.chain.from_iterable(
        [*others[i * 250:(i + 1) * 250], bad[i]] for i in range(40)))
    publish(platform, log)
    platform.start_all(["scale", "relay", "clock"])
    # none of the others waits for it, while it is still tried or parked
    wait_for(lambda: platform.value("select count(*) from paas.scale") == 9_999,
             lambda: "all others are applied\n" + platform.tails(), 60)
    state, attempts, head, letters = await_state(platform, "app-77", "held")
    assert (attempts, letters) == (5, 40)
    ledger = platform.rows('select "offset", verdict::text, reason from busline.ledger '
                           "where subject = 'app-77' and type like '%%scale%%' order by 1")
    assert [row[1] for row in ledger] == ["HELD"] * 40
    assert [row[2] for row in ledger] == ["transient"] + ["held"] * 39
    assert ledger[0][0] == head
    assert platform.value("select count(*) from busline.timer") == 0
    kinds = platform.rows("select kind, subject, count from busline.incident "
                          "where closed_at is null")
    assert kinds == [("key-held", "app-77", 1)]

    disarm(platform)
    code, plan, said = dlq(platform, "redrive", "--key", "acme/app-77", execute=False)
    assert [(row["offset"], row["behind"], row["outcome"]) for row in plan] \
        == [(head, 39, "planned")]
    assert "nothing was done" in said and held(platform, "app-77")[0] == "held"
    code, rows, said = dlq(platform, "redrive", "--key", "acme/app-77")
    assert [row["outcome"] for row in rows] == ["done"] and "39 that waited" in said
    assert held(platform, "app-77") is None
    letters = platform.rows("select state, verdict::text, cause from busline.dead_letter "
                            'where subject = \'app-77\' order by "offset"')
    assert letters == [("redriven", "APPLIED", "transient")] \
        + [("redriven", "APPLIED", "held")] * 39
    assert not platform.rows("select 1 from busline.incident where closed_at is null")
    # a key that is free is folded as it comes
    publish(platform, [change(100, "app-77")])
    platform.quiesce([TOPIC])
    assert platform.value("select verdict::text from busline.ledger "
                          "where subject = 'app-77' and type like '%%scale%%' "
                          'order by "offset" desc limit 1') == "APPLIED"

    platform.kill_all()
    calm = make_platform(broker, postgres, fresh_log=False)
    calm.start_all(["scale", "relay"])
    calm.quiesce([TOPIC], timeout=120)
    assert calm.digest() == platform.digest()


def test_everything_twice_has_the_same_digest(stage, broker, postgres, make_platform):
    log = [change(n, f"app-{n % 10}") for n in range(600)]
    calm = make_platform(broker, postgres)
    publish(calm, log)
    calm.start_all(["scale", "relay"])
    calm.quiesce([TOPIC])
    wanted = calm.digest()
    calm.kill_all()

    platform = stage(BUSLINE_WORKER_ATTEMPTS=2)
    arm(platform, "app-3", "app-4")
    publish(platform, log + log[300:])
    publish(platform, log)
    platform.start_all(["scale", "relay", "clock"])
    await_state(platform, "app-3", "held")
    await_state(platform, "app-4", "held")
    platform.quiesce([TOPIC])
    assert held(platform, "app-3")[3] == 60
    disarm(platform)
    code, rows, _ = dlq(platform, "redrive", "--cause", "held")
    assert sorted(row["subject"] for row in rows) == ["app-3", "app-4"]
    assert held(platform, "app-3") is None and held(platform, "app-4") is None
    assert platform.digest() == wanted


# ---- the budget

def test_what_passes_in_time_needs_nobody(stage):
    platform = stage(BUSLINE_WORKER_ATTEMPTS=100)
    arm(platform, "app-1")
    publish(platform, [change(n, "app-1") for n in range(30)])
    platform.start_all(["scale", "relay", "clock"])
    wait_for(lambda: (held(platform, "app-1") or (0, 0))[1] >= 3, "it is tried again", 30)
    disarm(platform)
    await_state(platform, "app-1", None)
    platform.quiesce([TOPIC])
    expected = 0
    for n in range(30):
        expected = n % 50 if n % 3 == 0 else expected + n % 7 + 1
    assert platform.value("select desired from paas.scale") == expected
    assert not platform.rows("select 1 from busline.incident where kind = 'key-held'")


@on_both_brokers
@pytest.mark.parametrize("budget", [1, 5])
def test_so_many_tries_and_no_more(stage, budget):
    platform = stage(BUSLINE_WORKER_BATCH_EVENTS=1, BUSLINE_WORKER_ATTEMPTS=budget)
    platform.start_all(["scale", "relay", "clock"])
    apps = ["app-1", "app-2", "app-3"]
    arm(platform, *apps)
    publish(platform, [change(n, app) for n in range(3) for app in apps])
    for app in apps:
        assert await_state(platform, app, "held")[1] == budget
    platform.quiesce([TOPIC])
    assert tries(platform) == budget * len(apps)


def test_the_budget_is_exact_through_kills_and_rebalances(stage):
    """Two workers, killed in turn again and again, while key after key is poisoned."""
    platform = stage(BUSLINE_WORKER_BATCH_EVENTS=1)
    platform.start_all(["relay", "clock"])
    names = ["one", "two"]
    workers = {name: platform.start("scale", member=platform.group + name) for name in names}
    end = time.monotonic() + RETRY_SECONDS
    keys = kills = 0
    while time.monotonic() < end:
        for _ in range(3):
            app = f"bad-{keys}"
            arm(platform, app)
            publish(platform, [change(n, app) for n in range(2)])
            keys += 1
        publish(platform, [change(keys * 5 + n, f"good-{keys}") for n in range(5)])
        name = names[kills % 2]
        platform.value("select pg_sleep(0.4)::text")
        workers[name].kill()
        kills += 1
        workers[name] = platform.start("scale", member=platform.group + name)
    wait_for(lambda: platform.value("select count(*) from busline.quarantine "
                                    "where state = 'held'") == keys,
             lambda: f"{keys} keys are held: " + str(platform.rows(
                 "select state, attempts, count(*) from busline.quarantine group by 1, 2"))
             + platform.tails(), 120)
    assert platform.rows("select attempts, count(*) from busline.quarantine group by 1") \
        == [(5, keys)]
    # A try is counted before it is made: one that a kill met may have happened or not. The
    # first one is counted afterwards, so that a kill may repeat it.
    assert 5 * keys - kills <= tries(platform) <= 5 * keys + kills, (keys, kills)
    platform.quiesce([TOPIC], timeout=120)
    assert platform.value("select count(*) from busline.ledger where subject like 'good%%' "
                          "and verdict <> 'APPLIED' and verdict <> 'IGNORED'") == 0
    disarm(platform)
    code, rows, _ = dlq(platform, "redrive", "--topic", TOPIC, "--timeout", "100s")
    assert len(rows) == keys and {row["outcome"] for row in rows} == {"done"}
    assert platform.value("select count(*) from busline.quarantine") == 0


def test_an_event_that_ends_its_worker(stage):
    """Its worker dies each time: two assignments are usual, then each try is counted."""
    platform = stage(BUSLINE_WORKER_ATTEMPTS=2)
    platform.start_all(["relay", "clock"])
    arm(platform, "deadly", sleeps=True)
    publish(platform, [change(n, f"app-{n % 40}") for n in range(200)]
            + [change(n, "deadly") for n in range(3)]
            + [change(n, f"app-{n % 40}") for n in range(200, 400)])
    deaths = 0
    member = platform.group + "-scale"
    worker = platform.start("scale", member=member)

    def sleeper():
        return platform.rows("select pid from pg_stat_activity where wait_event = 'PgSleep' "
                             "and datname = current_database()")

    def dies_or_holds():
        return sleeper() or held(platform, "deadly")
    while True:
        wait_for(dies_or_holds, worker.tail, 60)
        if held(platform, "deadly"):
            break
        worker.kill()
        deaths += 1
        assert deaths < 10
        for (pid,) in sleeper():
            platform.rows("select pg_terminate_backend(%s)", pid)
        wait_for(lambda: not sleeper(), "its backend has gone")
        worker = platform.start("scale", member=member)
    assert deaths == 2 + 2
    state, attempts, head, letters = held(platform, "deadly")
    assert (state, attempts) == ("held", 2)
    platform.quiesce([TOPIC])
    assert held(platform, "deadly")[3] == 3
    assert platform.value("select count(*) from busline.ledger where verdict = 'APPLIED'") == 400
    assert "its worker ended" in platform.value(
        "select detail from busline.dead_letter where cause = 'transient'")
    assert worker.running()
    # It goes on in whole units: three events of the key are discarded, the next one is folded.
    dlq(platform, "discard", "--key", "acme/deadly")
    disarm(platform)
    publish(platform, [change(9, "deadly")])
    platform.quiesce([TOPIC])
    assert platform.value("select desired from paas.scale where app = 'deadly'") == 9


# ---- what operators do

@on_both_brokers
def test_edit_then_redrive(stage):
    platform = stage()
    platform.start_all(["scale", "relay", "clock"])
    publish(platform, [change(0, "app-1"), change(3, "app-1", replicas="many"),
                       change(6, "app-1", mode="structured", replicas="few")])
    platform.quiesce([TOPIC])
    places = [place(platform, "app-1", n) for n in range(2)]
    code, rows, _ = dlq(platform, "redrive", *places, check=False)
    assert code == 1 and [row["outcome"] for row in rows] == ["failed", "failed"]
    assert all("schema-invalid" in row["reason"] for row in rows)
    for n, where in enumerate(places):
        dlq(platform, "edit", where, "--data", json.dumps({"process": "web", "delta": n + 5}))
    assert platform.value("select desired from paas.scale") == 0
    code, rows, _ = dlq(platform, "redrive", *places)
    assert [row["outcome"] for row in rows] == ["done", "done"]
    assert platform.value("select desired from paas.scale") == 11
    (shown,) = json.loads(platform.busline("dlq", "show", places[0], "-o", "json").stdout)
    assert shown["edited"] == {"process": "web", "delta": 5} and shown["state"] == "redriven"
    assert shown["data"] == {"process": "web", "replicas": "many"}
    assert (shown["resolved_by"], shown["resolve_reason"]) == ("tester", "a test")
    # each act is an event, with who and why
    acts = platform.rows("select type, actor, verdict::text, data->>'reason' from busline.events "
                         "where type like 'io.busline.dlq.%%' order by \"offset\"")
    assert len(acts) == 6 and {(actor, reason) for _, actor, _, reason in acts} \
        == {("tester", "a test")}
    # done is done
    code, rows, said = dlq(platform, "redrive", places[0], check=False)
    assert code == 1 and "no open dead letter" in said


def act(app, fact, at, **data):
    event = cloud_event("dlq", fact, "acme", app, {"reason": "a test", **data}, source="/test",
                        at=seconds(at))
    record = to_record(event)
    return type(record)(TOPIC, record.key, record.headers, record.value)


def test_acts_that_have_no_effect_say_why(stage):
    platform = stage()
    platform.start_all(["scale", "relay", "clock"])
    publish(platform, [change(0, "app-1", replicas="many"), change(0, "app-2")])
    platform.quiesce([TOPIC])
    partition, offset = platform.rows(
        'select p.partition, d."offset" from busline.dead_letter d '
        "join busline.position p using (stream)")[0]
    here = {"partition": partition, "offset": offset}
    publish(platform, [act("app-1", "edit-requested", 1, **here,
                           data={"process": "web", "replicas": 4}),
                       act("app-1", "redrive-requested", 2, **here),
                       act("app-1", "redrive-requested", 3, **here),
                       act("app-1", "discard-requested", 4, **here),
                       act("app-1", "redrive-requested", 5, partition=partition, offset=999_999),
                       act("app-1", "redrive-requested", 6, partition=partition + 1, offset=0),
                       act("app-1", "redrive-requested", 7, partition=partition)])
    platform.quiesce([TOPIC])
    told = platform.rows("select verdict::text, reason from busline.ledger "
                         "where type like 'io.busline.dlq.%%' order by \"offset\"")
    assert [verdict for verdict, _ in told] == ["APPLIED", "APPLIED", "IGNORED", "IGNORED",
                                                "IGNORED", "IGNORED", "REJECTED"]
    assert [reason for _, reason in told[2:]] == [
        "it is redriven already", "it is redriven already", "no dead letter lies there",
        f"it names a dead letter of partition {partition + 1}, but came in partition "
        f"{partition}", "schema-invalid"]
    assert platform.value("select desired from paas.scale where app = 'app-1'") == 4
    assert platform.value("select version from paas.scale where app = 'app-1'") == 1


def test_another_tenants_letter_is_left_alone(stage):
    platform = stage()
    platform.start_all(["scale", "relay"])
    # The same partition for both: the act is put where the letter lies.
    publish(platform, [change(0, "app-1", replicas="many")])
    platform.quiesce([TOPIC])
    partition, offset = platform.rows(
        'select p.partition, d."offset" from busline.dead_letter d '
        "join busline.position p using (stream)")[0]
    event = cloud_event("dlq", "discard-requested", "globex", "app-1",
                        {"reason": "not mine", "partition": partition, "offset": offset},
                        source="/test", at=seconds(1))
    record = to_record(event)
    publisher = platform.broker.publisher()
    publisher.publish([type(record)(TOPIC, record.key, record.headers, record.value)],
                      partition=partition)
    publisher.flush()
    platform.quiesce([TOPIC])
    assert platform.value("select state from busline.dead_letter") == "open"
    assert platform.value("select reason from busline.ledger where tenant = 'globex'") \
        == "the dead letter is another tenant's"


def test_the_loop_guard(stage):
    platform = stage()
    platform.start_all(["scale", "relay"])
    publish(platform, [change(0, "app-1", replicas="many")])
    platform.quiesce([TOPIC])
    where = place(platform, "app-1")
    for _ in range(3):
        code, (row,), _ = dlq(platform, "redrive", where, check=False)
        assert (code, row["outcome"]) == (1, "failed")
    code, (row,), _ = dlq(platform, "redrive", where, check=False)
    assert (code, row["outcome"]) == (1, "refused") and "--force" in row["reason"]
    code, (row,), _ = dlq(platform, "redrive", where, "--force", check=False)
    assert (code, row["outcome"]) == (1, "failed")
    assert platform.value("select redrives from busline.dead_letter") == 4


@on_both_brokers
def test_a_head_that_is_discarded_lets_the_next_one_go(stage):
    platform = stage(BUSLINE_WORKER_ATTEMPTS=1)
    platform.start_all(["scale", "relay", "clock"])
    arm(platform, "app-1")
    publish(platform, [change(n, "app-1") for n in range(3)])
    await_state(platform, "app-1", "held")
    platform.quiesce([TOPIC])
    disarm(platform)
    code, rows, _ = dlq(platform, "redrive", place(platform, "app-1", 2), execute=False)
    assert rows[0]["behind"] == 2  # what waits cannot overtake its head
    dlq(platform, "discard", place(platform, "app-1"))
    await_state(platform, "app-1", None)
    assert platform.value("select desired from paas.scale") == 2 + 3
    states = platform.rows('select state from busline.dead_letter order by "offset"')
    assert states == [("discarded",)] + [("redriven",)] * 2


@pytest.mark.parametrize("point", POINTS)
def test_killed_during_a_redrive(stage, point):
    platform = stage(BUSLINE_WORKER_ATTEMPTS=1)
    member = platform.group + "-scale"
    others = platform.start_all(["relay", "clock"])
    worker = platform.start("scale", member=member)
    arm(platform, "app-1")
    publish(platform, [change(n, "app-1") for n in range(1, 21)])
    await_state(platform, "app-1", "held")
    platform.quiesce([TOPIC])
    disarm(platform)
    assert worker.stop() == 0
    dlq(platform, "redrive", "--key", "acme/app-1", "--wait=durable")
    worker = platform.start("scale", member=member, crash=f"{point}:1")
    assert worker.wait(60) == -9, worker.tail()
    platform.start("scale", member=member)
    await_state(platform, "app-1", None)
    platform.quiesce([TOPIC])
    expected = 0
    for n in range(1, 21):
        expected = n % 50 if n % 3 == 0 else expected + n % 7 + 1
    assert platform.rows("select desired, version from paas.scale") == [(expected, 20)]
    assert platform.rows("select state, verdict::text, count(*) from busline.dead_letter "
                         "group by 1, 2") == [("redriven", "APPLIED", 20)]
    assert all(process.running() for process in others.values())


def test_a_row_of_a_held_key_that_is_refused_for_good(stage):
    """Held for a reason that may pass, then refused for one that does not: a dead letter."""
    platform = stage(BUSLINE_WORKER_ATTEMPTS=1)
    platform.start_all(["scale", "relay", "clock"])
    arm(platform, "app-1")
    publish(platform, [change(n, "app-1", "bad" if n == 4 else "web")
                       for n in range(1, 9)])
    await_state(platform, "app-1", "held")
    platform.quiesce([TOPIC])
    disarm(platform)
    platform.execute("alter table paas.scale add constraint no_bad check (process <> 'bad')")
    dlq(platform, "redrive", "--key", "acme/app-1")
    letters = platform.rows('select cause, state from busline.dead_letter order by "offset"')
    assert letters[0] == ("transient", "redriven") and letters[3] == ("constraint", "open")
    assert letters[1:3] + letters[4:] == [("held", "redriven")] * 6
    assert platform.rows("select process, version from paas.scale") == [("web", 7)]


@pytest.mark.parametrize("sqlstate", ["53100", "57P01", "25006"])
def test_a_server_in_trouble_holds_no_key(stage, sqlstate):
    """A disk that is full, a server that stops or is read only: nobody's fault."""
    platform = stage()
    worker = platform.start_all(["scale", "relay", "clock"])["scale"]
    arm(platform, "app-3", sqlstate=sqlstate)
    publish(platform, [change(n, f"app-{n % 20}") for n in range(200)])
    wait_for(lambda: tries(platform) >= 5, lambda: "it is tried on\n" + worker.tail(), 60)
    assert platform.value("select count(*) from busline.dead_letter") == 0
    assert platform.value("select count(*) from busline.quarantine") == 0
    disarm(platform)
    platform.quiesce([TOPIC])
    assert platform.value("select count(*) from busline.ledger where verdict = 'APPLIED'") == 200
    assert worker.running()
