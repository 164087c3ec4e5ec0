# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operating system waits for, and how it is: read on the host, standard library only."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring.web import Web

REBOOT_REQUIRED = Path("/run/reboot-required")
PROCESSES, KERNELS = Path("/proc"), Path("/boot")
#: What an upgrade would install, from the lists that are there.
SIMULATE = ("apt-get", "--simulate", "-o", "Debug::NoLocking=true", "-o", "APT::Get::Show-User-Simulation-Note=false")
#: Where programs and libraries of packages lie.
_INSTALLED = re.compile(r"(?: |^)(/(?:usr/)?(?:lib\w*|s?bin)/\S+) \(deleted\)$", re.MULTILINE)
#: The unit that a process belongs to; processes in containers belong to a scope.
_UNIT = re.compile(r"/([^/]+\.service)(?:/|$)", re.MULTILINE)


class UpgradeError(Exception):
    """The system does not tell what must be known; the message says what."""


class Runner(Protocol):
    """Runs a program by list and returns its exit code, what it printed, and its errors."""

    def __call__(self, words: Sequence[str], feed: str = "") -> tuple[int, str, str]: ...


@dataclass(frozen=True)
class Health:
    """How a server is. Units are services, sockets and timers that a boot starts."""

    #: What systemd says of the whole: running, degraded, starting …
    system: str = ""
    failed: tuple[str, ...] = ()
    #: Units that run, and those that do not.
    units: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    #: Names of running containers that Docker starts again.
    containers: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """What a server waits for."""

    #: Packages that an upgrade would install or replace.
    pending: tuple[str, ...] = ()
    #: Whether an upgrade was cut off, so that packages are half installed.
    unfinished: bool = False
    #: Why it has to be restarted.
    reboot: tuple[str, ...] = ()
    #: How long ago it was booted, in seconds.
    up_seconds: float = 0.0


def health(run: Runner) -> Health:
    """How it is. Raises UpgradeError when Docker does not answer."""
    kinds = "--type=service,socket,timer"
    active = set(_names(run(["systemctl", "list-units", kinds, "--state=active", *_PLAIN])[1]))
    enabled = set(_names(run(["systemctl", "list-unit-files", kinds, "--state=enabled", *_PLAIN])[1]))
    return Health(
        system=run(["systemctl", "is-system-running"])[1].strip(),
        failed=_names(run(["systemctl", "list-units", "--state=failed", *_PLAIN])[1]),
        units=tuple(sorted(active & enabled)),
        down=tuple(sorted(enabled - active)),
        containers=containers(run),
    )


def refresh(run: Runner, lock_seconds: float, pause: Callable[[float], None] = time.sleep) -> None:
    """Fetch apt's lists. Raises UpgradeError when not all of them could be had: what waits would be unknown."""
    deadline = time.monotonic() + lock_seconds
    while True:
        code, out, error = run(["apt-get", "update", "--error-on=any"])
        if code == 0:
            return
        # apt waits for the lock of packages if it is told to, and never for that of its lists.
        if "Could not get lock" not in error or time.monotonic() >= deadline:
            first = next((line for line in error.splitlines() if line.startswith("E: ")), error or out)
            raise UpgradeError(f"apt cannot fetch its lists: {_last(first.removeprefix('E: '))}")
        pause(2.0)


def read(run: Runner) -> State:
    """What it waits for. Raises UpgradeError when apt cannot tell."""
    unfinished = bool(run(["dpkg", "--audit"])[1].strip())
    code, out, error = run([*SIMULATE, "dist-upgrade"])
    if code != 0 and not unfinished:
        raise UpgradeError(f"apt cannot tell what an upgrade would do: {_last(error or out)}")
    kernels = (path.name for path in KERNELS.glob("vmlinuz-*"))
    booted = moment(run(["systemctl", "show", "--timestamp=us+utc", "--property=UserspaceTimestamp"])[1])
    return State(
        pending=packages(out),
        unfinished=unfinished,
        reboot=reasons(REBOOT_REQUIRED.exists(), platform.release(), kernels, stale()),
        up_seconds=max(0.0, time.time() - booted),
    )


_PLAIN = ("--plain", "--no-legend", "--no-pager")


def packages(simulated: str) -> tuple[str, ...]:
    """Names of what a simulated upgrade installs. Pure."""
    # Inst openssl [3.5.1-1] (3.5.1-1+deb13u1 Debian-Security:13/stable-security [arm64])
    return tuple(sorted({line.split()[1] for line in simulated.splitlines() if line.startswith("Inst ")}))


def reasons(asked: bool, running: str, kernels: Iterable[str], units: Iterable[str]) -> tuple[str, ...]:
    """Why a server has to be restarted. Pure.

    ``asked``: whether a package has asked for it. ``running``: the kernel's release; ``kernels``: names of those in
    /boot, none in a container. ``units``: those that run programs or libraries that were replaced.
    """
    found = ["an update asks for it"] if asked else []
    newest = max((name.removeprefix("vmlinuz-") for name in kernels), key=_natural, default=running)
    if _natural(newest) > _natural(running):
        found.append(f"kernel {newest} is installed and {running} runs")
    old = sorted(set(units))
    if old:
        found.append(f"{', '.join(old)} run{'s' if len(old) == 1 else ''} files that were replaced")
    return tuple(found)


def restart(state: State, reboot: str, fresh_seconds: float, touched: bool) -> list[str]:
    """Why a server is restarted, empty when it is not. Pure.

    ``reboot``: ``required`` or ``always``; with the latter one that was booted less than ``fresh_seconds`` ago counts
    as done, unless its packages were ``touched`` since.
    """
    if state.reboot or reboot != "always":
        return list(state.reboot)
    return ["as asked"] if touched or state.up_seconds > fresh_seconds else []


def _natural(version: str) -> list[tuple[int, int, str]]:
    """Numbers in a release compare as numbers."""
    parts = re.findall(r"\d+|[a-z]+", version)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def replaced(maps: str) -> bool:
    """Whether a process has a program or library of a package open that is no longer the one there. Pure."""
    return bool(_INSTALLED.search(maps))


def stale() -> list[str]:
    """Units of which a process runs files that were replaced."""
    found = []
    for process in PROCESSES.glob("[0-9]*"):
        try:
            unit = _UNIT.search((process / "cgroup").read_text())
            if unit and replaced((process / "maps").read_text(errors="replace")):
                found.append(unit[1])
        except OSError:
            continue  # it has ended
    return found


def moment(shown: str) -> float:
    """A time as ``systemctl show --timestamp=us+utc`` prints it with its name; 0 for none. Pure."""
    try:
        text = shown.strip().partition("=")[2]
        return datetime.strptime(text, "%a %Y-%m-%d %H:%M:%S.%f UTC").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def containers(run: Runner) -> tuple[str, ...]:
    """Names of containers that run and are started again; none where there is no Docker."""
    if not os.path.exists("/usr/bin/docker"):
        return ()
    code, out, error = run(["docker", "ps", "--quiet"])
    if code != 0:
        raise UpgradeError(f"Docker does not answer: {_last(error)}")
    if not out.split():
        return ()
    shown = run(["docker", "inspect", "--format", _CONTAINER, *out.split()])[1]
    return tuple(sorted(name.lstrip("/") for name, policy in map(str.split, shown.splitlines()) if policy != "no"))


_CONTAINER = "{{.Name}} {{.HostConfig.RestartPolicy.Name}}"


def wrong(now: Health, before: Mapping[str, Sequence[str]]) -> list[str]:
    """What keeps a server from being as good as before, each as a clause. Pure.

    ``before``: ``units`` and ``containers`` that ran, and units that had ``failed`` already.
    """
    found = []
    if now.system not in {"running", "degraded"}:
        found.append(f"systemd is {now.system or 'silent'}")
    failed = sorted(set(now.failed) - set(before.get("failed", ())))
    if failed:
        found.append(f"{', '.join(failed)} failed")
    # One that its package has taken away is not missed.
    down = sorted(set(before.get("units", ())) & set(now.down) - set(failed))
    if down:
        found.append(f"{', '.join(down)} ran before and not now")
    gone = sorted(set(before.get("containers", ())) - set(now.containers))
    if gone:
        found.append(f"the container{'s' * (len(gone) > 1)} {', '.join(gone)} ran before and not now")
    return found


def gate(
    run: Runner,
    before: Mapping[str, Sequence[str]],
    urls: Sequence[str],
    seconds: float,
    web: Web | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Wait until a server is as good as before and answers at ``urls``; what is still wrong after ``seconds``."""
    web = web or Web()
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = wrong(health(run), before)
        except UpgradeError as error:
            found = [str(error)]
        if not found:
            answers = {url: web.get(url) for url in urls}
            found = [
                f"{url} does not answer ({answer.reason or answer.status})"
                for url, answer in answers.items()
                if not answer.ok
            ]
        if not found or time.monotonic() >= deadline:
            return found
        pause(1.0)


def _names(listing: str) -> tuple[str, ...]:
    return tuple(sorted({line.split()[0] for line in listing.splitlines() if line.strip()}))


def _last(text: str) -> str:
    return " / ".join(line.strip() for line in text.splitlines() if line.strip())[-400:] or "it said nothing"
