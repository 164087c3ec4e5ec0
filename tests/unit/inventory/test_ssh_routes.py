"""The way to a server, judged by the OpenSSH client itself: ``ssh -G`` tells how it understands its options."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.ssh import (
    SshRoute,
    ansible_variables,
    client_config,
    common_arguments,
    proxy_command,
    quote_value,
)


def route(name: str = "app-01", number: int = 2, address: str = "10.0.0.3", **changes: object) -> SshRoute:
    plain: SshRoute = {
        "name": name,
        "environment": "production",
        "address": address,
        "user": "deployer",
        "host_key_alias": f"hcloud-{number}",
        "known_hosts_file": "/home/alice/.ssh/known_hosts_bulwark",
        "private_key_file": None,
        "control_directory": "/cp",
        "jump": None,
    }
    return {**plain, **changes}  # type: ignore[typeddict-item]  # because the keys are the caller's


def bastion(**changes: object) -> SshRoute:
    return route("bastion-server", 1, "198.51.100.100", **changes)


def understood(arguments: list[str]) -> dict[str, str]:
    """The options as ssh understands them, the user's and the system's configuration left out."""
    output = subprocess.run(["ssh", "-F", "none", "-G", *arguments], capture_output=True, text=True, check=True).stdout
    return dict(line.split(" ", 1) for line in output.splitlines() if " " in line)


def run_with_fake_ssh(command: str, directory: Path) -> list[str]:
    """What the program ssh would be called with by the shell that runs ``command``."""
    fake = directory / "ssh"
    fake.write_text('#!/bin/sh\nfor argument; do printf "%s\\n" "$argument"; done\n')
    fake.chmod(0o700)
    environment = {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}
    output = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, env=environment).stdout
    return output.splitlines()


def test_host_key_is_checked_under_the_servers_id() -> None:
    options = understood([*common_arguments(route()), "10.0.0.3"])
    assert options["hostkeyalias"] == "hcloud-2"
    assert options["stricthostkeychecking"] == "accept-new"
    assert options["userknownhostsfile"] == "/home/alice/.ssh/known_hosts_bulwark"


def test_direct_server_has_no_proxy() -> None:
    assert "proxycommand" not in understood([*common_arguments(route()), "10.0.0.3"])


def test_proxy_connects_with_the_target_by_way_of_the_bastion(tmp_path: Path) -> None:
    options = understood([*common_arguments(route(jump=bastion())), "10.0.0.3"])
    # ssh itself replaces %h and %p, and %% by a percent sign, before it hands the line to a shell.
    command = options["proxycommand"].replace("%h", "10.0.0.3").replace("%p", "22").replace("%%", "%")
    arguments = run_with_fake_ssh(command, tmp_path)
    assert arguments[:2] == ["-W", "10.0.0.3:22"]
    jump = understood(arguments[2:])
    assert jump["hostname"] == "198.51.100.100"
    assert jump["user"] == "deployer"
    assert jump["hostkeyalias"] == "hcloud-1"
    assert jump["stricthostkeychecking"] == "accept-new"
    assert jump["userknownhostsfile"] == "/home/alice/.ssh/known_hosts_bulwark"
    assert jump["controlmaster"] == "auto"
    assert jump["controlpath"] == "/cp/hcloud-1-jump-deployer"
    assert jump["batchmode"] == "yes"


def test_key_is_used_on_the_way_as_well(tmp_path: Path) -> None:
    key = "/keys/of alice/100%/id"
    jump_host = bastion(private_key_file=key, control_directory="/control dir")
    arguments = common_arguments(route(private_key_file=key, jump=jump_host))
    assert understood([*arguments, "10.0.0.3"])["identitiesonly"] == "yes"
    command = proxy_command(jump_host)
    jump = understood(run_with_fake_ssh(command.replace("%%", "%"), tmp_path)[2:])
    assert jump["identityfile"] == "/keys/of alice/100%%/id"  # shown before ssh reads %% as a percent sign
    assert jump["identitiesonly"] == "yes"
    assert jump["controlpath"] == "/control dir/hcloud-1-jump-deployer"


@pytest.mark.parametrize("path", ["/tmp/$(touch x)/k", "/tmp/`x`;y", "/tmp/a'b", "/tmp/a #b", "/tmp/a&b|c"])
def test_no_path_becomes_a_command(path: str, tmp_path: Path) -> None:
    command = proxy_command(bastion(known_hosts_file=path))
    arguments = run_with_fake_ssh(command.replace("%%", "%"), tmp_path)
    assert understood(arguments[2:])["userknownhostsfile"] == path


@pytest.mark.parametrize("value", ['a"b', "a\\b", "a\nProxyCommand=x"])
def test_what_ssh_reads_in_several_ways_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in an SSH option"):
        quote_value(value)


def test_ansible_variables() -> None:
    variables = ansible_variables(route(jump=bastion()))
    assert variables["ansible_host"] == "10.0.0.3"
    assert variables["ansible_user"] == "deployer"
    assert shlex.split(variables["ansible_ssh_common_args"]) == common_arguments(route(jump=bastion()))
    assert "ansible_ssh_private_key_file" not in variables


def test_same_address_in_two_environments_never_shares_a_connection() -> None:
    sockets = {
        ansible_variables(route(number=number))["ansible_control_path"] % {"directory": "/cp"} for number in (2, 12)
    }
    assert sockets == {"/cp/hcloud-2-%r", "/cp/hcloud-12-%r"}


def test_client_config_lets_people_connect_by_name(tmp_path: Path) -> None:
    key = "/keys/of alice/id"
    jump = bastion(private_key_file=key)
    config = tmp_path / "config"
    config.write_text(client_config([route(private_key_file=key, jump=jump), jump]))

    def options(name: str) -> dict[str, str]:
        output = subprocess.run(["ssh", "-F", config, "-G", name], capture_output=True, text=True, check=True).stdout
        return dict(line.split(" ", 1) for line in output.splitlines() if " " in line)

    for name in ("app-01", "app-01.production"):
        there = options(name)
        assert there["hostname"] == "10.0.0.3"
        assert there["user"] == "deployer"
        assert there["proxyjump"] == "bastion-server.production"
        assert there["hostkeyalias"] == "hcloud-2"
        assert there["identityfile"] == key
    assert options("bastion-server.production")["hostname"] == "198.51.100.100"
    assert "proxyjump" not in options("bastion-server")


def test_client_config_without_environment_names_a_server_once() -> None:
    assert "\nHost app-01\n" in client_config([route(environment=None)])


def test_client_config_does_not_depend_on_the_order_given() -> None:
    one, two = route(), bastion()
    assert client_config([one, two]) == client_config([two, one])
