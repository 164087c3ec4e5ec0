"""What runs and what the files say: the next step; the state of a member; who may get a new database."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres import bootstrap, service, state
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import PostgresError, image
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.service import Seen, Service, changed, decide

ANSWER = {
    "loaded": 200.0,
    "paused": False,
    "pending_restart": [],
    "needs_restart": [],
    "errors": [],
    "hba_errors": [],
}
SETTLED = Seen(
    unit_read=True,
    unit_enabled=True,
    unit_active=True,
    container_current=True,
    running=True,
    files_changed=100.0,
    server=ANSWER,
)


def next_kind(seen: Seen) -> str:
    step = decide(seen)
    return step.kind if step else ""


def answer(**more: Any) -> Seen:
    return replace(SETTLED, server=ANSWER | more)


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        (SETTLED, ""),
        (replace(SETTLED, unit_read=False, unit_active=False), "read-unit"),
        (replace(SETTLED, unit_enabled=False), "enable"),
        (replace(SETTLED, unit_active=False, running=False, server=None), "start"),
        (replace(SETTLED, running=False, server=None), "start"),
        (replace(SETTLED, container_current=False), "restart"),
        (replace(SETTLED, server=None), "wait"),
        (replace(SETTLED, files_changed=300.0), "reload"),
        # The same moment: nobody knows which came first.
        (replace(SETTLED, files_changed=200.0), "reload"),
        (answer(pending_restart=["shared_buffers"]), "restart"),
        # A reload comes first: only then does the server know what waits for a restart.
        (replace(answer(pending_restart=["shared_buffers"]), files_changed=300.0), "reload"),
    ],
)
def test_the_next_step(seen: Seen, kind: str) -> None:
    assert next_kind(seen) == kind


def test_a_step_says_why() -> None:
    restart = decide(answer(pending_restart=["max_connections", "shared_buffers"]))
    assert restart
    assert restart.why == "only a restart changes max_connections, shared_buffers"
    reload = decide(replace(answer(needs_restart=["max_connections"]), files_changed=300.0))
    assert reload
    assert "then a restart for max_connections" in reload.why


def test_files_that_the_server_refuses_are_an_error_and_nothing_is_reloaded() -> None:
    with pytest.raises(PostgresError, match=r"work_mem: invalid value; pg_hba\.conf, line 3: invalid"):
        decide(replace(answer(errors=["work_mem: invalid value"], hba_errors=["3: invalid"]), files_changed=300.0))


def settle(monkeypatch: pytest.MonkeyPatch, seen: Sequence[Seen], check: int = 0, check_mode: bool = False) -> Any:
    """Let a service settle that is seen in one way after the other; returns its result and the programs it ran."""
    views, ran = iter(seen), []

    def run(words: Sequence[str], feed: str = "") -> tuple[int, str, str]:
        ran.append(" ".join(words))
        if words[0] == service.START:
            return check, "db-replica is primary\n", ""
        return 0, "999" if "pg_conf_load_time" in feed else "1", ""

    monkeypatch.setattr(service, "look", lambda run, timers: next(views))
    return Service(run, 1, pause=lambda seconds: None).settle(check_mode), ran


def test_a_replay_that_a_killed_drill_left_paused_goes_on() -> None:
    step = decide(answer(paused=True))
    assert step
    assert step.kind == "resume"


def test_a_first_start_takes_all_steps_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    down = replace(SETTLED, unit_active=False, running=False, server=None)
    views = [replace(down, unit_read=False, unit_enabled=False), replace(down, unit_enabled=False), down, SETTLED]
    (steps, held), ran = settle(monkeypatch, views)
    assert [step.kind for step in steps] == ["read-unit", "enable", "start"]
    assert held == ""
    assert "systemctl restart bulwark-postgres.service" in ran


def test_one_that_must_stay_down_stays_down(monkeypatch: pytest.MonkeyPatch) -> None:
    down = replace(SETTLED, unit_active=False, running=False, server=None)
    (steps, held), ran = settle(monkeypatch, [down], check=service.HELD)
    assert (steps, held) == ([], "db-replica is primary")
    assert not [words for words in ran if "systemctl" in words]


def test_check_mode_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    (steps, _), ran = settle(monkeypatch, [replace(SETTLED, files_changed=300.0)], check_mode=True)
    assert [step.kind for step in steps] == ["reload"]
    assert ran == []


def test_one_that_never_settles_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PostgresError, match="does not settle"):
        settle(monkeypatch, [replace(SETTLED, unit_enabled=False)] * service.MOST_STEPS)


def test_a_file_that_was_moved_into_place_counts_as_new(tmp_path: Path) -> None:
    old = tmp_path / "file"
    old.write_text("x")
    os.utime(old, (1, 1))
    assert changed([str(old), str(tmp_path / "missing")]) > 1


@pytest.mark.parametrize(
    ("names", "databases", "expected"),
    [
        ([], [], ("none", "")),
        (["data", "lost+found", "fenced", "start-without-peer", "17"], [], ("none", "")),
        (["17", "data"], ["17"], ("present", "")),
        (["16"], ["16"], ("foreign", "a database of PostgreSQL 16")),
        (["16", "17"], ["16", "17"], ("present", "")),
        (["pgdata"], [], ("foreign", "pgdata")),
    ],
)
def test_what_lies_on_the_volume(names: list[str], databases: list[str], expected: tuple[str, str]) -> None:
    assert state.judge(state.disk(names, databases), 17) == expected


def test_a_half_made_database_is_none_and_a_strange_one_is_seen(tmp_path: Path) -> None:
    (tmp_path / "17/partial").mkdir(parents=True)
    (tmp_path / "17/partial/PG_VERSION").write_text("17\n")
    assert state.judge(state.read_disk(str(tmp_path)), 17)[0] == "none"
    (tmp_path / "data/pgdata").mkdir(parents=True)
    (tmp_path / "data/pgdata/PG_VERSION").write_text("16\n")
    assert state.judge(state.read_disk(str(tmp_path)), 17) == ("foreign", "data/pgdata")


def test_the_control_files_newest_timeline_counts() -> None:
    text = (
        "Database system identifier:           7301\nLatest checkpoint's TimeLineID:       3\n"
        "Latest checkpoint's PrevTimeLineID:   9\nMin recovery ending loc's timeline:   4\n"
    )
    assert state.control_data(text) == state.Control("7301", 4, None, "")
    assert state.control_data("pg_controldata: error") == state.Control(None, None, None, "")


@pytest.mark.parametrize(
    ("others", "says"),
    [
        ([{"item": {"name": "db-replica"}, "unreachable": True}], "db-replica could not be asked"),
        ([{"item": {"name": "db-replica"}, "failed": True}], "db-replica could not be asked"),
        ([{"item": {"name": "db-replica"}, "state": {"data": "present"}}], "db-replica holds one"),
        ([{"item": {"name": "db-replica"}, "state": {"data": "foreign"}}], "db-replica holds one"),
    ],
)
def test_a_second_database_is_never_made(others: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(PostgresError, match=says):
        bootstrap.may_create("db-primary", others)


def test_a_first_one_is_made_when_all_others_are_empty() -> None:
    bootstrap.may_create("db-primary", [{"item": {"name": "db-replica"}, "state": {"data": "none"}}])
    bootstrap.may_create("db-primary", [])


def test_complete_data_takes_the_place_of_an_empty_folder_and_of_no_other(tmp_path: Path) -> None:
    (tmp_path / "partial").mkdir()
    (tmp_path / "data").mkdir()
    bootstrap.settle(str(tmp_path / "partial"), str(tmp_path / "data"))
    assert not (tmp_path / "partial").exists()
    (tmp_path / "partial").mkdir()
    (tmp_path / "data/PG_VERSION").write_text("17\n")
    with pytest.raises(OSError, match="not empty"):
        bootstrap.settle(str(tmp_path / "partial"), str(tmp_path / "data"))


def test_only_images_up_to_17_need_their_own_volume_covered() -> None:
    assert image(lambda words, feed="": (0, "", ""), "postgres:17.1", 17).tmpfs == ("/var/lib/postgresql/data",)
    assert image(lambda words, feed="": (0, "", ""), "postgres:18.1", 18).tmpfs == ()
