"""What can be reached from where."""

from __future__ import annotations

from typing import Any

from ansible_collections.bulwark.hetzner.plugins.module_utils.flows.environment import Environment, read_environment
from ansible_collections.bulwark.hetzner.plugins.module_utils.flows.firewall import host_rules
from ansible_collections.bulwark.hetzner.plugins.module_utils.flows.reachability import reachability
from hypothesis import given, settings

from tests.unit.flows.builders import environment, record, records, staging, topology
from tests.unit.flows.test_flows_firewall import COUNTS


def opened(found: Environment) -> dict[tuple[str, str], str]:
    """What is open between two ends, in words."""
    return {
        (pair["from"], pair["to"]): " ".join(
            port for flow in pair["flows"] for port in flow["ports"] or [flow["protocol"]]
        )
        for pair in reachability(found)
    }


def test_the_whole_architecture() -> None:
    expected = {
        ("admin", "bastion-server"): "22 icmp",
        ("internet", "bastion-server"): "",
        ("bastion-server", "db-primary"): "22 5432",
        ("bastion-server", "monitor-01"): "22 3100 9090 3001 9093",
        ("bastion-server", "app-01"): "22",
        ("app-01", "app-02"): "",
        ("app-01", "bastion-server"): "",
        ("app-01", "jobs-01"): "80",
        ("app-01", "db-replica"): "5432",
        ("app-01", "monitor-01"): "3100",
        ("jobs-01", "app-01"): "",
        ("db-primary", "db-replica"): "5432",
        ("db-replica", "db-primary"): "5432",
        ("db-primary", "app-01"): "",
        ("monitor-01", "app-01"): "9100 80",
        ("monitor-01", "db-primary"): "5432 9100",
        ("monitor-01", "bastion-server"): "9100",
    }
    found = opened(environment())
    assert expected.items() <= found.items()
    assert len(found) == 7 * 6 + 2


def test_the_shape_of_a_pair() -> None:
    [pair] = [pair for pair in reachability(environment()) if (pair["from"], pair["to"]) == ("app-01", "db-primary")]
    assert pair == {
        "from": "app-01",
        "to": "db-primary",
        "address": "10.0.0.6",
        "flows": [{"name": "postgres", "protocol": "tcp", "ports": ["5432"]}],
    }


@settings(max_examples=20, deadline=None)
@given(counts=COUNTS)
def test_every_pair_is_there_and_agrees_with_the_rules(counts: dict[str, int]) -> None:
    found = environment(servers={role: {"count": min(count, 4)} for role, count in counts.items()})
    pairs = reachability(found)
    inside = {(pair["from"], pair["to"]) for pair in pairs if pair["from"] in found.hosts}
    assert inside == {(one, other) for one in found.hosts for other in found.hosts if one != other}
    for pair in pairs:
        if pair["from"] in found.hosts:
            source = f"{found.hosts[pair['from']].private_address}/32"
            letting_in = [rule["name"] for rule in host_rules(found, pair["to"])["rules"] if source in rule["sources"]]
            assert [flow["name"] for flow in pair["flows"]] == letting_in
            assert pair["address"] == found.hosts[pair["to"]].private_address


def test_what_is_open_to_everybody_is_open_to_servers() -> None:
    found = opened(environment(flows={"direct": {"from": "internet", "to": "bastion", "ports": 443}}))
    assert found["internet", "bastion-server"] == "443"
    assert found["admin", "bastion-server"] == "22 icmp 443"
    assert found["app-01", "bastion-server"] == "443"
    assert found["app-01", "app-02"] == ""


def test_admins_by_their_networks() -> None:
    # Somebody who lets all of IPv4 in has to be told that the internet is in.
    assert opened(environment(admin_addresses=["0.0.0.0/0"]))["internet", "bastion-server"] == "22 icmp"
    assert opened(environment(admin_addresses=["::/0"]))["internet", "bastion-server"] == ""
    assert opened(environment(admin_addresses=["0.0.0.0/8"]))["internet", "bastion-server"] == ""
    # An admin's network may hold servers.
    assert opened(environment(admin_addresses=["10.0.0.0/30"]))["app-01", "bastion-server"] == "22 icmp"


def test_a_server_alone() -> None:
    assert opened(staging()) == {("admin", "staging-01"): "22 icmp 443 80", ("internet", "staging-01"): "443 80"}


def test_servers_that_do_not_share_the_private_network() -> None:
    data: dict[str, Any] = topology(flows={"direct": {"from": "internet", "to": "bastion", "ports": 443}})
    outside = record("second", "bastion", private=None, public="203.0.113.5")
    nowhere = record("nowhere", "app", private=None)
    found = read_environment(data, [*records(data), outside, nowhere])
    addresses = {(pair["from"], pair["to"]): pair["address"] for pair in reachability(found)}
    assert addresses["app-01", "second"] == "203.0.113.5"
    assert addresses["second", "bastion-server"] == "198.51.100.100"
    assert opened(found)["app-01", "second"] == "443"
    assert opened(found)["second", "bastion-server"] == "443"
    assert not [pair for pair in addresses if pair[1] == "nowhere"], "it has no address to try"
