"""Minor upgrades: what a member runs, who has a turn, and what is refused before the first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres import release
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import PostgresError
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.release import Release

IMAGE = "localhost/bulwark-postgres:17.13-1"
OLD = {"image": "localhost/bulwark-postgres:17.12-1", "version": "17.12", "current": False}
NEW = {"image": IMAGE, "version": "17.13", "current": True}


def member(runs: dict[str, Any], in_recovery: bool | None, **more: Any) -> dict[str, Any]:
    state = {"data": "present", "fenced": False, "firewalled": False, "in_recovery": in_recovery, "lag": {}, **more}
    return {"release": {"release": runs}, "state": {"state": state}}


def pair(first: dict[str, Any], second: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """db-primary and db-replica as the former is primary."""
    return {
        "db-primary": member(first, False, lag={"db-replica": 0}),
        "db-replica": member(second, True),
    }


def decide(hosts: dict[str, dict[str, Any]], version: str = "17.13") -> release.Plan:
    return release.decide(hosts, version, IMAGE)


def test_the_replica_first_and_the_primary_after_it_has_moved() -> None:
    plan = decide(pair(OLD, OLD))
    assert (plan.refusal, plan.first, plan.switchover, plan.last) == (
        "",
        ("db-replica",),
        "db-replica",
        ("db-primary",),
    )
    assert plan.lines[0] == f"db-primary: 17.12 (localhost/bulwark-postgres:17.12-1) becomes 17.13 ({IMAGE})"
    assert "Writes wait" in plan.lines[-1]


def test_nothing_to_do() -> None:
    plan = decide(pair(NEW, NEW))
    assert (plan.refusal, plan.first, plan.switchover, plan.last) == ("", (), "", ())


def test_where_an_earlier_run_ended() -> None:
    """After the replica; and after the switchover, with the names the other way round."""
    plan = decide(pair(OLD, NEW))
    assert (plan.first, plan.switchover, plan.last) == ((), "db-replica", ("db-primary",))
    plan = decide(pair(NEW, OLD))
    assert (plan.first, plan.switchover, plan.last) == (("db-replica",), "", ())


def test_a_replica_that_an_earlier_run_has_left_down() -> None:
    down = {"image": "", "version": "", "current": False}
    plan = decide(pair(NEW, down))
    assert (plan.refusal, plan.first) == ("", ("db-replica",))


def test_another_build_of_the_same_release() -> None:
    plan = decide(pair({**OLD, "version": "17.13"}, {**OLD, "version": "17.13"}))
    assert (plan.refusal, plan.last) == ("", ("db-primary",))


def test_a_database_alone() -> None:
    plan = decide({"staging": member(OLD, False)})
    assert (plan.refusal, plan.first, plan.switchover, plan.last) == ("", (), "", ("staging",))
    assert "the database is away while it restarts" in plan.lines[-1]


@pytest.mark.parametrize(
    ("hosts", "version", "told"),
    [
        (pair(OLD, OLD), "18.1", "another major version needs its data converted"),
        (pair(OLD, OLD), "17.11", "which is older"),
        (pair(OLD, OLD), "latest", "with its second number"),
        (pair(OLD, OLD), "17", "with its second number"),
        (
            pair(OLD, OLD) | {"db-replica": {"release": {"unreachable": True}, "state": {}}},
            "17.13",
            "cannot be reached",
        ),
        (
            pair(OLD, OLD) | {"db-replica": {"release": {"msg": "Docker does not answer."}, "state": {"state": {}}}},
            "17.13",
            "db-replica could not be asked, so nothing was begun: Docker does not answer.",
        ),
        (pair(OLD, OLD) | {"db-primary": member(OLD, False)}, "17.13", "No replica streams from db-primary"),
        (
            pair(OLD, OLD) | {"db-primary": member(OLD, True)},
            "17.13",
            "None of db-primary and db-replica runs as primary",
        ),
        (pair(OLD, OLD) | {"db-replica": member(OLD, False)}, "17.13", "2 of db-primary and db-replica run as primary"),
        (pair(OLD, OLD) | {"db-replica": member(OLD, None, fenced=True)}, "17.13", "db-replica is fenced"),
        (pair(OLD, OLD) | {"db-replica": member(OLD, None, data="none")}, "17.13", "holds no database"),
    ],
)
def test_what_is_refused(hosts: dict[str, dict[str, Any]], version: str, told: str) -> None:
    plan = decide(hosts, version)
    assert told in plan.refusal
    assert (plan.first, plan.switchover, plan.last) == ((), "", ())


def engine(container: dict[str, Any] | str, image: str = "sha256:1", version: str = '"17.12 (Debian 17.12-1)"') -> Any:
    """Docker with this container, or this error."""

    def run(words: Sequence[str], feed: str = "") -> tuple[int, str, str]:
        match words[1]:
            case "container":
                return (1, "", container) if isinstance(container, str) else (0, json.dumps([container]), "")
            case "image":
                return 0, f"{image}\n", ""
            case _:
                return (0, version, "") if version else (2, "", "no connection")

    return run


RUNS = {"State": {"Running": True}, "Image": "sha256:1", "Config": {"Image": IMAGE}}


def test_what_runs() -> None:
    assert release.read(engine(RUNS), IMAGE) == Release(IMAGE, "17.12", True)
    assert release.read(engine(RUNS), "localhost/other:17.12") == Release(IMAGE, "17.12", False)
    assert release.read(engine(RUNS, image="sha256:2"), IMAGE) == Release(IMAGE, "17.12", False)
    assert release.read(engine(RUNS, version=""), IMAGE) == Release(IMAGE)
    assert release.read(engine({**RUNS, "State": {"Running": False}}), IMAGE) == Release()
    assert release.read(engine("Error: No such container: bulwark-postgres"), IMAGE) == Release()
    with pytest.raises(PostgresError, match="Docker does not answer: permission denied"):
        release.read(engine("permission denied"), IMAGE)


def test_a_primary_of_more_than_a_pair_stays_where_it_is() -> None:
    more = pair(OLD, OLD) | {"db-replica-02": member(OLD, True)}
    assert "There are 3 members" in decide(more).refusal
    # Where it has been moved already, the others only follow.
    assert decide(pair(NEW, OLD) | {"db-replica-02": member(OLD, True)}).first == ("db-replica", "db-replica-02")
