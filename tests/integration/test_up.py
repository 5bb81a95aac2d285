"""`busline up`: the whole platform on one machine, as people meet it."""

import json
import os
import pwd
import shutil
import signal
import socket
import stat
import time

import pytest

from support.platform import BINARY, wait_for
from support.up import NAMES, Up

FIRST_DEPLOY_S = 15
ROOT_RUNS = os.geteuid() == 0


@pytest.fixture
def up():
    one = Up()
    yield one
    one.close()


def test_from_an_empty_directory_to_an_applied_deploy(up):
    begun = time.monotonic()
    up.start()
    up.deploy("shop:1")
    assert time.monotonic() - begun < FIRST_DEPLOY_S
    rows = up.status()
    assert set(rows) == NAMES
    assert all(row["state"] == "running" and row["restarts"] == 0 for row in rows.values())
    for name in NAMES:
        assert os.path.exists(f"/proc/{rows[name]['pid']}")
        assert (up.data / "log" / f"{name}.log").exists()
    first = [line["name"] for line in up.lines() if line["state"] == "running"]
    assert first.index("postgres") < first.index("catalog") > first.index("broker")
    doctor = json.loads(up.busline("doctor", "-o", "json").stdout)
    assert {row["status"] for row in doctor} == {"ok"}, doctor


def test_what_lies_on_disk_is_for_nobody_else(up):
    up.start()
    assert up.sql("show data_checksums") == [("on",)]
    assert up.sql("show fsync") == [("on",)]
    assert up.sql("show listen_addresses") == [("",)]
    for name in ("postgres", "broker"):
        about = (up.data / name).stat()
        assert stat.S_IMODE(about.st_mode) == 0o700
        assert (about.st_uid == 0) is False or not ROOT_RUNS
    socket_file = up.data / "postgres/.s.PGSQL.5432"
    assert stat.S_IMODE(socket_file.stat().st_mode) == 0o700
    for name, row in up.status().items():
        owner = os.stat(f"/proc/{row['pid']}").st_uid
        assert owner != 0, f"{name} runs as root"


def test_ctrl_c_ends_everything_in_order_and_nothing_is_lost(up):
    up.start()
    up.deploy("shop:1")
    digest = up.digest()
    seen = len(up.lines())
    assert up.interrupt() == 0
    assert up.left() == {}
    ends = [line["name"] for line in up.lines()[seen:] if line["state"] == "stopped"]
    assert set(ends[:5]) == {"catalog", "deploy", "scale", "route", "saga"}
    assert set(ends[5:7]) == {"clock", "relay"}
    assert ends[7:] == ["broker", "postgres"]
    details = {line["detail"] for line in up.lines()[seen:] if line["state"] == "stopped"}
    assert details == {"exit 0"}, "each ended in order, none was killed"
    before = up.settings()
    up.start()
    assert up.settings() == before, "shells that have read env go on"
    assert up.digest() == digest
    up.deploy("shop:2")
    assert up.images() == ["shop:1", "shop:2"]


def test_a_second_one_on_the_directory_is_refused(up):
    up.start()
    second = up.call()
    assert (second.returncode, second.stdout) == (1, "")
    assert f"as process {up.popen.pid};" in second.stderr
    up.deploy("shop:1")


def test_it_stays_is_shown_and_is_stopped(up):
    assert up.call("--status").returncode == 1
    assert up.call("--stop").returncode == 0, "nothing to stop is as wanted"
    done = up.call("--stay", "--port", "0")
    assert done.returncode == 0 and "ready after" in done.stderr, done.stderr
    up.deploy("shop:1")
    rows = up.wait_running()
    assert rows["deploy"]["uptime_s"] >= 0
    assert up.call("--stay").returncode == 1
    table = up.call("--status")
    assert table.returncode == 0 and len(table.stdout.splitlines()) == 1 + len(NAMES)
    assert up.call("--stop").returncode == 0
    assert up.left() == {}
    shown = up.call("--status", "-o", "json")
    assert (shown.returncode, json.loads(shown.stdout)) == (1, [])
    assert "nothing is up" in shown.stderr


def test_a_taken_port_is_named(up):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = up.call("--port", port)
        assert done.returncode == 69
        assert f"port {port}" in done.stderr and "--port 0" in done.stderr
    assert up.left() == {}
    assert up.call("--stay", "--port", port).returncode == 0
    assert up.settings()["BUSLINE_BROKER_URL"].endswith(f":{port}")


def test_what_it_cannot_do_is_said_before_anything_is_made(up, tmp_path):
    up.data.mkdir()
    (up.data / "letter").write_text("dear")
    done = up.call("--port", "0")
    assert done.returncode == 66 and "holds other things" in done.stderr
    assert os.listdir(up.data) == ["letter"]
    (up.data / "letter").unlink()
    done = up.call("--pg-bin", tmp_path)
    assert done.returncode == 78 and "holds no initdb" in done.stderr
    for words, says in (["--stay", "--stop"], "exclude"), (["--db-url", "x"], "--db-url"), \
            (["--broker-listen", "x"], "--broker-listen"), (["--port", "70000"], "65535"):
        done = up.call(*words)
        assert done.returncode == 64 and says in done.stderr, done.stderr
    up.data = up.data / ("x" * 90)
    done = up.call("--port", "0")
    assert done.returncode == 64 and "shorter path" in done.stderr
    up.data = up.base / "d"
    assert up.left() == {}


def test_settings_go_to_all_processes(up):
    up.start("--topic-partitions", "3", "--log-level", "error")
    topics = [json.loads(line) for line in up.busline("topic", "ls", "-o", "jsonl").stdout.splitlines()]
    assert {topic["partitions"] for topic in topics} == {3}
    up.deploy("shop:1")
    assert (up.data / "log/deploy.log").read_text() == "", "nothing went wrong, nothing is said"


@pytest.mark.parametrize("said", ["making a PostgreSQL cluster", '"postgres"', '"catalog"'])
def test_ctrl_c_during_the_first_start(up, said):
    up.begin()
    wait_for(lambda: said in up.said() or said in up.out.read_text(), said, every=0.001)
    assert up.interrupt() in (0, 130)
    assert up.left() == {}
    up.start()
    up.deploy("shop:1")


@pytest.mark.skipif(not ROOT_RUNS, reason="without root every other test is this one")
def test_as_an_ordinary_user():
    up = Up(user="nobody")
    up.binary = up.base / "busline"  # the build may lie where that user cannot go
    shutil.copy(BINARY, up.binary)
    try:
        up.start()
        up.deploy("shop:1")
        nobody = pwd.getpwnam("nobody").pw_uid
        for row in up.status().values():
            assert os.stat(f"/proc/{row['pid']}").st_uid == nobody
        assert up.interrupt() == 0
        assert up.left() == {}
    finally:
        up.close()


def test_as_root_it_wants_a_directory_that_its_server_can_reach():
    if not ROOT_RUNS:
        pytest.skip("only root has another user run the server")
    up = Up()
    up.base.chmod(0o700)
    try:
        done = up.call("--port", "0")
        assert done.returncode == 77 and "user postgres cannot go there" in done.stderr
        assert up.left() == {}
    finally:
        up.base.chmod(0o755)
        up.close()


def test_kafka_is_an_url_away(up, kafka):
    kafka.wipe()
    url = "kafka://" + kafka.servers
    group = "--worker-group=up-" + up.base.name
    assert up.call("--stay", "--broker-url", url, group).returncode == 0
    assert set(up.status()) == NAMES - {"broker"}
    assert up.settings()["BUSLINE_BROKER_URL"] == url
    up.deploy("shop:1")
    assert up.call("--stop").returncode == 0
    done = up.call()
    assert done.returncode == 78 and url in done.stderr, "its positions are Kafka's"
    assert up.left() == {}


def test_another_port_is_refused_when_the_bus_has_moved(up):
    up.start()
    url = up.settings()["BUSLINE_BROKER_URL"]
    moved = url.replace("127.0.0.1", "localhost")
    up.interrupt()
    up.begin("--port", "0")
    wait_for(lambda: "ready after" in up.said(), "ready on another port")
    assert up.settings()["BUSLINE_BROKER_URL"] != url, "without a move any port will do"
    url = up.settings()["BUSLINE_BROKER_URL"]
    moved = url.replace("127.0.0.1", "localhost")
    up.sql(f"insert into busline.broker_move (from_url, to_url, actor, reason) "
           f"values ('{url}', '{moved}', 'test', 'a test')")
    up.interrupt()
    up.begin("--port", "0")
    assert up.end() == 69 and "has moved" in up.said()
    assert up.left() == {}
    up.start()
    assert up.settings()["BUSLINE_BROKER_URL"] == url
    assert up.popen.poll() is None
    up.popen.send_signal(signal.SIGTERM)
    assert up.end() == 0
