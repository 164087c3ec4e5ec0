"""The embedded Cloudflare, and the modules for it in this process; with the embedded Hetzner beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils import hcloud_client
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare import client as cloudflare_client
from ansible_collections.bulwark.hetzner.plugins.modules import (
    cloudflare_origin_certificate,
)

from tests.integration.cloudflare.zone import (
    Served,
)
from tests.lab.cloud_api import TOKEN as HCLOUD_TOKEN
from tests.lab.cloud_api import CloudApi
from tests.lab.cloudflare_api import ZONE
from tests.modules import Run, runner


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("cloudflare"))
    yield served
    served.close()


@pytest.fixture
def edge(server: Served) -> Served:
    server.reset()
    return server


@pytest.fixture
def run(edge: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(cloudflare_client.Client, "sleep", staticmethod(lambda _seconds: None))
    options = {"api_token": edge.token, "api_endpoint": edge.url, "zone": ZONE}
    return runner(capsys, options, [edge.token])


@pytest.fixture
def certificate(api: CloudApi, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The module for certificates, with Hetzner too."""
    monkeypatch.setattr(hcloud_client.Client, "sleep", staticmethod(lambda _seconds: None))

    def with_hetzner(check: bool = False, **options: Any) -> dict[str, Any]:
        hetzner = {"hcloud_api_token": HCLOUD_TOKEN, "hcloud_api_endpoint": api.url}
        common = {"environment_name": "lab", "lock_timeout": 0, **hetzner}
        result = run(cloudflare_origin_certificate, check, **{**common, **options})
        assert "PRIVATE KEY" not in str(result)
        return result

    return with_hetzner
