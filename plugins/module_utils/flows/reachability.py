# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be reached from where, as a verification expects it."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypedDict

from .environment import Environment, Host
from .table import ADMIN, EVERYBODY, INTERNET, Flow


class OpenFlow(TypedDict):
    """A flow that is open; ports are texts such as ``22`` or ``3000-3010``."""

    name: str
    protocol: str
    ports: list[str]


#: ``from`` is the name of a server, or ``admin`` or ``internet``; ``address`` is by which it reaches the server ``to``.
Pair = TypedDict("Pair", {"from": str, "to": str, "address": str, "flows": list[OpenFlow]})


def reachability(environment: Environment) -> list[Pair]:
    """Every pair of servers, and admin and internet with every server that is public, each with its flows or none.

    An origin counts by its address, as it does to a firewall: what is open to everybody is open to servers as well.
    """
    pairs: list[Pair] = []
    hosts = environment.hosts.values()
    for target in hosts:
        opened = _opened(environment, target)
        for host in hosts:
            seen, address = _addresses(host, target)
            if host is not target and address:
                networks = [str(ip_network(seen))] if seen else [_everybody(address)]
                pairs.append(_pair(host.name, target, address, opened, networks))
        if target.public_address:
            admin, internet = environment.topology.admin_addresses, [_everybody(target.public_address)]
            pairs.append(_pair(ADMIN, target, target.public_address, opened, admin))
            pairs.append(_pair(INTERNET, target, target.public_address, opened, internet))
    order = {name: number for number, name in enumerate([ADMIN, INTERNET, *environment.hosts])}
    return sorted(pairs, key=lambda pair: order[pair["from"]])


class _Opened:
    """A flow that reaches a server, and from where."""

    def __init__(self, flow: Flow, sources: Collection[str]) -> None:
        self.flow: OpenFlow = {
            "name": flow.name,
            "protocol": flow.protocol,
            "ports": [str(ports) for ports in flow.ports],
        }
        self._sources = frozenset(sources)
        # Looking every address up in every network would be slow, and nearly all networks are single addresses.
        self._wide = [ip_network(source) for source in self._sources if not source.endswith(("/32", "/128"))]

    def to(self, network: str) -> bool:
        return network in self._sources or any(_within(network, wide) for wide in self._wide)


def _opened(environment: Environment, target: Host) -> list[_Opened]:
    flows = (flow for flow in environment.topology.flows if target.is_in(flow.to))
    return [_Opened(flow, environment.sources(flow, target)) for flow in flows]


def _within(network: str, wide: IPv4Network | IPv6Network) -> bool:
    inner = ip_network(network)
    return inner.prefixlen >= wide.prefixlen and inner.network_address in wide


def _everybody(address: str) -> str:
    """Whoever may be anywhere, in the family of ``address``."""
    return EVERYBODY[0 if ip_address(address).version == 4 else 1]


def _pair(name: str, target: Host, address: str, opened: list[_Opened], networks: Collection[str]) -> Pair:
    flows = [one.flow for one in opened if any(map(one.to, networks))]
    return {"from": name, "to": target.name, "address": address, "flows": flows}


def _addresses(host: Host, target: Host) -> tuple[str | None, str | None]:
    """Where ``host`` is seen from, and where it finds ``target``: privately, where both are on the private network."""
    if host.private_address and target.private_address:
        return host.private_address, target.private_address
    return host.public_address, target.public_address or target.private_address
