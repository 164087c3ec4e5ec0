# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs, made what the files say: look, decide on one step, do it, look again, until nothing is left to do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .container import FOLDER, NAME, UNIT, PostgresError, Runner, Server

START = "/usr/local/lib/bulwark/postgres"
#: Exit codes of START: what it says about a server that does not run.
HELD, WAITS = 3, 4
#: What the server reads again on a reload. Its first line of defence against a lost reload is their age.
READ_ON_RELOAD = ("postgresql.conf", "pg_hba.conf", "server.crt", "server.key", "ca.crt")
#: Enough for every step there is, and a few that somebody else makes necessary in between.
MOST_STEPS = 8
_WHY = "/run/bulwark-postgres/why"

_QUESTION = """
SELECT json_build_object(
  'loaded', extract(epoch FROM pg_conf_load_time()),
  'paused', pg_is_in_recovery() AND pg_is_wal_replay_paused(),
  'pending_restart', (SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM pg_settings WHERE pending_restart),
  'needs_restart', (SELECT coalesce(json_agg(DISTINCT f.name), '[]') FROM pg_file_settings f JOIN pg_settings s
    ON s.name = f.name AND s.context = 'postmaster' WHERE NOT f.applied AND f.error IS NOT NULL),
  'errors', (SELECT coalesce(json_agg(DISTINCT coalesce(f.name || ': ', '') || f.error), '[]') FROM pg_file_settings f
    WHERE f.error IS NOT NULL
      AND NOT EXISTS (SELECT FROM pg_settings s WHERE s.name = f.name AND s.context = 'postmaster')),
  'hba_errors', (SELECT coalesce(json_agg(line_number || ': ' || error), '[]') FROM pg_hba_file_rules
    WHERE error IS NOT NULL));
"""


@dataclass(frozen=True)
class Seen:
    """What is there. Times in seconds since the epoch; ``server`` is what PostgreSQL answers, None when it does not."""

    unit_read: bool  # whether systemd has read the unit's file
    unit_enabled: bool  # and its timers, which run
    unit_active: bool
    container_current: bool  # whether the container is the one the compose file describes
    running: bool
    files_changed: float
    server: dict[str, Any] | None


@dataclass(frozen=True)
class Step:
    """One thing to do; ``why`` is for people."""

    kind: str  # read-unit, enable, start, wait, restart, reload or resume
    why: str


def decide(seen: Seen) -> Step | None:
    """The next step, None when what runs is what the files say. Pure.

    Raises PostgresError when the server refuses its files: then nothing that runs has been changed by them.
    """
    if not seen.unit_read:
        return Step("read-unit", "systemd has not read the unit")
    if not seen.unit_enabled:
        return Step("enable", "it, or a timer of it, would not start at the next boot")
    if not seen.unit_active or not seen.running:
        return Step("start", "it does not run")
    if not seen.container_current:
        return Step("restart", "the container is not the one that compose.yml describes")
    if seen.server is None:
        return Step("wait", "it does not answer yet")
    wrong = [*seen.server["errors"], *(f"pg_hba.conf, line {line}" for line in seen.server["hba_errors"])]
    if wrong:
        raise PostgresError(f"PostgreSQL refuses its files and goes on with what it had before: {'; '.join(wrong)}")
    if seen.server["loaded"] <= seen.files_changed:
        later = (
            f"; then a restart for {', '.join(seen.server['needs_restart'])}" if seen.server["needs_restart"] else ""
        )
        return Step("reload", f"its files are newer than what it has read{later}")
    if seen.server["pending_restart"]:
        return Step("restart", f"only a restart changes {', '.join(seen.server['pending_restart'])}")
    if seen.server["paused"]:
        return Step("resume", "its replay is paused, as a restore drill leaves it that was killed")
    return None


def look(run: Runner, timers: Sequence[str] = ()) -> Seen:
    """What is there. ``timers`` are units that belong to the server, such as those of its backups."""
    code, out, _ = run(["docker", "inspect", "--format", _INSPECT, NAME])
    running, present = [*out.split(), "", ""][:2] if code == 0 else ("", "")
    wanted = run(["docker", "compose", "--file", f"{FOLDER}/compose.yml", "config", "--hash", "postgres"])[1].split()
    properties = "--property=ActiveState,NeedDaemonReload,LoadState,UnitFileState"
    show = run(["systemctl", "show", properties, UNIT, *timers])[1]
    # One block for each unit, in the order asked for.
    units = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in show.strip().split("\n\n")]
    unit = units[0]
    server = None
    if running == "true":
        try:
            server = Server(run).ask(_QUESTION)
        except PostgresError:
            server = None
    return Seen(
        unit_read=all(entry.get("LoadState") == "loaded" and entry.get("NeedDaemonReload") == "no" for entry in units),
        unit_enabled=all(entry.get("UnitFileState") == "enabled" for entry in units)
        and all(entry.get("ActiveState") == "active" for entry in units[1:]),
        unit_active=unit.get("ActiveState") == "active",
        container_current=bool(wanted) and wanted[-1] == present,
        running=running == "true",
        files_changed=changed([f"{FOLDER}/{name}" for name in READ_ON_RELOAD]),
        server=server,
    )


_INSPECT = '{{.State.Running}} {{index .Config.Labels "com.docker.compose.config-hash"}}'


def changed(paths: Sequence[str]) -> float:
    """When the newest of some files was put in its place, be it by moving it there: the time of its inode."""
    return max((os.stat(path).st_ctime for path in paths if os.path.exists(path)), default=0.0)


@dataclass
class Service:
    """Carries steps out. ``pause`` sleeps some seconds, ``seconds`` is how long the server may take for a step."""

    run: Runner
    seconds: int
    timers: Sequence[str] = ()
    pause: Callable[[float], None] = time.sleep

    def settle(self, check_mode: bool) -> tuple[list[Step], str]:
        """All steps taken, or in check mode the next one, and why the server stays down if it has to.

        Raises PostgresError when it does not come up, or refuses its files.
        """
        steps: list[Step] = []
        for _ in range(MOST_STEPS):
            step = decide(look(self.run, self.timers))
            if step is None:
                return steps, ""
            if step.kind == "start":
                verdict, said, _ = self.run([START, "check"])
                if verdict == HELD:
                    return steps, said.strip()
            if check_mode:
                return [step], ""
            if step.kind != "wait":
                steps.append(step)
            held = self._take(step)
            if held:
                return steps, held
        raise PostgresError(f"PostgreSQL does not settle: after {MOST_STEPS} steps it still is not what its files say.")

    def _take(self, step: Step) -> str:
        if step.kind == "read-unit":
            self._must("systemctl", "daemon-reload")
        elif step.kind == "enable":
            self._must("systemctl", "--quiet", "enable", UNIT, *self.timers)
            if self.timers:
                self._must("systemctl", "start", *self.timers)
        elif step.kind in {"start", "restart"}:
            self._must("systemctl", "restart", UNIT)
            return self._answers()
        elif step.kind == "wait":
            return self._answers()
        elif step.kind == "resume":
            Server(self.run).sql("SELECT pg_wal_replay_resume();")
        elif step.kind == "reload":
            before = changed([f"{FOLDER}/{name}" for name in READ_ON_RELOAD])
            Server(self.run).sql("SELECT pg_reload_conf();")
            self._until(
                lambda: Server(self.run).ask("SELECT to_json(extract(epoch FROM pg_conf_load_time()));") > before,
                "PostgreSQL has not read its files again",
            )
        return ""

    def _answers(self) -> str:
        """Wait until the server answers; or say why it stays down."""
        for _ in range(self.seconds * 2):
            if Server(self.run).answers():
                return ""
            state = self.run(["systemctl", "show", "--property=ActiveState,ExecMainStatus", UNIT])[1]
            if "ActiveState=failed" in state and f"ExecMainStatus={HELD}" in state:
                return _why().removeprefix("stays down: ")
            self.pause(0.5)
        why = _why()
        if why.startswith("waits: "):
            raise PostgresError(f"PostgreSQL {why}")
        logs = self.run(["docker", "logs", "--tail", "5", NAME])
        told = " / ".join((logs[2] or logs[1]).split("\n")[-5:]).strip()
        raise PostgresError(
            f"PostgreSQL does not answer within {self.seconds} s. Its last words (docker logs {NAME}): {told}"
        )

    def _until(self, holds: Callable[[], bool], otherwise: str) -> None:
        for _ in range(self.seconds * 5):
            if holds():
                return
            self.pause(0.2)
        raise PostgresError(f"{otherwise} within {self.seconds} s (see `docker logs {NAME}`).")

    def _must(self, *words: str) -> None:
        code, out, error = self.run(words)
        if code != 0:
            raise PostgresError(f"{' '.join(words)} failed: {(error or out).strip()}")


def _why() -> str:
    try:
        with open(_WHY, encoding="utf-8") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""
