# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks a server makes of itself, with real packets. Runs on the server: standard library only."""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.checks import Check

#: Times that a service on the internet is asked, and the seconds in between: it may be away without a fault of ours.
ATTEMPTS = 3
PAUSE = 2.0
#: More than any address; an answer that is longer is none.
ANSWER_LIMIT = 256

SSHD = "/usr/sbin/sshd"
ROUTES = Path("/proc/net/route")
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
RTF_UP, RTF_GATEWAY = 0x1, 0x2  # linux/route.h


@dataclass(frozen=True)
class Expectations:
    """What should be true of a server; None and empty ones are not looked at."""

    internet_address: str | None
    address_url: str
    names: Sequence[str]
    gateway: str | None
    forwarding: bool
    sshd_settings: Mapping[str, str]
    timeout: float


def examine(host: str, expected: Expectations) -> list[Check]:
    """Every check that is expected of this server."""
    results: list[tuple[str, tuple[bool, str]]] = []
    if expected.gateway:
        results.append(("default route", judge_default_route(ROUTES.read_text(), expected.gateway)))
    if expected.names:
        results.append(("names resolve", check_names(expected.names)))
    if expected.internet_address:
        seen = check_internet_address(expected.address_url, expected.internet_address, expected.timeout)
        results.append(("address on the internet", seen))
    if expected.forwarding:
        value = FORWARDING.read_text().strip()
        results.append(("forwarding", (value == "1", f"net.ipv4.ip_forward is {value}")))
    if expected.sshd_settings:
        results.append(("sshd settings", check_sshd(expected.sshd_settings, expected.timeout)))
    return [{"check": check, "host": host, "ok": ok, "detail": detail} for check, (ok, detail) in results]


def judge_default_route(table: str, gateway: str) -> tuple[bool, str]:
    """The default route that the kernel prefers, from the text of /proc/net/route (proc(5)).

    Addresses stand there as the hexadecimal number that the machine reads from their bytes.
    """
    routes: list[tuple[int, str, str]] = []
    for line in table.splitlines()[1:]:
        interface, destination, via, flags, _, _, metric, mask = line.split()[:8]
        if destination == mask == "00000000" and int(flags, 16) & RTF_UP:
            address = socket.inet_ntoa(struct.pack("=L", int(via, 16)))
            gatewayed = int(flags, 16) & RTF_GATEWAY
            routes.append((int(metric), address if gatewayed else "no gateway", interface))
    if not routes:
        return False, f"no default route, should be via {gateway}"
    _, address, interface = min(routes)
    seen = f"default via {address} dev {interface}"
    return address == gateway, seen if address == gateway else f"{seen}, should be via {gateway}"


def check_names(names: Sequence[str]) -> tuple[bool, str]:
    """Ask the system's resolver for each name."""
    found, failed = [], []
    for name in names:
        try:
            addresses = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            found.append(f"{name} is {addresses[0][4][0]}")
        except OSError as error:
            failed.append(f"{name}: {error.strerror or error}")
    return not failed, "; ".join(failed or found)


def check_internet_address(url: str, expected: str, timeout: float) -> tuple[bool, str]:
    """Ask a service on the internet which address this server comes from."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE)
        try:
            seen = fetch_own_address(url, timeout)
        except (OSError, http.client.HTTPException, ValueError) as error:
            failure = f"{url}: {error or type(error).__name__}"
        else:
            return seen == expected, f"seen as {seen}" + ("" if seen == expected else f", should be {expected}")
    return False, failure


def fetch_own_address(url: str, timeout: float) -> str:
    """The IPv4 address that the service at ``url`` answers with, reached by IPv4.

    Raises OSError or HTTPException when it cannot be reached, ValueError when it answers something else.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    family, _, _, _, address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0]
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    # A connection made here, because http.client would rather take IPv6, and another address, where there is one.
    connected = socket.socket(family, socket.SOCK_STREAM)
    try:
        connected.settimeout(timeout)
        connected.connect(address)
        if parts.scheme == "https":
            connected = ssl.create_default_context().wrap_socket(connected, server_hostname=host)
        connection.sock = connected
        # Such services answer browsers with a page, and command line clients with the bare address.
        connection.request("GET", parts.path or "/", headers={"User-Agent": "curl/8", "Accept": "*/*"})
        response = connection.getresponse()
        body = response.read(ANSWER_LIMIT)
    finally:
        connected.close()
    if response.status != 200:
        raise ValueError(f"answered with status {response.status}")
    return str(ipaddress.IPv4Address(body.decode("ascii", "replace").strip()))


def check_sshd(settings: Mapping[str, str], timeout: float) -> tuple[bool, str]:
    """Ask sshd for the settings in effect, all files and defaults considered."""
    try:
        result = subprocess.run([SSHD, "-T"], capture_output=True, text=True, timeout=timeout, check=True)
    except subprocess.CalledProcessError as error:
        return False, f"sshd -T: {error.stderr.strip()}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"sshd -T: {error}"
    return judge_sshd(result.stdout, settings)


def judge_sshd(output: str, settings: Mapping[str, str]) -> tuple[bool, str]:
    """Compare the output of ``sshd -T``, one lower-case setting a line, with what should be set."""
    actual = dict(re.findall(r"^(\S+) (.*)$", output, re.MULTILINE))
    wrong = [
        f"{name} is {actual.get(name.lower(), 'not known to sshd')}, should be {value}"
        for name, value in settings.items()
        if actual.get(name.lower()) != value
    ]
    return not wrong, "; ".join(wrong) or ", ".join(f"{name} {value}" for name, value in settings.items())
