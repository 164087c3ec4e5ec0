"""Servers: ordering, changing and deleting them."""

from __future__ import annotations

import pytest
from hcloud import APIException
from hcloud.actions import ActionFailedException
from hcloud.firewalls import FirewallRule
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType
from hcloud.volumes import Volume

from tests.lab import builders
from tests.lab.cloud_api import OTHER_SSH_KEY, SSH_KEY, CloudApi, wait


def test_a_server_is_made_and_started(cloud_api: CloudApi) -> None:
    response = cloud_api.client.servers.create(
        name="app-01",
        server_type=ServerType(name="cax31"),
        image=builders.image_of(cloud_api),
        location=Location(name="fsn1"),
        labels={"env": "lab", "role": "app"},
    )
    assert response.server.status == "initializing"
    assert response.root_password is None
    assert (response.action.command, response.action.status) == ("create_server", "running")
    assert [action.command for action in response.next_actions] == ["start_server"]
    wait(response.action, *response.next_actions)
    server = cloud_api.client.servers.get_by_id(response.server.id)
    assert server.status == "running"
    assert server.location.name == "fsn1"
    assert (server.server_type.name, server.primary_disk_size) == ("cax31", 160)
    assert server.image.name == "debian-13"
    assert server.labels == {"env": "lab", "role": "app"}
    assert server.public_net.ipv4.ip == "198.51.100.100"
    assert not server.locked
    assert "datacenter" not in cloud_api.get(f"/servers/{server.id}")["server"]


def test_everything_at_once(cloud_api: CloudApi) -> None:
    client = cloud_api.client
    network = builders.network(cloud_api)
    rule = FirewallRule(direction="in", protocol="tcp", port="22", source_ips=["0.0.0.0/0"])
    firewall = client.firewalls.create(name="fw", rules=[rule]).firewall
    volume = builders.volume(cloud_api)
    key = client.ssh_keys.create(name="alice", public_key=SSH_KEY)
    group = client.placement_groups.create(name="app", type="spread").placement_group
    response = client.servers.create(
        name="app-01",
        server_type=ServerType(name="cax11"),
        image=builders.image_of(cloud_api),
        location=Location(name="fsn1"),
        ssh_keys=[key],
        networks=[network],
        firewalls=[firewall],
        volumes=[Volume(id=volume.id)],
        placement_group=group,
        user_data="#cloud-config\n",
    )
    assert [action.command for action in response.next_actions] == [
        "attach_to_network",
        "attach_volume",
        "start_server",
    ]
    wait(response.action, *response.next_actions)
    server = client.servers.get_by_id(response.server.id)
    assert server.private_net[0].ip == "10.0.0.2"
    assert [(item.firewall.id, item.status) for item in server.public_net.firewalls] == [(firewall.id, "applied")]
    assert [item.id for item in server.volumes] == [volume.id]
    assert server.placement_group.id == group.id


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"server_type": "cax99"}, "server type 'cax99' not found"),
        ({"image": "beos-5"}, "image 'beos-5' not found"),
        ({"location": "mars"}, "location 'mars' not found"),
        ({"location": "ash"}, "unsupported location for server type"),
        ({"server_type": "cx22", "image": "debian-13"}, "unsupported location for server type"),
        ({"server_type": "cx22", "image": "debian-13", "location": None}, "server type 'cx22' is deprecated"),
        ({"server_type": "cx23"}, "image has incompatible architecture"),  # the image is given by ID
        ({"ssh_keys": ["nobody"]}, "SSH key 'nobody' not found"),
        (
            {"public_net": {"enable_ipv4": False, "enable_ipv6": False}},
            "a server without public addresses needs networks, or start_after_create must be false",
        ),
    ],
)
def test_orders_that_do_not_fit_together(cloud_api: CloudApi, fields: dict[str, object], message: str) -> None:
    status, error = cloud_api.refused("POST", "/servers", **builders.server_body(cloud_api, **fields))
    assert (status, error["code"], error["message"]) == (422, "invalid_input", message)
    assert cloud_api.get("/servers")["servers"] == []
    assert cloud_api.get("/primary_ips")["primary_ips"] == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "under_score"}, "name"),
        ({"name": "-a"}, "name"),
        ({"name": "a..b"}, "name"),
        ({"name": "a" * 64}, "name"),
        ({"labels": {"a b": "c"}}, "labels"),
        ({"user_data": "x" * (32 * 1024 + 1)}, "user_data"),
        ({"user_data": "ü" * (16 * 1024 + 1)}, "user_data"),
        ({"datacenter": "fsn1-dc14"}, "datacenter"),
        ({"start_after_create": "yes"}, "start_after_create"),
        ({"public_net": {"ipv4": "198.51.100.1"}}, "public_net.ipv4"),
        ({"firewalls": [{}]}, "firewalls.0.firewall"),
        ({"networks": [1, 1]}, "networks"),
    ],
)
def test_orders_with_a_wrong_field(cloud_api: CloudApi, fields: dict[str, object], field: str) -> None:
    status, error = cloud_api.refused("POST", "/servers", **builders.server_body(cloud_api, **fields))
    assert (status, error["code"]) == (422, "invalid_input")
    assert error["details"]["fields"][0]["name"] == field


@pytest.mark.parametrize(
    "fields",
    [{"networks": [7]}, {"volumes": [7]}, {"firewalls": [{"firewall": 7}]}, {"placement_group": 7}],
)
def test_orders_that_name_what_is_not_there(cloud_api: CloudApi, fields: dict[str, object]) -> None:
    status, error = cloud_api.refused("POST", "/servers", **builders.server_body(cloud_api, **fields))
    assert (status, error["code"]) == (404, "not_found")


def test_user_data_may_have_32_kib(cloud_api: CloudApi) -> None:
    assert builders.server(cloud_api, user_data="x" * 32 * 1024).status == "running"


def test_a_type_that_is_sold_out_cannot_be_had(cloud_api: CloudApi) -> None:
    body = builders.server_body(cloud_api, server_type="ccx63", image="debian-13", location="sin")
    status, error = cloud_api.refused("POST", "/servers", **body)
    assert (status, error["code"]) == (412, "resource_unavailable")


def test_names_of_servers_are_unique(cloud_api: CloudApi) -> None:
    first = builders.server(cloud_api)
    status, error = cloud_api.refused("POST", "/servers", **builders.server_body(cloud_api))
    assert (status, error["code"], error["message"]) == (409, "uniqueness_error", "server name is already used")
    second = builders.server(cloud_api, "app-02")
    with pytest.raises(APIException) as caught:
        second.update(name="app-01")
    assert caught.value.code == "uniqueness_error"
    assert first.update(name="app-01").name == "app-01"


def test_without_a_location_one_is_chosen(cloud_api: CloudApi) -> None:
    assert builders.server(cloud_api, location=None).location.name == "fsn1"


@pytest.mark.parametrize(("server_type", "architecture"), [("cax11", "arm"), ("cx23", "x86")])
def test_an_image_by_name_is_the_one_that_fits_the_type(
    cloud_api: CloudApi, server_type: str, architecture: str
) -> None:
    body = builders.server_body(cloud_api, server_type=server_type, image=builders.IMAGE)
    assert cloud_api.post("/servers", **body)["server"]["image"]["architecture"] == architecture


def test_ssh_keys_by_id_or_name(cloud_api: CloudApi) -> None:
    first = cloud_api.post("/ssh_keys", name="alice", public_key=SSH_KEY)["ssh_key"]
    cloud_api.post("/ssh_keys", name="bob", public_key=OTHER_SSH_KEY)
    made = cloud_api.post("/servers", **builders.server_body(cloud_api, ssh_keys=[first["id"], "bob"]))["server"]
    assert cloud_api.cloud.store.servers[made["id"]].public_keys == (SSH_KEY, OTHER_SSH_KEY)


def test_automount_is_not_implemented(cloud_api: CloudApi) -> None:
    status, error = cloud_api.refused("POST", "/servers", **builders.server_body(cloud_api, automount=True))
    assert (status, error["code"]) == (501, "not_implemented")


def test_a_server_is_deleted_with_its_attachments(cloud_api: CloudApi) -> None:
    volume = builders.volume(cloud_api)
    network = builders.network(cloud_api)
    server = builders.server(cloud_api, volumes=[Volume(id=volume.id)], networks=[network])
    action = server.delete()
    assert action.command == "delete_server"
    wait(action)
    assert cloud_api.client.servers.get_by_name("app-01") is None
    assert cloud_api.client.volumes.get_by_id(volume.id).server is None
    assert cloud_api.client.networks.get_by_id(network.id).servers == []
    assert cloud_api.client.actions.get_by_id(action.id).status == "success"
    assert builders.server(cloud_api).private_net == []


def test_a_protected_server_stays(cloud_api: CloudApi) -> None:
    server = builders.server(cloud_api)
    wait(server.change_protection(delete=True, rebuild=True))
    for forbidden in (server.delete, lambda: server.rebuild(builders.image_of(cloud_api))):
        with pytest.raises(APIException) as caught:
            forbidden()
        assert caught.value.code == "protected"
    with pytest.raises(APIException) as caught:
        server.change_protection(delete=False)
    assert caught.value.code == "invalid_input"
    wait(server.change_protection(delete=False, rebuild=False))
    wait(server.delete())


def test_a_rebuilt_server_keeps_its_addresses(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    server = builders.server(cloud_api, networks=[network])
    response = server.rebuild(builders.image_of(cloud_api))
    assert response.root_password is None
    wait(response.action)
    rebuilt = cloud_api.client.servers.get_by_id(server.id)
    assert rebuilt.status == "running"
    assert rebuilt.public_net.ipv4.ip == server.public_net.ipv4.ip
    assert rebuilt.private_net[0].ip == server.private_net[0].ip
    with pytest.raises(APIException) as caught:
        server.rebuild(Image(name="beos-5"))
    assert caught.value.code == "invalid_input"


def test_the_type_of_a_stopped_server_is_changed(cloud_api: CloudApi) -> None:
    server = builders.server(cloud_api)
    with pytest.raises(APIException) as caught:
        server.change_type(ServerType(name="cax21"), upgrade_disk=False)
    assert caught.value.code == "server_not_stopped"
    wait(server.power_off())
    wait(server.change_type(ServerType(name="cax21"), upgrade_disk=False))
    server = cloud_api.client.servers.get_by_id(server.id)
    assert (server.server_type.name, server.primary_disk_size, server.status) == ("cax21", 40, "running")
    wait(server.power_off())
    wait(server.change_type(ServerType(name="cax31"), upgrade_disk=True))
    wait(server.power_off())
    with pytest.raises(APIException) as caught:
        server.change_type(ServerType(name="cax11"), upgrade_disk=False)
    assert caught.value.code == "invalid_server_type"  # its disk would be too small


@pytest.mark.parametrize("name", ["cx33", "cax11"])
def test_types_a_server_cannot_change_to(cloud_api: CloudApi, name: str) -> None:
    server = builders.server(cloud_api, start_after_create=False)
    with pytest.raises(APIException) as caught:
        server.change_type(ServerType(name=name), upgrade_disk=False)
    assert caught.value.code == "invalid_server_type"


# Power


def test_power_off_and_on(cloud_api: CloudApi) -> None:
    server = builders.server(cloud_api)
    for action, status in [
        (server.power_off, "off"),
        (server.power_off, "off"),
        (server.power_on, "running"),
        (server.power_on, "running"),
        (server.reset, "running"),
        (server.reboot, "running"),
    ]:
        wait(action())
        assert cloud_api.client.servers.get_by_id(server.id).status == status


def test_shutdown_ends_in_off(cloud_api: CloudApi) -> None:
    server = builders.server(cloud_api)
    wait(server.shutdown())
    cloud_api.settle()
    assert cloud_api.client.servers.get_by_id(server.id).status == "off"


@pytest.mark.parametrize("command", ["shutdown", "reboot"])
def test_a_stopped_server_has_no_button_to_obey(cloud_api: CloudApi, command: str) -> None:
    server = builders.server(cloud_api, start_after_create=False)
    status, error = cloud_api.refused("POST", f"/servers/{server.id}/actions/{command}")
    assert (status, error["message"]) == (422, "server app-01 is not running")


def test_a_server_without_any_interface_does_not_start(cloud_api: CloudApi) -> None:
    server = builders.server(cloud_api, public_net=builders.PRIVATE_ONLY, start_after_create=False)
    action = server.power_on()
    with pytest.raises(ActionFailedException, match="no public or private network interfaces found"):
        action.wait_until_finished()
    assert cloud_api.get(f"/actions/{action.id}")["action"]["error"]["code"] == "invalid_input"
    assert cloud_api.client.servers.get_by_id(server.id).status == "off"


def test_servers_are_filtered_by_status_and_labels(cloud_api: CloudApi) -> None:
    builders.server(cloud_api, "one", labels={"role-app": "true"})
    builders.server(cloud_api, "two", start_after_create=False)
    listed = cloud_api.client.servers.get_all
    assert [server.name for server in listed(status=["off"])] == ["two"]
    assert [server.name for server in listed(label_selector="role-app=true")] == ["one"]
    assert cloud_api.refused("GET", "/servers?status=asleep")[0] == 422
