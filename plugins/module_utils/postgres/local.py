# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One member, by what is done to it when parts change: its unit, its marks, its control file."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .container import NAME, UNIT, USER, Json, PostgresError, Runner, Server
from .installed import Installed
from .state import APPROVAL, FENCE, FENCE_TABLE, RECOVERED, Control, control_data

#: Held by whatever changes this member: a run that was cut off may still be at work here.
LOCK = "/run/bulwark-postgres.lock"
#: In memory: this member has been primary since the last boot, so its process may be started again unasked.
RAN_AS_PRIMARY = "/run/bulwark-postgres/primary"


@contextmanager
def alone() -> Iterator[None]:
    """Nobody else changes this member meanwhile. Raises PostgresError when somebody does."""
    with open(LOCK, "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PostgresError("An earlier run is still at work on this member: wait until it has ended.") from None
        yield


@dataclass
class Local:
    """``seconds``: how long whatever is waited for may take. ``pause`` sleeps some seconds, ``clock`` counts them."""

    run: Runner
    installed: Installed
    seconds: int
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    @property
    def server(self) -> Server:
        return Server(self.run)

    def runs(self) -> bool:
        """Whether the container runs. Raises PostgresError when Docker does not say."""
        code, out, error = self.run(["docker", "inspect", "--format", "{{.State.Running}}", NAME])
        if code != 0 and "no such" not in error.lower():
            raise PostgresError(f"Docker does not say whether PostgreSQL runs: {error.strip() or 'no answer'}")
        return out.strip() == "true"

    def control(self) -> Control:
        """What the database says of itself; it must not run."""
        return control_data(
            self.installed.image.must("Reading the control file", "pg_controldata", "--pgdata", self.installed.pgdata)
        )

    def stop(self, grace: int = 0) -> None:
        """Have PostgreSQL end by itself: it waits until its replicas have everything, or for ``grace`` seconds only."""
        if grace:
            self.run(["docker", "stop", "--time", str(grace), NAME])
        code, _, error = self.run(["systemctl", "stop", UNIT])
        if code != 0 or self.runs():
            raise PostgresError(f"PostgreSQL does not stop: {error.strip() or 'its container still runs'}")

    def start(self) -> None:
        """Start it, and wait until it answers. Raises PostgresError with the reason when it stays down."""
        code, _, error = self.run(["systemctl", "restart", UNIT])
        if code != 0:
            raise PostgresError(f"PostgreSQL does not start: {error.strip()}")
        self.until(self.server.answers, "PostgreSQL does not answer")

    def until(self, holds: Callable[[], bool], otherwise: str) -> None:
        """Wait until something holds. Raises PostgresError with what PostgreSQL, or who starts it, said last."""
        for _ in self.tries():
            if holds():
                return
        raise PostgresError(f"{otherwise} within {self.seconds} s. {self.last_words()}")

    def tries(self) -> Iterator[None]:
        """Again and again, as long as it may take."""
        deadline = self.clock() + self.seconds
        while True:
            yield
            if self.clock() >= deadline:
                return
            self.pause(0.1)

    def last_words(self) -> str:
        """What whoever starts PostgreSQL said last, and the end of its log."""
        why = Path("/run/bulwark-postgres/why")
        told = f"It {why.read_text(encoding='utf-8').strip()}. " if why.exists() else ""
        logs = self.run(["docker", "logs", "--tail", "4", NAME])
        return told + f"The end of its log: {' / '.join((logs[2] or logs[1]).strip().splitlines())}"

    @property
    def standby(self) -> bool:
        return os.path.exists(f"{self.installed.pgdata}/standby.signal")

    def make_standby(self) -> None:
        """From now on it can only start as a replica, whatever happens to this server."""
        put(f"{self.installed.pgdata}/standby.signal")
        forget(RAN_AS_PRIMARY)
        # Whoever approved a start as primary meant another time, and a restore here has nothing to go on with.
        forget(APPROVAL)
        forget(f"{os.path.dirname(self.installed.pgdata)}/{RECOVERED}")

    def make_primary(self) -> None:
        """Take that back."""
        forget(f"{self.installed.pgdata}/standby.signal")

    def fence(self) -> None:
        put(FENCE)

    def fenced(self) -> bool:
        return os.path.exists(FENCE) or self._cut_off()

    def _cut_off(self) -> bool:
        return self.run(["nft", "list", "table", "inet", FENCE_TABLE])[0] == 0

    def unfence(self) -> None:
        """It may start, and be reached, again."""
        forget(FENCE)
        if self._cut_off():
            code, _, error = self.run(["nft", "delete", "table", "inet", FENCE_TABLE])
            if code != 0:
                raise PostgresError(f"The fence of the firewall could not be taken away: {error.strip()}")

    def ask(self, query: str) -> Json:
        return self.server.ask(f"SELECT to_json({query});")


def put(path: str) -> None:
    """An empty file of the server's user, there even after a power cut."""
    with open(path, "a", encoding="utf-8") as file:
        os.fchown(file.fileno(), USER, USER)
        os.fsync(file.fileno())
    _sync_folder(path)


def forget(path: str) -> None:
    """A file that is not there, even after a power cut."""
    if os.path.exists(path):
        os.remove(path)
        _sync_folder(path)


def _sync_folder(path: str) -> None:
    handle = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
