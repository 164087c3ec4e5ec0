"""Arithmetic and rules of private networks' addresses; knows nothing of time or drivers."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network

from lab.errors import CloudError, invalid, invalid_field
from lab.settings import PUBLIC_GATEWAY
from lab.state.resources import Network, Route, Server, Subnet
from lab.state.store import Store

RFC1918 = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
DEFAULT_ROUTE = IPv4Network("0.0.0.0/0")
LONGEST_NETWORK_PREFIX = 24
LONGEST_SUBNET_PREFIX = 30
_AUTOMATIC_SUBNET_PREFIX = 24


def parse_range(text: str, field: str) -> IPv4Network:
    try:
        parsed = ip_network(text)
    except ValueError:
        parsed = None
    if not isinstance(parsed, IPv4Network):
        raise invalid_field(field, f"'{text}' is not an IPv4 network in CIDR notation with empty host bits")
    return parsed


def parse_address(text: str, field: str) -> IPv4Address:
    try:
        parsed = ip_address(text)
    except ValueError:
        parsed = None
    if not isinstance(parsed, IPv4Address):
        raise invalid_field(field, f"'{text}' is not an IPv4 address")
    return parsed


def check_network_range(text: str) -> IPv4Network:
    ip_range = parse_range(text, "ip_range")
    if not any(ip_range.subnet_of(private) for private in RFC1918):
        raise invalid_field("ip_range", "must be one of the private IPv4 ranges of RFC1918")
    if ip_range.prefixlen > LONGEST_NETWORK_PREFIX:
        raise invalid_field("ip_range", f"must be a /{LONGEST_NETWORK_PREFIX} or larger")
    return ip_range


def new_subnet(network: Network, ip_range: str | None, kind: str, zone: str) -> Subnet:
    """A subnet that fits into the network as it is; without a range, the first free /24."""
    whole = IPv4Network(network.ip_range)
    taken = [IPv4Network(subnet.ip_range) for subnet in network.subnets]
    taken += [IPv4Network(route.destination) for route in network.routes if route.destination != str(DEFAULT_ROUTE)]
    if ip_range is None:
        free = (
            candidate
            for candidate in whole.subnets(new_prefix=_AUTOMATIC_SUBNET_PREFIX)
            if not any(candidate.overlaps(other) for other in taken)
        )
        found = next(free, None)
        if found is None:
            raise invalid(f"no free /{_AUTOMATIC_SUBNET_PREFIX} is left in {whole}")
        return Subnet(kind, str(found), zone)
    wanted = parse_range(ip_range, "ip_range")
    if not wanted.subnet_of(whole):
        raise invalid_field("ip_range", f"{wanted} is not part of the network's range {whole}")
    if wanted.prefixlen > LONGEST_SUBNET_PREFIX:
        raise invalid_field("ip_range", f"must be a /{LONGEST_SUBNET_PREFIX} or larger")
    for other in taken:
        if wanted.overlaps(other):
            raise invalid_field("ip_range", f"{wanted} overlaps with {other}")
    return Subnet(kind, str(wanted), zone)


def new_route(network: Network, destination: str, gateway: str) -> Route:
    """A route that fits into the network as it is."""
    wanted = parse_range(destination, "destination")
    via = parse_address(gateway, "gateway")
    if wanted != DEFAULT_ROUTE and not any(wanted.subnet_of(private) for private in RFC1918):
        raise invalid_field("destination", f"must be one of the private IPv4 ranges of RFC1918 or {DEFAULT_ROUTE}")
    if any(route.destination == str(wanted) for route in network.routes):
        raise invalid_field("destination", f"a route to {wanted} exists already")
    if wanted != DEFAULT_ROUTE:
        others = [IPv4Network(subnet.ip_range) for subnet in network.subnets]
        others += [IPv4Network(route.destination) for route in network.routes]
        others.append(IPv4Network(PUBLIC_GATEWAY))
        for other in others:
            if other != DEFAULT_ROUTE and wanted.overlaps(other):
                raise invalid_field("destination", f"{wanted} overlaps with {other}")
    if via in (IPv4Address(network.gateway), IPv4Address(PUBLIC_GATEWAY)):
        raise invalid_field("gateway", f"{via} is reserved")
    if via not in IPv4Network(network.ip_range):
        raise invalid_field("gateway", f"{via} is not part of the network's range {network.ip_range}")
    return Route(str(wanted), str(via))


def taken_addresses(store: Store, network: Network) -> set[IPv4Address]:
    places = [item for server in store.members_of(network.id) for item in server.attachments]
    places += [item.attachment for item in store.load_balancers_in(network.id) if item.attachment is not None]
    return {
        IPv4Address(address)
        for place in places
        if place.network_id == network.id
        for address in (place.ip, *place.alias_ips)
    }


def _reserved(network: Network) -> set[IPv4Address]:
    whole = IPv4Network(network.ip_range)
    return {whole.network_address, whole.broadcast_address, IPv4Address(network.gateway), IPv4Address(PUBLIC_GATEWAY)}


def _usable_subnets(network: Network, zone: str, ip_range: str | None) -> list[IPv4Network]:
    if ip_range is not None and ip_range not in {subnet.ip_range for subnet in network.subnets}:
        raise invalid_field("ip_range", f"{ip_range} is not a subnet of network {network.name}")
    return [
        IPv4Network(subnet.ip_range)
        for subnet in network.subnets
        if subnet.network_zone == zone and ip_range in (None, subnet.ip_range)
    ]


def choose_address(
    store: Store, network: Network, zone: str, wanted: str | None, ip_range: str | None = None, last: bool = False
) -> str:
    """The wanted address if it can be had, else the first free one of the subnets in this network zone.

    ``last``: of the last of them, as load balancers get it.
    """
    subnets = _usable_subnets(network, zone, ip_range)
    unavailable = taken_addresses(store, network) | _reserved(network)
    if wanted is None:
        for subnet in subnets[-1:] if last else subnets:
            for address in subnet.hosts():
                if address not in unavailable:
                    return str(address)
        raise CloudError("no_subnet_available", "no subnet or IP available")
    address = parse_address(wanted, "ip")
    if ip_range is not None and address not in IPv4Network(ip_range):
        raise invalid_field("ip", f"{address} is not part of {ip_range}")
    _check_available(address, subnets, unavailable)
    return str(address)


def check_aliases(
    store: Store, network: Network, zone: str, aliases: Iterable[str], own: Iterable[str] = ()
) -> list[str]:
    """Alias IPs that can all be had; ``own`` are addresses the server holds already."""
    subnets = _usable_subnets(network, zone, None)
    unavailable = (taken_addresses(store, network) - {IPv4Address(address) for address in own}) | _reserved(network)
    checked: list[str] = []
    for alias in aliases:
        address = parse_address(alias, "alias_ips")
        _check_available(address, subnets, unavailable)
        unavailable.add(address)
        checked.append(str(address))
    return checked


def _check_available(address: IPv4Address, subnets: Iterable[IPv4Network], unavailable: set[IPv4Address]) -> None:
    if address in unavailable or not any(address in subnet for subnet in subnets):
        raise CloudError("ip_not_available", "provided IP is not available")


def check_no_overlap(store: Store, server: Server, network: Network) -> None:
    """A server cannot tell apart two networks that share addresses."""
    for attachment in server.attachments:
        other = store.networks[attachment.network_id]
        if IPv4Network(other.ip_range).overlaps(IPv4Network(network.ip_range)):
            raise CloudError("networks_overlap", f"network {network.name} overlaps with network {other.name}")
