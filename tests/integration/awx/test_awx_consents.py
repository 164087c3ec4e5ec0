"""What may be lost can be said as a list or, in a form of AWX, as text."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import ROOT, ansible_environment, tool


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ({}, []),
        ({"allow": ""}, []),
        ({"allow": "volumes"}, ["volumes"]),
        ({"allow": "server/app-03, volume/db-1-data"}, ["server/app-03", "volume/db-1-data"]),
        ({"allow": ["server/app-03"]}, ["server/app-03"]),
    ],
)
def test_consents_are_read_from_text_and_lists(tmp_path: Path, given: dict[str, Any], understood: list[str]) -> None:
    shutil.copytree(ROOT / "playbooks/group_vars", tmp_path / "group_vars")
    task = {"ansible.builtin.assert": {"that": "consents == understood"}}
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    done = subprocess.run(
        [
            tool("ansible-playbook"),
            "-i",
            "localhost,",
            "play.yml",
            "-e",
            json.dumps(given | {"understood": understood}),
        ],
        cwd=tmp_path,
        env=ansible_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
