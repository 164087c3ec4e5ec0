# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fence: a primary that is out of control can accept no more writes, and that is seen, not assumed."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace

from .container import NAME, UNIT, PostgresError, Runner
from .local import RAN_AS_PRIMARY, Local, forget
from .state import FENCE, FENCE_TABLE

#: Drops what clients send to PostgreSQL and what it sends them, also on connections that are open, before any other
#: rule. What this server asks of another member's PostgreSQL passes: rejoining needs it.
RULES = f"""
table inet {FENCE_TABLE}
delete table inet {FENCE_TABLE}
table inet {FENCE_TABLE} {{
  chain input {{ type filter hook input priority -400; policy accept; tcp dport 5432 drop; }}
  chain output {{ type filter hook output priority -400; policy accept; tcp sport 5432 drop; }}
}}
"""
_ALL = {("input", "dport"), ("output", "sport")}
#: How often it is tried to stop what may be started again at the same moment.
_TRIES = 3


@dataclass(frozen=True)
class Fence:
    """``kind``: service or firewall. ``told``: what was seen."""

    kind: str
    told: str


def fence(here: Local, quick: Runner) -> Fence:
    """Stop PostgreSQL and keep it down; if that cannot be done, cut it off. Raises PostgresError when neither holds.

    ``quick`` gives up soon: whether Docker answers at all.
    """
    try:
        return _service(here, quick)
    except (PostgresError, OSError) as error:
        try:
            return _firewall(here, str(error))
        except PostgresError as second:
            raise PostgresError(f"{error} {second}") from None


def fenced(here: Local) -> Fence | None:
    """The fence that holds already."""
    try:
        if os.path.exists(FENCE) and not here.runs() and _ended(here):
            return Fence("service", "PostgreSQL is stopped, and the mark that keeps it down is there")
    except PostgresError:
        pass  # Docker does not say, so that is no fence
    _, out, _ = here.run(["nft", "--json", "list", "table", "inet", FENCE_TABLE])
    return Fence("firewall", "nothing reaches or leaves its port 5432") if out and drops(out) == _ALL else None


def _ended(here: Local) -> bool:
    return here.run(["systemctl", "show", "--property=ActiveState", "--value", UNIT])[1].strip() in {
        "inactive",
        "failed",
    }


def _service(here: Local, quick: Runner) -> Fence:
    here.fence()
    replace(here, run=quick).runs()
    forget(RAN_AS_PRIMARY)
    for _ in range(_TRIES):
        if here.runs():
            # It has failed in some way already; what it could still send in an orderly end is not worth a wait.
            here.run(["docker", "stop", "--time", "2", NAME])
        here.run(["systemctl", "stop", UNIT])
        # The unit first: after that nothing starts the container any more.
        if _ended(here) and not here.runs():
            return Fence("service", "PostgreSQL is stopped: its unit has ended, its container does not run")
    raise PostgresError("PostgreSQL could not be stopped.")


def _firewall(here: Local, why: str) -> Fence:
    code, _, error = here.run(["nft", "-f", "-"], feed=RULES)
    if code != 0:
        raise PostgresError(f"Its port could not be closed either: {error.strip()}")
    code, out, error = here.run(["nft", "--json", "list", "table", "inet", FENCE_TABLE])
    if code != 0 or drops(out) != _ALL:
        raise PostgresError(f"Its port could not be closed either: the rules are not there. {error.strip()}")
    return Fence("firewall", f"nothing reaches or leaves its port 5432 any more (not stopped: {why})")


def drops(listing: str) -> set[tuple[str, str]]:
    """What nft's listing drops of port 5432: hook and direction. Pure."""
    found = set()
    hooks: dict[str, str] = {}
    for entry in json.loads(listing)["nftables"]:
        if "chain" in entry:
            hooks[entry["chain"]["name"]] = entry["chain"].get("hook", "")
        if "rule" in entry:
            match, *rest = entry["rule"]["expr"]
            left = match.get("match", {}).get("left", {}).get("payload", {})
            if match.get("match", {}).get("right") == 5432 and rest == [{"drop": None}]:
                found.add((hooks.get(entry["rule"]["chain"], ""), left.get("field", "")))
    return found
