# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of an environment as flows see them: which ends they are, and by which addresses they are seen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from ..topology.reading import nearest
from ..topology.schema import ROLES, Topology, parse
from .table import ADMIN, EVERYBODY, INTERNET, LOAD_BALANCER, PRIVATE_SERVERS, SERVERS, Flow

#: What is read of the host variable ``bulwark_server``.
_KEYS = {"name", "env", "roles", "private_address", "public_address"}


class FlowError(ValueError):
    """Something cannot be derived from the flows; the message is a sentence for a person."""


@dataclass(frozen=True)
class Host:
    """A server. ``ends`` are all the words in a flow that mean it."""

    name: str
    roles: tuple[str, ...]
    ends: frozenset[str]
    private_address: str | None
    public_address: str | None

    def is_in(self, ends: tuple[str, ...]) -> bool:
        return not self.ends.isdisjoint(ends)


@dataclass(frozen=True)
class Environment:
    """A topology, and its servers by name in the order of the inventory."""

    topology: Topology
    hosts: Mapping[str, Host]

    def host(self, name: str) -> Host:
        if name not in self.hosts:
            known = nearest(name, self.hosts) if self.hosts else "the inventory has none of it."
            raise FlowError(f"{name!r} is no server of the environment {self.topology.environment}: {known}")
        return self.hosts[name]

    def sources(self, flow: Flow, host: Host) -> list[str]:
        """The networks from which ``flow`` reaches ``host``, which is in ``flow.to``; never the host's own address.

        Servers, and the load balancer, come from their private addresses.
        """
        if INTERNET in flow.from_:
            return list(EVERYBODY)
        found = set(self.topology.admin_addresses) if ADMIN in flow.from_ else set()
        if host.private_address:
            if LOAD_BALANCER in flow.from_:
                found.add(f"{self.topology.load_balancer_address}/32")
            for other in self.hosts.values():
                if other.private_address and other is not host and other.is_in(flow.from_):
                    found.add(f"{other.private_address}/32")
        return sorted_networks(found)


def sorted_networks(networks: set[str]) -> list[str]:
    """By address, IPv4 first."""

    def key(text: str) -> tuple[int, int, int]:
        network = ip_network(text)
        return network.version, int(network.network_address), network.prefixlen

    return sorted(networks, key=key)


def read_environment(topology: object, servers: object) -> Environment:
    """From the variable ``topology`` and a list of the host variable ``bulwark_server``.

    Servers of other environments are left out. Raises FlowError, or TopologyError for a topology that is none.
    """
    listed = list(servers) if isinstance(servers, Iterator) else servers
    # Ansible hands over lazy containers and tagged texts; the logic wants plain ones.
    data, records = json.loads(json.dumps([topology, listed], default=str))
    parsed = parse(data)
    if not isinstance(records, list) or not all(
        isinstance(record, dict) and record.keys() >= _KEYS for record in records
    ):
        raise FlowError("Flows need a list of the host variable bulwark_server, one for each server of the inventory.")
    hosts = [_host(record) for record in records if record["env"] == parsed.environment]
    return Environment(parsed, {host.name: host for host in hosts})


def _host(record: Mapping[str, Any]) -> Host:
    private, public = record["private_address"], record["public_address"]
    # Labels come from the API: one such as role-admin must not make a server another end of a flow.
    roles = tuple(role for role in record["roles"] if role in ROLES)
    ends = {*roles, SERVERS} if public else {*roles, SERVERS, PRIVATE_SERVERS}
    return Host(record["name"], roles, frozenset(ends), private, public)
