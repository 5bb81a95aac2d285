"""Transfers between accounts as sagas, every process killed at random: money stays.

BUSLINE_BANK_TRANSFERS says how many (600), BUSLINE_BANK_SECONDS in what time they come (15).
"""

import collections
import os
import random
import threading

from support.events import seconds
from support.platform import SLOW, on_both_brokers, wait_for
from support.transfers import (BANK_TOPIC, FINAL, ROLES, SAGA_TOPIC, bank_platform, check,
                               check_events, check_strays, open_accounts, request,
                               request_strays, transfers)

TRANSFERS = int(os.environ.get("BUSLINE_BANK_TRANSFERS", "600"))
ACCOUNTS = 100
STRAYS = 20
SECONDS = float(os.environ.get("BUSLINE_BANK_SECONDS", "15")) * SLOW
KILL_SECONDS = (0.2 * SLOW, 1.2 * SLOW)
QUIET_SECONDS = 60


class Killer(threading.Thread):
    """Kills one process of chance with -9, again and again, and starts its successor.

    In rounds, each role once: chance alone may leave one of them alive all the time.
    """

    def __init__(self, platform):
        super().__init__(daemon=True)
        self.platform, self.rng = platform, random.Random(5)
        self.stopping, self.failure = threading.Event(), None
        self.kills, self.round = collections.Counter(), []
        self.living = {role: self.launch(role) for role in ROLES}

    def launch(self, role):
        return self.platform.start(role, member=f"{self.platform.group}-{role}")

    def run(self):
        try:
            while not self.stopping.wait(self.rng.uniform(*KILL_SECONDS)):
                self.round = self.round or self.rng.sample(ROLES, len(ROLES))
                role = self.round.pop()
                assert self.living[role].running(), self.living[role].tail()
                self.living[role].kill()
                self.kills[role] += 1
                self.living[role] = self.launch(role)
        except Exception as failure:  # noqa: BLE001 - told to the test by halt()
            self.failure = failure

    def halt(self):
        self.stopping.set()
        self.join(60)
        if self.failure:
            raise self.failure


@on_both_brokers
def test_money_stays_whoever_dies(broker, postgres):
    platform = bank_platform(broker, postgres)
    try:
        open_accounts(platform, ACCOUNTS)
        asked = list(transfers(TRANSFERS, ACCOUNTS))
        killer = Killer(platform)
        killer.start()
        publisher = platform.broker.publisher()
        pace = threading.Event()
        request_strays(publisher, STRAYS, ACCOUNTS)
        for number, transfer in enumerate(asked):
            request(publisher, transfer, seconds(1000 + number))
            pace.wait(SECONDS / TRANSFERS)
        publisher.flush()
        # half of what there is to do under fire, the rest in quiet
        wait_for(lambda: platform.value("select count(*) from paas.saga where status = any(%s)",
                                        list(FINAL)) >= len(asked) // 2,
                 platform.tails, 300)
        killer.halt()
        left = None

        def done():
            nonlocal left
            left = platform.rows("select status, count(*) from paas.saga group by 1")
            return {status for status, _ in left} <= set(FINAL) and \
                sum(count for _, count in left) == len(asked)
        wait_for(done, lambda: f"{left}\n{platform.tails()}", QUIET_SECONDS, 0.5)
        platform.quiesce([BANK_TOPIC, SAGA_TOPIC], 60)
        check(platform, asked, ACCOUNTS)
        check_strays(platform, STRAYS)
        check_events(platform)
        assert not platform.rows("select * from busline.dead_letter")
        assert min(killer.kills[role] for role in ROLES) >= 2, killer.kills
        print(f"{len(asked)} transfers, {killer.kills.total()} kills, {left}")
    finally:
        platform.close()
