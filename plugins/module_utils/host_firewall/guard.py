# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard: the nftables table that holds at every moment, whatever UFW and Docker do meanwhile. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network

from ansible_collections.bulwark.hetzner.plugins.module_utils.host_firewall.rules import (
    Firewall,
    Network,
    Rule,
    Session,
)

TABLE = "inet bulwark_guard"

# After connection tracking (-200), so that answers are known; before Docker's DNAT (-100), so that the port is still
# the published one. Reply packets pass, all others must match a rule each time: so a peer that is taken out is cut off.
_TABLE = """\
# Written by the module host_firewall; changes by hand are undone.
# Declared, deleted and made anew in one transaction: no packet ever meets a table half made.
table inet bulwark_guard
delete table inet bulwark_guard
table inet bulwark_guard {
  counter dropped_to_host { }
  counter dropped_forwarded { }
  counter dropped_from_containers { }
  chain prerouting {
    type filter hook prerouting priority mangle; policy drop;
    iifname "lo" accept
    ct direction reply accept
    ct state related meta l4proto { icmp, ipv6-icmp } accept
    ip6 hoplimit 255 icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    # Renewals of the lease that are answered by broadcast, which connection tracking does not know.
    udp sport 67 udp dport 68 meta nfproto ipv4 fib daddr type { local, broadcast } accept
    # Containers hang on bridges, whatever these are called.
    meta iifkind "bridge" goto containers
    fib daddr type local goto host
    goto forwarded
  }
  chain host {
%(host)s    counter name dropped_to_host drop
  }
  chain containers {
    fib daddr type local goto containers_to_host
    # The metadata service tells who asks what this server is; containers are not to know.
    ip daddr 169.254.0.0/16 counter name dropped_from_containers drop
    fib daddr type unicast accept
    counter name dropped_from_containers drop
  }
  chain containers_to_host {
%(containers)s    counter name dropped_from_containers drop
  }
  chain forwarded {
    ip daddr 169.254.0.0/16 counter name dropped_forwarded drop
%(forward)s    counter name dropped_forwarded drop
  }
}
"""


def render(firewall: Firewall) -> str:
    """The file that makes the whole table in one transaction."""
    way = f'iifname "{firewall.private_interface}" fib daddr oifname "{firewall.public_interface}" '
    return _TABLE % {
        "host": _lines(firewall.rules, ""),
        "containers": _lines(firewall.rules, "", containers=True),
        "forward": _lines(firewall.forward, way),
    }


def safe(session: Session | None) -> str:
    """What a first application is taken back to: closed but for SSH from where it was applied from."""
    if session is None:
        return render(Firewall(()))
    only = Rule("session", "tcp", ((session.port, session.port),), (ip_network(session.client),))
    return render(Firewall((only,)))


def _lines(rules: Sequence[Rule], way: str, containers: bool = False) -> str:
    lines = []
    for rule in rules:
        for version in (4, 6):
            networks = rule.of_family(version, containers)
            if networks:
                what = _source(networks, version) + _what(rule, version)
                lines.append(f'    {way}{what}accept comment "{rule.name}"\n')
    return "".join(lines)


def _source(networks: Sequence[Network], version: int) -> str:
    if any(network.prefixlen == 0 for network in networks):
        return f"meta nfproto ipv{version} "
    return f"{'ip' if version == 4 else 'ip6'} saddr {{ {', '.join(map(str, networks))} }} "


def _what(rule: Rule, version: int) -> str:
    if rule.protocol == "any":
        return ""
    if rule.protocol == "icmp":
        return f"{'icmp' if version == 4 else 'icmpv6'} type echo-request "
    ports = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in rule.ports)
    return f"{rule.protocol} dport {{ {ports} }} "
