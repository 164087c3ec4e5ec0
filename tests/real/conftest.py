"""Tests on the running lab. They share it, so they run one after the other, in the order of the files' names."""

from __future__ import annotations

import pytest

from tests.launcher import succeed


@pytest.fixture(scope="session")
def first_up() -> str:
    """What `./bulwark up` printed; the lab is up afterwards."""
    return succeed("up")


@pytest.fixture(autouse=True)
def _lab(first_up: str) -> None:
    """Every test here finds the lab up."""
