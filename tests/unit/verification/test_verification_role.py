"""The role as Ansible runs it: one server that holds, this machine, and one that cannot be reached."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import ROOT, ansible_environment, tool

ROUTE = {
    "name": "here",
    "environment": "production",
    "address": "127.0.0.1",
    "user": "deployer",
    "host_key_alias": "hcloud-1",
    "known_hosts_file": "/known",
    "private_key_file": None,
    "control_directory": "/cp",
    "jump": None,
}
#: Lets everybody but root in at 127.0.0.1, and nobody anywhere else.
SSH = """#!/bin/sh
case "$*" in
*" -- 127.0.0.1 "*) ;;
*) echo "ssh: connect to host: No route to host" >&2; exit 255;;
esac
echo "debug1: Authentications that can continue: publickey" >&2
case "$*" in *"-l root"*) echo "root@127.0.0.1: Permission denied (publickey)." >&2; exit 255;; esac
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    program = tmp_path / "ssh"
    program.write_text(SSH)
    program.chmod(0o700)
    local = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
    here = {**local, "bulwark_ssh": ROUTE}
    away = {"ansible_host": "198.51.100.9", "bulwark_ssh": {**ROUTE, "address": "198.51.100.9"}}
    common: dict[str, Any] = {
        "bulwark_server": {"public_address": None, "roles": []},
        "bulwark_bastion": None,
        "bulwark_network": None,
    }
    hosts = {"here-01": {**common, **here}, "away-01": {**common, **away}}
    (tmp_path / "hosts.json").write_text(json.dumps({"bulwark_servers": {"hosts": hosts}}))
    return tmp_path


def verify(home: Path, *arguments: str) -> tuple[int, str, list[dict[str, Any]]]:
    """Exit status, output and report of the playbook."""
    report = home / "report.json"
    command = [
        tool("ansible-playbook"),
        *("-i", str(home / "hosts.json"), str(ROOT / "playbooks/verify.yml")),
        *("-e", json.dumps({"verify_sshd_settings": {}, "verify_names": ["localhost"]})),
        *("-e", f"verify_report_path={report}", *arguments),
    ]
    environment = ansible_environment(HOME=str(home), ANSIBLE_SSH_RETRIES="0")
    environment["PATH"] = f"{home}:{environment['PATH']}"
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return (
        done.returncode,
        done.stdout + done.stderr,
        json.loads(report.read_text())["checks"] if report.exists() else [],
    )


def test_unreachable_server_is_reported_beside_the_others(home: Path) -> None:
    status, output, checks = verify(home)
    assert status != 0
    assert {(check["host"], check["check"]): check["ok"] for check in checks} == {
        ("here-01", "names resolve"): True,
        ("here-01", "SSH login"): True,
        ("here-01", "SSH as root"): True,
        ("here-01", "SSH by password"): True,
        ("away-01", "seen from inside"): False,
        ("away-01", "SSH login"): False,
        ("away-01", "SSH as root"): False,
        ("away-01", "SSH by password"): False,
    }
    assert "4 of 8 checks do not hold" in output
    assert "changed=0" in output
    assert "changed=1" not in output


def test_what_holds_succeeds_in_check_mode_and_writes_nothing(home: Path) -> None:
    status, output, _ = verify(home, "--limit", "here-01", "--check")
    assert status == 0, output
    assert "SSH as root" in output
    assert not (home / "report.json").exists()


def test_failing_module_is_reported(home: Path) -> None:
    status, _, checks = verify(home, "--limit", "here-01", "-e", '{"verify_ports": ["http"]}')
    assert status != 0
    failed = [check for check in checks if not check["ok"]]
    assert [check["check"] for check in failed] == ["seen from outside"], failed
    assert "no port and no range of ports" in failed[0]["detail"]


def test_empty_inventory_is_not_a_success(home: Path) -> None:
    (home / "hosts.json").write_text(json.dumps({"bulwark_servers": {"hosts": {}}}))
    status, output, _ = verify(home)
    assert status != 0
    assert "There is no server in the inventory" in output
