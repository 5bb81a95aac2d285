"""What one key that cannot be applied costs all others: a worker drains a topic of 10,000 keys with and
without it.

One event in 10,000 is of a key whose rows PostgreSQL refuses for a reason that may pass. The
trigger that refuses is there in both cases, so that it costs both.
"""

import statistics
import time

from bench.measure import control, moved, say
from support.platform import wait_for

WORST = 0.9
APPS = 10_000
TRIGGER = """
create table public.poison (app text primary key);
create function public.poison() returns trigger language plpgsql as $$
begin
    if exists (select from public.poison p where p.app = new.app) then
        raise exception using errcode = '55P03', message = 'poison';
    end if;
    return new;
end $$;
create trigger poison before insert or update on paas.scale
    for each row execute function public.poison();
grant usage on schema public to public;
grant select on public.poison to public;
"""


def drained(bench, events, poisoned):
    """Events per second from a tenth of the topic on."""
    platform = bench.platform(fresh_log=True)
    try:
        platform.execute(TRIGGER)
        bench.program("bench_fill", "--servers", bench.kafka.servers, "--events", events,
                      "--apps", APPS)
        platform.execute(f"insert into public.poison values ('{'app-42' if poisoned else 'none'}')")
        workers = platform.start_all(["scale", "relay", "clock"])
        progress = []

        def done():
            progress.append((time.monotonic(), sum(platform.positions("busline.scale").values())))
            return progress[-1][1] >= events
        wait_for(done, lambda: "drained\n" + workers["scale"].tail(), 600, 0.02)
        held = platform.value("select count(*) from busline.dead_letter")
        assert (held >= events // APPS // 2) == poisoned, held
        assert platform.value("select count(distinct app) from paas.scale") == APPS - poisoned
        first = next(p for p in progress if p[1] > events * 0.1)
        return (progress[-1][1] - first[1]) / (progress[-1][0] - first[0])
    finally:
        platform.close()


def poison(bench):
    """The rate of 9,999 keys while one is held, against the rate of all without it."""
    events = bench.count(400_000)
    rates = {"clean": [], "poisoned": []}
    before = control(bench)
    for order in (("clean", "poisoned"), ("poisoned", "clean")) * (1 if bench.short else 2):
        for name in order:
            rates[name].append(drained(bench, events, name == "poisoned"))
        say("poison:", ", ".join(f"{n} {r[-1]:.0f}" for n, r in rates.items()))
    ratio = statistics.median(a / b for a, b in zip(rates["poisoned"], rates["clean"]))
    return {"events_per_s": {n: round(statistics.median(r)) for n, r in rates.items()},
            "poisoned_over_clean": {"median": round(ratio, 2), "floor": WORST,
                                    "holds": ratio >= WORST},
            "control_moved": round(moved(before, control(bench)), 3)}
