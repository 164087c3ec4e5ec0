# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of systemd, made what their files say: look, plan, carry out, and wait until they answer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from .monitoring.web import Web

#: Seconds between two looks.
PAUSE = 0.3
PROPERTIES = ("LoadState", "UnitFileState", "ActiveState", "NeedDaemonReload", "MainPID", "StateChangeTimestamp")


class UnitError(Exception):
    """A unit does not run as it should; the message says which and why."""


class Runner(Protocol):
    """Runs a program by list and returns its exit code, what it printed, and its errors."""

    def __call__(self, words: Sequence[str], feed: str = "") -> tuple[int, str, str]: ...


@dataclass(frozen=True)
class Unit:
    """A unit that has to run and start at boot. ``files`` are those it has read when it started."""

    name: str
    files: Sequence[str] = ()
    ready: str = ""  # a URL that answers when it is ready
    reloads: bool = False  # whether it reads its files again when it is reloaded


@dataclass(frozen=True)
class Seen:
    """What systemd says of a unit. Times in seconds since the epoch."""

    loaded: bool = False
    enabled: bool = False
    active: bool = False
    unit_read: bool = True
    since: float = 0.0
    replaced: bool = False  # whether its program is no longer the one that is installed


@dataclass(frozen=True)
class Step:
    """One thing to do; ``why`` is for people."""

    verb: str  # read, enable, start, restart, reload or stop
    unit: str
    why: str


def plan(
    units: Sequence[Unit], stopped: Sequence[str], seen: Mapping[str, Seen], newest: Mapping[str, float]
) -> list[Step]:
    """What differs, in the order in which it is mended. ``newest``: when the last file of each came. Pure."""
    steps = []
    stale = sorted(name for name, entry in seen.items() if not entry.unit_read)
    if stale:
        steps.append(Step("read", "", f"systemd has not read {', '.join(stale)}"))
    for name in stopped:
        if seen[name].loaded and (seen[name].active or seen[name].enabled):
            steps.append(Step("stop", name, "nobody needs it"))
    for unit in units:
        entry = seen[unit.name]
        if not entry.enabled:
            steps.append(Step("enable", unit.name, "it would not start at the next boot"))
        if not entry.active:
            steps.append(Step("start", unit.name, "it does not run"))
        elif entry.replaced:
            steps.append(Step("restart", unit.name, "its program was replaced"))
        elif entry.since <= newest.get(unit.name, 0.0):
            verb = "reload" if unit.reloads and entry.unit_read else "restart"
            steps.append(Step(verb, unit.name, "its files are newer than what it has read"))
    return steps


def moment(text: str) -> float:
    """A time as ``systemctl show --timestamp=us+utc`` prints it; 0 for none."""
    try:
        return datetime.strptime(text, "%a %Y-%m-%d %H:%M:%S.%f UTC").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


@dataclass
class Units:
    """Looks and carries out. ``seconds`` is how long a unit may take to answer; ``pause`` sleeps some."""

    run: Runner
    seconds: int = 30
    web: Web = field(default_factory=Web)
    pause: Callable[[float], None] = time.sleep

    def settle(self, units: Sequence[Unit], stopped: Sequence[str], check_mode: bool) -> list[Step]:
        """All steps, taken unless in check mode; then every unit answers.

        Raises UnitError when one does not.
        """
        steps = plan(units, stopped, self.look([unit.name for unit in units] + list(stopped)), _newest(units))
        if check_mode:
            return steps
        for step in steps:
            self._take(step)
        for unit in units:
            self._answers(unit)
        return steps

    def look(self, names: Sequence[str]) -> dict[str, Seen]:
        """What systemd says of units."""
        words = ["systemctl", "show", "--timestamp=us+utc", f"--property={','.join(PROPERTIES)}", *names]
        blocks = self.run(words)[1].strip().split("\n\n")
        found = {}
        # One block for each unit, in the order asked for.
        for name, block in zip(names, blocks, strict=True):
            entry = dict(line.partition("=")[::2] for line in block.splitlines())
            found[name] = Seen(
                loaded=entry.get("LoadState") == "loaded",
                enabled=entry.get("UnitFileState") == "enabled",
                active=entry.get("ActiveState") == "active",
                unit_read=entry.get("NeedDaemonReload") != "yes",
                since=moment(entry.get("StateChangeTimestamp", "")),
                replaced=_replaced(entry.get("MainPID", "0")),
            )
        return found

    def _take(self, step: Step) -> None:
        if step.verb == "read":
            words = ["systemctl", "daemon-reload"]
        elif step.verb == "enable":
            words = ["systemctl", "--quiet", "enable", step.unit]
        elif step.verb == "stop":
            words = ["systemctl", "--quiet", "disable", "--now", step.unit]
        else:
            # However often it was started lately, systemd must not refuse this time.
            self.run(["systemctl", "reset-failed", step.unit])
            words = ["systemctl", step.verb, step.unit]
        code, out, error = self.run(words)
        if code != 0:
            raise UnitError(f"{' '.join(words)} failed: {(error or out).strip()[-400:]}{self._said(step.unit)}")

    def _answers(self, unit: Unit) -> None:
        why = "it ends again"
        for _ in range(int(self.seconds / PAUSE)):
            if self.look([unit.name])[unit.name].active:
                if not unit.ready:
                    return
                answer = self.web.get(unit.ready)
                if answer.ok:
                    return
                why = answer.reason or str(answer.status)
            self.pause(PAUSE)
        raise UnitError(f"{unit.name} does not answer within {self.seconds} s: {why}{self._said(unit.name)}")

    def _said(self, name: str) -> str:
        if not name:
            return ""
        _, out, _ = self.run(["journalctl", "--unit", name, "--lines=3", "--output=cat", "--no-pager"])
        lines = " / ".join(line.strip() for line in out.splitlines() if line.strip())
        return f". Its last words (journalctl -u {name}): {lines[-500:]}" if lines else ""


def _newest(units: Sequence[Unit]) -> dict[str, float]:
    """When the newest file of each unit was put in its place: the time of its inode."""
    return {
        unit.name: max((os.stat(path).st_ctime for path in unit.files if os.path.exists(path)), default=0.0)
        for unit in units
    }


def _replaced(process: str) -> bool:
    try:
        return process != "0" and os.readlink(f"/proc/{process}/exe").endswith(" (deleted)")
    except OSError:
        return False
