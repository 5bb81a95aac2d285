"""A platform under test: a real broker, a real PostgreSQL, and processes of the product.

A broker is Kafka, or the embedded one (embedded.py); both have one face. Servers are shared by
a whole run when the environment names them (BUSLINE_TEST_KAFKA, BUSLINE_TEST_PG;
BUSLINE_TEST_KAFKA_DIR for what needs the script), else a run starts its own and removes them. A
test that breaks a server starts one of its own. Every platform has a fresh database and its own
consumer groups; topics have fixed names, so a fresh log is made by deleting and making them.
"""

import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import psycopg
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from support.events import Publisher

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("BUSLINE_BIN", ROOT / "build/dev/busline")).resolve()
PARTITIONS = 6
WORKERS = ("catalog", "deploy", "scale", "route")
ROLES = WORKERS + ("relay",)
WORKER_TOPICS = tuple("busline." + name for name in WORKERS)
TOPICS = (*WORKER_TOPICS, "busline.saga")
# Roles that are programs of the tests' own.
PROGRAMS = {"bank": [BINARY.parent / "tests/support/bank/bank_worker"]}
# A sanitizer's build is slower by this; deadlines grow with it, measured promises do not.
SLOW = float(os.environ.get("BUSLINE_TEST_SLOW", "1"))

# For what does not depend on how a broker does it.
BROKERS = ("kafka", "embedded")
on_both_brokers = pytest.mark.parametrize("broker", BROKERS, indirect=True)

# What a broker that starts, or a topic that was made a moment ago, may answer.
COMING_BACK = {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE,
               KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._TRANSPORT, KafkaError._TIMED_OUT,
               KafkaError._ALL_BROKERS_DOWN, KafkaError.REQUEST_TIMED_OUT}


class TooLate(AssertionError):
    pass


def wait_for(condition, what, timeout=30, every=0.05):
    """Returns the first true value of condition(); what says what was waited for."""
    end = time.monotonic() + timeout * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            said = what() if callable(what) else what
            raise TooLate(f"not within {timeout * SLOW:.0f} s: {said}")
        time.sleep(every)


def run(*command, timeout=120, env=None, check=True):
    done = subprocess.run([str(word) for word in command], env=env, text=True,
                          capture_output=True, timeout=timeout * SLOW)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit {done.returncode}\n"
                           f"{done.stdout}{done.stderr}")
    return done


def scratch(name):
    path = pathlib.Path(tempfile.mkdtemp(prefix=f"busline-{name}-"))
    # PostgreSQL runs as another user when the tests run as root.
    path.chmod(0o755)
    return path


class Kafka:
    kind = "kafka"
    script = ROOT / "ops/kafka/kafka"

    def __init__(self, directory, servers, owned):
        self.directory, self.servers, self.owned = directory, servers, owned
        self.url = "kafka://" + servers
        self.admin = AdminClient({"bootstrap.servers": servers})

    @classmethod
    def start(cls, nodes=1):
        directory = scratch("kafka")
        servers = run(cls.script, "start", "--dir", directory / "data",
                      "--nodes", str(nodes)).stdout.strip()
        return cls(directory / "data", servers, True)

    @classmethod
    def shared(cls):
        servers = os.environ.get("BUSLINE_TEST_KAFKA")
        if not servers:
            return cls.start()
        return cls(os.environ.get("BUSLINE_TEST_KAFKA_DIR"), servers, False)

    def command(self, verb, *words):
        return run(self.script, verb, "--dir", self.directory, *words).stdout

    def remove(self):
        if self.owned:
            self.command("remove")
            shutil.rmtree(self.directory.parent, ignore_errors=True)

    def present(self):
        return self.admin.list_topics(timeout=10).topics

    def wipe(self, topics=TOPICS):
        there = [name for name in topics if name in self.present()]
        if there:
            for future in self.admin.delete_topics(there, operation_timeout=30).values():
                future.result(30)
            wait_for(lambda: not set(there) & set(self.present()), "topics deleted")

    def partitions(self, topic):
        """How many; 0 if there is no such topic."""
        found = self.present().get(topic)
        return len(found.partitions) if found else 0

    def shares(self, group):
        """How many partitions each member of a group has, sorted."""
        found = self.admin.describe_consumer_groups([group])[group].result(10)
        return sorted(len(m.assignment.topic_partitions) for m in found.members)

    def trim(self, topic, partition, start):
        cut = TopicPartition(topic, partition, start)
        self.admin.delete_records([cut])[TopicPartition(topic, partition)].result(30)

    def publisher(self, **settings):
        return Publisher(self.servers, **settings)

    def member(self, name):
        """Settings under which a successor takes over at once."""
        return {"BUSLINE_BROKER_PROPERTIES": f"group.instance.id={name}"}

    def kill(self):
        self.command("kill")

    def run(self):
        self.command("start")

    def restart(self):
        self.command("restart")

    def _consumer(self):
        return Consumer({"bootstrap.servers": self.servers, "group.id": "busline-test",
                         "enable.auto.commit": False, "auto.offset.reset": "error",
                         "enable.partition.eof": True, "fetch.wait.max.ms": 10})

    def _offsets(self, topic, spec):
        partitions = self.admin.list_topics(topic, 10).topics[topic].partitions
        asked = {TopicPartition(topic, p): spec for p in partitions}
        return {place.partition: future.result(10).offset
                for place, future in self.admin.list_offsets(asked, request_timeout=10).items()}

    def bounds(self, topic):
        """(begin, end) of each partition."""
        def look():
            try:
                begin = self._offsets(topic, OffsetSpec.earliest())
                return {p: (begin[p], end)
                        for p, end in self._offsets(topic, OffsetSpec.latest()).items()}
            except KafkaException as failure:
                # A partition without a leader yet, a broker that is coming back.
                if failure.args[0].code() not in COMING_BACK:
                    raise
                return None
        return wait_for(look, f"bounds of {topic}", 60)

    def ends(self, topic):
        return {p: high for p, (_, high) in self.bounds(topic).items()}

    def read(self, topic):
        """The whole log of a topic, as messages, by partition."""
        bounds = self.bounds(topic)
        log = {p: [] for p in bounds}
        open_ends = {p for p, (low, high) in bounds.items() if high > low}
        consumer = self._consumer()
        try:
            consumer.assign([TopicPartition(topic, p, bounds[p][0]) for p in open_ends])
            end = time.monotonic() + 120
            while open_ends:
                if time.monotonic() > end:
                    raise TooLate(f"log of {topic} not read")
                for message in consumer.consume(1000, 0.5):
                    if message.error():
                        if message.error().name() == "_PARTITION_EOF":
                            open_ends.discard(message.partition())
                            continue
                        raise KafkaException(message.error())
                    log[message.partition()].append(message)
                    if message.offset() + 1 >= bounds[message.partition()][1]:
                        open_ends.discard(message.partition())
        finally:
            consumer.close()
        return log


class Postgres:
    script = ROOT / "ops/postgres/postgres"

    def __init__(self, directory, url, owned):
        self.directory, self.url, self.owned = directory, url, owned

    @classmethod
    def start(cls):
        directory = scratch("pg")
        url = run(cls.script, "start", "--dir", directory / "data").stdout.strip()
        return cls(directory / "data", url, True)

    @classmethod
    def shared(cls):
        url = os.environ.get("BUSLINE_TEST_PG")
        return cls(None, url, False) if url else cls.start()

    def command(self, verb, *words):
        return run(self.script, verb, "--dir", self.directory, *words).stdout

    def remove(self):
        if self.owned:
            self.command("remove")
            shutil.rmtree(self.directory.parent, ignore_errors=True)

    def url_of(self, database, **changes):
        """The same server, another database (user=, host=, port= as wanted)."""
        parts = psycopg.conninfo.conninfo_to_dict(self.url)
        parts.update(dbname=database, **changes)
        return psycopg.conninfo.make_conninfo(**parts)

    def address(self):
        """(host, port) over TCP."""
        parts = psycopg.conninfo.conninfo_to_dict(self.url)
        return "127.0.0.1", int(parts["port"])

    def sql(self, text):
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(text)

    def create(self):
        name = "test_" + secrets.token_hex(6)
        self.sql(f"create database {name}")
        return name

    def drop(self, name):
        self.sql(f"drop database if exists {name} with (force)")


class Process:
    """One role of the product, running."""

    def __init__(self, platform, role, log, env):
        self.role, self.log = role, log
        self.output = open(log, "ab")
        self.popen = subprocess.Popen(PROGRAMS.get(role, [BINARY, "worker", role]), env=env,
                                      stdin=subprocess.DEVNULL, stdout=self.output,
                                      stderr=self.output)
        self.pid = self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        """kill -9; returns when it is gone."""
        self.signal(signal.SIGKILL)
        return self.wait(10)

    def stop(self):
        """An orderly end; its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(20)

    def wait(self, timeout=30):
        try:
            code = self.popen.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            raise TooLate(f"{self.role} (pid {self.pid}) did not end within {timeout} s\n"
                          + self.tail()) from None
        self.output.close()
        return code

    def said(self):
        return pathlib.Path(self.log).read_text(errors="replace")

    def tail(self, lines=15):
        return f"--- {self.log}\n" + "\n".join(self.said().splitlines()[-lines:])


class Platform:
    """A fresh database, consumer groups of its own, and the processes that use them."""

    def __init__(self, broker, postgres, settings=None, topics=TOPICS):
        self.broker, self.postgres, self.topics = broker, postgres, topics
        self.settings = settings or {}
        self.name = postgres.create()
        self.url = postgres.url_of(self.name)
        self.group = "g" + self.name
        self.folder = scratch("run")
        self.processes = []
        self.connection = None
        self.started = 0
        self.lock = threading.RLock()

    # ---- processes

    def env(self, **extra):
        """Nothing of the caller's own BUSLINE_ settings reaches the product."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("BUSLINE_", "PG"))}
        env.update(
            BUSLINE_BROKER_URL=self.broker.url,
            BUSLINE_DB_URL=self.url,
            BUSLINE_WORKER_GROUP=self.group,
            BUSLINE_TOPIC_PARTITIONS=str(PARTITIONS),
        )
        env.update({k: str(v) for k, v in {**self.settings, **extra}.items()})
        return env

    def busline(self, *words, check=True, timeout=120, **env):
        return run(BINARY, *words, env=self.env(**env), check=check, timeout=timeout)

    def prepare(self, fresh_log=True):
        topics = self.topics
        if fresh_log:
            self.broker.wipe(topics)
        self.busline("migrate")
        self.busline("topic", "ensure")
        wait_for(lambda: all(self.broker.partitions(topic) == PARTITIONS for topic in topics),
                 "topics made")
        if fresh_log:
            wait_for(lambda: all(not any(self.broker.ends(topic).values()) for topic in topics),
                     "topics empty")
        return self

    def start(self, role, member=None, crash=None, **env):
        """member: a name; a successor of that name takes over as soon as the broker can do."""
        if member and role != "relay":
            env = {**self.broker.member(member), **env}
        if crash:
            env["BUSLINE_CRASH_POINT"] = crash
        with self.lock:
            self.started += 1
            log = self.folder / f"{self.started:04d}-{role}.log"
            process = Process(self, role, log, self.env(**env))
            self.processes.append(process)
        return process

    def start_all(self, roles=ROLES, **env):
        return {role: self.start(role, **env) for role in roles}

    def kill_all(self):
        for process in self.processes:
            process.thaw()
            process.kill()

    def stop_all(self):
        for process in self.processes:
            process.thaw()
            process.signal(signal.SIGTERM)
        for process in self.processes:
            process.wait()

    def tails(self):
        return "\n".join(p.tail() for p in self.processes[-10:])

    def reports(self):
        """What a sanitizer said, if anything."""
        found = []
        for log in sorted(self.folder.glob("*.log")):
            text = log.read_text(errors="replace")
            if re.search(r"ERROR: AddressSanitizer|runtime error:|ERROR: LeakSanitizer", text):
                found.append(f"{log}:\n{text[-3000:]}")
        return found

    # ---- looking

    def rows(self, query, *params):
        """In one statement, so in one snapshot; connects again when the server went away."""
        with self.lock:
            for attempt in (1, 2):
                try:
                    if self.connection is None or self.connection.closed:
                        self.connection = psycopg.connect(self.url, autocommit=True,
                                                          connect_timeout=5)
                    return self.connection.execute(query, params or None).fetchall()
                except psycopg.OperationalError:
                    self.connection = None
                    if attempt == 2:
                        raise

    def execute(self, text):
        """Statements without a result, several at once if need be."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(text)

    def value(self, query, *params):
        return self.rows(query, *params)[0][0]

    def digest(self):
        value = self.value("select busline.state_digest()")
        return value.hex() if isinstance(value, bytes) else str(value)

    def positions(self, topic):
        return dict(self.rows("select partition, next_offset from busline.position "
                              "where topic = %s", topic))

    def shares(self, role):
        """How many partitions each member of a role's group has, sorted."""
        return self.broker.shares(f"{self.group}.{role}")

    def behind(self, topics):
        """What is not done yet; empty when everything is."""
        waiting = self.value(PROMISED)
        if waiting:
            return {"outbox": waiting}
        left = {}
        for topic in topics:
            done = self.positions(topic)
            for partition, end in self.broker.ends(topic).items():
                if done.get(partition, 0) < end:
                    left[topic, partition] = (done.get(partition, 0), end)
        return left or ({"outbox": 1} if self.value(PROMISED) else {})

    def quiesce(self, topics=WORKER_TOPICS, timeout=60):
        """Waits until positions are at the ends of the logs and no promise is open."""
        last = {}

        def done():
            nonlocal last
            last = self.behind(topics)
            return not last
        wait_for(done, lambda: f"all done; left (done, end): {last}\n{self.tails()}", timeout, 0.1)

    def close(self):
        self.kill_all()
        if self.connection is not None:
            self.connection.close()
        self.postgres.drop(self.name)
        reports = self.reports()
        shutil.rmtree(self.folder, ignore_errors=True)
        if reports:
            raise AssertionError("sanitizer reports:\n" + "\n".join(reports))


# Outbox rows that are committed and not yet marked as published.
PROMISED = """
select coalesce(sum(p.outbox_seq - coalesce(m.seq, 0)), 0)::bigint
from busline.position p left join busline.outbox_mark m using (stream)
"""


class Reaper(threading.Thread):
    """Kills each process with -9 once per interval and starts its successor at once."""

    def __init__(self, platform, roles=ROLES, interval=1.0):
        super().__init__(daemon=True)
        self.platform, self.roles, self.interval = platform, roles, interval
        self.stopping = threading.Event()
        self.kills = 0
        self.failure = None
        self.living = {}

    def run(self):
        try:
            for role in self.roles:
                self._launch(role)
            while not self.stopping.wait(self.interval):
                for role in self.roles:
                    if not self.living[role].running():
                        raise AssertionError(f"{role} ended by itself\n"
                                             + self.living[role].tail())
                    self.living[role].kill()
                    self.kills += 1
                    self._launch(role)
        except Exception as failure:  # noqa: BLE001 - told to the test by halt()
            self.failure = failure

    def _launch(self, role):
        self.living[role] = self.platform.start(role, member=f"{self.platform.group}-{role}")

    def halt(self):
        """Stops killing; what lives then lives on."""
        self.stopping.set()
        self.join(60)
        if self.failure:
            raise self.failure
