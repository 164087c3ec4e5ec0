# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first data of a member, a new database or a copy: made beside its place, then moved there in one step."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import repository
from .container import DATA, USER, Image, PostgresError, data_directory
from .state import APPROVAL, PARTIAL

#: Beside PGDATA: what was there before a copy took its place, until it is deleted.
OLD = "old"


@dataclass(frozen=True)
class Source:
    """Where a copy comes from: addresses of the other members, of which the primary is taken, and how to log in."""

    addresses: tuple[str, ...]
    conninfo: str
    slot: str


def place(major: int, root: str = DATA) -> str:
    """An empty folder beside PGDATA. What an earlier run left there is incomplete, or it would have been moved."""
    folder = f"{root}/{major}"
    partial = f"{folder}/{PARTIAL}"
    os.makedirs(folder, exist_ok=True)
    os.chown(folder, USER, USER)
    os.chmod(folder, 0o700)
    if os.path.lexists(partial):
        shutil.rmtree(partial)
    return partial


def settle(partial: str, final: str, instead: bool = False) -> None:
    """Move complete data to its place. An empty folder may be there; with ``instead`` also data, which is then gone."""
    old = f"{os.path.dirname(final)}/{OLD}"
    if instead and os.path.isdir(final):
        shutil.rmtree(old, ignore_errors=True)
        os.rename(final, old)
    elif os.path.isdir(final):
        os.rmdir(final)
    os.rename(partial, final)
    handle = os.open(os.path.dirname(final), os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    if instead and os.path.lexists(old):
        shutil.rmtree(old)


def create(image: Image, major: int) -> None:
    """A new, empty database: checksums, UTF-8, and a sort order that no update of the system changes."""
    partial = place(major)
    image.must(
        "Making a new database",
        "initdb",
        *("--pgdata", partial, "--username", "postgres", "--data-checksums"),
        *("--encoding", "UTF8", "--locale", "C.UTF-8", "--auth-local", "peer", "--auth-host", "scram-sha-256"),
    )
    # Nobody can have been promoted over a database that is new: its first start needs no peer.
    with open(APPROVAL, "w", encoding="utf-8"):
        pass
    settle(partial, data_directory(major))


def must_be_unused(image: Image) -> None:
    """Raises PostgresError when the object storage holds backups, or cannot be asked: then no new database is made."""
    words = repository.command("info", "--output=json")
    code, out, error = image.program(*words, network=True)
    if code != 0:
        raise PostgresError(
            f"Backups could not be looked for, so no new database is made: {repository.told(error or out)}"
        )
    found = repository.read(out)
    if found.exists:
        last = f", the newest from {found.backups[-1]}" if found.backups else ""
        raise PostgresError(
            f"No member holds a database, but the object storage holds {len(found.backups)} backups of one{last}: "
            "bring it back with playbooks/restore.yml. For a new, empty database name another bucket or "
            "the path in postgres_backup."
        )


def copy(image: Image, major: int, source: Source, instead: bool = False) -> None:
    """A copy of whichever member is primary, ready to follow it; with ``instead`` it replaces data that is there."""
    partial = place(major)
    hosts = ",".join(source.addresses)
    image.must(
        "Copying the primary (is one of the others running as primary?)",
        "pg_basebackup",
        *(
            "--pgdata",
            partial,
            "--wal-method",
            "stream",
            "--checkpoint",
            "fast",
            "--slot",
            source.slot,
            "--no-password",
        ),
        *("--dbname", f"host={hosts} {source.conninfo} target_session_attrs=read-write connect_timeout=10"),
        network=True,
    )
    with open(f"{partial}/standby.signal", "w", encoding="utf-8"):
        pass
    os.chown(f"{partial}/standby.signal", USER, USER)
    settle(partial, data_directory(major), instead)


def may_create(own: str, others: Sequence[Mapping[str, Any]]) -> None:
    """Raises PostgresError unless all others were reached and none holds data. ``others``: what Ansible registered."""
    missing = [other["item"]["name"] for other in others if other.get("unreachable") or "state" not in other]
    if missing:
        raise PostgresError(
            f"{own} holds no database, and {', '.join(missing)} could not be asked for one: a new one is only made "
            "when every member answers. Bring it up and run again; if it is gone for good, take it out of the members."
        )
    holders = [other["item"]["name"] for other in others if other["state"]["data"] != "none"]
    if holders:
        raise PostgresError(
            f"{own} holds no database, but {', '.join(holders)} holds one: no new one is made. If that is the one to "
            f"keep, build {own} anew as its replica; if nobody needs it, empty the volume there first."
        )
