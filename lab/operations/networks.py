"""Private networks: their subnets and routes, and the servers attached to them. For load balancers see there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from lab.actions import Work
from lab.drivers.base import DriverError
from lab.errors import CloudError, invalid_field, not_implemented
from lab.operations import addresses, common
from lab.operations.load_balancers import targets
from lab.state.resources import Action, Attachment, Network, Ref, Route, Server, Subnet

if TYPE_CHECKING:
    from lab.operations.cloud import Cloud

_MOST_SUBNETS = 50
_MOST_ROUTES = 100


@dataclass(frozen=True)
class SubnetRequest:
    type: str
    network_zone: str
    ip_range: str | None = None


async def create(
    cloud: Cloud,
    name: str,
    ip_range: str,
    subnets: Sequence[SubnetRequest],
    routes: Sequence[Route],
    labels: Mapping[str, str],
    expose_routes_to_vswitch: bool,
) -> Network:
    """Answered only when the network is real, as the vendor's answer names no action to wait for."""
    store = cloud.store
    checked_range = addresses.check_network_range(ip_range)
    checked_labels = common.check_labels(labels)
    common.check_name_is_free("network", name, store.networks)
    common.check_limit(store, "networks", len(store.networks))
    network = Network(store.new_id(), name, store.now(), str(checked_range), labels=checked_labels)
    network.expose_routes_to_vswitch = expose_routes_to_vswitch
    for subnet in subnets:
        network.subnets.append(_new_subnet(cloud, network, subnet))
    for route in routes:
        network.routes.append(addresses.new_route(network, route.destination, route.gateway))
    store.networks[network.id] = network
    try:
        await cloud.gate.sync_network(network.id)
    except DriverError as error:
        del store.networks[network.id]
        raise CloudError("server_error", error.message) from error
    return network


def update(
    cloud: Cloud, network: Network, name: str | None, labels: Mapping[str, str] | None, expose: bool | None
) -> None:
    common.rename("network", network, cloud.store.networks, name)
    common.relabel(network, labels)
    if expose is not None:
        network.expose_routes_to_vswitch = expose


async def delete(cloud: Cloud, network: Network) -> None:
    """Servers and load balancers in it are detached, and targets in it removed, as the vendor does."""
    common.check_deletable("network", network)
    check_unchanging(cloud, network)
    members = cloud.store.members_of(network.id)
    load_balancers = cloud.store.load_balancers_in(network.id)
    common.check_unlocked(
        cloud.store,
        *(Ref("server", server.id) for server in members),
        *(Ref("load_balancer", item.id) for item in load_balancers),
    )
    for load_balancer in load_balancers:
        gone = targets.over_network(cloud.store, load_balancer)
        load_balancer.targets = [target for target in load_balancer.targets if target not in gone]
        load_balancer.attachment = None
    for server in members:
        server.attachments = [item for item in server.attachments if item.network_id != network.id]
    del cloud.store.networks[network.id]
    try:
        for server in members:
            await cloud.gate.plug(server.id)
        for load_balancer in load_balancers:
            await cloud.gate.sync_load_balancer(load_balancer.id)
        await cloud.gate.delete_network(network.id)
    except DriverError as error:
        cloud.store.networks[network.id] = network  # what is left of it can be deleted again
        raise CloudError("server_error", error.message) from error


def add_subnet(cloud: Cloud, network: Network, request: SubnetRequest) -> Action:
    check_unchanging(cloud, network)
    if len(network.subnets) >= _MOST_SUBNETS:
        raise CloudError("resource_limit_exceeded", f"a network has at most {_MOST_SUBNETS} subnets")
    subnet = _new_subnet(cloud, network, request)
    return _change(cloud, network, "add_subnet", lambda: network.subnets.append(subnet))


def delete_subnet(cloud: Cloud, network: Network, ip_range: str) -> Action:
    check_unchanging(cloud, network)
    subnet = next((item for item in network.subnets if item.ip_range == ip_range), None)
    if subnet is None:
        raise invalid_field("ip_range", f"{ip_range} is not a subnet of network {network.name}")
    if any(address in IPv4Network(ip_range) for address in addresses.taken_addresses(cloud.store, network)):
        raise CloudError("service_error", "cannot remove subnet because servers or load balancers are attached to it")
    return _change(cloud, network, "delete_subnet", lambda: network.subnets.remove(subnet))


def add_route(cloud: Cloud, network: Network, destination: str, gateway: str) -> Action:
    check_unchanging(cloud, network)
    if len(network.routes) >= _MOST_ROUTES:
        raise CloudError("resource_limit_exceeded", f"a network has at most {_MOST_ROUTES} routes")
    route = addresses.new_route(network, destination, gateway)
    return _change(cloud, network, "add_route", lambda: network.routes.append(route))


def delete_route(cloud: Cloud, network: Network, destination: str, gateway: str) -> Action:
    check_unchanging(cloud, network)
    route = Route(destination, gateway)
    if route not in network.routes:
        raise invalid_field("destination", f"there is no route to {destination} by way of {gateway}")
    return _change(cloud, network, "delete_route", lambda: network.routes.remove(route))


def change_ip_range(cloud: Cloud, network: Network, ip_range: str) -> Action:
    check_unchanging(cloud, network)
    wanted = addresses.check_network_range(ip_range)
    present = IPv4Network(network.ip_range)
    if wanted.network_address != present.network_address or wanted.prefixlen > present.prefixlen:
        raise invalid_field("ip_range", f"{present} can only be extended at its end, by a smaller netmask")

    def widen() -> None:
        network.ip_range = str(wanted)

    async def work() -> None:
        await cloud.gate.sync_network(network.id)
        for load_balancer in cloud.store.load_balancers_in(network.id):
            await cloud.gate.sync_load_balancer(load_balancer.id)  # its way into the network is of that range

    return _change(cloud, network, "change_ip_range", widen, work)


def change_protection(cloud: Cloud, network: Network, delete: bool | None) -> Action:
    check_unchanging(cloud, network)
    undo = common.restoring(network, "protect_delete")
    if delete is not None:
        network.protect_delete = delete
    return cloud.actions.start_one("change_protection", [Ref("network", network.id)], undo=undo)


# Servers in networks


def reserve(cloud: Cloud, server: Server, network: Network, ip: str | None, ip_range: str | None = None) -> Attachment:
    """Give the server a place in the network; it is real once ``connect`` has run."""
    if any(item.network_id == network.id for item in server.attachments):
        raise CloudError("server_already_attached", f"server is already attached to network {network.name}")
    addresses.check_no_overlap(cloud.store, server, network)
    zone = cloud.catalog.location(server.location).network_zone
    chosen = addresses.choose_address(cloud.store, network, zone, ip, ip_range)
    attachment = Attachment(network.id, chosen, cloud.store.new_mac("86"))
    server.attachments.append(attachment)
    return attachment


async def connect(cloud: Cloud, server: Server, attachment: Attachment) -> None:
    """Make a reserved place real."""
    await cloud.gate.sync_network(attachment.network_id)
    attachment.connected = True
    await cloud.gate.plug(server.id)
    await targets.follow(cloud)


async def give_up(server: Server, attachment: Attachment) -> None:
    """Take a place back, unless it is gone together with the network."""
    server.attachments = [item for item in server.attachments if item is not attachment]


def attach(
    cloud: Cloud, server: Server, network: Network, ip: str | None, alias_ips: Sequence[str], ip_range: str | None
) -> Action:
    refs = [Ref("server", server.id), Ref("network", network.id)]
    common.check_unlocked(cloud.store, refs[0])
    check_unchanging(cloud, network)
    attachment = reserve(cloud, server, network, ip, ip_range)
    try:
        zone = cloud.catalog.location(server.location).network_zone
        attachment.alias_ips = addresses.check_aliases(cloud.store, network, zone, alias_ips)
    except CloudError:
        server.attachments.remove(attachment)
        raise
    return cloud.actions.start_one(
        "attach_to_network", refs, partial(connect, cloud, server, attachment), partial(give_up, server, attachment)
    )


def detach(cloud: Cloud, server: Server, network: Network) -> Action:
    refs = [Ref("server", server.id), Ref("network", network.id)]
    common.check_unlocked(cloud.store, refs[0])
    check_unchanging(cloud, network)
    attachment = _attachment(server, network)

    async def work() -> None:
        attachment.connected = False
        await targets.follow(cloud)
        await cloud.gate.plug(server.id)
        await give_up(server, attachment)
        await cloud.gate.sync_network(network.id)

    restore = common.restoring(attachment, "connected")

    async def undo() -> None:
        await restore()
        await targets.follow(cloud)

    return cloud.actions.start_one("detach_from_network", refs, work, undo)


def change_alias_ips(cloud: Cloud, server: Server, network: Network, alias_ips: Sequence[str]) -> Action:
    refs = [Ref("server", server.id), Ref("network", network.id)]
    common.check_unlocked(cloud.store, refs[0])
    attachment = _attachment(server, network)
    zone = cloud.catalog.location(server.location).network_zone
    checked = addresses.check_aliases(cloud.store, network, zone, alias_ips, own=attachment.alias_ips)

    async def work() -> None:
        attachment.alias_ips = checked
        await cloud.gate.sync_network(network.id)
        await cloud.gate.plug(server.id)

    return cloud.actions.start_one("change_alias_ips", refs, work, common.restoring(attachment, "alias_ips"))


def _attachment(server: Server, network: Network) -> Attachment:
    attachment = next((item for item in server.attachments if item.network_id == network.id), None)
    if attachment is None:
        raise invalid_field("network", f"server {server.name} is not attached to network {network.name}")
    return attachment


def _new_subnet(cloud: Cloud, network: Network, request: SubnetRequest) -> Subnet:
    if request.type == "vswitch":
        raise not_implemented("subnets of type vswitch connect to the vendor's dedicated servers")
    if request.type not in ("cloud", "server"):
        raise invalid_field("type", "must be one of cloud, server, vswitch")
    if request.network_zone not in cloud.catalog.network_zones:
        raise invalid_field("network_zone", f"must be one of {', '.join(sorted(cloud.catalog.network_zones))}")
    return addresses.new_subnet(network, request.ip_range, request.type, request.network_zone)


def check_unchanging(cloud: Cloud, network: Network) -> None:
    """One change of a network at a time; the vendor calls the second one a conflict, which clients repeat."""
    if any(
        action.status == "running" and action.resources == (Ref("network", network.id),)
        for action in cloud.store.actions.values()
    ):
        raise CloudError("conflict", f"network {network.name} is being changed, please retry")


def _change(
    cloud: Cloud, network: Network, command: str, change: Callable[[], None], work: Work | None = None
) -> Action:
    """Change the network in the books, then the real one; a failure leaves the books as they were."""
    undo = common.restoring(network, "ip_range", "subnets", "routes")
    change()
    make = work or (lambda: cloud.gate.sync_network(network.id))
    return cloud.actions.start_one(command, [Ref("network", network.id)], make, undo)
