# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A primary steps down, and a replica takes over."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from .container import PostgresError
from .local import RAN_AS_PRIMARY, Local, forget, put
from .objects import slot
from .pair import lsn

_SLOTS = (
    "(SELECT coalesce(json_object_agg(slot_name, wal_status), '{}') FROM pg_replication_slots "
    "WHERE slot_type = 'physical')"
)


@dataclass(frozen=True)
class Down:
    """A primary that has stepped down: what was done, and how much WAL whoever takes over must have."""

    told: list[str]
    position: int


def step_down(here: Local, check_mode: bool = False) -> Down:
    """Stop the primary so that it can only come back as a replica; what was done already is not done again.

    Raises PostgresError, and then it runs as before, or says why not.
    """
    told = []
    if here.runs():
        if here.ask("pg_is_in_recovery()"):
            raise PostgresError("This member is a replica already: ask again who is primary.")
        if check_mode:
            return Down(["stop the primary"], 0)
        # What is on disk already need not be written while clients wait.
        here.server.sql("CHECKPOINT;")
        told.append("stopped the primary")
        try:
            here.stop()
        except PostgresError as error:
            here.start()
            raise PostgresError(f"{error} It was started again and is primary.") from None
    control = here.control()
    if control.shutdown != "shut down":
        if told:
            here.start()
            raise PostgresError(
                f"PostgreSQL did not end by itself (it is {control.shutdown}). It was started again and is primary."
            )
        raise PostgresError(
            f"PostgreSQL was not shut down here (it is {control.shutdown}): use playbooks/failover.yml."
        )
    if not here.standby:
        told.append("made it a replica")
        if not check_mode:
            here.make_standby()
    return Down(told, control.position or 0)


def step_up(here: Local, check_mode: bool = False) -> list[str]:
    """Let the primary that has stepped down be primary again, after nobody took over."""
    told = []
    if here.standby:
        if here.runs() or here.control().shutdown != "shut down":
            raise PostgresError("This member was not shut down as a primary, so it does not become one again.")
        told.append("made it a primary again")
    if told and not check_mode:
        here.make_primary()
        here.start()
    return told


def promote(here: Local, position: int, check_mode: bool = False, slots_only: bool = False) -> list[str]:
    """Make this replica the primary, or see to it that it is complete as one; returns what was done.

    ``position``: how much WAL it must have replayed. ``slots_only`` refuses to promote anybody. Raises
    PostgresError, and then it is a replica for certain, or the
    message says that it is not known.
    """
    told: list[str] = []
    if not here.runs() and here.standby and not slots_only:
        told.append("started the replica")
        if check_mode:
            return [*told, "promoted it"]
        here.start()
    recovering = here.ask("pg_is_in_recovery()")
    if recovering and slots_only:
        raise PostgresError("This member is a replica by now: somebody has moved the primary. Run this again.")
    told += make_slots(here, [slot(peer.name) for peer in here.installed.peers], check_mode)
    if recovering:
        told.append("promoted it")
        if not check_mode:
            _promote(here, position)
    elif not os.path.exists(RAN_AS_PRIMARY):
        told.append("marked it as primary")
        if not check_mode:
            put(RAN_AS_PRIMARY)
    return told


def _promote(here: Local, position: int) -> None:
    try:
        _wait_for(here, position)
    except PostgresError:
        drop_slots(here)
        raise
    # Before it is true, so that it is there whenever it is true. On a replica it means nothing.
    put(RAN_AS_PRIMARY)
    try:
        promoted = here.ask(f"pg_promote(true, {here.seconds})")
    except PostgresError:
        promoted = False
    if promoted:
        return
    # A request that is still under way ends with the process.
    here.stop()
    if not here.standby:
        here.start()
        return
    forget(RAN_AS_PRIMARY)
    here.start()
    drop_slots(here)
    raise PostgresError(f"It was not promoted within {here.seconds} s, and is a replica as before. {here.last_words()}")


def _wait_for(here: Local, position: int) -> None:
    replayed = 0
    for _ in here.tries():
        replayed = int(here.ask("coalesce(pg_last_wal_replay_lsn() - '0/0'::pg_lsn, 0)"))
        if replayed >= position:
            return
    raise PostgresError(
        f"It has replayed up to {lsn(replayed)} only, and the old primary went on to {lsn(position)}: it does not take "
        "over."
    )


def make_slots(here: Local, names: Sequence[str], check_mode: bool = False) -> list[str]:
    """Slots for those that will follow. Made before a promotion, they keep what the old primary will ask for."""
    found = here.ask(_SLOTS)
    told, script = [], ""
    for name in names:
        if found.get(name, "lost") != "lost":
            continue
        if name in found:
            # Its WAL is gone; whoever it belongs to needs a new copy in any case.
            script += f"SELECT pg_drop_replication_slot('{name}');"
        script += f"SELECT pg_create_physical_replication_slot('{name}', true);"
        told.append(f"made the slot {name}")
    if script and not check_mode:
        here.server.sql(script)
    return told


def drop_slots(here: Local, check_mode: bool = False) -> list[str]:
    """Slots for the other members, on a replica: they would keep WAL that nobody asks for."""
    found = here.ask(_SLOTS)
    idle = [name for name in (slot(peer.name) for peer in here.installed.peers) if name in found]
    if idle and not check_mode:
        here.server.sql("".join(f"SELECT pg_drop_replication_slot('{name}');" for name in idle))
    return [f"dropped the slot {name}" for name in idle]
