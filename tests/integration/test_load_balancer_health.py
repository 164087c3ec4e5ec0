"""How the load balancer finds its servers, asked by the module against the embedded API."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer import health
from ansible_collections.bulwark.hetzner.plugins.modules import hcloud_target_health

from tests.integration import balancing
from tests.integration.balancing import NAME, options, run
from tests.lab.cloud_api import TOKEN, CloudApi
from tests.modules import Run, runner

OUT, IN = "10.0.0.2", "10.0.0.3"


@pytest.fixture
def ask(api: CloudApi, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The module, of a load balancer before app-01 and app-02."""
    monkeypatch.setattr(health, "POLL_INTERVAL", 0.01)
    monkeypatch.setattr(health, "limit", lambda client, balancer: 0.0)
    balancing.prepare(api)
    run(api, options())
    module = runner(capsys, {"api_token": TOKEN, "api_endpoint": api.url, "load_balancer": NAME}, [TOKEN])

    def ask(**given: Any) -> dict[str, Any]:
        return module(hcloud_target_health, **given)

    return ask


def test_the_health_of_each_server_by_its_name(api: CloudApi, ask: Run) -> None:
    assert ask()["health"] == {"app-01": "unknown", "app-02": "unknown"}
    balancing.all_healthy(api, OUT, IN)
    found = ask()
    assert (found["changed"], found["health"]) == (False, {"app-01": "healthy", "app-02": "healthy"})


def test_what_is_waited_for(api: CloudApi, ask: Run) -> None:
    balancing.all_healthy(api, IN)
    assert ask(server="app-02", state="healthy", seconds=1)["health"]["app-02"] == "healthy"
    told = ask(server="app-01", state="healthy", seconds=0)
    assert told["failed"]
    assert told["msg"] == f"The load balancer {NAME} does not find app-01 healthy in time: it is unknown."
    assert ask(server="app-01", state="healthy", seconds=60, check=True)["changed"] is False


def test_a_server_that_is_no_target(ask: Run) -> None:
    assert ask(server="app-03", state="unhealthy", seconds=0)["changed"] is False
    assert "it is no target of it" in ask(server="app-03", state="healthy", seconds=0)["msg"]


def test_no_such_load_balancer(ask: Run) -> None:
    told = ask(load_balancer="other")["msg"]
    assert told.startswith("There is no load balancer other")
    assert told.endswith(": make it with playbooks/edge.yml.")


def test_the_time_in_which_checks_make_up_their_mind(api: CloudApi) -> None:
    balancing.prepare(api)
    run(api, options())
    assert health.limit(balancing.create_client(TOKEN, api.url), NAME) == 15 * 3 + 5
