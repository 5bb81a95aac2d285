"""Fixtures of the integration tests; see support/platform.py."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from support.embedded import Embedded
from support.platform import BINARY, Kafka, Platform, Postgres
from support.raw_broker import Broker

HERE = pathlib.Path(__file__).resolve().parent


def pytest_sessionstart(session):
    # A run in the background of a script inherits it ignored, and so would what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not BINARY.exists():
        pytest.exit(f"{BINARY} is not built; BUSLINE_BIN names another", returncode=3)


@pytest.fixture(scope="session")
def kafka():
    server = Kafka.shared()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def embedded():
    server = Embedded.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def broker(request):
    """Kafka, or what the test is parametrised with: on_both_brokers of platform.py."""
    return request.getfixturevalue(getattr(request, "param", "kafka"))


@pytest.fixture(scope="session")
def postgres():
    server = Postgres.shared()
    yield server
    server.remove()


@pytest.fixture
def own_broker(request):
    """A broker that the test may break."""
    server = {"kafka": Kafka, "embedded": Embedded}[request.param].start()
    yield server
    server.remove()


@pytest.fixture
def make_broker():
    """Makes embedded brokers with settings; they end with the test."""
    made = []

    def make(*args, running=True, **more):
        broker = Broker(*args, **more)
        made.append(broker)
        if running:
            broker.run()
        return broker

    yield make
    for broker in made:
        broker.remove()


@pytest.fixture
def three_kafkas():
    """A cluster of three nodes."""
    cluster = Kafka.start(nodes=3)
    yield cluster
    cluster.remove()


@pytest.fixture
def own_postgres():
    server = Postgres.start()
    yield server
    server.remove()


@pytest.fixture
def make_platform(request):
    """Makes platforms that end with the test; their logs are shown when it fails."""
    made = []

    def make(broker, postgres, fresh_log=True, **settings):
        platform = Platform(broker, postgres, settings)
        made.append(platform)
        return platform.prepare(fresh_log)

    yield make
    failed = getattr(request.node, "failed_call", False)
    for platform in made:
        if failed:
            sys.stderr.write(platform.tails() + "\n")
        platform.close()


@pytest.fixture
def platform(broker, postgres, make_platform):
    """A fresh log and a fresh database on the shared servers."""
    return make_platform(broker, postgres)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call" and outcome.get_result().failed:
        item.failed_call = True


@pytest.fixture(scope="session")
def small_trace(tmp_path_factory):
    """A trace of 40 applications, made here."""
    path = tmp_path_factory.mktemp("trace") / "small.csv"
    subprocess.run([sys.executable, HERE / "bench/make_trace.py", "--csv", path], check=True)
    return path


@pytest.fixture(scope="session")
def trace(small_trace):
    """The trace of BUSLINE_TEST_TRACE when there is one, else the small one."""
    given = os.environ.get("BUSLINE_TEST_TRACE")
    return pathlib.Path(given) if given else small_trace
