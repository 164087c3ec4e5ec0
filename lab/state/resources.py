"""The resources of a project. Each fact is held once: what follows from another resource is a query of the store.

Points in time are text in UTC such as ``2026-01-31T12:00:00Z``, which sorts as it stands. Resources name each other by
ID and things of the catalogue by name, except images, of which one name has an ID per architecture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Literal

AddressType = Literal["ipv4", "ipv6"]
ActionStatus = Literal["running", "success", "error"]
ServerStatus = Literal["initializing", "off", "starting", "running", "stopping", "deleting", "migrating", "rebuilding"]


@dataclass(frozen=True)
class Ref:
    """Points at a resource; ``type`` as the vendor spells it in actions, such as ``primary_ip``."""

    type: str
    id: int


@dataclass
class Action:
    """Something that takes time. Actions outlive the resources they were about."""

    id: int
    command: str
    resources: tuple[Ref, ...]
    started: str
    status: ActionStatus = "running"
    progress: int = 0  # percent
    finished: str | None = None
    error_code: str | None = None
    error_message: str | None = None


@dataclass
class SshKey:
    id: int
    name: str
    created: str
    public_key: str
    fingerprint: str
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Subnet:
    type: str
    ip_range: str
    network_zone: str


@dataclass(frozen=True)
class Route:
    destination: str
    gateway: str


@dataclass
class Network:
    id: int
    name: str
    created: str
    ip_range: str
    subnets: list[Subnet] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    protect_delete: bool = False
    expose_routes_to_vswitch: bool = False

    @property
    def gateway(self) -> str:
        """The router of all its subnets: the first address of its range."""
        return str(IPv4Network(self.ip_range)[1])


@dataclass
class Attachment:
    """A server's place in a network; ``connected`` once the network's router knows it."""

    network_id: int
    ip: str
    mac: str
    alias_ips: list[str] = field(default_factory=list)
    connected: bool = False


@dataclass
class Server:
    """A server; its primary IPs, volumes and firewalls know it, not the other way round."""

    id: int
    name: str
    created: str
    server_type: str
    image_id: int
    location: str
    disk_gb: int
    public_mac: str
    user_data: str
    public_keys: tuple[str, ...]
    status: ServerStatus = "initializing"
    attachments: list[Attachment] = field(default_factory=list)
    placement_group_id: int | None = None
    labels: dict[str, str] = field(default_factory=dict)
    protect_delete: bool = False
    protect_rebuild: bool = False


@dataclass
class PrimaryIp:
    id: int
    name: str
    created: str
    type: AddressType
    ip: str  # an address for ipv4, a /64 for ipv6
    location: str
    auto_delete: bool = False
    server_id: int | None = None
    dns_ptr: dict[str, str] = field(
        default_factory=dict
    )  # address -> name; an ipv4 without one has the vendor's default
    labels: dict[str, str] = field(default_factory=dict)
    protect_delete: bool = False


@dataclass(frozen=True)
class FirewallRule:
    direction: str
    protocol: str
    port: str | None
    source_ips: tuple[str, ...] = ()
    destination_ips: tuple[str, ...] = ()
    description: str | None = None


@dataclass
class Firewall:
    id: int
    name: str
    created: str
    rules: list[FirewallRule] = field(default_factory=list)
    server_ids: list[int] = field(default_factory=list)
    selectors: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)


@dataclass
class Volume:
    id: int
    name: str
    created: str
    size_gb: int
    location: str
    format: str | None = None
    server_id: int | None = None
    available: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    protect_delete: bool = False

    @property
    def linux_device(self) -> str:
        """Where the server sees it, as on the real cloud."""
        return f"/dev/disk/by-id/scsi-0HC_Volume_{self.id}"


@dataclass
class PlacementGroup:
    id: int
    name: str
    created: str
    labels: dict[str, str] = field(default_factory=dict)


@dataclass
class Conditions:
    """What the vendor decides and a test may change: time, limits of the project, what is to be had."""

    clock_ahead: float = 0.0  # seconds the cloud's clock is ahead of the machine's
    durations: dict[str, float] = field(default_factory=dict)  # seconds by command; "" is for those not named
    limits: dict[str, int] = field(default_factory=dict)  # kind, such as servers -> most of them; absent: no limit
    sold_out: dict[str, list[str]] = field(default_factory=dict)  # server type -> locations, besides the catalogue's
