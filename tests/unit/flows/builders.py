"""Topologies and the inventory's records of their servers."""

from __future__ import annotations

from typing import Any

from ansible_collections.bulwark.hetzner.plugins.module_utils.flows.environment import Environment, read_environment
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.expand import infrastructure

ADMIN_NETWORK = "198.51.100.7/32"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSjQJBOGpYIMFHRgUBYBCIvDM3S2Jjph3W4KgVqAfTV alice"


def topology(**more: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "environment": "production",
        "admin_addresses": [ADMIN_NETWORK],
        "admin_keys": {"alice": KEY},
        **more,
    }


def record(
    name: str, *roles: str, private: str | None, public: str | None = None, env: str | None = "production"
) -> dict[str, Any]:
    """The host variable ``bulwark_server``, as far as flows read it."""
    addresses = {"private_address": private, "public_address": public}
    return {"id": 1, "name": name, "env": env, "roles": sorted(roles), "labels": {}, **addresses}


def records(data: dict[str, Any]) -> list[dict[str, Any]]:
    """What the inventory lists once the topology's servers are made."""
    return [
        record(
            server["name"],
            server["labels"]["role"],
            private=server["networks"][0]["address"],
            public="198.51.100.100" if server["public_ipv4"] else None,
        )
        for server in infrastructure(data)["servers"]
    ]


def environment(**more: Any) -> Environment:
    """An environment whose servers are those of its topology."""
    data = topology(**more)
    return read_environment(data, records(data))


#: One public server that is everything.
STAGING = record(
    "staging-01", "bastion", "app", "jobs", "db", "monitoring", private="10.0.0.2", public="198.51.100.100"
)


def staging(**more: Any) -> Environment:
    return read_environment(topology(one_server={}, **more), [STAGING])
