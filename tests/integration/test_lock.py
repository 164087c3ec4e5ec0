"""One run at a time for each environment."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import pytest
import requests
from ansible_collections.bulwark.hetzner.plugins.module_utils.hcloud_client import Client, create_client
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure import lock as lock_module
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.apply import ApplyError
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.lock import Lock, LockedError, locked

from tests.integration.environment import COUNTS, counts, declared, run
from tests.lab.cloud_api import TOKEN, CloudApi

NOTHING = dict.fromkeys(COUNTS, 0)


@contextmanager
def another_run(api: CloudApi, environment: str = "lab") -> Iterator[Lock]:
    with locked(create_client(TOKEN, api.url), environment, patience=0) as lock:
        yield lock


def locks(api: CloudApi) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = api.get("/placement_groups")["placement_groups"]
    return [group for group in groups if group["name"].startswith("bulwark-lock-")]


class Counting(Client):
    """Notes its changes together with those of others."""

    def __init__(self, token: str, api_endpoint: str, name: str = "", log: list[tuple[str, str]] | None = None) -> None:
        super().__init__(token, api_endpoint)
        self.name = name
        self.log: list[tuple[str, str]] = [] if log is None else log

    def request(self, method: str, url: str, **kwargs: object) -> dict[str, Any]:
        answer = super().request(method, url, **kwargs)
        if method != "GET":
            self.log.append((self.name, f"{method} {url}"))
        return answer


class Later(Client):
    """The client of a run after the lease of locks that are there now."""

    def now(self) -> datetime:
        return super().now() + lock_module.LEASE + timedelta(seconds=2)


def test_while_another_run_changes_the_environment_nothing_begins(api: CloudApi) -> None:
    with another_run(api):
        with pytest.raises(LockedError) as error:
            run(api, declared())
        assert counts(api) == NOTHING | {"placement_groups": 1}
    assert "Environment lab is being changed by " in str(error.value)
    assert "UTC and renews it while running. Run again when that run has ended" in str(error.value)
    run(api, declared())
    assert counts(api) == COUNTS
    assert locks(api) == []


def test_environments_do_not_wait_for_each_other(api: CloudApi) -> None:
    with another_run(api, "staging"):
        run(api, declared())
        assert [lock["name"] for lock in locks(api)] == ["bulwark-lock-staging"]


def test_a_run_that_changes_nothing_needs_no_lock(api: CloudApi) -> None:
    run(api, declared())
    client = Counting(TOKEN, api.url)
    with another_run(api):
        assert run(api, declared(), client)["changed"] is False
        assert run(api, declared(servers={"app": {"count": 3}}), client, check=True)["changed"]
    assert client.log == []


def test_the_lock_is_no_part_of_the_environment(api: CloudApi) -> None:
    run(api, declared())
    with another_run(api):
        assert run(api, declared())["undeclared"] == []


def test_a_run_waits_for_the_other_to_end(api: CloudApi) -> None:
    other = Lock(create_client(TOKEN, api.url), "lab")
    other.acquire(patience=0)

    class Patient(Client):
        def sleep(self, _seconds: float) -> None:
            other.release()

    run(api, declared() | {"lock_timeout": 60}, Patient(TOKEN, api.url))
    assert counts(api) == COUNTS


def test_two_runs_at_once_come_one_after_the_other(api: CloudApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "LOOK", 0.02)
    log: list[tuple[str, str]] = []
    together = threading.Barrier(2, timeout=30)

    def one(name: str) -> bool:
        client = Counting(TOKEN, api.url, name, log)
        together.wait()
        return bool(run(api, declared() | {"lock_timeout": 60}, client)["changed"])

    with ThreadPoolExecutor(2) as pool:
        changed = list(pool.map(one, ["a", "b"]))
    assert any(changed)
    assert counts(api) == COUNTS
    runs = [name for name, _ in groupby(log, key=lambda entry: entry[0])]
    assert len(runs) <= 2, "their changes do not mix"


def test_of_several_that_find_an_expired_lock_one_gets_it(api: CloudApi) -> None:
    dead = Lock(create_client(TOKEN, api.url), "lab")
    dead.acquire(patience=0)
    together = threading.Barrier(6, timeout=30)

    def take(_number: int) -> bool:
        together.wait()
        try:
            Lock(Later(TOKEN, api.url), "lab").acquire(patience=0)
        except LockedError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(take, range(6))) == [False] * 5 + [True]
    assert len(locks(api)) == 1


def test_a_lock_whose_answer_was_lost_is_held(api: CloudApi) -> None:
    class Forgetful(Counting):
        def request(self, method: str, url: str, **kwargs: object) -> dict[str, Any]:
            answer = super().request(method, url, **kwargs)
            if method == "POST" and len(self.log) == 1:
                raise requests.ConnectionError("the answer was lost")
            return answer

    lock = Lock(Forgetful(TOKEN, api.url), "lab")
    lock.acquire(patience=0)
    lock.check()
    with pytest.raises(LockedError):
        Lock(create_client(TOKEN, api.url), "lab").acquire(patience=0)


def test_a_lock_is_renewed_and_its_loss_is_noticed(api: CloudApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "RENEWAL", 0.01)
    renewed = threading.Event()

    class Renewing(Client):
        def request(self, method: str, url: str, **kwargs: object) -> dict[str, Any]:
            try:
                return super().request(method, url, **kwargs)
            finally:
                if method == "PUT":
                    renewed.set()

    with locked(Renewing(TOKEN, api.url), "lab", patience=0) as lock:
        assert renewed.wait(60)
        lock.check()
        [group] = locks(api)
        assert api.request("DELETE", f"/placement_groups/{group['id']}").status_code == 204
        for _ in range(100):
            renewed.clear()
            if not renewed.wait(1):
                break  # it has given up renewing
        with pytest.raises(ApplyError, match="The lock of environment lab was lost"):
            lock.check()


def test_a_lock_with_foreign_labels_counts_from_its_creation(api: CloudApi) -> None:
    api.post("/placement_groups", name="bulwark-lock-lab", type="spread", labels={"expires": "never"})
    with pytest.raises(LockedError, match="being changed by unknown"):
        run(api, declared())
    run(api, declared(), Later(TOKEN, api.url))
    assert counts(api) == COUNTS
