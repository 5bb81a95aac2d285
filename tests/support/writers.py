"""Writers of the outbox that are no workers: units of one's own, by the product's own SQL."""

import re
import struct

import psycopg

from support.platform import ROOT

QUERIES = ROOT / "sql/queries"


def query(name):
    """A query file for psycopg: $n becomes %(pn)s, comments go."""
    text = (QUERIES / f"{name}.sql").read_text()
    text = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return re.sub(r"\$(\d+)", r"%(p\1)s", text.replace("%", "%%"))


def arguments(*values):
    return {f"p{number}": value for number, value in enumerate(values, 1)}


def packed(headers):
    """As docs/architecture.md says: be32 count, then name and value as be32 length and bytes."""
    out = struct.pack(">I", len(headers))
    for name, value in headers:
        name = name.encode()
        out += struct.pack(">I", len(name)) + name + struct.pack(">I", len(value)) + value
    return out


class Writer:
    """One transaction at a time on one stream, as a worker's unit does it."""

    INSERT, NOTIFY = query("outbox_insert"), query("outbox_notify")

    def __init__(self, platform, topic, partition):
        self.connection = psycopg.connect(platform.url)
        self.connection.execute("set role busline_worker")
        self.stream = self.connection.execute(
            "insert into busline.position (topic, partition) values (%s, %s) returning stream",
            (topic, partition)).fetchone()[0]
        self.connection.commit()
        self.seq = 0

    def begin(self, records):
        """Numbers the rows under the lock of the position row and inserts them; no COMMIT."""
        first = self.connection.execute(
            "update busline.position set outbox_seq = outbox_seq + %s where stream = %s "
            "returning outbox_seq", (len(records), self.stream)).fetchone()[0] - len(records)
        count = len(records)
        self.connection.execute(self.INSERT, arguments(
            [self.stream] * count, [first + n + 1 for n in range(count)], [0] * count,
            [r.topic for r in records], [r.key for r in records],
            [packed(r.headers) for r in records], [r.value for r in records]), binary=True)
        self.connection.execute(self.NOTIFY)

    def commit(self):
        self.connection.commit()

    def abort(self):
        self.connection.rollback()

    def close(self):
        self.connection.close()
