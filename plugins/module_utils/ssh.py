# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a server is reached by SSH: the one place that knows the OpenSSH client's options.

Host keys are always checked. A server is known under an alias made of its id in the API, not under its address:
addresses come back with other servers behind them, ids never do. So a server that was made anew is met as a new one,
while one that answers with another key under the same id is refused.

Where host authorities are known, a server is told by the certificate that one of them made for its alias. The client
gets their keys from a command that prints them, so nothing has to be kept on the controller.

Options: https://man.openbsd.org/ssh_config.5. The client must be OpenSSH 7.6 or newer, for ``accept-new``; with host
authorities 8.5 or newer, for ``KnownHostsCommand``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict, cast

#: Seconds until a connection to the bastion counts as failed.
CONNECT_TIMEOUT = 10
#: Seconds that a connection to the bastion outlives its last user, to be there for the next task.
CONTROL_PERSIST = 60
#: Seconds between signs of life on that connection; it ends when three in a row stay unanswered.
ALIVE_INTERVAL = 15

USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


class SshRouteExtras(TypedDict, total=False):
    """What a way may say beside the rest.

    ``host_authorities`` are public keys, type and key, that vouch for the server. ``first_contact`` is whether a server
    that is neither known nor shows a certificate may be a new one (by default it may); it counts only where there are
    host authorities. ``control_name`` names the socket of the connection that others share, on a bastion.
    """

    host_authorities: list[str]
    first_contact: bool
    control_name: str


class SshRoute(SshRouteExtras):
    """The way to one server, as plain data: the value of the host variable ``bulwark_ssh``."""

    name: str
    environment: str | None
    address: str
    user: str
    host_key_alias: str
    known_hosts_file: str
    private_key_file: str | None
    control_directory: str
    jump: SshRoute | None


def host_key_alias(server_id: int) -> str:
    """The name a server's host key is kept under in the known hosts file."""
    return f"hcloud-{server_id}"


def checked_route(data: Mapping[str, Any]) -> SshRoute:
    """A route that came as a module's option. Raises ValueError where something of it is missing."""
    missing = SshRoute.__required_keys__ - data.keys()
    if missing:
        raise ValueError(f"The way to the server lacks {', '.join(sorted(missing))}: give it the variable bulwark_ssh.")
    if data["jump"]:
        checked_route(data["jump"])
    return cast(SshRoute, dict(data))


def quote_value(value: str) -> str:
    """A value as ssh reads it from an option: in double quotes where it holds blanks, percent signs doubled.

    Raises ValueError for what is read differently from one version of ssh to the next.
    """
    if not value.isprintable() or '"' in value or "\\" in value:
        raise ValueError(
            f"{value!r} cannot stand in an SSH option: take out quotation marks, backslashes, line breaks."
        )
    value = value.replace("%", "%%")
    return f'"{value}"' if re.search(r"[\s#']", value) else value


def _identity(route: SshRoute) -> list[tuple[str, str]]:
    if not route["private_key_file"]:
        return []
    # Without IdentitiesOnly an agent's other keys are tried first, and the server hangs up after a few.
    return [("IdentityFile", quote_value(route["private_key_file"])), ("IdentitiesOnly", "yes")]


def _host_key_checking(route: SshRoute, first_contact: bool = True) -> list[tuple[str, str]]:
    """``first_contact`` False: not even a server that may be new is taken at its word."""
    authorities = route.get("host_authorities", [])
    may_be_new = not authorities or (first_contact and route.get("first_contact", True))
    options = [
        ("HostKeyAlias", route["host_key_alias"]),
        ("UserKnownHostsFile", quote_value(route["known_hosts_file"])),
        ("StrictHostKeyChecking", "accept-new" if may_be_new else "yes"),
    ]
    if authorities:
        lines = [f'"@cert-authority {route["host_key_alias"]} {key}"' for key in authorities]
        # ssh runs it without a shell, and reads %% as a percent sign.
        options.append(("KnownHostsCommand", " ".join([r"/usr/bin/printf %%s\n", *lines])))
    return options


def _arguments(options: Iterable[tuple[str, str]]) -> list[str]:
    return [argument for name, value in options for argument in ("-o", f"{name}={value}")]


def proxy_command(jump: SshRoute) -> str:
    """The command, for a shell, that connects its input and output with the target by way of ``jump``.

    All targets share one connection to it, kept open behind a socket: the handshake with the bastion is then paid
    once per minute instead of once per server.
    """
    control_name = jump.get("control_name", jump["host_key_alias"])
    options = [
        *_host_key_checking(jump),
        *_identity(jump),
        ("BatchMode", "yes"),  # a question asked in here would reach nobody
        ("LogLevel", "ERROR"),
        ("ConnectTimeout", str(CONNECT_TIMEOUT)),
        ("ServerAliveInterval", str(ALIVE_INTERVAL)),
        ("ControlMaster", "auto"),
        ("ControlPersist", str(CONTROL_PERSIST)),
        ("ControlPath", quote_value(f"{jump['control_directory']}/{control_name}-jump-{jump['user']}")),
    ]
    arguments = shlex.join([*_arguments(options), "-l", jump["user"], "--", jump["address"]])
    # ssh replaces percent tokens before the shell sees the line; only %h and %p, the target's, are meant for it.
    return f"ssh -W %h:%p {arguments.replace('%', '%%')}"


def common_arguments(route: SshRoute) -> list[str]:
    """Arguments for ssh, sftp and scp alike, without user, key and address of the target."""
    arguments = _arguments(_host_key_checking(route))
    if route["private_key_file"]:
        arguments += _arguments([("IdentitiesOnly", "yes")])
    if route["jump"]:
        arguments += _arguments([("ProxyCommand", proxy_command(route["jump"]))])
    return arguments


def command(route: SshRoute, user: str, options: Iterable[tuple[str, str]], remote_command: str) -> list[str]:
    """The command that runs another one on the server as ``user``. ``options`` come before all others, and so win."""
    identity = [*_identity(route), ("BatchMode", "yes")]
    arguments = [*_arguments(options), *_arguments(identity), *common_arguments(route)]
    return ["ssh", *arguments, "-l", user, "--", route["address"], remote_command]


def ansible_variables(route: SshRoute) -> dict[str, str]:
    """The connection variables that make Ansible's SSH connection take this way."""
    variables = {
        "ansible_host": route["address"],
        "ansible_user": route["user"],
        "ansible_ssh_common_args": shlex.join(common_arguments(route)),
        # Ansible's own name for the socket is made of address and user: it would take 10.0.0.3 of one environment for
        # 10.0.0.3 of another. %% because Ansible, too, replaces percent tokens in it; %r is the user.
        "ansible_control_path": f"%(directory)s/{route['host_key_alias']}-%%r",
    }
    if route["private_key_file"]:
        variables["ansible_ssh_private_key_file"] = route["private_key_file"]
    return variables


_CLIENT_CONFIG_HEAD = """\
# SSH client configuration written by bulwark.hetzner: changes made here are lost when it is written again.
# To have ssh read it, begin ~/.ssh/config with this line, before any Host:   Include config.d/*
"""


def client_config(routes: Iterable[SshRoute]) -> str:
    """An SSH client configuration for people, in which every server goes by its name.

    Each also goes by name.environment, which stays unambiguous where two environments are configured side by side.
    """
    blocks = [_host_block(route) for route in sorted(routes, key=lambda route: route["name"])]
    return "\n".join([_CLIENT_CONFIG_HEAD, *blocks])


def _qualified_name(route: SshRoute) -> str:
    return f"{route['name']}.{route['environment']}" if route["environment"] else route["name"]


def _host_block(route: SshRoute) -> str:
    # This text outlives the time in which a server may be new, so it goes by certificates from the start.
    checking = _host_key_checking(route, first_contact=False)
    options = [("HostName", route["address"]), ("User", route["user"]), *_identity(route), *checking]
    if route["jump"]:
        options.append(("ProxyJump", _qualified_name(route["jump"])))
    names = dict.fromkeys([route["name"], _qualified_name(route)])
    return "".join([f"Host {' '.join(names)}\n", *(f"  {name} {value}\n" for name, value in options)])
