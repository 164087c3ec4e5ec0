# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Firewall rules from the flows: those of a host, and those of the cloud firewall in front of the bastion."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any, TypedDict

from ..topology.reading import TopologyError
from ..topology.schema import BASTION, Topology
from .environment import Environment, FlowError, Host, sorted_networks
from .table import ADMIN, EVERYBODY, INTERNET, PRIVATE_SERVERS, SERVERS, Flow

#: https://docs.hetzner.cloud/reference/cloud#firewalls, "rules"
MAX_CLOUD_RULES = 50


class Forward(TypedDict):
    """What a host passes on. Networks are in CIDR form, ports texts such as ``22`` or ``3000-3010``."""

    name: str
    protocol: str
    ports: list[str]
    sources: list[str]


class Rule(Forward):
    """What may come to a host; ``containers`` are networks of its own containers that may as well."""

    containers: list[str]


class HostRules(TypedDict):
    """All that a host's firewall lets through."""

    rules: list[Rule]
    forward: list[Forward]


def host_rules(environment: Environment, name: str, containers: Sequence[str] = ()) -> HostRules:
    """The rules of the host ``name``, in the order of the flows; a flow that leads nobody here has none.

    ``containers`` are the networks of the host's own containers: flows from the host to itself are theirs too.
    """
    host = environment.host(name)
    own = container_networks(containers)
    rules: list[Rule] = []
    forward: list[Forward] = []
    for flow in environment.topology.flows:
        if host.is_in(flow.to):
            sources, inside = environment.sources(flow, host), own if leads_home(flow, host) else []
            if sources or inside:
                rules.append({**_forward(flow, sources), "containers": inside})
        elif flow.to == (INTERNET,) and BASTION in host.roles:
            sources = _forwarded(environment, flow)
            if sources:
                forward.append(_forward(flow, sources))
    return {"rules": rules, "forward": forward}


def leads_home(flow: Flow, host: Host) -> bool:
    """Whether a flow to the host is one from it as well. The host needs no rule for that, its containers do."""
    return INTERNET in flow.from_ or host.is_in(flow.from_)


def container_networks(containers: Sequence[str]) -> list[str]:
    """Checked and sorted; raises FlowError for what is no list of networks."""
    if isinstance(containers, str):
        raise FlowError("The networks of containers must be a list.")
    try:
        return sorted_networks({str(ip_network(network)) for network in containers})
    except ValueError as error:
        raise FlowError(f"The networks of containers need the form 172.30.0.0/24: {error}.") from None


def _forward(flow: Flow, sources: list[str]) -> Forward:
    return {
        "name": flow.name,
        "protocol": flow.protocol,
        "ports": [str(ports) for ports in flow.ports],
        "sources": sources,
    }


def _forwarded(environment: Environment, flow: Flow) -> list[str]:
    """Who is forwarded to the internet.

    For all private servers that is their subnet, so that a new one has its way out from its first boot on, before the
    bastion has heard of it.
    """
    private = [host for host in environment.hosts.values() if not host.public_address and host.private_address]
    if PRIVATE_SERVERS in flow.from_:
        return [str(environment.topology.subnet)] if private else []
    return sorted_networks({f"{host.private_address}/32" for host in private if host.is_in(flow.from_)})


def cloud_rules(topology: Topology) -> list[dict[str, Any]]:
    """Rules of the cloud firewall in front of the bastion, as M(bulwark.hetzner.hcloud_infrastructure) takes them.

    It filters the public interface only, so that flows from servers are not its business. An only server is the
    bastion and all else.
    """
    rules: list[dict[str, Any]] = []
    for flow in topology.flows:
        sources = EVERYBODY if INTERNET in flow.from_ else topology.admin_addresses if ADMIN in flow.from_ else ()
        if sources and (topology.one_server or BASTION in flow.to or SERVERS in flow.to):
            rule = {"direction": "in", "protocol": flow.protocol, "source_ips": list(sources), "description": flow.name}
            rules += [rule | {"port": str(ports)} for ports in flow.ports] or [rule]
    if len(rules) > MAX_CLOUD_RULES:
        raise TopologyError(
            f"topology.flows: {len(rules)} ports of the {'server' if topology.one_server else 'bastion'} are open to "
            f"admin or internet, and a cloud firewall holds {MAX_CLOUD_RULES} rules: join ports to ranges."
        )
    return rules
