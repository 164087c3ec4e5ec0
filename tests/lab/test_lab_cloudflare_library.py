"""Cloudflare's own client for Python works with the embedded one, unchanged."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab import settings
from tests.checkout import ROOT
from tests.lab.cloudflare_api import CloudflareApi
from tests.lab.edge import signing_request

LOCKED = ROOT / "requirements/cloudflare.txt"


@pytest.fixture(scope="session")
def library() -> Path:
    """A folder with the client in it, installed once for each version of the list and of Python."""
    wanted = hashlib.sha256(LOCKED.read_bytes() + sys.version.encode()).hexdigest()[:16]
    shelf = settings.CACHE / "cloudflare-library"
    shelf.mkdir(parents=True, exist_ok=True)
    folder = shelf / wanted
    with (shelf / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker of the tests may be at it
        if not folder.exists():
            for old in shelf.glob("*/"):
                shutil.rmtree(old)
            unfinished = shelf / f"{wanted}.unfinished"
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps"]
            done = subprocess.run(
                [*pip, "--target", str(unfinished), "-r", str(LOCKED)], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            unfinished.rename(folder)
    return folder


def test_the_vendors_library_works_unchanged(cloudflare: CloudflareApi, library: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/lab/cloudflare_client.py")],
        input=signing_request()[0],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(library),
            "PYTHONDONTWRITEBYTECODE": "1",
            "CLOUDFLARE_BASE_URL": cloudflare.url,
            "CLOUDFLARE_API_TOKEN": cloudflare.token,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "token": "active",
        "zone": "bulwark.example",
        "pages": [f"host-{number}.bulwark.example" for number in range(5)],
        "filtered": True,
        "edited": ["198.51.100.8", True, "198.51.100.8"],
        "updated": ["other.bulwark.example", "198.51.100.9", 300],
        "retyped": ["BadRequestError", 400, 9004],
        "batch": [True, "TXT", "other.bulwark.example"],
        "deleted": True,
        "gone": ["NotFoundError", 404, 81044],
        "twice": ["BadRequestError", 400, 81058],
        "before": "flexible",
        "ssl": "strict",
        "max_age": 600,
        "wrong": ["BadRequestError", 400, 1007],
        "listed": True,
        "same": True,
        "revoked": True,
        "left": 0,
        "unknown": ["InternalServerError", 501, 7000],
        "stranger": ["PermissionDeniedError", 403, 9109],
    }
