"""Volumes."""

from __future__ import annotations

import pytest
from hcloud import APIException
from hcloud.locations import Location
from hcloud.volumes import BoundVolume

from tests.lab import builders
from tests.lab.cloud_api import CloudApi, wait


def fresh(volume: BoundVolume) -> BoundVolume:
    return volume._client.get_by_id(volume.id)


def test_a_volume_is_made_changed_and_deleted(cloud_api: CloudApi) -> None:
    response = cloud_api.client.volumes.create(size=10, name="data", location=Location(name="fsn1"), format="xfs")
    assert (response.volume.status, response.action.command, response.next_actions) == ("creating", "create_volume", [])
    wait(response.action)
    volume = fresh(response.volume)
    assert (volume.status, volume.size, volume.format, volume.server) == ("available", 10, "xfs", None)
    assert volume.linux_device == f"/dev/disk/by-id/scsi-0HC_Volume_{volume.id}"
    assert volume.update(name="other", labels={"a": "b"}).name == "other"
    assert volume.delete()
    assert cloud_api.client.volumes.get_all() == []


def test_a_volume_is_made_for_a_server(cloud_api: CloudApi) -> None:
    server = builders.server(cloud_api)
    response = cloud_api.client.volumes.create(size=10, name="data", server=server)
    assert [action.command for action in response.next_actions] == ["attach_volume"]
    wait(response.action, *response.next_actions)
    assert fresh(response.volume).server.id == server.id
    assert [item.id for item in cloud_api.client.servers.get_by_id(server.id).volumes] == [response.volume.id]


def test_a_volume_is_attached_and_detached(cloud_api: CloudApi) -> None:
    server, volume = builders.server(cloud_api), builders.volume(cloud_api)
    wait(volume.attach(server, automount=False))
    assert fresh(volume).server.id == server.id
    with pytest.raises(APIException) as caught:
        volume.delete()
    assert caught.value.code == "resource_in_use"
    with pytest.raises(APIException) as caught:
        volume.attach(server)
    assert caught.value.code == "volume_already_attached"
    wait(volume.detach())
    assert fresh(volume).server is None
    with pytest.raises(APIException) as caught:
        volume.detach()
    assert caught.value.code == "invalid_input"


def test_a_server_that_goes_lets_go_of_its_volume(cloud_api: CloudApi) -> None:
    server, volume = builders.server(cloud_api), builders.volume(cloud_api)
    wait(volume.attach(server, automount=False))
    deletion = server.delete()
    assert volume.delete()  # without waiting for the server
    assert cloud_api.client.volumes.get_all() == []
    wait(deletion)


def test_a_server_whose_deletion_fails_keeps_its_volume(cloud_api: CloudApi) -> None:
    server, volume = builders.server(cloud_api), builders.volume(cloud_api)
    wait(volume.attach(server, automount=False))
    cloud_api.order_fault("error", command="delete_server", code="server_error", message="not today", times=1)
    server.delete()
    with pytest.raises(APIException) as caught:
        volume.delete()
    assert caught.value.code == "resource_in_use"
    assert fresh(volume).server.id == server.id


def test_a_volume_grows_and_never_shrinks(cloud_api: CloudApi) -> None:
    volume = builders.volume(cloud_api, size=20)
    for size in (10, 20, 10241):
        with pytest.raises(APIException) as caught:
            volume.resize(size)
        assert caught.value.details["fields"][0]["name"] == "size"
    wait(volume.resize(30))
    assert fresh(volume).size == 30


def test_a_protected_volume_stays(cloud_api: CloudApi) -> None:
    volume = builders.volume(cloud_api)
    wait(volume.change_protection(delete=True))
    with pytest.raises(APIException) as caught:
        volume.delete()
    assert caught.value.code == "protected"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"size": 9}, "'size'"),
        ({"size": 10241}, "'size'"),
        ({"size": "10"}, "'size'"),
        ({"name": "_a"}, "'name'"),
        ({"name": "a" * 65}, "'name'"),
        ({"format": "btrfs"}, "'format'"),
        ({"location": None}, "exactly one of"),
        ({"location": "mars"}, "location 'mars' not found"),
        ({"automount": True}, "'automount'"),
    ],
)
def test_volumes_that_cannot_be_made(cloud_api: CloudApi, fields: dict[str, object], text: str) -> None:
    body = {"name": "data", "size": 10, "location": "fsn1", **fields}
    status, error = cloud_api.refused("POST", "/volumes", **body)
    assert (status, error["code"]) == (422, "invalid_input")
    assert text in error["message"]
    assert cloud_api.get("/volumes")["volumes"] == []


def test_names_of_volumes_are_unique(cloud_api: CloudApi) -> None:
    builders.volume(cloud_api)
    assert cloud_api.refused("POST", "/volumes", name="data", size=10, location="fsn1")[0] == 409


def test_automount_is_not_implemented(cloud_api: CloudApi) -> None:
    server, volume = builders.server(cloud_api), builders.volume(cloud_api)
    with pytest.raises(APIException) as caught:
        volume.attach(server, automount=True)
    assert caught.value.code == "not_implemented"


def test_a_volume_stays_in_its_location(cloud_api: CloudApi) -> None:
    server, volume = builders.server(cloud_api), builders.volume(cloud_api, location=Location(name="hel1"))
    with pytest.raises(APIException) as caught:
        volume.attach(server)
    assert caught.value.code == "invalid_input"
    _, error = cloud_api.refused("POST", "/servers", **builders.server_body(cloud_api, name="b", volumes=[volume.id]))
    assert error["code"] == "invalid_input"


def test_a_server_has_at_most_sixteen_volumes(cloud_api: CloudApi) -> None:
    server = builders.server(cloud_api, start_after_create=False)
    for number in range(16):
        builders.volume(cloud_api, f"data-{number}", server=server)
    with pytest.raises(APIException) as caught:
        builders.volume(cloud_api, "one-too-many", server=server)
    assert caught.value.code == "resource_limit_exceeded"
