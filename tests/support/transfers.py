"""The bank of tests/support/bank: accounts, transfers as sagas, and what must hold of them."""

import pathlib
import random
from dataclasses import dataclass

from support.events import cloud_event, seconds, to_record
from support.platform import TOPICS, Platform

BANK = pathlib.Path(__file__).resolve().parent / "bank"
BANK_TOPIC, SAGA_TOPIC = "busline.bank", "busline.saga"
ROLES = ("bank", "saga", "relay", "clock")
FINAL = ("completed", "compensated")
OPENING_BALANCE = 1_000_000
# Of the transfers, in percent: refused by the bank, or done and never answered.
FAILING, SILENT = 15, 5
# Of the others, in percent: a retry covers what a death delays, so they get through.
GET_THROUGH = 75

# Each promise of a worker: how many were made, and how many events of workers came of them.
PROMISES = """
select (select sum(outbox_seq)::bigint from busline.position),
       (select count(*) from busline.ledger where source like '/busline/worker/%')
"""

# An attempt of a saga's step and its command are one and one.
COMMANDS = """
with made as (
    select saga, step || '/' || lane.name || '/' || attempt as attempt
    from paas.saga_step
    cross join lateral (values ('do', do_attempts), ('undo', undo_attempts)) as lane (name, count)
    cross join lateral generate_series(1, lane.count) as attempt),
sent as (
    select headers->>'ce_sagaid' as saga, headers->>'ce_sagastep' as attempt, count(*) as times
    from busline.events
    where topic = 'busline.bank' and type like '%-requested.v1'
      and source = '/busline/worker/saga'
    group by 1, 2)
select saga, attempt, times from made full join sent using (saga, attempt)
where times is distinct from 1 or made.saga is null
"""

# A command is answered by one fact, or by none if it is silent; a fact is told to its saga once.
ANSWERS = """
with follow_up as (select causationid, count(*) as times from busline.events
                   where source = '/busline/worker/bank' group by 1)
select e.type, e.id, times from busline.events e left join follow_up f on f.causationid = e.id
where e.topic = 'busline.bank' and e.type <> 'io.busline.bank.opened.v1'
  and coalesce(times, 0) <> case when e.data->>'mode' = 'silent' then 0 else 1 end
"""


@dataclass(frozen=True)
class Transfer:
    id: str
    source: str
    target: str
    amount: int
    modes: dict

    @property
    def data(self):
        return {"definition": "transfer",
                "input": {"from": self.source, "to": self.target, "amount": self.amount,
                          **self.modes}}


def transfers(count, accounts, seed=7):
    rng = random.Random(seed)
    for number in range(count):
        source, target = rng.sample(range(accounts), 2)
        dice, modes = rng.randrange(100), {}
        if dice < FAILING + SILENT:
            step = rng.choice(("debit_mode", "credit_mode"))
            modes = {step: "fail" if dice < FAILING else "silent"}
        yield Transfer(f"transfer-{number:06}", f"account-{source:03}", f"account-{target:03}",
                       rng.randint(1, 50), modes)


def bank_platform(broker, postgres, **settings):
    platform = Platform(broker, postgres, {
        "BUSLINE_SCHEMAS_DIRECTORY": BANK / "schemas",
        "BUSLINE_SAGA_DEFINITIONS": BANK / "sagas",
        "BUSLINE_RELAY_LEASE_MS": 1000,
        "BUSLINE_CLOCK_LEASE_MS": 1000,
        **settings}, topics=(*TOPICS, BANK_TOPIC)).prepare()
    platform.execute((BANK / "tables.sql").read_text())
    return platform


def open_accounts(platform, count):
    publisher = platform.broker.publisher()
    publisher.publish(to_record(cloud_event(
        "bank", "opened", "acme", f"account-{number:03}", {"balance": OPENING_BALANCE},
        source="/bank", at=seconds(number))) for number in range(count))
    publisher.flush()


def request(publisher, transfer, at):
    publisher.publish([to_record(cloud_event("saga", "requested", "acme", transfer.id,
                                             transfer.data, source="/transfers",
                                             at=at, id=transfer.id))])


def request_strays(publisher, count, accounts):
    """For sagas that nobody asked for: what takes a command back comes before the command."""
    for number in range(count):
        for place, (kind, back) in enumerate((("debit", "refund"), ("credit", "recall"))):
            for late, (fact, data) in enumerate(((back, {}), (kind, {"amount": 13 + place}))):
                publisher.publish([to_record(cloud_event(
                    "bank", f"{fact}-requested", "acme", f"account-{number % accounts:03}", data,
                    source="/strays", at=seconds(500 + 4 * number + 2 * place + late),
                    sagaid=f"stray-{number:03}",
                    sagastep=f"{kind}/{'do' if late else 'undo'}/1"))])


def check_strays(platform, count):
    """What was taken back before it came never comes."""
    made = platform.rows("select saga, kind, status from paas.bank_entry "
                         "where saga like 'stray-%' order by 1, 2")
    assert made == [(f"stray-{n:03}", kind, "undone")
                    for n in range(count) for kind in ("credit", "debit")], made[:5]
    answers = dict(platform.rows("""
        select split_part(type, '.', 4), count(*) from busline.events
        where source = '/busline/worker/bank' and headers->>'ce_sagaid' like 'stray-%'
        group by 1"""))
    assert answers == dict.fromkeys(("refunded", "recalled", "debit-failed", "credit-failed"),
                                    count)


def check_events(platform):
    """Nobody's retry makes up for an event that was lost, or came to count twice."""
    made, came = platform.rows(PROMISES)[0]
    commands, answers = platform.rows(COMMANDS), platform.rows(ANSWERS)
    assert not commands, f"commands lost, or more than their attempts: {commands[:5]}"
    assert not answers, f"commands with more or fewer answers: {answers[:5]}"
    assert came == made, f"{made} promises, {came} events"
    timers = platform.rows("select subject, name from busline.timer")
    assert not timers, f"every saga is over, and timers are left: {timers[:5]}"


def check(platform, asked, accounts):
    """Money is neither made nor lost, and each transfer is all or nothing."""
    status = dict(platform.rows("select saga, status from paas.saga"))
    assert set(status) == {t.id for t in asked}
    balance = dict(platform.rows("select account, balance from paas.bank_account"))
    assert sum(balance.values()) == accounts * OPENING_BALANCE
    expected = {f"account-{n:03}": OPENING_BALANCE for n in range(accounts)}
    for transfer in asked:
        if status[transfer.id] == "completed":
            assert not transfer.modes, f"{transfer} completed"
            expected[transfer.source] -= transfer.amount
            expected[transfer.target] += transfer.amount
    assert balance == expected
    # what the bank itself holds of each saga agrees with what the saga says
    entries = {}
    for saga, kind, done in platform.rows("select saga, kind, status from paas.bank_entry"):
        entries.setdefault(saga, {})[kind] = done
    for saga, state in status.items():
        made = entries.get(saga, {})
        if state == "completed":
            assert made == {"debit": "done", "credit": "done"}, (saga, made)
        else:
            assert "done" not in made.values(), (saga, state, made)
    # each ended once, by the one fact that says how
    ends = platform.rows("""
        select subject, split_part(type, '.', 4) from busline.events
        where topic = 'busline.saga' and type in ('io.busline.saga.completed.v1',
                                                  'io.busline.saga.compensated.v1')""")
    wrong = sorted(set(ends) ^ set(status.items()))
    assert not wrong, wrong[:5]
    assert len(ends) == len(asked), f"{len(ends)} ends of {len(asked)}"
    # giving everything back keeps the money, too: whoever can get through does
    able = [t for t in asked if not t.modes]
    through = sum(status[t.id] == "completed" for t in able)
    assert through * 100 >= len(able) * GET_THROUGH, f"{through} of {len(able)} got through"
