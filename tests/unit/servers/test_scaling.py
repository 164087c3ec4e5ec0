"""Which servers come and which go when a number in the topology has changed."""

from __future__ import annotations

from typing import Any

from ansible_collections.bulwark.hetzner.plugins.module_utils.servers.scaling import scaling
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.expand import infrastructure


def declared(**counts: int) -> list[dict[str, Any]]:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEdvJVzTVnCGmQ0GxkHVEWQz3MIHdQYYCkfOTvCd8p6L lab"
    topology = {
        "environment": "lab",
        "admin_addresses": ["198.51.100.10/32"],
        "admin_keys": {"lab": key},
        "servers": {role: {"count": count} for role, count in counts.items()},
    }
    servers: list[dict[str, Any]] = infrastructure(topology)["servers"]
    return servers


def there(*names: str, env: str = "lab") -> list[dict[str, Any]]:
    """Servers by name; the role is what the name begins with, the id its place."""
    return [
        {"id": number, "name": name, "env": env, "roles": [name.partition("-")[0]]}
        for number, name in enumerate(names, start=1)
    ]


DEFAULT = ("app-01", "app-02", "jobs-01", "db-primary", "db-replica", "monitoring", "bastion-server")


def target(server: int, health: str = "healthy") -> dict[str, Any]:
    return {"server_id": server, "health": {"443": health}}


def test_nothing_comes_or_goes_where_all_is_as_declared() -> None:
    found = scaling(declared(monitoring=0), there(*DEFAULT[:5], "bastion-server"), "lab")
    assert found == {"new": [], "leaving": [], "others": [], "idle": [], "refusal": ""}


def test_one_number_more_is_one_server_more() -> None:
    found = scaling(declared(app=3, jobs=2), there(*DEFAULT), "lab")
    assert found["new"] == ["app-03", "jobs-02"]
    assert found["leaving"] == []


def test_one_number_less_is_the_last_server_less() -> None:
    found = scaling(declared(app=1, jobs=0), there(*DEFAULT), "lab", [target(1), target(2)])
    assert found["leaving"] == ["app-02", "jobs-01"]
    assert found["refusal"] == ""


def test_what_holds_something_is_left_alone() -> None:
    found = scaling(declared(db=1, monitoring=0), there(*DEFAULT), "lab")
    assert found["leaving"] == []
    assert found["others"] == ["db-replica", "monitoring"]


def test_a_server_with_another_role_beside_is_left_alone() -> None:
    servers = there("app-01", "app-02", "app-03")
    servers[2]["roles"] = ["app", "db"]
    found = scaling(declared(app=2), servers, "lab")
    assert (found["leaving"], found["others"]) == ([], ["app-03"])


def test_servers_of_other_environments_are_nobodys_business() -> None:
    found = scaling(declared(app=1), there("app-01") + there("app-09", env="staging"), "lab")
    assert (found["leaving"], found["others"]) == ([], [])


def test_the_last_server_of_the_application_stays() -> None:
    assert "no server of the application is left" in scaling(declared(app=0), there("app-01"), "lab")["refusal"]


def test_nobody_goes_while_those_that_stay_do_not_answer() -> None:
    servers = there("app-01", "app-02")
    found = scaling(declared(app=1), servers, "lab", [target(1, "unhealthy"), target(2)])
    assert "of the servers that stay (app-01), the load balancer finds none healthy" in found["refusal"]
    assert found["idle"] == ["app-01"]


def test_who_takes_no_traffic_may_go_whatever_the_others_do() -> None:
    found = scaling(declared(app=1), there("app-01", "app-02"), "lab", [target(1, "unknown"), target(2, "unhealthy")])
    assert found["refusal"] == ""


def test_who_takes_no_traffic_is_named() -> None:
    found = scaling(
        declared(app=3), there("app-01", "app-02", "app-03"), "lab", [target(1), target(2), target(3, "unknown")]
    )
    assert found["idle"] == ["app-03"]
    # One that is no target at all takes none either.
    assert scaling(declared(app=2), there("app-01", "app-02"), "lab", [target(1)])["idle"] == ["app-02"]
