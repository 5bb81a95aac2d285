"""What every benchmark needs: servers, programs, a control, percentiles."""

import bisect
import math
import os
import pathlib
import subprocess
import sys
import time

import psycopg

from support.platform import Kafka, Platform, Postgres, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
SQL = ROOT / "tests/bench/sql"
MOVED_MAX = 0.15  # a control that moved more makes the numbers between worthless
PROGRAMS = ("bench_paths", "bench_fill", "bench_poller", "bench_durable", "bench_steady",
            "bench_watch")


def say(*words):
    print(*words, file=sys.stderr, flush=True)


class Bench:
    def __init__(self, short):
        self.short = short
        self.postgres = Postgres.shared()
        self._kafka = None
        self.programs = self._programs()
        self.results = {}

    @staticmethod
    def _programs():
        given = os.environ.get("BUSLINE_BENCH")
        if given:
            return pathlib.Path(given)
        build = ROOT / "build/release"
        subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL)
        subprocess.run(["cmake", "--build", build, "--target", "busline", "bank_worker",
                        *PROGRAMS], cwd=ROOT,
                       check=True, stdout=sys.stderr)
        return build / "tests/bench"

    @property
    def kafka(self):
        if self._kafka is None:
            self._kafka = Kafka.shared()
        return self._kafka

    def close(self):
        if self._kafka is not None:
            self._kafka.remove()
        self.postgres.remove()

    def program(self, name, *words):
        done = subprocess.run([self.programs / name, *map(str, words)], check=True, text=True,
                              stdout=subprocess.PIPE, timeout=1200)
        return done.stdout

    def platform(self, fresh_log=False, broker=None, **settings):
        return Platform(broker or self.kafka, self.postgres, settings).prepare(fresh_log)

    def count(self, full):
        return max(1000, full // 10) if self.short else full


# ---- controls

def control(bench):
    """COPY of rows into a bare table, and a loop of fdatasync: the machine, not the product."""
    rows = bench.count(300_000)
    block = b"x" * 65536
    folder = bench.postgres.directory or "/tmp"
    path = pathlib.Path(folder) / "fdatasync.tmp"
    with psycopg.connect(bench.postgres.url, autocommit=True) as db:
        db.execute("create table control (data bytea)")
        began = time.monotonic()
        with db.cursor().copy("copy control from stdin (format binary)") as copy:
            copy.set_types(["bytea"])
            for _ in range(rows):
                copy.write_row((block[:152],))
        copied = rows / (time.monotonic() - began)
        db.execute("drop table control")
    with open(path, "wb") as out:
        began = time.monotonic()
        for _ in range(200):
            out.write(block)
            out.flush()
            os.fdatasync(out.fileno())
        synced = 200 / (time.monotonic() - began)
    path.unlink()
    return {"copy_rows_per_s": round(copied), "fdatasync_per_s": round(synced)}


def moved(before, after):
    return max(abs(after[k] - before[k]) / before[k] for k in before)


# ---- latency

def publish_to_visible(bench, platform, rate, publish):
    """From the moment an event was meant to be sent until it is visible in PostgreSQL.

    publish(events) is a program's output: a line of moment, partition, offset per event."""
    seconds = 6 if bench.short else 40
    watcher = None
    try:
        worker = platform.start("scale")
        wait_for(lambda: len(platform.positions("busline.scale")) == 6, worker.tail, 30)
        watcher = subprocess.Popen(
            [bench.programs / "bench_watch", "--db", platform.url, "--topic", "busline.scale",
             "--sql", SQL], stdout=subprocess.PIPE, text=True)
        watcher.stdout.readline()
        sent = publish(rate * seconds)
        platform.quiesce(["busline.scale"])
        time.sleep(0.1)
        watcher.terminate()
        seen, _ = watcher.communicate(timeout=60)
        assert watcher.returncode == 0, "the watcher failed"
        return {"rate": rate, **percentiles(sent, seen, warm_up=rate * 2)}
    finally:
        if watcher is not None:
            watcher.kill()
            watcher.wait()


def percentiles(sent, seen, warm_up):
    """sent: a line per event of moment, partition, offset and, if known, the time until it was
    acknowledged. seen: what bench_watch prints."""
    looks, gaps = {}, []
    for line in seen.splitlines():
        at, since, partition, next_offset = line.split()
        looks.setdefault(int(partition), []).append((int(next_offset), float(at)))
        gaps.append(float(since) * 1000)
    waits, acknowledged = [], []
    for number, line in enumerate(sent.splitlines()):
        meant, partition, offset, *waited = line.split()
        if number >= warm_up:
            of_partition = looks[int(partition)]
            first = bisect.bisect_right(of_partition, (int(offset), math.inf))
            waits.append((of_partition[first][1] - float(meant)) * 1000)
            acknowledged += [float(wait) * 1000 for wait in waited]
    result = {"events": len(waits), "p50_ms": share(waits, 0.5), "p99_ms": share(waits, 0.99),
              "p999_ms": share(waits, 0.999), "max_ms": share(waits, 1),
              "resolution_ms": share(gaps, 0.99)}
    if acknowledged:
        result["acknowledged_p50_ms"] = share(acknowledged, 0.5)
        result["acknowledged_p99_ms"] = share(acknowledged, 0.99)
    return result


def share(values, part):
    values = sorted(values)
    return round(values[min(len(values) - 1, int(len(values) * part))], 2)
