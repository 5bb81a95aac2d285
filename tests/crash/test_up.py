"""`busline up` when its processes, or it itself, are killed with -9."""

import os
import signal
import subprocess
import time

import pytest

from support.platform import SLOW, wait_for
from support.up import Up


@pytest.fixture
def up():
    one = Up("crash")
    yield one
    one.close()


def each_once(up, ids):
    """Every event published stands in the ledger once."""
    found = dict(up.sql("select id, count(*) from busline.ledger where verdict = 'APPLIED' "
                        "group by id"))
    assert {id: found.get(id, 0) for id in ids} == {id: 1 for id in ids}


@pytest.mark.parametrize("name", ["deploy", "relay", "broker", "postgres"])
def test_a_killed_process_is_started_again_and_the_platform_goes_on(up, name):
    up.start()
    ids = [up.deploy(f"shop:{n}") for n in range(3)]
    old = up.pid(name)
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: up.status()[name]["restarts"] == 1, f"{name} started again")
    rows = up.wait_running()
    assert rows[name]["pid"] != old
    assert not os.path.exists(f"/proc/{old}")
    ids += [up.deploy(f"shop:{n}") for n in range(3, 6)]
    each_once(up, ids)
    assert up.images() == [f"shop:{n}" for n in range(6)]
    told = [line for line in up.lines() if line["name"] == name and line["state"] == "ended"]
    assert len(told) == 1 and "signal 9" in told[0]["detail"]
    others = [row for other, row in up.status().items() if other != name]
    assert all(row["restarts"] == 0 for row in others), "no other one fell with it"


def test_a_killed_up_takes_everything_with_it_and_the_next_goes_on(up):
    up.start()
    ids = [up.deploy(f"shop:{n}") for n in range(3)]
    digest, settings = up.digest(), up.settings()
    assert len(up.left()) > 7, "the processes, and PostgreSQL's own"
    up.kill()
    wait_for(lambda: up.left() == {}, lambda: f"all gone; {up.left()}")
    up.start()
    assert up.digest() == digest and up.settings() == settings
    ids += [up.deploy(f"shop:{n}") for n in range(3, 6)]
    each_once(up, ids)


def test_the_next_one_does_not_wait_to_be_asked_twice(up):
    """Started the moment the first was killed, while its processes are still ending."""
    up.start()
    ids = [up.deploy("shop:0")]
    for n in range(1, 4):
        before = set(up.left())
        up.kill()
        up.start()
        assert not before & set(up.left())
        ids.append(up.deploy(f"shop:{n}"))
    each_once(up, ids)


def test_what_cannot_hear_that_it_is_alone_is_killed_by_the_next(up):
    """A frozen worker and a frozen broker outlive `up`; so do the children of a killed server."""
    up.start()
    ids = [up.deploy("shop:0")]
    rows = up.status()
    frozen = [rows["deploy"]["pid"], rows["broker"]["pid"]]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    up.kill()
    os.kill(rows["postgres"]["pid"], signal.SIGKILL)
    assert all(os.path.exists(f"/proc/{pid}") for pid in frozen)
    up.start(timeout=90)
    assert not set(frozen) & set(up.left())
    ids.append(up.deploy("shop:1"))
    each_once(up, ids)


def test_a_dead_servers_pid_file_that_names_a_living_process(up):
    """PostgreSQL refuses to start when its number was given to another process of its user."""
    up.start()
    up.deploy("shop:0")
    owner = (up.data / "postgres/data").stat()
    up.kill()
    wait_for(lambda: up.left() == {}, "all gone")
    other = subprocess.Popen(["sleep", "600"], user=owner.st_uid, group=owner.st_gid, cwd="/")
    try:
        stale = up.data / "postgres/data/postmaster.pid"
        stale.write_text(f"{other.pid}\n{up.data}/postgres/data\n1\n5432\n{up.data}/postgres\n"
                         "\n  1 2\nready   \n")
        up.start()
        up.deploy("shop:1")
        assert other.poll() is None, "the one it named was left alone"
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.3, 0.6, 0.9, 1.2, 1.6])
def test_killed_while_it_starts_for_the_first_time(up, after_s):
    up.begin()
    wait_for(up.data.exists, "the directory", every=0.001)
    time.sleep(after_s * SLOW)  # the moment is the point: any must do
    up.kill()
    up.start()
    up.deploy("shop:0")


def test_one_that_fails_at_its_start_is_reported_and_comes_back_when_it_can(up):
    up.start()
    up.deploy("shop:0")
    up.sql("alter role platform nologin")
    os.kill(up.pid("scale"), signal.SIGKILL)
    wait_for(lambda: up.status()["scale"]["state"] == "failing", "reported", 60)
    assert "scale ended 5 times right after its start" in up.said()
    assert "not permitted to log in" in up.said(), "the end of its log is shown"
    pauses = [line["detail"] for line in up.lines()
              if line["name"] == "scale" and line["state"] in ("ended", "failing")]
    again = [float(text.split("again in ")[1].split()[0]) for text in pauses]
    assert len(again) == 5 and again[0] <= 0.1 and again[4] >= 15, again
    up.sql("alter role platform login")
    up.wait_running(timeout=60)
    done = up.busline("scale", "shop", "web=2", "--tenant", "acme", "--wait")
    assert "APPLIED" in done.stdout
