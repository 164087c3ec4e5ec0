"""The tools that make documentation and releases; they are no part of the environment of the tests."""

from __future__ import annotations

import fcntl
from functools import cache
from pathlib import Path

from lab import settings
from tests.launcher import succeed


@cache
def tools() -> Path:
    """The folder of their programs, which the launcher sets up where they are missing."""
    settings.CACHE.mkdir(parents=True, exist_ok=True)
    with (settings.CACHE / "tools.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker of the tests may be at it
        succeed("setup", "--tools")
    return settings.CACHE / "tools/bin"
