# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the picture: the systems of a topology, and who may open connections to whom. Pure functions.

An arrow is drawn for flows between systems. Flows that concern every server would hide the others, so they stand as
lines in the box of the system at their other end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..flows.table import ADMIN, INTERNET, LOAD_BALANCER, PRIVATE_SERVERS, SERVERS, Flow
from ..topology.expand import infrastructure
from ..topology.schema import ROLES, Topology, parse

EDGE = "edge"
_EVERY = {SERVERS: "every server", PRIVATE_SERVERS: "private servers"}
_TITLES = {
    "bastion": "bastion, NAT",
    "app": "application",
    "jobs": "background jobs",
    "db": "database",
    "monitoring": "monitoring",
}


@dataclass
class System:
    """One box. ``servers`` are names and private addresses; ``notes`` are what else is to be said of them."""

    key: str
    title: str
    servers: list[tuple[str, str]] = field(default_factory=list)
    roles: tuple[str, ...] = ()
    public: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Arrow:
    """``labels``: what may be opened, such as ``5432`` or ``443, 80``."""

    source: str
    target: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Architecture:
    environment: str
    network: str  # name and range
    systems: Sequence[System]
    arrows: Sequence[Arrow]
    flows: Sequence[Flow]

    def system(self, key: str) -> System:
        return next(system for system in self.systems if system.key == key)


def architecture(data: object) -> Architecture:
    """Of the topology in ``data``; raises TopologyError for one that is none."""
    topology = parse(data)
    flows = [flow for flow in topology.flows if flow.enabled]
    servers = _servers(infrastructure(data))
    outside = _outside(topology, flows)
    systems = [*outside, *servers]
    arrows: dict[tuple[str, str], list[str]] = {}

    def connect(source: str, target: str, label: str) -> None:
        labels = arrows.setdefault((source, target), [])
        if label not in labels:
            labels.append(label)

    for flow in flows:
        _draw(flow, systems, servers, connect)
    found = [Arrow(*pair, tuple(labels)) for pair, labels in arrows.items()]
    linked = {key for arrow in found for key in (arrow.source, arrow.target)}
    return Architecture(
        topology.environment,
        f"{topology.network_name} {topology.ip_range}",
        [system for system in systems if system in servers or system.key in linked],
        found,
        flows,
    )


def _servers(expanded: dict[str, Any]) -> list[System]:
    """Servers with the same roles are one system, in the order in which they are declared."""
    found: dict[tuple[str, ...], System] = {}
    volumes = {volume["server"]: volume["size"] for volume in expanded["volumes"]}
    for server in expanded["servers"]:
        roles = tuple(role for role in ROLES if f"role-{role}" in server["labels"])
        # Behind an only server there is nobody whom it could give a way out.
        own = _TITLES | {"bastion": "bastion"} if len(roles) > 1 else _TITLES
        titles = ", ".join(own.get(role, role) for role in roles)
        system = found.setdefault(roles, System("_".join(roles), titles, roles=roles))
        system.servers.append((server["name"], server["networks"][0]["address"]))
        system.public = system.public or bool(server["public_ipv4"])
        size = volumes.get(server["name"])
        note = f"a volume of {size} GB each"
        if size and note not in system.notes:
            system.notes.append(note)
    return list(found.values())


def _outside(topology: Topology, flows: Iterable[Flow]) -> list[System]:
    """Who is not a server: people, and what stands in front."""
    administrators = System(ADMIN, "administrators", notes=list(topology.admin_addresses))
    if topology.edge is not None:
        address = str(topology.load_balancer_address)
        return [
            System(INTERNET, "users"),
            administrators,
            System(EDGE, "Cloudflare", notes=list(topology.edge.hostnames)),
            System(LOAD_BALANCER, "load balancer", [(topology.load_balancer.name, address)], public=True),
        ]
    if any(INTERNET in flow.from_ and flow.to != (LOAD_BALANCER,) for flow in flows):
        return [System(INTERNET, "internet"), administrators]
    return [administrators]


def _draw(flow: Flow, systems: list[System], servers: list[System], connect: Callable[[str, str, str], None]) -> None:
    """Put one flow into the picture, as arrows or as lines. One from all servers to all stands in the list only."""
    label = _label(flow)
    fronted = any(system.key == EDGE for system in systems)
    for from_ in flow.from_:
        for to in flow.to:
            if to == INTERNET:
                for bastion in _those("bastion", servers):
                    _note(bastion, f"{_words(from_)} to the internet by NAT")
            elif from_ in _EVERY and to not in _EVERY:
                for system in _those(to, systems):
                    _note(system, f"{label} from {_words(from_)}")
            elif to in _EVERY and from_ not in _EVERY:
                for system in _those(from_, systems):
                    _note(system, f"{label} to {_words(to)}")
            for source in _those(from_, systems):
                for target in _those(to, systems):
                    if source is target:
                        # From one server to itself is no connection that anything must allow.
                        if len(source.servers) > 1:
                            _note(source, f"{label} between them: {flow.name}")
                    elif target.key == LOAD_BALANCER and fronted:
                        connect(source.key, EDGE, label)
                        connect(EDGE, LOAD_BALANCER, label)
                    else:
                        connect(source.key, target.key, label)


def _note(system: System, text: str) -> None:
    if text not in system.notes:
        system.notes.append(text)


def _those(end: str, systems: Iterable[System]) -> list[System]:
    return [system for system in systems if end == system.key or end in system.roles]


def _words(end: str) -> str:
    return _EVERY.get(end) or _TITLES.get(end) or end.replace("_", " ")


def _label(flow: Flow) -> str:
    """What a flow opens, in the shortest words."""
    if flow.protocol == "icmp":
        return "ping"
    if flow.protocol == "any":
        return "everything"
    ports = ", ".join(str(ports) for ports in flow.ports)
    return ports if flow.protocol == "tcp" else f"{ports}/{flow.protocol}"


def description(flow: Flow) -> str:
    """A flow as a line of text."""
    from_, to = (", ".join(end.replace("_", " ") for end in ends) for ends in (flow.from_, flow.to))
    return f"{flow.name}: {from_} to {to}, {_label(flow)}"
