"""A load balancer's interfaces: to the internet, and to a private network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.errors import CloudError, invalid, invalid_field
from lab.operations import addresses, common, networks
from lab.operations.load_balancers import targets
from lab.operations.load_balancers.changes import change, check_unlocked, ref
from lab.state.load_balancers import LoadBalancer
from lab.state.resources import Action, Attachment, Network, Ref

if TYPE_CHECKING:
    from lab.operations.cloud import Cloud


def enable_public_interface(cloud: Cloud, load_balancer: LoadBalancer) -> Action:
    return _set_public(cloud, load_balancer, True)


def disable_public_interface(cloud: Cloud, load_balancer: LoadBalancer) -> Action:
    if load_balancer.attachment is None:
        raise CloudError("load_balancer_not_attached_to_network", "load balancer is not attached to a network")
    if len(targets.over_network(cloud.store, load_balancer)) < len(load_balancer.targets):
        raise CloudError("targets_without_use_private_ip", "load balancer has targets that use their public IP")
    return _set_public(cloud, load_balancer, False)


def _set_public(cloud: Cloud, load_balancer: LoadBalancer, public: bool) -> Action:
    check_unlocked(cloud, load_balancer)
    undo = common.restoring(load_balancer, "public")
    load_balancer.public = public
    return change(cloud, load_balancer, f"{'enable' if public else 'disable'}_public_interface", undo)


def attach(cloud: Cloud, load_balancer: LoadBalancer, network: Network, ip: str | None, ip_range: str | None) -> Action:
    check_unlocked(cloud, load_balancer)
    networks.check_unchanging(cloud, network)
    if load_balancer.attachment is not None:
        raise CloudError("load_balancer_already_attached", "load balancer is already attached to a network")
    undo = common.restoring(load_balancer, "attachment")
    load_balancer.attachment = place(cloud, load_balancer, network, ip, ip_range)
    load_balancer.attachment.mac = cloud.store.new_mac("86")

    async def give_up() -> None:
        await undo()
        await cloud.gate.sync_load_balancer(load_balancer.id)
        await cloud.gate.sync_network(network.id)

    refs = [ref(load_balancer), Ref("network", network.id)]
    return cloud.actions.start_one("attach_to_network", refs, lambda: connect(cloud, load_balancer), give_up)


def detach(cloud: Cloud, load_balancer: LoadBalancer, network: Network) -> Action:
    check_unlocked(cloud, load_balancer)
    networks.check_unchanging(cloud, network)
    attachment = load_balancer.attachment
    if attachment is None or attachment.network_id != network.id:
        raise invalid_field("network", f"load balancer {load_balancer.name} is not attached to network {network.name}")
    if not load_balancer.public:
        raise invalid("the load balancer's public interface is disabled; without its network nobody would reach it")
    if targets.over_network(cloud.store, load_balancer):
        raise CloudError("service_error", "load balancer has targets that are reached over the network")

    async def work() -> None:
        load_balancer.attachment = None
        await cloud.gate.sync_load_balancer(load_balancer.id)
        await cloud.gate.sync_network(network.id)

    refs = [ref(load_balancer), Ref("network", network.id)]
    undo = common.restoring(load_balancer, "attachment")
    return cloud.actions.start_one("detach_from_network", refs, work, undo)


def place(
    cloud: Cloud, load_balancer: LoadBalancer, network: Network, ip: str | None, ip_range: str | None
) -> Attachment:
    """A place in a network, which is real once the load balancer is connected. Its hardware address is yet to come."""
    zone = cloud.catalog.location(load_balancer.location).network_zone
    return Attachment(network.id, addresses.choose_address(cloud.store, network, zone, ip, ip_range, last=True), "")


async def connect(cloud: Cloud, load_balancer: LoadBalancer) -> None:
    """Make a load balancer real, with its place in a network, if it has one.

    The router knows of it before it asks its targets, or the first answers would not find the way back.
    """
    if load_balancer.attachment is not None:
        await cloud.gate.sync_network(load_balancer.attachment.network_id)
    await cloud.gate.sync_load_balancer(load_balancer.id)
    if load_balancer.attachment is not None:
        load_balancer.attachment.connected = True
