"""Which requests are repeated, and when."""

from __future__ import annotations

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.hcloud_client import APIException
from ansible_collections.bulwark.hetzner.plugins.module_utils.retries import (
    BUDGET,
    GIVEN_BACK,
    MAX_DELAY,
    MAX_RETRIES,
    Retries,
)

NOW = 1_800_000_000.0
LOCKED = APIException("locked", "busy", None)
LIMITED = APIException("rate_limit_exceeded", "slow down", None)


def retries() -> Retries:
    return Retries(lambda: NOW)


@pytest.mark.parametrize("attempt", range(MAX_RETRIES))
def test_pauses_grow_and_are_not_all_alike(attempt: int) -> None:
    pauses = [retries().pause("GET", LOCKED, {}, attempt) for _ in range(50)]
    longest = min(MAX_DELAY, 2.0**attempt)
    assert all(pause is not None and longest / 2 <= pause <= longest for pause in pauses)
    assert len(set(pauses)) > 1


def test_nothing_is_repeated_for_ever() -> None:
    assert retries().pause("GET", LOCKED, {}, MAX_RETRIES) is None


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        ({"retry-after": "30"}, 30),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:20 GMT"}, 20),
        ({"ratelimit-reset": str(int(NOW) + 12)}, 12),
        ({"ratelimit-reset": str(int(NOW) + 3600)}, 60),
        ({"ratelimit-reset": str(int(NOW) - 5)}, 0),
        ({"retry-after": "soon"}, 0),
        ({}, 0),
    ],
)
def test_what_the_api_asks_for_is_honoured(headers: dict[str, str], least: float) -> None:
    ours = retries()
    pause = ours.pause("POST", LIMITED, headers, 0)
    assert pause is not None
    assert least + 0.5 <= pause <= least + 1.0
    assert ours.wait() == least, "all threads wait"


def test_the_reset_of_the_limit_says_nothing_about_other_errors() -> None:
    pause = retries().pause("POST", LOCKED, {"ratelimit-reset": str(int(NOW) + 1000)}, 0)
    assert pause is not None
    assert pause <= 1.0


def test_a_run_does_not_wait_for_an_hour() -> None:
    assert retries().pause("GET", LIMITED, {"retry-after": "3600"}, 0) is None


def test_a_run_as_a_whole_gives_up_soon() -> None:
    ours = retries()
    assert sum(ours.pause("GET", LOCKED, {}, 0) is not None for _ in range(1000)) == BUDGET


def test_requests_that_succeed_keep_a_run_going() -> None:
    ours = retries()
    for _ in range(1000):
        assert ours.pause("GET", LOCKED, {}, 0) is not None
        for _ in range(int(1 / GIVEN_BACK)):
            ours.succeeded()
