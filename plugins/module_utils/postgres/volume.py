# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume for data: formatted once and never when it holds anything, mounted, grown with its device."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from .container import Runner

MEBIBYTE = 1024 * 1024
#: What is too small for XFS to grow into, so that a remainder is not tried again in every run.
_SLACK = 32 * MEBIBYTE
#: What mkfs.xfs asks for.
_SMALLEST = 300 * MEBIBYTE
# Of an XFS superblock: mkfs.xfs sets this byte first and clears it last, and such a file system cannot be mounted.
_IN_PROGRESS = 126
_UNITS = "/etc/systemd/system"
_OPTIONS = "noatime,nodev,nosuid"


class VolumeError(Exception):
    """The volume cannot be used; the message says why and what to do. Nothing has been changed."""


@dataclass(frozen=True)
class Wanted:
    """A device, the path it is mounted at, and who owns that."""

    device: str
    path: str
    owner: int
    mode: int
    format: bool = True

    @property
    def unit(self) -> str:
        """Name of the unit that mounts it."""
        return f"bulwark-volume-{self.path.strip('/').replace('/', '-')}.service"


@dataclass(frozen=True)
class Found:
    """What is there. Sizes in bytes; ``content`` is empty, unfinished, xfs, or what else the device holds."""

    device_size: int | None
    content: str
    device_mounts: tuple[str, ...]  # where the device is mounted
    path_source: bool  # whether something else is mounted at the path
    path_entries: tuple[str, ...]
    owner: int | None
    mode: int | None
    filesystem_size: int | None
    unit: str | None  # content of the unit's file
    unit_enabled: bool
    unit_active: bool


@dataclass(frozen=True)
class Step:
    """One thing to do, and how it is told."""

    kind: str
    told: str


def unit(wanted: Wanted) -> str:
    """The unit that mounts it at every boot.

    Not a mount unit: that waits for udev to announce the device under exactly this name, which not every machine does
    for a volume that was attached while it ran. This one waits for the device itself, and the boot goes on without it.
    """
    return f"""# Written by bulwark.hetzner
[Unit]
Description=Volume on {wanted.path}
After=systemd-remount-fs.service

[Service]
Type=oneshot
RemainAfterExit=yes
# As long as a volume may take to be attached. What needs it requires this unit, so it does not start without it.
ExecStartPre=/bin/sh -c 'n=0; until test -b {wanted.device} || test $n -ge 60; do n=$((n+1)); sleep 1; done'
ExecStart=/bin/sh -c 'mountpoint -q {wanted.path} || exec mount -t xfs -o {_OPTIONS} {wanted.device} {wanted.path}'
ExecStop=/bin/sh -c '! mountpoint -q {wanted.path} || exec umount {wanted.path}'

[Install]
WantedBy=multi-user.target
"""


def plan(wanted: Wanted, found: Found) -> list[Step]:
    """What has to be done, in order. Pure. Raises VolumeError for whatever could cost data."""
    if found.device_size is None:
        raise VolumeError(
            f"There is no device {wanted.device} on this server: attach the volume to it, or correct which volume it "
            "should have."
        )
    if found.device_size < _SMALLEST:
        raise VolumeError(f"{wanted.device} has {found.device_size} bytes, too few for XFS: use a larger volume.")
    elsewhere = [path for path in found.device_mounts if path != wanted.path]
    if elsewhere:
        raise VolumeError(
            f"{wanted.device} is mounted on {', '.join(elsewhere)}: unmount it there, and switch automount off."
        )
    mounted = wanted.path in found.device_mounts
    if found.path_source and not mounted:
        raise VolumeError(
            f"Something else than {wanted.device} is mounted on {wanted.path}: unmount it, or use another path."
        )
    if not mounted and found.path_entries:
        raise VolumeError(
            f"{wanted.path} holds {', '.join(found.path_entries[:3])} and is not the volume: what is there would be "
            "hidden. Move it away."
        )
    if found.content not in {"empty", "unfinished", "xfs"}:
        raise VolumeError(
            f"{wanted.device} holds {found.content}; only an empty volume is formatted, and only XFS is mounted. Use "
            f"another volume, or, when nothing on it is needed, empty it with: wipefs --all {wanted.device}"
        )
    blank = found.content != "xfs"
    if blank and not wanted.format:
        return []
    steps = []
    if blank:
        steps.append(Step("format", f"make an XFS file system on {wanted.device}"))
    if found.unit != unit(wanted) or not found.unit_enabled:
        steps.append(Step("unit", f"mount {wanted.device} on {wanted.path} at every boot"))
    if not mounted or not found.unit_active:
        steps.append(Step("mount", f"mount {wanted.device} on {wanted.path}"))
    if not mounted or (found.owner, found.mode) != (wanted.owner, wanted.mode):
        steps.append(Step("own", f"{wanted.path} belongs to {wanted.owner}, mode {wanted.mode:04o}"))
    if found.filesystem_size is not None and found.device_size - found.filesystem_size > _SLACK:
        told = f"grow the file system on {wanted.path} from {found.filesystem_size} to {found.device_size} bytes"
        steps.append(Step("grow", told))
    return steps


def read(wanted: Wanted, run: Runner) -> Found:
    """What is there. Raises VolumeError when the device cannot be read."""
    mounts = _mounts()
    size, content, numbers = None, "empty", None
    if os.path.exists(wanted.device):
        seen = os.stat(wanted.device)
        if not stat.S_ISBLK(seen.st_mode):
            raise VolumeError(f"{wanted.device} is not a block device.")
        numbers = seen.st_rdev
        size, content = _device(wanted.device, run)
    path = os.stat(wanted.path) if os.path.isdir(wanted.path) else None
    here = tuple(where for where, device in mounts if device == numbers)
    mounted = wanted.path in here
    return Found(
        device_size=size,
        content="xfs" if mounted else content,
        device_mounts=here,
        path_source=any(where == wanted.path for where, _ in mounts),
        path_entries=tuple(sorted(os.listdir(wanted.path))) if path else (),
        owner=path.st_uid if path else None,
        mode=stat.S_IMODE(path.st_mode) if path else None,
        filesystem_size=_filesystem(wanted.path, run) if mounted else None,
        unit=_content(f"{_UNITS}/{wanted.unit}"),
        unit_enabled=run(["systemctl", "is-enabled", "--quiet", wanted.unit])[0] == 0,
        unit_active=run(["systemctl", "is-active", "--quiet", wanted.unit])[0] == 0,
    )


def apply(wanted: Wanted, steps: Sequence[Step], run: Runner) -> None:
    """Carry the steps out. Raises VolumeError with what a program said."""
    for step in steps:
        if step.kind == "format":
            _must(run, "mkfs.xfs", "-q", "-f", wanted.device)
        elif step.kind == "unit":
            os.makedirs(wanted.path, mode=0o755, exist_ok=True)
            temporary = f"{_UNITS}/.{wanted.unit}.new"
            with open(temporary, "w", encoding="utf-8") as file:
                file.write(unit(wanted))
            os.replace(temporary, f"{_UNITS}/{wanted.unit}")
            _must(run, "systemctl", "daemon-reload")
            _must(run, "systemctl", "--quiet", "enable", wanted.unit)
        elif step.kind == "mount":
            _must(run, "systemctl", "restart" if wanted.path not in _mounted() else "start", wanted.unit)
            if not os.path.ismount(wanted.path):
                raise VolumeError(f"{wanted.device} was not mounted: see `journalctl -u {wanted.unit}`.")
        elif step.kind == "own":
            os.chown(wanted.path, wanted.owner, wanted.owner)
            os.chmod(wanted.path, wanted.mode)
        elif step.kind == "grow":
            _must(run, "xfs_growfs", "-d", wanted.path)


def probe(data: bytes, signature: str) -> str:
    """What a device holds, from its first MiB and from what `wipefs` and `blkid` find. Pure."""
    if data[:4] == b"XFSB" and data[_IN_PROGRESS : _IN_PROGRESS + 1] not in {b"", b"\0"}:
        return "unfinished"
    if signature:
        return signature
    return "data without a known signature" if any(data) else "empty"


def _device(device: str, run: Runner) -> tuple[int, str]:
    with open(device, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        data = file.read(MEBIBYTE)
    code, out, error = run(["wipefs", "--noheadings", "--output", "TYPE", device])
    if code != 0:
        raise VolumeError(f"wipefs cannot tell what {device} holds, so it stays as it is: {error.strip()}")
    return size, probe(data, " and ".join(dict.fromkeys(out.split())))


def _filesystem(path: str, run: Runner) -> int:
    code, out, error = run(["xfs_info", path])
    found = re.search(r"^data\s+=\s*bsize=(\d+)\s+blocks=(\d+)", out, re.MULTILINE)
    if code != 0 or not found:
        raise VolumeError(
            f"xfs_info does not tell how large the file system on {path} is: {error.strip() or out.strip()}"
        )
    return int(found[1]) * int(found[2])


def _mounts() -> list[tuple[str, int]]:
    mounts = []
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            words = line.split()
            major, _, minor = words[2].partition(":")
            mounts.append((words[4].replace("\\040", " "), os.makedev(int(major), int(minor))))
    return mounts


def _mounted() -> set[str]:
    return {where for where, _ in _mounts()}


def _content(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _must(run: Runner, *words: str) -> None:
    code, out, error = run(words)
    if code != 0:
        raise VolumeError(f"{' '.join(words)} failed: {(error or out).strip()[:300]}")
