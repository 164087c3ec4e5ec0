"""The launcher before `up`, or after `down`: what needs no lab works, and what needs one says how to get it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.checkout import ROOT

#: All but the one that takes a collection which the lab has no use for.
PLAYBOOKS = sorted(path.relative_to(ROOT) for path in ROOT.glob("playbooks/*.yml") if path.name != "awx.yml")


def bulwark(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["./bulwark", *words],
        cwd=ROOT,
        env=os.environ | {"BULWARK_STATE": str(state)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_every_playbook_can_be_looked_at(tmp_path: Path) -> None:
    done = bulwark(tmp_path, "run", *map(str, PLAYBOOKS), "--syntax-check")
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line] == [f"playbook: {path}" for path in PLAYBOOKS]
    done = bulwark(tmp_path, "run", "playbooks/site.yml", "--list-tags")
    assert "postgres_primary" in done.stdout


@pytest.mark.parametrize(
    "words", [("run", "playbooks/site.yml"), ("status",), ("exec", "app-01", "true"), ("deploy", "2"), ("shell",)]
)
def test_what_needs_the_lab_says_how_to_get_it(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = bulwark(tmp_path, *words)
    assert done.returncode != 0
    assert "not up; ./bulwark up starts it" in done.stdout + done.stderr
