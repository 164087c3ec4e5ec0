"""Runs of the load balancer's module that are killed or meet faults: repeated, they end right."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.hcloud_client import APIException, ClientError
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.apply import ApplyError
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.execution import RefusedError

from lab.drivers.base import DriverError
from tests.integration import balancing
from tests.integration.balancing import OTHER_PAIR, absent, balancer, certificates, options, run, service
from tests.integration.faults import FailingNowAndThen, FaultyTransport, faulty_client
from tests.integration.test_interrupted_runs import Killed, Later, Mortal
from tests.lab import builders
from tests.lab.cloud_api import TOKEN, CloudApi

Act = Callable[[CloudApi], dict[str, Any]]

CHANGED = options(
    services=[service(OTHER_PAIR, health_check={"interval": 3}), {"protocol": "tcp", "listen_port": 5432}],
    targets=[{"server": "app-02"}, {"label_selector": "role-app=true"}],
    algorithm="least_connections",
    labels={"team": "web"},
)
MOVED = options(network={"name": "net", "address": "10.0.0.20"}, allow=["load_balancer/rails-lb"])
#: By name: what is there before, what is declared, and how many changing requests that takes, the lock's two included.
JOURNEYS: dict[str, tuple[dict[str, Any] | None, dict[str, Any], int]] = {
    "made": (None, options(delete_protection=True), 9),
    "changed": (options(), CHANGED, 10),
    "moved": (options(), MOVED, 8),
    "deleted": (options(), absent(), 4),
}
KILLS = [(name, lives) for name, (_, _, requests) in JOURNEYS.items() for lives in range(requests)]


@pytest.fixture
def project(api: CloudApi) -> CloudApi:
    balancing.prepare(api)
    return api


def check_end(api: CloudApi, given: dict[str, Any], locks: int = 0) -> None:
    """Exactly what is declared is there, and no lock, or that of a run that was killed once all was done."""
    api.settle()
    quiet = run(api, given)
    assert (quiet["changed"], quiet["plan"]) == (False, [])
    assert len(certificates(api)) == (0 if "state" in given else 1), "no certificate is left over"
    assert len(api.get("/load_balancers")["load_balancers"]) == (0 if "state" in given else 1)
    assert len(api.get("/placement_groups")["placement_groups"]) == locks


def test_the_journeys_take_so_many_requests(project: CloudApi) -> None:
    """Else the tests below would miss some."""
    for before, given, number in JOURNEYS.values():
        if before:
            run(project, before)
        balancing.forget_requests(project)
        run(project, given)
        assert len([line for line in balancing.requests(project) if not line.startswith("GET")]) == number
        run(project, absent(delete_protection=False))


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize(("name", "lives"), KILLS)
def test_a_run_that_was_killed_is_completed_by_the_next(project: CloudApi, name: str, lives: int, after: bool) -> None:
    before, given, number = JOURNEYS[name]
    if before:
        run(project, before)
    with pytest.raises(Killed):
        run(project, given, Mortal(TOKEN, project.url, lives + after, after))
    run(project, given, Later(TOKEN, project.url))
    check_end(project, given, locks=int(lives + after == number - 1))


EFFECTS = ("lose_answer", "reset", "error 500", "error 503", "error 429")
FAULTS = [
    pytest.param(name, effect, marks=() if name == "changed" or effect == "lose_answer" else pytest.mark.full)
    for name in JOURNEYS
    for effect in EFFECTS
]


@pytest.mark.parametrize("every", [len(EFFECTS), pytest.param(1, marks=pytest.mark.full)])
@pytest.mark.parametrize(("name", "effect"), FAULTS)
def test_a_fault_at_any_request(project: CloudApi, name: str, effect: str, every: int) -> None:
    """One after another, requests of a run meet the fault once: each of them, or each one of the effects."""
    before, given, _ = JOURNEYS[name]
    kind, _, status = effect.partition(" ")
    rule: dict[str, Any] = {"status": int(status)} if status else {}
    for skip in range(EFFECTS.index(effect) % every, 100, every):
        if before:
            run(project, before)
        balancing.forget_requests(project)
        fault = project.order_fault(kind, path="*", skip=skip, times=1, **rule)
        try:
            run(project, given, faulty_client(project, FaultyTransport(NoFaults())))
        except (ApplyError, ClientError, APIException, OSError):
            project.manage("DELETE", f"/faults/{fault}", status=204)
            run(project, given, Later(TOKEN, project.url))
        project.manage("DELETE", "/faults", status=204)
        met = project.manage("GET", "/requests")["requests"]
        check_end(project, given)
        run(project, absent(delete_protection=False))
        if not any(request["fault"] for request in met):
            assert skip > 10, "a run takes more requests than that"
            return
    raise AssertionError("a run that never ends")


class NoFaults(random.Random):
    """Dice that never fall on a fault: the lab makes them here."""

    def random(self) -> float:
        return 1.0


@pytest.mark.parametrize("seed", range(4))
def test_many_faults_in_all_the_ways_there_are(project: CloudApi, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 because nothing is secret about it
    transport = FaultyTransport(dice)
    for given in (options(), CHANGED, MOVED):
        project.driver.failures = FailingNowAndThen(dice, 0.03)
        for number in range(1, 5):
            try:
                run(project, given, faulty_client(project, transport))
                break
            except (ApplyError, ClientError, APIException, OSError):
                if number == 4:
                    raise
        project.driver.failures = {}
        check_end(project, given)
    assert transport.met.total() - transport.met["none"] > 10, "the faults were met"


def test_an_action_that_fails_is_told_and_mended_by_the_next_run(project: CloudApi) -> None:
    project.driver.failures["sync_load_balancer"] = DriverError("no room", "no_space_left_in_location")
    with pytest.raises(ApplyError, match=r"load_balancer/rails-lb: create failed\. no room"):
        run(project, options())
    project.driver.failures.clear()
    run(project, options())
    check_end(project, options())


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (options(type="lb12"), "the type lb12 does not exist in fsn1; there are lb11, lb21, lb31"),
        (options(location="fsn2"), "there is no location fsn2; there are "),
        (options(location=None), "it is not there: make it with playbooks/edge.yml, or give a type"),
        (options(network={"name": "nat", "address": "10.0.0.9"}), "there is no network nat (did you mean net?)"),
        (options(network={"name": "net", "address": "10.0.7.9"}), "10.0.7.9 lies in no subnet of net"),
        (options(network={"name": "net", "address": "10.0.0.1"}), "10.0.0.1 is the gateway of net"),
        (options(network={"name": "net", "address": "10.0.0.2"}), "10.0.0.2 in net is taken by server app-01"),
        (options(network={"name": "net", "address": "10.0.0.8"}), "10.0.0.8 in net is taken by load balancer other"),
        (options(location="ash"), "10.0.0.9 lies in a subnet of the network zone eu-central, but"),
        (options(targets=[{"server": "app-1"}]), "there is no server app-1 (did you mean app-01?)"),
        (options(targets=[{"server": "lonely"}]), "the server is not in the network net of the load balancer"),
        (options(network=None), "its targets are reached over a private network, and it is in none"),
        (options(services=[service(http={"certificates": [{"name": "gone"}]})]), "there is no certificate gone"),
        (options(services=[service(http={"certificates": []})]), "HTTPS takes a certificate"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_changed(
    project: CloudApi, given: dict[str, Any], sentence: str
) -> None:
    builders.server(project, "lonely")
    other = builders.load_balancer(project, "other")
    [network] = project.get("/networks")["networks"]
    project.post(f"/load_balancers/{other.id}/actions/attach_to_network", network=network["id"], ip="10.0.0.8")
    project.settle()
    balancing.forget_requests(project)
    with pytest.raises(RefusedError) as error:
        run(project, given)
    assert sentence in str(error.value)
    assert {line.partition(" ")[0] for line in balancing.requests(project)} == {"GET"}


def test_a_load_balancer_does_not_change_its_location(project: CloudApi) -> None:
    run(project, options())
    with pytest.raises(
        RefusedError, match=r"has the location fsn1, declared is hel1\. A load balancer cannot move: declare"
    ):
        run(project, options(location="hel1"))
    assert balancer(project)["location"]["name"] == "fsn1"
