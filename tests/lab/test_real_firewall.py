"""How cloud firewalls are rendered. What the rules do to packets is shown by tests/real/test_3_cloud_network.py."""

from __future__ import annotations

import pytest

from lab.drivers.base import Direction, FirewallRule
from lab.net import firewall, uplink

LINK = "pub1000007"
SSH = FirewallRule(Direction.IN, "tcp", (22, 22), ("198.51.100.10/32",))
WEB_OUT = FirewallRule(Direction.OUT, "tcp", (80, 80), ("0.0.0.0/0",))


def chain(rendered: str, name: str) -> list[str]:
    """The rules of one of the cable's chains."""
    start = f"add rule {firewall.TABLE} {name}_{LINK} "
    return [line.removeprefix(start) for line in rendered.splitlines() if line.startswith(start)]


@pytest.mark.parametrize(
    ("rule", "conditions"),
    [
        (SSH, ["ip saddr { 198.51.100.10/32 } meta l4proto tcp th dport 22-22"]),
        (
            FirewallRule(Direction.IN, "udp", (500, 4500), ("10.0.0.0/8", "2001:db8::/32", "192.0.2.1/32")),
            [
                "ip saddr { 10.0.0.0/8, 192.0.2.1/32 } meta l4proto udp th dport 500-4500",
                "ip6 saddr { 2001:db8::/32 } meta l4proto udp th dport 500-4500",
            ],
        ),
        (
            FirewallRule(Direction.IN, "icmp", None, ("0.0.0.0/0", "::/0")),
            ["ip saddr { 0.0.0.0/0 } meta l4proto icmp", "ip6 saddr { ::/0 } meta l4proto ipv6-icmp"],
        ),
        (FirewallRule(Direction.IN, "gre", None, ("::/0",)), ["ip6 saddr { ::/0 } meta l4proto gre"]),
    ],
    ids=["one-port", "both-families", "icmp", "no-ports"],
)
def test_a_permission_becomes_conditions_for_each_family(rule: FirewallRule, conditions: list[str]) -> None:
    assert list(firewall.rule(rule, "saddr")) == conditions


def test_without_a_firewall_everything_passes_but_forged_senders() -> None:
    rendered = firewall.guard(LINK, ["198.51.100.100", "2001:db8:0:1::/64"], None)
    assert chain(rendered, "senders") == [
        "ip saddr 198.51.100.100 return",
        "ip6 saddr 2001:db8:0:1::/64 return",
        "counter drop",
    ]
    assert chain(rendered, "inbound") == chain(rendered, "outbound") == []


def test_a_firewall_without_rules_closes_the_way_in_only() -> None:
    rendered = firewall.guard(LINK, ["198.51.100.100"], ())
    assert chain(rendered, "inbound") == ["counter drop"]
    assert chain(rendered, "outbound") == []


def test_what_is_permitted_stands_before_the_refusal() -> None:
    rendered = firewall.guard(LINK, ["198.51.100.100"], (SSH, WEB_OUT))
    inbound, outbound = chain(rendered, "inbound"), chain(rendered, "outbound")
    assert [rule.rpartition(" ")[2] for rule in inbound] == ["accept", "drop"]
    # Not accepted: the receiver's firewall is asked after the sender's.
    assert [rule.rpartition(" ")[2] for rule in outbound] == ["return", "drop"]
    assert "saddr" in inbound[0]
    assert "daddr" in outbound[0]


def test_a_cable_without_an_address_may_send_nothing() -> None:
    assert chain(firewall.guard(LINK, [], None), "senders") == ["counter drop"]


def test_rules_are_replaced_not_piled_up() -> None:
    lines = firewall.guard(LINK, ["198.51.100.100"], (SSH,)).splitlines()
    for name in ("senders", "inbound", "outbound"):
        flush = lines.index(f"flush chain {firewall.TABLE} {name}_{LINK}")
        first = next(
            (n for n, line in enumerate(lines) if line.startswith(f"add rule {firewall.TABLE} {name}_")), flush
        )
        assert lines.index(f"add chain {firewall.TABLE} {name}_{LINK}") < flush <= first


def test_neighbours_are_found_through_any_firewall() -> None:
    rules = firewall.base_rules("169.254.77.2").splitlines()
    neighbours = next(number for number, rule in enumerate(rules) if "nd-neighbor-solicit" in rule)
    assert neighbours < next(number for number, rule in enumerate(rules) if "deliver oifname vmap @inbound" in rule)


def test_the_uplink_is_open_for_the_web_and_for_the_engines_names() -> None:
    rules = [line.strip() for line in uplink._rules().splitlines()]
    forward = rules[rules.index("chain out {") : rules.index("chain machine {")]
    accepted = [rule for rule in forward if rule.endswith(" accept") and "established" not in rule]
    assert accepted == [
        'iifname { "bulwark-up", "bulwark-eng" } tcp dport { 80, 443 } accept',
        'iifname "bulwark-eng" meta l4proto { tcp, udp } th dport 53 accept',
    ]
    assert forward[-2] == 'oifname { "bulwark-up", "bulwark-eng" } counter drop'
