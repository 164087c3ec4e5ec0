# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to change about the targets of a load balancer."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from ..infrastructure.draft import hint
from ..infrastructure.plan import Ref
from . import actual
from .declared import Target, requirements
from .planning import Planning


def private_targets(planning: Planning) -> bool:
    """Whether any target is reached over a private network."""
    return any(_ways(planning))


def public_targets(planning: Planning) -> bool:
    return not all(_ways(planning))


def _ways(planning: Planning) -> list[bool]:
    """For each target whether it is."""
    declared, existing = planning.declared.targets, planning.existing
    targets = declared if declared is not None else existing.targets if existing else ()
    return [_private(target) for target in targets]


def _private(target: Target | actual.Target) -> bool:
    return ip_address(target.value).is_private if target.kind == "ip" else target.private


def plan_parting(planning: Planning) -> None:
    """Remove the targets that are reached over the network which the load balancer leaves."""
    for target in planning.existing.targets if planning.existing else ():
        if _private(target):
            _remove(planning, target, "the load balancer moves")


def _there(planning: Planning) -> list[actual.Target]:
    """The targets that are there when targets have their turn."""
    targets = planning.existing.targets if planning.existing else ()
    return [target for target in targets if not (planning.moving and _private(target))]


def plan_new_targets(planning: Planning) -> None:
    there = {_key(target): target for target in _there(planning)}
    for target in planning.declared.targets or ():
        part = planning.part("target", target.value)
        if target.kind == "server" and not _reachable(planning, part, target):
            continue
        existing = there.get(_declared_key(planning, target))
        if existing is None:
            _add(planning, part, target)
        elif target.kind != "ip" and existing.private != target.private:
            # The same target cannot be there twice.
            _remove(planning, existing, "reached the other way")
            _add(planning, part, target)


def plan_old_targets(planning: Planning) -> None:
    if planning.declared.targets is None:
        return
    declared = {_declared_key(planning, target) for target in planning.declared.targets}
    for target in _there(planning):
        if _key(target) not in declared:
            _remove(planning, target, "not declared")


def _key(target: actual.Target) -> tuple[str, int | str]:
    selector = target.kind == "label_selector"
    return target.kind, requirements(str(target.value)) if selector else target.value


def _declared_key(planning: Planning, target: Target) -> tuple[str, int | str]:
    if target.kind == "label_selector":
        return target.kind, requirements(target.value)
    if target.kind == "ip":
        return target.kind, target.value
    server = planning.actual.servers.get(target.value)
    return target.kind, server.id if server else 0


def _reachable(planning: Planning, part: Ref, target: Target) -> bool:
    """Whether the server is there, and where the load balancer looks for it; else it is refused."""
    servers, networks = planning.actual.servers, planning.actual.networks
    server = servers.get(target.value)
    if server is None:
        there = ", ".join(sorted(servers)) or "none"
        sentence = f"there is no server {target.value}{hint(target.value, servers)}; there are: {there}."
        planning.refuse(part, "add", f"{part}: {sentence}")
        return False
    if not target.private:
        if server.ipv4 is None:
            sentence = "the server has no public IPv4 address: give it one, or set use_private_ip to true."
            planning.refuse(part, "add", f"{part}: {sentence}")
        return server.ipv4 is not None
    if planning.declared.network:
        own = [networks[name].id for name in planning.declared.network[:1] if name in networks]
    else:
        own = list(planning.existing.private) if planning.existing else []
    if own and not any(network in server.private for network in own):
        names = ", ".join(map(planning.actual.network_name, own))
        sentence = f"the server is not in the network {names} of the load balancer: attach it there first."
        planning.refuse(part, "add", f"{part}: {sentence}")
        return False
    return True


def _add(planning: Planning, part: Ref, target: Target) -> None:
    request: dict[str, Any] = {"type": target.kind}
    if target.kind == "server":
        request["server"] = {"id": Ref("server", target.value)}
    else:
        request[target.kind] = {_FIELDS[target.kind]: target.value}
    after: dict[str, Any] = {target.kind: target.value}
    if target.kind != "ip":
        request["use_private_ip"] = after["use_private_ip"] = target.private
    planning.change_part(part, "add", "add_target", request, "declared and not there", after=after)


def _remove(planning: Planning, target: actual.Target, why: str) -> None:
    request = {"type": target.kind, target.kind: {_FIELDS[target.kind]: target.value}}
    name = (planning.actual.server_name(target.value) if target.kind == "server" else None) or target.value
    before: dict[str, Any] = {target.kind: name}
    if target.kind != "ip":
        before["use_private_ip"] = target.private
    part = planning.part("target", name)
    planning.change_part(part, "remove", "remove_target", request, why, before=before, destructive=True)


#: What the API calls the value of each kind.
_FIELDS = {"server": "id", "label_selector": "selector", "ip": "ip"}
