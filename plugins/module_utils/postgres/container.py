# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of PostgreSQL in its container: in the one that runs, or in one for a single command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

#: What a query gives.
Json = Any

NAME = "bulwark-postgres"
UNIT = "bulwark-postgres.service"
#: Whom the image's database user is, by number.
USER = 999
#: What the container and the host both call by the same names.
FOLDER = "/etc/bulwark/postgres"
DATA = "/var/lib/postgresql"
#: The data, the configuration, and whom the host trusts.
MOUNTS = (f"{DATA}:{DATA}", f"{FOLDER}:{FOLDER}:ro", "/etc/ssl/certs:/etc/ssl/certs:ro")

# What is sent may hold a verifier: never in the server's log, not even when a statement fails or takes long.
_QUIET = "-c log_statement=none -c log_min_duration_statement=-1 -c log_min_error_statement=panic -c log_duration=off"


class PostgresError(Exception):
    """Something could not be done; the message says what, and what the program said."""


class NotSetUpError(PostgresError):
    """The role has not been applied to this host."""


class Runner(Protocol):
    """Runs a program by list, feeds it a text, and returns its exit code, what it printed, and its errors."""

    def __call__(self, words: Sequence[str], feed: str = "") -> tuple[int, str, str]: ...


@dataclass(frozen=True)
class Server:
    """The container that runs, under its name."""

    run: Runner
    name: str = NAME

    def sql(self, script: str, database: str = "postgres") -> str:
        """What a script prints. It goes through standard input: no secret in it shows in a list of processes."""
        code, out, error = self._psql(script, database)
        if code != 0:
            raise PostgresError(f"PostgreSQL refused: {_last(error)}")
        return out.strip()

    def ask(self, query: str, database: str = "postgres") -> Json:
        """The one JSON value that a query gives."""
        return json.loads(self.sql(query, database))

    def answers(self) -> bool:
        """Whether the server takes connections."""
        return self._psql("SELECT 1;", "postgres")[0] == 0

    def program(self, *words: str) -> tuple[int, str, str]:
        """Run another of the container's programs, as the server's user."""
        return self.run(["docker", "exec", "--user", f"{USER}:{USER}", self.name, *words])

    def _psql(self, script: str, database: str) -> tuple[int, str, str]:
        psql = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-f", "-"]
        return self.run(
            ["docker", "exec", "-i", "--user", f"{USER}:{USER}", "--env", f"PGOPTIONS={_QUIET}", self.name, *psql],
            feed=script,
        )


@dataclass(frozen=True)
class Image:
    """The image, for programs that run once."""

    run: Runner
    name: str
    tmpfs: Sequence[str] = field(default=())

    def program(self, *words: str, network: bool = False) -> tuple[int, str, str]:
        """Run one program with the data and the configuration where the server has them, as the server's user."""
        options = ["--rm", "--user", f"{USER}:{USER}", "--network", "host" if network else "none", "--cap-drop", "ALL"]
        options += [word for path in self.tmpfs for word in ("--tmpfs", path)]
        options += [word for mount in MOUNTS for word in ("--volume", mount)]
        return self.run(["docker", "run", *options, "--entrypoint", words[0], self.name, *words[1:]])

    def must(self, doing: str, *words: str, network: bool = False) -> str:
        """As program(), for what has to succeed."""
        code, out, error = self.program(*words, network=network)
        if code != 0:
            raise PostgresError(f"{doing} failed: {_last(error or out)}")
        return out


def image(run: Runner, name: str, major: int) -> Image:
    """The image of a major version. Up to 17 it declares a volume of its own below the data, which nothing needs."""
    return Image(run, name, ("/var/lib/postgresql/data",) if major < 18 else ())


def deployed(run: Runner) -> tuple[Image, int]:
    """The image that this member's server runs in, and its major version, as the role has left them.

    Raises NotSetUpError on a host that the role has not been applied to.
    """
    try:
        with open(f"{FOLDER}/members.json", encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        raise NotSetUpError("This server has not been set up as a database yet: run playbooks/site.yml.") from None
    major = int(str(found["pgdata"]).split("/")[-2])
    return image(run, str(found["image"]), major), major


def data_directory(major: int) -> str:
    """PGDATA: beside it there is room for the next major version's."""
    return f"{DATA}/{major}/data"


def _last(said: str) -> str:
    lines = [line.strip() for line in said.strip().splitlines() if line.strip()]
    return " / ".join(lines[-3:])[-600:] if lines else "it said nothing"
