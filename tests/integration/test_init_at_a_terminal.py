"""The launcher's init at a terminal: what is asked, and what becomes of the answers."""

from __future__ import annotations

import hashlib
import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tests.checkout import ROOT, ansible_environment
from tests.lab.cloud_api import SSH_KEY, TOKEN, CloudApi
from tests.terminal import awaits_typing


@pytest.fixture(autouse=True)
def environment_as_required() -> None:
    """Otherwise the launcher would make it anew, while other tests run in it."""
    files = ("checkout.txt", "collections.txt", "../requirements.yml", "unpack_collections.py")
    wanted = hashlib.sha256(b"".join((ROOT / "requirements" / name).read_bytes() for name in files)).hexdigest()
    if (ROOT / ".venv/.wanted").read_text().split()[0] != wanted:
        pytest.skip("the checkout's environment is not of its requirements: ./bulwark setup")


#: Seconds without a word after which the conversation hangs.
SILENCE = 90


def converse(words: Sequence[str], environment: dict[str, str], turns: Sequence[tuple[str, str]]) -> tuple[int, str]:
    """Exit code and everything shown; each turn is a text to wait for, and what is typed then."""
    master, terminal = pty.openpty()
    program = subprocess.Popen(
        words,
        cwd=ROOT.parent,
        env=environment,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown, seen, left = "", 0, list(turns)
    last_word = time.monotonic()
    try:
        while True:
            if left and left[0][0] in shown[seen:] and awaits_typing(program.pid):
                seen += shown[seen:].index(left[0][0]) + len(left[0][0])
                os.write(master, left.pop(0)[1].encode() + b"\r")
            if select.select([master], [], [], 0.05)[0]:
                try:
                    piece = os.read(master, 65536)
                except OSError:  # the other end is closed
                    break
                shown += piece.decode(errors="replace")
                last_word = time.monotonic()
            assert time.monotonic() < last_word + SILENCE, f"silence after: {shown[-2000:]}"
        code = program.wait()
    finally:
        program.kill()
        program.wait()
        os.close(master)
    assert not left, f"never asked: {left[0][0]}\n{shown}"
    return code, shown


def test_asked_and_suggested(api: CloudApi, tmp_path: Path) -> None:
    home, inventory = tmp_path / "home", tmp_path / "inventory"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/id_ed25519.pub").write_text(SSH_KEY + "\n")
    environment = ansible_environment(
        HCLOUD_TOKEN=TOKEN, HCLOUD_ENDPOINT=api.url, HOME=str(home), TERM="dumb", BULWARK_STATE=str(tmp_path / "state")
    )
    turns = [
        ("May https://ifconfig.me/ip be asked", "n"),
        ("Is it to be one server", ""),  # the whole architecture
        ("Addresses that you come from", "198.51.100.10"),
        (f"[{SSH_KEY}]:", ""),  # as suggested
        ("Location of all servers [fsn1]:", ""),
        ("Your zone at Cloudflare", ""),
        ("URL of your object storage", "https://objects.bulwark.example"),
        ("Its region [fsn1]:", ""),
        ("bucket for what users upload", "acme-uploads"),
        ("another for backups", "acme-backups"),
        ("Access key of the object storage", "an-access-key"),
        ("Secret key of the object storage", "s3cret-of-the-storage"),
    ]
    words = [str(ROOT / "bulwark"), "init", "acme", "-e", f"inventory_path={inventory}", "-vv"]
    code, shown = converse(words, environment, turns)
    assert code == 0, shown
    assert "s3cret-of-the-storage" not in shown
    assert "an-access-key" not in shown
    assert "Names in it by which users come" not in shown  # without a zone there are none
    topology = yaml.safe_load((inventory / "group_vars/all/topology.yml").read_text())["topology"]
    assert topology["admin_addresses"] == ["198.51.100.10/32"]
    assert topology["admin_keys"] == {"tests": SSH_KEY}
    assert topology["object_storage"]["backups_bucket"] == "acme-backups"
    assert (home / ".config/bulwark/acme.vault-password").stat().st_mode & 0o777 == 0o600
    vault = subprocess.run(
        [str(ROOT / ".venv/bin/ansible-vault"), "view", str(inventory / "group_vars/all/vault.yml")],
        env=environment | {"ANSIBLE_VAULT_PASSWORD_FILE": str(home / ".config/bulwark/acme.vault-password")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert yaml.safe_load(vault)["bulwark_object_storage_secret_key"] == "s3cret-of-the-storage"
    # The command that comes next is one that works from here.
    command = re.search(r"(\.venv/bin/ansible-playbook -i \S+ playbooks/provision\.yml --check --diff)", shown)
    assert command


def test_relative_answers_and_a_name_that_is_missing(api: CloudApi, tmp_path: Path) -> None:
    environment = ansible_environment(HCLOUD_TOKEN=TOKEN, HCLOUD_ENDPOINT=api.url, HOME=str(tmp_path))
    (tmp_path / "answers.yml").write_text(yaml.safe_dump({"admin_addresses": ["198.51.100.10"], "admin_key": SSH_KEY}))

    def init(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(ROOT / "bulwark"), "init", *words],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )

    place = f"inventory_path={tmp_path / 'inventory'}"
    done = init("acme", "--answers", "answers.yml", "--vault-password-file", "password", "-e", place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "password").is_file()
    assert "EUR" in done.stdout

    nameless = init()
    assert nameless.returncode != 0
    assert "usage: ./bulwark init ENVIRONMENT" in nameless.stderr
    lab = init("lab", "--answers", "answers.yml")
    assert lab.returncode != 0
    assert "lab is the embedded cloud's" in lab.stdout


def test_one_server_has_no_zone_to_be_asked_for(api: CloudApi, tmp_path: Path) -> None:
    inventory = tmp_path / "inventory"
    environment = ansible_environment(
        HCLOUD_TOKEN=TOKEN,
        HCLOUD_ENDPOINT=api.url,
        HOME=str(tmp_path),
        TERM="dumb",
        BULWARK_STATE=str(tmp_path / "state"),
    )
    turns = [
        ("May https://ifconfig.me/ip be asked", "n"),
        ("Is it to be one server", "yes"),
        ("Addresses that you come from", "198.51.100.10"),
        ("Your SSH public key", SSH_KEY),
        ("Location of all servers [fsn1]:", ""),
        ("URL of your object storage", ""),
    ]
    words = [str(ROOT / "bulwark"), "init", "trial", "-e", f"inventory_path={inventory}"]
    code, shown = converse(words, environment, turns)
    assert code == 0, shown
    assert "Your zone at Cloudflare" not in shown
    topology = yaml.safe_load((inventory / "group_vars/all/topology.yml").read_text())["topology"]
    assert topology["one_server"] == {}
    assert "1 x cax21" in shown
