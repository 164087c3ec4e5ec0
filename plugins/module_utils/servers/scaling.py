# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which servers come and which go when their number in the topology has changed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

#: Roles whose servers keep nothing that others do not have.
SCALED = frozenset({"app", "jobs"})
APPLICATION = "app"
HEALTHY = "healthy"


class Scaling(TypedDict):
    """Names, in order. ``refusal`` is one sentence, or empty."""

    new: list[str]
    leaving: list[str]
    others: list[str]  # not declared either, but of roles that hold something: left alone
    idle: list[str]  # application servers that are declared and there, and take no traffic
    refusal: str


def scaling(
    declared: Sequence[Mapping[str, Any]],
    there: Sequence[Mapping[str, Any]],
    environment: str,
    targets: Sequence[Mapping[str, Any]] | None = None,
) -> Scaling:
    """What has to come and go.

    ``declared`` are the servers of M(bulwark.hetzner.hcloud_infrastructure), ``there`` the values of the host variable
    ``bulwark_server``, ``targets`` the load balancer's, each with ``server_id`` and ``health`` by port; None where
    nobody has asked it.
    """
    names = {server["name"] for server in declared}
    ours = {server["name"]: server for server in there if server["env"] == environment}
    undeclared = sorted(ours.keys() - names)
    leaving = [name for name in undeclared if ours[name]["roles"] and SCALED.issuperset(ours[name]["roles"])]
    staying = [name for name in sorted(ours.keys() & names) if APPLICATION in ours[name]["roles"]]
    taking = answering(targets)
    return {
        "new": [server["name"] for server in declared if server["name"] not in ours and _scaled(server)],
        "leaving": leaving,
        "others": [name for name in undeclared if name not in leaving],
        "idle": [] if targets is None else [name for name in staying if ours[name]["id"] not in taking],
        "refusal": _refusal(
            [ours[name] for name in leaving if APPLICATION in ours[name]["roles"]],
            [ours[name] for name in staying],
            None if targets is None else taking,
        ),
    }


def answering(targets: Sequence[Mapping[str, Any]] | None) -> set[int]:
    """Ids of the servers that the load balancer finds healthy by every service."""
    return {one["server_id"] for one in targets or () if one["health"] and set(one["health"].values()) == {HEALTHY}}


def _scaled(server: Mapping[str, Any]) -> bool:
    return server["labels"]["role"] in SCALED


def _refusal(
    leaving: Sequence[Mapping[str, Any]], staying: Sequence[Mapping[str, Any]], taking: set[int] | None
) -> str:
    names = ", ".join(server["name"] for server in leaving)
    if leaving and not staying:
        return f"Without {names} no server of the application is left: declare at least one in topology.servers.app."
    if taking is None or not any(server["id"] in taking for server in leaving):
        return ""
    if any(server["id"] in taking for server in staying):
        return ""
    others = ", ".join(server["name"] for server in staying)
    return (
        f"Without {names} nobody would answer: of the servers that stay ({others}), the load balancer finds none "
        "healthy. Deploy the application on them first, then run this again."
    )
