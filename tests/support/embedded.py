"""The embedded broker under test, with the face that Kafka has in platform.py."""

import os
import signal
import shutil
import socket
import subprocess

from support.nng_client import EARLIEST, LATEST, Client, Gone, Publisher
from support.platform import BINARY, SLOW, TOPICS, TooLate, run, scratch, wait_for


def free_port():
    """Below the range from which the kernel takes ports for clients: a broker that is away for
    a while finds its port free when it comes back."""
    while True:
        port = 12000 + int.from_bytes(os.urandom(2), "big") % 8000
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def clean():
    """Nothing of the caller's own settings reaches the product."""
    return {k: v for k, v in os.environ.items() if not k.startswith("BUSLINE_")}


class Embedded:
    """`busline broker` on a directory of its own."""

    kind = "embedded"

    def __init__(self):
        self.root = scratch("broker")
        self.directory = self.root / "data"
        self.log = self.root / "broker.log"
        self.port = free_port()
        self.address = "127.0.0.1", self.port
        self.url = f"nng+tcp://127.0.0.1:{self.port}"
        self.client = Client(self.address)
        self.process = None

    @classmethod
    def start(cls):
        broker = cls()
        broker.run()
        return broker

    # ---- the process

    def launch(self):
        """Starts it and does not wait until it can be reached."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [BINARY, "broker", "--data", self.directory, "--listen", self.url], env=clean(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def run(self):
        self.launch()
        wait_for(self.answers, lambda: "the broker answers\n" + self.tail(), 30, 0.005)

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the broker ended: {self.process.returncode}\n{self.tail()}")
        try:
            return self.client.info()
        except Gone:
            return None

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """kill -9; returns when it is gone."""
        self.process.kill()
        self.process.wait(10)
        self.client.close()

    def stop(self):
        """An orderly end; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(20 * SLOW)
        except subprocess.TimeoutExpired:
            raise TooLate("the broker did not end\n" + self.tail()) from None
        self.client.close()
        return code

    def restart(self):
        assert self.stop() == 0, self.tail()
        self.run()

    def check(self):
        """What `busline broker check` says of the directory."""
        return run(BINARY, "broker", "check", "--data", self.directory, env=clean(), check=False)

    def remove(self):
        if self.running():
            self.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    def tail(self, lines=15):
        said = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"--- {self.log}\n" + "\n".join(said.splitlines()[-lines:])

    # ---- what is in it

    def _ask(self, call):
        """A broker that is coming back is waited for."""
        def look():
            try:
                return call(), True
            except Gone:
                return None
        return wait_for(look, lambda: "the broker answers\n" + self.tail(), 60)[0]

    def wipe(self, topics=TOPICS):
        """Without these topics; a broker's own are all there are."""
        if set(topics) & set(self._ask(self.client.topics)):
            self.stop()
            shutil.rmtree(self.directory)
            self.run()

    def partitions(self, topic):
        return self._ask(self.client.topics).get(topic, 0)

    def bounds(self, topic):
        """(begin, end) of each partition."""
        return {p: tuple(self._ask(lambda p=p, at=at: self.client.offset(topic, p, at))
                         for at in (EARLIEST, LATEST))
                for p in range(self.partitions(topic))}

    def ends(self, topic):
        return {p: self._ask(lambda p=p: self.client.offset(topic, p, LATEST))
                for p in range(self.partitions(topic))}

    def read(self, topic):
        """The whole log of a topic, as messages, by partition."""
        log = {}
        for partition, (at, end) in self.bounds(topic).items():
            log[partition] = []
            while at < end:
                found = self._ask(lambda p=partition, at=at: self.client.fetch(topic, p, at))
                assert [m.offset() for m in found] == list(range(at, at + len(found))) and found
                log[partition] += found
                at += len(found)
        return log

    def shares(self, group):
        """How many partitions each member of a group has, sorted."""
        members = self._ask(self.client.groups).get(group, {})
        return sorted(len(partitions) for partitions in members.values())

    def trim(self, topic, partition, start):
        self.client.trim(topic, partition, start)

    def publisher(self, **settings):
        return Publisher(self.address, **settings)

    def member(self, name):
        """Settings under which a successor takes over soon."""
        return {"BUSLINE_WORKER_SESSION_MS": "1000"}
