"""What the driver is told, and what becomes of the books when it fails or a machine stops by itself."""

from __future__ import annotations

import pytest
from hcloud import APIException
from hcloud.actions import ActionFailedException
from hcloud.firewalls import FirewallRule
from hcloud.volumes import Volume

from lab.drivers.base import AttachedVolume, DriverError, Exit, Network, NetworkMember, PrivateNic
from lab.drivers.base import Volume as DriverVolume
from tests.lab import builders
from tests.lab.cloud_api import SSH_KEY, CloudApi, wait

FAILURE = DriverError("the machine room is on fire")


def fail(api: CloudApi, method: str) -> None:
    api.driver.failures[method] = FAILURE


def test_a_machine_is_described_whole(null_api: CloudApi) -> None:
    network = builders.network(null_api)
    volume = builders.volume(null_api)
    key = null_api.client.ssh_keys.create(name="alice", public_key=SSH_KEY)
    server = builders.server(
        null_api, networks=[network], volumes=[Volume(id=volume.id)], ssh_keys=[key], user_data="#cloud-config\n"
    )
    machine = null_api.driver.machines[server.id]
    assert (machine.name, machine.image, machine.user_data) == ("app-01", "debian-13", "#cloud-config\n")
    assert machine.ssh_keys == (SSH_KEY,)
    assert machine.public is not None
    assert (machine.public.ipv4, machine.public.ipv6) == ("198.51.100.100", "2001:db8:0:1::/64")
    assert machine.public.mac.startswith("96:00:00:")
    assert machine.private == (PrivateNic(server.private_net[0].mac_address, network.id, "10.0.0.2"),)
    assert machine.volumes == (AttachedVolume(volume.id),)
    assert server.id in null_api.driver.running


def test_a_network_is_described_whole(null_api: CloudApi) -> None:
    network = builders.network(null_api, routes=[builders.default_route()])
    assert null_api.driver.networks[network.id] == Network(
        network.id, "10.0.0.0/16", ("10.0.0.0/24",), (("0.0.0.0/0", "10.0.0.2"),), ()
    )
    server = builders.server(null_api, networks=[network])
    nic = null_api.driver.machines[server.id].private[0]
    assert null_api.driver.networks[network.id].members == (NetworkMember(server.id, nic),)
    wait(network.delete_route(builders.default_route()))
    assert null_api.driver.networks[network.id].routes == ()
    wait(server.delete())
    assert null_api.driver.networks[network.id].members == ()
    network.delete()
    assert null_api.driver.networks == {}


def test_a_private_server_has_no_public_interface(null_api: CloudApi) -> None:
    network = builders.network(null_api)
    server = builders.server(null_api, networks=[network], public_net=builders.PRIVATE_ONLY)
    assert null_api.driver.machines[server.id].public is None


def test_a_running_machine_is_plugged_anew(null_api: CloudApi) -> None:
    network, volume, server = builders.network(null_api), builders.volume(null_api), builders.server(null_api)
    wait(server.attach_to_network(network, ip="10.0.0.3"))
    wait(volume.attach(server))
    machine = null_api.driver.machines[server.id]
    assert [nic.ipv4 for nic in machine.private] == ["10.0.0.3"]
    assert machine.volumes == (AttachedVolume(volume.id),)
    wait(volume.detach())
    wait(server.detach_from_network(network))
    machine = null_api.driver.machines[server.id]
    assert (machine.private, machine.volumes) == ((), ())


def test_the_router_knows_a_member_before_it_is_plugged_in(null_api: CloudApi) -> None:
    network, server = builders.network(null_api), builders.server(null_api)
    null_api.driver.calls.clear()
    wait(server.attach_to_network(network))
    assert null_api.driver.calls == [("sync_network", network.id), ("plug", server.id)]
    null_api.driver.calls.clear()
    wait(server.detach_from_network(network))
    assert null_api.driver.calls == [("plug", server.id), ("sync_network", network.id)]


def test_a_stopped_machine_is_left_alone(null_api: CloudApi) -> None:
    network, volume = builders.network(null_api), builders.volume(null_api)
    server = builders.server(null_api, start_after_create=False)
    wait(server.attach_to_network(network))
    wait(volume.attach(server))
    assert "plug" not in [method for method, _ in null_api.driver.calls]
    wait(server.power_on())
    machine = null_api.driver.machines[server.id]
    assert len(machine.private) == len(machine.volumes) == 1


def test_power_is_told_in_order(null_api: CloudApi) -> None:
    server = builders.server(null_api)
    null_api.driver.calls.clear()
    wait(server.reset())
    wait(server.reboot())
    wait(server.power_off())
    wait(server.rebuild(builders.image_of(null_api, "debian-12")).action)
    assert [method for method, _ in null_api.driver.calls] == [
        *("stop_machine", "start_machine"),
        *("shutdown_machine", "start_machine"),
        "stop_machine",
        *("delete_machine", "create_machine", "start_machine"),
    ]
    assert null_api.driver.machines[server.id].image == "debian-12"


def test_volumes_are_made_resized_and_deleted(null_api: CloudApi) -> None:
    volume = builders.volume(null_api, format="xfs")
    assert null_api.driver.volumes == {volume.id: DriverVolume(volume.id, 10, "xfs")}
    wait(volume.resize(20))
    assert null_api.driver.volumes == {volume.id: DriverVolume(volume.id, 20, "xfs")}
    volume.delete()
    assert null_api.driver.volumes == {}


def test_only_images_the_driver_boots_can_be_had(null_api: CloudApi) -> None:
    image = builders.image_of(null_api, "rocky-10")
    status, error = null_api.refused("POST", "/servers", **builders.server_body(null_api, image=image.id))
    assert (status, error["code"]) == (501, "not_implemented")
    assert "image 'rocky-10'; use one of debian-12, debian-13, " in error["message"]


# Machines that stop by themselves


def test_a_machine_powered_off_from_within_is_off(null_api: CloudApi) -> None:
    server = builders.server(null_api)
    null_api.driver.exit(server.id, Exit.POWERED_OFF)
    settle(null_api)
    assert null_api.client.servers.get_by_id(server.id).status == "off"
    assert server.id not in null_api.driver.running


def test_a_machine_rebooted_from_within_comes_up_again(null_api: CloudApi) -> None:
    server = builders.server(null_api)
    null_api.driver.exit(server.id, Exit.REBOOTED)
    settle(null_api)
    assert null_api.client.servers.get_by_id(server.id).status == "running"
    assert server.id in null_api.driver.running


def test_a_machine_that_does_not_come_up_again_is_off(null_api: CloudApi) -> None:
    server = builders.server(null_api)
    fail(null_api, "start_machine")
    null_api.driver.exit(server.id, Exit.REBOOTED)
    settle(null_api)
    assert null_api.client.servers.get_by_id(server.id).status == "off"


def test_a_machine_nobody_knows_is_ignored(null_api: CloudApi) -> None:
    null_api.driver.exit(7, Exit.REBOOTED)
    settle(null_api)
    assert null_api.driver.calls == []


def settle(api: CloudApi) -> None:
    api.get("/servers")  # the loop has taken note of the exit before it answers this
    api.settle()


# Failures


def test_a_server_that_cannot_be_made_leaves_nothing(null_api: CloudApi) -> None:
    network, volume = builders.network(null_api), builders.volume(null_api)
    fail(null_api, "create_machine")
    options = {"networks": [network], "volumes": [Volume(id=volume.id)]}
    with pytest.raises(ActionFailedException, match="on fire"):
        builders.server(null_api, **options)
    null_api.settle()
    assert null_api.get("/servers")["servers"] == []
    assert null_api.get("/primary_ips")["primary_ips"] == []
    assert null_api.get(f"/volumes/{volume.id}")["volume"]["server"] is None
    null_api.driver.failures.clear()
    assert builders.server(null_api, **options).private_net[0].ip == "10.0.0.2"


def test_a_network_that_cannot_be_made_leaves_nothing(null_api: CloudApi) -> None:
    fail(null_api, "sync_network")
    status, error = null_api.refused("POST", "/networks", name="net", ip_range="10.0.0.0/16")
    assert (status, error["code"], error["message"]) == (500, "server_error", "the machine room is on fire")
    assert null_api.get("/networks")["networks"] == []


@pytest.mark.parametrize("method", ["sync_network", "plug"])
def test_a_failed_attachment_is_given_up(null_api: CloudApi, method: str) -> None:
    network, server = builders.network(null_api), builders.server(null_api)
    fail(null_api, method)
    with pytest.raises(ActionFailedException):
        wait(server.attach_to_network(network, ip="10.0.0.3"))
    assert null_api.client.servers.get_by_id(server.id).private_net == []
    null_api.driver.failures.clear()
    wait(server.attach_to_network(network, ip="10.0.0.3"))


def test_a_failed_change_of_a_network_is_taken_back(null_api: CloudApi) -> None:
    network = builders.network(null_api)
    fail(null_api, "sync_network")
    with pytest.raises(ActionFailedException):
        wait(network.add_route(builders.default_route()))
    assert null_api.client.networks.get_by_id(network.id).routes == []


def test_a_server_that_cannot_be_deleted_can_be_deleted_again(null_api: CloudApi) -> None:
    server = builders.server(null_api)
    fail(null_api, "delete_machine")
    with pytest.raises(ActionFailedException):
        wait(server.delete())
    assert null_api.client.servers.get_by_id(server.id).status == "running"
    null_api.driver.failures.clear()
    wait(server.delete())
    assert null_api.driver.machines == {}


@pytest.mark.parametrize("kind", ["network", "volume"])
def test_what_cannot_be_deleted_can_be_deleted_again(null_api: CloudApi, kind: str) -> None:
    made = builders.network(null_api) if kind == "network" else builders.volume(null_api)
    fail(null_api, f"delete_{kind}")
    with pytest.raises(APIException) as caught:
        made.delete()
    assert caught.value.code == "server_error"
    null_api.driver.failures.clear()
    assert made.delete()


def test_volumes_after_failures(null_api: CloudApi) -> None:
    fail(null_api, "create_volume")
    with pytest.raises(ActionFailedException):
        builders.volume(null_api)
    assert null_api.get("/volumes")["volumes"] == []
    null_api.driver.failures.clear()
    server, volume = builders.server(null_api), builders.volume(null_api)
    fail(null_api, "plug")
    with pytest.raises(ActionFailedException):
        wait(volume.attach(server))
    assert null_api.get(f"/volumes/{volume.id}")["volume"]["server"] is None
    fail(null_api, "resize_volume")
    with pytest.raises(ActionFailedException):
        wait(volume.resize(20))
    assert null_api.get(f"/volumes/{volume.id}")["volume"]["size"] == 10


def test_a_shutdown_that_is_not_obeyed_leaves_the_server_running(null_api: CloudApi) -> None:
    server = builders.server(null_api)
    fail(null_api, "shutdown_machine")
    wait(server.shutdown())
    null_api.settle()
    assert null_api.client.servers.get_by_id(server.id).status == "running"


# Many things at once


def test_a_whole_environment_at_once(null_api: CloudApi) -> None:
    """Every order is under way before the first is done; the driver itself fails on two calls at once for one thing."""
    network = builders.network(null_api, routes=[builders.default_route()])
    rule = FirewallRule(direction="in", protocol="tcp", port="22", source_ips=["0.0.0.0/0"])
    firewall = null_api.client.firewalls.create(name="fw", rules=[rule]).firewall
    orders = [
        null_api.post(
            "/servers",
            **builders.server_body(
                null_api,
                name=f"app-{number}",
                networks=[network.id],
                labels={"number": str(number)},
                firewalls=[{"firewall": firewall.id}],
            ),
        )
        for number in range(12)
    ]
    for number in range(12):
        null_api.request("PUT", f"/servers/{orders[number]['server']['id']}", json={"labels": {}})
        firewall.set_rules([rule])
    null_api.settle()
    servers = null_api.client.servers.get_all()
    assert {server.status for server in servers} == {"running"}
    assert len({server.private_net[0].ip for server in servers}) == 12
    assert len(null_api.driver.networks[network.id].members) == 12
    assert null_api.get("/servers/actions", status="error")["actions"] == []


def test_closing_the_cloud_closes_the_driver(null_api: CloudApi) -> None:
    null_api.cloud.close()
    assert null_api.driver.closed
