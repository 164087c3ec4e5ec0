"""Runs of the modules for Cloudflare that meet faults or are killed: nothing is made twice, and nothing is left."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils import hcloud_client
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare import client as cloudflare_client

from lab.faults import Fault
from tests.integration.cloudflare.zone import (
    MARK,
    OTHER,
    STRICT,
    Served,
    dns,
    one_pair,
    record,
    settings,
    uploaded,
)
from tests.lab.cloud_api import CloudApi
from tests.lab.cloudflare_api import ORIGIN, ZONE
from tests.modules import Run

#: A key that is made in no time.
QUICK = {"key_type": "ecdsa"}
#: How a request fails once. All of them are asked again, or what is there is read again.
FAULTS: dict[str, dict[str, Any]] = {
    "answer lost": {"effect": "lose_answer"},
    "cut off": {"effect": "reset"},
    "server error": {"effect": "error", "status": 502},
    "rate limit": {"effect": "error", "status": 429, "code": "971"},
}


def failing(edge: Served, fault: dict[str, Any]) -> Iterator[int]:
    """The edge afresh, with the fault at its first request, then at its second, and so on until there are no more."""
    for number in itertools.count():
        edge.reset()
        rule = edge.cloudflare.faults.add(Fault(**fault, skip=number, times=1))
        yield number
        if not edge.cloudflare.faults.rules[rule].struck:
            assert number > 2
            return
        edge.cloudflare.faults.rules.clear()


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_records_survive_a_fault_at_any_request(run: Run, edge: Served, fault: dict[str, Any]) -> None:
    declared = [record("@"), record("@", content=OTHER), record("www", "CNAME", ZONE)]
    for _ in failing(edge, fault):
        edge.put(ZONE, "A", "198.51.100.160", MARK)
        edge.put(f"old.{ZONE}", "A", ORIGIN, MARK)
        edge.put(f"www.{ZONE}", "A", ORIGIN, MARK)  # its kind changes
        assert dns(run, *declared)["changed"] is True
        assert [item[:3] for item in edge.records()] == [
            (ZONE, "A", ORIGIN),
            (ZONE, "A", OTHER),
            (f"www.{ZONE}", "CNAME", ZONE),
        ]
        assert dns(run, *declared)["changed"] is False


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_settings_survive_a_fault_at_any_request(run: Run, edge: Served, fault: dict[str, Any]) -> None:
    for _ in failing(edge, fault):
        assert settings(run, **STRICT)["changed"] is True
        assert settings(run, **STRICT)["changed"] is False
        assert edge.zone.settings.security_header.enabled


@pytest.mark.parametrize("every", [len(FAULTS), pytest.param(1, marks=pytest.mark.full)])
@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("where", ["cloudflare", "hetzner"])
def test_a_rotation_survives_a_fault_at_any_request(
    certificate: Run, api: CloudApi, edge: Served, name: str, where: str, every: int
) -> None:
    """Nothing is made twice, and nothing is left. Each request meets the fault, or each one of the faults."""
    fault = FAULTS[name]
    faults = edge.cloudflare.faults if where == "cloudflare" else api.cloud.faults
    if fault.get("code") and where == "hetzner":
        fault = {**fault, "code": "rate_limit_exceeded"}
    certificate(**QUICK)
    for number in itertools.count(list(FAULTS).index(name) % every, every):
        rule = faults.add(Fault(**fault, skip=number, times=1))
        renewed = certificate(renew=True, **QUICK)
        assert not renewed.get("failed"), renewed
        assert certificate(state="tidied", **QUICK)["certificate"] == renewed["certificate"]
        struck = faults.rules[rule].struck
        faults.rules.clear()
        one_pair(api, edge)
        assert certificate(**QUICK)["changed"] is False
        if not struck:
            assert number > 5
            return


class Killed(BaseException):
    """The end of a run: nothing catches it."""


class Reaper:
    """Kills a run at its n-th request, to whichever API: before it is sent, or when its answer is on the way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        self.after = False
        for module in (cloudflare_client, hcloud_client):
            monkeypatch.setattr(module.Client, "request", self._deadly(module.Client.request))

    def _deadly(self, request: Callable[..., Any]) -> Callable[..., Any]:
        def mortal(client: object, *args: Any, **kwargs: Any) -> Any:
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    raise Killed
            answer = request(client, *args, **kwargs)
            if self.left == 0 and self.after:
                raise Killed
            return answer

        return mortal


@pytest.mark.parametrize("after", [False, True], ids=["before it is sent", "after it was carried out"])
def test_a_rotation_that_was_killed_is_completed_by_the_next(
    certificate: Run, api: CloudApi, edge: Served, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    reaper = Reaper(monkeypatch)
    reaper.after = after
    now = hcloud_client.Client.now
    for lives in itertools.count(1):
        edge.reset()
        for item in uploaded(api):
            api.request("DELETE", f"/certificates/{item['id']}")
        reaper.left = lives
        try:
            certificate(**QUICK)
            certificate(renew=True, **QUICK)
            certificate(state="tidied", **QUICK)
            survived = True
        except Killed:
            survived = False
        reaper.left = None

        def later(client: hcloud_client.Client) -> datetime:
            """Two minutes on, when the lock of the one that was killed has ended."""
            return now(client) + timedelta(minutes=2)

        with monkeypatch.context() as patch:
            patch.setattr(hcloud_client.Client, "now", later)
            assert not certificate(**QUICK).get("failed")
            assert not certificate(state="tidied", **QUICK).get("failed")
            for lock in api.get("/placement_groups")["placement_groups"]:
                api.request("DELETE", f"/placement_groups/{lock['id']}")
        one_pair(api, edge)
        assert certificate(**QUICK)["changed"] is False
        if survived:
            assert lives > 20
            return
