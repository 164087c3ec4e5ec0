# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a pair is restored, and where a drill is held: decided from what the members say. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

#: What M(bulwark.hetzner.postgres_state) returns for each member, None for one that gave no answer.
States = Mapping[str, Mapping[str, Any] | None]


class Places(TypedDict):
    """``primary`` runs as such; ``member`` is where it is done; ``others`` follow. ``refusal`` says why not."""

    primary: str
    member: str
    others: list[str]
    refusal: str


def primaries(states: States) -> list[str]:
    """Members that run as primary, and are not cut off."""
    return [
        name
        for name, state in states.items()
        if state and state["running"] and state["in_recovery"] is False and not state["firewalled"]
    ]


def restore(states: States, order: Sequence[str]) -> Places:
    """The primary is restored, without one whoever was cut off in it, else the first; all others become replicas."""
    running = primaries(states)
    silent = [name for name in order if states.get(name) is None]
    if len(running) > 1:
        return _refuse(f"{' and '.join(running)} both run as primary: stop the wrong one first, see docs/database.md.")
    if silent:
        return _refuse(
            f"{', '.join(silent)} cannot be asked what it holds, and would go on with what is being replaced: bring it "
            "up, or take it out of the topology."
        )
    begun = [name for name in order if (states[name] or {}).get("recovered")]
    member = next(iter([*running, *begun, *order]), "")
    if not member:
        return _refuse("There is no database server in the inventory.")
    others = [name for name in order if name != member and (state := states[name]) and _follows(state)]
    return {"primary": running[0] if running else "", "member": member, "others": others, "refusal": ""}


def _follows(state: Mapping[str, Any]) -> bool:
    """Whether it holds data, or did until a copy deleted it that was cut off: then the fence is still there."""
    return state["data"] == "present" or (state["data"] == "none" and bool(state["fenced"]))


def drill(states: States, order: Sequence[str]) -> Places:
    """Beside a replica that streams, so that the primary has no part in the work."""
    running = primaries(states)
    if len(running) != 1:
        return _refuse(
            "A drill needs exactly one running primary, and there is " + (" and ".join(running) or "none") + "."
        )
    if len(order) == 1:
        return _refuse(
            f"A drill recovers beside a replica and compares with it, and {running[0]} is the only member of the "
            "database: try its backups in an environment that has a replica."
        )
    streaming = [name for name in order if (state := states.get(name)) and state["running"] and state["receiving"]]
    if not streaming:
        return _refuse(
            "A drill recovers beside a replica and compares with it, and none streams: bring one up, or rebuild it "
            "with playbooks/replica_rebuild.yml."
        )
    return {"primary": running[0], "member": streaming[0], "others": [], "refusal": ""}


def _refuse(sentence: str) -> Places:
    return {"primary": "", "member": "", "others": [], "refusal": sentence}
