# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is declared and what is there to the plan. Pure: it asks nobody."""

from __future__ import annotations

from .actual import Actual
from .basics import plan_firewalls, plan_networks, plan_placement_groups, plan_primary_ips, plan_ssh_keys
from .declared import Infrastructure
from .deletion import ORDER, plan_deletion
from .plan import Plan, Ref, owned
from .planning import Planning
from .servers import plan_power, plan_servers
from .volumes import plan_volumes

#: In ``allow``, with state absent: data goes as well.
VOLUMES = "volumes"


def plan_present(declared: Infrastructure, actual: Actual, allow: frozenset[str] = frozenset()) -> Plan:
    """What makes the declared resources as declared.

    Resources of the environment that are not declared any more are left alone, unless ``allow`` names them. Kinds that
    were omitted are left alone altogether.
    """
    planning = Planning(declared.environment, declared, actual, allow=allow)
    plan_ssh_keys(planning)
    plan_networks(planning)
    plan_firewalls(planning)
    plan_placement_groups(planning)
    plan_primary_ips(planning)
    plan_servers(planning)
    plan_volumes(planning)
    plan_power(planning)
    undeclared = {ref for ref in _owned(declared.environment, actual) if _left_out(declared, ref)}
    gone = {ref for ref in undeclared if planning.allowed(ref)}
    plan_deletion(planning, gone, "not declared any more, and allowed")
    left = sorted(undeclared - gone)
    if left:
        planning.warnings.append(
            f"Not declared any more and left alone: {', '.join(map(str, left))}. Allow them by name to delete them."
        )
    return planning.plan(left)


def plan_absent(environment: str, actual: Actual, allow: frozenset[str] = frozenset()) -> Plan:
    """What deletes everything of the environment; its volumes only where ``allow`` says so."""
    planning = Planning(environment, Infrastructure(environment), actual, allow=allow)
    refs = _owned(environment, actual)
    kept = set() if VOLUMES in allow else {ref for ref in refs if ref.kind == "volume"}
    plan_deletion(planning, refs - kept, f"environment {environment} shall be absent")
    if kept:
        names = ", ".join(sorted(ref.name for ref in kept))
        planning.warnings.append(f"Volumes are kept with their data: {names}. Allow {VOLUMES} to delete them.")
    return planning.plan(sorted(kept))


def _left_out(declared: Infrastructure, ref: Ref) -> bool:
    names = declared.names(ref.kind)
    return names is not None and ref.name not in names


def _owned(environment: str, actual: Actual) -> set[Ref]:
    return {
        Ref(kind, name)
        for kind in ORDER
        for name, resource in actual.of(kind).items()
        if owned(resource.labels, environment)
    }
