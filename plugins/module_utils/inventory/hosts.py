# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what the API said to Ansible's hosts, their groups and variables. Pure functions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from ansible_collections.bulwark.hetzner.plugins.module_utils.inventory.listing import Snapshot
from ansible_collections.bulwark.hetzner.plugins.module_utils.inventory.records import (
    InventoryError,
    Server,
    ServerRecord,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.ssh import (
    USER_NAME,
    SshRoute,
    SshRouteExtras,
    ansible_variables,
    host_key_alias,
    quote_value,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.ssh_host_authority import AuthorityError, public_key

ALL_SERVERS = "bulwark_servers"
PRIVATE_SERVERS = "private_servers"
PUBLIC_SERVERS = "public_servers"
#: Groups that exist even while nobody is in them.
STANDING_GROUPS = (ALL_SERVERS, PRIVATE_SERVERS, PUBLIC_SERVERS)


class Bastion(TypedDict):
    """The server that others are reached through: the value of the host variable ``bulwark_bastion``."""

    name: str
    private_address: str
    public_address: str


@dataclass(frozen=True)
class SshSettings:
    """What SSH needs to know that the API does not.

    With ``host_authorities``, lines as in .pub files, a server is taken at its word only if it was made at
    ``new_since`` or later; without that time every server is.
    """

    user: str
    known_hosts_file: str
    private_key_file: str | None
    control_directory: str
    host_authorities: tuple[str, ...] = ()
    new_since: datetime | None = None

    def __post_init__(self) -> None:
        try:
            for line in self.host_authorities:
                public_key(line)
        except AuthorityError as error:
            raise InventoryError(f"{error} Correct the option host_authorities.") from error
        if not USER_NAME.fullmatch(self.user):
            raise InventoryError(f"{self.user!r} is not the name of a user: set the option user.")
        for path in (self.known_hosts_file, self.private_key_file, self.control_directory):
            try:
                quote_value(path or "")
            except ValueError as error:
                raise InventoryError(str(error)) from error


@dataclass(frozen=True)
class Host:
    """A host of the inventory."""

    name: str
    groups: tuple[str, ...]
    variables: dict[str, Any]


def build_hosts(snapshot: Snapshot, settings: SshSettings) -> Iterator[Host]:
    """Every server as a host, in the order of the snapshot, also those that are switched off."""
    bastions = _bastions(snapshot)
    digests = _site_digests(snapshot)
    for record in snapshot["servers"]:
        server = record["server"]
        bastion, description = bastions.get(_site(record), (None, None))
        variables: dict[str, Any] = {
            "bulwark_server": server,
            "bulwark_network": snapshot["networks"].get(str(record["network_id"])),
            "bulwark_bastion": description,
        }
        route = _route(server, bastion, settings, digests[_site(record)])
        if route:
            variables |= {"bulwark_ssh": route, **ansible_variables(route)}
        yield Host(server["name"], tuple(_groups(server)), variables)


def _site(record: ServerRecord) -> tuple[str | None, int | None]:
    """Where a bastion serves: an environment may have several networks, and a network serve several environments."""
    return record["server"]["env"], record["network_id"]


def _bastions(snapshot: Snapshot) -> dict[tuple[str | None, int | None], tuple[Server, Bastion]]:
    """The bastion of each site: of several the first by name, so that every run takes the same one."""
    bastions: dict[tuple[str | None, int | None], tuple[Server, Bastion]] = {}
    for record in sorted(snapshot["servers"], key=lambda record: record["server"]["name"]):
        server = record["server"]
        private, public = server["private_address"], server["public_address"]
        if "bastion" in server["roles"] and private and public:
            description: Bastion = {"name": server["name"], "private_address": private, "public_address": public}
            bastions.setdefault(_site(record), (server, description))
    return bastions


def _site_digests(snapshot: Snapshot) -> dict[tuple[str | None, int | None], str]:
    """A digest of each site's private addresses.

    sshd on the bastion decides what a connection may be forwarded to when that connection is made. A server that is new
    behind it takes a new one, and so a new name for its socket.
    """
    sites: dict[tuple[str | None, int | None], list[str]] = {}
    for record in snapshot["servers"]:
        sites.setdefault(_site(record), []).append(record["server"]["private_address"] or "")
    return {site: hashlib.sha256(" ".join(sorted(found)).encode()).hexdigest()[:8] for site, found in sites.items()}


def _route(server: Server, bastion: Server | None, settings: SshSettings, digest: str) -> SshRoute | None:
    """The way to a server: by its public address, else through the bastion, else straight to its private address.

    The last is for a controller inside the network. A server with no address at all cannot be reached. ``digest`` is
    the site's.
    """
    address = server["public_address"] or server["private_address"]
    if not address:
        return None
    jump = _route(bastion, None, settings, digest) if bastion and not server["public_address"] else None
    if jump:
        jump["control_name"] = f"{jump['host_key_alias']}-{digest}"
    return {
        "name": server["name"],
        "environment": server["env"],
        "address": address,
        "user": settings.user,
        "host_key_alias": host_key_alias(server["id"]),
        "known_hosts_file": settings.known_hosts_file,
        "private_key_file": settings.private_key_file,
        "control_directory": settings.control_directory,
        "jump": jump,
        **_trust(server, settings),
    }


def _trust(server: Server, settings: SshSettings) -> SshRouteExtras:
    if not settings.host_authorities:
        return {}
    return {
        "host_authorities": [public_key(line) for line in settings.host_authorities],
        "first_contact": settings.new_since is None or datetime.fromisoformat(server["created"]) >= settings.new_since,
    }


def _groups(server: Server) -> Iterator[str]:
    yield ALL_SERVERS
    yield PUBLIC_SERVERS if server["public_address"] else PRIVATE_SERVERS
    if server["env"]:
        yield group_name("env", server["env"])
    for role in server["roles"]:
        yield group_name("role", role)


def group_name(prefix: str, value: str) -> str:
    """The group for a label's value, with an underscore for every sign that Ansible does not want in a group's name."""
    return re.sub(r"[^A-Za-z0-9_]", "_", f"{prefix}_{value}")
