"""The router of a private network: what it makes of a description. The commands that carry it out are recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.drivers.base import Network, NetworkMember, PrivateNic
from lab.net import dnsmasq, namespaces, router

NETWORK = 7
BASTION, APP, VPN = 1001, 1002, 1003


def member(machine_id: int, address: str, *aliases: str) -> NetworkMember:
    return NetworkMember(machine_id, PrivateNic(f"86:00:00:00:00:{machine_id % 100:02x}", NETWORK, address, aliases))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(monkeypatch)


class Made:
    """Stands in for the kernel: keeps routes by table and rules, and answers what `ip` would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tables: dict[str, dict[str, str]] = {}
        self.rules: list[str] = []
        self.leases = ""
        self.cables = {router.link(machine) for machine in (BASTION, APP, VPN)}
        monkeypatch.setattr(namespaces, "exists", lambda name: True)
        monkeypatch.setattr(namespaces, "links", lambda name: self.cables)
        monkeypatch.setattr(namespaces, "configure", lambda name, lines: [self._line(line) for line in lines])
        monkeypatch.setattr(router, "run", self._run)
        monkeypatch.setattr(router, "_lease", lambda network: None)

    def _line(self, line: str) -> None:
        words = line.split()
        if words[:2] == ["route", "replace"]:
            kind = "unreachable " if words[2] == "unreachable" else ""
            rest = words[3:] if kind else words[2:]
            at = rest.index("table")
            self.tables.setdefault(rest[at + 1], {})[kind + rest[0]] = " ".join(rest[1:at])
        elif words[:2] == ["route", "delete"]:
            at = words.index("table")
            del self.tables[words[at + 1]][" ".join(words[2:at])]
        elif words[0] == "rule":
            rule = " ".join(words[2:])
            self.rules.append(rule) if words[1] == "add" else self.rules.remove(rule)

    def _run(self, *words: str) -> str:
        found: list[dict[str, Any]] = []
        if "rule" in words:
            found = [{"priority": 1000, "iif": rule.split()[1], "table": rule.split()[3]} for rule in self.rules]
        else:
            for key in self.tables.get(words[-1], {}):
                kind, _, destination = key.rpartition(" ")
                found.append(
                    {"dst": destination.removesuffix("/32"), "protocol": "boot", **({"type": kind} if kind else {})}
                )
        return json.dumps(found)


def sync(made: Made, *members: NetworkMember, routes: tuple[tuple[str, str], ...] = ()) -> None:
    router.sync(Network(NETWORK, "10.0.0.0/16", ("10.0.0.0/24",), routes, members))


@pytest.mark.parametrize(
    ("ip_range", "expected"),
    [("10.0.0.0/16", "10.0.0.1"), ("192.168.4.0/24", "192.168.4.1"), ("10.0.0.0/8", "10.0.0.1")],
)
def test_the_gateway_is_the_first_address(ip_range: str, expected: str) -> None:
    assert router.gateway(ip_range) == expected


def test_members_are_reached_and_nobody_else(made: Made) -> None:
    sync(made, member(BASTION, "10.0.0.2"), member(APP, "10.0.0.3", "10.0.0.33"))
    assert made.tables == {
        "main": {
            "unreachable 10.0.0.0/16": "",
            "10.0.0.2/32": "dev srv1001",
            "10.0.0.3/32": "dev srv1002",
            "10.0.0.33/32": "dev srv1002",
        }
    }
    assert made.rules == []


def test_a_route_is_followed_by_all_but_its_gateway(made: Made) -> None:
    sync(made, member(BASTION, "10.0.0.2"), member(APP, "10.0.0.3"), routes=(("0.0.0.0/0", "10.0.0.2"),))
    assert made.tables["main"]["default"] == "via 10.0.0.2 dev srv1001 onlink"
    assert "default" not in made.tables[str(BASTION)]
    assert "unreachable default" in made.tables[str(BASTION)]
    assert made.rules == [f"iif srv1001 lookup {BASTION} priority 1000"]


def test_a_gateway_follows_the_routes_of_other_gateways(made: Made) -> None:
    routes = (("0.0.0.0/0", "10.0.0.2"), ("192.168.9.0/24", "10.0.0.4"))
    sync(made, member(BASTION, "10.0.0.2"), member(VPN, "10.0.0.4"), routes=routes)
    assert made.tables[str(VPN)]["default"] == "via 10.0.0.2 dev srv1001 onlink"
    assert "192.168.9.0/24" not in made.tables[str(VPN)]
    assert made.tables[str(BASTION)]["192.168.9.0/24"] == "via 10.0.0.4 dev srv1003 onlink"


def test_an_alias_address_may_be_the_gateway(made: Made) -> None:
    sync(made, member(BASTION, "10.0.0.2", "10.0.0.20"), routes=(("0.0.0.0/0", "10.0.0.20"),))
    assert made.tables["main"]["default"] == "via 10.0.0.20 dev srv1001 onlink"


def test_what_is_no_longer_described_goes(made: Made) -> None:
    bastion, app = member(BASTION, "10.0.0.2"), member(APP, "10.0.0.3")
    sync(made, bastion, app, routes=(("0.0.0.0/0", "10.0.0.2"),))
    sync(made, bastion)
    assert made.tables["main"] == {"unreachable 10.0.0.0/16": "", "10.0.0.2/32": "dev srv1001"}
    assert made.rules == []


def test_a_member_without_a_cable_is_left_out_until_it_has_one(made: Made) -> None:
    made.cables = {router.link(APP)}
    members = (member(BASTION, "10.0.0.2"), member(APP, "10.0.0.3"))
    sync(made, *members, routes=(("0.0.0.0/0", "10.0.0.2"),))
    assert set(made.tables["main"]) == {"unreachable 10.0.0.0/16", "10.0.0.3/32"}
    made.cables.add(router.link(BASTION))
    sync(made, *members, routes=(("0.0.0.0/0", "10.0.0.2"),))
    assert {"10.0.0.2/32", "default"} <= set(made.tables["main"])


def test_a_lease_is_the_whole_description(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """No router option, and no netmask but that of one address, as the vendor hands out since 2025."""
    told: list[list[str]] = []
    monkeypatch.setattr(dnsmasq, "ensure", lambda name, lines, namespace=None: told.append(lines))
    monkeypatch.setattr(dnsmasq, "hosts_file", lambda name: tmp_path / "hosts")
    monkeypatch.setattr(dnsmasq, "reload", lambda name: None)
    router._lease(Network(NETWORK, "10.0.0.0/16", (), (), (member(APP, "10.0.0.3"),)))
    assert (tmp_path / "hosts").read_text() == "86:00:00:00:00:02,10.0.0.3,infinite\n"
    (lines,) = told
    assert "dhcp-option=3" in lines
    assert "dhcp-option=1,255.255.255.255" in lines
    assert "dhcp-option=121,10.0.0.1/32,0.0.0.0,10.0.0.0/16,10.0.0.1" in lines
