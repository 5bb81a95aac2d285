#!/usr/bin/env python3
"""What a trace must lead to, computed from the table alone.

    expect_trace.py --csv TRACE

Shares nothing with the loader: an instance that was not deleted is a replica, and that is
all there is to know. Prints JSON: replicas per application and role, and how many events of
each kind the table stands for.
"""

import argparse
import collections
import csv
import json
import sys


def expect(path):
    alive = collections.defaultdict(collections.Counter)
    creations = deletions = 0
    with open(path, newline="", encoding="utf-8") as table:
        header = next(table).rstrip("\r\n").split(",")
        role, app, end = (header.index(c) for c in ("role", "app_name", "deletion_time"))
        for line in csv.reader(table):
            creations += 1
            deleted = line[end].strip() != ""
            deletions += deleted
            alive[line[app]][line[role].lower()] += 0 if deleted else 1
    return {
        "replicas": {name: dict(sorted(roles.items())) for name, roles in sorted(alive.items())},
        "apps": len(alive),
        "creations": creations,
        "deletions": deletions,
        "events": len(alive) + creations + deletions,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", required=True)
    json.dump(expect(parser.parse_args().csv), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
