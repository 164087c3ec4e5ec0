"""A restore that is cut off anywhere: what the next one finds, and what it does with that."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres import container, local, recovery, state
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import Image, PostgresError
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.recovery import Scratch, Target

MARK = {"target": {"kind": "name", "value": "before", "backup": "", "timeline": "latest"}, "timeline": 5}
TARGET = Target("name", "before")


def nothing(words: Sequence[str], feed: str = "") -> tuple[int, str, str]:
    raise AssertionError(f"nothing should run, and {' '.join(words)} did")


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Scratch:
    for module in (recovery, state, container):
        monkeypatch.setattr(module, "DATA", str(tmp_path))
    monkeypatch.setattr(recovery, "APPROVAL", str(tmp_path / "approved"))
    monkeypatch.setattr(os, "chown", lambda *words: None)
    return Scratch(Image(nothing, "postgres:17"), 17)


def database(scratch: Scratch, name: str, content: str) -> Path:
    folder = Path(scratch.folder).parent / name
    (folder / "pg_wal/archive_status").mkdir(parents=True)
    (folder / "what").write_text(content)
    return folder


def test_what_was_recovered_takes_the_place_of_what_was_there(scratch: Scratch) -> None:
    database(scratch, "restored", "new")
    data = database(scratch, "data", "old")
    scratch.put_in_place(MARK)
    assert (data / "what").read_text() == "new"
    assert (data.parent / "replaced/what").read_text() == "old"
    assert (data / "pg_wal/archive_status/00000005.history.ready").exists()


def test_cut_off_between_the_two_moves_it_goes_on(scratch: Scratch) -> None:
    database(scratch, "restored", "new")
    database(scratch, "replaced", "old")
    scratch.put_in_place(MARK)
    assert (Path(scratch.folder).parent / "data/what").read_text() == "new"
    assert (Path(scratch.folder).parent / "replaced/what").read_text() == "old"


def test_once_in_place_nothing_is_recovered_or_moved_again(scratch: Scratch) -> None:
    database(scratch, "restored", "new")
    data = database(scratch, "data", "old")
    scratch.put_in_place(MARK)
    (data / "what").write_text("written since")
    assert scratch.recover(TARGET)["phase"] == "placed"
    scratch.put_in_place(MARK)
    assert (data / "what").read_text() == "written since"
    assert (data.parent / "replaced/what").read_text() == "old"


def test_another_target_waits_for_the_end(scratch: Scratch) -> None:
    database(scratch, "restored", "new")
    scratch.put_in_place(MARK)
    with pytest.raises(PostgresError, match="A restore to name before has not ended"):
        scratch.recover(Target())
    assert scratch.finish()
    assert not scratch.finish()


def test_what_was_recovered_and_never_put_in_place_is_not_used(scratch: Scratch) -> None:
    """Nobody knows what has happened since."""
    database(scratch, "restored", "old news")
    scratch._remember(MARK, "recovered")
    with pytest.raises(AssertionError, match="nothing should run"):
        scratch.recover(TARGET)


def test_two_runs_do_not_work_on_one_member(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(local, "LOCK", str(tmp_path / "lock"))
    with local.alone(), pytest.raises(PostgresError, match="still at work"), local.alone():
        pass
    with local.alone():
        pass
