# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a server out of a load balancer without a lost request: its health check fails, all else is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Protocol

TABLE = "bulwark_drain"
#: Bytes that one comparison of nftables takes: its registers hold 128 bits.
_MOST = 16


class DrainError(Exception):
    """It cannot be done; the message says why."""


class Runner(Protocol):
    """Runs a program by list and returns its exit code, what it printed, and its errors."""

    def __call__(self, words: Sequence[str], feed: str = "") -> tuple[int, str, str]: ...


def comparisons(path: str) -> list[tuple[int, int]]:
    """What the first bytes of a health check are compared with: at most 16 at a time, each with its offset. Pure."""
    if not re.fullmatch(r"/[!-~]*", path):
        raise DrainError(f"The health check's path is {path!r}; it must be one such as /up.")
    begin = f"GET {path} ".encode()
    return [(at, int.from_bytes(begin[at : at + _MOST])) for at in range(0, len(begin), _MOST)]


def render(address: str, port: int, path: str) -> str:
    """The table that ends a health check as soon as it asks, made in one transaction. Pure.

    What comes over a connection of the load balancer and does not begin with the check's first line passes. Before
    Docker's DNAT, so that the port is the published one.
    """
    ip = ip_address(address)
    size = len(f"GET {path} ")
    match = " ".join(f"@ih,{at * 8},{min(_MOST, size - at) * 8} {value:#x}" for at, value in comparisons(path))
    family = "ip" if ip.version == 4 else "ip6"
    return f"""\
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
  chain prerouting {{
    type filter hook prerouting priority mangle; policy accept;
    {family} saddr {ip} tcp dport {port} {match} reject with tcp reset
  }}
}}
"""


def shown(listing: str) -> tuple[str, int, list[tuple[int, int]]] | None:
    """Whose health check a listing of nft rejects: address, port, comparisons. None for nobody's. Pure."""
    for entry in json.loads(listing)["nftables"]:
        expressions: list[dict[str, Any]] = entry.get("rule", {}).get("expr", [])
        if not expressions or "reject" not in expressions[-1]:
            continue
        matches = [expression["match"] for expression in expressions[:-1]]
        fields = {match["left"]["payload"].get("field"): match["right"] for match in matches}
        parts = [
            (match["left"]["payload"]["offset"] // 8, match["right"])
            for match in matches
            if match["left"]["payload"].get("base") == "ih"
        ]
        return str(fields.get("saddr", "")), int(fields.get("dport", 0)), parts
    return None


def drained(run: Runner, address: str, port: int, path: str) -> bool:
    """Whether exactly this health check fails here."""
    code, out, _ = run(["nft", "--json", "list", "table", "inet", TABLE])
    return code == 0 and shown(out) == (str(ip_address(address)), port, comparisons(path))


def there(run: Runner) -> bool:
    """Whether some health check is made to fail here."""
    return run(["nft", "list", "table", "inet", TABLE])[0] == 0


def drain(run: Runner, address: str, port: int, path: str) -> None:
    """Let the health check fail from now on, until it is taken back or the server boots."""
    code, _, error = run(["nft", "-f", "-"], feed=render(address, port, path))
    if code != 0 or not drained(run, address, port, path):
        raise DrainError(
            f"nftables did not take the rule that lets the health check fail: {error.strip() or 'no error'}"
        )


def take_back(run: Runner) -> None:
    """Let the health check be answered again."""
    code, _, error = run(["nft", "delete", "table", "inet", TABLE])
    if code != 0 and there(run):
        raise DrainError(f"nftables did not give up the rule that lets the health check fail: {error.strip()}")
