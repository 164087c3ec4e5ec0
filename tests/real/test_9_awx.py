"""Playbooks of AWX's templates on the lab, each as a job that begins with nothing and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import settings
from tests.checkout import ROOT
from tests.launcher import succeed

pytestmark = pytest.mark.full


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: sockets live below it, whose names the system limits."""
    made = Path(tempfile.mkdtemp(prefix="awx-"))
    yield made
    shutil.rmtree(made)


def files() -> dict[Path, tuple[int, int]]:
    """Files of the controller that a run of these playbooks writes when it is not AWX's."""
    places = [Path.home() / ".ssh", settings.STATE / "ssh", ROOT / "reports", ROOT / "inventories", ROOT / "playbooks"]
    found: dict[Path, tuple[int, int]] = {}
    for place in places:
        for parent, _, names in os.walk(place):
            for name in names:
                path = Path(parent, name)
                if "__pycache__" not in path.parts and path.exists():
                    found[path] = (path.stat().st_mtime_ns, path.stat().st_size)
    return found


@pytest.mark.parametrize(
    ("playbook", "changes"),
    [("verify", False), ("site", False), ("drift", False), ("backup", True), ("restore_drill", None)],
)
def test_a_job_begins_with_nothing_and_leaves_nothing(folder: Path, playbook: str, changes: bool | None) -> None:
    before = files()
    words = [sys.executable, "-m", "tests.awx_job", str(folder), f"playbooks/{playbook}.yml"]
    said = succeed("shell", feed=f"export BULWARK_STATE={shlex.quote(str(settings.STATE))}\nexec {shlex.join(words)}\n")
    result = json.loads(said.splitlines()[-1])
    assert result["status"] == "successful"
    assert not result["stats"]["failures"]
    assert not result["stats"]["dark"]
    assert result["stats"]["ok"]
    if changes is not None:
        assert bool(result["stats"]["changed"]) == changes
    after = files()
    assert [path for path, state in after.items() if before.get(path) != state] == []
