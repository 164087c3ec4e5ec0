"""Cloud firewalls: their rules, and what they are in force on."""

from __future__ import annotations

from typing import Any

import pytest
from hcloud import APIException
from hcloud.firewalls import BoundFirewall, FirewallResource, FirewallResourceLabelSelector, FirewallRule
from hcloud.servers import BoundServer, Server

from lab.drivers.base import Direction
from lab.drivers.base import FirewallRule as DriverRule
from tests.lab import builders
from tests.lab.cloud_api import CloudApi, wait

SSH = FirewallRule(direction="in", protocol="tcp", port="22", source_ips=["198.51.100.7/32"], description="admin")
PING = FirewallRule(direction="in", protocol="icmp", source_ips=["198.51.100.7/32"])


def on_server(server: BoundServer) -> FirewallResource:
    return FirewallResource(type="server", server=Server(id=server.id))


def on_labels(selector: str) -> FirewallResource:
    return FirewallResource(type="label_selector", label_selector=FirewallResourceLabelSelector(selector=selector))


def firewall(api: CloudApi, name: str = "bastion-firewall", **options: Any) -> BoundFirewall:
    response = api.client.firewalls.create(name=name, **options)
    wait(*(response.actions or []))
    return api.client.firewalls.get_by_id(response.firewall.id)


def in_force(api: CloudApi, server: BoundServer) -> list[int]:
    return [item.firewall.id for item in api.client.servers.get_by_id(server.id).public_net.firewalls]


def told(api: CloudApi, server: BoundServer) -> tuple[DriverRule, ...] | None:
    """What the driver was last told to let through."""
    public = api.driver.machines[server.id].public
    assert public is not None
    return public.firewall


def test_a_firewall_is_made_changed_and_deleted(cloud_api: CloudApi) -> None:
    made = firewall(cloud_api, rules=[SSH, PING], labels={"env": "lab"})
    assert [(rule.protocol, rule.port, rule.description) for rule in made.rules] == [
        ("tcp", "22", "admin"),
        ("icmp", None, None),
    ]
    assert made.update(name="other", labels={}).name == "other"
    assert made.delete()
    assert cloud_api.client.firewalls.get_all() == []


def test_names_of_firewalls_are_unique_and_short(cloud_api: CloudApi) -> None:
    firewall(cloud_api, "fw")
    assert cloud_api.refused("POST", "/firewalls", name="fw")[1]["code"] == "uniqueness_error"
    assert cloud_api.refused("POST", "/firewalls", name="x" * 129)[1]["code"] == "invalid_input"


def test_networks_in_rules_are_written_canonically(cloud_api: CloudApi) -> None:
    made = firewall(cloud_api, rules=[FirewallRule(**builders.ssh_rule(source_ips=["2001:DB8:0:0::/64", "::/0"]))])
    assert made.rules[0].source_ips == ["2001:db8::/64", "::/0"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"direction": "up"}, "direction"),
        ({"protocol": "sctp"}, "protocol"),
        ({"port": None}, "port"),
        ({"port": "any"}, "port"),
        ({"port": "0"}, "port"),
        ({"port": "65536"}, "port"),
        ({"port": "90-80"}, "port"),
        ({"port": "80-"}, "port"),
        ({"protocol": "icmp"}, "port"),
        ({"source_ips": []}, "source_ips"),
        ({"source_ips": ["198.51.100.7"]}, "source_ips"),
        ({"source_ips": ["198.51.100.7/24"]}, "source_ips"),
        ({"source_ips": [f"198.51.{number}.0/24" for number in range(101)]}, "source_ips"),
        ({"destination_ips": ["0.0.0.0/0"]}, "destination_ips"),
        ({"direction": "out"}, "source_ips"),
        ({"description": "x" * 256}, "description"),
    ],
)
def test_rules_that_are_refused(cloud_api: CloudApi, fields: dict[str, object], field: str) -> None:
    body = {"name": "fw", "rules": [builders.ssh_rule(), builders.ssh_rule(**fields)]}
    status, error = cloud_api.refused("POST", "/firewalls", **body)
    assert (status, error["code"]) == (422, "invalid_input")
    assert error["details"]["fields"][0]["name"] == f"rules.1.{field}"
    assert cloud_api.get("/firewalls")["firewalls"] == []


def test_a_firewall_has_at_most_fifty_rules(cloud_api: CloudApi) -> None:
    body = {"name": "fw", "rules": [builders.ssh_rule()] * 51}
    assert cloud_api.refused("POST", "/firewalls", **body)[1]["details"]["fields"][0]["name"] == "rules"


def test_a_firewall_is_applied_to_a_server_and_removed(cloud_api: CloudApi) -> None:
    server = builders.server(cloud_api)
    made = firewall(cloud_api, rules=[SSH])
    actions = made.apply_to_resources([on_server(server)])
    assert [action.command for action in actions] == ["apply_firewall"]
    wait(*actions)
    assert in_force(cloud_api, server) == [made.id]
    assert cloud_api.client.firewalls.get_by_id(made.id).applied_to[0].server.id == server.id
    actions = made.remove_from_resources([on_server(server)])
    assert [action.command for action in actions] == ["remove_firewall"]
    wait(*actions)
    assert in_force(cloud_api, server) == []


def test_a_firewall_follows_labels(cloud_api: CloudApi) -> None:
    one = builders.server(cloud_api, "one", labels={"role-bastion": "true"})
    two = builders.server(cloud_api, "two")
    made = firewall(cloud_api, rules=[SSH], resources=[on_labels("role-bastion=true")])
    assert (in_force(cloud_api, one), in_force(cloud_api, two)) == ([made.id], [])
    two.update(labels={"role-bastion": "true"})
    one.update(labels={})
    cloud_api.settle()
    assert (in_force(cloud_api, one), in_force(cloud_api, two)) == ([], [made.id])
    applied = cloud_api.client.firewalls.get_by_id(made.id).applied_to[0]
    assert applied.label_selector.selector == "role-bastion=true"
    assert [item.server.id for item in applied.applied_to_resources] == [two.id]


@pytest.mark.parametrize("by", ["server", "labels"])
def test_a_firewall_in_use_is_not_deleted(cloud_api: CloudApi, by: str) -> None:
    server = builders.server(cloud_api)
    target = on_server(server) if by == "server" else on_labels("nobody")
    made = firewall(cloud_api, resources=[target])
    status, error = cloud_api.refused("DELETE", f"/firewalls/{made.id}")
    assert (status, error["code"]) == (422, "resource_in_use")
    assert error["message"] == f"firewall with ID {made.id} is still in use"
    wait(*made.remove_from_resources([target]))
    assert made.delete()


def test_targets_that_are_refused(cloud_api: CloudApi) -> None:
    public = builders.server(cloud_api, labels={"a": "b"})
    private = builders.server(cloud_api, "private", public_net=builders.PRIVATE_ONLY, start_after_create=False)
    made = firewall(cloud_api, resources=[on_labels("a=b")])
    cases = [
        (made.apply_to_resources, Server(id=7), "firewall_resource_not_found"),
        (made.apply_to_resources, private, "private_net_only_server"),
        (made.remove_from_resources, private, "firewall_resource_not_found"),
        (made.remove_from_resources, public, "firewall_managed_by_label_selector"),
    ]
    for operation, server, code in cases:
        with pytest.raises(APIException) as caught:
            operation([FirewallResource(type="server", server=Server(id=server.id))])
        assert caught.value.code == code
    with pytest.raises(APIException) as caught:
        made.apply_to_resources([on_labels("a=b")])
    assert caught.value.code == "firewall_already_applied"
    with pytest.raises(APIException) as caught:
        made.apply_to_resources([on_labels("a=b=c")])
    assert caught.value.code == "invalid_input"


def test_a_missing_target_has_one_status_per_operation(cloud_api: CloudApi) -> None:
    missing = {"apply_to": [{"type": "server", "server": {"id": 7}}]}
    assert cloud_api.refused("POST", "/firewalls", name="fw", **missing)[0] == 422
    made = firewall(cloud_api)
    assert cloud_api.refused("POST", f"/firewalls/{made.id}/actions/apply_to_resources", **missing)[0] == 404


def test_a_target_is_named_once(cloud_api: CloudApi) -> None:
    server = builders.server(cloud_api)
    target = {"type": "server", "server": {"id": server.id}}
    assert cloud_api.refused("POST", "/firewalls", name="fw", apply_to=[target, target])[1]["code"] == (
        "server_already_added"
    )


def test_a_server_has_at_most_five_firewalls(cloud_api: CloudApi) -> None:
    server = builders.server(cloud_api)
    for number in range(5):
        firewall(cloud_api, f"fw-{number}", resources=[on_server(server)])
    with pytest.raises(APIException) as caught:
        firewall(cloud_api, "one-too-many").apply_to_resources([on_server(server)])
    assert caught.value.code == "resource_limit_exceeded"


def test_a_private_server_is_not_ordered_with_a_firewall(cloud_api: CloudApi) -> None:
    made = firewall(cloud_api)
    body = builders.server_body(
        cloud_api,
        firewalls=[{"firewall": made.id}],
        public_net={"enable_ipv4": False, "enable_ipv6": False},
        start_after_create=False,
    )
    assert cloud_api.refused("POST", "/servers", **body)[1]["code"] == "private_net_only_server"


# What the driver is told


def test_without_a_firewall_everything_passes(null_api: CloudApi) -> None:
    assert told(null_api, builders.server(null_api)) is None


def test_a_firewall_without_rules_lets_nothing_in(null_api: CloudApi) -> None:
    server = builders.server(null_api)
    firewall(null_api, resources=[on_server(server)])
    assert told(null_api, server) == ()


def test_the_rules_of_all_firewalls_count_together(null_api: CloudApi) -> None:
    server = builders.server(null_api, labels={"role": "app"})
    firewall(null_api, "one", rules=[SSH], resources=[on_server(server)])
    out = FirewallRule(direction="out", protocol="udp", port="1000-2000", destination_ips=["0.0.0.0/0"])
    firewall(null_api, "two", rules=[out, PING], resources=[on_labels("role=app")])
    assert told(null_api, server) == (
        DriverRule(Direction.IN, "tcp", (22, 22), ("198.51.100.7/32",)),
        DriverRule(Direction.OUT, "udp", (1000, 2000), ("0.0.0.0/0",)),
        DriverRule(Direction.IN, "icmp", None, ("198.51.100.7/32",)),
    )


def test_new_rules_reach_running_servers(null_api: CloudApi) -> None:
    server = builders.server(null_api)
    made = firewall(null_api, rules=[SSH], resources=[on_server(server)])
    actions = made.set_rules([PING])
    assert [action.command for action in actions] == ["set_firewall_rules", "apply_firewall"]
    wait(*actions)
    assert told(null_api, server) == (DriverRule(Direction.IN, "icmp", None, ("198.51.100.7/32",)),)


def test_a_label_taken_away_opens_the_server_again(null_api: CloudApi) -> None:
    server = builders.server(null_api, labels={"role": "app"})
    firewall(null_api, rules=[SSH], resources=[on_labels("role=app")])
    assert told(null_api, server) is not None
    server.update(labels={})
    null_api.settle()
    assert told(null_api, server) is None


def test_a_server_is_closed_from_its_first_start_on(null_api: CloudApi) -> None:
    made = firewall(null_api, rules=[SSH], resources=[on_labels("role=app")])
    server = builders.server(null_api, labels={"role": "app"})
    assert in_force(null_api, server) == [made.id]
    assert told(null_api, server) == (DriverRule(Direction.IN, "tcp", (22, 22), ("198.51.100.7/32",)),)
