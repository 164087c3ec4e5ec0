"""An environment that is one public server: what is made, what it is called, and what it cannot have."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.bulwark.hetzner.plugins.module_utils.flows.environment import read_environment
from ansible_collections.bulwark.hetzner.plugins.module_utils.flows.services import scrape_targets
from ansible_collections.bulwark.hetzner.plugins.module_utils.picture.architecture import architecture
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.expand import edge, infrastructure
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.reading import TopologyError
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.schema import ROLES, parse

from tests.checkout import ROOT
from tests.unit.flows.builders import ADMIN_NETWORK, KEY, STAGING, topology


def staging(**more: Any) -> dict[str, Any]:
    return topology(**{"environment": "staging", "one_server": {}} | more)


def test_one_server_carries_every_role_and_is_called_after_the_environment() -> None:
    whole = infrastructure(staging())
    (server,) = whole["servers"]
    assert (server["name"], server["type"]) == ("staging-01", "cax21")
    assert server["labels"] == {f"role-{role}": "true" for role in ROLES}
    assert (server["public_ipv4"], server["firewalls"]) == ("staging-ip", ["staging-firewall"])
    assert [server["networks"], whole["networks"][0]["routes"]] == [
        [{"name": "staging-network", "address": "10.0.0.2"}],
        [],
    ], "its network leads nowhere"
    assert whole["volumes"] == whole["placement_groups"] == []
    assert [address["name"] for address in whole["primary_ips"]] == ["staging-ip"]


def test_nothing_it_has_is_called_as_in_another_environment() -> None:
    """Names are unique in a project, which both may share."""
    kinds = ("networks", "firewalls", "primary_ips", "servers", "volumes")
    one, other = infrastructure(staging(one_server={"volume_size": 20})), infrastructure(topology())
    third = infrastructure(staging(environment="trial_2", one_server={"volume_size": 20}))
    names = [[entry["name"] for kind in kinds for entry in made[kind]] for made in (one, other, third)]
    assert len({name for found in names for name in found}) == sum(map(len, names))
    assert "trial-2-01" in names[2], "a host name has no underscores"


def test_its_first_boot_is_a_public_servers() -> None:
    bastion = infrastructure(topology())["servers"][0]
    assert infrastructure(staging())["servers"][0]["user_data"] == bastion["user_data"]


def test_what_can_be_said_of_it() -> None:
    whole = infrastructure(staging(one_server={"name": "trial", "type": "cax11", "volume_size": 20}, location="nbg1"))
    assert [(server["name"], server["type"], server["location"]) for server in whole["servers"]] == [
        ("trial", "cax11", "nbg1")
    ]
    assert whole["volumes"] == [
        {"name": "trial-data", "size": 20, "format": "xfs", "location": "nbg1", "server": "trial"}
    ]


def test_the_cloud_firewall_lets_administrators_and_users_in() -> None:
    (firewall,) = infrastructure(staging())["firewalls"]
    assert [(rule["description"], rule.get("port"), rule["source_ips"]) for rule in firewall["rules"]] == [
        ("admin-ssh", "22", [ADMIN_NETWORK]),
        ("admin-ping", None, [ADMIN_NETWORK]),
        ("web", "443", ["0.0.0.0/0", "::/0"]),
        ("web", "80", ["0.0.0.0/0", "::/0"]),
    ]


def test_flows_to_any_role_may_be_opened_to_the_outside() -> None:
    flows = {"preview": {"from": "admin", "to": "jobs", "ports": 3000}, "web": {"from": "admin"}}
    (firewall,) = infrastructure(staging(flows=flows))["firewalls"]
    assert {(rule["description"], *rule["source_ips"]) for rule in firewall["rules"]} == {
        (name, ADMIN_NETWORK) for name in ("admin-ssh", "admin-ping", "preview", "web")
    }


def test_flows_keep_the_names_they_have_elsewhere() -> None:
    names = [flow.name for flow in parse(staging()).flows]
    everywhere = [flow.name for flow in parse(topology()).flows]
    assert names == [name for name in everywhere if name in names]
    assert set(everywhere) - set(names) == {"jump-host", "internet", "app-http", "replication"}


def test_it_watches_itself() -> None:
    found = read_environment(staging(), [STAGING | {"env": "staging"}])
    for flow, port in {"node-metrics": 9100, "app-probe": 80, "postgres-metrics": 5432}.items():
        assert [target["address"] for target in scrape_targets(found, flow)] == [f"10.0.0.2:{port}"]


def test_there_is_nothing_in_front_of_it() -> None:
    assert edge(staging(), "", ()) == {}


def test_its_picture_has_one_system_that_people_come_to() -> None:
    picture = architecture(staging())
    assert [system.key for system in picture.systems] == ["internet", "admin", "_".join(ROLES)]
    assert {(arrow.source, arrow.labels) for arrow in picture.arrows} == {
        ("internet", ("443, 80",)),
        ("admin", ("22", "ping")),
    }
    title = picture.systems[-1].title
    assert title == "bastion, application, background jobs, database, monitoring", "there is no NAT"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"servers": {"app": {"count": 1}}}, "topology.one_server is the only server, and topology.servers names"),
        ({"edge": {"zone": "example.com"}}, "topology.edge leads users to the load balancer, which"),
        ({"load_balancer": {"type": "lb11"}}, "topology.load_balancer has an unknown key 'type'"),
        ({"one_server": None}, "topology.one_server must be a mapping, not empty"),
        ({"one_server": True}, "topology.one_server must be a mapping"),
        ({"one_server": {"typ": "cax11"}}, "topology.one_server has an unknown key 'typ': did you mean 'type'?"),
        ({"one_server": {"name": "Trial.1"}}, "topology.one_server.name: 'Trial.1' is no host name"),
        ({"one_server": {"volume_size": 5}}, "topology.one_server.volume_size must be a whole number from 10"),
        ({"flows": {"web": {"to": "load_balancer"}}}, "topology.flows.web.to: there is no 'load_balancer'"),
        ({"flows": {"jump-host": False}}, "topology.flows.jump-host closes a flow that is not there"),
        ({"flows": {"admin-ssh": False}}, "topology.flows: no flow leads from admin to the bastion on port 22"),
    ],
)
def test_what_it_cannot_have_is_refused(more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TopologyError) as refused:
        parse(staging(**more))
    assert str(refused.value).startswith(sentence)


def test_the_path_of_the_applications_check_can_be_said() -> None:
    assert parse(staging(load_balancer={"health_check": {"path": "/healthz"}})).load_balancer.health_check.path


def test_the_example_is_what_is_asked_for_and_waits_for_a_key() -> None:
    text = (ROOT / "inventories/staging/group_vars/all/topology.yml").read_text()
    data = yaml.safe_load(text)["topology"]
    with pytest.raises(TopologyError, match=r"admin_keys\.alice is no OpenSSH public key"):
        parse(data)
    parsed = parse(data | {"admin_keys": {"alice": KEY}})
    assert parsed.one_server == parse(staging()).one_server
