"""The management interface: reset, snapshots, the log of requests, and what the vendor decides."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
import requests
from hcloud import APIException
from hcloud.locations import Location

from lab.drivers.null import NullDriver
from lab.request_log import MOST_ENTRIES, RequestLog
from tests.lab import builders
from tests.lab.cloud_api import SSH_KEY, CloudApi, Host, wait
from tests.lab.cloud_api import cloud_api as serve


def test_it_wants_the_token_and_is_no_part_of_the_api(cloud_api: CloudApi) -> None:
    root = cloud_api.url.removesuffix("/v1")
    assert requests.get(root + "/_lab/state", timeout=60).status_code == 401
    assert requests.get(root + "/_lab/nothing", timeout=60).status_code == 404
    assert cloud_api.request("GET", "/_lab/state").status_code == 404


# The log


def test_requests_are_logged_without_secrets(cloud_api: CloudApi) -> None:
    cloud_api.get("/servers", name="app-01")
    cloud_api.post("/ssh_keys", name="alice", public_key=SSH_KEY)
    cloud_api.request("GET", "/servers", token="wrong")
    first, second, third = cloud_api.manage("GET", "/requests")["requests"]
    assert (first["method"], first["path"], first["query"]) == ("GET", "/v1/servers", "name=app-01")
    assert first["status"] == 200
    assert (second["method"], second["path"], second["status"]) == ("POST", "/v1/ssh_keys", 201)
    assert third["status"] == 401
    assert first["milliseconds"] > 0
    assert not any(SSH_KEY in str(entry) or "wrong" in str(entry) for entry in (first, second, third))
    assert cloud_api.manage("GET", "/requests", after=second["number"])["requests"] == [third]
    cloud_api.manage("GET", "/requests", after="x", status=422)
    cloud_api.manage("DELETE", "/requests", status=204)
    assert cloud_api.manage("GET", "/requests")["requests"] == []


def test_the_log_is_bounded() -> None:
    log = RequestLog()
    for _ in range(MOST_ENTRIES + 10):
        log.begin("2026-01-01T00:00:00Z", "GET", "/", "")
    assert (len(log.entries), log.entries[0].number) == (MOST_ENTRIES, 11)


# Reset and snapshots


def test_reset_empties_everything(null_api: CloudApi) -> None:
    network = builders.network(null_api)
    server = builders.server(null_api, networks=[network])
    builders.volume(null_api)
    null_api.order_fault("error", path="/images", code="locked")
    null_api.manage("PATCH", "/conditions", {"clock_ahead": 10.0, "limits": {"servers": 1}})
    null_api.manage("POST", "/reset", status=204)
    for kind in ("servers", "networks", "volumes", "primary_ips"):
        assert null_api.get(f"/{kind}")[kind] == []
    assert null_api.driver.inventory().machines == {}
    assert null_api.driver.networks == null_api.driver.volumes == {}
    conditions = null_api.manage("GET", "/conditions")
    assert (conditions["clock_ahead"], conditions["limits"]) == (0.0, {})
    assert null_api.manage("GET", "/faults")["faults"] == []
    assert builders.server(null_api).id > server.id, "an ID never means two things"


def test_a_snapshot_is_restored(null_api: CloudApi) -> None:
    network = builders.network(null_api, routes=[builders.default_route()])
    kept = builders.server(null_api, "kept", networks=[network])
    lost = builders.server(null_api, "lost", networks=[network], user_data="#cloud-config\n")
    volume = builders.volume(null_api, server=kept)
    before = {kind: null_api.get(f"/{kind}") for kind in ("servers", "networks", "volumes", "primary_ips")}
    snapshot = null_api.manage("GET", "/state")

    wait(lost.delete(), kept.power_off())
    wait(volume.detach())
    null_api.client.networks.delete_route(network, builders.default_route()).wait_until_finished()
    extra = builders.server(null_api, "extra")
    null_api.manage("PUT", "/state", snapshot, status=204)

    assert {kind: null_api.get(f"/{kind}") for kind in before} == before
    assert null_api.driver.running == {kept.id, lost.id}
    assert extra.id not in null_api.driver.machines
    assert null_api.driver.machines[lost.id].user_data == "#cloud-config\n"
    assert [attached.volume_id for attached in null_api.driver.machines[kept.id].volumes] == [volume.id]
    assert null_api.driver.networks[network.id].routes == (("0.0.0.0/0", "10.0.0.2"),)


def test_a_deleted_server_comes_back(cloud_api: CloudApi) -> None:
    network = builders.network(cloud_api)
    kept = builders.server(cloud_api, "kept", networks=[network], public_net=builders.PRIVATE_ONLY)
    lost = builders.server(cloud_api, "lost", networks=[network], public_net=builders.PRIVATE_ONLY)
    snapshot = cloud_api.manage("GET", "/state")
    wait(lost.delete())
    cloud_api.manage("PUT", "/state", snapshot, status=204)
    assert cloud_api.cloud.driver.inventory().machines == {kept.id: True, lost.id: True}
    for server in (kept, lost):
        found = cloud_api.client.servers.get_by_id(server.id)
        assert (found.status, found.private_net[0].ip) == ("running", server.private_net[0].ip)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"version": 2}, "not a state of version 1"),
        ({"store": None}, "store must be dict"),
        ({"store": {"servers": {"x": {}}}}, "'x' must be a number"),
        ({"store": {"servers": {"1": {"id": "1"}}}}, "store.servers.1.name is missing"),
        ({"store": {"colour": "red"}}, "store.colour is not known"),
    ],
)
def test_a_snapshot_that_cannot_be_read_changes_nothing(
    cloud_api: CloudApi, change: dict[str, object], text: str
) -> None:
    builders.server(cloud_api)
    snapshot = {**cloud_api.manage("GET", "/state"), **change}
    assert text in cloud_api.manage("PUT", "/state", snapshot, status=422)["error"]["message"]
    assert len(cloud_api.get("/servers")["servers"]) == 1


# What the vendor decides


def test_the_clock_goes_forward_only(cloud_api: CloudApi) -> None:
    day = 86400.0
    before = cloud_api.manage("GET", "/conditions")["now"]
    after = cloud_api.manage("PATCH", "/conditions", {"clock_ahead": 400 * day})["now"]
    assert after[:4] > before[:4]
    assert cloud_api.post("/ssh_keys", name="alice", public_key=SSH_KEY)["ssh_key"]["created"] >= after
    error = cloud_api.manage("PATCH", "/conditions", {"clock_ahead": 0}, status=422)["error"]
    assert "only goes forward" in error["message"]


def test_the_clock_fills_up_the_rate_limit(cloud_api: CloudApi) -> None:
    for _ in range(20):
        left = int(cloud_api.request("GET", "/locations").headers["RateLimit-Remaining"])
    assert left < 3595
    cloud_api.manage("PATCH", "/conditions", {"clock_ahead": 3600.0})
    assert cloud_api.request("GET", "/locations").headers["RateLimit-Remaining"] == "3599"


def test_a_deprecation_comes_into_force_with_time(cloud_api: CloudApi) -> None:
    conditions = cloud_api.cloud.store.conditions
    conditions.clock_ahead = datetime(2025, 12, 1, tzinfo=UTC).timestamp() - time.time()
    assert cloud_api.client.server_types.get_by_name("cx22") is not None
    body = builders.server_body(cloud_api, server_type="cx22", image="debian-13")
    cloud_api.post("/servers", **body)
    cloud_api.manage("PATCH", "/conditions", {"clock_ahead": conditions.clock_ahead + 62 * 86400})
    assert cloud_api.client.server_types.get_by_name("cx22") is None
    _, error = cloud_api.refused("POST", "/servers", **{**body, "name": "app-02"})
    assert error["message"] == "unsupported location for server type"


@pytest.mark.parametrize(
    ("kind", "path", "body"),
    [
        ("ssh_keys", "/ssh_keys", {"public_key": SSH_KEY}),
        ("networks", "/networks", {"ip_range": "10.0.0.0/16"}),
        ("firewalls", "/firewalls", {}),
        ("placement_groups", "/placement_groups", {"type": "spread"}),
        ("volumes", "/volumes", {"size": 10, "location": "fsn1"}),
        ("primary_ips", "/primary_ips", {"type": "ipv4", "assignee_type": "server", "location": "fsn1"}),
        ("servers", "/servers", {"server_type": "cax11", "image": "debian-13", "location": "fsn1"}),
    ],
)
def test_limits_of_the_project(cloud_api: CloudApi, kind: str, path: str, body: dict[str, object]) -> None:
    cloud_api.manage("PATCH", "/conditions", {"limits": {kind: 0}})
    status, error = cloud_api.refused("POST", path, name="a", **body)
    assert (status, error["code"]) == (403, "resource_limit_exceeded")
    assert error["details"] == {"limits": [{"name": "project_limit"}]}
    assert cloud_api.get(path)[kind] == []
    cloud_api.manage("PATCH", "/conditions", {"limits": {kind: 2}})
    cloud_api.post(path, name="a", **body)


def test_addresses_of_new_servers_count_as_primary_ips(cloud_api: CloudApi) -> None:
    cloud_api.manage("PATCH", "/conditions", {"limits": {"primary_ips": 3}})
    builders.server(cloud_api)
    status, error = cloud_api.refused("POST", "/servers", **builders.server_body(cloud_api, name="app-02"))
    assert (status, error["code"]) == (403, "resource_limit_exceeded")


def test_a_server_type_is_sold_out(cloud_api: CloudApi) -> None:
    cloud_api.manage("PATCH", "/conditions", {"sold_out": {"cax11": ["fsn1"]}})
    status, error = cloud_api.refused("POST", "/servers", **builders.server_body(cloud_api))
    assert (status, error["code"]) == (412, "resource_unavailable")
    found = cloud_api.get("/server_types", name="cax11")["server_types"][0]
    assert {entry["name"] for entry in found["locations"] if entry["available"]} == {"nbg1", "hel1"}
    assert builders.server(cloud_api, location=None).location.name == "nbg1"
    cax21 = builders.server(cloud_api, "b", server_type=cloud_api.client.server_types.get_by_name("cax21"))
    wait(cax21.power_off())
    with pytest.raises(APIException) as caught:
        cax21.change_type(cloud_api.client.server_types.get_by_name("cax11"), upgrade_disk=False)
    assert caught.value.code in ("resource_unavailable", "invalid_server_type")


def test_durations_are_changed_while_it_runs(host: Host) -> None:
    with serve(host, NullDriver(), profile="realistic") as api:
        durations = api.manage("GET", "/conditions")["durations"]
        assert durations["create_server"] > durations[""] > 0
        api.manage("PATCH", "/conditions", {"durations": {}})
        assert builders.server(api, location=Location(name="fsn1")).status == "running"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"limits": {"cats": 1}}, "'cats' must be one of"),
        ({"limits": {"servers": "1"}}, "limits.servers must be int"),
        ({"sold_out": {"cax99": ["fsn1"]}}, "no server type 'cax99'"),
        ({"weather": "fine"}, "weather is not known"),
    ],
)
def test_conditions_that_make_no_sense(cloud_api: CloudApi, change: dict[str, object], text: str) -> None:
    assert text in cloud_api.manage("PATCH", "/conditions", change, status=422)["error"]["message"]
