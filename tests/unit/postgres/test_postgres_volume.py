"""A volume: what may be formatted, and what is done in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.volume import (
    Found,
    VolumeError,
    Wanted,
    plan,
    probe,
    unit,
)

GIB = 1024**3
WANTED = Wanted("/dev/disk/by-id/scsi-0HC_Volume_1", "/var/lib/postgresql", 999, 0o700)
NEW = Found(
    device_size=10 * GIB,
    content="empty",
    device_mounts=(),
    path_source=False,
    path_entries=(),
    owner=None,
    mode=None,
    filesystem_size=None,
    unit=None,
    unit_enabled=False,
    unit_active=False,
)
DONE = Found(
    device_size=10 * GIB,
    content="xfs",
    device_mounts=("/var/lib/postgresql",),
    path_source=True,
    path_entries=("17",),
    owner=999,
    mode=0o700,
    filesystem_size=10 * GIB,
    unit=unit(WANTED),
    unit_enabled=True,
    unit_active=True,
)


def kinds(found: Found, wanted: Wanted = WANTED) -> list[str]:
    return [step.kind for step in plan(wanted, found)]


def test_a_new_volume_is_formatted_and_mounted() -> None:
    assert kinds(NEW) == ["format", "unit", "mount", "own"]


def test_one_that_is_as_it_should_be_is_left_alone() -> None:
    assert kinds(DONE) == []


def test_one_with_data_is_mounted_as_it_is() -> None:
    attached = replace(NEW, content="xfs")
    assert kinds(attached) == ["unit", "mount", "own"]


def test_one_whose_formatting_was_killed_is_formatted_again() -> None:
    assert kinds(replace(NEW, content="unfinished"))[0] == "format"


def test_an_empty_one_is_left_alone_when_only_looking() -> None:
    assert kinds(NEW, replace(WANTED, format=False)) == []


@pytest.mark.parametrize(("size", "steps"), [(20, ["grow"]), (10, [])])
def test_it_grows_with_its_device(size: int, steps: list[str]) -> None:
    assert kinds(replace(DONE, device_size=size * GIB)) == steps


def test_a_remainder_too_small_to_grow_into_is_not_tried_in_every_run() -> None:
    assert kinds(replace(DONE, device_size=10 * GIB + 1024**2)) == []


def test_a_unit_that_is_not_enabled_or_another_is_written_again() -> None:
    assert kinds(replace(DONE, unit_enabled=False)) == ["unit"]
    assert kinds(replace(DONE, unit="another")) == ["unit"]


def test_what_somebody_unmounted_is_mounted_again() -> None:
    gone = replace(DONE, device_mounts=(), path_source=False, path_entries=(), filesystem_size=None)
    assert kinds(gone) == ["mount", "own"]


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (replace(NEW, device_size=None), "There is no device /dev/disk/by-id/scsi-0HC_Volume_1"),
        (replace(NEW, device_size=0), "too few for XFS"),
        (replace(NEW, content="ext4"), "holds ext4; only an empty volume is formatted"),
        (replace(NEW, content="data without a known signature"), "holds data without a known signature"),
        (replace(NEW, content="xfs", device_mounts=("/mnt/HC_Volume_1",)), "is mounted on /mnt/HC_Volume_1"),
        (replace(NEW, path_source=True), "Something else than"),
        (replace(NEW, path_entries=("16", "17")), "holds 16, 17 and is not the volume"),
    ],
)
def test_whatever_could_cost_data_is_refused(found: Found, says: str) -> None:
    with pytest.raises(VolumeError, match=says):
        plan(WANTED, found)


# Of an XFS superblock: the magic number, and at byte 126 whether mkfs is still at it.
FINISHED = b"XFSB" + bytes(122) + b"\0" + bytes(512)
UNFINISHED = b"XFSB" + bytes(122) + b"\1" + bytes(512)


@pytest.mark.parametrize(
    ("data", "signature", "content"),
    [
        (bytes(4096), "", "empty"),
        (bytes(4000) + b"x", "", "data without a known signature"),
        (bytes(4096), "gpt", "gpt"),
        (FINISHED, "xfs", "xfs"),
        (UNFINISHED, "xfs", "unfinished"),
    ],
)
def test_what_a_device_holds(data: bytes, signature: str, content: str) -> None:
    assert probe(data, signature) == content


def test_a_boot_goes_on_without_the_volume() -> None:
    text = unit(WANTED)
    assert "WantedBy=multi-user.target" in text
    assert "local-fs.target" not in text
