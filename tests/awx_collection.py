"""AWX's own collection, for the tests that need it: it is no part of the environment of the tests."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from lab import settings
from tests.checkout import ROOT

LOCKED = ROOT / "requirements/awx.txt"


def awx_collection() -> Path:
    """A folder for ANSIBLE_COLLECTIONS_PATH with awx.awx in it, made once for each version of the list."""
    wanted = hashlib.sha256(LOCKED.read_bytes()).hexdigest()[:16]
    shelf = settings.CACHE / "awx-collection"
    shelf.mkdir(parents=True, exist_ok=True)
    folder = shelf / wanted
    with (shelf / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker of the tests may be at it
        if not folder.exists():
            for old in shelf.glob("*/"):
                shutil.rmtree(old)
            wheels = shelf / f"{wanted}.wheels"
            unfinished = shelf / f"{wanted}.unfinished"
            for words in (
                [
                    "-m",
                    "pip",
                    "download",
                    "--quiet",
                    "--require-hashes",
                    "--no-deps",
                    "-d",
                    str(wheels),
                    "-r",
                    str(LOCKED),
                ],
                [str(ROOT / "requirements/unpack_collections.py"), str(wheels), str(unfinished), "awx.awx"],
            ):
                done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stderr
            shutil.rmtree(wheels)
            unfinished.rename(folder)
    return folder
