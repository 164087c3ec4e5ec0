"""Carrying out a plan, with a client that answers from a script."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.hcloud_client import APIException, Client
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure import apply as apply_module
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.apply import (
    ApplyError,
    UnclearError,
    apply,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.plan import Call, Plan, Ref, Step

A, B, C = (Ref("server", name) for name in "abc")


class Scripted(Client):
    """Every creation starts an action, which ends when asked ``polls`` times. No network, no waiting."""

    def __init__(
        self, polls: int = 1, broken: frozenset[str] = frozenset(), refused: dict[str, Any] | None = None
    ) -> None:
        self.polls = polls
        self.broken = broken  # names whose action ends in error
        self.refused = refused or {}  # names, and the code their creation is refused with
        self.requests: list[tuple[str, str]] = []
        self.asked: dict[int, int] = {}
        self.names: dict[int, str] = {}
        self.lock = threading.Lock()

    def sleep(self, _seconds: float) -> None:
        pass

    def request(self, method: str, url: str, **kwargs: Any) -> dict[str, Any]:
        with self.lock:
            self.requests.append((method, url))
            if url == "/actions":
                return {"actions": [self._action(number) for number in kwargs["params"]["id"]]}
            name = kwargs["json"]["name"]
            if name in self.refused:
                raise APIException(self.refused[name], "not now", None)
            number = len(self.names) + 1
            self.names[number] = name
            return {"server": {"id": 100 + number}, "action": self._action(number)}

    def _action(self, number: int) -> dict[str, Any]:
        asked = self.asked[number] = self.asked.get(number, -1) + 1
        action = {"id": number, "command": "create_server", "status": "running"}
        if asked < self.polls:
            return action
        if self.names[number] in self.broken:
            error = {"code": "resource_unavailable", "message": "sold out"}
            return action | {"status": "error", "error": error}
        return action | {"status": "success"}

    def created(self) -> list[str]:
        return list(self.names.values())


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_module, "POLL_INTERVAL", 0.0)


def create(ref: Ref, *needs: Ref) -> Step:
    body = {"name": ref.name, "labels": {"env": "production"}, "needs": list(needs)}
    return Step(ref, "create", Call("POST", "/servers", body), "test")


def test_steps_are_made_in_order_and_every_action_is_waited_for() -> None:
    client = Scripted(polls=3)
    ended = apply(client, Plan(steps=(create(A), create(B, A), create(C, B))), timeout=60)
    assert [step.ref for step in ended] == [A, B, C]
    assert client.created() == ["a", "b", "c"]
    assert client.asked == {1: 3, 2: 3, 3: 3}


def test_an_id_is_used_as_soon_as_it_is_known() -> None:
    client = Scripted()
    step = Step(A, "power_on", Call("POST", "/servers/{id}/actions/poweron", {"name": "x"}, A), "test")
    apply(client, Plan(steps=(create(A), step)), timeout=60)
    assert ("POST", "/servers/101/actions/poweron") in client.requests


def test_after_a_failure_nothing_begins_and_what_runs_is_waited_for() -> None:
    client = Scripted(polls=2, broken=frozenset({"a"}))
    with pytest.raises(ApplyError) as error:
        apply(client, Plan(steps=(create(A), create(B), create(C, A))), timeout=60)
    number = next(number for number, name in client.names.items() if name == "a")
    assert str(error.value) == (
        f"server/a: create failed. sold out (resource_unavailable, action {number} create_server)."
    )
    assert sorted(client.created()) == ["a", "b"]
    assert all(asked >= 2 for asked in client.asked.values()), "the other action has ended too"


def test_an_action_that_does_not_end_is_given_up() -> None:
    client = Scripted(polls=10**9)
    with pytest.raises(ApplyError, match="It has not ended within 0 s"):
        apply(client, Plan(steps=(create(A),)), timeout=0)


@pytest.mark.parametrize("code", ["uniqueness_error", "timeout", "locked", 504, "not_found"])
def test_after_something_unclear_everything_else_is_done(code: str | int) -> None:
    client = Scripted(refused={"a": code})
    with pytest.raises(UnclearError, match="server/a: create failed"):
        apply(client, Plan(steps=(create(A), create(B), create(C, A))), timeout=60)
    assert client.created() == ["b"]


def test_what_is_refused_for_good_is_not_unclear() -> None:
    client = Scripted(refused={"a": "invalid_input", "b": "timeout"})
    with pytest.raises(ApplyError) as error:
        apply(client, Plan(steps=(create(A), create(B))), timeout=60)
    assert not isinstance(error.value, UnclearError)


def test_a_limit_is_told_with_what_there_is() -> None:
    client = Scripted(refused={"b": "resource_limit_exceeded"})
    with pytest.raises(ApplyError) as error:
        apply(client, Plan(ids={A: 7}, steps=(create(B), create(C, B))), timeout=60)
    assert "The project's limit is reached: ask for a higher one" in str(error.value)
    assert "The project has 1 of kind server; not made yet: b, c." in str(error.value)


def test_what_is_gone_already_counts_as_deleted() -> None:
    class Gone(Scripted):
        def request(self, method: str, url: str, **kwargs: Any) -> dict[str, Any]:
            raise APIException("not_found", "no such server", None)

    step = Step(A, "delete", Call("DELETE", "/servers/{id}", None, A), "test")
    assert apply(Gone(), Plan(ids={A: 7}, steps=(step,)), timeout=60) == [step]


def test_nothing_begins_once_the_check_says_no() -> None:
    def lost() -> None:
        raise ApplyError("the lock was lost")

    client = Scripted()
    with pytest.raises(ApplyError, match="the lock was lost"):
        apply(client, Plan(steps=(create(A),)), timeout=60, check=lost)
    assert client.requests == []


def test_steps_that_need_nothing_of_each_other_run_side_by_side() -> None:
    """Each call waits for the other one to be under way: one after the other they would never end."""
    together = threading.Barrier(2, timeout=30)

    class Meeting(Scripted):
        def request(self, method: str, url: str, **kwargs: Any) -> dict[str, Any]:
            if method == "POST":
                together.wait()
            return super().request(method, url, **kwargs)

    assert len(apply(Meeting(), Plan(steps=(create(A), create(B))), timeout=60)) == 2
