"""The router of a private network: a namespace with one cable to each member.

Members hold a /32 and reach each other through the router, as on the real cloud. Each cable carries the gateway's
address, so that dnsmasq answers on it. The network's own routes stand in the main table; each gateway has a table
without those that lead to itself, so that what it sends into the network is never handed back to it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

from lab import settings
from lab.command import CommandError, run
from lab.drivers.base import Network, NetworkMember
from lab.net import dnsmasq, namespaces

_PREFIX = f"{settings.PREFIX}-net-"
_RULE_PRIORITY = 1000
_ATTEMPTS = 10
_PAUSE_SECONDS = 0.1


def name(network_id: int) -> str:
    return f"{_PREFIX}{network_id}"


def present() -> frozenset[int]:
    """The networks that have a router."""
    return frozenset(int(found.removeprefix(_PREFIX)) for found in namespaces.listed(_PREFIX))


def link(machine_id: int) -> str:
    """The router's end of the cable to a machine."""
    return f"srv{machine_id}"


def gateway(ip_range: str) -> str:
    """The first address of a network's range; source: the vendor's description of networks."""
    return str(ip_network(ip_range)[1])


def sync(network: Network) -> None:
    """Make the router, with the routes and leases of this network, for the members whose cables have been laid."""
    namespace = name(network.network_id)
    if not namespaces.exists(namespace):
        namespaces.create(
            namespace,
            [
                ("net.ipv4.ip_forward", "1"),
                ("net.ipv4.conf.all.rp_filter", "0"),
                ("net.ipv4.conf.default.rp_filter", "0"),
                ("net.ipv4.conf.all.send_redirects", "0"),
                ("net.ipv4.conf.default.send_redirects", "0"),
            ],
        )
    _retry(lambda: _route(network, namespace))
    _lease(network)


def _retry(work: Callable[[], None]) -> None:
    """A server that stops takes its cable with it, also between a look at the cables and the use of one: look again."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return work()
        except CommandError:
            time.sleep(_PAUSE_SECONDS)
    return work()


def _route(network: Network, namespace: str) -> None:
    """Addresses and routes for the cables that are there now."""
    cables = namespaces.links(namespace)
    connected = [member for member in network.members if link(member.machine_id) in cables]
    for_all = f"{gateway(network.ip_range)}/32"
    namespaces.configure(
        namespace,
        [
            line
            for cable in map(_cable, connected)
            for line in (f"link set {cable} up", f"address replace {for_all} dev {cable}")
        ],
    )
    owner = {address: member for member in connected for address in _addresses(member)}
    direct = {f"{address}/32": f"dev {_cable(member)}" for address, member in owner.items()}
    within = {f"unreachable {network.ip_range}": ""} | direct
    routes = [
        ("default" if destination == "0.0.0.0/0" else destination, via, owner[via])
        for destination, via in network.routes
        if via in owner
    ]
    _set_routes(namespace, "main", within | _through(routes))
    gateways = {member.machine_id for _, _, member in routes}
    for machine_id in gateways:
        others = _through([route for route in routes if route[2].machine_id != machine_id])
        # Where nothing else matches, the main table must not be looked at.
        end = {} if "default" in others else {"unreachable default": ""}
        _set_routes(namespace, str(machine_id), within | others | end)
    _set_rules(namespace, gateways)


def _cable(member: NetworkMember) -> str:
    return link(member.machine_id)


def _addresses(member: NetworkMember) -> tuple[str, ...]:
    return member.nic.ipv4, *member.nic.alias_ips


def _through(routes: list[tuple[str, str, NetworkMember]]) -> dict[str, str]:
    return {destination: f"via {via} dev {_cable(member)} onlink" for destination, via, member in routes}


def _set_routes(namespace: str, table: str, wanted: dict[str, str]) -> None:
    """Make a table's routes exactly these; the desired ones are replaced before the others go, so no packet is lost."""
    namespaces.configure(namespace, [f"route replace {key} {how} table {table}" for key, how in wanted.items()])
    listed: list[dict[str, Any]] = json.loads(run("ip", "-n", namespace, "-j", "route", "show", "table", table))
    present = {
        f"unreachable {route['dst']}" if route.get("type") == "unreachable" else _full(route["dst"])
        for route in listed
        if route.get("protocol") != "kernel"
    }
    namespaces.configure(namespace, [f"route delete {key} table {table}" for key in sorted(present - wanted.keys())])


def _full(destination: str) -> str:
    """`ip` leaves out the prefix length of a single host."""
    return destination if destination == "default" or "/" in destination else f"{destination}/32"


def _set_rules(namespace: str, gateways: set[int]) -> None:
    """What comes from a gateway looks at the gateway's own table, which is numbered as it is."""
    rules: list[dict[str, Any]] = json.loads(run("ip", "-n", namespace, "-j", "rule", "show"))
    present = {int(rule["table"]) for rule in rules if rule.get("priority") == _RULE_PRIORITY}
    namespaces.configure(
        namespace,
        [
            f"rule {verb} iif {link(machine_id)} lookup {machine_id} priority {_RULE_PRIORITY}"
            for verb, machines in (("add", gateways - present), ("delete", present - gateways))
            for machine_id in sorted(machines)
        ],
    )


def _lease(network: Network) -> None:
    """Hand out each member's /32 with a route to the rest of the network, and no router, as the real cloud does."""
    instance = f"net-{network.network_id}"
    leases = "".join(f"{member.nic.mac},{member.nic.ipv4},infinite\n" for member in network.members)
    known = dnsmasq.hosts_file(instance)
    if known.exists() and not set(known.read_text().splitlines()) <= set(leases.splitlines()):
        # Somebody has left. What is leased stays so until dnsmasq ends: a newcomer at that address would be refused it.
        dnsmasq.stop(instance)
    first = ip_network(network.ip_range)
    via = gateway(network.ip_range)
    dnsmasq.ensure(
        instance,
        [
            "port=0",
            "interface=srv*",
            "dhcp-authoritative",
            "leasefile-ro",
            f"dhcp-range={first.network_address},static,{first.netmask},infinite",
            f"dhcp-hostsfile={dnsmasq.hosts_file(instance)}",
            "dhcp-option=1,255.255.255.255",
            "dhcp-option=3",
            "dhcp-option=6",
            f"dhcp-option=26,{settings.PRIVATE_MTU}",
            f"dhcp-option=121,{via}/32,0.0.0.0,{network.ip_range},{via}",
        ],
        namespace=name(network.network_id),
    )
    known.write_text(leases)
    dnsmasq.reload(instance)


def delete(network_id: int) -> None:
    dnsmasq.stop(f"net-{network_id}")
    namespaces.delete(name(network_id))
