"""The one interface between the cloud's book-keeping and whatever makes its objects real.

The book-keeping (state, operations) knows resources, labels and actions. A driver knows machines, cables and disks.
What passes between the two is the plain data below: whole descriptions, never changes. Every method makes the real
thing agree with the description it is given and may be called again with the same one, so that a call that was
interrupted is mended by repeating it.

Methods block and are called from worker threads, never two at once for the same machine or network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class DriverError(Exception):
    """The real thing could not be made. ``code`` is a vendor's error code for the failed action."""

    def __init__(self, message: str, code: str = "action_failed") -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Direction(Enum):
    IN = "in"
    OUT = "out"


@dataclass(frozen=True)
class FirewallRule:
    """One permission of a cloud firewall. ``ports`` is an inclusive range, None for protocols without ports."""

    direction: Direction
    protocol: str  # tcp, udp, icmp, esp, gre
    ports: tuple[int, int] | None
    networks: tuple[str, ...]  # sources of an inbound rule, destinations of an outbound one


@dataclass(frozen=True)
class PublicNic:
    mac: str
    ipv4: str | None
    ipv6: str | None  # a network such as 2001:db8:1::/64; the machine takes its ::1
    firewall: tuple[FirewallRule, ...] | None  # None: no firewall, everything passes


@dataclass(frozen=True)
class PrivateNic:
    mac: str
    network_id: int
    ipv4: str
    alias_ips: tuple[str, ...] = ()


@dataclass(frozen=True)
class AttachedVolume:
    volume_id: int


@dataclass(frozen=True)
class Machine:
    """A server. A machine without ``public`` has no interface to the internet."""

    machine_id: int
    name: str
    image: str  # name of the operating system's image, such as debian-13
    user_data: str
    ssh_keys: tuple[str, ...]  # public keys, as in authorized_keys
    public: PublicNic | None
    private: tuple[PrivateNic, ...]
    volumes: tuple[AttachedVolume, ...]


@dataclass(frozen=True)
class NetworkMember:
    """A server or a load balancer; IDs are of one series, so that ``machine_id`` holds either's."""

    machine_id: int
    nic: PrivateNic


@dataclass(frozen=True)
class Network:
    """A private network: a router at the first address of its range, and the routes it follows for its members."""

    network_id: int
    ip_range: str
    subnets: tuple[str, ...]
    routes: tuple[tuple[str, str], ...]  # destination, gateway
    members: tuple[NetworkMember, ...]


@dataclass(frozen=True)
class Volume:
    volume_id: int
    size_gb: int
    format: str | None  # xfs, ext4 or None: left empty


@dataclass(frozen=True)
class HealthCheck:
    """How a target is asked whether it can take traffic. Times are in seconds."""

    protocol: str  # tcp, http
    port: int
    interval: int
    timeout: int
    retries: int
    # of protocol http
    domain: str | None = None  # the Host header; None: no such header
    path: str = "/"
    response: str | None = None  # what the answer's body must contain
    status_codes: tuple[str, ...] = ("2??", "3??")  # ? is any character, * are any
    tls: bool = False


@dataclass(frozen=True)
class Certificate:
    """What a load balancer shows to users; both in PEM."""

    certificate: str  # with its chain
    private_key: str


@dataclass(frozen=True)
class Service:
    """One port of a load balancer. What is said of HTTP is for the protocols http and https."""

    protocol: str  # tcp, http, https
    listen_port: int
    destination_port: int
    proxyprotocol: bool  # whether targets are told the client's address by the PROXY protocol
    health_check: HealthCheck
    timeout_idle: int = 50  # seconds
    cookie: tuple[str, int] | None = (
        None  # name and lifetime in seconds of the cookie of sticky sessions; None: not sticky
    )
    redirect_http: bool = False  # of https: port 80 redirects here
    certificates: tuple[Certificate, ...] = ()  # of https


@dataclass(frozen=True)
class LoadBalancer:
    """A load balancer: a namespace with its interfaces, and what listens there."""

    load_balancer_id: int
    algorithm: str  # round_robin, least_connections
    max_connections: int
    public: PublicNic | None
    private: PrivateNic | None
    services: tuple[Service, ...]
    targets: tuple[str, ...]  # addresses at which it reaches them


class Health(Enum):
    """What a load balancer knows of a target."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"  # not asked yet


@dataclass(frozen=True)
class Traffic:
    """Counters of a load balancer since its process started, and the connections that are open now."""

    open_connections: int
    connections: int
    requests: int
    bytes_in: int
    bytes_out: int


@dataclass(frozen=True)
class LoadBalancerStatus:
    """What is seen of a running load balancer."""

    health: Mapping[tuple[str, int], Health]  # by a target's address and a service's listen port
    traffic: Traffic


@dataclass(frozen=True)
class Inventory:
    """Everything there is, whichever process made it."""

    machines: Mapping[int, bool]  # whether it is running
    networks: frozenset[int]
    volumes: frozenset[int]
    load_balancers: frozenset[int] = frozenset()


class Exit(Enum):
    """Why a machine stopped without having been told to."""

    POWERED_OFF = "powered off from within"
    REBOOTED = "rebooted from within"


ExitListener = Callable[[int, Exit], None]


class Driver(Protocol):
    """Makes machines, networks, volumes and load balancers real. Every failure is a DriverError."""

    def boots(self, image: str) -> bool:
        """Whether machines can be made from this image."""

    def on_exit(self, listener: ExitListener) -> None:
        """Register who is told when a machine stops by itself. The listener is called from another thread."""

    def inventory(self) -> Inventory:
        """What there is, by ID."""

    def create_machine(self, machine: Machine) -> None:
        """Make it with a new local disk and its first-boot data, switched off."""

    def start_machine(self, machine: Machine) -> None:
        """Switch it on with its cables and volumes plugged; returns when it has begun to boot."""

    def shutdown_machine(self, machine: Machine) -> None:
        """Press the power button; returns when the machine is off, or fails after a time limit."""

    def stop_machine(self, machine: Machine) -> None:
        """Pull the plug."""

    def delete_machine(self, machine_id: int) -> None:
        """Remove it and its local disk. Unknown machines are fine."""

    def plug(self, machine: Machine) -> None:
        """Give a running machine exactly the interfaces, cloud firewall and volumes it is described with."""

    def sync_network(self, network: Network) -> None:
        """Make the network's router, its leases and routes what is described."""

    def delete_network(self, network_id: int) -> None:
        """Remove the network's router. Unknown networks are fine."""

    def create_volume(self, volume: Volume) -> None:
        """Make the disk, formatted when ``format`` says so, with no data lost if it exists already."""

    def resize_volume(self, volume: Volume) -> None:
        """Grow the disk; a file system on it is the machine's own business."""

    def delete_volume(self, volume_id: int) -> None:
        """Remove the disk and what is on it. Unknown volumes are fine."""

    def sync_load_balancer(self, load_balancer: LoadBalancer) -> None:
        """Make it what is described, without cutting connections to targets that stay.

        Those to targets that are not described any more are cut. Its place in a network is a member of that network
        (``NetworkMember``), which is synchronised apart. A new target takes traffic after its first good answer.
        """

    def delete_load_balancer(self, load_balancer_id: int) -> None:
        """Remove it with its interfaces. Unknown ones are fine."""

    def load_balancer_status(self, load_balancer_id: int) -> LoadBalancerStatus:
        """What it sees of its targets, and what went through it; a DriverError when it does not run."""

    def close(self) -> None:
        """Let go of everything this process holds; the real things stay."""
