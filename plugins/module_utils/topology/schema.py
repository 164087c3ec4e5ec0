# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a topology says, and every default it need not say."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_network

from ..flows.reading import parse_flows
from ..flows.table import Flow
from ..object_storage.names import mistake_in_bucket_name, mistake_in_endpoint, mistake_in_region
from .edge import Edge, LoadBalancer
from .edge import edge as parse_edge
from .edge import load_balancer as parse_load_balancer
from .reading import Section, TopologyError

VERSION = 1

#: Highest number of servers of a role: the next role's addresses begin twenty further on.
MAX_COUNT = 19
#: GB; https://docs.hetzner.cloud/reference/cloud#tag/volumes/create_volume
MIN_VOLUME, MAX_VOLUME = 10, 10240

BASTION = "bastion"

KEYS = (
    "version",
    "environment",
    "admin_addresses",
    "admin_keys",
    "location",
    "image",
    "network",
    "servers",
    "one_server",
    "user",
    "flows",
    "object_storage",
    "load_balancer",
    "edge",
)


@dataclass(frozen=True)
class Role:
    """A role's defaults. Names and addresses depend on a server's number alone, so a new count moves no server."""

    name: str
    type: str
    count: int
    server_names: tuple[str, ...]  # of the first servers
    further_name: str  # of all others
    hosts: tuple[int, ...]  # host numbers in the subnet, of the first servers
    further_host: int  # plus the server's number, for all others
    volume_size: int | None = None

    def server_name(self, number: int) -> str:
        """``number`` counts from 1."""
        if number <= len(self.server_names):
            return self.server_names[number - 1]
        return self.further_name.format(number=number, previous=number - 1)

    def host(self, number: int) -> int:
        return self.hosts[number - 1] if number <= len(self.hosts) else self.further_host + number


ROLES = {
    role.name: role
    for role in (
        Role(BASTION, "cax11", 1, ("bastion-server",), "", (2,), 0),
        Role("app", "cax31", 2, (), "app-{number:02d}", (3, 4), 100),
        Role("jobs", "cax21", 1, (), "jobs-{number:02d}", (5,), 120),
        Role("db", "cax31", 2, ("db-primary", "db-replica"), "db-replica-{previous:02d}", (6, 7), 140, volume_size=100),
        Role("monitoring", "cax21", 1, (), "monitor-{number:02d}", (8,), 160),
    )
}
#: The load balancer's.
LOAD_BALANCER_HOST = 9
#: Of the only server, where there is one.
ONE_SERVER_HOST, ONE_SERVER_TYPE = 2, "cax21"


@dataclass(frozen=True)
class Group:
    """The servers of one role."""

    role: Role
    type: str
    count: int
    volume_size: int | None  # GB of the volume each of them gets
    addresses: tuple[IPv4Address, ...] | None  # None: from the role's host numbers


@dataclass(frozen=True)
class OneServer:
    """A public server that carries every role, and is alone."""

    name: str
    type: str
    volume_size: int | None  # GB; None: the data lies on its own disk


@dataclass(frozen=True)
class ObjectStorage:
    """Where uploads and backups go. Who may is no part of a topology: the keys lie in the vault."""

    endpoint: str
    region: str
    uploads_bucket: str
    backups_bucket: str


@dataclass(frozen=True)
class Topology:
    environment: str
    admin_addresses: tuple[str, ...]  # networks, v4 or v6
    admin_keys: tuple[tuple[str, str], ...]  # name, public key
    location: str
    image: str
    network_name: str
    ip_range: IPv4Network
    subnet: IPv4Network
    groups: tuple[Group, ...]  # none where there is one server
    one_server: OneServer | None
    user: str
    flows: tuple[Flow, ...]
    object_storage: ObjectStorage | None
    load_balancer: LoadBalancer
    edge: Edge | None  # None: nothing in front, and no load balancer either

    @property
    def gateway(self) -> IPv4Address:
        """The vendor's router is at the first address of the range."""
        return self.ip_range[1]

    @property
    def load_balancer_address(self) -> IPv4Address:
        return self.subnet.network_address + LOAD_BALANCER_HOST


def parse(data: object) -> Topology:
    """The topology in ``data``; raises :class:`TopologyError` for the first mistake found."""
    top = Section(data, "topology", KEYS)
    top.whole("version", VERSION, VERSION, VERSION)
    network = top.section("network", ("name", "ip_range", "subnet"))
    servers = top.section("servers", ROLES)
    environment = _environment(top)
    one_server = _one_server(top, environment)
    topology = Topology(
        environment=environment,
        admin_addresses=_admin_addresses(top),
        admin_keys=_admin_keys(top),
        location=top.text("location", "fsn1"),
        image=top.text("image", "ubuntu-24.04"),
        # An environment of one server is often one of several in a project.
        network_name=network.text("name", f"{environment}-network" if one_server else "production-network"),
        ip_range=network.network("ip_range", "10.0.0.0/16"),
        subnet=network.network("subnet", "10.0.0.0/24"),
        groups=() if one_server else tuple(_group(servers, role) for role in ROLES.values()),
        one_server=one_server,
        user=_user(top),
        flows=parse_flows(top.get("flows", {}), {role: role == BASTION or one_server is not None for role in ROLES}),
        object_storage=_object_storage(top) if "object_storage" in top else None,
        load_balancer=parse_load_balancer(top),
        edge=parse_edge(top) if "edge" in top else None,
    )
    _check_ranges(topology)
    if topology.edge and "_" in topology.environment:
        raise TopologyError(
            f"topology.environment: {topology.environment!r} has an underscore; with an edge it becomes part of a "
            "host name in the certificate: use hyphens."
        )
    return topology


def _environment(top: Section) -> str:
    name = top.text("environment")
    # It becomes a label's value and part of a group's name, so the stricter of both.
    if not re.fullmatch(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?", name):
        raise TopologyError(
            f"topology.environment: {name!r} is no label: use at most 63 small letters, digits, '-' and '_', "
            "with a letter or digit at both ends."
        )
    return name


def _admin_addresses(top: Section) -> tuple[str, ...]:
    texts = top.texts("admin_addresses")
    if not texts:
        raise TopologyError("topology.admin_addresses is missing: name the networks that may reach the bastion by SSH.")
    networks = []
    for text in texts:
        try:
            networks.append(str(ip_network(text)))
        except ValueError as error:
            raise TopologyError(
                f"topology.admin_addresses: {text!r} is no network such as 198.51.100.7/32 ({error})."
            ) from None
    if len(set(networks)) < len(networks):
        raise TopologyError("topology.admin_addresses names a network twice.")
    return tuple(networks)


def _admin_keys(top: Section) -> tuple[tuple[str, str], ...]:
    keys = top.get("admin_keys", {})
    if not isinstance(keys, dict) or not keys:
        raise TopologyError(
            "topology.admin_keys is missing: give at least one, as name: public key; without one nobody could log in."
        )
    seen: dict[str, str] = {}
    for name, key in keys.items():
        if not isinstance(key, str) or not key.strip():
            raise TopologyError(f"topology.admin_keys.{name} is empty: put the content of a .pub file there.")
        if "PRIVATE KEY" in key:
            raise TopologyError(f"topology.admin_keys.{name} is a private key: put the content of the .pub file there.")
        body = _key_body(key)
        if body is None:
            raise TopologyError(
                f"topology.admin_keys.{name} is no OpenSSH public key such as 'ssh-ed25519 AAAA… {name}'."
            )
        if body in seen:
            raise TopologyError(f"topology.admin_keys: {seen[body]} and {name} are the same key.")
        seen[body] = name
    return tuple((str(name), key.strip()) for name, key in keys.items())


def _key_body(key: str) -> str | None:
    """The base64 part of a well-formed public key, which names its type a second time (RFC 4253, 6.6)."""
    fields = key.split()
    if len(fields) < 2 or "\n" in key.strip():
        return None
    try:
        blob = base64.b64decode(fields[1], validate=True)
    except binascii.Error:
        return None
    size = int.from_bytes(blob[:4], "big")
    return fields[1] if blob[4 : 4 + size] == fields[0].encode() else None


def _user(top: Section) -> str:
    user = top.text("user", "deployer")
    if user == "root" or not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", user):
        raise TopologyError(f"topology.user: {user!r} cannot be the servers' user: use a Linux user name, not root.")
    return user


def _group(servers: Section, role: Role) -> Group:
    section = servers.section(role.name, ("type", "count", "volume_size", "addresses"))
    if role.name == BASTION:
        count = section.whole("count", 1, 1, 1)
    else:
        count = section.whole("count", role.count, 0, MAX_COUNT)
    volume_size = role.volume_size
    if "volume_size" in section:
        volume_size = section.whole("volume_size", MIN_VOLUME, MIN_VOLUME, MAX_VOLUME)
    addresses = None
    if "addresses" in section:
        addresses = tuple(section.address("addresses", text) for text in section.texts("addresses"))
        if len(addresses) != count:
            raise TopologyError(f"{section.path} has {len(addresses)} addresses for {count} servers: name one each.")
    return Group(role, section.text("type", role.type), count, volume_size, addresses)


def _one_server(top: Section, environment: str) -> OneServer | None:
    if not top.names("one_server"):
        return None
    if "servers" in top:
        raise TopologyError(
            "topology.one_server is the only server, and topology.servers names others: take one of them out."
        )
    if "edge" in top:
        raise TopologyError(
            "topology.edge leads users to the load balancer, which topology.one_server has not: take it out; "
            "docs/staging.md says how names lead to the server."
        )
    if "load_balancer" in top:
        top.section("load_balancer", ("health_check",))  # the path is the application's, whoever asks
    section = Section(top.get("one_server", None), f"{top.path}.one_server", ("name", "type", "volume_size"))
    name = section.text("name", f"{environment.replace('_', '-')}-01")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name):
        raise TopologyError(
            f"{section.path}.name: {name!r} is no host name: use at most 63 small letters, digits and '-'."
        )
    size = section.whole("volume_size", MIN_VOLUME, MIN_VOLUME, MAX_VOLUME) if "volume_size" in section else None
    return OneServer(name, section.text("type", ONE_SERVER_TYPE), size)


def _object_storage(top: Section) -> ObjectStorage:
    section = top.section("object_storage", ("endpoint", "region", "uploads_bucket", "backups_bucket"))
    endpoint, region = section.text("endpoint"), section.text("region")
    buckets = {key: section.text(key) for key in ("uploads_bucket", "backups_bucket")}
    mistakes = {"endpoint": mistake_in_endpoint(endpoint), "region": mistake_in_region(region)}
    mistakes |= {key: mistake_in_bucket_name(name) for key, name in buckets.items()}
    for key, mistake in mistakes.items():
        if mistake:
            raise TopologyError(f"{section.path}.{key}: {mistake}")
    if buckets["uploads_bucket"] == buckets["backups_bucket"]:
        raise TopologyError(
            f"{section.path}: uploads and backups share the bucket {buckets['backups_bucket']!r}: name two, since "
            "rules about deleting hold for a whole bucket."
        )
    return ObjectStorage(endpoint, region, **buckets)


def _check_ranges(topology: Topology) -> None:
    ip_range, subnet = topology.ip_range, topology.subnet
    private = (IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16"))
    if not any(ip_range.subnet_of(block) for block in private) or ip_range.prefixlen > 24:
        raise TopologyError(
            f"topology.network.ip_range: {ip_range} is no private network of at least 256 addresses "
            "(in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16)."
        )
    if not subnet.subnet_of(ip_range):
        raise TopologyError(f"topology.network.subnet: {subnet} is outside of ip_range {ip_range}.")
