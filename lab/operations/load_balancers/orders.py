"""Ordering, changing and deleting load balancers. Their interfaces are in ``interfaces``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Network, ip_address
from typing import TYPE_CHECKING, get_args

from lab.catalog import LoadBalancerType, Location, find
from lab.errors import CloudError, invalid, invalid_field
from lab.operations import common, networks, primary_ips
from lab.operations.load_balancers import interfaces, services, targets
from lab.operations.load_balancers.changes import change, check_unlocked, ref
from lab.operations.load_balancers.services import ServiceRequest
from lab.state.load_balancers import Algorithm, LoadBalancer, Target
from lab.state.resources import Action

if TYPE_CHECKING:
    from lab.operations.cloud import Cloud

_NAME = re.compile(r"\S(.{0,126}\S)?")


@dataclass(frozen=True)
class LoadBalancerRequest:
    """An order as it came in; things of the catalogue by ID or name."""

    name: str
    type: str
    algorithm: str = "round_robin"
    location: str | None = None
    network_zone: str | None = None
    network_id: int | None = None
    public: bool = True
    services: Sequence[ServiceRequest] = ()
    targets: Sequence[Target] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def create(cloud: Cloud, request: LoadBalancerRequest) -> tuple[LoadBalancer, Action]:
    store = cloud.store
    _check_name(request.name)
    labels = common.check_labels(request.labels)
    kind = _type(cloud, request.type)
    location = _location(cloud, request)
    made = LoadBalancer(
        id=0,
        name=request.name,
        created=store.now(),
        type=kind.name,
        location=location.name,
        ipv4="",
        ipv6="",
        public_mac="",
        algorithm=_algorithm(request.algorithm),
        public=request.public,
        labels=labels,
    )
    made.services = [services.new(store, item) for item in request.services]
    services.check_fitting(kind, made.services)
    if request.network_id is not None:
        network = common.get("network", store.networks, request.network_id)
        networks.check_unchanging(cloud, network)
        made.attachment = interfaces.place(cloud, made, network, None, None)
    elif not request.public:
        raise invalid("a load balancer without public interface needs a network")
    for target in request.targets:
        targets.check_new(store, kind, made, target)
        made.targets.append(target)
    common.check_name_is_free("load balancer", request.name, store.load_balancers)
    common.check_limit(store, "load_balancers", len(store.load_balancers))
    # From here on nothing is refused any more, but for a lack of addresses.
    made.ipv4 = primary_ips.free_ipv4(store)
    made.ipv6 = primary_ips.next_ipv6(store)
    made.id = store.new_id()
    made.public_mac = store.new_mac("96")
    if made.attachment is not None:
        made.attachment.mac = store.new_mac("86")
    store.load_balancers[made.id] = made

    async def make() -> None:
        await interfaces.connect(cloud, made)
        made.available = True
        await cloud.gate.refresh_load_balancer(made.id)  # its targets may have moved meanwhile

    return made, cloud.actions.start_one("create_load_balancer", [ref(made)], make, lambda: _remove(cloud, made))


def update(cloud: Cloud, load_balancer: LoadBalancer, name: str | None, labels: Mapping[str, str] | None) -> None:
    if name is not None:
        _check_name(name)
    common.rename("load balancer", load_balancer, cloud.store.load_balancers, name)
    common.relabel(load_balancer, labels)


def delete(cloud: Cloud, load_balancer: LoadBalancer) -> Action:
    common.check_deletable("load balancer", load_balancer)
    check_unlocked(cloud, load_balancer)
    return cloud.actions.start_one("delete_load_balancer", [ref(load_balancer)], lambda: _remove(cloud, load_balancer))


async def _remove(cloud: Cloud, load_balancer: LoadBalancer) -> None:
    await cloud.gate.delete_load_balancer(load_balancer.id)
    del cloud.store.load_balancers[load_balancer.id]
    if load_balancer.attachment is not None:
        await cloud.gate.sync_network(load_balancer.attachment.network_id)


# Services and targets


def add_service(cloud: Cloud, load_balancer: LoadBalancer, request: ServiceRequest) -> Action:
    check_unlocked(cloud, load_balancer)
    wanted = [*load_balancer.services, services.new(cloud.store, request)]
    services.check_fitting(_type(cloud, load_balancer.type), wanted)
    undo = common.restoring(load_balancer, "services")
    load_balancer.services = wanted
    return change(cloud, load_balancer, "add_service", undo)


def update_service(cloud: Cloud, load_balancer: LoadBalancer, request: ServiceRequest) -> Action:
    check_unlocked(cloud, load_balancer)
    at = _find_service(load_balancer, request.listen_port)
    wanted = list(load_balancer.services)
    wanted[at] = services.updated(cloud.store, wanted[at], request)
    # The operation's own table has 422 here, where that of add_service has 412.
    services.check_fitting(_type(cloud, load_balancer.type), wanted, taken_status=422)
    undo = common.restoring(load_balancer, "services")
    load_balancer.services = wanted
    return change(cloud, load_balancer, "update_service", undo)


def delete_service(cloud: Cloud, load_balancer: LoadBalancer, listen_port: int) -> Action:
    check_unlocked(cloud, load_balancer)
    at = _find_service(load_balancer, listen_port)
    undo = common.restoring(load_balancer, "services")
    del load_balancer.services[at]
    return change(cloud, load_balancer, "delete_service", undo)


def add_target(cloud: Cloud, load_balancer: LoadBalancer, target: Target) -> Action:
    check_unlocked(cloud, load_balancer)
    targets.check_new(cloud.store, _type(cloud, load_balancer.type), load_balancer, target)
    load_balancer.targets.append(target)

    async def undo() -> None:
        if target in load_balancer.targets:  # else its server has gone
            load_balancer.targets.remove(target)

    return change(cloud, load_balancer, "add_target", undo)


def remove_target(cloud: Cloud, load_balancer: LoadBalancer, target: Target) -> Action:
    check_unlocked(cloud, load_balancer)
    found = targets.find(load_balancer, target)
    load_balancer.targets.remove(found)

    async def undo() -> None:
        if found.server_id is None or found.server_id in cloud.store.servers:
            load_balancer.targets.append(found)

    return change(cloud, load_balancer, "remove_target", undo)


# The load balancer itself


def change_algorithm(cloud: Cloud, load_balancer: LoadBalancer, algorithm: str) -> Action:
    check_unlocked(cloud, load_balancer)
    wanted = _algorithm(algorithm)
    undo = common.restoring(load_balancer, "algorithm")
    load_balancer.algorithm = wanted
    return change(cloud, load_balancer, "change_algorithm", undo)


def change_type(cloud: Cloud, load_balancer: LoadBalancer, id_or_name: str) -> Action:
    check_unlocked(cloud, load_balancer)
    kind = _type(cloud, id_or_name)
    if kind.name == load_balancer.type:
        raise CloudError("invalid_load_balancer_type", f"load balancer is already of type {kind.name}")
    try:
        services.check_fitting(kind, load_balancer.services)
    except CloudError as error:
        raise CloudError("invalid_load_balancer_type", error.message) from error
    if len(load_balancer.targets) > kind.max_targets:
        raise CloudError(
            "invalid_load_balancer_type", f"load balancers of type {kind.name} have at most {kind.max_targets} targets"
        )
    undo = common.restoring(load_balancer, "type")
    load_balancer.type = kind.name
    return change(cloud, load_balancer, "change_load_balancer_type", undo)


def change_protection(cloud: Cloud, load_balancer: LoadBalancer, delete: bool | None) -> Action:
    check_unlocked(cloud, load_balancer)
    undo = common.restoring(load_balancer, "protect_delete")
    if delete is not None:
        load_balancer.protect_delete = delete
    return cloud.actions.start_one("change_protection", [ref(load_balancer)], undo=undo)


def change_dns_ptr(cloud: Cloud, load_balancer: LoadBalancer, ip: str, name: str | None) -> Action:
    check_unlocked(cloud, load_balancer)
    try:
        address = str(ip_address(ip))
    except ValueError as error:
        raise invalid_field("ip", f"'{ip}' is not an IP address") from error
    if address not in (load_balancer.ipv4, str(IPv6Network(load_balancer.ipv6)[1])):
        raise invalid_field("ip", f"{address} does not belong to load balancer {load_balancer.name}")
    undo = common.restoring(load_balancer, "dns_ptr")
    if name is None:
        load_balancer.dns_ptr.pop(address, None)
    else:
        load_balancer.dns_ptr[address] = name
    return cloud.actions.start_one("change_dns_ptr", [ref(load_balancer)], undo=undo)


def _find_service(load_balancer: LoadBalancer, listen_port: int | None) -> int:
    for number, service in enumerate(load_balancer.services):
        if service.listen_port == listen_port:
            return number
    raise invalid_field("listen_port", f"load balancer {load_balancer.name} has no service on port {listen_port}")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise invalid_field("name", "must have 1 to 128 characters, with no blank at either end")


def _algorithm(text: str) -> Algorithm:
    known: tuple[Algorithm, ...] = get_args(Algorithm)
    found = next((item for item in known if item == text), None)
    if found is None:
        raise invalid_field("algorithm.type", f"must be one of {', '.join(known)}")
    return found


def _type(cloud: Cloud, id_or_name: str) -> LoadBalancerType:
    found = find(cloud.catalog.load_balancer_types, id_or_name)
    if found is None:
        raise invalid(f"load balancer type '{id_or_name}' not found")
    return found


def _location(cloud: Cloud, request: LoadBalancerRequest) -> Location:
    """In a network zone the vendor chooses: here its first location."""
    if (request.location is None) == (request.network_zone is None):
        raise invalid("exactly one of location and network_zone must be given")
    if request.location is not None:
        found = find(cloud.catalog.locations, request.location)
        if found is None:
            raise invalid(f"location '{request.location}' not found")
        return found
    for location in cloud.catalog.locations:
        if location.network_zone == request.network_zone:
            return location
    raise invalid(f"network zone '{request.network_zone}' not found")
