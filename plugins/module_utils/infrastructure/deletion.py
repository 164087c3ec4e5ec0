# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to happen to resources that shall not be there any more."""

from __future__ import annotations

from collections.abc import Set
from decimal import Decimal

from .actual import Resource
from .plan import COLLECTIONS, Ref
from .planning import Planning

#: Nothing is deleted before what uses it.
ORDER = ("server", "volume", "primary_ip", "placement_group", "firewall", "network", "ssh_key")


def plan_deletion(planning: Planning, refs: Set[Ref], why: str) -> None:
    """Delete all of ``refs``, which exist and are the environment's; what is in the way is refused."""
    for kind in ORDER:
        for name in sorted(name for refs_kind, name in refs if refs_kind == kind):
            ref = Ref(kind, name)
            problem = _obstacle(planning, ref, refs)
            if problem:
                planning.refuse(ref, "delete", f"{ref} cannot be deleted: {problem}.", destructive=True)
                continue
            if kind == "volume":
                _detach(planning, ref, refs)
            planning.add(
                ref,
                "delete",
                planning.itself(ref, "DELETE"),
                why,
                before=_facts(planning.actual.of(kind)[name]),
                destructive=True,
                monthly=-_price(planning, ref),
                reads=_used_by(planning, ref),
            )


def _facts(resource: Resource) -> dict[str, str | int]:
    """What a person should see of a resource before it goes: all that is a single value."""
    facts = vars(resource).items()
    return {key: value for key, value in facts if type(value) in (str, int) and key not in ("id", "name", "server")}


def _obstacle(planning: Planning, ref: Ref, refs: Set[Ref]) -> str:
    """What keeps the resource from being deleted, or nothing."""
    actual = planning.actual
    if getattr(actual.of(ref.kind)[ref.name], "protected", False):
        return "it is protected; take the protection off in the Hetzner Console first"
    users: set[int] = set()
    if ref.kind == "network":  # the API would cut them off without a word
        users.update(actual.networks[ref.name].servers)
    elif ref.kind == "firewall":
        users.update(actual.firewalls[ref.name].servers)
    elif ref.kind == "primary_ip":
        users.update(filter(None, [actual.primary_ips[ref.name].server]))
    names = (actual.name("server", user) for user in users)
    staying = sorted(name for name in names if Ref("server", name) not in refs)
    return f"in use by server {', '.join(staying)}" if staying else ""


def _detach(planning: Planning, ref: Ref, refs: Set[Ref]) -> None:
    """A volume leaves a server that is deleted by itself, and one that stays only when told."""
    attached = planning.actual.volumes[ref.name].server
    server = Ref("server", planning.actual.name("server", attached)) if attached else None
    if server and server not in refs:
        before = {"server": server.name}
        planning.do(ref, "detach", "detach", None, "deleted next", before=before, writes=frozenset({server}))


def _used_by(planning: Planning, ref: Ref) -> frozenset[Ref]:
    """Everything that must outlive a server, so that it is deleted after it."""
    if ref.kind != "server":
        return frozenset()
    others = (Ref(kind, name) for kind in COLLECTIONS if kind != "server" for name in planning.actual.of(kind))
    return frozenset(others)


def _price(planning: Planning, ref: Ref) -> Decimal:
    actual, catalogue = planning.actual, planning.actual.catalogue
    if ref.kind == "server":
        return catalogue.server_price(actual.servers[ref.name].type, actual.servers[ref.name].location)
    if ref.kind == "volume":
        return actual.volumes[ref.name].size * catalogue.volume_price
    if ref.kind == "primary_ip":
        return catalogue.primary_ip_price(actual.primary_ips[ref.name].type, actual.primary_ips[ref.name].location)
    return Decimal(0)
