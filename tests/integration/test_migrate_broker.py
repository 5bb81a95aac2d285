"""The bus goes to another broker while it runs: every record at its offset, each effect once."""

import json
import random
import signal
import subprocess
import threading
import time

import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic

from support.checker import DISAGREEMENTS, assert_once
from support.events import Undelivered, scale, seconds
from support.platform import BINARY, PARTITIONS, SLOW, TOPICS, wait_for
from support.tcp_proxy import Proxy

APPS = 40
PAUSE = 0.1
TOPIC = "busline.scale"
FILLER = ("busline-filler", None)
PUBLISH = ["publish", "scale.requested", "--tenant", "t", "-s", "a", "-d",
           '{"process":"web","delta":1}']
ONE_WAY = pytest.mark.parametrize("first, second", [("kafka", "embedded")])
BOTH_WAYS = pytest.mark.parametrize("first, second", [("kafka", "embedded"),
                                                      ("embedded", "kafka")])


@pytest.fixture
def places(request, first, second):
    """Two brokers, the second one without topics."""
    found = request.getfixturevalue(first), request.getfixturevalue(second)
    found[1].wipe()
    return found


@pytest.fixture
def bus(places, postgres, make_platform):
    """A platform whose settings name the first broker, wherever the bus may go."""
    return make_platform(places[0], postgres, BUSLINE_BROKER_URL=places[0].url)


def migrate(bus, *words, check=True, timeout=180):
    done = bus.busline("migrate-broker", *words, "-o", "jsonl", check=check, timeout=timeout)
    return json.loads(done.stdout) if check and done.stdout else done


def is_filler(message):
    if message.key() is not None:
        return False
    if message.value() is None:
        return [(n, v) for n, v in message.headers() or []] == [FILLER]
    return not message.headers() and message.value() == b"~filler"


def ends_of(broker):
    return {(topic, p): end for topic in TOPICS for p, end in broker.ends(topic).items()}


def content(broker):
    """Every record of the bus by its place, fillers left out; and where the logs end."""
    records, ends = {}, ends_of(broker)
    for topic in TOPICS:
        for partition, log in broker.read(topic).items():
            for m in log:
                if not is_filler(m):
                    records[topic, partition, m.offset()] = (m.key(), m.value(),
                                                             tuple(m.headers() or ()))
    return records, ends


def assert_beginning(old, new):
    """What the old broker has is in the new one at the same offsets, and nothing between."""
    records, ends = content(old)
    copied, _ = content(new)
    before = {place: record for place, record in copied.items() if place[2] < ends[place[:2]]}
    assert before == records
    return len(records)


class Load(threading.Thread):
    """Publishes with the command line, call after call; every call must end well. One event in
    four goes to a partition of chance, so that the relay has to send it home."""

    def __init__(self, bus, name, size=120):
        super().__init__(daemon=True)
        self.bus, self.name_, self.size = bus, name, size
        self.stopping = threading.Event()
        self.sums, self.count, self.calls, self.slowest = {}, 0, 0, 0
        self.failure = None

    def line(self, number, astray):
        app = f"app-{number % APPS}"
        process = f"{self.name_}-astray-{number}" if astray else self.name_
        self.sums[app, process] = self.sums.get((app, process), 0) + 1
        return json.dumps({
            "id": f"{self.name_}-{number}", "source": "/load", "tenant": "acme", "subject": app,
            "type": "io.busline.scale.requested.v1", "time": seconds(number).isoformat(),
            "data": {"process": process, "delta": 1}})

    def run(self):
        chance = random.Random(self.name_)
        try:
            while not self.stopping.is_set():
                astray = self.calls % 4 == 3
                lines = [self.line(self.count + n, astray) for n in range(self.size)]
                where = ["--partition", str(chance.randrange(PARTITIONS))] if astray else []
                begun = time.monotonic()
                done = subprocess.run(
                    [BINARY, "publish", "--jsonl", "-", "--timeout", "60s", *where],
                    input="\n".join(lines), env=self.bus.env(), text=True, capture_output=True,
                    timeout=120 * SLOW)
                self.slowest = max(self.slowest, time.monotonic() - begun)
                assert done.returncode == 0, done.stderr
                self.count += self.size
                self.calls += 1
                # Load enough; whole logs are compared in Python afterwards.
                self.stopping.wait(PAUSE)
        except Exception as failure:  # noqa: BLE001 - told to the test by finish()
            self.failure = failure

    def finish(self):
        self.stopping.set()
        self.join(150 * SLOW)
        if self.failure:
            raise self.failure
        assert not self.is_alive()


class Foreign(Load):
    """A client of somebody else's that was written as docs/migrate-broker.md asks: what was not
    taken is sent again, in order, to where the bus is."""

    def __init__(self, bus, name, places):
        super().__init__(bus, name, 30)
        self.places = {place.url: place for place in places}

    def where(self):
        return self.bus.value("select busline.broker_url(%s)", self.bus.env()["BUSLINE_BROKER_URL"])

    def run(self):
        try:
            url = self.where()
            publisher = self.publisher(url)
            while not self.stopping.is_set():
                lines = [json.loads(self.line(self.count + n, False)) for n in range(self.size)]
                records = [scale("acme", e["subject"], e["data"]["process"], source="/load",
                                 id=e["id"], at=seconds(self.count + n), delta=1)
                           for n, e in enumerate(lines)]
                while True:
                    try:
                        publisher.publish(records)
                        publisher.flush()
                        break
                    except Undelivered:
                        url = self.where()
                        publisher = self.publisher(url)
                self.count += self.size
                self.calls += 1
                self.stopping.wait(PAUSE)
        except Exception as failure:  # noqa: BLE001 - told to the test by finish()
            self.failure = failure

    def publisher(self, url):
        broker = self.places[url]
        return broker.publisher(**({"patience": 2} if broker.kind == "embedded" else {}))


@pytest.fixture
def start_loads(bus):
    """Starts loads, which end with the test also when it fails."""
    started = []

    def start(*loads):
        started.extend(loads)
        for load in loads:
            load.start()
        return loads

    yield start
    for load in started:
        load.stopping.set()
    for load in started:
        load.join(60)


def grows(bus, what="the ledger grows"):
    """Also what the relay has sent home."""
    for count in ("select count(*) from busline.ledger",
                  "select coalesce(sum(seq), 0)::bigint from busline.outbox_mark"):
        done = bus.value(count)
        wait_for(lambda: bus.value(count) > done + 200, lambda: f"{what}\n{count}\n{bus.tails()}",
                 60)


def settle(bus, place, loads):
    """All load is over and in effect, at this broker."""
    for load in loads:
        load.finish()
    bus.broker = place
    bus.quiesce(timeout=120)
    sums = {key: value for load in loads for key, value in load.sums.items()}
    rows = bus.rows("select app, process, desired from paas.scale")
    assert {(app, process): desired for app, process, desired in rows} == sums
    assert not bus.rows(DISAGREEMENTS)
    assert_once(bus, sum(load.count for load in loads))
    assert not bus.rows("select * from busline.incident")


def assert_replayed(bus, place, postgres, make_platform):
    """Somebody who has only the log of this broker comes to the same state."""
    calm = make_platform(place, postgres, fresh_log=False)
    calm.start_all()
    calm.quiesce(timeout=180)
    assert calm.digest() == bus.digest()


@BOTH_WAYS
def test_there_and_back_under_load(places, bus, start_loads, postgres, make_platform):
    old, new = places
    roles = bus.start_all()
    loads = start_loads(Load(bus, "one"), Load(bus, "two"), Foreign(bus, "foreign", places))
    grows(bus)
    moved = migrate(bus, old.url, new.url, "--reason", "test", "--verify")
    assert moved["moved"] and moved["topics"] == len(TOPICS) and moved["records"] > 0
    grows(bus, "it goes on at the new broker")
    assert assert_beginning(old, new) > 0
    ends = ends_of(old)
    grows(bus)
    assert ends_of(old) == ends, "nothing comes to a broker that was left"
    back = migrate(bus, new.url, old.url, "--actor", "me")
    grows(bus, "it goes on at the old broker")
    settle(bus, old, loads)
    assert_beginning(new, old)
    assert all(process.running() for process in roles.values())
    assert bus.rows("select from_url, to_url, reason from busline.broker_move order by id") == [
        (old.url, new.url, "test"), (new.url, old.url, "")]
    assert_replayed(bus, old, postgres, make_platform)
    print(f"\n{sum(load.count for load in loads)} events; there: {moved['records']} records in "
          f"{moved['seconds']} s, sealed {moved['sealed_ms']} ms; back: {back['records']} in "
          f"{back['seconds']} s, sealed {back['sealed_ms']} ms; slowest call "
          f"{max(load.slowest for load in loads):.1f} s")
    assert all(process.stop() == 0 for process in roles.values())


def open_topics(bus, broker, topics=TOPICS):
    """Does it take what is published there?"""
    return all(bus.busline(
        "publish", "no.event", "--no-validate", "--topic", topic, "--tenant", "acme", "-d",
        '{"n":1}', "--broker-url", broker.url, "--timeout", "1s", check=False).returncode == 0
        for topic in topics)


def end_lease(bus):
    """Who was killed has it for up to 10 s, which are waited for where that is tested."""
    bus.execute("update busline.lease set expires_at = now() where name = 'migrate-broker'")


def start_migrate(bus, *words):
    return subprocess.Popen([BINARY, "migrate-broker", *words], env=bus.env(),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@BOTH_WAYS
def test_killed_at_any_moment_and_run_again(places, bus, start_loads, postgres, make_platform):
    old, new = places
    roles = bus.start_all()
    loads = start_loads(Load(bus, "one"), Load(bus, "two"))
    grows(bus)
    chance, kills = random.Random(f"{old.kind}"), 0
    words = [BINARY, "migrate-broker", old.url, new.url, "--reason", "again"]
    for number in range(100):
        process = subprocess.Popen(words, env=bus.env(), stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        try:
            # At first soon, then later and later: all of its life is met.
            said, _ = process.communicate(timeout=chance.uniform(0, 0.5 + number / 4))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            end_lease(bus)
            continue
        assert process.returncode == 0, said
        break
    assert kills >= 3 and bus.value("select count(*) from busline.broker_move") == 1
    grows(bus, "it goes on at the new broker")
    settle(bus, new, loads)
    assert_beginning(old, new)
    assert all(process.running() for process in roles.values())
    assert_replayed(bus, new, postgres, make_platform)
    print(f"\n{kills} kills, {sum(load.count for load in loads)} events, slowest call "
          f"{max(load.slowest for load in loads):.1f} s")


class Held:
    """A migrate-broker that is kept from its last step, the row that makes the move come true."""

    def __init__(self, bus, old, new):
        self.bus = bus
        self.lock = None
        self.process = start_migrate(bus, old.url, new.url)
        wait_for(lambda: bus.rows("select from busline.lease where name = 'migrate-broker' and "
                                  "holder like %s and expires_at > now()",
                                  f"%/{self.process.pid}/%"), "it holds the lease", 30, 0.001)
        self.lock = psycopg.connect(bus.url)
        self.lock.execute("select from busline.lease where name = 'migrate-broker' for update")
        wait_for(lambda: self.asks("broker_move_record"), "it is at its last step", 60)
        assert not open_topics(bus, old)

    def release(self):
        self.lock.close()

    def asks(self, words):
        return self.bus.rows("select from pg_stat_activity where state = 'active' and query like "
                             "%s and pid <> pg_backend_pid() and datname = current_database()",
                             f"%{words}%")

    def end(self, number):
        """Told to end; what it was about to do is over before the way is free."""
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            wait_for(lambda: not self.asks("broker_move_record"), "nothing is under way")
        else:
            wait_for(lambda: self.asks("UPDATE busline.lease"), "it makes sure")
        self.release()
        return self.process.communicate(timeout=60 * SLOW)[1]


@BOTH_WAYS
def test_what_is_left_sealed_is_opened(places, bus):
    """Killed while it is sealed: --abort opens; told to end: it opens by itself."""
    old, new = places
    bus.busline(*PUBLISH)
    assert open_topics(bus, old)
    for number, code in ((signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143)):
        held = Held(bus, old, new)
        said = held.end(number)
        assert held.process.returncode == code, said
        assert open_topics(bus, old) == (number != signal.SIGKILL)
        if number == signal.SIGKILL:
            if old.kind == "embedded":
                end_lease(bus)
            bus.busline("migrate-broker", "--abort", old.url)
            assert open_topics(bus, old)
        assert bus.value("select count(*) from busline.broker_move") == 0
    held = Held(bus, old, new)
    held.release()
    said = held.process.communicate(timeout=60 * SLOW)[1]
    assert held.process.returncode == 0, said
    assert not open_topics(bus, old) and open_topics(bus, new)
    refused = migrate(bus, "--abort", old.url, check=False)
    assert refused.returncode == 1 and new.url in refused.stderr
    assert not open_topics(bus, old)


class Planned:
    """A migrate-broker that knows what it will copy, and is kept from beginning."""

    def __init__(self, bus, old, new):
        self.lock = psycopg.connect(bus.url)
        self.lock.execute("lock table busline.position")
        self.process = start_migrate(bus, old.url, new.url)
        wait_for(lambda: bus.rows("select from pg_locks where not granted and relation = "
                                  "'busline.position'::regclass"), "it asks for positions")

    def go_on(self):
        self.lock.close()

    def end(self):
        said = self.process.communicate(timeout=60 * SLOW)[1]
        return self.process.returncode, said


@ONE_WAY
def test_who_comes_late_opens_nothing(places, bus):
    """The bus moves while another run waits for its turn, or sleeps through it."""
    old, new = places
    bus.busline(*PUBLISH)
    held = Held(bus, old, new)
    late = start_migrate(bus, "--abort", old.url)
    wait_for(lambda: held.asks("lease_take"), "it waits for its turn")
    held.release()
    said = late.communicate(timeout=60 * SLOW)[1]
    assert (held.process.wait(30), late.returncode) == (0, 1) and new.url in said, said
    assert not open_topics(bus, old)
    # And back again: one sleeps, its lease ends, another one does it.
    asleep = Planned(bus, new, old)
    asleep.process.send_signal(signal.SIGSTOP)
    asleep.go_on()
    end_lease(bus)
    migrate(bus, new.url, old.url)
    asleep.process.send_signal(signal.SIGINT)
    asleep.process.send_signal(signal.SIGCONT)
    code, said = asleep.end()
    assert code == 130 and old.url in said, said
    assert not open_topics(bus, new) and open_topics(bus, old)


@ONE_WAY
def test_a_topic_made_meanwhile_is_not_left_behind(places, bus):
    """The move is given up; if it was made at the very last moment, it is told."""
    old, new = places
    bus.busline(*PUBLISH)

    def make(name):
        old.admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)

    planned = Planned(bus, old, new)
    make("busline.late")
    planned.go_on()
    code, said = planned.end()
    assert code == 75 and "busline.late" in said, said
    assert open_topics(bus, old) and not bus.rows("select from busline.broker_move")
    held = Held(bus, old, new)
    make("busline.later")
    held.release()
    said = held.process.communicate(timeout=60 * SLOW)[1]
    assert held.process.returncode == 1 and "busline.later" in said, said
    assert new.partitions("busline.late") == 1 and new.partitions("busline.later") == 0
    assert bus.value("select count(*) from busline.broker_move") == 1
    for place in places:
        place.wipe(["busline.late", "busline.later"])


@ONE_WAY
@pytest.mark.parametrize("impatient", [False, True])
def test_a_last_step_whose_answer_is_lost(places, bus, impatient):
    """Its request lies in the network while it is given up; it comes late, or never counts."""
    old, new = places
    user = bus.name + "_mover"
    bus.execute(f"create role {user} login superuser password 'x'")
    proxy = Proxy(*bus.postgres.address())
    url = bus.postgres.url_of(bus.name, host="127.0.0.1", port=proxy.port, user=user, password="x",
                              sslmode="disable", gssencmode="disable")
    proxy.hold_from(b"broker_move_record")
    process = subprocess.Popen([BINARY, "migrate-broker", old.url, new.url],
                               env=bus.env(BUSLINE_DB_URL=url, BUSLINE_DB_DEADLINE_MS=1500),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: proxy.waiting > 0, "the last step is under way", 60)
    if impatient:
        process.send_signal(signal.SIGINT)
    # Longer than its deadline: it has given the request up and asks again.
    before = proxy.waiting
    wait_for(lambda: proxy.waiting > before, "it asks again", 30)
    proxy.release()
    said = process.communicate(timeout=90 * SLOW)[1]
    wait_for(lambda: not bus.rows("select from pg_stat_activity where query like "
                                  "'%%broker_move_record%%' and state = 'active' and pid <> "
                                  "pg_backend_pid()"), "nothing is under way")
    moves = bus.value("select count(*) from busline.broker_move")
    assert (process.returncode, moves) in ((0, 1), (130, 0)), said
    assert open_topics(bus, old) == (moves == 0)
    assert open_topics(bus, new)
    proxy.close()
    bus.execute(f"drop role {user}")


@BOTH_WAYS
def test_another_log_is_refused(places, bus):
    old, new = places
    publisher = old.publisher()
    publisher.publish([scale("acme", f"a-{n}", "web", at=seconds(n), delta=1) for n in range(300)])
    publisher.flush()
    bus.busline("topic", "ensure", BUSLINE_BROKER_URL=new.url)
    publisher = new.publisher()
    # The same events, but for the last ones of a partition.
    log = old.read(TOPIC)
    victim = max(log, key=lambda p: len(log[p]))
    stranger = scale("acme", "stranger", "web", at=seconds(0), delta=1)
    for partition, messages in log.items():
        records = [type(stranger)(TOPIC, m.key(), m.headers(), m.value()) for m in messages]
        if partition == victim:
            records[-1] = stranger
        publisher.publish(records, partition=partition)
        publisher.flush()
    before = content(old), content(new)
    place = f"{TOPIC}/{victim}@{len(log[victim]) - 1}"
    for words in ([], ["--dry-run"]):
        done = migrate(bus, old.url, new.url, *words, check=False)
        assert done.returncode == 1 and place in done.stderr, done.stderr
        assert "no beginning" in done.stderr
    publisher.publish([stranger] * 2, partition=victim)
    publisher.flush()
    done = migrate(bus, old.url, new.url, check=False)
    assert done.returncode == 1 and "longer" in done.stderr, done.stderr
    assert (content(old), content(new)[0].keys() - before[1][0].keys()) == (
        before[0], {(TOPIC, victim, len(log[victim])), (TOPIC, victim, len(log[victim]) + 1)})
    assert open_topics(bus, old) and bus.value("select count(*) from busline.broker_move") == 0


@BOTH_WAYS
def test_a_log_whose_beginning_was_cut_off(places, bus):
    """By retention, say: offsets are kept, and what nobody has any more is not made up."""
    old, new = places
    worker = bus.start("scale")
    publisher = old.publisher()
    publisher.publish([scale("acme", f"a-{n % 50}", "web", at=seconds(n), delta=1)
                       for n in range(6000)])
    publisher.flush()
    bus.quiesce([TOPIC])
    starts = {}
    for partition, end in old.ends(TOPIC).items():
        starts[partition] = end // 2
        old.trim(TOPIC, partition, end // 2)
    moved = migrate(bus, old.url, new.url)
    assert sum(row["fillers"] for row in moved["partitions"]) >= sum(starts.values())
    assert {p: low for p, (low, _) in new.bounds(TOPIC).items()} == starts
    assert_beginning(old, new)
    bus.broker = new
    publisher = new.publisher()
    publisher.publish([scale("acme", f"a-{n % 50}", "web", at=seconds(n), delta=1, id=f"late-{n}")
                       for n in range(100)])
    publisher.flush()
    bus.quiesce([TOPIC])
    assert bus.value("select sum(desired) from paas.scale") == 6100
    assert_once(bus, 6100)
    assert worker.running() and not bus.rows("select * from busline.incident")


@BOTH_WAYS
def test_a_dry_run_changes_nothing(places, bus):
    old, new = places
    publisher = old.publisher()
    publisher.publish([scale("acme", f"a-{n}", "web", at=seconds(n), delta=1) for n in range(100)])
    publisher.flush()
    before = content(old)
    bus.busline("topic", "ensure", "busline.other", BUSLINE_BROKER_URL=new.url)
    done = bus.busline("migrate-broker", old.url, new.url, "--dry-run", "-o", "jsonl")
    assert f"topic busline.other is at {new.url} only" in done.stderr
    plan = json.loads(done.stdout)
    assert not plan["moved"] and plan["records"] == 0
    assert sum(row["end"] - row["had"] for row in plan["partitions"]) == 100
    assert all(new.partitions(topic) == 0 for topic in TOPICS)
    assert content(old) == before and open_topics(bus, old)
    assert bus.value("select count(*) from busline.broker_move") == 0
    new.wipe(["busline.other"])


@ONE_WAY
def test_marks_of_transactions_keep_their_offsets(places, bus, postgres, make_platform):
    """Also an aborted one's records, and a mark at the end of the log."""
    old, new = places
    worker = bus.start("scale")
    producer = Producer({"bootstrap.servers": old.servers, "transactional.id": bus.name,
                         "partitioner": "murmur2_random"})
    producer.init_transactions(30)
    for number in range(9):
        producer.begin_transaction()
        for n in range(number * 20, number * 20 + 20):
            record = scale("acme", f"a-{n % 10}", "web", at=seconds(n), delta=1)
            producer.produce(TOPIC, value=record.value, key=record.key, headers=record.headers)
        assert producer.flush(30) == 0
        producer.abort_transaction(30) if number % 3 == 1 else producer.commit_transaction(30)
    done = wait_for(lambda: bus.value("select count(*) from busline.ledger") == 120 and 1,
                    "what was committed is in", 60)
    moved = migrate(bus, old.url, new.url, "--verify")
    assert sum(row["fillers"] for row in moved["partitions"]) > 60 and done
    assert_beginning(old, new)
    bus.broker = new
    bus.quiesce([TOPIC])
    assert_once(bus, 120)
    assert bus.value("select sum(desired) from paas.scale") == 120
    # Who reads the new log alone meets no gap.
    calm = make_platform(new, postgres, fresh_log=False)
    calm.start("scale")
    calm.quiesce([TOPIC])
    assert calm.digest() == bus.digest() and not calm.rows("select * from busline.incident")
    assert worker.running()


@ONE_WAY
def test_what_is_no_move_is_refused(places, bus):
    old, new = places
    worker = bus.start("scale")
    wait_for(lambda: bus.positions(TOPIC), "the worker has positions")
    for code, words, says in [
            (64, [old.url], "FROM and TO"),
            (64, [old.url, old.url], "the same"),
            (64, ["--abort", old.url, new.url], "--abort FROM"),
            (1, [new.url, old.url], "by the settings"),
            (1, [old.url, new.url, "--topics", "busline.deploy"], TOPIC),
            (1, [old.url, new.url, "--topics", "nothing."], "no topic"),
            (1, [old.url, old.url.replace("127.0.0.1", "localhost")], "the same broker"),
            (69, [old.url, "nng+tcp://127.0.0.1:9"], "broker")]:
        done = migrate(bus, *words, check=False)
        assert done.returncode == code and says in done.stderr, (words, done.stderr)
        assert open_topics(bus, old, TOPICS[:1])
    migrate(bus, old.url, new.url)
    again = migrate(bus, old.url, new.url, check=False)
    assert again.returncode == 0 and "already" in again.stderr
    assert json.loads(again.stdout) | {"seconds": 0} == {
        "from": old.url, "to": new.url, "moved": True, "topics": 0, "records": 0, "seconds": 0,
        "sealed_ms": 0, "partitions": []}
    wrong = bus.busline(*PUBLISH, "--broker-url", old.url, "--timeout", "4s", check=False)
    assert wrong.returncode == 69 and "sealed" in wrong.stderr
    assert worker.running()


@ONE_WAY
def test_who_looks_is_taken_along(places, bus):
    """tail -f goes on at the new broker and back, each event once, and shows no filler; lag looks
    there."""
    old, new = places
    tail = subprocess.Popen([BINARY, "tail", TOPIC, "-f", "-o", "start", "-o", "jsonl"],
                            env=bus.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)
    seen = []
    threading.Thread(target=lambda: seen.extend(json.loads(line)["id"] for line in tail.stdout),
                     daemon=True).start()
    for number, place in enumerate((old, new, old)):
        bus.busline(*PUBLISH, "--id", f"at-{number}")
        wait_for(lambda: len(seen) == number + 1, lambda: f"event {number} is shown: {seen}", 30)
        if number < 2:
            migrate(bus, place.url, (new, old)[number].url)
    assert seen == ["at-0", "at-1", "at-2"]
    tail.send_signal(signal.SIGINT)
    tail.wait(30 * SLOW)
    rows = json.loads(bus.busline("lag", "-o", "json").stdout)
    assert {(r["topic"], r["partition"]): r["end"] for r in rows} == ends_of(old)
    shown = bus.busline("tail", TOPIC, "-o", "start", "-o", "jsonl").stdout
    assert len(shown.splitlines()) == 3
    shown = bus.busline("tail", TOPIC, "-o", "start", "-o", "jsonl", "--fillers").stdout
    assert len(shown.splitlines()) == sum(old.ends(TOPIC).values())
