"""Who may start PostgreSQL, and when."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.checkout import load


@pytest.fixture(scope="module")
def start() -> ModuleType:
    return load("roles/postgres/files/start.py")


def decided(start: ModuleType, answers: list[tuple[str, int, bool]], **more: Any) -> tuple[int, str]:
    here = {
        "fenced": False,
        "standby": False,
        "system": "1",
        "timeline": 5,
        "approved": False,
        "ran_as_primary": False,
        "peers": 1,
    }
    found = [start.Peer(f"db-{number}", *peer) for number, peer in enumerate(answers)]
    verdict: tuple[int, str] = start.decide(start.Here(**(here | more)), found)
    return verdict


SAME, OLDER, NEWER = ("1", 5, False), ("1", 4, False), ("1", 6, False)
PRIMARY, OTHER_REPLICA, OTHER_PRIMARY = ("1", 6, True), ("2", 9, False), ("2", 1, True)


@pytest.mark.parametrize(
    ("peers", "more", "verdict"),
    [
        # A peer that answers decides.
        ([SAME], {}, "START"),
        ([OLDER], {}, "START"),
        ([NEWER], {}, "HELD"),
        ([PRIMARY], {}, "HELD"),
        ([OTHER_PRIMARY], {}, "HELD"),
        ([SAME, NEWER], {"peers": 2}, "HELD"),
        ([SAME, PRIMARY], {"peers": 2}, "HELD"),
        # Neither memory nor approval counts against what a peer says.
        ([NEWER], {"approved": True, "ran_as_primary": True}, "HELD"),
        ([PRIMARY], {"approved": True, "ran_as_primary": True}, "HELD"),
        # Nobody answers, or only a stranger.
        ([], {}, "WAIT"),
        ([OTHER_REPLICA], {}, "WAIT"),
        ([], {"ran_as_primary": True}, "START"),
        ([], {"approved": True}, "START"),
        ([], {"peers": 0}, "START"),
        # A replica takes no writes.
        ([], {"standby": True}, "START"),
        ([PRIMARY], {"standby": True}, "START"),
        # A fence counts more than everything.
        ([SAME], {"fenced": True}, "HELD"),
        ([], {"fenced": True, "standby": True}, "HELD"),
        ([], {"fenced": True, "peers": 0, "approved": True}, "HELD"),
    ],
)
def test_the_policy(start: ModuleType, peers: list[tuple[str, int, bool]], more: dict[str, Any], verdict: str) -> None:
    assert decided(start, peers, **more)[0] == getattr(start, verdict)


def test_it_says_what_to_do(start: ModuleType) -> None:
    assert "touch /var/lib/postgresql/start-without-peer" in decided(start, [])[1]
    assert "rejoin" in decided(start, [PRIMARY])[1]


def test_a_peers_answer_is_read(start: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def answer(config: dict[str, Any], program: str, *words: str) -> tuple[int, str]:
        asked.append(words)
        return 0, "7301|3|0/30000|\non\n"

    monkeypatch.setattr(start, "in_image", answer)
    config = {"conninfo": "user=replicator sslmode=verify-full"}
    peer = start.ask(config, {"name": "db-replica", "address": "10.0.0.7"})
    assert peer == start.Peer("db-replica", "7301", 3, False)
    assert any("host=10.0.0.7 user=replicator sslmode=verify-full" in word for word in asked[0])


@pytest.mark.parametrize("said", [(2, ""), (0, ""), (0, "7301|3|0/30000|\n"), (0, "nonsense here")])
def test_no_proper_answer_is_none(start: ModuleType, monkeypatch: pytest.MonkeyPatch, said: tuple[int, str]) -> None:
    monkeypatch.setattr(start, "in_image", lambda *words: said)
    assert start.ask({"conninfo": ""}, {"name": "db-replica", "address": "10.0.0.7"}) is None
