"""Running the machine's own programs: by list, with their error text kept."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress


class CommandError(Exception):
    """A program failed; the message says which one and what it said."""


def run(*words: str, feed: str | None = None, check: bool = True) -> str:
    """Run a program to its end and return what it printed; ``feed`` goes to its standard input.

    Raises CommandError when it is missing, or fails while ``check`` holds.
    """
    try:
        done = subprocess.run(words, input=feed, capture_output=True, text=True, check=False)
    except FileNotFoundError as missing:
        raise CommandError(f"{words[0]}: not installed") from missing
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise CommandError(f"{' '.join(words)}: exit {done.returncode}: {said}")
    return done.stdout


def batch(words: Sequence[str], lines: Sequence[str]) -> None:
    """Feed a program such as ``ip -batch -`` all its lines in one execution."""
    if lines:
        run(*words, feed="\n".join(lines) + "\n")


def end(find: Callable[[], int | None], seconds: float) -> bool:
    """End the process that ``find`` knows the ID of: ask it (SIGTERM), after half the time make it (SIGKILL).

    Returns whether it is gone.
    """
    number = find()
    if number is None:
        return True
    began = time.monotonic()
    wanted = signal.SIGTERM
    with suppress(ProcessLookupError):
        os.kill(number, wanted)
    while find() == number:
        passed = time.monotonic() - began
        if passed > seconds:
            return False
        if passed > seconds / 2 and wanted is signal.SIGTERM:
            wanted = signal.SIGKILL
            with suppress(ProcessLookupError):
                os.kill(number, wanted)
        time.sleep(0.02)
    return True
