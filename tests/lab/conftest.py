"""The cloud under test: with the driver chosen by BULWARK_TEST_DRIVER, or always with the one that makes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.drivers.null import NullDriver
from tests.lab.cloud_api import CHOSEN_DRIVER, CloudApi, Host, make_driver
from tests.lab.cloud_api import cloud_api as serve
from tests.lab.cloudflare_api import CloudflareApi, cloudflare_api
from tests.lab.object_storage import Bucket, Served, serving


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """With another driver than the one that makes nothing, only what holds with every driver is of interest."""
    if CHOSEN_DRIVER == "null":
        return
    # Not the tests of the distribution's command: it does not wait for a server to be gone, which takes its time here.
    fitting = [item for item in items if "cloud_api" in item.fixturenames and "hcloud" not in item.fixturenames]
    config.hook.pytest_deselected(items=[item for item in items if item not in fitting])
    items[:] = fitting


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "costs: on the real cloud, makes what costs money")


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.close()


@pytest.fixture
def cloud_api(host: Host) -> Iterator[CloudApi]:
    """For behaviour that holds with every driver."""
    with make_driver() as driver, serve(host, driver) as api:
        yield api


@pytest.fixture(scope="session")
def storage_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("object-storage")) as served:
        yield served


@pytest.fixture
def storage(storage_server: Served) -> Iterator[Served]:
    yield storage_server
    storage_server.availability.mode = "ok"


@pytest.fixture
def bucket(storage: Served) -> Bucket:
    """An empty one."""
    return storage.make_bucket()


@pytest.fixture(scope="session")
def cloudflare_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudflareApi]:
    with cloudflare_api(tmp_path_factory.mktemp("cloudflare")) as served:
        yield served


@pytest.fixture
def cloudflare(cloudflare_server: CloudflareApi) -> CloudflareApi:
    """An account with the lab's zone in it, as it is at first."""
    cloudflare_server.reset()
    return cloudflare_server


@pytest.fixture
def null_api(host: Host) -> Iterator[CloudApi]:
    """For tests that look at what a driver is told, or make it fail."""
    with serve(host, NullDriver()) as api:
        yield api
