"""Load balancers: a namespace with interfaces for each, in which HAProxy runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from lab import settings
from lab.command import run
from lab.drivers.base import LoadBalancer, LoadBalancerStatus, PrivateNic, PublicNic
from lab.drivers.docker import cables
from lab.net import firewall, haproxy, internet, load_balancer, namespaces, router

_PREFIX = f"{settings.PREFIX}-lb-"


def name(load_balancer_id: int) -> str:
    return f"{_PREFIX}{load_balancer_id}"


def present() -> frozenset[int]:
    return frozenset(int(found.removeprefix(_PREFIX)) for found in namespaces.listed(_PREFIX))


def sync(described: LoadBalancer, ip_range: str, sync_network: Callable[[int], None]) -> None:
    """Make it what is described.

    ``ip_range`` is that of its network, if it is in one; ``sync_network`` makes the router take note of a cable.
    """
    home = name(described.load_balancer_id)
    haproxy.render(described)  # so that what cannot be is refused before anything changes
    namespaces.create(home)
    _plug(described, home, ip_range, sync_network)
    load_balancer.ensure(described, home)


def delete(load_balancer_id: int) -> None:
    load_balancer.stop(load_balancer_id)
    home = name(load_balancer_id)
    if namespaces.exists(home):
        firewall.apply(internet.NAME, firewall.forget(cables.public_link(load_balancer_id)))
        # The kernel takes its time with those of a namespace that has ended.
        for interface, _ in _interfaces(home).values():
            run("ip", "-n", home, "link", "delete", interface)
        namespaces.delete(home)


def delete_all() -> None:
    """Remove every one, and what is left of those that are half removed."""
    load_balancer.forget_all()
    for home in namespaces.listed(_PREFIX):
        namespaces.delete(home)


def status(load_balancer_id: int) -> LoadBalancerStatus:
    return load_balancer.status(load_balancer_id)


def _plug(described: LoadBalancer, home: str, ip_range: str, sync_network: Callable[[int], None]) -> None:
    """Exactly the interfaces described; those that are there already are not touched."""
    number, public, private = described.load_balancer_id, described.public, described.private
    here = _interfaces(home)
    keep = {public.mac} if public else set()
    if private and private.ipv4 in here.get(private.mac, ("", frozenset()))[1]:
        keep |= {private.mac} if router.link(number) in namespaces.links(router.name(private.network_id)) else set()
    for mac, (interface, _) in here.items():
        if mac not in keep:
            run("ip", "-n", home, "link", "delete", interface)
    if public is None:
        firewall.apply(internet.NAME, firewall.forget(cables.public_link(number)))
    else:
        cables.plug_public(number, public, home, public.mac in here)
        namespaces.configure(home, _public(public))
    if private is not None:
        if private.mac not in here or private.mac not in keep:
            interface = settings.PRIVATE_INTERFACE
            cables.lay(
                *(router.name(private.network_id), router.link(number), home, interface),
                *(private.mac, settings.PRIVATE_MTU),
            )
        sync_network(private.network_id)
        namespaces.configure(home, _private(private, ip_range))


def _interfaces(home: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Names and addresses of a load balancer's interfaces, by hardware address."""
    rows: list[dict[str, Any]] = json.loads(run("ip", "-n", home, "-j", "address", "show"))
    return {
        row["address"]: (row["ifname"], frozenset(address["local"] for address in row["addr_info"]))
        for row in rows
        if row["ifname"] in (settings.PUBLIC_INTERFACE, settings.PRIVATE_INTERFACE)
    }


def _public(nic: PublicNic) -> list[str]:
    """As the vendor's servers have it: a gateway on-link."""
    device = settings.PUBLIC_INTERFACE
    lines = [f"link set {device} up"]
    if nic.ipv4:
        lines += [
            f"address replace {nic.ipv4}/32 dev {device}",
            f"route replace {settings.PUBLIC_GATEWAY} dev {device}",
            f"route replace default via {settings.PUBLIC_GATEWAY} dev {device} src {nic.ipv4}",
        ]
    if nic.ipv6:
        network, _, length = nic.ipv6.partition("/")
        lines += [
            f"address replace {network}1/{length} dev {device} nodad",
            f"route replace default via {internet.GATEWAY_IPV6} dev {device}",
        ]
    return lines


def _private(nic: PrivateNic, ip_range: str) -> list[str]:
    """As the vendor's networks have it: one address, and everybody else through the gateway."""
    device, gateway = settings.PRIVATE_INTERFACE, router.gateway(ip_range)
    return [
        f"link set {device} up",
        f"address replace {nic.ipv4}/32 dev {device}",
        f"route replace {gateway} dev {device} src {nic.ipv4}",
        f"route replace {ip_range} via {gateway} dev {device} src {nic.ipv4}",
    ]
