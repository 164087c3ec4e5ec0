"""An environment of one server beside another in the same project: made, found, repeated and taken away."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.checkout import ansible_environment, tool
from tests.integration.environment import counts, declared, made, run, topology
from tests.integration.playbooks import playbook
from tests.lab.cloud_api import TOKEN, CloudApi

STAGING = {"environment": "staging", "one_server": {"volume_size": 10}}
ABSENT = {"environment_name": "staging", "state": "absent", "confirm": "staging"}


def things(api: CloudApi, environment: str) -> dict[str, list[dict[str, Any]]]:
    """What carries the environment's label, as the API tells it."""
    return {kind: api.get(f"/{kind}?label_selector=env={environment}")[kind] for kind in counts(api)}


@pytest.fixture
def both(api: CloudApi) -> CloudApi:
    run(api, declared())
    run(api, declared(**STAGING))
    return api


def test_both_stand_in_one_project_and_neither_changes_the_other(both: CloudApi) -> None:
    lab = things(both, "lab")
    assert {kind: [thing["name"] for thing in found] for kind, found in things(both, "staging").items()} == {
        "ssh_keys": [],  # the project holds a key once, and it is the other's
        "networks": ["staging-network"],
        "firewalls": ["staging-firewall"],
        "placement_groups": [],
        "primary_ips": ["staging-ip"],
        "servers": ["staging-01"],
        "volumes": ["staging-01-data"],
    }
    assert made(run(both, declared(**STAGING))) == made(run(both, declared())) == []
    assert things(both, "lab") == lab


def test_it_is_public_behind_its_firewall_and_alone_in_its_network(both: CloudApi) -> None:
    (server,) = things(both, "staging")["servers"]
    machine = both.driver.machines[server["id"]]
    assert machine.public is not None
    assert machine.public.firewall is not None
    assert [rule.ports for rule in machine.public.firewall if "0.0.0.0/0" in rule.networks] == [(443, 443), (80, 80)]
    (network,) = things(both, "staging")["networks"]
    assert (network["servers"], network["routes"]) == ([server["id"]], [])
    assert server["private_net"][0]["network"] == network["id"]


def test_taken_away_it_leaves_the_other(both: CloudApi) -> None:
    lab = things(both, "lab")
    assert run(both, ABSENT)["warnings"], "the volume stays, and that is said"
    assert run(both, ABSENT | {"allow": ["volumes"]})["changed"]
    assert not any(things(both, "staging").values())
    assert things(both, "lab") == lab
    assert made(run(both, declared())) == []


def test_the_other_taken_away_leaves_it(both: CloudApi) -> None:
    run(both, {"environment_name": "lab", "state": "absent", "confirm": "lab", "allow": ["volumes"]})
    assert [server["name"] for server in things(both, "staging")["servers"]] == ["staging-01"]
    # The key went with the other, which had uploaded it; it is wanted for the next server.
    assert made(run(both, declared(**STAGING))) == ["ssh_key/alice create"]


def test_an_inventory_of_one_environment_holds_nothing_of_the_other(both: CloudApi, tmp_path: Any) -> None:
    (tmp_path / "servers.yml").write_text("plugin: bulwark.hetzner.servers\nenvironments: [staging]\n")
    done = subprocess.run(
        [tool("ansible-inventory"), "-i", str(tmp_path / "servers.yml"), "--list"],
        env=ansible_environment(HCLOUD_TOKEN=TOKEN, HCLOUD_ENDPOINT=both.url, HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    for role in ("app", "jobs", "db", "monitoring", "bastion"):
        assert found[f"role_{role}"]["hosts"] == ["staging-01"]
    assert found["public_servers"]["hosts"] == ["staging-01"]
    assert "hosts" not in found.get("private_servers", {})
    (host,) = found["_meta"]["hostvars"].values()
    assert host["bulwark_ssh"]["jump"] is None


def test_the_playbooks_make_it_and_ask_for_its_name_before_they_take_it_away(api: CloudApi) -> None:
    variables = json.dumps({"topology": topology(**STAGING)})
    assert playbook(api, "provision.yml", "-e", variables).returncode == 0
    again = playbook(api, "provision.yml", "-e", variables)
    assert "changed=0" in again.stdout
    edge = playbook(api, "edge.yml", "-e", variables)
    assert edge.returncode == 0
    assert "changed=0" in edge.stdout
    refused = playbook(api, "destroy.yml", "-e", variables, "-e", "confirm=lab")
    assert refused.returncode != 0
    assert "confirm it with -e confirm=staging" in refused.stdout
    assert len(things(api, "staging")["servers"]) == 1
    gone = playbook(api, "destroy.yml", "-e", variables, "-e", "confirm=staging", "-e", "allow=volumes")
    assert gone.returncode == 0, gone.stdout
    assert not any(things(api, "staging").values())
