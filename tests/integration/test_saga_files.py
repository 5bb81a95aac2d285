"""Saga definitions and families of a user's own directories, through the real binary."""

import json
import os
import subprocess

from support.platform import BINARY, ROOT

CLEAN = {k: v for k, v in os.environ.items() if not k.startswith("BUSLINE_")}
EXAMPLES = ROOT / "tests/unit/saga_definitions"


def call(*words, stdin=None, **env):
    return subprocess.run([str(BINARY), *map(str, words)], env={**CLEAN, **env}, input=stdin,
                          capture_output=True, text=True, timeout=60)


def test_lint_says_all_and_where():
    clean = call("saga", "lint", *sorted((ROOT / "schemas/sagas").glob("*.v*.json")))
    assert (clean.returncode, clean.stdout, clean.stderr) == (0, "", "nothing is wrong\n")

    several = call("saga", "lint", "-o", "json", EXAMPLES / "several.json",
                   EXAMPLES / "warn-same-stage.json")
    assert several.returncode == 65
    found = json.loads(several.stdout)
    assert [(row["where"], row["severity"]) for row in found] == [
        ("/steps/2/action/deadline", "error"), ("/pivot", "error"),
        ("/steps/0/action/type", "error"),
        ("/steps/1/parallel/1/action/success/0", "warning")]
    assert all(row["file"].startswith(str(EXAMPLES)) and row["what"] for row in found)

    warned = call("saga", "lint", EXAMPLES / "warn-same-stage.json")
    assert warned.returncode == 0 and "warning" in warned.stdout
    piped = call("saga", "lint", "-", stdin='{"name":\n')
    assert piped.returncode == 65 and "JSON line 2 column 0" in piped.stdout
    both = call("saga", "lint", "/nowhere.json", EXAMPLES / "several.json")
    assert both.returncode == 66 and "/pivot" in both.stdout
    assert "/nowhere.json: cannot be read" in both.stderr


def bank(folder):
    """A family and a saga of a user's own."""
    (folder / "bank").mkdir()
    for fact in ("moved", "move-requested", "move-failed"):
        (folder / f"bank/{fact}.v1.json").write_text(json.dumps({
            "$id": f"https://example.org/{fact}", "title": fact, "type": "object",
            "x-busline-type": f"io.busline.bank.{fact}.v1", "required": ["cents"],
            "properties": {"cents": {"type": "integer", "examples": [1]}}}))
    act = {"type": "io.busline.bank.move-requested.v1", "data": {"cents": {"$value": "/input/cents"}},
           "success": ["io.busline.bank.moved.v1"], "failure": ["io.busline.bank.move-failed.v1"],
           "deadline": "5s"}
    (folder / "sagas").mkdir()
    (folder / "sagas/transfer.v1.json").write_text(json.dumps({
        "name": "transfer", "version": 1, "title": "Move money", "subject": "account",
        "input": {"type": "object", "properties": {"cents": {"type": "integer"}},
                  "required": ["cents"], "additionalProperties": False},
        "steps": [{"name": "move", "title": "Move it", "action": act, "compensation": None}]}))
    return folder / "sagas/transfer.v1.json"


def test_a_users_own_family_and_saga(tmp_path):
    saga = bank(tmp_path)
    unknown = call("saga", "lint", saga)
    assert unknown.returncode == 65
    assert "no event has the type io.busline.bank.move-requested.v1" in unknown.stdout
    known = {"BUSLINE_SCHEMAS_DIRECTORY": str(tmp_path)}
    assert call("saga", "lint", saga, **known).returncode == 0
    assert "busline.bank" in call("__complete", "topics", **known).stdout.split()
    assert "io.busline.bank.moved.v1" in call("__complete", "types", **known).stdout.split()

    listed = call("saga", "definitions", "-o", "json", **known,
                  BUSLINE_SAGA_DEFINITIONS=str(saga.parent))
    names = [row["name"] for row in json.loads(listed.stdout)]
    assert names == ["app-teardown", "release", "route-switch", "scale-out", "transfer"]
    steps = json.loads(call("saga", "definitions", "release", "-o", "json").stdout)
    assert [row["step"] for row in steps if row["pivot"]] == ["shift-100"]
    near = call("saga", "definitions", "relese")
    assert near.returncode == 65 and "did you mean release?" in near.stderr


def test_wrong_files_are_refused_at_start(tmp_path):
    saga = bank(tmp_path)
    refused = call("saga", "definitions", BUSLINE_SAGA_DEFINITIONS=str(saga.parent))
    assert refused.returncode == 78 and "transfer.v1.json" in refused.stderr
    (tmp_path / "bank/moved.v1.json").write_text("{}")
    for words in (["version"], ["worker", "deploy"], ["topic", "ls"]):
        wrong = call(*words, BUSLINE_SCHEMAS_DIRECTORY=str(tmp_path))
        if words == ["version"]:  # runs without any setting, even with wrong ones
            assert wrong.returncode == 0
        else:
            assert wrong.returncode == 78 and "bank/moved.v1.json: has no" in wrong.stderr
