# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the monitoring, put in place when the programs that read them have accepted all of them, or not at all.

Runs on the host: standard library only.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from .. import config_files
from ..config_files import Change, Entry, RefusedError
from .web import Web

TRIAL = "bulwark-monitoring-trial"
#: Seconds that an exporter has to log in to the database, which is more than its own time limit for a connection.
LOGIN_SECONDS = 15
#: By which words a login is one that can never work, rather than one that finds nobody at home.
FINAL = (
    "authentication failed",
    "no pg_hba.conf entry",
    "x509:",
    "certificate",
    "does not exist",
    "SSL is not enabled",
)


class Runner(Protocol):
    """Runs a program by list and returns its exit code, what it printed, and its errors."""

    def __call__(self, words: Sequence[str], feed: str = "") -> tuple[int, str, str]: ...


@dataclass(frozen=True)
class Place:
    """Where files go. ``mounts``: where the container of each part sees its folder; ``users``: as whom it runs."""

    folder: str
    project: str
    mounts: Mapping[str, str]
    users: Mapping[str, int]

    @property
    def staged(self) -> str:
        """Beside it, on the same file system, and as closed."""
        return f"{self.folder}.new"


def entries(
    place: Place,
    files: Sequence[Mapping[str, Any]],
    secrets: Mapping[str, str],
    folders: Sequence[Mapping[str, Any]],
) -> list[Entry]:
    """What is declared, as the module config_files has it. A secret is its container's user's alone."""
    found = []
    for folder in folders:
        owner = int(folder["owner"])
        found.append(Entry(folder["path"], None, int(folder["mode"], 8), owner, owner))
    for file in files:
        found.append(Entry(f"{place.folder}/{file['path']}", file["content"], int(file["mode"], 8), 0, 0))
    for path, content in secrets.items():
        owner = place.users[path.split("/")[0]]
        found.append(Entry(f"{place.folder}/{path}", content, 0o400, owner, owner, secret=True))
    return found


def plan(place: Place, declared: Sequence[Entry]) -> list[Change]:
    """What differs. Files below the folder that are not declared go: a rule that was taken out must fire no more."""
    wanted = {entry.path for entry in declared}
    absent = sorted(path for path in _present(place.folder) if path not in wanted)
    paths = [*wanted, *absent]
    return config_files.plan(declared, absent, {path: config_files.read(path) for path in paths})


def _present(folder: str) -> Iterator[str]:
    for root, _, names in os.walk(folder):
        yield from (os.path.join(root, name) for name in names)


def touched(place: Place, changes: Sequence[Change]) -> set[str]:
    """Parts, or files at the top, that a plan changes."""
    return {
        change.path.removeprefix(f"{place.folder}/").split("/")[0]
        for change in changes
        if change.path.startswith(f"{place.folder}/")
    }


def clear(place: Place) -> None:
    """Take away what a run that was killed has laid out."""
    shutil.rmtree(place.staged, ignore_errors=True)


@contextmanager
def staged(place: Place, declared: Sequence[Entry]) -> Iterator[str]:
    """All files as they will be, beside their places, for as long as the context lasts."""
    clear(place)
    try:
        moved = [
            Entry(entry.path.replace(place.folder, place.staged, 1), entry.content, entry.mode, entry.uid, entry.gid)
            for entry in declared
            if entry.path == place.folder or entry.path.startswith(f"{place.folder}/")
        ]
        config_files.apply(config_files.plan(moved, [], {entry.path: None for entry in moved}), _no_checks)
        yield place.staged
    finally:
        clear(place)


def _no_checks(words: Sequence[str]) -> tuple[int, str]:
    raise AssertionError(words)


def fetch(run: Runner, images: Sequence[str]) -> None:
    """Have all images before anything is changed. Raises RefusedError for the first that cannot be had."""
    for image in images:
        if run(["docker", "image", "inspect", image])[0] == 0:
            continue
        code, out, error = run(["docker", "pull", "--quiet", image])
        if code != 0:
            raise RefusedError(f"{image} cannot be had, so nothing was changed: {last_words(error or out)}")


def check(run: Runner, place: Place, folder: str, checks: Sequence[Mapping[str, Any]], parts: set[str]) -> None:
    """Have the programs read the staged files of the given parts.

    Raises RefusedError with the first program's own words.
    """
    for entry in checks:
        part = entry["part"]
        if part not in parts:
            continue
        words = ["docker", "run", "--rm", "--network", "none", "--cap-drop", "ALL", "--read-only"]
        words += ["--user", str(place.users[part]), "--volume", f"{folder}/{part}:{place.mounts[part]}:ro"]
        code, out, error = run([*words, "--entrypoint", entry["words"][0], entry["image"], *entry["words"][1:]])
        if code == 0:
            continue
        said = last_words(f"{out}\n{error}")
        # Docker's own codes: it could not start the program.
        if code in {125, 126, 127}:
            raise RefusedError(f"{entry['image']} does not run, so nothing was changed: {said}")
        raise RefusedError(
            f"The new files of {part} are not put in place, because {entry['refuses']}; what runs goes on as it "
            f"was: {said}"
        )


def last_words(said: str) -> str:
    """What matters of a program's output, on one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    wrong = [line for line in lines if "FAILED" in line or "rror" in line or "level=ERROR" in line]
    return " / ".join((wrong or lines)[-4:])[-700:] or "it said nothing"


@dataclass(frozen=True)
class Login:
    """Whether an exporter can log in, tried with an exporter that nobody else knows of."""

    run: Runner
    web: Web
    place: Place
    pause: Callable[[float], None] = time.sleep

    def attempt(self, folder: str, part: str, trials: Sequence[Mapping[str, Any]]) -> list[str]:
        """Sentences about members that do not answer, which may be down for a good reason.

        Raises RefusedError when a member refuses the login, or is not who it should be.
        """
        notes = []
        for trial in trials:
            why = self._why_not(folder, part, trial)
            if why and any(word in why for word in FINAL):
                raise RefusedError(
                    f"The new login for {trial['member']} is not put in place, because that refuses it; what runs goes "
                    f"on as it was: {why}. Correct the password or the certificate, or give them to the database first."
                )
            if why:
                notes.append(f"{trial['member']} could not be asked for metrics: {why}.")
        return notes

    def _why_not(self, folder: str, part: str, trial: Mapping[str, Any]) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            listens = f"127.0.0.1:{free.getsockname()[1]}"
        words = ["docker", "run", "--detach", "--name", TRIAL, "--network", "host", "--cap-drop", "ALL", "--read-only"]
        # So that it goes like any other that is not declared, if this run is killed.
        words += ["--label", f"com.docker.compose.project={self.place.project}"]
        words += ["--user", str(self.place.users[part]), "--volume", f"{folder}/{part}:{self.place.mounts[part]}:ro"]
        words += [word for name, value in trial["environment"].items() for word in ("--env", f"{name}={value}")]
        self.run(["docker", "rm", "--force", TRIAL])
        code, out, error = self.run([*words, trial["image"], f"--web.listen-address={listens}"])
        try:
            if code != 0:
                raise RefusedError(f"{trial['image']} does not run, so nothing was changed: {last_words(error or out)}")
            return self._until_up(f"http://{listens}/metrics")
        finally:
            self.run(["docker", "rm", "--force", TRIAL])

    def _until_up(self, url: str) -> str:
        """An empty sentence once it has logged in, else why it has not."""
        why = "no answer"
        for _ in range(LOGIN_SECONDS * 2):
            answer = self.web.get(url)
            if answer.sample("pg_up") == 1:
                return ""
            if answer.ok:
                _, out, error = self.run(["docker", "logs", "--tail", "20", TRIAL])
                why = reason(f"{out}\n{error}")
                if any(word in why for word in FINAL):
                    return why
            self.pause(0.5)
        return why


#: A field of logfmt, in quotation marks where there are blanks in it; the connection's own description is left out.
_FIELD = re.compile(r'\b(?:err|error)=(?:"((?:[^"\\]|\\.)*)"|(\S+))')
_OPENING = re.compile(r"^Error opening connection to database \(.*?\): ")


def reason(logs: str) -> str:
    """What an exporter of PostgreSQL says about a login that did not work."""
    found = _FIELD.findall(logs)
    if not found:
        return "it does not say why"
    quoted, plain = found[-1]
    return _OPENING.sub("", quoted.replace('\\"', '"') or plain)
