"""Load balancers and the certificates they show. Times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lab.state.resources import Attachment

Algorithm = Literal["round_robin", "least_connections"]
Protocol = Literal["tcp", "http", "https"]
CheckProtocol = Literal["tcp", "http"]
TargetType = Literal["server", "label_selector", "ip"]

#: Where plain HTTP is redirected from, and where to.
HTTP_PORT = 80
HTTPS_PORT = 443


@dataclass
class Certificate:
    """An uploaded certificate. What it says of itself is read from it (``lab.state.x509``)."""

    id: int
    name: str
    created: str
    certificate: str  # with its chain, PEM
    private_key: str  # PEM; never part of an answer
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HealthCheck:
    """Defaults: the document's where it has them, for interval, time-out and retries what the vendor's console sets."""

    protocol: CheckProtocol
    port: int
    interval: int = 15
    timeout: int = 10
    retries: int = 3
    # of protocol http
    domain: str | None = None  # the Host header
    path: str = "/"
    response: str = ""  # what the answer must contain
    status_codes: tuple[str, ...] = ("2??", "3??")
    tls: bool = False


@dataclass(frozen=True)
class ServiceHttp:
    """What only services of the protocols http and https have. Defaults: the document's."""

    cookie_name: str = "HCLBSTICKY"
    cookie_lifetime: int = 300
    timeout_idle: int = 50
    sticky_sessions: bool = False
    # of https
    certificates: tuple[int, ...] = ()
    redirect_http: bool = False


@dataclass(frozen=True)
class Service:
    protocol: Protocol
    listen_port: int
    destination_port: int
    proxyprotocol: bool
    health_check: HealthCheck
    http: ServiceHttp | None = None

    @property
    def ports(self) -> frozenset[int]:
        """What it listens on: its own port, and the one it redirects from."""
        redirected = {HTTP_PORT} if self.http is not None and self.http.redirect_http else set()
        return frozenset({self.listen_port} | redirected)


@dataclass(frozen=True)
class Target:
    """One of the three, as ``type`` says."""

    type: TargetType
    server_id: int | None = None
    selector: str | None = None
    ip: str | None = None
    use_private_ip: bool = False

    @property
    def key(self) -> tuple[int | None, str | None, str | None]:
        """What it is known by: no load balancer has two of the same."""
        return self.server_id, self.selector, self.ip


@dataclass
class LoadBalancer:
    id: int
    name: str
    created: str
    type: str
    location: str
    ipv4: str
    ipv6: str  # a /64, of which it has the first address
    public_mac: str
    algorithm: Algorithm = "round_robin"
    public: bool = True  # whether its public interface is enabled
    attachment: Attachment | None = None
    services: list[Service] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    dns_ptr: dict[str, str] = field(default_factory=dict)  # by address; an ipv4 without one has the vendor's default
    available: bool = False  # once it has been made
    labels: dict[str, str] = field(default_factory=dict)
    protect_delete: bool = False

    @property
    def network_id(self) -> int | None:
        return self.attachment.network_id if self.attachment else None

    @property
    def certificate_ids(self) -> frozenset[int]:
        return frozenset(number for service in self.services if service.http for number in service.http.certificates)
