"""Workers find rows by key, whatever the tables looked like when their statements were planned:
plans are made once, and the first ones while every table is empty."""

import pathlib

import psycopg

from support.platform import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCANNED = """
select schemaname || '.' || relname, seq_scan, seq_tup_read from pg_stat_user_tables
where (schemaname = 'paas' or relname ~ '^(identity|outbox_[0-9]|dead_letter|incident|timer)')
  and seq_scan > 0 order by 1
"""
OTHERS = "select count(*) from pg_stat_activity where datname = current_database() " \
         "and backend_type = 'client backend' and pid <> pg_backend_pid()"
COUNTED = "select coalesce(sum(idx_scan), 0) from pg_stat_user_tables where schemaname = 'paas'"


def test_no_table_is_read_whole(platform):
    before = {name: count for name, count, _ in platform.rows(SCANNED)}  # by migrations
    platform.start_all()
    platform.busline("publish", "--jsonl", ROOT / "ops/day/events.jsonl")
    platform.quiesce()
    platform.stop_all()
    # what a session has counted is seen when it has ended
    wait_for(lambda: platform.value(OTHERS) == 0, "all sessions ended")
    assert platform.value(COUNTED) > 50, "the workers looked for rows at all"
    scanned = [row for row in platform.rows(SCANNED) if row[1] > before.get(row[0], 0)]
    assert scanned == []


def test_a_ledger_of_any_size_can_be_read(platform):
    """A large one is read by several processes at once, where that is allowed."""
    platform.start_all(["scale"])
    platform.busline("publish", "--jsonl", ROOT / "ops/day/events.jsonl")
    wait_for(lambda: platform.value("select count(*) from busline.ledger") > 0, "events came", 30)
    with psycopg.connect(platform.url, autocommit=True) as db:
        for name in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"):
            db.execute(f"set {name} = 0")
        db.execute("set force_parallel_mode = on")
        for view in ("busline.events", "audit.event", "audit.dead_letter"):
            db.execute(f"select * from {view}").fetchall()
        assert db.execute("select count(*) from busline.events "
                          "where headers->>'ce_type' is not null").fetchone()[0] > 0
