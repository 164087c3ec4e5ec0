"""The program of the backups' timers: what it calls wrong, and what it leaves as metrics."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.checkout import load

NOW = 1_000_000.0


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return load("roles/postgres/files/backup.py")


def server(**more: Any) -> dict[str, Any]:
    return {"replica": False, "waiting": 0, "oldest": 0, "failures": 0} | more


def test_all_is_well(program: ModuleType) -> None:
    assert program.judge(server(), NOW - 3600, NOW) == []


@pytest.mark.parametrize(
    ("found", "newest", "said"),
    [
        (server(waiting=3, oldest=301.0), NOW, "archiving has stalled: 3 segments"),
        (server(), None, "cannot be asked"),
        (server(), 0.0, "there is no backup"),
        (server(), NOW - 40 * 3600, "40 hours old"),
    ],
)
def test_what_somebody_should_look_at(
    program: ModuleType, found: dict[str, Any], newest: float | None, said: str
) -> None:
    assert said in " ".join(program.judge(found, newest, NOW))


def test_metrics_of_a_primary_and_of_a_replica(program: ModuleType) -> None:
    text = program.metrics(server(waiting=2), NOW)
    assert "bulwark_postgres_archive_waiting_segments 2\n" in text
    assert "bulwark_postgres_backup_timestamp_seconds 1000000.0\n" in text
    assert program.metrics(server(replica=True), None).splitlines()[-1] == "bulwark_postgres_primary 0"


def test_an_unknown_age_is_no_age(program: ModuleType) -> None:
    assert "backup_timestamp" not in program.metrics(server(), None)
