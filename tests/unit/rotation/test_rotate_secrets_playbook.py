"""The playbook as far as it goes without a server: refusals, the vault, and what the same run knows of it then."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.bulwark.hetzner.plugins.module_utils.starting import secrets

from tests.checkout import ROOT, ansible_environment, tool

TOPOLOGY = {
    "version": 1,
    "environment": "production",
    "admin_addresses": ["198.51.100.7/32"],
    "admin_keys": {"one": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBDkLHHgTKvm1ZZ3kyPhZZ9PZR5T9VZiKzQ2uGQeRfTH one"},
}
MADE = secrets.make(secrets.Wanted(edge=True), {})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "inventory/group_vars/all"
    folder.mkdir(parents=True)
    (tmp_path / "password").write_text("open sesame\n")
    inventory = {"all": {"vars": {"topology": TOPOLOGY}}, "bulwark_servers": {"hosts": {"spare-01": {}}}}
    (tmp_path / "inventory/hosts.json").write_text(json.dumps(inventory))
    words = [tool("ansible-vault"), "encrypt", "--vault-password-file", str(tmp_path / "password"), "--output"]
    subprocess.run([*words, str(folder / "vault.yml"), "-"], input=secrets.render(MADE), text=True, check=True)
    return tmp_path


def run(home: Path, *words: str) -> tuple[int, str]:
    environment = ansible_environment(HOME=str(home), PWD=str(home))
    given = {"ANSIBLE_VAULT_PASSWORD_FILE": str(home / "password")}
    command = [
        tool("ansible-playbook"),
        "-i",
        str(home / "inventory"),
        str(ROOT / "playbooks/rotate_secrets.yml"),
        "-vv",
    ]
    command += ["--diff", *(part for word in words for part in (("-e", word) if "=" in word else (word,)))]
    done = subprocess.run(command, env=environment | given, cwd=home, capture_output=True, text=True, check=False)
    said = " ".join((done.stdout + done.stderr).split())
    for text in [*MADE["bulwark_database_passwords"].values(), MADE["bulwark_edge_secret"], "PRIVATE KEY"]:
        assert text not in said
    return done.returncode, said


def vault(home: Path) -> dict[str, Any]:
    words = [tool("ansible-vault"), "view", "--vault-password-file", str(home / "password")]
    shown = subprocess.run([*words, str(home / "inventory/group_vars/all/vault.yml")], capture_output=True, check=True)
    found: dict[str, Any] = yaml.safe_load(shown.stdout)
    return found


def test_each_step_is_known_to_the_run_that_takes_it(home: Path) -> None:
    code, said = run(home, "new=edge,application", "--check")
    assert code == 0, said
    assert "bulwark_edge_secret_next is new" in said
    assert vault(home) == MADE

    code, said = run(home, "new=edge,application")
    assert code == 0, said
    assert "it has to accept EDGE_SECRET_OTHER as well" in said
    assert "it still logs in as rails_app. Then: retire=application" in said
    following = vault(home)["bulwark_edge_secret_next"]
    assert following not in said

    code, said = run(home, "use=edge")
    assert code == 0, said
    assert "The edge sends the new secret" in said
    assert "EDGE_SECRET_OTHER as well" not in said
    assert vault(home)["bulwark_edge_secret"] == following

    code, said = run(home, "retire=edge,application", "confirm=production")
    assert code == 0, said
    assert "The edge sends" not in said
    assert "still logs in" not in said
    assert set(vault(home)) == {*MADE, "bulwark_database_login"}

    code, said = run(home)
    assert code == 0, said
    assert "changed=0" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("retire=edge",), "confirm it with -e confirm=production"),
        (("retire=edge", "confirm=staging"), "confirm it with -e confirm=production"),
        (("new=edges",), "edges is no secret that can be made here"),
        (("new=edge", "--limit", "localhost,spare-01"), "run it without --limit"),
        (("new=edge", "--limit", "spare-01"), "run it without --limit"),
        (("new=edge", "vault_file="), "name its file with -e vault_file="),
        (("new=edge", "vault_file=/nowhere/vault.yml"), "/nowhere/vault.yml cannot be used"),
    ],
)
def test_what_is_refused_changes_nothing(home: Path, words: tuple[str, ...], says: str) -> None:
    before = (home / "inventory/group_vars/all/vault.yml").read_bytes()
    code, said = run(home, *words)
    assert code != 0
    assert says in said
    assert (home / "inventory/group_vars/all/vault.yml").read_bytes() == before


def test_paths_are_seen_from_where_it_was_started(home: Path) -> None:
    code, said = run(
        home, "new=grafana", "vault_file=inventory/group_vars/all/vault.yml", "vault_password_file=password", "--check"
    )
    assert code == 0, said
    assert "bulwark_grafana_password is new" in said
