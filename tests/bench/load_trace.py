#!/usr/bin/env python3
"""Publishes a cluster's instance table as platform events.

    load_trace.py --csv TRACE --broker URL [--mode binary|structured] [--tenant NAME]

One deploy.requested per application at its first instance; scale.requested +1 per creation
and -1 per deletion, in time order. An instance without a creation time was there before the
table begins: it is created at second 0. One without a deletion time is never deleted. Ids
derive from the line of the table, so that loading it twice publishes the same events twice.
"""

import argparse
import csv
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from support import nng_client  # noqa: E402
from support.events import Publisher, cloud_event, seconds, time_ordered_id, to_record  # noqa: E402

SOURCE = "/trace/alibaba"
CREATE, DELETE = 0, 1


def changes(path):
    """(second, kind, line number, app, role, instance), in time order.

    At one instant creations come first: an instance cannot end before it began."""
    found = []
    with open(path, newline="", encoding="utf-8") as table:
        for number, line in enumerate(csv.DictReader(table)):
            what = (number, line["app_name"], line["role"], line["instance_sn"])
            found.append((float(line["creation_time"] or 0), CREATE, *what))
            if line["deletion_time"]:
                found.append((float(line["deletion_time"]), DELETE, *what))
    found.sort()
    return found


def events(path, tenant):
    deployed = set()
    for second, kind, _, app, role, instance in changes(path):
        at = seconds(second)
        if app not in deployed:
            deployed.add(app)
            yield cloud_event("deploy", "requested", tenant, app,
                              {"image": f"registry.example/{tenant}/{app}:1"},
                              source=SOURCE, at=at, id=time_ordered_id(at, "deploy", app))
        name = "create" if kind == CREATE else "delete"
        yield cloud_event("scale", "requested", tenant, app,
                          {"process": role.lower(), "delta": 1 if kind == CREATE else -1},
                          source=SOURCE, at=at, id=time_ordered_id(at, name, instance))


def publisher_of(url):
    scheme, _, address = url.partition("://")
    if scheme == "kafka":
        return Publisher(address)
    host, _, port = address.rpartition(":")
    return nng_client.Publisher((host, int(port)))


def load(path, broker, mode="binary", tenant="alibaba", pace=0):
    """Publishes all; pace > 0 is events per second. Returns how many are in the log."""
    publisher = publisher_of(broker)
    began, count = time.monotonic(), 0
    for event in events(path, tenant):
        publisher.publish([to_record(event, mode)])
        count += 1
        ahead = count / pace - (time.monotonic() - began) if pace else 0
        if ahead > 0.01:
            time.sleep(ahead)
    publisher.flush()
    assert publisher.delivered == count
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", required=True)
    parser.add_argument("--broker", required=True,
                        help="kafka://HOST:PORT or nng+tcp://HOST:PORT")
    parser.add_argument("--mode", choices=("binary", "structured"), default="binary")
    parser.add_argument("--tenant", default="alibaba")
    parser.add_argument("--pace", type=int, default=0, help="events per second; 0: no limit")
    args = parser.parse_args()
    began = time.monotonic()
    count = load(args.csv, args.broker, args.mode, args.tenant, args.pace)
    print(f"{count} events in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
