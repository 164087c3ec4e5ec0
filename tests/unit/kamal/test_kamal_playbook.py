"""The playbook that writes Kamal's files."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.checkout import ROOT, ansible_environment, tool
from tests.unit.kamal.builders import KAMAL, KEY, ROUTES, TOPOLOGY, server

PASSWORD = "it's a p@ss$word"
EDGE_SECRET = "edge-secret-0123456789"
MACHINES = [
    server("app-01", "app"),
    server("app-02", "app"),
    server("jobs-01", "jobs", architecture="x86"),
    server("db-primary", "db"),
    server("bastion-server", "bastion"),
]


def variables(**more: Any) -> dict[str, Any]:
    return {
        "topology": TOPOLOGY,
        "bulwark_database_passwords": {"rails_app": PASSWORD},
        "bulwark_edge_secret": EDGE_SECRET,
        "kamal": KAMAL,
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        **more,
    }


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "host.pub").write_text(f"{KEY} root@host\n")
    settle(tmp_path)
    return tmp_path


def settle(home: Path, **more: Any) -> None:
    """Writes the inventory, whose servers are all this machine."""
    inventory: dict[str, Any] = {
        "all": {"vars": variables(kamal_host_key_file=str(home / "host.pub"), **more)},
        "bulwark_servers": {"hosts": {}, "vars": {"ansible_connection": "local"}},
    }
    jump = ROUTES[0]["jump"]
    for machine in MACHINES:
        route = next((route for route in ROUTES if route["name"] == machine["name"]), jump)
        known = {**machine, "env": "production", "private_address": route["address"], "public_address": None}
        inventory["bulwark_servers"]["hosts"][machine["name"]] = {
            "bulwark_server": {**known, "volumes": []},
            "bulwark_ssh": route,
        }
        inventory.setdefault(f"role_{machine['roles'][0]}", {"hosts": {}})["hosts"][machine["name"]] = {}
    (home / "hosts.json").write_text(json.dumps(inventory))


def run(home: Path, *arguments: str, application: str = "shop") -> subprocess.CompletedProcess[str]:
    environment = ansible_environment(HOME=str(home), PWD=str(home))
    command = [tool("ansible-playbook"), "-i", str(home / "hosts.json"), str(ROOT / "playbooks/kamal.yml")]
    if application:
        command += ["-e", f"kamal_application={application}"]
    return subprocess.run(
        [*command, *arguments], env=environment, cwd=home, capture_output=True, text=True, check=False
    )


def said(finished: subprocess.CompletedProcess[str]) -> str:
    return " ".join((finished.stdout + finished.stderr).split())


def written(home: Path) -> dict[str, int]:
    """All files of the application, with their permissions."""
    shop = home / "shop"
    return {str(path.relative_to(shop)): path.stat().st_mode & 0o777 for path in shop.rglob("*") if path.is_file()}


def test_all_files_are_written_once_and_no_secret_is_shown(home: Path) -> None:
    check = run(home, "--check", "--diff")
    assert check.returncode == 0, said(check)
    assert written(home) == {}
    assert "+service: shop" in check.stdout

    first = run(home, "--diff", "-vv")
    assert first.returncode == 0, said(first)
    assert written(home) == {
        "config/deploy.yml": 0o644,
        ".kamal/known_hosts": 0o644,
        ".kamal/ssh_config": 0o644,
        ".kamal/secrets-common": 0o600,
    }
    for text in (PASSWORD, "it%27s%20a", EDGE_SECRET):
        assert text not in check.stdout + check.stderr + first.stdout + first.stderr
    assert "put the other secrets (KAMAL_REGISTRY_PASSWORD) into .kamal/secrets" in said(first)
    assert "who may not use Docker on app-01: set docker_users" in said(first)

    deploy = yaml.safe_load((home / "shop/config/deploy.yml").read_text())
    secrets = (home / "shop/.kamal/secrets-common").read_text()
    assert deploy["env"]["secret"] == [line.split("=", 1)[0] for line in secrets.splitlines()]
    assert {"DATABASE_URL", "EDGE_SECRET"} <= set(deploy["env"]["secret"])
    assert f"EDGE_SECRET='{EDGE_SECRET}'\n" in secrets
    assert deploy["builder"]["arch"] == ["amd64", "arm64"]
    assert deploy["ssh"]["config"] == str(home / "shop/.kamal/ssh_config")
    assert f"hcloud-2 {KEY}\n" in (home / "shop/.kamal/known_hosts").read_text()
    assert f"UserKnownHostsFile {home}/shop/.kamal/known_hosts" in (home / "shop/.kamal/ssh_config").read_text()

    again = run(home)
    assert again.returncode == 0, said(again)
    assert "changed=0" in again.stdout
    assert "changed=1" not in again.stdout

    settle(home, kamal={**KAMAL, "app_port": 3000}, docker_users=["deployer"])
    change = run(home, "--check", "--diff")
    assert "+ app_port: 3000" in said(change)
    assert "who may not use Docker on" not in said(change)


def test_somebody_elses_file_is_left_alone(home: Path) -> None:
    own = home / "shop/config/deploy.yml"
    own.parent.mkdir()
    own.write_text("service: mine\n")
    refused = run(home)
    assert refused.returncode != 0
    assert "config/deploy.yml was not written by this playbook" in said(refused)
    assert own.read_text() == "service: mine\n"
    assert list(written(home)) == ["config/deploy.yml"]


def test_mistakes_are_refused_before_anything_is_written(home: Path) -> None:
    settle(home, kamal={**KAMAL, "servce": "x"})
    assert "kamal has an unknown key 'servce': did you mean 'service'?" in said(run(home))
    settle(home, bulwark_edge_secret="it's broken")
    assert "EDGE_SECRET must be printable ASCII without blanks and single quotes" in said(run(home))
    settle(home)
    assert "kamal_application is no folder" in said(run(home, application=""))
    assert "nowhere is no folder" in said(run(home, application="nowhere"))
    assert written(home) == {}
