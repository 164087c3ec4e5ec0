"""Primary IPs: public addresses that are made, given to servers, taken back and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

from lab.catalog import find
from lab.errors import CloudError, invalid, invalid_field
from lab.operations import common
from lab.operations.load_balancers import targets
from lab.settings import SERVER_ADDRESSES, SERVER_IPV6_RANGE
from lab.state.resources import Action, AddressType, PrimaryIp, Ref, Server
from lab.state.store import Store

if TYPE_CHECKING:
    from lab.operations.cloud import Cloud

_HOST_PREFIX_IPV6 = 64


@dataclass(frozen=True)
class PrimaryIpRequest:
    name: str
    type: AddressType
    location: str | None = None
    server_id: int | None = None
    auto_delete: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


def create(cloud: Cloud, request: PrimaryIpRequest) -> tuple[PrimaryIp, Action | None]:
    store = cloud.store
    labels = common.check_labels(request.labels)
    common.check_name_is_free("primary IP", request.name, store.primary_ips)
    common.check_limit(store, "primary_ips", len(store.primary_ips))
    if (request.location is None) == (request.server_id is None):
        raise invalid("exactly one of location and assignee_id must be given")
    if request.server_id is not None:
        server = common.get("server", store.servers, request.server_id)
        _check_assignable(cloud, server, request.type)
        primary_ip = allocate(store, request.type, server.location, request.name)
        action = _assign(cloud, primary_ip, server)
    else:
        location = find(cloud.catalog.locations, request.location or "")
        if location is None:
            raise invalid(f"location '{request.location}' not found")
        primary_ip = allocate(store, request.type, location.name, request.name)
        action = None
    primary_ip.labels = labels
    primary_ip.auto_delete = request.auto_delete
    return primary_ip, action


def update(
    cloud: Cloud, primary_ip: PrimaryIp, name: str | None, labels: Mapping[str, str] | None, auto_delete: bool | None
) -> None:
    if auto_delete and primary_ip.protect_delete:
        raise invalid_field("auto_delete", "cannot be set on a primary IP whose deletion is protected")
    common.rename("primary IP", primary_ip, cloud.store.primary_ips, name)
    common.relabel(primary_ip, labels)
    if auto_delete is not None:
        primary_ip.auto_delete = auto_delete


def delete(cloud: Cloud, primary_ip: PrimaryIp) -> None:
    common.check_deletable("primary IP", primary_ip)
    if primary_ip.server_id is not None:
        raise CloudError("must_be_unassigned", "primary IP must be unassigned before it can be deleted")
    del cloud.store.primary_ips[primary_ip.id]


def assign(cloud: Cloud, primary_ip: PrimaryIp, server_id: int) -> Action:
    if primary_ip.server_id is not None:
        raise CloudError("primary_ip_already_assigned", "primary IP is already assigned to a server")
    server = common.get("server", cloud.store.servers, server_id)
    check_same_location(primary_ip, server.location)
    _check_assignable(cloud, server, primary_ip.type)
    return _assign(cloud, primary_ip, server)


def unassign(cloud: Cloud, primary_ip: PrimaryIp) -> Action:
    if primary_ip.server_id is None:
        raise invalid("primary IP is not assigned to a server")
    server = cloud.store.servers[primary_ip.server_id]
    refs = [Ref("server", server.id), Ref("primary_ip", primary_ip.id)]
    common.check_unlocked(cloud.store, *refs)
    _check_stopped(server)
    undo = common.restoring(primary_ip, "server_id")
    primary_ip.server_id = None
    return cloud.actions.start_one("unassign_primary_ip", refs, lambda: targets.follow(cloud), undo)


def change_dns_ptr(cloud: Cloud, primary_ip: PrimaryIp, ip: str, name: str | None, refs: list[Ref]) -> Action:
    try:
        address = ip_address(ip)
    except ValueError as error:
        raise invalid_field("ip", f"'{ip}' is not an IP address") from error
    own = (
        address in IPv6Network(primary_ip.ip)
        if primary_ip.type == "ipv6" and isinstance(address, IPv6Address)
        else str(address) == primary_ip.ip
    )
    if not own:
        raise invalid_field("ip", f"{address} does not belong to {primary_ip.ip}")
    undo = common.restoring(primary_ip, "dns_ptr")
    if name is None:
        primary_ip.dns_ptr.pop(str(address), None)
    else:
        primary_ip.dns_ptr[str(address)] = name
    return cloud.actions.start_one("change_dns_ptr", refs, undo=undo)


def change_protection(cloud: Cloud, primary_ip: PrimaryIp, delete: bool) -> Action:
    if delete and primary_ip.auto_delete:
        raise invalid_field("delete", "a primary IP with auto_delete cannot be protected")
    undo = common.restoring(primary_ip, "protect_delete")
    primary_ip.protect_delete = delete
    return cloud.actions.start_one("change_protection", [Ref("primary_ip", primary_ip.id)], undo=undo)


# For servers


def allocate(store: Store, address_type: AddressType, location: str, name: str | None = None) -> PrimaryIp:
    """A new primary IP; one without a name is called as the vendor calls them and goes with its server."""
    ip = free_ipv4(store) if address_type == "ipv4" else next_ipv6(store)
    new_id = store.new_id()
    primary_ip = PrimaryIp(new_id, name or f"primary_ip-{new_id}", store.now(), address_type, ip, location)
    primary_ip.auto_delete = name is None
    store.primary_ips[new_id] = primary_ip
    return primary_ip


def release(store: Store, server_id: int) -> None:
    """The server is gone: its addresses become free or go as well."""
    for primary_ip in list(store.primary_ips.values()):
        if primary_ip.server_id == server_id:
            primary_ip.server_id = None
            if primary_ip.auto_delete:
                del store.primary_ips[primary_ip.id]


def check_usable(store: Store, primary_ip_id: int, address_type: AddressType, location: str) -> PrimaryIp:
    """An existing primary IP that a new server wants."""
    primary_ip = common.get("primary IP", store.primary_ips, primary_ip_id)
    if primary_ip.type != address_type:
        raise CloudError("primary_ip_version_mismatch", f"primary IP {primary_ip.name} is not of type {address_type}")
    if primary_ip.server_id is not None:
        raise CloudError("primary_ip_assigned", f"primary IP {primary_ip.name} is already assigned to a server")
    check_same_location(primary_ip, location)
    return primary_ip


def check_same_location(primary_ip: PrimaryIp, location: str) -> None:
    if primary_ip.location != location:
        raise CloudError(
            "primary_ip_datacenter_mismatch",
            f"primary IP {primary_ip.name} is in {primary_ip.location}, not {location}",
        )


def free_ipv4(store: Store) -> str:
    taken = {primary_ip.ip for primary_ip in store.primary_ips.values()}
    taken |= {load_balancer.ipv4 for load_balancer in store.load_balancers.values()}
    first, last = (IPv4Address(address) for address in SERVER_ADDRESSES)
    for number in range(int(first), int(last) + 1):
        if str(IPv4Address(number)) not in taken:
            return str(IPv4Address(number))
    raise CloudError("resource_unavailable", f"all public IPv4 addresses from {first} to {last} are in use")


def next_ipv6(store: Store) -> str:
    store.last_ipv6 += 1
    whole = IPv6Network(SERVER_IPV6_RANGE)
    return str(IPv6Network((int(whole[0]) + (store.last_ipv6 << _HOST_PREFIX_IPV6), _HOST_PREFIX_IPV6)))


def _check_assignable(cloud: Cloud, server: Server, address_type: AddressType) -> None:
    common.check_unlocked(cloud.store, Ref("server", server.id))
    _check_stopped(server)
    if cloud.store.primary_ip_of(server.id, address_type) is not None:
        raise CloudError(f"server_has_{address_type}", f"server {server.name} already has an {address_type} address")


def _check_stopped(server: Server) -> None:
    if server.status != "off":
        raise CloudError("server_not_stopped", f"server {server.name} needs to be powered off")


def _assign(cloud: Cloud, primary_ip: PrimaryIp, server: Server) -> Action:
    undo = common.restoring(primary_ip, "server_id")
    primary_ip.server_id = server.id
    refs = [Ref("server", server.id), Ref("primary_ip", primary_ip.id)]
    return cloud.actions.start_one("assign_primary_ip", refs, lambda: targets.follow(cloud), undo)
