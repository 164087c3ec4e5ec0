"""Servers that go and are made anew, against the embedded API. Nobody can be reached here, as if all were dead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.drivers.base import Health
from tests.checkout import ROOT
from tests.integration import balancing
from tests.integration.playbooks import lab_topology, playbook
from tests.lab.cloud_api import CloudApi

#: Where nobody listens, so that every server is known to be dead at once.
DEAD = {"ansible_host": "127.0.0.1", "ansible_port": 9, "ansible_ssh_common_args": "-o ProxyJump=none"}
#: Where programs run in the place of every server's own: here, as they come first in PATH.
HERE = DEAD | {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
#: An engine that hangs, for the server that asks first; for the others, one whose container will not die.
SICK_DOCKER = """#!/bin/sh
case $1 in
  ps) mkdir "$0.hung" 2>/dev/null && exec sleep 20; echo 1f2e3d4c5b6a;;
  stop) touch "$0.failed"; echo "tried to kill container, but did not receive an exit event" >&2; exit 1;;
esac
"""
#: What runs on a new server cannot be seen to here: the first question to it ends the run, without a wait for it.
UNTIL_BOOTED = ("--skip-tags", "server_baseline")


def play(
    api: CloudApi,
    name: str,
    *words: str,
    declared: dict[str, Any] | None = None,
    reached: dict[str, Any] = DEAD,
    edge: bool = False,
    **counts: int,
) -> subprocess.CompletedProcess[str]:
    """With the servers that are ``declared``, or as many as ``counts`` says. ``reached``: how Ansible gets there."""
    topology = lab_topology()["topology"]
    if not edge:
        del topology["edge"]
    topology["servers"] = declared or {role: {"count": count} for role, count in counts.items()}
    variables = {"topology": topology, "load_balancer_target_drain_seconds": 0, "retire_stop_seconds": 1}
    inventory = ("-i", str(ROOT / "inventories/lab/servers.yml"))
    return playbook(api, name, *inventory, "-e", json.dumps(variables | reached), *words)


def text(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stdout + done.stderr).split())


def servers(api: CloudApi) -> dict[str, dict[str, Any]]:
    return {server["name"]: server for server in api.get("/servers")["servers"]}


@pytest.fixture
def made(api: CloudApi) -> CloudApi:
    done = playbook(api, "provision.yml")
    assert done.returncode == 0, text(done)
    return api


def test_who_is_no_longer_declared_goes_once_it_is_confirmed(made: CloudApi) -> None:
    before = servers(made)
    assert "confirm it with -e confirm=lab" in text(play(made, "retire.yml", app=1))
    assert "confirm it with -e confirm=lab" in text(play(made, "retire.yml", "-e", "confirm=production", app=1))
    refused = play(made, "retire.yml", "-e", "confirm=lab", app=0)
    assert "no server of the application is left" in text(refused)
    checked = play(made, "retire.yml", "--check", "-e", "confirm=lab", app=1, jobs=0)
    assert checked.returncode == 0, text(checked)
    assert "Would be deleted: app-02, jobs-01" in text(checked)
    assert servers(made).keys() == before.keys()

    gone = play(made, "retire.yml", "-e", "confirm=lab", app=1, jobs=0)
    assert gone.returncode == 0, text(gone)
    assert before.keys() - servers(made).keys() == {"app-02", "jobs-01"}
    again = play(made, "retire.yml", app=1, jobs=0)
    assert again.returncode == 0, text(again)
    assert "Nobody has to go" in text(again)


def test_what_holds_something_never_goes(made: CloudApi) -> None:
    done = play(made, "retire.yml", "-e", "confirm=lab", db=1, monitoring=0)
    assert done.returncode == 0, text(done)
    assert "Nobody has to go" in text(done)
    assert len(servers(made)) == 7


def test_containers_that_do_not_end_keep_no_server(
    made: CloudApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = tmp_path / "docker"
    docker.write_text(SICK_DOCKER)
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    before = servers(made)
    soon = ("-e", json.dumps({"retire_stop_seconds": -50}))  # beside which an engine has a minute: ten seconds are left
    done = play(made, "retire.yml", "-e", "confirm=lab", *soon, reached=HERE, app=1, jobs=0)
    assert done.returncode == 0, text(done)
    assert {path.name for path in tmp_path.iterdir()} == {"docker", "docker.hung", "docker.failed"}
    assert "Deleted: app-02, jobs-01. What ran on app-02, jobs-01 had not ended and was cut off." in text(done)
    assert before.keys() - servers(made).keys() == {"app-02", "jobs-01"}


def test_a_server_that_cannot_be_drained_goes_only_where_it_gets_no_requests(made: CloudApi, tmp_path: Path) -> None:
    network = {"name": "production-network", "address": balancing.ADDRESS}
    balancing.run(made, balancing.options(network=network))
    balancing.all_healthy(made, "10.0.0.3", "10.0.0.4")
    # As Ansible finds it where Python is broken, or sudo: the server answers, and nothing can be done there.
    broken = {"app-01": DEAD, "app-02": HERE | {"ansible_python_interpreter": "/no/python"}}
    hosts = tmp_path / "hosts.json"
    hosts.write_text(json.dumps({"all": {"hosts": broken | {"localhost": {"ansible_connection": "local"}}}}))
    words = ("-i", str(hosts), "-e", "confirm=lab")
    before = servers(made)

    stopped = play(made, "retire.yml", *words, edge=True, reached={}, app=1, jobs=1)
    assert stopped.returncode != 0
    assert "app-02 cannot be taken out of rails-lb" in text(stopped), text(stopped)
    assert "since it finds it healthy. Mend the server, or switch it off" in text(stopped)
    assert servers(made).keys() == before.keys()

    made.driver.health["10.0.0.4", 443] = Health.UNHEALTHY
    gone = play(made, "retire.yml", *words, edge=True, reached={}, app=1, jobs=1)
    assert gone.returncode == 0, text(gone)
    assert "Deleted: app-02. What ran on app-02 had not ended" in text(gone)
    assert before.keys() - servers(made).keys() == {"app-02"}


def test_a_dead_server_is_made_anew_in_its_place(made: CloudApi) -> None:
    before = servers(made)
    unsure = play(made, "replace_server.yml", "-e", "server=app-02")
    assert "confirm it with -e confirm=lab" in text(unsure), text(unsure)[-1500:]
    done = play(made, "replace_server.yml", "-e", "server=app-02", "-e", "confirm=lab", *UNTIL_BOOTED)
    assert "PLAY [Bastion]" in done.stdout, text(done)
    after = servers(made)
    assert {name for name in after if after[name]["id"] != before[name]["id"]} == {"app-02"}
    new, old = after["app-02"], before["app-02"]
    assert new["status"] == "running"
    assert new["labels"] == old["labels"]
    assert new["placement_group"]["id"] == old["placement_group"]["id"]
    assert [net["ip"] for net in new["private_net"]] == [net["ip"] for net in old["private_net"]]


def test_the_bastion_keeps_its_public_address(made: CloudApi) -> None:
    before = servers(made)["bastion-server"]
    play(made, "replace_server.yml", "-e", "server=bastion-server", "-e", "confirm=lab", *UNTIL_BOOTED)
    after = servers(made)["bastion-server"]
    assert after["id"] != before["id"]
    assert after["public_net"]["ipv4"]["ip"] == before["public_net"]["ipv4"]["ip"]
    assert len(after["public_net"]["firewalls"]) == 1


def test_what_provision_would_refuse_afterwards_is_refused_before(made: CloudApi) -> None:
    sure = ("-e", "confirm=lab")
    before = {name: server["id"] for name, server in servers(made).items()}
    done = play(made, "replace_server.yml", "-e", "server=app-02", *sure, declared={"db": {"volume_size": 50}})
    assert "volume/db-primary-data has the size 100, declared is 50. A volume cannot shrink" in text(done), text(done)
    done = play(made, "retire.yml", *sure, declared={"app": {"count": 1}, "db": {"volume_size": 50}})
    assert "A volume cannot shrink" in text(done), text(done)
    firewall = made.get("/firewalls")["firewalls"][0]
    assert made.request("PUT", f"/firewalls/{firewall['id']}", json={"labels": {}}).ok
    done = play(made, "replace_server.yml", "-e", "server=app-02", *sure)
    assert "firewall/bastion-firewall: there is one of this name" in text(done), text(done)
    assert {name: server["id"] for name, server in servers(made).items()} == before


def test_what_waits_to_be_changed_keeps_no_server_from_being_made_anew(made: CloudApi) -> None:
    """A bigger volume and one more server; the old server is there, or was deleted by a run that was killed."""
    declared = {"jobs": {"volume_size": 20}}
    assert play(made, "provision.yml", declared=declared).returncode == 0
    [volume] = made.get("/volumes", name="jobs-01-data")["volumes"]
    declared = {"jobs": {"volume_size": 30}, "app": {"count": 3}}
    words = ("-e", "server=jobs-01", "-e", "confirm=lab", *UNTIL_BOOTED)
    old = servers(made)["jobs-01"]
    done = play(made, "replace_server.yml", *words, declared=declared)
    assert "PLAY [Bastion]" in done.stdout, text(done)
    new = servers(made)["jobs-01"]
    assert new["id"] != old["id"]
    assert new["volumes"] == old["volumes"] == [volume["id"]]

    assert made.request("DELETE", f"/servers/{new['id']}").ok
    made.settle()
    done = play(made, "replace_server.yml", *words, declared=declared)
    assert "PLAY [Bastion]" in done.stdout, text(done)
    assert servers(made)["jobs-01"]["volumes"] == [volume["id"]]


def test_a_place_that_would_be_lost_is_not_given_up(made: CloudApi) -> None:
    before = servers(made)
    address = made.get("/primary_ips")["primary_ips"][0]
    assert made.request("PUT", f"/primary_ips/{address['id']}", json={"auto_delete": True}).ok
    done = play(made, "replace_server.yml", "-e", "server=bastion-server", "-e", "confirm=lab")
    assert "public address is not as declared" in text(done)
    # Nobody answers, so nobody is known to be primary.
    done = play(made, "replace_server.yml", "-e", "server=db-replica", "-e", "confirm=lab")
    assert "one running primary beside db-replica" in text(done)
    assert {name: server["id"] for name, server in servers(made).items()} == {
        name: server["id"] for name, server in before.items()
    }
