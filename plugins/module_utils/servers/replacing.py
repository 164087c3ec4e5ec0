# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a server may be deleted and made anew in its place. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from ..postgres.restoring import States, primaries
from .scaling import APPLICATION, answering

DATABASE = "db"


class Replacing(TypedDict):
    """``refusal`` is one sentence, or empty; ``lost`` says what goes with the server."""

    there: bool
    roles: list[str]
    refusal: str
    lost: str


def replacing(
    name: str,
    declared: Sequence[Mapping[str, Any]],
    there: Sequence[Mapping[str, Any]],
    environment: str,
    states: States | None = None,
    targets: Sequence[Mapping[str, Any]] | None = None,
) -> Replacing:
    """What stands against it.

    ``states`` is what the members of the database have answered, by name, None for one that did not; the others are
    those of :func:`..scaling.scaling`.
    """
    server = next((one for one in there if one["name"] == name and one["env"] == environment), None)
    names = [one["name"] for one in declared]
    roles = list(server["roles"]) if server else []
    refusal = ""
    if not name:
        refusal = "Name the server with -e server=NAME."
    elif name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        mean = f"did you mean {near[0]}?" if near else f"declared are {', '.join(names)}."
        refusal = f"{name} is not declared in the topology, so it would not be made anew: {mean}"
    elif server and DATABASE in roles:
        refusal = _refuse_database(name, states or {})
    elif server and APPLICATION in roles:
        refusal = _refuse_application(server, there, environment, targets)
    return {"there": server is not None, "roles": roles, "refusal": refusal, "lost": _lost(server)}


def _refuse_database(name: str, states: States) -> str:
    running = primaries(states)
    if set(states) == {name}:
        return (
            f"{name} is the only member of the database, so nobody could take over meanwhile: bring it back from its "
            "backups instead (docs/disaster-recovery.md), or declare a replica first."
        )
    if name in running:
        return (
            f"{name} is the primary of the database: let the other one take over first, with playbooks/switchover.yml, "
            "or with playbooks/failover.yml if it is sick."
        )
    if len(running) != 1:
        told = " and ".join(running) or "none"
        return (
            f"It takes one running primary beside {name}, and there is {told}: bring one up first, with "
            "playbooks/failover.yml if the primary has failed."
        )
    return ""


def _refuse_application(
    server: Mapping[str, Any],
    there: Sequence[Mapping[str, Any]],
    environment: str,
    targets: Sequence[Mapping[str, Any]] | None,
) -> str:
    taking = answering(targets)
    others = {
        one["id"]
        for one in there
        if one["env"] == environment and APPLICATION in one["roles"] and one["id"] != server["id"]
    }
    if server["id"] in taking and not others & taking:
        return (
            f"{server['name']} is the only one that answers users: declare another in topology.servers.app.count, run "
            "playbooks/scale.yml and deploy there first."
        )
    return ""


def _lost(server: Mapping[str, Any] | None) -> str:
    if server is None:
        return ""
    kept = [volume["name"] for volume in server["volumes"]]
    volumes = f"; its {'volumes stay' if len(kept) > 1 else 'volume stays'} ({', '.join(kept)})" if kept else ""
    way = ". Until it is there again nobody reaches the other servers by SSH, and these reach no internet"
    return f"all that is on its disk goes{volumes}" + (way if "bastion" in server["roles"] else "")
