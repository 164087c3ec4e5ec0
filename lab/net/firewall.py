"""Cloud firewalls, outside the servers they guard: rules of nftables in the internet's namespace, at each public cable.

Everything renders (pure) but the last function, which applies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lab import settings
from lab.command import run
from lab.drivers.base import Direction, FirewallRule

TABLE = f"inet {settings.PREFIX}_cloud"
_REFUSE = "counter drop"

#: Never carried on the internet: private addresses (RFC 1918), those shared by carriers (RFC 6598) and those of one
#: link (RFC 3927), among which a machine in a real cloud would find the metadata service of that cloud.
NOT_CARRIED = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16")


def base_rules(uplink_address: str) -> str:
    """The table every public cable is entered into; loading it again keeps what is entered."""
    return f"""
table {TABLE} {{
  map senders {{ type ifname : verdict; }}
  map inbound {{ type ifname : verdict; }}
  map outbound {{ type ifname : verdict; }}
  chain carry {{ type filter hook forward priority filter; policy accept; }}
  chain deliver {{ type filter hook output priority filter; policy accept; }}
  chain leave {{ type nat hook postrouting priority srcnat; policy accept; }}
}}
flush chain {TABLE} carry
flush chain {TABLE} deliver
flush chain {TABLE} leave
add rule {TABLE} carry iifname vmap @senders
add rule {TABLE} carry ip daddr {{ {", ".join(NOT_CARRIED)} }} counter drop
add rule {TABLE} carry ct state established,related accept
add rule {TABLE} carry iifname vmap @outbound
add rule {TABLE} carry oifname vmap @inbound
add rule {TABLE} deliver ct state established,related accept
add rule {TABLE} deliver icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
add rule {TABLE} deliver oifname vmap @inbound
add rule {TABLE} leave oifname "uplink" snat ip to {uplink_address}
"""


def rule(permission: FirewallRule, address_word: str) -> Iterable[str]:
    """The conditions of one permission; ``address_word`` is saddr for inbound, daddr for outbound rules."""
    for family, protocol_name in (("ip", "icmp"), ("ip6", "ipv6-icmp")):
        networks = [network for network in permission.networks if (":" in network) == (family == "ip6")]
        if not networks:
            continue
        protocol = protocol_name if permission.protocol == "icmp" else permission.protocol
        condition = f"{family} {address_word} {{ {', '.join(networks)} }} meta l4proto {protocol}"
        if permission.ports is not None:
            condition += f" th dport {permission.ports[0]}-{permission.ports[1]}"
        yield condition


def guard(link: str, addresses: Sequence[str], rules: tuple[FirewallRule, ...] | None) -> str:
    """Rules for one cable, behind which these addresses or networks are.

    ``rules`` None: no firewall. Inbound is closed but for its rules, outbound only if it has any.
    """
    chains = {"senders": _senders(addresses), "inbound": _inbound(rules), "outbound": _outbound(rules)}
    lines = []
    for verdicts, conditions in chains.items():
        chain = f"{verdicts}_{link}"
        lines += [f"add chain {TABLE} {chain}", f"flush chain {TABLE} {chain}"]
        lines += [f"add rule {TABLE} {chain} {condition}" for condition in conditions]
        # An element cannot be added twice with another verdict, but the same one is fine.
        lines.append(f'add element {TABLE} {verdicts} {{ "{link}" : jump {chain} }}')
    return "\n".join(lines) + "\n"


def _senders(addresses: Sequence[str]) -> list[str]:
    return [f"{'ip6' if ':' in address else 'ip'} saddr {address} return" for address in addresses] + [_REFUSE]


def _inbound(rules: tuple[FirewallRule, ...] | None) -> list[str]:
    if rules is None:
        return []
    own = [permission for permission in rules if permission.direction is Direction.IN]
    return [f"{condition} accept" for permission in own for condition in rule(permission, "saddr")] + [_REFUSE]


def _outbound(rules: tuple[FirewallRule, ...] | None) -> list[str]:
    own = [permission for permission in rules or () if permission.direction is Direction.OUT]
    if not own:
        return []
    # A permission is not the last word here: the receiver may have a firewall as well.
    return [f"{condition} return" for permission in own for condition in rule(permission, "daddr")] + [_REFUSE]


def forget(link: str) -> str:
    """Remove a cable's chains, if it has any."""
    lines = []
    for verdicts in ("senders", "inbound", "outbound"):
        chain = f"{verdicts}_{link}"
        # Added first, because what is not there cannot be deleted.
        lines += [f"add chain {TABLE} {chain}", f'add element {TABLE} {verdicts} {{ "{link}" : jump {chain} }}']
        lines += [f'delete element {TABLE} {verdicts} {{ "{link}" }}', f"delete chain {TABLE} {chain}"]
    return "\n".join(lines) + "\n"


def apply(namespace: str, rules: str) -> None:
    """Load rules in one transaction."""
    run("ip", "netns", "exec", namespace, "nft", "-f", "-", feed=rules)
