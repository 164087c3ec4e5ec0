"""The playbook that writes an SSH client configuration for people."""

from __future__ import annotations

import subprocess

from tests.checkout import ROOT
from tests.unit.inventory.runner import Runner

PLAYBOOK = str(ROOT / "playbooks/ssh_config.yml")


def test_file_is_written_once_for_its_owner_only(runner: Runner) -> None:
    written = runner.home / ".ssh/config.d/bulwark-production"

    check = runner.run("ansible-playbook", PLAYBOOK, "--check", "--diff")
    assert check.returncode == 0, check.stdout + check.stderr
    assert "+Host app-01 app-01.production" in check.stdout
    assert not written.parent.exists()

    first = runner.run("ansible-playbook", PLAYBOOK)
    assert first.returncode == 0, first.stdout + first.stderr
    assert written.stat().st_mode & 0o777 == 0o600
    assert written.parent.stat().st_mode & 0o777 == 0o700
    understood = subprocess.run(["ssh", "-F", written, "-G", "app-01"], capture_output=True, text=True, check=True)
    assert "hostname 10.0.0.3\n" in understood.stdout
    assert "proxyjump bastion-server.production\n" in understood.stdout

    again = runner.run("ansible-playbook", PLAYBOOK)
    assert again.returncode == 0
    assert "changed=0" in again.stdout


def test_configuration_is_printed_on_request_and_nothing_written(runner: Runner) -> None:
    result = runner.run("ansible-playbook", PLAYBOOK, "-e", "ssh_config_directory=")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Host app-01 app-01.production" in result.stdout
    assert not (runner.home / ".ssh").exists()
