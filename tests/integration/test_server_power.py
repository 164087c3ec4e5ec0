"""Switching a server on and off, against the embedded API."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils import server_power
from ansible_collections.bulwark.hetzner.plugins.module_utils.hcloud_client import ClientError, create_client

from tests.checkout import ROOT
from tests.integration.environment import declared, run
from tests.lab.cloud_api import TOKEN, CloudApi


@pytest.fixture(autouse=True)
def servers(api: CloudApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_power, "POLL_INTERVAL", 0.01)
    run(api, declared())


def module(api: CloudApi, *, check: bool = False, **options: Any) -> dict[str, Any]:
    """The module as Ansible runs it."""
    arguments = {"api_token": TOKEN, "api_endpoint": api.url, "_ansible_check_mode": check, "_ansible_diff": True}
    program = (
        "import sys, json; from ansible.module_utils import basic\n"
        "basic._ANSIBLE_ARGS = sys.stdin.buffer.read(); basic._ANSIBLE_PROFILE = 'legacy'\n"
        "from ansible_collections.bulwark.hetzner.plugins.modules.hcloud_server_power import main; main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments | options}),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}/.collections:{ROOT}"},
    )
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def status(api: CloudApi, name: str = "db-primary") -> str:
    return str(api.get("/servers", name=name)["servers"][0]["status"])


def test_off_and_on_and_a_second_time(api: CloudApi) -> None:
    told = module(api, name="db-primary", state="off", check=True)
    assert (told["changed"], told["diff"]["before"], told["diff"]["after"]) == (True, "running\n", "off\n")
    assert status(api) == "running"
    assert module(api, name="db-primary", state="off")["server"]["status"] == "off"
    assert status(api) == "off"
    assert module(api, name="db-primary", state="off")["changed"] is False
    assert module(api, name="db-primary", state="on")["changed"] is True
    assert status(api) == "running"
    assert status(api, "db-replica") == "running"


def test_what_is_refused(api: CloudApi) -> None:
    assert "There is no server nobody" in module(api, name="nobody", state="off")["msg"]
    api.post("/servers", name="foreign", server_type="cax11", image="debian-13", location="fsn1")
    assert "lacks the label managed-by=bulwark" in module(api, name="foreign", state="off")["msg"]
    assert status(api, "foreign") == "running"


def test_an_action_that_fails_is_no_success(api: CloudApi) -> None:
    api.order_fault("error", command="stop_server", code="action_failed")
    assert "poweroff of db-primary failed" in module(api, name="db-primary", state="off")["msg"]


def test_a_lost_answer_is_made_good_by_what_is_seen(api: CloudApi) -> None:
    api.order_fault("lose_answer", method="POST", path="/servers/*/actions/poweroff", times=1)
    assert module(api, name="db-primary", state="off")["server"]["status"] == "off"


def test_a_server_that_stays_on_is_an_error(api: CloudApi, monkeypatch: pytest.MonkeyPatch) -> None:
    client = create_client(TOKEN, api.url)
    server = server_power.find(client, "db-primary")
    monkeypatch.setattr(client, "request", lambda method, url, **_: _stuck(method, url, server))
    with pytest.raises(ClientError, match="db-primary is running and not off after 0 s"):
        server_power.switch(client, server, "off", 0.05)


def _stuck(method: str, url: str, server: dict[str, Any]) -> dict[str, Any]:
    if method == "POST" or "/actions/" in url:
        return {"action": {"id": 1, "status": "success"}}
    return {"server": server}
