# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to change about a load balancer itself: its place, type, network and interfaces."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from ..infrastructure.draft import hint
from ..infrastructure.plan import Ref
from .actual import LoadBalancer, Network, Type
from .planning import Planning
from .settings import Settings
from .targets import plan_parting, private_targets, public_targets


def price(balancer_type: Type, *locations: str) -> Decimal:
    """Of a month; where only the zone is known, of the dearest location in it."""
    return max((balancer_type.prices.get(location, Decimal(0)) for location in locations), default=Decimal(0))


def place(planning: Planning) -> bool:
    """Whether it can stand where it is declared; else it is refused."""
    declared, existing, zones = planning.declared, planning.existing, planning.actual.zones
    if existing:
        way = (
            "A load balancer cannot move: declare one with another name there, lead users to it, and then delete this "
            "one"
        )
        return planning.keeps(
            planning.ref, "location", existing.location, declared.location or existing.location, way
        ) and planning.keeps(
            planning.ref, "network_zone", existing.network_zone, declared.network_zone or existing.network_zone, way
        )
    if declared.type is None or (declared.location is None and declared.network_zone is None):
        planning.no(
            "create",
            "it is not there: make it with playbooks/edge.yml, or give a type, and a location or a network_zone.",
        )
    elif declared.location is not None and declared.location not in zones:
        planning.no("create", f"there is no location {declared.location}; there are {', '.join(sorted(zones))}.")
    elif declared.location is not None and declared.network_zone not in (None, zones[declared.location]):
        zone = zones[declared.location]
        planning.no("create", f"the location {declared.location} is in the network zone {zone}: name one of the two.")
    elif declared.network_zone is not None and declared.network_zone not in zones.values():
        there = ", ".join(sorted(set(zones.values())))
        planning.no("create", f"there is no network zone {declared.network_zone}; there are {there}.")
    else:
        return True
    return False


def _places(planning: Planning) -> list[str]:
    """The locations in which it stands, or may come to stand."""
    declared, existing = planning.declared, planning.existing
    if existing:
        return [existing.location]
    if declared.location:
        return [declared.location]
    return [location for location, zone in planning.actual.zones.items() if zone == declared.network_zone]


def wanted_type(planning: Planning) -> Type | None:
    """The type it gets; None where it has it, and where there is none, which is refused."""
    declared, existing, types = planning.declared, planning.existing, planning.actual.types
    if existing and declared.type in (None, existing.type.name):
        return None
    places = _places(planning)
    offered = sorted(name for name, known in types.items() if any(place in known.prices for place in places))
    if declared.type in offered:
        return types[declared.type]
    action = "change_type" if existing else "create"
    problem = "is not to be had" if declared.type in types else "does not exist"
    planning.no(action, f"the type {declared.type} {problem} in {', '.join(places)}; there are {', '.join(offered)}.")
    return None


def plan_creation(planning: Planning, wanted: Type | None) -> None:
    """Without its network, since an address can only be chosen later."""
    if wanted is None:
        return
    declared = planning.declared
    body: dict[str, Any] = {"name": declared.name, "load_balancer_type": wanted.name}
    body |= {"location": declared.location} if declared.location else {"network_zone": declared.network_zone}
    if declared.algorithm:
        body["algorithm"] = {"type": declared.algorithm}
    body["labels"] = planning.labels(declared.labels)
    planning.create(planning.ref, body, monthly=price(wanted, *_places(planning)))


def too_small(wanted: Type, balancer: LoadBalancer) -> bool:
    """Whether the type cannot hold what the load balancer has now."""
    return (
        len(balancer.services) > wanted.max_services
        or len(balancer.ends) > wanted.max_targets
        or len(balancer.certificates) > wanted.max_certificates
    )


def plan_type(planning: Planning, wanted: Type | None) -> None:
    existing = planning.existing
    if existing is None or wanted is None:
        return
    planning.do(
        planning.ref,
        "change_type",
        "change_type",
        {"load_balancer_type": wanted.name},
        "type differs",
        before={"type": existing.type.name},
        after={"type": wanted.name},
        monthly=price(wanted, existing.location) - price(existing.type, existing.location),
    )


def check_limits(planning: Planning, wanted: Type | None, services: Sequence[Settings]) -> None:
    """Whether the type can hold everything; else it is refused."""
    existing, declared = planning.existing, planning.declared
    size = wanted or (existing.type if existing else None)
    if size is None:
        return
    certificates = {name for settings in services for name in settings.get("http.certificates", ())}
    targets = len(declared.targets) if declared.targets is not None else len(existing.ends) if existing else 0
    for number, most, what in (
        (len(services), size.max_services, "services"),
        (targets, size.max_targets, "targets"),
        (len(certificates), size.max_certificates, "certificates"),
    ):
        if number > most:
            action = "change_type" if wanted and existing else "update"
            planning.no(
                action, f"its type {size.name} takes {most} {what}, it would have {number}: choose a bigger one."
            )


def plan_algorithm(planning: Planning) -> None:
    existing, wanted = planning.existing, planning.declared.algorithm
    if existing and wanted not in (None, existing.algorithm):
        before, after = {"algorithm": existing.algorithm}, {"algorithm": wanted}
        body = {"type": wanted}
        planning.do(
            planning.ref, "change_algorithm", "change_algorithm", body, "algorithm differs", before=before, after=after
        )


def check_network(planning: Planning) -> tuple[Network, str] | None:
    """The network and address that it has to be attached with; None where it is, or cannot be, which is refused."""
    declared, existing = planning.declared, planning.existing
    if declared.network is None:
        return None
    name, address = declared.network
    after = {"network": name, "address": address}
    network = planning.actual.networks.get(name)
    if network is None:
        there = ", ".join(sorted(planning.actual.networks)) or "none"
        near = hint(name, planning.actual.networks)
        planning.no("attach", f"there is no network {name}{near}; there are: {there}.", after=after)
        return None
    if existing and existing.private == {network.id: address}:
        return None
    problem = _address_problem(planning, network, address)
    if problem:
        planning.no("attach", problem, after=after)
        return None
    if existing and existing.private and not planning.allowed(planning.ref):
        told = " and ".join(f"{has} in {planning.actual.network_name(key)}" for key, has in existing.private.items())
        planning.no(
            "attach",
            f"it has the address {told}, declared is {address} in {name}. Moving it interrupts what goes through it: "
            f"allow {planning.ref}, or declare what it has.",
            after=after,
        )
        return None
    if existing and existing.private:
        planning.moving = True
        # The vendor detaches no load balancer that would be left without any interface, or with targets in a network
        # that it is not in.
        if not existing.public:
            planning.no("attach", "it can only move while its public interface is enabled: make that so first.")
        if planning.declared.targets is None and private_targets(planning):
            planning.no("attach", "to move it, its targets are taken away and added again: declare targets as well.")
    return network, address


def _address_problem(planning: Planning, network: Network, address: str) -> str:
    """Why the address cannot be had, or nothing."""
    place = IPv4Address(address)
    zones = [zone for ip_range, zone in network.subnets if place in IPv4Network(ip_range)]
    if place not in IPv4Network(network.ip_range) or not zones:
        subnets = ", ".join(ip_range for ip_range, _ in network.subnets) or "none"
        return f"{address} lies in no subnet of {network.name} (there are: {subnets}). Declare an address of one."
    if planning.existing:
        own = {planning.existing.network_zone}
    else:
        own = {planning.actual.zones[place] for place in _places(planning)}
    if own.isdisjoint(zones):
        return (
            f"{address} lies in a subnet of the network zone {zones[0]}, but the load balancer is one of "
            f"{', '.join(sorted(own))}. Declare an address there."
        )
    if address == network.gateway:
        return f"{address} is the gateway of {network.name}. Declare another address."
    servers = planning.actual.servers.values()
    holders = [f"server {server.name}" for server in servers if server.private.get(network.id) == address]
    others = [other for other in planning.actual.others if other.private.get(network.id) == address]
    holders += [f"load balancer {other.name}" for other in others]
    if holders:
        return f"the address {address} in {network.name} is taken by {holders[0]}. Declare another one."
    return ""


def plan_attachment(planning: Planning, network: Network, address: str) -> None:
    existing = planning.existing
    if planning.moving:
        plan_parting(planning)
    for network_id, has in (existing.private if existing else {}).items():
        name = planning.actual.network_name(network_id)
        before = {"network": name, "address": has}
        planning.do(
            planning.ref,
            "detach",
            "detach_from_network",
            {"network": Ref("network", name)},
            "another address is declared, and allowed",
            before=before,
            destructive=True,
        )
    after = {"network": network.name, "address": address}
    body: dict[str, Any] = {"network": Ref("network", network.name), "ip": address}
    planning.do(planning.ref, "attach", "attach_to_network", body, f"not at {address}", after=after)


def check_interfaces(planning: Planning) -> None:
    """Whether the interfaces that it will have are enough for its targets; else it is refused."""
    declared, existing = planning.declared, planning.existing
    networked = bool(declared.network or (existing and existing.private))
    public = declared.public if declared.public is not None else existing is None or existing.public
    if not public and not networked:
        planning.no("disable_public_interface", "without a public interface it needs a network.")
    if private_targets(planning) and not networked:
        planning.no(
            "add",
            "its targets are reached over a private network, and it is in none: give network, or set use_private_ip of "
            "the targets to false.",
        )
    if public_targets(planning) and not public:
        planning.no("add", "its targets are reached over their public addresses, which takes public_interface.")


def plan_public(planning: Planning, wanted: bool) -> None:
    """The public interface, where ``wanted`` is what is declared."""
    if planning.declared.public is not wanted or wanted is (planning.existing is None or planning.existing.public):
        return
    action = "enable_public_interface" if wanted else "disable_public_interface"
    planning.do(
        planning.ref,
        action,
        action,
        None,
        "declared",
        before={"public_interface": not wanted},
        after={"public_interface": wanted},
        destructive=not wanted and planning.existing is not None,
    )


def plan_protection(planning: Planning) -> None:
    wanted = planning.declared.protected
    has = bool(planning.existing and planning.existing.protected)
    if wanted is not None and wanted != has:
        before, after = {"delete_protection": has}, {"delete_protection": wanted}
        body = {"delete": wanted}
        planning.do(
            planning.ref, "change_protection", "change_protection", body, "declared", before=before, after=after
        )
