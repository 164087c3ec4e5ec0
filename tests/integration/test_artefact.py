"""The built artefact works on its own: packed, installed elsewhere, and run from there."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import tarfile
from pathlib import Path

import pytest

from tests.awx_collection import awx_collection
from tests.checkout import ROOT, ansible_environment, tool, tracked

#: What somebody needs who has the collection and no checkout. A folder or file that is not named here is not packed.
SHIPPED = (
    *(
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "requirements.yml",
        "requirements/controller.in",
        "execution-environment.yml",
    ),
    *("awx/", "changelogs/", "docs/", "inventories/", "meta/", "playbooks/", "plugins/", "roles/"),
)
#: But not the embedded cloud's.
LEFT_OUT = ("inventories/lab/",)


def ansible(*words: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [tool(words[0]), *words[1:]],
        cwd=cwd,
        env=ansible_environment(**environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artefact")
    ansible("ansible-galaxy", "collection", "build", "--output-path", str(folder), cwd=ROOT)
    (built,) = folder.glob("bulwark-hetzner-*.tar.gz")
    return built


@pytest.fixture(scope="module")
def installed(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Installs it in a folder of its own; the environment in which Ansible finds it there and no checkout."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "ansible.cfg").write_text("")
    words = ("ansible-galaxy", "collection", "install", str(tarball), "-p", str(folder), "--no-deps", "--offline")
    ansible(*words, cwd=folder, ANSIBLE_CONFIG=str(folder / "ansible.cfg"))
    paths = f"{folder}:{sysconfig.get_path('purelib')}:{awx_collection()}"
    return {"ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": paths}


def test_holds_the_collection_and_nothing_else(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        packed = {member.name for member in archive.getmembers() if not member.isdir()}
        folders = [member.name for member in archive.getmembers() if member.isdir()]
    # Neither files that somebody's run has left in a folder, nor one too few.
    committed = {str(path.relative_to(ROOT)) for path in tracked()}
    assert packed == {"MANIFEST.json", "FILES.json"} | {
        name for name in committed if name.startswith(SHIPPED) and not name.startswith(LEFT_OUT)
    }
    assert [folder for folder in folders if not any(name.startswith(f"{folder}/") for name in packed)] == []


def test_documents_every_plugin_and_role_where_it_is_installed(installed: dict[str, str], tmp_path: Path) -> None:
    told = json.loads(ansible("ansible-doc", "--metadata-dump", "bulwark.hetzner", cwd=tmp_path, **installed))["all"]
    for kind, folder in {"module": "modules", "filter": "filter", "inventory": "inventory"}.items():
        names = {f"bulwark.hetzner.{path.stem}" for path in (ROOT / "plugins" / folder).glob("[!_]*.py")}
        assert names
        assert set(told[kind]) == names
    assert set(told["role"]) == {f"bulwark.hetzner.{path.name}" for path in (ROOT / "roles").iterdir()}
    installed_at = installed["ANSIBLE_COLLECTIONS_PATH"].split(os.pathsep)[0]
    assert all(entry["doc"]["filename"].startswith(installed_at) for entry in told["module"].values())


def test_every_playbook_parses_where_it_is_installed(installed: dict[str, str], tmp_path: Path) -> None:
    names = sorted(f"bulwark.hetzner.{path.stem}" for path in (ROOT / "playbooks").glob("*.yml"))
    assert "bulwark.hetzner.site" in names
    said = ansible("ansible-playbook", "-i", "localhost,", "--syntax-check", *names, cwd=tmp_path, **installed)
    assert said.count("playbook: ") == len(names)


def test_runs_from_where_it_is_installed(installed: dict[str, str], tmp_path: Path) -> None:
    # A filter and a module of it, against no cloud at all.
    (tmp_path / "use.yml").write_text(
        """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.debug:
        msg: "servers: {{ (topology | bulwark.hetzner.infrastructure).servers | map(attribute='name') | join(' ') }}"
      vars:
        topology:
          environment: elsewhere
          admin_addresses: [192.0.2.1/32]
          admin_keys: {me: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIvTnp4T2jQ8rD0k6cYbhq9qW0L1zXl9mCqSxkT1yV5u me"}
"""
    )
    said = ansible("ansible-playbook", "-i", "localhost,", "-c", "local", "use.yml", cwd=tmp_path, **installed)
    assert "app-01 app-02 jobs-01 db-primary db-replica monitor-01" in said
