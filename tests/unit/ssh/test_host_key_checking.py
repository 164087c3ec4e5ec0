"""How the client tells a server from an impostor, judged by ``ssh -G`` and by running what ssh would run."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.ssh import (
    SshRoute,
    ansible_variables,
    checked_route,
    client_config,
    command,
    common_arguments,
)

KEYS = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFirst/+0=", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAISecond"]


def route(**changes: object) -> SshRoute:
    plain: SshRoute = {
        "name": "app-01",
        "environment": "production",
        "address": "10.0.0.3",
        "user": "deployer",
        "host_key_alias": "hcloud-2",
        "known_hosts_file": "/known",
        "private_key_file": None,
        "control_directory": "/cp",
        "jump": None,
        "host_authorities": KEYS,
        "first_contact": False,
    }
    return {**plain, **changes}  # type: ignore[typeddict-item]  # because the keys are the caller's


def understood(arguments: list[str]) -> dict[str, str]:
    output = subprocess.run(["ssh", "-F", "none", "-G", *arguments], capture_output=True, text=True, check=True).stdout
    return dict(line.split(" ", 1) for line in output.splitlines() if " " in line)


def printed(options: dict[str, str]) -> list[str]:
    """What the command prints that ssh would run: it splits the line at blanks outside quotes and replaces %%."""
    splitting = shlex.shlex(options["knownhostscommand"], posix=True)
    splitting.whitespace_split, splitting.escape = True, ""
    words = [word.replace("%%", "%") for word in splitting]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()


TRUSTED = [f"@cert-authority hcloud-2 {key}" for key in KEYS]


def test_certificates_of_the_authorities_count_for_this_server_alone() -> None:
    options = understood([*common_arguments(route()), "10.0.0.3"])
    assert printed(options) == TRUSTED
    assert options["stricthostkeychecking"] == "true"


def test_new_server_may_be_met_without_one() -> None:
    options = understood([*common_arguments(route(first_contact=True)), "10.0.0.3"])
    assert printed(options) == TRUSTED
    assert options["stricthostkeychecking"] == "accept-new"


@pytest.mark.parametrize("authorities", [None, []])
def test_without_authorities_every_first_contact_is_pinned(authorities: list[str] | None) -> None:
    way = route(host_authorities=authorities or [])
    if authorities is None:
        del way["host_authorities"]
    options = understood([*common_arguments(way), "10.0.0.3"])
    assert options["stricthostkeychecking"] == "accept-new"
    assert "knownhostscommand" not in options


def test_ansible_and_the_checks_go_by_them() -> None:
    assert printed(understood([*shlex.split(ansible_variables(route())["ansible_ssh_common_args"]), "x"])) == TRUSTED
    assert printed(understood(command(route(), "deployer", [], "true")[1:])) == TRUSTED


def test_bastion_is_checked_likewise(tmp_path: Path) -> None:
    jump = route(host_key_alias="hcloud-1", address="198.51.100.100")
    proxy = understood([*common_arguments(route(jump=jump)), "10.0.0.3"])["proxycommand"]
    fake = tmp_path / "ssh"
    fake.write_text('#!/bin/sh\nfor argument; do printf "%s\\n" "$argument"; done\n')
    fake.chmod(0o700)
    # ssh replaces %% before it hands the line to a shell.
    line = proxy.replace("%%", "%")
    arguments = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, check=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}
    ).stdout.splitlines()
    there = understood(arguments[2:])
    assert printed(there) == [f"@cert-authority hcloud-1 {key}" for key in KEYS]
    assert there["stricthostkeychecking"] == "true"


def test_people_go_by_certificates_even_while_a_server_is_new(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(client_config([route(first_contact=True)]))
    output = subprocess.run(["ssh", "-F", config, "-G", "app-01"], capture_output=True, text=True, check=True).stdout
    options = dict(line.split(" ", 1) for line in output.splitlines() if " " in line)
    assert printed(options) == TRUSTED
    assert options["stricthostkeychecking"] == "true"


def test_way_without_them_is_whole() -> None:
    way = route()
    del way["host_authorities"], way["first_contact"]
    assert checked_route(way) == way
