# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of a pair, from what the inventory knows of its servers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any, TypedDict

from .configuration import MembersError


class Member(TypedDict):
    """A member as the roles want it; ``volume`` is a device, empty without one."""

    name: str
    address: str
    volume: str


def members(servers: Iterable[Mapping[str, Any]], environment: str) -> list[Member]:
    """Those of ``environment``, by address. ``servers`` are values of the host variable ``bulwark_server``.

    Raises MembersError for a server that no peer could reach, or whose data could lie on one of several volumes.
    """
    found: list[Member] = []
    for server in servers:
        if server["env"] != environment:
            continue
        address = server["private_address"] or server["public_address"]
        if not address:
            raise MembersError(f"{server['name']} is a database server without an address: attach it to the network.")
        volumes = server["volumes"]
        if len(volumes) > 1:
            names = ", ".join(volume["name"] for volume in volumes)
            raise MembersError(
                f"{server['name']} has the volumes {names}, and the database lies on one: detach the others."
            )
        found.append(
            {"name": server["name"], "address": address, "volume": volumes[0]["device"] if volumes else ""},
        )
    return sorted(found, key=lambda member: ip_address(member["address"]))
