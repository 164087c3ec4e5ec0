"""Whether a server may be deleted and made anew in its place."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.servers.replacing import Replacing, replacing

NAMES = ("bastion-server", "app-01", "app-02", "db-primary", "db-replica")
ROLES = {"bastion-server": "bastion", "app-01": "app", "app-02": "app", "db-primary": "db", "db-replica": "db"}


def there(*without: str) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "name": name,
            "env": "lab",
            "roles": [ROLES[name]],
            "volumes": [{"name": f"{name}-data"}] if ROLES[name] == "db" else [],
        }
        for number, name in enumerate(NAMES)
        if name not in without
    ]


def state(**more: Any) -> Any:
    return {"running": True, "in_recovery": False, "firewalled": False, **more}


REPLICA = state(in_recovery=True)


def asked(name: str, states: Any = None, targets: Any = None, servers: Any = None) -> Replacing:
    declared = [{"name": name} for name in NAMES]
    return replacing(name, declared, there() if servers is None else servers, "lab", states, targets)


def target(server: int, health: str = "healthy") -> dict[str, Any]:
    return {"server_id": server, "health": {"443": health}}


def test_a_server_that_nobody_declares_is_refused() -> None:
    assert asked("app-2")["refusal"].endswith("did you mean app-02?")
    assert asked("")["refusal"] == "Name the server with -e server=NAME."


def test_one_that_is_gone_is_only_made() -> None:
    found = asked("app-02", servers=there("app-02"))
    assert (found["there"], found["refusal"]) == (False, "")


def test_an_application_server_goes_while_another_answers() -> None:
    assert asked("app-02", targets=[target(1), target(2)])["refusal"] == ""
    # It answers nobody, so nothing is lost with it.
    assert asked("app-02", targets=[target(1, "unhealthy"), target(2, "unhealthy")])["refusal"] == ""
    assert "the only one that answers" in asked("app-02", targets=[target(1, "unhealthy"), target(2)])["refusal"]


@pytest.mark.parametrize(
    ("name", "states", "refusal"),
    [
        ("db-replica", {"db-primary": state(), "db-replica": REPLICA}, ""),
        ("db-replica", {"db-primary": state(), "db-replica": None}, ""),
        # Names decide nothing: after a failover the other one may go.
        ("db-primary", {"db-primary": None, "db-replica": state()}, ""),
        ("db-primary", {"db-primary": state()}, "the only member of the database, so nobody could take over"),
        ("db-primary", {"db-primary": None}, "the only member of the database"),
        ("db-primary", {"db-primary": state(), "db-replica": REPLICA}, "is the primary of the database"),
        ("db-primary", {"db-primary": state(), "db-replica": None}, "is the primary of the database"),
        (
            "db-primary",
            {"db-primary": None, "db-replica": REPLICA},
            "one running primary beside db-primary, and there is none",
        ),
        ("db-replica", {"db-primary": None, "db-replica": None}, "there is none"),
        ("db-replica", None, "there is none"),
        ("db-replica", {"db-primary": state(firewalled=True), "db-replica": REPLICA}, "there is none"),
    ],
)
def test_a_database_server_goes_while_another_is_primary(name: str, states: Any, refusal: str) -> None:
    found = asked(name, states)["refusal"]
    assert refusal in found if refusal else found == ""


def test_what_is_lost_is_told() -> None:
    assert asked("app-01")["lost"] == "all that is on its disk goes"
    assert asked("db-replica")["lost"].endswith("its volume stays (db-replica-data)")
    assert "nobody reaches the other servers" in asked("bastion-server")["lost"]
