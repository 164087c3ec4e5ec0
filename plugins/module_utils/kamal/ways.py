# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Kamal reaches the servers: its bastion, and two files by which it knows each of them.

Kamal speaks SSH by Ruby's net-ssh, and reaches the bastion by OpenSSH's client, which it hands the same configuration
file. net-ssh takes HostKeyAlias, StrictHostKeyChecking and the files of known hosts from it, but runs no
KnownHostsCommand; SSHKit, which lies between, skips lines of certificate authorities in those files. So every server
stands there with its own host key, which Ansible has read on the server itself, over a connection that was checked.

Sources: lib/net/ssh/{config,proxy/jump}.rb of https://github.com/net-ssh/net-ssh, and
lib/sshkit/backends/netssh/known_hosts.rb of https://github.com/capistrano/sshkit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..ssh import SshRoute, quote_value
from .options import KamalError

_HOST_KEY = re.compile(r"(ssh-ed25519|ecdsa-sha2-nistp\d+|ssh-rsa) [A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True)
class Ways:
    """``user`` logs in everywhere; ``bastion`` is an address, None where the servers have public ones."""

    user: str
    bastion: str | None
    routes: tuple[SshRoute, ...]  # the bastion's among them


def ways(routes: Sequence[SshRoute]) -> Ways:
    """The one way to all of them. Raises KamalError where there is none, since Kamal knows one bastion and one user."""
    users = {route["user"] for route in routes}
    jumps = {route["jump"]["address"] if route["jump"] else None for route in routes}
    if len(users) > 1:
        raise KamalError(
            f"The servers have several users, {', '.join(sorted(users))}; Kamal logs in as one everywhere."
        )
    if len(jumps) > 1:
        ends = ", ".join(sorted(jump or "none" for jump in jumps))
        raise KamalError(f"The servers are behind different bastions ({ends}); Kamal goes through one.")
    bastion = jumps.pop()
    if bastion and ":" in bastion:
        raise KamalError(f"The bastion has the IPv6 address {bastion} alone; Kamal needs an IPv4 address or a name.")
    reached = {route["address"]: route for route in (*routes, *(route["jump"] for route in routes if route["jump"]))}
    return Ways(users.pop(), bastion, tuple(reached.values()))


def ssh_config(found: Ways, known_hosts_file: str) -> str:
    """The client configuration, in which every server is known by ``known_hosts_file`` or refused.

    It goes by addresses, as Kamal does, and says nothing of the bastion as a jump host: deploy.yml does.
    """
    return "\n".join(_host_block(route, known_hosts_file) for route in _sorted(found.routes))


def _host_block(route: SshRoute, known_hosts_file: str) -> str:
    options = [
        ("User", route["user"]),
        ("HostKeyAlias", route["host_key_alias"]),
        ("UserKnownHostsFile", quote_value(known_hosts_file)),
        ("StrictHostKeyChecking", "yes"),
    ]
    if route["private_key_file"]:
        options += [("IdentityFile", quote_value(route["private_key_file"])), ("IdentitiesOnly", "yes")]
    return "".join([f"Host {route['address']}\n", *(f"  {name} {value}\n" for name, value in options)])


def known_hosts(found: Ways, host_keys: Mapping[str, str]) -> str:
    """Lines for every server; ``host_keys`` are public keys by alias. Raises KamalError for one that is missing."""
    return "".join(f"{route['host_key_alias']} {_key(route, host_keys)}\n" for route in _sorted(found.routes))


def _sorted(routes: Iterable[SshRoute]) -> list[SshRoute]:
    return sorted(routes, key=lambda route: route["host_key_alias"])


def _key(route: SshRoute, host_keys: Mapping[str, str]) -> str:
    found = _HOST_KEY.match(host_keys.get(route["host_key_alias"], ""))
    if not found:
        raise KamalError(
            f"The host key of {route['address']} is not known: let the play that reads it reach the server."
        )
    return found[0]
