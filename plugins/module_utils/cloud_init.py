# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first boot of a server: cloud-config for the vendor's ``user_data``.

It does what has to hold before Ansible can log in: the user, SSH without passwords and without root, and on a private
server the way out. Everything else is the roles' business. No secret belongs here: the metadata service hands the
whole text to every process on the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

import yaml

#: Bytes; https://docs.hetzner.cloud/reference/cloud#tag/servers/create_server
MAX_USER_DATA = 32 * 1024

#: The vendor's resolvers, which a server without a public interface is not told of
#: (https://docs.hetzner.com/dns-console/dns/general/recursive-name-servers/).
RESOLVERS = ("185.12.64.1", "185.12.64.2")
PRIVATE_MTU = 1450

#: Sorts before netplan's 10-netplan-*, and the first file that matches an interface is the one that counts.
NETWORK_FILE = "/etc/systemd/network/05-bulwark-private.network"
#: Sorts before 50-cloud-init.conf; sshd takes the first value it reads.
SSHD_FILE = "/etc/ssh/sshd_config.d/00-bulwark.conf"


class UserDataError(ValueError):
    """The first-boot data cannot be made; the message is a sentence for a person."""


@dataclass(frozen=True)
class PrivateNetwork:
    """What a server without a public interface must know to reach anything."""

    ip_range: IPv4Network
    gateway: IPv4Address


def user_data(user: str, authorized_keys: list[str], private: PrivateNetwork | None) -> str:
    """The cloud-config of a server; ``private`` is None on one with a public interface. Same input, same text."""
    files = [_file(SSHD_FILE, _SSHD)]
    commands = [
        ["passwd", "--lock", "root"],
        # Where a socket starts sshd on the first connection (Ubuntu 24.04) it may not run yet: nothing to restart then.
        ["systemctl", "try-restart", "ssh.service"],
    ]
    if private:
        files.append(_file(NETWORK_FILE, _network_file(private)))
        commands += _PRIVATE_COMMANDS
    config = {
        "users": [
            {
                "name": user,
                "groups": ["sudo"],
                "sudo": "ALL=(ALL:ALL) NOPASSWD:ALL",
                "shell": "/bin/bash",
                "lock_passwd": True,
                "ssh_authorized_keys": authorized_keys,
            }
        ],
        "disable_root": True,
        "ssh_pwauth": False,
        "write_files": files,
        "runcmd": commands,
    }
    text = "#cloud-config\n" + yaml.dump(config, Dumper=_Dumper, sort_keys=False, width=120)
    if len(text.encode()) > MAX_USER_DATA:
        raise UserDataError(
            f"The first-boot data has {len(text.encode())} bytes, the vendor takes {MAX_USER_DATA}: "
            "declare fewer admin keys and let the role server_baseline add the others."
        )
    return text


class _Dumper(yaml.SafeDumper):
    """YAML for people: text of several lines as a block."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _file(path: str, content: str) -> dict[str, str]:
    return {"path": path, "permissions": "0644", "content": content}


_SSHD = """\
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
"""


def _network_file(private: PrivateNetwork) -> str:
    # The routes are static because the DHCP answer carries no router, and may carry one for 169.254.169.254 that leads
    # nowhere. The only interface of a private server is called enp7s0 or ens10, by server type.
    return f"""\
[Match]
Name=en*

[Link]
MTUBytes={PRIVATE_MTU}

[Network]
DHCP=ipv4
DNS={" ".join(RESOLVERS)}

[DHCPv4]
UseRoutes=no
UseDNS=no

[Route]
Destination={private.gateway}/32
Scope=link

[Route]
Destination={private.ip_range}
Gateway={private.gateway}
GatewayOnLink=yes

[Route]
Destination=0.0.0.0/0
Gateway={private.gateway}
GatewayOnLink=yes
"""


_RESOLV_CONF = "".join(f"nameserver {address}\\n" for address in RESOLVERS)

_PRIVATE_COMMANDS = [
    # The image's package hc-utils starts a DHCP client of its own on private interfaces (by a udev rule and by a scan
    # at boot), which fights networkd over addresses and routes (https://github.com/hetznercloud/hc-utils).
    ["systemctl", "mask", "hc-net-scan.service", "hc-net-ifup@.service"],
    ["systemctl", "stop", "hc-net-ifup@*.service"],
    ["systemctl", "enable", "--now", "systemd-networkd.service"],
    ["networkctl", "reload"],
    # Without systemd-resolved nothing reads the DNS of the network file. A link into its directory would dangle.
    [
        "sh",
        "-c",
        "systemctl is-active --quiet systemd-resolved.service || "
        f"{{ test ! -L /etc/resolv.conf || rm /etc/resolv.conf; printf '{_RESOLV_CONF}' > /etc/resolv.conf; }}",
    ],
]
