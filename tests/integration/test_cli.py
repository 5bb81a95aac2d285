"""The command line as people use it: the real binary, its exit codes, its output."""

import json
import os
import pty
import re
import signal
import socket
import subprocess

import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

from support.events import Record
from support.platform import BINARY, ROLES, ROOT, on_both_brokers, run, wait_for

CLEAN = {k: v for k, v in os.environ.items() if not k.startswith("BUSLINE_")}


def call(*words, env=None, stdin=None, timeout=60):
    return subprocess.run([str(BINARY), *map(str, words)], env={**CLEAN, **(env or {})},
                          input=stdin, capture_output=True, text=True, timeout=timeout)


def commands():
    """Every command, as the manual page's headings name them."""
    page = call("man").stdout
    names = re.findall(r"^\.Ss (.*)$", page, re.M)
    return [name for name in names if name != "Options of every command"]


def jsonl(text):
    return [json.loads(line) for line in text.splitlines()]


# ---- without any server


def test_every_command_has_help_and_refuses_what_it_does_not_know():
    names = commands()
    assert len(names) > 20
    for name in names:
        help = call(*name.split(), "--help")
        assert help.returncode == 0 and help.stderr == "", name
        assert f"Usage: busline {name}" in help.stdout
        assert call("help", *name.split()).stdout == help.stdout
        wrong = call(*name.split(), "--hepl")
        assert wrong.returncode == 64 and "did you mean --help?" in wrong.stderr, name
        assert wrong.stdout == ""
    for family in ("topic", "dlq", "incident"):
        shown = call(family)
        assert shown.returncode == 64 and f"{family} ls" in shown.stderr


def test_pages_made_from_the_table_are_current_and_clean(tmp_path):
    assert call("docs", "cli").stdout == (ROOT / "docs/cli.md").read_text(), \
        "docs/cli.md is stale: busline docs cli > docs/cli.md"
    assert call("docs", "saga-states").stdout == (ROOT / "docs/saga-states.md").read_text(), \
        "docs/saga-states.md is stale: busline docs saga-states > docs/saga-states.md"
    page = tmp_path / "busline.1"
    page.write_text(call("man").stdout)
    lint = run("mandoc", "-Tlint", "-W", "all", page, check=False)
    assert (lint.returncode, lint.stdout) == (0, "")


def complete(shell_words, tmp_path):
    """What bash offers for the last word."""
    script = tmp_path / "completion.bash"
    script.write_text(call("completion", "bash").stdout)
    words = " ".join(f"'{word}'" for word in shell_words)
    code = (f"source {script}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); "
            "_busline; printf '%s\\n' \"${COMPREPLY[@]}\"")
    path = f"{BINARY.parent}:{os.environ['PATH']}"
    return set(run("bash", "-c", code, env={**CLEAN, "PATH": path}).stdout.split())


def test_completion(tmp_path):
    offered = complete(["busline", ""], tmp_path)
    assert {"publish", "topic", "doctor"} <= offered and "__complete" not in offered
    assert complete(["busline", "topic", ""], tmp_path) == {"ensure", "ls"}
    assert complete(["busline", "publish", "--mo"], tmp_path) == {"--mode"}
    assert complete(["busline", "lag", "--db-u"], tmp_path) == {"--db-url"}
    assert complete(["busline", "publish", "--mode", ""], tmp_path) == {"binary", "structured"}
    assert complete(["busline", "topic", "ls", "-o", "j"], tmp_path) == {"json", "jsonl"}
    assert "busline.deploy" in complete(["busline", "tail", "bus"], tmp_path)
    assert "relay" in complete(["busline", "worker", ""], tmp_path)
    assert "io.busline.deploy.requested.v1" in complete(["busline", "publish", "io"], tmp_path)
    for shell in ("zsh", "fish"):
        script = call("completion", shell).stdout
        for name in commands():
            assert name.split()[-1] in script
    assert call("completion", "tcsh").returncode == 64


def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.mark.parametrize("code, words, env, says", [
    (64, ["publsh"], {}, "did you mean `busline publish`?"),
    (64, ["worker", "deplyo"], {}, "did you mean `deploy`?"),
    (64, ["deploy", "shop"], {}, "--image is missing"),
    (64, ["deploy", "shop", "-i", "x", "--tenant", "t", "--env", "A"], {}, "NAME=VALUE"),
    (64, ["scale", "shop", "web=many"], {}, "PROCESS=REPLICAS"),
    (64, ["route", "shop", "a.example", "7:3"], {}, "RELEASE=WEIGHT"),
    (64, ["tail", "-o", "5:3"], {}, "ends before it begins"),
    (64, ["dlq", "show", "busline.deploy"], {}, "TOPIC/PARTITION@OFFSET"),
    (64, ["publish"], {}, "either a TYPE or --jsonl"),
    (65, ["publish", "deploy.requested", "-d", "{}"], {}, "no tenant"),
    (65, ["publish", "deploy.requested", "--tenant", "t", "-d", "{}"], {}, '"image" is missing'),
    (65, ["publish", "deploy.requested", "--tenant", "t", "-d", '{"image":7}'], {},
     "data at /image: must be a string"),
    (65, ["publish", "deploy.requested", "--tenant", "t", "-d", "{"], {}, "JSON line 1"),
    (65, ["publish", "deploy.requestd", "--tenant", "t", "-d", "{}"], {}, "deploy.requested?"),
    (66, ["publish", "deploy.requested", "--tenant", "t", "-d", "@/nowhere"], {}, "/nowhere"),
    (66, ["publish", "--jsonl", "/nowhere"], {}, "/nowhere"),
    (78, ["lag"], {"BUSLINE_DB_DEADLINE_MS": "soon"}, "BUSLINE_DB_DEADLINE_MS"),
    (78, ["lag"], {"BUSLINE_NO_SUCH": "1"}, "BUSLINE_NO_SUCH"),
    (78, ["config", "show", "--worker-batch-events", "x"], {}, "worker.batch-events"),
])
def test_exit_codes_without_servers(code, words, env, says):
    done = call(*words, env=env)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("busline: ") and says in done.stderr, done.stderr


def test_unreachable_servers_are_told_apart():
    env = {"BUSLINE_BROKER_URL": f"kafka://127.0.0.1:{closed_port()}",
           "BUSLINE_DB_URL": f"postgresql://127.0.0.1:{closed_port()}/busline"}
    done = call("status", env=env)
    assert done.returncode == 69 and "--db-url" in done.stderr
    done = call("topic", "ls", env=env)
    assert done.returncode == 69 and "--broker-url" in done.stderr
    done = call("deploy", "shop", "-i", "x", "--tenant", "t", "--timeout", "2s", env=env)
    assert done.returncode in (69, 75), done.stderr
    assert done.stdout == ""
    done = call("deploy", "shop", "-i", "x", "--tenant", "t", "--wait", env=env)
    assert done.returncode == 69 and "--db-url" in done.stderr, "asked before anything is sent"
    done = call("doctor", "-o", "json", env=env)
    assert done.returncode == 1
    found = {row["check"]: row for row in json.loads(done.stdout)}
    assert found["postgresql"]["status"] == found["broker"]["status"] == "fail"
    assert all(row["advice"] for row in found.values())


def test_settings_show_where_they_come_from(tmp_path):
    file = tmp_path / "busline.json"
    file.write_text('{"topic": {"partitions": 3, "replication": 2}}')
    done = call("config", "show", "--origin", "-o", "jsonl", "--config", file,
                "--topic-partitions", "12", env={"BUSLINE_TOPIC_MIN_ISR": "2",
                                                 "BUSLINE_DB_URL": "postgresql://a:secret@b/c"})
    rows = {row["name"]: row for row in jsonl(done.stdout)}
    assert rows["topic.partitions"] == {"name": "topic.partitions", "value": "12",
                                        "origin": "flag --topic-partitions"}
    assert rows["topic.replication"]["origin"] == f"file {file}"
    assert rows["topic.min-isr"]["origin"] == "environment BUSLINE_TOPIC_MIN_ISR"
    assert rows["log.level"]["origin"] == "default"
    assert "secret@" not in done.stdout


def on_terminal(*words, **env):
    main, other = pty.openpty()
    child = subprocess.Popen([str(BINARY), *words], env={**CLEAN, "TERM": "xterm", **env},
                             stdout=other, stderr=other)
    os.close(other)
    text = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:
            break
        if not piece:
            break
        text += piece
    os.close(main)
    child.wait()
    return text


def test_colours_only_where_they_are_wanted():
    assert b"\x1b[" in on_terminal("config", "show")
    assert b"\x1b[" not in on_terminal("config", "show", NO_COLOR="1")
    assert b"\x1b[" not in on_terminal("config", "show", TERM="dumb")
    assert b"\x1b[" not in on_terminal("config", "show", "--color=never")
    assert b"\x1b[" in on_terminal("config", "show", "--color", NO_COLOR="1")
    assert "\x1b[" not in call("config", "show").stdout
    assert "\x1b[" in call("config", "show", "--color=always").stdout


def test_a_row_is_a_line_on_a_narrow_terminal_too():
    words = ("worker", "--list")
    assert on_terminal(*words).count(b"\n") == call(*words).stdout.count("\n")


def test_output_that_cannot_be_written_is_an_error():
    with open("/dev/full", "w") as full:
        done = subprocess.run([str(BINARY), "config", "show"], env=CLEAN, stdout=full,
                              stderr=subprocess.PIPE, text=True)
    assert done.returncode == 74 and "standard output" in done.stderr


# ---- with servers, nobody working


def test_topics_are_made_once_and_differences_reported(platform):
    again = platform.busline("topic", "ensure", "-o", "jsonl")
    assert {row["status"] for row in jsonl(again.stdout)} == {"ok"}
    other = platform.busline("topic", "ensure", "--topic-partitions", "7", check=False)
    assert other.returncode == 1 and "6 partitions, not 7" in other.stdout
    more = platform.busline("topic", "ensure", "--topic-min-isr", "2", "--topic-replication",
                            "3", "-o", "jsonl")
    assert {row["status"] for row in jsonl(more.stdout)} == {"warn"}
    short = ConfigResource(ConfigResource.Type.TOPIC, "busline.deploy", incremental_configs=[
        ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)])
    for future in platform.broker.admin.incremental_alter_configs([short]).values():
        future.result(30)
    lost = wait_for(lambda: [done for done in [platform.busline("topic", "ensure", check=False)]
                             if done.returncode == 1], "the short retention is seen")
    assert "keeps events for 1000 ms" in lost[0].stdout
    assert platform.busline("topic", "ensure", "--topic-retention-ms", "1000").returncode == 0
    names = [row["topic"] for row in jsonl(platform.busline("topic", "ls", "-o", "jsonl").stdout)]
    assert names == [f"busline.{family}"
                     for family in ("catalog", "deploy", "route", "saga", "scale")]


@on_both_brokers
def test_nobody_works(platform):
    """Time-out, lag, and the doctor who says what is missing."""
    late = platform.busline("deploy", "shop", "-i", "x:1", "--tenant", "t", "--wait=applied",
                            "--timeout", "15s", check=False)
    assert late.returncode == 124 and "busline lag" in late.stderr
    assert re.match(r"[0-9a-f-]{36} busline\.deploy-\d@0\n", late.stdout), late.stdout
    behind = platform.busline("lag", "--max-seconds", "0.001", "-o", "jsonl", check=False)
    assert behind.returncode == 1
    rows = [row for row in jsonl(behind.stdout) if row["lag"] > 0]
    assert len(rows) == 1 and rows[0]["seconds"] > 0 and rows[0]["position"] is None
    assert platform.busline("lag", "--max-seconds", "1h").returncode == 0
    found = {row["check"]: row for row in
             jsonl(platform.busline("doctor", "-o", "jsonl").stdout)}
    assert found["relay"]["status"] == "warn" and "worker relay" in found["relay"]["advice"]
    assert found["topic busline.deploy"]["status"] == "ok"
    platform.execute("insert into busline.incident (kind, topic, partition, \"offset\", detail) "
                     "values ('out-of-range', 'busline.deploy', 1, 7, 'look')")
    platform.execute("insert into busline.position (topic, partition, next_offset) "
                     "values ('busline.scale', 0, 99)")
    sick = platform.busline("doctor", "-o", "jsonl", check=False)
    found = {row["check"]: row for row in jsonl(sick.stdout)}
    assert sick.returncode == 1
    assert found["incidents"]["status"] == "fail"
    assert "outside the log" in found["position busline.scale-0"]["detail"]
    incidents = jsonl(platform.busline("incident", "ls", "-o", "jsonl").stdout)
    assert [(row["kind"], row["offset"]) for row in incidents] == [("out-of-range", 7)]
    # it is about a partition; others are about a key
    assert (incidents[0]["tenant"], incidents[0]["subject"]) == (None, None)
    platform.execute(
        "insert into busline.incident (kind, topic, partition, \"offset\", tenant, subject) "
        "values ('key-held', 'busline.deploy', 1, 8, 'acme', 'shop')")
    incidents = jsonl(platform.busline("incident", "ls", "-o", "jsonl").stdout)
    assert [(row["kind"], row["tenant"], row["subject"]) for row in incidents] == [
        ("key-held", "acme", "shop"), ("out-of-range", None, None)]
    head, held, lost = (line.split() for line in
                        platform.busline("incident", "ls").stdout.splitlines())
    assert head[:8] == ["id", "kind", "topic", "partition", "offset", "tenant", "subject", "count"]
    assert held[1:8] == ["key-held", "busline.deploy", "1", "8", "acme", "shop", "1"]
    assert lost[1:6] == ["out-of-range", "busline.deploy", "1", "7", "1"]


def test_sql_asks_as_the_auditor(platform):
    done = platform.busline("sql", "-o", "json", "select current_user::text as who, 1 as one, "
                            "null as nothing, '{\"a\":1}'::jsonb as j")
    assert json.loads(done.stdout) == [
        {"who": "busline_auditor", "one": 1, "nothing": None, "j": {"a": 1}}]
    for statement in ("delete from busline.position", "select * from busline.outbox", "selec"):
        refused = platform.busline("sql", statement, check=False)
        assert refused.returncode in (65, 77) and refused.stdout == "", statement
    assert platform.busline("sql", "select 1 where false", "-o", "json").stdout == "[]\n"


def tail(platform, *words):
    return jsonl(platform.busline("tail", "--output", "jsonl", *words).stdout)


@on_both_brokers
def test_tail_reads_the_part_that_is_meant(platform, tmp_path):
    lines = tmp_path / "lines.jsonl"
    lines.write_text("".join(json.dumps({
        "type": "scale.requested", "tenant": "t", "subject": "one", "source": "/s",
        "id": f"e{n}", "time": f"2026-01-01T00:00:{n:02}Z", "region": "eu" if n % 2 else "us",
        "data": {"process": "web", "replicas": n}}) + "\n" for n in range(30)))
    platform.busline("publish", "--jsonl", lines)
    topic = "busline.scale"

    def ids(*words):
        return [row["id"] for row in tail(platform, topic, *words)]

    everything = [f"e{n}" for n in range(30)]
    assert ids("-o", "start") == everything
    assert ids() == everything[-10:]
    assert ids("-o", "-3") == everything[-3:]
    assert ids("-o", "+27") == everything[27:]
    assert ids("-o", "5-7") == ids("-o", "5:7") == ["e5", "e6"]
    assert ids("-o", ":2") == ["e0", "e1"]
    assert ids("-o", ":end") == everything
    assert ids("-o", "end") == []
    assert ids("-o", "@-10m:end") == everything
    assert ids("-o", "@:2020-01-01") == []
    assert ids("-o", "start", "-n", "4") == everything[:4]
    assert ids("-o", "start", "--filter", "region=eu", "-n", "2") == ["e1", "e3"]
    assert ids("-o", "start", "--filter", "suffix id=7") == ["e7", "e17", "e27"]
    assert ids("-o", "start", "--type", "deploy.requested") == []
    assert ids("-o", "start", "--tenant", "t", "--app", "one", "--type", "io.busline.s*") \
        == everything
    short = platform.busline("tail", topic, "-o", "jsonl", "-o", "-1")
    assert [row["id"] for row in jsonl(short.stdout)] == ["e29"]
    array = json.loads(platform.busline("tail", topic, "-o", "json", "-o", "start").stdout)
    assert array[3]["data"] == {"process": "web", "replicas": 3} and array[3]["region"] == "eu"
    table = platform.busline("tail", topic).stdout.splitlines()
    assert len(table) == 11 and '{"process":"web","replicas":29}' in table[-1]


def test_what_tail_prints_publish_reads(platform):
    first = platform.busline("deploy", "shop", "-i", "x:1", "--tenant", "t", "-o", "json")
    printed = platform.busline("tail", "busline.deploy", "-o", "jsonl").stdout
    done = subprocess.run([str(BINARY), "publish", "--jsonl", "-", "-o", "jsonl"],
                          env=platform.env(), input=printed, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(first.stdout)[0]["id"] == jsonl(done.stdout)[0]["id"]
    one, two = tail(platform, "busline.deploy")
    where = {"offset", "recordtime"}
    assert {k: v for k, v in one.items() if k not in where} == \
        {k: v for k, v in two.items() if k not in where}
    assert two["offset"] == one["offset"] + 1


@on_both_brokers
def test_tail_follows(platform):
    follower = subprocess.Popen([str(BINARY), "tail", "-f", "-o", "end", "-o", "jsonl"],
                                env=platform.env(), stdout=subprocess.PIPE, text=True)
    seen = []
    try:
        def follows():
            # until it stands at the end, what is published is before it
            platform.busline("deploy", "shop", "-i", "x", "--tenant", "t")
            ready = os.set_blocking(follower.stdout.fileno(), False)
            assert ready is None
            seen.extend(line for line in follower.stdout if line.strip())
            return seen
        wait_for(follows, "an event followed", 30, 0.5)
    finally:
        follower.send_signal(signal.SIGINT)
        code = follower.wait(20)
    assert json.loads(seen[0])["type"] == "io.busline.deploy.requested.v1"
    assert code == -signal.SIGINT


def test_a_bad_line_stops_there_and_is_located(platform, tmp_path):
    good = {"type": "deploy.requested", "tenant": "t", "subject": "a", "data": {"image": "x"}}
    lines = tmp_path / "lines.jsonl"
    lines.write_text(json.dumps(good) + "\n\n" + json.dumps(good) + "\n"
                     + json.dumps({**good, "data": {"image": "x", "extra": 1}}) + "\n"
                     + json.dumps(good) + "\n")
    done = platform.busline("publish", "--jsonl", lines, check=False)
    assert done.returncode == 65
    assert f"{lines}:4: io.busline.deploy.requested.v1: data at /extra" in done.stderr
    assert len(tail(platform, "busline.deploy")) == 2
    for text, says in (("[]", "an event is a JSON object"), ('{"data":{}}', "/type is missing"),
                       ('{"type":"deploy.requested","time":"x"}', "/time must be"),
                       ('{"type":["x"]}', "/type must be"), ("{", "JSON line 1")):
        lines.write_text(text + "\n")
        done = platform.busline("publish", "--jsonl", lines, check=False)
        assert done.returncode == 65 and f"{lines}:1: " in done.stderr and says in done.stderr


def test_worker_ends_in_order(platform):
    worker = platform.start("deploy")
    wait_for(lambda: "partition assigned" in worker.said(), "assignment")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    impatient = platform.start("deploy")
    wait_for(lambda: "partition assigned" in impatient.said(), "assignment")
    # both are there before it runs again: the second must not wait for the first
    for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
        os.kill(impatient.pid, number)
    assert impatient.wait() in (130, 143)
    listed = {row["name"] for row in jsonl(platform.busline("worker", "--list", "-o",
                                                            "jsonl").stdout)}
    assert listed == {*ROLES, "saga", "clock"}


# ---- with servers and workers


@pytest.fixture
def busy(platform):
    platform.start_all()
    return platform


def verdict(platform, *words, code=0):
    done = platform.busline(words[0], "--tenant", "acme", "--wait=applied", "-o", "jsonl",
                            *words[1:], check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return jsonl(done.stdout)[0]


@on_both_brokers
def test_actions_and_what_they_lead_to(busy):
    assert verdict(busy, "publish", "catalog.tenant.created", "-d",
                   '{"name":"Acme"}')["verdict"] == "APPLIED"
    verdict(busy, "deploy", "shop", "-i", "shop:1", "-e", "A=b=c", "--", "npm", "start")
    verdict(busy, "deploy", "shop", "-i", "shop:2", "--command", "sh", "--command", "-c")
    verdict(busy, "publish", "deploy.succeeded", "-s", "shop", "-d", '{"release":1}')
    verdict(busy, "rollback", "shop", "--to", "v1", "--reason", "slow")
    refused = verdict(busy, "rollback", "shop", "--to", "9", code=1)
    assert refused["verdict"] == "REJECTED" and "no release 9" in refused["reason"]
    verdict(busy, "scale", "shop", "web=3", "worker=2")
    verdict(busy, "scale", "shop", "web=+1", "--max", "5")
    verdict(busy, "scale", "shop", "web=+9", code=1)
    verdict(busy, "route", "shop", "shop.example", "v1=90", "2=10%")
    verdict(busy, "route", "shop", "shop.example", "v1=90", "v2=20", code=1)
    releases = jsonl(busy.busline("releases", "shop", "-o", "jsonl").stdout)
    assert [(r["number"], r["kind"], r["status"], r["current"]) for r in releases] == [
        (3, "rollback", "requested", False), (2, "deploy", "requested", False),
        (1, "deploy", "succeeded", True)]
    assert releases[0]["command"] == releases[2]["command"] == ["npm", "start"]
    assert releases[2]["environment"] == {"A": "b=c"} and releases[1]["command"] == ["sh", "-c"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", releases[0]["requested_at"])
    (status,) = jsonl(busy.busline("status", "shop", "-o", "jsonl").stdout)
    assert status == {"tenant": "acme", "app": "shop", "release": 3, "status": "requested",
                      "current_release": 1, "image": "shop:1",
                      "scale": {"web": 4, "worker": 2},
                      "routes": {"shop.example": {"v1": 90, "v2": 10}}}
    assert busy.busline("__complete", "apps").stdout == "shop\n"
    assert busy.busline("__complete", "tenants").stdout == "acme\n"
    busy.quiesce()
    assert busy.busline("lag", "--max-seconds", "0").returncode == 0
    doctor = busy.busline("doctor", "-o", "jsonl", check=False)
    failed = [row for row in jsonl(doctor.stdout) if row["status"] == "fail"]
    assert (doctor.returncode, failed) == (0, [])


def test_waiting_follows_repeats_strays_and_conflicts(busy):
    words = ["publish", "deploy.requested", "-s", "shop", "--id",
             "01972fa7-9000-7973-a851-e070156311b5"]
    first = verdict(busy, *words, "-d", '{"image":"x"}')
    again = verdict(busy, *words, "-d", '{"image":"x"}')
    assert first["verdict"] == again["verdict"] == "APPLIED"
    assert again["offset"] == first["offset"] + 1
    assert tail(busy, "busline.deploy")[0]["time"] == "2025-06-02T08:00:00.000000Z"
    other = verdict(busy, *words, "-d", '{"image":"y"}', code=1)
    assert other["verdict"] == "REJECTED" and "identity-conflict" in other["reason"]
    away = (first["partition"] + 1) % 6
    stray = verdict(busy, "publish", "deploy.requested", "-s", "shop", "-d", '{"image":"z"}',
                    "--partition", away)
    assert (stray["partition"], stray["verdict"]) == (away, "APPLIED")
    assert len(jsonl(busy.busline("releases", "shop", "-o", "jsonl").stdout)) == 2
    structured = verdict(busy, "publish", "deploy.requested", "-s", "shop", "-d",
                         '{"image":"s"}', "--mode", "structured", "--correlation", "c1",
                         "--extension", "region=eu", "--header", "x-hop=1")
    assert structured["verdict"] == "APPLIED"
    shown = [row for row in tail(busy, "busline.deploy") if row.get("region") == "eu"]
    assert shown[0]["correlationid"] == "c1" and shown[0]["data"] == {"image": "s"}


@on_both_brokers
def test_many_events_wait_for_all_verdicts(busy, tmp_path):
    lines = tmp_path / "lines.jsonl"
    lines.write_text("".join(json.dumps({
        "type": "scale.requested", "tenant": "t", "subject": f"app{n % 7}", "id": f"e{n}",
        "source": "/many", "data": {"process": "web", "delta": 1}}) + "\n" for n in range(2500)))
    done = busy.busline("publish", "--jsonl", lines, "--wait", "-o", "jsonl")
    rows = jsonl(done.stdout)
    assert [row["id"] for row in rows] == [f"e{n}" for n in range(2500)]
    assert {row["verdict"] for row in rows} == {"APPLIED"}
    again = busy.busline("publish", "--jsonl", lines, "--wait")
    assert again.stdout == "2500 events published, 0 rejected\n"
    total = busy.value("select sum(desired)::int from paas.scale where tenant = 't'")
    assert total == 2500


@on_both_brokers
def test_dead_letters_are_shown_whole(busy):
    publisher = busy.broker.publisher()
    publisher.publish([Record("busline.deploy", b"t/a", [("ce_id", b"\xfe"), ("x", None)],
                              b"\xff\x00\x01")], partition=2)
    publisher.flush(30)
    verdict(busy, "rollback", "shop", code=1)

    def letters():
        rows = jsonl(busy.busline("dlq", "ls", "-o", "jsonl").stdout)
        return {row["cause"]: row for row in rows} if len(rows) == 2 else None
    found = wait_for(letters, "two dead letters")
    raw = found["undecodable"]
    place = f"{raw['topic']}/{raw['partition']}@{raw['offset']}"
    (whole,) = json.loads(busy.busline("dlq", "show", place, "-o", "json").stdout)
    assert whole["data_base64"] == "/wAB" and whole["key"] == "t/a"
    assert whole["headers"] == {"ce_id": "\\xfe", "x": None}
    assert f"{raw['topic']}-{raw['partition']}@{raw['offset']}" == place.replace("/", "-")
    assert busy.busline("dlq", "show", place.replace("/", "-")).returncode == 0
    assert busy.busline("dlq", "show", "busline.deploy/2@999", check=False).returncode == 1
    groups = jsonl(busy.busline("dlq", "ls", "--group", "-o", "jsonl").stdout)
    assert {row["cause"]: row["count"] for row in groups} == {"undecodable": 1, "rejected": 1}
    assert all(row["meaning"] for row in groups)
    assert busy.busline("dlq", "ls", "--cause", "too-large", "-o", "json").stdout == "[]\n"
    # the same record in tail: told as what it is, not skipped, nothing lost
    seen = [row for row in tail(busy, "busline.deploy") if "error" in row]
    assert seen[0]["data_base64"] == "/wAB"
