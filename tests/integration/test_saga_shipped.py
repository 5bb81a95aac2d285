"""The shipped sagas, from request to end: workers, relay and clock run, this test is the machines."""

import json

import pytest

from support.platform import on_both_brokers, wait_for

IO = "io.busline."
HOST = "shop.example.com"
ROLES = ("catalog", "deploy", "scale", "route", "saga", "relay", "clock")


@pytest.fixture(scope="session")
def broker(request):
    """The embedded one, or what the test is parametrised with."""
    return request.getfixturevalue(getattr(request, "param", "embedded"))


@pytest.fixture
def shop(broker, postgres, make_platform):
    """An app whose release 1 has all the traffic and two replicas."""
    platform = make_platform(broker, postgres)
    platform.start_all(ROLES)
    tell(platform, "catalog.app.created", {})
    tell(platform, "deploy.requested", {"image": "shop:1"})
    tell(platform, "deploy.succeeded", {"release": 1})
    tell(platform, "route.change-requested",
         {"host": HOST, "targets": [{"release": 1, "weight": 100}]})
    tell(platform, "route.changed", {"host": HOST, "version": 1})
    tell(platform, "scale.requested", {"process": "web", "replicas": 2})
    tell(platform, "scale.succeeded", {"process": "web", "replicas": 2})
    return platform


def tell(platform, fact, data, subject="shop", **extensions):
    line = platform.folder / "event.jsonl"
    line.write_text(json.dumps({"source": "/machines", "type": f"{IO}{fact}.v1", "tenant": "acme",
                                "subject": subject, "data": data, **extensions}) + "\n")
    platform.busline("publish", "--jsonl", line, "--wait=applied", "--timeout", "60s", check=False)


def answer(platform, action, data, sick):
    """The fact by which machines answer an action that they carried out; what is planned, first."""
    number = platform.value("select latest_release from paas.deployment")
    version = platform.value("select wanted_version from paas.route")
    process = {"process": "web"}
    route = {"host": HOST, "version": version}
    release = {"release": number}
    desired = platform.value("select desired from paas.scale")
    planned = sick.get(action) or [None]
    planned = sick.get(action)
    if planned and (fact := planned.pop(0)) is not None:
        return fact
    return {
        "deploy.requested": ("deploy.succeeded", release),
        "deploy.verify-requested": ("deploy.verified", data),
        "deploy.retire-requested": ("deploy.retired", {"release": platform.value(
            "select max(number) from paas.release where status = 'retiring'")}),
        "route.shift-requested": ("route.changed", route),
        "route.change-requested": ("route.changed", route),
        "route.revert-requested": ("route.reverted", route),
        "route.remove-requested": ("route.removed", route),
        "scale.requested": ("scale.succeeded", {**process, "replicas": desired}),
        "scale.revert-requested": ("scale.reverted", {**process, "replicas": desired}),
        "scale.verify-requested": ("scale.verified", process),
    }.get(action)


def attempts(platform, name):
    """Every act that the saga has sent, in order: type, data, sagastep."""
    return platform.rows("select type, data, headers ->> 'ce_sagastep' from busline.events "
                         "where headers ->> 'ce_sagaid' = %s and source = '/busline/worker/saga' "
                         "and type like '%%requested.v1' order by recorded_at", name)


def run_saga(platform, name, definition, data, sick=None):
    """Answers every act until the saga has ended; all acts in order, and how it ended."""
    answered = []
    tell(platform, "saga.requested", {"definition": definition, "input": data}, subject=name)

    def next_act():
        if platform.value("select count(*) from paas.saga where saga = %s and status in "
                          "('completed', 'compensated', 'parked')", name):
            return "over"
        return next((act for act in attempts(platform, name) if act[2] not in answered), None)

    while (act := wait_for(next_act, f"{name} goes on", 60)) != "over":
        answered.append(act[2])
        action = act[0].removeprefix(IO).removesuffix(".v1")
        fact = answer(platform, action, act[1], sick or {})
        if fact:
            tell(platform, *fact, sagaid=name, sagastep=act[2])
    return ([act[2] for act in attempts(platform, name)],
            platform.value("select status from paas.saga where saga = %s", name))


def weights(platform):
    return dict(platform.rows(
        "select t.release, t.weight from paas.route r join paas.route_target t "
        "on t.version = r.wanted_version and t.host = r.host"))


def releases(platform):
    return dict(platform.rows("select number, status from paas.release order by 1"))


RELEASE = {"app": "shop", "image": "shop:2", "host": HOST}


def test_a_release_takes_over(shop):
    done, status = run_saga(shop, "r1", "release", RELEASE)
    assert status == "completed"
    assert done == [f"{step}/do/1" for step in ("deploy", "verify", "shift-10", "shift-50",
                                                "shift-100", "retire")]
    assert releases(shop) == {1: "retired", 2: "succeeded"}
    assert weights(shop) == {2: 100}
    assert shop.value("select current_release from paas.deployment") == 2


ILL = ("deploy.verify-failed", {"release": 2, "reason": "health checks failed"})


@on_both_brokers
def test_a_release_that_is_not_healthy_is_taken_back(shop):
    done, status = run_saga(shop, "r2", "release", RELEASE,
                            {"deploy.verify-requested": [ILL, ILL]})
    assert status == "compensated"
    assert done == ["deploy/do/1", "verify/do/1", "verify/do/2", "deploy/undo/1"]
    assert releases(shop) == {1: "succeeded", 2: "retired"}
    assert weights(shop) == {1: 100}
    assert shop.value("select current_release from paas.deployment") == 1


def test_an_app_is_torn_down(shop):
    done, status = run_saga(shop, "t1", "app-teardown",
                            {"app": "shop", "host": HOST, "process": "web", "reason": "over"})
    assert (done, status) == (["unroute/do/1", "stop/do/1", "delete/do/1"], "completed")
    assert weights(shop) == {}
    assert shop.value("select desired from paas.scale") == 0
    assert shop.value("select delete_reason from paas.app") == "over"


def test_a_switch_to_a_release_that_falls_ill_is_taken_back(shop):
    tell(shop, "deploy.requested", {"image": "shop:2"})
    tell(shop, "deploy.succeeded", {"release": 2})
    done, status = run_saga(shop, "s1", "route-switch",
                            {"app": "shop", "host": HOST, "release": 2},
                            {"deploy.verify-requested": [None, ILL, ILL]})
    assert status == "compensated"
    assert done == ["verify-before/do/1", "switch/do/1", "verify-after/do/1",
                    "verify-after/do/2", "switch/undo/1"]
    assert weights(shop) == {1: 100}
