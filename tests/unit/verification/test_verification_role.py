"""The role as Ansible runs it: one server that holds, this machine, and one that cannot be reached."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Sequence
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


#: A network of its own, with nothing but loopback, in which single packets may be sent.
ALONE = [
    *("unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])),
    *("sh", "-c", 'ip link set lo up && exec "$@"', "sh"),
]


def verify(home: Path, *arguments: str, prefix: Sequence[str] = ()) -> tuple[int, str, list[dict[str, Any]]]:
    """Exit status, output and report of the playbook."""
    report = home / "report.json"
    command = [
        *prefix,
        tool("ansible-playbook"),
        *("-i", str(home / "hosts.json"), str(ROOT / "playbooks/verify.yml")),
        *("-e", json.dumps({"verify_sshd_settings": {}, "verify_names": ["localhost"]})),
        *("-e", f"verify_report_path={report}", *arguments),
    ]
    environment = ansible_environment(HOME=str(home), PWD=str(home), ANSIBLE_SSH_RETRIES="0")
    environment["PATH"] = f"{home}:{environment['PATH']}:/usr/sbin:/sbin"
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
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
    assert "The inventory has no server in the group bulwark_servers" in output


def reachability(*flows: dict[str, Any]) -> str:
    """Options for pairs between this machine and two that are loopback, of which all ports can be reached."""
    pairs = [
        {"from": "here-01", "to": "other-01", "address": "127.0.0.2", "flows": list(flows)},
        {"from": "away-01", "to": "other-01", "address": "127.0.0.2", "flows": []},
        {"from": "internet", "to": "here-01", "address": "198.51.100.9", "flows": []},
    ]
    return json.dumps({"verify_reachability": pairs, "verify_ports": ["22"], "verify_environment": "trial"})


def test_openings_are_drawn_and_reported(home: Path) -> None:
    database = {"name": "database", "protocol": "tcp", "ports": ["5432"]}
    status, output, checks = verify(home, "-e", reachability(database), prefix=ALONE)
    assert status != 0
    reached = {check["host"]: check for check in checks if check["check"] == "reachability"}
    assert set(reached) == {"here-01", "away-01"}
    assert "open and should be closed to other-01: tcp 22 (reachable, nothing listens)" in reached["here-01"]["detail"]
    assert "not examined" in reached["away-01"]["detail"]
    # SSH's port, four UDP ports and the echo.
    summary = "Reachability: 1 pairs, 7 ports tried, unexpected openings: 6, wrongly closed: 0"
    assert summary in " ".join(output.split())
    assert "changed=1" not in output
    page = (home / "reports/reachability-trial.html").read_text()
    assert "Reachability of trial" in page
    assert "There are openings that no flow allows" in page


def test_flows_that_hold_leave_no_page_in_check_mode(home: Path) -> None:
    flows = [
        {"name": "database", "protocol": "tcp", "ports": ["5432"]},
        {"name": "rest", "protocol": "any", "ports": []},
    ]
    status, output, _ = verify(home, "--limit", "here-01", "--check", "-e", reachability(*flows), prefix=ALONE)
    assert status == 0, output
    assert "unexpected openings: 0, wrongly closed: 0, not examined: 2" in " ".join(output.split())
    assert not (home / "reports").exists()


#: What a server of the application says of its logins: they succeed, but for those that must not.
LOGIN = """#!/bin/sh
case "$*" in
*sslmode=disable*) echo "FATAL:  no pg_hba.conf entry for host, no encryption" >&2; exit 2;;
*PGPASSWORD=*) echo "FATAL:  password authentication failed for user" >&2; exit 2;;
*_read\\ *) echo '{"user": "rails_app", "in_recovery": true, "address": "10.0.0.7", "tls": true}';;
*) echo '{"user": "rails_app", "in_recovery": false, "address": "10.0.0.6", "tls": true}';;
esac
"""
#: A container whose database does not answer.
DOCKER = """#!/bin/sh
cat >/dev/null
echo "psql: error: the database system is starting up" >&2
exit 2
"""


def program(home: Path, name: str, text: str) -> None:
    (home / name).write_text(text)
    (home / name).chmod(0o700)


def test_logins_to_the_database_are_reported_beside_the_rest(home: Path) -> None:
    program(home, "runuser", LOGIN)
    account = pwd.getpwuid(os.getuid()).pw_name
    login = {"account": account, "databases": ["rails_production"]}
    status, output, checks = verify(home, "--limit", "here-01", "-e", json.dumps({"verify_database_login": login}))
    assert status == 0, output
    assert [check["check"] for check in checks if check["check"].startswith("database")] == [
        "database for writing",
        "database for reading",
        "database without TLS",
        "database by a wrong password",
    ]


def test_a_database_that_is_down_and_one_that_cannot_be_reached_fail(home: Path) -> None:
    program(home, "docker", DOCKER)
    members = [{"name": name, "address": "127.0.0.1"} for name in ("here-01", "away-01")]
    database = {"verify_database": {"members": members, "major": 17}, "verify_timeout": 1}
    status, _, checks = verify(home, "-e", json.dumps(database))
    assert status != 0
    found = {(check["host"], check["check"]): check for check in checks if "SSH" not in check["check"]}
    assert not any(check["ok"] for key, check in found.items() if "database" in key[1])
    assert "the database system is starting up" in found["here-01", "database"]["detail"]
    assert "not examined" in found["away-01", "database"]["detail"]
    assert found["database", "one primary"]["detail"] == "primary is nobody of away-01, here-01"


def test_object_storage_out_of_reach_fails_without_showing_its_key(home: Path) -> None:
    storage = {
        "endpoint": "http://127.0.0.1:9",
        "region": "fsn1",
        "bucket": "uploads",
        "access_key": "AK1",
        "secret_key": "not-to-be-shown",
    }
    arguments = ["--limit", "here-01", "-vvv", "-e", f"@{home}/storage.json"]
    (home / "storage.json").write_text(json.dumps({"verify_object_storage": storage}))
    status, output, checks = verify(home, *arguments)
    assert status != 0
    assert [check["check"] for check in checks if not check["ok"]] == ["object storage"]
    assert "not-to-be-shown" not in output
