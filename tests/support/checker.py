"""Checks that look at ledger and state in one SQL statement, hence in one snapshot."""

import threading
import time

import psycopg

# Scale rows against the fold of the ledger, by SQL that knows only what the events mean:
# every applied request counts one version, and requests by delta add up.
# For events in binary mode: the bytes themselves are their data.
DISAGREEMENTS = """
with request as (
    select l.tenant, l.subject as app, convert_from(l.data, 'UTF8')::jsonb as data
    from busline.ledger l join busline.position p using (stream)
    where p.topic = 'busline.scale' and l.verdict = 'APPLIED'
      and l.type = 'io.busline.scale.requested.v1'),
folded as (
    select tenant, app, data->>'process' as process, count(*) as version,
           sum((data->>'delta')::bigint) as desired
    from request group by 1, 2, 3)
select app, process, s.version, f.version, s.desired, f.desired
from paas.scale s full join folded f using (tenant, app, process)
where s.version is distinct from f.version or s.desired is distinct from f.desired
"""

PROGRESS = """
select (select count(*) from busline.ledger),
       (select coalesce(sum(next_offset), 0) from busline.position),
       (select coalesce(sum(version), 0) from paas.scale)
"""

# An event that counts more than once; REROUTED is the trace of its way home, not an effect.
TWICE = """
select source, id, count(*) from busline.ledger
where verdict <> 'REROUTED' group by 1, 2 having count(*) > 1 limit 5
"""

COUNTED = "select count(*) from busline.ledger where verdict <> 'REROUTED'"


class Checker(threading.Thread):
    """Looks again and again; ledger and state agree each time, and nothing steps back."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url = url
        self.stopping = threading.Event()
        self.looks, self.findings, self.unreachable = 0, [], 0
        self.progress = (0, 0, 0)

    def run(self):
        connection = None
        while not self.stopping.is_set():
            try:
                if connection is None:
                    connection = psycopg.connect(self.url, autocommit=True, connect_timeout=5)
                self._look(connection)
            except psycopg.OperationalError:
                # The server is being restarted; what it says afterwards is what counts.
                connection = None
                self.unreachable += 1
                self.stopping.wait(0.1)
            except Exception as failure:  # noqa: BLE001 - told to the test by finish()
                self.findings.append(repr(failure))
                return
            self.stopping.wait(0.02)

    def _look(self, connection):
        wrong = connection.execute(DISAGREEMENTS).fetchall()
        if wrong:
            self.findings.append(f"ledger and state disagree: {wrong[:3]}")
        progress = connection.execute(PROGRESS).fetchone()
        if any(now < before for now, before in zip(progress, self.progress)):
            self.findings.append(f"a step back: {self.progress} -> {progress}")
        self.progress = progress
        self.looks += 1

    def finish(self, least=1):
        self.stopping.set()
        self.join(60)
        assert not self.findings, self.findings[:5]
        assert self.looks >= least, f"the checker looked {self.looks} times only"


def replicas(platform, tenant="alibaba"):
    found = {}
    for app, process, desired in platform.rows(
            "select app, process, desired from paas.scale where tenant = %s "
            "order by app, process", tenant):
        found.setdefault(app, {})[process] = desired
    return found


def assert_once(platform, count):
    """Each event is in the ledger, and counts once."""
    twice = platform.rows(TWICE)
    assert not twice, f"counted more than once: {twice}"
    assert platform.value(COUNTED) == count


def until(moment):
    """Seconds left until a moment of time.monotonic(), not below zero."""
    return max(0.0, moment - time.monotonic())
