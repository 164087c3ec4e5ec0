# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is declared and what is there to the plan. Pure: it asks nobody.

The order is that of a change without a gap: what is needed is there before it is used, and goes once it is not used
any more. The load balancer itself takes one change at a time.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..infrastructure.plan import Plan
from .actual import Actual, LoadBalancer
from .basics import (
    check_interfaces,
    check_limits,
    check_network,
    place,
    plan_algorithm,
    plan_attachment,
    plan_creation,
    plan_protection,
    plan_public,
    plan_type,
    price,
    too_small,
    wanted_type,
)
from .declared import LoadBalancer as Declared
from .planning import Planning
from .rotation import plan_removal, plan_uploads
from .services import plan_services
from .targets import plan_new_targets, plan_old_targets


def plan_present(declared: Declared, actual: Actual, now: datetime, allow: frozenset[str] = frozenset()) -> Plan:
    """What makes the load balancer as declared; what was omitted is left alone. Certificates must be valid ``now``."""
    planning = Planning(declared.environment, declared, actual, allow=allow)
    existing = actual.load_balancer
    if (existing and not planning.owns(planning.ref, existing)) or not place(planning):
        return planning.plan()
    attachment = check_network(planning)
    check_interfaces(planning)
    certificates = plan_uploads(planning, now)
    wanted = wanted_type(planning)
    type_first = existing is None or wanted is None or not too_small(wanted, existing)
    if existing is None:
        plan_creation(planning, wanted)
    else:
        labels = planning.labels(declared.labels, existing.labels)
        planning.update(planning.ref, {"labels": existing.labels}, {"labels": labels})
    if type_first:
        plan_type(planning, wanted)
    plan_algorithm(planning)
    plan_public(planning, True)
    if attachment:
        plan_attachment(planning, *attachment)
    if existing is None:
        plan_public(planning, False)  # before anything could be reached through it
    services = plan_services(planning, certificates)
    plan_new_targets(planning)
    plan_old_targets(planning)
    if existing is not None:
        plan_public(planning, False)  # once no target needs it
    if not type_first:
        plan_type(planning, wanted)
    check_limits(planning, wanted, services)
    plan_protection(planning)
    if declared.services is not None:
        plan_removal(planning, {name for service in services for name in service.get("http.certificates", ())})
    return planning.plan()


def plan_absent(declared: Declared, actual: Actual) -> Plan:
    """What deletes the load balancer, and of the certificates uploaded for it those that nobody else uses."""
    planning = Planning(declared.environment, declared, actual)
    existing = actual.load_balancer
    if existing:
        if not planning.owns(planning.ref, existing):
            return planning.plan()
        if existing.protected and declared.protected is not False:
            planning.no("delete", "it is protected from deletion: set delete_protection to false to delete it.")
            return planning.plan()
        if existing.protected:
            plan_protection(planning)
        planning.add(
            planning.ref,
            "delete",
            planning.itself(planning.ref, "DELETE"),
            "shall be absent",
            before=_facts(existing),
            destructive=True,
            monthly=-price(existing.type, existing.location),
        )
    plan_removal(planning, set(), absent=True)
    return planning.plan()


def _facts(balancer: LoadBalancer) -> dict[str, Any]:
    """What a person should see of it before it goes."""
    addresses = {"public_ipv4": balancer.ipv4, "public_ipv6": balancer.ipv6, "private": list(balancer.private.values())}
    ports = [service.port for service in balancer.services]
    return {"type": balancer.type.name, "location": balancer.location, **addresses, "ports": ports}
