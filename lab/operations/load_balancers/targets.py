"""What a load balancer sends traffic to."""

from __future__ import annotations

import logging
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from lab.catalog import LoadBalancerType
from lab.drivers.base import DriverError
from lab.errors import CloudError, invalid_field
from lab.operations import addresses, common
from lab.state.load_balancers import LoadBalancer, Target
from lab.state.resources import Server
from lab.state.store import Store

if TYPE_CHECKING:
    from lab.operations.cloud import Cloud

log = logging.getLogger(__name__)


def check_new(store: Store, kind: LoadBalancerType, load_balancer: LoadBalancer, target: Target) -> None:
    """Whether the load balancer, as it is, can have this one too."""
    if any(other.key == target.key for other in load_balancer.targets):
        raise CloudError("target_already_defined", "load balancer target is already defined")
    if len(load_balancer.targets) >= kind.max_targets:
        raise CloudError(
            "resource_limit_exceeded", f"load balancers of type {kind.name} have at most {kind.max_targets} targets"
        )
    if target.selector is not None:
        common.check_selector(target.selector, "label_selector.selector")
    server = None if target.server_id is None else common.get("server", store.servers, target.server_id)
    if target.ip is not None:
        _check_ip(store, load_balancer, target.ip)
    elif target.use_private_ip:
        _check_private(store, load_balancer, target, server)
    else:
        _check_public(store, load_balancer, target, server)


def _check_private(store: Store, load_balancer: LoadBalancer, target: Target, server: Server | None) -> None:
    if load_balancer.attachment is None:
        raise CloudError("load_balancer_not_attached_to_network", "load balancer is not attached to a network")
    if server is not None and store.target_address(load_balancer, target, server) is None:
        raise CloudError(
            "resolve_cloud_private_targets_error", f"server {server.name} is not in the load balancer's network"
        )


def _check_public(store: Store, load_balancer: LoadBalancer, target: Target, server: Server | None) -> None:
    if not load_balancer.public:
        raise CloudError("load_balancer_public_interface_disabled", "the load balancer's public interface is disabled")
    if server is not None and store.target_address(load_balancer, target, server) is None:
        raise CloudError(
            "resolve_cloud_public_targets_error", f"server {server.name} does not have a public IPv4 address"
        )


def _check_ip(store: Store, load_balancer: LoadBalancer, ip: str) -> None:
    """The vendor means dedicated servers, which do not exist here: addresses of the project stand for theirs."""
    address = addresses.parse_address(ip, "ip.ip")
    if any(address in private for private in addresses.RFC1918):
        if load_balancer.attachment is None:
            raise CloudError("load_balancer_not_attached_to_network", "load balancer is not attached to a network")
        network = store.networks[load_balancer.attachment.network_id]
        if address not in IPv4Network(network.ip_range):
            raise CloudError("ip_not_owned", f"{address} is not in the load balancer's network")
    else:
        if not load_balancer.public:
            raise CloudError(
                "load_balancer_public_interface_disabled", "the load balancer's public interface is disabled"
            )
        if not any(item.type == "ipv4" and IPv4Address(item.ip) == address for item in store.primary_ips.values()):
            raise CloudError("ip_not_owned", f"{address} is not owned by the owner of the project")


def find(load_balancer: LoadBalancer, wanted: Target) -> Target:
    """The target that a request to remove one names."""
    for target in load_balancer.targets:
        if target.key == wanted.key:
            return target
    raise invalid_field("type", "the load balancer has no such target")


def over_network(store: Store, load_balancer: LoadBalancer) -> list[Target]:
    """Those that are reached by way of the network it is attached to."""
    if load_balancer.attachment is None:
        return []
    whole = IPv4Network(store.networks[load_balancer.attachment.network_id].ip_range)
    return [
        target
        for target in load_balancer.targets
        if target.use_private_ip or (target.ip is not None and IPv4Address(target.ip) in whole)
    ]


# For servers


def forget_server(store: Store, server: Server) -> None:
    for load_balancer in store.load_balancers.values():
        load_balancer.targets = [target for target in load_balancer.targets if target.server_id != server.id]


async def follow(cloud: Cloud) -> None:
    """Tell load balancers where their targets are now, after a change of servers: of their places, labels, addresses.

    That a load balancer cannot be told is no failure of the change.
    """
    for load_balancer in list(cloud.store.load_balancers.values()):
        if load_balancer.available:
            try:
                await cloud.gate.refresh_load_balancer(load_balancer.id)
            except DriverError as error:
                log.warning("load balancer %s does not follow its targets: %s", load_balancer.name, error.message)
