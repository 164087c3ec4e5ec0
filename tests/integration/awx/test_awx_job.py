"""How the tests imitate a job of AWX, tried without a lab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.awx_job import Job, as_yaml, copy_project, encrypt_values
from tests.checkout import ROOT
from tests.integration.environment import declared, run
from tests.lab.cloud_api import SSH_KEY, TOKEN, CloudApi

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


def test_the_inventory_is_read_from_a_clone_and_names_no_place_outside_the_job(api: CloudApi, tmp_path: Path) -> None:
    run(api, declared())
    copy_project(tmp_path / "project")
    secrets = tmp_path / "project/inventories/lab/group_vars/all/vault.yml"
    secrets.write_text(as_yaml(encrypt_values({"bulwark_grafana_password": "between"}, PASSWORD)))
    environment = {"PATH": os.environ["PATH"], "HCLOUD_TOKEN": TOKEN, "HCLOUD_ENDPOINT": api.url}
    job = Job(tmp_path, environment | {"BULWARK_LAB_PUBLIC_KEY": SSH_KEY}, PASSWORD, "")
    job.read_inventory("inventories/lab/servers.yml")
    found = json.loads((tmp_path / "inventory.json").read_text())
    assert set(found["_meta"]["hostvars"]) >= {"bastion-server", "app-01", "db-primary"}
    assert found["all"]["vars"]["topology"]["environment"] == "lab"
    way = found["_meta"]["hostvars"]["app-01"]["bulwark_ssh"]
    assert way["known_hosts_file"] == str(tmp_path / "known_hosts_bulwark")
    assert way["control_directory"] == str(tmp_path / "cp")
    assert way["private_key_file"] is None
    assert TOKEN not in (tmp_path / "inventory.json").read_text()
