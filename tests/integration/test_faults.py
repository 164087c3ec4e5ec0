"""Three requests of ten fail in all the ways there are, and actions fail too: nothing is doubled, nothing left over."""

from __future__ import annotations

import random

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.hcloud_client import APIException, ClientError
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.apply import ApplyError

from tests.integration.environment import COUNTS, counts, declared, run
from tests.integration.faults import FAULTS, RATE, FailingNowAndThen, FaultyTransport, choose, faulty_client
from tests.lab.cloud_api import CloudApi

#: Share of the driver's calls that fail, each of which ends an action in error.
ACTION_FAILURES = 0.03
#: Runs within which the environment must be as declared. A run repeats what passes within seconds; it ends where the
#: location has none left of something, which may last, and the next run orders that again.
RUNS = 4


@pytest.mark.parametrize(
    ("method", "path", "never"),
    [
        ("POST", "/v1/servers", set()),
        ("GET", "/v1/servers", {"resource_unavailable"}),
        ("POST", "/v1/networks", {"resource_unavailable"}),
    ],
)
def test_the_dice_throw_every_fault_a_request_can_meet(method: str, path: str, never: set[str]) -> None:
    dice = random.Random(0)  # noqa: S311 because nothing is secret about it
    thrown = [choose(dice, method, path) for _ in range(1000)]
    assert {fault.name for fault in thrown if fault} == {fault.name for fault in FAULTS} - never
    assert sum(fault is not None for fault in thrown) == pytest.approx(1000 * RATE, rel=0.2)


def seeds(first: int, last: int, *marks: pytest.MarkDecorator) -> list[object]:
    return [pytest.param(seed, marks=marks) for seed in range(first, last)]


@pytest.mark.parametrize("seed", [*seeds(0, 5), *seeds(5, 200, pytest.mark.full)])
def test_an_environment_becomes_what_is_declared(api: CloudApi, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 because nothing is secret about it
    transport = FaultyTransport(dice)
    api.driver.failures = FailingNowAndThen(dice, ACTION_FAILURES)
    for number in range(1, RUNS + 1):
        try:
            run(api, declared(), faulty_client(api, transport))
            break
        except (ApplyError, ClientError, APIException, OSError):
            if number == RUNS:
                raise
    assert transport.met.total() - transport.met["none"] > len(FAULTS), "the faults were met"
    api.driver.failures = {}
    api.settle()
    assert counts(api) == COUNTS, "nothing is doubled, no lock is left"
    assert (len(api.driver.machines), len(api.driver.running), len(api.driver.volumes)) == (7, 7, 2)
    quiet = run(api, declared())
    assert (quiet["changed"], quiet["plan"]) == (False, [])


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("/servers", r"server/[a-z0-9-]+: create failed\. The location has none left of this: run again later"),
        ("/volumes", r"volume/db-[a-z]+-data: create failed\. The location has none left of this: run again later"),
    ],
)
def test_an_order_that_cannot_be_had_ends_the_run_and_the_next_makes_it(api: CloudApi, path: str, refused: str) -> None:
    """It may last for days, so that a run does not wait for it."""
    api.order_fault("error", method="POST", path=path, code="resource_unavailable", times=1)
    with pytest.raises(ApplyError, match=refused):
        run(api, declared())
    api.settle()
    assert counts(api) != COUNTS
    run(api, declared())
    assert counts(api) == COUNTS, "what was there already is not made again"
    assert run(api, declared())["plan"] == []


def test_slow_answers_are_waited_for(api: CloudApi) -> None:
    api.order_fault("slow", delay=0.03)
    run(api, declared())
    api.manage("DELETE", "/faults", status=204)
    assert counts(api) == COUNTS
    assert run(api, declared())["plan"] == []
