# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options of the module ask for, checked as far as that needs no API."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_network
from typing import Any, TypeVar

from ..cloud_init import MAX_USER_DATA
from .plan import COLLECTIONS

#: None where the option was omitted: leave the labels alone.
Labels = Mapping[str, str] | None

#: https://docs.hetzner.cloud/reference/cloud#labels
_LABEL_PART = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = re.compile(rf"([a-z0-9.-]{{1,253}}/)?{_LABEL_PART}")
_LABEL_VALUE = re.compile(rf"({_LABEL_PART})?")


#: The vendor's limits, which the API would only tell half-way.
#: https://docs.hetzner.com/cloud/placement-groups/overview, /networks/faq and /volumes/faq
SERVERS_IN_GROUP = 10
NETWORKS_ON_SERVER = 3
VOLUMES_ON_SERVER = 16


class DeclarationError(ValueError):
    """The options contradict themselves; the message is a sentence for a person."""


@dataclass(frozen=True, order=True)
class Rule:
    """A permission of a cloud firewall. ``networks`` are sources or destinations, by ``direction``."""

    direction: str
    protocol: str
    port: str
    networks: tuple[str, ...]
    description: str

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Rule:
        """From an option or from the API, which call everything the same."""
        networks = data.get("source_ips" if data["direction"] == "in" else "destination_ips") or ()
        return cls(
            direction=data["direction"],
            protocol=data["protocol"],
            port=data.get("port") or "",
            networks=tuple(sorted(str(ip_network(network)) for network in networks)),
            description=data.get("description") or "",
        )

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"direction": self.direction, "protocol": self.protocol}
        if self.port:
            body["port"] = self.port
        if self.description:
            body["description"] = self.description
        return body | {"source_ips" if self.direction == "in" else "destination_ips": list(self.networks)}


@dataclass(frozen=True)
class SshKey:
    name: str
    public_key: str
    labels: Labels


@dataclass(frozen=True)
class Network:
    name: str
    ip_range: str
    location: str
    subnets: tuple[str, ...] | None
    routes: tuple[tuple[str, str], ...] | None  # destination, gateway
    labels: Labels


@dataclass(frozen=True)
class Firewall:
    name: str
    rules: tuple[Rule, ...] | None
    labels: Labels


@dataclass(frozen=True)
class PlacementGroup:
    name: str
    type: str
    labels: Labels


@dataclass(frozen=True)
class PrimaryIp:
    name: str
    type: str
    location: str
    auto_delete: bool
    labels: Labels


@dataclass(frozen=True)
class Server:
    name: str
    type: str
    image: str
    location: str
    ssh_keys: tuple[str, ...]
    user_data: str
    networks: tuple[tuple[str, str], ...]  # name, address
    public_ipv4: str | None
    public_ipv6: bool
    firewalls: tuple[str, ...] | None
    placement_group: str | None
    labels: Labels

    @property
    def public(self) -> bool:
        return self.public_ipv4 is not None or self.public_ipv6


@dataclass(frozen=True)
class Volume:
    name: str
    size: int
    format: str | None
    location: str
    server: str | None
    labels: Labels


Resource = SshKey | Network | Firewall | PlacementGroup | PrimaryIp | Server | Volume
_T = TypeVar("_T", bound=Resource)


@dataclass(frozen=True)
class Infrastructure:
    """Everything declared; a kind that is None was omitted and is left alone."""

    environment: str
    ssh_keys: tuple[SshKey, ...] | None = None
    networks: tuple[Network, ...] | None = None
    firewalls: tuple[Firewall, ...] | None = None
    placement_groups: tuple[PlacementGroup, ...] | None = None
    primary_ips: tuple[PrimaryIp, ...] | None = None
    servers: tuple[Server, ...] | None = None
    volumes: tuple[Volume, ...] | None = None

    def names(self, kind: str) -> set[str] | None:
        """The names of a kind; None where the kind was omitted."""
        resources: tuple[Resource, ...] | None = getattr(self, COLLECTIONS[kind].lstrip("/"))
        return None if resources is None else {resource.name for resource in resources}


def parse(params: Mapping[str, Any]) -> Infrastructure:
    """The infrastructure in the module's options; raises :class:`DeclarationError` for the first mistake found."""
    environment = params["environment_name"]
    check_environment(environment)
    infrastructure = Infrastructure(
        environment,
        ssh_keys=_all(params, "ssh_keys", lambda data: SshKey(**data)),
        networks=_all(params, "networks", _network),
        firewalls=_all(params, "firewalls", _firewall),
        placement_groups=_all(params, "placement_groups", lambda data: PlacementGroup(**data)),
        primary_ips=_all(params, "primary_ips", lambda data: PrimaryIp(**data)),
        servers=_all(params, "servers", _server),
        volumes=_all(params, "volumes", lambda data: Volume(**data)),
    )
    _check_addresses(infrastructure)
    _check_locations(infrastructure)
    _check_limits(infrastructure)
    return infrastructure


def _all(params: Mapping[str, Any], option: str, make: Callable[[dict[str, Any]], _T]) -> tuple[_T, ...] | None:
    if params.get(option) is None:
        return None
    resources = tuple(make(dict(data)) for data in params[option])
    for name, times in Counter(resource.name for resource in resources).items():
        if times > 1:
            raise DeclarationError(f"{option}: {name} is declared {times} times.")
    for resource in resources:
        check_labels(option, resource.name, resource.labels)
    return resources


def check_labels(option: str, name: str, labels: Labels) -> None:
    """Raises :class:`DeclarationError` for labels that the API would refuse."""
    for key, value in (labels or {}).items():
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value) or key.startswith("hetzner.cloud/"):
            raise DeclarationError(
                f"{option}: {name} has the label {key}={value}; a label's key and value are at most 63 "
                "of A-Z a-z 0-9 . _ - with a letter or digit at both ends, and hetzner.cloud/ is the vendor's."
            )


def check_environment(name: str) -> None:
    """Raises :class:`DeclarationError` for a name that cannot be the value of a label."""
    if not name or not _LABEL_VALUE.fullmatch(name):
        raise DeclarationError(f"environment_name: {name!r} cannot be the value of a label.")


def _network(data: dict[str, Any]) -> Network:
    name = data["name"]
    ip_range = _range(f"networks: {name}", data["ip_range"])
    if data["subnets"] is not None:
        subnets = [_range(f"networks: {name}", subnet) for subnet in data["subnets"]]
        for number, subnet in enumerate(subnets):
            if not subnet.subnet_of(ip_range):
                raise DeclarationError(f"networks: {name} has the subnet {subnet} outside of its range {ip_range}.")
            for other in subnets[:number]:
                if subnet.overlaps(other):
                    raise DeclarationError(f"networks: {name} has the subnets {other} and {subnet}, which overlap.")
        data["subnets"] = tuple(map(str, subnets))
    if data["routes"] is not None:
        data["routes"] = tuple(
            (
                str(_range(f"networks: {name}", route["destination"])),
                str(_address(f"networks: {name}", route["gateway"], ip_range)),
            )
            for route in data["routes"]
        )
    return Network(**data)


def _firewall(data: dict[str, Any]) -> Firewall:
    if data["rules"] is not None:
        try:
            data["rules"] = tuple(Rule.parse(rule) for rule in data["rules"])
        except ValueError as error:
            raise DeclarationError(f"firewalls: {data['name']} has a rule with a bad network: {error}.") from None
    return Firewall(**data)


def _server(data: dict[str, Any]) -> Server:
    name = data["name"]
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", name, re.I):
        raise DeclarationError(f"servers: {name!r} is no host name (letters, digits and '-', RFC 1123).")
    data["networks"] = tuple((network["name"], network["address"]) for network in data["networks"])
    data["firewalls"] = None if data["firewalls"] is None else tuple(data["firewalls"])
    data["ssh_keys"] = tuple(data["ssh_keys"])
    server = Server(**data)
    if len(server.user_data.encode()) > MAX_USER_DATA:
        raise DeclarationError(f"servers: {name} has user_data of more than {MAX_USER_DATA} bytes.")
    if server.firewalls and not server.public:
        raise DeclarationError(
            f"servers: {name} has firewalls but no public address; cloud firewalls filter the public interface only."
        )
    if not server.public and not server.networks:
        raise DeclarationError(f"servers: {name} has neither a public address nor a network.")
    return server


def _check_addresses(infrastructure: Infrastructure) -> None:
    networks = {network.name: network for network in infrastructure.networks or ()}
    taken: dict[tuple[str, IPv4Address], str] = {}
    for server in infrastructure.servers or ():
        for name, text in server.networks:
            network = networks.get(name)
            ranges = [IPv4Network(subnet) for subnet in (network.subnets or ())] if network else []
            address = _address(f"servers: {server.name}", text, *ranges)
            if (name, address) in taken:
                raise DeclarationError(
                    f"servers: {taken[name, address]} and {server.name} both have {address} in {name}."
                )
            taken[name, address] = server.name


def _check_locations(infrastructure: Infrastructure) -> None:
    servers = {server.name: server for server in infrastructure.servers or ()}
    addresses = {address.name: address for address in infrastructure.primary_ips or ()}
    pairs: list[tuple[str, Server, Volume | PrimaryIp]] = [
        ("volume", servers[volume.server], volume)
        for volume in infrastructure.volumes or ()
        if volume.server in servers
    ]
    pairs += [
        ("primary IP", server, addresses[server.public_ipv4])
        for server in servers.values()
        if server.public_ipv4 in addresses
    ]
    for what, server, other in pairs:
        if server.location != other.location:
            raise DeclarationError(
                f"servers: {server.name} is declared in {server.location}, but its {what} {other.name} in "
                f"{other.location}; both must be in one location."
            )


def _check_limits(infrastructure: Infrastructure) -> None:
    servers = infrastructure.servers or ()
    _check_limit("servers", "placement group", SERVERS_IN_GROUP, [server.placement_group for server in servers])
    attachments = [server.name for server in servers for _ in server.networks]
    _check_limit("networks", "server", NETWORKS_ON_SERVER, attachments)
    _check_limit("volumes", "server", VOLUMES_ON_SERVER, [volume.server for volume in infrastructure.volumes or ()])


def _check_limit(things: str, what: str, most: int, users: Iterable[str | None]) -> None:
    for name, number in Counter(users).items():
        if name is not None and number > most:
            raise DeclarationError(f"{things}: {number} are declared for {what} {name}; the vendor allows {most}.")


def _range(where: str, text: str) -> IPv4Network:
    try:
        return IPv4Network(text)
    except ValueError as error:
        raise DeclarationError(f"{where}: {text!r} is no IPv4 network such as 10.0.0.0/24 ({error}).") from None


def _address(where: str, text: str, *ranges: IPv4Network) -> IPv4Address:
    try:
        address = IPv4Address(text)
    except ValueError:
        raise DeclarationError(f"{where}: {text!r} is no IPv4 address.") from None
    if ranges and not any(address in network for network in ranges):
        raise DeclarationError(f"{where}: {address} lies outside of {_listed(ranges)}.")
    return address


def _listed(items: Iterable[object]) -> str:
    return ", ".join(map(str, items))
