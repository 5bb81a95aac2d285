#!/usr/bin/env python3
"""A small trace in the format of a cluster's instance table, the same at every run.

    make_trace.py --csv OUT [--apps 40] [--instances 3000] [--seed 1]

One line is an instance of an application: when it was made and when it was deleted, in
seconds; empty means before the start and after the end. The columns that say nothing about
time are there because the real tables have them.
"""

import argparse
import csv
import random

COLUMNS = ("instance_sn role app_name cpu_request cpu_limit gpu_request gpu_limit rdma_request "
           "rdma_limit memory_request memory_limit disk_request disk_limit "
           "max_instance_per_node creation_time scheduled_time deletion_time").split()
END = 400_000


def instances(apps, count, rng):
    weights = [1 / (rank + 1) ** 0.8 for rank in range(apps)]
    # Every application has one at least, the rest are spread as popularity goes.
    owners = list(range(apps)) + rng.choices(range(apps), weights, k=count - apps)
    for number, app in enumerate(owners):
        created = "" if rng.random() < 0.3 else round(rng.uniform(0, END), 1)
        deleted = ""
        if rng.random() < 0.62:
            deleted = round(rng.uniform(created or 0, END), 1)
        cpu, gpu, role = rng.choice([(12, 1, "HN"), (64, 0, "CN"), (16, 0, "CN")])
        yield (f"instance_{number}", role, f"app_{app}", cpu, cpu, gpu, gpu, 25, 25, 120.0, 120.0,
               640.0, 800.0, 8, created, created, deleted)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", required=True, help="file to write")
    parser.add_argument("--apps", type=int, default=40)
    parser.add_argument("--instances", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with open(args.csv, "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(instances(args.apps, args.instances, rng))


if __name__ == "__main__":
    main()
