"""docs/audit.md: each question of it, asked as the auditor, has the answer printed there."""

import hashlib
import json
import os
import pathlib
import re
import struct

import pytest
from confluent_kafka import Producer

from support.platform import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/audit.md"
QUESTION = re.compile(r"```sql\n(?P<query>.*?)\n```\n\n```text\n(?P<answer>.*?)```", re.S)

# What ops/run publishes with a client that is not ours.
FOREIGN = [
    ("nightly-2025-06-02-1", "acme", "blog", '{"process":"web","delta":1}'),
    ("nightly-2025-06-02-2", "acme", "search", '{"process":"web","replicas":"many"}'),
]

# After the day: two sagas, one of which is cancelled. What a machine answers names its attempt, so
# that it is published once that attempt is out.
SAGA = "io.busline.saga."
SCALE = "io.busline.scale."
SAGAS = [
    # id, time, type, subject, actor, attempt it answers, data
    ("s01", "20:00:00", SAGA + "requested.v1", "spring-sale", "alice@acme.example", None,
     {"definition": "scale-out", "version": 1,
      "input": {"app": "search", "process": "web", "replicas": 2}}),
    ("s02", "20:00:30", SCALE + "succeeded.v1", "search", "runtime@platform.example",
     "spring-sale:scale/do/1", {"process": "web", "replicas": 2}),
    ("s03", "20:00:55", SCALE + "verified.v1", "search", "runtime@platform.example",
     "spring-sale:verify/do/1", {"process": "web", "replicas": 2}),
    ("s04", "21:00:00", SAGA + "requested.v1", "night-run", "bob@acme.example", None,
     {"definition": "scale-out", "version": 1,
      "input": {"app": "blog", "process": "web", "replicas": 1}}),
    ("s05", "21:00:20", SAGA + "cancel-requested.v1", "night-run", "bob@acme.example",
     "night-run:scale/do/1", {"reason": "it was the shop that needed more"}),
    ("s06", "21:00:40", SCALE + "succeeded.v1", "blog", "runtime@platform.example",
     "night-run:scale/do/1", {"process": "web", "replicas": 3}),
    ("s07", "21:01:10", SCALE + "reverted.v1", "blog", "runtime@platform.example",
     "night-run:scale/undo/1", {"process": "web", "replicas": 2}),
]


def publish_sagas(platform):
    platform.start("saga")
    for ident, time, kind, subject, actor, answers, data in SAGAS:
        event = {"id": ident, "source": "/day/sagas", "type": kind, "tenant": "acme",
                 "subject": subject, "actor": actor, "time": f"2025-06-02T{time}Z", "data": data}
        if answers:
            saga, attempt = answers.split(":")
            step, lane, _ = attempt.split("/")
            wait_for(lambda: platform.value(
                f"select count(*) from paas.saga_step where saga = '{saga}' and step = '{step}' "
                f"and status = '{'running' if lane == 'do' else 'undoing'}'") == 1,
                f"{saga} waits for {attempt}")
            if kind.startswith(SCALE):
                event.update(sagaid=saga, sagastep=attempt)
        line = platform.folder / "saga.jsonl"
        line.write_text(json.dumps(event) + "\n")
        platform.busline("publish", "--jsonl", line, "--wait=applied", "--timeout", "60s")
    wait_for(lambda: platform.value("select count(*) from paas.saga where finished_at is not null")
             == 2, "both sagas have ended")
    wait_for(lambda: platform.value("select count(*) from audit.event where type like "
                                    "'io.busline.saga.comp%'") == 2, "and their facts are folded")


def publish_foreign(servers):
    producer = Producer({"bootstrap.servers": servers})
    for ident, tenant, app, data in FOREIGN:
        producer.produce("busline.scale", key=f"{tenant}/{app}", value=data, headers=[
            ("ce_specversion", "1.0"), ("ce_id", ident), ("ce_source", "/scripts/nightly"),
            ("ce_type", "io.busline.scale.requested.v1"), ("ce_tenant", tenant),
            ("ce_subject", app), ("ce_time", "2025-06-02T23:00:00Z"),
            ("ce_actor", "cron@acme.example"), ("content-type", "application/json")])
    assert producer.flush(30) == 0


@pytest.fixture
def no_sagas(broker):
    """Without the sagas of whoever used the broker before."""
    broker.wipe(("busline.saga",))


@pytest.fixture
def day(platform):
    """The day of ops/run, applied; and a login that is an auditor and nothing else."""
    platform.start_all()
    platform.busline("publish", "--jsonl", ROOT / "ops/day/events.jsonl", "--wait=applied",
                     "--timeout", "60s")
    publish_foreign(platform.broker.servers)
    wait_for(lambda: platform.value("select count(*) from audit.event where source = "
                                    "'/scripts/nightly'") == len(FOREIGN),
             "the foreign events are in the ledger")
    platform.quiesce()
    login = f"{platform.name}_auditor"
    platform.execute(f"create role {login} login password 'x' in role busline_auditor")
    yield platform, platform.postgres.url_of(platform.name, user=login, password="x")
    platform.execute(f"drop role {login}")


def ask(platform, url, query):
    answer = platform.busline("sql", query, "-o", "table", BUSLINE_DB_URL=url).stdout
    return "\n".join(line.rstrip() for line in answer.splitlines()) + "\n"


def test_each_question_has_the_answer_of_the_page(no_sagas, day):
    """Those about sagas are asked last: sagas come after the day, and change its state."""
    platform, url = day
    page = PAGE.read_text()
    questions = [match["query"] for match in QUESTION.finditer(page)]
    about_sagas = [query for query in questions if "saga" in query]
    assert len(questions) >= 26 and len(about_sagas) >= 6
    answers = {q: ask(platform, url, q) for q in questions if q not in about_sagas}
    publish_sagas(platform)
    answers.update({q: ask(platform, url, q) for q in about_sagas})
    wrong = [f"{match['query']}\n--- the page\n{match['answer']}--- now\n{answers[match['query']]}"
             for match in QUESTION.finditer(page) if match["answer"] != answers[match["query"]]]
    if os.environ.get("BUSLINE_TEST_UPDATE"):
        PAGE.write_text(QUESTION.sub(
            lambda match: f"```sql\n{match['query']}\n```\n\n```text\n{answers[match['query']]}```",
            page))
    else:
        assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("change", [
    "insert into paas.tenant values ('x', 'x', null, null, 's', 'i', null)",
    "update paas.scale set desired = 0",
    "delete from busline.ledger",
    "truncate busline.ledger",
    "update busline.position set next_offset = 0",
    "select busline.position_move('busline.scale', 0, 0, 'x', 'x')",
    "create table audit.mine (x int)",
    "set role busline_worker",
])
def test_an_auditor_changes_nothing(day, change):
    platform, url = day
    before = platform.digest()
    result = platform.busline("sql", change, check=False, BUSLINE_DB_URL=url)
    assert result.returncode != 0, f"the auditor could: {change}"
    assert platform.digest() == before


def test_an_auditor_of_one_tenant_sees_one_tenant(day):
    platform, url = day
    import psycopg
    with psycopg.connect(url) as connection:
        everything = connection.execute("select count(*) from audit.event").fetchone()[0]
        connection.execute("set busline.tenant = 'acme'")
        seen = connection.execute("select tenant, count(*) from audit.event group by 1").fetchall()
        assert [tenant for tenant, _ in seen] == ["acme"]
        assert 0 < seen[0][1] < everything
        assert connection.execute("select distinct tenant from audit.state_row").fetchall() \
            == [("acme",)]


def field(value):
    """As docs/architecture.md says: be32 length, all ones if absent, and the bytes."""
    if value is None:
        return b"\xff\xff\xff\xff"
    value = value.encode() if isinstance(value, str) else bytes(value)
    return struct.pack(">I", len(value)) + value


def test_the_chain_can_be_computed_from_the_ledger_alone(day):
    platform, _ = day
    heads = {}
    for stream, offset, key, headers, data, verdict, reason, stored in platform.rows(
            'select stream, "offset", key, headers, data, verdict::text, reason, hash '
            'from busline.ledger order by stream, "offset"'):
        link = b"\x01" + heads.get(stream, bytes(32)) + struct.pack(">q", offset)
        link += b"".join(map(field, (key, headers, data, verdict, reason)))
        heads[stream] = hashlib.sha256(link).digest()
        assert heads[stream] == stored, f"stream {stream} offset {offset}"
    assert len(heads) > 5
    stored = dict(platform.rows("select stream, head from busline.position where next_offset > 0"))
    assert {stream: bytes(head) for stream, head in stored.items()} == heads
