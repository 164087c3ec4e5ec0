"""SSH keys, placement groups and primary IPs."""

from __future__ import annotations

import pytest
from hcloud import APIException
from hcloud.locations import Location
from hcloud.placement_groups import PlacementGroup
from hcloud.primary_ips import BoundPrimaryIP, PrimaryIP
from hcloud.servers import ServerCreatePublicNetwork

from tests.lab import builders
from tests.lab.cloud_api import OTHER_SSH_KEY, SSH_KEY, CloudApi, wait

# SSH keys


def test_an_ssh_key_is_made_found_changed_and_deleted(cloud_api: CloudApi) -> None:
    keys = cloud_api.client.ssh_keys
    made = keys.create(name="alice", public_key=SSH_KEY, labels={"env": "lab"})
    # ssh-keygen -E md5 -lf
    assert made.fingerprint == "f6:fc:a8:14:b0:46:f2:e7:e4:72:4d:73:90:b1:d7:5b"
    assert keys.get_by_name("alice").id == made.id
    assert keys.get_by_fingerprint(made.fingerprint).id == made.id
    assert keys.update(made, name="bob", labels={}).name == "bob"
    assert keys.delete(made)
    assert keys.get_all() == []


@pytest.mark.parametrize(
    "public_key",
    ["", "nonsense", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa " + SSH_KEY.split()[1], SSH_KEY + "\n" + SSH_KEY],
)
def test_what_is_no_public_key_is_refused(cloud_api: CloudApi, public_key: str) -> None:
    status, error = cloud_api.refused("POST", "/ssh_keys", name="alice", public_key=public_key)
    assert (status, error["details"]["fields"][0]["name"]) == (422, "public_key")


def test_ssh_keys_are_unique_by_name_and_by_key(cloud_api: CloudApi) -> None:
    cloud_api.post("/ssh_keys", name="alice", public_key=SSH_KEY)
    status, error = cloud_api.refused("POST", "/ssh_keys", name="alice", public_key=OTHER_SSH_KEY)
    assert (status, error["code"]) == (409, "uniqueness_error")
    status, error = cloud_api.refused("POST", "/ssh_keys", name="bob", public_key=SSH_KEY + "-at-home")
    assert error == {
        "code": "uniqueness_error",
        "message": "SSH key with the same fingerprint already exists",
        "details": {"fields": [{"name": "public_key"}]},
    }
    other = cloud_api.post("/ssh_keys", name="bob", public_key=OTHER_SSH_KEY)["ssh_key"]
    status, error = cloud_api.refused("PUT", f"/ssh_keys/{other['id']}", name="alice")
    assert (status, error["code"]) == (409, "uniqueness_error")


# Placement groups


def test_servers_are_placed_in_a_group(cloud_api: CloudApi) -> None:
    groups = cloud_api.client.placement_groups
    group = groups.create(name="app", type="spread").placement_group
    server = builders.server(cloud_api, placement_group=PlacementGroup(id=group.id))
    assert groups.get_by_id(group.id).servers == [server.id]
    assert server.placement_group.id == group.id
    status, error = cloud_api.refused("DELETE", f"/placement_groups/{group.id}")
    assert (status, error["code"]) == (422, "resource_in_use")
    wait(server.remove_from_placement_group())
    assert groups.delete(group)


def test_only_a_stopped_server_is_put_into_a_group(cloud_api: CloudApi) -> None:
    group = cloud_api.client.placement_groups.create(name="app", type="spread").placement_group
    server = builders.server(cloud_api)
    with pytest.raises(APIException) as caught:
        server.add_to_placement_group(group)
    assert caught.value.code == "server_not_stopped"
    wait(server.power_off())
    wait(server.add_to_placement_group(group))
    with pytest.raises(APIException) as caught:
        server.add_to_placement_group(group)
    assert caught.value.code == "already_in_placement_group"


def test_a_group_takes_ten_servers(cloud_api: CloudApi) -> None:
    group = cloud_api.client.placement_groups.create(name="app", type="spread").placement_group
    options = {"start_after_create": False, "placement_group": PlacementGroup(id=group.id)}
    for number in range(10):
        builders.server(cloud_api, f"app-{number}", **options)
    with pytest.raises(APIException) as caught:
        builders.server(cloud_api, "app-10", **options)
    assert caught.value.code == "placement_error"


# Primary IPs


def primary_ip(api: CloudApi, name: str = "bastion-ip", **options: object) -> BoundPrimaryIP:
    defaults: dict[str, object] = {"type": "ipv4", "location": Location(name=builders.LOCATION)}
    return api.client.primary_ips.create(name=name, **{**defaults, **options}).primary_ip


def test_a_primary_ip_outlives_its_server(cloud_api: CloudApi) -> None:
    ip = primary_ip(cloud_api, auto_delete=False)
    public = ServerCreatePublicNetwork(ipv4=PrimaryIP(id=ip.id), enable_ipv6=False)
    server = builders.server(cloud_api, public_net=public)
    assert server.public_net.ipv4.ip == ip.ip
    assert cloud_api.client.primary_ips.get_by_id(ip.id).assignee_id == server.id
    wait(server.delete())
    kept = cloud_api.client.primary_ips.get_by_id(ip.id)
    assert (kept.ip, kept.assignee_id) == (ip.ip, None)


def test_primary_ips_of_a_servers_own_go_with_it(cloud_api: CloudApi) -> None:
    server = builders.server(cloud_api)
    own = cloud_api.client.primary_ips.get_all()
    assert {ip.type for ip in own} == {"ipv4", "ipv6"}
    assert all(ip.auto_delete and ip.assignee_id == server.id for ip in own)
    assert server.public_net.ipv6.ip == next(ip.ip for ip in own if ip.type == "ipv6") == "2001:db8:0:1::/64"
    wait(server.delete())
    assert cloud_api.client.primary_ips.get_all() == []


def test_the_lowest_free_address_is_given(cloud_api: CloudApi) -> None:
    first, second, third = (primary_ip(cloud_api, name) for name in "abc")
    assert [first.ip, second.ip, third.ip] == ["198.51.100.100", "198.51.100.101", "198.51.100.102"]
    second.delete()
    assert primary_ip(cloud_api, "d").ip == "198.51.100.101"


def test_addresses_run_out(cloud_api: CloudApi) -> None:
    for number in range(100):
        cloud_api.post("/primary_ips", name=f"ip-{number}", type="ipv4", assignee_type="server", location="fsn1")
    status, error = cloud_api.refused("POST", "/servers", **builders.server_body(cloud_api))
    assert (status, error["code"]) == (412, "resource_unavailable")
    assert cloud_api.get("/servers")["servers"] == []
    assert len(cloud_api.client.primary_ips.get_all()) == 100


def test_a_primary_ip_is_assigned_and_taken_back(cloud_api: CloudApi) -> None:
    ip = primary_ip(cloud_api)
    server = builders.server(cloud_api, public_net=builders.PRIVATE_ONLY, start_after_create=False)
    wait(ip.assign(server.id, "server"))
    assert cloud_api.client.servers.get_by_id(server.id).public_net.ipv4.ip == ip.ip
    wait(server.power_on())
    with pytest.raises(APIException) as caught:
        ip.unassign()
    assert caught.value.code == "server_not_stopped"
    with pytest.raises(APIException) as caught:
        ip.delete()
    assert caught.value.code == "must_be_unassigned"
    wait(server.power_off())
    wait(ip.unassign())
    assert ip.delete()


def test_a_primary_ip_is_made_for_a_server(cloud_api: CloudApi) -> None:
    server = builders.server(cloud_api, public_net=builders.PRIVATE_ONLY, start_after_create=False)
    response = cloud_api.client.primary_ips.create(
        type="ipv6", name="six", assignee_id=server.id, assignee_type="server"
    )
    wait(response.action)
    assert response.action.command == "assign_primary_ip"
    assert response.primary_ip.assignee_id == server.id


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("running", "server_not_stopped"),
        ("has one", "server_has_ipv4"),
        ("elsewhere", "primary_ip_datacenter_mismatch"),
    ],
)
def test_a_primary_ip_that_cannot_be_assigned(cloud_api: CloudApi, target: str, code: str) -> None:
    ip = primary_ip(cloud_api)
    location = Location(name="hel1" if target == "elsewhere" else "fsn1")
    server = builders.server(cloud_api, location=location, start_after_create=target == "running")
    with pytest.raises(APIException) as caught:
        ip.assign(server.id, "server")
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"type": "ipv6"}, "primary_ip_version_mismatch"),
        ({"location": Location(name="hel1")}, "primary_ip_datacenter_mismatch"),
    ],
)
def test_an_order_with_a_primary_ip_that_does_not_fit(
    cloud_api: CloudApi, options: dict[str, object], code: str
) -> None:
    ip = primary_ip(cloud_api, **options)
    _, error = cloud_api.refused("POST", "/servers", **builders.server_body(cloud_api, public_net={"ipv4": ip.id}))
    assert error["code"] == code


def test_an_order_with_a_primary_ip_that_is_taken(cloud_api: CloudApi) -> None:
    ip = primary_ip(cloud_api)
    builders.server(cloud_api, public_net=ServerCreatePublicNetwork(ipv4=PrimaryIP(id=ip.id)))
    body = builders.server_body(cloud_api, name="app-02", public_net={"ipv4": ip.id})
    _, error = cloud_api.refused("POST", "/servers", **body)
    assert error["code"] == "primary_ip_assigned"


def test_primary_ip_protection_and_auto_delete_exclude_each_other(cloud_api: CloudApi) -> None:
    ip = primary_ip(cloud_api)
    wait(ip.change_protection(delete=True))
    with pytest.raises(APIException) as caught:
        ip.delete()
    assert caught.value.code == "protected"
    with pytest.raises(APIException) as caught:
        ip.update(auto_delete=True)
    assert caught.value.code == "invalid_input"
    wait(ip.change_protection(delete=False))
    assert ip.update(auto_delete=True).auto_delete
    with pytest.raises(APIException):
        ip.change_protection(delete=True)


def test_names_of_addresses(cloud_api: CloudApi) -> None:
    ip = primary_ip(cloud_api)
    assert ip.dns_ptr == [{"ip": "198.51.100.100", "dns_ptr": "static.100.100.51.198.clients.your-server.de"}]
    wait(ip.change_dns_ptr(ip.ip, "bastion.bulwark.example"))
    assert cloud_api.client.primary_ips.get_by_id(ip.id).dns_ptr[0]["dns_ptr"] == "bastion.bulwark.example"
    with pytest.raises(APIException):
        ip.change_dns_ptr("198.51.100.101", "x.example")
    server = builders.server(cloud_api)
    wait(server.change_dns_ptr("2001:db8:0:1::1", "app.bulwark.example"))
    six = cloud_api.client.servers.get_by_id(server.id).public_net.ipv6
    assert six.dns_ptr == [{"ip": "2001:db8:0:1::1", "dns_ptr": "app.bulwark.example"}]


def test_a_primary_ip_is_found_by_address(cloud_api: CloudApi) -> None:
    ip = primary_ip(cloud_api)
    assert [item["id"] for item in cloud_api.get("/primary_ips", ip=ip.ip)["primary_ips"]] == [ip.id]
    assert cloud_api.get("/primary_ips", ip="198.51.100.150")["primary_ips"] == []


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"datacenter": "fsn1-dc14", "location": None}, "datacenter"),
        ({"location": None}, "exactly one of"),
        ({"location": "mars"}, "location 'mars' not found"),
        ({"type": "ipv5"}, "type"),
        ({"assignee_type": "cat"}, "assignee_type"),
    ],
)
def test_primary_ips_that_cannot_be_made(cloud_api: CloudApi, fields: dict[str, object], text: str) -> None:
    body = {"name": "a", "type": "ipv4", "assignee_type": "server", "location": "fsn1", **fields}
    status, error = cloud_api.refused("POST", "/primary_ips", **body)
    assert (status, error["code"]) == (422, "invalid_input")
    assert text in error["message"]
