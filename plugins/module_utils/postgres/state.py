# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a member of the pair is right now: asked of its volume, its files and its server, never assumed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

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
  'replicas', (SELECT coalesce(json_agg(DISTINCT application_name), '[]') FROM pg_stat_replication
    WHERE state = 'streaming'),
  'pending_restart', (SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM pg_settings WHERE pending_restart));
"""


class State(TypedDict):
    """One member. ``data`` is none, present, or foreign (something that is no database of this version)."""

    data: str
    foreign: str
    fenced: bool
    standby: bool
    running: bool
    in_recovery: bool | None
    system_identifier: str | None
    timeline: int | None
    receiving: bool
    replicas: list[str]
    pending_restart: list[str]
    certificate: str
    request: str
    memory_mb: int
    cores: int
    missing: list[str]


@dataclass(frozen=True)
class Disk:
    """What lies on the volume: names of the major versions with a database, and of all else that is not ours."""

    databases: tuple[str, ...]
    others: tuple[str, ...]


def disk(names: Sequence[str], databases: Sequence[str]) -> Disk:
    """What names below the data's folder mean. Pure."""
    # "data" is where images up to 17 want a volume of their own; nothing is ever in it.
    own = {"data", "lost+found", *map(os.path.basename, (FENCE, APPROVAL, SPOOL))}
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


def control_data(text: str) -> tuple[str | None, int | None]:
    """System identifier and timeline from what pg_controldata prints. Pure."""
    system = re.search(r"^Database system identifier:\s*(\d+)", text, re.MULTILINE)
    lines = re.findall(
        r"^(?:Latest checkpoint's TimeLineID|Min recovery ending loc's timeline):\s*(\d+)", text, re.MULTILINE
    )
    return (system[1] if system else None), (max(map(int, lines)) if lines else None)


def read(run: Runner, image: Image, major: int) -> State:
    """This member's state. A server that does not run is described by its control file."""
    data, foreign = judge(read_disk(), major)
    inside = data_directory(major)
    state: State = {
        "data": data,
        "foreign": foreign,
        "fenced": os.path.exists(FENCE),
        "standby": os.path.exists(f"{inside}/standby.signal"),
        "running": False,
        "in_recovery": None,
        "system_identifier": None,
        "timeline": None,
        "receiving": False,
        "replicas": [],
        "pending_restart": [],
        "certificate": _text(f"{FOLDER}/server.crt"),
        "request": _text(f"{FOLDER}/server.csr") if os.path.exists(f"{FOLDER}/server.key") else "",
        "memory_mb": _memory(),
        "cores": os.cpu_count() or 1,
        "missing": [package for program, package in NEEDED.items() if not shutil.which(program)],
    }
    if data != "present" or "docker" in state["missing"]:
        return state
    answer = _ask(run)
    if answer is not None:
        state["running"] = True
        state.update(answer)
    else:
        code, out, _ = image.program("pg_controldata", "--pgdata", inside)
        if code == 0:
            state["system_identifier"], state["timeline"] = control_data(out)
    return state


def _ask(run: Runner) -> Json:
    if run(["docker", "inspect", "--format", "{{.State.Running}}", NAME])[1].strip() != "true":
        return None
    try:
        return Server(run).ask(_SERVER)
    except PostgresError:
        return None


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _memory() -> int:
    with open("/proc/meminfo", encoding="utf-8") as file:
        return int(file.readline().split()[1]) // 1024
