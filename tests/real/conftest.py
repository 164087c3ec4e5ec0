"""Tests on the running lab. They share it, so they run one after the other, in the order of the files' names."""

from __future__ import annotations

import os

import pytest

from tests.launcher import succeed


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them before pytest-xdist looks, which does so in a hook of the same name."""
    for item in items:
        if "tests/real/" in item.nodeid:
            item.add_marker(pytest.mark.xdist_group("lab"))


@pytest.fixture(scope="session")
def first_up() -> str:
    """What `./bulwark up` printed; the lab is up afterwards."""
    return succeed("up")


@pytest.fixture(autouse=True)
def _lab(first_up: str, request: pytest.FixtureRequest) -> None:
    """Every test here finds the lab up, and has it to itself."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@lab"), "two workers would share the lab"
