# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may log in: pg_hba.conf. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

#: The superuser through the socket inside the container, where the kernel vouches for it; nobody else there.
_LOCAL = (("local", "all", "postgres", "", "peer"), ("local", "all", "all", "", "reject"))
#: The only words that keep their special meaning.
_KEYWORDS = {"databases": {"all", "replication"}, "users": set()}


class HbaError(Exception):
    """A line cannot be as declared; the message says which and why."""


def document(lines: Sequence[Mapping[str, Any]]) -> str:
    """The file: local lines first, then the declared ones in their order; whoever is in none is refused.

    Raises HbaError for a line that would let in the superuser, or somebody without TLS or a password.
    """
    rows = list(_LOCAL)
    for line in lines:
        shown = f"postgres_hba: the line for {line.get('address')}"
        if line.get("type") != "hostssl" or line.get("method") != "scram-sha-256":
            raise HbaError(f"{shown} must have the type hostssl and the method scram-sha-256.")
        try:
            address = str(ipaddress.ip_network(str(line.get("address"))))
        except ValueError:
            raise HbaError(f"{shown} must name a network like 10.0.0.3/32.") from None
        rows.append(
            ("hostssl", _names(shown, "databases", line), _names(shown, "users", line), address, "scram-sha-256")
        )
    return "".join("  ".join(part for part in row if part) + "\n" for row in rows)


def _names(shown: str, kind: str, line: Mapping[str, Any]) -> str:
    names = line.get(kind) or []
    if not names:
        raise HbaError(f"{shown} names no {kind}.")
    for name in names:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}", str(name)):
            raise HbaError(f'{shown} names "{name}" among its {kind}, which is no name.')
        if kind == "users" and name in {"all", "postgres"}:
            raise HbaError(
                f"{shown} lets {name} in over the network: the superuser only logs in through the local socket."
            )
    return ",".join(name if name in _KEYWORDS[kind] else f'"{name}"' for name in names)
