"""Maintenance against the embedded API. Nobody can be reached here, as if all were dead."""

from __future__ import annotations

import json

import pytest

from tests.checkout import ROOT
from tests.integration import balancing
from tests.integration.playbooks import lab_topology, playbook
from tests.integration.test_servers_playbooks import DEAD, text
from tests.lab.cloud_api import CloudApi


@pytest.fixture
def balanced(api: CloudApi) -> CloudApi:
    """The lab's servers behind its load balancer, which finds nobody healthy yet."""
    done = playbook(api, "provision.yml")
    assert done.returncode == 0, text(done)
    network = {"name": "production-network", "address": balancing.ADDRESS}
    balancing.run(api, balancing.options(network=network))
    return api


def play(api: CloudApi, *words: str, maintenance: str = "on") -> str:
    inventory = ("-i", str(ROOT / "inventories/lab/servers.yml"))
    parts = {"monitoring_stack_parts": ["alertmanager"]}
    variables = json.dumps(lab_topology() | parts | DEAD)
    return text(
        playbook(api, "maintenance.yml", *inventory, "-e", variables, "-e", f"maintenance={maintenance}", *words)
    )


def test_a_server_rests_only_while_another_one_takes_traffic(balanced: CloudApi) -> None:
    refusal = "finds no other server than app-01 healthy"
    balancing.all_healthy(balanced, "10.0.0.3")
    told = play(balanced, "-e", "server=app-01")
    assert refusal in told
    assert "What users get" not in told
    balancing.all_healthy(balanced, "10.0.0.3", "10.0.0.4")
    told = play(balanced, "-e", "server=app-01")
    assert refusal not in told
    assert "PLAY [What users get]" in told


def test_the_page_does_not_wait_for_the_monitoring(balanced: CloudApi) -> None:
    told = play(balanced)
    assert "monitor-01]: UNREACHABLE" in told
    assert "PLAY [What users get]" in told


def test_alerts_are_kept_back_until_users_are_served(balanced: CloudApi) -> None:
    told = play(balanced, maintenance="off")
    assert "app-01]: UNREACHABLE" in told
    assert "monitor-01" not in told
