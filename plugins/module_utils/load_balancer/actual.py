# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there: the load balancer as the API tells it, and what its plan refers to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ..hcloud_client import Client
from ..infrastructure import actual as infrastructure
from ..infrastructure.plan import PATHS
from . import certificates as certificates_module
from .certificates import Record
from .declared import LoadBalancer as Declared
from .settings import Settings, flat

_PATH = PATHS["load_balancer"]


@dataclass(frozen=True)
class Type:
    name: str
    max_services: int
    max_targets: int
    max_certificates: int
    prices: Mapping[str, Decimal]  # by location; net a month

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Type:
        prices = {price["location"]: Decimal(price["price_monthly"]["net"]) for price in data["prices"]}
        limits = (data["max_services"], data["max_targets"], data["max_assigned_certificates"])
        return cls(data["name"], *limits, prices)


@dataclass(frozen=True)
class Target:
    """``health`` is by listen port. A label selector has none, but servers that it stands for."""

    kind: str  # server, label_selector or ip
    value: int | str  # the server's id, the selector, the address
    private: bool
    health: Mapping[int, str] = field(default_factory=dict)
    servers: tuple[Target, ...] = ()

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Target:
        kind = data["type"]
        value = data[kind][{"server": "id", "label_selector": "selector", "ip": "ip"}[kind]]
        health = {status["listen_port"]: status["status"] for status in data.get("health_status") or ()}
        servers = tuple(cls.parse(target) for target in data.get("targets") or ())
        return cls(kind, value, bool(data.get("use_private_ip")), health, servers)

    @property
    def ends(self) -> tuple[Target, ...]:
        """The servers and addresses that requests go to."""
        return self.servers if self.kind == "label_selector" else (self,)


@dataclass(frozen=True)
class Service:
    """``settings`` are those but the certificates, which are ids here."""

    settings: Settings
    certificates: tuple[int, ...]

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Service:
        settings = flat(data)
        certificates = settings.pop("http.certificates", ())
        return cls(settings, certificates)

    @property
    def port(self) -> int:
        return int(self.settings["listen_port"])


@dataclass(frozen=True)
class LoadBalancer:
    id: int
    name: str
    labels: Mapping[str, str]
    type: Type
    location: str
    network_zone: str
    algorithm: str
    public: bool
    ipv4: str | None
    ipv6: str | None
    private: Mapping[int, str]  # network to address
    services: tuple[Service, ...]
    targets: tuple[Target, ...]
    protected: bool = False

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> LoadBalancer:
        public = data["public_net"]
        return cls(
            id=data["id"],
            name=data["name"],
            labels=data["labels"],
            type=Type.parse(data["load_balancer_type"]),
            location=data["location"]["name"],
            network_zone=data["location"]["network_zone"],
            algorithm=data["algorithm"]["type"],
            public=public["enabled"],
            ipv4=public["ipv4"]["ip"],
            ipv6=public["ipv6"]["ip"],
            private={nic["network"]: nic["ip"] for nic in data["private_net"]},
            services=tuple(Service.parse(service) for service in data["services"]),
            targets=tuple(Target.parse(target) for target in data["targets"]),
            protected=data["protection"]["delete"],
        )

    @property
    def certificates(self) -> set[int]:
        return {certificate for service in self.services for certificate in service.certificates}

    @property
    def ends(self) -> list[Target]:
        return [end for target in self.targets for end in target.ends]


@dataclass(frozen=True)
class Network:
    id: int
    name: str
    ip_range: str
    gateway: str
    subnets: tuple[tuple[str, str], ...]  # range, network zone

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Network:
        subnets = data["subnets"]
        gateway = subnets[0]["gateway"] if subnets else ""
        ranges = tuple((subnet["ip_range"], subnet["network_zone"]) for subnet in subnets)
        return cls(data["id"], data["name"], data["ip_range"], gateway, ranges)


@dataclass(frozen=True)
class Actual:
    """What was read, which is what the plan needs: the rest is empty."""

    load_balancer: LoadBalancer | None = None
    certificates: tuple[Record, ...] = ()
    networks: Mapping[str, Network] = field(default_factory=dict)
    servers: Mapping[str, infrastructure.Server] = field(default_factory=dict)
    others: tuple[LoadBalancer, ...] = ()  # load balancers that may have the address
    types: Mapping[str, Type] = field(default_factory=dict)
    zones: Mapping[str, str] = field(default_factory=dict)  # location to network zone
    currency: str | None = None

    def server_name(self, server_id: int | str) -> str | None:
        return next((server.name for server in self.servers.values() if server.id == server_id), None)

    def network_name(self, network_id: int) -> str:
        return next((name for name, network in self.networks.items() if network.id == network_id), str(network_id))

    def certificate_name(self, certificate_id: int) -> str:
        records = self.certificates
        return next((record.name for record in records if record.id == certificate_id), str(certificate_id))


def find(client: Client, name: str) -> LoadBalancer | None:
    return next((LoadBalancer.parse(data) for data in client.list_all(_PATH, name=name)), None)


def read(client: Client, declared: Declared, absent: bool = False) -> Actual:
    """What is there, as far as the declared concerns it: an unchanged load balancer takes few requests."""
    balancer = find(client, declared.name)
    certificates: Iterable[Record] = ()
    if absent or declared.services is not None or (balancer and balancer.certificates):
        certificates = certificates_module.list_certificates(client)
    if absent:
        currency = _currency(client) if balancer else None
        return Actual(balancer, tuple(certificates), currency=currency)

    networks: dict[str, Network] = {}
    attaching = False
    if declared.network:
        networks = {data["name"]: Network.parse(data) for data in client.list_all("/networks")}
        name, address = declared.network
        network = networks.get(name)
        attaching = network is not None and (balancer is None or balancer.private.get(network.id) != address)
    kinds = {target.kind for target in declared.targets or ()}
    if balancer and declared.targets is not None:
        kinds |= {target.kind for target in balancer.targets}
    new_type = balancer is None or declared.type not in (None, balancer.type.name)
    return Actual(
        load_balancer=balancer,
        certificates=tuple(certificates),
        networks=networks,
        servers=infrastructure.servers(client) if "server" in kinds or attaching else {},
        others=tuple(LoadBalancer.parse(data) for data in client.list_all(_PATH)) if attaching else (),
        types=_types(client) if new_type else {},
        zones=_zones(client) if balancer is None else {},
        currency=_currency(client) if new_type else None,
    )


def _types(client: Client) -> dict[str, Type]:
    return {data["name"]: Type.parse(data) for data in client.list_all("/load_balancer_types")}


def _zones(client: Client) -> dict[str, str]:
    return {data["name"]: data["network_zone"] for data in client.list_all("/locations")}


def _currency(client: Client) -> str:
    return str(client.request("GET", "/pricing")["pricing"]["currency"])
