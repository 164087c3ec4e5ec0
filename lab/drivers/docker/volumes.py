"""Volumes: sparse files, and loop devices while they are attached."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from lab import settings
from lab.command import run
from lab.drivers.base import Volume

_FOLDER = settings.STATE / "volumes"
_MAKE = {"xfs": ("mkfs.xfs", "-q"), "ext4": ("mkfs.ext4", "-q", "-F")}


def _file(volume_id: int) -> Path:
    return _FOLDER / f"{volume_id}.img"


def create(volume: Volume) -> None:
    """Make the file; it appears under its name only once it is formatted, so a killed run leaves no half volume."""
    target = _file(volume.volume_id)
    if target.exists():
        return
    _FOLDER.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with unfinished.open("wb") as disk:
        disk.truncate(volume.size_gb * 1024**3)
    unfinished.chmod(0o600)
    if volume.format:
        run(*_MAKE[volume.format], str(unfinished))
    unfinished.rename(target)


def present() -> frozenset[int]:
    return frozenset(int(image.stem) for image in _FOLDER.glob("*.img"))


def resize(volume: Volume) -> None:
    """Grow the file and tell the loop device, if there is one."""
    os.truncate(_file(volume.volume_id), volume.size_gb * 1024**3)
    device = loop_device(volume.volume_id)
    if device:
        run("losetup", "--set-capacity", device)


def delete(volume_id: int) -> None:
    release(volume_id)
    _file(volume_id).unlink(missing_ok=True)


def loop_device(volume_id: int) -> str | None:
    """The loop device a volume is at, such as /dev/loop3."""
    shown = run("losetup", "--list", "--noheadings", "--output", "NAME", "--associated", str(_file(volume_id)))
    return next(iter(shown.split()), None)


def release(volume_id: int) -> None:
    """Give up the loop device; while something still uses it, the kernel keeps it until that ends."""
    device = loop_device(volume_id)
    if device:
        run("losetup", "--detach", device)


def release_all() -> None:
    for image in _FOLDER.glob("*.img"):
        release(int(image.stem))


def plug(dev: Path, volume_ids: list[int]) -> None:
    """Give a machine, whose /dev is seen at ``dev``, exactly these volumes, where the vendor's udev rules put them."""
    by_id = dev / "disk/by-id"
    by_id.mkdir(parents=True, exist_ok=True)
    present = {int(link.name.rpartition("_")[2]): link for link in by_id.glob("scsi-0HC_Volume_*")}
    for volume_id, link in present.items():
        if volume_id not in volume_ids:
            node = dev / os.readlink(link).rpartition("/")[2]
            link.unlink()
            node.unlink(missing_ok=True)
            release(volume_id)
    for volume_id in volume_ids:
        if volume_id not in present:
            device = loop_device(volume_id) or run("losetup", "--find", "--show", str(_file(volume_id))).strip()
            node = _free_node(dev)
            os.mknod(node, stat.S_IFBLK | 0o660, os.stat(device).st_rdev)
            (by_id / f"scsi-0HC_Volume_{volume_id}").symlink_to(f"../../{node.name}")


def _free_node(dev: Path) -> Path:
    """The first of /dev/sdb, /dev/sdc, … that is not there (sda would be the machine's own disk)."""
    return next(node for letter in "bcdefghijklmnopq" if not (node := dev / f"sd{letter}").exists())


def forget_all() -> None:
    """Remove every volume's file."""
    release_all()
    for image in [*_FOLDER.glob("*.img"), *_FOLDER.glob("*.unfinished")]:
        with suppress(FileNotFoundError):
            image.unlink()
