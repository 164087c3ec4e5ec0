# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a member of the pair is right now: asked of its volume, its files and its server, never assumed."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

from .container import DATA, FOLDER, NAME, Image, Json, PostgresError, Runner, Server, data_directory
from .repository import SPOOL

#: Beside PGDATA: it keeps PostgreSQL down until somebody has rejoined or rebuilt this member.
FENCE = f"{DATA}/fenced"
#: Beside PGDATA: lets a primary start once although no peer answers.
APPROVAL = f"{DATA}/start-without-peer"
#: Beside PGDATA: where a new database or a copy is made, before it becomes PGDATA in one step.
PARTIAL = "partial"
#: Beside PGDATA: the database that a restore has replaced, and what it has recovered but not put in place yet.
REPLACED, RECOVERED = "replaced", "restored.json"
#: Beside PGDATA: a rewind has begun. If it is found, the rewind was cut off, and the data is good for nothing.
REWINDING = f"{DATA}/rewinding"
#: The nftables table that cuts a fenced member's PostgreSQL off.
FENCE_TABLE = "bulwark_fence"
#: Programs that the host has to have, and the packages they are in.
NEEDED = {"docker": "docker", "mkfs.xfs": "xfsprogs", "openssl": "openssl"}

_SERVER = """
SELECT json_build_object(
  'in_recovery', pg_is_in_recovery(),
  'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
  'timeline', greatest(
    (SELECT timeline_id FROM pg_control_checkpoint()),
    (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
    (SELECT received_tli FROM pg_stat_wal_receiver)),
  'receiving', EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'),
  'position', CASE WHEN pg_is_in_recovery() THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
    ELSE pg_current_wal_flush_lsn() END - '0/0'::pg_lsn,
  'replayed_seconds_ago', CASE WHEN pg_is_in_recovery()
    THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END,
  'paused', pg_is_in_recovery() AND pg_is_wal_replay_paused(),
  'lag', (SELECT coalesce(json_object_agg(application_name,
      pg_current_wal_flush_lsn() - coalesce(replay_lsn, flush_lsn)), '{}')
    FROM pg_stat_replication WHERE state = 'streaming' AND NOT pg_is_in_recovery()),
  'replicas', (SELECT coalesce(json_agg(DISTINCT application_name), '[]') FROM pg_stat_replication
    WHERE state = 'streaming'),
  'pending_restart', (SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM pg_settings WHERE pending_restart));
"""


class State(TypedDict):
    """One member. ``data`` is none, present, or foreign (something that is no database of this version)."""

    data: str
    foreign: str
    fenced: bool
    recovered: bool
    standby: bool
    firewalled: bool
    engine: bool
    container: bool
    running: bool
    in_recovery: bool | None
    system_identifier: str | None
    timeline: int | None
    position: int | None
    shutdown: str
    replayed_seconds_ago: float | None
    receiving: bool
    paused: bool
    lag: dict[str, int]
    replicas: list[str]
    pending_restart: list[str]
    certificate: str
    request: str
    memory_mb: int
    cores: int
    free_mb: int
    missing: list[str]


@dataclass(frozen=True)
class Disk:
    """What lies on the volume: names of the major versions with a database, and of all else that is not ours."""

    databases: tuple[str, ...]
    others: tuple[str, ...]


def disk(names: Sequence[str], databases: Sequence[str]) -> Disk:
    """What names below the data's folder mean. Pure."""
    # "data" is where images up to 17 want a volume of their own; nothing is ever in it.
    own = {"data", "lost+found", *map(os.path.basename, (FENCE, APPROVAL, REWINDING, SPOOL))}
    others = tuple(sorted(name for name in names if name not in own and not re.fullmatch(r"\d{2}", name)))
    return Disk(tuple(sorted(databases)), others)


def judge(found: Disk, major: int) -> tuple[str, str]:
    """The state of the data and, for a foreign one, what it is. Pure."""
    if str(major) in found.databases:
        return "present", ""
    if found.databases:
        return "foreign", f"a database of PostgreSQL {' and '.join(found.databases)}"
    if found.others:
        return "foreign", ", ".join(found.others[:3])
    return "none", ""


def read_disk(root: str = DATA) -> Disk:
    """What lies on the volume."""
    names = sorted(os.listdir(root)) if os.path.isdir(root) else []
    databases = [name for name in names if os.path.exists(f"{root}/{name}/data/PG_VERSION")]
    # One that somebody made by the guide's layout, or by the image's own.
    strangers = [name for name in ("data", "data/pgdata") if os.path.exists(f"{root}/{name}/PG_VERSION")]
    return disk([*names, *strangers], databases) if not strangers else Disk(tuple(databases), tuple(strangers))


@dataclass(frozen=True)
class Control:
    """What a database says of itself that does not run. ``position``: how many bytes of WAL it has at least."""

    system_identifier: str | None
    timeline: int | None
    position: int | None
    shutdown: str


def control_data(text: str) -> Control:
    """From what pg_controldata prints. Pure."""
    said = {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
    lines = [said.get("Latest checkpoint's TimeLineID"), said.get("Min recovery ending loc's timeline")]
    shutdown = said.get("Database cluster state", "")
    position = max(
        _position(said.get("Minimum recovery ending location")),
        # The checkpoint is the last record that a primary writes. Whoever has a byte of it has all that came before.
        _position(said.get("Latest checkpoint location")) + (shutdown == "shut down"),
    )
    return Control(
        said.get("Database system identifier"),
        max((int(line) for line in lines if line), default=None),
        position or None,
        shutdown,
    )


def newest_timeline(names: Sequence[str]) -> int | None:
    """The newest timeline whose WAL or history is there, by the names in pg_wal. Pure.

    A replica's control file may tell an older one for as long as its next restart point is not due.
    """
    found = (re.match(r"([0-9A-F]{8})(?:[0-9A-F]{16}|\.history$)", name) for name in names)
    return max((int(match[1], 16) for match in found if match), default=None)


def _position(lsn: str | None) -> int:
    high, _, low = (lsn or "0/0").partition("/")
    return int(high, 16) << 32 | int(low, 16)


def read(run: Runner, image: Image, major: int) -> State:
    """This member's state. A server that does not run is described by its control file."""
    data, foreign = judge(read_disk(), major)
    inside = data_directory(major)
    state: State = {
        "data": data,
        "foreign": foreign,
        "fenced": os.path.exists(FENCE),
        "recovered": (restoring_mark(major) or {"phase": "recovered"})["phase"] != "recovered",
        "standby": os.path.exists(f"{inside}/standby.signal"),
        "firewalled": run(["nft", "list", "table", "inet", FENCE_TABLE])[0] == 0,
        "engine": False,
        "container": False,
        "running": False,
        "in_recovery": None,
        "system_identifier": None,
        "timeline": None,
        "position": None,
        "shutdown": "",
        "replayed_seconds_ago": None,
        "receiving": False,
        "paused": False,
        "lag": {},
        "replicas": [],
        "pending_restart": [],
        "certificate": _text(f"{FOLDER}/server.crt"),
        "request": _text(f"{FOLDER}/server.csr") if os.path.exists(f"{FOLDER}/server.key") else "",
        "memory_mb": _memory(),
        "cores": os.cpu_count() or 1,
        "free_mb": shutil.disk_usage(DATA if os.path.isdir(DATA) else "/var/lib").free // 1024**2,
        "missing": [package for program, package in NEEDED.items() if not shutil.which(program)],
    }
    if "docker" in state["missing"]:
        return state
    code, out, error = run(["docker", "inspect", "--format", "{{.State.Running}}", NAME])
    state["container"] = out.strip() == "true"
    state["engine"] = code == 0 or "no such" in error.lower()
    if data != "present" or not state["engine"]:
        return state
    answer = _ask(run) if state["container"] else None
    if answer is not None:
        state["running"] = True
        state.update(answer)
    else:
        code, out, _ = image.program("pg_controldata", "--pgdata", inside)
        if code == 0:
            state.update(asdict(control_data(out)))  # type: ignore[typeddict-item]  # because its fields are State's
    here = newest_timeline(os.listdir(f"{inside}/pg_wal") if os.path.isdir(f"{inside}/pg_wal") else [])
    state["timeline"] = max(state["timeline"] or 0, here or 0) or None
    return state


def _ask(run: Runner) -> Json:
    try:
        return Server(run).ask(_SERVER)
    except PostgresError:
        return None


def restoring_mark(major: int) -> dict[str, Any] | None:
    """How far a restore has got that has not ended: its target, and the phase recovered, placing or placed."""
    text = _text(f"{DATA}/{major}/{RECOVERED}")
    found: dict[str, Any] | None = json.loads(text) if text else None
    return found


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _memory() -> int:
    with open("/proc/meminfo", encoding="utf-8") as file:
        return int(file.readline().split()[1]) // 1024
