"""Cloud firewalls: their rules, and the servers they are in force on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_network
from typing import TYPE_CHECKING

from lab.errors import CloudError, invalid_field
from lab.operations import common
from lab.state.resources import Action, Firewall, FirewallRule, Ref, Server

if TYPE_CHECKING:
    from lab.operations.cloud import Cloud

_MOST_RULES = 50
_MOST_NETWORKS_IN_A_RULE = 100
_MOST_FIREWALLS_ON_A_SERVER = 5
_LONGEST_NAME = 128
_LONGEST_DESCRIPTION = 255
_LAST_PORT = 65535
_PROTOCOLS_WITH_PORTS = ("tcp", "udp")
_PROTOCOLS = (*_PROTOCOLS_WITH_PORTS, "icmp", "esp", "gre")


@dataclass(frozen=True)
class Target:
    """What a firewall is applied to: one server, or all that a label selector matches."""

    server_id: int | None = None
    selector: str | None = None


def create(
    cloud: Cloud, name: str, rules: Sequence[FirewallRule], targets: Sequence[Target], labels: Mapping[str, str]
) -> tuple[Firewall, list[Action]]:
    store = cloud.store
    if len(name) > _LONGEST_NAME:
        raise invalid_field("name", f"must not be longer than {_LONGEST_NAME} characters")
    checked_labels = common.check_labels(labels)
    checked_rules = check_rules(rules)
    common.check_name_is_free("firewall", name, store.firewalls)
    common.check_limit(store, "firewalls", len(store.firewalls))
    firewall = Firewall(store.new_id(), name, store.now(), checked_rules, labels=checked_labels)
    for number, target in enumerate(targets):
        if target in targets[:number]:
            raise CloudError("server_already_added", "a resource was given more than once")
        try:
            _check_target(cloud, target)
        except CloudError as error:
            # The operation's own table has 422 here, where that of apply_to_resources has 404.
            raise CloudError(error.code, error.message, error.details, status=422) from error
    before = store.firewall_covers()
    store.firewalls[firewall.id] = firewall
    for target in targets:
        _add_target(firewall, target)
    actions = [_set_rules_action(cloud, firewall), *apply_changes(cloud, before)]
    return firewall, actions


def update(cloud: Cloud, firewall: Firewall, name: str | None, labels: Mapping[str, str] | None) -> None:
    common.rename("firewall", firewall, cloud.store.firewalls, name)
    common.relabel(firewall, labels)


def delete(cloud: Cloud, firewall: Firewall) -> None:
    if firewall.server_ids or firewall.selectors:
        raise CloudError("resource_in_use", f"firewall with ID {firewall.id} is still in use")
    del cloud.store.firewalls[firewall.id]


def set_rules(cloud: Cloud, firewall: Firewall, rules: Sequence[FirewallRule]) -> list[Action]:
    firewall.rules = check_rules(rules)
    covered = sorted(server for owner, server in cloud.store.firewall_covers() if owner == firewall.id)
    return [
        _set_rules_action(cloud, firewall),
        *(_plug_action(cloud, "apply_firewall", firewall.id, server_id) for server_id in covered),
    ]


def apply_to(cloud: Cloud, firewall: Firewall, targets: Sequence[Target]) -> list[Action]:
    for number, target in enumerate(targets):
        _check_target(cloud, target)
        if (
            target in targets[:number]
            or target.server_id in firewall.server_ids
            or target.selector in firewall.selectors
        ):
            raise CloudError("firewall_already_applied", f"firewall {firewall.name} is already applied to the resource")
        if target.server_id is not None:
            check_room(cloud, target.server_id)
    before = cloud.store.firewall_covers()
    for target in targets:
        _add_target(firewall, target)
    return apply_changes(cloud, before)


def remove_from(cloud: Cloud, firewall: Firewall, targets: Sequence[Target]) -> list[Action]:
    covers = cloud.store.firewall_covers()
    for target in targets:
        if target.server_id is not None and target.server_id not in firewall.server_ids:
            if (firewall.id, target.server_id) in covers:
                raise CloudError(
                    "firewall_managed_by_label_selector",
                    f"firewall {firewall.name} is applied via a label selector and cannot be removed manually",
                )
            raise CloudError("firewall_resource_not_found", f"firewall is not applied to server {target.server_id}")
        if target.selector is not None and target.selector not in firewall.selectors:
            raise CloudError("firewall_resource_not_found", f"firewall is not applied to '{target.selector}'")
    for target in targets:
        if target.server_id in firewall.server_ids:
            firewall.server_ids.remove(target.server_id)
        if target.selector in firewall.selectors:
            firewall.selectors.remove(target.selector)
    return apply_changes(cloud, covers)


# For servers


def check_room(cloud: Cloud, server_id: int) -> None:
    if len(cloud.store.firewalls_on(server_id)) >= _MOST_FIREWALLS_ON_A_SERVER:
        raise CloudError(
            "resource_limit_exceeded", f"at most {_MOST_FIREWALLS_ON_A_SERVER} firewalls can be applied to a server"
        )


def forget_server(cloud: Cloud, server: Server) -> None:
    for firewall in cloud.store.firewalls.values():
        firewall.server_ids = [server_id for server_id in firewall.server_ids if server_id != server.id]


def apply_changes(cloud: Cloud, before: set[tuple[int, int]]) -> list[Action]:
    """Bring the servers up to date on which firewalls have come into force or ceased to be since ``before``."""
    after = cloud.store.firewall_covers()
    return [
        *(_plug_action(cloud, "apply_firewall", *pair) for pair in sorted(after - before)),
        *(_plug_action(cloud, "remove_firewall", *pair) for pair in sorted(before - after)),
    ]


def check_rules(rules: Sequence[FirewallRule]) -> list[FirewallRule]:
    if len(rules) > _MOST_RULES:
        raise invalid_field("rules", f"must not be more than {_MOST_RULES}")
    return [_check_rule(number, rule) for number, rule in enumerate(rules)]


def _check_rule(number: int, rule: FirewallRule) -> FirewallRule:
    at = partial("rules.{}.{}".format, number)
    if rule.direction not in ("in", "out"):
        raise invalid_field(at("direction"), "must be one of in, out")
    if rule.protocol not in _PROTOCOLS:
        raise invalid_field(at("protocol"), f"must be one of {', '.join(_PROTOCOLS)}")
    if rule.description is not None and len(rule.description) > _LONGEST_DESCRIPTION:
        raise invalid_field(at("description"), f"must not be longer than {_LONGEST_DESCRIPTION} characters")
    _check_port(at("port"), rule)
    if rule.direction == "in":
        if rule.destination_ips:
            raise invalid_field(at("destination_ips"), "must be empty for direction 'in'")
        return replace(rule, source_ips=_check_networks(at("source_ips"), rule.source_ips))
    if rule.source_ips:
        raise invalid_field(at("source_ips"), "must be empty for direction 'out'")
    return replace(rule, destination_ips=_check_networks(at("destination_ips"), rule.destination_ips))


def _check_networks(field: str, networks: Sequence[str]) -> tuple[str, ...]:
    if not 1 <= len(networks) <= _MOST_NETWORKS_IN_A_RULE:
        raise invalid_field(field, f"must be 1 to {_MOST_NETWORKS_IN_A_RULE} networks")
    return tuple(_canonical_network(field, text) for text in networks)


def _check_port(field: str, rule: FirewallRule) -> None:
    if rule.protocol not in _PROTOCOLS_WITH_PORTS:
        if rule.port is not None:
            raise invalid_field(field, f"must not be given for protocol {rule.protocol}")
        return
    first, dash, last = (rule.port or "").partition("-")
    bounds = [first, last] if dash else [first]
    if not all(bound.isdecimal() and 1 <= int(bound) <= _LAST_PORT for bound in bounds):
        raise invalid_field(field, f"must be a port from 1 to {_LAST_PORT}, or two of them with a dash between")
    if dash and int(first) > int(last):
        raise invalid_field(field, "must begin with the lower port")


def _canonical_network(field: str, text: str) -> str:
    if "/" not in text:
        raise invalid_field(field, f"'{text}' is not in CIDR notation")
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise invalid_field(field, f"'{text}' is not a network with empty host bits") from error


def _check_target(cloud: Cloud, target: Target) -> None:
    if target.selector is not None:
        common.check_selector(target.selector, "apply_to.label_selector.selector")
        return
    if target.server_id not in cloud.store.servers:
        raise CloudError("firewall_resource_not_found", f"server with ID '{target.server_id}' not found")
    if not cloud.store.is_public(target.server_id):
        raise CloudError("private_net_only_server", "the server has no public interface")


def _add_target(firewall: Firewall, target: Target) -> None:
    if target.server_id is not None:
        firewall.server_ids.append(target.server_id)
    if target.selector is not None:
        firewall.selectors.append(target.selector)


def _set_rules_action(cloud: Cloud, firewall: Firewall) -> Action:
    return cloud.actions.start_one("set_firewall_rules", [Ref("firewall", firewall.id)])


def _plug_action(cloud: Cloud, command: str, firewall_id: int, server_id: int) -> Action:
    refs = [Ref("server", server_id), Ref("firewall", firewall_id)]
    return cloud.actions.start_one(command, refs, lambda: cloud.gate.plug(server_id))
