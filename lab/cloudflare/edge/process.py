"""The edge's process, which goes on when the API's process does not."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from lab import settings
from lab.command import CommandError, end
from lab.net import internet, namespaces

log = logging.getLogger(__name__)

_MODULE = "lab.cloudflare.edge"
_PID_FILE = settings.CLOUDFLARE / "edge.pid"
LOG_FILE = settings.CLOUDFLARE / "edge.log"
_STOP_SECONDS = 6
_LOOK_SECONDS = 1


@cache
def _version() -> str:
    """Of the code that is there now: a process of other code is replaced."""
    package = Path(__file__).parents[2]
    sources = [package / "settings.py", *sorted((package / "cloudflare").rglob("*.py"))]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


def _words() -> list[str]:
    return ["-m", _MODULE, str(settings.CLOUDFLARE), _version()]


def pid(words: list[str] | None = None) -> int | None:
    """The process that serves the edge of this lab, None when none does; with ``words`` only one called so."""
    try:
        number = int(_PID_FILE.read_text())
    except (OSError, ValueError):
        return None
    return number if _is_called(number, words or _words()[:-1]) else None


def _is_called(number: int, words: list[str]) -> bool:
    try:
        found = Path(f"/proc/{number}/cmdline").read_text().split("\0")[1:-1]
    except (OSError, ValueError):
        return False
    return found[: len(words)] == words


def ensure() -> None:
    """Have it run, from the code that is there now."""
    if pid(_words()) is not None:
        return
    if not end(pid, _STOP_SECONDS):
        raise CommandError(f"the edge (process {pid()}) does not end")
    # One whose number was never written down holds the ports: who started it was killed just then.
    for stray in namespaces.processes(internet.NAME):
        if _is_called(stray, _words()[:-1]):
            with suppress(ProcessLookupError):
                os.kill(stray, signal.SIGKILL)
    with LOG_FILE.open("ab") as output:
        process = subprocess.Popen(
            ["ip", "netns", "exec", internet.NAME, sys.executable, *_words()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )
    # `ip` becomes the program it is to start, under the same number.
    _PID_FILE.write_text(str(process.pid))
    _children.append(process)


#: Ended ones must be waited for, or they stay as dead entries.
_children: list[subprocess.Popen[bytes]] = []


async def supervise() -> None:
    """Start it again whenever it has ended."""
    while True:
        _children[:] = [child for child in _children if child.poll() is None]
        try:
            await asyncio.to_thread(ensure)
        except (OSError, CommandError) as error:
            log.error("the edge could not be started: %s", error)
        await asyncio.sleep(_LOOK_SECONDS)
