"""An environment as the inventory shows it, and the least that a person says of a deployment."""

from __future__ import annotations

from typing import Any

TOPOLOGY: dict[str, Any] = {
    "environment": "production",
    "admin_addresses": ["198.51.100.7/32"],
    "admin_keys": {
        "alice": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSjQJBOGpYIMFHRgUBYBCIvDM3S2Jjph3W4KgVqAfTV alice",
    },
    "edge": {"zone": "example.com", "hostnames": ["example.com", "www.example.com"]},
}
KAMAL: dict[str, Any] = {"service": "shop", "image": "example/shop", "registry": {"username": "example"}}
BASTION = "203.0.113.2"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSjQJBOGpYIMFHRgUBYBCIvDM3S2Jjph3W4KgVqAfTV"


def topology(**more: Any) -> dict[str, Any]:
    return {**TOPOLOGY, **more}


def checked_by(**check: Any) -> dict[str, Any]:
    """The topology with these settings of the load balancer's health check."""
    return topology(load_balancer={"health_check": check})


def kamal(**more: Any) -> dict[str, Any]:
    return {**KAMAL, **more}


def server(name: str, *roles: str, architecture: str = "arm") -> dict[str, Any]:
    return {"name": name, "roles": list(roles), "architecture": architecture}


def route(name: str, number: int, address: str, jump: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "environment": "production",
        "address": address,
        "user": "deployer",
        "host_key_alias": f"hcloud-{number}",
        "known_hosts_file": "/known",
        "private_key_file": None,
        "control_directory": "/cp",
        "jump": jump,
        **more,
    }


JUMP = route("bastion-server", 1, BASTION)
SERVERS = [server("app-02", "app"), server("app-01", "app"), server("jobs-01", "jobs"), server("db-primary", "db")]
ROUTES = [
    route("app-01", 2, "10.0.0.3", JUMP),
    route("app-02", 3, "10.0.0.4", JUMP),
    route("jobs-01", 4, "10.0.0.5", JUMP),
    route("db-primary", 5, "10.0.0.6", JUMP),
]
HOST_KEYS = {f"hcloud-{number}": f"{KEY} root@host" for number in range(1, 10)}
