"""Files: read, plan, apply."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.config_files import (
    Change,
    Entry,
    RefusedError,
    apply,
    diff,
    parse,
    plan,
    read,
)

UID, GID = os.getuid(), os.getgid()


def file(path: Path, content: str = "new\n", mode: int = 0o644, **more: object) -> Entry:
    return Entry(str(path), content, mode, UID, GID, **more)  # type: ignore[arg-type]  # because of the shorthand


def accept(words: Sequence[str]) -> tuple[int, str]:
    return 0, ""


def planned(entries: Sequence[Entry], absent: Sequence[str] = ()) -> list[Change]:
    paths = [entry.path for entry in entries] + list(absent)
    return plan(entries, absent, {path: read(path) for path in paths})


def test_makes_folders_and_files_and_then_finds_nothing_to_do(tmp_path: Path) -> None:
    entries = [file(tmp_path / "a/b/file", mode=0o600), Entry(str(tmp_path / "a/b"), None, 0o750, UID, GID)]
    apply(planned(entries), accept)
    assert (tmp_path / "a/b/file").read_text() == "new\n"
    assert stat.S_IMODE((tmp_path / "a/b/file").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == 0o750
    assert planned(entries) == []


def test_mode_alone_is_mended_without_writing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("new\n")
    path.chmod(0o666)
    inode = path.stat().st_ino
    apply(planned([file(path)]), accept)
    assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_ino) == (0o644, inode)


def test_one_refusal_leaves_every_file_as_it_was(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("old\n")

    def refuse_second(words: Sequence[str]) -> tuple[int, str]:
        return (1, f"{words[-1]}: line 1: nonsense") if words[0] == "checker" else (0, "")

    entries = [file(first), file(second, validate=("checker", "%s"))]
    with pytest.raises(RefusedError, match=r"second was refused by checker, so nothing was changed: .*/second: line 1"):
        apply(planned(entries), refuse_second)
    assert first.read_text() == "old\n"
    assert sorted(os.listdir(tmp_path)) == ["first"]


def test_validation_sees_the_new_content_with_its_mode(tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []

    def look(words: Sequence[str]) -> tuple[int, str]:
        path = Path(words[1])
        seen.append((path.read_text(), stat.S_IMODE(path.stat().st_mode)))
        return 0, ""

    apply(planned([file(tmp_path / "file", mode=0o440, validate=("checker", "%s"))]), look)
    assert seen == [("new\n", 0o440)]


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("somebody else's\n")
    link.symlink_to(target)
    apply(planned([file(link)]), accept)
    assert (link.is_symlink(), link.read_text(), target.read_text()) == (False, "new\n", "somebody else's\n")


def test_absent_files_go_and_absent_ones_stay_away(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_text("old\n")
    apply(planned([], [str(path), str(tmp_path / "never")]), accept)
    assert not path.exists()
    assert planned([], [str(path)]) == []


def test_refuses_what_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    for entries, absent, message in [
        ([file(tmp_path / "folder")], [], "is a folder and should be a file"),
        ([Entry(str(tmp_path / "file"), None, 0o755, UID, GID)], [], "is a file and should be a folder"),
        ([], [str(tmp_path / "folder")], "only files are removed"),
        ([file(tmp_path / "x"), file(tmp_path / "x")], [], "more than once"),
    ]:
        with pytest.raises(RefusedError, match=message):
            planned(entries, absent)


@pytest.mark.parametrize(
    ("path", "mode", "message"),
    [("etc/x", "0644", "not an absolute path"), ("/etc/../x", "0644", "not an absolute path"), ("/x", "rw", "octal")],
)
def test_refuses_paths_and_modes_that_are_none(path: str, mode: str, message: str) -> None:
    declared = {"path": path, "content": "", "mode": mode, "owner": "root", "group": "root"}
    with pytest.raises(RefusedError, match=message):
        parse([declared], [], lambda owner, group: (0, 0))


def test_the_difference_shows_contents_but_no_secret(tmp_path: Path) -> None:
    open_file, secret_file = tmp_path / "open", tmp_path / "secret"
    open_file.write_text("old\n")
    secret_file.write_text("hunter1")
    shown = diff(planned([file(open_file), file(secret_file, "hunter2", secret=True)]))
    assert "old" in shown[0]["before"]
    assert "new" in shown[0]["after"]
    assert "hunter" not in str(shown)
    assert shown[1]["before"] != shown[1]["after"]
