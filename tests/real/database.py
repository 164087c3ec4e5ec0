"""The lab's pair of databases, and a client of it, as tests and benchmarks use them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.launcher import launcher, on, succeed

MEMBERS = ("db-primary", "db-replica")
#: Where the client runs.
CLIENT = "app-01"
CONTAINER = "bulwark-postgres"
#: The published URL for writing, by the name that the role database_client has given it.
SERVICE = "service=rails_production"

_PROGRAM = (Path(__file__).parent / "writer.py").read_text()


def sql(host: str, statement: str, database: str = "postgres") -> str:
    """What a statement gives on a member, as the superuser there."""
    words = ["docker", "exec", "-u", "999:999", CONTAINER, "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres"]
    return on(host, *words, "-d", database, "-c", statement)


def primaries() -> list[str]:
    """Members that take writes."""
    found = []
    for host in MEMBERS:
        answer = launcher(
            *("exec", host, "docker", "exec", "-u", "999:999", CONTAINER, "psql", "-XAtq", "-U", "postgres"),
            *("-c", "SELECT pg_is_in_recovery()"),
        )
        if answer.code == 0 and answer.text.strip() == "f":
            found.append(host)
    return found


def primary() -> str:
    (host,) = primaries()
    return host


def other(host: str) -> str:
    return MEMBERS[1 - MEMBERS.index(host)]


def streaming(host: str) -> bool:
    """Whether the other member streams from this one."""
    return sql(host, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == "1"


def until(holds: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Wait for it. The limit only ends what hangs."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what} does not come true"
        time.sleep(0.5)


def play(verb: str, *words: str) -> str:
    """Run one of the playbooks that take the environment's name."""
    return succeed("run", f"playbooks/{verb}.yml", "-e", "confirm=lab", *words)


def power(host: str, state: str) -> None:
    """Switch a server on or off as if by its button: at once."""
    action = {"on": "poweron", "off": "poweroff"}[state]
    succeed("shell", feed=f"hcloud server {action} {host}")


@dataclass
class Writer:
    """A client that writes row after row by the published URL, and remembers what was acknowledged."""

    name: str

    @property
    def file(self) -> str:
        return f"/tmp/{self.name}.rows"

    def _run(self, what: str) -> list[str]:
        return ["/usr/bin/python3", "/tmp/writer.py", what, "--url", SERVICE, "--out", self.file]

    def start(self) -> None:
        succeed("exec", CLIENT, "sh", "-c", "cat >/tmp/writer.py", feed=_PROGRAM)
        on(CLIENT, "systemd-run", "--quiet", "--collect", f"--unit={self.name}", "--uid=deployer", *self._run("write"))
        until(lambda: self.acknowledged() > 0, "a first row")

    def acknowledged(self) -> int:
        lines = launcher("exec", CLIENT, "wc", "-l", self.file).text.split()
        return int(lines[0]) - 1 if lines and lines[0].isdigit() else 0

    def goes_on(self) -> None:
        """Wait until it has written again."""
        before = self.acknowledged()
        until(lambda: self.acknowledged() > before + 5, "a row after what happened")

    def stop(self) -> None:
        launcher("exec", CLIENT, "systemctl", "stop", self.name)

    def report(self) -> dict[str, Any]:
        """How many rows were acknowledged, which of them are gone, and the longest time without one."""
        words = " ".join(f"'{word}'" for word in self._run("report"))
        found: dict[str, Any] = json.loads(on(CLIENT, "su", "-s", "/bin/sh", "deployer", "-c", words))
        return found


@contextmanager
def writer(name: str) -> Iterator[Writer]:
    """Writes until the end of the block."""
    client = Writer(name)
    client.start()
    try:
        yield client
    finally:
        client.stop()
