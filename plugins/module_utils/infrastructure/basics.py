# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to change about SSH keys, networks, firewalls, placement groups and primary IPs."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

from . import actual, declared
from .plan import Ref, owned
from .planning import Planning


def plan_ssh_keys(planning: Planning) -> None:
    """Keys only matter when a server is made, and the project holds each only once, under whatever name.

    So a key that somebody else has uploaded is used as it is and stays theirs.
    """
    uploaded = {_body(key.public_key): key for key in planning.actual.ssh_keys.values()}
    for key in planning.declared.ssh_keys or ():
        ref = Ref("ssh_key", key.name)
        body = {"name": key.name, "public_key": key.public_key, "labels": planning.labels(key.labels)}
        same, named = uploaded.get(_body(key.public_key)), planning.actual.ssh_keys.get(key.name)
        if same and same is named and owned(same.labels, planning.environment):
            planning.update(ref, {"labels": same.labels}, {"labels": planning.labels(key.labels, same.labels)})
        elif same:
            planning.ids[ref] = same.id
        elif named is None:
            planning.create(ref, body)
        elif planning.owns(ref, named):
            was = {"public_key": named.public_key}
            planning.add(ref, "delete", planning.itself(ref, "DELETE"), "replaced by another key", before=was)
            planning.create(ref, body)


def _body(public_key: str) -> str:
    """A key without its comment."""
    return " ".join(public_key.split()[:2])


def plan_networks(planning: Planning) -> None:
    for network in planning.declared.networks or ():
        ref = Ref("network", network.name)
        if not planning.location(ref, network.location):
            continue
        existing = planning.actual.networks.get(network.name)
        if existing is None:
            planning.create(
                ref,
                {
                    "name": network.name,
                    "ip_range": network.ip_range,
                    "subnets": [_subnet(planning, network, subnet) for subnet in network.subnets or ()],
                    "routes": [_route(route) for route in network.routes or ()],
                    "labels": planning.labels(network.labels),
                },
            )
        elif planning.owns(ref, existing):
            _update_network(planning, ref, network, existing)


def _update_network(planning: Planning, ref: Ref, network: declared.Network, existing: actual.Network) -> None:
    if not planning.keeps(ref, "ip_range", existing.ip_range, network.ip_range, "A network keeps its range"):
        return
    planning.update(ref, {"labels": existing.labels}, {"labels": planning.labels(network.labels, existing.labels)})
    if network.routes is not None:
        # A destination has one route, so the old one goes first.
        for route in existing.routes:
            if route not in network.routes:
                planning.do(ref, "delete_route", "delete_route", _route(route), "not declared", before=_route(route))
        for route in network.routes:
            if route not in existing.routes:
                planning.do(ref, "add_route", "add_route", _route(route), "declared", after=_route(route))
    if network.subnets is not None:
        for subnet in existing.subnets:
            if subnet not in network.subnets and not _in_use(planning, ref, existing, subnet):
                range_only = {"ip_range": subnet}
                planning.do(ref, "delete_subnet", "delete_subnet", range_only, "not declared", before=range_only)
        for subnet in network.subnets:
            if subnet not in existing.subnets:
                body = _subnet(planning, network, subnet)
                planning.do(ref, "add_subnet", "add_subnet", body, "declared", after=body)


def _in_use(planning: Planning, ref: Ref, network: actual.Network, subnet: str) -> bool:
    """Whether servers have addresses in the subnet, which the API would not delete; then it is refused."""
    users = sorted(
        server.name
        for server in planning.actual.servers.values()
        if network.id in server.private and IPv4Address(server.private[network.id]) in IPv4Network(subnet)
    )
    if users:
        planning.refuse(
            ref,
            "delete_subnet",
            f"{ref}: the subnet {subnet} is not declared, but {', '.join(users)} have addresses in it. Declare it, or "
            "delete these servers first.",
            before={"ip_range": subnet},
            destructive=True,
        )
    return bool(users)


def _subnet(planning: Planning, network: declared.Network, ip_range: str) -> dict[str, Any]:
    zone = planning.actual.catalogue.zones[network.location]
    return {"type": "cloud", "ip_range": ip_range, "network_zone": zone}


def _route(route: tuple[str, str]) -> dict[str, str]:
    return {"destination": route[0], "gateway": route[1]}


def plan_firewalls(planning: Planning) -> None:
    for firewall in planning.declared.firewalls or ():
        ref = Ref("firewall", firewall.name)
        existing = planning.actual.firewalls.get(firewall.name)
        rules = {"rules": [rule.body() for rule in firewall.rules or ()]}
        if existing is None:
            planning.create(ref, {"name": firewall.name, "labels": planning.labels(firewall.labels)} | rules)
        elif planning.owns(ref, existing):
            labels = planning.labels(firewall.labels, existing.labels)
            planning.update(ref, {"labels": existing.labels}, {"labels": labels})
            if firewall.rules is not None and sorted(firewall.rules) != sorted(existing.rules):
                before = {"rules": [rule.body() for rule in existing.rules]}
                planning.do(ref, "set_rules", "set_rules", rules, "rules differ", before=before, after=rules)


def plan_placement_groups(planning: Planning) -> None:
    for group in planning.declared.placement_groups or ():
        ref = Ref("placement_group", group.name)
        existing = planning.actual.placement_groups.get(group.name)
        if existing is None:
            body = {"name": group.name, "type": group.type, "labels": planning.labels(group.labels)}
            planning.create(ref, body)
        elif planning.owns(ref, existing):
            planning.update(
                ref, {"labels": existing.labels}, {"labels": planning.labels(group.labels, existing.labels)}
            )


def plan_primary_ips(planning: Planning) -> None:
    for address in planning.declared.primary_ips or ():
        ref = Ref("primary_ip", address.name)
        existing = planning.actual.primary_ips.get(address.name)
        if existing is None:
            if planning.location(ref, address.location):
                body = {
                    "name": address.name,
                    "type": address.type,
                    "assignee_type": "server",
                    "location": address.location,
                    "auto_delete": address.auto_delete,
                    "labels": planning.labels(address.labels),
                }
                price = planning.actual.catalogue.primary_ip_price(address.type, address.location)
                planning.create(ref, body, monthly=price)
        elif planning.owns(ref, existing):
            _update_primary_ip(planning, ref, address, existing)


def _update_primary_ip(planning: Planning, ref: Ref, address: declared.PrimaryIp, existing: actual.PrimaryIp) -> None:
    same_type = planning.keeps(ref, "type", existing.type, address.type, "An address keeps its type")
    if (
        not planning.keeps(ref, "location", existing.location, address.location, "An address cannot move")
        or not same_type
    ):
        return
    planning.update(
        ref,
        {"labels": existing.labels, "auto_delete": existing.auto_delete},
        {"labels": planning.labels(address.labels, existing.labels), "auto_delete": address.auto_delete},
    )
