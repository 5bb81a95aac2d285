"""The embedded broker against SQLite's own loop, Redis and NATS JetStream, all durable."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import statistics
import struct
import subprocess

from bench.measure import MOVED_MAX, control, moved, publish_to_visible, say
from support.embedded import Embedded, free_port
from support.platform import scratch, wait_for

# producers, events that each sends and then waits for
SHAPES = [(1, 1), (16, 1), (256, 1), (1, 1000), (16, 1000), (256, 100)]
EVENT_BYTES = 300
FLOOR = 0.6
VISIBLE_P99_MS = 10
NATS_UNDER_WAY = 256
NATS_PACKAGE = "github.com/nats-io/nats-server/v2@v2.10.29"


# ---- peers

def reachable(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def server(command, port, folder):
    with open(folder / "log", "ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        wait_for(lambda: reachable(port), lambda: (folder / "log").read_text(), 30)
        yield
    finally:
        process.terminate()
        process.wait(60)


def redis_program():
    return shutil.which("redis-server")


def nats_program():
    """NATS can sync always since 2.10; Debian's is older."""
    for place in (shutil.which("nats-server"), pathlib.Path.home() / "go/bin/nats-server"):
        if place and os.access(place, os.X_OK):
            said = subprocess.run([place, "--version"], capture_output=True, text=True).stdout
            version = tuple(int(n) for n in said.rsplit("v", 1)[1].split(".")[:2])
            if version >= (2, 10):
                return place
    return None


def talk(port, *lines):
    """Sends lines and reads the first line of the answer to each."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        stream = connection.makefile("rb")
        answers = []
        for line in lines:
            connection.sendall(line + b"\r\n")
            answers.append(stream.readline().strip())
        return answers


def nats_request(port, subject, body):
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        stream = connection.makefile("rb")
        stream.readline()
        raw = json.dumps(body).encode()
        connection.sendall(b'CONNECT {"verbose":false}\r\nSUB _INBOX.run 1\r\n'
                           + f"PUB {subject} _INBOX.run {len(raw)}\r\n".encode() + raw + b"\r\n")
        stream.readline()
        answer = json.loads(stream.readline())
    if "error" in answer:
        raise RuntimeError(f"NATS: {subject}: {answer['error']}")
    return answer


# ---- one measurement; each on a new server and a new directory, counted afterwards

def append(bench, way, address, producers, batch):
    return json.loads(bench.program(
        "bench_durable", way, "--at", address, "--producers", producers, "--batch", batch,
        "--bytes", EVENT_BYTES, "--seconds", 1 if bench.short else 1.5))


def commits(broker):
    """How many the broker made, as it notes beside its store (journal_mark.c)."""
    raw = (broker.directory / "broker.mark").read_bytes()
    return max(struct.unpack_from(">QQ", raw, at)[1] for at in (0, 512) if len(raw) >= at + 16)


def busline(bench, producers, batch):
    broker = Embedded.start()
    try:
        # Its WAL grows to its size once; a growing file is slower to sync.
        grown = append(bench, "busline", broker.url, 4, 1000)["total"]
        before = commits(broker)
        line = append(bench, "busline", broker.url, producers, batch)
        there = sum(broker.ends("bench").values())
        assert there == grown + line["total"], f"{there} there, {line['total']} acknowledged"
        line["events_per_commit"] = round(line["total"] / (commits(broker) - before), 1)
        if batch >= 100:
            read = json.loads(bench.program("bench_steady", "read", "--url", broker.url,
                                            "--topic", "bench", "--events", there))
            line["read_rate"] = read["rate"]
        return line
    finally:
        broker.remove()


def sqlite_loop(bench, batch):
    """batch: events per commit; there is one writer."""
    folder = scratch("bench")
    try:
        line = append(bench, "sqlite", folder, 1, batch)
        with contextlib.closing(sqlite3.connect(folder / "loop-0.db")) as db:
            there = db.execute("select count(*) from event").fetchone()[0]
        assert there == line["total"]
        return line
    finally:
        shutil.rmtree(folder)


def redis(bench, producers, batch):
    folder, port = scratch("bench"), free_port()
    command = [redis_program(), "--port", str(port), "--bind", "127.0.0.1", "--save", "",
               "--appendonly", "yes", "--appendfsync", "always", "--dir", str(folder),
               "--daemonize", "no"]
    try:
        with server(command, port, folder):
            line = append(bench, "redis", f"127.0.0.1:{port}", producers, batch)
            there = int(talk(port, b"XLEN bench")[0][1:])
            assert there == line["total"]
        return line
    finally:
        shutil.rmtree(folder)


def nats(bench, producers, batch):
    # It syncs for each message, however many are under way: more only wait longer.
    batch = max(1, min(batch, NATS_UNDER_WAY // producers))
    folder, port = scratch("bench"), free_port()
    (folder / "conf").write_text(
        f'listen: "127.0.0.1:{port}"\n'
        f'jetstream {{ store_dir: "{folder}", sync_interval: always }}\n')
    try:
        with server([nats_program(), "-c", folder / "conf"], port, folder):
            wait_for(lambda: b"INFO" in talk(port, b"PING")[0], "NATS answers")
            nats_request(port, "$JS.API.STREAM.CREATE.bench",
                         {"name": "bench", "subjects": ["bench"], "storage": "file",
                          "retention": "limits", "num_replicas": 1})
            line = append(bench, "nats", f"127.0.0.1:{port}", producers, batch)
            there = nats_request(port, "$JS.API.STREAM.INFO.bench", {})["state"]["messages"]
            assert there == line["total"]
        return line
    finally:
        shutil.rmtree(folder)


# ---- the benchmark

def peers():
    found = {}
    if redis_program():
        found["redis"] = redis
    else:
        say("redis-server is missing, so it is left out: apt-get install redis-server")
    if nats_program():
        found["nats"] = nats
    else:
        say(f"a nats-server >= 2.10 is missing, so it is left out: go install {NATS_PACKAGE}")
    return found


def one_shape(bench, ways, producers, batch):
    """All ways in turn, A B .. B A; SQLite's loop with as many events per commit as the broker's
    group commits had, and another with all that could have been in one."""
    found = {name: [] for name in ("busline", "sqlite", "sqlite_all", *ways)}

    def measure(name):
        if name == "sqlite":
            return sqlite_loop(bench, max(1, round(found["busline"][-1]["events_per_commit"])))
        if name == "sqlite_all":
            return sqlite_loop(bench, min(producers * batch, 10000))
        return {"busline": busline, **ways}[name](bench, producers, batch)

    before = control(bench)
    for order in (list(found), list(reversed(found))) * (1 if bench.short else 2):
        for name in order:
            found[name].append(measure(name))
    drift = moved(before, control(bench))
    say(f"broker: {producers} producers, batches of {batch}:",
        ", ".join(f"{name} {statistics.median(line['rate'] for line in lines):.0f}"
                  for name, lines in found.items()),
        f"control moved {drift:.0%}")
    return found, drift


def durable(bench):
    ways = peers()
    result = {}
    for producers, batch in SHAPES:
        found, drift = one_shape(bench, ways, producers, batch)

        def median(name, what):
            return statistics.median(line[what] for line in found[name])
        shape = {name: {"events_per_s": round(median(name, "rate")),
                        "p50_ms": round(median(name, "p50_ms"), 3),
                        "p99_ms": round(median(name, "p99_ms"), 3)} for name in found}
        shape["busline"]["events_per_commit"] = round(median("busline", "events_per_commit"), 1)
        if batch >= 100:
            shape["busline"]["read_events_per_s"] = round(median("busline", "read_rate"))
        for name in found:
            if name != "busline":
                # Of neighbours in time: the machine is another one a minute later.
                each = [a["rate"] / b["rate"] for a, b in zip(found["busline"], found[name])]
                shape[f"over_{name}"] = {"median": round(statistics.median(each), 2),
                                         "min": round(min(each), 2), "max": round(max(each), 2)}
        shape["holds"] = shape["over_sqlite"]["median"] >= FLOOR
        shape["control_moved"] = round(drift, 3)
        result[f"{producers}x{batch}"] = shape
    return result


def visible(bench):
    """From publish on the embedded broker to visible in PostgreSQL at 1,000 events a second."""
    rate, broker = 1000, Embedded.start()
    before = control(bench)
    try:
        platform = bench.platform(fresh_log=True, broker=broker)
        try:
            found = publish_to_visible(bench, platform, rate, lambda events: bench.program(
                "bench_steady", "rate", "--url", broker.url, "--events", events, "--apps", 1000,
                "--rate", rate))
        finally:
            platform.close()
    finally:
        broker.remove()
    return {**found, "holds": found["p99_ms"] <= VISIBLE_P99_MS,
            "control_moved": round(moved(before, control(bench)), 3)}


def broker(bench):
    """The embedded broker: durable appends against SQLite, Redis, NATS; reading."""
    result = {"event_bytes": EVENT_BYTES, "floor_of_sqlite": FLOOR,
              "durability": "all: acknowledged after fsync", "control_may_move": MOVED_MAX}
    result.update(durable(bench))
    return result
