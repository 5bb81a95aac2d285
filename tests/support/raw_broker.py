"""A real `busline broker` as raw sockets see it: frames by hand, an honest client beside them."""

import contextlib
import json
import os
import socket
import struct
import subprocess
import threading
import time

from support import nng_client as wire
from support.embedded import Embedded
from support.nng_client import Client, Gone, Refused
from support.platform import BINARY, SLOW, wait_for

MIB = 1 << 20
TOPIC = "sockets"
GREETING = wire.GREETING.pack(b"\0SP\0", wire.REQ, 0)
# What a broker of a few partitions and a thousand connections takes, with room for the sanitizers.
RSS_MAX = (300 if SLOW == 1 else 1500) * MIB


class Broker(Embedded):
    """With settings, and with words before its own."""

    def __init__(self, settings=(), before=(), environment=None, url=None):
        super().__init__()
        self.settings, self.before = list(settings), list(before)
        self.environment = environment or {}
        self.url = url or self.url

    def launch(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("BUSLINE_")}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.before, BINARY, "broker", "--data", self.directory, "--listen", self.url,
                 *self.settings], env=env | self.environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)

    def rss(self, most=False):
        """Now, or the most it ever was."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status
                        if line.startswith("VmHWM" if most else "VmRSS"))

    def files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def logged(self, message):
        whole, _, _ = self.log.read_text().rpartition("\n")
        lines = [json.loads(line) for line in whole.splitlines()
                 if line.startswith("{")]
        return [line for line in lines if line["message"] == message]

    def cut(self):
        """How many connections it says it has cut: one by one, and how many more."""
        more = self.logged("more connections cut, not told one by one")
        return len(self.logged("connection cut")), sum(line["count"] for line in more)


def ensure(client, topic=TOPIC, partitions=3):
    answer = client.ask(wire.TOPIC_ENSURE, wire.text(topic)
                        + struct.pack(">iqq", partitions, -1, 0))
    made = answer.number("B")
    assert answer.text() == topic
    return made


def append_body(producer, sequence, batches):
    """batches: (topic, partition, values)."""
    return struct.pack(">QQI", producer, sequence, len(batches)) + b"".join(
        wire.text(topic) + struct.pack(">i", partition)
        + wire.batch([wire.body(b"k", [("n", b"v")], value) for value in values])
        for topic, partition, values in batches)


def append(client, producer, sequence, *batches):
    """Base offsets."""
    answer = client.ask(wire.APPEND, append_body(producer, sequence, batches))
    return [(answer.number("q"), answer.number("q"))[0] for _ in range(answer.number("I"))]


def fetch_body(places, wait_ms=0, most=MIB):
    return struct.pack(">III", wait_ms, most, len(places)) + b"".join(
        wire.text(topic) + struct.pack(">iq", partition, offset)
        for topic, partition, offset in places)


def frame(op, request, token=bytes(32), ident=0x80000001):
    raw = struct.pack(">I", ident) + wire.MAGIC + bytes([wire.VERSION, op]) + token + request
    return struct.pack(">Q", len(raw)) + raw


def connect(broker, greet=True, timeout=20):
    raw = socket.create_connection(broker.address, timeout * SLOW)
    if greet:
        raw.sendall(GREETING)
        assert len(raw.recv(8, socket.MSG_WAITALL)) == 8
    return raw


def closed(raw):
    """The other side has ended it; what it said before is read away."""
    try:
        while raw.recv(MIB):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def requests():
    """One that is right for each op."""
    place = wire.text(TOPIC) + struct.pack(">i", 0)
    return {
        wire.INFO: b"",
        wire.TOPIC_ENSURE: wire.text("another") + struct.pack(">iqq", 3, -1, 0),
        wire.TOPIC_LIST: wire.text("so") + wire.text(""),
        wire.OFFSET: place + struct.pack(">Bq", wire.TIME, 1),
        wire.APPEND: append_body(3, 1, [(TOPIC, 0, [b"a", b"b"]), (TOPIC, 1, [b"c"])]),
        wire.FETCH: fetch_body([(TOPIC, 0, 0), (TOPIC, 1, 0)]),
        wire.GROUP: wire.text("g") + wire.text(TOPIC) + struct.pack(">Q", 5) + wire.text("c")
        + struct.pack(">IIBQ", 6000, 0, 0, 0),
        wire.NOTE: wire.text("g") + struct.pack(">I", 1) + place + struct.pack(">q", 0),
        wire.GROUPS: wire.text(""),
        wire.TRIM: place + struct.pack(">q", 0),
        wire.SEAL: wire.text(TOPIC) + b"\0",
        12: wire.text(TOPIC),
    }


def refusal(client, op, request):
    try:
        client.ask(op, request)
    except Refused as refused:
        return refused.why
    return "done"


def later(call):
    """Runs in a thread; the list gets what it gives, or its refusal; nothing if the broker ends."""
    said = []

    def work():
        with contextlib.suppress(Gone):
            try:
                said.append(call())
            except Refused as refused:
                said.append(refused.why)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread, said


ESTABLISHED = 1


def connection(port, other):
    """Its state at `port`, and the bytes that the kernel has for `other`, on their way or there."""
    rows = {}
    with open("/proc/net/tcp") as table:
        for line in list(table)[1:]:
            fields = line.split()
            ports = tuple(int(place.split(":")[1], 16) for place in fields[1:3])
            rows[ports] = [int(number, 16) for number in [fields[3], *fields[4].split(":")]]
    state, sending, _ = rows.get((port, other), (0, 0, 0))
    return state, sending + rows[other, port][2]


class Honest(threading.Thread):
    """Publishes and reads back all the time, from one connection."""

    def __init__(self, broker):
        super().__init__(daemon=True)
        self.client = Client(broker.address, timeout=60 * SLOW)
        ensure(self.client)
        ensure(self.client, "honest")
        self.ending, self.failure = threading.Event(), None
        self.events, self.slowest = 0, 0

    def run(self):
        try:
            start = self.client.offset("honest", 0, wire.LATEST)
            while not self.ending.is_set():
                began = time.monotonic()
                value = b"honest %d" % self.events
                base, = append(self.client, 1, self.events + 1, ("honest", 0, [value]))
                assert base == start + self.events
                found = self.client.fetch("honest", 0, base)
                assert [m.value() for m in found] == [value]
                self.events += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
        except Exception as failure:  # noqa: BLE001 - told to the test
            self.failure = failure

    def __enter__(self):
        self.start()
        self.more()
        return self

    def more(self, count=20):
        """It is served now, not only before."""
        goal = self.events + count
        wait_for(lambda: self.failure or self.events >= goal,
                 lambda: f"the honest client is served: {self.events} of {goal}", 20, 0.01)
        if self.failure:
            raise self.failure

    def __exit__(self, kind, *_):
        if kind is None:
            self.more()
        self.ending.set()
        self.join(60)
        self.client.close()
        if kind is None and self.failure:
            raise self.failure


@contextlib.contextmanager
def siege(broker, slowest=5):
    """The broker lives, its memory is bounded, and the honest client is served all along."""
    with Honest(broker) as honest:
        yield honest
        honest.more()
        assert broker.running(), broker.tail()
        assert broker.rss() < RSS_MAX, f"{broker.rss() / MIB:.0f} MiB"
    assert honest.slowest < slowest * SLOW, f"{honest.slowest:.1f} s for one event"
