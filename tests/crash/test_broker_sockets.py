"""Whatever connects to the embedded broker, it lives, its memory is bounded and others are served.

Raw sockets against a real `busline broker`, while an honest client publishes and reads back.
"""

import contextlib
import random
import select
import socket
import struct
import threading
import time

import pytest

from support import nng_client as wire
from support.nng_client import Client, Refused
from support.platform import SLOW, wait_for
from support.raw_broker import (ESTABLISHED, GREETING, MIB, RSS_MAX, TOPIC, append, append_body,
                                closed, connect, connection, ensure, fetch_body, frame, later,
                                refusal, requests, siege)


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


def test_connections_that_end_in_the_middle(make_broker):
    """Half an answer read, half a request written: nng 1.5.2's own sockets never get over it."""
    broker = make_broker()
    client = Client(broker.address)
    ensure(client)
    for sequence in range(1, 5):
        append(client, 2, sequence, (TOPIC, 1, [bytes(60000)] * 15))
    asked = frame(wire.FETCH, fetch_body([(TOPIC, 1, 0)]))
    told = frame(wire.APPEND, append_body(3, 1, [(TOPIC, 0, [bytes(900000)])]))

    def misbehave(rng):
        for _ in range(400):
            with contextlib.suppress(OSError), connect(broker) as raw:
                if rng.random() < 0.7:
                    raw.sendall(asked * rng.choice((1, 2, 4, 12, 70)))
                    raw.recv(rng.randrange(1, 300000))
                if rng.random() < 0.5:
                    raw.sendall(told[:rng.randrange(1, len(told))])
                if rng.random() < 0.6:  # with RST instead of FIN
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with siege(broker, slowest=8):
        files = broker.files()
        threads = [threading.Thread(target=misbehave, args=(random.Random(seed),))
                   for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_for(lambda: broker.files() <= files + 3, "connections that ended are closed", 30)
    began = time.monotonic()
    assert broker.stop() == 0
    assert time.monotonic() - began < 5 * SLOW


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
        ended = [raw for raw in late if not raw.settimeout(1) and closed(raw)]
        assert 20 <= len(ended) <= 22, len(ended)
        assert len(broker.logged("connections are refused, there are too many")) == 1
        for raw in idle + late:
            raw.close()
        # there is room again
        wait_for(lambda: Client(broker.address).info(), "room for a connection")


def test_too_many_again_and_again(make_broker):
    """Who makes room and takes it away does not fill the log either."""
    broker = make_broker(["--broker-connections-max", "10"])
    began = time.monotonic()

    def refused():
        lines = broker.logged("connections were refused again and again")
        return sum(line["count"] for line in lines)

    def crowd():
        raws = [socket.create_connection(broker.address, 20 * SLOW) for _ in range(11)]
        for raw in raws:
            raw.close()
        return refused() > 50

    wait_for(crowd, "it is told that there were more", 60, 0.001)
    lines = len(broker.logged("connections are refused, there are too many"))
    assert 0 < lines <= time.monotonic() - began + 2


# ---- clients that speak, and behave badly


def test_readers_that_never_read(make_broker):
    broker = make_broker()
    client = Client(broker.address)
    ensure(client)
    for sequence in range(1, 5):  # no answer is less than one of them
        append(client, 2, sequence, (TOPIC, 1, [bytes(900000)]))
    with siege(broker, slowest=8):
        asked = frame(wire.FETCH, fetch_body([(TOPIC, 1, 0)]))
        deaf = []
        for _ in range(60):
            raw = connect(broker)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with contextlib.suppress(OSError):
                raw.sendall(asked * 50)
            deaf.append(raw)
        # each has more than its share of what the broker holds: none is waited for, all are cut
        wait_for(lambda: sum(broker.cut()) >= 60, lambda: f"{broker.cut()} of 60 were cut",
                 8 if SLOW == 1 else 60)
        assert broker.rss(most=True) < RSS_MAX + 256 * MIB, f"{broker.rss(most=True) / MIB:.0f}"
        for raw in deaf:
            raw.close()


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


def test_an_event_that_everybody_waits_for_and_nobody_reads(make_broker):
    """It is answered to all of them in one round; what is on its way is bounded all the same."""
    broker = make_broker()
    client = Client(broker.address)
    ensure(client)
    with siege(broker, slowest=8):
        deaf = []
        for _ in range(int(250 / SLOW)):
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.connect(broker.address)
            raw.sendall(GREETING + frame(wire.FETCH, fetch_body([(TOPIC, 1, 0)], 30000)) * 8)
            deaf.append(raw)
        client.info()  # theirs have come before
        append(client, 2, 1, (TOPIC, 1, [bytes(900000)]))
        wait_for(lambda: broker.logged("connection cut"), "who weighs most is cut", 20)
        assert broker.rss(most=True) < RSS_MAX + 200 * MIB, f"{broker.rss(most=True) / MIB:.0f}"
        for raw in deaf:
            raw.close()


def half_request(broker, length=2621440, sent=5000):
    raw = connect(broker)
    raw.sendall(struct.pack(">Q", length) + bytes(sent))
    return raw


def test_requests_that_never_become_whole(make_broker):
    """A thousand of the largest, with all of their bytes but the last ones."""
    broker = make_broker(["--broker-connections-max", "1010"])
    client = Client(broker.address, timeout=60 * SLOW)
    ensure(client)
    with siege(broker):
        halves = []
        for _ in range(int(1000 / SLOW)):
            raw = connect(broker)
            raw.settimeout(5 * SLOW)
            with contextlib.suppress(OSError):  # cut already
                raw.sendall(struct.pack(">QI", 2621440, 0x80000001) + bytes(2621420))
            halves.append(raw)
        assert broker.rss(most=True) < RSS_MAX, f"{broker.rss(most=True) / MIB:.0f} MiB"
        # who needs room gets it, though all of it was taken
        body = append_body(3, 1, [(TOPIC, 0, [bytes(900000)])])
        wait_for(lambda: refusal(client, wire.APPEND, body) == "done", "room for a request", 10)
        for raw in halves:
            raw.close()


def test_no_room_for_a_request(make_broker):
    """It is refused with BUSY, and who holds room for too long makes room."""
    broker = make_broker()
    client = Client(broker.address)
    ensure(client)
    halves = [half_request(broker) for _ in range(25)] + [half_request(broker, 1572000)]
    client.info()  # they have come
    wait_for(lambda: busy_for(client, 1), "all room is taken")
    wait_for(lambda: not busy_for(client, 1), "there is room again", 10)
    assert all(closed(raw) for raw in halves)
    wait_for(lambda: sum(broker.cut()) == 26, lambda: f"all are told of: {broker.cut()}")
    assert {line["why"] for line in broker.logged("connection cut")} == {
        "it does not finish its request"}
    # what was refused is not half there: the connection goes on, and number 2 is the next
    assert not busy_for(client, 2)
    assert [m.value() for m in client.fetch(TOPIC, 0, 0)] == [bytes(60000)] * 2


def busy_for(client, sequence):
    said = refusal(client, wire.APPEND, append_body(3, sequence, [(TOPIC, 0, [bytes(60000)])]))
    assert said in ("done", "busy")
    return said == "busy"


def test_a_request_that_trickles(make_broker):
    broker = make_broker()
    with siege(broker):
        raw, began = half_request(broker), time.monotonic()
        raw.settimeout(0.5)
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 60 * SLOW:
                raw.sendall(b"x")
                with contextlib.suppress(TimeoutError):
                    if raw.recv(100) == b"":
                        break
        assert 25 < time.monotonic() - began < 40 * SLOW
        line, = wait_for(lambda: broker.logged("connection cut"), "it is told of")
        assert line["why"] == "it does not finish its request"


# Lines a second about connections that were cut; BUSP_CUT_LINES_MAX of the broker.
CUT_LINES_MAX = 5


def test_too_many_requests_of_one_connection(make_broker):
    broker = make_broker()
    with siege(broker):
        raw = connect(broker)
        raw.sendall(frame(wire.FETCH, fetch_body([(TOPIC, 2, 0)], 30000)) * 65)
        assert closed(raw)
        line, = wait_for(lambda: broker.logged("connection cut"), "it is told of")
        assert line["why"] == "too many requests at once"


def test_what_is_cut_does_not_fill_the_log(make_broker):
    """Lines are few, however many are cut, and with what they say was left out they are all."""
    broker = make_broker()
    ensure(Client(broker.address))
    asked = frame(wire.FETCH, fetch_body([(TOPIC, 2, 0)], 30000)) * 65

    def be_cut(count):
        for _ in range(count):
            with connect(broker) as raw:
                raw.sendall(asked)
                assert closed(raw)

    began, count = time.monotonic(), int(3000 / SLOW)
    be_cut(count)
    wait_for(lambda: sum(broker.cut()) == count, lambda: f"all are told of: {broker.cut()}")
    lines, left_out = broker.cut()
    # each second's worth, and that of the seconds it began and ended in
    assert lines <= CUT_LINES_MAX * (time.monotonic() - began + 2)
    assert left_out > 0
    # also of the last second of its life
    be_cut(100)
    assert broker.stop() == 0
    assert sum(broker.cut()) == count + 100


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
        # some of the oldest, whichever these are, are told early that there is nothing new
        ready = wait_for(lambda: select.select(polls, [], [], 0)[0], "early answers", 20)
        assert len(ready) < 30
        length, = struct.unpack(">Q", ready[0].recv(8, socket.MSG_WAITALL))
        assert ready[0].recv(length, socket.MSG_WAITALL)[-5:] == b"\0" * 5
        for raw in polls:
            raw.close()


def test_whoever_leaves_while_it_waits_leaves_nothing(make_broker):
    # room for all of them, however late the broker sees that they left
    broker = make_broker(["--broker-connections-max", "3900"])
    with siege(broker):
        patient = connect(broker)
        patient.sendall(frame(wire.FETCH, fetch_body([(TOPIC, 2, 0)], 30000)))
        files = broker.files()
        join = wire.text("g") + wire.text(TOPIC)
        other, here = Client(broker.address), []
        for number in range(3000):
            raw = connect(broker)
            here.append(raw)
            member = struct.pack(">Q", number) + wire.text("c") \
                + struct.pack(">IIBQ", 600, 600, 0, 0)
            raw.sendall(frame(wire.FETCH, fetch_body([(TOPIC, p, 0) for p in (1, 2)], 30000)) * 2
                        + frame(wire.GROUP, join + member, ident=0x80000002))
            if len(here) == 50:
                other.info()  # they wait
                while here:
                    here.pop().close()
        wait_for(lambda: broker.files() <= files + 5, "their connections are closed", 30)
        wait_for(lambda: not Client(broker.address).groups(), "the group is forgotten", 30)
        # there was room for all of them: who waited before still does
        patient.settimeout(0.2)
        with pytest.raises(TimeoutError):
            patient.recv(1)
        patient.close()


# ---- members whose connection ends


def member(client, number, state=0, generation=0, wait_ms=0, session_ms=30000):
    """What it is told: verdict, generation, partitions."""
    answer = client.ask(wire.GROUP, wire.text("g") + wire.text(TOPIC) + struct.pack(">Q", number)
                        + wire.text("c")
                        + struct.pack(">IIBQ", session_ms, wait_ms, state, generation))
    verdict, generation = answer.number("B"), answer.number("Q")
    return VERDICTS[verdict], generation, [answer.number("i") for _ in range(answer.number("I"))]


JOINING, HOLDING = 0, 1
VERDICTS = ("go on", "assigned", "give up", "lost")


def test_a_member_whose_connection_ends_is_out_after_a_moment(make_broker):
    broker = make_broker()
    one, two = Client(broker.address), Client(broker.address)
    ensure(one)
    verdict, first, share = member(one, 1)
    assert (verdict, share) == ("assigned", [0, 1, 2])
    assert member(two, 2)[0] == "go on"
    began = time.monotonic()
    one.close()
    verdict, second, share = member(two, 2, wait_ms=10000)
    assert (verdict, share) == ("assigned", [0, 1, 2])
    assert 0.9 < time.monotonic() - began < 3 * SLOW
    assert second > first
    assert member(Client(broker.address), 1, HOLDING, first)[0] == "lost"


def test_a_member_that_comes_back_on_another_connection_stays(make_broker):
    broker = make_broker()
    one, again, other = (Client(broker.address) for _ in range(3))
    ensure(one)
    other.info()
    _, generation, _ = member(one, 1)
    # the old one ends after the new one was heard of; then one ends before
    assert member(again, 1, HOLDING, generation) == ("go on", generation, [])
    one.close()
    time.sleep(1.5)  # longer than the grace
    assert member(again, 1, HOLDING, generation) == ("go on", generation, [])
    files = broker.files()
    again.close()
    wait_for(lambda: broker.files() < files, "the broker has seen its end", 10, 0.01)
    assert member(other, 1, HOLDING, generation) == ("go on", generation, [])
    time.sleep(1.5)
    assert member(other, 1, HOLDING, generation) == ("go on", generation, [])


# ---- requests that are no requests


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
    thread.join(0.7)
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
    for sequence in range(1, 22):
        append(client, 1, sequence, *((TOPIC, p, [bytes(1000)] * 200) for p in range(3)))
    for _ in range(6):  # whoever is first
        answer = client.ask(wire.FETCH, fetch_body([(TOPIC, p, 0) for p in range(3)], 0, 100000))
        found = {}
        for _ in range(answer.number("I")):
            place, verdict = answer.number("I"), answer.number("B")
            assert verdict == 0
            for _ in range(answer.number("I")):
                found.setdefault(place, []).extend(wire.slice_of(answer, TOPIC, place))
        answer.done()
        assert sorted(found) == [0, 1, 2]
        assert all(25 < len(messages) < 40 for messages in found.values())
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
