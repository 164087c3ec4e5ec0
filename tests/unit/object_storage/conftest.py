"""Object storage at the network's edge, and a client for it that does not really wait."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.object_storage.client import Client, create_client

from tests.unit.object_storage.edge import Edge, serving

KEYS = {"access_key": "a-key-of-the-tests", "secret_key": "secret-of-the-tests"}


@pytest.fixture
def edge() -> Iterator[Edge]:
    with serving() as edge:
        yield edge


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(Client, "sleep", staticmethod(slept.append))
    return slept


@pytest.fixture
def options(edge: Edge) -> dict[str, Any]:
    return {"endpoint": edge.url, "region": "fsn1", **KEYS, "ca_path": None, "timeout": 5}


@pytest.fixture
def client(options: dict[str, Any], pauses: list[float]) -> Client:
    return create_client(options)
