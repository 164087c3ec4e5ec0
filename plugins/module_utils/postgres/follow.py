# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A member becomes a replica of whichever other one is primary: as it is, rewound, or copied anew."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from . import bootstrap
from .container import DATA, FOLDER, NAME, PostgresError
from .local import Local, forget, put
from .objects import slot
from .state import PARTIAL, REWINDING, judge, read_disk
from .switch import drop_slots

# What a replica says whose primary has no more WAL for it, or another history.
_HOPELESS = re.compile(
    r"requested WAL segment \S+ has already been removed|forked off current database system timeline"
    r"|not a child of this server's history|is behind recovery timeline"
    r"|replication slot .* (?:invalidated|does not exist)"
)
# What pg_rewind says.
_ERRORS = re.compile(r"(?:^pg_rewind: error|FATAL|PANIC): +(.+)$", re.MULTILINE)
_SPLIT = re.compile(r"servers diverged at WAL location (\S+) on timeline (\d+)")
#: Seconds without progress after which a replica that does not stream never will; fewer when it says so itself.
PATIENCE, HOPELESS_PATIENCE = 20.0, 5.0
_PAUSE = 0.25
#: Room that a copy needs beside the databases' files, for WAL that comes meanwhile.
_SPARE = 1024**3


@dataclass(frozen=True)
class Source:
    """Whom to follow, and how large it is in bytes."""

    system: str
    size: int


@dataclass(frozen=True)
class Way:
    """One way to data that can follow; ``prepare`` says what it did, and raises PostgresError when it is none."""

    told: str
    prepare: Callable[[], str]


def follow(here: Local, member: str, anew: bool = False, check_mode: bool = False) -> list[str]:
    """Make this member a replica that streams; returns what was done. ``anew`` deletes its data and copies.

    Tries the cheapest way first. Raises PostgresError with why each failed. Killed anywhere, it can be repeated, and
    until then data that cannot follow stays down.
    """
    if not anew and here.runs() and streams(here):
        return _tidy(here, check_mode)
    source = _ask_for(here)
    data, foreign = judge(read_disk(), here.installed.major)
    if data == "foreign":
        raise PostgresError(f"{DATA} holds {foreign}: it stays as it is.")
    if data == "present" and not anew:
        own = here.control().system_identifier
        if own != source.system:
            raise PostgresError(
                f"The data here is another database ({own}) than the primary's ({source.system}); to delete it, use "
                "playbooks/replica_rebuild.yml."
            )
    ways = _ways(here, member, source, data == "present" and not anew, anew)
    if check_mode:
        return [ways[0].told]
    return _first_that_works(here, ways)


def streams(here: Local) -> bool:
    """Whether it gets its primary's WAL as it is written."""
    try:
        return bool(here.ask("EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')"))
    except PostgresError:
        return False


def _ways(here: Local, member: str, source: Source, usable: bool, anew: bool) -> list[Way]:
    ways = []
    if usable and not os.path.exists(REWINDING):
        if here.standby:
            ways.append(Way("started the replica", lambda: ""))
        ways.append(Way("rewound it", lambda: _rewind(here)))
    told = "deleted its data and copied the primary" if anew else "copied the primary"
    ways.append(Way(told, lambda: _copy(here, member, source, anew)))
    return ways


def _first_that_works(here: Local, ways: list[Way]) -> list[str]:
    reasons: list[str] = []
    for way in ways:
        try:
            said = way.prepare()
        except PostgresError as error:
            reasons.append(str(error))
            continue
        here.make_standby()
        forget(REWINDING)
        # Not before it can only be a replica.
        here.unfence()
        try:
            if not here.runs():
                here.start()
            reason = _wait_for_streaming(here)
        except PostgresError as error:
            reason = str(error)
        if not reason:
            return [*reasons, f"{way.told}{said}", *_tidy(here)]
        reasons.append(reason)
    raise PostgresError(" Then: ".join(reasons))


def _rewind(here: Local) -> str:
    """Undo what was written after the primary's history went another way, and copy what changed there."""
    _ask_for(here)  # still: without it, data that is good would be given up for nothing
    _down(here)
    put(REWINDING)
    # What was not shut down is first recovered, by a server for a single user; that knows no standby.
    here.make_primary()
    # Left by one that was killed. The process it names is the first of its container, which every container has.
    forget(f"{here.installed.pgdata}/postmaster.pid")
    words = ["--target-pgdata", here.installed.pgdata, "--source-server", here.installed.dsn("rewind")]
    words += ["--config-file", f"{FOLDER}/postgresql.conf"]
    if _restores():
        words.append("--restore-target-wal")
    code, out, error = here.installed.image.program("pg_rewind", *words, network=True)
    if code != 0:
        raise PostgresError(f"It cannot be rewound: {'; '.join(_ERRORS.findall(error)) or error.strip()[-300:]}.")
    said = _SPLIT.search(error + out)
    return f" to {said[1]} on timeline {said[2]}, where its history left the primary's" if said else ""


def _copy(here: Local, member: str, source: Source, anew: bool) -> str:
    _ask_for(here)  # as above
    _down(here)
    folder = os.path.dirname(here.installed.pgdata)
    for name in (PARTIAL, bootstrap.OLD):
        shutil.rmtree(f"{folder}/{name}", ignore_errors=True)
    if anew and os.path.isdir(here.installed.pgdata):
        # Moved first: half of it must not look like a database.
        os.rename(here.installed.pgdata, f"{folder}/{bootstrap.OLD}")
        shutil.rmtree(f"{folder}/{bootstrap.OLD}")
    room = shutil.disk_usage(DATA).free
    if room < source.size + _SPARE and os.path.isdir(here.installed.pgdata):
        raise PostgresError(
            f"A copy needs {(source.size + _SPARE) >> 20} MiB beside the data that is here, and {room >> 20} MiB are "
            "free: use playbooks/replica_rebuild.yml, which deletes that data first."
        )
    origin = bootstrap.Source(here.installed.addresses, here.installed.conninfo, slot(member))
    bootstrap.copy(here.installed.image, here.installed.major, origin, instead=True)
    return ""


def _down(here: Local) -> None:
    """From here on the data may be good for nothing, so nothing may start it."""
    here.fence()
    # What it has that the primary lacks is given up, so nobody waits until a replica that is gone has it.
    here.stop(grace=10)


def _ask_for(here: Local) -> Source:
    """Ask the other members for the primary."""
    query = "SELECT system_identifier, (SELECT sum(pg_database_size(oid)) FROM pg_database) FROM pg_control_system()"
    out = here.installed.image.must(
        "Asking the primary (is one of the others running as primary?)",
        *("psql", "-X", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1"),
        *("--dbname", here.installed.dsn("rewind"), "--command", query),
        network=True,
    )
    system, _, size = out.strip().partition("|")
    return Source(system, int(size))


def _wait_for_streaming(here: Local) -> str:
    """Empty when it streams, else why it will not."""
    since = here.run(["docker", "inspect", "--format", "{{.State.StartedAt}}", NAME])[1].strip()
    reached, since_when = -1, here.clock()
    while True:
        if streams(here):
            return ""
        try:
            now = int(here.ask("coalesce(pg_last_wal_replay_lsn() - '0/0'::pg_lsn, 0)"))
        except PostgresError:
            now = reached
        if now > reached:
            reached, since_when = now, here.clock()
        idle = here.clock() - since_when
        if idle >= HOPELESS_PATIENCE:
            _, out, error = here.run(["docker", "logs", "--since", since, NAME])
            said = [line for line in (error or out).splitlines() if _HOPELESS.search(line)]
            if said:
                return f"It does not stream: {said[-1].strip()}."
        if idle >= PATIENCE:
            return f"It does not stream. {here.last_words()}"
        here.pause(_PAUSE)


def _tidy(here: Local, check_mode: bool = False) -> list[str]:
    """What earlier parts, or runs that were killed, left behind."""
    folder = os.path.dirname(here.installed.pgdata)
    left = [f"{folder}/{name}" for name in (PARTIAL, bootstrap.OLD) if os.path.isdir(f"{folder}/{name}")]
    told = [f"deleted {path}" for path in left]
    if here.fenced():
        told.append("took its fence away")
    if not check_mode:
        for path in left:
            shutil.rmtree(path)
        here.unfence()
    return [*told, *drop_slots(here, check_mode)]


def _restores() -> bool:
    """Whether WAL that is not here any more can be had from an archive."""
    with open(f"{FOLDER}/postgresql.conf", encoding="utf-8") as file:
        return any(re.match(r"restore_command = '.+'", line) for line in file)
