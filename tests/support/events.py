"""Events as somebody else's client makes them: CloudEvents SDK and confluent-kafka.

Nothing here shares code with the product; what these producers write is what any service
written in Python would write.
"""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from cloudevents.core.bindings import kafka as binding
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import Producer

# Time zero of made-up streams; event time is part of the state, so it must not move.
EPOCH = datetime(2025, 1, 1, tzinfo=timezone.utc)
JSON = JSONFormat()


@dataclass(frozen=True)
class Record:
    topic: str
    key: bytes | None
    headers: list
    value: bytes | None

    @property
    def id(self):
        return dict(self.headers).get("ce_id", b"").decode()


def time_ordered_id(at, *names):
    """A UUIDv7 whose random bits are a digest of names: the same event, the same id."""
    millis = int((at - datetime(1970, 1, 1, tzinfo=timezone.utc)).total_seconds() * 1000)
    digest = int.from_bytes(hashlib.sha256("\0".join(names).encode()).digest()[:10], "big")
    value = (millis << 80) | digest
    value = value & ~(0xF << 76) | (0x7 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    return str(uuid.UUID(int=value))


def cloud_event(family, fact, tenant, subject, data, *, source, at, id=None, **extensions):
    attributes = {
        "specversion": "1.0",
        "id": id or time_ordered_id(at, source, family, fact, subject, repr(data)),
        "source": source,
        "type": f"io.busline.{family}.{fact}.v1",
        "time": at,
        "datacontenttype": "application/json",
        "tenant": tenant,
        **extensions,
    }
    if subject:
        attributes["subject"] = subject
    return CloudEvent(attributes, data)


def to_record(event, mode="binary", key=True):
    tenant, subject = event.get_extension("tenant"), event.get_subject() or ""
    topic = "busline." + event.get_type().split(".")[2]
    convert = binding.to_binary if mode == "binary" else binding.to_structured
    message = convert(event, JSON, lambda _: f"{tenant}/{subject}" if key else None)
    return Record(
        topic,
        None if message.key is None else message.key.encode(),
        [(name, value) for name, value in message.headers.items()],
        message.value,
    )


def scale(tenant, app, process, *, at, source="/test", mode="binary", key=True, id=None, **data):
    event = cloud_event("scale", "requested", tenant, app, {"process": process, **data},
                        source=source, at=at, id=id)
    return to_record(event, mode, key)


def seconds(n):
    return EPOCH + timedelta(seconds=n)


class Undelivered(Exception):
    pass


class Publisher:
    """A producer that knows whether everything it was given is in the log."""

    def __init__(self, servers, **settings):
        self.failures = []
        self.delivered = 0
        self.places = {}
        config = {
            "bootstrap.servers": servers,
            "enable.idempotence": True,
            "linger.ms": 2,
            "partitioner": "murmur2_random",
            "message.timeout.ms": 120000,
            "queue.buffering.max.messages": 1000000,
            "socket.nagle.disable": True,
        }
        config.update({name.replace("_", "."): value for name, value in settings.items()})
        self.producer = Producer(config)

    def _report(self, error, message):
        if error is not None:
            self.failures.append(error)
            return
        self.delivered += 1

    def publish(self, records, partition=None, note=None):
        """Hands records over; note(record, partition, offset) is told where each lies."""
        for record in records:
            report = self._report
            if note is not None:
                def report(error, message, record=record):
                    self._report(error, message)
                    if error is None:
                        note(record, message.partition(), message.offset())
            options = {} if partition is None else {"partition": partition}
            while True:
                try:
                    self.producer.produce(record.topic, value=record.value, key=record.key,
                                          headers=record.headers, on_delivery=report, **options)
                    break
                except BufferError:
                    self.producer.poll(0.5)
            self.producer.poll(0)

    def flush(self, timeout=120):
        left = self.producer.flush(timeout)
        if left or self.failures:
            raise Undelivered(f"{left} not acknowledged, {len(self.failures)} failed: "
                              f"{self.failures[:3]}")
