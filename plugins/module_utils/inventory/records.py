# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory keeps of the API's servers, networks and volumes: reduced, checked, plain data.

The API's objects: https://docs.hetzner.cloud/reference/cloud. What comes from there is used in file names and commands
further on, so names and addresses are checked here, once, for being what the API promises.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime
from typing import Any, TypedDict


class InventoryError(Exception):
    """The inventory cannot be made; the message is a sentence for a person."""


class Volume(TypedDict):
    """A volume attached to a server; ``device`` is its path on the server, ``size_gb`` in gigabytes."""

    id: int
    name: str
    size_gb: int
    device: str


class Network(TypedDict):
    """A private network; ``gateway`` is the router that every server's routes go through."""

    id: int
    name: str
    ip_range: str
    subnets: list[str]
    gateway: str


class Server(TypedDict):
    """A server: the value of the host variable ``bulwark_server``."""

    id: int
    name: str
    status: str
    type: str
    cores: int
    memory_gb: float
    architecture: str
    location: str
    image: str | None
    created: str
    env: str | None
    roles: list[str]
    labels: dict[str, str]
    private_address: str | None
    private_mac: str | None
    public_address: str | None
    volumes: list[Volume]


class ServerRecord(TypedDict):
    """A server with the network its private address belongs to, and the volumes still to be filled in."""

    server: Server
    network_id: int | None
    volume_ids: list[int]


#: RFC 1123, which the API demands of a server's name: labels of letters, digits and hyphens, parted by dots.
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_SERVER_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
#: Ansible means something else by these: a variable set for such a host would reach other hosts as well.
_RESERVED_NAMES = frozenset({"all", "ungrouped", "localhost"})
#: https://docs.hetzner.cloud/reference/cloud#labels
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_ROLE_LABEL = re.compile(r"role-(.+)")


def _checked_name(name: str) -> str:
    if not _SERVER_NAME.fullmatch(name):
        raise InventoryError(f"The API lists a server named {name!r}, which is no host name: rename it.")
    if name in _RESERVED_NAMES or _is_address(name):
        raise InventoryError(f"A server is named {name!r}, which means something else to Ansible: rename it.")
    return name


def _checked_environment(labels: dict[str, str]) -> str | None:
    environment = labels.get("env")
    if environment and not LABEL_VALUE.fullmatch(environment):
        raise InventoryError(f"The API lists a server labelled env={environment!r}, which is no label: correct it.")
    return environment or None


def _checked_time(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return text


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _public_address(public_net: dict[str, Any]) -> str | None:
    """The IPv4 address; for a server without one the first IPv6 address, which the vendor's images take."""
    if public_net["ipv4"]:
        return str(ipaddress.IPv4Address(public_net["ipv4"]["ip"]))
    if public_net["ipv6"]:
        return str(ipaddress.IPv6Network(public_net["ipv6"]["ip"])[1])
    return None


def server_record(data: dict[str, Any]) -> ServerRecord:
    """A server of the API. One in several networks is reached by the first that the API names."""
    labels: dict[str, str] = data["labels"]
    private = data["private_net"][0] if data["private_net"] else None
    server_type = data["server_type"]
    roles = [match[1] for key, value in labels.items() if value == "true" and (match := _ROLE_LABEL.fullmatch(key))]
    return {
        "server": {
            "id": int(data["id"]),
            "name": _checked_name(data["name"]),
            "status": data["status"],
            "type": server_type["name"],
            "cores": int(server_type["cores"]),
            "memory_gb": float(server_type["memory"]),
            "architecture": server_type["architecture"],
            "location": data["location"]["name"],
            "image": data["image"]["name"] if data["image"] else None,
            "created": _checked_time(data["created"]),
            "env": _checked_environment(labels),
            "roles": sorted(roles),
            "labels": labels,
            "private_address": str(ipaddress.IPv4Address(private["ip"])) if private else None,
            "private_mac": private["mac_address"] if private else None,
            "public_address": _public_address(data["public_net"]),
            "volumes": [],
        },
        "network_id": int(private["network"]) if private else None,
        "volume_ids": data.get("volumes", []),
    }


def network(data: dict[str, Any]) -> Network:
    """A network of the API."""
    ip_range = ipaddress.IPv4Network(data["ip_range"])
    return {
        "id": int(data["id"]),
        "name": data["name"],
        "ip_range": str(ip_range),
        "subnets": [str(ipaddress.IPv4Network(subnet["ip_range"])) for subnet in data["subnets"]],
        # https://docs.hetzner.cloud/reference/cloud#networks: the first address of the range is the gateway's.
        "gateway": str(ip_range[1]),
    }


def volume(data: dict[str, Any]) -> Volume:
    """A volume of the API."""
    return {
        "id": int(data["id"]),
        "name": data["name"],
        "size_gb": int(data["size"]),
        "device": data["linux_device"],
    }
