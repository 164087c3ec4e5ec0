"""Actions: how they run, how long they take, how they fail, and what they lock."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hcloud import APIException
from hcloud.actions import ActionFailedException

from lab.actions import DURATIONS, ActionRunner, Step, nothing
from lab.drivers.base import DriverError
from lab.errors import CloudError
from lab.faults import FaultPlan
from lab.state.resources import Ref
from lab.state.store import Store
from tests.lab import builders
from tests.lab.cloud_api import CloudApi, wait

SERVER = Ref("server", 7)


async def fails() -> None:
    raise DriverError("the disk is full", "no_space")


async def is_refused() -> None:
    raise CloudError("invalid_input", "this cannot be")


async def breaks() -> None:
    raise ZeroDivisionError("oops")


def run(*steps: Step) -> Store:
    """Run the steps to their end."""

    async def main() -> None:
        runner = ActionRunner(store, FaultPlan(), lambda: None)
        runner.start(steps)
        await asyncio.gather(*runner._tasks)

    store = Store()
    asyncio.run(main())
    return store


def test_steps_run_one_after_the_other() -> None:
    order: list[str] = []

    async def first() -> None:
        await asyncio.sleep(0)
        order.append("first")

    async def second() -> None:
        order.append("second")

    store = run(Step("a", (SERVER,), first), Step("b", (SERVER,), second))
    assert order == ["first", "second"]
    assert [(action.status, action.progress) for action in store.actions.values()] == [("success", 100)] * 2
    assert all(action.finished for action in store.actions.values())


@pytest.mark.parametrize(
    ("work", "code", "message"),
    [
        (fails, "no_space", "the disk is full"),
        (is_refused, "invalid_input", "this cannot be"),
        (breaks, "server_error", "fault of the embedded cloud: oops"),
    ],
)
def test_a_failure_names_its_cause_and_stops_what_follows(work: object, code: str, message: str) -> None:
    store = run(Step("a", (SERVER,), work), Step("b", (SERVER,), nothing))  # type: ignore[arg-type]  # because a stand-in is enough
    first, second = store.actions.values()
    assert (first.status, first.error_code, first.error_message) == ("error", code, message)
    assert (second.status, second.error_code) == ("error", "action_failed")
    assert second.error_message == f"not begun, because a failed: {message}"


def test_progress_rises_while_the_minimum_duration_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    async def main() -> None:
        store.conditions.durations = dict(DURATIONS["realistic"])
        runner = ActionRunner(store, FaultPlan(), lambda: None)
        action = runner.start_one("create_server", [SERVER])

        async def no_time(_seconds: float) -> None:
            seen.append(action.progress)

        monkeypatch.setattr("lab.actions.asyncio.sleep", no_time)
        await asyncio.gather(*runner._tasks)

    store = Store()
    asyncio.run(main())
    assert len(seen) > 1
    assert seen[0] == 0
    assert seen == sorted(seen)
    assert all(action.progress == 100 for action in store.actions.values())


def test_the_realistic_profile_takes_time_for_everything() -> None:
    assert all(seconds > 0 for seconds in DURATIONS["realistic"].values())
    assert set(DURATIONS["fast"].values()) == {0.0}


# Over the API


@pytest.fixture
def held_start(null_api: CloudApi, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Lets no machine start before the event is set."""
    event = threading.Event()
    start = null_api.driver.start_machine

    def wait_and_start(machine: object) -> None:
        assert event.wait(timeout=60)
        start(machine)  # type: ignore[arg-type]  # because a stand-in is enough

    monkeypatch.setattr(null_api.driver, "start_machine", wait_and_start)
    return event


def test_a_server_is_locked_while_an_action_runs(null_api: CloudApi, held_start: threading.Event) -> None:
    network = builders.network(null_api)
    volume = builders.volume(null_api)
    server = builders.server(null_api, start_after_create=False)
    begun = server.power_on()
    assert null_api.get(f"/servers/{server.id}")["server"]["locked"]
    assert null_api.get(f"/actions/{begun.id}")["action"]["status"] == "running"
    for operation in (
        server.power_off,
        server.delete,
        lambda: server.attach_to_network(network),
        lambda: volume.attach(server),
        lambda: network._client._parent.volumes.create(size=10, name="b", server=server),
    ):
        with pytest.raises(APIException) as caught:
            operation()
        assert caught.value.code == "locked"
        assert caught.value.message == "cannot perform operation because server is locked"
    held_start.set()
    wait(begun)
    assert not null_api.get(f"/servers/{server.id}")["server"]["locked"]
    wait(volume.attach(server))


def test_two_changes_of_a_network_are_a_conflict(null_api: CloudApi, monkeypatch: pytest.MonkeyPatch) -> None:
    network = builders.network(null_api)
    event = threading.Event()
    sync = null_api.driver.sync_network

    def wait_and_sync(description: object) -> None:
        assert event.wait(timeout=60)
        sync(description)  # type: ignore[arg-type]  # because a stand-in is enough

    monkeypatch.setattr(null_api.driver, "sync_network", wait_and_sync)
    begun = network.add_route(builders.default_route())
    body = {"type": "cloud", "network_zone": "eu-central"}
    status, error = null_api.refused("POST", f"/networks/{network.id}/actions/add_subnet", **body)
    assert (status, error["code"]) == (409, "conflict")
    event.set()
    wait(begun)
    cloud_action = null_api.post(f"/networks/{network.id}/actions/add_subnet", **body)["action"]
    assert cloud_action["command"] == "add_subnet"


def test_actions_are_asked_for_by_id(cloud_api: CloudApi) -> None:
    server = builders.server(cloud_api)
    actions = [server.power_off()]
    wait(*actions)
    actions.append(server.power_on())
    wait(*actions)
    ids = [action.id for action in actions]
    assert [item["id"] for item in cloud_api.get("/actions", id=[*ids, 7])["actions"]] == ids
    assert cloud_api.get(f"/servers/actions/{ids[0]}")["action"]["command"] == "stop_server"
    assert cloud_api.get(f"/servers/{server.id}/actions/{ids[0]}")["action"]["id"] == ids[0]
    assert cloud_api.refused("GET", f"/volumes/actions/{ids[0]}")[0] == 404
    assert cloud_api.refused("GET", "/actions?id=x")[0] == 422


def test_listing_all_actions_was_removed(cloud_api: CloudApi) -> None:
    status, error = cloud_api.refused("GET", "/actions")
    assert (status, error["code"]) == (410, "deprecated_api_endpoint")


def test_actions_of_a_kind_are_filtered_and_sorted(cloud_api: CloudApi) -> None:
    server = builders.server(cloud_api)
    wait(server.power_off())
    listed = cloud_api.get(f"/servers/{server.id}/actions", sort="command:desc", status="success")["actions"]
    assert [action["command"] for action in listed] == ["stop_server", "start_server", "create_server"]
    assert cloud_api.get("/servers/actions", status="error")["actions"] == []
    assert len(cloud_api.get("/servers/actions", id=listed[0]["id"])["actions"]) == 1


def test_a_driver_error_is_seen_in_the_action(null_api: CloudApi) -> None:
    server = builders.server(null_api, start_after_create=False)
    null_api.driver.failures["start_machine"] = DriverError("the kernel said no")
    with pytest.raises(ActionFailedException, match="the kernel said no"):
        wait(server.power_on())
    null_api.driver.failures.clear()
    wait(server.power_on())
