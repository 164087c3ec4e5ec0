"""Private networks: ranges, subnets, routes, and servers in them."""

from __future__ import annotations

import pytest
from hcloud import APIException
from hcloud.locations import Location
from hcloud.networks import BoundNetwork, NetworkSubnet

from tests.lab import builders
from tests.lab.cloud_api import CloudApi, wait


def subnet(ip_range: str | None = "10.0.1.0/24", kind: str = "cloud", zone: str = "eu-central") -> NetworkSubnet:
    return NetworkSubnet(ip_range=ip_range, type=kind, network_zone=zone)


def fresh(network: BoundNetwork) -> BoundNetwork:
    return network._client.get_by_id(network.id)


def test_a_network_is_made_changed_and_deleted(cloud_api: CloudApi) -> None:
    made = builders.network(cloud_api, routes=[builders.default_route()], labels={"env": "lab"})
    assert made.ip_range == "10.0.0.0/16"
    assert [(item.ip_range, item.network_zone, item.gateway) for item in made.subnets] == [
        ("10.0.0.0/24", "eu-central", "10.0.0.1")
    ]
    assert [(item.destination, item.gateway) for item in made.routes] == [("0.0.0.0/0", "10.0.0.2")]
    assert made.update(name="other", labels={}).name == "other"
    assert cloud_api.client.networks.get_by_name("other").id == made.id
    assert made.delete()
    assert cloud_api.client.networks.get_all() == []


def test_network_names_are_unique(cloud_api: CloudApi) -> None:
    builders.network(cloud_api)
    status, error = cloud_api.refused("POST", "/networks", name="net", ip_range="10.1.0.0/16")
    assert (status, error["code"], error["message"]) == (409, "uniqueness_error", "network name is already used")


@pytest.mark.parametrize(
    "ip_range", ["10.0.0.1/16", "10.0.0.0/25", "8.8.8.0/24", "172.16.0.0/11", "fd00::/8", "nonsense", "10.0.0.0/7"]
)
def test_ranges_that_cannot_be_a_network(cloud_api: CloudApi, ip_range: str) -> None:
    status, error = cloud_api.refused("POST", "/networks", name="net", ip_range=ip_range)
    assert (status, error["details"]["fields"][0]["name"]) == (422, "ip_range")
    assert cloud_api.get("/networks")["networks"] == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"ip_range": "10.1.0.0/24"}, "ip_range"),
        ({"ip_range": "10.0.0.128/25"}, "ip_range"),
        ({"ip_range": "10.0.1.0/31"}, "ip_range"),
        ({"ip_range": "192.168.5.0/24"}, "ip_range"),
        ({"network_zone": "mars"}, "network_zone"),
        ({"type": "lake"}, "type"),
    ],
)
def test_subnets_that_do_not_fit(cloud_api: CloudApi, fields: dict[str, str], field: str) -> None:
    network = builders.network(cloud_api, routes=[])
    wait(network.add_route(builders.default_route()))
    cloud_api.post(f"/networks/{network.id}/actions/add_route", destination="192.168.5.0/24", gateway="10.0.0.9")
    cloud_api.settle()
    body = {"type": "cloud", "network_zone": "eu-central", "ip_range": "10.0.1.0/24", **fields}
    status, error = cloud_api.refused("POST", f"/networks/{network.id}/actions/add_subnet", **body)
    assert (status, error["details"]["fields"][0]["name"]) == (422, field)


def test_subnets_of_vswitches_are_not_implemented(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    with pytest.raises(APIException) as caught:
        network.add_subnet(subnet(kind="vswitch"))
    assert caught.value.code == "not_implemented"


def test_a_subnet_without_range_is_the_first_free_one(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    wait(network.add_subnet(subnet("10.0.1.0/28")))
    wait(network.add_subnet(subnet(ip_range=None)))
    assert [item.ip_range for item in fresh(network).subnets] == ["10.0.0.0/24", "10.0.1.0/28", "10.0.2.0/24"]


def test_a_subnet_with_servers_stays(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    wait(network.add_subnet(subnet()))
    builders.server(cloud_api, networks=[network])
    with pytest.raises(APIException) as caught:
        network.delete_subnet(subnet("10.0.0.0/24"))
    assert caught.value.code == "service_error"
    wait(network.delete_subnet(subnet("10.0.1.0/24")))
    assert [item.ip_range for item in fresh(network).subnets] == ["10.0.0.0/24"]
    with pytest.raises(APIException):
        network.delete_subnet(subnet("10.0.1.0/24"))


def test_routes_come_and_go(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    wait(network.add_route(builders.default_route()))
    assert [item.gateway for item in fresh(network).routes] == ["10.0.0.2"]
    with pytest.raises(APIException):
        network.add_route(builders.default_route("10.0.0.3"))
    with pytest.raises(APIException):
        network.delete_route(builders.default_route("10.0.0.3"))
    wait(network.delete_route(builders.default_route()))
    assert fresh(network).routes == []


@pytest.mark.parametrize(
    ("destination", "gateway", "field"),
    [
        ("0.0.0.0/0", "10.0.0.1", "gateway"),
        ("0.0.0.0/0", "172.31.1.1", "gateway"),
        ("0.0.0.0/0", "10.1.0.1", "gateway"),
        ("0.0.0.0/0", "nonsense", "gateway"),
        ("8.8.8.0/24", "10.0.0.2", "destination"),
        ("10.0.0.128/25", "10.0.0.2", "destination"),
        ("172.31.0.0/16", "10.0.0.2", "destination"),
        ("10.0.0.1", "10.0.0.2", "destination"),
    ],
)
def test_routes_that_cannot_be(cloud_api: CloudApi, destination: str, gateway: str, field: str) -> None:
    network = builders.network(cloud_api)
    path = f"/networks/{network.id}/actions/add_route"
    status, error = cloud_api.refused("POST", path, destination=destination, gateway=gateway)
    assert (status, error["details"]["fields"][0]["name"]) == (422, field)


def test_a_range_is_extended_only_at_its_end(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    for wrong in ("10.0.0.0/17", "10.128.0.0/9", "11.0.0.0/8"):
        with pytest.raises(APIException) as caught:
            network.change_ip_range(wrong)
        assert caught.value.details["fields"][0]["name"] == "ip_range"
    wait(network.change_ip_range("10.0.0.0/8"))
    assert fresh(network).ip_range == "10.0.0.0/8"


def test_a_protected_network_stays(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    wait(network.change_protection(delete=True))
    status, error = cloud_api.refused("DELETE", f"/networks/{network.id}")
    assert (status, error["code"]) == (423, "protected")
    wait(network.change_protection(delete=False))
    assert network.delete()


def test_the_standard_way_to_a_private_server_with_a_fixed_address(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    server = builders.server(cloud_api, public_net=builders.PRIVATE_ONLY, start_after_create=False)
    assert server.status == "off"
    wait(server.attach_to_network(network, ip="10.0.0.3"))
    wait(server.power_on())
    server = cloud_api.client.servers.get_by_id(server.id)
    assert server.status == "running"
    assert server.public_net.ipv4 is None
    assert [(item.ip, item.network.id) for item in server.private_net] == [("10.0.0.3", network.id)]
    assert server.private_net[0].mac_address.startswith("86:00:00:")
    assert [member.id for member in fresh(network).servers] == [server.id]


def test_a_server_gets_the_first_free_address(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    addresses = [
        builders.server(cloud_api, name, networks=[network]).private_net[0].ip for name in ("app-01", "app-02")
    ]
    assert addresses == ["10.0.0.2", "10.0.0.3"]


def test_the_first_address_of_a_later_subnet_is_free(cloud_api: CloudApi) -> None:
    """Only the network's own first address is the router's."""
    network = builders.network(cloud_api, subnets=[subnet("10.0.5.0/24")])
    assert builders.server(cloud_api, networks=[network]).private_net[0].ip == "10.0.5.1"


@pytest.mark.parametrize("ip", ["10.0.0.1", "10.0.0.2", "10.0.0.0", "10.0.9.9", "10.1.0.1"])
def test_addresses_that_are_not_available(cloud_api: CloudApi, ip: str) -> None:
    network = builders.network(cloud_api)
    builders.server(cloud_api, "first", networks=[network])
    second = builders.server(cloud_api, "second", start_after_create=False)
    with pytest.raises(APIException) as caught:
        second.attach_to_network(network, ip=ip)
    assert caught.value.code == "ip_not_available"
    assert cloud_api.client.servers.get_by_id(second.id).private_net == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"ip": "nonsense"}, "invalid_input"),
        ({"ip_range": "10.0.7.0/24"}, "invalid_input"),
        ({"ip": "10.0.0.5", "ip_range": "10.0.1.0/24"}, "invalid_input"),
        ({"alias_ips": ["10.0.0.1"]}, "ip_not_available"),
        ({"alias_ips": ["10.0.0.9", "10.0.0.9"]}, "ip_not_available"),
        ({"network": 7}, "not_found"),
    ],
)
def test_attachments_that_are_refused(cloud_api: CloudApi, fields: dict[str, object], code: str) -> None:
    network = builders.network(cloud_api)
    wait(network.add_subnet(subnet()))
    server = builders.server(cloud_api, start_after_create=False)
    path = f"/servers/{server.id}/actions/attach_to_network"
    assert cloud_api.refused("POST", path, **{"network": network.id, **fields})[1]["code"] == code
    assert cloud_api.client.servers.get_by_id(server.id).private_net == []


def test_an_address_of_a_named_subnet(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    wait(network.add_subnet(subnet()))
    server = builders.server(cloud_api)
    wait(server.attach_to_network(network, ip_range="10.0.1.0/24"))
    assert cloud_api.client.servers.get_by_id(server.id).private_net[0].ip == "10.0.1.1"


def test_a_server_is_attached_to_a_network_once(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    server = builders.server(cloud_api, networks=[network])
    with pytest.raises(APIException) as caught:
        server.attach_to_network(network)
    assert caught.value.code == "server_already_attached"


def test_networks_of_one_server_do_not_overlap(cloud_api: CloudApi) -> None:
    server = builders.server(cloud_api, networks=[builders.network(cloud_api)])
    other = builders.network(cloud_api, "other", ip_range="10.0.0.0/8")
    with pytest.raises(APIException) as caught:
        server.attach_to_network(other)
    assert caught.value.code == "networks_overlap"


@pytest.mark.parametrize("reason", ["no subnet", "other zone"])
def test_without_a_fitting_subnet_there_is_no_address(cloud_api: CloudApi, reason: str) -> None:
    network = builders.network(cloud_api, subnets=[] if reason == "no subnet" else [subnet(zone="us-east")])
    server = builders.server(cloud_api)
    with pytest.raises(APIException) as caught:
        server.attach_to_network(network)
    assert caught.value.code == "no_subnet_available"
    status, error = cloud_api.refused(
        "POST", "/servers", **builders.server_body(cloud_api, name="x", networks=[network.id])
    )
    assert (status, error["code"]) == (422, "no_subnet_available")
    assert cloud_api.client.servers.get_by_name("x") is None


def test_a_full_subnet_gives_no_address(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api, subnets=[subnet("10.0.0.0/30")])
    assert builders.server(cloud_api, "first", networks=[network]).private_net[0].ip == "10.0.0.2"
    with pytest.raises(APIException) as caught:
        builders.server(cloud_api, "second", networks=[network])
    assert caught.value.code == "no_subnet_available"


def test_a_server_in_another_zone_uses_the_subnet_there(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    wait(network.add_subnet(subnet("10.0.1.0/24", zone="us-east")))
    image = builders.image_of(cloud_api, architecture="x86")
    options = {"location": Location(name="ash"), "image": image, "networks": [network]}
    made = cloud_api.client.servers.create(
        name="far", server_type=cloud_api.client.server_types.get_by_name("ccx13"), **options
    )
    wait(made.action, *made.next_actions)
    assert cloud_api.client.servers.get_by_name("far").private_net[0].ip == "10.0.1.1"


def test_aliases_are_replaced(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    server = builders.server(cloud_api)
    wait(server.attach_to_network(network, ip="10.0.0.3", alias_ips=["10.0.0.50"]))
    wait(server.change_alias_ips(network, ["10.0.0.50", "10.0.0.51"]))
    assert cloud_api.client.servers.get_by_id(server.id).private_net[0].alias_ips == ["10.0.0.50", "10.0.0.51"]
    with pytest.raises(APIException) as caught:
        server.change_alias_ips(network, ["10.0.0.3"])
    assert caught.value.code == "ip_not_available"


def test_a_detached_server_gives_its_address_back(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    server = builders.server(cloud_api, networks=[network])
    wait(server.detach_from_network(network))
    assert cloud_api.client.servers.get_by_id(server.id).private_net == []
    assert builders.server(cloud_api, "app-02", networks=[network]).private_net[0].ip == "10.0.0.2"
    with pytest.raises(APIException) as caught:
        server.detach_from_network(network)
    assert caught.value.code == "invalid_input"


def test_deleting_a_network_detaches_its_servers(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    server = builders.server(cloud_api, networks=[network])
    assert network.delete()
    assert cloud_api.client.servers.get_by_id(server.id).private_net == []


def test_actions_of_a_network_outlive_it(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    action = network.add_route(builders.default_route())
    wait(action)
    assert [item["id"] for item in cloud_api.get(f"/networks/{network.id}/actions")["actions"]] == [action.id]
    network.delete()
    assert cloud_api.get("/actions", id=action.id)["actions"][0]["command"] == "add_route"
    assert cloud_api.get(f"/networks/actions/{action.id}")["action"]["id"] == action.id
    assert cloud_api.refused("GET", f"/networks/{network.id}/actions")[0] == 404
