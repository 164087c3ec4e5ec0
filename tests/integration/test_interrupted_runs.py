"""Runs that are killed, lose answers or meet failing actions: the same run, or the next one, puts it right."""

from __future__ import annotations

import itertools
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from ansible_collections.bulwark.hetzner.plugins.module_utils.hcloud_client import Client
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.apply import ApplyError

from lab.drivers.base import DriverError
from tests.integration.environment import COUNTS, counts, declared, run
from tests.lab.cloud_api import TOKEN, CloudApi


class Killed(BaseException):
    """The end of a run: nothing catches it."""


class Mortal(Client):
    """A client that dies at its n-th change: before it is sent, or after, when the answer is lost."""

    def __init__(self, token: str, api_endpoint: str, lives: int, after: bool) -> None:
        super().__init__(token, api_endpoint)
        self.lives, self.after = lives, after
        self.mutex = threading.Lock()

    def request(self, method: str, url: str, **kwargs: object) -> dict[str, Any]:
        if method == "GET":
            return super().request(method, url, **kwargs)
        with self.mutex:
            self.lives -= 1
            lives = self.lives
        if lives < 0:
            raise Killed
        answer = super().request(method, url, **kwargs)
        if lives == 0 and self.after:
            raise Killed
        return answer


class Later(Client):
    """The client of a run two minutes later, when the lock of one that was killed has expired."""

    def now(self) -> datetime:
        return super().now() + timedelta(minutes=2)


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("lives", [1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31])
def test_a_run_that_was_killed_is_completed_by_the_next(api: CloudApi, lives: int, after: bool) -> None:
    with pytest.raises(Killed):
        run(api, declared(), Mortal(TOKEN, api.url, lives, after))
    run(api, declared(), Later(TOKEN, api.url))
    third = run(api, declared())
    assert (third["changed"], third["plan"]) == (False, [])
    assert {server["status"] for server in third["servers"].values()} == {"running"}
    assert counts(api) == COUNTS, "nothing was made twice, no lock is left"


class Forgetful(Client):
    """Every n-th change is made, and its answer lost on the way."""

    every = 1

    def __init__(self, token: str, api_endpoint: str) -> None:
        super().__init__(token, api_endpoint)
        self.changes = itertools.count(1)

    def request(self, method: str, url: str, **kwargs: object) -> dict[str, Any]:
        answer = super().request(method, url, **kwargs)
        if method != "GET" and next(self.changes) % self.every == 0:
            raise requests.ConnectionError("the answer was lost")
        return answer


@pytest.mark.parametrize("every", [3, 4, 5, 7])
def test_lost_answers_make_nothing_twice(api: CloudApi, every: int) -> None:
    client = Forgetful(TOKEN, api.url)
    client.every = every
    client.sleep = lambda _seconds: api.settle()  # waiting is what settles here
    run(api, declared(), client)
    assert run(api, declared())["changed"] is False
    assert counts(api) == COUNTS


def test_an_action_that_fails_for_good_is_told_and_mended_by_the_next_run(api: CloudApi) -> None:
    api.driver.failures["create_volume"] = DriverError("no space left", "no_space_left_in_location")
    with pytest.raises(ApplyError) as error:
        run(api, declared())
    assert "volume/db-primary-data: create failed. no space left (no_space_left_in_location" in str(error.value)
    assert counts(api)["placement_groups"] == 2, "the lock was released"
    api.driver.failures.clear()
    run(api, declared())
    assert run(api, declared())["changed"] is False
    assert len(api.driver.volumes) == 2


def test_an_action_that_fails_once_is_done_again_in_the_same_run(api: CloudApi) -> None:
    api.driver.failures["start_machine"] = DriverError("it did not start")

    class Mending(Client):
        def sleep(self, _seconds: float) -> None:
            if api.driver.failures and len(api.driver.machines) == 7:
                api.settle()
                api.driver.failures.clear()

    run(api, declared(), Mending(TOKEN, api.url))
    assert len(api.driver.running) == 7
    assert run(api, declared())["changed"] is False


def test_an_action_that_always_fails_ends_the_run(api: CloudApi) -> None:
    api.driver.failures["start_machine"] = DriverError("it did not start")

    class Hurried(Client):
        def sleep(self, _seconds: float) -> None:
            api.settle()

    with pytest.raises(ApplyError, match=r"power_on failed\. it did not start"):
        run(api, declared(), Hurried(TOKEN, api.url))
    assert counts(api) == COUNTS
