"""Steps of sagas per second, against graphile-worker on the same PostgreSQL.

A step, on both sides: an action is sent durably, carried out (an account changes), answered, and
the answer is recorded with the saga. Ours sends it over a broker and keeps every event in the
ledger; theirs is one job, whose effect, record and successor are one statement of one round trip
(tests/bench/graphile/peer.sql). Transfers of two steps each, all waiting when the workers start;
the clock runs from the first step that is done to the last.
"""

import json
import shutil
import statistics
import subprocess
import time

import psycopg

from bench.measure import ROOT, control, moved, say
from support.embedded import Embedded
from support.events import seconds
from support.platform import wait_for
from support.transfers import Transfer, bank_platform, open_accounts, request

FLOOR = 3
ACCOUNTS = 100
STEPS = 2
HERE = ROOT / "tests/bench/graphile"
# Jobs at once and jobs in the local queue: the best of a few that were tried, for this machine.
GRAPHILE = (24, 2000)


def transfer(number):
    return Transfer(f"transfer-{number:06}", f"account-{number % ACCOUNTS:03}",
                    f"account-{(number * 7 + 1) % ACCOUNTS:03}", 1 + number % 50, {})


def ours(bench, broker, sagas):
    platform = bank_platform(broker, bench.postgres)
    try:
        open_accounts(platform, ACCOUNTS)
        publisher = broker.publisher()
        for number in range(sagas):
            request(publisher, transfer(number), seconds(number))
        publisher.flush()
        workers = platform.start_all(["bank", "saga", "relay", "clock"])
        seen = []

        def done():
            steps = platform.value("select count(*) from paas.saga_step where status = 'done'")
            seen.append((time.monotonic(), steps))
            return steps >= STEPS * sagas
        wait_for(done, platform.tails, 600, 0.02)
        for worker in workers.values():
            worker.stop()
        assert platform.value("select count(*) from paas.saga where status = 'completed'") == sagas
        began = next(moment for moment, steps in reversed(seen) if steps == 0)
        return STEPS * sagas / (seen[-1][0] - began)
    finally:
        platform.close()


def graphile_files():
    folder = ROOT / "build/graphile"
    if not (folder / "node_modules/graphile-worker").is_dir():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(HERE, folder)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock",
                        "--loglevel=error"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    for file in HERE.iterdir():
        shutil.copy(file, folder)
    return folder


def graphile(bench, sagas):
    folder = graphile_files()
    name = bench.postgres.create()
    url = bench.postgres.url_of(name)
    try:
        parts = psycopg.conninfo.conninfo_to_dict(url)
        uri = "postgresql://{user}@/{dbname}?host={host}&port={port}".format(**parts)

        def node(*words):
            return subprocess.run(["node", "worker.mjs", uri, *map(str, words)], cwd=folder,
                                  check=True, text=True, stdout=subprocess.PIPE).stdout
        node("migrate")
        with psycopg.connect(url, autocommit=True) as db:
            db.execute((folder / "peer.sql").read_text())
            db.execute((folder / "fill.sql").read_text().replace(":accounts", str(ACCOUNTS))
                       .replace(":sagas", str(sagas)))
            line = json.loads(node("run", sagas, *GRAPHILE))
            there = db.execute("select count(*) from peer.saga where status = 'COMPLETED'")
            assert there.fetchone()[0] == sagas
        return line["steps"] / line["seconds"]
    finally:
        bench.postgres.drop(name)


def saga(bench):
    """Saga steps per second on both brokers, against graphile-worker."""
    if not (shutil.which("node") and shutil.which("npm")):
        say("node or npm is missing, so graphile-worker is left out: apt-get install nodejs npm")
    sagas = bench.count(10_000)
    embedded = Embedded.start()
    try:
        run = {"embedded": lambda: ours(bench, embedded, sagas),
               "kafka": lambda: ours(bench, bench.kafka, sagas)}
        if shutil.which("npm"):
            run["graphile"] = lambda: graphile(bench, sagas // 2)
        rates = {name: [] for name in run}
        before = control(bench)
        for order in (list(run), list(reversed(run))) * (1 if bench.short else 2):
            for name in order:
                rates[name].append(run[name]())
            say("saga:", ", ".join(f"{n} {r[-1]:.0f}" for n, r in rates.items()))
        result = {"steps_per_s": {n: round(statistics.median(r)) for n, r in rates.items()},
                  "control_moved": round(moved(before, control(bench)), 3)}
        for name in ("embedded", "kafka") if "graphile" in run else ():
            ratio = statistics.median(a / b for a, b in zip(rates[name], rates["graphile"]))
            result[name + "_over_graphile"] = {"median": round(ratio, 2), "floor": FLOOR,
                                               "holds": ratio >= FLOOR}
        return result
    finally:
        embedded.remove()
