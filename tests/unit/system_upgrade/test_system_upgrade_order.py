"""In which order servers are upgraded, and what is refused before the first."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.system_upgrade import order

MEMBERS = ["db-primary", "db-replica"]
APPS = ["app-01", "app-02"]
IDLE: dict[str, Any] = {"state": {"pending": [], "unfinished": False}, "restart": [], "health": {"failed": []}}
WAITS: dict[str, Any] = {**IDLE, "state": {"pending": ["libc6"], "unfinished": False}}
PRIMARY = {"state": {"in_recovery": False, "lag": {"db-replica": 0}}}
REPLICA = {"state": {"in_recovery": True}}


def lab(**other: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The default environment, all of whose servers wait for a package."""
    found = {
        "bastion-server": {"roles": ["bastion"], "system": WAITS},
        "db-primary": {"roles": ["db"], "system": WAITS, "database": PRIMARY},
        "app-01": {"roles": ["app"], "system": WAITS, "database": {"skipped": True}},
        "app-02": {"roles": ["app"], "system": WAITS},
        "db-replica": {"roles": ["db"], "system": WAITS, "database": REPLICA},
        "jobs-01": {"roles": ["jobs"], "system": WAITS},
        "monitor-01": {"roles": ["monitoring"], "system": WAITS},
    }
    return found | {name.replace("_", "-"): found[name.replace("_", "-")] | more for name, more in other.items()}


def only(hosts: dict[str, dict[str, Any]], *names: str) -> dict[str, dict[str, Any]]:
    return {name: hosts[name] for name in names}


def test_the_order() -> None:
    plan = order.plan(lab(), MEMBERS, APPS)
    assert plan.refusal == ""
    assert plan.first == ("monitor-01", "jobs-01", "app-01", "app-02", "db-replica")
    assert plan.switchover == "db-replica"
    assert plan.last == ("db-primary", "bastion-server")
    assert plan.lines[0] == "monitor-01: 1 package, restart if they require it"
    assert any("db-replica becomes primary" in line for line in plan.lines)
    assert any("nobody gets in" in line for line in plan.lines)


def test_who_has_nothing_to_do_has_no_turn() -> None:
    nothing = {name.replace("-", "_"): {"system": IDLE} for name in lab()}
    plan = order.plan(lab(**nothing), MEMBERS, APPS)
    assert (plan.first, plan.switchover, plan.last) == ((), "", ())
    assert set(plan.lines) == {f"{name}: nothing to do" for name in lab()}


def test_after_a_switchover_that_was_the_last_thing_done() -> None:
    """Killed there, the old primary is a replica that waits, and the new primary has nothing to do."""
    swapped = lab(
        db_primary={"database": REPLICA},
        db_replica={"system": IDLE, "database": {"state": {"in_recovery": False, "lag": {"db-primary": 0}}}},
    )
    plan = order.plan(only(swapped, *MEMBERS), MEMBERS, APPS)
    assert (plan.first, plan.switchover, plan.last) == (("db-primary",), "", ())


@pytest.mark.parametrize(
    "system",
    [
        {**IDLE, "restart": ["an update asks for it"]},
        {**IDLE, "state": {"pending": [], "unfinished": True}},
    ],
)
def test_what_else_gives_a_turn(system: dict[str, Any]) -> None:
    assert order.plan({"jobs-01": {"roles": ["jobs"], "system": system}}, [], []).first == ("jobs-01",)


@pytest.mark.parametrize(
    ("hosts", "told"),
    [
        (lab(app_01={"system": {"unreachable": True}}), "app-01 cannot be reached"),
        (lab(db_replica={"database": {"unreachable": True}}), "db-replica cannot be reached"),
        (lab(jobs_01={"system": {"msg": "apt cannot tell."}}), "jobs-01 could not be asked, so nothing was begun: apt"),
        (lab(db_primary={"database": {"state": {"in_recovery": False, "lag": {}}}}), "No replica streams"),
        (lab(db_replica={"database": {"state": {"in_recovery": None}}}), "No replica streams"),
        (lab(db_replica={"database": PRIMARY}), "No replica streams"),
        (lab(db_primary={"database": REPLICA}), "no primary runs there"),
        (only(lab(), "db-primary"), "db-replica, which would take over before its turn, is not among"),
    ],
)
def test_what_is_refused(hosts: dict[str, dict[str, Any]], told: str) -> None:
    plan = order.plan(hosts, MEMBERS, APPS)
    assert told in plan.refusal
    assert (plan.first, plan.last) == ((), ())


def test_a_replica_by_itself() -> None:
    plan = order.plan(only(lab(), "db-replica"), MEMBERS, APPS)
    assert (plan.refusal, plan.first, plan.switchover) == ("", ("db-replica",), "")


def test_a_server_alone_says_what_that_means() -> None:
    roles = ["app", "db", "jobs", "monitoring"]
    alone = {"staging": {"roles": roles, "system": WAITS, "database": {"state": {"in_recovery": False, "lag": {}}}}}
    plan = order.plan(alone, ["staging"], ["staging"])
    assert (plan.refusal, plan.switchover, plan.last) == ("", "", ("staging",))
    assert any("the database is away" in line for line in plan.lines)
    assert any("users get errors" in line for line in plan.lines)


def test_what_failed_before_is_told() -> None:
    waits, idle = ({**system, "health": {"failed": ["backup.service"]}} for system in (WAITS, IDLE))
    hosts = {"jobs-01": {"roles": ["jobs"], "system": waits}, "jobs-02": {"roles": ["jobs"], "system": idle}}
    assert order.plan(hosts, [], []).lines == (
        "jobs-01: 1 package, restart if they require it, failed already: backup.service",
        "jobs-02: nothing to do, failed already: backup.service",
    )


def test_a_primary_of_more_than_a_pair_stays_where_it_is() -> None:
    more = lab() | {"db-replica-02": {"roles": ["db"], "system": WAITS, "database": REPLICA}}
    members = [*MEMBERS, "db-replica-02"]
    assert "in a pair only, so nothing was begun: leave it out" in order.plan(more, members, APPS).refusal
    plan = order.plan(only(more, "db-replica", "db-replica-02"), members, APPS)
    assert (plan.refusal, plan.first) == ("", ("db-replica", "db-replica-02"))
