"""The callback that loads the filters before Ansible's workers start."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.checkout import ROOT, ansible_environment, tool

#: Runs in a worker. A filter brings it along, and nothing else does.
LOADED = """
import sys
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        return {"loaded": "ansible_collections.bulwark.hetzner.plugins.module_utils.flows.firewall" in sys.modules}
"""
PLAYBOOK = """
- hosts: one,two
  gather_facts: false
  tasks:
    - loaded: {}
"""


@pytest.mark.parametrize("beside", [True, False])
def test_workers_find_the_filters_loaded(beside: bool, tmp_path: Path) -> None:
    (tmp_path / "action_plugins").mkdir()
    (tmp_path / "action_plugins/loaded.py").write_text(LOADED)
    (tmp_path / "playbook.yml").write_text(PLAYBOOK)
    if beside:
        (tmp_path / "callback_plugins").symlink_to(ROOT / "playbooks/callback_plugins")
    done = subprocess.run(
        [tool("ansible-playbook"), "-i", "one,two,", str(tmp_path / "playbook.yml"), "-v"],
        cwd=ROOT,
        env=ansible_environment(HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(f"loaded: {str(beside).lower()}") == 2, done.stdout
