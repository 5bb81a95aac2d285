"""`busline saga`: sagas begun, looked at and decided on, with the real worker, relay and clock."""

import json
import pathlib

import pytest

from support.platform import ROLES, on_both_brokers, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
MOVE = ROOT / "tests/unit/saga_lives/move.v1.json"
SUCCESS = {"deploy/do": "deploy.succeeded", "deploy/undo": "route.changed",
           "shift/do": "route.changed"}
# To take a deploy back, the traffic goes back: a request that no worker answers by itself.
BACK = {"type": "io.busline.route.change-requested.v1",
        "data": {"host": "a.example", "targets": [{"release": 1, "weight": 100}]},
        "success": ["io.busline.route.changed.v1"], "failure": ["io.busline.route.failed.v1"]}
INPUT = ("-i", "app=shop", "-i", "image=shop:2", "-i", '{"host": "a.example"}',
         "-i", "replicas:=3")


@pytest.fixture
def sagas(broker, postgres, make_platform, tmp_path):
    """A platform that knows the definition `move`: deploy, grow, shift (the pivot), retire."""
    definition = json.loads(MOVE.read_text())
    for step in definition["steps"]:
        step["action"]["deadline"] = "1500ms" if step["name"] == "shift" else "10m"
        if step["name"] == "deploy":
            step["compensation"].update(BACK)
    (tmp_path / MOVE.name).write_text(json.dumps(definition))
    broker.wipe(("busline.saga",))
    platform = make_platform(broker, postgres, BUSLINE_SAGA_DEFINITIONS=tmp_path,
                             BUSLINE_TENANT="acme", BUSLINE_ACTOR="ann")
    platform.start_all(ROLES + ("saga", "clock"))
    return Sagas(platform)


class Sagas:
    def __init__(self, platform):
        self.platform = platform

    def call(self, *words, **settings):
        return self.platform.busline("saga", *words, check=False, **settings)

    def status(self, saga, step=None):
        where = f"where tenant = 'acme' and saga = '{saga}'"
        return self.platform.value(f"select status from paas.saga_step {where} and step = '{step}'"
                                   if step else f"select status from paas.saga {where}")

    def wait(self, saga, status, step=None):
        wait_for(lambda: self.status(saga, step) == status,
                 f"{saga} {step or ''} is {status}", timeout=60)

    def answer(self, saga, attempt, failure=None):
        """What a machine says of an attempt that is out."""
        step, lane, _ = attempt.split("/")
        self.wait(saga, "running" if lane == "do" else "undoing", step)
        kind = SUCCESS.get(f"{step}/{lane}", "scale.succeeded")
        data = {"deploy": {"release": 7}, "route": {"host": "a.example", "version": 1},
                "scale": {"process": "web", "replicas": 3}}[kind.split(".")[0]]
        if failure:
            kind = kind.split(".")[0] + ".failed"
            data = {"process": "web", "reason": failure}
        path = self.platform.folder / "fact.jsonl"
        path.write_text(json.dumps({
            "type": f"io.busline.{kind}.v1", "tenant": "acme", "subject": "shop",
            "source": "/machines/a1", "actor": "runtime", "sagaid": saga, "sagastep": attempt,
            "data": data}) + "\n")
        self.platform.busline("publish", "--jsonl", path, "--wait=applied")


@on_both_brokers
def test_a_pivot_that_is_stuck_is_tried_again_and_the_last_step_skipped(sagas):
    begun = sagas.call("start", "move", *INPUT, "--id", "m1", "--wait")
    assert begun.returncode == 0, begun.stderr
    again = sagas.call("start", "move", *INPUT, "--id", "m1", "--wait")
    assert again.returncode == 1 and "with this id already" in again.stdout + again.stderr
    sagas.answer("m1", "deploy/do/1")
    sagas.answer("m1", "grow/do/1")
    sagas.wait("m1", "parked")

    rows = json.loads(sagas.call("ls", "--status", "parked", "-o", "json").stdout)
    assert [(row["saga"], row["failed_step"], row["reason"]) for row in rows] == \
        [("m1", "shift", "no answer within 1500ms")]
    incidents = json.loads(sagas.platform.busline("incident", "ls", "-o", "json").stdout)
    assert [(row["kind"], row["tenant"], row["subject"]) for row in incidents] == \
        [("saga-parked", "acme", "m1")]
    assert sagas.platform.value("select step from audit.saga_parked") == "shift"

    refused = sagas.call("cancel", "m1", "--reason", "late")
    assert refused.returncode == 1 and "retry, skip or compensate" in refused.stdout
    assert sagas.call("retry", "m1", "grow", "--reason", "why not").returncode == 1
    assert sagas.call("retry", "m1", "shift").returncode == 64
    retried = sagas.call("retry", "m1", "shift", "--reason", "the proxy is back")
    assert retried.returncode == 0, retried.stderr
    sagas.answer("m1", "shift/do/2")
    assert "saga-parked" not in sagas.platform.busline("incident", "ls").stdout

    sagas.answer("m1", "retire/do/1", failure="no such process")
    sagas.wait("m1", "parked")
    assert sagas.call("skip", "m1", "retire", "--reason", "it was never there").returncode == 0
    sagas.wait("m1", "completed")
    assert sagas.call("compensate", "m1", "--reason", "x").returncode == 1

    trace = sagas.call("trace", "m1").stdout
    assert max(map(len, trace.splitlines())) <= 100
    for text in ("m1  move v1  tenant acme  completed", "shift                  done",
                 "do/2", "no answer", "route.change-requested", "saga.retry-requested shift by ann",
                 "retire                 skipped"):
        assert text in trace, trace
    whole = json.loads(sagas.call("trace", "m1", "-o", "json").stdout)[0]
    assert [step["status"] for step in whole["steps"]] == ["done", "done", "done", "skipped"]
    assert {event["sagastep"] for event in whole["events"]} >= {"shift/do/1", "shift/do/2"}
    shown = json.loads(sagas.call("show", "m1", "-o", "json").stdout)[0]
    assert shown["status"] == "completed" and "events" not in shown


def test_who_waits_for_the_end_is_told_it(sagas):
    waiting = sagas.platform.start("saga")  # a second worker: the saga is where its key is
    begun = sagas.call("start", "move", *INPUT, "--id", "m2", "--wait")
    assert begun.returncode == 0, begun.stderr
    sagas.answer("m2", "deploy/do/1")
    sagas.answer("m2", "grow/do/1", failure="no quota")
    sagas.answer("m2", "deploy/undo/1")
    sagas.wait("m2", "compensated")
    trace = sagas.call("trace", "m2").stdout
    assert "because grow: no quota" in trace and "taken back" in trace and "undo/1" in trace

    late = sagas.call("start", "move", *INPUT, "--wait=finished", "--timeout", "1s")
    assert late.returncode == 124 and "has not ended" in late.stderr
    ended = sagas.call("start", "move", "-i", "app=" + "x" * 300, "-i", "image=a", "-i",
                       "host=b.example", "--wait=finished")
    assert ended.returncode == 1 and "cannot be sent" in ended.stderr, ended.stderr
    assert waiting.running()


WRONG = [
    (("start", "mvoe"), 65, "no such saga definition"),
    (("start", "move", "--version", "9"), 65, "no such saga definition"),
    (("start", "move", "-i", "app=shop"), 65, "is missing"),
    (("start", "move", "-i", "app"), 64, "NAME=TEXT"),
    (("start", "move", "-i", "app:={"), 65, "--input"),
    (("start", "move", "-i", "@/nowhere.json"), 66, "/nowhere.json"),
    (("start", "move", "-i", "[1]"), 64, "NAME=TEXT"),
    (("show", "nobody"), 1, "there is no such saga"),
    (("trace", "nobody"), 1, "there is no such saga"),
    (("cancel", "nobody", "--reason", "x"), 1, "there is no such saga"),
]


def test_what_is_wrong_is_said(sagas):
    for words, code, text in WRONG:
        result = sagas.call(*words)
        said = result.stdout + result.stderr
        assert (result.returncode, text in said) == (code, True), (words, said)
