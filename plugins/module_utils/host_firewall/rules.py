# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declared rules: checked, and brought into the one form from which both layers are rendered. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network
from typing import Any

from ansible_collections.bulwark.hetzner.plugins.module_utils.config_files import RefusedError

Network = IPv4Network | IPv6Network
Ports = tuple[int, int]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
PROTOCOLS = ("tcp", "udp", "icmp")


@dataclass(frozen=True)
class Rule:
    """Who may open which connections. ``protocol`` icmp is the echo; any is everything, when forwarded."""

    name: str
    protocol: str
    ports: tuple[Ports, ...]  # first and last port, sorted, without overlaps
    sources: tuple[Network, ...]
    containers: tuple[Network, ...] = ()

    def of_family(self, version: int, containers: bool = False) -> list[Network]:
        """The sources of one family, 4 or 6."""
        return [network for network in (self.containers if containers else self.sources) if network.version == version]


@dataclass(frozen=True)
class Firewall:
    """All that is declared for a host; the two interfaces are those that forwarding goes between."""

    rules: tuple[Rule, ...]
    forward: tuple[Rule, ...] = ()
    private_interface: str = ""
    public_interface: str = ""


@dataclass(frozen=True)
class Session:
    """The SSH connection that this run came by: the client's address, and the port here."""

    client: str
    port: int


def parse(declared: Sequence[Mapping[str, Any]], option: str) -> tuple[Rule, ...]:
    """Rules from the options of the module; ``option`` is rules or forward.

    Raises RefusedError with a sentence that names the rule and what to write instead.
    """
    rules = tuple(_rule(entry, option) for entry in declared)
    names = [rule.name for rule in rules]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RefusedError(f"{option}: {', '.join(twice)} is there more than once: give each rule its own name.")
    return rules


def _rule(entry: Mapping[str, Any], option: str) -> Rule:
    name = str(entry["name"])
    if not NAME.fullmatch(name):
        raise RefusedError(
            f'{option}: "{name}" is no name; take up to 63 letters, digits, dots, dashes and underscores.'
        )
    where = f"{option}: {name}"
    protocol = entry["protocol"]
    allowed = (*PROTOCOLS, "any") if option == "forward" else PROTOCOLS
    if protocol not in allowed:
        raise RefusedError(f'{where}: the protocol is "{protocol}"; write one of {", ".join(allowed)}.')
    ports = _ports([str(port) for port in entry.get("ports") or ()], where)
    if protocol in ("tcp", "udp") and not ports:
        raise RefusedError(f"{where}: there is no port; {protocol} needs at least one.")
    if protocol not in ("tcp", "udp") and ports:
        raise RefusedError(f"{where}: {protocol} has no ports: leave them out.")
    sources = _networks(entry.get("sources") or (), f"{where}: sources")
    containers = _networks(entry.get("containers") or (), f"{where}: containers")
    if containers and option == "forward":
        raise RefusedError(f"{where}: what is forwarded has no containers: leave them out.")
    if not sources and not containers:
        raise RefusedError(f"{where}: there is no source; a rule for nobody is left out instead.")
    return Rule(name, protocol, ports, sources, containers)


def _ports(texts: Sequence[str], where: str) -> tuple[Ports, ...]:
    ranges = []
    for text in texts:
        match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", text)
        if match is None:
            raise RefusedError(f'{where}: "{text}" is no port; write a number or a range like 3000-3010.')
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= 65535 or not 1 <= last <= 65535:
            raise RefusedError(f"{where}: port {text} is out of range; ports go from 1 to 65535.")
        if last < first:
            raise RefusedError(f"{where}: the range {text} is the wrong way round; write {last}-{first}.")
        ranges.append((first, last))
    joined: list[Ports] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return tuple(joined)


def _networks(texts: Sequence[str], where: str) -> tuple[Network, ...]:
    four: list[IPv4Network] = []
    six: list[IPv6Network] = []
    for text in texts:
        try:
            network = ip_network(text)
        except ValueError:
            raise RefusedError(
                f'{where}: "{text}" is no network; write it like 10.0.0.2/32 or 10.0.0.0/24, without bits of the host.'
            ) from None
        if isinstance(network, IPv4Network):
            four.append(network)
        else:
            six.append(network)
    return (*collapse_addresses(four), *collapse_addresses(six))


def check_session(session: Session | None, firewall: Firewall, own: Sequence[str]) -> None:
    """Refuse rules under which this very run could not come back; ``own`` are the host's own addresses.

    Raises RefusedError.
    """
    if session is None or session.client in own:
        return
    client = ip_address(session.client)
    for rule in firewall.rules:
        reached = any(first <= session.port <= last for first, last in rule.ports)
        if rule.protocol == "tcp" and reached and any(client in network for network in rule.sources):
            return
    raise RefusedError(
        f"No rule lets {client} open connections to port {session.port}, by which this run came: you would be locked "
        "out, so nothing was changed. Declare a rule (a flow) that SSH comes by, or set allow_lockout."
    )
