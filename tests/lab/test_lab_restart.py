"""What becomes of the state when the process ends, and when it is killed in the middle of something."""

from __future__ import annotations

import json
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from hcloud.volumes import Volume

from lab.drivers.base import DriverError
from lab.drivers.null import NullDriver
from lab.operations.cloud import Cloud
from lab.state.resources import Action, Ref
from lab.state.storage import StateFile
from lab.state.store import Store
from tests.lab import builders
from tests.lab.cloud_api import SSH_KEY, TOKEN, CloudApi, Host, wait
from tests.lab.cloud_api import cloud_api as serve


class Lab:
    """A cloud whose process can end while the real things stay."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host = host
        self.path = folder / "cloud.json"
        self.driver = NullDriver()

    def serve(self) -> Any:
        return serve(self.host, self.driver, state_file=StateFile(self.path))

    def saved(self) -> Any:
        return json.loads(self.path.read_text())["store"]


@pytest.fixture
def lab(host: Host, tmp_path: Path) -> Lab:
    return Lab(host, tmp_path)


def everything(api: CloudApi) -> dict[str, Any]:
    kinds = ("servers", "networks", "volumes", "primary_ips", "firewalls", "ssh_keys", "placement_groups")
    return {kind: api.get(f"/{kind}") for kind in kinds}


def test_everything_is_there_again(lab: Lab) -> None:
    with lab.serve() as api:
        network = builders.network(api, routes=[builders.default_route()], labels={"env": "lab"})
        key = api.client.ssh_keys.create(name="alice", public_key=SSH_KEY)
        api.post("/firewalls", name="fw", rules=[builders.ssh_rule()], apply_to=[])
        volume = builders.volume(api)
        group = api.client.placement_groups.create(name="app", type="spread").placement_group
        options = {"networks": [network], "ssh_keys": [key], "placement_group": group}
        server = builders.server(api, volumes=[Volume(id=volume.id)], **options)
        builders.server(api, "off", start_after_create=False)
        action = server.change_protection(delete=True, rebuild=True)
        wait(action)
        api.manage("PATCH", "/conditions", {"clock_ahead": 1000.0})
        before = everything(api)
    lab.driver.calls.clear()
    with lab.serve() as api:
        assert everything(api) == before
        assert api.get(f"/actions/{action.id}")["action"]["status"] == "success"
        assert api.manage("GET", "/conditions")["clock_ahead"] == 1000.0
        assert lab.driver.running == {server.id}
        told = {method for method, _ in lab.driver.calls}
        assert told == {"sync_network", "create_volume", "plug"}, "nothing is made anew"
        assert builders.server(api, "new").id > action.id


def test_what_is_answered_is_saved(lab: Lab) -> None:
    with lab.serve() as api:
        key = api.post("/ssh_keys", name="alice", public_key=SSH_KEY)["ssh_key"]
        assert str(key["id"]) in lab.saved()["ssh_keys"]
        server = builders.server(api)
        assert lab.saved()["servers"][str(server.id)]["status"] == "running"
        assert all(action["status"] == "success" for action in lab.saved()["actions"].values())
        api.client.ssh_keys.get_by_id(key["id"]).delete()
        assert lab.saved()["ssh_keys"] == {}
    assert stat.S_IMODE(lab.path.stat().st_mode) == 0o600


def test_what_was_cut_short_has_failed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file as a kill leaves it while a server starts."""
    release, begun = threading.Event(), threading.Event()
    start = lab.driver.start_machine

    def hang(machine: Any) -> None:
        begun.set()
        assert release.wait(timeout=60)
        start(machine)

    monkeypatch.setattr(lab.driver, "start_machine", hang)
    with lab.serve() as api:
        server = builders.server(api, start_after_create=False)
        action = server.power_on()
        assert begun.wait(timeout=60)
        text = lab.path.read_text()
        release.set()  # the driver ends its call, and nobody is there to write it down
        wait(action)
    lab.path.write_text(text)
    with lab.serve() as api:
        cut = api.get(f"/actions/{action.id}")["action"]
        assert (cut["status"], cut["error"]["code"]) == ("error", "server_error")
        assert "restarted" in cut["error"]["message"]
        assert api.client.servers.get_by_id(server.id).status == "off"
        assert lab.driver.running == set(), "a change that failed is taken back"
        assert not api.get(f"/servers/{server.id}")["server"]["locked"]
        wait(api.client.servers.get_by_id(server.id).power_on())


def test_half_made_things_are_removed(lab: Lab) -> None:
    with lab.serve() as api:
        network = builders.network(api)
        servers = [builders.server(api, name, networks=[network]) for name in ("making", "deleting", "attaching")]
        volume = builders.volume(api)
        api.settle()
        store = api.cloud.store
        store.servers[servers[0].id].status = "initializing"
        store.servers[servers[1].id].status = "deleting"
        store.servers[servers[2].id].attachments[0].connected = False
        store.volumes[volume.id].available = False
        api.cloud.save()
    with lab.serve() as api:
        (left,) = api.client.servers.get_all()
        assert (left.name, left.private_net, left.status) == ("attaching", [], "running")
        assert list(lab.driver.machines) == [left.id]
        assert lab.driver.machines[left.id].private == ()
        assert lab.driver.networks[network.id].members == ()
        assert lab.driver.volumes == {}
        assert len(api.get("/primary_ips")["primary_ips"]) == 2


def test_a_machine_that_went_off_meanwhile_runs_again(lab: Lab) -> None:
    with lab.serve() as api:
        server = builders.server(api)
    lab.driver.running.clear()
    with lab.serve() as api:
        assert api.client.servers.get_by_id(server.id).status == "running"
        assert lab.driver.running == {server.id}


def test_a_machine_that_is_gone_gets_a_new_disk(lab: Lab) -> None:
    with lab.serve() as api:
        server = builders.server(api, user_data="#cloud-config\n")
    lab.driver.machines.clear()
    lab.driver.running.clear()
    with lab.serve() as api:
        assert api.client.servers.get_by_id(server.id).status == "running"
        assert lab.driver.machines[server.id].user_data == "#cloud-config\n"


def test_what_cannot_be_taken_up_stops_nothing_else(lab: Lab) -> None:
    with lab.serve() as api:
        server = builders.server(api)
    lab.driver.running.clear()
    lab.driver.failures["start_machine"] = DriverError("no")
    with lab.serve() as api:
        assert api.client.servers.get_by_id(server.id).status == "off"
        lab.driver.failures.clear()
        wait(api.client.servers.get_by_id(server.id).power_on())


def test_a_file_that_cannot_be_read_is_refused(lab: Lab) -> None:
    lab.path.write_text("{")
    with pytest.raises(ValueError, match="Expecting"):
        Cloud(NullDriver(), TOKEN, state_file=StateFile(lab.path))
    lab.path.write_text('{"version": 0}')
    with pytest.raises(ValueError, match="not a state of version 1"):
        Cloud(NullDriver(), TOKEN, state_file=StateFile(lab.path))


def test_a_kill_while_writing_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = StateFile(tmp_path / "cloud.json")
    store = Store()
    store.actions[7] = Action(7, "start_server", (Ref("server", 1),), "2026-01-01T00:00:00Z")
    file.save(store)

    def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lab.state.storage.to_json", killed)
    with pytest.raises(KeyboardInterrupt):
        file.save(Store())
    monkeypatch.undo()
    assert file.load() == store
