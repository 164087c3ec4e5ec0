"""Playbooks for servers that are there, where none is: the inventory, or the token, of something else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.checkout import ROOT, ansible_environment, tool

#: Those that make servers, or look at what is declared. Every other one is for servers.
OTHERS = {
    *("site", "provision", "edge", "converge", "destroy", "drift", "init", "picture", "price", "awx", "ssh_config"),
    *("kamal", "connection_facts"),  # they name what they miss
}
FOR_SERVERS = sorted({path.stem for path in ROOT.glob("playbooks/*.yml")} - OTHERS)
#: What such a playbook may take beyond its confirmation.
WORDS = {"replace_server": {"server": "app-01"}, "maintenance": {"maintenance": "on"}}


@pytest.mark.parametrize("verb", FOR_SERVERS)
def test_nothing_to_work_on_is_no_success(verb: str, tmp_path: Path) -> None:
    known = {"confirm": "trial", "topology": {"environment": "trial"}, **WORDS.get(verb, {})}
    done = subprocess.run(
        [tool("ansible-playbook"), f"playbooks/{verb}.yml", "-i", "localhost,", "-e", json.dumps(known)],
        cwd=ROOT,
        env=ansible_environment(HOME=str(tmp_path)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0, said
    assert "Nothing has been changed. The inventory has no server in the group " in said
