# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What services are told by the flows: PostgreSQL whom to admit, Prometheus where to ask, sshd where to forward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypedDict

from ..topology.reading import nearest
from ..topology.schema import BASTION
from .environment import Environment, FlowError, Host
from .firewall import container_networks, leads_home
from .table import DEFAULTS, REPLICATION, REPLICATION_USER, Flow, Ports

#: sshd knows no ranges of ports: one longer than this stands for all, and the server's firewall keeps the rest shut.
MAX_WRITTEN_OUT = 100


class HbaLine(TypedDict):
    """A line of pg_hba.conf, in the order of its columns."""

    type: str
    databases: list[str]
    users: list[str]
    address: str
    method: str


class ScrapeTarget(TypedDict):
    """A server that is asked for metrics; ``address`` is address and port."""

    host: str
    address: str
    roles: list[str]


def pg_hba(
    environment: Environment, name: str, containers: Sequence[str] = (), alternates: Mapping[str, str] | None = None
) -> list[HbaLine]:
    """Who may log in to the database on the host ``name``: flow by flow, each address on a line of its own.

    ``containers`` are the networks of the host's own containers, for flows from the host to itself; ``alternates`` are
    other logins of users, which get in where those do. A database that has its clients beside it sees them come from
    its own address.
    """
    host = environment.host(name)
    own = container_networks(containers)
    beside = [f"{host.private_address}/32"] if host.private_address else []
    return [
        {"type": "hostssl", "databases": databases, "users": users, "address": address, "method": "scram-sha-256"}
        for flow in environment.topology.flows
        if flow.users and host.is_in(flow.to)
        for databases, users in _logins(flow, alternates or {})
        for address in [
            *(beside if host.is_in(tuple(end for end in flow.from_ if end not in flow.to)) else []),
            *environment.sources(flow, host),
            *(own if leads_home(flow, host) else []),
        ]
    ]


def _logins(flow: Flow, alternates: Mapping[str, str]) -> Iterator[tuple[list[str], list[str]]]:
    """Databases and the users for them. Physical replication has a line of its own, since it opens no database."""
    others = [user for user in flow.users if user != REPLICATION_USER]
    others += [alternates[user] for user in others if user in alternates]
    if REPLICATION_USER in flow.users:
        yield [REPLICATION], [REPLICATION_USER]
    if others:
        yield list(flow.databases) or ["all"], others


def scrape_targets(environment: Environment, flow_name: str) -> list[ScrapeTarget]:
    """Every server that the flow ``flow_name`` leads to, by name, with each of its ports; none while it is closed."""
    flows = {flow.name: flow for flow in environment.topology.flows}
    if flow_name not in flows:
        if flow_name in DEFAULTS:
            return []
        raise FlowError(f"There is no flow {flow_name!r}: {nearest(flow_name, DEFAULTS | flows)}")
    flow = flows[flow_name]
    if flow.protocol != "tcp" or any(ports.first != ports.last for ports in flow.ports):
        raise FlowError(f"The flow {flow_name} cannot be scraped: that takes tcp and single ports.")
    return [
        {"host": host.name, "address": f"{_bracketed(address)}:{ports}", "roles": list(host.roles)}
        for host in sorted(environment.hosts.values(), key=lambda host: host.name)
        if host.is_in(flow.to) and (address := host.private_address or host.public_address)
        for ports in flow.ports
    ]


def permit_open(environment: Environment, name: str) -> list[str]:
    """Where sshd on the host ``name`` may forward connections to: all that its TCP flows allow, as address and port.

    That is a bastion's business; others forward nothing. On a server that is several things, flows to itself lead to
    ``localhost`` and to its private address, where its services listen.
    """
    host = environment.host(name)
    if BASTION not in host.roles:
        return []
    found = dict.fromkeys(
        f"{address}:{port}"
        for flow in environment.topology.flows
        if flow.protocol == "tcp" and host.is_in(flow.from_)
        for other in sorted(environment.hosts.values(), key=lambda other: other.name)
        if other.is_in(flow.to)
        for address in _forwarding_addresses(host, other)
        for ports in flow.ports
        for port in _written_out(ports)
    )
    return list(found)


def _forwarding_addresses(host: Host, other: Host) -> list[str]:
    if other is host:
        return ["localhost", "127.0.0.1", *([other.private_address] if other.private_address else [])]
    return [other.private_address] if other.private_address and host.private_address else []


def _written_out(ports: Ports) -> Sequence[int | str]:
    return range(ports.first, ports.last + 1) if ports.last - ports.first < MAX_WRITTEN_OUT else ["*"]


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
