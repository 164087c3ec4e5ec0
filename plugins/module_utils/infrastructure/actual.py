# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there: the project's resources as the API tells them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from ..hcloud_client import Client, ClientError
from .catalogue import Catalogue, catalogue
from .declared import Rule
from .plan import COLLECTIONS, Ref, owned

#: States that pass by themselves: what a run that was killed has left may still be on its way.
PASSING = ("initializing", "starting", "stopping", "migrating", "rebuilding", "deleting", "creating")
POLL_INTERVAL = 1.0


@dataclass(frozen=True)
class SshKey:
    id: int
    name: str
    labels: Mapping[str, str]
    public_key: str


@dataclass(frozen=True)
class Network:
    id: int
    name: str
    labels: Mapping[str, str]
    ip_range: str
    subnets: tuple[str, ...]
    routes: tuple[tuple[str, str], ...]  # destination, gateway
    servers: tuple[int, ...] = ()
    protected: bool = False


@dataclass(frozen=True)
class Firewall:
    id: int
    name: str
    labels: Mapping[str, str]
    rules: tuple[Rule, ...]
    servers: tuple[int, ...] = ()  # applied to directly, not by a label selector


@dataclass(frozen=True)
class PlacementGroup:
    id: int
    name: str
    labels: Mapping[str, str]
    type: str


@dataclass(frozen=True)
class PrimaryIp:
    id: int
    name: str
    labels: Mapping[str, str]
    type: str
    location: str
    auto_delete: bool
    ip: str
    server: int | None = None
    protected: bool = False


@dataclass(frozen=True)
class Server:
    id: int
    name: str
    labels: Mapping[str, str]
    status: str
    type: str
    architecture: str
    disk: int  # GB
    location: str
    image: str | None  # None: no longer known
    image_family: str | None
    private: Mapping[int, str] = field(default_factory=dict)  # network to address
    ipv4: tuple[int, str] | None = None  # primary IP and address
    ipv6: str | None = None
    firewalls: tuple[int, ...] = ()
    placement_group: int | None = None
    protected: bool = False
    locked: bool = False

    @property
    def settled(self) -> bool:
        return self.status not in PASSING and not self.locked


@dataclass(frozen=True)
class Volume:
    id: int
    name: str
    labels: Mapping[str, str]
    status: str
    size: int  # GB
    format: str | None
    location: str
    server: int | None = None
    protected: bool = False

    @property
    def settled(self) -> bool:
        return self.status not in PASSING


class Resource(Protocol):
    """What all kinds have."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...


_T = TypeVar("_T", bound=Resource)


@dataclass(frozen=True)
class Actual:
    """Everything in the project, by name, whoever it belongs to."""

    catalogue: Catalogue
    ssh_keys: Mapping[str, SshKey] = field(default_factory=dict)
    networks: Mapping[str, Network] = field(default_factory=dict)
    firewalls: Mapping[str, Firewall] = field(default_factory=dict)
    placement_groups: Mapping[str, PlacementGroup] = field(default_factory=dict)
    primary_ips: Mapping[str, PrimaryIp] = field(default_factory=dict)
    servers: Mapping[str, Server] = field(default_factory=dict)
    volumes: Mapping[str, Volume] = field(default_factory=dict)

    def of(self, kind: str) -> Mapping[str, Resource]:
        resources: Mapping[str, Resource] = getattr(self, COLLECTIONS[kind].lstrip("/"))
        return resources

    def ids(self) -> dict[Ref, int]:
        return {Ref(kind, name): resource.id for kind in COLLECTIONS for name, resource in self.of(kind).items()}

    def name(self, kind: str, resource_id: int) -> str:
        """The name of what has this id; the API never names what it does not list."""
        return next(resource.name for resource in self.of(kind).values() if resource.id == resource_id)


def read(client: Client, environment: str, timeout: float, now: datetime | None = None) -> Actual:
    """The project as it is, once what is the environment's has settled.

    Raises ClientError where that takes more than ``timeout`` seconds.
    """
    with ThreadPoolExecutor(max_workers=4) as pool:
        locations = pool.submit(list, client.list_all("/locations"))
        server_types = pool.submit(list, client.list_all("/server_types"))
        images = pool.submit(list, client.list_all("/images", type="system"))
        pricing = pool.submit(client.request, "GET", "/pricing")
        ssh_keys = pool.submit(_listed, client, "ssh_key", ssh_key)
        networks = pool.submit(_listed, client, "network", network)
        firewalls = pool.submit(_listed, client, "firewall", firewall)
        placement_groups = pool.submit(_listed, client, "placement_group", placement_group)
        # These two settle; what refers to them is read after.
        servers = pool.submit(_settled, client, "server", server, environment, timeout)
        volumes = pool.submit(_settled, client, "volume", volume, environment, timeout)
        servers.result()
        primary_ips = pool.submit(_listed, client, "primary_ip", primary_ip)
        return Actual(
            catalogue(
                locations.result(),
                server_types.result(),
                images.result(),
                pricing.result()["pricing"],
                now or datetime.now(UTC),
            ),
            ssh_keys.result(),
            networks.result(),
            firewalls.result(),
            placement_groups.result(),
            primary_ips.result(),
            servers.result(),
            volumes.result(),
        )


def servers(client: Client) -> Mapping[str, Server]:
    """The servers alone, in one request for each fifty."""
    return _listed(client, "server", server)


def _listed(client: Client, kind: str, parse: Callable[[Mapping[str, Any]], _T]) -> dict[str, _T]:
    return {data["name"]: parse(data) for data in client.list_all(COLLECTIONS[kind])}


_S = TypeVar("_S", Server, Volume)


def _settled(
    client: Client, kind: str, parse: Callable[[Mapping[str, Any]], _S], environment: str, timeout: float
) -> dict[str, _S]:
    deadline = time.monotonic() + timeout
    while True:
        resources = _listed(client, kind, parse)
        passing = next((res for res in resources.values() if owned(res.labels, environment) and not res.settled), None)
        if passing is None:
            return resources
        if time.monotonic() > deadline:
            raise ClientError(
                f"{kind} {passing.name} is still busy ({passing.status}) after {timeout:.0f} s: look at it in the "
                "Hetzner Console and run again when it has ended."
            )
        client.sleep(POLL_INTERVAL)


def ssh_key(data: Mapping[str, Any]) -> SshKey:
    return SshKey(data["id"], data["name"], data["labels"], data["public_key"])


def network(data: Mapping[str, Any]) -> Network:
    return Network(
        data["id"],
        data["name"],
        data["labels"],
        data["ip_range"],
        tuple(subnet["ip_range"] for subnet in data["subnets"]),
        tuple((route["destination"], route["gateway"]) for route in data["routes"]),
        tuple(data["servers"]),
        data["protection"]["delete"],
    )


def firewall(data: Mapping[str, Any]) -> Firewall:
    return Firewall(
        data["id"],
        data["name"],
        data["labels"],
        tuple(Rule.parse(rule) for rule in data["rules"]),
        tuple(target["server"]["id"] for target in data["applied_to"] if target["type"] == "server"),
    )


def placement_group(data: Mapping[str, Any]) -> PlacementGroup:
    return PlacementGroup(data["id"], data["name"], data["labels"], data["type"])


def primary_ip(data: Mapping[str, Any]) -> PrimaryIp:
    return PrimaryIp(
        data["id"],
        data["name"],
        data["labels"],
        data["type"],
        data["location"]["name"],
        data["auto_delete"],
        data["ip"],
        data["assignee_id"],
        data["protection"]["delete"],
    )


def server(data: Mapping[str, Any]) -> Server:
    public, image, group = data["public_net"], data["image"], data.get("placement_group")
    ipv4, ipv6 = public["ipv4"], public["ipv6"]
    return Server(
        id=data["id"],
        name=data["name"],
        labels=data["labels"],
        status=data["status"],
        type=data["server_type"]["name"],
        architecture=data["server_type"]["architecture"],
        disk=data["primary_disk_size"],
        location=data["location"]["name"],
        image=image and image["name"],
        image_family=image and image["os_flavor"],
        private={nic["network"]: nic["ip"] for nic in data["private_net"]},
        ipv4=ipv4 and (ipv4["id"], ipv4["ip"]),
        ipv6=ipv6 and ipv6["ip"],
        firewalls=_ids(public.get("firewalls", ())),
        placement_group=group and group["id"],
        protected=data["protection"]["delete"],
        locked=data["locked"],
    )


def volume(data: Mapping[str, Any]) -> Volume:
    return Volume(
        data["id"],
        data["name"],
        data["labels"],
        data["status"],
        data["size"],
        data["format"],
        data["location"]["name"],
        data["server"],
        data["protection"]["delete"],
    )


def _ids(items: Iterable[Mapping[str, Any]]) -> tuple[int, ...]:
    return tuple(item["id"] for item in items)
