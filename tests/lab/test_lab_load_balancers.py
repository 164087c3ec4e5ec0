"""Load balancers: orders, their place in a network, their targets."""

from __future__ import annotations

from typing import Any

import pytest
from hcloud import APIException
from hcloud.load_balancer_types import LoadBalancerType
from hcloud.load_balancers import BoundLoadBalancer, LoadBalancerAlgorithm, LoadBalancerService
from hcloud.networks import NetworkSubnet

from tests.lab import builders
from tests.lab.builders import TCP, of_ip, of_labels, of_server
from tests.lab.cloud_api import CloudApi, wait


def order(**fields: Any) -> dict[str, Any]:
    return {"name": "lb", "load_balancer_type": "lb11", "location": "fsn1", **fields}


def fresh(balancer: BoundLoadBalancer) -> BoundLoadBalancer:
    return balancer._client.get_by_id(balancer.id)


def code_of(caught: pytest.ExceptionInfo[APIException]) -> str:
    return str(caught.value.code)


def selected(balancer: BoundLoadBalancer) -> list[int]:
    """The servers its one label selector matches."""
    (target,) = fresh(balancer).targets
    return [found.server.id for found in target.targets]


# Orders


def test_a_load_balancer_is_made_changed_and_deleted(cloud_api: CloudApi) -> None:
    balancer = builders.load_balancer(cloud_api, labels={"env": "lab"})
    assert (balancer.load_balancer_type.name, balancer.location.name) == ("lb11", "fsn1")
    assert (balancer.algorithm.type, balancer.targets, balancer.services) == ("round_robin", [], [])
    assert balancer.private_net == []
    assert balancer.update(name="other", labels={}).name == "other"
    action = balancer.delete().action
    wait(action)
    assert action.command == "delete_load_balancer"
    assert cloud_api.client.load_balancers.get_by_name("other") is None
    assert cloud_api.client.load_balancers.actions.get_by_id(action.id).status == "success"


def test_public_addresses_come_from_the_pool_of_the_servers(cloud_api: CloudApi) -> None:
    first = builders.load_balancer(cloud_api)
    server = builders.server(cloud_api)
    second = builders.load_balancer(cloud_api, "second")
    addresses = [first.public_net.ipv4.ip, server.public_net.ipv4.ip, second.public_net.ipv4.ip]
    assert addresses == ["198.51.100.100", "198.51.100.101", "198.51.100.102"]
    assert (first.public_net.enabled, first.public_net.ipv6.ip) == (True, "2001:db8:0:1::1")
    assert first.public_net.ipv4.dns_ptr == "static.100.100.51.198.clients.your-server.de"
    wait(first.delete().action)
    assert builders.load_balancer(cloud_api, "third").public_net.ipv4.ip == "198.51.100.100"


def test_a_network_zone_stands_for_one_of_its_locations(cloud_api: CloudApi) -> None:
    balancer = builders.load_balancer(cloud_api, location=None, network_zone="us-east")
    assert balancer.location.name == "ash"


def test_an_order_with_everything(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    server = builders.server(cloud_api, networks=[network])
    balancer = builders.load_balancer(
        cloud_api,
        load_balancer_type=LoadBalancerType(name="lb21"),
        algorithm=LoadBalancerAlgorithm(type="least_connections"),
        services=[TCP],
        targets=[of_server(server)],
        network=network,
        public_interface=False,
    )
    assert (balancer.algorithm.type, balancer.public_net.enabled) == ("least_connections", False)
    assert [(item.network.id, item.ip) for item in balancer.private_net] == [(network.id, "10.0.0.3")]
    assert [target.server.id for target in balancer.targets] == [server.id]
    assert [seen.listen_port for seen in balancer.targets[0].health_status] == [80]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"name": " lb"}, "invalid_input"),
        ({"name": "l" * 129}, "invalid_input"),
        ({"load_balancer_type": "lb99"}, "invalid_input"),
        ({"location": None}, "invalid_input"),
        ({"network_zone": "eu-central"}, "invalid_input"),
        ({"location": "moon1"}, "invalid_input"),
        ({"location": None, "network_zone": "moon"}, "invalid_input"),
        ({"algorithm": {"type": "random"}}, "invalid_input"),
        ({"labels": {"a b": "c"}}, "invalid_input"),
        ({"public_interface": False}, "invalid_input"),
        ({"network": 7}, "not_found"),
        ({"targets": [{"type": "server", "server": {"id": 7}}]}, "not_found"),
        ({"targets": [{"type": "moon"}]}, "invalid_input"),
        ({"targets": [{"type": "ip", "ip": {"ip": "203.0.113.1"}}]}, "ip_not_owned"),
        ({"targets": [{"type": "ip", "ip": {"ip": "10.0.0.5"}}]}, "load_balancer_not_attached_to_network"),
        ({"services": [{"protocol": "tcp", "listen_port": 80}]}, "invalid_input"),
        ({"public_net": {"ipv4": 1}}, "not_implemented"),
    ],
)
def test_orders_that_are_refused(cloud_api: CloudApi, fields: dict[str, Any], code: str) -> None:
    assert cloud_api.refused("POST", "/load_balancers", **order(**fields))[1]["code"] == code
    assert cloud_api.get("/load_balancers")["load_balancers"] == []


def test_names_are_unique(cloud_api: CloudApi) -> None:
    builders.load_balancer(cloud_api)
    status, error = cloud_api.refused("POST", "/load_balancers", **order())
    assert (status, error["message"]) == (409, "load balancer name is already used")


def test_a_limit_of_the_project(cloud_api: CloudApi) -> None:
    cloud_api.manage("PATCH", "/conditions", {"limits": {"load_balancers": 0}})
    assert cloud_api.refused("POST", "/load_balancers", **order())[1]["code"] == "resource_limit_exceeded"


def test_a_protected_one_stays(cloud_api: CloudApi) -> None:
    balancer = builders.load_balancer(cloud_api)
    wait(balancer.change_protection(delete=True))
    assert cloud_api.refused("DELETE", f"/load_balancers/{balancer.id}")[:1] == (423,)
    wait(balancer.change_protection(delete=False))
    wait(balancer.delete().action)


def test_an_action_locks_it(cloud_api: CloudApi) -> None:
    balancer = builders.load_balancer(cloud_api)
    cloud_api.manage("PATCH", "/conditions", {"durations": {"change_algorithm": 0.5}})
    action = balancer.change_algorithm(LoadBalancerAlgorithm(type="least_connections"))
    status, error = cloud_api.refused("POST", f"/load_balancers/{balancer.id}/actions/delete_service", listen_port=1)
    assert (status, error["code"]) == (423, "locked")
    assert cloud_api.refused("DELETE", f"/load_balancers/{balancer.id}")[1]["code"] == "locked"
    wait(action)
    assert fresh(balancer).algorithm.type == "least_connections"


def test_the_type_is_changed_where_everything_fits(cloud_api: CloudApi) -> None:
    balancer = builders.load_balancer(cloud_api, load_balancer_type=LoadBalancerType(name="lb21"))
    for port in range(1, 7):
        wait(balancer.add_service(LoadBalancerService(protocol="tcp", listen_port=port, destination_port=port)))
    for kind in ("lb11", "lb21"):
        with pytest.raises(APIException) as caught:
            balancer.change_type(LoadBalancerType(name=kind))
        assert code_of(caught) == "invalid_load_balancer_type"
    wait(balancer.delete_service(LoadBalancerService(listen_port=6)))
    wait(balancer.change_type(LoadBalancerType(name="lb11")))
    assert fresh(balancer).load_balancer_type.max_services == 5


def test_reverse_names(cloud_api: CloudApi) -> None:
    balancer = builders.load_balancer(cloud_api)
    ipv4, ipv6 = balancer.public_net.ipv4.ip, balancer.public_net.ipv6.ip
    for ip in (ipv4, ipv6):
        wait(balancer.change_dns_ptr(ip, "lb.bulwark.example"))
    shown = fresh(balancer).public_net
    assert (shown.ipv4.dns_ptr, shown.ipv6.dns_ptr) == ("lb.bulwark.example", "lb.bulwark.example")
    for ip in (ipv4, ipv6):
        wait(balancer.change_dns_ptr(ip, None))
    assert fresh(balancer).public_net.ipv6.dns_ptr is None
    for wrong in ("198.51.100.1", "nonsense"):
        with pytest.raises(APIException) as caught:
            balancer.change_dns_ptr(wrong, "a.example")
        assert code_of(caught) == "invalid_input"


# Networks


def test_it_is_attached_with_a_fixed_address(cloud_api: CloudApi) -> None:
    network, balancer = builders.network(cloud_api), builders.load_balancer(cloud_api)
    wait(balancer.attach_to_network(network, ip="10.0.0.9"))
    assert [(item.network.id, item.ip) for item in fresh(balancer).private_net] == [(network.id, "10.0.0.9")]
    assert cloud_api.get(f"/networks/{network.id}")["network"]["load_balancers"] == [balancer.id]
    with pytest.raises(APIException) as caught:
        balancer.attach_to_network(network)
    assert code_of(caught) == "load_balancer_already_attached"
    wait(balancer.detach_from_network(network))
    assert fresh(balancer).private_net == []
    with pytest.raises(APIException) as caught:
        balancer.detach_from_network(network)
    assert code_of(caught) == "invalid_input"


def test_without_an_address_it_lands_in_the_last_subnet(cloud_api: CloudApi) -> None:
    network, balancer = builders.network(cloud_api), builders.load_balancer(cloud_api)
    wait(network.add_subnet(NetworkSubnet(ip_range="10.0.7.0/24", type="cloud", network_zone="eu-central")))
    wait(network.add_subnet(NetworkSubnet(ip_range="10.0.8.0/24", type="cloud", network_zone="us-east")))
    wait(balancer.attach_to_network(network))
    assert fresh(balancer).private_net[0].ip == "10.0.7.1"
    wait(balancer.detach_from_network(network))
    wait(balancer.attach_to_network(network, ip_range="10.0.0.0/24"))
    assert fresh(balancer).private_net[0].ip == "10.0.0.2"


def test_addresses_that_are_not_available(cloud_api: CloudApi) -> None:
    network, balancer = builders.network(cloud_api), builders.load_balancer(cloud_api)
    server = builders.server(cloud_api, networks=[network], start_after_create=False)
    wait(server.change_alias_ips(network, ["10.0.0.50"]))
    other = builders.load_balancer(cloud_api, "other", network=network)
    taken = (server.private_net[0].ip, "10.0.0.50", other.private_net[0].ip)
    for ip in (*taken, "10.0.0.1", "10.0.9.9"):
        with pytest.raises(APIException) as caught:
            balancer.attach_to_network(network, ip=ip)
        assert code_of(caught) == "ip_not_available", ip
    assert fresh(balancer).private_net == []


def test_its_address_is_taken_for_servers(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    builders.load_balancer(cloud_api, network=network)
    server = builders.server(cloud_api, start_after_create=False)
    with pytest.raises(APIException) as caught:
        server.attach_to_network(network, ip="10.0.0.2")
    assert code_of(caught) == "ip_not_available"
    wait(server.attach_to_network(network))
    assert cloud_api.client.servers.get_by_id(server.id).private_net[0].ip == "10.0.0.3"
    with pytest.raises(APIException) as caught:
        server.change_alias_ips(network, ["10.0.0.2"])
    assert code_of(caught) == "ip_not_available"
    with pytest.raises(APIException) as caught:
        network.delete_subnet(NetworkSubnet(ip_range="10.0.0.0/24"))
    assert code_of(caught) == "service_error"


def test_without_a_fitting_subnet_there_is_no_address(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api, subnets=[])
    with pytest.raises(APIException) as caught:
        builders.load_balancer(cloud_api).attach_to_network(network)
    assert code_of(caught) == "no_subnet_available"


def test_the_public_interface_goes_only_where_nothing_needs_it(cloud_api: CloudApi) -> None:
    network, balancer = builders.network(cloud_api), builders.load_balancer(cloud_api)
    server = builders.server(cloud_api, networks=[network])
    with pytest.raises(APIException) as caught:
        balancer.disable_public_interface()
    assert code_of(caught) == "load_balancer_not_attached_to_network"
    wait(balancer.attach_to_network(network))
    wait(balancer.add_target(of_server(server, private=False)))
    with pytest.raises(APIException) as caught:
        balancer.disable_public_interface()
    assert code_of(caught) == "targets_without_use_private_ip"
    wait(balancer.remove_target(of_server(server)))
    wait(balancer.disable_public_interface())
    assert not fresh(balancer).public_net.enabled
    for target in (of_server(server, private=False), of_labels(private=False), of_ip(server.public_net.ipv4.ip)):
        with pytest.raises(APIException) as caught:
            balancer.add_target(target)
        assert code_of(caught) == "load_balancer_public_interface_disabled"
    with pytest.raises(APIException) as caught:
        balancer.detach_from_network(network)
    assert code_of(caught) == "invalid_input"
    wait(balancer.enable_public_interface())
    assert fresh(balancer).public_net.enabled


def test_deleting_a_network_detaches_it_and_takes_the_targets_there(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    balancer = builders.load_balancer(cloud_api, network=network)
    server, public = builders.server(cloud_api, networks=[network]), builders.server(cloud_api, "public")
    for target in (of_server(server), of_labels(), of_ip("10.0.0.77"), of_server(public, private=False)):
        wait(balancer.add_target(target))
    with pytest.raises(APIException) as caught:
        balancer.detach_from_network(network)
    assert code_of(caught) == "service_error"
    assert network.delete()
    shown = fresh(balancer)
    assert (shown.private_net, [target.server.id for target in shown.targets]) == ([], [public.id])


# Targets


def test_targets_over_the_network(cloud_api: CloudApi) -> None:
    network, balancer = builders.network(cloud_api), builders.load_balancer(cloud_api, services=[TCP])
    inside, outside = builders.server(cloud_api, networks=[network]), builders.server(cloud_api, "outside")
    for target in (of_server(inside), of_labels()):
        with pytest.raises(APIException) as caught:
            balancer.add_target(target)
        assert code_of(caught) == "load_balancer_not_attached_to_network"
    wait(balancer.attach_to_network(network))
    with pytest.raises(APIException) as caught:
        balancer.add_target(of_server(outside))
    assert code_of(caught) == "resolve_cloud_private_targets_error"
    wait(balancer.add_target(of_server(inside)))
    (target,) = fresh(balancer).targets
    assert (target.type, target.server.id, target.use_private_ip) == ("server", inside.id, True)
    assert cloud_api.get(f"/servers/{inside.id}")["server"]["load_balancers"] == [balancer.id]
    with pytest.raises(APIException) as caught:
        balancer.add_target(of_server(inside, private=False))
    assert code_of(caught) == "target_already_defined"
    wait(balancer.remove_target(of_server(inside)))
    assert fresh(balancer).targets == []
    with pytest.raises(APIException) as caught:
        balancer.remove_target(of_server(inside))
    assert code_of(caught) == "invalid_input"


def test_targets_over_the_internet(cloud_api: CloudApi) -> None:
    network, balancer = builders.network(cloud_api), builders.load_balancer(cloud_api)
    private = builders.server(cloud_api, "private", networks=[network], public_net=builders.PRIVATE_ONLY)
    public = builders.server(cloud_api, "public")
    with pytest.raises(APIException) as caught:
        balancer.add_target(of_server(private, private=False))
    assert code_of(caught) == "resolve_cloud_public_targets_error"
    wait(balancer.add_target(of_server(public, private=False)))
    assert [target.use_private_ip for target in fresh(balancer).targets] == [False]


def test_targets_by_address(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    balancer = builders.load_balancer(cloud_api, network=network, services=[TCP])
    server = builders.server(cloud_api)
    for ip in ("10.0.0.77", server.public_net.ipv4.ip):
        wait(balancer.add_target(of_ip(ip)))
    assert [(target.type, target.ip.ip) for target in fresh(balancer).targets] == [
        ("ip", "10.0.0.77"),
        ("ip", server.public_net.ipv4.ip),
    ]
    refusals = {"10.9.0.1": "ip_not_owned", "nonsense": "invalid_input", "10.0.0.77": "target_already_defined"}
    for ip, code in refusals.items():
        with pytest.raises(APIException) as caught:
            balancer.add_target(of_ip(ip))
        assert code_of(caught) == code
    wait(balancer.remove_target(of_ip("10.0.0.77")))
    assert len(fresh(balancer).targets) == 1


def test_a_selector_follows_labels_and_attachments(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    balancer = builders.load_balancer(cloud_api, network=network, services=[TCP], targets=[of_labels()])
    assert selected(balancer) == []
    first = builders.server(cloud_api, "first", labels={"role": "app"}, networks=[network])
    second = builders.server(cloud_api, "second", networks=[network])
    outside = builders.server(cloud_api, "outside", labels={"role": "app"})
    assert selected(balancer) == [first.id]
    second.update(labels={"role": "app"})
    assert selected(balancer) == [first.id, second.id]
    wait(outside.attach_to_network(network))
    first.update(labels={})
    assert selected(balancer) == [second.id, outside.id]
    wait(outside.detach_from_network(network))
    wait(second.delete())
    assert selected(balancer) == []
    with pytest.raises(APIException) as caught:
        balancer.add_target(of_labels())
    assert code_of(caught) == "target_already_defined"
    with pytest.raises(APIException) as caught:
        balancer.add_target(of_labels("a b"))
    assert code_of(caught) == "invalid_input"
    wait(balancer.remove_target(of_labels()))
    assert fresh(balancer).targets == []


def test_a_server_that_is_deleted_is_no_target_any_more(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    server = builders.server(cloud_api, networks=[network])
    balancer = builders.load_balancer(cloud_api, network=network, targets=[of_server(server)])
    wait(server.delete())
    assert fresh(balancer).targets == []


def test_there_is_an_end_of_targets(cloud_api: CloudApi) -> None:
    balancer = builders.load_balancer(cloud_api, network=builders.network(cloud_api))
    for number in range(25):
        wait(balancer.add_target(of_ip(f"10.0.0.{100 + number}")))
    with pytest.raises(APIException) as caught:
        balancer.add_target(of_ip("10.0.0.99"))
    assert code_of(caught) == "resource_limit_exceeded"
    assert caught.value.message == "load balancers of type lb11 have at most 25 targets"
