"""`busline dlq redrive` of many letters: its order, its pace, and what it says meanwhile."""

import json
import re
import subprocess
import time

import pytest

from support.events import scale, seconds
from support.platform import BINARY, SLOW, on_both_brokers, wait_for

TOPIC = "busline.scale"
COLUMNS = ["topic", "partition", "offset", "cause", "tenant", "subject", "type", "behind",
           "outcome", "reason"]
LETTERS = """
select p.partition, d."offset" from busline.dead_letter d
join busline.position p using (stream) where d.state = 'open' order by 1, 2
"""
# Each act names the letter it is about; the time is that of whoever asked for it.
ACTS = """
select (data ->> 'partition')::int, (data ->> 'offset')::bigint,
       extract(epoch from time)::float8
from busline.events where type = 'io.busline.dlq.redrive-requested.v1' order by time
"""


def publish(platform, records):
    publisher = platform.broker.publisher()
    publisher.publish(records)
    publisher.flush()


def letters(platform, good, bad=0):
    """So many that can be folded now, and so many that cannot; their places in order."""
    platform.execute("alter table paas.scale add constraint no_poison "
                     "check (process <> 'poison')")
    publish(platform, [scale("acme", f"app-{n}", "poison", at=seconds(n), replicas=n + 1)
                       for n in range(good)]
            + [scale("acme", f"bad-{n}", "web", at=seconds(n), replicas="many")
               for n in range(bad)])
    platform.quiesce([TOPIC])
    platform.execute("alter table paas.scale drop constraint no_poison")
    found = platform.rows(LETTERS)
    assert len(found) == good + bad and len({partition for partition, _ in found}) > 1
    return found


def redrive(platform, *words, reason="a test"):
    return platform.busline("dlq", "redrive", "--topic", TOPIC, "--reason", reason, *words,
                            check=False)


def places(rows):
    return [(row["partition"], row["offset"]) for row in rows]


@pytest.fixture
def scaled(platform):
    platform.start_all(["scale", "relay"])
    return platform


@on_both_brokers
def test_no_more_a_second_than_asked_for_and_in_order(scaled):
    rate, count = 8, 20
    expected = letters(scaled, count - 2, bad=2)
    began = time.monotonic()
    done = redrive(scaled, "-x", "-o", "jsonl", "--rate", str(rate))
    spent = time.monotonic() - began
    assert spent >= (count - 1) / rate
    assert done.returncode == 1, (done.stdout, done.stderr)  # two of them fail again

    lines = done.stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [list(row) for row in rows] == [COLUMNS] * count
    assert places(rows) == expected and {row["topic"] for row in rows} == {TOPIC}
    for row in rows:
        bad = row["subject"].startswith("bad")
        assert (row["outcome"], row["cause"]) == \
            (("failed", "schema-invalid") if bad else ("done", "constraint"))
        assert (row["reason"] is not None) == bad
        assert (row["tenant"], row["behind"]) == ("acme", 0)

    acts = scaled.rows(ACTS)
    assert [act[:2] for act in acts] == expected, "the order of the log"
    gaps = [later[2] - earlier[2] for earlier, later in zip(acts, acts[1:])]
    assert min(gaps) >= 1 / rate - 0.005, gaps

    *progress, summary = done.stderr.splitlines()
    assert summary == "18 done, and 0 that waited behind them; 2 failed, 0 refused"
    told = [re.fullmatch(r"(\d+) of 20, ([\d.]+)/s, (\d+) s left", line) for line in progress]
    assert all(told) and len(told) >= 2, done.stderr
    sent = [int(line[1]) for line in told]
    assert sent == sorted(set(sent)) and sent[-1] == count and told[-1][3] == "0"
    for line in told:
        number, shown, left = int(line[1]), float(line[2]), int(line[3])
        # number - 1 intervals are over at least; shown is rounded
        assert (shown - 0.05) * (number - 1) <= rate * number, line[0]
        assert left >= int((count - number) / rate * 0.8), line[0]


def test_what_a_stall_has_cost_is_not_caught_up(scaled):
    """The worker sleeps over the first act for longer than all of them were to take."""
    rate, count = 5, 6
    expected = letters(scaled, count)
    worker = next(process for process in scaled.processes if process.role == "scale")
    before = sum(scaled.broker.ends(TOPIC).values())
    worker.freeze()
    words = [BINARY, "dlq", "redrive", "--topic", TOPIC, "--reason", "a test", "-x", "-o", "json",
             "--rate", str(rate)]
    running = subprocess.Popen(words, env=scaled.env(), stdout=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: sum(scaled.broker.ends(TOPIC).values()) == before + 1, "the first act")
        end = time.monotonic() + count / rate
        wait_for(lambda: time.monotonic() > end, "all would be due")
        assert sum(scaled.broker.ends(TOPIC).values()) == before + 1, "it waits for the verdict"
    finally:
        worker.thaw()
        output, _ = running.communicate(timeout=60 * SLOW)
    rows = json.loads(output)
    assert running.returncode == 0 and places(rows) == expected
    assert {row["outcome"] for row in rows} == {"done"}
    acts = scaled.rows(ACTS)
    gaps = [later[2] - earlier[2] for earlier, later in zip(acts, acts[1:])]
    assert len(gaps) == count - 1 and min(gaps) >= 1 / rate - 0.005, gaps


def test_every_format_has_every_letter(scaled):
    expected = letters(scaled, 25)
    plan = redrive(scaled, "-o", "jsonl")
    rows = [json.loads(line) for line in plan.stdout.splitlines()]
    assert (plan.returncode, plan.stderr) == (0, "nothing was done: --execute does it\n")
    assert places(rows) == expected and {row["outcome"] for row in rows} == {"planned"}
    whole = redrive(scaled, "-o", "json")
    assert json.loads(whole.stdout) == rows
    table = redrive(scaled).stdout.splitlines()
    assert table[0].split() == COLUMNS and len(table) == 1 + 25
    assert [tuple(map(int, line.split()[1:3])) for line in table[1:]] == expected

    sent = redrive(scaled, "-x", "--wait=durable", "-o", "json", "--quiet")
    rows = json.loads(sent.stdout)
    assert (sent.returncode, sent.stderr) == (0, "")
    assert places(rows) == expected and {row["outcome"] for row in rows} == {"sent"}
    scaled.quiesce([TOPIC])
    assert scaled.rows("select state, count(*) from busline.dead_letter group by 1") \
        == [("redriven", 25)]
    nothing = redrive(scaled, "-o", "jsonl")
    assert nothing.returncode == 1 and nothing.stdout == ""
    assert "no open dead letter" in nothing.stderr


def test_acts_that_are_not_answered_in_time_are_told_apart(scaled):
    """No worker answers: the first is published, of the others nothing is."""
    expected = letters(scaled, 8)
    worker = next(process for process in scaled.processes if process.role == "scale")
    assert worker.stop() == 0
    late = redrive(scaled, "-x", "-o", "jsonl", "--rate", "5", "--timeout", f"{5 * SLOW:.0f}s")
    rows = [json.loads(line) for line in late.stdout.splitlines()]
    assert late.returncode == 124 and places(rows) == expected
    assert [row["outcome"] for row in rows] == ["sent"] + ["planned"] * 7
    assert late.stderr.splitlines()[-2:] == [
        "0 done, and 0 that waited behind them; 0 failed, 0 refused",
        "1 published without an answer, 7 not sent"]
