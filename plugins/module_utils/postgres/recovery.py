# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery from backups in a place of its own, beside the database that runs: nothing touches that before it has
worked.

A server without a network port, in a container of its own, recovers there. What it made is then moved to where the
database lies, or looked at and thrown away.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from . import repository
from .container import DATA, FOLDER, MOUNTS, USER, Image, PostgresError, Runner, Server, data_directory
from .state import APPROVAL, RECOVERED, REPLACED, restoring_mark

SCRATCH = "bulwark-postgres-scratch"
KINDS = ("latest", "time", "xid", "name", "lsn", "immediate")
#: What has to stay free on the volume after the backup has been written there, in bytes.
RESERVE = 1024**3

_FACTS = """
SELECT json_build_object('timeline', (pg_control_checkpoint()).timeline_id,
  'recovered_to', coalesce(to_char(pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD
  HH24:MI:SS.US"Z"'), ''));
"""


@dataclass(frozen=True)
class Target:
    """Up to which moment: ``value`` is a time with its zone, a transaction, a restore point's name or an LSN.

    ``backup`` is the label of the one to start from, empty for the newest that fits; ``timeline`` is one of
    PostgreSQL's
    words or a number.
    """

    kind: str = "latest"
    value: str = ""
    backup: str = ""
    timeline: str = "latest"


_FORMS = {
    # Without a zone a time means something else on every machine.
    "time": (
        r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:?\d\d)?)",
        "a time with its zone, like 2026-11-26 14:05:00+00",
    ),
    "xid": (r"\d{1,20}", "the number of a transaction"),
    "name": (r"[^\x00-\x1f]{1,63}", "the name that pg_create_restore_point was given"),
    "lsn": (r"[0-9A-F]{1,8}/[0-9A-F]{1,8}", "a position in the WAL, like 0/3000148"),
}


def check(target: Target) -> None:
    """Raises PostgresError for a target that is none."""
    if target.kind not in KINDS:
        raise PostgresError(f"There is no target {target.kind!r}: use {', '.join(KINDS)}.")
    form = _FORMS.get(target.kind)
    if form and not re.fullmatch(form[0], target.value):
        raise PostgresError(f"The target {target.kind} needs {form[1]}, and {target.value!r} is none.")
    if not form and target.value:
        raise PostgresError(f"The target {target.kind} takes no value: leave {target.value!r} out.")
    if target.backup and not re.fullmatch(r"\d{8}-\d{6}F(_\d{8}-\d{6}[DI])?", target.backup):
        raise PostgresError(f"{target.backup!r} is not the label of a backup, like 20261126-021500F.")
    if not re.fullmatch(r"latest|current|\d{1,10}", target.timeline):
        raise PostgresError(f"{target.timeline!r} is no timeline: use latest, current or a number.")


def restore_command(target: Target, folder: str, action: str = "promote") -> list[str]:
    """The command that writes the backup to ``folder``, with what PostgreSQL is to do at the target. Pure."""
    words = [f"--pg1-path={folder}", f"--target-timeline={target.timeline}"]
    if target.kind == "latest":
        words.append("--type=default")
    else:
        words += [f"--type={target.kind}", f"--target-action={action}"]
        words += [f"--target={_written(target)}"] if target.value else []
        words += ["--target-exclusive"] if target.kind == "lsn" else []
    if target.backup:
        words.append(f"--set={target.backup}")
    return repository.command(*words, "restore")


def _written(target: Target) -> str:
    """The value as pgBackRest reads it: a time with seconds, a blank between date and time, and a zone of digits."""
    if target.kind != "time":
        return target.value
    value = re.sub(r"Z$", "+00", target.value.replace("T", " "))
    return re.sub(r"^(\S+ \d\d:\d\d)(?!:)", r"\1:00", value)


@dataclass
class Scratch:
    """The recovery in its own place. ``seconds`` is how long it may take; ``pause`` sleeps."""

    image: Image
    major: int
    seconds: int = 24 * 3600
    pause: Callable[[float], None] = time.sleep
    run: Runner = field(init=False)

    def __post_init__(self) -> None:
        self.run = self.image.run

    @property
    def folder(self) -> str:
        return f"{DATA}/{self.major}/restored"

    @property
    def server(self) -> Server:
        return Server(self.run, SCRATCH)

    def make(self, target: Target, action: str = "promote") -> None:
        """Write the backup. What an earlier recovery left is removed first."""
        check(target)
        self.remove()
        self._must_fit()
        os.makedirs(os.path.dirname(self.folder), exist_ok=True)
        os.mkdir(self.folder, 0o700)
        for path in (os.path.dirname(self.folder), self.folder):
            os.chown(path, USER, USER)
        code, out, error = self.image.program(*restore_command(target, self.folder, action), network=True)
        if code != 0:
            raise PostgresError(f"The backup cannot be restored: {repository.told(error or out)}")

    def _must_fit(self) -> None:
        code, out, error = self.image.program(*repository.command("info", "--output=json"), network=True)
        if code != 0:
            raise PostgresError(f"The backups cannot be looked at: {repository.told(error or out)}")
        found = repository.read(out)
        if not found.backups:
            raise PostgresError("The object storage holds no backup of this database, so there is nothing to restore.")
        free = shutil.disk_usage(DATA).free
        if found.bytes + RESERVE > free:
            raise PostgresError(
                f"The backup needs {found.bytes / 1024**3:.1f} GB beside the database, and {free / 1024**3:.1f} GB are "
                f"free on the volume: enlarge it in the topology, or remove {DATA}/{self.major}/{REPLACED} if an "
                "earlier restore left it."
            )

    def start(self, **settings: str) -> None:
        """Start the server there: no port, no archiving, no primary, little memory."""
        get = [f"--pg1-path={self.folder}", "--no-archive-async", "archive-get", "%f", '"%p"']
        # 1 says that there is no such segment, and the recovery ends there. A failure to look must not be taken for
        # that:
        # from 126 on PostgreSQL gives up instead.
        command = f"{' '.join(repository.command(*get))}; code=$?; [ $code -le 1 ] && exit $code; exit 200"
        values = {
            "archive_mode": "off",
            "cluster_name": "scratch",
            "listen_addresses": "",
            "primary_conninfo": "",
            "primary_slot_name": "",
            "restore_command": command,
            "shared_buffers": "128MB",
            "ssl": "off",
            "synchronous_standby_names": "",
        } | settings
        self.run(["docker", "rm", "--force", SCRATCH])
        options = ["--detach", "--name", SCRATCH, "--user", f"{USER}:{USER}", "--network", "host", "--cap-drop", "ALL"]
        options += ["--init", "--stop-signal", "SIGINT", "--tmpfs", f"/run/postgresql:uid={USER},gid={USER},mode=0755"]
        options += [word for path in ("/tmp", *self.image.tmpfs) for word in ("--tmpfs", path)]  # noqa: S108 because it is the container's own
        options += [word for mount in MOUNTS for word in ("--volume", mount)]
        options += ["--env", f"PGDATA={self.folder}", "--entrypoint", "postgres", self.image.name]
        options += ["-c", f"config_file={FOLDER}/postgresql.conf"]
        options += [word for name, value in values.items() for word in ("-c", f"{name}={value}")]
        code, out, error = self.run(["docker", "run", *options])
        if code != 0:
            raise PostgresError(f"The recovery could not be started: {(error or out).strip()[-300:]}")

    def until(self, query: str) -> None:
        """Wait until a query gives true. Raises PostgresError when the server ends before that."""
        for _ in range(self.seconds * 2):
            try:
                if self.server.sql(query) == "t":
                    return
            except PostgresError:
                if self.run(["docker", "inspect", "--format", "{{.State.Running}}", SCRATCH])[1].strip() != "true":
                    raise PostgresError(f"The recovery failed: {self._last_words()}") from None
            self.pause(0.5)
        raise PostgresError(f"The recovery has not ended within {self.seconds} s: {self._last_words()}")

    def _last_words(self) -> str:
        _, out, error = self.run(["docker", "logs", "--tail", "50", SCRATCH])
        said = out + error
        if re.search(r"ERROR: +\[\d{3}\]", said):
            return repository.told(said)
        if "before configured recovery target was reached" in said:
            return (
                "what is archived ends before the target is reached. Restore to `latest` to see how far it goes, or "
                "name an earlier target."
            )
        if "before consistent recovery point" in said:
            return "the target lies before the end of the backup: name an older backup to start from."
        found = [line for line in said.splitlines() if re.search(r"FATAL|PANIC|ERROR", line)]
        return " / ".join((found or said.splitlines())[-2:])[-400:] or "it said nothing"

    def stop(self) -> None:
        """End it in order, so that its files are complete."""
        self.run(["docker", "stop", "--time", "120", SCRATCH])
        self.run(["docker", "rm", "--force", SCRATCH])

    def remove(self) -> None:
        """Throw everything away."""
        self.run(["docker", "rm", "--force", SCRATCH])
        for path in (f"{DATA}/{self.major}/{RECOVERED}", self.folder):
            if os.path.isdir(path):
                shutil.rmtree(path)
            elif os.path.lexists(path):
                os.remove(path)

    def recover(self, target: Target) -> dict[str, Any]:
        """A complete database at the target, in its own place; nothing to do for a restore that has got further
        already.

        What an interrupted recovery left is never used: nobody knows what has happened since.
        """
        begun = self.mark()
        if begun and begun["phase"] != "recovered":
            if begun["target"] != asdict(target):
                told = f"{begun['target']['kind']} {begun['target']['value']}".rstrip()
                raise PostgresError(f"A restore to {told} has not ended: repeat that one first, with the same target.")
            return begun
        self.make(target)
        self.start()
        self.until("SELECT NOT pg_is_in_recovery();")
        # The timeline in the control file is the new one only after a checkpoint.
        self.server.sql("CHECKPOINT;")
        facts: dict[str, Any] = self.server.ask(_FACTS)
        self.stop()
        # What was only meant for this recovery must not be read by the next start, nor by the next backup.
        _write(f"{self.folder}/postgresql.auto.conf", "# Settings are in postgresql.conf\n")
        return self._remember({"target": asdict(target), **facts}, "recovered")

    def mark(self) -> dict[str, Any] | None:
        """How far a restore has got that has not ended."""
        return restoring_mark(self.major)

    def put_in_place(self, mark: Mapping[str, Any]) -> None:
        """Make what was recovered the database; the server must not run. What was there before is kept beside it."""
        self._remember(mark, "placing")
        final, kept = data_directory(self.major), f"{DATA}/{self.major}/{REPLACED}"
        if os.path.isdir(self.folder):
            if os.path.isdir(final):
                if os.path.isdir(kept):
                    shutil.rmtree(kept)
                os.rename(final, kept)
            os.rename(self.folder, final)
        # Archiving was off when this timeline began, so its history has still to go to the archive.
        _write(f"{final}/pg_wal/archive_status/{mark['timeline']:08X}.history.ready", "")
        # The other member knows only what has just been replaced.
        _write(APPROVAL, "")
        self._remember(mark, "placed")

    def finish(self) -> bool:
        """The restore has ended, on all members: from now on another one may begin. Whether there was one."""
        if self.mark() is None:
            return False
        os.remove(f"{DATA}/{self.major}/{RECOVERED}")
        return True

    def _remember(self, mark: Mapping[str, Any], phase: str) -> dict[str, Any]:
        path = f"{DATA}/{self.major}/{RECOVERED}"
        written = {**mark, "phase": phase}
        _write(f"{path}.new", json.dumps(written))
        os.replace(f"{path}.new", path)
        return written


def _write(path: str, content: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)
    os.chown(path, USER, USER)
