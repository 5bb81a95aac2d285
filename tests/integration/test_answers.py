"""What sagas hear: the worker that folds a fact with a sagaid tells it, in the same transaction."""

import json

from support.events import cloud_event, scale, seconds, to_record
from support.platform import on_both_brokers, wait_for

SAGA = "busline.saga"


def headers_of(message):
    return {name: value.decode() for name, value in message.headers()}


def answers(platform):
    """By the id of the event they are about: (headers, data); those of this platform's sagas."""
    found = {}
    for messages in platform.broker.read(SAGA).values():
        for message in messages:
            headers = headers_of(message)
            if not headers["ce_subject"].startswith(platform.name):
                continue
            data = json.loads(message.value())
            assert message.key().decode() == "acme/" + headers["ce_subject"]
            assert headers["ce_causationid"] == data["id"]
            assert found.setdefault(data["id"], (headers, data)) == (headers, data), "told twice"
    return found


@on_both_brokers
def test_answers_of_a_worker(platform):
    """A fact, an ignored fact, an event that is refused; not a command that works, not a fact
    without a saga."""
    fact = {"process": "web", "replicas": 3}
    one, two = f"{platform.name}-1", f"{platform.name}-2"
    saga = {"sagaid": one, "sagastep": "scale/do/1"}

    def event(fact_name, data, id, **more):
        return to_record(cloud_event("scale", fact_name, "acme", "shop", data, source="/machine",
                                     at=seconds(1), id=id, **more))
    platform.start("scale")
    platform.start("relay")
    publisher = platform.broker.publisher()
    records = [
        scale("acme", "shop", "web", at=seconds(0), id="first", replicas=3),
        event("requested", {"process": "web", "replicas": 3}, "command", **saga),
        event("succeeded", fact, "fact", **saga),
        event("succeeded", fact, "bare"),
        event("succeeded", {"process": "never", "replicas": 1}, "unheard-of", **saga),
        event("requested", {"process": "web"}, "refused", **{**saga, "sagaid": two}),
    ]
    publisher.publish(records)
    publisher.flush()
    platform.quiesce(("busline.scale",))
    verdicts = dict(platform.rows("select id, verdict::text from busline.events"))
    found = wait_for(lambda: len(answers(platform)) >= 3 and answers(platform), "answers")
    assert set(found) == {"fact", "unheard-of", "refused"}
    headers, data = found["fact"]
    assert data == {**data, "type": "io.busline.scale.succeeded.v1", "source": "/machine",
                    "sagastep": "scale/do/1", "outcome": "applied", "data": fact}
    assert headers["ce_type"] == "io.busline.saga.answered.v1"
    assert headers["ce_source"] == "/busline/worker/scale"
    assert headers["ce_subject"] == one
    assert found["unheard-of"][1]["outcome"] == verdicts["unheard-of"].lower()
    assert found["refused"][0]["ce_subject"] == two
    assert found["refused"][1]["outcome"] == "rejected" and found["refused"][1]["reason"]
