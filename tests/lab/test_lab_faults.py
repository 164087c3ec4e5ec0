"""Faults on order: which requests and actions they strike, and what the caller sees."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import requests
from hcloud import APIException
from hcloud.actions import ActionFailedException

from lab.faults import Command, Fault, Request, decide
from tests.lab import builders
from tests.lab.cloud_api import SSH_KEY, CloudApi, wait


def struck(faults: Sequence[Fault], *events: Request | Command) -> list[int | None]:
    """Which fault strikes each event, by place."""
    places: list[int | None] = []
    rules = tuple(faults)
    for event in events:
        place, rules = decide(rules, event)
        places.append(place)
    return places


GET = Request("GET", "/servers")


def test_skip_and_times() -> None:
    assert struck([Fault("reset", skip=1, times=2)], *[GET] * 5) == [None, 0, 0, None, None]


def test_the_first_rule_that_strikes_decides() -> None:
    rules = [Fault("reset", times=1), Fault("error", code="locked")]
    assert struck(rules, GET, GET) == [0, 1]


@pytest.mark.parametrize(
    ("fault", "event", "strikes"),
    [
        (Fault("reset", method="GET"), GET, True),
        (Fault("reset", method="get"), GET, True),
        (Fault("reset", method="POST"), GET, False),
        (Fault("reset", path="/servers"), GET, True),
        (Fault("reset", path="/servers/*"), GET, False),
        (Fault("reset", path="/servers/*/actions/*"), Request("POST", "/servers/7/actions/poweron"), True),
        (Fault("reset"), Command("create_server"), False),
        (Fault("slow", command="*_server"), Command("create_server"), True),
        (Fault("slow", command="*_server"), Command("create_volume"), False),
        (Fault("slow", command="*"), GET, False),
        (Fault("reset", rate=0), GET, False),
        (Fault("reset", rate=1), GET, True),
    ],
)
def test_what_a_rule_matches(fault: Fault, event: Request | Command, strikes: bool) -> None:
    assert struck([fault], event) == [0 if strikes else None]


def test_a_rate_is_kept_and_the_seed_repeats_it() -> None:
    first = struck([Fault("reset", rate=0.3, seed=1)], *[GET] * 1000)
    assert first == struck([Fault("reset", rate=0.3, seed=1)], *[GET] * 1000)
    assert first != struck([Fault("reset", rate=0.3, seed=2)], *[GET] * 1000)
    assert 250 < first.count(0) < 350


# Over the API


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("conflict", 409),
        ("resource_unavailable", 412),
        ("locked", 423),
        ("rate_limit_exceeded", 429),
        ("unavailable", 503),
        ("timeout", 504),
    ],
)
def test_an_error_in_the_vendors_format(cloud_api: CloudApi, code: str, status: int) -> None:
    cloud_api.order_fault("error", method="POST", path="/ssh_keys", code=code)
    response = cloud_api.request("POST", "/ssh_keys", json={"name": "alice", "public_key": SSH_KEY})
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert "RateLimit-Remaining" in response.headers
    assert cloud_api.get("/ssh_keys")["ssh_keys"] == []


def test_an_error_of_a_gateway_is_plain_text(cloud_api: CloudApi) -> None:
    cloud_api.order_fault("error", status=502, message="Bad Gateway")
    response = cloud_api.request("GET", "/servers")
    assert (response.status_code, response.text) == (502, "Bad Gateway")
    assert response.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("code", ["conflict", "rate_limit_exceeded", "timeout"])
def test_the_vendors_library_repeats_what_may_be_repeated(cloud_api: CloudApi, code: str) -> None:
    number = cloud_api.order_fault("error", path="/ssh_keys", code=code, times=3)
    assert cloud_api.client.ssh_keys.create(name="alice", public_key=SSH_KEY).id
    assert [entry["fault"] for entry in cloud_api.manage("GET", "/requests")["requests"]] == [*[number] * 3, None]


@pytest.mark.parametrize("code", ["locked", "unavailable", "resource_unavailable"])
def test_the_vendors_library_gives_up_on_the_others(cloud_api: CloudApi, code: str) -> None:
    cloud_api.order_fault("error", code=code, times=1)
    with pytest.raises(APIException) as caught:
        cloud_api.client.servers.get_all()
    assert caught.value.code == code
    assert cloud_api.client.servers.get_all() == []


def test_a_lost_answer_leaves_the_change(cloud_api: CloudApi) -> None:
    number = cloud_api.order_fault("lose_answer", method="POST", times=1)
    with pytest.raises(requests.ConnectionError):
        cloud_api.request("POST", "/ssh_keys", json={"name": "alice", "public_key": SSH_KEY})
    assert [key["name"] for key in cloud_api.get("/ssh_keys")["ssh_keys"]] == ["alice"]
    lost = cloud_api.manage("GET", "/requests")["requests"][0]
    assert (lost["fault"], lost["status"], lost["delivered"]) == (number, 201, False)


def test_a_connection_that_is_reset_changes_nothing(cloud_api: CloudApi) -> None:
    cloud_api.order_fault("reset", method="POST", times=1)
    with pytest.raises(requests.ConnectionError):
        cloud_api.request("POST", "/ssh_keys", json={"name": "alice", "public_key": SSH_KEY})
    assert cloud_api.get("/ssh_keys")["ssh_keys"] == []
    cut = cloud_api.manage("GET", "/requests")["requests"][0]
    assert (cut["status"], cut["delivered"]) == (None, False)


def test_a_slow_answer_comes_in_the_end(cloud_api: CloudApi) -> None:
    number = cloud_api.order_fault("slow", delay=0.05)
    assert cloud_api.get("/ssh_keys")["ssh_keys"] == []
    entry = cloud_api.manage("GET", "/requests")["requests"][0]
    assert (entry["fault"], entry["status"], entry["delivered"]) == (number, 200, True)


@pytest.mark.parametrize("command", ["create_server", "attach_to_network", "start_server"])
def test_a_failing_action_is_taken_back(cloud_api: CloudApi, command: str) -> None:
    network = builders.network(cloud_api)
    cloud_api.order_fault("error", command=command, code="server_error", message="out of luck", times=1)
    with pytest.raises(ActionFailedException, match="out of luck"):
        builders.server(cloud_api, networks=[network])
    cloud_api.settle()
    left = cloud_api.client.servers.get_by_name("app-01")
    if command == "create_server":
        assert left is None
        assert cloud_api.get("/primary_ips")["primary_ips"] == []
    else:
        assert left.status == "off"
        assert len(left.private_net) == (command == "start_server")


@pytest.mark.parametrize("command", ["resize_volume", "change_protection", "attach_volume", "detach_volume"])
def test_a_failing_action_of_a_volume_changes_nothing(cloud_api: CloudApi, command: str) -> None:
    volume, server = builders.volume(cloud_api), builders.server(cloud_api)
    if command == "detach_volume":
        wait(volume.attach(server))
    before = cloud_api.get(f"/volumes/{volume.id}")
    cloud_api.order_fault("error", command=command, code="action_failed")
    verbs = {
        "resize_volume": lambda: volume.resize(20),
        "change_protection": lambda: volume.change_protection(delete=True),
        "attach_volume": lambda: volume.attach(server),
        "detach_volume": volume.detach,
    }
    with pytest.raises(ActionFailedException):
        wait(verbs[command]())
    assert cloud_api.get(f"/volumes/{volume.id}") == before
    cloud_api.manage("DELETE", "/faults", status=204)
    wait(verbs[command]())


def test_faults_are_listed_with_what_they_did_and_taken_out(cloud_api: CloudApi) -> None:
    first = cloud_api.order_fault("error", code="locked", path="/servers", skip=1)
    second = cloud_api.order_fault("reset", path="/volumes")
    cloud_api.get("/servers")
    cloud_api.refused("GET", "/servers")
    listed = {fault["id"]: fault for fault in cloud_api.manage("GET", "/faults")["faults"]}
    assert (listed[first]["matched"], listed[first]["struck"]) == (2, 1)
    cloud_api.manage("DELETE", f"/faults/{first}", status=204)
    cloud_api.manage("DELETE", f"/faults/{first}", status=404)
    cloud_api.get("/servers")
    assert [fault["id"] for fault in cloud_api.manage("GET", "/faults")["faults"]] == [second]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({}, "effect is missing"),
        ({"effect": "explode"}, "effect must be one of slow, error, lose_answer, reset"),
        ({"effect": "reset", "colour": "red"}, "colour is not known"),
        ({"effect": "reset", "rate": "often"}, "rate must be float"),
        ({"effect": "reset", "rate": 2}, "rate must be from 0 to 1"),
        ({"effect": "reset", "times": 0}, "times at least 1"),
        ({"effect": "error"}, "error needs a code or a status"),
        ({"effect": "slow"}, "slow needs a delay"),
        ({"effect": "reset", "command": "*"}, "an action has no connection"),
        ({"effect": "error", "command": "*", "status": 500}, "an action that fails needs a code"),
    ],
)
def test_rules_that_make_no_sense(cloud_api: CloudApi, rule: dict[str, object], text: str) -> None:
    error = cloud_api.manage("POST", "/faults", rule, status=422)["error"]
    assert text in error["message"]
    assert cloud_api.manage("GET", "/faults")["faults"] == []
