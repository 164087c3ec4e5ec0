# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a run of playbooks is, as text for a terminal. Pure but for the two functions that keep durations.

Times are seconds; those called ``now`` come from any clock that only goes forward.
"""

from __future__ import annotations

import json
import os
import tempfile
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: Durations are kept of this many playbooks, the latest used ones.
KEPT = 50
#: How much slower or faster than the last time a run is taken to be, at most.
PACE = 4.0
#: Seconds of phases that must be over before the pace is judged.
JUDGED = 5.0


@dataclass(frozen=True)
class Signs:
    """What is drawn with."""

    good: str
    bad: str
    nothing: str
    running: str
    more: str

    @classmethod
    def of(cls, encoding: str | None) -> Signs:
        """Those that an encoding has."""
        try:
            "✓✗·▸…".encode(encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            return cls("ok", "!!", "--", "->", "...")
        return cls("✓", "✗", "·", "▸", "…")


def cells(text: str) -> int:
    """Columns of a terminal that a text takes."""
    return sum(_cells(char) for char in text)


def _cells(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fit(text: str, width: int, more: str) -> str:
    """A text in at most ``width`` columns, and in one line."""
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split(" "))
    if cells(text) <= width:
        return text
    if width <= cells(more):
        return ""
    kept, used = "", cells(more)
    for char in text:
        used += _cells(char)
        if used > width:
            break
        kept += char
    return kept.rstrip() + more


def clock(seconds: float) -> str:
    """Such as 0:07, 12:30 or 1:02:03."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def remaining(
    names: Sequence[str], expected: Mapping[str, float], index: int, elapsed: float, before: float
) -> float | None:
    """What is left of phases ``names``; the one at ``index`` has run for ``elapsed``, those before for ``before``.

    None where the last run did not have one of them.
    """
    if index < 0 or any(name not in expected for name in names):
        return None
    past = sum(expected[name] for name in names[:index])
    pace = min(PACE, max(1 / PACE, before / past)) if past >= JUDGED else 1.0
    coming = sum(expected[name] for name in names[index + 1 :])
    return max(0.0, expected[names[index]] * pace - elapsed) + coming * pace


@dataclass
class Phase:
    """One play."""

    name: str
    number: int  # from 1
    began: float
    hosts: set[str] = field(default_factory=set)
    changed: int = 0
    lost: set[str] = field(default_factory=set)  # hosts that failed or were unreachable
    task: str = ""
    waiting: dict[str, None] = field(default_factory=dict)  # hosts that the task has begun on, in that order
    here: int = 0  # hosts that the task is over on
    attempt: str = ""


@dataclass
class Progress:
    """What has happened in one playbook."""

    names: list[str]  # of its plays
    expected: Mapping[str, float]  # how long each took the last time
    signs: Signs
    began: float
    later: float | None = 0.0  # how long the playbooks after it took, None where that is not known
    index: int = -1
    phase: Phase | None = None
    durations: dict[str, float] = field(default_factory=dict)

    def play(self, name: str, now: float) -> Phase | None:
        """Another play begins, or the same with its next hosts; the one that ended with that."""
        if self.phase and self.phase.name == name:
            return None
        ended = self.end(now)
        try:
            self.index = self.names.index(name, self.index + 1)
        except ValueError:
            self.index += 1  # a name made of variables
        self.phase = Phase(name, self.index + 1, now)
        return ended

    def end(self, now: float) -> Phase | None:
        ended, self.phase = self.phase, None
        if ended:
            self.durations[ended.name] = self.durations.get(ended.name, 0.0) + now - ended.began
        return ended

    def task(self, title: str) -> None:
        if self.phase:
            self.phase.task, self.phase.here, self.phase.attempt = title, 0, ""
            self.phase.waiting.clear()

    def begins(self, host: str) -> None:
        if self.phase:
            self.phase.hosts.add(host)
            self.phase.waiting[host] = None

    def ends(self, host: str, changed: bool = False, lost: bool = False) -> None:
        """A task is over on a host."""
        if not self.phase:
            return
        self.phase.hosts.add(host)
        self.phase.waiting.pop(host, None)
        self.phase.here += 1
        self.phase.changed += changed
        if lost:
            self.phase.lost.add(host)
        else:
            self.phase.lost.discard(host)  # it goes on, so it was rescued

    def left(self, now: float) -> float | None:
        if not self.phase or self.later is None:
            return None
        elapsed = now - self.phase.began
        here = remaining(self.names, self.expected, self.index, elapsed, self.phase.began - self.began)
        return None if here is None else here + self.later

    def _number(self, phase: Phase) -> str:
        total = max(len(self.names), phase.number)
        return f"[{phase.number:>{len(str(total))}}/{total}]"

    def status(self, now: float, width: int) -> str:
        """The line that tells where it is, in at most ``width`` columns."""
        if not self.phase:
            return ""
        times = clock(now - self.began)
        left = self.left(now)
        if left is not None:
            times += f", about {clock(left)} left"
        head = f"{self.signs.running} {self._number(self.phase)} {self.phase.name}"
        room = width - cells(times) - 2
        if room < 20:
            return fit(f"{head}  {times}", width, self.signs.more)
        said = [head]
        if self.phase.task:
            said.append(self.phase.task + self.phase.attempt)
        # Whom it waits for is worth a name when they are few.
        if 0 < len(self.phase.waiting) < 3 and len(self.phase.hosts) > 1:
            said.append(f"waiting for {', '.join(self.phase.waiting)}")
        elif len(self.phase.hosts) > 1:
            said.append(f"{self.phase.here} of {len(self.phase.hosts)} hosts")
        tail = said.pop() if len(said) > 2 else ""
        tail = fit(tail, max(0, room // 3), self.signs.more)
        shown = fit("  ".join(said), room - (cells(tail) + 2 if tail else 0), self.signs.more)
        return "  ".join(part for part in (shown, tail, times) if part)

    def ended(self, phase: Phase, width: int, foreseen: bool = False) -> str:
        """The line that stays of a phase; ``foreseen`` in check mode, where nothing is changed."""
        sign = self.signs.bad if phase.lost else self.signs.good if phase.hosts else self.signs.nothing
        facts = [_hosts(phase), clock(self.durations.get(phase.name, 0.0))]
        if phase.changed:
            facts.insert(1, f"{phase.changed} {'to change' if foreseen else 'changed'}")
        if phase.lost:
            facts.insert(1, f"lost: {', '.join(sorted(phase.lost))}")
        right = "  ".join(facts)
        left = f"{sign} {self._number(phase)} "
        room = max(10, width - cells(left) - cells(right) - 2)
        name = fit(phase.name, room, self.signs.more)
        # Facts stand in one column wherever there is room for it.
        return f"{left}{name}{' ' * max(2, min(room, 44) - cells(name) + 2)}{right}"


def _hosts(phase: Phase) -> str:
    if len(phase.hosts) == 1:
        return next(iter(phase.hosts))
    return f"{len(phase.hosts)} hosts" if phase.hosts else "no hosts"


def recap(counts: Mapping[str, Mapping[str, int]], foreseen: bool = False) -> list[tuple[str, str]]:
    """A line for each host from Ansible's counts, with how it went: ``good``, ``changed`` or ``bad``."""
    words = {
        "ok": "ok",
        "changed": "to change" if foreseen else "changed",
        "unreachable": "unreachable",
        "failures": "failed",
        "rescued": "rescued",
        "ignored": "ignored",
    }
    longest = max((cells(host) for host in counts), default=0)
    lines = []
    for host, count in sorted(counts.items()):
        told = [f"{count[key]} {word}" for key, word in words.items() if count.get(key)]
        kind = (
            "bad"
            if count.get("unreachable") or count.get("failures")
            else "changed"
            if count.get("changed")
            else "good"
        )
        lines.append((kind, f"{host}{' ' * (longest - cells(host) + 2)}{', '.join(told) or 'nothing to do'}"))
    return lines


def read_durations(path: Path, key: str) -> dict[str, float]:
    """How long each phase took the last time; nothing where that is not known."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))[key]
        return {str(name): float(seconds) for name, seconds in found.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def keep_durations(path: Path, key: str, durations: Mapping[str, float]) -> None:
    """For the next run. What cannot be written is not kept: nothing but an estimate depends on it."""
    try:
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            kept = {}
        if not isinstance(kept, dict):
            kept = {}
        kept.pop(key, None)
        kept[key] = {name: round(seconds, 1) for name, seconds in durations.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as made:
            json.dump(dict(list(kept.items())[-KEPT:]), made)
        os.replace(made.name, path)
    except OSError:
        return
