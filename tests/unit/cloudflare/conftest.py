"""Cloudflare's API at the network's edge, and a client for it that does not really wait."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare.client import Client, create_client

from tests.unit.object_storage.edge import Answer, Edge, serving

TOKEN = "token-of-the-tests-with-forty-characters"


def envelope(result: object, total: int | None = None) -> Answer:
    """An answer as Cloudflare gives it."""
    info = {} if total is None else {"result_info": {"total_count": total}}
    return Answer(body=json.dumps({"success": True, "errors": [], "messages": [], "result": result, **info}).encode())


def refusal(status: int, code: int, message: str = "said so", **headers: str) -> Answer:
    errors = [{"code": code, "message": message}]
    return Answer(status, json.dumps({"success": False, "errors": errors, "result": None}).encode(), headers)


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
def client(edge: Edge, pauses: list[float]) -> Client:
    return create_client({"api_token": TOKEN, "api_endpoint": edge.url, "zone": "example.com"})
