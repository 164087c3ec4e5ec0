# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a topology to the infrastructure it stands for: the options of M(bulwark.hetzner.hcloud_infrastructure)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, ip_address
from typing import Any

from ..cloud_init import PrivateNetwork, UserDataError, user_data
from ..flows.firewall import cloud_rules
from .edge import LoadBalancer
from .reading import TopologyError
from .schema import BASTION, MAX_COUNT, ONE_SERVER_HOST, ROLES, Group, OneServer, Topology, parse

BASTION_FIREWALL = "bastion-firewall"
BASTION_IP = "bastion-ip"
#: Where the application answers, as the flow ``app-http`` has it.
APPLICATION_PORT = 80
#: https://docs.hetzner.com/cloud/placement-groups/overview#limits
MAX_SPREAD = 10


def infrastructure(data: object) -> dict[str, Any]:
    """The module's options for the topology in ``data``; raises :class:`TopologyError`."""
    topology = parse(data)
    if topology.one_server:
        return _one_server(topology, topology.one_server)
    servers = [server for group in topology.groups for server in _Group(topology, group).servers()]
    _check_addresses(topology, {server["name"]: IPv4Address(server["networks"][0]["address"]) for server in servers})
    spread = dict.fromkeys(server["placement_group"] for server in servers)  # once each, in order
    return {
        "environment_name": topology.environment,
        "networks": [_network(topology, [_way_out(topology)])],
        "ssh_keys": _ssh_keys(topology),
        "firewalls": [{"name": BASTION_FIREWALL, "rules": cloud_rules(topology)}],
        "placement_groups": [{"name": name, "type": "spread"} for name in spread if name],
        "primary_ips": [{"name": BASTION_IP, "type": "ipv4", "location": topology.location, "auto_delete": False}],
        "servers": servers,
        "volumes": [volume for group in topology.groups for volume in _Group(topology, group).volumes()],
    }


def edge(data: object, certificate: str, addresses: Iterable[str]) -> dict[str, Any]:
    """What the modules of the load balancer and of Cloudflare are told; empty for a topology without an edge.

    ``certificate`` is the name at Hetzner of the one that the load balancer shows, ``addresses`` are the load
    balancer's own, IPv4 or IPv6. Raises :class:`TopologyError`.
    """
    topology = parse(data)
    if topology.edge is None:
        return {}
    balancer, front = topology.load_balancer, topology.edge
    names = [name for name in front.hostnames if not name.startswith("*.")]
    types = [("AAAA" if ip_address(address).version == 6 else "A", address) for address in addresses]
    return {
        "zone": front.zone,
        "zone_owned": front.zone_owned,
        "hostnames": list(front.hostnames),
        "urls": [f"https://{name}{balancer.health_check.path}" for name in names],
        "check": {"path": balancer.health_check.path, "host": balancer.health_check.host},
        # Reached over the private network, where it shows the same certificate.
        "origin": {
            "name": balancer.name,
            "address": f"{topology.load_balancer_address}:443",
            "server_name": names[0],
        },
        "settings": {
            "ssl": "strict",
            "always_use_https": True,
            "min_tls_version": front.min_tls_version,
            "hsts": {"enabled": front.hsts_max_age > 0, "max_age": front.hsts_max_age},
        },
        "records": [
            {"name": name, "type": kind, "content": address, "proxied": True}
            for name in front.hostnames
            for kind, address in types
        ],
        "load_balancer": {
            "name": balancer.name,
            "type": balancer.type,
            "location": topology.location,
            "algorithm": balancer.algorithm,
            "network": {"name": topology.network_name, "address": str(topology.load_balancer_address)},
            "public_interface": True,
            "services": [_service(balancer, certificate)],
            "targets": [{"label_selector": f"env={topology.environment},role-app=true", "use_private_ip": True}],
        },
    }


def _service(balancer: LoadBalancer, certificate: str) -> dict[str, Any]:
    """HTTPS for users, plain HTTP to application servers, which only the load balancer can reach there."""
    check = balancer.health_check
    return {
        "protocol": "https",
        "listen_port": 443,
        "destination_port": APPLICATION_PORT,
        "proxyprotocol": False,
        "http": {
            "redirect_http": True,
            "sticky_sessions": balancer.sticky_sessions,
            "certificates": [{"name": certificate}],
        },
        "health_check": {
            "protocol": "http",
            "port": APPLICATION_PORT,
            "interval": check.interval,
            "timeout": check.timeout,
            "retries": check.retries,
            # Empty means none; nothing said would leave an earlier one there.
            "http": {"domain": check.host or "", "path": check.path, "status_codes": ["2??", "3??"], "tls": False},
        },
    }


def _one_server(topology: Topology, only: OneServer) -> dict[str, Any]:
    """A public server with every role. What goes by a name is called after the environment, since others may be in the
    same project; its network has no other member, and gives what is not for the internet an address to listen on.
    """
    firewall, address = f"{topology.environment}-firewall", f"{topology.environment}-ip"
    private = topology.subnet.network_address + ONE_SERVER_HOST
    _check_addresses(topology, {only.name: private})
    server = {
        "name": only.name,
        "type": only.type,
        "image": topology.image,
        "location": topology.location,
        "labels": {f"role-{role}": "true" for role in ROLES},
        "ssh_keys": [name for name, _ in topology.admin_keys],
        "user_data": _first_boot(topology, None),
        "networks": [{"name": topology.network_name, "address": str(private)}],
        "public_ipv4": address,
        "public_ipv6": False,
        "firewalls": [firewall],
        "placement_group": None,
    }
    return {
        "environment_name": topology.environment,
        "networks": [_network(topology, [])],
        "ssh_keys": _ssh_keys(topology),
        "firewalls": [{"name": firewall, "rules": cloud_rules(topology)}],
        "placement_groups": [],
        "primary_ips": [{"name": address, "type": "ipv4", "location": topology.location, "auto_delete": False}],
        "servers": [server],
        "volumes": [_volume(topology, only.name, only.volume_size)] if only.volume_size else [],
    }


def _ssh_keys(topology: Topology) -> list[dict[str, str]]:
    return [{"name": name, "public_key": key} for name, key in topology.admin_keys]


def _first_boot(topology: Topology, private: PrivateNetwork | None) -> str:
    try:
        return user_data(topology.user, [key for _, key in topology.admin_keys], private)
    except UserDataError as error:
        raise TopologyError(str(error)) from None


def _volume(topology: Topology, server: str, size: int) -> dict[str, Any]:
    return {"name": f"{server}-data", "size": size, "format": "xfs", "location": topology.location, "server": server}


def _way_out(topology: Topology) -> dict[str, str]:
    """What a private server sends to the internet, the vendor's router hands to the bastion."""
    bastion = next(group for group in topology.groups if group.role.name == BASTION)
    return {"destination": "0.0.0.0/0", "gateway": str(_Group(topology, bastion).address(1))}


def _network(topology: Topology, routes: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "name": topology.network_name,
        "ip_range": str(topology.ip_range),
        "location": topology.location,
        "subnets": [str(topology.subnet)],
        "routes": routes,
    }


class _Group:
    """The servers of one role, by number."""

    def __init__(self, topology: Topology, group: Group) -> None:
        self.topology = topology
        self.group = group
        self.role = group.role
        self.public = group.role.name == BASTION

    def servers(self) -> list[dict[str, Any]]:
        topology = self.topology
        private = None if self.public else PrivateNetwork(topology.ip_range, topology.gateway)
        first_boot = _first_boot(topology, private)
        return [
            {
                "name": self.role.server_name(number),
                "type": self.group.type,
                "image": topology.image,
                "location": topology.location,
                "labels": {"role": self.role.name, f"role-{self.role.name}": "true"},
                "ssh_keys": [name for name, _ in topology.admin_keys],
                "user_data": first_boot,
                "networks": [{"name": topology.network_name, "address": str(self.address(number))}],
                "public_ipv4": BASTION_IP if self.public else None,
                "public_ipv6": False,
                "firewalls": [BASTION_FIREWALL] if self.public else [],
                "placement_group": self.placement_group(number),
            }
            for number in self.numbers()
        ]

    def volumes(self) -> list[dict[str, Any]]:
        size = self.group.volume_size
        names = map(self.role.server_name, self.numbers())
        return [] if size is None else [_volume(self.topology, server, size) for server in names]

    def numbers(self) -> range:
        return range(1, self.group.count + 1)

    def address(self, number: int) -> IPv4Address:
        if self.group.addresses is not None:
            return self.group.addresses[number - 1]
        return self.topology.subnet.network_address + self.role.host(number)

    def placement_group(self, number: int) -> str | None:
        if self.group.count < 2:
            return None
        part = (number - 1) // MAX_SPREAD
        return f"{self.role.name}-{part + 1}" if part else self.role.name


def _check_addresses(topology: Topology, addresses: dict[str, IPv4Address]) -> None:
    subnet = topology.subnet
    taken = {
        topology.gateway: "the network's gateway",
        subnet.network_address: "the subnet itself",
        subnet.broadcast_address: "the subnet's broadcast",
        topology.load_balancer_address: "the load balancer",
    }
    for name, address in addresses.items():
        if address not in subnet:
            raise TopologyError(
                f"{name} would get {address}, which is outside of the subnet {subnet}: widen topology.network.subnet "
                f"(a /24 has room for {MAX_COUNT} servers of each role) or name the addresses."
            )
        if address in taken:
            raise TopologyError(f"{name} would get {address}, which belongs to {taken[address]}: name another address.")
        taken[address] = name
