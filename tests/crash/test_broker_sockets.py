"""Whatever connects to the embedded broker, it lives, its memory is bounded and others are served.

Raw sockets against a real `busline broker`, while an honest client publishes and reads back. Also
what the broker refuses to be: a second one on a directory, one that everybody can reach, one that
acknowledges after its disk failed.
"""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

from support.embedded import Embedded
from support import nng_client as wire
from support.nng_client import Client, Gone, Refused
from support.platform import BINARY, ROOT, SLOW, run, scratch, wait_for

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

    def rss(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status
                        if line.startswith("VmRSS"))

    def files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def logged(self, message):
        lines = [json.loads(line) for line in self.log.read_text().splitlines()
                 if line.startswith("{")]
        return [line for line in lines if line["message"] == message]


@pytest.fixture
def make_broker():
    made = []

    def make(*args, running=True, **more):
        broker = Broker(*args, **more)
        made.append(broker)
        if running:
            broker.run()
        return broker

    yield make
    for broker in made:
        broker.remove()


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


# ---- connections that are nothing


def test_ten_thousand_connections_that_end_at_once(make_broker):
    broker = make_broker()
    with siege(broker):
        files = broker.files()
        for number in range(10000):
            raw = socket.create_connection(broker.address, 20 * SLOW)
            if number % 3 == 0:
                raw.sendall(GREETING[:number % 9])
            if number % 2 == 0:  # with RST instead of FIN
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raw.close()
        wait_for(lambda: broker.files() <= files + 5, "connections that ended are closed", 30)


def nasty_bytes(rng):
    """What no client says; (bytes, does the broker have to hang up?)"""
    ask = frame(wire.INFO, b"")
    return [
        (rng.randbytes(rng.randrange(1, 5000)), False),
        (b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n", True),
        (b"\0SP\0\0\x99\0\0", True),
        (GREETING[:7], False),
        (GREETING + ask[:rng.randrange(len(ask))], False),
        (GREETING + struct.pack(">Q", 1 << 32), True),
        (GREETING + struct.pack(">Q", 1 << 63), True),
        (GREETING + struct.pack(">Q", (1 << 64) - 1), True),
        (GREETING + struct.pack(">Q", 2621441), True),
        (GREETING + struct.pack(">Q", 0), True),
        (GREETING + struct.pack(">Q", 3) + b"abc", True),
        # a backtrace that has no end
        (GREETING + struct.pack(">Q", 400) + bytes(400), False),
        (GREETING + struct.pack(">Q", 2621440) + rng.randbytes(100000), False),
        (GREETING + struct.pack(">QI", 1004, 0x80000000) + rng.randbytes(1000), False),
    ]


def test_garbage(make_broker):
    broker, rng = make_broker(), random.Random(20250101)
    with siege(broker):
        waiting = []
        for _ in range(60):
            for said, must_end in nasty_bytes(rng):
                raw = connect(broker, greet=False)
                with contextlib.suppress(OSError):
                    raw.sendall(said)
                if must_end:
                    assert closed(raw), said[:40]
                    raw.close()
                else:
                    waiting.append(raw)
        for raw in waiting:
            raw.close()


def test_a_thousand_idle_connections_and_no_more_than_allowed(make_broker):
    broker = make_broker(["--broker-connections-max", "1010"])
    with siege(broker):
        idle = [connect(broker) for _ in range(1000)]
        late = []
        # the honest one, the one that waited for the start, and eight more have room
        for _ in range(30):
            raw = socket.create_connection(broker.address, 20 * SLOW)
            raw.sendall(GREETING)
            late.append(raw)
        ended = [raw for raw in late if raw.recv(8) and not raw.settimeout(1) and closed(raw)]
        assert 20 <= len(ended) <= 22, len(ended)
        assert len(broker.logged("connections are refused, there are too many")) == 1
        for raw in idle + late:
            raw.close()
        # there is room again
        wait_for(lambda: Client(broker.address).info(), "room for a connection")


# ---- clients that speak, and behave badly


def test_readers_that_never_read(make_broker):
    broker = make_broker()
    client = Client(broker.address)
    ensure(client)
    for sequence in range(1, 5):
        append(client, 2, sequence, (TOPIC, 1, [bytes(100000)] * 9))
    with siege(broker, slowest=8):
        asked = frame(wire.FETCH, fetch_body([(TOPIC, 1, 0)]))
        deaf = []
        for _ in range(60):
            raw = connect(broker)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with contextlib.suppress(OSError):
                raw.sendall(asked * 50)
            deaf.append(raw)
        # a megabyte each on the way is what the broker must hold for a while, not fifty
        assert broker.rss() < RSS_MAX + 60 * 8 * MIB
        wait_for(lambda: len(broker.logged("connection cut")) >= 60,
                 lambda: f"{len(broker.logged('connection cut'))} of 60 were cut", 60)
        for raw in deaf:
            raw.close()


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


@pytest.mark.parametrize("most, counts", [(MIB, range(1, 9)), (1, range(30, 111, 10))])
def test_an_answer_on_its_way_that_nobody_reads(make_broker, most, counts):
    """nng has no time limit for the one it sends just now, only for those behind it."""
    broker = make_broker()
    client = Client(broker.address)
    ensure(client)
    for sequence in range(1, 5):
        append(client, 2, sequence, (TOPIC, 1, [bytes(60000)] * 15))
    asked = fetch_body([(TOPIC, 1, 0)], 0, most)
    answer = len(client.ask(wire.FETCH, asked).raw)
    deaf = []
    for count in counts:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(broker.address)
        raw.sendall(GREETING)
        raw.recv(8)
        for _ in range(count):
            raw.sendall(frame(wire.FETCH, asked))
            # carried out: its answer went to this connection before that one's
            client.info()
        deaf.append((count * answer, raw))

    def all_in_kernel():
        """Of whoever is still connected the broker itself holds nothing to speak of."""
        left = 0
        for size, raw in deaf:
            state, held = connection(broker.port, raw.getsockname()[1])
            if state == ESTABLISHED:
                left += 1
                if held + 65536 < size:
                    return None
        return left

    assert all_in_kernel() is None, "the kernel took it all: nothing is shown by this"
    assert 0 < wait_for(all_in_kernel, "who holds the broker's memory is cut", 40) < len(deaf)
    for _, raw in deaf:
        raw.close()


def test_too_many_requests_of_one_connection(make_broker):
    broker = make_broker()
    with siege(broker):
        raw = connect(broker)
        raw.sendall(frame(wire.FETCH, fetch_body([(TOPIC, 2, 0)], 30000)) * 65)
        assert closed(raw)
        assert [line["why"] for line in broker.logged("connection cut")] \
            == ["too many requests at once"]


def test_too_many_bytes_of_one_connection(make_broker):
    """What waits for its predecessor is kept, up to a bound, and nobody else is told to wait."""
    broker = make_broker()
    with siege(broker) as honest:
        append(Client(broker.address), 7, 1, (TOPIC, 2, [b"first"]))
        raw = connect(broker)
        for sequence in range(3, 15):
            raw.sendall(frame(wire.APPEND,
                              append_body(7, sequence, [(TOPIC, 2, [bytes(900000)])])))
        honest.more(5)
        said = []
        for _ in range(12):
            length, = struct.unpack(">Q", raw.recv(8, socket.MSG_WAITALL))
            said.append(wire.REFUSALS[raw.recv(length, socket.MSG_WAITALL)[10]])
        assert said.count("busy") == 3 and said[:3] == ["busy"] * 3, said
        assert said.count("out of sequence") == 9
        raw.close()


def test_parked_requests_starve_nobody(make_broker):
    """More long polls than the broker keeps: the oldest are answered early, others at once."""
    broker = make_broker()
    with siege(broker):
        polls = [connect(broker) for _ in range(75)]
        for raw in polls:
            raw.sendall(frame(wire.FETCH, fetch_body([(TOPIC, 2, 0)], 30000)) * 60)
        began = time.monotonic()
        Client(broker.address).info()
        assert time.monotonic() - began < 5 * SLOW
        # an answer to the oldest one: nothing new
        polls[0].settimeout(20 * SLOW)
        length, = struct.unpack(">Q", polls[0].recv(8, socket.MSG_WAITALL))
        assert polls[0].recv(length, socket.MSG_WAITALL)[-5:] == b"\0" * 5
        for raw in polls:
            raw.close()


def test_whoever_leaves_while_it_waits_leaves_nothing(make_broker):
    broker = make_broker()
    with siege(broker):
        patient = connect(broker)
        patient.sendall(frame(wire.FETCH, fetch_body([(TOPIC, 2, 0)], 30000)))
        files = broker.files()
        join = wire.text("g") + wire.text(TOPIC)
        for number in range(3000):
            raw = connect(broker)
            member = struct.pack(">Q", number) + wire.text("c") \
                + struct.pack(">IIBQ", 600, 600, 0, 0)
            raw.sendall(frame(wire.FETCH, fetch_body([(TOPIC, p, 0) for p in (1, 2)], 30000))
                        + frame(wire.GROUP, join + member, ident=0x80000002))
            raw.close()
        wait_for(lambda: broker.files() <= files + 5, "their connections are closed", 30)
        wait_for(lambda: not Client(broker.address).groups(), "the group is forgotten", 30)
        # there was room for all of them: who waited before still does
        patient.settimeout(0.2)
        with pytest.raises(TimeoutError):
            patient.recv(1)
        patient.close()


# ---- requests that are no requests


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


def test_every_request_cut_short_or_too_long_is_malformed(make_broker):
    broker = make_broker()
    client = Client(broker.address)
    ensure(client)
    for op, request in requests().items():
        for length in range(len(request)):
            assert refusal(client, op, request[:length]) == "malformed", (op, length)
        if op != wire.INFO:  # has no body: what follows is for versions to come
            assert refusal(client, op, request + b"\0") == "malformed", op
    assert client.offset(TOPIC, 0, wire.LATEST) == client.offset(TOPIC, 1, wire.LATEST) == 0
    for op, request in requests().items():
        assert refusal(client, op, request) == "done", op


def test_mutated_requests(make_broker):
    broker, rng = make_broker(), random.Random(20250101)
    with siege(broker):
        client = Client(broker.address)
        good = [(op, body) for op, body in requests().items() if op != wire.SEAL]
        for _ in range(int(6000 / SLOW)):
            op, body = rng.choice(good)
            body = bytearray(body or b"\0")
            for _ in range(rng.randint(1, 4)):
                body[rng.randrange(len(body))] = rng.choice((0, 0xff, 0x7f, rng.randrange(256)))
            # none of them is to wait
            if op == wire.FETCH:
                body[:4] = bytes(4)
            if op == wire.APPEND:
                body[:16] = struct.pack(">QQ", rng.getrandbits(64), 1)
            if op == wire.GROUP:
                body[-13:-9] = bytes(4)
            assert refusal(client, op, bytes(body)) in wire.REFUSALS


WRONG = [
    (wire.OFFSET, wire.text("none") + struct.pack(">iBq", 0, 0, 0), "no topic"),
    (wire.OFFSET, wire.text(TOPIC) + struct.pack(">iBq", 3, 0, 0), "no partition"),
    (wire.OFFSET, wire.text(TOPIC) + struct.pack(">iBq", -1, 0, 0), "no partition"),
    (wire.TRIM, wire.text(TOPIC) + struct.pack(">iq", 0, 1), "invalid"),
    (wire.TRIM, wire.text(TOPIC) + struct.pack(">iq", 0, -1), "invalid"),
    (wire.SEAL, wire.text("none") + b"\1", "no topic"),
    (12, wire.text("none"), "no topic"),
    (wire.TOPIC_ENSURE, wire.text("a b") + struct.pack(">iqq", 3, -1, 0), "invalid"),
    (wire.TOPIC_ENSURE, wire.text("a") + struct.pack(">iqq", 0, -1, 0), "invalid"),
    (wire.TOPIC_ENSURE, wire.text("a") + struct.pack(">iqq", 1025, -1, 0), "invalid"),
    (wire.TOPIC_ENSURE, wire.text("a\0b") + struct.pack(">iqq", 1, -1, 0), "malformed"),
    (wire.APPEND, append_body(9, 1, [("none", 0, [b""])]), "no topic"),
    (wire.APPEND, append_body(9, 1, [(TOPIC, 7, [b""])]), "no partition"),
    (wire.APPEND, append_body(9, 1, []), "invalid"),
    (wire.APPEND, append_body(9, 0, [(TOPIC, 0, [b""])]), "invalid"),
    (wire.APPEND, append_body(9, 1, [(TOPIC, 0, [bytes(1000001)])]), "too large"),
    (wire.APPEND, append_body(9, 1, [(TOPIC, 0, [b"a"])])[:-1] + b"b", "malformed"),
    (wire.FETCH, fetch_body([]), "invalid"),
    (wire.GROUP, wire.text("") + wire.text(TOPIC) + struct.pack(">Q", 5) + wire.text("c")
     + struct.pack(">IIBQ", 6000, 0, 0, 0), "invalid"),
    (wire.GROUP, wire.text("g") + wire.text(TOPIC) + struct.pack(">Q", 5) + wire.text("c")
     + struct.pack(">IIBQ", 499, 0, 0, 0), "invalid"),
    (wire.GROUP, wire.text("g") + wire.text("none") + struct.pack(">Q", 5) + wire.text("c")
     + struct.pack(">IIBQ", 6000, 0, 0, 0), "no topic"),
    (13, b"", "malformed"),
    (0, b"", "malformed"),
]


def test_what_cannot_be_is_refused_with_its_reason(make_broker):
    client = Client(make_broker().address)
    ensure(client)
    for op, request, why in WRONG:
        assert refusal(client, op, request) == why, (op, request[:60])
    assert client.offset(TOPIC, 0, wire.LATEST) == 0
    # half of an append is no append
    assert refusal(client, wire.APPEND, append_body(
        9, 1, [(TOPIC, 0, [b"a"]), (TOPIC, 9, [b"b"])])) == "no partition"
    assert client.offset(TOPIC, 0, wire.LATEST) == 0


# ---- producers


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


def test_a_producers_requests_count_once_and_in_order(make_broker):
    broker = make_broker()
    one, two, three = (Client(broker.address) for _ in range(3))
    ensure(one)
    assert append(one, 5, 1, (TOPIC, 0, [b"1"])) == [0]
    assert append(one, 5, 1, (TOPIC, 0, [b"1"])) == [0]
    # number 3 waits for number 2
    thread, said = later(lambda: append(two, 5, 3, (TOPIC, 0, [b"3"])))
    thread.join(0.3)
    assert not said
    assert append(one, 5, 2, (TOPIC, 0, [b"2"])) == [1]
    thread.join(10)
    assert said == [[2]]
    # one that never comes
    began = time.monotonic()
    with pytest.raises(Refused) as refused:
        append(one, 5, 5, (TOPIC, 0, [b"5"]))
    assert refused.value.why == "out of sequence" and time.monotonic() - began > 1.5
    # one that fails takes those behind it along, at once
    thread, said = later(lambda: append(two, 5, 5, (TOPIC, 0, [b"5"])))
    more, said_more = later(lambda: append(three, 5, 6, (TOPIC, 0, [b"6"])))
    thread.join(0.3)
    assert refusal(one, wire.APPEND, append_body(5, 4, [("none", 0, [b"4"])])) == "no topic"
    more.join(0.7)
    assert said == said_more == ["out of sequence"]
    assert append(one, 5, 4, (TOPIC, 0, [b"4"])) == [3]
    # too old, and one that begins in the middle
    for sequence in range(5, 15):
        append(one, 5, sequence, (TOPIC, 0, [b"%d" % sequence]))
    assert append(one, 5, 14, (TOPIC, 0, [b"14"])) == [13]
    assert refusal(one, wire.APPEND, append_body(5, 4, [(TOPIC, 0, [b"4"])])) == "forgotten"
    assert refusal(one, wire.APPEND, append_body(6, 7, [(TOPIC, 0, [b"7"])])) == "forgotten"
    broker.restart()
    one = Client(broker.address)
    assert append(one, 5, 14, (TOPIC, 0, [b"14"])) == [13]
    assert [m.value() for m in one.fetch(TOPIC, 0, 0)] \
        == [b"%d" % number for number in range(1, 15)]


# ---- readers


def test_a_full_partition_keeps_no_other_out(make_broker):
    client = Client(make_broker().address)
    ensure(client)
    sequence = 0
    for _ in range(20):
        sequence += 1
        append(client, 1, sequence, (TOPIC, 0, [bytes(50000)] * 10))
    append(client, 1, sequence + 1, (TOPIC, 1, [b"x"]), (TOPIC, 2, [b"y"]))
    for _ in range(6):  # whoever is first
        answer = client.ask(wire.FETCH, fetch_body([(TOPIC, p, 0) for p in range(3)], 0, 200000))
        found = {}
        for _ in range(answer.number("I")):
            place, verdict = answer.number("I"), answer.number("B")
            assert verdict == 0
            for _ in range(answer.number("I")):
                found.setdefault(place, []).extend(wire.slice_of(answer, TOPIC, place))
        answer.done()
        assert set(found) == {0, 1, 2}
        assert [m.value() for m in found[1] + found[2]] == [b"x", b"y"]
    # at least one record, however little was asked for
    assert len(client.fetch(TOPIC, 0, 0, most=1)) == 1


def test_a_long_poll_ends_with_what_it_waits_for(make_broker):
    broker = make_broker()
    one, two = Client(broker.address), Client(broker.address)
    ensure(one)
    thread, said = later(lambda: two.fetch(TOPIC, 1, 0, wait_ms=20000))
    thread.join(0.2)
    append(one, 1, 1, (TOPIC, 0, [b"elsewhere"]))
    thread.join(0.2)
    assert not said
    append(one, 1, 2, (TOPIC, 1, [b"here"]))
    thread.join(5)
    assert [m.value() for m in said[0]] == [b"here"]
    began = time.monotonic()
    assert two.fetch(TOPIC, 1, 1, wait_ms=400) == []
    assert 0.3 < time.monotonic() - began < 5 * SLOW
    for offset in (-1, 2):
        answer = one.ask(wire.FETCH, fetch_body([(TOPIC, 1, offset)], 20000))
        assert [answer.number("I"), answer.number("I"), answer.number("B")] == [1, 0, 1]
        assert [answer.number("q"), answer.number("q")] == [0, 1]
    answer = one.ask(wire.FETCH, fetch_body([("none", 1, 0)], 20000))
    assert [answer.number("I"), answer.number("I"), answer.number("B")] == [1, 0, 3]
    # what was trimmed under it
    append(one, 1, 3, (TOPIC, 2, [b"a", b"b"]))
    one.trim(TOPIC, 2, 2)
    answer = one.ask(wire.FETCH, fetch_body([(TOPIC, 2, 0)], 20000))
    assert [answer.number("I"), answer.number("I"), answer.number("B")] == [1, 0, 1]


# ---- who may


def test_a_token(make_broker):
    folder = scratch("token")
    (folder / "token").write_text("open sesame\n")
    (folder / "other").write_text("open barley\n")
    broker = make_broker(["--broker-token-file", folder / "token"], running=False)
    right = Client(broker.address, token=sha256(b"open sesame"))
    broker.client = right
    broker.run()
    for token in (bytes(32), sha256(b"open barley"), sha256(b"open sesame\n")):
        client = Client(broker.address, token=token)
        for op, request in requests().items():
            assert refusal(client, op, request) == "denied"
    assert ensure(right) == 1
    told = status(broker, f"token-file={folder / 'token'}")
    assert {row["topic"] for row in json.loads(told.stdout)} == {TOPIC}
    told = status(broker, f"token-file={folder / 'other'}")
    assert told.returncode == 70 and "denied" in told.stderr
    shutil.rmtree(folder)


def sha256(content):
    return hashlib.sha256(content).digest()


def busline(*words):
    env = {k: v for k, v in os.environ.items() if not k.startswith("BUSLINE_")}
    return run(BINARY, *words, env=env, check=False)


def status(broker, properties):
    return busline("broker", "status", "-o", "json", "--broker-url", broker.url,
                   "--broker-properties", properties)


def ended(broker):
    broker.launch()
    return broker.process.wait(20 * SLOW), broker.tail()


def test_off_loopback_only_with_a_token(make_broker):
    folder = scratch("token")
    (folder / "token").write_text("open sesame")
    (folder / "empty").write_text("\n")
    for host in ("0.0.0.0", "[::]", "*"):
        code, said = ended(make_broker(running=False, url=f"nng+tcp://{host}:0"))
        assert code == 78 and "--broker-token-file" in said
    code, said = ended(make_broker(["--broker-token-file", folder / "empty"], running=False))
    assert code == 78 and "it is empty" in said
    broker = make_broker(["--broker-token-file", folder / "token"], running=False)
    broker.url = f"nng+tcp://0.0.0.0:{broker.port}"
    broker.client = Client(broker.address, token=sha256(b"open sesame"))
    broker.run()
    assert broker.logged("token and events travel in the clear without TLS")
    shutil.rmtree(folder)


def test_tls(make_broker):
    folder = scratch("tls")
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
        "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key",
        "-out", folder / "cert")
    (folder / "both").write_bytes((folder / "cert").read_bytes() + (folder / "key").read_bytes())
    broker = make_broker(["--broker-tls-file", folder / "both"], running=False)
    broker.url = f"nng+tls+tcp://localhost:{broker.port}"
    trust = ssl.create_default_context(cafile=folder / "cert")
    broker.client = TlsClient(broker.address, trust)
    broker.run()
    assert ensure(broker.client) == 1
    told = status(broker, f"tls-ca-file={folder / 'cert'}")
    assert {row["topic"] for row in json.loads(told.stdout)} == {TOPIC}
    with pytest.raises(Gone):  # not in the clear
        Client(broker.address, timeout=5).info()
    code, said = ended(make_broker(running=False, url="nng+tls+tcp://127.0.0.1:0"))
    assert code == 78 and "--broker-tls-file" in said
    for wrong in ("cert", "none"):  # a certificate without its key; no file at all
        code, said = ended(make_broker(["--broker-tls-file", folder / wrong], running=False,
                                       url="nng+tls+tcp://127.0.0.1:0"))
        assert code == 78 and str(folder / wrong) in said
    shutil.rmtree(folder)


class TlsClient(Client):
    def __init__(self, address, trust):
        super().__init__(address)
        self.trust = trust

    def _open(self):
        raw = socket.create_connection(self.address, self.timeout)
        self.socket = self.trust.wrap_socket(raw, server_hostname="localhost")
        self.socket.sendall(GREETING)
        assert self._read(8) == wire.GREETING.pack(b"\0SP\0", wire.REP, 0)


def test_a_second_broker_on_a_directory(make_broker):
    first = make_broker()
    second = make_broker(running=False)
    second.directory = first.directory
    with Honest(first):
        code, said = ended(second)
        assert code == 70 and "in use" in said
        taken = make_broker(running=False, url=first.url)
        code, said = ended(taken)
        assert code == 70 and first.url in said


# ---- its end, and its disk


def test_sigterm_carries_out_what_has_come(make_broker):
    broker = make_broker()
    ensure(broker.client)
    for _ in range(5):
        acknowledged, lost = [], []

        def produce(producer):
            client = Client(broker.address)
            sequence = 0
            try:
                while True:
                    sequence += 1
                    value = b"%d %d" % (producer, sequence)
                    base, = append(client, producer, sequence, (TOPIC, 0, [value]))
                    acknowledged.append((base, value))
            except Gone:
                lost.append((producer, sequence, value))

        producers = [threading.Thread(target=produce, args=(random.getrandbits(60) + 1,))
                     for _ in range(6)]
        for thread in producers:
            thread.start()
        wait_for(lambda: len(acknowledged) > 60, "producers are at work", 20, 0.005)
        began = time.monotonic()
        assert broker.stop() == 0, broker.tail()
        assert time.monotonic() - began < 5 * SLOW
        for thread in producers:
            thread.join(30)
        broker.run()
        for producer, sequence, value in lost:
            base, = append(broker.client, producer, sequence, (TOPIC, 0, [value]))
            acknowledged.append((base, value))
        log = [m.value() for m in broker.read(TOPIC)[0]]
        assert all(log[base] == value for base, value in acknowledged)
        assert len(set(log)) == len(log)
    assert broker.stop() == 0
    assert busline("broker", "check", "--data", broker.directory).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_full_disk(make_broker):
    broker = make_broker(running=False)
    broker.directory.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=6m", "busline-test", broker.directory)
    try:
        broker.run()
        client = broker.client
        ensure(client)
        values, sequence, refused = [], 0, None
        while refused is None:
            sequence += 1
            value = os.urandom(50000)
            try:
                append(client, 1, sequence, (TOPIC, 0, [value]))
                values.append(value)
            except Refused as failure:
                refused = failure.why
        assert refused == "no space" and len(values) > 5
        for _ in range(3):
            assert refusal(client, wire.APPEND,
                           append_body(1, sequence, [(TOPIC, 0, [value])])) == "no space"
        # reads go on, nothing of it is there
        assert [m.value() for m in broker.read(TOPIC)[0]] == values
        run("mount", "-o", "remount,size=64m", broker.directory)
        assert append(client, 1, sequence, (TOPIC, 0, [value])) == [len(values)]
        assert [m.value() for m in broker.read(TOPIC)[0]] == values + [value]
        assert len(broker.logged("nothing is written, the disk is full")) == 1
        assert len(broker.logged("there is space on the disk again")) == 1
        broker.restart()
        assert [m.value() for m in broker.read(TOPIC)[0]] == values + [value]
    finally:
        if broker.running():
            broker.kill()
        run("umount", "--lazy", broker.directory)


@pytest.fixture
def bad_disk(make_broker):
    """A broker, and the file that makes its disk fail (empty) or slow (not empty)."""
    folder = scratch("disk")
    run("cc", "-shared", "-fPIC", "-o", folder / "fail_sync.so",
        ROOT / "tests/support/fail_sync.c")
    yield make_broker(environment={
        "LD_PRELOAD": str(folder / "fail_sync.so"), "FAIL_SYNC": str(folder / "bad"),
        "ASAN_OPTIONS": "verify_asan_link_order=0"}), folder / "bad"
    shutil.rmtree(folder)


def test_a_disk_that_fails(bad_disk):
    broker, bad = bad_disk
    client = broker.client
    ensure(client)
    assert append(client, 1, 1, (TOPIC, 0, [b"kept"])) == [0]
    others = [Client(broker.address) for _ in range(4)]
    for other in others:
        other.info()
    bad.write_text("")
    said = [later(lambda c=other, n=number: append(c, 10 + n, 1, (TOPIC, 0, [b"lost"])))
            for number, other in enumerate(others)]
    assert broker.process.wait(20 * SLOW) == 70, broker.tail()
    for thread, answers in said:
        thread.join(20)
        assert answers == [], "acknowledged on a disk that failed"
    line, = broker.logged("broker ended")
    assert "sync" in line["error"] or "disk" in line["error"], line
    bad.unlink()
    broker.run()
    assert broker.read(TOPIC)[0][0].value() == b"kept"


def test_what_came_during_the_last_commit_is_answered(bad_disk):
    broker, bad = bad_disk
    clients = [Client(broker.address) for _ in range(5)]
    for client in clients:
        ensure(client)
    bad.write_text("slow")
    said = [later(lambda c=client, n=number: append(c, 10 + n, 1, (TOPIC, 0, [b"%d" % n])))
            for number, client in enumerate(clients)]
    # all have come while the first one's commit takes its time
    wait_for(lambda: all(connection(broker.port, c.socket.getsockname()[1])[0] == ESTABLISHED
                         for c in clients), "all are connected")
    time.sleep(0.2)
    assert broker.stop() == 0
    for thread, _ in said:
        thread.join(20)
    assert sorted(answers[0][0] for _, answers in said) == [0, 1, 2, 3, 4]
