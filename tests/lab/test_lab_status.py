"""What ``./bulwark status`` shows of load balancers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from lab import cli
from lab.drivers.base import Health
from tests.lab import builders
from tests.lab.cloud_api import CloudApi


@pytest.fixture
def status(null_api: CloudApi, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(cli.lifecycle, "api", null_api.get)
    return lambda *options: CliRunner().invoke(cli.app, ["status", *options], catch_exceptions=False).stdout


def test_load_balancers_and_their_targets(null_api: CloudApi, status: Any) -> None:
    network = builders.network(null_api)
    server = builders.server(null_api, networks=[network], labels={"role": "app"})
    targets = [builders.of_labels(), builders.of_ip("10.0.0.77")]
    balancer = builders.load_balancer(
        null_api, network=network, services=[builders.TCP], targets=targets, labels={"env": "lab"}
    )
    null_api.driver.health[server.private_net[0].ip, 80] = Health.HEALTHY
    assert json.loads(status("--json"))["load_balancers"] == [
        {
            "name": "lb",
            "private_ip": balancer.private_net[0].ip,
            "public_ip": balancer.public_net.ipv4.ip,
            "type": "lb11",
            "labels": {"env": "lab"},
            "targets": [
                {"name": "10.0.0.77", "health": {"80": "unknown"}},
                {"name": "app-01", "health": {"80": "healthy"}},
            ],
        }
    ]
    line = status().splitlines()[-1]
    assert line.split(None, 4) == ["lb", "lb11", "10.0.0.3", "198.51.100.101", "10.0.0.77 unknown; app-01 healthy"]


def test_one_that_is_bare(null_api: CloudApi, status: Any) -> None:
    builders.load_balancer(null_api)
    assert status().split(None, 4) == ["lb", "lb11", "-", "198.51.100.100", "no targets\n"]


def test_the_worst_of_all_services() -> None:
    assert cli._worst({}) == "no services"
    assert cli._worst({"80": "healthy", "443": "healthy"}) == "healthy"
    assert cli._worst({"80": "healthy", "443": "unknown"}) == "unknown"
    assert cli._worst({"80": "unhealthy", "443": "unknown"}) == "unhealthy"
