"""Ten thousand broken events: none stops a worker, and each is accounted for.

Good events are mutated in envelope and data, from a fixed seed. Whatever comes of one, it is
in the ledger with its very bytes, and either in state by right or in dead_letter with a cause.
"""

import json
import os
import random

from jsonschema import Draft202012Validator

from support.events import Record, cloud_event, seconds, to_record
from support.platform import ROOT, WORKER_TOPICS, on_both_brokers

COUNT = int(os.environ.get("BUSLINE_TEST_GARBAGE", "10000"))
SEED = 20250101

# Mutated ids may meet; what counts as one event does so once.
TWICE_IN_A_STREAM = """
select stream, source, id from busline.ledger
where verdict in ('APPLIED', 'IGNORED') group by 1, 2, 3 having count(*) > 1
"""

NASTY_JSON = [b"", b"null", b"[]", b"0", b'"x"', b"{", b"}", b'{"a":1,"a":2}', b"\xff\xfe{}",
              b'{"process":"web","delta":1}x', b"[" * 200, b'{"a":' * 40 + b"1" + b"}" * 40,
              b'{"process":"we\\u0000b","delta":1}', b'{"process":"web","delta":1e400}',
              b'{"process":"web","delta":99999999999999999999}', b'{"process":"\\ud800","delta":1}',
              b'{"process":"web","delta":0}', b'{"process":"web","delta":1,"replicas":1}',
              b'{"process":"\xc3\x28","delta":1}', b" ", b"\x00", b"NaN", b'{"process":1}',
              b'{"image":5}', b'{"host":"","targets":[]}', b'{"name":""}']
NASTY_TEXT = [b"", b" ", b"\x00", b"\xff\xfe", b"%", b"%zz", b"%E2%82", b"a" * 5000, b"\xc3\x28",
              b"\r\n", b"'; drop table paas.app; --", b"\\", b"{}", "\u202e\u0000".encode(),
              b"1.0", b"2.0", b"0.3", b"9999-12-31T23:59:60Z", b"0000-00-00T00:00:00Z",
              b"-1", b"a/b/c", b"../../etc", "\U0001f4a9".encode()]


def good(rng, number):
    app, at = f"app-{rng.randrange(40)}", seconds(number)
    family, fact, data = rng.choice([
        ("catalog", "app.created", {"description": "x", "owner": "o"}),
        ("catalog", "tenant.created", {"name": "Acme"}),
        ("deploy", "requested", {"image": "registry.example/a:1", "command": ["run"],
                                 "environment": {"A": "b"}}),
        ("deploy", "rollback-requested", {"to_release": 1}),
        ("deploy", "succeeded", {"release": 1}),
        ("scale", "requested", {"process": "web", "delta": 1}),
        ("scale", "requested", {"process": "web", "replicas": 3, "min": 1, "max": 9}),
        ("route", "change-requested", {"host": "a.example.com",
                                       "targets": [{"release": 1, "weight": 100}]}),
        ("route", "changed", {"host": "a.example.com", "version": 1}),
    ])
    event = cloud_event(family, fact, "acme", "" if fact == "tenant.created" else app, data,
                        source="/garbage", at=at, id=f"garbage-{number}")
    return to_record(event, rng.choice(["binary", "structured"]))


def flip(rng, raw):
    raw = bytearray(raw or b"x")
    for _ in range(rng.randint(1, 8)):
        kind = rng.randrange(4)
        at = rng.randrange(len(raw)) if raw else 0
        if kind == 0 and raw:
            raw[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            raw[at:at] = rng.randbytes(rng.randint(1, 6))
        elif kind == 2 and raw:
            del raw[at:at + rng.randint(1, 6)]
        elif raw:
            raw[at:at] = raw[at:at + rng.randint(1, 20)]
    return bytes(raw)


def change_header(rng, headers):
    headers = list(headers)
    at = rng.randrange(len(headers))
    name, value = headers[at]
    kind = rng.randrange(7)
    if kind == 0:
        del headers[at]
    elif kind == 1:
        headers[at] = (name, rng.choice(NASTY_TEXT))
    elif kind == 2:
        headers[at] = (name, flip(rng, value))
    elif kind == 3:
        headers.append((name, rng.choice([value, b"other"])))
    elif kind == 4:
        headers[at] = (rng.choice([name.upper(), name + "x", "ce_", "CE_" + name[3:], "ce-id"]),
                       value)
    elif kind == 5:
        headers[at] = (name, None)
    else:
        headers.append((f"ce_{rng.choice(['data', 'extra', 'Tenant', 'x' * 300, 'a b'])}",
                        rng.choice(NASTY_TEXT)))
    return headers


def change_data(rng, value):
    try:
        tree = json.loads(value)
    except ValueError:
        return flip(rng, value)
    node = tree
    while isinstance(node, dict) and isinstance(node.get("data"), dict) and rng.random() < 0.7:
        node = node["data"]
    if not isinstance(node, dict) or not node:
        return flip(rng, value)
    name = rng.choice(sorted(node))
    kind = rng.randrange(4)
    if kind == 0:
        del node[name]
    elif kind == 1:
        node[name] = rng.choice([None, True, -1, 1.5, 10**18, "", "x" * 3000, [], {}, [[[]]]])
    elif kind == 2:
        node[rng.choice(["extra", "", "__proto__", "data_base64"])] = 1
    else:
        node[name] = [node[name]] * 3
    return json.dumps(tree).encode()


def mutate(rng, record):
    topic, key, headers, value = record.topic, record.key, record.headers, record.value
    kind = rng.randrange(10)
    if kind <= 2:
        headers = change_header(rng, headers)
    elif kind <= 4:
        value = change_data(rng, value)
    elif kind == 5:
        value = flip(rng, value)
    elif kind == 6:
        value = rng.choice([*NASTY_JSON, None])
    elif kind == 7:
        key = rng.choice([None, b"", b"acme", b"\xff", b"other/app", rng.randbytes(20)])
        headers = change_header(rng, headers)
    elif kind == 8:
        topic = rng.choice(WORKER_TOPICS)
    elif rng.random() < 0.03:
        value = json.dumps({"process": "w" * (300 * 1024), "delta": 1}).encode()
    else:
        headers, value = [], rng.randbytes(rng.randrange(200))
    return Record(topic, key, headers, value)


def unique(pairs):
    assert len(dict(pairs)) == len(pairs), "a name twice"
    return dict(pairs)


class Judge:
    """Somebody else's opinion of what took effect: is it an event, and is its data valid?"""

    def __init__(self):
        self.validators = {}

    def right(self, record, type, tenant, source, id):
        headers = [(name.lower(), value) for name, value in record.headers]
        named = dict(reversed(headers))  # of two with one name the first
        mode = (named.get("content-type") or b"").lower()
        if mode.startswith(b"application/cloudevents"):
            event = json.loads(record.value, object_pairs_hook=unique)
            data = event.get("data")
        else:
            event = {n[3:]: v.decode() for n, v in named.items() if n.startswith("ce_") and v}
            data = json.loads(record.value, object_pairs_hook=unique)
        said = [event[name] for name in ("type", "tenant", "source", "id", "specversion")]
        assert said == [type, tenant, source, id, "1.0"]
        assert type.startswith(f"io.{record.topic}."), "the topic of its family"
        family, fact = type.split(".", 3)[2:]
        if type not in self.validators:
            path = ROOT / "schemas" / family / f"{fact}.json"
            self.validators[type] = Draft202012Validator(json.loads(path.read_text()))
        self.validators[type].validate(data)


@on_both_brokers
def test_every_one_is_accounted_for(platform):
    rng = random.Random(SEED)
    roles = platform.start_all()
    publisher = platform.broker.publisher()
    sent = {}

    def note(record, partition, offset):
        sent[record.topic, partition, offset] = record
    for number in range(COUNT):
        publisher.publish([mutate(rng, good(rng, number))], note=note)
    publisher.flush()
    assert len(sent) == COUNT
    platform.quiesce(timeout=180)
    assert all(p.running() for p in roles.values()), platform.tails()

    ledger = {tuple(place): (verdict, None if value is None else bytes(value), what)
              for *place, verdict, value, what in platform.rows(
                  'select topic, partition, "offset", verdict::text, l.data, '
                  "array[type, tenant, source, id] "
                  'from busline.ledger l join busline.position using (stream)')}
    dead = {tuple(place): (cause, None if value is None else bytes(value))
            for *place, cause, value in platform.rows(
                'select topic, partition, "offset", cause, d.data '
                'from busline.dead_letter d join busline.position using (stream)')}
    verdicts, judge = {}, Judge()
    for place, record in sent.items():
        if place not in ledger:
            # Mutations that left an event as it was before: the same bytes, a repeat.
            verdicts["repeat"] = verdicts.get("repeat", 0) + 1
            continue
        verdict, value, what = ledger[place]
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
        assert value == record.value, f"{place}: the bytes are those received"
        if verdict == "REJECTED":
            cause, kept = dead[place]
            assert cause and kept == record.value, place
        else:
            assert place not in dead, place
        if verdict in ("APPLIED", "IGNORED"):
            judge.right(record, *what)
    assert sum(verdicts.values()) == COUNT
    assert verdicts.get("repeat", 0) == 0, "ids are all different"
    assert verdicts["REJECTED"] > COUNT / 3 and verdicts["APPLIED"] > COUNT / 50, verdicts

    # What was sent home arrived there and was judged.
    home = platform.value(
        "with event as (select * from busline.ledger join busline.position using (stream)) "
        "select count(*) from event a where verdict = 'REROUTED' and not exists "
        "(select from event b where b.source = a.source and b.id = a.id "
        " and b.topic = a.topic and b.verdict <> 'REROUTED')")
    assert home == 0
    assert not platform.rows(TWICE_IN_A_STREAM)
    causes = dict(platform.rows("select cause, count(*) from busline.dead_letter group by 1"))
    print(f"\n{verdicts}\n{causes}")
    assert {"undecodable", "schema-invalid", "invalid-data", "unknown-type",
            "no-tenant"} <= set(causes)

    # And good events still have their effect.
    publisher.publish([to_record(cloud_event(
        "scale", "requested", "good", f"app-{n}", {"process": "web", "replicas": n},
        source="/good", at=seconds(n))) for n in range(1, 21)])
    publisher.flush()
    platform.quiesce(timeout=60)
    rows = platform.rows("select desired from paas.scale where tenant = 'good' order by 1")
    assert [n for n, in rows] == list(range(1, 21))
    assert all(p.stop() == 0 for p in roles.values()), platform.tails()
