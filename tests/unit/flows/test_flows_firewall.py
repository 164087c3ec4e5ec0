"""Firewall rules from the flows: of every host, for one that comes or goes, and in front of the bastion."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.flows.environment import (
    Environment,
    FlowError,
    read_environment,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.flows.firewall import cloud_rules, host_rules
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.reading import TopologyError
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.schema import MAX_COUNT
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.flows.builders import ADMIN_NETWORK, STAGING, environment, record, records, staging, topology

OWN = ["172.30.0.0/24"]


def rules(found: Environment, host: str, containers: list[str] | None = None) -> dict[str, tuple[str, ...]]:
    """Every rule of a host by its name: protocol or ports, then who."""
    return {
        rule["name"]: (" ".join(rule["ports"]) or rule["protocol"], *rule["sources"], *rule["containers"])
        for rule in host_rules(found, host, containers or ())["rules"]
    }


def test_the_whole_architecture() -> None:
    found = environment()
    database = {
        "jump-host": ("22", "10.0.0.2/32"),
        "postgres": ("5432", "10.0.0.2/32", "10.0.0.3/32", "10.0.0.4/32", "10.0.0.5/32"),
        "postgres-metrics": ("5432", "10.0.0.8/32"),
        "node-metrics": ("9100", "10.0.0.8/32"),
    }
    application = {
        "jump-host": ("22", "10.0.0.2/32"),
        "app-http": ("80", "10.0.0.9/32"),
        "node-metrics": ("9100", "10.0.0.8/32"),
        "app-probe": ("80", "10.0.0.8/32"),
    }
    assert {host: rules(found, host) for host in found.hosts} == {
        "bastion-server": {
            "admin-ssh": ("22", ADMIN_NETWORK),
            "admin-ping": ("icmp", ADMIN_NETWORK),
            "node-metrics": ("9100", "10.0.0.8/32"),
        },
        "app-01": application,
        "app-02": application,
        "jobs-01": {
            "jump-host": ("22", "10.0.0.2/32"),
            "jobs-http": ("80", "10.0.0.3/32", "10.0.0.4/32"),
            "node-metrics": ("9100", "10.0.0.8/32"),
        },
        "db-primary": database | {"replication": ("5432", "10.0.0.7/32")},
        "db-replica": database | {"replication": ("5432", "10.0.0.6/32")},
        "monitor-01": {
            "jump-host": ("22", "10.0.0.2/32"),
            "logs": ("3100", *(f"10.0.0.{host}/32" for host in range(2, 8))),
            "tunnels": ("9090 3001 9093", "10.0.0.2/32"),
        },
    }


def test_the_shape_of_a_rule() -> None:
    found = host_rules(environment(), "monitor-01", OWN)
    assert found["rules"][1] == {
        "name": "node-metrics",
        "protocol": "tcp",
        "ports": ["9100"],
        "sources": [],
        "containers": OWN,
    }
    assert found["forward"] == []


def test_containers_are_in_flows_from_the_host_to_itself_only() -> None:
    networks = ["fd00:30::/64", "172.30.1.0/24", "172.30.0.0/24", "172.30.0.0/24"]
    found = host_rules(environment(), "db-primary", networks)["rules"]
    assert {rule["name"]: rule["containers"] for rule in found if rule["containers"]} == {
        "replication": ["172.30.0.0/24", "172.30.1.0/24", "fd00:30::/64"]
    }


def test_only_the_bastion_forwards_and_only_what_leads_to_the_internet() -> None:
    found = environment()
    assert [host for host in found.hosts if host_rules(found, host)["forward"]] == ["bastion-server"]
    assert host_rules(found, "bastion-server")["forward"] == [
        {"name": "internet", "protocol": "any", "ports": [], "sources": ["10.0.0.0/24"]}
    ]


def test_the_way_out_can_be_narrowed_and_closed() -> None:
    narrow = {"from": ["jobs", "app"], "protocol": "tcp", "ports": [80, 443]}
    [rule] = host_rules(environment(flows={"internet": narrow}), "bastion-server")["forward"]
    assert rule["sources"] == ["10.0.0.3/32", "10.0.0.4/32", "10.0.0.5/32"]
    assert (rule["protocol"], rule["ports"]) == ("tcp", ["80", "443"])
    assert host_rules(environment(flows={"internet": False}), "bastion-server")["forward"] == []


def test_what_is_open_to_everybody() -> None:
    found = environment(
        flows={"vpn": {"from": ["admin", "internet", "app"], "to": "bastion", "protocol": "udp", "ports": 51820}}
    )
    assert rules(found, "bastion-server", OWN)["vpn"] == ("51820", "0.0.0.0/0", "::/0", *OWN)


def test_sources_are_sorted_by_their_numbers() -> None:
    found = environment(admin_addresses=["2001:db8::/48", "203.0.113.0/24", "9.0.0.0/8"])
    assert rules(found, "bastion-server")["admin-ssh"] == ("22", "9.0.0.0/8", "203.0.113.0/24", "2001:db8::/48")


def test_a_server_that_is_everything() -> None:
    found = staging()
    assert rules(found, "staging-01") == {
        "admin-ssh": ("22", ADMIN_NETWORK),
        "admin-ping": ("icmp", ADMIN_NETWORK),
        "web": ("443 80", "0.0.0.0/0", "::/0"),
    }
    with_containers = rules(found, "staging-01", OWN)
    assert with_containers["postgres"] == ("5432", *OWN)
    assert with_containers["web"] == ("443 80", "0.0.0.0/0", "::/0", *OWN)
    assert not {"jump-host", "internet", "app-http", "replication"} & with_containers.keys()
    assert host_rules(found, "staging-01")["forward"] == []


def test_a_public_server_without_private_network() -> None:
    alone = STAGING | {"private_address": None}
    found = read_environment(topology(flows={"direct": {"from": "internet", "to": "bastion", "ports": 443}}), [alone])
    assert set(rules(found, "staging-01")) == {"admin-ssh", "admin-ping", "direct"}


def test_servers_of_another_environment_and_of_unknown_roles_are_not_let_in() -> None:
    data = topology()
    strangers = [
        record("app-09", "app", private="10.0.0.99", env="staging"),
        record("app-08", "app", private="10.0.0.98", env=None),
        record("odd", "admin", "internet", "load_balancer", "web", private="10.0.0.97"),
    ]
    found = read_environment(data, records(data) + strangers)
    assert "10.0.0.99" not in json.dumps([host_rules(found, host) for host in found.hosts])
    assert "10.0.0.98" not in json.dumps([host_rules(found, host) for host in found.hosts])
    # A label does not make a server another end; it is a server like any other.
    assert {name for name, rule in rules(found, "bastion-server").items() if "10.0.0.97/32" in rule} == set()
    assert "10.0.0.97/32" in rules(found, "monitor-01")["logs"]
    with pytest.raises(FlowError, match="'app-09' is no server of the environment production: did you mean 'app-0"):
        host_rules(found, "app-09")


COUNTS = st.fixed_dictionaries({role: st.integers(0, MAX_COUNT) for role in ("app", "jobs", "db", "monitoring")})


@settings(max_examples=25, deadline=None)
@given(counts=COUNTS)
def test_rules_follow_the_numbers_of_servers(counts: dict[str, int]) -> None:
    """The table once more, by roles, against what each host gets."""
    found = environment(servers={role: {"count": count} for role, count in counts.items()})

    def addresses(host: str, *roles: str) -> list[str]:
        of_role = [other for other in found.hosts.values() if not set(roles).isdisjoint(other.roles)]
        return sorted(f"{other.private_address}/32" for other in of_role if other.name != host)

    every = ("bastion", "app", "jobs", "db", "monitoring")
    expected: dict[str, dict[str, tuple[str, ...]]] = {
        "bastion": {"node-metrics": ("monitoring",)},
        "app": {"jump-host": ("bastion",), "node-metrics": ("monitoring",), "app-probe": ("monitoring",)},
        "jobs": {"jump-host": ("bastion",), "node-metrics": ("monitoring",), "jobs-http": ("app",)},
        "db": {
            "jump-host": ("bastion",),
            "postgres": ("app", "jobs", "bastion"),
            "replication": ("db",),
            "postgres-metrics": ("monitoring",),
            "node-metrics": ("monitoring",),
        },
        "monitoring": {
            "jump-host": ("bastion",),
            "node-metrics": ("monitoring",),
            "logs": every,
            "tunnels": ("bastion",),
        },
    }
    outside = {"admin-ssh", "admin-ping", "app-http"}
    for host in found.hosts.values():
        flows = expected[host.roles[0]]
        wanted = {name: addresses(host.name, *roles) for name, roles in flows.items()}
        given_ = {rule["name"]: sorted(rule["sources"]) for rule in host_rules(found, host.name)["rules"]}
        assert {name: rule for name, rule in given_.items() if name not in outside} == {
            name: sources for name, sources in wanted.items() if sources
        }
        for rule in host_rules(found, host.name)["rules"]:
            assert len(set(rule["sources"])) == len(rule["sources"])
            assert f"{host.private_address}/32" not in rule["sources"]


def all_rules(count: int) -> dict[str, Any]:
    found = environment(servers={"app": {"count": count}})
    return {host: host_rules(found, host, OWN) for host in found.hosts}


def test_a_third_application_server_is_one_number() -> None:
    before, after = all_rules(2), all_rules(3)
    named = {host for host, found in after.items() if "10.0.0.103/32" in json.dumps(found)}
    assert named == {"jobs-01", "db-primary", "db-replica", "monitor-01"}
    assert {rule["name"] for rule in after["app-03"]["rules"]} == {rule["name"] for rule in after["app-01"]["rules"]}
    assert "10.0.0.103" not in json.dumps(before)


@pytest.mark.parametrize(
    ("servers", "sentence"),
    [
        (None, "Flows need a list of the host variable bulwark_server"),
        ({"a": 1}, "Flows need a list"),
        (["app-01"], "Flows need a list"),
        ([{"name": "app-01"}], "Flows need a list"),
        ([], "'app-01' is no server of the environment production: the inventory has none"),
    ],
)
def test_an_inventory_that_is_none(servers: object, sentence: str) -> None:
    with pytest.raises(FlowError, match=sentence):
        host_rules(read_environment(topology(), servers), "app-01")


@pytest.mark.parametrize("containers", ["172.30.0.0/24", ["172.30.0.1/24"], ["bridge"]])
def test_networks_of_containers_that_are_none(containers: Any) -> None:
    with pytest.raises(FlowError, match="The networks of containers"):
        host_rules(environment(), "app-01", containers)


def test_the_cloud_firewall() -> None:
    flows = {
        "vpn": {"from": "internet", "to": "bastion", "protocol": "udp", "ports": [51820, "60000-61000"]},
        "inside": {"from": "app", "to": "bastion", "ports": 8080},
    }
    admin, everybody = ["2001:db8::/48", "198.51.100.7/32"], ["0.0.0.0/0", "::/0"]
    found = environment(flows=flows, admin_addresses=admin)
    assert cloud_rules(found.topology) == [
        {"direction": "in", "protocol": "tcp", "port": "22", "source_ips": admin, "description": "admin-ssh"},
        {"direction": "in", "protocol": "icmp", "source_ips": admin, "description": "admin-ping"},
        {"direction": "in", "protocol": "udp", "port": "51820", "source_ips": everybody, "description": "vpn"},
        {"direction": "in", "protocol": "udp", "port": "60000-61000", "source_ips": everybody, "description": "vpn"},
    ]


def test_more_rules_than_a_cloud_firewall_holds() -> None:
    flows = {"many": {"from": "internet", "to": "bastion", "ports": list(range(1000, 1049))}}
    with pytest.raises(TopologyError, match="51 ports of the bastion are open to admin or internet"):
        environment(flows=flows)
