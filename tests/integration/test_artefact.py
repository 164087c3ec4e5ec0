"""The built artefact works on its own: packed, installed elsewhere, and run from there."""

from __future__ import annotations

import subprocess
import sysconfig
import tarfile
from pathlib import Path

import pytest

from tests.checkout import ROOT, ansible_environment, tool


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
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artefact")
    ansible("ansible-galaxy", "collection", "build", "--output-path", str(folder), cwd=ROOT)
    (built,) = folder.glob("bulwark-hetzner-*.tar.gz")
    return built


def test_holds_the_collection_and_nothing_else(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        first = {name.split("/")[0] for name in archive.getnames()}
    assert {"plugins", "roles", "playbooks", "inventories", "docs", "README.md", "LICENSE", "requirements.yml"} <= first
    assert first.isdisjoint({"lab", "tests", "molecule", ".collections", ".venv", "bulwark", ".ci"})


def test_runs_from_where_it_is_installed(tarball: Path, tmp_path: Path) -> None:
    collections = tmp_path / "collections"
    (tmp_path / "ansible.cfg").write_text("")
    own = {"ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg")}
    ansible(
        *("ansible-galaxy", "collection", "install", str(tarball), "-p", str(collections), "--no-deps", "--offline"),
        cwd=tmp_path,
        **own,
    )
    paths = f"{collections}:{sysconfig.get_path('purelib')}"
    # The playbook by its name in the collection, and a filter and a module of it, against no cloud at all.
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
    said = ansible(
        "ansible-playbook",
        "-i",
        "localhost,",
        "-c",
        "local",
        "use.yml",
        cwd=tmp_path,
        ANSIBLE_COLLECTIONS_PATH=paths,
        **own,
    )
    assert "app-01 app-02 jobs-01 db-primary db-replica monitor-01" in said
    ansible(
        *("ansible-playbook", "-i", "localhost,", "--syntax-check", "bulwark.hetzner.site"),
        cwd=tmp_path,
        ANSIBLE_COLLECTIONS_PATH=paths,
        **own,
    )
