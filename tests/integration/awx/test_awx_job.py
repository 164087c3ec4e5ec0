"""How the tests imitate a job of AWX, tried without a lab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.awx_job import as_yaml, encrypt_values
from tests.checkout import ROOT

PASSWORD = "opens-the-vault"
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.assert:
        that:
          - derived == "between"
          - lookup("ansible.builtin.env", "HOME") == folder ~ "/home"
          - lookup("ansible.builtin.env", "ANSIBLE_CONFIG") == ""
          - lookup("ansible.builtin.env", "LEAKED") == ""
    - ansible.builtin.command: ssh-add -L
      register: keys
      changed_when: false
      failed_when: "'a-key-of-awx' not in keys.stdout"
"""
# In a process of its own, since a job clears its process's environment.
PROGRAM = """
import json, sys
from pathlib import Path
from tests.awx_job import Job
folder, password, key = Path(sys.argv[1]), *json.load(sys.stdin)
import os
job = Job(folder, {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}, password, key)
job.read_inventory("inventories/some/hosts.yml")
code = job.run("play.yml", {"folder": str(folder)})
print(json.dumps(job.result))
sys.exit(code)
"""


def make(folder: Path) -> str:
    """A project with a secret, and a key."""
    variables = folder / "project/inventories/some/group_vars"
    variables.mkdir(parents=True)
    (variables.parent / "hosts.yml").write_text("all: {hosts: {one: {ansible_connection: local}}}\n")
    plain = {"derived": "{{ deep.secret }}"}
    (variables / "all.yml").write_text(as_yaml(plain | encrypt_values({"deep": {"secret": "between"}}, PASSWORD)))
    (folder / "project/play.yml").write_text(PLAYBOOK)
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a-key-of-awx", "-f", str(key)], check=True)
    return key.read_text()


@pytest.mark.parametrize(("password", "works"), [(PASSWORD, True), ("another", False)])
def test_a_job_opens_values_with_the_password_it_is_given(tmp_path: Path, password: str, works: bool) -> None:
    key = make(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        input=json.dumps([password, key]),
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}", "LEAKED": "yes"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode == 0) == works, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["status"] == ("successful" if works else "failed")
    assert works or "Decryption failed" in done.stdout
    # What AWX keeps of an inventory holds no secret.
    assert "between" not in (tmp_path / "inventory.json").read_text()
    assert "__ansible_vault" in (tmp_path / "inventory.json").read_text()
