"""Playbooks for servers that are there, where none is, as with a token of something else, or none can be reached."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.checkout import ROOT, ansible_environment, tool

#: Those that make servers, or look at what is declared. Every other one is for servers.
OTHERS = {
    *("site", "provision", "edge", "converge", "destroy", "drift", "init", "picture", "price", "awx", "ssh_config"),
    *("kamal", "connection_facts"),  # they name what they miss
}
FOR_SERVERS = sorted({path.stem for path in ROOT.glob("playbooks/*.yml")} - OTHERS)
#: What such a playbook may take beyond its confirmation.
WORDS = {"replace_server": {"server": "app-01"}, "maintenance": {"maintenance": "on"}}


#: A bastion of which nothing can be had: nobody connects to a network's broadcast address.
AWAY = "127.255.255.255"
THROUGH_IT = f"-o ProxyCommand='ssh -W %h:%p -- {AWAY}'"


def refusal(verb: str, inventory: str, tmp_path: Path, *more: str, **words: str) -> str:
    known = {"confirm": "trial", "topology": {"environment": "trial"}, **WORDS.get(verb, {}), **words}
    done = subprocess.run(
        [tool("ansible-playbook"), f"playbooks/{verb}.yml", "-i", inventory, "-e", json.dumps(known), *more],
        cwd=ROOT,
        env=ansible_environment(HOME=str(tmp_path)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0, said
    return said


@pytest.mark.parametrize("verb", FOR_SERVERS)
def test_nothing_to_work_on_is_no_success(verb: str, tmp_path: Path) -> None:
    said = refusal(verb, "localhost,", tmp_path)
    assert "Nothing has been changed. The inventory has no server in the group " in said


def behind(arguments: str, tmp_path: Path) -> str:
    """An inventory with one server, whose way leads by a bastion that is away unless ``arguments`` lead elsewhere."""
    route = {"jump": {"name": "bastion-server", "address": AWAY}}
    server = {
        "ansible_host": "127.0.0.1",
        "ansible_port": 9,
        "bulwark_ssh": route,
        "ansible_ssh_common_args": arguments,
    }
    path = tmp_path / "inventory.yml"
    groups = {"role_db": {"hosts": {"db-primary": server}}, "role_bastion": {"hosts": {"bastion-server": {}}}}
    servers = {"bulwark_servers": {"children": dict.fromkeys(groups)}}
    path.write_text(yaml.safe_dump({"all": {"children": groups | servers}}))
    return str(path)


def test_a_bastion_that_does_not_answer_is_named(tmp_path: Path) -> None:
    said = refusal("switchover", behind(THROUGH_IT, tmp_path), tmp_path)
    assert "Nothing has been changed. The bastion bastion-server, which is the way to all servers, " in said
    assert f"does not answer at {AWAY}, port 22" in said
    assert "UNREACHABLE" not in said


@pytest.mark.parametrize(("verb", "variable"), [("replace_server", "server"), ("retire", "retire_only")])
def test_only_what_makes_a_bastion_anew_goes_on_without_one(verb: str, variable: str, tmp_path: Path) -> None:
    inventory = behind(THROUGH_IT, tmp_path)
    assert "The bastion bastion-server" in refusal(verb, inventory, tmp_path, **{variable: "db-primary"})
    assert "The bastion bastion-server" not in refusal(verb, inventory, tmp_path, **{variable: "bastion-server"})


def test_who_takes_another_way_is_not_held_up_by_it(tmp_path: Path) -> None:
    said = refusal("switchover", behind("-o ProxyJump=none", tmp_path), tmp_path)
    assert "127.0.0.1 port 9: Connection refused" in said
    assert AWAY not in said


@pytest.mark.parametrize(
    ("verb", "limit"),
    [
        ("maintenance", "db-primary"),
        ("maintenance", "localhost,db-primary"),
        *((verb, "db-primary") for verb in ("retire", "scale", "replace_server", "restore", "destroy")),
    ],
)
def test_who_decides_is_not_left_out(verb: str, limit: str, tmp_path: Path) -> None:
    said = refusal(verb, behind("-o ProxyJump=none", tmp_path), tmp_path, "--limit", limit)
    assert "Nothing has been changed. This concerns the environment as a whole, so run it without --limit." in said
    assert said.count("TASK [") == 1
