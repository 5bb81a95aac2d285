"""What the embedded broker refuses to be, and how it ends.

A second one on a directory, one that everybody can reach, one that acknowledges after its disk
failed; a full disk; an end that loses no answer.
"""

import hashlib
import json
import os
import random
import shutil
import socket
import ssl
import threading
import time

import pytest

from support import nng_client as wire
from support.nng_client import Client, Gone, Refused
from support.platform import BINARY, ROOT, SLOW, run, scratch, wait_for
from support.raw_broker import (ESTABLISHED, GREETING, MIB, RSS_MAX, TOPIC, Honest, append,
                                append_body, connect, connection, ensure, frame, later, refusal,
                                requests)


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


def test_what_waits_for_a_slow_disk_is_bounded(bad_disk):
    broker, bad = bad_disk
    ensure(Client(broker.address))
    bad.write_text("slow")

    def pour(producer):
        told = b"".join(frame(wire.APPEND, append_body(producer, sequence,
                                                       [(TOPIC, 0, [bytes(900000)])]))
                        for sequence in range(1, 61))
        for _ in range(10):
            with connect(broker) as raw:
                raw.sendall(told)

    pouring = [later(lambda n=number: pour(n))[0] for number in range(1, 5)]
    for thread in pouring:
        thread.join(120 * SLOW)
    assert broker.rss(most=True) < RSS_MAX, f"{broker.rss(most=True) / MIB:.0f} MiB"
    assert Client(broker.address, timeout=60 * SLOW).offset(TOPIC, 0, wire.LATEST) > 0


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
