"""The first-boot data, read back the way a server reads it."""

from __future__ import annotations

import subprocess
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloud_init import (
    MAX_USER_DATA,
    NETWORK_FILE,
    SSHD_FILE,
    PrivateNetwork,
    UserDataError,
    user_data,
)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSjQJBOGpYIMFHRgUBYBCIvDM3S2Jjph3W4KgVqAfTV alice"
PRIVATE = PrivateNetwork(IPv4Network("10.0.0.0/16"), IPv4Address("10.0.0.1"))


def config(private: PrivateNetwork | None = None) -> dict[str, Any]:
    text = user_data("deployer", [KEY], private)
    assert text.startswith("#cloud-config\n"), "cloud-init takes it for something else otherwise"
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def files(loaded: dict[str, Any]) -> dict[str, str]:
    return {file["path"]: file["content"] for file in loaded["write_files"]}


def test_the_user_can_do_everything_and_has_no_password() -> None:
    [user] = config()["users"]
    assert user["name"] == "deployer"
    assert user["sudo"] == "ALL=(ALL:ALL) NOPASSWD:ALL"
    assert user["lock_passwd"] is True
    assert user["ssh_authorized_keys"] == [KEY]


def test_nobody_logs_in_as_root_or_with_a_password() -> None:
    loaded = config()
    assert loaded["disable_root"] is True
    assert loaded["ssh_pwauth"] is False
    assert ["passwd", "--lock", "root"] in loaded["runcmd"]
    assert set(files(loaded)[SSHD_FILE].splitlines()) == {
        "PermitRootLogin no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
    }
    assert loaded["runcmd"][1] == ["systemctl", "try-restart", "ssh.service"]


def test_a_public_server_keeps_its_network() -> None:
    loaded = config()
    assert NETWORK_FILE not in files(loaded)
    assert not [command for command in loaded["runcmd"] if "networkctl" in command]


def test_a_private_server_has_a_way_out_and_resolvers() -> None:
    sections = _sections(files(config(PRIVATE))[NETWORK_FILE])
    assert sections[0] == ("Match", {"Name": "en*"})
    assert ("Network", {"DHCP": "ipv4", "DNS": "185.12.64.1 185.12.64.2"}) in sections
    # What the DHCP answer says about routes changes from time to time, and not for the better.
    assert ("DHCPv4", {"UseRoutes": "no", "UseDNS": "no"}) in sections
    routes = [values for name, values in sections if name == "Route"]
    assert routes == [
        {"Destination": "10.0.0.1/32", "Scope": "link"},
        {"Destination": "10.0.0.0/16", "Gateway": "10.0.0.1", "GatewayOnLink": "yes"},
        {"Destination": "0.0.0.0/0", "Gateway": "10.0.0.1", "GatewayOnLink": "yes"},
    ]
    assert Path(NETWORK_FILE).name < "10-netplan-enp7s0.network", "the first matching file counts"


def _sections(text: str) -> list[tuple[str, dict[str, str]]]:
    """A unit file as (section, values), sections of one name kept apart."""
    parsed = []
    for block in text.split("\n\n"):
        head, *lines = block.strip().splitlines()
        parsed.append((head.strip("[]"), dict(line.split("=", 1) for line in lines)))
    return parsed


def test_the_images_own_dhcp_client_is_kept_away() -> None:
    commands = config(PRIVATE)["runcmd"]
    mask = ["systemctl", "mask", "hc-net-scan.service", "hc-net-ifup@.service"]
    stop = ["systemctl", "stop", "hc-net-ifup@*.service"]
    reload = ["networkctl", "reload"]
    assert commands.index(mask) < commands.index(stop) < commands.index(reload)


@pytest.mark.parametrize("resolved", [True, False])
def test_resolv_conf_is_written_where_nothing_else_resolves(tmp_path: Path, resolved: bool) -> None:
    """The command itself, run in a folder in place of /etc, with a systemctl of our own."""
    [command] = [words[2] for words in config(PRIVATE)["runcmd"] if words[0] == "sh"]
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.symlink_to(tmp_path / "run" / "stub-resolv.conf")  # dangles without systemd-resolved
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f"#!/bin/sh\nexit {0 if resolved else 3}\n")
    systemctl.chmod(0o755)
    command = command.replace("/etc/resolv.conf", str(resolv_conf))
    subprocess.run(["sh", "-c", command], check=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    if resolved:
        assert resolv_conf.is_symlink()
    else:
        assert resolv_conf.read_text() == "nameserver 185.12.64.1\nnameserver 185.12.64.2\n"
        assert not resolv_conf.is_symlink()


def test_same_input_same_text() -> None:
    assert user_data("deployer", [KEY], PRIVATE) == user_data("deployer", [KEY], PRIVATE)


def test_size_is_refused_above_the_vendors_limit() -> None:
    assert len(user_data("deployer", [KEY] * 300, PRIVATE)) <= MAX_USER_DATA
    with pytest.raises(UserDataError, match="the vendor takes 32768"):
        user_data("deployer", [KEY] * 400, PRIVATE)
