"""Servers: ordering, changing and deleting them. Switching them on and off is in ``power``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from lab.actions import Step, nothing
from lab.catalog import Image, Location, ServerType, find
from lab.errors import CloudError, invalid, invalid_field, not_implemented
from lab.operations import common, firewalls, networks, placement_groups, power, primary_ips, volumes
from lab.operations.load_balancers import targets
from lab.state.resources import Action, AddressType, Attachment, Network, PrimaryIp, Ref, Server, Volume

if TYPE_CHECKING:
    from lab.operations.cloud import Cloud

USER_DATA_LIMIT = 32 * 1024
_MOST_NETWORKS = 3
_HOST_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_LONGEST_NAME = 253


@dataclass(frozen=True)
class Address:
    """What a new server's public interface has of one type: nothing, a new primary IP or an existing one."""

    enabled: bool = True
    primary_ip_id: int | None = None


@dataclass(frozen=True)
class ServerRequest:
    """An order as it came in; things of the catalogue by ID or name."""

    name: str
    server_type: str
    image: str
    location: str | None = None
    ssh_keys: Sequence[str] = ()
    user_data: str = ""
    networks: Sequence[int] = ()
    volumes: Sequence[int] = ()
    firewalls: Sequence[int] = ()
    placement_group: int | None = None
    ipv4: Address = Address()
    ipv6: Address = Address()
    start_after_create: bool = True
    automount: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Order:
    """A request in which everything was found and may be had together."""

    server_type: ServerType
    image: Image
    location: Location
    public_keys: tuple[str, ...]
    networks: list[Network]
    volumes: list[Volume]
    addresses: dict[AddressType, PrimaryIp | None]  # None: a new one


def create(cloud: Cloud, request: ServerRequest) -> tuple[Server, Action, list[Action]]:
    """The server, the action that makes it and those that follow."""
    order = _check(cloud, request)
    store = cloud.store
    firewalls_before = store.firewall_covers()
    server = Server(
        id=store.new_id(),
        name=request.name,
        created=store.now(),
        server_type=order.server_type.name,
        image_id=order.image.id,
        location=order.location.name,
        disk_gb=order.server_type.disk,
        public_mac=store.new_mac("96"),
        user_data=request.user_data,
        public_keys=order.public_keys,
        placement_group_id=request.placement_group,
        labels=dict(request.labels),
    )
    attachments = [networks.reserve(cloud, server, network, ip=None) for network in order.networks]
    addresses = [
        primary_ip or primary_ips.allocate(store, address_type, server.location)
        for address_type, primary_ip in order.addresses.items()  # ipv4, which can run out, comes first
    ]
    # From here on nothing is refused any more.
    store.servers[server.id] = server
    for primary_ip in addresses:
        primary_ip.server_id = server.id
    for volume in order.volumes:
        volume.server_id = server.id
    for firewall_id in request.firewalls:
        store.firewalls[firewall_id].server_ids.append(server.id)
    first, *others = cloud.actions.start(_creation_steps(cloud, server, attachments, order, request))
    firewalls.apply_changes(cloud, firewalls_before)
    cloud.actions.background(targets.follow(cloud))
    return server, first, others


def _creation_steps(
    cloud: Cloud, server: Server, attachments: Sequence[Attachment], order: _Order, request: ServerRequest
) -> list[Step]:
    ref = Ref("server", server.id)

    async def make() -> None:
        async with cloud.gate.machine(server.id):
            await cloud.gate.create_machine(server)
            server.status = "off"

    async def unmake() -> None:
        server.status = "off"
        await remove(cloud, server)

    steps = [Step("create_server", (ref,), make, unmake)]
    for attachment in attachments:
        refs = (ref, Ref("network", attachment.network_id))
        connect = partial(networks.connect, cloud, server, attachment)
        steps.append(Step("attach_to_network", refs, connect, partial(networks.give_up, server, attachment)))
    steps += [Step("attach_volume", (ref, Ref("volume", volume.id)), nothing) for volume in order.volumes]
    if request.start_after_create:
        steps.append(Step("start_server", (ref,), lambda: power.start(cloud, server)))
    return steps


def update(cloud: Cloud, server: Server, name: str | None, labels: Mapping[str, str] | None) -> None:
    """New labels may bring firewalls into force, or take them out of it; the same for targets of load balancers."""
    if name is not None:
        _check_name(name)
    before = cloud.store.firewall_covers()
    common.rename("server", server, cloud.store.servers, name)
    common.relabel(server, labels)
    firewalls.apply_changes(cloud, before)
    cloud.actions.background(targets.follow(cloud))


def delete(cloud: Cloud, server: Server) -> Action:
    ref = Ref("server", server.id)
    common.check_deletable("server", server)
    common.check_unlocked(cloud.store, ref)
    undo = common.restoring(server, "status")
    server.status = "deleting"
    return cloud.actions.start_one("delete_server", [ref], lambda: remove(cloud, server), undo)


def rebuild(cloud: Cloud, server: Server, image: str, user_data: str | None) -> Action:
    ref = Ref("server", server.id)
    common.check_unlocked(cloud.store, ref)
    if server.protect_rebuild:
        raise CloudError("protected", "server rebuild is protected")
    chosen = _image(cloud, image, cloud.catalog.server_type(server.server_type))
    if user_data is not None:
        _check_user_data(user_data)

    async def work() -> None:
        async with cloud.gate.machine(server.id):
            server.status = "rebuilding"
            server.image_id = chosen.id
            if user_data is not None:
                server.user_data = user_data
            try:
                await cloud.gate.delete_machine(server.id)
                await cloud.gate.create_machine(server)
            finally:
                server.status = "off"
        await power.start(cloud, server)

    return cloud.actions.start_one("rebuild_server", [ref], work)


def change_type(cloud: Cloud, server: Server, name: str, upgrade_disk: bool) -> Action:
    """Only the books know a server's size: its container has the whole machine either way."""
    ref = Ref("server", server.id)
    common.check_unlocked(cloud.store, ref)
    if server.status != "off":
        raise CloudError("server_not_stopped", f"server {server.name} needs to be powered off")
    wanted = _server_type(cloud, name)
    present = cloud.catalog.server_type(server.server_type)
    problem = None
    if wanted.name == present.name:
        problem = f"server is already of type {present.name}"
    elif wanted.architecture != present.architecture:
        problem = f"{wanted.name} is {wanted.architecture}, the server {present.architecture}"
    elif wanted.disk < server.disk_gb:
        problem = f"the disk of {wanted.name} is smaller than the server's of {server.disk_gb} GB"
    elif server.location not in wanted.locations or wanted.gone_from(server.location, cloud.store.now()):
        problem = f"{wanted.name} cannot be had in {server.location}"
    if problem:
        raise CloudError("invalid_server_type", problem)
    _check_in_stock(cloud, wanted, server.location)

    async def work() -> None:
        server.server_type = wanted.name
        if upgrade_disk:
            server.disk_gb = wanted.disk
        await power.start(cloud, server)

    undo = common.restoring(server, "server_type", "disk_gb")
    return cloud.actions.start_one("change_server_type", [ref], work, undo)


def change_protection(cloud: Cloud, server: Server, delete: bool | None, rebuild: bool | None) -> Action:
    wanted_delete = server.protect_delete if delete is None else delete
    wanted_rebuild = server.protect_rebuild if rebuild is None else rebuild
    if wanted_delete != wanted_rebuild:
        raise invalid("delete and rebuild protection must have the same value")
    undo = common.restoring(server, "protect_delete", "protect_rebuild")
    server.protect_delete, server.protect_rebuild = wanted_delete, wanted_rebuild
    return cloud.actions.start_one("change_protection", [Ref("server", server.id)], undo=undo)


def change_dns_ptr(cloud: Cloud, server: Server, ip: str, name: str | None) -> Action:
    address_type: AddressType = "ipv6" if ":" in ip else "ipv4"
    primary_ip = cloud.store.primary_ip_of(server.id, address_type)
    if primary_ip is None:
        raise invalid_field("ip", f"server {server.name} has no {address_type} address")
    return primary_ips.change_dns_ptr(cloud, primary_ip, ip, name, [Ref("server", server.id)])


async def remove(cloud: Cloud, server: Server) -> None:
    """Remove the machine, then take the server out of the books and out of everything attached to it."""
    async with cloud.gate.machine(server.id):
        await cloud.gate.delete_machine(server.id)
    del cloud.store.servers[server.id]
    primary_ips.release(cloud.store, server.id)
    firewalls.forget_server(cloud, server)
    targets.forget_server(cloud.store, server)
    await targets.follow(cloud)
    for volume in cloud.store.volumes_of(server.id):
        volume.server_id = None
    for attachment in server.attachments:
        await cloud.gate.sync_network(attachment.network_id)


# Checking an order


def _check(cloud: Cloud, request: ServerRequest) -> _Order:
    store = cloud.store
    _check_name(request.name)
    common.check_labels(request.labels)
    _check_user_data(request.user_data)
    volumes.check_no_automount(request.automount)
    server_type = _server_type(cloud, request.server_type)
    image = _image(cloud, request.image, server_type)
    location = _location(cloud, request.location, server_type)
    _check_available(cloud, server_type, location)
    wanted: dict[AddressType, Address] = {"ipv4": request.ipv4, "ipv6": request.ipv6}
    chosen_addresses = {
        address_type: _address(cloud, address_type, address, location)
        for address_type, address in wanted.items()
        if address.enabled
    }
    chosen_networks = [
        common.get("network", store.networks, key) for key in common.unique(request.networks, "networks")
    ]
    if len(chosen_networks) > _MOST_NETWORKS:
        raise CloudError("resource_limit_exceeded", f"a server can be attached to at most {_MOST_NETWORKS} networks")
    if not chosen_addresses and not chosen_networks and request.start_after_create:
        raise invalid("a server without public addresses needs networks, or start_after_create must be false")
    chosen_volumes = [common.get("volume", store.volumes, key) for key in common.unique(request.volumes, "volumes")]
    common.check_unlocked(store, *(Ref("volume", volume.id) for volume in chosen_volumes))
    for volume in chosen_volumes:
        volumes.check_attachable(volume, location.name)
    for firewall_id in common.unique(request.firewalls, "firewalls"):
        common.get("firewall", store.firewalls, firewall_id)
        if not chosen_addresses:
            raise CloudError("private_net_only_server", "a server without public interface cannot have a firewall")
    if request.placement_group is not None:
        group = common.get("placement group", store.placement_groups, request.placement_group)
        placement_groups.check_room(store, group)
    public_keys = tuple(_public_key(cloud, key) for key in request.ssh_keys)
    common.check_name_is_free("server", request.name, store.servers)
    common.check_limit(store, "servers", len(store.servers))
    new_addresses = sum(primary_ip is None for primary_ip in chosen_addresses.values())
    common.check_limit(store, "primary_ips", len(store.primary_ips) + max(0, new_addresses - 1))
    return _Order(server_type, image, location, public_keys, chosen_networks, chosen_volumes, chosen_addresses)


def _check_name(name: str) -> None:
    if len(name) > _LONGEST_NAME or not all(_HOST_LABEL.fullmatch(label) for label in name.split(".")):
        raise invalid_field("name", "must be a valid hostname as per RFC 1123")


def _check_user_data(user_data: str) -> None:
    if len(user_data.encode()) > USER_DATA_LIMIT:
        raise invalid_field("user_data", f"must not be longer than {USER_DATA_LIMIT} bytes")


def _server_type(cloud: Cloud, id_or_name: str) -> ServerType:
    server_type = find(cloud.catalog.server_types, id_or_name)
    if server_type is None:
        raise invalid(f"server type '{id_or_name}' not found")
    return server_type


def _image(cloud: Cloud, id_or_name: str, server_type: ServerType) -> Image:
    # A name stands for an image of each architecture: the one that fits the server type is meant.
    fitting = [item for item in cloud.catalog.images if item.architecture == server_type.architecture]
    image = find(fitting, id_or_name) or find(cloud.catalog.images, id_or_name)
    if image is None:
        raise invalid(f"image '{id_or_name}' not found")
    if image.architecture != server_type.architecture:
        raise invalid("image has incompatible architecture")
    if not cloud.driver.boots(image.name):
        boots = sorted({item.name for item in cloud.catalog.images if cloud.driver.boots(item.name)})
        raise not_implemented(f"image '{image.name}'; use one of {', '.join(boots)}")
    return image


def _location(cloud: Cloud, id_or_name: str | None, server_type: ServerType) -> Location:
    """Without one the vendor chooses: here the first in which the type can be had."""
    if id_or_name is None:
        offered = [name for name in server_type.locations if not server_type.gone_from(name, cloud.store.now())]
        if not offered:
            raise invalid(f"server type '{server_type.name}' is deprecated")
        sold_out = cloud.store.conditions.sold_out
        in_stock = (name for name in offered if not server_type.sold_out_in(name, sold_out))
        return cloud.catalog.location(next(in_stock, offered[0]))
    location = find(cloud.catalog.locations, id_or_name)
    if location is None:
        raise invalid(f"location '{id_or_name}' not found")
    return location


def _check_available(cloud: Cloud, server_type: ServerType, location: Location) -> None:
    if location.name not in server_type.locations or server_type.gone_from(location.name, cloud.store.now()):
        raise invalid("unsupported location for server type")
    _check_in_stock(cloud, server_type, location.name)


def _check_in_stock(cloud: Cloud, server_type: ServerType, location: str) -> None:
    if server_type.sold_out_in(location, cloud.store.conditions.sold_out):
        raise CloudError("resource_unavailable", f"{server_type.name} is currently not available in {location}")


def _address(cloud: Cloud, address_type: AddressType, address: Address, location: Location) -> PrimaryIp | None:
    if address.primary_ip_id is None:
        return None
    return primary_ips.check_usable(cloud.store, address.primary_ip_id, address_type, location.name)


def _public_key(cloud: Cloud, id_or_name: str) -> str:
    key = find(cloud.store.ssh_keys.values(), id_or_name)
    if key is None:
        raise invalid(f"SSH key '{id_or_name}' not found")
    return key.public_key
