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
    # none said both: each ended once, by one fact
    ends = platform.rows("""
        select subject, array_agg(distinct type) from busline.events
        where topic = 'busline.saga' and type in ('io.busline.saga.completed.v1',
                                                  'io.busline.saga.compensated.v1')
        group by subject""")
    both = [saga for saga, types in ends if len(types) != 1]
    assert not both, both[:5]
    assert len(ends) == len(asked)
