"""An API on loopback, and Ansible looking at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.inventory.builders import FakeApi, default_servers, network_json, serve, volume_json
from tests.unit.inventory.runner import Runner


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with serve(FakeApi(servers=default_servers(), networks=[network_json()], volumes=[volume_json(70)])) as running:
        yield running


@pytest.fixture
def runner(api: FakeApi, tmp_path: Path) -> Runner:
    runner = Runner(api, tmp_path)
    runner.configure()
    return runner
