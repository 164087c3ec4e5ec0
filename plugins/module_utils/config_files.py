# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A set of configuration files: read what is there, plan, and put all of it in place or nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

#: Runs a program by list and returns its exit code and what it printed.
Runner = Callable[[Sequence[str]], tuple[int, str]]


class RefusedError(Exception):
    """A file cannot be as declared; the message says which and why. Nothing has been changed."""


@dataclass(frozen=True)
class Entry:
    """A declared file, or a folder when ``content`` is None."""

    path: str
    content: str | None
    mode: int
    uid: int
    gid: int
    secret: bool = False
    validate: tuple[str, ...] = ()  # a program by list in which %s stands for the file to check


@dataclass(frozen=True)
class Found:
    """What is there: ``kind`` is file, folder or other (a link, a device)."""

    kind: str
    content: bytes | None
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True)
class Change:
    """A difference at one path; ``entry`` is None for a path that has to go."""

    path: str
    entry: Entry | None
    found: Found | None

    @property
    def writes(self) -> bool:
        """Whether the content has to be written, rather than only owner or mode set."""
        return (
            self.entry is not None
            and self.entry.content is not None
            and (self.found is None or self.found.kind != "file" or self.found.content != self.entry.content.encode())
        )


def read(path: str) -> Found | None:
    """What is at a path, None for nothing. Links are not followed: a declared file is never written through one."""
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        return None
    content = None
    if stat.S_ISREG(seen.st_mode):
        kind = "file"
        with open(path, "rb") as file:
            content = file.read()
    else:
        kind = "folder" if stat.S_ISDIR(seen.st_mode) else "other"
    return Found(kind, content, stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid)


def plan(entries: Sequence[Entry], absent: Sequence[str], found: dict[str, Found | None]) -> list[Change]:
    """What differs, folders before the files in them. Pure.

    Raises RefusedError for a path declared twice, a folder in the place of a file, or the other way round.
    """
    paths = [entry.path for entry in entries] + list(absent)
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise RefusedError(f"{', '.join(twice)} is declared more than once: declare each path once.")
    changes = [Change(path, None, found[path]) for path in absent if found[path] is not None]
    for change in changes:
        if change.found is not None and change.found.kind == "folder":
            raise RefusedError(f"{change.path} should be absent and is a folder: only files are removed here.")
    for entry in sorted(entries, key=lambda entry: (entry.content is not None, entry.path)):
        seen = found[entry.path]
        if seen is not None and (seen.kind == "folder") != (entry.content is None):
            there, wanted = ("folder", "file") if seen.kind == "folder" else ("file", "folder")
            raise RefusedError(f"{entry.path} is a {there} and should be a {wanted}: move it out of the way.")
        if not _agrees(entry, seen):
            changes.append(Change(entry.path, entry, seen))
    return changes


def _agrees(entry: Entry, seen: Found | None) -> bool:
    if seen is None or seen.kind == "other":
        return False
    same = (seen.mode, seen.uid, seen.gid) == (entry.mode, entry.uid, entry.gid)
    return same and (entry.content is None or seen.content == entry.content.encode())


def apply(changes: Sequence[Change], run: Runner) -> None:
    """Carry out a plan: all new contents are written beside their places and checked before the first is moved there.

    Raises RefusedError when a program refuses its file; then no file has been changed (folders may have been made).
    """
    prepared: list[tuple[str, Change]] = []
    try:
        for change in changes:
            if change.entry is not None and change.entry.content is None:
                _make_folder(change.entry)
        for change in changes:
            if change.writes and change.entry is not None:
                temporary = f"{change.path}.{os.getpid()}.new"
                prepared.append((temporary, change))
                _write(temporary, change.entry)
        for temporary, change in prepared:
            _check(temporary, change, run)
        for temporary, change in prepared:
            os.replace(temporary, change.path)
    finally:
        for temporary, _ in prepared:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
    for change in changes:
        if change.entry is None:
            os.unlink(change.path)
        elif not change.writes and change.entry.content is not None:
            _own(change.path, change.entry)


def _make_folder(entry: Entry) -> None:
    os.makedirs(entry.path, exist_ok=True)
    _own(entry.path, entry)


def _write(path: str, entry: Entry) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write((entry.content or "").encode())
        file.flush()
        os.fsync(file.fileno())
    _own(path, entry)


def _own(path: str, entry: Entry) -> None:
    os.chown(path, entry.uid, entry.gid)
    os.chmod(path, entry.mode)


def _check(temporary: str, change: Change, run: Runner) -> None:
    if change.entry is None or not change.entry.validate:
        return
    words = [temporary if word == "%s" else word for word in change.entry.validate]
    code, said = run(words)
    if code != 0:
        told = said.strip().replace(temporary, change.path)
        raise RefusedError(f"{change.path} was refused by {words[0]}, so nothing was changed: {told}")


def diff(changes: Sequence[Change]) -> list[dict[str, str]]:
    """The plan as Ansible shows differences; of a secret file it only says that it differs."""
    return [
        {
            "before_header": change.path,
            "after_header": change.path,
            "before": _shown(change.found, change.entry),
            "after": _shown(change.entry, change.entry),
        }
        for change in changes
    ]


def _shown(side: Entry | Found | None, entry: Entry | None) -> str:
    if side is None:
        return ""
    head = f"# owner {side.uid}:{side.gid}, mode {side.mode:04o}\n"
    content = side.content
    if content is None:
        return head
    if entry is not None and entry.secret:
        return head + ("(the new secret)\n" if side is entry else "(another secret)\n")
    return head + (content if isinstance(content, str) else content.decode(errors="replace"))


def parse(
    files: Sequence[dict[str, Any]], folders: Sequence[dict[str, Any]], ids: Callable[[str, str], tuple[int, int]]
) -> list[Entry]:
    """Module options as entries; ``ids`` turns the names of an owner and a group into numbers.

    Raises RefusedError for a path that is not absolute, or a mode that is not octal.
    """
    entries = []
    for declared in [*folders, *files]:
        path = declared["path"]
        if not path.startswith("/") or os.path.normpath(path) != path:
            raise RefusedError(f'"{path}" is not an absolute path without "." and "..".')
        try:
            mode = int(declared["mode"], 8)
        except ValueError:
            raise RefusedError(
                f'{path}: the mode is "{declared["mode"]}"; write it in octal, such as "0644".'
            ) from None
        uid, gid = ids(declared["owner"], declared["group"])
        entries.append(
            Entry(
                path,
                declared.get("content"),
                mode,
                uid,
                gid,
                bool(declared.get("secret")),
                tuple(declared.get("validate") or ()),
            )
        )
    return entries
