"""A way out for a namespace: to the package mirrors and nowhere else.

The machine's own firewall and routing stay as they are, except for one table of ours, rules in its chains that let the
uplinks' traffic pass on to that table's judgement and, where forwarding was off, the switch that turns it on, which is
put back at the end. What leaves carries the machine's own address; a packet for an address of the embedded cloud is
dropped where it comes from, so it cannot leave at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab import settings
from lab.command import batch, run
from lab.net import namespaces

_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_REMEMBERED = settings.STATE / "ip_forward"

TABLE = f"inet {settings.PREFIX}_uplink"


@dataclass(frozen=True)
class Uplink:
    """A cable from the machine to a namespace; ``link`` names the machine's end."""

    namespace: str
    link: str
    machine_address: str
    address: str


INTERNET = Uplink(f"{settings.PREFIX}-internet", f"{settings.PREFIX}-up", "169.254.77.1", "169.254.77.2")
ENGINE = Uplink(f"{settings.PREFIX}-engine", f"{settings.PREFIX}-eng", "169.254.77.5", "169.254.77.6")
ALL = (INTERNET, ENGINE)

#: The namespace's end of the cable.
INSIDE = "uplink"

_PREFIX_LENGTH = 30


def connect(uplink: Uplink) -> None:
    """Lay the cable, with the namespace's default route through it. The namespace must exist."""
    if not namespaces.has_link(uplink.namespace, INSIDE):
        # The cable of a namespace that was deleted a moment ago may still be there.
        run("ip", "link", "delete", uplink.link, check=False)
        run("ip", "link", "add", uplink.link, "type", "veth", "peer", "name", INSIDE, "netns", uplink.namespace)
    batch(
        ("ip", "-batch", "-"),
        [f"address replace {uplink.machine_address}/{_PREFIX_LENGTH} dev {uplink.link}", f"link set {uplink.link} up"],
    )
    namespaces.configure(
        uplink.namespace,
        [
            f"address replace {uplink.address}/{_PREFIX_LENGTH} dev {INSIDE}",
            f"link set {INSIDE} up",
            f"route replace default via {uplink.machine_address}",
        ],
    )
    if not _REMEMBERED.exists():
        _REMEMBERED.parent.mkdir(parents=True, exist_ok=True)
        _REMEMBERED.write_text(_FORWARD.read_text())
    _FORWARD.write_text("1")
    run("nft", "-f", "-", feed=_rules())
    present = run("iptables", "-w", "-S").splitlines()
    for chain, *match in _passes():
        if f"-A {chain} {' '.join(match)}" not in present:
            run("iptables", "-w", "-I", chain, *match)


def remove_all() -> None:
    """Take out every cable, the table, and our switch of forwarding."""
    for uplink in ALL:
        run("ip", "link", "delete", uplink.link, check=False)
    run("nft", "delete", "table", *TABLE.split(), check=False)
    for rule in _passes():
        run("iptables", "-w", "-D", *rule, check=False)
    if _REMEMBERED.exists():
        _FORWARD.write_text(_REMEMBERED.read_text())
        _REMEMBERED.unlink()


def _passes() -> Iterator[tuple[str, ...]]:
    """What the machine's own firewall (ufw's, Docker's) must not stop: our table has judged it before."""
    for uplink in ALL:
        yield "FORWARD", "-i", uplink.link, "-j", "ACCEPT"
        yield "FORWARD", "-o", uplink.link, "-j", "ACCEPT"
        yield "INPUT", "-i", uplink.link, "-j", "ACCEPT"


def _rules() -> str:
    names = ", ".join(f'"{uplink.link}"' for uplink in ALL)
    ports = ", ".join(str(port) for port in settings.UPLINK_PORTS)
    return f"""
table {TABLE}
delete table {TABLE}
table {TABLE} {{
  chain out {{
    type filter hook forward priority filter - 10; policy accept;
    iifname {{ {names} }} ct state established,related accept
    iifname {{ {names} }} tcp dport {{ {ports} }} accept
    iifname "{ENGINE.link}" meta l4proto {{ tcp, udp }} th dport 53 accept
    iifname {{ {names} }} counter drop
    oifname {{ {names} }} ct state established,related accept
    oifname {{ {names} }} counter drop
  }}
  chain machine {{
    type filter hook input priority filter - 10; policy accept;
    iifname {{ {names} }} ct state established,related accept
    iifname {{ {names} }} meta l4proto {{ tcp, udp }} th dport 53 accept
    iifname {{ {names} }} counter drop
  }}
  chain own {{
    type filter hook output priority filter; policy accept;
    # The machine itself has no way to the embedded internet: a program there that means it is told so.
    ip daddr {settings.INTERNET_RANGE} counter reject with icmpx type host-unreachable
    ip6 daddr {settings.SERVER_IPV6_RANGE} counter reject with icmpx type host-unreachable
  }}
  chain address {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr 169.254.77.0/29 oifname != {{ {names} }} masquerade
  }}
}}
"""
