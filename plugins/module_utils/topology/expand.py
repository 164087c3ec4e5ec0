# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a topology to the infrastructure it stands for: the options of M(bulwark.hetzner.hcloud_infrastructure)."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

from ..cloud_init import PrivateNetwork, UserDataError, user_data
from ..flows.firewall import cloud_rules
from .reading import TopologyError
from .schema import BASTION, LOAD_BALANCER_HOST, MAX_COUNT, Group, Topology, parse

BASTION_FIREWALL = "bastion-firewall"
BASTION_IP = "bastion-ip"
#: https://docs.hetzner.com/cloud/placement-groups/overview#limits
MAX_SPREAD = 10


def infrastructure(data: object) -> dict[str, Any]:
    """The module's options for the topology in ``data``; raises :class:`TopologyError`."""
    topology = parse(data)
    servers = [server for group in topology.groups for server in _Group(topology, group).servers()]
    _check_addresses(topology, {server["name"]: IPv4Address(server["networks"][0]["address"]) for server in servers})
    spread = dict.fromkeys(server["placement_group"] for server in servers)  # once each, in order
    return {
        "environment_name": topology.environment,
        "networks": [_network(topology)],
        "ssh_keys": [{"name": name, "public_key": key} for name, key in topology.admin_keys],
        "firewalls": [{"name": BASTION_FIREWALL, "rules": cloud_rules(topology)}],
        "placement_groups": [{"name": name, "type": "spread"} for name in spread if name],
        "primary_ips": [{"name": BASTION_IP, "type": "ipv4", "location": topology.location, "auto_delete": False}],
        "servers": servers,
        "volumes": [volume for group in topology.groups for volume in _Group(topology, group).volumes()],
    }


def _network(topology: Topology) -> dict[str, Any]:
    bastion = next(group for group in topology.groups if group.role.name == BASTION)
    return {
        "name": topology.network_name,
        "ip_range": str(topology.ip_range),
        "location": topology.location,
        "subnets": [str(topology.subnet)],
        # What a private server sends to the internet, the vendor's router hands to the bastion.
        "routes": [{"destination": "0.0.0.0/0", "gateway": str(_Group(topology, bastion).address(1))}],
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
        try:
            first_boot = user_data(
                topology.user,
                [key for _, key in topology.admin_keys],
                None if self.public else PrivateNetwork(topology.ip_range, topology.gateway),
            )
        except UserDataError as error:
            raise TopologyError(str(error)) from None
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
        if self.group.volume_size is None:
            return []
        return [
            {
                "name": f"{server}-data",
                "size": self.group.volume_size,
                "format": "xfs",
                "location": self.topology.location,
                "server": server,
            }
            for server in map(self.role.server_name, self.numbers())
        ]

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
        subnet.network_address + LOAD_BALANCER_HOST: "the load balancer",
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
