"""The embedded broker's protocol, from its description in broker-adapters/nng/README.md.

Nothing here shares code with the product: the transport is nng's REQ over TCP (its "SP"
mapping), written out; what a test reads and writes here is what any client would.
"""

import itertools
import random
import secrets
import socket
import struct
import threading
import time

import xxhash

from support.events import Undelivered

MAGIC, VERSION = b"BSLN", 1
INFO, TOPIC_ENSURE, TOPIC_LIST, OFFSET, APPEND, FETCH, GROUP, NOTE, GROUPS, TRIM, SEAL = \
    range(1, 12)
REFUSALS = ("done", "malformed", "other version", "denied", "no topic", "no partition", "invalid",
            "too large", "busy", "no space", "out of sequence", "forgotten", "sealed")
# Nothing happened: the same request may be made again.
TRY_AGAIN = {"busy", "no space", "out of sequence", "sealed"}
EARLIEST, LATEST, TIME = range(3)
FRAME_BODIES = 1 << 20
GREETING = struct.Struct(">4sHH")
REQ, REP = 0x30, 0x31


class Refused(Exception):
    def __init__(self, code, text):
        self.why = REFUSALS[code]
        super().__init__(f"{self.why}: {text}")


class Gone(Exception):
    """The broker is not there, or went away before it answered."""


# ---- bytes


def text(value):
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw


def field(value):
    """be32 length and bytes; all ones: absent."""
    if value is None:
        return b"\xff\xff\xff\xff"
    value = value.encode() if isinstance(value, str) else bytes(value)
    return struct.pack(">I", len(value)) + value


def body(key, headers, value):
    packed = b"".join(field(name) + field(content) for name, content in headers)
    return field(key) + struct.pack(">I", len(headers)) + packed + field(value)


def batch(bodies):
    directory = b"".join(struct.pack(">IQ", len(b), xxhash.xxh3_64_intdigest(b)) for b in bodies)
    joined = b"".join(bodies)
    return struct.pack(">II", len(bodies), len(joined)) + directory + joined


class Reader:
    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def take(self, count):
        piece = self.raw[self.at:self.at + count]
        if len(piece) != count:
            raise ValueError("an answer ends early")
        self.at += count
        return piece

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(">" + form)))[0]

    def text(self):
        return self.take(self.number("H")).decode()

    def field(self):
        length = self.number("I")
        return None if length == 0xffffffff else self.take(length)

    def many(self, form):
        return [self.number(form) for _ in range(self.number("I"))]

    def done(self):
        if self.at != len(self.raw):
            raise ValueError(f"{len(self.raw) - self.at} bytes too many in an answer")


class Message:
    """A record where it lies, with the face of confluent_kafka's."""

    def __init__(self, topic, partition, offset, at_ms, raw):
        self._place = topic, partition, offset, at_ms
        reader = Reader(raw)
        self._key = reader.field()
        self._headers = [(reader.field().decode(), reader.field())
                         for _ in range(reader.number("I"))]
        self._value = reader.field()
        reader.done()

    def topic(self):
        return self._place[0]

    def partition(self):
        return self._place[1]

    def offset(self):
        return self._place[2]

    def timestamp_ms(self):
        return self._place[3]

    def key(self):
        return self._key

    def headers(self):
        return self._headers

    def value(self):
        return self._value


def slice_of(reader, topic, partition):
    base, at_ms = reader.number("q"), reader.number("q")
    count, length = reader.number("I"), reader.number("I")
    directory = [(reader.number("I"), reader.number("Q")) for _ in range(count)]
    bodies = Reader(reader.take(length))
    for number, (size, checksum) in enumerate(directory):
        raw = bodies.take(size)
        if xxhash.xxh3_64_intdigest(raw) != checksum:
            raise ValueError(f"{topic}-{partition}@{base + number}: its checksum is another's")
        yield Message(topic, partition, base + number, at_ms, raw)
    bodies.done()


# ---- a connection


class Connection:
    """REQ over TCP, one request at a time; opened when it is needed, for each thread its own."""

    def __init__(self, address, token=bytes(32), timeout=30):
        self.address, self.token, self.timeout = address, token, timeout
        self.socket = None
        self.ids = itertools.count(secrets.randbits(30))

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def _open(self):
        self.socket = socket.create_connection(self.address, self.timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(GREETING.pack(b"\0SP\0", REQ, 0))
        if GREETING.unpack(self._read(GREETING.size)) != (b"\0SP\0", REP, 0):
            raise ValueError("what listens there is no REP socket")

    def _read(self, count):
        pieces = bytearray()
        while len(pieces) < count:
            piece = self.socket.recv(min(count - len(pieces), 1 << 20))
            if not piece:
                raise ConnectionError("the broker closed the connection")
            pieces += piece
        return bytes(pieces)

    def ask(self, op, request):
        """The body of the answer. Gone: whether it was done is not known."""
        try:
            if self.socket is None:
                self._open()
            ident = struct.pack(">I", next(self.ids) & 0x7fffffff | 0x80000000)
            frame = ident + MAGIC + bytes([VERSION, op]) + self.token + request
            self.socket.sendall(struct.pack(">Q", len(frame)) + frame)
            length = struct.unpack(">Q", self._read(8))[0]
            answer = Reader(self._read(length))
        except OSError as failure:
            self.close()
            raise Gone(str(failure)) from failure
        head = answer.take(4), answer.take(4), answer.number("B"), answer.number("B")
        if head != (ident, MAGIC, VERSION, op):
            raise ValueError(f"no answer to what was asked: {head}")
        refusal = answer.number("B")
        if refusal:
            raise Refused(refusal, answer.text())
        return answer


class Client(Connection):
    """What a test asks of a broker."""

    def info(self):
        answer = self.ask(INFO, b"")
        found = {"uuid": answer.take(16), "boot": answer.number("I"),
                 "largest": answer.number("I"), "version": answer.text()}
        answer.done()
        return found

    def topics(self):
        """Partitions by name."""
        found, after, more = {}, "", 1
        while more:
            answer = self.ask(TOPIC_LIST, text("") + text(after))
            for _ in range(answer.number("I")):
                after = answer.text()
                found[after] = answer.number("i")
                answer.take(16)
            more = answer.number("B")
            answer.done()
        return found

    def offset(self, topic, partition, at, time_ms=0):
        answer = self.ask(OFFSET, text(topic) + struct.pack(">iBq", partition, at, time_ms))
        return answer.number("q")

    def groups(self):
        """Members' partitions by group."""
        found, after, more = {}, "", 1
        while more:
            answer = self.ask(GROUPS, text(after))
            for _ in range(answer.number("I")):
                group, topic = answer.text(), answer.text()
                after = f"{group}\0{topic}"
                answer.number("Q")
                members = found.setdefault(group, {})
                for _ in range(answer.number("I")):
                    member = answer.number("Q"), answer.text()
                    members[member] = answer.many("i")
                for _ in range(answer.number("I")):
                    answer.take(4 + 3 * 8)
            more = answer.number("B")
            answer.done()
        return found

    def trim(self, topic, partition, start):
        self.ask(TRIM, text(topic) + struct.pack(">iq", partition, start)).done()

    def fetch(self, topic, partition, offset, most=1 << 20, wait_ms=0):
        answer = self.ask(FETCH, struct.pack(">III", wait_ms, most, 1) + text(topic)
                          + struct.pack(">iq", partition, offset))
        found = []
        for _ in range(answer.number("I")):
            answer.number("I")
            verdict = answer.number("B")
            if verdict:
                raise ValueError(f"{topic}-{partition}@{offset}: verdict {verdict}")
            for _ in range(answer.number("I")):
                found += slice_of(answer, topic, partition)
        answer.done()
        return found


# ---- publishing


def murmur2(key):
    """As Kafka's own producers place a key."""
    mask, mix = 0xffffffff, 0x5bd1e995
    value = 0x9747b28c ^ len(key)
    whole = len(key) & ~3
    for (word,) in struct.iter_unpack("<I", key[:whole]):
        word = word * mix & mask
        word = (word ^ word >> 24) * mix & mask
        value = (value * mix & mask) ^ word
    rest = key[whole:]
    if rest:
        value = (value ^ int.from_bytes(rest, "little")) * mix & mask
    value = (value ^ value >> 13) * mix & mask
    return (value ^ value >> 15) & 0x7fffffff


class Publisher:
    """The face of support.events.Publisher. A thread sends what has come together; a request
    whose answer is lost is made again under its number, so that it counts once."""

    BATCH = 2000

    def __init__(self, address, patience=120, **_):
        self.failures, self.delivered = [], 0
        self.patience = patience
        self.connection = Connection(address)
        self.producer, self.sequence = secrets.randbits(63) + 1, 0
        self.counts, self.chance = {}, random.Random(7)
        self.queue, self.changed = [], threading.Condition()
        self.closing = False
        self.sending = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def publish(self, records, partition=None, note=None):
        """Hands records over; note(record, partition, offset) is told where each lies."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.queue) < 50 * self.BATCH)
            self.queue += [(record, partition, note) for record in records]
            self.changed.notify_all()

    def flush(self, timeout=120):
        with self.changed:
            done = self.changed.wait_for(lambda: not self.queue and not self.sending, timeout)
        if not done or self.failures:
            raise Undelivered(f"{len(self.queue) + self.sending} not acknowledged, "
                              f"{len(self.failures)} failed: {self.failures[:3]}")

    def _run(self):
        while True:
            with self.changed:
                self.sending = 0
                self.changed.notify_all()
                self.changed.wait_for(lambda: self.queue)
                taken = self._fitting()
                self.sending = len(taken)
            try:
                self._append(taken)
            except Exception as failure:  # noqa: BLE001 - told to the test by flush()
                self.failures.append(failure)

    def _fitting(self):
        """Takes from the queue what one frame can hold."""
        taken, size = [], 0
        for record, partition, note in self.queue[:self.BATCH]:
            raw = body(record.key, record.headers, record.value)
            if taken and size + len(raw) > FRAME_BODIES:
                break
            size += len(raw)
            taken.append((record, partition, note, raw))
        del self.queue[:len(taken)]
        return taken

    def _place(self, record, partition):
        if partition is not None:
            return record.topic, partition
        if record.topic not in self.counts:
            self.counts.update(self._again(lambda: Client(self.connection.address).topics()))
        count = self.counts[record.topic]
        if record.key is None:
            return record.topic, self.chance.randrange(count)
        return record.topic, murmur2(record.key) % count

    def _append(self, taken):
        places = {}
        for record, partition, note, raw in taken:
            places.setdefault(self._place(record, partition), []).append((record, note, raw))
        request = b"".join(
            text(topic) + struct.pack(">i", partition) + batch([raw for _, _, raw in items])
            for (topic, partition), items in places.items())
        self.sequence += 1
        head = struct.pack(">QQI", self.producer, self.sequence, len(places))
        try:
            answer = self._again(lambda: self.connection.ask(APPEND, head + request))
        except Refused:
            self.sequence -= 1  # nothing of it happened, the number is still to be used
            raise
        assert answer.number("I") == len(places)
        for (_, partition), items in places.items():
            base = answer.number("q")
            answer.number("q")
            for number, (record, note, _) in enumerate(items):
                self.delivered += 1
                if note is not None:
                    note(record, partition, base + number)
        answer.done()

    def _again(self, call):
        end = time.monotonic() + self.patience
        while True:
            try:
                return call()
            except (Gone, Refused) as failure:
                lasting = isinstance(failure, Refused) and failure.why not in TRY_AGAIN
                if lasting or time.monotonic() > end:
                    raise
            time.sleep(0.02)
