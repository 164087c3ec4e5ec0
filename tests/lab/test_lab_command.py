"""The distribution's ``hcloud`` command, unmodified: what it makes, finds, changes and deletes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cloud_api import SSH_KEY, TOKEN, CloudApi


class Command:
    def __init__(self, api: CloudApi, home: Path) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HCLOUD_")},
            "HCLOUD_TOKEN": TOKEN,
            "HCLOUD_ENDPOINT": api.url,
            "HOME": str(home),
        }

    def run(self, line: str, *more: str) -> subprocess.CompletedProcess[str]:
        words = ["hcloud", *line.split(), *more]
        return subprocess.run(words, env=self._environment, capture_output=True, text=True, check=False, timeout=60)

    def __call__(self, line: str, *more: str) -> str:
        """What it prints; it must succeed. ``more`` are words that may contain blanks."""
        done = self.run(line, *more)
        assert done.returncode == 0, f"hcloud {line}: {done.stdout}{done.stderr}"
        return done.stdout

    def describe(self, kind: str, name: str) -> Any:
        return json.loads(self(f"{kind} describe {name} -o json"))

    def refused(self, line: str) -> str:
        done = self.run(line)
        assert done.returncode != 0, f"hcloud {line}: {done.stdout}"
        return done.stderr


@pytest.fixture
def hcloud(cloud_api: CloudApi, tmp_path: Path) -> Command:
    return Command(cloud_api, tmp_path)


SERVER = "server create --type cax11 --image debian-13 --location fsn1 --name"


def test_a_private_server_with_everything(hcloud: Command) -> None:
    hcloud("network create --name net --ip-range 10.77.0.0/16")
    hcloud("network add-subnet net --type cloud --network-zone eu-central --ip-range 10.77.1.0/24")
    hcloud("network add-route net --destination 0.0.0.0/0 --gateway 10.77.1.1")
    hcloud("placement-group create --name group --type spread")
    hcloud(f"{SERVER} app-1 --without-ipv4 --without-ipv6 --network net --placement-group group --label purpose=trial")
    hcloud("volume create --name data --size 10 --server app-1 --format xfs")
    server = hcloud.describe("server", "app-1")
    assert (server["status"], server["private_net"][0]["ip"]) == ("running", "10.77.1.1")
    assert server["placement_group"]["name"] == "group"
    volume = hcloud.describe("volume", "data")
    assert volume["linux_device"] == f"/dev/disk/by-id/scsi-0HC_Volume_{volume['id']}"
    assert server["volumes"] == [volume["id"]]
    network = hcloud.describe("network", "net")
    assert network["subnets"][0]["ip_range"] == "10.77.1.0/24"
    assert network["routes"] == [{"destination": "0.0.0.0/0", "gateway": "10.77.1.1"}]
    hcloud("server delete app-1")
    hcloud("volume resize data --size 20")
    assert hcloud.describe("volume", "data")["size"] == 20
    hcloud("volume delete data")
    hcloud("network delete net")
    hcloud("placement-group delete group")
    for kind in ("server", "volume", "network", "placement-group", "primary-ip"):
        assert hcloud(f"{kind} list -o noheader") == ""


def test_one_server_from_all_sides(hcloud: Command) -> None:
    """One test, since the command waits half a second for every action, whatever it is told."""
    hcloud(f"{SERVER} app-1 --start-after-create=false --label purpose=trial")
    selected = hcloud("server list -o noheader -o columns=name,status -l", "purpose in (trial),!nothing")
    assert selected.split() == ["app-1", "off"]
    hcloud("server remove-label app-1 purpose")
    assert hcloud("server list -l purpose=trial -o noheader") == ""
    assert "uniqueness_error" in hcloud.refused(f"{SERVER} app-1")

    hcloud("server poweron app-1")
    assert hcloud.describe("server", "app-1")["status"] == "running"
    hcloud("server poweroff app-1")
    hcloud("server enable-protection app-1 delete rebuild")
    assert "protected" in hcloud.refused("server delete app-1")
    hcloud("server update app-1 --name app-2")

    hcloud("firewall create --name fw")
    hcloud("firewall add-rule fw --direction in --protocol tcp --port 22 --source-ips 0.0.0.0/0")
    hcloud("firewall apply-to-resource fw --type server --server app-2")
    assert [rule["port"] for rule in hcloud.describe("firewall", "fw")["rules"]] == ["22"]
    assert "still in use" in hcloud.refused("firewall delete fw")

    hcloud("network create --name net --ip-range 10.0.0.0/16")
    hcloud("network add-subnet net --type cloud --network-zone eu-central --ip-range 10.0.0.0/24")
    hcloud("server attach-to-network app-2 --network net --ip 10.0.0.5")
    assert hcloud.describe("server", "app-2")["private_net"][0]["ip"] == "10.0.0.5"


def test_primary_ips(hcloud: Command) -> None:
    hcloud(f"{SERVER} app-1 --without-ipv6 --start-after-create=false")
    (row,) = hcloud("primary-ip list -o noheader -o columns=id,name").splitlines()
    hcloud(f"primary-ip update {row.split()[0]} --name app-ip --auto-delete=false")
    ip = hcloud.describe("primary-ip", "app-ip")
    assert (ip["auto_delete"], ip["assignee_type"]) == (False, "server")
    hcloud("primary-ip unassign app-ip")
    hcloud("primary-ip delete app-ip")


def test_ssh_keys(hcloud: Command, tmp_path: Path) -> None:
    key = tmp_path / "key.pub"
    key.write_text(SSH_KEY + "\n")
    hcloud(f"ssh-key create --name alice --public-key-from-file {key}")
    hcloud("ssh-key update alice --name bob")
    assert "already exists" in hcloud.refused(f"ssh-key create --name eve --public-key-from-file {key}")
    hcloud("ssh-key delete bob")


@pytest.mark.parametrize("kind", ["location", "server-type", "image", "server", "volume", "network", "firewall"])
def test_lists(hcloud: Command, kind: str) -> None:
    assert hcloud(f"{kind} list").splitlines()[0].startswith("ID")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("server create --name app-2 --type nosuch --image debian-13", "server type 'nosuch' not found"),
        ("server create --name app-2 --type cax11 --image nosuch", "image not found: nosuch"),
        ("server create --name app-2 --type cx23 --image debian-13", "image has incompatible architecture"),
        ("server delete nobody", "not found: nobody"),
        ("datacenter list", "deprecated_api_endpoint"),
        ("primary-ip create --name p --type ipv4 --datacenter fsn1-dc14", "was removed in July 2026"),
        ("iso list", "not_implemented"),
        ("floating-ip list", "not_implemented"),
    ],
)
def test_refusals_are_shown(hcloud: Command, line: str, text: str) -> None:
    assert text in hcloud.refused(line)
