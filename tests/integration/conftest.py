"""The embedded cloud for the module: served over HTTP, with a driver that makes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure import actual
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure import apply as apply_module

from lab.drivers.null import NullDriver
from tests.lab.cloud_api import CloudApi, Host, cloud_api


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.close()


@pytest.fixture
def api(host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudApi]:
    monkeypatch.setattr(apply_module, "POLL_INTERVAL", 0.01)
    monkeypatch.setattr(actual, "POLL_INTERVAL", 0.01)
    with cloud_api(host, NullDriver()) as api:
        yield api
