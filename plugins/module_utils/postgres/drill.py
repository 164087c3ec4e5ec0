# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore as a drill: what is in the object storage is recovered beside a replica, and compared with it row by row.

Both are looked at in the same state: the replica pauses at a position in the WAL, and the recovery stops there too.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from . import repository
from .container import PostgresError, Server
from .pair import lsn
from .recovery import Scratch, Target

SEGMENT = 16 * 1024**2  # bytes of WAL in a file, as initdb has it

#: For every table that a replica can read: rows, and a sum over them that is the same in whatever order they lie.
_TABLES = """
SELECT format('SELECT json_build_array(%L, count(*), '
              'coalesce(sum(hashtextextended((t.*)::text, 0)::numeric), 0)::text) FROM %I.%I t',
              n.nspname || '.' || c.relname, n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relispopulated AND c.relpersistence = 'p'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%' ORDER BY 1 \\gexec
"""
_DATABASES = "SELECT json_agg(datname ORDER BY datname) FROM pg_database WHERE datallowconn AND NOT datistemplate;"
_FACTS = """
SELECT json_build_object('position', pg_last_wal_replay_lsn(), 'looked', extract(epoch FROM now()),
  'newest', coalesce(extract(epoch FROM pg_last_xact_replay_timestamp()), 0));
"""


_FAILURES = "SELECT to_json(failed_count) FROM pg_stat_archiver;"


class Frozen(TypedDict):
    """What a replica held at a position in the WAL. ``tables`` by database and name: rows and sum.

    ``archived`` is the position up to which the object storage could have restored just before, empty for none, and
    ``backed_up`` when its newest backup ended.
    """

    position: str
    newest: float  # when the newest transaction was committed, in seconds since the epoch; 0 for unknown
    looked: float  # when this was looked at
    tables: dict[str, list[Any]]
    archived: str
    backed_up: float


def segment_end(name: str | None) -> str | None:
    """Position behind a WAL file by its name; None for one that is no segment. Pure."""
    found = re.fullmatch(r"[0-9A-F]{8}([0-9A-F]{8})([0-9A-F]{8})(\.[0-9A-F]{8}\.backup)?", name or "")
    if not found:
        return None
    end = (int(found[1], 16) << 32) + (int(found[2], 16) + 1) * SEGMENT
    return lsn(end)


def order(position: str) -> int:
    """A position as a number."""
    high, low = position.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def sums(server: Server) -> dict[str, list[Any]]:
    """Rows and sum of every table of every database."""
    found: dict[str, list[Any]] = {}
    for database in server.ask(_DATABASES):
        for line in server.sql(_TABLES, database).splitlines():
            name, rows, total = json.loads(line)
            found[f"{database}.{name}"] = [rows, total]
    return found


def freeze(server: Server, pause: Callable[[float], None] = time.sleep) -> Frozen:
    """What a replica holds, which waits meanwhile and then goes on."""
    stored = repository.query(server)
    server.sql("SELECT pg_wal_replay_pause();")
    try:
        for _ in range(60):
            if server.sql("SELECT pg_get_wal_replay_pause_state();") == "paused":
                break
            pause(0.2)
        else:
            raise PostgresError("The replica does not pause: does it follow its primary?")
        facts = server.ask(_FACTS)
        return {
            "position": facts["position"],
            "newest": facts["newest"],
            "looked": facts["looked"],
            "tables": sums(server),
            "archived": segment_end(stored.archived) or "",
            "backed_up": stored.newest,
        }
    finally:
        server.sql("SELECT pg_wal_replay_resume();")


def archive_up_to(server: Server, position: str, scratch: Scratch, seconds: int = 120) -> None:
    """Have a primary archive everything up to a position, and wait until it has."""
    # Something has to follow the position, or the recovery would not know that it has arrived there.
    server.sql("SELECT pg_create_restore_point('bulwark-drill'); SELECT pg_switch_wal();")
    failures = server.ask(_FAILURES)
    for _ in range(seconds * 2):
        done = segment_end(server.ask("SELECT to_json((SELECT last_archived_wal FROM pg_stat_archiver));"))
        if done and order(done) > order(position):
            return
        if server.ask(_FAILURES) > failures + 1:
            raise PostgresError(
                "The object storage does not take the primary's WAL, so no restore could reach this moment."
            )
        scratch.pause(0.5)
    raise PostgresError(f"The primary has not archived its WAL within {seconds} s: does the object storage take it?")


def recover(scratch: Scratch, frozen: Frozen) -> dict[str, Any]:
    """Recover to where the replica was frozen, and compare.

    Stops first where the archive ended before, to see what would have been left had every server vanished then.
    """
    stops = [frozen["position"]]
    if frozen["archived"] and order(frozen["archived"]) < order(frozen["position"]):
        stops.insert(0, frozen["archived"])
    scratch.make(Target("lsn", stops[0]), action="pause")
    try:
        newest = 0.0
        for number, stop in enumerate(stops):
            scratch.start(recovery_target_lsn=stop, recovery_target_action="pause", hot_standby="on")
            scratch.until("SELECT pg_get_wal_replay_pause_state() = 'paused';")
            if number == 0:
                newest = scratch.server.ask(_FACTS)["newest"]
            if stop != stops[-1]:
                scratch.stop()
        found = sums(scratch.server)
    finally:
        scratch.remove()
    return report(frozen, found, newest)


def report(frozen: Frozen, found: Mapping[str, list[Any]], newest: float) -> dict[str, Any]:
    """The comparison. Pure.

    ``age`` in seconds: what the newest recovered transaction was behind the moment of the disaster; 0 when nothing
    newer existed.
    """
    names = sorted({*frozen["tables"], *found})
    differ = [name for name in names if frozen["tables"].get(name) != found.get(name)]
    # No transaction since the backup: then that is what was left.
    newest = max(newest, frozen["backed_up"])
    behind = newest < frozen["newest"]
    return {
        "tables": len(names),
        "rows": sum(int(entry[0]) for entry in found.values()),
        "differ": differ,
        "age": round(frozen["looked"] - newest, 1) if behind else 0.0,
    }
