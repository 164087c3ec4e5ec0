"""Layers of an image: a file system, or what changed in one, as a tar archive.

Source of the format: the image specification of the Open Container Initiative, "Image Layer Filesystem Changeset".
"""

from __future__ import annotations

import os
import tarfile
import time
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

#: Folders whose contents are the engine's or the kernel's, never an image's.
_NOT_OURS = ("dev", "proc", "sys", "tmp")

#: Before the name of a file that a layer takes away.
_WHITEOUT = ".wh."

#: Longer than the clock's step by which the kernel dates changes.
_CLOCK_STEP_SECONDS = 0.05


def paths(root: Path) -> set[str]:
    """Every path of a file system, relative to its root."""
    found: set[str] = set()
    for folder, folders, files in os.walk(root):
        below = os.path.relpath(folder, root)
        prefix = "" if below == "." else f"{below}/"
        found.update(prefix + name for name in (*folders, *files))
        if not prefix:
            folders[:] = [name for name in folders if name not in _NOT_OURS]
    return found


def now(root: Path) -> int:
    """This moment, as the file system dates changes (nanoseconds). Every change before it counts as older."""
    time.sleep(_CLOCK_STEP_SECONDS)
    probe = root / "tmp/now"
    probe.touch()
    moment = probe.stat().st_ctime_ns
    probe.unlink()
    return moment


def changed_since(root: Path, moment: int) -> set[str]:
    """The paths that were made or changed from this moment on.

    A file's change time moves with its contents, owner, mode and links alike, and no program can set it back.
    """
    return {path for path in paths(root) if (root / path).lstat().st_ctime_ns >= moment}


def gone(root: Path, before: Collection[str]) -> list[str]:
    """The paths that are no longer there, without those whose folder is no folder any more."""

    def is_folder(path: PurePosixPath) -> bool:
        return (root / path).is_dir() and not (root / path).is_symlink()

    missing = set(before) - paths(root)
    return sorted(path for path in missing if is_folder(PurePosixPath(path).parent))


def write(root: Path, target: BinaryIO, changed: Iterable[str], removed: Iterable[str] = ()) -> None:
    """Write a layer: what was changed, and marks for what was removed.

    Owners are numbers and times whole seconds. Extended attributes, file capabilities among them, are left out.
    """
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in removed:
            where = PurePosixPath(path)
            tar.addfile(tarfile.TarInfo(str(where.parent / f"{_WHITEOUT}{where.name}")))
        for path in sorted(changed):
            info = tar.gettarinfo(str(root / path), path)
            # None for a socket, which only means something while its program runs.
            if info is None:
                continue
            info.uname = info.gname = ""
            info.mtime = int(info.mtime)
            if info.isreg():
                with (root / path).open("rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)
