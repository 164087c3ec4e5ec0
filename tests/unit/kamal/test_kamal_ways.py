"""How Kamal knows the servers, judged by OpenSSH's client, which Kamal reaches the bastion by."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.kamal.options import KamalError
from ansible_collections.bulwark.hetzner.plugins.module_utils.kamal.ways import known_hosts, ssh_config, ways

from tests.unit.kamal.builders import BASTION, HOST_KEYS, KEY, ROUTES, route

FOUND = ways(ROUTES[:3])


def understood(folder: Path, text: str, host: str) -> dict[str, str]:
    (folder / "ssh_config").write_text(text)
    command = ["ssh", "-F", str(folder / "ssh_config"), "-G", host]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(line.split(" ", 1) for line in output.splitlines() if " " in line)


@pytest.mark.parametrize(
    ("address", "alias"), [("10.0.0.3", "hcloud-2"), ("10.0.0.5", "hcloud-4"), (BASTION, "hcloud-1")]
)
def test_every_server_is_known_or_refused(tmp_path: Path, address: str, alias: str) -> None:
    options = understood(tmp_path, ssh_config(FOUND, "/my shop/.kamal/known_hosts"), address)
    assert options["hostkeyalias"] == alias
    assert options["userknownhostsfile"] == "/my shop/.kamal/known_hosts"
    assert options["stricthostkeychecking"] == "true"
    assert options["user"] == "deployer"
    assert options["hostname"] == address
    assert "proxyjump" not in options


def test_addresses_of_others_are_left_to_others(tmp_path: Path) -> None:
    assert "hostkeyalias" not in understood(tmp_path, ssh_config(FOUND, "/known"), "10.0.0.99")


def test_a_private_key_that_is_named_is_the_only_one(tmp_path: Path) -> None:
    found = ways([route("app-01", 2, "10.0.0.3", private_key_file="/keys/alice")])
    options = understood(tmp_path, ssh_config(found, "/known"), "10.0.0.3")
    assert (options["identityfile"], options["identitiesonly"]) == ("/keys/alice", "yes")


def test_each_server_has_its_own_key(tmp_path: Path) -> None:
    lines = known_hosts(FOUND, HOST_KEYS)
    assert lines.splitlines() == [f"hcloud-{number} {KEY}" for number in range(1, 5)]
    (tmp_path / "known_hosts").write_text(lines)
    command = ["ssh-keygen", "-F", "hcloud-3", "-f", str(tmp_path / "known_hosts")]
    assert KEY in subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "key", ["", "@cert-authority * ssh-ed25519 AAAA", "ssh-ed25519", "no key\nhcloud-9 ssh-rsa AAAA"]
)
def test_what_is_no_host_key_is_refused(key: str) -> None:
    with pytest.raises(KamalError, match=r"The host key of 10\.0\.0\.3 is not known"):
        known_hosts(FOUND, HOST_KEYS | {"hcloud-2": key})


def test_several_users_are_refused() -> None:
    with pytest.raises(KamalError, match="several users, admin, deployer"):
        ways([*ROUTES[:2], route("jobs-01", 4, "10.0.0.5", user="admin")])
